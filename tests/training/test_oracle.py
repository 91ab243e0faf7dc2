"""What the clairvoyant thinks of actions: it agrees with plays where nothing is uncertain."""

import numpy as np

from gridhash.agents.day_ahead_dp import decision_advantages, settled_price_per_kwh
from gridhash.agents.policy import ObservationReader
from gridhash.agents.rig_values import rig_values
from gridhash.agents.rules import LevelRule
from gridhash.envs.scenario import Scenario
from gridhash.training.oracle import Oracle, clairvoyant_oracle, compare_to_oracle
from gridhash.training.rollouts import visit
from tests.training.test_rollouts import ZeroShadow

ROWS = (24, 20 * 24)


def test_stopping_a_fleet_loses_what_the_exact_plan_says(four_weeks: Scenario) -> None:
    """Where all rigs of a group run and may stop, -1 keeps them and +1 stops them."""
    price = np.repeat(settled_price_per_kwh(four_weeks)[slice(*ROWS)], four_weeks.steps_per_row)
    oracle = Oracle(four_weeks, (rig_values(four_weeks, ROWS, price),))
    found = compare_to_oracle(
        oracle,
        ZeroShadow(four_weeks.n_groups),
        actions=np.array([-1.0, 1.0]),
        n_states=400,
        rng=np.random.default_rng(2),
    )
    visited = visit(
        four_weeks, ROWS, ZeroShadow(four_weeks.n_groups), 400, np.random.default_rng(2)
    )
    np.testing.assert_array_equal(visited.observation, found.observation)
    reader = ObservationReader(four_weeks.site)
    of = np.arange(400), found.group
    free = reader.of_groups(found.observation, "running_frac")[of] > 1.0 - 1e-6
    free &= reader.of_groups(found.observation, "locked_up_frac")[of] < 1e-6
    # Prices so high or low that even one break-even more or less changes nothing say nothing.
    loss = found.gain[:, 0] - found.gain[:, -1]
    free &= np.abs(loss) > 0.0
    assert free.sum() > 40
    interval = (visited.state.row - ROWS[0]) * four_weeks.steps_per_row + visited.state.substep
    keep = decision_advantages(four_weeks, ROWS).keep[interval, found.group]
    expected = (keep * four_weeks.params.n_rigs[found.group])[free]
    # Fans and pumps differ from the planning PUE, and chips that cool draw a little less.
    assert np.abs(loss[free] - expected).max() < 0.02 * np.abs(expected).max()
    assert np.corrcoef(loss[free], expected)[0, 1] > 0.999


def test_weeks_are_drawn_by_the_seed(four_weeks: Scenario) -> None:
    def weeks(seed: int) -> list[tuple[int, int]]:
        oracle = clairvoyant_oracle(four_weeks, ROWS, n_weeks=1, rng=np.random.default_rng(seed))
        return [values.rows for values in oracle.values]

    assert weeks(0) == weeks(0)
    assert len({tuple(weeks(seed)) for seed in range(8)}) > 1


def test_levels_of_a_rule_can_be_compared_too(four_weeks: Scenario) -> None:
    oracle = clairvoyant_oracle(four_weeks, ROWS, n_weeks=1, rng=np.random.default_rng(1))
    found = compare_to_oracle(
        oracle,
        LevelRule(four_weeks.site),
        actions=np.array([0.0, 0.5, 1.0]),
        n_states=30,
        rng=np.random.default_rng(1),
    )
    assert found.gain.shape == (30, 4), "the rule's own among them"

"""The kernel as a pure function gives the numbers of the environments and changes nothing."""

from typing import Any

import numpy as np
import pytest

from gridhash.envs import functional
from gridhash.envs.action import ActionKind
from gridhash.envs.batched_site import BatchedSite, EpisodeRules
from gridhash.envs.ledger import LEDGER_NAMES
from gridhash.envs.mining_site_env import MiningSiteEnv
from gridhash.envs.named_scenario import open_named_scenario
from gridhash.envs.scenario import Scenario
from gridhash.errors import ConfigError, DataError, PolicyError


@pytest.mark.parametrize("kind", ActionKind)
def test_single_batched_and_functional_are_the_same_to_the_bit(
    kind: ActionKind, pilot: Scenario
) -> None:
    name: Any = kind.name.lower()
    row, n_steps = pilot.first_row, 700
    env = MiningSiteEnv(pilot, action_kind=name, episode_days=13.0)
    observation, _ = env.reset(options={"start": pilot.trace.starts[row], "running_frac": 0.4})
    sites = BatchedSite(pilot, 3, EpisodeRules(episode_days=13.0, action_kind=kind))
    sites.start_at(row, running_frac=0.4)
    state = functional.rest_state(pilot, row, n_sites=2, running_frac=0.4)
    model = functional.model_of(pilot)
    first = functional.observe(state, pilot.exogenous, model)
    assert first[0].tobytes() == sites.observe()[2].tobytes() == observation.tobytes()
    env.action_space.seed(1)
    for _ in range(n_steps):
        action = env.action_space.sample()
        observation, reward, _, _, info = env.step(action)
        many = sites.step(np.tile(action, (3, 1)))
        state, output = functional.step(
            state, np.tile(action, (2, 1)), pilot.exogenous, model, action_kind=kind
        )
        assert observation.tobytes() == many.observation[1].tobytes()
        assert observation.tobytes() == output.observation[1].tobytes()
        assert reward == many.reward[2] == output.reward[0]
        assert info["profit"] == many.profit[0] == output.profit[1]
        ledger = [info[line] for line in LEDGER_NAMES]
        assert ledger == many.ledger[1].tolist() == output.ledger[1].tolist()


def test_a_functional_step_changes_nothing_it_was_given(pilot: Scenario) -> None:
    model = functional.model_of(pilot)
    state = functional.rest_state(pilot, pilot.first_row + 5, running_frac=1.0)
    kept = [array.copy() for array in (*state.fleet, *state.accounts, *pilot.exogenous)]
    action = np.array([[5.0, -1.0, 0.3, -0.2]])
    action.flags.writeable = False

    one, output = functional.step(state, action, pilot.exogenous, model)
    two, again = functional.step(state, action, pilot.exogenous, model)

    for now, then in zip((*state.fleet, *state.accounts, *pilot.exogenous), kept, strict=True):
        np.testing.assert_array_equal(now, then)
    for a, b in zip((*one.fleet, *output), (*two.fleet, *again), strict=True):
        np.testing.assert_array_equal(a, b)
        assert not np.shares_memory(a, b)


def test_states_fan_out_to_try_actions_side_by_side(pilot: Scenario) -> None:
    model = functional.model_of(pilot)
    state = functional.rest_state(pilot, pilot.first_row, running_frac=1.0)
    actions = np.array([[1.0] * 4, [0.5] * 4, [0.0] * 4])
    fan, _ = functional.step(
        functional.repeated(state, 3), actions, pilot.exogenous, model, action_kind=ActionKind.POWER
    )

    power = fan.fleet.setpoint_kw.sum(axis=1)
    assert power[0] > power[1] > power[2]
    alone, _ = functional.step(
        state, actions[1:2], pilot.exogenous, model, action_kind=ActionKind.POWER
    )
    for a, b in zip(functional.taken(fan, np.array([1])).fleet, alone.fleet, strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(PolicyError, match=r"shape \(3, 4\), expected \(1, 4\)"):
        functional.step(state, actions, pilot.exogenous, model)
    with pytest.raises(PolicyError, match="group 2 is nan"):
        functional.step(state, [[0, 0, np.nan, 0]], pilot.exogenous, model)
    fan.fleet.row[:] = pilot.n_rows
    with pytest.raises(DataError, match="end of the data"):
        functional.step(fan, actions, pilot.exogenous, model)


@pytest.mark.parametrize("name", ["JapanPilot", "RealTimeErcot"])
def test_hypothetical_prices_are_known_no_sooner_than_the_true_ones(name: str) -> None:
    scenario = open_named_scenario(name, years=1, days=6)
    row = scenario.first_row + 2 * scenario.slots_per_day
    same = functional.with_prices(
        scenario, slice(0, 1), scenario.trace.column(scenario.site.tariff.settles_at)[:1]
    )
    for ours, theirs in zip(same, scenario.exogenous, strict=True):
        np.testing.assert_array_equal(ours, theirs)

    changed = functional.with_prices(scenario, slice(row, row + 3), 0.35)
    assert (changed.market[row : row + 3, 0] == 0.35).all()
    known = scenario.trace.available_at[scenario.site.tariff.settles_at][row]
    before = np.flatnonzero(scenario.trace.starts < known)[-1]
    np.testing.assert_array_equal(changed.rows[: before + 1], scenario.rows[: before + 1])
    assert (changed.rows[before + 1 : row + 4] != scenario.rows[before + 1 : row + 4]).any()
    with pytest.raises(DataError, match="do not fit the rows"):
        functional.with_prices(scenario, slice(0, 3), [1.0, 2.0])


def test_a_state_of_another_site_and_an_unknown_kind_are_refused(pilot: Scenario) -> None:
    other = open_named_scenario("RealTimeErcot", days=14)
    state = functional.rest_state(other, other.first_row)
    with pytest.raises(DataError, match="the state is not one of this site"):
        functional.step(state, np.zeros((1, 4)), pilot.exogenous, functional.model_of(pilot))
    kind: Any = "levels"
    with pytest.raises(ConfigError, match="action_kind is 'levels'"):
        functional.step(
            functional.rest_state(pilot, pilot.first_row),
            np.zeros((1, 4)),
            pilot.exogenous,
            functional.model_of(pilot),
            action_kind=kind,
        )

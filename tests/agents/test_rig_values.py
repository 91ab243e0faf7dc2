"""Values of rigs: the decisions they imply are those of the exact plan, and time telescopes."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from gridhash.agents.day_ahead_dp import decision_advantages, settled_price_per_kwh
from gridhash.agents.rig_values import rig_values
from gridhash.config import SiteConfig
from gridhash.envs.scenario import Scenario
from gridhash.envs.state import empty_state, place_at_rest
from gridhash.errors import DataError

ROWS = (60, 160)


def price_of(scenario: Scenario, rows: tuple[int, int]) -> npt.NDArray[np.float64]:
    return np.repeat(settled_price_per_kwh(scenario)[slice(*rows)], scenario.steps_per_row)


def test_at_the_start_they_are_those_of_the_exact_plan(
    japan_levels: SiteConfig,
    make_scenario: Callable[..., Scenario],
    make_prices: Callable[..., npt.NDArray[np.float64]],
) -> None:
    """The two recursions are written apart; without surplus they answer the same question."""
    scenario = make_scenario(japan_levels, make_prices(japan_levels, days=5, seed=2))
    plan = decision_advantages(scenario, ROWS)
    values = rig_values(scenario, ROWS, price_of(scenario, ROWS))
    np.testing.assert_allclose(values.running[0], plan.value_running, rtol=1e-12)
    np.testing.assert_allclose(values.stopped[0], plan.value_stopped, rtol=1e-12)


def test_a_fleet_is_worth_the_sum_of_its_rigs(lively_scenario: Scenario) -> None:
    values = rig_values(lively_scenario, ROWS, price_of(lively_scenario, ROWS))
    params = lively_scenario.params
    state = empty_state(params, 2)
    share = np.array([[1.0], [0.25]]) * np.ones(len(params.n_rigs))
    place_at_rest(state, params, np.arange(2), share, np.full_like(share, 25.0))
    worth = values.of_fleets(state, np.array([3, 3]))
    run, stop = values.running[3, :, -1], values.stopped[3, :, -1]
    np.testing.assert_allclose(worth[0], params.n_rigs @ run)
    np.testing.assert_allclose(worth[1], params.n_rigs @ (0.25 * run + 0.75 * stop))


def test_nothing_is_worth_more_at_a_higher_price(lively_scenario: Scenario) -> None:
    price = price_of(lively_scenario, ROWS)
    cheap = rig_values(lively_scenario, ROWS, price)
    dear = rig_values(lively_scenario, ROWS, price + 0.01)
    assert (dear.running <= cheap.running + 1e-9).all()
    assert (dear.stopped <= cheap.stopped + 1e-9).all()
    assert dear.running[0].sum() < cheap.running[0].sum()


@pytest.mark.parametrize("n", [0, 7])
def test_prices_of_another_length_are_refused(lively_scenario: Scenario, n: int) -> None:
    with pytest.raises(DataError, match="dispatch intervals"):
        rig_values(lively_scenario, ROWS, np.zeros(n))

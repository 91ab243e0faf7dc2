"""The clairvoyant plan starts from the fleet that is there, and the kernel can follow it."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gridhash.agents.bound import perfect_foresight_bound, window_program
from gridhash.agents.clairvoyant import clairvoyant_plan, execute_plan
from gridhash.agents.rig_program import RigStart
from gridhash.config import SiteConfig
from gridhash.envs.action import ActionKind
from gridhash.envs.batched_site import BatchedSite, EpisodeRules
from gridhash.envs.columns import ADDER, PRICE
from gridhash.envs.levels import full_power_kw
from gridhash.envs.scenario import Scenario
from gridhash.envs.state import RUNNING
from gridhash.errors import DataError

EditSite = Callable[..., SiteConfig]
MakeScenario = Callable[..., Scenario]


def sites_at(scenario: Scenario, row: int, *, running_frac: float = 0.0) -> BatchedSite:
    sites = BatchedSite(
        scenario, 1, EpisodeRules(action_kind=ActionKind.POWER, episode_days=1 / 24)
    )
    sites.start_at(row, running_frac=running_frac)
    return sites


@pytest.fixture(scope="module")
def waiting(single_group: SiteConfig, edit_site: EditSite, make_scenario: MakeScenario) -> Scenario:
    """Return a day of very cheap energy after one without, with long minimum times."""
    site = edit_site(single_group, {"groups.*.min_up_s": 3600.0, "groups.*.min_down_s": 2700.0})
    return make_scenario(site, np.full(144, 1.0))


def test_rigs_that_must_wait_start_in_no_plan_before_their_time(waiting: Scenario) -> None:
    rows = (waiting.first_row, waiting.first_row + 8)
    sites = sites_at(waiting, rows[0], running_frac=1.0)
    sites.step(np.zeros((1, 1)))  # all stop, and must stand for 9 intervals of 5 minutes

    plan = clairvoyant_plan(waiting, rows, state=sites.state)

    assert (plan.rig_kw[:8] == 0.0).all()
    assert plan.action[8, 0] == pytest.approx(1.0)
    assert (clairvoyant_plan(waiting, rows).action[0] == 1.0).all()


def test_rigs_that_must_run_on_do_so_in_every_plan(
    waiting: Scenario, make_scenario: MakeScenario
) -> None:
    dear = make_scenario(waiting.site, np.full(144, 60.0))
    rows = (dear.first_row, dear.first_row + 8)
    sites = sites_at(dear, rows[0])
    sites.step(np.ones((1, 1)))

    plan = clairvoyant_plan(dear, rows, state=sites.state)

    least = dear.params.level_kw[0, 0] / dear.params.level_kw[0, -1]
    assert plan.action[:11, 0] == pytest.approx(least)
    assert plan.action[11:, 0] == pytest.approx(0.0)


def test_a_plan_knows_the_state_in_which_the_kernel_ends_up(lively_scenario: Scenario) -> None:
    scenario, params = lively_scenario, lively_scenario.params
    rows = (scenario.first_row, scenario.first_row + 40)
    sites = sites_at(scenario, rows[0])
    before = RigStart(up=sites.state.up[0].sum(axis=0), down=sites.state.down[0].sum(axis=0))
    built = window_program(scenario, rows, starts=[before])
    x = built.program.solve().columns
    (rigs,), (columns,) = built.classes, built.rigs
    rig_kw = columns.rig_kw(x, rigs.level_kw)
    n = 0
    for n in range(1, len(rig_kw) + 1):  # until a quarter of an hour after a start or a stop
        sites.step(np.full((1, 4), rig_kw[n - 1] / full_power_kw(params).sum()))
        if n > 60 and abs(np.diff(x[columns.running][n - 3 : n - 1])).sum() > 100.0:
            break

    after = columns.state_after(x, n, before)

    assert after.up == pytest.approx(sites.state.up[0].sum(axis=0), abs=1e-6)
    assert after.down == pytest.approx(sites.state.down[0].sum(axis=0), abs=1e-6)
    assert after.running == pytest.approx(sites.state.summary[0, :, RUNNING].sum())


def test_a_plan_earns_in_the_kernel_nearly_what_it_promises_and_never_more(
    lively_scenario: Scenario,
) -> None:
    rows = (lively_scenario.first_row, lively_scenario.n_rows)

    executed = execute_plan(lively_scenario, rows)

    bound = perfect_foresight_bound(lively_scenario, rows).value
    assert executed.executed <= executed.planned <= bound + 1e-6 * abs(bound)
    assert executed.gap < 0.02 * executed.planned


def test_windows_in_a_chain_lose_little_against_one_plan(lively_scenario: Scenario) -> None:
    scenario, rows = lively_scenario, (lively_scenario.first_row, lively_scenario.n_rows)
    earned = []
    for days in (1.0, 30.0):
        plan = clairvoyant_plan(scenario, rows, window_days=days)
        sites = sites_at(scenario, rows[0])
        earned.append(sum(float(sites.step(a[None]).profit[0]) for a in plan.action))
        assert plan.action.shape == ((rows[1] - rows[0]) * scenario.steps_per_row, 4)

    assert earned[0] == pytest.approx(earned[1], rel=1e-3)


def test_a_kilowatt_hour_more_costs_its_price_where_the_grid_feeds_it(
    single_group: SiteConfig, make_scenario: MakeScenario, make_prices: Callable[..., Any]
) -> None:
    scenario = make_scenario(single_group, make_prices(single_group, days=2, seed=1))
    rows = (scenario.first_row, scenario.n_rows)

    plan = clairvoyant_plan(scenario, rows)

    price = np.repeat(scenario.market[rows[0] :, PRICE] + scenario.market[rows[0] :, ADDER], 6)
    assert plan.marginal_per_kwh == pytest.approx(price)


def test_rows_that_cannot_be_planned_are_refused(lively_scenario: Scenario) -> None:
    with pytest.raises(DataError, match="rows 0 to 10"):
        clairvoyant_plan(lively_scenario, (0, 10))
    with pytest.raises(DataError, match="holds no settlement period"):
        clairvoyant_plan(lively_scenario, (48, 90), window_days=0.001)

"""The plan is optimal for what it knows, and worth its start costs."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gridhash.agents.day_ahead_dp import CHEAP, GRID, KEEP, START, DayAheadDP, decision_advantages
from gridhash.agents.rules import Hysteresis, LevelRule
from gridhash.config import SiteConfig
from gridhash.envs.action import ActionKind
from gridhash.envs.batched_site import BatchedSite, EpisodeRules
from gridhash.envs.scenario import Scenario
from gridhash.errors import ConfigError, DataError

EditSite = Callable[..., SiteConfig]
MakeScenario = Callable[..., Scenario]
Play = Callable[..., float]


def sites_at(scenario: Scenario, *, running_frac: float, row: int | None = None) -> BatchedSite:
    """Return one site at rest that takes power actions."""
    rules = EpisodeRules(action_kind=ActionKind.POWER, episode_days=1 / 24)
    sites = BatchedSite(scenario, 1, rules)
    sites.start_at(scenario.first_row if row is None else row, running_frac=running_frac)
    return sites


def best_by_enumeration(scenario: Scenario, rows: tuple[int, int], *, running: bool) -> float:
    """Return the most that one on/off rig of group 0, free to switch, earns: all 2^T plays."""
    params = scenario.params
    n_steps = (rows[1] - rows[0]) * scenario.steps_per_row
    hours = params.interval_s / 3600.0

    def earned(t: int, on: bool, since: int) -> float:
        row = scenario.market[rows[0] + t // scenario.steps_per_row]
        price = (row[0] + params.adders_per_kwh) * params.pue_for_planning
        age = min(since, params.start_power_frac.shape[1] - 1)
        share = params.start_power_frac[0, age] if on else 0.0
        kw = share * params.level_kw[0, 0] + (1.0 - share) * params.standby_kw[0]
        phs = params.level_phs[0, 0] * params.start_hash_frac[0, age] if on else 0.0
        return float(hours * (phs * row[3] / 24.0 - kw * price))

    def best(t: int, on: bool, since: int) -> float:
        if t == n_steps:
            return 0.0
        plays = [earned(t, on, since) + best(t + 1, on, since + 1)]
        if since >= (params.n_up_lock[0] if on else params.n_down_lock[0]):
            wear = 0.0 if on else float(params.start_cost[0])
            plays.append(earned(t, not on, 0) - wear + best(t + 1, not on, 1))
        return max(plays)

    return best(0, running, 999)


@pytest.mark.parametrize(
    ("min_up_s", "min_down_s", "boot_s", "warm_up_s"),
    [(0, 0, 0, 0), (1800, 1200, 30, 60), (600, 2700, 400, 350), (2400, 300, 0, 900)],
)
def test_plan_equals_the_best_of_all_plays(
    min_up_s: float,
    min_down_s: float,
    boot_s: float,
    warm_up_s: float,
    single_group: SiteConfig,
    edit_site: EditSite,
    make_scenario: MakeScenario,
) -> None:
    site = edit_site(
        single_group,
        {
            "start_cost_per_fleet_start": 700.0,
            "market.settlement_period_s": 900,
            "groups.*.min_up_s": min_up_s,
            "groups.*.min_down_s": min_down_s,
            "groups.*.boot_s": boot_s,
            "groups.*.warm_up_s": warm_up_s,
        },
    )
    level = site.break_even_per_kwh(site.groups[0]) - site.market.adders_per_kwh
    rng = np.random.default_rng(int(min_up_s))
    scenario = make_scenario(site, level * rng.uniform(0.6, 1.4, 2 * 96))
    for first in (100, 120, 140):
        rows = (first, first + 4)  # twelve intervals

        plan = decision_advantages(scenario, rows)

        for running, value in (
            (True, plan.value_running[0, -1]),
            (False, plan.value_stopped[0, -1]),
        ):
            best = best_by_enumeration(scenario, rows, running=running)
            assert value == pytest.approx(best, rel=1e-9, abs=1e-9)


def test_advantage_is_the_difference_that_a_decision_makes(
    single_group: SiteConfig, edit_site: EditSite, make_scenario: MakeScenario
) -> None:
    # One cheap period among dear ones: starting at its beginning earns its margin less a start.
    site = edit_site(single_group, {"groups.*.standby_w": 0.0, "groups.*.min_down_s": 0.0})
    group = site.groups[0]
    break_even = site.break_even_per_kwh(group)
    prices = np.full(96, 3.0 * break_even)
    prices[60] = 0.5 * break_even - site.market.adders_per_kwh
    scenario = make_scenario(site, prices)
    margin_per_h = group.level_power_kw(1.0) * site.pue_for_planning * 0.5 * break_even
    hashes_per_h = group.level_hashrate_phs(1.0) * site.hash_revenue_per_phs_day / 24.0
    # Of 90 s without hashes the rig draws power in 60 s.
    boot_saves = 30 / 3600 * group.level_power_kw(1.0) * site.pue_for_planning * 0.5 * break_even
    start_loss = site.start_cost_per_rig + hashes_per_h * 90 / 3600 - boot_saves

    plan = decision_advantages(scenario, (60, 62))

    assert plan.start[0, 0] == pytest.approx(0.5 * margin_per_h - start_loss, rel=1e-9)
    assert plan.keep[6, 0] < 0.0
    assert plan.start[6, 0] < plan.keep[6, 0]
    assert plan.running.shape == (12, 1, 7)
    assert np.isfinite(plan.running).all()
    assert np.isfinite(plan.stopped).all()


@pytest.mark.parametrize(("dear_periods", "keeps"), [(1, True), (6, False)])
def test_plan_runs_through_a_short_spike_and_stops_for_a_long_one(
    dear_periods: int, keeps: bool, japan: SiteConfig, make_scenario: MakeScenario
) -> None:
    break_even = japan.break_even_per_kwh(japan.groups[0])
    prices = np.full(144, 0.5 * break_even - japan.market.adders_per_kwh)
    prices[60 : 60 + dear_periods] += 0.6 * break_even
    sites = sites_at(make_scenario(japan, prices), running_frac=1.0, row=60)

    action = DayAheadDP(japan).act(sites.observe())

    assert action == pytest.approx(np.full((1, 4), float(keeps)))


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("site_name", ["japan", "japan_levels"])
def test_plan_beats_the_rules_where_starts_cost(
    seed: int,
    site_name: str,
    request: pytest.FixtureRequest,
    make_scenario: MakeScenario,
    make_prices: Callable[..., Any],
    play_policy: Play,
) -> None:
    site: SiteConfig = request.getfixturevalue(site_name)
    scenario = make_scenario(site, make_prices(site, days=5, seed=seed))

    planned = play_policy(DayAheadDP(site), scenario)

    assert planned > play_policy(LevelRule(site), scenario)
    assert planned > play_policy(Hysteresis(site), scenario)


def test_plan_is_the_level_rule_where_starts_are_free(
    japan_levels: SiteConfig,
    free_starts: dict[str, Any],
    edit_site: EditSite,
    make_scenario: MakeScenario,
    make_prices: Callable[..., Any],
    play_policy: Play,
) -> None:
    site = edit_site(japan_levels, free_starts)
    scenario = make_scenario(site, make_prices(site, days=5, seed=4))

    planned = play_policy(DayAheadDP(site), scenario)

    assert planned == pytest.approx(play_policy(LevelRule(site), scenario), rel=1e-6)
    assert planned > 0.0


def test_running_rigs_stay_and_stopped_rigs_rest_in_a_thin_valley(
    japan_levels: SiteConfig, make_scenario: MakeScenario
) -> None:
    # A margin too thin to start for, and no loss that would make running rigs stop.
    floor = japan_levels.levels_of(japan_levels.groups[0])[0]
    break_even = japan_levels.break_even_per_kwh(japan_levels.groups[0])
    lowest = break_even / (0.65 + 0.35 * floor)
    prices = np.full(96, 2.0 * lowest)
    prices[60] = 0.99 * lowest - japan_levels.market.adders_per_kwh
    scenario = make_scenario(japan_levels, prices)
    sites = sites_at(scenario, running_frac=0.3, row=60)
    policy = DayAheadDP(japan_levels)

    advantage = policy.advantages(sites.observe())
    output = sites.step(policy.act(sites.observe()))

    assert (advantage[..., KEEP] > 0.0).all()
    assert (advantage[..., START] < 0.0).all()
    assert output.record[0, 6] == pytest.approx(0.0, abs=1e-4)
    assert output.record[0, 7] == pytest.approx(0.0, abs=1e-4)


def test_only_rigs_that_surplus_feeds_run_when_the_grid_is_too_dear(
    single_group: SiteConfig, make_scenario: MakeScenario
) -> None:
    dear = np.full(96, 5.0 * single_group.break_even_per_kwh(single_group.groups[0]))
    surplus_frac = 0.6 * single_group.max_rig_kw * single_group.pue_for_planning
    surplus_frac /= single_group.limits.contract_power_kw
    scenario = make_scenario(single_group, dear, {"surplus_frac": np.full(96, surplus_frac)})
    sites = sites_at(scenario, running_frac=0.0)
    policy = DayAheadDP(single_group)

    advantage = policy.advantages(sites.observe())[0, 0]

    assert advantage[CHEAP, START] > 0.0 > advantage[GRID, START]
    assert policy.act(sites.observe()) == pytest.approx(np.full((1, 1), 0.6), rel=1e-5)


def test_plan_counts_only_the_intervals_left_of_this_period(
    single_group: SiteConfig, edit_site: EditSite, make_scenario: MakeScenario
) -> None:
    site = edit_site(
        single_group,
        {
            "groups.*.min_down_s": 0.0,
            "groups.*.min_up_s": 0.0,
            "start_cost_per_fleet_start": 500.0,
        },
    )
    break_even = site.break_even_per_kwh(site.groups[0])
    prices = np.full(96, 3.0 * break_even)
    prices[60] = 0.8 * break_even - site.market.adders_per_kwh
    scenario = make_scenario(site, prices)
    plan = decision_advantages(scenario, (60, scenario.n_rows))
    sites = sites_at(scenario, running_frac=0.0, row=60)
    policy = DayAheadDP(site)

    for t in range(6):
        seen = policy.advantages(sites.observe())[0, 0, GRID]

        assert seen[START] == pytest.approx(plan.start[t, 0], rel=1e-4)
        assert seen[KEEP] == pytest.approx(plan.keep[t, 0], rel=1e-4)
        sites.step(np.zeros((1, 1)))
    assert plan.start[0, 0] > 0.0 > plan.start[5, 0]


def test_groups_with_the_same_rigs_are_planned_once_and_alike(
    lively_scenario: Scenario, edit_site: EditSite
) -> None:
    sites = BatchedSite(lively_scenario, 50, EpisodeRules(episode_days=1.0))
    sites.draw_starts(np.arange(50), np.random.default_rng(1))
    observation = sites.observe()
    shared, apart = DayAheadDP(lively_scenario.site), DayAheadDP(lively_scenario.site)
    apart._like = np.arange(4)

    assert list(shared._like) == [0, 0, 0, 0]
    assert np.array_equal(shared.advantages(observation), apart.advantages(observation))
    other = edit_site(lively_scenario.site, {"groups.2.standby_w": 25.0})
    assert list(DayAheadDP(other)._like) == [0, 0, 2, 0]


def test_a_plan_takes_less_than_100_microseconds(lively_scenario: Scenario) -> None:
    sites = BatchedSite(lively_scenario, 500, EpisodeRules(episode_days=1.0))
    sites.draw_starts(np.arange(500), np.random.default_rng(1))
    observation = sites.observe()
    policy = DayAheadDP(lively_scenario.site)
    policy._like = np.arange(4)  # as slow as four different groups
    policy.act(observation)

    took_s = []
    for _ in range(5):
        start = time.perf_counter()
        policy.act(observation)
        took_s.append(time.perf_counter() - start)

    assert min(took_s) / 500 < 100e-6


def test_what_cannot_be_planned_is_refused(lively_scenario: Scenario, japan: SiteConfig) -> None:
    with pytest.raises(ConfigError, match="surplus_persistence_h"):
        DayAheadDP(japan, surplus_persistence_h=-1.0)
    with pytest.raises(DataError, match="240"):
        decision_advantages(lively_scenario, (200, 241))

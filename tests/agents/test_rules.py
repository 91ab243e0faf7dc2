"""Rules do what their names say, and read nothing but the observation."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from gridhash.agents.policy import ObservationReader, Policy, check_action
from gridhash.agents.roster import POLICIES, build_policy
from gridhash.agents.rules import (
    BreakEvenOnOff,
    Hysteresis,
    LevelRule,
    LookAheadRule,
    ShadowHysteresis,
)
from gridhash.config import SiteConfig, load_site
from gridhash.data.samples import load_sample
from gridhash.envs.action import ActionKind
from gridhash.envs.batched_site import BatchedSite, EpisodeRules
from gridhash.envs.scenario import Scenario, build_scenario
from gridhash.errors import ConfigError, PolicyError

Observations = npt.NDArray[np.float32]
EditSite = Callable[..., SiteConfig]
MakeScenario = Callable[..., Scenario]
Play = Callable[..., float]


def first_observation(scenario: Scenario, running_frac: float = 0.0) -> Observations:
    """Return what a site sees at the first playable row."""
    sites = BatchedSite(scenario, 1, EpisodeRules(episode_days=1 / 24))
    sites.start_at(scenario.first_row, running_frac=running_frac)
    return sites.observe()


def drawn_observations(scenario: Scenario, n: int) -> Observations:
    """Return observations at random times and states."""
    sites = BatchedSite(scenario, n, EpisodeRules(episode_days=1.0))
    sites.draw_starts(np.arange(n), np.random.default_rng(0))
    return sites.observe()


def profit_of(scenario: Scenario, policy: Policy, rows: tuple[int, int]) -> float:
    """Return what a policy earns over rows from a fleet at rest."""
    days = (rows[1] - rows[0]) * scenario.trace.period_s / 86400.0
    rules = EpisodeRules(
        episode_days=days, action_kind=policy.action_kind, relative_reward=False, rows=rows
    )
    sites = BatchedSite(scenario, 1, rules)
    sites.start_at(rows[0])
    profit = 0.0
    for _ in range(sites.episode_steps):
        profit += float(sites.step(policy.act(sites.observe())).profit[0])
    return profit


@pytest.fixture
def at_price(make_scenario: MakeScenario) -> Callable[..., Scenario]:
    """Return a maker of two days at one all-in price."""

    def make(site: SiteConfig, all_in_per_kwh: float, **columns: float) -> Scenario:
        n = 2 * 86400 // site.market.settlement_period_s
        prices = np.full(n, all_in_per_kwh - site.market.adders_per_kwh)
        return make_scenario(site, prices, {k: np.full(n, v) for k, v in columns.items()})

    return make


@pytest.mark.parametrize("name", list(POLICIES))
def test_every_policy_is_a_pure_function_of_the_batch(name: str, lively_scenario: Scenario) -> None:
    policy = build_policy(name, lively_scenario.site)
    observation = drawn_observations(lively_scenario, 40)
    before = observation.copy()
    observation.flags.writeable = False

    action = check_action(policy.act(observation), n_sites=40, n_groups=4)

    assert isinstance(policy, Policy)
    assert policy.name == name
    assert np.array_equal(observation, before)
    assert action.min() >= policy.action_kind.low
    assert action.max() <= 1.0
    one_by_one = np.concatenate([policy.act(observation[i : i + 1]) for i in range(40)])
    assert np.array_equal(action, one_by_one)


def test_unknown_policy_is_refused_by_name(japan: SiteConfig) -> None:
    with pytest.raises(PolicyError, match=r"'oracle'.*level_rule"):
        build_policy("oracle", japan)


def test_break_even_of_a_hashprice_of_6000_and_20_j_per_th_is_12_5(
    japan: SiteConfig, edit_site: EditSite, at_price: Callable[..., Scenario]
) -> None:
    site = edit_site(
        japan,
        {
            "pue_for_planning": 1.0,
            "mining.hashprice_usd_per_phs_day": 6000.0,
            "mining.currency_per_usd": 1.0,
            "mining.pool_fee_frac": 0.0,
            "mining.stale_frac": 0.0,
            "groups.*.rig_power_w": 4000.0,
            "groups.*.rig_hashrate_ths": 200.0,
        },
    )

    below = BreakEvenOnOff(site).act(first_observation(at_price(site, 12.4999)))
    above = BreakEvenOnOff(site).act(first_observation(at_price(site, 12.5001)))

    assert np.array_equal(below, np.ones((1, 4)))
    assert np.array_equal(above, np.zeros((1, 4)))


def test_on_off_rules_run_at_nameplate_where_rigs_can_do_more(
    japan_levels: SiteConfig, edit_site: EditSite, at_price: Callable[..., Scenario]
) -> None:
    levels = (0.5, 0.8, 1.0, 1.25)
    site = edit_site(
        japan_levels,
        {"groups.*.optional_work_levels": levels, "limits.contract_power_kw": 6000.0},
    )
    observation = first_observation(at_price(site, 1.0))

    for name in ("always_on", "break_even_on_off"):
        assert build_policy(name, site).act(observation) == pytest.approx(np.full((1, 4), 0.8))


@pytest.mark.parametrize("price_per_value", [0.5, 0.7, 0.85, 1.0, 1.15])
def test_level_rule_with_many_levels_is_the_closed_form(
    price_per_value: float, single_group: SiteConfig, at_price: Callable[..., Scenario]
) -> None:
    n_levels = 250
    group = single_group.groups[0].model_copy(
        update={"load_levels": tuple(np.linspace(0.5, 1.0, n_levels + 1))}
    )
    site = single_group.model_copy(update={"groups": (group,)})
    scenario = at_price(site, price_per_value * site.break_even_per_kwh(group))
    a, b = group.curve_a, group.curve_b
    expected = min(max((math.sqrt(a / price_per_value) - a) / b, 0.5), 1.0)

    sites = BatchedSite(scenario, 1, EpisodeRules(episode_days=1 / 24))
    sites.start_at(scenario.first_row)
    output = sites.step(LevelRule(site).act(sites.observe()))

    assert output.record[0, 0] / site.max_group_kw(group) == pytest.approx(
        expected, abs=0.5 / n_levels
    )


@pytest.mark.parametrize(
    ("price_ratio", "running", "wanted"),
    [
        (0.79, 0.0, 1.0),  # below the start ratio all start
        (0.81, 0.0, 0.0),  # between the ratios nothing changes
        (0.81, 1.0, 1.0),
        (1.19, 1.0, 1.0),
        (1.21, 1.0, 0.0),  # above the stop ratio all stop
        (1.21, 0.0, 0.0),
    ],
)
def test_hysteresis_starts_late_and_stops_late(
    price_ratio: float,
    running: float,
    wanted: float,
    japan: SiteConfig,
    at_price: Callable[..., Scenario],
) -> None:
    break_even = japan.break_even_per_kwh(japan.groups[0])
    observation = first_observation(at_price(japan, price_ratio * break_even), running)

    action = Hysteresis(japan, start_ratio=0.8, stop_ratio=1.2).act(observation)

    assert action == pytest.approx(np.full((1, 4), wanted))


def test_hysteresis_holds_a_share_of_rigs_without_starting_others(
    japan_levels: SiteConfig, at_price: Callable[..., Scenario]
) -> None:
    site = japan_levels
    scenario = at_price(site, 0.9 * site.break_even_per_kwh(site.groups[0]))
    sites = BatchedSite(
        scenario, 1, EpisodeRules(episode_days=1 / 24, action_kind=ActionKind.POWER)
    )
    sites.start_at(scenario.first_row, running_frac=0.4)

    output = sites.step(Hysteresis(site, start_ratio=0.5).act(sites.observe()))

    started, stopped = output.record[0, 6:8]
    assert started == pytest.approx(0.0, abs=1e-4)
    assert stopped == pytest.approx(0.0, abs=1e-4)


def test_hysteresis_takes_surplus_when_the_grid_is_too_dear(
    japan: SiteConfig, at_price: Callable[..., Scenario]
) -> None:
    dear = 3.0 * japan.break_even_per_kwh(japan.groups[0])

    without = Hysteresis(japan).act(first_observation(at_price(japan, dear)))
    fed = Hysteresis(japan).act(first_observation(at_price(japan, dear, surplus_frac=0.5)))

    assert without.sum() == 0.0
    contract_kw = japan.limits.contract_power_kw
    share = 0.5 * contract_kw / japan.pue_for_planning / japan.max_rig_kw
    assert fed.mean() == pytest.approx(share, rel=0.01)


@pytest.mark.parametrize(
    ("rule", "parameters"),
    [
        (Hysteresis, {"start_ratio": (0.6, 0.9), "stop_ratio": (1.0, 1.3)}),
        (ShadowHysteresis, {"start_ratio": (0.6, 0.9), "stop_ratio": (1.0, 1.3)}),
        (LookAheadRule, {"start_worth": (0.2, 0.6), "keep_worth": (-0.3, 0.1)}),
    ],
)
def test_an_array_of_parameters_gives_each_site_its_own(
    rule: Callable[..., Policy],
    parameters: dict[str, tuple[float, float]],
    lively_scenario: Scenario,
) -> None:
    site = lively_scenario.site
    observation = drawn_observations(lively_scenario, 40)
    both = rule(site, **{k: np.tile(v, 20) for k, v in parameters.items()}).act(observation)

    for which in (0, 1):
        alone = rule(site, **{k: v[which] for k, v in parameters.items()})
        assert np.array_equal(both[which::2], alone.act(observation)[which::2])
    first, second = (rule(site, **{k: v[w] for k, v in parameters.items()}) for w in (0, 1))
    assert not np.array_equal(first.act(observation), second.act(observation))


@pytest.mark.parametrize(
    ("price_ratio", "running", "runs"),
    [
        (0.79, 0.0, True),
        (0.81, 0.0, False),
        (0.81, 1.0, True),
        (1.19, 1.0, True),
        (1.21, 1.0, False),
    ],
)
def test_shadow_hysteresis_runs_where_hysteresis_does(
    price_ratio: float,
    running: float,
    runs: bool,
    japan: SiteConfig,
    at_price: Callable[..., Scenario],
) -> None:
    break_even = japan.break_even_per_kwh(japan.groups[0])
    scenario = at_price(japan, price_ratio * break_even)
    sites = BatchedSite(scenario, 1, EpisodeRules(episode_days=1 / 24))
    sites.start_at(scenario.first_row, running_frac=running)
    rule = ShadowHysteresis(japan, start_ratio=0.8, stop_ratio=1.2)

    action = rule.act(sites.observe())
    output = sites.step(action)

    assert bool(output.record[0, 0] > 0.0) is runs
    # It says no more than it must: nothing where the level rule does the same.
    agrees = (price_ratio < 1.0) is runs
    assert np.array_equal(action, np.zeros((1, 4))) is agrees


def test_shadow_hysteresis_takes_surplus_beside_a_grid_that_is_too_dear(
    japan: SiteConfig, at_price: Callable[..., Scenario]
) -> None:
    """Below break-even but above the start ratio a stopped group takes surplus alone."""
    break_even = japan.break_even_per_kwh(japan.groups[0])
    scenario = at_price(japan, 0.95 * break_even, surplus_frac=0.5)
    sites = BatchedSite(scenario, 1, EpisodeRules(episode_days=1 / 24))
    sites.start_at(scenario.first_row)

    output = sites.step(ShadowHysteresis(japan, start_ratio=0.8).act(sites.observe()))

    share = 0.5 * japan.limits.contract_power_kw / japan.pue_for_planning
    assert output.record[0, 0] == pytest.approx(share, rel=0.01)


@pytest.mark.parametrize(("start", "stop"), [(0.0, 1.1), (1.1, 1.2), (0.9, 0.95)])
def test_hysteresis_with_ratios_out_of_order_is_refused(
    start: float, stop: float, japan: SiteConfig
) -> None:
    with pytest.raises(ConfigError, match="start_ratio"):
        Hysteresis(japan, start_ratio=start, stop_ratio=stop)


def test_look_ahead_rule_runs_through_a_dip_that_is_cheaper_than_a_start(
    japan: SiteConfig, make_scenario: MakeScenario
) -> None:
    """A start costs 20.5 JPY per rig, an hour at 16 JPY loses 8.064 x 1.02 x 7.96 = 65 of them.

    Half an hour at 12 JPY, 17.5 all-in, loses 16.3 JPY: less than a start, so that running rigs
    go on and stopped ones wait; at 16 JPY both stand.
    """
    rule = LookAheadRule(japan)
    for price, share_of_running in ((12.0, 1.0), (16.0, 0.0)):
        prices = np.full(4 * 48, 5.0)
        prices[48] = price
        scenario = make_scenario(japan, prices)
        running = rule.act(first_observation(scenario, running_frac=1.0))
        standing = rule.act(first_observation(scenario, running_frac=0.0))
        assert running == pytest.approx(np.full((1, 4), share_of_running))
        assert standing == pytest.approx(np.zeros((1, 4)))


def test_look_ahead_rule_closes_most_of_the_gap_from_level_rule_to_dynamic_program() -> None:
    scenario = build_scenario(load_site("europe_sample"), load_sample("nl_2018"))
    rows = (scenario.row_at(pd.Timestamp("2018-10-01", tz="Europe/Amsterdam")), scenario.n_rows)
    level, look_ahead, planner = (
        profit_of(scenario, build_policy(name, scenario.site), rows)
        for name in ("level_rule", "look_ahead_rule", "day_ahead_dp")
    )

    assert (look_ahead - level) / (planner - level) > 0.98


def test_reader_turns_ratios_back_into_prices_and_revenue(lively_scenario: Scenario) -> None:
    scenario = lively_scenario
    reader = ObservationReader(scenario.site)
    observation = first_observation(scenario)
    row, adders = scenario.first_row, scenario.site.market.adders_per_kwh

    prices = reader.prices_per_kwh(observation)[0]

    expected = scenario.market[row : row + 48, 0] + adders
    assert prices[:48] == pytest.approx(expected, rel=1e-6)
    assert reader.revenue_per_phs_day(observation)[0] == pytest.approx(
        scenario.market[row, 3], rel=1e-6
    )


def test_reader_tells_groups_apart_whose_names_end_alike(
    japan: SiteConfig, edit_site: EditSite
) -> None:
    site = edit_site(japan, {"groups.0.name": "c", "groups.1.name": "loop_c2_c"})
    reader = ObservationReader(site)

    columns = reader.group_columns("running_frac")

    assert list(columns) == [reader.column(f"running_frac_{group.name}") for group in site.groups]
    with pytest.raises(PolicyError, match="outdoor_temp"):
        reader.group_columns("outdoor_temp")


@pytest.mark.parametrize("name", ["break_even_on_off", "hysteresis", "day_ahead_dp"])
def test_observation_of_another_site_is_refused(
    name: str, japan: SiteConfig, single_group: SiteConfig, at_price: Callable[..., Scenario]
) -> None:
    observation = first_observation(at_price(single_group, 5.0))

    with pytest.raises(PolicyError, match=r"\(1, \d+\).*japan_pilot"):
        build_policy(name, japan).act(observation)


@pytest.mark.parametrize(
    ("action", "message"),
    [([[0.0, np.nan]], "group 1 is nan"), ([[0.0, np.inf]], "inf"), ([0.0, 0.0], r"\(2,\)")],
)
def test_what_is_no_action_is_refused(action: Any, message: str) -> None:
    with pytest.raises(PolicyError, match=message):
        check_action(action, n_sites=1, n_groups=2)

"""Rules of an operator: hours of a schedule, calls alone, and the combination of all."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from gridhash.agents.rule_registry import build_rule
from gridhash.agents.rules import Hysteresis, LookAheadRule, ShadowLookAhead
from gridhash.agents.rules_operator import (
    ALL_HOURS,
    SCHEDULES,
    CombinedRule,
    DemandResponseOnly,
    StaticSchedule,
)
from gridhash.agents.start_stop_action import fitting_kind
from gridhash.config import SiteConfig
from gridhash.envs.action import ActionKind
from gridhash.envs.batched_site import BatchedSite, EpisodeRules
from gridhash.envs.observation import observation_table
from gridhash.envs.scenario import Scenario
from gridhash.errors import ConfigError

EditSite = Callable[..., SiteConfig]
MakeScenario = Callable[..., Scenario]
Observations = npt.NDArray[np.float32]
CONTRACT_KW = 4520.0


def seen(site: SiteConfig, **features: float) -> Observations:
    """Return one observation with features by name, all others 0."""
    names = [feature.name for feature in observation_table(site)]
    assert set(features) <= set(names)
    return np.array([[features.get(name, 0.0) for name in names]], dtype=np.float32)


def moment(hour: float, weekday: int, day_of_year: int) -> dict[str, float]:
    """Return the calendar's features; Monday is 0, 1 January 0."""
    phases = {"hour": hour / 24.0, "weekday": weekday / 7.0, "season": day_of_year / 365.25}
    return {
        f"{name}_{part}": float(function(2.0 * np.pi * phase))
        for name, phase in phases.items()
        for part, function in (("sin", np.sin), ("cos", np.cos))
    }


def drawn(scenario: Scenario, n: int) -> Observations:
    """Return observations at random times and states."""
    sites = BatchedSite(scenario, n, EpisodeRules(episode_days=1.0))
    sites.draw_starts(np.arange(n), np.random.default_rng(0))
    return sites.observe()


@pytest.fixture
def reducing(japan_levels: SiteConfig, edit_site: EditSite) -> SiteConfig:
    """Return the pilot with calls to reduce and orders to pause."""
    blocks: dict[str, Any] = {
        "programs": {
            "demand_reduction": {"committed_kw": 904.0, "penalty_per_kwh": 60.0},
            "pause_orders": {"pause_power_kw": 200.0, "penalty_per_kwh": 50.0},
        }
    }
    return edit_site(japan_levels, blocks)


@pytest.mark.parametrize(
    ("day_of_year", "weekday", "name"),
    [
        (0, 2, "winter_weekday"),
        (45, 6, "winter_weekend"),
        (100, 0, "spring_weekday"),
        (200, 5, "summer_weekend"),
        (300, 4, "autumn_weekday"),
        (350, 5, "winter_weekend"),
    ],
)
def test_static_schedule_works_the_hours_of_its_season_and_day(
    day_of_year: int, weekday: int, name: str, japan: SiteConfig
) -> None:
    none = dict.fromkeys(SCHEDULES, 0.0)
    policy = StaticSchedule(japan, **(none | {name: float(2**7 + 2**23)}))

    works = [
        policy.act(seen(japan, **moment(hour, weekday, day_of_year)))[0, 0] > 0.0
        for hour in (6.5, 7.0, 7.5, 8.0, 23.5)
    ]

    assert works == [False, True, True, False, True]


def test_static_schedule_of_all_hours_always_runs(lively_scenario: Scenario) -> None:
    policy = StaticSchedule(lively_scenario.site)

    assert np.array_equal(policy.act(drawn(lively_scenario, 20)), np.ones((20, 4)))


@pytest.mark.parametrize(
    ("features", "site_frac"),
    [
        ({"reduction_call_in_h": 48.0, "pause_in_h": 48.0}, None),
        ({"reduction_call_now": 1.0, "pause_in_h": 48.0}, 0.6),
        ({"reduction_call_in_h": 0.25, "pause_in_h": 48.0}, 0.6),
        ({"reduction_call_in_h": 48.0, "pause_now": 1.0}, 0.0),
        ({"reduction_call_in_h": 48.0, "pause_in_h": 0.25}, 0.0),
    ],
)
def test_demand_response_alone_runs_but_for_calls_and_orders(
    features: dict[str, float], site_frac: float | None, reducing: SiteConfig
) -> None:
    observation = seen(
        reducing, baseline_frac=0.8, committed_frac=0.2, price_ratio_000=5.0, **features
    )

    action = DemandResponseOnly(reducing).act(observation)

    full_kw = [reducing.max_group_kw(group) for group in reducing.groups]
    site_kw = float(action[0] @ full_kw * reducing.pue_for_planning)
    if site_frac is None:
        assert np.array_equal(action, np.ones((1, 4)))
    else:
        assert site_kw == pytest.approx(site_frac * CONTRACT_KW, rel=1e-6)


def test_supply_with_a_shape_is_answered_by_shadow_price(
    japan: SiteConfig, reducing: SiteConfig
) -> None:
    assert fitting_kind(japan) is CombinedRule(japan).action_kind is ActionKind.POWER
    assert fitting_kind(reducing) is CombinedRule(reducing).action_kind is ActionKind.SHADOW_PRICE


def test_combined_rule_holds_its_parts(lively_scenario: Scenario) -> None:
    site, observation = lively_scenario.site, drawn(lively_scenario, 200)

    by_price = CombinedRule(site, start_ratio=0.8, stop_ratio=1.3).act(observation)
    by_worth = CombinedRule(
        site, start_ratio=3.0, stop_ratio=0.0, start_worth=0.4, keep_worth=-0.1
    ).act(observation)

    hysteresis = Hysteresis(site, start_ratio=0.8, stop_ratio=1.3).act(observation)
    look_ahead = LookAheadRule(site, start_worth=0.4, keep_worth=-0.1).act(observation)
    assert np.array_equal(by_price, hysteresis)
    assert np.array_equal(by_worth, look_ahead)
    assert not np.array_equal(by_price, by_worth)


def test_combined_rule_holds_the_shadow_form_where_supply_has_a_shape(
    reducing: SiteConfig,
) -> None:
    observation = seen(
        reducing,
        price_ratio_000=0.8,
        break_even_per_kwh=14.0,
        pause_in_h=48.0,
        reduction_call_in_h=48.0,
        **{f"run_worth_{group.name}": 0.1 * k for k, group in enumerate(reducing.groups)},
    )
    parts = {"start_worth": 0.15, "keep_worth": 0.0}

    combined = CombinedRule(reducing, start_ratio=3.0, stop_ratio=0.0, **parts).act(observation)

    assert np.array_equal(combined, ShadowLookAhead(reducing, **parts).act(observation))
    assert np.array_equal(combined[0] > 0.0, [True, True, False, False])


@pytest.mark.parametrize("order", ["pause", "reduction_call"])
def test_combined_rule_starts_nothing_before_an_order(order: str, reducing: SiteConfig) -> None:
    rule = CombinedRule(reducing, lead_h=1.0)
    quiet = {"pause_in_h": 48.0, "reduction_call_in_h": 48.0}
    cheap = {"price_ratio_000": 0.5, "price_ratio_001": 0.5, "break_even_per_kwh": 14.0}

    free = rule.act(seen(reducing, **cheap, **quiet))
    waits = rule.act(seen(reducing, **cheap, **quiet | {f"{order}_in_h": 0.5}))

    assert np.array_equal(free, np.zeros((1, 4)))
    assert (waits > 0.0).all()


def test_combined_rule_stops_where_a_peak_is_likely(
    japan_levels: SiteConfig, edit_site: EditSite
) -> None:
    peaks = {"coincident_peaks": [{"name": "4CP", "per_kw_year": 100.0, "months": [6, 7]}]}
    site = edit_site(japan_levels, {"tariff": peaks})
    cheap = seen(
        site,
        price_ratio_000=0.1,
        break_even_per_kwh=14.0,
        demand_ratio=0.98,
        demand_month_ratio=0.99,
        peak_month=1.0,
    )

    assert np.array_equal(CombinedRule(site).act(cheap), np.zeros((1, 4)))
    assert (CombinedRule(site, demand_ratio=1.0).act(cheap) > 0.0).all()


def test_a_late_price_can_be_weighed_against_the_next_ones_forecast(japan: SiteConfig) -> None:
    spike = {"price_ratio_000": 2.0, "price_ratio_001": 0.5, "break_even_per_kwh": 14.0}

    by_newest = CombinedRule(japan).act(seen(japan, **spike))
    by_forecast = CombinedRule(japan, ahead_weight=0.9).act(seen(japan, **spike))

    assert np.array_equal(by_newest, np.zeros((1, 4)))
    assert (by_forecast > 0.0).all()


@pytest.mark.parametrize(
    ("rule", "parameters"),
    [
        ("static_schedule", dict.fromkeys(SCHEDULES, ALL_HOURS + 1.0)),
        ("demand_response_only", {"depth": -0.1, "lead_h": 0.0}),
    ],
)
def test_parameters_out_of_range_are_refused(
    rule: str, parameters: dict[str, float], japan: SiteConfig
) -> None:
    inside = dict.fromkeys(parameters, 1.0)
    assert build_rule(rule, inside, site=japan).name == rule
    maker = {"static_schedule": StaticSchedule, "demand_response_only": DemandResponseOnly}[rule]
    with pytest.raises(ConfigError, match=r"must lie within .*; found"):
        maker(japan, **parameters)

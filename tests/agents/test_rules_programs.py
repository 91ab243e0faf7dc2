"""Rules for programs do by hand what they say, and are the level rule without their block."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from gridhash.agents.policy import ObservationReader
from gridhash.agents.roster import POLICIES, build_policy, policy_names
from gridhash.agents.rule_registry import RULES, build_rule
from gridhash.agents.rules_programs import (
    BasePointFollower,
    CallResponder,
    PeakShaver,
    SurplusFollower,
    TimeOfUse,
    capped_by_merit,
)
from gridhash.config import SiteConfig
from gridhash.envs.action import ActionKind
from gridhash.envs.batched_site import BatchedSite, EpisodeRules
from gridhash.envs.ledger import BASE_PENALTY
from gridhash.envs.observation import observation_table
from gridhash.envs.scenario import Scenario
from gridhash.errors import ConfigError

EditSite = Callable[..., SiteConfig]
MakeScenario = Callable[..., Scenario]
Observations = npt.NDArray[np.float32]
CONTRACT_KW = 4520.0
FULL_KW = 537 * 8.064


def seen(site: SiteConfig, **features: float) -> Observations:
    """Return one observation in which the level rule runs everything; features by name."""
    names = [feature.name for feature in observation_table(site)]
    values = dict.fromkeys(names, 0.0)
    values |= {f"rule_load_frac_{group.name}": 1.0 for group in site.groups}
    unknown = set(features) - set(names)
    assert not unknown, unknown
    return np.array([list((values | features).values())], dtype=np.float32)


def site_power_kw(site: SiteConfig, action: npt.NDArray[np.float64]) -> float:
    """Return the site power, cooling as planned, that a power action asks for."""
    full_kw = [site.max_group_kw(group) for group in site.groups]
    return float(action[0] @ full_kw * site.pue_for_planning)


@pytest.fixture
def site_with(japan_levels: SiteConfig, edit_site: EditSite) -> Callable[..., SiteConfig]:
    """Return a maker of the pilot with tariff and program blocks."""

    def make(**blocks: Any) -> SiteConfig:
        return edit_site(japan_levels, blocks)

    return make


PEAKS = {
    "coincident_peaks": [{"name": "4CP", "per_kw_year": 100.0, "months": [6, 7, 8, 9]}],
    "demand_charge": {"per_kw_month": 420.0},
}


@pytest.mark.parametrize(
    ("now", "in_2h", "of_month", "in_season", "stops"),
    [
        (0.98, 0.90, 0.99, 1.0, True),
        (0.90, 0.98, 0.99, 1.0, True),
        (0.96, 0.96, 0.99, 1.0, False),
        (0.98, 0.98, 0.94, 1.0, False),
        (0.98, 0.98, 0.99, 0.0, False),
    ],
)
def test_peak_shaver_stops_where_demand_is_near_its_highest(
    now: float,
    in_2h: float,
    of_month: float,
    in_season: float,
    stops: bool,
    site_with: Callable[..., SiteConfig],
) -> None:
    site = site_with(tariff=PEAKS)
    observation = seen(
        site,
        demand_ratio=now,
        demand_ratio_2h=in_2h,
        demand_month_ratio=of_month,
        peak_month=in_season,
    )

    action = PeakShaver(site).act(observation)

    assert np.array_equal(action, np.zeros((1, 4)) if stops else np.ones((1, 4)))


def test_peak_shaver_keeps_below_what_its_own_demand_charge_bills(
    site_with: Callable[..., SiteConfig],
) -> None:
    site = site_with(tariff=PEAKS)
    shaver = PeakShaver(site, free_frac=0.5)

    free = shaver.act(seen(site, month_peak_frac=0.2))
    billed = shaver.act(seen(site, month_peak_frac=0.2, ratchet_frac=0.7))

    assert site_power_kw(site, free) == pytest.approx(0.5 * CONTRACT_KW)
    assert site_power_kw(site, billed) == pytest.approx(0.7 * CONTRACT_KW)


@pytest.mark.parametrize(
    ("now", "in_h", "depth", "expected_frac"),
    [(1.0, 0.0, 1.0, 0.6), (0.0, 0.25, 1.0, 0.6), (1.0, 0.0, 0.5, 0.7), (0.0, 0.5, 1.0, None)],
)
def test_call_responder_holds_the_baseline_less_what_was_promised(
    now: float,
    in_h: float,
    depth: float,
    expected_frac: float | None,
    site_with: Callable[..., SiteConfig],
) -> None:
    site = site_with(
        programs={"demand_reduction": {"committed_kw": 904.0, "penalty_per_kwh": 60.0}}
    )
    observation = seen(
        site,
        reduction_call_now=now,
        reduction_call_in_h=in_h,
        baseline_frac=0.8,
        committed_frac=0.2,
    )

    action = CallResponder(site, depth=depth).act(observation)

    expected_kw = FULL_KW * site.pue_for_planning
    if expected_frac is not None:
        expected_kw = expected_frac * CONTRACT_KW
    assert site_power_kw(site, action) == pytest.approx(expected_kw, rel=1e-6)


@pytest.mark.parametrize(
    ("surplus", "panels", "quota_left", "expected_frac"),
    [(0.3, 0.2, 1.0, 0.5), (0.3, 0.2, 0.0, 0.2), (0.03, 0.0, 1.0, 0.0)],
)
def test_surplus_follower_draws_what_costs_nothing_else(
    surplus: float,
    panels: float,
    quota_left: float,
    expected_frac: float,
    site_with: Callable[..., SiteConfig],
) -> None:
    site = site_with(tariff={"behind_meter_pv": {}, "surplus_quota_kwh_per_day": 1e4})
    observation = seen(site, surplus_frac=surplus, pv_frac=panels, quota_left_frac=quota_left)

    action = SurplusFollower(site).act(observation)

    assert site_power_kw(site, action) == pytest.approx(expected_frac * CONTRACT_KW, rel=1e-6)


@pytest.mark.parametrize(
    ("hours", "weekends", "expected"),
    [
        ((22.0, 8.0), 0.0, range(-2, 8)),
        ((9.0, 17.0), 0.0, range(9, 17)),
        ((5.0, 5.0), 0.0, range(24)),
        ((9.0, 17.0), 1.0, range(24)),
    ],
)
def test_time_of_use_keeps_its_hours(
    hours: tuple[float, float],
    weekends: float,
    expected: range,
    japan: SiteConfig,
    make_scenario: MakeScenario,
) -> None:
    scenario = make_scenario(japan, np.full(48 * 8, 5.0))  # from a Monday on
    policy = TimeOfUse(japan, from_hour=hours[0], to_hour=hours[1], weekends=weekends)
    saturday = 5 * 48 if weekends else 48
    sites = BatchedSite(scenario, 48, EpisodeRules(episode_days=1 / 24))
    sites.start_at(saturday)
    sites.state.row[:] = saturday + np.arange(48)

    works = policy.act(sites.observe())[:, 0] > 0.0

    wanted = {hour % 24 for hour in expected}
    assert [slot for slot in range(48) if works[slot]] == [
        slot for slot in range(48) if slot // 2 in wanted
    ]


def test_time_of_use_rests_on_weekdays_outside_its_hours(japan: SiteConfig) -> None:
    noon = seen(japan, hour_sin=0.0, hour_cos=-1.0, weekday_sin=0.0, weekday_cos=1.0)

    assert np.array_equal(TimeOfUse(japan).act(noon), np.zeros((1, 4)))


@pytest.mark.parametrize(("edge", "expected_kw"), [(0.0, 2260.0), (1.0, 2360.0), (-1.0, 2160.0)])
def test_base_point_follower_asks_for_the_base_point(
    edge: float, expected_kw: float, site_with: Callable[..., SiteConfig]
) -> None:
    site = site_with(programs={"base_point": {"penalty_per_kwh": 30.0}})

    action = BasePointFollower(site, edge=edge).act(seen(site, base_point_frac=0.5))

    assert site_power_kw(site, action) == pytest.approx(expected_kw, rel=1e-6)


def test_zero_shadow_price_follows_a_dear_base_point_as_the_follower_does(
    site_with: Callable[..., SiteConfig], make_scenario: MakeScenario
) -> None:
    site = site_with(programs={"base_point": {"penalty_per_kwh": 1000.0, "tolerance_kw": 0.0}})
    rng = np.random.default_rng(0)
    points = np.repeat(rng.uniform(0.1, 0.9, 24), 6)
    scenario = make_scenario(site, rng.uniform(3, 25, 144), {"base_point_frac": points})
    asked_kwh = points[48:].sum() * 0.5 * CONTRACT_KW
    missed = []
    for policy in (BasePointFollower(site), build_policy("level_rule", site)):
        rules = EpisodeRules(action_kind=policy.action_kind, episode_days=1)
        sites = BatchedSite(scenario, 1, rules)
        sites.start_at(scenario.first_row, running_frac=1.0)
        penalty = 0.0
        for _ in range(96 * scenario.steps_per_row):
            output = sites.step(policy.act(sites.observe()))
            penalty += float(output.ledger[0, BASE_PENALTY])
        missed.append(penalty / 1000.0 / asked_kwh)

    assert missed[0] < 1e-3
    # The zero action goes to the edge of the tolerance that pays; cooling then differs from plan.
    assert missed[1] < 5e-3


def test_a_cap_takes_from_the_least_efficient_first(
    japan_levels: SiteConfig, edit_site: EditSite
) -> None:
    site = edit_site(japan_levels, {"groups.2.rig_hashrate_ths": 300.0})
    reader = ObservationReader(site)
    kw = 134 * 8.064

    capped = capped_by_merit(np.full((1, 4), 1.0), np.array([135 * 8.064 + 2.5 * kw]), reader)

    assert capped[0] == pytest.approx([1.0, 1.0, 0.5, 1.0])


@pytest.mark.parametrize("name", ["peak_shaver", "call_responder", "base_point_follower"])
def test_without_its_block_a_rule_is_the_level_rule(name: str, japan: SiteConfig) -> None:
    policy = build_policy(name, japan)

    assert policy.action_kind is ActionKind.POWER
    assert np.array_equal(policy.act(seen(japan)), np.ones((1, 4)))


def test_only_rules_whose_block_a_site_has_are_compared(
    site_with: Callable[..., SiteConfig], japan: SiteConfig
) -> None:
    reduces = site_with(
        programs={"demand_reduction": {"committed_kw": 900.0, "penalty_per_kwh": 1.0}}
    )

    plain = list(POLICIES)[:8]
    assert policy_names(japan) == [*plain, "combined_rule", "stochastic_dp"]
    assert policy_names(reduces) == [
        *plain,
        "shadow_hysteresis",
        "shadow_look_ahead",
        "time_of_use",
        "surplus_follower",
        "call_responder",
        "demand_response_only",
        "combined_rule",
        "stochastic_dp",
    ]


@pytest.mark.parametrize(
    ("rule", "parameters"),
    [
        ("peak_shaver", {"demand_ratio": 0.9, "month_ratio": 0.9, "free_frac": 1.1}),
        ("call_responder", {"depth": -0.1, "lead_h": 0.0}),
        ("surplus_follower", {"share": 2.1, "least_frac": 0.0}),
        ("time_of_use", {"from_hour": 25.0, "to_hour": 1.0, "weekends": 0.0}),
        ("base_point_follower", {"edge": 1.5}),
    ],
)
def test_parameters_out_of_range_are_refused(
    rule: str, parameters: dict[str, float], japan: SiteConfig
) -> None:
    with pytest.raises(ConfigError, match=r"must lie within .*; found"):
        RULES[rule].make(japan, **parameters)
    inside = dict.fromkeys(parameters, 1.0)
    assert build_rule(rule, inside, site=japan).name == rule

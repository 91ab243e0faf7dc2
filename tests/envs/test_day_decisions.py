"""Plan, reduction bid and held capacity of the next day: an epoch of their own."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from gridhash.config import SiteConfig, parse_site
from gridhash.data.trace import Trace
from gridhash.envs.accounts import COMMITTED_KW, HELD_KW
from gridhash.envs.batched_site import BatchedSite, EpisodeRules
from gridhash.envs.scenario import Scenario, build_scenario
from gridhash.errors import PolicyError

DAYS = 6
PERIODS = 48


@pytest.fixture(scope="module")
def scenario(japan: SiteConfig, make_trace: Callable[..., Trace]) -> Scenario:
    """A site with a balancing contract, a reduction bid and held capacity; flat prices."""
    site = parse_site(
        japan.model_dump()
        | {
            "tariff": {"contract": "balancing", "balancing": {"gate_closure_local_hour": 9.0}},
            "programs": {
                "demand_reduction": {"committed_kw": 1000.0, "penalty_per_kwh": 50.0},
                "ancillary": {"held_kw": 800.0, "shortfall_penalty_per_kw_h": 10.0},
            },
        },
        origin="test",
    )
    starts = pd.date_range(
        "2024-04-01T00:00", periods=DAYS * PERIODS, freq="30min", tz="Asia/Tokyo"
    )
    starts = starts.tz_convert("UTC")
    prices = np.full(len(starts), 5.0)
    trace = Trace.from_prices(
        starts,
        prices,
        published_at=starts - pd.Timedelta(hours=36),
        period_s=1800,
        currency="JPY",
        area="kyushu",
        source="flat",
    ).with_columns(
        {
            "imbalance_shortage_price_per_kwh": prices + 3.0,
            "imbalance_surplus_price_per_kwh": prices - 3.0,
            "dr_down_call": np.zeros(len(starts)),
            "ancillary_price_per_kw_h": np.full(len(starts), 1.0),
            "ancillary_deployed_frac": np.zeros(len(starts)),
        },
        available_at=dict.fromkeys(
            (
                "imbalance_shortage_price_per_kwh",
                "imbalance_surplus_price_per_kwh",
                "dr_down_call",
                "ancillary_price_per_kw_h",
                "ancillary_deployed_frac",
            ),
            starts,
        ),
    )
    return build_scenario(site, trace)


def sites_at(scenario: Scenario, instant: str, *, day_decisions: bool) -> BatchedSite:
    sites = BatchedSite(scenario, 1, EpisodeRules(episode_days=3.0, day_decisions=day_decisions))
    sites.start_at(scenario.row_at(pd.Timestamp(instant, tz="Asia/Tokyo")), running_frac=1.0)
    return sites


def test_zero_day_action_is_the_default_rule_to_the_bit(scenario: Scenario) -> None:
    with_option = sites_at(scenario, "2024-04-02T08:00", day_decisions=True)
    without = sites_at(scenario, "2024-04-02T08:00", day_decisions=False)
    for _ in range(2 * 288):
        a = with_option.step(np.zeros((1, 7)))
        b = without.step(np.zeros((1, 4)))
        assert a.ledger.tobytes() == b.ledger.tobytes()
        assert a.observation.tobytes() == b.observation.tobytes()


def test_decisions_taken_at_the_gate_hold_from_midnight_on(scenario: Scenario) -> None:
    """At 9:00 the plan is halved, half of the reduction is bid and a quarter is held."""
    sites = sites_at(scenario, "2024-04-02T08:30", day_decisions=True)
    action = np.zeros((1, 7))
    action[0, 4:] = [-0.5, -0.5, -0.75]
    default_kw = None
    for step in range(24 * 12):
        local = pd.Timestamp("2024-04-02T08:30") + pd.Timedelta(minutes=5 * step)
        assert bool(sites.gate_closes[0]) == (local.hour == 9 and local.minute == 0)
        if sites.gate_closes[0]:
            default_kw = sites.accounts.plan_kw[0, 1].copy()
        sites.step(action)
        value = sites.accounts.value[0]
        before_midnight = (local + pd.Timedelta(minutes=5)).day == 2
        assert value[COMMITTED_KW] == (1000.0 if before_midnight else 500.0)
        assert value[HELD_KW] == (800.0 if before_midnight else 200.0)
    assert default_kw is not None
    np.testing.assert_allclose(sites.accounts.plan_kw[0, 0], 0.5 * default_kw)


def test_a_plan_of_48_slots_is_paid_as_nominated(scenario: Scenario) -> None:
    """1,000 kW nominated at 5 JPY/kWh is 208.33 JPY in 5 min, booked by the half-hour: 2,500."""
    sites = sites_at(scenario, "2024-04-02T09:00", day_decisions=False)
    sites.decide_day(0, plan_kw=np.full(PERIODS, 1000.0))
    for _ in range(15 * 12):
        sites.step(np.zeros((1, 4)))
    booked = [float(sites.step(np.zeros((1, 4))).ledger[0, 1]) for _ in range(6)]
    assert booked == pytest.approx([0.0, 0.0, 0.0, 0.0, 0.0, 2500.0])


def test_decisions_out_of_time_or_out_of_range_are_refused(scenario: Scenario) -> None:
    sites = sites_at(scenario, "2024-04-02T09:00", day_decisions=False)
    with pytest.raises(PolicyError, match=r"committed_kw must lie within 0 and 1000; found 1001"):
        sites.decide_day(0, committed_kw=1001.0)
    with pytest.raises(PolicyError, match="plan_kw has shape"):
        sites.decide_day(0, plan_kw=np.zeros(47))
    with pytest.raises(PolicyError, match="plan_kw must lie within 0 and contract power"):
        sites.decide_day(0, plan_kw=np.full(PERIODS, 9999.0))
    sites.step(np.zeros((1, 4)))
    with pytest.raises(PolicyError, match="not due"):
        sites.decide_day(0, held_kw=0.0)

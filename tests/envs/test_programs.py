"""Worked examples of every program, played through the kernel; the sums are in the docstrings.

The site is `tests.envs.bench`: 1,000 kW that hash for 10 JPY a kWh, nothing else.
"""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridhash.envs.accounts import CALLS, CALLS_FAILED
from gridhash.envs.action import ActionKind
from gridhash.envs.batched_site import BatchedSite, EpisodeRules
from gridhash.envs.columns import BASELINE_DAY, CALL_FIRST, CALL_ROWS, RULE_LOAD
from gridhash.envs.observation import observation_table
from gridhash.envs.programs import (
    base_point_excess_kw,
    base_point_tolerance_kw,
    held_missing_kw,
    high_4_of_5_kw,
    increase_pay,
    lowest_day,
    reduction_settlement,
)
from gridhash.envs.scenario import Scenario
from gridhash.envs.state import FleetState
from gridhash.errors import ConfigError, LookAheadError
from tests.envs.bench import Played, bench, bench_site, bench_trace, on_rows, play

FIRST_DAY = "2024-06-16"
"""A Sunday; Monday 24 June follows the business days 17 to 21."""
CALL_DAY = "2024-06-24"
CALL_ROW = 8 * 48 + 26
"""13:00 of the call day; the call lasts three hours, six settlement periods."""
REDUCTION: dict[str, Any] = {
    "committed_kw": 400.0,
    "capacity_pay_per_kw_month": 730.5,
    "energy_pay_per_kwh": 10.0,
    "penalty_per_kwh": 60.0,
    "tolerance_frac": 0.9,
    "baseline_limit": "none",
}


def called(
    *, days: int = 10, rows: range = range(CALL_ROW, CALL_ROW + 6), notice_h: float = 3.0,
    price: float = 8.0, interval_s: int = 1800, **changes: object,
) -> Scenario:  # fmt: skip
    """Return ten days with one call, announced `notice_h` before it starts."""
    site = bench_site(programs={"demand_reduction": REDUCTION | changes}, interval_s=interval_s)
    template = bench_trace(site, first_day=FIRST_DAY, days=days)
    column = on_rows(template.n_rows, dict.fromkeys(rows, 1.0))
    # Whether a period is called is known `notice_h` before it, and a whole call at once.
    known = template.starts - pd.Timedelta(hours=notice_h)
    order = np.arange(template.n_rows)
    order[rows.start : rows.stop] = rows.start
    instants = known[order]
    return bench(
        site,
        first_day=FIRST_DAY,
        days=days,
        prices=price,
        columns={"dr_down_call": column},
        known={"dr_down_call": instants},
    )


def by_weekday(loads: dict[int, float], in_call: float) -> Any:
    """Return shares by day of June, `in_call` from 13:00 to 16:00 on the call day."""

    def share(instant: pd.Timestamp) -> float:
        if instant.day == 24 and 13 <= instant.hour < 16:
            return in_call
        return loads.get(instant.day, 1.0)

    return share


# Load of 17 to 21 June (Monday to Friday) and of the weekend, which does not count.
WEEK = {17: 0.9, 18: 0.8, 19: 0.5, 20: 1.0, 21: 0.9, 22: 0.0, 23: 0.0}


def test_high_4_of_5_leaves_the_lowest_business_day_out() -> None:
    """17 to 21 June at 13:00: 900, 800, 500, 1,000, 900 kW. Without the 500: mean 900 kW."""
    played = play(called(), by_weekday(WEEK, 0.5))
    baseline = played.record("baseline_kw")[played.rows == CALL_ROW]

    assert baseline == pytest.approx([900.0])


def test_a_day_with_a_call_does_not_count_for_the_next_baseline() -> None:
    """Calls on Friday 21 and Monday 24: Monday's five days are 14 (before the data) and 17 to 20.

    The data begin on the 16th, so that a day of the level rule, 1,000 kW, stands in: 1,000, 900,
    800, 1,000 without the 500: 925 kW.
    """
    site = bench_site(programs={"demand_reduction": REDUCTION})
    friday = 5 * 48 + 26
    rows = dict.fromkeys((friday, CALL_ROW), 1.0)
    scenario = bench(
        site,
        first_day=FIRST_DAY,
        days=10,
        prices=8.0,
        columns={"dr_down_call": on_rows(480, rows)},
    )
    played = play(scenario, by_weekday(WEEK, 0.5))

    assert played.record("baseline_kw")[played.rows == CALL_ROW] == pytest.approx([925.0])


def test_holidays_do_not_count() -> None:
    """Monday 15 July 2024 is Marine Day: Tuesday 16 looks back on 8 to 12 July."""
    site = bench_site(programs={"demand_reduction": REDUCTION})
    row = 9 * 48 + 26
    scenario = bench(
        site, first_day="2024-07-07", days=11, prices=8.0,
        columns={"dr_down_call": on_rows(11 * 48, {row: 1.0})},
    )  # fmt: skip
    loads = {8: 0.4, 9: 0.6, 10: 0.6, 11: 0.8, 12: 0.8, 15: 0.1}
    played = play(scenario, lambda t: loads.get(t.day, 1.0))

    assert played.record("baseline_kw")[played.rows == row] == pytest.approx([700.0])


@pytest.mark.parametrize(
    ("share", "pay", "penalty", "delivered", "failed"),
    [
        # 900 - 500 = 400 kW x 3 h = 1,200 kWh at 10.00.
        (0.5, 12_000, 0, 1200, 0),
        # 1,000 kW below the baseline is not paid beyond the 400 kW promised.
        (0.0, 12_000, 0, 1200, 0),
        # 360 kW, just the tolerated part.
        (0.54, 10_800, 0, 1080, 0),
        # 200 kW: 600 kWh; missing to 360 kW: 160 kW x 3 h x 60.00 = 28,800.
        (0.7, 6_000, 28_800, 600, 1),
        # Load above the baseline delivers nothing: 360 x 3 x 60 = 64,800.
        (1.0, 0, 64_800, 0, 1),
    ],
)
def test_a_call_of_three_hours_pays_fines_and_counts(
    share: float, pay: float, penalty: float, delivered: float, failed: int
) -> None:
    """Baseline 900 kW, 400 kW promised, 90 % tolerated, in steps of 5 min.

    Standing by: 730.50 JPY per kW and month of 730.5 h on 400 kW: 400 JPY an hour.
    """
    scenario = called(interval_s=300)
    played = play(scenario, by_weekday(WEEK, share))

    assert played.line("reduction_energy_pay").sum() == pytest.approx(pay)
    assert played.line("reduction_penalty").sum() == pytest.approx(penalty)
    assert played.record("delivered_kwh").sum() == pytest.approx(delivered)
    assert played.line("reduction_capacity_pay").sum() == pytest.approx(9 * 24 * 400.0)
    booked = np.flatnonzero(played.line("reduction_energy_pay") + played.line("reduction_penalty"))
    assert set(played.rows[booked]) == set(range(CALL_ROW, CALL_ROW + 6))
    assert calls_of(scenario, by_weekday(WEEK, share)) == (1, failed)


def test_a_pause_order_comes_before_a_call() -> None:
    """The call of six half-hours, paused in the last two: off in all six, only four are paid.

    Baseline 900 kW, 400 kW promised: 400 x 2 h x 10.00 = 8,000; running on in the first four would
    be fined for these alone, 360 x 2 h x 60.00 = 43,200.
    """
    programs = {"demand_reduction": REDUCTION, "pause_orders": {"pause_power_kw": 0.0}}
    columns = {
        "dr_down_call": on_rows(480, dict.fromkeys(range(CALL_ROW, CALL_ROW + 6), 1.0)),
        "pause_order": on_rows(480, dict.fromkeys((CALL_ROW + 4, CALL_ROW + 5), 1.0)),
    }
    site = bench_site(programs=programs)
    scenario = bench(site, first_day=FIRST_DAY, days=10, prices=8.0, columns=columns)

    obeyed = play(scenario, by_weekday(WEEK, 0.0))
    assert obeyed.line("reduction_energy_pay").sum() == pytest.approx(8_000.0)
    assert obeyed.line("reduction_penalty").sum() == 0.0
    assert calls_of(scenario, by_weekday(WEEK, 0.0)) == (1, 0)
    ignored = play(scenario, by_weekday(WEEK, 1.0))
    assert ignored.line("reduction_energy_pay").sum() == 0.0
    assert ignored.line("reduction_penalty").sum() == pytest.approx(43_200.0)


def calls_of(scenario: Scenario, share: Any) -> tuple[int, int]:
    """Return calls ended and failed at the end of the data."""
    steps = (scenario.n_rows - scenario.first_row) * scenario.steps_per_row
    sites = BatchedSite(
        scenario, 1, EpisodeRules(episode_days=steps / 288, action_kind=ActionKind.POWER)
    )
    sites.start_at(scenario.first_row)
    for _ in range(steps):
        start = scenario.trace.starts[sites.state.row[0]].tz_convert(scenario.site.timezone)
        sites.step(np.array([[share(start)]]))
    return int(sites.accounts.value[0, CALLS]), int(sites.accounts.value[0, CALLS_FAILED])


def features(scenario: Scenario) -> list[str]:
    return [feature.name for feature in observation_table(scenario.site)]


def test_notice_is_given_three_hours_before_and_not_earlier() -> None:
    """At 10:00 the call of 13:00 is known with its six periods and its baseline."""
    scenario = called(notice_h=3.0)
    calendar = scenario.exogenous.calendar

    assert (calendar[: CALL_ROW - 6, CALL_FIRST] == -1).all()
    assert (calendar[CALL_ROW - 6 : CALL_ROW + 6, CALL_FIRST] == CALL_ROW).all()
    assert (calendar[CALL_ROW - 6 : CALL_ROW + 6, CALL_ROWS] == 6).all()
    assert (calendar[CALL_ROW + 6 :, CALL_FIRST] == -1).all()
    names = features(scenario)
    waiting = scenario.rows[:, names.index("reduction_call_in_h")]
    assert waiting[CALL_ROW - 7 : CALL_ROW + 1].tolist() == [48, 3, 2.5, 2, 1.5, 1, 0.5, 0]
    played = play(scenario, by_weekday(WEEK, 0.5))
    said = played.record("baseline_kw")
    assert (said[played.rows < CALL_ROW - 6] == 0.0).all()
    # The row before its first is the first whose record holds the next row's baseline.
    assert said[(played.rows >= CALL_ROW - 6) & (played.rows < CALL_ROW + 6)] == pytest.approx(900)


@pytest.mark.parametrize("column", ["dr_down_call", "dr_up_call", "pause_order", "base_point_frac"])
def test_an_order_that_is_known_only_after_its_period_has_begun_is_refused(column: str) -> None:
    block = {
        "dr_down_call": {"demand_reduction": REDUCTION},
        "dr_up_call": {"demand_increase": {"pay_per_kwh": 3.0, "max_kw": 100.0}},
        "pause_order": {"pause_orders": {"pause_power_kw": 0.0}},
        "base_point_frac": {"base_point": {"penalty_per_kwh": 30.0}},
    }[column]
    site = bench_site(programs=block)
    late = bench_trace(site).starts + pd.Timedelta(minutes=1)
    with pytest.raises(LookAheadError, match=f"{column} of row 0 .* after its period starts"):
        bench(site, columns={column: 0.0}, known={column: late})
    # A site without the block does not care.
    bench(bench_site(), columns={column: 0.0}, known={column: late})


@pytest.mark.parametrize(("mode", "gain_jpy"), [("none", 3 * 10 * 250.0), ("rule", 0.0)])
def test_raising_load_before_a_call_gains_only_where_gaming_is_modelled(
    mode: str, gain_jpy: float
) -> None:
    """Price 11.00 is above what a kWh earns: the level rule stands still, its baseline is 0.

    Whoever burns 250 kW more in the hours of four days before the call raises the baseline by
    250 kW in mode "none" and is paid 250 kW x 3 h x 10.00 = 7,500 JPY for standing still. In mode
    "rule" the baseline is capped at the rule's load, 0 kW: no gain. What was above the rule is
    recorded: 250 kW in mode "none".
    """
    scenario = called(price=11.0, baseline_limit=mode, tolerance_frac=0.01)
    honest = play(scenario, 0.0)
    gamed = play(scenario, lambda t: 0.25 if t.day in (18, 19, 20, 21) else 0.0)
    gained = gamed.line("reduction_energy_pay").sum() - honest.line("reduction_energy_pay").sum()

    assert gained == pytest.approx(gain_jpy)
    excess = gamed.record("baseline_above_rule_kw")
    expected = 250.0 if mode == "none" else 0.0
    assert excess[np.isin(gamed.rows, range(CALL_ROW, CALL_ROW + 6))] == pytest.approx(
        [expected] * 6
    )
    assert scenario.market[CALL_ROW, RULE_LOAD] == 0.0


@pytest.mark.parametrize("first_row", [CALL_ROW, CALL_ROW + 3])
def test_an_episode_that_begins_within_a_call_has_its_baseline_at_once(first_row: int) -> None:
    """The days before are those of the level rule, 1,000 kW: 400 kW less is paid in full."""
    played = play(called(), 0.6, first_row=first_row, n_rows=1)

    assert played.record("baseline_kw") == pytest.approx([1000.0])
    assert played.line("reduction_energy_pay") == pytest.approx([2000.0])
    assert played.line("reduction_penalty") == pytest.approx([0.0])


@pytest.mark.parametrize(("day", "hours"), [("2024-03-31", 23), ("2024-10-27", 25)])
def test_baselines_over_the_days_when_the_clock_changes(day: str, hours: int) -> None:
    """Berlin, every day a baseline day, 0.5 of full load: 500 kW in every slot of the days after.

    Also in the hour that the day of 23 hours does not have, and in the one that comes twice.
    """
    site = bench_site(
        currency="EUR", timezone="Europe/Berlin", period_s=3600,
        programs={"demand_reduction": REDUCTION},
    )  # fmt: skip
    first_day = (pd.Timestamp(day) - pd.Timedelta(days=6)).strftime("%Y-%m-%d")
    after = 6 * 24 + hours
    scenario = bench(
        site, first_day=first_day, days=9, prices=0.05,
        columns={"dr_down_call": (np.arange(8 * 24 + hours) >= after).astype(float)},
    )  # fmt: skip
    scenario.exogenous.calendar[:, BASELINE_DAY] = 1
    played = play(scenario, 0.5)

    change = pd.Timestamp(day).date()
    assert int((np.asarray(played.starts.date) == change).sum()) == hours
    # What is recorded at the end of a row is the baseline of that row.
    said = played.record("baseline_kw")[played.rows >= after]
    assert said == pytest.approx(np.full(48, 500.0))


@pytest.mark.parametrize("day", ["2024-03-31", "2024-10-27"])
def test_an_episode_after_the_clock_changed_opens_with_the_load_of_each_slot(day: str) -> None:
    """The rule runs from 6:00 to 18:00 local; so do the days that an opened baseline looks on."""
    site = bench_site(
        currency="EUR", timezone="Europe/Berlin", period_s=3600,
        programs={"demand_reduction": REDUCTION},
    )  # fmt: skip
    first_day = (pd.Timestamp(day) - pd.Timedelta(days=9)).strftime("%Y-%m-%d")
    template = bench_trace(site, first_day=first_day, days=12)
    hour = template.starts.tz_convert("Europe/Berlin").hour
    prices = np.where((hour >= 6) & (hour < 18), 0.05, 0.2)
    scenario = bench(
        site, first_day=first_day, days=12, prices=prices, columns={"dr_down_call": 0.0}
    )
    sites = BatchedSite(scenario, 1, EpisodeRules(episode_days=0.5))
    for back in range(4, 24 * 3):
        sites.start_at(scenario.n_rows - back)
        expected = np.where((np.arange(24) >= 6) & (np.arange(24) < 18), 1000.0, 0.0)
        assert (sites.accounts.history_kw[0] == expected).all()


def test_a_call_to_consume_pays_above_the_baseline_up_to_its_most() -> None:
    """Baseline 13:00: 900, 800, 1,000, 900 kW without the 500: 900 kW; at most 60 kW at 3.00.

    Two half-hours: at 1,000 kW 60 x 0.5 x 3 = 90 JPY each; at 930 kW 45 JPY; at 800 kW nothing.
    """
    for share, pay in ((1.0, 180.0), (0.93, 90.0), (0.8, 0.0)):
        site = bench_site(programs={"demand_increase": {"pay_per_kwh": 3.0, "max_kw": 60.0}})
        rows = dict.fromkeys((CALL_ROW, CALL_ROW + 1), 1.0)
        scenario = bench(
            site, first_day=FIRST_DAY, days=10, prices=8.0,
            columns={"dr_up_call": on_rows(480, rows)},
        )  # fmt: skip
        played = play(scenario, by_weekday(WEEK, share))
        booked = played.line("increase_pay")
        assert booked.sum() == pytest.approx(pay)
        assert set(played.rows[booked > 0]) <= {CALL_ROW, CALL_ROW + 1}


def test_the_rule_consumes_more_in_a_call_where_the_pay_makes_it_worth_it() -> None:
    """Price 10.50 is 0.50 above what a kWh earns; a call pays 3.00 above the baseline of 0 kW."""
    site = bench_site(programs={"demand_increase": {"pay_per_kwh": 3.0, "max_kw": 600.0}})
    scenario = bench(site, prices=10.5, columns={"dr_up_call": on_rows(4 * 48, {100: 1.0})})
    played = play(scenario, 0.0, kind=ActionKind.SHADOW_PRICE)

    load = played.record("site_kw")
    assert load[played.rows == 100] == pytest.approx([600.0])
    assert load[played.rows != 100].max() == 0.0
    assert played.total()["increase_pay"] == pytest.approx(900.0)


def test_pause_orders_are_obeyed_by_the_limits_whatever_the_policy_wants() -> None:
    """Ordered down to 150 kW for two half-hours: 500 JPY an hour, no penalty."""
    site = bench_site(
        programs={
            "pause_orders": {"pause_power_kw": 150.0, "pay_per_h": 500.0, "penalty_per_kwh": 50.0}
        },
        interval_s=300,
    )
    scenario = bench(site, columns={"pause_order": on_rows(4 * 48, {60: 1.0, 61: 1.0})})
    for kind in (ActionKind.POWER, ActionKind.SHADOW_PRICE):
        played = play(scenario, 1.0 if kind == ActionKind.POWER else -1.0, kind=kind)
        ordered = np.isin(played.rows, (60, 61))
        assert played.record("site_kw")[ordered] == pytest.approx(np.full(12, 150.0))
        assert played.record("site_kw")[~ordered] == pytest.approx(np.full((~ordered).sum(), 1000))
        assert played.line("pause_pay").sum() == pytest.approx(500.0)
        assert played.line("pause_penalty").sum() == 0.0


def test_power_that_no_limit_can_lower_is_fined_in_a_pause() -> None:
    """Standby of 100 rigs is 5 kW each here: 500 kW against 150 kW allowed, 350 kW x 0.5 h x 50."""
    site = bench_site(programs={"pause_orders": {"pause_power_kw": 150.0, "penalty_per_kwh": 50.0}})
    group = site.groups[0].model_copy(update={"standby_w": 5000.0})
    limits = site.limits.model_copy(update={"contract_power_kw": 1500.0})
    site = site.model_copy(update={"groups": (group,), "limits": limits})
    scenario = bench(site, columns={"pause_order": on_rows(4 * 48, {60: 1.0})})
    played = play(scenario, 1.0, first_row=60, n_rows=1)

    assert played.record("pause_excess_kw") == pytest.approx([350.0])
    assert played.line("pause_penalty") == pytest.approx([350 * 0.5 * 50.0])


ANCILLARY = {"ancillary": {"held_kw": 300.0, "shortfall_penalty_per_kw_h": 40.0}}


@pytest.mark.parametrize(
    ("loads", "deployed", "missing"),
    [
        ((1.0, 1.0), (0.0, 0.0), (0.0, 0.0)),
        # 200 kW cannot drop 300 kW.
        ((0.2, 1.0), (0.0, 0.0), (100.0, 0.0)),
        # Called for 100 %: from 1,000 kW to 700 kW.
        ((1.0, 0.7), (0.0, 1.0), (0.0, 0.0)),
        # Only to 900 kW: 200 kW missing.
        ((1.0, 0.9), (0.0, 1.0), (0.0, 200.0)),
        # Raised instead: no more than all that is held.
        ((0.6, 1.0), (0.0, 1.0), (0.0, 300.0)),
        # Called for 50 %, dropped by 100 of 150 kW.
        ((0.8, 0.7), (0.0, 0.5), (0.0, 50.0)),
    ],
)
def test_capacity_held_called_and_missing(
    loads: tuple[float, float], deployed: tuple[float, float], missing: tuple[float, float]
) -> None:
    """300 kW held at 6.00 an hour: 900 JPY a half-hour. A kW missing costs 40.00 an hour."""
    site = bench_site(programs=ANCILLARY)
    columns = {
        "ancillary_price_per_kw_h": 6.0,
        "ancillary_deployed_frac": on_rows(4 * 48, {60: deployed[0], 61: deployed[1]}),
    }
    played = play(bench(site, columns=columns), np.array(loads), first_row=60, n_rows=2)

    assert played.line("held_pay") == pytest.approx([900.0, 900.0])
    assert played.record("held_missing_kw") == pytest.approx(missing)
    assert played.line("held_penalty") == pytest.approx(np.array(missing) * 20.0)


def test_a_call_of_held_capacity_counts_from_the_power_before_it() -> None:
    """From 1,000 kW, called for 3 periods: 700 kW is right in all of them."""
    site = bench_site(programs=ANCILLARY)
    columns = {
        "ancillary_price_per_kw_h": 0.0,
        "ancillary_deployed_frac": on_rows(4 * 48, dict.fromkeys((61, 62, 63), 1.0)),
    }
    loads = np.array([1.0, 0.7, 0.7, 0.8])
    played = play(bench(site, columns=columns), loads, first_row=60, n_rows=4)

    assert played.record("held_missing_kw") == pytest.approx([0, 0, 0, 100.0])


@pytest.mark.parametrize(
    ("base", "load", "excess", "market_excess"),
    [
        (0.5, 0.6, 0.0, 0.0),  # 100 kW off: tolerated
        (0.5, 0.65, 50.0, 0.0),
        (0.5, 0.35, 50.0, 0.0),
        (0.5, 0.0, 400.0, 200.0),  # market: max(300, 15 % of 500)
    ],
)
def test_base_point_tolerance_and_the_markets_own_beside_it(
    base: float, load: float, excess: float, market_excess: float
) -> None:
    """5-min base points; max(100 kW, 3 %) tolerated; 50 kW beyond for 1/12 h at 30.00 = 125 JPY."""
    block = {"penalty_per_kwh": 30.0, "market_tolerance_kw": 300.0}
    site = bench_site(period_s=300, programs={"base_point": block})
    scenario = bench(site, days=2, columns={"base_point_frac": base})
    played = play(scenario, load, n_rows=1)

    assert played.record("base_point_deviation_kw") == pytest.approx([(load - base) * 1000])
    assert played.record("base_point_excess_kw") == pytest.approx([excess])
    assert played.record("base_point_market_excess_kw") == pytest.approx([market_excess])
    assert played.line("base_point_penalty") == pytest.approx([excess / 12 * 30.0])


def test_the_rule_follows_base_points_where_the_penalty_exceeds_the_margin() -> None:
    """Margin 10 - 8 = 2.00, or -2.00 at 12.00; penalty 30.00: 100 kW above, or below, the point."""
    site = bench_site(period_s=300, programs={"base_point": {"penalty_per_kwh": 30.0}})
    for price, load in ((8.0, 600.0), (12.0, 400.0)):
        scenario = bench(site, days=2, prices=price, columns={"base_point_frac": 0.5})
        played = play(scenario, 0.0, n_rows=1, kind=ActionKind.SHADOW_PRICE)
        assert played.record("site_kw") == pytest.approx([load])
        assert played.line("base_point_penalty") == pytest.approx([0.0], abs=1e-9)


def test_the_rule_reduces_by_what_it_promised_when_called() -> None:
    """Baseline 1,000 kW by the rule, 400 promised: to 600 kW where pay 10 exceeds the margin 2.

    At a margin of 2 and a pay of 1 it goes to the tolerated 640 kW, since the penalty is 60.
    """
    for pay, load in ((10.0, 600.0), (1.0, 640.0)):
        scenario = called(energy_pay_per_kwh=pay, baseline_limit="rule")
        played = play(scenario, 0.0, kind=ActionKind.SHADOW_PRICE, first_row=CALL_ROW, n_rows=6)
        assert played.record("site_kw") == pytest.approx([load] * 6)
        assert played.line("reduction_penalty").sum() == pytest.approx(0.0, abs=1e-6)


def test_settlement_periods_of_one_interval() -> None:
    """5-min prices and steps: a call of two periods of 5 min, 400 kW delivered: 2 x 333.33 JPY."""
    site = bench_site(period_s=300, programs={"demand_reduction": REDUCTION})
    scenario = bench(
        site, days=3, prices=8.0, columns={"dr_down_call": on_rows(3 * 288, {300: 1.0, 301: 1.0})}
    )
    played = play(scenario, 0.6, first_row=299, n_rows=4)

    assert played.line("reduction_energy_pay") == pytest.approx([0, 1000 / 3, 1000 / 3, 0])


def test_sites_in_different_rows_settle_their_own() -> None:
    """Three sites in three rows around a call book what single sites book, to the bit."""
    scenario = called(interval_s=300)
    rows = [CALL_ROW - 2, CALL_ROW, CALL_ROW + 5]
    rules = EpisodeRules(episode_days=1.0, action_kind=ActionKind.POWER)
    many = BatchedSite(scenario, 3, rules)
    singles = []
    for row in rows:
        single = BatchedSite(scenario, 1, rules)
        single.start_at(row)
        singles.append(single)
    many.start_at(rows[0])
    for i, single in enumerate(singles):
        for field in FleetState._fields:
            getattr(many.state, field)[i] = getattr(single.state, field)[0]
        for kept, kept_own in zip(many.accounts, single.accounts, strict=True):
            kept[i] = kept_own[0]
    for k in range(60):
        share = np.array([[0.5 + 0.01 * (k % 7)]])
        output = many.step(np.repeat(share, 3, axis=0))
        for i, single in enumerate(singles):
            alone = single.step(share)
            assert alone.ledger[0].tobytes() == output.ledger[i].tobytes()


loads = st.floats(0, 1000, allow_nan=False)


@given(st.lists(st.lists(loads, min_size=4, max_size=4), min_size=5, max_size=5), st.integers(0, 3))
def test_high_4_of_5_is_the_mean_without_the_lowest_day(
    history: list[list[float]], first: int
) -> None:
    days = np.array(history)
    left_out = lowest_day(days, first, 2)
    sums = days[:, first] + days[:, (first + 1) % 4]

    assert sums[left_out] == sums.min()
    kept = np.delete(days[:, first], left_out)
    assert high_4_of_5_kw(days, first, left_out) == pytest.approx(kept.mean())


@given(loads, loads, loads, st.floats(0.01, 1.0))
def test_delivery_lies_within_the_promise_and_pay_never_comes_with_more_than_its_fine(
    baseline: float, actual: float, committed: float, tolerance: float
) -> None:
    pay, penalty, delivered = reduction_settlement(
        baseline, actual, committed, tolerance, 1.0, 1.0, 1.0
    )
    assert 0.0 <= delivered <= committed
    assert pay == delivered
    assert penalty == pytest.approx(max(tolerance * committed - delivered, 0.0))
    assert 0.0 <= increase_pay(baseline, actual, committed, 1.0, 1.0) <= committed


@given(loads, loads, loads, st.floats(0.0, 1.0))
def test_no_more_is_missing_than_is_held(
    site: float, before: float, held: float, deployed: float
) -> None:
    assert 0.0 <= held_missing_kw(site, 10.0, before, held, deployed) <= held + 10.0


def test_base_point_relations_by_hand() -> None:
    """4,000 kW: 3 % is 120 kW. 4,150 kW is 30 kW beyond, 3,880 kW just within."""
    assert base_point_tolerance_kw(4000.0, 100.0, 0.03) == 120.0
    assert base_point_tolerance_kw(1000.0, 100.0, 0.03) == 100.0
    assert base_point_excess_kw(4150.0, 4000.0, 120.0) == 30.0
    assert base_point_excess_kw(3880.0, 4000.0, 120.0) == 0.0


def test_programs_scale_with_the_site_pay_per_hour_of_pause_too() -> None:
    site = bench_site(
        programs={
            "demand_reduction": REDUCTION,
            "pause_orders": {"pause_power_kw": 100.0, "pay_per_h": 500.0},
        }
    )
    small = site.scaled_to(10).programs

    assert small.pause_orders is not None
    assert small.demand_reduction is not None
    assert small.pause_orders.pause_power_kw == pytest.approx(10.0)
    assert small.pause_orders.pay_per_h == pytest.approx(50.0)
    assert small.demand_reduction.committed_kw == pytest.approx(40.0)


def test_base_points_leave_no_load_to_sell() -> None:
    blocks = {"base_point": {"penalty_per_kwh": 30.0}, "demand_reduction": REDUCTION}
    with pytest.raises(ConfigError, match="has no load of its own to sell"):
        bench_site(programs=blocks)


def test_every_line_of_a_program_is_zero_without_it() -> None:
    played: Played = play(bench(bench_site()), 1.0, n_rows=1)
    assert set(played.total()) == {"hash_revenue", "import_energy_cost"}

"""Pause orders of the utility and calls of demand response, derived from demand and prices."""

from datetime import time

import numpy as np

from gridhash.config_processes import DrDownProcess, DrUpProcess, PauseOrderProcess
from gridhash.data.business_days import business_days
from gridhash.data.processes.blocks import BlockRule, draw_blocks, signal
from gridhash.data.processes.common import expected, labelled, local_time, stream, with_notice
from gridhash.data.runs import runs
from gridhash.data.trace import Trace
from gridhash.time_grid import epoch_s, published_the_day_before

SURPLUS_SHARE = 0.5
"""Share of the days looked at on which an hour had surplus, from which surplus is expected."""


def with_pause_orders(
    trace: Trace, settings: PauseOrderProcess, *, timezone: str, seed: int
) -> Trace:
    """Return the trace with `pause_order`, known `notice_h` ahead.

    Raises
    ------
    DataError
        If the trace holds the column already.
    """
    rule = BlockRule(
        first_hour=settings.first_hour,
        last_hour=settings.last_hour,
        shortest_h=settings.shortest_h,
        longest_h=settings.longest_h,
        notice_s=round(settings.notice_h * 3600),
        months=settings.months,
        business_days=False,
        per_year=settings.per_year,
        most_per_year=None,
        year_month=1,
        link=settings.demand_link,
    )
    return _with_blocks(trace, "pause_order", rule, timezone=timezone, seed=seed, residual=False)


def with_dr_down_calls(trace: Trace, settings: DrDownProcess, *, timezone: str, seed: int) -> Trace:
    """Return the trace with `dr_down_call`, known `notice_h` ahead, at most once a day.

    Raises
    ------
    DataError
        If the trace holds the column already.
    """
    rule = BlockRule(
        first_hour=settings.first_hour,
        last_hour=settings.last_hour,
        shortest_h=settings.block_h,
        longest_h=settings.block_h,
        notice_s=round(settings.notice_h * 3600),
        months=settings.months,
        business_days=True,
        per_year=settings.per_year,
        most_per_year=settings.most_per_year,
        year_month=settings.fiscal_year_month,
        link=settings.demand_link,
    )
    return _with_blocks(trace, "dr_down_call", rule, timezone=timezone, seed=seed, residual=True)


def _with_blocks(
    trace: Trace, name: str, rule: BlockRule, *, timezone: str, seed: int, residual: bool
) -> Trace:
    values, known_s, what = signal(trace, residual=residual)
    local = local_time(trace.starts, timezone)
    business = business_days(trace.starts.tz_convert(timezone), timezone)
    flag = draw_blocks(trace, local, business, values, known_s, rule, stream(seed, name))
    cap = "" if rule.most_per_year is None else f", at most {rule.most_per_year} a year"
    note = (
        f"blocks of {rule.shortest_h:g} to {rule.longest_h:g} h between {rule.first_hour:g} and "
        f"{rule.last_hour:g} o'clock {timezone}, months {_listed(rule.months)}, on days of high "
        f"expected {what} (link {rule.link:g}), {rule.per_year:g} expected a year{cap}, notice "
        f"{rule.notice_s / 3600:g} h, seed {seed}"
    )
    known = with_notice(trace, rule.notice_s)
    return labelled(trace, {name: flag}, {name: known}, note)


def with_dr_up_calls(trace: Trace, settings: DrUpProcess, *, timezone: str, seed: int) -> Trace:
    """Return the trace with `dr_up_call`, announced at `announced_hour` on the day before.

    A day is called by chance if surplus is expected in enough hours on end: where the price is at
    most `price_at_most_per_kwh` or, if there is such a column, `surplus_frac` is above zero. What
    is not known yet is expected if it was so on half of the last days.

    Raises
    ------
    DataError
        If the trace holds the column already.
    """
    rng = stream(seed, "dr_up_call")
    local = local_time(trace.starts, timezone)
    known = published_the_day_before(
        trace.starts, timezone=timezone, at=clock(settings.announced_hour)
    )
    decided_s = epoch_s(known)
    is_cheap = trace.column("price_per_kwh") <= settings.price_at_most_per_kwh
    price_known = trace.available_at["price_per_kwh"]
    share = np.nan_to_num(expected(trace, is_cheap.astype(np.float64), price_known, decided_s))
    if "surplus_frac" in trace.frame.columns:
        has_surplus = (trace.column("surplus_frac") > 0.0).astype(np.float64)
        surplus_known = trace.available_at["surplus_frac"]
        by_surplus = expected(trace, has_surplus, surplus_known, decided_s)
        share = np.maximum(share, np.nan_to_num(by_surplus))
    inside = (local.hour >= settings.first_hour) & (local.hour < settings.last_hour)
    inside &= np.isin(local.month, settings.months)
    hours_on = inside & (share >= SURPLUS_SHARE)
    is_drawn = rng.random(local.n_days) < settings.call_probability
    flag, counts = np.zeros(trace.n_rows), dict[int, int]()
    for day in np.flatnonzero(is_drawn):
        first, stop = int(local.first_row[day]), int(local.first_row[day + 1])
        spans = list(runs(hours_on[first:stop]))
        if not spans:
            continue
        begin, end = max(spans, key=lambda span: span[1] - span[0])
        year = trace.starts[first].year - int(local.month[first] < settings.fiscal_year_month)
        is_full = counts.get(year, 0) >= settings.most_per_year
        if (end - begin) * trace.period_s < settings.shortest_h * 3600 or is_full:
            continue
        counts[year] = counts.get(year, 0) + 1
        flag[first + begin : first + end] = 1.0
    note = (
        f"expected surplus between {settings.first_hour:g} and {settings.last_hour:g} o'clock "
        f"{timezone}, months {_listed(settings.months)}, at least {settings.shortest_h:g} h, "
        f"called with probability {settings.call_probability:g}, at most "
        f"{settings.most_per_year} a year, announced at {settings.announced_hour:g} o'clock the "
        f"day before, seed {seed}"
    )
    return labelled(trace, {"dr_up_call": flag}, {"dr_up_call": known}, note)


def clock(hour: float) -> time:
    """Return hours since midnight as a time of day, to the minute."""
    minutes = round(hour * 60)
    return time(minutes // 60 % 24, minutes % 60)


def _listed(months: tuple[int, ...]) -> str:
    return " ".join(str(month) for month in months)

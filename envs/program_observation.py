"""What a policy sees of tariff and programs: features that exist only where their block does.

As in `gridhash.envs.observation`: *row features* follow from the exogenous series as known at the
start of each settlement period, *step features* from the site's accounts. Powers stand in shares
of contract power.
"""

from collections.abc import Iterator

import numpy as np

from gridhash.config import SiteConfig
from gridhash.data.trace import Trace
from gridhash.envs import columns as c
from gridhash.envs.accounts import (
    BASE_DEVIATION_KW,
    BASELINE_KW,
    BIAS_KWH,
    CALLS_FAILED,
    COMMITTED_KW,
    DELIVERED_KWH,
    DUE_KWH,
    HELD_KW,
    IMPORT_KWH,
    LAST_DEVIATION_KWH,
    METER_KWH,
    METER_STEPS,
    MONTH_PEAK_KW,
    PLANNED_KWH,
    QUOTA_LEFT_KWH,
    RATCHET_KW,
    Accounts,
)
from gridhash.envs.feature import Feature
from gridhash.envs.jit import counted, njit
from gridhash.envs.known import rows_known, seen_at_start
from gridhash.envs.market_array import announced
from gridhash.envs.parameters import Floats, Floats32, Ints, SiteParameters
from gridhash.envs.program_parameters import ProgramParameters
from gridhash.units import SECONDS_PER_DAY, SECONDS_PER_HOUR

FORECAST_DAYS = 14
"""Past days whose values in the same period make a forecast's quantiles."""
QUANTILES = (0.1, 0.5, 0.9)
DEMAND_DAYS = 30
EVENT_HORIZON_H = 48.0

FORECASTS = (("surplus", "surplus_frac"), ("pv", "behind_meter_pv_frac"))
EVENTS = (
    ("pause", "pause_order", "programs.pause_orders"),
    ("reduction_call", "dr_down_call", "programs.demand_reduction"),
    ("increase_call", "dr_up_call", "programs.demand_increase"),
)


def program_row_table(site: SiteConfig) -> list[Feature]:
    """Return the row features of a site's blocks, in order."""
    tariff, programs = site.tariff, site.programs
    table: list[Feature] = []

    def add(name: str, unit: str, low: float, high: float, meaning: str) -> None:
        table.append(Feature(name=name, unit=unit, low=low, high=high, meaning=meaning))

    if tariff.behind_meter_pv is not None:
        add("pv_frac", "1", 0, 2, "power of the panels at the last complete reading")
    for label, _ in _forecast_columns(site):
        for hours in site.observation.forecast_h:
            for quantile in QUANTILES:
                add(
                    f"{label}_{hours:g}h_q{round(100 * quantile):02d}", "1", 0, 10,
                    f"{quantile:g} quantile of the same period on the last {FORECAST_DAYS} known "
                    f"days, {hours:g} h ahead",
                )  # fmt: skip
    for hours in site.observation.price_history_h:
        for what, word in (("mean", "mean"), ("high", "highest")):
            add(
                f"price_{what}_{hours:g}h", "1", -5, 20,
                f"{word} settled price of the last {hours:g} h that are known, per break-even",
            )  # fmt: skip
    for label, _, path in EVENTS:
        if _present(site, path):
            add(f"{label}_now", "1", 0, 1, "1 while it lasts, as known")
            add(
                f"{label}_in_h", "h", 0, EVENT_HORIZON_H,
                f"until the next one known; {EVENT_HORIZON_H:g} if none is",
            )  # fmt: skip
            add(f"{label}_left_h", "h", 0, 24, "how long it lasts from now or from its start")
    if tariff.coincident_peaks:
        add("demand_ratio", "1", 0, 3, f"area demand, last reading per highest of {DEMAND_DAYS} d")
        add("demand_month_ratio", "1", 0, 3, "area demand, last reading per highest of this month")
        for hours in (1, 2, 3):
            add(
                f"demand_ratio_{hours}h", "1", 0, 3,
                f"area demand a day before, {hours} h ahead, scaled by today's readings so far",
            )  # fmt: skip
        add("peak_month", "1", 0, 1, "1 in a month with coincident peaks")
    if tariff.balancing is not None:
        add("shortage_price_ratio", "1", -5, 50, "newest shortage price per break-even")
        add("surplus_price_ratio", "1", -5, 50, "newest surplus price of imbalance per break-even")
    if tariff.carbon_price_per_t > 0.0:
        add("carbon_cost_ratio", "1", 0, 20, "newest carbon cost per break-even")
    if programs.ancillary is not None:
        add("held_price_ratio", "1", -5, 50, "pay for held capacity per break-even")
        add("deployed_frac", "1", 0, 1, "called share of held capacity")
    if programs.base_point is not None:
        add("base_point_frac", "1", 0, 2, "base point of this period")
        add("next_base_point_frac", "1", 0, 2, "of the next if known, else this one")
    return table


def program_step_table(site: SiteConfig) -> list[Feature]:
    """Return the step features of a site's blocks, in order."""
    tariff, programs = site.tariff, site.programs
    table: list[Feature] = []

    def add(name: str, unit: str, low: float, high: float, meaning: str) -> None:
        table.append(Feature(name=name, unit=unit, low=low, high=high, meaning=meaning))

    if tariff.demand_charge is not None:
        add("month_peak_frac", "1", 0, 2, "highest mean of this month so far")
        add("ratchet_frac", "1", 0, 2, "least billed demand, from the months before")
        add("metered_mean_frac", "1", 0, 2, "mean of the metering period so far")
        add("metered_share", "1", 0, 1, "share of the metering period that is gone")
    if tariff.surplus_quota_kwh_per_day is not None:
        add("quota_left_frac", "1", 0, 1, "of today's surplus quota")
    if tariff.balancing is not None:
        add("plan_frac", "1", 0, 2, "nominated power of this period")
        add("next_plan_frac", "1", 0, 2, "of the next period")
        add("period_import_frac", "1", -1, 2, "imported this period so far per contract energy")
        add("last_deviation_frac", "1", -2, 2, "of the last period, per contract energy")
        add("bias_frac", "1", -2, 2, "net deviation of this month per planned energy")
    if programs.demand_reduction is not None:
        add("committed_frac", "1", 0, 1, "promised to reduce when called")
        add("baseline_frac", "1", 0, 2, "baseline of the present or announced call, 0 if none")
        add("delivered_share", "1", 0, 2, "delivered of what was due so far in this call")
        add("calls_failed", "1", 0, 100, "calls not performed so far")
    if programs.ancillary is not None:
        add("held_frac", "1", 0, 1, "capacity held ready to drop")
    if programs.base_point is not None:
        add("base_deviation_frac", "1", -2, 2, "from the base point in the last interval")
    return table


def _present(site: SiteConfig, path: str) -> bool:
    outer, inner = path.split(".")
    return getattr(getattr(site, outer), inner) is not None


def _forecast_columns(site: SiteConfig) -> Iterator[tuple[str, str]]:
    if not site.observation.forecast_h:
        return
    yield FORECASTS[0]
    if site.tariff.behind_meter_pv is not None:
        yield FORECASTS[1]


def program_row_features(
    site: SiteConfig, trace: Trace, market: Floats, calendar: Ints, value_per_kwh: Floats
) -> Floats:
    """Return the row features, (rows, features); `value_per_kwh` is the break-even of each row."""
    tariff, programs = site.tariff, site.programs
    contract_kw = site.limits.contract_power_kw
    per_hour = SECONDS_PER_HOUR / trace.period_s
    rows = np.arange(trace.n_rows)
    out: list[Floats] = []
    if tariff.behind_meter_pv is not None:
        out.append(market[:, c.SEEN_PV] / contract_kw)
    for _, name in _forecast_columns(site):
        for hours in site.observation.forecast_h:
            ahead = round(hours * per_hour)
            out.extend(_same_period_quantiles(trace, name, ahead))
    for hours in site.observation.price_history_h:
        n_past = max(round(hours * per_hour), 1)
        out += [price / value_per_kwh for price in _past_prices(trace, tariff.settles_at, n_past)]
    for _, name, path in EVENTS:
        if _present(site, path):
            first, length = announced(trace, name)
            now = (first >= 0) & (first <= rows)
            wait = np.where(first >= 0, np.maximum(first - rows, 0) / per_hour, EVENT_HORIZON_H)
            left = np.where(now, first + length - rows, length) / per_hour
            out += [now.astype(float), np.minimum(wait, EVENT_HORIZON_H), left]
    if tariff.coincident_peaks:
        out += _demand_features(site, trace, calendar)
    if tariff.balancing is not None:
        for name, index in (
            ("imbalance_shortage_price_per_kwh", c.IMBALANCE_SHORTAGE),
            ("imbalance_surplus_price_per_kwh", c.IMBALANCE_SURPLUS),
        ):
            out.append(seen_at_start(trace, name, market[:, index]) / value_per_kwh)
    if tariff.carbon_price_per_t > 0.0:
        seen = seen_at_start(trace, "carbon_g_per_kwh", market[:, c.CARBON_COST])
        out.append(seen / value_per_kwh)
    if programs.ancillary is not None:
        price = seen_at_start(trace, "ancillary_price_per_kw_h", market[:, c.HELD_PRICE])
        deployed = seen_at_start(trace, "ancillary_deployed_frac", market[:, c.DEPLOYED])
        out += [price / value_per_kwh, deployed]
    if programs.base_point is not None:
        points = market[:, c.BASE_POINT] / contract_kw
        known = rows_known(trace, "base_point_frac")
        following = np.minimum(rows + 1, np.maximum(known - 1, 0))
        out += [seen_at_start(trace, "base_point_frac", points), points[following]]
    if not out:
        return np.zeros((trace.n_rows, 0))
    return np.column_stack(out)


def _same_period_quantiles(trace: Trace, name: str, ahead: int) -> list[Floats]:
    """Return quantiles of a column in the same period of past days, as known at each row."""
    n_rows = trace.n_rows
    if name not in trace.frame:
        return [np.zeros(n_rows) for _ in QUANTILES]
    per_day = int(SECONDS_PER_DAY // trace.period_s)
    values, known = trace.column(name), rows_known(trace, name)
    target = np.arange(n_rows) + ahead
    # Days back to the newest same period that is known.
    first = np.maximum(np.ceil((target - known + 1) / per_day), 1).astype(np.int64)
    past = np.full((n_rows, FORECAST_DAYS), np.nan)
    for k in range(FORECAST_DAYS):
        source = target - (first + k) * per_day
        held = source >= 0
        past[held, k] = values[source[held]]
    none = np.isnan(past).all(axis=1)
    # Before a whole day is known there is nothing but the newest reading.
    past[none, 0] = values[np.maximum(known[none] - 1, 0)]
    return [np.nanquantile(past, quantile, axis=1) for quantile in QUANTILES]


def _past_prices(trace: Trace, name: str, length: int) -> list[Floats]:
    """Return mean and highest of the newest `length` known values of a column, at each row."""
    values, newest = trace.column(name), np.maximum(rows_known(trace, name) - 1, 0)
    # At the beginning the first value stands for those before it.
    padded = np.concatenate([np.full(length - 1, values[0]), values])
    window = np.lib.stride_tricks.sliding_window_view(padded, length)
    return [window.mean(axis=1)[newest], window.max(axis=1)[newest]]


def _demand_features(site: SiteConfig, trace: Trace, calendar: Ints) -> list[Floats]:
    demand, known = trace.column("demand_kw"), rows_known(trace, "demand_kw")
    n_rows = trace.n_rows
    per_day = int(SECONDS_PER_DAY // trace.period_s)
    per_hour = SECONDS_PER_HOUR / trace.period_s
    newest = np.maximum(known - 1, 0)
    window = DEMAND_DAYS * per_day
    padded = np.concatenate([np.full(window - 1, -np.inf), demand])
    highest = np.lib.stride_tricks.sliding_window_view(padded, window).max(axis=1)
    month = calendar[:, c.MONTH]
    begins = np.flatnonzero(np.diff(month, prepend=month[0] - 1))
    month_high = np.concatenate(
        [
            np.maximum.accumulate(demand[a:b])
            for a, b in zip(begins, [*begins[1:], n_rows], strict=True)
        ]
    )
    peak = highest[newest]
    now = demand[newest]
    this_month = np.where(month[newest] == month, month_high[newest], now)
    yesterday = demand[np.maximum(newest - per_day, 0)]
    scale = now / np.maximum(yesterday, 1e-9)
    out = [now / peak, now / np.maximum(this_month, 1e-9)]
    for hours in (1, 2, 3):
        source = np.arange(n_rows) + round(hours * per_hour) - per_day
        source = np.minimum(np.maximum(source, 0), newest)
        out.append(demand[source] * scale / peak)
    months = {month for peaks in site.tariff.coincident_peaks for month in peaks.months}
    out.append(np.isin(month % 12 + 1, sorted(months)).astype(float))
    return out


@njit
def clip(value: float, bounds: Floats32, k: int) -> float:
    """Return a value within the bounds of feature `k`."""
    return float(min(max(value, bounds[k, 0]), bounds[k, 1]))


@njit
def observe_programs(
    params: SiteParameters,
    programs: ProgramParameters,
    accounts: Accounts,
    calendar: Ints,
    i: int,
    row: int,
    bounds: Floats32,
    k: int,
    observation: Floats32,
) -> int:
    """Write the step features of a site's blocks from feature `k` on; return the next."""
    value = accounts.value[i]
    per_kw = 1.0 / params.contract_power_kw
    interval_h = params.interval_s / 3600.0
    if programs.demand_charge_per_kw > 0.0:
        observation[k] = clip(value[MONTH_PEAK_KW] * per_kw, bounds, k)
        observation[k + 1] = clip(value[RATCHET_KW] * per_kw, bounds, k + 1)
        steps = value[METER_STEPS]
        mean_kw = value[METER_KWH] / (steps * interval_h) if steps > 0.0 else 0.0
        observation[k + 2] = clip(mean_kw * per_kw, bounds, k + 2)
        observation[k + 3] = clip(steps / programs.metering_steps, bounds, k + 3)
        k = counted(k + 4)
    if programs.has_quota:
        observation[k] = clip(value[QUOTA_LEFT_KWH] / programs.surplus_quota_kwh, bounds, k)
        k = counted(k + 1)
    if programs.balancing:
        slot = counted(calendar[row, c.SLOT])
        slots = counted(accounts.plan_kw.shape[2])
        period_h = interval_h * params.intervals_per_period
        plan_kw = accounts.plan_kw[i, 0, slot]
        next_kw = accounts.plan_kw[i, (slot + 1) // slots, (slot + 1) % slots]
        observation[k] = clip(plan_kw * per_kw, bounds, k)
        observation[k + 1] = clip(next_kw * per_kw, bounds, k + 1)
        observation[k + 2] = clip(value[IMPORT_KWH] * per_kw / period_h, bounds, k + 2)
        observation[k + 3] = clip(value[LAST_DEVIATION_KWH] * per_kw / period_h, bounds, k + 3)
        observation[k + 4] = clip(value[BIAS_KWH] / max(value[PLANNED_KWH], 1.0), bounds, k + 4)
        k = counted(k + 5)
    if programs.has_reduction:
        due = value[DUE_KWH]
        observation[k] = clip(value[COMMITTED_KW] * per_kw, bounds, k)
        observation[k + 1] = clip(value[BASELINE_KW] * per_kw, bounds, k + 1)
        observation[k + 2] = clip(value[DELIVERED_KWH] / due if due > 0.0 else 0.0, bounds, k + 2)
        observation[k + 3] = clip(value[CALLS_FAILED], bounds, k + 3)
        k = counted(k + 4)
    if programs.held_kw > 0.0:
        observation[k] = clip(value[HELD_KW] * per_kw, bounds, k)
        k = counted(k + 1)
    if programs.has_base_point:
        observation[k] = clip(value[BASE_DEVIATION_KW] * per_kw, bounds, k)
        k = counted(k + 1)
    return k

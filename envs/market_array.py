"""Build the market and calendar arrays of a scenario from site and trace."""

import numpy as np
import pandas as pd

from gridhash.config import SiteConfig
from gridhash.config_tariff import CoincidentPeakConfig, TimeOfUseConfig
from gridhash.data.business_days import business_days
from gridhash.data.trace import Trace
from gridhash.envs import columns as c
from gridhash.envs.known import known_until, last_seen, rows_known, seen_at_start
from gridhash.envs.parameters import Floats, Ints
from gridhash.envs.programs import BASELINE_DAYS
from gridhash.envs.psychrometrics import dew_point_c, wet_bulb_c
from gridhash.errors import DataError
from gridhash.time_grid import epoch_s
from gridhash.units import SECONDS_PER_DAY

MIN_MONTH_DAYS = 27
"""A month with fewer days of data has no coincident peaks: its highest may lie outside."""
NEEDED = (
    ("tariff.balancing", "imbalance_shortage_price_per_kwh"),
    ("tariff.balancing", "imbalance_surplus_price_per_kwh"),
    ("tariff.behind_meter_pv", "behind_meter_pv_frac"),
    ("programs.demand_reduction", "dr_down_call"),
    ("programs.demand_increase", "dr_up_call"),
    ("programs.pause_orders", "pause_order"),
    ("programs.ancillary", "ancillary_price_per_kw_h"),
    ("programs.ancillary", "ancillary_deployed_frac"),
    ("programs.base_point", "base_point_frac"),
)
"""Blocks of a site file and the columns without which they mean nothing."""
ORDERS = ("dr_down_call", "dr_up_call", "pause_order", "base_point_frac")
"""What is obeyed from the start of its period, and therefore must be known by then."""


def check_columns(site: SiteConfig, trace: Trace) -> None:
    """Check that the trace has what tariff and programs need.

    Raises
    ------
    DataError
        If a column is missing.
    LookAheadError
        If an order, a call or a base point becomes known only after its period has started.
    """
    needed = [
        *((block, column) for block, column in NEEDED if _block(site, block) is not None),
        *(("tariff.coincident_peaks", "demand_kw") for _ in site.tariff.coincident_peaks[:1]),
        *(("tariff.carbon_price_per_t", "carbon_g_per_kwh"),)
        * (site.tariff.carbon_price_per_t > 0),
        ("tariff.settles_at", site.tariff.settles_at),
    ]
    for block, column in needed:
        if column not in trace.frame:
            raise DataError(
                f"{trace.source} has no column {column}, which {block} of the site {site.name} "
                "needs: join a series that has it, draw it by a process, or remove the block"
            )
        if column in ORDERS:
            known_until(trace, column)


def _block(site: SiteConfig, path: str) -> object:
    outer, inner = path.split(".")
    found: object = getattr(getattr(site, outer), inner)
    return found


def market_array(site: SiteConfig, trace: Trace) -> Floats:
    """Return the market array, (rows, N_MARKET + 2 G), without what the level rule decides.

    Columns that the trace lacks take the site's own figure: hashprice, exchange rate, outdoor
    temperature, humidity; surplus, panels and calls are then zero.
    """
    frame, n_rows = trace.frame, trace.n_rows
    contract_kw, tariff, mining = site.limits.contract_power_kw, site.tariff, site.mining

    def column(name: str, default: float) -> Floats:
        if name in frame:
            return np.asarray(frame[name].to_numpy(dtype=np.float64))
        return np.full(n_rows, default)

    market = np.zeros((n_rows, c.N_MARKET + 2 * len(site.groups)))
    market[:, c.PRICE] = column(tariff.settles_at, np.nan)
    market[:, c.ADDER] = site.market.adders_per_kwh
    if tariff.time_of_use is not None:
        by_clock = time_of_use_prices(tariff.time_of_use, trace, site.timezone)
        fixed = tariff.time_of_use.replaces == "price"
        market[:, c.PRICE if fixed else c.ADDER] = by_clock + (0.0 if fixed else market[:, c.ADDER])
    market[:, c.SURPLUS] = column("surplus_frac", 0.0) * contract_kw
    market[:, c.OUTDOOR] = column("outdoor_temp_c", site.outdoor_temp_c)
    humidity = column("relative_humidity_frac", site.relative_humidity_frac)
    market[:, c.WET_BULB] = wet_bulb_c(market[:, c.OUTDOOR], humidity)
    market[:, c.DEW_POINT] = dew_point_c(market[:, c.OUTDOOR], humidity)
    market[:, c.REVENUE] = (
        column("hashprice_usd_per_phs_day", mining.hashprice_usd_per_phs_day)
        * column("currency_per_usd", mining.currency_per_usd)
        * (1.0 - mining.pool_fee_frac)
        * (1.0 - mining.stale_frac)
    )
    market[:, c.SEEN_SURPLUS] = last_seen(trace, "surplus_frac", market[:, c.SURPLUS])
    market[:, c.SEEN_OUTDOOR] = last_seen(trace, "outdoor_temp_c", market[:, c.OUTDOOR])
    carbon = column("carbon_g_per_kwh", 0.0) * tariff.carbon_price_per_t / 1e6
    market[:, c.CARBON_COST] = carbon
    if tariff.behind_meter_pv is not None:
        market[:, c.PV] = column("behind_meter_pv_frac", 0.0) * contract_kw
        market[:, c.SEEN_PV] = last_seen(trace, "behind_meter_pv_frac", market[:, c.PV])
    for name, index, scale in (
        ("pause_order", c.PAUSE, 1.0),
        ("dr_down_call", c.REDUCTION_CALL, 1.0),
        ("dr_up_call", c.INCREASE_CALL, 1.0),
        ("base_point_frac", c.BASE_POINT, contract_kw),
        ("ancillary_price_per_kw_h", c.HELD_PRICE, 1.0),
        ("ancillary_deployed_frac", c.DEPLOYED, 1.0),
        ("imbalance_shortage_price_per_kwh", c.IMBALANCE_SHORTAGE, 1.0),
        ("imbalance_surplus_price_per_kwh", c.IMBALANCE_SURPLUS, 1.0),
    ):
        market[:, index] = column(name, 0.0) * scale
    for peaks in tariff.coincident_peaks:
        index = {"transmission": c.TRANSMISSION_WEIGHT, "capacity": c.CAPACITY_WEIGHT}[
            peaks.ledger_line
        ]
        market[:, index] += coincident_weights(peaks, trace, site.timezone)
    return market


def fill_seen_prices(site: SiteConfig, trace: Trace, market: Floats, published: Ints) -> Floats:
    """Fill SEEN_PRICE and SEEN_ALL_IN; return what levy and carbon add as known, (rows,)."""
    newest = np.maximum(np.minimum(published - 1, np.arange(trace.n_rows)), 0)
    market[:, c.SEEN_PRICE] = market[newest, c.PRICE]
    extras = np.full(trace.n_rows, site.tariff.renewable_levy_per_kwh)
    if site.tariff.carbon_price_per_t > 0.0:
        extras += seen_at_start(trace, "carbon_g_per_kwh", market[:, c.CARBON_COST])
    market[:, c.SEEN_ALL_IN] = market[:, c.SEEN_PRICE] + (market[:, c.ADDER] + extras)
    return extras


def time_of_use_prices(tariff: TimeOfUseConfig, trace: Trace, timezone: str) -> Floats:
    """Return the price by the clock of each row [currency/kWh]; holidays count as weekends.

    Japanese holidays where the time zone is Tokyo's; elsewhere Saturdays and Sundays alone.
    """
    local = trace.starts.tz_convert(timezone)
    hour = np.asarray(local.hour + local.minute / 60.0)
    weekend = ~business_days(local, timezone)
    prices = np.full(trace.n_rows, tariff.otherwise_per_kwh)
    for band in tariff.bands:
        holds = (hour >= band.from_hour) & (hour < band.to_hour)
        holds &= np.isin(np.asarray(local.month), band.months)
        if band.days != "all":
            holds &= weekend == (band.days == "weekends")
        prices[holds] = band.price_per_kwh
    return prices


def coincident_weights(peaks: CoincidentPeakConfig, trace: Trace, timezone: str) -> Floats:
    """Return what a kW of mean power in each row costs for coincident peaks [currency/kW].

    The highest intervals of system demand are found in hindsight over whole months, as they are
    billed; months with less than 27 days of data have none. The weights of a year with all its
    months add up to `per_kw_year`.

    Raises
    ------
    DataError
        If the interval of the peaks does not consist of whole settlement periods.
    """
    if peaks.interval_s % trace.period_s:
        raise DataError(
            f"coincident peaks {peaks.name!r}: interval_s {peaks.interval_s} is no multiple of the "
            f"settlement period of {trace.period_s} s"
        )
    span = peaks.interval_s // trace.period_s
    demand_kw = trace.column("demand_kw")
    # Intervals lie on the clock, wherever the data begin.
    first = int(-epoch_s(trace.starts[:1])[0] % peaks.interval_s) // trace.period_s
    n_intervals = (trace.n_rows - first) // span
    end = first + n_intervals * span
    mean_kw = demand_kw[first:end].reshape(n_intervals, span).mean(axis=1)
    local = trace.starts.tz_convert(timezone)[first:end:span]
    month = np.asarray(local.year * 12 + local.month - 1)
    per_peak = peaks.per_kw_year / (len(peaks.months) * peaks.peaks_per_month)
    weights = np.zeros(trace.n_rows)
    for number in np.unique(month):
        inside = np.flatnonzero(month == number)
        if number % 12 + 1 not in peaks.months:
            continue
        if inside.size * peaks.interval_s < MIN_MONTH_DAYS * SECONDS_PER_DAY:
            continue
        highest = inside[np.argsort(-mean_kw[inside], kind="stable")[: peaks.peaks_per_month]]
        for interval in highest:
            start = first + interval * span
            weights[start : start + span] += per_peak / span
    return weights


def calendar_array(site: SiteConfig, trace: Trace) -> tuple[Ints, Ints]:
    """Return the calendar, (rows, 7), and the first row of five baseline days per day, (days, 5).

    A baseline day is a business day without a call to reduce. Where fewer than five lie before,
    the earliest known day stands in.
    """
    local = trace.starts.tz_convert(site.timezone)
    calendar = np.zeros((trace.n_rows, c.N_CALENDAR_COLUMNS), dtype=np.int64)
    calendar[:, c.MONTH] = local.year * 12 + local.month - 1
    naive = local.tz_localize(None)
    calendar[:, c.DAY] = (naive.normalize() - pd.Timestamp(0)) // pd.Timedelta(days=1)
    seconds = np.asarray(local.hour * 3600 + local.minute * 60)
    calendar[:, c.SLOT] = seconds // trace.period_s
    day = calendar[:, c.DAY] - calendar[0, c.DAY]
    called = np.zeros(day[-1] + 1)
    if "dr_down_call" in trace.frame:
        np.maximum.at(called, day, trace.column("dr_down_call"))
    good = business_days(local, site.timezone) & (called[day] == 0.0)
    calendar[:, c.BASELINE_DAY] = good
    first_of_day = np.searchsorted(day, np.arange(day[-1] + 1))
    balancing = site.tariff.balancing
    closes_s = balancing.gate_closure_local_hour * 3600.0 if balancing is not None else 0.0
    # The last row that starts before the gate is closed; the clock may skip that hour.
    open_still = np.where(seconds <= closes_s, np.arange(trace.n_rows), first_of_day[day])
    calendar[np.maximum.reduceat(open_still, first_of_day), c.GATE] = 1
    calendar[:, c.CALL_FIRST], calendar[:, c.CALL_ROWS] = announced(trace, "dr_down_call")
    history = np.zeros((day[-1] + 1, BASELINE_DAYS), dtype=np.int64)
    newest: list[int] = []
    for d, first in enumerate(first_of_day):
        past = newest + [int(first_of_day[0])] * (BASELINE_DAYS - len(newest))
        history[d] = past
        whole = calendar[first, c.SLOT] == 0
        if good[first] and whole:
            newest = [int(first), *newest][:BASELINE_DAYS]
    return calendar, history


def announced(trace: Trace, name: str) -> tuple[Ints, Ints]:
    """Return first row and length of the present or next call, as known at each row; -1 if none."""
    n_rows = trace.n_rows
    first, length = np.full(n_rows, -1, dtype=np.int64), np.zeros(n_rows, dtype=np.int64)
    if name not in trace.frame:
        return first, length
    starts, ends = event_spans(trace.column(name))
    # Sentinels after the last event: one that is never known.
    starts, ends = np.append(starts, n_rows), np.append(ends, n_rows)
    known = rows_known(trace, name)
    following = np.searchsorted(ends[:-1], np.arange(n_rows), side="right")
    begins, stops = starts[following], ends[following]
    seen = begins < known
    first[seen] = begins[seen]
    length[seen] = np.minimum(stops, known)[seen] - begins[seen]
    return first, length


def event_spans(values: Floats) -> tuple[Ints, Ints]:
    """Return first rows and rows after the last of all runs where a column is above zero."""
    on = np.concatenate([[0], (values > 0.0).astype(np.int64), [0]])
    edges = np.diff(on)
    return np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)

"""A site on a span of market data: everything the kernel needs to play it."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from gridhash.config import SiteConfig
from gridhash.data.trace import Trace
from gridhash.envs.observation import (
    N_CALENDAR,
    N_GROUP_ROW,
    N_MARKET,
    N_SITE_ROW,
    OUTDOOR,
    PRICE,
    REVENUE,
    SEEN_OUTDOOR,
    SEEN_SURPLUS,
    SURPLUS,
    Feature,
    horizon_periods,
    observation_table,
    row_features,
)
from gridhash.envs.parameters import Floats, Floats32, Ints, SiteParameters, compile_site
from gridhash.errors import DataError, LookAheadError
from gridhash.time_grid import epoch_s, published_the_day_before
from gridhash.units import SECONDS_PER_DAY, SECONDS_PER_HOUR


@dataclass(frozen=True)
class Scenario:
    """A site and a trace, compiled. Built by `build_scenario`."""

    site: SiteConfig
    trace: Trace
    params: SiteParameters
    features: tuple[Feature, ...]
    bounds: Floats32
    """(F, 2) float32: least and greatest value of each feature."""
    market: Floats
    """(rows, 7 + 2 G) float64, columns as named in `gridhash.envs.observation`."""
    rows: Floats32
    """(rows, R) float32: the part of the observation that prices and calendar decide."""
    first_row: int
    """First row that can be played: a day of prices and one reading lie before it."""

    @property
    def n_rows(self) -> int:
        """Settlement periods of the trace."""
        return int(self.market.shape[0])

    @property
    def n_groups(self) -> int:
        """Rig groups of the site."""
        return len(self.site.groups)

    @property
    def steps_per_row(self) -> int:
        """Dispatch intervals in a settlement period."""
        return self.params.intervals_per_period

    def row_at(self, instant: pd.Timestamp) -> int:
        """Return the row of the settlement period that starts at or holds an instant.

        Raises
        ------
        DataError
            If the instant has no time zone or lies outside the trace.
        """
        if instant.tzinfo is None:
            raise DataError(f"{instant} has no time zone; write it like {instant}+00:00")
        row = int((instant - self.trace.start).total_seconds() // self.trace.period_s)
        if not 0 <= row < self.n_rows:
            raise DataError(
                f"{instant} lies outside the data, {self.trace.start} … {self.trace.end}"
            )
        return row


def build_scenario(site: SiteConfig, trace: Trace) -> Scenario:
    """Compile a site on a trace.

    Columns that the trace lacks take the site's own figure: hashprice, exchange rate, outdoor
    temperature; surplus is then zero.

    Raises
    ------
    DataError
        If currency or settlement period differ between site and trace, or the trace is shorter
        than two days.
    LookAheadError
        If a price, hashprice or exchange rate becomes known only after its own period starts.
    """
    if trace.currency != site.currency:
        raise DataError(
            f"the prices of {trace.source} are in {trace.currency}, the site {site.name} reckons "
            f"in {site.currency}: use a site of that market or convert the prices"
        )
    if trace.period_s != site.market.settlement_period_s:
        raise DataError(
            f"{trace.source} has periods of {trace.period_s} s, the site {site.name} settles "
            f"every {site.market.settlement_period_s} s: set market.settlement_period_s"
        )
    per_day = int(SECONDS_PER_DAY // trace.period_s)
    if trace.n_rows < 2 * per_day:
        raise DataError(
            f"{trace.source} holds {trace.n_rows} periods; at least two days ({2 * per_day}) are "
            "needed, one of them before the first decision"
        )
    published_until = _published_until(site, trace)
    for name in ("hashprice_usd_per_phs_day", "currency_per_usd"):
        if name in trace.frame:
            _known_until(trace, name)
    params = compile_site(site)
    features = observation_table(site)
    bounds = np.array([[f.low, f.high] for f in features], dtype=np.float32)
    market = _market_array(site, trace)
    horizon = horizon_periods(site)
    rows = np.zeros(
        (trace.n_rows, N_SITE_ROW + horizon + N_GROUP_ROW * len(site.groups)), dtype=np.float32
    )
    row_features(
        params,
        market,
        _calendar(trace, site.timezone),
        published_until,
        trace.period_s / SECONDS_PER_HOUR,
        horizon,
        bounds,
        np.empty(horizon),
        np.empty((5, len(site.groups))),
        rows,
    )
    return Scenario(
        site=site,
        trace=trace,
        params=params,
        features=features,
        bounds=bounds,
        market=market,
        rows=rows,
        first_row=per_day,
    )


def _market_array(site: SiteConfig, trace: Trace) -> Floats:
    frame = trace.frame
    n_rows = trace.n_rows

    def column(name: str, default: float) -> Floats:
        if name in frame:
            return np.asarray(frame[name].to_numpy(dtype=np.float64))
        return np.full(n_rows, default)

    mining = site.mining
    market = np.zeros((n_rows, N_MARKET + 2 * len(site.groups)))
    market[:, PRICE] = column("price_per_kwh", np.nan)
    market[:, SURPLUS] = column("surplus_frac", 0.0) * site.limits.contract_power_kw
    market[:, OUTDOOR] = column("outdoor_temp_c", site.outdoor_temp_c)
    market[:, REVENUE] = (
        column("hashprice_usd_per_phs_day", mining.hashprice_usd_per_phs_day)
        * column("currency_per_usd", mining.currency_per_usd)
        * (1.0 - mining.pool_fee_frac)
        * (1.0 - mining.stale_frac)
    )
    market[:, SEEN_SURPLUS] = _last_seen(trace, "surplus_frac", market[:, SURPLUS])
    market[:, SEEN_OUTDOOR] = _last_seen(trace, "outdoor_temp_c", market[:, OUTDOOR])
    return market


def _last_seen(trace: Trace, name: str, values: Floats) -> Floats:
    """Return for each row the newest value that is known at its start."""
    if name not in trace.frame:
        return values
    known = _rows_known(trace, name) - 1
    # Before the first reading there is nothing to see; those rows are never played.
    return values[np.maximum(known, 0)]


def _rows_known(trace: Trace, name: str) -> Ints:
    """Return how many leading rows of a column are known at the start of each row."""
    available = epoch_s(trace.available_at[name])
    if np.any(np.diff(available) < 0):
        raise DataError(f"{trace.source}: {name} becomes known out of order")
    starts = epoch_s(pd.DatetimeIndex(trace.frame.index))
    return np.searchsorted(available, starts, side="right").astype(np.int64)


def _known_until(trace: Trace, name: str) -> Ints:
    """Return the first unknown row of a column at the start of each row, its own being known."""
    until = _rows_known(trace, name)
    late = np.flatnonzero(until <= np.arange(trace.n_rows))
    if late.size:
        row = int(late[0])
        raise LookAheadError(
            f"{trace.source}: {name} of row {row} ({trace.frame.index[row]}) becomes known at "
            f"{trace.available_at[name][row]}, after its period starts"
        )
    return until


def _published_until(site: SiteConfig, trace: Trace) -> Ints:
    """Return the first row whose price the site does not have yet, at the start of each row.

    Prices reach the site when they are published, and not before its own time of day for that.
    """
    starts = pd.DatetimeIndex(trace.frame.index)
    at_site = published_the_day_before(
        starts, timezone=site.timezone, at=site.market.price_published_local
    )
    reached = np.searchsorted(epoch_s(at_site), epoch_s(starts), side="right").astype(np.int64)
    return np.minimum(_known_until(trace, "price_per_kwh"), reached)


def _calendar(trace: Trace, timezone: str) -> Floats:
    local = pd.DatetimeIndex(trace.frame.index).tz_convert(timezone)
    hour = (local.hour + local.minute / 60.0) / 24.0
    weekday = local.day_of_week / 7.0
    season = (local.day_of_year - 1) / 365.25
    columns = np.empty((trace.n_rows, N_CALENDAR))
    for k, phase in enumerate((hour, weekday, season)):
        columns[:, 2 * k] = np.sin(2.0 * np.pi * np.asarray(phase))
        columns[:, 2 * k + 1] = np.cos(2.0 * np.pi * np.asarray(phase))
    return columns

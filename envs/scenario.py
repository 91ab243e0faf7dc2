"""A site on a span of market data: everything the kernel needs to play it."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from gridhash.config import SiteConfig
from gridhash.data.trace import Trace
from gridhash.envs.columns import (
    ADDER,
    DAY,
    GATE,
    NOMINATED,
    PRICE,
    PV,
    REVENUE,
    SURPLUS,
    Exogenous,
)
from gridhash.envs.dispatch import dispatch_by_merit
from gridhash.envs.feature import Feature
from gridhash.envs.jit import njit
from gridhash.envs.known import known_until, published_until, rows_known
from gridhash.envs.market_array import (
    calendar_array,
    check_columns,
    fill_seen_prices,
    market_array,
)
from gridhash.envs.observation import (
    BREAK_EVEN,
    N_CALENDAR,
    N_GROUP_ROW,
    N_SITE_ROW,
    horizon_periods,
    observation_table,
    row_features,
)
from gridhash.envs.parameters import Floats, Floats32, Ints, SiteParameters, compile_site
from gridhash.envs.program_observation import program_row_features, program_row_table
from gridhash.envs.program_parameters import ProgramParameters, compile_programs
from gridhash.errors import DataError
from gridhash.time_grid import epoch_s
from gridhash.units import SECONDS_PER_DAY, SECONDS_PER_HOUR

PLAN_DAYS = 7
"""Newest known days whose surplus and own solar power make the expected ones of a plan."""


@dataclass(frozen=True)
class Scenario:
    """A site and a trace, compiled. Built by `build_scenario`."""

    site: SiteConfig
    trace: Trace
    params: SiteParameters
    programs: ProgramParameters
    features: tuple[Feature, ...]
    exogenous: Exogenous
    first_row: int
    """First row that can be played: a day of prices and one reading lie before it."""

    @property
    def market(self) -> Floats:
        """Market array, (rows, N_MARKET + 2 G), columns as named in `gridhash.envs.columns`."""
        return self.exogenous.market

    @property
    def rows(self) -> Floats32:
        """Part of the observation that the exogenous series decide, (rows, R) float32."""
        return self.exogenous.rows

    @property
    def bounds(self) -> Floats32:
        """Least and greatest value of each feature, (F, 2) float32."""
        return self.exogenous.bounds

    @property
    def slots_per_day(self) -> int:
        """Settlement periods of a day."""
        return int(SECONDS_PER_DAY // self.trace.period_s)

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
        If a price, hashprice, exchange rate, order, call or base point becomes known only after
        its own period starts.
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
    check_columns(site, trace)
    published = published_until(site, trace)
    for name in ("hashprice_usd_per_phs_day", "currency_per_usd"):
        if name in trace.frame:
            known_until(trace, name)
    params = compile_site(site)
    programs = compile_programs(site, params, first_start_s=int(epoch_s(trace.starts[:1])[0]))
    features = observation_table(site)
    bounds = np.array([[f.low, f.high] for f in features], dtype=np.float32)
    market = market_array(site, trace)
    extras = fill_seen_prices(site, trace, market, published)
    if site.tariff.settles_at == "price_per_kwh":
        ahead_price, ahead_until = np.ascontiguousarray(market[:, PRICE]), published
    else:
        ahead_price, ahead_until = (
            trace.column("price_per_kwh"),
            known_until(trace, "price_per_kwh"),
        )
    horizon, n_groups = horizon_periods(site), len(site.groups)
    n_plain = N_SITE_ROW + horizon + N_GROUP_ROW * n_groups
    rows = np.zeros((trace.n_rows, n_plain + len(program_row_table(site))), dtype=np.float32)
    row_features(
        params,
        market,
        _phases(trace, site.timezone),
        extras,
        ahead_price,
        ahead_until,
        programs.idle_kw,
        trace.period_s / SECONDS_PER_HOUR,
        horizon,
        bounds,
        np.empty(horizon),
        np.empty((5, n_groups)),
        rows,
    )
    calendar, history_rows = calendar_array(site, trace)
    if rows.shape[1] > n_plain:
        value = rows[:, BREAK_EVEN].astype(np.float64)
        extra = program_row_features(site, trace, market, calendar, value)
        low, high = bounds[n_plain : rows.shape[1]].T
        rows[:, n_plain:] = np.clip(extra, low, high)
    if programs.balancing:
        market[:, NOMINATED] = nominate(
            params, trace, market, calendar, ahead_price, ahead_until, extras
        )
    return Scenario(
        site=site,
        trace=trace,
        params=params,
        programs=programs,
        features=features,
        exogenous=Exogenous(
            market=market,
            rows=rows,
            calendar=calendar,
            history_rows=history_rows,
            bounds=bounds,
        ),
        first_row=per_day,
    )


def nominate(
    params: SiteParameters,
    trace: Trace,
    market: Floats,
    calendar: Ints,
    ahead_price: Floats,
    ahead_until: Ints,
    extras: Floats,
) -> Floats:
    """Return the default plan of each row [kW]: what the level rule would import.

    From what is known at the start of the gate's row on the day before: the price of the newest
    same time of day, adders by the clock, hashprice, what else is added to the price, and the
    mean surplus and own solar power at the same time of the newest seven days. `ahead_price` is
    unknown from row `ahead_until[r]` on at the start of row r.
    """
    rows = np.arange(trace.n_rows)
    per_day = int(SECONDS_PER_DAY // trace.period_s)
    day = calendar[:, DAY] - calendar[0, DAY]
    gate = np.concatenate([[0], np.flatnonzero(calendar[:, GATE])])[day]

    def days_back(known: Ints) -> Ints:
        """Return how many days before a row its newest same time lies that the gate knows."""
        return np.asarray(np.maximum(-(-(rows - known[gate] + 1) // per_day), 1))

    source = np.maximum(rows - days_back(ahead_until) * per_day, 0)
    own_kw = []
    for name, index in (("surplus_frac", SURPLUS), ("behind_meter_pv_frac", PV)):
        back = days_back(rows_known(trace, name) if name in trace.frame else rows)
        past = rows - (back + np.arange(PLAN_DAYS)[:, None]) * per_day
        own_kw.append(market[np.maximum(past, 0), index].mean(axis=0))
    plan_kw = np.zeros(trace.n_rows)
    plan_rows(
        params,
        ahead_price[source] + market[:, ADDER] + extras[gate],
        own_kw[0],
        own_kw[1],
        np.ascontiguousarray(market[gate, REVENUE]),
        np.empty((5, len(params.n_rigs))),
        plan_kw,
    )
    return plan_kw


@njit
def plan_rows(
    params: SiteParameters,
    all_in_per_kwh: Floats,
    surplus_kw: Floats,
    pv_kw: Floats,
    revenue_per_phs_day: Floats,
    scratch: Floats,
    plan_kw: Floats,
) -> None:
    """Write the import of the level rule in each row, (rows,) kW; `scratch` is (5, G)."""
    scratch[0, :] = 0.0
    for r in range(plan_kw.shape[0]):
        dispatch_by_merit(
            params,
            all_in_per_kwh[r],
            surplus_kw[r],
            revenue_per_phs_day[r],
            scratch[0],
            scratch[1],
            scratch[2],
        )
        load_kw = 0.0
        for g in range(scratch.shape[1]):
            load_kw += scratch[1, g]
        load_kw = min(load_kw * params.pue_for_planning, params.contract_power_kw)
        plan_kw[r] = max(load_kw - surplus_kw[r] - pv_kw[r], 0.0)


def _phases(trace: Trace, timezone: str) -> Floats:
    local = pd.DatetimeIndex(trace.frame.index).tz_convert(timezone)
    hour = (local.hour + local.minute / 60.0) / 24.0
    weekday = local.day_of_week / 7.0
    season = (local.day_of_year - 1) / 365.25
    columns = np.empty((trace.n_rows, N_CALENDAR))
    for k, phase in enumerate((hour, weekday, season)):
        columns[:, 2 * k] = np.sin(2.0 * np.pi * np.asarray(phase))
        columns[:, 2 * k + 1] = np.cos(2.0 * np.pi * np.asarray(phase))
    return columns

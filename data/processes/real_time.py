"""Real-time prices around a day-ahead price.

A market's score is a level plus autoregressive processes of several memories (`synthetic_market`).
What lasts half a day or longer is taken as known the day before; the day-ahead price is then the
expectation of the real-time price over what is not. Read backwards, it gives real-time prices
whose expectation is the day-ahead price of a trace.
"""

import math
from dataclasses import dataclass
from datetime import time
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from gridhash.config_processes import RealTimeProcess
from gridhash.data.processes.common import Array, Index, at_end, labelled, stream
from gridhash.data.synthesis import normal
from gridhash.data.synthetic_market import MEMORIES_H, PERIODS_S, MarketParameters, market_preset
from gridhash.data.trace import Trace
from gridhash.errors import TimeGridError
from gridhash.time_grid import grid, published_the_day_before

REAL_TIME = "real_time_price_per_kwh"
FORESEEN_MEMORY_H = 12.0
"""Processes that last at least so long are known the day before; assumed."""

PUBLISHED_LOCAL = time(13, 30)
"""When the day-ahead prices of tomorrow are out; ERCOT's rule."""

_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(41)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()
_SLOW = np.linspace(-8.0, 8.0, 801)


@dataclass(frozen=True, eq=False)
class _Clock:
    """Month from 0, 1 on weekends, local hour, of each row."""

    month: Index
    weekend: Index
    hour: Index


def two_settlement_market(
    *, preset: str, period_s: int, start: pd.Timestamp, n_days: int, seed: int
) -> Trace:
    """Return a day-ahead price and the real-time price around it; same arguments, same bits.

    Parameters
    ----------
    preset
        One of `gridhash.data.synthetic_market.market_presets()`. In a market without a day-ahead
        auction (vic) `price_per_kwh` is what a perfect pre-dispatch would expect.
    period_s
        300, 900 or 3600; day-ahead prices hold for whole hours.
    start
        First interval, aware, on a whole hour.
    n_days
        Length in days of 24 h.
    seed
        Not negative.

    Raises
    ------
    DataError
        If the preset is unknown.
    TimeGridError
        If the start has no time zone, or the period or length is none of the possible.
    """
    market = market_preset(preset)
    if period_s not in PERIODS_S or start.tz is None or start != start.floor("h") or n_days < 1:
        raise TimeGridError(
            f"period {period_s} s, start {start}, {n_days} days: the period must be one of "
            f"{PERIODS_S}, the start on a whole hour with a time zone, the length at least 1"
        )
    end = start + pd.Timedelta(days=n_days)
    hours = grid(start, end, 3600)
    slow = _processes(market, len(hours), 3600, stream(seed, "price_per_kwh"), foreseen=True)
    clock = _clock(market, hours)
    day_ahead = np.empty(len(hours))
    for hour, table in enumerate(_expected_price(market)):
        rows = clock.hour == hour
        level = _level(market, clock)[rows] + market.spread_by_hour[hour] * slow[rows]
        day_ahead[rows] = np.interp(level, _SLOW, table)
    starts = grid(start, end, period_s)
    trace = Trace.from_prices(
        starts,
        np.repeat(day_ahead, 3600 // period_s) / 1000.0,
        published_at=published_the_day_before(starts, timezone=market.timezone, at=PUBLISHED_LOCAL),
        period_s=period_s,
        currency=market.currency,
        area=market.area,
        source=f"synthetic {market.area} from {start.isoformat()} seed {seed}",
    )
    return _with_real_time(trace, market, delay_s=0, seed=seed)


def with_real_time_prices(trace: Trace, settings: RealTimeProcess, *, seed: int) -> Trace:
    """Return the trace with `real_time_price_per_kwh` around its price, known after each period.

    Raises
    ------
    DataError
        If the trace holds the column already or is in another currency than the market.
    """
    market = market_preset(settings.market)
    return _with_real_time(trace, market, delay_s=settings.delay_s, seed=seed)


def _with_real_time(trace: Trace, market: MarketParameters, *, delay_s: int, seed: int) -> Trace:
    clock = _clock(market, trace.starts)
    rng = stream(seed, REAL_TIME)
    fast = _processes(market, trace.n_rows, trace.period_s, rng, foreseen=False)
    day_ahead = trace.column("price_per_kwh") * 1000.0
    price = np.empty(trace.n_rows)
    for hour, table in enumerate(_expected_price(market)):
        rows = clock.hour == hour
        rising = table + 1e-9 * np.arange(len(table))
        level = np.interp(day_ahead[rows], rising, _SLOW)
        drawn = np.interp(
            level + market.spread_by_hour[hour] * fast[rows], market.score, market.price_per_mwh
        )
        # What lies outside the market's range keeps its distance.
        price[rows] = drawn + day_ahead[rows] - np.interp(level, _SLOW, table)
    low, high = market.price_per_mwh[0], market.price_per_mwh[-1]
    price = np.clip(price, np.minimum(low, day_ahead), np.maximum(high, day_ahead))
    note = (
        f"price_per_kwh and the processes of {market.area} that last less than "
        f"{FORESEEN_MEMORY_H:g} h, such that it is their expectation, known {delay_s} s after each "
        f"period, seed {seed}"
    )
    known = at_end(trace, "price_per_kwh", delay_s=delay_s)
    return labelled(trace, {REAL_TIME: price / 1000.0}, {REAL_TIME: known}, note)


def _expected_price(market: MarketParameters) -> list[Array]:
    """Return for each hour the expected price [currency/MWh] at each foreseen score `_SLOW`."""
    share = float(market.memory_weight[MEMORIES_H < FORESEEN_MEMORY_H].sum())
    return [
        np.interp(
            _SLOW[:, None] + spread * math.sqrt(share) * _NODES, market.score, market.price_per_mwh
        )
        @ _WEIGHTS
        for spread in market.spread_by_hour.tolist()
    ]


def _level(market: MarketParameters, clock: _Clock) -> Array:
    by_hour = market.level_by_hour[clock.weekend, clock.hour]
    return np.asarray(market.level_by_month[clock.month] + by_hour, dtype=np.float64)


def _processes(
    market: MarketParameters, n_rows: int, step_s: int, rng: np.random.Generator, *, foreseen: bool
) -> Array:
    """Return the sum of the processes that are foreseen, or of those that are not."""
    total = np.zeros(n_rows)
    for weight, memory_h in zip(market.memory_weight.tolist(), MEMORIES_H.tolist(), strict=True):
        if (memory_h >= FORESEEN_MEMORY_H) == foreseen and weight > 0.0:
            rho = math.exp(-step_s / 3600.0 / memory_h)
            total += math.sqrt(weight) * normal.ar1(rng, rho, n_rows)
    return total


def _clock(market: MarketParameters, starts: pd.DatetimeIndex) -> _Clock:
    local = starts.tz_convert(ZoneInfo(market.timezone))
    return _Clock(
        np.asarray(local.month, dtype=np.intp) - 1,
        np.asarray(local.day_of_week >= 5, dtype=np.intp),
        np.asarray(local.hour, dtype=np.intp),
    )

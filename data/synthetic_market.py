"""Synthetic prices of markets that go below zero and spike within minutes.

The standard normal score of a price is a level by month, kind of day and hour, plus a spread by
hour times a sum of autoregressive processes whose memories run from minutes to weeks; its rank
gives the price through the market's distribution. Such a copula keeps what an operator feels: how
often prices are below zero, how high they go, at what hours, and for how long. `fit_market` takes
all of it from a trace; presets lie in ``data/samples/synthetic_markets.json``, made by
``scripts/build_synthetic_markets.py``.
"""

import json
import math
from dataclasses import dataclass, fields, replace
from datetime import time
from functools import cache
from importlib import resources
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pandas as pd

from gridhash.data.synthesis import normal
from gridhash.data.trace import Trace
from gridhash.errors import DataError, TimeGridError
from gridhash.time_grid import grid, published_the_day_before

Array = npt.NDArray[np.float64]

PERIODS_S = (300, 900, 3600)
MEMORIES_H = np.array([0.25, 1.0, 4.0, 12.0, 48.0, 240.0])
"""Time constants of the autoregressive processes [h]."""

LAGS_H = (0.0833, 0.25, 0.5, 1.0, 2.0, 4.0, 6.0, 9.0, 12.0, 18.0, 24.0, 36.0, 48.0, 96.0, 168.0)
MARKET_FILE = "synthetic_markets.json"
DAY_AHEAD_LOCAL = time(13, 0)
MIN_FIT_DAYS = 28


@dataclass(frozen=True, eq=False)
class MarketParameters:
    """A market; prices in currency/MWh as markets quote them.

    Attributes
    ----------
    area, currency, timezone
        Name, ISO 4217 code, and the zone whose hours shape the day.
    period_s
        Settlement period whose distribution is meant [s].
    day_ahead
        Whether prices are published the day before; else each is known when its interval ends.
    level_by_month
        Score added by month [12].
    level_by_hour
        Mean score by kind of day (working day, weekend) and hour [2, 24].
    spread_by_hour
        Spread of the score by hour [24].
    memory_weight
        Share of the variance of each process of `MEMORIES_H` [6]; adds up to 1.
    score, price_per_mwh
        Rising knots: what a score is worth.
    """

    area: str
    currency: str
    timezone: str
    period_s: int
    day_ahead: bool
    level_by_month: Array
    level_by_hour: Array
    spread_by_hour: Array
    memory_weight: Array
    score: Array
    price_per_mwh: Array


def market_presets() -> list[str]:
    """Return the names that `synthetic_market` takes."""
    return list(_file()["markets"])


def market_preset(name: str) -> MarketParameters:
    """Return a committed market; raise DataError if there is no such preset."""
    markets = _file()["markets"]
    if name not in markets:
        raise DataError(f"no synthetic market {name!r}; choose one of {', '.join(markets)}")
    values: dict[str, Any] = {
        key: np.array(value, dtype=np.float64) if isinstance(value, list) else value
        for key, value in markets[name].items()
    }
    return MarketParameters(**values)


def synthetic_market(
    *,
    preset: str | None = None,
    parameters: MarketParameters | None = None,
    period_s: int | None = None,
    start: pd.Timestamp,
    n_days: int,
    seed: int,
) -> Trace:
    """Return synthetic prices; the same arguments give the same bits.

    Parameters
    ----------
    preset, parameters
        One of `market_presets()`, or what `fit_market` returned; exactly one of them.
    period_s
        300, 900 or 3600; the market's own where None. A longer one holds means of the market's
        own; a shorter one keeps the distribution of the market's own.
    start
        First interval, aware, on a whole hour.
    n_days
        Length in days of 24 h.
    seed
        Of the random stream, not negative.

    Raises
    ------
    DataError
        If neither or both of preset and parameters are given, or the preset is unknown.
    TimeGridError
        If the start has no time zone, or the period or length is none of the possible.
    """
    if (preset is None) == (parameters is None):
        raise DataError("give either a preset or parameters")
    market = parameters if parameters is not None else market_preset(str(preset))
    period_s = market.period_s if period_s is None else period_s
    if period_s not in PERIODS_S:
        raise TimeGridError(f"period_s {period_s} is none of {PERIODS_S}")
    if start.tz is None or start != start.floor("h"):
        raise TimeGridError(f"start {start} must have a time zone and lie on a whole hour")
    if n_days < 1:
        raise TimeGridError(f"n_days {n_days} must be at least 1")
    end = start + pd.Timedelta(days=n_days)
    step_s = min(period_s, market.period_s)
    score = draw_scores(market, grid(start, end, step_s), step_s, np.random.default_rng(seed))
    price = np.interp(score, market.score, market.price_per_mwh)
    starts = grid(start, end, period_s)
    return Trace.from_prices(
        starts,
        price.reshape(len(starts), -1).mean(axis=1) / 1000.0,
        published_at=(
            published_the_day_before(starts, timezone=market.timezone, at=DAY_AHEAD_LOCAL)
            if market.day_ahead
            else starts + pd.Timedelta(seconds=period_s)
        ),
        period_s=period_s,
        currency=market.currency,
        area=market.area,
        source=f"synthetic {market.area} from {start.isoformat()} seed {seed}",
    )


def draw_scores(
    market: MarketParameters, starts: pd.DatetimeIndex, step_s: int, rng: np.random.Generator
) -> Array:
    """Return the score of each interval."""
    month, weekend, hour = _clock(starts, market.timezone)
    process = np.zeros(len(starts))
    for weight, memory_h in zip(market.memory_weight, MEMORIES_H, strict=True):
        shocks = rng.standard_normal(len(starts))
        if weight > 0.0:
            rho = math.exp(-step_s / 3600.0 / memory_h)
            process += math.sqrt(weight) * normal.ar1_path(shocks, rho)
    level = market.level_by_month[month] + market.level_by_hour[weekend, hour]
    return np.asarray(level + market.spread_by_hour[hour] * process, dtype=np.float64)


def fit_market(trace: Trace, *, timezone: str, day_ahead: bool = False) -> MarketParameters:
    """Return the market whose distribution, hours and memory are those of a trace; nothing else.

    Months that the trace does not hold are taken as average.

    Raises
    ------
    DataError
        If the trace is shorter than four weeks or a kind of day or hour is missing.
    TimeGridError
        If its period is none of `PERIODS_S`.
    """
    if trace.period_s not in PERIODS_S:
        raise TimeGridError(f"{trace.source}: period_s {trace.period_s} is none of {PERIODS_S}")
    if trace.n_rows * trace.period_s < MIN_FIT_DAYS * 86400:
        raise DataError(f"{trace.source}: fewer than {MIN_FIT_DAYS} days; fit on a longer span")
    price = trace.column("price_per_kwh") * 1000.0
    order = np.argsort(np.argsort(price, kind="stable"), kind="stable")
    score = normal.quantile((order + 0.5) / len(price))
    month, weekend, hour = _clock(trace.starts, timezone)
    by_month = _array(pd.Series(score).groupby(month).mean().reindex(range(12)).fillna(0.0))
    rest = pd.Series(score - by_month[month])
    by_hour = rest.groupby([weekend, hour]).mean().unstack()
    if by_hour.shape != (2, 24) or by_hour.isna().to_numpy().any():
        raise DataError(f"{trace.source}: an hour or kind of day is missing; fit on a longer span")
    rest = rest - by_hour.to_numpy()[weekend, hour]
    spread = _array(rest.groupby(hour).std())
    process = _array(rest / spread[hour])
    market = MarketParameters(
        area=trace.area,
        currency=trace.currency,
        timezone=timezone,
        period_s=trace.period_s,
        day_ahead=day_ahead,
        level_by_month=by_month,
        level_by_hour=by_hour.to_numpy(),
        spread_by_hour=spread,
        memory_weight=_memory_weight(process, trace.period_s),
        score=np.array([-5.0, 5.0]),
        price_per_mwh=np.array([price.min(), price.max()]),
    )
    shares, prices = distribution(price)
    return with_distribution(market, shares, prices, months=np.unique(month))


def distribution(price: Array) -> tuple[Array, Array]:
    """Return shares and the prices that they lie below, denser in the tails."""
    score = np.linspace(-4.0, 4.0, 65)
    shares = normal.cdf(score)
    least = 0.5 / len(price)
    shares = np.r_[least, shares[(shares > 1.5 * least) & (shares < 1 - 1.5 * least)], 1 - least]
    return shares, np.asarray(np.quantile(price, shares), dtype=np.float64)


def with_distribution(
    market: MarketParameters, shares: Array, prices: Array, *, months: npt.NDArray[np.intp]
) -> MarketParameters:
    """Return the market with knots such that its prices have a distribution.

    Scores are normal within a month, kind of day and hour, so that theirs is known exactly.

    Parameters
    ----------
    shares, prices
        Rising: share of time at or below each price [currency/MWh].
    months
        Months, from 0, that the distribution is about.
    """
    week = np.array([5.0, 2.0]) / 7.0
    level = market.level_by_month[months, None, None] + market.level_by_hour
    weight = np.broadcast_to(week[None, :, None], level.shape) / (len(months) * 24)
    z = np.linspace(-8.0, 8.0, 3201)
    below = sum(
        part * normal.cdf((z - mean) / sd)
        for part, mean, sd in zip(
            weight.ravel(),
            level.ravel(),
            np.broadcast_to(market.spread_by_hour, level.shape).ravel(),
            strict=True,
        )
    )
    # Scores must rise where the distribution saturates.
    at = np.interp(shares, below, z) + 1e-6 * np.arange(len(shares))
    return replace(market, score=at, price_per_mwh=prices)


def dump_market(market: MarketParameters) -> dict[str, Any]:
    """Return a market as JSON values."""
    return {
        field.name: value.round(4).tolist() if isinstance(value, np.ndarray) else value
        for field in fields(market)
        for value in [getattr(market, field.name)]
    }


def _clock(
    starts: pd.DatetimeIndex, timezone: str
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Return month from 0, 1 on weekends, and local hour of each interval."""
    local = starts.tz_convert(ZoneInfo(timezone))
    return (
        np.asarray(local.month, dtype=np.intp) - 1,
        np.asarray(local.day_of_week >= 5, dtype=np.intp),
        np.asarray(local.hour, dtype=np.intp),
    )


def _array(series: pd.Series) -> Array:
    return np.asarray(series, dtype=np.float64)


def _memory_weight(process: Array, period_s: int) -> Array:
    """Return the shares of `MEMORIES_H` whose autocorrelation is nearest to that of a series.

    Least squares without negative shares, by multiplicative updates (Lee and Seung 1999).
    """
    steps = sorted({max(round(lag * 3600 / period_s), 1) for lag in LAGS_H})
    steps = [step for step in steps if step < len(process) // 4]
    found = np.array([np.corrcoef(process[:-step], process[step:])[0, 1] for step in steps])
    table = np.exp(-np.outer(np.array(steps) * period_s / 3600.0, 1.0 / MEMORIES_H))
    # Shares add up to one: a heavy row says so.
    table = np.vstack([table, np.full(len(MEMORIES_H), 10.0)])
    wanted = np.append(np.maximum(found, 0.0), 10.0)
    weight = np.full(len(MEMORIES_H), 1.0 / len(MEMORIES_H))
    for _ in range(3000):
        weight *= (table.T @ wanted) / (table.T @ (table @ weight) + 1e-12)
    weight[weight < 1e-3] = 0.0
    return np.asarray(weight / weight.sum(), dtype=np.float64)


@cache
def _file() -> dict[str, Any]:
    text = (resources.files("gridhash.data.samples") / MARKET_FILE).read_text(encoding="utf-8")
    values: dict[str, Any] = json.loads(text)
    return values

"""Bring a fitted price process to tables of other years, by simulation.

A fit needs raw series; where only aggregates of more recent years are at hand, level, floor
probability, distribution, swing and memory are moved until synthetic years have them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from gridhash.data.fidelity_statistics import (
    LOG_CLIP_JPY_PER_KWH,
    mean_of,
    pooled_price_statistics,
    yearly_price_statistics,
)
from gridhash.data.readers.jepx import SLOTS_PER_DAY, TIMEZONE
from gridhash.data.synthesis.calendar import SEASONS, Calendar, fiscal_year
from gridhash.data.synthesis.fit import simulated_latent
from gridhash.data.synthesis.parameters import PriceParameters
from gridhash.data.synthesis.price import Latent, price_path, raw_log_price

Array = npt.NDArray[np.float64]

N_ROUNDS = 16
N_DRAWS = 30
LOG_CLIP = float(np.log(LOG_CLIP_JPY_PER_KWH))
MAX_P_FLOOR = 0.95


@dataclass(frozen=True, eq=False)
class PriceTables:
    """Aggregates of an area's prices, JPY/kWh.

    Attributes
    ----------
    log_mean
        Mean of the log of price, clipped at 0.5, by month, weekend and slot [12, 2, 48].
    p_floor
        Share of slots at the floor by month and slot [12, 48].
    share_below
        Share of slots at or below a price.
    n_slots, highest, yearly_max
        Number of slots, their highest price, and the mean of the highest of each year.
    season_sd
        Standard deviation by season [4].
    acf
        Autocorrelation by lag in slots.
    swing, swing_p95
        Mean and 95th percentile of the daily spread.
    spike_h
        Lengths of episodes above a price [h], named as by `pooled_price_statistics`.
    """

    log_mean: Array
    p_floor: Array
    share_below: Mapping[float, float]
    n_slots: int
    highest: float
    yearly_max: float
    season_sd: Array
    acf: Mapping[int, float]
    swing: float
    swing_p95: float
    spike_h: Mapping[str, float]


def draws_of(prices: PriceParameters, calendar: Calendar) -> list[Latent]:
    """Return draws of the latents on a calendar that starts with a fiscal year."""
    return [_draw(prices, calendar, seed) for seed in range(N_DRAWS)]


def _draw(prices: PriceParameters, calendar: Calendar, seed: int) -> Latent:
    """Return one draw, each fiscal year for itself."""
    first = calendar.starts[0].tz_convert(TIMEZONE).year
    years: list[Latent] = []
    days = 0
    while days < calendar.n_days:
        part = fiscal_year(first + len(years))
        years.append(simulated_latent(prices, part, seed=10 * seed + first + len(years)))
        days += part.n_days
    return Latent(
        *(
            np.concatenate([getattr(year, name) for year in years])[: calendar.n_days]
            for name in ("level", "floor", "noise", "slow", "spread")
        )
    )


def with_p_floor(prices: PriceParameters, calendar: Calendar, p_floor: Array) -> PriceParameters:
    """Return the process with other floor probabilities; kinds of day keep their ratio."""
    off = np.array([calendar.day_off[calendar.month == m].mean() for m in range(12)])[:, None]
    own = (1.0 - off) * prices.p_floor[:, 0] + off * prices.p_floor[:, 1]
    kinds = prices.p_floor.swapaxes(0, 1)
    ratio = np.where(own > 0, kinds / np.maximum(own, 1e-9), 1.0)
    return replace(prices, p_floor=np.minimum(ratio * p_floor, MAX_P_FLOOR).swapaxes(0, 1))


def brought_to(prices: PriceParameters, wanted: PriceTables, calendar: Calendar) -> PriceParameters:
    """Return the process whose synthetic years on a calendar have the tables' figures."""
    draws = draws_of(prices, calendar)
    at_highest = 3.0
    for _ in range(N_ROUNDS):
        prices = _with_map(prices, calendar, draws, wanted, at_highest)
        paths = [price_path(prices, calendar, draw) for draw in draws]
        at_highest *= _highest_factor(paths, calendar, wanted.yearly_max)
        room = np.maximum(1.0 - prices.p_floor, 0.3)
        swing, swing_p95 = _swings(paths)
        step = np.clip((wanted.log_mean - _log_means(paths, calendar)) / room, -0.3, 0.3)
        prices = replace(
            prices,
            location=prices.location + 0.7 * step,
            scale=prices.scale * _season_factor(paths, calendar, wanted.season_sd)[:, None],
            slow_share=_slow_share(paths, prices.slow_share, wanted.acf),
            swing=prices.swing * float(np.clip(wanted.swing / swing, 0.9, 1.1)) ** 0.5,
            spread_log_sd=_spread_log_sd(
                prices.spread_log_sd, wanted.swing_p95 / wanted.swing - swing_p95 / swing
            ),
            peak_noise=_peak_noise(paths, calendar, prices.peak_noise, wanted.spike_h),
        )
    return _with_map(prices, calendar, draws, wanted, at_highest)


def _with_map(
    prices: PriceParameters,
    calendar: Calendar,
    draws: list[Latent],
    wanted: PriceTables,
    at_highest: float,
) -> PriceParameters:
    """Return the process with the map that gives the distribution of all slots.

    `at_highest` slots reach the highest price of the tables.
    """
    raw = np.concatenate([raw_log_price(prices, calendar, draw).ravel() for draw in draws])
    points = {p: share for p, share in wanted.share_below.items() if p < wanted.highest}
    rarest = 1.0 - max(points.values())
    points[wanted.highest] = 1.0 - min(at_highest / wanted.n_slots, 0.5 * rarest)
    at, to = map_knots(raw, sorted(points.items()))
    return replace(prices, map_from=at, map_to=to)


def map_knots(raw: Array, knots: list[tuple[float, float]]) -> tuple[Array, Array]:
    """Return rising knots from raw log prices, −∞ at the floor, to a distribution."""
    ordered = np.sort(raw)
    n_floor = int(np.isneginf(ordered).sum())
    at, to = [float(ordered[n_floor]) - 1e-3], [float(np.log1p(0.01))]
    for value, share in knots:
        position = int(share * len(ordered))
        if position <= n_floor or position >= len(ordered):
            continue
        place = float(ordered[position])
        if place > at[-1] + 1e-3 and np.log1p(value) > to[-1]:
            at.append(place)
            to.append(float(np.log1p(value)))
    return np.array(at), np.array(to)


def _log_means(paths: list[Array], calendar: Calendar) -> Array:
    """Return the mean clipped log price by month, weekend and slot [12, 2, 48]."""
    weekend = np.asarray(calendar.starts[::SLOTS_PER_DAY].tz_convert(TIMEZONE).day_of_week) >= 5
    total = np.zeros((12, 2, SLOTS_PER_DAY))
    for path in paths:
        log_price = np.maximum(np.log(path), LOG_CLIP).reshape(-1, SLOTS_PER_DAY)
        for month in range(12):
            for kind in range(2):
                rows = (calendar.month == month) & (weekend == bool(kind))
                total[month, kind] += log_price[rows].mean(axis=0)
    return total / len(paths)


def _season_factor(paths: list[Array], calendar: Calendar, wanted: Array) -> Array:
    """Return the factor on the spread of each month that brings the seasons' sd nearer [12]."""
    days = np.concatenate(paths).reshape(-1, SLOTS_PER_DAY)
    season = np.tile(calendar.season, len(paths))
    found = np.array([days[season == number].std() for number in range(len(SEASONS))])
    factor = np.clip(wanted / found, 0.85, 1.18) ** 0.7
    return np.asarray(factor[(np.arange(12) + 1) % 12 // 3], dtype=np.float64)


def _slow_share(paths: list[Array], share: float, wanted: Mapping[int, float]) -> float:
    """Return the share of the drift that brings the autocorrelation over days nearer."""
    missing = np.mean(
        [
            value - np.corrcoef(path[:-lag], path[lag:])[0, 1]
            for path in paths
            for lag, value in wanted.items()
        ]
    )
    return float(np.clip(share + 0.8 * missing, 0.0, 0.65))


def _swings(paths: list[Array]) -> tuple[float, float]:
    """Return the mean and the 95th percentile of the daily spread, each a mean over the draws."""
    swings = [np.ptp(path.reshape(-1, SLOTS_PER_DAY), axis=1) for path in paths]
    return (
        float(np.mean(swings)),
        float(np.mean([np.quantile(swing, 0.95) for swing in swings])),
    )


def _spread_log_sd(log_sd: float, missing: float) -> float:
    """Return the spread of the daily swing that brings its p95 over its mean nearer."""
    return float(np.clip(log_sd + 0.3 * missing, 0.0, 0.9))


def _peak_noise(
    paths: list[Array], calendar: Calendar, noise: float, wanted_h: Mapping[str, float]
) -> float:
    """Return the noise at peaks that brings the lengths of spikes nearer."""
    found = mean_of(pooled_price_statistics(calendar.starts, path) for path in paths)
    excess = np.mean([found[name] / length_h for name, length_h in wanted_h.items()]) - 1.0
    return float(np.clip(noise + 0.5 * excess, 0.0, 1.2))


def _highest_factor(paths: list[Array], calendar: Calendar, wanted: float) -> float:
    """Return the factor on the time at the highest price that brings yearly maxima nearer."""
    found = np.mean([yearly_price_statistics(calendar.starts, p)["year max"] for p in paths])
    return float(np.clip((wanted / found) ** 4, 0.5, 2.0))

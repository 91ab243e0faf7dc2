"""Price of one area: a Gaussian latent per half hour, and what a month makes of it.

The latent of a day is a handful of smooth factors (cosines over the day) and noise. The factors
remember yesterday, the last week and the last four weeks (a heterogeneous autoregression, Corsi
2009, in vector form), so that a sunny spell lowers the same hours of one day after the other. A
slot is at the floor of 0.01 JPY where its latent lies below a threshold; above, the latent's rank
gives the price through the quantiles of its season and part of the day, about the mean of its
month, kind of day and slot. A rising map brings the whole distribution to the tabled one and
leaves ranks, runs and times as they are.
"""

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from gridhash.data.readers.jepx import SLOTS_PER_DAY
from gridhash.data.synthesis import normal
from gridhash.data.synthesis.calendar import Calendar
from gridhash.data.synthesis.parameters import CrisisParameters, PriceParameters

Array = npt.NDArray[np.float64]

FLOOR_JPY_PER_KWH = 0.01
CAP_JPY_PER_KWH = 250.0
N_FACTORS = 10
WEEK_DAYS = 7
MONTH_DAYS = 28
WARM_UP_DAYS = 56
SLOW_DAY_AR1 = 0.995
"""Of the drift: it halves within 140 days."""

PEAK_JPY_PER_KWH = 25.0
"""From where on the supply curve is steep: dear evenings last, their spikes do not."""

SWING_DAY_AR1, SWING_WITH_DRIFT = 0.8, 0.2
"""Of how far prices swing: wild days come together, and with dear months. Assumed."""

SCORES = np.round(np.arange(-3.5, 3.75, 0.25), 2)
"""Standard normal scores at which `PriceParameters.shape` is given."""

_PARTS = ((0, 14), (14, 20), (20, 32), (32, 48))
PART_OF_SLOT = np.repeat(np.arange(len(_PARTS)), [stop - first for first, stop in _PARTS])
"""Night, morning, midday and evening of each slot, from 0."""


@cache
def basis() -> Array:
    """Return the first cosines over the day [48, K], with unit mean square (DCT-II)."""
    at = (np.arange(SLOTS_PER_DAY) + 0.5) / SLOTS_PER_DAY
    waves = math.sqrt(2.0) * np.cos(math.pi * np.outer(at, np.arange(N_FACTORS)))
    waves[:, 0] = 1.0
    return np.asarray(waves, dtype=np.float64)


def jumpy(rng: np.random.Generator, shape: float, n: int) -> Array:
    """Return n independent variance-gamma values with unit variance and kurtosis 3 + 3 / shape.

    Prices mostly stay where they were and now and then jump, when another plant sets them.
    """
    return np.asarray(
        rng.standard_normal(n) * np.sqrt(rng.gamma(shape, 1.0 / shape, n)), dtype=np.float64
    )


@dataclass(frozen=True)
class Latent:
    """What stands behind the prices, standard normal.

    Attributes
    ----------
    level, floor, noise
        Of the price, what decides the floor, and what was rough in the first, every slot
        [n_days, 48].
    slow, spread
        Drift over months, and how far prices swing, every day [n_days].
    """

    level: Array
    floor: Array
    noise: Array
    slow: Array
    spread: Array


def draw_latent(
    parameters: PriceParameters, news: Array, noise: Array, drift: Array, spread: Array
) -> Latent:
    """Return the latents of the days.

    Parameters
    ----------
    news, drift, spread
        Independent standard normal values [WARM_UP_DAYS + n_days, K], [n_days] and [n_days].
    noise
        Independent values of unit variance [n_days × 48], from `jumpy`.
    """
    factors = factor_path(parameters, news)[WARM_UP_DAYS:]
    rest = normal.ar1_path(noise, parameters.noise_ar1).reshape(-1, SLOTS_PER_DAY)
    level = factors @ basis().T + parameters.noise_sd * rest
    floor = (factors * parameters.floor_weight) @ basis().T
    slow = normal.ar1_path(drift, SLOW_DAY_AR1)
    own = math.sqrt(1.0 - SWING_WITH_DRIFT**2) * normal.ar1_path(spread, SWING_DAY_AR1)
    return Latent(
        level / parameters.slot_sd,
        floor / parameters.floor_sd,
        rest,
        slow,
        SWING_WITH_DRIFT * slow + own,
    )


def factor_path(parameters: PriceParameters, news: Array) -> Array:
    """Return the factors of every day [n, K], from rest on the first."""
    shocks = news @ parameters.innovation.T
    path = np.zeros((len(shocks) + MONTH_DAYS, shocks.shape[1]))
    week, month = np.zeros(shocks.shape[1]), np.zeros(shocks.shape[1])
    by_week, by_month = parameters.week_memory / WEEK_DAYS, parameters.month_memory / MONTH_DAYS
    memory = parameters.memory
    for day, shock in enumerate(shocks, start=MONTH_DAYS):
        today = memory @ path[day - 1] + by_week * week + by_month * month + shock
        path[day] = today
        week += today - path[day - WEEK_DAYS]
        month += today - path[day - MONTH_DAYS]
    return path[MONTH_DAYS:]


def price_path(
    parameters: PriceParameters,
    calendar: Calendar,
    latent: Latent,
    crisis: CrisisParameters | None = None,
) -> Array:
    """Return the price of every slot [n_days × 48], JPY/kWh, in ticks of 0.01."""
    return to_price(raw_log_price(parameters, calendar, latent), parameters, crisis)


def raw_log_price(parameters: PriceParameters, calendar: Calendar, latent: Latent) -> Array:
    """Return log(1 + price) before the map [n_days, 48]; −∞ at the floor.

    Given that a slot is above the floor, what decided that is ranked anew, so that its score is
    standard normal again; the part of the level that it does not explain comes on top. How far a
    day swings stretches its whole course about its middle, the usual profile too: a wild day goes
    from a cheap noon to a very dear evening, which no rank within the slot alone can bring about.
    """
    cell = calendar.month, calendar.day_off
    p_floor = parameters.p_floor[cell]
    rank = (normal.cdf(latent.floor) - p_floor) / (1.0 - p_floor)
    kept = parameters.floor_correlation
    own = latent.level - kept * latent.floor
    score = kept * normal.quantile(np.maximum(rank, 1e-9)) + own
    share = parameters.slow_share
    score = math.sqrt(1.0 - share) * score + math.sqrt(share) * latent.slow[:, None]
    deviation = np.empty_like(score)
    for season in np.unique(calendar.season):
        rows = np.flatnonzero(calendar.season == season)
        for part, (first, stop) in enumerate(_PARTS):
            block = np.ix_(rows, np.arange(first, stop))
            deviation[block] = np.interp(score[block], SCORES, parameters.shape[season, part])
    raw = parameters.location[cell] + parameters.scale[calendar.month] * deviation
    above = rank > 0.0
    middle = np.where(above, raw, 0.0).sum(axis=1, keepdims=True)
    middle /= np.maximum(above.sum(axis=1, keepdims=True), 1)
    log_sd = parameters.spread_log_sd
    swing = parameters.swing * np.exp(log_sd * latent.spread - log_sd**2 / 2)[:, None]
    raw = middle + swing * (raw - middle)
    peak = np.interp(math.log1p(PEAK_JPY_PER_KWH), parameters.map_to, parameters.map_from)
    raw += parameters.peak_noise * latent.noise * np.maximum(raw - peak, 0.0)
    return np.where(above, raw, -np.inf)


def to_price(
    raw: Array, parameters: PriceParameters, crisis: CrisisParameters | None = None
) -> Array:
    """Return the price of every slot [n_days × 48] from what `raw_log_price` gives."""
    knots = parameters if crisis is None else crisis
    mapped = np.expm1(np.interp(raw, knots.map_from, knots.map_to))
    ticks = np.round(np.clip(mapped, FLOOR_JPY_PER_KWH, CAP_JPY_PER_KWH), 2)
    return np.where(np.isneginf(raw), FLOOR_JPY_PER_KWH, ticks).ravel()

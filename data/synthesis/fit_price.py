"""Fit of the price process to a series of whole days.

Location, floor probability and quantiles come from counts and means of cells, drawn towards the
cells' neighbours where there are few days. The latent of a slot at the floor is only known to lie
below its threshold; it is drawn from the normal distribution that the other slots of its day and
the days beside it leave for it (data augmentation for a censored Gaussian copula, Hoff 2007).
"""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from gridhash.data.readers.jepx import SLOTS_PER_DAY
from gridhash.data.synthesis import normal
from gridhash.data.synthesis.calendar import SEASONS, Calendar
from gridhash.data.synthesis.parameters import PriceParameters
from gridhash.data.synthesis.price import (
    FLOOR_JPY_PER_KWH,
    MONTH_DAYS,
    N_FACTORS,
    PART_OF_SLOT,
    SCORES,
    WARM_UP_DAYS,
    WEEK_DAYS,
    basis,
    factor_path,
)
from gridhash.errors import DataError

Array = npt.NDArray[np.float64]

PRIOR_DAYS = 6
"""Days that a cell's neighbours count for in its own mean and floor probability."""

N_SWEEPS = 40
RIDGE_DAYS = 2.0
MAX_RADIUS = 0.997
"""Largest eigenvalue allowed to the memory from day to day: it halves within 46 days."""

NOISE_KEPT = 0.35
FLOOR_ORDER = 3.5
"""Share of the fitted noise that is drawn, and the factor from which on the floor takes no notice.

Real prices are still for hours and then jump. Gaussian noise of the same variance crosses every
level far more often; these two bring lengths of runs at the floor and of spikes to the real ones
(FY2023–24 of Kyushu, Tokyo and Hokkaido).
"""

SPREAD_LOG_SD = 0.2
PEAK_NOISE = 0.3
"""Real days are either calm or wild; likewise chosen by the mean and p95 of the daily spread, and
by the length of spikes."""

_SIMULATED_DAYS = 5_000
_MAX_P_FLOOR = 0.97


def fit_price(price: Array, calendar: Calendar) -> PriceParameters:
    """Return the price process of an area.

    Parameters
    ----------
    price
        JPY/kWh [n_days, 48].
    calendar
        Of the same days; every month must hold working days and days off.

    Raises
    ------
    DataError
        If a month or kind of day is missing, or a slot of a month is never above the floor.
    """
    at_floor = price <= FLOOR_JPY_PER_KWH
    log_price = np.log1p(price)
    location, p_floor = _cells(log_price, at_floor, calendar)
    cell = calendar.month, calendar.day_off
    deviation = np.where(at_floor, np.nan, log_price - location[cell])
    scale = _scale(deviation, calendar)
    deviation = deviation / scale[calendar.month]
    shape = _shape(deviation, calendar)
    score = latent_of(deviation, shape, p_floor[cell], calendar)
    score = _impute(score, at_floor, normal.quantile(p_floor[cell]))
    fitted = fit_latent(score)
    return replace(fitted, location=location, p_floor=p_floor, scale=scale, shape=shape)


def _cells(
    log_price: Array, at_floor: npt.NDArray[np.bool_], calendar: Calendar
) -> tuple[Array, Array]:
    location, p_floor = np.empty((2, 12, 2, SLOTS_PER_DAY))
    for month in range(12):
        in_month = calendar.month == month
        above = (~at_floor[in_month]).sum(axis=0)
        if not above.all():
            raise DataError(
                f"month {month + 1} holds no price above the floor in slot "
                f"{int(np.argmin(above)) + 1}; fit on a longer span"
            )
        mean = np.where(at_floor, 0.0, log_price)[in_month].sum(axis=0) / above
        share = at_floor[in_month].mean(axis=0)
        for kind in range(2):
            rows = in_month & (calendar.day_off == kind)
            if not rows.any():
                raise DataError(
                    f"month {month + 1} holds no {'day off' if kind else 'working day'}; fit on "
                    "a longer span"
                )
            n_above = (~at_floor[rows]).sum(axis=0)
            total = np.where(at_floor, 0.0, log_price)[rows].sum(axis=0)
            location[month, kind] = (total + PRIOR_DAYS * mean) / (n_above + PRIOR_DAYS)
            n_floor = at_floor[rows].sum(axis=0)
            p_floor[month, kind] = (n_floor + PRIOR_DAYS * share) / (rows.sum() + PRIOR_DAYS)
    return location, np.minimum(p_floor, _MAX_P_FLOOR)


def _scale(deviation: Array, calendar: Calendar) -> Array:
    """Return the spread above the floor by month and slot [12, 48], smoothed over two hours."""
    square, count = np.empty((2, 12, SLOTS_PER_DAY))
    for month in range(12):
        rows = deviation[calendar.month == month]
        square[month] = np.nansum(rows**2, axis=0)
        count[month] = (~np.isnan(rows)).sum(axis=0)
    steps = range(-2, 3)
    total, number = (
        np.sum([np.roll(part, step, axis=1) for step in steps], axis=0) for part in (square, count)
    )
    return np.asarray(np.sqrt(total / number), dtype=np.float64)


def _shape(deviation: Array, calendar: Calendar) -> Array:
    """Return the quantiles of what lies above the floor, by season and part of the day."""
    probability = normal.cdf(SCORES)
    shape = np.empty((len(SEASONS), PART_OF_SLOT.max() + 1, len(SCORES)))
    for season in range(len(SEASONS)):
        for part in range(shape.shape[1]):
            values = deviation[_block(calendar, season, part)].ravel()
            shape[season, part] = np.quantile(values[~np.isnan(values)], probability)
    # Strictly rising, so that it can be inverted.
    return np.asarray(shape + 1e-6 * np.arange(len(SCORES)), dtype=np.float64)


def _block(calendar: Calendar, season: int, part: int) -> tuple[npt.NDArray[np.intp], ...]:
    return np.ix_(np.flatnonzero(calendar.season == season), np.flatnonzero(part == PART_OF_SLOT))


def latent_of(deviation: Array, shape: Array, p_floor: Array, calendar: Calendar) -> Array:
    """Return the latent of every slot above the floor [n_days, 48]; NaN at the floor."""
    score = np.empty_like(deviation)
    for season in range(len(SEASONS)):
        for part in range(shape.shape[1]):
            block = _block(calendar, season, part)
            score[block] = np.interp(deviation[block], shape[season, part], SCORES)
    latent = normal.quantile(p_floor + (1.0 - p_floor) * normal.cdf(score))
    return np.where(np.isnan(deviation), np.nan, latent)


def _impute(score: Array, at_floor: npt.NDArray[np.bool_], threshold: Array) -> Array:
    """Return the latents with those at the floor drawn below their thresholds."""
    rng = np.random.default_rng(0)
    below = normal.cdf(threshold)
    score = np.where(
        at_floor, normal.quantile(below * rng.uniform(0.01, 1.0, (len(score), 1))), score
    )
    waves = basis() / SLOTS_PER_DAY
    slots = [slot for slot in range(SLOTS_PER_DAY) if at_floor[:, slot].any()]
    for _ in range(N_SWEEPS):
        factors = score @ waves
        beside = np.hstack([np.roll(factors, 1, axis=0), np.roll(factors, -1, axis=0)])
        joint = np.hstack([score, beside])
        joint = joint - joint.mean(axis=0)
        covariance = joint.T @ joint / len(joint) + 1e-3 * np.eye(joint.shape[1])
        precision = np.linalg.inv(covariance)
        for slot in slots:
            rows = np.flatnonzero(at_floor[:, slot])
            sd = precision[slot, slot] ** -0.5
            weights = -precision[slot] / precision[slot, slot]
            weights[slot] = 0.0
            mean = joint[rows] @ weights
            room = normal.cdf((threshold[rows, slot] - mean) / sd)
            draw = mean + sd * normal.quantile(room * rng.uniform(0.001, 1.0, len(rows)))
            score[rows, slot] = joint[rows, slot] = np.minimum(draw, threshold[rows, slot])
    return score


def fit_latent(score: Array) -> PriceParameters:
    """Return the memory of the factors and the noise of latents [n_days, 48]; tables are empty."""
    score = score - score.mean(axis=0)
    waves = basis()
    factors = score @ waves / SLOTS_PER_DAY
    rest = score - factors @ waves.T
    memory, week, month, news = _memory(factors)
    noise_ar1 = float(np.corrcoef(rest[:, :-1].ravel(), rest[:, 1:].ravel())[0, 1])
    empty = np.empty(0)
    return with_noise(
        PriceParameters(
            location=empty,
            p_floor=empty,
            scale=empty,
            shape=empty,
            memory=memory,
            week_memory=week,
            month_memory=month,
            innovation=np.asarray(
                np.linalg.cholesky(np.cov(news.T) + 1e-6 * np.eye(N_FACTORS)), dtype=np.float64
            ),
            slot_sd=empty,
            floor_weight=empty,
            floor_sd=empty,
            floor_correlation=empty,
            noise_ar1=noise_ar1,
            noise_sd=0.0,
            noise_shape=_noise_shape(rest, noise_ar1),
            swing=1.0,
            spread_log_sd=SPREAD_LOG_SD,
            peak_noise=PEAK_NOISE,
            slow_share=0.0,
            map_from=np.array([0.0, 6.0]),
            map_to=np.array([0.0, 6.0]),
        ),
        noise_sd=NOISE_KEPT * float(rest.std()),
        floor_order=FLOOR_ORDER,
    )


def with_noise(
    parameters: PriceParameters, *, noise_sd: float, floor_order: float
) -> PriceParameters:
    """Return the process with other noise, and with factors beyond an order kept from the floor."""
    weight = 1.0 / (1.0 + (np.arange(N_FACTORS) / floor_order) ** 4)
    draws = np.random.default_rng(1).standard_normal((_SIMULATED_DAYS, N_FACTORS))
    factors = factor_path(parameters, draws)[WARM_UP_DAYS:]
    smooth = factors @ basis().T
    slot_sd = np.hypot(smooth.std(axis=0), noise_sd)
    floor = (factors * weight) @ basis().T
    floor_sd = floor.std(axis=0)
    return replace(
        parameters,
        noise_sd=noise_sd,
        slot_sd=slot_sd,
        floor_weight=weight,
        floor_sd=floor_sd,
        floor_correlation=(smooth * floor).mean(axis=0) / (slot_sd * floor_sd),
    )


def _noise_shape(rest: Array, ar1: float) -> float:
    """Return the shape that gives the changes of `rest` their kurtosis, within 0.3 and 10."""
    change = rest[:, 1:] - ar1 * rest[:, :-1]
    kurtosis = float((change**4).mean() / (change**2).mean() ** 2)
    return float(np.clip(3.0 / max(kurtosis - 3.0, 0.1), 0.3, 10.0))


def _memory(factors: Array) -> tuple[Array, Array, Array, Array]:
    """Return the effects of yesterday, week and month, and the news of each day after the first."""
    total = np.cumsum(np.vstack([np.zeros(N_FACTORS), factors]), axis=0)
    first = MONTH_DAYS
    yesterday = factors[first - 1 : -1]
    week = (total[first:-1] - total[first - WEEK_DAYS : -1 - WEEK_DAYS]) / WEEK_DAYS
    month = (total[first:-1] - total[: -1 - MONTH_DAYS]) / MONTH_DAYS
    today = factors[first:]
    memory = np.empty((N_FACTORS, N_FACTORS))
    by_week, by_month = np.empty((2, N_FACTORS))
    for k in range(N_FACTORS):
        known = np.column_stack([yesterday, week[:, k], month[:, k]])
        ridge = RIDGE_DAYS * np.diag(known.var(axis=0))
        effect = np.linalg.solve(known.T @ known + ridge, known.T @ today[:, k])
        memory[k], by_week[k], by_month[k] = effect[:N_FACTORS], effect[-2], effect[-1]
    radius = _radius(memory, by_week, by_month)
    if radius > MAX_RADIUS:
        shrink = MAX_RADIUS / radius
        memory, by_week, by_month = memory * shrink, by_week * shrink, by_month * shrink
    news = today - yesterday @ memory.T - week * by_week - month * by_month
    return memory, by_week, by_month, news


def _radius(memory: Array, week: Array, month: Array) -> float:
    """Return the largest absolute eigenvalue of the recursion in companion form."""
    k = len(memory)
    size = k * MONTH_DAYS
    companion = np.zeros((size, size))
    lags = np.arange(MONTH_DAYS)
    for factor in range(k):
        companion[factor, factor + lags * k] = month[factor] / MONTH_DAYS
        companion[factor, factor + lags[:WEEK_DAYS] * k] += week[factor] / WEEK_DAYS
    companion[:k, :k] += memory
    companion[k:, :-k] = np.eye(size - k)
    return float(np.abs(np.linalg.eigvals(companion)).max())

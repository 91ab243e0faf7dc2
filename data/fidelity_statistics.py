"""Statistics of Japanese prices, curtailment, temperature and hashprice, real or synthetic alike.

The same function measures both sides of a fidelity report, so that an estimator's own bias falls
on both. Definitions follow the tables from which the targets come: seasons from December on,
weekends are Saturdays and Sundays, a run ends where the condition fails for one slot.
"""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import pandas as pd

from gridhash.data.readers.jepx import SLOTS_PER_DAY, TIMEZONE
from gridhash.data.runs import run_lengths
from gridhash.data.synthesis.calendar import SEASONS, days_of

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

FLOOR_JPY_PER_KWH = 0.01
LOG_CLIP_JPY_PER_KWH = 0.5
LAGS = (1, 2, 4, 48, 96, 336)
"""Of the autocorrelation of prices [half hours]."""
SPIKES_JPY_PER_KWH = (20, 30, 40)
SPRING_HOURS = (0, 5, 12, 18, 23)
FLOOR_HOURS = (7, 9, 11, 12, 14, 16, 17)
HOURS_PER_YEAR = 8760.0


def autocorrelation(values: Array, lag: int) -> float:
    """Return the correlation of a series with itself `lag` steps later."""
    return float(np.corrcoef(values[:-lag], values[lag:])[0, 1])


def yearly_price_statistics(starts: pd.DatetimeIndex, price: Array) -> dict[str, float]:
    """Return the statistics that are tabled per fiscal year; years count by their length.

    Parameters
    ----------
    starts
        Half hours, UTC, whole local days; the last fiscal year may be a part of one.
    price
        JPY/kWh.
    """
    local = starts.tz_convert(TIMEZONE)
    fiscal = np.asarray(local.year - (local.month < 4))
    years, length = np.unique(fiscal, return_counts=True)
    frame = pd.DataFrame([_one_year(price[fiscal == year]) for year in years])
    weight = frame.notna().mul(length, axis=0)
    mean = frame.mul(length, axis=0).sum() / weight.sum()
    return {str(name): float(value) for name, value in mean.items()}


def mean_of(rows: Iterable[dict[str, float]]) -> dict[str, float]:
    """Return the mean of each statistic over several sets of them, leaving out what is NaN."""
    frame = pd.DataFrame(list(rows))
    return {str(name): float(value) for name, value in frame.mean().items()}


def _one_year(price: Array) -> dict[str, float]:
    runs = run_lengths(price <= FLOOR_JPY_PER_KWH)
    days = price.reshape(-1, SLOTS_PER_DAY)
    n_days = (days <= FLOOR_JPY_PER_KWH).any(axis=1).mean() * 365
    return {
        "year mean": float(price.mean()),
        "year sd": float(price.std(ddof=1)),
        "year p95": float(np.quantile(price, 0.95)),
        "year max": float(price.max()),
        "share at 0.01": float((price <= FLOOR_JPY_PER_KWH).mean()),
        "share ≤ 5": float((price <= 5).mean()),
        "share > 30": float((price > 30).mean()),
        "days with 0.01": float(n_days),
        "run at 0.01, mean h": float(runs.mean() / 2) if runs.size else np.nan,
    }


def pooled_price_statistics(starts: pd.DatetimeIndex, price: Array) -> dict[str, float]:
    """Return the statistics that are tabled over all years at once; arguments as above."""
    calendar = days_of(starts)
    weekday = np.asarray(starts[::SLOTS_PER_DAY].tz_convert(TIMEZONE).day_of_week)
    days = price.reshape(-1, SLOTS_PER_DAY)
    at_floor = days <= FLOOR_JPY_PER_KWH
    statistics: dict[str, float] = {}
    for number, season in enumerate(SEASONS):
        part = days[calendar.season == number]
        statistics[f"{season} mean"] = float(part.mean())
        statistics[f"{season} sd"] = float(part.std(ddof=1))
        statistics[f"{season} share at 0.01"] = float((part <= FLOOR_JPY_PER_KWH).mean())
    spring = calendar.season == SEASONS.index("spring")
    for hour in SPRING_HOURS:
        statistics[f"spring mean {hour} h"] = float(days[spring, 2 * hour : 2 * hour + 2].mean())
    for hour in FLOOR_HOURS:
        share = at_floor[spring, 2 * hour : 2 * hour + 2].mean()
        statistics[f"spring share at 0.01, {hour} h"] = float(share)
    ordered = np.sort(days, axis=1)
    spread = ordered[:, -1] - ordered[:, 0]
    statistics |= {
        "weekday mean": float(days[weekday < 5].mean()),
        "weekend mean": float(days[weekday >= 5].mean()),
        "daily spread mean": float(spread.mean()),
        "daily spread p95": float(np.quantile(spread, 0.95)),
        "cheapest 6 h": float(ordered[:, :12].mean()),
        "dearest 6 h": float(ordered[:, -12:].mean()),
    }
    statistics |= {f"ACF {lag / 2:g} h": autocorrelation(price, lag) for lag in LAGS}
    statistics |= _log_residual(days, calendar.month, weekday >= 5)
    years = len(price) / 2 / HOURS_PER_YEAR
    for threshold in SPIKES_JPY_PER_KWH:
        runs_h = run_lengths(price > threshold) / 2
        statistics[f"> {threshold}: episodes a year"] = runs_h.size / years
        if runs_h.size:
            statistics[f"> {threshold}: mean h"] = float(runs_h.mean())
            statistics[f"> {threshold}: p95 h"] = float(np.quantile(runs_h, 0.95))
    for month in range(12):
        share = at_floor[calendar.month == month].any(axis=1).mean()
        statistics[f"days with 0.01, month {month + 1}"] = float(share)
    return statistics


def seasonal_profile(starts: pd.DatetimeIndex, price: Array) -> Array:
    """Return the mean price by season and slot [4, 48], JPY/kWh."""
    season = days_of(starts).season
    days = price.reshape(-1, SLOTS_PER_DAY)
    return np.stack([days[season == number].mean(axis=0) for number in range(len(SEASONS))])


def _log_residual(days: Array, month: npt.NDArray[np.intp], weekend: Flags) -> dict[str, float]:
    log_price = np.log(np.maximum(days, LOG_CLIP_JPY_PER_KWH))
    residual = np.empty_like(log_price)
    for key in np.unique(month * 2 + weekend):
        rows = month * 2 + weekend == key
        residual[rows] = log_price[rows] - log_price[rows].mean(axis=0)
    level = residual.mean(axis=1)
    within = residual - level[:, None]
    return {
        "log residual sd": float(residual.std()),
        "log daily level sd": float(level.std()),
        "log daily level AR1": autocorrelation(level, 1),
        "log intraday sd": float(within.std()),
        "log intraday AR1": autocorrelation(within.ravel(), 1),
    }


def curtailment_statistics(
    starts: pd.DatetimeIndex, price: Array, curtailed_mw: Array
) -> dict[str, float]:
    """Return hours, days, energy, episodes, persistence and the link to price.

    Parameters
    ----------
    starts
        Hours, UTC, whole local days.
    price, curtailed_mw
        Mean price [JPY/kWh] and mean curtailed power [MW] of each hour.
    """
    local = starts[::24].tz_convert(TIMEZONE)
    years = len(price) / HOURS_PER_YEAR
    curtailed: Flags = np.asarray(curtailed_mw > 0)
    statistics = {
        "curtailed h a year": float(curtailed.sum() / years),
        "curtailed days a year": float(curtailed.reshape(-1, 24).any(axis=1).sum() / years),
        "curtailed GWh a year": float(curtailed_mw.sum() / years / 1000),
        "curtailed max MW": float(curtailed_mw.max()),
    }
    if not curtailed.any():
        return statistics
    cheap: Flags = np.asarray(price <= LOG_CLIP_JPY_PER_KWH)
    runs = run_lengths(curtailed)
    day: Flags = np.asarray(curtailed.reshape(-1, 24).any(axis=1))
    month = np.asarray(local.month)
    noon = curtailed.reshape(-1, 24)[:, 12]
    statistics |= {
        "P(price ≤ 0.5 | curtailed)": float(cheap[curtailed].mean()),
        "P(curtailed | price ≤ 0.5)": float(curtailed[cheap].mean()),
        "price while curtailed": float(price[curtailed].mean()),
        "price otherwise": float(price[~curtailed].mean()),
        "curtailment episode, mean h": float(runs.mean()),
        "curtailment episode, max h": float(runs.max()),
        "P(curtailed day | after one)": float(day[1:][day[:-1]].mean()),
        "P(curtailed day | after none)": float(day[1:][~day[:-1]].mean()),
        "weekend share of curtailed h": float(
            curtailed.reshape(-1, 24)[np.asarray(local.day_of_week) >= 5].sum() / curtailed.sum()
        ),
    }
    for number in range(1, 13):
        share = noon[month == number].mean()
        statistics[f"P(curtailed at noon), month {number}"] = float(share)
    return statistics


def temperature_statistics(starts: pd.DatetimeIndex, temp_c: Array) -> dict[str, float]:
    """Return monthly means and spreads, extremes and persistence of hourly temperature [°C]."""
    local = starts.tz_convert(TIMEZONE)
    month = np.asarray(local.month)
    statistics: dict[str, float] = {}
    for number in range(1, 13):
        part = temp_c[month == number]
        statistics[f"temperature mean, month {number}"] = float(part.mean())
        statistics[f"temperature sd, month {number}"] = float(part.std())
    profile = pd.Series(temp_c).groupby([month, np.asarray(local.hour)]).transform("mean")
    rest = temp_c - profile.to_numpy()
    yearly_max = pd.Series(temp_c).groupby(np.asarray(local.year)).max()
    by_day = temp_c.reshape(-1, 24)
    return statistics | {
        "temperature p95 in August": float(np.quantile(temp_c[month == 8], 0.95)),
        "temperature yearly max": float(yearly_max.mean()),
        "temperature daily range": float((by_day.max(axis=1) - by_day.min(axis=1)).mean()),
        "temperature anomaly ACF 1 h": autocorrelation(rest, 1),
        "temperature anomaly ACF 24 h": autocorrelation(rest, 24),
    }


def hashprice_statistics(hashprice: Array, retargets: Array) -> dict[str, float]:
    """Return the daily volatility, and number, mean and spread of difficulty changes.

    Parameters
    ----------
    hashprice
        One value per day [USD/(PH/s)/day].
    retargets
        Relative change of difficulty at each retarget in the same days.
    """
    return {
        "hashprice daily log sd": float(np.diff(np.log(hashprice)).std(ddof=1)),
        "retargets a year": retargets.size * 365 / hashprice.size,
        "retarget mean": float(retargets.mean()),
        "retarget sd": float(retargets.std(ddof=1)),
    }


def market_statistics(price_per_mwh: Array, period_s: int) -> dict[str, float]:
    """Return level, tails, memory and length of episodes of a market's prices [currency/MWh]."""
    per_hour = 3600 // period_s
    found = {
        "mean": float(price_per_mwh.mean()),
        "sd": float(price_per_mwh.std()),
        "share < 0": float((price_per_mwh < 0).mean()),
        "max": float(price_per_mwh.max()),
    }
    ranks = np.asarray(pd.Series(price_per_mwh).rank(), dtype=np.float64)
    for name, lag in (("1 step", 1), ("1 h", per_hour), ("1 d", 24 * per_hour)):
        found[f"ACF {name}"] = autocorrelation(price_per_mwh, lag)
        found[f"ACF of ranks, {name}"] = autocorrelation(ranks, lag)
    episodes = {"< 0": price_per_mwh < 0}
    for share in (0.95, 0.99):
        episodes[f"above p{100 * share:.0f}"] = price_per_mwh > np.quantile(price_per_mwh, share)
    for name, flags in episodes.items():
        hours = run_lengths(flags) / per_hour
        if hours.size:
            found[f"{name}: mean h"] = float(hours.mean())
            found[f"{name}: p95 h"] = float(np.quantile(hours, 0.95))
    return found

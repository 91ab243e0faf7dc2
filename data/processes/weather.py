"""Outdoor temperature, humidity, and light of the sun under clouds."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd

from gridhash.config_processes import IrradianceProcess, WeatherProcess
from gridhash.data.processes.climates import CLIMATES
from gridhash.data.processes.common import (
    DAY_S,
    LABEL,
    Array,
    Index,
    at_end,
    labelled,
    local_time,
    stream,
)
from gridhash.data.sun import sun_positions
from gridhash.data.surplus import PvSystem, with_behind_meter_pv
from gridhash.data.synthesis import normal
from gridhash.data.trace import Trace

WARMEST_HOUR = 15.0
COLDEST_HOUR = 5.5
DAY_MEMORY_H = 60.0
"""Time constant of a day's deviation: e^(−24/60) = 0.67."""

HOUR_SD_K, HOUR_MEMORY_H = 0.7, 2.0
HUMIDITY_LOGIT_SD, HUMIDITY_MEMORY_H = 0.55, 28.0
"""e^(−24/28) = 0.42; at Tokyo Haneda the daily mean deviates by 0.12 with 0.43."""

CLOUD_STEP_S = 300
CLEARNESS = np.array([1.0, 0.6, 0.22])
"""Mean clear-sky index when clear, broken and overcast; assumed."""

CLEARNESS_SD = np.array([0.02, 0.25, 0.08])
CLOUD_MEMORY_H = 1.0 / 6.0


def monthly(table: tuple[float, ...], starts: pd.DatetimeIndex) -> Array:
    """Return a monthly table for each start, linear between the middles of the months."""
    months = np.arange(-1, 13)
    day = np.asarray(starts.day_of_year) - 1 + np.asarray(starts.hour) / 24.0
    middles = (months + 0.5) * 30.4375
    return np.asarray(np.interp(day, middles, np.array(table)[months % 12]), dtype=np.float64)


def climate_c(climate: str, starts: pd.DatetimeIndex, timezone: str) -> Array:
    """Return the mean temperature of a climate by season and hour [°C].

    The daily wave rises from the coldest hour, 5:30, to the warmest, 15:00, as a cosine and falls
    as another.
    """
    hour = local_time(starts, timezone).hour
    rising = WARMEST_HOUR - COLDEST_HOUR
    since = (hour - COLDEST_HOUR) % 24.0
    phase = np.where(since <= rising, since / rising, 1.0 + (since - rising) / (24.0 - rising))
    values = CLIMATES[climate]
    return monthly(values.mean_c, starts) - values.wave_k * np.cos(math.pi * phase)


def with_temperature(trace: Trace, settings: WeatherProcess, *, timezone: str, seed: int) -> Trace:
    """Return the trace with `outdoor_temp_c`, known at the end of each period.

    Raises
    ------
    DataError
        If the trace holds the column already.
    """
    rng = stream(seed, "outdoor_temp_c")
    slow = _ar1(rng, trace, DAY_MEMORY_H)
    fast = _ar1(rng, trace, HOUR_MEMORY_H)
    day_sd_k = CLIMATES[settings.climate].day_sd_k
    mean_c = climate_c(settings.climate, trace.starts, timezone)
    note = (
        f"climate of {settings.climate} (normals assumed), daily wave, autoregressive deviations "
        f"of {day_sd_k:g} K over {DAY_MEMORY_H:g} h and {HOUR_SD_K:g} K over {HOUR_MEMORY_H:g} h, "
        f"seed {seed}"
    )
    name = "outdoor_temp_c"
    values = mean_c + day_sd_k * slow + HOUR_SD_K * fast
    return labelled(trace, {name: values}, {name: at_end(trace)}, note)


def with_humidity(trace: Trace, settings: WeatherProcess, *, seed: int) -> Trace:
    """Return the trace with `relative_humidity_frac`, known when the temperature is.

    The air's water is that of the drawn daily humidity at the mean temperature of the last 24 h;
    divided by what the air can hold at the present one (Magnus), at most 1.

    Raises
    ------
    DataError
        If the trace holds the column already, or lacks `outdoor_temp_c`.
    """
    temp_c = trace.column("outdoor_temp_c")
    rows = DAY_S // trace.period_s
    mean_c = pd.Series(temp_c).rolling(rows, min_periods=1).mean().to_numpy()
    rng = stream(seed, "relative_humidity_frac")
    base = monthly(CLIMATES[settings.climate].humidity_frac, trace.starts)
    logit = np.log(base / (1.0 - base)) + HUMIDITY_LOGIT_SD * _ar1(rng, trace, HUMIDITY_MEMORY_H)
    water_kpa = saturation_kpa(mean_c) / (1.0 + np.exp(-logit))
    values = np.clip(water_kpa / saturation_kpa(temp_c), 0.05, 1.0)
    note = (
        f"monthly means of {settings.climate} (assumed), autoregressive with {HUMIDITY_LOGIT_SD:g} "
        f"(logit) over {HUMIDITY_MEMORY_H:g} h, water of the air constant within a day, seed {seed}"
    )
    name = "relative_humidity_frac"
    return labelled(trace, {name: values}, {name: at_end(trace, "outdoor_temp_c")}, note)


def saturation_kpa(temp_c: Array) -> Array:
    """Return the saturation pressure of water [kPa] (Magnus, Alduchov and Eskridge 1996).

    >>> round(float(saturation_kpa(np.array(20.0))), 2)
    2.33
    """
    return np.asarray(0.61094 * np.exp(17.625 * temp_c / (temp_c + 243.04)), dtype=np.float64)


def with_irradiance(trace: Trace, settings: IrradianceProcess, *, seed: int) -> Trace:
    """Return the trace with `ghi_w_per_m2`, known at the end of each period.

    Clear sky by Haurwitz (1945) through pvlib, times a clear-sky index: a Markov process of clear,
    broken and overcast skies in steps of 5 min, whose index wanders within each; a period holds
    the mean of its steps.

    Raises
    ------
    DataError
        If the trace holds the column already.
    """
    import pvlib  # takes half a second

    step_s = min(CLOUD_STEP_S, trace.period_s)
    while trace.period_s % step_s:
        step_s -= 1
    sun = sun_positions(trace.start, trace.end, step_s, settings.latitude, settings.longitude)
    clear = pvlib.clearsky.haurwitz(sun["apparent_zenith"])["ghi"].to_numpy(dtype=np.float64)
    rng = stream(seed, "ghi_w_per_m2")
    state = _sky(rng, len(sun), step_s, settings)
    wander = normal.ar1(rng, math.exp(-step_s / 3600.0 / CLOUD_MEMORY_H), len(sun))
    index = np.clip(CLEARNESS[state] + CLEARNESS_SD[state] * wander, 0.05, 1.15)
    ghi = (clear * index).reshape(trace.n_rows, -1).mean(axis=1)
    note = (
        f"clear sky at {settings.latitude:g}, {settings.longitude:g} times a Markov process of "
        f"skies, clear {settings.clear_share:g} and broken {settings.broken_share:g} of the time, "
        f"clear for {settings.clear_dwell_h:g} h on average, index {_listed(CLEARNESS)} with "
        f"{_listed(CLEARNESS_SD)} over 10 min, seed {seed}"
    )
    name = "ghi_w_per_m2"
    return labelled(trace, {name: ghi}, {name: at_end(trace)}, note)


def with_pv(trace: Trace, settings: IrradianceProcess) -> Trace:
    """Return the trace with `behind_meter_pv_frac` from its light, by `with_behind_meter_pv`.

    Raises
    ------
    DataError
        If the trace lacks `ghi_w_per_m2` or `outdoor_temp_c`.
    """
    if settings.pv_peak_kw is None or settings.contract_power_kw is None:
        return trace
    system = PvSystem(
        latitude=settings.latitude,
        longitude=settings.longitude,
        peak_kw=settings.pv_peak_kw,
        tilt=settings.pv_tilt,
        azimuth=settings.pv_azimuth,
    )
    result = with_behind_meter_pv(trace, system, site_kw=settings.contract_power_kw)
    drawn = [
        name
        for name in ("ghi_w_per_m2", "outdoor_temp_c")
        if any(note.startswith(f"{LABEL} {name}:") for note in trace.notes)
    ]
    if not drawn:
        return result
    note = f"{LABEL} behind_meter_pv_frac: from synthetic {' and '.join(drawn)}"
    return replace(result, notes=(*result.notes, note))


def _sky(rng: np.random.Generator, n_steps: int, step_s: int, settings: IrradianceProcess) -> Index:
    """Return 0 clear, 1 broken, 2 overcast for each step.

    Each sky lasts an exponential time and gives way to any sky by the shares: time constants are
    the same for all, so that the shares hold, and a clear sky's mean run is `clear_dwell_h`.
    """
    shares = np.array([settings.clear_share, settings.broken_share])
    shares = np.append(shares, 1.0 - shares.sum())
    change = step_s / 3600.0 / settings.clear_dwell_h / (1.0 - settings.clear_share)
    draws = rng.random((n_steps, 2))
    is_new = draws[:, 0] < change
    is_new[0] = True
    picked = np.searchsorted(np.cumsum(shares), draws[:, 1], side="right")
    last = np.maximum.accumulate(np.where(is_new, np.arange(n_steps), 0))
    return np.minimum(picked[last], 2).astype(np.intp)


def _ar1(rng: np.random.Generator, trace: Trace, memory_h: float) -> Array:
    return normal.ar1(rng, math.exp(-trace.period_s / 3600.0 / memory_h), trace.n_rows)


def _listed(values: Array) -> str:
    return "/".join(f"{value:g}" for value in values)

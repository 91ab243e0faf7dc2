"""Outdoor temperature: season, daily wave, an anomaly that lasts over days, and what is left."""

import math

import numpy as np
import numpy.typing as npt

from gridhash.data.readers.jepx import SLOTS_PER_DAY
from gridhash.data.synthesis import normal
from gridhash.data.synthesis.calendar import Calendar
from gridhash.data.synthesis.parameters import TemperatureParameters
from gridhash.data.synthesis.price import Latent

Array = npt.NDArray[np.float64]

_DAYS_PER_MONTH = 30.4375


def outdoor_temp_c(
    parameters: TemperatureParameters,
    calendar: Calendar,
    latent: Latent,
    weather: np.random.Generator,
    gusts: np.random.Generator,
) -> Array:
    """Return the outdoor temperature of every half hour [n_days × 48], °C."""
    mean_c, amplitude_k, day_sd_k = (
        between_months(table, calendar)
        for table in (
            parameters.monthly_mean_c,
            parameters.diurnal_amplitude_k,
            parameters.day_sd_k,
        )
    )
    hours = (np.arange(SLOTS_PER_DAY) + 0.5) * 24 / SLOTS_PER_DAY
    wave = np.cos(2 * math.pi * (hours - parameters.warmest_hour) / 24)
    level = latent.level.mean(axis=1)
    link = np.asarray(parameters.price_link[calendar.season], dtype=np.float64)
    own = normal.ar1(weather, parameters.day_ar1, calendar.n_days)
    anomaly = link * (level - level.mean()) / level.std() + np.sqrt(1.0 - link**2) * own
    by_day = (mean_c + day_sd_k * anomaly)[:, None] + amplitude_k[:, None] * wave
    slots = normal.ar1(gusts, parameters.slot_ar1, calendar.n_days * SLOTS_PER_DAY)
    return np.asarray(by_day.ravel() + parameters.slot_sd_k * slots, dtype=np.float64)


def between_months(table: Array, calendar: Calendar) -> Array:
    """Return a monthly table [12] for every day, linear between the middles of the months."""
    months = np.arange(-1, 13)
    middle_day = _DAYS_PER_MONTH * (months + 0.5)
    days = np.interp(calendar.day_of_year - 0.5, middle_day, table[months % 12])
    return np.asarray(days, dtype=np.float64)

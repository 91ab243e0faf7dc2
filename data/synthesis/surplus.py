"""Curtailed renewables of one area, drawn with the prices of the same days.

A day tends to curtailment as far as its midday is cheap and as far as something of its own, which
lasts over days, says so. An hour is curtailed where the tendency passes the threshold of its month,
hour and kind of day, so that a day holds one episode about noon.
"""

import math

import numpy as np
import numpy.typing as npt

from gridhash.data.synthesis import normal
from gridhash.data.synthesis.calendar import Calendar
from gridhash.data.synthesis.parameters import SurplusParameters
from gridhash.data.synthesis.price import Latent

Array = npt.NDArray[np.float64]

NOON_SLOT = 24
FULL_SURPLUS_MW = 500.0
"""Curtailed power of the area from which on the site may take all it wants; assumed:
a hundred times the model site, since others want some of it too."""

MAX_PROBABILITY = 0.97


def curtailed_mw(
    parameters: SurplusParameters,
    calendar: Calendar,
    latent: Latent,
    sky: np.random.Generator,
    size: np.random.Generator,
) -> Array:
    """Return the mean curtailed power of every hour [n_days × 24], MW."""
    tendency = day_tendency(parameters, latent, sky)
    halves = np.repeat(sky.standard_normal((calendar.n_days, 2)), 12, axis=1)
    total = math.hypot(1.0, parameters.start_sd)
    hourly = (tendency[:, None] + parameters.start_sd * halves) / total
    is_curtailed = hourly < normal.quantile(probability(parameters, calendar))
    log_sd = parameters.day_log_sd
    factor = np.exp(log_sd * size.standard_normal(calendar.n_days) - log_sd**2 / 2)
    power = parameters.mean_mw_by_month_hour[calendar.month] * factor[:, None]
    return np.where(is_curtailed, np.minimum(power, parameters.max_mw), 0.0).ravel()


def day_tendency(parameters: SurplusParameters, latent: Latent, sky: np.random.Generator) -> Array:
    """Return the standard normal tendency of each day; low means curtailment."""
    link = parameters.price_link
    own = normal.ar1(sky, parameters.day_ar1, len(latent.floor))
    return np.asarray(
        link * latent.floor[:, NOON_SLOT] + math.sqrt(1.0 - link**2) * own, dtype=np.float64
    )


def probability(parameters: SurplusParameters, calendar: Calendar) -> Array:
    """Return the probability of curtailment [n_days, 24]."""
    ratio = np.array([parameters.weekday_ratio, parameters.weekend_ratio])[calendar.day_off]
    table = parameters.p_by_month_hour[calendar.month] * ratio[:, None]
    return np.asarray(np.minimum(table, MAX_PROBABILITY), dtype=np.float64)


def surplus_frac(power_mw: Array) -> Array:
    """Return the share of the site's nameplate power that curtailed power of the area covers."""
    return np.asarray(np.minimum(power_mw / FULL_SURPLUS_MW, 1.0), dtype=np.float64)

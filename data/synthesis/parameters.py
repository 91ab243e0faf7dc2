"""Parameters of the synthetic Japanese year, and the committed file that holds them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from importlib import resources
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from gridhash.errors import DataError

Array = npt.NDArray[np.float64]

PARAMETER_FILE = "synthetic_japan.json"

Part = TypeVar("Part")


@dataclass(frozen=True, eq=False)
class PriceParameters:
    """Price process of one area; see `gridhash.data.synthesis.price` for what each does.

    Attributes
    ----------
    location
        Mean of log(1 + price) above the floor, by month, kind of day and slot [12, 2, 48].
    p_floor
        Probability of the floor price, likewise [12, 2, 48].
    scale
        Standard deviation of log(1 + price) above the floor, by month and slot [12, 48].
    shape
        Deviation of log(1 + price) from `location` in units of `scale`, by season, part of the
        day and standard normal score [4, 4, len(SCORES)]; rises along the last axis.
    memory
        Effect of yesterday's factors on today's [K, K].
    week_memory, month_memory
        Effect of the mean of the last 7 and 28 days, factor by factor [K].
    innovation
        Lower Cholesky factor of the covariance of each day's news [K, K].
    slot_sd
        Standard deviation of the latent by slot before it is standardised [48].
    floor_weight
        What counts of each factor when the floor is decided [K]; the fine ones do less.
    floor_sd, floor_correlation
        Standard deviation of the latent that decides, and its correlation with the other [48].
    noise_ar1, noise_sd, noise_shape
        Autoregression from slot to slot, spread, and shape of the shocks of what comes on top of
        the factors (`gridhash.data.synthesis.price.jumpy`).
    swing
        Factor on how far prices swing within the day, against how far days differ.
    spread_log_sd
        Spread, from day to day, of how far prices swing within the day.
    peak_noise
        Noise on top of prices above the start of the steep end of the supply curve, as a share of
        the distance from there in log(1 + price).
    slow_share
        Share of the variance above the floor that drifts over months, as fuel prices do.
    map_from, map_to
        Knots of a rising map on log(1 + price), applied last [any length, equal].
    """

    location: Array
    p_floor: Array
    scale: Array
    shape: Array
    memory: Array
    week_memory: Array
    month_memory: Array
    innovation: Array
    slot_sd: Array
    floor_weight: Array
    floor_sd: Array
    floor_correlation: Array
    noise_ar1: float
    noise_sd: float
    noise_shape: float
    swing: float
    spread_log_sd: float
    peak_noise: float
    slow_share: float
    map_from: Array
    map_to: Array


@dataclass(frozen=True, eq=False)
class SurplusParameters:
    """Curtailment of one area.

    Attributes
    ----------
    p_by_month_hour
        Probability that renewables are curtailed [12, 24].
    mean_mw_by_month_hour
        Mean curtailed power where they are [12, 24].
    weekday_ratio, weekend_ratio
        Factors on the probability by kind of day.
    day_ar1
        Autoregression from day to day of what does not come from the price.
    price_link
        Correlation of the day's tendency to curtail with how cheap midday is.
    start_sd
        Spread of the tendency from half day to half day, standard normal scores.
    day_log_sd
        Spread of curtailed power from day to day.
    max_mw
        Most power that is ever curtailed.
    """

    p_by_month_hour: Array
    mean_mw_by_month_hour: Array
    weekday_ratio: float
    weekend_ratio: float
    day_ar1: float
    price_link: float
    start_sd: float
    day_log_sd: float
    max_mw: float


@dataclass(frozen=True, eq=False)
class TemperatureParameters:
    """Outdoor temperature of one area.

    Attributes
    ----------
    monthly_mean_c, diurnal_amplitude_k, day_sd_k
        Mean, half the daily wave, and spread of daily means about the season, by month [12].
    warmest_hour
        Local time of the peak of the daily wave [h].
    day_ar1, slot_ar1
        Autoregression of the daily anomaly, and of the rest from slot to slot.
    slot_sd_k
        Spread of the rest.
    price_link
        Correlation of the daily anomaly with the day's price level, by season [4].
    """

    monthly_mean_c: Array
    diurnal_amplitude_k: Array
    day_sd_k: Array
    warmest_hour: float
    day_ar1: float
    slot_ar1: float
    slot_sd_k: float
    price_link: Array


@dataclass(frozen=True, eq=False)
class HashpriceParameters:
    """Log-Ornstein–Uhlenbeck process with a jump at each difficulty retarget.

    Attributes
    ----------
    start_usd_per_phs_day
        First value, and what the process reverts to.
    daily_log_sd
        Volatility between retargets.
    daily_reversion
        Share of the distance to the home level that is made up in a day.
    retarget_mean, retarget_sd, retarget_low, retarget_high
        Relative change of difficulty at a retarget: normal within bounds.
    """

    start_usd_per_phs_day: float
    daily_log_sd: float
    daily_reversion: float
    retarget_mean: float
    retarget_sd: float
    retarget_low: float
    retarget_high: float


@dataclass(frozen=True, eq=False)
class CrisisParameters:
    """What a scarcity regime makes of a usual year.

    Attributes
    ----------
    map_from, map_to
        Knots that replace those of `PriceParameters`.
    spell_first_day, spell_days
        A spell of scarcity: days after 1 December, and length [d].
    spell_score
        What it adds to the latent level, standard normal scores.
    """

    map_from: Array
    map_to: Array
    spell_first_day: int
    spell_days: int
    spell_score: float


@dataclass(frozen=True, eq=False)
class JapanParameters:
    """Everything that `synthetic_japan` draws from; a part that is None is left out of the trace.

    Attributes
    ----------
    area
        One of `areas()`.
    area_row
        The area's row of the Cholesky factor of the correlation between the areas [9].
    crisis
        None where only the usual regime is known.
    """

    area: str
    area_row: Array
    price: PriceParameters
    surplus: SurplusParameters | None
    temperature: TemperatureParameters | None
    hashprice: HashpriceParameters | None
    crisis: CrisisParameters | None


@cache
def shipped() -> dict[str, Any]:
    """Return the content of the committed file."""
    text = (resources.files("gridhash.data.samples") / PARAMETER_FILE).read_text(encoding="utf-8")
    values: dict[str, Any] = json.loads(text)
    return values


@cache
def shipped_parameters(area: str) -> JapanParameters:
    """Return the committed parameters of an area; raise DataError if there is no such area."""
    values = shipped()
    if area not in values["areas"]:
        raise DataError(f"no synthetic area {area!r}; choose one of {', '.join(values['areas'])}")
    part = values["areas"][area]
    return JapanParameters(
        area=area,
        area_row=area_row(area),
        price=_load(PriceParameters, part["price"]),
        surplus=_load(SurplusParameters, part["surplus"]),
        temperature=_load(TemperatureParameters, part["temperature"]),
        hashprice=_load(HashpriceParameters, values["hashprice"]),
        crisis=_load(CrisisParameters, part["crisis"]),
    )


def area_row(area: str) -> Array:
    """Return an area's row of the Cholesky factor of the correlation between areas [9]."""
    values = shipped()
    if area not in values["areas"]:
        raise DataError(f"no synthetic area {area!r}; choose one of {', '.join(values['areas'])}")
    chol = np.linalg.cholesky(np.array(values["area_correlation"]))
    return np.asarray(chol[list(values["areas"]).index(area)], dtype=np.float64)


def dump(parameters: Any, digits: Mapping[str, int]) -> dict[str, Any]:
    """Return a set of parameters as JSON values, arrays rounded to `digits` by name, else 4."""
    return {
        field.name: _plain(getattr(parameters, field.name), digits.get(field.name, 4))
        for field in fields(parameters)
    }


def _plain(value: Any, digits: int) -> Any:
    if isinstance(value, np.ndarray):
        # Zeros without a point, for the size of the file.
        return [_plain(entry, digits) for entry in value.tolist()]
    if isinstance(value, list):
        return [_plain(entry, digits) for entry in value]
    if isinstance(value, float):
        rounded = round(value, digits)
        return int(rounded) if rounded == int(rounded) else rounded
    return value


def _load(kind: type[Part], values: dict[str, Any]) -> Part:
    return kind(
        **{
            name: np.array(value, dtype=np.float64) if isinstance(value, list) else value
            for name, value in values.items()
        }
    )

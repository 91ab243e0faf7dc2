"""A synthetic Japanese year: price, surplus, weather and hashprice, drawn together from one seed.

The price of a slot is either the floor of 0.01 JPY or log-normal about the mean of its month, kind
of day and slot; which of the two, and how far from the mean, follows one latent level that is
autoregressive from day to day and drifts within the day. Curtailment of renewables follows the
same level, so that it falls mostly, but not only, on floor hours, as it does in Kyushu. Parameters
and their sources: ``data/samples/synthetic_japan.json``, made by
``scripts/build_synthetic_parameters.py`` from aggregate statistics of JEPX prices FY2023–26,
Kyushu's curtailment 2021–23 and Haneda's temperature 2016–20.

Not modelled: fuel-price regimes, holidays, scarcity crises, correlation between areas or seeds.
"""

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from gridhash.data.readers.jepx import PERIOD_S, PUBLISHED_LOCAL, SLOTS_PER_DAY, TIMEZONE
from gridhash.data.trace import Trace
from gridhash.errors import DataError
from gridhash.time_grid import grid, published_the_day_before

Array = npt.NDArray[np.float64]
Index = npt.NDArray[np.intp]

FLOOR_JPY_PER_KWH = 0.01
CAP_JPY_PER_KWH = 200.0
_PARAMETER_FILE = "synthetic_japan.json"


@dataclass(frozen=True)
class PriceParameters:
    """Price process of one area; tables are by month, weekday or weekend, and slot."""

    log_mean: Array
    p_floor: Array
    level_ar1: float
    drift_ar1: float
    noise_ar1: float
    level_share: float
    level_scale: float
    noise_scale: float
    log_shift: float


@dataclass(frozen=True)
class Calendar:
    """The days of one fiscal year in Japan: month from 0, and 1 on weekends."""

    starts: pd.DatetimeIndex
    month: Index
    weekend: Index

    @property
    def n_days(self) -> int:
        """Days of the year."""
        return len(self.month)


@dataclass(frozen=True)
class Latents:
    """Standard normal processes behind the prices, one value per slot."""

    level: Array
    noise: Array


def areas() -> list[str]:
    """Return the areas that `synthetic_japan` knows."""
    return list(_parameters()["areas"])


def synthetic_japan(*, area: str = "kyushu", fiscal_year_start: int = 2025, seed: int) -> Trace:
    """Return one synthetic year, April to March, of half hours with all columns.

    The same arguments give the same bits. Each series has a random stream of its own, so that a
    change to one leaves the others as they are.

    Raises
    ------
    DataError
        If the area is unknown.
    """
    if area not in areas():
        raise DataError(f"no synthetic area {area!r}; choose one of {', '.join(areas())}")
    values = _parameters()
    calendar = fiscal_year(fiscal_year_start)
    level, noise, sky, size, weather, gusts, market = (
        np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(7)
    )
    prices = price_parameters(area)
    days, latents = draw_latents(prices, calendar, level, noise)
    surplus = _surplus(values, area, calendar, days, sky, size)
    trace = Trace.from_prices(
        calendar.starts,
        price_path(prices, calendar, latents),
        published_at=published_the_day_before(
            calendar.starts, timezone=TIMEZONE, at=PUBLISHED_LOCAL
        ),
        period_s=PERIOD_S,
        currency="JPY",
        area=area,
        source=f"synthetic {area} FY{fiscal_year_start} seed {seed}",
    )
    n = trace.n_rows
    return trace.with_columns(
        {
            "surplus_frac": surplus,
            "outdoor_temp_c": _temperature(values, area, calendar, weather, gusts),
            "hashprice_usd_per_phs_day": _hashprice(values["hashprice"], calendar, market),
            "currency_per_usd": np.full(n, float(values["currency_per_usd"])),
        }
    )


def fiscal_year(start_year: int) -> Calendar:
    """Return the half hours from 1 April of a year to 31 March of the next, in Japan."""
    starts = grid(
        pd.Timestamp(start_year, 4, 1, tz=TIMEZONE),
        pd.Timestamp(start_year + 1, 4, 1, tz=TIMEZONE),
        PERIOD_S,
    )
    days = starts[::SLOTS_PER_DAY].tz_convert(TIMEZONE)
    return Calendar(
        starts,
        np.asarray(days.month, dtype=np.intp) - 1,
        np.asarray(days.day_of_week >= 5, dtype=np.intp),
    )


def price_parameters(area: str) -> PriceParameters:
    """Return the price process of an area."""
    values = {**_parameters()["price"], **_parameters()["areas"][area]["price"]}
    log_mean, p_floor = (np.array(values.pop(name)) for name in ("log_mean", "p_floor"))
    return PriceParameters(log_mean=log_mean, p_floor=p_floor, **values)


def draw_latents(
    prices: PriceParameters,
    calendar: Calendar,
    level: np.random.Generator,
    noise: np.random.Generator,
) -> tuple[Array, Latents]:
    """Return the level of each day, and the processes behind the price of each slot."""
    n = calendar.n_days * SLOTS_PER_DAY
    days = _ar1(level, prices.level_ar1, calendar.n_days)
    drift = _ar1(level, prices.drift_ar1, n)
    share = prices.level_share
    slots = np.sqrt(share) * np.repeat(days, SLOTS_PER_DAY) + np.sqrt(1.0 - share) * drift
    return days, Latents(slots, _ar1(noise, prices.noise_ar1, n))


def price_path(prices: PriceParameters, calendar: Calendar, latents: Latents) -> Array:
    """Return the price of every slot [JPY/kWh], in ticks of 0.01."""
    cell = calendar.month, calendar.weekend
    at_floor = latents.level < _quantiles(prices.p_floor)[cell].ravel()
    log_price = (
        prices.log_mean[cell].ravel()
        + prices.log_shift
        + prices.level_scale * (latents.level - _mean_above(prices.p_floor)[cell].ravel())
        + prices.noise_scale * latents.noise
    )
    ticks = np.round(np.clip(np.exp(log_price), FLOOR_JPY_PER_KWH, CAP_JPY_PER_KWH), 2)
    return np.where(at_floor, FLOOR_JPY_PER_KWH, ticks)


def _surplus(
    values: dict[str, Any],
    area: str,
    calendar: Calendar,
    price_level: Array,
    sky: np.random.Generator,
    size: np.random.Generator,
) -> Array:
    """Return the surplus available to the site, share of its nameplate power, by slot."""
    surplus = values["surplus"]
    hours_ratio = values["areas"][area]["surplus_hours_ratio"]
    kind = np.array([surplus["weekday_ratio"], surplus["weekend_ratio"]])
    p_curtail = np.minimum(
        np.array(surplus["p_by_month_hour"])[:, None, :] * kind[None, :, None] * hours_ratio, 0.97
    )
    link = surplus["link_to_price_level"]
    own = _ar1(sky, surplus["day_ar1"], calendar.n_days)
    latent = link * price_level + np.sqrt(1.0 - link**2) * own
    is_curtailed = latent[:, None] < _quantiles(p_curtail)[calendar.month, calendar.weekend]
    log_sd = surplus["day_log_sd"]
    day_factor = np.exp(log_sd * size.standard_normal(calendar.n_days) - log_sd**2 / 2)
    curtailed_mw = np.array(surplus["mean_mw_by_month_hour"])[calendar.month] * day_factor[:, None]
    share = np.minimum(curtailed_mw / surplus["full_surplus_mw"], 1.0)
    return np.repeat(np.where(is_curtailed, share, 0.0).ravel(), SLOTS_PER_DAY // 24)


def _temperature(
    values: dict[str, Any],
    area: str,
    calendar: Calendar,
    weather: np.random.Generator,
    gusts: np.random.Generator,
) -> Array:
    """Return the outdoor temperature by slot [°C]."""
    climate = values["temperature"]
    months = np.arange(-1, 13)
    middle_day = 30.4375 * (months + 0.5)
    day_of_year = np.asarray(calendar.starts[::SLOTS_PER_DAY].tz_convert(TIMEZONE).day_of_year)
    mean_c, amplitude_k = (
        np.interp(day_of_year - 0.5, middle_day, np.array(climate[name])[months % 12])
        for name in ("monthly_mean_c", "diurnal_amplitude_k")
    )
    hours = (np.arange(SLOTS_PER_DAY) + 0.5) * 24 / SLOTS_PER_DAY
    wave = np.cos(2 * np.pi * (hours - climate["warmest_hour"]) / 24)
    day_k = climate["day_sd_k"] * _ar1(weather, climate["day_ar1"], calendar.n_days)
    n = calendar.n_days * SLOTS_PER_DAY
    slot_k = climate["slot_sd_k"] * _ar1(gusts, climate["slot_ar1"], n)
    offset_k = values["areas"][area]["temperature_offset_k"]
    by_day = (mean_c + day_k + offset_k)[:, None] + amplitude_k[:, None] * wave
    return np.asarray(by_day.ravel() + slot_k, dtype=np.float64)


def _hashprice(values: dict[str, float], calendar: Calendar, market: np.random.Generator) -> Array:
    """Return the hashprice, new every day [USD/(PH/s)/day]."""
    home = np.log(values["start_usd_per_phs_day"])
    low, high = np.log(values["low_usd_per_phs_day"]), np.log(values["high_usd_per_phs_day"])
    log_price, path = home, np.empty(calendar.n_days)
    for day, shock in enumerate(market.standard_normal(calendar.n_days)):
        path[day] = log_price
        log_price += values["daily_reversion"] * (home - log_price)
        log_price = min(max(log_price + values["daily_log_sd"] * shock, low), high)
    return np.repeat(np.exp(path), SLOTS_PER_DAY)


@cache
def _parameters() -> dict[str, Any]:
    text = (resources.files("gridhash.data.samples") / _PARAMETER_FILE).read_text(encoding="utf-8")
    values: dict[str, Any] = json.loads(text)
    return values


def _ar1(rng: np.random.Generator, rho: float, n: int) -> Array:
    """Return a stationary autoregressive process with unit variance."""
    shocks = rng.standard_normal(n)
    value = float(shocks[0])
    path = [value]
    for shock in (np.sqrt(1.0 - rho * rho) * shocks[1:]).tolist():
        value = rho * value + shock
        path.append(value)
    return np.array(path)


def _quantiles(probability: Array) -> Array:
    """Return the standard normal quantile of every entry; −∞ for zero."""
    normal = NormalDist()
    flat = [normal.inv_cdf(p) if p > 0.0 else -np.inf for p in probability.ravel().tolist()]
    return np.array(flat).reshape(probability.shape)


def _mean_above(probability: Array) -> Array:
    """Return the mean of a standard normal variable above its quantile."""
    density = np.exp(-(_quantiles(probability) ** 2) / 2) / np.sqrt(2 * np.pi)
    return np.asarray(density / (1.0 - probability), dtype=np.float64)

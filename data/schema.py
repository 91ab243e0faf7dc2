"""What values of a trace's columns are plausible, by column and currency."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gridhash.data.columns import COLUMN_BY_NAME, COLUMNS, Column
from gridhash.errors import DataError

__all__ = [
    "COLUMNS",
    "COLUMN_BY_NAME",
    "CURRENCY_BANDS",
    "SLIP_CHECK_DAYS",
    "SLIP_FACTOR_HIGH",
    "SLIP_FACTOR_LOW",
    "Column",
    "CurrencyBand",
    "Fault",
    "bounds",
    "currency_band",
    "first_fault",
    "unit_slip",
]


@dataclass(frozen=True)
class CurrencyBand:
    """What is plausible for one currency; typical figures are orders of magnitude."""

    currency: str
    price_low: float
    price_high: float
    price_typical: float
    per_usd_low: float
    per_usd_high: float


CURRENCY_BANDS = {
    band.currency: band
    for band in (
        CurrencyBand("JPY", -50.0, 1000.0, 12.0, 50.0, 500.0),
        CurrencyBand("EUR", -5.0, 20.0, 0.08, 0.5, 2.0),
        CurrencyBand("USD", -5.0, 20.0, 0.05, 1.0, 1.0),
        CurrencyBand("AUD", -5.0, 30.0, 0.08, 0.5, 3.0),
        CurrencyBand("GBP", -5.0, 20.0, 0.08, 0.3, 1.5),
        CurrencyBand("CAD", -5.0, 20.0, 0.05, 0.5, 3.0),
        CurrencyBand("NOK", -50.0, 200.0, 0.6, 3.0, 30.0),
        CurrencyBand("SEK", -50.0, 200.0, 0.6, 3.0, 30.0),
        CurrencyBand("DKK", -50.0, 200.0, 0.6, 3.0, 20.0),
        CurrencyBand("CHF", -5.0, 20.0, 0.08, 0.5, 2.0),
        CurrencyBand("PLN", -25.0, 100.0, 0.35, 2.0, 8.0),
        CurrencyBand("RON", -25.0, 100.0, 0.4, 3.0, 8.0),
        CurrencyBand("BGN", -10.0, 40.0, 0.16, 1.0, 4.0),
        CurrencyBand("UAH", -50.0, 1000.0, 3.5, 20.0, 80.0),
    )
}
"""Plausible energy prices [currency/kWh] and exchange rates [currency/USD]."""

SLIP_CHECK_DAYS = 14
"""A shorter series may be a crisis or a holiday week, so only its bounds are checked."""

SLIP_FACTOR_HIGH = 30.0
"""Median of |price| over the typical price from which a unit slip (×100, ×1000) is certain."""

SLIP_FACTOR_LOW = 1 / 60.0
"""95th percentile of |price| over the typical price below which a unit slip is certain."""


@dataclass(frozen=True)
class Fault:
    """The first value of a column that cannot be right."""

    position: int
    problem: str


def currency_band(currency: str) -> CurrencyBand:
    """Return what is plausible for a currency; raise DataError if it is not in the table."""
    try:
        return CURRENCY_BANDS[currency]
    except KeyError:
        raise DataError(
            f"no plausible prices are known for currency {currency!r}; known are "
            f"{', '.join(CURRENCY_BANDS)}: add a line to CURRENCY_BANDS in gridhash.data.schema"
        ) from None


def bounds(column: Column, currency: str) -> tuple[float, float]:
    """Return the lowest and highest plausible value of a column in a currency."""
    band = currency_band(currency)
    if column.unit == "currency/kWh":
        return band.price_low, band.price_high
    if column.name == "currency_per_usd":
        return band.per_usd_low, band.per_usd_high
    return column.low, column.high


def first_fault(
    column: Column, values: npt.NDArray[np.float64], *, currency: str, period_s: int
) -> Fault | None:
    """Return the first impossible value of a column, or None if all are plausible.

    NaN and infinity come first, then a unit slip of the whole price column, then single values
    out of bounds.
    """
    low, high = bounds(column, currency)
    is_price = column.unit == "currency/kWh"
    # A NaN fails this too.
    if not is_price and values.min() >= low and values.max() <= high:
        return None
    unusable = np.flatnonzero(~np.isfinite(values))
    if unusable.size:
        row = int(unusable[0])
        return Fault(
            row,
            f"{column.name} is {values[row]} ({unusable.size} such rows): nothing is filled in; "
            "correct the data or choose a span without it",
        )
    outside = np.flatnonzero((values < low) | (values > high))
    if is_price:
        factor = unit_slip(values, currency=currency, period_s=period_s, any_outside=outside.size)
        if factor is not None:
            row = int(outside[0]) if outside.size else int(np.argmax(np.abs(values)))
            return Fault(row, _slip_problem(column.name, values, row, factor, currency))
    if outside.size:
        row = int(outside[0])
        return Fault(
            row,
            f"{column.name} {values[row]:g} {_unit(column, currency)} is outside {low:g} … "
            f"{high:g}: check the unit and correct the value",
        )
    return None


def unit_slip(
    prices: npt.NDArray[np.float64], *, currency: str, period_s: int, any_outside: int = 0
) -> float | None:
    """Return the power of ten by which a price series looks off, or None if its unit looks right.

    A series shorter than `SLIP_CHECK_DAYS` is judged only where values are out of bounds too:
    a few hours of scarcity, or a sunny afternoon at the floor price, are no slip.
    """
    typical = currency_band(currency).price_typical
    is_long = prices.size * period_s >= SLIP_CHECK_DAYS * 86400
    median, peak = (float(value) for value in np.quantile(np.abs(prices), (0.5, 0.95)))
    ratio = median / typical
    if ratio > SLIP_FACTOR_HIGH and (is_long or any_outside):
        return math.pow(10.0, round(math.log10(ratio)))
    peak_ratio = peak / typical
    if is_long and 0.0 < peak_ratio < SLIP_FACTOR_LOW:
        return math.pow(10.0, round(math.log10(peak_ratio)))
    return None


def _slip_problem(
    name: str, values: npt.NDArray[np.float64], row: int, factor: float, currency: str
) -> str:
    median = float(np.median(np.abs(values)))
    times = f"{factor:g} times" if factor > 1 else f"1/{1 / factor:g} of"
    return (
        f"{name} {values[row]:g} {currency}/kWh, and the median of the whole series is "
        f"{median:g}: about {times} what is usual, so the unit looks wrong (per MWh, or in cents, "
        f"instead of per kWh?); convert the prices to {currency}/kWh"
    )


def _unit(column: Column, currency: str) -> str:
    return column.unit.replace("currency", currency)

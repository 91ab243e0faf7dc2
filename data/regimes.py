"""Stretches of time in which a market was unlike itself, by name, to see what a policy does then.

None of them is for choosing or for a headline figure: they are played after the choice is made.
"""

from dataclasses import dataclass

import pandas as pd

from gridhash.data.splits import Span
from gridhash.data.trace import Trace
from gridhash.errors import DataError


@dataclass(frozen=True, kw_only=True)
class Regime:
    """A named stretch of one market.

    Attributes
    ----------
    name
        How it is asked for.
    currency
        Currency of the market's prices.
    areas
        Areas that it was seen in, lower case; empty where all areas of the currency were in it.
    span
        From local midnight to local midnight.
    why
        What was unusual, with figures computed from the published prices of that span.
    """

    name: str
    currency: str
    areas: tuple[str, ...]
    span: Span
    why: str


def _days(first: str, last: str, timezone: str) -> Span:
    """Return the span of local days, both inclusive."""
    return Span(
        pd.Timestamp(first, tz=timezone),
        pd.Timestamp(last, tz=timezone) + pd.DateOffset(days=1),
    )


REGIMES = (
    Regime(
        name="jepx-crisis-2021-01",
        currency="JPY",
        areas=(),
        span=_days("2020-12-26", "2021-01-27", "Asia/Tokyo"),
        why="gas ran short in a cold spell: Tokyo mean 66.3 JPY/kWh, highest 252.0, 69 % of half "
        "hours above 30; a month before, the mean was 5.3",
    ),
    Regime(
        name="jepx-fuel-2021-22",
        currency="JPY",
        areas=(),
        span=_days("2021-10-01", "2023-01-31", "Asia/Tokyo"),
        why="fuel prices: Tokyo mean 23.8 JPY/kWh over 16 months, 18 % of half hours above 30, "
        "highest 200.0",
    ),
    Regime(
        name="jepx-floor-kyushu-2023-spring",
        currency="JPY",
        areas=("kyushu",),
        span=_days("2023-03-01", "2023-05-31", "Asia/Tokyo"),
        why="25 % of half hours at the floor of 0.01 JPY/kWh, in the year with the most "
        "curtailment in Kyushu, 1,344 GWh of solar",
    ),
    Regime(
        name="negative-prices-nl-2024",
        currency="EUR",
        areas=("nl", "netherlands"),
        span=_days("2024-01-01", "2024-12-31", "Europe/Amsterdam"),
        why="5.2 % of hours of the day-ahead market below zero",
    ),
    Regime(
        name="negative-prices-de-2020",
        currency="EUR",
        areas=("de", "de/lu", "de_lu", "de-lu", "germany"),
        span=_days("2020-01-01", "2020-06-30", "Europe/Berlin"),
        why="low demand: 4.9 % of hours of the day-ahead market below zero, lowest "
        "−0.084 EUR/kWh, mean from March to June 0.021",
    ),
    Regime(
        name="negative-prices-ercot-2024-spring",
        currency="USD",
        areas=("hubavg", "hb_hubavg", "ercot"),
        span=_days("2024-02-01", "2024-04-30", "America/Chicago"),
        why="6.1 % of quarter hours of the real-time market below zero at the hub average",
    ),
    Regime(
        name="spikes-ercot-2024-spring",
        currency="USD",
        areas=("hubavg", "hb_hubavg", "ercot"),
        span=_days("2024-04-01", "2024-05-31", "America/Chicago"),
        why="23 quarter hours above 0.5 USD/kWh at the hub average, highest 4.96",
    ),
    Regime(
        name="negative-prices-vic-2024-summer",
        currency="AUD",
        areas=("vic1",),
        span=_days("2024-12-01", "2025-01-31", "Australia/Brisbane"),
        why="31 % of five-minute intervals below zero, lowest −1.00 AUD/kWh, the market's floor",
    ),
)
"""Figures: JEPX spot, ENTSO-E, ERCOT and AEMO prices of the span; curtailment: Kyushu T&D."""


def regime(name: str) -> Regime:
    """Return a regime by name; raise DataError if there is none."""
    for one in REGIMES:
        if one.name == name:
            return one
    raise DataError(
        f"there is no regime {name!r}; there are {', '.join(one.name for one in REGIMES)}"
    )


def stress_part(trace: Trace, name: str) -> Trace:
    """Return the part of a trace that lies in a regime.

    Raises
    ------
    DataError
        If there is no such regime, or it was one of another market.
    TimeGridError
        If the trace does not cover it.
    """
    wanted = regime(name)
    if trace.currency != wanted.currency or (
        wanted.areas and trace.area.lower() not in wanted.areas
    ):
        where = ", ".join(wanted.areas) or "all areas"
        raise DataError(
            f"{trace.source} is {trace.area} in {trace.currency}; the regime {name} is of "
            f"{where} in {wanted.currency}: choose a trace of that market"
        )
    return trace.between(wanted.span.start, wanted.span.end)

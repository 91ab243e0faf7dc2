"""Half hours and days of Japan: month, season, and which days are like weekends."""

from dataclasses import dataclass
from datetime import date
from functools import lru_cache

import jpholiday
import numpy as np
import numpy.typing as npt
import pandas as pd

from gridhash.data.readers.jepx import PERIOD_S, SLOTS_PER_DAY, TIMEZONE
from gridhash.errors import TimeGridError
from gridhash.time_grid import grid

Index = npt.NDArray[np.intp]

SEASONS = ("winter", "spring", "summer", "autumn")
"""December–February, March–May, June–August, September–November."""

NEW_YEAR = ((12, 29), (1, 3))
GOLDEN_WEEK = ((4, 29), (5, 5))
OBON = ((8, 13), (8, 16))


@dataclass(frozen=True)
class Calendar:
    """Whole local days in Japan.

    Attributes
    ----------
    starts
        Start of every half hour, UTC.
    month
        Month of each day, from 0.
    day_off
        1 on weekends, public holidays and in the weeks when most of Japan rests, else 0.
    day_of_year
        From 1.
    """

    starts: pd.DatetimeIndex
    month: Index
    day_off: Index
    day_of_year: Index

    @property
    def n_days(self) -> int:
        """Number of days."""
        return len(self.month)

    @property
    def season(self) -> Index:
        """Index into `SEASONS` for each day."""
        return (self.month + 1) % 12 // 3


def fiscal_year(start_year: int) -> Calendar:
    """Return 1 April of a year to 31 March of the next, in Japan."""
    return days_of(
        grid(
            pd.Timestamp(start_year, 4, 1, tz=TIMEZONE),
            pd.Timestamp(start_year + 1, 4, 1, tz=TIMEZONE),
            PERIOD_S,
        )
    )


def days_of(starts: pd.DatetimeIndex) -> Calendar:
    """Return the calendar of half hours that make up whole local days.

    Raises
    ------
    TimeGridError
        If they do not start at midnight in Japan or end within a day.
    """
    first = starts[0].tz_convert(TIMEZONE)
    if first != first.normalize() or len(starts) % SLOTS_PER_DAY:
        raise TimeGridError(
            f"{len(starts)} half hours from {first.isoformat()} are not whole days in Japan; "
            "start at 00:00 +09:00 and end a whole number of days later"
        )
    days = starts[::SLOTS_PER_DAY].tz_convert(TIMEZONE)
    return Calendar(
        starts,
        np.asarray(days.month, dtype=np.intp) - 1,
        np.array([is_day_off(day.date()) for day in days], dtype=np.intp),
        np.asarray(days.day_of_year, dtype=np.intp),
    )


@lru_cache(maxsize=20_000)
def is_day_off(day: date) -> bool:
    """Return whether demand is that of a weekend: weekend, holiday, or a customary week of rest.

    The weeks are Golden Week (29 April to 5 May), Obon (13 to 16 August) and New Year (29 December
    to 3 January); public holidays come from jpholiday.
    """
    at = day.month, day.day
    return (
        day.weekday() >= 5
        or at >= NEW_YEAR[0]
        or at <= NEW_YEAR[1]
        or GOLDEN_WEEK[0] <= at <= GOLDEN_WEEK[1]
        or OBON[0] <= at <= OBON[1]
        or bool(jpholiday.is_holiday(day))
    )

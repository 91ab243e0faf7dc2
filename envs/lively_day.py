"""Which days of a scenario can be played whole, and on which of them most happens."""

from datetime import date
from typing import NamedTuple

import numpy as np
import pandas as pd

from gridhash.envs import columns as c
from gridhash.envs.day_view import SPANS
from gridhash.envs.observation import BREAK_EVEN
from gridhash.envs.parameters import Floats, Ints
from gridhash.envs.scenario import Scenario
from gridhash.errors import DataError

MOST_SWING = 4.0
"""Price range of a day, per break-even, beyond which more of it is not livelier."""


class Days(NamedTuple):
    """Local days that lie wholly in the playable part of a scenario, in order."""

    number: Ints
    """(D,) days since 1970-01-01, local."""
    first_row: Ints
    """(D,) row of local midnight."""
    end_row: Ints
    """(D,) row after the day's last."""


def playable_days(scenario: Scenario) -> Days:
    """Return the whole local days of a scenario.

    Raises
    ------
    DataError
        If there is none.
    """
    number = scenario.exogenous.calendar[:, c.DAY]
    first = np.concatenate([[0], np.flatnonzero(np.diff(number)) + 1])
    end = np.concatenate([first[1:], [len(number)]])
    starts = scenario.trace.starts.tz_convert(scenario.site.timezone)
    midnights = starts[first].normalize()
    next_midnights = midnights + pd.DateOffset(days=1)
    whole = (starts[first] == midnights) & (first >= scenario.first_row)
    lasts = starts[end - 1] + pd.Timedelta(seconds=scenario.trace.period_s)
    whole &= np.asarray(lasts == next_midnights)
    if not whole.any():
        raise DataError(f"{scenario.trace.source} holds no whole day that can be played")
    return Days(number[first][whole], first[whole], end[whole])


def rows_of_day(scenario: Scenario, day: date) -> tuple[int, int]:
    """Return the rows [first, end) of a local day.

    Raises
    ------
    DataError
        If the day cannot be played whole.
    """
    days = playable_days(scenario)
    which = np.flatnonzero(days.number == (day - date(1970, 1, 1)).days)
    if not len(which):
        first, last = (local_date(days.number[k]) for k in (0, -1))
        raise DataError(
            f"{day} cannot be played: the whole days that the data hold are {first} … {last} "
            f"(local time, {scenario.site.timezone})"
        )
    return int(days.first_row[which[0]]), int(days.end_row[which[0]])


def local_date(number: int) -> date:
    """Return the date of a day that `Days.number` counts."""
    return date.fromordinal(date(1970, 1, 1).toordinal() + int(number))


def lively_day(scenario: Scenario, *, days_before: int = 0) -> date:
    """Return the day on which most happens, the first of equals.

    Of the days that have `days_before` playable days before them, if there are any.
    A point for each kind of event, for a price on both sides of the break-even, and for offered
    surplus; and up to a point each for the price's range per break-even (at most `MOST_SWING`),
    for the energy of own panels and for how much they waver.
    """
    days = playable_days(scenario)
    if days_before < len(days.number):
        days = Days(*(values[days_before:] for values in days))
    market = scenario.market
    level = scenario.rows[:, BREAK_EVEN].astype(np.float64)
    all_in = market[:, c.PRICE] + market[:, c.ADDER]
    points = np.zeros(len(days.number))
    for column, _ in SPANS:
        points += _of_days(np.maximum, market[:, column], days) > 0.0
    points += (_of_days(np.maximum, all_in - level, days) > 0.0) & (
        _of_days(np.minimum, all_in - level, days) < 0.0
    )
    points += _of_days(np.maximum, market[:, c.SURPLUS], days) > 0.0
    swing = _of_days(np.maximum, all_in, days) - _of_days(np.minimum, all_in, days)
    points += np.minimum(swing / (MOST_SWING * np.median(level)), 1.0)
    panels = market[:, c.PV]
    for values in (panels, np.abs(np.diff(panels, prepend=panels[:1]))):
        energy = _of_days(np.add, values, days)
        points += energy / max(float(energy.max()), 1e-9)
    return local_date(days.number[np.argmax(points)])


def _of_days(reduce: np.ufunc, values: Floats, days: Days) -> Floats:
    return np.array(
        [reduce.reduce(values[a:b]) for a, b in zip(days.first_row, days.end_row, strict=True)]
    )

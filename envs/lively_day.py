"""Which days of a scenario can be played whole, and which of them shows most."""

from datetime import date
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from gridhash.envs import columns as c
from gridhash.envs.day_view import SPANS
from gridhash.envs.parameters import Floats, Ints
from gridhash.envs.scenario import Scenario
from gridhash.errors import DataError


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
    """Return the day that shows most of what a scenario is about, the first of equals.

    Of the days that have `days_before` playable days before them, if there are any. Points are

    - one for each kind of event, and up to one more if the level rule alone would not do what it
      asks for;
    - one for offered surplus;
    - up to one for a load, by the level rule and the events, that is high for half of the day and
      low for the other, so for prices on both sides of the break-even;
    - up to one each for surplus, and for energy of own panels and how much they waver while the
      grid is too dear, in ratio to the day that has most.
    """
    days = playable_days(scenario)
    if days_before < len(days.number):
        days = Days(*(values[days_before:] for values in days))
    market = scenario.market
    load = market[:, c.RULE_LOAD] / max(float(market[:, c.RULE_LOAD].max()), 1e-9)
    asked, score = load.copy(), np.zeros(len(days.number))
    for column, _ in SPANS:
        lasts = market[:, column] > 0.0
        wanted = 1.0 if column == c.INCREASE_CALL else 0.0
        asked[lasts] = wanted
        rows = _sums(lasts, days)
        unmet = np.abs(load - wanted) * lasts
        score += (rows > 0) + _sums(unmet, days) / np.maximum(rows, 1)
    spans = list(zip(days.first_row, days.end_row, strict=True))
    spread = np.array([np.abs(asked[a:b] - asked[a:b].mean()).mean() for a, b in spans])
    surplus, panels = market[:, c.SURPLUS], market[:, c.PV]
    wavers = np.abs(np.diff(panels, prepend=panels[:1]))
    score += np.sqrt(2.0 * spread) + (_sums(surplus, days) > 0.0)
    for values in (surplus, panels * (1.0 - load), wavers * (1.0 - load)):
        sums = _sums(values, days)
        score += sums / max(float(sums.max()), 1e-9)
    return local_date(days.number[np.argmax(score)])


def _sums(values: npt.NDArray[Any], days: Days) -> Floats:
    """Return the sum over each day, (D,)."""
    total = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
    return np.asarray(total[days.end_row] - total[days.first_row])

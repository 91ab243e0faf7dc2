"""Which years teach, which choose and which judge; nothing lies in two of them.

A forecast or a policy looks back over days and ahead over a day, so that two spans which touch
still share information. Between any two spans lies an embargo.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import combinations
from typing import Literal, Self

import pandas as pd

from gridhash.data.trace import Trace
from gridhash.errors import DataError

Calendar = Literal["japan-fiscal", "calendar"]
Role = Literal["train", "validation", "test"]

MIN_EMBARGO = timedelta(days=8)
"""Forecast features look back over eight days (`gridhash.data.forecasts.features`)."""

_FIRST_MONTH: dict[Calendar, int] = {"japan-fiscal": 4, "calendar": 1}
_ROLES: tuple[Role, ...] = ("train", "validation", "test")


@dataclass(frozen=True)
class Span:
    """The instants in [start, end), both aware; kept in UTC."""

    start: pd.Timestamp
    end: pd.Timestamp

    def __post_init__(self) -> None:
        """Convert to UTC; raise DataError if naive or empty."""
        for name in ("start", "end"):
            instant = getattr(self, name)
            if instant.utcoffset() is None:
                raise DataError(f"the {name} {instant} of a span has no time zone; add one")
            object.__setattr__(self, name, pd.Timestamp(instant).tz_convert("UTC"))
        if self.end <= self.start:
            raise DataError(f"the span {self} is empty: its end must lie after its start")

    def __str__(self) -> str:
        """Return both instants in UTC."""
        return f"{self.start:%Y-%m-%dT%H:%MZ} … {self.end:%Y-%m-%dT%H:%MZ}"

    @property
    def length(self) -> timedelta:
        """Time from start to end."""
        return (self.end - self.start).to_pytimedelta()

    def gap_to(self, other: Self) -> timedelta:
        """Return the time between two spans; negative where they overlap."""
        return (max(self.start, other.start) - min(self.end, other.end)).to_pytimedelta()


@dataclass(frozen=True, kw_only=True)
class Split:
    """Three spans of one series, in any order in time, an embargo apart.

    Attributes
    ----------
    train, validation, test
        What teaches, what chooses between what was taught, and what judges once.
    embargo
        Least time between any two of them.

    Raises
    ------
    DataError
        If two spans overlap or are nearer than the embargo, or the embargo is negative.
    """

    train: Span
    validation: Span
    test: Span
    embargo: timedelta = MIN_EMBARGO

    def __post_init__(self) -> None:
        """Check every pair of spans."""
        if self.embargo < timedelta(0):
            raise DataError(f"the embargo {self.embargo} is negative; it is a length of time")
        for one, other in combinations(_ROLES, 2):
            first: Span = getattr(self, one)
            second: Span = getattr(self, other)
            gap = first.gap_to(second)
            if gap < timedelta(0):
                raise DataError(
                    f"{one} {first} and {other} {second} overlap by {-gap}; choose dates that "
                    f"are at least {self.embargo} apart"
                )
            if gap < self.embargo:
                raise DataError(
                    f"between {one} {first} and {other} {second} lie only {gap}; the embargo is "
                    f"{self.embargo}: move one of the dates"
                )

    def part(self, trace: Trace, role: Role) -> Trace:
        """Return one part of a trace; raise TimeGridError if the trace does not cover it."""
        span: Span = getattr(self, role)
        return trace.between(span.start, span.end)


def years(first: int, last: int, *, calendar: Calendar, timezone: str) -> Span:
    """Return the span of whole local years, both inclusive.

    A Japanese fiscal year runs from 1 April to 31 March and has the number of its first.

    >>> str(years(2021, 2021, calendar="japan-fiscal", timezone="Asia/Tokyo"))
    '2021-03-31T15:00Z … 2022-03-31T15:00Z'
    """
    if last < first:
        raise DataError(f"the years {first} … {last} run backwards; give the earlier one first")
    month = _FIRST_MONTH[calendar]
    return Span(
        pd.Timestamp(year=first, month=month, day=1, tz=timezone),
        pd.Timestamp(year=last + 1, month=month, day=1, tz=timezone),
    )


def split_by_years(
    *,
    train: Sequence[int],
    validation: Sequence[int],
    test: Sequence[int],
    calendar: Calendar,
    timezone: str,
    embargo: timedelta = MIN_EMBARGO,
) -> Split:
    """Return the split in which each part holds whole, consecutive local years.

    Where one part follows directly on another, the earlier one loses the embargo at its end: what
    judges stays whole where it is the last.

    Raises
    ------
    DataError
        If the years of a part are not consecutive, or two parts share a year.
    """
    spans: dict[Role, Span] = {}
    for role, wanted in zip(_ROLES, (train, validation, test), strict=True):
        if not wanted or list(wanted) != list(range(min(wanted), max(wanted) + 1)):
            raise DataError(
                f"{role} has the years {list(wanted)}; give one or more consecutive years"
            )
        spans[role] = years(min(wanted), max(wanted), calendar=calendar, timezone=timezone)
    for role, span in spans.items():
        for other in spans.values():
            if timedelta(0) <= other.start - span.end < embargo:
                spans[role] = Span(span.start, other.start - embargo)
    return Split(
        train=spans["train"], validation=spans["validation"], test=spans["test"], embargo=embargo
    )

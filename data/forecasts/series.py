"""Series with the instant from which each value is known, and what is known at one instant."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from gridhash.data.splits import Span
from gridhash.data.trace import Trace
from gridhash.errors import DataError, LookAheadError, TimeGridError
from gridhash.time_grid import epoch_s

Array = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Series:
    """One column on a regular UTC grid; a missing value stays NaN and is never filled.

    Attributes
    ----------
    name
        What it holds, with its unit, such as ``outdoor_temp_c``.
    starts
        Start of every interval, UTC, each `period_s` after the last.
    values
        One value per interval; NaN where the source has none.
    available_at
        Instant from which each value is known; never falls from row to row.
    period_s
        Length of an interval [s].

    Raises
    ------
    TimeGridError
        If the grid has a gap or no time zone, or lengths differ.
    DataError
        If a value is infinite, or would be known before the one above it.
    """

    name: str
    starts: pd.DatetimeIndex
    values: Array
    available_at: pd.DatetimeIndex
    period_s: int

    def __post_init__(self) -> None:
        """Check the grid, the values and the instants."""
        if not len(self.values) == len(self.starts) == len(self.available_at):
            raise TimeGridError(
                f"{self.name}: {len(self.starts)} starts, {len(self.values)} values and "
                f"{len(self.available_at)} instants of availability; give one of each per row"
            )
        if self.starts.tz is None or self.available_at.tz is None:
            raise TimeGridError(f"{self.name}: starts and available_at need a time zone; add it")
        gaps = np.flatnonzero(np.diff(epoch_s(self.starts)) != self.period_s)
        if gaps.size:
            raise TimeGridError(
                f"{self.name}: after {self.starts[gaps[0]]} the next start is not {self.period_s} "
                "s later; put NaN where a value is missing"
            )
        falls = np.flatnonzero(np.diff(self.known_s) < 0)
        if falls.size:
            raise DataError(
                f"{self.name}: {self.starts[falls[0] + 1]} would be known before the row above it"
            )
        infinite = np.flatnonzero(np.isinf(self.values))
        if infinite.size:
            raise DataError(
                f"{self.name} at {self.starts[infinite[0]]} is infinite; correct the source"
            )

    @classmethod
    def from_trace(cls, trace: Trace, column: str) -> Self:
        """Return one column of a trace; raise DataError if the trace lacks it."""
        return cls(
            name=column,
            starts=trace.starts,
            values=trace.column(column),
            available_at=trace.available_at[column],
            period_s=trace.period_s,
        )

    @cached_property
    def known_s(self) -> IntArray:
        """Instants of availability as seconds since 1970 UTC, rounded up."""
        return epoch_s(self.available_at.ceil("s"))

    @cached_property
    def start_s(self) -> int:
        """First start as seconds since 1970 UTC; raise TimeGridError if there are no rows."""
        if not len(self.starts):
            raise TimeGridError(f"{self.name}: nothing of it is known")
        return int(epoch_s(self.starts[:1])[0])

    @cached_property
    def last_finite(self) -> IntArray:
        """Row of the last value that is not missing, up to and with each row; −1 before any."""
        rows = np.where(np.isnan(self.values), -1, np.arange(len(self.values)))
        return np.maximum.accumulate(rows) if rows.size else rows

    def n_known(self, issued_s: IntArray) -> IntArray:
        """Return how many rows are known at each instant; they are always a prefix."""
        return np.searchsorted(self.known_s, issued_s, side="right").astype(np.int64)

    def first_row_from(self, issued_s: IntArray) -> IntArray:
        """Return the row of the first interval that starts at or after each instant."""
        return -((self.start_s - issued_s) // self.period_s)

    def prefix(self, n_rows: int) -> Self:
        """Return the first rows."""
        return replace(
            self,
            starts=self.starts[:n_rows],
            values=self.values[:n_rows],
            available_at=self.available_at[:n_rows],
        )

    def inside(self, spans: Sequence[Span]) -> Self:
        """Return the series with NaN wherever an interval is not wholly inside one of the spans."""
        start_s = epoch_s(self.starts)
        keep = np.zeros(len(start_s), dtype=bool)
        for span in spans:
            low, high = span.start.timestamp(), span.end.timestamp()
            keep |= (start_s >= low) & (start_s + self.period_s <= high)
        return replace(self, values=np.where(keep, self.values, np.nan))


SeriesByName = Mapping[str, Series]


def series_of(trace: Trace) -> dict[str, Series]:
    """Return every column of a trace as a series."""
    return {str(name): Series.from_trace(trace, str(name)) for name in trace.frame.columns}


def require_one_grid(series: SeriesByName) -> None:
    """Raise TimeGridError unless all series start together and have one interval."""
    grids = {(one.start_s, one.period_s) for one in series.values() if len(one.starts)}
    if len(grids) > 1:
        names = ", ".join(series)
        raise TimeGridError(f"{names}: they differ in start or interval; join them on one grid")


@dataclass(frozen=True, eq=False)
class Information:
    """What is known at one instant, and nothing else: later rows are not in it.

    Made by `known_at`.
    """

    issued_at: pd.Timestamp
    series: SeriesByName

    def __getitem__(self, name: str) -> Series:
        """Return the known rows of a series; raise DataError if there is no such series."""
        try:
            return self.series[name]
        except KeyError:
            raise DataError(
                f"there is no series {name}; there are {', '.join(self.series)}"
            ) from None

    def value(self, name: str, start: pd.Timestamp) -> float:
        """Return the value of the interval that begins at `start`.

        Raises
        ------
        LookAheadError
            If the value is not known yet.
        TimeGridError
            If no interval of the series begins there.
        """
        known = self[name]
        offset_s = start.timestamp() - known.start_s
        if offset_s < 0 or offset_s % known.period_s:
            raise TimeGridError(f"{name}: no interval of the series begins at {start}")
        row = int(offset_s // known.period_s)
        if row >= len(known.values):
            raise LookAheadError(
                f"{name} of {start.isoformat()} is not known yet at {self.issued_at.isoformat()}; "
                "forecast it, or ask later"
            )
        return float(known.values[row])


def known_at(source: Trace | SeriesByName, issued_at: pd.Timestamp) -> Information:
    """Return the rows with ``available_at <= issued_at`` of every series.

    Raises
    ------
    DataError
        If `issued_at` has no time zone.
    TimeGridError
        If the series are not on one grid.
    """
    if issued_at.tzinfo is None:
        raise DataError(f"the issue time {issued_at} has no time zone; add one")
    series = series_of(source) if isinstance(source, Trace) else source
    require_one_grid(series)
    now_s = np.array([int(np.floor(issued_at.timestamp()))], dtype=np.int64)
    return Information(
        issued_at.tz_convert("UTC"),
        {name: one.prefix(int(one.n_known(now_s)[0])) for name, one in series.items()},
    )

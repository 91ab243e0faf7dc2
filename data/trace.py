"""A trace: prices and what goes with them, on one UTC grid, and when each value is known."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise
from typing import Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from gridhash.data.schema import COLUMN_BY_NAME, COLUMNS, Column, currency_band, first_fault
from gridhash.errors import DataError, TimeGridError
from gridhash.time_grid import epoch_s

Values = npt.ArrayLike | pd.Series


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Trace:
    """Validated series of one market area; nothing in it was filled in unless `notes` says so.

    Attributes
    ----------
    frame
        Columns of `gridhash.data.schema.COLUMNS`, float64 without NaN, in that order. The index
        `start` holds the starts of the intervals in UTC, each `period_s` after the last. A copy
        of what was given; treat it as read-only.
    period_s
        Length of an interval [s]; divides a day.
    currency, area, source
        ISO 4217 code of all prices, market area, and where the numbers come from.
    available_at
        For each column the instant from which each row's value is known; never falls from row to
        row, so that what is known at an instant is always a prefix.
    notes
        Explicit choices made on the way here, one line each: what was filled, scaled or assumed.

    Raises
    ------
    TimeGridError
        If a slot is missing, doubled, out of order, off the grid or without time zone.
    DataError
        If a column is unknown or missing, or a value is NaN or implausible.
    """

    frame: pd.DataFrame
    period_s: int
    currency: str
    area: str
    source: str
    available_at: Mapping[str, pd.DatetimeIndex]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Validate everything and take copies."""
        if self.period_s <= 0 or 86400 % self.period_s:
            raise TimeGridError(
                f"{self.source}: period_s {self.period_s} does not divide a day; use 300, 900, "
                "1800 or 3600"
            )
        currency_band(self.currency)
        self._check_columns()
        starts = _checked_index(self.frame.index, self.period_s, self.source)
        names = [column.name for column in COLUMNS if column.name in self.frame.columns]
        values = {name: self._numbers(name) for name in names}
        frame = pd.DataFrame(values, index=starts, copy=False)
        for name in names:
            self._check_values(COLUMN_BY_NAME[name], frame[name].to_numpy(), starts)
        checked: dict[int, pd.DatetimeIndex] = {}
        known: dict[str, pd.DatetimeIndex] = {}
        for name in names:
            # Columns mostly share their instants, and a check of a year of them takes time.
            given = id(self.available_at.get(name))
            if given not in checked:
                checked[given] = self._checked_known(name, starts)
            known[name] = checked[given]
        object.__setattr__(self, "frame", frame)
        object.__setattr__(self, "available_at", known)

    def _check_columns(self) -> None:
        unknown = [str(name) for name in self.frame.columns if name not in COLUMN_BY_NAME]
        if unknown:
            raise DataError(
                f"{self.source}: unknown column {unknown[0]}; a trace holds "
                f"{', '.join(COLUMN_BY_NAME)}"
            )
        if self.frame.columns.has_duplicates:
            raise DataError(f"{self.source}: a column occurs twice: {list(self.frame.columns)}")
        for column in COLUMNS:
            if column.required and column.name not in self.frame.columns:
                raise DataError(f"{self.source}: the column {column.name} is missing")

    def _numbers(self, name: str) -> npt.NDArray[np.float64]:
        try:
            return np.array(self.frame[name], dtype="float64")
        except (TypeError, ValueError) as err:
            raise DataError(
                f"{self.source}: {name} holds something that is no number: {err}"
            ) from err

    def _check_values(
        self, column: Column, values: npt.NDArray[np.float64], starts: pd.DatetimeIndex
    ) -> None:
        fault = first_fault(column, values, currency=self.currency, period_s=self.period_s)
        if fault is not None:
            where = describe_row(starts, fault.position)
            raise DataError(f"{self.source}, {where}: {fault.problem}")

    def _checked_known(self, name: str, starts: pd.DatetimeIndex) -> pd.DatetimeIndex:
        known = self.available_at.get(name)
        if known is None:
            raise DataError(f"{self.source}: available_at lacks the column {name}")
        if len(known) != len(starts) or known.tz is None or known.hasnans:
            raise DataError(
                f"{self.source}: available_at of {name} must hold {len(starts)} instants with "
                f"time zone; found {len(known)} of type {known.dtype}"
            )
        known = known.tz_convert("UTC").as_unit("s")
        falls = np.flatnonzero(np.diff(epoch_s(known)) < 0)
        if falls.size:
            where = describe_row(starts, int(falls[0]) + 1)
            raise DataError(
                f"{self.source}, {where}: {name} would be known before the row above it"
            )
        return known

    def __len__(self) -> int:
        """Return the number of intervals."""
        return len(self.frame)

    def __repr__(self) -> str:
        """Return what it is on one line."""
        return (
            f"Trace({self.area}, {self.currency}, {self.start:%Y-%m-%dT%H:%MZ} … "
            f"{self.end:%Y-%m-%dT%H:%MZ}, {self.n_rows} × {self.period_s} s, "
            f"columns {', '.join(self.frame.columns)}; {self.source})"
        )

    @classmethod
    def from_prices(
        cls,
        starts: pd.DatetimeIndex,
        prices_per_kwh: Values,
        *,
        published_at: pd.DatetimeIndex,
        period_s: int,
        currency: str,
        area: str,
        source: str,
    ) -> Self:
        """Return a trace of prices alone; `published_at` is when each price became known."""
        return cls(
            frame=pd.DataFrame({"price_per_kwh": np.asarray(prices_per_kwh, float)}, index=starts),
            period_s=period_s,
            currency=currency,
            area=area,
            source=source,
            available_at={"price_per_kwh": published_at},
        )

    @property
    def n_rows(self) -> int:
        """Number of intervals."""
        return len(self.frame)

    @property
    def starts(self) -> pd.DatetimeIndex:
        """Start of every interval, UTC."""
        index = self.frame.index
        assert isinstance(index, pd.DatetimeIndex)
        return index

    @property
    def start(self) -> pd.Timestamp:
        """Start of the first interval, UTC."""
        return self.starts[0]

    @property
    def end(self) -> pd.Timestamp:
        """End of the last interval, UTC."""
        return self.starts[-1] + pd.Timedelta(seconds=self.period_s)

    def column(self, name: str) -> npt.NDArray[np.float64]:
        """Return a copy of one column; raise DataError if the trace lacks it."""
        if name not in self.frame.columns:
            held = ", ".join(self.frame.columns)
            raise DataError(f"{self.source}: there is no column {name}; it holds {held}")
        return self.frame[name].to_numpy(dtype="float64", copy=True)

    def between(self, start: datetime, end: datetime) -> Self:
        """Return the intervals in [start, end): both aware, on the grid and inside the trace."""
        first, stop = self._row_at(start, "start"), self._row_at(end, "end")
        if stop <= first:
            raise TimeGridError(f"{self.source}: the span {start} … {end} is empty")
        return replace(
            self,
            frame=self.frame.iloc[first:stop],
            available_at=_rows_of(self.available_at, first, stop),
        )

    def _row_at(self, instant: datetime, name: str) -> int:
        if instant.utcoffset() is None:
            raise TimeGridError(
                f"{self.source}: {name} {instant} has no time zone; write it like "
                f"{pd.Timestamp(instant).isoformat()}+00:00"
            )
        offset_s = (pd.Timestamp(instant).tz_convert("UTC") - self.start).total_seconds()
        if not 0 <= offset_s <= self.n_rows * self.period_s:
            raise TimeGridError(
                f"{self.source}: {name} {instant} lies outside the data, {self.start.isoformat()} "
                f"… {self.end.isoformat()}; choose a span inside"
            )
        if offset_s % self.period_s:
            raise TimeGridError(
                f"{self.source}: {name} {instant} is not the start of a {self.period_s} s interval"
            )
        return int(offset_s // self.period_s)

    def with_columns(
        self,
        columns: Mapping[str, Values],
        *,
        available_at: Mapping[str, pd.DatetimeIndex] | None = None,
    ) -> Self:
        """Return the trace with columns added or replaced.

        A Series must have this trace's index; an array must have its length. Where `available_at`
        says nothing, a column is known at the start or the end of its interval as the schema says;
        one that is known by publication keeps its instants when it is replaced.
        """
        frame, known = self.frame.copy(), dict(self.available_at)
        for name, values in columns.items():
            if isinstance(values, pd.Series) and not values.index.equals(self.starts):
                raise TimeGridError(f"{self.source}: the index of {name} is not that of the trace")
            array = np.asarray(values, dtype="float64")
            if array.shape != (self.n_rows,):
                raise DataError(
                    f"{self.source}: {name} has shape {array.shape}, not ({self.n_rows},)"
                )
            frame[name] = array
            if available_at is not None and name in available_at:
                known[name] = available_at[name]
            elif name in COLUMN_BY_NAME:
                column = COLUMN_BY_NAME[name]
                if name not in known or column.known != "publication":
                    known[name] = self._default_known(column)
        return replace(self, frame=frame, available_at=known)

    def _default_known(self, column: Column) -> pd.DatetimeIndex:
        if column.known == "end":
            return self.starts + pd.Timedelta(seconds=self.period_s)
        return self.starts


def concat(traces: Sequence[Trace]) -> Trace:
    """Return consecutive traces, such as fiscal years, as one.

    Raises
    ------
    TimeGridError
        If there is a gap or an overlap between two of them.
    DataError
        If they differ in area, currency, interval or columns.
    """
    if not traces:
        raise DataError("concat needs at least one trace")
    first = traces[0]
    for before, after in pairwise(traces):
        for name in ("area", "currency", "period_s"):
            if getattr(before, name) != getattr(after, name):
                raise DataError(
                    f"{before.source} and {after.source} differ in {name}: "
                    f"{getattr(before, name)} and {getattr(after, name)}"
                )
        if list(before.frame.columns) != list(after.frame.columns):
            raise DataError(
                f"{before.source} and {after.source} differ in columns: "
                f"{list(before.frame.columns)} and {list(after.frame.columns)}"
            )
        if after.start != before.end:
            problem = "a gap" if after.start > before.end else "an overlap"
            raise TimeGridError(
                f"{problem} between {before.source}, which ends {before.end.isoformat()}, and "
                f"{after.source}, which starts {after.start.isoformat()}"
            )
    return Trace(
        frame=pd.concat([trace.frame for trace in traces]),
        period_s=first.period_s,
        currency=first.currency,
        area=first.area,
        source=" + ".join(dict.fromkeys(trace.source for trace in traces)),
        available_at={
            name: pd.DatetimeIndex(
                first.available_at[name].append([t.available_at[name] for t in traces[1:]])
            )
            for name in first.available_at
        },
        notes=tuple(dict.fromkeys(note for trace in traces for note in trace.notes)),
    )


def _rows_of(
    available_at: Mapping[str, pd.DatetimeIndex], first: int, stop: int
) -> dict[str, pd.DatetimeIndex]:
    """Return the rows [first, stop); columns that share their instants go on sharing them."""
    distinct = {id(known): known[first:stop] for known in available_at.values()}
    return {name: distinct[id(known)] for name, known in available_at.items()}


def describe_row(starts: pd.DatetimeIndex, position: int) -> str:
    """Return a row's number, counted from 1, and its start."""
    return f"row {position + 1} ({starts[position].isoformat()})"


def _checked_index(index: pd.Index, period_s: int, source: str) -> pd.DatetimeIndex:
    if not isinstance(index, pd.DatetimeIndex) or index.tz is None:
        first = index[0] if len(index) else "no rows"
        raise TimeGridError(
            f"{source}: the index must hold starts with a time zone; found {index.dtype} "
            f"({first}); localise it, then convert it to UTC"
        )
    if not len(index):
        raise TimeGridError(f"{source}: there are no rows")
    if str(index.tz) != "UTC":
        raise TimeGridError(f"{source}: the index is in {index.tz}; convert it to UTC")
    if index.hasnans:
        row = int(np.flatnonzero(index.isna())[0])
        raise TimeGridError(f"{source}, row {row + 1}: the start is missing; correct the data")
    steps_ns = np.diff(index.as_unit("ns").asi8)
    wrong = np.flatnonzero(steps_ns != period_s * 1_000_000_000)
    if wrong.size:
        row = int(wrong[0]) + 1
        raise TimeGridError(
            f"{source}, {describe_row(index, row)}: "
            f"{_step_problem(int(steps_ns[row - 1]), period_s, index[row - 1])}"
        )
    if index[0].value % 60_000_000_000:
        raise TimeGridError(
            f"{source}, {describe_row(index, 0)}: the start is not on a whole minute"
        )
    return index.as_unit("s").rename("start")


def _step_problem(step_ns: int, period_s: int, before: pd.Timestamp) -> str:
    step_s = step_ns / 1e9
    if step_s == 0:
        return "the slot is a duplicate of the row above; keep one of them"
    if step_s < 0:
        return f"the slot lies before the row above, {before.isoformat()}; sort the rows by time"
    if step_s % period_s == 0:
        n_missing = int(step_s // period_s) - 1
        return (
            f"{n_missing} slot(s) of {period_s} s are missing after {before.isoformat()}; get a "
            "complete file or choose a span without the gap"
        )
    return (
        f"the slot is off the grid: it follows {before.isoformat()} by {step_s:g} s, not by "
        f"{period_s} s; bring the rows onto one grid"
    )

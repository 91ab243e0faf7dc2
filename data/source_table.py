"""What one file or feed says: columns of one period length on UTC, gaps and all."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from gridhash.data.publishers import PUBLISHERS
from gridhash.data.quantities import quantity_bounds, split_field
from gridhash.data.schema import currency_band
from gridhash.errors import DataError, TimeGridError
from gridhash.time_grid import epoch_s


@dataclass(frozen=True)
class Origin:
    """Where values come from: a key of `PUBLISHERS`, the file's name and its SHA-256."""

    publisher: str
    file_name: str
    sha256: str

    def __post_init__(self) -> None:
        """Refuse a publisher without terms."""
        if self.publisher not in PUBLISHERS:
            raise DataError(f"unknown publisher {self.publisher!r}; known: {', '.join(PUBLISHERS)}")


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class SourceTable:
    """Columns of one dataset as published; a gap is a missing row or a NaN, never a guess.

    Attributes
    ----------
    dataset
        What it is, such as ``jepx-spot`` or ``area-supply-kyushu``: tables of one dataset have the
        same period and currency, and can be appended to each other.
    frame
        float64 columns named ``quantity@area`` (`gridhash.data.quantities`), NaN where the
        publisher gives no value; the index `start` holds the starts of the periods in UTC,
        strictly increasing. A copy of what was given; treat it as read-only.
    period_s
        Length of a period [s], dividing a day: all starts lie whole periods apart, and rows may
        be missing. None for a step series: each row holds until the next one.
    currency
        ISO 4217 code of the prices; None where there are none.
    origins
        The files that the values come from.
    available_at
        For each column the instant from which the value of each row is known.

    Raises
    ------
    TimeGridError
        If a start is doubled, out of order, off the grid or without time zone.
    DataError
        If a column is unknown or a value is infinite or implausible.
    """

    dataset: str
    frame: pd.DataFrame
    period_s: int | None
    currency: str | None
    origins: tuple[Origin, ...]
    available_at: Mapping[str, pd.DatetimeIndex]

    def __post_init__(self) -> None:
        """Validate everything and take copies."""
        name = self.name
        if self.period_s is not None and (self.period_s <= 0 or 86400 % self.period_s):
            raise TimeGridError(f"{name}: period_s {self.period_s} does not divide a day")
        if self.currency is not None:
            currency_band(self.currency)
        starts = self._checked_starts()
        if self.frame.columns.has_duplicates:
            raise DataError(f"{name}: a column occurs twice: {list(self.frame.columns)}")
        columns = [str(column) for column in self.frame.columns]
        if not columns:
            raise DataError(f"{name}: there are no columns")
        frame = pd.DataFrame(
            {column: np.array(self.frame[column], dtype="float64") for column in columns},
            index=starts,
        )
        for column in columns:
            self._check_values(column, frame[column].to_numpy(), starts)
        object.__setattr__(self, "frame", frame)
        object.__setattr__(self, "available_at", self._checked_known(columns, starts))

    @property
    def name(self) -> str:
        """Dataset and file, for messages."""
        files = ", ".join(origin.file_name for origin in self.origins[:2])
        more = f" and {len(self.origins) - 2} more" if len(self.origins) > 2 else ""
        return f"{self.dataset} ({files}{more})" if files else self.dataset

    @property
    def starts(self) -> pd.DatetimeIndex:
        """Start of every row, UTC."""
        index = self.frame.index
        assert isinstance(index, pd.DatetimeIndex)
        return index

    @property
    def columns(self) -> list[str]:
        """Names of the columns, ``quantity@area``."""
        return list(self.frame.columns)

    @property
    def areas(self) -> list[str]:
        """Areas in the order of the columns."""
        return list(dict.fromkeys(split_field(column)[1] for column in self.columns))

    @property
    def end(self) -> pd.Timestamp:
        """End of the last period; of a step series the start of its last row."""
        return self.starts[-1] + pd.Timedelta(seconds=self.period_s or 0)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.frame)

    def __repr__(self) -> str:
        """Return what it is on one line."""
        step = "steps" if self.period_s is None else f"{self.period_s} s"
        return (
            f"SourceTable({self.name}, {self.starts[0]:%Y-%m-%dT%H:%MZ} … "
            f"{self.end:%Y-%m-%dT%H:%MZ}, {len(self)} × {step}, columns {', '.join(self.columns)})"
        )

    def column(self, name: str) -> npt.NDArray[np.float64]:
        """Return a copy of one column; raise DataError if the table lacks it."""
        if name not in self.frame.columns:
            raise DataError(
                f"{self.name}: there is no column {name}; it holds {', '.join(self.columns)}"
            )
        return self.frame[name].to_numpy(dtype="float64", copy=True)

    def select(self, columns: list[str]) -> Self:
        """Return the table with some of its columns, in the order asked for."""
        for column in columns:
            self.column(column)
        known = {column: self.available_at[column] for column in columns}
        return replace(self, frame=self.frame[columns], available_at=known)

    def between(self, start: datetime, end: datetime) -> Self:
        """Return the rows that start in [start, end), at least one; both aware.

        Of a step series the row that is in force at `start` comes with them.
        """
        for instant, which in ((start, "start"), (end, "end")):
            if instant.utcoffset() is None:
                raise TimeGridError(f"{self.name}: {which} {instant} has no time zone")
        first, stop = (
            int(self.starts.searchsorted(pd.Timestamp(instant).tz_convert("UTC")))
            for instant in (start, end)
        )
        if self.period_s is None and (first == len(self) or self.starts[first] != start):
            first = max(first - 1, 0)
        if stop <= first:
            raise TimeGridError(
                f"{self.name}: no rows from {start} to {end}; it holds {self.starts[0]} … "
                f"{self.end}"
            )
        known = {name: instants[first:stop] for name, instants in self.available_at.items()}
        return replace(self, frame=self.frame.iloc[first:stop], available_at=known)

    def _checked_starts(self) -> pd.DatetimeIndex:
        index, name = self.frame.index, self.name
        if not isinstance(index, pd.DatetimeIndex) or str(index.tz) != "UTC":
            raise TimeGridError(f"{name}: the index must hold starts in UTC; found {index.dtype}")
        if not len(index) or index.hasnans:
            raise TimeGridError(f"{name}: there are no rows, or a start is missing")
        starts = index.as_unit("s").rename("start")
        if not starts.equals(index):
            raise TimeGridError(f"{name}: a start is not on a whole second")
        seconds = epoch_s(starts)
        wrong = np.flatnonzero(np.diff(seconds) <= 0)
        if wrong.size:
            row = int(wrong[0]) + 1
            raise TimeGridError(
                f"{name}, row {row + 1} ({starts[row].isoformat()}): does not come after the row "
                f"above it, {starts[row - 1].isoformat()}; sort the rows and keep each once"
            )
        if self.period_s is not None:
            off = np.flatnonzero((seconds - seconds[0]) % self.period_s)
            if off.size or seconds[0] % 60:
                row = int(off[0]) if off.size else 0
                raise TimeGridError(
                    f"{name}, row {row + 1} ({starts[row].isoformat()}): off the grid of "
                    f"{self.period_s} s"
                )
        return starts

    def _check_values(
        self, column: str, values: npt.NDArray[np.float64], starts: pd.DatetimeIndex
    ) -> None:
        split_field(column)
        low, high = quantity_bounds(column, self.currency)
        wrong = np.flatnonzero(~np.isnan(values) & ~((values >= low) & (values <= high)))
        if wrong.size:
            row = int(wrong[0])
            raise DataError(
                f"{self.name}, row {row + 1} ({starts[row].isoformat()}), column {column}, value "
                f"{values[row]:g}: outside {low:g} … {high:g}; check the unit and the file"
            )

    def _checked_known(
        self, columns: list[str], starts: pd.DatetimeIndex
    ) -> dict[str, pd.DatetimeIndex]:
        known: dict[str, pd.DatetimeIndex] = {}
        checked: dict[int, pd.DatetimeIndex] = {}
        for column in columns:
            instants = self.available_at.get(column)
            if instants is None or len(instants) != len(starts):
                raise DataError(f"{self.name}: available_at of {column} needs {len(starts)} rows")
            if instants.tz is None or instants.hasnans:
                raise DataError(f"{self.name}: available_at of {column} lacks zone or instants")
            if id(instants) not in checked:
                checked[id(instants)] = instants.tz_convert("UTC").as_unit("s")
            known[column] = checked[id(instants)]
        return known

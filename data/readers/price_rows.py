"""Prices as read from a file, each with its line, before they become a trace."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from gridhash.data.schema import COLUMN_BY_NAME, first_fault
from gridhash.data.trace import Trace
from gridhash.errors import DataError, TimeGridError
from gridhash.time_grid import published_the_day_before


@dataclass(frozen=True, kw_only=True)
class PriceRows:
    """One price column of one file; `lines`, `labels` and `cells` say what the file says."""

    path: Path
    column: str
    lines: Sequence[int]
    labels: Sequence[str]
    cells: Sequence[str]
    starts: pd.DatetimeIndex
    prices_per_kwh: npt.NDArray[np.float64]
    period_s: int
    currency: str
    area: str
    publisher: str
    timezone: str
    published_local: time

    def to_trace(self, start: datetime | None, end: datetime | None) -> Trace:
        """Return the rows in [start, end) as a trace; raise DataError naming the first bad line."""
        first = 0 if start is None else self._row_at(start, "start")
        stop = len(self.starts) if end is None else self._row_at(end, "end")
        if stop <= first:
            raise TimeGridError(f"{self.path}: the span {start} … {end} is empty")
        prices = self.prices_per_kwh[first:stop]
        missing = first + np.flatnonzero(np.isnan(prices))
        if missing.size:
            raise DataError(self._missing_problem(missing))
        fault = first_fault(
            COLUMN_BY_NAME["price_per_kwh"],
            prices,
            currency=self.currency,
            period_s=self.period_s,
        )
        if fault is not None:
            raise DataError(f"{self.describe(first + fault.position)}: {fault.problem}")
        starts = self.starts[first:stop]
        return Trace.from_prices(
            starts,
            prices,
            published_at=published_the_day_before(
                starts, timezone=self.timezone, at=self.published_local
            ),
            period_s=self.period_s,
            currency=self.currency,
            area=self.area,
            source=f"{self.publisher} {self.path.name}",
        )

    def describe(self, row: int) -> str:
        """Return where a value stands: file, line, row label, column and the cell as written."""
        return (
            f"{self.path} line {self.lines[row]} ({self.labels[row]}), column {self.column}, "
            f"value {self.cells[row]!r}"
        )

    def _row_at(self, instant: datetime, name: str) -> int:
        if instant.utcoffset() is None:
            raise TimeGridError(f"{self.path}: {name} {instant} has no time zone; add its offset")
        file_end = self.starts[-1] + pd.Timedelta(seconds=self.period_s)
        moment = pd.Timestamp(instant).tz_convert("UTC")
        if not self.starts[0] <= moment <= file_end:
            raise TimeGridError(
                f"{self.path}: {name} {instant} lies outside the file, "
                f"{self.starts[0].isoformat()} … {file_end.isoformat()}; choose a span inside"
            )
        row, rest = divmod(int((moment - self.starts[0]).total_seconds()), self.period_s)
        if rest:
            raise TimeGridError(f"{self.path}: {name} {instant} is not the start of a slot")
        return row

    def _missing_problem(self, missing: npt.NDArray[np.intp]) -> str:
        first, last = int(missing[0]), int(missing[-1])
        present = np.flatnonzero(~np.isnan(self.prices_per_kwh))
        advice = "choose another area"
        if present.size:
            run_start, run_stop = _longest_run(present)
            run_end = self.starts[run_stop - 1] + pd.Timedelta(seconds=self.period_s)
            advice += (
                f", or a span with prices: the longest is start="
                f"{self.starts[run_start].isoformat()}, end={run_end.isoformat()}"
            )
        return (
            f"{self.describe(first)}: no price here nor in {missing.size - 1} further rows, the "
            f"last on line {self.lines[last]} ({self.labels[last]}): the market was suspended or "
            f"the area not traded, and nothing is filled in; {advice}"
        )


def _longest_run(rows: npt.NDArray[np.intp]) -> tuple[int, int]:
    """Return first and one past the last of the longest run of consecutive numbers."""
    breaks = np.flatnonzero(np.diff(rows) != 1) + 1
    run = max(np.split(rows, breaks), key=len)
    return int(run[0]), int(run[-1]) + 1

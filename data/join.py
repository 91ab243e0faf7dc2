"""Bring columns of several sources onto one time grid; what is missing or disagrees is reported.

A power or price holds within its period, so a coarser source repeats and a finer one is averaged,
and a mean is known when the last of its parts is. Nothing is filled unless a `Fill` asks for it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from gridhash.data.join_report import (
    ColumnReport,
    Disagreement,
    Gap,
    JoinReport,
    gap_problem,
)
from gridhash.data.quantities import quantity_of
from gridhash.data.runs import runs
from gridhash.data.schema import COLUMN_BY_NAME
from gridhash.data.source_table import SourceTable
from gridhash.data.trace import Trace
from gridhash.errors import DataError, TimeGridError
from gridhash.time_grid import epoch_s, from_epoch_s, grid

Array = npt.NDArray[np.float64]
Seconds = npt.NDArray[np.int64]

_UNKNOWN = np.iinfo(np.int64).min


@dataclass(frozen=True, kw_only=True)
class Fill:
    """How gaps of one column may be filled.

    Attributes
    ----------
    how
        ``hold`` repeats the last value; ``interpolate`` draws a line between the neighbours, and
        is known only when the later one is; ``constant`` takes `value`.
    max_gap_s
        Longer gaps stay gaps [s].
    """

    how: Literal["hold", "interpolate", "constant"]
    max_gap_s: int
    value: float = 0.0

    def __str__(self) -> str:
        """Return it in words, for the notes of a trace."""
        what = f"constant {self.value:g}" if self.how == "constant" else self.how
        return f"{what}, gaps up to {self.max_gap_s} s"


@dataclass(frozen=True, kw_only=True)
class Part:
    """One source of a column; `scale` multiplies its values, such as 0.5 for half of a power."""

    table: SourceTable
    field: str
    scale: float = 1.0

    @property
    def name(self) -> str:
        """Where it comes from, for messages."""
        return f"{self.table.name}, {self.field}"


@dataclass(frozen=True, kw_only=True)
class JoinColumn:
    """One column of the trace and its sources, the trusted one first.

    Where the first has no value the next is taken. Where two have one, they must agree within
    `tolerance`, in the column's unit.
    """

    column: str
    parts: tuple[Part, ...]
    fill: Fill | None = None
    tolerance: float = 1e-6


@dataclass(frozen=True)
class Joined:
    """Columns on one grid, with NaN in the gaps, and what was found on the way."""

    frame: pd.DataFrame
    available_at: dict[str, pd.DatetimeIndex]
    report: JoinReport
    period_s: int
    currency: str
    area: str

    def to_trace(self, *, prefer_first: bool = False) -> Trace:
        """Return the trace.

        Parameters
        ----------
        prefer_first
            Take the first source where sources disagree, and note it, instead of refusing.

        Raises
        ------
        DataError
            If a gap is left or sources disagree; the message names the first rows.
        """
        for column in self.report.columns:
            if column.gaps:
                raise DataError(gap_problem(column))
            if column.disagreements and not prefer_first:
                raise DataError(
                    f"{column.disagreements[0]}; and {column.n_disagreements - 1} more rows: find "
                    "out which source is right, leave the other out, or prefer the first "
                    "(--prefer-first)"
                )
        return Trace(
            frame=self.frame,
            period_s=self.period_s,
            currency=self.currency,
            area=self.area,
            source=self.report.source,
            available_at=self.available_at,
            notes=self.report.notes(),
        )


def join(
    columns: Sequence[JoinColumn],
    *,
    start: datetime,
    end: datetime,
    period_s: int,
    currency: str,
    area: str,
) -> Joined:
    """Return columns of several sources on the grid of [start, end).

    Parameters
    ----------
    columns
        Columns of `gridhash.data.schema.COLUMNS`, each with its sources.
    start, end
        Aware; whole periods apart.
    period_s
        Length of an interval of the result [s]: a divisor or a multiple of each source's.

    Raises
    ------
    TimeGridError
        If the span is empty or off the grid, or period lengths do not divide each other.
    DataError
        If a column is unknown or asked for twice, or a source is in another currency.
    """
    for instant, which in ((start, "start"), (end, "end")):
        if instant.utcoffset() is None:
            raise TimeGridError(f"{which} {instant} has no time zone; add its offset")
    if period_s <= 0 or 86400 % period_s:
        raise TimeGridError(
            f"period {period_s} s does not divide a day; use 300, 900, 1800 or 3600"
        )
    if end <= start:
        raise TimeGridError(f"the span ends, {end}, before it starts, {start}")
    starts = grid(pd.Timestamp(start), pd.Timestamp(end), period_s)
    if not len(starts) or (pd.Timestamp(end) - pd.Timestamp(start)).total_seconds() % period_s:
        raise TimeGridError(f"{start} … {end} is no span of whole periods of {period_s} s")
    frame, known, reports = pd.DataFrame(index=starts), {}, []
    for column in columns:
        if column.column not in COLUMN_BY_NAME or column.column in frame.columns:
            raise DataError(
                f"column {column.column!r} is unknown or asked for twice; a trace holds "
                f"{', '.join(COLUMN_BY_NAME)}"
            )
        values, instants, report = _join_column(column, starts, period_s, currency)
        frame[column.column] = values
        known[column.column] = instants
        reports.append(report)
    found = JoinReport(tuple(reports), starts[0], pd.Timestamp(end).tz_convert("UTC"))
    return Joined(frame, known, found, period_s, currency, area)


def _join_column(
    column: JoinColumn, starts: pd.DatetimeIndex, period_s: int, currency: str
) -> tuple[Array, pd.DatetimeIndex, ColumnReport]:
    if not column.parts:
        raise DataError(f"{column.column}: a column needs a source")
    values = np.full(len(starts), np.nan)
    known = np.full(len(starts), _UNKNOWN)
    taken_from = np.zeros(len(starts), dtype=np.intp)
    disagreements: list[Disagreement] = []
    n_disagreements = n_overlap = 0
    for rank, part in enumerate(column.parts):
        _check_unit(column, part, currency)
        found, found_known = _on_grid(part, starts, period_s)
        both = ~np.isnan(values) & ~np.isnan(found)
        wrong = np.flatnonzero(both & (np.abs(values - found) > column.tolerance))
        n_overlap += int(np.count_nonzero(both))
        n_disagreements += wrong.size
        disagreements += [
            Disagreement(
                column.column,
                starts[row],
                float(values[row]),
                column.parts[taken_from[row]].name,
                float(found[row]),
                part.name,
            )
            for row in wrong[:5].tolist()
        ]
        take = np.isnan(values) & ~np.isnan(found)
        values[take], known[take], taken_from[take] = found[take], found_known[take], rank
        if rank == 0:
            primary = int(np.count_nonzero(take))
    filled = _fill(column, values, known, epoch_s(starts), period_s)
    gaps = tuple(
        Gap(starts[first], starts[stop - 1] + pd.Timedelta(seconds=period_s), stop - first)
        for first, stop in runs(np.isnan(values))
    )
    known = np.where(known == _UNKNOWN, epoch_s(starts), known)
    # What is known never shrinks from row to row, so that it is always a prefix of the trace.
    in_order = np.maximum.accumulate(known)
    delay_s = in_order - known
    report = ColumnReport(
        column=column.column,
        sources=tuple(part.name for part in column.parts),
        n_rows=len(starts),
        n_from_first=primary,
        n_overlap=n_overlap,
        gaps=gaps,
        fill=str(column.fill) if column.fill is not None else "",
        filled=filled,
        disagreements=tuple(disagreements),
        n_disagreements=n_disagreements,
        scales=tuple(part.scale for part in column.parts),
        n_delayed=int(np.count_nonzero(delay_s)),
        max_delay_s=int(delay_s.max()),
    )
    return values, from_epoch_s(in_order), report


def _check_unit(column: JoinColumn, part: Part, currency: str) -> None:
    unit, found = COLUMN_BY_NAME[column.column].unit, quantity_of(part.field).unit
    if unit != found:
        raise DataError(
            f"{column.column} is in {unit}, but {part.name} in {found}: choose a field of the same "
            "unit"
        )
    if unit == "currency/kWh" and part.table.currency != currency:
        raise DataError(
            f"{column.column}: {part.name} is in {part.table.currency}, the trace in {currency}; "
            "prices are not converted: choose the market's currency"
        )


def _on_grid(part: Part, starts: pd.DatetimeIndex, period_s: int) -> tuple[Array, Seconds]:
    """Return values on the grid, NaN where there are none, and when each is known [s]."""
    table = part.table
    source_s = epoch_s(table.starts)
    values = table.column(part.field) * part.scale
    known = epoch_s(table.available_at[part.field])
    targets = epoch_s(starts)
    if table.period_s is None:
        # How long the last step holds, the table does not say.
        row = np.searchsorted(source_s, targets, side="right") - 1
        return _take(values, known, np.where(targets <= source_s[-1], row, -1))
    if table.period_s % period_s and period_s % table.period_s:
        raise TimeGridError(
            f"{part.name}: periods of {table.period_s} s and {period_s} s do not divide each other"
        )
    if (targets[0] - source_s[0]) % min(table.period_s, period_s):
        raise TimeGridError(
            f"{part.name}: its grid, as {table.starts[0].isoformat()}, and that of the trace, as "
            f"{starts[0].isoformat()}, do not meet"
        )
    if table.period_s >= period_s:
        offset = source_s[0] % table.period_s
        wanted = (targets - offset) // table.period_s * table.period_s + offset
        return _take(values, known, _rows_at(source_s, wanted))
    n_parts = period_s // table.period_s
    wanted = (targets[:, None] + np.arange(n_parts) * table.period_s).ravel()
    part_values, part_known = _take(values, known, _rows_at(source_s, wanted))
    return (
        part_values.reshape(-1, n_parts).mean(axis=1),
        part_known.reshape(-1, n_parts).max(axis=1),
    )


def _rows_at(source_s: Seconds, wanted_s: Seconds) -> npt.NDArray[np.intp]:
    """Return the row of each wanted start, −1 where there is none."""
    row = np.searchsorted(source_s, wanted_s)
    inside = np.minimum(row, len(source_s) - 1)
    return np.where(source_s[inside] == wanted_s, inside, -1)


def _take(values: Array, known: Seconds, rows: npt.NDArray[np.intp]) -> tuple[Array, Seconds]:
    found = rows >= 0
    return np.where(found, values[rows], np.nan), np.where(found, known[rows], _UNKNOWN)


def _fill(
    column: JoinColumn, values: Array, known: Seconds, starts_s: Seconds, period_s: int
) -> int:
    """Fill gaps in place as the column allows; return how many rows were filled."""
    fill, n_filled = column.fill, 0
    if fill is None:
        return 0
    for first, stop in runs(np.isnan(values)):
        if (stop - first) * period_s > fill.max_gap_s:
            continue
        has_before, has_after = first > 0, stop < len(values)
        if fill.how == "constant":
            neighbour = known[first - 1] if has_before else known[stop] if has_after else None
            values[first:stop] = fill.value
            known[first:stop] = starts_s[first] if neighbour is None else neighbour
        elif fill.how == "hold" and has_before:
            values[first:stop], known[first:stop] = values[first - 1], known[first - 1]
        elif fill.how == "interpolate" and has_before and has_after:
            ends = [first - 1, stop]
            values[first:stop] = np.interp(np.arange(first, stop), ends, values[ends])
            known[first:stop] = max(known[first - 1], known[stop])
        else:
            continue
        n_filled += stop - first
    return n_filled

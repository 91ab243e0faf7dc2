"""What readers of market files share: clocks, order of rows, tall rows to columns, prices."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from gridhash.data.readers.cells import Cells
from gridhash.data.readers.source_file import SourceFile
from gridhash.data.schema import COLUMN_BY_NAME, first_fault
from gridhash.data.source_table import SourceTable
from gridhash.errors import DataError, FileFormatError, TimeGridError

Seconds = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.float64]

KWH_PER_MWH = 1000.0
"""A price per MWh is divided by it; a mean power in MW times it is in kW."""

_INSTANT = re.compile(
    r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(?::\d\d(?:\.0+)?)?(?:Z|[+-]\d\d:?\d\d)", re.ASCII
)


def clock_s(cells: Cells, at: int, *, pattern: str, form: str, example: str) -> Seconds:
    """Return a column of wall times as seconds since 1970 of that clock.

    Parameters
    ----------
    pattern, form
        What a cell must match as a whole, and the same as a format of `datetime.strptime`.
    example
        For the message.

    Raises
    ------
    DataError
        If a cell does not match or names no time; the message names its line.
    """
    codes, texts = cells.codes(at)
    whole = re.compile(pattern, re.ASCII)
    matched = [text if whole.fullmatch(text) else None for text in texts]
    parsed = pd.to_datetime(pd.Series(matched, dtype="object"), format=form, errors="coerce")
    return _spread_times(cells, at, codes, pd.DatetimeIndex(parsed), example)


def instants_s(cells: Cells, at: int) -> Seconds:
    """Return a column of ISO 8601 instants with offset as seconds since 1970 UTC.

    Raises
    ------
    DataError
        If a cell is no such instant, has no offset, or is not on a whole second.
    """
    codes, texts = cells.codes(at)
    matched = [text if _INSTANT.fullmatch(text) else None for text in texts]
    parsed = pd.to_datetime(
        pd.Series(matched, dtype="object"), format="ISO8601", utc=True, errors="coerce"
    )
    index = pd.DatetimeIndex(parsed).tz_localize(None)
    return _spread_times(cells, at, codes, index, "2024-04-01 00:00:00+09:00")


def _spread_times(
    cells: Cells, at: int, codes: npt.NDArray[np.int64], index: pd.DatetimeIndex, example: str
) -> Seconds:
    bad = np.flatnonzero(index.isna())
    if bad.size:
        row = int(np.flatnonzero(np.isin(codes, bad))[0])
        raise DataError(f"{cells.where(row, at)}: not a time like {example}; get the original file")
    return np.asarray(index.as_unit("s").asi8, np.int64)[codes]


def local_to_utc_s(
    cells: Cells, at: int, wall_s: Seconds, *, timezone: str, is_repeat: npt.NDArray[np.bool_]
) -> Seconds:
    """Return wall times of a zone as seconds since 1970 UTC.

    Parameters
    ----------
    is_repeat
        Rows in the second of the two hours that the end of summer time gives the same name.

    Raises
    ------
    TimeGridError
        If a time is skipped by the clocks, or marked as repeated though it occurs once.
    """
    unique, inverse = np.unique(wall_s * 2 + is_repeat, return_inverse=True)
    wall = to_index(unique // 2).tz_localize(None)
    second = np.asarray(unique % 2, bool)
    utc = wall.tz_localize(timezone, ambiguous=~second, nonexistent="NaT").tz_convert("UTC")
    first = wall.tz_localize(timezone, ambiguous=np.ones(len(wall), bool), nonexistent="NaT")
    skipped = np.asarray(utc.isna())
    single = second & np.asarray(first.tz_convert("UTC") == utc)
    for wrong, problem in (
        (skipped, f"clocks in {timezone} skip this hour"),
        (single, f"marked as a repeated hour, but clocks in {timezone} do not repeat it"),
    ):
        if wrong.any():
            row = int(np.flatnonzero(wrong[inverse])[0])
            raise TimeGridError(f"{cells.where(row, at)}: {problem}; get the original file")
    return np.asarray(utc.as_unit("s").asi8, np.int64)[inverse]


def to_index(seconds: Seconds) -> pd.DatetimeIndex:
    """Return seconds since 1970 as instants in UTC."""
    return pd.DatetimeIndex(seconds.astype("datetime64[s]")).tz_localize("UTC")


def check_consecutive(cells: Cells, at: int, seconds: Seconds, period_s: int) -> None:
    """Raise TimeGridError unless each row lies one period after the row above it."""
    wrong = np.flatnonzero(np.diff(seconds) != period_s)
    if not wrong.size:
        return
    row = int(wrong[0]) + 1
    step = int(seconds[row] - seconds[row - 1])
    if step == 0:
        problem = "a duplicate of the line above; remove one"
    elif step < 0:
        problem = "it lies before the line above; sort by time and keep each row once"
    elif step % period_s:
        problem = f"off the grid of {period_s} s; get the original file"
    else:
        problem = f"{step // period_s - 1} row(s) are missing before it; get a complete file"
    raise TimeGridError(f"{cells.where(row, at)}: {problem}")


@dataclass(frozen=True)
class Wide:
    """Where the rows of a tall table stand in a wide one: one line per start, one column each."""

    starts_s: Seconds
    row_of: npt.NDArray[np.int64]

    def spread(self, values: Numbers) -> Numbers:
        """Return values of the tall rows as starts × columns, NaN where there is no row."""
        spread: Numbers = np.where(self.row_of >= 0, values[self.row_of], np.nan)
        return spread


def widen(
    cells: Cells,
    at: int,
    starts_s: Seconds,
    codes: npt.NDArray[np.int64],
    names: list[str],
    *,
    period_s: int,
    may_lack_starts: bool = False,
    may_join_late: bool = False,
    may_lack_rows: bool = False,
) -> Wide:
    """Return where the rows of a tall table belong.

    Parameters
    ----------
    starts_s, codes
        For each row its start, and the number of its column in `names`.
    may_lack_starts
        Whether a start may be missing, then for all columns.
    may_join_late
        Whether a column may begin later or end earlier than the others.
    may_lack_rows
        Whether a column may lack any start.

    Raises
    ------
    TimeGridError
        If a row is doubled, off the grid or missing.
    """
    unique, position = np.unique(starts_s, return_inverse=True)
    off = np.flatnonzero((starts_s - unique[0]) % period_s)
    if off.size:
        raise TimeGridError(f"{cells.where(int(off[0]), at)}: off the grid of {period_s} s")
    gaps = np.flatnonzero(np.diff(unique) != period_s)
    if gaps.size and not may_lack_starts:
        row = int(np.flatnonzero(position == gaps[0] + 1)[0])
        n_missing = int(unique[gaps[0] + 1] - unique[gaps[0]]) // period_s - 1
        raise TimeGridError(
            f"{cells.where(row, at)}: {n_missing} period(s) are missing before it; get a complete "
            "file"
        )
    flat = position * len(names) + codes
    order = np.argsort(flat, kind="stable")
    doubled = np.flatnonzero(np.diff(flat[order]) == 0)
    if doubled.size:
        row, again = sorted(int(order[doubled[0] + i]) for i in (0, 1))
        raise TimeGridError(
            f"{cells.where(again, at)}: {names[codes[again]]} stands here again after line "
            f"{int(cells.lines[row])}; keep each row once"
        )
    row_of = np.full((unique.size, len(names)), -1, np.int64)
    row_of[position, codes] = np.arange(flat.size)
    held = row_of >= 0
    due = np.ones_like(held)
    if may_join_late:
        due = np.logical_or.accumulate(held) & np.logical_or.accumulate(held[::-1])[::-1]
    if not may_lack_rows and (due & ~held).any():
        line, column = (int(i) for i in np.argwhere(due & ~held)[0])
        raise TimeGridError(
            f"{cells.path}: {names[column]} has no row at {to_index(unique[[line]])[0]}, but "
            "others have; get a complete file, or one of those that are there all the time"
        )
    return Wide(unique, row_of)


def check_whole_days(
    cells: Cells, wide: Wide, names: list[str], *, period_s: int, timezone: str
) -> None:
    """Raise TimeGridError unless each column begins at a local midnight and ends at one."""
    held = wide.row_of >= 0
    first = wide.starts_s[held.argmax(axis=0)]
    end = wide.starts_s[len(held) - 1 - held[::-1].argmax(axis=0)] + period_s
    for edges, verb in ((first, "begins"), (end, "ends")):
        local = to_index(edges).tz_convert(timezone)
        wrong = np.flatnonzero(local != local.normalize())
        if wrong.size:
            column = int(wrong[0])
            raise TimeGridError(
                f"{cells.path}: {names[column]} {verb} at {local[column]}, within a day; the file "
                "may be cut off: get a complete one"
            )


def check_prices(
    cells: Cells, at: int, rows: Seconds, per_kwh: Numbers, *, currency: str, period_s: int
) -> None:
    """Raise DataError naming the line of the first price of one series that cannot be right.

    Parameters
    ----------
    rows
        Row of each price, in order of time; below 0 where there is none.
    per_kwh
        The prices of those rows.
    """
    known = np.flatnonzero((rows >= 0) & np.isfinite(per_kwh))
    if not known.size:
        return
    fault = first_fault(
        COLUMN_BY_NAME["price_per_kwh"], per_kwh[known], currency=currency, period_s=period_s
    )
    if fault is not None:
        where = cells.where(int(rows[known[fault.position]]), at)
        raise DataError(f"{where}: {fault.problem}")


def require_header(found: list[str], wanted: tuple[str, ...], path: object) -> None:
    """Raise FileFormatError unless a header has exactly these names in this order."""
    if tuple(found) == wanted:
        return
    at = next(
        (i for i, pair in enumerate(zip(found, wanted, strict=False)) if len({*pair}) > 1), -1
    )
    if at < 0:
        problem = f"there are {len(found)} columns, not {len(wanted)}"
    else:
        problem = f"column {at + 1} must be {wanted[at]}; found {found[at][:80]!r}"
    raise FileFormatError(f"{path} line 1: {problem}; get the publisher's file")


def make_table(
    file: SourceFile,
    publisher: str,
    dataset: str,
    starts: pd.DatetimeIndex,
    columns: Mapping[str, Numbers],
    known: pd.DatetimeIndex,
    *,
    period_s: int | None,
    currency: str | None = None,
) -> SourceTable:
    """Return the table of one file whose columns are all known at the same instants."""
    return SourceTable(
        dataset=dataset,
        frame=pd.DataFrame(dict(columns), index=starts),
        period_s=period_s,
        currency=currency,
        origins=(file.origin(publisher),),
        available_at=dict.fromkeys(columns, known),
    )

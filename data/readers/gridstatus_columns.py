"""Columns of data frames saved from gridstatus: their order, intervals and numbers."""

from collections.abc import Sequence

import numpy as np

from gridhash.data.readers.cells import Cells
from gridhash.data.readers.rows import Seconds, instants_s
from gridhash.errors import DataError, FileFormatError, TimeGridError

FLOAT = r"-?\d+(?:\.\d+)?(?:e-\d+)?"
"""Numbers as pandas writes them: small ones get an exponent."""

MAX_GAP_S = 7 * 86400
MISSING = ("", "nan")


def without_index(cells: Cells) -> Cells:
    """Return the cells without the row numbers that pandas saves first."""
    if cells.names[0] not in ("", "__index_level_0__"):
        return cells
    if cells.text(0) != [str(i) for i in range(len(cells))]:
        raise DataError(f"{cells.path}: the first column does not count the rows from 0")
    return Cells(cells.file, cells.names[1:], cells.columns[1:], cells.lines)


def intervals_s(cells: Cells) -> tuple[Seconds, Seconds]:
    """Return starts and lengths of the intervals; where there is a Time, it is the start."""
    starts_s = instants_s(cells, cells.at("IntervalStart"))
    lengths_s = instants_s(cells, cells.at("IntervalEnd")) - starts_s
    if "Time" in cells.names:
        wrong = np.flatnonzero(instants_s(cells, cells.at("Time")) != starts_s)
        if wrong.size:
            where = cells.where(int(wrong[0]), cells.at("Time"))
            raise TimeGridError(f"{where}: not the start of the interval")
    return starts_s, lengths_s


def check_lengths(cells: Cells, lengths_s: Seconds, wanted: Sequence[int]) -> int:
    """Return the one length of all intervals; raise TimeGridError if it is none of those wanted."""
    period_s = int(lengths_s[0])
    wrong = np.flatnonzero(lengths_s != period_s) if period_s in wanted else np.array([0])
    if wrong.size:
        raise TimeGridError(
            f"{cells.where(int(wrong[0]), cells.at('IntervalEnd'))}: the interval has "
            f"{lengths_s[wrong[0]]} s; {' or '.join(map(str, wanted))} s in all rows are expected"
        )
    return period_s


def check_gaps(cells: Cells, name: str, starts_s: Seconds) -> None:
    """Raise TimeGridError if nothing starts for a week or more: a wrong date, or two frames."""
    unique, first = np.unique(starts_s, return_index=True)
    gaps = np.flatnonzero(np.diff(unique) >= MAX_GAP_S)
    if gaps.size:
        row = int(first[gaps[0] + 1])
        raise TimeGridError(
            f"{cells.where(row, cells.at(name))}: a week or more lies between this and the start "
            "before it; save each span as its own file"
        )


def check_order(cells: Cells, *orders: Sequence[str], texts: set[str]) -> None:
    """Raise unless known columns stand in gridstatus' order and there are no others."""
    for order in orders:
        found = [name for name in cells.names if name in order]
        if found != [name for name in order if name in found]:
            raise FileFormatError(f"{cells.path}: the columns are out of order: {', '.join(found)}")
    known = texts.union(*orders)
    unknown = [name for name in cells.names if name not in known]
    if unknown or len(set(cells.names)) < len(cells.names):
        raise FileFormatError(
            f"{cells.path}: unexpected or doubled columns {', '.join(unknown or cells.names)}; "
            "save the frame as gridstatus returns it"
        )

"""Checks that tell a damaged file from a right one: whole days, the publisher's tick, sums."""

import re
from datetime import date

import numpy as np
import numpy.typing as npt
import pandas as pd

from gridhash.data.readers.cells import Cells
from gridhash.errors import DataError, TimeGridError
from gridhash.time_grid import grid

Ordinals = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.float64]

TICK_MIN_DISTINCT = 10
"""With fewer distinct values, that all lie on a coarser tick may be chance."""

_SLASHED = re.compile(r"(\d{4})[/-](\d{1,2})[/-](\d{1,2})")
_COMPACT = re.compile(r"(\d{4})(\d{2})(\d{2})")


def day_ordinals(cells: Cells, at: int) -> Ordinals:
    """Return a column of dates as proleptic days: ``2024/04/01``, ``2024-4-1`` or ``20240401``.

    Raises
    ------
    DataError
        If a cell is none of these, or the column mixes two of them.
    """
    codes, texts = cells.codes(at)
    kinds = [_date_kind(text) for text in texts]
    for code, kind in enumerate(kinds):
        row = int(np.argmax(codes == code))
        if kind is None:
            raise DataError(
                f"{cells.where(row, at)}: not a date like 2024/04/01; get the original file"
            )
        if kind[0] != kinds[0][0]:  # type: ignore[index]  # the first is checked first
            raise DataError(
                f"{cells.where(row, at)}: the file mixes ways to write a date, before it stands "
                f"{texts[0]!r}; get the original file"
            )
    return np.array([kind[1] for kind in kinds if kind is not None], np.int64)[codes]


def _date_kind(text: str) -> tuple[str, int] | None:
    for separator in "/-":
        match = _SLASHED.fullmatch(text) if separator in text else None
        if match is not None and text.count(separator) == 2:
            return _ordinal(separator, match)
    match = _COMPACT.fullmatch(text)
    return None if match is None else _ordinal("", match)


def _ordinal(kind: str, match: re.Match[str]) -> tuple[str, int] | None:
    try:
        return kind, date(int(match[1]), int(match[2]), int(match[3])).toordinal()
    except ValueError:
        return None


def slot_numbers(cells: Cells, at: int, slots_per_day: int) -> Ordinals:
    """Return a column of slot numbers, 1 to `slots_per_day`; raise DataError for others."""
    codes, texts = cells.codes(at)
    numbers = []
    for code, text in enumerate(texts):
        if not (text.isascii() and text.isdigit() and 1 <= int(text) <= slots_per_day):
            row = int(np.argmax(codes == code))
            raise DataError(
                f"{cells.where(row, at)}: slots are numbered 1 to {slots_per_day}; correct the "
                "row or get the original file"
            )
        numbers.append(int(text))
    return np.array(numbers, np.int64)[codes]


def whole_days(
    cells: Cells, ordinals: Ordinals, *, slots_per_day: int, timezone: str, row_name: str = "slot"
) -> pd.DatetimeIndex:
    """Return the starts of rows that must be consecutive and cover whole local days.

    Parameters
    ----------
    ordinals
        For each row ``day ordinal × slots_per_day + slot`` with slots from 0.
    timezone
        A zone without daylight saving.

    Raises
    ------
    TimeGridError
        If a slot is doubled, out of order or missing, also at the edges of the file.
    """
    wrong = np.flatnonzero(np.diff(ordinals) != 1)
    if wrong.size:
        row = int(wrong[0]) + 1
        step = int(ordinals[row] - ordinals[row - 1])
        if step == 0:
            problem = f"the {row_name} is a duplicate of the line above; remove one"
        elif step < 0:
            problem = (
                f"the {row_name} lies before that of the line above, "
                f"{_slot_label(int(ordinals[row - 1]), slots_per_day)}; sort by time and keep each "
                "row once"
            )
        else:
            problem = (
                f"{step - 1} {row_name}(s) are missing after "
                f"{_slot_label(int(ordinals[row - 1]), slots_per_day)}; get a complete file"
            )
        raise TimeGridError(f"{_slot_where(cells, ordinals, row, slots_per_day)}: {problem}")
    before = int(ordinals[0] % slots_per_day)
    after = slots_per_day - 1 - int(ordinals[-1] % slots_per_day)
    for row, n_missing, side in ((0, before, "before"), (-1, after, "after")):
        if n_missing:
            raise TimeGridError(
                f"{_slot_where(cells, ordinals, row, slots_per_day)}: {n_missing} {row_name}(s) of "
                f"this day are missing {side} it; a day has {slots_per_day}: get a complete file "
                "or remove the day"
            )
    first, last = (int(ordinals[i]) // slots_per_day for i in (0, -1))
    if last >= date.max.toordinal():
        raise DataError(f"{cells.path}: {date.max} is no day of a market; get the original file")
    midnight = [pd.Timestamp(date.fromordinal(day), tz=timezone) for day in (first, last + 1)]
    return grid(midnight[0], midnight[1], 86400 // slots_per_day)


def _slot_label(ordinal: int, slots_per_day: int) -> str:
    minutes = ordinal % slots_per_day * 1440 // slots_per_day
    day = date.fromordinal(ordinal // slots_per_day)
    return f"{day} {minutes // 60:02d}:{minutes % 60:02d}"


def _slot_where(cells: Cells, ordinals: Ordinals, row: int, slots_per_day: int) -> str:
    label = _slot_label(int(ordinals[row]), slots_per_day)
    return f"{cells.path} line {int(cells.lines[row])} ({label})"


def check_tick(cells: Cells, at: int, values: Numbers, *, tick: float) -> None:
    """Raise DataError if a column is not in the publisher's tick, or only in one ten times that.

    A column multiplied by 10 or 1000 loses its last decimal; one divided by them gains some.
    Columns with fewer than `TICK_MIN_DISTINCT` distinct values are only checked for the latter.
    """
    steps = values[np.isfinite(values)] / tick
    whole = np.round(steps)
    fine = np.flatnonzero(np.abs(steps - whole) > 1e-4)
    if fine.size:
        row = int(np.flatnonzero(np.isfinite(values))[fine[0]])
        raise DataError(
            f"{cells.where(row, at)}: finer than the publisher's step of {tick:g}; the unit may "
            "have been changed, get the original file"
        )
    if is_ten_times_coarser(values, tick=tick):
        raise DataError(
            f"{cells.path}, column {cells.names[at]}: every value is a multiple of {10 * tick:g}, "
            f"ten times the publisher's step, such as {cells.columns[at][0].as_py()!r} on line "
            f"{int(cells.lines[0])}; the unit may have been changed, get the original file"
        )


def is_ten_times_coarser(values: Numbers, *, tick: float) -> bool:
    """Return whether enough distinct values lie, all of them, on ten times the publisher's step.

    >>> is_ten_times_coarser(np.arange(20) * 0.1, tick=0.01)
    True
    """
    steps = np.unique(np.round(values[np.isfinite(values)] / tick))
    return steps.size >= TICK_MIN_DISTINCT and not np.any(steps % 10)

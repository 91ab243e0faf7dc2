"""JEPX day-ahead prices: the exchange's `spot_summary_YYYY.csv`, one file per fiscal year.

48 slots a day in Japan Standard Time, which knows no daylight saving; JPY/kWh, so no conversion.
Read by column name, not by position: names and order changed over the years.
"""

import re
import unicodedata
from datetime import date, datetime, time, timedelta
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from gridhash.data.readers.price_rows import PriceRows
from gridhash.data.readers.text_file import TextFile, read_text_file
from gridhash.data.trace import Trace
from gridhash.errors import DataError, FileFormatError, TimeGridError
from gridhash.time_grid import grid

AREAS = {
    "hokkaido": "エリアプライス北海道",
    "tohoku": "エリアプライス東北",
    "tokyo": "エリアプライス東京",
    "chubu": "エリアプライス中部",
    "hokuriku": "エリアプライス北陸",
    "kansai": "エリアプライス関西",
    "chugoku": "エリアプライス中国",
    "shikoku": "エリアプライス四国",
    "kyushu": "エリアプライス九州",
    "system": "システムプライス",
}
"""Area name → what its column is called, without the unit."""

DATE_COLUMNS = ("受渡日", "年月日")
SLOT_COLUMN = "時刻コード"
UNIT = "(円/kWh)"
TIMEZONE = "Asia/Tokyo"
SLOTS_PER_DAY = 48
PERIOD_S = 1800

# The results of the auction held on the morning of the day before are out well before this.
PUBLISHED_LOCAL = time(12, 30)

_DATE = re.compile(r"(\d{4})[/-](\d{1,2})[/-](\d{1,2})")
_NUMBER = re.compile(r"-?\d+(\.\d+)?")


def read_spot_summary(
    path: str | Path, area: str, *, start: datetime | None = None, end: datetime | None = None
) -> Trace:
    """Read the prices of one area from a JEPX spot summary.

    Parameters
    ----------
    path
        The file as downloaded (cp932) or saved again as UTF-8, also by Excel.
    area
        One of `AREAS`.
    start, end
        Keep only the slots in [start, end); aware. Prices may be missing outside.

    Raises
    ------
    FileFormatError
        If it is no JEPX spot summary.
    TimeGridError
        If a slot is missing, doubled or out of order; the message names the line.
    DataError
        If a price is missing or implausible, or the area is unknown.
    """
    return parse_spot_summary(read_text_file(path), area, start=start, end=end)


def is_spot_summary(file: TextFile) -> bool:
    """Return whether the header is that of a JEPX file with prices by slot."""
    names = _names(file.first_line.split(","))
    return SLOT_COLUMN in names and any(name in names for name in DATE_COLUMNS)


def parse_spot_summary(
    file: TextFile, area: str, *, start: datetime | None = None, end: datetime | None = None
) -> Trace:
    """Return the prices of one area; see `read_spot_summary`."""
    key = area.strip().casefold()
    if key not in AREAS:
        raise DataError(f"{file.path}: unknown area {area!r}; choose one of {', '.join(AREAS)}")
    rows = file.rows(",")
    _, header = next(rows)
    names = _names(header)
    date_at, slot_at, price_at = _find_columns(file, names, key)
    lines: list[int] = []
    labels: list[str] = []
    cells: list[str] = []
    ordinals: list[int] = []
    prices: list[float] = []
    for line, row in rows:
        _check_width(file, line, row, len(header))
        where = f"{file.path} line {line}"
        ordinals.append(_slot_ordinal(where, row[date_at].strip(), row[slot_at].strip()))
        cell = row[price_at].strip()
        if cell and not _NUMBER.fullmatch(cell):
            raise DataError(
                f"{where}, column {names[price_at]}, value {cell!r}: not a number; get the "
                "original file"
            )
        lines.append(line)
        labels.append(f"{row[date_at].strip()} slot {row[slot_at].strip()}")
        cells.append(cell)
        prices.append(float(cell) if cell else np.nan)
    if not lines:
        raise FileFormatError(f"{file.path}: no rows below the header; download it again")
    _check_slots(file, np.array(ordinals), lines, labels)
    first_day = date.fromordinal(ordinals[0] // SLOTS_PER_DAY)
    last_day = date.fromordinal(ordinals[-1] // SLOTS_PER_DAY)
    return PriceRows(
        path=file.path,
        column=names[price_at],
        lines=lines,
        labels=labels,
        cells=cells,
        starts=grid(_midnight(first_day), _midnight(last_day + timedelta(days=1)), PERIOD_S),
        prices_per_kwh=np.array(prices),
        period_s=PERIOD_S,
        currency="JPY",
        area=key,
        publisher="JEPX spot",
        timezone=TIMEZONE,
        published_local=PUBLISHED_LOCAL,
    ).to_trace(start, end)


def _names(header: list[str]) -> list[str]:
    """Return column names in one spelling: full-width signs and blanks differ between copies."""
    return ["".join(unicodedata.normalize("NFKC", name).split()).strip('"') for name in header]


def _find_columns(file: TextFile, names: list[str], area: str) -> tuple[int, int, int]:
    date_name = next((name for name in DATE_COLUMNS if name in names), DATE_COLUMNS[0])
    wanted = AREAS[area] + UNIT
    for name in (date_name, SLOT_COLUMN, wanted):
        if names.count(name) == 1:
            continue
        kind = "occurs more than once" if name in names else "is missing"
        hint = ""
        if "始値" in "".join(names):
            hint = " (this is the intraday file)"
        elif any(found.startswith(AREAS[area]) for found in names):
            hint = f" (its unit must be {UNIT})"
        raise FileFormatError(
            f"{file.path} line 1: the column {name} {kind}{hint}; found {', '.join(names)}. "
            "Download spot_summary_YYYY.csv from JEPX"
        )
    return names.index(date_name), names.index(SLOT_COLUMN), names.index(wanted)


def _check_width(file: TextFile, line: int, row: list[str], width: int) -> None:
    if len(row) < width or any(cell.strip() for cell in row[width:]):
        raise FileFormatError(
            f"{file.path} line {line}: {len(row)} values under {width} column names; the file is "
            "damaged or cut off, download it again"
        )


def _slot_ordinal(where: str, day: str, slot: str) -> int:
    """Return the number of a slot, counted through all days."""
    if not slot.isascii() or not slot.isdigit() or not 1 <= int(slot) <= SLOTS_PER_DAY:
        raise DataError(
            f"{where}, column {SLOT_COLUMN}, value {slot!r}: slots are numbered 1 to "
            f"{SLOTS_PER_DAY}; correct the row or get the original file"
        )
    ordinal = _day_ordinal(day)
    if ordinal is None:
        raise DataError(
            f"{where}, column {DATE_COLUMNS[0]}, value {day!r}: not a date like 2024/04/01; "
            "correct the row or get the original file"
        )
    return ordinal * SLOTS_PER_DAY + int(slot) - 1


@cache
def _day_ordinal(day: str) -> int | None:
    match = _DATE.fullmatch(day)
    if match is None:
        return None
    try:
        return date(int(match[1]), int(match[2]), int(match[3])).toordinal()
    except ValueError:
        return None


def _check_slots(
    file: TextFile,
    ordinals: np.ndarray[tuple[int], np.dtype[np.int64]],
    lines: list[int],
    labels: list[str],
) -> None:
    wrong = np.flatnonzero(np.diff(ordinals) != 1)
    if wrong.size:
        row = int(wrong[0]) + 1
        step = int(ordinals[row] - ordinals[row - 1])
        if step == 0:
            problem = "the slot is a duplicate of the line above; remove one"
        elif step < 0:
            problem = (
                f"the slot lies before that of the line above, {labels[row - 1]}; sort by time"
            )
        else:
            problem = f"{step - 1} slot(s) are missing after {labels[row - 1]}; get a complete file"
        raise TimeGridError(f"{file.path} line {lines[row]} ({labels[row]}): {problem}")
    before, after = ordinals[0] % SLOTS_PER_DAY, SLOTS_PER_DAY - 1 - ordinals[-1] % SLOTS_PER_DAY
    for row, n_missing, side in ((0, before, "before"), (-1, after, "after")):
        if n_missing:
            raise TimeGridError(
                f"{file.path} line {lines[row]} ({labels[row]}): {n_missing} slot(s) of this day "
                f"are missing {side} it; a day has {SLOTS_PER_DAY}: get a complete file or remove "
                "the day"
            )


def _midnight(day: date) -> pd.Timestamp:
    return pd.Timestamp(day, tz=TIMEZONE)

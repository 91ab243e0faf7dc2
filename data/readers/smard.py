"""SMARD day-ahead prices: the CSV file of the Bundesnetzagentur's download centre.

The layouts of 2018 to today are read, English or German: ``Date;Time of day``, ``Date;Start;End``
and ``Start date;End date``. Times are wall time of Europe/Berlin in order, so that the last Sunday
of March has 23 hours and that of October repeats one; prices are EUR/MWh and ``-`` is no price.
"""

import re
from dataclasses import dataclass
from datetime import date, datetime, time
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from gridhash.data.readers.price_rows import PriceRows
from gridhash.data.readers.text_file import TextFile, read_text_file
from gridhash.data.trace import Trace
from gridhash.errors import DataError, FileFormatError, TimeGridError
from gridhash.time_grid import grid

TIMEZONE = "Europe/Berlin"
KWH_PER_MWH = 1000.0
PERIODS_S = (900, 1800, 3600)

# The auction closes at noon; its results are out in the hour after.
PUBLISHED_LOCAL = time(13, 0)

_TOGETHER = {"Start date", "Datum von"}
_DATES = {"Date", "Datum"}
_TIMES = {"Time of day", "Start", "Uhrzeit", "Anfang"}
_ZONE = re.compile(
    r"(.+?)\s*\[(?:€|EUR)/MWh\](?:\s+\w+ (?:resolutions|Auflösungen)|\s+\w+auflösungen)?"
)
_ENGLISH_DATE = re.compile(r"([A-Z][a-z]{2}) (\d{1,2}), (\d{4})")
_GERMAN_DATE = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})")
_ENGLISH_TIME = re.compile(r"(\d{1,2}):(\d{2}) (AM|PM)")
_GERMAN_TIME = re.compile(r"(\d{1,2}):(\d{2})")
_ENGLISH_NUMBER = re.compile(r"-?(\d+|\d{1,3}(,\d{3})+)(\.\d+)?")
_GERMAN_NUMBER = re.compile(r"-?(\d+|\d{1,3}(\.\d{3})+)(,\d+)?")
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


@dataclass(frozen=True)
class Layout:
    """Where the columns of one file are."""

    date_at: int
    time_at: int | None
    zones: dict[str, int]


def read_day_ahead(
    path: str | Path, zone: str, *, start: datetime | None = None, end: datetime | None = None
) -> Trace:
    """Read the prices of one bidding zone from a SMARD file [EUR/kWh].

    Parameters
    ----------
    path
        The file as downloaded, UTF-8.
    zone
        As the file's header names it, for example ``Netherlands``.
    start, end
        Keep only the intervals in [start, end); aware. Prices may be missing outside.

    Raises
    ------
    FileFormatError
        If it is no SMARD price file.
    TimeGridError
        If an interval is missing, doubled or out of order; the message names the line.
    DataError
        If a price is missing or implausible, or the zone is unknown.
    """
    return parse_day_ahead(read_text_file(path), zone, start=start, end=end)


def find_layout(file: TextFile) -> Layout | None:
    """Return where the columns are, or None if the header is none of SMARD's."""
    names = [name.strip() for name in file.first_line.split(";")]
    together = [i for i, name in enumerate(names) if name in _TOGETHER]
    dates = [i for i, name in enumerate(names) if name in _DATES]
    times = [i for i, name in enumerate(names) if name in _TIMES]
    if together:
        date_at, time_at = together[0], None
    elif dates and times:
        date_at, time_at = dates[0], times[0]
    else:
        return None
    zones: dict[str, int] = {}
    for i, name in enumerate(names):
        match = _ZONE.fullmatch(name)
        if match is None:
            continue
        if match[1] in zones:
            raise FileFormatError(
                f"{file.path} line 1: the zone {match[1]} occurs more than once; download one "
                "resolution only"
            )
        zones[match[1]] = i
    return Layout(date_at, time_at, zones)


def parse_day_ahead(
    file: TextFile, zone: str, *, start: datetime | None = None, end: datetime | None = None
) -> Trace:
    """Return the prices of one zone; see `read_day_ahead`."""
    layout = find_layout(file)
    if layout is None or not layout.zones:
        raise FileFormatError(
            f"{file.path} line 1: no SMARD price file: a date, a time and columns in [€/MWh] are "
            f"needed; found {file.first_line[:200]!r}. Download day-ahead prices and keep them "
            "in UTF-8"
        )
    zone = zone.strip()
    if zone not in layout.zones:
        raise DataError(
            f"{file.path}: unknown zone {zone!r}; the file has {', '.join(layout.zones)}"
        )
    rows = file.rows(";")
    _, header = next(rows)
    price_at = layout.zones[zone]
    lines: list[int] = []
    labels: list[str] = []
    cells: list[str] = []
    for line, row in rows:
        if len(row) != len(header):
            raise FileFormatError(
                f"{file.path} line {line}: {len(row)} values under {len(header)} column names; "
                "the file is damaged or cut off, download it again"
            )
        label = row[layout.date_at].strip()
        if layout.time_at is not None:
            label += " " + row[layout.time_at].strip()
        lines.append(line)
        labels.append(label)
        cells.append(row[price_at].strip())
    if len(lines) < 2:
        raise FileFormatError(f"{file.path}: fewer than two rows below the header")
    is_german = labels[0][:1].isdigit()
    prices = [
        _price(f"{file.path} line {line}, column {header[price_at]}", cell, is_german)
        for line, cell in zip(lines, cells, strict=True)
    ]
    period_s, starts = _starts(file, lines, labels, is_german)
    return PriceRows(
        path=file.path,
        column=header[price_at],
        lines=lines,
        labels=labels,
        cells=cells,
        starts=starts,
        prices_per_kwh=np.array(prices) / KWH_PER_MWH,
        period_s=period_s,
        currency="EUR",
        area=zone,
        publisher="SMARD day-ahead",
        timezone=TIMEZONE,
        published_local=PUBLISHED_LOCAL,
    ).to_trace(start, end)


def _price(where: str, cell: str, is_german: bool) -> float:
    """Return a price as the file writes it [EUR/MWh]; NaN for ``-``."""
    if cell in ("-", ""):
        return np.nan
    if not (_GERMAN_NUMBER if is_german else _ENGLISH_NUMBER).fullmatch(cell):
        raise DataError(f"{where}, value {cell!r}: not a number; get the original file")
    if is_german:
        return float(cell.replace(".", "").replace(",", "."))
    return float(cell.replace(",", ""))


@cache
def _local_date(text: str) -> date | None:
    english, german = _ENGLISH_DATE.fullmatch(text), _GERMAN_DATE.fullmatch(text)
    try:
        if english is not None and english[1] in _MONTHS:
            return date(int(english[3]), _MONTHS.index(english[1]) + 1, int(english[2]))
        if german is not None:
            return date(int(german[3]), int(german[2]), int(german[1]))
    except ValueError:
        return None
    return None


@cache
def _local_time(text: str) -> time | None:
    english, german = _ENGLISH_TIME.fullmatch(text), _GERMAN_TIME.fullmatch(text)
    try:
        if english is not None and 1 <= int(english[1]) <= 12:
            return time(int(english[1]) % 12 + 12 * (english[3] == "PM"), int(english[2]))
        if german is not None:
            return time(int(german[1]), int(german[2]))
    except ValueError:
        return None
    return None


def _wall_time(where: str, label: str, is_german: bool) -> datetime:
    """Return a start as written: wall time without zone."""
    parts = label.rsplit(" ", 1 if is_german else 2)
    day, clock = _local_date(parts[0]), _local_time(" ".join(parts[1:]))
    if day is None or clock is None:
        example = "01.01.2018 00:00" if is_german else "Jan 1, 2018 12:00 AM"
        raise DataError(
            f"{where}, value {label!r}: not a start like {example}; get the original file"
        )
    return datetime.combine(day, clock)


def _starts(
    file: TextFile, lines: list[int], labels: list[str], is_german: bool
) -> tuple[int, pd.DatetimeIndex]:
    """Return the interval [s] and the starts in UTC of rows that are in order of wall time."""
    found = np.array(
        [
            _wall_time(f"{file.path} line {line}", label, is_german)
            for line, label in zip(lines, labels, strict=True)
        ],
        dtype="datetime64[s]",
    )
    steps_s, counts = np.unique(np.diff(found).astype(np.int64), return_counts=True)
    period_s = int(steps_s[np.argmax(counts)])
    if period_s < 0:
        raise TimeGridError(
            f"{file.path} line {lines[1]} ({labels[1]}): the rows run from new to old; sort by time"
        )
    if period_s not in PERIODS_S:
        raise TimeGridError(
            f"{file.path}: most rows are {period_s} s apart; download the resolution hour or "
            "quarter hour"
        )
    best: tuple[int, pd.DatetimeIndex, npt.NDArray[np.datetime64]] | None = None
    for is_summer in (True, False):
        # Only an hour of October can be read both ways; the rows after it tell which it is.
        first = pd.Timestamp(found[0]).tz_localize(TIMEZONE, ambiguous=is_summer, nonexistent="NaT")
        if not isinstance(first, pd.Timestamp):
            raise TimeGridError(
                f"{file.path} line {lines[0]} ({labels[0]}): clocks in {TIMEZONE} skip this time"
            )
        starts = grid(first, first + pd.Timedelta(seconds=period_s * len(found)), period_s)
        expected = starts.tz_convert(TIMEZONE).tz_localize(None).to_numpy(dtype="datetime64[s]")
        wrong = np.flatnonzero(found != expected)
        if not wrong.size:
            return period_s, starts
        if best is None or wrong[0] > best[0]:
            best = int(wrong[0]), starts, expected
    assert best is not None
    row, starts, expected = best
    raise TimeGridError(
        f"{file.path} line {lines[row]} ({labels[row]}): "
        f"{_order_problem(found, expected, row, period_s, labels[row - 1])}"
    )


def _order_problem(
    found: npt.NDArray[np.datetime64],
    expected: npt.NDArray[np.datetime64],
    row: int,
    period_s: int,
    label_before: str,
) -> str:
    """Return what is wrong with the first row that is not where the clock says."""
    step_s = int((found[row] - found[row - 1]).astype(np.int64))
    due = str(expected[row]).replace("T", " ")
    if expected[row] <= expected[row - 1]:
        return f"the repeated hour of the end of summer time is missing; {due} is due once more"
    if step_s == 0:
        return "the interval is a duplicate of the line above; remove one"
    if step_s < 0:
        return f"the interval lies before that of the line above, {label_before}; sort by time"
    if int((expected[row] - expected[row - 1]).astype(np.int64)) > period_s:
        return f"clocks skip this hour: {due} is due; is the file in {TIMEZONE} time?"
    ahead_s = int((found[row] - expected[row]).astype(np.int64))
    if ahead_s % period_s == 0:
        return f"{ahead_s // period_s} interval(s) are missing: {due} is due; get a complete file"
    return f"the interval is off the grid: {due} is due; download one resolution only"

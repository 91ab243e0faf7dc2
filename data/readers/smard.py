"""SMARD day-ahead prices: the CSV file of the Bundesnetzagentur's download centre.

The layouts of 2018 to today are read, English or German: ``Date;Time of day``, ``Date;Start;End``
and ``Start date;End date``. Times are wall time of Europe/Berlin in order, so that the last Sunday
of March has 23 hours and that of October repeats one; prices are EUR/MWh and ``-`` is no price.

A price is known from 13:00 Berlin time of the day before: the auction closes at noon, and its
results are out within the hour (EPEX SPOT, market coupling timetable).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, datetime, time
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from gridhash.data.quantities import field
from gridhash.data.readers.cells import Cells, read_cells
from gridhash.data.readers.checks import check_tick
from gridhash.data.readers.formats import Format, ReadOptions
from gridhash.data.readers.price_trace import price_trace
from gridhash.data.readers.rows import KWH_PER_MWH, Numbers, check_prices, make_table
from gridhash.data.readers.source_file import SourceFile
from gridhash.data.readers.text_file import TextFile
from gridhash.data.source_table import SourceTable
from gridhash.data.trace import Trace
from gridhash.errors import DataError, FileFormatError, TimeGridError
from gridhash.time_grid import grid, published_the_day_before

TIMEZONE = "Europe/Berlin"
DATASETS = {
    900: "smard-day-ahead-15min",
    1800: "smard-day-ahead-30min",
    3600: "smard-day-ahead",
}
"""Name of the dataset by the length of its intervals [s]."""

PUBLISHED_LOCAL = time(13, 0)
TICK = 0.01

_TOGETHER = {"Start date", "Datum von"}
_DATES = {"Date", "Datum"}
_TIMES = {"Time of day", "Start", "Uhrzeit", "Anfang"}
_ENDS = {"End date", "Datum bis", "End", "Ende"}
_ZONE = re.compile(
    r"(.+?)\s*\[(?:€|EUR)/MWh\](?:\s+\w+ (?:resolutions|Auflösungen)|\s+\w+auflösungen)?"
)
_ZONE_NAME = re.compile(r"[A-Za-zÀ-ž0-9 ./()∅Ø-]+")
_COMPUTED = re.compile(r"\s(?:Calculated|Berechnete) ")
_ENGLISH_DATE = re.compile(r"([A-Z][a-z]{2}) (\d{1,2}), (\d{4})", re.ASCII)
_GERMAN_DATE = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})", re.ASCII)
_ENGLISH_TIME = re.compile(r"(\d{1,2}):(\d{2}) (AM|PM)", re.ASCII)
_GERMAN_TIME = re.compile(r"(\d{1,2}):(\d{2})", re.ASCII)
_ENGLISH_NUMBER = re.compile(r"-?(\d+|\d{1,3}(,\d{3})+)(\.\d+)?", re.ASCII)
_GERMAN_NUMBER = re.compile(r"-?(\d+|\d{1,3}(\.\d{3})+)(,\d+)?", re.ASCII)
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

WallTimes = npt.NDArray[np.datetime64]


@dataclass(frozen=True)
class Layout:
    """Where the columns of one file are."""

    date_at: int
    time_at: int | None
    end_at: int | None
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
    return _zone_trace(SourceFile.load(path), zone, start, end)


def parse_day_ahead(
    file: TextFile, zone: str, *, start: datetime | None = None, end: datetime | None = None
) -> Trace:
    """Return the prices of one zone; see `read_day_ahead`."""
    return _zone_trace(SourceFile(file.path, file.text.encode()), zone, start, end)


def _zone_trace(file: SourceFile, zone: str, start: datetime | None, end: datetime | None) -> Trace:
    (table,) = read(file, ReadOptions())
    zone = zone.strip()
    if zone not in table.areas:
        raise DataError(
            f"{file.path}: unknown zone {zone!r}; the file has {', '.join(table.areas)}"
        )
    trace = price_trace(table, field("price_per_kwh", zone), start, end, timezone=TIMEZONE)
    return replace(trace, source=f"SMARD day-ahead {file.path.name}")


def find_layout(file: TextFile) -> Layout | None:
    """Return where the columns are, or None if the header is none of SMARD's."""
    names = _names(file)
    together = [i for i, name in enumerate(names) if name in _TOGETHER]
    dates = [i for i, name in enumerate(names) if name in _DATES]
    times = [i for i, name in enumerate(names) if name in _TIMES]
    ends = [i for i, name in enumerate(names) if name in _ENDS]
    if together:
        date_at, time_at = together[0], None
    elif dates and times:
        date_at, time_at = dates[0], times[0]
    else:
        return None
    matches = {i: _ZONE.fullmatch(name) for i, name in enumerate(names)}
    zones = {match[1]: i for i, match in matches.items() if match is not None}
    return Layout(date_at, time_at, ends[0] if ends else None, zones)


def _names(file: TextFile) -> list[str]:
    return [name.strip() for name in file.first_line.split(";")]


def sign(file: SourceFile) -> str | None:
    """Return why this is a SMARD price file, or None."""
    layout = None if file.text is None else find_layout(file.text)
    if layout is None or not layout.zones:
        return None
    return f"the header has a date, a time and {', '.join(layout.zones)} in €/MWh"


def read(file: SourceFile, options: ReadOptions) -> tuple[SourceTable, ...]:
    """Return the prices of all zones of the file, areas named as the publisher names them.

    Raises
    ------
    FileFormatError
        If it is no SMARD price file.
    TimeGridError
        If an interval is missing, doubled or out of order; the message names the line.
    DataError
        If a price is no number, implausible or not in steps of 0.01 EUR/MWh.
    """
    text = file.text
    if text is None:
        raise FileFormatError(file.text_problem)
    layout = find_layout(text)
    if layout is None or not layout.zones:
        raise FileFormatError(
            f"{file.path} line 1: no SMARD price file: a date, a time and columns in [€/MWh] are "
            f"needed; found {text.first_line[:200]!r}. Download day-ahead prices and keep them "
            "in UTF-8"
        )
    names = _names(text)
    _check_header(file, names, layout)
    if options.area is not None and options.area not in layout.zones:
        raise DataError(
            f"{file.path}: unknown zone {options.area!r}; the file has {', '.join(layout.zones)}"
        )
    cells = read_cells(text, header_line=1, delimiter=";", names=names)
    if len(cells) < 2:
        raise FileFormatError(f"{file.path}: fewer than two rows below the header")
    is_german = cells.text(layout.date_at)[0][:1].isdigit()
    period_s, starts = _starts(cells, layout, is_german)
    columns: dict[str, Numbers] = {}
    for zone, at in layout.zones.items():
        eur_per_mwh = _prices(cells, at, is_german)
        columns[field("price_per_kwh", zone)] = prices = eur_per_mwh / KWH_PER_MWH
        check_prices(cells, at, np.arange(len(cells)), prices, currency="EUR", period_s=period_s)
        if not _COMPUTED.search(names[at]):
            check_tick(cells, at, eur_per_mwh, tick=TICK)
    known = published_the_day_before(starts, timezone=TIMEZONE, at=PUBLISHED_LOCAL)
    return (
        make_table(
            file,
            "smard",
            DATASETS[period_s],
            starts,
            columns,
            known,
            period_s=period_s,
            currency="EUR",
        ),
    )


def _check_header(file: SourceFile, names: list[str], layout: Layout) -> None:
    """Raise unless the times stand first and zones after them, each once."""
    at = [layout.date_at, layout.time_at, layout.end_at, *layout.zones.values()]
    found = [i for i in at if i is not None]
    strange = [zone for zone in layout.zones if not _ZONE_NAME.fullmatch(zone)]
    if strange:
        raise FileFormatError(f"{file.path} line 1: {strange[0]!r} is no name of a zone")
    if found == list(range(len(names))):
        return
    stray = [name for i, name in enumerate(names) if i not in found]
    problem = f"the column {stray[0]!r} is unexpected" if stray else "the columns are out of order"
    match = _ZONE.fullmatch(stray[0]) if stray else None
    if match is not None:
        problem = f"the zone {match[1]} occurs more than once; download one resolution only"
    raise FileFormatError(f"{file.path} line 1: {problem}; found {', '.join(names)}")


def _prices(cells: Cells, at: int, is_german: bool) -> Numbers:
    """Return a column as the file writes it [EUR/MWh]; NaN for ``-``."""
    number = _GERMAN_NUMBER if is_german else _ENGLISH_NUMBER
    prices = np.empty(len(cells))
    for row, cell in enumerate(cells.text(at)):
        if cell == "-":
            prices[row] = np.nan
        elif number.fullmatch(cell):
            plain = cell.replace(".", "").replace(",", ".") if is_german else cell.replace(",", "")
            prices[row] = float(plain)
        else:
            raise DataError(f"{cells.where(row, at)}: not a number; get the original file")
    return prices


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


def _labels(cells: Cells, layout: Layout) -> list[str]:
    """Return the start of each row as written, wall time."""
    if layout.time_at is None:
        return cells.text(layout.date_at)
    pairs = zip(cells.text(layout.date_at), cells.text(layout.time_at), strict=True)
    return [f"{day} {clock}" for day, clock in pairs]


def _wall_times(cells: Cells, labels: list[str], is_german: bool, at: int) -> WallTimes:
    found = np.empty(len(cells), dtype="datetime64[s]")
    for row, label in enumerate(labels):
        parts = label.rsplit(" ", 1 if is_german else 2)
        day, clock = _local_date(parts[0]), _local_time(" ".join(parts[1:]))
        if day is None or clock is None or is_german != label[:1].isdigit():
            example = "01.01.2018 00:00" if is_german else "Jan 1, 2018 12:00 AM"
            raise DataError(
                f"{cells.path} line {int(cells.lines[row])}, column {cells.names[at]}, value "
                f"{label!r}: not a time like {example}; get the original file"
            )
        found[row] = np.datetime64(datetime.combine(day, clock), "s")
    return found


def _starts(cells: Cells, layout: Layout, is_german: bool) -> tuple[int, pd.DatetimeIndex]:
    """Return the interval [s] and the starts in UTC of rows that are in order of wall time."""
    labels = _labels(cells, layout)

    def where(row: int) -> str:
        return f"{cells.path} line {int(cells.lines[row])} ({labels[row]})"

    found = _wall_times(cells, labels, is_german, layout.date_at)
    steps_s, counts = np.unique(np.diff(found).astype(np.int64), return_counts=True)
    period_s = int(steps_s[np.argmax(counts)])
    if period_s < 0:
        raise TimeGridError(f"{where(1)}: the rows run from new to old; sort by time")
    if period_s not in DATASETS:
        raise TimeGridError(
            f"{cells.path}: most rows are {period_s} s apart; download the resolution hour or "
            "quarter hour"
        )
    best: tuple[int, WallTimes] | None = None
    for is_summer in (True, False):
        # Only an hour of October can be read both ways; the rows after it tell which it is.
        first = pd.Timestamp(found[0]).tz_localize(TIMEZONE, ambiguous=is_summer, nonexistent="NaT")
        if not isinstance(first, pd.Timestamp):
            raise TimeGridError(f"{where(0)}: clocks in {TIMEZONE} skip this time")
        starts = grid(first, first + pd.Timedelta(seconds=period_s * len(found)), period_s)
        expected = _wall(starts)
        wrong = np.flatnonzero(found != expected)
        if not wrong.size:
            _check_ends(cells, layout, found, starts, period_s, is_german, where)
            return period_s, starts
        if best is None or wrong[0] > best[0]:
            best = int(wrong[0]), expected
    assert best is not None
    row, expected = best
    raise TimeGridError(
        f"{where(row)}: {_order_problem(found, expected, row, period_s, labels[row - 1])}"
    )


def _wall(starts: pd.DatetimeIndex) -> WallTimes:
    return starts.tz_convert(TIMEZONE).tz_localize(None).to_numpy(dtype="datetime64[s]")


def _check_ends(
    cells: Cells,
    layout: Layout,
    found: WallTimes,
    starts: pd.DatetimeIndex,
    period_s: int,
    is_german: bool,
    where: Callable[[int], str],
) -> None:
    """Raise unless the column of ends, if there is one, is one interval after the starts."""
    if layout.end_at is None:
        return
    texts = cells.text(layout.end_at)
    if layout.time_at is None:
        ends = _wall_times(cells, texts, is_german, layout.end_at)
    else:
        days = cells.text(layout.date_at)
        pairs = [f"{day} {text}" for day, text in zip(days, texts, strict=True)]
        ends = _wall_times(cells, pairs, is_german, layout.end_at)
        ends = np.where(ends < found, ends + np.timedelta64(86400, "s"), ends)
    # Around a clock change the end may be named by either clock.
    period = np.timedelta64(period_s, "s")
    by_clock = _wall(starts + pd.Timedelta(seconds=period_s))
    wrong = np.flatnonzero((ends != found + period) & (ends != by_clock))
    if wrong.size:
        row = int(wrong[0])
        raise TimeGridError(
            f"{where(row)}, column {cells.names[layout.end_at]}, value {texts[row]!r}: not "
            f"{period_s} s after the start; get the original file"
        )


def _order_problem(
    found: WallTimes, expected: WallTimes, row: int, period_s: int, label_before: str
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


FORMATS = (Format("smard-day-ahead", "SMARD day-ahead prices", "smard", sign, read),)

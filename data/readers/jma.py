"""Hourly weather of the Japan Meteorological Agency: the CSV file of its download page (obsdl).

https://www.data.jma.go.jp/risk/obsdl/ , hourly values with quality information, Japan Standard
Time. The agency labels an hour by its end, 1:00 to 24:00 written as 0:00 of the next day; air
temperature, dew point, humidity and pressure are readings at that instant, wind the mean of the ten
minutes before it. A row of the table is the hour that ends at the label, one dataset per station,
``jma-<station>`` with the station's name as in the file.

Quality (help page of the agency): 8 normal, 5 nearly normal (some records missing) are kept; 4
insufficient, 2 doubtful, 1 missing and 0 not observed are NaN. Columns of other quantities are
left out. Values are taken as known 15 minutes after the label: the agency's page of latest values
shows them within about ten.
"""

import re
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa

from gridhash.data.quantities import field
from gridhash.data.readers.area_checks import (
    TIMEZONE,
    check_consecutive,
    check_no_spike,
    slot_starts,
)
from gridhash.data.readers.cells import DECIMAL, Cells, header_cells, read_cells
from gridhash.data.readers.checks import Numbers, Ordinals, check_tick, day_ordinals
from gridhash.data.readers.formats import Format, ReadOptions
from gridhash.data.readers.source_file import SourceFile
from gridhash.data.readers.text_file import TextFile
from gridhash.data.source_table import SourceTable
from gridhash.errors import DataError, FileFormatError, TimeGridError

PERIOD_S = 3600
HOURS_PER_DAY = 24
PUBLICATION_LAG_S = 900
FIRST_YEAR = 1872
"""The agency's first station began in this year."""

KEPT_QUALITY = ("8", "5")
LOST_QUALITY = ("4", "2", "1", "0")
LOW_C, HIGH_C = -45.0, 45.0
"""Records of Japan are -41.0 °C (Asahikawa 1902) and below 42 °C."""

MAX_SPIKE_C = 15.0
"""One hour against the mean of its neighbours: Tokyo 2016-2021 at most 4.3 °C."""

_DOWNLOADED = re.compile(r"ダウンロードした時刻[：:](\d{4}/\d{1,2}/\d{1,2} \d{1,2}:\d{2}:\d{2})\s*")
_QUALITY = "品質情報"
_HOMOGENEITY = "均質番号"
_TIME = "年月日時"


@dataclass(frozen=True)
class Element:
    """What the agency calls a quantity, its factor to ours, and the step of its values."""

    quantity: str
    factor: float
    tick: float


ELEMENTS = {
    "気温(°C)": Element("outdoor_temp_c", 1.0, 0.1),
    "露点温度(°C)": Element("dew_point_c", 1.0, 0.1),
    "相対湿度(%)": Element("relative_humidity_frac", 0.01, 1.0),
    "風速(m/s)": Element("wind_speed_m_per_s", 1.0, 0.1),
    "現地気圧(hPa)": Element("pressure_pa", 100.0, 0.1),
}
"""Columns that are read, by their normalised names."""


@dataclass(frozen=True)
class Header:
    """Station, element and kind of each column, and the last line of the header."""

    stations: list[str]
    elements: list[str]
    kinds: list[str]
    last_line: int


def sign(file: SourceFile) -> str | None:
    """Return why this is a file of the agency's download page, or None."""
    if file.text is None or _DOWNLOADED.fullmatch(file.text.first_line) is None:
        return None
    return "the first line says ダウンロードした時刻 and when"


def read(file: SourceFile, options: ReadOptions) -> tuple[SourceTable, ...]:
    """Return a table ``jma-<station>`` for each station of the file.

    Raises
    ------
    FileFormatError
        If these are no hourly values with quality information, or the file is cut off.
    TimeGridError
        If hours are missing, doubled or out of order, or lie after the download.
    DataError
        If a value or a quality is not one, or is implausible, or `options` name another station.
    """
    text = file.text
    assert text is not None
    header = _header(text)
    names = [" ".join(c) for c in zip(header.stations, header.elements, header.kinds, strict=True)]
    cells = _split_time(read_cells(text, header_line=header.last_line, names=[_TIME, *names[1:]]))
    ends = _ends(cells)
    starts = _starts(cells, ends, text)
    stations = list(dict.fromkeys(name for name in header.stations if name))
    if options.area is not None and options.area not in stations:
        raise DataError(f"{file.path}: no station {options.area}; found {', '.join(stations)}")
    known = starts + pd.Timedelta(seconds=PERIOD_S + PUBLICATION_LAG_S)
    tables = []
    for station in stations:
        values = _station_values(cells, header, station)
        frame = pd.DataFrame({field(q, station): v for q, v in values.items()}, index=starts)
        tables.append(
            SourceTable(
                dataset=f"jma-{station}",
                frame=frame,
                period_s=PERIOD_S,
                currency=None,
                origins=(file.origin("jma"),),
                available_at=dict.fromkeys(frame.columns, known),
            )
        )
    return tuple(tables)


def _header(text: TextFile) -> Header:
    """Return what the columns hold; raise FileFormatError if it is not the agency's header."""
    blank, stations, elements = (header_cells(text, line) for line in (2, 3, 4))
    if any(blank) or elements[:1] != [_TIME]:
        raise FileFormatError(
            f"{text.path} line 4: the first column must be {_TIME}, as in a file of hourly values; "
            f"found {','.join(elements)[:60]!r}: choose 時別値, and dates as one column"
        )
    below: list[list[str]] = []
    while len(below) < 3:
        cells = header_cells(text, 5 + len(below))
        if not cells or cells[0]:
            break
        below.append(cells)
    if not below or _QUALITY not in below[-1]:
        raise FileFormatError(
            f"{text.path} line 5: there is no {_QUALITY}; download the file again with "
            "quality information"
        )
    widths = {len(row) for row in (stations, elements, *below)}
    if len(widths) != 1:
        raise FileFormatError(f"{text.path} line 3: the rows of the header differ in width")
    kinds = ["".join(parts) for parts in zip(*below, strict=True)]
    return Header(stations, elements, kinds, 4 + len(below))


def _split_time(cells: Cells) -> Cells:
    """Return the cells with ``2025/9/2 1:00:00`` as date and hour."""
    days, hours = [], []
    for row, label in enumerate(cells.text(0)):
        match = re.fullmatch(r"(\S+) (\d{1,2}):00(?::00)?", label, re.ASCII)
        if match is None or int(match[2]) > HOURS_PER_DAY:
            raise TimeGridError(
                f"{cells.where(row, 0)}: not a full hour like 2025/9/2 1:00:00; get the original "
                "file"
            )
        days.append(match[1])
        hours.append(match[2])
    columns = [pa.array(days, pa.string()), pa.array(hours, pa.string()), *cells.columns[1:]]
    return Cells(cells.file, [_TIME, "時", *cells.names[1:]], columns, cells.lines)


def _ends(cells: Cells) -> Ordinals:
    """Return the end of each row's hour, counted through all days."""
    codes, texts = cells.codes(1)
    return (
        day_ordinals(cells, 0) * HOURS_PER_DAY + np.array([int(t) for t in texts], np.int64)[codes]
    )


def _starts(cells: Cells, ends: Ordinals, text: TextFile) -> pd.DatetimeIndex:
    """Return the starts of the hours, consecutive and before the download."""
    check_consecutive(cells, ends - 1, HOURS_PER_DAY, first_year=FIRST_YEAR)
    starts = slot_starts(ends - 1, HOURS_PER_DAY)
    match = _DOWNLOADED.fullmatch(text.first_line)
    try:
        downloaded = pd.Timestamp(match[1] if match else "", tz=TIMEZONE)
    except ValueError as err:
        raise FileFormatError(f"{text.path} line 1: not a time; get the original file") from err
    late = np.flatnonzero(np.asarray(starts + pd.Timedelta(seconds=PERIOD_S) > downloaded))
    if late.size:
        raise TimeGridError(
            f"{cells.where(int(late[0]), 0)}: lies after the download at {downloaded}; get the "
            "original file"
        )
    return starts


def _station_values(cells: Cells, header: Header, station: str) -> dict[str, Numbers]:
    """Return the values of one station in our units, NaN where the quality does not do."""
    values: dict[str, Numbers] = {}
    for i, (name, element, kind) in enumerate(
        zip(header.stations, header.elements, header.kinds, strict=True)
    ):
        known = ELEMENTS.get(element)
        if known is None or name != station or kind:
            continue
        if known.quantity in values:
            raise FileFormatError(
                f"{cells.path} line 4: {station} has {element} twice; two stations of one name "
                "must be downloaded into two files"
            )
        quality_at = next(
            (
                at
                for at in range(i + 1, len(header.kinds))
                if (header.stations[at], header.elements[at]) == (station, element)
                and header.kinds[at] == _QUALITY
            ),
            None,
        )
        if quality_at is None:
            raise FileFormatError(f"{cells.path} line 5: {element} of {station} has no {_QUALITY}")
        if _HOMOGENEITY in header.kinds[i + 1 : quality_at]:
            raise FileFormatError(
                f"{cells.path} line 5: {_HOMOGENEITY} of {element} stands before {_QUALITY}, not "
                "after it as the agency writes them; get the original file"
            )
        # One column was split in two, so that positions are one further on.
        read = _kept(cells, i + 1, quality_at + 1)
        check_tick(cells, i + 1, read, tick=known.tick)
        if known.quantity in ("outdoor_temp_c", "dew_point_c"):
            check_no_spike(cells, i + 1, read, limit=MAX_SPIKE_C)
        values[known.quantity] = read * known.factor
    if not values:
        raise FileFormatError(
            f"{cells.path} line 4: no column of {station} is read; known are {', '.join(ELEMENTS)}"
        )
    _check_temperatures(cells, values)
    return values


def _kept(cells: Cells, at: int, quality_at: int) -> Numbers:
    codes, texts = cells.codes(quality_at)
    for code, text in enumerate(texts):
        if text not in (*KEPT_QUALITY, *LOST_QUALITY):
            row = int(np.argmax(codes == code))
            raise DataError(
                f"{cells.where(row, quality_at)}: not a quality (8, 5, 4, 2, 1, 0); get the "
                "original file"
            )
    kept = np.isin(np.array(texts), KEPT_QUALITY)[codes]
    values = cells.numbers(at, pattern=DECIMAL, missing=("",))
    lost = np.flatnonzero(kept & np.isnan(values))
    if lost.size:
        raise DataError(
            f"{cells.where(int(lost[0]), at)}: no value, though its quality is good; get the "
            "original file"
        )
    return np.where(kept, values, np.nan)


def _check_temperatures(cells: Cells, values: dict[str, Numbers]) -> None:
    for name in ("outdoor_temp_c", "dew_point_c"):
        found = values.get(name, np.zeros(0))
        wrong = np.flatnonzero((found < LOW_C) | (found > HIGH_C))
        if wrong.size:
            row = int(wrong[0])
            raise DataError(
                f"{cells.path} line {int(cells.lines[row])}: {name} of {found[row]:g} °C is "
                f"outside {LOW_C:g} … {HIGH_C:g}, what Japan has; get the original file"
            )
    if {"outdoor_temp_c", "dew_point_c"} <= values.keys():
        above = np.flatnonzero(values["dew_point_c"] > values["outdoor_temp_c"] + 0.5)
        if above.size:
            row = int(above[0])
            raise DataError(
                f"{cells.path} line {int(cells.lines[row])}: the dew point lies above the air "
                "temperature; the columns may be exchanged, get the original file"
            )


FORMATS = (
    Format(
        "jma-hourly",
        "hourly weather of a Japanese station (JMA obsdl)",
        "jma",
        sign,
        read,
    ),
)

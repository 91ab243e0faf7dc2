"""ERCOT's settlement point prices, day-ahead (hourly) and real-time (15 min), USD/MWh.

Yearly workbooks with a sheet per month (``DAMLZHBSPP_2024.xlsx``, ``RTMLZHBSPP_2024.xlsx``; also
saved as CSV) and the CSV reports NP4-190-CD and NP6-905-CD of single days and intervals. Headers
as the reports have them::

    Delivery Date, Hour Ending, Repeated Hour Flag, Settlement Point, Settlement Point Price
    Delivery Date, Delivery Hour, Delivery Interval, Repeated Hour Flag,
        Settlement Point Name, Settlement Point Type, Settlement Point Price
    DeliveryDate,HourEnding,SettlementPoint,SettlementPointPrice,DSTFlag
    DeliveryDate,DeliveryHour,DeliveryInterval,SettlementPointName,SettlementPointType,
        SettlementPointPrice,DSTFlag

Hours name their *end*, 1 to 24, on the clock of Texas; the flag (``DSTFlag`` likewise) is Y in the
second of the two hours that the end of summer time calls alike, and the skipped hour of March has
no row. A load zone occurs in real time with its energy-weighted price too (type LZEW, LZ_DCEW):
that is the area with ``_ew`` at its end.

Day-ahead prices are known from 13:30 Central time of the day before (ERCOT protocols 4.5.3), those
of real time at the end of their interval.
"""

import re
from dataclasses import dataclass
from datetime import time

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from gridhash.data.quantities import field
from gridhash.data.readers.cells import Cells, header_cells, normal_name, read_cells
from gridhash.data.readers.checks import check_tick
from gridhash.data.readers.formats import Format, ReadOptions
from gridhash.data.readers.rows import (
    KWH_PER_MWH,
    Seconds,
    check_prices,
    check_whole_days,
    clock_s,
    local_to_utc_s,
    make_table,
    to_index,
    widen,
)
from gridhash.data.readers.source_file import SourceFile
from gridhash.data.readers.text_file import TextFile
from gridhash.data.readers.workbook import is_workbook, sheets
from gridhash.data.source_table import SourceTable
from gridhash.errors import DataError, FileFormatError
from gridhash.time_grid import published_the_day_before

TIMEZONE = "America/Chicago"
PUBLISHED_LOCAL = time(13, 30)
TICK = 0.01
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

POINT_TYPES = frozenset(
    "RN PCCRN LCCRN PUN LZ LZEW LZ_DC LZ_DCEW HU SH AH".split()  # noqa: SIM905
)
"""Types of settlement points; those that end with EW hold energy-weighted prices of zones."""

_POINT = re.compile(r"[A-Z0-9][A-Z0-9_.\-]+")
_PRICE = r" ?-?\d+(?:\.\d+)?"


@dataclass(frozen=True)
class Layout:
    """Where the columns of one header are; `interval` and `kind` only in real time."""

    header: str
    hour: int
    flag: int
    point: int
    price: int
    interval: int | None = None
    kind: int | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Column names without blanks, in order."""
        return tuple(self.header.split())

    @property
    def is_real_time(self) -> bool:
        """Whether rows are quarter hours of the real-time market."""
        return self.interval is not None

    @property
    def period_s(self) -> int:
        """Length of an interval."""
        return 900 if self.is_real_time else 3600


LAYOUTS = (
    Layout(
        "DeliveryDate HourEnding RepeatedHourFlag SettlementPoint SettlementPointPrice",
        hour=1,
        flag=2,
        point=3,
        price=4,
    ),
    Layout(
        "DeliveryDate HourEnding SettlementPoint SettlementPointPrice DSTFlag",
        hour=1,
        point=2,
        price=3,
        flag=4,
    ),
    Layout(
        "DeliveryDate DeliveryHour DeliveryInterval RepeatedHourFlag SettlementPointName "
        "SettlementPointType SettlementPointPrice",
        hour=1,
        interval=2,
        flag=3,
        point=4,
        kind=5,
        price=6,
    ),
    Layout(
        "DeliveryDate DeliveryHour DeliveryInterval SettlementPointName SettlementPointType "
        "SettlementPointPrice DSTFlag",
        hour=1,
        interval=2,
        point=3,
        kind=4,
        price=5,
        flag=6,
    ),
)
"""Every official header; `header_cells` takes the blanks out of those that have some."""


def sign(file: SourceFile) -> str | None:
    """Return why this is a file of settlement point prices, or None."""
    if file.text is not None:
        names = header_cells(file.text, 1)
    elif is_workbook(file):
        try:
            rows = next(iter(sheets(file, first_only=True).values()), [])
        except FileFormatError:
            return None
        names = [normal_name(name) for name in rows[0]] if rows else []
    else:
        return None
    if any(set(layout.names) <= set(names) for layout in LAYOUTS):
        return f"the header has {', '.join(names)}"
    return None


def read(file: SourceFile, options: ReadOptions) -> tuple[SourceTable, ...]:
    """Return the prices of all settlement points, one column each.

    Raises
    ------
    FileFormatError
        If the columns are none of the official ones, or a sheet holds another month than its name.
    TimeGridError
        If a row is missing or doubled, a day is not whole, or a repeated hour is marked wrongly.
        A real-time file may also hold a single interval.
    DataError
        If a cell cannot be read or a price is implausible or not in steps of 0.01.
    """
    cells = _csv(file) if file.text is not None else _workbook(file)
    layout = next((layout for layout in LAYOUTS if layout.names == tuple(cells.names)), None)
    if layout is None:
        raise FileFormatError(
            f"{file.path}: the columns are not in ERCOT's order; found {', '.join(cells.names)}; "
            "get the original file"
        )
    starts_s = _starts_s(cells, layout)
    codes, points = _points(cells, layout)
    if options.area is not None and options.area.lower() not in points:
        raise DataError(f"{file.path}: there is no settlement point {options.area}")
    usd_per_mwh = cells.numbers(layout.price, pattern=_PRICE)
    wide = widen(cells, 0, starts_s, codes, points, period_s=layout.period_s, may_join_late=True)
    if not (layout.is_real_time and len(wide.starts_s) == 1):
        check_whole_days(cells, wide, points, period_s=layout.period_s, timezone=TIMEZONE)
    prices = wide.spread(usd_per_mwh / KWH_PER_MWH)
    for i in range(len(points)):
        check_prices(
            cells,
            layout.price,
            wide.row_of[:, i],
            prices[:, i],
            currency="USD",
            period_s=layout.period_s,
        )
    check_tick(cells, layout.price, usd_per_mwh, tick=TICK)
    starts = to_index(wide.starts_s)
    if layout.is_real_time:
        quantity, dataset = "real_time_price_per_kwh", "ercot-real-time"
        known = to_index(wide.starts_s + layout.period_s)
    else:
        quantity, dataset = "price_per_kwh", "ercot-day-ahead"
        known = published_the_day_before(starts, timezone=TIMEZONE, at=PUBLISHED_LOCAL)
    return (
        make_table(
            file,
            "ercot",
            dataset,
            starts,
            {field(quantity, point): prices[:, i] for i, point in enumerate(points)},
            known,
            period_s=layout.period_s,
            currency="USD",
        ),
    )


def _csv(file: SourceFile) -> Cells:
    assert file.text is not None
    return read_cells(file.text, header_line=1)


def _workbook(file: SourceFile) -> Cells:
    """Return the rows of all sheets; each must hold the month that it is named after."""
    names: list[str] = []
    rows: list[list[str]] = []
    lines: list[int] = []
    for sheet, sheet_rows in sheets(file).items():
        if not sheet_rows:
            continue  # months to come of the current year
        header, *body = sheet_rows
        found = [normal_name(name) for name in header]
        if names and found != names:
            raise FileFormatError(f"{file.path} sheet {sheet}: other columns than the first sheet")
        names = found
        for line, row in enumerate(body, 2):
            if sheet in MONTHS and row[0][:2] != f"{MONTHS.index(sheet) + 1:02d}":
                raise FileFormatError(
                    f"{file.path} sheet {sheet} row {line}, value {row[0]!r}: not a day of this "
                    "month; get the original file"
                )
            rows.append(row)
            lines.append(line)
    if not rows:
        raise FileFormatError(f"{file.path}: there are no rows; download it again")
    columns = [pa.array(column, pa.string()) for column in zip(*rows, strict=True)]
    return Cells(TextFile(file.path, "", "xlsx"), names, columns, np.array(lines, np.int64))


def _starts_s(cells: Cells, layout: Layout) -> Seconds:
    days_s = clock_s(cells, 0, pattern=r"\d{2}/\d{2}/\d{4}", form="%m/%d/%Y", example="04/01/2024")
    hours = _whole_numbers(cells, layout.hour, 24, is_clock=not layout.is_real_time)
    wall_s = days_s + (hours - 1) * 3600
    if layout.interval is not None:
        wall_s = wall_s + (_whole_numbers(cells, layout.interval, 4) - 1) * 900
    flags, marks = cells.codes(layout.flag)
    for i, mark in enumerate(marks):
        if mark not in ("Y", "N"):
            row = int(np.argmax(flags == i))
            raise DataError(f"{cells.where(row, layout.flag)}: Y or N is expected")
    is_repeat = np.array([mark == "Y" for mark in marks])[flags]
    return local_to_utc_s(cells, layout.hour, wall_s, timezone=TIMEZONE, is_repeat=is_repeat)


def _whole_numbers(cells: Cells, at: int, most: int, *, is_clock: bool = False) -> Seconds:
    """Return a column of hours or intervals, 1 to `most`; hours of the day-ahead are ``01:00``."""
    wanted = {f"{i:02d}:00" if is_clock else f"{i}": i for i in range(1, most + 1)}
    codes, texts = cells.codes(at)
    for i, text in enumerate(texts):
        if text not in wanted:
            row = int(np.argmax(codes == i))
            first, *_, last = wanted
            raise DataError(f"{cells.where(row, at)}: {first} to {last} are expected")
    return np.array([wanted[text] for text in texts], np.int64)[codes]


def _points(cells: Cells, layout: Layout) -> tuple[npt.NDArray[np.int64], list[str]]:
    """Return each row's settlement point as a number, and the names of the points as areas."""
    codes, texts = cells.codes(layout.point)
    for i, text in enumerate(texts):
        if not _POINT.fullmatch(text):
            row = int(np.argmax(codes == i))
            raise DataError(f"{cells.where(row, layout.point)}: no name of a settlement point")
    if layout.kind is None:
        return codes, [text.lower() for text in texts]
    kinds, types = cells.codes(layout.kind)
    for i, kind in enumerate(types):
        if kind not in POINT_TYPES:
            row = int(np.argmax(kinds == i))
            raise DataError(
                f"{cells.where(row, layout.kind)}: one of {', '.join(sorted(POINT_TYPES))} is "
                "expected"
            )
    pairs, inverse = np.unique(codes * len(types) + kinds, return_inverse=True)
    areas = [
        texts[pair // len(types)].lower()
        + ("_ew" if types[pair % len(types)].endswith("EW") else "")
        for pair in pairs
    ]
    unique = list(dict.fromkeys(areas))
    return np.array([unique.index(area) for area in areas], np.int64)[inverse], unique


FORMATS = (Format("ercot-spp", "ERCOT settlement point prices", "ercot", sign, read),)

"""Forecasts of an area's demand, generation, and wind and solar power: `*_YOSOKU.csv` and the like.

One day in 48 slots, kWh per half hour (here kW, twice that). The first two lines give date and time
of the file's update and the day that it is for; that update is the instant from which its values
are known, also where a file that was updated during its day has slots already past.

A day has several issues, and the store keeps one value per slot and dataset. So what was issued
before the day began (``AREA_ONCE_YOSOKU.csv``, the evening before) is ``area-forecast-day-ahead-…``
and what was issued on the day or after it (``AREA_YOSOKU.csv``) is ``area-forecast-…``; a later
issue of the same kind contradicts the one stored.

Seen: Kyushu's ``21110_TSO9_0_YYYYMMDD.csv`` (dates without dashes, times ``0:30``, a row of units)
and ``AREA_YOSOKU.csv`` / ``AREA_ONCE_YOSOKU.csv`` (times ``0030``, units in the header). Only the
former's name tells the area (TSO9 = area 09).
"""

import re
from datetime import date

import numpy as np
import pandas as pd

from gridhash.data.quantities import field
from gridhash.data.readers.area_checks import (
    PUBLISHER,
    TIMEZONE,
    check_consecutive,
    check_no_spike,
)
from gridhash.data.readers.area_columns import AREA_BY_NUMBER, Area, choose_area
from gridhash.data.readers.cells import INTEGER, Cells, header_cells, normal_name, read_cells
from gridhash.data.readers.checks import Numbers, check_tick, day_ordinals, slot_numbers, whole_days
from gridhash.data.readers.formats import Format, ReadOptions
from gridhash.data.readers.source_file import SourceFile
from gridhash.data.readers.text_file import TextFile
from gridhash.data.source_table import SourceTable
from gridhash.errors import DataError, FileFormatError, TimeGridError

SLOTS_PER_DAY = 48
PERIOD_S = 1800
KW_PER_KWH = 2.0
QUANTITIES = ("demand_forecast_kw", "generation_forecast_kw", "wind_solar_forecast_kw")

META = ("ファイル更新日", "ファイル更新時間", "対象年月日")
HEADER = (
    "日付",
    "時間コマ",
    "時間帯_自",
    "時間帯_至",
    "エリア総需要量",
    "エリア総発電量",
    "エリア風力・太陽光発電量",
)
UNITS = (
    "-,-,-,-,kWh,kWh,kWh",
    "(yyyymmdd),(1時~48時),(HH:MI),(HH:MI),[30分kWh],[30分kWh],[30分kWh]",
)
"""The row of units, and the same within the header."""

MAX_DAYS_AHEAD = 14
MAX_DAYS_BEHIND = 2

MAX_SPIKE = 0.2
"""A value against the mean of its neighbours, as a share of the day's median.

Of wind and solar, as a share of the day's peak. At most 0.05 in the forecasts seen; demand and
generation of Kyushu 2016-2023 deviate by at most 0.13 from hour to hour.
"""

_NAME = re.compile(r"_tso(\d{1,2})_\d+_(\d{8})")
_CLOCK = re.compile(r"([01]\d|2[0-3]):([0-5]\d):([0-5]\d)")
_UNIT = re.compile(r"[(\[].*[)\]]$")


def sign(file: SourceFile) -> str | None:
    """Return why this is a forecast of an area, or None."""
    if file.text is None:
        return None
    meta, header = (_plain_names(file.text, line) for line in (1, 3))
    if meta == META and header == HEADER:
        return f"the first line says {META[0]}, the third has {HEADER[4]} and {HEADER[6]}"
    return None


def read(file: SourceFile, options: ReadOptions) -> tuple[SourceTable, ...]:
    """Return ``area-forecast-day-ahead-<area>`` or ``area-forecast-<area>``, 30-minute means [kW].

    The former where the file was updated before its day began.

    Raises
    ------
    FileFormatError
        If units or update time are not in the official form, or the file is cut off.
    TimeGridError
        If the file is not one whole day, or its dates disagree.
    DataError
        If the area is missing or unknown, or values are implausible for it.
    """
    text = file.text
    assert text is not None
    name = _NAME.search(file.path.name.casefold())
    number = None if name is None else int(name[1])
    if number is not None and number not in AREA_BY_NUMBER:
        raise DataError(f"{file.path}: area {number} of the file name is none of 1 to 10")
    area = choose_area(
        str(file.path),
        None if number is None else AREA_BY_NUMBER[number].key,
        options.area,
        evidence="TSO in the file name",
    )
    cells = read_cells(text, header_line=_header_line(text), names=list(HEADER))
    updated, target = _meta(text)
    day = day_ordinals(cells, 0)
    slots = slot_numbers(cells, 1, SLOTS_PER_DAY) - 1
    ordinals = day * SLOTS_PER_DAY + slots
    check_consecutive(cells, ordinals, SLOTS_PER_DAY)
    starts = whole_days(cells, ordinals, slots_per_day=SLOTS_PER_DAY, timezone=TIMEZONE)
    _check_dates(cells, day, updated, target, None if name is None else name[2])
    _check_clock(cells, slots)
    values = {
        quantity: KW_PER_KWH * cells.numbers(4 + i, pattern=INTEGER)
        for i, quantity in enumerate(QUANTITIES)
    }
    _check_values(cells, area, values)
    frame = pd.DataFrame({field(q, area.key): v for q, v in values.items()}, index=starts)
    kind = "day-ahead-" if updated < starts[0] else ""
    known = pd.DatetimeIndex([updated] * len(frame)).tz_convert("UTC")
    return (
        SourceTable(
            dataset=f"area-forecast-{kind}{area.key}",
            frame=frame,
            period_s=PERIOD_S,
            currency=None,
            origins=(file.origin(PUBLISHER),),
            available_at=dict.fromkeys(frame.columns, known),
        ),
    )


def _plain_names(text: TextFile, line: int) -> tuple[str, ...]:
    return tuple(_UNIT.sub("", name) for name in header_cells(text, line))


def _header_line(text: TextFile) -> int:
    """Return the last line of the header, whose units must be the official ones."""
    names = header_cells(text, 3)
    in_header = ",".join(
        name.removeprefix(plain) for name, plain in zip(names, HEADER, strict=True)
    )
    row = ",".join(header_cells(text, 4))
    if row == UNITS[0] and not in_header.strip(","):
        return 4
    if in_header == UNITS[1] and row[:1].isdigit():
        return 3
    raise FileFormatError(
        f"{text.path} line 3: the units must be kWh per 30 minutes; found {in_header!r} and on the "
        f"next line {row[:60]!r}: get the publisher's file"
    )


def _meta(text: TextFile) -> tuple[pd.Timestamp, date]:
    """Return when the file was updated and for which day it is."""
    cells = [normal_name(cell) for cell in header_cells(text, 2)]
    days = [_compact_date(cell) for cell in (cells[:1] + cells[2:3])]
    clock = _CLOCK.fullmatch(cells[1]) if len(cells) == 3 else None
    if clock is None or len(days) != 2 or days[0] is None or days[1] is None:
        raise FileFormatError(
            f"{text.path} line 2: {','.join(cells)!r} is not date, time and target day like "
            "20250416,18:55:13,20250417; get the publisher's file"
        )
    return pd.Timestamp(f"{days[0]} {clock[0]}", tz=TIMEZONE), days[1]


def _compact_date(cell: str) -> date | None:
    if not re.fullmatch(r"\d{8}", cell, re.ASCII):
        return None
    try:
        return date(int(cell[:4]), int(cell[4:6]), int(cell[6:]))
    except ValueError:
        return None


def _check_dates(
    cells: Cells, days: np.ndarray, updated: pd.Timestamp, target: date, named: str | None
) -> None:
    if len(set(days.tolist())) != 1 or int(days[0]) != target.toordinal():
        raise TimeGridError(
            f"{cells.where(0, 0)}: the file is for {target} by its second line, and must hold that "
            "day alone; get the original file"
        )
    if named is not None and named != f"{target:%Y%m%d}":
        raise TimeGridError(
            f"{cells.path}: the file name says {named}, the file {target:%Y%m%d}; correct the name"
        )
    ahead = (target - updated.date()).days
    if not -MAX_DAYS_BEHIND <= ahead <= MAX_DAYS_AHEAD:
        raise TimeGridError(
            f"{cells.path} line 2: updated {updated.date()} for {target}, {ahead} days ahead; a "
            f"forecast is {-MAX_DAYS_BEHIND} to {MAX_DAYS_AHEAD}: get the original file"
        )


def _check_clock(cells: Cells, slots: np.ndarray) -> None:
    """Raise TimeGridError unless start and end of each slot fit its number."""
    for at, offset in ((2, 0), (3, 1)):
        for row, text in enumerate(cells.text(at)):
            minutes = 30 * (int(slots[row]) + offset)
            hour, minute = divmod(minutes, 60)
            if text not in (f"{hour}:{minute:02d}", f"{hour:02d}:{minute:02d}",
                            f"{hour:02d}{minute:02d}"):  # fmt: skip
                raise TimeGridError(
                    f"{cells.where(row, at)}: does not fit slot {int(slots[row]) + 1}; get the "
                    "original file"
                )


def _check_values(cells: Cells, area: Area, values: dict[str, Numbers]) -> None:
    """Raise DataError if the area cannot have such values."""
    demand, generation, wind_solar = (values[quantity] / 1000.0 for quantity in QUANTITIES)
    low, high = area.demand_median_mw
    caps = area.capacity_mw
    most = sum(caps[name] for name in ("nuclear_kw", "thermal_kw", "hydro_kw", "solar_kw"))
    limits = (
        (4, demand, 0.0, area.demand_max_mw),
        (5, generation, 0.0, most),
        (6, wind_solar, 0.0, caps["wind_kw"] + caps["solar_kw"]),
        (6, wind_solar - generation, -np.inf, 0.0),
    )
    for at, found, least, top in limits:
        wrong = np.flatnonzero((found < least) | (found > top))
        if wrong.size:
            raise DataError(
                f"{cells.where(int(wrong[0]), at)}: implausible for {area.key} (wind and solar are "
                "part of the generation); check the area and the unit"
            )
    medians = float(np.median(demand)), float(np.median(generation))
    if not low <= medians[0] <= high or not medians[0] / 4 <= medians[1] <= medians[0] * 4:
        raise DataError(
            f"{cells.path}: medians of {medians[0]:g} MW demand and {medians[1]:g} MW generation, "
            f"which {area.key} cannot have (demand {low:g} … {high:g}); check the area and the unit"
        )
    for at, series in ((4, demand), (5, generation)):
        check_no_spike(cells, at, series, limit=MAX_SPIKE * float(np.median(series)))
    check_no_spike(cells, 6, wind_solar, limit=MAX_SPIKE * float(np.max(wind_solar)))
    check_tick(cells, 6, cells.numbers(6, pattern=INTEGER), tick=1.0)


FORMATS = (
    Format(
        "area-forecast",
        "forecast of a Japanese area: demand, generation, wind and solar (yosoku)",
        PUBLISHER,
        sign,
        read,
    ),
)

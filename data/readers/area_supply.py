"""Supply and demand of the ten areas every 30 minutes: `eria_jukyu_YYYYMM_NN.csv` since FY2023.

Also Tohoku's file of one day, `realtime_jukyu_YYYYMMDD_02.csv`. Powers are means of the period in
MW. All have a row of units, a header, then ``DATE,TIME`` and the values; the header must be the
official one, in its order, with or without the columns of curtailed thermal power and biomass.

- Kyushu labels a period by its end (0:30 … 24:00), the other areas by its start (0:00 … 23:30).
- Kyushu counts 連系線 positive for export, the others for import; here import is positive. The sum
  of the sources proves the sign in each file: it must meet 合計 with one of the two.
- Rows without any value, such as the rest of a running day or month, are left out.
- In the first months some areas give 0 for all four kinds of thermal power on every row (Tokyo
  2023-11 and -12, Hokuriku 2024-03). That cannot be meant, so the four are taken as not given
  (NaN); the other sources may then add up to less than the total.
- Values are known an hour after the end of their period: Tokyo's file, the fastest seen, is out
  within about that time. Corrections published later replace them in the file.
"""

import re
from datetime import date

import numpy as np

from gridhash.data.readers.area_checks import (
    PUBLISHER,
    AreaRows,
    check_balance,
    check_bounds,
    check_consecutive,
    check_sun,
    fits,
    supply_mw,
)
from gridhash.data.readers.area_columns import AREA_BY_NUMBER, Area, choose_area
from gridhash.data.readers.cells import INTEGER, Cells, header_cells, read_cells
from gridhash.data.readers.checks import Ordinals, day_ordinals
from gridhash.data.readers.formats import Format, ReadOptions
from gridhash.data.readers.source_file import SourceFile
from gridhash.data.source_table import SourceTable
from gridhash.errors import DataError, FileFormatError, TimeGridError

SLOTS_PER_DAY = 48
UNIT = "単位[MW平均]"
COLUMNS = {
    "エリア需要": "demand_kw",
    "原子力": "nuclear_kw",
    "火力(LNG)": "thermal_lng_kw",
    "火力(石炭)": "thermal_coal_kw",
    "火力(石油)": "thermal_oil_kw",
    "火力(その他)": "thermal_other_kw",
    "火力出力制御量": "thermal_curtailed_kw",
    "水力": "hydro_kw",
    "地熱": "geothermal_kw",
    "バイオマス": "biomass_kw",
    "バイオマス出力制御量": "biomass_curtailed_kw",
    "太陽光発電実績": "solar_kw",
    "太陽光出力制御量": "solar_curtailed_kw",
    "風力発電実績": "wind_kw",
    "風力出力制御量": "wind_curtailed_kw",
    "揚水": "pumped_hydro_kw",
    "蓄電池": "battery_kw",
    "連系線": "interconnector_kw",
    "その他": "other_kw",
    "合計": "supply_kw",
}
"""Official name → quantity, in the official order."""

OPTIONAL = frozenset({"火力出力制御量", "バイオマス出力制御量"})
END_LABELLED = frozenset({"kyushu"})
EXPORT_POSITIVE = frozenset({"kyushu"})

_THERMAL = [name for name in COLUMNS.values() if re.match(r"thermal_(?!curtailed)", name)]
_NAME = re.compile(r"(?:eria|realtime)_jukyu_(\d{4})(\d{2})(\d{2})?_(\d{2})(?!\d)")
_TIME = re.compile(r"(\d{1,2}):(\d{2})(?::00)?")


def sign(file: SourceFile) -> str | None:
    """Return why this is a 30-minute file of an area, or None."""
    if file.text is None:
        return None
    unit, header = (header_cells(file.text, line) for line in (1, 2))
    if unit[:1] == [UNIT] and header[:2] == ["DATE", "TIME"] and "エリア需要" in header:
        return f"the first line says {UNIT} and the header has DATE, TIME, エリア需要"
    return None


def read(file: SourceFile, options: ReadOptions) -> tuple[SourceTable, ...]:
    """Return the table ``area-supply-<area>``, 30-minute means [kW].

    Raises
    ------
    FileFormatError
        If the header is not the official one or the file is cut off.
    TimeGridError
        If rows are missing, doubled or out of order, or dates do not fit the file name.
    DataError
        If the area is unknown, or values do not balance or are implausible.
    """
    assert file.text is not None
    names = header_cells(file.text, 2)
    _check_header(str(file.path), names)
    name = _NAME.search(file.path.name)
    if name is not None and int(name[4]) not in AREA_BY_NUMBER:
        raise DataError(f"{file.path}: area {name[4]} of the file name is none of 01 to 10")
    area = choose_area(
        str(file.path),
        None if name is None else AREA_BY_NUMBER[int(name[4])].key,
        options.area,
        evidence=f"{name[4]} in the file name" if name is not None else "the file",
    )
    cells = _without_padding(read_cells(file.text, header_line=2, names=names))
    ordinals = _ordinals(cells, area)
    check_consecutive(cells, ordinals, SLOTS_PER_DAY)
    if name is not None:
        _check_dates(cells, ordinals, name)
    rows = _rows(cells, area, ordinals)
    _orient_interconnector(rows)
    check_balance(rows)
    check_bounds(rows)
    check_sun(rows)
    return (rows.to_table("area-supply", file),)


def _check_header(path: str, names: list[str]) -> None:
    official = ["DATE", "TIME", *(n for n in COLUMNS if n in names or n not in OPTIONAL)]
    if names != official:
        wrong = next(
            (
                f"{a!r} stands where {b!r} is expected"
                for a, b in zip(names, official, strict=False)
                if a != b
            ),
            f"{len(names)} columns instead of {len(official)}",
        )
        raise FileFormatError(
            f"{path} line 2: not the official header: {wrong}; get the publisher's file"
        )


def _without_padding(cells: Cells) -> Cells:
    """Leave out rows at the end that have no time and no value other than 0."""
    times = zip(cells.text(0), cells.text(1), strict=True)
    padding = np.array([not (day or time) for day, time in times])
    if not padding.any():
        return cells
    first = int(np.argmax(padding))
    values = {
        text for at in range(2, len(cells.names)) for text in cells.keep(padding).codes(at)[1]
    }
    if not padding[first:].all() or not values <= {"", "0"} or not first:
        raise DataError(
            f"{cells.where(first, 0)}: a row without a time stands before others or has values; "
            "get the original file"
        )
    return cells.keep(~padding)


def _ordinals(cells: Cells, area: Area) -> Ordinals:
    """Return the slot at which each row starts, counted through all days."""
    codes, texts = cells.codes(1)
    end_labelled = area.key in END_LABELLED
    slots = []
    for code, text in enumerate(texts):
        match = _TIME.fullmatch(text)
        slot, rest = divmod(60 * int(match[1]) + int(match[2]), 30) if match else (-1, 0)
        slot -= end_labelled
        if rest or not 0 <= slot < SLOTS_PER_DAY or (match and int(match[2]) > 59):
            allowed = "0:30 … 24:00, the ends" if end_labelled else "0:00 … 23:30, the starts"
            row = int(np.argmax(codes == code))
            raise TimeGridError(
                f"{cells.where(row, 1)}: {area.key} labels its half hours {allowed}; check the "
                "area or get the original file"
            )
        slots.append(slot)
    return day_ordinals(cells, 0) * SLOTS_PER_DAY + np.array(slots, np.int64)[codes]


def _check_dates(cells: Cells, ordinals: Ordinals, name: re.Match[str]) -> None:
    """Raise TimeGridError unless all dates lie in the month or day of the file name."""
    year, month, day = (int(part) if part else None for part in (name[1], name[2], name[3]))
    for row in (0, -1):
        found = date.fromordinal(int(ordinals[row]) // SLOTS_PER_DAY)
        if (found.year, found.month) != (year, month) or day not in (None, found.day):
            raise TimeGridError(
                f"{cells.where(row, 0)}: the file name {name[0]} says another time; correct the "
                "name or get the original file"
            )


def _rows(cells: Cells, area: Area, ordinals: Ordinals) -> AreaRows:
    """Return the rows that have any value, as numbers."""
    at = {COLUMNS[name]: at for at, name in enumerate(cells.names) if at > 1}
    blank = np.ones(len(cells), np.bool_)
    for column in at.values():
        codes, texts = cells.codes(column)
        blank &= np.array([not text for text in texts])[codes]
    if blank.all():
        raise FileFormatError(f"{cells.path}: no row has values; download it again later")
    cells, ordinals = cells.keep(~blank), ordinals[~blank]
    needed = ("demand_kw", "supply_kw")
    mw = {
        name: cells.numbers(column, pattern=INTEGER, missing=() if name in needed else ("",))
        for name, column in at.items()
    }
    given = any(np.any(mw[kind] != 0) for kind in _THERMAL)
    if not given:
        mw |= {kind: np.full(len(cells), np.nan) for kind in _THERMAL}
    return AreaRows(cells, area, ordinals, SLOTS_PER_DAY, at, mw, 1.0, thermal_given=given)


def _orient_interconnector(rows: AreaRows) -> None:
    """Make import positive, with the sign that the sum of the sources proves.

    Where both signs fit, as without any exchange, the convention of the area decides; where none
    does, it stays and `check_balance` refuses the row.
    """
    convention = -1.0 if rows.area.key in EXPORT_POSITIVE else 1.0
    for trial in (convention, -convention):
        off = supply_mw(rows, interconnector_sign=trial) - rows.mw["supply_kw"]
        if fits(rows, off).all():
            break
    else:
        trial = convention
    if trial < 0:
        rows.mw["interconnector_kw"] = 0.0 - rows.mw["interconnector_kw"]


FORMATS = (
    Format(
        "area-supply",
        "supply and demand of a Japanese area, 30 minutes (eria_jukyu, realtime_jukyu)",
        PUBLISHER,
        sign,
        read,
    ),
)

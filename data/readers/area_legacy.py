"""Hourly supply and demand of the areas before the 30-minute files: FY2016 to FY2023.

Each utility has its own file; `LAYOUTS` lists their headers as published. All are means of an hour
that is labelled by its start, with import positive. The number in a file name is the fiscal year
(April to March) with its quarter (1Q = April to June), Hokuriku's a calendar month or span of
months; where the name has one, the dates must lie in it. Notes above the header are ignored.

- MWh, but Tokyo 万kWh and Shikoku 万kW, both steps of 10 MW. Shikoku is a workbook or a copy of it
  in CSV; Tokyo writes thousands as "2,555". Tokyo's header is known from four programs that read
  it and from the test of one of them, not from a file.
- Hokkaido gives the date in the first row of a day only, and hours as ``0時``.
- Tohoku has its own order of columns; Kansai's and Kyushu's two-row header doubles names, so that
  columns are taken by place; their headers are alike, and the file name tells the area.
- ``－`` (Chugoku, Shikoku) and an empty cell (Hokuriku) mean that there is no value: NaN.
- Publication is given as for the 30-minute files, an hour after the end of the hour: the values
  then are what today's feed gives. These files themselves came out months later.
"""

import re
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gridhash.data.readers.area_checks import (
    PUBLISHER,
    AreaRows,
    check_balance,
    check_bounds,
    check_consecutive,
    check_sun,
)
from gridhash.data.readers.area_columns import Area, choose_area
from gridhash.data.readers.area_workbook import sheet_text
from gridhash.data.readers.cells import DECIMAL, INTEGER, Cells, header_cells, read_cells
from gridhash.data.readers.checks import Ordinals, day_ordinals
from gridhash.data.readers.formats import Format, ReadOptions
from gridhash.data.readers.source_file import SourceFile
from gridhash.data.readers.text_file import TextFile
from gridhash.data.source_table import SourceTable
from gridhash.errors import DataError, FileFormatError, TimeGridError

SLOTS_PER_DAY = 24
LAST_HEADER_LINE = 16
UNROUNDED_STEP_MW = 0.5
"""Taken as the step of a workbook whose cells are finer than the unit of the file."""

_SUPPLY = "nuclear thermal hydro geothermal biomass solar solar_curtailed wind wind_curtailed "
_USUAL = f"demand {_SUPPLY}pumped_hydro interconnector"
_TOHOKU = (
    "demand hydro thermal nuclear solar solar_curtailed wind wind_curtailed geothermal biomass "
    "pumped_hydro interconnector"
)
_KANSAI_HEADER = (
    ",,,,,,,太陽光,太陽光,風力,風力",
    "DATE_TIME,エリア需要〔MWh〕,原子力〔MWh〕,火力〔MWh〕,水力〔MWh〕,地熱〔MWh〕,"
    "バイオマス〔MWh〕,実績〔MWh〕,抑制量〔MWh〕,実績〔MWh〕,抑制量〔MWh〕,{}〔MWh〕,連系線〔MWh〕",
)


@dataclass(frozen=True)
class Layout:
    """One utility's file: the rows of its header, and what stands below.

    Attributes
    ----------
    areas
        Areas that publish it; with several, the file name tells which.
    header
        Last rows above the values, normalised and without empty cells at their ends.
    columns
        Quantities after the columns of time, without ``_kw``.
    step_mw
        Unit and step of the values [MW].
    """

    areas: tuple[str, ...]
    header: tuple[str, ...]
    columns: str = _USUAL
    step_mw: float = 1.0
    missing: tuple[str, ...] = ()

    @property
    def quantities(self) -> list[str]:
        """Quantities in the order of the columns."""
        return [f"{name}_kw" for name in self.columns.split()]


LAYOUTS = (
    Layout(
        ("hokkaido",),
        (
            "単位[MWh]",
            ",,,供給力",
            "月日,時刻,エリア需要,原子力,火力,水力,地熱,バイオマス,太陽光実績,太陽光抑制量,風力実績,"
            "風力抑制量,揚水,連系線,供給力合計",
            "",
        ),
        f"{_USUAL} supply",
    ),
    Layout(
        ("tohoku",),
        (
            "DATE_TIME,エリア需要〔MWh〕,水力〔MWh〕,火力〔MWh〕,原子力〔MWh〕,太陽光実績〔MWh〕,"
            "太陽光抑制量〔MWh〕,風力実績〔MWh〕,風力抑制量〔MWh〕,地熱〔MWh〕,バイオマス〔MWh〕,"
            "揚水〔MWh〕,連系線〔MWh〕",
        ),
        _TOHOKU,
    ),
    Layout(
        ("tokyo",),
        (
            "単位[万kWh]",
            "DATE,TIME,東京エリア需要,供給力",
            ",,,原子力,火力,水力,地熱,バイオマス,太陽光発電実績,太陽光出力制御量,風力発電実績,"
            "風力出力制御量,揚水,連系線,合計",
        ),
        f"{_USUAL} supply",
        step_mw=10.0,
    ),
    Layout(
        ("chubu",),
        (
            ",,,,,,,,,,,,,単位:MWh",
            "DATE,TIME,エリア需要,原子力,火力,水力,地熱,バイオマス,太陽光(実績),"
            "太陽光(出力制御量),風力(実績),風力(出力制御量),揚水,連系線",
        ),
    ),
    Layout(
        ("hokuriku",),
        (
            ",,エリア需要,原子力,火力,水力,地熱,バイオマス,太陽光実績,太陽光抑制量,風力実績,"
            "風力抑制量,揚水,連系線",
            "DATE,TIME,MWh,MWh,MWh,MWh,MWh,MWh,MWh,MWh,MWh,MWh,MWh,MWh",
        ),
        missing=("",),
    ),
    Layout(("kansai", "kyushu"), (_KANSAI_HEADER[0], _KANSAI_HEADER[1].format("揚水"))),
    Layout(("kyushu",), (_KANSAI_HEADER[0], _KANSAI_HEADER[1].format("揚水等"))),
    Layout(
        ("chugoku",),
        (
            "供給区域の需給実績",
            ",,需要実績(MWh),供給実績(MWh)",
            "DATE,TIME,需要,原子力,火力,水力,地熱,バイオマス,太陽光(実績),太陽光(抑制量),"
            "風力(実績),風力(抑制量),揚水,連系線潮流",
        ),
        missing=("－",),
    ),
    Layout(
        ("shikoku",),
        (
            ",,,,,,,,,,,,,,(単位:万kW)",
            "DATE,TIME,エリア需要,供給力",
            ",,,原子力,火力,水力,地熱,バイオマス,太陽光,,風力,,揚水,連系線,合計",
            ",,,,,,,,実績,制御量,実績,制御量",
        ),
        f"{_USUAL} supply",
        step_mw=10.0,
        missing=("－",),
    ),
)
"""Every layout seen."""

_FISCAL_NAMES = {
    "hokkaido": r"sup_dem_results_(?P<year>\d{4})_(?P<quarter>[1-4])q",
    "tohoku": r"juyo_(?P<year>\d{4})_tohoku_(?P<quarter>[1-4])q",
    "tokyo": r"(?<![a-z_])area-(?P<year>\d{4})",
    "chubu": r"(?<!\d)(?P<year>\d{4})_areabalance",
    "hokuriku": r"area_jisseki_rikuden(?P<year>\d{4})(?P<month>\d{2})(?:_(?P<last>\d{2}))?",
    "kansai": r"area_jyukyu_jisseki_(?P<year>\d{4})(?!\d|_\d)",
    "kyushu": r"area_jyukyu_jisseki_(?P<year>\d{4}|h\d{2})_(?P<quarter>[1-4])q",
    "chugoku": r"kako-(?P<year>\d{4})|eria_jyukyu(?![a-z_])",
    "shikoku": r"(?<![a-z])jukyu(?P<year>\d{4})",
}
_HOUR = re.compile(r"(\d{1,2})(?::00|時)")
_THOUSANDS = r"-?\d{1,3}(?:,\d{3})+"


def sign(file: SourceFile) -> str | None:
    """Return why this is an hourly file of an area, or None."""
    text = _text(file)
    found = None if text is None else _find_layout(text)
    if found is None:
        return None
    layout, line = found
    which = "" if len(layout.areas) == 1 else "; its name or --area says which"
    return f"the header above line {line + 1} is that of {' or '.join(layout.areas)}{which}"


def read(file: SourceFile, options: ReadOptions) -> tuple[SourceTable, ...]:
    """Return the table ``area-supply-hourly-<area>``, means of an hour [kW].

    Raises
    ------
    FileFormatError
        If the file is cut off or damaged.
    TimeGridError
        If rows are missing, doubled or out of order, or dates do not fit the file name.
    DataError
        If the area is unknown, or values do not balance or are implausible.
    """
    text = _text(file)
    found = None if text is None else _find_layout(text)
    if text is None or found is None:
        raise FileFormatError(f"{file.path}: no header of an area's hourly file")
    layout, line = found
    name = _named(file.path)
    content = layout.areas[0] if len(layout.areas) == 1 else None
    if name is not None and name[0] not in layout.areas:
        raise DataError(
            f"{file.path}: the file name is one of {name[0]}, the header one of "
            f"{' or '.join(layout.areas)}; correct the name or get the original file"
        )
    area = choose_area(
        str(file.path),
        content or (None if name is None else name[0]),
        options.area,
        evidence="the header" if content else "the file name",
    )
    if area.key not in layout.areas:
        raise DataError(f"{file.path}: {area.key} does not publish this layout; correct the area")
    n_times = 1 if layout.header[-1].startswith("DATE_TIME") else 2
    names = [*["DATE", "TIME"][:n_times], *layout.quantities]
    cells = read_cells(text, header_line=line, names=names)
    cells = _split_time(cells) if n_times == 1 else _fill_dates(cells, layout)
    ordinals = _ordinals(cells)
    check_consecutive(cells, ordinals, SLOTS_PER_DAY)
    if name is not None:
        _check_span(cells, ordinals, name[1])
    rows = _rows(cells, ordinals, layout, area, is_workbook=file.text is None)
    check_balance(rows)
    check_bounds(rows)
    check_sun(rows)
    return (rows.to_table("area-supply-hourly", file),)


def _text(file: SourceFile) -> TextFile | None:
    """Return the text of a file, or of the first sheet of a workbook."""
    return file.text or sheet_text(file)


def _find_layout(text: TextFile) -> tuple[Layout, int] | None:
    """Return the layout whose header stands in the first lines, and the header's last line."""
    head = []
    for line in range(1, LAST_HEADER_LINE + 1):
        cells = header_cells(text, line)
        if cells[:1] and cells[0][:4].isdigit():
            break
        head.append(",".join(cells).rstrip(","))
    for layout in LAYOUTS:
        n_rows = len(layout.header)
        for line in range(n_rows, len(head) + 1):
            if tuple(head[line - n_rows : line]) == layout.header:
                return layout, line
    return None


def _named(path: Path) -> tuple[str, re.Match[str]] | None:
    """Return the area that an official file name tells, and what else it says."""
    for area, pattern in _FISCAL_NAMES.items():
        match = re.search(pattern, path.name.casefold())
        if match is not None:
            return area, match
    return None


def _split_time(cells: Cells) -> Cells:
    """Return the cells with ``2016/4/1 0:00`` as date and time."""
    dates = pc.replace_substring_regex(cells.columns[0], " +[^ ]*$", "")
    times = pc.replace_substring_regex(cells.columns[0], "^.* ", "")
    names = ["DATE", "TIME", *cells.names[1:]]
    return Cells(cells.file, names, [dates, times, *cells.columns[1:]], cells.lines)


def _fill_dates(cells: Cells, layout: Layout) -> Cells:
    """Return the cells with the date on every row, where it stands on a day's first only."""
    if layout.areas != ("hokkaido",):
        return cells
    blank = pc.equal(pc.utf8_trim_whitespace(cells.columns[0]), "")
    dates = pc.fill_null_forward(pc.if_else(blank, pa.scalar(None, pa.string()), cells.columns[0]))
    dates = pc.fill_null(dates, "")
    return Cells(cells.file, cells.names, [dates, *cells.columns[1:]], cells.lines)


def _ordinals(cells: Cells) -> Ordinals:
    """Return the hour at which each row starts, counted through all days."""
    codes, texts = cells.codes(1)
    hours = []
    for code, text in enumerate(texts):
        match = _HOUR.fullmatch(text)
        if match is None or int(match[1]) >= SLOTS_PER_DAY:
            row = int(np.argmax(codes == code))
            raise TimeGridError(
                f"{cells.where(row, 1)}: hours are labelled by their starts, 0:00 … 23:00 or 0時 … "
                "23時; get the original file"
            )
        hours.append(int(match[1]))
    return day_ordinals(cells, 0) * SLOTS_PER_DAY + np.array(hours, np.int64)[codes]


def _check_span(cells: Cells, ordinals: Ordinals, name: re.Match[str]) -> None:
    """Raise TimeGridError unless all dates lie in the year, quarter or months of the file name."""
    parts = name.groupdict()
    if parts["year"] is None:
        return
    heisei = parts["year"].startswith("h")
    year = int(parts["year"].removeprefix("h")) + 1988 * heisei
    first, n_months = 12 * year + 3, 12
    if parts.get("quarter"):
        first, n_months = first + 3 * (int(parts["quarter"]) - 1), 3
    elif parts.get("month"):
        first = 12 * year + int(parts["month"]) - 1
        n_months = int(parts.get("last") or parts["month"]) - int(parts["month"]) + 1
    for row in (0, -1):
        found = date.fromordinal(int(ordinals[row]) // SLOTS_PER_DAY)
        if not first <= 12 * found.year + found.month - 1 < first + n_months:
            raise TimeGridError(
                f"{cells.path} line {int(cells.lines[row])} ({found}): the file name {name[0]} "
                "says another time; correct the name or get the original file"
            )


def _rows(
    cells: Cells, ordinals: Ordinals, layout: Layout, area: Area, *, is_workbook: bool
) -> AreaRows:
    """Return the rows that have any value, as numbers."""
    at = {name: 2 + i for i, name in enumerate(layout.quantities)}
    blank = np.ones(len(cells), np.bool_)
    for column in at.values():
        codes, texts = cells.codes(column)
        blank &= np.array([not text for text in texts])[codes]
    if blank.all():
        raise FileFormatError(f"{cells.path}: no row has values; download it again later")
    cells, ordinals = cells.keep(~blank), ordinals[~blank]
    if area.key == "tokyo":
        cells = _without_thousands(cells)
    mw = {}
    for name, column in at.items():
        missing = () if name in ("demand_kw", "supply_kw") else layout.missing
        pattern = DECIMAL if is_workbook else INTEGER
        mw[name] = layout.step_mw * cells.numbers(column, pattern=pattern, missing=missing)
    whole = all(np.all((v % layout.step_mw == 0) | np.isnan(v)) for v in mw.values())
    step_mw = layout.step_mw if whole else UNROUNDED_STEP_MW
    return AreaRows(cells, area, ordinals, SLOTS_PER_DAY, at, mw, step_mw)


def _without_thousands(cells: Cells) -> Cells:
    columns = cells.columns[:2]
    for column in cells.columns[2:]:
        grouped = pc.match_substring_regex(pc.utf8_trim_whitespace(column), f"^{_THOUSANDS}$")
        columns.append(pc.if_else(grouped, pc.replace_substring(column, ",", ""), column))
    return Cells(cells.file, cells.names, columns, cells.lines)


FORMATS = (
    Format(
        "area-supply-hourly",
        "hourly supply and demand of a Japanese area, FY2016 to FY2023",
        PUBLISHER,
        sign,
        read,
    ),
)

"""Imbalance prices of Japan: the monthly CSV of the publication site (ICS), and that of Okinawa.

`YYYYMM_imbalance-price_RR.csv` (RR counts revisions), cp932, every cell quoted::

    "H","インバランス料金単価(円/kWh)"
    "H","ファイル更新日","ファイル更新時刻","対象年月"
    "H","20260307","09:16:45","202603","","余剰インバランス料金単価","","不足インバランス料金単価",""
    "T","日付","時間帯コマ","時間帯_自","時間帯_至","沖縄","変更S","沖縄","変更S"
    "D","20260301","1","00:00","00:30","8.91","0","8.91","0"

One price and one mark of change (変更S) per area: first all surplus prices, then all shortage
prices. The site of the nine connected areas gives nine areas, Hokkaido to Kyushu, so 41 columns;
Okinawa's utility gives Okinawa alone. The lines above are the head of an Okinawan file; of the
nine-area file no copy was seen, only parsers that agree on its columns.

Prices are published about half an hour after their slot and may be corrected later. A price
without mark counts as known 30 min after its slot; one that is marked as changed counts as known
from the update of the file, as what was published before is not in it.

Checked: header, month of the file's name, header and rows, consecutive slots from the first of
the month (the last day may be incomplete), times that fit the slots, price step 0.01, prices not
below zero (the floor of the tariff), and no price of a slot that ends after the file's update.
"""

import re
from dataclasses import dataclass
from datetime import date, datetime

import numpy as np
import numpy.typing as npt
import pandas as pd

from gridhash.data.quantities import field
from gridhash.data.readers.cells import Cells, header_cells, read_cells
from gridhash.data.readers.checks import Numbers, check_tick, day_ordinals, slot_numbers
from gridhash.data.readers.formats import Format, ReadOptions
from gridhash.data.readers.jepx import JAPANESE_NAMES
from gridhash.data.readers.jepx_rows import PERIOD_S, SLOTS_PER_DAY, TIMEZONE, refuse_blanks
from gridhash.data.readers.source_file import SourceFile
from gridhash.data.readers.text_file import TextFile
from gridhash.data.schema import COLUMN_BY_NAME, first_fault
from gridhash.data.source_table import SourceTable
from gridhash.errors import DataError, FileFormatError, TimeGridError
from gridhash.time_grid import grid

TITLE = "インバランス料金単価(円/kWh)"
PUBLICATION_LAG = pd.Timedelta(minutes=30)

_UPDATE_NAMES = ["H", "ファイル更新日", "ファイル更新時刻", "対象年月"]
_FIXED_NAMES = ["T", "日付", "時間帯コマ", "時間帯_自", "時間帯_至"]
_SIDES = {"surplus": "余剰インバランス料金単価", "shortage": "不足インバランス料金単価"}
_CHANGED = "変更S"
_AREAS_OF_A_FILE = (tuple(JAPANESE_NAMES), ("okinawa",))
_NAMES = {**JAPANESE_NAMES, "okinawa": "沖縄"}
_OFFICIAL_NAME = re.compile(r"(\d{6})_imbalance-price_\d{2}(?: ?\(\d+\))?\.csv")


def read_imbalance(file: SourceFile, options: ReadOptions) -> tuple[SourceTable, ...]:
    """Return the table ``imbalance-price``, or ``imbalance-price-okinawa``.

    Raises
    ------
    FileFormatError
        If the header is not that of the publisher.
    TimeGridError
        If a slot is missing, doubled, out of order or in another month than the header's.
    DataError
        If a value is no number or implausible.
    """
    del options  # the file says everything
    if file.text is None:
        raise FileFormatError(file.text_problem)
    header = _read_header(file.text)
    areas = header.areas
    cells = read_cells(file.text, header_line=4)
    refuse_blanks(file.text)
    if set(cells.codes(0)[1]) != {"D"}:
        row = next(i for i, kind in enumerate(cells.text(0)) if kind != "D")
        raise FileFormatError(f"{cells.where(row, 0)}: rows of prices begin with D")
    starts = _starts(cells, header.month)
    ends = starts + pd.Timedelta(seconds=PERIOD_S)
    values: dict[str, Numbers] = {}
    known: dict[str, pd.DatetimeIndex] = {}
    at = len(_FIXED_NAMES)
    for side in _SIDES:
        for area in areas:
            price = field(f"imbalance_{side}_price_per_kwh", area)
            flag = field(f"imbalance_{side}_flag", area)
            values[price] = _prices(cells, at, ends, header.updated)
            values[flag] = cells.numbers(at + 1, pattern=r"\d{1,2}", missing=("",))
            known[price] = known[flag] = _known(ends, values[flag] > 0, header.updated)
            at += 2
    table = SourceTable(
        dataset="imbalance-price-okinawa" if areas == ("okinawa",) else "imbalance-price",
        frame=pd.DataFrame(values, index=starts),
        period_s=PERIOD_S,
        currency="JPY",
        origins=(file.origin("imbalance-prices-cs"),),
        available_at=known,
    )
    return (table,)


@dataclass(frozen=True)
class _Header:
    """When the file was updated, the first day of its month, and its areas."""

    updated: pd.Timestamp
    month: date
    areas: tuple[str, ...]


def _read_header(file: TextFile) -> _Header:
    titles, update, names = (header_cells(file, line) for line in (2, 3, 4))
    areas = next((areas for areas in _AREAS_OF_A_FILE if names == _column_names(areas, names)), ())
    if titles != _UPDATE_NAMES or not areas:
        raise FileFormatError(
            f"{file.path} line 4: these are not the publisher's columns: {', '.join(names)}; get "
            "the original file"
        )
    blanks = [""] * (2 * len(areas) - 1)
    if update[4:] != ["", _SIDES["surplus"], *blanks, _SIDES["shortage"], *blanks]:
        raise FileFormatError(
            f"{file.path} line 3: {_SIDES['surplus']} must head the first half of the prices and "
            f"{_SIDES['shortage']} the second; found {', '.join(update)}; get the original file"
        )
    try:
        updated = datetime.strptime(" ".join(update[1:3]), "%Y%m%d %H:%M:%S")  # noqa: DTZ007
        month = datetime.strptime(update[3], "%Y%m").date()  # noqa: DTZ007
    except ValueError as err:
        raise FileFormatError(
            f"{file.path} line 3: the update and the month are no dates ({err}); get the original "
            "file"
        ) from err
    match = _OFFICIAL_NAME.fullmatch(file.path.name)
    if match is not None and match[1] != update[3]:
        raise FileFormatError(
            f"{file.path} line 3: the month is {update[3]}, but the file's name says {match[1]}; "
            "get the original file"
        )
    return _Header(pd.Timestamp(updated, tz=TIMEZONE), month, areas)


def _column_names(areas: tuple[str, ...], found: list[str]) -> list[str]:
    """Return the names of a file of these areas; 北海道エリア stands for 北海道 in some."""
    suffix = "エリア" if any(name.endswith("エリア") for name in found) else ""
    half = [name for area in areas for name in (_NAMES[area] + suffix, _CHANGED)]
    return [*_FIXED_NAMES, *half, *half]


def _starts(cells: Cells, month: date) -> pd.DatetimeIndex:
    """Return the start of each row, after checking date, slot and times of all."""
    slots = slot_numbers(cells, 2, SLOTS_PER_DAY)
    found = day_ordinals(cells, 1) * SLOTS_PER_DAY + slots - 1
    expected = month.toordinal() * SLOTS_PER_DAY + np.arange(len(cells))
    wrong = np.flatnonzero(found != expected)
    if wrong.size:
        row = int(wrong[0])
        day = date.fromordinal(int(expected[row]) // SLOTS_PER_DAY)
        raise TimeGridError(
            f"{cells.where(row, 1)}, slot {slots[row]}: here must stand {day}, slot "
            f"{expected[row] % SLOTS_PER_DAY + 1}: a file holds every slot of its month once, in "
            "order; get the original file"
        )
    first = pd.Timestamp(month, tz=TIMEZONE)
    starts = grid(first, first + len(cells) * pd.Timedelta(seconds=PERIOD_S), PERIOD_S)
    if len(cells) > (first + pd.offsets.MonthBegin() - first) / pd.Timedelta(seconds=PERIOD_S):
        raise TimeGridError(f"{cells.path}: the rows go on after the month of {month:%Y-%m}")
    for at, minutes in ((3, 30 * (slots - 1)), (4, 30 * slots)):
        times = [f"{value // 60:02d}:{value % 60:02d}" for value in minutes.tolist()]
        for row, (time, text) in enumerate(zip(times, cells.text(at), strict=True)):
            if text.zfill(5) != time and (time, text.zfill(5)) != ("24:00", "00:00"):
                raise TimeGridError(
                    f"{cells.where(row, at)}: slot {slots[row]} has {time} here; get the original "
                    "file"
                )
    return starts


def _prices(cells: Cells, at: int, ends: pd.DatetimeIndex, updated: pd.Timestamp) -> Numbers:
    prices = cells.numbers(at, missing=("",))
    rows = np.flatnonzero(~np.isnan(prices))
    if not rows.size:
        return prices
    fault = first_fault(
        COLUMN_BY_NAME["price_per_kwh"], prices[rows], currency="JPY", period_s=PERIOD_S
    )
    if fault is not None:
        raise DataError(f"{cells.where(int(rows[fault.position]), at)}: {fault.problem}")
    if (prices[rows] < 0.0).any():
        row = int(np.argmax(prices < 0.0))
        raise DataError(f"{cells.where(row, at)}: imbalance prices are not below zero")
    check_tick(cells, at, prices, tick=0.01)
    if ends[rows[-1]] > updated:
        raise DataError(
            f"{cells.where(int(rows[-1]), at)}: the file was updated at {updated:%Y-%m-%d %H:%M}, "
            "before this slot had ended; get the original file"
        )
    return prices


def _known(
    ends: pd.DatetimeIndex, is_changed: npt.NDArray[np.bool_], updated: pd.Timestamp
) -> pd.DatetimeIndex:
    published = ends + PUBLICATION_LAG
    corrected = published.where(published > updated, updated)
    return published.where(~is_changed, corrected)


def _sign(file: SourceFile) -> str | None:
    if file.text is None or header_cells(file.text, 1)[:2] != ["H", TITLE]:
        return None
    return f"the first line is H and {TITLE}"


FORMATS = (
    Format("imbalance-price", "Imbalance prices", "imbalance-prices-cs", _sign, read_imbalance),
)

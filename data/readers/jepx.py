"""JEPX day-ahead prices: the exchange's `spot_summary_YYYY.csv`, one file per fiscal year.

48 slots a day in Japan Standard Time, which knows no daylight saving; JPY/kWh and kWh per slot.
Until fiscal year 2025 the exchange also gave `spot_YYYY.csv`, which adds imbalance factors (not
read), avoidable costs and FIP reference prices, with nameless empty columns between the groups;
that layout is known from descriptions of its 32 and 48 columns, no copy was seen.

The spot results are out by 12:30 on the day before delivery. Avoidable costs contain intraday
prices and the exchange names no hour for them: they count as known at the end of their day.

Checked: names and official order of the columns, whole days, the fiscal year of the file's name,
price step 0.01 and lowest price (0.00 occurred in fiscal year 2016), bids in steps of 500 kWh and
since 2018-09-15 of 50 kWh, contracts within the bids on either side, and that area prices fit the
grid (`jepx_areas`). The system price need not lie between the lowest and highest area price: it
did not in one slot of ten in fiscal years 2016-2024.
"""

from collections.abc import Mapping
from datetime import datetime, time
from pathlib import Path

import numpy as np

from gridhash.data.quantities import field
from gridhash.data.readers.checks import Numbers
from gridhash.data.readers.formats import Format, ReadOptions
from gridhash.data.readers.jepx_areas import AREA_NAMES, area_problem
from gridhash.data.readers.jepx_rows import PERIOD_S as PERIOD_S
from gridhash.data.readers.jepx_rows import (
    SLOT_COLUMN,
    UNIT,
    VERIFIED_SINCE,
    JepxRows,
    end_of_day,
    jepx_header,
)
from gridhash.data.readers.jepx_rows import SLOTS_PER_DAY as SLOTS_PER_DAY
from gridhash.data.readers.jepx_rows import TIMEZONE as TIMEZONE
from gridhash.data.readers.price_trace import price_trace
from gridhash.data.readers.source_file import SourceFile
from gridhash.data.source_table import SourceTable
from gridhash.data.trace import Trace
from gridhash.errors import DataError
from gridhash.time_grid import published_the_day_before

JAPANESE_NAMES = dict(
    zip(
        AREA_NAMES,
        ("北海道", "東北", "東京", "中部", "北陸", "関西", "中国", "四国", "九州"),
        strict=True,
    )
)

AREAS = {
    **{area: f"エリアプライス{name}" for area, name in JAPANESE_NAMES.items()},
    "system": "システムプライス",
}
"""Area name → what its column is called, without the unit."""

# The results of the auction held on the morning of the day before are out well before this.
PUBLISHED_LOCAL = time(12, 30)

_SPOT_COLUMNS = {
    "売り入札量(kWh)": field("sell_bid_kwh", "japan"),
    "買い入札量(kWh)": field("buy_bid_kwh", "japan"),
    "約定総量(kWh)": field("contract_kwh", "japan"),
    f"{AREAS['system']}{UNIT}": field("price_per_kwh", "system"),
    **{f"{AREAS[area]}{UNIT}": field("price_per_kwh", area) for area in AREA_NAMES},
}

_BLOCK_COLUMNS = {
    "売りブロック入札総量(kWh)": field("sell_block_bid_kwh", "japan"),
    "売りブロック約定総量(kWh)": field("sell_block_contract_kwh", "japan"),
    "買いブロック入札総量(kWh)": field("buy_block_bid_kwh", "japan"),
    "買いブロック約定総量(kWh)": field("buy_block_contract_kwh", "japan"),
}

_FACTOR_COLUMNS = (
    f"スポット・時間前平均価格{UNIT}",
    *(
        f"α{kind}×スポット・時間前平均価格{UNIT}"
        for kind in ("上限値", "下限値", "速報値", "確報値")
    ),
)
"""Parts of the imbalance price until fiscal year 2021, which nothing here needs."""

_REGIONS = {"japan": "全国値", **JAPANESE_NAMES}

AVOIDABLE_COST_COLUMNS = {
    f"回避可能原価{name}{UNIT}": field("avoidable_cost_per_kwh", area)
    for area, name in _REGIONS.items()
}

FIP_COLUMNS = {
    f"FIP参照価格(卸電力取引市場分){name}{UNIT}": field("fip_reference_price_per_kwh", area)
    for area, name in _REGIONS.items()
}

_ALL_COLUMNS = (
    _SPOT_COLUMNS
    | dict.fromkeys(_FACTOR_COLUMNS, "")
    | AVOIDABLE_COST_COLUMNS
    | _BLOCK_COLUMNS
    | FIP_COLUMNS
)

_WITHIN = (
    ("contract_kwh", "sell_bid_kwh"),
    ("contract_kwh", "buy_bid_kwh"),
    ("sell_block_contract_kwh", "sell_block_bid_kwh"),
    ("buy_block_contract_kwh", "buy_block_bid_kwh"),
)


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
        If a price is missing or a value of the file is implausible, or the area is unknown.
    """
    key = area.strip().casefold()
    if key not in AREAS:
        raise DataError(f"{path}: unknown area {area!r}; choose one of {', '.join(AREAS)}")
    table = read_spot(SourceFile.load(path), ReadOptions())[0]
    return price_trace(table, field("price_per_kwh", key), start, end, timezone=TIMEZONE)


def read_spot(file: SourceFile, options: ReadOptions) -> tuple[SourceTable, ...]:
    """Return the table ``jepx-spot``, and ``jepx-fit-fip`` where the file has its columns.

    A file may hold some of the official columns only; they must be in the official order.
    """
    del options  # the file says everything
    rows = JepxRows.read(file, _ALL_COLUMNS)
    spot = rows.columns_in(_SPOT_COLUMNS | _BLOCK_COLUMNS)
    _check_within_bids(rows, spot)
    _check_areas(rows, spot)
    published = published_the_day_before(rows.starts, timezone=TIMEZONE, at=PUBLISHED_LOCAL)
    tables = [rows.table("jepx-spot", spot, dict.fromkeys(spot, published))]
    costs = rows.columns_in(AVOIDABLE_COST_COLUMNS | FIP_COLUMNS)
    if costs:
        known = dict.fromkeys(costs, end_of_day(rows.starts))
        tables.append(rows.table("jepx-fit-fip", costs, known))
    return tuple(tables)


def _sign_spot(file: SourceFile) -> str | None:
    if not any(name.startswith("エリアプライス") for name in jepx_header(file)):
        return None
    return f"the header has {SLOT_COLUMN} and エリアプライス…"


def _check_within_bids(rows: JepxRows, values: Mapping[str, Numbers]) -> None:
    for inner, outer in _WITHIN:
        contract, bid = field(inner, "japan"), field(outer, "japan")
        if contract in values and bid in values:
            wrong = np.flatnonzero(values[contract] > values[bid])
            if wrong.size:
                row = int(wrong[0])
                raise DataError(
                    f"{rows.cells.where(row, rows.at(contract))}: more than the bids of "
                    f"{values[bid][row]:.0f} kWh; get the original file"
                )


def _check_areas(rows: JepxRows, values: Mapping[str, Numbers]) -> None:
    columns = [field("price_per_kwh", area) for area in AREA_NAMES]
    if rows.first_day() < VERIFIED_SINCE or any(column not in values for column in columns):
        return
    problem = area_problem(np.column_stack([values[column] for column in columns]))
    if problem is not None:
        line = int(rows.cells.lines[problem[0]])
        raise DataError(
            f"{rows.cells.path}, first on line {line}: {problem[1]}; get the original file"
        )


FORMATS = (Format("jepx-spot", "JEPX spot summary", "jepx", _sign_spot, read_spot),)

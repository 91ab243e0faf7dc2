"""JEPX's further files by slot: intraday market, price sensitivity, avoidable cost and FIP price.

Same rows as the spot summary (`jepx_rows`), in UTF-8 or cp932; the last day may be incomplete.

`intraday_YYYY.csv`
    One continuous market for the whole of Japan; prices of a slot without a trade are missing.
    `real_time_price_per_kwh@japan` is the mean weighted by volume (平均). Trading ends an hour
    before delivery, and the figures count as known from the end of the slot.
`virtualprice_YYYY.csv`
    The system price, and what it would have been with more energy offered or asked for. The
    system price is known as in the spot summary; the exchange names no hour for the others, so
    they count as known at the end of the day of delivery.
`fit_fip_YYYY.csv`
    Avoidable cost of energy under the feed-in tariff and reference price of the feed-in premium,
    both from spot and intraday prices, national (`japan`) and by area; known at the end of the
    day of delivery for the same reason.

Checked besides: low ≤ open, close, mean ≤ high; each trade is at least 50 kWh; the system price
does not fall where energy is asked for, nor rise where it is offered.
"""

from datetime import date
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pandas as pd

from gridhash.data.quantities import field
from gridhash.data.readers.checks import check_tick
from gridhash.data.readers.formats import Format, ReadOptions
from gridhash.data.readers.jepx import AVOIDABLE_COST_COLUMNS, FIP_COLUMNS, PUBLISHED_LOCAL
from gridhash.data.readers.jepx_rows import (
    PERIOD_S,
    SLOT_COLUMN,
    TIMEZONE,
    UNIT,
    JepxRows,
    end_of_day,
    jepx_header,
)
from gridhash.data.readers.source_file import SourceFile
from gridhash.data.source_table import SourceTable
from gridhash.errors import DataError
from gridhash.time_grid import published_the_day_before

_OPEN, _HIGH, _LOW, _CLOSE = (
    field(f"price_{name}_per_kwh", "japan") for name in ("open", "high", "low", "close")
)
_MEAN = field("real_time_price_per_kwh", "japan")
_CONTRACT = field("contract_kwh", "japan")
_TRADES = field("n_trades", "japan")

_INTRADAY_PRICES = {
    f"始値{UNIT}": _OPEN,
    f"高値{UNIT}": _HIGH,
    f"安値{UNIT}": _LOW,
    f"終値{UNIT}": _CLOSE,
    f"平均{UNIT}": _MEAN,
}
_INTRADAY_COLUMNS = {**_INTRADAY_PRICES, "約定量合計(kWh)": _CONTRACT, "約定件数": _TRADES}

MIN_TRADE_KWH = 50.0
"""0.1 MW for half an hour."""

INTRADAY_STEP_SINCE = date(2019, 4, 1)
"""Before, contracts were in 1 MW up to a day that the files seen do not show."""

MAX_FALLS_SHARE = 0.05
"""Blocks are taken whole or not, so more demand may in rare cases lower the price."""

_SYSTEM = field("price_per_kwh", "system")

_VIRTUAL_COLUMNS = {
    "システムプライス": _SYSTEM,
    **{
        f"{side}{size}MW": field(f"price_if_{verb}_{size}mw_per_kwh", "system")
        for size in (500, 1000, 5000)
        for side, verb in (("売", "sold"), ("買", "bought"))
    },
}

_RISING = (
    *(field(f"price_if_sold_{size}mw_per_kwh", "system") for size in (5000, 1000, 500)),
    _SYSTEM,
    *(field(f"price_if_bought_{size}mw_per_kwh", "system") for size in (500, 1000, 5000)),
)


def read_intraday(file: SourceFile, options: ReadOptions) -> tuple[SourceTable, ...]:
    """Return the table ``jepx-intraday``; see the module for columns, checks and times."""
    del options  # the file says everything
    rows = JepxRows.read(file, _INTRADAY_COLUMNS, may_end_early=True)
    rows.require(_INTRADAY_COLUMNS)
    trades_at = rows.at(_TRADES)
    trades = rows.cells.numbers(trades_at, pattern=r"\d+", missing=("",))
    check_tick(rows.cells, trades_at, trades, tick=1.0)
    contract = rows.energies(rows.at(_CONTRACT), since=INTRADAY_STEP_SINCE)
    is_traded = trades > 0
    _refuse(
        rows,
        _CONTRACT,
        np.where(is_traded, ~(contract >= MIN_TRADE_KWH * trades), contract > 0),
        f"does not fit the number of trades, each at least {MIN_TRADE_KWH:g} kWh",
    )
    values = {}
    for column in _INTRADAY_PRICES.values():
        prices = rows.prices(rows.at(column), none_if_zero=~is_traded)
        _refuse(rows, column, np.isfinite(prices) != is_traded, "does not fit the number of trades")
        values[column] = prices
    for column in (_OPEN, _CLOSE, _MEAN):
        outside = (values[column] < values[_LOW]) | (values[column] > values[_HIGH])
        _refuse(rows, column, outside, "outside the lowest and highest price of its slot")
    values |= {_CONTRACT: contract, _TRADES: trades}
    ends = rows.starts + pd.Timedelta(seconds=PERIOD_S)
    return (rows.table("jepx-intraday", values, dict.fromkeys(values, ends)),)


def read_virtual_price(file: SourceFile, options: ReadOptions) -> tuple[SourceTable, ...]:
    """Return the table ``jepx-virtual-price``; see the module for columns, checks and times."""
    del options  # the file says everything
    rows = JepxRows.read(file, _VIRTUAL_COLUMNS, may_end_early=True)
    rows.require(_VIRTUAL_COLUMNS)
    values = rows.columns_in(_VIRTUAL_COLUMNS)
    for lower, higher in pairwise(_RISING):
        falls = values[higher] < values[lower]
        if falls.sum() > MAX_FALLS_SHARE * len(falls):
            _refuse(rows, higher, falls, f"below {lower}, and so in {falls.sum()} rows")
    known = dict.fromkeys(values, end_of_day(rows.starts))
    known[_SYSTEM] = published_the_day_before(rows.starts, timezone=TIMEZONE, at=PUBLISHED_LOCAL)
    return (rows.table("jepx-virtual-price", values, known),)


def read_fit_fip(file: SourceFile, options: ReadOptions) -> tuple[SourceTable, ...]:
    """Return the table ``jepx-fit-fip``; see the module for columns and times."""
    del options  # the file says everything
    rows = JepxRows.read(file, AVOIDABLE_COST_COLUMNS | FIP_COLUMNS, may_end_early=True)
    values = rows.columns_in(rows.columns)
    known = dict.fromkeys(values, end_of_day(rows.starts))
    return (rows.table("jepx-fit-fip", values, known),)


def _refuse(rows: JepxRows, column: str, is_wrong: npt.NDArray[np.bool_], problem: str) -> None:
    """Raise DataError naming the first row that is wrong."""
    wrong = np.flatnonzero(is_wrong)
    if wrong.size:
        where = rows.cells.where(int(wrong[0]), rows.at(column))
        raise DataError(f"{where}: {problem}; get the original file")


def _sign_intraday(file: SourceFile) -> str | None:
    return _sign(file, "始値")


def _sign_virtual_price(file: SourceFile) -> str | None:
    return _sign(file, "売500MW")


def _sign_fit_fip(file: SourceFile) -> str | None:
    if any(name.startswith("エリアプライス") for name in jepx_header(file)):
        return None
    return _sign(file, "回避可能原価")


def _sign(file: SourceFile, start: str) -> str | None:
    if not any(name.startswith(start) for name in jepx_header(file)):
        return None
    return f"the header has {SLOT_COLUMN} and {start}…"


FORMATS = (
    Format("jepx-intraday", "JEPX intraday prices", "jepx", _sign_intraday, read_intraday),
    Format(
        "jepx-virtual-price",
        "JEPX price sensitivity",
        "jepx",
        _sign_virtual_price,
        read_virtual_price,
    ),
    Format("jepx-fit-fip", "JEPX avoidable cost and FIP", "jepx", _sign_fit_fip, read_fit_fip),
)

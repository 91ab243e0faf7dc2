"""One price column of a source table as a trace; a gap is an error, never a guess."""

from datetime import datetime

import numpy as np
import numpy.typing as npt
import pandas as pd

from gridhash.data.quantities import quantity_of, split_field
from gridhash.data.source_table import SourceTable
from gridhash.data.trace import Trace
from gridhash.errors import DataError, TimeGridError
from gridhash.time_grid import epoch_s, grid


def price_trace(
    table: SourceTable,
    column: str,
    start: datetime | None = None,
    end: datetime | None = None,
    *,
    timezone: str = "UTC",
) -> Trace:
    """Return the prices of one column in [start, end) as a trace.

    Parameters
    ----------
    table
        Periods of one length; a price may be missing outside the span.
    column
        A price in an area, ``price_per_kwh@kyushu`` or ``real_time_price_per_kwh@nsw1``.
    start, end
        Aware, on the grid and inside the table; its first and last edge where left out.
    timezone
        Zone of the instants in messages.

    Raises
    ------
    TimeGridError
        If the span is empty, has no time zone, or is off the grid or outside the table.
    DataError
        If the table lacks the column, the column is no price, or a price of the span is missing
        or implausible.
    """
    prices = table.column(column)
    quantity, area = split_field(column)
    if not quantity_of(quantity).is_price:
        raise DataError(
            f"{table.name}: {column} is no price; choose one of {_price_columns(table)}"
        )
    if table.period_s is None or table.currency is None:
        raise DataError(f"{table.name}: prices of a trace need a period length and a currency")
    first_s, period_s = int(epoch_s(table.starts[:1])[0]), table.period_s
    slots = (epoch_s(table.starts) - first_s) // period_s
    row_of_slot = np.full(int(slots[-1]) + 1, -1, dtype=np.int64)
    row_of_slot[slots[~np.isnan(prices)]] = np.flatnonzero(~np.isnan(prices))
    first = 0 if start is None else _slot_at(table, start, "start", period_s)
    stop = row_of_slot.size if end is None else _slot_at(table, end, "end", period_s)
    if stop <= first:
        raise TimeGridError(f"{table.name}: the span {start} … {end} is empty")
    rows = row_of_slot[first:stop]
    if (rows < 0).any():
        raise DataError(_missing_problem(table, column, row_of_slot, first, stop, timezone))
    return Trace.from_prices(
        table.starts[rows],
        prices[rows],
        published_at=table.available_at[column][rows],
        period_s=period_s,
        currency=table.currency,
        area=area,
        source=table.name,
    )


def _price_columns(table: SourceTable) -> str:
    return ", ".join(name for name in table.columns if quantity_of(name).is_price)


def _slot_at(table: SourceTable, instant: datetime, name: str, period_s: int) -> int:
    if instant.utcoffset() is None:
        raise TimeGridError(f"{table.name}: {name} {instant} has no time zone; add its offset")
    moment = pd.Timestamp(instant).tz_convert("UTC")
    if not table.starts[0] <= moment <= table.end:
        raise TimeGridError(
            f"{table.name}: {name} {instant} lies outside the file, "
            f"{table.starts[0].isoformat()} … {table.end.isoformat()}; choose a span inside"
        )
    slot, rest = divmod((moment - table.starts[0]).total_seconds(), period_s)
    if rest:
        raise TimeGridError(f"{table.name}: {name} {instant} is not the start of a slot")
    return int(slot)


def _missing_problem(
    table: SourceTable,
    column: str,
    row_of_slot: npt.NDArray[np.int64],
    first: int,
    stop: int,
    timezone: str,
) -> str:
    assert table.period_s is not None
    period = pd.Timedelta(seconds=table.period_s)
    edges = grid(table.starts[0], table.end + period, table.period_s).tz_convert(timezone)
    missing = first + np.flatnonzero(row_of_slot[first:stop] < 0)
    advice = "choose another area"
    present = np.flatnonzero(row_of_slot >= 0)
    if present.size:
        runs = np.split(present, np.flatnonzero(np.diff(present) != 1) + 1)
        longest = max(runs, key=len)
        advice += (
            f", or a span with prices: the longest is start={edges[longest[0]].isoformat()}, "
            f"end={edges[longest[-1] + 1].isoformat()}"
        )
    return (
        f"{table.name}, column {column}: there is no price at {edges[missing[0]].isoformat()} nor "
        f"in {missing.size - 1} further slots, the last at {edges[missing[-1]].isoformat()}: the "
        f"publisher gives none, and nothing is filled in; {advice}"
    )

"""Rows of JEPX files: a date, a slot of 30 min and named columns in the exchange's order.

48 slots a day in Japan Standard Time, which knows no daylight saving; JPY/kWh and kWh per slot.
Prices are in steps of 0.01 and at least that (0.00 occurred in fiscal year 2016); energies are in
steps of 500 kWh, since 2018-09-15 of 50 kWh.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import numpy.typing as npt
import pandas as pd

from gridhash.data.quantities import quantity_of
from gridhash.data.readers.cells import Cells, header_cells, read_cells
from gridhash.data.readers.checks import (
    Numbers,
    Ordinals,
    check_tick,
    day_ordinals,
    is_ten_times_coarser,
    slot_numbers,
    whole_days,
)
from gridhash.data.readers.source_file import SourceFile
from gridhash.data.readers.text_file import TextFile
from gridhash.data.schema import COLUMN_BY_NAME, first_fault
from gridhash.data.source_table import SourceTable
from gridhash.errors import DataError, FileFormatError, TimeGridError

DATE_COLUMNS = ("受渡日", "年月日")
SLOT_COLUMN = "時刻コード"
UNIT = "(円/kWh)"
TIMEZONE = "Asia/Tokyo"
SLOTS_PER_DAY = 48
PERIOD_S = 1800
PRICE_TICK = 0.01

FINER_BIDS_SINCE = date(2018, 9, 15)
"""From then on bids are in 0.1 MW; measured on the published quantities."""

VERIFIED_SINCE = date(2016, 4, 1)
"""Earlier files were not seen, so they are not held against the grid."""

NO_ZERO_SINCE = date(2017, 4, 1)

_OFFICIAL_NAME = re.compile(
    r"(?:spot_summary|spot|intraday|virtualprice|fit_fip)_(\d{4})(?: ?\(\d+\))?\.csv"
)


@dataclass(frozen=True, eq=False)
class JepxRows:
    """The rows of a JEPX file with a column for the date and one for the slot.

    Attributes
    ----------
    columns
        Official name → column of the table, of those that the file has.
    starts
        Start of each row, UTC; whole days in Japan without gap.
    """

    file: SourceFile
    cells: Cells
    columns: dict[str, str]
    starts: pd.DatetimeIndex

    @classmethod
    def read(
        cls, file: SourceFile, official: Mapping[str, str], *, may_end_early: bool = False
    ) -> "JepxRows":
        """Read all cells of a file.

        Parameters
        ----------
        official
            Name in the header → column of the table, in the official order; an empty column is
            known but not read.
        may_end_early
            Whether the last day may be incomplete, as in a file of the running day.

        Raises
        ------
        FileFormatError
            If the file is no text, or has an unknown, doubled or misplaced column.
        TimeGridError
            If a slot is missing, doubled or out of order, or outside the file's fiscal year.
        DataError
            If a date or a slot cannot be read.
        """
        if file.text is None:
            raise FileFormatError(file.text_problem)
        cells = _without_nameless(read_cells(file.text, header_line=1))
        refuse_blanks(file.text)
        columns = _known_columns(cells, official)
        day_at = cells.at(next(name for name in DATE_COLUMNS if name in cells.names))
        days = day_ordinals(cells, day_at)
        _check_days(cells, day_at, days)
        slots = slot_numbers(cells, cells.at(SLOT_COLUMN), SLOTS_PER_DAY)
        ordinals = days * SLOTS_PER_DAY + slots - 1
        if may_end_early:
            n_left = SLOTS_PER_DAY - int(slots[-1])
            ordinals = np.append(ordinals, ordinals[-1] + 1 + np.arange(n_left))
        starts = whole_days(cells, ordinals, slots_per_day=SLOTS_PER_DAY, timezone=TIMEZONE)
        return cls(file, cells, columns, starts[: len(cells)])

    def at(self, column: str) -> int:
        """Return where a column of the table stands in the file."""
        return next(self.cells.at(name) for name, held in self.columns.items() if held == column)

    def first_day(self) -> date:
        """Return the first day, local."""
        return _local_day(self.starts[0])

    def columns_in(self, official: Mapping[str, str]) -> dict[str, Numbers]:
        """Return the values of the columns that the file has, checked, by table column."""
        values = {}
        for name, column in self.columns.items():
            if name in official:
                read = self.prices if quantity_of(column).is_price else self.energies
                values[column] = read(self.cells.at(name))
        # A short file has few distinct prices in each column, but enough in all of them.
        prices = [values[column] for column in values if quantity_of(column).is_price]
        if prices and is_ten_times_coarser(np.concatenate(prices), tick=PRICE_TICK):
            raise DataError(
                f"{self.cells.path}: every price is a multiple of {10 * PRICE_TICK:g}, ten times "
                "the exchange's step; the unit may have been changed, get the original file"
            )
        return values

    def require(self, names: Iterable[str]) -> None:
        """Raise FileFormatError if the file lacks one of the columns."""
        for name in names:
            self.cells.at(name)

    def prices(self, at: int, *, none_if_zero: npt.NDArray[np.bool_] | None = None) -> Numbers:
        """Return prices [JPY/kWh], NaN where empty or, in the rows marked, zero.

        Raises
        ------
        DataError
            If the unit looks wrong, or a price is too low or not in the exchange's step.
        """
        prices = self.cells.numbers(at, missing=("",))
        if none_if_zero is not None:
            prices = np.where(none_if_zero & (prices == 0.0), np.nan, prices)
        rows = np.flatnonzero(~np.isnan(prices))
        if not rows.size:
            return prices
        fault = first_fault(
            COLUMN_BY_NAME["price_per_kwh"], prices[rows], currency="JPY", period_s=PERIOD_S
        )
        if fault is not None:
            where = self.cells.where(int(rows[fault.position]), at)
            raise DataError(f"{where}: {fault.problem}")
        too_low = np.flatnonzero(prices < 0.0)
        if not too_low.size and (prices[rows] == 0.0).any():
            too_low = np.flatnonzero((prices == 0.0) & (self.starts >= _midnight(NO_ZERO_SINCE)))
        if too_low.size:
            raise DataError(
                f"{self.cells.where(int(too_low[0]), at)}: the lowest price of the exchange is "
                f"{PRICE_TICK:g}; get the original file"
            )
        check_tick(self.cells, at, prices, tick=PRICE_TICK)
        return prices

    def energies(self, at: int, *, since: date = VERIFIED_SINCE) -> Numbers:
        """Return energies [kWh per slot], NaN where empty.

        Raises
        ------
        DataError
            If a value is no whole number, or in a file from `since` on not in the exchange's step.
        """
        energies = self.cells.numbers(at, pattern=r"\d+", missing=("",))
        if self.first_day() >= since:
            is_fine = _local_day(self.starts[-1]) >= FINER_BIDS_SINCE
            step = 50.0 if is_fine else 500.0
            steps = energies / step
            wrong = np.flatnonzero(np.isfinite(steps) & (steps != np.floor(steps)))
            if wrong.size:
                raise DataError(
                    f"{self.cells.where(int(wrong[0]), at)}: not a multiple of {step:g} kWh, the "
                    "exchange's step; get the original file"
                )
            check_tick(self.cells, at, energies, tick=step)
        return energies

    def table(
        self,
        dataset: str,
        values: Mapping[str, Numbers],
        available_at: Mapping[str, pd.DatetimeIndex],
    ) -> SourceTable:
        """Return columns as a table in JPY."""
        return SourceTable(
            dataset=dataset,
            frame=pd.DataFrame(dict(values), index=self.starts),
            period_s=PERIOD_S,
            currency="JPY",
            origins=(self.file.origin("jepx"),),
            available_at=available_at,
        )


def refuse_blanks(file: TextFile) -> None:
    """Raise FileFormatError for a blank below the first line: it may stand for a lost digit."""
    body = file.text.find("\n")
    found = [at for blank in " \t\u3000" if (at := file.text.find(blank, body)) >= 0]
    if found:
        line = file.text.count("\n", 0, min(found)) + 1
        raise FileFormatError(
            f"{file.path} line {line}: a blank within the rows, where the publisher has none; get "
            "the original file"
        )


def end_of_day(starts: pd.DatetimeIndex) -> pd.DatetimeIndex:
    """Return the end of the Japanese day of each start, UTC."""
    midnight = starts.tz_convert(TIMEZONE).normalize() + pd.Timedelta(days=1)
    return midnight.tz_convert("UTC")


def jepx_header(file: SourceFile) -> list[str]:
    """Return the column names of a JEPX file with date and slot; empty for others."""
    if file.text is None:
        return []
    names = header_cells(file.text, 1)
    return names if SLOT_COLUMN in names and set(DATE_COLUMNS) & set(names) else []


def _without_nameless(cells: Cells) -> Cells:
    """Return the cells without columns that have neither a name nor a value."""
    named = [at for at, name in enumerate(cells.names) if name]
    for at in set(range(len(cells.names))) - set(named):
        filled = np.flatnonzero([bool(text) for text in cells.text(at)])
        if filled.size:
            raise FileFormatError(
                f"{cells.where(int(filled[0]), at)}: a value in a column without a name; get the "
                "original file"
            )
    return Cells(
        cells.file,
        [cells.names[at] for at in named],
        [cells.columns[at] for at in named],
        cells.lines,
    )


def _known_columns(cells: Cells, official: Mapping[str, str]) -> dict[str, str]:
    """Return the columns to read, after checking every name and the order."""
    order = [*DATE_COLUMNS, SLOT_COLUMN, *official]
    last = -1
    for name in cells.names:
        cells.at(name)
        if name not in order:
            hint = ""
            if name.split("(")[0] + UNIT in official:
                hint = f" (its unit must be {UNIT})"
            raise FileFormatError(
                f"{cells.path} line 1: the column {name} is unknown{hint}; JEPX names "
                f"{', '.join(order)}; get the original file"
            )
        if order.index(name) <= last:
            raise FileFormatError(
                f"{cells.path} line 1: the column {name} stands behind {order[last]}, in JEPX's "
                "files before it, so names or columns were moved; get the original file"
            )
        last = order.index(name)
    if sum(name in DATE_COLUMNS for name in cells.names) != 1:
        raise FileFormatError(
            f"{cells.path} line 1: there must be one column {' or '.join(DATE_COLUMNS)}; found "
            f"{', '.join(cells.names)}"
        )
    return {name: official[name] for name in cells.names if official.get(name)}


def _check_days(cells: Cells, at: int, days: Ordinals) -> None:
    """Raise TimeGridError for days outside the fiscal year that an official file name states."""
    first, stop = date(2005, 4, 1), date(2100, 4, 1)
    match = _OFFICIAL_NAME.fullmatch(cells.file.path.name)
    if match is not None:
        year = int(match[1])
        first, stop = date(year, 4, 1), date(year + 1, 4, 1)
    wrong = np.flatnonzero((days < first.toordinal()) | (days >= stop.toordinal()))
    if wrong.size:
        reason = "the file's name says" if match is not None else "the exchange has data"
        raise TimeGridError(
            f"{cells.where(int(wrong[0]), at)}: {reason} {first} … {stop - timedelta(days=1)}; "
            "correct the dates, or rename the file if its name is not the exchange's"
        )


def _midnight(day: date) -> pd.Timestamp:
    return pd.Timestamp(day, tz=TIMEZONE)


def _local_day(start: pd.Timestamp) -> date:
    return start.tz_convert(TIMEZONE).date()

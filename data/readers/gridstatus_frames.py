"""Data frames of the library gridstatus (0.37), saved as CSV or Parquet; it need not be installed.

Read are prices of any market of the United States (``LMP`` with components, ERCOT's ``SPP``),
``Load``, ERCOT's fuel mix and CAISO's curtailment, by the columns that gridstatus gives them. All
times carry their offset. Each market of a price frame becomes a table, each location an area.

Prices are USD/MWh. Day-ahead prices are known when the operator publishes them
(`gridhash.data.readers.us_iso`); which operator it is follows from ERCOT's ``SPP`` and CAISO's
``GHG``, else the area option names it, and where it does not, a price counts as known at the start
of its interval only. Real-time prices that the operator may have settled later count as known 7
days after their interval, CAISO's curtailment at noon of the next day. All else is known at the end
of its interval.

Frames of Ontario and Alberta name no market and are refused. So are the ones of CAISO's old
curtailment reports (``Curtailment (MWh)``), which list only hours that had some: no gap can be
told from none.
"""

import numpy as np
import numpy.typing as npt

from gridhash.data.quantities import field
from gridhash.data.readers.cells import Cells, header_cells, read_cells
from gridhash.data.readers.checks import check_tick
from gridhash.data.readers.formats import Format, ReadOptions
from gridhash.data.readers.gridstatus_columns import (
    FLOAT,
    MISSING,
    check_gaps,
    check_lengths,
    check_order,
    intervals_s,
    without_index,
)
from gridhash.data.readers.gridstatus_power import (
    FUELS,
    curtailment_table,
    fuel_mix_table,
    load_table,
)
from gridhash.data.readers.parquet import parquet_cells, parquet_names
from gridhash.data.readers.rows import (
    KWH_PER_MWH,
    Numbers,
    Seconds,
    check_prices,
    make_table,
    to_index,
    widen,
)
from gridhash.data.readers.source_file import SourceFile
from gridhash.data.readers.us_iso import ISOS, real_time_delay
from gridhash.data.source_table import SourceTable
from gridhash.errors import DataError, FileFormatError
from gridhash.time_grid import published_the_day_before

CAISO_FLOAT = r"-?\d+(?:\.\d{1,5})?(?:e-05)?"
"""CAISO publishes five decimals."""

COMPONENTS = {
    "Energy": "price_energy_per_kwh",
    "Congestion": "price_congestion_per_kwh",
    "Loss": "price_loss_per_kwh",
    "GHG": "price_ghg_per_kwh",
}
PRICE_ORDER = ("Time", "IntervalStart", "IntervalEnd", "Location", "LocationType")
VALUE_ORDER = ("LMP", *COMPONENTS)
TEXTS = {"Market", "LocationId", "LocationName", "LocationShortName", "PNode", "BAA", "Zone"}

LOCATION_TYPES = {
    "ap node",
    "aggregate",
    "dlap",
    "electrical bus",
    "gen",
    "generator",
    "hub",
    "interface",
    "load",
    "load zone",
    "load zone dc tie",
    "load zone dc tie energy weighted",
    "load zone energy weighted",
    "bus",
    "settlement point",
    "node",
    "pricing node",
    "resource node",
    "settlement location",
    "trading hub",
    "zone",
}
"""What gridstatus calls kinds of locations, in lower case; none of them is a location."""

PERIODS_S = {"_5_MIN": 300, "_15_MIN": 900, "_HOURLY": 3600}
"""Length of the intervals of a market, by what its name holds."""

ROUNDING_PER_MWH = 0.021
"""A price and its components are each rounded to a cent."""


def sign(file: SourceFile) -> str | None:
    """Return why this is a frame of gridstatus, or None."""
    names = parquet_names(file)
    if file.text is not None:
        names = header_cells(file.text, 1)
    has = set(names)
    if {"Time", *FUELS} <= has:
        return "the columns are those of ERCOT's fuel mix in gridstatus"
    values = has & {"LMP", "SPP", "Load", "CurtailmentType"}
    if {"IntervalStart", "IntervalEnd"} <= has and values:
        return f"the columns are Interval Start, Interval End and {', '.join(sorted(values))}"
    return None


def read(file: SourceFile, options: ReadOptions) -> tuple[SourceTable, ...]:
    """Return the tables of one frame; for load and unclear prices the area names the operator.

    Raises
    ------
    FileFormatError
        If the columns are not those of a frame that is read, or the operator is not named.
    TimeGridError
        If an interval has another length than its market, or is doubled.
    DataError
        If a value is no number or implausible, or a price is not the sum of its components.
    """
    cells = without_index(
        parquet_cells(file) if file.text is None else read_cells(file.text, header_line=1)
    )
    area = None if options.area is None else options.area.lower()
    if area is not None and area not in ISOS:
        raise FileFormatError(f"{file.path}: the area is the operator: {', '.join(ISOS)}")
    if set(FUELS) <= set(cells.names):
        return (fuel_mix_table(file, cells, area),)
    if "CurtailmentType" in cells.names:
        return (curtailment_table(file, cells, area),)
    if "Load" in cells.names:
        return (load_table(file, cells, area),)
    return _prices(file, cells, area)


def _prices(file: SourceFile, cells: Cells, area: str | None) -> tuple[SourceTable, ...]:
    price = "SPP" if "SPP" in cells.names else "LMP"
    implied = {"SPP": "ercot"}.get(price, "caiso" if "GHG" in cells.names else area)
    if area is not None and area != implied:
        raise FileFormatError(f"{file.path}: a frame of {implied}, but the area {area} was named")
    values = ("SPP",) if price == "SPP" else VALUE_ORDER
    check_order(cells, PRICE_ORDER, values, texts=TEXTS)
    if "Market" not in cells.names:
        raise FileFormatError(
            f"{file.path}: the column Market is missing, so nothing tells day-ahead from real "
            "time; frames of Ontario and Alberta are not read"
        )
    starts_s, lengths_s = intervals_s(cells)
    codes, markets = cells.codes(cells.at("Market"))
    tables = []
    for code, market in enumerate(markets):
        part = cells.keep(codes == code)
        period_s = next((s for name, s in PERIODS_S.items() if name in market), None)
        if period_s is None or not market.startswith(("DAY_AHEAD_", "REAL_TIME_")):
            raise FileFormatError(
                f"{part.where(0, part.at('Market'))}: not a market with intervals of one length"
            )
        check_lengths(part, lengths_s[codes == code], [period_s])
        check_gaps(part, "IntervalStart", starts_s[codes == code])
        tables.append(
            _price_table(file, part, starts_s[codes == code], price, market, period_s, implied)
        )
    return tuple(tables)


def _price_table(
    file: SourceFile,
    cells: Cells,
    starts_s: Seconds,
    price: str,
    market: str,
    period_s: int,
    iso: str | None,
) -> SourceTable:
    at = cells.at(price)
    numbers = {
        name: cells.numbers(
            cells.at(name), pattern=CAISO_FLOAT if iso == "caiso" else FLOAT, missing=MISSING
        )
        for name in (price, *COMPONENTS)
        if name in cells.names
    }
    _check_sum(cells, numbers, price)
    codes, areas = _areas(cells)
    wide = widen(
        cells,
        cells.at("Location"),
        starts_s,
        codes,
        areas,
        period_s=period_s,
        may_lack_starts=True,
    )
    is_day_ahead = market.startswith("DAY_AHEAD_")
    quantities = {price: "price_per_kwh" if is_day_ahead else "real_time_price_per_kwh"}
    columns: dict[str, Numbers] = {}
    for name, values in numbers.items():
        spread = wide.spread(values / KWH_PER_MWH)
        for i, area in enumerate(areas):
            if name == price:
                rows = wide.row_of[:, i]
                check_prices(cells, at, rows, spread[:, i], currency="USD", period_s=period_s)
            columns[field((quantities | COMPONENTS)[name], area)] = spread[:, i]
    if iso in ("ercot", "caiso"):
        check_tick(cells, at, numbers[price], tick=0.01 if iso == "ercot" else 1e-5)
    starts = to_index(wide.starts_s)
    known = to_index(wide.starts_s + period_s) + real_time_delay(iso, market)
    if is_day_ahead:
        known = starts
        if iso is not None:
            known = published_the_day_before(
                starts, timezone=ISOS[iso].timezone, at=ISOS[iso].day_ahead_local
            )
    return make_table(
        file,
        "us-iso" if iso is None else ISOS[iso].publisher,
        f"{iso or 'us-iso'}-{price.lower()}-{market.lower().replace('_', '-')}",
        starts,
        columns,
        known,
        period_s=period_s,
        currency="USD",
    )


def _areas(cells: Cells) -> tuple[npt.NDArray[np.int64], list[str]]:
    """Return each row's location as a number, and the names of the locations as areas."""
    codes, locations = cells.codes(cells.at("Location"))
    for i, location in enumerate(locations):
        if not location or "@" in location or location.casefold() in LOCATION_TYPES:
            where = cells.where(int(np.argmax(codes == i)), cells.at("Location"))
            raise DataError(f"{where}: no name of a location; the columns may be exchanged")
    areas = list(dict.fromkeys(location.lower() for location in locations))
    return np.array([areas.index(text.lower()) for text in locations], np.int64)[codes], areas


def _check_sum(cells: Cells, numbers: dict[str, Numbers], price: str) -> None:
    """Raise unless prices are the sums of their components, and losses a small part of energy."""
    if not {"Energy", "Congestion", "Loss"} <= set(numbers):
        return
    energy, loss = numbers["Energy"], numbers["Loss"]
    rest = numbers[price] - energy - numbers["Congestion"] - loss
    with_ghg = rest - numbers.get("GHG", np.zeros_like(rest))
    allowed = ROUNDING_PER_MWH + 1e-6 * np.abs(numbers[price])
    wrong = np.flatnonzero((np.abs(rest) > allowed) & (np.abs(with_ghg) > allowed))
    if wrong.size:
        raise DataError(
            f"{cells.where(int(wrong[0]), cells.at(price))}: not the sum of its components"
        )
    if float(np.mean(np.abs(loss) > 5.0 + 0.5 * np.abs(energy))) > 0.2:
        raise DataError(
            f"{cells.path}: losses are dearer than half the energy; the columns may be exchanged"
        )


FORMATS = (Format("gridstatus-frame", "Data frame saved from gridstatus", "us-iso", sign, read),)

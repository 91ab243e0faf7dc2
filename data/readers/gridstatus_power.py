"""Load, ERCOT's fuel mix and CAISO's curtailment in data frames saved from gridstatus."""

import numpy as np
import pandas as pd

from gridhash.data.quantities import field
from gridhash.data.readers.cells import Cells
from gridhash.data.readers.checks import check_tick
from gridhash.data.readers.gridstatus_columns import (
    FLOAT,
    MISSING,
    check_gaps,
    check_lengths,
    check_order,
    intervals_s,
)
from gridhash.data.readers.rows import (
    KWH_PER_MWH,
    Numbers,
    Seconds,
    instants_s,
    make_table,
    to_index,
    widen,
)
from gridhash.data.readers.source_file import SourceFile
from gridhash.data.readers.us_iso import ISOS, reported_the_next_day
from gridhash.data.source_table import SourceTable
from gridhash.errors import DataError, FileFormatError, TimeGridError

FUELS = {
    "CoalandLignite": ("thermal_coal_kw", -10.0, 17e3),
    "Hydro": ("hydro_kw", 0.0, 700.0),
    "Nuclear": ("nuclear_kw", 1000.0, 5500.0),
    "PowerStorage": ("battery_kw", -25e3, 25e3),
    "Solar": ("solar_kw", -50.0, 55e3),
    "Wind": ("wind_kw", -50.0, 45e3),
    "NaturalGas": ("thermal_gas_kw", 1000.0, 70e3),
    "Other": ("other_kw", -50.0, 1500.0),
}
"""ERCOT's fuels: quantity, and least and greatest power [MW], beyond the published records."""

FUEL_MIX_S = 300


def load_table(file: SourceFile, cells: Cells, area: str | None) -> SourceTable:
    """Return the load of the operator that the area names."""
    if area is None:
        raise FileFormatError(
            f"{file.path}: the frame does not name its operator; give the area: {', '.join(ISOS)}"
        )
    check_order(cells, ("Time", "IntervalStart", "IntervalEnd", "Load"), texts=set())
    starts_s, lengths_s = intervals_s(cells)
    period_s = check_lengths(cells, lengths_s, (300, 900, 3600))
    load_mw = cells.numbers(cells.at("Load"), pattern=FLOAT, missing=MISSING)
    low, high = ISOS[area].load_mw
    wrong = np.flatnonzero((load_mw < low) | (load_mw > high))
    if wrong.size:
        raise DataError(
            f"{cells.where(int(wrong[0]), cells.at('Load'))}: outside {low:g} … {high:g} MW, the "
            f"load of {area}"
        )
    _check_rising(cells, "IntervalStart", starts_s, period_s)
    return make_table(
        file,
        ISOS[area].publisher,
        f"{area}-load" if period_s == 3600 else f"{area}-load-{period_s // 60}min",
        to_index(starts_s),
        {field("demand_kw", area): load_mw * KWH_PER_MWH},
        to_index(starts_s + period_s),
        period_s=period_s,
    )


def _check_rising(cells: Cells, name: str, starts_s: Seconds, period_s: int) -> None:
    """Raise unless rows are in order on one grid; the operator may have lost some."""
    check_gaps(cells, name, starts_s)
    steps = np.diff(starts_s)
    wrong = np.flatnonzero((steps <= 0) | (steps % period_s != 0))
    if wrong.size:
        where = cells.where(int(wrong[0]) + 1, cells.at(name))
        raise TimeGridError(
            f"{where}: doubled, out of order or off the grid of {period_s} s after the row above"
        )


def fuel_mix_table(file: SourceFile, cells: Cells, area: str | None) -> SourceTable:
    """Return generation by fuel in ERCOT; battery power is positive when it discharges.

    ERCOT stamps a value some seconds before the end of the five minutes that it describes, and
    gridstatus rounds that, so that ``Time`` is the end of the interval.
    """
    if area not in (None, "ercot"):
        raise FileFormatError(f"{file.path}: a frame of ercot, but the area {area} was named")
    check_order(cells, ("Time", *FUELS), texts=set())
    starts_s = instants_s(cells, cells.at("Time")) - FUEL_MIX_S
    _check_rising(cells, "Time", starts_s, FUEL_MIX_S)
    hours = to_index(starts_s).tz_convert(ISOS["ercot"].timezone).hour
    columns: dict[str, Numbers] = {}
    for name, (quantity, low, high) in FUELS.items():
        mw = cells.numbers(cells.at(name), pattern=FLOAT, missing=MISSING)
        most = np.where((hours >= 22) | (hours <= 4), 300.0, high) if name == "Solar" else high
        wrong = np.flatnonzero((mw < low) | (mw > most))
        if wrong.size:
            raise DataError(
                f"{cells.where(int(wrong[0]), cells.at(name))}: no power of this fuel in ERCOT at "
                "that hour; the unit or the column may have been changed"
            )
        _check_step(cells, cells.at(name), mw)
        columns[field(quantity, "ercot")] = mw * KWH_PER_MWH
    known = to_index(starts_s + FUEL_MIX_S)
    return make_table(
        file, "ercot", "ercot-fuel-mix", to_index(starts_s), columns, known, period_s=FUEL_MIX_S
    )


def _check_step(cells: Cells, at: int, mw: Numbers) -> None:
    """Raise unless powers have two decimals, as today, or are single floats, as they once were."""
    known = mw[np.isfinite(mw)]
    if not np.array_equal(known.astype(np.float32).astype(np.float64), known):
        check_tick(cells, at, mw, tick=0.01)


def curtailment_table(file: SourceFile, cells: Cells, area: str | None) -> SourceTable:
    """Return curtailed solar and wind of CAISO, the sum of all types and reasons."""
    if area not in (None, "caiso"):
        raise FileFormatError(f"{file.path}: a frame of caiso, but the area {area} was named")
    keys = ("IntervalStart", "IntervalEnd", "CurtailmentType", "CurtailmentReason", "FuelType")
    check_order(cells, (*keys, "CurtailmentMWH", "CurtailmentMW"), texts=set())
    starts_s, lengths_s = intervals_s(cells)
    check_lengths(cells, lengths_s, [3600])
    check_gaps(cells, "IntervalStart", starts_s)
    mean_mw, most_mw = (
        cells.numbers(cells.at(name), pattern=FLOAT, missing=MISSING)
        for name in ("CurtailmentMWH", "CurtailmentMW")
    )
    wrong = np.flatnonzero((mean_mw < 0) | (mean_mw > most_mw + 1.0) | (most_mw > 30e3))
    if wrong.size:
        where = cells.where(int(wrong[0]), cells.at("CurtailmentMWH"))
        raise DataError(f"{where}: outside 0 and the greatest power of the hour")
    frame = pd.DataFrame({name: cells.text(cells.at(name)) for name in keys[2:]})
    fuels = {"Solar": "solar_curtailed_kw", "Wind": "wind_curtailed_kw"}
    strange = np.flatnonzero(~frame["FuelType"].isin(list(fuels)))
    if strange.size:
        raise DataError(f"{cells.where(int(strange[0]), cells.at('FuelType'))}: Solar or Wind")
    labels = frame.agg(" ".join, axis=1)
    codes, kinds = pd.factorize(labels)
    wide = widen(
        cells,
        cells.at("IntervalStart"),
        starts_s,
        np.asarray(codes, np.int64),
        list(kinds),
        period_s=3600,
        may_lack_starts=True,
    )
    spread = wide.spread(mean_mw) * KWH_PER_MWH
    columns: dict[str, Numbers] = {}
    for fuel, quantity in fuels.items():
        of_fuel = np.array([str(kind).endswith(fuel) for kind in kinds])
        if of_fuel.any():
            columns[field(quantity, "caiso")] = spread[:, of_fuel].sum(axis=1)
    return make_table(
        file,
        "caiso",
        "caiso-curtailment",
        to_index(wide.starts_s),
        columns,
        reported_the_next_day(to_index(wide.starts_s), ISOS["caiso"].timezone),
        period_s=3600,
    )

"""Rows of an area's supply and demand, and what must hold in them: time, balance, bounds, sun.

The publishers state that values are rounded on their own, so a sum of n values may be off by half
a step for each and for the sum itself; nothing more is allowed. Measured: 0 MWh on all 67,944
hours of Kyushu 2016-2023, at most 2 MW on the official heads of ten areas from 2016 to 2026.

Solar power is compared with the sun: next to none in periods in which the sun is below the horizon
everywhere in the area (Kyushu 2016-2023: above 22 MW once, 32 MW; 40 MW pass here), some by day,
and mornings that begin as long before solar noon as evenings end after it. There the middle between
the two crossings of 2 % of a day's peak, curtailed energy included, lies 0.05 h after noon, and
over n days deviates from that by at most 0.94 h (n = 1), 0.49 (2), 0.51 (3), 0.30 (7) and 0.18 h
(30); `_middle_limit_h` allows 1.4, 0.85, 0.67, 0.46 and 0.34 h. A shift of one row is thus found in
hourly files from about two days on, in 30-minute files from about two weeks on.
"""

from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt
import pandas as pd

from gridhash.data.quantities import field
from gridhash.data.readers.area_columns import (
    CURTAILED,
    EITHER_SIGN,
    SOURCES,
    Area,
)
from gridhash.data.readers.cells import Cells
from gridhash.data.readers.checks import Numbers, Ordinals, check_tick
from gridhash.data.readers.source_file import SourceFile
from gridhash.data.source_table import SourceTable
from gridhash.errors import DataError, TimeGridError

TIMEZONE = "Asia/Tokyo"
UTC_OFFSET_S = 9 * 3600
KW_PER_MW = 1000.0
PUBLISHER = "japanese-utility"

PUBLICATION_LAG_S = 3600
"""A 30-minute value of Tokyo is published within about an hour; taken for every area."""

_UNIX_DAY = date(1970, 1, 1).toordinal()
FIRST_YEAR, LAST_YEAR = 2016, 2099


@dataclass(frozen=True, eq=False)
class AreaRows:
    """Rows of one file: values [MW] by quantity, each with its column in `cells`.

    Attributes
    ----------
    ordinals
        ``day ordinal × slots_per_day + slot`` of the start of each row, Japan Standard Time.
    step_mw
        Step to which the publisher rounds.
    thermal_given
        Whether the file has thermal power; otherwise the sum may be less than the total.
    """

    cells: Cells
    area: Area
    ordinals: Ordinals
    slots_per_day: int
    at: dict[str, int]
    mw: dict[str, Numbers]
    step_mw: float
    thermal_given: bool = True

    @property
    def period_s(self) -> int:
        """Length of a period [s]."""
        return 86400 // self.slots_per_day

    @property
    def sources(self) -> list[str]:
        """Quantities whose sum is the supply."""
        return [name for name in SOURCES if name in self.mw]

    @property
    def tolerance_mw(self) -> float:
        """How far rounding alone can put the sum of the sources off."""
        return 0.5 * self.step_mw * (len(self.sources) + 1)

    def where(self, row: int, quantity: str) -> str:
        """Return file, line, time, column and value of one cell."""
        return f"{self.cells.where(row, self.at[quantity])} ({self.label(row)})"

    def label(self, row: int) -> str:
        """Return the local time at which a row starts."""
        return slot_label(int(self.ordinals[row]), self.slots_per_day)

    def starts(self) -> pd.DatetimeIndex:
        """Return the starts of the rows in UTC."""
        return slot_starts(self.ordinals, self.slots_per_day)

    def to_table(self, dataset: str, file: SourceFile) -> SourceTable:
        """Return the rows as a source table [kW], known an hour after the end of each period."""
        starts = self.starts()
        known = starts + pd.Timedelta(seconds=self.period_s + PUBLICATION_LAG_S)
        frame = pd.DataFrame(
            {field(name, self.area.key): values * KW_PER_MW for name, values in self.mw.items()},
            index=starts,
        )
        return SourceTable(
            dataset=f"{dataset}-{self.area.key}",
            frame=frame,
            period_s=self.period_s,
            currency=None,
            origins=(file.origin(PUBLISHER),),
            available_at=dict.fromkeys(frame.columns, known),
        )


def slot_label(ordinal: int, slots_per_day: int) -> str:
    """Return day and time of a slot that is counted through all days."""
    minutes = ordinal % slots_per_day * 1440 // slots_per_day
    day = date.fromordinal(ordinal // slots_per_day)
    return f"{day} {minutes // 60:02d}:{minutes % 60:02d}"


def slot_starts(ordinals: Ordinals, slots_per_day: int) -> pd.DatetimeIndex:
    """Return the instants, in UTC, of slots of Japanese days that are counted through all days."""
    seconds = (ordinals - _UNIX_DAY * slots_per_day) * (86400 // slots_per_day) - UTC_OFFSET_S
    return pd.DatetimeIndex(seconds.astype("datetime64[s]"), tz="UTC")


def check_consecutive(
    cells: Cells, ordinals: Ordinals, slots_per_day: int, *, first_year: int = FIRST_YEAR
) -> None:
    """Raise TimeGridError unless rows begin with a day and follow each other.

    The last day may be cut short, as in the file of a running month.
    """
    years = [date.fromordinal(int(ordinals[i]) // slots_per_day).year for i in (0, -1)]
    if years[0] < first_year or years[1] > LAST_YEAR:
        raise TimeGridError(
            f"{cells.path}: dates from {years[0]} to {years[1]}; these files begin in "
            f"{first_year}: get the original file"
        )
    if ordinals[0] % slots_per_day:
        raise TimeGridError(
            f"{cells.path} line {int(cells.lines[0])}: the first row is "
            f"{slot_label(int(ordinals[0]), slots_per_day)}, not the start of a day; get a "
            "complete file"
        )
    wrong = np.flatnonzero(np.diff(ordinals) != 1)
    if not wrong.size:
        return
    row = int(wrong[0]) + 1
    step = int(ordinals[row] - ordinals[row - 1])
    before = slot_label(int(ordinals[row - 1]), slots_per_day)
    if step > 0:
        problem = f"{step - 1} row(s) are missing after {before}; get a complete file"
    elif step == 0:
        problem = "the row has the time of the line above; remove one"
    else:
        problem = f"the row lies before the line above, {before}; sort and keep each row once"
    raise TimeGridError(
        f"{cells.path} line {int(cells.lines[row])} "
        f"({slot_label(int(ordinals[row]), slots_per_day)}): {problem}"
    )


def check_no_spike(cells: Cells, at: int, values: Numbers, *, limit: float) -> None:
    """Raise DataError if a value lies further than `limit` from the mean of its neighbours."""
    off = np.abs(values[1:-1] - (values[:-2] + values[2:]) / 2)
    wrong = np.flatnonzero(off > limit)
    if wrong.size:
        row = int(wrong[np.argmax(off[wrong])]) + 1
        raise DataError(
            f"{cells.where(row, at)}: far from the rows before and after it; get the original file"
        )


def supply_mw(rows: AreaRows, *, interconnector_sign: float = 1.0) -> Numbers:
    """Return the sum of all sources; a source that is not given counts as none."""
    total = np.zeros(len(rows.ordinals))
    for name in rows.sources:
        sign = interconnector_sign if name == "interconnector_kw" else 1.0
        total += sign * np.nan_to_num(rows.mw[name])
    return total


def fits(rows: AreaRows, off: Numbers) -> npt.NDArray[np.bool_]:
    """Return where the sum of the sources, less the total, is explained by rounding [MW]."""
    if not rows.thermal_given:
        off = np.maximum(off, 0.0)
    return np.abs(off) <= rows.tolerance_mw


def check_balance(rows: AreaRows) -> None:
    """Raise DataError unless the sources add up to the total, or to demand if there is none.

    Where a total is given, demand may differ from it by 2 %, and must not fit the sum better.
    """
    demand = rows.mw["demand_kw"]
    total = rows.mw.get("supply_kw", demand)
    name = "supply_kw" if "supply_kw" in rows.mw else "demand_kw"
    off = supply_mw(rows) - total
    wrong = np.flatnonzero(~fits(rows, off))
    if wrong.size:
        row = int(wrong[0])
        raise DataError(
            f"{rows.where(row, name)}: the sources of this row add up to {total[row] + off[row]:g} "
            f"MW, not {total[row]:g}, and rounding explains {rows.tolerance_mw:g} MW: a column is "
            "in the wrong place or unit, or the row is damaged; get the original file"
        )
    apart = np.abs(demand - total)
    row = int(np.argmax(apart))
    if apart[row] > 0.02 * float(np.median(total)) + rows.tolerance_mw:
        raise DataError(
            f"{rows.where(row, 'demand_kw')}: demand is {apart[row]:g} MW from the total of its "
            "row; get the original file"
        )
    if (
        rows.thermal_given
        and np.abs(off).mean() > np.abs(off + total - demand).mean() + 0.4 * rows.step_mw
    ):
        raise DataError(
            f"{rows.cells.path}: the sources add up to the column of demand and not to that of "
            "the total: the two are exchanged, get the original file"
        )


def check_bounds(rows: AreaRows) -> None:
    """Raise DataError if demand or a source lies outside what its area can have."""
    area = rows.area
    low, high = area.demand_median_mw
    demand = rows.mw["demand_kw"]
    if not low <= float(np.median(demand)) <= high:
        raise DataError(
            f"{rows.where(0, 'demand_kw')}: the median demand is {np.median(demand):g} MW, which "
            f"{area.key} cannot have ({low:g} … {high:g}); check the area and the unit"
        )
    for name in ("demand_kw", "supply_kw"):
        if name in rows.mw:
            _check_range(rows, name, rows.mw[name], 0.0, area.demand_max_mw)
    for name in rows.sources:
        may_be_thermal = name == "other_kw" and not rows.thermal_given
        cap = area.capacity_mw["thermal_kw" if may_be_thermal else name]
        small = max(20.0, 0.005 * cap) if name in ("solar_kw", "wind_kw") else 0.0
        floor = 0.0 - (cap if name in EITHER_SIGN else small)
        _check_range(rows, name, rows.mw[name], floor, cap)
    for name, source in CURTAILED.items():
        if name in rows.mw:
            _check_range(rows, name, rows.mw[name], 0.0, area.capacity_mw[source])
            if rows.step_mw >= 1.0:
                check_tick(rows.cells, rows.at[name], rows.mw[name], tick=rows.step_mw)
            given = np.nan_to_num(rows.mw[source]) if source in rows.mw else 0.0
            potential = np.nan_to_num(rows.mw[name]) + given
            _check_range(rows, name, potential, -np.inf, area.capacity_mw[source])


def _check_range(rows: AreaRows, name: str, values: Numbers, low: float, high: float) -> None:
    wrong = np.flatnonzero((values < low) | (values > high))
    if wrong.size:
        row = int(wrong[0])
        raise DataError(
            f"{rows.where(row, name)}: {values[row]:g} MW is outside {low:g} … {high:g} MW, what "
            f"{rows.area.key} can have; check the area and the unit, or get the original file"
        )


def check_sun(rows: AreaRows) -> None:
    """Raise DataError if solar power is there at night, never by day, or off solar noon."""
    solar = np.nan_to_num(rows.mw["solar_kw"])
    curtailed = np.nan_to_num(rows.mw.get("solar_curtailed_kw", np.zeros(len(solar))))
    potential = solar + curtailed
    highest = _sun_elevation_deg(rows)
    limit = max(20.0, 0.002 * rows.area.capacity_mw["solar_kw"])
    for name, values in (("solar_kw", solar), ("solar_curtailed_kw", curtailed)):
        wrong = np.flatnonzero((highest < -1.0) & (np.abs(values) > limit))
        if wrong.size:
            row = int(wrong[0])
            raise DataError(
                f"{rows.where(row, name)}: {values[row]:g} MW of solar power while the sun is "
                f"below the horizon: the column or the time is wrong; get the original file"
            )
    day = highest > 20.0
    if day.any() and not (potential[day] > 0).any():
        row = int(np.argmax(day))
        raise DataError(
            f"{rows.where(row, 'solar_kw')}: no solar power on any of {int(day.sum())} rows of "
            "full daylight: the column is wrong; get the original file"
        )
    _check_middle(rows, np.where(highest > -1.0, potential, 0.0))


def _check_middle(rows: AreaRows, potential: Numbers) -> None:
    n_days = len(potential) // rows.slots_per_day
    days = potential[: n_days * rows.slots_per_day].reshape(n_days, rows.slots_per_day)
    peaks = days.max(axis=1, initial=0.0)
    bright = peaks >= 10 * rows.step_mw
    if not bright.any():
        return
    days, level = days[bright], np.maximum(0.02 * peaks[bright], rows.step_mw)
    noon = _noon_h(rows)[: n_days * rows.slots_per_day : rows.slots_per_day][bright]
    middle = (_crossing(days, level) + rows.slots_per_day - _crossing(days[:, ::-1], level)) / 2
    off = float((middle * 24.0 / rows.slots_per_day - noon).mean())
    limit = _middle_limit_h(len(days))
    if abs(off - 0.05) > limit:
        raise DataError(
            f"{rows.where(0, 'solar_kw')}: over {len(days)} days the solar power of mornings and "
            f"evenings lies {off:+.2f} h off solar noon, {limit:.2f} h is usual at most: the rows "
            "are shifted against their times; get the original file"
        )


def _middle_limit_h(n_days: int) -> float:
    return 0.3 + 1.1 / n_days


def _crossing(days: Numbers, level: Numbers) -> Numbers:
    """Return when each day (row) first exceeds its level, in slots from midnight."""
    at = np.argmax(days > level[:, None], axis=1)
    day = np.arange(len(days))
    above, below = days[day, at], days[day, np.maximum(at - 1, 0)]
    crossing: Numbers = at + 0.5 - (above - level) / np.maximum(above - below, 1e-9)
    return crossing


def _noon_h(rows: AreaRows) -> Numbers:
    """Return the local time of solar noon in the middle of the area [h]."""
    _, _, west, east = rows.area.box
    return 12.0 - ((west + east) / 2 - 135.0) / 15.0 - _local_time(rows)[2] / 60.0


def _local_time(rows: AreaRows) -> tuple[Numbers, Numbers, Numbers]:
    """Return hour of day, declination [rad] and equation of time [min] at the starts (Spencer)."""
    days, slots = np.divmod(rows.ordinals, rows.slots_per_day)
    angle = 2 * np.pi * ((days - date(2000, 1, 1).toordinal()) % 365.2425) / 365.2425
    declination = (
        0.006918
        - 0.399912 * np.cos(angle)
        + 0.070257 * np.sin(angle)
        - 0.006758 * np.cos(2 * angle)
        + 0.000907 * np.sin(2 * angle)
    )
    equation_min = 229.18 * (
        0.000075
        + 0.001868 * np.cos(angle)
        - 0.032077 * np.sin(angle)
        - 0.014615 * np.cos(2 * angle)
        - 0.040849 * np.sin(2 * angle)
    )
    return slots * 24.0 / rows.slots_per_day, declination, equation_min


def _sun_elevation_deg(rows: AreaRows) -> npt.NDArray[np.float64]:
    """Return the highest elevation of the sun at start or end of a row anywhere in the area."""
    hours, declination, equation_min = _local_time(rows)
    south, north, west, east = rows.area.box
    sine = np.full(len(hours), -1.0)
    for latitude in np.radians([south, north]):
        for longitude in (west, east):
            for offset in (0.0, 24.0 / rows.slots_per_day):
                solar_hours = hours + offset + (longitude - 135.0) / 15.0 + equation_min / 60.0
                cosine = np.cos(np.radians(15.0 * (solar_hours - 12.0)))
                here = np.sin(latitude) * np.sin(declination)
                here = here + np.cos(latitude) * np.cos(declination) * cosine
                sine = np.maximum(sine, here)
    elevation: npt.NDArray[np.float64] = np.degrees(np.arcsin(np.clip(sine, -1.0, 1.0)))
    return elevation

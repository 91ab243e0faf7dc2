"""Surplus renewable power available to a site, as a signal of its own.

From the strongest evidence to the weakest: power that the area curtailed, scaled to the site's
share; orders to curtail; solar power behind the site's own meter; and the market price, which is a
proxy only: P(curtailed | price ≤ 0.5 JPY/kWh) was .69 in Kyushu in 2021–23 and .03–.34 elsewhere,
where a neighbour's surplus makes the price.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from gridhash.data.readers.cells import read_cells
from gridhash.data.readers.text_file import read_text_file
from gridhash.data.sun import sun_positions
from gridhash.data.trace import Trace
from gridhash.errors import DataError
from gridhash.time_grid import epoch_s, from_epoch_s, published_the_day_before, require_aware

Array = npt.NDArray[np.float64]

CURTAILED = ("solar_curtailed_kw", "wind_curtailed_kw")
SURPLUS = "surplus_frac"
ORDER = "curtailment_order"
PV = "behind_meter_pv_frac"


@dataclass(frozen=True, kw_only=True)
class CurtailmentOrder:
    """An order to curtail renewables of an area in [start, end), known from `announced_at`.

    Raises
    ------
    DataError
        If an instant has no time zone, or they are not in the order announced, start, end.
    """

    start: pd.Timestamp
    end: pd.Timestamp
    announced_at: pd.Timestamp

    def __post_init__(self) -> None:
        """Refuse what cannot be an order."""
        try:
            for name in ("start", "end", "announced_at"):
                require_aware(getattr(self, name), name)
        except ValueError as err:
            raise DataError(f"order: {err}; add its offset") from None
        if not self.announced_at <= self.start < self.end:
            raise DataError(
                f"order {self.start} … {self.end}, announced {self.announced_at}: it must be "
                "announced, then start, then end"
            )


@dataclass(frozen=True, kw_only=True)
class PvSystem:
    """Solar panels behind the site's meter.

    Attributes
    ----------
    latitude, longitude
        [°], north and east positive.
    peak_kw
        Power under standard test conditions [kW].
    tilt, azimuth
        Of the panels [°]: 0 is flat; 180 looks south.
    temperature_coefficient
        Change of power with cell temperature [1/K]; −0.0035 is usual for crystalline silicon.
    losses_frac
        Wiring, dirt, inverter; 0.14 is PVWatts' default.
    """

    latitude: float
    longitude: float
    peak_kw: float
    tilt: float = 20.0
    azimuth: float = 180.0
    temperature_coefficient: float = -0.0035
    losses_frac: float = 0.14


def with_area_surplus(trace: Trace, *, site_kw: float, area_share: float) -> Trace:
    """Return the trace with `surplus_frac` from what its area curtailed.

    The site may use `area_share` of the curtailed solar and wind power, up to its contract power
    `site_kw` [kW]: ``min(1, area_share × curtailed / site_kw)``. It is known when both are.

    Raises
    ------
    DataError
        If the trace has neither curtailed column, or a figure is not positive.
    """
    _require_positive(site_kw=site_kw, area_share=area_share)
    if area_share > 1.0:
        raise DataError(f"area_share {area_share:g}: a site's share of its area is at most 1")
    held = [name for name in CURTAILED if name in trace.frame.columns]
    if not held:
        raise DataError(f"{trace.source}: surplus of the area needs {' or '.join(CURTAILED)}")
    curtailed_kw = np.sum([trace.column(name) for name in held], axis=0)
    known = _latest([trace.available_at[name] for name in held])
    note = f"{SURPLUS}: {area_share:g} of {' + '.join(held)} over {site_kw:g} kW"
    surplus = np.minimum(area_share * curtailed_kw / site_kw, 1.0)
    return _with_surplus(trace, surplus, known, note)


def with_curtailment_orders(
    trace: Trace,
    orders: Sequence[CurtailmentOrder],
    *,
    day_ahead: tuple[str, time] | None = None,
) -> Trace:
    """Return the trace with `curtailment_order`: 1 while an order holds, else 0.

    Parameters
    ----------
    day_ahead
        Time zone and local time on the day before by which a day's orders are announced, such as
        ``("Asia/Tokyo", time(17))``: then it is known that there is no order, too. Without it,
        that is known only when the row starts. A row with an order that came later is known when
        that order was announced.
    """
    starts_s = epoch_s(trace.starts)
    flag = np.zeros(trace.n_rows)
    if day_ahead is None:
        known_s = starts_s.copy()
    else:
        timezone, at = day_ahead
        known_s = epoch_s(published_the_day_before(trace.starts, timezone=timezone, at=at))
    for order in orders:
        first = order.start.timestamp() - trace.period_s
        rows = (starts_s > first) & (starts_s < order.end.timestamp())
        announced_s = int(order.announced_at.timestamp())
        # Where orders overlap, the earlier announcement already told that the row is curtailed.
        before = known_s[rows]
        told = np.where(flag[rows] > 0.0, np.minimum(before, announced_s), announced_s)
        known_s[rows], flag[rows] = told, 1.0
    known = from_epoch_s(np.maximum.accumulate(known_s))
    note = f"{ORDER}: {len(orders)} orders"
    result = trace.with_columns({ORDER: flag}, available_at={ORDER: known})
    return replace(result, notes=(*result.notes, note))


def read_orders(path: Path) -> list[CurtailmentOrder]:
    """Read orders from a CSV file with the columns ``start,end,announced_at`` (ISO 8601, offset).

    Utilities announce orders on web pages and by mail, each its own way: this is ours.

    Raises
    ------
    DataError
        If the file cannot be read or a line is no order; the message names it.
    """
    cells = read_cells(read_text_file(path), header_line=1)
    columns = [cells.text(cells.at(name)) for name in ("start", "end", "announced_at")]
    orders = []
    for line, texts in zip(cells.lines, zip(*columns, strict=True), strict=True):
        try:
            start, end, announced_at = (pd.Timestamp(text) for text in texts)
            orders.append(CurtailmentOrder(start=start, end=end, announced_at=announced_at))
        except (ValueError, TypeError, DataError) as err:
            raise DataError(f"{path} line {line}: {err}") from err
    return orders


def with_behind_meter_pv(trace: Trace, system: PvSystem, *, site_kw: float) -> Trace:
    """Return the trace with `behind_meter_pv_frac`, the panels' power per contract power.

    By pvlib: position of the sun at the middle of each interval, direct and diffuse light from
    `ghi_w_per_m2` (Erbs et al. 1982), plane of the panels (isotropic sky), cell temperature
    (Sandia model, open rack glass–glass, wind 1 m/s), PVWatts power with losses.

    Raises
    ------
    DataError
        If the trace lacks `ghi_w_per_m2` or `outdoor_temp_c`, or a figure is not positive.
    """
    import pvlib  # takes half a second, and few sites have panels

    _require_positive(site_kw=site_kw, peak_kw=system.peak_kw)
    ghi, outdoor_temp_c = trace.column("ghi_w_per_m2"), trace.column("outdoor_temp_c")
    middle = trace.starts + pd.Timedelta(seconds=trace.period_s / 2)
    sun = sun_positions(trace.start, trace.end, trace.period_s, system.latitude, system.longitude)
    light = pvlib.irradiance.erbs(ghi, sun["zenith"], middle.day_of_year)
    plane = pvlib.irradiance.get_total_irradiance(
        system.tilt,
        system.azimuth,
        sun["apparent_zenith"],
        sun["azimuth"],
        dni=light["dni"],
        ghi=ghi,
        dhi=light["dhi"],
    )["poa_global"]
    cell = pvlib.temperature.TEMPERATURE_MODEL_PARAMETERS["sapm"]["open_rack_glass_glass"]
    cell_temp_c = pvlib.temperature.sapm_cell(plane, outdoor_temp_c, wind_speed=1.0, **cell)
    direct_kw = pvlib.pvsystem.pvwatts_dc(
        plane, cell_temp_c, system.peak_kw, system.temperature_coefficient
    )
    # The sun below the horizon leaves a NaN in some of pvlib's relations.
    power_kw = np.nan_to_num(np.asarray(direct_kw, dtype=np.float64)) * (1.0 - system.losses_frac)
    power_kw = np.clip(power_kw, 0.0, system.peak_kw)
    known = _latest([trace.available_at[name] for name in ("ghi_w_per_m2", "outdoor_temp_c")])
    result = trace.with_columns({PV: power_kw / site_kw}, available_at={PV: known})
    note = f"{PV}: {system.peak_kw:g} kW of panels by pvlib's PVWatts over {site_kw:g} kW"
    return replace(result, notes=(*result.notes, note))


def with_pv_as_surplus(trace: Trace) -> Trace:
    """Return the trace with the power behind its meter added to `surplus_frac`, up to 1.

    Raises
    ------
    DataError
        If the trace lacks `behind_meter_pv_frac`.
    """
    surplus, known = trace.column(PV), [trace.available_at[PV]]
    if SURPLUS in trace.frame.columns:
        surplus, known = surplus + trace.column(SURPLUS), [*known, trace.available_at[SURPLUS]]
    note = f"{SURPLUS}: with the solar power behind the meter"
    return _with_surplus(trace, np.minimum(surplus, 1.0), _latest(known), note)


def with_surplus_from_price(trace: Trace, *, at_most_per_kwh: float) -> Trace:
    """Return the trace with `surplus_frac` 1 where the price is at most this, else 0: a weak proxy.

    How weak is in the module's words; the trace's notes repeat it. Known when the price is.

    Raises
    ------
    DataError
        If the trace holds a surplus already: a proxy never replaces a measurement.
    """
    if SURPLUS in trace.frame.columns:
        raise DataError(f"{trace.source}: {SURPLUS} is there already; a price is weaker evidence")
    surplus = (trace.column("price_per_kwh") <= at_most_per_kwh).astype(np.float64)
    note = (
        f"{SURPLUS}: proxy, price at most {at_most_per_kwh:g} {trace.currency}/kWh; in Kyushu .69 "
        "of such half hours (at 0.5 JPY) had curtailment, elsewhere in Japan .03 to .34"
    )
    return _with_surplus(trace, surplus, trace.available_at["price_per_kwh"], note)


def _with_surplus(trace: Trace, surplus: Array, known: pd.DatetimeIndex, note: str) -> Trace:
    result = trace.with_columns({SURPLUS: surplus}, available_at={SURPLUS: known})
    return replace(result, notes=(*result.notes, note))


def _latest(instants: Sequence[pd.DatetimeIndex]) -> pd.DatetimeIndex:
    return from_epoch_s(np.max([epoch_s(known) for known in instants], axis=0))


def _require_positive(**figures: float) -> None:
    for name, value in figures.items():
        if not value > 0.0:
            raise DataError(f"{name} {value:g} must be above zero")

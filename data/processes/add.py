"""All processes of a scenario in one call."""

from collections.abc import Callable
from dataclasses import replace

from gridhash.config import SiteConfig
from gridhash.config_processes import ProcessSettings
from gridhash.data.processes.ancillary import with_ancillary
from gridhash.data.processes.base_points import with_base_points
from gridhash.data.processes.demand import with_area_demand
from gridhash.data.processes.imbalance import with_imbalance_prices
from gridhash.data.processes.orders import with_dr_down_calls, with_dr_up_calls, with_pause_orders
from gridhash.data.processes.real_time import with_real_time_prices
from gridhash.data.processes.regrid import regrid
from gridhash.data.processes.weather import (
    with_humidity,
    with_irradiance,
    with_pv,
    with_temperature,
)
from gridhash.data.trace import Trace


def add_processes(
    trace: Trace, settings: ProcessSettings, seed: int, site: SiteConfig | None = None
) -> Trace:
    """Return the trace with the columns of every process that the settings name.

    A column that the trace holds is kept, and a note says so. Each process has a random stream of
    its own: leaving one out does not change the draws of the others. `site` is who is asked, where
    base points are to lie within its reach.

    Raises
    ------
    ConfigError
        If base points need a site and none is given, or exceed its contract power.
    DataError
        If a process needs a column that neither the trace nor an earlier process gives, or only
        one of two columns that are drawn together is there.
    TimeGridError
        If `period_s` does not divide the trace's.
    """
    zone = settings.timezone
    if settings.period_s is not None:
        trace = regrid(trace, settings.period_s)
    if (real_time := settings.real_time) is not None:
        trace = _unless_held(
            trace,
            "real_time_price_per_kwh",
            lambda t: with_real_time_prices(t, real_time, seed=seed),
        )
    if (weather := settings.weather) is not None:
        if weather.temperature:
            trace = _unless_held(
                trace,
                "outdoor_temp_c",
                lambda t: with_temperature(t, weather, timezone=zone, seed=seed),
            )
        if weather.humidity:
            trace = _unless_held(
                trace, "relative_humidity_frac", lambda t: with_humidity(t, weather, seed=seed)
            )
    if (demand := settings.demand) is not None:
        trace = _unless_held(
            trace, "demand_kw", lambda t: with_area_demand(t, demand, timezone=zone, seed=seed)
        )
    if (light := settings.irradiance) is not None:
        trace = _unless_held(trace, "ghi_w_per_m2", lambda t: with_irradiance(t, light, seed=seed))
        if light.pv_peak_kw is not None:
            trace = _unless_held(trace, "behind_meter_pv_frac", lambda t: with_pv(t, light))
    if (pause := settings.pause_orders) is not None:
        trace = _unless_held(
            trace, "pause_order", lambda t: with_pause_orders(t, pause, timezone=zone, seed=seed)
        )
    if (down := settings.dr_down) is not None:
        trace = _unless_held(
            trace, "dr_down_call", lambda t: with_dr_down_calls(t, down, timezone=zone, seed=seed)
        )
    if (up := settings.dr_up) is not None:
        trace = _unless_held(
            trace, "dr_up_call", lambda t: with_dr_up_calls(t, up, timezone=zone, seed=seed)
        )
    if (imbalance := settings.imbalance) is not None:
        trace = _unless_held(
            trace,
            "imbalance_shortage_price_per_kwh",
            lambda t: with_imbalance_prices(t, imbalance, seed=seed),
        )
    if (base_points := settings.base_points) is not None:
        trace = _unless_held(
            trace,
            "base_point_frac",
            lambda t: with_base_points(t, base_points, seed=seed, site=site),
        )
    if (ancillary := settings.ancillary) is not None:
        trace = _unless_held(
            trace,
            "ancillary_price_per_kw_h",
            lambda t: with_ancillary(t, ancillary, timezone=zone, seed=seed),
        )
    return trace


def _unless_held(trace: Trace, name: str, draw: Callable[[Trace], Trace]) -> Trace:
    if name in trace.frame.columns:
        return replace(trace, notes=(*trace.notes, f"{name}: kept as it is, not drawn"))
    return draw(trace)

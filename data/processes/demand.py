"""Demand of an area where no series of it is at hand."""

import math

import numpy as np

from gridhash.config_processes import DemandProcess
from gridhash.data.processes.blocks import DAYS_IN_MONTH
from gridhash.data.processes.climates import AREAS, AreaDemand
from gridhash.data.processes.common import Array, Index, at_end, labelled, local_time, stream
from gridhash.data.processes.weather import climate_c
from gridhash.data.synthesis import normal
from gridhash.data.trace import Trace

DAY_MEMORY_H, HOUR_MEMORY_H = 96.0, 5.0
SEASON_OF_MONTH = np.array([0, 0, 2, 2, 2, 1, 1, 1, 1, 2, 2, 0])
"""Winter, summer, between: rows of `AreaDemand.hour_factor`."""


def with_area_demand(trace: Trace, settings: DemandProcess, *, timezone: str, seed: int) -> Trace:
    """Return the trace with `demand_kw`, known `delay_s` after the end of each period.

    The month's level times the hour's share, less on weekends, with autoregressive deviations. If
    the trace holds a temperature, what it lies above the climate's in summer or below it in winter
    raises demand.

    Raises
    ------
    DataError
        If the trace holds the column already.
    """
    area = AREAS[settings.area]
    local = local_time(trace.starts, timezone)
    month = local.month - 1
    profile = np.array(area.month_factor)[month] * _by_hour(area, month, local.hour)
    weekend = np.where(local.weekday >= 5, area.weekend_factor, 1.0)
    rng = stream(seed, "demand_kw")
    deviation = sum(
        sd * normal.ar1(rng, math.exp(-trace.period_s / 3600.0 / memory_h), trace.n_rows)
        for sd, memory_h in ((area.day_sd_frac, DAY_MEMORY_H), (area.hour_sd_frac, HOUR_MEMORY_H))
    )
    others = []
    if "outdoor_temp_c" in trace.frame.columns:
        others.append("outdoor_temp_c")
        excess = trace.column("outdoor_temp_c") - climate_c(area.climate, trace.starts, timezone)
        season = SEASON_OF_MONTH[month]
        slope = np.select(
            [season == 1, season == 0], [area.warm_frac_per_k, -area.cold_frac_per_k], 0.0
        )
        deviation = deviation + np.clip(slope * excess, -0.15, 0.15)
    mean_kw = area.mean_kw if settings.mean_kw is None else settings.mean_kw
    values = mean_kw / _mean_factor(area) * profile * weekend * np.exp(deviation)
    note = (
        f"profile of {settings.area} by month, hour and weekend with mean {mean_kw:g} kW "
        f"({area.source}), {'temperature, ' if others else ''}deviations of {area.day_sd_frac:g} "
        f"over {DAY_MEMORY_H:g} h and {area.hour_sd_frac:g} over {HOUR_MEMORY_H:g} h, known "
        f"{settings.delay_s} s after each period, seed {seed}"
    )
    known = at_end(trace, *others, delay_s=settings.delay_s)
    return labelled(trace, {"demand_kw": values}, {"demand_kw": known}, note)


def _mean_factor(area: AreaDemand) -> float:
    """Return the mean of all factors over a year."""
    by_season = np.mean(area.hour_factor, axis=1)
    by_month = np.array(area.month_factor) * by_season[SEASON_OF_MONTH]
    week = (5.0 + 2.0 * area.weekend_factor) / 7.0
    return float(np.average(by_month, weights=DAYS_IN_MONTH)) * week


def _by_hour(area: AreaDemand, month: Index, hour: Array) -> Array:
    """Return the hour's factor of each row, linear between the middles of the hours."""
    season = SEASON_OF_MONTH[month]
    at = np.arange(-1, 25) + 0.5
    tables = [np.array(table) for table in area.hour_factor]
    rows = [np.interp(hour, at, table[np.arange(-1, 25) % 24]) for table in tables]
    return np.asarray(np.choose(season, rows), dtype=np.float64)

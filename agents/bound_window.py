"""What tariff and programs need to know of a window of a scenario, all of it known."""

import numpy as np

from gridhash.agents.bound_tariff import IncreaseBaseline, Window, last_of_slot, planned_kw
from gridhash.envs.columns import DAY, INCREASE_CALL, RULE_LOAD, SLOT
from gridhash.envs.parameters import Floats
from gridhash.envs.programs import BASELINE_DAYS
from gridhash.envs.scenario import Scenario
from gridhash.units import SECONDS_PER_HOUR


def scenario_window(
    scenario: Scenario, rows: tuple[int, int], hours: Floats, most_kw: float
) -> Window:
    """Return settlement periods [first, last) of a scenario; `hours`, (T,), by interval."""
    programs, calendar = scenario.programs, scenario.exogenous.calendar
    own = np.arange(*rows)
    row_hours = scenario.trace.period_s / SECONDS_PER_HOUR
    _, day = np.unique(calendar[own, DAY], return_inverse=True)
    plan_kwh = np.zeros(len(own))
    if programs.balancing:
        plan_kwh = planned_kw(scenario)[own] * row_hours
    baseline_kw = np.full(len(own), most_kw)
    if programs.baseline_by_rule:
        baseline_kw = np.minimum(baseline_kw, scenario.market[own, RULE_LOAD])
    return Window(
        params=scenario.params,
        programs=programs,
        market=scenario.market[np.repeat(own, scenario.steps_per_row)],
        hours=hours,
        period=np.repeat(own - rows[0], scenario.steps_per_row),
        row_hours=row_hours,
        most_kw=most_kw,
        day=np.repeat(day, scenario.steps_per_row),
        quota_kwh=np.full(int(day.max()) + 1, programs.surplus_quota_kwh),
        plan_kwh=plan_kwh,
        baseline_kw=baseline_kw,
        increase_baseline=_increase_baseline(scenario, rows),
    )


def _increase_baseline(scenario: Scenario, rows: tuple[int, int]) -> IncreaseBaseline:
    """Return how periods of the window count in the baselines of later calls to consume.

    High 4 of 5 is at least the mean of its five days; those before the window count for nothing.
    """
    first, last = rows
    calendar, history = scenario.exogenous.calendar, scenario.exogenous.history_rows
    found: list[tuple[int, int, float]] = []
    called = np.zeros(0, dtype=np.int64)
    if scenario.programs.increase_max_kw > 0.0:
        called = first + np.flatnonzero(scenario.market[first:last, INCREASE_CALL] > 0.0)
    last_rows = last_of_slot(scenario) if called.size else called
    for row in called:
        slot = calendar[row, SLOT]
        days = history[calendar[row, DAY] - calendar[0, DAY]]
        for start, times in zip(*np.unique(days, return_counts=True), strict=True):
            past = start + slot
            inside = max(first, scenario.first_row) <= past < row
            if not inside or last_rows[past] != past:
                continue
            if calendar[past, DAY] != calendar[start, DAY] or calendar[past, SLOT] != slot:
                continue
            found.append((int(row) - first, int(past) - first, times / BASELINE_DAYS))
    table = np.array(found).reshape(-1, 3)
    return IncreaseBaseline(
        known_kw=np.zeros(last - first),
        period=table[:, 0].astype(np.int64),
        past=table[:, 1].astype(np.int64),
        share=table[:, 2],
    )

"""The programs of a site as columns and rows of the bound's linear program.

Program by program, what is exact and what is bent in favour of profit:

- Calls to reduce: the baseline is the most that it can be: the load of the level rule with
  ``baseline_limit = "rule"``, else full power; above it delivered energy follows the concave hull.
  The penalty on what is missing is kept, since what counts as delivered is never less than here.
- Calls to consume: the baseline is at least the mean load of its five days as far as they lie in
  the window, nothing before it; the pay above it follows the concave hull.
- Pause orders: cap, pay and penalty are exact.
- Held capacity: pay is exact; missing at rest is exact, with failing rigs the convex hull; missing
  while called depends on the power before the call and is left out.
- Base point: exact.
- Repair: left out, being a cost.

Tariff: `gridhash.agents.bound_tariff`.
"""

import numpy as np

from gridhash.agents.bound_tariff import Energy, Window
from gridhash.agents.linear_program import LinearProgram
from gridhash.envs.columns import (
    BASE_POINT,
    DEPLOYED,
    HELD_PRICE,
    INCREASE_CALL,
    PAUSE,
    REDUCTION_CALL,
)
from gridhash.envs.parameters import Floats, Ints


def add_programs(program: LinearProgram, window: Window, energy: Energy) -> None:
    """Add what the programs cost and earn, but for what months settle."""
    programs = window.programs
    if programs.has_reduction:
        _add_reduction(program, window, energy)
    if programs.increase_max_kw > 0.0:
        _add_increase(program, window, energy)
    if programs.has_pause:
        _add_pause(program, window, energy)
    if programs.held_kw > 0.0:
        _add_held(program, window, energy)
    if programs.has_base_point:
        _add_base_point(program, window, energy)


def _add_reduction(program: LinearProgram, window: Window, energy: Energy) -> None:
    programs = window.programs
    committed_kw, most_kw = programs.committed_kw, window.most_kw
    program.add_constant(float(window.hours.sum()) * committed_kw * programs.capacity_pay_per_kw_h)
    called = window.of_periods(REDUCTION_CALL) > 0.0
    if programs.has_pause:
        called &= window.of_periods(PAUSE) <= 0.0
    periods = np.flatnonzero(called)
    if not periods.size:
        return
    hours = window.period_hours[periods]
    baseline_kw = np.minimum(window.baseline_kw[periods], most_kw)
    top_kw = np.minimum(committed_kw, baseline_kw)
    # Concave hull of min(max(baseline - load, 0), committed) over all loads.
    full_kw = baseline_kw - top_kw
    slope = (top_kw - np.maximum(baseline_kw - most_kw, 0.0)) / np.maximum(most_kw - full_kw, 1e-9)
    delivered = program.add_columns(
        periods.size, lower=0.0, upper=top_kw, gain=programs.reduction_pay_per_kwh * hours
    )
    hull = program.add_rows(periods.size, upper=top_kw + slope * full_kw)
    program.add_entries(hull, delivered, 1.0)
    window.add_means(program, hull, energy.metered, periods, slope)
    due_kw = programs.reduction_tolerance_frac * committed_kw
    missing = program.add_columns(
        periods.size, lower=0.0, upper=due_kw, gain=-programs.reduction_penalty_per_kwh * hours
    )
    enough = program.add_rows(periods.size, lower=due_kw)
    program.add_entries(enough, missing, 1.0)
    program.add_entries(enough, delivered, 1.0)


def _add_increase(program: LinearProgram, window: Window, energy: Energy) -> None:
    programs, baseline = window.programs, window.increase_baseline
    periods = np.flatnonzero(window.of_periods(INCREASE_CALL) > 0.0)
    if not periods.size:
        return
    known_kw = np.minimum(baseline.known_kw[periods], window.most_kw)
    more = program.add_columns(
        periods.size,
        lower=0.0,
        upper=np.minimum(programs.increase_max_kw, window.most_kw - known_kw),
        gain=programs.increase_pay_per_kwh * window.period_hours[periods],
    )
    # max(load - baseline, 0) lies below the chord from no load to full power, and below full power
    # less what of the baseline the window decides.
    below_load = program.add_rows(periods.size, upper=0.0)
    program.add_entries(below_load, more, 1.0)
    slope = (window.most_kw - known_kw) / window.most_kw
    window.add_means(program, below_load, energy.metered, periods, -slope)
    above = program.add_rows(periods.size, upper=window.most_kw - known_kw)
    program.add_entries(above, more, 1.0)
    number = np.zeros(len(window.first), dtype=np.int64)
    number[periods] = above
    window.add_means(
        program, number[baseline.period], energy.metered, baseline.past, baseline.share
    )


def _add_excess(
    program: LinearProgram,
    window: Window,
    energy: Energy,
    at: Ints,
    *,
    sign: float,
    limit_kw: float | Floats,
    penalty: Floats,
    columns: Ints | None = None,
) -> Ints:
    """Add columns of at least sign x site power less a limit at some intervals, at a penalty."""
    if columns is None:
        most_kw = window.most_kw + float(np.max(np.abs(limit_kw)))
        columns = program.add_columns(at.size, lower=0.0, upper=most_kw, gain=-penalty)
    above = program.add_rows(at.size, lower=-limit_kw)
    program.add_entries(above, columns, 1.0)
    for source in energy.site:
        program.add_entries(above, source[at], -sign)
    return columns


def _add_pause(program: LinearProgram, window: Window, energy: Energy) -> None:
    programs = window.programs
    at = np.flatnonzero(window.market[:, PAUSE] > 0.0)
    hours = window.hours[at]
    program.add_constant(float(hours.sum()) * programs.pause_pay_per_h)
    if at.size:
        _add_excess(
            program,
            window,
            energy,
            at,
            sign=1.0,
            limit_kw=programs.pause_power_kw,
            penalty=hours * programs.pause_penalty_per_kwh,
        )


def _add_held(program: LinearProgram, window: Window, energy: Energy) -> None:
    """Pay for held capacity; fine what a resting site could not drop.

    Missing falls from all that is held at idle power to nothing; no site draws less than idle,
    unless rigs fail: then the line starts at zero power.
    """
    programs, held_kw = window.programs, window.programs.held_kw
    program.add_constant(float(window.market[:, HELD_PRICE] @ window.hours) * held_kw)
    at = np.flatnonzero(window.market[:, DEPLOYED] <= 0.0)
    fails = bool((window.params.repair_per_h > 0.0).any())
    least_kw = 0.0 if fails else programs.idle_kw
    enough_kw = programs.idle_kw + held_kw
    slope = held_kw / (enough_kw - least_kw)
    _add_excess(
        program,
        window,
        energy,
        at,
        sign=-1.0,
        limit_kw=-enough_kw,
        penalty=slope * programs.held_penalty_per_kw_h * window.hours[at],
    )


def _add_base_point(program: LinearProgram, window: Window, energy: Energy) -> None:
    programs, base_kw = window.programs, window.market[:, BASE_POINT]
    tolerance_kw = np.maximum(programs.base_tolerance_kw, programs.base_tolerance_frac * base_kw)
    everywhere = np.arange(len(base_kw))
    penalty = programs.base_penalty_per_kwh * window.hours
    excess = _add_excess(
        program,
        window,
        energy,
        everywhere,
        sign=1.0,
        limit_kw=base_kw + tolerance_kw,
        penalty=penalty,
    )
    _add_excess(
        program,
        window,
        energy,
        everywhere,
        sign=-1.0,
        limit_kw=tolerance_kw - base_kw,
        penalty=penalty,
        columns=excess,
    )

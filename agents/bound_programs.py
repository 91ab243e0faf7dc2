"""Tariff and programs as columns and rows of the bound's linear program.

Line by line of the ledger, what is exact and what is bent in favour of profit:

- Import: spot, adders, levy and carbon by row: exact. Surplus and panels are taken at will, where
  the kernel takes panels first and surplus next; the daily quota of surplus is kept. Export is what
  is not taken of the panels: exact.
- Power purchase: exact while spot is not negative. Below zero the kernel sells nothing and buys
  only beyond the block: a gain convex in import, of which the chord up to full power stands.
- Coincident peaks: exact, linear in metered power. Demand charge: `gridhash.agents.bound_months`.
- Imbalance: exact where the shortage price is not below the surplus price, else a chord. The plan
  is the default nomination, which no play changes.
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
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gridhash.agents.linear_program import LinearProgram
from gridhash.envs.columns import (
    BASE_POINT,
    CAPACITY_WEIGHT,
    DAY,
    DEPLOYED,
    HELD_PRICE,
    INCREASE_CALL,
    NOMINATED,
    PAUSE,
    PRICE,
    PV,
    REDUCTION_CALL,
    RULE_LOAD,
    SHORTAGE_PRICE,
    SLOT,
    SURPLUS_PRICE,
    TRANSMISSION_WEIGHT,
)
from gridhash.envs.parameters import Floats, Ints
from gridhash.envs.program_parameters import ProgramParameters
from gridhash.envs.programs import BASELINE_DAYS
from gridhash.envs.scenario import Scenario

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Window:
    """Settlement periods [first, last) of a scenario, by dispatch interval: T of them."""

    scenario: Scenario
    rows: tuple[int, int]
    market: Floats
    """(T, …) market array, constant within a settlement period."""
    row: Ints
    """(T,) row of each interval."""
    hours: float
    """Of a dispatch interval."""
    most_kw: float
    """No site power is above it."""

    @property
    def programs(self) -> ProgramParameters:
        """Tariff and programs of the site."""
        return self.scenario.programs

    @property
    def period_hours(self) -> float:
        """Of a settlement period."""
        return self.hours * self.scenario.steps_per_row

    def intervals_of(self, rows: Ints) -> Ints:
        """Return the intervals of some rows of the scenario, (len(rows), steps per row)."""
        steps = self.scenario.steps_per_row
        intervals: Ints = np.add.outer((rows - self.rows[0]) * steps, np.arange(steps))
        return intervals

    def rows_where(self, column: int) -> Ints:
        """Return the rows of the window in which a market column is above zero."""
        first, last = self.rows
        return first + np.flatnonzero(self.scenario.market[first:last, column] > 0.0)


@dataclass(frozen=True)
class Energy:
    """Columns of where a window's energy comes from, (T,) each [kW]."""

    imported: Ints
    from_surplus: Ints
    from_panels: Ints | None = None

    @property
    def metered(self) -> tuple[Ints, ...]:
        """What the meter sees: all but the panels behind it."""
        return self.imported, self.from_surplus

    @property
    def site(self) -> tuple[Ints, ...]:
        """All that the site draws."""
        return self.metered if self.from_panels is None else (*self.metered, self.from_panels)


def add_programs(
    program: LinearProgram, window: Window, imported: Ints, from_surplus: Ints, balance: Ints
) -> Energy:
    """Add what tariff and programs cost and earn, but for what months settle.

    `imported` and `from_surplus` are columns whose gain so far is that of a plain site; `balance`
    are the rows, (T,), in which site power is less than nothing but its sources.
    """
    energy = Energy(imported=imported, from_surplus=from_surplus)
    programs, market = window.programs, window.market
    if market[:, PV].any() or programs.export_price_per_kwh:
        energy = _add_panels(program, window, energy, balance)
    if programs.has_quota:
        _add_quota(program, window, energy)
    if programs.purchase_kw > 0.0:
        _add_purchase(program, window, energy)
    weight = market[:, TRANSMISSION_WEIGHT] + market[:, CAPACITY_WEIGHT]
    for columns in energy.metered:
        program.add_gain(columns, -weight / window.scenario.steps_per_row)
    if programs.balancing:
        _add_imbalance(program, window, energy)
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
    return energy


def _add_sums(
    program: LinearProgram, rows: Ints, columns: tuple[Ints, ...], intervals: Ints, value: float
) -> None:
    """Add columns at the intervals (len(rows), k) of each row to it, times a value."""
    for one in columns:
        program.add_entries(
            np.repeat(rows, intervals.shape[1]).astype(np.int64), one[intervals.ravel()], value
        )


def _add_panels(program: LinearProgram, window: Window, energy: Energy, balance: Ints) -> Energy:
    programs, hours, given_kw = window.programs, window.hours, window.market[:, PV]
    own_price = programs.pv_cost_per_kwh + programs.export_price_per_kwh
    used = program.add_columns(
        len(given_kw),
        lower=0.0,
        upper=np.minimum(given_kw, window.most_kw),
        gain=-hours * own_price,
    )
    program.add_entries(balance, used, -1.0)
    program.add_constant(float(given_kw.sum()) * hours * programs.export_price_per_kwh)
    return Energy(imported=energy.imported, from_surplus=energy.from_surplus, from_panels=used)


def _add_quota(program: LinearProgram, window: Window, energy: Energy) -> None:
    day = window.scenario.exogenous.calendar[window.row, DAY]
    _, index = np.unique(day, return_inverse=True)
    most_kw = window.programs.surplus_quota_kwh / window.hours
    days = program.add_rows(int(index.max()) + 1, upper=most_kw)
    program.add_entries(days[index], energy.from_surplus, 1.0)


def _add_purchase(program: LinearProgram, window: Window, energy: Energy) -> None:
    programs, hours = window.programs, window.hours
    volume_kw, spot = programs.purchase_kw, window.market[:, PRICE]
    resale = np.maximum(spot - programs.resale_fee_per_kwh, 0.0)
    paid = len(spot) * volume_kw * programs.purchase_price_per_kwh
    program.add_constant((volume_kw * float(resale.sum()) - paid) * hours)
    sells = spot >= 0.0
    used = program.add_columns(
        len(spot),
        lower=0.0,
        upper=np.where(sells, min(volume_kw, window.most_kw), 0.0),
        gain=np.where(sells, hours * (spot - resale), 0.0),
    )
    within = program.add_rows(len(spot), upper=0.0)
    program.add_entries(within, used, 1.0)
    program.add_entries(within, energy.imported, -1.0)
    # Paid to take spot energy, but only beyond the block.
    block_share = min(volume_kw / window.most_kw, 1.0)
    program.add_gain(energy.imported, np.where(sells, 0.0, hours * spot * block_share))


def _add_imbalance(program: LinearProgram, window: Window, energy: Energy) -> None:
    """Pay the plan at spot and the rest at imbalance prices; the spot price of import is undone."""
    scenario, hours = window.scenario, window.period_hours
    rows = np.arange(*window.rows)
    market = scenario.market
    planned_kwh = planned_kw(scenario)[rows] * hours
    short, surplus = market[rows, SHORTAGE_PRICE], market[rows, SURPLUS_PRICE]
    program.add_constant(-float(planned_kwh @ market[rows, PRICE]))
    program.add_gain(energy.imported, window.hours * window.market[:, PRICE])

    most_kwh = window.most_kw * hours
    n_rows = len(rows)
    more = program.add_columns(n_rows, lower=0.0, upper=most_kwh)
    less = program.add_columns(n_rows, lower=0.0, upper=planned_kwh)
    deviation = program.add_rows(n_rows, lower=planned_kwh, upper=planned_kwh)
    _add_sums(program, deviation, (energy.imported,), window.intervals_of(rows), window.hours)
    program.add_entries(deviation, more, -1.0)
    program.add_entries(deviation, less, 1.0)
    # cost = short * more - surplus * less, and where that is not convex in import, its chord.
    low = -planned_kwh * surplus
    over = np.maximum(most_kwh - planned_kwh, 0.0)
    under = np.minimum(most_kwh - planned_kwh, 0.0)
    slope = (over * short + under * surplus - low) / most_kwh
    convex = short >= surplus
    # At import x the chord is low + slope x = low + slope (planned + more - less).
    program.add_constant(-float((low + slope * planned_kwh)[~convex].sum()))
    program.add_gain(more, np.where(convex, -short, -slope))
    program.add_gain(less, np.where(convex, surplus, slope))


def planned_kw(scenario: Scenario) -> Floats:
    """Return the nominated power that each row is settled against, (rows,).

    Plans are kept by slot of the day, so that of an hour that comes twice the later one counts.
    """
    return np.asarray(scenario.market[_last_of_slot(scenario), NOMINATED])


def _last_of_slot(scenario: Scenario) -> Ints:
    """Return for each row the last one of its day and slot, (rows,)."""
    calendar = scenario.exogenous.calendar
    key = calendar[:, DAY] * (scenario.slots_per_day + 1) + calendar[:, SLOT]
    _, index = np.unique(key, return_inverse=True)
    last = np.zeros(int(index.max()) + 1, dtype=np.int64)
    np.maximum.at(last, index, np.arange(len(key)))
    return np.asarray(last[index])


def _add_reduction(program: LinearProgram, window: Window, energy: Energy) -> None:
    programs, hours = window.programs, window.period_hours
    committed_kw, most_kw = programs.committed_kw, window.most_kw
    n = len(window.market)
    program.add_constant(n * window.hours * committed_kw * programs.capacity_pay_per_kw_h)
    rows = window.rows_where(REDUCTION_CALL)
    if not rows.size:
        return
    baseline_kw = np.full(rows.size, most_kw)
    if programs.baseline_by_rule:
        baseline_kw = np.minimum(baseline_kw, window.scenario.market[rows, RULE_LOAD])
    top_kw = np.minimum(committed_kw, baseline_kw)
    # Concave hull of min(max(baseline - load, 0), committed) over all loads.
    full_kw = baseline_kw - top_kw
    slope = (top_kw - np.maximum(baseline_kw - most_kw, 0.0)) / np.maximum(most_kw - full_kw, 1e-9)
    delivered = program.add_columns(
        rows.size, lower=0.0, upper=top_kw, gain=programs.reduction_pay_per_kwh * hours
    )
    hull = program.add_rows(rows.size, upper=top_kw + slope * full_kw)
    program.add_entries(hull, delivered, 1.0)
    steps = window.scenario.steps_per_row
    intervals = window.intervals_of(rows)
    for columns in energy.metered:
        program.add_entries(
            np.repeat(hull, steps), columns[intervals.ravel()], np.repeat(slope / steps, steps)
        )
    due_kw = programs.reduction_tolerance_frac * committed_kw
    missing = program.add_columns(
        rows.size, lower=0.0, upper=due_kw, gain=-programs.reduction_penalty_per_kwh * hours
    )
    enough = program.add_rows(rows.size, lower=due_kw)
    program.add_entries(enough, missing, 1.0)
    program.add_entries(enough, delivered, 1.0)


def _add_increase(program: LinearProgram, window: Window, energy: Energy) -> None:
    programs, scenario = window.programs, window.scenario
    rows = window.rows_where(INCREASE_CALL)
    if not rows.size:
        return
    steps = scenario.steps_per_row
    more = program.add_columns(
        rows.size,
        lower=0.0,
        upper=min(programs.increase_max_kw, window.most_kw),
        gain=programs.increase_pay_per_kwh * window.period_hours,
    )
    # max(load - baseline, 0) lies below the load, and below full power less the baseline.
    below_load = program.add_rows(rows.size, upper=0.0)
    program.add_entries(below_load, more, 1.0)
    _add_sums(program, below_load, energy.metered, window.intervals_of(rows), -1.0 / steps)
    above = program.add_rows(rows.size, upper=window.most_kw)
    program.add_entries(above, more, 1.0)
    calendar, history = scenario.exogenous.calendar, scenario.exogenous.history_rows
    last_of_slot = _last_of_slot(scenario)
    for row, limit in zip(rows, above, strict=True):
        slot = calendar[row, SLOT]
        days = history[calendar[row, DAY] - calendar[0, DAY]]
        for first, times in zip(*np.unique(days, return_counts=True), strict=True):
            past = first + slot
            inside = max(window.rows[0], scenario.first_row) <= past < row
            if not inside or last_of_slot[past] != past:
                continue
            if calendar[past, DAY] != calendar[first, DAY] or calendar[past, SLOT] != slot:
                continue
            intervals = window.intervals_of(np.array([past]))
            share = times / (BASELINE_DAYS * steps)
            _add_sums(program, np.array([limit]), energy.metered, intervals, share)


def _add_excess(
    program: LinearProgram,
    window: Window,
    energy: Energy,
    at: Ints,
    *,
    sign: float,
    limit_kw: float | Floats,
    penalty: float,
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
    programs, hours = window.programs, window.hours
    at = np.flatnonzero(window.market[:, PAUSE] > 0.0)
    program.add_constant(at.size * hours * programs.pause_pay_per_h)
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
    programs, hours, held_kw = window.programs, window.hours, window.programs.held_kw
    program.add_constant(float(window.market[:, HELD_PRICE].sum()) * held_kw * hours)
    at = np.flatnonzero(window.market[:, DEPLOYED] <= 0.0)
    fails = bool((window.scenario.params.repair_per_h > 0.0).any())
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
        penalty=slope * programs.held_penalty_per_kw_h * hours,
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

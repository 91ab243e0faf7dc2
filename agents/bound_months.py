"""What months settle, as columns and rows of the bound's linear program.

- Demand charge: by `gridhash.agents.bound_bills`, which says what each month bills and shares the
  bill among windows. A window has the highest mean of a metering period of each of its months; left
  out, in favour of profit, are metering periods that it cuts.
- Capacity contribution: exact. Bias penalty: exact for months that lie wholly in the window, and,
  where the span ends within a month, for what of it was open then.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from gridhash.agents.bound_bills import Bills, month_begins
from gridhash.agents.bound_tariff import Energy, Window, planned_kw
from gridhash.agents.linear_program import LinearProgram
from gridhash.envs.columns import MONTH
from gridhash.envs.parameters import Ints
from gridhash.envs.program_parameters import ProgramParameters
from gridhash.envs.scenario import Scenario


def settles_by_month(scenario: Scenario) -> bool:
    """Return whether the bound is tighter where windows begin with months."""
    programs = scenario.programs
    return programs.demand_charge_per_kw > 0.0 or programs.balancing


def month_windows(
    scenario: Scenario, rows: tuple[int, int], rows_per_window: int
) -> list[tuple[int, int]]:
    """Return windows that cover rows [first, last) and begin with the months in them.

    A month much longer than a window is cut into equal parts.
    """
    first, last = rows
    month = scenario.exogenous.calendar[first:last, MONTH]
    begins = first + np.flatnonzero(np.diff(month)) + 1
    windows = []
    for start, end in zip([first, *begins], [*begins, last], strict=True):
        n_parts = max(1, round((end - start) / rows_per_window))
        edges = np.linspace(start, end, n_parts + 1).astype(np.int64).tolist()
        windows += list(pairwise(edges))
    return windows


@dataclass(frozen=True)
class MonthWindow:
    """A window of a scenario: settlement periods [first, last), equal intervals."""

    scenario: Scenario
    rows: tuple[int, int]
    window: Window

    @property
    def programs(self) -> ProgramParameters:
        """Tariff and programs of the site."""
        return self.window.programs

    @property
    def most_kw(self) -> float:
        """No site power is above it."""
        return self.window.most_kw

    @property
    def n_intervals(self) -> int:
        """Dispatch intervals."""
        return len(self.window.market)

    @property
    def first_step(self) -> int:
        """Dispatch intervals from the start of a metering period to the start of the window."""
        return self.programs.metering_offset + self.rows[0] * self.scenario.steps_per_row

    def intervals_of(self, rows: Ints) -> Ints:
        """Return the intervals of some rows of the scenario, (len(rows), steps per row)."""
        steps = self.scenario.steps_per_row
        intervals: Ints = np.add.outer((rows - self.rows[0]) * steps, np.arange(steps))
        return intervals


def add_months(
    program: LinearProgram,
    window: MonthWindow,
    energy: Energy,
    bills: Bills | None,
    opened: tuple[int, int] | None,
) -> Ints:
    """Add demand charge, capacity contribution and bias penalty.

    Returns the columns, (K,), of what the window's peaks exceed each of `bills` by [kW]: what a
    window pays for them is left to `gridhash.agents.bound_bills`. `opened` is the span if every
    play opens its accounts in its first row with the peak that the site file states
    (`BatchedSite.start_at`) and is charged what it leaves open in its last, else None.
    """
    programs, (first, last) = window.programs, window.rows
    calendar = window.scenario.exogenous.calendar
    rows = np.arange(first, last)
    month = calendar[rows, MONTH]
    begins = month_begins(calendar, rows)
    program.add_constant(-float(begins.sum()) * programs.capacity_charge_per_month)
    excess = np.zeros(0, dtype=np.int64)
    if bills is not None:
        peaks = {m: _add_peak(program, window, energy, m) for m in np.unique(month).tolist()}
        excess = _add_excess(program, window, peaks, bills)
        begun = np.isin(bills.month, month[begins]) & bills.booked
        program.add_constant(-programs.demand_charge_per_kw * float(bills.known_kw[begun].sum()))
    if programs.balancing and programs.bias_penalty_per_kwh > 0.0:
        ends = np.append(month[1:] != month[:-1], True)
        ends[-1] = last == len(calendar) or calendar[last, MONTH] != month[-1]
        ends[-1] |= opened is not None and last == opened[1]
        for number in np.unique(month).tolist():
            own = month == number
            is_known = begins[own][0] or (own[0] and opened is not None and opened[0] == first)
            if ends[own][-1] and is_known:
                _add_bias(program, window, energy, rows[own])
    return excess


def add_peak_price(
    program: LinearProgram, window: MonthWindow, energy: Energy, *, billed_kw: float
) -> None:
    """Charge what a mean above `billed_kw` costs in this month and all later ones it is billed in.

    For plans, which know the peaks so far; the window's metering periods alone are looked at.
    """
    programs = window.programs
    months = 1.0 + (programs.ratchet_months - 1) * programs.ratchet_frac
    above = program.add_columns(
        1, lower=0.0, upper=window.most_kw, gain=-programs.demand_charge_per_kw * months
    )
    metering = programs.metering_steps
    starts = np.arange(-window.first_step % metering, window.n_intervals - metering + 1, metering)
    if not starts.size:
        return
    below = program.add_rows(starts.size, lower=-billed_kw)
    program.add_entries(below, np.repeat(above, starts.size), 1.0)
    intervals = (starts[:, None] + np.arange(metering)).ravel()
    for columns in energy.metered:
        program.add_entries(np.repeat(below, metering), columns[intervals], -1.0 / metering)


def _add_peak(program: LinearProgram, window: MonthWindow, energy: Energy, number: int) -> Ints:
    """Return the column of a month's highest mean in the metering periods of the window."""
    programs, calendar = window.programs, window.scenario.exogenous.calendar
    steps = window.scenario.steps_per_row
    metering = programs.metering_steps
    starts = np.arange(-window.first_step % metering, window.n_intervals - metering + 1, metering)
    ends_in = calendar[window.rows[0] + (starts + metering - 1) // steps, MONTH]
    starts = starts[ends_in == number]
    peak = program.add_columns(1, lower=0.0, upper=window.most_kw)
    if starts.size:
        below = program.add_rows(starts.size, lower=0.0)
        program.add_entries(below, np.repeat(peak, starts.size), 1.0)
        intervals = (starts[:, None] + np.arange(metering)).ravel()
        for columns in energy.metered:
            program.add_entries(np.repeat(below, metering), columns[intervals], -1.0 / metering)
    return peak


def _add_excess(
    program: LinearProgram, window: MonthWindow, peaks: dict[int, Ints], bills: Bills
) -> Ints:
    """Return the columns, (K,), of what peaks of the window exceed each bill by."""
    excess = program.add_columns(
        len(bills.month), lower=0.0, upper=np.maximum(window.most_kw - bills.known_kw, 0.0)
    )
    for number, peak in peaks.items():
        weight = bills.weight(number)
        counts = np.flatnonzero(weight > 0.0)
        above = program.add_rows(counts.size, lower=-bills.known_kw[counts])
        program.add_entries(above, excess[counts], 1.0)
        program.add_entries(above, np.repeat(peak, counts.size), -weight[counts])
    return excess


def _add_bias(program: LinearProgram, window: MonthWindow, energy: Energy, rows: Ints) -> None:
    """Fine the net deviation of a month beyond what is tolerated."""
    programs = window.programs
    hours = window.window.row_hours / window.scenario.steps_per_row
    plan_kwh = float(planned_kw(window.scenario)[rows].sum()) * window.window.row_hours
    tolerated_kwh = programs.bias_limit_frac * plan_kwh
    intervals = window.intervals_of(rows).ravel()
    most_kwh = window.most_kw * hours * intervals.size + plan_kwh
    excess = program.add_columns(1, lower=0.0, upper=most_kwh, gain=-programs.bias_penalty_per_kwh)
    for sign in (1.0, -1.0):
        beyond = program.add_rows(1, lower=-sign * plan_kwh - tolerated_kwh)
        program.add_entries(beyond, excess, 1.0)
        program.add_entries(
            np.repeat(beyond, intervals.size), energy.imported[intervals], -sign * hours
        )

"""What months settle, as columns and rows of the bound's linear program.

- Demand charge: rate times the highest mean of a metering period in the month, not below the
  ratchet. Exact for a month that begins in the window, but for two things bent in favour of profit:
  metering periods that the window cuts are left out, and so are peaks of months before the span
  unless every play opens its accounts there. Of a month that began before the window nothing is
  charged, unless the window is the first and the accounts open in it: then what exceeds the peak
  that they open with. `month_windows` cuts a span at its months, so that none is lost.
- The ratchet reaches from month to month within a window; from window to window it is left out.
- Capacity contribution: exact. Bias penalty: exact for months that lie wholly in the window.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

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
    program: LinearProgram, window: MonthWindow, energy: Energy, opened_at: int | None
) -> None:
    """Add demand charge, capacity contribution and bias penalty.

    `opened_at` is the first row of the span if every play opens its accounts there with the peak
    that the site file states (`BatchedSite.start_at`), else None.
    """
    programs, first = window.programs, window.rows[0]
    calendar = window.scenario.exogenous.calendar
    rows = np.arange(*window.rows)
    month = calendar[rows, MONTH]
    begins = (rows == 0) | (month != calendar[np.maximum(rows - 1, 0), MONTH])
    program.add_constant(-float(begins.sum()) * programs.capacity_charge_per_month)
    if programs.demand_charge_per_kw > 0.0:
        peaks: dict[int, Ints] = {}
        for number in np.unique(month).tolist():
            whole = bool(begins[month == number][0])
            peaks[number] = _add_peak(program, window, energy, number)
            _add_bill(program, window, peaks, number, whole=whole, opened_at=opened_at)
    if programs.balancing and programs.bias_penalty_per_kwh > 0.0:
        ends = np.append(month[1:] != month[:-1], True)
        last = window.rows[1]
        ends[-1] = last == len(calendar) or calendar[last, MONTH] != month[-1]
        for number in np.unique(month).tolist():
            own = month == number
            if ends[own][-1] and (begins[own][0] or (own[0] and opened_at == first)):
                _add_bias(program, window, energy, rows[own])


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


def _add_bill(
    program: LinearProgram,
    window: MonthWindow,
    peaks: dict[int, Ints],
    number: int,
    *,
    whole: bool,
    opened_at: int | None,
) -> None:
    """Charge a month's billed demand, from its own peak and those of months in the window."""
    programs = window.programs
    rate, frac = programs.demand_charge_per_kw, programs.ratchet_frac
    least_kw, before_kw = 0.0, 0.0
    if opened_at is not None:
        months_on = number - int(window.scenario.exogenous.calendar[opened_at, MONTH])
        if months_on < programs.ratchet_months - 1:
            least_kw = frac * programs.peak_before_kw
    if not whole:
        if opened_at != window.rows[0] or number != min(peaks):
            return
        least_kw = before_kw = programs.peak_before_kw
    billed = program.add_columns(1, lower=least_kw, upper=max(window.most_kw, least_kw), gain=-rate)
    program.add_constant(rate * before_kw)
    for other, peak in peaks.items():
        if number - other < programs.ratchet_months:
            above = program.add_rows(1, lower=0.0)
            program.add_entries(above, billed, 1.0)
            program.add_entries(above, peak, -1.0 if other == number else -frac)


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

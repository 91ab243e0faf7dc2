"""The tariff as columns and rows of the bound's linear program.

Line by line of the ledger, what is exact and what is bent in favour of profit:

- Import: spot, adders, levy and carbon by row: exact. Surplus and panels are taken at will, where
  the kernel takes panels first and surplus next; the daily quota of surplus is kept. Export is what
  is not taken of the panels: exact.
- Power purchase: exact while spot is not negative. Below zero the kernel sells nothing and buys
  only beyond the block: a gain convex in import, of which the chord up to full power stands.
- Coincident peaks: exact, linear in metered power. Demand charge: `gridhash.agents.bound_months`.
- Imbalance: exact where the shortage price is not below the surplus price, else a chord. The plan
  is the default nomination, which no play changes.

Programs: `gridhash.agents.bound_programs`.
"""

from dataclasses import dataclass

import numpy as np

from gridhash.agents.linear_program import LinearProgram
from gridhash.envs.columns import (
    CAPACITY_WEIGHT,
    DAY,
    IMBALANCE_SHORTAGE,
    IMBALANCE_SURPLUS,
    NOMINATED,
    PRICE,
    PV,
    SLOT,
    TRANSMISSION_WEIGHT,
)
from gridhash.envs.parameters import Floats, Ints
from gridhash.envs.program_parameters import ProgramParameters
from gridhash.envs.scenario import Scenario


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


def add_tariff(
    program: LinearProgram, window: Window, imported: Ints, from_surplus: Ints, balance: Ints
) -> Energy:
    """Add what the tariff costs and earns, but for what months settle; return the energy's columns.

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
    return energy


def add_sums(
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
    short, surplus = market[rows, IMBALANCE_SHORTAGE], market[rows, IMBALANCE_SURPLUS]
    program.add_constant(-float(planned_kwh @ market[rows, PRICE]))
    program.add_gain(energy.imported, window.hours * window.market[:, PRICE])

    most_kwh = window.most_kw * hours
    n_rows = len(rows)
    more = program.add_columns(n_rows, lower=0.0, upper=most_kwh)
    less = program.add_columns(n_rows, lower=0.0, upper=planned_kwh)
    deviation = program.add_rows(n_rows, lower=planned_kwh, upper=planned_kwh)
    add_sums(program, deviation, (energy.imported,), window.intervals_of(rows), window.hours)
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
    return np.asarray(scenario.market[last_of_slot(scenario), NOMINATED])


def last_of_slot(scenario: Scenario) -> Ints:
    """Return for each row the last one of its day and slot, (rows,)."""
    calendar = scenario.exogenous.calendar
    key = calendar[:, DAY] * (scenario.slots_per_day + 1) + calendar[:, SLOT]
    _, index = np.unique(key, return_inverse=True)
    last = np.zeros(int(index.max()) + 1, dtype=np.int64)
    np.maximum.at(last, index, np.arange(len(key)))
    return np.asarray(last[index])

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
from functools import cached_property

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
from gridhash.envs.parameters import Floats, Ints, SiteParameters
from gridhash.envs.program_parameters import ProgramParameters
from gridhash.envs.scenario import Scenario


@dataclass(frozen=True)
class IncreaseBaseline:
    """What the baseline of calls to consume is at least."""

    known_kw: Floats
    """(P,) the part of it that no decision of the window changes."""
    period: Ints
    """(n,) a period with a call …"""
    past: Ints
    """(n,) … an earlier period whose mean load counts in its baseline …"""
    share: Floats
    """(n,) … with this share."""


@dataclass(frozen=True)
class Window:
    """What tariff and programs need to know of T intervals in P settlement periods.

    Of a scenario, made by `gridhash.agents.bound`; of a plan on forecasts, by
    `gridhash.agents.plan_program`, whose later periods may be several of the market's in one.
    """

    params: SiteParameters
    programs: ProgramParameters
    market: Floats
    """(T, …) market array, constant within a settlement period."""
    hours: Floats
    """(T,) length of each interval."""
    period: Ints
    """(T,) number of the settlement period that each lies in, rising from 0."""
    row_hours: float
    """Of a settlement period of the market."""
    most_kw: float
    """No site power is above it."""
    day: Ints
    """(T,) number of the day that each lies in, for quotas, rising from 0."""
    quota_kwh: Floats
    """(days,) surplus that may still be drawn in each day."""
    plan_kwh: Floats
    """(P,) nominated energy of each period less what is imported already; NaN where unknown."""
    baseline_kw: Floats
    """(P,) the most that the baseline of a call to reduce can be in each period."""
    increase_baseline: IncreaseBaseline
    """Of calls to consume."""

    @cached_property
    def first(self) -> Ints:
        """(P,) first interval of each period."""
        return np.flatnonzero(np.diff(self.period, prepend=-1))

    @cached_property
    def period_hours(self) -> Floats:
        """(P,) length of each period as far as it lies in the window."""
        return np.asarray(np.bincount(self.period, self.hours), dtype=np.float64)

    def of_periods(self, column: int) -> Floats:
        """Return a market column by period, (P,)."""
        return np.asarray(self.market[self.first, column])

    def add_means(
        self,
        program: LinearProgram,
        rows: Ints,
        columns: tuple[Ints, ...],
        periods: Ints,
        value: float | Floats,
    ) -> None:
        """Add columns to rows by their mean over periods, one period and value for each row."""
        counts = np.bincount(self.period, minlength=len(self.first))[periods]
        which = np.repeat(np.arange(len(rows)), counts)
        offset = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        interval = self.first[periods][which] + offset
        share = self.hours[interval] / self.period_hours[periods][which]
        share = share * np.broadcast_to(value, len(rows))[which]
        for one in columns:
            program.add_entries(rows[which], one[interval], share)


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
        program.add_gain(columns, -weight * window.hours / window.row_hours)
    if programs.balancing:
        _add_imbalance(program, window, energy)
    return energy


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
    program.add_constant(float(given_kw @ hours) * programs.export_price_per_kwh)
    return Energy(imported=energy.imported, from_surplus=energy.from_surplus, from_panels=used)


def _add_quota(program: LinearProgram, window: Window, energy: Energy) -> None:
    days = program.add_rows(len(window.quota_kwh), upper=window.quota_kwh)
    program.add_entries(days[window.day], energy.from_surplus, window.hours)


def _add_purchase(program: LinearProgram, window: Window, energy: Energy) -> None:
    programs, hours = window.programs, window.hours
    volume_kw, spot = programs.purchase_kw, window.market[:, PRICE]
    resale = np.maximum(spot - programs.resale_fee_per_kwh, 0.0)
    paid = volume_kw * programs.purchase_price_per_kwh
    program.add_constant(float((volume_kw * resale - paid) @ hours))
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
    """Pay the plan at spot and the rest at imbalance prices; the spot price of import is undone.

    Periods whose plan is not known yet pay spot for all.
    """
    known = np.flatnonzero(~np.isnan(window.plan_kwh))
    planned_kwh, hours = window.plan_kwh[known], window.period_hours[known]
    short = window.of_periods(IMBALANCE_SHORTAGE)[known]
    surplus = window.of_periods(IMBALANCE_SURPLUS)[known]
    program.add_constant(-float(planned_kwh @ window.of_periods(PRICE)[known]))
    undone = ~np.isnan(window.plan_kwh)[window.period]
    program.add_gain(energy.imported, undone * window.hours * window.market[:, PRICE])

    most_kwh = window.most_kw * hours
    more = program.add_columns(len(known), lower=0.0, upper=most_kwh + np.maximum(-planned_kwh, 0))
    less = program.add_columns(len(known), lower=0.0, upper=np.maximum(planned_kwh, 0.0))
    deviation = program.add_rows(len(known), lower=planned_kwh, upper=planned_kwh)
    window.add_means(program, deviation, (energy.imported,), known, hours)
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

"""The plan of who knows everything that comes: what imitation learns from.

The same linear program as the bound's (`gridhash.agents.bound`), from a given state instead of a
free one, with what a new demand peak costs in later months beside it. Its plan is a relaxation:
counts of rigs are fluid, and ramps, derating and the inertia of loops are left out. How far the
kernel falls short of it when it plays the plan, `execute_plan` tells.
"""

from dataclasses import dataclass

import numpy as np

from gridhash.agents.bound import WindowProgram, window_program
from gridhash.agents.bound_months import add_peak_price
from gridhash.agents.linear_program import Solution
from gridhash.agents.rig_class import rig_classes
from gridhash.agents.rig_program import RigStart
from gridhash.envs.action import ActionKind
from gridhash.envs.batched_site import BatchedSite, EpisodeRules
from gridhash.envs.ledger import BIAS, CAPACITY_CONTRIBUTION, DEMAND
from gridhash.envs.levels import full_power_kw
from gridhash.envs.parameters import Floats
from gridhash.envs.scenario import Scenario
from gridhash.envs.state import FleetState, empty_state, place_at_rest
from gridhash.errors import DataError
from gridhash.units import SECONDS_PER_DAY

BY_MONTH = [DEMAND, CAPACITY_CONTRIBUTION, BIAS]
"""Costs in the ledger that months settle."""


@dataclass(frozen=True)
class ClairvoyantPlan:
    """What to do in each dispatch interval of a span, all of it known: T intervals, G groups."""

    rows: tuple[int, int]
    """Settlement periods [first, last)."""
    rig_kw: Floats
    """(T, G) rig power to ask of each group [kW]."""
    action: Floats
    """(T, G) the same per full power: an action of kind ``power``."""
    marginal_per_kwh: Floats
    """(T,) what one more kWh of site power costs, with all that it changes: the dual of the power
    balance. A group should draw more where its next kWh hashes for more than this."""


@dataclass(frozen=True)
class ExecutedPlan:
    """A plan beside what the kernel earns when it plays it."""

    planned: float
    """By the linear program [currency]."""
    executed: float
    """In the kernel, by the same actions from the same state [currency]. Neither of the two has
    what months settle."""

    @property
    def gap(self) -> float:
        """What the relaxation promises too much [currency]."""
        return self.planned - self.executed


def clairvoyant_plan(
    scenario: Scenario,
    rows: tuple[int, int],
    *,
    state: FleetState | None = None,
    site: int = 0,
    billed_kw: float | None = None,
    window_days: float = 7.0,
    tail_days: float = 1.0,
) -> ClairvoyantPlan:
    """Return the best plan of a span with all prices, calls and weather known.

    Long spans are planned window by window, each from where the last one's plan ended.

    Parameters
    ----------
    rows
        Settlement periods [first, last).
    state, site
        The fleet before the first decision, and which of its sites; None is a fleet that has
        stood for long.
    billed_kw
        The highest demand that is billed already; more costs the demand charge of all months that
        it is billed in. None is the `peak_before_kw` of the site.
    tail_days
        Days behind each window that are planned with it and thrown away, so that a window does not
        end as if nothing came after it.

    Raises
    ------
    DataError
        If the rows are not in the scenario.
    SolverError
        If HiGHS finds no optimum.
    """
    starts = _starts(scenario, state, site)
    parts = [
        _plan_window(scenario, (first, last), starts, billed_kw, tail_days)
        for first, last in _windows(scenario, rows, window_days)
    ]
    return ClairvoyantPlan(
        rows=rows,
        rig_kw=np.concatenate([part.rig_kw for part in parts]),
        action=np.concatenate([part.action for part in parts]),
        marginal_per_kwh=np.concatenate([part.marginal_per_kwh for part in parts]),
    )


def execute_plan(
    scenario: Scenario, rows: tuple[int, int], *, running_frac: float = 0.0
) -> ExecutedPlan:
    """Plan a span as one window from a fleet at rest, play the plan and compare.

    Raises
    ------
    DataError
        If the rows are not in the scenario.
    SolverError
        If HiGHS finds no optimum.
    """
    _check(scenario, rows)
    sites = BatchedSite(
        scenario, 1, EpisodeRules(action_kind=ActionKind.POWER, episode_days=1 / 24, rows=rows)
    )
    sites.start_at(rows[0], running_frac=running_frac)
    built = window_program(scenario, rows, starts=_starts(scenario, sites.state, 0))
    solution = built.program.solve()
    profit = 0.0
    rig_kw = _group_kw(scenario, built, solution.columns)
    for action in rig_kw / full_power_kw(scenario.params):
        output = sites.step(action[None])
        profit += float(output.profit[0] + output.ledger[0, BY_MONTH].sum())
    return ExecutedPlan(planned=solution.value, executed=profit)


def _windows(
    scenario: Scenario, rows: tuple[int, int], window_days: float
) -> list[tuple[int, int]]:
    _check(scenario, rows)
    length = round(window_days * SECONDS_PER_DAY / scenario.trace.period_s)
    if length < 1:
        raise DataError(f"a window of {window_days:g} days holds no settlement period")
    return [(first, min(first + length, rows[1])) for first in range(*rows, length)]


def _check(scenario: Scenario, rows: tuple[int, int]) -> None:
    first, last = rows
    if not scenario.first_row <= first < last <= scenario.n_rows:
        raise DataError(
            f"rows {first} to {last} do not lie within {scenario.first_row} to {scenario.n_rows}"
        )


def _starts(scenario: Scenario, state: FleetState | None, site: int) -> list[RigStart]:
    """Return the rigs of each class by age before the first decision."""
    if state is None:
        state = empty_state(scenario.params, 1)
        at_rest = np.zeros((1, scenario.n_groups))
        place_at_rest(state, scenario.params, np.zeros(1, dtype=np.int64), at_rest, at_rest)
        site = 0
    return [
        RigStart(
            up=state.up[site, list(rigs.groups)].sum(axis=0),
            down=state.down[site, list(rigs.groups)].sum(axis=0),
        )
        for rigs in rig_classes(scenario.params)
    ]


def _plan_window(
    scenario: Scenario,
    rows: tuple[int, int],
    starts: list[RigStart],
    billed_kw: float | None,
    tail_days: float,
) -> ClairvoyantPlan:
    """Plan one window; `starts` becomes the state at its end."""
    tail = round(tail_days * SECONDS_PER_DAY / scenario.trace.period_s)
    end = min(rows[1] + tail, scenario.n_rows)
    built, solution = _solve(scenario, (rows[0], end), starts, billed_kw)
    x = solution.columns
    n = (rows[1] - rows[0]) * scenario.steps_per_row
    starts[:] = [
        columns.state_after(x, n, before)
        for columns, before in zip(built.rigs, starts, strict=True)
    ]
    rig_kw = _group_kw(scenario, built, x)[:n]
    return ClairvoyantPlan(
        rows=rows,
        rig_kw=rig_kw,
        action=rig_kw / full_power_kw(scenario.params),
        marginal_per_kwh=(solution.row_duals[built.balance] / built.intervals.hours)[:n],
    )


def _solve(
    scenario: Scenario,
    rows: tuple[int, int],
    starts: list[RigStart],
    billed_kw: float | None,
) -> tuple[WindowProgram, Solution]:
    """Return the program of a window from a state, and its optimum."""
    built = window_program(scenario, rows, starts=starts)
    programs = scenario.programs
    if built.months is not None and programs.demand_charge_per_kw > 0.0:
        known_kw = programs.peak_before_kw if billed_kw is None else billed_kw
        add_peak_price(built.program, built.months, built.energy, billed_kw=known_kw)
    return built, built.program.solve()


def _group_kw(scenario: Scenario, built: WindowProgram, x: Floats) -> Floats:
    """Return the rig power of each group, (T, G); groups of a class share it by their rigs."""
    n_rigs = scenario.params.n_rigs
    group_kw = np.zeros((len(built.balance), len(n_rigs)))
    for rigs, columns in zip(built.classes, built.rigs, strict=True):
        own_kw = columns.rig_kw(x, rigs.level_kw)
        for g in rigs.groups:
            group_kw[:, g] = own_kw * (n_rigs[g] / rigs.n_rigs)
    return group_kw

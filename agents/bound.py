"""What no policy can exceed: the site with all prices known, as a linear program.

Every play of the kernel over a window is a feasible point of the window's program and earns there
at least what it earned, so the optimum bounds every policy from every state. What is left out or
bent is bent in favour of profit:

- The state before a window is free: any share may run, warm and free to stop, or be starting.
- Ramps, derating, trips and the thermal inertia of the loop are left out. Minimum up time is left
  out where a cap could break it (see `_minimum_up_holds`).
- Starting rigs may take another level than the rest of their group.
- Fans follow tangents below their law in the heat of the interval; pumps run in proportion to the
  rigs. Where energy has a negative price, a chord above the law limits what they can burn.
- Groups with the same rigs are one: the kernel's relations are linear in rigs, so the sum of
  several plays is a play of the sum. Of cooling that differs the most favourable is taken.

The value reported is the dual bound, evaluated here from the solver's multipliers by weak duality:
it holds even if the solver stopped early.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gridhash.agents.linear_program import LinearProgram, Solution
from gridhash.agents.rig_class import rig_classes
from gridhash.envs.columns import OUTDOOR, PRICE, SURPLUS
from gridhash.envs.parameters import SiteParameters
from gridhash.envs.scenario import Scenario
from gridhash.errors import DataError
from gridhash.units import SECONDS_PER_DAY, SECONDS_PER_HOUR

HOTTEST_START_C = 40.0
"""Warmest loop that an episode starts with."""


@dataclass(frozen=True)
class WindowBound:
    """The bound of one window."""

    rows: tuple[int, int]
    value: float
    """Certified: no policy earns more in these settlement periods [currency]."""
    planned: float
    """What the program's own plan earns; the difference is the solver's tolerance [currency]."""


@dataclass(frozen=True)
class Bound:
    """What no policy can earn more than over a span."""

    rows: tuple[int, int]
    """Settlement periods [first, last)."""
    windows: tuple[WindowBound, ...]

    @property
    def value(self) -> float:
        """Certified upper bound of the profit over the span [currency]."""
        return sum(window.value for window in self.windows)

    @property
    def planned(self) -> float:
        """What the plans of all windows earn [currency]."""
        return sum(window.planned for window in self.windows)


def perfect_foresight_bound(
    scenario: Scenario,
    rows: tuple[int, int],
    *,
    window_days: float = 28.0,
    progress: Callable[[int, int], None] | None = None,
) -> Bound:
    """Return an upper bound on what any policy earns in the kernel over a span.

    The span is cut into disjoint windows with free initial state; their bounds add up to one of
    the span, since the end of a window is then of no concern to the next.

    Parameters
    ----------
    rows
        Settlement periods [first, last).
    window_days
        Longer windows are tighter, by about one start per window, and slower.
    progress
        Called after each window with the number done and the number of windows.

    Raises
    ------
    DataError
        If the rows are not in the scenario or a window has no period.
    SolverError
        If HiGHS finds no optimum.
    """
    first, last = rows
    if not 0 <= first < last <= scenario.n_rows:
        raise DataError(f"rows {first} to {last} do not lie within 0 to {scenario.n_rows}")
    rows_per_window = round(window_days * SECONDS_PER_DAY / scenario.trace.period_s)
    if rows_per_window < 1:
        raise DataError(f"a window of {window_days:g} days holds no settlement period")
    starts = range(first, last, rows_per_window)
    windows = []
    for k, start in enumerate(starts):
        end = min(start + rows_per_window, last)
        solution = solve_window(scenario, (start, end))
        windows.append(
            WindowBound(rows=(start, end), value=solution.upper_bound, planned=solution.value)
        )
        if progress is not None:
            progress(k + 1, len(starts))
    return Bound(rows=rows, windows=tuple(windows))


def solve_window(scenario: Scenario, rows: tuple[int, int]) -> Solution:
    """Solve the program of one window."""
    params = scenario.params
    market = np.repeat(
        scenario.market[rows[0] : rows[1]], scenario.steps_per_row, axis=0
    )  # (T, 7): constant within a settlement period
    n = len(market)
    hours = params.interval_s / SECONDS_PER_HOUR
    import_price = market[:, PRICE] + params.adders_per_kwh
    # Surplus is never drawn where the grid is cheaper, but the program may: it will not want to.
    pays_to_burn = (import_price < 0.0) | (
        (params.surplus_price_per_kwh < 0.0) & (market[:, SURPLUS] > 0.0)
    )
    keep_minimum_up = _minimum_up_holds(params, float(market[:, OUTDOOR].max()))
    program = LinearProgram()
    most_kw = float(params.max_rig_kw + (params.fan_kw + params.pump_kw).sum())
    imported = program.add_columns(n, lower=0.0, upper=most_kw, gain=-hours * import_price)
    from_surplus = program.add_columns(
        n,
        lower=0.0,
        upper=np.minimum(market[:, SURPLUS], most_kw),
        gain=-hours * params.surplus_price_per_kwh,
    )
    balance = program.add_rows(n, lower=0.0, upper=0.0)
    program.add_entries(balance, imported, -1.0)
    program.add_entries(balance, from_surplus, -1.0)
    may_exceed_contract = params.max_rig_kw > params.rig_cap_kw
    contract = program.add_rows(n, upper=params.rig_cap_kw) if may_exceed_contract else None
    for rigs in rig_classes(params):
        rigs.add_to(
            program,
            market=market,
            hours=hours,
            balance=balance,
            contract=contract,
            keep_minimum_up=keep_minimum_up,
            pays_to_burn=pays_to_burn,
        )
    return program.solve()


def _minimum_up_holds(params: SiteParameters, hottest_outdoor_c: float) -> bool:
    """Return whether no cap of the kernel can stop a rig within its minimum up time.

    Contract power cannot if it feeds every rig at its lowest level. Derating and trips cannot if
    no chip reaches the derating temperature. Proof of the bound used for that: let y be the loop,
    x the mean chip and P the heat per rig. The loop settles at no more than
    C = max(setpoint, outdoors + n P_max / UA_max). With rho = n C_rig / C_loop, the kernel's
    equations give d(y + rho x)/dt = -UA (y - settled) / C_loop, which is not positive where y > C;
    so y + rho x never exceeds its largest value with y <= C. As x <= sup y + R P_max, and x >= y
    while y rises, sup y <= C + rho R P_max.
    """
    if float((params.n_rigs * params.level_kw[:, 0]).sum()) > params.rig_cap_kw:
        return False
    top_kw = params.level_kw[:, -1]
    rise_k = params.chip_to_coolant_k_per_kw * top_kw
    settled_c = np.maximum(
        np.maximum(params.coolant_setpoint_c, HOTTEST_START_C),
        hottest_outdoor_c + params.n_rigs * top_kw / params.heat_rejection_kw_per_k,
    )
    ratio = params.n_rigs * params.rig_heat_capacity_kj_per_k / params.loop_heat_capacity_kj_per_k
    return bool(np.all(settled_c + (ratio + 1.0) * rise_k <= params.chip_derate_c))

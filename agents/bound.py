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
- Rigs whose power depends on their temperature may be as cold in each interval as a chip can be
  then that had no heat (`gridhash.agents.coldest`), and, once they have run for an hour, no colder
  than fans can have made their loop (`gridhash.agents.lasting_warmth`); or as hot where burning
  pays, whatever the loop is. Heaters, limits on starts in the cold and repairs cost
  nothing. Rigs that fail do so at will, draw no standby then, and come back as free to start: their
  groups have no minimum times.
- Tariff and programs: `gridhash.agents.bound_tariff`, `bound_programs`, `bound_months`.
- Groups with the same rigs are one: the kernel's relations are linear in rigs, so the sum of
  several plays is a play of the sum. Of cooling that differs the most favourable is taken.

The value reported is the dual bound, evaluated here from the solver's multipliers by weak duality:
it holds even if the solver stopped early.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from gridhash.agents.bound_bills import BilledWindow, Bills, bills_of, solve_shared
from gridhash.agents.bound_months import (
    MonthWindow,
    add_months,
    month_windows,
    settles_by_month,
)
from gridhash.agents.bound_programs import add_programs
from gridhash.agents.bound_tariff import Energy, add_tariff
from gridhash.agents.bound_window import scenario_window
from gridhash.agents.coldest import coldest_chips
from gridhash.agents.day_ahead_dp import settled_price_per_kwh
from gridhash.agents.lasting_warmth import lasting_warmth
from gridhash.agents.linear_program import LinearProgram
from gridhash.agents.rig_class import RigClass, rig_classes
from gridhash.agents.rig_program import (
    Intervals,
    RigColumns,
    RigStart,
    SiteRows,
    add_rigs,
    equal_intervals,
)
from gridhash.envs.batched_site import START_COOLANT_C
from gridhash.envs.columns import MONTH, OUTDOOR, PAUSE, SURPLUS, WET_BULB
from gridhash.envs.parameters import Floats, Ints, SiteParameters
from gridhash.envs.scenario import Scenario
from gridhash.envs.thermal import temperature_power_frac
from gridhash.errors import DataError
from gridhash.units import SECONDS_PER_DAY, SECONDS_PER_HOUR

COLDEST_START_C, HOTTEST_START_C = START_COOLANT_C
ROUNDING_K = 1e-6
FADED_K = 1e-3
FADING_TIMES = 20.0
"""Time constants after which 100 K have long become less than `FADED_K`."""


@dataclass(frozen=True)
class WindowBound:
    """The bound of one window."""

    rows: tuple[int, int]
    value: float
    """Certified: no policy earns more in these settlement periods, its share of the bills for
    demand charged [currency]."""
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
    opens_accounts: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Bound:
    """Return an upper bound on what any policy earns in the kernel over a span.

    The decisions of the day are those of the default rules: a play that bids or nominates its own
    (`EpisodeRules.day_decisions`) may earn more.

    The span is cut into disjoint windows with free initial state; their bounds add up to one of
    the span, since the end of a window is then of no concern to the next. Demand charges, which
    join windows, are shared among them (`gridhash.agents.bound_bills`).

    Parameters
    ----------
    rows
        Settlement periods [first, last).
    window_days
        Longer windows are tighter, by about one start per window, and slower. Where months are
        settled windows begin with them.
    opens_accounts
        Whether every play opens its accounts in the first row, as `BatchedSite.start_at` does, and
        pays for what it leaves open in the last, as `gridhash.training.play` does. The peak that a
        ratchet builds on is then the site file's, later months bill what the span's peaks leave to
        them, and the bias of a month cut short is fined. Otherwise that peak is unknown, and what
        is bounded is the ledger of the span: nothing before or after it is charged.
    progress
        Called after each program solved, with their number and the most that will be.

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
    if settles_by_month(scenario):
        spans = month_windows(scenario, rows, rows_per_window)
    else:
        starts = range(first, last, rows_per_window)
        spans = [(start, min(start + rows_per_window, last)) for start in starts]
    report = progress or _ignore
    opened = rows if opens_accounts else None
    if scenario.programs.demand_charge_per_kw > 0.0:
        bills = bills_of(scenario, rows, opens_accounts=opens_accounts)
        billed = [_billed_window(scenario, span, bills, opened) for span in spans]
        solutions = solve_shared(billed, scenario.programs.demand_charge_per_kw, report)
    else:
        solutions = []
        for span in spans:
            built = window_program(scenario, span)
            if built.months is not None:
                add_months(built.program, built.months, built.energy, None, opened)
            solutions.append(built.program.solve())
            report(len(solutions), len(spans))
    return Bound(
        rows=rows,
        windows=tuple(
            WindowBound(rows=span, value=solution.upper_bound, planned=solution.value)
            for span, solution in zip(spans, solutions, strict=True)
        ),
    )


def _ignore(done: int, total: int) -> None:
    """Report nothing."""


def _billed_window(
    scenario: Scenario, rows: tuple[int, int], bills: Bills, opened: tuple[int, int] | None
) -> BilledWindow:
    """Return the program of a window with what its peaks exceed the bills of months by."""
    built = window_program(scenario, rows)
    assert built.months is not None
    excess = add_months(built.program, built.months, built.energy, bills, opened)
    months = np.unique(scenario.exogenous.calendar[rows[0] : rows[1], MONTH])
    concerns = np.any([bills.weight(month) > 0.0 for month in months.tolist()], axis=0)
    return BilledWindow(program=built.program, excess=excess, concerns=concerns)


@dataclass(frozen=True)
class WindowProgram:
    """The program of one window, and where in it to find what."""

    program: LinearProgram
    intervals: Intervals
    balance: Ints
    """(T,) rows whose multiplier is what a kilowatt of site power costs."""
    energy: Energy
    classes: list[RigClass]
    rigs: list[RigColumns]
    """Of each class."""
    months: MonthWindow | None
    """What `gridhash.agents.bound_months` adds to; None without tariff and programs."""


def window_program(
    scenario: Scenario, rows: tuple[int, int], *, starts: Sequence[RigStart] | None = None
) -> WindowProgram:
    """Return the program of one window without what months settle.

    `starts` is the state of each class of `rig_classes` before the window; free where None.
    """
    params, programs = scenario.params, scenario.programs
    row = np.repeat(np.arange(*rows), scenario.steps_per_row)
    market = scenario.market[row]  # constant within a settlement period
    n = len(market)
    classes = rig_classes(params)
    hours = params.interval_s / SECONDS_PER_HOUR
    import_price = settled_price_per_kwh(scenario)[row]
    # Surplus is never drawn where the grid is cheaper, but the program may: it will not want to.
    pays_to_burn = (import_price < 0.0) | (
        (params.surplus_price_per_kwh < 0.0) & (market[:, SURPLUS] > 0.0)
    )
    if programs.present:
        pays_to_burn = np.ones(n, dtype=np.bool_)
    paused = market[:, PAUSE] > 0.0
    hottest_c = float(market[:, OUTDOOR].max())
    program = LinearProgram()
    cooling_kw = float((params.fan_kw + params.pump_kw + params.freeze_heater_kw).sum())
    most_kw = params.max_rig_kw * max(rigs.hot_frac for rigs in classes) + cooling_kw
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
    rig_cap_kw = np.where(
        paused, min(params.rig_cap_kw, programs.pause_rig_cap_kw), params.rig_cap_kw
    )
    may_exceed_cap = params.max_rig_kw > rig_cap_kw.min()
    site_rows = SiteRows(
        balance=balance,
        contract=program.add_rows(n, upper=rig_cap_kw) if may_exceed_cap else None,
        minimum_up_holds=~paused & _minimum_up_holds(params, hottest_c),
        pays_to_burn=pays_to_burn,
        coldest_c=np.zeros(n),
    )
    intervals = equal_intervals(n, hours)
    before: Sequence[RigStart | None] = [None] * len(classes) if starts is None else starts
    columns = []
    for rigs, start in zip(classes, before, strict=True):
        coldest_c = _coldest_c(scenario, rows, rigs)
        warmth = lasting_warmth(scenario, rows, rigs, coldest_c)
        own_rows = replace(site_rows, coldest_c=coldest_c[0], lasting_warmth=warmth)
        columns.append(add_rigs(program, rigs, intervals, market, own_rows, start))
    energy = Energy(imported=imported, from_surplus=from_surplus)
    months = None
    if programs.present:
        site_kw = min(most_kw, params.contract_power_kw)
        window = scenario_window(scenario, rows, intervals.hours, site_kw)
        energy = add_tariff(program, window, imported, from_surplus, balance)
        add_programs(program, window, energy)
        months = MonthWindow(scenario, rows, window)
    return WindowProgram(program, intervals, balance, energy, classes, columns, months)


def _coldest_c(scenario: Scenario, rows: tuple[int, int], rigs: RigClass) -> tuple[Floats, Floats]:
    """Return how cold a chip and a loop of a class can be at most in each interval, (T,) [°C].

    Of a class whose power does not follow its chips the numbers mean nothing.
    """
    params, steps = scenario.params, scenario.steps_per_row
    n = (rows[1] - rows[0]) * steps
    if rigs.power_per_k == 0.0:
        return np.full(n, COLDEST_START_C), np.full(n, COLDEST_START_C)
    faded_rows = min(_fading_s(params) / scenario.trace.period_s, scenario.n_rows)
    first = min(max(scenario.first_row, rows[0] - math.ceil(faded_rows)), rows[0])
    market = scenario.market
    sink_c, share = rigs.sink(market[: rows[1], OUTDOOR], market[: rows[1], WET_BULB])
    before_c = float(sink_c[min(scenario.first_row, first) : first + 1].min())
    start_c = min(COLDEST_START_C, before_c)
    lately = np.repeat(sink_c[first:], steps), np.repeat(share[first:], steps)
    coldest_c = np.full((2, len(rigs.groups), len(lately[0])), start_c)
    for own_c, loop_c, g in zip(*coldest_c, rigs.groups, strict=True):
        if rigs.fails:  # rigs under repair leave the loop, whose terms then are others
            own_c[:] = min(start_c, float(sink_c[first:].min()))
            continue
        coldest_chips(
            lately[0],
            lately[1] * params.heat_rejection_min_kw_per_k[g],
            lately[1] * params.heat_rejection_kw_per_k[g],
            params.n_rigs[g],
            params.chip_to_coolant_k_per_kw[g],
            params.rig_heat_capacity_kj_per_k[g],
            params.loop_heat_capacity_kj_per_k[g],
            params.interval_s,
            start_c,
            (rows[0] - first) * steps,
            COLDEST_START_C,
            own_c,
            loop_c,
        )
    chip_c, loop_c = coldest_c[:, :, -n:].min(axis=1) - ROUNDING_K
    return chip_c, loop_c


def _fading_s(params: SiteParameters) -> float:
    """Return after which time a past temperature moves no chip by more than `FADED_K` [s].

    Chips, loop and air are a chain of resistances: the sum of its time constants is no less than
    its slowest. Heat rejection is least at the least fan speed, without spray; where it may be
    none, nothing fades.
    """
    least_kw_per_k = params.heat_rejection_min_kw_per_k * params.spray_off_rejection_frac
    if least_kw_per_k.min() <= 0.0:
        return math.inf
    chips_kj_per_k = params.n_rigs * params.rig_heat_capacity_kj_per_k
    slowest_s = (
        params.loop_heat_capacity_kj_per_k + chips_kj_per_k
    ) / least_kw_per_k + params.chip_to_coolant_k_per_kw * params.rig_heat_capacity_kj_per_k
    return FADING_TIMES * float(slowest_s.max())


def _minimum_up_holds(params: SiteParameters, hottest_outdoor_c: float) -> bool:
    """Return whether no cap of the kernel can stop a rig within its minimum up time.

    Contract power cannot if it feeds every rig at its lowest level. Derating and trips cannot if
    no chip reaches the derating temperature. Proof of the bound used for that: let y be the loop,
    x the mean chip and P the heat per rig. The loop settles at no more than
    C = max(setpoint, outdoors + n P_max / UA_max). With rho = n C_rig / C_loop, the kernel's
    equations give d(y + rho x)/dt = -UA (y - settled) / C_loop, which is not positive where y > C;
    so y + rho x never exceeds its largest value with y <= C. As x <= sup y + R P_max, and x >= y
    while y rises, sup y <= C + rho R P_max. P_max is that of a chip at its derating temperature,
    which then is never passed; a tower is reckoned without spray, against outdoor air.
    """
    if float((params.n_rigs * params.level_kw[:, 0]).sum()) > params.rig_cap_kw:
        return False
    if (params.repair_per_h > 0.0).any():
        return False
    hot_frac = np.array(
        [
            temperature_power_frac(*(float(x) for x in own))
            for own in zip(
                params.chip_derate_c, params.power_per_k, params.power_reference_c, strict=True
            )
        ]
    )
    top_kw = params.level_kw[:, -1] * hot_frac
    rise_k = params.chip_to_coolant_k_per_kw * top_kw
    full_kw_per_k = params.heat_rejection_kw_per_k * params.spray_off_rejection_frac
    settled_c = np.maximum(
        np.maximum(params.coolant_setpoint_c, HOTTEST_START_C),
        hottest_outdoor_c + params.n_rigs * top_kw / full_kw_per_k,
    )
    ratio = params.n_rigs * params.rig_heat_capacity_kj_per_k / params.loop_heat_capacity_kj_per_k
    return bool(np.all(settled_c + (ratio + 1.0) * rise_k <= params.chip_derate_c))

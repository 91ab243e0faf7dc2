"""Demand charges over many windows: what each month bills, and which window pays which share of it.

A month bills the highest of its own peak, of the peaks of the months before as far as the ratchet
reaches, and of what was known before the span: a maximum over windows. It is no less than any
average of what it would be for each window alone, so a window may be charged a fixed share of every
bill, as long as the shares of a bill sum to no more than one. Each window is then a program of its
own, and their optima sum to a bound whatever the shares are (Lagrangian relaxation).

Good shares are sought by cutting planes (Kelley, 1960): every plan of a window says what it would
earn under other shares, which bounds the window's optimum from below; the shares that make these
lower bounds sum to the least are tried next. The certificate is of the shares tried, so nothing of
the search has to be trusted.

The bills of months after the span are those that `gridhash.agents.liability` charges a play: what
its peaks leave to be paid later. They are bills for the excess over what peaks before the span
leave to them.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from gridhash.agents.linear_program import LinearProgram, Solution, WarmStart, new_highs
from gridhash.envs.columns import MONTH
from gridhash.envs.parameters import Floats, Ints
from gridhash.envs.scenario import Scenario

MOST_ROUNDS = 12
"""Shares that are tried."""
CLOSE_ENOUGH = 5e-4
"""Of what windows earn in sum: a gap to the best shares that ends the search."""
CAUTION = 0.5
"""How far from the best shares so far the next ones keep to them."""
TRACE = 1e-4
"""Of every bill, spread evenly over the windows that it concerns: what costs nothing, a solver need
not keep as low as it could be, and nothing could be learned from it."""
BELOW_ONE = 1.0 - 1e-12
"""What the shares of a bill sum to: rounding must not lift it above one."""


@dataclass(frozen=True)
class Bills:
    """K bills for demand that peaks of a span can raise, by month."""

    month: Ints
    """(K,) year x 12 + month - 1, rising."""
    known_kw: Floats
    """(K,) billed whatever happens in the span."""
    booked: np.ndarray[tuple[int], np.dtype[np.bool_]]
    """(K,) whether a play of the span pays for what is known too, not for the excess alone."""
    ratchet_months: int
    ratchet_frac: float

    def weight(self, month: int) -> Floats:
        """Return the share of a month's peak that each bill counts, (K,)."""
        ahead = self.month - month
        later = (ahead > 0) & (ahead < self.ratchet_months)
        return np.where(ahead == 0, 1.0, np.where(later, self.ratchet_frac, 0.0))


def month_begins(calendar: Ints, rows: Ints) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Return in which rows accounts of a month begin, (len(rows),)."""
    month = calendar[:, MONTH]
    return np.asarray((rows == 0) | (month[rows] != month[np.maximum(rows - 1, 0)]))


def bills_of(scenario: Scenario, rows: tuple[int, int], *, opens_accounts: bool) -> Bills:
    """Return the bills of a span, rows [first, last).

    Where accounts open in the first row, peaks before it are the site file's, and months after the
    span bill what is left to them. Otherwise nothing is known: there are the bills of months that
    begin in the span, and neither peaks before it nor months after it count.
    """
    programs, calendar = scenario.programs, scenario.exogenous.calendar
    first, last = int(calendar[rows[0], MONTH]), int(calendar[rows[1] - 1, MONTH])
    reach, frac = programs.ratchet_months - 1, programs.ratchet_frac
    begins = bool(month_begins(calendar, np.array([rows[0]]))[0])
    if not opens_accounts:
        month = np.arange(first if begins else first + 1, last + 1)
        known_kw, booked = np.zeros(len(month)), np.ones(len(month), dtype=np.bool_)
    else:
        month = np.arange(first, last + reach + 1)
        ahead = month - first
        # Accounts that open within a month open with a peak of that month.
        counts = ahead < reach if begins else ahead <= reach
        known_kw = np.where(counts, frac * programs.peak_before_kw, 0.0)
        booked = month <= last
        if not begins:
            known_kw[0], booked[0] = programs.peak_before_kw, False
    return Bills(
        month=month,
        known_kw=known_kw,
        booked=booked,
        ratchet_months=programs.ratchet_months,
        ratchet_frac=frac,
    )


@dataclass(frozen=True)
class BilledWindow:
    """A window's program without what it pays for its peaks."""

    program: LinearProgram
    excess: Ints
    """(K,) columns of what its peaks exceed each bill by [kW]."""
    concerns: np.ndarray[tuple[int], np.dtype[np.bool_]]
    """(K,) which bills its peaks can raise."""


def solve_shared(
    windows: Sequence[BilledWindow], per_kw: float, progress: Callable[[int, int], None]
) -> list[Solution]:
    """Return the optima of W windows that share their bills as well as was found.

    `per_kw` is what a bill charges for a kilowatt. `progress` is called with (programs solved, most
    that will be).

    Raises
    ------
    SolverError
        If HiGHS finds no optimum.
    """
    concerned = np.array([window.concerns for window in windows], dtype=np.float64)
    even = concerned / np.maximum(concerned.sum(axis=0), 1.0)

    def shares(near: Floats) -> Floats:
        return _below_one(TRACE * even + (1.0 - TRACE) * near)

    one_each = bool((concerned.sum(axis=0) <= 1.0).all())
    most = len(windows) * (1 if one_each else MOST_ROUNDS)
    search = _Search(windows, per_kw, lambda solved: progress(solved, most))
    search.evaluate(shares(even))
    while len(search.tried) < MOST_ROUNDS and not one_each:
        aim, least = search.aim()
        if search.value - least <= CLOSE_ENOUGH * search.turnover:
            break
        search.evaluate(shares(CAUTION * search.best_share + (1.0 - CAUTION) * aim))
    progress(most, most)
    return search.best


def _below_one(share: Floats) -> Floats:
    """Return shares, (W, K), that sum to less than one over the windows of a bill."""
    share = np.maximum(share, 0.0)
    share = share / np.maximum(share.sum(axis=0), 1.0) * BELOW_ONE
    assert all(math.fsum(own) <= 1.0 for own in share.T)
    return share


class _Search:
    """The plans found so far, and the best shares among those tried."""

    def __init__(
        self,
        windows: Sequence[BilledWindow],
        per_kw: float,
        progress: Callable[[int], None],
    ) -> None:
        self._windows, self._per_kw, self._progress = windows, per_kw, progress
        highs = new_highs()
        self._warm = [WarmStart(highs) for _ in windows]
        self._plans: list[list[tuple[float, Floats]]] = [[] for _ in windows]
        """By window: what a plan earns before its bills, and (K,) what they cost it whole."""
        self._solved = 0
        self.tried: list[float] = []
        """The bound by each of the shares tried."""
        self.value = math.inf
        self.best: list[Solution] = []
        self.best_share = np.zeros(0)

    @property
    def turnover(self) -> float:
        """What windows earn, gains and losses alike, before their bills [currency]."""
        return sum(max(abs(earned) for earned, _ in plans) for plans in self._plans)

    def evaluate(self, share: Floats) -> None:
        """Solve every window under shares (W, K) and keep what is best."""
        solutions = []
        for window, own, warm, plans in zip(
            self._windows, share, self._warm, self._plans, strict=True
        ):
            solution = window.program.solve(
                warm=warm, more_gain=(window.excess, -self._per_kw * own)
            )
            cost = self._per_kw * np.maximum(solution.columns[window.excess], 0.0)
            plans.append((solution.value + float(own @ cost), cost))
            solutions.append(solution)
            self._solved += 1
            self._progress(self._solved)
        value = math.fsum(solution.upper_bound for solution in solutions)
        self.tried.append(value)
        if value < self.value:
            self.value, self.best, self.best_share = value, solutions, share

    def aim(self) -> tuple[Floats, float]:
        """Return the shares, (W, K), that may be best by the plans so far, and what they may give.

        The least sum, over shares, of what the best known plan of each window earns.
        """
        n_windows, n_bills = len(self._windows), len(self._windows[0].excess)
        program = LinearProgram()
        most = 2.0 * self.turnover + sum(cost.sum() for own in self._plans for _, cost in own)
        earned = program.add_columns(n_windows, lower=-most, upper=most, gain=-1.0)
        share = program.add_columns(n_windows * n_bills, lower=0.0, upper=1.0)
        share = share.reshape(n_windows, n_bills)
        whole = program.add_rows(n_bills, upper=1.0)
        program.add_entries(np.tile(whole, n_windows), share.ravel(), 1.0)
        for w, plans in enumerate(self._plans):
            above = program.add_rows(len(plans), lower=np.array([plan for plan, _ in plans]))
            program.add_entries(above, np.repeat(earned[w], len(plans)), 1.0)
            costs = np.array([cost for _, cost in plans])
            program.add_entries(
                np.repeat(above, n_bills), np.tile(share[w], len(plans)), costs.ravel()
            )
        solution = program.solve()
        return solution.columns[share], -solution.value

"""What a site's tariff and programs remember: peaks, quotas, plans, load of past days."""

from typing import NamedTuple

import numpy as np

from gridhash.envs.columns import (
    BASELINE_DAY,
    CALL_FIRST,
    CALL_ROWS,
    DAY,
    GATE,
    INCREASE_CALL,
    MONTH,
    NOMINATED,
    RULE_LOAD,
    SEEN_PV,
    SLOT,
    Exogenous,
)
from gridhash.envs.jit import njit
from gridhash.envs.parameters import Floats
from gridhash.envs.program_parameters import ProgramParameters
from gridhash.envs.programs import BASELINE_DAYS, high_4_of_5_kw, lowest_day

# Columns of `Accounts.value`.
(
    PERIOD_KWH,  # metered in this settlement period
    IMPORT_KWH,  # of it from the grid at market price
    METER_KWH,  # metered in this metering period of the demand charge
    METER_STEPS,  # dispatch intervals of it so far
    MONTH_PEAK_KW,  # highest mean of this month so far
    RATCHET_KW,  # least billed demand of this month, from the months before
    QUOTA_LEFT_KWH,  # of surplus, today
    PLANNED_KWH,  # nominated this month
    BIAS_KWH,  # net deviation from plan this month
    LAST_DEVIATION_KWH,  # of the last settlement period
    COMMITTED_KW,  # to reduce when called, today
    NEXT_COMMITTED_KW,  # tomorrow
    LEFT_OUT,  # day of the history that the baseline leaves out
    BASELINE_KW,  # of the present or announced call, in this slot
    DELIVERED_KWH,  # in the present call
    DUE_KWH,  # in the present call
    CALLS,  # ended so far
    CALLS_FAILED,
    HELD_KW,  # capacity held today
    NEXT_HELD_KW,
    BEFORE_CALL_KW,  # site power before held capacity was called
    BASE_DEVIATION_KW,  # from the base point in the last interval
    INCREASE_BASELINE_KW,  # of a call to consume, in this slot
) = range(23)
N_ACCOUNTS = 23


class Accounts(NamedTuple):
    """Accounts of N sites, float64. S settlement periods make a day."""

    value: Floats
    """(N, 23)"""
    month_peak_kw: Floats
    """(N, 12) highest mean of each of the months before, newest first."""
    history_kw: Floats
    """(N, 5, S) load of the five newest baseline days, newest first."""
    today_kw: Floats
    """(N, S)"""
    plan_kw: Floats
    """(N, 2, S) nominated power of today and tomorrow."""


def empty_accounts(n_sites: int, slots: int) -> Accounts:
    """Return zeroed accounts; `slots` is the number of settlement periods of a day."""
    return Accounts(
        value=np.zeros((n_sites, N_ACCOUNTS)),
        month_peak_kw=np.zeros((n_sites, 12)),
        history_kw=np.zeros((n_sites, BASELINE_DAYS, slots)),
        today_kw=np.zeros((n_sites, slots)),
        plan_kw=np.zeros((n_sites, 2, slots)),
    )


@njit
def billed_demand_kw(accounts: Accounts, i: int) -> float:
    """Return the demand that this month's bill rests on so far [kW]."""
    return float(max(accounts.value[i, MONTH_PEAK_KW], accounts.value[i, RATCHET_KW]))


@njit
def ratchet_kw(accounts: Accounts, programs: ProgramParameters, i: int) -> float:
    """Return the least billed demand of a month, from the peaks of those before [kW]."""
    highest = 0.0
    for k in range(programs.ratchet_months - 1):
        highest = max(highest, accounts.month_peak_kw[i, k])
    return float(highest * programs.ratchet_frac)


@njit
def ratchet_rise_kw(
    accounts: Accounts, programs: ProgramParameters, i: int, mean_kw: float
) -> float:
    """Return by how much a demand raises what later months bill at least, summed over them [kW].

    A peak counts in the `ratchet_months` - 1 months after its own. In each of them it adds what
    it is, times `ratchet_frac`, above the peaks so far that still count then; so a peak that does
    no more than outlive an older one adds to the last months alone.
    """
    value, frac = accounts.value[i], programs.ratchet_frac
    if mean_kw <= value[MONTH_PEAK_KW]:
        return 0.0
    known_kw = value[MONTH_PEAK_KW]
    rise_kw = 0.0
    # From the last month in which the present one counts to the next: older peaks join in.
    for older in range(programs.ratchet_months - 1):
        rise_kw += frac * max(mean_kw - known_kw, 0.0)
        known_kw = max(known_kw, accounts.month_peak_kw[i, older])
    return rise_kw


@njit
def open_accounts(
    accounts: Accounts,
    programs: ProgramParameters,
    exogenous: Exogenous,
    i: int,
    row: int,
    peak_kw: float,
) -> None:
    """Start the accounts of a site at a row, with `peak_kw` as the highest demand so far.

    Past days are those of a site that followed the level rule.
    """
    market, calendar = exogenous.market, exogenous.calendar
    value = accounts.value[i]
    value[:] = 0.0
    slots = accounts.today_kw.shape[1]
    # The accounts of a month begin anew in its first row.
    begins = row == 0 or calendar[row - 1, MONTH] != calendar[row, MONTH]
    for k in range(12):
        accounts.month_peak_kw[i, k] = peak_kw
    value[MONTH_PEAK_KW] = 0.0 if begins else peak_kw
    value[RATCHET_KW] = ratchet_kw(accounts, programs, i)
    value[QUOTA_LEFT_KWH] = programs.surplus_quota_kwh
    value[COMMITTED_KW] = programs.committed_kw
    value[NEXT_COMMITTED_KW] = programs.committed_kw
    value[HELD_KW] = programs.held_kw
    value[NEXT_HELD_KW] = programs.held_kw
    value[BEFORE_CALL_KW] = market[row, RULE_LOAD]
    value[LEFT_OUT] = -1.0
    day = calendar[row, DAY] - calendar[0, DAY]
    for d in range(BASELINE_DAYS):
        open_history(accounts, exogenous, i, d, exogenous.history_rows[day, d], row)
    for slot in range(slots):
        accounts.today_kw[i, slot] = accounts.history_kw[i, 0, slot]
        accounts.plan_kw[i, 0, slot] = 0.0
        accounts.plan_kw[i, 1, slot] = 0.0
    gate_closed = False
    # A day of the clock's change has an hour more.
    for r in range(max(row - 2 * slots, 0), min(row + 3 * slots, market.shape[0])):
        ahead = calendar[r, DAY] - calendar[row, DAY]
        slot = calendar[r, SLOT]
        if ahead == 0:
            accounts.plan_kw[i, 0, slot] = market[r, NOMINATED]
            gate_closed |= r <= row and calendar[r, GATE] > 0
            if r < row:
                accounts.today_kw[i, slot] = rule_metered_kw(market, r)
        elif ahead == 1 and gate_closed:
            accounts.plan_kw[i, 1, slot] = market[r, NOMINATED]
    if programs.has_reduction:
        announce_call(accounts, programs, exogenous, i, row)
    if programs.increase_max_kw > 0.0 and market[row, INCREASE_CALL] > 0.0:
        increase_baseline(accounts, i, calendar[row, SLOT])


@njit
def rule_metered_kw(market: Floats, row: int) -> float:
    """Return what the meter would show under the level rule: its load less the panels [kW]."""
    return float(max(market[row, RULE_LOAD] - market[row, SEEN_PV], 0.0))


@njit
def open_history(
    accounts: Accounts, exogenous: Exogenous, i: int, d: int, first: int, row: int
) -> None:
    """Fill baseline day `d` from row `first` on by the level rule; nothing from `row` on is read.

    A period that the day does not have, by the clock's change or where the data begin, takes the
    load of the same time a day later, and if that is not over either, that of its first row.
    """
    market, calendar = exogenous.market, exogenous.calendar
    slots = accounts.today_kw.shape[1]
    for slot in range(slots):
        accounts.history_kw[i, d, slot] = rule_metered_kw(market, first)
    for r in range(first, min(first + slots, row)):
        accounts.history_kw[i, d, calendar[r, SLOT]] = rule_metered_kw(market, r)
    for r in range(first, min(first + 2 * slots, row)):
        if calendar[r, DAY] == calendar[first, DAY]:
            accounts.history_kw[i, d, calendar[r, SLOT]] = rule_metered_kw(market, r)


@njit
def announce_call(
    accounts: Accounts, programs: ProgramParameters, exogenous: Exogenous, i: int, row: int
) -> None:
    """Fill the baseline of the present or announced call to reduce at the start of a row."""
    value = accounts.value[i]
    first = exogenous.calendar[row, CALL_FIRST]
    if first < 0:
        value[BASELINE_KW] = 0.0
        value[LEFT_OUT] = -1.0
        return
    if value[LEFT_OUT] < 0.0 or row <= first:
        value[LEFT_OUT] = lowest_day(
            accounts.history_kw[i],
            exogenous.calendar[first, SLOT],
            exogenous.calendar[row, CALL_ROWS],
        )
    at = max(row, first)
    baseline_kw = high_4_of_5_kw(
        accounts.history_kw[i], exogenous.calendar[at, SLOT], int(value[LEFT_OUT])
    )
    if programs.baseline_by_rule and row >= first:
        baseline_kw = min(baseline_kw, rule_metered_kw(exogenous.market, row))
    value[BASELINE_KW] = baseline_kw


@njit
def increase_baseline(accounts: Accounts, i: int, slot: int) -> None:
    """Fill the baseline of a call to consume at the start of a row, from its own slot alone."""
    left_out = lowest_day(accounts.history_kw[i], slot, 1)
    accounts.value[i, INCREASE_BASELINE_KW] = high_4_of_5_kw(accounts.history_kw[i], slot, left_out)


@njit
def close_gate(
    accounts: Accounts, programs: ProgramParameters, exogenous: Exogenous, i: int, row: int
) -> None:
    """Fix the decisions of the next day by the default rules, at the start of the gate's row.

    Plan: what the level rule would draw at the newest prices known. Bids: what the site file says.
    """
    accounts.value[i, NEXT_COMMITTED_KW] = programs.committed_kw
    accounts.value[i, NEXT_HELD_KW] = programs.held_kw
    if not programs.balancing:
        return
    market, calendar = exogenous.market, exogenous.calendar
    slots = accounts.today_kw.shape[1]
    for r in range(row, min(row + 3 * slots, market.shape[0])):
        if calendar[r, DAY] == calendar[row, DAY] + 1:
            accounts.plan_kw[i, 1, calendar[r, SLOT]] = market[r, NOMINATED]


@njit
def new_day(
    accounts: Accounts,
    programs: ProgramParameters,
    i: int,
    was_baseline_day: bool,
) -> None:
    """Carry the accounts over midnight."""
    value = accounts.value[i]
    value[QUOTA_LEFT_KWH] = programs.surplus_quota_kwh
    value[COMMITTED_KW] = value[NEXT_COMMITTED_KW]
    value[HELD_KW] = value[NEXT_HELD_KW]
    slots = accounts.today_kw.shape[1]
    for slot in range(slots):
        if was_baseline_day:
            for d in range(BASELINE_DAYS - 1, 0, -1):
                accounts.history_kw[i, d, slot] = accounts.history_kw[i, d - 1, slot]
            accounts.history_kw[i, 0, slot] = accounts.today_kw[i, slot]
        # A period that the next day does not have, by the clock's change, keeps this load.
        accounts.today_kw[i, slot] = accounts.history_kw[i, 0, slot]
        accounts.plan_kw[i, 0, slot] = accounts.plan_kw[i, 1, slot]


@njit
def new_month(accounts: Accounts, programs: ProgramParameters, i: int) -> None:
    """Carry the peaks over the end of a month and begin its accounts anew."""
    value = accounts.value[i]
    for k in range(11, 0, -1):
        accounts.month_peak_kw[i, k] = accounts.month_peak_kw[i, k - 1]
    accounts.month_peak_kw[i, 0] = value[MONTH_PEAK_KW]
    value[MONTH_PEAK_KW] = 0.0
    value[RATCHET_KW] = ratchet_kw(accounts, programs, i)
    value[PLANNED_KWH] = 0.0
    value[BIAS_KWH] = 0.0


@njit
def enter_row(
    accounts: Accounts, programs: ProgramParameters, exogenous: Exogenous, i: int, row: int
) -> None:
    """Carry the accounts of a site into a row; those before it are settled."""
    calendar = exogenous.calendar
    if calendar[row, DAY] != calendar[row - 1, DAY]:
        new_day(accounts, programs, i, calendar[row - 1, BASELINE_DAY] > 0)
        if calendar[row, MONTH] != calendar[row - 1, MONTH]:
            new_month(accounts, programs, i)
    if calendar[row, GATE] > 0:
        close_gate(accounts, programs, exogenous, i, row)
    if programs.has_reduction:
        announce_call(accounts, programs, exogenous, i, row)
    if programs.increase_max_kw > 0.0 and exogenous.market[row, INCREASE_CALL] > 0.0:
        increase_baseline(accounts, i, calendar[row, SLOT])

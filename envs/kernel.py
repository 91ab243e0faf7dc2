"""One dispatch interval of N sites: the loop that calls every relation in order."""

from typing import NamedTuple

import numpy as np

from gridhash.envs.accounts import Accounts, enter_row
from gridhash.envs.action import SHADOW_PRICE, wanted_power
from gridhash.envs.columns import (
    PAUSE,
    PRICE,
    REVENUE,
    RULE_PROFIT,
    SURPLUS,
    Exogenous,
)
from gridhash.envs.coolant_loops import BLOCK, Loops, empty_loops, run_loops
from gridhash.envs.groups import end_interval, run_rigs
from gridhash.envs.jit import counted, njit
from gridhash.envs.ledger import (
    N_LEDGER,
    REPAIR,
    START_WEAR,
    WATER,
    write_ledger,
)
from gridhash.envs.limits import limit_setpoint
from gridhash.envs.observation import observe
from gridhash.envs.parameters import Floats, Floats32, Ints, SiteParameters
from gridhash.envs.program_parameters import ProgramParameters
from gridhash.envs.settlement import settle
from gridhash.envs.settlement_record import (
    FROM_SURPLUS,
    HASHRATE,
    LIABILITY,
    LIMIT_CUT,
    RECORD_TABLE,
    REFERENCE,
    SETPOINT,
    SITE,
    SITE_TABLE,
)
from gridhash.envs.state import (
    SETPOINT_KW,
    FleetState,
)
from gridhash.envs.supply_curve import (
    MAX_SEGMENTS,
    build_supply_curve,
    dispatch_on_curve,
    supply_is_shaped,
)

RECORD = tuple(column.name for column in RECORD_TABLE)
"""Columns of `StepOutput.record` in order."""
N_OWN_RECORD = len(SITE_TABLE)
"""Of these, what every site has."""


class StepOutput(NamedTuple):
    """What one step of N sites gives; the arrays are reused by the next step."""

    observation: Floats32
    """(N, F) float32"""
    reward: Floats
    """(N,)"""
    profit: Floats
    """(N,) signed sum of the ledger [currency]"""
    ledger: Floats
    """(N, N_LEDGER) terms in the order of `ledger.LEDGER`"""
    record: Floats
    """(N, len(RECORD)) in the order of `RECORD`"""
    row_shown: Ints
    """(N,) row whose features `observation` holds, -1 for none"""


def empty_output(n_sites: int, n_features: int) -> StepOutput:
    """Return zeroed outputs for N sites."""
    return StepOutput(
        observation=np.zeros((n_sites, n_features), dtype=np.float32),
        reward=np.zeros(n_sites),
        profit=np.zeros(n_sites),
        ledger=np.zeros((n_sites, N_LEDGER)),
        record=np.zeros((n_sites, len(RECORD))),
        row_shown=np.full(n_sites, -1, dtype=np.int64),
    )


class Scratch(NamedTuple):
    """Working memory of a step."""

    group: Floats
    """(5, G)"""
    loops: Loops
    """(G,) of `coolant_loops.LOOP`"""
    curve: Floats
    """(2, MAX_SEGMENTS)"""


def empty_scratch(n_groups: int) -> Scratch:
    """Return working memory for sites of `n_groups` groups."""
    return Scratch(
        group=np.zeros((5, n_groups)),
        loops=empty_loops(n_groups),
        curve=np.zeros((2, MAX_SEGMENTS)),
    )


@njit
def step_sites(
    params: SiteParameters,
    programs: ProgramParameters,
    exogenous: Exogenous,
    state: FleetState,
    accounts: Accounts,
    action: Floats,
    action_kind: int,
    relative_reward: bool,
    scratch: Scratch,
    output: StepOutput,
) -> None:
    """Advance every site by one dispatch interval under `action`, (N, G).

    With `relative_reward` the reward is profit less the profit of the best static operating point
    of that instant, which depends on prices alone: the best policy stays the same, the variance
    falls. Otherwise it is profit. What a new demand peak will cost in later months through its
    ratchet is taken off the reward at once, and not again when those months bill it. Both are
    divided by `params.reward_scale`.
    """
    n_sites = state.row.shape[0]
    for first in range(0, n_sites, BLOCK):
        end = min(first + BLOCK, n_sites)
        for i in range(first, end):
            row = present_row(state, exogenous, i)
            choose_setpoint(
                params,
                programs,
                exogenous,
                state,
                accounts,
                action[i],
                action_kind,
                i,
                row,
                scratch,
                output.record[i],
            )
            run_rigs(
                params,
                exogenous,
                state,
                i,
                row,
                i - first,
                scratch.loops,
                output.record[i],
                output.ledger[i],
            )
        run_loops(params, scratch.loops, end - first)
        for i in range(first, end):
            row = present_row(state, exogenous, i)
            end_interval(
                params, state, i, i - first, scratch.loops, output.record[i], output.ledger[i]
            )
            book_step(params, programs, exogenous, state, accounts, relative_reward, i, row, output)
            output.row_shown[i] = observe(
                params,
                programs,
                exogenous,
                state,
                accounts,
                i,
                output.row_shown[i],
                output.observation[i],
            )


@njit
def present_row(state: FleetState, exogenous: Exogenous, i: int) -> int:
    """Return the row of a site's present settlement period.

    A vector environment steps a site once more after its end; compiled code checks no bounds.
    """
    return counted(min(state.row[i], exogenous.market.shape[0] - 1))


@njit
def choose_setpoint(
    params: SiteParameters,
    programs: ProgramParameters,
    exogenous: Exogenous,
    state: FleetState,
    accounts: Accounts,
    action: Floats,
    action_kind: int,
    i: int,
    row: int,
    scratch: Scratch,
    record: Floats,
) -> None:
    """Turn the action of a site, (G,), into `state.setpoint_kw` within its limits."""
    n_groups = params.groups.shape[0]
    market = exogenous.market
    wanted_kw = scratch.group[3]
    setpoint_kw = scratch.group[4]
    rig_cap_kw = params.rig_cap_kw
    if action_kind == SHADOW_PRICE and supply_is_shaped(programs, exogenous, row):
        n_segments = build_supply_curve(
            params, programs, exogenous, accounts, i, row, scratch.curve
        )
        for g in range(n_groups):
            share = min(max(float(action[g]), -1.0), 1.0)
            scratch.group[0, g] = share * params.groups[g].shadow_scale_per_kwh
        dispatch_on_curve(
            params,
            scratch.curve,
            n_segments,
            market[row, REVENUE],
            scratch.group[0],
            wanted_kw,
            scratch.group[2],
        )
    else:
        wanted_power(params, market, row, action_kind, action, scratch.group, wanted_kw)
    if programs.has_pause and market[row, PAUSE] > 0.0:
        rig_cap_kw = min(rig_cap_kw, programs.pause_rig_cap_kw)
    limit_setpoint(state, params, i, rig_cap_kw, wanted_kw, setpoint_kw)
    setpoint = 0.0
    cut_kw = 0.0
    for g in range(n_groups):
        state.group[i, g, SETPOINT_KW] = setpoint_kw[g]
        setpoint += setpoint_kw[g]
        cut_kw += abs(wanted_kw[g] - setpoint_kw[g])
    record[SETPOINT] = setpoint
    record[LIMIT_CUT] = cut_kw


@njit
def book_step(
    params: SiteParameters,
    programs: ProgramParameters,
    exogenous: Exogenous,
    state: FleetState,
    accounts: Accounts,
    relative_reward: bool,
    i: int,
    row: int,
    output: StepOutput,
) -> None:
    """Book what an interval of a site earned and cost, and move its clock on."""
    market = exogenous.market
    record, terms = output.record[i], output.ledger[i]
    hours = params.interval_s / 3600.0
    site_kw, phs = record[SITE], record[HASHRATE]
    liability = 0.0
    if programs.present:
        profit, from_surplus_kw = settle(
            params,
            programs,
            exogenous,
            accounts,
            i,
            row,
            state.substep[i],
            site_kw,
            phs,
            terms[START_WEAR],
            terms[REPAIR],
            terms[WATER],
            terms,
            record[N_OWN_RECORD:],
        )
        liability = record[N_OWN_RECORD + LIABILITY]
    else:
        profit, from_surplus_kw = write_ledger(
            params,
            market[row, PRICE],
            market[row, SURPLUS],
            market[row, REVENUE],
            site_kw,
            phs,
            terms,
        )
    reference = market[row, RULE_PROFIT] * hours if relative_reward else 0.0
    output.profit[i] = profit
    output.reward[i] = (profit - liability - reference) / params.reward_scale
    record[FROM_SURPLUS] = from_surplus_kw
    record[REFERENCE] = reference
    state.substep[i] += 1
    if state.substep[i] == params.intervals_per_period:
        state.substep[i] = 0
        state.row[i] += 1
        if programs.present and state.row[i] < market.shape[0]:
            enter_row(accounts, programs, exogenous, i, state.row[i])


@njit
def observe_sites(
    params: SiteParameters,
    programs: ProgramParameters,
    exogenous: Exogenous,
    state: FleetState,
    accounts: Accounts,
    which: Ints,
    observation: Floats32,
) -> None:
    """Write the observation of the n sites named in `which`, (n, F) float32."""
    for k in range(which.shape[0]):
        observe(params, programs, exogenous, state, accounts, which[k], -1, observation[k])

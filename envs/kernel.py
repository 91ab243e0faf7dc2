"""One dispatch interval of N sites: the loop that calls every relation in order."""

from typing import NamedTuple

import numpy as np

from gridhash.envs.accounts import Accounts, enter_row
from gridhash.envs.action import SHADOW_PRICE, wanted_power
from gridhash.envs.availability import fail_and_repair, hold_cold_starts
from gridhash.envs.columns import (
    DEW_POINT,
    OUTDOOR,
    PAUSE,
    PRICE,
    REVENUE,
    RULE_PROFIT,
    SURPLUS,
    WET_BULB,
    Exogenous,
)
from gridhash.envs.fleet import (
    draw_power,
    group_cooling_kw,
    grow_older,
    set_cooling,
    start_and_stop,
    warm_up,
)
from gridhash.envs.heat_sink import spray_water_kg
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
    COLD_GROUPS,
    COOLING,
    FROM_SURPLUS,
    HASHRATE,
    LIABILITY,
    LIMIT_CUT,
    RECORD_TABLE,
    REFERENCE,
    REJECTED,
    RIG,
    SETPOINT,
    SITE,
    SITE_TABLE,
    STARTED,
    STOPPED,
    TOWER_WATER,
    TRIPPED_GROUPS,
)
from gridhash.envs.state import (
    COOLANT_C,
    HOTTEST_C,
    SETPOINT_KW,
    TRIPPED,
    FleetState,
    summarise_filled,
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
    """(6, G)"""
    curve: Floats
    """(2, MAX_SEGMENTS)"""


def empty_scratch(n_groups: int) -> Scratch:
    """Return working memory for sites of `n_groups` groups."""
    return Scratch(group=np.zeros((6, n_groups)), curve=np.zeros((2, MAX_SEGMENTS)))


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
    for i in range(state.row.shape[0]):
        # A vector environment steps a site once more after its end; compiled code checks no bounds.
        row = counted(min(state.row[i], exogenous.market.shape[0] - 1))
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
        run_groups(params, exogenous, state, i, row, scratch, output.record[i], output.ledger[i])
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
def run_groups(
    params: SiteParameters,
    exogenous: Exogenous,
    state: FleetState,
    i: int,
    row: int,
    scratch: Scratch,
    record: Floats,
    terms: Floats,
) -> None:
    """Run the rigs of a site for one interval: starts, power, heat, failures, trips.

    Three loops rather than one: what a processor does next then belongs to another group, and it
    need not wait for the long chain of divisions and exponentials of each.
    """
    market = exogenous.market
    outdoor_c, wet_bulb_c = market[row, OUTDOOR], market[row, WET_BULB]
    dew_point_c = market[row, DEW_POINT]
    group_starts, group_kw, mean_chip_c, n_running = (
        scratch.group[0],
        scratch.group[1],
        scratch.group[2],
        scratch.group[3],
    )
    sink_c, heater_kw = scratch.group[4], scratch.group[5]
    tripped = 0.0
    rig_kw = 0.0
    cooling_kw = 0.0
    phs = 0.0
    started = 0.0
    stopped = 0.0
    rejected_kwh = 0.0
    start_wear = 0.0
    repair_cost = 0.0
    cold = 0.0
    water_kg = 0.0
    water_cost = 0.0
    for g in range(params.groups.shape[0]):
        starts, stops = start_and_stop(state, params, i, g, state.group[i, g, SETPOINT_KW])
        power_kw, group_phs, mean_chip_c[g], n_running[g] = draw_power(state, params, i, g)
        group_starts[g] = starts
        group_kw[g] = power_kw
        started += starts
        stopped += stops
        start_wear += starts * params.groups[g].start_cost
        rig_kw += power_kw
        phs += group_phs
    for g in range(params.groups.shape[0]):
        sink_c[g], heater_kw[g] = set_cooling(
            state, params, i, g, group_kw[g], outdoor_c, wet_bulb_c, dew_point_c
        )
    for g in range(params.groups.shape[0]):
        group_rejected_kwh = warm_up(
            state, params, i, g, group_kw[g], mean_chip_c[g], sink_c[g], heater_kw[g]
        )
        cooling_kw += group_cooling_kw(state, params, i, g, n_running[g], heater_kw[g])
        rejected_kwh += group_rejected_kwh
        if params.groups[g].water_kg_per_kwh > 0.0:
            group_kg = spray_water_kg(
                group_rejected_kwh,
                params.groups[g].water_kg_per_kwh,
                params.groups[g].is_wet,
                params.groups[g].spray_off_below_c,
                outdoor_c,
            )
            water_kg += group_kg
            water_cost += group_kg * params.groups[g].water_price_per_kg
        grow_older(state, i, g)
        broken = fail_and_repair(state, params, i, g, group_starts[g])
        repair_cost += broken * params.groups[g].repair_cost
        summarise_filled(state, params, i, g)
        cold += hold_cold_starts(state, params, i, g, dew_point_c)
        if state.group[i, g, HOTTEST_C] >= params.groups[g].chip_trip_c:
            state.group[i, g, TRIPPED] = 1.0
        elif state.group[i, g, COOLANT_C] <= params.groups[g].coolant_restart_c:
            state.group[i, g, TRIPPED] = 0.0
        tripped += state.group[i, g, TRIPPED]
    record[RIG] = rig_kw
    record[COOLING] = cooling_kw
    record[SITE] = rig_kw + cooling_kw
    record[HASHRATE] = phs
    record[STARTED] = started
    record[STOPPED] = stopped
    record[REJECTED] = rejected_kwh
    record[TRIPPED_GROUPS] = tripped
    record[COLD_GROUPS] = cold
    record[TOWER_WATER] = water_kg
    terms[START_WEAR] = start_wear
    terms[REPAIR] = repair_cost
    terms[WATER] = water_cost


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
    observation: Floats32,
) -> None:
    """Write the observation of every site, (N, F) float32."""
    for i in range(state.row.shape[0]):
        observe(params, programs, exogenous, state, accounts, i, -1, observation[i])

"""The groups of one site in one dispatch interval, before and after its coolant loops."""

from gridhash.envs.availability import fail_and_repair, hold_cold_starts
from gridhash.envs.columns import DEW_POINT, OUTDOOR, WET_BULB, Exogenous
from gridhash.envs.coolant_loops import Loops
from gridhash.envs.fleet import (
    age_running,
    age_stopped,
    draw_power,
    group_cooling_kw,
    start_and_stop,
    whole_rigs,
)
from gridhash.envs.heat_sink import spray_water_kg
from gridhash.envs.jit import njit
from gridhash.envs.ledger import REPAIR, START_WEAR, WATER
from gridhash.envs.parameters import Floats, SiteParameters
from gridhash.envs.settlement_record import (
    COLD_GROUPS,
    COOLING,
    HASHRATE,
    REJECTED,
    RIG,
    SITE,
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


@njit
def run_rigs(
    params: SiteParameters,
    exogenous: Exogenous,
    state: FleetState,
    i: int,
    row: int,
    place: int,
    loops: Loops,
    record: Floats,
    terms: Floats,
) -> None:
    """Start, stop and run the rigs of a site, which has a `place` in its block; heat its loops."""
    market = exogenous.market
    outdoor_c, wet_bulb_c = market[row, OUTDOOR], market[row, WET_BULB]
    dew_point_c = market[row, DEW_POINT]
    rig_kw = 0.0
    phs = 0.0
    started = 0.0
    stopped = 0.0
    start_wear = 0.0
    for g in range(params.groups.shape[0]):
        loop = loops[g]
        starts, stops = start_and_stop(state, params, i, g, state.group[i, g, SETPOINT_KW])
        group_kw, group_phs, chips_c, running = draw_power(state, params, i, g)
        loop.outdoor_c[place] = outdoor_c
        loop.wet_bulb_c[place] = wet_bulb_c
        loop.dew_point_c[place] = dew_point_c
        loop.started[place] = starts
        loop.running[place] = running
        loop.n_rigs[place] = whole_rigs(state, params, i, g)
        loop.rig_kw[place] = group_kw
        loop.chips_c[place] = chips_c
        loop.coolant_c[place] = state.group[i, g, COOLANT_C]
        started += starts
        stopped += stops
        start_wear += starts * params.groups[g].start_cost
        rig_kw += group_kw
        phs += group_phs
    record[RIG] = rig_kw
    record[HASHRATE] = phs
    record[STARTED] = started
    record[STOPPED] = stopped
    terms[START_WEAR] = start_wear


@njit
def end_interval(
    params: SiteParameters,
    state: FleetState,
    i: int,
    place: int,
    loops: Loops,
    record: Floats,
    terms: Floats,
) -> None:
    """Take over what the loops of a site did: temperatures, cooling, water, failures, trips."""
    cooling_kw = 0.0
    rejected_kwh = 0.0
    water_kg = 0.0
    water_cost = 0.0
    repair_cost = 0.0
    cold = 0.0
    tripped = 0.0
    for g in range(params.groups.shape[0]):
        loop = loops[g]
        cooling_kw += group_cooling_kw(
            params, g, loop.running[place], loop.fans_kw[place], loop.heater_kw[place]
        )
        rejected_kwh += loop.rejected_kwh[place]
        if params.groups[g].water_kg_per_kwh > 0.0:
            group_kg = spray_water_kg(
                loop.rejected_kwh[place],
                params.groups[g].water_kg_per_kwh,
                params.groups[g].is_wet,
                params.groups[g].spray_off_below_c,
                loop.outdoor_c[place],
            )
            water_kg += group_kg
            water_cost += group_kg * params.groups[g].water_price_per_kg
        heat_kw = loop.mean_heat_kw[place]
        chip_c, chip_next_c = loop.mean_chip_c[place], loop.mean_chip_after_c[place]
        running_c = age_running(state, params, i, g, chip_c, chip_next_c, heat_kw)
        stopped_c = age_stopped(state, params, i, g, chip_c, chip_next_c, heat_kw)
        state.group[i, g, HOTTEST_C] = max(running_c, stopped_c)
        state.group[i, g, COOLANT_C] = loop.coolant_after_c[place]
        if params.groups[g].repair_per_h > 0.0:
            broken = fail_and_repair(state, params, i, g, loop.started[place])
            repair_cost += broken * params.groups[g].repair_cost
            summarise_filled(state, params, i, g)
        cold += hold_cold_starts(state, params, i, g, loop.dew_point_c[place])
        if state.group[i, g, HOTTEST_C] >= params.groups[g].chip_trip_c:
            state.group[i, g, TRIPPED] = 1.0
        elif state.group[i, g, COOLANT_C] <= params.groups[g].coolant_restart_c:
            state.group[i, g, TRIPPED] = 0.0
        tripped += state.group[i, g, TRIPPED]
    record[COOLING] = cooling_kw
    record[SITE] = record[RIG] + cooling_kw
    record[REJECTED] = rejected_kwh
    record[TRIPPED_GROUPS] = tripped
    record[COLD_GROUPS] = cold
    record[TOWER_WATER] = water_kg
    terms[REPAIR] = repair_cost
    terms[WATER] = water_cost

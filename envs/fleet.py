"""How a setpoint becomes running rigs, power, hashes and heat in one dispatch interval."""

from gridhash.envs.jit import njit
from gridhash.envs.parameters import Floats, SiteParameters
from gridhash.envs.state import RUNNING, FleetState
from gridhash.envs.thermal import (
    fan_power_kw,
    heat_rejected_kwh,
    held_heat_rejection,
    loop_after,
)


@njit
def rig_hashrate_phs(params: SiteParameters, g: int, rig_kw: float) -> float:
    """Return the mean hash rate of a running rig of a group at a mean power [PH/s].

    Between two levels a share of the rigs runs at each, so the hash rate is linear there.
    """
    for level in range(1, params.n_levels[g]):
        if rig_kw <= params.level_kw[g, level]:
            low_kw, high_kw = params.level_kw[g, level - 1], params.level_kw[g, level]
            low_phs, high_phs = params.level_phs[g, level - 1], params.level_phs[g, level]
            share = (rig_kw - low_kw) / (high_kw - low_kw)
            return float(low_phs + share * (high_phs - low_phs))
    return float(params.level_phs[g, params.n_levels[g] - 1])


@njit
def start_and_stop(
    state: FleetState, params: SiteParameters, i: int, g: int, setpoint_kw: float
) -> tuple[float, float]:
    """Start or stop rigs of a group to reach a setpoint; return (starts, stops) in rigs.

    Below the lowest level of all rigs, fewer rigs run, each at that level, which is the most
    efficient one; above it all run and share the power. The longest running stop first, the
    longest stopped start first.
    """
    n_rigs = params.n_rigs[g]
    floor_kw = params.level_kw[g, 0]
    top_kw = params.level_kw[g, params.n_levels[g] - 1]
    running = state.summary[i, g, RUNNING]
    wanted = min(setpoint_kw / floor_kw, n_rigs)
    n_up, n_down = state.up.shape[2], state.down.shape[2]
    starts = 0.0
    stops = 0.0
    if wanted < running:
        todo = running - wanted
        heat = 0.0
        for a in range(n_up - 1, -1, -1):
            taken = min(todo, state.up[i, g, a])
            if taken > 0.0:
                state.up[i, g, a] -= taken
                heat += taken * state.up_temp_c[i, g, a]
                stops += taken
                todo -= taken
        if stops > 0.0:
            state.down_temp_c[i, g, 0] = heat / stops
            state.down[i, g, 0] = stops
    elif wanted > running:
        todo = wanted - running
        heat = 0.0
        for a in range(n_down - 1, params.n_down_lock[g] - 1, -1):
            taken = min(todo, state.down[i, g, a])
            if taken > 0.0:
                state.down[i, g, a] -= taken
                heat += taken * state.down_temp_c[i, g, a]
                starts += taken
                todo -= taken
        if starts > 0.0:
            state.up_temp_c[i, g, 0] = heat / starts
            state.up[i, g, 0] = starts
    running += starts - stops
    if running > 1e-9:
        state.rig_kw[i, g] = min(max(setpoint_kw / running, floor_kw), top_kw)
    return starts, stops


@njit
def run_interval(
    state: FleetState, params: SiteParameters, i: int, g: int, outdoor_temp_c: float
) -> tuple[float, float, float, float]:
    """Run a group for one interval; return (rig kW, cooling kW, mean PH/s, heat rejected kWh).

    Temperatures move by the exact solution of `gridhash.envs.thermal`; fans take the speed that
    is right for this interval's heat, since the loop settles within minutes.
    """
    n_up, n_down = state.up.shape[2], state.down.shape[2]
    n_rigs = params.n_rigs[g]
    full_kw = state.rig_kw[i, g]
    full_phs = rig_hashrate_phs(params, g, full_kw)
    standby_kw = params.standby_kw[g]
    rig_kw = 0.0
    phs = 0.0
    mean_chip_c = 0.0
    running = 0.0
    for a in range(n_up):
        count = state.up[i, g, a]
        running += count
        share = params.start_power_frac[g, a]
        rig_kw += count * (share * full_kw + (1.0 - share) * standby_kw)
        phs += count * params.start_hash_frac[g, a] * full_phs
        mean_chip_c += count * state.up_temp_c[i, g, a]
    for a in range(n_down):
        count = state.down[i, g, a]
        rig_kw += count * standby_kw
        mean_chip_c += count * state.down_temp_c[i, g, a]
    per_rig = 1.0 / n_rigs
    mean_chip_c *= per_rig
    mean_heat_kw = rig_kw * per_rig
    rejection_kw_per_k = held_heat_rejection(
        rig_kw,
        outdoor_temp_c,
        params.coolant_setpoint_c[g],
        params.heat_rejection_min_kw_per_k[g],
        params.heat_rejection_kw_per_k[g],
    )
    if rejection_kw_per_k <= params.heat_rejection_min_kw_per_k[g]:
        fans_kw = params.fan_min_kw[g]
    else:
        fans_kw = fan_power_kw(
            params.fan_kw[g],
            rejection_kw_per_k / params.heat_rejection_kw_per_k[g],
            params.heat_rejection_exponent[g],
        )
    chip_after_c, coolant_after_c = loop_after(
        mean_chip_c,
        state.coolant_c[i, g],
        mean_heat_kw,
        n_rigs,
        outdoor_temp_c,
        rejection_kw_per_k,
        params.chip_to_coolant_k_per_kw[g],
        params.rig_heat_capacity_kj_per_k[g],
        params.loop_heat_capacity_kj_per_k[g],
        params.interval_s,
    )
    rejected_kwh = heat_rejected_kwh(
        chip_after_c - mean_chip_c,
        coolant_after_c - state.coolant_c[i, g],
        mean_heat_kw,
        n_rigs,
        params.rig_heat_capacity_kj_per_k[g],
        params.loop_heat_capacity_kj_per_k[g],
        params.interval_s,
    )
    # Each bucket's distance from the mean of all chips decays on its own (thermal.deviation_after
    # with the decay of one interval, which is a constant of the site).
    decay, resistance = params.chip_decay[g], params.chip_to_coolant_k_per_kw[g]
    for a in range(n_up):
        share = params.start_power_frac[g, a]
        heat_kw = share * full_kw + (1.0 - share) * standby_kw
        settled_k = (heat_kw - mean_heat_kw) * resistance
        deviation_k = state.up_temp_c[i, g, a] - mean_chip_c
        state.up_temp_c[i, g, a] = chip_after_c + settled_k + (deviation_k - settled_k) * decay
    settled_k = (standby_kw - mean_heat_kw) * resistance
    for a in range(n_down):
        deviation_k = state.down_temp_c[i, g, a] - mean_chip_c
        state.down_temp_c[i, g, a] = chip_after_c + settled_k + (deviation_k - settled_k) * decay
    state.coolant_c[i, g] = coolant_after_c
    pump_kw = params.pump_kw[g] if running > 1e-9 else params.pump_idle_kw[g]
    return rig_kw, fans_kw + pump_kw, phs, rejected_kwh


@njit
def grow_older(state: FleetState, i: int, g: int) -> None:
    """Move every bucket one interval on; the two oldest merge at their mean temperature."""
    shift(state.up, state.up_temp_c, i, g)
    shift(state.down, state.down_temp_c, i, g)


@njit
def shift(count: Floats, temp_c: Floats, i: int, g: int) -> None:
    """Shift the age buckets of one group, keeping rigs and heat."""
    last = count.shape[2] - 1
    if last == 0:
        return
    merged = count[i, g, last] + count[i, g, last - 1]
    if merged > 0.0:
        temp_c[i, g, last] = (
            count[i, g, last] * temp_c[i, g, last] + count[i, g, last - 1] * temp_c[i, g, last - 1]
        ) / merged
    count[i, g, last] = merged
    younger, younger_c = 0.0, temp_c[i, g, 0]
    for a in range(last):
        own, own_c = count[i, g, a], temp_c[i, g, a]
        count[i, g, a], temp_c[i, g, a] = younger, younger_c
        younger, younger_c = own, own_c

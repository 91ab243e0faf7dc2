"""How a setpoint becomes running rigs, power, hashes and heat in one dispatch interval."""

from gridhash.envs.availability import REGULATION_BAND_K, coldest_loop_c, may_start
from gridhash.envs.heat_sink import sink_temp_c, wetted_share
from gridhash.envs.jit import counted, njit
from gridhash.envs.parameters import Floats, SiteParameters
from gridhash.envs.state import (
    BROKEN,
    COOLANT_C,
    DECAY,
    DOWN_FIRST,
    FANS_KW,
    IN_LOOP,
    REJECTION,
    RIG_KW,
    RUNNING,
    UP_FIRST,
    Counts,
    FleetState,
    filled_range,
)
from gridhash.envs.thermal import (
    closed_loop_after,
    fan_power_kw,
    heat_rejected_kwh,
    held_heat_rejection,
    keep_warm_kw,
    loop_decay,
    open_loop_after,
    temperature_power_frac,
)


@njit
def rig_hashrate_phs(params: SiteParameters, g: int, rig_kw: float) -> float:
    """Return the mean hash rate of a running rig of a group at a mean power [PH/s].

    Between two levels a share of the rigs runs at each, so the hash rate is linear there. `rig_kw`
    lies between the lowest and the highest level. The level is found without a branch on it, which
    changes with every action.
    """
    n_levels = params.n_levels[g]
    if n_levels == 1:
        return float(params.level_phs[g, 0])
    level = 0
    for between in range(1, n_levels - 1):
        level += int(rig_kw > params.level_kw[g, between])
    level = counted(level)
    low_kw, high_kw = params.level_kw[g, level], params.level_kw[g, level + 1]
    low_phs, high_phs = params.level_phs[g, level], params.level_phs[g, level + 1]
    share = (rig_kw - low_kw) / (high_kw - low_kw)
    return float(low_phs + share * (high_phs - low_phs))


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
    running = state.group[i, g, RUNNING]
    wanted = min(setpoint_kw / floor_kw, n_rigs)
    filled = state.filled[i, g]
    starts = 0.0
    stops = 0.0
    if wanted < running:
        stops, chip_c = take_oldest(
            state.up[i, g], state.up_temp_c[i, g], filled, UP_FIRST, 0, running - wanted
        )
        enter_youngest(state.down[i, g], state.down_temp_c[i, g], filled, DOWN_FIRST, stops, chip_c)
    elif wanted > running and may_start(state, params, i, g):
        starts, chip_c = take_oldest(
            state.down[i, g],
            state.down_temp_c[i, g],
            filled,
            DOWN_FIRST,
            params.n_down_lock[g],
            wanted - running,
        )
        enter_youngest(state.up[i, g], state.up_temp_c[i, g], filled, UP_FIRST, starts, chip_c)
    running += starts - stops
    if running > 1e-9:
        state.group[i, g, RIG_KW] = min(max(setpoint_kw / running, floor_kw), top_kw)
    return starts, stops


@njit
def take_oldest(
    count: Floats, temp_c: Floats, filled: Counts, column: int, youngest: int, wanted: float
) -> tuple[float, float]:
    """Take rigs from buckets of age `youngest` on, the oldest first; return (rigs, mean °C)."""
    first, end = filled_range(filled, column)
    todo = wanted
    heat = 0.0
    rigs = 0.0
    for a in range(end - 1, max(first, youngest) - 1, -1):
        taken = min(todo, count[a])
        if taken > 0.0:
            count[a] -= taken
            heat += taken * temp_c[a]
            rigs += taken
            todo -= taken
        if count[a] > 0.0:
            break
        end = a
    if end == first:
        filled[column] = 0
        end = 0
    filled[column + 1] = end
    return rigs, heat / rigs if rigs > 0.0 else 0.0


@njit
def enter_youngest(
    count: Floats, temp_c: Floats, filled: Counts, column: int, rigs: float, chip_c: float
) -> None:
    """Put rigs into the bucket of age 0, which is empty."""
    if rigs > 0.0:
        count[0] = rigs
        temp_c[0] = chip_c
        _, end = filled_range(filled, column)
        filled[column] = 0
        filled[column + 1] = max(end, 1)


@njit
def loop_terms(
    state: FleetState,
    params: SiteParameters,
    i: int,
    g: int,
    rejection: float,
    n_rigs: float,
    wetted: float,
) -> None:
    """Fill `state.loop` of a group for a heat rejection [kW/K] and the rigs in the loop.

    `wetted` is the share of full heat rejection that is there (`heat_sink.wetted_share`).
    Both mostly stay from one interval to the next, and powers and exponentials are dear.
    """
    loop = state.group[i, g]
    if loop[REJECTION] == rejection and loop[IN_LOOP] == n_rigs:
        return
    loop[REJECTION] = rejection
    loop[IN_LOOP] = n_rigs
    if rejection <= params.heat_rejection_min_kw_per_k[g] * wetted:
        loop[FANS_KW] = params.fan_min_kw[g]
    else:
        loop[FANS_KW] = fan_power_kw(
            params.fan_kw[g],
            rejection / (params.heat_rejection_kw_per_k[g] * wetted),
            params.heat_rejection_exponent[g],
        )
    if rejection > 0.0:
        decay = loop_decay(
            n_rigs,
            rejection,
            params.chip_to_coolant_k_per_kw[g],
            params.rig_heat_capacity_kj_per_k[g],
            params.loop_heat_capacity_kj_per_k[g],
            params.interval_s,
        )
        for k in range(4):
            loop[DECAY + k] = decay[k]


@njit
def run_interval(
    state: FleetState,
    params: SiteParameters,
    i: int,
    g: int,
    outdoor_temp_c: float,
    wet_bulb_c: float,
    dew_point_c: float,
) -> tuple[float, float, float, float]:
    """Run a group for one interval; return (rig kW, cooling kW, mean PH/s, heat rejected kWh).

    Temperatures move by the exact solution of `gridhash.envs.thermal`; fans take the speed that
    is right for this interval's heat, since the loop settles within minutes. Where the loop may
    not be colder, fans hold it just above the dew point with its margin instead of at its setpoint.
    Power follows the chip temperature at the start of the interval.
    """
    up, up_temp_c = state.up[i, g], state.up_temp_c[i, g]
    down, down_temp_c = state.down[i, g], state.down_temp_c[i, g]
    up_first, up_end = filled_range(state.filled[i, g], UP_FIRST)
    down_first, down_end = filled_range(state.filled[i, g], DOWN_FIRST)
    n_rigs = max(params.n_rigs[g] - state.group[i, g, BROKEN], 1e-9)
    full_kw = state.group[i, g, RIG_KW]
    full_phs = rig_hashrate_phs(params, g, full_kw)
    standby_kw = params.standby_kw[g]
    power_per_k, reference_c = params.power_per_k[g], params.power_reference_c[g]
    is_wet, spray_off_below_c = params.is_wet[g], params.spray_off_below_c[g]
    sink_c = sink_temp_c(is_wet, spray_off_below_c, outdoor_temp_c, wet_bulb_c)
    wetted = wetted_share(
        is_wet, spray_off_below_c, params.spray_off_rejection_frac[g], outdoor_temp_c
    )
    rig_kw = 0.0
    phs = 0.0
    mean_chip_c = 0.0
    running = 0.0
    for a in range(up_first, up_end):
        count = up[a]
        running += count
        share = params.start_power_frac[g, a]
        hot_kw = full_kw
        if power_per_k > 0.0:
            hot_kw = full_kw * temperature_power_frac(up_temp_c[a], power_per_k, reference_c)
        rig_kw += count * (share * hot_kw + (1.0 - share) * standby_kw)
        phs += count * params.start_hash_frac[g, a] * full_phs
        mean_chip_c += count * up_temp_c[a]
    for a in range(down_first, down_end):
        count = down[a]
        rig_kw += count * standby_kw
        mean_chip_c += count * down_temp_c[a]
    per_rig = 1.0 / n_rigs
    mean_chip_c *= per_rig
    mean_heat_kw = rig_kw * per_rig
    warm_c = coldest_loop_c(params, g, dew_point_c) + REGULATION_BAND_K
    rejection_kw_per_k = held_heat_rejection(
        rig_kw,
        sink_c,
        max(params.coolant_setpoint_c[g], warm_c),
        params.heat_rejection_min_kw_per_k[g] * wetted,
        params.heat_rejection_kw_per_k[g] * wetted,
    )
    if is_wet > 0.0:
        state.group[i, g, REJECTION] = -1.0  # fans may have another share of heat rejection now
    loop_terms(state, params, i, g, rejection_kw_per_k, n_rigs, wetted)
    coolant_c = state.group[i, g, COOLANT_C]
    heater_kw = 0.0
    if params.freeze_heater_kw[g] > 0.0 and rejection_kw_per_k > 0.0:
        heater_kw = keep_warm_kw(
            coolant_c,
            sink_c,
            rig_kw,
            rejection_kw_per_k,
            params.loop_heat_capacity_kj_per_k[g] + n_rigs * params.rig_heat_capacity_kj_per_k[g],
            max(params.freeze_protect_c[g], warm_c),
            params.freeze_heater_kw[g],
            params.interval_s,
        )
        # Heat into the loop acts as a warmer sink: UA (T - T_sink) - Q = UA (T - (T_sink + Q/UA)).
        sink_c += heater_kw / rejection_kw_per_k
    chip_after_c, coolant_after_c = group_loop_after(
        state, params, i, g, mean_chip_c, mean_heat_kw, sink_c
    )
    rejected_kwh = heat_rejected_kwh(
        chip_after_c - mean_chip_c,
        coolant_after_c - coolant_c,
        mean_heat_kw,
        n_rigs,
        params.rig_heat_capacity_kj_per_k[g],
        params.loop_heat_capacity_kj_per_k[g],
        params.interval_s,
    )
    # Each bucket's distance from the mean of all chips decays on its own (thermal.deviation_after
    # with the decay of one interval, which is a constant of the site).
    decay, resistance = params.chip_decay[g], params.chip_to_coolant_k_per_kw[g]
    for a in range(up_first, up_end):
        share = params.start_power_frac[g, a]
        hot_kw = full_kw
        if power_per_k > 0.0:
            hot_kw = full_kw * temperature_power_frac(up_temp_c[a], power_per_k, reference_c)
        heat_kw = share * hot_kw + (1.0 - share) * standby_kw
        settled_k = (heat_kw - mean_heat_kw) * resistance
        deviation_k = up_temp_c[a] - mean_chip_c
        up_temp_c[a] = chip_after_c + settled_k + (deviation_k - settled_k) * decay
    settled_k = (standby_kw - mean_heat_kw) * resistance
    for a in range(down_first, down_end):
        deviation_k = down_temp_c[a] - mean_chip_c
        down_temp_c[a] = chip_after_c + settled_k + (deviation_k - settled_k) * decay
    state.group[i, g, COOLANT_C] = coolant_after_c
    pump_kw = params.pump_kw[g] if running > 1e-9 else params.pump_idle_kw[g]
    if heater_kw > 0.0:
        pump_kw += heater_kw
        rejected_kwh += heater_kw * params.interval_s / 3600.0
    return rig_kw, state.group[i, g, FANS_KW] + pump_kw, phs, rejected_kwh


@njit
def group_loop_after(
    state: FleetState,
    params: SiteParameters,
    i: int,
    g: int,
    mean_chip_c: float,
    mean_heat_kw: float,
    outdoor_temp_c: float,
) -> tuple[float, float]:
    """Return (mean chip, coolant) temperature of a group [°C] by the terms in `state.loop`."""
    loop = state.group[i, g]
    if loop[REJECTION] <= 0.0:
        return closed_loop_after(
            mean_chip_c,
            state.group[i, g, COOLANT_C],
            mean_heat_kw,
            loop[IN_LOOP],
            params.chip_to_coolant_k_per_kw[g],
            params.rig_heat_capacity_kj_per_k[g],
            params.loop_heat_capacity_kj_per_k[g],
            params.interval_s,
        )
    return open_loop_after(
        mean_chip_c,
        state.group[i, g, COOLANT_C],
        mean_heat_kw,
        loop[IN_LOOP],
        outdoor_temp_c,
        loop[REJECTION],
        params.chip_to_coolant_k_per_kw[g],
        (loop[DECAY], loop[DECAY + 1], loop[DECAY + 2], loop[DECAY + 3]),
    )


@njit
def grow_older(state: FleetState, i: int, g: int) -> None:
    """Move every bucket one interval on; the two oldest merge at their mean temperature."""
    shift(state.up[i, g], state.up_temp_c[i, g], state.filled[i, g], UP_FIRST)
    shift(state.down[i, g], state.down_temp_c[i, g], state.filled[i, g], DOWN_FIRST)


@njit
def shift(count: Floats, temp_c: Floats, filled: Counts, column: int) -> None:
    """Shift the filled age buckets of one group, of two at least, keeping rigs and heat."""
    first, end = filled_range(filled, column)
    if first == end:
        return
    oldest = count.shape[0] - 1
    younger, younger_c = 0.0, temp_c[first]
    for a in range(first, min(end, oldest)):
        own, own_c = count[a], temp_c[a]
        count[a], temp_c[a] = younger, younger_c
        younger, younger_c = own, own_c
    if end < oldest:
        count[end], temp_c[end] = younger, younger_c
    else:
        merged = count[oldest] + younger
        if merged > 0.0:
            temp_c[oldest] = (count[oldest] * temp_c[oldest] + younger * younger_c) / merged
        count[oldest] = merged
    filled[column] = min(first + 1, oldest)
    filled[column + 1] = min(end, oldest) + 1

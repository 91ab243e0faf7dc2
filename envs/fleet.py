"""How a setpoint becomes running rigs, power, hashes and heat in one dispatch interval."""

from gridhash.envs.age_buckets import (
    DOWN_FIRST,
    UP_FIRST,
    enter_youngest,
    filled_range,
    shift,
    take_oldest,
)
from gridhash.envs.availability import REGULATION_BAND_K, coldest_loop_c, may_start
from gridhash.envs.heat_sink import sink_temp_c, wetted_share
from gridhash.envs.jit import counted, njit
from gridhash.envs.levels import top_level_kw
from gridhash.envs.parameters import SiteParameters
from gridhash.envs.state import (
    BROKEN,
    COOLANT_C,
    DECAY,
    FANS_KW,
    IN_LOOP,
    REJECTION,
    RIG_KW,
    RUNNING,
    FleetState,
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
    n_levels = params.groups[g].n_levels
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
    n_rigs = params.groups[g].n_rigs
    floor_kw = params.level_kw[g, 0]
    top_kw = top_level_kw(params, g)
    running = state.group[i, g, RUNNING]
    wanted = min(setpoint_kw / floor_kw, n_rigs)
    filled = state.filled[i, g]
    starts = 0.0
    stops = 0.0
    if wanted < running:
        stops, chip_c = take_oldest(state.up_buckets[i, g], filled, UP_FIRST, 0, running - wanted)
        enter_youngest(state.down_buckets[i, g], filled, DOWN_FIRST, stops, chip_c)
    elif wanted > running and may_start(state, params, i, g):
        starts, chip_c = take_oldest(
            state.down_buckets[i, g],
            filled,
            DOWN_FIRST,
            params.groups[g].n_down_lock,
            wanted - running,
        )
        enter_youngest(state.up_buckets[i, g], filled, UP_FIRST, starts, chip_c)
    running += starts - stops
    if running > 1e-9:
        state.group[i, g, RIG_KW] = min(max(setpoint_kw / running, floor_kw), top_kw)
    return starts, stops


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
    if rejection <= params.groups[g].heat_rejection_min_kw_per_k * wetted:
        loop[FANS_KW] = params.groups[g].fan_min_kw
    else:
        loop[FANS_KW] = fan_power_kw(
            params.groups[g].fan_kw,
            rejection / (params.groups[g].heat_rejection_kw_per_k * wetted),
            params.groups[g].heat_rejection_exponent,
        )
    if rejection > 0.0:
        decay = loop_decay(
            n_rigs,
            rejection,
            params.groups[g].chip_to_coolant_k_per_kw,
            params.groups[g].rig_heat_capacity_kj_per_k,
            params.groups[g].loop_heat_capacity_kj_per_k,
            params.interval_s,
        )
        for k in range(4):
            loop[DECAY + k] = decay[k]


@njit
def draw_power(
    state: FleetState, params: SiteParameters, i: int, g: int
) -> tuple[float, float, float, float]:
    """Return (rig kW, mean PH/s, mean chip °C, running rigs) of a group in one interval.

    Power follows the chip temperature at the start of the interval. Means are over all rigs that
    are not broken.
    """
    up, down = state.up_buckets[i, g], state.down_buckets[i, g]
    up_first, up_end = filled_range(state.filled[i, g], UP_FIRST)
    down_first, down_end = filled_range(state.filled[i, g], DOWN_FIRST)
    full_phs = 0.0
    if up_end > up_first:
        full_phs = rig_hashrate_phs(params, g, state.group[i, g, RIG_KW])
    standby_kw = params.groups[g].standby_kw
    rig_kw = 0.0
    phs = 0.0
    chip_c = 0.0
    running = 0.0
    for age in range(up_first, up_end):
        a = counted(age)
        count = up[a].rigs
        running += count
        rig_kw += count * bucket_rig_kw(state, params, i, g, a)
        phs += count * params.start_hash_frac[g, a] * full_phs
        chip_c += count * up[a].chip_c
    for age in range(down_first, down_end):
        a = counted(age)
        count = down[a].rigs
        rig_kw += count * standby_kw
        chip_c += count * down[a].chip_c
    return rig_kw, phs, chip_c * (1.0 / whole_rigs(state, params, i, g)), running


@njit
def bucket_rig_kw(state: FleetState, params: SiteParameters, i: int, g: int, a: int) -> float:
    """Return the mean power of a running rig of age bucket `a` in one interval [kW]."""
    share = params.start_power_frac[g, a]
    hot_kw = state.group[i, g, RIG_KW]
    if params.groups[g].power_per_k > 0.0:
        hot_kw *= temperature_power_frac(
            state.up_buckets[i, g, a].chip_c,
            params.groups[g].power_per_k,
            params.groups[g].power_reference_c,
        )
    return float(share * hot_kw + (1.0 - share) * params.groups[g].standby_kw)


@njit
def whole_rigs(state: FleetState, params: SiteParameters, i: int, g: int) -> float:
    """Return the rigs of a group that are not broken, never none [1]."""
    return float(max(params.groups[g].n_rigs - state.group[i, g, BROKEN], 1e-9))


@njit
def set_cooling(
    state: FleetState,
    params: SiteParameters,
    i: int,
    g: int,
    rig_kw: float,
    outdoor_temp_c: float,
    wet_bulb_c: float,
    dew_point_c: float,
) -> tuple[float, float]:
    """Set fans and heater of a group for one interval; return (sink °C, heater kW).

    Fans take the speed that is right for this interval's heat, since the loop settles within
    minutes. Where the loop may not be colder, fans hold it just above the dew point with its margin
    instead of at its setpoint. The sink is what heat is rejected to, as it acts with the heater on.
    """
    n_rigs = whole_rigs(state, params, i, g)
    is_wet, spray_off_below_c = params.groups[g].is_wet, params.groups[g].spray_off_below_c
    sink_c = sink_temp_c(is_wet, spray_off_below_c, outdoor_temp_c, wet_bulb_c)
    wetted = wetted_share(
        is_wet, spray_off_below_c, params.groups[g].spray_off_rejection_frac, outdoor_temp_c
    )
    warm_c = coldest_loop_c(params, g, dew_point_c) + REGULATION_BAND_K
    rejection_kw_per_k = held_heat_rejection(
        rig_kw,
        sink_c,
        max(params.groups[g].coolant_setpoint_c, warm_c),
        params.groups[g].heat_rejection_min_kw_per_k * wetted,
        params.groups[g].heat_rejection_kw_per_k * wetted,
    )
    if is_wet > 0.0:
        state.group[i, g, REJECTION] = -1.0  # fans may have another share of heat rejection now
    loop_terms(state, params, i, g, rejection_kw_per_k, n_rigs, wetted)
    if params.groups[g].freeze_heater_kw <= 0.0 or rejection_kw_per_k <= 0.0:
        return sink_c, 0.0
    heater_kw = keep_warm_kw(
        state.group[i, g, COOLANT_C],
        sink_c,
        rig_kw,
        rejection_kw_per_k,
        params.groups[g].loop_heat_capacity_kj_per_k
        + n_rigs * params.groups[g].rig_heat_capacity_kj_per_k,
        max(params.groups[g].freeze_protect_c, warm_c),
        params.groups[g].freeze_heater_kw,
        params.interval_s,
    )
    # Heat into the loop acts as a warmer sink: UA (T - T_sink) - Q = UA (T - (T_sink + Q/UA)).
    return sink_c + heater_kw / rejection_kw_per_k, heater_kw


@njit
def warm_up(
    state: FleetState,
    params: SiteParameters,
    i: int,
    g: int,
    rig_kw: float,
    mean_chip_c: float,
    sink_c: float,
    heater_kw: float,
) -> float:
    """Move the temperatures of a group by one interval; return the heat rejected [kWh].

    By the exact solution of `gridhash.envs.thermal`, for the fans that `set_cooling` set.
    """
    up, down = state.up_buckets[i, g], state.down_buckets[i, g]
    up_first, up_end = filled_range(state.filled[i, g], UP_FIRST)
    down_first, down_end = filled_range(state.filled[i, g], DOWN_FIRST)
    n_rigs = whole_rigs(state, params, i, g)
    mean_heat_kw = rig_kw * (1.0 / n_rigs)
    coolant_c = state.group[i, g, COOLANT_C]
    chip_after_c, coolant_after_c = group_loop_after(
        state, params, i, g, mean_chip_c, mean_heat_kw, sink_c
    )
    rejected_kwh = heat_rejected_kwh(
        chip_after_c - mean_chip_c,
        coolant_after_c - coolant_c,
        mean_heat_kw,
        n_rigs,
        params.groups[g].rig_heat_capacity_kj_per_k,
        params.groups[g].loop_heat_capacity_kj_per_k,
        params.interval_s,
    )
    # Each bucket's distance from the mean of all chips decays on its own (thermal.deviation_after
    # with the decay of one interval, which is a constant of the site).
    decay, resistance = params.groups[g].chip_decay, params.groups[g].chip_to_coolant_k_per_kw
    for age in range(up_first, up_end):
        a = counted(age)
        heat_kw = bucket_rig_kw(state, params, i, g, a)
        settled_k = (heat_kw - mean_heat_kw) * resistance
        deviation_k = up[a].chip_c - mean_chip_c
        up[a].chip_c = chip_after_c + settled_k + (deviation_k - settled_k) * decay
    settled_k = (params.groups[g].standby_kw - mean_heat_kw) * resistance
    for age in range(down_first, down_end):
        a = counted(age)
        deviation_k = down[a].chip_c - mean_chip_c
        down[a].chip_c = chip_after_c + settled_k + (deviation_k - settled_k) * decay
    state.group[i, g, COOLANT_C] = coolant_after_c
    if heater_kw > 0.0:
        rejected_kwh += heater_kw * params.interval_s / 3600.0
    return rejected_kwh


@njit
def group_cooling_kw(
    state: FleetState, params: SiteParameters, i: int, g: int, running: float, heater_kw: float
) -> float:
    """Return the power of fans, pumps and heater of a group in one interval [kW]."""
    group = params.groups[g]
    pump_kw = group.pump_kw if running > 1e-9 else group.pump_idle_kw
    if heater_kw > 0.0:
        pump_kw += heater_kw
    return float(state.group[i, g, FANS_KW] + pump_kw)


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
            params.groups[g].chip_to_coolant_k_per_kw,
            params.groups[g].rig_heat_capacity_kj_per_k,
            params.groups[g].loop_heat_capacity_kj_per_k,
            params.interval_s,
        )
    return open_loop_after(
        mean_chip_c,
        state.group[i, g, COOLANT_C],
        mean_heat_kw,
        loop[IN_LOOP],
        outdoor_temp_c,
        loop[REJECTION],
        params.groups[g].chip_to_coolant_k_per_kw,
        (loop[DECAY], loop[DECAY + 1], loop[DECAY + 2], loop[DECAY + 3]),
    )


@njit
def grow_older(state: FleetState, i: int, g: int) -> None:
    """Move every bucket one interval on; the two oldest merge at their mean temperature."""
    shift(state.up_buckets[i, g], state.filled[i, g], UP_FIRST)
    shift(state.down_buckets[i, g], state.filled[i, g], DOWN_FIRST)

"""How a setpoint becomes running rigs, power, hashes and heat in one dispatch interval."""

from gridhash.envs.age_buckets import (
    DOWN_FIRST,
    UP_FIRST,
    enter_youngest,
    filled_range,
    merged,
    take_oldest,
)
from gridhash.envs.availability import may_start
from gridhash.envs.jit import counted, njit
from gridhash.envs.levels import top_level_kw
from gridhash.envs.parameters import SiteParameters
from gridhash.envs.state import (
    BROKEN,
    DOWN_LOCK,
    LOCKED_UP,
    RIG_KW,
    RUNNING,
    STARTABLE,
    STARTING,
    UP_LOCK,
    FleetState,
)
from gridhash.envs.thermal import temperature_power_frac


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
    above_kw = rig_kw - params.level_kw[g, level]
    return float(params.level_phs[g, level] + above_kw * params.block_phs_per_kw[g, level + 1])


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
def draw_power(
    state: FleetState, params: SiteParameters, i: int, g: int
) -> tuple[float, float, float, float]:
    """Return (rig kW, mean PH/s, sum of chips °C, running rigs) of a group in one interval.

    Power follows the chip temperature at the start of the interval. The sum is over all rigs
    that are not broken.
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
    chips_c = 0.0
    running = 0.0
    for age in range(up_first, up_end):
        a = counted(age)
        count = up[a].rigs
        running += count
        rig_kw += count * bucket_rig_kw(state, params, i, g, a)
        phs += count * params.start_hash_frac[g, a] * full_phs
        chips_c += count * up[a].chip_c
    for age in range(down_first, down_end):
        a = counted(age)
        count = down[a].rigs
        rig_kw += count * standby_kw
        chips_c += count * down[a].chip_c
    return rig_kw, phs, chips_c, running


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
def age_running(
    state: FleetState,
    params: SiteParameters,
    i: int,
    g: int,
    mean_chip_c: float,
    mean_chip_after_c: float,
    mean_heat_kw: float,
) -> float:
    """Move the running rigs of a group by one interval, in temperature and in age.

    Fill their part of the summary and return the hottest chip [°C]. In one pass and without a
    branch on counts, which change with every action; `state.summarise_filled` says the same.
    """
    up, filled, summary = state.up_buckets[i, g], state.filled[i, g], state.group[i, g]
    n_lock = params.groups[g].n_up_lock
    first, end = filled_range(filled, UP_FIRST)
    running = 0.0
    starting = 0.0
    locked = 0.0
    youngest = n_lock
    hottest_c = -273.15
    if end > first:
        oldest = counted(up.shape[0] - 1)
        last = min(end, oldest)
        younger, younger_c = 0.0, up[first].chip_c
        for age in range(first, last + 1):
            a = counted(age)
            own = up[a].rigs
            heat_kw = bucket_rig_kw(state, params, i, g, a)
            own_c = chip_after_c(
                params, g, up[a].chip_c, heat_kw, mean_chip_c, mean_chip_after_c, mean_heat_kw
            )
            if a == oldest and own > 0.0:
                rigs, chip_c = merged(own, own_c, younger, younger_c)
            else:
                rigs, chip_c = younger, younger_c
            up[a].rigs, up[a].chip_c = rigs, chip_c
            younger, younger_c = own, own_c
            held = rigs if rigs > 1e-9 else 0.0
            running += held
            starting += held if params.start_hash_frac[g, a] < 1.0 else 0.0
            locked += held if a < n_lock else 0.0
            youngest = a if rigs > 1e-9 and a < youngest else youngest
            hottest_c = chip_c if rigs > 1e-9 and chip_c > hottest_c else hottest_c
        filled[UP_FIRST] = min(first + 1, oldest)
        filled[UP_FIRST + 1] = last + 1
    summary[RUNNING] = running
    summary[STARTING] = starting
    summary[LOCKED_UP] = locked
    summary[UP_LOCK] = n_lock - youngest
    return hottest_c


@njit
def age_stopped(
    state: FleetState,
    params: SiteParameters,
    i: int,
    g: int,
    mean_chip_c: float,
    mean_chip_after_c: float,
    mean_heat_kw: float,
) -> float:
    """Do the same with the stopped rigs of a group."""
    down, filled, summary = state.down_buckets[i, g], state.filled[i, g], state.group[i, g]
    n_lock = params.groups[g].n_down_lock
    standby_kw = params.groups[g].standby_kw
    first, end = filled_range(filled, DOWN_FIRST)
    startable = 0.0
    youngest = n_lock
    hottest_c = -273.15
    if end > first:
        oldest = counted(down.shape[0] - 1)
        last = min(end, oldest)
        younger, younger_c = 0.0, down[first].chip_c
        for age in range(first, last + 1):
            a = counted(age)
            own = down[a].rigs
            own_c = chip_after_c(
                params, g, down[a].chip_c, standby_kw, mean_chip_c, mean_chip_after_c, mean_heat_kw
            )
            if a == oldest and own > 0.0:
                rigs, chip_c = merged(own, own_c, younger, younger_c)
            else:
                rigs, chip_c = younger, younger_c
            down[a].rigs, down[a].chip_c = rigs, chip_c
            younger, younger_c = own, own_c
            startable += rigs if rigs > 1e-9 and a >= n_lock else 0.0
            youngest = a if rigs > 1e-9 and a < youngest else youngest
            hottest_c = chip_c if rigs > 1e-9 and chip_c > hottest_c else hottest_c
        filled[DOWN_FIRST] = min(first + 1, oldest)
        filled[DOWN_FIRST + 1] = last + 1
    summary[STARTABLE] = startable
    summary[DOWN_LOCK] = n_lock - youngest
    return hottest_c


@njit
def chip_after_c(
    params: SiteParameters,
    g: int,
    chip_c: float,
    heat_kw: float,
    mean_chip_c: float,
    mean_chip_after_c: float,
    mean_heat_kw: float,
) -> float:
    """Return the temperature of a bucket's chips after one interval [°C].

    Their distance from the mean of all chips decays on its own (`thermal.deviation_after` with the
    decay of one interval, which is a constant of the site).
    """
    settled_k = (heat_kw - mean_heat_kw) * params.groups[g].chip_to_coolant_k_per_kw
    deviation_k = chip_c - mean_chip_c
    after_k = settled_k + (deviation_k - settled_k) * params.groups[g].chip_decay
    return float(mean_chip_after_c + after_k)


@njit
def group_cooling_kw(
    params: SiteParameters, g: int, running: float, fans_kw: float, heater_kw: float
) -> float:
    """Return the power of fans, pumps and heater of a group in one interval [kW]."""
    pump_kw = params.groups[g].pump_kw if running > 1e-9 else params.groups[g].pump_idle_kw
    return float(fans_kw + pump_kw + heater_kw)

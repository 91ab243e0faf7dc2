"""What each group may draw now: the same code bounds a policy in training and at the site.

Order of authority inside this module: temperature trip, contract power and temperature derate,
then minimum up and down time, then ramps. Only the first three may break a minimum up time.
"""

from gridhash.envs.jit import njit
from gridhash.envs.parameters import Floats, SiteParameters
from gridhash.envs.state import HOTTEST_C, LOCKED_UP, RUNNING, STARTABLE, FleetState
from gridhash.envs.thermal import load_cap_frac


@njit
def feasible_range_kw(
    state: FleetState, params: SiteParameters, i: int, g: int
) -> tuple[float, float]:
    """Return the least and the greatest rig power of a group in the next interval [kW]."""
    if state.tripped[i, g] > 0.0:
        return 0.0, 0.0
    summary = state.summary[i, g]
    top_kw = params.level_kw[g, params.n_levels[g] - 1]
    cap_frac = load_cap_frac(summary[HOTTEST_C], params.chip_derate_c[g], params.chip_trip_c[g])
    able = min(summary[RUNNING] + summary[STARTABLE], params.n_rigs[g] * cap_frac)
    max_kw = able * top_kw
    min_kw = summary[LOCKED_UP] * params.level_kw[g, 0]
    return min(min_kw, max_kw), max_kw


@njit
def limit_setpoint(
    state: FleetState,
    params: SiteParameters,
    i: int,
    rig_cap_kw: float,
    wanted_kw: Floats,
    setpoint_kw: Floats,
) -> None:
    """Write the feasible setpoint nearest to what is wanted, (G,) each, into `setpoint_kw`.

    `rig_cap_kw` caps the sum over groups. Caps and the upward ramp take from the group with the
    worst efficiency first; the downward ramp keeps power in the best one.
    """
    n_groups = params.n_rigs.shape[0]
    total_kw = 0.0
    last_kw = 0.0
    for g in range(n_groups):
        min_kw, max_kw = feasible_range_kw(state, params, i, g)
        setpoint_kw[g] = min(max(wanted_kw[g], min_kw), max_kw)
        total_kw += setpoint_kw[g]
        last_kw += state.setpoint_kw[i, g]
    floor_kw = last_kw - params.ramp_down_kw
    if total_kw < floor_kw:
        for k in range(n_groups):
            g = params.merit_order[k]
            # Only what ran is held: no rig starts to soften the stop of another.
            _, max_kw = feasible_range_kw(state, params, i, g)
            held_kw = min(max_kw, state.setpoint_kw[i, g])
            raise_kw = min(held_kw - setpoint_kw[g], floor_kw - total_kw)
            if raise_kw > 0.0:
                setpoint_kw[g] += raise_kw
                total_kw += raise_kw
    ramped_kw = last_kw + params.ramp_up_kw
    if total_kw > ramped_kw:
        for k in range(n_groups - 1, -1, -1):
            g = params.merit_order[k]
            min_kw, _ = feasible_range_kw(state, params, i, g)
            cut_kw = min(setpoint_kw[g] - min_kw, total_kw - ramped_kw)
            if cut_kw > 0.0:
                setpoint_kw[g] -= cut_kw
                total_kw -= cut_kw
    if total_kw > rig_cap_kw:
        # First what may stop, then, if that is not enough, rigs within their minimum up time.
        for keep_minimum in (True, False):
            for k in range(n_groups - 1, -1, -1):
                g = params.merit_order[k]
                min_kw, _ = feasible_range_kw(state, params, i, g)
                spare_kw = setpoint_kw[g] - min_kw if keep_minimum else setpoint_kw[g]
                cut_kw = min(spare_kw, total_kw - rig_cap_kw)
                if cut_kw > 0.0:
                    setpoint_kw[g] -= cut_kw
                    total_kw -= cut_kw

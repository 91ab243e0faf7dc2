"""What each group may draw now: the same code bounds a policy in training and at the site.

A setpoint is rig power per group, s_g [kW]; one that is below the lowest level of all rigs of a
group means fewer rigs, each at that level, so every power from zero up is meant (counts are
fluid, `gridhash.envs.fleet`). With `l` and `u` the least and greatest power of a group
(`feasible_range_kw`), `last` what was last asked for and `h_g = min(last_g, u_g)` what of it can
still be held, a setpoint is **feasible** if

1. ``l_g <= s_g <= u_g``: trip, temperature derate, minimum down and minimum up times;
2. ``sum s <= C``, with ``C = min(cap, max(sum last + ramp_up, sum l))``;
3. ``sum s >= min(sum last - ramp_down, C)``, or ``s_g >= h_g`` in every group.

Order of authority, read off these three: trip, derate and minimum down time yield to nothing, nor
does the cap on the sum (contract, and whatever else lowers it: pause orders, calls). The minimum
up time yields to both: where ``cap < sum l`` it is broken by the least power that does it, which
turns 1 and 2 into ``0 <= s_g <= l_g`` and ``sum s = cap``. The upward ramp yields to the minimum
up time. The downward ramp yields to all of these, and it only holds what ran: no rig starts to
soften the stop of another.

`limit_setpoint` is the projection onto that set in the **1-norm** [kW]: no feasible setpoint is
nearer to what is wanted by ``sum |s_g - wanted_g|``. First each group is clipped to its range,
giving ``b``. Since ``|s_g - w_g| = |s_g - b_g| + |b_g - w_g|`` for every s_g in the range, the rest
is to find the feasible setpoint nearest to ``b``. Where the sum is too high by X, any feasible
setpoint is at least X away, and taking X in all from groups above ``l`` is exactly X away. Where it
is too low by X, condition 3 asks for X at least or for all of ``h - b`` where that is positive;
raising groups no further than ``h`` by X in all, or to the end, costs the lesser of the two. Of
the setpoints that are equally near the merit order chooses: power is taken from the worst
efficiency first and kept in the best. What is feasible comes back to the bit, and what comes back
is feasible: projecting twice changes nothing.
"""

import numpy as np
import numpy.typing as npt

from gridhash.envs.jit import counted, njit
from gridhash.envs.levels import level_power_kw, top_level_kw
from gridhash.envs.parameters import Floats, Ints, SiteParameters
from gridhash.envs.state import (
    HOTTEST_C,
    LOCKED_UP,
    RUNNING,
    SETPOINT_KW,
    STARTABLE,
    TRIPPED,
    FleetState,
)
from gridhash.envs.thermal import load_cap_frac

SAME_LEVEL_KW = 1e-6
"""Power by which a level may miss the end of a range and still be that end."""


@njit
def feasible_range_kw(
    state: FleetState, params: SiteParameters, i: int, g: int
) -> tuple[float, float]:
    """Return the least and the greatest rig power of a group in the next interval [kW]."""
    if state.group[i, g, TRIPPED] > 0.0:
        return 0.0, 0.0
    summary = state.group[i, g]
    top_kw = top_level_kw(params, g)
    cap_frac = load_cap_frac(
        summary[HOTTEST_C], params.groups[g].chip_derate_c, params.groups[g].chip_trip_c
    )
    able = min(summary[RUNNING] + summary[STARTABLE], params.groups[g].n_rigs * cap_frac)
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

    Feasible and nearest as the module says. `rig_cap_kw` caps the sum over groups.
    """
    n_groups = params.groups.shape[0]
    cap_kw = max(rig_cap_kw, 0.0)
    total_kw = 0.0
    last_kw = 0.0
    least_kw = 0.0
    for g in range(n_groups):
        min_kw, max_kw = feasible_range_kw(state, params, i, g)
        setpoint_kw[g] = min(max(wanted_kw[g], min_kw), max_kw)
        total_kw += setpoint_kw[g]
        last_kw += state.group[i, g, SETPOINT_KW]
        least_kw += min_kw
    ceiling_kw = min(cap_kw, max(last_kw + params.ramp_up_kw, least_kw))
    floor_kw = min(last_kw - params.ramp_down_kw, ceiling_kw)
    gives_way = least_kw > cap_kw
    if gives_way:
        # Minimum up times are broken, by no more than they must.
        floor_kw = cap_kw
        total_kw = 0.0
        for g in range(n_groups):
            min_kw, _ = feasible_range_kw(state, params, i, g)
            setpoint_kw[g] = min(max(wanted_kw[g], 0.0), min_kw)
            total_kw += setpoint_kw[g]
    if total_kw < floor_kw:
        for k in range(n_groups):
            g = counted(params.merit_order[k])
            min_kw, max_kw = feasible_range_kw(state, params, i, g)
            held_kw = min_kw if gives_way else min(max_kw, state.group[i, g, SETPOINT_KW])
            raise_kw = min(held_kw - setpoint_kw[g], floor_kw - total_kw)
            if raise_kw > 0.0:
                setpoint_kw[g] += raise_kw
                total_kw += raise_kw
    elif total_kw > ceiling_kw:
        for k in range(n_groups):
            g = counted(params.merit_order[n_groups - 1 - k])
            min_kw, _ = feasible_range_kw(state, params, i, g)
            kept_kw = 0.0 if gives_way else min_kw
            cut_kw = min(setpoint_kw[g] - kept_kw, total_kw - ceiling_kw)
            if cut_kw > 0.0:
                setpoint_kw[g] -= cut_kw
                total_kw -= cut_kw


@njit
def _write_ranges(
    state: FleetState, params: SiteParameters, which: Ints, ranges_kw: Floats
) -> None:
    for k in range(which.shape[0]):
        for g in range(params.groups.shape[0]):
            min_kw, max_kw = feasible_range_kw(state, params, which[k], g)
            ranges_kw[k, g, 0] = min_kw
            ranges_kw[k, g, 1] = max_kw


def feasible_ranges(state: FleetState, params: SiteParameters, which: Ints) -> Floats:
    """Return the least and the greatest rig power of every group, (n, G, 2) [kW].

    `which` names n of the N sites. Only the limits of a group by itself are in it, not those of
    the site: cap and ramps.
    """
    ranges_kw = np.zeros((len(which), len(params.n_rigs), 2))
    _write_ranges(state, params, np.array(which, dtype=np.int64), ranges_kw)
    return ranges_kw


@njit
def level_mask(
    state: FleetState,
    params: SiteParameters,
    i: int,
    rig_cap_kw: float,
    mask: npt.NDArray[np.bool_],
) -> None:
    """Write which indexes of action kind ``levels`` are worth saying, (M,), group after group.

    M is the sum over groups of their number of levels and one for off. A level is allowed if its
    power lies in the range of the group: between `feasible_range_kw`, and not above what the cap
    leaves when all other groups draw their least. Where an end of the range is the power of no
    level, the next level beyond it is allowed too, and means that end: else a derate by 1 %, or a
    few rigs that may not stop, would leave a group only the opposite of what is wanted. Whatever
    the other groups do, a masked index has the same outcome as the allowed one next to it, so the
    mask takes nothing away. At least one index per group is allowed. Ramps are not in it.
    """
    cap_kw = max(rig_cap_kw, 0.0)
    least_kw = 0.0
    for g in range(params.groups.shape[0]):
        low_kw, _ = feasible_range_kw(state, params, i, g)
        least_kw += low_kw
    first = 0
    for g in range(params.groups.shape[0]):
        low_kw, high_kw = feasible_range_kw(state, params, i, g)
        if least_kw > cap_kw:
            low_kw, high_kw = 0.0, min(low_kw, cap_kw)
        else:
            high_kw = min(high_kw, cap_kw - (least_kw - low_kw))
        n_levels = params.groups[g].n_levels
        for index in range(n_levels + 1):
            power_kw = level_power_kw(params, g, index)
            if power_kw < low_kw - SAME_LEVEL_KW:
                above_kw = level_power_kw(params, g, min(index + 1, n_levels))
                mask[first + index] = index == n_levels or above_kw > low_kw + SAME_LEVEL_KW
            elif power_kw > high_kw + SAME_LEVEL_KW:
                below_kw = level_power_kw(params, g, max(index - 1, 0))
                mask[first + index] = below_kw < high_kw - SAME_LEVEL_KW
            else:
                mask[first + index] = True
        first += n_levels + 1


@njit
def _write_masks(
    state: FleetState, params: SiteParameters, rig_cap_kw: Floats, masks: npt.NDArray[np.bool_]
) -> None:
    for i in range(masks.shape[0]):
        level_mask(state, params, i, rig_cap_kw[i], masks[i])


def level_masks(
    state: FleetState, params: SiteParameters, rig_cap_kw: npt.ArrayLike
) -> npt.NDArray[np.bool_]:
    """Return which indexes of action kind ``levels`` are worth saying, (N, M); see `level_mask`.

    `rig_cap_kw` is the cap on the sum over groups, one for all sites or (N,). The layout is the
    one that sb3-contrib's `MaskablePPO` takes for a `MultiDiscrete` space.
    """
    n_sites = len(state.row)
    masks = np.zeros((n_sites, int((params.n_levels + 1).sum())), dtype=np.bool_)
    caps_kw = np.array(np.broadcast_to(rig_cap_kw, n_sites), dtype=np.float64)
    _write_masks(state, params, caps_kw, masks)
    return masks

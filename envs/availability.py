"""Which rigs of a group can run at all: cold and wet loops hold starts, rigs break and return."""

from gridhash.envs.age_buckets import DOWN_FIRST, filled_range
from gridhash.envs.failures import failed_share, hazard_per_h
from gridhash.envs.jit import njit
from gridhash.envs.parameters import NEVER_C, SiteParameters
from gridhash.envs.state import BROKEN, COOLANT_C, STARTABLE, FleetState

REGULATION_BAND_K = 0.5
"""Fans and heater aim so far above the coldest loop that may start, lest they hold it just below;
half the 1 K that loop controllers hold (assumed)."""


@njit
def may_start(state: FleetState, params: SiteParameters, i: int, g: int) -> bool:
    """Return whether cold or wet hinders no start of a group; `hold_cold_starts` says where."""
    limited = (
        params.groups[g].coolant_start_min_c > NEVER_C
        or params.groups[g].condensation_margin_k > NEVER_C
    )
    return not limited or state.group[i, g, STARTABLE] > 0.0


@njit
def coldest_loop_c(dew_point_c: float, coolant_start_min_c: float, margin_k: float) -> float:
    """Return the temperature below which a group's loop is too cold or gets wet [°C].

    Cold coolant is viscous and may freeze on plates; on a loop below the dew point water
    condenses (Bitmain and integrators: glycol above 5 °C, dew point plus 2 K). Far below any
    temperature where a site has neither limit.
    """
    return max(coolant_start_min_c, dew_point_c + margin_k)


@njit
def hold_cold_starts(
    state: FleetState, params: SiteParameters, i: int, g: int, dew_point_c: float
) -> float:
    """Make no rig startable while the loop is below `coldest_loop_c`; return 1 then, else 0.

    Rigs that run go on: `coolant_loops.set_fans` slows the fans, so that the loop warms, and the
    heater of a site that has one brings a stopped loop back.
    """
    coldest_c = coldest_loop_c(
        dew_point_c, params.groups[g].coolant_start_min_c, params.groups[g].condensation_margin_k
    )
    if state.group[i, g, COOLANT_C] >= coldest_c:
        return 0.0
    state.group[i, g, STARTABLE] = 0.0
    return 1.0


@njit
def fail_and_repair(
    state: FleetState, params: SiteParameters, i: int, g: int, starts: float
) -> float:
    """Break the expected number of running rigs and bring repaired ones back, stopped and cool.

    Return how many broke.

    Called after `grow_older`, so that the rigs just started are in bucket 1. Rigs in buckets and
    broken ones together stay as many as the group has.
    """
    if params.groups[g].repair_per_h <= 0.0:
        return 0.0
    hours = params.interval_s / 3600.0
    up = state.up_buckets[i, g]
    failed = min(starts * params.groups[g].failed_per_start, up[1].rigs)
    up[1].rigs -= failed
    for a in range(up.shape[0]):
        if up[a].rigs > 0.0:
            rate_per_h = hazard_per_h(
                up[a].chip_c,
                params.groups[g].hazard_ref_per_h,
                params.groups[g].hazard_reference_c,
                params.groups[g].hazard_activation_ev,
            )
            lost = up[a].rigs * failed_share(rate_per_h, hours)
            up[a].rigs -= lost
            failed += lost
    repaired = state.group[i, g, BROKEN] * failed_share(params.groups[g].repair_per_h, hours)
    state.group[i, g, BROKEN] += failed - repaired
    if repaired > 0.0:
        down = state.down_buckets[i, g]
        oldest = down.shape[0] - 1
        rigs = down[oldest].rigs + repaired
        heat = down[oldest].rigs * down[oldest].chip_c + repaired * state.group[i, g, COOLANT_C]
        down[oldest].chip_c = heat / rigs
        down[oldest].rigs = rigs
        first, end = filled_range(state.filled[i, g], DOWN_FIRST)
        state.filled[i, g, DOWN_FIRST] = min(first, oldest) if end > first else oldest
        state.filled[i, g, DOWN_FIRST + 1] = oldest + 1
    return float(failed)

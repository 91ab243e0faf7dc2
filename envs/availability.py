"""Which rigs of a group can run at all: cold and wet loops hold starts, rigs break and return."""

from gridhash.envs.failures import failed_share, hazard_per_h
from gridhash.envs.jit import njit
from gridhash.envs.parameters import NEVER_C, SiteParameters
from gridhash.envs.state import BROKEN, COOLANT_C, DOWN_FIRST, STARTABLE, FleetState, filled_range

REGULATION_BAND_K = 0.5
"""Fans and heater aim so far above the coldest loop that may start, lest they hold it just below;
half the 1 K that loop controllers hold (assumed)."""


@njit
def may_start(state: FleetState, params: SiteParameters, i: int, g: int) -> bool:
    """Return whether cold or wet hinders no start of a group; `hold_cold_starts` says where."""
    limited = params.coolant_start_min_c[g] > NEVER_C or params.condensation_margin_k[g] > NEVER_C
    return not limited or state.group[i, g, STARTABLE] > 0.0


@njit
def coldest_loop_c(params: SiteParameters, g: int, dew_point_c: float) -> float:
    """Return the temperature below which a group's loop is too cold or gets wet [°C].

    Cold coolant is viscous and may freeze on plates; on a loop below the dew point water
    condenses (Bitmain and integrators: glycol above 5 °C, dew point plus 2 K). Far below any
    temperature where a site has neither limit.
    """
    dry_c = dew_point_c + params.condensation_margin_k[g]
    return float(max(params.coolant_start_min_c[g], dry_c))


@njit
def hold_cold_starts(
    state: FleetState, params: SiteParameters, i: int, g: int, dew_point_c: float
) -> float:
    """Make no rig startable while the loop is below `coldest_loop_c`; return 1 then, else 0.

    Rigs that run go on: `fleet.run_interval` slows the fans, so that the loop warms, and the
    heater of a site that has one brings a stopped loop back.
    """
    if state.group[i, g, COOLANT_C] >= coldest_loop_c(params, g, dew_point_c):
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
    if params.repair_per_h[g] <= 0.0:
        return 0.0
    hours = params.interval_s / 3600.0
    up, up_temp_c = state.up[i, g], state.up_temp_c[i, g]
    failed = min(starts * params.failed_per_start[g], up[1])
    up[1] -= failed
    for a in range(up.shape[0]):
        if up[a] > 0.0:
            rate_per_h = hazard_per_h(
                up_temp_c[a],
                params.hazard_ref_per_h[g],
                params.hazard_reference_c[g],
                params.hazard_activation_ev[g],
            )
            lost = up[a] * failed_share(rate_per_h, hours)
            up[a] -= lost
            failed += lost
    repaired = state.group[i, g, BROKEN] * failed_share(params.repair_per_h[g], hours)
    state.group[i, g, BROKEN] += failed - repaired
    if repaired > 0.0:
        down, down_temp_c = state.down[i, g], state.down_temp_c[i, g]
        oldest = down.shape[0] - 1
        rigs = down[oldest] + repaired
        heat = down[oldest] * down_temp_c[oldest] + repaired * state.group[i, g, COOLANT_C]
        down_temp_c[oldest] = heat / rigs
        down[oldest] = rigs
        first, end = filled_range(state.filled[i, g], DOWN_FIRST)
        state.filled[i, g, DOWN_FIRST] = min(first, oldest) if end > first else oldest
        state.filled[i, g, DOWN_FIRST + 1] = oldest + 1
    return float(failed)

"""The state of N sites: rig counts by age bucket, temperatures, what was last asked."""

from typing import NamedTuple

import numpy as np

from gridhash.envs.jit import njit
from gridhash.envs.parameters import Floats, Ints, SiteParameters


class FleetState(NamedTuple):
    """State of N sites of G groups, all float64 but the two cursors.

    Counts are fluid: only the allocator of a real site rounds to whole rigs. The rigs of one
    bucket share a temperature.
    """

    row: Ints
    """(N,) row of the market array that holds the present settlement period."""
    substep: Ints
    """(N,) dispatch intervals gone since the start of that period."""
    up: Floats
    """(N, G, U) running rigs by age."""
    down: Floats
    """(N, G, D) stopped rigs by age."""
    up_temp_c: Floats
    """(N, G, U) chip temperature of each bucket."""
    down_temp_c: Floats
    coolant_c: Floats
    """(N, G)"""
    rig_kw: Floats
    """(N, G) power of one running rig: between two levels means a mix of rigs at both."""
    setpoint_kw: Floats
    """(N, G) rig power last asked for, after limits."""
    tripped: Floats
    """(N, G) 1 from a temperature trip until the loop has cooled."""
    summary: Floats
    """(N, G, 7) what follows from the above; `summarise` fills it after every change."""


# Columns of `FleetState.summary`.
RUNNING, STARTING, LOCKED_UP, STARTABLE, UP_LOCK, DOWN_LOCK, HOTTEST_C = range(7)
N_SUMMARY = 7


@njit
def summarise(state: FleetState, params: SiteParameters, i: int, g: int) -> None:
    """Fill the summary of one group.

    Rigs that run, start (do not hash fully yet), must still run, may start now; intervals until
    every running rig may stop and every stopped rig may start; hottest chip of a bucket that
    holds a rig [°C].
    """
    running = 0.0
    starting = 0.0
    locked_up = 0.0
    startable = 0.0
    youngest_up = params.n_up_lock[g]
    youngest_down = params.n_down_lock[g]
    hottest_c = -273.15
    # Upwards: a compiled loop that counts down checks each index for being negative.
    for a in range(state.up.shape[2]):
        count = state.up[i, g, a]
        if count > 1e-9:
            running += count
            if params.start_hash_frac[g, a] < 1.0:
                starting += count
            if a < params.n_up_lock[g]:
                locked_up += count
                youngest_up = min(youngest_up, a)
            hottest_c = max(hottest_c, state.up_temp_c[i, g, a])
    for a in range(state.down.shape[2]):
        count = state.down[i, g, a]
        if count > 1e-9:
            if a >= params.n_down_lock[g]:
                startable += count
            else:
                youngest_down = min(youngest_down, a)
            hottest_c = max(hottest_c, state.down_temp_c[i, g, a])
    summary = state.summary[i, g]
    summary[RUNNING] = running
    summary[STARTING] = starting
    summary[LOCKED_UP] = locked_up
    summary[STARTABLE] = startable
    summary[UP_LOCK] = params.n_up_lock[g] - youngest_up
    summary[DOWN_LOCK] = params.n_down_lock[g] - youngest_down
    summary[HOTTEST_C] = hottest_c


def empty_state(params: SiteParameters, n_sites: int) -> FleetState:
    """Return N sites with every rig stopped long ago, at 20 °C, at row 0."""
    n_groups, n_up = params.start_power_frac.shape
    # One bucket more than the lock, and two at least: rigs that stop enter an empty bucket.
    n_down = max(int(params.n_down_lock.max()), 1) + 1
    down = np.zeros((n_sites, n_groups, n_down))
    down[:, :, -1] = params.n_rigs
    state = FleetState(
        row=np.zeros(n_sites, dtype=np.int64),
        substep=np.zeros(n_sites, dtype=np.int64),
        up=np.zeros((n_sites, n_groups, n_up)),
        down=down,
        up_temp_c=np.full((n_sites, n_groups, n_up), 20.0),
        down_temp_c=np.full((n_sites, n_groups, n_down), 20.0),
        coolant_c=np.full((n_sites, n_groups), 20.0),
        rig_kw=np.repeat(params.level_kw[None, :, 0], n_sites, axis=0),
        setpoint_kw=np.zeros((n_sites, n_groups)),
        tripped=np.zeros((n_sites, n_groups)),
        summary=np.zeros((n_sites, n_groups, N_SUMMARY)),
    )
    summarise_sites(state, params, np.arange(n_sites))
    return state


@njit
def summarise_sites(state: FleetState, params: SiteParameters, which: Ints) -> None:
    """Fill the summaries of the sites named in `which`."""
    for i in which:
        for g in range(params.n_rigs.shape[0]):
            summarise(state, params, i, g)


def place_at_rest(
    state: FleetState,
    params: SiteParameters,
    which: Ints,
    running_frac: Floats,
    coolant_c: Floats,
) -> None:
    """Put sites at rest: of each group a share of the rigs long running, the others long off.

    `which` names n sites; `running_frac` and `coolant_c` are (n, G). Chips take the temperature
    of full power at that coolant where they run, that of the coolant where not.
    """
    top_kw = params.level_kw[:, -1]
    state.up[which] = 0.0
    state.down[which] = 0.0
    state.up[which, :, -1] = running_frac * params.n_rigs
    state.down[which, :, -1] = (1.0 - running_frac) * params.n_rigs
    warm_c = coolant_c + top_kw * params.chip_to_coolant_k_per_kw
    state.up_temp_c[which] = warm_c[:, :, None]
    state.down_temp_c[which] = coolant_c[:, :, None]
    state.coolant_c[which] = coolant_c
    state.rig_kw[which] = top_kw
    state.setpoint_kw[which] = running_frac * params.n_rigs * top_kw
    state.tripped[which] = 0.0
    summarise_sites(state, params, which)

"""The state of N sites: rig counts by age bucket, temperatures, what was last asked."""

from typing import NamedTuple

import numpy as np

from gridhash.envs.age_buckets import (
    BUCKET,
    DOWN_FIRST,
    UP_FIRST,
    Buckets,
    Counts,
    filled_range,
    find_filled,
)
from gridhash.envs.jit import counted, njit
from gridhash.envs.parameters import Floats, Ints, SiteParameters

# Columns of `FleetState.group`. The first seven are its summary, what follows from the buckets:
# rigs that run, start (do not hash fully yet), must still run, may start now; intervals until every
# running rig may stop and every stopped rig may start; hottest chip of a bucket that holds a rig.
(
    RUNNING,
    STARTING,
    LOCKED_UP,
    STARTABLE,
    UP_LOCK,
    DOWN_LOCK,
    HOTTEST_C,
    COOLANT_C,
    RIG_KW,  # power of one running rig: between two levels means a mix of rigs at both
    SETPOINT_KW,  # rig power last asked for, after limits
    TRIPPED,  # 1 from a temperature trip until the loop has cooled
    BROKEN,  # rigs under repair: in no bucket, so they neither run nor start nor draw power
) = range(12)
N_SUMMARY = HOTTEST_C + 1
N_GROUP = BROKEN + 1


class FleetState(NamedTuple):
    """State of N sites of G groups.

    Counts are fluid: only the allocator of a real site rounds to whole rigs. The rigs of one
    bucket share a temperature; that of a bucket without rigs is some finite number and means
    nothing. A group's rigs are those in its buckets and the broken ones.

    What a group has one number of lies side by side in `group`, and rigs beside their temperature
    in the buckets, so that the kernel finds them at one address; the properties are views.
    """

    row: Ints
    """(N,) row of the market array that holds the present settlement period."""
    substep: Ints
    """(N,) dispatch intervals gone since the start of that period."""
    group: Floats
    """(N, G, N_GROUP) columns as above: summary, temperature, power."""
    up_buckets: Buckets
    """(N, G, U) of `BUCKET`: running rigs by age."""
    down_buckets: Buckets
    """(N, G, D) stopped rigs by age."""
    filled: Counts
    """(N, G, 4) the buckets from FIRST to before END that hold all running, all stopped rigs."""

    @property
    def up(self) -> Floats:
        """(N, G, U) running rigs by age."""
        return self.up_buckets["rigs"]

    @property
    def down(self) -> Floats:
        """(N, G, D) stopped rigs by age."""
        return self.down_buckets["rigs"]

    @property
    def up_temp_c(self) -> Floats:
        """(N, G, U) chip temperature of each bucket."""
        return self.up_buckets["chip_c"]

    @property
    def down_temp_c(self) -> Floats:
        """(N, G, D)."""
        return self.down_buckets["chip_c"]

    @property
    def summary(self) -> Floats:
        """(N, G, 7) what follows from the buckets; `summarise` fills it after every change."""
        return self.group[:, :, :N_SUMMARY]

    @property
    def coolant_c(self) -> Floats:
        """(N, G)."""
        return self.group[:, :, COOLANT_C]

    @property
    def rig_kw(self) -> Floats:
        """(N, G) power of one running rig."""
        return self.group[:, :, RIG_KW]

    @property
    def setpoint_kw(self) -> Floats:
        """(N, G) rig power last asked for, after limits."""
        return self.group[:, :, SETPOINT_KW]

    @property
    def tripped(self) -> Floats:
        """(N, G) 1 from a temperature trip until the loop has cooled."""
        return self.group[:, :, TRIPPED]

    @property
    def broken(self) -> Floats:
        """(N, G) rigs under repair."""
        return self.group[:, :, BROKEN]


@njit
def summarise(state: FleetState, params: SiteParameters, i: int, g: int) -> None:
    """Find the filled buckets of one group and fill its summary, from its counts alone."""
    find_filled(state.up_buckets[i, g], state.filled[i, g], UP_FIRST)
    find_filled(state.down_buckets[i, g], state.filled[i, g], DOWN_FIRST)
    summarise_filled(state, params, i, g)


@njit
def summarise_filled(state: FleetState, params: SiteParameters, i: int, g: int) -> None:
    """Fill the summary of one group, whose filled buckets are known.

    Rigs that run, start (do not hash fully yet), must still run, may start now; intervals until
    every running rig may stop and every stopped rig may start; hottest chip of a bucket that
    holds a rig [°C].
    """
    up, down = state.up_buckets[i, g], state.down_buckets[i, g]
    filled = state.filled[i, g]
    n_up_lock, n_down_lock = params.groups[g].n_up_lock, params.groups[g].n_down_lock
    running = 0.0
    starting = 0.0
    locked_up = 0.0
    startable = 0.0
    youngest_up = n_up_lock
    youngest_down = n_down_lock
    hottest_c = -273.15
    # Upwards: a compiled loop that counts down checks each index for being negative.
    first, end = filled_range(filled, UP_FIRST)
    for age in range(first, end):
        a = counted(age)
        count = up[a].rigs
        if count > 1e-9:
            running += count
            if params.start_hash_frac[g, a] < 1.0:
                starting += count
            if a < n_up_lock:
                locked_up += count
                youngest_up = min(youngest_up, a)
            hottest_c = max(hottest_c, up[a].chip_c)
    first, end = filled_range(filled, DOWN_FIRST)
    for age in range(first, end):
        a = counted(age)
        count = down[a].rigs
        if count > 1e-9:
            if a >= n_down_lock:
                startable += count
            else:
                youngest_down = min(youngest_down, a)
            hottest_c = max(hottest_c, down[a].chip_c)
    summary = state.group[i, g]
    summary[RUNNING] = running
    summary[STARTING] = starting
    summary[LOCKED_UP] = locked_up
    summary[STARTABLE] = startable
    summary[UP_LOCK] = n_up_lock - youngest_up
    summary[DOWN_LOCK] = n_down_lock - youngest_down
    summary[HOTTEST_C] = hottest_c


def empty_state(params: SiteParameters, n_sites: int) -> FleetState:
    """Return N sites with every rig stopped long ago, at 20 °C, at row 0."""
    n_groups, n_up = params.start_power_frac.shape
    # One bucket more than the lock, and two at least: rigs that stop enter an empty bucket.
    n_down = max(int(params.n_down_lock.max()), 1) + 1
    state = FleetState(
        row=np.zeros(n_sites, dtype=np.int64),
        substep=np.zeros(n_sites, dtype=np.int64),
        group=np.zeros((n_sites, n_groups, N_GROUP)),
        up_buckets=np.recarray((n_sites, n_groups, n_up), BUCKET),
        down_buckets=np.recarray((n_sites, n_groups, n_down), BUCKET),
        filled=np.zeros((n_sites, n_groups, 4), dtype=np.uint32),
    )
    for rigs in (state.up, state.down):
        rigs[:] = 0.0
    state.down[:, :, -1] = params.n_rigs
    for temp_c in (state.up_temp_c, state.down_temp_c, state.coolant_c):
        temp_c[:] = 20.0
    state.rig_kw[:] = params.level_kw[:, 0]
    summarise_sites(state, params, np.arange(n_sites))
    return state


@njit
def summarise_sites(state: FleetState, params: SiteParameters, which: Ints) -> None:
    """Fill the summaries of the sites named in `which`."""
    for i in which:
        for g in range(params.groups.shape[0]):
            summarise(state, params, i, g)


@njit
def place_at_rest(
    state: FleetState,
    params: SiteParameters,
    which: Ints,
    running_frac: Floats,
    coolant_c: Floats,
) -> None:
    """Put sites at rest: of each group a share of the rigs long running, the others long off.

    `which` names n sites; `running_frac` and `coolant_c` are (n, G). Chips take the temperature
    of full power at that coolant where they run, that of the coolant where not. No rig is broken.
    """
    n_up, n_down = state.up_buckets.shape[2], state.down_buckets.shape[2]
    for k in range(which.shape[0]):
        i = which[k]
        for g in range(params.groups.shape[0]):
            up, down, group = state.up_buckets[i, g], state.down_buckets[i, g], state.group[i, g]
            n_rigs, top_kw = params.groups[g].n_rigs, params.level_kw[g, -1]
            warm_c = coolant_c[k, g] + top_kw * params.groups[g].chip_to_coolant_k_per_kw
            for a in range(n_up):
                up[a].rigs, up[a].chip_c = 0.0, warm_c
            for a in range(n_down):
                down[a].rigs, down[a].chip_c = 0.0, coolant_c[k, g]
            up[n_up - 1].rigs = running_frac[k, g] * n_rigs
            down[n_down - 1].rigs = (1.0 - running_frac[k, g]) * n_rigs
            group[COOLANT_C] = coolant_c[k, g]
            group[RIG_KW] = top_kw
            group[SETPOINT_KW] = running_frac[k, g] * n_rigs * top_kw
            group[TRIPPED] = 0.0
            group[BROKEN] = 0.0
            summarise(state, params, i, g)

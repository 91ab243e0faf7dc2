"""Fans, heater and temperatures of the coolant loops of a few sites at once.

The loop of a group waits for a chain of divisions and exponentials, so the kernel computes those
of `BLOCK` sites side by side: what a group has one number of per site lies in one array each, and
a plain loop over these arrays without calls becomes instructions for several numbers at once. The
relations are those of `gridhash.envs.thermal`. Places of a block without a site are computed too
and mean nothing.
"""

from typing import Any

import numpy as np

from gridhash.envs.availability import REGULATION_BAND_K, coldest_loop_c
from gridhash.envs.heat_sink import sink_temp_c, wetted_share
from gridhash.envs.jit import njit
from gridhash.envs.parameters import SiteParameters
from gridhash.envs.thermal import (
    closed_loop_after,
    fan_power_kw,
    heat_rejected_kwh,
    held_heat_rejection,
    keep_warm_kw,
    loop_decay,
    open_loop_after,
)

BLOCK = 32
"""Sites that go through an interval together."""
LANES = 8
"""Numbers that a register holds at best."""
LOOP_FIELDS = (
    "outdoor_c",
    "wet_bulb_c",
    "dew_point_c",
    "started",  # rigs
    "running",  # rigs
    "n_rigs",  # not broken
    "rig_kw",  # power of all rigs of the group
    "chips_c",  # sum over the rigs that are not broken
    "coolant_c",
    "sink_c",  # what heat is rejected to, as it acts with the heater on
    "rejection_kw_per_k",
    "fans_kw",
    "heater_kw",
    "mean_heat_kw",  # of a rig that is not broken
    "mean_chip_c",
    "mean_chip_after_c",
    "coolant_after_c",
    "rejected_kwh",
)
LOOP = np.dtype([(name, np.float64, (BLOCK,)) for name in LOOP_FIELDS])
"""One group of a block of sites in one interval; the first nine fields are given."""
Loops = np.recarray[Any, np.dtype[np.record]]


def empty_loops(n_groups: int) -> Loops:
    """Return memory for the loops of a block of sites, (G,)."""
    loops = np.recarray(n_groups, LOOP)
    loops[:] = np.zeros(n_groups, LOOP)
    return loops


@njit
def run_loops(params: SiteParameters, loops: Loops, n_sites: int) -> None:
    """Fill all that follows from the given fields of every group."""
    n_places = (n_sites + LANES - 1) // LANES * LANES
    for g in range(params.groups.shape[0]):
        set_fans(params, g, loops, n_places)
        if params.groups[g].freeze_heater_kw > 0.0:
            set_heater(params, g, loops, n_places)
        move_temperatures(params, g, loops, n_places)


@njit
def set_fans(params: SiteParameters, g: int, loops: Loops, n_places: int) -> None:
    """Set the fans of a group for one interval, with the heater off.

    Fans take the speed that is right for this interval's heat, since the loop settles within
    minutes. Where the loop may not be colder, fans hold it just above the dew point with its margin
    instead of at its setpoint.
    """
    loop, group = loops[g], params.groups[g]
    is_wet, spray_off_below_c = group.is_wet, group.spray_off_below_c
    dry_share = group.spray_off_rejection_frac
    start_min_c, margin_k = group.coolant_start_min_c, group.condensation_margin_k
    setpoint_c = group.coolant_setpoint_c
    min_kw_per_k, max_kw_per_k = group.heat_rejection_min_kw_per_k, group.heat_rejection_kw_per_k
    fan_kw, fan_min_kw, exponent = group.fan_kw, group.fan_min_kw, group.heat_rejection_exponent
    for k in range(n_places):
        outdoor_c = loop.outdoor_c[k]
        sink_c = sink_temp_c(is_wet, spray_off_below_c, outdoor_c, loop.wet_bulb_c[k])
        wetted = wetted_share(is_wet, spray_off_below_c, dry_share, outdoor_c)
        warm_c = coldest_loop_c(loop.dew_point_c[k], start_min_c, margin_k) + REGULATION_BAND_K
        rejection_kw_per_k = held_heat_rejection(
            loop.rig_kw[k],
            sink_c,
            max(setpoint_c, warm_c),
            min_kw_per_k * wetted,
            max_kw_per_k * wetted,
        )
        fans_kw = fan_power_kw(fan_kw, rejection_kw_per_k / (max_kw_per_k * wetted), exponent)
        loop.fans_kw[k] = fans_kw if rejection_kw_per_k > min_kw_per_k * wetted else fan_min_kw
        loop.rejection_kw_per_k[k] = rejection_kw_per_k
        loop.sink_c[k] = sink_c
        loop.heater_kw[k] = 0.0


@njit
def set_heater(params: SiteParameters, g: int, loops: Loops, n_places: int) -> None:
    """Set the heater of a group for one interval, and the sink as it acts with the heater on."""
    loop, group = loops[g], params.groups[g]
    start_min_c, margin_k = group.coolant_start_min_c, group.condensation_margin_k
    for k in range(n_places):
        if loop.rejection_kw_per_k[k] > 0.0:
            warm_c = coldest_loop_c(loop.dew_point_c[k], start_min_c, margin_k) + REGULATION_BAND_K
            heater_kw = keep_warm_kw(
                loop.coolant_c[k],
                loop.sink_c[k],
                loop.rig_kw[k],
                loop.rejection_kw_per_k[k],
                group.loop_heat_capacity_kj_per_k
                + loop.n_rigs[k] * group.rig_heat_capacity_kj_per_k,
                max(group.freeze_protect_c, warm_c),
                group.freeze_heater_kw,
                params.interval_s,
            )
            # Heat into the loop acts as a warmer sink: UA (T - T_s) - Q = UA (T - (T_s + Q/UA)).
            loop.sink_c[k] += heater_kw / loop.rejection_kw_per_k[k]
            loop.heater_kw[k] = heater_kw


@njit
def move_temperatures(params: SiteParameters, g: int, loops: Loops, n_places: int) -> None:
    """Move mean chip and coolant of a group by one interval, and count the heat rejected.

    By the exact solution of `gridhash.envs.thermal`.
    """
    loop, group = loops[g], params.groups[g]
    resistance = group.chip_to_coolant_k_per_kw
    rig_capacity = group.rig_heat_capacity_kj_per_k
    loop_capacity = group.loop_heat_capacity_kj_per_k
    interval_s = params.interval_s
    for k in range(n_places):
        n_rigs = loop.n_rigs[k]
        per_rig = 1.0 / n_rigs
        mean_chip_c, mean_heat_kw = loop.chips_c[k] * per_rig, loop.rig_kw[k] * per_rig
        rejection_kw_per_k = loop.rejection_kw_per_k[k]
        loop.mean_chip_c[k], loop.mean_heat_kw[k] = mean_chip_c, mean_heat_kw
        loop.mean_chip_after_c[k], loop.coolant_after_c[k] = open_loop_after(
            mean_chip_c,
            loop.coolant_c[k],
            mean_heat_kw,
            n_rigs,
            loop.sink_c[k],
            rejection_kw_per_k,
            resistance,
            loop_decay(
                n_rigs, rejection_kw_per_k, resistance, rig_capacity, loop_capacity, interval_s
            ),
        )
    if group.heat_rejection_min_kw_per_k * group.spray_off_rejection_frac <= 0.0:
        stand_still(params, g, loops, n_places)
    for k in range(n_places):
        n_rigs = loop.n_rigs[k]
        loop.rejected_kwh[k] = (
            heat_rejected_kwh(
                loop.mean_chip_after_c[k] - loop.mean_chip_c[k],
                loop.coolant_after_c[k] - loop.coolant_c[k],
                loop.mean_heat_kw[k],
                n_rigs,
                rig_capacity,
                loop_capacity,
                interval_s,
            )
            + loop.heater_kw[k] * interval_s / 3600.0
        )


@njit
def stand_still(params: SiteParameters, g: int, loops: Loops, n_places: int) -> None:
    """Move the temperatures of a group anew where its fans stand and no heat leaves the loop."""
    loop, group = loops[g], params.groups[g]
    for k in range(n_places):
        if loop.rejection_kw_per_k[k] <= 0.0:
            loop.mean_chip_after_c[k], loop.coolant_after_c[k] = closed_loop_after(
                loop.mean_chip_c[k],
                loop.coolant_c[k],
                loop.mean_heat_kw[k],
                loop.n_rigs[k],
                group.chip_to_coolant_k_per_kw,
                group.rig_heat_capacity_kj_per_k,
                group.loop_heat_capacity_kj_per_k,
                params.interval_s,
            )

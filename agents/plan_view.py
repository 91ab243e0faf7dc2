"""What an observation says about a site, in the terms of a plan."""

from dataclasses import dataclass, replace

import numpy as np

from gridhash.agents.policy import ObservationReader, Observations
from gridhash.agents.rig_class import RigClass, rig_classes
from gridhash.agents.rig_program import RigStart
from gridhash.envs.columns import INCREASE_CALL, PAUSE, REDUCTION_CALL
from gridhash.envs.parameters import Floats, SiteParameters
from gridhash.units import SECONDS_PER_HOUR

EVENTS = {
    "pause": PAUSE,
    "reduction_call": REDUCTION_CALL,
    "increase_call": INCREASE_CALL,
}
"""Orders and calls by their features, and where a market array has them."""


def plan_classes(params: SiteParameters) -> list[RigClass]:
    """Return the site's rigs as plans see them.

    A start takes its warm-up off the hashes at once instead of in ages of its own, and no rig
    fails; what rigs draw is reckoned at the temperature that they run at (`running_chip_c`).
    """
    interval_h = params.interval_s / SECONDS_PER_HOUR
    return [
        replace(
            rigs,
            power_frac=np.zeros(0),
            hash_frac=np.zeros(0),
            lost_hash_h=float((1.0 - params.start_hash_frac[rigs.groups[0]]).sum()) * interval_h,
            fails=False,
        )
        for rigs in rig_classes(params)
    ]


def running_chip_c(rigs: RigClass) -> float:
    """Return the chip temperature of a rig at its middle level in a loop at its setpoint [°C]."""
    level_kw = float(rigs.level_kw[len(rigs.level_kw) // 2])
    return rigs.coolant_setpoint_c + rigs.chip_rise_k_per_kw * level_kw


@dataclass(frozen=True)
class FleetView:
    """The rigs of one site by group, in rigs: (G,) each."""

    running: Floats
    locked_up: Floats
    startable: Floats
    starts: list[RigStart]
    """Of each class."""


def fleet_view(
    reader: ObservationReader, classes: list[RigClass], observation: Observations
) -> FleetView:
    """Return the fleet of one site, observation (1, F).

    The observation says how many rigs are within their minimum times and when the last of them is
    free: all are taken to be free then.
    """
    params = reader.params
    interval_min = params.interval_s / 60.0
    n_rigs = params.n_rigs

    def rigs(name: str) -> Floats:
        return np.asarray(reader.of_groups(observation, name)[0] * n_rigs)

    running, startable = rigs("running_frac"), rigs("startable_frac")
    locked_up = np.minimum(rigs("locked_up_frac"), running)
    waiting = np.maximum(n_rigs - running - startable, 0.0)
    up_left = np.rint(reader.of_groups(observation, "locked_up_min")[0] / interval_min)
    down_left = np.rint(reader.of_groups(observation, "locked_down_min")[0] / interval_min)
    n_up = params.start_power_frac.shape[1]
    n_down = max(int(params.n_down_lock.max()), 1) + 1
    starts = []
    for own in classes:
        up, down = np.zeros(n_up), np.zeros(n_down)
        for g in own.groups:
            up[-1] += running[g] - locked_up[g]
            up[max(own.n_up_lock - int(up_left[g]), 1)] += locked_up[g]
            down[-1] += startable[g]
            # A tripped group waits although none of its rigs is locked.
            left = int(down_left[g]) or own.n_down_lock
            down[max(own.n_down_lock - left, 0)] += waiting[g]
        starts.append(RigStart(up=up, down=down))
    return FleetView(running=running, locked_up=locked_up, startable=startable, starts=starts)


def class_power(
    fleet: FleetView, rigs: RigClass, *, running: float, power_kw: float
) -> dict[int, float]:
    """Return the setpoint of each group of a class [kW] for `running` rigs and power in all.

    Rigs that run go on before others start, in proportion within either.
    """
    groups = list(rigs.groups)
    before = fleet.running[groups]
    if running >= before.sum():
        able = fleet.startable[groups]
        more = min(running - before.sum(), able.sum())
        count = before + able * (more / able.sum() if able.sum() > 0.0 else 0.0)
    else:
        free = before - fleet.locked_up[groups]
        fewer = min(before.sum() - running, free.sum())
        count = before - free * (fewer / free.sum() if free.sum() > 0.0 else 0.0)
    share = count / count.sum() if count.sum() > 0.0 else np.zeros(len(groups))
    return {g: float(power_kw * one) for g, one in zip(groups, share, strict=True)}


def event_share(reader: ObservationReader, observation: Observations, n_periods: int) -> Floats:
    """Return which share of each period the present or next order or call covers, (H, 3).

    In the order of `EVENTS`; further ones are not known.
    """
    period_h = reader.site.market.settlement_period_s / SECONDS_PER_HOUR
    begin = np.arange(n_periods) * period_h
    share = np.zeros((n_periods, len(EVENTS)))
    for k, name in enumerate(EVENTS):
        if not reader.has(f"{name}_now"):
            continue
        wait_h = float(reader.value(observation, f"{name}_in_h")[0])
        left_h = float(reader.value(observation, f"{name}_left_h")[0])
        if reader.value(observation, f"{name}_now")[0] > 0.0:
            wait_h = 0.0
        overlap = np.minimum(begin + period_h, wait_h + left_h) - np.maximum(begin, wait_h)
        share[:, k] = np.clip(overlap / period_h, 0.0, 1.0)
    return share

"""Rigs into the state that the policy sees: the kernel's fields from verified readings."""

import math
from collections.abc import Sequence
from datetime import datetime

from gridhash.config import RigGroupConfig
from gridhash.envs.parameters import SiteParameters
from gridhash.serving.reallocation import held_kw
from gridhash.serving.rig_status import RigStatus
from gridhash.serving.site_state import GroupState


def group_state(
    group: RigGroupConfig,
    rigs: Sequence[RigStatus],
    params: SiteParameters,
    now: datetime,
    *,
    setpoint_kw: float,
    tripped: bool,
) -> GroupState:
    """Return one group's state from the rigs that the decision counts.

    A rig's age is the number of decisions since it was seen to start or stop, so that one told at
    the last decision has age 1 however long it took to obey. A command under way counts as obeyed.
    """
    n_up, n_down = params.start_power_frac.shape[1], max(int(params.n_down_lock.max()), 1) + 1
    coolant_c = coolant_of(group, rigs)
    up, down = [0.0] * n_up, [0.0] * n_down
    up_heat, down_heat = [0.0] * n_up, [0.0] * n_down
    powers = []
    for rig in rigs:
        if not rig.counted:
            continue
        level = rig.told_level
        age = _age(0.0 if rig.pending else rig.since_s(now), params.interval_s)
        chip_c = chip_temp_of(rig, coolant_c)
        counts, heats = (down, down_heat) if level is None else (up, up_heat)
        bucket = min(age, len(counts) - 1)
        counts[bucket] += 1.0
        heats[bucket] += chip_c
        if level is not None:
            powers.append(rig.level_kw[level])
    return GroupState(
        name=group.name,
        up=tuple(up),
        down=tuple(down),
        up_temp_c=_means(up_heat, up, coolant_c),
        down_temp_c=_means(down_heat, down, coolant_c),
        coolant_c=coolant_c,
        rig_kw=sum(powers) / len(powers) if powers else group.level_power_kw(1.0),
        setpoint_kw=setpoint_kw,
        tripped=tripped,
        uncontrolled_kw=sum((held_kw(rig) for rig in rigs if not rig.counted), 0.0),
    )


class TripLatch:
    """Whether a group is tripped: from a chip at the trip temperature until its loop has cooled.

    While no rig tells the temperature of the loop, the group stays as it is.
    """

    def __init__(self, group: RigGroupConfig) -> None:
        self._group = group
        self.name = group.name
        self.tripped = False

    def update(self, rigs: Sequence[RigStatus]) -> bool:
        """Take in the rigs' temperatures; return whether the group trips now."""
        cooling = self._group.cooling
        coolant_c = coolant_told(rigs)
        loop_c = cooling.coolant_setpoint_c if coolant_c is None else coolant_c
        chips_c = [chip_temp_of(rig, loop_c) for rig in rigs if rig.measured]
        was_tripped = self.tripped
        if chips_c and max(chips_c) >= cooling.chip_trip_c:
            self.tripped = True
        elif coolant_c is not None and coolant_c <= cooling.coolant_restart_c:
            self.tripped = False
        return self.tripped and not was_tripped


def coolant_of(group: RigGroupConfig, rigs: Sequence[RigStatus]) -> float:
    """Return the mean coolant temperature of the rigs that tell it, else its setpoint [°C]."""
    told_c = coolant_told(rigs)
    return group.cooling.coolant_setpoint_c if told_c is None else told_c


def coolant_told(rigs: Sequence[RigStatus]) -> float | None:
    """Return the mean coolant temperature of the measured rigs that tell it [°C], or None."""
    told = [
        rig.reading.inlet_temp_c
        for rig in rigs
        if rig.measured and rig.reading is not None and rig.reading.inlet_temp_c is not None
    ]
    return sum(told) / len(told) if told else None


def chip_temp_of(rig: RigStatus, coolant_c: float) -> float:
    """Return the hottest chip of a rig; that of the coolant where a standing rig tells none."""
    reading = rig.reading
    if reading is None or reading.chip_temp_c is None:
        return coolant_c
    return reading.chip_temp_c


def _age(since_s: float, interval_s: float) -> int:
    if math.isinf(since_s):
        return 10**9
    return max(1, math.ceil(since_s / interval_s))


def _means(sums: list[float], counts: list[float], otherwise: float) -> tuple[float, ...]:
    return tuple(
        total / count if count else otherwise for total, count in zip(sums, counts, strict=True)
    )

"""Whether a rig did what it was told, judged by its measured power alone.

Acknowledgements and state words are not evidence: firmware acknowledges what it then ignores, and
hash-rate averages stay high in standby.
"""

import math
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

from gridhash.serving.snapshot import RigReading
from gridhash.units import W_PER_KW

STOPPED_PER_STANDBY = 3.0
"""A stopped rig draws at most so many times its standby power …"""

STOPPED_FRAC = 0.10
"""… or this share of its rated power, whichever is more."""

BOOT_MARGIN_S = 30.0
"""A rebooted rig may stand so much longer than its boot time before it counts as stopped."""

EXCESS_FRAC = 0.005
"""Readings of whole watts may lie so far above the model without meaning anything."""

RUNNING_FRAC = 0.80
"""A running rig draws at least this share of the rated power of its level."""

LEVEL_TOLERANCE_FRAC = 0.08
"""A rig is at a work level if its power is this close to it, or nearer than half a step."""


class Wanted(StrEnum):
    """What a rig was told to be."""

    RUNNING = "running"
    STOPPED = "stopped"


def power_confirms(
    reading: RigReading | None,
    wanted: Wanted,
    rated_power_w: float,
    standby_w: float,
    *,
    not_before: datetime | None = None,
) -> bool | None:
    """Return whether the rig's power shows the wanted state; None if nothing can be said.

    Parameters
    ----------
    reading
        None for a rig that did not answer.
    rated_power_w
        Of the level that the rig is to run at.
    not_before
        When the command takes effect; an earlier reading tells nothing about it.
    """
    if reading is None or reading.power_w is None:
        return None
    if not_before is not None and reading.read_at < not_before:
        return None
    if wanted is Wanted.STOPPED:
        return reading.power_w <= stopped_below_w(rated_power_w, standby_w)
    return reading.power_w >= RUNNING_FRAC * rated_power_w


def stopped_below_w(rated_power_w: float, standby_w: float) -> float:
    """Return the highest power of a rig that counts as stopped [W]."""
    return max(STOPPED_PER_STANDBY * standby_w, STOPPED_FRAC * rated_power_w)


def shows_running(power_w: float, level_kw: Sequence[float], standby_w: float) -> bool | None:
    """Return whether a rig's power is that of one that runs; None in between."""
    if power_w <= stopped_below_w(level_kw[-1] * W_PER_KW, standby_w):
        return False
    return True if power_w >= RUNNING_FRAC * level_kw[0] * W_PER_KW else None


def awake_and_idle(reading: RigReading | None) -> bool:
    """Return whether the firmware says that it was not put to sleep, and works all the same not.

    So it is without a pool, or broken; False where the firmware tells only one of the two.
    """
    return reading is not None and reading.soft_off is False and reading.working is False


def efficiency_j_per_th(reading: RigReading | None) -> float:
    """Return what a rig measures itself at; infinite if unknown."""
    if reading is None or not reading.power_w or not reading.hashrate_ths:
        return math.inf
    return reading.power_w / reading.hashrate_ths


def at_level(power_kw: float, level: int, level_kw: Sequence[float]) -> bool:
    """Return whether a rig's power is that of a work level."""
    own_kw = level_kw[level]
    others = (kw for k, kw in enumerate(level_kw) if k != level)
    half_step_kw = min((abs(kw - own_kw) for kw in others), default=math.inf) / 2.0
    return abs(power_kw - own_kw) <= max(half_step_kw, LEVEL_TOLERANCE_FRAC * own_kw)


def nearest_level(power_kw: float, level_kw: Sequence[float]) -> int:
    """Return the work level whose power is nearest."""
    return min(range(len(level_kw)), key=lambda k: abs(level_kw[k] - power_kw))


def restarted(before: RigReading | None, now: RigReading) -> bool:
    """Return whether a rig was restarted between two readings, by its own uptime."""
    if before is None or before.uptime_s is None or now.uptime_s is None:
        return False
    return now.uptime_s + 1.0 < before.uptime_s

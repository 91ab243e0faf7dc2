"""What rigs draw that cannot be relied on, so that others make up for it.

A rig is lost for a decision if it fell silent, was flagged or locked out, or has not obeyed within
its time. Until the next decision its group's setpoint is kept by the other rigs: what it still
draws is taken off their part, what it does not draw they take over. It counts at its own watts; a
silent one as it was last seen, and at full power for every cap (`RigStatus.potential_kw`).
"""

from collections.abc import Iterable
from datetime import datetime

from gridhash.serving.rig_status import RigStatus


def is_lost(rig: RigStatus, now: datetime) -> bool:
    """Return whether a decision was made with a rig that cannot be relied on any more."""
    gone = not rig.measured or rig.flag or rig.lockout or rig.overdue(now)
    return rig.counted and bool(gone)


def held_kw(rig: RigStatus) -> float:
    """Return what a rig draws that no setpoint governs [kW]: what it was last seen to.

    Zero for a rig that stands or was never seen; only its own watts show that it obeyed.
    """
    if not rig.running:
        return 0.0
    return rig.level_kw[rig.level] if rig.power_kw is None else rig.power_kw


def lost_kw(rigs: Iterable[RigStatus], now: datetime) -> float:
    """Return what the lost rigs of a group still draw [kW]."""
    return sum((held_kw(rig) for rig in rigs if is_lost(rig, now)), 0.0)

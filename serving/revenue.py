"""Load without revenue: rigs that draw power and hash nothing, or stand awake without our word.

Firmware whose pool is gone, or that has no worker, either goes on drawing or idles; no reading
tells the pool itself, so the cause is inferred from watts, hash rate and the firmware's own words.
A fall of power for that cause is nobody's reduction, and a start does not end it.
"""

from collections.abc import Sequence
from datetime import datetime

from gridhash.serving.findings import Alarm
from gridhash.serving.rig_status import RigStatus
from gridhash.serving.site_alarms import AlarmKey
from gridhash.units import THS_PER_PHS

HASHES_AFTER_S = 120.0
"""After boot and warm-up until a rig that runs must hash."""
HASHES_FRAC = 0.10
"""Of the hash rate of its lowest level."""


def hashes_nothing(rig: RigStatus, now: datetime) -> bool:
    """Return whether a rig runs by its watts, long enough, and tells a hash rate near zero."""
    reading, group = rig.reading, rig.group
    if not rig.measured or not rig.running or reading is None or reading.hashrate_ths is None:
        return False
    if rig.pending is not None or reading.not_numbers:
        return False
    if rig.since_s(now) < group.boot_s + group.warm_up_s + HASHES_AFTER_S:
        return False
    least_ths = group.level_hashrate_phs(group.load_levels[0]) * THS_PER_PHS
    return reading.hashrate_ths < HASHES_FRAC * least_ths


def revenue_alarms(groups: Sequence[Sequence[RigStatus]], now: datetime) -> dict[AlarmKey, str]:
    """Return one alarm per group whose rigs earn nothing, however many they are."""
    texts: dict[AlarmKey, str] = {}
    for rigs in groups:
        barren = [rig for rig in rigs if hashes_nothing(rig, now)]
        idle = [rig for rig in rigs if rig.idles_awake]
        if not barren and not idle:
            continue
        drawn_kw = sum(rig.power_kw or 0.0 for rig in (*barren, *idle))
        names = ", ".join(rig.rig_id for rig in (*barren, *idle)[:3])
        texts[Alarm.NO_REVENUE, rigs[0].group.name] = (
            f"{len(barren)} rigs draw and hash nothing, {len(idle)} idle awake ({names} …), "
            f"{drawn_kw:.1f} kW: pool down or worker missing? Nothing of it is claimed"
        )
    return texts

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
"""Longer than boot and warm-up that a rig may run without hashing."""
HASHES_FRAC = 0.10
"""Of the hash rate of its lowest level."""


class RevenueWatch:
    """Watches for rigs of a site that draw and earn nothing."""

    def __init__(self, groups: Sequence[Sequence[RigStatus]]) -> None:
        """Every rig is taken to earn until it was seen not to for long."""
        self._groups = groups
        self._since: dict[str, datetime] = {}

    def alarms(self, now: datetime) -> dict[AlarmKey, str]:
        """Return one alarm per group whose rigs earn nothing, however many they are."""
        texts: dict[AlarmKey, str] = {}
        for rigs in self._groups:
            barren = [rig for rig in rigs if self._is_barren(rig, now)]
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

    def clock_set(self) -> None:
        """Forget instants of the clock that was set."""
        self._since.clear()

    def _is_barren(self, rig: RigStatus, now: datetime) -> bool:
        """Return whether a rig has hashed nothing for longer than any boot and warm-up takes."""
        if not draws_and_hashes_nothing(rig):
            self._since.pop(rig.rig_id, None)
            return False
        gone_s = (now - self._since.setdefault(rig.rig_id, now)).total_seconds()
        return gone_s >= rig.group.boot_s + rig.group.warm_up_s + HASHES_AFTER_S


def draws_and_hashes_nothing(rig: RigStatus) -> bool:
    """Return whether a rig runs by its watts and tells a hash rate near zero."""
    reading, group = rig.reading, rig.group
    if not rig.measured or not rig.running or reading is None or reading.hashrate_ths is None:
        return False
    least_ths = group.level_hashrate_phs(group.load_levels[0]) * THS_PER_PHS
    return reading.hashrate_ths < HASHES_FRAC * least_ths

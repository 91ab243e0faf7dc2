"""Rigs that start or stop together without our command: a sag, a power return, a pool that is gone.

One cause is one alarm. What comes up by itself is not left alone as a person's doing would be: it
is decided on at once, so that rigs that are not wanted are told to stand, and what is missing is
started in packets.
"""

from collections import deque
from collections.abc import Mapping
from datetime import datetime, timedelta

from gridhash.serving.findings import Alarm, AlarmRaised, Cause, Changed, Finding
from gridhash.serving.rig_status import RigStatus

TOGETHER_S = 180.0
"""Changes so close have one cause."""
LEAST_RIGS, LEAST_FRAC = 5, 0.05
"""As many, or this share of the site, is no person at the rigs."""
OF_ONE_RIG = frozenset({Alarm.EXTERNAL_CHANGE, Alarm.RESTARTED})


class MassChange:
    """Watches for changes by others that come together."""

    def __init__(self, rigs: Mapping[str, RigStatus]) -> None:
        """Nothing has changed yet."""
        self._rigs = rigs
        self._recent: dict[bool, deque[tuple[datetime, str]]] = {True: deque(), False: deque()}
        self._told_until: dict[bool, datetime] = {}

    def take(self, findings: list[Finding], now: datetime) -> tuple[list[Finding], bool]:
        """Return what is to be told of a tick's findings, and whether to decide anew at once.

        Alarms of single rigs that belong to one cause are left out; their changes stay.
        """
        kept, decide = findings, False
        for running in (True, False):
            recent = self._recent[running]
            new = [
                own.rig_id
                for own in findings
                if isinstance(own, Changed)
                and own.cause is Cause.EXTERNAL
                and own.running is running
            ]
            recent.extend((now, rig_id) for rig_id in new)
            while recent and recent[0][0] < now - timedelta(seconds=TOGETHER_S):
                recent.popleft()
            together = {rig_id for _, rig_id in recent}
            if not new or len(together) < max(LEAST_RIGS, LEAST_FRAC * len(self._rigs)):
                continue
            kept = [own for own in kept if not _is_of(own, new)]
            if running:
                decide = True
                self._take_back(together)
            if now >= self._told_until.get(running, now):
                kept.append(self._alarm(running, together, now))
            self._told_until[running] = now + timedelta(seconds=TOGETHER_S)
        return kept, decide

    def clock_set(self) -> None:
        """Forget instants of the clock that was set."""
        for recent in self._recent.values():
            recent.clear()
        self._told_until.clear()

    def _take_back(self, rig_ids: set[str]) -> None:
        for rig_id in rig_ids:
            self._rigs[rig_id].take_back()

    def _alarm(self, running: bool, rig_ids: set[str], now: datetime) -> AlarmRaised:
        count, all_rigs = len(rig_ids), len(self._rigs)
        if running:
            text = (
                f"{count} of {all_rigs} rigs came up by themselves: what is not wanted is told to "
                "stand, what is missing starts in packets"
            )
            return AlarmRaised(at=now, kind=Alarm.POWER_RETURN, text=text)
        text = (
            f"{count} of {all_rigs} rigs fell by themselves: a sag, a breaker, a pool? Nothing of "
            "it is claimed"
        )
        return AlarmRaised(at=now, kind=Alarm.FELL_TOGETHER, text=text)


def _is_of(finding: Finding, rig_ids: list[str]) -> bool:
    """Return whether a finding is the alarm of a single change among these rigs."""
    return (
        isinstance(finding, AlarmRaised)
        and finding.kind in OF_ONE_RIG
        and finding.rig_id in rig_ids
    )

"""When a controller has something to do: dispatch, readings, verifications, attempts anew.

Market times and the dispatch grid are those of the clock. What a rig waits for, or counts from, is
a span of monotonic time: where the host's clock is set, or the machine stood still, those instants
move with it, so that nothing is due early or late, and what was missed is done once.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

from gridhash.serving.failpoints import failpoint
from gridhash.serving.rig_status import RigStatus
from gridhash.serving.settings import ControllerSettings

SHORTEST_STEP = timedelta(seconds=1.0)


class Timetable:
    """The instants of one controller."""

    def __init__(
        self, interval_s: int, rigs: Mapping[str, RigStatus], settings: ControllerSettings
    ) -> None:
        """Dispatch every `interval_s` from 1970 on; everything is due at first."""
        self.dispatch_at: datetime | None = None
        self._read_at: datetime | None = None
        self._interval_s = interval_s
        self._rigs = rigs
        self._settings = settings
        self._last_tick: tuple[datetime, float] | None = None
        self._meant_s: float | None = None

    def notice_pause(self, monotonic_s: float) -> float:
        """Return for how long nobody looked [s]: the process was stopped, or its host stood still.

        Commands under way are given that time; 0 for a tick that comes about when it was meant.
        """
        late_s = 0.0 if self._meant_s is None else monotonic_s - self._meant_s
        if late_s < self._settings.paused_after_s:
            return 0.0
        for rig in self._rigs.values():
            rig.stood_still(timedelta(seconds=late_s))
        return late_s

    def notice_clock(self, now: datetime, monotonic_s: float) -> timedelta:
        """Move every instant with a clock that was set since the last call; return by how much."""
        last, self._last_tick = self._last_tick, (now, monotonic_s)
        if last is None:
            return timedelta()
        by = now - last[0] - timedelta(seconds=monotonic_s - last[1])
        if abs(by) < SHORTEST_STEP:
            return timedelta()
        self._read_at = self.dispatch_at = None
        for rig in self._rigs.values():
            rig.clock_set(by)
        return by

    def due(self, now: datetime) -> list[str]:
        """Return the rigs to read now: all when it is time, else those with a command under way."""
        times = (self._read_at, self.dispatch_at)
        everything = any(at is None or now >= at for at in times)
        if everything:
            busy = any(rig.pending is not None for rig in self._rigs.values())
            settings = self._settings
            step_s = settings.supervision_s if busy else settings.settled_supervision_s
            self._read_at = now + timedelta(seconds=step_s)
        due = []
        for rig in self._rigs.values():
            check_at = rig.pending.check_at if rig.pending is not None else None
            probe_at = rig.contact.probe_at
            own = [at for at in (probe_at, check_at) if at is not None]
            if any(now >= at for at in own) or (everything and probe_at is None):
                due.append(rig.rig_id)
        return due

    def dispatch_due(self, now: datetime) -> bool:
        """Return whether to decide now."""
        return self.dispatch_at is None or now >= self.dispatch_at

    def dispatched(self, now: datetime) -> None:
        """Note that a decision was made: the next one is on the grid, however many were missed."""
        self.dispatch_at = self.dispatch_after(now)

    def dispatch_after(self, now: datetime) -> datetime:
        """Return the next instant of the dispatch grid, which counts from 1970."""
        step_s = self._interval_s
        return datetime.fromtimestamp((now.timestamp() // step_s + 1) * step_s, UTC)

    def next_at(
        self, now: datetime, others: Iterable[datetime | None], monotonic_s: float
    ) -> datetime:
        """Return when to tick again after a tick that began at `now` and has ended.

        `others` are instants at which something else is due.
        """
        failpoint("tick.end")
        pending = [rig.pending for rig in self._rigs.values() if rig.pending is not None]
        if pending and self._read_at is not None:
            within = timedelta(seconds=self._settings.supervision_s)
            self._read_at = min(self._read_at, now + within)
        times = [self.dispatch_at, self._read_at, *others]
        times += [at for own in pending for at in (own.check_at, own.deadline_at)]
        times += [rig.contact.probe_at for rig in self._rigs.values()]
        next_at = max(min(at for at in times if at is not None), now + SHORTEST_STEP)
        if self._last_tick is not None:
            due_s = self._last_tick[1] + (next_at - now).total_seconds()
            self._meant_s = max(due_s, monotonic_s)  # a tick over slow rigs takes its time
        return next_at

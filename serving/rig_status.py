"""What the controller knows of one rig: what its watts show, what it was told, what to expect.

Power alone decides whether a rig runs. An acknowledgement starts a deadline and nothing more.
"""

import math
from dataclasses import replace
from datetime import datetime, timedelta

from gridhash.config import RigGroupConfig
from gridhash.serving.allocator import RigView
from gridhash.serving.drivers.protocol import Command, CommandResult, Outcome
from gridhash.serving.findings import Alarm, AlarmRaised, Cause, Changed, Finding, Verdict, Verified
from gridhash.serving.pending import Pending, moved
from gridhash.serving.rig_contact import Contact
from gridhash.serving.settings import ControllerSettings
from gridhash.serving.snapshot import RigReading
from gridhash.serving.verification import (
    BOOT_MARGIN_S,
    EXCESS_FRAC,
    Wanted,
    at_level,
    awake_and_idle,
    efficiency_j_per_th,
    nearest_level,
    power_confirms,
    restarted,
    shows_running,
)
from gridhash.units import W_PER_KW


class RigStatus:
    """One rig in the eyes of the controller."""

    def __init__(
        self,
        rig_id: str,
        group: RigGroupConfig,
        level_kw: tuple[float, ...],
        settings: ControllerSettings,
        *,
        last_change: tuple[datetime, bool] | None = None,
        lockout: str = "",
    ) -> None:
        """Know nothing yet but what an earlier run saw: last change, lockout by a person."""
        self.rig_id = rig_id
        self.group = group
        self.level_kw = level_kw
        self.settings = settings
        self.reading: RigReading | None = None
        """The last that told the power."""
        self.running: bool | None = None
        self.changed_at: datetime | None = None
        """Last seen to start or stop; None is long ago."""
        self.level = len(level_kw) - 1
        self.pending: Pending | None = None
        self.contact = Contact(rig_id, settings)
        self.n_failures = 0
        self._failing_since: datetime | None = None
        self.next_try_at: datetime | None = None
        self.flag = ""
        self.lockout = lockout
        self.hold_until: datetime | None = None
        self.n_starts = 0
        self.enabled = True
        """Whether we may command it: not while the site is disarmed, or beyond a canary stage."""
        self.counted = False
        """Whether the last decision was made with this rig at command."""
        self.reference_kw: float | None = None
        """Power before our stop; None unless the rig stands by it and told its power before."""
        self.counts_reported = True
        """Whether what it reports above its model counts: not where the site's meter tells it."""
        self._stood_by_us = False
        """Whether it stood by our command before somebody else last changed it."""
        self._last_change = last_change
        self._last_pending: Pending | None = None
        self._running_kw = level_kw[-1]
        self._booting_until: datetime | None = None
        self._late_start_until: datetime | None = None
        """A start that missed its deadline may be obeyed until then."""

    @property
    def measured(self) -> bool:
        """Whether the rig answers and tells its power."""
        return self.running is not None and self.contact.good

    @property
    def power_kw(self) -> float | None:
        """Power as the rig last reported it; None while it is not measured."""
        if not self.measured or self.reading is None or self.reading.power_w is None:
            return None
        return self.reading.power_w / W_PER_KW

    @property
    def stands_by_command(self) -> bool:
        """Whether we stopped a rig in use, and watts show it: only this is claimed."""
        starting = self.pending is not None and self.pending.running
        stands = self.running is False and self.measured and not starting
        return stands and self.reference_kw is not None and not self.flag

    @property
    def idles_awake(self) -> bool:
        """Whether the rig fell and was not put to sleep, as without a pool: no start helps."""
        fell = self.running is False and self.changed_at is not None and self.reference_kw is None
        return fell and self.measured and self.pending is None and awake_and_idle(self.reading)

    def takes_commands(self, now: datetime) -> bool:
        """Whether the rig can be used for a setpoint now."""
        return (
            self.enabled
            and self.measured
            and not self.flag
            and not self.lockout
            and not self.idles_awake
            and not self.overdue(now)
            and (self.next_try_at is None or now >= self.next_try_at)
            and (self.hold_until is None or now >= self.hold_until)
        )

    def overdue(self, now: datetime) -> bool:
        """Whether the rig is told again what it did not do in its time: it may never do it."""
        if self.pending is None or not self.n_failures or self._failing_since is None:
            return False
        return (now - self._failing_since).total_seconds() >= self.settings.verify_within_s

    def potential_kw(self) -> float:
        """Return what the rig may draw above standby, as the envelope must reckon [kW]."""
        if not self.measured or self.flag or self.idles_awake:
            return self.level_kw[-1] + self.excess_kw
        levels = [self.level if self.running else None]
        if self._late_start_until is not None:
            levels.append(len(self.level_kw) - 1)
        if self.pending is not None and self.pending.level is not None:
            # A start says nothing of levels: the rig may come up at the one it had.
            starts = self.pending.command is Command.RESUME
            levels.append(max(self.pending.level, self.level) if starts else self.pending.level)
        powers_kw = [self.level_kw[level] for level in levels if level is not None]
        return max(powers_kw) + self.excess_kw if powers_kw else 0.0

    @property
    def excess_kw(self) -> float:
        """Power that the rig draws above its model when it runs, if it matters [kW]."""
        rated_kw = self.level_kw[self.level]
        above_kw = self._running_kw - rated_kw
        return above_kw if self.counts_reported and above_kw > EXCESS_FRAC * rated_kw else 0.0

    @property
    def told_level(self) -> int | None:
        """Level that the rig runs at once it has obeyed; None to stand."""
        if self.pending is not None:
            return self.pending.level
        return self.level if self.running else None

    def view(self, now: datetime) -> RigView:
        """Return the rig as the allocator sees it: a command under way counts as obeyed."""
        level = self.told_level
        since_s = 0.0 if self.pending else self.since_s(now)
        return RigView(
            rig_id=self.rig_id,
            running=level is not None,
            since_s=since_s,
            level=level,
            n_starts=self.n_starts,
            available=self.counted and self.takes_commands(now),
            efficiency_j_per_th=efficiency_j_per_th(self.reading) if self.running else math.inf,
        )

    def since_s(self, now: datetime) -> float:
        """Return the time since the rig was seen to start or stop [s]; infinite if unknown."""
        return math.inf if self.changed_at is None else (now - self.changed_at).total_seconds()

    def see(
        self, reading: RigReading | None, now: datetime, hold_until: datetime | None
    ) -> list[Finding]:
        """Take in a reading, or that none came; changes by others are left until `hold_until`."""
        if reading is None:
            return self.contact.missed(now)
        findings = self.contact.heard(reading, now)
        if reading.power_w is None:
            return findings
        was_restarted = restarted(self.reading, reading)
        self.reading = reading
        if was_restarted:
            findings += self._on_restart(reading, hold_until)
        seen = self._seen(reading)
        if seen is True:
            self._running_kw = reading.power_w / W_PER_KW
            self._booting_until = self._late_start_until = None
        late_until = self._late_start_until
        if seen is False and late_until is not None and reading.read_at >= late_until:
            self._late_start_until = None
        if self.pending is not None:
            findings += self._check_pending(self.pending, reading, now)
        elif seen is not None and seen is not self.running:
            findings += self._on_change(reading, seen, hold_until)
        return findings

    def sent(self, pending: Pending) -> list[Finding]:
        """Note a command that is about to be sent; an earlier one under way is superseded."""
        findings: list[Finding] = []
        if self.pending is not None:
            findings.append(self._judged(self.pending, pending.sent_at, Verdict.SUPERSEDED))
        self.pending = self._last_pending = pending
        return findings

    def answered(self, result: CommandResult, now: datetime) -> list[Finding]:
        """Take in what became of the command that was sent."""
        pending = self.pending
        if pending is None:
            return []
        if result.outcome.may_have_reached_rig:
            effective_at = result.effective_at or result.sent_at
            boot_s = self.group.boot_s if pending.command is Command.RESUME else 0.0
            self.pending = self._last_pending = replace(
                pending,
                effective_at=effective_at,
                check_at=effective_at + timedelta(seconds=boot_s + 1.0),
            )
            return []
        findings: list[Finding] = [self._judged(pending, now, Verdict.NOT_SENT)]
        # What stops or starts the rig from now on is not ours.
        self.pending = self._last_pending = None
        self._failing_since = self._failing_since if self.n_failures else pending.sent_at
        self.n_failures += 1
        wait_s = max(self.settings.retry_after_s(self.n_failures), self.settings.check_s)
        self.next_try_at = now + timedelta(seconds=wait_s)
        text = f"{pending.command}: {result.outcome}, {result.detail}"
        if result.outcome is not Outcome.UNREACHABLE:
            findings.append(self._alarm(now, Alarm.REFUSES, text))
            limit = 1 if result.outcome is Outcome.UNSUPPORTED else self.settings.flag_after
            if self.n_failures >= limit:
                self.flag = str(Alarm.REFUSES)
        return findings

    def expire(self, now: datetime) -> list[Finding]:
        """Give up a command whose deadline has passed without proof."""
        pending = self.pending
        if pending is None or now < pending.deadline_at:
            return []
        findings: list[Finding] = [self._judged(pending, now, Verdict.MISSED)]
        self.pending = None
        if pending.command is Command.RESUME:
            self._late_start_until = now + (pending.deadline_at - pending.sent_at)
        self._failing_since = self._failing_since if self.n_failures else pending.sent_at
        self.n_failures += 1
        self.next_try_at = now + timedelta(seconds=self.settings.retry_after_s(self.n_failures))
        within_s = (now - pending.sent_at).total_seconds()
        text = f"{pending.command} not confirmed by watts within {within_s:.0f} s"
        findings.append(self._alarm(now, Alarm.MISSED, text))
        if self.n_failures >= self.settings.flag_after and self.measured:
            self.flag = str(Alarm.DISOBEYS)
            text = f"{self.n_failures} commands in a row had no effect: out of use, 0 kW claimed"
            findings.append(self._alarm(now, Alarm.DISOBEYS, text))
        return findings

    def take_back(self) -> None:
        """Use a rig that came up with many; if it stood by our command, no time keeps it up."""
        self.hold_until = None
        if self._stood_by_us:
            self.changed_at = None

    def cleared(self) -> None:
        """End the lockout and forget failures: a person takes the rig back into use."""
        self.lockout, self.flag, self.n_failures, self.next_try_at = "", "", 0, None

    def stood_still(self, by: timedelta) -> None:
        """Give a command under way the time in which nobody looked."""
        if self.pending is not None:
            deadline_at = self.pending.deadline_at + by
            self.pending = self._last_pending = replace(self.pending, deadline_at=deadline_at)

    def clock_set(self, by: timedelta) -> None:
        """Move every instant that the rig waits for, or counts from, with the host's clock."""
        self.contact.clock_set(by)
        self.changed_at = moved(self.changed_at, by)
        self.next_try_at, self.hold_until = moved(self.next_try_at, by), moved(self.hold_until, by)
        self._booting_until = moved(self._booting_until, by)
        self._late_start_until = moved(self._late_start_until, by)
        self._failing_since = moved(self._failing_since, by)
        if self.pending is not None:
            self.pending = self._last_pending = self.pending.moved(by)

    def _on_restart(self, reading: RigReading, hold_until: datetime | None) -> list[Finding]:
        assert reading.uptime_s is not None
        at = reading.read_at - timedelta(seconds=reading.uptime_s)
        self._booting_until = at + timedelta(seconds=self.group.boot_s + BOOT_MARGIN_S)
        was = "ran" if self.running else "stood"
        text = f"restarted by someone else about {at:%H:%M:%S} UTC; it {was} before"
        self.running, self.changed_at, self.hold_until = True, at, hold_until
        self._fell_out_of_claim()
        return [
            self._alarm(reading.read_at, Alarm.RESTARTED, text),
            Changed(at=at, rig_id=self.rig_id, running=True, cause=Cause.EXTERNAL),
        ]

    def _seen(self, reading: RigReading) -> bool | None:
        """Return whether watts show that the rig runs; None in between and while it boots."""
        assert reading.power_w is not None
        runs = shows_running(reading.power_w, self.level_kw, self.group.standby_w)
        booting = self._booting_until is not None and reading.read_at < self._booting_until
        return None if booting and runs is False else runs

    def _on_change(
        self, reading: RigReading, seen: bool, hold_until: datetime | None
    ) -> list[Finding]:
        first = self.running is None
        if first and self._last_change is not None and self._last_change[1] is seen:
            self.running, self.changed_at = seen, self._last_change[0]
            return []
        told = self._last_pending
        self.running = seen
        if first and self._last_change is None:
            change = Changed(
                at=reading.read_at, rig_id=self.rig_id, running=seen, cause=Cause.FIRST_SEEN
            )
            return [change]
        self.changed_at = reading.read_at
        if self.n_failures and told is not None and told.running is seen:
            self.n_failures, self.next_try_at = 0, None
            return self._obeyed(told, reading, Verdict.LATE)
        self._fell_out_of_claim()
        self.hold_until = hold_until
        text = f"{'started' if seen else 'stopped'} without a command of ours"
        return [
            self._alarm(reading.read_at, Alarm.EXTERNAL_CHANGE, text),
            Changed(at=reading.read_at, rig_id=self.rig_id, running=seen, cause=Cause.EXTERNAL),
        ]

    def _fell_out_of_claim(self) -> None:
        self._stood_by_us, self.reference_kw = self.reference_kw is not None, None

    def _check_pending(self, pending: Pending, reading: RigReading, now: datetime) -> list[Finding]:
        if self._confirms(pending, reading):
            self.pending = None
            self.n_failures, self.next_try_at = 0, None
            return self._obeyed(pending, reading, Verdict.VERIFIED)
        if pending.check_at is not None and now >= pending.check_at:
            check_at = now + timedelta(seconds=self.settings.check_s)
            self.pending = replace(pending, check_at=check_at)
        return []

    def _confirms(self, pending: Pending, reading: RigReading) -> bool:
        wanted = Wanted.STOPPED if pending.level is None else Wanted.RUNNING
        # A start leaves the rig at the level it had, so any running power confirms it.
        rated_w = self.level_kw[-1 if pending.level is None else 0] * W_PER_KW
        confirmed = power_confirms(
            reading, wanted, rated_w, self.group.standby_w, not_before=pending.effective_at
        )
        if not confirmed or pending.effective_at is None:
            return False
        if pending.command is not Command.SET_WORK_LEVEL or pending.level is None:
            return True
        assert reading.power_w is not None
        return at_level(reading.power_w / W_PER_KW, pending.level, self.level_kw)

    def _obeyed(self, pending: Pending, reading: RigReading, verdict: Verdict) -> list[Finding]:
        findings: list[Finding] = [self._judged(pending, reading.read_at, verdict)]
        if pending.level is not None:
            assert reading.power_w is not None
            # A start that says nothing of levels leaves the rig at the one it had.
            is_level = pending.command is Command.SET_WORK_LEVEL
            self.level = (
                pending.level
                if is_level
                else nearest_level(reading.power_w / W_PER_KW, self.level_kw)
            )
        if self.running is not pending.running or verdict is Verdict.LATE:
            self.running, self.changed_at = pending.running, reading.read_at
            self.n_starts += pending.running
            # What idles awake fell by itself, whatever we told it at that moment.
            ours = not pending.running and not awake_and_idle(reading)
            self.reference_kw = pending.before_kw if ours else None
            findings.append(
                Changed(
                    at=reading.read_at,
                    rig_id=self.rig_id,
                    running=pending.running,
                    cause=Cause.COMMAND,
                )
            )
        return findings

    def _judged(self, pending: Pending, at: datetime, verdict: Verdict) -> Verified:
        return Verified(
            intent_id=pending.intent_id,
            at=at,
            rig_id=self.rig_id,
            command=pending.command,
            verdict=verdict,
            seconds=(at - pending.sent_at).total_seconds(),
            before_kw=pending.before_kw,
            after_kw=self.power_kw,
        )

    def _alarm(self, at: datetime, kind: Alarm, text: str) -> AlarmRaised:
        return AlarmRaised(at=at, kind=kind, rig_id=self.rig_id, text=text)

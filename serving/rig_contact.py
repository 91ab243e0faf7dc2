"""Whether a rig answers, tells its power and keeps time: what each reading says of the line."""

from datetime import datetime, timedelta

from gridhash.serving.findings import Alarm, AlarmRaised, Finding
from gridhash.serving.pending import moved
from gridhash.serving.settings import ControllerSettings
from gridhash.serving.snapshot import RigReading


class Contact:
    """Readings that one rig missed, came without power, or came with a wrong clock."""

    def __init__(self, rig_id: str, settings: ControllerSettings) -> None:
        """Nothing is missed yet."""
        self.probe_at: datetime | None = None
        """When to try again; None while the rig answers."""
        self._rig_id = rig_id
        self._settings = settings
        self._n_misses = 0
        self._n_blind = 0
        self._skewed = False

    @property
    def answers(self) -> bool:
        """Whether the rig answers, or failed to only a few times."""
        return self._n_misses < self._settings.unreachable_after

    @property
    def doubtful(self) -> bool:
        """Whether the rig did not answer when it was last asked."""
        return self._n_misses > 0

    @property
    def good(self) -> bool:
        """Whether the rig answers and tells its power, or failed to only a few times."""
        return max(self._n_misses, self._n_blind) < self._settings.unreachable_after

    def missed(self, now: datetime) -> list[Finding]:
        """Note that no reading came."""
        settings = self._settings
        self._n_misses += 1
        if self._n_misses < settings.unreachable_after:
            self.probe_at = now + timedelta(seconds=settings.check_s)
            return []
        self.probe_at = now + timedelta(seconds=settings.probe_after_s(self._n_misses))
        if self._n_misses > settings.unreachable_after:
            return []
        text = "does not answer: it counts as running at full power and nothing is claimed"
        return [self._alarm(now, Alarm.UNREACHABLE, text)]

    def heard(self, reading: RigReading, now: datetime) -> list[Finding]:
        """Note a reading, with power or without."""
        findings: list[Finding] = []
        if self._n_misses >= self._settings.unreachable_after:
            findings.append(self._alarm(now, Alarm.REACHABLE, "answers again"))
        self._n_misses, self.probe_at = 0, None
        findings += self._check_clock(reading)
        if reading.power_w is None:
            self._n_blind += 1
            if self._n_blind == self._settings.unreachable_after:
                sent = ", ".join(reading.not_numbers) or "nothing"
                text = f"tells no power (sent {sent}): it counts as running and nothing is claimed"
                findings.append(self._alarm(now, Alarm.NO_POWER_READING, text))
            return findings
        if self._n_blind >= self._settings.unreachable_after:
            findings.append(self._alarm(now, Alarm.POWER_READING, "tells its power again"))
        self._n_blind = 0
        return findings

    def clock_set(self, by: timedelta) -> None:
        """Move the next attempt with the host's clock."""
        self.probe_at = moved(self.probe_at, by)

    def _check_clock(self, reading: RigReading) -> list[Finding]:
        if reading.rig_clock_at is None:
            return []
        skew_s = (reading.rig_clock_at - reading.read_at).total_seconds()
        was_skewed, self._skewed = self._skewed, abs(skew_s) > self._settings.clock_skew_alarm_s
        if was_skewed or not self._skewed:
            return []
        text = f"its clock is {skew_s:+.0f} s off; commands are timed by its own clock"
        return [self._alarm(reading.read_at, Alarm.CLOCK_SKEW, text)]

    def _alarm(self, at: datetime, kind: Alarm, text: str) -> AlarmRaised:
        return AlarmRaised(at=at, kind=kind, rig_id=self._rig_id, text=text)

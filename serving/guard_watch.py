"""When a guard acts and when it hands back: a state machine without clock, socket or rig.

watching     → failsafe      a live controller's heartbeat is too old: the safe profile holds; or
                             the site draws too much for too long: it is trimmed to its limit first
failsafe     → handing back  heartbeats are fresh again and acknowledge this failsafe's epoch
handing back → failsafe      any of that fails
handing back → watching      all of it held for the hold time

Seconds are on the guard's monotonic clock.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from pydantic import AwareDatetime

from gridhash.serving.guard_notice import GuardNotice, GuardState
from gridhash.serving.guard_settings import GuardSettings
from gridhash.serving.heartbeat import Heartbeat
from gridhash.serving.state_folder import Record

LIVE = "live"
HOUR_S = 3600.0
SAME_KW = 1e-6
TRIMMED_FRAC = 0.98
"""Share of the limit to which an overload is lowered."""


class GuardMemory(Record):
    """What outlives a guard's process."""

    state: GuardState
    epoch: int
    reason: str
    since: AwareDatetime
    heartbeat: Heartbeat | None


@dataclass(frozen=True)
class _Power:
    """What the site draws, what it may, and who says so."""

    power_kw: float
    limit_kw: float
    source: str


class GuardWatch:
    """Takes in heartbeats and meter readings; `update` says whether the state changed."""

    def __init__(
        self,
        settings: GuardSettings,
        *,
        max_site_kw: float,
        now: Callable[[], datetime],
        monotonic: Callable[[], float],
        memory: GuardMemory | None = None,
    ) -> None:
        """Begin watching, or go on where the guard's last process ended."""
        self.settings = settings
        self.heartbeat = memory.heartbeat if memory else None
        """The last one taken, whatever its age."""
        self.state = memory.state if memory else GuardState.WATCHING
        self.epoch = memory.epoch if memory else 0
        self.reason = memory.reason if memory else "no failsafe yet"
        self._max_site_kw = max_site_kw
        self._now = now
        self._monotonic = monotonic
        self._since = memory.since if memory else now()
        self._since_s = self._proof_s = monotonic()
        self._failsafes_s: list[float] = []
        self._meter: tuple[float, float] | None = None
        self._over_since_s: float | None = None
        self._trimmed_kw: float | None = None
        """Cap that brought the site under its limit, in this failsafe; None if none was needed."""
        self._trim_until_s = 0.0
        self._on_profile = True
        """Whether the safe profile holds, and not a trim alone."""
        if self.state is GuardState.HANDING_BACK:
            self.state = GuardState.FAILSAFE  # what was held before this process is not known

    @property
    def silence_s(self) -> float:
        """Time since the controller last proved that it lives; since the start if it never did."""
        return self._monotonic() - self._proof_s

    @property
    def lowers(self) -> bool:
        """Whether rigs are to be held to `cap_kw`."""
        return self.state is not GuardState.WATCHING

    def remember(self, heartbeat: Heartbeat) -> None:
        """Take in a heartbeat that was there before this guard: it tells, it proves nothing."""
        if heartbeat.is_newer_than(self.heartbeat):
            self.heartbeat = heartbeat

    def take(self, heartbeat: Heartbeat, asked_s: float) -> bool:
        """Take a heartbeat made after `asked_s`; return False for one that does not count.

        While the last controller is fresh only what is newer than its last counts. When it is
        silent anyone's does: a new journal or another host begins to count anew.
        """
        last = self.heartbeat
        if not heartbeat.is_newer_than(last) and last is not None:
            same = (last.controller, last.order) == (heartbeat.controller, heartbeat.order)
            if same or self.silence_s <= self.settings.heartbeat_limit_s:
                return False
        self.heartbeat = heartbeat
        self._proof_s = max(self._proof_s, asked_s)
        return True

    def take_meter(self, power_kw: float) -> None:
        """Take a reading of the site's meter [kW]."""
        self._meter = power_kw, self._monotonic()

    @property
    def meter_kw(self) -> float | None:
        """The meter's last reading while it is fresh [kW]; None else."""
        if self._meter is None:
            return None
        power_kw, read_s = self._meter
        fresh = self._monotonic() - read_s <= self.settings.overload_s
        return power_kw if fresh else None

    def update(self) -> bool:
        """Go to the state that holds now; return whether it is another."""
        before = self.state
        over = self._overload()
        silent = self.silence_s > self.settings.heartbeat_limit_s
        if self.state is GuardState.WATCHING:
            live = self.heartbeat is not None and self.heartbeat.mode == LIVE
            if live and (silent or over):
                self._enter_failsafe(over, silent=silent)
            return self.state is not before
        still_over = over and self._monotonic() >= self._trim_until_s
        if silent or still_over:
            self._on_profile = True  # trimming alone is not enough
        missing = self._missing()
        if missing and self.state is GuardState.HANDING_BACK:
            self._go(GuardState.FAILSAFE, missing)
        elif not missing and self.state is GuardState.FAILSAFE:
            self._go(GuardState.HANDING_BACK, "the controller has taken over; the hold time runs")
        elif not missing and self._proof_s - self._since_s >= self.hold_s:
            self._go(GuardState.WATCHING, f"handed back after failsafe {self.epoch}")
        return self.state is not before

    @property
    def hold_s(self) -> float:
        """How long a controller must hold before it gets the rigs back [s]."""
        return self.settings.hold_after(len(self._failsafes_s))

    def cap_kw(self) -> float | None:
        """Return what rigs may draw at most [kW]; None while watching, or not reckoned yet."""
        if not self.lowers:
            return None
        caps_kw = [
            self.settings.safe_profile.max_rig_kw if self._on_profile else None,
            self._trimmed_kw,
            self.heartbeat.kept_kw(self._now()) if self.heartbeat else None,
        ]
        return min((cap_kw for cap_kw in caps_kw if cap_kw is not None), default=None)

    def trim(self, potential_kw: float) -> None:
        """While the site is trimmed, set the cap that brings it under its limit.

        It only falls; `potential_kw` is what the rigs may draw.
        """
        power = self._power()
        if not self.lowers or self._on_profile or power is None or self._over_since_s is None:
            return
        excess_kw = power.power_kw - TRIMMED_FRAC * power.limit_kw
        wanted_kw = max(potential_kw - excess_kw, 0.0)
        if self._trimmed_kw is None or wanted_kw < self._trimmed_kw:
            self._trimmed_kw = wanted_kw

    def notice(self) -> GuardNotice:
        """Return what the controller is told."""
        return GuardNotice(
            guard=self.settings.guard,
            state=self.state,
            epoch=self.epoch,
            cap_kw=self.cap_kw(),
            reason=self.reason,
            since=self._since,
            at=self._now(),
        )

    def memory(self) -> GuardMemory:
        """Return what the next process must know."""
        return GuardMemory(
            state=self.state,
            epoch=self.epoch,
            reason=self.reason,
            since=self._since,
            heartbeat=self.heartbeat,
        )

    def _enter_failsafe(self, over: str, *, silent: bool) -> None:
        self.epoch += 1
        now_s = self._monotonic()
        self._failsafes_s = [one for one in self._failsafes_s if now_s - one < HOUR_S] + [now_s]
        self._trimmed_kw, self._on_profile = None, silent
        self._trim_until_s = now_s + self.settings.trim_s
        self._go(GuardState.FAILSAFE, self._silence() if silent else over)

    def _silence(self) -> str:
        return f"no heartbeat for {self.silence_s:.0f} s"

    def _missing(self) -> str:
        """Return what keeps the guard from handing back; nothing if nothing does."""
        heartbeat, cap_kw = self.heartbeat, self.cap_kw()
        if heartbeat is None or self.silence_s > self.settings.heartbeat_limit_s:
            return self._silence()
        if self._over_since_s is not None:
            return "the site still draws too much"
        if heartbeat.mode != LIVE:
            return f"the controller is in mode {heartbeat.mode}"
        if heartbeat.acknowledged.get(self.settings.guard) != self.epoch:
            return f"the controller lives and has not acknowledged failsafe {self.epoch}"
        setpoint_kw = sum(heartbeat.setpoint_kw.values())
        if cap_kw is not None and setpoint_kw > cap_kw + SAME_KW:
            return f"the controller wants {setpoint_kw:.1f} kW, above the cap of {cap_kw:.1f} kW"
        return ""

    def _power(self) -> _Power | None:
        """Return what the site draws, by its meter or else by its rigs; None if nobody says."""
        power_kw = self.meter_kw
        if power_kw is not None:
            return _Power(power_kw, self._max_site_kw, "the meter shows")
        if self.heartbeat is None or self.silence_s > self.settings.heartbeat_limit_s:
            return None
        # Not held to the controller's own cap: that may fall faster than rigs obey.
        return _Power(self.heartbeat.measured_kw, self._max_site_kw, "the rigs say")

    def _overload(self) -> str:
        """Return in words that the site draws too much for too long; nothing if it does not."""
        power = self._power()
        over_frac = self.settings.overload_frac
        if power is None or power.power_kw <= power.limit_kw * (1.0 + over_frac):
            self._over_since_s = None
            return ""
        if self._over_since_s is None:
            self._over_since_s = self._monotonic()
        lasted_s = self._monotonic() - self._over_since_s
        if lasted_s < self.settings.overload_s:
            return ""
        return (
            f"{power.source} {power.power_kw:.0f} kW, above {power.limit_kw:.0f} kW for "
            f"{lasted_s:.0f} s"
        )

    def _go(self, state: GuardState, reason: str) -> None:
        self.state, self.reason = state, reason
        self._since, self._since_s = self._now(), self._monotonic()

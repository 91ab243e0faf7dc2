"""What the controller does with an operator's request: refuse it with the reason, or do it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pydantic import ValidationError

from gridhash.serving.canary import Arming
from gridhash.serving.failpoints import failpoint
from gridhash.serving.findings import Alarm, AlarmRaised, Finding
from gridhash.serving.journal import Journal
from gridhash.serving.permissives import Plant
from gridhash.serving.request_desk import RequestDesk
from gridhash.serving.requests import Request, RequestKind
from gridhash.serving.rig_status import RigStatus
from gridhash.serving.site_status import Mode
from gridhash.serving.standing_orders import Hold, StandingOrders
from gridhash.serving.stop_all import lift_stop_all

PLANT = "plant"
"""Name under which `clear` ends the latched trips of the plant."""


@dataclass(frozen=True, kw_only=True)
class Ruling:
    """What is answered to a request, and what is then done."""

    text: str
    act: Callable[[], list[Finding]] | None = None
    """None for a refusal."""


class OperatorDesk:
    """Settles the requests of one site."""

    def __init__(
        self,
        *,
        rigs: Mapping[str, RigStatus],
        standing: StandingOrders,
        arming: Arming,
        plant: Plant | None,
        requests: RequestDesk | None,
        stop_all: Path | None,
    ) -> None:
        """Serve nobody yet; `requests` and `stop_all` are None where nobody can ask."""
        self._rigs = rigs
        self._standing = standing
        self._arming = arming
        self._plant = plant
        self._requests = requests
        self._stop_all = stop_all

    @property
    def names(self) -> set[str]:
        """What can be cleared: rigs, and the plant if there is one."""
        return {*self._rigs, *([PLANT] if self._plant is not None else [])}

    def restore(self, journal: Journal, now: datetime) -> None:
        """Take up the hold that an earlier run was asked for, if it has not ended."""
        rows = journal.rows(
            "SELECT text FROM requests WHERE accepted AND kind IN (?, ?) ORDER BY id DESC LIMIT 1",
            str(RequestKind.HOLD),
            str(RequestKind.RELEASE),
        )
        for row in rows:
            try:
                request = Request.model_validate_json(row["text"])
            except ValidationError:
                continue  # of another version: a person asks again
            if request.until is not None and request.until > now:
                self._standing.hold = _hold_of(request)

    def settle(self, now: datetime, run_id: int) -> list[Finding]:
        """Settle everything that was asked since the last call."""
        findings: list[Finding] = []
        failpoint("requests.before_settling")
        if self._requests is None:
            return findings
        for taken in self._requests.take(now):
            ruling = self._rule(taken.request, now)
            done = self._requests.settle(
                taken, accepted=ruling.act is not None, text=ruling.text, at=now, run_id=run_id
            )
            if done and ruling.act is not None:
                findings += ruling.act()
        failpoint("requests.settled")
        return findings

    def lock_out(self, rig_id: str, person: str, reason: str, now: datetime) -> list[Finding]:
        """Stop a rig and never start it until a named person clears it."""
        text = f"{reason} ({person})"
        self._rigs[rig_id].lockout = text
        text = f"{reason}, by {person}"
        return [AlarmRaised(at=now, kind=Alarm.LOCKOUT, rig_id=rig_id, text=text)]

    def clear(self, rig_id: str, person: str, now: datetime) -> list[Finding]:
        """Take a rig back into use: end its lockout and forget its failures."""
        if rig_id == PLANT:
            assert self._plant is not None
            self._plant.clear()
            return [AlarmRaised(at=now, kind=Alarm.PLANT_CLEARED, text=f"by {person}")]
        self._rigs[rig_id].cleared()
        self._arming.retry(rig_id)
        return [AlarmRaised(at=now, kind=Alarm.CLEARED, rig_id=rig_id, text=f"by {person}")]

    def _rule(self, request: Request, now: datetime) -> Ruling:
        rules: dict[RequestKind, Callable[[Request, datetime], Ruling]] = {
            RequestKind.HOLD: self._hold,
            RequestKind.RELEASE: self._release,
            RequestKind.ARM: self._arm,
            RequestKind.DISARM: self._disarm,
            RequestKind.STOP_ALL: self._stop,
            RequestKind.LIFT_STOP_ALL: self._lift,
            RequestKind.LOCK_OUT: self._lock_out,
            RequestKind.CLEAR: self._clear,
        }
        return rules[request.kind](request, now)

    def _hold(self, request: Request, now: datetime) -> Ruling:
        hold = _hold_of(request)
        if hold.until <= now:
            return Ruling(text=f"it ended at {hold.until:%H:%M:%S} UTC already")

        def act() -> list[Finding]:
            self._standing.hold = hold
            return []

        return Ruling(text=f"{hold.words}; limits and obligations stay above it", act=act)

    def _release(self, request: Request, now: datetime) -> Ruling:
        if self._standing.hold is None or self._standing.hold.until <= now:
            return Ruling(text="nothing is held")

        def act() -> list[Finding]:
            self._standing.hold = None
            return []

        return Ruling(text=f"no longer: {self._standing.hold.words}", act=act)

    def _arm(self, request: Request, now: datetime) -> Ruling:
        arming = self._arming
        if arming.permitted is not Mode.LIVE:
            return Ruling(
                text=f"this controller was started in {arming.permitted} mode: start it live"
            )
        if self._standing.stop_all:
            return Ruling(text=f"stop-all is in force ({self._standing.stop_all}): lift it first")
        if arming.person:
            return Ruling(text=f"it is {arming.words} already")
        return Ruling(
            text="armed: a few rigs first, the others as each stage is verified",
            act=lambda: arming.arm(request.person, now),
        )

    def _disarm(self, request: Request, now: datetime) -> Ruling:
        if self._arming.permitted is not Mode.LIVE or not self._arming.person:
            return Ruling(text="it is not armed")
        return Ruling(
            text="disarmed: rigs stay as they are, nothing is commanded",
            act=lambda: self._arming.disarm(request.person, now),
        )

    def _stop(self, request: Request, now: datetime) -> Ruling:
        if self._arming.permitted is not Mode.LIVE:
            return Ruling(
                text=f"this controller runs in {self._arming.permitted} mode and commands no rig: "
                "stop the rigs where they are commanded, or at their switch"
            )
        why = f"{request.reason or 'no reason given'} ({request.person})"

        def act() -> list[Finding]:
            self._standing.stop_all = why
            return []

        return Ruling(text="every rig is stopped and none is started until it is lifted", act=act)

    def _lift(self, request: Request, now: datetime) -> Ruling:
        if not self._standing.stop_all or self._stop_all is None:
            return Ruling(text="no stop-all is in force")
        path = self._stop_all

        def act() -> list[Finding]:
            lift_stop_all(path)
            self._standing.stop_all = ""
            text = f"by {request.person}"
            return [AlarmRaised(at=now, kind=Alarm.STOP_ALL_LIFTED, text=text)]

        return Ruling(text="lifted: rigs start again in packets, as decided", act=act)

    def _lock_out(self, request: Request, now: datetime) -> Ruling:
        if unknown := [rig for rig in request.rigs if rig not in self._rigs]:
            return Ruling(text=f"the site has no rig {unknown[0]}")

        def act() -> list[Finding]:
            who = request.person, request.reason
            return [one for rig in request.rigs for one in self.lock_out(rig, *who, now)]

        text = f"{len(request.rigs)} rigs are stopped and not started until a person clears them"
        return Ruling(text=text, act=act)

    def _clear(self, request: Request, now: datetime) -> Ruling:
        if unknown := [rig for rig in request.rigs if rig not in self.names]:
            return Ruling(text=f"the site has no rig {unknown[0]}")

        def act() -> list[Finding]:
            return [one for rig in request.rigs for one in self.clear(rig, request.person, now)]

        return Ruling(text=f"{', '.join(request.rigs[:5])}: back in use", act=act)


def _hold_of(request: Request) -> Hold:
    assert request.until is not None
    return Hold(
        person=request.person,
        reason=request.reason,
        until=request.until,
        setpoint_kw=request.setpoint_kw,
        cap_kw=request.cap_kw,
    )

"""What to tell which rig now, so that the rigs come to stand as decided.

Level-triggered: only the difference between what rigs do and what they should do counts, never
what was sent before. So a crash at any point, a lost reply or a rig that comes back later needs no
case of its own.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from gridhash.serving.allocator import SAME_KW, GroupTarget, GroupTask, allocate_site
from gridhash.serving.authority import Authority
from gridhash.serving.decide import Decision
from gridhash.serving.drivers.protocol import Command
from gridhash.serving.failpoints import failpoint
from gridhash.serving.pace import Pace
from gridhash.serving.reallocation import lost_kw
from gridhash.serving.rig_status import RigStatus
from gridhash.serving.settings import ControllerSettings
from gridhash.serving.site_model import SiteModel
from gridhash.serving.topology import Topology


@dataclass(frozen=True, kw_only=True)
class PlannedCommand:
    """One command that is to be sent now."""

    rig: RigStatus
    command: Command
    level: int | None
    """Load level after the command; None to stand."""
    power_kw: float
    """By which the command is to change the rig's power."""
    forced: bool
    """Stops within the minimum up time: by cap, trip or lockout."""
    reason: str
    ordered: bool = False
    """By a lockout or stop-all, which a person gave for whatever rig it is."""


@dataclass(frozen=True, kw_only=True)
class Gate:
    """What no setpoint may do now, whatever was decided."""

    must_stand: Mapping[str, str] = field(default_factory=dict)
    """Groups in which no rig may run, not even one that is left to others, and why."""
    no_start: Mapping[str, str] = field(default_factory=dict)
    """Groups in which nothing is started or raised, and why."""
    stop_all: str = ""
    """Why every rig of the site must stand, at once and whatever waits for what; empty if not."""

    def bars_raise(self, group: str) -> bool:
        """Return whether load of a group may not rise."""
        return bool(self.stop_all) or group in self.must_stand or group in self.no_start


OPEN = Gate()


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Commands for now, and when to plan again at the latest."""

    commands: tuple[PlannedCommand, ...]
    next_at: datetime | None


class Reconciler:
    """Plans commands for the rigs of a site, group by group."""

    def __init__(
        self,
        model: SiteModel,
        groups: Sequence[Sequence[RigStatus]],
        settings: ControllerSettings,
        topology: Topology | None = None,
    ) -> None:
        self._model = model
        self._groups = groups
        self._settings = settings
        self._topology = topology or Topology()
        self.trim = 1.0
        """Metered kW per kW that rigs draw by their model; see `gridhash.serving.meter_trim`."""
        self._rise = Pace(
            packet_rigs=settings.start_packet_rigs,
            pause_s=settings.start_packet_pause_s,
            ramp_kw_per_min=min(settings.ramp_up_kw_per_min, model.site.limits.ramp_up_kw_per_min),
        )
        self._fall = Pace(
            packet_rigs=math.inf,
            pause_s=settings.start_packet_pause_s,
            ramp_kw_per_min=settings.ramp_down_kw_per_min,
        )

    def clock_set(self, by: timedelta) -> None:
        """Move the next packets with the host's clock."""
        self._rise.clock_set(by)
        self._fall.clock_set(by)

    def uncontrolled_kw(self, now: datetime) -> float:
        """Return what no setpoint governs [kW].

        That is all that rigs which take no commands may draw, and what the others draw above
        their model, whether they run now or not.
        """
        rigs = (rig for own in self._groups for rig in own)
        return sum(
            (rig.excess_kw if rig.takes_commands(now) else rig.potential_kw() for rig in rigs),
            0.0,
        )

    def potential_kw(self) -> float:
        """Return what all rigs may draw above standby [kW]; never less than they do."""
        return sum(rig.potential_kw() for rigs in self._groups for rig in rigs)

    def plan(self, decision: Decision, now: datetime, gate: Gate = OPEN) -> Plan:
        """Return the commands that bring the rigs to the decision's setpoints."""
        if gate.stop_all:
            return self._stop_everything(gate.stop_all, now)
        # Rigs are counted at their model's power, caps hold for what they truly draw.
        cap_kw = decision.cap_kw / max(self.trim, 1.0)
        targets = self._targets(decision, cap_kw, now)
        failpoint("reconcile.targets_set")
        stops: list[PlannedCommand] = []
        raises: list[PlannedCommand] = []
        for rigs, target, setpoint_kw in zip(
            self._groups, targets, decision.setpoint_kw, strict=True
        ):
            trip = gate.must_stand.get(target.name, "")
            why = f"{target.name}: {trip}" if trip else f"{target.name} at {setpoint_kw:.1f} kW"
            for rig in rigs:
                planned = self._command_for(rig, target, why, now, trips=bool(trip))
                if planned is not None:
                    (stops if planned.power_kw <= 0.0 else raises).append(planned)
        stops, fall_at = self._in_turn(stops, decision, cap_kw, now)
        stops += self._beyond_limits(targets, cap_kw, gate, now)
        stops += self._beyond_circuits({own.rig.rig_id for own in stops}, now)
        raises = [own for own in raises if not gate.bars_raise(own.rig.group.name)]
        started, next_at = self._within_reach(raises, cap_kw, now)
        delays_s = [target.retry_after_s for target in targets if target.retry_after_s is not None]
        times = [now + timedelta(seconds=delay_s) for delay_s in delays_s]
        times += [
            rig.next_try_at
            for rigs in self._groups
            for rig in rigs
            if rig.next_try_at is not None and rig.next_try_at > now and not rig.flag
        ]
        times += [at for at in (next_at, fall_at) if at is not None]
        failpoint("reconcile.planned")
        return Plan(commands=(*stops, *started), next_at=min(times, default=None))

    def _targets(self, decision: Decision, cap_kw: float, now: datetime) -> list[GroupTarget]:
        params = self._model.params
        barred = self._topology.barred([rig for own in self._groups for rig in own])
        made_with = decision.trim or 1.0
        trims = [self.trim if follows else made_with for follows in decision.follows_meter]
        trims = trims or [made_with] * len(self._groups)
        tasks = [
            GroupTask(
                name=group.name,
                rigs=tuple(
                    replace(rig.view(now), available=False)
                    if rig.rig_id in barred
                    else rig.view(now)
                    for rig in rigs
                ),
                setpoint_kw=setpoint_kw / trims[g] - lost_kw(rigs, now),
                max_kw=max_kw / made_with,
                level_kw=rigs[0].level_kw,
                min_up_s=group.min_up_s,
                min_down_s=group.min_down_s,
            )
            for g, (group, rigs, setpoint_kw, max_kw) in enumerate(
                zip(
                    self._model.site.groups,
                    self._groups,
                    decision.setpoint_kw,
                    decision.max_kw,
                    strict=True,
                )
            )
        ]
        cap_kw = max(cap_kw - self.uncontrolled_kw(now), 0.0)
        return allocate_site(tasks, cap_kw, params.merit_order.tolist())

    def _command_for(
        self, rig: RigStatus, target: GroupTarget, why: str, now: datetime, *, trips: bool
    ) -> PlannedCommand | None:
        if rig.lockout:
            return self._forced_stop(rig, now, f"locked out: {rig.lockout}", ordered=True)
        if rig.rig_id not in target.level:
            return None
        level, forced = target.level[rig.rig_id], rig.rig_id in target.forced
        if rig.pending is not None and not (forced and rig.pending.running):
            return None
        top_kw = rig.level_kw[rig.level]
        if level is None:
            if not rig.running and rig.pending is None:
                return None
            return PlannedCommand(
                rig=rig,
                command=Command.STOP,
                level=None,
                power_kw=-top_kw,
                forced=forced or trips,
                reason=f"{why}, power cap or trip" if forced and not trips else why,
            )
        if not rig.running:
            return PlannedCommand(
                rig=rig,
                command=Command.RESUME,
                level=level,
                power_kw=top_kw + rig.excess_kw,
                forced=False,
                reason=why,
            )
        if level == rig.level:
            return None
        return PlannedCommand(
            rig=rig,
            command=Command.SET_WORK_LEVEL,
            level=level,
            power_kw=rig.level_kw[level] - top_kw,
            forced=False,
            reason=why,
        )

    def _beyond_limits(
        self, targets: Sequence[GroupTarget], cap_kw: float, gate: Gate, now: datetime
    ) -> list[PlannedCommand]:
        """Return stops for rigs outside the targets that a limit does not allow to run.

        Limits rank above whatever leaves a rig alone: a flag, a retry, a start by somebody else.
        """
        over_kw = self.uncontrolled_kw(now) - cap_kw
        stops: list[PlannedCommand] = []
        for g in reversed(self._model.params.merit_order.tolist()):
            for rig in self._groups[g]:
                trip = gate.must_stand.get(targets[g].name, "")
                if rig.rig_id in targets[g].level or rig.lockout or not rig.measured:
                    continue
                if not rig.enabled or (not trip and over_kw <= SAME_KW):
                    continue
                why = trip or f"power cap exceeded by {over_kw:.1f} kW"
                planned = self._forced_stop(rig, now, f"{targets[g].name}: {why}")
                stops += [planned] if planned is not None else []
                if planned is not None or (rig.pending is not None and not rig.pending.running):
                    over_kw -= rig.potential_kw()
        return stops

    def _beyond_circuits(self, stopping: set[str], now: datetime) -> list[PlannedCommand]:
        """Return stops for rigs on circuits that are over their caps, the last by merit first.

        `stopping` are stopped already; so are rigs with a stop under way.
        """
        every = [rig for own in self._groups for rig in own]
        stops: list[PlannedCommand] = []
        for over in self._topology.over(every):
            left_kw = over.over_kw
            own = [rig for rig in every if rig.rig_id in over.circuit.rigs]
            gone = [rig for rig in own if rig.rig_id in stopping or _stops(rig)]
            left_kw -= sum(rig.potential_kw() for rig in gone)
            for g in reversed(self._model.params.merit_order.tolist()):
                for rig in reversed(self._groups[g]):
                    if left_kw <= SAME_KW or rig.rig_id not in over.circuit.rigs or rig in gone:
                        continue
                    if not rig.enabled or not rig.measured:
                        continue
                    why = f"circuit {over.circuit.name} is {over.over_kw:.1f} kW above its cap"
                    planned = self._forced_stop(rig, now, why)
                    if planned is not None:
                        stops.append(planned)
                        stopping.add(rig.rig_id)
                        left_kw -= rig.potential_kw()
        return stops

    def _stop_everything(self, why: str, now: datetime) -> Plan:
        """Return stops for all rigs that do not stand by their watts; nothing else waits or counts.

        A rig that cannot be measured is told each time that an earlier stop was lost.
        """
        stops = []
        for rigs in self._groups:
            for rig in rigs:
                stands = rig.running is False and rig.measured and rig.pending is None
                stopping = rig.pending is not None and not rig.pending.running
                if not stands and not stopping:
                    stops.append(_stop(rig, f"stop-all: {why}", ordered=True))
        return Plan(commands=tuple(stops), next_at=None)

    def _forced_stop(
        self, rig: RigStatus, now: datetime, reason: str, *, ordered: bool = False
    ) -> PlannedCommand | None:
        """Return a stop for a rig that runs or starts, unless one is under way or must wait."""
        pending = rig.pending
        runs = pending.running if pending is not None else rig.running
        waiting = rig.next_try_at is not None and now < rig.next_try_at
        return None if not runs or waiting else _stop(rig, reason, ordered=ordered)

    def _within_reach(
        self, raises: list[PlannedCommand], cap_kw: float, now: datetime
    ) -> tuple[list[PlannedCommand], datetime | None]:
        """Return what may be raised now, a packet within the envelope, and when the next may.

        Until watts show that a rig stands it counts at full power, so a start waits for the stop
        that makes room for it.
        """
        if not raises:
            return [], None
        if self._rise.waits(now):
            return [], self._rise.next_at
        headroom_kw = cap_kw - self.potential_kw()
        room = self._topology.room_kw(rig for own in self._groups for rig in own)
        packet: list[PlannedCommand] = []
        packet_kw = 0.0
        for planned in raises:
            if not self._rise.fits(len(packet), packet_kw, planned.power_kw):
                break
            # A rig that may still obey an earlier start is in the potential power already.
            starts = planned.command is Command.RESUME
            counted_kw = planned.rig.potential_kw() if starts else 0.0
            more_kw = max(planned.power_kw - counted_kw, 0.0)
            fits = more_kw <= headroom_kw + SAME_KW
            if fits and self._topology.take(planned.rig.rig_id, more_kw, room):
                packet.append(planned)
                headroom_kw -= more_kw
                packet_kw += planned.power_kw
        if not packet:
            return [], now + timedelta(seconds=self._settings.check_s)
        next_at = self._rise.sent(packet_kw, now)
        return packet, next_at if len(packet) < len(raises) else None

    def _in_turn(
        self, stops: list[PlannedCommand], decision: Decision, cap_kw: float, now: datetime
    ) -> tuple[list[PlannedCommand], datetime | None]:
        """Return the stops for now, and when the next may leave: only wishes keep a ramp.

        What lowers a group by an obligation or a limit, and whatever brings the site below its
        cap, waits for nobody.
        """
        if math.isinf(self._settings.ramp_down_kw_per_min) or self.potential_kw() > cap_kw:
            return stops, None
        names = [group.name for group in self._model.site.groups]
        wished = {
            name
            for name, by in zip(names, decision.decided_by, strict=True)
            if by.rank > Authority.OBLIGATION.rank
        }
        waiting: list[PlannedCommand] = []
        now_too: list[PlannedCommand] = []
        for own in stops:
            wish = not own.forced and own.rig.group.name in wished
            (waiting if wish else now_too).append(own)
        if not waiting:
            return stops, None
        if self._fall.waits(now):
            return now_too, self._fall.next_at
        packet: list[PlannedCommand] = []
        packet_kw = 0.0
        for planned in waiting:
            if not self._fall.fits(len(packet), packet_kw, -planned.power_kw):
                break
            packet.append(planned)
            packet_kw -= planned.power_kw
        next_at = self._fall.sent(packet_kw, now)
        return [*now_too, *packet], next_at if len(packet) < len(waiting) else None


def _stop(rig: RigStatus, reason: str, *, ordered: bool) -> PlannedCommand:
    return PlannedCommand(
        rig=rig,
        command=Command.STOP,
        level=None,
        power_kw=-rig.level_kw[rig.level],
        forced=True,
        reason=reason,
        ordered=ordered,
    )


def _stops(rig: RigStatus) -> bool:
    return rig.pending is not None and not rig.pending.running


def in_words(commands: Sequence[PlannedCommand]) -> str:
    """Return commands as one would tell them to a person; empty for none."""
    words = []
    for command in Command:
        rigs = [planned.rig.rig_id for planned in commands if planned.command is command]
        if rigs:
            more = f" and {len(rigs) - 3} more" if len(rigs) > 3 else ""
            words.append(f"{command} {len(rigs)}: {', '.join(rigs[:3])}{more}")
    return "; ".join(words)

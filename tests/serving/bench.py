"""A site of eight rigs in memory and its controller, on a stepped clock."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np

from gridhash.agents.policy import Observations
from gridhash.config import SiteConfig
from gridhash.envs.action import ActionKind
from gridhash.envs.parameters import Floats
from gridhash.errors import RigUnreachable
from gridhash.serving.clock import SimulatedClock
from gridhash.serving.controller import Controller
from gridhash.serving.drivers.protocol import Command, CommandResult, Outcome, RigIdentity
from gridhash.serving.findings import Alarm
from gridhash.serving.journal import Journal
from gridhash.serving.simulated_run import run_simulated
from gridhash.serving.snapshot import RigReading

START = datetime(2024, 4, 2, tzinfo=UTC)
RIG_W, STANDBY_W, BOOT_S = 8064.0, 20.0, 30.0
RIG_KW = RIG_W / 1000.0


@dataclass
class MemoryRig:
    """A rig without a wire: implements the driver protocol, obeys at once after 5 s."""

    rig_id: str
    clock: SimulatedClock
    running: bool = True
    outcome: Outcome = Outcome.PENDING
    obeys: bool = True
    reachable: bool = True
    power_factor: float = 1.0
    chip_temp_c: float = 60.0
    blind: bool = False
    pool_down: bool = False
    """Idles awake: draws standby power whatever it is told."""
    hashrate_ths: float | None = None
    before_command: Callable[[str, Command], None] | None = None
    address: str = "127.0.0.1"
    identity: RigIdentity | None = None
    commands: list[tuple[datetime, Command]] = field(default_factory=list)
    _due: tuple[datetime, bool] | None = None
    _booted_at: datetime = START - timedelta(days=1)

    async def identify(self) -> RigIdentity:
        raise RigUnreachable("a rig in memory has no identity")

    async def read(self) -> RigReading:
        await asyncio.sleep(0)
        if not self.reachable:
            raise RigUnreachable(f"{self.rig_id} does not answer")
        now = self.clock.now()
        self._catch_up(now)
        runs = self.running and not self.pool_down
        power_w = RIG_W * self.power_factor if runs else STANDBY_W
        return RigReading(
            rig_id=self.rig_id,
            read_at=now,
            power_w=None if self.blind else power_w,
            hashrate_ths=self.hashrate_ths,
            working=False if self.pool_down else None,
            soft_off=not self.running if self.pool_down else None,
            chip_temp_c=self.chip_temp_c if self.running else None,
            inlet_temp_c=40.0,
            uptime_s=(now - self._booted_at).total_seconds(),
        )

    async def stop(self, *, forced: bool = False) -> CommandResult:
        return await self._command(Command.STOP, 0.0)

    async def resume(self) -> CommandResult:
        return await self._command(Command.RESUME, BOOT_S)

    async def set_work_level(self, level: int) -> CommandResult:
        return await self._command(Command.SET_WORK_LEVEL, 0.0)

    async def set_power_kw(self, power_kw: float) -> CommandResult:
        return await self._command(Command.SET_POWER, 0.0)

    async def set_preset(self, name: str) -> CommandResult:
        return await self._command(Command.SET_PRESET, 0.0)

    def restart_by_hand(self) -> None:
        self.running, self._due = True, None
        self._booted_at = self.clock.now()

    async def _command(self, command: Command, delay_s: float) -> CommandResult:
        await asyncio.sleep(0)
        now = self.clock.now()
        if self.before_command is not None:
            self.before_command(self.rig_id, command)
        outcome = self.outcome if self.reachable else Outcome.UNREACHABLE
        effective_at = now + timedelta(seconds=5.0)
        if outcome.may_have_reached_rig:
            self.commands.append((now, command))
            if self.obeys:
                self._due = effective_at + timedelta(seconds=delay_s), command is Command.RESUME
        return CommandResult(
            rig_id=self.rig_id,
            command=command,
            outcome=outcome,
            sent_at=now,
            effective_at=effective_at if outcome.may_have_reached_rig else None,
            detail="in memory",
        )

    def _catch_up(self, now: datetime) -> None:
        if self._due is not None and now >= self._due[0]:
            self.running, self._due = self._due[1], None


class Schedule:
    """A policy that wants a share of full power, by hours since the first decision."""

    name = "schedule"
    action_kind = ActionKind.POWER

    def __init__(
        self, clock: SimulatedClock, *shares: tuple[float, float | tuple[float, float]]
    ) -> None:
        self.clock = clock
        self.shares = shares

    def act(self, observation: Observations) -> Floats:
        hours = (self.clock.now() - START).total_seconds() / 3600.0
        share = [own for from_h, own in self.shares if hours >= from_h][-1]
        return np.broadcast_to(np.asarray(share, dtype=float), (len(observation), 2)).copy()


@dataclass
class Bench:
    """A site of two groups of four rigs in memory, and its controller."""

    site: SiteConfig
    clock: SimulatedClock
    rigs: dict[str, MemoryRig]
    journal: Journal
    controller: Controller

    def play(self, hours: float, *events: tuple[float, Callable[[], None]]) -> None:
        """Run until `hours` after the start; each event happens at its hour."""
        waiting = sorted(events, key=lambda event: event[0])

        def after_tick(_: Controller) -> None:
            while waiting and self.clock.now() >= START + timedelta(hours=waiting[0][0]):
                waiting.pop(0)[1]()

        until = START + timedelta(hours=hours)
        asyncio.run(run_simulated(self.controller, self.clock, until, after_tick=after_tick))

    def alarms(self, kind: Alarm) -> list[str]:
        frame = self.journal.frame("alarms", self.controller.run_id)
        return list(frame[frame.kind == kind].rig_id)

    def claimed_kwh(self, rig_id: str) -> float:
        frame = self.journal.frame("claims", self.controller.run_id)
        return float(frame[frame.rig_id == rig_id].reduced_kwh.sum())

    def n_running(self) -> int:
        return sum(rig.running for rig in self.rigs.values())


Build = Callable[..., Bench]

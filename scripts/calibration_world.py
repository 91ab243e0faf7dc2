"""A simulated group of rigs whose true parameters are known, and the journal it leaves.

Every rig differs a little from its group. Hours of starts, stops and work levels are played on the
simulator that the controller is tested with, read with coarse, noisy, lost, stale and wrong
readings, and written by the controller's own recorder.
"""

import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from calibration_truth import Sensors, Spread, Truth, drawn_site, truth_of

from gridhash.config import RigGroupConfig, SiteConfig, load_site
from gridhash.data.calibration.site_calibration import SiteCalibration, calibrate_site
from gridhash.serving.clock import SimulatedClock
from gridhash.serving.drivers.avalon_telemetry import reading_from
from gridhash.serving.drivers.capabilities import capability_of
from gridhash.serving.drivers.protocol import (
    Command,
    CommandResult,
    Outcome,
    RigIdentity,
)
from gridhash.serving.findings import Cause, Changed, Verdict, Verified
from gridhash.serving.journal import Journal, Row
from gridhash.serving.recorder import Recorder
from gridhash.serving.simulated_avalon import bracket_string
from gridhash.serving.simulated_loops import SimulatedLoop
from gridhash.serving.simulated_model import RigMismatch, WorkState
from gridhash.serving.simulated_rig import SimulatedRig
from gridhash.serving.snapshot import RigReading
from gridhash.serving.verification import Wanted, at_level, power_confirms
from gridhash.units import W_PER_KW

START = datetime(2026, 1, 10, tzinfo=UTC)
TICK_S = 10.0
COMMAND_DELAY_S = 5.0
"""From a command until the rig acts, as the driver sends it."""
VERIFY_WITHIN_S = 60.0
MODEL = "AvalonMiner 1566HA-480"
FIELD = re.compile(r"(\w+)\[([^\]]*)\]")


@dataclass(frozen=True)
class NamedRig:
    """What the recorder wants to know of a driver."""

    rig_id: str
    address: str
    identity: RigIdentity


@dataclass
class Played:
    """One rig in play: what it does next, and which command waits for its watts."""

    rig: SimulatedRig
    running: bool = True
    due_at: datetime = START
    hash_error: float = 0.0
    last: RigReading | None = None
    pending: "Sent | None" = None


@dataclass(frozen=True)
class Sent:
    """A command that watts have not proven yet."""

    intent_id: int
    command: Command
    level: int
    sent_at: datetime
    effective_at: datetime


@dataclass
class World:
    """A group of rigs on a clock, its loop and its journal."""

    site: SiteConfig
    journal: Journal
    random: np.random.Generator
    sensors: Sensors
    work_levels: bool
    rigs: list[Played] = field(default_factory=list)
    clock: SimulatedClock = field(default_factory=lambda: SimulatedClock(START))
    outdoor_c: float = 10.0

    @property
    def group(self) -> RigGroupConfig:
        """The only group."""
        return self.site.groups[0]


def play(
    path: Path,
    site: SiteConfig,
    seed: int,
    *,
    hours: float,
    sensors: Sensors | None = None,
    spread: Spread | None = None,
    work_levels: bool = True,
    stops: bool = True,
) -> None:
    """Write the journal of some hours of a group whose rigs are stopped, started and moved.

    The journal names the preset as its site: what is configured is not what is true.
    """
    random = np.random.default_rng(seed)
    configured = load_site("japan_pilot")
    configured = configured.model_copy(update={"groups": configured.groups[:1]})
    configured = configured.scaled_to(site.n_rigs).model_copy(
        update={"use_work_levels": work_levels}
    )
    with Journal(path) as journal, journal.transaction():
        world = World(
            site=site,
            journal=journal,
            random=random,
            sensors=sensors or Sensors(),
            work_levels=work_levels,
        )
        _settle_in(world, spread or Spread(), seed)
        recorder = Recorder(journal)
        recorder.begin(configured, START, mode="live", policy_name="test", bundle_hash="", note="")
        recorder.append(_identities(world, recorder))
        loop = SimulatedLoop(world.group, [own.rig for own in world.rigs], START)
        for now in _ticks(world, hours, loop):
            _supervise(world, recorder, now)
            if now.timestamp() % 300.0 < 4 * COMMAND_DELAY_S + 0.1:
                _command(world, recorder, now, stops=stops)


def _settle_in(world: World, spread: Spread, seed: int) -> None:
    random, group = world.random, world.group

    def vary(value: float, share: float) -> float:
        return value * (1.0 + share * float(random.standard_normal()))

    levels = group.optional_work_levels if world.work_levels else group.load_levels
    for number in range(group.n_rigs):
        b = vary(group.curve_b, spread.slope)
        cooling = group.cooling.model_copy(
            update={
                name: vary(getattr(group.cooling, name), spread.heat)
                for name in ("chip_to_coolant_k_per_kw", "rig_heat_capacity_kj_per_k")
            }
        )
        own = group.model_copy(
            update={
                "curve_a": 1.0 - b,
                "curve_b": b,
                "load_levels": levels,
                "standby_w": vary(group.standby_w, spread.standby),
                "boot_s": vary(group.boot_s, spread.times),
                "warm_up_s": vary(group.warm_up_s, spread.times),
                "cooling": cooling,
            }
        )
        mismatch = RigMismatch(
            power_factor=vary(1.0, spread.power),
            efficiency_factor=vary(1.0, spread.efficiency),
            reported_power_factor=vary(1.0, spread.reported),
        )
        rig = SimulatedRig(
            f"{group.name}-{number + 1:03d}", own, world.clock, mismatch=mismatch, seed=seed
        )
        first = START + timedelta(minutes=float(random.uniform(15.0, 40.0)))
        world.rigs.append(Played(rig=rig, due_at=first))


def _identities(world: World, recorder: Recorder) -> Iterator[Row]:
    for own in world.rigs:
        identity = RigIdentity(
            rig_id=own.rig.rig_id,
            address=own.rig.address,
            port=4028,
            mac=None,
            model=MODEL,
            firmware=own.rig.model.firmware,
            known_to_library=True,
            library_note="",
            capability=capability_of(MODEL),
        )
        driver = NamedRig(own.rig.rig_id, own.rig.address, identity)
        yield recorder.rig_row(driver, world.group.name, START, "")  # type: ignore[arg-type]


def _ticks(world: World, hours: float, loop: SimulatedLoop) -> Iterator[datetime]:
    """Yield the instants at which something is read, as supervision and checks make them."""
    end = START + timedelta(hours=hours)
    mean_c = float(world.random.uniform(2.0, 28.0))
    now = START
    while now < end:
        yield now
        step = timedelta(seconds=TICK_S)
        times = [now + step - timedelta(seconds=now.timestamp() % TICK_S)]
        for own in world.rigs:
            if own.pending is not None:
                check_at = own.pending.effective_at + timedelta(seconds=_boot_of(own) + 1.0)
                times.append(max(check_at, now + timedelta(seconds=2.0)))
        now_next = min(times)
        world.clock.step((now_next - now).total_seconds())
        now = now_next
        if now.timestamp() % 60.0 == 0.0:
            day = (now - START).total_seconds() / 86400.0
            loop.update(now, mean_c - 6.0 * float(np.cos(2.0 * np.pi * day)))


def _boot_of(own: Played) -> float:
    assert own.pending is not None
    return 30.0 if own.pending.command is Command.RESUME else 0.0


def _supervise(world: World, recorder: Recorder, now: datetime) -> None:
    everything = now.timestamp() % TICK_S == 0.0
    rows = []
    for own in world.rigs:
        check = own.pending is not None and now >= own.pending.effective_at
        if not everything and not check:
            continue
        if world.random.random() < world.sensors.lost_frac:
            continue
        reading = _read(world, own, now)
        rows.append(recorder.reading_row(reading))
        rows += _judge(world, recorder, own, reading, now)
    recorder.append(rows)


def _read(world: World, own: Played, now: datetime) -> RigReading:
    random, sensors, rig = world.random, world.sensors, own.rig
    if own.last is not None and random.random() < sensors.stale_frac:
        return _again(own.last, now)
    fields = dict(FIELD.findall(bracket_string(rig)))
    noise = random.standard_normal(3)
    power_w = rig.true_power_w() * rig.mismatch.reported_power_factor
    chip_c = rig.chip_temp_c() + sensors.chip_k * noise[1]
    own.hash_error = 0.8 * own.hash_error + 0.6 * sensors.hashrate_frac * noise[2]
    speed_ths = rig.true_hashrate_ths() * (1.0 + own.hash_error)
    wrong = random.random(3) < sensors.wrong_frac
    power_w *= 1.0 + sensors.power_frac * noise[0] + 0.5 * wrong[0]
    chip_c += 25.0 * wrong[1]
    speed_ths *= 0.0 if wrong[2] else 1.0
    fields["WALLPOWER"] = f"{power_w:.0f}"
    if rig.state is not WorkState.IDLE:
        fields["TMax"] = f"{chip_c:.0f}"
    fields["GHSspd"] = f"{speed_ths * 1e3:.2f}"
    for name in ("WALLPOWER", "TMax", "GHSspd", "ITemp"):
        if random.random() < sensors.without_frac:
            fields[name] = "nan"
    own.last = reading_from(fields, rig_id=rig.rig_id, read_at=now, rig_clock_at=now)
    return own.last


def _again(last: RigReading, now: datetime) -> RigReading:
    values = {name: getattr(last, name) for name in RigReading.__dataclass_fields__}
    return RigReading(**(values | {"read_at": now}))


def _judge(
    world: World, recorder: Recorder, own: Played, reading: RigReading, now: datetime
) -> list[Row]:
    """Return what watts say of the pending command, as the controller would."""
    sent = own.pending
    if sent is None:
        return []
    level_kw = [world.group.level_power_kw(x) for x in own.rig.group.load_levels]
    stopping = sent.command is Command.STOP
    confirmed = power_confirms(
        reading,
        Wanted.STOPPED if stopping else Wanted.RUNNING,
        level_kw[-1 if stopping else 0] * W_PER_KW,
        world.group.standby_w,
        not_before=sent.effective_at,
    )
    if confirmed and sent.command is Command.SET_WORK_LEVEL and reading.power_w is not None:
        confirmed = at_level(reading.power_w / W_PER_KW, sent.level, level_kw)
    missed = (now - sent.sent_at).total_seconds() > VERIFY_WITHIN_S + _boot_of(own)
    if not confirmed and not missed:
        return []
    own.pending = None
    verdict = Verdict.VERIFIED if confirmed else Verdict.MISSED
    verified = Verified(
        intent_id=sent.intent_id,
        at=now,
        rig_id=own.rig.rig_id,
        command=sent.command,
        verdict=verdict,
        seconds=(now - sent.sent_at).total_seconds(),
        before_kw=None,
        after_kw=None,
    )
    rows = [verified.row(recorder.run_id)]
    if sent.command is not Command.SET_WORK_LEVEL and confirmed:
        changed = Changed(at=now, rig_id=own.rig.rig_id, running=not stopping, cause=Cause.COMMAND)
        rows.append(changed.row(recorder.run_id))
    if sent.command is Command.RESUME and not confirmed:
        own.pending = _send(world, recorder, own.rig, sent.command, sent.level, now)
    return rows


def _command(world: World, recorder: Recorder, now: datetime, *, stops: bool) -> None:
    random = world.random
    for own in world.rigs:
        if now < own.due_at or own.pending is not None or random.random() < 0.5:
            continue
        level = own.rig.work_level
        if not own.running:
            command = Command.RESUME
        elif stops and (not world.work_levels or random.random() < 0.4):
            command = Command.STOP
        elif world.work_levels:
            command = Command.SET_WORK_LEVEL
            others = [k for k in range(len(own.rig.group.load_levels)) if k != level]
            level = int(random.choice(others))
        else:
            continue
        own.due_at = now + timedelta(minutes=float(random.uniform(22.0, 45.0)))
        own.running = command is not Command.STOP
        own.pending = _send(world, recorder, own.rig, command, level, now)


def _send(
    world: World,
    recorder: Recorder,
    rig: SimulatedRig,
    command: Command,
    level: int,
    now: datetime,
) -> Sent:
    effective_at = now
    if command is Command.SET_WORK_LEVEL:
        rig.set_work_level(level)
    else:
        effective_at = now + timedelta(seconds=COMMAND_DELAY_S)
        due_s = int(rig.rig_clock_at().timestamp()) + int(COMMAND_DELAY_S)
        (rig.schedule_soft_off if command is Command.STOP else rig.schedule_soft_on)(due_s)
    [intent_id] = world.journal.append_all(
        [
            Row(
                table="intents",
                values={
                    "run_id": recorder.run_id,
                    "decision_id": 0,
                    "at": now,
                    "rig_id": rig.rig_id,
                    "command": str(command),
                    "level": None if command is Command.STOP else level,
                    "power_kw": 0.0,
                    "attempt": 1,
                    "forced": False,
                    "reason": "schedule",
                },
            )
        ]
    )
    result = CommandResult(
        rig_id=rig.rig_id,
        command=command,
        outcome=Outcome.PENDING,
        sent_at=now,
        effective_at=effective_at,
    )
    recorder.append([recorder.result_row(result, intent_id, now)])
    return Sent(intent_id, command, level, now, effective_at)


def recovered(seed: int, *, n_rigs: int, hours: float) -> tuple[SiteCalibration, Truth]:
    """Return what calibration finds in one seed's journal, and the truth."""
    site = drawn_site(np.random.default_rng([seed, 1]), n_rigs)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.sqlite"
        play(path, site, seed, hours=hours)
        return calibrate_site(path, site, folder=None), truth_of(site)

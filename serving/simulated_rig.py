"""One simulated rig: what it does with commands and time. The wire is `simulated_wire`.

Assumed, until a rig on site was captured: soft-off and soft-on are two independent timers on the
rig's own clock; a reboot clears them and ends in hashing; during boot a rig draws standby power.
"""

import random
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import IntEnum, StrEnum
from hashlib import sha256
from typing import Literal

from gridhash.config import RigGroupConfig
from gridhash.serving.clock import Clock
from gridhash.serving.simulated_physics import RigSegment
from gridhash.units import SECONDS_PER_DAY, THS_PER_PHS, W_PER_KW

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class WorkState(StrEnum):
    """What the firmware says it is doing."""

    WORK = "In Work"
    INIT = "In Init"
    IDLE = "In Idle"


class RigEvent(IntEnum):
    """What changes a rig between commands; of two at one instant the smaller comes first."""

    RESTART = 0
    SOFT_OFF = 1
    SOFT_ON = 2
    FULL_POWER = 3
    WARM = 4


@dataclass(frozen=True, kw_only=True)
class RigModel:
    """How a model introduces itself and words its acknowledgements."""

    product: str
    model: str
    n_boards: int
    chips_per_board: int
    core: str
    firmware: str = "24102401_25462b2_9ddf522"
    acknowledges: Literal["info", "ok"] = "info"
    """``info``: STATUS I "success softoff:<ts>" (an Avalon Q); ``ok``: STATUS S "ASC 0 set OK" (a
    live A1466). Drivers must understand both."""


HYDRO_1566HA = RigModel(
    product="AvalonMiner 1566HA-480", model="1566HA", n_boards=4, chips_per_board=160, core="A3197S"
)
AIR_1566 = RigModel(
    product="AvalonMiner 15-194", model="15-194", n_boards=3, chips_per_board=160, core="A3197S"
)


@dataclass(frozen=True, kw_only=True)
class RigMismatch:
    """How one rig differs from its group's model; the defaults are the model itself."""

    power_lag_s: float = 0.0
    """First-order lag of power, up and down."""
    power_factor: float = 1.0
    """True power per modelled power."""
    efficiency_factor: float = 1.0
    """True J/TH per modelled J/TH: above 1 hashes less for the same power."""
    reported_power_factor: float = 1.0
    """Power that the rig reports per true power."""


@dataclass(frozen=True, kw_only=True)
class RigFaults:
    """What is wrong with one rig; the defaults are a rig that obeys."""

    unreachable: Literal["no", "refused", "black_hole"] = "no"
    """``refused``: nothing listens; ``black_hole``: accepts and never answers."""
    lies: bool = False
    """Acknowledges soft-off and soft-on and does neither."""
    refuses: bool = False
    """Answers soft-off and soft-on with an error and does neither."""
    ignores: bool = False
    """Closes on soft-off and soft-on without a word and does neither."""
    softon_noreply: bool = False
    """Obeys soft-on but closes without a word, as A-series firmware does."""
    clock_skew_s: float = 0.0
    """The rig's clock minus the true time."""
    drop_reply: float = 0.0
    """Probability that a command is carried out and its reply lost."""
    latency_s: float = 0.0
    """Wall time for which each command keeps the rig busy."""
    nan_telemetry: bool = False
    """Reports NaN where numbers belong."""
    restarted_at: datetime | None = None
    """When a person restarts the rig by hand."""


@dataclass(frozen=True, kw_only=True)
class ReceivedCommand:
    """One command as the rig saw it: the world's side of the journal."""

    received_at: datetime
    rig_clock_at: datetime
    text: str
    replied: bool


class SimulatedRig:
    """State and physics of one rig, brought up to date whenever it is looked at."""

    def __init__(
        self,
        rig_id: str,
        group: RigGroupConfig,
        clock: Clock,
        *,
        address: str = "127.0.0.1",
        model: RigModel = HYDRO_1566HA,
        mismatch: RigMismatch | None = None,
        faults: RigFaults | None = None,
        coolant_c: float | None = None,
        running: bool = True,
        seed: int = 0,
    ) -> None:
        """Put a rig on the clock: hashing at its highest level and warm, or in standby."""
        self.rig_id = rig_id
        self.group = group
        self.clock = clock
        self.address = address
        self.model = model
        self.mac = "e0e1a9" + sha256(rig_id.encode()).hexdigest()[:6]
        self.mismatch = mismatch or RigMismatch()
        self.faults = faults or RigFaults()
        self.commands: list[ReceivedCommand] = []
        self.random = random.Random(f"{seed}:{rig_id}")
        self.work_level = len(group.load_levels) - 1
        self.led_on = False
        self._state = WorkState.WORK if running else WorkState.IDLE
        self._warm = running
        self._soft_off = not running
        self._due: dict[RigEvent, datetime] = {}
        if self.faults.restarted_at is not None:
            self._due[RigEvent.RESTART] = self.faults.restarted_at
        now = clock.now()
        self._started_at = now - timedelta(days=1)
        self._segments = [self._first_segment(now, coolant_c)]

    @property
    def born_at(self) -> datetime:
        """When the simulation of this rig began."""
        return self._segments[0].start_at

    @property
    def takes_levels(self) -> bool:
        """Whether the firmware knows work levels: its group has more than one."""
        return len(self.group.load_levels) > 1

    @property
    def state(self) -> WorkState:
        """What the rig is doing now."""
        self._catch_up()
        return self._state

    @property
    def soft_off(self) -> bool:
        """Whether the rig was put to sleep."""
        self._catch_up()
        return self._soft_off

    @property
    def uptime_s(self) -> float:
        """Seconds since the last reboot."""
        self._catch_up()
        return (self.clock.now() - self._started_at).total_seconds()

    @property
    def coolant_c(self) -> float:
        """Temperature of the coolant around the chips [°C]."""
        self._catch_up()
        return self._segments[-1].coolant_c

    def rig_clock_at(self) -> datetime:
        """Return what the rig believes the time is."""
        return self.clock.now() + timedelta(seconds=self.faults.clock_skew_s)

    def true_power_w(self, at: datetime | None = None) -> float:
        """Return the power truly drawn, now or at a past instant [W]."""
        return self._at(at, RigSegment.power_w)

    def chip_temp_c(self, at: datetime | None = None) -> float:
        """Return the true chip temperature, now or at a past instant [°C]."""
        return self._at(at, RigSegment.chip_temp_c)

    def energy_kwh(self, until: datetime | None = None) -> float:
        """Return the energy truly drawn since the simulation began [kWh]."""
        return self._at(until, RigSegment.energy_kwh)

    def work_th(self, until: datetime | None = None) -> float:
        """Return the hashes truly computed since the simulation began [TH]."""
        return self._at(until, RigSegment.work_th)

    def true_hashrate_ths(self) -> float:
        """Return the hash rate now [TH/s]."""
        self._catch_up()
        return self._segments[-1].hashrate_ths

    def level_hashrate_ths(self) -> float:
        """Return the hash rate of the rig at its work level when warm [TH/s]."""
        nominal_phs = self.group.level_hashrate_phs(self.group.load_levels[self.work_level])
        factor = self.mismatch.power_factor / self.mismatch.efficiency_factor
        return nominal_phs * THS_PER_PHS * factor

    def level_power_w(self) -> float:
        """Return the power of the rig at its work level [W]."""
        nominal_kw = self.group.level_power_kw(self.group.load_levels[self.work_level])
        return nominal_kw * W_PER_KW * self.mismatch.power_factor

    def schedule_soft_off(self, rig_time_s: int) -> None:
        """Put the rig to sleep when its own clock shows a time [s since 1970]."""
        self._schedule(RigEvent.SOFT_OFF, rig_time_s)

    def schedule_soft_on(self, rig_time_s: int) -> None:
        """Wake the rig when its own clock shows a time [s since 1970]."""
        self._schedule(RigEvent.SOFT_ON, rig_time_s)

    def set_work_level(self, level: int) -> None:
        """Run at a level from now on, or from the next start."""
        self._catch_up()
        self.work_level = level
        self._begin_segment(self.clock.now())

    def set_coolant(self, coolant_c: float) -> None:
        """Change the coolant temperature around the chips from now on [°C]."""
        self._catch_up()
        self._begin_segment(self.clock.now(), coolant_c=coolant_c)

    def restart(self) -> None:
        """Reboot now, as its own command or a watchdog would."""
        self._catch_up()
        self._restart(self.clock.now())

    def restart_by_hand(self) -> None:
        """Reboot now because a person pressed the button: the rig ends up hashing."""
        self.restart()

    def received(self, text: str, *, replied: bool) -> None:
        """Keep a command in the world's log."""
        self.commands.append(
            ReceivedCommand(
                received_at=self.clock.now(),
                rig_clock_at=self.rig_clock_at(),
                text=text,
                replied=replied,
            )
        )

    def _schedule(self, event: RigEvent, rig_time_s: int) -> None:
        self._catch_up()
        # A time centuries away must not overflow; a year ahead is never all the same.
        ahead_s = (EPOCH - self.rig_clock_at()).total_seconds() + rig_time_s
        ahead_s = min(max(ahead_s, 0.0), 366.0 * SECONDS_PER_DAY)
        self._due[event] = self.clock.now() + timedelta(seconds=ahead_s)
        self._catch_up()

    def _at(self, at: datetime | None, value: Callable[[RigSegment, datetime], float]) -> float:
        self._catch_up()
        if at is None:
            return value(self._segments[-1], self.clock.now())
        index = bisect_right(self._segments, at, key=lambda segment: segment.start_at) - 1
        return value(self._segments[max(index, 0)], at)

    def _catch_up(self) -> None:
        now = self.clock.now()
        while self._due:
            event, due_at = min(self._due.items(), key=lambda item: (item[1], item[0]))
            if due_at > now:
                return
            del self._due[event]
            self._happen(event, due_at)

    def _happen(self, event: RigEvent, at: datetime) -> None:
        if event is RigEvent.RESTART:
            self._restart(at)
        elif event is RigEvent.SOFT_OFF:
            self._fall_asleep(at)
        elif event is RigEvent.SOFT_ON:
            if self._state is WorkState.IDLE:
                self._boot(at)
        elif event is RigEvent.FULL_POWER:
            self._state = WorkState.WORK
            self._due[RigEvent.WARM] = at + timedelta(seconds=self.group.warm_up_s)
            self._begin_segment(at)
        else:
            self._warm = True
            self._begin_segment(at)

    def _fall_asleep(self, at: datetime) -> None:
        self._state, self._warm, self._soft_off = WorkState.IDLE, False, True
        self._due.pop(RigEvent.FULL_POWER, None)
        self._due.pop(RigEvent.WARM, None)
        self._begin_segment(at)

    def _boot(self, at: datetime) -> None:
        self._state, self._warm, self._soft_off = WorkState.INIT, False, False
        self._due.pop(RigEvent.WARM, None)
        self._due[RigEvent.FULL_POWER] = at + timedelta(seconds=self.group.boot_s)
        self._begin_segment(at)

    def _restart(self, at: datetime) -> None:
        self._started_at = at
        self._due.pop(RigEvent.SOFT_OFF, None)
        self._due.pop(RigEvent.SOFT_ON, None)
        self._boot(at)

    def _begin_segment(self, at: datetime, *, coolant_c: float | None = None) -> None:
        self._segments.append(
            self._segments[-1].followed_by(
                at,
                target_w=self._target_w(),
                hashrate_ths=self.level_hashrate_ths() if self._warm else 0.0,
                coolant_c=coolant_c,
            )
        )

    def _target_w(self) -> float:
        return self.level_power_w() if self._state is WorkState.WORK else self.group.standby_w

    def _first_segment(self, now: datetime, coolant_c: float | None) -> RigSegment:
        cooling = self.group.cooling
        coolant_c = cooling.coolant_setpoint_c if coolant_c is None else coolant_c
        power_w = self._target_w()
        return RigSegment(
            start_at=now,
            start_w=power_w,
            target_w=power_w,
            lag_s=self.mismatch.power_lag_s,
            hashrate_ths=self.level_hashrate_ths() if self._warm else 0.0,
            chip_start_c=coolant_c + power_w / W_PER_KW * cooling.chip_to_coolant_k_per_kw,
            coolant_c=coolant_c,
            cooling=cooling,
        )

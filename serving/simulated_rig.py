"""One simulated rig: what it does with commands and time, whatever its firmware speaks.

Assumed, until a rig on site was captured: soft-off and soft-on of an Avalon are two independent
timers on the rig's own clock; a reboot clears them and ends in hashing, unless the model sleeps
through it; during boot a rig draws standby power and answers.
"""

import math
import random
from collections.abc import Callable
from datetime import datetime, timedelta
from enum import IntEnum
from hashlib import sha256

from gridhash.config import RigGroupConfig
from gridhash.serving.clock import Clock
from gridhash.serving.simulated_log import EPOCH, RigLog, WorldLog
from gridhash.serving.simulated_model import (
    HYDRO_1566HA,
    Change,
    Fate,
    ReceivedCommand,
    RigFaults,
    RigMismatch,
    RigModel,
    Telemetry,
    WorkState,
)
from gridhash.serving.simulated_physics import RigPast, RigSegment
from gridhash.units import SECONDS_PER_DAY, THS_PER_PHS, W_PER_KW


class RigEvent(IntEnum):
    """What changes a rig between commands; of two at one instant the smaller comes first."""

    RESTART = 0
    SOFT_OFF = 1
    SOFT_ON = 2
    FULL_POWER = 3
    WARM = 4


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
        log: WorldLog | None = None,
        remember_s: float | None = None,
    ) -> None:
        """Put a rig on the clock: hashing at its highest level and warm, or in standby.

        With `remember_s` it forgets questions at once and what is longer ago [s]; `log` remembers.
        """
        self.rig_id = rig_id
        self.group = group
        self.clock = clock
        self.address = address
        self.model = model
        self.mac = "e0e1a9" + sha256(rig_id.encode()).hexdigest()[:6]
        self.mismatch = mismatch or RigMismatch()
        self._faults = RigFaults()
        self.commands: list[ReceivedCommand] = []
        self.n_changes = 0
        self.random = random.Random(f"{seed}:{rig_id}")
        self.work_level = len(group.load_levels) - 1
        self.led_on = False
        self.thermal_management = True  # of LuxOS; clients switch it off to change a profile
        self._log = RigLog(log, rig_id, clock)
        self._remember_s = remember_s
        self._load = group.load_levels[-1]
        self._told: tuple[Change, Fate] | None = None
        self._state = WorkState.WORK if running else WorkState.IDLE
        self._warm = running
        self._soft_off = not running
        self._powered = True
        self._due: dict[RigEvent, datetime] = {}
        now = clock.now()
        self._started_at = now - timedelta(days=1)
        first = RigSegment.steady(
            now,
            self._target_w(),
            self._hashrate_ths(),
            lag_s=self.mismatch.power_lag_s,
            coolant_c=group.cooling.coolant_setpoint_c if coolant_c is None else coolant_c,
            cooling=group.cooling,
        )
        self._past = RigPast(first, remember_s)
        self._log.note(
            "rig",
            now,
            address=address,
            mac=self.mac,
            group=group.name,
            model=model.product,
            state=self._state,
        )
        self._log.power(first)
        self._stale: Telemetry | None = None
        self.faults = faults or RigFaults()

    @property
    def faults(self) -> RigFaults:
        """What is wrong with the rig."""
        return self._faults

    @faults.setter
    def faults(self, faults: RigFaults) -> None:
        self._catch_up()
        before, self._faults = self._faults, faults
        if faults.stale_telemetry and not before.stale_telemetry:
            self._stale = self._telemetry_now()
        if faults.pool_down != before.pool_down:
            self._begin_segment(self.clock.now())
        if faults.restarted_at is not None and faults.restarted_at != before.restarted_at:
            self._due[RigEvent.RESTART] = faults.restarted_at

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
        return self._past.last.coolant_c

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
        return self._past.last.hashrate_ths

    def level_hashrate_ths(self) -> float:
        """Return the hash rate of the rig at its work level or limit when warm [TH/s]."""
        factor = self.mismatch.power_factor / self.mismatch.efficiency_factor
        return self.group.level_hashrate_phs(self._load) * THS_PER_PHS * factor

    def level_power_w(self) -> float:
        """Return the power of the rig at its work level or limit [W]."""
        return self.group.level_power_kw(self._load) * W_PER_KW * self.mismatch.power_factor

    def telemetry(self) -> Telemetry:
        """Return what the rig reports now, or since its telemetry went stale."""
        self._catch_up()
        if self.faults.stale_telemetry and self._stale is not None:
            return self._stale
        return self._telemetry_now()

    def told(self, change: Change, obey: Callable[[], None]) -> Fate:
        """Make a change, or not, as the rig's faults have it; `received` then notes both."""
        fate = self.faults.fate_of(change, self.random)
        self._told = (change, fate)
        if fate is Fate.OBEYED:
            obey()
        elif fate is Fate.REBOOTED:
            self.restart()
        return fate

    def received(self, text: str, *, replied: bool) -> None:
        """Keep a command in the world's log."""
        change, fate = self._told or (None, None)
        self._told = None
        if self._remember_s is None:
            self.commands.append(
                ReceivedCommand(
                    received_at=self.clock.now(),
                    rig_clock_at=self.rig_clock_at(),
                    text=text,
                    replied=replied,
                    change=change,
                    fate=fate,
                )
            )
        if change is not None:
            self.n_changes += 1
            self._log.note("command", text=text, change=change, fate=fate, replied=replied)

    def stop(self) -> None:
        """Put the rig to sleep now."""
        self._catch_up()
        self._fall_asleep(self.clock.now())

    def start(self) -> None:
        """Wake the rig now, if it sleeps."""
        self._catch_up()
        if self._state is WorkState.IDLE:
            self._boot(self.clock.now())

    def schedule_soft_off(self, rig_time_s: int) -> None:
        """Put the rig to sleep when its own clock shows a time [s since 1970]."""
        self._schedule(RigEvent.SOFT_OFF, rig_time_s)

    def schedule_soft_on(self, rig_time_s: int) -> None:
        """Wake the rig when its own clock shows a time [s since 1970]."""
        self._schedule(RigEvent.SOFT_ON, rig_time_s)

    def set_work_level(self, level: int) -> None:
        """Run at a level from now on, or from the next start."""
        self.work_level = level
        self._set_load(self.group.load_levels[level])

    def set_power_limit(self, power_w: float) -> None:
        """Run at a power from now on, or from the next start [W]."""
        self._set_load(power_w / self.group.rig_power_w)

    def set_coolant(self, coolant_c: float) -> None:
        """Change the coolant temperature around the chips from now on [°C]."""
        self._catch_up()
        self._begin_segment(self.clock.now(), coolant_c=coolant_c)

    def restart(self) -> None:
        """Reboot now, as its own command or a watchdog would."""
        self._catch_up()
        self._restart(self.clock.now())

    def lose_power(self) -> None:
        """Draw nothing from now on, until `regain_power`."""
        self._catch_up()
        now = self.clock.now()
        self._due.clear()
        self._powered, self._warm = False, False
        self._enter(WorkState.IDLE, now)
        self._begin_segment(now)

    def regain_power(self) -> None:
        """Boot by itself, as after a sag, unless the model sleeps through it and slept."""
        self._powered = True
        self.restart()

    def restart_by_hand(self) -> None:
        """Reboot now because a person pressed the button."""
        self.change_by_hand(Change.REBOOT, self.restart)

    def change_by_hand(self, change: Change, make: Callable[[], None]) -> None:
        """Let a person, or another manager, make a change past every fault of the wire."""
        self._catch_up()
        self._log.note("by_hand", change=change)
        make()

    def _telemetry_now(self) -> Telemetry:
        now = self.clock.now()
        known = math.nan if self.faults.nan_telemetry else 1.0
        return Telemetry(
            power_w=known * self.true_power_w() * self.mismatch.reported_power_factor,
            hashrate_ths=known * self.true_hashrate_ths(),
            chip_temp_c=known * self.chip_temp_c(),
            coolant_c=self.coolant_c,
            state=WorkState.IDLE if self.faults.pool_down else self._state,
            soft_off=self._soft_off,
            pool_alive=not self.faults.pool_down,
            uptime_s=self.uptime_s,
            level_power_w=self.level_power_w(),
            level_hashrate_ths=self.level_hashrate_ths(),
            mean_hashrate_ths=lambda window_s: known * self._past.mean_hashrate_ths(now, window_s),
        )

    def _set_load(self, load: float) -> None:
        self._catch_up()
        self._load = load
        restarts = self.model.restarts_to_apply and self._state is not WorkState.IDLE
        (self._boot if restarts else self._begin_segment)(self.clock.now())

    def _schedule(self, event: RigEvent, rig_time_s: int) -> None:
        self._catch_up()
        # A time centuries away must not overflow; a year ahead is never all the same.
        ahead_s = (EPOCH - self.rig_clock_at()).total_seconds() + rig_time_s
        ahead_s = min(max(ahead_s, 0.0), 366.0 * SECONDS_PER_DAY)
        self._due[event] = self.clock.now() + timedelta(seconds=ahead_s)
        self._catch_up()

    def _at(self, at: datetime | None, value: Callable[[RigSegment, datetime], float]) -> float:
        self._catch_up()
        return self._past.value(at or self.clock.now(), value)

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
            self._log.note("by_hand", at, change=Change.REBOOT)
            self._restart(at)
        elif event is RigEvent.SOFT_OFF:
            self._fall_asleep(at)
        elif event is RigEvent.SOFT_ON:
            if self._state is WorkState.IDLE:
                self._boot(at)
        elif event is RigEvent.FULL_POWER:
            self._enter(WorkState.WORK, at)
            self._due[RigEvent.WARM] = at + timedelta(seconds=self.group.warm_up_s)
            self._begin_segment(at)
        else:
            self._warm = True
            self._begin_segment(at)

    def _fall_asleep(self, at: datetime) -> None:
        self._warm, self._soft_off = False, True
        self._enter(WorkState.IDLE, at)
        self._due.pop(RigEvent.FULL_POWER, None)
        self._due.pop(RigEvent.WARM, None)
        self._begin_segment(at)

    def _boot(self, at: datetime) -> None:
        self._warm, self._soft_off = False, False
        self._enter(WorkState.INIT, at)
        self._due.pop(RigEvent.WARM, None)
        self._due[RigEvent.FULL_POWER] = at + timedelta(seconds=self.group.boot_s)
        self._begin_segment(at)

    def _restart(self, at: datetime) -> None:
        self._started_at = at
        self._log.note("reboot", at)
        self._due.pop(RigEvent.SOFT_OFF, None)
        self._due.pop(RigEvent.SOFT_ON, None)
        if self.model.sleeps_through_reboot and self._soft_off:
            self._begin_segment(at)  # of power, if it was gone
        else:
            self._boot(at)

    def _enter(self, state: WorkState, at: datetime) -> None:
        if state is not self._state:
            self._log.note("state", at, state=state)
        self._state = state

    def _begin_segment(self, at: datetime, *, coolant_c: float | None = None) -> None:
        before = self._past.last
        segment = before.followed_by(
            at,
            target_w=self._target_w(),
            hashrate_ths=self._hashrate_ths(),
            coolant_c=coolant_c,
        )
        self._past.append(segment)
        if (segment.target_w, segment.hashrate_ths) != (before.target_w, before.hashrate_ths):
            self._log.power(segment)

    def _target_w(self) -> float:
        if not self._powered:
            return 0.0
        hashes = self._state is WorkState.WORK and not self.faults.pool_down
        return self.level_power_w() if hashes else self.group.standby_w

    def _hashrate_ths(self) -> float:
        return self.level_hashrate_ths() if self._warm and not self.faults.pool_down else 0.0

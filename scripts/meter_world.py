"""Simulated rigs that a driver calls without a wire, their cooling, and what they truly draw."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd

from gridhash.config import SiteConfig
from gridhash.data.trace import Trace
from gridhash.errors import RigUnreachable
from gridhash.serving.clock import SimulatedClock
from gridhash.serving.drivers.protocol import Command, CommandResult, Outcome, RigIdentity
from gridhash.serving.simulated_fleet import SimulatedFleet
from gridhash.serving.simulated_model import Change, Fate
from gridhash.serving.simulated_rig import SimulatedRig
from gridhash.serving.site_meter import EPOCH
from gridhash.serving.snapshot import RigReading

START = datetime(2024, 4, 2, tzinfo=UTC)
ANSWERS_AFTER_S = 5


class DirectRig:
    """Drives a simulated rig without a wire."""

    identity: RigIdentity | None = None

    def __init__(self, rig: SimulatedRig) -> None:
        """Speak to one rig."""
        self.rig = rig
        self.rig_id = rig.rig_id
        self.address = rig.address

    async def identify(self) -> RigIdentity:
        """Find nothing: there is no wire to tell it."""
        raise RigUnreachable("a rig without a wire has no identity")

    async def read(self) -> RigReading:
        """Read what the firmware knows."""
        if self.rig.faults.unreachable != "no":
            raise RigUnreachable(f"{self.rig_id} does not answer")
        seen = self.rig.telemetry()
        return RigReading(
            rig_id=self.rig_id,
            read_at=self.rig.clock.now(),
            power_w=seen.power_w,
            hashrate_ths=seen.hashrate_ths,
            chip_temp_c=seen.chip_temp_c,
            inlet_temp_c=seen.coolant_c,
            uptime_s=seen.uptime_s,
        )

    async def stop(self, *, forced: bool = False) -> CommandResult:
        """Put the rig to sleep."""
        return self._tell(Command.STOP, Change.STOP)

    async def resume(self) -> CommandResult:
        """Wake the rig."""
        return self._tell(Command.RESUME, Change.START)

    async def set_work_level(self, level: int) -> CommandResult:
        """Refuse: the rigs of this site are on or off."""
        return self._result(Command.SET_WORK_LEVEL, Outcome.UNSUPPORTED)

    async def set_power_kw(self, power_kw: float) -> CommandResult:
        """Refuse: the rigs of this site are on or off."""
        return self._result(Command.SET_POWER, Outcome.UNSUPPORTED)

    async def set_preset(self, name: str) -> CommandResult:
        """Refuse: the rigs of this site are on or off."""
        return self._result(Command.SET_PRESET, Outcome.UNSUPPORTED)

    def _tell(self, command: Command, change: Change) -> CommandResult:
        rig = self.rig
        if rig.faults.unreachable != "no":
            return self._result(command, Outcome.UNREACHABLE)
        at_s = int((rig.clock.now() - EPOCH).total_seconds()) + ANSWERS_AFTER_S
        is_stop = command is Command.STOP
        schedule = rig.schedule_soft_off if is_stop else rig.schedule_soft_on
        fate = rig.told(change, lambda: schedule(at_s))
        return self._result(command, Outcome.PENDING if fate is Fate.OBEYED else Outcome.REFUSED)

    def _result(self, command: Command, outcome: Outcome) -> CommandResult:
        now = self.rig.clock.now()
        took = outcome.may_have_reached_rig
        return CommandResult(
            rig_id=self.rig_id,
            command=command,
            outcome=outcome,
            sent_at=now,
            effective_at=now + timedelta(seconds=ANSWERS_AFTER_S) if took else None,
        )


def cooling_kw(site: SiteConfig, rigs_kw: float, now: datetime) -> float:
    """Return what pumps and fans draw: fans by the heat, and a warmer afternoon [kW]."""
    pumps_kw = sum(group.cooling.pump_kw for group in site.groups)
    fans_kw = sum(group.cooling.fan_kw for group in site.groups)
    hour = (now - START).total_seconds() / 3600.0
    speed = min(rigs_kw / site.max_rig_kw, 1.0) * (0.75 + 0.1 * np.sin(hour * np.pi / 12.0))
    return float(pumps_kw + fans_kw * speed**3)


class Watch:
    """Adds up the energy that a site truly draws."""

    def __init__(
        self, fleet: SimulatedFleet, clock: SimulatedClock, beside_kw: Callable[[], float]
    ) -> None:
        """Begin now."""
        self._fleet = fleet
        self._clock = clock
        self._beside_kw = beside_kw
        self._beside_kwh = 0.0
        self._last_kw = beside_kw()
        self._at_s, self._total_kwh = [0.0], [0.0]

    def look(self) -> None:
        """Take in what was drawn since the last look."""
        at_s = (self._clock.now() - START).total_seconds()
        kw = self._beside_kw()
        self._beside_kwh += (self._last_kw + kw) / 2.0 * (at_s - self._at_s[-1]) / 3600.0
        self._last_kw = kw
        self._at_s.append(at_s)
        self._total_kwh.append(self._fleet.energy_kwh() + self._beside_kwh)

    def means_kw(self, span: timedelta) -> list[float]:
        """Return the mean power of each whole span."""
        span_s = span.total_seconds()
        edges_s = np.arange(0.0, self._at_s[-1] + 1e-6, span_s)
        totals_kwh = np.interp(edges_s, self._at_s, self._total_kwh)
        return [float(own) for own in np.diff(totals_kwh) * 3600.0 / span_s]


def flat_prices(site: SiteConfig, hours: float) -> Trace:
    """Return a price at which every rig earns, for as long as a run looks."""
    n_rows = round(hours * 2) + 4 * 48
    starts = pd.date_range(START - timedelta(days=1), periods=n_rows, freq="30min", unit="s")
    return Trace.from_prices(
        starts,
        np.full(n_rows, 5.0),
        published_at=starts.normalize() - pd.Timedelta(hours=12),
        period_s=1800,
        currency=site.currency,
        area=site.area,
        source="flat prices",
    )

"""What the site's own electricity meter offers to controller and guard."""

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from gridhash.errors import ServingError
from gridhash.serving.clock import Clock
from gridhash.serving.instants import require_aware
from gridhash.serving.modbus_config import MeterBlock
from gridhash.serving.modbus_reader import ModbusReader, ModbusUnreachable

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LATEST_S = 253402300799.0
"""End of the year 9999 [s since 1970]."""


class MeterUnreachable(ServingError):
    """The meter gave no usable answer within its deadline."""


@dataclass(frozen=True, kw_only=True)
class MeterReading:
    """Power of the whole site, rigs and cooling together.

    Raises
    ------
    ValueError
        If the instant has no time zone or the power is not finite.
    """

    read_at: datetime
    """The reader's clock when the meter answered."""
    power_kw: float
    """Drawn from the grid; negative if the site feeds in."""
    measured_at: datetime | None = None
    """The meter's own clock when it took the value; None if it does not say."""
    cooling_kw: float | None = None
    """Of the power, what the cooling plant draws; None if that is not metered."""

    def __post_init__(self) -> None:
        """Reject what is no reading."""
        require_aware(self.read_at, "read_at")
        if self.measured_at is not None:
            require_aware(self.measured_at, "measured_at")
        for value in (self.power_kw, self.cooling_kw):
            if value is not None and not math.isfinite(value):
                raise ValueError(f"a meter's power is a finite number; found {value}")

    @property
    def taken_at(self) -> datetime:
        """When the value was taken, as far as is known."""
        return self.measured_at or self.read_at


class SiteMeter(Protocol):
    """Reads the site's meter."""

    async def read(self) -> MeterReading:
        """Read the power now, within the meter's own deadline.

        Raises
        ------
        MeterUnreachable
            If no usable answer came before the deadline.
        """


class ModbusMeter:
    """The site's meter over Modbus TCP."""

    def __init__(self, block: MeterBlock, clock: Clock) -> None:
        """Ask nothing yet.

        Raises
        ------
        ServingError
            If pymodbus is not installed.
        """
        named = {"power": block.power, "cooling": block.cooling, "measured_at": block.measured_at}
        points = [own.to_point(name) for name, own in named.items() if own is not None]
        self._reader = ModbusReader(block.place, points)
        self._clock = clock

    async def read(self) -> MeterReading:
        """Read the power now.

        Raises
        ------
        MeterUnreachable
            If no answer came before the deadline, or what came is no number.
        """
        try:
            found = await self._reader.read()
        except ModbusUnreachable as err:
            raise MeterUnreachable(str(err)) from err
        place = self._reader.place
        for name, value in found.items():
            if not math.isfinite(value):
                raise MeterUnreachable(f"{place}: {name} is no number ({value})")
        return MeterReading(
            read_at=self._clock.now(),
            power_kw=found["power"],
            measured_at=instant_of(found.get("measured_at")),
            cooling_kw=found.get("cooling"),
        )


def instant_of(epoch_s: float | None) -> datetime | None:
    """Return an instant from seconds since 1970; None for what is none."""
    if epoch_s is None or not 0.0 <= epoch_s <= LATEST_S:
        return None
    return EPOCH + timedelta(seconds=epoch_s)

"""What the language of one firmware must offer, so that `FirmwareDriver` can drive its rigs.

A firmware module knows bytes and words alone. Deadlines, one call at a time, the circuit breaker,
the check of who answers, capabilities and limits are the driver's, and the same for all.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from gridhash.serving.drivers.capabilities import FirmwareName
from gridhash.serving.drivers.credentials import Credentials
from gridhash.serving.drivers.protocol import Command, Outcome, Preset
from gridhash.serving.snapshot import RigReading


def mac_text(value: object) -> str | None:
    """Return a MAC as ``E0:E1:A9:3E:2C:7D``, however it is written; None if it is none."""
    digits = re.sub(r"[^0-9A-F]", "", str(value).upper())
    return ":".join(re.findall("..", digits)) if len(digits) == 12 else None


@dataclass(frozen=True, kw_only=True)
class Who:
    """By what a machine is known again."""

    mac: str | None = None
    """Upper case with colons."""
    serial: str | None = None
    rig_clock_at: datetime | None = None
    """What the rig believes the time is, if it said so."""

    def differs_from(self, other: "Who") -> bool:
        """Return whether a mark that both have tells them apart."""
        pairs = ((self.mac, other.mac), (self.serial, other.serial))
        return any(own is not None and its is not None and own != its for own, its in pairs)

    def __str__(self) -> str:
        """Return the marks in words."""
        marks = [f"MAC {self.mac}"] if self.mac else []
        marks += [f"serial number {self.serial}"] if self.serial else []
        return " and ".join(marks) or "neither MAC nor serial number"


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a firmware says of its rig when it is identified."""

    who: Who
    model: str
    version: str | None = None
    presets: tuple[Preset, ...] = ()
    min_power_w: float | None = None
    """Lowest power target that the firmware takes, if it says so."""
    max_power_w: float | None = None
    known_to_library: bool = True
    note: str = ""
    port: int | None = None
    """Where it answered, if that had to be found out."""


@dataclass(frozen=True, kw_only=True)
class Order:
    """One command, checked: the capability table has it and the value is in range."""

    command: Command
    level: int = 0
    power_w: float = 0.0
    preset: str = ""


@dataclass(frozen=True, kw_only=True)
class Ack:
    """What a firmware answered to an order that it did not refuse."""

    outcome: Outcome
    detail: str
    power_w: float | None = None
    """What the firmware says that it is set to."""


class Firmware(Protocol):
    """Speaks one firmware's language to one address.

    Every method may raise `RigUnreachable` if nothing could be connected to, `NoReply` if no usable
    answer came, `RefusedByRig` if the rig said no, and `OtherFirmware` if it speaks another
    language. They may be cancelled at any await and then leave no connection open.
    """

    @property
    def name(self) -> FirmwareName | None:
        """Which firmware; None while nobody has found out."""

    @property
    def credentials(self) -> Credentials | None:
        """What it was given to log on with; None for firmware that asks for none."""

    def delay_s(self, command: Command) -> float:
        """Return after what time the rig is told to obey [s]; 0 for at once."""

    async def identify(self) -> Found:
        """Return what the rig is, and what it can be set to."""

    async def log_on(self) -> Who:
        """Say who answers, and get ready to send one order: the last question before a write."""

    async def send(self, order: Order, who: Who) -> Ack:
        """Send one order to the rig that `log_on` found."""

    async def log_off(self) -> None:
        """Give up what `log_on` took, if anything; called after every `log_on` that succeeded."""

    async def read(self, at: datetime) -> tuple[RigReading, Who]:
        """Return a reading, and by what marks the rig that gave it is known."""

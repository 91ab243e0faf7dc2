"""What every rig driver offers, and what it says became of a command.

A driver speaks to one rig. It never raises for a command: the result says what happened. Reading
and identifying raise `RigUnreachable`, because there is nothing to return.

Right before it writes, a driver asks who answers: another machine at the address is not commanded.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from gridhash.serving.drivers.capabilities import Capability
from gridhash.serving.instants import require_aware
from gridhash.serving.snapshot import RigReading


class Command(StrEnum):
    """What a rig can be told."""

    STOP = "stop"
    RESUME = "resume"
    SET_WORK_LEVEL = "set_work_level"
    SET_POWER = "set_power"
    SET_PRESET = "set_preset"
    REBOOT = "reboot"  # while a site is commissioned; no controller sends it


class Outcome(StrEnum):
    """What became of a command. None of them is done: only a reading of watts tells that."""

    APPLIED = "applied"  # the firmware says that it is in force: it gave the new state back
    PENDING = "pending"  # acknowledged and no more: it takes effect later, or only watts tell
    REFUSED = "refused"  # the rig, or the driver for it, said no
    UNSUPPORTED = "unsupported"  # our capability table has no such command for this model
    UNKNOWN = "unknown"  # sent, no acknowledgement: it may have been obeyed, so verify
    UNREACHABLE = "unreachable"  # the command never reached the rig

    @property
    def may_have_reached_rig(self) -> bool:
        """Whether the rig may act on the command, so that a reading must tell."""
        return self in {Outcome.APPLIED, Outcome.PENDING, Outcome.UNKNOWN}


class Why(StrEnum):
    """Why a command was not carried out; empty if it may have been."""

    NOTHING = ""
    RIG_SAID_NO = "the rig said no"
    OTHER_RIG = "another rig answers at the address"
    CREDENTIALS = "no credentials, or wrong ones"
    OUT_OF_RANGE = "outside what the rig can be set to"
    NOT_IN_TABLE = "the capability table has no such command"
    NO_ANSWER = "no answer"
    BREAKER = "the circuit breaker is open"


@dataclass(frozen=True, kw_only=True)
class CommandResult:
    """What became of one command to one rig."""

    rig_id: str
    command: Command
    outcome: Outcome
    sent_at: datetime
    """The controller's clock when the command was sent or given up."""
    effective_at: datetime | None = None
    """When the rig was told to act, on the controller's clock; None if not known to be told."""
    detail: str = ""
    """The rig's words, or why none came; never a password."""
    why: Why = Why.NOTHING
    power_kw: float | None = None
    """What the firmware says that it is set to; None if it does not say."""
    took_s: float = 0.0
    """Wall time from call to result."""

    def __post_init__(self) -> None:
        """Reject times that name no instant."""
        require_aware(self.sent_at, "sent_at")
        if self.effective_at is not None:
            require_aware(self.effective_at, "effective_at")


@dataclass(frozen=True, kw_only=True)
class Preset:
    """An operating point that a firmware names."""

    name: str
    power_w: float | None
    """At the wall, as the firmware has it; None if it does not say."""


@dataclass(frozen=True, kw_only=True)
class RigIdentity:
    """Which machine answers at an address."""

    rig_id: str
    address: str
    port: int
    mac: str | None
    """Upper case with colons, as ``E0:E1:A9:3E:2C:7D``."""
    model: str
    """What the firmware calls itself, as ``AvalonMiner 1566HA-480``."""
    firmware: str | None
    known_to_library: bool
    """Whether the driver's library has a class for the model."""
    library_note: str
    """What the driver or its library has to say of this rig; empty if nothing."""
    capability: Capability
    serial: str | None = None
    presets: tuple[Preset, ...] = ()
    """What `set_preset` may be given."""
    min_power_w: float | None = None
    """Lowest power that `set_power_kw` may be given, if known …"""
    max_power_w: float | None = None
    """… and highest."""
    default_credentials: bool = False
    """Whether the rig is spoken to with the password that its firmware is sold with."""


class RigDriver(Protocol):
    """Speaks to one rig, one call at a time, each within its own deadline."""

    @property
    def rig_id(self) -> str:
        """The rig's name in the site file, the journal and every record."""

    @property
    def address(self) -> str:
        """Where the rig answers."""

    @property
    def identity(self) -> RigIdentity | None:
        """What `identify` last found; None before."""

    async def identify(self) -> RigIdentity:
        """Ask the rig what it is and remember it.

        Raises
        ------
        RigUnreachable
            If no usable answer came before the deadline.
        """

    async def read(self) -> RigReading:
        """Read power, hash rate, temperatures and state.

        Raises
        ------
        RigUnreachable
            If no usable answer came before the deadline.
        """

    async def stop(self, *, forced: bool = False) -> CommandResult:
        """Tell the rig to stop hashing and to stay in standby.

        Stops pass an open circuit breaker. With `forced` (a limit, a lockout, stop-all) also
        another machine that answers at the address is stopped: load may always fall.
        """

    async def resume(self) -> CommandResult:
        """Tell the rig to leave standby and to hash."""

    async def set_work_level(self, level: int) -> CommandResult:
        """Tell the rig to run at one of its capability's `work_levels`."""

    async def set_power_kw(self, power_kw: float) -> CommandResult:
        """Tell the rig to draw at most so much, where its firmware takes watts.

        Firmware that takes presets alone is set to the highest preset that draws no more.
        """

    async def set_preset(self, name: str) -> CommandResult:
        """Tell the rig to run at a preset that its firmware names."""

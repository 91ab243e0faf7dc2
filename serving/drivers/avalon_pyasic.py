"""The language of Canaan Avalon rigs, over pyasic.

pyasic is transport and parser; what is sent and what an answer means is decided here, because
(pyasic 0.79.0):

- its ``stop_mining`` schedules by the host's clock, so a rig whose clock is an hour behind stops an
  hour late; here the rig's own clock is asked for first (`When` in every reply);
- a refused connection becomes an empty answer and a read may take 100 s; here every failure has its
  type and the driver its deadlines;
- ``get_miner`` opens three to five connections at once to a rig that stands one, and a slow rig
  silently becomes an unknown model; here one ``version`` command identifies;
- its ``set_power_limit`` picks a work level meant for another model, and is never called;
- it rewrites "nan" and "inf" to 0; here the reply's own text is looked at.
"""

import re
import warnings
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from gridhash.errors import RigUnreachable
from gridhash.serving.clock import Clock
from gridhash.serving.drivers.avalon_telemetry import (
    library_model,
    reading_from,
    rig_clock_of,
    status_of,
)
from gridhash.serving.drivers.capabilities import FirmwareName
from gridhash.serving.drivers.driver import DEADLINE_S, FirmwareDriver
from gridhash.serving.drivers.firmware import Ack, Found, Order, Who, mac_text
from gridhash.serving.drivers.protocol import Command, Outcome, RigIdentity
from gridhash.serving.drivers.pyasic_library import load_pyasic
from gridhash.serving.drivers.root_logger import ROOT_LOGGER_GUARD
from gridhash.serving.drivers.wire import NoReply, OtherFirmware, Place, RefusedByRig
from gridhash.serving.snapshot import RigReading

AVALON_PORT = 4028
COMMAND_DELAY_S = 5
"""Soft-off and soft-on are scheduled so far ahead on the rig's clock, as its vendor's tools do."""

NO_CONNECTION = b"{}"
"""What pyasic returns instead of raising when it could not connect."""

REWRITTEN = re.compile(rb'"(?:nan|inf)"')
"""Text in a reply that pyasic turns into 0."""

DNA = re.compile(rb"\bDNA\[(\w+)\]")
"""The rig's serial number in its telemetry."""


class Avalon:
    """Speaks to an Avalon. Implements `Firmware`."""

    name = FirmwareName.AVALON
    credentials = None

    def __init__(self, place: Place, *, command_delay_s: int = COMMAND_DELAY_S) -> None:
        """Prepare to speak; nothing is sent.

        Raises
        ------
        ServingError
            If pyasic is not installed.
        """
        self._place = place
        self._command_delay_s = command_delay_s
        self._library = load_pyasic()
        self._dna: str | None = None
        """Serial number that ``version`` told when the rig was identified …"""
        self._dna_agrees: bool | None = None
        """… and whether the first telemetry since told the same: only then it marks the rig."""
        self._rpc = self._library.rpc_class(place.address)
        self._rpc.port = place.port

    def delay_s(self, command: Command) -> float:
        """Return the delay of a scheduled soft-off or soft-on [s]."""
        return float(self._command_delay_s if command in {Command.STOP, Command.RESUME} else 0)

    async def identify(self) -> Found:
        """Return what one ``version`` tells."""
        reply = await self._send("version")
        version = self._version_of(reply)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            self._library.miner_of(self._place.address, library_model(version))
        firmware = version.get("VERSION") or version.get("LVERSION")
        who = _who(version, reply)
        self._dna, self._dna_agrees = who.serial, None
        return Found(
            who=who,
            model=str(version["PROD"]),
            version=None if firmware is None else str(firmware),
            known_to_library=not caught,
            note="; ".join(str(warning.message) for warning in caught),
        )

    async def log_on(self) -> Who:
        """Ask for marks and clock; an Avalon asks for no password."""
        reply = await self._send("version")
        who = _who(self._version_of(reply), reply)
        if who.rig_clock_at is None:
            raise RefusedByRig("the rig does not tell its clock")
        return who

    async def send(self, order: Order, who: Who) -> Ack:
        """Schedule soft-off or soft-on by the rig's own clock, set a work level, or reboot."""
        assert who.rig_clock_at is not None
        due_s = int(who.rig_clock_at.timestamp()) + self._command_delay_s
        parameters = {
            Command.STOP: f"0,softoff,1:{due_s}",
            Command.RESUME: f"0,softon,1:{due_s}",
            Command.SET_WORK_LEVEL: f"0,worklevel,set,{order.level}",
            Command.REBOOT: "0,reboot,0",
        }
        reply = await self._send("ascset", parameters[order.command])
        message = str(status_of(reply).get("Msg", ""))
        acknowledged = "success" in message or message == "ASC 0 set OK"
        return Ack(outcome=Outcome.PENDING if acknowledged else Outcome.UNKNOWN, detail=message)

    async def log_off(self) -> None:
        """Do nothing: an Avalon knows no session."""

    async def read(self, at: datetime) -> tuple[RigReading, Who]:
        """Read everything with one command; marks are its DNA."""
        reply = await self._send("estats")
        try:
            machine = self._library.parse_estats(reply)["STATS"][0]["MM ID0"]
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as err:
            raise NoReply(f"{self._place} answered without telemetry ({err!r})") from err
        # pyasic makes numbers of text that looks like one, "0201000e19" included.
        found = DNA.search(self._rpc.last_reply or b"")
        dna = _dna(found[1].decode()) if found else None
        hashrate_mhs: float | str | None = None
        if "GHSspd" not in machine:
            hashrate_mhs = await self._minute_hashrate_mhs()
        reading = reading_from(
            machine,
            rig_id=self._place.rig_id,
            read_at=at,
            rig_clock_at=rig_clock_of(reply),
            minute_hashrate_mhs=hashrate_mhs,
        )
        if self._dna_agrees is None and self._dna is not None and dna is not None:
            self._dna_agrees = dna == self._dna
        return reading, Who(serial=dna if self._dna_agrees else None)

    async def _minute_hashrate_mhs(self) -> float | str | None:
        """Return what firmware without GHSspd averages over a minute; text if it is no number."""
        try:
            device = (await self._send("devs"))["DEVS"][0]
        except (LookupError, TypeError, RefusedByRig):
            return None
        if REWRITTEN.search(self._rpc.last_reply or b""):
            return "nan or inf"
        value = device.get("MHS 1m")
        return value if isinstance(value, int | float | str) else None

    def _version_of(self, reply: Mapping[str, Any]) -> Mapping[str, Any]:
        try:
            version: Mapping[str, Any] = reply["VERSION"][0]
            product = str(version["PROD"])
        except (LookupError, TypeError) as err:
            raise NoReply(f"{self._place} answered without a version") from err
        if "avalon" not in product.casefold():
            raise OtherFirmware(
                f"{self._place} answers as {product!r}, which is no Avalon; correct the "
                f"address or the driver of {self._place.rig_id}"
            )
        return version

    async def _send(self, command: str, parameter: str | None = None) -> dict[str, Any]:
        """Send one command and return pyasic's parse of the reply."""
        self._rpc.last_reply = None
        try:
            with ROOT_LOGGER_GUARD.held():
                reply: dict[str, Any] = await self._rpc.send_command(command, parameters=parameter)
        except self._library.api_error as err:
            if not (self._rpc.last_reply or b"").strip(b"\x00\r\n "):
                raise NoReply(f"{self._place} closed the connection without a reply") from err
            if str(err).startswith("Decode Error"):
                raise NoReply(f"{self._place} gave an unreadable reply: {err!s:.200}") from err
            raise RefusedByRig(f"{self._place} refused {err!s:.200}") from err
        except OSError as err:
            raise NoReply(f"{self._place} broke the connection: {err}") from err
        except (LookupError, TypeError, AttributeError, ValueError, ArithmeticError) as err:
            # pyasic's own check of a reply stumbles over JSON that is no reply, and Python's
            # reader over integers of thousands of digits.
            raise NoReply(f"{self._place} gave an unreadable reply: {err!r}") from err
        if self._rpc.last_reply == NO_CONNECTION:
            raise RigUnreachable(f"nothing answers at {self._place}")
        return reply


class AvalonPyasicDriver(FirmwareDriver):
    """One Avalon rig at an address."""

    def __init__(
        self,
        rig_id: str,
        address: str,
        clock: Clock,
        *,
        port: int = AVALON_PORT,
        deadline_s: float = DEADLINE_S,
        command_delay_s: int = COMMAND_DELAY_S,
        commissioned_levels: tuple[int, ...] = (),
        identity: RigIdentity | None = None,
    ) -> None:
        """Prepare to speak to a rig; nothing is sent. See `FirmwareDriver`.

        Raises
        ------
        ServingError
            If pyasic is not installed.
        """
        place = Place(rig_id, address, port)
        super().__init__(
            place,
            Avalon(place, command_delay_s=command_delay_s),
            clock,
            deadline_s=deadline_s,
            commissioned_levels=commissioned_levels,
            identity=identity,
        )


def _who(version: Mapping[str, Any], reply: Mapping[str, Any]) -> Who:
    return Who(
        mac=mac_text(version.get("MAC")),
        serial=_dna(version.get("DNA")),
        rig_clock_at=rig_clock_of(reply),
    )


def _dna(value: object) -> str | None:
    return str(value).casefold() if value else None

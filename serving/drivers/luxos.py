"""The language of LuxOS: JSON at TCP 4028, one command per connection, a session for writes.

Spoken raw, because pyasic 0.79.0 never returns a MAC or a hash rate, says that a stop succeeded on
a rig that is gone, and switches the thermal management (ATM) off around a change of profile, so
that a crash or a refusal leaves it off. Here ATM is never touched: a rig that refuses a profile for
its sake says so.

A session that this driver opened is closed again, because a rig has one at a time.
"""

import json
from datetime import UTC, datetime
from typing import Any

from gridhash.serving.drivers.capabilities import FirmwareName
from gridhash.serving.drivers.firmware import Ack, Found, Order, Who, mac_text
from gridhash.serving.drivers.protocol import Command, Outcome, Preset
from gridhash.serving.drivers.telemetry import Telemetry, scaled
from gridhash.serving.drivers.wire import (
    NoReply,
    OtherFirmware,
    Place,
    RefusedByRig,
    exchange,
    parse_object,
    read_to_end,
)
from gridhash.serving.snapshot import RigReading

LUXOS_PORT = 4028
GHS_PER_THS = 1e3
ASLEEP = ("sleep", "idle")
"""Words in CurtailMode of a rig that was put to sleep."""


class LuxOs:
    """Speaks to a rig with LuxOS. Implements `Firmware`."""

    name = FirmwareName.LUXOS
    credentials = None

    def __init__(self, place: Place) -> None:
        """Prepare to speak; nothing is sent. LuxOS asks for no password."""
        self._place = place
        self._session = ""
        self._opened = False

    def delay_s(self, command: Command) -> float:
        """Return 0: commands act at once."""
        return 0.0

    async def identify(self) -> Found:
        """Return what ``version``, ``config`` and ``profiles`` tell."""
        version = Telemetry(await self._ask("version"))
        firmware = version.text("VERSION", 0, "LUXminer")
        if firmware is None:
            raise OtherFirmware(f"{self._place} answers without a version of LUXminer")
        config = await self._config()
        profiles = (await self._ask("profiles")).get("PROFILES")
        model = config.text("CONFIG", 0, "Model") or version.text("VERSION", 0, "Type")
        return Found(
            who=_who(config),
            model=model or "unnamed",
            version=firmware,
            presets=_presets(profiles),
        )

    async def log_on(self) -> Who:
        """Ask for marks and take the session, or open one."""
        who = _who(await self._config())
        await self._open_session()
        return who

    async def send(self, order: Order, who: Who) -> Ack:
        """Curtail, wake, reboot, or set a profile."""
        if order.command is Command.STOP:
            return self._acknowledged(await self._write("curtail", "sleep"))
        if order.command is Command.RESUME:
            return self._acknowledged(await self._write("curtail", "wakeup"))
        if order.command is Command.REBOOT:
            return self._acknowledged(await self._ask("rebootdevice", self._session))
        reply = Telemetry(await self._write("profileset", order.preset))
        now = reply.text("PROFILE", 0, "Profile")
        if now != order.preset:
            return Ack(outcome=Outcome.PENDING, detail=f"asked for {order.preset}; it says {now}")
        return Ack(
            outcome=Outcome.APPLIED,
            detail=f"profile {now}",
            power_w=order.power_w or reply.number("PROFILE", 0, "Watts"),
        )

    async def log_off(self) -> None:
        """Close the session if this driver opened it."""
        session, self._session = self._session, ""
        if session and self._opened:
            await self._ask("logoff", session)

    async def read(self, at: datetime) -> tuple[RigReading, Who]:
        """Read power, summary, temperatures and state, one after the other."""
        power = Telemetry(await self._ask("power"))
        summary = Telemetry(await self._ask("summary"))
        if not isinstance(power.at("POWER", 0), dict):
            raise NoReply(f"{self._place} answered without a power section")
        temps = Telemetry(await self._ask("temps"))
        config = await self._config()
        boards = temps.at("TEMPS")
        sensors = [
            ("TEMPS", k, name)
            for k, board in enumerate(boards if isinstance(boards, list) else [])
            if isinstance(board, dict)
            for name in board.keys() - {"ID", "TEMP"}
        ]
        mode = (config.text("CONFIG", 0, "CurtailMode") or "").casefold()
        asleep = any(word in mode for word in ASLEEP) if mode else None
        reading = RigReading(
            rig_id=self._place.rig_id,
            read_at=at,
            rig_clock_at=_clock_of(summary),
            power_w=power.number("POWER", 0, "Watts"),
            hashrate_ths=scaled(summary.number("SUMMARY", 0, "GHS 5s"), GHS_PER_THS),
            chip_temp_c=temps.highest(*sensors),
            working=None if asleep is None else not asleep,
            soft_off=asleep,
            uptime_s=summary.number("SUMMARY", 0, "Elapsed"),
            preset=config.text("CONFIG", 0, "Profile"),
            not_numbers=(*power.not_numbers, *summary.not_numbers, *temps.not_numbers),
        )
        return reading, _who(config)

    async def _config(self) -> Telemetry:
        return Telemetry(await self._ask("config"))

    async def _write(self, command: str, value: str) -> dict[str, Any]:
        """Send what needs a session; once more if another client has just closed ours."""
        try:
            return await self._ask(command, f"{self._session},{value}")
        except RefusedByRig as err:
            if "session" not in str(err).casefold():
                raise
        await self._open_session()
        return await self._ask(command, f"{self._session},{value}")

    async def _open_session(self) -> None:
        """Take the session that is open, or open one.

        Raises
        ------
        RefusedByRig
            If the rig opens none.
        """
        self._session = _session_of(await self._ask("session"))
        self._opened = not self._session
        if self._opened:
            self._session = _session_of(await self._ask("logon"))
        if not self._session:
            raise RefusedByRig(f"{self._place} opened no session")

    def _acknowledged(self, reply: dict[str, Any]) -> Ack:
        return Ack(
            outcome=Outcome.PENDING, detail=Telemetry(reply).text("STATUS", 0, "Msg") or "sent"
        )

    async def _ask(self, command: str, parameter: str = "") -> dict[str, Any]:
        request = {"command": command} | ({"parameter": parameter} if parameter else {})
        reply = parse_object(
            self._place, await exchange(self._place, json.dumps(request).encode(), read_to_end)
        )
        status = Telemetry(reply)
        letter = status.text("STATUS", 0, "STATUS")
        if letter is None:
            raise NoReply(f"{self._place} answered {command} without a status")
        if letter in {"E", "F"}:
            words = status.text("STATUS", 0, "Msg")
            raise RefusedByRig(f"{self._place} refused {command}: {words!s:.200}")
        return reply


def _who(config: Telemetry) -> Who:
    return Who(
        mac=mac_text(config.at("CONFIG", 0, "MACAddr")),
        serial=config.text("CONFIG", 0, "SerialNumber"),
    )


def _session_of(reply: dict[str, Any]) -> str:
    return Telemetry(reply).text("SESSION", 0, "SessionID") or ""


def _presets(profiles: Any) -> tuple[Preset, ...]:
    rows = [Telemetry(row) for row in profiles] if isinstance(profiles, list) else []
    named = [(row.text("Profile Name"), row.number("Watts")) for row in rows]
    return tuple(Preset(name=name, power_w=power_w) for name, power_w in named if name)


def _clock_of(reply: Telemetry) -> datetime | None:
    when_s = reply.number("STATUS", 0, "When")
    try:
        return None if when_s is None else datetime.fromtimestamp(when_s, UTC)
    except (OverflowError, OSError, ValueError):
        return None

"""The language of WhatsMiner rigs with API 3 (firmware from November 2024): TCP 4433, framed JSON.

A request is a little-endian u32 length and JSON; what changes the rig carries ``ts``, ``account``
and ``token``: the first eight characters of base64(sha256(command + password + salt + ts)). Spoken
raw, because pyasic 0.79.0 ignores a refused power limit, knows one account and one password, and
returns success for a rig that is gone. The token's time is the rig's own (`when` of its reply).

Of the two commands for watts the published one is used (`set.miner.power_limit`, which restarts the
rig). `set.miner.power_percent` acts in seconds but is relative to an unpublished stable power.
"""

import asyncio
import base64
import hashlib
import json
import struct
from datetime import UTC, datetime
from typing import Any

from gridhash.serving.drivers.capabilities import FirmwareName
from gridhash.serving.drivers.credentials import Credentials, required
from gridhash.serving.drivers.firmware import Ack, Found, Order, Who, mac_text
from gridhash.serving.drivers.protocol import Command, Outcome, Why
from gridhash.serving.drivers.telemetry import Telemetry
from gridhash.serving.drivers.wire import (
    LONGEST_REPLY,
    NoReply,
    OtherFirmware,
    Place,
    RefusedByRig,
    exchange,
    parse_object,
)
from gridhash.serving.snapshot import RigReading

WHATSMINER_V3_PORT = 4433
HEADER = struct.Struct("<I")
TOKEN_CHARACTERS = 8
DONE = 0
NO_PERMISSION = -4


class WhatsminerV3:
    """Speaks to a WhatsMiner by API 3. Implements `Firmware`."""

    name = FirmwareName.WHATSMINER_V3

    def __init__(self, place: Place, credentials: Credentials | None = None) -> None:
        """Prepare to speak; nothing is sent."""
        self._place = place
        self.credentials = credentials
        self._salt = ""

    def delay_s(self, command: Command) -> float:
        """Return 0: commands act at once."""
        return 0.0

    async def identify(self) -> Found:
        """Return what ``get.device.info`` tells; its power limit may be at most its nameplate."""
        info = await self._device_info()
        model = info.text("msg", "miner", "type")
        if model is None:
            raise OtherFirmware(f"{self._place} answers at API 3 without a miner type")
        return Found(
            who=_who(info),
            model=model,
            version=info.text("msg", "system", "fwversion"),
        )

    async def log_on(self) -> Who:
        """Ask for marks, clock and salt."""
        required(self.credentials, self._place, self.name)
        info = await self._device_info()
        salt = info.text("msg", "salt")
        if salt is None:
            raise NoReply(f"{self._place} gave no salt to sign a command with")
        self._salt = salt
        return _who(info)

    async def send(self, order: Order, who: Who) -> Ack:
        """Start or stop the mining service, set the power limit, or reboot."""
        commands: dict[Command, tuple[str, Any]] = {
            Command.STOP: ("set.miner.service", "stop"),
            Command.RESUME: ("set.miner.service", "start"),
            Command.SET_POWER: ("set.miner.power_limit", int(order.power_w)),
            Command.REBOOT: ("set.system.reboot", None),
        }
        command, param = commands[order.command]
        reply = await self._ask(command, param, signed_at=who.rig_clock_at)
        return Ack(outcome=Outcome.PENDING, detail=str(reply.get("msg", "")))

    async def log_off(self) -> None:
        """Forget the salt."""
        self._salt = ""

    async def read(self, at: datetime) -> tuple[RigReading, Who]:
        """Read the summary, and whether the rig works; marks are its serial number."""
        summary = Telemetry(await self._ask("get.miner.status", "summary"))
        miner = Telemetry(await self._ask("get.device.info", "miner"))
        of = ("msg", "summary")
        if not isinstance(summary.at(*of), dict):
            raise NoReply(f"{self._place} answered without a summary")
        reading = RigReading(
            rig_id=self._place.rig_id,
            read_at=at,
            rig_clock_at=_clock_of(summary),
            power_w=summary.number(*of, "power-realtime"),
            hashrate_ths=summary.number(*of, "hash-realtime"),
            chip_temp_c=summary.highest((*of, "chip-temp-max")),
            inlet_temp_c=summary.number(*of, "environment-temperature"),
            working=miner.flag("msg", "miner", "working"),
            uptime_s=summary.number(*of, "bootup-time"),
            power_target_w=summary.number(*of, "power-limit"),
            not_numbers=tuple(summary.not_numbers),
        )
        return reading, Who(serial=miner.text("msg", "miner", "miner-sn"))

    async def _device_info(self) -> Telemetry:
        return Telemetry(await self._ask("get.device.info"))

    async def _ask(
        self, command: str, param: Any = None, *, signed_at: datetime | None = None
    ) -> dict[str, Any]:
        request: dict[str, Any] = {"cmd": command}
        if param is not None:
            request["param"] = param
        if command.startswith("set."):
            request |= self._signature(command, signed_at or datetime.now(UTC))
        body = json.dumps(request).encode()
        reply = parse_object(
            self._place, await exchange(self._place, HEADER.pack(len(body)) + body, _read_framed)
        )
        code = reply.get("code")
        if code == DONE:
            return reply
        if not isinstance(code, int):
            raise OtherFirmware(f"{self._place} does not answer as a WhatsMiner with API 3 does")
        text = f"{self._place} refused {command}: {reply.get('msg', '')!s:.200} (code {code})"
        raise RefusedByRig(text, Why.CREDENTIALS if code == NO_PERMISSION else Why.RIG_SAID_NO)

    def _signature(self, command: str, at: datetime) -> dict[str, Any]:
        account = required(self.credentials, self._place, self.name)
        ts = int(at.timestamp())
        secret = f"{command}{account.secret()}{self._salt}{ts}".encode()
        token = base64.b64encode(hashlib.sha256(secret).digest())[:TOKEN_CHARACTERS].decode()
        return {"ts": ts, "account": account.username, "token": token}


def _who(info: Telemetry) -> Who:
    return Who(
        mac=mac_text(info.at("msg", "network", "mac")),
        serial=info.text("msg", "miner", "miner-sn"),
        rig_clock_at=_clock_of(info),
    )


def _clock_of(reply: Telemetry) -> datetime | None:
    when_s = reply.number("when")
    try:
        return None if when_s is None else datetime.fromtimestamp(when_s, UTC)
    except (OverflowError, OSError, ValueError):
        return None


async def _read_framed(reader: asyncio.StreamReader) -> bytes:
    length: int = HEADER.unpack(await reader.readexactly(HEADER.size))[0]
    return await reader.readexactly(min(length, LONGEST_REPLY))

"""The language of WhatsMiner rigs with API 2: JSON at TCP 4028, writes encrypted with a token.

pyasic has the encryption; the rest is spoken raw, because pyasic 0.79.0 takes an empty reply for
success and a refused connection for an empty reply.

A rig gives few tokens and lets each live for half an hour, so one is kept for 25 minutes.
"""

import json
from datetime import UTC, datetime
from typing import Any

from gridhash.serving.clock import Clock
from gridhash.serving.drivers.capabilities import FirmwareName
from gridhash.serving.drivers.credentials import Credentials, required
from gridhash.serving.drivers.firmware import Ack, Found, Order, Who, mac_text
from gridhash.serving.drivers.protocol import Command, Outcome, Why
from gridhash.serving.drivers.pyasic_library import WhatsminerSeal, whatsminer_seal
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

WHATSMINER_V2_PORT = 4028
MHS_PER_THS = 1e6
TOKEN_S = 1500.0
DONE = 131
SUMMARIES: tuple[tuple[str | int, ...], ...] = (("SUMMARY", 0), ("Msg",))
"""Where older and newer firmware of API 2 has the summary."""
NO_PERMISSION = (23, 45, 135, 136)
"""Codes: not to be decrypted, permission denied, wrong token, too many tokens."""


class WhatsminerV2:
    """Speaks to a WhatsMiner by API 2. Implements `Firmware`."""

    name = FirmwareName.WHATSMINER_V2

    def __init__(self, place: Place, clock: Clock, credentials: Credentials | None = None) -> None:
        """Prepare to speak; nothing is sent. The clock tells when a token has ended."""
        self._place = place
        self._clock = clock
        self.credentials = credentials
        self._seal: WhatsminerSeal | None = None
        self._token_ends_s = 0.0

    def delay_s(self, command: Command) -> float:
        """Return 0: commands act at once."""
        return 0.0

    async def identify(self) -> Found:
        """Return what ``get_miner_info``, ``get_version`` and ``devdetails`` tell."""
        who = await self._who()
        version = Telemetry(await self._ask("get_version"))
        details = Telemetry(await self._ask("devdetails"))
        return Found(
            who=who,
            model=details.text("DEVDETAILS", 0, "Model") or "unnamed",
            version=version.text("Msg", "fw_ver"),
        )

    async def log_on(self) -> Who:
        """Ask for marks, and for a token unless one still lives."""
        own = required(self.credentials, self._place, self.name)
        who = await self._who()
        if self._seal is None or self._clock.monotonic() >= self._token_ends_s:
            token = (await self._ask("get_token")).get("Msg")
            if not isinstance(token, dict):
                raise RefusedByRig(f"{self._place} gave no token: {token!s:.200}")
            try:
                parts = {key: str(token[key]) for key in ("salt", "time", "newsalt")}
                self._seal = whatsminer_seal(own.secret(), parts)
            except (LookupError, ValueError) as err:
                raise NoReply(f"{self._place} gave a token that is none") from err
            self._token_ends_s = self._clock.monotonic() + TOKEN_S
        return who

    async def send(self, order: Order, who: Who) -> Ack:
        """Power the boards off or on, or set the power limit."""
        commands: dict[Command, dict[str, str]] = {
            Command.STOP: {"cmd": "power_off", "respbefore": "true"},
            Command.RESUME: {"cmd": "power_on"},
            Command.SET_POWER: {
                "cmd": "adjust_power_limit",
                "power_limit": str(int(order.power_w)),
            },
        }
        message = await self._write(commands[order.command])
        return Ack(outcome=Outcome.PENDING, detail=message)

    async def log_off(self) -> None:
        """Keep the token: a rig gives only so many."""

    async def read(self, at: datetime) -> tuple[RigReading, Who]:
        """Read the summary and the state of the mining process."""
        summary = Telemetry(await self._ask("summary"))
        status = Telemetry(await self._ask("status"))
        of = next((path for path in SUMMARIES if isinstance(summary.at(*path), dict)), None)
        if of is None:
            raise NoReply(f"{self._place} answered without a summary")
        off = status.flag("Msg", "btmineroff")
        off = status.flag("Msg", "mineroff") if off is None else off
        reading = RigReading(
            rig_id=self._place.rig_id,
            read_at=at,
            rig_clock_at=_clock_of(summary),
            power_w=summary.number(*of, "Power"),
            hashrate_ths=scaled(summary.number(*of, "MHS 5s"), MHS_PER_THS),
            chip_temp_c=summary.highest((*of, "Chip Temp Max")),
            inlet_temp_c=summary.number(*of, "Env Temp"),
            working=None if off is None else not off,
            soft_off=off,
            uptime_s=summary.number(*of, "Uptime"),
            power_target_w=summary.number(*of, "Power Limit"),
            not_numbers=tuple(summary.not_numbers),
        )
        return reading, Who(mac=mac_text(summary.at(*of, "MAC")))

    async def _who(self) -> Who:
        info = Telemetry(await self._ask("get_miner_info"))
        mac = mac_text(info.at("Msg", "mac"))
        if mac is None:
            raise OtherFirmware(f"{self._place} does not answer as a WhatsMiner with API 2 does")
        return Who(mac=mac, serial=info.text("Msg", "minersn"), rig_clock_at=_clock_of(info))

    async def _write(self, command: dict[str, str]) -> str:
        seal = self._seal
        assert seal is not None
        reply = await self._exchange(seal.close(command))
        if "enc" in reply:
            try:
                reply = seal.open(reply)
            except (ValueError, LookupError, TypeError) as err:
                # The rig did answer, and nobody can tell what: it may have obeyed.
                raise NoReply(f"{self._place} gave a reply that cannot be decrypted") from err
        return str(self._checked(reply, command["cmd"]).get("Msg", ""))

    async def _ask(self, command: str) -> dict[str, Any]:
        reply = await self._exchange(json.dumps({"command": command, "cmd": command}).encode())
        return self._checked(reply, command)

    async def _exchange(self, request: bytes) -> dict[str, Any]:
        return parse_object(self._place, await exchange(self._place, request, read_to_end))

    def _checked(self, reply: dict[str, Any], command: str) -> dict[str, Any]:
        status = Telemetry(reply)
        letter = status.text("STATUS") if isinstance(reply.get("STATUS"), str) else None
        letter = letter or status.text("STATUS", 0, "STATUS")
        if letter == "S":
            return reply
        if letter is None:
            raise NoReply(f"{self._place} answered {command} without a status")
        code = reply.get("Code")
        if code in NO_PERMISSION:
            self._seal = None
        words = reply.get("Msg") or status.text("STATUS", 0, "Msg")
        raise RefusedByRig(
            f"{self._place} refused {command}: {words!s:.200} (code {code})",
            Why.CREDENTIALS if code in NO_PERMISSION else Why.RIG_SAID_NO,
        )


def _clock_of(reply: Telemetry) -> datetime | None:
    when_s = reply.number("When")
    when_s = reply.number("STATUS", 0, "When") if when_s is None else when_s
    try:
        return None if when_s is None else datetime.fromtimestamp(when_s, UTC)
    except (OverflowError, OSError, ValueError):
        return None

"""The language of VNish firmware: a web API at port 80, with a token from ``unlock``.

Written on HTTP alone, because pyasic 0.79.0 wakes a rig with another command than the one that put
it to sleep, takes failed requests for answers, and cannot say whether a rig refused or is gone.
Presets that the rig has not tuned yet are not offered: setting one would tune for hours.
"""

import re
from datetime import datetime
from typing import Any

from gridhash.errors import RigUnreachable
from gridhash.serving.drivers.capabilities import FirmwareName
from gridhash.serving.drivers.credentials import Credentials, required
from gridhash.serving.drivers.firmware import Ack, Found, Order, Who, mac_text
from gridhash.serving.drivers.protocol import Command, Outcome, Preset, Why
from gridhash.serving.drivers.telemetry import Telemetry, scaled
from gridhash.serving.drivers.wire import NoReply, OtherFirmware, Place, RefusedByRig, ask_web
from gridhash.serving.snapshot import RigReading

VNISH_PORT = 80
API = "/api/v1/"
WATTS = re.compile(r"^\s*(\d+)\s*watt", re.IGNORECASE)
PER_THS = {"GH/s": 1e3, "TH/s": 1.0, "MH/s": 1e6}
WORKING = ("mining", "auto-tuning")
ASLEEP = ("stopped", "paused")


class Vnish:
    """Speaks to a rig with VNish. Implements `Firmware`."""

    name = FirmwareName.VNISH

    def __init__(self, place: Place, credentials: Credentials | None = None) -> None:
        """Prepare to speak; nothing is sent."""
        self._place = place
        self.credentials = credentials
        self._token = ""

    def delay_s(self, command: Command) -> float:
        """Return 0: commands act at once."""
        return 0.0

    async def identify(self) -> Found:
        """Return what ``info`` and the list of presets tell."""
        info = await self._info()
        rows = await self._ask("autotune/presets")
        rows = rows.get("presets") if isinstance(rows, dict) else rows
        return Found(
            who=_who(info),
            model=info.text("miner") or info.text("model") or "unnamed",
            version=info.text("fw_version"),
            presets=_tuned(rows),
        )

    async def log_on(self) -> Who:
        """Ask for marks and for a token."""
        who = _who(await self._info())
        await self._unlock()
        return who

    async def send(self, order: Order, who: Who) -> Ack:
        """Stop or start mining, or set a preset."""
        if order.command is Command.STOP:
            await self._post("mining/stop")
            return Ack(outcome=Outcome.PENDING, detail="stop acknowledged")
        if order.command is Command.RESUME:
            await self._post("mining/start")
            return Ack(outcome=Outcome.PENDING, detail="start acknowledged")
        return await self._set_preset(order)

    async def log_off(self) -> None:
        """Do nothing: a token bars nobody."""

    async def read(self, at: datetime) -> tuple[RigReading, Who]:
        """Read marks, summary and preset."""
        info = await self._info()
        summary = Telemetry(await self._ask("summary"))
        preset = Telemetry(await self._ask("perf-summary")).text("current_preset", "name")
        if not isinstance(summary.at("miner"), dict):
            raise NoReply(f"{self._place} answered without a summary")
        state = summary.text("miner", "miner_status", "miner_state")
        unit = PER_THS.get(info.text("hr_measure") or "GH/s")
        rate = summary.number("miner", "hr_realtime")
        reading = RigReading(
            rig_id=self._place.rig_id,
            read_at=at,
            power_w=summary.number("miner", "power_usage"),
            hashrate_ths=None if unit is None else scaled(rate, unit),
            chip_temp_c=summary.highest(("miner", "chip_temp", "max")),
            working=None if state is None else state in WORKING,
            soft_off=None if state is None else state in ASLEEP,
            preset=preset,
            not_numbers=tuple(summary.not_numbers),
        )
        return reading, _who(info)

    async def _set_preset(self, order: Order) -> Ack:
        settings = await self._ask("settings")
        overclock = Telemetry(settings).at("miner", "overclock")
        if not isinstance(overclock, dict):
            raise RefusedByRig(f"{self._place} shows no settings of presets")
        wanted = {**overclock, "preset": order.preset}
        answer = Telemetry(await self._post("settings", {"miner": {"overclock": wanted}}))
        try:
            now = Telemetry(await self._ask("settings")).text("miner", "overclock", "preset")
            if now != order.preset:
                raise RefusedByRig(f"{self._place} keeps preset {now}")
            if not answer.flag("restart_required"):
                return self._preset_ack(Outcome.APPLIED, order, f"preset {now}")
            await self._post("mining/restart")
        except RigUnreachable as err:
            raise NoReply(f"preset {order.preset} was sent; then {err}") from err
        text = f"preset {now}; mining restarts to apply it"
        return self._preset_ack(Outcome.PENDING, order, text)

    @staticmethod
    def _preset_ack(outcome: Outcome, order: Order, detail: str) -> Ack:
        return Ack(outcome=outcome, detail=detail, power_w=order.power_w or None)

    async def _info(self) -> Telemetry:
        info = Telemetry(await ask_web(self._place, f"{API}info"))
        if "vnish" not in (info.text("fw_name") or "").casefold():
            raise OtherFirmware(f"{self._place} does not answer as VNish does")
        return info

    async def _unlock(self) -> None:
        own = required(self.credentials, self._place, self.name)
        answer = Telemetry(await ask_web(self._place, f"{API}unlock", send={"pw": own.secret()}))
        self._token = answer.text("token") or ""
        if not self._token:
            raise RefusedByRig(f"{self._place} gave no token", Why.CREDENTIALS)

    async def _ask(self, path: str) -> Any:
        """Get what needs a token; a token that ended is renewed once."""
        if self._token:
            try:
                return await ask_web(self._place, API + path, headers=self._bearer())
            except RefusedByRig as err:
                if err.why is not Why.CREDENTIALS:
                    raise
        await self._unlock()
        return await ask_web(self._place, API + path, headers=self._bearer())

    async def _post(self, path: str, send: Any = None) -> Any:
        answer = await ask_web(
            self._place, API + path, send=send, headers=self._bearer(), method="POST"
        )
        words = Telemetry(answer).text("err")
        if words is not None:
            raise RefusedByRig(f"{self._place} refused {path}: {words:.200}")
        return answer

    def _bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token}"}


def _who(info: Telemetry) -> Who:
    serial = info.text("serial")
    return Who(
        mac=mac_text(info.at("system", "network_status", "mac")),
        serial=None if serial == "N/A" else serial,
    )


def _tuned(rows: Any) -> tuple[Preset, ...]:
    presets = []
    for row in map(Telemetry, rows if isinstance(rows, list) else []):
        name, watts = row.text("name"), WATTS.match(row.text("pretty") or "")
        if name is not None and watts is not None and row.text("status") == "tuned":
            presets.append(Preset(name=name, power_w=float(watts[1])))
    return tuple(presets)

"""The language of Bitmain's stock firmware since 2020: CGI pages at port 80, HTTP digest.

Written on HTTP alone, because pyasic 0.79.0 returns True for a stop where nothing listens, and
always wakes a rig into normal mode; here the mode that it was stopped in is remembered, and the
configuration is read back. A stop rewrites the rig's configuration file: it is sent back as it was
read but for the mode, and never without its pools.

Stock firmware tells no power on most models; then nothing can be verified without a meter.
"""

from datetime import datetime
from typing import Any

import httpx

from gridhash.errors import RigUnreachable
from gridhash.serving.drivers.capabilities import FirmwareName
from gridhash.serving.drivers.credentials import Credentials
from gridhash.serving.drivers.firmware import Ack, Found, Order, Who, mac_text
from gridhash.serving.drivers.protocol import Command, Outcome
from gridhash.serving.drivers.telemetry import Telemetry, scaled
from gridhash.serving.drivers.wire import NoReply, OtherFirmware, Place, RefusedByRig, ask_web
from gridhash.serving.snapshot import RigReading

ANTMINER_PORT = 80
NORMAL, SLEEP = 0, 1
MODE_KEYS = ("bitmain-work-mode", "miner-mode")
KEPT = ("bitmain-fan-ctrl", "bitmain-fan-pwm", "bitmain-hashrate-percent", "pools")
SAVED = "M000"
PER_THS = {"GH/s": 1e3, "TH/s": 1.0, "MH/s": 1e6}
POWER_KEYS = ("watt", "power", "Power")


class Antminer:
    """Speaks to an Antminer with stock firmware. Implements `Firmware`."""

    name = FirmwareName.ANTMINER

    def __init__(self, place: Place, credentials: Credentials | None = None) -> None:
        """Prepare to speak; nothing is sent."""
        self._place = place
        self.credentials = credentials
        self._mode_before_sleep = NORMAL
        own = None if credentials is None else credentials.for_account("root")
        # Kept, because it remembers the rig's challenge and so asks once instead of twice.
        self._auth = None if own is None else httpx.DigestAuth(own.username, own.secret())

    def delay_s(self, command: Command) -> float:
        """Return 0: commands act at once."""
        return 0.0

    async def identify(self) -> Found:
        """Return what ``get_system_info`` tells."""
        info = await self._info()
        return Found(
            who=_who(info),
            model=info.text("minertype") or "unnamed",
            version=info.text("system_filesystem_version"),
        )

    async def log_on(self) -> Who:
        """Ask for marks; the password goes with each request."""
        return _who(await self._info())

    async def send(self, order: Order, who: Who) -> Ack:
        """Put the mode into the configuration, and read it back."""
        conf = await self._ask("get_miner_conf")
        if not isinstance(conf, dict) or not conf.get("pools"):
            raise RefusedByRig(
                f"{self._place} shows no pools in its configuration: writing it would lose them"
            )
        mode = _mode_of(conf)
        if order.command is Command.STOP:
            wanted = SLEEP
            if mode is not None and mode != SLEEP:
                self._mode_before_sleep = mode
        else:
            wanted = self._mode_before_sleep if mode in {None, SLEEP} else mode
        answer = Telemetry(await self._ask("set_miner_conf", _with_mode(conf, wanted)))
        if answer.text("code") != SAVED:
            words = answer.text("msg") or answer.text("stats")
            raise RefusedByRig(f"{self._place} refused mode {wanted}: {words!s:.200}")
        try:
            now = _mode_of(await self._ask("get_miner_conf"))
        except (RigUnreachable, RefusedByRig) as err:
            return Ack(outcome=Outcome.PENDING, detail=f"mode {wanted} saved; not read back: {err}")
        if now != wanted:
            return Ack(outcome=Outcome.PENDING, detail=f"mode {wanted} saved; it shows {now}")
        return Ack(outcome=Outcome.APPLIED, detail=f"mode {now}")

    async def log_off(self) -> None:
        """Do nothing: there is no session."""

    async def read(self, at: datetime) -> tuple[RigReading, Who]:
        """Read marks, statistics and mode."""
        info = await self._info()
        stats = Telemetry(await self._ask("stats"))
        conf = await self._ask("get_miner_conf")
        of = ("STATS", 0)
        if not isinstance(stats.at(*of), dict):
            raise NoReply(f"{self._place} answered without statistics")
        unit = PER_THS.get(stats.text(*of, "rate_unit") or "GH/s")
        rate = stats.number(*of, "rate_5s")
        chains = stats.at(*of, "chain")
        n_chains = len(chains) if isinstance(chains, list) else 0
        mode = _mode_of(conf)
        powers = [stats.number(*of, key) for key in POWER_KEYS]
        reading = RigReading(
            rig_id=self._place.rig_id,
            read_at=at,
            power_w=next((power for power in powers if power is not None), None),
            hashrate_ths=None if unit is None else scaled(rate, unit),
            chip_temp_c=stats.highest(*((*of, "chain", k, "temp_chip") for k in range(n_chains))),
            working=None if rate is None else rate > 0.0,
            soft_off=None if mode is None else mode == SLEEP,
            uptime_s=stats.number(*of, "elapsed"),
            not_numbers=tuple(stats.not_numbers),
        )
        return reading, _who(info)

    async def _info(self) -> Telemetry:
        info = Telemetry(await self._ask("get_system_info"))
        if mac_text(info.at("macaddr")) is None or info.at("minertype") is None:
            raise OtherFirmware(f"{self._place} does not answer as Bitmain's stock firmware does")
        return info

    async def _ask(self, page: str, send: Any = None) -> Any:
        return await ask_web(self._place, f"/cgi-bin/{page}.cgi", send=send, auth=self._auth)


def _who(info: Telemetry) -> Who:
    return Who(
        mac=mac_text(info.at("macaddr")),
        serial=info.text("serinum") or info.text("serial_no"),
    )


def _mode_of(conf: Any) -> int | None:
    """Return the work mode of a configuration; None if it has none."""
    fields = Telemetry(conf)
    modes = [fields.number(key) for key in MODE_KEYS]
    return next((int(mode) for mode in modes if mode is not None), None)


def _with_mode(conf: dict[str, Any], mode: int) -> dict[str, Any]:
    """Return what the rig's own page would save: the configuration as it is, and a mode."""
    saved = {key: conf[key] for key in KEPT if key in conf}
    level = conf.get("bitmain-freq-level", conf.get("freq-level", "100"))
    return {**saved, "freq-level": level, **dict.fromkeys(MODE_KEYS, mode)}

"""What a WhatsMiner with API V3 says: TCP 4433, and as little as its firmware does at 4028.

A request is a little-endian u32 length and JSON ``{"cmd": ..., "param": ...}``; what changes the
rig also carries ``ts``, ``account`` and ``token``, the first eight characters of
``base64(sha256(cmd + password + salt + ts))``. Replies are framed alike:
``{"code", "when", "msg", "desc"}`` with code 0 for success. Fields follow the public API
documentation 3.0.3 and what pyasic 0.79.0 reads. Assumed: the numbers of the error codes; that a
token's time is not held against the rig's clock; that a stopped rig keeps a new limit and stays
stopped.
"""

import base64
import hashlib
import json
import struct
from typing import Any

from gridhash.serving.simulated_cgminer import CgminerWire, Reads, Section, status_of
from gridhash.serving.simulated_listener import TcpWire
from gridhash.serving.simulated_model import Change, Fate, Telemetry, WorkState
from gridhash.serving.simulated_rig import SimulatedRig

WHATSMINER_V3_PORT = 4433
HEADER = struct.Struct("<I")
LONGEST_BODY = 8192

OK = 0
FAILED = -1
WRONG_PARAMETER = -2
NO_PERMISSION = -4
UNKNOWN_COMMAND = -14


class WhatsminerV3Wire(TcpWire):
    """What a rig can be asked and told at TCP 4433."""

    port = WHATSMINER_V3_PORT

    def __init__(self, rig: SimulatedRig) -> None:
        """Speak for a rig; its salt is drawn from its seed."""
        super().__init__(rig)
        self.salt = f"{rig.random.getrandbits(32):08x}"

    def is_complete(self, data: bytes) -> bool:
        """Return whether header and body are there, or the header promises nonsense."""
        if len(data) < HEADER.size:
            return False
        length: int = HEADER.unpack_from(data)[0]
        return length > LONGEST_BODY or len(data) >= HEADER.size + length

    def answer(self, data: bytes) -> tuple[str, bytes | None]:
        """Carry out a request; return it as text and the reply, None if the rig hangs up."""
        try:
            request = json.loads(data[HEADER.size :])
            command = str(request["cmd"])
        except (ValueError, KeyError, TypeError):
            return "", None
        param = request.get("param")
        text = command if param is None else f"{command}|{param}"
        code, message = self._made_of(command, param, request)
        if code is None:
            return text, None
        reply = {
            "code": code,
            "when": int(self.rig.rig_clock_at().timestamp()),
            "msg": message,
            "desc": command,
        }
        body = json.dumps(reply, separators=(",", ":")).encode()
        return text, HEADER.pack(len(body)) + body

    def _made_of(self, command: str, param: Any, request: dict[str, Any]) -> tuple[int | None, Any]:
        if command == "get.device.info":
            info = self._device_info()
            return OK, {param: info[param]} if param in info else info
        if command == "get.miner.status":
            return OK, self._status(str(param or ""))
        if command == "get.miner.setting":
            limit_w = round(self.rig.level_power_w())
            setting = {"power-limit": limit_w, "power-mode": "normal", "power": limit_w}
            return OK, {**setting, "upfreq-speed": 0, "fast-boot": "disable", "power-percent": 100}
        if not command.startswith("set."):
            return UNKNOWN_COMMAND, "invalid cmd"
        if request.get("token") != self.token(command, request.get("ts")):
            return NO_PERMISSION, "no permission"
        return self._change(command, param)

    def token(self, command: str, ts: Any) -> str:
        """Return the token that makes a command at a time lawful."""
        secret = f"{command}{self.rig.model.password}{self.salt}{ts}"
        return base64.b64encode(hashlib.sha256(secret.encode()).digest())[:8].decode()

    def _change(self, command: str, param: Any) -> tuple[int | None, Any]:
        rig = self.rig
        if command == "set.system.led":
            rig.led_on = param != "auto"
            return OK, "ok"
        if command == "set.system.reboot":
            return self._answer_to(rig.told(Change.REBOOT, rig.restart))
        if command == "set.miner.service":
            makes = {
                "stop": (Change.STOP, rig.stop),
                "disable": (Change.STOP, rig.stop),
                "start": (Change.START, rig.start),
                "enable": (Change.START, rig.start),
                "restart": (Change.REBOOT, rig.restart),
            }
            if param not in makes:
                return WRONG_PARAMETER, "invalid param"
            return self._answer_to(rig.told(*makes[param]))
        if command == "set.miner.power_limit":
            return self._power_limit(param)
        return UNKNOWN_COMMAND, "invalid cmd"

    def _power_limit(self, param: Any) -> tuple[int | None, Any]:
        rig = self.rig
        full_w = rig.group.rig_power_w
        is_number = isinstance(param, int) and not isinstance(param, bool)
        if not is_number or not rig.model.least_load * full_w <= param <= full_w:
            return WRONG_PARAMETER, "invalid param"
        return self._answer_to(
            rig.told(Change.POWER_LIMIT, lambda: rig.set_power_limit(float(param)))
        )

    @staticmethod
    def _answer_to(fate: Fate) -> tuple[int | None, Any]:
        if fate in {Fate.SILENT, Fate.REBOOTED}:
            return None, None
        return (FAILED, "failed") if fate is Fate.REFUSED else (OK, "ok")

    def _device_info(self) -> Section:
        rig = self.rig
        seen = rig.telemetry()
        return {
            "network": {
                "ip": rig.address,
                "proto": "dhcp",
                "netmask": "255.0.0.0",
                "mac": ":".join(rig.mac.upper()[i : i + 2] for i in range(0, 12, 2)),
                "hostname": rig.rig_id,
            },
            "miner": {
                "working": "false" if seen.state is WorkState.IDLE else "true",
                "type": rig.model.model,
                "hash-board": rig.model.core,
                "cointype": "BTC/BCH/BSV",
                "pool-strategy": "FAILOVER",
                "miner-sn": f"SIM{rig.mac.upper()}",
                "power-limit-set": "",
                **{
                    f"pcbsn{board}": f"SIM{rig.mac.upper()}{board}"
                    for board in range(rig.model.n_boards)
                },
                "fast-boot": "disable",
            },
            "hardware": {"boards": rig.model.n_boards},
            "system": {
                "api": "3.0.3",
                "platform": "H616",
                "fwversion": rig.model.firmware,
                "control-board-version": "CB6V10",
                "ledstatus": "red" if rig.led_on else "auto",
            },
            "power": {
                "type": "",
                "mode": "normal",
                "model": "P567A",
                "pin": _whole(seen.power_w),
                "fanspeed": 0,
                "temp0": seen.coolant_c,
            },
            "salt": self.salt,
            "error-code": [],
        }

    def _status(self, param: str) -> Section:
        rig = self.rig
        seen = rig.telemetry()
        sections: Section = {}
        if "summary" in param:
            sections["summary"] = self._summary(seen)
        if "edevs" in param:
            sections["edevs"] = [self._board(seen, slot) for slot in range(rig.model.n_boards)]
        if "pools" in param:
            sections["pools"] = [
                {
                    "id": 1,
                    "url": "stratum+tcp://pool.example:3333",
                    "status": "alive" if seen.pool_alive else "dead",
                    "account": f"site.{rig.rig_id}",
                    "stratum-active": seen.state is WorkState.WORK,
                    "reject-rate": 0.0,
                }
            ]
        return sections

    def _summary(self, seen: Telemetry) -> Section:
        return {
            "elapsed": int(seen.uptime_s),
            "bootup-time": int(seen.uptime_s),
            "freq-avg": 500 if seen.state is WorkState.WORK else 0,
            "target-freq": 500,
            "factory-hash": round(self.rig.group.rig_hashrate_ths, 3),
            "hash-average": seen.mean_hashrate_ths(seen.uptime_s),
            "hash-1min": seen.mean_hashrate_ths(60.0),
            "hash-15min": seen.mean_hashrate_ths(900.0),
            "hash-realtime": seen.hashrate_ths,
            "power-rate": seen.power_w / seen.hashrate_ths if seen.hashrate_ths else 0.0,
            "power-realtime": _whole(seen.power_w),
            "power-5min": _whole(seen.power_w),
            "power-limit": round(seen.level_power_w),
            "chip-temp-min": seen.chip_temp_c,
            "chip-temp-avg": seen.chip_temp_c,
            "chip-temp-max": seen.chip_temp_c,
            "environment-temperature": seen.coolant_c,
            "fan-speed-in": 0,
            "fan-speed-out": 0,
        }

    def _board(self, seen: Telemetry, slot: int) -> Section:
        n_boards = self.rig.model.n_boards
        return {
            "id": slot,
            "slot": slot,
            "hash-average": seen.hashrate_ths / n_boards,
            "factory-hash": round(self.rig.group.rig_hashrate_ths / n_boards, 3),
            "freq": 500 if seen.state is WorkState.WORK else 0,
            "effective-chips": self.rig.model.chips_per_board,
            "chip-temp-min": seen.chip_temp_c,
            "chip-temp-avg": seen.chip_temp_c,
            "chip-temp-max": seen.chip_temp_c,
        }


def _get_version(rig: SimulatedRig) -> Section:
    message = {"api_ver": "3.0.3", "fw_ver": rig.model.firmware, "chip": rig.model.core}
    return {**status_of(rig, "btminer", "S", 131, ""), "Msg": message}


STUB_READS: Reads = {"get_version": _get_version}


class Whatsminer4028(CgminerWire):
    """Port 4028 of a V3 rig: it says who it is, and no longer takes commands there.

    Without an answer here pyasic 0.79.0 takes the rig for one with API V2.
    """

    description = "btminer"
    reads = STUB_READS

    def change(self, command: str, parameter: str) -> Section | None:
        """Know no command."""
        return None


def _whole(value: float) -> float:
    """Return whole watts, or NaN."""
    return value if value != value else round(value)

"""Rigs of the firmwares that `gridhash simulate-rigs` does not speak: VNish, ePIC, stock Antminer
and WhatsMiner API 2, on the state, physics and faults of `SimulatedRig`, over real sockets.

Pages and fields are those that pyasic 0.79.0 and asic-rs read. They answer one request per
connection. What they are told to believe in (default passwords included) is in their `RigModel`.
"""

import hashlib
import json
import re
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar

from gridhash.serving.drivers.pyasic_library import load_pyasic
from gridhash.serving.simulated_cgminer import RigHangsUp, number
from gridhash.serving.simulated_fleet import SimulatedFleet
from gridhash.serving.simulated_listener import TcpWire
from gridhash.serving.simulated_model import LUXOS_S21, Change, Fate, WorkState
from gridhash.serving.simulated_rig import SimulatedRig

WEB_PORT = 18080
"""Instead of 80, which only root may listen at."""
USER = "root"

WEB_S21 = replace(LUXOS_S21, firmware="2025.1", password="sold-with-another")
WHATSMINER_M50 = replace(
    WEB_S21,
    product="M50S_VH30",
    model="M50S_VH30",
    firmware="20230911.12.REL",
    least_load=0.4,
    preset_loads=(),
)

Answer = tuple[int, Any]
"""HTTP status and JSON."""
Reads = dict[str, Callable[[], Any]]


def mac_of(rig: SimulatedRig) -> str:
    return ":".join(rig.mac[i : i + 2] for i in range(0, 12, 2))


class HttpWire(TcpWire):
    """One HTTP request per connection."""

    port = WEB_PORT
    headers = ""

    @abstractmethod
    def respond(self, method: str, path: str, headers: dict[str, str], body: Any) -> Answer:
        """Carry out a request."""

    def is_complete(self, data: bytes) -> bool:
        head, separator, body = data.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: *(\d+)", head)
        return bool(separator) and len(body) >= (int(length[1]) if length else 0)

    def answer(self, data: bytes) -> tuple[str, bytes | None]:
        head, _, body = data.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        method, path, _ = first.split(" ", 2)
        headers = {
            name.strip().casefold(): value.strip()
            for name, _, value in (line.partition(":") for line in lines)
        }
        text = f"{method} {path}"
        try:
            status, payload = self.respond(
                method, path, headers, json.loads(body) if body else None
            )
        except RigHangsUp:
            return text, None
        content = b"" if payload is None else json.dumps(payload).encode()
        reply = (
            f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n{self.headers}"
            f"Content-Length: {len(content)}\r\nConnection: close\r\n\r\n"
        )
        return text, reply.encode() + content

    def told(self, change: Change, power_w: float = 0.0) -> bool:
        """Tell the rig; return whether it says yes."""
        rig = self.rig
        makes = {
            Change.STOP: rig.stop,
            Change.START: rig.start,
            Change.POWER_LIMIT: lambda: rig.set_power_limit(power_w),
        }
        fate = rig.told(change, makes[change])
        if fate in {Fate.SILENT, Fate.REBOOTED}:
            raise RigHangsUp
        return fate is not Fate.REFUSED


class VnishWire(HttpWire):
    """VNish 1.2."""

    token = "OwpWakIHG7ZE7xg7"

    def respond(self, method: str, path: str, headers: dict[str, str], body: Any) -> Answer:
        page = path.removeprefix("/api/v1/")
        if page == "info":
            return 200, self._info()
        if page == "unlock":
            known = body == {"pw": self.rig.model.password}
            return (200, {"token": self.token}) if known else (403, {"err": "Wrong password"})
        # pyasic sends the token alone, the documentation says Bearer.
        if headers.get("authorization", "").removeprefix("Bearer ") != self.token:
            return 401, {"err": "unauthorized"}
        if method == "GET":
            reads: Reads = {
                "summary": self._summary,
                "perf-summary": lambda: {"current_preset": {"name": self._preset()}},
                "autotune/presets": self._presets,
                "settings": lambda: {"miner": {"overclock": {"preset": self._preset()}}},
            }
            return (200, reads[page]()) if page in reads else (404, {"err": "no such page"})
        if page in {"mining/stop", "mining/start", "mining/pause", "mining/resume"}:
            stops = page.endswith(("stop", "pause"))
            if self.told(Change.STOP if stops else Change.START):
                return 200, {}
            return 500, {"err": "CGMiner err: Cgminer error failed-to-activate-pause-mode "}
        if page == "settings":
            # It answers so also if it keeps the old preset.
            self.told(Change.POWER_LIMIT, float(body["miner"]["overclock"]["preset"]))
            return 200, {"restart_required": False, "reboot_required": False}
        return 404, {"err": "no such page"}

    def _info(self) -> dict[str, Any]:
        return {
            "miner": self.rig.model.product,
            "model": "s21",
            "fw_name": "Vnish",
            "fw_version": self.rig.model.firmware,
            "hr_measure": "GH/s",
            "system": {"network_status": {"mac": mac_of(self.rig)}, "uptime": "0:06"},
            "serial": "N/A",
        }

    def _preset(self) -> str:
        rated_w = self.rig.telemetry().level_power_w / self.rig.mismatch.power_factor
        return f"{rated_w:.0f}"

    def _presets(self) -> list[dict[str, Any]]:
        full_w = self.rig.group.rig_power_w
        rows: list[dict[str, Any]] = [
            {"name": "disabled", "pretty": "Disabled", "status": "untuned"}
        ]
        for load in self.rig.model.preset_loads:
            name = f"{load * full_w:.0f}"
            status = "tuned" if load >= 0.5 else "untuned"
            rows.append({"name": name, "pretty": f"{name} watt ~ 99 TH", "status": status})
        return [{**row, "modded_psu_required": False} for row in rows]

    def _summary(self) -> dict[str, Any]:
        seen = self.rig.telemetry()
        states = {
            WorkState.WORK: "mining",
            WorkState.INIT: "initializing",
            WorkState.IDLE: "stopped",
        }
        return {
            "miner": {
                "miner_status": {"miner_state": states[seen.state]},
                "miner_type": "Antminer S21 (Vnish 2025.1)",
                "hr_realtime": seen.hashrate_ths * 1e3,
                "chip_temp": {"min": seen.chip_temp_c, "max": seen.chip_temp_c},
                "power_usage": seen.power_w,
                "chains": [],
            }
        }


class EpicWire(HttpWire):
    """An ePIC UMC board."""

    def respond(self, method: str, path: str, headers: dict[str, str], body: Any) -> Answer:
        reads: Reads = {
            "/summary": self._summary,
            "/network": lambda: {"dhcp": {"mac_address": mac_of(self.rig)}},
            "/capabilities": lambda: {"Model": self.rig.model.product},
        }
        if method == "GET":
            return (200, reads[path]()) if path in reads else (404, None)
        if path != "/miner":
            return 404, None
        if body.get("password") != self.rig.model.password:
            return 200, {"result": False, "error": "Incorrect password"}
        changes = {"Stop": Change.STOP, "Autostart": Change.START}
        done = self.told(changes[body["param"]])
        return 200, {"result": done, "error": None if done else "cannot do that now"}

    def _summary(self) -> dict[str, Any]:
        seen, n_boards = self.rig.telemetry(), self.rig.model.n_boards
        board = {"Hashrate": [seen.hashrate_ths * 1e6 / n_boards, 99.0]}
        return {
            "Status": {
                "Operating State": "Idling" if seen.state is WorkState.IDLE else "Mining",
                "Last Error": None,
            },
            "Software": self.rig.model.firmware,
            "Session": {"Uptime": int(seen.uptime_s)},
            "HBs": [
                {"Index": k, "Temperature": seen.chip_temp_c, **board} for k in range(n_boards)
            ],
            "Power Supply Stats": {"Input Power": seen.power_w},
        }


class AntminerWire(HttpWire):
    """Bitmain's stock firmware: pages behind HTTP digest, a mode in a configuration file."""

    nonce = "5f2b0e6c1d"
    headers = (
        'WWW-Authenticate: Digest realm="antMiner Configuration", '
        'nonce="5f2b0e6c1d", qop="auth"\r\n'
    )

    def __init__(self, rig: SimulatedRig) -> None:
        super().__init__(rig)
        self.mode = "0"
        self.saved: list[dict[str, Any]] = []

    def respond(self, method: str, path: str, headers: dict[str, str], body: Any) -> Answer:
        if not self._knows(method, headers.get("authorization", "")):
            return 401, None
        page = path.removeprefix("/cgi-bin/").removesuffix(".cgi")
        reads: Reads = {
            "get_system_info": self._system_info,
            "get_miner_conf": self.conf,
            "stats": self._stats,
        }
        if page in reads:
            return 200, reads[page]()
        return self._save(body) if page == "set_miner_conf" else (404, None)

    def conf(self) -> dict[str, Any]:
        pool = {"url": "stratum+tcp://pool.example:3333", "user": "site.rig", "pass": "x"}
        return {
            "pools": [pool],
            "api-listen": True,
            "bitmain-fan-ctrl": False,
            "bitmain-fan-pwm": "100",
            "bitmain-work-mode": self.mode,
            "bitmain-freq-level": "100",
        }

    def _knows(self, method: str, authorization: str) -> bool:
        fields = dict(re.findall(r'(\w+)="?([^",]+)"?', authorization))

        def digest(*parts: str) -> str:
            return hashlib.md5(":".join(parts).encode(), usedforsecurity=False).hexdigest()

        secret = digest(USER, fields.get("realm", ""), self.rig.model.password)
        asked = digest(method, fields.get("uri", ""))
        count = (fields.get("nc", ""), fields.get("cnonce", ""), fields.get("qop", ""))
        return fields.get("response") == digest(secret, self.nonce, *count, asked)

    def _save(self, body: dict[str, Any]) -> Answer:
        mode = str(body["miner-mode"])
        if not self.told(Change.STOP if mode == "1" else Change.START):
            return 200, {"stats": "error", "code": "M001", "msg": "cannot do that now"}
        if not self.rig.faults.lies:
            self.mode = mode
        self.saved.append(body)
        return 200, {"stats": "success", "code": "M000", "msg": "OK!"}

    def _system_info(self) -> dict[str, Any]:
        return {
            "minertype": self.rig.model.product,
            "macaddr": mac_of(self.rig),
            "hostname": self.rig.rig_id,
            "system_filesystem_version": self.rig.model.firmware,
            "serinum": f"SIM{self.rig.mac.upper()}",
        }

    def _stats(self) -> dict[str, Any]:
        seen, n_boards = self.rig.telemetry(), self.rig.model.n_boards
        rate = {"rate_5s": seen.hashrate_ths * 1e3, "rate_unit": "GH/s"}
        chip = [0.0 if seen.state is WorkState.IDLE else seen.chip_temp_c] * 4
        chains = [{"index": k, "temp_chip": chip, "sn": f"SIM{k}"} for k in range(n_boards)]
        return {"STATS": [{"elapsed": int(seen.uptime_s), **rate, "chain": chains}]}


class WhatsminerV2Wire(TcpWire):
    """WhatsMiner API 2: questions in clear, changes encrypted with a token."""

    port = 4028
    token: ClassVar = {"salt": "BQ5hoXV9", "time": "5626", "newsalt": "jbzkfQls"}

    def is_complete(self, data: bytes) -> bool:
        try:
            json.loads(data)
        except ValueError:
            return False
        return True

    def answer(self, data: bytes) -> tuple[str, bytes | None]:
        request = json.loads(data)
        if request.get("enc") == 1:
            return self._change(request["data"])
        command = request.get("cmd") or request.get("command")
        reads: Reads = {
            "get_miner_info": self._info,
            "get_version": lambda: {"Msg": {"api_ver": "2.0.5", "fw_ver": self.rig.model.firmware}},
            "devdetails": lambda: {"DEVDETAILS": [{"Model": self.rig.model.product}]},
            "get_token": lambda: {"Msg": self.token},
            "summary": self._summary,
            "status": lambda: {"Msg": {"btmineroff": str(self.rig.telemetry().soft_off).lower()}},
        }
        if command not in reads:
            return command, self._reply("E", 14, {"Msg": "invalid cmd"})
        return command, self._reply("S", 131, reads[command]())

    def _change(self, sealed: str) -> tuple[str, bytes | None]:
        load_pyasic()
        from passlib.handlers.md5_crypt import md5_crypt
        from pyasic.rpc import btminer

        def crypt(word: str, salt: str) -> str:
            return str(md5_crypt.using(salt=salt).hash(word).split("$")[3])

        digest = crypt(self.rig.model.password, self.token["salt"])
        sign = crypt(digest + self.token["time"], self.token["newsalt"])
        own = btminer.TokenData(host_sign=sign, host_passwd_md5=digest)
        try:
            order = btminer.parse_btminer_priviledge_data(own, {"enc": sealed})
        except ValueError:
            return "?", self._reply("E", 23, {"Msg": "invalid json message"})
        if order.get("token") != sign:
            return "?", self._reply("E", 135, {"Msg": "check token error"})
        rig, command = self.rig, order["cmd"]
        power_w = float(order.get("power_limit", 0))
        least_w = rig.model.least_load * rig.group.rig_power_w
        if command == "adjust_power_limit" and not least_w <= power_w <= rig.group.rig_power_w:
            return command, self._reply("E", 132, {"Msg": "API command error"})
        changes = {
            "power_off": (Change.STOP, rig.stop),
            "power_on": (Change.START, rig.start),
            "adjust_power_limit": (Change.POWER_LIMIT, lambda: rig.set_power_limit(power_w)),
        }
        fate = rig.told(*changes[command])
        if fate in {Fate.SILENT, Fate.REBOOTED}:
            return command, None
        if fate is Fate.REFUSED:
            return command, self._reply("E", 132, {"Msg": "API command error"})
        done = json.loads(self._reply("S", 131, {"Msg": "API command OK"}))
        sealed_reply = json.loads(btminer.create_privileged_cmd(own, done))["data"]
        return command, json.dumps({"enc": sealed_reply}).encode()

    def _info(self) -> dict[str, Any]:
        return {"Msg": {"mac": mac_of(self.rig), "minersn": f"SIM{self.rig.mac.upper()}"}}

    def _summary(self) -> dict[str, Any]:
        seen = self.rig.telemetry()
        summary = {
            "MAC": mac_of(self.rig).upper(),
            "MHS 5s": number(seen.hashrate_ths * 1e6),
            "Power": number(seen.power_w, 0),
            "Power Limit": round(seen.level_power_w),
            "Chip Temp Max": number(seen.chip_temp_c),
            "Env Temp": number(seen.coolant_c),
            "Uptime": int(seen.uptime_s),
        }
        return {"SUMMARY": [summary]}

    def _reply(self, letter: str, code: int, more: dict[str, Any]) -> bytes:
        when = int(self.rig.rig_clock_at().timestamp())
        return json.dumps({"STATUS": letter, "When": when, "Code": code, **more}).encode()


class WebFleet(SimulatedFleet):
    """Simulated rigs that speak another language than that of their model."""

    def __init__(self, rigs: list[SimulatedRig], wire: type[TcpWire]) -> None:
        super().__init__(rigs)
        self.wires = {rig.rig_id: wire(rig) for rig in rigs}
        self._wires = {rig_id: [wire] for rig_id, wire in self.wires.items()}

"""The wire format of Avalon rigs: a request's bytes in, a reply's bytes out.

One command per connection on TCP 4028: JSON ``{"command": "version"}``, several joined as
``a+b+c``, or the text form ``ascset|0,softoff,1:<ts>``; the reply ends with NUL. Field names and
their order follow a capture of an A1566 (firmware 24102401_25462b2) and, where it is silent, the
Canaan A10 API manual v0.4; the fields of coolant (ITemp, HBITemp, HBOTemp) and of standby
(SoftOffTime, SoftOFF[4], In Idle) follow captures of an Avalon Q.
"""

import json
import math
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from gridhash.serving.simulated_rig import SimulatedRig, WorkState

Section = dict[str, Any]

DESCRIPTION = "cgminer 4.11.1"
NUL = b"\x00"
NAN = math.nan


class RigHangsUp(Exception):
    """The rig closes the connection without a reply, which some firmware does on purpose."""


def request_is_complete(data: bytes) -> bool:
    """Return whether the bytes hold a whole request; text has no terminator and always does."""
    if not data.lstrip().startswith(b"{"):
        return bool(data.strip())
    try:
        json.loads(data.rstrip(NUL))
    except ValueError:
        return False
    return True


def reply_to(rig: SimulatedRig, data: bytes) -> bytes | None:
    """Carry out a request and return the reply, or None if the rig hangs up without one."""
    as_json = data.lstrip().startswith(b"{")
    command, parameter = parse_request(data)
    text = f"{command}|{parameter}" if parameter else command
    try:
        sections = _sections_of(rig, command, parameter)
    except RigHangsUp:
        rig.received(text, replied=False)
        return None
    if rig.faults.drop_reply > 0.0 and rig.random.random() < rig.faults.drop_reply:
        rig.received(text, replied=False)
        return None
    rig.received(text, replied=True)
    return (_to_json(sections) if as_json else _to_text(sections)).encode() + NUL


def parse_request(data: bytes) -> tuple[str, str]:
    """Return (command, parameter); an unreadable request is a command that no rig knows."""
    text = data.decode("utf-8", errors="replace").strip("\x00\r\n ")
    if not text.startswith("{"):
        command, _, parameter = text.partition("|")
        return command, parameter
    try:
        request = json.loads(text)
    except ValueError:
        return "", ""
    return str(request.get("command", "")), str(request.get("parameter", ""))


def _sections_of(rig: SimulatedRig, command: str, parameter: str) -> Section:
    if "+" in command:
        joined: Section = {
            name: [_sections_of(rig, name, "")] for name in command.split("+") if name in READS
        }
        return {**joined, "id": 1}
    if command in READS:
        return {**READS[command](rig), "id": 1}
    if command == "ascset":
        return {**_ascset(rig, parameter), "id": 1}
    if command in {"restart", "reboot"}:
        rig.restart()
        return {"STATUS": "RESTART"}
    return {**_status(rig, "E", 14, "Invalid command"), "id": 1}


def _status(rig: SimulatedRig, letter: str, code: int, message: str) -> Section:
    return {
        "STATUS": [
            {
                "STATUS": letter,
                "When": int(rig.rig_clock_at().timestamp()),
                "Code": code,
                "Msg": message,
                "Description": DESCRIPTION,
            }
        ]
    }


def _version(rig: SimulatedRig) -> Section:
    version = {
        "CGMiner": "4.11.1",
        "API": "3.7",
        "STM8": "20.08.01",
        "PROD": rig.model.product,
        "MODEL": rig.model.model,
        "HWTYPE": f"MM4v2_X{rig.model.n_boards}",
        "SWTYPE": "MM319",
        "VERSION": rig.model.firmware,
        "LOADER": "d0d779de.00",
        "DNA": f"0201000{rig.mac[3:]}",
        "MAC": rig.mac,
        "UPAPI": "2",
    }
    return {**_status(rig, "S", 22, "CGMiner versions"), "VERSION": [version]}


def _devdetails(rig: SimulatedRig) -> Section:
    details = {"DEVDETAILS": 0, "Name": "AVA10", "ID": 0, "Driver": "avalon10", "Kernel": ""}
    return {**_status(rig, "S", 69, "Device Details"), "DEVDETAILS": [details]}


def _hash_averages(rig: SimulatedRig) -> Section:
    """Return rolling averages in MH/s; after a stop they take their window to fall, as on rigs."""
    return {
        "MHS av": _mhs(rig, rig.uptime_s),
        "MHS 30s": _mhs(rig, 30.0),
        "MHS 1m": _mhs(rig, 60.0),
        "MHS 5m": _mhs(rig, 300.0),
        "MHS 15m": _mhs(rig, 900.0),
    }


def _mhs(rig: SimulatedRig, window_s: float) -> float | str:
    if rig.faults.nan_telemetry:
        return "nan"
    return round(_mean_hashrate_ths(rig, window_s) * 1e6, 2)


def _mean_hashrate_ths(rig: SimulatedRig, window_s: float) -> float:
    """Return the mean over a window, or over the simulation's life where that is shorter."""
    now = rig.clock.now()
    window_s = min(window_s, (now - rig.born_at).total_seconds())
    if window_s <= 0.0:
        return rig.true_hashrate_ths()
    return (rig.work_th(now) - rig.work_th(now - timedelta(seconds=window_s))) / window_s


def _devs(rig: SimulatedRig) -> Section:
    device = {
        "ASC": 0,
        "Name": "AVA10",
        "ID": 0,
        "Enabled": "Y",
        "Status": "Alive",
        "Temperature": -273.0,
        **_hash_averages(rig),
        "Accepted": 148,
        "Rejected": 1,
        "Hardware Errors": 0,
        "Device Elapsed": int(rig.uptime_s),
    }
    return {**_status(rig, "S", 9, "1 ASC(s)"), "DEVS": [device]}


def _summary(rig: SimulatedRig) -> Section:
    summary = {
        "Elapsed": int(rig.uptime_s),
        **_hash_averages(rig),
        "Found Blocks": 0,
        "Accepted": 148,
        "Rejected": 1,
        "Hardware Errors": 0,
    }
    return {**_status(rig, "S", 11, "Summary"), "SUMMARY": [summary]}


def _pools(rig: SimulatedRig) -> Section:
    pool = {
        "POOL": 0,
        "URL": "stratum+tcp://pool.example:3333",
        "Status": "Alive",
        "Priority": 0,
        "Accepted": 148,
        "Rejected": 1,
        "Get Failures": 0,
        "Remote Failures": 0,
        "User": f"site.{rig.rig_id}",
        "Stratum Active": rig.state is WorkState.WORK,
        "Stratum URL": "pool.example",
    }
    return {**_status(rig, "S", 7, "1 Pool(s)"), "POOLS": [pool]}


def _stats(rig: SimulatedRig) -> Section:
    elapsed_s = int(rig.uptime_s)
    machine = {
        "STATS": 0,
        "ID": "AVA100",
        "Elapsed": elapsed_s,
        "Calls": 0,
        "Wait": 0.0,
        "Max": 0.0,
        "Min": 99999999.0,
        "MM ID0": bracket_string(rig),
        "MM Count": 1,
        "Smart Speed": 1,
        "Voltage Level Offset": 0,
        "Nonce Mask": 25,
    }
    pool = {"STATS": 1, "ID": "POOL0", "Elapsed": elapsed_s, "Pool Calls": 0}
    return {**_status(rig, "S", 70, "CGMiner stats"), "STATS": [machine, pool]}


def bracket_string(rig: SimulatedRig) -> str:
    """Return the ``Ver[...] ... WORKMODE[1]`` text in which an Avalon packs its telemetry.

    As on real rigs, GHSmm, GHSavg and MGHS stay high in standby and chip temperatures read 0;
    only GHSspd and the power tell that the rig rests.
    """
    idle = rig.state is WorkState.IDLE
    nan = rig.faults.nan_telemetry
    n_boards = rig.model.n_boards
    power_w = NAN if nan else rig.true_power_w() * rig.mismatch.reported_power_factor
    chip_c = 0.0 if idle else rig.chip_temp_c()
    speed_ghs = NAN if nan else rig.true_hashrate_ths() * 1e3
    nominal_ghs = rig.level_hashrate_ths() * 1e3
    board_ghs = nominal_ghs / n_boards
    outlet_c = 0.5 * (rig.coolant_c + max(rig.chip_temp_c(), rig.coolant_c))
    direct_current_w = 0.94 * power_w
    values = {
        "Ver": f"{rig.model.model}-{rig.model.firmware}",
        "DNA": f"0201000{rig.mac[3:]}",
        "MEMFREE": "1392832.1381104",
        "NETFAIL": "0 0 0 0 0 0 0 0",
        "SYSTEMSTATU": f"Work: {rig.state}, Hash Board: {n_boards} ",
        "Elapsed": f"{int(rig.uptime_s)}",
        "BOOTBY": "0x04.00000000",
        "DH": "1.299%",
        "ITemp": _whole(rig.coolant_c),
        "HBITemp": _whole(rig.coolant_c),
        "HBOTemp": _whole(outlet_c),
        "Temp": _whole(rig.coolant_c),
        "TMax": _whole(NAN if nan else chip_c),
        "TAvg": _whole(max(chip_c - 8.0, 0.0)),
        "Vo": "296",
        "PS": f"0 1209 1187 297 {_whole(direct_current_w)} 1188 {_whole(power_w)}",
        "WALLPOWER": _whole(power_w),
        "GHSspd": f"{speed_ghs:.2f}",
        "DHspd": "1.299%",
        "GHSmm": f"{nominal_ghs:.2f}",
        "GHSavg": f"{max(_mean_hashrate_ths(rig, rig.uptime_s) * 1e3, 0.0):.2f}",
        "Freq": "345.94",
        "Led": f"{int(rig.led_on)}",
        "MGHS": " ".join([f"{board_ghs:.2f}"] * n_boards),
        "MTmax": " ".join([_whole(chip_c)] * n_boards),
        "MTavg": " ".join([_whole(max(chip_c - 8.0, 0.0))] * n_boards),
        "TA": f"{n_boards * rig.model.chips_per_board}",
        "Core": rig.model.core,
        "PING": "131",
        "SoftOFF": "4" if rig.soft_off else "0",
        "ECHU": " ".join(["0"] * n_boards),
        "ECMM": "0",
        "MPO": f"{rig.group.rig_power_w:.0f}",
        "WORKMODE": "1",
    }
    if rig.takes_levels:
        values["WORKLEVEL"] = f"{rig.work_level}"
    return " ".join(f"{name}[{value}]" for name, value in values.items())


def _whole(value: float) -> str:
    return f"{value:.0f}"


def _ascset(rig: SimulatedRig, parameter: str) -> Section:
    parts = parameter.split(",")
    if parts[0] != "0" or len(parts) < 2:
        return _status(rig, "E", 16, "Missing device id parameter")
    option, values = parts[1], parts[2:]
    if option in {"softoff", "softon"} and values:
        return _soft(rig, option, values[0])
    if option == "worklevel" and values and values[0] == "set":
        return _work_level(rig, values[1:])
    if option == "led" and values:
        rig.led_on = values[0] == "1-1"
        return _set_ok(rig)
    if option == "reboot":
        rig.restart()
        return _set_ok(rig)
    return _set_failed(rig, f"Unknown option: {option}")


def _soft(rig: SimulatedRig, option: str, value: str) -> Section:
    faults = rig.faults
    _, _, stamp = value.partition(":")
    if faults.ignores:
        raise RigHangsUp
    if faults.refuses or not stamp.isdigit():
        return _set_failed(rig, f"invalid {option} {value}")
    if not faults.lies:
        schedule = rig.schedule_soft_off if option == "softoff" else rig.schedule_soft_on
        schedule(int(stamp))
    if option == "softon" and faults.softon_noreply:
        raise RigHangsUp
    if rig.model.acknowledges == "ok":
        return _set_ok(rig)
    return _status(rig, "I", 118, f"ASC 0 set info: success {option}:{stamp}")


def _work_level(rig: SimulatedRig, values: list[str]) -> Section:
    if not rig.takes_levels:
        return _set_failed(rig, "Unknown option: worklevel")
    if not values or not values[0].isdigit() or int(values[0]) >= len(rig.group.load_levels):
        return _set_failed(rig, f"invalid worklevel {','.join(values)}")
    rig.set_work_level(int(values[0]))
    return _set_ok(rig)


def _set_ok(rig: SimulatedRig) -> Section:
    return _status(rig, "S", 119, "ASC 0 set OK")


def _set_failed(rig: SimulatedRig, why: str) -> Section:
    return _status(rig, "E", 120, f"ASC 0 set failed: {why}")


def _to_json(sections: Section) -> str:
    return json.dumps(sections, separators=(",", ":"))


def _to_text(sections: Section) -> str:
    """Return the pipe form that rigs answer a text request with."""
    parts = []
    for name, section in sections.items():
        for item in section if isinstance(section, list) else []:
            pairs = (f"{key}={value}" for key, value in item.items())
            own = "" if name in item else f"{name},"
            parts.append(own + ",".join(pairs))
    return "|".join(parts) + "|" if parts else "RESTART|"


READS: dict[str, Callable[[SimulatedRig], Section]] = {
    "version": _version,
    "devdetails": _devdetails,
    "summary": _summary,
    "stats": _stats,
    "estats": _stats,
    "litestats": _stats,
    "devs": _devs,
    "pools": _pools,
}
"""Commands that change nothing."""

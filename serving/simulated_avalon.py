"""What an Avalon says at TCP 4028.

Field names and their order follow a capture of an A1566 (firmware 24102401_25462b2) and, where it
is silent, the Canaan A10 API manual v0.4; the fields of coolant (ITemp, HBITemp, HBOTemp) and of
standby (SoftOffTime, SoftOFF[4], In Idle) follow captures of an Avalon Q.
"""

from collections.abc import Callable

from gridhash.serving.simulated_cgminer import (
    CgminerWire,
    Reads,
    RigHangsUp,
    Section,
    number,
    status_of,
)
from gridhash.serving.simulated_model import Change, Fate, Telemetry, WorkState
from gridhash.serving.simulated_rig import SimulatedRig

DESCRIPTION = "cgminer 4.11.1"


def _status(rig: SimulatedRig, letter: str, code: int, message: str) -> Section:
    return status_of(rig, DESCRIPTION, letter, code, message)


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


def _hash_averages(seen: Telemetry) -> Section:
    """Return rolling averages in MH/s; after a stop they take their window to fall, as on rigs."""
    windows_s = {"av": seen.uptime_s, "30s": 30.0, "1m": 60.0, "5m": 300.0, "15m": 900.0}
    return {
        f"MHS {name}": number(seen.mean_hashrate_ths(window_s) * 1e6)
        for name, window_s in windows_s.items()
    }


def _devs(rig: SimulatedRig) -> Section:
    seen = rig.telemetry()
    device = {
        "ASC": 0,
        "Name": "AVA10",
        "ID": 0,
        "Enabled": "Y",
        "Status": "Alive",
        "Temperature": -273.0,
        **_hash_averages(seen),
        "Accepted": 148,
        "Rejected": 1,
        "Hardware Errors": 0,
        "Device Elapsed": int(seen.uptime_s),
    }
    return {**_status(rig, "S", 9, "1 ASC(s)"), "DEVS": [device]}


def _summary(rig: SimulatedRig) -> Section:
    seen = rig.telemetry()
    summary = {
        "Elapsed": int(seen.uptime_s),
        **_hash_averages(seen),
        "Found Blocks": 0,
        "Accepted": 148,
        "Rejected": 1,
        "Hardware Errors": 0,
    }
    return {**_status(rig, "S", 11, "Summary"), "SUMMARY": [summary]}


def _pools(rig: SimulatedRig) -> Section:
    seen = rig.telemetry()
    pool = {
        "POOL": 0,
        "URL": "stratum+tcp://pool.example:3333",
        "Status": "Alive" if seen.pool_alive else "Dead",
        "Priority": 0,
        "Accepted": 148,
        "Rejected": 1,
        "Get Failures": 0,
        "Remote Failures": 0,
        "User": f"site.{rig.rig_id}",
        "Stratum Active": seen.state is WorkState.WORK,
        "Stratum URL": "pool.example",
    }
    return {**_status(rig, "S", 7, "1 Pool(s)"), "POOLS": [pool]}


def _stats(rig: SimulatedRig) -> Section:
    elapsed_s = int(rig.telemetry().uptime_s)
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
    seen = rig.telemetry()
    n_boards = rig.model.n_boards
    idle = seen.state is WorkState.IDLE
    chip_c = 0.0 if idle else seen.chip_temp_c
    nominal_ghs = seen.level_hashrate_ths * 1e3
    board_ghs = nominal_ghs / n_boards
    outlet_c = seen.coolant_c if idle else 0.5 * (seen.coolant_c + seen.chip_temp_c)
    direct_current_w = 0.94 * seen.power_w
    values = {
        "Ver": f"{rig.model.model}-{rig.model.firmware}",
        "DNA": f"0201000{rig.mac[3:]}",
        "MEMFREE": "1392832.1381104",
        "NETFAIL": "0 0 0 0 0 0 0 0",
        "SYSTEMSTATU": f"Work: {seen.state}, Hash Board: {n_boards} ",
        "Elapsed": f"{int(seen.uptime_s)}",
        "BOOTBY": "0x04.00000000",
        "DH": "1.299%",
        "ITemp": _whole(seen.coolant_c),
        "HBITemp": _whole(seen.coolant_c),
        "HBOTemp": _whole(outlet_c),
        "Temp": _whole(seen.coolant_c),
        "TMax": _whole(chip_c),
        "TAvg": _whole(max(chip_c - 8.0, 0.0)),
        "Vo": "296",
        "PS": f"0 1209 1187 297 {_whole(direct_current_w)} 1188 {_whole(seen.power_w)}",
        "WALLPOWER": _whole(seen.power_w),
        "GHSspd": f"{seen.hashrate_ths * 1e3:.2f}",
        "DHspd": "1.299%",
        "GHSmm": f"{nominal_ghs:.2f}",
        "GHSavg": f"{seen.mean_hashrate_ths(seen.uptime_s) * 1e3:.2f}",
        "Freq": "345.94",
        "Led": f"{int(rig.led_on)}",
        "MGHS": " ".join([f"{board_ghs:.2f}"] * n_boards),
        "MTmax": " ".join([_whole(chip_c)] * n_boards),
        "MTavg": " ".join([_whole(max(chip_c - 8.0, 0.0))] * n_boards),
        "TA": f"{n_boards * rig.model.chips_per_board}",
        "Core": rig.model.core,
        "PING": "131",
        "SoftOFF": "4" if seen.soft_off else "0",
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


READS: Reads = {
    "version": _version,
    "devdetails": _devdetails,
    "summary": _summary,
    "stats": _stats,
    "estats": _stats,
    "litestats": _stats,
    "devs": _devs,
    "pools": _pools,
}


class AvalonWire(CgminerWire):
    """What an Avalon can be asked and told."""

    description = DESCRIPTION
    reads = READS

    def change(self, command: str, parameter: str) -> Section | None:
        """Carry out ``ascset``, ``restart`` or ``reboot``."""
        if command == "ascset":
            return self._ascset(parameter)
        if command in {"restart", "reboot"}:
            made = self._tell(Change.REBOOT, self.rig.restart, refusal=command)
            return {"STATUS": "RESTART"} if made is None else made
        return None

    def _ascset(self, parameter: str) -> Section:
        parts = parameter.split(",")
        if parts[0] != "0" or len(parts) < 2:
            return self.status("E", 16, "Missing device id parameter")
        option, values = parts[1], parts[2:]
        if option in {"softoff", "softon"} and values:
            return self._soft(option, values[0])
        if option == "worklevel" and values and values[0] == "set":
            return self._work_level(values[1:])
        if option == "led" and values:
            self.rig.led_on = values[0] == "1-1"
            return self._set_ok()
        if option == "reboot":
            return self._tell(Change.REBOOT, self.rig.restart, refusal="reboot") or self._set_ok()
        return self._set_failed(f"Unknown option: {option}")

    def _soft(self, option: str, value: str) -> Section:
        rig, is_stop = self.rig, option == "softoff"
        _, _, stamp = value.partition(":")
        if not stamp.isdigit():
            return self._set_failed(f"invalid {option} {value}")
        schedule = rig.schedule_soft_off if is_stop else rig.schedule_soft_on
        change = Change.STOP if is_stop else Change.START
        refused = self._tell(change, lambda: schedule(int(stamp)), refusal=f"{option} {value}")
        if refused is not None:
            return refused
        if option == "softon" and rig.faults.softon_noreply:
            raise RigHangsUp
        if rig.model.acknowledges == "ok":
            return self._set_ok()
        return self.status("I", 118, f"ASC 0 set info: success {option}:{stamp}")

    def _work_level(self, values: list[str]) -> Section:
        rig = self.rig
        if not rig.takes_levels:
            return self._set_failed("Unknown option: worklevel")
        if not values or not values[0].isdigit() or int(values[0]) >= len(rig.group.load_levels):
            return self._set_failed(f"invalid worklevel {','.join(values)}")
        level = int(values[0])
        refused = self._tell(
            Change.LEVEL, lambda: rig.set_work_level(level), refusal=f"worklevel {level}"
        )
        return refused or self._set_ok()

    def _tell(self, change: Change, obey: Callable[[], None], *, refusal: str) -> Section | None:
        """Tell the rig; return None if it says yes, else its refusal."""
        fate = self.rig.told(change, obey)
        if fate in {Fate.SILENT, Fate.REBOOTED}:
            raise RigHangsUp
        return self._set_failed(f"invalid {refusal}") if fate is Fate.REFUSED else None

    def _set_ok(self) -> Section:
        return self.status("S", 119, "ASC 0 set OK")

    def _set_failed(self, why: str) -> Section:
        return self.status("E", 120, f"ASC 0 set failed: {why}")

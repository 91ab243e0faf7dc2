"""What a LuxOS rig says at TCP 4028.

What changes the rig needs a session: ``logon`` opens the only one there can be, a minute without
use ends it. Codes and words of ``logon``, ``curtail``, ``profileset`` and ``version`` follow the
public documentation (docs.luxor.tech/firmware/api); the other sections have what pyasic 0.79.0
reads. Assumed: the codes of errors; that a profile takes effect without a stop; that power in sleep
is the group's standby.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

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

SESSION_S = 60.0
FULL_MHZ = 500
"""Frequency of the profile at nameplate; the others scale with their hash rate."""


def describe(rig: SimulatedRig) -> str:
    """Return what the firmware calls itself in every reply."""
    return f"LUXminer {rig.model.firmware}"


def _status(rig: SimulatedRig, code: int, message: str) -> Section:
    return status_of(rig, describe(rig), "S", code, message)


def profiles_of(rig: SimulatedRig) -> dict[str, Section]:
    """Return the presets by name, lowest first: as a rig lists them, and each with its `load`."""
    profiles: dict[str, Section] = {}
    full_phs = rig.group.level_hashrate_phs(1.0)
    for load in rig.model.preset_loads:
        hash_frac = rig.group.level_hashrate_phs(load) / full_phs
        name = "default" if load == 1.0 else f"{FULL_MHZ * hash_frac:.0f}MHz"
        profiles[name] = {
            "Profile Name": name,
            "Frequency": round(FULL_MHZ * hash_frac),
            "Voltage": round(12.0 + 2.0 * load, 1),
            "Hashrate": round(rig.group.rig_hashrate_ths * hash_frac, 1),
            "Watts": round(load * rig.group.rig_power_w),
            "IsDynamic": False,
            "IsTuned": False,
            "load": load,
        }
    return profiles


def active_profile(rig: SimulatedRig) -> str:
    """Return the name of the preset whose power is nearest to what the rig is told to draw."""
    level_w = rig.telemetry().level_power_w / rig.mismatch.power_factor
    profiles = profiles_of(rig)
    return min(profiles, key=lambda name: abs(profiles[name]["Watts"] - level_w))


def _version(rig: SimulatedRig) -> Section:
    version = {
        "API": "3.7",
        "CompileTime": "Fri Nov 01 12:00:00 UTC 2024",
        "LUXminer": rig.model.firmware,
        "Miner": rig.model.firmware,
        "Type": rig.model.product,
    }
    return {**_status(rig, 22, "LUXminer versions"), "VERSION": [version]}


def _config(rig: SimulatedRig) -> Section:
    seen = rig.telemetry()
    config = {
        "CurtailMode": "Sleep" if seen.soft_off else "None",
        "Profile": active_profile(rig),
        "MACAddr": ":".join(rig.mac[i : i + 2] for i in range(0, 12, 2)),
        "Hostname": rig.rig_id,
        "Model": rig.model.product,
        "RedLed": "blink" if rig.led_on else "off",
        "SystemStatus": "Mining" if seen.state is WorkState.WORK else "Idling",
        "IsAtmEnabled": rig.thermal_management,
        "SerialNumber": f"SIM{rig.mac.upper()}",
    }
    return {**_status(rig, 325, "Miner configuration"), "CONFIG": [config]}


def _profiles(rig: SimulatedRig) -> Section:
    listed = [
        {key: value for key, value in profile.items() if key != "load"}
        for profile in profiles_of(rig).values()
    ]
    return {**_status(rig, 326, f"{len(listed)} Profiles"), "PROFILES": listed}


def _power(rig: SimulatedRig) -> Section:
    watts = number(rig.telemetry().power_w, 0)
    watts = watts if isinstance(watts, str) else int(watts)
    return {**_status(rig, 322, "Get power"), "POWER": [{"PSU": True, "Watts": watts}]}


def _summary(rig: SimulatedRig) -> Section:
    seen = rig.telemetry()
    summary = {
        "Elapsed": int(seen.uptime_s),
        "GHS 5s": number(seen.mean_hashrate_ths(5.0) * 1e3),
        "GHS 30m": number(seen.mean_hashrate_ths(1800.0) * 1e3),
        "GHS av": number(seen.mean_hashrate_ths(seen.uptime_s) * 1e3),
        "Accepted": 148,
        "Rejected": 1,
        "Hardware Errors": 0,
    }
    return {**_status(rig, 11, "Summary"), "SUMMARY": [summary]}


def _stats(rig: SimulatedRig) -> Section:
    seen = rig.telemetry()
    board_ghs = number(seen.mean_hashrate_ths(5.0) * 1e3 / rig.model.n_boards)
    chip = _celsius(seen)
    stats: Section = {
        "STATS": 0,
        "ID": "BC50",
        "Elapsed": int(seen.uptime_s),
        "GHS 5s": number(seen.mean_hashrate_ths(5.0) * 1e3),
        "total_rateideal": round(seen.level_hashrate_ths * 1e3, 2),
        "rate_unit": "GH",
    }
    for board in range(1, rig.model.n_boards + 1):
        stats |= {
            f"chain_rate{board}": str(board_ghs),
            f"chain_acn{board}": rig.model.chips_per_board,
            f"temp_chip{board}": "-".join([chip] * 4),
            f"temp_pcb{board}": "-".join([chip] * 4),
        }
    version = {"Miner": rig.model.firmware, "Type": rig.model.product}
    return {**_status(rig, 70, "Stats"), "STATS": [version, stats]}


def _devs(rig: SimulatedRig) -> Section:
    seen = rig.telemetry()
    mhs = number(seen.mean_hashrate_ths(5.0) * 1e6 / rig.model.n_boards)
    devices = [
        {"ASC": board, "Enabled": "Y", "Status": "Alive", "MHS 5s": mhs}
        for board in range(rig.model.n_boards)
    ]
    return {**_status(rig, 9, f"{len(devices)} ASC(s)"), "DEVS": devices}


def _temps(rig: SimulatedRig) -> Section:
    chip = _celsius(rig.telemetry())
    temps = [{"ID": board, "TopLeft": chip} for board in range(rig.model.n_boards)]
    return {**_status(rig, 201, "Temps"), "TEMPS": temps}


def _celsius(seen: Telemetry) -> str:
    return f"{seen.chip_temp_c:.0f}"


def _pools(rig: SimulatedRig) -> Section:
    seen = rig.telemetry()
    pool = {
        "POOL": 0,
        "GROUP": 0,
        "URL": "stratum+tcp://pool.example:3333",
        "Status": "Alive" if seen.pool_alive else "Dead",
        "User": f"site.{rig.rig_id}",
        "Accepted": 148,
        "Rejected": 1,
        "Get Failures": 0,
        "Remote Failures": 0,
        "Stratum Active": seen.state is WorkState.WORK,
    }
    return {**_status(rig, 7, "1 Pool(s)"), "POOLS": [pool]}


def _groups(rig: SimulatedRig) -> Section:
    return {
        **_status(rig, 318, "1 Group(s)"),
        "GROUPS": [{"GROUP": 0, "Name": "default", "Quota": 1}],
    }


def _fans(rig: SimulatedRig) -> Section:
    control = {"MinFans": 0, "PowerOffSpeed": 0}
    return {**_status(rig, 202, "Fans"), "FANS": [], "FANCTRL": [control]}


def _tempctrl(rig: SimulatedRig) -> Section:
    control = {"Mode": "Automatic", "Target": 60, "Hot": 75, "Dangerous": 85}
    return {**_status(rig, 320, "Temperature control"), "TEMPCTRL": [control]}


def _limits(rig: SimulatedRig) -> Section:
    limits = {"FrequencyMin": 50, "FrequencyMax": 1000, "FrequencyStepMax": 100}
    return {**_status(rig, 319, "Limits"), "LIMITS": [limits]}


def _atm(rig: SimulatedRig) -> Section:
    atm = {"Enabled": rig.thermal_management, "StartupMinutes": 15, "PostRampMinutes": 15}
    return {**_status(rig, 339, "ATM configuration values"), "ATM": [atm]}


READS: Reads = {
    "version": _version,
    "config": _config,
    "profiles": _profiles,
    "power": _power,
    "summary": _summary,
    "stats": _stats,
    "devs": _devs,
    "temps": _temps,
    "pools": _pools,
    "groups": _groups,
    "fans": _fans,
    "tempctrl": _tempctrl,
    "limits": _limits,
    "atm": _atm,
}


class LuxosWire(CgminerWire):
    """What a LuxOS rig can be asked and told."""

    reads = READS

    def __init__(self, rig: SimulatedRig) -> None:
        """Speak for a rig; no session is open."""
        super().__init__(rig)
        self.description = describe(rig)
        self._session = ""
        self._session_ends_at: datetime | None = None

    def change(self, command: str, parameter: str) -> Section | None:
        """Carry out what concerns sessions, and what needs one."""
        if command == "session":
            return {**self.status("S", 317, "Session"), "SESSION": [{"SessionID": self.session}]}
        if command in {"logon", "kill"}:
            return self._logon() if command == "logon" else self._end_session()
        commands: dict[str, Callable[[list[str]], Section]] = {
            "logoff": lambda _: self._end_session(),
            "curtail": self._curtail,
            "profileset": self._profileset,
            "atmset": self._atmset,
            "ledset": self._ledset,
            "rebootdevice": lambda _: self._reboot("Rebooting device"),
            "resetminer": lambda _: self._reboot("Miner reset"),
        }
        if command not in commands:
            return None
        session, *values = parameter.split(",")
        if not session or session != self.session:
            return self.status("E", 402, "Invalid session_id")
        self._keep_session()
        return commands[command](values)

    @property
    def session(self) -> str:
        """The open session, "" if none is."""
        if self._session_ends_at is None or self.rig.clock.now() >= self._session_ends_at:
            self._session = ""
        return self._session

    def _logon(self) -> Section:
        if self.session:
            return self.status("E", 401, "Another session is active")
        self._session = f"{self.rig.random.getrandbits(32):08x}"
        self._keep_session()
        opened = {"SessionID": self._session}
        return {**self.status("S", 316, "Session created"), "SESSION": [opened]}

    def _keep_session(self) -> None:
        self._session_ends_at = self.rig.clock.now() + timedelta(seconds=SESSION_S)

    def _end_session(self) -> Section:
        self._session_ends_at = None
        return self.status("S", 315, "Session terminated")

    def _curtail(self, values: list[str]) -> Section:
        actions = {
            "sleep": (Change.STOP, self.rig.stop, "sleep mode"),
            "wakeup": (Change.START, self.rig.start, "wake up"),
        }
        if not values or values[0] not in actions:
            return self.status("E", 405, "Invalid action")
        change, obey, words = actions[values[0]]
        done = self.status("S", 335, "Curtailment command sent")
        return self._tell(change, obey) or {**done, "CURTAIL": [{"Action": words}]}

    def _profileset(self, values: list[str]) -> Section:
        profiles = profiles_of(self.rig)
        if not values or values[0] not in profiles:
            return self.status("E", 410, "Invalid profile")
        power_w = profiles[values[0]]["load"] * self.rig.group.rig_power_w
        refused = self._tell(Change.POWER_LIMIT, lambda: self.rig.set_power_limit(power_w))
        profile = {"Board": 0, "FrequencyStep": 5, "Profile": values[0], "VoltageStep": 0.05}
        return refused or {**self.status("S", 321, "Profile Set"), "PROFILE": [profile]}

    def _atmset(self, values: list[str]) -> Section:
        for value in values:
            name, _, given = value.partition("=")
            if name == "enabled":
                self.rig.thermal_management = given.lower() == "true"
        return self.status("S", 340, "Advanced Thermal Management configuration updated")

    def _ledset(self, values: list[str]) -> Section:
        self.rig.led_on = values[-1:] != ["off"]
        return self.status("S", 308, "LED set")

    def _reboot(self, words: str) -> Section:
        return self._tell(Change.REBOOT, self.rig.restart) or self.status("S", 323, words)

    def _tell(self, change: Change, obey: Callable[[], None]) -> Section | None:
        """Tell the rig; return None if it says yes, else its refusal."""
        fate = self.rig.told(change, obey)
        if fate in {Fate.SILENT, Fate.REBOOTED}:
            raise RigHangsUp
        return self.status("E", 499, "Command failed") if fate is Fate.REFUSED else None

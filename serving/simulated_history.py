"""A world's log read back: the true power, energy and commands of every rig at any past instant."""

from bisect import bisect_right
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from gridhash.errors import ServingError
from gridhash.serving.simulated_log import read_world_log
from gridhash.serving.simulated_model import Change, Fate
from gridhash.serving.simulated_physics import energy_after_kwh, power_after_w


@dataclass(frozen=True, slots=True)
class LoggedPower:
    """How power went on from an instant."""

    at: datetime
    from_w: float
    to_w: float
    lag_s: float
    hashrate_ths: float

    def power_w(self, at: datetime) -> float:
        """Return the power at a later instant [W]."""
        return power_after_w(self.from_w, self.to_w, self.lag_s, (at - self.at).total_seconds())

    def energy_kwh(self, until: datetime) -> float:
        """Return the energy drawn until a later instant [kWh]."""
        elapsed_s = (until - self.at).total_seconds()
        return energy_after_kwh(self.from_w, self.to_w, self.lag_s, elapsed_s)


@dataclass(frozen=True, slots=True)
class LoggedCommand:
    """A change that a rig was told."""

    at: datetime
    change: Change
    fate: Fate
    replied: bool
    text: str


@dataclass
class LoggedRig:
    """What one rig did."""

    rig_id: str
    group: str
    model: str
    mac: str
    addresses: list[tuple[datetime, str]]
    """Each from an instant on."""
    power: list[LoggedPower] = field(default_factory=list)
    commands: list[LoggedCommand] = field(default_factory=list)
    states: list[tuple[datetime, str]] = field(default_factory=list)
    by_hand: list[tuple[datetime, Change]] = field(default_factory=list)
    reboots: list[datetime] = field(default_factory=list)
    faults: list[tuple[datetime, dict[str, Any]]] = field(default_factory=list)
    """From an instant on, those that are not at their default."""

    def power_w(self, at: datetime) -> float:
        """Return the true power at an instant [W]."""
        return self.power[self._at(at)].power_w(at)

    def hashrate_ths(self, at: datetime) -> float:
        """Return the true hash rate at an instant [TH/s]."""
        return self.power[self._at(at)].hashrate_ths

    def energy_kwh(self, start: datetime, end: datetime) -> float:
        """Return the energy truly drawn between two instants [kWh]."""
        return self._energy_until_kwh(end) - self._energy_until_kwh(start)

    def address_at(self, at: datetime) -> str:
        """Return where the rig answered at an instant."""
        held = [address for since, address in self.addresses if since <= at]
        return held[-1] if held else self.addresses[0][1]

    def _energy_until_kwh(self, at: datetime) -> float:
        last = self._at(at)
        whole = zip(self.power[:last], self.power[1 : last + 1], strict=True)
        before_kwh = sum(part.energy_kwh(after.at) for part, after in whole)
        return before_kwh + self.power[last].energy_kwh(at)

    def _at(self, at: datetime) -> int:
        index = bisect_right(self.power, at, key=lambda part: part.at) - 1
        if index < 0:
            raise ValueError(f"{at} lies before {self.rig_id} began to be simulated")
        return index


@dataclass(frozen=True)
class WorldHistory:
    """What all rigs of a world did."""

    start: datetime
    rigs: dict[str, LoggedRig]

    def power_kw(self, at: datetime) -> float:
        """Return the true power of all rigs at an instant [kW]."""
        return sum(rig.power_w(at) for rig in self.rigs.values()) / 1e3


def read_world(path: Path) -> WorldHistory:
    """Read a whole log, every rig's lines in the order of time.

    Raises
    ------
    ServingError
        If the file is no world's log, or speaks of a rig before it introduces it.
    """
    lines = read_world_log(path)
    start = next(lines)["at"]
    rigs: dict[str, LoggedRig] = {}
    for line in lines:
        rig_id = line["rig"]
        if line["kind"] == "rig":
            rigs[rig_id] = _rig(line)
        elif rig_id in rigs:
            _add(rigs[rig_id], line)
        else:
            raise ServingError(f"{path}: a line of {line['kind']} for {rig_id} without its rig")
    for rig in rigs.values():
        _sort(rig)
    return WorldHistory(start, rigs)


def _sort(rig: LoggedRig) -> None:
    """Put what a rig did in the order of time; what happened at one instant keeps its order."""
    rig.power.sort(key=lambda part: part.at)
    rig.commands.sort(key=lambda told: told.at)
    for entries in (rig.addresses, rig.states, rig.by_hand, rig.faults):
        entries.sort(key=lambda entry: entry[0])
    rig.reboots.sort()


def _rig(line: dict[str, Any]) -> LoggedRig:
    return LoggedRig(
        rig_id=line["rig"],
        group=line["group"],
        model=line["model"],
        mac=line["mac"],
        addresses=[(line["at"], line["address"])],
        states=[(line["at"], line["state"])],
    )


def _add(rig: LoggedRig, line: dict[str, Any]) -> None:
    at = line["at"]
    match line["kind"]:
        case "power":
            figures = (line[key] for key in ("from_w", "to_w", "lag_s", "hashrate_ths"))
            rig.power.append(LoggedPower(at, *figures))
        case "command":
            change, fate = Change(line["change"]), Fate(line["fate"])
            rig.commands.append(LoggedCommand(at, change, fate, line["replied"], line["text"]))
        case "state":
            rig.states.append((at, line["state"]))
        case "by_hand":
            rig.by_hand.append((at, Change(line["change"])))
        case "reboot":
            rig.reboots.append(at)
        case "fault":
            rig.faults.append((at, line["faults"]))
        case "address":
            rig.addresses.append((at, line["address"]))

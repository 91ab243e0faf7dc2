"""Simulated rigs on loopback addresses, with the ports of their firmware, for the real drivers.

Every address of 127.0.0.0/8 answers on Linux; other systems need an alias for each.
"""

import asyncio
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from datetime import datetime
from ipaddress import IPv4Address
from types import TracebackType
from typing import Any, Self

from gridhash.config import RigGroupConfig
from gridhash.errors import ServingError
from gridhash.serving.clock import Clock
from gridhash.serving.drivers.pyasic_library import load_pyasic
from gridhash.serving.simulated_avalon import AvalonWire
from gridhash.serving.simulated_bosminer import BosminerWire
from gridhash.serving.simulated_listener import Door, RigWire, Traffic, open_door
from gridhash.serving.simulated_log import WorldLog
from gridhash.serving.simulated_luxos import LuxosWire
from gridhash.serving.simulated_model import (
    HYDRO_1566HA,
    RigFaults,
    RigMismatch,
    RigModel,
    WireProtocol,
)
from gridhash.serving.simulated_rig import SimulatedRig
from gridhash.serving.simulated_whatsminer import Whatsminer4028, WhatsminerV3Wire
from gridhash.units import W_PER_KW

FILES_PER_RIG = 6
"""Listeners and connections that a rig may have open at once."""


def allow_open_files(count: int) -> None:
    """Raise this process's soft limit of open files to a count, as far as its hard limit goes."""
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft not in (resource.RLIM_INFINITY, hard) and soft < count:
        wanted = count if hard == resource.RLIM_INFINITY else min(count, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def wires_of(rig: SimulatedRig) -> list[RigWire]:
    """Return what a rig says at each of its ports; the first is the one for commands.

    Raises
    ------
    ServingError
        If a rig speaks Braiins' gRPC and pyasic is not installed.
    """
    match rig.model.protocol:
        case WireProtocol.AVALON:
            return [AvalonWire(rig)]
        case WireProtocol.LUXOS:
            return [LuxosWire(rig)]
        case WireProtocol.WHATSMINER_V3:
            return [WhatsminerV3Wire(rig), Whatsminer4028(rig)]
        case WireProtocol.BRAIINS:
            load_pyasic()  # before the module that imports it too: it restores what pyasic changes
            from gridhash.serving.simulated_braiins import BraiinsWire

            return [BraiinsWire(rig), BosminerWire(rig)]


def rig_addresses(base_address: str, count: int) -> list[str]:
    """Return `count` addresses from `base_address` on.

    >>> rig_addresses("127.40.0.254", 3)
    ['127.40.0.254', '127.40.0.255', '127.40.1.0']
    """
    return [str(IPv4Address(base_address) + index) for index in range(count)]


def share_among_groups(groups: Iterable[RigGroupConfig], count: int) -> list[int]:
    """Return how many of `count` rigs each group gets: by size, largest remainders first."""
    sizes = [group.n_rigs for group in groups]
    exact = [count * size / sum(sizes) for size in sizes]
    shares = [int(share) for share in exact]
    by_remainder = sorted(range(len(sizes)), key=lambda index: shares[index] - exact[index])
    for index in by_remainder[: count - sum(shares)]:
        shares[index] += 1
    return shares


class SimulatedFleet:
    """Simulated rigs that listen while the fleet is entered: ``async with fleet:``."""

    def __init__(
        self,
        rigs: Iterable[SimulatedRig],
        *,
        port: int | None = None,
        log: WorldLog | None = None,
    ) -> None:
        """Collect rigs; names and addresses must differ.

        `port` takes the place of the firmware's port for commands; `log` is the world's, which
        the rigs write to themselves and which here learns of faults and addresses.

        Raises
        ------
        ServingError
            If two rigs have the same name or address.
        """
        rigs = list(rigs)
        self.rigs = {rig.rig_id: rig for rig in rigs}
        if len(self.rigs) < len(rigs) or len({rig.address for rig in rigs}) < len(rigs):
            raise ServingError("two simulated rigs have the same name or the same address")
        self._port = port
        self._log = log
        self._wires = {rig.rig_id: wires_of(rig) for rig in rigs}
        self._traffic = {rig_id: Traffic() for rig_id in self.rigs}
        self._doors: dict[str, list[Door]] = {}

    def port_of(self, rig: SimulatedRig) -> int:
        """Return the port at which a rig takes commands."""
        return self._port or self._wires[rig.rig_id][0].port

    @property
    def most_open(self) -> dict[str, int]:
        """Most connections that were open to each rig at once; real rigs stand one."""
        return {rig_id: traffic.most_open for rig_id, traffic in self._traffic.items()}

    @property
    def n_connections(self) -> int:
        """Connections to all rigs so far."""
        return sum(traffic.n_connections for traffic in self._traffic.values())

    @classmethod
    def of_groups(
        cls,
        groups: Iterable[RigGroupConfig],
        clock: Clock,
        *,
        count: int | None = None,
        base_address: str = "127.40.0.1",
        port: int | None = None,
        model: RigModel = HYDRO_1566HA,
        models: Mapping[str, RigModel] | None = None,
        mismatches: Mapping[str, RigMismatch] | None = None,
        mismatch: RigMismatch | None = None,
        faults: Mapping[str, RigFaults] | None = None,
        seed: int = 0,
        log: WorldLog | None = None,
        remember_s: float | None = None,
    ) -> Self:
        """Build `count` rigs (default: all of the site) spread over the groups by their size.

        Rigs are named ``<group>-001`` and so on. `model` is for all groups that `models` does not
        name, `mismatch` for all rigs that `mismatches` does not.

        Raises
        ------
        ServingError
            If `faults` or `mismatches` name a rig, or `models` a group, that the fleet does not
            have.
        """
        groups = list(groups)
        shares = share_among_groups(groups, count or sum(group.n_rigs for group in groups))
        addresses = iter(rig_addresses(base_address, sum(shares)))
        faults, mismatches, models = faults or {}, mismatches or {}, models or {}
        rigs = []
        for group, share in zip(groups, shares, strict=True):
            for number in range(1, share + 1):
                rig_id = f"{group.name}-{number:03d}"
                rigs.append(
                    SimulatedRig(
                        rig_id,
                        group,
                        clock,
                        address=next(addresses),
                        model=models.get(group.name, model),
                        mismatch=mismatches.get(rig_id, mismatch),
                        faults=faults.get(rig_id),
                        seed=seed,
                        log=log,
                        remember_s=remember_s,
                    )
                )
        unknown = sorted((faults.keys() | mismatches.keys()) - {rig.rig_id for rig in rigs})
        if unknown:
            raise ServingError(f"no simulated rig is called {', '.join(unknown)}")
        if strange := sorted(models.keys() - {group.name for group in groups}):
            raise ServingError(f"no group is called {', '.join(strange)}")
        return cls(rigs, port=port, log=log)

    async def __aenter__(self) -> Self:
        """Listen at every address, or at none if one is taken."""
        allow_open_files(FILES_PER_RIG * len(self.rigs))
        try:
            for rig in self.rigs.values():
                rig.chip_temp_c()  # compiles the relation before a driver's deadline runs
                await self._listen(rig)
        except ServingError:
            await self.close()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close every listener and every open connection."""
        await self.close()

    async def close(self) -> None:
        """Close every listener and every open connection; the rigs' log is then complete."""
        doors = [door for rig_id in list(self._doors) for door in self._doors.pop(rig_id)]
        for door in doors:
            door.close()
        await asyncio.gather(*(traffic.end_all() for traffic in self._traffic.values()))
        await asyncio.gather(*(door.wait_closed() for door in doors))
        self.true_power_kw()  # brings every rig up to date
        if self._log is not None:
            self._log.flush()

    async def set_faults(self, rig_id: str, faults: RigFaults) -> None:
        """Change what is wrong with a rig from now on; its listeners open or close as needed."""
        rig = self.rigs[rig_id]
        before, rig.faults = rig.faults, faults
        self._note("fault", rig, faults=not_at_default(faults))
        if self._doors and faults.unreachable != before.unreachable:
            await self._shut(rig)
            await self._listen(rig)

    async def swap_addresses(self, rig_id: str, other_id: str) -> None:
        """Let two rigs exchange their addresses, as new leases after a power cut may."""
        rig, other = self.rigs[rig_id], self.rigs[other_id]
        listening = bool(self._doors)
        await self._shut(rig)
        await self._shut(other)
        rig.address, other.address = other.address, rig.address
        for moved in (rig, other):
            self._note("address", moved, address=moved.address)
            if listening:
                await self._listen(moved)

    def true_power_kw(self, at: datetime | None = None) -> float:
        """Return the power that all rigs truly draw, now or at a past instant [kW]."""
        return sum(rig.true_power_w(at) for rig in self.rigs.values()) / W_PER_KW

    def energy_kwh(self, until: datetime | None = None) -> float:
        """Return the energy that all rigs truly drew, so far or until a past instant [kWh]."""
        return sum(rig.energy_kwh(until) for rig in self.rigs.values())

    async def _listen(self, rig: SimulatedRig) -> None:
        doors = self._doors.setdefault(rig.rig_id, [])
        if rig.faults.unreachable == "refused":
            return
        traffic = self._traffic[rig.rig_id]
        for index, wire in enumerate(self._wires[rig.rig_id]):
            port = self.port_of(rig) if index == 0 else wire.port
            doors.append(await open_door(rig, wire, rig.address, port, traffic))

    async def _shut(self, rig: SimulatedRig) -> None:
        doors = self._doors.pop(rig.rig_id, [])
        for door in doors:
            door.close()
        await self._traffic[rig.rig_id].end_all()
        await asyncio.gather(*(door.wait_closed() for door in doors))

    def _note(self, kind: str, rig: SimulatedRig, **more: object) -> None:
        if self._log is not None:
            self._log.write(kind, rig.clock.now(), rig=rig.rig_id, **more)


def not_at_default(faults: RigFaults) -> dict[str, Any]:
    """Return the faults that a rig has, in words and numbers for a log."""
    default = RigFaults()
    return {
        field.name: value if isinstance(value, (str, float, bool)) else str(value)
        for field in fields(faults)
        if (value := getattr(faults, field.name)) != getattr(default, field.name)
    }


async def run_fleet(
    fleet: SimulatedFleet, *, started: Callable[[SimulatedFleet], None] | None = None
) -> None:
    """Serve until cancelled; `started` is called once every rig listens.

    Raises
    ------
    PortInUse
        If an address is taken.
    """
    async with fleet:
        if started is not None:
            started(fleet)
        await asyncio.Event().wait()

"""Simulated Avalon rigs on loopback addresses, one TCP listener each, for the real driver.

Every address of 127.0.0.0/8 answers on Linux; other systems need an alias for each.
"""

import asyncio
import errno
import logging
from collections.abc import Callable, Iterable, Mapping
from ipaddress import IPv4Address
from types import TracebackType
from typing import Self

from gridhash.config import RigGroupConfig
from gridhash.errors import PortInUse, ServingError
from gridhash.serving.clock import Clock
from gridhash.serving.simulated_rig import (
    HYDRO_1566HA,
    RigFaults,
    RigMismatch,
    RigModel,
    SimulatedRig,
)
from gridhash.serving.simulated_wire import reply_to, request_is_complete

log = logging.getLogger(__name__)

AVALON_PORT = 4028
REQUEST_WAIT_S = 10.0
"""A rig drops a connection on which no whole request came for so long [wall s]."""


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

    def __init__(self, rigs: Iterable[SimulatedRig], *, port: int = AVALON_PORT) -> None:
        """Collect rigs; names and addresses must differ.

        Raises
        ------
        ServingError
            If two rigs have the same name or address.
        """
        rigs = list(rigs)
        self.rigs = {rig.rig_id: rig for rig in rigs}
        self.port = port
        if len(self.rigs) < len(rigs) or len({rig.address for rig in rigs}) < len(rigs):
            raise ServingError("two simulated rigs have the same name or the same address")
        self._servers: dict[str, asyncio.Server] = {}
        self._busy = {rig_id: asyncio.Lock() for rig_id in self.rigs}
        self._conversations: set[asyncio.Task[None]] = set()
        self._open: dict[str, int] = dict.fromkeys(self.rigs, 0)
        self.most_open: dict[str, int] = dict.fromkeys(self.rigs, 0)
        """Most connections that were open to each rig at once; real rigs stand one."""
        self.n_connections = 0
        """Connections to all rigs so far."""

    @classmethod
    def of_groups(
        cls,
        groups: Iterable[RigGroupConfig],
        clock: Clock,
        *,
        count: int | None = None,
        base_address: str = "127.40.0.1",
        port: int = AVALON_PORT,
        model: RigModel = HYDRO_1566HA,
        mismatches: Mapping[str, RigMismatch] | None = None,
        mismatch: RigMismatch | None = None,
        faults: Mapping[str, RigFaults] | None = None,
        seed: int = 0,
    ) -> Self:
        """Build `count` rigs (default: all of the site) spread over the groups by their size.

        Rigs are named ``<group>-001`` and so on. `mismatch` is for all rigs that `mismatches`
        does not name.

        Raises
        ------
        ServingError
            If `faults` or `mismatches` name a rig that the fleet does not have.
        """
        groups = list(groups)
        shares = share_among_groups(groups, count or sum(group.n_rigs for group in groups))
        addresses = iter(rig_addresses(base_address, sum(shares)))
        faults, mismatches = faults or {}, mismatches or {}
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
                        model=model,
                        mismatch=mismatches.get(rig_id, mismatch),
                        faults=faults.get(rig_id),
                        seed=seed,
                    )
                )
        unknown = sorted((faults.keys() | mismatches.keys()) - {rig.rig_id for rig in rigs})
        if unknown:
            raise ServingError(f"no simulated rig is called {', '.join(unknown)}")
        return cls(rigs, port=port)

    async def __aenter__(self) -> Self:
        """Listen at every address, or at none if one is taken."""
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
        """Close every listener and every open connection."""
        servers = list(self._servers.values())
        self._servers.clear()
        for server in servers:
            server.close()
        for task in list(self._conversations):
            task.cancel()
        await asyncio.gather(*self._conversations, return_exceptions=True)
        await asyncio.gather(*(server.wait_closed() for server in servers))

    async def set_faults(self, rig_id: str, faults: RigFaults) -> None:
        """Change what is wrong with a rig from now on; its listener opens or closes as needed."""
        rig = self.rigs[rig_id]
        rig.faults = faults
        if faults.unreachable == "refused" and rig_id in self._servers:
            server = self._servers.pop(rig_id)
            server.close()
            await server.wait_closed()
        elif faults.unreachable != "refused" and rig_id not in self._servers:
            await self._listen(rig)

    def true_power_kw(self) -> float:
        """Return the power that all rigs truly draw now [kW]."""
        return sum(rig.true_power_w() for rig in self.rigs.values()) / 1000.0

    def energy_kwh(self) -> float:
        """Return the energy that all rigs truly drew so far [kWh]."""
        return sum(rig.energy_kwh() for rig in self.rigs.values())

    async def _listen(self, rig: SimulatedRig) -> None:
        if rig.faults.unreachable == "refused":
            return

        async def on_connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self._converse(rig, reader, writer)

        try:
            self._servers[rig.rig_id] = await asyncio.start_server(
                on_connect, rig.address, self.port
            )
        except OSError as err:
            place = f"{rig.address}:{self.port}"
            if err.errno == errno.EADDRINUSE:
                raise PortInUse(
                    f"{place} is taken by another program (a rig simulator that still runs, or "
                    f"one that listens at 0.0.0.0:{self.port}); end it or choose another base "
                    "address or port"
                ) from err
            raise ServingError(
                f"cannot listen at {place} for {rig.rig_id}: {err.strerror}; many loopback "
                "addresses need Linux, elsewhere add an alias for each"
            ) from err

    async def _converse(
        self, rig: SimulatedRig, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._conversations.add(task)
        self._open[rig.rig_id] += 1
        self.n_connections += 1
        self.most_open[rig.rig_id] = max(self.most_open[rig.rig_id], self._open[rig.rig_id])
        try:
            await self._answer(rig, reader, writer)
        except (ConnectionError, TimeoutError) as err:
            log.debug("A client of %s went away: %s", rig.rig_id, err)
        except asyncio.CancelledError:
            # The fleet closes. Ending normally keeps asyncio from reporting the cancelled handler.
            log.debug("Closed a connection to %s", rig.rig_id)
        finally:
            self._open[rig.rig_id] -= 1
            self._conversations.discard(task)
            writer.close()

    async def _answer(
        self, rig: SimulatedRig, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        request = await asyncio.wait_for(_read_request(reader), REQUEST_WAIT_S)
        if not request:
            return
        if rig.faults.unreachable == "black_hole":
            await reader.read()  # until the client gives up
            return
        async with self._busy[rig.rig_id]:
            if rig.faults.latency_s > 0.0:
                await asyncio.sleep(rig.faults.latency_s)
            reply = reply_to(rig, request)
        if reply is not None:
            writer.write(reply)
            await writer.drain()


async def _read_request(reader: asyncio.StreamReader) -> bytes:
    request = b""
    while len(request) < 8192 and not request_is_complete(request):
        chunk = await reader.read(4096)
        if not chunk:
            break
        request += chunk
    return request


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

"""How a simulated rig is reached: TCP listeners, and the faults that lie between rig and client.

A *door* is one listener of one rig. What is said through it is a `RigWire`'s matter; refusing,
hanging, swallowing, dropping, cutting and slowness are the same for all protocols and live here.
"""

import asyncio
import errno
import logging
import socket
from abc import ABC, abstractmethod
from typing import Protocol

from gridhash.errors import PortInUse, ServingError
from gridhash.serving.simulated_rig import SimulatedRig

log = logging.getLogger(__name__)

REQUEST_WAIT_S = 10.0
"""A rig drops a connection on which no whole request came for so long [wall s]."""
LONGEST_REQUEST = 8192


class Door(Protocol):
    """An open listener."""

    def close(self) -> None:
        """Stop listening."""

    async def wait_closed(self) -> None:
        """Return when it is closed."""


class Traffic:
    """Conversations with one rig: counted, one command at a time, and ended together."""

    def __init__(self) -> None:
        """Start with none."""
        self.busy = asyncio.Lock()
        self.n_connections = 0
        self.n_open = 0
        self.most_open = 0
        """Most that were open at once; real rigs stand one."""
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, task: asyncio.Task[None]) -> None:
        """Note that a conversation began."""
        self._tasks.add(task)
        self.n_connections += 1
        self.n_open += 1
        self.most_open = max(self.most_open, self.n_open)

    def end(self, task: asyncio.Task[None]) -> None:
        """Note that a conversation ended."""
        self.n_open -= 1
        self._tasks.discard(task)

    async def end_all(self) -> None:
        """End every conversation."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


class RigWire(Protocol):
    """What a rig says at one port."""

    @property
    def port(self) -> int:
        """Where the firmware listens."""

    async def listen(self, address: str, port: int, traffic: Traffic) -> Door:
        """Answer at a place from now on.

        Raises
        ------
        OSError
            If the place cannot be had.
        """


class TcpWire(ABC):
    """A wire of one request and one reply per connection, as bytes."""

    port: int

    def __init__(self, rig: SimulatedRig) -> None:
        """Speak for a rig."""
        self.rig = rig

    @abstractmethod
    def is_complete(self, data: bytes) -> bool:
        """Return whether the bytes hold a whole request."""

    @abstractmethod
    def answer(self, data: bytes) -> tuple[str, bytes | None]:
        """Carry out a request; return it as text and the reply, None if the rig hangs up."""

    async def listen(self, address: str, port: int, traffic: Traffic) -> Door:
        """Answer at a place from now on."""

        async def on_connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await _converse(self, reader, writer, traffic)

        return await asyncio.start_server(on_connect, address, port)


class Tarpit(TcpWire):
    """Accepts whatever the protocol is, and never answers."""

    port = 0

    def is_complete(self, data: bytes) -> bool:
        """Take anything for a request."""
        return bool(data)

    def answer(self, data: bytes) -> tuple[str, bytes | None]:
        """Give no answer."""
        return "", None


class BlackHole:
    """A listener whose queue is full, so that the kernel drops every attempt to connect."""

    def __init__(self, address: str, port: int) -> None:
        """Take the place and fill its queue; nothing is ever accepted."""
        self._listener = socket.create_server((address, port), backlog=0)
        self._filler = socket.create_connection((address, port))

    def close(self) -> None:
        """Give the place up."""
        self._filler.close()
        self._listener.close()

    async def wait_closed(self) -> None:
        """Return at once."""


async def open_door(
    rig: SimulatedRig, wire: RigWire, address: str, port: int, traffic: Traffic
) -> Door:
    """Let a rig answer at a place, or hang or swallow there, as its faults have it.

    Raises
    ------
    PortInUse
        If the place is taken.
    ServingError
        If it cannot be had for another reason.
    """
    try:
        if rig.faults.unreachable == "black_hole":
            return BlackHole(address, port)
        if rig.faults.unreachable == "hang":
            return await Tarpit(rig).listen(address, port, traffic)
        return await wire.listen(address, port, traffic)
    except OSError as err:
        raise cannot_listen(err, rig.rig_id, address, port) from err


def cannot_listen(err: OSError, rig_id: str, address: str, port: int) -> ServingError:
    """Return the error that says why a place cannot be had, and what to do."""
    place = f"{address}:{port}"
    if err.errno == errno.EADDRINUSE:
        return PortInUse(
            f"{place} is taken by another program (a rig simulator that still runs, or one that "
            f"listens at 0.0.0.0:{port}); end it or choose another base address or port"
        )
    if err.errno == errno.EMFILE:
        return ServingError(
            f"cannot listen at {place} for {rig_id}: this process may not open more files; raise "
            "the limit (ulimit -n 8192) or simulate fewer rigs"
        )
    return ServingError(
        f"cannot listen at {place} for {rig_id}: {err.strerror}; many loopback addresses need "
        "Linux, elsewhere add an alias for each"
    )


def exchange(wire: TcpWire, request: bytes) -> bytes | None:
    """Carry out a request; return what of the reply gets out, None if nothing does."""
    text, whole = wire.answer(request)
    reply = whole if whole is None else what_gets_out(wire.rig, whole)
    wire.rig.received(text, replied=reply is not None and reply is whole)
    return reply


def what_gets_out(rig: SimulatedRig, reply: bytes) -> bytes | None:
    """Return the reply, its first half, or None, as the rig's faults and its luck have it."""
    faults = rig.faults
    if faults.drop_reply > 0.0 and rig.random.random() < faults.drop_reply:
        return None
    if faults.half_reply > 0.0 and rig.random.random() < faults.half_reply:
        return reply[: len(reply) // 2]
    return reply


async def _converse(
    wire: TcpWire, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, traffic: Traffic
) -> None:
    task = asyncio.current_task()
    assert task is not None
    traffic.begin(task)
    try:
        await _answer(wire, reader, writer, traffic)
    except (ConnectionError, TimeoutError) as err:
        log.debug("A client of %s went away: %s", wire.rig.rig_id, err)
    except asyncio.CancelledError:
        # The fleet closes. Ending normally keeps asyncio from reporting the cancelled handler.
        log.debug("Closed a connection to %s", wire.rig.rig_id)
    finally:
        traffic.end(task)
        writer.close()


async def _answer(
    wire: TcpWire, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, traffic: Traffic
) -> None:
    request = await asyncio.wait_for(_read_request(wire, reader), REQUEST_WAIT_S)
    if not request:
        return
    if isinstance(wire, Tarpit):
        await reader.read()  # until the client gives up
        return
    async with traffic.busy:
        if wire.rig.faults.latency_s > 0.0:
            await asyncio.sleep(wire.rig.faults.latency_s)
        reply = exchange(wire, request)
    if reply is not None:
        writer.write(reply)
        await writer.drain()


async def _read_request(wire: TcpWire, reader: asyncio.StreamReader) -> bytes:
    request = b""
    while len(request) < LONGEST_REQUEST and not wire.is_complete(request):
        chunk = await reader.read(4096)
        if not chunk:
            break
        request += chunk
    return request

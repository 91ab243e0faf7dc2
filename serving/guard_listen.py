"""The guard's end of the link: takes heartbeats that answer its nonces, and answers each."""

import asyncio
import logging
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

from gridhash.errors import PortInUse
from gridhash.serving.guard_link import (
    TO_CONTROLLER,
    TO_GUARD,
    BeatFrame,
    GuardFrame,
    LinkError,
    digest,
    read_frame,
    write_frame,
)
from gridhash.serving.guard_notice import GuardNotice
from gridhash.serving.heartbeat import Heartbeat

log = logging.getLogger(__name__)

MAX_CONNECTIONS = 8
"""A controller needs one; the oldest is hung up on for a new one, so nobody can use them up."""

SILENT_S = 120.0


class HeartbeatListener:
    """Listens while it is entered."""

    def __init__(
        self,
        host: str,
        port: int,
        key: bytes,
        *,
        take: Callable[[Heartbeat, float], bool],
        notice: Callable[[], GuardNotice],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare to listen.

        Parameters
        ----------
        take
            Given a heartbeat and when the guard asked for it, whether it counts.
        notice
            What the controller is told.
        """
        self._host, self._port, self._key = host, port, key
        self._take, self._notice, self._monotonic = take, notice, monotonic
        self._server: asyncio.Server | None = None
        self._open: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self.n_refused = 0
        """Connections that ended for a frame that was none of ours."""

    async def __aenter__(self) -> Self:
        """Listen.

        Raises
        ------
        PortInUse
            If the address cannot be listened at.
        """
        try:
            self._server = await asyncio.start_server(self._serve, self._host, self._port)
        except OSError as err:
            raise PortInUse(
                f"cannot listen for heartbeats at {self._host}:{self._port}: {err.strerror}"
            ) from err
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Hang up on everybody."""
        assert self._server is not None
        self._server.close()
        tasks = list(self._open)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._server.wait_closed()

    @property
    def port(self) -> int:
        """Where it listens; of use if the system was to choose."""
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        own = asyncio.current_task()
        assert own is not None
        if len(self._open) >= MAX_CONNECTIONS:
            next(iter(self._open)).cancel()
        self._open[own] = writer
        try:
            await self._converse(reader, writer)
        except LinkError as err:
            self.n_refused += 1
            log.warning("%s: %s", writer.get_extra_info("peername"), err)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # it hung up, says nothing, or must make room
        finally:
            del self._open[own]
            writer.transport.abort()
            with suppress(OSError):
                await writer.wait_closed()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers, taken = "", False
        while True:
            nonce, asked_s = secrets.token_hex(16), self._monotonic()
            frame = GuardFrame(nonce=nonce, answers=answers, taken=taken, notice=self._notice())
            async with asyncio.timeout(SILENT_S):
                await write_frame(writer, self._key, TO_CONTROLLER, frame)
                beat, body = await read_frame(reader, self._key, TO_GUARD, BeatFrame)
            if beat.nonce != nonce:
                raise LinkError("a heartbeat answers another nonce: it is a recorded one")
            answers, taken = digest(body), self._take(beat.heartbeat, asked_s)

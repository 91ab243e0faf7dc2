"""The controller's end: the heartbeat to its file and to every guard, and what the guards say."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from gridhash.errors import ServingError
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
from gridhash.serving.guard_notice import GuardNotice, read_guard_notice
from gridhash.serving.heartbeat import Heartbeat, write_heartbeat
from gridhash.serving.state_folder import StateFolder

log = logging.getLogger(__name__)

PUSH_WITHIN_S = 2.0


@dataclass(frozen=True)
class GuardAddress:
    """Where a guard listens."""

    host: str
    port: int

    def __str__(self) -> str:
        """Return it as people write it."""
        return f"{self.host}:{self.port}"


class HeartbeatPusher:
    """Pushes heartbeats to one guard over a connection that it opens when it needs one."""

    def __init__(
        self, address: GuardAddress, key: bytes, *, within_s: float = PUSH_WITHIN_S
    ) -> None:
        """Connect to nothing yet."""
        self.address = address
        self.notice: GuardNotice | None = None
        """The guard's last word; None before the first."""
        self.failure = "nothing was pushed yet"
        """Why the last push failed; empty if the guard answered."""
        self._key = key
        self._within_s = within_s
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._nonce = ""

    async def push(self, heartbeat: Heartbeat) -> bool:
        """Push a heartbeat; return whether the guard took it. It never raises for the network."""
        try:
            async with asyncio.timeout(self._within_s):
                taken = await self._push(heartbeat)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, LinkError) as err:
            self._note(str(err) or f"no answer within {self._within_s:g} s")
            self._hang_up()
            return False
        self._note("" if taken else "the guard has a newer heartbeat, or one of another controller")
        return taken

    async def close(self) -> None:
        """Hang up."""
        self._hang_up()
        await asyncio.sleep(0)  # the transport ends in the loop's next turn

    async def _push(self, heartbeat: Heartbeat) -> bool:
        if self._streams is None:
            self._streams = await asyncio.open_connection(self.address.host, self.address.port)
            greeting, _ = await read_frame(
                self._streams[0], self._key, TO_CONTROLLER, GuardFrame
            )  # its notice may be a recorded one, so only the nonce is used
            self._nonce = greeting.nonce
        reader, writer = self._streams
        frame = BeatFrame(nonce=self._nonce, heartbeat=heartbeat)
        body = await write_frame(writer, self._key, TO_GUARD, frame)
        answer, _ = await read_frame(reader, self._key, TO_CONTROLLER, GuardFrame)
        if answer.answers != digest(body):
            raise LinkError("the guard answered another heartbeat than ours")
        self._nonce, self.notice = answer.nonce, answer.notice
        return answer.taken

    def _hang_up(self) -> None:
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._streams = None

    def _note(self, failure: str) -> None:
        if failure and failure != self.failure:
            log.warning("guard %s: %s", self.address, failure)
        self.failure = failure


class HeartbeatSender:
    """Proves each tick that the controller lives, to a file and to every guard at once."""

    def __init__(self, folder: StateFolder, pushers: Sequence[HeartbeatPusher] = ()) -> None:
        """Send nothing yet."""
        self.pushers = tuple(pushers)
        self.failure = ""
        """Why the file could not be written or the local guard's word not read; else empty."""
        self._folder = folder
        self._local: GuardNotice | None = None

    async def beat(self, heartbeat: Heartbeat) -> tuple[GuardNotice, ...]:
        """Send a heartbeat and return the last word of every guard that ever said one.

        It takes at most `PUSH_WITHIN_S`, and raises for nothing that the file or network does.
        """
        self.failure = ""
        try:
            write_heartbeat(self._folder.heartbeat, heartbeat)
        except OSError as err:
            self.failure = f"{self._folder.heartbeat}: cannot be written: {err.strerror}"
        await asyncio.gather(*(pusher.push(heartbeat) for pusher in self.pushers))
        try:
            self._local = read_guard_notice(self._folder.guard_notice)
        except ServingError as err:
            self.failure = str(err)
        notices = [self._local, *(pusher.notice for pusher in self.pushers)]
        return tuple(notice for notice in notices if notice is not None)

    async def close(self) -> None:
        """Hang up."""
        for pusher in self.pushers:
            await pusher.close()

"""Orders from outside: whoever brings them writes one JSON file per order into a folder."""

import asyncio
import os
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

from gridhash.errors import ServingError
from gridhash.serving.failpoints import failpoint
from gridhash.serving.obligations import SiteOrder, parse_order
from gridhash.serving.state_folder import read_small
from gridhash.serving.validation import Refused

FILES_PER_POLL = 500
"""Files read in one poll; the others come in the next, the newest first."""


@dataclass(frozen=True, kw_only=True)
class Polled:
    """What a source brought."""

    orders: list[SiteOrder] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    more: bool = False
    """Whether some of it is left for the next poll."""


class OrderSource(Protocol):
    """Brings demand-response orders and contract caps."""

    async def poll(self, now: datetime) -> Polled:
        """Return what is new since the last call.

        Raises
        ------
        OSError, ServingError
            If the source does not answer; what it brought before stays in force.
        """


class OrderFolder:
    """Reads ``*.json`` of a folder, each file again when it was changed.

    A file that is removed cancels nothing: only an order with ``"cancelled": true`` does.
    """

    def __init__(self, path: Path) -> None:
        """Read nothing yet."""
        self._path = path
        self._seen: dict[str, tuple[int, int, int]] = {}
        self._reading: asyncio.Task[Polled] | None = None

    async def poll(self, now: datetime) -> Polled:
        """Return the orders of new and changed files.

        A folder that hangs is read by one thread: who asks again waits for the same reading.
        """
        if self._reading is None:
            self._reading = asyncio.ensure_future(asyncio.to_thread(self._poll))
        reading = self._reading
        try:
            return await asyncio.shield(reading)
        finally:
            if reading.done():
                self._reading = None

    def _poll(self) -> Polled:
        failpoint("orders.before_reading")
        there: dict[str, tuple[int, int, int]] = {}
        with os.scandir(self._path) as entries:
            for entry in entries:
                if entry.name.endswith(".json"):
                    stat = entry.stat(follow_symlinks=False)
                    there[entry.name] = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        self._seen = {name: mark for name, mark in self._seen.items() if name in there}
        changed = [name for name, mark in there.items() if self._seen.get(name) != mark]
        changed.sort(key=lambda name: there[name], reverse=True)
        polled = Polled(more=len(changed) > FILES_PER_POLL)
        for name in changed[:FILES_PER_POLL]:
            self._seen[name] = there[name]
            try:
                content = read_small(self._path / name)
            except ServingError as err:
                polled.refused.append(Refused(what=name, why=str(err)))
                continue
            if content is None:
                continue
            order = parse_order(content)
            if isinstance(order, Refused):
                polled.refused.append(Refused(what=name, why=f"{order.what}: {order.why}"))
            else:
                polled.orders.append(order)
        failpoint("orders.after_reading")
        return polled

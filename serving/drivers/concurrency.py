"""Many rigs at once, but never too many."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import TypeVar

from gridhash.errors import RigUnreachable
from gridhash.serving.clock import Clock
from gridhash.serving.drivers.protocol import CommandResult, RigDriver
from gridhash.serving.failpoints import failpoint
from gridhash.serving.snapshot import RigReading

log = logging.getLogger(__name__)

CONCURRENT_RIGS = 200
"""Rigs spoken to at once.

A rig that hangs holds its slot until its deadline: of 1,000 rigs of which 300 hang, the last
healthy one is commanded after 6 s (after 21 s with 48). With more, a host that is busy itself lets
deadlines pass that no rig missed.
"""

T = TypeVar("T")


async def gather_bounded(
    calls: Iterable[Callable[[], Awaitable[T]]], *, limit: int = CONCURRENT_RIGS
) -> list[T]:
    """Run the calls, at most `limit` at a time, and return their results in order."""
    slots = asyncio.Semaphore(limit)

    async def run(call: Callable[[], Awaitable[T]]) -> T:
        async with slots:
            return await call()

    return list(await asyncio.gather(*(run(call) for call in calls)))


async def read_rigs(
    drivers: Sequence[RigDriver], clock: Clock, *, limit: int = CONCURRENT_RIGS
) -> dict[str, RigReading | None]:
    """Read every rig; None for one without a readable answer. The clock stands while it lasts."""

    async def read(driver: RigDriver) -> RigReading | None:
        try:
            return await driver.read()
        except (RigUnreachable, ValueError, ArithmeticError) as err:
            log.info("%s: no reading: %s", driver.rig_id, err)
            return None

    with clock.outstanding(f"read {len(drivers)} rigs"):
        failpoint("rigs.before_reading")
        readings = await gather_bounded([partial(read, driver) for driver in drivers], limit=limit)
        failpoint("rigs.read")
    return {driver.rig_id: reading for driver, reading in zip(drivers, readings, strict=True)}


async def command_rigs(
    commands: Sequence[Callable[[], Awaitable[CommandResult]]],
    clock: Clock,
    *,
    limit: int = CONCURRENT_RIGS,
) -> list[CommandResult]:
    """Send commands, as ``[driver.stop for driver in drivers]``; the clock stands meanwhile."""
    with clock.outstanding(f"send {len(commands)} commands"):
        return await gather_bounded(commands, limit=limit)

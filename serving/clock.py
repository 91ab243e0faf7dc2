"""The one source of time of a controller, its drivers and its simulated rigs.

Market, ramp, soft-off and verification times use the clock; deadlines of socket calls use wall
time. `RealClock` runs by itself. `SimulatedClock` is stepped and never scaled: it stands still
while a call is outstanding, so that an accelerated day shows each rig the same gaps between
commands as a real one.
"""

import asyncio
import heapq
import itertools
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from typing import Protocol

from gridhash.errors import ServingError
from gridhash.serving.instants import require_aware

SETTLE_TURNS = 5
"""Turns of the event loop without an outstanding call before simulated time may advance."""

MICROSECOND = timedelta(microseconds=1)


class Clock(Protocol):
    """Tells the time and lets tasks wait for an instant."""

    def now(self) -> datetime:
        """Return the instant, aware, in UTC."""

    def monotonic(self) -> float:
        """Return seconds that never run backwards; only differences mean something."""

    async def sleep_until(self, instant: datetime) -> None:
        """Return when the clock has reached the instant; at once if it has already."""

    def outstanding(self, what: str) -> AbstractContextManager[None]:
        """Hold simulated time while the body runs: ``with clock.outstanding("read rig 7"):``."""


class RealClock:
    """The host's clock."""

    def now(self) -> datetime:
        """Return the instant, aware, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds since an arbitrary instant."""
        return time.monotonic()

    async def sleep_until(self, instant: datetime) -> None:
        """Return when the host's clock has reached the instant, also if it is set meanwhile.

        A clock that is set back makes the sleep no longer than it was to be at first.
        """
        require_aware(instant, "instant")
        wake_at_s = self.monotonic() + (instant - self.now()).total_seconds()
        while (remaining_s := (instant - self.now()).total_seconds()) > 0.0:
            remaining_s = min(remaining_s, wake_at_s - self.monotonic())
            if remaining_s <= 0.0:
                return
            await asyncio.sleep(min(remaining_s, 60.0))

    def outstanding(self, what: str) -> AbstractContextManager[None]:
        """Do nothing: real time cannot be held."""
        return nullcontext()


class SimulatedClock:
    """A clock that moves only when `advance` or `step` is called.

    A task that sleeps on the clock is woken at exactly its instant, and the clock goes on only when
    that task has reached its next wait. Work that spans several waits (socket calls, threads)
    belongs inside ``with clock.outstanding(what):``; then no simulated time passes in it.
    """

    def __init__(self, start: datetime, *, patience_s: float = 60.0) -> None:
        """Set the clock to `start`; `patience_s` is how long `advance` waits [wall s]."""
        self._start = require_aware(start, "start").astimezone(UTC)
        self._elapsed_us = 0
        self._patience_s = patience_s
        self._outstanding: Counter[str] = Counter()
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []
        self._order = itertools.count()
        self._advancing = False

    def now(self) -> datetime:
        """Return the simulated instant, aware, in UTC."""
        return self._start + self._elapsed_us * MICROSECOND

    def monotonic(self) -> float:
        """Return the simulated seconds since the start."""
        return self._elapsed_us / 1e6

    @property
    def n_outstanding(self) -> int:
        """Calls that hold the clock now."""
        return self._outstanding.total()

    @contextmanager
    def outstanding(self, what: str) -> Iterator[None]:
        """Hold the clock while the body runs; `what` is named if it never ends."""
        self._hold(what)
        try:
            yield
        finally:
            self._release(what)

    async def sleep_until(self, instant: datetime) -> None:
        """Return when the clock has been advanced to the instant; at once if it is past."""
        due_us = self._to_us(instant)
        if due_us <= self._elapsed_us:
            await asyncio.sleep(0)
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (due_us, next(self._order), woken))
        try:
            await woken
        finally:
            if woken.done() and not woken.cancelled():
                self._release("a woken task")

    def step(self, seconds: float) -> None:
        """Advance at once, for code without an event loop.

        Raises
        ------
        ServingError
            If a call is outstanding, or a task sleeps that is due on the way: use `advance`.
        """
        end_us = self._end_us(seconds)
        if self._outstanding:
            raise ServingError(
                f"simulated time cannot advance while calls are outstanding: {self._held_by()}"
            )
        if any(due <= end_us and not future.done() for due, _, future in self._sleepers):
            raise ServingError("a task sleeps until an instant on the way: await advance() instead")
        self._elapsed_us = end_us

    async def advance(self, seconds: float) -> None:
        """Advance, waking every sleeping task at its own instant, in order.

        Waits while calls are outstanding, before the first step, at every instant at which a task
        was woken, and at the end.

        Raises
        ------
        ServingError
            If calls are still outstanding after `patience_s` of wall time, or another task
            advances the clock at the same time.
        """
        if self._advancing:
            raise ServingError("two tasks advance the simulated clock at the same time")
        end_us = self._end_us(seconds)
        self._advancing = True
        try:
            await self._settle()
            while self._sleepers and self._sleepers[0][0] <= end_us:
                self._wake(self._sleepers[0][0])
                await self._settle()
            self._elapsed_us = end_us
        finally:
            self._advancing = False

    async def advance_to(self, instant: datetime) -> None:
        """Advance to an instant that is not past; see `advance`."""
        await self.advance((self._to_us(instant) - self._elapsed_us) / 1e6)

    def _to_us(self, instant: datetime) -> int:
        return (require_aware(instant, "instant") - self._start) // MICROSECOND

    def _end_us(self, seconds: float) -> int:
        if not seconds >= 0.0:
            raise ValueError(f"a clock never runs backwards; asked to advance by {seconds} s")
        return self._elapsed_us + round(seconds * 1e6)

    def _wake(self, due_us: int) -> None:
        self._elapsed_us = max(self._elapsed_us, due_us)
        while self._sleepers and self._sleepers[0][0] == due_us:
            _, _, woken = heapq.heappop(self._sleepers)
            if not woken.done():
                self._hold("a woken task")
                woken.set_result(None)

    def _hold(self, what: str) -> None:
        self._outstanding[what] += 1
        self._quiet.clear()

    def _release(self, what: str) -> None:
        self._outstanding[what] -= 1
        if self._outstanding[what] == 0:
            del self._outstanding[what]
        if not self._outstanding:
            self._quiet.set()

    def _held_by(self) -> str:
        names = sorted(self._outstanding)
        more = f" and {len(names) - 5} more" if len(names) > 5 else ""
        return ", ".join(names[:5]) + more

    async def _settle(self) -> None:
        """Return once no call was outstanding for several turns of the event loop."""
        give_up_at = time.monotonic() + self._patience_s
        quiet_turns = 0
        while quiet_turns < SETTLE_TURNS:
            if self._outstanding:
                quiet_turns = 0
                try:
                    await asyncio.wait_for(self._quiet.wait(), give_up_at - time.monotonic())
                except TimeoutError:
                    raise ServingError(
                        f"simulated time has waited {self._patience_s} s for {self._held_by()}"
                    ) from None
            else:
                quiet_turns += 1
                await asyncio.sleep(0)

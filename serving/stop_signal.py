"""Ending in order: Ctrl-C and SIGTERM as something to wait for."""

import asyncio
import signal
from contextlib import suppress
from datetime import datetime
from types import TracebackType
from typing import Self

from gridhash.serving.clock import Clock

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopSignal:
    """Notes Ctrl-C or SIGTERM while it is entered, instead of breaking off what is under way.

    A second signal cancels the task that entered. Where signals cannot be caught (outside the main
    thread, or on Windows) only `request` stops.
    """

    def __init__(self) -> None:
        """Wait for nothing yet."""
        self._event = asyncio.Event()
        self._task: asyncio.Task[object] | None = None
        self.interrupted = False
        """Whether it was Ctrl-C."""

    def __enter__(self) -> Self:
        """Catch the signals; needs a running event loop."""
        self._task = asyncio.current_task()
        loop = asyncio.get_running_loop()
        with suppress(NotImplementedError, RuntimeError, ValueError):
            for number in SIGNALS:
                loop.add_signal_handler(number, self._on_signal, number)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the signals to others again."""
        loop = asyncio.get_running_loop()
        with suppress(NotImplementedError, RuntimeError, ValueError):
            for number in SIGNALS:
                loop.remove_signal_handler(number)

    @property
    def requested(self) -> bool:
        """Whether to end."""
        return self._event.is_set()

    def request(self) -> None:
        """Ask to end, as a signal would."""
        self._event.set()

    async def sleep_until(self, clock: Clock, instant: datetime) -> None:
        """Return when the clock has reached the instant, or at once when it is to end."""
        sleep = asyncio.ensure_future(clock.sleep_until(instant))
        stop = asyncio.ensure_future(self._event.wait())
        try:
            await asyncio.wait({sleep, stop}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (sleep, stop):
                task.cancel()
            await asyncio.gather(sleep, stop, return_exceptions=True)

    def _on_signal(self, number: int) -> None:
        if self.requested and self._task is not None:
            self._task.cancel()
        self.interrupted = self.interrupted or number == signal.SIGINT
        self._event.set()

"""Ctrl-C and SIGTERM end in order; a second one ends at once."""

import asyncio
import os
import signal
import time
from datetime import timedelta

import pytest

from gridhash.serving.clock import RealClock
from gridhash.serving.stop_signal import StopSignal


@pytest.mark.parametrize(
    ("number", "interrupted"), [(signal.SIGINT, True), (signal.SIGTERM, False)]
)
def test_a_signal_ends_the_sleep_and_tells_which_it_was(number: int, interrupted: bool) -> None:
    async def main() -> StopSignal:
        clock = RealClock()
        with StopSignal() as stop:
            asyncio.get_running_loop().call_later(0.05, os.kill, os.getpid(), number)
            await stop.sleep_until(clock, clock.now() + timedelta(seconds=60))
        return stop

    began_at = time.monotonic()
    stop = asyncio.run(main())

    assert time.monotonic() - began_at < 10.0
    assert stop.requested
    assert stop.interrupted is interrupted


def test_a_second_signal_cancels_what_hangs() -> None:
    async def main() -> None:
        with StopSignal():
            loop = asyncio.get_running_loop()
            loop.call_later(0.05, os.kill, os.getpid(), signal.SIGTERM)
            loop.call_later(0.15, os.kill, os.getpid(), signal.SIGTERM)
            await asyncio.sleep(60)

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(main())


def test_without_a_signal_the_sleep_lasts() -> None:
    async def main() -> bool:
        clock = RealClock()
        with StopSignal() as stop:
            until = clock.now() + timedelta(seconds=0.1)
            await stop.sleep_until(clock, until)
            assert clock.now() >= until
            return stop.requested

    assert not asyncio.run(main())


def test_ctrl_c_is_the_interpreters_again_afterwards() -> None:
    async def main() -> None:
        with StopSignal():
            pass

    asyncio.run(main())

    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler

import asyncio
from datetime import UTC, datetime
from functools import partial
from typing import cast

import pytest

from gridhash.serving.clock import SimulatedClock
from gridhash.serving.drivers.concurrency import gather_bounded, read_rigs
from gridhash.serving.drivers.protocol import RigDriver
from gridhash.serving.snapshot import RigReading

START = datetime(2024, 4, 2, tzinfo=UTC)


def test_bounded_calls_keep_their_order_and_their_limit() -> None:
    running = 0
    most = 0

    async def call(index: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.001 * (10 - index))
        running -= 1
        return index

    results = asyncio.run(gather_bounded([partial(call, index) for index in range(10)], limit=3))

    assert results == list(range(10))
    assert most == 3


@pytest.mark.parametrize("error", [OverflowError("too large"), ValueError("4300 digits")])
def test_what_cannot_be_read_is_missing_for_that_rig_alone(error: Exception) -> None:
    class Rig:
        def __init__(self, rig_id: str, error: Exception | None) -> None:
            self.rig_id, self.error = rig_id, error

        async def read(self) -> RigReading:
            if self.error is not None:
                raise self.error
            return RigReading(rig_id=self.rig_id, read_at=START, power_w=1.0)

    rigs = cast("list[RigDriver]", [Rig("a", error), Rig("b", None)])
    readings = asyncio.run(read_rigs(rigs, SimulatedClock(START)))
    assert readings["a"] is None
    assert readings["b"] is not None

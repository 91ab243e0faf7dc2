import asyncio
from functools import partial

from gridhash.serving.drivers.concurrency import gather_bounded


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

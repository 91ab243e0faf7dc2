"""What the tests of simulated rigs share: a fleet of one rig, spoken to by unmodified pyasic."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from gridhash.config import load_site
from gridhash.serving.clock import SimulatedClock
from gridhash.serving.simulated_fleet import SimulatedFleet
from gridhash.serving.simulated_rig import SimulatedRig

START = datetime(2024, 4, 1, tzinfo=UTC)
GROUP = load_site("japan_pilot").groups[0]

Scenario = Callable[[Any, SimulatedRig, SimulatedClock], Awaitable[None]]


def with_pyasic(address: str, scenario: Scenario, **options: Any) -> None:
    """Run a scenario with a simulated rig and with what `pyasic.get_miner` makes of it."""
    from gridhash.serving.drivers.pyasic_library import load_pyasic

    async def run() -> None:
        clock = SimulatedClock(START)
        rig = SimulatedRig("rig", GROUP, clock, address=address, **options)
        async with SimulatedFleet([rig]):
            miner = await pyasic.get_miner(address)
            assert miner is not None
            await scenario(miner, rig, clock)

    handlers = logging.getLogger().handlers[:]
    try:
        load_pyasic()
        import pyasic

        asyncio.run(run())
    finally:
        logging.getLogger().handlers[:] = handlers

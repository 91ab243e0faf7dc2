"""A controller on a simulated clock: a day in about a minute, with the gaps of a real one."""

from collections.abc import Callable
from datetime import datetime

from gridhash.serving.clock import SimulatedClock
from gridhash.serving.controller import Controller

AfterTick = Callable[[Controller], None]


async def run_simulated(
    controller: Controller,
    clock: SimulatedClock,
    until: datetime,
    *,
    after_tick: AfterTick | None = None,
) -> None:
    """Start the controller, tick until an instant, read the rigs once more, and finish.

    Simulated time stands while a call is outstanding and then goes to the instant at which the
    controller next has something to do. `after_tick` may show progress or move the world.
    """
    await controller.start()
    try:
        while clock.now() < until:
            next_at = await controller.tick()
            if after_tick is not None:
                after_tick(controller)
            await clock.advance_to(min(next_at, until))
    finally:
        await controller.finish()

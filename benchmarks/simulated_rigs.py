"""How long simulated rigs take to start, what they weigh, and how fast the drivers reach them.

The rigs run in a process of their own, the drivers here:
``python benchmarks/simulated_rigs.py [--count 537] [--models A1566HA M63S ...]``.
"""

import argparse
import asyncio
import multiprocessing
import os
import time
from multiprocessing.connection import Connection
from pathlib import Path

from gridhash.config import load_site
from gridhash.serving.clock import RealClock
from gridhash.serving.drivers.concurrency import (
    CONCURRENT_RIGS,
    command_rigs,
    gather_bounded,
    read_rigs,
)
from gridhash.serving.drivers.protocol import RigDriver
from gridhash.serving.rig_list import drivers_of
from gridhash.serving.simulated_fleet import SimulatedFleet
from gridhash.serving.stand_alone import MODELS, FleetRequest, listed_rigs, make_fleet

SITE = load_site("japan_pilot")
BASE_ADDRESS = "127.50.0.1"


def serve(request: FleetRequest, parent: Connection) -> None:
    """Run rigs; send seconds until all listen and MiB more resident, end when told."""

    async def run() -> None:
        before_mib = resident_mib()
        began_at = time.perf_counter()
        async with make_fleet(SITE, request, RealClock(), remember_s=3600.0):
            parent.send((time.perf_counter() - began_at, resident_mib() - before_mib))
            await asyncio.get_running_loop().run_in_executor(None, parent.recv)

    asyncio.run(run())


def resident_mib() -> float:
    """Return the memory that this process holds [MiB]."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def drivers_for(fleet: SimulatedFleet) -> list[RigDriver]:
    """Return a driver per rig, by the fleet's own rig list."""
    by_group = drivers_of(listed_rigs(fleet), SITE, RealClock())
    return [driver for own in by_group.values() for driver in own]


async def reach(request: FleetRequest) -> list[float]:
    """Return seconds for: identify all, poll all, CPU of that poll in this process, stop all.

    Of three polls the fastest counts.
    """
    clock = RealClock()
    drivers = drivers_for(make_fleet(SITE, request, clock))
    began_at = time.perf_counter()
    await gather_bounded([driver.identify for driver in drivers], limit=CONCURRENT_RIGS)
    identify_s = time.perf_counter() - began_at
    polls_s = []
    for _ in range(3):
        began_at, cpu_at = time.perf_counter(), time.process_time()
        readings = await read_rigs(drivers, clock)
        polls_s.append((time.perf_counter() - began_at, time.process_time() - cpu_at))
        assert all(reading is not None for reading in readings.values())
    began_at = time.perf_counter()
    results = await command_rigs([driver.stop for driver in drivers], clock)
    stop_s = time.perf_counter() - began_at
    assert all(result.outcome.may_have_reached_rig for result in results)
    return [identify_s, *min(polls_s), stop_s]


def measure(request: FleetRequest) -> list[float]:
    """Return seconds until all listen, MiB that they add, and what `reach` returns."""
    spawn = multiprocessing.get_context("spawn")
    here, there = spawn.Pipe()
    rigs = spawn.Process(target=serve, args=(request, there))
    rigs.start()
    try:
        return [*here.recv(), *asyncio.run(reach(request))]
    finally:
        here.send("end")
        rigs.join()


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=537)
    parser.add_argument("--models", nargs="+", default=list(MODELS))
    wanted = parser.parse_args()
    print(
        "| model | rigs | listen [s] | memory added [MiB] | identify [s] | poll [s] "
        "| CPU of it, drivers [s] | stop [s] |\n|---|--:|--:|--:|--:|--:|--:|--:|"
    )
    for model in wanted.models:
        request = FleetRequest(count=wanted.count, address=BASE_ADDRESS, model=model)
        cells = [f"{value:.2f}" for value in measure(request)]
        print(f"| {' | '.join([model, str(wanted.count), *cells])} |", flush=True)


if __name__ == "__main__":
    main()

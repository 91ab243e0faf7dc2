"""Part of `serving.py`: a poll over the real protocol, and the memory of a controller over it."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from stopwatch import Stopwatch, Times

from gridhash.agents.bundle import write_bundle
from gridhash.agents.bundle_manifest import Provenance, RuleSpec
from gridhash.agents.signing import generate_key
from gridhash.config import load_site
from gridhash.serving.clock import RealClock
from gridhash.serving.drivers.concurrency import read_rigs
from gridhash.serving.rig_list import drivers_of, read_rig_list

START = datetime(2024, 4, 2, tzinfo=UTC)
ADDRESS = "127.77.0.1"
SITE = "europe_sample"
REPLAY = "2018-10-24T18:00"
"""Site and market time: its prices ship with gridhash."""


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Of a process: all that is resident, and what of it no file backs [MB]."""

    resident_mb: float
    private_mb: float


@dataclass(frozen=True, kw_only=True)
class Wire:
    """What was measured over the real protocol."""

    polls: Times
    n_missed: int
    """Readings that did not come within their deadline."""
    rigs_ms: float
    """CPU time of the simulated rigs in one poll [ms]."""
    memory: Memory


def on_the_wire(n_rigs: int, n_polls: int, folder: Path) -> Wire:
    """Time readings of all rigs over the real protocol; measure also what a controller keeps.

    The controller is `gridhash serve --shadow` over the same rigs, half a minute after its start.
    """
    rig_list = folder / "rigs.csv"
    rigs = start("simulate-rigs", "--site", SITE, "--count", n_rigs, "--address", ADDRESS,
                 "--rig-list", rig_list)  # fmt: skip
    try:
        wait_for(rig_list.exists)
        before_ms = cpu_ms(rigs.pid)
        polls, n_missed = poll(rig_list, n_polls)
        rigs_ms = (cpu_ms(rigs.pid) - before_ms) / (n_polls + 1)
        memory = memory_of_service(rig_list, folder)
        return Wire(polls=polls, n_missed=n_missed, rigs_ms=rigs_ms, memory=memory)
    finally:
        rigs.terminate()
        rigs.wait(30)


def cpu_ms(pid: int) -> float:
    """Return the CPU time that a process has taken so far [ms]."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return 1e3 * (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def poll(rig_list: Path, n_polls: int) -> tuple[Times, int]:
    """Read all rigs some times; return also how many readings did not come."""
    listed = read_rig_list(rig_list)
    drivers = drivers_of(listed, load_site(SITE), RealClock())
    flat = [driver for own in drivers.values() for driver in own]
    watch = Stopwatch()

    async def main() -> int:
        n_missed = 0
        for k in range(n_polls + 1):
            with watch.lap() if k else Stopwatch().lap():
                readings = await read_rigs(flat, RealClock())
            n_missed += sum(own is None for own in readings.values())
        return n_missed

    n_missed = asyncio.run(main())
    return watch.times(), n_missed


def memory_of_service(rig_list: Path, folder: Path) -> Memory:
    """Return the memory of a running controller."""
    key = generate_key(folder / "key.pem")
    bundle = write_bundle(folder, RuleSpec(rule="level_rule"), name="level", site=load_site(SITE),
                          key=key, created_at=START, provenance=Provenance())  # fmt: skip
    journal = folder / "state" / "journal.sqlite"
    service = start("serve", "--shadow", "--bundle", bundle, "--key", folder / "key.pub",
                    "--rigs", rig_list, "--replay-from", REPLAY, "--journal", journal)  # fmt: skip
    try:
        wait_for(journal.exists)
        time.sleep(30.0)
        fields = Path(f"/proc/{service.pid}/smaps_rollup").read_text().splitlines()
        kb = {line.split(":")[0]: int(line.split()[1]) for line in fields if line.endswith("kB")}
        return Memory(resident_mb=kb["Rss"] / 1024.0, private_mb=kb["Anonymous"] / 1024.0)
    finally:
        service.terminate()
        service.wait(60)


def start(*arguments: object) -> "subprocess.Popen[bytes]":
    """Start a command line of gridhash in a process of its own."""
    command = [sys.executable, "-m", "gridhash", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL)


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until something is so; raise TimeoutError after a minute."""
    give_up_s = time.monotonic() + 60.0
    while not condition():
        if time.monotonic() > give_up_s:
            raise TimeoutError("the simulated rigs did not come up")
        time.sleep(0.1)

"""How long a controller takes: one decision, one tick, one poll of all rigs; how much memory.

    python benchmarks/serving.py           table, and docs/results/serving.md
    python benchmarks/serving.py --quick   a smoke test that writes no page

Site: japan_pilot, 537 rigs in four groups. The decision is `gridhash.serving.decide.decide`, which
the controller calls each dispatch: observation, policy in a thread of its own with its deadline,
orders, limits, and the words and hashes of the journal. Tick and snapshot are of a controller over
rigs in memory, its journal on this folder's disk. The poll reads rigs that speak the real
protocol on loopback, in a process of their own; memory is that of a controller over them.
By the wall clock other programs stretch what takes long, so CPU time of the process stands beside.
"""

import argparse
import asyncio
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from gridhash.agents.bundle import write_bundle
from gridhash.agents.bundle_manifest import Provenance, RuleSpec
from gridhash.agents.numpy_policy import MlpPolicy, mlp_shapes
from gridhash.agents.policy import Policy
from gridhash.agents.signing import generate_key
from gridhash.config import SiteConfig, load_site
from gridhash.data.trace import Trace
from gridhash.envs.action import ActionKind
from gridhash.envs.scenario import Scenario, build_scenario
from gridhash.errors import RigUnreachable
from gridhash.serving.clock import RealClock, SimulatedClock
from gridhash.serving.controller import Controller
from gridhash.serving.decide import decide
from gridhash.serving.drivers.concurrency import read_rigs
from gridhash.serving.drivers.protocol import Command, CommandResult, Outcome, RigIdentity
from gridhash.serving.journal import Journal
from gridhash.serving.rig_list import drivers_of, read_rig_list
from gridhash.serving.site_model import SiteModel
from gridhash.serving.site_state import SiteSnapshot
from gridhash.serving.site_status import Mode
from gridhash.serving.snapshot import RigReading

PAGE = Path(__file__).resolve().parent.parent / "docs" / "results" / "serving.md"
START = datetime(2024, 4, 2, tzinfo=UTC)
HIDDEN = (64, 64)
ADDRESS = "127.77.0.1"
SITE = "europe_sample"
REPLAY = "2018-10-24T18:00"
"""Site and market time of what is on the wire: its prices ship with gridhash."""
GOALS = {"decision": 1.0, "poll": 2000.0, "memory": 300.0}
"""p99 of a decision [ms], a poll of all rigs [ms], resident memory [MB]."""


@dataclass(frozen=True, kw_only=True)
class Times:
    """Quantiles of what was repeated [ms]."""

    n: int
    wall_p50: float
    wall_p99: float
    cpu_p50: float
    cpu_p99: float

    def row(self, name: str) -> str:
        """Return the row of the table."""
        figures = (self.wall_p50, self.wall_p99, self.cpu_p50, self.cpu_p99)
        return f"| {name} | {self.n:,} | " + " | ".join(f"{own:.2f}" for own in figures) + " |"


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Of a process: all that is resident, and what of it no file backs [MB]."""

    resident_mb: float
    private_mb: float


class Stopwatch:
    """Collects wall and CPU time of repeated work."""

    def __init__(self) -> None:
        self.wall: list[float] = []
        self.cpu: list[float] = []

    @contextmanager
    def lap(self) -> Iterator[None]:
        """Time the body."""
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self.cpu.append(1e3 * (time.process_time() - cpu))
        self.wall.append(1e3 * (time.perf_counter() - wall))

    def times(self) -> Times:
        """Return the quantiles."""
        wall, cpu = np.percentile(self.wall, [50, 99]), np.percentile(self.cpu, [50, 99])
        return Times(
            n=len(self.wall),
            wall_p50=float(wall[0]),
            wall_p99=float(wall[1]),
            cpu_p50=float(cpu[0]),
            cpu_p99=float(cpu[1]),
        )


@dataclass
class MemoryRig:
    """A rig without a wire that obeys at once."""

    rig_id: str
    clock: SimulatedClock
    running: bool = True
    address: str = "memory"
    identity: RigIdentity | None = None

    async def identify(self) -> RigIdentity:
        """Have no identity."""
        raise RigUnreachable("a rig in memory has no identity")

    async def read(self) -> RigReading:
        """Tell the power."""
        return RigReading(
            rig_id=self.rig_id,
            read_at=self.clock.now(),
            power_w=8064.0 if self.running else 20.0,
            chip_temp_c=60.0,
            inlet_temp_c=40.0,
        )

    async def stop(self, *, forced: bool = False) -> CommandResult:
        """Stand."""
        return self._told(Command.STOP, running=False)

    async def resume(self) -> CommandResult:
        """Run."""
        return self._told(Command.RESUME, running=True)

    async def set_work_level(self, level: int) -> CommandResult:
        """Stay as it is."""
        return self._told(Command.SET_WORK_LEVEL, running=self.running)

    async def set_power_kw(self, power_kw: float) -> CommandResult:
        """Stay as it is."""
        return self._told(Command.SET_POWER, running=self.running)

    async def set_preset(self, name: str) -> CommandResult:
        """Stay as it is."""
        return self._told(Command.SET_PRESET, running=self.running)

    def _told(self, command: Command, *, running: bool) -> CommandResult:
        self.running = running
        now = self.clock.now()
        return CommandResult(
            rig_id=self.rig_id,
            command=command,
            outcome=Outcome.PENDING,
            sent_at=now,
            effective_at=now,
        )


def flat_scenario(site: SiteConfig) -> Scenario:
    """Return two days at a price that moves around the break-even."""
    starts = pd.date_range(START - timedelta(days=1), periods=144, freq="30min", unit="s")
    trace = Trace.from_prices(
        starts,
        9.5 + 3.0 * np.sin(np.arange(144) / 3.0),
        published_at=starts.normalize() - pd.Timedelta(hours=12),
        period_s=1800,
        currency="JPY",
        area="kyushu",
        source="sine",
    )
    return build_scenario(site, trace)


def network(scenario: Scenario) -> Policy:
    """Return a network of the size that `gridhash train` makes, with random weights."""
    rng = np.random.default_rng(0)
    shapes = mlp_shapes(len(scenario.features), HIDDEN, scenario.n_groups)
    weights = {
        name: rng.normal(0.0, 0.1, shape).astype(np.float32) for name, shape in shapes.items()
    }
    weights["normalise.scale"][:] = 1.0
    return MlpPolicy(weights, name="net", action_kind=ActionKind.SHADOW_PRICE)


async def in_memory(n_ticks: int, folder: Path) -> tuple[dict[str, Times], SiteSnapshot, SiteModel]:
    """Time ticks and snapshots of a controller over rigs in memory."""
    site = load_site("japan_pilot")
    scenario, clock = flat_scenario(site), SimulatedClock(START)
    drivers = {
        group.name: [MemoryRig(f"{group.name}-{k}", clock) for k in range(group.n_rigs)]
        for group in site.groups
    }
    ticks, deciding = Stopwatch(), Stopwatch()
    with Journal(folder / "journal.sqlite") as journal:
        controller = Controller(
            site, scenario, network(scenario), drivers, clock, journal, mode=Mode.LIVE
        )
        await controller.start()
        for k in range(n_ticks + 10):
            with ticks.lap() if k >= 10 else Stopwatch().lap():
                next_at = await controller.tick()
            await clock.advance_to(next_at)
        dispatcher = controller._dispatcher  # timed from within
        for _ in range(n_ticks):
            controller._timetable.dispatch_at = None
            with deciding.lap():
                snapshot = dispatcher.decide_if_due(clock.now())
    assert snapshot is not None
    found = {
        "tick: 537 readings taken in, checked, decided if due, journaled": ticks.times(),
        "snapshot of 537 rigs and decision": deciding.times(),
    }
    return found, snapshot, SiteModel.of(site)


def decisions(snapshot: SiteSnapshot, model: SiteModel, n: int) -> dict[str, Times]:
    """Time decisions of the level rule and of a network."""
    found = {}
    net = network(flat_scenario(model.site))
    policies: dict[str, Policy | None] = {"level rule": None, "network of 64 x 64": net}
    for name, policy in policies.items():
        watch = Stopwatch()
        for k in range(n + 50):
            with watch.lap() if k >= 50 else Stopwatch().lap():
                decide(snapshot, model, policy, policy_deadline_s=2.0)
        found[f"decision, {name}"] = watch.times()
    return found


def on_the_wire(n_rigs: int, n_polls: int, folder: Path) -> tuple[Times, Memory]:
    """Time readings of all rigs over the real protocol; return also what a controller keeps.

    The controller is `gridhash serve --shadow` over the same rigs, half a minute after its start.
    """
    rig_list = folder / "rigs.csv"
    rigs = start("simulate-rigs", "--site", SITE, "--count", n_rigs, "--address", ADDRESS,
                 "--rig-list", rig_list)  # fmt: skip
    try:
        wait_for(rig_list.exists)
        times = poll(rig_list, n_rigs, n_polls)
        return times, memory_of_service(rig_list, folder)
    finally:
        rigs.terminate()
        rigs.wait(30)


def poll(rig_list: Path, n_rigs: int, n_polls: int) -> Times:
    """Read all rigs some times."""
    listed = read_rig_list(rig_list)
    drivers = drivers_of(listed, load_site(SITE), RealClock())
    flat = [driver for own in drivers.values() for driver in own]
    watch = Stopwatch()

    async def main() -> None:
        for k in range(n_polls + 1):
            with watch.lap() if k else Stopwatch().lap():
                readings = await read_rigs(flat, RealClock())
            assert sum(own is not None for own in readings.values()) == n_rigs

    asyncio.run(main())
    return watch.times()


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


def page(rows: dict[str, Times], memory: Memory, load: tuple[float, float]) -> str:
    """Return the page of figures."""
    slowest = max(own.wall_p99 for name, own in rows.items() if name.startswith("decision"))
    by_cpu = max(own.cpu_p99 for name, own in rows.items() if name.startswith("decision"))
    reading = next(own for name, own in rows.items() if name.startswith("poll"))
    checks = [
        ("one decision, p99 by the wall clock [ms]", slowest, GOALS["decision"]),
        ("the same by CPU time [ms]", by_cpu, GOALS["decision"]),
        ("poll of 537 rigs, p99 [ms]", reading.wall_p99, GOALS["poll"]),
        ("resident memory [MB]", memory.resident_mb, GOALS["memory"]),
    ]
    return "\n".join(
        [
            "# How long a controller takes",
            "",
            f"Made by `python benchmarks/serving.py` on a machine with {os.cpu_count()} cores "
            f"({platform.machine()}, {platform.system()}), Python {platform.python_version()}, "
            f"{datetime.now(UTC):%Y-%m-%d}, load average {load[0]:.1f} before and {load[1]:.1f} "
            "after. japan_pilot, 537 rigs in four groups. A decision is observation, policy (in a "
            "thread of its own, with its deadline), orders, limits, and its words and hashes for "
            "the journal. Rigs in memory but for the poll, which reads simulated Avalons over "
            "sockets. Under load the hand-over to the policy's thread waits for a core: compare "
            "the wall clock with CPU time.",
            "",
            "| what | n | wall p50 [ms] | p99 | CPU p50 [ms] | p99 |",
            "| --- | --- | --- | --- | --- | --- |",
            *(own.row(name) for name, own in rows.items()),
            "",
            "| figure | found | goal | met |",
            "| --- | --- | --- | --- |",
            *(
                f"| {name} | {found:.2f} | ≤ {goal:g} | {'yes' if found <= goal else 'no'} |"
                for name, found, goal in checks
            ),
            "",
            "Memory is that of `gridhash serve --shadow` over the 537 rigs, half a minute after "
            f"its start; torch is not loaded. {memory.private_mb:.0f} MB of it are its own, the "
            "rest are pages of libraries (LLVM under numba, Arrow under pandas), which several "
            "processes share.",
            "",
        ]
    )


def main() -> None:
    """Measure, print, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few repetitions, no page")
    quick = parser.parse_args().quick
    before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(dir=".") as name:
        folder = Path(name)
        later, snapshot, model = asyncio.run(in_memory(5 if quick else 200, folder))
        rows = decisions(snapshot, model, 100 if quick else 5000) | later
        n_rigs = 24 if quick else 537
        reading, memory = on_the_wire(n_rigs, 2 if quick else 20, folder)
        rows[f"poll of {n_rigs} rigs"] = reading
    assert "torch" not in sys.modules
    text = page(rows, memory, (before, os.getloadavg()[0]))
    print(text)
    if not quick:
        PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

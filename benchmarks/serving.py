"""How long a controller takes: one decision, one tick, one poll of all rigs; how much memory.

    python benchmarks/serving.py           table, and docs/results/serving.md
    python benchmarks/serving.py --quick   a smoke test that writes no page

Site: japan_pilot, 537 rigs in four groups. The decision is `gridhash.serving.decide.decide`, which
the controller calls each dispatch: observation, policy in a thread of its own with its deadline,
orders, limits, and the words and hashes of the journal. Tick and snapshot are of a controller over
rigs in memory, its journal on this folder's disk. The poll reads rigs that speak the real
protocol on loopback, in a process of their own; memory is that of a controller over them.
By the wall clock other programs stretch what takes long, so CPU time of the process stands beside,
and what the machine itself takes to hand a call to another thread and back.
"""

import argparse
import asyncio
import os
import platform
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
from serving_wire import Wire, on_the_wire
from stopwatch import Stopwatch, Times

from gridhash.agents.numpy_policy import MlpPolicy, mlp_shapes
from gridhash.agents.policy import Policy
from gridhash.config import SiteConfig, load_site
from gridhash.data.trace import Trace
from gridhash.envs.action import ActionKind
from gridhash.envs.scenario import Scenario, build_scenario
from gridhash.errors import RigUnreachable
from gridhash.serving.clock import SimulatedClock
from gridhash.serving.controller import Controller
from gridhash.serving.decide import decide
from gridhash.serving.drivers.protocol import Command, CommandResult, Outcome, RigIdentity
from gridhash.serving.journal import Journal
from gridhash.serving.site_model import SiteModel
from gridhash.serving.site_state import SiteSnapshot
from gridhash.serving.site_status import Mode
from gridhash.serving.snapshot import RigReading

PAGE = Path(__file__).resolve().parent.parent / "docs" / "results" / "serving.md"
START = datetime(2024, 4, 2, tzinfo=UTC)
HIDDEN = (64, 64)
GOALS = {"decision": 1.0, "poll": 2000.0, "memory": 300.0}
"""p99 of a decision [ms], a poll of all rigs [ms], resident memory [MB]."""


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
    found["nothing, in another thread and back"] = hand_over(n)
    return found


def hand_over(n: int) -> Times:
    """Time a call without content in another thread: what every policy's deadline costs."""
    watch = Stopwatch()
    with ThreadPoolExecutor(1) as thread:
        for _ in range(n):
            with watch.lap():
                thread.submit(int).result()
    return watch.times()


def page(rows: dict[str, Times], wire: Wire, load: tuple[float, float]) -> str:
    """Return the page of figures."""
    slowest = max(own.wall_p99 for name, own in rows.items() if name.startswith("decision"))
    by_cpu = max(own.cpu_p99 for name, own in rows.items() if name.startswith("decision"))
    checks = [
        ("one decision, p99 by the wall clock [ms]", slowest, GOALS["decision"]),
        ("the same by CPU time [ms]", by_cpu, GOALS["decision"]),
        ("poll of 537 rigs, p99 [ms]", wire.polls.wall_p99, GOALS["poll"]),
        (
            "the same by CPU time, of controller and simulated rigs together [ms]",
            wire.polls.cpu_p99 + wire.rigs_ms,
            GOALS["poll"],
        ),
        ("resident memory [MB]", wire.memory.resident_mb, GOALS["memory"]),
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
            f"sockets: these run on the same cores and take {wire.rigs_ms:.0f} ms of CPU a poll "
            f"besides; {wire.n_missed} readings missed their deadline. Under load the hand-over to "
            "the policy's thread waits for a core: compare the wall clock with CPU time, and with "
            "a hand-over in which nothing is done.",
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
            f"its start; torch is not loaded. {wire.memory.private_mb:.0f} MB of it are its own, "
            "the rest are pages of libraries. Code that the start alone ran (LLVM under numba, "
            "Arrow under pandas: some 100 MB) is dropped after it, and would come back if called "
            "(`gridhash.serving.resident_memory`). The first start of a version compiles the "
            "kernel and keeps some 150 MB more until it is started again.",
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
        wire = on_the_wire(n_rigs, 2 if quick else 20, folder)
        rows[f"poll of {n_rigs} rigs"] = wire.polls
    assert "torch" not in sys.modules
    text = page(rows, wire, (before, os.getloadavg()[0]))
    print(text)
    if not quick:
        PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

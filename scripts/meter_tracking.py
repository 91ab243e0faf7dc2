"""How well a site keeps a power at its meter: a new one every five minutes, rigs that misreport.

    python scripts/meter_tracking.py             table, docs/results/meter.json and meter.md
    python scripts/meter_tracking.py --hours 2   a short look that writes no page

A controller of `japan_pilot` (537 rigs on or off) is ordered a site power per five minutes, up to
450 kW from the one before and between 40 and 95 % of the contract. Rigs are simulated on the
stepped clock and called without a wire; the meter answers Modbus TCP on a loopback address. Each
rig draws more or less than its model and reports something else again. What is judged is the mean
of the site's true power, cooling included, over each whole interval, its rise included.
"""

import argparse
import asyncio
import json
import random
import statistics
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from meter_world import START, DirectRig, Watch, cooling_kw, flat_prices

from gridhash.config import SiteConfig, load_site
from gridhash.envs.scenario import build_scenario
from gridhash.serving.clock import SimulatedClock
from gridhash.serving.controller import Controller
from gridhash.serving.journal import Journal
from gridhash.serving.metering import MeterLink
from gridhash.serving.modbus_config import MeterBlock
from gridhash.serving.obligations import SiteOrder
from gridhash.serving.replay import replay
from gridhash.serving.settings import ControllerSettings
from gridhash.serving.simulated_fleet import SimulatedFleet
from gridhash.serving.simulated_meter import METER_PORT, MeterFaults, MeterOptions, SimulatedMeter
from gridhash.serving.simulated_model import RigFaults, RigMismatch
from gridhash.serving.site_inputs import SiteLinks
from gridhash.serving.site_meter import MeterReading, ModbusMeter, SiteMeter
from gridhash.serving.site_status import Mode

PAGE = Path(__file__).resolve().parent.parent / "docs" / "results" / "meter.md"
CELLS = PAGE.with_suffix(".json")
"""Rows by case: those that are there are not played again unasked."""
INTERVAL = timedelta(minutes=5)
STEP_KW = 450.0
RANGE = (0.40, 0.95)
"""Of the contract."""
ADDRESS = "127.41.0.1"
OTHER_KW = 15.0
"""Lights and office, on the meter all day."""
MEAN_GOAL = 0.02
LEAST_TOLERANCE_KW, TOLERANCE_FRAC = 100.0, 0.03


@dataclass(frozen=True, kw_only=True)
class Case:
    """One run."""

    name: str
    reported: tuple[float, float]
    """Power that a rig reports per power that it draws: the range that rigs are drawn from."""
    drawn: tuple[float, float] = (1.0, 1.06)
    """Power that a rig draws per power of its model."""
    has_meter: bool = True
    cooling_metered: bool = False
    failed_frac: float = 0.0
    """Rigs that nobody reaches, and that run on."""
    meter_lost: bool = False
    """For the second half, the meter shows what it showed in the middle."""
    seed: int = 0
    hours: float = 3.0


CASES = (
    Case(name="rigs report 5 to 20 % too much", reported=(1.05, 1.20), hours=6.0),
    Case(name="rigs report 5 to 20 % too little", reported=(0.80, 0.95), hours=6.0),
    Case(name="the same, cooling metered", reported=(0.80, 0.95), cooling_metered=True),
    Case(name="too little, 2 % of rigs failed", reported=(0.80, 0.95), failed_frac=0.02),
    Case(name="too little, meter lost half-way", reported=(0.80, 0.95), meter_lost=True),
    Case(name="too much, no meter", reported=(1.05, 1.20), has_meter=False),
    Case(name="too little, no meter", reported=(0.80, 0.95), has_meter=False),
)


class BasePoints:
    """A random walk of site power, each step within what the site could follow at once."""

    def __init__(self, site: SiteConfig, seed: int) -> None:
        """Begin at 80 % of the contract."""
        contract_kw = site.limits.contract_power_kw
        self.asked_kw: list[float] = []
        self._pue = site.pue_for_planning
        self._low_kw, self._high_kw = (share * contract_kw for share in RANGE)
        self._power_kw = 0.8 * contract_kw
        self._luck = random.Random(f"orders:{seed}")

    def next_order(self, controller: Controller, now: datetime, trim: float) -> SiteOrder:
        """Return the order of the interval that begins now."""
        low_kw, high_kw = feasible_kw(controller, now)
        low_kw, high_kw = (own * trim * self._pue for own in (low_kw, high_kw))
        wished_kw = self._power_kw + self._luck.uniform(-STEP_KW, STEP_KW)
        wished_kw = min(max(wished_kw, self._low_kw), self._high_kw)
        self._power_kw = round(min(max(wished_kw, low_kw), high_kw))
        number = len(self.asked_kw)
        self.asked_kw.append(self._power_kw)
        return SiteOrder(
            order_id=f"base-{number:04d}",
            revision=0,
            issued_at=now,
            start=now,
            end=now + INTERVAL,
            program="base point",
            at_most_kw=self._power_kw,
            at_least_kw=self._power_kw,
        )


def feasible_kw(controller: Controller, now: datetime) -> tuple[float, float]:
    """Return what rigs must and can draw now by their model, minimum times kept [kW]."""
    least_kw = most_kw = 0.0
    for rig in controller.rigs.values():
        since_s, group = rig.since_s(now), rig.group
        if not rig.takes_commands(now) or rig.pending is not None:
            running = rig.running is not False
            least_kw += rig.level_kw[-1] * running
            most_kw += rig.level_kw[-1] * running
        elif rig.running:
            least_kw += rig.level_kw[-1] * (since_s < group.min_up_s)
            most_kw += rig.level_kw[-1]
        else:
            most_kw += rig.level_kw[-1] * (since_s >= group.min_down_s)
    return least_kw, most_kw


@dataclass(frozen=True, kw_only=True)
class Tracked:
    """What one run came to; powers in kW, one entry per interval."""

    case: Case
    asked_kw: list[float]
    drawn_kw: list[float]
    half_hours_kw: list[float]
    replay: str
    n_commands: int

    def deviations(self) -> list[float]:
        """Return drawn less asked, per interval after the first half hour."""
        pairs = zip(self.drawn_kw[6:], self.asked_kw[6:], strict=True)
        return [drawn - asked for drawn, asked in pairs]

    @property
    def mean_frac(self) -> float:
        """Mean absolute deviation, as a share of what was asked."""
        asked = self.asked_kw[6:]
        return sum(abs(own) for own in self.deviations()) / sum(asked)

    @property
    def within(self) -> int:
        """Intervals within the tolerance."""
        return sum(
            abs(off) <= max(LEAST_TOLERANCE_KW, TOLERANCE_FRAC * asked)
            for off, asked in zip(self.deviations(), self.asked_kw[6:], strict=True)
        )

    def row(self) -> str:
        """Return the row of the table."""
        off = self.deviations()
        worst = max(off, key=abs)
        misses = len(off) - self.within
        good = "**reached**" if self.mean_frac <= MEAN_GOAL and not misses else "short"
        return (
            f"| {self.case.name} | {len(off)} | {self.mean_frac:.2%} | {statistics.mean(off):+.0f} "
            f"| {worst:+.0f} | {self.within} of {len(off)} | {good} "
            f"| {max(self.half_hours_kw):,.0f} | {self.n_commands:,} | {self.replay} |"
        )


class WithCooling:
    """A meter with a second one on the cooling plant and the lights."""

    def __init__(self, meter: SiteMeter, beside_kw: Callable[[], float]) -> None:
        """Put the second one beside the first."""
        self._meter = meter
        self._beside_kw = beside_kw

    async def read(self) -> MeterReading:
        """Read both."""
        return replace(await self._meter.read(), cooling_kw=self._beside_kw())


async def track(case: Case, hours: float, journal: Journal) -> Tracked:
    """Play one case."""
    site = load_site("japan_pilot")
    clock = SimulatedClock(START)
    luck = random.Random(f"rigs:{case.seed}")
    mismatches: dict[str, RigMismatch] = {}
    faults: dict[str, RigFaults] = {}
    for group in site.groups:
        for number in range(1, group.n_rigs + 1):
            rig_id = f"{group.name}-{number:03d}"
            mismatches[rig_id] = RigMismatch(
                power_lag_s=3.0,
                power_factor=luck.uniform(*case.drawn),
                reported_power_factor=luck.uniform(*case.reported),
            )
            if luck.random() < case.failed_frac:
                faults[rig_id] = RigFaults(unreachable="refused")
    fleet = SimulatedFleet.of_groups(
        site.groups, clock, mismatches=mismatches, faults=faults, remember_s=1200.0
    )
    drivers = {
        group.name: [DirectRig(rig) for rig in fleet.rigs.values() if rig.group is group]
        for group in site.groups
    }

    def beside_kw() -> float:
        return cooling_kw(site, fleet.true_power_kw(), clock.now()) + OTHER_KW

    meter = SimulatedMeter(
        fleet,
        clock,
        address=ADDRESS,
        options=MeterOptions(mean_over_s=5.0, lag_s=2.0, noise_frac=0.003),
        auxiliary_kw=beside_kw,
        seed=case.seed,
    )
    block = MeterBlock.model_validate(
        {
            "host": ADDRESS,
            "port": METER_PORT,
            "power": {"address": 2, "type": "float32"},
            "measured_at": {"address": 0, "type": "uint32"},
        }
    )
    own_meter = ModbusMeter(block, clock)
    read_by = WithCooling(own_meter, beside_kw) if case.cooling_metered else own_meter
    link = MeterLink(meter=read_by, block=block) if case.has_meter else None
    scenario = build_scenario(site, flat_prices(site, hours))
    controller = Controller(
        site,
        scenario,
        None,
        drivers,
        clock,
        journal,
        mode=Mode.LIVE,
        settings=ControllerSettings(settled_supervision_s=30.0, paused_after_s=120.0),
        links=SiteLinks(meter=link),
    )
    points = BasePoints(site, case.seed)
    watch = Watch(fleet, clock, beside_kw)
    until = START + timedelta(hours=hours)
    lost_at = START + timedelta(hours=hours / 2.0) if case.meter_lost else until
    order_at, trim = START, 1.0
    async with meter:
        await controller.start()
        while clock.now() < until:
            if clock.now() >= order_at:
                order = points.next_order(controller, clock.now(), trim)
                controller.standing.obligations.take([order], clock.now())
                order_at += INTERVAL
            next_at = await controller.tick()
            watch.look()
            assert controller.decision is not None
            trim = controller.decision.trim or 1.0
            if clock.now() >= lost_at:
                await meter.set_faults(MeterFaults(stale=True))
            await clock.advance_to(min(next_at, order_at, until))
        watch.look()
        await controller.finish()
    again = replay(journal, None)
    return Tracked(
        case=case,
        asked_kw=points.asked_kw,
        drawn_kw=watch.means_kw(INTERVAL),
        half_hours_kw=watch.means_kw(timedelta(minutes=30)),
        replay="the same" if not again.different else f"{again.different} differ",
        n_commands=journal.count("intents"),
    )


@contextmanager
def new_journal() -> Iterator[Journal]:
    """Yield a journal in memory where there is a file system for it."""
    memory = Path("/dev/shm")
    with (
        tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder,
        Journal(Path(folder) / "journal.sqlite") as journal,
    ):
        yield journal


TEXT = """\
# How well a site keeps a power at its meter

Made by `python scripts/meter_tracking.py` (seed 0): a controller of `japan_pilot` (537 rigs, on or
off) is ordered a power of the whole site, cooling included, anew every five minutes for three or
six hours: a random walk of up to 450 kW a step between 40 and 95 % of the contract, cut to what
minimum times leave, as a resource tells its limits. Rigs draw 0 to 6 % more than their model, and
report what the case says of it. Cooling moves with heat and hour, 15 kW of lights come on top. The
meter answers Modbus TCP on loopback: means of 5 s, 2 s late, 0.3 % noise. The clock is stepped;
rigs are simulated ones called without a wire.

*Deviation* is that of the true mean power of a whole interval, the rise after its step included,
from what was ordered, after the first half hour. Goal: mean at most 2 %, and every interval within
max(100 kW, 3 %). *Highest half hour* is the mean of a demand interval (contract: 4,520 kW).
*Replay* is whether every decision and correction comes out the same bits when made again.

**The mean is reached with a meter, each interval is not.** Intervals that miss are low ones, by two
causes: after a step up of 400 kW and more the rise itself takes 35 s of boot and packets of 16
rigs; and after a step down minimum times keep one group up while the rigs that stood in for it
stand in another, which may not start for twenty minutes, so that a few rigs are missing once the
first group is free. A lost meter costs its margin (2 % on what rigs report), by intention.
"""
HEAD = (
    "| case | intervals | mean deviation | bias [kW] | worst [kW] | within max(100 kW, 3 %) | goal "
    "| highest half hour [kW] | commands | replay |\n|---|---|---|---|---|---|---|---|---|---|"
)


def main() -> None:
    """Play the cases that have no row yet, or those named, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hours", type=float, help="play for so long and write nothing")
    parser.add_argument("--case", type=int, action="append", help="place in the table, from 0")
    parser.add_argument("--again", action="store_true", help="play what has a row, too")
    arguments = parser.parse_args()
    rows: dict[str, str] = json.loads(CELLS.read_text("utf-8")) if CELLS.exists() else {}
    print(HEAD, flush=True)
    for place, case in enumerate(CASES):
        look = arguments.hours is not None or arguments.again
        if place not in (arguments.case or range(len(CASES))) or (case.name in rows and not look):
            continue
        with new_journal() as journal:
            tracked = asyncio.run(track(case, arguments.hours or case.hours, journal))
        print(tracked.row(), flush=True)
        if arguments.hours is None:
            rows[case.name] = tracked.row()
            CELLS.write_text(json.dumps(rows, indent=1) + "\n", "utf-8")
            found = [rows[own.name] for own in CASES if own.name in rows]
            PAGE.write_text("\n".join([TEXT, HEAD, *found, ""]), "utf-8")


if __name__ == "__main__":
    main()

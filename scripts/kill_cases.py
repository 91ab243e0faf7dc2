"""One kill of a controller and what it left: a real process against simulated rigs on loopback.

Eight rigs on real time, whose power steps at once; orders that bind the site to half of its power,
to nothing and to a quarter, two seconds each. The controller dies at its failpoint, is followed at
once by a new process on the same state folder, and that one ends in order.
"""

import asyncio
import multiprocessing
import os
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from campaign_cases import site_of_rigs

from gridhash.agents.rule_registry import RULES
from gridhash.config import SiteConfig
from gridhash.data.trace import Trace
from gridhash.envs.scenario import Scenario, build_scenario
from gridhash.serving.canary import Arming
from gridhash.serving.clock import RealClock
from gridhash.serving.controller import Controller
from gridhash.serving.drivers.capabilities import FirmwareName
from gridhash.serving.drivers.registry import driver_for
from gridhash.serving.failpoints import arm
from gridhash.serving.heartbeat_push import HeartbeatSender
from gridhash.serving.journal import Journal
from gridhash.serving.lease import Lease
from gridhash.serving.lease_record import newest_token
from gridhash.serving.obligations import SiteOrder
from gridhash.serving.order_folder import OrderFolder
from gridhash.serving.request_desk import RequestDesk
from gridhash.serving.requests import RequestSpool
from gridhash.serving.service import kept
from gridhash.serving.settings import ControllerSettings
from gridhash.serving.simulated_fleet import SimulatedFleet
from gridhash.serving.simulated_model import LUXOS_S21
from gridhash.serving.site_inputs import SiteLinks
from gridhash.serving.site_status import Mode
from gridhash.serving.state_folder import StateFolder

N_RIGS = 8
SHARES = ((1.0, 3.0, 0.5), (3.0, 5.0, 0.0), (5.0, 3600.0, 0.25))
"""Orders: from, until [s after the world's start], at most this share of all rigs' power."""

FIRST_S, END_S, AFTER_KILL_S = 6.5, 6.5, 4.0
"""From the world's start, until the first controller ends if it lives, and the second at the
earliest; the second lives so long after the kill at least."""

SETTINGS = ControllerSettings(
    supervision_s=1.0, settled_supervision_s=1.0, check_s=1.0, verify_within_s=8.0,
    start_packet_pause_s=1.0, policy_deadline_s=30.0,
)  # fmt: skip
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["kill_cases", "kill_forked"])


@cache
def site() -> SiteConfig:
    """Return the Japanese pilot with eight rigs that boot, rise and may turn within seconds."""
    pilot = site_of_rigs(N_RIGS)
    groups = [
        group.model_copy(update={"boot_s": 0.5, "min_up_s": 1.0, "min_down_s": 1.0})
        for group in pilot.groups
    ]
    return pilot.model_copy(update={"groups": tuple(groups)})


@cache
def scenario() -> Scenario:
    """Return a price so low that every rig shall run, around now."""
    today = pd.Timestamp.now("UTC").normalize().as_unit("s")
    starts = pd.date_range(today - timedelta(days=1), periods=144, freq="30min", unit="s")
    trace = Trace.from_prices(
        starts, np.full(144, 1.0), published_at=starts.normalize() - pd.Timedelta(hours=12),
        period_s=1800, currency="JPY", area="kyushu", source="kill campaign",
    )  # fmt: skip
    return build_scenario(site(), trace)


@dataclass(frozen=True, kw_only=True)
class World:
    """Where a trial's processes meet."""

    folder: Path
    base_address: str
    start: datetime

    @property
    def state(self) -> StateFolder:
        """The state folder of the site."""
        return StateFolder(self.folder)

    def at(self, seconds: float) -> datetime:
        """Return the instant so long after the world's start."""
        return self.start + timedelta(seconds=seconds)

    def orders(self) -> list[SiteOrder]:
        """Return the orders on the site, on the power of rigs and cooling."""
        full_kw = sum(group.n_rigs * group.rig_power_w for group in site().groups) / 1000.0
        return [
            SiteOrder(
                order_id=f"order-{number}", revision=0, issued_at=self.start,
                start=self.at(start_s), end=self.at(end_s),
                at_most_kw=share * full_kw * site().pue_for_planning,
            )
            for number, (start_s, end_s, share) in enumerate(SHARES)
        ]  # fmt: skip

    def make_files(self) -> None:
        """Write the orders, each in a file of its own."""
        (self.folder / "orders").mkdir()
        for order in self.orders():
            path = self.folder / "orders" / f"{order.order_id}.json"
            path.write_bytes(order.model_dump_json().encode())

    def fleet(self) -> SimulatedFleet:
        """Return the rigs; nothing listens yet."""
        return SimulatedFleet.of_groups(
            site().groups, RealClock(), base_address=self.base_address, model=LUXOS_S21
        )


def warm_up() -> None:
    """Start the process that controllers are forked from, with all that they import; takes long."""
    here, known = str(Path(__file__).resolve().parent), os.environ.get("PYTHONPATH", "")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (here, known)))
    process = PROCESSES.Process(target=site)
    process.start()
    process.join()


def control(world: World, failpoint: str, until: datetime) -> None:
    """Run a controller to an instant, or to its death: the body of a process of its own."""
    arm(failpoint)
    asyncio.run(_control(world, until))


async def _control(world: World, until: datetime) -> None:
    clock = RealClock()
    rigs = list(world.fleet().rigs.values())
    drivers = {
        group.name: [
            driver_for(rig.rig_id, rig.address, clock, firmware=FirmwareName.LUXOS)
            for rig in rigs
            if rig.group.name == group.name
        ]
        for group in site().groups
    }
    with Journal(world.state.journal) as journal:
        name = f"process {os.getpid()}"
        lease = Lease(world.state.lease, holder=name, duration_s=2.0, margin_s=0.5)
        lease.acquire(clock.now(), above=newest_token(journal))
        links = SiteLinks(
            requests=RequestDesk(RequestSpool(world.state.requests), journal),
            stop_all=world.state.stop_all,
            lease=lease,
            heart=HeartbeatSender(world.state),
            controller_name="kill campaign",
            orders=OrderFolder(world.folder / "orders"),
        )
        policy = RULES["level_rule"].make(site())
        controller = Controller(
            site(), scenario(), policy, drivers, clock, journal,
            mode=Mode.LIVE, settings=SETTINGS, arming=Arming.full(Mode.LIVE), links=links,
        )  # fmt: skip
        async with kept(lease) as check:
            await controller.start()
            while clock.now() < until:
                check()
                await clock.sleep_until(min(await controller.tick(), until))
            await controller.finish()


async def kill_once(world: World, failpoint: str) -> tuple[SimulatedFleet, dict[str, Any]]:
    """Kill a controller at a failpoint and follow it by another; return rigs and instants.

    ``killed_at`` is None if it came to its end without passing there so often.

    Raises
    ------
    RuntimeError
        If a process ended otherwise than it should; its number is in the text.
    """
    clock, fleet = RealClock(), world.fleet()
    world.make_files()
    async with fleet:
        code = await _run(world, failpoint, world.at(FIRST_S))
        if code not in (0, -9):
            raise RuntimeError(f"{failpoint}: the first controller ended with {code}")
        killed_at = clock.now() if code else None
        if killed_at is not None:
            until = max(world.at(END_S), killed_at + timedelta(seconds=AFTER_KILL_S))
            code = await _run(world, "", until)
            if code:
                raise RuntimeError(f"{failpoint}: the second controller ended with {code}")
    return fleet, {"killed_at": killed_at}


async def _run(world: World, failpoint: str, until: datetime) -> int | None:
    process = PROCESSES.Process(target=control, args=(world, failpoint, until))
    process.start()
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(process.sentinel, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(process.sentinel)
    process.join()
    return process.exitcode

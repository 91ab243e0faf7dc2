import asyncio
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import pytest

from gridhash.agents.policy import Policy
from gridhash.config import SiteConfig, load_site
from gridhash.data.trace import Trace
from gridhash.envs.scenario import Scenario, build_scenario
from gridhash.serving.clock import SimulatedClock
from gridhash.serving.controller import Controller
from gridhash.serving.drivers.capabilities import FirmwareName
from gridhash.serving.drivers.registry import driver_for
from gridhash.serving.journal import Journal
from gridhash.serving.settings import ControllerSettings
from gridhash.serving.simulated_fleet import SimulatedFleet
from gridhash.serving.simulated_loops import SimulatedLoops, outdoor_of
from gridhash.serving.simulated_model import HYDRO_1566HA, RigFaults, RigMismatch, RigModel
from gridhash.serving.simulated_run import run_simulated
from gridhash.serving.site_status import Mode

START = datetime(2024, 4, 2, tzinfo=UTC)
N_RIGS = (8, 6, 6, 4)


@dataclass(frozen=True)
class Played:
    """A run that has ended: its journal, its rigs and what they ran on."""

    site: SiteConfig
    scenario: Scenario
    fleet: SimulatedFleet
    loops: SimulatedLoops
    journal: Journal
    controller: Controller
    start: datetime
    end: datetime


Play = Callable[..., Played]


@pytest.fixture(scope="session")
def site() -> SiteConfig:
    """Return 24 rigs in four loops, with the contract and the cooling scaled to them."""
    pilot = load_site("japan_pilot")
    share = sum(N_RIGS) / pilot.n_rigs
    groups = []
    for group, n_rigs in zip(pilot.groups, N_RIGS, strict=True):
        own = n_rigs / group.n_rigs
        cooling = group.cooling.model_copy(
            update={
                name: getattr(group.cooling, name) * own
                for name in (
                    "loop_heat_capacity_kj_per_k",
                    "heat_rejection_kw_per_k",
                    "fan_kw",
                    "pump_kw",
                )
            }
        )
        groups.append(group.model_copy(update={"n_rigs": n_rigs, "cooling": cooling}))
    limits = pilot.limits.model_copy(
        update={"contract_power_kw": pilot.limits.contract_power_kw * share * 1.05}
    )
    return pilot.model_copy(update={"groups": tuple(groups), "limits": limits})


@pytest.fixture(scope="session")
def scenario(site: SiteConfig) -> Scenario:
    """Return prices that cross the break-even every few hours."""
    starts = pd.date_range(START - timedelta(days=1), periods=96, freq="30min", unit="s")
    prices = 9.0 + 12.0 * np.sin(np.arange(96) / 2.2)
    trace = Trace.from_prices(
        starts,
        prices,
        published_at=starts.normalize() - pd.Timedelta(hours=12),
        period_s=1800,
        currency="JPY",
        area="kyushu",
        source="test",
    )
    return build_scenario(site, trace)


@pytest.fixture(scope="session")
def memory_folder() -> Iterator[Path]:
    """Return a folder in memory where there is one: every commit waits for the disk."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with TemporaryDirectory(dir=memory) as name:
        yield Path(name)


@pytest.fixture(scope="session")
def play(site: SiteConfig, scenario: Scenario, memory_folder: Path) -> Iterator[Play]:
    """Return a function that runs a controller against rigs on real sockets."""
    journals: list[Journal] = []
    pid = os.getpid()

    def run(
        policy: Policy | None,
        hours: float,
        *,
        faults: Mapping[str, RigFaults] | None = None,
        mismatch: RigMismatch | None = None,
        work_levels: bool = False,
        model: RigModel = HYDRO_1566HA,
        on: Scenario | None = None,
        start: datetime = START,
    ) -> Played:
        given = on or scenario
        own = site if on is None else on.site
        groups = own.groups
        levels: tuple[int, ...] = ()
        if work_levels:
            own = own.model_copy(update={"use_work_levels": True})
            groups = tuple(
                group.model_copy(update={"load_levels": group.optional_work_levels})
                for group in own.groups
            )
            levels = tuple(range(len(groups[0].load_levels)))
        market = build_scenario(own, given.trace)
        base_address = f"127.{128 + pid % 64}.{(pid // 64 + len(journals)) % 256}.1"
        clock = SimulatedClock(start)
        fleet = SimulatedFleet.of_groups(
            groups,
            clock,
            base_address=base_address,
            model=model,
            faults=faults,
            mismatch=mismatch,
        )
        journal = Journal(memory_folder / f"journal-{len(journals)}.sqlite")
        journals.append(journal)
        drivers = {
            group.name: [
                driver_for(
                    rig.rig_id,
                    rig.address,
                    clock,
                    firmware=FirmwareName(model.protocol),
                    allow_default_credentials=True,
                    commissioned_levels=levels if model is HYDRO_1566HA else (),
                )
                for rig in fleet.rigs.values()
                if rig.group.name == group.name
            ]
            for group in own.groups
        }
        controller = Controller(
            own,
            market,
            policy,
            drivers,
            clock,
            journal,
            mode=Mode.LIVE,
            settings=ControllerSettings(settled_supervision_s=150.0, policy_deadline_s=30.0),
        )
        loops = SimulatedLoops(own, fleet, clock, outdoor_of(market))
        end = start + timedelta(hours=hours)

        async def day() -> None:
            async with fleet:
                await run_simulated(controller, clock, end, after_tick=loops.update)

        asyncio.run(day())
        return Played(own, market, fleet, loops, journal, controller, start, end)

    yield run
    for journal in journals:
        journal.close()

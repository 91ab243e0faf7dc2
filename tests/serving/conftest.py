import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gridhash.agents.policy import Policy
from gridhash.config import SiteConfig, load_site
from gridhash.data.trace import Trace
from gridhash.envs.scenario import Scenario, build_scenario
from gridhash.serving.canary import Arming
from gridhash.serving.clock import SimulatedClock
from gridhash.serving.controller import Controller
from gridhash.serving.heartbeat import Heartbeat
from gridhash.serving.journal import Journal
from gridhash.serving.settings import ControllerSettings
from gridhash.serving.site_inputs import SiteLinks
from gridhash.serving.site_status import Mode
from tests.serving.bench import START, Bench, MemoryRig, Schedule

AT = datetime(2026, 1, 1, tzinfo=UTC)


class HandClock:
    """Wall and monotonic time, moved by hand and together."""

    def __init__(self) -> None:
        self.s = 1000.0

    def now(self) -> datetime:
        return AT + timedelta(seconds=self.s - 1000.0)

    def monotonic(self) -> float:
        return self.s


@pytest.fixture
def hand_clock() -> HandClock:
    return HandClock()


@pytest.fixture
def make_heartbeat() -> Callable[..., Heartbeat]:
    """Return a maker of heartbeats of a live controller at 100 kW, by tick."""

    def make(tick: int = 1, **given: Any) -> Heartbeat:
        fields: dict[str, Any] = {
            "site": "europe_sample",
            "controller": "host:/state",
            "run_id": 1,
            "lease_token": 1,
            "tick": tick,
            "at": AT,
            "mode": "live",
            "authority": "policy",
            "reason": "cheap",
            "setpoint_kw": {"loop_a": 100.0},
            "measured_kw": 100.0,
            "potential_kw": 100.0,
            "cap_kw": 4500.0,
        }
        return Heartbeat(**{**fields, **given})

    return make


@pytest.fixture
def base_address() -> str:
    """First of 250 loopback addresses that no other test process uses."""
    pid = os.getpid()
    return f"127.{64 + pid % 64}.{pid // 64 % 256}.1"


@pytest.fixture(scope="session")
def small_site() -> SiteConfig:
    pilot = load_site("japan_pilot")
    groups = tuple(group.model_copy(update={"n_rigs": 4}) for group in pilot.groups[:2])
    limits = pilot.limits.model_copy(update={"contract_power_kw": 250.0})
    return pilot.model_copy(update={"groups": groups, "limits": limits})


@pytest.fixture(scope="session")
def flat_scenario(small_site: SiteConfig) -> Scenario:
    starts = pd.date_range(START - timedelta(days=1), periods=96, freq="30min", unit="s")
    trace = Trace.from_prices(
        starts,
        np.full(96, 10.0),
        published_at=starts.normalize() - pd.Timedelta(hours=12),
        period_s=1800,
        currency="JPY",
        area="kyushu",
        source="test",
    )
    return build_scenario(small_site, trace)


@pytest.fixture
def folder() -> Iterator[Path]:
    """Return a folder in memory where there is one: every commit waits for the disk."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with TemporaryDirectory(dir=memory) as name:
        yield Path(name)


@pytest.fixture
def bench_of(folder: Path, small_site: SiteConfig, flat_scenario: Scenario) -> Callable[..., Bench]:
    def build(
        *shares: tuple[float, float],
        mode: Mode = Mode.LIVE,
        contract_power_kw: float | None = None,
        settings: ControllerSettings | None = None,
        running: bool = True,
        journal: Journal | None = None,
        arming: Arming | None = None,
        links: SiteLinks | None = None,
        policy: Policy | None = None,
    ) -> Bench:
        own = small_site
        if contract_power_kw is not None:
            limits = small_site.limits.model_copy(update={"contract_power_kw": contract_power_kw})
            own = small_site.model_copy(update={"limits": limits})
        clock = SimulatedClock(START)
        names = [f"{group.name}-{k}" for group in own.groups for k in range(4)]
        rigs = {name: MemoryRig(name, clock, running=running) for name in names}
        journal = journal or Journal(folder / "journal.sqlite")
        controller = Controller(
            own,
            flat_scenario,
            policy or Schedule(clock, *shares),
            {
                group.name: [rig for rig in rigs.values() if rig.rig_id.startswith(group.name)]
                for group in own.groups
            },
            clock,
            journal,
            mode=mode,
            settings=settings or ControllerSettings(settled_supervision_s=60.0),
            arming=arming,
            links=links,
        )
        return Bench(own, clock, rigs, journal, controller)

    return build

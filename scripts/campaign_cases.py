"""What a controller does while its rigs misbehave: one run per class of fault, on simulated rigs.

A run is a site at full power, which its policy tells to stop at the half hour, and a quarter of an
hour after that. Rigs speak their real protocol on loopback addresses, the clock is stepped (no
simulated second passes while a call is outstanding), and faults begin four minutes after the
start. Everything is judged from the journal and from what the rigs truly did
(`gridhash.serving.history`, `gridhash.serving.invariants`).
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gridhash.agents.policy import Observations, Policy
from gridhash.config import SiteConfig, load_site
from gridhash.data.trace import Trace
from gridhash.envs.action import ActionKind
from gridhash.envs.parameters import Floats
from gridhash.envs.scenario import Scenario, build_scenario
from gridhash.serving.clock import SimulatedClock
from gridhash.serving.controller import Controller
from gridhash.serving.drivers.capabilities import FirmwareName
from gridhash.serving.drivers.registry import driver_for
from gridhash.serving.history import check_run
from gridhash.serving.invariants import check_invariants
from gridhash.serving.invariants_kinds import Invariant
from gridhash.serving.journal import Journal
from gridhash.serving.replay import replay
from gridhash.serving.settings import ControllerSettings
from gridhash.serving.simulated_campaign import load_campaign
from gridhash.serving.simulated_faults import FaultSchedule
from gridhash.serving.simulated_fleet import SimulatedFleet
from gridhash.serving.simulated_history import WorldHistory, read_world
from gridhash.serving.simulated_log import WorldLog
from gridhash.serving.simulated_loops import SimulatedLoops, outdoor_of
from gridhash.serving.simulated_model import RigMismatch
from gridhash.serving.simulated_run import run_simulated
from gridhash.serving.site_status import Mode

START = datetime(2024, 4, 2, tzinfo=UTC)
"""Beginning of the day of all runs."""
HALF_HOUR_AT = START + timedelta(minutes=30)
"""When the policy asks for no power any more."""
AFTER = timedelta(minutes=15)
FAULTS_AFTER_S = 240.0
BASE_ADDRESS = "127.90.0.1"


class FullThenNone:
    """A policy of full power that asks for none after half an hour."""

    name = "full, then none"
    action_kind = ActionKind.POWER

    def act(self, observation: Observations) -> Floats:
        """Return the share of full power, by the half hour that the observation names."""
        angle = np.arctan2(observation[:, 0], observation[:, 1])
        half_hour = np.floor(np.mod(angle, 2.0 * np.pi) * 48.0 / (2.0 * np.pi) + 1e-3).astype(int)
        return np.outer(np.where(half_hour % 2 == 0, 1.0, 0.0), np.ones(4))


class NotNumbers(FullThenNone):
    """The same policy, whose every answer is NaN."""

    name = "NaN"

    def act(self, observation: Observations) -> Floats:
        """Return NaN."""
        return super().act(observation) * np.nan


class Raises(FullThenNone):
    """A policy that breaks off."""

    name = "raises"

    def act(self, observation: Observations) -> Floats:
        """Raise."""
        raise ArithmeticError("this policy always breaks off")


@dataclass(frozen=True, kw_only=True)
class Case:
    """A class of faults and how many rigs meet it."""

    name: str
    title: str
    n_rigs: int
    blocks: tuple[str, ...] = ()
    """Of the campaign, without times: lines of TOML."""
    full_min: int = 10
    """Minutes at full power before the policy asks for none."""
    shows_when_told: bool = False
    """Whether the fault shows only when the rig is told something."""
    policy: Policy = field(default_factory=lambda: FullThenNone())

    @property
    def start(self) -> datetime:
        """When the run begins."""
        return HALF_HOUR_AT - timedelta(minutes=self.full_min)

    def campaign(self, seed: int) -> str:
        """Return the campaign as TOML."""
        faults = [f"[[fault]]\nfrom_s = {FAULTS_AFTER_S}\n{block}\n" for block in self.blocks]
        return "\n".join([f"seed = {seed}", *faults])


def _tenth(kind: str, *more: str) -> tuple[str, ...]:
    return ("\n".join([f'kind = "{kind}"', "fraction = 0.1", *more]),)


N_FEW = 100
SHOW_WHEN_TOLD = ("lie", "say_no", "hang_up", "ignore_stop", "reboot_mid_command")
CASES = (
    Case(name="none", title="no fault", n_rigs=1000, full_min=30),
    Case(
        name="r3",
        title="30 % hang, refuse or drop replies, 5 % lie, 2 % stale or NaN",
        n_rigs=1000,
        full_min=30,
        blocks=(
            'kind = "hang"\nfraction = 0.1',
            'kind = "refuse"\nfraction = 0.1',
            'kind = "drop_reply"\nfraction = 0.1',
            'kind = "lie"\nfraction = 0.05',
            'kind = "stale"\nfraction = 0.01',
            'kind = "nan"\nfraction = 0.01',
        ),
    ),
    *(
        Case(
            name=kind,
            title=title,
            n_rigs=N_FEW,
            blocks=_tenth(kind, *more),
            shows_when_told=kind in SHOW_WHEN_TOLD,
        )
        for kind, title, *more in (
            ("hang", "accept and never answer"),
            ("refuse", "refuse connections"),
            ("black_hole", "drop every packet"),
            ("drop_reply", "obey, but half of the replies are lost", "probability = 0.5"),
            ("half_reply", "replies break off half-way", "probability = 0.5"),
            ("slow", "take 3 s for every command", "delay_s = 3.0"),
            ("lie", "say done and do nothing"),
            ("say_no", "refuse every command"),
            ("hang_up", "hang up on every command"),
            ("ignore_stop", "take every command but stop"),
            ("stale", "repeat old telemetry"),
            ("nan", "report NaN"),
            ("clock_skew", "clock an hour ahead", "skew_s = 3600"),
            ("reboot_mid_command", "reboot when told to change"),
            ("by_hand", "stopped by hand", 'change = "stop"'),
            ("swap_addresses", "exchange addresses in pairs"),
            ("power_cut", "lose power for five minutes", f"until_s = {FAULTS_AFTER_S + 300.0}"),
            ("pool_down", "earn nothing, for the pool is gone"),
        )
    ),
    Case(
        name="partition",
        title="30 % cut off for ten minutes, the stop in their middle",
        n_rigs=N_FEW,
        blocks=(f'kind = "black_hole"\nfraction = 0.3\nuntil_s = {FAULTS_AFTER_S + 600.0}',),
    ),
    Case(name="policy_nan", title="the policy answers NaN", n_rigs=N_FEW, policy=NotNumbers()),
    Case(name="policy_raises", title="the policy breaks off", n_rigs=N_FEW, policy=Raises()),
)


def site_of_rigs(n_rigs: int) -> SiteConfig:
    """Return the Japanese pilot with so many rigs, contract and cooling scaled to them."""
    pilot = load_site("japan_pilot")
    share, groups = n_rigs / pilot.n_rigs, []
    for k, group in enumerate(pilot.groups):
        n_own = n_rigs // 4 + (k < n_rigs % 4)
        own = n_own / group.n_rigs
        scaled = ("loop_heat_capacity_kj_per_k", "heat_rejection_kw_per_k", "fan_kw", "pump_kw")
        cooling = group.cooling.model_copy(
            update={name: getattr(group.cooling, name) * own for name in scaled}
        )
        groups.append(group.model_copy(update={"n_rigs": n_own, "cooling": cooling}))
    limits = pilot.limits.model_copy(
        update={"contract_power_kw": pilot.limits.contract_power_kw * share * 1.05}
    )
    return pilot.model_copy(update={"groups": tuple(groups), "limits": limits})


def scenario_of(site: SiteConfig) -> Scenario:
    """Return a flat price: what the policy does does not depend on it."""
    starts = pd.date_range(
        START - timedelta(days=1),
        periods=96,
        freq="30min",
        unit="s",
    )
    trace = Trace.from_prices(
        starts,
        np.full(96, 9.0),
        published_at=starts.normalize() - pd.Timedelta(hours=12),
        period_s=1800,
        currency="JPY",
        area="kyushu",
        source="fault campaign",
    )
    return build_scenario(site, trace)


def play(
    case: Case,
    seed: int,
    folder: Path,
    tell: Callable[[str], None],
    *,
    base_address: str = BASE_ADDRESS,
) -> dict[str, Any]:
    """Play a case and return its figures; its rigs are at addresses from `base_address` on.

    Raises
    ------
    GridhashError
        If rigs cannot listen or the controller breaks off.
    """
    site = site_of_rigs(case.n_rigs)
    scenario, clock = scenario_of(site), SimulatedClock(case.start)
    mismatch = RigMismatch(power_lag_s=6.0, power_factor=1.02, efficiency_factor=1.03)
    log = WorldLog(folder / "world.jsonl", case.start)
    fleet = SimulatedFleet.of_groups(
        site.groups, clock, base_address=base_address, mismatch=mismatch, log=log
    )
    schedule = _schedule(case, seed, fleet, clock, folder)
    drivers = {
        group.name: [
            driver_for(rig.rig_id, rig.address, clock, firmware=FirmwareName.AVALON)
            for rig in fleet.rigs.values()
            if rig.group.name == group.name
        ]
        for group in site.groups
    }
    journal = Journal(folder / "journal.sqlite")
    controller = Controller(
        site,
        scenario,
        case.policy,
        drivers,
        clock,
        journal,
        mode=Mode.LIVE,
        settings=ControllerSettings(policy_deadline_s=30.0),
    )
    loops = SimulatedLoops(site, fleet, clock, outdoor_of(scenario))
    ticks: list[tuple[datetime, float]] = []

    def after_tick(running: Controller) -> None:
        ticks.append((clock.now(), time.perf_counter()))
        loops.update(running)
        tell(f"{case.name}: {clock.now():%H:%M:%S}, {len(ticks)} ticks")

    async def run() -> None:
        async with fleet, schedule or nullcontext():
            await run_simulated(controller, clock, HALF_HOUR_AT + AFTER, after_tick=after_tick)

    began = time.perf_counter()
    with journal, log:
        asyncio.run(run())
        met = schedule.met if schedule else []
        faulty = {rig_id for _, rigs in met for rig_id in rigs}
        log.flush()
        found = figures(case, journal, fleet, faulty, [(case.start, began), *ticks])
        return found | kept(journal, read_world(log.path))


def _schedule(
    case: Case, seed: int, fleet: SimulatedFleet, clock: SimulatedClock, folder: Path
) -> FaultSchedule | None:
    if not case.blocks:
        return None
    plan = folder / "campaign.toml"
    plan.write_text(case.campaign(seed), "utf-8")
    return FaultSchedule(fleet, load_campaign(plan), clock, origin=str(plan))


def figures(
    case: Case,
    journal: Journal,
    fleet: SimulatedFleet,
    faulty: set[str],
    ticks: list[tuple[datetime, float]],
) -> dict[str, Any]:
    """Return what the journal and the rigs say of a run."""
    check = check_run(journal, fleet)
    alarms = journal.frame("alarms", journal.last_run_id())
    own = alarms[alarms.rig_id.notna()]
    first = own[own.rig_id.isin(faulty)].groupby("rig_id")["at"].min()
    faults_after = timedelta(seconds=FAULTS_AFTER_S if case.blocks else 0.0)
    began_at = pd.Timestamp(case.start + faults_after)
    shown_at = pd.Timestamp(HALF_HOUR_AT) if case.shows_when_told else began_at
    about_all = alarms[alarms.rig_id.isna() & (alarms["at"] >= shown_at)]
    walls = [after[1] - before[1] for before, after in pairwise(ticks)]
    stops = [
        wall
        for (at, _), wall in zip(ticks[1:], walls, strict=True)
        if timedelta(0) <= at - HALF_HOUR_AT < timedelta(seconds=10)
    ]
    return {
        "n_rigs": len(fleet.rigs),
        "n_faulty": len(faulty),
        "n_commands": check.n_commands,
        "n_without_intent": check.n_without_intent,
        "violations": list(check.violations[:20]),
        "n_violations": len(check.violations),
        "stop_tick_s": round(max(stops), 2) if stops else None,
        "longest_tick_s": round(max(walls), 2),
        "verified_frac": round(check.verified_frac, 4),
        "verified_p95_s": _rounded(check.p95_s),
        "claimed_frac": round(check.claimed_frac, 4),
        "claimed_kwh": round(check.claimed_kwh, 2),
        "claimed_from_faulty_kwh": round(check.claimed_from_faulty_kwh, 3),
        "truly_reduced_kwh": round(check.truly_reduced_kwh, 2),
        "n_alarms": len(alarms),
        "n_faulty_with_alarm": len(first),
        "rig_alarm_after_s": _seconds(first.max() - shown_at) if len(first) else None,
        "site_alarms": {
            str(kind): [len(each), _seconds(each["at"].min() - shown_at)]
            for kind, each in about_all.groupby("kind", sort=False)
        },
        "n_sound_with_alarm": int(own[~own.rig_id.isin(faulty)].rig_id.nunique()),
        "alarms": {str(kind): int(n) for kind, n in alarms.kind.value_counts().items()},
        "replayed_alike": replay(journal, case.policy).different == 0,
    }


def kept(journal: Journal, world: WorldHistory) -> dict[str, Any]:
    """Return which promises were kept, and how much was done, by the world's own log."""
    found = check_invariants(journal, world)
    return {
        "invariants": {str(own): found.count(own) for own in Invariant},
        "broken": [str(own) for own in found.violations[:20]],
        "arrived_frac": round(found.arrived_frac, 4),
        "claimed_of_provable_frac": round(found.claimed_of_provable_frac, 4),
    }


def _rounded(value: float) -> float | None:
    return None if np.isnan(value) else round(value, 1)


def _seconds(gone: pd.Timedelta) -> float:
    return round(gone.total_seconds(), 1)

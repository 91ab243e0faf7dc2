"""`gridhash commission` from its options to its report."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gridhash.config import RigGroupConfig, SiteConfig
from gridhash.errors import ServingError
from gridhash.serving.clock import Clock
from gridhash.serving.commission import Commissioned, Commissioner, kinds_of, site_alone
from gridhash.serving.commission_plan import CommissionPlan, plan_commissioning
from gridhash.serving.commission_progress import Progress, read_progress
from gridhash.serving.commission_steps import TrialSettings, probed_levels
from gridhash.serving.commission_words import plan_lines, report_lines
from gridhash.serving.commissioning_record import LEAST_RIGS, read_record, write_record
from gridhash.serving.drivers.concurrency import read_rigs
from gridhash.serving.drivers.driver import FirmwareDriver
from gridhash.serving.journal import Journal
from gridhash.serving.known_rigs import known_macs
from gridhash.serving.lease import Lease
from gridhash.serving.line_record import LineRecord
from gridhash.serving.rig_list import drivers_of, read_rig_list
from gridhash.serving.roll_call import call_roll, check_roll
from gridhash.serving.state_folder import StateFolder
from gridhash.serving.stop_signal import StopSignal

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class CommissionRequest:
    """What is asked for."""

    site: SiteConfig
    """With as many rigs as are listed."""
    rigs: Path
    folder: StateFolder
    racks: Mapping[str, str]
    person: str
    consents: bool
    """Whether rigs may be stopped; if not, only the plan is told."""
    restore_only: bool = False
    rigs_per_kind: int = LEAST_RIGS
    settings: TrialSettings = field(default_factory=TrialSettings)


async def commission_site(
    request: CommissionRequest, clock: Clock, *, say: Say, stop: StopSignal
) -> int:
    """Measure the rigs of a site, or say what would be done; return the exit code.

    0: done, or a plan; 1: something is not as it should be, and the report says what.

    Raises
    ------
    ServingError
        If the site may not be commissioned now, or no rig answers.
    """
    if not LEAST_RIGS <= request.rigs_per_kind <= 50:
        raise ServingError(f"--rigs-per-kind is {LEAST_RIGS} to 50, not {request.rigs_per_kind}")
    if request.consents and not (request.person.strip() and request.person.isprintable()):
        raise ServingError("--person NAME: who takes the responsibility of stopping rigs?")
    record = read_record(request.rigs, request.site.name)
    progress = read_progress(request.folder.commissioning, clock.now())
    drivers = _drivers(request, clock)
    if request.consents or request.restore_only:
        with site_alone(request.folder, clock) as lease:
            return await _kept(lease, _run(request, clock, drivers, progress, say=say, stop=stop))
    plan = await _plan(request, clock, drivers)
    for line in plan_lines(request.site, plan, request.settings, progress, record):
        say(line)
    return 0


async def _run(
    request: CommissionRequest,
    clock: Clock,
    drivers: dict[str, tuple[RigGroupConfig, FirmwareDriver]],
    progress: Progress,
    *,
    say: Say,
    stop: StopSignal,
) -> int:
    lines = LineRecord(request.folder.commissioning, alone=True)
    try:
        work = Commissioner(
            request.site,
            drivers,
            request.folder,
            clock,
            lines,
            settings=request.settings,
            stop=stop,
            say=say,
        )
        if request.restore_only:
            left = await work.restore(progress.left_behind)
            say("every rig is as it was found" if not left else f"NOT restored: {', '.join(left)}")
            return 1 if left else 0
        plan = await _plan(request, clock, drivers)
        done = await work.run(plan, progress, request.person)
    finally:
        lines.close()
    kinds = kinds_of(done.measured, request.person, clock)
    if kinds and not done.not_restored:
        found = read_record(request.rigs, request.site.name).with_kinds(kinds)
        write_record(request.rigs, found)
    for line in report_lines(request.site, request.rigs, plan, done, kinds):
        say(line)
    return 1 if _is_amiss(done) or not kinds else 0


async def _plan(
    request: CommissionRequest,
    clock: Clock,
    drivers: Mapping[str, tuple[RigGroupConfig, FirmwareDriver]],
) -> CommissionPlan:
    fates = await call_roll([(group.name, driver) for group, driver in drivers.values()])
    check_roll(fates, live=True)
    readings = await read_rigs([driver for _, driver in drivers.values()], clock)
    locked: dict[str, str] = {}
    if request.folder.journal.is_file():
        with Journal(request.folder.journal, read_only=True) as journal:
            locked = journal.last_lockouts()
    return plan_commissioning(
        request.site,
        fates,
        readings,
        locked=locked,
        racks=request.racks,
        rigs_per_kind=request.rigs_per_kind,
    )


def _drivers(
    request: CommissionRequest, clock: Clock
) -> dict[str, tuple[RigGroupConfig, FirmwareDriver]]:
    placed = drivers_of(
        read_rig_list(request.rigs),
        request.site,
        clock,
        macs=known_macs(request.folder.journal),
        levels=probed_levels,
    )
    groups = {group.name: group for group in request.site.groups}
    return {driver.rig_id: (groups[name], driver) for name, own in placed.items() for driver in own}


async def _kept(lease: Lease, work: Coroutine[Any, Any, int]) -> int:
    """Return what the work returns, while the lease is renewed; end it if the lease is lost."""
    keeper, own = asyncio.create_task(lease.keep()), asyncio.create_task(work)
    try:
        await asyncio.wait({keeper, own}, return_when=asyncio.FIRST_COMPLETED)
        if keeper.done() and not own.done():
            keeper.result()
        return await own
    finally:
        for task in (keeper, own):
            task.cancel()
        await asyncio.gather(keeper, own, return_exceptions=True)


def _is_amiss(done: Commissioned) -> bool:
    return bool(done.ended or done.not_restored or any(own.problems for own in done.measured))

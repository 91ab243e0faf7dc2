"""`gridhash commission`: measure what a site's rigs do, few of them first; leave all as found.

A commissioning holds the site's lease, so no controller commands meanwhile; it only ever stops and
starts rigs that ran before it. Each rig is brought back to how it was found, whatever happens:
after a fault, after Ctrl-C, and by the next call after a kill.
"""

import asyncio
import os
import socket
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from gridhash.config import RigGroupConfig, SiteConfig
from gridhash.errors import GridhashError, ServingError
from gridhash.serving.clock import Clock
from gridhash.serving.commission_found import Measured, Was, how_it_runs
from gridhash.serving.commission_plan import CommissionPlan, CommissionStage
from gridhash.serving.commission_progress import Progress
from gridhash.serving.commission_steps import Interrupted, TrialSettings
from gridhash.serving.commission_trial import RigTrial
from gridhash.serving.commissioning_record import (
    LEAST_RIGS,
    CommissionedKind,
    PointFound,
    Quantiles,
)
from gridhash.serving.drivers.capabilities import FirmwareName
from gridhash.serving.drivers.driver import FirmwareDriver
from gridhash.serving.guard_notice import read_guard_notice
from gridhash.serving.journal import Journal
from gridhash.serving.lease import Lease
from gridhash.serving.lease_record import newest_token
from gridhash.serving.line_record import LineRecord
from gridhash.serving.state_folder import StateFolder
from gridhash.serving.stop_signal import StopSignal
from gridhash.units import W_PER_KW

LEVEL_RISE = 0.3
"""By which a work level may draw more than nameplate, for the room that trying it needs."""

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Commissioned:
    """What came of it."""

    measured: tuple[Measured, ...]
    not_restored: Mapping[str, str]
    """Why a rig is not as it was found, by rig: a person must look at it."""
    ended: str
    """Why it ended early; empty if every stage was done."""


@contextmanager
def site_alone(folder: StateFolder, clock: Clock) -> Iterator[Lease]:
    """Hold the lease of a site, so that no controller commands its rigs meanwhile.

    Raises
    ------
    LeaseHeld
        If a controller commands the site.
    ServingError
        If stop-all is in force or a guard is at work.
    """
    if folder.stop_all.exists():
        raise ServingError("stop-all is in force: gridhash release --stop-all first")
    notice = read_guard_notice(folder.guard_notice)
    if notice is not None and (notice.binds or (clock.now() - notice.at).total_seconds() < 60.0):
        raise ServingError(
            f"guard {notice.guard} is {notice.state}: end it first, it would stop rigs that this "
            "starts again"
        )
    folder.path.mkdir(parents=True, exist_ok=True)
    above = 0
    if folder.journal.is_file():
        with Journal(folder.journal, read_only=True) as journal:
            above = newest_token(journal)
    holder = f"gridhash commission on {socket.gethostname()} process {os.getpid()}"
    lease = Lease(folder.lease, holder=holder)
    lease.acquire(clock.now(), above=above)
    try:
        yield lease
    finally:
        lease.release()


class Commissioner:
    """Puts the rigs of a plan through their trials."""

    def __init__(
        self,
        site: SiteConfig,
        drivers: Mapping[str, tuple[RigGroupConfig, FirmwareDriver]],
        folder: StateFolder,
        clock: Clock,
        record: LineRecord,
        *,
        settings: TrialSettings,
        stop: StopSignal,
        say: Say,
    ) -> None:
        """Command nothing yet; `drivers` gives each rig's group and driver."""
        self._site = site
        self._drivers = drivers
        self._folder = folder
        self._clock = clock
        self._record = record
        self._settings = settings
        self._stop = stop
        self._say = say
        self._not_restored: dict[str, str] = {}

    async def restore(self, left_behind: Mapping[str, Was]) -> dict[str, str]:
        """Bring back rigs that a commissioning left behind; return why some are not, by rig."""
        if left_behind:
            self._say(f"bringing back {len(left_behind)} rigs that the last commissioning left")
        await asyncio.gather(
            *(
                self._restore(self._trial(rig_id), rig_id, was)
                for rig_id, was in left_behind.items()
                if self._is_known(rig_id)
            )
        )
        return dict(self._not_restored)

    async def run(self, plan: CommissionPlan, progress: Progress, person: str) -> Commissioned:
        """Do every stage, the next one only after a clean one; rigs done before are left alone."""
        self._note("begin", person=person, site=self._site.name)
        await self.restore(progress.left_behind)
        done = dict(progress.measured)
        ended = "rigs of an earlier commissioning are not restored" if self._not_restored else ""
        for stage in plan.stages:
            if ended:
                break
            todo = [rig_id for rig_id in stage.rigs if rig_id not in done]
            self._say(f"stage: {stage.words}, {len(todo)} rigs")
            may_raise = plan.room_kw >= LEVEL_RISE * self._rigs_kw(todo)
            found = await asyncio.gather(
                *(self._try(rig_id, stage, may_raise=may_raise) for rig_id in todo)
            )
            done |= {own.rig_id: own for own in found if own is not None}
            ended = self._why_end() or _why_not_on(found, self._not_restored)
        if not ended:
            self._note("end")
        return Commissioned(
            measured=tuple(done.values()), not_restored=dict(self._not_restored), ended=ended
        )

    async def _try(
        self, rig_id: str, stage: CommissionStage, *, may_raise: bool
    ) -> Measured | None:
        _, driver = self._drivers[rig_id]
        trial = self._trial(rig_id)
        try:
            was, first = await how_it_runs(driver)
        except GridhashError as err:
            self._say(f"{rig_id}: left alone, {err}")
            return None
        self._note("before", rig_id=rig_id, was=was.model_dump(mode="json"))
        found: Measured | None = None
        try:
            found = await trial.run(was, first, full=stage.full, may_raise=may_raise)
        except Interrupted:
            pass
        except ServingError as err:
            self._say(f"{rig_id}: {err}")
        finally:
            await self._restore(trial, rig_id, was)
        if found is not None:
            self._note("measured", rig_id=rig_id, found=found.model_dump(mode="json"))
            for words in (*found.problems, *found.foreign):
                self._say(f"{rig_id}: {words}")
        return found

    async def _restore(self, trial: RigTrial, rig_id: str, was: Was) -> None:
        why = await trial.restore(was, may_start=not self._folder.stop_all.exists())
        if why:
            self._not_restored[rig_id] = why
            self._say(f"{rig_id}: NOT as it was found: {why}")
        else:
            self._not_restored.pop(rig_id, None)
            self._note("restored", rig_id=rig_id)

    def _trial(self, rig_id: str) -> RigTrial:
        group, driver = self._drivers[rig_id]
        note = partial(self._note, rig_id=rig_id)
        return RigTrial(
            driver, group, self._clock, self._settings, note=note, why_end=self._why_end
        )

    def _is_known(self, rig_id: str) -> bool:
        if rig_id not in self._drivers:
            self._not_restored[rig_id] = "it is no longer in the rig list"
        return rig_id in self._drivers

    def _why_end(self) -> str:
        if self._folder.stop_all.exists():
            return "stop-all was ordered"
        return "it was interrupted" if self._stop.requested else ""

    def _rigs_kw(self, rigs: Sequence[str]) -> float:
        return sum(self._drivers[rig_id][0].rig_power_w for rig_id in rigs) / W_PER_KW

    def _note(self, kind: str, **fields: object) -> None:
        self._record.write(self._clock.now(), kind, **fields)


def _why_not_on(found: Sequence[Measured | None], not_restored: Mapping[str, str]) -> str:
    """Return why no larger stage may follow; empty if it may."""
    if not_restored:
        return f"{len(not_restored)} rigs are not as they were found"
    bad = [own.rig_id for own in found if own is not None and own.problems]
    return f"{', '.join(bad[:3])} did not do as told: no larger stage follows" if bad else ""


def kinds_of(
    measured: Sequence[Measured], person: str, clock: Clock
) -> tuple[CommissionedKind, ...]:
    """Return the figures of each kind of which enough rigs did as they were told."""
    by_kind: dict[tuple[str, str, str | None], list[Measured]] = {}
    for own in measured:
        if not own.problems:
            by_kind.setdefault((own.firmware, own.model, own.version), []).append(own)
    return tuple(_kind(own, person, clock) for own in by_kind.values() if len(own) >= LEAST_RIGS)


def _kind(rigs: Sequence[Measured], person: str, clock: Clock) -> CommissionedKind:
    first = rigs[0]
    running_w = Quantiles.of(own.running_w for own in rigs)
    assert running_w is not None
    survived = {own.survives_reboot for own in rigs} - {None}
    return CommissionedKind(
        firmware=FirmwareName(first.firmware),
        model=first.model,
        version=first.version,
        at=clock.now(),
        person=person,
        n_rigs=len(rigs),
        clock_skew_s=Quantiles.of(own.clock_skew_s for own in rigs),
        running_w=running_w,
        standby_w=Quantiles.of(own.standby_w for own in rigs),
        stop_s=Quantiles.of(own.stop_s for own in rigs),
        resume_s=Quantiles.of(own.resume_s for own in rigs),
        hash_s=Quantiles.of(own.hash_s for own in rigs),
        points=_points(rigs),
        sleep_survives_reboot=survived.pop() if len(survived) == 1 else None,
        competing_manager=any(own.foreign for own in rigs),
        macs=tuple(own.mac for own in rigs if own.mac),
    )


def _points(rigs: Sequence[Measured]) -> tuple[PointFound, ...]:
    """Return the levels, powers and presets that enough rigs took, and none refused."""
    tried = Counter(point.name for own in rigs for point in own.points)
    found = []
    for name, n_tried in tried.items():
        taken = [
            point for own in rigs for point in own.points if point.name == name and point.taken
        ]
        power_w = Quantiles.of(point.power_w for point in taken)
        seconds = Quantiles.of(point.seconds for point in taken)
        if len(taken) == n_tried >= LEAST_RIGS and power_w is not None and seconds is not None:
            found.append(
                PointFound(name=name, level=taken[0].level, power_w=power_w, seconds=seconds)
            )
    return tuple(found)

"""The loop that runs a site: read, decide, command, verify by watts, record.

*Dispatch* asks the policy once per dispatch interval; *supervision* reads the rigs, checks limits,
verifies, retries and reconciles more often and never waits for the next dispatch. An intent is
committed before its command is sent. In shadow mode everything happens but the commands.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial

from gridhash.agents.policy import Policy
from gridhash.config import SiteConfig
from gridhash.envs.scenario import Scenario
from gridhash.errors import ServingError
from gridhash.serving.aggregate import TripLatch, group_state
from gridhash.serving.claims import ClaimBook
from gridhash.serving.clock import Clock
from gridhash.serving.commissioning import drivers_by_rig, identify
from gridhash.serving.decide import Authority, Decision, decide, policy_name
from gridhash.serving.drivers.concurrency import command_rigs, gather_bounded, read_rigs
from gridhash.serving.drivers.protocol import Command, RigDriver
from gridhash.serving.findings import Alarm, AlarmRaised, Finding
from gridhash.serving.journal import Journal, Row
from gridhash.serving.pending import Pending
from gridhash.serving.reconcile import PlannedCommand, Reconciler
from gridhash.serving.recorder import NO_INTENT, Recorder
from gridhash.serving.rig_status import RigStatus
from gridhash.serving.settings import ControllerSettings
from gridhash.serving.site_state import SiteModel, SiteSnapshot, market_row_at
from gridhash.serving.site_status import Mode, SiteStatus
from gridhash.serving.snapshot import RigReading

WARM_UP_S = 60.0
"""Wall time that the policy may take for its first, discarded answer."""

SHORTEST_STEP = timedelta(seconds=1.0)


class Controller:
    """Runs one site. Call `start`, then `tick` (or `run`), then `finish`."""

    def __init__(
        self,
        site: SiteConfig,
        scenario: Scenario,
        policy: Policy | None,
        drivers: Mapping[str, Sequence[RigDriver]],
        clock: Clock,
        journal: Journal,
        *,
        mode: Mode = Mode.SHADOW,
        settings: ControllerSettings | None = None,
        bundle_hash: str = "",
        note: str = "",
    ) -> None:
        """Prepare to run a site; nothing is sent.

        Parameters
        ----------
        scenario
            Where prices and readings of the market come from.
        policy
            None for the level rule.
        drivers
            The drivers of each group's rigs, by group name; as many as the site says.

        Raises
        ------
        ServingError
            If the drivers are not those of the site.
        """
        self.site = site
        self.mode = mode
        self.settings = settings or ControllerSettings()
        self.decision: Decision | None = None
        self._model = SiteModel.of(site)
        self._scenario = scenario
        self._policy = policy
        self._clock = clock
        self._bundle_hash = bundle_hash
        self._note = note
        self._drivers = drivers_by_rig(site, drivers)
        changes, lockouts = journal.last_changes(), journal.last_lockouts()
        self.groups = [
            [
                RigStatus(
                    driver.rig_id,
                    group,
                    tuple(group.level_power_kw(level) for level in site.levels_of(group)),
                    self.settings,
                    last_change=changes.get(driver.rig_id),
                    lockout=lockouts.get(driver.rig_id, ""),
                )
                for driver in drivers[group.name]
            ]
            for group in site.groups
        ]
        self.rigs = {rig.rig_id: rig for rigs in self.groups for rig in rigs}
        self._reconciler = Reconciler(self._model, self.groups, self.settings)
        self._claims = ClaimBook()
        self._trips = [TripLatch(group) for group in site.groups]
        self._dispatch_at: datetime | None = None
        self._read_at: datetime | None = None
        self._last_tick: tuple[datetime, float] | None = None
        self._recorder = Recorder(journal)
        self._standing: set[Alarm] = set()

    @property
    def run_id(self) -> int:
        """The run in the journal; 0 before `start`."""
        return self._recorder.run_id

    async def start(self) -> None:
        """Identify and read every rig, and begin a run in the journal.

        Raises
        ------
        ServingError
            If no rig answers or the journal cannot be written.
        """
        with self._clock.outstanding("start"):
            notes = await gather_bounded(
                [partial(identify, driver) for driver, _ in self._placed()]
            )
            readings = await read_rigs(list(self._drivers.values()), self._clock)
            if all(reading is None for reading in readings.values()):
                places = ", ".join(driver.address for driver in list(self._drivers.values())[:3])
                raise ServingError(
                    f"none of {len(readings)} rigs answers ({places} …): check power, network and "
                    "the addresses"
                )
            now = self._clock.now()
            self._recorder.begin(
                self.site,
                now,
                mode=self.mode,
                policy_name=policy_name(self._policy),
                bundle_hash=self._bundle_hash,
                note=self._note,
            )
            rows = [
                self._recorder.rig_row(driver, rig_group, now, note)
                for (driver, rig_group), note in zip(self._placed(), notes, strict=True)
            ]
            self._recorder.append([*rows, *self._take_in(readings, now)])
            self._count(now)
            decide(self._snapshot(now), self._model, self._policy, policy_deadline_s=WARM_UP_S)

    async def tick(self) -> datetime:
        """Supervise once, and dispatch if it is time; return when to tick again.

        Raises
        ------
        ServingError
            If `start` was not called.
        """
        if not self.run_id:
            raise ServingError("the controller was not started: await start() first")
        with self._clock.outstanding("tick"):
            now = self._clock.now()
            self._notice_clock_set(now)
            due = self._due(now)
            readings = await read_rigs([self._drivers[rig_id] for rig_id in due], self._clock)
            rows = self._take_in(readings, now)
            findings = self._check_trips(now)
            snapshot = self._decide_if_due(now)
            assert self.decision is not None
            findings += self._site_alarms(self.decision, now)
            tripped = {trip.name for trip in self._trips if trip.tripped}
            plan = self._reconciler.plan(self.decision, now, tripped)
            commands = plan.commands if self.mode is Mode.LIVE else ()
            rows += [finding.row(self.run_id) for finding in findings]
            rows.append(self.status().row(self.run_id))
            sent = self._recorder.commit(rows, snapshot, self.decision, commands, now)
            if self._recorder.decision_lost:
                self._dispatch_at = None
            await self._send(sent, now)
            return self._next_at(now, plan.next_at if self.mode is Mode.LIVE else None)

    async def run(self, until: datetime | None = None) -> None:
        """Start, tick on the clock until an instant (for ever if None), and finish."""
        await self.start()
        try:
            while until is None or self._clock.now() < until:
                next_at = await self.tick()
                await self._clock.sleep_until(next_at if until is None else min(next_at, until))
        finally:
            await self.finish()

    async def finish(self) -> None:
        """Read every rig once more, command nothing, and write the claims that are still open."""
        with self._clock.outstanding("finish"):
            readings = await read_rigs(list(self._drivers.values()), self._clock)
            rows = self._take_in(readings, self._clock.now())
            rows.append(self.status().row(self.run_id))
            rows += [claim.row(self.run_id) for claim in self._claims.close()]
            self._recorder.append(rows)

    def lock_out(self, rig_id: str, *, person: str, reason: str) -> None:
        """Stop a rig at the next tick and never start it until a named person clears it."""
        self._rig(rig_id).lockout = f"{reason} ({person})"
        self._record(Alarm.LOCKOUT, rig_id, f"{reason}, by {person}")

    def clear(self, rig_id: str, *, person: str) -> None:
        """Take a rig back into use: end its lockout and forget its failures."""
        rig = self._rig(rig_id)
        rig.lockout, rig.flag, rig.n_failures, rig.next_try_at = "", "", 0, None
        self._record(Alarm.CLEARED, rig_id, f"by {person}")

    def status(self) -> SiteStatus:
        """Return the site at a glance."""
        return SiteStatus.of(
            self.rigs.values(),
            at=self._clock.now(),
            mode=self.mode,
            decision=self.decision,
            cap_kw=float(self._model.params.rig_cap_kw),
            claimed_kw=self._claims.claimed_kw,
        )

    def _notice_clock_set(self, now: datetime) -> None:
        """Wait no longer than meant after the host's clock was set back."""
        monotonic_s = self._clock.monotonic()
        if self._last_tick is not None:
            last_at, last_s = self._last_tick
            by = now - last_at - timedelta(seconds=monotonic_s - last_s)
            if by < -SHORTEST_STEP:
                self._read_at = self._dispatch_at = None
                for rig in self.rigs.values():
                    rig.clock_set(by)
        self._last_tick = now, monotonic_s

    def _due(self, now: datetime) -> list[str]:
        """Return the rigs to read now: all when it is time, else those with a command under way."""
        times = (self._read_at, self._dispatch_at)
        everything = any(at is None or now >= at for at in times)
        if everything:
            busy = any(rig.pending is not None for rig in self.rigs.values())
            settings = self.settings
            step_s = settings.supervision_s if busy else settings.settled_supervision_s
            self._read_at = now + timedelta(seconds=step_s)
        due = []
        for rig in self.rigs.values():
            check_at = rig.pending.check_at if rig.pending is not None else None
            own = [at for at in (rig.probe_at, check_at) if at is not None]
            if any(now >= at for at in own) or (everything and rig.probe_at is None):
                due.append(rig.rig_id)
        return due

    def _take_in(self, readings: Mapping[str, RigReading | None], now: datetime) -> list[Row]:
        findings: list[Finding] = []
        rows: list[Row] = []
        hold_until = self._dispatch_after(now)
        for rig_id, reading in readings.items():
            rig = self.rigs[rig_id]
            findings += rig.see(reading, now, hold_until)
            if reading is not None:
                rows.append(self._recorder.reading_row(reading))
        for rig in self.rigs.values():
            findings += rig.expire(now)
            rows += [claim.row(self.run_id) for claim in self._claims.update(rig)]
        return rows + [finding.row(self.run_id) for finding in findings]

    def _check_trips(self, now: datetime) -> list[Finding]:
        alarms: list[Finding] = []
        for group, rigs, trip in zip(self.site.groups, self.groups, self._trips, strict=True):
            if trip.update(rigs):
                self._dispatch_at = now  # stop now, not at the next dispatch
                text = f"{group.name}: a chip is at {group.cooling.chip_trip_c:g} °C or more"
                alarms.append(AlarmRaised(at=now, kind=Alarm.TRIPPED, text=text))
        return alarms

    def _decide_if_due(self, now: datetime) -> SiteSnapshot | None:
        """Decide at a dispatch instant, or at once if the cap fell below the setpoint."""
        cap_kw = self._model.params.rig_cap_kw - self._reconciler.uncontrolled_kw(now)
        due = self._dispatch_at is None or now >= self._dispatch_at
        if self.decision is not None and not due:
            counted_kw = sum(self.decision.setpoint_kw)
            if counted_kw <= cap_kw + 1e-6 or self.mode is Mode.SHADOW:
                return None
        self._count(now)
        snapshot = self._snapshot(now)
        self.decision = decide(
            snapshot,
            self._model,
            self._policy,
            policy_deadline_s=self.settings.policy_deadline_s,
        )
        self._dispatch_at = self._dispatch_after(now)
        return snapshot

    def _count(self, now: datetime) -> None:
        for rig in self.rigs.values():
            rig.counted = rig.takes_commands(now)

    def _snapshot(self, now: datetime) -> SiteSnapshot:
        market = market_row_at(self._scenario, now)
        interval_s = self.site.dispatch_interval_s
        gone_s = 0.0 if market is None else (now - market.period_start).total_seconds()
        groups = []
        for g, (group, rigs) in enumerate(zip(self.site.groups, self.groups, strict=True)):
            running = [rig for rig in rigs if rig.counted and rig.running]
            running_kw = sum((rig.level_kw[rig.level] for rig in running), 0.0)
            follows = self.decision is not None and self.mode is Mode.LIVE
            setpoint_kw = self.decision.setpoint_kw[g] if self.decision and follows else running_kw
            groups.append(
                group_state(
                    group,
                    rigs,
                    self._model.params,
                    now,
                    setpoint_kw=setpoint_kw,
                    tripped=self._trips[g].tripped,
                )
            )
        return SiteSnapshot(
            at=now,
            substep=int(gone_s // interval_s),
            market=market,
            groups=tuple(groups),
            uncontrolled_kw=self._reconciler.uncontrolled_kw(now),
        )

    async def _send(self, sent: Sequence[tuple[PlannedCommand, int]], now: datetime) -> None:
        findings: list[Finding] = []
        calls = []
        for planned, intent_id in sent:
            rig, driver = planned.rig, self._drivers[planned.rig.rig_id]
            boot_s = rig.group.boot_s if planned.command is Command.RESUME else 0.0
            within = timedelta(seconds=self.settings.verify_within_s + boot_s)
            findings += rig.sent(
                Pending(
                    intent_id=intent_id,
                    command=planned.command,
                    level=planned.level,
                    sent_at=now,
                    deadline_at=now + within,
                    before_kw=rig.power_kw,
                )
            )
            if planned.command is Command.STOP:
                calls.append(partial(driver.stop, forced=planned.forced))
            elif planned.command is Command.RESUME:
                calls.append(partial(driver.resume))
            else:
                assert planned.level is not None
                calls.append(partial(driver.set_work_level, planned.level))
        results = await command_rigs(calls, self._clock)
        rows = []
        for (planned, intent_id), result in zip(sent, results, strict=True):
            findings += planned.rig.answered(result, self._clock.now())
            if intent_id != NO_INTENT:
                rows.append(self._recorder.result_row(result, intent_id, now))
        if sent:
            self._recorder.append([*rows, *(finding.row(self.run_id) for finding in findings)])

    def _site_alarms(self, decision: Decision, now: datetime) -> list[Finding]:
        """Return the alarms of the site that begin now."""
        over_kw = self._reconciler.potential_kw() - self._model.params.rig_cap_kw
        replaced = self._policy is not None and decision.authority is Authority.FALLBACK
        texts = {
            Alarm.POLICY_REPLACED: decision.reason if replaced else "",
            Alarm.NO_PRICE: decision.reason if decision.authority is Authority.HOLD else "",
            Alarm.OVER_CAP: f"rigs may draw {over_kw:.1f} kW too much" if over_kw > 1e-6 else "",
        }
        begun = [kind for kind, text in texts.items() if text and kind not in self._standing]
        self._standing = {kind for kind, text in texts.items() if text}
        return [AlarmRaised(at=now, kind=kind, text=texts[kind]) for kind in begun]

    def _next_at(self, now: datetime, plan_at: datetime | None) -> datetime:
        pending = [rig.pending for rig in self.rigs.values() if rig.pending is not None]
        if pending and self._read_at is not None:
            within = timedelta(seconds=self.settings.supervision_s)
            self._read_at = min(self._read_at, now + within)
        times = [self._dispatch_at, self._read_at, plan_at]
        times += [at for own in pending for at in (own.check_at, own.deadline_at)]
        times += [rig.probe_at for rig in self.rigs.values()]
        return max(min(at for at in times if at is not None), now + SHORTEST_STEP)

    def _dispatch_after(self, now: datetime) -> datetime:
        """Return the next instant of the dispatch grid, which counts from 1970."""
        interval_s = self.site.dispatch_interval_s
        return datetime.fromtimestamp((now.timestamp() // interval_s + 1) * interval_s, UTC)

    def _placed(self) -> Iterator[tuple[RigDriver, str]]:
        for group, rigs in zip(self.site.groups, self.groups, strict=True):
            for rig in rigs:
                yield self._drivers[rig.rig_id], group.name

    def _rig(self, rig_id: str) -> RigStatus:
        if rig_id not in self.rigs:
            raise ServingError(f"the site has no rig {rig_id}; it has {', '.join(self.rigs)}")
        return self.rigs[rig_id]

    def _record(self, kind: Alarm, rig_id: str, text: str) -> None:
        alarm = AlarmRaised(at=self._clock.now(), kind=kind, rig_id=rig_id, text=text)
        self._recorder.append([alarm.row(self.run_id)])

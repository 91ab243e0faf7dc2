"""The loop that runs a site: read, decide, command, verify by watts, record.

*Dispatch* asks the policy once per dispatch interval; *supervision* reads the rigs, checks limits,
verifies, retries and reconciles more often and never waits for the next dispatch. An intent is
committed before its command is sent. In shadow mode everything happens but the commands.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial

from gridhash.agents.policy import Policy
from gridhash.config import SiteConfig
from gridhash.envs.scenario import Scenario
from gridhash.errors import ServingError
from gridhash.serving.claims import ClaimBook
from gridhash.serving.clock import Clock
from gridhash.serving.command_sender import CommandSender
from gridhash.serving.commissioning import drivers_by_rig, identify
from gridhash.serving.decide import Authority, Decision, policy_name
from gridhash.serving.dispatcher import Dispatcher
from gridhash.serving.drivers.concurrency import gather_bounded, read_rigs
from gridhash.serving.drivers.protocol import RigDriver
from gridhash.serving.findings import Alarm, AlarmRaised, Finding
from gridhash.serving.journal import Journal, Row
from gridhash.serving.reconcile import Reconciler
from gridhash.serving.recorder import Recorder
from gridhash.serving.rig_status import RigStatus
from gridhash.serving.settings import ControllerSettings
from gridhash.serving.site_alarms import AlarmKey, StandingAlarms
from gridhash.serving.site_state import SiteModel, market_row_at
from gridhash.serving.site_status import Mode, SiteStatus
from gridhash.serving.snapshot import RigReading
from gridhash.serving.timetable import Timetable


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
        self._model = SiteModel.of(site)
        self._policy = policy
        self._clock = clock
        self._bundle_hash = bundle_hash
        self._note = note
        self._drivers = drivers_by_rig(site, drivers)
        self.groups = _rigs_of(site, drivers, journal, self.settings)
        self.rigs = {rig.rig_id: rig for rigs in self.groups for rig in rigs}
        self._reconciler = Reconciler(self._model, self.groups, self.settings)
        self._claims = ClaimBook()
        self._timetable = Timetable(site.dispatch_interval_s, self.rigs, self.settings)
        self._recorder = Recorder(journal)
        self._sender = CommandSender(self._drivers, clock, self._recorder, self.settings)
        self._dispatcher = Dispatcher(
            self._model,
            policy,
            self.groups,
            partial(market_row_at, scenario),
            mode=mode,
            reconciler=self._reconciler,
            timetable=self._timetable,
            settings=self.settings,
        )
        self._alarms = StandingAlarms()

    @property
    def run_id(self) -> int:
        """The run in the journal; 0 before `start`."""
        return self._recorder.run_id

    @property
    def decision(self) -> Decision | None:
        """The last decision; None before the first tick."""
        return self._dispatcher.decision

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
            self._dispatcher.warm_up(now)

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
            self._timetable.notice_clock(now, self._clock.monotonic())
            due = self._timetable.due(now)
            readings = await read_rigs([self._drivers[rig_id] for rig_id in due], self._clock)
            rows = self._take_in(readings, now)
            findings = self._dispatcher.check_trips(now)
            snapshot = self._dispatcher.decide_if_due(now)
            assert self.decision is not None
            findings += self._site_alarms(self.decision, now)
            plan = self._reconciler.plan(self.decision, now, self._dispatcher.tripped)
            commands = plan.commands if self.mode is Mode.LIVE else ()
            rows += [*self._recorder.finding_rows(findings), self.status().row(self.run_id)]
            sent = self._recorder.commit(rows, snapshot, self.decision, commands, now)
            if self._recorder.decision_lost:
                self._timetable.dispatch_at = None
            await self._sender.send(sent, now)
            return self._timetable.next_at(now, [plan.next_at] if self.mode is Mode.LIVE else [])

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

    def _take_in(self, readings: Mapping[str, RigReading | None], now: datetime) -> list[Row]:
        findings: list[Finding] = []
        rows: list[Row] = []
        hold_until = self._timetable.dispatch_after(now)
        for rig_id, reading in readings.items():
            rig = self.rigs[rig_id]
            findings += rig.see(reading, now, hold_until)
            if reading is not None:
                rows.append(self._recorder.reading_row(reading))
        for rig in self.rigs.values():
            findings += rig.expire(now)
            rows += [claim.row(self.run_id) for claim in self._claims.update(rig)]
        return rows + self._recorder.finding_rows(findings)

    def _site_alarms(self, decision: Decision, now: datetime) -> list[Finding]:
        """Return the alarms of the site that begin now."""
        over_kw = self._reconciler.potential_kw() - self._model.params.rig_cap_kw
        replaced = self._policy is not None and decision.authority is Authority.FALLBACK
        texts: dict[AlarmKey, str] = {
            Alarm.POLICY_REPLACED: decision.reason if replaced else "",
            Alarm.NO_PRICE: decision.reason if decision.authority is Authority.HOLD else "",
            Alarm.OVER_CAP: f"rigs may draw {over_kw:.1f} kW too much" if over_kw > 1e-6 else "",
        }
        return self._alarms.update(texts, now)

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


def _rigs_of(
    site: SiteConfig,
    drivers: Mapping[str, Sequence[RigDriver]],
    journal: Journal,
    settings: ControllerSettings,
) -> list[list[RigStatus]]:
    """Return the rigs of each group, with what earlier runs saw of them."""
    changes, lockouts = journal.last_changes(), journal.last_lockouts()
    return [
        [
            RigStatus(
                driver.rig_id,
                group,
                tuple(group.level_power_kw(level) for level in site.levels_of(group)),
                settings,
                last_change=changes.get(driver.rig_id),
                lockout=lockouts.get(driver.rig_id, ""),
            )
            for driver in drivers[group.name]
        ]
        for group in site.groups
    ]

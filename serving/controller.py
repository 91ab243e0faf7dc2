"""The loop that runs a site: read, decide, command, verify by watts, record.

*Dispatch* asks the policy once per dispatch interval; *supervision* reads the rigs, checks limits,
verifies, retries and reconciles more often and never waits for the next dispatch. An intent is
committed before its command is sent. In shadow mode everything happens but the commands; a site
that is live commands rigs once a person armed it, and only while its lease is held.
"""

import asyncio
from collections.abc import Container, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial

from gridhash.agents.policy import Policy
from gridhash.config import SiteConfig
from gridhash.envs.scenario import Scenario
from gridhash.errors import ServingError
from gridhash.serving.announced_market import market_of
from gridhash.serving.canary import Arming
from gridhash.serving.claims import ClaimBook
from gridhash.serving.clock import Clock
from gridhash.serving.command_sender import CommandSender
from gridhash.serving.commissioning import drivers_by_rig, identify, void_alarms
from gridhash.serving.common_cause import CommonCauses
from gridhash.serving.decide import Decision, policy_name
from gridhash.serving.dispatcher import Dispatcher
from gridhash.serving.drivers.concurrency import gather_bounded, read_rigs
from gridhash.serving.drivers.protocol import RigDriver
from gridhash.serving.findings import Alarm, AlarmRaised, Finding
from gridhash.serving.input_age import Rung
from gridhash.serving.journal import Journal, Row
from gridhash.serving.lease_record import TAKEN
from gridhash.serving.mass_change import MassChange
from gridhash.serving.metering import metering_of
from gridhash.serving.obligations import ObligationBook
from gridhash.serving.operator_desk import OperatorDesk
from gridhash.serving.pulse import Pulse
from gridhash.serving.reconcile import Plan, PlannedCommand, Reconciler, in_words
from gridhash.serving.recorder import Recorder
from gridhash.serving.revenue import RevenueWatch
from gridhash.serving.settings import ControllerSettings
from gridhash.serving.site_accounts import accounts_of, site_power_kw
from gridhash.serving.site_alarms import AlarmKey, StandingAlarms
from gridhash.serving.site_inputs import SiteInputs, SiteLinks
from gridhash.serving.site_model import SiteModel
from gridhash.serving.site_rigs import rigs_of
from gridhash.serving.site_status import Mode, SiteStatus
from gridhash.serving.snapshot import RigReading
from gridhash.serving.standing_orders import StandingOrders
from gridhash.serving.timetable import Timetable
from gridhash.serving.validation import check_reading


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
        arming: Arming | None = None,
        links: SiteLinks | None = None,
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
        mode
            What the controller may do; without `arming` it does so from the start.
        arming
            Who armed the site, and for how many rigs.
        links
            What it is connected to besides the rigs.

        Raises
        ------
        ServingError
            If the drivers are not those of the site.
        """
        self.site = site
        self.arming = arming or Arming.full(mode)
        self.advice = ""
        """In advisory mode, what a person should command now."""
        self.settings = settings or ControllerSettings()
        self._links = links or SiteLinks()
        self._model = SiteModel.of(site)
        self._policy = policy
        self._clock = clock
        self._bundle_hash = bundle_hash
        self._note = note
        self._drivers = drivers_by_rig(site, drivers)
        self.groups = rigs_of(site, drivers, journal, self.settings)
        self.rigs = {rig.rig_id: rig for rigs in self.groups for rig in rigs}
        circuits = self._links.topology
        self._reconciler = Reconciler(self._model, self.groups, self.settings, circuits)
        self._causes = CommonCauses.of(circuits, self.rigs.values())
        self._claims = ClaimBook()
        self._timetable = Timetable(site.dispatch_interval_s, self.rigs, self.settings)
        self._recorder = Recorder(journal)
        self._sender = CommandSender(self._drivers, clock, self._recorder, self.settings)
        takes_orders = self._links.orders is not None
        market = market_of(self._links.market, scenario, takes_orders=takes_orders)
        obligations = ObligationBook(site, self._model.params)
        self.standing = StandingOrders(self._model, self.groups, obligations)
        self._metering = metering_of(self._links.meter, self._model, self.groups, self._claims)
        self._inputs = SiteInputs(self._links, self.standing, market, self._metering)
        self._accounts = accounts_of(self._model, market, journal)
        self._dispatcher = Dispatcher(
            self._model,
            policy,
            self.groups,
            market=market,
            stand_in=self._links.stand_in,
            standing=self.standing,
            inputs=self._inputs,
            arming=self.arming,
            reconciler=self._reconciler,
            timetable=self._timetable,
            settings=self.settings,
            accounts=self._accounts,
        )
        self._desk = OperatorDesk(
            rigs=self.rigs,
            standing=self.standing,
            arming=self.arming,
            plant=self._links.plant,
            requests=self._links.requests,
            stop_all=self._links.stop_all,
        )
        self._mass = MassChange(self.rigs)
        self._revenue = RevenueWatch(self.groups)
        self._pulse = Pulse(site.name, self._links, self.standing)
        self._alarms = StandingAlarms()
        self.arming.restore(journal)
        self._desk.restore(journal, clock.now())

    @property
    def run_id(self) -> int:
        """The run in the journal; 0 before `start`."""
        return self._recorder.run_id

    @property
    def journal_failure(self) -> str:
        """Why nothing is on record now, so that nothing is started; empty if it is."""
        return self._recorder.failure

    @property
    def mode(self) -> Mode:
        """What the controller does now: shadow while it may be live and nobody armed it."""
        return self.arming.mode

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
                mode=self.arming.permitted,
                policy_name=policy_name(self._policy),
                bundle_hash=self._bundle_hash,
                note=self._note,
            )
            rows = [
                self._recorder.rig_row(driver, rig_group, now, note)
                for (driver, rig_group), note in zip(self._placed(), notes, strict=True)
            ]
            self._recorder.append([*rows, *self._take_in(readings, now)])
            if self._links.lease is not None:
                self._recorder.lease_event(self._links.lease, TAKEN, now)
            self.arming.govern(self.groups)
            self._dispatcher.warm_up(now)

    async def tick(self) -> datetime:
        """Supervise once, and dispatch if it is time; return when to tick again.

        Raises
        ------
        ServingError
            If `start` was not called.
        LeaseLost
            If another controller took the lease over; nothing was sent.
        """
        if not self.run_id:
            raise ServingError("the controller was not started: await start() first")
        with self._clock.outstanding("tick"):
            now = self._clock.now()
            findings = self._notice_time(now) + self._desk.settle(now, self.run_id)
            due = [self._drivers[rig_id] for rig_id in self._timetable.due(now)]
            readings, refused = await asyncio.gather(
                read_rigs(due, self._clock), self._inputs.gather(now)
            )
            rows = self._take_in(readings, now)
            rows += self._inputs.measure(self._reconciler, now, self.run_id)
            findings += refused + self.arming.advance(now) + self._dispatcher.check_trips(now)
            snapshot = self._dispatcher.decide_if_due(now)
            assert self.decision is not None
            findings += self._site_alarms(self.decision, now)
            plan = self._reconciler.plan(
                self.decision, now, self.standing.gate(self._dispatcher.tripped)
            )
            findings += self._advise(plan, now)
            rows += [*self._recorder.finding_rows(findings), self.status().row(self.run_id)]
            commands = self._allowed(plan)
            sent = self._recorder.commit(
                rows, snapshot, self.decision, commands, now, lease=self._links.lease
            )
            if self._recorder.decision_lost:
                self._timetable.dispatch_at = None
            await self._sender.send(sent, now, lease=self._links.lease)
            names = [group.name for group in self.site.groups]
            await self._pulse.beat(self.status(), self.decision, names, self.run_id)
            others = [self.standing.next_change(now), self._inputs.next_at]
            others += [plan.next_at] if self.mode is Mode.LIVE else []
            return self._timetable.next_at(now, others, self._clock.monotonic())

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
            if self._links.lease is not None:
                self._recorder.lease_ended(self._links.lease, self._clock.now())

    def arm(self, person: str, *, all_at_once: bool = False) -> None:
        """Command rigs from the next tick on, a few first; nothing if the site is armed already."""
        if not self.arming.person:
            now = self._clock.now()
            self._record(self.arming.arm(person, now, all_at_once=all_at_once))

    def lock_out(self, rig_id: str, *, person: str, reason: str) -> None:
        """Stop a rig at the next tick and never start it until a named person clears it."""
        self._check_name(rig_id, self.rigs)
        self._record(self._desk.lock_out(rig_id, person, reason, self._clock.now()))

    def clear(self, rig_id: str, *, person: str) -> None:
        """Take a rig, or the plant, back into use: end its lockout and forget its failures."""
        self._check_name(rig_id, self._desk.names)
        self._record(self._desk.clear(rig_id, person, self._clock.now()))

    def status(self) -> SiteStatus:
        """Return the site at a glance."""
        return SiteStatus.of(
            self.rigs.values(),
            at=self._clock.now(),
            mode=self.mode,
            decision=self.decision,
            cap_kw=self.decision.cap_kw if self.decision else float(self._model.params.rig_cap_kw),
            claimed_kw=self._claims.claimed_kw,
        )

    def _take_in(self, readings: Mapping[str, RigReading | None], now: datetime) -> list[Row]:
        findings: list[Finding] = []
        rows: list[Row] = []
        hold_until = self._timetable.dispatch_after(now)
        for rig_id, reading in readings.items():
            rig = self.rigs[rig_id]
            if reading is not None:
                reading = check_reading(reading, rig.reading, rig.level_kw[-1])
            findings += rig.see(reading, now, hold_until)
            if reading is not None:
                rows.append(self._recorder.reading_row(reading))
        for rig in self.rigs.values():
            findings += rig.expire(now)
            rows += [claim.row(self.run_id) for claim in self._claims.update(rig)]
        findings = self._causes.merge(findings, self.rigs, now)
        self.arming.note(findings)
        findings, decide_now = self._mass.take(findings, now)
        if decide_now:
            self._timetable.dispatch_at = now
        if self._accounts is not None:
            metered = None if self._metering is None else self._metering.metered
            self._accounts.see(now, site_power_kw(self._model, self.rigs.values(), metered))
        return rows + self._recorder.finding_rows(findings)

    def _site_alarms(self, decision: Decision, now: datetime) -> list[Finding]:
        """Return the alarms of the site that begin now."""
        over_kw = self._reconciler.potential_kw() - decision.cap_kw
        replaced = self._policy is not None and decision.replaced
        texts: dict[AlarmKey, str] = {
            Alarm.POLICY_REPLACED: decision.reason if replaced else "",
            Alarm.NO_PRICE: decision.reason if decision.rung is not Rung.FRESH else "",
            Alarm.OVER_CAP: f"rigs may draw {over_kw:.1f} kW too much" if over_kw > 1e-6 else "",
        }
        return self._alarms.update(
            {
                **texts,
                **self.standing.alarms(now),
                **self._inputs.alarms(now),
                **void_alarms(self._links.commissioned, self._drivers),
                **self._revenue.alarms(now),
            },
            now,
        )

    def _notice_time(self, now: datetime) -> list[Finding]:
        """Return that the host's clock was set, or that nobody looked for a while."""
        findings: list[Finding] = []
        if late_s := self._timetable.notice_pause(self._clock.monotonic()):
            text = f"for {late_s:.0f} s; what was due meanwhile is done once"
            findings.append(AlarmRaised(at=now, kind=Alarm.PAUSED, text=text))
        if by := self._timetable.notice_clock(now, self._clock.monotonic()):
            self._reconciler.clock_set(by)
            self.arming.clock_set(by)
            self._inputs.clock_set()
            self._mass.clock_set()
            self._revenue.clock_set()
            text = f"by {by.total_seconds():+.0f} s; what rigs wait for moves with it"
            findings.append(AlarmRaised(at=now, kind=Alarm.CLOCK_SET, text=text))
        return findings

    def _allowed(self, plan: Plan) -> tuple[PlannedCommand, ...]:
        """Return the commands that may be sent: those a person ordered even while not armed."""
        if self.arming.permitted is not Mode.LIVE:
            return ()
        lease = self._links.lease
        if lease is not None and not lease.held:
            return ()
        if self.mode is Mode.LIVE:
            return plan.commands
        return tuple(planned for planned in plan.commands if planned.ordered)

    def _advise(self, plan: Plan, now: datetime) -> list[Finding]:
        """Return what a person should command, where it is not what was said before."""
        if self.mode is not Mode.ADVISORY:
            return []
        before, self.advice = self.advice, in_words(plan.commands)
        if self.advice in {before, ""}:
            return []
        return [AlarmRaised(at=now, kind=Alarm.ADVICE, text=self.advice)]

    def _placed(self) -> Iterator[tuple[RigDriver, str]]:
        for group, rigs in zip(self.site.groups, self.groups, strict=True):
            for rig in rigs:
                yield self._drivers[rig.rig_id], group.name

    def _check_name(self, rig_id: str, names: Container[str]) -> None:
        if rig_id not in names:
            raise ServingError(f"the site has no rig {rig_id}; it has {', '.join(self.rigs)}")

    def _record(self, findings: list[Finding]) -> None:
        self._recorder.append(self._recorder.finding_rows(findings))

"""From what is known of the rigs and the market to a decision, when it is time for one."""

from collections.abc import Callable, Sequence
from datetime import datetime

from gridhash.agents.policy import Policy
from gridhash.serving.aggregate import TripLatch, group_state
from gridhash.serving.decide import Decision, decide
from gridhash.serving.findings import Alarm, AlarmRaised, Finding
from gridhash.serving.reconcile import Reconciler
from gridhash.serving.rig_status import RigStatus
from gridhash.serving.settings import ControllerSettings
from gridhash.serving.site_state import MarketRow, SiteModel, SiteSnapshot
from gridhash.serving.site_status import Mode
from gridhash.serving.timetable import Timetable

WARM_UP_S = 60.0
"""Wall time that the policy may take for its first, discarded answer."""

MarketAt = Callable[[datetime], MarketRow | None]


class Dispatcher:
    """Makes the decisions of one controller and keeps the last."""

    def __init__(
        self,
        model: SiteModel,
        policy: Policy | None,
        groups: Sequence[Sequence[RigStatus]],
        market_at: MarketAt,
        *,
        mode: Mode,
        reconciler: Reconciler,
        timetable: Timetable,
        settings: ControllerSettings,
    ) -> None:
        """Decide nothing yet; `market_at` tells what is known of the market at an instant."""
        self.decision: Decision | None = None
        self._model = model
        self._policy = policy
        self._groups = groups
        self._market_at = market_at
        self._mode = mode
        self._reconciler = reconciler
        self._timetable = timetable
        self._settings = settings
        self._trips = [TripLatch(group) for group in model.site.groups]

    @property
    def tripped(self) -> set[str]:
        """Names of the groups in which no rig may run."""
        return {trip.name for trip in self._trips if trip.tripped}

    def warm_up(self, now: datetime) -> None:
        """Ask the policy once and discard its answer: the first takes longest."""
        self._count(now)
        decide(self._snapshot(now), self._model, self._policy, policy_deadline_s=WARM_UP_S)

    def check_trips(self, now: datetime) -> list[Finding]:
        """Take in temperatures; a group that trips is decided on now, not at the next dispatch."""
        alarms: list[Finding] = []
        for group, rigs, trip in zip(
            self._model.site.groups, self._groups, self._trips, strict=True
        ):
            if trip.update(rigs):
                self._timetable.dispatch_at = now
                text = f"{group.name}: a chip is at {group.cooling.chip_trip_c:g} °C or more"
                alarms.append(AlarmRaised(at=now, kind=Alarm.TRIPPED, text=text))
        return alarms

    def decide_if_due(self, now: datetime) -> SiteSnapshot | None:
        """Decide at a dispatch instant, or at once if the cap fell below the setpoint."""
        cap_kw = self._model.params.rig_cap_kw - self._reconciler.uncontrolled_kw(now)
        if self.decision is not None and not self._timetable.dispatch_due(now):
            counted_kw = sum(self.decision.setpoint_kw)
            if counted_kw <= cap_kw + 1e-6 or self._mode is Mode.SHADOW:
                return None
        self._count(now)
        snapshot = self._snapshot(now)
        self.decision = decide(
            snapshot,
            self._model,
            self._policy,
            policy_deadline_s=self._settings.policy_deadline_s,
        )
        self._timetable.dispatched(now)
        return snapshot

    def _count(self, now: datetime) -> None:
        for rigs in self._groups:
            for rig in rigs:
                rig.counted = rig.takes_commands(now)

    def _snapshot(self, now: datetime) -> SiteSnapshot:
        market = self._market_at(now)
        gone_s = 0.0 if market is None else (now - market.period_start).total_seconds()
        groups = []
        for g, (group, rigs) in enumerate(zip(self._model.site.groups, self._groups, strict=True)):
            running = [rig for rig in rigs if rig.counted and rig.running]
            running_kw = sum((rig.level_kw[rig.level] for rig in running), 0.0)
            follows = self.decision is not None and self._mode is Mode.LIVE
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
            substep=int(gone_s // self._model.site.dispatch_interval_s),
            market=market,
            groups=tuple(groups),
            uncontrolled_kw=self._reconciler.uncontrolled_kw(now),
        )

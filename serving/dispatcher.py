"""From what is known of the rigs and the market to a decision, when it is time for one."""

from collections.abc import Sequence
from datetime import datetime
from itertools import chain

from gridhash.agents.policy import Policy
from gridhash.serving.aggregate import TripLatch, group_state
from gridhash.serving.authority import Authority, Order
from gridhash.serving.canary import Arming
from gridhash.serving.decide import Decision, decide, most_of_all_kw
from gridhash.serving.failpoints import failpoint
from gridhash.serving.findings import Alarm, AlarmRaised, Finding
from gridhash.serving.ladder import PriceLadder, StandIn
from gridhash.serving.market_source import MarketSource
from gridhash.serving.reallocation import is_lost
from gridhash.serving.reconcile import Reconciler
from gridhash.serving.rig_status import RigStatus
from gridhash.serving.settings import ControllerSettings
from gridhash.serving.site_accounts import SiteAccounts
from gridhash.serving.site_inputs import SiteInputs
from gridhash.serving.site_model import SiteModel
from gridhash.serving.site_state import SiteSnapshot
from gridhash.serving.site_status import Mode
from gridhash.serving.standing_orders import StandingOrders
from gridhash.serving.timetable import Timetable

WARM_UP_S = 60.0
"""Wall time that the policy may take for its first, discarded answer."""


class Dispatcher:
    """Makes the decisions of one controller and keeps the last."""

    def __init__(
        self,
        model: SiteModel,
        policy: Policy | None,
        groups: Sequence[Sequence[RigStatus]],
        *,
        market: MarketSource,
        stand_in: StandIn,
        standing: StandingOrders,
        inputs: SiteInputs,
        arming: Arming,
        reconciler: Reconciler,
        timetable: Timetable,
        settings: ControllerSettings,
        accounts: SiteAccounts | None = None,
    ) -> None:
        """Decide nothing yet; `accounts` are those of a site with tariff or programs."""
        self.decision: Decision | None = None
        self._model = model
        self._policy = policy
        self._groups = groups
        self._market = market
        self._ladder = PriceLadder(model.site, stand_in)
        self._standing = standing
        self._inputs = inputs
        self._arming = arming
        self._reconciler = reconciler
        self._timetable = timetable
        self._settings = settings
        self._accounts = accounts
        self._trips = [TripLatch(group) for group in model.site.groups]
        self._orders_then: list[tuple[Authority, str, int | None]] = []

    @property
    def tripped(self) -> dict[str, str]:
        """Groups that are tripped by their temperatures, and the words for it."""
        return {trip.name: "temperature trip" for trip in self._trips if trip.tripped}

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
        """Decide at a dispatch instant, or at once if the cap fell or other orders are in force."""
        orders = self._orders(now)
        in_force = [(order.authority, order.reason, order.group) for order in orders]
        if self.decision is not None and not self._timetable.dispatch_due(now):
            cap_kw = min(self.decision.cap_kw, most_of_all_kw(orders))
            cap_kw -= self._reconciler.uncontrolled_kw(now)
            within = sum(self.decision.setpoint_kw) <= cap_kw + 1e-6
            changed = in_force != self._orders_then or self._must_make_up(orders, now)
            if not changed and (within or not self._commands):
                return None
        self._count(now)
        snapshot = self._snapshot(now)
        self.decision = decide(
            snapshot,
            self._model,
            self._policy,
            policy_deadline_s=self._settings.policy_deadline_s,
        )
        failpoint("decision.made")
        self._orders_then = in_force
        self._timetable.dispatched(now)
        return snapshot

    @property
    def _commands(self) -> bool:
        return self._arming.mode is Mode.LIVE

    def _must_make_up(self, orders: Sequence[Order], now: datetime) -> bool:
        """Return whether rigs were lost that other groups may have to make up for.

        Within a group others do so at once; only an order on the whole site reaches further.
        """
        assert self.decision is not None
        gone_s = (now - self.decision.at).total_seconds()
        if not self._commands or gone_s < self._settings.reallocate_s:
            return False
        if all(order.group is not None for order in orders):
            return False
        return any(is_lost(rig, now) for rigs in self._groups for rig in rigs)

    def _count(self, now: datetime) -> None:
        for rigs in self._groups:
            for rig in rigs:
                rig.counted = rig.takes_commands(now)

    def _orders(self, now: datetime) -> tuple[Order, ...]:
        """Return what bounds the rigs now, the utility's order to pause included."""
        pause = self._model.pause_order(self._market.row_at(now))
        return (*self._standing.orders(now), *pause)

    def _snapshot(self, now: datetime) -> SiteSnapshot:
        market, price, fallback = self._ladder.step(self._market.row_at(now), now)
        gone_s = 0.0 if market is None else (now - market.period_start).total_seconds()
        substep = int(gone_s // self._model.site.dispatch_interval_s)
        groups = []
        for g, (group, rigs) in enumerate(zip(self._model.site.groups, self._groups, strict=True)):
            running = [rig for rig in rigs if rig.counted and rig.running]
            running_kw = sum((rig.level_kw[rig.level] for rig in running), 0.0)
            setpoint_kw = running_kw
            if self.decision is not None and self._commands:
                setpoint_kw = self.decision.setpoint_kw[g] / (self.decision.trim or 1.0)
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
            substep=min(substep, self._model.params.intervals_per_period - 1),
            market=market,
            groups=tuple(groups),
            uncontrolled_kw=self._reconciler.uncontrolled_kw(now),
            orders=self._orders(now),
            inputs=tuple(self._inputs.ages(price, chain(*self._groups), now)),
            fallback=fallback,
            programs=None if self._accounts is None else self._accounts.at(now),
            trim=self._inputs.trim,
        )

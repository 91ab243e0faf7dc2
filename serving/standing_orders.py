"""What is ordered now by whoever ranks above the policy: persons, guards, plant, grid.

Brings them together as bounds for a decision (`orders`) and as a gate for commands (`gate`), so
that nobody has to ask who said what. See `gridhash.serving.authority` for who yields to whom.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from gridhash.serving.authority import Authority, Order
from gridhash.serving.findings import Alarm
from gridhash.serving.guard_notice import GuardOrders, guard_orders
from gridhash.serving.obligations import ObligationBook
from gridhash.serving.permissives import Judged, Verdict
from gridhash.serving.reconcile import Gate
from gridhash.serving.rig_status import RigStatus
from gridhash.serving.site_alarms import AlarmKey
from gridhash.serving.site_aux import SiteAux
from gridhash.serving.site_model import SiteModel


@dataclass(frozen=True, kw_only=True)
class Hold:
    """A setpoint or a cap that a person holds by hand, on the power of all rigs."""

    person: str
    reason: str
    until: datetime
    setpoint_kw: float | None = None
    cap_kw: float | None = None

    @property
    def words(self) -> str:
        """Return it as people say it."""
        kw, what = self.setpoint_kw, "at"
        if kw is None:
            kw, what = self.cap_kw, "at most"
        why = f", {self.reason}" if self.reason else ""
        until = f"{self.until:%Y-%m-%d %H:%M:%S} UTC"
        return f"{self.person} holds the rigs {what} {kw or 0.0:,.0f} kW until {until}{why}"

    def order(self) -> Order:
        """Return the hold as a bound."""
        most_kw = self.cap_kw if self.setpoint_kw is None else self.setpoint_kw
        return Order(
            authority=Authority.HOLD,
            reason=self.words,
            at_least_kw=self.setpoint_kw or 0.0,
            at_most_kw=float("inf") if most_kw is None else most_kw,
        )


class StandingOrders:
    """The orders of one site."""

    def __init__(
        self, model: SiteModel, groups: Sequence[Sequence[RigStatus]], obligations: ObligationBook
    ) -> None:
        """Nothing is ordered yet."""
        self.obligations = obligations
        self.hold: Hold | None = None
        self.stop_all = ""
        """Who ordered that everything stands, and why; empty if nobody did."""
        self.guards: GuardOrders = guard_orders(())
        self.plant: tuple[Judged, ...] = ()
        """What each permissive says."""
        self.demand: Order | None = None
        """What the running demand interval leaves, while it binds."""
        self.aux: SiteAux | None = None
        """What the site draws beside rigs; None unless a meter shows the site's power."""
        self._names = [group.name for group in model.site.groups]
        self._groups = groups

    def orders(self, now: datetime) -> tuple[Order, ...]:
        """Return the bounds in force, for a snapshot."""
        found: list[Order] = []
        if self.stop_all:
            reason = f"stop-all: {self.stop_all}"
            found.append(Order(authority=Authority.STOP, reason=reason, at_most_kw=0.0))
        if self.guards.cap_kw is not None:
            cap_kw, reason = self.guards.cap_kw, self.guards.reason
            found.append(Order(authority=Authority.LIMIT, reason=reason, at_most_kw=cap_kw))
        stand, held = self._stand(), self._held()
        for g, (name, rigs) in enumerate(zip(self._names, self._groups, strict=True)):
            words = stand.get(name) or held.get(name)
            if words:
                most_kw = 0.0 if name in stand else _running_kw(rigs)
                found.append(
                    Order(authority=Authority.LIMIT, reason=words, group=g, at_most_kw=most_kw)
                )
        found += [self.demand] if self.demand is not None else []
        found += self.obligations.bounds(now, self.aux)
        if self.hold is not None and now < self.hold.until:
            found.append(self.hold.order())
        return tuple(found)

    def gate(self, tripped: Mapping[str, str]) -> Gate:
        """Return what no command may do; `tripped` are groups that their temperatures stop."""
        return Gate(
            must_stand={**tripped, **self._stand()}, no_start=self._held(), stop_all=self.stop_all
        )

    def next_change(self, now: datetime) -> datetime | None:
        """Return when an order begins or ends by the calendar."""
        times = [self.obligations.next_change(now)]
        if self.hold is not None and self.hold.until > now:
            times.append(self.hold.until)
        return min((at for at in times if at is not None), default=None)

    def alarms(self, now: datetime) -> dict[AlarmKey, str]:
        """Return what an operator is told once of each cause that stands."""
        texts: dict[AlarmKey, str] = {Alarm.STOP_ALL: self.stop_all}
        for judged in self.plant:
            if judged.verdict is not Verdict.CLEAR:
                trips = judged.verdict is Verdict.TRIPPED
                kind = Alarm.PLANT_TRIPPED if trips else Alarm.PLANT_NO_START
                texts[kind, judged.permissive.sensor] = judged.words
        for owed in self.obligations.active(now):
            texts[Alarm.OBLIGATION, owed.words] = owed.words
        if self.hold is not None and now < self.hold.until:
            texts[Alarm.HELD, self.hold.words] = self.hold.words
        if not self.guards.starts_allowed:
            texts[Alarm.GUARD] = self.guards.reason
        return texts

    def _stand(self) -> dict[str, str]:
        return self._plant_words(Verdict.TRIPPED)

    def _held(self) -> dict[str, str]:
        held = self._plant_words(Verdict.NO_START)
        if not self.guards.starts_allowed:
            for name in self._names:
                held.setdefault(name, self.guards.reason)
        return held

    def _plant_words(self, verdict: Verdict) -> dict[str, str]:
        words: dict[str, list[str]] = {}
        for judged in self.plant:
            if judged.verdict is verdict:
                for name in judged.permissive.groups or self._names:
                    words.setdefault(name, []).append(judged.words)
        return {name: "plant: " + ", ".join(own) for name, own in words.items()}


def _running_kw(rigs: Sequence[RigStatus]) -> float:
    """Return the power of the rigs that run, or are told to, at their levels [kW]."""
    levels = [(rig, rig.told_level) for rig in rigs if rig.counted]
    return sum((rig.level_kw[level] for rig, level in levels if level is not None), 0.0)

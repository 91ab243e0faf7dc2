"""What a controller proves each tick to its guards, and what they ask of it in turn."""

from datetime import datetime

from gridhash.serving.decide import Decision
from gridhash.serving.failpoints import failpoint
from gridhash.serving.guard_notice import GuardOrders, guard_orders
from gridhash.serving.heartbeat import Heartbeat, Reduction
from gridhash.serving.site_inputs import SiteLinks
from gridhash.serving.site_status import SiteStatus
from gridhash.serving.standing_orders import StandingOrders

MAX_REDUCTIONS = 64


class Pulse:
    """The heartbeats of one run."""

    def __init__(self, site_name: str, links: SiteLinks, standing: StandingOrders) -> None:
        """Nothing is sent yet."""
        self._site_name = site_name
        self._links = links
        self._standing = standing
        self._tick = 0

    async def beat(
        self, status: SiteStatus, decision: Decision, group_names: list[str], run_id: int
    ) -> None:
        """Send a heartbeat, and keep from now on to what the guards answered.

        What they asked for before this tick was decided with, so it is acknowledged.
        """
        if self._links.heart is None:
            return
        failpoint("heartbeat.before_beat")
        self._tick += 1
        kept: GuardOrders = self._standing.guards
        notices = await self._links.heart.beat(
            Heartbeat(
                site=self._site_name[:128],
                controller=self._links.controller_name[:128],
                run_id=run_id,
                lease_token=self._links.lease.token if self._links.lease is not None else 0,
                tick=self._tick,
                at=status.at,
                mode=str(status.mode),
                authority=str(decision.authority),
                reason=decision.reason[:2000],
                setpoint_kw=dict(zip(group_names, decision.setpoint_kw, strict=True)),
                measured_kw=status.measured_kw,
                potential_kw=status.potential_kw,
                cap_kw=status.cap_kw,
                reductions=self._reductions(status.at),
                acknowledged=dict(kept.epochs),
            )
        )
        self._standing.guards = guard_orders(notices)
        failpoint("heartbeat.after_beat")

    def _reductions(self, now: datetime) -> tuple[Reduction, ...]:
        book = self._standing.obligations
        return tuple(
            Reduction(
                reduction_id=owed.order_id,
                kind=owed.program,
                max_kw=bound.at_most_kw,
                until=owed.end,
            )
            for owed, bound in zip(book.active(now), book.bounds(now), strict=True)
            if bound.at_most_kw != float("inf")
        )[:MAX_REDUCTIONS]

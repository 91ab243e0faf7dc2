"""Everything that reaches a controller besides its rigs, asked for each tick and bounded in time.

A source that does not answer keeps nobody waiting: what it brought before grows older, and the age
decides what it is still good for (`gridhash.serving.input_age`).
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from gridhash.errors import ServingError
from gridhash.serving.commissioning_record import CommissioningRecord
from gridhash.serving.failpoints import failpoint
from gridhash.serving.findings import Alarm, AlarmRaised, Finding
from gridhash.serving.guard_notice import GuardNotice
from gridhash.serving.heartbeat import Heartbeat
from gridhash.serving.input_age import InputAge, Rung, input_age
from gridhash.serving.journal import Row
from gridhash.serving.ladder import StandIn
from gridhash.serving.lease import Lease
from gridhash.serving.market_source import MarketSource
from gridhash.serving.metering import Metering, MeterLink
from gridhash.serving.order_folder import OrderSource, Polled
from gridhash.serving.permissives import Plant
from gridhash.serving.reconcile import Reconciler
from gridhash.serving.request_desk import RequestDesk
from gridhash.serving.rig_status import RigStatus
from gridhash.serving.site_alarms import AlarmKey
from gridhash.serving.standing_orders import StandingOrders
from gridhash.serving.stop_all import read_stop_all
from gridhash.serving.topology import Topology
from gridhash.serving.validation import Refused

POLL_S = 5.0
POLL_WITHIN_S = 1.0
"""Wall time that a source of orders may take."""


class Heart(Protocol):
    """Carries heartbeats to guards; see `gridhash.serving.heartbeat_push.HeartbeatSender`."""

    async def beat(self, heartbeat: Heartbeat) -> tuple[GuardNotice, ...]:
        """Send one and return the last word of every guard; bounded in time, never raises."""


@dataclass(frozen=True, kw_only=True)
class SiteLinks:
    """What a controller is connected to; each of them may be missing."""

    requests: RequestDesk | None = None
    stop_all: Path | None = None
    """File of the order that everything stands."""
    lease: Lease | None = None
    """Taken before `Controller.start`; without one, commands need none."""
    heart: Heart | None = None
    controller_name: str = "controller"
    """Under which guards know the controller."""
    plant: Plant | None = None
    orders: OrderSource | None = None
    market: MarketSource | None = None
    """Instead of the scenario, which does not change."""
    stand_in: StandIn = field(default_factory=StandIn)
    topology: Topology = field(default_factory=Topology)
    meter: MeterLink | None = None
    """Meter of the site."""
    commissioned: CommissioningRecord | None = None
    """What was measured of its rigs."""


class SiteInputs:
    """Asks the sources of one site."""

    def __init__(
        self,
        links: SiteLinks,
        standing: StandingOrders,
        market: MarketSource,
        metering: Metering | None = None,
    ) -> None:
        """Nothing was heard yet; `metering` is the loop over `links.meter`."""
        self._metering = metering
        self._links = links
        self._standing = standing
        self._market = market
        self._polled_at: datetime | None = None
        self._heard_at: datetime | None = None
        self._failure = ""
        self._more = False

    @property
    def next_at(self) -> datetime | None:
        """When to ask again; None if there is nothing to ask."""
        if self._links.orders is None or self._polled_at is None:
            return None
        return self._polled_at + timedelta(seconds=1.0 if self._more else POLL_S)

    @property
    def trim(self) -> float | None:
        """Metered kW per modelled kW; None for a site without meter."""
        return None if self._metering is None else self._metering.trim

    async def gather(self, now: datetime) -> list[Finding]:
        """Ask every source at once; return what was refused."""
        if self._links.stop_all is not None:
            order = read_stop_all(self._links.stop_all)
            if order is not None:
                self._standing.stop_all = f"{order.reason or 'no reason given'} ({order.person})"
        plant = self._links.plant
        refused, _, _, by_market = await asyncio.gather(
            self._poll(now),
            plant.read() if plant is not None else asyncio.sleep(0),
            self._metering.read() if self._metering is not None else asyncio.sleep(0),
            self._market.refresh(now),
        )
        if plant is not None:
            self._standing.plant = tuple(plant.judge(now))
        return [
            *_refusals(Alarm.ORDER_REFUSED, refused, now),
            *_refusals(Alarm.INPUT_REFUSED, by_market, now),
        ]

    def measure(self, reconciler: Reconciler, now: datetime, run_id: int) -> list[Row]:
        """Take from the meter what holds for this tick, once the rigs were read; return its row."""
        failpoint("rigs.taken_in")
        if self._metering is None:
            return []
        metered = self._metering.step(now)
        reconciler.trim = metered.trim
        self._standing.demand = self._metering.order
        self._standing.aux = self._metering.usable_aux()
        return [metered.row(run_id)]

    def ages(self, price: InputAge, rigs: Iterable[RigStatus], now: datetime) -> list[InputAge]:
        """Return the age of each input of a decision made now."""
        read_at = [rig.reading.read_at for rig in rigs if rig.reading is not None]
        newest_s = _since_s(max(read_at, default=None), now)
        ages = [price, input_age("rig readings", newest_s)]
        if self._metering is not None:
            ages.append(self._metering.age(now))
        if self._links.orders is not None:
            ages.append(input_age("demand-response orders", _since_s(self._heard_at, now)))
        return ages

    def alarms(self, now: datetime) -> dict[AlarmKey, str]:
        """Return which sources are silent."""
        texts: dict[AlarmKey, str] = {}
        if self._links.orders is not None:
            age = input_age("demand-response orders", _since_s(self._heard_at, now))
            if age.rung is not Rung.FRESH:
                texts[Alarm.ORDERS_SILENT] = self._failure or "the source has not answered yet"
        if self._links.plant is not None and self._links.plant.failure:
            texts[Alarm.PLANT_SILENT] = self._links.plant.failure
        if self._metering is not None:
            texts |= self._metering.alarms()
        return texts

    def clock_set(self) -> None:
        """Ask anew where the host's clock was set."""
        self._polled_at = None
        if self._metering is not None:
            self._metering.clock_set()

    async def _poll(self, now: datetime) -> list[Refused]:
        source, next_at = self._links.orders, self.next_at
        if source is None or (next_at is not None and now < next_at):
            return []
        self._polled_at = now
        polled = Polled()
        try:
            async with asyncio.timeout(POLL_WITHIN_S):
                polled = await source.poll(now)
            self._heard_at, self._failure = now, ""
        except (OSError, ServingError, TimeoutError) as err:
            self._failure = str(err) or f"no answer within {POLL_WITHIN_S:g} s"
        self._more = polled.more
        changed, refused = self._standing.obligations.take(polled.orders, now)
        self._market.announce(changed, now)
        return [*polled.refused, *refused]


def _since_s(instant: datetime | None, now: datetime) -> float | None:
    return None if instant is None else max((now - instant).total_seconds(), 0.0)


def _refusals(kind: Alarm, refused: list[Refused], now: datetime) -> list[Finding]:
    """Return one alarm for all that one poll refused: a flood is one cause."""
    if not refused:
        return []
    first = f"{refused[0].what}: {refused[0].why}"
    more = f"; and {len(refused) - 1} more" if len(refused) > 1 else ""
    return [AlarmRaised(at=now, kind=kind, text=first + more)]

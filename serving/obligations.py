"""What the site owes for a time: demand-response orders and contract caps, the newest word of each.

An order bounds the power of the whole site, cooling included, from its start to its end on the
calendar, whatever the host's clock did meanwhile. It is created, modified and cancelled by its id:
of two words on one id the higher revision counts, then the later issue. What is no order is refused
with the reason and changes nothing.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Literal, Self

from pydantic import AwareDatetime, Field, ValidationError, model_validator

from gridhash.config import SiteConfig
from gridhash.envs.parameters import SiteParameters
from gridhash.serving.authority import Authority, Order
from gridhash.serving.site_aux import SiteAux
from gridhash.serving.state_folder import Record
from gridhash.serving.validation import Reason, Refused

MAX_ORDERS = 1000
"""Orders that are remembered at once, cancelled ones included."""

LONGEST = timedelta(days=31)
AHEAD = timedelta(minutes=5)
"""By which an order may have been issued after now: two clocks differ."""

ABOVE_CONTRACT = 1.5
"""An order over so many times the contract is in another unit."""


class SiteOrder(Record):
    """One word of whoever may order the site about."""

    order_id: str = Field(min_length=1, max_length=128)
    revision: int = Field(ge=0)
    issued_at: AwareDatetime
    start: AwareDatetime
    end: AwareDatetime
    program: str = Field(default="demand response", max_length=64)
    at_most_kw: float | None = Field(default=None, ge=0)
    """Site power."""
    at_least_kw: float | None = Field(default=None, ge=0)
    call: Literal["pause_order", "dr_down_call", "dr_up_call"] | None = None
    """Call of one of the site's programs: the policy sees it beforehand and answers it itself;
    bounds are then optional."""
    cancelled: bool = False

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not timedelta() < self.end - self.start <= LONGEST:
            raise ValueError(f"end must follow start, by {LONGEST.days} days at most")
        if self.cancelled:
            return self
        if self.at_most_kw is None and self.at_least_kw is None and self.call is None:
            raise ValueError("at_most_kw or at_least_kw is missing, or call")
        if (
            self.at_most_kw is not None
            and self.at_least_kw is not None
            and self.at_least_kw > self.at_most_kw
        ):
            raise ValueError("at_least_kw exceeds at_most_kw")
        return self

    @property
    def newness(self) -> tuple[int, datetime]:
        """Greater is newer."""
        return self.revision, self.issued_at

    @property
    def words(self) -> str:
        """Return it as people say it."""
        bounds = [
            f"{name} {kw:,.0f} kW"
            for name, kw in (("at most", self.at_most_kw), ("at least", self.at_least_kw))
            if kw is not None
        ]
        unbound = "cancelled" if self.cancelled else self.call
        return f"{self.program} {self.order_id}: {' and '.join(bounds) or unbound}"


def parse_order(content: bytes) -> SiteOrder | Refused:
    """Return the order in a JSON text, or why it is none."""
    try:
        return SiteOrder.model_validate_json(content)
    except ValidationError as err:
        first = err.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return Refused(what=where or "order", why=first["msg"])


class ObligationBook:
    """The orders that are in force or to come, by id."""

    def __init__(self, site: SiteConfig, params: SiteParameters) -> None:
        """Owe nothing yet."""
        self._contract_kw = site.limits.contract_power_kw
        self._rig_cap_kw = float(params.rig_cap_kw)
        self._orders: dict[str, SiteOrder] = {}

    def __len__(self) -> int:
        """Return how many are remembered."""
        return len(self._orders)

    def take(
        self, orders: Iterable[SiteOrder], now: datetime
    ) -> tuple[list[SiteOrder], list[Refused]]:
        """Take in words in any order; return those that changed something and those refused."""
        self._forget(now)
        changed: dict[str, SiteOrder] = {}
        refused = []
        for order in orders:
            known = self._orders.get(order.order_id)
            if known is not None and order.newness <= known.newness:
                continue
            if why := self._fault(order, now, is_known=known is not None):
                reason, words = why
                refused.append(Refused(what=order.order_id, why=words, reason=reason))
                continue
            self._orders[order.order_id] = changed[order.order_id] = order
        return list(changed.values()), refused

    def active(self, now: datetime) -> list[SiteOrder]:
        """Return what is owed now, in order of its id."""
        return sorted(
            (
                own
                for own in self._orders.values()
                if not own.cancelled and own.start <= now < own.end
            ),
            key=lambda own: own.order_id,
        )

    def bounds(self, now: datetime, aux: SiteAux | None = None) -> list[Order]:
        """Return what is owed now as bounds on the power of all rigs.

        `aux` says what is drawn beside them where a meter shows the site's power. Without one,
        cooling at full power is taken off a ceiling and not off a floor: both err to be kept.
        """
        found = []
        for own in self.active(now):
            if own.at_most_kw is None and own.at_least_kw is None:
                continue  # a call, which the policy answers
            most, least = own.at_most_kw, own.at_least_kw or 0.0
            ceiling_kw = float("inf") if most is None else self._rigs_kw(most, aux)
            floor_kw = min(least if aux is None else aux.rigs_within(least), ceiling_kw)
            found.append(
                Order(
                    authority=Authority.OBLIGATION,
                    reason=own.words,
                    at_least_kw=floor_kw,
                    at_most_kw=ceiling_kw,
                )
            )
        return found

    def next_change(self, now: datetime) -> datetime | None:
        """Return when the next order begins or ends."""
        instants = (
            at for own in self._orders.values() if not own.cancelled for at in (own.start, own.end)
        )
        return min((at for at in instants if at > now), default=None)

    def _rigs_kw(self, site_kw: float, aux: SiteAux | None) -> float:
        """Return what rigs may draw within a site power [kW]."""
        if aux is not None:
            return min(aux.rigs_within(site_kw), self._rig_cap_kw)
        return max(self._rig_cap_kw - max(self._contract_kw - site_kw, 0.0), 0.0)

    def _forget(self, now: datetime) -> None:
        over = [own.order_id for own in self._orders.values() if own.end <= now]
        for order_id in over:
            del self._orders[order_id]

    def _fault(
        self, order: SiteOrder, now: datetime, *, is_known: bool
    ) -> tuple[Reason, str] | None:
        if order.issued_at > now + AHEAD:
            text = f"issued at {order.issued_at:%Y-%m-%d %H:%M:%S %z}, which is to come"
            return Reason.TO_COME, text
        if order.end <= now:
            return Reason.STALE, f"it ended at {order.end:%Y-%m-%d %H:%M:%S %z}"
        highest_kw = max(order.at_most_kw or 0.0, order.at_least_kw or 0.0)
        if highest_kw > ABOVE_CONTRACT * self._contract_kw:
            text = f"{highest_kw:g} kW where the contract is {self._contract_kw:g} kW"
            return Reason.UNIT, f"{text}: give kW, not W"
        if not is_known and len(self._orders) >= MAX_ORDERS:
            return Reason.OUT_OF_RANGE, f"{MAX_ORDERS} orders are open already"
        return None

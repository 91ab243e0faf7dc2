"""The order of authority: whose word on a setpoint holds where two of them differ.

Lockout and stop > plant and electrical limits > obligations > manual hold > policy > fallback rule.
An *order* bounds the power of a group or of all groups together. Orders are taken from the highest
authority down, and each is taken as far as the higher ones leave room for it; what policy or
fallback rule wishes is moved into the room that is left, and no further.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

SAME_KW = 1e-9


class Authority(StrEnum):
    """Who decides, highest first."""

    STOP = "lockout or stop"
    LIMIT = "plant or electrical limit"
    OBLIGATION = "obligation"
    HOLD = "manual hold"
    POLICY = "policy"
    FALLBACK = "fallback rule"

    @property
    def rank(self) -> int:
        """Place in the order of authority; 0 is the highest."""
        return _RANKS[self]


_RANKS = {authority: rank for rank, authority in enumerate(Authority)}


@dataclass(frozen=True, kw_only=True)
class Order:
    """What one authority allows: rig power of a group, or of all groups together.

    Raises
    ------
    ValueError
        If its bounds are no powers, or the lower one exceeds the upper one.
    """

    authority: Authority
    reason: str
    group: int | None = None
    """Place of the group in the site; None for the sum over all groups."""
    at_least_kw: float = 0.0
    at_most_kw: float = math.inf

    def __post_init__(self) -> None:
        """Reject what bounds nothing."""
        if not 0.0 <= self.at_least_kw <= self.at_most_kw or math.isinf(self.at_least_kw):
            raise ValueError(
                f"{self.reason}: from {self.at_least_kw} to {self.at_most_kw} kW is no range"
            )


@dataclass(frozen=True, kw_only=True)
class Settled:
    """What remains of a wish, and who moved it."""

    power_kw: tuple[float, ...]
    """Rig power of each group."""
    by: tuple[Order | None, ...]
    """The order that moved each group's power; None where the wish stands."""


def settle(
    wished_kw: Sequence[float],
    orders: Sequence[Order],
    most_kw: Sequence[float],
    merit_order: Sequence[int],
) -> Settled:
    """Return the power of each group, (G,), nearest to the wish that the orders allow.

    Parameters
    ----------
    most_kw
        What each group can draw; no order raises it above that.
    merit_order
        Groups best first: what all together must shed is taken from the last, what they must add
        is given to the first.
    """
    if not orders:
        return Settled(power_kw=tuple(wished_kw), by=(None,) * len(wished_kw))
    room = _Room.of(most_kw)
    # Of one authority the tighter ceiling comes first: where its orders differ, less load is right.
    for order in sorted(orders, key=lambda own: (own.authority.rank, own.at_most_kw)):
        room.narrow(order, merit_order)
    return room.nearest(wished_kw, merit_order)


@dataclass
class _Room:
    """The powers that are allowed: a range per group, and one for their sum, never empty."""

    least_kw: list[float]
    most_kw: list[float]
    least_by: list[Order | None]
    most_by: list[Order | None]
    total_least_kw: float = 0.0
    total_most_kw: float = math.inf
    total_least_by: Order | None = None
    total_most_by: Order | None = None

    @classmethod
    def of(cls, most_kw: Sequence[float]) -> "_Room":
        nobody: list[Order | None] = [None] * len(most_kw)
        return cls([0.0] * len(most_kw), list(most_kw), list(nobody), list(nobody))

    def narrow(self, order: Order, merit_order: Sequence[int]) -> None:
        """Take an order as far as there is room for it."""
        g = order.group
        if g is None:
            low = max(self.total_least_kw, sum(self.least_kw))
            high = min(self.total_most_kw, sum(self.most_kw))
            if (least_kw := min(order.at_least_kw, high)) > low:
                self.total_least_kw, self.total_least_by = least_kw, order
            if (most_kw := max(order.at_most_kw, low)) < high:
                self.total_most_kw, self.total_most_by = most_kw, order
            return
        others_least = sum(self.least_kw) - self.least_kw[g]
        others_most = sum(self.most_kw) - self.most_kw[g]
        low = max(self.least_kw[g], self.total_least_kw - others_most)
        high = min(self.most_kw[g], self.total_most_kw - others_least)
        if (least_kw := min(order.at_least_kw, high)) > self.least_kw[g]:
            self.least_kw[g], self.least_by[g] = least_kw, order
        if (most_kw := max(order.at_most_kw, low)) < self.most_kw[g]:
            self.most_kw[g], self.most_by[g] = most_kw, order

    def nearest(self, wished_kw: Sequence[float], merit_order: Sequence[int]) -> Settled:
        """Return the allowed powers that are nearest to what is wished."""
        by: list[Order | None] = [None] * len(wished_kw)
        power_kw = []
        for g, kw in enumerate(wished_kw):
            if kw < self.least_kw[g]:
                kw, by[g] = self.least_kw[g], self.least_by[g]
            elif kw > self.most_kw[g]:
                kw, by[g] = self.most_kw[g], self.most_by[g]
            power_kw.append(kw)
        for g in reversed(merit_order):
            cut_kw = min(sum(power_kw) - self.total_most_kw, power_kw[g] - self.least_kw[g])
            if cut_kw > SAME_KW:
                power_kw[g] -= cut_kw
                by[g] = self.total_most_by
        for g in merit_order:
            add_kw = min(self.total_least_kw - sum(power_kw), self.most_kw[g] - power_kw[g])
            if add_kw > SAME_KW:
                power_kw[g] += add_kw
                by[g] = self.total_least_by
        return Settled(power_kw=tuple(power_kw), by=tuple(by))

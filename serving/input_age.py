"""How old the inputs of a decision are, and what an age means for its use."""

from dataclasses import dataclass
from enum import StrEnum


class Rung(StrEnum):
    """Where an input stands on the ladder."""

    FRESH = "fresh"
    LAST_GOOD = "last good"
    SCHEDULE = "schedule"
    SAFE = "safe profile"


@dataclass(frozen=True, kw_only=True)
class AgeLimit:
    """Up to which age [s] an input is fresh, and up to which its last good value stands in."""

    fresh_s: float
    last_good_s: float


AGE_LIMITS = {
    "price": AgeLimit(fresh_s=0.0, last_good_s=2 * 3600.0),
    "rig readings": AgeLimit(fresh_s=180.0, last_good_s=600.0),
    "demand-response orders": AgeLimit(fresh_s=60.0, last_good_s=float("inf")),
    "plant": AgeLimit(fresh_s=15.0, last_good_s=15.0),
}
"""Age of a price: since the end of the last period with a known one, so 0 within it. Of rig
readings: the newest of all rigs. Of orders and plant: since their source last answered."""


@dataclass(frozen=True, kw_only=True)
class InputAge:
    """How old one input of a decision is; `age_s` is None if it never came."""

    name: str
    age_s: float | None
    rung: Rung


@dataclass(frozen=True, kw_only=True)
class Fallback:
    """Rig power of each group [kW] that stands in for a decision, and why."""

    rung: Rung
    power_kw: tuple[float, ...]
    reason: str


def input_age(name: str, age_s: float | None) -> InputAge:
    """Return where an input without a schedule stands."""
    limit = AGE_LIMITS[name]
    if age_s is None or age_s > limit.last_good_s:
        return InputAge(name=name, age_s=age_s, rung=Rung.SAFE)
    rung = Rung.FRESH if age_s <= limit.fresh_s else Rung.LAST_GOOD
    return InputAge(name=name, age_s=age_s, rung=rung)

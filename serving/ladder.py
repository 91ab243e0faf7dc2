"""What stands in for an input that is old or missing: fresh → last good → schedule → safe profile.

Each input has its age limits (`gridhash.serving.input_age`). A price that is missing is stood in
for by the last one that was known, then by a schedule of the site's local hours, then by the safe
profile; the limits and the orders of the site hold on every rung. Other inputs have no schedule of
their own: rigs that are not measured count as full power, plant readings that are stale allow no
start, and demand-response orders hold until their own end however long their source is silent.
"""

from dataclasses import dataclass
from datetime import datetime, time
from zoneinfo import ZoneInfo

from gridhash.config import SiteConfig
from gridhash.serving.input_age import AGE_LIMITS, Fallback, InputAge, Rung
from gridhash.serving.site_state import MarketRow


@dataclass(frozen=True, kw_only=True)
class ScheduleEntry:
    """From a local time of day on, a share of the power of all rigs."""

    start: time
    share: float


@dataclass(frozen=True, kw_only=True)
class StandIn:
    """What is asked for while no price is known.

    Raises
    ------
    ValueError
        If a share is not in 0 … 1.
    """

    schedule: tuple[ScheduleEntry, ...] = ()
    """Rising by time of day; the last entry reaches over midnight. Empty: no such rung."""
    safe_share: float = 0.0
    schedule_up_to_s: float = 24 * 3600.0
    """Age of the price from which the safe profile holds instead of the schedule."""

    def __post_init__(self) -> None:
        """Reject what is no share."""
        for share in (*(entry.share for entry in self.schedule), self.safe_share):
            if not 0.0 <= share <= 1.0:
                raise ValueError(f"{share} is no share of the power of all rigs; use 0 … 1")

    def share_at(self, local: time) -> float:
        """Return the share of the schedule at a local time of day."""
        begun = [entry for entry in self.schedule if entry.start <= local]
        return (begun or self.schedule)[-1].share


class PriceLadder:
    """The price of a decision, and what stands in for it."""

    def __init__(self, site: SiteConfig, stand_in: StandIn) -> None:
        """No price is known yet."""
        self._site = site
        self._zone = ZoneInfo(site.timezone)
        self._stand_in = stand_in
        self._last: MarketRow | None = None

    def step(
        self, row: MarketRow | None, now: datetime
    ) -> tuple[MarketRow | None, InputAge, Fallback | None]:
        """Return the market row to decide on, its age, and what to do if there is none."""
        if row is not None:
            self._last = row
            return row, InputAge(name="price", age_s=0.0, rung=Rung.FRESH), None
        age_s = None if self._last is None else self._age_s(self._last, now)
        if self._last is not None and age_s is not None and self._usable(age_s):
            return self._last, InputAge(name="price", age_s=age_s, rung=Rung.LAST_GOOD), None
        scheduled = age_s is None or age_s <= self._stand_in.schedule_up_to_s
        rung = Rung.SCHEDULE if self._stand_in.schedule and scheduled else Rung.SAFE
        return None, InputAge(name="price", age_s=age_s, rung=rung), self._fallback(rung, now)

    def _age_s(self, row: MarketRow, now: datetime) -> float:
        period_s = self._site.market.settlement_period_s
        return (now - row.period_start).total_seconds() - period_s

    def _usable(self, age_s: float) -> bool:
        period_s = self._site.market.settlement_period_s
        return -period_s <= age_s <= AGE_LIMITS["price"].last_good_s

    def _fallback(self, rung: Rung, now: datetime) -> Fallback:
        local = now.astimezone(self._zone).time()
        scheduled = rung is Rung.SCHEDULE
        share = self._stand_in.share_at(local) if scheduled else self._stand_in.safe_share
        powers_kw = (self._site.max_group_kw(group) for group in self._site.groups)
        words = f"no price is known: {rung} of {100.0 * share:g} % of the rigs' power"
        return Fallback(rung=rung, power_kw=tuple(share * own for own in powers_kw), reason=words)

"""The loop over the site's meter: reading, quality, correction, demand interval, what is verified.

Each tick the newest reading is judged against the rigs' own word. A good one corrects how many
rigs a setpoint takes (`gridhash.serving.meter_trim`), says what of the reductions that rigs claim
for themselves is verified, and keeps the mean of the running demand interval within its cap. With
a meter that is stale or implausible the correction stands still, and after ten minutes follows
what the rigs report, with a margin.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from gridhash.serving.authority import Authority, Order
from gridhash.serving.claims import ClaimBook
from gridhash.serving.demand_window import DemandWindow
from gridhash.serving.findings import Alarm
from gridhash.serving.input_age import InputAge, Rung
from gridhash.serving.journal import Row
from gridhash.serving.meter_quality import JudgedMeter, MeterJudge, MeterLimits, Quality, RigPower
from gridhash.serving.meter_trim import HELD_S, LEAST_LOAD_FRAC, TrimInput, trim
from gridhash.serving.modbus_config import MeterBlock
from gridhash.serving.rig_status import RigStatus
from gridhash.serving.site_alarms import AlarmKey
from gridhash.serving.site_aux import SiteAux
from gridhash.serving.site_meter import MeterReading, MeterUnreachable, SiteMeter
from gridhash.serving.site_model import SiteModel
from gridhash.serving.verified_reduction import VerifiedReduction
from gridhash.units import W_PER_KW

SETTLES_S = 30.0
"""After a start or stop was seen until the meter has shown all of it."""
MOVING_FRAC = 0.01
"""Of the site's rig power that may be on its way while meter and rigs are compared: a rig that
never obeys always is."""
READ_WITHIN_S = 2.0
"""Wall time in which a meter must have answered, whatever its own deadline."""
AGE_NAME = "site meter"
LEARNT_MARGIN = 1.02
"""On what rigs report, times what the meter showed per reported kW while it was good …"""
UNLEARNT_MARGIN = 1.20
"""… or this where it never was: rigs are up to 20 % off."""
UNKNOWN_FRAC = 0.10
"""Of what the rigs report that others may draw unseen while the meter is compared with them."""
OVER_FRAC = 0.002
"""Of the cap by which the site may be over it before rigs are stopped: a meter's own error."""
CLEAR_FRAC = 0.01
"""Of the cap by which a cut goes below it."""


@dataclass(frozen=True, kw_only=True)
class MeterLink:
    """A meter and what is known of it."""

    meter: SiteMeter
    block: MeterBlock


@dataclass(frozen=True, kw_only=True)
class Metered:
    """What the meter said of one tick."""

    at: datetime
    judged: JudgedMeter
    rigs: RigPower
    given: TrimInput
    trim: float
    site_kw: float
    """By the meter, or what the rigs report with a margin and the cooling at full power."""
    mean_kw: float
    """Of the demand interval so far."""
    limit_kw: float
    """What the site may draw for the rest of it."""
    claimed_kw: float
    """Self-reported."""
    verified_kw: float
    """Of it, what the meter shows; 0 unless it is good."""
    verified_kwh: float
    """Since the run began."""

    def row(self, run_id: int) -> Row:
        """Return the row of the journal."""
        judged = self.judged
        return Row(
            table="metering",
            values={
                "run_id": run_id,
                "at": self.at,
                "quality": str(judged.quality),
                "why": judged.why,
                "age_s": judged.age_s,
                "power_kw": judged.power_kw,
                "cooling_kw": judged.cooling_kw,
                "reported_kw": self.rigs.reported_kw,
                "modelled_kw": self.rigs.modelled_kw,
                "auxiliary_kw": self.given.auxiliary_kw,
                "trim": self.trim,
                "site_kw": self.site_kw,
                "mean_kw": self.mean_kw,
                "limit_kw": self.limit_kw,
                "claimed_kw": self.claimed_kw,
                "verified_kw": self.verified_kw,
                "verified_kwh": self.verified_kwh,
                "text": self.given.to_text(),
            },
        )


def meter_limits(block: MeterBlock, model: SiteModel) -> MeterLimits:
    """Return what is plausible of a site's meter."""
    contract_kw = model.site.limits.contract_power_kw
    return MeterLimits(
        contract_kw=contract_kw,
        least_kw=block.least_kw,
        most_kw=block.most_kw or 1.5 * contract_kw,
        fresh_s=block.fresh_s,
        cooling_kw=model.site.max_cooling_kw,
    )


class Metering:
    """The meter of one site and what it says of each tick."""

    def __init__(
        self,
        link: MeterLink,
        model: SiteModel,
        groups: Sequence[Sequence[RigStatus]],
        claims: ClaimBook,
    ) -> None:
        """Nothing was read yet; rigs count as modelled."""
        self.metered: Metered | None = None
        """Of the last tick; None before the first."""
        self.order: Order | None = None
        """What the demand interval leaves to the rigs, while it binds."""
        self.aux = SiteAux.of(model.site)
        """What of the site's power is not rigs."""
        block = link.block
        self._meter = link.meter
        self._model = model
        self._rigs = [rig for own in groups for rig in own]
        self._claims = claims
        self._judge = MeterJudge(meter_limits(block, model))
        cap_kw = block.demand_cap_kw or model.site.limits.contract_power_kw
        self._window = DemandWindow(cap_kw, block.demand_interval_min * 60.0)
        self._reduction = VerifiedReduction(claims)
        self._reading: MeterReading | None = None
        self._failure = ""
        self._good_at: datetime | None = None
        self._began_at: datetime | None = None
        self._was_good = False
        self._per_reported: float | None = None
        """Metered kW of rigs per reported kW, while the meter was good."""
        self._order_ends_at: datetime | None = None

    @property
    def trim(self) -> float:
        """Metered kW per modelled kW."""
        return self.metered.trim if self.metered is not None else 1.0

    async def read(self) -> None:
        """Read the meter; keeps what it had, which then grows stale, if it does not answer."""
        try:
            async with asyncio.timeout(READ_WITHIN_S):
                self._reading = await self._meter.read()
            self._failure = ""
        except (MeterUnreachable, OSError, TimeoutError) as err:
            self._failure = str(err) or f"no answer within {READ_WITHIN_S:g} s"

    def step(self, now: datetime) -> Metered:
        """Judge the newest reading, and take from it what holds for this tick."""
        rigs = power_of(self._rigs, now)
        judged = self._judge.judge(self._reading, self._failure, rigs, now)
        self._began_at = self._began_at or now
        if judged.quality is Quality.GOOD:
            self._good_at, self._was_good = now, True
        self.aux = self.aux.with_cooling(judged.cooling_kw if judged.power_kw is not None else None)
        given = TrimInput(
            before=self.trim,
            metered_kw=judged.power_kw,
            since_good_s=(now - (self._good_at or self._began_at)).total_seconds(),
            reported_kw=rigs.running_kw * self._margin + rigs.unknown_kw,
            auxiliary_kw=self.aux.of_rigs(rigs.running_kw) + rigs.standby_kw,
            modelled_kw=rigs.modelled_kw,
            settled=self._settled(rigs),
            full_kw=self._model.site.max_rig_kw,
        )
        factor = trim(given)
        self._learn(given, rigs)
        site_kw = judged.power_kw if judged.power_kw is not None else self._guessed_kw(rigs)
        self._window.take(site_kw, now)
        self._bind(site_kw, factor, rigs, now)
        for rig in self._rigs:
            rig.counts_reported = not self._was_good
        verified_kw = self._reduction.update(
            now, judged.power_kw, given.auxiliary_kw, self._per_reported, rigs.running_kw
        )
        self.metered = Metered(
            at=now,
            judged=judged,
            rigs=rigs,
            given=given,
            trim=factor,
            site_kw=site_kw,
            mean_kw=self._window.mean_kw(now),
            limit_kw=self._window.limit_kw(now),
            claimed_kw=self._claims.claimed_kw,
            verified_kw=verified_kw,
            verified_kwh=self._reduction.verified_kwh,
        )
        return self.metered

    def age(self, now: datetime) -> InputAge:
        """Return how old the last good reading is, for a snapshot."""
        if self._good_at is None:
            return InputAge(name=AGE_NAME, age_s=None, rung=Rung.SAFE)
        age_s = max((now - self._good_at).total_seconds(), 0.0)
        good = self.metered is not None and self.metered.judged.quality is Quality.GOOD
        rung = Rung.FRESH if good else Rung.LAST_GOOD if age_s <= HELD_S else Rung.SAFE
        return InputAge(name=AGE_NAME, age_s=age_s, rung=rung)

    def usable_aux(self) -> SiteAux | None:
        """Return what the site draws beside rigs; None while no meter has ever told it."""
        return self.aux if self._was_good else None

    def alarms(self) -> dict[AlarmKey, str]:
        """Return what is wrong with the meter, and that it holds the site down."""
        texts: dict[AlarmKey, str] = {}
        judged = self.metered.judged if self.metered is not None else None
        if judged is not None and judged.quality is not Quality.GOOD:
            implausible = judged.quality is Quality.IMPLAUSIBLE
            kind = Alarm.METER_IMPLAUSIBLE if implausible else Alarm.METER_SILENT
            texts[kind] = judged.why
        if self.order is not None:
            texts[Alarm.DEMAND_CAP] = self.order.reason
        return texts

    def clock_set(self) -> None:
        """Forget instants of the clock that was set; what was good before may be of any age."""
        self._judge.clock_set()
        self._good_at = self._began_at = None

    @property
    def _margin(self) -> float:
        learnt = self._per_reported
        return UNLEARNT_MARGIN if learnt is None else learnt * LEARNT_MARGIN

    def _settled(self, rigs: RigPower) -> bool:
        """Return whether hardly anything moves, so that meter and rigs tell of the same."""
        return rigs.moving_kw <= MOVING_FRAC * self._model.site.max_rig_kw

    def _guessed_kw(self, rigs: RigPower) -> float:
        cooling_kw = self._model.site.max_cooling_kw
        return rigs.reported_kw * self._margin + rigs.unknown_kw + cooling_kw

    def _learn(self, given: TrimInput, rigs: RigPower) -> None:
        """Compare meter and rigs, but not while reductions are claimed: a liar would vanish."""
        enough = rigs.running_kw >= LEAST_LOAD_FRAC * given.full_kw
        few_unknown = rigs.unknown_kw <= UNKNOWN_FRAC * rigs.running_kw
        if given.metered_kw is None or not given.settled or not enough or not few_unknown:
            return
        if self._per_reported is None or not self._claims.claimed_kw:
            known_kw = given.metered_kw - given.auxiliary_kw - rigs.unknown_kw
            self._per_reported = known_kw / rigs.running_kw

    def _bind(self, site_kw: float, factor: float, rigs: RigPower, now: datetime) -> None:
        """Cut the rigs where the site is over what the demand interval leaves, to its end."""
        if self._order_ends_at is not None and now >= self._order_ends_at:
            self.order = self._order_ends_at = None
        limit_kw = self._window.limit_kw(now)
        over_kw = site_kw - limit_kw
        if over_kw <= OVER_FRAC * self._window.cap_kw:
            return
        # In the rigs' true power; what already stops has not fallen yet, and is in both.
        drawn_kw = rigs.modelled_kw * max(factor, 1.0)
        most_kw = max(drawn_kw - over_kw - CLEAR_FRAC * self._window.cap_kw, 0.0)
        if self.order is not None:
            most_kw = min(most_kw, self.order.at_most_kw)
        self._order_ends_at = self._order_ends_at or self._window.ends_at(now)
        self.order = Order(
            authority=Authority.LIMIT,
            reason=f"the mean of the demand interval is to stay at {self._window.cap_kw:,.0f} kW",
            at_most_kw=most_kw,
        )


def metering_of(
    link: MeterLink | None,
    model: SiteModel,
    groups: Sequence[Sequence[RigStatus]],
    claims: ClaimBook,
) -> Metering | None:
    """Return the loop over a site's meter; None without one."""
    return None if link is None else Metering(link, model, groups, claims)


def power_of(rigs: Sequence[RigStatus], now: datetime) -> RigPower:
    """Return what rigs report, what they should draw, and what is not known of them."""
    reported = modelled = running = standby = moving = unknown = 0.0
    for rig in rigs:
        power_kw = rig.power_kw
        if power_kw is None:
            unknown += rig.level_kw[-1]
            modelled += rig.level_kw[-1]  # as the envelope reckons with it
            continue
        reported += power_kw
        if rig.running:
            running += power_kw
            modelled += rig.level_kw[rig.level]
        else:
            # What stands draws what its model says: reports of so little are no measure.
            standby += rig.group.standby_w / W_PER_KW
        if rig.pending is not None or rig.since_s(now) < SETTLES_S:
            moving += rig.level_kw[-1]
    return RigPower(
        reported_kw=reported,
        modelled_kw=modelled,
        running_kw=running,
        standby_kw=standby,
        moving_kw=moving,
        unknown_kw=unknown,
    )

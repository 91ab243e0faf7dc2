"""How far a reading of the site's meter can be trusted: its age, its range, the rigs' own word.

Rigs measure themselves 5 to 20 % off, so a meter that differs from their sum by more than
`OFF_FRAC`, or stands still while they move, tells something else than the site's power.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from gridhash.serving.site_meter import MeterReading

OFF_FRAC = 0.35
"""By which rigs may be off the meter: 20 %, a share of liars, and what boots just now."""
SLACK_FRAC = 0.05
"""Of the contract: what else is on the meter and nobody reports."""
STUCK_S = 60.0
STUCK_FRAC = 0.02
"""Of the contract: a meter that shows one value for so long, while the rigs move so much."""
AHEAD_S = 60.0
"""By which a meter's clock may be ahead of ours."""


class Quality(StrEnum):
    """What a reading is good for: only a good one is used."""

    GOOD = "good"
    SILENT = "silent"  # nothing came
    STALE = "stale"
    IMPLAUSIBLE = "implausible"


@dataclass(frozen=True, kw_only=True)
class MeterLimits:
    """What is plausible of one meter."""

    contract_kw: float
    least_kw: float
    most_kw: float
    fresh_s: float
    cooling_kw: float
    """Fans, pumps and heaters at full power."""


@dataclass(frozen=True, kw_only=True)
class RigPower:
    """What the rigs say, and what of it is not known."""

    reported_kw: float
    """Sum of the measured rigs, by themselves."""
    modelled_kw: float
    """Rigs that run at the power of their levels, those that are not measured at full power."""
    running_kw: float
    """Of `reported_kw`, the rigs that run."""
    standby_kw: float
    """Of `reported_kw`, the rigs that stand."""
    moving_kw: float
    """Power of the rigs that start or stop now, or did a moment ago."""
    unknown_kw: float
    """Full power of the rigs that are not measured."""


@dataclass(frozen=True, kw_only=True)
class JudgedMeter:
    """A reading and its quality; `power_kw` is None unless it may be used."""

    quality: Quality
    why: str = ""
    """Empty if it is good."""
    power_kw: float | None = None
    cooling_kw: float | None = None
    age_s: float | None = None


class MeterJudge:
    """Judges the readings of one meter, each against the ones before."""

    def __init__(self, limits: MeterLimits) -> None:
        """Nothing was read yet."""
        self._limits = limits
        self._since: tuple[datetime, float, float] | None = None
        """When the meter began to show its present value, that value, the rigs' sum then."""

    def clock_set(self) -> None:
        """Forget since when the meter shows its value: the instants are of another clock."""
        self._since = None

    def judge(
        self, reading: MeterReading | None, failure: str, rigs: RigPower, now: datetime
    ) -> JudgedMeter:
        """Return what the newest reading is good for; `failure` says why none came."""
        if reading is None:
            return JudgedMeter(quality=Quality.SILENT, why=failure or "it was not read yet")
        age_s = (now - reading.taken_at).total_seconds()
        if not -AHEAD_S <= age_s <= self._limits.fresh_s:
            ahead = "from the future" if age_s < 0.0 else "old"
            why = f"its value is {abs(age_s):.0f} s {ahead}" + (f": {failure}" if failure else "")
            return JudgedMeter(quality=Quality.STALE, why=why, age_s=age_s)
        why = self._implausible(reading, rigs, now)
        if why:
            return JudgedMeter(quality=Quality.IMPLAUSIBLE, why=why, age_s=age_s)
        return JudgedMeter(
            quality=Quality.GOOD,
            power_kw=reading.power_kw,
            cooling_kw=reading.cooling_kw,
            age_s=max(age_s, 0.0),
        )

    def _implausible(self, reading: MeterReading, rigs: RigPower, now: datetime) -> str:
        limits, power_kw = self._limits, reading.power_kw
        stuck = self._stuck(power_kw, rigs, now)
        if not limits.least_kw <= power_kw <= limits.most_kw:
            return (
                f"it shows {power_kw:.1f} kW, outside {limits.least_kw:.0f} to "
                f"{limits.most_kw:.0f} kW"
            )
        cooling_kw = reading.cooling_kw
        if cooling_kw is not None and not 0.0 <= cooling_kw <= max(power_kw, 0.0):
            return f"cooling of {cooling_kw:.1f} kW is no part of {power_kw:.1f} kW"
        slack_kw = SLACK_FRAC * limits.contract_kw + rigs.moving_kw
        low_kw = rigs.reported_kw * (1.0 - OFF_FRAC) - slack_kw
        high_kw = (
            rigs.reported_kw * (1.0 + OFF_FRAC) + rigs.unknown_kw + limits.cooling_kw + slack_kw
        )
        if not low_kw <= power_kw <= high_kw:
            return (
                f"it shows {power_kw:.1f} kW where the rigs report {rigs.reported_kw:.1f} kW: "
                "another unit, another circuit, or rigs that lie"
            )
        return stuck

    def _stuck(self, power_kw: float, rigs: RigPower, now: datetime) -> str:
        since = self._since
        if since is None or since[1] != power_kw:
            self._since = now, power_kw, rigs.reported_kw
            return ""
        gone_s = (now - since[0]).total_seconds()
        moved_kw = abs(rigs.reported_kw - since[2])
        if gone_s < STUCK_S or moved_kw < STUCK_FRAC * self._limits.contract_kw:
            return ""
        return (
            f"it has shown {power_kw:.1f} kW for {gone_s:.0f} s while the rigs' own sum moved by "
            f"{moved_kw:.0f} kW"
        )

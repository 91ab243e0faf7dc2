"""The door of the site: what comes in is checked here once, and refused with the reason.

Numbers must be finite, plausible and in their unit; samples must have a time zone, follow the one
before and be neither stale nor from the future. What is refused changes nothing: the value before
it stays and grows older. Nothing here is corrected or filled in.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

import numpy as np

from gridhash.config import SiteConfig
from gridhash.data.schema import currency_band
from gridhash.data.trace import Trace
from gridhash.serving.snapshot import RigReading
from gridhash.units import W_PER_KW

UNIT_FACTOR = 300.0
"""By which a value may differ from what is usual before it is in another unit (×100 is not)."""

AHEAD_S = 300.0
"""By which a sample may be from the future: two clocks differ."""

HIGHEST_POWER_FRAC = 1.5
"""Of its rated power that a rig may say it draws …"""
LOWEST_C, HIGHEST_C = -40.0, 150.0
"""… and the temperatures that a sensor on it can show."""
FROZEN_S = 30.0
"""Time after which a rig whose own clock and uptime stand still tells what was, not what is."""


class Reason(StrEnum):
    """Why something was refused."""

    NOT_A_NUMBER = "no number"
    OUT_OF_RANGE = "out of range"
    UNIT = "in another unit"
    NO_TIME_ZONE = "without time zone"
    OUT_OF_ORDER = "out of order"
    DUPLICATE = "duplicate"
    STALE = "stale"
    TO_COME = "from the future"
    EMPTY = "empty"
    OTHER_SERIES = "another series"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, kw_only=True)
class Refused:
    """What was not taken, and why."""

    what: str
    why: str
    reason: Reason = Reason.UNREADABLE


@dataclass(frozen=True, kw_only=True)
class SignalLimits:
    """What is plausible of a signal."""

    low: float
    high: float
    max_age_s: float
    usual: float | None = None
    """Size of a usual value; None where zero and small values are usual too."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One value of one signal."""

    name: str
    value: float
    at: datetime
    """The instant that it holds from."""


def price_limits(currency: str, max_age_s: float) -> SignalLimits:
    """Return what is plausible of an energy price per kWh."""
    band = currency_band(currency)
    return SignalLimits(low=band.price_low, high=band.price_high, max_age_s=max_age_s)


def number_fault(value: object, limits: SignalLimits) -> tuple[Reason, str] | None:
    """Return why a value is none of a signal; None if it may be."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return Reason.NOT_A_NUMBER, f"{value!r} is no number"
    if not limits.low <= value <= limits.high:
        return Reason.OUT_OF_RANGE, f"{value:g} is outside {limits.low:g} … {limits.high:g}"
    if limits.usual and value and not 1 / UNIT_FACTOR < abs(value) / limits.usual < UNIT_FACTOR:
        return Reason.UNIT, f"{value:g} where {limits.usual:g} is usual: check the unit"
    return None


class SignalDoor:
    """Samples of named signals, each followed in its order of time."""

    def __init__(self, limits: Mapping[str, SignalLimits]) -> None:
        """Nothing has passed yet."""
        self._limits = limits
        self._last: dict[str, Sample] = {}

    def last(self, name: str) -> Sample | None:
        """Return the last sample of a signal that passed."""
        return self._last.get(name)

    def check(self, sample: Sample, now: datetime) -> Refused | None:
        """Let a sample pass, or return why not."""
        fault = self._fault(sample, now)
        if fault is None:
            self._last[sample.name] = sample
            return None
        return Refused(what=sample.name, why=fault[1], reason=fault[0])

    def _fault(self, sample: Sample, now: datetime) -> tuple[Reason, str] | None:
        limits, at = self._limits.get(sample.name), sample.at
        if limits is None:
            return Reason.OTHER_SERIES, f"no signal of this site; it has {', '.join(self._limits)}"
        if at.utcoffset() is None:
            return Reason.NO_TIME_ZONE, f"{at} names no time zone"
        age_s = (now - at).total_seconds()
        if age_s > limits.max_age_s:
            return Reason.STALE, f"{age_s:.0f} s old; at most {limits.max_age_s:.0f} s"
        if age_s < -AHEAD_S:
            return Reason.TO_COME, f"{-age_s:.0f} s ahead of the clock"
        last = self._last.get(sample.name)
        if last is not None and at <= last.at:
            if at == last.at:
                return Reason.DUPLICATE, f"there is one of {at:%Y-%m-%d %H:%M:%S %z} already"
            return Reason.OUT_OF_ORDER, f"{at:%H:%M:%S} comes after {last.at:%H:%M:%S}"
        return number_fault(sample.value, limits)


def check_market(
    new: Trace, known: Trace | None, site: SiteConfig, now: datetime
) -> Refused | None:
    """Return why a market's newly read series is not to be decided on; None if it is.

    Each value was checked when the trace was made (`gridhash.data.schema`); here the series is
    held against the site, the clock and what was known before.
    """

    def refused(reason: Reason, why: str) -> Refused:
        return Refused(what=new.source, why=why, reason=reason)

    if new.currency != site.currency or new.period_s != site.market.settlement_period_s:
        text = f"{new.currency} every {new.period_s} s is not the site's market"
        return refused(Reason.OTHER_SERIES, text)
    if new.end <= now - timedelta(days=1):
        return refused(Reason.STALE, f"it ends at {new.end:%Y-%m-%d %H:%M %Z}")
    if known is None:
        return None
    if new.end < known.end:
        text = f"it ends at {new.end:%Y-%m-%d %H:%M %Z}, before what is known"
        return refused(Reason.OUT_OF_ORDER, text)
    usual, found = _size(known), _size(new)
    if usual and found and not 1 / UNIT_FACTOR < found / usual < UNIT_FACTOR:
        text = f"its newest prices are near {found:g} where {usual:g} is usual: check the unit"
        return refused(Reason.UNIT, text)
    return None


def check_reading(
    reading: RigReading, before: RigReading | None, top_power_kw: float
) -> RigReading:
    """Return a rig's reading without what cannot be: it is None there, and named.

    A power that is impossible, or that a frozen firmware tells again and again, is no power: the
    rig then counts as running at full power and nothing is claimed.
    """
    wrong: dict[str, float] = {}
    power_w = reading.power_w
    if power_w is not None and not 0.0 <= power_w <= HIGHEST_POWER_FRAC * top_power_kw * W_PER_KW:
        wrong["power_w"] = power_w
    for name in ("chip_temp_c", "inlet_temp_c", "outlet_temp_c"):
        value = getattr(reading, name)
        if value is not None and not LOWEST_C <= value <= HIGHEST_C:
            wrong[name] = value
    if power_w is not None and before is not None and _is_frozen(reading, before):
        wrong["power_w"] = power_w
    if not wrong:
        return reading
    words = tuple(f"{name}={value:g}" for name, value in wrong.items())
    changes: dict[str, object] = dict.fromkeys(wrong)
    return replace(reading, **changes, not_numbers=(*reading.not_numbers, *words))  # type: ignore[arg-type]


def _is_frozen(reading: RigReading, before: RigReading) -> bool:
    """Return whether the rig's own clock and uptime stood still while ours went on."""
    if (reading.read_at - before.read_at).total_seconds() < FROZEN_S:
        return False
    clocks = (reading.rig_clock_at, before.rig_clock_at)
    uptimes = (reading.uptime_s, before.uptime_s)
    told = [pair for pair in (clocks, uptimes) if None not in pair]
    return bool(told) and all(own == earlier for own, earlier in told)


def _size(trace: Trace) -> float:
    """Return how large the prices of the newest day are in the middle."""
    newest = trace.column("price_per_kwh")[-86400 // trace.period_s :]
    return float(np.median(np.abs(newest)))

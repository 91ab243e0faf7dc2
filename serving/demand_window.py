"""The running demand interval: what its mean is so far, and what the rest of it may draw.

Contract power is a mean over half an hour that begins at full hours. What was drawn above the cap
early in an interval is taken back before it ends; what was drawn below is not made up for, since
the site's power may never exceed the cap either.
"""

from datetime import UTC, datetime, timedelta

from gridhash.units import SECONDS_PER_HOUR

LEAST_REST_S = 60.0
"""Rest of an interval that a correction is spread over at least: rigs need time to fall."""


class DemandWindow:
    """Energy of one demand interval after the other."""

    def __init__(self, cap_kw: float, interval_s: float) -> None:
        """Nothing was measured yet: what is unknown of an interval counts as drawn at the cap."""
        self.cap_kw = cap_kw
        self._interval_s = interval_s
        self._start: datetime | None = None
        self._last: tuple[datetime, float] | None = None
        self._energy_kwh = 0.0

    def take(self, power_kw: float, now: datetime) -> None:
        """Take in the site's power now: between two of them it counts as their mean."""
        start, last = self._start_of(now), self._last
        self._last = now, power_kw
        if last is None or not timedelta() <= now - last[0] <= timedelta(seconds=self._interval_s):
            # The first power, a clock that was set, or a pause: what was before is unknown.
            self._start, self._energy_kwh = start, _kwh(self.cap_kw, now - start)
        elif start != self._start:
            self._start, self._energy_kwh = start, _kwh(max(last[1], power_kw), now - start)
        else:
            self._energy_kwh += _kwh((last[1] + power_kw) / 2.0, now - last[0])

    def mean_kw(self, now: datetime) -> float:
        """Return the mean of the interval so far [kW]; the cap at its first instant."""
        gone_s = self._gone_s(now)
        return self._energy_kwh * SECONDS_PER_HOUR / gone_s if gone_s > 0.0 else self.cap_kw

    def limit_kw(self, now: datetime) -> float:
        """Return what the site may draw for the rest of the interval [kW], 0 or more."""
        gone_s = self._gone_s(now)
        rest_s = max(self._interval_s - gone_s, LEAST_REST_S)
        above_kwh = self._energy_kwh - self.cap_kw * gone_s / SECONDS_PER_HOUR
        return min(self.cap_kw, max(self.cap_kw - above_kwh * SECONDS_PER_HOUR / rest_s, 0.0))

    def ends_at(self, now: datetime) -> datetime:
        """Return when the interval of an instant ends."""
        return self._start_of(now) + timedelta(seconds=self._interval_s)

    def _gone_s(self, now: datetime) -> float:
        if self._start is None:
            return 0.0
        return min(max((now - self._start).total_seconds(), 0.0), self._interval_s)

    def _start_of(self, now: datetime) -> datetime:
        gone_s = now.timestamp() % self._interval_s
        return now.astimezone(UTC) - timedelta(seconds=gone_s)


def _kwh(power_kw: float, time: timedelta) -> float:
    return power_kw * time.total_seconds() / SECONDS_PER_HOUR

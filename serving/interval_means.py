"""Mean power of each dispatch interval, from measurements at odd instants."""

from collections import deque
from datetime import UTC, datetime, timedelta

LEAST_COVERED = 0.5
"""Share of an interval that must be measured for its mean to count."""
LONGEST_HOLD = timedelta(minutes=5)
"""For so long after it was measured a power is taken to go on."""
MOST_WAITING = 31 * 288
"""Ended intervals that are kept until somebody takes them: a month of 5 minutes."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class IntervalMeans:
    """Holds each power until the next is measured; intervals lie on the clock.

    Parameters
    ----------
    interval_s
        Length of an interval [s].
    """

    def __init__(self, interval_s: int) -> None:
        """Nothing was measured yet."""
        self.interval = timedelta(seconds=interval_s)
        self.ended: deque[tuple[datetime, float | None]] = deque(maxlen=MOST_WAITING)
        """Start and mean power [kW] of the intervals that are over, oldest first; None where too
        little of one was measured."""
        self._measured_at: datetime | None = None
        self._power_kw = 0.0
        self._added_to: datetime | None = None
        """Up to where the power is in the sums."""
        self._start: datetime | None = None
        """Of the present interval."""
        self._energy_kws = 0.0
        self._covered_s = 0.0

    def start_of(self, instant: datetime) -> datetime:
        """Return the start of the interval that holds an instant."""
        return EPOCH + (instant - EPOCH) // self.interval * self.interval

    def see(self, now: datetime, power_kw: float) -> None:
        """Take in a measurement; one from before the last (a clock set back) only replaces it."""
        self.pass_to(now)
        self._measured_at, self._power_kw, self._added_to = now, power_kw, now

    def pass_to(self, now: datetime) -> None:
        """Let the last power go on until now, and close the intervals that are over."""
        if self._start is None:
            self._start = self.start_of(now)
        while now >= self._start + self.interval:
            end = self._start + self.interval
            self._add(end)
            is_known = self._covered_s >= LEAST_COVERED * self.interval.total_seconds()
            mean_kw = self._energy_kws / self._covered_s if is_known else None
            self.ended.append((self._start, mean_kw))
            self._start, self._energy_kws, self._covered_s = end, 0.0, 0.0
            if self._measured_at is None or end > self._measured_at + LONGEST_HOLD:
                # Nothing is known any more: the intervals up to now have no mean.
                last = self.start_of(now)
                n_left = min((last - end) // self.interval, MOST_WAITING)
                skipped = range(n_left, 0, -1)
                self.ended.extend((last - k * self.interval, None) for k in skipped)
                self._start = last
        self._add(now)

    def _add(self, until: datetime) -> None:
        if self._measured_at is None or self._added_to is None:
            return
        until = min(until, self._measured_at + LONGEST_HOLD)
        seconds = (until - self._added_to).total_seconds()
        if seconds > 0.0:
            self._energy_kws += self._power_kw * seconds
            self._covered_s += seconds
            self._added_to = until

"""A circuit breaker per rig: who does not answer is left alone for a while.

Closed, every call goes through. After `open_after` failures in a row it opens: calls fail at once
and cost the rig and the network nothing. When the wait is over, one call may probe; success closes
the breaker, failure doubles the wait. Stops do not ask it.
"""

from dataclasses import dataclass, fields
from enum import StrEnum

from gridhash.serving.clock import Clock


class BreakerState(StrEnum):
    """Whether calls go through."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


@dataclass(frozen=True, kw_only=True)
class BreakerSettings:
    """Times are on the controller's monotonic clock.

    The waits are shorter than those between a controller's own probes of an unreachable rig, so
    that the breaker never turns away a probe that was waited for.

    Raises
    ------
    ValueError
        If a number is not positive.
    """

    open_after: int = 5
    wait_s: float = 20.0
    """Until the first probe; doubles up to `longest_wait_s`."""
    longest_wait_s: float = 600.0

    def __post_init__(self) -> None:
        """Reject what is not positive."""
        for field in fields(self):
            if not getattr(self, field.name) > 0:
                raise ValueError(
                    f"{field.name} must be positive; found {getattr(self, field.name)}"
                )


class CircuitBreaker:
    """Counts failures in a row and says whether a call may go through."""

    def __init__(self, clock: Clock, settings: BreakerSettings | None = None) -> None:
        """Start closed."""
        self._clock = clock
        self._settings = settings or BreakerSettings()
        self._n_failures = 0
        self._next_probe_s = 0.0
        self._probing = False

    @property
    def state(self) -> BreakerState:
        """Whether calls go through now."""
        if self._n_failures < self._settings.open_after:
            return BreakerState.CLOSED
        waits = self._probing or self._clock.monotonic() < self._next_probe_s
        return BreakerState.OPEN if waits else BreakerState.HALF_OPEN

    @property
    def wait_s(self) -> float:
        """Time until the next probe may go through [s]; 0 if a call may."""
        if self.state is not BreakerState.OPEN:
            return 0.0
        return max(self._next_probe_s - self._clock.monotonic(), 0.0)

    def lets_through(self) -> bool:
        """Return whether a call may go through; if half-open, this one is the probe."""
        state = self.state
        self._probing = self._probing or state is BreakerState.HALF_OPEN
        return state is not BreakerState.OPEN

    def succeeded(self) -> None:
        """Note that the rig answered, be it with a refusal."""
        self._n_failures = 0
        self._probing = False

    def failed(self) -> None:
        """Note that the rig did not answer."""
        self._probing = False
        self._n_failures += 1
        doublings = min(max(self._n_failures - self._settings.open_after, 0), 30)
        wait_s = min(self._settings.wait_s * 2.0**doublings, self._settings.longest_wait_s)
        self._next_probe_s = self._clock.monotonic() + wait_s

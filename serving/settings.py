"""How a controller supervises: periods, deadlines, packets. Limits of the site are not here."""

import math
from dataclasses import dataclass, fields


@dataclass(frozen=True, kw_only=True)
class ControllerSettings:
    """Times are on the controller's clock; only `policy_deadline_s` is wall time.

    Raises
    ------
    ValueError
        If a time or a number is not positive.
    """

    supervision_s: float = 10.0
    """Between two readings of every rig while anything is under way …"""
    settled_supervision_s: float = 10.0
    """… and while nothing is; a simulated day may take longer steps."""
    check_s: float = 2.0
    """Between two readings of a rig that has a command under way, or that missed its last one."""
    verify_within_s: float = 60.0
    """Watts must confirm a stop within this time, a start within this and the boot time."""
    unreachable_after: int = 3
    """Readings missed in a row from which a rig counts as unreachable."""
    probe_s: float = 30.0
    """Until an unreachable rig is tried again; doubles up to `probe_max_s`."""
    probe_max_s: float = 900.0
    retry_s: float = 30.0
    """Until the second retry of a command; doubles up to `retry_max_s`. The first is at once."""
    retry_max_s: float = 600.0
    flag_after: int = 2
    """Commands in a row that had no effect before a rig is flagged."""
    start_packet_rigs: int = 10
    """Rigs started at once; stops are never staggered."""
    start_packet_pause_s: float = 5.0
    ramp_up_kw_per_min: float = math.inf
    """Fastest rise by commands; the site's own limit holds besides."""
    ramp_down_kw_per_min: float = math.inf
    """Fastest fall of what neither limit nor obligation lowers."""
    reallocate_s: float = 30.0
    """At least between two decisions that only make up for rigs that were lost."""
    paused_after_s: float = 15.0
    """Delay of a tick from which the controller counts as having stood still."""
    policy_deadline_s: float = 2.0
    """Wall time in which the policy must answer."""
    clock_skew_alarm_s: float = 120.0

    def __post_init__(self) -> None:
        """Reject what is not positive."""
        for field in fields(self):
            value = getattr(self, field.name)
            if not value > 0:
                raise ValueError(f"{field.name} must be positive; found {value}")

    def probe_after_s(self, n_misses: int) -> float:
        """Return the wait after so many missed readings [s]."""
        doublings = max(n_misses - self.unreachable_after, 0)
        return min(self.probe_s * 2.0 ** min(doublings, 30), self.probe_max_s)

    def retry_after_s(self, n_failures: int) -> float:
        """Return the wait after so many failed commands in a row [s]."""
        if n_failures <= 1:
            return 0.0
        return min(self.retry_s * 2.0 ** min(n_failures - 2, 30), self.retry_max_s)

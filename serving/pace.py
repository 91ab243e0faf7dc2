"""How fast rigs are raised and lowered: packets with a pause, and a ramp in each direction.

A packet's power is spread over the pause after it, so that no pause of the controller and no rig
larger than a packet gathers a right to more: the mean from any packet to the next keeps the ramp.
"""

import math
from datetime import datetime, timedelta

from gridhash.serving.pending import moved

SECONDS_PER_MIN = 60.0
SAME_KW = 1e-6


class Pace:
    """The turns of one direction."""

    def __init__(self, *, packet_rigs: float, pause_s: float, ramp_kw_per_min: float) -> None:
        """Nothing was sent yet; rigs and ramp may be infinite."""
        self.next_at: datetime | None = None
        """When the next packet may leave; None for now."""
        self._packet_rigs = packet_rigs
        self._pause_s = pause_s
        self._kw_per_s = ramp_kw_per_min / SECONDS_PER_MIN

    def waits(self, now: datetime) -> bool:
        """Return whether the pause after the last packet still runs."""
        return self.next_at is not None and now < self.next_at

    def fits(self, n_rigs: int, packet_kw: float, more_kw: float) -> bool:
        """Return whether a packet of so many rigs and kW takes more; an empty one takes any rig."""
        if not n_rigs:
            return True
        within_kw = self._kw_per_s * self._pause_s + SAME_KW
        return n_rigs < self._packet_rigs and packet_kw + more_kw <= within_kw

    def sent(self, packet_kw: float, now: datetime) -> datetime:
        """Begin the pause after a packet, and return when it ends."""
        ramp_s = 0.0 if math.isinf(self._kw_per_s) else packet_kw / self._kw_per_s
        self.next_at = now + timedelta(seconds=max(self._pause_s, ramp_s))
        return self.next_at

    def clock_set(self, by: timedelta) -> None:
        """Move the next packet with the host's clock."""
        self.next_at = moved(self.next_at, by)

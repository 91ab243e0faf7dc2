"""Power, energy, hashes and chip temperature of one simulated rig between two of its events.

Between events a rig's target power and hash rate are constant, so all four are written down as
exact functions of time; reading a rig once or a thousand times gives the same energy. Chip and
coolant follow `gridhash.envs.thermal`; the coolant stays at one temperature per segment.
"""

import math
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from gridhash.config import CoolingConfig
from gridhash.envs.thermal import chip_temp_after
from gridhash.units import SECONDS_PER_HOUR, W_PER_KW


def power_after_w(start_w: float, target_w: float, lag_s: float, elapsed_s: float) -> float:
    """Return a power on its way from `start_w` to `target_w` with a first-order lag [W]."""
    left = math.exp(-elapsed_s / lag_s) if lag_s > 0.0 else 0.0
    return target_w + (start_w - target_w) * left


def energy_after_kwh(start_w: float, target_w: float, lag_s: float, elapsed_s: float) -> float:
    """Return the energy that `power_after_w` draws in the elapsed time [kWh]."""
    joules = target_w * elapsed_s
    if lag_s > 0.0:
        joules += (start_w - target_w) * lag_s * -math.expm1(-elapsed_s / lag_s)
    return joules / W_PER_KW / SECONDS_PER_HOUR


@dataclass(frozen=True, kw_only=True)
class RigSegment:
    """One rig from `start_at` until something changes: power decays towards its target."""

    start_at: datetime
    start_w: float
    target_w: float
    lag_s: float
    """Time constant of power; 0 means that power steps to its target."""
    hashrate_ths: float
    chip_start_c: float
    coolant_c: float
    cooling: CoolingConfig
    energy_start_kwh: float = 0.0
    """Drawn before the segment."""
    work_start_th: float = 0.0
    """Hashed before the segment."""

    @classmethod
    def steady(
        cls,
        at: datetime,
        power_w: float,
        hashrate_ths: float,
        *,
        lag_s: float,
        coolant_c: float,
        cooling: CoolingConfig,
    ) -> "RigSegment":
        """Return a rig that has drawn a power for so long that its chips are settled."""
        return cls(
            start_at=at,
            start_w=power_w,
            target_w=power_w,
            lag_s=lag_s,
            hashrate_ths=hashrate_ths,
            chip_start_c=coolant_c + power_w / W_PER_KW * cooling.chip_to_coolant_k_per_kw,
            coolant_c=coolant_c,
            cooling=cooling,
        )

    def power_w(self, at: datetime) -> float:
        """Return the power at an instant of the segment [W]."""
        return power_after_w(self.start_w, self.target_w, self.lag_s, self._elapsed_s(at))

    def energy_kwh(self, at: datetime) -> float:
        """Return the energy drawn until an instant [kWh]."""
        return self.energy_start_kwh + energy_after_kwh(
            self.start_w, self.target_w, self.lag_s, self._elapsed_s(at)
        )

    def work_th(self, at: datetime) -> float:
        """Return the hashes computed until an instant [TH]."""
        return self.work_start_th + self.hashrate_ths * self._elapsed_s(at)

    def chip_temp_c(self, at: datetime) -> float:
        """Return the chip temperature at an instant [°C].

        The relation of `chip_temp_after` at the target power, and the exact response of the same
        first-order system to the part of the power that decays with the lag.
        """
        elapsed_s = self._elapsed_s(at)
        settled_c = chip_temp_after(
            self.chip_start_c,
            self.coolant_c,
            self.target_w / W_PER_KW,
            self.cooling.chip_to_coolant_k_per_kw,
            self.cooling.rig_heat_capacity_kj_per_k,
            elapsed_s,
        )
        return float(settled_c + self._lag_heating_k(elapsed_s))

    def followed_by(
        self,
        at: datetime,
        *,
        target_w: float,
        hashrate_ths: float,
        coolant_c: float | None = None,
    ) -> "RigSegment":
        """Return the segment that starts at an instant of this one with a new target."""
        return RigSegment(
            start_at=at,
            start_w=self.power_w(at),
            target_w=target_w,
            lag_s=self.lag_s,
            hashrate_ths=hashrate_ths,
            chip_start_c=self.chip_temp_c(at),
            coolant_c=self.coolant_c if coolant_c is None else coolant_c,
            cooling=self.cooling,
            energy_start_kwh=self.energy_kwh(at),
            work_start_th=self.work_th(at),
        )

    def _elapsed_s(self, at: datetime) -> float:
        elapsed_s = (at - self.start_at).total_seconds()
        if elapsed_s < 0.0:
            raise ValueError(f"{at} lies before the segment that starts at {self.start_at}")
        return elapsed_s

    def _lag_heating_k(self, elapsed_s: float) -> float:
        """Return the solution of C dT/dt = gap exp(-t/lag) - T/R with T(0) = 0 [K]."""
        if self.lag_s <= 0.0:
            return 0.0
        capacity_kj_per_k = self.cooling.rig_heat_capacity_kj_per_k
        chip_rate = 1.0 / (self.cooling.chip_to_coolant_k_per_kw * capacity_kj_per_k)
        lag_rate = 1.0 / self.lag_s
        scale = (self.start_w - self.target_w) / W_PER_KW / capacity_kj_per_k
        # (exp(-lag t) - exp(-chip t)) / (chip - lag), from the slower of the two so that neither a
        # long time overflows nor equal rates are trouble.
        slower = min(chip_rate, lag_rate)
        apart = abs(chip_rate - lag_rate)
        ratio = elapsed_s if apart == 0.0 else -math.expm1(-apart * elapsed_s) / apart
        return scale * math.exp(-slower * elapsed_s) * ratio


class RigPast:
    """The segments that a rig has lived, the last of which is the present."""

    def __init__(self, first: RigSegment, remember_s: float | None = None) -> None:
        """Begin with a segment; with `remember_s` what ended longer ago is forgotten [s]."""
        self._segments = [first]
        self._remember_s = remember_s

    @property
    def last(self) -> RigSegment:
        """The present segment."""
        return self._segments[-1]

    def append(self, segment: RigSegment) -> None:
        """Begin a segment."""
        self._segments.append(segment)
        if self._remember_s is None:
            return
        forget_until = segment.start_at - timedelta(seconds=self._remember_s)
        while self._segments[1].start_at <= forget_until:
            del self._segments[0]

    def value(self, at: datetime, of: Callable[[RigSegment, datetime], float]) -> float:
        """Return a value of the segment that holds an instant."""
        index = bisect_right(self._segments, at, key=lambda segment: segment.start_at) - 1
        return of(self._segments[max(index, 0)], at)

    def mean_hashrate_ths(self, until: datetime, window_s: float) -> float:
        """Return the mean over a window, or over what is remembered where that is shorter."""
        window_s = min(window_s, (until - self._segments[0].start_at).total_seconds())
        if window_s <= 0.0:
            return self._segments[0].hashrate_ths
        begin = until - timedelta(seconds=window_s)
        work_th = self.value(until, RigSegment.work_th) - self.value(begin, RigSegment.work_th)
        return work_th / window_s

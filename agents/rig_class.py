"""Rigs that are the same, with what the linear programs need to know of them."""

from dataclasses import dataclass

import numpy as np

from gridhash.agents.day_ahead_dp import first_like
from gridhash.envs.parameters import Floats, Ints, SiteParameters
from gridhash.envs.thermal import temperature_power_frac


@dataclass(frozen=True)
class RigClass:
    """All rigs of a site that are the same, whatever group they stand in.

    Per rig; of two figures of the cooling, the first favours profit where energy costs money, the
    second where burning it pays.
    """

    n_rigs: float
    level_kw: Floats
    level_phs: Floats
    standby_kw: float
    start_cost: float
    n_up_lock: int
    n_down_lock: int
    power_frac: Floats
    """(S,) by age, of rigs that start: those that do not yet draw and hash fully."""
    hash_frac: Floats
    coolant_setpoint_c: float
    fan_exponent: float
    """Fan power over heat rejection: both per full."""
    fan_kw: tuple[float, float]
    rejection_kw_per_k: tuple[float, float]
    least_rejection_frac: tuple[float, float]
    pump_kw: tuple[float, float]
    pump_idle_kw: float
    heater_kw: float = 0.0
    """Most that a heater of the loop may burn."""
    is_wet: bool = False
    spray_off_below_c: float = 0.0
    spray_off_rejection_frac: float = 1.0
    fails: bool = False
    power_per_k: float = 0.0
    power_reference_c: float = 0.0
    chip_rise_k_per_kw: float = 0.0
    """What a running chip is hotter than the loop after one interval, per its power [K/kW]."""
    groups: tuple[int, ...] = ()
    """Numbers of the groups that the rigs stand in."""
    lost_hash_h: float = 0.0
    """Hashing at the top level that a start costs beside `start_cost` [h], where programs leave
    out the ages of a start."""
    hot_frac: float = 1.0
    """Power just below the temperature trip per power named."""

    @property
    def most_heat_kw(self) -> float:
        """Power of a rig at its top level with the hottest chip."""
        return float(self.level_kw[-1] * self.hot_frac)

    def cold_fracs(self, coldest_c: Floats) -> Floats:
        """Return the least power by age per power named, nothing being colder than `coldest_c`.

        (A, T) for T temperatures and the A - 1 ages of a start and older rigs. A chip that has run
        for an interval is hotter than the loop by its heat through its thermal resistance, as far
        as that settles within the interval (`gridhash.envs.thermal`).
        """
        frac = np.ones((len(self.power_frac) + 1, len(coldest_c)))
        if self.power_per_k > 0.0:
            frac[0] = self._power_fracs(coldest_c)
            rise_k = self.chip_rise_k_per_kw * self.level_kw[0] * frac[0].min()
            for age in range(1, len(frac)):
                frac[age] = self._power_fracs(coldest_c + self.power_frac[age - 1] * rise_k)
        return frac

    def _power_fracs(self, chip_c: Floats) -> Floats:
        """Return `temperature_power_frac` of chips, (T,)."""
        return np.array(
            [
                temperature_power_frac(one_c, self.power_per_k, self.power_reference_c)
                for one_c in chip_c
            ]
        )

    def sink(self, outdoor_c: Floats, wet_bulb_c: Floats) -> tuple[Floats, Floats]:
        """Return what heat is rejected to [°C] and the share of heat rejection that is there.

        As `gridhash.envs.heat_sink`, (T,) each.
        """
        if not self.is_wet:
            return outdoor_c, np.ones(len(outdoor_c))
        sprays = outdoor_c >= self.spray_off_below_c
        share = np.where(sprays, 1.0, self.spray_off_rejection_frac)
        return np.where(sprays, wet_bulb_c, outdoor_c), share

    def fan_tangents(self, sink_c: Floats, wetted: Floats) -> list[tuple[Floats, Floats]]:
        """Return lines (intercept, slope) below the fan power of a rig over its heat [kW].

        `sink_c` and `wetted`, (T,), are what `sink` returns.

        The law is ``fan_kw * clip(heat / full_heat, least, 1) ** e`` with e >= 3: convex until the
        fans run full, then constant. A tangent stays below it up to the most heat, X full heats,
        if x^e + e x^(e-1) (X - x) <= 1 at its point x, which rises in x; so points are capped
        there.
        """
        fan_kw, exponent = self.fan_kw[0], self.fan_exponent
        level_kw = self.level_kw
        top_kw = self.most_heat_kw
        points_kw = (
            (0.5 * top_kw, top_kw)
            if len(level_kw) == 1
            else (level_kw[0], level_kw[len(level_kw) // 2], top_kw)
        )
        difference_k = self.coolant_setpoint_c - sink_c
        full = difference_k <= 0.0
        full_heat_kw = np.maximum(difference_k, 1e-6) * (self.rejection_kw_per_k[0] * wetted)
        most = top_kw / full_heat_kw
        low, high = np.where(most <= 1.0, 1.0, 0.0), np.ones(len(most))
        for _ in range(60 if (most > 1.0).any() else 0):
            x = 0.5 * (low + high)
            fits = (most <= 1.0) | (
                x**exponent + exponent * x ** (exponent - 1.0) * (most - x) <= 1
            )
            low, high = np.where(fits, x, low), np.where(fits, high, x)
        zero = np.zeros(len(most))
        least = np.where(full, fan_kw, fan_kw * self.least_rejection_frac[0] ** exponent)
        lines = [(least, zero)]
        for point_kw in points_kw:
            x = np.minimum(point_kw / full_heat_kw, low)
            slope = fan_kw * exponent * x ** (exponent - 1.0) / full_heat_kw
            intercept = fan_kw * x**exponent - slope * x * full_heat_kw
            lines.append((np.where(full, fan_kw, intercept), np.where(full, 0.0, slope)))
        return lines

    def fan_chord(self, sink_c: Floats, wetted: Floats) -> tuple[Floats, Floats]:
        """Return the line (intercept, slope) above the fan power of a rig over its heat [kW]."""
        fan_kw, exponent = self.fan_kw[1], self.fan_exponent
        full_heat_kw = np.maximum(self.coolant_setpoint_c - sink_c, 0.0)
        full_heat_kw = full_heat_kw * (self.rejection_kw_per_k[1] * wetted)
        top_kw = self.most_heat_kw
        convex = full_heat_kw >= top_kw
        share = np.where(convex, top_kw / np.where(convex, full_heat_kw, 1.0), 1.0)
        least = np.where(convex, self.least_rejection_frac[1], 1.0)
        left = fan_kw * least**exponent
        right = fan_kw * np.maximum(share, least) ** exponent
        return left, (right - left) / top_kw


def rig_classes(params: SiteParameters) -> list[RigClass]:
    """Return the site's rigs by class: same rigs, same setpoint and fan law of their loop."""
    like = first_like(params)
    keys = [
        (
            int(like[g]),
            params.coolant_setpoint_c[g],
            params.heat_rejection_exponent[g],
            params.is_wet[g],
            params.spray_off_below_c[g],
            params.spray_off_rejection_frac[g],
            params.power_per_k[g],
            params.power_reference_c[g],
            params.repair_per_h[g] > 0.0,
        )
        for g in range(len(like))
    ]
    return [
        _rig_class(params, np.array([g for g, own in enumerate(keys) if own == key]))
        for key in dict.fromkeys(keys)
    ]


def _rig_class(params: SiteParameters, groups: Ints) -> RigClass:
    g = int(groups[0])
    n_levels = int(params.n_levels[g])
    n_rigs = params.n_rigs[groups]
    partial = (params.start_power_frac[g] < 1.0) | (params.start_hash_frac[g] < 1.0)
    n_start = int(np.flatnonzero(partial)[-1]) + 1 if partial.any() else 0
    power_per_k, reference_c = float(params.power_per_k[g]), float(params.power_reference_c[g])
    if power_per_k > 0.0:
        n_start = max(n_start, 1)  # rigs that just started have cold chips

    def favourable(values: Floats, *, low_first: bool) -> tuple[float, float]:
        low, high = float(values.min()), float(values.max())
        return (low, high) if low_first else (high, low)

    rejection = params.heat_rejection_kw_per_k[groups]
    return RigClass(
        groups=tuple(int(k) for k in groups),
        n_rigs=float(n_rigs.sum()),
        level_kw=params.level_kw[g, :n_levels],
        level_phs=params.level_phs[g, :n_levels],
        standby_kw=float(params.standby_kw[g]),
        start_cost=float(params.start_cost[g]),
        n_up_lock=int(params.n_up_lock[g]),
        n_down_lock=int(params.n_down_lock[g]),
        power_frac=params.start_power_frac[g, :n_start],
        hash_frac=params.start_hash_frac[g, :n_start],
        coolant_setpoint_c=float(params.coolant_setpoint_c[g]),
        fan_exponent=3.0 / float(params.heat_rejection_exponent[g]),
        fan_kw=favourable(params.fan_kw[groups] / n_rigs, low_first=True),
        rejection_kw_per_k=favourable(rejection / n_rigs, low_first=False),
        least_rejection_frac=favourable(
            params.heat_rejection_min_kw_per_k[groups] / rejection, low_first=True
        ),
        pump_kw=favourable(params.pump_kw[groups] / n_rigs, low_first=True),
        pump_idle_kw=float((params.pump_idle_kw[groups] / n_rigs).min()),
        heater_kw=float((params.freeze_heater_kw[groups] / n_rigs).max()),
        is_wet=bool(params.is_wet[g] > 0.0),
        spray_off_below_c=float(params.spray_off_below_c[g]),
        spray_off_rejection_frac=float(params.spray_off_rejection_frac[g]),
        fails=bool(params.repair_per_h[g] > 0.0),
        power_per_k=power_per_k,
        power_reference_c=reference_c,
        chip_rise_k_per_kw=float(
            (params.chip_to_coolant_k_per_kw * (1.0 - params.chip_decay))[groups].min()
        ),
        hot_frac=max(
            temperature_power_frac(float(params.chip_trip_c[k]), power_per_k, reference_c)
            for k in groups
        ),
    )

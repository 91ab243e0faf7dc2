"""Rigs that are the same, as columns and rows of the bound's linear program."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gridhash.agents.day_ahead_dp import first_like
from gridhash.agents.linear_program import LinearProgram
from gridhash.envs.columns import OUTDOOR, REVENUE, WET_BULB
from gridhash.envs.parameters import Floats, Ints, SiteParameters
from gridhash.envs.thermal import temperature_power_frac
from gridhash.units import HOURS_PER_DAY


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
    hot_frac: float = 1.0
    """Power just below the temperature trip per power named."""

    @property
    def most_heat_kw(self) -> float:
        """Power of a rig at its top level with the hottest chip."""
        return float(self.level_kw[-1] * self.hot_frac)

    def cold_fracs(self, coldest_c: float) -> Floats:
        """Return the least power by age per power named, nothing being colder than `coldest_c`.

        As many as there are ages of a start, and one for older rigs. A chip that has run for an
        interval is hotter than the loop by its heat through its thermal resistance, as far as
        that settles within the interval (`gridhash.envs.thermal`).
        """
        frac = np.ones(len(self.power_frac) + 1)
        if self.power_per_k > 0.0:
            frac[0] = temperature_power_frac(coldest_c, self.power_per_k, self.power_reference_c)
            rise_k = self.chip_rise_k_per_kw * self.level_kw[0] * frac[0]
            for age in range(1, len(frac)):
                frac[age] = temperature_power_frac(
                    coldest_c + self.power_frac[age - 1] * rise_k,
                    self.power_per_k,
                    self.power_reference_c,
                )
        return frac

    def sink(self, outdoor_c: Floats, wet_bulb_c: Floats) -> tuple[Floats, Floats]:
        """Return what heat is rejected to [°C] and the share of heat rejection that is there.

        As `gridhash.envs.heat_sink`, (T,) each.
        """
        if not self.is_wet:
            return outdoor_c, np.ones(len(outdoor_c))
        sprays = outdoor_c >= self.spray_off_below_c
        share = np.where(sprays, 1.0, self.spray_off_rejection_frac)
        return np.where(sprays, wet_bulb_c, outdoor_c), share

    def add_to(
        self,
        program: LinearProgram,
        *,
        market: Floats,
        hours: float,
        balance: Ints,
        contract: Ints | None,
        minimum_up_holds: npt.NDArray[np.bool_],
        pays_to_burn: npt.NDArray[np.bool_],
        coldest_c: float,
    ) -> None:
        """Add columns and rows for T intervals to a program.

        Adds power to the rows `balance` (and rig power to `contract`), (T,) each. No chip and no
        loop is ever colder than `coldest_c`.
        """
        n, n_rigs = len(market), self.n_rigs
        value = hours / HOURS_PER_DAY * market[:, REVENUE]
        running = program.add_columns(n, lower=0.0, upper=n_rigs)
        starts = program.add_columns(n, lower=0.0, upper=n_rigs, gain=-self.start_cost)
        plain = self.power_per_k == 0.0 and not self.fails
        heat = program.add_columns(
            n,
            lower=n_rigs * self.standby_kw if plain else 0.0,
            upper=n_rigs * self.most_heat_kw,
        )
        cooling = program.add_columns(
            n, lower=0.0, upper=n_rigs * (self.fan_kw[1] + self.pump_kw[1] + self.heater_kw)
        )
        total = program.add_rows(n, lower=0.0, upper=0.0)
        program.add_entries(total, running, -1.0)
        idle_kw = n_rigs * self.standby_kw
        heating = program.add_rows(n, lower=-idle_kw, upper=-idle_kw)
        program.add_entries(heating, heat, -1.0)
        warmth = self._add_warmth(program, heating, n)
        if self.fails:
            absent = program.add_columns(n, lower=0.0, upper=n_rigs)
            program.add_entries(heating, absent, -self.standby_kw)
            present = program.add_rows(n, upper=n_rigs)
            program.add_entries(present, running, 1.0)
            program.add_entries(present, absent, 1.0)

        cold_fracs = self.cold_fracs(coldest_c)
        n_start = len(self.power_frac)
        by_age: list[list[Ints]] = []
        for age in range(n_start + 1):
            power_frac = self.power_frac[age] if age < n_start else 1.0
            hash_frac = self.hash_frac[age] if age < n_start else 1.0
            own = []
            for kw, phs in zip(self.level_kw, self.level_phs, strict=True):
                at_level = program.add_columns(
                    n, lower=0.0, upper=n_rigs, gain=value * (hash_frac * phs)
                )
                program.add_entries(total, at_level, 1.0)
                cold_kw = kw * cold_fracs[age]
                program.add_entries(heating, at_level, power_frac * (cold_kw - self.standby_kw))
                if warmth is not None:
                    most_kw = kw * self.hot_frac
                    program.add_entries(warmth, at_level, power_frac * (cold_kw - most_kw))
                if contract is not None:
                    program.add_entries(contract, at_level, kw)
                own.append(at_level)
            by_age.append(own)
        program.add_entries(balance, heat, 1.0)
        program.add_entries(balance, cooling, 1.0)
        self._add_starts(program, running, starts, by_age)
        if not self.fails:
            self._add_minimum_times(program, running, starts, minimum_up_holds)
        sink_c, wetted = self.sink(market[:, OUTDOOR], market[:, WET_BULB])
        self._add_cooling(program, sink_c, wetted, running, heat, cooling, pays_to_burn)

    def _add_warmth(self, program: LinearProgram, heating: Ints, n: int) -> Ints | None:
        """Add what hot chips draw more than the coldest; return the rows that limit it."""
        if self.power_per_k == 0.0:
            return None
        extra = program.add_columns(n, lower=0.0, upper=self.n_rigs * self.most_heat_kw)
        program.add_entries(heating, extra, 1.0)
        warmth = program.add_rows(n, upper=0.0)
        program.add_entries(warmth, extra, 1.0)
        return warmth

    def _add_starts(
        self, program: LinearProgram, running: Ints, starts: Ints, by_age: list[list[Ints]]
    ) -> None:
        """Add that rigs run only after a start, and pass through every age of it."""
        n = len(running)
        if len(by_age) > 1:
            equal = program.add_rows(n, lower=0.0, upper=0.0)
            program.add_entries(equal, starts, -1.0)
            for at_level in by_age[0]:
                program.add_entries(equal, at_level, 1.0)
        if len(by_age) <= 2:
            rise = program.add_rows(n - 1, upper=0.0)
            program.add_entries(rise, running[1:], 1.0)
            program.add_entries(rise, running[:-1], -1.0)
            program.add_entries(rise, starts[1:], -1.0)
            return
        for age in range(1, len(by_age)):
            grow = program.add_rows(n - 1, upper=0.0)
            for at_level in by_age[age]:
                program.add_entries(grow, at_level[1:], 1.0)
            sources = [*by_age[age - 1], *(by_age[age] if age == len(by_age) - 1 else [])]
            for at_level in sources:
                program.add_entries(grow, at_level[:-1], -1.0)

    def _add_minimum_times(
        self,
        program: LinearProgram,
        running: Ints,
        starts: Ints,
        minimum_up_holds: npt.NDArray[np.bool_],
    ) -> None:
        """Add minimum down and up time as in Rajan and Takriti (2005), IBM report RC23628.

        A rig that ran `lock` intervals ago has not started since, since it would have had to stop
        and wait; and a rig that started within the last `lock` intervals still runs. What happened
        before the window is not known and not asked for.
        """
        n = len(running)
        lock = max(1, self.n_down_lock)
        if n > lock:
            stopped = program.add_rows(n - lock, upper=self.n_rigs)
            program.add_entries(stopped, running[: n - lock], 1.0)
            for k in range(lock):
                program.add_entries(stopped, starts[lock - k : n - k], 1.0)
        # Nothing stopped a rig by force while it was bound to run.
        forced = np.concatenate([np.zeros(1), np.cumsum(~minimum_up_holds)])
        since = np.maximum(np.arange(n) + 1 - self.n_up_lock, 0)
        at = np.flatnonzero(forced[1:] == forced[since])
        if at.size and self.n_up_lock > 1:
            held = program.add_rows(at.size, upper=0.0)
            program.add_entries(held, running[at], -1.0)
            for k in range(min(self.n_up_lock, n)):
                early = at >= k
                program.add_entries(held[early], starts[at[early] - k], 1.0)

    def _add_cooling(
        self,
        program: LinearProgram,
        sink_c: Floats,
        wetted: Floats,
        running: Ints,
        heat: Ints,
        cooling: Ints,
        pays_to_burn: npt.NDArray[np.bool_],
    ) -> None:
        """Bound fans and pumps from below, and from above where burning energy pays."""
        n, n_rigs = len(heat), self.n_rigs
        pump_slope = self.pump_kw[0] - self.pump_idle_kw
        for intercept, slope in self.fan_tangents(sink_c, wetted):
            low = program.add_rows(n, lower=n_rigs * (intercept + self.pump_idle_kw))
            program.add_entries(low, cooling, 1.0)
            program.add_entries(low, heat, -slope)
            program.add_entries(low, running, -pump_slope)
        which = np.flatnonzero(pays_to_burn)
        if which.size:
            intercept, slope = self.fan_chord(sink_c[which], wetted[which])
            most_kw = intercept + (self.pump_kw[1] + self.heater_kw)
            high = program.add_rows(which.size, upper=n_rigs * most_kw)
            program.add_entries(high, cooling[which], 1.0)
            program.add_entries(high, heat[which], -slope)

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
        low, high = np.zeros(len(most)), np.ones(len(most))
        for _ in range(60):
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

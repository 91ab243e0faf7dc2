"""A site's configuration as the arrays that the kernel reads."""

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from gridhash.config import SiteConfig
from gridhash.config_rigs import CoolingConfig
from gridhash.envs.psychrometrics import tower_water_kg_per_kwh
from gridhash.envs.thermal import (
    heat_rejection_at,
    pump_power_kw,
    running_share,
    temperature_power_frac,
)
from gridhash.units import SECONDS_PER_HOUR, W_PER_KW

Floats = npt.NDArray[np.float64]
Floats32 = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Groups = np.recarray[Any, np.dtype[np.record]]

GROUP_FIELDS = {
    "n_rigs": np.float64,
    "per_rig": np.float64,  # 1 / n_rigs
    "per_full_kw": np.float64,  # 1 / rig power of all rigs at their top level
    "n_levels": np.int64,
    "standby_kw": np.float64,
    "n_up_lock": np.int64,  # intervals that a started rig must run
    "n_down_lock": np.int64,
    "start_cost": np.float64,  # wear of starting one rig [currency]
    "warm_up_h": np.float64,
    "shadow_scale_per_kwh": np.float64,  # of action 1: break-even at the configured hashprice
    "rig_heat_capacity_kj_per_k": np.float64,
    "chip_to_coolant_k_per_kw": np.float64,
    "loop_heat_capacity_kj_per_k": np.float64,
    "heat_rejection_kw_per_k": np.float64,
    "heat_rejection_min_kw_per_k": np.float64,
    "heat_rejection_exponent": np.float64,
    "fan_kw": np.float64,
    "fan_min_kw": np.float64,  # fan power at the slowest speed
    "pump_kw": np.float64,
    "pump_idle_kw": np.float64,
    "coolant_setpoint_c": np.float64,
    "chip_derate_c": np.float64,
    "chip_trip_c": np.float64,
    "coolant_restart_c": np.float64,
    "chip_decay": np.float64,  # exp(-interval / (R C_rig))
    "is_wet": np.float64,  # 1 for a tower that sprays water
    "spray_off_below_c": np.float64,
    "spray_off_rejection_frac": np.float64,
    "water_kg_per_kwh": np.float64,  # make-up per heat rejected with spray; 0: not counted
    "water_price_per_kg": np.float64,
    "power_per_k": np.float64,
    "power_reference_c": np.float64,
    "coolant_start_min_c": np.float64,  # below it no rig starts; NEVER_C: no limit
    "condensation_margin_k": np.float64,  # over the dew point; NEVER_C: no limit
    "freeze_protect_c": np.float64,
    "freeze_heater_kw": np.float64,  # 0 where there is no heater
    "hazard_ref_per_h": np.float64,
    "hazard_reference_c": np.float64,
    "hazard_activation_ev": np.float64,
    "failed_per_start": np.float64,
    "repair_cost": np.float64,  # of one rig that breaks [currency]
    "repair_per_h": np.float64,  # 1 / mean repair time; 0 where rigs do not fail
}
"""What a site has one number of per group, in the order of its record."""


class SiteParameters(NamedTuple):
    """Constants of one site. G groups, L levels at most, U and D age buckets at most.

    Age bucket `a` of running rigs holds those started `a` dispatch intervals ago, the last one all
    older rigs; likewise for stopped rigs.
    """

    interval_s: float
    intervals_per_period: int
    adders_per_kwh: float
    surplus_price_per_kwh: float
    pue_for_planning: float
    contract_power_kw: float
    rig_cap_kw: float
    """What the contract leaves for rigs with all fans, pumps and standby drawn off [kW].

    In power at each rig's reference temperature: hot rigs that draw more stay within the contract.
    """
    ramp_up_kw: float
    """Largest rise of rig power in one interval [kW]."""
    ramp_down_kw: float
    max_rig_kw: float
    reward_scale: float
    """Net hash revenue of the whole site in one interval at the configured hashprice."""
    groups: Groups
    """(G,) the fields of `GROUP_FIELDS`: all of a group lies side by side, so that the kernel finds
    it at one address. Each is an array of its own too, (G,): ``params.n_rigs``."""
    level_kw: Floats
    """(G, L) power of one rig at each level; the last level repeats."""
    level_phs: Floats
    block_phs_per_kw: Floats
    """(G, L) hash rate per rig power between a level and the one below."""
    block_kw: Floats
    """(G, L) rig power of the whole group between a level and the one below."""
    level_target_kw: Floats
    """(G, L + 1) rig power of the whole group with none, one … all of its blocks."""
    start_power_frac: Floats
    """(G, U) share of the interval in which rigs of an age bucket draw power."""
    start_hash_frac: Floats
    merit_order: Ints
    """(G,) groups by hash rate per kW at the top level, best first."""

    def __getattr__(self, name: str) -> Any:
        """Return a field of every group, (G,)."""
        if name not in GROUP_FIELDS:
            raise AttributeError(f"a site has no parameter {name}")
        return self.groups[name]


KG_PER_M3 = 1000.0
"""Of water, within half a percent up to 35 °C."""
NEVER_C = -1e9
"""Stands for a temperature that nothing falls below."""


def compile_site(site: SiteConfig) -> SiteParameters:
    """Return the kernel's arrays for a site."""
    groups, interval_s = site.groups, float(site.dispatch_interval_s)

    def per_group(values: list[float]) -> Floats:
        return np.array(values, dtype=np.float64)

    def intervals(seconds: float) -> int:
        return math.ceil(seconds / interval_s - 1e-9)

    levels = [site.levels_of(g) for g in groups]
    n_levels = max(len(own) for own in levels)
    padded = [[*own, *[own[-1]] * (n_levels - len(own))] for own in levels]
    n_up_lock = [intervals(g.min_up_s) for g in groups]
    n_down_lock = [intervals(g.min_down_s) for g in groups]
    n_start = [intervals(g.boot_s + g.warm_up_s) for g in groups]
    n_up = max(*n_up_lock, *n_start, 1) + 1
    ages_s = [age * interval_s for age in range(n_up)]
    standby_kw = [g.standby_w / W_PER_KW for g in groups]
    idle_kw = site.max_cooling_kw + sum(
        g.n_rigs * kw for g, kw in zip(groups, standby_kw, strict=True)
    )
    level_kw = np.array(
        [[g.level_power_kw(x) for x in own] for g, own in zip(groups, padded, strict=True)]
    )
    level_phs = np.array(
        [[g.level_hashrate_phs(x) for x in own] for g, own in zip(groups, padded, strict=True)]
    )
    # Blocks above a group's last level are never asked for; the last one repeats there.
    step_kw = np.diff(level_kw, axis=1, prepend=0.0)
    step_phs = np.diff(level_phs, axis=1, prepend=0.0)
    n_own = np.array([len(own) for own in levels])
    there = np.arange(n_levels)[None, :] < n_own[:, None]
    block_phs_per_kw = np.divide(step_phs, step_kw, out=np.zeros_like(step_kw), where=there)
    block_kw = per_group([g.n_rigs for g in groups])[:, None] * step_kw
    # As dispatch adds them up, through the power of the site.
    pue = site.pue_for_planning
    level_target_kw = np.zeros((len(groups), n_levels + 1))
    level_target_kw[:, 1:] = np.cumsum(block_kw * pue / pue, axis=1)
    efficiency = level_phs[:, -1] / level_kw[:, -1]
    cooling, failures = [g.cooling for g in groups], [g.failures for g in groups]
    interval_days = interval_s / (24.0 * SECONDS_PER_HOUR)
    return SiteParameters(
        interval_s=interval_s,
        intervals_per_period=site.market.settlement_period_s // site.dispatch_interval_s,
        adders_per_kwh=site.market.adders_per_kwh,
        surplus_price_per_kwh=site.market.surplus_price_per_kwh,
        pue_for_planning=site.pue_for_planning,
        contract_power_kw=site.limits.contract_power_kw,
        rig_cap_kw=(site.limits.contract_power_kw - idle_kw) / _hottest_power_frac(site),
        ramp_up_kw=site.limits.ramp_up_kw_per_min * interval_s / 60.0,
        ramp_down_kw=site.limits.ramp_down_kw_per_min * interval_s / 60.0,
        max_rig_kw=site.max_rig_kw,
        reward_scale=float(
            sum(g.n_rigs * h for g, h in zip(groups, level_phs[:, -1], strict=True))
            * site.hash_revenue_per_phs_day
            * interval_days
        ),
        groups=_groups(
            n_rigs=per_group([g.n_rigs for g in groups]),
            per_rig=per_group([1.0 / g.n_rigs for g in groups]),
            per_full_kw=per_group(
                [1.0 / (g.n_rigs * kw) for g, kw in zip(groups, level_kw[:, -1], strict=True)]
            ),
            n_levels=np.array([len(own) for own in levels], dtype=np.int64),
            standby_kw=per_group(standby_kw),
            n_up_lock=np.array(n_up_lock, dtype=np.int64),
            n_down_lock=np.array(n_down_lock, dtype=np.int64),
            start_cost=per_group([site.start_cost_per_rig for _ in groups]),
            warm_up_h=per_group([g.warm_up_s / SECONDS_PER_HOUR for g in groups]),
            shadow_scale_per_kwh=per_group([site.break_even_per_kwh(g) for g in groups]),
            rig_heat_capacity_kj_per_k=per_group([c.rig_heat_capacity_kj_per_k for c in cooling]),
            chip_to_coolant_k_per_kw=per_group([c.chip_to_coolant_k_per_kw for c in cooling]),
            loop_heat_capacity_kj_per_k=per_group([c.loop_heat_capacity_kj_per_k for c in cooling]),
            heat_rejection_kw_per_k=per_group([c.heat_rejection_kw_per_k for c in cooling]),
            heat_rejection_min_kw_per_k=per_group(
                [
                    heat_rejection_at(
                        c.heat_rejection_kw_per_k, c.fan_min_speed_frac, c.heat_rejection_exponent
                    )
                    for c in cooling
                ]
            ),
            heat_rejection_exponent=per_group([c.heat_rejection_exponent for c in cooling]),
            fan_kw=per_group([c.fan_kw for c in cooling]),
            fan_min_kw=per_group([c.fan_kw * c.fan_min_speed_frac**3 for c in cooling]),
            pump_kw=per_group([c.pump_kw for c in cooling]),
            pump_idle_kw=per_group(
                [pump_power_kw(c.pump_kw, c.pump_idle_flow_frac) for c in cooling]
            ),
            coolant_setpoint_c=per_group([c.coolant_setpoint_c for c in cooling]),
            chip_derate_c=per_group([c.chip_derate_c for c in cooling]),
            chip_trip_c=per_group([c.chip_trip_c for c in cooling]),
            coolant_restart_c=per_group([c.coolant_restart_c for c in cooling]),
            chip_decay=per_group(
                [
                    math.exp(
                        -interval_s / (c.chip_to_coolant_k_per_kw * c.rig_heat_capacity_kj_per_k)
                    )
                    for c in cooling
                ]
            ),
            is_wet=per_group([float(c.kind == "wet_tower") for c in cooling]),
            spray_off_below_c=per_group([_or(c.spray_off_below_c, NEVER_C) for c in cooling]),
            spray_off_rejection_frac=per_group(
                [_or(c.spray_off_rejection_frac, 1.0) for c in cooling]
            ),
            water_kg_per_kwh=per_group([_water_kg_per_kwh(c) for c in cooling]),
            water_price_per_kg=per_group(
                [_or(c.water_price_per_m3, 0.0) / KG_PER_M3 for c in cooling]
            ),
            power_per_k=per_group([_or(g.power_per_k, 0.0) for g in groups]),
            power_reference_c=per_group([_or(g.power_reference_c, 0.0) for g in groups]),
            coolant_start_min_c=per_group([_or(c.coolant_start_min_c, NEVER_C) for c in cooling]),
            condensation_margin_k=per_group(
                [_or(c.condensation_margin_k, NEVER_C) for c in cooling]
            ),
            freeze_protect_c=per_group([_or(c.freeze_protect_c, NEVER_C) for c in cooling]),
            freeze_heater_kw=per_group([_or(c.freeze_heater_kw, 0.0) for c in cooling]),
            hazard_ref_per_h=per_group([f.hazard_ref_per_h if f else 0.0 for f in failures]),
            hazard_reference_c=per_group([f.reference_c if f else 0.0 for f in failures]),
            hazard_activation_ev=per_group([f.activation_ev if f else 0.0 for f in failures]),
            failed_per_start=per_group([f.failed_per_start if f else 0.0 for f in failures]),
            repair_cost=per_group([f.repair_cost if f else 0.0 for f in failures]),
            repair_per_h=per_group([1.0 / f.repair_h if f else 0.0 for f in failures]),
        ),
        level_kw=level_kw,
        level_phs=level_phs,
        block_phs_per_kw=block_phs_per_kw,
        block_kw=block_kw,
        level_target_kw=level_target_kw,
        start_power_frac=np.array(
            [[running_share(s, g.boot_s, interval_s) for s in ages_s] for g in groups]
        ),
        start_hash_frac=np.array(
            [[running_share(s, g.boot_s + g.warm_up_s, interval_s) for s in ages_s] for g in groups]
        ),
        merit_order=np.argsort(-efficiency, kind="stable").astype(np.int64),
    )


def _groups(**fields: Floats | Ints) -> Groups:
    """Return the records of all groups from one array per field."""
    dtype = np.dtype(list(GROUP_FIELDS.items()))
    return np.rec.fromarrays([fields[name] for name in GROUP_FIELDS], dtype=dtype)


def _or(value: float | None, absent: float) -> float:
    return absent if value is None else value


def _water_kg_per_kwh(cooling: CoolingConfig) -> float:
    if cooling.cycles_of_concentration is None:
        return 0.0
    evaporated_frac = _or(cooling.evaporated_heat_frac, 1.0)
    return tower_water_kg_per_kwh(evaporated_frac, cooling.cycles_of_concentration)


def _hottest_power_frac(site: SiteConfig) -> float:
    """Return how much more than named a rig may draw: chips just below their trip [1]."""
    return max(
        temperature_power_frac(
            g.cooling.chip_trip_c, _or(g.power_per_k, 0.0), _or(g.power_reference_c, 0.0)
        )
        for g in site.groups
    )

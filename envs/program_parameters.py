"""Tariff and programs of a site as the numbers that the kernel reads."""

import math
from typing import NamedTuple

from gridhash.config import SiteConfig
from gridhash.envs.parameters import SiteParameters

HOURS_PER_MONTH = 730.5


class ProgramParameters(NamedTuple):
    """Constants of a site's tariff and programs; what is absent is zero, or infinite if a limit."""

    present: bool
    """Whether the site has any tariff or program beyond price and adders."""
    always_shapes_supply: bool
    """Whether energy always has more than a market and a surplus price, not in calls alone."""
    balancing: bool
    levy_per_kwh: float
    has_quota: bool
    surplus_quota_kwh: float
    pv_cost_per_kwh: float
    export_price_per_kwh: float
    purchase_kw: float
    purchase_price_per_kwh: float
    resale_fee_per_kwh: float
    demand_charge_per_kw: float
    """Per kW and month, after the power factor."""
    metering_steps: int
    """Dispatch intervals in a metering period."""
    steps_per_row: int
    metering_offset: int
    """Dispatch intervals of the first metering period that lie before row 0."""
    ratchet_months: int
    ratchet_frac: float
    peak_before_kw: float
    capacity_charge_per_month: float
    bias_limit_frac: float
    bias_penalty_per_kwh: float
    has_reduction: bool
    committed_kw: float
    capacity_pay_per_kw_h: float
    reduction_pay_per_kwh: float
    reduction_penalty_per_kwh: float
    reduction_tolerance_frac: float
    baseline_by_rule: bool
    increase_pay_per_kwh: float
    increase_max_kw: float
    has_pause: bool
    pause_power_kw: float
    pause_rig_cap_kw: float
    pause_pay_per_h: float
    pause_penalty_per_kwh: float
    held_kw: float
    held_penalty_per_kw_h: float
    has_base_point: bool
    base_penalty_per_kwh: float
    base_tolerance_kw: float
    base_tolerance_frac: float
    base_market_tolerance_kw: float
    base_market_tolerance_frac: float
    idle_kw: float
    """Site power with every rig stopped and fans at their slowest."""


def compile_programs(
    site: SiteConfig, params: SiteParameters, *, first_start_s: int
) -> ProgramParameters:
    """Return the kernel's numbers; `first_start_s` is the start of row 0 in seconds since 1970."""
    tariff, programs = site.tariff, site.programs
    demand, purchase, pv = tariff.demand_charge, tariff.power_purchase, tariff.behind_meter_pv
    balancing, reduction = tariff.balancing, programs.demand_reduction
    increase, pause = programs.demand_increase, programs.pause_orders
    held, base = programs.ancillary, programs.base_point
    idle_kw = float(
        (params.n_rigs * params.standby_kw + params.pump_idle_kw + params.fan_min_kw).sum()
    )
    reserve_kw = params.contract_power_kw - params.rig_cap_kw
    metering_s = tariff.metering_period_s or site.market.settlement_period_s
    plain = tariff.model_copy(
        update={"settles_at": "price_per_kwh", "price_known": "published", "price_delay_s": 0}
    )
    return ProgramParameters(
        present=plain != type(plain)() or programs != type(programs)(),
        always_shapes_supply=any(
            block is not None for block in (purchase, pv, base, tariff.surplus_quota_kwh_per_day)
        ),
        balancing=balancing is not None,
        levy_per_kwh=tariff.renewable_levy_per_kwh,
        has_quota=tariff.surplus_quota_kwh_per_day is not None,
        surplus_quota_kwh=tariff.surplus_quota_kwh_per_day or math.inf,
        pv_cost_per_kwh=pv.cost_per_kwh if pv else 0.0,
        export_price_per_kwh=pv.export_price_per_kwh if pv else 0.0,
        purchase_kw=purchase.volume_kw if purchase else 0.0,
        purchase_price_per_kwh=purchase.price_per_kwh if purchase else 0.0,
        resale_fee_per_kwh=purchase.resale_fee_per_kwh if purchase else 0.0,
        demand_charge_per_kw=demand.charge_per_kw_month if demand else 0.0,
        metering_steps=metering_s // site.dispatch_interval_s,
        steps_per_row=params.intervals_per_period,
        metering_offset=first_start_s % metering_s // site.dispatch_interval_s,
        ratchet_months=demand.ratchet_months if demand else 1,
        ratchet_frac=demand.ratchet_frac if demand else 0.0,
        peak_before_kw=demand.peak_before_kw if demand else 0.0,
        capacity_charge_per_month=(
            tariff.capacity_contribution.per_kw_month * site.limits.contract_power_kw
            if tariff.capacity_contribution
            else 0.0
        ),
        bias_limit_frac=balancing.bias_limit_frac if balancing else 0.0,
        bias_penalty_per_kwh=balancing.bias_penalty_per_kwh if balancing else 0.0,
        has_reduction=reduction is not None,
        committed_kw=reduction.committed_kw if reduction else 0.0,
        capacity_pay_per_kw_h=(
            reduction.capacity_pay_per_kw_month / HOURS_PER_MONTH if reduction else 0.0
        ),
        reduction_pay_per_kwh=reduction.energy_pay_per_kwh if reduction else 0.0,
        reduction_penalty_per_kwh=reduction.penalty_per_kwh if reduction else 0.0,
        reduction_tolerance_frac=reduction.tolerance_frac if reduction else 0.0,
        baseline_by_rule=reduction is None or reduction.baseline_limit == "rule",
        increase_pay_per_kwh=increase.pay_per_kwh if increase else 0.0,
        increase_max_kw=increase.max_kw if increase else 0.0,
        has_pause=pause is not None,
        pause_power_kw=pause.pause_power_kw if pause else math.inf,
        pause_rig_cap_kw=max(pause.pause_power_kw - reserve_kw, 0.0) if pause else math.inf,
        pause_pay_per_h=pause.pay_per_h if pause else 0.0,
        pause_penalty_per_kwh=pause.penalty_per_kwh if pause else 0.0,
        held_kw=held.held_kw if held else 0.0,
        held_penalty_per_kw_h=held.shortfall_penalty_per_kw_h if held else 0.0,
        has_base_point=base is not None,
        base_penalty_per_kwh=base.penalty_per_kwh if base else 0.0,
        base_tolerance_kw=base.tolerance_kw if base else 0.0,
        base_tolerance_frac=base.tolerance_frac if base else 0.0,
        base_market_tolerance_kw=base.market_tolerance_kw if base else 0.0,
        base_market_tolerance_frac=base.market_tolerance_frac if base else 0.0,
        idle_kw=idle_kw,
    )

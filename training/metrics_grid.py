"""Metrics of the grid: surplus, promises kept, peaks, carbon. None where the site has no such."""

import numpy as np

from gridhash.envs.columns import (
    CAPACITY_WEIGHT,
    DEPLOYED,
    PAUSE,
    REDUCTION_CALL,
    TRANSMISSION_WEIGHT,
)
from gridhash.training.metrics_fleet import import_kw
from gridhash.training.played import Floats, Played
from gridhash.units import SECONDS_PER_HOUR

PENALTIES = ("reduction_penalty", "pause_penalty", "held_penalty", "base_point_penalty")
PAYMENTS = (
    "reduction_capacity_pay",
    "reduction_energy_pay",
    "increase_pay",
    "pause_pay",
    "held_pay",
)
HARDLY = 1e-6
"""Less than this [kW] is rounding."""


def surplus_captured_frac(played: Played) -> float | None:
    """Return surplus energy used per surplus that the site could draw [1].

    What it could draw is the surplus of each interval up to contract power.
    """
    most_kw = np.minimum(
        played.column("surplus_kw"), played.scenario.site.limits.contract_power_kw
    ).sum()
    return played.total("surplus_used_kw") / float(most_kw) if most_kw > 0.0 else None


def avoided_curtailment_mwh(played: Played) -> float | None:
    """Return surplus energy used [MWh]: curtailment avoided, if the load is additional."""
    if not played.column("surplus_kw").any():
        return None
    return played.total("surplus_used_kw") * played.hours / 1000.0


def _due(played: Played) -> Floats:
    """Return 1 for steps of calls that count: a pause order of the utility comes before them."""
    called = played.market(REDUCTION_CALL) > 0.0
    if played.scenario.programs.has_pause:
        called &= played.market(PAUSE) <= 0.0
    return called.astype(np.float64)


def _calls(played: Played) -> list[tuple[float, float]]:
    """Return (delivered, due) of each call that counts [kWh]."""
    if not played.scenario.programs.has_reduction:
        return []
    due, delivered = _due(played), played.column("delivered_kwh")
    committed_kw = played.scenario.programs.committed_kw
    calls = []
    for event in played.events(played.market(REDUCTION_CALL)):
        due_kwh = float(due[event].sum()) * committed_kw * played.hours
        if due_kwh > 0.0:
            calls.append((float(delivered[event].sum()), due_kwh))
    return calls


def calls_met_frac(played: Played) -> float | None:
    """Return the share of calls to reduce that delivered their tolerated part [1].

    A call that a pause order covers whole is not counted.
    """
    least = played.scenario.programs.reduction_tolerance_frac
    met = [delivered >= least * due - HARDLY for delivered, due in _calls(played)]
    return float(np.mean(met)) if met else None


def call_delivery_frac(played: Played) -> float | None:
    """Return energy delivered in calls to reduce per energy committed [1]."""
    calls = _calls(played)
    return sum(d for d, _ in calls) / sum(due for _, due in calls) if calls else None


def pauses_met_frac(played: Played) -> float | None:
    """Return the share of paused time at or below the pause power [1]."""
    paused = played.market(PAUSE) > 0.0
    if not played.scenario.programs.has_pause or not paused.any():
        return None
    return float((played.column("pause_excess_kw")[paused] <= HARDLY).mean())


def base_points_met_frac(played: Played) -> float | None:
    """Return the share of intervals within the tolerance around the base point [1]."""
    if not played.scenario.programs.has_base_point:
        return None
    return float((played.column("base_point_excess_kw") <= HARDLY).mean())


def base_points_market_met_frac(played: Played) -> float | None:
    """Return the share of intervals within the market's own tolerance around the base point [1]."""
    if not played.scenario.programs.has_base_point:
        return None
    return float((played.column("base_point_market_excess_kw") <= HARDLY).mean())


def base_point_deviation_frac(played: Played) -> float | None:
    """Return the mean distance from the base point per full rig power [1]."""
    if not played.scenario.programs.has_base_point:
        return None
    deviation_kw = np.abs(played.column("base_point_deviation_kw")).mean()
    return float(deviation_kw) / played.scenario.site.max_rig_kw


def held_met_frac(played: Played) -> float | None:
    """Return the share of deployed time in which no held capacity was missing [1]."""
    deployed = played.market(DEPLOYED) > 0.0
    if played.scenario.programs.held_kw <= 0.0 or not deployed.any():
        return None
    return float((played.column("held_missing_kw")[deployed] <= HARDLY).mean())


def _has_programs(played: Played) -> bool:
    programs = played.scenario.site.programs
    return programs != type(programs)()


def program_pay(played: Played) -> float | None:
    """Return what all programs paid [currency]."""
    return played.total(*PAYMENTS) if _has_programs(played) else None


def program_penalty(played: Played) -> float | None:
    """Return what was paid for promises not kept [currency]."""
    return played.total(*PENALTIES) if _has_programs(played) else None


def coincident_peak_frac(played: Played) -> float | None:
    """Return mean metered power in the intervals of coincident peaks per full rig power [1].

    Weighted by what each interval costs.
    """
    weight = played.market(TRANSMISSION_WEIGHT) + played.market(CAPACITY_WEIGHT)
    if not weight.any():
        return None
    metered_kw = played.column("site_kw") - played.column("pv_used_kw")
    return float(weight @ metered_kw / weight.sum()) / played.scenario.site.max_rig_kw


def coincident_peak_cost(played: Played) -> float | None:
    """Return what power at coincident peaks cost [currency]."""
    if not played.scenario.site.tariff.coincident_peaks:
        return None
    return played.total("transmission_peak_cost", "capacity_peak_cost")


def max_demand_kw(played: Played) -> float:
    """Return the highest mean metered power of a metering period [kW].

    Without a demand charge it is that of a settlement period; periods lie on the clock.
    """
    site = played.scenario.site
    period_s = site.tariff.metering_period_s or site.market.settlement_period_s
    metered_kw = played.frame["site_kw"] - played.frame["pv_used_kw"]
    return float(metered_kw.resample(f"{period_s}s").mean().max())


def _factor(played: Played) -> Floats | None:
    """Return the average carbon factor of each step [g/kWh]."""
    known = played.trace("carbon_g_per_kwh")
    if known is None and played.carbon_g_per_kwh is not None:
        return np.full(len(played.frame), played.carbon_g_per_kwh)
    return known


def co2_average_t(played: Played) -> float | None:
    """Return energy from the grid times the average factor [t]; surplus and own panels count 0."""
    factor = _factor(played)
    if factor is None:
        return None
    return float(import_kw(played) @ factor) * played.hours / 1e6


def co2_marginal_t(played: Played) -> float | None:
    """Return energy from the grid times an estimate of the marginal factor [t].

    The average one, and 0 while renewables are curtailed (surplus is there for the site, or an
    order of the area holds): one more kWh then comes from what would be thrown away.
    """
    factor = _factor(played)
    if factor is None:
        return None
    curtailed = played.column("surplus_kw") > 0.0
    order = played.trace("curtailment_order")
    if order is not None:
        curtailed |= order > 0.0
    factor = np.where(curtailed, 0.0, factor)
    return float(import_kw(played) @ factor) * played.hours / 1e6


def co2_g_per_ph(played: Played) -> float | None:
    """Return average CO2 per hash [g/PH]; None without hashes or factor."""
    tonnes = co2_average_t(played)
    hashes_ph = played.total("hashrate_phs") * played.hours * SECONDS_PER_HOUR
    return None if tonnes is None or hashes_ph <= 0.0 else tonnes * 1e6 / hashes_ph

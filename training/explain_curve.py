"""Supply and demand of a site at an instant: what energy costs, and what it earns."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from gridhash.envs import columns as c
from gridhash.envs.accounts import (
    BASELINE_KW,
    COMMITTED_KW,
    INCREASE_BASELINE_KW,
    QUOTA_LEFT_KWH,
)
from gridhash.envs.dispatch import block_value_per_kwh
from gridhash.envs.programs import base_point_tolerance_kw, reduction_is_due
from gridhash.envs.supply_curve import (
    MAX_SEGMENTS,
    add_grid,
    add_source,
    build_supply_curve,
    supply_is_shaped,
)
from gridhash.training.explain_state import Choice, Instant
from gridhash.units import SECONDS_PER_HOUR

NEAR_KW = 1.0
"""How near to a kink the site's power counts as held by it, at least."""
NEAR_FRAC = 0.002


class Segment(NamedTuple):
    """Power of the site at one price."""

    start_kw: float
    end_kw: float
    """Infinite for the grid."""
    price_per_kwh: float


class Block(NamedTuple):
    """Power of a group between two of its levels, and what a kWh of it earns."""

    group: int
    level: int
    site_kw: float
    value_per_kwh: float


class Kink(NamedTuple):
    """A power of the site at which its energy changes price, and why."""

    site_kw: float
    reason: str


@dataclass(frozen=True, kw_only=True)
class Curve:
    """What energy costs by site power, and what every block of rigs earns of it."""

    supply: tuple[Segment, ...]
    demand: tuple[Block, ...]
    """Most valuable first."""
    kinks: tuple[Kink, ...]

    def price_at(self, site_kw: float) -> float:
        """Return what one kW more than a power costs [currency/kWh]."""
        for segment in self.supply:
            if site_kw < segment.end_kw:
                return segment.price_per_kwh
        return self.supply[-1].price_per_kwh

    def kink_at(self, site_kw: float) -> Kink | None:
        """Return the kink at which a power of the site lies, if it lies at one."""
        near = [
            kink
            for kink in self.kinks
            if abs(kink.site_kw - site_kw) <= max(NEAR_KW, NEAR_FRAC * site_kw)
        ]
        return min(near, key=lambda kink: abs(kink.site_kw - site_kw), default=None)


def curve_of(instant: Instant) -> Curve:
    """Return supply and demand as the merit order sees them at an instant."""
    scenario = instant.scenario
    params, programs = scenario.params, scenario.programs
    array = np.zeros((2, MAX_SEGMENTS))
    full_kw = min(params.max_rig_kw * params.pue_for_planning, params.contract_power_kw)
    if supply_is_shaped(programs, scenario.exogenous, instant.row):
        n = build_supply_curve(
            params, programs, scenario.exogenous, instant.accounts, 0, instant.row, array
        )
    else:
        all_in = float(instant.market[c.SEEN_ALL_IN])
        n = 0
        if params.surplus_price_per_kwh < all_in:
            surplus_kw = float(instant.market[c.SEEN_SURPLUS])
            n = add_source(array, n, surplus_kw, params.surplus_price_per_kwh, full_kw)
        n = add_grid(array, n, all_in, full_kw)
    ends = [0.0, *array[0, :n]]
    supply = [Segment(ends[k], ends[k + 1], float(array[1, k])) for k in range(n)]
    demand = [
        Block(
            g,
            level,
            float(params.block_kw[g, level] * params.pue_for_planning),
            float(block_value_per_kwh(params, g, level, instant.market[c.REVENUE])),
        )
        for g in range(scenario.n_groups)
        for level in range(int(params.n_levels[g]))
    ]
    demand.sort(key=lambda block: -block.value_per_kwh)
    kinks = [kink for kink in _kinks(instant) if NEAR_KW < kink.site_kw < full_kw - NEAR_KW]
    return Curve(supply=tuple(supply), demand=tuple(demand), kinks=tuple(kinks))


def site_power_kw(instant: Instant, choice: Choice) -> float:
    """Return the power of the site that the wanted rig power means, cooling as planned [kW]."""
    return float(choice.wanted_kw.sum() * instant.scenario.params.pue_for_planning)


def _kinks(instant: Instant) -> list[Kink]:
    """Return the powers where the curve bends, in the order of `build_supply_curve`."""
    scenario, market = instant.scenario, instant.market
    params, programs, value = scenario.params, scenario.programs, instant.accounts.value[0]
    found = []
    sources_kw = float(market[c.SEEN_PV])
    if sources_kw > 0.0:
        found.append(Kink(sources_kw, "own panels end there"))
    surplus_kw = float(market[c.SEEN_SURPLUS])
    if programs.has_quota:
        hours = params.interval_s / SECONDS_PER_HOUR
        surplus_kw = min(surplus_kw, float(value[QUOTA_LEFT_KWH]) / hours)
    if surplus_kw > 0.0 and params.surplus_price_per_kwh < market[c.SEEN_ALL_IN]:
        sources_kw += surplus_kw
        found.append(Kink(sources_kw, "surplus ends there"))
    if programs.purchase_kw > 0.0:
        sources_kw += float(programs.purchase_kw)
        found.append(Kink(sources_kw, "the block bought ahead ends there"))
    if programs.has_base_point:
        base_kw = float(market[c.BASE_POINT])
        tolerance_kw = base_point_tolerance_kw(
            base_kw, programs.base_tolerance_kw, programs.base_tolerance_frac
        )
        found.append(Kink(base_kw - tolerance_kw, "lower edge of the base point's tolerance"))
        found.append(Kink(base_kw + tolerance_kw, "upper edge of the base point's tolerance"))
    if programs.has_reduction and reduction_is_due(market, programs.has_pause):
        baseline_kw, committed_kw = float(value[BASELINE_KW]), float(value[COMMITTED_KW])
        found.append(Kink(baseline_kw - committed_kw, "the call's whole reduction is delivered"))
        enough_kw = baseline_kw - programs.reduction_tolerance_frac * committed_kw
        found.append(Kink(enough_kw, "less reduction would be fined"))
    if programs.increase_max_kw > 0.0 and market[c.INCREASE_CALL] > 0.0:
        top_kw = float(value[INCREASE_BASELINE_KW]) + programs.increase_max_kw
        found.append(Kink(top_kw, "more is not paid by the call to consume"))
    return found

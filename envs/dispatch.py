"""Which power each group should draw at a price: the closed-form level rule by merit order.

Each group offers blocks of power, one per step between its levels, each with the revenue that one
more kWh earns. A block runs if its value exceeds the marginal price of energy, plus the group's
shadow price. With shadow price zero this is the static optimum without start costs: hash rate is
concave in power, so blocks come in falling order of value; in the limit of many levels and one
group the rule is p* = (sqrt(a/r) - a)/b with r = price / value at nameplate.
"""

import numpy as np

from gridhash.envs.jit import counted, njit
from gridhash.envs.parameters import Floats, SiteParameters


@njit
def block_value_per_kwh(
    params: SiteParameters, g: int, level: int, revenue_per_phs_day: float
) -> float:
    """Return what one more site kWh earns between a level and the one below [currency/kWh]."""
    return float(
        params.block_phs_per_kw[g, level] * (revenue_per_phs_day / (24.0 * params.pue_for_planning))
    )


@njit
def levels_worth(
    params: SiteParameters,
    g: int,
    price_per_kwh: float,
    revenue_per_phs_day: float,
    shadow_per_kwh: float,
) -> int:
    """Return how many blocks of a group are worth a price, from the lowest on.

    Without a branch on the outcome, which changes with every action.
    """
    # What a kWh must hash to be worth the price [PH/s per kW], as in `block_value_per_kwh`.
    per_value = 24.0 * params.pue_for_planning / revenue_per_phs_day
    due = (price_per_kwh + shadow_per_kwh) * per_value
    worth = 1
    n_worth = 0
    for level in range(params.groups[g].n_levels):
        worth &= int(params.block_phs_per_kw[g, level] > due)
        n_worth += worth
    return n_worth


@njit
def dispatch_by_merit(
    params: SiteParameters,
    import_price_per_kwh: float,
    surplus_kw: float,
    revenue_per_phs_day: float,
    shadow_per_kwh: Floats,
    target_kw: Floats,
    next_level: Floats,
) -> float:
    """Write each group's rig power into `target_kw` (G,); return the rate of profit [currency/h].

    `import_price_per_kwh` is all-in; `surplus_kw` of site power costs the surplus price instead.
    Blocks are filled in order of value, so the most valuable take the cheap energy. The returned
    profit is that of the static operating point: no starts, cooling as planned. `next_level` is
    (G,) scratch memory.
    """
    n_groups = params.groups.shape[0]
    pue = params.pue_for_planning
    remaining_kw = surplus_kw
    profit_per_h = 0.0
    for g in range(n_groups):
        target_kw[g] = 0.0
        next_level[g] = 0.0
    if surplus_kw <= 0.0 or params.surplus_price_per_kwh >= import_price_per_kwh:
        # One price for all energy: no group takes anything from another.
        for g in range(n_groups):
            n_worth = levels_worth(
                params, g, import_price_per_kwh, revenue_per_phs_day, shadow_per_kwh[g]
            )
            target_kw[g] = params.level_target_kw[g, counted(n_worth)]
            for level in range(n_worth):
                value = block_value_per_kwh(params, g, level, revenue_per_phs_day)
                site_kw = params.block_kw[g, level] * pue
                profit_per_h += site_kw * (value - import_price_per_kwh)
        return float(profit_per_h)
    while True:
        best = -1
        best_value = -np.inf
        for g in range(n_groups):
            if next_level[g] < params.groups[g].n_levels:
                value = block_value_per_kwh(params, g, int(next_level[g]), revenue_per_phs_day)
                if value - shadow_per_kwh[g] > best_value:
                    best_value = value - shadow_per_kwh[g]
                    best = g
        cheap = (
            remaining_kw > 0.0
            and params.surplus_price_per_kwh < import_price_per_kwh
            and best_value > params.surplus_price_per_kwh
        )
        if best < 0 or not (best_value > import_price_per_kwh or cheap):
            return float(profit_per_h)
        level = int(next_level[best])
        site_kw = params.block_kw[best, level] * pue
        from_surplus_kw = min(site_kw, remaining_kw) if cheap else 0.0
        from_grid_kw = site_kw - from_surplus_kw if best_value > import_price_per_kwh else 0.0
        value = best_value + shadow_per_kwh[best]
        profit_per_h += from_surplus_kw * (value - params.surplus_price_per_kwh)
        profit_per_h += from_grid_kw * (value - import_price_per_kwh)
        remaining_kw -= from_surplus_kw
        taken_kw = from_surplus_kw + from_grid_kw
        target_kw[best] += taken_kw / pue
        if taken_kw < site_kw * (1.0 - 1e-12):
            # The surplus ended inside this block: higher blocks of the group are worth less.
            next_level[best] = params.groups[best].n_levels
        else:
            next_level[best] += 1

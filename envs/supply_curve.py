"""What each further kilowatt of a site costs now: a convex curve of prices, and dispatch on it.

The curve is a list of segments by rising site power: ``curve[0, k]`` is where segment k ends [kW],
``curve[1, k]`` its price [currency/kWh]. Sources follow each other as the settlement takes them:
panels, surplus, a block bought ahead, the grid; base points and calls add kinks. What is not convex
is replaced by its convex hull up to full load or, where a penalty ends, left without the fall in
price, so that a greedy fill is the optimum.
"""

import numpy as np

from gridhash.envs.accounts import (
    BASELINE_KW,
    COMMITTED_KW,
    INCREASE_BASELINE_KW,
    QUOTA_LEFT_KWH,
    Accounts,
)
from gridhash.envs.columns import (
    BASE_POINT,
    INCREASE_CALL,
    SEEN_ALL_IN,
    SEEN_PRICE,
    SEEN_PV,
    SEEN_SURPLUS,
    Exogenous,
)
from gridhash.envs.dispatch import block_value_per_kwh
from gridhash.envs.jit import njit
from gridhash.envs.parameters import Floats, SiteParameters
from gridhash.envs.program_parameters import ProgramParameters
from gridhash.envs.programs import base_point_tolerance_kw, reduction_is_due

MAX_SEGMENTS = 12
"""Five pieces of sources, at most two kinks of a base point, two of a call down, one of one up."""


@njit
def add_source(curve: Floats, n: int, kw: float, price_per_kwh: float, full_kw: float) -> int:
    """Append a source of `kw`, as far as full load reaches; return the number of segments.

    A source cheaper than those below it is taken with them at their common mean price: that is
    the convex hull, since the dearer ones come first whether we like it or not.
    """
    start_kw = curve[0, n - 1] if n > 0 else 0.0
    end_kw = min(start_kw + kw, full_kw)
    if end_kw <= start_kw:
        return n
    curve[0, n] = end_kw
    curve[1, n] = price_per_kwh
    last = n
    while last > 0 and curve[1, last] < curve[1, last - 1]:
        below_kw = curve[0, last - 2] if last > 1 else 0.0
        dear_kw = curve[0, last - 1] - below_kw
        cheap_kw = curve[0, last] - curve[0, last - 1]
        curve[1, last - 1] = (dear_kw * curve[1, last - 1] + cheap_kw * curve[1, last]) / (
            dear_kw + cheap_kw
        )
        curve[0, last - 1] = curve[0, last]
        last -= 1
    return last + 1


@njit
def add_grid(curve: Floats, n: int, price_per_kwh: float, full_kw: float) -> int:
    """Append the grid, without end; return the number of segments.

    Where it is cheaper than what comes before it, the hull reaches to `full_kw`.
    """
    if n > 0 and price_per_kwh < curve[1, n - 1]:
        n = add_source(curve, n, full_kw, price_per_kwh, full_kw)
    curve[0, n] = np.inf
    curve[1, n] = max(price_per_kwh, curve[1, n - 1]) if n > 0 else price_per_kwh
    return n + 1


@njit
def raise_above(curve: Floats, n: int, at_kw: float, more_per_kwh: float) -> int:
    """Raise the price of all power above `at_kw`; return the number of segments."""
    split = n
    for k in range(n):
        if curve[0, k] > at_kw:
            split = k
            break
    start_kw = curve[0, split - 1] if split > 0 else 0.0
    if split < n and at_kw > start_kw:
        for k in range(n, split, -1):
            curve[0, k] = curve[0, k - 1]
            curve[1, k] = curve[1, k - 1]
        curve[0, split] = at_kw
        split += 1
        n += 1
    for k in range(split, n):
        curve[1, k] += more_per_kwh
    return n


@njit
def supply_is_shaped(programs: ProgramParameters, exogenous: Exogenous, row: int) -> bool:
    """Return whether energy has more than a market and a surplus price in a row."""
    if programs.always_shapes_supply:
        return True
    market = exogenous.market[row]
    return bool(
        (programs.has_reduction and reduction_is_due(market, programs.has_pause))
        or (programs.increase_max_kw > 0.0 and market[INCREASE_CALL] > 0.0)
    )


@njit
def build_supply_curve(
    params: SiteParameters,
    programs: ProgramParameters,
    exogenous: Exogenous,
    accounts: Accounts,
    i: int,
    row: int,
    curve: Floats,
) -> int:
    """Write the curve of a site from what is known at the start of a row; return its segments."""
    market = exogenous.market[row]
    value = accounts.value[i]
    all_in = market[SEEN_ALL_IN]
    adders = all_in - market[SEEN_PRICE]
    full_kw = min(params.max_rig_kw * params.pue_for_planning, params.contract_power_kw)
    n = 0
    pv_price = programs.pv_cost_per_kwh + programs.export_price_per_kwh
    n = add_source(curve, n, market[SEEN_PV], pv_price, full_kw)
    if params.surplus_price_per_kwh < all_in:
        hours = params.interval_s / 3600.0
        surplus_kw = min(market[SEEN_SURPLUS], value[QUOTA_LEFT_KWH] / hours)
        n = add_source(curve, n, surplus_kw, params.surplus_price_per_kwh, full_kw)
    resale = max(market[SEEN_PRICE] - programs.resale_fee_per_kwh, 0.0) + adders
    n = add_source(curve, n, programs.purchase_kw, resale, full_kw)
    n = add_grid(curve, n, all_in, full_kw)

    if programs.has_base_point:
        base_kw = market[BASE_POINT]
        tolerance_kw = base_point_tolerance_kw(
            base_kw, programs.base_tolerance_kw, programs.base_tolerance_frac
        )
        n = raise_above(curve, n, -1.0, -programs.base_penalty_per_kwh)
        n = raise_above(curve, n, max(base_kw - tolerance_kw, 0.0), programs.base_penalty_per_kwh)
        n = raise_above(curve, n, base_kw + tolerance_kw, programs.base_penalty_per_kwh)
    if programs.has_reduction and reduction_is_due(market, programs.has_pause):
        promised_kw = max(value[BASELINE_KW] - value[COMMITTED_KW], 0.0)
        enough_kw = max(
            value[BASELINE_KW] - programs.reduction_tolerance_frac * value[COMMITTED_KW], 0.0
        )
        n = raise_above(curve, n, promised_kw, programs.reduction_pay_per_kwh)
        n = raise_above(curve, n, enough_kw, programs.reduction_penalty_per_kwh)
    if programs.increase_max_kw > 0.0 and market[INCREASE_CALL] > 0.0:
        # The pay begins above the baseline; its convex hull spreads it over all power below.
        baseline_kw = value[INCREASE_BASELINE_KW]
        top_kw = min(baseline_kw + programs.increase_max_kw, full_kw)
        if top_kw > baseline_kw:
            spread = programs.increase_pay_per_kwh * (top_kw - baseline_kw) / top_kw
            n = raise_above(curve, n, -1.0, -spread)
            n = raise_above(curve, n, top_kw, spread)
    return n


@njit
def dispatch_on_curve(
    params: SiteParameters,
    curve: Floats,
    n_segments: int,
    revenue_per_phs_day: float,
    shadow_per_kwh: Floats,
    target_kw: Floats,
    next_level: Floats,
) -> None:
    """Write each group's rig power, (G,), that is optimal on a convex supply curve.

    The counterpart of `gridhash.envs.dispatch.dispatch_by_merit` for any number of prices: the
    most valuable block takes the cheapest power that is left, until no block is worth its price.
    A block is cut where the price rises above its value, which holds a kink. `next_level` is (G,)
    scratch memory.
    """
    n_groups = params.groups.shape[0]
    pue = params.pue_for_planning
    for g in range(n_groups):
        target_kw[g] = 0.0
        next_level[g] = 0.0
    segment = 0
    taken_kw = 0.0
    # Power that flows whatever the rigs do does not matter here: planning PUE covers it.
    while True:
        best = -1
        best_value = -np.inf
        for g in range(n_groups):
            if next_level[g] < params.groups[g].n_levels:
                value = block_value_per_kwh(params, g, int(next_level[g]), revenue_per_phs_day)
                if value - shadow_per_kwh[g] > best_value:
                    best_value = value - shadow_per_kwh[g]
                    best = g
        if best < 0 or best_value <= curve[1, segment]:
            return
        wanted_kw = params.block_kw[best, int(next_level[best])] * pue
        left_kw = wanted_kw
        while left_kw > 0.0 and segment < n_segments and best_value > curve[1, segment]:
            step_kw = min(left_kw, curve[0, segment] - taken_kw)
            taken_kw += step_kw
            left_kw -= step_kw
            target_kw[best] += step_kw / pue
            if taken_kw >= curve[0, segment]:
                segment += 1
        if left_kw > wanted_kw * 1e-12 or segment >= n_segments:
            # The next power costs more than this block is worth; higher blocks are worth less.
            return
        next_level[best] += 1

"""Starts and stops over a whole span of which every price is known: compiled backward passes.

numba's cache sees an edit in the files that `gridhash.envs.jit` hashes, this one and
`start_stop_dp.py` among them.
"""

from gridhash.agents.start_stop_dp import price_interval, share_on_surplus, step_back
from gridhash.envs.columns import REVENUE, SURPLUS
from gridhash.envs.jit import njit
from gridhash.envs.parameters import Floats, SiteParameters


@njit
def span_advantages(
    params: SiteParameters,
    market: Floats,
    all_in_per_kwh: Floats,
    first: int,
    scratch: Floats,
    rate: Floats,
    up: Floats,
    down: Floats,
    running: Floats,
    stopped: Floats,
) -> None:
    """Plan backwards over all rows of a span; see `decision_advantages`.

    `all_in_per_kwh`, (rows,), is what energy from the grid costs with all that comes on top.
    `up`, (G, U), and `down`, (G, D), hold the values of the end and then those of the start.
    """
    n_groups, n_up = up.shape
    n_down = down.shape[1]
    ipp = params.intervals_per_period
    for r in range(running.shape[0] // ipp - 1, -1, -1):
        row = first + r
        price = all_in_per_kwh[row]
        revenue = market[row, REVENUE]
        gain = price - params.surplus_price_per_kwh
        scratch[3, :] = 0.0
        if market[row, SURPLUS] > 0.0 and gain > 0.0:
            share_on_surplus(params, market[row, SURPLUS], revenue, scratch, scratch[3])
        for g in range(n_groups):
            rest = price_interval(params, g, price - scratch[3, g] * gain, revenue, rate)
            for t in range((r + 1) * ipp - 1, r * ipp - 1, -1):
                stop = rest + down[g, 1]
                start = rate[0] - params.groups[g].start_cost + up[g, 1]
                for age in range(1, n_up):
                    running[t, g, age] = rate[age] + up[g, min(age + 1, n_up - 1)] - stop
                for age in range(1, n_down):
                    stopped[t, g, age] = start - rest - down[g, min(age + 1, n_down - 1)]
                step_back(params, g, rate, rest, up[g], down[g])


@njit
def span_values(
    params: SiteParameters,
    market: Floats,
    price_per_kwh: Floats,
    first: int,
    rate: Floats,
    up: Floats,
    down: Floats,
) -> None:
    """Fill what a rig is worth by age before each interval of a span; see `rig_values`.

    `price_per_kwh`, (T,), is that of a kWh of site power in each interval. `up`, (T + 1, G, U), and
    `down`, (T + 1, G, D), hold the values of the end at T; `rate`, (U,), is working memory.
    """
    for t in range(price_per_kwh.shape[0] - 1, -1, -1):
        revenue = market[first + t // params.intervals_per_period, REVENUE]
        for g in range(up.shape[1]):
            for age in range(up.shape[2]):
                up[t, g, age] = up[t + 1, g, age]
            for age in range(down.shape[2]):
                down[t, g, age] = down[t + 1, g, age]
            rest = price_interval(params, g, price_per_kwh[t], revenue, rate)
            step_back(params, g, rate, rest, up[t, g], down[t, g])

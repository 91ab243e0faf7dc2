"""The recursion behind planning starts and stops: compiled, without allocation.

numba's cache sees edits of files called `start_stop_*.py` (`gridhash.envs.jit`): compiled functions
that others here call stand in one of these.
"""

import numpy as np

from gridhash.envs.dispatch import dispatch_by_merit
from gridhash.envs.jit import njit
from gridhash.envs.parameters import Floats, Floats32, Ints, SiteParameters

# No block is worth this much, so that dispatch takes surplus alone.
_NO_IMPORT_PER_KWH = 1e12
MOST_DAYS = 200  # of value iteration, after which a periodic day counts as solved


@njit
def interval_profit(
    params: SiteParameters, g: int, age: int, price_per_kwh: float, revenue_per_phs_day: float
) -> float:
    """Return what a running rig of an age earns in an interval at its best level [currency].

    `price_per_kwh` is all-in; cooling is that of `pue_for_planning`.
    """
    power_frac = params.start_power_frac[g, age]
    idle_kw = (1.0 - power_frac) * params.groups[g].standby_kw
    kwh_cost = price_per_kwh * params.pue_for_planning
    phs_value = revenue_per_phs_day / 24.0 * params.start_hash_frac[g, age]
    best = -np.inf
    for level in range(params.groups[g].n_levels):
        kw = power_frac * params.level_kw[g, level] + idle_kw
        best = max(best, params.level_phs[g, level] * phs_value - kw * kwh_cost)
    return float(best * params.interval_s / 3600.0)


@njit
def price_interval(
    params: SiteParameters,
    g: int,
    price_per_kwh: float,
    revenue_per_phs_day: float,
    rate: Floats,
) -> float:
    """Fill `rate`, (U,), with the profit per age of a running rig; return that of a stopped rig."""
    last = rate.shape[0] - 1
    rate[last] = interval_profit(params, g, last, price_per_kwh, revenue_per_phs_day)
    for age in range(last):
        if params.start_hash_frac[g, age] < 1.0 or params.start_power_frac[g, age] < 1.0:
            rate[age] = interval_profit(params, g, age, price_per_kwh, revenue_per_phs_day)
        else:
            rate[age] = rate[last]
    hours = params.interval_s / 3600.0
    return float(-params.groups[g].standby_kw * params.pue_for_planning * price_per_kwh * hours)


@njit
def step_back(
    params: SiteParameters, g: int, rate: Floats, rest: float, up: Floats, down: Floats
) -> None:
    """Turn the values of a rig after an interval into those before it (Bellman's equation).

    `up`, (U,), and `down`, (D,), hold the value of a rig by age at a decision, where age 0 does
    not occur; `rest` is the profit of a stopped rig.
    """
    n_up, n_down = up.shape[0], down.shape[0]
    stop = rest + down[1]
    start = rate[0] - params.groups[g].start_cost + up[1]
    for age in range(1, n_up):
        run = rate[age] + up[min(age + 1, n_up - 1)]
        up[age] = run if age < params.groups[g].n_up_lock else max(run, stop)
    for age in range(1, n_down):
        stay = rest + down[min(age + 1, n_down - 1)]
        down[age] = stay if age < params.groups[g].n_down_lock else max(stay, start)


@njit
def plan_rig(
    params: SiteParameters,
    g: int,
    price_per_kwh: Floats,
    revenue_per_phs_day: float,
    n_first: int,
    rate: Floats,
    up: Floats,
    down: Floats,
    advantage: Floats,
) -> None:
    """Write what keeping and starting a rig are worth now over prices per period, (H,).

    `n_first` dispatch intervals are left of the first period. `advantage`, (2,), takes KEEP and
    START; `rate` and `up`, (U,), and `down`, (D,), are working memory. After the last price no
    state is worth more than another.
    """
    up[:] = 0.0
    down[:] = 0.0
    rest = 0.0
    for k in range(price_per_kwh.shape[0] - 1, -1, -1):
        rest = price_interval(params, g, price_per_kwh[k], revenue_per_phs_day, rate)
        n_intervals = params.intervals_per_period if k > 0 else n_first - 1
        for _ in range(n_intervals):
            step_back(params, g, rate, rest, up, down)
    last_up, last_down = up.shape[0] - 1, down.shape[0] - 1
    advantage[0] = rate[last_up] + up[last_up] - rest - down[1]
    advantage[1] = rate[0] - params.groups[g].start_cost + up[1] - rest - down[last_down]


@njit
def share_on_surplus(
    params: SiteParameters,
    surplus_kw: float,
    revenue_per_phs_day: float,
    scratch: Floats,
    share: Floats,
) -> None:
    """Write the share of each group's rigs, (G,), that surplus can feed at their lowest level.

    Surplus goes to groups and levels by merit order, as in the level rule. `scratch` is (3, G).
    """
    scratch[0, :] = 0.0
    dispatch_by_merit(
        params,
        _NO_IMPORT_PER_KWH,
        surplus_kw,
        revenue_per_phs_day,
        scratch[0],
        scratch[1],
        scratch[2],
    )
    for g in range(share.shape[0]):
        share[g] = min(1.0, scratch[1, g] / (params.groups[g].n_rigs * params.level_kw[g, 0]))


@njit
def group_power(
    floor_frac: float,
    running: float,
    locked: float,
    startable: float,
    rule_load_frac: float,
    on_surplus: float,
    advantage: Floats,
) -> float:
    """Return the power action of a group from what keeping and starting its rigs are worth.

    Shares of the group's rigs: `running` of which `locked` must run on, `startable`, and those
    `on_surplus`, which goes to running rigs first. `advantage` is (2, 2) as in
    `DayAheadDP.advantages`.
    """
    free = max(running - locked, 0.0)
    cheap_kept = min(free, max(on_surplus - locked, 0.0))
    cheap_starts = min(startable, max(on_surplus - running, 0.0))
    share = locked
    if advantage[1, 0] >= 0.0:
        share += cheap_kept
    if advantage[0, 0] >= 0.0:
        share += free - cheap_kept
    if advantage[1, 1] > 0.0:
        share += cheap_starts
    if advantage[0, 1] > 0.0:
        share += startable - cheap_starts
    # More power than the lowest level of these rigs would start others that are not to start.
    if share < running + startable - 1e-6:
        return share * floor_frac
    return share * max(rule_load_frac, floor_frac)


@njit
def decide(
    params: SiteParameters,
    observation: Floats32,
    columns: Ints,
    group_columns: Ints,
    first_price: int,
    like: Ints,
    site_phs_per_kw: float,
    surplus_decay: float,
    price_per_kwh: Floats,
    scratch: Floats,
    ages: Floats,
    down: Floats,
    advantage: Floats,
    action: Floats,
) -> None:
    """Plan every site of a batch: fill `advantage`, (N, G, 2, 2), and `action`, (N, G).

    `columns` are those of break-even, minutes left and surplus; `group_columns`, (4, G), those of
    running, locked-up, startable and rule-load share. `like`, (G,), is the first group whose rigs
    are the same. `price_per_kwh`, (2, H), `scratch`, (4, G), `ages`, (2, U), and `down`, (D,),
    are working memory.
    """
    n_groups = params.groups.shape[0]
    horizon = price_per_kwh.shape[1]
    share = scratch[3]
    for i in range(observation.shape[0]):
        seen = observation[i]
        break_even = float(seen[columns[0]])
        revenue = break_even * 24.0 * params.pue_for_planning / site_phs_per_kw
        n_first = max(1, round(float(seen[columns[1]]) * 60.0 / params.interval_s))
        surplus_kw = float(seen[columns[2]]) * params.contract_power_kw
        for k in range(horizon):
            price_per_kwh[0, k] = seen[first_price + k] * break_even
        share[:] = 0.0
        if surplus_kw > 0.0 and params.surplus_price_per_kwh < price_per_kwh[0, 0]:
            share_on_surplus(params, surplus_kw, revenue, scratch, share)
            weight = 1.0
            for k in range(horizon):
                gain = price_per_kwh[0, k] - params.surplus_price_per_kwh
                price_per_kwh[1, k] = price_per_kwh[0, k] - weight * max(gain, 0.0)
                weight *= surplus_decay
        for g in range(n_groups):
            for feed in range(2):
                if feed == 1 and share[g] == 0.0:
                    advantage[i, g, 1, 0] = advantage[i, g, 0, 0]
                    advantage[i, g, 1, 1] = advantage[i, g, 0, 1]
                elif like[g] < g and (feed == 0 or share[like[g]] > 0.0):
                    advantage[i, g, feed, 0] = advantage[i, like[g], feed, 0]
                    advantage[i, g, feed, 1] = advantage[i, like[g], feed, 1]
                else:
                    plan_rig(
                        params,
                        g,
                        price_per_kwh[feed],
                        revenue,
                        n_first,
                        ages[0],
                        ages[1],
                        down,
                        advantage[i, g, feed],
                    )
            top = params.groups[g].n_levels - 1
            action[i, g] = group_power(
                params.level_kw[g, 0] / params.level_kw[g, top],
                float(seen[group_columns[0, g]]),
                float(seen[group_columns[1, g]]),
                float(seen[group_columns[2, g]]),
                float(seen[group_columns[3, g]]),
                share[g],
                advantage[i, g],
            )


@njit
def solve_periodic_day(
    params: SiteParameters,
    group: int,
    transition: Floats,
    clock: Ints,
    price_per_kwh: Floats,
    revenue_per_phs_day: float,
    tolerance: float,
    rate: Floats,
    before: Floats,
    value: Floats,
    after: Floats,
) -> float:
    """Solve starts and stops of a rig on a Markov day that repeats; return its profit per day.

    Value iteration until, in each price state, no mode's value moves by more than `tolerance`
    [currency] in a day against the last one. S periods of the day, C clock classes, X price states;
    a mode is a running rig by age, (U,), and then a stopped one by age, (D,).

    Parameters
    ----------
    transition
        (C, X, X) probability of the next period's state, by the class of the present period.
    clock
        (S,) class of each period.
    price_per_kwh
        (S, X) all-in price that is paid in a period, as expected in a state.
    value, after
        (X, U + D) at the start of the day, zeros at first; (S, X, U + D) takes what each mode is
        worth at the end of a period, by the period's state.
    rate, before
        (U,) and (X, U + D) of working memory.
    """
    n_slots, n_states, n_modes = after.shape
    n_up = rate.shape[0]
    gain = 0.0
    for _ in range(MOST_DAYS):
        for x in range(n_states):
            for m in range(n_modes):
                before[x, m] = value[x, m]
        for s in range(n_slots - 1, -1, -1):
            expected = after[s]
            expected[:] = 0.0
            for x in range(n_states):
                for y in range(n_states):
                    weight = transition[clock[s], x, y]
                    if weight > 0.0:
                        for m in range(n_modes):
                            expected[x, m] += weight * value[y, m]
            for x in range(n_states):
                rest = price_interval(params, group, price_per_kwh[s, x], revenue_per_phs_day, rate)
                for m in range(n_modes):
                    value[x, m] = expected[x, m]
                for _ in range(params.intervals_per_period):
                    step_back(params, group, rate, rest, value[x, :n_up], value[x, n_up:])
        gain = value[0, n_modes - 1] - before[0, n_modes - 1]
        moved = 0.0
        for x in range(n_states):
            own_gain = value[x, n_modes - 1] - before[x, n_modes - 1]
            for m in range(n_modes):
                # Age 0 does not stand before a decision.
                if m != 0 and m != n_up:
                    moved = max(moved, abs(value[x, m] - before[x, m] - own_gain))
                value[x, m] -= gain
        if moved <= tolerance:
            break
    return float(gain)


@njit
def decide_by_table(
    params: SiteParameters,
    like: Ints,
    surplus_kw: Floats,
    price_per_kwh: Floats,
    revenue_per_phs_day: Floats,
    intervals_left: Ints,
    table: Floats,
    slot: Ints,
    state: Ints,
    weight: Floats,
    scratch: Floats,
    rate: Floats,
    up: Floats,
    down: Floats,
    advantage: Floats,
) -> None:
    """Fill `advantage`, (N, G, 2), with what keeping and starting a rig are worth.

    `price_per_kwh` is what energy is expected to cost until the period ends, in `intervals_left`.
    `table`, (S, X, groups, U + D), holds what each mode is worth then; `slot`, (N,), names the
    period, `state`, (N, 2), two price states that count by `weight`, and `like`, (G,), the group
    of the table. `scratch`, (4, G), `rate` and `up`, (U,), and `down`, (D,), are working memory.
    """
    n_up, n_down = up.shape[0], down.shape[0]
    share = scratch[3]
    for i in range(price_per_kwh.shape[0]):
        gain = price_per_kwh[i] - params.surplus_price_per_kwh
        share[:] = 0.0
        if surplus_kw[i] > 0.0 and gain > 0.0:
            share_on_surplus(params, surplus_kw[i], revenue_per_phs_day[i], scratch, share)
        for g in range(params.groups.shape[0]):
            for m in range(n_up + n_down):
                first, second = table[slot[i], state[i, 0]], table[slot[i], state[i, 1]]
                worth = weight[i, 0] * first[like[g], m] + weight[i, 1] * second[like[g], m]
                if m < n_up:
                    up[m] = worth
                else:
                    down[m - n_up] = worth
            price = price_per_kwh[i] - share[g] * gain
            rest = price_interval(params, g, price, revenue_per_phs_day[i], rate)
            for _ in range(intervals_left[i] - 1):
                step_back(params, g, rate, rest, up, down)
            advantage[i, g, 0] = rate[n_up - 1] + up[n_up - 1] - rest - down[1]
            advantage[i, g, 1] = (
                rate[0] - params.groups[g].start_cost + up[1] - rest - down[n_down - 1]
            )

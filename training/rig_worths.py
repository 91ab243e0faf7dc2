"""What going on and starting are worth to a rig at every moment of a span, all prices known.

Prices do not depend on what a rig does, so one pass back over a span tells exactly what each of
the two decisions was worth under a policy that is followed from there on: no play, no sample. It
is the advantage of policy iteration (Howard, 1960) along the path that prices took.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gridhash.agents.day_ahead_dp import down_ages, settled_price_per_kwh
from gridhash.envs.columns import REVENUE
from gridhash.envs.parameters import Floats
from gridhash.envs.scenario import Scenario
from gridhash.training.spans import Rows
from gridhash.units import HOURS_PER_DAY, SECONDS_PER_HOUR

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, eq=False)
class RigPath:
    """What a rig earns in each of T dispatch intervals at the prices of a span [currency]."""

    running: Floats
    """(T, U) at its best level, by intervals since its start."""
    standing: Floats
    """(T,)"""
    start_cost: float
    start_loss: float
    """Of a start: its cost, and the revenue missed while the rig warms up."""
    n_up_lock: int
    """Intervals that it must run, and stand (`n_down_lock`), before it may be told otherwise."""
    n_down_lock: int
    n_down: int
    """Ages of a standing rig that are told apart."""


def rig_path(scenario: Scenario, rows: Rows, group: int) -> RigPath:
    """Return what a rig of a group earns over a span, with cooling of the planning PUE."""
    params, span = scenario.params, slice(*rows)
    rig = params.groups[group]
    hours = params.interval_s / SECONDS_PER_HOUR
    revenue_per_phs_h = scenario.market[span, REVENUE] / HOURS_PER_DAY
    price_per_kwh = settled_price_per_kwh(scenario)[span] * params.pue_for_planning
    power_frac = params.start_power_frac[group]
    hash_frac = params.start_hash_frac[group]
    idle_kw = (1.0 - power_frac) * rig.standby_kw
    best = np.full((len(price_per_kwh), len(power_frac)), -np.inf)
    for level in range(int(rig.n_levels)):
        kw = power_frac * params.level_kw[group, level] + idle_kw
        phs = params.level_phs[group, level] * hash_frac
        margin = np.outer(revenue_per_phs_h, phs) - np.outer(price_per_kwh, kw)
        best = np.maximum(best, margin)
    top_phs = float(params.level_phs[group, int(rig.n_levels) - 1])
    missed = float(rig.warm_up_h) * top_phs * float(revenue_per_phs_h.mean())
    repeated = scenario.steps_per_row
    return RigPath(
        running=np.repeat(best * hours, repeated, axis=0),
        standing=np.repeat(-rig.standby_kw * price_per_kwh * hours, repeated),
        start_cost=float(rig.start_cost),
        start_loss=float(rig.start_cost) + missed,
        n_up_lock=int(rig.n_up_lock),
        n_down_lock=int(rig.n_down_lock),
        n_down=down_ages(params),
    )


def worths(path: RigPath, goes_on: Bools, starts: Bools) -> Floats:
    """Return what going on is worth over stopping, and starting over standing, (2, T) [currency].

    Of a rig that may do either, with the policy followed ever after; at the end of the span no
    state is worth more than another.

    Parameters
    ----------
    goes_on, starts
        (T,) what the policy does with a rig that runs, and with one that stands.
    """
    running, standing = path.running.tolist(), path.standing.tolist()
    last_up, last_down = path.running.shape[1] - 1, path.n_down - 1
    ages_up, ages_down = range(last_up + 1), range(last_down + 1)
    up, down = [0.0] * (last_up + 1), [0.0] * (last_down + 1)  # by age at the next decision
    found = np.empty((2, len(standing)))
    for t in range(len(standing) - 1, -1, -1):
        earned, rest = running[t], standing[t]
        run = [earned[age] + up[min(age + 1, last_up)] for age in ages_up]
        stay = [rest + down[min(age + 1, last_down)] for age in ages_down]
        start, stop = run[0] - path.start_cost, stay[0]
        found[0, t], found[1, t] = run[last_up] - stop, start - stay[last_down]
        if not goes_on[t]:
            run[path.n_up_lock :] = [stop] * (last_up + 1 - path.n_up_lock)
        if starts[t]:
            stay[path.n_down_lock :] = [start] * (last_down + 1 - path.n_down_lock)
        up, down = run, stay
    return found


def earned(path: RigPath, goes_on: Bools, starts: Bools) -> float:
    """Return what a rig earns over a span that has long stood at its start [currency]."""
    total, age, runs = 0.0, path.n_down, False
    last_up = path.running.shape[1] - 1
    for t in range(len(path.standing)):
        if runs and age >= path.n_up_lock and not goes_on[t]:
            runs, age = False, 0
        elif not runs and age >= path.n_down_lock and starts[t]:
            runs, age = True, 0
            total -= path.start_cost
        total += path.running[t, min(age, last_up)] if runs else path.standing[t]
        age += 1
    return float(total)

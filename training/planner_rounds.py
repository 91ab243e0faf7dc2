"""Imitation of who does not know what comes: the rolling planner, where the learner goes.

The clairvoyant may do in a state what no policy could know to be right. The rolling planner
(`gridhash.agents.mpc`) sees what the policy sees, and takes milliseconds where the policy takes
microseconds. It is asked in states that the learner itself comes to (DAgger; Ross et al., 2011,
arXiv 1011.0686). What is learned is the power that limits leave of its plan: an action loses by
how far its own executed power lies from that, times what is at stake in the state, the regret of
the worst action in the eyes of the clairvoyant.

The planner's forecasts are analogs of that half of the training span in which it is not asked, so
that it does not find the very moment that it looks at.
"""

from collections.abc import Callable

import numpy as np

from gridhash.agents.analog_forecast import AnalogForecaster
from gridhash.agents.mpc import RollingPlanner
from gridhash.agents.policy import Policy
from gridhash.envs.levels import full_power_kw
from gridhash.envs.parameters import Floats
from gridhash.envs.scenario import Scenario
from gridhash.training.oracle import Hindsight, Oracle, agreement, joined, look_back, standing
from gridhash.training.power_clone import executed_kw
from gridhash.training.rollouts import Comparison
from gridhash.training.spans import Rows
from gridhash.units import SECONDS_PER_DAY

LEAST_DAYS = 21.0
"""Of half a training span that analogs are drawn from; below, forecasts are by persistence."""
Tell = Callable[[int, int], None]
"""Called with (spans done, spans in all)."""


def compare_to_planner(
    oracle: Oracle,
    policy: Policy,
    *,
    rows: Rows,
    actions: Floats,
    n_states: int,
    rng: np.random.Generator,
    tell: Tell,
) -> tuple[Comparison, dict[str, float]]:
    """Return what `actions` lose against the planner where `policy` goes, and how that stands.

    Of the figures ``agreement_planner`` and ``agreement_clairvoyant`` are shares of states,
    weighed by what is at stake, in which the policy draws what each would; ``planner_clairvoyant``
    is the same of the planner; ``regret`` is what the policy loses per decision to the clairvoyant.

    Parameters
    ----------
    rows
        The training span, of which the oracle knows some weeks.

    Raises
    ------
    SolverError
        If HiGHS finds no optimum.
    """
    scenario = oracle.scenario
    seen = look_back(oracle, policy, actions=actions, n_states=n_states, rng=rng, every_group=True)
    middle = (rows[0] + rows[1]) // 2
    planners = {
        False: planner_of(scenario, (middle, rows[1])),
        True: planner_of(scenario, (rows[0], middle)),
    }
    planned, parts = [], []
    for k, (values, one) in enumerate(zip(oracle.values, seen, strict=True)):
        planner = planners[values.rows[0] >= middle]
        planned.append(_planned_frac(scenario, one, planner))
        miss = np.abs(one.power_frac - planned[-1][:, None])
        parts.append(one.comparison(-one.stake[:, None] * miss, actions))
        tell(k + 1, len(seen))
    stake = np.concatenate([one.stake for one in seen])
    own = np.concatenate([one.own_frac for one in seen])
    best = np.concatenate([one.best_frac for one in seen])
    at_planner = np.concatenate(planned)
    return joined(parts), {
        "agreement_planner": agreement(own, at_planner, stake),
        "planner_clairvoyant": agreement(at_planner, best, stake),
        **standing(seen),
    }


def planner_of(scenario: Scenario, rows: Rows) -> RollingPlanner:
    """Return a planner that forecasts by analogs of these rows, or by persistence if they are few.

    Every round makes its own: a planner warms its solver by the plans before.
    """
    days = (rows[1] - rows[0]) * scenario.trace.period_s / SECONDS_PER_DAY
    forecaster = AnalogForecaster(scenario, rows) if days >= LEAST_DAYS else None
    return RollingPlanner(scenario.site, forecaster=forecaster)


def _planned_frac(scenario: Scenario, seen: Hindsight, planner: RollingPlanner) -> Floats:
    """Return the executed power of the planner for the group that is compared, (n,).

    The planner is asked once for a state, which stands there once for each group.
    """
    states = seen.visited.taken(slice(None, None, scenario.n_groups))
    kw = executed_kw(scenario, states, planner) / full_power_kw(scenario.params)
    return np.asarray(kw.ravel())

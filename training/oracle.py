"""Imitation of who knows what comes: what actions lose against the clairvoyant plan.

The plan's marginal price makes every rig an island (`gridhash.agents.rig_values`). So an action is
worth what its first interval earns at that price, as the kernel plays it, and what the fleet that
it leaves behind is worth to the clairvoyant. States are those that the learner itself comes to
(DAgger; Ross et al., 2011, arXiv 1011.0686), and each counts by the regret that is at stake in it.
"""

from dataclasses import dataclass

import numpy as np

from gridhash.agents.clairvoyant import clairvoyant_plan
from gridhash.agents.policy import Policy
from gridhash.agents.rig_values import RigValues, rig_values
from gridhash.envs.kernel import RECORD
from gridhash.envs.ledger import HASH_REVENUE, REPAIR, START_WEAR, WATER
from gridhash.envs.parameters import Floats
from gridhash.envs.scenario import Scenario
from gridhash.training.rollouts import CHUNK, Comparison, VisitedStates, branches, visit
from gridhash.training.spans import Rows
from gridhash.units import SECONDS_PER_DAY, SECONDS_PER_HOUR

SITE_KW = RECORD.index("site_kw")
PLAN_DAYS = 7.0


@dataclass(frozen=True)
class Oracle:
    """A scenario whose future is known over some spans."""

    scenario: Scenario
    values: tuple[RigValues, ...]


def clairvoyant_oracle(
    scenario: Scenario, rows: Rows, *, n_weeks: int | None, rng: np.random.Generator
) -> Oracle:
    """Return the oracle of a span, or of `n_weeks` random weeks of it.

    Raises
    ------
    SolverError
        If HiGHS finds no optimum.
    """
    length = round(PLAN_DAYS * SECONDS_PER_DAY / scenario.trace.period_s)
    firsts = np.arange(rows[0], max(rows[1] - length, rows[0]) + 1, length)
    if n_weeks is not None and n_weeks < len(firsts):
        firsts = np.sort(rng.choice(firsts, n_weeks, replace=False))
    spans = [(int(first), min(int(first) + length, rows[1])) for first in firsts]
    return Oracle(
        scenario,
        tuple(
            rig_values(scenario, span, clairvoyant_plan(scenario, span).marginal_per_kwh)
            for span in spans
        ),
    )


def compare_to_oracle(
    oracle: Oracle,
    policy: Policy,
    *,
    actions: Floats,
    n_states: int,
    rng: np.random.Generator,
) -> Comparison:
    """Return what `actions` of a random group are worth to the oracle where `policy` goes."""
    parts = []
    n_each = -(-n_states // len(oracle.values))
    for values in oracle.values:
        visited = visit(oracle.scenario, values.rows, policy, n_each, rng)
        parts.append(_compare(oracle.scenario, values, policy, visited, actions, rng))
    return Comparison(
        observation=np.concatenate([part.observation for part in parts]),
        group=np.concatenate([part.group for part in parts]),
        actions=actions,
        gain=np.concatenate([part.gain for part in parts]),
    )


def _compare(
    scenario: Scenario,
    values: RigValues,
    policy: Policy,
    visited: VisitedStates,
    actions: Floats,
    rng: np.random.Generator,
) -> Comparison:
    n, k = len(visited.observation), len(actions)
    group = rng.integers(0, scenario.n_groups, n)
    worth = np.empty((n, k))
    per_row, hours = scenario.steps_per_row, scenario.params.interval_s / SECONDS_PER_HOUR
    interval = (visited.state.row - values.rows[0]) * per_row + visited.state.substep
    for first in range(0, n, CHUNK):
        part = np.arange(first, min(first + CHUNK, n))
        sites, action = branches(scenario, policy, visited, part, group[part], actions)
        output = sites.step(action)
        now = np.repeat(interval[part], k)
        ledger = output.ledger
        earned = ledger[:, HASH_REVENUE] - ledger[:, [START_WEAR, REPAIR, WATER]].sum(axis=1)
        earned -= values.price_per_kwh[now] * output.record[:, SITE_KW] * hours
        worth[part] = (earned + values.of_fleets(sites.state, now + 1)).reshape(-1, k)
    gain = worth - worth.mean(axis=1, keepdims=True)
    return Comparison(
        observation=visited.observation,
        group=group,
        actions=actions,
        gain=gain.astype(np.float32),
    )

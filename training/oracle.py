"""Imitation of who knows what comes: what actions lose against the clairvoyant plan.

The plan's marginal price makes every rig an island (`gridhash.agents.rig_values`). So an action is
worth what its first interval earns at that price, as the kernel plays it, and what the fleet that
it leaves behind is worth to the clairvoyant. States are those that the learner itself comes to
(DAgger; Ross et al., 2011, arXiv 1011.0686), and each counts by the regret that is at stake in it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gridhash.agents.clairvoyant import clairvoyant_plan
from gridhash.agents.policy import Policy
from gridhash.agents.rig_values import RigValues, rig_values
from gridhash.envs.kernel import RECORD
from gridhash.envs.ledger import HASH_REVENUE, REPAIR, START_WEAR, WATER
from gridhash.envs.levels import full_power_kw
from gridhash.envs.parameters import Floats, Ints
from gridhash.envs.scenario import Scenario
from gridhash.training.rollouts import CHUNK, Comparison, VisitedStates, branches, visit
from gridhash.training.spans import Rows
from gridhash.units import SECONDS_PER_DAY, SECONDS_PER_HOUR

SITE_KW = RECORD.index("site_kw")
PLAN_DAYS = 7.0
SAME_FRAC = 0.05
"""Powers that differ by less, per full power of the group, agree."""


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


@dataclass(frozen=True, kw_only=True)
class Hindsight:
    """n states that a policy came to, and what the clairvoyant thinks of actions there."""

    visited: VisitedStates
    group: Ints
    """(n,) the group whose action differs."""
    worth: Floats
    """(n, K) of each action: its first interval and the fleet that it leaves [currency]."""
    power_frac: Floats
    """(n, K) executed power of the group per its full power: what limits leave of the action."""
    own_worth: Floats
    """(n,) of the policy's own action."""
    own_frac: Floats
    """(n,) its executed power."""
    own_action: Floats
    """(n,)"""

    @property
    def stake(self) -> Floats:
        """What the worst action loses against the best, (n,) [currency]."""
        return np.asarray(self.worth.max(axis=1) - self.worth.min(axis=1))

    @property
    def regret(self) -> Floats:
        """What the policy's own action loses against the best, (n,) [currency]."""
        return np.asarray(np.maximum(self.worth.max(axis=1) - self.own_worth, 0.0))

    @property
    def best_frac(self) -> Floats:
        """Executed power of the best action, (n,)."""
        best = self.worth.argmax(axis=1)[:, None]
        return np.asarray(np.take_along_axis(self.power_frac, best, axis=1)[:, 0])

    def by_worth(self, actions: Floats) -> Comparison:
        """Return what actions are worth, the policy's own among them."""
        tried = np.broadcast_to(actions, self.worth.shape)
        tried = np.concatenate([tried, self.own_action[:, None]], axis=1)
        worth = np.concatenate([self.worth, self.own_worth[:, None]], axis=1)
        order = np.argsort(tried, axis=1)
        worth = np.take_along_axis(worth, order, axis=1)
        return self.comparison(worth, np.take_along_axis(tried, order, axis=1))

    def comparison(self, gain: Floats, actions: Floats) -> Comparison:
        """Return a gain, (n, K), of each action, (K,) or (n, K), as what an actor is fitted to."""
        return Comparison(
            observation=self.visited.observation,
            group=self.group,
            actions=actions,
            gain=(gain - gain.mean(axis=1, keepdims=True)).astype(np.float32),
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
    seen = look_back(oracle, policy, actions=actions, n_states=n_states, rng=rng)
    return joined([one.by_worth(actions) for one in seen])


def look_back(
    oracle: Oracle,
    policy: Policy,
    *,
    actions: Floats,
    n_states: int,
    rng: np.random.Generator,
    every_group: bool = False,
) -> list[Hindsight]:
    """Return what the oracle thinks of `actions` of a random group where `policy` goes, by span.

    With `every_group` each state stands there once for each group, one after the other.
    """
    n_groups = oracle.scenario.n_groups
    n_each = -(-n_states // len(oracle.values))
    found = []
    for values in oracle.values:
        visited = visit(oracle.scenario, values.rows, policy, n_each, rng)
        group = rng.integers(0, n_groups, len(visited.observation))
        if every_group:
            group = np.tile(np.arange(n_groups), len(visited.observation))
            visited = visited.taken(np.repeat(np.arange(len(visited.observation)), n_groups))
        found.append(_hindsight(oracle.scenario, values, policy, visited, group, actions))
    return found


def joined(parts: Sequence[Comparison]) -> Comparison:
    """Return comparisons of the same actions as one."""
    return Comparison(
        observation=np.concatenate([part.observation for part in parts]),
        group=np.concatenate([part.group for part in parts]),
        actions=np.concatenate([np.broadcast_to(part.actions, part.gain.shape) for part in parts]),
        gain=np.concatenate([part.gain for part in parts]),
    )


def agreement(own_frac: Floats, other_frac: Floats, stake: Floats) -> float:
    """Return the share of states, weighed by stake, in which two powers are the same [0-1]."""
    same = np.abs(own_frac - other_frac) < SAME_FRAC
    return float((same * stake).sum() / max(stake.sum(), 1e-12))


def standing(seen: Sequence[Hindsight]) -> dict[str, float]:
    """Return how often a policy draws what the clairvoyant would, and its regret per decision."""
    own, best, stake, regret = (
        np.concatenate([getattr(one, name) for one in seen])
        for name in ("own_frac", "best_frac", "stake", "regret")
    )
    return {
        "agreement_clairvoyant": agreement(own, best, stake),
        "regret": float(regret.mean()),
    }


def _hindsight(
    scenario: Scenario,
    values: RigValues,
    policy: Policy,
    visited: VisitedStates,
    group: Ints,
    actions: Floats,
) -> Hindsight:
    n, k = len(visited.observation), len(actions) + 1
    worth, power_kw = np.empty((n, k)), np.empty((n, k))
    per_row, hours = scenario.steps_per_row, scenario.params.interval_s / SECONDS_PER_HOUR
    interval = (visited.state.row - values.rows[0]) * per_row + visited.state.substep
    own = policy.act(visited.observation)[np.arange(n), group]
    tried = np.concatenate([np.tile(actions, (n, 1)), own[:, None]], axis=1)
    for first in range(0, n, CHUNK):
        part = np.arange(first, min(first + CHUNK, n))
        sites, action = branches(scenario, policy, visited, part, group[part], tried[part])
        output = sites.step(action)
        now = np.repeat(interval[part], k)
        ledger = output.ledger
        earned = ledger[:, HASH_REVENUE] - ledger[:, [START_WEAR, REPAIR, WATER]].sum(axis=1)
        earned -= values.price_per_kwh[now] * output.record[:, SITE_KW] * hours
        worth[part] = (earned + values.of_fleets(sites.state, now + 1)).reshape(-1, k)
        of_group = np.repeat(group[part], k)
        executed_kw = sites.state.setpoint_kw[np.arange(len(now)), of_group]
        power_kw[part] = executed_kw.reshape(-1, k)
    power_frac = power_kw / full_power_kw(scenario.params)[group][:, None]
    return Hindsight(
        visited=visited,
        group=group,
        worth=worth[:, :-1],
        power_frac=power_frac[:, :-1],
        own_worth=worth[:, -1],
        own_frac=power_frac[:, -1],
        own_action=own,
    )

"""What actions are worth: plays of one state that differ in one action and share all that follows.

Prices, calls and weather do not depend on what a site does. So a state can be played on several
times under the very same future, with another first action of one group each time and the same
policy ever after: the difference of what they earn is the advantage of that action, free of the
noise of prices (common random numbers; Sinclair et al., 2022, "Hindsight Learning for MDPs with
Exogenous Inputs", arXiv 2207.06272). The kernel plays them, so every line of the ledger counts.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from gridhash.agents.numpy_policy import ACTION_HIGH
from gridhash.agents.policy import Policy
from gridhash.envs.accounts import (
    BASELINE_KW,
    BEFORE_CALL_KW,
    COMMITTED_KW,
    DELIVERED_KWH,
    DUE_KWH,
    HELD_KW,
    IMPORT_KWH,
    METER_KWH,
    MONTH_PEAK_KW,
    PERIOD_KWH,
    QUOTA_LEFT_KWH,
    RATCHET_KW,
    Accounts,
)
from gridhash.envs.action import ActionKind
from gridhash.envs.batched_site import BatchedSite, EpisodeRules
from gridhash.envs.parameters import Floats, Ints, SiteParameters
from gridhash.envs.scenario import Scenario
from gridhash.envs.state import FleetState
from gridhash.training.peak_charges import PeakCharges
from gridhash.training.spans import Rows
from gridhash.units import SECONDS_PER_DAY

Bools = npt.NDArray[np.bool_]

SITES = 1024
"""Sites that play side by side to find states."""
APART_STEPS = 36
"""Intervals between two states of one site."""
SETTLE_STEPS = 12
"""Intervals before the first, in which the drawn start is forgotten."""
SITES_AT_HOME = 256
SETTLE_DAYS = 32.0
"""The same where states must be those of the policy alone: a month, for which peaks are counted."""
NEW_OFFSET = 0.03
"""Chance per interval that a site gets another offset."""
OFFSETS = (-1.0, -0.3, 0.3, 1.0)
CHUNK = 1024
"""States compared at a time; their branches then fit a processor's cache."""
CHECK_STEPS = 6
WORTH_COMPACTING = 0.7
SAME_KW = 1e-3
SAME_KWH = 0.5
MONEY_LATER = [
    PERIOD_KWH,
    IMPORT_KWH,
    METER_KWH,
    MONTH_PEAK_KW,
    RATCHET_KW,
    QUOTA_LEFT_KWH,
    COMMITTED_KW,
    BASELINE_KW,
    DELIVERED_KWH,
    DUE_KWH,
    HELD_KW,
    BEFORE_CALL_KW,
]
"""Accounts that decide what a site pays within days. Those of months and the load of past days,
which makes baselines, move by too little to go on for."""


class VisitedStates(NamedTuple):
    """n sites as a play left them."""

    state: FleetState
    accounts: Accounts
    observation: npt.NDArray[np.float32]
    """(n, F)"""

    def taken(self, which: Ints | slice) -> "VisitedStates":
        """Return the states that indexes name, each as often as it is named."""
        return VisitedStates(
            FleetState._make(array[which] for array in self.state),
            Accounts._make(array[which] for array in self.accounts),
            self.observation[which],
        )


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """n states, and what K actions of one group earn in each."""

    observation: npt.NDArray[np.float32]
    """(n, F)"""
    group: Ints
    """(n,) the group whose action differs."""
    actions: Floats
    """(K,) or (n, K) ascending, in the units of the policy's action."""
    gain: npt.NDArray[np.float32]
    """(n, K) profit above the mean of the K, with what new peaks will cost [currency]."""


def visit(
    scenario: Scenario,
    rows: Rows,
    policy: Policy,
    n_states: int,
    rng: np.random.Generator,
    *,
    astray: bool = True,
) -> VisitedStates:
    """Return states that a policy comes to, its action now and then shifted for a while.

    Shifts last half an hour or so and differ between groups, so that fleets are also seen in modes
    that the policy would not have chosen: it must know what to do there. Without `astray` there
    are none, and peaks and baselines are those of a month of the policy's own: what then seems to
    be worth doing is no way back from where the policy does not go.
    """
    n_sites = min(SITES if astray else SITES_AT_HOME, n_states)
    n_each = -(-n_states // n_sites)
    row_steps = scenario.steps_per_row
    settle_steps = SETTLE_STEPS
    if not astray:
        month = round(SETTLE_DAYS * SECONDS_PER_DAY / scenario.site.dispatch_interval_s)
        settle_steps = max(SETTLE_STEPS, min(month, (rows[1] - rows[0]) * row_steps // 4))
    n_steps = settle_steps + n_each * APART_STEPS
    days = (n_steps + row_steps) * scenario.site.dispatch_interval_s / SECONDS_PER_DAY
    sites = BatchedSite(
        scenario,
        n_sites,
        EpisodeRules(episode_days=days, rows=rows, action_kind=policy.action_kind),
    )
    sites.draw_starts(np.arange(n_sites), rng)
    sites.state.substep[:] = rng.integers(0, row_steps, n_sites)
    observation = sites.observe()
    offset = np.zeros((n_sites, scenario.n_groups))
    highest = action_high(policy.action_kind, scenario.params)
    found: list[VisitedStates] = []
    for step in range(n_steps):
        anew = np.flatnonzero(rng.random(n_sites) < (NEW_OFFSET if astray else 0.0))
        shifted = rng.random((len(anew), scenario.n_groups)) < 0.5
        shifted &= rng.random((len(anew), 1)) < 0.5
        drawn = rng.choice(OFFSETS, (len(anew), scenario.n_groups))
        offset[anew] = np.where(shifted, drawn, 0.0)
        action = policy.act(observation) + offset * highest
        np.clip(action, policy.action_kind.low, highest, out=action)
        observation = sites.step(action).observation
        if step >= settle_steps and (step - settle_steps) % APART_STEPS == APART_STEPS - 1:
            found.append(
                VisitedStates(
                    FleetState._make(array.copy() for array in sites.state),
                    Accounts._make(array.copy() for array in sites.accounts),
                    observation.copy(),
                )
            )
    return VisitedStates(
        FleetState._make(map(np.concatenate, zip(*(one.state for one in found), strict=True))),
        Accounts._make(map(np.concatenate, zip(*(one.accounts for one in found), strict=True))),
        np.concatenate([one.observation for one in found]),
    )


def action_high(kind: ActionKind, params: SiteParameters) -> Floats:
    """Return the greatest number of each group's action, (G,)."""
    if kind is ActionKind.LEVELS:
        return np.asarray(params.n_levels, dtype=np.float64)
    return np.full(len(params.n_rigs), ACTION_HIGH)


def compare_actions(
    scenario: Scenario,
    rows: Rows,
    policy: Policy,
    *,
    actions: Floats,
    n_states: int,
    horizon_steps: int,
    rng: np.random.Generator,
    astray: bool = True,
) -> Comparison:
    """Return what `actions` of a random group are worth in states that `policy` visits.

    Parameters
    ----------
    rows
        Settlement periods [first, last) in which states are visited and played on.
    actions
        (K,) ascending. Where actions are continuous the policy's own is compared with them.
    horizon_steps
        Intervals that are played, at most: plays of a state end when they have become the same.
    astray
        As of `visit`.
    """
    ahead = -(-horizon_steps // scenario.steps_per_row) + 1
    visited = visit(scenario, (rows[0], rows[1] - ahead), policy, n_states, rng, astray=astray)
    n = len(visited.observation)
    group = rng.integers(0, scenario.n_groups, n)
    tried = np.broadcast_to(actions, (n, len(actions)))
    if policy.action_kind is not ActionKind.LEVELS:
        own = policy.act(visited.observation)[np.arange(n), group]
        tried = np.sort(np.concatenate([tried, own[:, None]], axis=1), axis=1)
    earned = np.empty(tried.shape)
    for first in range(0, n, CHUNK):
        part = np.arange(first, min(first + CHUNK, n))
        earned[part] = _play_on(
            scenario, policy, visited, part, group[part], tried[part], horizon_steps
        )
    gain = earned - earned.mean(axis=1, keepdims=True)
    return Comparison(
        observation=visited.observation,
        group=group,
        actions=tried,
        gain=gain.astype(np.float32),
    )


def _play_on(
    scenario: Scenario,
    policy: Policy,
    visited: VisitedStates,
    which: Ints,
    group: Ints,
    actions: Floats,
    horizon_steps: int,
) -> Floats:
    """Return what each action, (n, K), earns in the states `which`, (n, K) [currency]."""
    n, k = actions.shape
    sites, action = branches(scenario, policy, visited, which, group, actions)
    output = sites.step(action)
    earned = output.reward.copy()
    leader = _leaders(sites.state.setpoint_kw.reshape(n, k, -1), earned.reshape(n, k))
    alone = leader == np.arange(k)
    alone &= alone.sum(axis=1, keepdims=True) > 1
    branch = np.flatnonzero(alone)  # of n * k: the ones that must be played on
    peaks = PeakCharges(scenario, visited.state.row[which].repeat(k))
    peaks.book(np.arange(n * k), sites)
    observation = output.observation[branch]
    sites = copies(scenario, policy, sites.state, sites.accounts, branch)
    for step in range(1, horizon_steps):
        if not len(branch):
            break
        output = sites.step(policy.act(observation))
        earned[branch] += output.reward
        peaks.book(branch, sites)
        observation = output.observation
        if step % CHECK_STEPS == 0:
            goes_on = _still_apart(sites, branch // k)
            if goes_on.mean() < WORTH_COMPACTING:
                observation = observation[goes_on]
                branch = branch[goes_on]
                kept = np.flatnonzero(goes_on)
                sites = copies(scenario, policy, sites.state, sites.accounts, kept)
    total = (earned * scenario.params.reward_scale + peaks.left_over()).reshape(n, k)
    return np.asarray(np.take_along_axis(total, leader, axis=1))


def branches(
    scenario: Scenario,
    policy: Policy,
    visited: VisitedStates,
    which: Ints,
    group: Ints,
    actions: Floats,
) -> tuple[BatchedSite, Floats]:
    """Return K copies of each state in `which`, and the action of each, (n * K, G).

    `group`, (n,), takes one of `actions`, (K,) or (n, K), in each copy; the others act by the
    policy.
    """
    n, k = len(which), actions.shape[-1]
    action = np.repeat(policy.act(visited.observation[which]), k, axis=0)
    action[np.arange(n * k), np.repeat(group, k)] = np.broadcast_to(actions, (n, k)).ravel()
    repeated = copies(scenario, policy, visited.state, visited.accounts, np.repeat(which, k))
    return repeated, action


def copies(
    scenario: Scenario, policy: Policy, state: FleetState, accounts: Accounts, which: Ints
) -> BatchedSite:
    """Return sites in the states `which` of others, rewarded by profit alone."""
    rules = EpisodeRules(action_kind=policy.action_kind, relative_reward=False)
    sites = BatchedSite(scenario, max(len(which), 1), rules)
    if len(which):
        pairs: list[tuple[Any, Any]] = [*zip(sites.state, state, strict=True)]
        pairs += zip(sites.accounts, accounts, strict=True)
        for own, others in pairs:
            own[...] = others[which]
    return sites


def _leaders(setpoint_kw: Floats, reward: Floats) -> Ints:
    """Return for each branch of a state the first one that did the same, (n, K).

    `setpoint_kw` is (n, K, G), `reward` (n, K).
    """
    n, k = reward.shape
    leader = np.tile(np.arange(k), (n, 1))
    for j in range(k - 1, -1, -1):
        same = np.abs(setpoint_kw - setpoint_kw[:, j : j + 1]).max(axis=2) < SAME_KW
        same &= np.abs(reward - reward[:, j : j + 1]) < 1e-9
        leader[same] = j
    return leader


def _still_apart(sites: BatchedSite, of_state: Ints) -> Bools:
    """Return for each branch whether the branches of its state differ in what matters, (B,).

    `of_state`, (B,), ascending, names the state of each branch.
    """
    begins = np.concatenate([[True], of_state[1:] != of_state[:-1]])
    number = np.cumsum(begins) - 1
    first = np.flatnonzero(begins)[number]
    state = sites.state
    differs = np.abs(state.setpoint_kw - state.setpoint_kw[first]).max(axis=1) > SAME_KW
    for rigs in (state.up, state.down):
        differs |= np.abs(rigs - rigs[first]).max(axis=(1, 2)) > SAME_KW
    money = sites.accounts.value[:, MONEY_LATER]
    unequal = money != money[first]  # infinite where there is no limit
    if unequal.any():
        apart = np.abs(np.where(unequal, money, 0.0) - np.where(unequal, money[first], 0.0))
        differs |= apart.max(axis=1) > SAME_KWH
    n_differ = np.bincount(number, differs)
    return np.asarray(n_differ[number] > 0.0)

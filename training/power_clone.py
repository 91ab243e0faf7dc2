"""Warm start of actors that say power or levels: what a rule or plan makes the fleet draw.

A teacher is asked in the states that it comes to, shifted now and then, and what counts is the
power that limits left of its answer: the *executed* power. So a teacher of any kind of action
serves, and calls, base points, surplus and panels are in what is learned.
"""

from collections.abc import Iterator

import numpy as np
import torch
from stable_baselines3.common.policies import BasePolicy

from gridhash.agents.day_ahead_dp import DayAheadDP
from gridhash.agents.level_policy import LevelMasks
from gridhash.agents.policy import Policy
from gridhash.agents.rules import LevelRule
from gridhash.envs.action import ActionKind
from gridhash.envs.batched_site import BatchedSite
from gridhash.envs.levels import decode_levels, full_power_kw, level_counts
from gridhash.envs.parameters import Floats, Ints, SiteParameters
from gridhash.envs.scenario import Scenario
from gridhash.training.config import ImitationSettings
from gridhash.training.fitting import fit
from gridhash.training.imitation import mean_action
from gridhash.training.network import actor_parameters
from gridhash.training.oracle import SAME_FRAC
from gridhash.training.progress import Progress, TrainingRecord
from gridhash.training.rollouts import VisitedStates, copies, visit
from gridhash.training.spans import Rows

RULE_EPOCHS = 30
"""Epochs in which a rule is learned where no plan is cloned."""
MASKED = -1e9


def teacher_of(scenario: Scenario, settings: ImitationSettings) -> Policy:
    """Return whom the actor begins as: the day-ahead plan, or the level rule without epochs."""
    return DayAheadDP(scenario.site) if settings.n_epochs else LevelRule(scenario.site)


def executed_kw(scenario: Scenario, visited: VisitedStates, policy: Policy) -> Floats:
    """Return the rig power of each group that a policy's action leads to, (n, G) [kW]."""
    sites: BatchedSite = copies(
        scenario, policy, visited.state, visited.accounts, np.arange(len(visited.observation))
    )
    sites.step(policy.act(visited.observation))
    return np.asarray(sites.state.setpoint_kw.copy())


def clone_power(
    policy: BasePolicy,
    kind: ActionKind,
    scenario: Scenario,
    rows: Rows,
    settings: ImitationSettings,
    progress: Progress,
    *,
    seed: int,
    teacher: Policy | None = None,
) -> Iterator[TrainingRecord]:
    """Fit the actor of an SB3 policy to the executed power of its teacher; one record per epoch.

    Of levels the nearest to that power is learned, among those that are worth saying.
    """
    teacher = teacher or teacher_of(scenario, settings)
    n_epochs = settings.n_epochs or RULE_EPOCHS
    rng = np.random.default_rng([seed, 5])
    visited = visit(scenario, rows, teacher, settings.n_samples, rng)
    power_kw = executed_kw(scenario, visited, teacher)
    observation = torch.as_tensor(visited.observation)
    if kind is ActionKind.LEVELS:
        masks = torch.as_tensor(LevelMasks(scenario.site).of(visited.observation))
        wanted = torch.as_tensor(nearest_level(scenario.params, power_kw))
        counts = [int(count) for count in level_counts(scenario.params)]

        def loss_of(which: torch.Tensor) -> tuple[torch.Tensor, float]:
            logits = mean_action(policy, observation[which]).masked_fill(~masks[which], MASKED)
            losses, right = [], []
            for g, own in enumerate(logits.split(counts, dim=1)):
                losses.append(torch.nn.functional.cross_entropy(own, wanted[which, g]))
                right.append((own.argmax(dim=1) == wanted[which, g]).float().mean())
            return torch.stack(losses).sum(), float(torch.stack(right).mean())
    else:
        share = torch.as_tensor(power_kw / full_power_kw(scenario.params), dtype=torch.float32)

        def loss_of(which: torch.Tensor) -> tuple[torch.Tensor, float]:
            miss = mean_action(policy, observation[which]) - share[which]
            right = (miss.abs() < SAME_FRAC).float().mean()
            return torch.nn.functional.smooth_l1_loss(
                miss, torch.zeros_like(miss), beta=SAME_FRAC
            ), float(right)

    epochs = fit(
        actor_parameters(policy), len(observation), loss_of, settings, n_epochs=n_epochs, seed=seed
    )
    for epoch, agreement in enumerate(epochs):
        progress("clone", epoch + 1, n_epochs, None)
        yield TrainingRecord(phase="clone", step=epoch + 1, values={"agreement": agreement})


def nearest_level(params: SiteParameters, power_kw: Floats) -> Ints:
    """Return the index of the level nearest to a power, (n, G) each; the lower of two as near."""
    index = np.zeros(power_kw.shape, dtype=np.int64)
    for g, count in enumerate(level_counts(params)):
        levels = np.zeros((int(count), len(params.n_rigs)), dtype=np.int64)
        levels[:, g] = np.arange(count)
        by_level_kw = decode_levels(params, levels)[:, g]
        index[:, g] = np.abs(power_kw[:, g, None] - by_level_kw).argmin(axis=1)
    return index

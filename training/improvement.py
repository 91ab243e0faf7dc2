"""Policy improvement from paired plays: the actor moves to where comparisons say more is earned.

Each state of a `Comparison` knows what K actions of one group are worth. Between them the worth is
taken to be linear, so that the actor's own action has an advantage with a gradient: the fit
maximises its mean. Wrong actions count by what they lose, states in which nothing is at stake by
nothing.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from stable_baselines3.common.policies import BasePolicy

from gridhash.agents.policy import Policy
from gridhash.config import SiteConfig
from gridhash.config_programs import ProgramsConfig
from gridhash.config_tariff import TariffConfig
from gridhash.envs.action import ActionKind
from gridhash.envs.parameters import Floats, SiteParameters
from gridhash.training.config import ImprovementSettings
from gridhash.training.imitation import mean_action
from gridhash.training.network import actor_parameters
from gridhash.training.progress import TrainingRecord
from gridhash.training.rollouts import Comparison

DEFAULT_ROUNDS = 6
SHADOW_PRICES = (-1.0, -0.5, -0.25, -0.1, 0.0, 0.1, 0.25, 0.5, 1.0)
POWERS_BETWEEN = 8
MOST_GAIN = 20.0
"""Advantages are cut at this many times their mean, so that a spike is not all that is learned."""
OVERSHOOT_PENALTY = 0.1
SAME_ACTION = 1e-6
"""Actions that differ by less are one."""


def usual_rounds(site: SiteConfig) -> int:
    """Return how many rounds of plays a site is improved by if nothing is said.

    None where nothing is to be expected but published prices: neither a tariff nor programs.
    """
    certain = site.tariff == TariffConfig() and site.programs == ProgramsConfig()
    return 0 if certain else DEFAULT_ROUNDS


def candidate_actions(kind: ActionKind, params: SiteParameters) -> Floats:
    """Return the actions of a group to compare, (K,) ascending: for ``power`` its levels too.

    Of ``levels`` all of them, off included, as many as the group with most has.
    """
    if kind is ActionKind.SHADOW_PRICE:
        return np.array(SHADOW_PRICES)
    if kind is ActionKind.LEVELS:
        return np.arange(params.n_levels.max() + 1, dtype=np.float64)
    by_level = (params.level_kw / params.level_kw[:, -1:]).ravel()
    even = np.linspace(0.0, 1.0, POWERS_BETWEEN + 1)
    return np.unique(np.concatenate([even, by_level]).round(3))


def improve(
    policy: BasePolicy,
    comparisons: Sequence[Comparison],
    settings: ImprovementSettings,
    *,
    low: float,
    seed: int,
    rule: Policy | None = None,
) -> Iterator[TrainingRecord]:
    """Fit the actor of an SB3 policy to comparisons; yield one record per epoch.

    `low` is the least action that the environment tells apart from lower ones; the greatest is 1.
    With `rule` the actor is what is added to its action.
    """
    actions = torch.as_tensor(
        np.concatenate([np.broadcast_to(one.actions, one.gain.shape) for one in comparisons]),
        dtype=torch.float32,
    )
    observation = torch.as_tensor(np.concatenate([one.observation for one in comparisons]))
    group = torch.as_tensor(np.concatenate([one.group for one in comparisons]))
    gain = torch.as_tensor(np.concatenate([one.gain for one in comparisons]))
    base = torch.zeros(len(group))
    if rule is not None:
        base = torch.as_tensor(rule.act(observation.numpy()), dtype=torch.float32)
        base = base.gather(1, group[:, None])[:, 0]
    unit = gain.abs().mean().clamp_min(1e-9)
    gain = (gain / unit).clamp(-MOST_GAIN, MOST_GAIN)
    best = float(gain.max(dim=1).values.mean())
    optimizer = torch.optim.AdamW(
        actor_parameters(policy), lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    n_batches = max(1, len(observation) // settings.batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        max_lr=settings.learning_rate,
        total_steps=max(1, settings.n_epochs * n_batches),
        pct_start=0.15,
    )
    shuffle = torch.Generator().manual_seed(seed)
    for epoch in range(settings.n_epochs):
        order = torch.randperm(len(observation), generator=shuffle)
        reached = 0.0
        for k in range(n_batches):
            which = order[k * settings.batch_size : (k + 1) * settings.batch_size]
            action = mean_action(policy, observation[which])
            own = base[which] + action.gather(1, group[which, None])[:, 0]
            if settings.smoothing:
                own = own + settings.smoothing * torch.randn(len(own), generator=shuffle)
            inside = own.clamp(low, 1.0)
            advantage = interpolated(inside, actions[which], gain[which]).mean()
            beyond = (own - inside).square().mean()
            loss = OVERSHOOT_PENALTY * beyond - advantage
            loss = loss + settings.action_penalty * action.abs().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            reached += float(advantage.detach()) / n_batches
        values = {"advantage": reached * float(unit), "best_advantage": best * float(unit)}
        yield TrainingRecord(phase="improve", step=epoch + 1, values=values)


def interpolated(own: torch.Tensor, actions: torch.Tensor, gain: torch.Tensor) -> torch.Tensor:
    """Return the gain at an action between those compared, with its gradient, (n,).

    `own` is (n,) within `actions`, (n, K) ascending; `gain` is (n, K).
    """
    above = torch.searchsorted(actions, own.detach()[:, None]).clamp(1, actions.shape[1] - 1)
    low, high = (actions.gather(1, k)[:, 0] for k in (above - 1, above))
    share = ((own - low) / (high - low).clamp_min(SAME_ACTION)).clamp(0.0, 1.0)
    left, right = (gain.gather(1, k)[:, 0] for k in (above - 1, above))
    return left + share * (right - left)

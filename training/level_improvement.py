"""Policy improvement of actors that choose work levels: more chance to levels that earn more.

As `gridhash.training.improvement`, but nothing is interpolated: each level of a group was played,
and the fit maximises what the softmax over the allowed ones earns in the mean.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from stable_baselines3.common.policies import BasePolicy

from gridhash.agents.level_policy import LevelMasks
from gridhash.config import SiteConfig
from gridhash.envs.levels import level_counts
from gridhash.envs.parameters import compile_site
from gridhash.training.config import ImprovementSettings
from gridhash.training.fitting import fit
from gridhash.training.imitation import mean_action
from gridhash.training.improvement import MOST_GAIN
from gridhash.training.network import actor_parameters
from gridhash.training.power_clone import MASKED
from gridhash.training.progress import TrainingRecord
from gridhash.training.rollouts import Comparison


def improve_levels(
    policy: BasePolicy,
    comparisons: Sequence[Comparison],
    settings: ImprovementSettings,
    site: SiteConfig,
    *,
    seed: int,
) -> Iterator[TrainingRecord]:
    """Fit the actor of an SB3 policy to comparisons of all levels; yield one record per epoch."""
    counts = level_counts(compile_site(site))
    n_most = int(counts.max())
    seen = np.concatenate([one.observation for one in comparisons])
    group = np.concatenate([one.group for one in comparisons])
    gain = torch.as_tensor(np.concatenate([one.gain for one in comparisons]))
    unit = gain.abs().mean().clamp_min(1e-9)
    gain = (gain / unit).clamp(-MOST_GAIN, MOST_GAIN)
    best = float(gain.max(dim=1).values.mean())
    # Columns of the logits of the group that was compared; beyond its levels its first again.
    index = np.arange(n_most)
    first = (np.cumsum(counts) - counts)[group]
    own = index < counts[group][:, None]
    column = torch.as_tensor(first[:, None] + np.where(own, index, 0))
    masks = LevelMasks(site).of(seen)
    allowed = torch.as_tensor(np.take_along_axis(masks, column.numpy(), axis=1) & own)
    observation = torch.as_tensor(seen)

    def loss_of(which: torch.Tensor) -> tuple[torch.Tensor, float]:
        logits = mean_action(policy, observation[which]).gather(1, column[which])
        chance = logits.masked_fill(~allowed[which], MASKED).softmax(dim=1)
        advantage = (chance * gain[which]).sum(dim=1).mean()
        return -advantage, float(advantage.detach())

    epochs = fit(
        actor_parameters(policy),
        len(observation),
        loss_of,
        settings,
        n_epochs=settings.n_epochs,
        seed=seed,
    )
    for epoch, reached in enumerate(epochs):
        values = {"advantage": reached * float(unit), "best_advantage": best * float(unit)}
        yield TrainingRecord(phase="improve", step=epoch + 1, values=values)

"""PPO from a policy that exists: critic warm-up, roll-outs, distance to the start, exact resume."""

from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3 import PPO
from stable_baselines3.common.logger import configure

from gridhash.agents.numpy_policy import MlpPolicy
from gridhash.agents.policy import Observations
from gridhash.envs.action import ActionKind
from gridhash.envs.batched_site import EpisodeRules
from gridhash.envs.parameters import Floats32
from gridhash.envs.scenario import Scenario
from gridhash.training.config import TrainingConfig
from gridhash.training.network import NORMALISED_CLIP, Weights, actor_weights, policy_kwargs
from gridhash.training.spans import Rows
from gridhash.training.vec_env import SiteVecEnv

POLICY_NAME = "learned"
MODEL_ATTRIBUTES = ("num_timesteps", "_n_updates", "_last_obs", "_last_episode_starts")
"""What SB3 carries from one roll-out to the next besides weights and optimiser."""
ACTOR_PARAMETERS = ("mlp_extractor.policy_net", "action_net", "log_std")


class PpoPhase:
    """SB3's PPO on one scenario, an iteration at a time.

    Parameters
    ----------
    rows
        Settlement periods [first, last) that episodes are drawn from.
    center, scale
        Of each feature, (F,): the normalisation inside the network.
    exploration_sd
        Standard deviation of the action at the start.
    folder
        Receives TensorBoard files.
    """

    def __init__(
        self,
        scenario: Scenario,
        rows: Rows,
        config: TrainingConfig,
        *,
        center: Floats32,
        scale: Floats32,
        exploration_sd: float,
        folder: Path,
    ) -> None:
        ppo = config.ppo
        self.exploration_sd = exploration_sd
        self.steps_per_iteration = ppo.n_envs * ppo.n_steps
        self.env = SiteVecEnv(
            scenario,
            ppo.n_envs,
            EpisodeRules(
                episode_days=ppo.episode_days,
                action_kind=ActionKind.SHADOW_PRICE,
                relative_reward=True,
                # An episode ends with an observation of the row after its last.
                rows=(rows[0], rows[1] - 1),
            ),
            seed=config.seed,
        )
        self.model = PPO(
            "MlpPolicy",
            self.env,
            learning_rate=ppo.learning_rate,
            n_steps=ppo.n_steps,
            batch_size=ppo.batch_size,
            n_epochs=ppo.n_epochs,
            gamma=ppo.gamma,
            gae_lambda=ppo.gae_lambda,
            clip_range=ppo.clip_range,
            # Near the optimum advantages are mostly noise; normalising them would amplify it.
            normalize_advantage=False,
            ent_coef=0.0,
            policy_kwargs=policy_kwargs(config.hidden, center, scale, exploration_sd),
            seed=config.seed,
            device="cpu",
        )
        self.model.set_logger(configure(str(folder / "tensorboard"), ["tensorboard"]))

    def learn(self, *, warming: bool) -> None:
        """Collect one roll-out and learn from it, with the actor frozen while the critic warms."""
        model = self.model
        for name, parameter in model.policy.named_parameters():
            parameter.requires_grad = not (warming and name.startswith(ACTOR_PARAMETERS))
        model.learn(self.steps_per_iteration, reset_num_timesteps=False, log_interval=1)

    def kl_to(self, start: Weights, observation: Observations) -> float:
        """Return the mean KL divergence from the policy's action to that of `start` [nat]."""
        move = runtime_policy(actor_weights(self.model.policy)).act(observation)
        move -= runtime_policy(start).act(observation)
        sd = np.exp(self.model.policy.log_std.detach().numpy().astype(np.float64))
        start_sd = self.exploration_sd
        kl = np.log(start_sd / sd) + (sd**2 + move**2) / (2.0 * start_sd**2) - 0.5
        return float(kl.sum(axis=1).mean())

    def values(self) -> dict[str, Any]:
        """Return what `restore` goes on from, for a checkpoint."""
        model, sites = self.model, self.env.sites
        return {
            "policy": model.policy.state_dict(),
            "optimizer": model.policy.optimizer.state_dict(),
            "model": {name: getattr(model, name) for name in MODEL_ATTRIBUTES},
            "fleet": sites.state._asdict(),
            "accounts": sites.accounts._asdict(),
            "steps_left": sites.steps_left,
            "env_rng": self.env.rng.bit_generator.state,
        }

    def restore(self, values: dict[str, Any]) -> None:
        """Go on from what `values` returned."""
        model = self.model
        model.policy.load_state_dict(values["policy"])
        model.policy.optimizer.load_state_dict(values["optimizer"])
        for name, value in values["model"].items():
            setattr(model, name, value)
        sites = self.env.sites
        for name, array in sites.state._asdict().items():
            array[...] = values["fleet"][name]
        for name, array in sites.accounts._asdict().items():
            array[...] = values["accounts"][name]
        sites.steps_left[:] = values["steps_left"]
        self.env.rng.bit_generator.state = values["env_rng"]


def runtime_policy(weights: Weights) -> MlpPolicy:
    """Return an actor as the NumPy policy that runs on site."""
    return MlpPolicy(
        weights, name=POLICY_NAME, action_kind=ActionKind.SHADOW_PRICE, clip=NORMALISED_CLIP
    )

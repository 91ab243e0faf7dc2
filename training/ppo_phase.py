"""PPO and maskable PPO from a policy that exists: critic warm-up, roll-outs, distance, resume."""

from typing import Any

import numpy as np
from sb3_contrib import MaskablePPO
from stable_baselines3 import PPO
from stable_baselines3.common.logger import configure

from gridhash.agents.policy import Observations
from gridhash.envs.action import ActionKind
from gridhash.training.network import Weights, actor_weights, policy_kwargs
from gridhash.training.phase import Phase, PhaseInputs
from gridhash.training.runtime import (
    LearnedPolicy,
    level_policy,
    relative_policy,
    runtime_policy,
)

MODEL_ATTRIBUTES = ("num_timesteps", "_n_updates", "_last_obs", "_last_episode_starts")
"""What SB3 carries from one roll-out to the next besides weights and optimiser."""
ACTOR_PARAMETERS = ("mlp_extractor.policy_net", "action_net", "log_std")
TINY = 1e-300


class PpoPhase(Phase):
    """SB3's PPO for shadow prices and power, sb3-contrib's for levels, which it masks."""

    model: PPO | MaskablePPO

    def __init__(self, inputs: PhaseInputs) -> None:
        config, ppo = inputs.config, inputs.config.ppo
        self.kind, self._site = inputs.kind, inputs.scenario.site
        self._rule = inputs.rule
        self.exploration_sd = inputs.exploration_sd
        self.steps_per_iteration = ppo.n_envs * ppo.n_steps
        self.env = inputs.make_env()
        by_levels = self.kind is ActionKind.LEVELS
        algorithm = MaskablePPO if by_levels else PPO
        self.model = algorithm(
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
            policy_kwargs=policy_kwargs(
                config.hidden,
                inputs.center,
                inputs.scale,
                None if by_levels else inputs.exploration_sd,
            ),
            seed=config.seed,
            device="cpu",
        )
        self.model.set_logger(configure(str(inputs.folder / "tensorboard"), ["tensorboard"]))

    def learn(self, *, warming: bool) -> None:
        """Collect one roll-out and learn from it, with the actor frozen while the critic warms."""
        model = self.model
        for name, parameter in model.policy.named_parameters():
            parameter.requires_grad = not (warming and name.startswith(ACTOR_PARAMETERS))
        model.learn(self.steps_per_iteration, reset_num_timesteps=False, log_interval=1)

    def runtime(self, weights: Weights) -> LearnedPolicy:
        """Return an actor as the NumPy policy that runs on site."""
        if self.kind is ActionKind.LEVELS:
            return level_policy(weights, self._site)
        if self._rule is not None:
            return relative_policy(weights, self._rule)
        return runtime_policy(weights, self.kind)

    def kl_to(self, start: Weights, observation: Observations) -> float:
        """Return the mean KL divergence from the policy's action to that of `start` [nat]."""
        own = actor_weights(self.model.policy)
        if self.kind is ActionKind.LEVELS:
            chance = level_policy(own, self._site).probabilities(observation)
            other = level_policy(start, self._site).probabilities(observation)
            kl = chance * np.log(np.maximum(chance, TINY) / np.maximum(other, TINY))
            return float(kl.sum(axis=1).mean())
        move = self.runtime(own).act(observation) - self.runtime(start).act(observation)
        log_sd: Any = self.model.policy.log_std
        sd = np.exp(log_sd.detach().numpy().astype(np.float64))
        start_sd = self.exploration_sd
        kl = np.log(start_sd / sd) + (sd**2 + move**2) / (2.0 * start_sd**2) - 0.5
        return float(kl.sum(axis=1).mean())

    def values(self) -> dict[str, Any]:
        """Return what `restore` goes on from, for a checkpoint."""
        model = self.model
        return {
            "policy": model.policy.state_dict(),
            "optimizer": model.policy.optimizer.state_dict(),
            "model": {name: getattr(model, name) for name in MODEL_ATTRIBUTES},
            **self.env_values(),
        }

    def restore(self, values: dict[str, Any]) -> None:
        """Go on from what `values` returned."""
        model = self.model
        model.policy.load_state_dict(values["policy"])
        model.policy.optimizer.load_state_dict(values["optimizer"])
        for name, value in values["model"].items():
            setattr(model, name, value)
        self.restore_env(values)

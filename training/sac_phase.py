"""SAC from a policy that exists: its critics learn from the batched sites, its mean runs on site.

The mean is squashed by tanh (`OutputKind.TANH`), the entropy's worth is fixed and small: what is
explored must not earn by being random. The checkpoint holds the replay buffer, so that a run goes
on to the same bits.
"""

from typing import Any

import numpy as np
import torch
from stable_baselines3 import SAC
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.logger import configure

from gridhash.agents.numpy_policy import OutputKind
from gridhash.agents.policy import Observations
from gridhash.training.network import NormalisedFeatures, Weights, actor_weights
from gridhash.training.phase import Phase, PhaseInputs
from gridhash.training.runtime import LearnedPolicy, runtime_policy

MODEL_ATTRIBUTES = (
    "num_timesteps", "_n_updates", "_last_obs", "_last_episode_starts", "_episode_num"
)  # fmt: skip
"""What SB3 carries from one roll-out to the next besides weights, optimisers and buffer."""
BUFFER_ARRAYS = (
    "observations", "next_observations", "actions", "rewards", "dones", "timeouts"
)  # fmt: skip
NEVER = 2**62
"""Episodes until SB3 writes a line of its own."""


class SacPhase(Phase):
    """SB3's SAC for shadow prices and power."""

    model: SAC

    def __init__(self, inputs: PhaseInputs) -> None:
        config, sac = inputs.config, inputs.config.sac
        self.kind = inputs.kind
        self.exploration_sd = inputs.exploration_sd
        self.steps_per_iteration = sac.n_envs * sac.n_steps
        self.env = inputs.make_env()
        self.model = SAC(
            "MlpPolicy",
            self.env,
            learning_rate=sac.learning_rate,
            buffer_size=sac.buffer_size,
            # A policy that exists explores around itself, never at random.
            learning_starts=0,
            batch_size=sac.batch_size,
            tau=sac.tau,
            gamma=sac.gamma,
            train_freq=1,
            gradient_steps=sac.updates_per_step,
            ent_coef=sac.entropy,
            policy_kwargs={
                "features_extractor_class": NormalisedFeatures,
                "features_extractor_kwargs": {"center": inputs.center, "scale": inputs.scale},
                "net_arch": list(config.hidden),
                "activation_fn": torch.nn.ReLU,
            },
            seed=config.seed,
            device="cpu",
        )
        log_std: Any = self.model.actor.log_std
        with torch.no_grad():
            log_std.weight.zero_()
            log_std.bias.fill_(float(np.log(inputs.exploration_sd)))
        self.model.set_logger(configure(str(inputs.folder / "tensorboard"), ["tensorboard"]))

    @property
    def buffer(self) -> ReplayBuffer:
        """What is learned from."""
        buffer = self.model.replay_buffer
        assert buffer is not None
        return buffer

    def learn(self, *, warming: bool) -> None:
        """Collect and learn one iteration, with the actor frozen while the critics warm."""
        for parameter in self.model.actor.parameters():
            parameter.requires_grad = not warming
        self.model.learn(self.steps_per_iteration, reset_num_timesteps=False, log_interval=NEVER)

    def runtime(self, weights: Weights) -> LearnedPolicy:
        """Return an actor's mean as the NumPy policy that runs on site."""
        return runtime_policy(weights, self.kind, OutputKind.TANH)

    def kl_to(self, start: Weights, observation: Observations) -> float:
        """Return the mean KL divergence from the policy's action to that of `start` [nat].

        Before tanh, which changes no divergence.
        """
        now, then = (self.runtime(w) for w in (actor_weights(self.model.policy), start))
        move = now.network.outputs(observation) - then.network.outputs(observation)
        with torch.no_grad():
            _, log_sd, _ = self.model.actor.get_action_dist_params(torch.as_tensor(observation))
        sd = np.exp(log_sd.numpy().astype(np.float64))
        start_sd = self.exploration_sd
        kl = np.log(start_sd / sd) + (sd**2 + move.astype(np.float64) ** 2) / (2.0 * start_sd**2)
        return float((kl - 0.5).sum(axis=1).mean())

    def values(self) -> dict[str, Any]:
        """Return what `restore` goes on from, for a checkpoint."""
        model, buffer = self.model, self.buffer
        n_filled = buffer.buffer_size if buffer.full else buffer.pos
        return {
            "policy": model.policy.state_dict(),
            "optimizer": {
                "actor": model.actor.optimizer.state_dict(),
                "critic": model.critic.optimizer.state_dict(),
            },
            "model": {name: getattr(model, name) for name in MODEL_ATTRIBUTES},
            "buffer": {name: getattr(buffer, name)[:n_filled] for name in BUFFER_ARRAYS},
            "buffer_at": (buffer.pos, buffer.full),
            **self.env_values(),
        }

    def restore(self, values: dict[str, Any]) -> None:
        """Go on from what `values` returned."""
        model, buffer = self.model, self.buffer
        model.policy.load_state_dict(values["policy"])
        model.actor.optimizer.load_state_dict(values["optimizer"]["actor"])
        model.critic.optimizer.load_state_dict(values["optimizer"]["critic"])
        for name, value in values["model"].items():
            setattr(model, name, value)
        for name, kept in values["buffer"].items():
            getattr(buffer, name)[: len(kept)] = kept
        buffer.pos, buffer.full = values["buffer_at"]
        self.restore_env(values)

"""The policy network: normalisation inside, two plain towers, one linear head each."""

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
import torch
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.sac.policies import SACPolicy

NORMALISED_CLIP = 8.0

Weights = dict[str, npt.NDArray[np.float32]]
"""Arrays of an actor under the names of `gridhash.agents.numpy_policy`."""


class NormalisedFeatures(BaseFeaturesExtractor):
    """(x - center) / scale, clipped; the constants are part of the weights, never trained."""

    def __init__(
        self,
        observation_space: gymnasium.spaces.Box,
        center: npt.NDArray[np.float32],
        scale: npt.NDArray[np.float32],
    ) -> None:
        super().__init__(observation_space, features_dim=int(np.prod(observation_space.shape)))
        self.center: torch.Tensor
        self.scale: torch.Tensor
        self.register_buffer("center", torch.as_tensor(center, dtype=torch.float32))
        self.register_buffer("scale", torch.as_tensor(scale, dtype=torch.float32))

    def forward(self, observations: torch.Tensor) -> torch.Tensor:
        """Return the normalised observation, (N, F)."""
        normalised = (observations - self.center) / self.scale
        return normalised.clamp(-NORMALISED_CLIP, NORMALISED_CLIP)


def normalisation(
    observations: npt.NDArray[np.float32],
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return (center, scale) of each feature over a sample of the training span, (F,) each.

    A feature that never varies there is given scale 1, so that it cannot blow up later.
    """
    center = observations.mean(axis=0, dtype=np.float64)
    scale = observations.std(axis=0, dtype=np.float64)
    scale[scale < 1e-4] = 1.0
    return center.astype(np.float32), scale.astype(np.float32)


def policy_kwargs(
    hidden: tuple[int, ...],
    center: npt.NDArray[np.float32],
    scale: npt.NDArray[np.float32],
    exploration_sd: float | None = None,
) -> dict[str, Any]:
    """Return what SB3's `MlpPolicy` needs to build this network; levels need no exploration."""
    exploring = {"log_std_init": float(np.log(exploration_sd))} if exploration_sd else {}
    return {
        **exploring,
        "features_extractor_class": NormalisedFeatures,
        "features_extractor_kwargs": {"center": center, "scale": scale},
        "net_arch": {"pi": list(hidden), "vf": list(hidden)},
        "activation_fn": torch.nn.ReLU,
        "ortho_init": True,
    }


def actor_layers(policy: Any) -> list[torch.nn.Linear]:
    """Return the linear layers of the actor of an SB3 policy, its output last."""
    hidden: Any
    output: Any
    if isinstance(policy, SACPolicy):
        hidden, output = policy.actor.latent_pi, policy.actor.mu
    else:
        hidden, output = policy.mlp_extractor.policy_net, policy.action_net
    return [*(layer for layer in hidden if isinstance(layer, torch.nn.Linear)), output]


def actor_parameters(policy: Any) -> list[torch.nn.Parameter]:
    """Return what of an SB3 policy imitation and plays train."""
    return [parameter for layer in actor_layers(policy) for parameter in layer.parameters()]


def actor_output(policy: Any, observation: torch.Tensor) -> torch.Tensor:
    """Return what the actor's last layer says, with its gradient.

    (N, G) of continuous actions, of SAC before tanh; of levels one logit each, (N, M).
    """
    actor = policy.actor if isinstance(policy, SACPolicy) else policy
    extractor = getattr(actor, "pi_features_extractor", actor.features_extractor)
    *hidden, output = actor_layers(policy)
    x: torch.Tensor = extractor(observation)
    for layer in hidden:
        x = torch.relu(layer(x))
    last: torch.Tensor = output(x)
    return last


def actor_weights(policy: Any) -> Weights:
    """Return the actor of an SB3 policy under the names of `gridhash.agents.numpy_policy`."""

    def array(tensor: Any) -> npt.NDArray[np.float32]:
        values: npt.NDArray[np.float32] = tensor.detach().cpu().numpy().astype(np.float32).copy()
        return values

    extractor = (policy.actor if isinstance(policy, SACPolicy) else policy).features_extractor
    weights = {
        "normalise.center": array(extractor.center),
        "normalise.scale": array(extractor.scale),
    }
    for name, layer in _named_layers(policy).items():
        weights[f"{name}.weight"] = array(layer.weight)
        weights[f"{name}.bias"] = array(layer.bias)
    return weights


def load_actor(policy: Any, weights: Mapping[str, npt.NDArray[np.float32]]) -> None:
    """Put weights that `actor_weights` returned back into the actor of an SB3 policy."""
    with torch.no_grad():
        for name, layer in _named_layers(policy).items():
            layer.weight.copy_(torch.as_tensor(weights[f"{name}.weight"]))
            layer.bias.copy_(torch.as_tensor(weights[f"{name}.bias"]))


def silence(policy: Any) -> None:
    """Make the actor of an SB3 policy say zero, whatever it sees; it learns on from there."""
    *_, output = actor_layers(policy)
    with torch.no_grad():
        output.weight.zero_()
        output.bias.zero_()


def _named_layers(policy: Any) -> dict[str, torch.nn.Linear]:
    *hidden, output = actor_layers(policy)
    return {f"layer.{k}": layer for k, layer in enumerate(hidden)} | {"output": output}

"""The learned policy in NumPy arrays and compiled code: what runs on site, without torch.

A multi-layer perceptron with its normalisation inside: ``(x - center) / scale`` clipped to
±`clip`, hidden layers with ReLU, a linear output, bounded to the action's range. All in float32.

Arrays have fixed names; a weight is (out, in), as torch keeps it:
``normalise.center``, ``normalise.scale``, ``layer.0.weight``, ``layer.0.bias``, …,
``output.weight``, ``output.bias``.
"""

import math
from collections.abc import Mapping
from enum import StrEnum
from functools import partial
from typing import Any

import numpy as np

from gridhash.agents.forward_pass import bound_pass
from gridhash.envs.action import ActionKind
from gridhash.envs.parameters import Floats, Floats32
from gridhash.errors import PolicyError

ACTION_HIGH = 1.0


class OutputKind(StrEnum):
    """How the linear output becomes an action within its bounds."""

    CLIP = "clip"  # cut off at the bounds
    TANH = "tanh"  # squashed: the bounds are reached at infinity


def mlp_shapes(
    n_features: int, hidden: tuple[int, ...], n_groups: int
) -> dict[str, tuple[int, ...]]:
    """Return the name and shape of every array of a network, in order of use."""
    shapes: dict[str, tuple[int, ...]] = {
        "normalise.center": (n_features,),
        "normalise.scale": (n_features,),
    }
    n_in = n_features
    for k, n_out in enumerate(hidden):
        shapes[f"layer.{k}.weight"] = (n_out, n_in)
        shapes[f"layer.{k}.bias"] = (n_out,)
        n_in = n_out
    shapes["output.weight"] = (n_groups, n_in)
    shapes["output.bias"] = (n_groups,)
    return shapes


def check_weights(weights: Mapping[str, Floats32], shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Refuse arrays that are not the network of these shapes.

    Raises
    ------
    PolicyError
        If an array is missing, unknown, of another shape or type than float32, not finite, or
        a scale is not positive.
    """
    for name in shapes:
        if name not in weights:
            raise PolicyError(f"array {name} is missing; expected {', '.join(shapes)}")
    if unknown := sorted(weights.keys() - shapes.keys()):
        raise PolicyError(f"array {unknown[0]} is unknown; expected {', '.join(shapes)}")
    for name in shapes:
        array = weights[name]
        if array.dtype != np.float32:
            raise PolicyError(f"array {name} is {array.dtype}; expected float32")
        if array.shape != shapes[name]:
            raise PolicyError(f"array {name} has shape {array.shape}; expected {shapes[name]}")
        if not np.isfinite(array).all():
            where = tuple(int(k) for k in np.argwhere(~np.isfinite(array))[0])
            raise PolicyError(f"array {name} holds {array[where]} at {where}; all must be finite")
    scale = weights["normalise.scale"]
    if scale.min(initial=np.inf) <= 0.0:
        k = int(np.argmin(scale))
        raise PolicyError(f"normalise.scale[{k}] is {scale[k]}; every scale must be above zero")


class Network:
    """The arrays of a network and its linear outputs, (N, outputs).

    Raises
    ------
    PolicyError
        If the arrays are not those of a network, or `clip` is not above zero.
    """

    def __init__(self, weights: Mapping[str, Floats32], *, name: str, clip: float) -> None:
        if not (np.isfinite(clip) and clip > 0.0):
            raise PolicyError(f"clip is {clip}; it must be finite and above zero")
        self.name = name
        self.clip = float(clip)
        self.n_features, self.hidden, self.n_outputs = _layers_of(weights)
        shapes = mlp_shapes(self.n_features, self.hidden, self.n_outputs)
        check_weights(weights, shapes)
        self.weights = {key: _frozen(weights[key]) for key in shapes}
        self._normalise = np.stack(
            [
                self.weights["normalise.center"],
                self.weights["normalise.scale"],
                np.full(self.n_features, self.clip, dtype=np.float32),
            ]
        )
        stems = [*(f"layer.{k}" for k in range(len(self.hidden))), "output"]
        self._layers = tuple(
            np.ascontiguousarray(
                np.vstack([self.weights[f"{stem}.bias"], self.weights[f"{stem}.weight"].T])
            )
            for stem in stems
        )
        self._width = (self.n_features,)
        self._scratch_shape = (2, max(self.n_features, *self.hidden, self.n_outputs))
        self._pass = bound_pass(
            np.zeros((1, self.n_features), dtype=np.float32),
            self._normalise,
            self._layers,
            *(0.0, 0.0, False),
            np.zeros(self._scratch_shape, dtype=np.float32),
            np.zeros((1, self.n_outputs)),
        )

    def __reduce__(self) -> tuple[Any, ...]:
        """Leave out machine code, which belongs to one process."""
        return partial(Network, name=self.name, clip=self.clip), (self.weights,)

    def outputs(self, observation: Floats32) -> Floats:
        """Return what the last layer says: (N, F) float32 in, (N, outputs) float64 out.

        Raises
        ------
        PolicyError
            As `move`.
        """
        outputs = np.zeros((len(observation), self.n_outputs))
        self.move(outputs, observation, -math.inf, math.inf)
        return outputs

    def move(
        self, action: Floats, observation: Floats32, low: float, high: float, squash: bool = False
    ) -> None:
        """Add the outputs to an action, (N, outputs) float64, within its bounds.

        With `squash` the sum goes through tanh onto the range, else it is cut off at its ends.

        Raises
        ------
        PolicyError
            If the observation has another shape or holds a NaN, or the network overflows.
        """
        if observation.shape[1:] != self._width:
            raise PolicyError(
                f"policy {self.name} reads observations of shape (N, {self.n_features}); "
                f"got {observation.shape}"
            )
        observation = np.ascontiguousarray(observation, np.float32)
        scratch = np.empty(self._scratch_shape, np.float32)
        if not self._pass(
            observation, self._normalise, self._layers, low, high, squash, scratch, action
        ):
            raise PolicyError(
                f"policy {self.name} found no action: the observation holds "
                f"{_first_fault(observation)}"
            )


class MlpPolicy:
    """A trained network as a policy: a pure function of the observation, safe to share.

    Equal observations give equal bits, call after call, alone or in a batch.
    """

    def __init__(
        self,
        weights: Mapping[str, Floats32],
        *,
        name: str,
        action_kind: ActionKind,
        clip: float = 10.0,
        output: OutputKind = OutputKind.CLIP,
    ) -> None:
        """Copy the weights; the layers follow from their names and shapes.

        Raises
        ------
        PolicyError
            If the arrays are not those of a network, `clip` is not above zero, or the action
            kind is `ActionKind.LEVELS`, which one number per group cannot say.
        """
        if action_kind is ActionKind.LEVELS:
            raise PolicyError(
                f"network {name} cannot act by levels: it says one number per group between a "
                "least and 1, no choice among work levels; use power or shadow_price, or the "
                "outputs of a LevelPolicy"
            )
        self.name = name
        self.action_kind = action_kind
        self.output = OutputKind(output)
        self.network = Network(weights, name=name, clip=clip)
        self.clip = self.network.clip
        self.weights = self.network.weights
        self.n_features, self.hidden = self.network.n_features, self.network.hidden
        self.n_groups = self.network.n_outputs
        self._low = action_kind.low
        self._squash = self.output is OutputKind.TANH

    def act(self, observation: Floats32) -> Floats:
        """Return one action per observation: (N, F) float32 in, (N, G) float64 out.

        Raises
        ------
        PolicyError
            If the observation has another shape, or holds a NaN.
        """
        action = np.zeros((len(observation), self.n_groups))
        self.network.move(action, observation, self._low, ACTION_HIGH, self._squash)
        return action


def _layers_of(weights: Mapping[str, Floats32]) -> tuple[int, tuple[int, ...], int]:
    """Return features, hidden sizes and groups as the shapes of the biases say them."""
    hidden: list[int] = []
    while (bias := weights.get(f"layer.{len(hidden)}.bias")) is not None:
        hidden.append(bias.size)
    center, last = weights.get("normalise.center"), weights.get("output.bias")
    if center is None or last is None:
        missing = "normalise.center" if center is None else "output.bias"
        raise PolicyError(f"array {missing} is missing; found {', '.join(weights) or 'none'}")
    return center.size, tuple(hidden), last.size


def _frozen(array: Floats32) -> Floats32:
    copy = np.array(array, dtype=np.float32, order="C")
    copy.flags.writeable = False
    return copy


def _first_fault(observation: Floats32) -> str:
    faults = np.argwhere(~np.isfinite(observation))
    if faults.size == 0:
        return "values for which the network overflows"
    row, column = (int(k) for k in faults[0])
    return f"{observation[row, column]} in row {row}, feature {column}"

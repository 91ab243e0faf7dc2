"""The learned policy in plain NumPy: what runs on site, without torch.

A multi-layer perceptron with its normalisation inside: ``(x - center) / scale`` clipped to
±`clip`, hidden layers with ReLU, a linear output, bounded to the action's range. All in float32.

Arrays have fixed names; a weight is (out, in), as torch keeps it:
``normalise.center``, ``normalise.scale``, ``layer.0.weight``, ``layer.0.bias``, …,
``output.weight``, ``output.bias``.
"""

import math
from collections.abc import Mapping
from enum import StrEnum

import numpy as np

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
        # One row each, as a batch of one is: NumPy meets arrays of one shape in half of the time
        # that it takes to stretch one, or to convert a number. Larger batches stretch the row.
        self._center = self.weights["normalise.center"][None]
        self._scale = self.weights["normalise.scale"][None]
        self._layers = tuple(
            (
                self.weights[f"layer.{k}.weight"].T,
                self.weights[f"layer.{k}.bias"][None],
                np.zeros((1, n), dtype=np.float32),
            )
            for k, n in enumerate(self.hidden)
        )
        self._last = (self.weights["output.weight"].T, self.weights["output.bias"][None])
        self._input_high = np.full((1, self.n_features), self.clip, dtype=np.float32)
        self._input_low = -self._input_high

    def outputs(self, observation: Floats32) -> Floats32:
        """Return what the last layer says: (N, F) float32 in, (N, outputs) float32 out.

        Raises
        ------
        PolicyError
            If the observation has another shape.
        """
        if observation.ndim != 2 or observation.shape[1] != self.n_features:
            raise PolicyError(
                f"policy {self.name} reads observations of shape (N, {self.n_features}); "
                f"got {observation.shape}"
            )
        x = observation.astype(np.float32, copy=False) - self._center
        x /= self._scale
        np.maximum(x, self._input_low, out=x)
        np.minimum(x, self._input_high, out=x)
        for weight, bias, zero in self._layers:
            x = np.dot(x, weight)  # to the bits of `@`, which takes twice as long for one row
            x += bias
            np.maximum(x, zero, out=x)
        weight, bias = self._last
        return np.asarray(np.dot(x, weight) + bias)

    def check(self, answer: Floats, observation: Floats32) -> None:
        """Raise PolicyError if an answer holds NaN or infinity, with what the observation holds."""
        if not np.isfinite(answer).all():
            raise PolicyError(
                f"policy {self.name} found no action: the observation holds "
                f"{_first_fault(observation)}"
            )


class MlpPolicy:
    """A trained network as a policy: a pure function of the observation, safe to share.

    Equal observations give equal bits, call after call, for one batch size: a product of
    matrices rounds otherwise for a batch of 1 than for a batch of 64.
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
        self._low = np.full((1, self.n_groups), action_kind.low)
        self._high = np.full((1, self.n_groups), ACTION_HIGH)

    def act(self, observation: Floats32) -> Floats:
        """Return one action per observation: (N, F) float32 in, (N, G) float64 out.

        Raises
        ------
        PolicyError
            If the observation has another shape, or holds a NaN.
        """
        action = self.network.outputs(observation).astype(np.float64)
        if self.output is OutputKind.TANH:
            low, high = self.action_kind.low, ACTION_HIGH
            action = (low + high) / 2.0 + (high - low) / 2.0 * np.tanh(action)
        np.maximum(action, self._low, out=action)
        np.minimum(action, self._high, out=action)
        # Within bounds a sum is finite if all is: one call instead of two.
        if not math.isfinite(np.add.reduce(action, axis=None)):
            self.network.check(action, observation)
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

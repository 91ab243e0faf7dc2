"""A network's pass from observation to action, compiled: one call per decision.

Sums run in one order whatever the batch and whatever the processor, so that an observation has the
same bits alone and among others, on this machine and on the next.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from gridhash.envs.jit import bound_to_types, counted, njit
from gridhash.envs.parameters import Floats, Floats32

AT_ONCE = 4
"""Inputs of a layer whose products are added up before they join the sum."""


@njit
def write_layer(x: Floats32, layer: Floats32, y: Floats32) -> None:
    """Write the linear outputs of a layer, (O,), whose array (I + 1, O) begins with the bias.

    The inner loop runs over outputs, which the compiler takes many at a time without changing
    the order of any sum.
    """
    n_in, n_out = layer.shape[0] - 1, layer.shape[1]
    for j in range(n_out):
        y[j] = layer[0, j]
    whole = n_in // AT_ONCE * AT_ONCE
    for first in range(0, whole, AT_ONCE):
        k = counted(first)
        x0, x1, x2, x3 = x[k], x[k + 1], x[k + 2], x[k + 3]
        w0, w1, w2, w3 = layer[k + 1], layer[k + 2], layer[k + 3], layer[k + 4]
        for j in range(n_out):
            y[j] += (x0 * w0[j] + x1 * w1[j]) + (x2 * w2[j] + x3 * w3[j])
    for rest in range(whole, n_in):
        k = counted(rest)
        x0, w0 = x[k], layer[k + 1]
        for j in range(n_out):
            y[j] += x0 * w0[j]


@njit
def add_outputs(
    observation: Floats32,
    normalise: Floats32,
    layers: tuple[Floats32, ...],
    low: float,
    high: float,
    squash: bool,
    scratch: Floats32,
    action: Floats,
) -> bool:
    """Add a network's outputs to `action`, (N, G), within its bounds; return whether all is finite.

    `observation` is (N, F), `normalise` (3, F): center, scale and clip; `layers` as `write_layer`
    takes them, all but the last with ReLU; `scratch` (2, W), W the widest of F and all layers.
    With `squash` the sum goes through tanh onto the range, else it is cut off at its ends.
    """
    finite = True
    for i in range(observation.shape[0]):
        x, y = scratch[0], scratch[1]
        for k in range(observation.shape[1]):
            clip = normalise[2, k]
            share = (observation[i, k] - normalise[0, k]) / normalise[1, k]
            share = clip if share > clip else share  # by comparisons that leave a NaN as it is
            x[k] = -clip if share < -clip else share
        for n in range(len(layers)):
            write_layer(x, layers[n], y)
            if n + 1 < len(layers):
                for j in range(layers[n].shape[1]):
                    y[j] = np.float32(0.0) if y[j] < 0.0 else y[j]
            x, y = y, x
        for g in range(action.shape[1]):
            wanted = action[i, g] + np.float64(x[g])
            finite = finite and math.isfinite(wanted)
            if squash:
                wanted = (low + high) / 2.0 + (high - low) / 2.0 * math.tanh(wanted)
            action[i, g] = min(max(wanted, low), high)
    return finite


def bound_pass(*args: Any) -> Callable[..., bool]:
    """Return `add_outputs` as machine code for the types of these arguments, which checks none."""
    bind: Any = bound_to_types  # typed for what returns nothing
    bound: Callable[..., bool] = bind(add_outputs, *args)
    return bound

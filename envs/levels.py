"""Work levels as discrete actions: what an index means, and one number for all groups together.

Index 0 of a group is off, index k is all its rigs at their level k.
"""

import math

import numpy as np
import numpy.typing as npt

from gridhash.envs.jit import counted, njit
from gridhash.envs.parameters import Floats, Ints, SiteParameters
from gridhash.errors import ConfigError, PolicyError

MAX_FLAT = 100_000
"""Most combinations of levels that are numbered: more outputs than that no network learns."""


def full_power_kw(params: SiteParameters) -> Floats:
    """Return the rig power of each group with all rigs at their top level, (G,) [kW]."""
    return np.asarray(params.n_rigs * params.level_kw[:, -1])


def level_counts(params: SiteParameters) -> Ints:
    """Return how many indexes each group knows (G,): its levels and off."""
    return np.asarray(params.n_levels + 1)


@njit
def top_level_kw(params: SiteParameters, g: int) -> float:
    """Return the power of one rig of a group at its top level [kW]."""
    return float(params.level_kw[g, counted(params.groups[g].n_levels - 1)])


@njit
def level_power_kw(params: SiteParameters, g: int, index: int) -> float:
    """Return the rig power of a group for an index [kW]; 0 is off."""
    if index <= 0:
        return 0.0
    return float(params.groups[g].n_rigs * params.level_kw[g, index - 1])


def decode_levels(params: SiteParameters, levels: npt.ArrayLike) -> Floats:
    """Return the rig power that indexes ask for, (…, G) each [kW].

    Indexes out of range are clipped.
    """
    index = np.clip(np.asarray(levels, dtype=np.int64), 0, params.n_levels)
    rig_kw = np.concatenate([np.zeros((len(params.n_rigs), 1)), params.level_kw], axis=1)
    return np.asarray(params.n_rigs * rig_kw[np.arange(len(params.n_rigs)), index])


def flat_size(params: SiteParameters) -> int:
    """Return the number of combinations of levels over all groups.

    Raises
    ------
    ConfigError
        If there are more than `MAX_FLAT`.
    """
    counts = [int(count) for count in level_counts(params)]
    size = math.prod(counts)
    if size > MAX_FLAT:
        raise ConfigError(
            f"groups of {' x '.join(map(str, counts))} levels have {size} combinations, more than "
            f"{MAX_FLAT}: use the MultiDiscrete action levels, or fewer work levels"
        )
    return size


def levels_to_flat(params: SiteParameters, levels: npt.ArrayLike) -> Ints:
    """Return the number of each combination of levels, (…,) from (…, G).

    The level of the last group runs fastest.

    Raises
    ------
    ConfigError
        If the site has too many combinations.
    PolicyError
        If an index is out of range.
    """
    flat_size(params)
    index, counts = np.asarray(levels, dtype=np.int64), level_counts(params)
    wrong = (index < 0) | (index >= counts)
    if wrong.any():
        *_, group = np.argwhere(wrong)[0]
        raise PolicyError(
            f"level {index[wrong][0]} of group {group} is outside 0 … {counts[group] - 1}"
        )
    return np.asarray(np.ravel_multi_index(tuple(np.moveaxis(index, -1, 0)), tuple(counts)))


def flat_to_levels(params: SiteParameters, flat: npt.ArrayLike) -> Ints:
    """Return the combination of levels of each number, (…, G) from (…,): `levels_to_flat` undone.

    Raises
    ------
    ConfigError
        If the site has too many combinations.
    PolicyError
        If a number is out of range.
    """
    size, numbers = flat_size(params), np.asarray(flat, dtype=np.int64)
    wrong = (numbers < 0) | (numbers >= size)
    if wrong.any():
        raise PolicyError(f"flat action {numbers[wrong].flat[0]} is outside 0 … {size - 1}")
    return np.stack(np.unravel_index(numbers, tuple(level_counts(params))), axis=-1)

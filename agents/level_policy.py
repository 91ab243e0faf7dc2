"""A learned policy that chooses work levels: one output per level and group, the best allowed wins.

The network is that of `gridhash.agents.numpy_policy`, its outputs group after group: off, then the
group's levels (`gridhash.envs.levels`). Read as logits of one softmax per group they are what
`MaskablePPO` learns; on site the policy says the likeliest level of each group among those that
are worth saying, the lower of two that are equal. What is worth saying follows from the
observation by the code that masks in training.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from gridhash.agents.numpy_policy import Network
from gridhash.agents.policy import ObservationReader, Observations
from gridhash.config import SiteConfig
from gridhash.envs.action import ActionKind
from gridhash.envs.jit import bound_to_types, njit
from gridhash.envs.levels import level_counts
from gridhash.envs.limits import level_mask
from gridhash.envs.parameters import Floats, Floats32, Ints, SiteParameters
from gridhash.envs.program_parameters import compile_programs
from gridhash.envs.spaces import Masks
from gridhash.envs.state import (
    HOTTEST_C,
    LOCKED_UP,
    RUNNING,
    STARTABLE,
    TRIPPED,
    FleetState,
    empty_state,
)
from gridhash.errors import PolicyError

PER_RIG = 1000.0
"""Rigs are read from shares in float32, so that only their thousandths are theirs."""


FROM_FEATURES = ("running_frac", "locked_up_frac", "startable_frac", "chip_temp_c", "tripped")
"""Features of a group that say what `FleetState.group` holds in the columns of `WRITTEN`."""
WRITTEN = np.array([RUNNING, LOCKED_UP, STARTABLE, HOTTEST_C, TRIPPED])
N_COUNTS = 3
"""So many of them, the first, are shares of the group's rigs."""


class LevelMasks:
    """Which levels are worth saying, as `gridhash.envs.limits.level_mask` has it, of observations.

    They may differ where a range ends within a thousandth of a rig of a level: then the levels on
    either side of its end have the same outcome.
    """

    def __init__(self, site: SiteConfig) -> None:
        self._site = site
        self._reader = reader = ObservationReader(site)
        self._params = params = reader.params
        programs = compile_programs(site, params, first_start_s=0)
        self._columns = np.array([reader.group_columns(name) for name in FROM_FEATURES])
        self._pause_column = reader.column("pause_now") if reader.has("pause_now") else -1
        self._caps_kw = np.array(
            [params.rig_cap_kw, min(params.rig_cap_kw, programs.pause_rig_cap_kw)]
        )
        self._rest = empty_state(params, 1)
        self._n_masks = int(level_counts(params).sum())
        observation = np.zeros((1, reader.n_features), dtype=np.float32)
        masks = np.zeros((1, self._n_masks), dtype=np.bool_)
        self._write = bound_to_types(write_masks, *self._arguments(observation), masks)

    def __reduce__(self) -> tuple[Any, ...]:
        """Leave out machine code, which belongs to one process."""
        return LevelMasks, (self._site,)

    def of(self, observation: Observations) -> Masks:
        """Return the masks, (N, M), M the sum over groups of their levels and off.

        Raises
        ------
        PolicyError
            If the observation has another shape.
        """
        observation = np.ascontiguousarray(self._reader.check(observation), np.float32)
        masks = np.zeros((len(observation), self._n_masks), dtype=np.bool_)
        self._write(*self._arguments(observation), masks)
        return masks

    def _arguments(self, observation: Observations) -> tuple[Any, ...]:
        rules = (self._columns, self._pause_column, self._caps_kw, self._params)
        return observation, *rules, self._rest, np.zeros(self._rest.group.shape)


@njit
def write_masks(
    observation: Observations,
    columns: Ints,
    pause_column: int,
    caps_kw: Floats,
    params: SiteParameters,
    rest: FleetState,
    group: Floats,
    masks: Masks,
) -> None:
    """Write which levels are worth saying, (N, M).

    `columns` is (5, G), those of `FROM_FEATURES`; `pause_column` is -1 where there is none;
    `caps_kw` holds the cap on rig power without and with a pause order. `rest` is a site's state,
    of which masks read `group` alone; `group` takes its place, one site after the other.
    """
    state = FleetState(
        rest.row, rest.substep, group, rest.up_buckets, rest.down_buckets, rest.filled
    )
    for i in range(observation.shape[0]):
        for g in range(columns.shape[1]):
            for k in range(columns.shape[0]):
                value = np.float64(observation[i, columns[k, g]])
                if k < N_COUNTS:
                    value = np.rint(value * params.groups[g].n_rigs * PER_RIG) / PER_RIG
                group[0, g, WRITTEN[k]] = value
        paused = pause_column >= 0 and observation[i, pause_column] > 0.0
        level_mask(state, params, 0, caps_kw[int(paused)], masks[i])


@njit
def write_likeliest(outputs: Floats, masks: Masks, counts: Ints, levels: Floats) -> None:
    """Write the level of each group, (N, G), whose output is greatest among those allowed.

    `outputs` and `masks` are (N, M), group after group as `counts`, (G,), says.
    """
    for i in range(outputs.shape[0]):
        first = 0
        for g in range(counts.shape[0]):
            best = -np.inf
            for k in range(counts[g]):
                if masks[i, first + k] and outputs[i, first + k] > best:
                    best = outputs[i, first + k]
                    levels[i, g] = k
            first += counts[g]


class LevelPolicy:
    """A trained network as a policy of kind ``levels``: a pure function of the observation.

    Raises
    ------
    PolicyError
        If the arrays are not those of a network with one output per level of the site's groups.
    """

    action_kind = ActionKind.LEVELS

    def __init__(
        self, weights: Mapping[str, Floats32], *, name: str, site: SiteConfig, clip: float
    ) -> None:
        self.name = name
        self._site = site
        self.network = Network(weights, name=name, clip=clip)
        self._masks = LevelMasks(site)
        counts = level_counts(ObservationReader(site).params)
        self.level_counts = tuple(int(count) for count in counts)
        if self.network.n_outputs != sum(self.level_counts):
            raise PolicyError(
                f"network {name} has {self.network.n_outputs} outputs; the groups of {site.name} "
                f"have {' + '.join(map(str, self.level_counts))} levels, off included"
            )
        self._counts = counts
        self._first = np.cumsum(counts) - counts
        outputs, levels = np.zeros((1, self.network.n_outputs)), np.zeros((1, len(counts)))
        self._write = bound_to_types(
            write_likeliest, outputs, outputs.astype(np.bool_), counts, levels
        )

    def __reduce__(self) -> tuple[Any, ...]:
        """Leave out machine code, which belongs to one process."""
        make = partial(LevelPolicy, name=self.name, site=self._site, clip=self.network.clip)
        return make, (self.weights,)

    @property
    def weights(self) -> Mapping[str, Floats32]:
        """The arrays of the network by name."""
        return self.network.weights

    def probabilities(self, observation: Observations) -> Floats:
        """Return the softmax over the allowed levels of each group, (N, M), zero where masked."""
        logits = self._allowed(observation)
        of_group = np.repeat(np.arange(len(self._first)), self.level_counts)
        best = np.maximum.reduceat(logits, self._first, axis=1)[:, of_group]
        weight = np.exp(logits - best)
        return np.asarray(weight / np.add.reduceat(weight, self._first, axis=1)[:, of_group])

    def act(self, observation: Observations) -> Floats:
        """Return the index of a level for every group, (N, G): 0 is off.

        Raises
        ------
        PolicyError
            If the observation has another shape, or holds a NaN.
        """
        outputs = self.network.outputs(observation)
        levels = np.zeros((len(outputs), len(self._counts)))
        self._write(outputs, self._masks.of(observation), self._counts, levels)
        return levels

    def _allowed(self, observation: Observations) -> Floats:
        """Return the outputs, minus infinity where a level is not worth saying, (N, M)."""
        outputs = self.network.outputs(observation)
        return np.where(self._masks.of(observation), outputs, -np.inf)

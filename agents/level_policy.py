"""A learned policy that chooses work levels: one output per level and group, the best allowed wins.

The network is that of `gridhash.agents.numpy_policy`, its outputs group after group: off, then the
group's levels (`gridhash.envs.levels`). Read as logits of one softmax per group they are what
`MaskablePPO` learns; on site the policy says the likeliest level of each group among those that
are worth saying, the lower of two that are equal. What is worth saying follows from the
observation by the code that masks in training.
"""

from collections.abc import Mapping

import numpy as np

from gridhash.agents.numpy_policy import Network
from gridhash.agents.policy import ObservationReader, Observations
from gridhash.config import SiteConfig
from gridhash.envs.action import ActionKind
from gridhash.envs.levels import level_counts
from gridhash.envs.limits import level_masks
from gridhash.envs.parameters import Floats, Floats32
from gridhash.envs.program_parameters import compile_programs
from gridhash.envs.spaces import Masks
from gridhash.envs.state import HOTTEST_C, LOCKED_UP, RUNNING, STARTABLE, TRIPPED, empty_state
from gridhash.errors import PolicyError

RIG_DECIMALS = 3
"""Rigs are read from shares in float32, so that only these are theirs."""


class LevelMasks:
    """Which levels are worth saying, as `gridhash.envs.limits.level_mask` has it, of observations.

    They may differ where a range ends within a thousandth of a rig of a level: then the levels on
    either side of its end have the same outcome.
    """

    def __init__(self, site: SiteConfig) -> None:
        self._reader = reader = ObservationReader(site)
        self._params = reader.params
        self._pause_cap_kw = compile_programs(site, reader.params, first_start_s=0).pause_rig_cap_kw

    def of(self, observation: Observations) -> Masks:
        """Return the masks, (N, M), M the sum over groups of their levels and off."""
        reader, params = self._reader, self._params
        state = empty_state(params, len(observation))
        for column, name in (
            (RUNNING, "running_frac"),
            (LOCKED_UP, "locked_up_frac"),
            (STARTABLE, "startable_frac"),
        ):
            rigs = reader.of_groups(observation, name) * params.n_rigs
            state.group[:, :, column] = rigs.round(RIG_DECIMALS)
        state.group[:, :, HOTTEST_C] = reader.of_groups(observation, "chip_temp_c")
        state.group[:, :, TRIPPED] = reader.of_groups(observation, "tripped")
        cap_kw = np.full(len(observation), params.rig_cap_kw)
        if reader.has("pause_now"):
            paused = reader.value(observation, "pause_now") > 0.0
            cap_kw[paused] = np.minimum(cap_kw[paused], self._pause_cap_kw)
        return level_masks(state, params, cap_kw)


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
        self.network = Network(weights, name=name, clip=clip)
        self._masks = LevelMasks(site)
        counts = level_counts(ObservationReader(site).params)
        self.level_counts = tuple(int(count) for count in counts)
        if self.network.n_outputs != sum(self.level_counts):
            raise PolicyError(
                f"network {name} has {self.network.n_outputs} outputs; the groups of {site.name} "
                f"have {' + '.join(map(str, self.level_counts))} levels, off included"
            )
        self._first = np.cumsum(counts) - counts

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
        logits = self._allowed(observation)
        own = np.split(logits, self._first[1:], axis=1)
        return np.stack([part.argmax(axis=1) for part in own], axis=1).astype(np.float64)

    def _allowed(self, observation: Observations) -> Floats:
        """Return the outputs, minus infinity where a level is not worth saying, (N, M)."""
        outputs = self.network.outputs(observation).astype(np.float64)
        self.network.check(outputs, observation)
        return np.where(self._masks.of(observation), outputs, -np.inf)

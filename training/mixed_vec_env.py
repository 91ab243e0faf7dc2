"""Several scenarios side by side as one Stable-Baselines3 `VecEnv`: domain randomisation."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvStepReturn

from gridhash.envs.batched_site import EpisodeRules
from gridhash.envs.kernel import RECORD
from gridhash.envs.ledger import LEDGER_NAMES
from gridhash.envs.named_scenario import randomised
from gridhash.envs.parameters import Floats
from gridhash.envs.scenario import Scenario
from gridhash.errors import ConfigError
from gridhash.training.vec_env import SiteVecEnv


class MixedVecEnv(VecEnv):
    """The sites of several `SiteVecEnv` in a row, such as variants of one scenario.

    `profit`, `ledger` and `record` are arrays over all sites, as those of the parts.

    Hashprice, efficiency slope, adders, exchange rate, weather and start cost change everything
    that a scenario computes ahead, so each variant is a scenario of its own, shared by its sites.

    Raises
    ------
    ConfigError
        If the parts differ in observation or action.
    """

    ledger_names = LEDGER_NAMES
    record_names = RECORD

    def __init__(self, parts: Sequence[SiteVecEnv]) -> None:
        self.render_mode = None
        self.parts = tuple(parts)
        first = self.parts[0]
        for part in self.parts[1:]:
            if (part.observation_space, part.action_space) != (
                first.observation_space,
                first.action_space,
            ):
                raise ConfigError(
                    f"{part.scenario.site.name} and {first.scenario.site.name} differ in "
                    "observation or action: they cannot be trained on together"
                )
        edges = np.cumsum([0, *(part.num_envs for part in self.parts)])
        self._slices = [slice(a, b) for a, b in pairwise(edges)]
        super().__init__(int(edges[-1]), first.observation_space, first.action_space)

    def reset(self) -> npt.NDArray[np.float32]:
        """Start an episode in every site."""
        return np.concatenate([part.reset() for part in self.parts])

    def step_async(self, actions: npt.NDArray[Any]) -> None:
        """Keep the actions for `step_wait`."""
        for part, own in zip(self.parts, self._slices, strict=True):
            part.step_async(actions[own])

    def step_wait(self) -> VecEnvStepReturn:
        """Advance every site by one dispatch interval."""
        results = [part.step_wait() for part in self.parts]
        infos = [info for _, _, _, part_infos in results for info in part_infos]
        observations, rewards, dones = (
            np.concatenate([result[k] for result in results]) for k in range(3)
        )
        return observations, rewards, dones, infos

    @property
    def profit(self) -> Floats:
        """Profit of the last step, (N,), each in the currency of its site."""
        return np.concatenate([part.profit for part in self.parts])

    @property
    def ledger(self) -> Floats:
        """Ledger of the last step, (N, lines) in the order of `ledger_names`."""
        return np.concatenate([part.ledger for part in self.parts])

    @property
    def record(self) -> Floats:
        """Record of the last step, (N, columns) in the order of `record_names`."""
        return np.concatenate([part.record for part in self.parts])

    def close(self) -> None:
        """Close every part."""
        for part in self.parts:
            part.close()

    def seed(self, seed: int | None = None) -> Sequence[int | None]:
        """Restart the random numbers of later episodes, each part with a stream of its own."""
        streams = np.random.SeedSequence(seed).spawn(len(self.parts))
        for part, stream in zip(self.parts, streams, strict=True):
            part.rng = np.random.default_rng(stream)
        return [seed] * self.num_envs

    def _by_part(self, indices: VecEnvIndices) -> list[SiteVecEnv]:
        ends = [own.stop for own in self._slices]
        where = np.searchsorted(ends, list(self._get_indices(indices)), side="right")
        return [self.parts[k] for k in where]

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """Return an attribute of each site's part."""
        return [getattr(part, attr_name) for part in self._by_part(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """Set an attribute of the parts of the sites named."""
        for part in self._by_part(indices):
            setattr(part, attr_name, value)

    def env_method(
        self,
        method_name: str,
        *method_args: Any,
        indices: VecEnvIndices = None,
        **method_kwargs: Any,
    ) -> list[Any]:
        """Call a method of each part once; return its rows, one per site.

        A method that returns an array with a row per site of its part, such as `action_masks`,
        gives each site its own row; any other result is repeated.
        """
        rows: list[Any] = []
        for part in self.parts:
            result = getattr(part, method_name)(*method_args, **method_kwargs)
            by_site = isinstance(result, np.ndarray) and len(result) == part.num_envs
            rows.extend(result if by_site else [result] * part.num_envs)
        return [rows[i] for i in self._get_indices(indices)]

    def env_is_wrapped(self, wrapper_class: Any, indices: VecEnvIndices = None) -> list[bool]:
        """Return False: sites here are never wrapped."""
        return [False] * len(list(self._get_indices(indices)))


def randomised_vec_env(
    scenario: str,
    n_envs: int,
    rules: EpisodeRules,
    *,
    n_variants: int,
    seed: int,
    days: int | None = None,
) -> MixedVecEnv:
    """Return `n_envs` sites spread over `n_variants` draws of a named scenario.

    Raises
    ------
    ConfigError
        If there are more variants than sites, or a drawn figure does not fit the site.
    """
    if not 1 <= n_variants <= n_envs:
        raise ConfigError(f"n_variants {n_variants} must lie within 1 and n_envs, {n_envs}")
    variants: list[Scenario] = randomised(scenario, n_variants, seed, days=days)
    shares = np.diff(np.linspace(0, n_envs, n_variants + 1).astype(int))
    return MixedVecEnv(
        [
            SiteVecEnv(variant, int(share), rules, seed=seed + k)
            for k, (variant, share) in enumerate(zip(variants, shares, strict=True))
        ]
    )

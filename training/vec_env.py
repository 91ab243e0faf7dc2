"""The batched site as a Stable-Baselines3 `VecEnv`: no process, no Python loop per environment."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvStepReturn

from gridhash.envs.batched_site import BatchedSite, EpisodeRules
from gridhash.envs.scenario import Scenario
from gridhash.envs.spaces import action_space, observation_space


class SiteVecEnv(VecEnv):
    """N sites for Stable-Baselines3.

    A site whose episode ends starts anew within the same step, as SB3 expects; its info then
    holds `terminal_observation` and `TimeLimit.truncated`, so that values bootstrap: the site
    goes on, only our window on it ended.
    """

    def __init__(self, scenario: Scenario, n_envs: int, rules: EpisodeRules, *, seed: int) -> None:
        self.render_mode = None
        super().__init__(
            n_envs, observation_space(scenario), action_space(scenario, rules.action_kind)
        )
        self.scenario = scenario
        self.sites = BatchedSite(scenario, n_envs, rules)
        self.rng = np.random.default_rng(seed)
        self._action: npt.NDArray[np.floating] = np.zeros((n_envs, scenario.n_groups))
        self._no_info: list[dict[str, Any]] = [{} for _ in range(n_envs)]

    def reset(self) -> npt.NDArray[np.float32]:
        """Start an episode in every site; ends are spread so that they do not come at once."""
        self.sites.draw_starts(np.arange(self.num_envs), self.rng)
        self.sites.steps_left[:] = self.rng.integers(1, self.sites.episode_steps + 1, self.num_envs)
        return self.sites.observe()

    def step_async(self, actions: npt.NDArray[Any]) -> None:
        """Keep the actions for `step_wait`."""
        self._action = actions

    def step_wait(self) -> VecEnvStepReturn:
        """Advance every site by one dispatch interval."""
        output = self.sites.step(self._action)
        observation = output.observation.copy()
        done = self.sites.steps_left <= 0
        infos = self._no_info
        if done.any():
            which = np.flatnonzero(done)
            infos = list(self._no_info)
            for i in which:
                infos[i] = {
                    "terminal_observation": observation[i].copy(),
                    "TimeLimit.truncated": True,
                }
            self.sites.draw_starts(which, self.rng)
            observation[which] = self.sites.observe()[which]
        return observation, output.reward.astype(np.float32), done, infos

    def close(self) -> None:
        """Do nothing: there are no processes to end."""

    def seed(self, seed: int | None = None) -> Sequence[int | None]:
        """Restart the random numbers of later episodes."""
        self.rng = np.random.default_rng(seed)
        return [seed] * self.num_envs

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """Return an attribute once per site; all share one object."""
        return [getattr(self, attr_name)] * len(list(self._get_indices(indices)))

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """Set an attribute of the one shared object."""
        setattr(self, attr_name, value)

    def env_method(
        self,
        method_name: str,
        *method_args: Any,
        indices: VecEnvIndices = None,
        **method_kwargs: Any,
    ) -> list[Any]:
        """Call a method once and return its result for each site."""
        result = getattr(self, method_name)(*method_args, **method_kwargs)
        return [result] * len(list(self._get_indices(indices)))

    def env_is_wrapped(self, wrapper_class: Any, indices: VecEnvIndices = None) -> list[bool]:
        """Return False: sites here are never wrapped."""
        return [False] * len(list(self._get_indices(indices)))

"""The batched site as a Stable-Baselines3 `VecEnv`: no process, no Python loop per environment."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium.spaces import Box
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvStepReturn

from gridhash.agents.policy import Policy
from gridhash.envs.action import ActionKind
from gridhash.envs.batched_site import BatchedSite, EpisodeRules
from gridhash.envs.kernel import RECORD
from gridhash.envs.ledger import LEDGER_NAMES
from gridhash.envs.parameters import Floats
from gridhash.envs.scenario import Scenario
from gridhash.envs.spaces import ActionForm, ActionView, Masks, observation_space
from gridhash.errors import ConfigError

PER_SITE = ("action_masks",)
"""Methods whose result has a row per site; of all others the result serves every site."""


class SiteVecEnv(VecEnv):
    """N sites for Stable-Baselines3.

    A site whose episode ends starts anew within the same step, as SB3 expects; its info then
    holds `terminal_observation` and `TimeLimit.truncated`, so that values bootstrap: the site
    goes on, only our window on it ended. The other infos are empty: what a step brought is in
    `profit`, `ledger` and `record`, arrays over all sites.

    With `spread_ends` the first episode of each site is cut to a random length, so that in training
    not all end at once. Turn it off to evaluate: then every episode has `episode_days`.

    Decisions of the day are part of the action if the rules say so (`EpisodeRules.day_decisions`,
    continuous kinds only); ``sites.gate_closes`` tells where they are read next.

    With `flat_levels` an action is one number for all groups (rules of kind ``LEVELS``). For
    sb3-contrib's `MaskablePPO`, ``action_masks`` tells what is worth saying.

    With `added_to` an action, of -1 to 1 per group, is added to what that policy says.
    """

    ledger_names = LEDGER_NAMES
    record_names = RECORD

    def __init__(
        self,
        scenario: Scenario,
        n_envs: int,
        rules: EpisodeRules,
        *,
        seed: int,
        flat_levels: bool = False,
        spread_ends: bool = True,
        added_to: Policy | None = None,
    ) -> None:
        self.render_mode = None
        self.sites = BatchedSite(scenario, n_envs, rules)
        self._spread_ends = spread_ends
        self._view = ActionView(
            scenario, _form(rules.action_kind, flat_levels), day_decisions=rules.day_decisions
        )
        self._added_to = added_to
        space = self._view.space
        if added_to is not None:
            space = Box(-1.0, 1.0, (scenario.n_groups,), dtype=np.float32)
        super().__init__(n_envs, observation_space(scenario), space)
        self.scenario = scenario
        self.rng = np.random.default_rng(seed)
        self._action: npt.NDArray[np.floating] = np.zeros((n_envs, self.sites.n_actions))
        self._no_info: list[dict[str, Any]] = [{} for _ in range(n_envs)]

    @property
    def profit(self) -> Floats:
        """Profit of the last step, (N,) [currency]; the next step overwrites it."""
        return self.sites.output.profit

    @property
    def ledger(self) -> Floats:
        """Ledger of the last step, (N, lines) in the order of `ledger_names`; overwritten."""
        return self.sites.output.ledger

    @property
    def record(self) -> Floats:
        """Record of the last step, (N, columns) in the order of `record_names`; overwritten."""
        return self.sites.output.record

    def action_masks(self) -> Masks:
        """Return which discrete actions are worth saying now, (N, M).

        Raises
        ------
        ConfigError
            If the action is continuous.
        """
        return self._view.masks(self.sites)

    def reset(self) -> npt.NDArray[np.float32]:
        """Start an episode in every site; the first ends are spread with `spread_ends`."""
        self.sites.draw_starts(np.arange(self.num_envs), self.rng)
        if self._spread_ends:
            steps = self.sites.episode_steps
            self.sites.steps_left[:] = self.rng.integers(1, steps + 1, self.num_envs)
        self.look_again()
        return self._seen.copy()

    def look_again(self) -> None:
        """Observe sites whose state was set from outside."""
        self._seen = self.sites.observe()

    def step_async(self, actions: npt.NDArray[Any]) -> None:
        """Keep the actions for `step_wait`."""
        self._action = actions

    def step_wait(self) -> VecEnvStepReturn:
        """Advance every site by one dispatch interval."""
        action = self._action
        if self._added_to is not None:
            action = self._added_to.act(self._seen) + action
        output = self.sites.step(self._view.numbers(action))
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
            observation[which] = self.sites.observe(which)
        if self._added_to is not None:
            self._seen = observation.copy()
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
        """Call a method once and return its result, or its own row of it, for each site."""
        result = getattr(self, method_name)(*method_args, **method_kwargs)
        which = self._get_indices(indices)
        return [result[i] if method_name in PER_SITE else result for i in which]

    def env_is_wrapped(self, wrapper_class: Any, indices: VecEnvIndices = None) -> list[bool]:
        """Return False: sites here are never wrapped."""
        return [False] * len(list(self._get_indices(indices)))


def _form(kind: ActionKind, flat_levels: bool) -> ActionForm:
    forms: dict[ActionKind, ActionForm] = {
        ActionKind.SHADOW_PRICE: "shadow_price",
        ActionKind.POWER: "power",
        ActionKind.LEVELS: "levels",
    }
    if not flat_levels:
        return forms[kind]
    if kind is not ActionKind.LEVELS:
        raise ConfigError(f"flat_levels needs rules of action kind LEVELS, found {kind.name}")
    return "flat_levels"

"""Gymnasium environments over the batched kernel: one site, or many at once."""

from typing import Any, Literal

import gymnasium
import numpy as np
import numpy.typing as npt
import pandas as pd
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from gridhash.config import SiteConfig, load_site
from gridhash.data.trace import Trace
from gridhash.envs.action import ActionKind
from gridhash.envs.batched_site import BatchedSite, EpisodeRules
from gridhash.envs.kernel import RECORD
from gridhash.envs.ledger import LEDGER_NAMES
from gridhash.envs.levels import level_counts
from gridhash.envs.named_scenario import open_named_scenario
from gridhash.envs.open_scenario import ScenarioRequest, open_scenario
from gridhash.envs.scenario import Scenario, build_scenario
from gridhash.errors import ConfigError

Observation = npt.NDArray[np.float32]
Action = npt.NDArray[np.float32]


def observation_space(scenario: Scenario) -> gymnasium.Space[Any]:
    """Return the space of one observation; each bound is in `scenario.features`."""
    return gymnasium.spaces.Box(
        scenario.bounds[:, 0].astype(np.float32), scenario.bounds[:, 1].astype(np.float32)
    )


def action_space(scenario: Scenario, kind: ActionKind) -> gymnasium.Space[Any]:
    """Return the space of one action: a number per rig group, meant as `kind` says."""
    if kind is ActionKind.LEVELS:
        return gymnasium.spaces.MultiDiscrete(level_counts(scenario.params))
    return gymnasium.spaces.Box(kind.low, 1.0, (scenario.n_groups,), np.float32)


def resolve_scenario(
    scenario: Scenario | None,
    site: SiteConfig | str | None,
    trace: Trace | None,
    scenario_name: str | None = None,
) -> Scenario:
    """Return the scenario that the arguments of an environment name.

    Without a trace, the data that ship with gridhash for the preset; without anything, the
    embedded sample. A scenario that is given goes before one that is named.

    Raises
    ------
    ConfigError
        If a trace is given without a site, a site of one's own without a trace, or either beside
        the name of a scenario.
    """
    if scenario is not None:
        return scenario
    if scenario_name is not None:
        if site is not None or trace is not None:
            raise ConfigError(
                f"the scenario {scenario_name} brings its own site and trace: give neither, or "
                "make gridhash/MiningSite-v0"
            )
        return open_named_scenario(scenario_name)
    if trace is None and (site is None or isinstance(site, str)):
        return open_scenario(ScenarioRequest(site=site))
    if site is None or trace is None:
        raise ConfigError("give the environment a scenario, or a site and a trace")
    return build_scenario(load_site(site) if isinstance(site, str) else site, trace)


def start_episodes(
    sites: BatchedSite, rng: np.random.Generator, options: dict[str, Any] | None
) -> None:
    """Reset every site: where the options of `MiningSiteEnv` say, or at random.

    Raises
    ------
    ConfigError
        If an option is unknown or out of range.
    DataError
        If the data do not hold the start.
    """
    options = options or {}
    unknown = sorted(set(options) - {"start", "running_frac"})
    if unknown or ("running_frac" in options and "start" not in options):
        raise ConfigError(
            f"reset takes the options start and, with it, running_frac; found {sorted(options)}"
        )
    if not options:
        sites.draw_starts(np.arange(sites.n_sites), rng)
        return
    running_frac = float(options.get("running_frac", 0.0))
    if not 0.0 <= running_frac <= 1.0:
        raise ConfigError(f"option running_frac {running_frac} is outside 0 … 1")
    row = sites.scenario.row_at(pd.Timestamp(options["start"]))
    sites.start_at(row, running_frac=running_frac)


class MiningSiteEnv(gymnasium.Env[Observation, Action]):
    """One bitcoin-mining site on a market: decide how much each rig group draws.

    Description
        A step is one dispatch interval (5 minutes unless the site says otherwise) inside a
        settlement period of the market. Rigs are counted by age: starting, bound to their minimum
        up time, running, bound to their minimum down time, stopped. Chips and coolant loop move
        by the exact solution of a linear model; fans hold the loop at its setpoint; a hot group
        is derated and then trips.

    Action
        One number per rig group. ``shadow_price`` in [-1, 1] is added to the energy price of the
        group in units of its break-even before the merit-order dispatch (zero is the closed-form
        level rule); ``power`` in [0, 1] is the wanted share of full rig power; ``levels`` is 0 for
        off or the work level of all rigs of the group. Limits apply after.

    Observation
        `gridhash.envs.observation.observation_table(site)`: name, unit, bounds and meaning of
        each number. Nothing in it is known later than the start of the step.

    Reward
        Ledger of the interval (hash revenue less energy, adders, surplus energy and start wear),
        less the profit of the best static operating point of that instant if
        `relative_reward`, per hash revenue of the full site. ``info["profit"]`` is in currency.

    Start
        A random period; a fleet that runs fully, partly or not at all.
        ``reset(options={"start": timestamp, "running_frac": 0.0})`` chooses both.

    End
        By truncation after `episode_days`; a site does not terminate.

    Version history
        v0: first release.
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012 (Gymnasium declares it so)

    def __init__(
        self,
        scenario: Scenario | None = None,
        *,
        site: SiteConfig | str | None = None,
        trace: Trace | None = None,
        action_kind: Literal["shadow_price", "power", "levels"] = "shadow_price",
        episode_days: float = 7.0,
        relative_reward: bool = True,
        rows: tuple[int, int] | None = None,
        scenario_name: str | None = None,
    ) -> None:
        self.scenario = resolve_scenario(scenario, site, trace, scenario_name)
        kind = ActionKind[action_kind.upper()]
        self._sites = BatchedSite(
            self.scenario,
            1,
            EpisodeRules(
                episode_days=episode_days,
                action_kind=kind,
                relative_reward=relative_reward,
                rows=rows,
            ),
        )
        self.observation_space = observation_space(self.scenario)
        self.action_space = action_space(self.scenario, kind)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Start an episode; see the class for `options`."""
        super().reset(seed=seed)
        start_episodes(self._sites, self.np_random, options)
        return self._sites.observe()[0], {}

    def step(self, action: Action) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Advance by one dispatch interval."""
        output = self._sites.step(np.asarray(action)[None])
        info: dict[str, Any] = {"profit": float(output.profit[0])}
        info.update(zip(LEDGER_NAMES, output.ledger[0].tolist(), strict=True))
        info.update(zip(RECORD, output.record[0].tolist(), strict=True))
        truncated = bool(self._sites.steps_left[0] <= 0)
        return output.observation[0].copy(), float(output.reward[0]), False, truncated, info


class MiningSiteVectorEnv(VectorEnv[Observation, Action, Any]):
    """Many `MiningSiteEnv` stepped by one call of the kernel; resets on the step after the end."""

    metadata: dict[str, Any] = {"autoreset_mode": AutoresetMode.NEXT_STEP}  # noqa: RUF012

    def __init__(
        self,
        num_envs: int = 1,
        scenario: Scenario | None = None,
        *,
        site: SiteConfig | str | None = None,
        trace: Trace | None = None,
        action_kind: Literal["shadow_price", "power", "levels"] = "shadow_price",
        episode_days: float = 7.0,
        relative_reward: bool = True,
        rows: tuple[int, int] | None = None,
        scenario_name: str | None = None,
    ) -> None:
        self.scenario = resolve_scenario(scenario, site, trace, scenario_name)
        kind = ActionKind[action_kind.upper()]
        self.num_envs = num_envs
        self._sites = BatchedSite(
            self.scenario,
            num_envs,
            EpisodeRules(
                episode_days=episode_days,
                action_kind=kind,
                relative_reward=relative_reward,
                rows=rows,
            ),
        )
        self.single_observation_space = observation_space(self.scenario)
        self.single_action_space = action_space(self.scenario, kind)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._ended = np.zeros(num_envs, dtype=bool)

    def reset(
        self,
        *,
        seed: int | list[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[Observation, dict[str, Any]]:
        """Start an episode in every site, with the options of `MiningSiteEnv`; one seed serves all.

        Later episodes start at random.
        """
        if isinstance(seed, list):
            seed = seed[0]
        super().reset(seed=seed)
        start_episodes(self._sites, self.np_random, options)
        self._ended[:] = False
        return self._sites.observe(), {}

    def step(
        self, actions: Action
    ) -> tuple[
        Observation,
        npt.NDArray[np.float64],
        npt.NDArray[np.bool_],
        npt.NDArray[np.bool_],
        dict[str, Any],
    ]:
        """Advance every site; a site that ended in the last step starts anew instead."""
        self._sites.advance(self._sites.checked(actions))
        output = self._sites.output
        observation: Observation = np.array(output.observation, dtype=np.float32)
        reward = output.reward.copy()
        profit = output.profit.copy()
        if self._ended.any():
            which = np.flatnonzero(self._ended)
            self._sites.draw_starts(which, self.np_random)
            observation[which] = self._sites.observe()[which]
            reward[which] = 0.0
            profit[which] = 0.0
        self._ended = self._sites.steps_left <= 0
        terminated = np.zeros(self.num_envs, dtype=bool)
        info = {"profit": profit, "_profit": np.ones(self.num_envs, dtype=bool)}
        return observation, reward, terminated, self._ended.copy(), info

"""Many sites as one Gymnasium vector environment: one call of the kernel steps them all."""

from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from gridhash.config import SiteConfig
from gridhash.data.trace import Trace
from gridhash.envs.batched_site import BatchedSite, EpisodeRules
from gridhash.envs.env_options import chosen_start, masked_sites, resolve_scenario
from gridhash.envs.kernel import RECORD
from gridhash.envs.ledger import LEDGER_NAMES
from gridhash.envs.scenario import Scenario
from gridhash.envs.spaces import ActionForm, ActionView, Masks, ObservationForm, ObservationView
from gridhash.errors import ConfigError, DataError

Booleans = npt.NDArray[np.bool_]
VectorStep = tuple[Any, npt.NDArray[np.float64], Booleans, Booleans, dict[str, Any]]


class MiningSiteVectorEnv(VectorEnv[Any, Any, Any]):
    """Many `MiningSiteEnv`: the same spaces, episodes, observations and rewards, to the bit.

    Seeds
        ``reset(seed=s)`` gives site i the seed s + i, ``reset(seed=[…])`` each its own, as
        `gymnasium.vector.SyncVectorEnv` does. Each site draws all its episodes from its own
        generator, so that neither its neighbours nor the autoreset mode change them.

    Autoreset
        `autoreset_mode` as Gymnasium defines it. ``NextStep``: the step after the end starts the
        next episode, its action is ignored and its reward zero. ``SameStep``: the step that ends
        an episode returns the first observation of the next; ``infos["final_obs"]`` and
        ``infos["final_info"]`` hold the last of the old. ``Disabled``: the caller resets, with
        ``options={"reset_mask": mask}`` those sites alone.

    Decisions of the day
        As in `MiningSiteEnv`; `gate_closes` (N,) tells in which sites they are read next.

    Info
        ``infos["profit"]`` (N,), ``infos["ledger"]`` and ``infos["record"]``: name to (N,). The
        masks ``_profit``, ``_ledger`` and ``_record`` are False for a site that was only reset;
        its numbers are zero.
    """

    metadata: dict[str, Any] = {"autoreset_mode": AutoresetMode.NEXT_STEP}  # noqa: RUF012

    def __init__(
        self,
        num_envs: int = 1,
        scenario: Scenario | None = None,
        *,
        site: SiteConfig | str | None = None,
        trace: Trace | None = None,
        action_kind: ActionForm = "shadow_price",
        observation: ObservationForm = "flat",
        episode_days: float = 7.0,
        relative_reward: bool = True,
        day_decisions: bool = False,
        rows: tuple[int, int] | None = None,
        scenario_name: str | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
    ) -> None:
        modes = [mode.value for mode in AutoresetMode]
        if not isinstance(autoreset_mode, AutoresetMode) and autoreset_mode not in modes:
            raise ConfigError(
                f"autoreset_mode {autoreset_mode!r} is unknown: use one of {', '.join(modes)}"
            )
        self.scenario = resolve_scenario(scenario, site, trace, scenario_name)
        self.num_envs = num_envs
        self.autoreset_mode = AutoresetMode(autoreset_mode)
        self.metadata = type(self).metadata | {"autoreset_mode": self.autoreset_mode}
        self._observation = ObservationView(self.scenario, observation)
        self._action = ActionView(self.scenario, action_kind, day_decisions=day_decisions)
        self._sites = BatchedSite(
            self.scenario,
            num_envs,
            EpisodeRules(
                episode_days=episode_days,
                action_kind=self._action.kind,
                relative_reward=relative_reward,
                day_decisions=day_decisions,
                rows=rows,
            ),
        )
        self.single_observation_space = self._observation.space
        self.single_action_space = self._action.space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._ended = np.zeros(num_envs, dtype=bool)
        self._rngs = [seeding.np_random()[0] for _ in range(num_envs)]

    def reset(
        self,
        *,
        seed: int | list[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[Any, dict[str, Any]]:
        """Start an episode in every site, with the options of `MiningSiteEnv`.

        Option ``reset_mask``, Boolean (N,), names the sites to start; the others go on.

        Raises
        ------
        ConfigError
            If an option is unknown or out of range, or a list of seeds has another length than N.
        DataError
            If the data do not hold the start.
        """
        options = dict(options or {})
        which = np.arange(self.num_envs)
        if "reset_mask" in options:
            which = masked_sites(options.pop("reset_mask"), self.num_envs)
        chosen = chosen_start(self.scenario, options)
        self._seed(seed, which)
        if chosen is None:
            self._draw(which)
        else:
            row, running_frac = chosen
            self._sites.start_at(row, running_frac=running_frac, which=which)
        self._ended[which] = False
        return self._observation.of(self._sites.observe()), {}

    def _seed(self, seed: int | list[int | None] | None, which: npt.NDArray[np.int64]) -> None:
        if seed is None:
            return
        seeds = [seed + i for i in range(self.num_envs)] if isinstance(seed, int) else list(seed)
        if len(seeds) != self.num_envs:
            raise ConfigError(f"{len(seeds)} seeds for {self.num_envs} sites: give one to each")
        for i in which:
            if seeds[i] is not None:
                self._rngs[i] = seeding.np_random(seeds[i])[0]

    def _draw(self, which: npt.NDArray[np.int64]) -> None:
        self._sites.draw_own_starts(which, [self._rngs[i] for i in which])

    def step(self, actions: Any) -> VectorStep:
        """Advance every site; what happens at the end of an episode `autoreset_mode` says.

        Raises
        ------
        PolicyError
            If an action has the wrong shape, holds NaN or infinity, or is a flat one out of range.
        DataError
            If autoreset is disabled and a site is at the end of its episode.
        """
        sites, mode = self._sites, self.autoreset_mode
        if mode is AutoresetMode.DISABLED and self._ended.any():
            raise DataError(
                f"site {self._ended.argmax()} is at the end of its episode: start it again with "
                "reset(options={'reset_mask': …})"
            )
        sites.advance(sites.checked(self._action.numbers(actions)))
        output = sites.output
        observation = output.observation.copy()
        reward = output.reward.copy()
        begun = self._ended if mode is AutoresetMode.NEXT_STEP else np.zeros_like(self._ended)
        if begun.any():
            which = np.flatnonzero(begun)
            self._draw(which)
            observation[which] = sites.observe(which)
            reward[which] = 0.0
        ended = sites.steps_left <= 0
        infos: dict[str, Any]
        if mode is AutoresetMode.SAME_STEP and ended.any():
            which = np.flatnonzero(ended)
            infos = self._infos(~ended)
            final = np.full(self.num_envs, None, dtype=object)
            for i in which:
                final[i] = self._observation.of(observation[i].copy())
            infos |= {"final_obs": final, "_final_obs": ended.copy()}
            infos |= {"final_info": self._infos(ended), "_final_info": ended.copy()}
            self._draw(which)
            observation[which] = sites.observe(which)
        else:
            infos = self._infos(~begun)
        self._ended = ended
        terminated = np.zeros(self.num_envs, dtype=bool)
        return self._observation.of(observation), reward, terminated, ended.copy(), infos

    def _infos(self, played: Booleans) -> dict[str, Any]:
        """Return what the step gave the sites in `played`, (N,), in Gymnasium's form."""
        output = self._sites.output
        profit, ledger, record = (
            output.profit.copy(),
            output.ledger.T.copy(),
            output.record.T.copy(),
        )
        if not played.all():
            for values in (profit, ledger, record):
                values[..., ~played] = 0.0
        return {
            "profit": profit,
            "_profit": played,
            "ledger": dict(zip(LEDGER_NAMES, ledger, strict=True)),
            "_ledger": played.copy(),
            "record": dict(zip(RECORD, record, strict=True)),
            "_record": played.copy(),
        }

    @property
    def gate_closes(self) -> Booleans:
        """Sites, (N,), whose decisions of tomorrow are taken in the next step."""
        return self._sites.gate_closes

    def decide_day(
        self,
        site: int,
        *,
        plan_kw: npt.ArrayLike | None = None,
        committed_kw: float | None = None,
        held_kw: float | None = None,
    ) -> None:
        """Replace default decisions of a site, as `MiningSiteEnv.decide_day` does."""
        self._sites.decide_day(site, plan_kw=plan_kw, committed_kw=committed_kw, held_kw=held_kw)

    def action_masks(self) -> Masks:
        """Return which discrete actions are worth saying now, (N, M).

        Raises
        ------
        ConfigError
            If the action is continuous.
        """
        return self._action.masks(self._sites)

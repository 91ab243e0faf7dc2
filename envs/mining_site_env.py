"""The Gymnasium environment of one site; many at once are in `gridhash.envs.vector_env`."""

from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt

from gridhash.config import SiteConfig
from gridhash.data.trace import Trace
from gridhash.envs.batched_site import BatchedSite, EpisodeRules
from gridhash.envs.env_options import chosen_start, resolve_scenario
from gridhash.envs.kernel import RECORD
from gridhash.envs.ledger import LEDGER_NAMES
from gridhash.envs.render import RENDER_MODES, Renderer
from gridhash.envs.scenario import Scenario
from gridhash.envs.spaces import ActionForm, ActionView, Masks, ObservationForm, ObservationView

INFO_NAMES = (*LEDGER_NAMES, *RECORD)


class MiningSiteEnv(gymnasium.Env[Any, Any]):
    """One bitcoin-mining site on a market: decide how much each rig group draws.

    Description
        A step is one dispatch interval (5 minutes unless the site says otherwise) inside a
        settlement period of the market. Rigs are counted by age: starting, bound to their minimum
        up time, running, bound to their minimum down time, stopped. Chips and coolant loop move
        by the exact solution of a linear model; fans hold the loop at its setpoint; a hot group
        is derated and then trips.

    Action
        One number per rig group, (G,). `action_kind` is one of

        - ``shadow_price``, Box in [-1, 1]: added to the energy price of the group in units of its
          break-even before the merit-order dispatch; zero is the closed-form level rule;
        - ``power``, Box in [0, 1]: the wanted share of full rig power. For kilowatts wrap it:
          ``gymnasium.wrappers.RescaleAction(env, 0.0, full_power_kw(params))`` with
          ``params = env.unwrapped.scenario.params``;
        - ``levels``, MultiDiscrete: 0 for off or the work level of all rigs of the group;
        - ``flat_levels``, Discrete: one number for all groups, of every combination.

        Limits apply after. `action_masks` tells which discrete actions are worth saying.

        With ``day_decisions=True``, for kinds ``shadow_price`` and ``power``, a number in [-1, 1]
        more for each decision of the day that the site has (`gridhash.envs.day_decisions`): plan,
        reduction bid, held capacity. Zero is the default rule; what is said when `gate_closes` is
        False is ignored. `decide_day` takes a plan period by period, with any kind.

    Observation
        `gridhash.envs.observation.observation_table(site)`: name, unit, bounds and meaning of
        each number. Nothing in it is known later than the start of the step. With
        ``observation="dict"`` the same numbers in parts (`gridhash.envs.spaces.feature_groups`);
        ``gymnasium.wrappers.FlattenObservation`` joins them again, in the order of the keys.

    Reward
        ``(info["profit"] - info["demand_liability"] - info["reference_profit"]) / reward_scale``:
        the signed sum of every line of the ledger; less what a new peak will cost in later months
        by the ratchet of a demand charge, given back when they bill it; less the profit of the best
        static operating point of that instant if `relative_reward`; per hash revenue of the full
        site in one step. These are in currency, and ``info`` holds every line of
        `gridhash.envs.ledger.LEDGER` and every column of the record by name.

    Site and data
        The id names both; ``gridhash/MiningSite-v0`` takes a `scenario`
        (`gridhash.envs.named_scenario.open_named_scenario`), or a `site` (preset or
        `gridhash.config.SiteConfig`) with a `gridhash.data.trace.Trace`. Episodes are drawn from
        all of the data, test span included, unless `rows` gives settlement periods [first, last):
        ``rows=row_spans(scenario, config.spans).train`` (`gridhash.envs.named_scenario`).

    Start
        A random period; a fleet that runs fully, partly or not at all.
        ``reset(options={"start": timestamp, "running_frac": 0.0})`` chooses both.

    End
        By truncation after `episode_days`; a site does not terminate. No
        ``gymnasium.wrappers.TimeLimit`` is needed.

    Rendering
        The last 24 hours. ``ansi`` is a panel of text, ``rgb_array`` a picture of (H, W, 3)
        bytes, ``human`` a window with that picture, drawn anew after every step.

    Version history
        v0: first release.
    """

    metadata: dict[str, Any] = {"render_modes": list(RENDER_MODES), "render_fps": 4}  # noqa: RUF012

    def __init__(
        self,
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
        render_mode: str | None = None,
    ) -> None:
        self.scenario = resolve_scenario(scenario, site, trace, scenario_name)
        self.render_mode = render_mode
        self._renderer = None
        if render_mode is not None:
            title = scenario_name or self.scenario.site.name
            self._renderer = Renderer(self.scenario, render_mode, title=title)
        self._observation = ObservationView(self.scenario, observation)
        self._action = ActionView(self.scenario, action_kind, day_decisions=day_decisions)
        self._sites = BatchedSite(
            self.scenario,
            1,
            EpisodeRules(
                episode_days=episode_days,
                action_kind=self._action.kind,
                relative_reward=relative_reward,
                day_decisions=day_decisions,
                rows=rows,
            ),
        )
        self.observation_space = self._observation.space
        self.action_space = self._action.space

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start an episode; see the class for `options`.

        Raises
        ------
        ConfigError
            If an option is unknown or out of range.
        DataError
            If the data do not hold the start.
        """
        super().reset(seed=seed)
        chosen = chosen_start(self.scenario, options or {})
        if chosen is None:
            self._sites.draw_starts(np.arange(1), self.np_random)
        else:
            row, running_frac = chosen
            self._sites.start_at(row, running_frac=running_frac)
        if self._renderer is not None:
            self._renderer.restart(self._sites)
        return self._observation.of(self._sites.observe()[0]), {}

    def step(self, action: npt.ArrayLike) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Advance by one dispatch interval.

        Raises
        ------
        PolicyError
            If the action has the wrong shape, holds NaN or infinity, or is a flat one out of range.
        DataError
            If the data have come to their end.
        """
        output = self._sites.step(self._action.numbers(action)[None])
        info: dict[str, Any] = {"profit": float(output.profit[0])}
        info.update(
            zip(INFO_NAMES, output.ledger[0].tolist() + output.record[0].tolist(), strict=True)
        )
        truncated = bool(self._sites.steps_left[0] <= 0)
        if self._renderer is not None:
            self._renderer.keep(self._sites)
        observation = self._observation.of(output.observation[0].copy())
        return observation, float(output.reward[0]), False, truncated, info

    @property
    def gate_closes(self) -> bool:
        """Whether the next step is the one in which the decisions of tomorrow are taken."""
        return bool(self._sites.gate_closes[0])

    def decide_day(
        self,
        *,
        plan_kw: npt.ArrayLike | None = None,
        committed_kw: float | None = None,
        held_kw: float | None = None,
    ) -> None:
        """Replace default decisions of tomorrow before the next step, see `BatchedSite.decide_day`.

        Numbers of the action scale what was decided here.

        Raises
        ------
        PolicyError
            If `gate_closes` is False, or a decision is out of range.
        """
        self._sites.decide_day(0, plan_kw=plan_kw, committed_kw=committed_kw, held_kw=held_kw)

    def action_masks(self) -> Masks:
        """Return which discrete actions are worth saying now, (M,), as sb3-contrib wants it.

        Raises
        ------
        ConfigError
            If the action is continuous.
        """
        masks: Masks = self._action.masks(self._sites)[0]
        return masks

    def render(self) -> Any:
        """Return the last 24 hours as `render_mode` says; None for ``human`` or no mode."""
        if self._renderer is None:
            gymnasium.logger.warn("render needs a render_mode: give it to gymnasium.make")
            return None
        return self._renderer.render()

    def close(self) -> None:
        """Close the window, if there is one."""
        if self._renderer is not None:
            self._renderer.close()

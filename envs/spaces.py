"""Forms of observation and action that the environments offer, over one kernel."""

from typing import Any, Literal

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from gridhash.config import SiteConfig
from gridhash.envs.action import ActionKind
from gridhash.envs.batched_site import BatchedSite
from gridhash.envs.columns import PAUSE
from gridhash.envs.day_decisions import exposed_day_actions
from gridhash.envs.levels import flat_size, flat_to_levels, level_counts
from gridhash.envs.limits import level_masks
from gridhash.envs.observation import (
    N_GROUP_ROW,
    N_GROUP_STEP,
    N_SITE_ROW,
    horizon_periods,
    observation_table,
)
from gridhash.envs.parameters import Floats, Ints
from gridhash.envs.program_observation import program_row_table, program_step_table
from gridhash.envs.scenario import Scenario
from gridhash.errors import ConfigError

ActionForm = Literal["shadow_price", "power", "levels", "flat_levels"]
ObservationForm = Literal["flat", "dict"]
Masks = npt.NDArray[np.bool_]
FLAT_LEVELS = "flat_levels"


def observation_space(scenario: Scenario) -> gymnasium.Space[Any]:
    """Return the space of one flat observation; each bound is in `scenario.features`."""
    return _box(scenario, np.arange(len(scenario.features)))


def action_space(
    scenario: Scenario, kind: ActionKind, *, day_decisions: bool = False
) -> gymnasium.Space[Any]:
    """Return the space of one action: a number per rig group, meant as `kind` says.

    With `day_decisions` a number in [-1, 1] more for each of `day_decisions.day_actions`.

    Raises
    ------
    ConfigError
        If the site has no decisions of the day, or the kind is discrete and cannot carry them.
    """
    names = exposed_day_actions(scenario.programs, day_decisions=day_decisions)
    if kind is ActionKind.LEVELS:
        if names:
            raise ConfigError(
                "day_decisions are numbers in [-1, 1], which discrete levels cannot carry: use "
                "action_kind shadow_price or power, or decide by `decide_day` beside the levels"
            )
        return spaces.MultiDiscrete(level_counts(scenario.params))
    low = np.array([kind.low] * scenario.n_groups + [-1.0] * len(names), dtype=np.float32)
    return spaces.Box(low, np.ones_like(low))


def feature_groups(site: SiteConfig) -> dict[str, Ints]:
    """Return the columns of the flat observation that each part of the Dict observation holds.

    ``site`` (calendar, present price, weather, surplus, time left), ``prices`` (the price vector),
    ``group_<name>`` for each rig group, and ``programs`` if tariff or programs of the site have
    features of their own.
    """
    own = [f"group_{group.name}" for group in site.groups]
    parts = ["site"] * N_SITE_ROW + ["prices"] * horizon_periods(site)
    parts += [name for name in own for _ in range(N_GROUP_ROW)]
    parts += ["programs"] * len(program_row_table(site)) + ["site"]
    parts += [name for name in own for _ in range(N_GROUP_STEP)]
    parts += ["programs"] * len(program_step_table(site))
    columns: dict[str, list[int]] = {}
    for k, (part, _) in enumerate(zip(parts, observation_table(site), strict=True)):
        columns.setdefault(part, []).append(k)
    return {part: np.array(own) for part, own in columns.items()}


def _box(scenario: Scenario, columns: Ints) -> spaces.Box:
    low, high = scenario.bounds[columns].astype(np.float32).T
    return spaces.Box(np.ascontiguousarray(low), np.ascontiguousarray(high))


class ObservationView:
    """The observation as one vector or as a dictionary of vectors.

    Either holds the same numbers. ``gymnasium.wrappers.FlattenObservation`` makes a vector of the
    dictionary again, in the order of its keys; form ``flat`` keeps the order of the table.
    """

    def __init__(self, scenario: Scenario, form: ObservationForm) -> None:
        self.form = form
        self.space: gymnasium.Space[Any]
        if form == "flat":
            self.space = observation_space(scenario)
        elif form == "dict":
            self._parts = feature_groups(scenario.site)
            self.space = spaces.Dict(
                {name: _box(scenario, columns) for name, columns in self._parts.items()}
            )
        else:
            raise ConfigError(f"observation {form!r} is unknown: use 'flat' or 'dict'")

    def of(self, observation: npt.NDArray[np.float32]) -> Any:
        """Return a flat observation, (…, F), in this form; parts are copies, a vector is not."""
        if self.form == "flat":
            return observation
        return {name: observation[..., columns] for name, columns in self._parts.items()}


class ActionView:
    """The action as the environments take it, and what the kernel is told.

    `day_decisions` go with ``shadow_price`` and ``power`` only.

    Raises
    ------
    ConfigError
        If the form is unknown, or it cannot carry what is asked of it.
    """

    def __init__(
        self, scenario: Scenario, form: ActionForm, *, day_decisions: bool = False
    ) -> None:
        self.form = form
        self._params = scenario.params
        self.space: gymnasium.Space[Any]
        if form == FLAT_LEVELS:
            self.kind = ActionKind.LEVELS
            action_space(scenario, self.kind, day_decisions=day_decisions)
            self.space = spaces.Discrete(flat_size(scenario.params))
            return
        names = [kind.name.lower() for kind in ActionKind]
        if form not in names:
            raise ConfigError(
                f"action_kind {form!r} is unknown: use one of {', '.join([*names, FLAT_LEVELS])}"
            )
        self.kind = ActionKind[form.upper()]
        self.space = action_space(scenario, self.kind, day_decisions=day_decisions)

    def numbers(self, action: npt.ArrayLike) -> npt.NDArray[Any]:
        """Return what `BatchedSite.step` takes, (…, G), or (…, G + D) with decisions of the day.

        Raises
        ------
        PolicyError
            If a flat action is out of range; what else is wrong `BatchedSite` refuses.
        """
        if self.form == FLAT_LEVELS:
            return flat_to_levels(self._params, action)
        return np.asarray(action)

    def masks(self, sites: BatchedSite) -> Masks:
        """Return which discrete actions are worth saying now, (N, M).

        For ``levels`` group after group as `gridhash.envs.limits.level_mask` says, M the sum of
        level counts; for ``flat_levels`` combinations of allowed levels, M their number. Both are
        the layouts of sb3-contrib's `MaskablePPO`.

        Raises
        ------
        ConfigError
            If the action is continuous.
        """
        if self.kind is not ActionKind.LEVELS:
            raise ConfigError(
                f"action_kind {self.form} is continuous and has no masks: use levels or "
                f"{FLAT_LEVELS}"
            )
        by_group = level_masks(sites.state, self._params, rig_caps_kw(sites))
        if self.form != FLAT_LEVELS:
            return by_group
        counts = level_counts(self._params)
        flat, *others = np.split(by_group, np.cumsum(counts)[:-1], axis=1)
        for own in others:
            flat = (flat[:, :, None] & own[:, None, :]).reshape(len(flat), -1)
        return flat


def rig_caps_kw(sites: BatchedSite) -> Floats:
    """Return the cap on rig power that contract and pause orders set now, (N,) [kW]."""
    scenario = sites.scenario
    caps_kw = np.full(sites.n_sites, scenario.params.rig_cap_kw)
    if scenario.programs.has_pause:
        row = np.minimum(sites.state.row, scenario.n_rows - 1)
        paused = scenario.market[row, PAUSE] > 0.0
        caps_kw[paused] = np.minimum(caps_kw[paused], scenario.programs.pause_rig_cap_kw)
    return caps_kw

"""Policies without a plan: always on, on/off at break-even, the level rule, hysteresis."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from gridhash.agents.policy import ObservationReader, Observations
from gridhash.config import SiteConfig
from gridhash.envs.action import ActionKind
from gridhash.envs.batched_site import BatchedSite, EpisodeRules
from gridhash.envs.parameters import Floats
from gridhash.envs.scenario import Scenario
from gridhash.errors import ConfigError
from gridhash.units import W_PER_KW

START_RATIOS = (0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0)
STOP_RATIOS = (1.0, 1.05, 1.1, 1.15, 1.2, 1.3, 1.5, 2.0)


def nameplate_frac(reader: ObservationReader) -> Floats:
    """Return the nameplate power of each group per full power, at most 1: shape (G,)."""
    nameplate_kw = np.array([group.rig_power_w / W_PER_KW for group in reader.site.groups])
    return np.asarray(np.minimum(1.0, nameplate_kw / reader.params.level_kw[:, -1]))


def power_without_starts(running_frac: Floats, load_frac: Floats, floor_frac: Floats) -> Floats:
    """Return the action that keeps a share of rigs at a load without starting others.

    Below full running the kernel spreads power over all rigs that may start, so that a share can
    be held at the lowest level only; a group that runs entirely takes any load. All (N, G), per
    full power of the group.
    """
    whole = running_frac > 1.0 - 1e-6
    return np.where(whole, np.maximum(load_frac, floor_frac), running_frac * floor_frac)


class AlwaysOn:
    """Every rig at nameplate, whatever the price."""

    name = "always_on"
    action_kind = ActionKind.POWER

    def __init__(self, site: SiteConfig) -> None:
        self._load_frac = nameplate_frac(ObservationReader(site))

    def act(self, observation: Observations) -> Floats:
        """Return nameplate for every group."""
        return np.tile(self._load_frac, (len(observation), 1))


class AlwaysOff:
    """No rig runs: standby, idle pumps and fans at their slowest remain."""

    name = "always_off"
    action_kind = ActionKind.POWER

    def __init__(self, site: SiteConfig) -> None:
        self._n_groups = len(site.groups)

    def act(self, observation: Observations) -> Floats:
        """Return zero for every group."""
        return np.zeros((len(observation), self._n_groups))


class BreakEvenOnOff:
    """All rigs of a group at nameplate while the all-in price lies below their break-even there.

    The rule that most sites use: no partial load, no regard for what a start costs, and no regard
    for surplus.
    """

    name = "break_even_on_off"
    action_kind = ActionKind.POWER

    def __init__(self, site: SiteConfig) -> None:
        self._reader = ObservationReader(site)
        self._load_frac = nameplate_frac(self._reader)
        rigs = [(g.rig_power_w / W_PER_KW, g.level_hashrate_phs(1.0)) for g in site.groups]
        kw, phs = (np.array(column) for column in zip(*rigs, strict=True))
        self._ratio = self._reader.level_break_even_ratio(kw, phs)

    def act(self, observation: Observations) -> Floats:
        """Return nameplate where it earns, else zero."""
        price_ratio = self._reader.value(observation, "price_ratio_000")[:, None]
        return np.where(price_ratio < self._ratio, self._load_frac, 0.0)


class LevelRule:
    """The closed-form level rule by merit order: shadow price zero.

    Optimal without start costs; see `gridhash.envs.dispatch`.
    """

    name = "level_rule"
    action_kind = ActionKind.SHADOW_PRICE

    def __init__(self, site: SiteConfig) -> None:
        self._n_groups = len(site.groups)

    def act(self, observation: Observations) -> Floats:
        """Return a shadow price of zero for every group."""
        return np.zeros((len(observation), self._n_groups))


class Hysteresis:
    """The level rule that starts late and stops late, so that it starts less often.

    Parameters
    ----------
    start_ratio
        A stopped group starts when the all-in price falls below this share of its break-even at
        its lowest level, which is its most efficient one. In (0, 1].
    stop_ratio
        A running group stops when the price rises above this multiple of it; up to there it runs
        at its lowest level. At least 1.

    Beyond break-even, power that the level rule takes from surplus is taken all the same.

    Raises
    ------
    ConfigError
        If a ratio is out of range.
    """

    name = "hysteresis"
    action_kind = ActionKind.POWER

    def __init__(
        self, site: SiteConfig, *, start_ratio: float = 0.9, stop_ratio: float = 1.15
    ) -> None:
        if not 0.0 < start_ratio <= 1.0 <= stop_ratio:
            raise ConfigError(
                f"hysteresis needs 0 < start_ratio <= 1 <= stop_ratio; found {start_ratio:g} and "
                f"{stop_ratio:g}"
            )
        self.start_ratio = start_ratio
        self.stop_ratio = stop_ratio
        self._rule = _HysteresisRule(site)

    def __repr__(self) -> str:
        """Return the parameters."""
        return f"Hysteresis(start_ratio={self.start_ratio:g}, stop_ratio={self.stop_ratio:g})"

    def act(self, observation: Observations) -> Floats:
        """Return the wanted power of every group."""
        return self._rule.act(observation, self.start_ratio, self.stop_ratio)


class LookAheadRule:
    """Start or go on if it pays over the prices in the observation: no training, no solver.

    Reads the feature ``run_worth``: what running now is worth over stopping, in costs of a start,
    by a plan of whole settlement periods without minimum times. A group that runs goes on above
    0, one that stands starts above the cost of a start. The strongest rule on published prices.
    """

    name = "look_ahead_rule"
    action_kind = ActionKind.POWER
    START_WORTH = 0.5
    """One cost of a start, x / (1 + |x|) of 1."""

    def __init__(self, site: SiteConfig) -> None:
        self._reader = reader = ObservationReader(site)
        self._floor_frac = reader.params.level_kw[:, 0] / reader.params.level_kw[:, -1]

    def act(self, observation: Observations) -> Floats:
        """Return the wanted power of every group."""
        reader = self._reader
        worth = reader.of_groups(observation, "run_worth")
        rule = reader.of_groups(observation, "rule_load_frac")
        running = reader.of_groups(observation, "running_frac")
        full = np.maximum(rule, self._floor_frac)
        held = power_without_starts(running, rule, self._floor_frac)
        wanted = np.where(worth > self.START_WORTH, full, np.where(worth > 0.0, held, 0.0))
        # Beyond break-even the level rule takes surplus alone.
        price = reader.value(observation, "price_ratio_000")[:, None]
        return np.where(price >= 1.0, np.maximum(wanted, rule), wanted)


class _HysteresisRule:
    """Hysteresis with thresholds per site of the batch: what tuning steps all at once."""

    def __init__(self, site: SiteConfig) -> None:
        self._reader = reader = ObservationReader(site)
        kw, phs = reader.params.level_kw, reader.params.level_phs
        self._ratio = reader.level_break_even_ratio(kw[:, 0], phs[:, 0])
        self._floor_frac = kw[:, 0] / kw[:, -1]

    def act(
        self, observation: Observations, start_ratio: float | Floats, stop_ratio: float | Floats
    ) -> Floats:
        reader = self._reader
        # The price in units of each group's break-even at its lowest level.
        price = reader.value(observation, "price_ratio_000")[:, None] / self._ratio
        rule = reader.of_groups(observation, "rule_load_frac")
        running = reader.of_groups(observation, "running_frac")
        full = np.maximum(rule, self._floor_frac)
        held = power_without_starts(running, rule, self._floor_frac)
        wanted = np.where(price < start_ratio, full, np.where(price <= stop_ratio, held, 0.0))
        # At or above break-even the level rule takes surplus alone.
        return np.where(price >= 1.0, np.maximum(wanted, rule), wanted)


def tune_hysteresis(
    scenario: Scenario,
    rows: tuple[int, int],
    *,
    start_ratios: Sequence[float] = START_RATIOS,
    stop_ratios: Sequence[float] = STOP_RATIOS,
) -> Hysteresis:
    """Return the hysteresis that earns most on a training span, by search over a grid.

    All candidates play the whole span side by side, each from a fleet at rest. Of equals the
    first wins, that is the lowest ratios.

    Parameters
    ----------
    rows
        Settlement periods [first, last) of the training span.
    """
    grid = [(start, stop) for start in start_ratios for stop in stop_ratios]
    profits = hysteresis_profits(scenario, rows, grid)
    start_ratio, stop_ratio = grid[int(np.argmax(profits))]
    return Hysteresis(scenario.site, start_ratio=start_ratio, stop_ratio=stop_ratio)


def hysteresis_profits(
    scenario: Scenario, rows: tuple[int, int], candidates: Sequence[tuple[float, float]]
) -> npt.NDArray[np.float64]:
    """Return what each (start ratio, stop ratio) earns over a span from rest [currency]."""
    start_ratio, stop_ratio = (
        np.array(column)[:, None] for column in zip(*candidates, strict=True)
    )
    first, last = rows
    n_steps = (last - first) * scenario.steps_per_row
    sites = BatchedSite(
        scenario,
        len(candidates),
        EpisodeRules(
            episode_days=n_steps * scenario.site.dispatch_interval_s / 86400.0,
            action_kind=ActionKind.POWER,
            rows=rows,
        ),
    )
    sites.start_at(first)
    rule = _HysteresisRule(scenario.site)
    profits = np.zeros(len(candidates))
    observation = sites.observe()
    for _ in range(n_steps):
        output = sites.step(rule.act(observation, start_ratio, stop_ratio))
        profits += output.profit
        observation = output.observation
    return profits

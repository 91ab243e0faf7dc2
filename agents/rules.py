"""Policies without a plan: always on, on/off at break-even, the level rule, hysteresis.

Every parameter of a rule is a number, or an array (N,) with one number per site of the batch: so
`gridhash.agents.tuning` plays all its candidates in one batch.
"""

import numpy as np

from gridhash.agents.policy import ObservationReader, Observations
from gridhash.agents.start_stop_action import StartStopAction
from gridhash.config import SiteConfig
from gridhash.envs.action import ActionKind
from gridhash.envs.parameters import Floats
from gridhash.errors import ConfigError
from gridhash.units import W_PER_KW

Parameter = float | Floats
"""One number, or one per site of the batch, (N,)."""


def within(name: str, value: Parameter, low: float, high: float) -> Parameter:
    """Return a rule's parameter.

    Raises
    ------
    ConfigError
        If it lies outside its range.
    """
    if not np.all((low <= np.asarray(value)) & (np.asarray(value) <= high)):
        raise ConfigError(f"{name} must lie within {low:g} … {high:g}; found {value}")
    return value


def column(parameter: Parameter) -> Floats:
    """Return a parameter so that it meets arrays of (N, G): (1,) or (N, 1)."""
    return np.asarray(parameter, dtype=np.float64)[..., None]


def nameplate_frac(reader: ObservationReader) -> Floats:
    """Return the nameplate power of each group per full power, at most 1: shape (G,)."""
    nameplate_kw = np.array([group.rig_power_w / W_PER_KW for group in reader.site.groups])
    return np.asarray(np.minimum(1.0, nameplate_kw / reader.params.level_kw[:, -1]))


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


def _in_words(numbers: Floats) -> str:
    return ", ".join(f"{number:g}" for number in numbers.ravel())


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
        self, site: SiteConfig, *, start_ratio: Parameter = 0.9, stop_ratio: Parameter = 1.15
    ) -> None:
        start, stop = np.asarray(start_ratio), np.asarray(stop_ratio)
        if not np.all((start > 0.0) & (start <= 1.0) & (stop >= 1.0)):
            raise ConfigError(
                "hysteresis needs 0 < start_ratio <= 1 <= stop_ratio; found "
                f"{_in_words(start)} and {_in_words(stop)}"
            )
        self.start_ratio = start_ratio
        self.stop_ratio = stop_ratio
        self._start_below, self._keep_up_to = column(start_ratio), column(stop_ratio)
        self._reader = ObservationReader(site)
        self._action = StartStopAction(self._reader, self.action_kind)

    def __repr__(self) -> str:
        """Return the parameters."""
        return (
            f"{type(self).__name__}(start_ratio={self.start_ratio}, stop_ratio={self.stop_ratio})"
        )

    def act(self, observation: Observations) -> Floats:
        """Return the action of every group."""
        price = self._reader.value(observation, "price_ratio_000")[:, None]
        # The price in units of each group's break-even at its lowest level.
        price = price / self._action.lowest_ratio
        return self._action(observation, price <= self._keep_up_to, price < self._start_below)


class ShadowHysteresis(Hysteresis):
    """Hysteresis on the supply curve: it moves the shadow price only as far as it must.

    Surplus, panels, base points and calls are answered as the level rule answers them; thresholds
    are those of `Hysteresis`. It cannot hold a group through prices above about twice its
    break-even, where a shadow price of -1 ends.
    """

    name = "shadow_hysteresis"
    action_kind = ActionKind.SHADOW_PRICE


class LookAheadRule:
    """Start or go on if it pays over the prices in the observation: no training, no solver.

    Reads the feature ``run_worth``: what running now is worth over stopping, in costs of a start,
    by a plan of whole settlement periods without minimum times, as x / (1 + |x|). The strongest
    rule on published prices.

    Parameters
    ----------
    start_worth
        A stopped group starts above this value of the feature; 0.5 is one cost of a start.
    keep_worth
        A running group goes on above this one.

    Raises
    ------
    ConfigError
        If a parameter is outside [-1, 1].
    """

    name = "look_ahead_rule"
    action_kind = ActionKind.POWER

    def __init__(
        self, site: SiteConfig, *, start_worth: Parameter = 0.5, keep_worth: Parameter = 0.0
    ) -> None:
        self.start_worth = within("start_worth", start_worth, -1.0, 1.0)
        self.keep_worth = within("keep_worth", keep_worth, -1.0, 1.0)
        self._start_above, self._keep_above = column(start_worth), column(keep_worth)
        self._reader = ObservationReader(site)
        self._action = StartStopAction(self._reader, self.action_kind)

    def act(self, observation: Observations) -> Floats:
        """Return the action of every group."""
        worth = self._reader.of_groups(observation, "run_worth")
        return self._action(observation, worth > self._keep_above, worth > self._start_above)


class ShadowLookAhead(LookAheadRule):
    """The look-ahead rule on the supply curve, as `ShadowHysteresis`."""

    name = "shadow_look_ahead"
    action_kind = ActionKind.SHADOW_PRICE

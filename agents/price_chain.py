"""Prices of a day as a Markov chain in ratio to break-even, counted on a training span.

A state is what a policy sees at the start of a settlement period: a bin of the newest all-in price
and, if wanted, one of a second feature. Transitions and what the period will cost are counted by
time of day, and by season and weekend if wanted; counts of neighbouring times of day and of all
times together smooth them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from gridhash.agents.calendar_features import Calendar, calendar_of_rows
from gridhash.agents.day_ahead_dp import settled_price_ratio
from gridhash.envs.columns import SURPLUS
from gridhash.envs.parameters import Floats, Ints
from gridhash.envs.scenario import Scenario
from gridhash.errors import ConfigError
from gridhash.units import HOURS_PER_DAY

PRICE = "price_ratio_000"
SECOND: Mapping[str, str] = {"ahead": "price_ratio_001", "surplus": "surplus_frac"}
"""The second features that a state may hold: the next period's price or its forecast, surplus."""
MOST_CLASSES = 48
"""Of time of day: half-hours, where settlement periods are shorter."""
FOCUS = 0.25
"""Prices count by 1 / (FOCUS + their distance from break-even) when bins are cut."""
NO_SURPLUS_FRAC = 0.005


@dataclass(frozen=True, kw_only=True)
class ChainSettings:
    """How finely a chain tells states apart, and how it is smoothed.

    Raises
    ------
    ConfigError
        If a setting is out of range.
    """

    n_prices: int = 16
    second: str = ""
    """"", or a key of `SECOND`."""
    n_second: int = 6
    n_seasons: int = 1
    """Equal parts of the year, from December on, that have a chain of their own."""
    weekends: bool = False
    """Weekends have a chain of their own."""
    smoothing_h: float = 1.0
    """Standard deviation over which times of day lend each other counts; 0 for none."""
    prior_count: float = 10.0
    """Weight of the chain of all times together in each state's counts."""
    price_factors: tuple[float, ...] = (0.7, 0.85, 1.0, 1.2, 1.4)
    """The span is counted once for each, its prices times this: years to come, and hashprices, may
    put break-even elsewhere among the prices than the training span did."""

    def __post_init__(self) -> None:
        """Refuse what makes no chain."""
        if min(self.n_prices, self.n_second, self.n_seasons) < 1:
            raise ConfigError(f"{self}: n_prices, n_second and n_seasons must be 1 or more")
        if self.second and self.second not in SECOND:
            raise ConfigError(f"second is {self.second!r}: use '' or one of {', '.join(SECOND)}")
        if self.smoothing_h < 0.0 or self.prior_count < 0.0:
            raise ConfigError(f"{self}: smoothing_h and prior_count must not be negative")
        if not self.price_factors or min(self.price_factors) <= 0.0:
            raise ConfigError(f"{self}: price_factors must be one or more numbers above 0")

    @property
    def n_kinds(self) -> int:
        """Kinds of day."""
        return self.n_seasons * (1 + self.weekends)

    def kind(self, calendar: Calendar) -> Ints:
        """Return the kind of each day, (N,)."""
        season = calendar.season(self.n_seasons)
        return season * 2 + calendar.weekend if self.weekends else season


class PriceChain(NamedTuple):
    """K kinds of day, C classes of time of day, X states: price bins times second bins."""

    price_centre: Floats
    """(P,) mean price ratio of each bin."""
    second_edge: Floats
    """(Q - 1,) edges between bins of the second feature, Q = X / P."""
    transition: Floats
    """(K, C, X, X) probability of the next period's state."""
    price_ratio: Floats
    """(K, C, X) what energy of the period costs in the end per break-even, expected."""
    surplus_frac: Floats
    """(K, C, X) surplus of the period per contract power, expected."""


def clock_classes(n_slots: int) -> Ints:
    """Return the class of time of day of each settlement period of a day, (S,)."""
    return np.arange(n_slots) * min(n_slots, MOST_CLASSES) // n_slots


def slot_of(calendar: Calendar, n_slots: int) -> Ints:
    """Return the settlement period of the day, (N,)."""
    return np.floor(calendar.hour / HOURS_PER_DAY * n_slots).astype(np.int64)


def weighted_edges(values: Floats, n: int) -> Floats:
    """Return at most n - 1 edges between bins of prices, more of them near break-even.

    Where there are no more than `n` different values, each gets a bin of its own.
    """
    distinct = np.unique(values)
    if len(distinct) <= n:
        return np.asarray((distinct[1:] + distinct[:-1]) / 2.0)
    ordered = np.sort(values)
    share = np.cumsum(1.0 / (FOCUS + np.abs(ordered - 1.0)))
    at = np.searchsorted(share, np.arange(1, n) / n * share[-1])
    return np.unique(ordered[at])


def surplus_edges(values: Floats, n: int) -> Floats:
    """Return at most n - 1 edges: no surplus, and equally many readings of some in each bin."""
    some = values[values > NO_SURPLUS_FRAC]
    if n < 2 or not len(some):
        return np.empty(0)
    shares = np.arange(1, n - 1) / (n - 1)
    return np.unique(np.concatenate([[NO_SURPLUS_FRAC], np.quantile(some, shares)]))


def fit_chain(scenario: Scenario, rows: tuple[int, int], settings: ChainSettings) -> PriceChain:
    """Return the chain of a span, rows [first, last)."""
    span = slice(*rows)
    states, centre, second_edge = _states(scenario, span, settings)
    n_second = len(second_edge) + 1
    n_states = len(centre) * n_second
    calendar = calendar_of_rows(scenario, rows)
    clock = clock_classes(scenario.slots_per_day)
    kind, time = settings.kind(calendar), clock[slot_of(calendar, scenario.slots_per_day)]
    settled = settled_price_ratio(scenario)[span]
    surplus = scenario.market[span, SURPLUS] / scenario.params.contract_power_kw
    shape = (settings.n_kinds, clock[-1] + 1, n_states)
    moves, visits = np.zeros((*shape, n_states)), np.zeros(shape)
    price_sum, surplus_sum = np.zeros(shape), np.zeros(shape)
    for factor, state in zip(settings.price_factors, states, strict=True):
        np.add.at(moves, (kind[:-1], time[:-1], state[:-1], state[1:]), 1.0)
        np.add.at(visits, (kind, time, state), 1.0)
        np.add.at(price_sum, (kind, time, state), factor * settled)
        np.add.at(surplus_sum, (kind, time, state), surplus)

    weight, prior = _lending(shape[1], settings.smoothing_h), settings.prior_count
    # What never was is taken from its price bin, or of its surplus from its second bin.
    of_price = np.repeat(np.eye(len(centre)), n_second, axis=0)
    of_second = np.tile(np.eye(n_second), (len(centre), 1))
    left = moves.sum(axis=-1)
    return PriceChain(
        price_centre=centre,
        second_edge=second_edge,
        transition=_smoothed(moves, left, weight, prior, of_price, np.eye(n_states)),
        price_ratio=_smoothed(price_sum[..., None], visits, weight, prior, of_price, 1.0)[..., 0],
        surplus_frac=_smoothed(surplus_sum[..., None], visits, weight, prior, of_second, 0.0)[
            ..., 0
        ],
    )


def _states(
    scenario: Scenario, span: slice, settings: ChainSettings
) -> tuple[Ints, Floats, Floats]:
    """Return the state of each row by price factor, (F, rows), price centres and second edges."""
    names = [feature.name for feature in scenario.features]
    seen = scenario.rows[span].astype(np.float64)
    factors = np.array(settings.price_factors)[:, None]
    price = factors * seen[:, names.index(PRICE)]
    edges = weighted_edges(price.ravel(), settings.n_prices)
    price_bin = np.searchsorted(edges, price, side="right")
    price_bin = np.searchsorted(np.unique(price_bin), price_bin)
    centre = np.bincount(price_bin.ravel(), price.ravel()) / np.bincount(price_bin.ravel())
    if not settings.second:
        return price_bin, centre, np.empty(0)
    second = seen[:, names.index(SECOND[settings.second])]
    if settings.second == "surplus":
        second_edge = surplus_edges(second, settings.n_second)
    else:
        second = factors * second
        second_edge = weighted_edges(second.ravel(), settings.n_second)
    second_bin = np.searchsorted(second_edge, second, side="right")
    return price_bin * (len(second_edge) + 1) + second_bin, centre, second_edge


def _lending(n_classes: int, smoothing_h: float) -> Floats:
    """Return how much each class of time of day counts for each other one, (C, C)."""
    if smoothing_h == 0.0:
        return np.eye(n_classes)
    apart = np.abs(np.subtract.outer(np.arange(n_classes), np.arange(n_classes)))
    hours = np.minimum(apart, n_classes - apart) * (HOURS_PER_DAY / n_classes)
    return np.asarray(np.exp(-0.5 * (hours / smoothing_h) ** 2))


def _smoothed(
    total: Floats,
    count: Floats,
    weight: Floats,
    prior_count: float,
    relatives: Floats,
    unseen: Floats | float,
) -> Floats:
    """Return means of sums, (K, C, X, Y), over counts, (K, C, X).

    The mean of all kinds and times is the prior; a state that never was takes that of its
    `relatives`, (X, groups) with 1 for each of its group, and `unseen` if none of them was.
    """
    all_total, all_count = total.sum(axis=(0, 1)), count.sum(axis=(0, 1))[:, None]
    group_total = relatives @ (relatives.T @ all_total)
    group_count = relatives @ (relatives.T @ all_count)
    prior = np.where(group_count > 0.0, group_total / np.maximum(group_count, 1.0), unseen)
    prior = np.where(all_count > 0.0, all_total / np.maximum(all_count, 1.0), prior)
    lent = np.einsum("cd,kdxy->kcxy", weight, total, optimize=True) + prior_count * prior
    by = np.einsum("cd,kdx->kcx", weight, count, optimize=True)[..., None] + prior_count
    return np.where(by > 0.0, lent / np.where(by > 0.0, by, 1.0), prior)

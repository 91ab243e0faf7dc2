"""One search for the parameters of every rule: the same budget, on a training span alone.

Every rule gets the same number of plays of the span: its defaults and a low-discrepancy sequence
over its ranges first, then the same around the best of them. All candidates of a round play side
by side in one batch, each from a fleet at rest.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TypeVar

import numpy as np
from scipy.stats import qmc

from gridhash.agents.calendar_features import calendar_of_rows
from gridhash.agents.day_ahead_dp import settled_price_ratio
from gridhash.agents.liability import peaks_of, remaining_liability
from gridhash.agents.policy import Policy
from gridhash.agents.rule_registry import Space
from gridhash.agents.rules_operator import SCHEDULES, StaticSchedule, schedule_hours
from gridhash.envs.batched_site import BatchedSite, EpisodeRules
from gridhash.envs.parameters import Floats
from gridhash.envs.scenario import Scenario
from gridhash.errors import ConfigError
from gridhash.units import SECONDS_PER_DAY

Parameters = Mapping[str, float]
SomePolicy = TypeVar("SomePolicy", bound=Policy)
SEED = 0
"""Of the scrambled sequences."""


@dataclass(frozen=True)
class SearchBudget:
    """Plays of the training span that each rule gets."""

    n_wide: int = 64
    """Over the whole ranges, the defaults among them."""
    n_near: int = 64
    """Around the best of these."""
    near_frac: float = 0.25
    """Width of the second round per width of the ranges."""

    def __post_init__(self) -> None:
        """Refuse a search that tries nothing; raise ConfigError."""
        if self.n_wide < 1 or self.n_near < 0 or not 0.0 < self.near_frac <= 1.0:
            raise ConfigError(f"{self}: give n_wide >= 1, n_near >= 0 and near_frac within 0 … 1")

    @property
    def n_plays(self) -> int:
        """Plays in all."""
        return self.n_wide + self.n_near


FULL = SearchBudget()


def grid(**values: Sequence[float]) -> tuple[Parameters, ...]:
    """Return every combination of the values of some parameters."""
    return tuple(dict(zip(values, chosen, strict=True)) for chosen in product(*values.values()))


def tune(
    scenario: Scenario,
    rows: tuple[int, int],
    make: Callable[..., SomePolicy],
    space: Space,
    *,
    budget: SearchBudget = FULL,
    known: Sequence[Parameters] = (),
) -> SomePolicy:
    """Return the rule that earns most on a training span, of as many as the budget allows.

    Parameters
    ----------
    rows
        Settlement periods [first, last) of the training span.
    make
        Makes the rule from a site and named parameters, numbers or arrays (N,).
    space
        Ranges of the parameters to search, others stay as they are; without any there is no search.
    known
        Candidates that are tried in the first round besides the defaults, as part of its budget.
    """
    if not space:
        return make(scenario.site)
    defaults = {name: one.default for name, one in space.items()}
    low = np.array([one.low for one in space.values()])
    high = np.array([one.high for one in space.values()])
    first: list[Parameters] = [defaults, *known][: budget.n_wide]
    first += _points(space, low, high, budget.n_wide - len(first))
    profits = profits_of(scenario, rows, make, first)
    best = first[int(np.argmax(profits))]
    if budget.n_near == 0:
        return make(scenario.site, **best)
    half = budget.near_frac / 2.0 * (high - low)
    at = np.array([best[name] for name in space])
    near = _points(space, np.maximum(at - half, low), np.minimum(at + half, high), budget.n_near)
    near_profits = profits_of(scenario, rows, make, near)
    if near_profits.max() > profits.max():
        best = near[int(np.argmax(near_profits))]
    return make(scenario.site, **best)


def _points(space: Space, low: Floats, high: Floats, n: int) -> list[Parameters]:
    """Return the first n points of a scrambled Sobol sequence within bounds."""
    if n < 1:
        return []
    sobol = qmc.Sobol(len(space), rng=np.random.default_rng(SEED))
    unit = sobol.random_base2(max(n - 1, 1).bit_length())[:n]
    points = low + unit * (high - low)
    return [dict(zip(space, map(float, point), strict=True)) for point in points]


def best_of(
    scenario: Scenario,
    rows: tuple[int, int],
    make: Callable[..., SomePolicy],
    candidates: Sequence[Parameters],
) -> SomePolicy:
    """Return the candidate that earns most; of equals the first."""
    profits = profits_of(scenario, rows, make, candidates)
    return make(scenario.site, **candidates[int(np.argmax(profits))])


def profits_of(
    scenario: Scenario,
    rows: tuple[int, int],
    make: Callable[..., Policy],
    candidates: Sequence[Parameters],
) -> Floats:
    """Return what each candidate earns over rows [first, last) from rest, (N,) [currency]."""
    stacked = {name: np.array([one[name] for one in candidates]) for name in candidates[0]}
    policy = make(scenario.site, **stacked)
    return play_profits(scenario, rows, policy, len(candidates))


def play_profits(scenario: Scenario, rows: tuple[int, int], policy: Policy, n: int) -> Floats:
    """Return what a policy earns over rows [first, last) on each of `n` sites, (n,) [currency].

    As evaluation reckons it: from rest and the site file's accounts, less what the play leaves to
    be paid later (`gridhash.agents.liability`).
    """
    first, last = rows
    n_steps = (last - first) * scenario.steps_per_row
    sites = BatchedSite(
        scenario,
        n,
        EpisodeRules(
            episode_days=n_steps * scenario.site.dispatch_interval_s / SECONDS_PER_DAY,
            action_kind=policy.action_kind,
            relative_reward=False,
            rows=rows,
        ),
    )
    sites.start_at(first)
    opened = peaks_of(sites)
    profits = np.zeros(n)
    observation = sites.observe()
    for _ in range(n_steps):
        output = sites.step(policy.act(observation))
        profits += output.profit
        observation = output.observation
    return profits - [remaining_liability(sites, opened, site) for site in range(n)]


def tune_schedule(
    scenario: Scenario, rows: tuple[int, int], *, budget: SearchBudget = FULL
) -> StaticSchedule:
    """Return the static schedule that earns most on a training span.

    The candidates work the hours whose mean settled price, per break-even, lies below a limit: one
    limit after another from no hour to all of them, as many as other rules get plays.
    """
    mean = hourly_price_ratio(scenario, rows)
    steps = np.linspace(0, mean.size, budget.n_plays).round().astype(int)
    limits = np.concatenate([[-np.inf], np.sort(mean, axis=None)])[steps]
    candidates = [
        {
            name: float(np.sum(2.0 ** np.flatnonzero(hours <= limit)))
            for name, hours in zip(SCHEDULES, mean, strict=True)
        }
        for limit in limits
    ]
    return best_of(scenario, rows, StaticSchedule, candidates)


def hourly_price_ratio(scenario: Scenario, rows: tuple[int, int]) -> Floats:
    """Return the mean settled price per break-even of each schedule and hour, (8, 24).

    Where the span has no such hour, that of the same hour in all of it.
    """
    hour, schedule = schedule_hours(calendar_of_rows(scenario, rows))
    total = np.zeros((len(SCHEDULES), 24))
    count = np.zeros_like(total)
    np.add.at(total, (schedule, hour), settled_price_ratio(scenario)[slice(*rows)])
    np.add.at(count, (schedule, hour), 1.0)
    of_hour = total.sum(axis=0) / np.maximum(count.sum(axis=0), 1.0)
    return np.where(count > 0.0, total / np.maximum(count, 1.0), of_hour)

"""Search for the parameters of a rule that earn most on a training span."""

from collections.abc import Callable, Mapping, Sequence
from itertools import product

import numpy as np

from gridhash.agents.policy import Policy
from gridhash.agents.rules_programs import (
    BasePointFollower,
    CallResponder,
    PeakShaver,
    SurplusFollower,
    TimeOfUse,
)
from gridhash.envs.batched_site import BatchedSite, EpisodeRules
from gridhash.envs.scenario import Scenario
from gridhash.units import SECONDS_PER_DAY

Parameters = Mapping[str, float]


def grid(**values: Sequence[float]) -> tuple[Parameters, ...]:
    """Return every combination of the values of some parameters."""
    return tuple(dict(zip(values, chosen, strict=True)) for chosen in product(*values.values()))


GRIDS: Mapping[str, tuple[Parameters, ...]] = {
    PeakShaver.name: grid(demand_ratio=(0.85, 0.9, 0.94, 0.97), free_frac=(0.8, 1.0)),
    CallResponder.name: grid(depth=(0.5, 1.0), lead_h=(0.0, 0.5)),
    SurplusFollower.name: grid(share=(0.8, 1.0), least_frac=(0.05, 0.3)),
    TimeOfUse.name: (
        *grid(from_hour=(22.0,), to_hour=(8.0,), weekends=(0.0, 1.0)),
        *grid(from_hour=(9.0,), to_hour=(16.0,), weekends=(0.0, 1.0)),
        *grid(from_hour=(20.0,), to_hour=(17.0,), weekends=(0.0, 1.0)),
    ),
    BasePointFollower.name: grid(edge=(-0.8, 0.0, 0.8)),
}
"""Parameters that are tried for each rule of tariffs and programs: by night, by day and all but the
evening for a schedule, and a few steps around the defaults for the others."""


def tune(
    scenario: Scenario,
    rows: tuple[int, int],
    make: Callable[..., Policy],
    candidates: Sequence[Parameters],
) -> Policy:
    """Return the rule, of those that `candidates` describe, that earns most on a training span.

    All play the whole span side by side, each from a fleet at rest; of equals the first wins.

    Parameters
    ----------
    rows
        Settlement periods [first, last) of the training span.
    make
        Makes the rule from a site and named parameters.
    """
    policies = [make(scenario.site, **parameters) for parameters in candidates]
    first, last = rows
    n_steps = (last - first) * scenario.steps_per_row
    sites = BatchedSite(
        scenario,
        len(policies),
        EpisodeRules(
            episode_days=n_steps * scenario.site.dispatch_interval_s / SECONDS_PER_DAY,
            action_kind=policies[0].action_kind,
            rows=rows,
        ),
    )
    sites.start_at(first)
    profits = np.zeros(len(policies))
    observation = sites.observe()
    for _ in range(n_steps):
        action = [policy.act(observation[k : k + 1]) for k, policy in enumerate(policies)]
        output = sites.step(np.concatenate(action))
        profits += output.profit
        observation = output.observation
    return policies[int(np.argmax(profits))]

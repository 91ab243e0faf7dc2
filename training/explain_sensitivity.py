"""Which features moved a decision: differences of the policy's answer, group by group."""

from dataclasses import dataclass

import numpy as np

from gridhash.agents.level_policy import LevelPolicy
from gridhash.agents.numpy_policy import MlpPolicy
from gridhash.agents.policy import Policy
from gridhash.agents.relative_policy import RelativePolicy
from gridhash.envs.parameters import Floats
from gridhash.training.explain_state import Choice, Instant, choice_of_action

STEP = 0.05
"""Of the finite differences, in spreads of a feature."""

GROUPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("price now", ("price_per_kwh", "price_ratio_000", "rule_load_frac")),
    ("prices ahead", ("price_ratio", "published_h")),
    ("worth of running on", ("run_worth",)),
    ("break-even", ("break_even",)),
    ("time of day, week, season", ("hour", "weekday", "season")),
    (
        "imbalance, carbon, held capacity",
        ("shortage_", "surplus_price", "carbon", "held", "deployed"),
    ),
    ("surplus and own panels", ("surplus_frac", "surplus_", "pv_", "quota")),
    ("state of the rigs", ("running", "starting", "locked", "startable", "load_frac", "minutes")),
    ("temperatures", ("outdoor", "chip", "coolant", "tripped")),
    ("tariff and programs", ("",)),
)
"""Groups of features by how their names begin; a feature belongs to the first that fits."""


@dataclass(frozen=True, kw_only=True)
class Influence:
    """What one group of features had to do with a decision."""

    group: str
    n_features: int
    power_kw: float
    """Wanted power less what it would be with these features as usual, summed over groups."""
    action: Floats
    """(G,) the same of the action."""
    slope: float
    """Change of the action per spread of a feature, root of the sum of squares, of the most
    sensitive group."""


def influences(instant: Instant, policy: Policy, choice: Choice) -> tuple[Influence, ...]:
    """Return what each group of features did to a choice, the most moving first.

    Usual is the centre that the network was normalised with; of a rule, the mean of the play so
    far. The slope is by central differences at the observation, so it is zero where the action
    lies at its bound.
    """
    usual, spread = _usual(instant, policy)
    observation = instant.observation.astype(np.float64)
    names = [feature.name for feature in instant.scenario.features]
    members: dict[str, list[int]] = {label: [] for label, _ in GROUPS}
    for k, name in enumerate(names):
        members[_group_of(name)].append(k)
    found = []
    for label, columns in members.items():
        if not columns:
            continue
        replaced = observation.copy()
        replaced[0, columns] = usual[columns]
        action = policy.act(replaced.astype(np.float32))[0]
        other = choice_of_action(instant, policy.name, policy.action_kind, action)
        found.append(
            Influence(
                group=label,
                n_features=len(columns),
                power_kw=float((choice.wanted_kw - other.wanted_kw).sum()),
                action=choice.action - action,
                slope=_slope(policy, observation, columns, spread),
            )
        )
    found.sort(key=lambda one: (-abs(one.power_kw), -float(np.abs(one.action).max()), -one.slope))
    return tuple(found)


def _group_of(name: str) -> str:
    return next(label for label, starts in GROUPS if name.startswith(starts))


def _usual(instant: Instant, policy: Policy) -> tuple[Floats, Floats]:
    """Return centre and spread of every feature, (F,)."""
    if isinstance(policy, MlpPolicy | LevelPolicy | RelativePolicy):
        center, scale = policy.weights["normalise.center"], policy.weights["normalise.scale"]
        return center.astype(np.float64), scale.astype(np.float64)
    past = instant.past if len(instant.past) else instant.observation
    return past.mean(axis=0, dtype=np.float64), past.std(axis=0, dtype=np.float64)


def _slope(policy: Policy, observation: Floats, columns: list[int], spread: Floats) -> float:
    moved = [k for k in columns if spread[k] > 0.0]
    if not moved:
        return 0.0
    steps = np.zeros((len(moved), observation.shape[1]))
    steps[np.arange(len(moved)), moved] = STEP * spread[moved]
    above = policy.act((observation + steps).astype(np.float32))
    below = policy.act((observation - steps).astype(np.float32))
    slopes = (above - below) / (2.0 * STEP)
    return float(np.sqrt((slopes**2).sum(axis=0)).max())

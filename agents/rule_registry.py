"""The rules that a bundle may name instead of bringing weights, and where they are tuned."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from gridhash.agents.policy import Policy
from gridhash.agents.rules import (
    AlwaysOff,
    AlwaysOn,
    BreakEvenOnOff,
    Hysteresis,
    LevelRule,
    LookAheadRule,
    ShadowHysteresis,
    ShadowLookAhead,
)
from gridhash.agents.rules_base_point import BasePointTracker
from gridhash.agents.rules_operator import (
    ALL_HOURS,
    SCHEDULES,
    CombinedRule,
    DemandResponseOnly,
    StaticSchedule,
)
from gridhash.agents.rules_programs import (
    BasePointFollower,
    CallResponder,
    PeakShaver,
    SurplusFollower,
    TimeOfUse,
)
from gridhash.config import SiteConfig
from gridhash.errors import BundleError, ConfigError


@dataclass(frozen=True)
class Range:
    """Where the search looks for a parameter, and where it begins."""

    low: float
    high: float
    default: float


Space = Mapping[str, Range]
"""Ranges by parameter."""


@dataclass(frozen=True)
class RuleMaker:
    """How a rule is made from a site and named numbers, all of which must be given."""

    make: Callable[..., Policy]
    parameters: Space = field(default_factory=dict)


RATIOS = {"start_ratio": Range(0.5, 1.0, 0.9), "stop_ratio": Range(1.0, 3.0, 1.15)}
WORTHS = {"start_worth": Range(-0.5, 0.9, 0.5), "keep_worth": Range(-0.8, 0.5, 0.0)}
PEAKS = {"demand_ratio": Range(0.8, 1.02, 0.97), "month_ratio": Range(0.8, 1.02, 0.95)}
CALLS = {"depth": Range(0.0, 1.5, 1.0), "lead_h": Range(0.0, 2.0, 0.25)}

RULES: Mapping[str, RuleMaker] = {
    AlwaysOff.name: RuleMaker(AlwaysOff),
    AlwaysOn.name: RuleMaker(AlwaysOn),
    StaticSchedule.name: RuleMaker(
        StaticSchedule, dict.fromkeys(SCHEDULES, Range(0.0, ALL_HOURS, ALL_HOURS))
    ),
    BreakEvenOnOff.name: RuleMaker(BreakEvenOnOff),
    LevelRule.name: RuleMaker(LevelRule),
    Hysteresis.name: RuleMaker(Hysteresis, RATIOS),
    ShadowHysteresis.name: RuleMaker(ShadowHysteresis, RATIOS),
    LookAheadRule.name: RuleMaker(LookAheadRule, WORTHS),
    ShadowLookAhead.name: RuleMaker(ShadowLookAhead, WORTHS),
    TimeOfUse.name: RuleMaker(
        TimeOfUse,
        {
            "from_hour": Range(0.0, 24.0, 22.0),
            "to_hour": Range(0.0, 24.0, 8.0),
            "weekends": Range(0.0, 1.0, 1.0),
        },
    ),
    SurplusFollower.name: RuleMaker(
        SurplusFollower, {"share": Range(0.5, 1.3, 1.0), "least_frac": Range(0.0, 0.6, 0.05)}
    ),
    PeakShaver.name: RuleMaker(PeakShaver, {**PEAKS, "free_frac": Range(0.5, 1.0, 1.0)}),
    CallResponder.name: RuleMaker(CallResponder, CALLS),
    DemandResponseOnly.name: RuleMaker(DemandResponseOnly, CALLS),
    BasePointFollower.name: RuleMaker(BasePointFollower, {"edge": Range(-1.0, 1.0, 0.0)}),
    BasePointTracker.name: RuleMaker(
        BasePointTracker, {"lean": Range(0.0, 0.6, 0.5), "raise_first": Range(0.0, 1.0, 0.0)}
    ),
    CombinedRule.name: RuleMaker(
        CombinedRule,
        {
            "start_ratio": Range(0.5, 1.3, 0.9),
            "stop_ratio": Range(0.9, 3.0, 1.15),
            "ahead_weight": Range(0.0, 1.0, 0.0),
            "start_worth": Range(-1.0, 0.9, -1.0),
            "keep_worth": Range(-0.8, 1.0, 1.0),
            **PEAKS,
            "lead_h": Range(0.0, 4.0, 0.25),
        },
    ),
}
"""Every rule with the ranges in which `gridhash.agents.tuning` searches for its parameters."""


def parameters_of(rule: Policy) -> dict[str, float]:
    """Return the parameters with which `build_rule` makes a rule of the registry again.

    Raises
    ------
    BundleError
        If the policy is no rule of the registry.
    """
    if rule.name not in RULES:
        raise BundleError(f"no rule is called {rule.name!r}; known: {', '.join(sorted(RULES))}")
    return {name: float(getattr(rule, name)) for name in RULES[rule.name].parameters}


def build_rule(rule: str, parameters: Mapping[str, float], *, site: SiteConfig) -> Policy:
    """Return the rule of this name with these parameters.

    Raises
    ------
    BundleError
        If there is no such rule, or its parameters are others or out of range.
    """
    maker = RULES.get(rule)
    if maker is None:
        raise BundleError(f"no rule is called {rule!r}; known: {', '.join(sorted(RULES))}")
    if set(parameters) != set(maker.parameters):
        raise BundleError(
            f"rule {rule} takes {', '.join(maker.parameters) or 'no parameters'}; "
            f"found {', '.join(sorted(parameters)) or 'none'}"
        )
    try:
        return maker.make(site, **parameters)
    except ConfigError as err:
        raise BundleError(f"rule {rule}: {err}") from err

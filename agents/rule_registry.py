"""The rules that a bundle may name instead of bringing weights."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gridhash.agents.policy import Policy
from gridhash.agents.rules import (
    AlwaysOff,
    AlwaysOn,
    BreakEvenOnOff,
    Hysteresis,
    LevelRule,
    LookAheadRule,
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
class RuleMaker:
    """How a rule is made from a site and named numbers, all of which must be given."""

    make: Callable[..., Policy]
    parameters: tuple[str, ...] = ()


RULES: Mapping[str, RuleMaker] = {
    AlwaysOff.name: RuleMaker(AlwaysOff),
    AlwaysOn.name: RuleMaker(AlwaysOn),
    BreakEvenOnOff.name: RuleMaker(BreakEvenOnOff),
    Hysteresis.name: RuleMaker(Hysteresis, ("start_ratio", "stop_ratio")),
    LevelRule.name: RuleMaker(LevelRule),
    LookAheadRule.name: RuleMaker(LookAheadRule),
    PeakShaver.name: RuleMaker(PeakShaver, ("demand_ratio", "month_ratio", "free_frac")),
    CallResponder.name: RuleMaker(CallResponder, ("depth", "lead_h")),
    SurplusFollower.name: RuleMaker(SurplusFollower, ("share", "least_frac")),
    TimeOfUse.name: RuleMaker(TimeOfUse, ("from_hour", "to_hour", "weekends")),
    BasePointFollower.name: RuleMaker(BasePointFollower, ("edge",)),
}


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

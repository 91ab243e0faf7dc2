"""Every policy that can be named, and the ones that stand in every comparison."""

from collections.abc import Callable, Mapping

from gridhash.agents.day_ahead_dp import DayAheadDP
from gridhash.agents.policy import Policy
from gridhash.agents.rules import (
    AlwaysOff,
    AlwaysOn,
    BreakEvenOnOff,
    Hysteresis,
    LevelRule,
    LookAheadRule,
    tune_hysteresis,
)
from gridhash.config import SiteConfig
from gridhash.envs.scenario import Scenario
from gridhash.errors import PolicyError

POLICIES: Mapping[str, Callable[[SiteConfig], Policy]] = {
    AlwaysOff.name: AlwaysOff,
    AlwaysOn.name: AlwaysOn,
    BreakEvenOnOff.name: BreakEvenOnOff,
    LevelRule.name: LevelRule,
    Hysteresis.name: Hysteresis,
    LookAheadRule.name: LookAheadRule,
    DayAheadDP.name: DayAheadDP,
}
"""Name to policy with its default parameters, in the order of tables."""


def build_policy(name: str, site: SiteConfig) -> Policy:
    """Return a policy by name.

    Raises
    ------
    PolicyError
        If no policy has this name.
    """
    if name not in POLICIES:
        raise PolicyError(f"no policy is called {name!r}; there are {', '.join(POLICIES)}")
    return POLICIES[name](site)


def baseline_policies(scenario: Scenario, training_rows: tuple[int, int]) -> dict[str, Policy]:
    """Return every baseline by name, with hysteresis tuned on settlement periods [first, last)."""
    tuned = {Hysteresis.name: tune_hysteresis(scenario, training_rows)}
    return {name: tuned.get(name) or build_policy(name, scenario.site) for name in POLICIES}

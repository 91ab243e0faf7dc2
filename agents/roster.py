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
from gridhash.agents.rules_programs import (
    BasePointFollower,
    CallResponder,
    PeakShaver,
    SurplusFollower,
    TimeOfUse,
)
from gridhash.agents.tuning import GRIDS, tune
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
    TimeOfUse.name: TimeOfUse,
    SurplusFollower.name: SurplusFollower,
    PeakShaver.name: PeakShaver,
    CallResponder.name: CallResponder,
    BasePointFollower.name: BasePointFollower,
}
"""Name to policy with its default parameters, in the order of tables."""


def policy_names(site: SiteConfig) -> list[str]:
    """Return the policies that are worth comparing on a site, in the order of tables.

    A rule for a block of tariff or programs where the site has it; a schedule and the follower of
    surplus where it has any.
    """
    tariff, programs = site.tariff, site.programs
    has = {
        PeakShaver.name: bool(tariff.coincident_peaks) or tariff.demand_charge is not None,
        CallResponder.name: programs.demand_reduction is not None,
        BasePointFollower.name: programs.base_point is not None,
    }
    has_any = tariff != type(tariff)() or programs != type(programs)()
    has |= dict.fromkeys((TimeOfUse.name, SurplusFollower.name), has_any)
    return [name for name in POLICIES if has.get(name, True)]


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


def tuned_policy(
    name: str,
    scenario: Scenario,
    training_rows: tuple[int, int],
    *,
    tuned: Mapping[str, Policy] | None = None,
) -> Policy:
    """Return one baseline, its parameters, if it has some, tuned on [first, last) rows.

    Parameters
    ----------
    tuned
        Baselines that are tuned already, for one whose search begins from others'.

    Raises
    ------
    PolicyError
        If no policy has this name.
    """
    if name == Hysteresis.name:
        return tune_hysteresis(scenario, training_rows)
    if name in GRIDS:
        return tune(scenario, training_rows, POLICIES[name], GRIDS[name])
    return build_policy(name, scenario.site)


def baseline_policies(scenario: Scenario, training_rows: tuple[int, int]) -> dict[str, Policy]:
    """Return the site's baselines by name, those with parameters tuned on [first, last) rows.

    Each may begin its search from those before it in `policy_names` (`tuned_policy`).
    """
    policies: dict[str, Policy] = {}
    for name in policy_names(scenario.site):
        policies[name] = tuned_policy(name, scenario, training_rows, tuned=policies)
    return policies

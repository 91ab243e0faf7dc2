"""Every policy that can be named, and the ones that stand in every comparison."""

from collections.abc import Callable, Mapping

from gridhash.agents.analog_forecast import AnalogForecaster
from gridhash.agents.day_ahead_dp import DayAheadDP
from gridhash.agents.mpc import RollingPlanner, Variant
from gridhash.agents.policy import Policy
from gridhash.agents.rule_registry import RULES, Space
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
from gridhash.agents.rules_operator import CombinedRule, DemandResponseOnly, StaticSchedule
from gridhash.agents.rules_programs import (
    BasePointFollower,
    CallResponder,
    PeakShaver,
    SurplusFollower,
    TimeOfUse,
)
from gridhash.agents.start_stop_action import fitting_kind
from gridhash.agents.stochastic_dp import NEVER, StochasticDP
from gridhash.agents.stochastic_tuning import tune_stochastic_dp
from gridhash.agents.tuning import FULL, Parameters, SearchBudget, tune, tune_schedule
from gridhash.config import SiteConfig
from gridhash.envs.action import ActionKind
from gridhash.envs.observation import horizon_periods
from gridhash.envs.scenario import Scenario
from gridhash.errors import PolicyError

POLICIES: Mapping[str, Callable[[SiteConfig], Policy]] = {
    AlwaysOff.name: AlwaysOff,
    AlwaysOn.name: AlwaysOn,
    StaticSchedule.name: StaticSchedule,
    BreakEvenOnOff.name: BreakEvenOnOff,
    LevelRule.name: LevelRule,
    Hysteresis.name: Hysteresis,
    LookAheadRule.name: LookAheadRule,
    DayAheadDP.name: DayAheadDP,
    ShadowHysteresis.name: ShadowHysteresis,
    ShadowLookAhead.name: ShadowLookAhead,
    TimeOfUse.name: TimeOfUse,
    SurplusFollower.name: SurplusFollower,
    PeakShaver.name: PeakShaver,
    CallResponder.name: CallResponder,
    DemandResponseOnly.name: DemandResponseOnly,
    BasePointFollower.name: BasePointFollower,
    BasePointTracker.name: BasePointTracker,
    CombinedRule.name: CombinedRule,
}
"""Name to policy with its default parameters, in the order of tables and of tuning."""

PLANNERS: Mapping[str, Variant] = {
    "mpc": Variant.POINT,
    "mpc_quantile": Variant.QUANTILE,
    "mpc_scenario": Variant.SCENARIO,
}
"""Name to variant of the rolling planner. Slow, milliseconds a decision: in no comparison that does
not ask for them."""


def policy_names(site: SiteConfig) -> list[str]:
    """Return the policies that are worth comparing on a site, in the order of tables.

    A rule for a block of tariff or programs where the site has it; a rule by shadow price where
    the supply curve has a shape of its own; windows of the clock and the follower of surplus where
    the site has any block. Last comes the stochastic dynamic program, which must be fitted.
    """
    tariff, programs = site.tariff, site.programs
    reduces = programs.demand_reduction is not None
    has = {
        PeakShaver.name: bool(tariff.coincident_peaks) or tariff.demand_charge is not None,
        CallResponder.name: reduces,
        DemandResponseOnly.name: reduces or programs.pause_orders is not None,
        **dict.fromkeys(
            (BasePointFollower.name, BasePointTracker.name), programs.base_point is not None
        ),
    }
    has_any = tariff != type(tariff)() or programs != type(programs)()
    has |= dict.fromkeys((TimeOfUse.name, SurplusFollower.name), has_any)
    shaped = fitting_kind(site) is ActionKind.SHADOW_PRICE
    has |= dict.fromkeys((ShadowHysteresis.name, ShadowLookAhead.name), shaped)
    return [*(name for name in POLICIES if has.get(name, True)), StochasticDP.name]


def build_policy(name: str, site: SiteConfig) -> Policy:
    """Return a policy by name.

    Raises
    ------
    PolicyError
        If no policy has this name.
    """
    if name == StochasticDP.name:
        raise PolicyError(f"{name} is counted on training rows: use tuned_policy")
    if name in PLANNERS:
        return RollingPlanner(site, variant=PLANNERS[name])
    if name not in POLICIES:
        known = ", ".join([*POLICIES, *PLANNERS])
        raise PolicyError(f"no policy is called {name!r}; there are {known}")
    return POLICIES[name](site)


def tuned_policy(
    name: str,
    scenario: Scenario,
    training_rows: tuple[int, int],
    *,
    tuned: Mapping[str, Policy] | None = None,
    budget: SearchBudget = FULL,
) -> Policy:
    """Return one baseline, its parameters, if it has some, tuned on [first, last) rows.

    Every rule with parameters gets the same `budget` of plays of the training span. The stochastic
    dynamic program, which is no rule, is counted on it, tries at most `budget.n_near` changes of
    its settings, and shaves peaks as the combined rule does. Planners take their forecasts from it.

    Parameters
    ----------
    tuned
        Baselines that are tuned already, for one whose search begins from others'.

    Raises
    ------
    PolicyError
        If no policy has this name.
    """
    tuned = tuned or {}
    if name == StochasticDP.name:
        peaks = peaks_of(tuned.get(CombinedRule.name), scenario.site)
        return tune_stochastic_dp(scenario, training_rows, n_changes=budget.n_near, peaks=peaks)
    if name in PLANNERS:
        forecaster = AnalogForecaster(scenario, training_rows)
        return RollingPlanner(scenario.site, forecaster=forecaster, variant=PLANNERS[name])
    if name == StaticSchedule.name:
        return tune_schedule(scenario, training_rows, budget=budget)
    if name in RULES and RULES[name].parameters:
        space = search_space(name, scenario.site)
        known = combined_from(tuned, space) if name == CombinedRule.name else ()
        return tune(scenario, training_rows, RULES[name].make, space, budget=budget, known=known)
    return build_policy(name, scenario.site)


def baseline_policies(
    scenario: Scenario, training_rows: tuple[int, int], *, budget: SearchBudget = FULL
) -> dict[str, Policy]:
    """Return the site's baselines by name, those with parameters tuned on [first, last) rows.

    Each may begin its search from those before it in `policy_names` (`tuned_policy`).
    """
    policies: dict[str, Policy] = {}
    for name in policy_names(scenario.site):
        policies[name] = tuned_policy(name, scenario, training_rows, tuned=policies, budget=budget)
    return policies


def search_space(name: str, site: SiteConfig) -> Space:
    """Return the ranges of a rule's parameters that mean something on a site.

    The others stay at their defaults, so that no play is spent on them.
    """
    tariff, programs = site.tariff, site.programs
    ordered = programs.pause_orders is not None or programs.demand_reduction is not None
    means = {
        "demand_ratio": bool(tariff.coincident_peaks),
        "month_ratio": bool(tariff.coincident_peaks),
        "free_frac": tariff.demand_charge is not None,
        "lead_h": ordered,
        "depth": programs.demand_reduction is not None,
        "ahead_weight": horizon_periods(site) > 1,
    }
    return {key: one for key, one in RULES[name].parameters.items() if means.get(key, True)}


def peaks_of(combined: Policy | None, site: SiteConfig) -> tuple[float, float]:
    """Return demand and month ratio from which a tuned combined rule stops; never without one."""
    if isinstance(combined, CombinedRule) and site.tariff.coincident_peaks:
        return float(combined.demand_ratio), float(combined.month_ratio)
    return NEVER, NEVER


def combined_from(tuned: Mapping[str, Policy], space: Space) -> list[Parameters]:
    """Return where the search for a combined rule begins besides its defaults.

    At the thresholds of the tuned rules that it combines, alone and with the peak shaver's.
    """
    by_price, by_worth = tuned.get(Hysteresis.name), tuned.get(LookAheadRule.name)
    shaver = tuned.get(PeakShaver.name)
    defaults = {name: one.default for name, one in space.items()}
    found: list[Parameters] = []
    if by_price is not None:
        found.append(defaults | numbers_of(by_price))
    if by_worth is not None:
        by_worth_alone = {"start_ratio": space["start_ratio"].high, "stop_ratio": 1.0}
        found.append(defaults | by_worth_alone | numbers_of(by_worth))
    if shaver is not None:
        found += [{**one, **numbers_of(shaver)} for one in found]
    return [{name: one[name] for name in space} for one in found]


def numbers_of(rule: Policy) -> dict[str, float]:
    """Return the parameters of a rule of the registry."""
    return {name: float(getattr(rule, name)) for name in RULES[rule.name].parameters}

"""What a policy owes to what it sees: play it with named groups of features put to zero."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from gridhash.agents.policy import Observations, Policy
from gridhash.config import SiteConfig
from gridhash.envs.observation import observation_table
from gridhash.envs.parameters import Floats
from gridhash.errors import PolicyError
from gridhash.training.contenders import Contender

FEATURE_GROUPS: Mapping[str, str] = {
    "calendar": r"(hour|weekday|season)_(sin|cos)|minutes_left",
    "price": r"price_per_kwh|break_even_per_kwh",
    "price_history": r"price_(mean|high)_.+h",
    "price_ahead": r"price_ratio_\d+|published_h|run_worth_.+",
    "rule": r"rule_load_frac_.+",
    "weather": r"outdoor_temp_c",
    "surplus": r"surplus_frac|pv_frac|quota_left_frac",
    "forecast": r"(surplus|pv)_[\d.]+h_q\d+",
    "fleet": r"(running|starting|locked_up|startable|load)_frac_.+|locked_(up|down)_min_.+",
    "heat": r"(chip|coolant)_temp_c_.+|tripped_.+",
    "demand_charge": r"month_peak_frac|ratchet_frac|metered_(mean_frac|share)",
    "area_demand": r"demand_(month_)?ratio(_\dh)?|peak_month",
    "balancing": r"(shortage|surplus)_price_ratio|(next_)?plan_frac|period_import_frac"
    r"|last_deviation_frac|bias_frac",
    "carbon": r"carbon_cost_ratio",
    "calls": r"(reduction|increase)_call_.+|committed_frac|baseline_frac|delivered_share"
    r"|calls_failed",
    "pauses": r"pause_.+",
    "held_capacity": r"held_(price_ratio|frac)|deployed_frac",
    "base_points": r"(next_)?base_point_frac|base_deviation_frac",
}
"""Groups by name, as a pattern of their features."""


def features_of(group: str, site: SiteConfig) -> list[int]:
    """Return the columns of a site's observation that belong to a group.

    Raises
    ------
    PolicyError
        If there is no such group, or the site has no feature of it.
    """
    if group not in FEATURE_GROUPS:
        raise PolicyError(
            f"no group of features is called {group!r}; there are {', '.join(FEATURE_GROUPS)}"
        )
    pattern = re.compile(FEATURE_GROUPS[group])
    columns = [k for k, f in enumerate(observation_table(site)) if pattern.fullmatch(f.name)]
    if not columns:
        raise PolicyError(
            f"{site.name} has no feature of the group {group}; it has {', '.join(groups_of(site))}"
        )
    return columns


def groups_of(site: SiteConfig) -> list[str]:
    """Return the groups of which a site's observation has features."""
    names = [feature.name for feature in observation_table(site)]
    return [
        group
        for group, pattern in FEATURE_GROUPS.items()
        if any(re.fullmatch(pattern, name) for name in names)
    ]


class WithoutFeatures:
    """A policy that finds zero where some features stand."""

    def __init__(self, policy: Policy, columns: Sequence[int]) -> None:
        self.policy = policy
        self.name = policy.name
        self.action_kind = policy.action_kind
        self._columns = np.array(columns, dtype=np.intp)

    def act(self, observation: Observations) -> Floats:
        """Return the action for the observation without these features."""
        seen = observation.copy()
        seen[:, self._columns] = 0.0
        return self.policy.act(seen)


def without(contender: Contender, groups: Sequence[str], site: SiteConfig) -> Contender:
    """Return a contender that plays without groups of features; others at other sites too.

    Raises
    ------
    PolicyError
        If there is no such group at the site.
    """

    def blind(policy: Policy, own: SiteConfig) -> Policy:
        columns = [column for group in groups for column in features_of(group, own)]
        return WithoutFeatures(policy, columns)

    build = contender.build
    return replace(
        contender,
        policy=blind(contender.policy, site),
        note="; ".join(filter(None, (contender.note, f"without {', '.join(groups)}"))),
        build=None if build is None else lambda other: blind(build(other), other),
    )

"""The gate between training and rigs: a policy is deployable if it beats the best tuned rule.

Rules are tuned on the newest year of the span that teaches and, like the policy, played on the
span that chooses, by the same code and from the same rest. The best of them is the one that earned
most there, which favours the rules. The policy passes if its profit above that rule, paired by
day, has a 95 % interval that lies above zero, or if it is that rule. See docs/decisions/0007.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pandas as pd

from gridhash.agents.bound import perfect_foresight_bound
from gridhash.agents.bundle_manifest import DataSpan, Gain, RuleSpec, Verdict, site_hash
from gridhash.agents.policy import Policy
from gridhash.agents.rule_registry import parameters_of
from gridhash.envs.scenario import Scenario
from gridhash.training.play import PolicyRun
from gridhash.training.progress import Show, silent_show
from gridhash.training.settled_days import settled_daily_profit
from gridhash.training.spans import Rows, Spans, ending_before
from gridhash.training.statistics import paired_difference
from gridhash.training.tuned_rules import played, tuned_rules


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """A policy beside the tuned rules, on the span that chooses."""

    verdict: Verdict
    """Of the policy."""
    best_rule: Policy
    rules: Mapping[str, Policy]
    """All of them, tuned."""

    @property
    def rule(self) -> RuleSpec:
        """The best rule, as a bundle holds it."""
        return self.verdict.rule

    @property
    def verdict_of_rule(self) -> Verdict:
        """The verdict of the best rule itself, which may always be deployed."""
        return self.verdict.model_copy(
            update={
                "deployable": True,
                "reason": _is_best(self.rule.rule, self.verdict.rule_profits),
                "policy_profit": self.verdict.rule_profits[self.rule.rule],
                "over_rule": None,
            }
        )


def judge(
    scenario: Scenario,
    spans: Spans,
    policy: Policy,
    *,
    judged_at: datetime,
    rules: Mapping[str, Policy] | None = None,
    with_bound: bool = True,
    progress: Show = silent_show,
) -> Judgement:
    """Play a policy and the tuned rules of a site on the span that chooses, and compare them.

    Nothing after that span is looked at. `rules` are tuned ones by name; those of the site, tuned
    on the span that teaches, if None. `with_bound` reckons what nobody could exceed beside them,
    which decides nothing.

    Raises
    ------
    PolicyError
        If the policy gives no usable action.
    """
    scenario = ending_before(scenario, spans.validate[1])
    if rules is None:
        rules = tuned_rules(scenario, spans.train, progress=progress)
    runs = {
        name: played(scenario, rule, spans.validate, f"rule {name}", progress)
        for name, rule in rules.items()
    }
    profits = {name: run.profit for name, run in runs.items()}
    best = max(profits, key=lambda name: profits[name])
    spec = RuleSpec(rule=best, parameters=parameters_of(rules[best]))
    own = played(scenario, policy, spans.validate, policy.name, progress)
    is_rule = policy.name == best and parameters_of(policy) == spec.parameters
    gain = None if is_rule else _gain(own, runs[best], scenario.site.timezone)
    bound = None
    if with_bound:
        bound = perfect_foresight_bound(
            scenario,
            spans.validate,
            opens_accounts=True,
            progress=lambda done, total: progress("bound", done, total),
        ).value
    verdict = Verdict(
        deployable=gain is None or gain.low > 0.0,
        reason=_is_best(best, profits) if gain is None else _in_words(gain, best, scenario),
        judged_at=judged_at,
        data=_span(scenario, spans.validate),
        site_sha256=site_hash(scenario.site),
        policy_profit=own.profit,
        rule=spec,
        rule_profits=profits,
        over_rule=gain,
        bound=bound,
    )
    return Judgement(verdict=verdict, best_rule=rules[best], rules=rules)


def _gain(own: PolicyRun, rule: PolicyRun, timezone: str) -> Gain:
    ours, theirs = (
        settled_daily_profit(run, timezone).to_numpy(dtype=np.float64) for run in (own, rule)
    )
    found = paired_difference(ours, theirs)
    return Gain(estimate=found.estimate, low=found.low, high=found.high)


def _is_best(rule: str, profits: Mapping[str, float]) -> str:
    return f"it is {rule}, the best of {len(profits)} tuned rules"


def _in_words(gain: Gain, rule: str, scenario: Scenario) -> str:
    figures = f"{gain.estimate:+,.0f} [{gain.low:+,.0f}, {gain.high:+,.0f}]"
    figures += f" {scenario.site.currency}"
    if gain.low > 0.0:
        return f"it earns {figures} more than {rule}, the best tuned rule"
    if gain.high < 0.0:
        return f"it earns less than {rule}, the best tuned rule: {figures}"
    return f"it is not clearly better than {rule}, the best tuned rule: {figures}"


def _span(scenario: Scenario, rows: Rows) -> DataSpan:
    index = scenario.trace.frame.index
    first, last = rows
    period = pd.Timedelta(seconds=scenario.trace.period_s)
    return DataSpan(
        role="validate",
        source=scenario.trace.source,
        area=scenario.trace.area,
        start=index[first].to_pydatetime(),
        end=(index[last - 1] + period).to_pydatetime(),
    )

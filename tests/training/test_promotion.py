"""Only what clearly beats the best tuned rule on data that chose nothing else may command rigs."""

from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
import pytest

from gridhash.agents.bundle_manifest import Verdict
from gridhash.agents.day_ahead_dp import DayAheadDP
from gridhash.agents.policy import Policy
from gridhash.agents.roster import baseline_policies
from gridhash.agents.rule_registry import RULES, build_rule
from gridhash.agents.rules import AlwaysOff, AlwaysOn, Hysteresis, LevelRule
from gridhash.envs.scenario import Scenario, build_scenario
from gridhash.training import tuned_rules
from gridhash.training.play import play
from gridhash.training.promotion import Judgement, judge
from gridhash.training.settled_days import settled_daily_profit
from gridhash.training.spans import Spans, ending_before
from gridhash.training.statistics import paired_difference

pytestmark = pytest.mark.usefixtures("quick_tuning")
NOW = datetime(2026, 9, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def two_months(scenario: Scenario) -> Scenario:
    """Return six weeks of spring with dear evenings and cheap nights around break-even."""
    trace = scenario.trace
    trace = trace.between(trace.starts[90 * 24], trace.starts[133 * 24])
    rng = np.random.default_rng(3)
    hour = np.arange(trace.n_rows) % 24
    prices = 0.045 + 0.02 * np.sin(2 * np.pi * (hour - 13) / 24) + rng.normal(0, 0.012, len(hour))
    return build_scenario(scenario.site, trace.with_columns({"price_per_kwh": prices}))


@pytest.fixture(scope="module")
def spans() -> Spans:
    return Spans(train=(24, 8 * 24), validate=(8 * 24, 29 * 24), test=(36 * 24, 43 * 24))


Told = list[tuple[str, int, int]]


@pytest.fixture(scope="module")
def told() -> Told:
    """Return what `of_planner` tells of its progress."""
    return []


@pytest.fixture(scope="module")
def of_planner(two_months: Scenario, spans: Spans, told: Told) -> Judgement:
    return judge(
        two_months,
        spans,
        DayAheadDP(two_months.site),
        judged_at=NOW,
        progress=lambda what, done, total: told.append((what, done, total)),
    )


def test_every_part_of_the_judgement_tells_that_it_is_done(
    of_planner: Judgement, told: Told
) -> None:
    parts = {"tune the rules", "day_ahead_dp", "bound"} | {
        f"rule {one}" for one in of_planner.rules
    }

    assert {what for what, _, _ in told} == parts
    assert {what for what, done, total in told if done == total} == parts


@pytest.fixture(scope="module")
def judged(two_months: Scenario, spans: Spans) -> Callable[[Policy], Verdict]:
    """Return a judge that tunes the rules once."""
    rules = tuned_rules.tuned_rules(ending_before(two_months, spans.validate[1]), spans.train)
    return lambda policy: (
        judge(two_months, spans, policy, judged_at=NOW, rules=rules, with_bound=False).verdict
    )


def test_the_verdict_s_figures_are_those_of_the_plays(
    of_planner: Judgement, two_months: Scenario, spans: Spans
) -> None:
    seen = ending_before(two_months, spans.validate[1])
    rules = baseline_policies(seen, spans.train, budget=tuned_rules.BUDGET)
    runs = {name: play(seen, rule, spans.validate) for name, rule in rules.items()}
    verdict = of_planner.verdict
    zone = seen.site.timezone

    assert verdict.rule_profits == {name: runs[name].profit for name in rules if name in RULES}
    assert verdict.policy_profit == runs["day_ahead_dp"].profit
    best = max(verdict.rule_profits, key=lambda name: verdict.rule_profits[name])
    assert verdict.rule.rule == best == of_planner.best_rule.name
    gain = paired_difference(
        settled_daily_profit(runs["day_ahead_dp"], zone).to_numpy(),
        settled_daily_profit(runs[best], zone).to_numpy(),
    )
    assert verdict.over_rule is not None
    assert (verdict.over_rule.low, verdict.over_rule.high) == (gain.low, gain.high)
    assert verdict.deployable is (gain.low > 0.0)
    assert verdict.bound is not None
    assert verdict.bound >= max(verdict.policy_profit, *verdict.rule_profits.values())
    starts = two_months.trace.starts
    assert (verdict.data.start, verdict.data.end) == (starts[8 * 24], starts[29 * 24])


def test_the_best_rule_comes_back_from_its_specification(
    of_planner: Judgement, two_months: Scenario
) -> None:
    rule, spec = of_planner.best_rule, of_planner.rule

    again = build_rule(spec.rule, spec.parameters, site=two_months.site)

    assert repr(again) == repr(rule) or type(again) is type(rule)
    verdict = of_planner.verdict_of_rule
    assert verdict.deployable
    assert verdict.over_rule is None
    assert verdict.policy_profit == verdict.rule_profits[spec.rule]
    assert verdict.reason == f"it is {spec.rule}, the best of 8 tuned rules"


def test_a_policy_that_loses_or_only_matches_is_not_deployable(
    judged: Callable[[Policy], Verdict], two_months: Scenario, of_planner: Judgement
) -> None:
    off = judged(AlwaysOff(two_months.site))
    twin = judged(Twin(of_planner.best_rule))

    assert not off.deployable
    assert off.reason.startswith("it earns less than")
    assert off.over_rule is not None
    assert off.over_rule.high < 0.0
    assert not twin.deployable, "as good as the rule is not better"
    assert twin.over_rule is not None
    assert (twin.over_rule.estimate, twin.over_rule.low) == (0.0, 0.0)
    assert "not clearly better than" in twin.reason


def test_the_best_rule_itself_is_deployable_and_one_of_other_parameters_is_not(
    judged: Callable[[Policy], Verdict], two_months: Scenario, of_planner: Judgement
) -> None:
    own = of_planner.verdict_of_rule.model_copy(update={"bound": None})
    assert judged(of_planner.best_rule) == own
    assert not judged(Hysteresis(two_months.site, start_ratio=0.5, stop_ratio=3.0)).deployable


def test_a_clear_winner_is_deployable(two_months: Scenario, spans: Spans) -> None:
    """Where starts cost and no rule looks ahead, the planner beats them."""
    rules = {rule.name: rule for rule in (AlwaysOn(two_months.site), LevelRule(two_months.site))}

    verdict = judge(
        two_months, spans, DayAheadDP(two_months.site), judged_at=NOW, rules=rules, with_bound=False
    ).verdict

    assert verdict.over_rule is not None
    assert verdict.over_rule.low > 0.0
    assert verdict.deployable
    assert verdict.reason.startswith("it earns +")


def test_what_lies_after_the_span_that_chooses_changes_nothing(
    two_months: Scenario, spans: Spans, of_planner: Judgement
) -> None:
    prices = two_months.trace.column("price_per_kwh").copy()
    prices[spans.validate[1] :] = 9.0
    other = build_scenario(
        two_months.site, two_months.trace.with_columns({"price_per_kwh": prices})
    )

    again = judge(other, spans, DayAheadDP(other.site), judged_at=NOW, with_bound=False)

    assert (
        again.verdict.model_copy(update={"bound": of_planner.verdict.bound}) == of_planner.verdict
    )


class Twin:
    """Another policy that does what a rule does."""

    name = "twin"

    def __init__(self, rule: Policy) -> None:
        self.rule = rule
        self.action_kind = rule.action_kind

    def act(self, observation: np.ndarray) -> np.ndarray:
        return self.rule.act(observation)

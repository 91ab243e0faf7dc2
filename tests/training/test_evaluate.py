import numpy as np
import numpy.typing as npt
import pytest

from gridhash.agents.bound import Bound, WindowBound
from gridhash.agents.day_ahead_dp import DayAheadDP
from gridhash.agents.policy import Policy
from gridhash.agents.rules import AlwaysOff, AlwaysOn, BreakEvenOnOff, LevelRule
from gridhash.envs.action import ActionKind
from gridhash.envs.ledger import LEDGER
from gridhash.envs.scenario import Scenario
from gridhash.errors import PolicyError
from gridhash.training.contenders import Contender
from gridhash.training.evaluate import Evaluation, PolicyScore, evaluate
from gridhash.training.spans import Rows


class Forgetful:
    """The day-ahead DP, but every so many groups stay off."""

    name = "learned"

    def __init__(self, scenario: Scenario, every: int) -> None:
        self.planner = DayAheadDP(scenario.site)
        self.action_kind = self.planner.action_kind
        self.every = every

    def act(self, observation: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        action = self.planner.act(observation).copy()
        action[:, :: self.every] = self.action_kind.low
        return action


def _score(evaluation: Evaluation, name: str) -> PolicyScore:
    return next(score for score in evaluation.scores if score.name == name)


def test_no_policy_passes_the_bound(evaluation: Evaluation) -> None:
    assert all(score.profit <= evaluation.bound.value for score in evaluation.scores)


def test_the_references_stand_at_the_ends_of_their_scales(evaluation: Evaluation) -> None:
    rule, planner = _score(evaluation, "level_rule"), _score(evaluation, "day_ahead_dp")

    assert rule.over_rule.estimate == rule.over_rule.low == rule.over_rule.high == 0.0
    assert rule.gap_closed is not None
    assert rule.gap_closed.estimate == 0.0
    assert planner.gap_closed is not None
    assert planner.gap_closed.estimate == 1.0
    assert _score(evaluation, "always_on").metrics["uplift_frac"] == pytest.approx(0.0, abs=1e-12)


def test_scores_follow_from_the_frame(evaluation: Evaluation, scenario: Scenario) -> None:
    for score in evaluation.scores:
        frame = evaluation.run(score.name).frame
        energy_kwh = (frame["site_kw"] / 12.0).sum()
        cost = sum(frame[t.name].sum() for t in LEDGER if t.sign < 0 and "wear" not in t.name)

        assert score.value("energy_mwh") == pytest.approx(energy_kwh / 1000.0)
        assert score.value("effective_price_per_kwh") == pytest.approx(cost / energy_kwh)
        assert score.metrics["surplus_captured_frac"] is None
        assert 0.0 < score.value("decision_us") <= score.value("decision_p99_us")
        assert score.daily.shape == (1, 10)
        assert score.daily.sum() == pytest.approx(score.profit)
    assert _score(evaluation, "always_on").value("fleet_starts") == pytest.approx(1.0)


def _seeds(scenario: Scenario, n: int) -> list[Contender]:
    """Return seeds of a learned policy, each a day-ahead DP that leaves other groups off."""
    return [
        Contender(name="learned", policy=Forgetful(scenario, every=k + 2), kind="learned", seed=k)
        for k in range(n)
    ]


def test_seeds_of_one_policy_are_one_policy_and_each_can_be_seen(
    scenario: Scenario, ten_days: Rows
) -> None:
    site = scenario.site
    rows = (ten_days[0], ten_days[0] + 96)

    result = evaluate(
        scenario, [AlwaysOn(site), LevelRule(site), DayAheadDP(site), *_seeds(scenario, 3)], rows
    )

    score = _score(result, "learned")
    assert [seed.seed for seed in score.seeds] == [0, 1, 2]
    profits = [result.run(f"learned-seed{k}").profit for k in range(3)]
    assert len(set(profits)) == 3
    assert score.profit == pytest.approx(np.mean(profits))
    assert score.over_rule.n_seeds == 3
    assert result.run("learned").profit == max(profits)


def test_a_seed_that_plays_twice_is_refused(scenario: Scenario, ten_days: Rows) -> None:
    site = scenario.site
    policies: list[Policy | Contender] = [
        AlwaysOn(site), LevelRule(site), DayAheadDP(site), *_seeds(scenario, 1) * 2,
    ]  # fmt: skip

    with pytest.raises(PolicyError, match="two policies are called learned-seed0"):
        evaluate(scenario, policies, ten_days)


def test_the_best_rule_is_no_planner_and_is_not_compared_with_itself(
    evaluation: Evaluation,
) -> None:
    assert evaluation.best_rule == "level_rule"
    assert _score(evaluation, "level_rule").over_best_rule is None
    over = _score(evaluation, "learned").over_best_rule
    assert over is not None
    assert over == _score(evaluation, "learned").over_rule


class Interrupted:
    """A policy during whose play somebody presses Ctrl-C."""

    name = "learned"
    action_kind = ActionKind.POWER

    def act(self, observation: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        raise KeyboardInterrupt


def test_ctrl_c_leaves_what_has_been_played(scenario: Scenario, ten_days: Rows) -> None:
    site = scenario.site
    kept: list[str] = []
    policies: list[Policy] = [
        AlwaysOff(site), AlwaysOn(site), LevelRule(site), DayAheadDP(site), Interrupted(),
        BreakEvenOnOff(site),
    ]  # fmt: skip

    result = evaluate(
        scenario,
        policies,
        (ten_days[0], ten_days[0] + 48),
        on_played=lambda run: kept.append(run.name),
    )

    assert result.stopped
    played = ["always_on", "level_rule", "day_ahead_dp", "always_off"]
    assert kept == played
    assert sorted(score.name for score in result.scores) == sorted(played)


def test_ctrl_c_before_there_is_anything_to_compare_with_ends_it(
    scenario: Scenario, ten_days: Rows
) -> None:
    class Early(Interrupted):
        name = "always_on"

    site = scenario.site
    with pytest.raises(KeyboardInterrupt):
        evaluate(scenario, [Early(), LevelRule(site), DayAheadDP(site)], ten_days)


def test_only_the_best_of_each_kind_keep_their_intervals_if_memory_is_dear(
    scenario: Scenario, ten_days: Rows
) -> None:
    site = scenario.site
    rows = (ten_days[0], ten_days[0] + 96)
    policies: list[Policy | Contender] = [
        AlwaysOn(site), LevelRule(site), DayAheadDP(site), AlwaysOff(site), BreakEvenOnOff(site),
        *_seeds(scenario, 3),
    ]  # fmt: skip

    all_kept = evaluate(scenario, policies, rows)
    some = evaluate(scenario, policies, rows, bound=all_kept.bound, keep_all=False)

    best = all_kept.score("learned").best_run
    assert {run.name for run in some.runs} == {
        "always_on", "level_rule", "day_ahead_dp", "break_even_on_off", best,
    }  # fmt: skip
    assert [s.daily_profit for score in some.scores for s in score.seeds] == [
        s.daily_profit for score in all_kept.scores for s in score.seeds
    ]


def test_a_bound_that_is_known_is_not_sought_again(
    scenario: Scenario, ten_days: Rows, evaluation: Evaluation
) -> None:
    site = scenario.site
    rows = (ten_days[0], ten_days[0] + 48)
    known = Bound(rows=rows, windows=(WindowBound(rows=rows, value=1e6, planned=1e6),))

    result = evaluate(
        scenario, [AlwaysOn(site), LevelRule(site), DayAheadDP(site)], rows, bound=known
    )

    assert result.bound is known


def test_without_anything_to_win_there_is_no_share_of_it(
    scenario: Scenario, ten_days: Rows
) -> None:
    site = scenario.site
    rows = (ten_days[0], ten_days[0] + 48)
    low = Bound(rows=rows, windows=(WindowBound(rows=rows, value=-1e6, planned=-1e6),))

    result = evaluate(
        scenario, [AlwaysOn(site), LevelRule(site), DayAheadDP(site)], rows, bound=low
    )

    assert all(score.metrics["uplift_frac"] is None for score in result.scores)


def test_progress_names_every_policy_and_the_bound(scenario: Scenario, ten_days: Rows) -> None:
    site = scenario.site
    told: list[str] = []

    evaluate(
        scenario,
        [AlwaysOn(site), LevelRule(site), DayAheadDP(site)],
        (ten_days[0], ten_days[0] + 48),
        progress=lambda name, done, total: told.append(name),
    )

    assert list(dict.fromkeys(told)) == ["always_on", "level_rule", "day_ahead_dp", "bound"]


@pytest.mark.parametrize("missing", ["always_on", "level_rule", "day_ahead_dp"])
def test_a_missing_reference_is_refused_by_name(
    missing: str, scenario: Scenario, ten_days: Rows
) -> None:
    site = scenario.site
    policies: list[Policy] = [AlwaysOn(site), LevelRule(site), DayAheadDP(site)]

    with pytest.raises(PolicyError, match=f"{missing} is missing"):
        evaluate(scenario, [p for p in policies if p.name != missing], ten_days)


def test_two_policies_of_one_name_are_refused(scenario: Scenario, ten_days: Rows) -> None:
    site = scenario.site
    policies: list[Policy] = [AlwaysOn(site), LevelRule(site), DayAheadDP(site), LevelRule(site)]

    with pytest.raises(PolicyError, match="two policies are called level_rule"):
        evaluate(scenario, policies, ten_days)


def test_the_shares_of_the_bound_rise_with_profit(evaluation: Evaluation) -> None:
    ranked = sorted(evaluation.scores, key=lambda score: score.profit)
    shares = [score.value("uplift_frac") for score in ranked]

    assert len(shares) == 4
    assert (np.diff(shares) > 0).all()
    assert shares[-1] <= 1.0

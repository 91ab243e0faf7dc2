"""Learning that begins at a tuned rule: the rule at first, and again if nothing was gained."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gridhash.agents.policy import Policy
from gridhash.agents.roster import tuned_policy
from gridhash.agents.rule_registry import parameters_of
from gridhash.agents.rules import Hysteresis, LookAheadRule
from gridhash.envs.scenario import Scenario
from gridhash.errors import TrainingError
from gridhash.training.config import ImprovementSettings, TrainingConfig
from gridhash.training.play import play
from gridhash.training.spans import Spans

pytest.importorskip("stable_baselines3")

from gridhash.agents.relative_policy import RelativePolicy
from gridhash.training.learner import Learner
from gridhash.training.network import actor_weights
from gridhash.training.progress import silent
from gridhash.training.tuned_rules import best_rule

pytestmark = pytest.mark.usefixtures("quick_tuning")
Beginner = Callable[..., Learner]


@pytest.fixture
def begun(
    four_weeks: Scenario, four_week_spans: Spans, tiny_training: TrainingConfig, tmp_path: Path
) -> Beginner:
    def make(folder: str = "run", **settings: object) -> Learner:
        plays = ImprovementSettings(n_rounds=1, n_states=200, horizon_h=6.0, n_epochs=2)
        values = tiny_training.model_dump() | {"improvement": plays.model_dump()}
        config = TrainingConfig.model_validate(values | {"begin_at": "best_rule"} | settings)
        rule = Hysteresis(four_weeks.site, start_ratio=0.95, stop_ratio=1.05)
        return Learner(four_weeks, four_week_spans, config, tmp_path / folder, rule=rule)

    return make


def test_it_begins_at_the_rule_and_acts_by_its_kind(
    begun: Beginner, four_weeks: Scenario, four_week_spans: Spans
) -> None:
    learner = begun()
    policy = learner.run(silent)
    assert learner.teacher is not None
    expected = play(four_weeks, learner.teacher, four_week_spans.validate).profit
    assert learner.state.start_days.sum() == pytest.approx(expected, rel=1e-12)
    assert isinstance(policy, RelativePolicy)
    assert policy.action_kind is learner.teacher.action_kind
    moved = actor_weights(learner.model.policy)["output.weight"]
    assert np.abs(moved).max() > 0.0, "the rounds and PPO learned something"


def test_the_start_is_kept_where_nothing_is_gained(begun: Beginner) -> None:
    learner = begun()
    learner.run(silent)
    learner.state.best_days = learner.state.start_days.copy()
    policy = learner.best_policy()
    assert not learner.improved
    assert not policy.weights["output.weight"].any()
    assert learner.kept_validation == learner.state.start_days.sum()


def test_a_run_that_began_at_a_rule_resumes_to_the_same_bits(begun: Beginner) -> None:
    whole = begun("whole")
    whole.run(silent)

    class Crash(BaseException):
        pass

    def crash(phase: str, done: int, total: int, profit: float | None) -> None:
        if phase == "ppo" and done == 2:
            raise Crash

    broken = begun("broken")
    with pytest.raises(Crash):
        broken.run(crash)
    resumed = begun("broken")
    resumed.run(silent, resume=True)
    first, second = (actor_weights(one.model.policy) for one in (whole, resumed))
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name], err_msg=name)


def test_levels_begin_as_a_clone_of_the_rule(begun: Beginner) -> None:
    learner = begun(action="levels", algorithm="maskable_ppo")
    learner.run(silent)
    agreement = [
        one.values["agreement"] for one in learner.state.records if "agreement" in one.values
    ]
    assert agreement[-1] > agreement[0]


def test_a_rule_and_the_setting_go_together(
    four_weeks: Scenario, four_week_spans: Spans, tiny_training: TrainingConfig, tmp_path: Path
) -> None:
    rule = LookAheadRule(four_weeks.site)
    with pytest.raises(TrainingError, match="begin_at"):
        Learner(four_weeks, four_week_spans, tiny_training, tmp_path, rule=rule)
    with pytest.raises(ValueError, match="sac cannot begin at best_rule"):
        TrainingConfig(begin_at="best_rule", algorithm="sac")


def test_tuned_rules_are_kept_one_by_one_for_the_same_site_and_rows_alone(
    four_weeks: Scenario,
    four_week_spans: Spans,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []

    def tuned(name: str, scenario: Scenario, rows: tuple[int, int], **given: Any) -> Policy:
        asked.append(name)
        if len(asked) == 5:
            raise KeyboardInterrupt
        return tuned_policy(name, scenario, rows, **given)

    monkeypatch.setattr("gridhash.training.tuned_rules.tuned_policy", tuned)
    path = tmp_path / "rules.json"
    with pytest.raises(KeyboardInterrupt):
        best_rule(four_weeks, four_week_spans, path)
    first = best_rule(four_weeks, four_week_spans, path)
    n_rules = len(first.rules)
    assert len(asked) == n_rules + 1, "only the one that was cut off is tuned again"

    again = best_rule(four_weeks, four_week_spans, path)
    assert len(asked) == n_rules + 1
    assert again.rule.name == first.rule.name
    assert parameters_of(again.rule) == parameters_of(first.rule)
    assert again.profit == first.profit
    assert again.profit == play(four_weeks, first.rule, four_week_spans.validate).profit

    low, high = four_week_spans.train
    best_rule(four_weeks, replace(four_week_spans, train=(low, high - 1)), path)
    assert len(asked) == 2 * n_rules + 1

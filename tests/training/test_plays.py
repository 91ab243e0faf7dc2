"""Plays spread as jobs are the plays of one process to the bit, and are not done twice."""

from pathlib import Path

import pandas as pd
import pytest

from gridhash.agents.day_ahead_dp import DayAheadDP
from gridhash.agents.policy import Policy
from gridhash.agents.rules import AlwaysOn, Hysteresis, LevelRule
from gridhash.envs.scenario import Scenario
from gridhash.training.cluster import Workers
from gridhash.training.contenders import Contender, contender_of
from gridhash.training.evaluate import evaluate
from gridhash.training.play import play
from gridhash.training.plays import Plays, play_all
from gridhash.training.spans import Rows


@pytest.fixture(scope="module")
def contenders(scenario: Scenario) -> list[Contender]:
    site = scenario.site
    policies: list[Policy] = [AlwaysOn(site), LevelRule(site), DayAheadDP(site), Hysteresis(site)]
    return [contender_of(policy) for policy in policies]


@pytest.fixture
def plays(scenario: Scenario, contenders: list[Contender], ten_days: Rows, tmp_path: Path) -> Plays:
    return play_all(scenario, contenders, ten_days, folder=tmp_path, workers=Workers())


def test_an_evaluation_of_jobs_is_that_of_one_process(
    scenario: Scenario, contenders: list[Contender], ten_days: Rows, plays: Plays
) -> None:
    of_jobs = evaluate(scenario, contenders, ten_days, played=plays.runs, bound=plays.bound)
    alone = evaluate(scenario, contenders, ten_days)

    assert of_jobs.bound == alone.bound
    for a, b in zip(of_jobs.runs, alone.runs, strict=True):
        pd.testing.assert_frame_equal(a.frame, b.frame, check_exact=True)
        assert (a.name, a.liability) == (b.name, b.liability)
    assert [s.daily.tolist() for s in of_jobs.scores] == [s.daily.tolist() for s in alone.scores]
    assert [s.over_rule for s in of_jobs.scores] == [s.over_rule for s in alone.scores]


def test_only_what_changed_is_played_again(
    scenario: Scenario,
    contenders: list[Contender],
    ten_days: Rows,
    plays: Plays,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    played: list[str] = []

    def counted(scenario: Scenario, policy: Policy, rows: Rows) -> object:
        played.append(policy.name)
        return play(scenario, policy, rows)

    monkeypatch.setattr("gridhash.training.plays.play", counted)
    changed = [
        *contenders[:-1],
        contender_of(Hysteresis(scenario.site, start_ratio=0.4, stop_ratio=2.0)),
    ]

    again = play_all(scenario, changed, ten_days, folder=tmp_path, workers=Workers())

    assert played == ["hysteresis"]
    assert again.runs["level_rule"].profit == plays.runs["level_rule"].profit
    assert again.runs["hysteresis"].profit != plays.runs["hysteresis"].profit

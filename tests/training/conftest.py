"""Real days, clock change included, played by every policy; settings for very short training."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from gridhash.agents.day_ahead_dp import DayAheadDP
from gridhash.agents.policy import Policy
from gridhash.agents.rules import AlwaysOn, LevelRule
from gridhash.config import load_site
from gridhash.data.samples import load_sample
from gridhash.envs.scenario import Scenario, build_scenario
from gridhash.training.config import ImitationSettings, PpoSettings, TrainingConfig
from gridhash.training.evaluate import Evaluation, evaluate
from gridhash.training.spans import Rows, Spans


class ForgetfulPlanner:
    """A stand-in for a learned policy: the day-ahead DP, but every third group stays off."""

    name = "learned"

    def __init__(self, scenario: Scenario) -> None:
        self.planner = DayAheadDP(scenario.site)
        self.action_kind = self.planner.action_kind

    def act(self, observation: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        action = self.planner.act(observation).copy()
        action[:, ::3] = self.action_kind.low
        return action


@pytest.fixture(scope="session")
def scenario() -> Scenario:
    return build_scenario(load_site("europe_sample"), load_sample("nl_2018"))


@pytest.fixture(scope="session")
def ten_days(scenario: Scenario) -> Rows:
    first = scenario.row_at(pd.Timestamp("2018-10-24", tz="Europe/Amsterdam"))
    return first, first + 10 * 24 + 1


@pytest.fixture(scope="session")
def evaluation(scenario: Scenario, ten_days: Rows) -> Evaluation:
    site = scenario.site
    policies: list[Policy] = [
        AlwaysOn(site),
        LevelRule(site),
        DayAheadDP(site),
        ForgetfulPlanner(scenario),
    ]
    return evaluate(scenario, policies, ten_days)


@pytest.fixture(scope="session")
def as_learned() -> Callable[[Evaluation, str], Evaluation]:
    return _as_learned


def _as_learned(evaluation: Evaluation, name: str) -> Evaluation:
    """Return the evaluation as if `learned` had played what `name` played."""
    run, score = evaluation.run(name), next(s for s in evaluation.scores if s.name == name)
    return replace(
        evaluation,
        runs=tuple(
            replace(run, name="learned") if r.name == "learned" else r for r in evaluation.runs
        ),
        scores=tuple(
            replace(score, name="learned", kind="learned") if s.name == "learned" else s
            for s in evaluation.scores
        ),
    )


@pytest.fixture(scope="session")
def four_weeks(scenario: Scenario) -> Scenario:
    trace = scenario.trace
    return build_scenario(scenario.site, trace.between(trace.start, trace.starts[28 * 24]))


@pytest.fixture(scope="session")
def four_week_spans() -> Spans:
    return Spans(train=(24, 21 * 24), validate=(21 * 24, 24 * 24), test=(24 * 24, 28 * 24))


@pytest.fixture(scope="session")
def tiny_training() -> TrainingConfig:
    """Return a run of a second: 2 epochs of cloning, 2 critic iterations, 4 of PPO."""
    return TrainingConfig(
        seed=3,
        hidden=(16,),
        imitation=ImitationSettings(
            n_samples=300, n_price_shifts=3, n_epochs=2, batch_size=100, learning_rate=2e-3
        ),
        ppo=PpoSettings(
            n_iterations=6,
            n_critic_iterations=2,
            n_envs=4,
            n_steps=16,
            batch_size=64,
            n_epochs=2,
            learning_rate=3e-3,
            max_kl_to_clone=1e6,
            episode_days=0.25,
        ),
        validate_every=2,
    )

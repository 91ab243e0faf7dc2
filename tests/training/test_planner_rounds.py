"""Imitation of the rolling planner: near its power is good, by the stake, resumed exactly."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gridhash.agents.mpc import RollingPlanner
from gridhash.envs.scenario import Scenario
from gridhash.training.config import ImitationSettings, ImprovementSettings, TrainingConfig
from gridhash.training.oracle import Oracle, clairvoyant_oracle, look_back, standing
from gridhash.training.planner_rounds import compare_to_planner, planner_of
from gridhash.training.rollouts import Comparison
from gridhash.training.spans import Spans
from tests.training.test_rollouts import ZeroShadow

pytest.importorskip("stable_baselines3")

import torch

from gridhash.training.learner import Learner
from gridhash.training.progress import silent

ROWS = (24, 20 * 24)
SHADOWS = np.array([-1.0, -0.2, 0.0, 0.2, 1.0])


@pytest.fixture(scope="module")
def oracle(four_weeks: Scenario) -> Oracle:
    return clairvoyant_oracle(four_weeks, ROWS, n_weeks=2, rng=np.random.default_rng(1))


def asked(oracle: Oracle, policy: Any, n: int) -> tuple[Comparison, dict[str, float], list[int]]:
    told: list[int] = []
    found, figures = compare_to_planner(
        oracle,
        policy,
        rows=ROWS,
        actions=SHADOWS if isinstance(policy, ZeroShadow) else np.array([0.0, 0.5, 1.0]),
        n_states=n,
        rng=np.random.default_rng(7),
        tell=lambda done, total: told.append(done),
    )
    return found, figures, told


def test_the_action_that_draws_what_the_planner_draws_is_the_best(
    oracle: Oracle, four_weeks: Scenario
) -> None:
    found, figures, told = asked(oracle, ZeroShadow(four_weeks.n_groups), 60)
    seen = look_back(
        oracle, ZeroShadow(four_weeks.n_groups), actions=SHADOWS, n_states=60,
        rng=np.random.default_rng(7), every_group=True,
    )  # fmt: skip

    assert told == [1, 2]
    planner = RollingPlanner(four_weeks.site)
    wanted = planner.act(found.observation[::4]).ravel()
    np.testing.assert_array_equal(found.group, np.tile(np.arange(4), 60))
    power = np.concatenate([one.power_frac for one in seen])
    stake = np.concatenate([one.stake for one in seen])
    reached = np.abs(power - wanted[:, None]) < 1e-6
    decided = reached.any(axis=1) & (stake > 0.0) & (np.ptp(power, axis=1) > 0.1)
    assert decided.sum() > 10
    best = found.gain.max(axis=1, keepdims=True) - found.gain < 1e-6
    np.testing.assert_array_equal(best[decided], reached[decided])
    spread = np.ptp(found.gain, axis=1)[decided]
    np.testing.assert_allclose(spread, (stake * np.ptp(power, axis=1))[decided], rtol=1e-4)
    assert figures["agreement_clairvoyant"] == standing(seen)["agreement_clairvoyant"]
    assert 0.0 < figures["planner_clairvoyant"] <= 1.0


def test_the_planner_agrees_with_itself_and_loses_little_to_the_clairvoyant(
    oracle: Oracle, four_weeks: Scenario
) -> None:
    planner = planner_of(four_weeks, ROWS)
    _, own, _ = asked(oracle, planner, 6)
    _, rule, _ = asked(oracle, ZeroShadow(four_weeks.n_groups), 60)

    assert own["agreement_planner"] == pytest.approx(1.0)
    assert own["agreement_clairvoyant"] == own["planner_clairvoyant"]
    assert rule["agreement_planner"] < 1.0
    assert rule["regret"] > 0.0


def test_rounds_with_the_planner_bring_the_actor_nearer_and_resume_to_the_bit(
    four_weeks: Scenario, four_week_spans: Spans, tiny_training: TrainingConfig, tmp_path: Path
) -> None:
    config = tiny_training.model_copy(
        update={
            "action": "power",
            "imitation": ImitationSettings(
                n_samples=300, n_epochs=1, n_oracle_rounds=1, n_planner_rounds=2, oracle_weeks=1,
                n_planner_states=80, n_price_shifts=0,
            ),
            "improvement": ImprovementSettings(
                n_rounds=0, n_states=8, n_epochs=20, batch_size=40, learning_rate=5e-3
            ),
            "ppo": tiny_training.ppo.model_copy(update={"n_iterations": 0}),
        }
    )  # fmt: skip

    class Crash(BaseException):
        pass

    def crash(phase: str, done: int, total: int, profit: float | None) -> None:
        if (phase, done) == ("planner", 2):
            raise Crash

    whole = Learner(four_weeks, four_week_spans, config, tmp_path / "whole")
    whole.run(silent)
    with pytest.raises(Crash):
        Learner(four_weeks, four_week_spans, config, tmp_path / "parts").run(crash)
    torch.manual_seed(99)
    resumed = Learner(four_weeks, four_week_spans, config, tmp_path / "parts")
    resumed.run(silent, resume=True)

    rounds = [r for r in whole.state.records if "regret" in r.values]
    assert [(r.phase, r.step) for r in rounds] == [
        ("oracle", 1), ("planner", 2), ("planner", 3),
    ]  # fmt: skip
    agreed = [r.values["agreement_planner"] for r in rounds[1:]]
    assert agreed[-1] > agreed[0]
    assert repr(whole.state.records) == repr(resumed.state.records)
    for name, array in whole.state.best_weights.items():
        np.testing.assert_array_equal(array, resumed.state.best_weights[name])

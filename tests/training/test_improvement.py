"""The fit to comparisons: its slope is that of what is earned, and it earns more."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridhash.envs.scenario import Scenario
from gridhash.training.config import ImprovementSettings, TrainingConfig
from gridhash.training.spans import Spans

pytest.importorskip("stable_baselines3")

import torch

from gridhash.training.improvement import SHADOW_PRICES, interpolated
from gridhash.training.learner import Learner
from gridhash.training.network import actor_weights, load_actor
from gridhash.training.play import play
from gridhash.training.progress import silent
from gridhash.training.runtime import runtime_policy


@given(
    own=st.floats(-1.0, 1.0),
    gain=st.lists(st.floats(-50.0, 50.0), min_size=9, max_size=9),
)
def test_between_two_actions_worth_is_linear(own: float, gain: list[float]) -> None:
    actions = torch.tensor([SHADOW_PRICES])
    at = torch.tensor([own], requires_grad=True)
    worth = interpolated(at, actions, torch.tensor([gain]))
    expected = np.interp(own, SHADOW_PRICES, gain)
    assert float(worth.detach()) == pytest.approx(expected, abs=1e-3)
    worth.sum().backward()
    assert at.grad is not None
    slopes = np.diff(gain) / np.diff(SHADOW_PRICES)
    assert np.abs(slopes - float(at.grad)).min() <= 1e-3 * max(1.0, np.abs(slopes).max())


@pytest.fixture(scope="module")
def improving(tiny_training: TrainingConfig) -> TrainingConfig:
    """Return a run that learns from comparisons alone: nothing is cloned, PPO does nothing."""
    return tiny_training.model_copy(
        update={
            "imitation": tiny_training.imitation.model_copy(update={"n_epochs": 0}),
            "ppo": tiny_training.ppo.model_copy(update={"n_iterations": 0}),
            "improvement": ImprovementSettings(
                n_rounds=2, n_states=600, horizon_h=12.0, n_epochs=12, batch_size=100
            ),
        }
    )


def test_an_actor_that_knows_nothing_comes_to_earn_more(
    four_weeks: Scenario,
    four_week_spans: Spans,
    improving: TrainingConfig,
    tmp_path: Path,
) -> None:
    learner = Learner(four_weeks, four_week_spans, improving, tmp_path)
    weights = actor_weights(learner.model.policy)
    weights["output.weight"][:] = 0.0
    weights["output.bias"][:] = 0.0
    load_actor(learner.model.policy, weights)
    rule = runtime_policy(weights)
    before = play(four_weeks, rule, four_week_spans.train).profit
    policy = learner.run(silent)
    after = play(four_weeks, policy, four_week_spans.train).profit
    assert [r.step for r in learner.state.records if r.phase == "improve"][-1] == 2
    assert after > before


def test_weights_come_back_as_they_were(
    four_weeks: Scenario, four_week_spans: Spans, improving: TrainingConfig, tmp_path: Path
) -> None:
    learner = Learner(four_weeks, four_week_spans, improving, tmp_path)
    weights = actor_weights(learner.model.policy)
    changed = {name: array + 1.0 for name, array in weights.items()}
    load_actor(learner.model.policy, changed)
    for name, array in actor_weights(learner.model.policy).items():
        wanted = weights if name.startswith("normalise") else changed
        np.testing.assert_array_equal(array, wanted[name], err_msg=name)

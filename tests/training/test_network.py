"""What torch trains is what NumPy runs, normalisation included."""

from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
import pytest

from gridhash.agents.numpy_policy import MlpPolicy
from gridhash.envs.action import ActionKind

pytest.importorskip("stable_baselines3")

import torch
from stable_baselines3.common.policies import ActorCriticPolicy

from gridhash.training.imitation import mean_action
from gridhash.training.network import (
    NORMALISED_CLIP,
    actor_weights,
    normalisation,
    policy_kwargs,
)

N_FEATURES, N_GROUPS = 12, 3
Floats32 = npt.NDArray[np.float32]


def make_policy(
    *, seed: int = 0, hidden: tuple[int, ...] = (24, 16), center: float = 0.0, scale: float = 1.0
) -> ActorCriticPolicy:
    torch.manual_seed(seed)
    return ActorCriticPolicy(
        gymnasium.spaces.Box(-1e4, 1e4, (N_FEATURES,), np.float32),
        gymnasium.spaces.Box(-1.0, 1.0, (N_GROUPS,), np.float32),
        lambda _: 1e-3,
        **policy_kwargs(
            hidden,
            np.full(N_FEATURES, center, dtype=np.float32),
            np.full(N_FEATURES, scale, dtype=np.float32),
            0.05,
        ),
    )


def on_site(policy: ActorCriticPolicy) -> MlpPolicy:
    return MlpPolicy(
        actor_weights(policy),
        name="x",
        action_kind=ActionKind.SHADOW_PRICE,
        clip=NORMALISED_CLIP,
    )


def sample(n: int, *, spread: float, seed: int = 0) -> Floats32:
    rng = np.random.default_rng(seed)
    return (40.0 + spread * rng.standard_normal((n, N_FEATURES))).astype(np.float32)


@pytest.mark.parametrize("hidden", [(24,), (24, 16), (8, 8, 8)])
@pytest.mark.parametrize("spread", [5.0, 500.0])
def test_numpy_gives_the_mean_action_of_torch(hidden: tuple[int, ...], spread: float) -> None:
    policy = make_policy(hidden=hidden, center=40.0, scale=5.0)
    observation = sample(512, spread=spread)  # inputs within the clip, or beyond it
    with torch.no_grad():  # actions within and beyond the bounds
        typical = mean_action(policy, torch.as_tensor(observation)).abs().mean()
        last: Any = policy.action_net
        last.weight /= typical

    action = on_site(policy).act(observation)

    with torch.no_grad():
        expected = mean_action(policy, torch.as_tensor(observation)).numpy()
        chosen, _ = policy.predict(observation, deterministic=True)
    assert 0.2 < (np.abs(expected) > 1.0).mean() < 0.8
    np.testing.assert_allclose(action, expected.clip(-1.0, 1.0), rtol=0, atol=1e-6)
    np.testing.assert_allclose(action, chosen.clip(-1.0, 1.0), rtol=0, atol=1e-6)


def test_weights_given_out_do_not_follow_later_training() -> None:
    policy = make_policy()
    weights = actor_weights(policy)
    kept = {name: array.copy() for name, array in weights.items()}
    with torch.no_grad():
        for tensor in policy.state_dict().values():
            tensor += 1.0

    for name, array in weights.items():
        np.testing.assert_array_equal(array, kept[name])


def test_normalisation_is_mean_and_deviation_in_float64() -> None:
    observation = sample(4000, spread=3.0)
    observation[:, 1] += 1e4  # float32 sums would lose the deviation

    center, scale = normalisation(observation)

    exact = observation.astype(np.float64)
    np.testing.assert_allclose(center, exact.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(scale, exact.std(axis=0), rtol=1e-6)
    assert center.dtype == scale.dtype == np.float32


def test_a_feature_that_never_varied_cannot_blow_up() -> None:
    observation = sample(100, spread=3.0)
    observation[:, 4] = 7.25
    observation[:, 5] = 0.1 + np.linspace(0.0, 1e-6, 100)  # no more than rounding

    center, scale = normalisation(observation)

    assert center[4] == 7.25
    assert center[5] == pytest.approx(0.1, abs=1e-5)
    assert scale[4] == scale[5] == 1.0
    assert (scale > 0.0).all()


def test_normalisation_is_kept_with_the_weights_and_never_trained() -> None:
    policy = make_policy(center=3.0, scale=2.0)
    trained = {name for name, _ in policy.named_parameters()}
    stored = policy.state_dict()

    assert not any("center" in name or "scale" in name for name in trained)
    held = [p for group in policy.optimizer.param_groups for p in group["params"]]
    assert len(held) == len(trained)
    constants = {name for name in stored if name.endswith((".center", ".scale"))}
    assert "features_extractor.center" in constants
    assert "features_extractor.scale" in constants

    other = make_policy(seed=1, center=-1.0, scale=9.0)
    other.load_state_dict(stored)
    observation = sample(64, spread=5.0)
    np.testing.assert_array_equal(on_site(other).act(observation), on_site(policy).act(observation))
    assert (actor_weights(other)["normalise.center"] == 3.0).all()


def test_actor_and_critic_share_no_weight() -> None:
    policy = make_policy()
    observation = torch.as_tensor(sample(32, spread=5.0))
    before = actor_weights(policy)

    policy.predict_values(observation).sum().backward()
    policy.optimizer.step()

    for name, array in actor_weights(policy).items():
        np.testing.assert_array_equal(array, before[name])

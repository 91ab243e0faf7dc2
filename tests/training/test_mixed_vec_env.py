"""Variants of a scenario side by side."""

import numpy as np
import pytest
from stable_baselines3 import PPO

from gridhash.envs.batched_site import EpisodeRules
from gridhash.envs.ledger import LEDGER
from gridhash.errors import ConfigError
from gridhash.training.mixed_vec_env import MixedVecEnv, randomised_vec_env

RULES = EpisodeRules(episode_days=2.0)


@pytest.fixture(scope="module")
def mixed() -> MixedVecEnv:
    return randomised_vec_env("SpotJapan", 7, RULES, n_variants=3, seed=5, days=40)


def test_each_site_steps_as_in_its_own_part(mixed: MixedVecEnv) -> None:
    twin = randomised_vec_env("SpotJapan", 7, RULES, n_variants=3, seed=5, days=40)
    actions = np.random.default_rng(1).uniform(-1, 1, (30, 7, 4)).astype(np.float32)
    mixed.reset()
    first = [part.reset() for part in twin.parts]
    assert [len(observation) for observation in first] == [2, 2, 3]
    for action in actions:
        together = mixed.step(action)
        apart = [
            part.step(action[own])
            for part, own in zip(twin.parts, (slice(0, 2), slice(2, 4), slice(4, 7)), strict=True)
        ]
        for k in range(3):
            np.testing.assert_array_equal(together[k], np.concatenate([step[k] for step in apart]))
        for name, width in (
            ("ledger", len(mixed.ledger_names)),
            ("record", len(mixed.record_names)),
        ):
            assert getattr(mixed, name).shape == (7, width)
            parts = np.concatenate([getattr(part, name) for part in twin.parts])
            np.testing.assert_array_equal(getattr(mixed, name), parts)
        signs = np.array([term.sign for term in LEDGER])
        np.testing.assert_allclose(mixed.ledger @ signs, mixed.profit, rtol=1e-12)


def test_variants_differ_and_stay_within_their_ranges(mixed: MixedVecEnv) -> None:
    prices = [part.scenario.market[:, 3].mean() for part in mixed.parts]
    assert len({round(float(price), 6) for price in prices}) == 3
    assert mixed.get_attr("scenario", [0, 1, 2])[0] is mixed.parts[0].scenario
    assert mixed.get_attr("scenario", [6])[0] is mixed.parts[2].scenario


def test_ppo_learns_on_it(mixed: MixedVecEnv) -> None:
    model = PPO("MlpPolicy", mixed, n_steps=8, batch_size=56, n_epochs=1, device="cpu", seed=0)
    before = [parameter.detach().clone() for parameter in model.policy.parameters()]
    model.learn(56)
    assert any(
        not bool((a == b).all()) for a, b in zip(before, model.policy.parameters(), strict=True)
    )


def test_more_variants_than_sites_are_refused() -> None:
    with pytest.raises(ConfigError, match="n_variants 8 must lie within 1 and n_envs, 7"):
        randomised_vec_env("SpotJapan", 7, RULES, n_variants=8, seed=0, days=40)

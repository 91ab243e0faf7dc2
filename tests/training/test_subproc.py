"""What most users try first: Stable-Baselines3 with single environments in their own processes."""

import warnings

import numpy as np
import pytest

from gridhash.data.samples import load_sample
from gridhash.envs.registration import SITE_ID

pytest.importorskip("stable_baselines3")

from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import SubprocVecEnv


def test_ppo_trains_on_spawned_single_environments() -> None:
    trace = load_sample("nl_2018")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        envs = make_vec_env(
            f"gridhash.envs.registration:{SITE_ID}",  # the workers import the registration
            n_envs=2,
            seed=0,
            env_kwargs={
                "site": "europe_sample",
                "trace": trace.between(trace.start, trace.starts[24 * 20]),
                "episode_days": 1.0,
            },
            vec_env_cls=SubprocVecEnv,
            vec_env_kwargs={"start_method": "spawn"},
        )
        try:
            model = PPO("MlpPolicy", envs, n_steps=160, batch_size=64, n_epochs=1, seed=0)
            before = [p.detach().clone() for p in model.policy.parameters()]
            model.learn(640)
            observation = envs.reset()
        finally:
            envs.close()

    assert isinstance(observation, np.ndarray)
    assert observation.shape == (2, *(envs.observation_space.shape or ()))
    assert (observation[0] != observation[1]).any()
    assert model.num_timesteps == 640
    assert [info["l"] for info in model.ep_info_buffer or ()] == [288, 288]
    after = list(model.policy.parameters())
    assert any(bool((a != b).any()) for a, b in zip(after, before, strict=True))

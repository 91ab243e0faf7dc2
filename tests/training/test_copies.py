"""Environments travel to other processes as they are, and go on there to the bit."""

import pickle
import subprocess
import sys
from typing import Any

import gymnasium
import numpy as np
import pytest

from gridhash.envs.batched_site import EpisodeRules
from gridhash.envs.named_scenario import open_named_scenario
from gridhash.envs.vector_env import MiningSiteVectorEnv

pytest.importorskip("stable_baselines3")

from gridhash.training.mixed_vec_env import MixedVecEnv
from gridhash.training.vec_env import SiteVecEnv

N_STEPS = 40
HOURS_3 = 0.125


def played(pickled: bytes) -> list[bytes]:
    """Return what a single environment, a spec, and three vector environments give."""
    env, spec, vector, sb3, mixed = pickle.loads(pickled)
    made = gymnasium.make(spec)
    made.reset(seed=2)
    rng = np.random.default_rng(4)
    seen = []
    for _ in range(N_STEPS):
        action = rng.uniform(-1, 1, 5).astype(np.float32)
        both = np.tile(action, (2, 1))
        steps = (env.step(action), made.step(action), vector.step(both), sb3.step(both))
        seen += [step[0].tobytes() + np.asarray(step[1]).tobytes() for step in steps]
        seen.append(mixed.step(both)[0].tobytes() + mixed.ledger.tobytes())
    return seen


def test_all_that_is_pickled_plays_on_in_another_process() -> None:
    """Single, by spec, Gymnasium's vector form, SB3's, and a mix: one process, to the bit."""
    pilot = open_named_scenario("JapanPilot", years=1, days=14)
    options: dict[str, Any] = {"episode_days": HOURS_3, "day_decisions": True}
    env = gymnasium.make(
        "gridhash.envs.registration:gridhash/JapanPilot-v0", scenario=pilot, **options
    )
    env.reset(seed=1)
    vector = MiningSiteVectorEnv(2, pilot, **options)
    vector.reset(seed=1)
    rules = EpisodeRules(**options)
    sb3 = SiteVecEnv(pilot, 2, rules, seed=1)
    mixed = MixedVecEnv([SiteVecEnv(pilot, 1, rules, seed=seed) for seed in (3, 4)])
    sb3.reset()
    mixed.reset()
    pickled = pickle.dumps((env, env.spec, vector, sb3, mixed))

    child = subprocess.run([sys.executable, __file__], input=pickled, capture_output=True)

    assert child.returncode == 0, child.stderr.decode()
    here = played(pickled)
    assert pickle.loads(child.stdout) == here
    assert len(set(here)) > N_STEPS, "what is seen moves"


if __name__ == "__main__":
    sys.stdout.buffer.write(pickle.dumps(played(sys.stdin.buffer.read())))

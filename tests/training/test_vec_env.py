"""The batched site gives the numbers of the single one by the contract of Stable-Baselines3."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from gridhash.envs.accounts import NEXT_COMMITTED_KW
from gridhash.envs.action import ActionKind
from gridhash.envs.batched_site import EpisodeRules
from gridhash.envs.ledger import LEDGER
from gridhash.envs.mining_site_env import MiningSiteEnv
from gridhash.envs.named_scenario import open_named_scenario
from gridhash.envs.scenario import Scenario, build_scenario
from gridhash.errors import ConfigError, PolicyError
from gridhash.training.spans import Rows

pytest.importorskip("stable_baselines3")

import torch
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecEnv, VecMonitor, VecNormalize

from gridhash.training.vec_env import SiteVecEnv

STEPS_PER_DAY = 288
Array = npt.NDArray[Any]
MakeEnv = Callable[..., SiteVecEnv]


@pytest.fixture
def make_env(four_weeks: Scenario) -> MakeEnv:
    def make(n_envs: int = 6, *, seed: int = 0, days: float = 0.25, **rules: Any) -> SiteVecEnv:
        return SiteVecEnv(four_weeks, n_envs, EpisodeRules(episode_days=days, **rules), seed=seed)

    return make


def actions_for(env: VecEnv, n_steps: int, seed: int = 1) -> list[Array]:
    space = env.action_space
    space.seed(seed)
    return [np.stack([space.sample() for _ in range(env.num_envs)]) for _ in range(n_steps)]


def stepped(env: VecEnv, action: Array) -> tuple[Array, Array, Array, list[dict[str, Any]]]:
    observation, reward, done, infos = env.step(action)
    assert isinstance(observation, np.ndarray)
    return observation, reward, done, infos


@pytest.mark.parametrize("kind", ActionKind)
@pytest.mark.parametrize("relative_reward", [True, False])
def test_a_day_gives_the_numbers_of_the_single_environment(
    kind: ActionKind, relative_reward: bool, four_weeks: Scenario, make_env: MakeEnv
) -> None:
    rules: dict[str, Any] = {"relative_reward": relative_reward}
    name: Any = kind.name.lower()
    env = make_env(3, days=2.0, action_kind=kind, **rules)
    single = MiningSiteEnv(four_weeks, action_kind=name, episode_days=2.0, **rules)
    start = four_weeks.trace.starts[5 * 24]
    env.reset()
    env.sites.start_at(5 * 24, running_frac=0.5)
    observation = env.sites.observe()
    alone, _ = single.reset(options={"start": start, "running_frac": 0.5})
    np.testing.assert_array_equal(observation[1], alone)

    for action in actions_for(env, STEPS_PER_DAY):
        observation, reward, done, _ = stepped(env, action)
        alone, alone_reward, _, _, _ = single.step(action[1])
        np.testing.assert_array_equal(observation[1], alone)
        assert reward[1] == np.float32(alone_reward)
        assert not done.any()


def test_an_episode_ends_as_a_time_limit_and_the_next_begins_within_the_step(
    make_env: MakeEnv, four_weeks: Scenario
) -> None:
    env = make_env(3)
    twin = MiningSiteEnv(four_weeks, episode_days=2.0)
    env.reset()
    env.sites.start_at(7 * 24, running_frac=1.0)
    env.sites.steps_left[:] = [2, 9, 9]
    twin.reset(options={"start": four_weeks.trace.starts[7 * 24], "running_frac": 1.0})
    first, second, third = actions_for(env, 3)

    _, _, done, infos = stepped(env, first)
    assert not done.any()
    assert infos == [{}, {}, {}]
    twin.step(first[0])

    observation, reward, done, infos = stepped(env, second)
    terminal, terminal_reward, _, _, _ = twin.step(second[0])
    assert done.tolist() == [True, False, False]
    assert infos[0]["TimeLimit.truncated"] is True
    np.testing.assert_array_equal(infos[0]["terminal_observation"], terminal)
    assert reward[0] == np.float32(terminal_reward), "the reward of the last step is paid"
    np.testing.assert_array_equal(observation, env.sites.observe())
    assert (observation[0] != terminal).any()
    assert env.sites.steps_left.tolist() == [env.sites.episode_steps, 7, 7]

    _, _, done, infos = stepped(env, third)
    assert not done.any()
    assert infos == [{}, {}, {}], "what was told once is not told again"


def test_ends_are_spread_at_first_and_a_whole_episode_apart_later(make_env: MakeEnv) -> None:
    env = make_env(64)
    env.reset()
    n_steps = env.sites.episode_steps
    ends = []
    for action in actions_for(env, 3 * n_steps):
        _, _, done, _ = stepped(env, action)
        ends.append(done.copy())
    table = np.array(ends)

    assert (table.sum(axis=0) == 3).all()
    for site in range(64):
        assert (np.diff(np.flatnonzero(table[:, site])) == n_steps).all()
    assert table.any(axis=1).sum() > n_steps, "ends do not come at once"


def test_play_stays_within_its_rows(make_env: MakeEnv) -> None:
    rows: Rows = (10 * 24, 12 * 24)
    env = make_env(64, days=0.5, rows=rows)
    env.reset()
    played = set()
    for action in actions_for(env, 2 * STEPS_PER_DAY):
        played |= set(env.sites.state.row.tolist())
        env.step(action)

    assert played == set(range(*rows)), "every row is played, and none beside them"


def test_observations_and_rewards_stay_as_they_were_given(make_env: MakeEnv) -> None:
    env = make_env(4, days=1 / 24)
    given = [env.reset()]
    rewards, terminal = [], []
    kept: list[Array] = [given[0].copy()]
    for action in actions_for(env, 40):
        observation, reward, _, infos = stepped(env, action)
        given.append(observation)
        kept.append(observation.copy())
        rewards.append((reward, reward.copy()))
        for info in infos:
            if info:
                terminal.append((info["terminal_observation"], info["terminal_observation"].copy()))

    assert terminal
    for now, then in [*zip(given, kept, strict=True), *rewards, *terminal]:
        np.testing.assert_array_equal(now, then)
    assert not any(np.shares_memory(given[-1], other) for other in given[:-1])


def test_writing_into_an_observation_changes_nothing_that_follows(make_env: MakeEnv) -> None:
    env, other = make_env(4, days=1 / 24), make_env(4, days=1 / 24)
    env.reset()[:] = np.nan
    other.reset()
    for action in actions_for(env, 30):
        observation, reward, _, infos = stepped(env, action)
        expected, expected_reward, _, _ = stepped(other, action)
        np.testing.assert_array_equal(observation, expected)
        np.testing.assert_array_equal(reward, expected_reward)
        observation[:] = np.nan
        reward[:] = np.nan
        for info in infos:
            if info:
                info["terminal_observation"][:] = np.nan


def test_actions_are_only_read(make_env: MakeEnv) -> None:
    env = make_env(4)
    env.reset()
    action = np.full((4, 4), 3.0, dtype=np.float32)  # beyond the bounds
    action.flags.writeable = False

    env.step(action)

    assert (action == 3.0).all()


def test_an_action_that_is_none_is_refused(make_env: MakeEnv) -> None:
    env = make_env(2)
    env.reset()
    with pytest.raises(PolicyError, match="group loop_b is nan"):
        env.step(np.array([[0, 0, 0, 0], [0, np.nan, 0, 0]], dtype=np.float32))
    with pytest.raises(PolicyError, match=r"shape \(1, 4\), expected \(2, 4\)"):
        env.step(np.zeros((1, 4), dtype=np.float32))


def test_the_seed_decides_every_start(make_env: MakeEnv) -> None:
    def starts(env: SiteVecEnv) -> list[list[int]]:
        rows = []
        env.reset()
        for action in actions_for(env, 80):
            rows.append(env.sites.state.row.tolist())
            env.step(action)
        return rows

    first = starts(make_env(seed=5))
    again, other = make_env(seed=5), make_env(seed=6)

    assert starts(again) == first
    assert starts(other) != first
    assert other.seed(5) == [5] * 6
    assert starts(other) == first


def test_observations_lie_in_the_space_and_have_its_type(make_env: MakeEnv) -> None:
    env = make_env(16, days=1 / 24)
    observations = [env.reset()]
    for action in actions_for(env, 60):
        observation, reward, done, infos = stepped(env, action)
        observations += [observation, *(i["terminal_observation"][None] for i in infos if i)]
        assert reward.dtype == np.float32
        assert reward.shape == done.shape == (16,)
        assert done.dtype == np.bool_
        assert len(infos) == 16

    assert all(env.observation_space.contains(row) for batch in observations for row in batch)


def test_the_methods_of_a_vec_env_answer_once_per_site(make_env: MakeEnv) -> None:
    env = make_env(3)

    assert isinstance(env, VecEnv)
    assert env.get_attr("num_envs") == [3, 3, 3]
    assert env.get_attr("num_envs", indices=1) == [3]
    assert env.get_attr("num_envs", indices=[0, 2]) == [3, 3]
    env.set_attr("note", "x")
    assert env.get_attr("note", indices=[0]) == ["x"]
    assert env.env_method("seed", 4, indices=[0, 1]) == [[4, 4, 4]] * 2
    assert env.env_is_wrapped(VecMonitor) == [False] * 3
    assert env.get_attr("render_mode") == [None] * 3
    env.close()


def test_the_wrappers_of_stable_baselines_count_its_episodes(make_env: MakeEnv) -> None:
    inner = make_env(4)
    env = VecNormalize(VecMonitor(inner), gamma=0.99)
    env.reset()
    inner.sites.steps_left[:] = 20
    total = np.zeros(4)
    ended: list[dict[str, Any]] = []
    for action in actions_for(env, 20):
        _, _, _, infos = stepped(env, action)
        total += env.get_original_reward()
        ended += [info["episode"] for info in infos if "episode" in info]

    assert [episode["l"] for episode in ended] == [20] * 4
    np.testing.assert_allclose([episode["r"] for episode in ended], total, atol=1e-5)


def test_values_go_on_past_the_end_of_an_episode(make_env: MakeEnv) -> None:
    env = make_env(4)
    seen: list[tuple[Array, list[dict[str, Any]]]] = []
    step = env.step_wait

    def watched() -> Any:
        result = step()
        seen.append((result[1].copy(), result[3]))
        return result

    env.step_wait = watched  # type: ignore[method-assign]
    model = PPO(
        "MlpPolicy",
        env,
        n_steps=env.sites.episode_steps,
        batch_size=4 * env.sites.episode_steps,
        n_epochs=1,
        learning_rate=1e-12,
        gamma=0.9,
        seed=0,
        device="cpu",
    )
    model.learn(4 * env.sites.episode_steps)

    n_ends = 0
    buffer = model.rollout_buffer.rewards.reshape(len(seen), 4)
    for t, (reward, infos) in enumerate(seen):
        expected = reward.astype(np.float64)
        for i, info in enumerate(infos):
            if info:
                n_ends += 1
                with torch.no_grad():
                    last = torch.as_tensor(info["terminal_observation"])[None]
                    expected[i] += 0.9 * float(model.policy.predict_values(last))
        np.testing.assert_allclose(buffer[t], expected, atol=1e-4)
    assert n_ends == 4


def test_ledger_and_record_are_arrays_over_all_sites(make_env: MakeEnv) -> None:
    env = make_env(4, days=1 / 24)
    env.reset()
    rewards = [stepped(env, action)[1] for action in actions_for(env, 15)]

    assert env.ledger.shape == (4, len(env.ledger_names))
    assert env.record.shape == (4, len(env.record_names))
    signs = np.array([term.sign for term in LEDGER])
    np.testing.assert_allclose(env.ledger @ signs, env.profit, rtol=1e-12)
    reference = env.record[:, env.record_names.index("reference_profit")]
    scale = env.scenario.params.reward_scale
    np.testing.assert_allclose((env.profit - reference) / scale, rewards[-1], rtol=1e-5)
    assert env.get_attr("ledger", indices=[2])[0] is env.ledger


@pytest.mark.parametrize("flat_levels", [True, False])
def test_maskable_ppo_learns_on_the_levels(four_weeks: Scenario, flat_levels: bool) -> None:
    sb3_contrib = pytest.importorskip("sb3_contrib")
    site = four_weeks.site.model_copy(update={"use_work_levels": False})
    scenario = build_scenario(site, four_weeks.trace)
    rules = EpisodeRules(episode_days=0.25, action_kind=ActionKind.LEVELS)
    env = SiteVecEnv(scenario, 4, rules, seed=0, flat_levels=flat_levels)
    model = sb3_contrib.MaskablePPO(
        "MlpPolicy", env, n_steps=16, batch_size=32, n_epochs=1, seed=0, device="cpu"
    )
    model.learn(128)

    observation = env.reset()
    masks = env.action_masks()
    assert masks.shape == (4, 2**4 if flat_levels else 2 * 4)
    assert all((a == b).all() for a, b in zip(env.env_method("action_masks"), masks, strict=True))
    action, _ = model.predict(observation, action_masks=masks)
    assert env.action_space.contains(action[0])
    rules = EpisodeRules(episode_days=0.25)
    with pytest.raises(ConfigError, match="rules of action kind LEVELS, found SHADOW_PRICE"):
        SiteVecEnv(scenario, 4, rules, seed=0, flat_levels=True)


def test_decisions_of_the_day_are_part_of_the_action() -> None:
    pilot = open_named_scenario("JapanPilot", years=1, days=14)
    rules = EpisodeRules(episode_days=2.0, day_decisions=True)
    env = SiteVecEnv(pilot, 2, rules, seed=0)
    plain = SiteVecEnv(pilot, 2, replace(rules, day_decisions=False), seed=0)
    assert env.action_space.shape == (5,)
    np.testing.assert_array_equal(env.reset(), plain.reset())
    rng = np.random.default_rng(1)
    bids_kw = set()
    for _ in range(STEPS_PER_DAY):
        action = rng.uniform(-1, 1, (2, 5)).astype(np.float32)
        action[0, 4] = 0.0
        expected_kw = env.sites.accounts.value[1, NEXT_COMMITTED_KW]
        if env.sites.gate_closes[1]:
            expected_kw = pilot.programs.committed_kw * min(1.0 + float(action[1, 4]), 1.0)
            bids_kw.add(float(expected_kw))
        observation, reward, _, _ = stepped(env, action)
        alone, alone_reward, _, _ = stepped(plain, action[:, :4])
        np.testing.assert_array_equal(observation[0], alone[0])
        assert reward[0] == alone_reward[0]
        assert env.sites.accounts.value[1, NEXT_COMMITTED_KW] == expected_kw
    assert len(bids_kw) == 1, "one gate a day"
    levels = replace(rules, action_kind=ActionKind.LEVELS)
    with pytest.raises(ConfigError, match="discrete levels cannot carry"):
        SiteVecEnv(pilot, 2, levels, seed=0)


def test_without_spread_ends_the_first_episode_is_whole_too(four_weeks: Scenario) -> None:
    rules = EpisodeRules(episode_days=0.25)
    env = SiteVecEnv(four_weeks, 4, rules, seed=0, spread_ends=False)
    env.reset()

    ends = [env.step(np.zeros((4, four_weeks.n_groups)))[2].all() for _ in range(72)]

    assert ends == [False] * 71 + [True]

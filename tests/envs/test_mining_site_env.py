"""The Gymnasium environments: API, episodes, resets, autoreset."""

import warnings
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pandas as pd
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode
from gymnasium.wrappers.vector import DictInfoToList, RecordEpisodeStatistics

import gridhash.envs.registration
from gridhash.config import SiteConfig, load_site, preset_names
from gridhash.data.trace import Trace
from gridhash.envs.kernel import RECORD
from gridhash.envs.ledger import LEDGER_NAMES
from gridhash.envs.mining_site_env import MiningSiteEnv
from gridhash.envs.registration import SITE_ID, register
from gridhash.envs.scenario import Scenario
from gridhash.envs.vector_env import MiningSiteVectorEnv
from gridhash.errors import ConfigError, DataError, PolicyError

MakeTrace = Callable[..., Trace]
IDS = [SITE_ID]
KINDS = ("shadow_price", "power", "levels", "flat_levels")
START = pd.Timestamp("2024-07-03 09:00", tz="Asia/Tokyo")


@pytest.fixture
def env(busy_scenario: Scenario) -> MiningSiteEnv:
    return MiningSiteEnv(busy_scenario, episode_days=1.0)


def test_importing_the_registration_registers_and_again_does_no_harm() -> None:
    ids = [name for name in gymnasium.registry if name.startswith("gridhash/")]
    register()

    assert [name for name in gymnasium.registry if name.startswith("gridhash/")] == ids
    assert gridhash.envs.registration.SITE_ID == "gridhash/MiningSite-v0"
    assert SITE_ID in ids


@pytest.mark.parametrize("env_id", IDS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("preset", preset_names())
def test_gymnasium_check_env_finds_nothing(
    env_id: str, kind: str, preset: str, make_trace: MakeTrace
) -> None:
    trace = make_trace(load_site(preset))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = gymnasium.make(env_id, site=preset, trace=trace, action_kind=kind, episode_days=1.0)
        check_env(env.unwrapped, skip_render_check=True)


@pytest.mark.parametrize("env_id", IDS)
def test_stable_baselines_check_env_finds_nothing(env_id: str, busy_scenario: Scenario) -> None:
    checker = pytest.importorskip("stable_baselines3.common.env_checker")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = gymnasium.make(env_id, scenario=busy_scenario, episode_days=1.0)
        checker.check_env(env.unwrapped, skip_render_check=True)


def test_make_without_data_plays_the_data_that_ship_with_the_package() -> None:
    for site, source in ((None, "nl_2018"), ("japan_pilot", "synthetic kyushu")):
        env = gymnasium.make(SITE_ID, site=site).unwrapped
        assert isinstance(env, MiningSiteEnv)
        assert source in env.scenario.trace.source
        observation, _ = env.reset(seed=0)
        assert env.observation_space.contains(observation)


def test_make_of_a_site_of_ones_own_without_prices_says_what_to_give(japan: SiteConfig) -> None:
    with pytest.raises(ConfigError, match="a scenario, or a site and a trace"):
        gymnasium.make(SITE_ID, site=japan)


def test_an_episode_is_truncated_at_its_end_and_never_terminated(env: MiningSiteEnv) -> None:
    env.reset(seed=1)
    ends = [env.step(env.action_space.sample())[2:4] for _ in range(288)]

    assert ends == [(False, False)] * 287 + [(False, True)]


def test_an_episode_near_the_end_of_the_data_is_truncated_there(env: MiningSiteEnv) -> None:
    env.reset(options={"start": env.scenario.trace.end - pd.Timedelta(minutes=60)})
    ends = [env.step(np.zeros(4, dtype=np.float32))[3] for _ in range(12)]

    assert ends == [False] * 11 + [True]
    with pytest.raises(DataError, match="end of the data"):
        env.step(np.zeros(4, dtype=np.float32))


def test_the_same_seed_gives_the_same_start_and_another_seed_another(env: MiningSiteEnv) -> None:
    first, again, other = (env.reset(seed=seed)[0].tobytes() for seed in (3, 3, 4))

    assert first == again
    assert first != other
    env.reset(seed=3)
    assert env.reset()[0].tobytes() != first


def test_reset_options_choose_instant_and_fleet(env: MiningSiteEnv) -> None:
    observation, _ = env.reset(options={"start": START, "running_frac": 0.25})
    seen = dict(zip([f.name for f in env.scenario.features], observation.tolist(), strict=True))

    assert seen["running_frac_loop_c"] == pytest.approx(0.25)
    row = env.scenario.row_at(START)
    assert seen["price_per_kwh"] == pytest.approx(env.scenario.market[row, 0], rel=1e-6)
    assert env.reset(options={"start": str(START)})[0].shape == observation.shape


@pytest.mark.parametrize(
    ("options", "error", "fault"),
    [
        ({"strat": START}, ConfigError, "found .'strat'."),
        ({"running_frac": 0.5}, ConfigError, "start and, with it, running_frac"),
        ({"start": START, "running_frac": 1.5}, ConfigError, "1.5 is outside 0"),
        ({"start": START, "running_frac": float("nan")}, ConfigError, "nan is outside 0"),
        ({"start": "2024-07-03 09:00"}, DataError, "no time zone"),
        ({"start": "2031-07-03T09:00+09:00"}, DataError, "outside the data"),
        ({"start": "2024-07-01T09:00+09:00"}, DataError, "row 18 cannot be played"),
    ],
)
def test_wrong_reset_options_are_refused(
    env: MiningSiteEnv, options: dict[str, Any], error: type[Exception], fault: str
) -> None:
    with pytest.raises(error, match=fault):
        env.reset(options=options)


def test_step_info_is_the_ledger_and_the_record(env: MiningSiteEnv) -> None:
    env.reset(seed=0, options={"start": START})
    *_, info = env.step(np.zeros(4, dtype=np.float32))

    assert set(info) == {"profit", *LEDGER_NAMES, *RECORD}
    assert all(type(value) is float for value in info.values())
    assert info["profit"] == pytest.approx(
        info["hash_revenue"]
        - info["import_energy_cost"]
        - info["adder_cost"]
        - info["surplus_energy_cost"]
        - info["start_wear_cost"]
    )


def test_actions_are_not_changed_and_observations_share_no_memory(env: MiningSiteEnv) -> None:
    first, _ = env.reset(seed=0)
    action = np.array([3.0, -3.0, 0.5, 0.1], dtype=np.float32)
    kept = [(first, first.copy())]
    for _ in range(5):
        observation, *_ = env.step(action)
        kept.append((observation, observation.copy()))

    assert action.tolist() == np.array([3.0, -3.0, 0.5, 0.1], dtype=np.float32).tolist()
    assert all((seen == copy).all() for seen, copy in kept)
    arrays = [seen for seen, _ in kept]
    pairs = [(a, b) for k, a in enumerate(arrays) for b in arrays[k + 1 :]]
    assert not any(np.shares_memory(a, b) for a, b in pairs)


def test_an_action_of_nan_is_refused_and_the_group_is_named(env: MiningSiteEnv) -> None:
    env.reset(seed=0)

    with pytest.raises(PolicyError, match="group loop_d is nan"):
        env.step(np.array([0, 0, 0, np.nan], dtype=np.float32))
    with pytest.raises(PolicyError, match="shape"):
        env.step(np.zeros(3, dtype=np.float32))


def test_make_vec_gives_the_native_vector_environment(busy_scenario: Scenario) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        envs = gymnasium.make_vec(
            SITE_ID,
            num_envs=3,
            vectorization_mode=gymnasium.VectorizeMode.VECTOR_ENTRY_POINT,
            scenario=busy_scenario,
            episode_days=1.0,
        )
    assert isinstance(envs.unwrapped, MiningSiteVectorEnv)
    assert envs.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    observation, _ = envs.reset(seed=1)
    assert envs.observation_space.contains(observation)
    assert (
        envs.single_observation_space
        == MiningSiteEnv(busy_scenario, episode_days=1.0).observation_space
    )


def vector(scenario: Scenario, num_envs: int, *, episode_days: float = 1.0) -> MiningSiteVectorEnv:
    return MiningSiteVectorEnv(num_envs, scenario, episode_days=episode_days)


def test_vector_environment_plays_what_the_single_one_plays(
    env: MiningSiteEnv, busy_scenario: Scenario
) -> None:
    options = {"start": START, "running_frac": 0.5}
    envs = vector(busy_scenario, 2)
    single, _ = env.reset(options=options)
    many, _ = envs.reset(options=options)
    rng = np.random.default_rng(0)
    for _ in range(50):
        assert many.tobytes() == 2 * single.tobytes()
        action = rng.uniform(-1, 1, 4).astype(np.float32)
        single, reward, _, truncated, info = env.step(action)
        many, rewards, _, truncations, infos = envs.step(np.tile(action, (2, 1)))
        assert rewards.tolist() == [reward] * 2
        assert truncations.tolist() == [truncated] * 2
        assert infos["profit"].tolist() == [info["profit"]] * 2


def test_vector_environment_resets_on_the_step_after_the_end(busy_scenario: Scenario) -> None:
    """Gymnasium's NEXT_STEP: the action of that step is ignored, its reward is zero."""
    envs = vector(busy_scenario, 2, episode_days=6 * 300 / 86400)
    envs.reset(seed=0, options={"start": busy_scenario.trace.end - pd.Timedelta(minutes=30)})
    action = np.full((2, 4), 0.3, dtype=np.float32)
    log = [envs.step(action) for _ in range(16)]

    assert [bool(step[3].all()) for step in log] == [k in (5, 12) for k in range(16)]
    assert not any(step[2].any() for step in log)
    minutes_left = [f.name for f in busy_scenario.features].index("minutes_left")
    for k in (6, 13):
        observation, reward, _, _, infos = log[k]
        assert reward.tolist() == [0.0, 0.0]
        assert infos["profit"].tolist() == [0.0, 0.0]
        assert observation[:, minutes_left].tolist() == [30.0, 30.0]
        assert envs.single_observation_space.contains(observation[0])
        assert log[k + 1][1].all(), "the next episode is rewarded from its first step on"


def test_sites_of_a_vector_environment_end_apart_and_keep_their_own_episodes(
    busy_scenario: Scenario,
) -> None:
    """Counted from each reset, every episode has 12 steps, whatever its neighbours do."""
    envs = vector(busy_scenario, 5, episode_days=12 * 300 / 86400)
    envs.reset(seed=0)
    envs._sites.steps_left[:] = [1, 4, 6, 9, 12]
    ends = np.array([envs.step(np.zeros((5, 4), dtype=np.float32))[3] for _ in range(60)])

    for k, first in enumerate([1, 4, 6, 9, 12]):
        assert np.flatnonzero(ends[:, k]).tolist() == list(range(first - 1, 60, 13))


def test_vector_observations_rewards_and_ends_share_no_memory(busy_scenario: Scenario) -> None:
    envs = vector(busy_scenario, 2)
    envs.reset(seed=0)
    rng = np.random.default_rng(0)
    steps = [envs.step(rng.uniform(-1, 1, (2, 4)).astype(np.float32)) for _ in range(3)]

    for part in range(4):
        arrays = [np.asarray(step[part]) for step in steps]
        assert not np.shares_memory(arrays[0], arrays[1])
        assert not np.shares_memory(arrays[1], arrays[2])
    assert steps[0][0].tobytes() != steps[1][0].tobytes()


def test_gymnasium_vector_wrappers_read_the_infos(busy_scenario: Scenario) -> None:
    length = 6
    envs = RecordEpisodeStatistics(vector(busy_scenario, 2, episode_days=length * 300 / 86400))
    envs.reset(seed=0)
    lengths = []
    for _ in range(2 * length + 1):
        *_, infos = envs.step(np.zeros((2, 4), dtype=np.float32))
        if "episode" in infos:
            lengths += infos["episode"]["l"].tolist()
    assert lengths == [length] * 4
    listed = DictInfoToList(vector(busy_scenario, 2))
    listed.reset(seed=0)
    *_, infos_of_each = listed.step(np.zeros((2, 4), dtype=np.float32))
    assert [set(info) for info in infos_of_each] == 2 * [{"profit", "ledger", "record"}]
    assert [set(info["ledger"]) for info in infos_of_each] == 2 * [set(LEDGER_NAMES)]
    assert [set(info["record"]) for info in infos_of_each] == 2 * [set(RECORD)]


def test_a_site_by_name_and_by_value_are_the_same(japan: SiteConfig, make_trace: MakeTrace) -> None:
    trace = make_trace(japan)
    options = {"start": "2024-07-02T09:00+09:00"}
    observations = [
        MiningSiteEnv(site=site, trace=trace, episode_days=1.0).reset(options=options)[0].tobytes()
        for site in (japan, "japan_pilot")
    ]

    assert observations[0] == observations[1]

"""Forms of action and observation, masks, autoreset, copies and processes."""

import copy
import pickle
import random
import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv
from gymnasium.wrappers import FlattenObservation

from gridhash.envs.columns import PAUSE
from gridhash.envs.mining_site_env import MiningSiteEnv
from gridhash.envs.registration import SITE_ID
from gridhash.envs.scenario import Scenario
from gridhash.envs.spaces import ActionForm, feature_groups
from gridhash.envs.vector_env import MiningSiteVectorEnv
from gridhash.errors import ConfigError, DataError, PolicyError

FORMS: tuple[ActionForm, ...] = ("shadow_price", "power", "levels", "flat_levels")
HOUR = 1 / 24


@pytest.mark.parametrize("form", FORMS)
def test_dict_observations_hold_the_same_numbers_in_parts(
    form: ActionForm, pilot: Scenario
) -> None:
    env, plain = (
        MiningSiteEnv(pilot, action_kind=form, observation=kind, episode_days=1.0)
        for kind in ("dict", "flat")
    )
    parts = feature_groups(pilot.site)
    own = [f"group_{group.name}" for group in pilot.site.groups]
    assert list(parts) == ["site", "prices", *own, "programs"]
    assert sorted(np.concatenate(list(parts.values()))) == list(range(len(pilot.features)))
    names = np.array([feature.name for feature in pilot.features])
    assert all(name.startswith("price_ratio_") for name in names[parts["prices"]])
    for group in pilot.site.groups:
        assert all(name.endswith(f"_{group.name}") for name in names[parts[f"group_{group.name}"]])
    assert "minutes_left" in names[parts["site"]]
    seen, _ = env.reset(seed=1)
    whole, _ = plain.reset(seed=1)
    assert env.observation_space.contains(seen)
    for name, columns in parts.items():
        np.testing.assert_array_equal(seen[name], whole[columns])
    joined = FlattenObservation(env)
    assert joined.reset(seed=1)[0].shape == whole.shape


@pytest.mark.parametrize("observation", ["flat", "dict"])
@pytest.mark.parametrize("form", FORMS)
def test_the_checkers_find_nothing(form: ActionForm, observation: str, pilot: Scenario) -> None:
    checker = pytest.importorskip("stable_baselines3.common.env_checker")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        if form == "power":  # what is wanted in kilowatts has no sign
            warnings.filterwarnings("ignore", message="We recommend you to use a symmetric")
        env = gymnasium.make(
            SITE_ID, scenario=pilot, action_kind=form, observation=observation, episode_days=1.0
        )
        check_env(env.unwrapped, skip_render_check=True)
        checker.check_env(env.unwrapped)


def test_unknown_forms_are_refused_with_those_that_exist(pilot: Scenario) -> None:
    wrong: Any = "torque"
    with pytest.raises(ConfigError, match="'never' is unknown: use one of NextStep, SameStep, Dis"):
        MiningSiteVectorEnv(1, pilot, autoreset_mode="never")
    with pytest.raises(ConfigError, match="'torque' is unknown: use one of shadow_price, power"):
        MiningSiteEnv(pilot, action_kind=wrong)
    with pytest.raises(ConfigError, match="use 'flat' or 'dict'"):
        MiningSiteEnv(pilot, observation=wrong)
    with pytest.raises(ConfigError, match="ansi, rgb_array, human"):
        MiningSiteEnv(pilot, render_mode="torque")
    with pytest.raises(ConfigError, match="power is continuous"):
        MiningSiteEnv(pilot, action_kind="power").action_masks()


def test_flat_levels_play_the_levels_they_number(pilot: Scenario) -> None:
    env, by_group = (MiningSiteEnv(pilot, action_kind=form) for form in ("flat_levels", "levels"))
    counts = pilot.params.n_levels + 1
    assert env.action_space.n == counts.prod()  # type: ignore[attr-defined]
    env.reset(seed=2)
    by_group.reset(seed=2)
    for flat_action in (0, 17, int(counts.prod()) - 1, np.int64(400)):
        levels = np.array(np.unravel_index(flat_action, tuple(counts)))
        a, b = env.step(flat_action), by_group.step(levels)
        assert a[0].tobytes() == b[0].tobytes()
        masks, own = env.action_masks(), by_group.action_masks()
        assert masks.shape == (counts.prod(),)
        assert own.shape == (counts.sum(),)
        first = np.concatenate([[0], np.cumsum(counts)[:-1]])
        for number in (0, 17, 1000, int(counts.prod()) - 1):
            index = np.array(np.unravel_index(number, tuple(counts)))
            assert masks[number] == own[first + index].all()
    with pytest.raises(PolicyError, match="outside 0"):
        env.step(int(counts.prod()))


def test_a_pause_order_masks_what_it_forbids(pilot: Scenario) -> None:
    market = pilot.market.copy()
    market[pilot.first_row :, PAUSE] = 1.0
    paused = replace(pilot, exogenous=pilot.exogenous._replace(market=market))
    free, held = (MiningSiteEnv(s, action_kind="levels") for s in (pilot, paused))
    for env in (free, held):
        env.reset(options={"start": pilot.trace.starts[pilot.first_row], "running_frac": 1.0})
    assert held.action_masks().sum() < free.action_masks().sum()


def vector(scenario: Scenario, mode: AutoresetMode, n: int = 3) -> MiningSiteVectorEnv:
    return MiningSiteVectorEnv(n, scenario, episode_days=HOUR, autoreset_mode=mode)


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
@pytest.mark.parametrize("seed", [7, [3, 1, 4]])
def test_the_vector_environment_does_what_gymnasiums_own_does(
    mode: AutoresetMode, seed: Any, pilot: Scenario
) -> None:
    """Seeds, autoreset, infos: those of SyncVectorEnv over single environments, to the bit."""
    ours = vector(pilot, mode)
    make = partial(MiningSiteEnv, pilot, episode_days=HOUR)
    theirs = SyncVectorEnv([make, make, make], autoreset_mode=mode)
    assert ours.metadata["autoreset_mode"] is mode
    assert ours.reset(seed=seed)[0].tobytes() == theirs.reset(seed=seed)[0].tobytes()
    rng = np.random.default_rng(0)
    n_final = 0
    for _ in range(40):
        action = rng.uniform(-1, 1, (3, 4)).astype(np.float32)
        a, b = ours.step(action), theirs.step(action)
        for mine, own in zip(a[:4], b[:4], strict=True):
            np.testing.assert_array_equal(mine, own)
        info, other = a[4], b[4]
        if "final_info" in other:
            n_final += 1
            np.testing.assert_array_equal(info["_final_obs"], other["_final_obs"])
            for mine, own in zip(info["final_obs"], other["final_obs"], strict=True):
                np.testing.assert_array_equal(mine, own)
            check_info(info["final_info"], other["final_info"])
        check_info(info, other)
    assert n_final == (3 if mode is AutoresetMode.SAME_STEP else 0)


def check_info(info: dict[str, Any], other: dict[str, Any]) -> None:
    """Compare with the flat infos that SyncVectorEnv collects; it leaves out what has none."""
    mask = other.get("_profit", np.zeros(len(info["profit"]), dtype=bool))
    for name in ("_profit", "_ledger", "_record"):
        np.testing.assert_array_equal(info[name], mask)
    lines = {"profit": info["profit"], **info["ledger"], **info["record"]}
    for name, values in lines.items():
        np.testing.assert_array_equal(values, other.get(name, np.zeros(len(mask))))


def test_without_autoreset_the_caller_resets_the_sites_he_names(pilot: Scenario) -> None:
    envs = vector(pilot, AutoresetMode.DISABLED)
    envs.reset(seed=0)
    envs._sites.steps_left[1] = 2
    action = np.zeros((3, 4), dtype=np.float32)
    envs.step(action)
    *_, ended, _ = envs.step(action)
    assert ended.tolist() == [False, True, False]
    with pytest.raises(DataError, match="site 1 is at the end"):
        envs.step(action)
    before = envs._sites.observe()
    options = {"reset_mask": ended}
    observation, _ = envs.reset(seed=[None, 9, None], options=options)
    assert options == {"reset_mask": ended}, "options are the caller's"
    np.testing.assert_array_equal(observation[[0, 2]], before[[0, 2]])
    alone = MiningSiteEnv(pilot, episode_days=HOUR).reset(seed=9)[0]
    np.testing.assert_array_equal(observation[1], alone)
    assert not envs.step(action)[3].any()
    for mask in (np.zeros(3, dtype=bool), np.ones(2, dtype=bool), [True, False, True]):
        with pytest.raises(ConfigError, match="reset_mask"):
            envs.reset(options={"reset_mask": mask})
    with pytest.raises(ConfigError, match="2 seeds for 3 sites"):
        envs.reset(seed=[1, 2])


def test_make_vec_takes_the_options_of_the_vector_environment(pilot: Scenario) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        envs = gymnasium.make_vec(
            SITE_ID,
            num_envs=2,
            vectorization_mode="vector_entry_point",
            scenario=pilot,
            action_kind="flat_levels",
            observation="dict",
            autoreset_mode=AutoresetMode.SAME_STEP,
        )
    observation, _ = envs.reset(seed=0)
    assert envs.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    assert envs.observation_space.contains(observation)
    assert envs.unwrapped.action_masks().shape == (2, envs.single_action_space.n)  # type: ignore[attr-defined]
    observation, *_ = envs.step(np.array([5, 9]))
    assert envs.observation_space.contains(observation)


@pytest.mark.parametrize("how", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))])
def test_a_copied_environment_goes_on_as_its_original(
    how: Callable[[Any], Any], pilot: Scenario
) -> None:
    env = MiningSiteEnv(pilot, episode_days=HOUR, render_mode="ansi")
    envs = vector(pilot, AutoresetMode.NEXT_STEP, 2)
    env.reset(seed=5)
    envs.reset(seed=5)
    action = np.full(4, 0.2, dtype=np.float32)
    for _ in range(5):
        env.step(action)
        envs.step(np.tile(action, (2, 1)))
    twin, twins = how(env), how(envs)
    for _ in range(5):
        a, b = env.step(action), twin.step(action)
        assert a[0].tobytes() == b[0].tobytes()
        assert a[1:] == b[1:]
    assert env.render() == twin.render()
    for _ in range(15):
        c, d = envs.step(np.tile(action, (2, 1))), twins.step(np.tile(action, (2, 1)))
        assert c[0].tobytes() == d[0].tobytes()
    assert env.reset()[0].tobytes() == twin.reset()[0].tobytes()


def test_the_same_seed_plays_the_same_episode_in_a_spawned_process(pilot: Scenario) -> None:
    make = partial(MiningSiteEnv, pilot, episode_days=HOUR, action_kind="levels")
    here = SyncVectorEnv([make])
    there = AsyncVectorEnv([make], context="spawn", shared_memory=False)
    try:
        assert here.reset(seed=11)[0].tobytes() == there.reset(seed=11)[0].tobytes()
        here.action_space.seed(11)
        for _ in range(15):
            action = here.action_space.sample()
            a, b = here.step(action), there.step(action)
            assert a[0].tobytes() == b[0].tobytes()
            assert a[1] == b[1]
    finally:
        there.close()


def test_an_environment_works_as_an_actor_of_ray(pilot: Scenario) -> None:
    ray = pytest.importorskip("ray", reason="ray is not installed (extra cluster)")
    ray.init(num_cpus=1, include_dashboard=False)
    try:
        actor = ray.remote(MiningSiteEnv).remote(pilot, episode_days=HOUR)
        observation, _ = ray.get(actor.reset.remote(seed=3))
    finally:
        ray.shutdown()
    here = MiningSiteEnv(pilot, episode_days=HOUR)
    assert observation.tobytes() == here.reset(seed=3)[0].tobytes()


def test_a_reset_leaves_the_global_random_numbers_alone(pilot: Scenario) -> None:
    env, envs = MiningSiteEnv(pilot), vector(pilot, AutoresetMode.NEXT_STEP)
    random.seed(1)
    np.random.seed(1)
    before = (random.getstate(), np.random.get_state()[1].tobytes())  # type: ignore[index]
    env.reset(seed=4)
    envs.reset(seed=4)
    env.reset()
    assert (random.getstate(), np.random.get_state()[1].tobytes()) == before  # type: ignore[index]


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"scenario": "JapanPilot"}, "make gridhash/JapanPilot-v0"),
        ({"trace": "prices.csv"}, "trace is 'prices.csv': give a gridhash.data.trace.Trace"),
        ({"episode_days": 0.0}, "give days above 0"),
    ],
)
def test_a_name_where_an_object_belongs_says_what_to_do(
    options: dict[str, Any], fault: str
) -> None:
    with pytest.raises(ConfigError, match=fault):
        gymnasium.make("gridhash.envs.registration:gridhash/MiningSite-v0", **options)


def test_a_start_that_is_no_instant_is_refused() -> None:
    env = gymnasium.make("gridhash.envs.registration:gridhash/MiningSite-v0")
    with pytest.raises(ConfigError, match="option start is 'yesterday-ish'"):
        env.reset(options={"start": "yesterday-ish"})

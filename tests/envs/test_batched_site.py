"""The same bits for one site or many, compiled or not, in this process or another."""

import gc
import json
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from gridhash.config import SiteConfig
from gridhash.envs.action import ActionKind
from gridhash.envs.batched_site import BatchedSite, EpisodeRules
from gridhash.envs.scenario import Scenario
from gridhash.envs.state import FleetState
from gridhash.errors import ConfigError, DataError, PolicyError

MakeSites = Callable[..., BatchedSite]
MakeScenario = Callable[..., Scenario]
RandomPlay = Callable[..., Callable[[], npt.NDArray[np.float64]]]


def bits(sites: BatchedSite, i: int) -> list[bytes]:
    """Return all that a step gives and leaves behind for one site."""
    return [array[i].tobytes() for array in (*sites.output, *sites.state)]


@pytest.mark.parametrize("kind", list(ActionKind))
def test_single_and_batched_stepping_agree_to_the_bit(
    busy_levels_scenario: Scenario, make_sites: MakeSites, random_play: RandomPlay, kind: ActionKind
) -> None:
    """64 sites from 64 starts, 160 random steps: 10,240, each against a site of its own."""
    n_sites, n_steps = 64, 160
    rules = EpisodeRules(episode_days=1.0, action_kind=kind)
    many = BatchedSite(busy_levels_scenario, n_sites, rules)
    many.draw_starts(np.arange(n_sites), np.random.default_rng(4))
    singles = []
    for i in range(n_sites):
        single = BatchedSite(busy_levels_scenario, 1, rules)
        for field in FleetState._fields:
            getattr(single.state, field)[:] = getattr(many.state, field)[i : i + 1]
        singles.append(single)
    next_action = random_play(kind, (n_sites, 4), 5)
    for _ in range(n_steps):
        action = next_action()
        many.step(action)
        for i, single in enumerate(singles):
            single.step(action[i : i + 1])
            assert bits(single, 0) == bits(many, i)
    assert len({bits(many, i)[0] for i in range(n_sites)}) == n_sites


PLAY = """
import hashlib, json, sys
import numpy as np
import pandas as pd
from gridhash.config import load_site
from gridhash.data.trace import Trace
from gridhash.envs.batched_site import BatchedSite, EpisodeRules
from gridhash.envs.scenario import build_scenario
from gridhash.time_grid import grid, published_the_day_before

site = load_site("japan_pilot").model_copy(update={"use_work_levels": True})
start = pd.Timestamp("2024-07-01", tz="Asia/Tokyo")
starts = grid(start, start + pd.Timedelta(days=3), 1800)
rng = np.random.default_rng(0)
trace = Trace.from_prices(
    starts, rng.uniform(0, 20, len(starts)), period_s=1800, currency="JPY", area="x", source="x",
    published_at=published_the_day_before(
        starts, timezone="Asia/Tokyo", at=site.market.price_published_local
    ),
).with_columns({"surplus_frac": rng.uniform(0, 1, len(starts))})
sites = BatchedSite(build_scenario(site, trace), 2, EpisodeRules(episode_days=1.0))
sites.draw_starts(np.arange(2), np.random.default_rng(42))
numbers, digest = [], hashlib.sha256()
for _ in range(60):
    output = sites.step(rng.uniform(-1, 1, (2, 4)))
    for array in (*output, *sites.state):
        digest.update(array.tobytes())
        if array.dtype.names:
            array = array.view(float)  # buckets: rigs and temperature in turns
        numbers.append(float(np.abs(array.astype(float)).sum()))
        numbers.extend(array.astype(float).ravel()[:8].tolist())
json.dump({"bits": digest.hexdigest(), "numbers": numbers}, sys.stdout)
"""


def played(**environment: str) -> dict[str, object]:
    """Return what a play in a process of its own gives."""
    run = subprocess.run(
        [sys.executable, "-c", PLAY],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    result: dict[str, object] = json.loads(run.stdout)
    return result


@pytest.fixture(scope="module")
def compiled() -> dict[str, object]:
    return played()


def test_the_same_seed_gives_the_same_episode_in_another_process(
    compiled: dict[str, object],
) -> None:
    assert played(PYTHONHASHSEED="7")["bits"] == compiled["bits"]


def test_plain_python_gives_the_numbers_of_compiled_code(compiled: dict[str, object]) -> None:
    assert played(NUMBA_DISABLE_JIT="1")["numbers"] == pytest.approx(
        compiled["numbers"], rel=1e-12, abs=1e-12
    )


def test_actions_are_only_read_and_observations_are_fresh(
    busy_scenario: Scenario, make_sites: MakeSites
) -> None:
    sites = make_sites(busy_scenario, 3)
    sites.start_at(busy_scenario.first_row)
    action = np.full((3, 4), -7.0)
    action.flags.writeable = False

    sites.step(action)
    first = sites.observe()
    copy = first.copy()
    sites.step(action)

    assert (first == copy).all()
    assert not np.shares_memory(first, sites.observe())


def test_actions_of_other_types_and_orders_mean_the_same(
    busy_scenario: Scenario, make_sites: MakeSites
) -> None:
    action = np.random.default_rng(0).uniform(-1, 1, (3, 4)).astype(np.float32)
    results = []
    for given in (action, action.astype(np.float64), np.asfortranarray(action)):
        sites = make_sites(busy_scenario, 3)
        sites.start_at(busy_scenario.first_row)
        results.append(sites.step(given).observation.tobytes())

    assert results[0] == results[1] == results[2]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_an_action_that_is_no_number_is_refused_by_name_before_anything_moves(
    busy_scenario: Scenario, make_sites: MakeSites, bad: float
) -> None:
    sites = make_sites(busy_scenario, 3)
    sites.start_at(busy_scenario.first_row)
    before = bits(sites, 1)
    action = np.zeros((3, 4))
    action[1, 2] = bad

    with pytest.raises(PolicyError, match=f"site 1, group loop_c is {bad}"):
        sites.step(action)
    assert bits(sites, 1) == before


@pytest.mark.parametrize("shape", [(4,), (3, 3), (1, 4), (3, 4, 1)])
def test_an_action_of_the_wrong_shape_is_refused(
    busy_scenario: Scenario, make_sites: MakeSites, shape: tuple[int, ...]
) -> None:
    with pytest.raises(PolicyError, match=r"expected \(3, 4\)"):
        make_sites(busy_scenario, 3).step(np.zeros(shape))


@pytest.mark.parametrize("row", [-1, 0, 47, 6 * 48])
def test_a_start_outside_the_playable_rows_is_refused(
    busy_scenario: Scenario, make_sites: MakeSites, row: int
) -> None:
    with pytest.raises(DataError, match=f"row {row} cannot be played: rows 48 to 287 can"):
        make_sites(busy_scenario).start_at(row)


def test_an_episode_ends_with_the_data_and_a_step_beyond_is_refused(
    busy_scenario: Scenario,
) -> None:
    sites = BatchedSite(busy_scenario, 2, EpisodeRules(episode_days=1.0))
    sites.start_at(6 * 48 - 1)

    assert sites.steps_left.tolist() == [6, 6]
    for _ in range(6):
        sites.step(np.zeros((2, 4)))
    assert sites.steps_left.tolist() == [0, 0]
    with pytest.raises(DataError, match="come to the end of the data, 2024-07-06 15:00"):
        sites.step(np.zeros((2, 4)))


def test_drawn_starts_stay_within_the_rows_given_and_vary(busy_scenario: Scenario) -> None:
    rules = EpisodeRules(episode_days=1.0, rows=(100, 160))
    sites = BatchedSite(busy_scenario, 500, rules)
    sites.draw_starts(np.arange(500), np.random.default_rng(0))
    running = sites.state.up.sum(2) / busy_scenario.params.n_rigs

    assert sites.state.row.min() == 100
    assert sites.state.row.max() == 160 - 48
    for share in (0.0, 1.0):
        assert 0.2 < (running == share).mean() < 0.6
    assert ((running > 0.0) & (running < 1.0)).any()
    assert (np.ptp(running, axis=1) > 0.0).any(), "groups differ at times"
    rigs = sites.state.up.sum(2) + sites.state.down.sum(2)
    assert np.abs(rigs - [135, 134, 134, 134]).max() < 1e-9


def test_starts_draw_only_the_sites_named(busy_scenario: Scenario) -> None:
    sites = BatchedSite(busy_scenario, 4, EpisodeRules(episode_days=1.0))
    sites.draw_starts(np.arange(4), np.random.default_rng(0))
    before = [bits(sites, i)[5:] for i in range(4)]
    sites.draw_starts(np.array([1, 3]), np.random.default_rng(9))

    after = [bits(sites, i)[5:] for i in range(4)]
    assert [a == b for a, b in zip(after, before, strict=True)] == [True, False, True, False]


@pytest.mark.parametrize("rows", [(48, 90), (200, 300)])
def test_rows_too_short_for_an_episode_or_outside_the_data_are_refused(
    busy_scenario: Scenario, rows: tuple[int, int]
) -> None:
    with pytest.raises(DataError, match="episodes of 1 days need 48 periods"):
        BatchedSite(busy_scenario, 1, EpisodeRules(episode_days=1.0, rows=rows))


def test_relative_reward_differs_from_profit_by_what_no_action_changes(
    japan: SiteConfig, make_scenario: MakeScenario, make_sites: MakeSites
) -> None:
    """The same prices, two kinds of play: the difference of rewards is that of profits."""
    scenario = make_scenario(japan, seed=3)
    rewards: list[list[float]] = []
    profits: list[list[float]] = []
    for share in (0.0, 1.0):
        sites = make_sites(scenario, action_kind=ActionKind.POWER, relative_reward=True)
        sites.start_at(scenario.first_row)
        rewards.append([])
        profits.append([])
        for _ in range(40):
            output = sites.step(np.full((1, 4), share))
            rewards[-1].append(float(output.reward[0]))
            profits[-1].append(float(output.profit[0]))

    rewards_apart, profits_apart = np.diff(rewards, axis=0), np.diff(profits, axis=0)
    assert np.abs(profits_apart).min() > 0.0
    assert rewards_apart == pytest.approx(profits_apart / scenario.params.reward_scale, abs=1e-12)


@pytest.mark.parametrize("threads", [2, 3])
def test_threads_change_no_bit(
    busy_levels_scenario: Scenario, random_play: RandomPlay, threads: int
) -> None:
    rules = EpisodeRules(episode_days=1.0)
    alone = BatchedSite(busy_levels_scenario, 7, rules)
    shared = BatchedSite(busy_levels_scenario, 7, rules, threads=threads)
    for sites in (alone, shared):
        sites.draw_starts(np.arange(7), np.random.default_rng(4))
    play = random_play(ActionKind.SHADOW_PRICE, (7, busy_levels_scenario.n_groups), 5)
    for _ in range(60):
        action = play()
        alone.step(action)
        shared.step(action)
        for i in range(7):
            assert bits(shared, i) == bits(alone, i)


def test_threads_end_with_the_sites_that_they_step(busy_scenario: Scenario) -> None:
    before = set(threading.enumerate())
    sites = BatchedSite(busy_scenario, 4, EpisodeRules(episode_days=1.0), threads=3)
    own = set(threading.enumerate()) - before

    assert len(own) == 2
    del sites
    gc.collect()
    for thread in own:
        thread.join(timeout=10.0)
        assert not thread.is_alive()


@pytest.mark.parametrize("threads", [0, 8])
def test_a_number_of_threads_that_no_sites_are_left_for_is_refused(
    busy_scenario: Scenario, threads: int
) -> None:
    with pytest.raises(ConfigError, match=f"threads is {threads}: give 1 to 7"):
        BatchedSite(busy_scenario, 7, EpisodeRules(episode_days=1.0), threads=threads)


def test_a_pickled_copy_goes_on_alike_and_apart(
    busy_scenario: Scenario, random_play: RandomPlay
) -> None:
    sites = BatchedSite(busy_scenario, 4, EpisodeRules(episode_days=1.0), threads=2)
    sites.draw_starts(np.arange(4), np.random.default_rng(4))
    play = random_play(ActionKind.SHADOW_PRICE, (4, busy_scenario.n_groups), 5)
    sites.step(play())
    copy = pickle.loads(pickle.dumps(sites))
    action = play()
    before = bits(copy, 0)
    sites.step(action)
    assert bits(copy, 0) == before
    copy.step(action)
    for i in range(4):
        assert bits(copy, i) == bits(sites, i)


@pytest.mark.parametrize(
    ("rules", "fault"),
    [
        ({"action_kind": "levels"}, "action_kind is 'levels': use one of SHADOW_PRICE"),
        ({"action_kind": 3}, "action_kind is 3"),
        ({"episode_days": 0.0}, "episode_days is 0.0: give days above 0"),
        ({"episode_days": -1.0}, "episode_days is -1.0"),
        (
            {"rows": (5, 3)},
            r"rows are \(5, 3\): give the first settlement period and the one after",
        ),
        ({"episode_days": float("nan")}, "episode_days is nan"),
    ],
)
def test_rules_that_no_episode_can_have_are_refused(rules: dict[str, Any], fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        EpisodeRules(**rules)


def test_no_site_and_no_scenario_are_refused(busy_scenario: Scenario) -> None:
    with pytest.raises(ConfigError, match="0 sites are asked for"):
        BatchedSite(busy_scenario, 0, EpisodeRules(episode_days=1.0))
    name: Any = "JapanPilot"
    with pytest.raises(ConfigError, match="scenario is 'JapanPilot': give what"):
        BatchedSite(name, 1, EpisodeRules(episode_days=1.0))

"""A network that chooses levels: masked as in training, the likeliest one, in its own bundle."""

import pickle
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from gridhash.agents.bundle import load_bundle, write_bundle
from gridhash.agents.bundle_manifest import LevelMlpSpec, Provenance
from gridhash.agents.level_policy import LevelMasks, LevelPolicy
from gridhash.agents.numpy_policy import mlp_shapes
from gridhash.agents.policy import ObservationReader
from gridhash.agents.signing import generate_key
from gridhash.config import SiteConfig, load_site
from gridhash.envs.action import ActionKind
from gridhash.envs.batched_site import BatchedSite, EpisodeRules
from gridhash.envs.levels import decode_levels, level_counts
from gridhash.envs.limits import level_masks, limit_setpoint
from gridhash.envs.named_scenario import open_named_scenario
from gridhash.envs.observation import observation_table
from gridhash.envs.parameters import Floats32
from gridhash.envs.program_parameters import compile_programs
from gridhash.envs.scenario import Scenario, build_scenario
from gridhash.envs.spaces import ActionView, Masks, rig_caps_kw
from gridhash.envs.state import (
    HOTTEST_C,
    LOCKED_UP,
    RUNNING,
    STARTABLE,
    TRIPPED,
    empty_state,
)
from gridhash.errors import PolicyError


@pytest.fixture(scope="module")
def pilot() -> Scenario:
    """Return a fortnight of the scenario with the most programs, paused a tenth of the time."""
    drawn = open_named_scenario("JapanPilot", years=1, days=14)
    paused = (np.arange(drawn.n_rows) % 20 < 2).astype(np.float64)
    return build_scenario(drawn.site, drawn.trace.with_columns({"pause_order": paused}))


def draw_policy(site: SiteConfig, seed: int, *, n_features: int) -> LevelPolicy:
    counts = [len(site.levels_of(group)) + 1 for group in site.groups]
    rng = np.random.default_rng(seed)
    weights: dict[str, Floats32] = {
        name: (rng.standard_normal(shape) / np.sqrt(shape[-1])).astype(np.float32)
        for name, shape in mlp_shapes(n_features, (16,), sum(counts)).items()
    }
    weights["normalise.scale"] = np.exp(weights["normalise.scale"]).astype(np.float32)
    return LevelPolicy(weights, name="drawn", site=site, clip=8.0)


def test_masks_are_those_of_the_environment_or_mean_the_same(
    pilot: Scenario,
) -> None:
    n = 200
    sites = BatchedSite(pilot, n, EpisodeRules(episode_days=2.0, action_kind=ActionKind.LEVELS))
    rng = np.random.default_rng(5)
    sites.draw_starts(np.arange(n), rng)
    view, masks = ActionView(pilot, "levels"), LevelMasks(pilot.site)
    observation = sites.observe()
    closed, n_other, capped = 0, 0, False
    for step in range(40):
        if step % 8 == 7:
            sites.state.group[rng.random(n) < 0.1, 0, TRIPPED] = 1.0
            observation = sites.observe()
        expected = view.masks(sites)
        own = masks.of(observation)
        for i, k in np.argwhere(own != expected):
            assert miss_kw(sites, i, k, expected[i] & own[i]) < 0.01
            n_other += 1
        closed += int((~expected).sum())
        levels = rng.integers(0, level_counts(pilot.params), (n, pilot.n_groups))
        observation = sites.step(levels.astype(np.float64)).observation
        capped |= bool(rig_caps_kw(sites).min() < pilot.params.rig_cap_kw)
    assert capped, "a pause order was met"
    assert closed > 1000
    assert n_other < 0.01 * expected.size * 40


def miss_kw(sites: BatchedSite, i: int, k: int, both: Masks) -> float:
    """Return by how much a level's outcome misses that of the nearest one that both masks allow."""
    params = sites.scenario.params
    counts = level_counts(params)
    g = int(np.repeat(np.arange(len(counts)), counts)[k])
    first = int(counts[:g].sum())
    allowed = np.flatnonzero(both[first : first + counts[g]])
    near = allowed[np.abs(allowed - (k - first)).argmin()]
    outcome = np.zeros((2, len(counts)))
    for out, index in zip(outcome, (k - first, near), strict=True):
        levels = np.zeros(len(counts))
        levels[g] = index
        wanted_kw = decode_levels(params, levels)
        limit_setpoint(sites.state, params, i, rig_caps_kw(sites)[i], wanted_kw, out)
    return float(np.abs(outcome[0] - outcome[1]).max())


def test_the_likeliest_allowed_level_is_said_and_softmax_is_over_allowed_ones(
    pilot: Scenario,
) -> None:
    policy = draw_policy(pilot.site, 1, n_features=len(pilot.features))
    rows = np.arange(0, pilot.n_rows, 7)
    sites = BatchedSite(pilot, len(rows), EpisodeRules(episode_days=1.0))
    sites.draw_starts(np.arange(len(rows)), np.random.default_rng(2))
    observation = sites.step(np.tile([1.0, -1.0, 0.0, 1.0], (len(rows), 1))).observation

    action = policy.act(observation)
    chance = policy.probabilities(observation)

    masks = LevelMasks(pilot.site).of(observation)
    outputs = policy.network.outputs(observation)
    first = 0
    for g, count in enumerate(policy.level_counts):
        own = slice(first, first + count)
        for i in range(len(rows)):
            allowed = np.flatnonzero(masks[i, own])
            best = allowed[outputs[i, own][allowed].argmax()]
            assert action[i, g] == best
            weight = np.exp(outputs[i, own][allowed].astype(np.float64))
            np.testing.assert_allclose(chance[i, own][allowed], weight / weight.sum(), rtol=1e-9)
        first += count
    assert (chance[~masks] == 0.0).all()
    assert (masks.sum(axis=1) < masks.shape[1]).any(), "some level is masked somewhere"


def masks_spelled_out(site: SiteConfig, observation: Floats32) -> Masks:
    """Return the masks of a whole fleet state filled from the observation, array by array."""
    reader = ObservationReader(site)
    params = reader.params
    state = empty_state(params, len(observation))
    for column, name in (
        (RUNNING, "running_frac"),
        (LOCKED_UP, "locked_up_frac"),
        (STARTABLE, "startable_frac"),
    ):
        rigs = reader.of_groups(observation, name) * params.n_rigs
        state.group[:, :, column] = rigs.round(3)
    state.group[:, :, HOTTEST_C] = reader.of_groups(observation, "chip_temp_c")
    state.group[:, :, TRIPPED] = reader.of_groups(observation, "tripped")
    cap_kw = np.full(len(observation), params.rig_cap_kw)
    if reader.has("pause_now"):
        paused = reader.value(observation, "pause_now") > 0.0
        pause_cap_kw = compile_programs(site, params, first_start_s=0).pause_rig_cap_kw
        cap_kw[paused] = np.minimum(cap_kw[paused], pause_cap_kw)
    return level_masks(state, params, cap_kw)


@pytest.mark.parametrize("name", ["japan_pilot", "texas_air"])
def test_compiled_masks_and_choices_are_those_of_arrays_spelled_out(
    name: str, pilot: Scenario
) -> None:
    site = pilot.site if name == "japan_pilot" else load_site(name)
    n, table = 4000, observation_table(site)
    rng = np.random.default_rng(8)
    reader = ObservationReader(site)
    observation = rng.standard_normal((n, len(table))).astype(np.float32)  # "pause_now" with it
    for stem in ("running", "locked_up", "startable"):
        share = rng.random((n, reader.n_groups))  # of all or none ends of ranges meet levels
        share = np.where(rng.random((n, 1)) < 0.4, share.round(), share)
        observation[:, reader.group_columns(f"{stem}_frac")] = share
    observation[:, reader.group_columns("chip_temp_c")] = rng.uniform(20, 90, (n, reader.n_groups))
    observation[:, reader.group_columns("tripped")] = rng.random((n, reader.n_groups)) < 0.1
    policy = draw_policy(site, 6, n_features=len(table))

    masks = LevelMasks(site).of(observation)
    levels = policy.act(observation)

    expected = masks_spelled_out(site, observation)
    np.testing.assert_array_equal(masks, expected)
    assert 0.2 < masks.mean() < 0.9
    logits = np.where(expected, policy.network.outputs(observation), -np.inf)
    own = np.split(logits, np.cumsum(policy.level_counts)[:-1], axis=1)
    np.testing.assert_array_equal(levels, np.stack([one.argmax(axis=1) for one in own], axis=1))
    alone = np.vstack([policy.act(row[None]) for row in observation[:200]])
    np.testing.assert_array_equal(alone, levels[:200])
    assert set(np.unique(levels)) == set(range(max(policy.level_counts)))


def test_of_equal_outputs_the_lower_level_is_said(pilot: Scenario) -> None:
    weights = dict(draw_policy(pilot.site, 1, n_features=len(pilot.features)).weights)
    weights |= {name: np.zeros_like(weights[name]) for name in ("output.weight", "output.bias")}
    policy = LevelPolicy(weights, name="equal", site=pilot.site, clip=8.0)
    observation = BatchedSite(pilot, 50, EpisodeRules()).observe()
    masks = np.split(LevelMasks(pilot.site).of(observation), np.cumsum(policy.level_counts)[:-1], 1)

    lowest = np.stack([own.argmax(axis=1) for own in masks], axis=1)

    np.testing.assert_array_equal(policy.act(observation), lowest)


def test_a_copy_for_another_process_decides_alike(pilot: Scenario) -> None:
    policy = draw_policy(pilot.site, 4, n_features=len(pilot.features))
    observation = BatchedSite(pilot, 5, EpisodeRules()).observe()

    copy = pickle.loads(pickle.dumps(policy))

    np.testing.assert_array_equal(copy.act(observation), policy.act(observation))


def test_an_observation_with_a_hole_is_refused(pilot: Scenario) -> None:
    policy = draw_policy(pilot.site, 1, n_features=len(pilot.features))
    observation = np.zeros((2, len(pilot.features)), dtype=np.float32)
    observation[1, 3] = np.nan

    with pytest.raises(PolicyError, match="holds nan in row 1, feature 3"):
        policy.act(observation)
    with pytest.raises(PolicyError, match="reads observations of shape"):
        policy.act(observation[:, :-1])


def test_a_network_of_another_number_of_levels_is_refused(pilot: Scenario) -> None:
    weights = draw_policy(pilot.site, 1, n_features=len(pilot.features)).weights

    with pytest.raises(PolicyError, match=r"outputs; the groups of .* have .* levels"):
        LevelPolicy(weights, name="x", site=load_site("texas_air"), clip=8.0)


def test_it_travels_in_a_bundle(pilot: Scenario, tmp_path: Path) -> None:
    policy = draw_policy(pilot.site, 3, n_features=len(pilot.features))
    key = generate_key(tmp_path / "key.pem")
    path = write_bundle(
        tmp_path, policy, name="levels", site=pilot.site, key=key,
        created_at=datetime(2026, 1, 1, tzinfo=UTC), provenance=Provenance(),
    )  # fmt: skip

    loaded = load_bundle(path, site=pilot.site, trusted_keys=[key.public])

    assert isinstance(loaded.policy, LevelPolicy)
    assert isinstance(loaded.manifest.policy, LevelMlpSpec)
    assert loaded.manifest.action.action_kind is ActionKind.LEVELS
    assert loaded.manifest.action.high == max(policy.level_counts) - 1
    observation = BatchedSite(pilot, 5, EpisodeRules()).observe()
    np.testing.assert_array_equal(loaded.policy.act(observation), policy.act(observation))

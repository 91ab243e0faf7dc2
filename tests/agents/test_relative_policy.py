"""A rule that a network moves: the rule itself at zero, cut at the bounds, safe in a bundle."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from gridhash.agents.bundle import load_bundle, write_bundle
from gridhash.agents.bundle_manifest import MlpSpec, Provenance
from gridhash.agents.numpy_policy import mlp_shapes
from gridhash.agents.onnx_export import to_onnx
from gridhash.agents.relative_policy import RelativePolicy
from gridhash.agents.rules import AlwaysOff, Hysteresis, ShadowLookAhead
from gridhash.agents.signing import generate_key
from gridhash.envs.batched_site import BatchedSite, EpisodeRules
from gridhash.envs.named_scenario import open_named_scenario
from gridhash.envs.parameters import Floats32
from gridhash.envs.scenario import Scenario
from gridhash.errors import PolicyError


@pytest.fixture(scope="module")
def pilot() -> Scenario:
    """Return a week of the Japanese pilot."""
    return open_named_scenario("JapanPilot", years=1, days=7)


def drawn(scenario: Scenario, seed: int, *, scale: float = 1.0) -> dict[str, Floats32]:
    rng = np.random.default_rng(seed)
    shapes = mlp_shapes(len(scenario.features), (16,), scenario.n_groups)
    weights: dict[str, Floats32] = {
        name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()
    }
    weights["normalise.scale"] = np.exp(weights["normalise.scale"]).astype(np.float32)
    for name in ("output.weight", "output.bias"):
        weights[name] *= np.float32(scale)
    return weights


def seen(scenario: Scenario) -> Floats32:
    sites = BatchedSite(scenario, 64, EpisodeRules(episode_days=1.0))
    sites.draw_starts(np.arange(64), np.random.default_rng(1))
    return sites.observe()


def test_a_network_that_says_nothing_leaves_the_rule_to_the_bit(pilot: Scenario) -> None:
    rule = ShadowLookAhead(pilot.site, start_worth=0.4)
    policy = RelativePolicy(rule, drawn(pilot, 0, scale=0.0), name="same")
    observation = seen(pilot)
    assert policy.action_kind is rule.action_kind
    np.testing.assert_array_equal(policy.act(observation), rule.act(observation))


def test_the_action_is_the_sum_within_its_bounds(pilot: Scenario) -> None:
    rule = Hysteresis(pilot.site)
    policy = RelativePolicy(rule, drawn(pilot, 1, scale=0.1), name="moved")
    observation = seen(pilot)
    added = policy.network.outputs(observation)
    expected = np.clip(rule.act(observation) + added, 0.0, 1.0)
    np.testing.assert_array_equal(policy.act(observation), expected)
    assert (expected != rule.act(observation)).any()
    assert ((expected > 0.0) & (expected < 1.0)).any()


def test_nan_in_an_observation_is_refused(pilot: Scenario) -> None:
    observation = seen(pilot)
    observation[3, 5] = np.nan
    policy = RelativePolicy(AlwaysOff(pilot.site), drawn(pilot, 2), name="moved")
    with pytest.raises(PolicyError, match="nan in row 3, feature 5"):
        policy.act(observation)


def test_a_bundle_brings_back_the_rule_and_the_network(pilot: Scenario, tmp_path: Path) -> None:
    rule = ShadowLookAhead(pilot.site, start_worth=0.4, keep_worth=-0.1)
    policy = RelativePolicy(rule, drawn(pilot, 3, scale=0.2), name="moved")
    key = generate_key(tmp_path / "key.pem")
    path = write_bundle(
        tmp_path,
        policy,
        name="moved",
        site=pilot.site,
        key=key,
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        provenance=Provenance(),
    )
    loaded = load_bundle(path, site=pilot.site, trusted_keys=[key.public])
    assert isinstance(loaded.manifest.policy, MlpSpec)
    assert loaded.manifest.policy.added_to is not None
    assert loaded.manifest.policy.added_to.parameters == {"start_worth": 0.4, "keep_worth": -0.1}
    observation = seen(pilot)
    np.testing.assert_array_equal(loaded.policy.act(observation), policy.act(observation))


def test_onnx_says_that_it_cannot_hold_the_rule(pilot: Scenario) -> None:
    policy = RelativePolicy(AlwaysOff(pilot.site), drawn(pilot, 4), name="moved")
    with pytest.raises(PolicyError, match="adds a network to the rule always_off"):
        to_onnx(policy)

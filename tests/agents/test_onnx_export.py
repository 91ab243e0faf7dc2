"""What onnxruntime says of an exported network is what the site's own runtime says."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from gridhash.agents.level_policy import LevelPolicy
from gridhash.agents.numpy_policy import MlpPolicy, OutputKind, mlp_shapes
from gridhash.agents.onnx_export import INPUT, OUTPUT, to_onnx, write_onnx
from gridhash.agents.rules import LevelRule
from gridhash.config import load_site
from gridhash.envs.action import ActionKind
from gridhash.envs.observation import observation_table
from gridhash.errors import PolicyError

N_GROUPS = 4


def draw_policy(
    hidden: tuple[int, ...],
    *,
    n_features: int = 140,
    kind: ActionKind = ActionKind.SHADOW_PRICE,
    output: OutputKind = OutputKind.CLIP,
    clip: float = 8.0,
) -> MlpPolicy:
    rng = np.random.default_rng(11)
    weights = {
        name: (rng.standard_normal(shape) / np.sqrt(shape[-1])).astype(np.float32)
        for name, shape in mlp_shapes(n_features, hidden, N_GROUPS).items()
    }
    weights["normalise.scale"] = np.exp(weights["normalise.scale"]).astype(np.float32)
    return MlpPolicy(weights, name="drawn", action_kind=kind, output=output, clip=clip)


def in_onnxruntime(content: bytes | str, observation: np.ndarray) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    (action,) = session.run([OUTPUT], {INPUT: observation})
    return np.asarray(action)


@pytest.mark.parametrize("hidden", [(), (8,), (128, 128)])
@pytest.mark.parametrize("kind", [ActionKind.SHADOW_PRICE, ActionKind.POWER])
@pytest.mark.parametrize("output", list(OutputKind))
def test_onnxruntime_says_the_same(
    hidden: tuple[int, ...], kind: ActionKind, output: OutputKind
) -> None:
    policy = draw_policy(hidden, kind=kind, output=output, clip=2.5)
    observation = 3.0 * np.random.default_rng(12).standard_normal((2_000, policy.n_features))
    drawn = observation.astype(np.float32)

    action = in_onnxruntime(to_onnx(policy).SerializeToString(), drawn)

    expected = policy.act(drawn)
    np.testing.assert_allclose(action, expected, rtol=0.0, atol=1e-5)
    assert action.shape == (2_000, N_GROUPS)
    inside = (expected > kind.low) & (expected < 1.0)
    assert inside.mean() > 0.1  # the comparison is not one of bounds alone


def test_one_observation_of_a_site_runs_from_a_file(tmp_path: Path) -> None:
    """Over the whole range of every feature of a site, one observation at a time."""
    features = observation_table(load_site("japan_pilot"))
    low = np.array([feature.low for feature in features])
    high = np.array([feature.high for feature in features])
    policy = draw_policy((32,), n_features=len(features))
    path = tmp_path / "policy.onnx"
    write_onnx(policy, path)

    for observation in np.random.default_rng(13).uniform(low, high, (20, len(features))):
        row = observation[None].astype(np.float32)
        np.testing.assert_allclose(in_onnxruntime(str(path), row), policy.act(row), atol=1e-5)
    model = onnx.load(path)
    assert model.producer_name == "gridhash"
    assert "shadow_price per rig group" in model.doc_string
    with pytest.raises(PolicyError, match=r"policy\.onnx exists already"):
        write_onnx(policy, path)
    with pytest.raises(PolicyError, match=r"no-such-folder/x\.onnx: cannot be written: No such"):
        write_onnx(policy, tmp_path / "no-such-folder" / "x.onnx")


def test_a_rule_has_no_onnx() -> None:
    with pytest.raises(PolicyError, match="level_rule is no network"):
        to_onnx(LevelRule(load_site("japan_pilot")))


def test_a_network_that_acts_by_levels_gives_its_logits() -> None:
    site = load_site("texas_air")
    counts = [len(site.levels_of(group)) + 1 for group in site.groups]
    n_features = len(observation_table(site))
    rng = np.random.default_rng(13)
    weights = {
        name: (rng.standard_normal(shape) / np.sqrt(shape[-1])).astype(np.float32)
        for name, shape in mlp_shapes(n_features, (16,), sum(counts)).items()
    }
    weights["normalise.scale"] = np.exp(weights["normalise.scale"]).astype(np.float32)
    policy = LevelPolicy(weights, name="drawn", site=site, clip=4.0)
    observation = rng.standard_normal((50, n_features)).astype(np.float32)

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        to_onnx(policy).SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    (logits,) = session.run(["logits"], {INPUT: observation})

    np.testing.assert_allclose(logits, policy.network.outputs(observation), atol=1e-5)

"""The network in NumPy: same numbers as torch, same bits every time, no answer to nonsense."""

import os
import pickle
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gridhash.agents.numpy_policy import MlpPolicy, OutputKind, check_weights, mlp_shapes
from gridhash.envs.action import ActionKind
from gridhash.envs.parameters import Floats32
from gridhash.errors import PolicyError

N_FEATURES, N_GROUPS = 140, 4


def draw_weights(seed: int, *, hidden: tuple[int, ...] = (64, 64)) -> dict[str, Floats32]:
    rng = np.random.default_rng(seed)
    weights = {
        name: (rng.standard_normal(shape) / np.sqrt(shape[-1])).astype(np.float32)
        for name, shape in mlp_shapes(N_FEATURES, hidden, N_GROUPS).items()
    }
    weights["normalise.scale"] = np.exp(weights["normalise.scale"]).astype(np.float32)
    return weights


def draw_observations(seed: int, n: int) -> Floats32:
    rng = np.random.default_rng(seed)
    return (3.0 * rng.standard_normal((n, N_FEATURES))).astype(np.float32)


def make_policy(
    weights: dict[str, Floats32],
    *,
    kind: ActionKind = ActionKind.SHADOW_PRICE,
    output: OutputKind = OutputKind.CLIP,
    clip: float = 10.0,
) -> MlpPolicy:
    return MlpPolicy(weights, name="test", action_kind=kind, output=output, clip=clip)


def forward_in_float64(weights: dict[str, Floats32], x: Floats32, clip: float) -> np.ndarray:
    """Spell the network out row by row, independently of the policy."""
    w = {name: array.astype(np.float64) for name, array in weights.items()}
    rows = []
    for row in x.astype(np.float64):
        h = np.clip((row - w["normalise.center"]) / w["normalise.scale"], -clip, clip)
        k = 0
        while f"layer.{k}.weight" in w:
            h = np.maximum(w[f"layer.{k}.weight"].dot(h) + w[f"layer.{k}.bias"], 0.0)
            k += 1
        rows.append(w["output.weight"].dot(h) + w["output.bias"])
    return np.array(rows)


@pytest.mark.parametrize("hidden", [(), (8,), (64, 64), (256, 256)])
def test_network_agrees_with_its_definition(hidden: tuple[int, ...]) -> None:
    weights = draw_weights(1, hidden=hidden)
    observations = draw_observations(2, 50)

    actions = make_policy(weights, clip=2.5).act(observations)

    expected = np.clip(forward_in_float64(weights, observations, 2.5), -1.0, 1.0)
    np.testing.assert_allclose(actions, expected, atol=3e-6)
    assert actions.dtype == np.float64
    assert (np.abs(actions) < 1.0).mean() > 0.3  # the comparison is not one of bounds alone


def test_a_network_does_not_act_by_levels() -> None:
    with pytest.raises(PolicyError, match="no choice among work levels; use power or shadow_price"):
        make_policy(draw_weights(3), kind=ActionKind.LEVELS)


@pytest.mark.parametrize("kind", [ActionKind.SHADOW_PRICE, ActionKind.POWER])
@pytest.mark.parametrize("output", list(OutputKind))
def test_actions_stay_within_their_bounds(kind: ActionKind, output: OutputKind) -> None:
    weights = draw_weights(3)
    weights["output.weight"] *= np.float32(100.0)

    actions = make_policy(weights, kind=kind, output=output).act(draw_observations(4, 500))

    assert actions.min() >= kind.low
    assert actions.max() <= 1.0
    assert actions.min() < kind.low + 0.01
    assert actions.max() > 0.99


def test_tanh_of_zero_is_the_middle_of_the_range() -> None:
    weights = draw_weights(5)
    weights["output.weight"][:] = 0.0
    weights["output.bias"][:] = 0.0
    observations = draw_observations(6, 3)

    shadow = make_policy(weights, output=OutputKind.TANH).act(observations)
    power = make_policy(weights, kind=ActionKind.POWER, output=OutputKind.TANH).act(observations)

    assert (shadow == 0.0).all()
    assert (power == 0.5).all()


@pytest.mark.parametrize("output", list(OutputKind))
def test_numpy_agrees_with_torch(output: OutputKind) -> None:
    torch = pytest.importorskip("torch")
    weights = draw_weights(7, hidden=(256, 256))
    weights["output.weight"] *= np.float32(0.3)  # keeps most actions off the bounds
    observations = draw_observations(8, 2_000)
    policy = make_policy(weights, output=output, clip=5.0)

    x = torch.from_numpy(observations)
    x = (x - torch.from_numpy(weights["normalise.center"])) / torch.from_numpy(
        weights["normalise.scale"]
    )
    x = x.clamp(-5.0, 5.0)
    for k in range(2):
        linear = torch.nn.functional.linear
        x = linear(
            x, torch.from_numpy(weights[f"layer.{k}.weight"]),
            torch.from_numpy(weights[f"layer.{k}.bias"]),
        ).relu()  # fmt: skip
    x = linear(
        x, torch.from_numpy(weights["output.weight"]), torch.from_numpy(weights["output.bias"])
    )
    expected = (x.tanh() if output is OutputKind.TANH else x.clamp(-1.0, 1.0)).numpy()

    # Relative to the range of the action: near zero the parts cancel and float32 rounds.
    one_by_one = np.vstack([policy.act(row[None]) for row in observations])
    assert np.abs(policy.act(observations) - expected).max() <= 1e-6 * 2.0
    assert np.abs(one_by_one - expected).max() <= 1e-6 * 2.0


def test_equal_observations_give_equal_bits_wherever_they_lie_and_whoever_asks() -> None:
    policy = make_policy(draw_weights(9, hidden=(256, 256)))
    observations = draw_observations(10, 8)
    expected = [policy.act(row[None]).tobytes() for row in observations]
    buffer = np.empty(N_FEATURES + 64, dtype=np.float32)
    found = []
    for k in range(256):
        view = buffer[k % 64 : k % 64 + N_FEATURES].reshape(1, N_FEATURES)
        view[:] = observations[k % 8]
        found.append(policy.act(view).tobytes() == expected[k % 8])
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda k: policy.act(observations[k % 8][None]), range(2_000)))

    assert all(found)
    assert all(answer.tobytes() == expected[k % 8] for k, answer in enumerate(answers))


def test_an_observation_gets_the_same_bits_alone_in_a_batch_and_uncompiled() -> None:
    policy = make_policy(draw_weights(19, hidden=(10, 7)), output=OutputKind.TANH)
    observations = draw_observations(20, 9)
    uncompiled = """
import sys
import numpy as np
from tests.agents.test_numpy_policy import draw_observations, draw_weights, make_policy
network = make_policy(draw_weights(19, hidden=(10, 7))).network
sys.stdout.buffer.write(network.outputs(draw_observations(20, 9)).tobytes())
"""
    run = subprocess.run(
        [sys.executable, "-c", uncompiled],
        env=os.environ | {"NUMBA_DISABLE_JIT": "1"},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        timeout=120,
        check=True,
    )

    batch = policy.act(observations)

    assert batch.tobytes() == b"".join(policy.act(row[None]).tobytes() for row in observations)
    assert policy.network.outputs(observations).tobytes() == run.stdout


def test_any_layout_of_an_observation_is_read_right() -> None:
    policy = make_policy(draw_weights(21))
    observations = draw_observations(22, 6)
    expected = policy.act(observations)
    wide = np.zeros((6, 2 * N_FEATURES), dtype=np.float32)
    wide[:, ::2] = observations
    locked = observations.copy()
    locked.flags.writeable = False

    others: tuple[Any, ...] = (
        np.asfortranarray(observations),
        wide[:, ::2],
        observations.astype(np.float64),
        observations.astype(">f4"),
        locked,
    )
    for other in others:
        np.testing.assert_array_equal(policy.act(other), expected)
    assert policy.act(observations[:0]).shape == (0, N_GROUPS)


def test_a_copy_for_another_process_decides_alike() -> None:
    policy = make_policy(draw_weights(23), clip=3.0, output=OutputKind.TANH)
    observations = draw_observations(24, 3)

    copy = pickle.loads(pickle.dumps(policy))

    assert copy.act(observations).tobytes() == policy.act(observations).tobytes()


def test_a_network_that_overflows_gives_no_action() -> None:
    weights = draw_weights(25)
    weights["layer.0.weight"][:] = weights["layer.1.weight"][:] = np.float32(1e30)

    with pytest.raises(PolicyError, match="values for which the network overflows"):
        make_policy(weights).act(np.full((1, N_FEATURES), 1e9, dtype=np.float32))


def test_observations_and_weights_are_left_alone() -> None:
    weights = draw_weights(11)
    observations = draw_observations(12, 5)
    before = observations.copy()
    policy = make_policy(weights)
    first = policy.act(observations)
    weights["output.bias"] += np.float32(1.0)

    second = policy.act(observations)

    assert (observations == before).all()
    assert (first == second).all()
    assert not np.shares_memory(first, second)
    with pytest.raises(ValueError, match="read-only"):
        policy.weights["output.bias"][0] = 0.0


@pytest.mark.parametrize("value", [np.nan, -np.nan])
def test_no_action_is_made_up_for_an_observation_with_a_gap(value: float) -> None:
    observations = draw_observations(13, 3)
    observations[1, 17] = value

    with pytest.raises(PolicyError, match="nan in row 1, feature 17"):
        make_policy(draw_weights(14)).act(observations)


@pytest.mark.parametrize("shape", [(N_FEATURES,), (1, N_FEATURES - 1), (1, 1, N_FEATURES)])
def test_an_observation_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(PolicyError, match=r"shape \(N, 140\)"):
        make_policy(draw_weights(15)).act(np.zeros(shape, dtype=np.float32))


def test_arrays_that_are_no_network_are_refused_by_name() -> None:
    shapes = mlp_shapes(N_FEATURES, (64, 64), N_GROUPS)
    good = draw_weights(16)
    check_weights(good, shapes)
    for name in shapes:
        fewer = {key: array for key, array in good.items() if key != name}
        with pytest.raises(PolicyError, match=f"array {name} is missing"):
            check_weights(fewer, shapes)
        with pytest.raises(PolicyError):
            make_policy(fewer)
        for faulty in (np.nan, np.inf):
            array = good[name].copy()
            array.flat[array.size // 2] = faulty
            with pytest.raises(PolicyError, match=f"array {name} holds {faulty}"):
                make_policy(good | {name: array})
        with pytest.raises(PolicyError, match=f"array {name} has shape"):
            check_weights(good | {name: good[name][..., :-1]}, shapes)
        with pytest.raises(PolicyError, match=f"array {name} is float64"):
            make_policy(good | {name: good[name].astype(np.float64)})
    with pytest.raises(PolicyError, match=r"array layer\.7\.bias is unknown"):
        make_policy(good | {"layer.7.bias": good["layer.0.bias"]})
    zero = good["normalise.scale"].copy()
    zero[5] = 0.0
    with pytest.raises(PolicyError, match=r"normalise\.scale\[5\] is 0\.0"):
        make_policy(good | {"normalise.scale": zero})
    with pytest.raises(PolicyError, match="clip is nan"):
        make_policy(good, clip=np.nan)


def test_a_decision_takes_well_under_a_millisecond() -> None:
    policy = make_policy(draw_weights(17, hidden=(256, 256)))
    observation = draw_observations(18, 1)
    times_ns = []
    for _ in range(2_000):
        start = time.perf_counter_ns()
        policy.act(observation)
        times_ns.append(time.perf_counter_ns() - start)

    # Measured 15 µs (p99 31 µs); the allowance is for a machine that does other work besides.
    assert np.median(times_ns) / 1e3 < 200.0

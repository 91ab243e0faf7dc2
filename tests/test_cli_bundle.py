"""The bundle commands: one answer or one error, nothing written half."""

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from gridhash.agents.bundle import describe_bundle, write_bundle
from gridhash.agents.bundle_manifest import (
    DataSpan,
    Gain,
    Provenance,
    RuleSpec,
    Verdict,
    site_hash,
)
from gridhash.agents.numpy_policy import MlpPolicy, mlp_shapes
from gridhash.agents.signing import SigningKey, generate_key
from gridhash.cli import app
from gridhash.config import load_site
from gridhash.envs.action import ActionKind
from gridhash.envs.observation import observation_table
from gridhash.errors import BundleError, GridhashError

pytestmark = pytest.mark.usefixtures("quick_tuning")
SITE = load_site("europe_sample")
LOOK_AHEAD = RuleSpec(rule="look_ahead_rule", parameters={"start_worth": 0.5, "keep_worth": 0.0})
NOW = datetime(2026, 9, 1, 12, tzinfo=UTC)
SPAN = DataSpan(role="validate", source="own prices", area="NL", start=NOW - timedelta(30), end=NOW)
VERDICT = Verdict(
    deployable=False,
    reason="it is not clearly better than look_ahead_rule, the best tuned rule: +9 [-3, +21] EUR",
    judged_at=NOW,
    data=SPAN,
    site_sha256=site_hash(SITE),
    policy_profit=1009.0,
    rule=LOOK_AHEAD,
    rule_profits={"look_ahead_rule": 1000.0, "always_off": -70.0},
    over_rule=Gain(estimate=9.0, low=-3.0, high=21.0),
    bound=1100.0,
)


def bundle(*arguments: object) -> str:
    """Return what a bundle command prints; raises what it ends with."""
    result = CliRunner().invoke(app, ["bundle", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture
def key(tmp_path: Path) -> SigningKey:
    return generate_key(tmp_path / "trainer.pem")


Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path, key: SigningKey) -> Write:
    def write(policy: Any = LOOK_AHEAD, **more: Any) -> Path:
        values: dict[str, Any] = {
            "name": "own",
            "provenance": Provenance(seed=4, data=(SPAN,), scores={"validation": 12.5}),
        }
        return write_bundle(tmp_path, policy, site=SITE, key=key, created_at=NOW, **(values | more))

    return write


def network(seed: int = 1) -> MlpPolicy:
    shapes = mlp_shapes(len(observation_table(SITE)), (8,), len(SITE.groups))
    rng = np.random.default_rng(seed)
    weights = {name: rng.random(shape, dtype=np.float32) + 0.1 for name, shape in shapes.items()}
    return MlpPolicy(weights, name="drawn", action_kind=ActionKind.SHADOW_PRICE)


def test_inspect_tells_what_a_person_needs(write: Write, key: SigningKey, tmp_path: Path) -> None:
    path = write(network(), verdict=VERDICT)

    text = bundle("inspect", path, "--key", tmp_path / "trainer.pub", "--site", "europe_sample")

    text = " ".join(text.split())
    for words in (
        "network, 8, acts by shadow_price",
        "europe_sample: loop_a, loop_b, loop_c, loop_d; EUR, settled every 60 min",
        "96 features",
        "validate 2026-08-02 to 2026-09-01, own prices (NL)",
        f"holds, by {key.public.key_id}; trusted",
        "not deployable: it is not clearly better than look_ahead_rule",
        "it fits",
        "perfect-foresight bound",
        "+9 [-3, +21]",
    ):
        assert words in text, words
    assert text.index("│ own") < text.index("│ look_ahead_rule") < text.index("│ always_off")


def test_inspect_as_json_is_the_manifest_and_who_signed_it(write: Write, key: SigningKey) -> None:
    told = json.loads(bundle("inspect", write(verdict=VERDICT), "--json"))

    assert told["signed_by"] == key.public.hex
    assert told["trusted"] is None
    assert told["deployable"] is False
    assert told["manifest"]["verdict"]["over_rule"] == {"estimate": 9.0, "low": -3.0, "high": 21.0}
    assert told["manifest"]["policy"]["rule"] == "look_ahead_rule"


def test_inspect_says_of_a_stranger_and_another_site_that_they_do_not_fit(
    write: Write, tmp_path: Path
) -> None:
    stranger = generate_key(tmp_path / "stranger.pem").public.hex

    text = " ".join(bundle("inspect", write(), "--key", stranger, "--site", "japan_pilot").split())

    assert "NOT TRUSTED: none of the keys given signed it" in text
    assert "currency is JPY at the site, EUR in the bundle" in text
    assert "it was never judged" in text
    assert "validation 12.5" in text


def test_verify_says_intact_or_why_not(write: Write, tmp_path: Path) -> None:
    path, public = write(network(), verdict=VERDICT), tmp_path / "trainer.pub"
    stranger = generate_key(tmp_path / "stranger.pem").public.hex

    told = bundle("verify", path, "--key", stranger, "--key", public)
    assert "intact, signed by" in told
    assert "fits europe_sample; not deployable: it is not clearly better" in told

    with pytest.raises(BundleError, match="which is not trusted here; trusted: ed25519:"):
        bundle("verify", path, "--key", stranger)
    with pytest.raises(BundleError, match="does not fit site japan_pilot"):
        bundle("verify", path, "--key", public, "--site", "japan_pilot")
    with pytest.raises(BundleError, match="not deployable: it is not clearly better"):
        bundle("verify", path, "--key", public, "--deployable")
    with pytest.raises(BundleError, match="no bundle folder can be read there"):
        bundle("verify", tmp_path / "none.bundle", "--key", public)
    with pytest.raises(BundleError, match="neither a readable file nor the 64 hexadecimal digits"):
        bundle("verify", path, "--key", tmp_path / "none.pub")
    content = (path / "policy.safetensors").read_bytes()
    (path / "policy.safetensors").write_bytes(content[:-1])
    with pytest.raises(BundleError, match=r"policy\.safetensors is not the file that was signed"):
        bundle("verify", path, "--key", public)


def test_an_operator_makes_a_key_and_signs_what_was_reviewed(
    write: Write, key: SigningKey, tmp_path: Path
) -> None:
    path = write()
    assert "own.pub: ed25519:" in bundle("keygen", tmp_path / "own.pem").replace("\n", "")
    own = ("--signing-key", tmp_path / "own.pem")

    with pytest.raises(BundleError, match="not trusted here"):
        bundle("sign", path, *own, "--out", tmp_path / "mine.bundle", "--key", "a" * 64)
    assert not (tmp_path / "mine.bundle").exists()
    told = bundle("sign", path, *own, "--out", tmp_path / "mine.bundle", "--key", key.public.hex)

    assert f"before that by {key.public.key_id}" in told
    assert "intact" in bundle("verify", tmp_path / "mine.bundle", "--key", tmp_path / "own.pub")
    with pytest.raises(BundleError, match="exists already"):
        bundle("sign", path, *own, "--out", tmp_path / "mine.bundle")
    with pytest.raises(BundleError, match="not overwritten"):
        bundle("keygen", tmp_path / "own.pem")


def test_diff_shows_parts_and_weights(write: Write) -> None:
    first = write(network(1), name="first", provenance=Provenance(training={"lr": 0.1}))
    second = write(network(2), name="second", provenance=Provenance(training={"lr": 0.2}))

    text = " ".join(bundle("diff", first, second).split())
    told = json.loads(bundle("diff", first, second, "--json"))

    assert "provenance.training.lr 0.1 0.2" in text
    assert "layer.0.weight 8 × 96 8 × 96 0." in text
    assert ["settings", "provenance.training.lr", 0.1, 0.2] in [
        list(change.values()) for change in told["changes"]
    ]
    assert len(told["arrays"]) == told["n_arrays"] == 6
    assert bundle("diff", first, first) == "no difference\n"


def test_a_network_is_exported_and_a_rule_is_not(write: Write, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    path = write(network(), name="network")
    out = tmp_path / "policy.onnx"

    told = " ".join(bundle("export-onnx", path, out).split())

    assert told.endswith("observation (batch, 96) to action (batch, 4), shadow_price per group")
    session = onnxruntime.InferenceSession(str(out), providers=["CPUExecutionProvider"])
    observation = np.random.default_rng(3).random((50, 96), dtype=np.float32)
    (action,) = session.run(None, {"observation": observation})
    np.testing.assert_allclose(action, network().act(observation), atol=1e-5)
    with pytest.raises(GridhashError, match=r"policy\.onnx exists already"):
        bundle("export-onnx", path, out)
    with pytest.raises(GridhashError, match="look_ahead_rule is no network"):
        bundle("export-onnx", write(), tmp_path / "rule.onnx")


def test_a_rule_that_is_the_best_is_promoted_and_a_worse_one_is_not(
    write: Write, tmp_path: Path
) -> None:
    generate_key(tmp_path / "own.pem")
    spans = ("--start", "2018-01-08", "--validate-from", "2018-01-29", "--test-from", "2018-02-26")
    data = ("--prices", "nl_2018", *spans, "--end", "2018-03-08")
    own = ("--signing-key", tmp_path / "own.pem")

    told = bundle("promote", write(), *own, "--out", tmp_path / "best.bundle", *data)
    with pytest.raises(BundleError, match="is not promoted: it earns less than"):
        bundle(
            *("promote", write(RuleSpec(rule="always_off"), name="off"), *own),
            *("--out", tmp_path / "off-promoted.bundle", *data),
        )

    assert "deployable, it is look_ahead_rule, the best of 8 tuned rules" in " ".join(told.split())
    manifest = describe_bundle(tmp_path / "best.bundle").manifest
    assert manifest.deployable
    assert manifest.verdict is not None
    assert manifest.verdict.data.source.startswith("SMARD")
    assert "off-promoted.bundle" not in os.listdir(tmp_path)

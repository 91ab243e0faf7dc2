"""A comparison of two bundles names what differs, and nothing else."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gridhash.agents.bundle import sign_again, write_bundle
from gridhash.agents.bundle_diff import Part, diff_bundles
from gridhash.agents.bundle_manifest import Provenance, RuleSpec
from gridhash.agents.numpy_policy import MlpPolicy, mlp_shapes
from gridhash.agents.signing import SigningKey, generate_key
from gridhash.config import SiteConfig, load_site, parse_site
from gridhash.envs.action import ActionKind
from gridhash.envs.observation import observation_table
from gridhash.errors import BundleError

SITE = load_site("japan_pilot")


@pytest.fixture
def key(tmp_path: Path) -> SigningKey:
    return generate_key(tmp_path / "key.pem")


def weights(hidden: int = 6) -> dict[str, Any]:
    shapes = mlp_shapes(len(observation_table(SITE)), (hidden,), len(SITE.groups))
    rng = np.random.default_rng(2)
    return {name: rng.random(shape, dtype=np.float32) + 0.5 for name, shape in shapes.items()}


def write(
    folder: Path, name: str, key: SigningKey, own: dict[str, Any], site: SiteConfig = SITE,
    **provenance: Any,
) -> Path:  # fmt: skip
    return write_bundle(
        folder,
        MlpPolicy(own, name=name, action_kind=ActionKind.SHADOW_PRICE),
        name=name,
        site=site,
        key=key,
        created_at=datetime(2026, 9, 1, tzinfo=UTC),
        provenance=Provenance(**provenance),
    )


def test_a_bundle_signed_again_differs_in_name_and_keys_alone(
    tmp_path: Path, key: SigningKey
) -> None:
    path = write(tmp_path, "first", key, weights())
    again = sign_again(path, tmp_path / "again.bundle", key=generate_key(tmp_path / "own.pem"))

    found = diff_bundles(path, again)

    assert {change.key for change in found.changes} == {"name", "key_id", "earlier_keys.0"}
    assert {change.part for change in found.changes} == {Part.ORIGIN}
    assert found.arrays == ()
    assert found.n_arrays == 6
    assert diff_bundles(path, path).changes == ()


def test_settings_scores_and_the_distance_of_weights_are_told(
    tmp_path: Path, key: SigningKey
) -> None:
    own, moved = weights(), weights()
    moved["output.bias"] = own["output.bias"] * np.float32(1.25)
    first = write(tmp_path, "first", key, own, training={"ppo": {"n": 3}}, scores={"a": 1.0})
    second = write(tmp_path, "second", key, moved, training={"ppo": {"n": 4}}, scores={"a": 2.0})

    found = diff_bundles(first, second)

    assert [tuple(change) for change in found.changes if change.part is not Part.ORIGIN] == [
        (Part.SETTINGS, "provenance.training.ppo.n", 3, 4),
        (Part.SCORES, "provenance.scores.a", 1.0, 2.0),
    ]
    (distance,) = found.arrays
    assert distance.name == "output.bias"
    assert distance.relative == pytest.approx(0.25)


def test_arrays_of_other_shapes_have_no_distance(tmp_path: Path, key: SigningKey) -> None:
    first = write(tmp_path, "first", key, weights())
    second = write(tmp_path, "second", key, weights(hidden=7))

    found = diff_bundles(first, second)

    by_name = {distance.name: distance for distance in found.arrays}
    assert by_name["layer.0.bias"].shapes == ((6,), (7,))
    assert by_name["layer.0.bias"].relative is None
    assert ("policy.hidden.0", 6, 7) in [tuple(change[1:]) for change in found.changes]


def test_a_feature_more_is_one_change_and_the_site_s_figures_are_named(
    tmp_path: Path, key: SigningKey
) -> None:
    def rule(name: str, site: SiteConfig) -> Path:
        return write_bundle(
            tmp_path, RuleSpec(rule="level_rule"), name=name, site=site, key=key,
            created_at=datetime(2026, 9, 1, tzinfo=UTC), provenance=Provenance(),
        )  # fmt: skip

    values = json.loads(SITE.model_dump_json())
    values["limits"]["contract_power_kw"] += 100.0
    values["market"]["horizon_h"] = SITE.market.horizon_h + 1
    other = parse_site(values, origin="test")

    found = diff_bundles(rule("first", SITE), rule("second", other))

    changed = {change.key: (change.first, change.second) for change in found.changes}
    n = len(observation_table(SITE))
    assert changed["observation.n_features"] == (n, n + 2)
    features = [key for key in changed if key.startswith("observation.feature.")]
    assert len(features) == 2
    assert changed[features[0]][0] is None
    before = SITE.limits.contract_power_kw
    assert changed["site.limits.contract_power_kw"] == (before, before + 100.0)
    assert "site.market.horizon_h" in changed
    assert found.n_arrays == 0


def test_what_is_damaged_is_not_compared(tmp_path: Path, key: SigningKey) -> None:
    path = write(tmp_path, "first", key, weights())
    damaged = write(tmp_path, "second", key, weights())
    (damaged / "manifest.json").write_bytes(b"{}")

    with pytest.raises(BundleError, match=r"second\.bundle: the signature .* does not hold"):
        diff_bundles(path, damaged)

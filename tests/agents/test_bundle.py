"""Bundles: what was signed is what runs, at the site it was made for, and nothing else does."""

import ast
import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors
import safetensors.numpy

import gridhash.agents.bundle_files as bundle_files
from gridhash.agents.bundle import describe_bundle, load_bundle, write_bundle
from gridhash.agents.bundle_manifest import DataSpan, Manifest, Provenance, RuleSpec
from gridhash.agents.numpy_policy import MlpPolicy, mlp_shapes
from gridhash.agents.rule_registry import RULES
from gridhash.agents.rules import Hysteresis
from gridhash.agents.signing import PublicKey, SigningKey, generate_key
from gridhash.config import SiteConfig, load_site
from gridhash.envs.action import ActionKind
from gridhash.envs.observation import observation_table
from gridhash.errors import BundleError

SITE = load_site("japan_pilot")
N_FEATURES = len(observation_table(SITE))
CREATED_AT = datetime(2026, 9, 1, 12, tzinfo=UTC)
TRAINED_ON = DataSpan(
    role="train",
    source="synthetic",
    area="kyushu",
    start=CREATED_AT - timedelta(days=365),
    end=CREATED_AT - timedelta(days=90),
)
PROVENANCE = Provenance(
    seed=7,
    data=(TRAINED_ON,),
    training={"algorithm": "ppo", "hidden": [16, 16]},
    scores={"bound_share": 0.981, "level_rule_share": 0.951},
    git_commit="a3e1c95",
)


def draw_policy(seed: int = 0, *, n_features: int = N_FEATURES) -> MlpPolicy:
    rng = np.random.default_rng(seed)
    weights = {
        name: (rng.standard_normal(shape) / np.sqrt(shape[-1])).astype(np.float32)
        for name, shape in mlp_shapes(n_features, (16, 16), len(SITE.groups)).items()
    }
    weights["normalise.scale"] = np.exp(weights["normalise.scale"]).astype(np.float32)
    return MlpPolicy(weights, name="drawn", action_kind=ActionKind.SHADOW_PRICE)


def write(folder: Path, key: SigningKey, *, name: str = "night_owl", seed: int = 0) -> Path:
    return write_bundle(
        folder,
        draw_policy(seed),
        name=name,
        site=SITE,
        key=key,
        created_at=CREATED_AT,
        provenance=PROVENANCE,
    )


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> SigningKey:
    return generate_key(tmp_path_factory.mktemp("keys") / "trainer.pem")


@pytest.fixture
def bundle(tmp_path: Path, key: SigningKey) -> Path:
    return write(tmp_path, key)


def load(path: Path, key: SigningKey, site: SiteConfig = SITE) -> Any:
    return load_bundle(path, site=site, trusted_keys=[key.public])[0]


def sign_again(path: Path, key: SigningKey, change: Callable[[dict[str, Any]], None]) -> None:
    """Change a manifest as its rightful signer could, and sign what comes out."""
    manifest = json.loads((path / "manifest.json").read_text())
    change(manifest)
    text = json.dumps(manifest).encode()
    (path / "manifest.json").write_bytes(text)
    (path / "manifest.sig").write_bytes(bundle_files.sign(text, key))


def replace_weights(path: Path, key: SigningKey, content: bytes) -> None:
    (path / "policy.safetensors").write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    sign_again(path, key, lambda m: m["files"].update({"policy.safetensors": digest}))


def test_a_bundle_acts_bit_for_bit_as_the_policy_it_was_made_of(
    tmp_path: Path, key: SigningKey
) -> None:
    policy = draw_policy(3)
    path = write(tmp_path, key, seed=3)
    observations = np.random.default_rng(4).standard_normal((500, N_FEATURES)).astype(np.float32)

    loaded, manifest, _ = load_bundle(path, site=SITE, trusted_keys=[key.public])

    assert loaded.act(observations).tobytes() == policy.act(observations).tobytes()
    assert loaded.action_kind is ActionKind.SHADOW_PRICE
    assert loaded.name == "night_owl"
    assert manifest.provenance == PROVENANCE
    assert manifest.created_at == CREATED_AT
    assert [f.name for f in manifest.observation.features] == [
        f.name for f in observation_table(SITE)
    ]


def test_nothing_but_the_bundle_is_left_by_writing(bundle: Path) -> None:
    assert os.listdir(bundle.parent) == ["night_owl.bundle"]
    assert sorted(os.listdir(bundle)) == ["manifest.json", "manifest.sig", "policy.safetensors"]


def test_a_write_that_fails_leaves_nothing(
    tmp_path: Path, key: SigningKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = []

    def fail_at_the_third(path: Path, content: bytes) -> None:
        written.append(path.name)
        path.write_bytes(content[: len(content) // 2])
        if len(written) == 3:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(bundle_files, "_write_durably", fail_at_the_third)

    with pytest.raises(BundleError, match="No space left"):
        write(tmp_path, key)

    assert len(written) == 3
    assert os.listdir(tmp_path) == []


def test_a_bundle_is_never_overwritten(bundle: Path, key: SigningKey) -> None:
    before = (bundle / "manifest.json").read_bytes()

    with pytest.raises(BundleError, match=r"night_owl\.bundle exists already"):
        write(bundle.parent, key, seed=1)

    assert (bundle / "manifest.json").read_bytes() == before


@pytest.mark.parametrize(
    "name", ["../up", "/etc/x", "a/b", "..", "", "a\\b", "a\0b", "A", "ä", "x" * 65, "a.b", "-x"]
)
def test_names_that_reach_out_of_the_folder_are_refused(
    tmp_path: Path, key: SigningKey, name: str
) -> None:
    folder = tmp_path / "bundles"

    with pytest.raises(BundleError, match="name"):
        write(folder, key, name=name)

    assert list(tmp_path.iterdir()) == []


def test_a_policy_of_other_shapes_is_not_written(tmp_path: Path, key: SigningKey) -> None:
    with pytest.raises(BundleError, match=f"139 inputs .* {N_FEATURES} features"):
        write_bundle(
            tmp_path,
            draw_policy(n_features=139),
            name="short",
            site=SITE,
            key=key,
            created_at=CREATED_AT,
            provenance=PROVENANCE,
        )
    assert list(tmp_path.iterdir()) == []


def test_no_mutation_of_the_signature_file_is_accepted(bundle: Path, key: SigningKey) -> None:
    path = bundle / "manifest.sig"
    original = path.read_bytes()
    for at in range(len(original)):
        for flip in (0x01, 0x20, 0x80):  # 0x20 turns a letter into its capital
            path.write_bytes(original[:at] + bytes([original[at] ^ flip]) + original[at + 1 :])
            with pytest.raises(BundleError):
                load(bundle, key)
    for more in (b"\n", b" ", original):
        path.write_bytes(original + more)
        with pytest.raises(BundleError, match="damaged"):
            load(bundle, key)


@pytest.mark.parametrize("name", ["manifest.json", "manifest.sig", "policy.safetensors"])
def test_truncated_files_are_refused(bundle: Path, key: SigningKey, name: str) -> None:
    path = bundle / name
    content = path.read_bytes()
    lengths = {len(content) * k // 20 for k in range(20)} | {len(content) - 1}
    for length in sorted(lengths):
        path.write_bytes(content[:length])
        with pytest.raises(BundleError, match=r"manifest|policy\.safetensors"):
            load(bundle, key)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("manifest.json", "incomplete: manifest.json is missing"),
        ("manifest.sig", "unsigned: manifest.sig is missing"),
        ("policy.safetensors", "incomplete: policy.safetensors is missing"),
    ],
)
def test_a_missing_file_is_named(bundle: Path, key: SigningKey, name: str, message: str) -> None:
    (bundle / name).unlink()

    with pytest.raises(BundleError, match=message):
        load(bundle, key)


@pytest.mark.parametrize("name", ["policy.pkl", ".hidden", "manifest.json~", "__init__.py"])
def test_an_extra_file_is_refused(bundle: Path, key: SigningKey, name: str) -> None:
    (bundle / name).write_bytes(b"")

    with pytest.raises(BundleError, match="no part of a bundle"):
        load(bundle, key)


def test_links_folders_and_pipes_are_refused(bundle: Path, key: SigningKey) -> None:
    weights = bundle / "policy.safetensors"
    elsewhere = bundle.parent / "elsewhere"
    shutil.move(weights, elsewhere)
    weights.symlink_to(elsewhere)
    with pytest.raises(BundleError, match="no plain file"):
        load(bundle, key)
    weights.unlink()
    weights.mkdir()
    with pytest.raises(BundleError, match="no plain file"):
        load(bundle, key)
    weights.rmdir()
    os.mkfifo(weights)
    with pytest.raises(BundleError, match="no plain file"):
        load(bundle, key)


def test_what_is_no_bundle_folder_is_named(tmp_path: Path, key: SigningKey) -> None:
    (tmp_path / "file.bundle").write_bytes(b"PK")
    for name in ("absent.bundle", "file.bundle"):
        with pytest.raises(BundleError, match=f"{name}: no bundle folder"):
            load(tmp_path / name, key)


def test_large_files_are_refused_before_they_are_read_whole(
    bundle: Path, key: SigningKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, cap in bundle_files.MAX_BYTES.items():
        content = (bundle / name).read_bytes()
        with (bundle / name).open("r+b") as file:
            file.truncate(2 * cap)  # sparse: no such space is used
        with pytest.raises(BundleError, match=f"{name} is larger than {cap} bytes"):
            load(bundle, key)
        (bundle / name).write_bytes(content)


def test_a_stranger_s_signature_is_refused_by_the_name_of_its_key(
    bundle: Path, key: SigningKey, tmp_path: Path
) -> None:
    stranger = generate_key(tmp_path / "stranger.pem")

    with pytest.raises(BundleError) as refusal:
        load_bundle(bundle, site=SITE, trusted_keys=[stranger.public])

    assert f"signed by key {key.public.key_id} (public key {key.public.hex})" in str(refusal.value)
    assert f"trusted: {stranger.public.key_id} (stranger.pub)" in str(refusal.value)
    with pytest.raises(BundleError, match="trusted: none"):
        load_bundle(bundle, site=SITE, trusted_keys=[])


def test_a_stranger_cannot_sign_in_another_s_name(
    bundle: Path, key: SigningKey, tmp_path: Path
) -> None:
    stranger = generate_key(tmp_path / "stranger.pem")
    sign_again(bundle, stranger, lambda manifest: None)
    with pytest.raises(BundleError, match=f"signed by key {stranger.public.key_id}"):
        load(bundle, key)
    signature = (bundle / "manifest.sig").read_bytes()
    (bundle / "manifest.sig").write_bytes(
        signature.replace(stranger.public.hex.encode(), key.public.hex.encode())
    )

    with pytest.raises(BundleError, match=f"of key {key.public.key_id} does not hold"):
        load(bundle, key)


def test_a_signature_of_the_same_bytes_for_something_else_is_none(
    bundle: Path, key: SigningKey
) -> None:
    bare = key.sign((bundle / "manifest.json").read_bytes()).hex()
    (bundle / "manifest.sig").write_text(
        f"gridhash bundle signature 1\nkey {key.public.hex}\nsignature {bare}\n"
    )

    with pytest.raises(BundleError, match="does not hold"):
        load(bundle, key)


def test_nothing_is_parsed_before_the_signature_holds(
    bundle: Path, key: SigningKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed: list[str] = []
    monkeypatch.setattr(json, "loads", lambda *a, **k: parsed.append("json"))
    monkeypatch.setattr(Manifest, "model_validate_json", lambda *a, **k: parsed.append("manifest"))
    monkeypatch.setattr(safetensors, "deserialize", parsed.append)
    (bundle / "manifest.json").write_bytes(b"{}")

    with pytest.raises(BundleError, match="does not hold"):
        load(bundle, key)

    assert parsed == []


def other_site(**changes: object) -> SiteConfig:
    values = SITE.model_dump()
    for path, value in changes.items():
        *parents, last = path.split("__")
        block: Any = values
        for part in parents:
            block = block[int(part) if part.isdigit() else part]
        block[last] = value
    return SiteConfig.model_validate(values)


@pytest.mark.parametrize(
    ("changes", "messages"),
    [
        ({"currency": "EUR"}, ["currency is EUR at the site, JPY in the bundle"]),
        (
            {"market__horizon_h": 18},
            [
                "expects features price_ratio_036, price_ratio_037, price_ratio_038 and 33 more "
                "which this site's table lacks",
                "the site has 36 price columns, the bundle 72",
            ],
        ),
        (
            {"groups__1__name": "loop_x"},
            [
                "groups is ['loop_a', 'loop_x', 'loop_c', 'loop_d'] at the site",
                "run_worth_loop_b",
            ],
        ),
        (
            {"market__settlement_period_s": 900},
            ["settlement_period_s is 900 at the site, 1800 in the bundle", "144 price columns"],
        ),
        (
            {"dispatch_interval_s": 600},
            ["dispatch_interval_s is 600 at the site, 300 in the bundle"],
        ),
    ],
)
def test_a_bundle_for_another_site_is_refused_with_what_differs(
    bundle: Path, key: SigningKey, changes: dict[str, object], messages: list[str]
) -> None:
    with pytest.raises(BundleError) as refusal:
        load(bundle, key, other_site(**changes))

    assert "does not fit site japan_pilot" in str(refusal.value)
    for message in messages:
        assert message in str(refusal.value)


def test_a_site_of_other_prices_and_limits_is_accepted_and_the_changes_are_told(
    bundle: Path, key: SigningKey
) -> None:
    site = other_site(limits__contract_power_kw=4600.0, groups__0__n_rigs=130)

    load(bundle, key, site)

    assert describe_bundle(bundle, site=site).site_changes == (
        "groups.0.n_rigs: 135 at training, 130 now",
        "limits.contract_power_kw: 4520.0 at training, 4600.0 now",
    )


def set_at(path: str, value: object) -> Callable[[dict[str, Any]], None]:
    def change(manifest: dict[str, Any]) -> None:
        *parents, last = path.split(".")
        block: Any = manifest
        for part in parents:
            block = block[int(part) if part.isdigit() else part]
        block[int(last) if last.isdigit() else last] = value

    return change


def swap_two_features(manifest: dict[str, Any]) -> None:
    features = manifest["observation"]["features"]
    features[6], features[7] = features[7], features[6]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            set_at("observation.features.6.unit", "currency/MWh"),
            "unit of feature price_per_kwh is 'currency/kWh' at the site, 'currency/MWh' in the",
        ),
        (
            set_at("observation.features.58.high", 30.0),
            "high of feature price_ratio_047 is 20.0 at the site, 30.0 in the bundle",
        ),
        (
            set_at("observation.features.58.name", "price_ratio_900"),
            "expects feature price_ratio_900 which this site's table lacks; this site's table "
            "has feature price_ratio_047 which the bundle does not know",
        ),
        (set_at("observation.features.0.meaning", "x"), "meaning of feature hour_sin is"),
        (
            swap_two_features,
            "feature 6 is price_per_kwh at the site, break_even_per_kwh in the bundle",
        ),
        (set_at("observation.sha256", "0" * 64), "hashes although all features agree"),
        (set_at("observation.features.1.name", "hour_sin"), "named twice: .'hour_sin'"),
        (set_at("action.low", -2.0), "low of the action is -1.0 here, -2.0 in the bundle"),
        (set_at("action.kind", "power"), "low of the action"),
        (set_at("action.sha256", "0" * 64), "action table of kind shadow_price differs"),
        (set_at("action.kind", "torque"), "action.kind"),
        (
            set_at("format_version", 4),
            "format_version is 4; .* reads versions 1 to 3: update gridhash",
        ),
        (set_at("key_id", "ed25519:0"), "names key ed25519:0 but"),
        (set_at("surprise", 1), "unknown key surprise"),
        (set_at("provenance.scores", {"a": "high"}), "provenance.scores.a"),
        (set_at("created_at", "2026-09-01T12:00:00"), "created_at"),
        (set_at("policy.kind", "pickle"), "policy"),
        (set_at("policy.clip", 0.0), "policy.mlp.clip"),
        (set_at("policy.hidden", [16, 17]), "has shape .16, 16.; expected .17, 16."),
        (set_at("policy.hidden", [16]), "array layer.1.bias is unknown"),
        (set_at("policy.n_features", 139), "139 inputs"),
        (set_at("files", {}), "has the files"),
        (set_at("files", {"../../etc/passwd": "0" * 64}), "etc/passwd"),
        (set_at("name", "../../x"), "name"),
    ],
)
def test_even_a_trusted_signer_s_wrong_manifest_is_refused(
    bundle: Path, key: SigningKey, change: Callable[[dict[str, Any]], None], message: str
) -> None:
    sign_again(bundle, key, change)

    with pytest.raises(BundleError, match=message):
        load(bundle, key)


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000, b"NaN"])
def test_a_signed_manifest_that_is_no_manifest_is_refused(
    bundle: Path, key: SigningKey, text: bytes
) -> None:
    (bundle / "manifest.json").write_bytes(text)
    (bundle / "manifest.sig").write_bytes(bundle_files.sign(text, key))

    with pytest.raises(BundleError, match=r"manifest\.json"):
        load(bundle, key)


def test_signed_weights_that_are_no_network_are_refused(bundle: Path, key: SigningKey) -> None:
    good = safetensors.numpy.load((bundle / "policy.safetensors").read_bytes())
    nan = good["layer.0.weight"].copy()
    nan[3, 4] = np.nan
    cases = [
        (good | {"layer.0.weight": nan}, r"layer\.0\.weight holds nan at \(3, 4\)"),
        (good | {"output.bias": good["output.bias"][:-1]}, r"output\.bias has shape \(3,\)"),
        (
            good | {"output.bias": good["output.bias"].astype(np.float16)},
            "F16; expected one of F64, F32",
        ),
        (good | {"extra": good["output.bias"]}, "array extra is unknown"),
        ({k: v for k, v in good.items() if k != "output.bias"}, r"output\.bias is missing"),
        (good | {"normalise.scale": 0 * good["normalise.scale"]}, "above zero"),
    ]
    for arrays, message in cases:
        replace_weights(bundle, key, safetensors.numpy.save(arrays))
        with pytest.raises(BundleError, match=message):
            load(bundle, key)
    header = b'{"a":{"dtype":"F32","shape":[9],"data_offsets":[0,4]}}'
    for content in (
        b"",
        b"\x80\x04cos\nsystem\n",
        b"\xff" * 64,
        len(header).to_bytes(8, "little") + header + bytes(4),
    ):
        replace_weights(bundle, key, content)
        with pytest.raises(BundleError, match="no safetensors file"):
            load(bundle, key)


def write_rule(folder: Path, key: SigningKey, rule: str, **parameters: float) -> Path:
    return write_bundle(
        folder,
        RuleSpec(rule=rule, parameters=parameters),
        name=rule,
        site=SITE,
        key=key,
        created_at=CREATED_AT,
        provenance=Provenance(),
    )


@pytest.mark.parametrize("rule", sorted(RULES))
def test_a_rule_travels_by_name(tmp_path: Path, key: SigningKey, rule: str) -> None:
    path = write_rule(tmp_path, key, rule, **dict.fromkeys(RULES[rule].parameters, 1.0))

    policy = load(path, key)

    assert policy.name == rule
    assert sorted(os.listdir(path)) == ["manifest.json", "manifest.sig"]
    (path / "policy.safetensors").write_bytes(b"")
    with pytest.raises(
        BundleError, match=r"holds policy\.safetensors, which its manifest does not"
    ):
        load(path, key)


def test_a_rule_keeps_its_parameters_to_the_bit(tmp_path: Path, key: SigningKey) -> None:
    path = write_rule(tmp_path, key, "hysteresis", start_ratio=0.1 + 0.2, stop_ratio=1.15)

    policy = load(path, key)

    assert isinstance(policy, Hysteresis)
    assert (policy.start_ratio, policy.stop_ratio) == (0.1 + 0.2, 1.15)


@pytest.mark.parametrize(
    ("rule", "parameters", "message"),
    [
        ("os_system", {}, "no rule is called 'os_system'; known: always_off, always_on"),
        ("hysteresis", {}, "takes start_ratio, stop_ratio; found none"),
        ("level_rule", {"site": 1.0}, "level_rule takes no parameters; found site"),
        ("hysteresis", {"start_ratio": 2.0, "stop_ratio": 1.0}, "found 2 and 1"),
    ],
)
def test_a_rule_that_cannot_be_made_is_refused(
    tmp_path: Path, key: SigningKey, rule: str, parameters: dict[str, float], message: str
) -> None:
    with pytest.raises(BundleError, match=message):
        write_rule(tmp_path, key, rule, **parameters)
    assert list(tmp_path.iterdir()) == []
    path = write_rule(tmp_path, key, "level_rule")
    sign_again(path, key, lambda m: m["policy"].update(rule=rule, parameters=parameters))
    with pytest.raises(BundleError, match=message):
        load(path, key)


def test_a_rule_under_the_wrong_kind_of_action_is_refused(tmp_path: Path, key: SigningKey) -> None:
    path = write_rule(tmp_path, key, "level_rule")
    sign_again(path, key, lambda m: m["policy"].update(rule="always_on"))

    with pytest.raises(
        BundleError, match="always_on acts by power, the manifest says shadow_price"
    ):
        load(path, key)


@pytest.mark.parametrize("kind", [ActionKind.SHADOW_PRICE, ActionKind.POWER])
def test_a_bundle_states_the_kind_of_its_action(
    kind: ActionKind, tmp_path: Path, key: SigningKey
) -> None:
    policy = MlpPolicy(draw_policy().weights, name="drawn", action_kind=kind)
    path = write_bundle(
        tmp_path, policy, name="kinds", site=SITE, key=key, created_at=CREATED_AT,
        provenance=PROVENANCE,
    )  # fmt: skip
    loaded, manifest, _ = load_bundle(path, site=SITE, trusted_keys=[key.public])
    assert manifest.action.kind == kind.name.lower()
    assert (manifest.action.low, manifest.action.high) == (kind.low, 1.0)
    assert loaded.action_kind is kind


def test_a_network_of_numbers_that_says_levels_is_refused(bundle: Path, key: SigningKey) -> None:
    sign_again(bundle, key, lambda m: m["action"].update(kind="levels"))

    with pytest.raises(BundleError, match=r"a network of kind mlp cannot act by levels"):
        load(bundle, key)


def test_describing_needs_no_trust_but_an_intact_bundle(bundle: Path, key: SigningKey) -> None:
    told = describe_bundle(bundle, site=other_site(currency="EUR"))

    assert told.manifest.name == "night_owl"
    assert told.signer == key.public
    assert not told.trusted
    assert told.misfits == ("currency is EUR at the site, JPY in the bundle",)
    assert describe_bundle(bundle, trusted_keys=[PublicKey(key.public.raw)]).trusted
    with (bundle / "manifest.json").open("ab") as file:
        file.write(b" ")
    with pytest.raises(BundleError, match="does not hold"):
        describe_bundle(bundle)


def test_bundle_folder_may_be_read_by_the_controller_s_account(bundle: Path) -> None:
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(bundle.stat().st_mode) == 0o777 & ~umask


LOAD_IN_A_BARE_PROCESS = """
import sys
from pathlib import Path
from gridhash.agents.bundle import load_bundle
from gridhash.agents.rule_registry import RULES
from gridhash.agents.rules import Hysteresis
from gridhash.agents.signing import read_public_key
from gridhash.config import load_site
import numpy as np

site = load_site("japan_pilot")
key = read_public_key(Path(sys.argv[2]))
load_bundle(Path(sys.argv[1]), site=site, trusted_keys=[key])  # imports what is imported late
executed = []
watched = {"exec", "compile", "import", "pickle.find_class", "os.system", "subprocess.Popen"}
sys.addaudithook(lambda event, args: executed.append((event, args)) if event in watched else None)
policy, manifest, _ = load_bundle(Path(sys.argv[1]), site=site, trusted_keys=[key])
policy.act(np.zeros((1, len(manifest.observation.features)), dtype=np.float32))
assert not executed, executed
heavy = {"torch", "stable_baselines3", "sb3_contrib", "joblib", "dill"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
print("ran", manifest.name)
"""


def test_loading_executes_nothing_and_needs_no_torch(bundle: Path, key: SigningKey) -> None:
    public = bundle.parent / "trainer.pub"
    public.write_text(key.public.hex)

    run = subprocess.run(
        [sys.executable, "-c", LOAD_IN_A_BARE_PROCESS, str(bundle), str(public)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert run.stderr == ""
    assert run.stdout == "ran night_owl\n"


MODULES = (
    "bundle",
    "bundle_files",
    "bundle_manifest",
    "numpy_policy",
    "rule_registry",
    "signing",
    "table_registry",
)


def test_no_module_of_the_bundle_imports_what_can_execute() -> None:
    # NumPy imports pickle and pandas cloudpickle for themselves, so sys.modules would not tell.
    folder = Path(bundle_files.__file__).parent
    for name in MODULES:
        tree = ast.parse((folder / f"{name}.py").read_text())
        imported = {
            alias.name.split(".")[0]
            for node in ast.walk(tree)
            if isinstance(node, ast.Import)
            for alias in node.names
        } | {
            (node.module or "").split(".")[0]
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom)
        }
        banned = {"pickle", "marshal", "shelve", "importlib", "runpy", "torch", "subprocess"}
        assert not imported & banned, name
        calls = {
            node.func.id
            for node in ast.walk(tree)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        }
        assert not calls & {"eval", "exec", "compile", "__import__"}, name

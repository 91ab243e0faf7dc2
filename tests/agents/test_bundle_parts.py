"""What else travels in a bundle: tables, forecasters, a verdict, the keys that signed it before."""

import json
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import safetensors.numpy

import gridhash.agents.bundle_files as bundle_files
from gridhash.agents.bundle import (
    LoadedBundle,
    describe_bundle,
    load_bundle,
    sign_again,
    write_bundle,
)
from gridhash.agents.bundle_files import WEIGHTS
from gridhash.agents.bundle_manifest import (
    DataSpan,
    Gain,
    Provenance,
    RuleSpec,
    Verdict,
    site_hash,
)
from gridhash.agents.price_chain import ChainSettings, PriceChain, clock_classes
from gridhash.agents.signing import SigningKey, generate_key
from gridhash.agents.stochastic_dp import StochasticDP
from gridhash.agents.table_registry import TABLES, Arrays
from gridhash.config import SiteConfig, load_site
from gridhash.data.forecasts.forecast import Forecaster, forecast_many
from gridhash.data.forecasts.methods import Method, fit
from gridhash.data.forecasts.sampling import TrainingOptions
from gridhash.data.forecasts.series import Series
from gridhash.data.splits import Span
from gridhash.envs.action import ActionKind
from gridhash.envs.observation import observation_table
from gridhash.errors import BundleError, PolicyError

SITE = load_site("japan_pilot")
LEVEL_RULE = RuleSpec(rule="level_rule")
NOW = datetime(2026, 9, 1, 12, tzinfo=UTC)
ISSUES = pd.date_range("2024-04-20T09:00Z", periods=4, freq="7h", unit="s")


class HourTable:
    """A share of full power for every hour of the day."""

    name = "hour_table"
    action_kind = ActionKind.POWER

    def __init__(self, site: SiteConfig, arrays: Arrays) -> None:
        if arrays.keys() != {"power_frac", "n_visits"}:
            raise PolicyError(f"needs power_frac and n_visits; found {sorted(arrays)}")
        self.arrays = arrays
        self._n_groups = len(site.groups)

    def act(self, observation: np.ndarray) -> np.ndarray:
        angle = np.arctan2(observation[:, 0], observation[:, 1])
        hour = np.round(angle * 12.0 / np.pi).astype(int) % 24
        return np.repeat(self.arrays["power_frac"][hour][:, None], self._n_groups, axis=1)


@pytest.fixture
def key(tmp_path: Path) -> SigningKey:
    return generate_key(tmp_path / "trainer.pem")


def write(folder: Path, key: SigningKey, policy: Any = LEVEL_RULE, **more: Any) -> Path:
    return write_bundle(
        folder, policy, name="parts", site=SITE, key=key, created_at=NOW,
        provenance=Provenance(), **more,
    )  # fmt: skip


def load(path: Path, key: SigningKey) -> LoadedBundle:
    return load_bundle(path, site=SITE, trusted_keys=[key.public])


# Tables.


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> HourTable:
    monkeypatch.setitem(TABLES, "hour_table", HourTable)
    rng = np.random.default_rng(5)
    arrays = {"power_frac": rng.random(24), "n_visits": rng.integers(0, 9, (24, 2))}
    return HourTable(SITE, arrays)


def test_a_table_acts_bit_for_bit_as_before(
    table: HourTable, tmp_path: Path, key: SigningKey
) -> None:
    path = write(tmp_path, key, table)
    observation = np.random.default_rng(6).standard_normal((50, 2)).astype(np.float32)

    policy = load(path, key).policy

    assert isinstance(policy, HourTable)
    assert policy.act(observation).tobytes() == table.act(observation).tobytes()
    for name, array in table.arrays.items():
        assert policy.arrays[name].dtype == array.dtype
        assert np.array_equal(policy.arrays[name], array)


def test_a_table_that_this_gridhash_does_not_know_is_named(
    table: HourTable, tmp_path: Path, key: SigningKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, key, table)
    monkeypatch.delitem(TABLES, "hour_table")

    with pytest.raises(BundleError, match=r"no table policy is called 'hour_table'; .*: update"):
        load(path, key)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"power_frac": np.full(24, np.nan)}, r"power_frac holds nan at \(0,\)"),
        ({"power_frac": np.ones(24, dtype=np.float16)}, "power_frac is float16; expected one of"),
        ({"names": np.ones(24)}, r"needs power_frac and n_visits; found \['n_visits', 'names'"),
    ],
)
def test_arrays_that_are_no_table_are_refused(
    table: HourTable, tmp_path: Path, key: SigningKey, change: dict[str, Any], message: str
) -> None:
    table.arrays = {**table.arrays, **change}

    with pytest.raises(BundleError, match=message):
        write(tmp_path, key, table)

    assert list(tmp_path.glob("*.bundle")) == []


def test_a_table_needs_its_arrays(table: HourTable, tmp_path: Path, key: SigningKey) -> None:
    path = write(tmp_path, key, table)
    assert safetensors.numpy.load((path / WEIGHTS).read_bytes()).keys() == table.arrays.keys()
    (path / WEIGHTS).unlink()

    with pytest.raises(BundleError, match=r"incomplete: policy\.safetensors is missing"):
        load(path, key)


def test_the_stochastic_dynamic_program_travels_as_a_table(tmp_path: Path, key: SigningKey) -> None:
    n_states, n_classes = 3, int(clock_classes(48)[-1]) + 1
    chain = PriceChain(
        price_centre=np.array([0.6, 1.0, 1.6]),
        second_edge=np.zeros(0),
        transition=np.full((1, n_classes, n_states, n_states), 1.0 / n_states),
        price_ratio=np.tile([0.6, 1.0, 1.6], (1, n_classes, 1)),
        surplus_frac=np.zeros((1, n_classes, n_states)),
    )
    policy = StochasticDP.of_chain(SITE, chain, ChainSettings(), break_even_per_kwh=12.0)
    observation = np.random.default_rng(4).random((40, len(observation_table(SITE))), np.float32)

    loaded = load(write(tmp_path, key, policy), key).policy

    assert isinstance(loaded, StochasticDP)
    assert loaded.act(observation).tobytes() == policy.act(observation).tobytes()


# Forecasters.


@pytest.fixture(scope="module")
def market() -> dict[str, Series]:
    starts = pd.date_range("2024-01-01T00:00Z", "2024-05-01T00:00Z", freq="h", inclusive="left")
    starts = starts.as_unit("s")
    hours = np.arange(len(starts))
    noise = np.random.default_rng(8).normal(0.0, 1.0, len(starts))
    price = Series(
        name="price",
        starts=starts,
        values=10.0 + 4.0 * np.sin(2 * np.pi * hours / 24) + noise,
        available_at=starts + pd.Timedelta(hours=1),
        period_s=3600,
    )
    return {"price": price}


@pytest.fixture(scope="module")
def forecasters(market: dict[str, Series]) -> dict[str, Forecaster]:
    options = TrainingOptions(
        n_steps=6, timezone="Asia/Tokyo", seed=3, max_samples=3_000, n_rounds=3, n_leaves=4,
        min_errors=20,
    )  # fmt: skip
    span = Span(market["price"].starts[0], market["price"].starts[24 * 80])
    methods: tuple[Method, ...] = ("persistence", "boosted-quantiles")
    return {
        f"price-{method}": fit(method, market, [span], target="price", options=options)
        for method in methods
    }


def test_forecasters_come_out_of_a_bundle_as_they_went_in(
    forecasters: Mapping[str, Forecaster],
    market: dict[str, Series],
    tmp_path: Path,
    key: SigningKey,
) -> None:
    path = write(tmp_path, key, forecasters=forecasters)

    loaded = load(path, key)

    assert loaded.manifest.forecasters == tuple(sorted(forecasters))
    assert loaded.forecasters.keys() == forecasters.keys()
    for name, forecaster in forecasters.items():
        before = forecast_many(forecaster, market, ISSUES, range(6))
        after = forecast_many(loaded.forecasters[name], market, ISSUES, range(6))
        assert before.values.tobytes() == after.values.tobytes()
    assert load(write(tmp_path / "bare", key), key).forecasters == {}


def test_a_changed_missing_or_added_file_of_a_forecaster_is_refused(
    forecasters: Mapping[str, Forecaster], tmp_path: Path, key: SigningKey
) -> None:
    path = write(tmp_path, key, forecasters=forecasters)
    file = next((path / "forecasts").rglob("forecaster.json"))
    content = file.read_bytes()
    file.write_bytes(content.replace(b"2024", b"2023"))
    with pytest.raises(BundleError, match=r"forecaster\.json is not the file that was signed"):
        load(path, key)
    file.unlink()
    with pytest.raises(BundleError, match=r"incomplete: forecasts/.*/forecaster\.json is missing"):
        load(path, key)
    file.write_bytes(content)
    for name in ("model_99.txt", "code.py"):
        added = file.parent / name
        added.write_bytes(b"tree\n")
        with pytest.raises(BundleError, match=r"its manifest does not name|no part of a bundle"):
            load(path, key)
        added.unlink()
    elsewhere = tmp_path / "elsewhere"
    shutil.move(path / "forecasts", elsewhere)
    (path / "forecasts").symlink_to(elsewhere)
    with pytest.raises(BundleError, match="forecasts is no plain folder"):
        load(path, key)


def test_a_forecaster_of_a_name_that_reaches_out_is_not_written(
    forecasters: Mapping[str, Forecaster], tmp_path: Path, key: SigningKey
) -> None:
    forecaster = next(iter(forecasters.values()))

    with pytest.raises(BundleError, match="files"):
        write(tmp_path, key, forecasters={"../out": forecaster})

    assert sorted(path.name for path in tmp_path.iterdir()) == ["trainer.pem", "trainer.pub"]


# Verdict and second signature.


def verdict(**changes: Any) -> Verdict:
    values: dict[str, Any] = {
        "deployable": True,
        "reason": "it earns more than the best rule",
        "judged_at": NOW,
        "data": DataSpan(
            role="validate", source="test", area="kyushu", start=NOW - timedelta(days=90), end=NOW
        ),
        "site_sha256": site_hash(SITE),
        "policy_profit": 110.0,
        "rule": RuleSpec(rule="look_ahead_rule"),
        "rule_profits": {"look_ahead_rule": 100.0},
        "over_rule": Gain(estimate=10.0, low=2.0, high=18.0),
    }
    return Verdict(**(values | changes))


def test_only_a_verdict_makes_a_bundle_deployable(tmp_path: Path, key: SigningKey) -> None:
    bare = load(write(tmp_path / "a", key), key).manifest
    judged = load(write(tmp_path / "b", key, verdict=verdict()), key).manifest
    failed = load(write(tmp_path / "c", key, verdict=verdict(deployable=False)), key).manifest

    assert (bare.deployable, judged.deployable, failed.deployable) == (False, True, False)
    assert judged.verdict == verdict()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"over_rule": Gain(estimate=1.0, low=0.0, high=2.0)}, "low is not above zero"),
        ({"rule_profits": {"level_rule": 1.0}}, "lacks the best rule, look_ahead_rule"),
    ],
)
def test_a_verdict_that_its_figures_contradict_is_none(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        verdict(**changes)


def test_an_operator_signs_again_with_a_key_of_their_own(
    forecasters: Mapping[str, Forecaster], tmp_path: Path, key: SigningKey
) -> None:
    own = generate_key(tmp_path / "own.pem")
    third = generate_key(tmp_path / "third.pem")
    path = write(tmp_path, key, forecasters=forecasters)

    signed = sign_again(path, tmp_path / "reviewed.bundle", key=own)
    twice = sign_again(signed, tmp_path / "twice.bundle", key=third, verdict=verdict())

    manifest = load(signed, own).manifest
    assert manifest.name == "reviewed"
    assert manifest.key_id == own.public.key_id
    assert manifest.earlier_keys == (key.public.key_id,)
    before = describe_bundle(path).manifest
    for field in (
        "policy",
        "provenance",
        "files",
        "observation",
        "site",
        "site_sha256",
        "created_at",
    ):
        assert getattr(manifest, field) == getattr(before, field)
    with pytest.raises(BundleError, match="not trusted here"):
        load(signed, key)
    last = load(twice, third)
    assert last.manifest.earlier_keys == (key.public.key_id, own.public.key_id)
    assert last.manifest.verdict == verdict()
    assert last.forecasters.keys() == forecasters.keys()


def test_signing_again_overwrites_nothing_and_trusts_no_damage(
    tmp_path: Path, key: SigningKey
) -> None:
    path = write(tmp_path, key)
    with pytest.raises(BundleError, match="exists already"):
        sign_again(path, path, key=key)
    with pytest.raises(BundleError, match=r"a bundle is called NAME\.bundle"):
        sign_again(path, tmp_path / "reviewed", key=key)
    with pytest.raises(BundleError, match="name"):
        sign_again(path, tmp_path / "Übung.bundle", key=key)
    with (path / "manifest.json").open("ab") as file:
        file.write(b" ")
    with pytest.raises(BundleError, match="does not hold"):
        sign_again(path, tmp_path / "reviewed.bundle", key=key)

    assert [found.name for found in tmp_path.glob("*.bundle")] == ["parts.bundle"]
    assert not list(tmp_path.glob(".*"))


def test_a_bundle_of_version_1_is_read_and_not_deployable(tmp_path: Path, key: SigningKey) -> None:
    path = write(tmp_path, key)
    manifest = json.loads((path / "manifest.json").read_text())
    for field in ("verdict", "earlier_keys"):
        del manifest[field]
    text = json.dumps(manifest | {"format_version": 1}).encode()
    (path / "manifest.json").write_bytes(text)
    (path / "manifest.sig").write_bytes(bundle_files.sign(text, key))

    loaded = load(path, key)

    assert loaded.policy.name == "level_rule"
    assert not loaded.manifest.deployable
    renewed = sign_again(path, tmp_path / "renewed.bundle", key=key)
    assert load(renewed, key).manifest.format_version == 3

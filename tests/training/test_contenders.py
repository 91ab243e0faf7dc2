from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from gridhash.agents.bundle import write_bundle
from gridhash.agents.bundle_manifest import DataSpan, Provenance, RuleSpec
from gridhash.agents.rules import Hysteresis
from gridhash.agents.signing import SigningKey, generate_key
from gridhash.config import load_site
from gridhash.data.synthetic import synthetic_japan
from gridhash.envs.scenario import Scenario, build_scenario
from gridhash.errors import BundleError, PolicyError
from gridhash.training.contenders import (
    baselines,
    contender_of,
    learned_contenders,
    require_a_place,
)
from gridhash.training.spans import Rows

RULE = RuleSpec(rule="hysteresis", parameters={"start_ratio": 0.9, "stop_ratio": 1.1})


@pytest.fixture
def key(tmp_path: Path) -> SigningKey:
    return generate_key(tmp_path / "key.pem")


def _bundle(
    folder: Path, scenario: Scenario, key: SigningKey, name: str, *, until: str = "2018-09-01"
) -> Path:
    taught = DataSpan(
        role="train",
        source=scenario.trace.source,
        area=scenario.trace.area,
        start=scenario.trace.start.to_pydatetime(),
        end=pd.Timestamp(until, tz="UTC").to_pydatetime(),
    )
    return write_bundle(
        folder,
        RULE,
        name=name,
        site=scenario.site,
        key=key,
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        provenance=Provenance(seed=7, data=(taught,)),
    )


def test_bundles_that_differ_by_their_seed_are_seeds_of_one_policy(
    tmp_path: Path, scenario: Scenario, ten_days: Rows, key: SigningKey
) -> None:
    paths = [_bundle(tmp_path, scenario, key, f"site-seed{k}") for k in (0, 3)]

    found, refused = learned_contenders(paths, scenario, ten_days, [key.public])

    assert refused == {}
    assert [(one.name, one.seed, one.run_name) for one in found] == [
        ("learned", 0, "learned-seed0"),
        ("learned", 3, "learned-seed3"),
    ]
    assert {one.kind for one in found} == {"learned"}
    assert {one.note for one in found} == {""}
    assert found[0].folder == tmp_path


def test_bundles_of_other_names_are_other_policies(
    tmp_path: Path, scenario: Scenario, ten_days: Rows, key: SigningKey
) -> None:
    paths = [_bundle(tmp_path, scenario, key, name) for name in ("small-seed0", "large-seed0", "x")]

    found, _ = learned_contenders(paths, scenario, ten_days, [key.public])

    assert [one.run_name for one in found] == [
        "learned_small-seed0", "learned_large-seed0", "learned_x-seed7",
    ]  # fmt: skip


def test_a_policy_that_saw_the_span_is_marked_as_not_held_out(
    tmp_path: Path, scenario: Scenario, ten_days: Rows, key: SigningKey
) -> None:
    path = _bundle(tmp_path, scenario, key, "late", until="2018-10-30")

    (one,), _ = learned_contenders([path], scenario, ten_days, [key.public])

    assert one.note == ("not held out: trained on data until 2018-10-30, which this span overlaps")


def test_a_policy_of_another_market_plays_zero_shot_where_it_fits(
    tmp_path: Path, scenario: Scenario, ten_days: Rows, key: SigningKey
) -> None:
    path = _bundle(tmp_path, scenario, key, "here")
    site = scenario.site.model_copy(update={"name": "elsewhere"})
    other = build_scenario(site, scenario.trace)

    (one,), refused = learned_contenders([path], other, ten_days, [key.public])

    assert refused == {}
    assert one.note.startswith("zero-shot: trained for europe_sample on Netherlands, played at")
    assert one.at(scenario.site).policy.name == "hysteresis"


def test_a_policy_that_does_not_fit_is_left_out_with_what_differs(
    tmp_path: Path, scenario: Scenario, ten_days: Rows, key: SigningKey
) -> None:
    path = _bundle(tmp_path, scenario, key, "here")
    trace = synthetic_japan(area="kyushu", seed=0)
    japan = build_scenario(
        load_site("japan_pilot"), trace.between(trace.start, trace.starts[48 * 9])
    )

    found, refused = learned_contenders([path], japan, (48, 400), [key.public])

    assert found == []
    assert "features" in refused[str(path)] or "price_ratio" in refused[str(path)]


def test_policies_are_told_apart_in_all_scenarios_where_several_fit_one(
    tmp_path: Path, scenario: Scenario, ten_days: Rows, key: SigningKey
) -> None:
    market = scenario.site.market.model_copy(update={"horizon_h": 12})
    elsewhere = build_scenario(scenario.site.model_copy(update={"market": market}), scenario.trace)
    paths = [
        _bundle(tmp_path, scenario, key, "here-seed0"),
        _bundle(tmp_path, elsewhere, key, "there-seed0"),
    ]

    third = _bundle(tmp_path, elsewhere, key, "third-seed0")
    sites = [scenario.site, elsewhere.site]

    (one,), refused = learned_contenders(paths, scenario, ten_days, [key.public], sites=sites)
    (apart,), _ = learned_contenders([*paths, third], scenario, ten_days, [key.public], sites=sites)

    assert one.run_name == "learned-seed0"  # one policy for each scenario
    assert set(refused) == {str(paths[1])}
    assert apart.run_name == "learned_here-seed0"


def test_a_bundle_of_a_stranger_is_an_error_and_no_misfit(
    tmp_path: Path, scenario: Scenario, ten_days: Rows, key: SigningKey
) -> None:
    path = _bundle(tmp_path, scenario, key, "here")
    stranger = generate_key(tmp_path / "other.pem")

    with pytest.raises(BundleError, match="not trusted"):
        learned_contenders([path], scenario, ten_days, [stranger.public])


def test_a_bundle_that_fits_no_scenario_is_refused_before_anything_plays(
    tmp_path: Path, scenario: Scenario, key: SigningKey
) -> None:
    path = _bundle(tmp_path, scenario, key, "here")
    here, elsewhere = scenario.site, load_site("japan_pilot")

    require_a_place(path, [elsewhere, here], [key.public])
    with pytest.raises(BundleError, match="does not fit site japan_pilot"):
        require_a_place(path, [elsewhere], [key.public])


def test_bundles_of_several_keys_need_all_of_them(
    tmp_path: Path, scenario: Scenario, key: SigningKey
) -> None:
    other = generate_key(tmp_path / "other.pem")
    paths = [
        _bundle(tmp_path, scenario, key, "pilot-seed0"),
        _bundle(tmp_path, scenario, other, "pilot-seed1"),
    ]

    require_a_place(paths[0], [scenario.site], [key.public])
    with pytest.raises(BundleError, match=r"pilot-seed1.* not trusted"):
        require_a_place(paths[1], [scenario.site], [key.public])
    for path in paths:
        require_a_place(path, [scenario.site], [key.public, other.public])


def test_baselines_that_are_named_stand_beside_the_references(scenario: Scenario) -> None:
    told: list[int] = []

    found = baselines(
        scenario, (24, 24 * 9), ["always_off"], progress=lambda _, done, total: told.append(done)
    )

    assert [one.name for one in found] == [
        "always_on", "level_rule", "day_ahead_dp", "always_off",
    ]  # fmt: skip
    assert [one.kind for one in found] == ["rule", "rule", "planner", "rule"]
    assert told == [0, 1, 2, 3, 4]


def test_a_baseline_that_the_site_has_not_is_refused(scenario: Scenario) -> None:
    with pytest.raises(PolicyError, match="has no baseline 'peak_shaver'; there are always_off"):
        baselines(scenario, (24, 24 * 9), ["peak_shaver"])


def test_a_rule_at_another_site_keeps_its_parameters(scenario: Scenario) -> None:
    one = contender_of(Hysteresis(scenario.site, start_ratio=0.8, stop_ratio=1.3))

    moved = one.at(load_site("japan_pilot")).policy

    assert isinstance(moved, Hysteresis)
    assert (moved.start_ratio, moved.stop_ratio) == (0.8, 1.3)

"""Scenario files: what they hold, how they are merged, and how they are refused."""

import copy
import random
import tomllib
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from gridhash.config import load_site
from gridhash.config_merge import merged
from gridhash.config_scenario import (
    RandomisationConfig,
    ScenarioConfig,
    load_scenario_config,
    parse_scenario,
    scenario_names,
)
from gridhash.errors import ConfigError
from gridhash.rig_models import RIG_COOLING_KEYS, RIG_KEYS, load_rig, rig_names


def raw(name: str) -> dict[str, Any]:
    file = resources.files("gridhash.scenarios").joinpath(f"{name}.toml")
    return tomllib.loads(file.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", scenario_names())
def test_a_scenario_is_called_as_its_file_and_states_its_sources(name: str) -> None:
    config = load_scenario_config(name)

    assert config.name == name
    assert config.env_id == f"gridhash/{name}-v0"
    assert config.figures or config.based_on, "figures without a source"
    assert config.value.synthetic or not config.is_synthetic
    assert all(figure.source for figure in (*config.figures, *config.site.figures))


def test_overrides_are_merged_into_the_preset_and_leave_the_rest() -> None:
    config, preset = load_scenario_config("JapanPilot"), load_site("japan_pilot")

    assert config.site_preset == "japan_pilot"
    assert config.site.market.adders_per_kwh == 1.3
    assert config.site.market.horizon_h == preset.market.horizon_h
    assert config.site.groups == preset.groups
    assert config.site.tariff.demand_charge is not None
    assert config.site.tariff.demand_charge.per_kw_month == 420.0
    assert preset.tariff.demand_charge is None


def test_the_plain_scenario_is_the_preset() -> None:
    assert load_scenario_config("SpotJapan").site == load_site("japan_pilot")


def test_a_table_over_the_groups_changes_every_group_alike() -> None:
    values = raw("SpotJapan") | {"overrides": {"groups": {"cooling": {"fan_kw": 20.0}}}}
    site = parse_scenario(values, origin="test").site

    assert [group.cooling.fan_kw for group in site.groups] == [20.0] * 4
    assert [group.n_rigs for group in site.groups] == [135, 134, 134, 134]


def test_the_hours_of_processes_are_those_of_the_site() -> None:
    processes = load_scenario_config("RealTimeErcot").processes

    assert processes is not None
    assert processes.timezone == "America/Chicago"


def test_merging_changes_neither_of_the_two() -> None:
    base: dict[str, Any] = {"a": {"b": 1}, "c": [{"d": 1}]}
    changes: dict[str, Any] = {"a": {"b": 2}, "c": {"d": 2}}
    merged(base, changes)

    assert base == {"a": {"b": 1}, "c": [{"d": 1}]}
    assert changes == {"a": {"b": 2}, "c": {"d": 2}}


def test_a_variant_says_only_what_differs() -> None:
    base = load_scenario_config("DayAheadEurope")
    variant = load_scenario_config("DayAheadEuropeQuarterHour")

    assert variant.site.market.settlement_period_s == 900
    assert variant.site.mining == base.site.mining
    assert variant.trace.seed == base.trace.seed
    assert variant.value == base.value


def test_a_file_of_ones_own_may_be_based_on_a_scenario(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('name = "Mine"\nbased_on = "SpotJapan"\n[trace]\nseed = 7\n', encoding="utf-8")
    config = load_scenario_config(path)

    assert (config.name, config.trace.seed, config.site.name) == ("Mine", 7, "japan_pilot")


def test_a_file_that_is_based_on_a_scenario_has_a_name_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('based_on = "SpotJapan"\n', encoding="utf-8")

    with pytest.raises(ConfigError, match="missing key name: add it"):
        load_scenario_config(path)


@pytest.mark.parametrize("base", ["SpotJapan", "MixedFleet"])
def test_another_rig_brings_all_its_figures(base: str) -> None:
    values = {"name": "Mine", "based_on": base, "overrides": {"groups": {"rig": "S21-Hyd"}}}
    site = parse_scenario(values, origin="test").site
    below = load_scenario_config(base).site
    rig = load_rig("S21-Hyd")

    assert site.n_rigs == below.n_rigs
    assert site.max_rig_kw == pytest.approx(site.n_rigs * 5.36)
    for group, old in zip(site.groups, below.groups, strict=True):
        assert (group.rig_model, group.rig_hashrate_ths) == ("S21-Hyd", 335.0)
        assert (group.curve_a, group.curve_b, group.profile) == (0.75, 0.25, None)
        assert (group.load_levels, group.optional_work_levels) == ((1.0,), ())
        assert (group.standby_w, group.boot_s, group.warm_up_s) == (40.0, 60.0, 120.0)
        assert group.cooling.chip_to_coolant_k_per_kw == rig.chip_to_coolant_k_per_kw
        assert group.cooling.fan_kw == old.cooling.fan_kw, "the loop is the site's"
        assert group.min_up_s == old.min_up_s


def test_537_of_another_rig_draw_their_own_power() -> None:
    values = {"name": "Mine", "based_on": "SpotJapan", "overrides": {"groups": {"rig": "S21-Hyd"}}}

    assert parse_scenario(values, origin="test").site.max_rig_kw == pytest.approx(2878.32)


def test_what_stands_beside_another_rig_counts_first() -> None:
    beside = {
        "rig": "S21-Hyd",
        "load_levels": [0.5, 1.0],
        "standby_w": 35.0,
        "cooling": {"chip_trip_c": 82.0},
    }
    values = {"name": "Mine", "based_on": "SpotJapan", "overrides": {"groups": beside}}
    groups = parse_scenario(values, origin="test").site.groups

    assert {group.load_levels for group in groups} == {(0.5, 1.0)}
    assert {(group.standby_w, group.boot_s) for group in groups} == {(35.0, 60.0)}
    assert {(g.cooling.chip_trip_c, g.cooling.chip_derate_c) for g in groups} == {(82.0, 75.0)}


def test_another_rig_outlives_the_scenarios_between(tmp_path: Path) -> None:
    """What the scenario between says of the old rig goes, what it says of the new one stays."""
    between = tmp_path / "between.toml"
    between.write_text(
        'name = "Between"\nbased_on = "SpotJapan"\n'
        '[overrides.groups]\nrig = "S21-Hyd"\nrig_power_w = 5000.0\n',
        encoding="utf-8",
    )
    values: dict[str, Any] = {"name": "Mine", "based_on": str(between)}
    same = parse_scenario(values, origin="test").site
    other = parse_scenario(
        values | {"overrides": {"groups": {"rig": "S21-XP-Hyd"}}}, origin="test"
    ).site

    assert {g.rig_power_w for g in same.groups} == {5000.0}
    assert {g.rig_power_w for g in other.groups} == {load_rig("S21-XP-Hyd").power_w}


@pytest.mark.parametrize("name", rig_names())
def test_the_keys_of_rigs_are_all_that_a_model_supplies(name: str) -> None:
    model = load_rig(name)
    for mode in model.stop_modes:
        supplied = model.group_values(mode)
        assert supplied.pop("cooling").keys() == RIG_COOLING_KEYS
        assert supplied.keys() <= RIG_KEYS


def test_scenarios_based_on_each_other_end(tmp_path: Path) -> None:
    path = tmp_path / "loop.toml"
    path.write_text(f'name = "Loop"\nbased_on = "{path}"\n', encoding="utf-8")

    with pytest.raises(ConfigError, match="based on each other"):
        load_scenario_config(path)


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"colour": 1}, "unknown key colour"),
        ({"overrides": {"market": {"adder_per_kwh": 1.0}}}, "unknown key site.market.adder_per_kw"),
        (
            {"overrides": {"market": {"adders_per_kwh": -1.0}}},
            "site.market.adders_per_kwh: .* -1.0",
        ),
        ({"overrides": {"tariff": {"demand_charge": {}}}}, "missing key .*demand_charge.per_kw_mo"),
        ({"overrides": 3}, "overrides must be a table"),
        ({"trace": {"source": "oracle"}}, "trace.*'oracle'"),
        ({"trace": {"source": "synthetic_japan", "yeers": 2}}, "unknown key trace.*yeers"),
        (
            {"overrides": {"market": {"settlement_period_s": 900}}},
            "periods of 1800 s, the site set",
        ),
        ({"processes": {"period_s": 900}}, "periods of 900 s, the site settles every 1800 s"),
        ({"processes": {"weather": {"climate": "moon"}}}, "processes.weather.climate: .*'moon'"),
        ({"processes": {"clouds": {}}}, "unknown key processes.clouds"),
        ({"randomisation": {"curve_b": [0.4, 0.2]}}, "curve_b: the range .0.4, 0.2. runs backw"),
        ({"randomisation": {"curve_b": [0.4]}}, "curve_b: write a range as"),
        ({"spans": {"test_from": "2025-01-01"}}, "go together"),
        ({"spans": {"train_share": 0.9, "validation_share": 0.2}}, "leave nothing for the test"),
        ({"spans": {"embargo_days": 1.0}}, "spans.embargo_days"),
        ({"site": "mars"}, "no preset and no file"),
        ({"name": "two words"}, "name"),
    ],
)
def test_a_fault_is_one_clear_error(changes: dict[str, Any], fault: str) -> None:
    with pytest.raises(ConfigError, match=fault) as error:
        parse_scenario(raw("SpotJapan") | changes, origin="test")
    assert str(error.value).startswith("test: ") or "preset" in str(error.value)
    assert "\n" not in str(error.value), "one fault, one line"


@pytest.mark.parametrize("name", scenario_names())
def test_a_damaged_file_is_refused_with_one_error_or_read(name: str) -> None:
    """Keys renamed, removed, or given another type or size: never anything but a ConfigError."""
    rng = random.Random(name)
    refused: list[str] = []
    for _ in range(60):
        values = copy.deepcopy(raw(name))
        damage(values, rng)
        try:
            parse_scenario(values, origin="damaged")
        except ConfigError as err:
            refused.append(str(err))
    assert len(refused) > 20, "most damage is noticed"
    assert all(text.startswith("damaged: ") or "preset" in text for text in refused)
    assert max(len(text) for text in refused) < 3000


def damage(values: dict[str, Any], rng: random.Random) -> None:
    """Change one key somewhere in a file."""
    table = values
    while True:
        inner = [v for v in table.values() if isinstance(v, dict)]
        inner += [v[0] for v in table.values() if isinstance(v, list) and v and type(v[0]) is dict]
        if not inner or rng.random() < 0.35:
            break
        table = rng.choice(inner)
    if not table:
        table["nothing"] = 1
        return
    key = rng.choice(sorted(table))
    match rng.randrange(4):
        case 0:
            table[key + "x"] = table.pop(key)
        case 1:
            del table[key]
        case 2:
            table[key] = rng.choice(["word", [], {}, [1, "a"], True, [[1]], {"a": 1}, -1, 0.5])
        case _:
            table[key] = rng.choice([-1e9, 1e9, 10**12, "", [{"a": 1}], float("nan")])


def test_a_slope_that_a_measured_profile_cannot_have_is_refused() -> None:
    """Nearly flat, the lowest rows of the S19k Pro are worse than a mix of others."""
    values = raw("MixedFleet")
    values["randomisation"]["curve_b"] = [0.1, 0.3]

    fault = r"curve_b: 0\.1 does not fit the group s19k_pro, narrow the range: .*leave them out"
    with pytest.raises(ConfigError, match=fault):
        parse_scenario(values, origin="test")


def test_an_unknown_name_lists_the_scenarios() -> None:
    with pytest.raises(ConfigError, match="SpotJapan"):
        load_scenario_config("Atlantis")


def test_ranges_read_as_pairs_and_dump_as_they_parse() -> None:
    ranges = RandomisationConfig.model_validate({"curve_b": [0.25, 0.45]})

    assert ranges.curve_b is not None
    assert (ranges.curve_b.low, ranges.curve_b.high) == (0.25, 0.45)
    assert RandomisationConfig.model_validate(ranges.model_dump()) == ranges
    config = load_scenario_config("JapanPilot")
    assert ScenarioConfig.model_validate(config.model_dump()) == config

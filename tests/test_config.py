"""A site file is read whole or refused with every fault named."""

import re
from pathlib import Path
from typing import Any

import pytest

from gridhash.config import load_site, parse_site, preset_names
from gridhash.errors import ConfigError


@pytest.fixture
def values() -> dict[str, Any]:
    """Return the values of a correct site with one group."""
    site = load_site("japan_pilot").model_dump()
    site["groups"] = [dict(site["groups"][0])]
    return site


def edit(values: dict[str, Any], path: str, value: Any) -> None:
    """Set a key by its path; the value `...` removes it."""
    *parents, last = path.split(".")
    block: Any = values
    for name in parents:
        block = block[int(name)] if name.isdigit() else block[name]
    if value is ...:
        del block[last]
    else:
        block[last] = value


@pytest.mark.parametrize("name", preset_names())
def test_presets_load_and_mark_every_figure(name: str) -> None:
    site = load_site(name)

    assert site.name == name
    assert site.max_rig_kw * site.pue_for_planning <= site.limits.contract_power_kw
    assert {figure.mark for figure in site.figures} <= {"measured", "sourced", "assumed"}
    assert len(site.figures) >= 3


def test_japan_pilot_is_the_model_case() -> None:
    site = load_site("japan_pilot")

    assert site.n_rigs == 537
    assert len(site.groups) == 4
    assert {group.rig_model for group in site.groups} == {"A1566HA-480T"}
    assert site.groups[0].efficiency_j_per_th == pytest.approx(16.8)
    assert 4450 < site.max_rig_kw + site.max_cooling_kw < 4520


def test_work_levels_switch_what_rigs_can_be_commanded_to() -> None:
    site = load_site("japan_pilot")
    levels = parse_site({**site.model_dump(), "use_work_levels": True}, origin="test")

    assert site.levels_of(site.groups[0]) == (1.0,)
    assert levels.levels_of(levels.groups[0]) == (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
    assert levels.max_rig_kw == site.max_rig_kw


def test_a_file_is_read_by_path_and_equals_the_preset(tmp_path: Path) -> None:
    preset = (Path(__file__).parents[1] / "gridhash/presets/japan_pilot.toml").read_bytes()
    for name, content in (("plain.toml", preset), ("bom.toml", b"\xef\xbb\xbf" + preset)):
        path = tmp_path / name
        path.write_bytes(content)
        assert load_site(path) == load_site(str(path)) == load_site("japan_pilot")


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        # unknown and missing keys
        ("contract_power", 1.0, "unknown key contract_power: remove it or correct its spelling"),
        (
            "limits.contract_powr_kw",
            4000.0,
            "unknown key limits.contract_powr_kw: remove it or correct its spelling",
        ),
        ("groups.0.cooling.fans_kw", 1.0, "unknown key groups.0.cooling.fans_kw: remove it"),
        ("limits.ramp_up_kw_per_min", ..., "missing key limits.ramp_up_kw_per_min: add it"),
        ("groups", ..., "missing key groups: add it"),
        # no numbers
        ("limits.contract_power_kw", float("nan"), "limits.contract_power_kw: .*finite.*nan"),
        ("mining.currency_per_usd", float("inf"), "mining.currency_per_usd: .*finite.*inf"),
        ("outdoor_temp_c", "warm", "outdoor_temp_c: .*valid number.*found 'warm'"),
        # out of range
        ("limits.contract_power_kw", 0.0, "contract_power_kw: .*greater than 0; found 0.0"),
        ("limits.contract_power_kw", -4500.0, "contract_power_kw: .*greater than 0; found -4500"),
        ("mining.pool_fee_frac", 2.0, "mining.pool_fee_frac: .*less than 1; found 2.0"),
        ("pue_for_planning", 0.98, "pue_for_planning: .*greater than or equal to 1"),
        ("groups.0.n_rigs", 0, "groups.0.n_rigs: .*greater than 0; found 0"),
        ("groups.0.n_rigs", 1.5, "groups.0.n_rigs: .*integer.*found 1.5"),
        ("groups.0.min_up_s", 90_000.0, "min_up_s: .*less than or equal to 86400"),
        ("groups.0.min_down_s", -1.0, "min_down_s: .*greater than or equal to 0"),
        ("groups.0.boot_s", 4000.0, "boot_s: .*less than or equal to 3600"),
        ("market.horizon_h", 100, "market.horizon_h: .*less than or equal to 72"),
        ("dispatch_interval_s", 0, "dispatch_interval_s: .*greater than 0"),
        ("currency", "yen", "currency: .*pattern.*found 'yen'"),
        ("format_version", 2, "format_version: .*should be 1; found 2"),
        ("groups", [], "groups: .*at least 1 item"),
        # what does not fit together
        (
            "dispatch_interval_s",
            700,
            "dispatch_interval_s 700 must divide settlement_period_s 1800",
        ),
        ("dispatch_interval_s", 3600, "3600 must divide settlement_period_s 1800"),
        ("timezone", "Asia/Tokio", "timezone: unknown time zone 'Asia/Tokio'"),
        ("limits.contract_power_kw", 30.0, "30.0 leaves nothing for rigs: .* may draw 43 kW"),
        ("groups.0.load_levels", [1.0, 0.5], "levels: must rise strictly within 0.1 … 1.5"),
        ("groups.0.load_levels", [0.05, 1.0], "levels: must rise strictly within 0.1 … 1.5"),
        ("groups.0.load_levels", [], "load_levels: .*at least 1 item"),
        ("groups.0.curve_b", 0.5, "curve_a .* curve_b must be 1 .*found 0.65 . 0.5"),
        ("groups.0.standby_w", 5000.0, "standby_w 5000.0 is not below the lowest running level"),
        (
            "groups.0.cooling.chip_derate_c",
            90.0,
            "derate_c < chip_trip_c must hold; found 40.0, 90",
        ),
        ("groups.0.cooling.coolant_restart_c", 30.0, "restart_c 30.0 lies below .* never start"),
    ],
)
def test_each_fault_is_one_clear_error(
    values: dict[str, Any], path: str, value: Any, message: str
) -> None:
    edit(values, path, value)

    with pytest.raises(ConfigError) as caught:
        parse_site(values, origin="my_site.toml")

    text = str(caught.value)
    assert text.startswith("my_site.toml: ")
    assert re.search(message, text), text
    assert "\n" not in text
    assert len(text) < 250


def test_work_levels_that_a_group_lacks_are_refused(values: dict[str, Any]) -> None:
    edit(values, "use_work_levels", True)
    edit(values, "groups.0.optional_work_levels", [])

    with pytest.raises(
        ConfigError, match=r"without: loop_a. Write optional_work_levels = \[1\.0\]"
    ):
        parse_site(values, origin="x")


def test_groups_of_one_name_are_refused(values: dict[str, Any]) -> None:
    values["groups"] = values["groups"] * 2

    with pytest.raises(ConfigError, match=r"group names must differ; found .'loop_a', 'loop_a'."):
        parse_site(values, origin="x")


def test_every_fault_of_a_file_is_listed(tmp_path: Path) -> None:
    text = (Path(__file__).parents[1] / "gridhash/presets/japan_pilot.toml").read_text("utf-8")
    text = text.replace("contract_power_kw", "contract_power_kv").replace("= 38.0", "= nan")
    text = text.replace("pump_kw = 13.07", "pump_kw = -13.07")
    path = tmp_path / "site.toml"
    path.write_text(text, encoding="utf-8")

    with pytest.raises(ConfigError) as caught:
        load_site(path)

    lines = str(caught.value).splitlines()
    assert lines[0] == f"{path}: 4 faults"
    assert [line.split(": ")[0].removeprefix("  - ") for line in lines[1:]] == [
        "mining.hashprice_usd_per_phs_day",
        "missing key limits.contract_power_kw",
        "unknown key limits.contract_power_kv",
        "groups.0.cooling.pump_kw",
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"name = \n", "not valid TOML: .*line 1"),
        (b'name = "a"\nname = "b"\n', "not valid TOML: .*line 2"),
        ('name = "東京"\n'.encode("cp932"), "cannot be read as UTF-8"),
        ('name = "x"\n'.encode("utf-16"), "cannot be read as UTF-8"),
        (b"", "faults\n.*missing key name"),
    ],
)
def test_a_file_that_is_no_site_file_is_refused_by_name(
    tmp_path: Path, content: bytes, message: str
) -> None:
    path = tmp_path / "site.toml"
    path.write_bytes(content)

    with pytest.raises(ConfigError, match=message) as caught:
        load_site(path)
    assert str(caught.value).startswith(str(path))


def test_a_missing_file_or_preset_names_the_presets(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no file is called japan_pilott; .*japan_pilot, texas"):
        load_site("japan_pilott")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_site(tmp_path)


def test_a_slice_of_a_site_keeps_its_ratios() -> None:
    site = load_site("japan_pilot")
    part = site.scaled_to(6)

    assert part.n_rigs == 24
    assert part.max_rig_kw / part.limits.contract_power_kw == pytest.approx(
        site.max_rig_kw / site.limits.contract_power_kw, rel=1e-9
    )
    assert part.start_cost_per_rig == pytest.approx(site.start_cost_per_rig)
    for small, big in zip(part.groups, site.groups, strict=True):
        for name in ("fan_kw", "pump_kw", "heat_rejection_kw_per_k", "loop_heat_capacity_kj_per_k"):
            assert getattr(small.cooling, name) / small.n_rigs == pytest.approx(
                getattr(big.cooling, name) / big.n_rigs
            )
    assert parse_site(part.model_dump(), origin="slice") == part


def test_a_slice_may_have_other_numbers_in_each_group() -> None:
    site = load_site("japan_pilot")
    names = [group.name for group in site.groups]
    part = site.scaled_to(dict(zip(names, (1, 2, 3, 10), strict=True)))

    assert [group.n_rigs for group in part.groups] == [1, 2, 3, 10]
    assert part.limits.contract_power_kw == pytest.approx(4520.0 * 16 / 537)
    assert part.start_cost_per_rig == pytest.approx(site.start_cost_per_rig)
    for small, big in zip(part.groups, site.groups, strict=True):
        assert small.cooling.fan_kw / small.n_rigs == pytest.approx(big.cooling.fan_kw / big.n_rigs)
    with pytest.raises(ConfigError, match="has the groups"):
        site.scaled_to({"loop_a": 3})
    with pytest.raises(ConfigError, match="group loop_b of japan_pilot needs a rig; found 0"):
        site.scaled_to(dict(zip(names, (1, 0, 3, 10), strict=True)))

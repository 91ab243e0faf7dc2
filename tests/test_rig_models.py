"""Rig models against their published tables, and what a site file takes over from them."""

import re
from typing import Any

import pytest
from pydantic import ValidationError

from gridhash.config import RigGroupConfig, load_site, parse_site
from gridhash.errors import ConfigError
from gridhash.rig_models import load_rig, rig_names

# W, TH/s, J/TH as printed; LuxOS profiles of an S19k Pro (256foundation/asic-rs).
S19K_PRO = (
    (784, 39.2, 20.00), (978, 49.5, 19.76), (1299, 65.0, 19.98), (1657, 80.5, 20.58),
    (1916, 90.8, 21.10), (2192, 101.1, 21.68), (2485, 111.5, 22.29), (2794, 121.8, 22.94),
    (3119, 132.1, 23.61), (3461, 142.4, 24.30), (4195, 163.1, 25.72),
)  # fmt: skip
PUBLISHED = {
    "A1566HA-480T": ((8064, 480, 16.8),),
    "A1566HA-460T": ((8200, 460, 17.8),),
    "A1566": ((3731, 201.9, 18.5),),
    "Avalon-Q": ((800, 55.0, 14.5), (1674, 90, 18.6)),
    "S21-Hyd": ((5360, 335, 16.0),),
    "S19k-Pro": S19K_PRO,
    "A16XP": ((3850, 300, 12.8),),
    "S21-XP-Hyd": ((5676, 473, 12.0),),
    "S21": ((3500, 200, 17.5),),
    "M66S": ((5513, 298, 18.5),),
}


def rounding(printed: float) -> float:
    """Return half a unit of the last printed place, with room for floating point."""
    decimals = len(str(printed).partition(".")[2]) if isinstance(printed, float) else 0
    return 0.5000001 * 10.0**-decimals


def group_of(name: str, **values: Any) -> RigGroupConfig:
    cooling = load_site("texas_air").groups[0].cooling.model_dump()
    for key in ("chip_derate_c", "chip_trip_c", "chip_to_coolant_k_per_kw"):
        del cooling[key]
    own = {
        "rig": name,
        "name": "hall",
        "n_rigs": 10,
        "min_up_s": 1800.0,
        "min_down_s": 900.0,
        "cooling": cooling,
    }
    return RigGroupConfig.model_validate(own | values)


def test_every_model_is_compared_with_what_is_published() -> None:
    assert set(PUBLISHED) == set(rig_names())
    tested = {"A1566HA-480T", "A1566HA-460T", "A1566", "Avalon-Q", "S21-Hyd", "S19k-Pro"}
    assert {name for name in rig_names() if load_rig(name).tested} == tested


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_hash_rate_and_efficiency_are_the_printed_ones_within_rounding(name: str) -> None:
    group = group_of(name)

    for power_w, hashrate_ths, j_per_th in PUBLISHED[name]:
        load = power_w / group.rig_power_w
        model_ths = 1000 * group.level_hashrate_phs(load)
        assert abs(model_ths - hashrate_ths) <= rounding(hashrate_ths)
        assert abs(power_w / model_ths - j_per_th) <= rounding(j_per_th)


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_every_model_marks_its_figures_and_comes_back_from_every_stop(name: str) -> None:
    model = load_rig(name)

    assert model.name == name
    assert {figure.mark for figure in model.figures} <= {"measured", "sourced", "assumed"}
    named = ", ".join(figure.figure for figure in model.figures)
    for key in ("power_w", "stop_modes", "power_per_k", "chip_to_coolant_k_per_kw"):
        assert key in named
    cut = model.stop_modes["power_cut"]
    assert cut.standby_w == 0.0
    for mode_name, mode in model.stop_modes.items():
        group = group_of(name, stop_mode=mode_name)
        assert (group.standby_w, group.boot_s, group.warm_up_s) == (
            mode.standby_w,
            mode.boot_s,
            mode.warm_up_s,
        )
        # the less is left on, the longer it takes to come back
        assert mode.boot_s <= cut.boot_s
        assert mode.standby_w >= cut.standby_w


def test_levels_of_a_table_are_its_rows_that_are_worth_running() -> None:
    group = group_of("S19k-Pro")

    powers = [round(1000 * group.level_power_kw(level)) for level in group.load_levels]
    assert powers == [row[0] for row in S19K_PRO[1:-1]]  # 784 W: 20.00 J/TH against 19.76 at 978
    assert group.curve_a + group.curve_b == pytest.approx(1.0)


def test_a_table_tilts_to_another_slope_about_nameplate() -> None:
    """At 978 W, p = 0.350 of 2794 W, 0.1 more slope takes 6.5 % of 22.94 J/TH off 19.76."""
    group = group_of("S19k-Pro")
    steeper = RigGroupConfig.model_validate(
        group.model_dump() | group.with_slope(group.curve_b + 0.1)
    )

    assert steeper.curve_b == pytest.approx(group.curve_b + 0.1)
    assert steeper.load_levels == group.load_levels
    nameplate_phs = group.level_hashrate_phs(1.0)
    assert steeper.level_hashrate_phs(1.0) == pytest.approx(nameplate_phs)
    load = 978 / group.rig_power_w
    relative = group.efficiency_j_per_th
    expected = 978 / 49.5 + 0.1 * (load - 1.0) * relative
    assert expected == pytest.approx(18.27, abs=0.01)
    assert 0.978 / steeper.level_hashrate_phs(load) == pytest.approx(expected)
    line = load_site("japan_pilot").groups[0]
    assert line.with_slope(0.4) == {"curve_a": 0.6, "curve_b": 0.4}


def test_what_the_site_knows_better_counts_first() -> None:
    group = group_of("S19k-Pro", curve_a=0.7, curve_b=0.3, load_levels=(0.5, 1.0), boot_s=45.0)

    assert group.profile is None
    assert group.boot_s == 45.0
    assert group.level_hashrate_phs(0.5) == pytest.approx(0.1218 * 0.5 / 0.85)
    cooling = group_of("S21").cooling
    assert (cooling.chip_derate_c, cooling.chip_trip_c) == (85.0, 95.0)


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_a_group_reads_back_from_its_own_dump(name: str) -> None:
    group = group_of(name)

    assert RigGroupConfig.model_validate(group.model_dump()) == group
    assert RigGroupConfig.model_validate_json(group.model_dump_json()) == group


def test_a_plain_group_dumps_no_key_that_it_does_not_use() -> None:
    group = load_site("japan_pilot").groups[0].model_dump()

    assert len(group) == 15
    assert len(group["cooling"]) == 13 + 1


PROFILE = [{"power_w": 1000.0, "hashrate_ths": 60.0}, {"power_w": 2000.0, "hashrate_ths": 100.0}]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"rig": "S99"}, "no rig model is called 'S99'; there are: A1566, .*S21-XP-Hyd"),
        ({"rig": "S21", "stop_mode": "soft_off"}, "no stop_mode 'soft_off'; choose one of .*sleep"),
        ({"power_per_k": 0.004}, "power_per_k and power_reference_c must be given together"),
        ({"profile": PROFILE[:1]}, "profile: .*at least 2 items"),
        ({"profile": PROFILE[::-1]}, "must rise strictly, row by row"),
        ({"profile": PROFILE}, "profile gives 175.0 TH/s at rig_power_w 3500; .* is 200"),
        ({"profile": [{"power_w": 1.0}]}, "missing key .*hashrate_ths"),
        (
            {
                "profile": [{"power_w": 700.0, "hashrate_ths": 30.0}, *PROFILE],
                "rig_power_w": 2000.0,
                "rig_hashrate_ths": 100.0,
                "load_levels": (0.35, 0.5, 1.0),
            },
            "at the levels .0.35. a mix of the others hashes more",
        ),
        ({"cooling": {"kind": "wet_tower"}}, "wet_tower, which needs both; found kind wet_tower"),
        ({"cooling": {"spray_off_below_c": 5.0}}, "found kind air with .5.0, None."),
        ({"cooling": {"freeze_protect_c": 5.0}}, "freeze_protect_c and freeze_heater_kw must be"),
        (
            {"cooling": {"freeze_protect_c": 5, "freeze_heater_kw": 9, "coolant_start_min_c": 8}},
            "freeze_protect_c 5.0 is below coolant_start_min_c 8.0",
        ),
        (
            {"cooling": {"freeze_protect_c": 50, "freeze_heater_kw": 9}},
            "freeze_protect_c 50.0 is above coolant_setpoint_c 38.0",
        ),
        ({"cooling": {"water_price_per_m3": 300}}, "for nothing without cycles_of_concentration"),
        ({"cooling": {"cycles_of_concentration": 3}}, "belongs to wet_tower; found air"),
        ({"failures": {"hazard_ref_per_h": 1e-5}}, "missing key .*repair_h: add it"),
    ],
)
def test_faults_are_named(values: dict[str, Any], message: str) -> None:
    site = load_site("texas_air").model_dump()
    group = site["groups"][0]
    cooling = group["cooling"] | values.get("cooling", {})
    site["groups"] = [group | values | {"cooling": cooling}]

    with pytest.raises(ConfigError, match=re.compile(message, re.DOTALL)):
        parse_site(site, origin="test")


def test_a_loop_keeps_within_the_inlet_that_its_rig_bears() -> None:
    """An S21 takes in 0 … 40 °C, an S21 Hyd 5 … 50; a site's own rig is bound by no model."""
    cooling = group_of("S21").cooling.model_dump()
    hot, cold = ({"cooling": cooling | {"coolant_setpoint_c": c}} for c in (40.5, 4.5))

    assert group_of("S21", cooling=cooling | {"coolant_setpoint_c": 40.0}).rig == "S21"
    assert group_of("S21-Hyd", **hot).cooling.coolant_setpoint_c == 40.5
    with pytest.raises(ValidationError, match=r"_c 40.5 lies .* rig S21, 0 … 40 °C: set the loop"):
        group_of("S21", **hot)
    with pytest.raises(ValidationError, match=r"_c 4.5 lies .* rig S21-Hyd, 5 … 50 °C: set the"):
        group_of("S21-Hyd", **cold)
    own = load_site("texas_air").groups[0].model_dump()
    assert RigGroupConfig.model_validate(own | hot).rig is None


def test_unknown_rig_is_an_error_that_lists_the_known() -> None:
    with pytest.raises(ConfigError, match="no rig model is called 'S99'; there are: A1566, "):
        load_rig("S99")
    with pytest.raises(ConfigError, match="rig S21 has no stop_mode 'soft_off'"):
        load_rig("S21").group_values("soft_off")

"""What a group's optional keys do in the kernel: wet towers, hot power, cold starts, failures."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from gridhash.config import SiteConfig, parse_site
from gridhash.envs.action import ActionKind
from gridhash.envs.availability import REGULATION_BAND_K
from gridhash.envs.batched_site import BatchedSite
from gridhash.envs.failures import hazard_per_h
from gridhash.envs.kernel import RECORD
from gridhash.envs.ledger import REPAIR, WATER
from gridhash.envs.psychrometrics import dew_point_c, wet_bulb_c
from gridhash.envs.scenario import Scenario
from gridhash.envs.thermal import temperature_power_frac

MakeScenario = Callable[..., Scenario]
MakeSites = Callable[..., BatchedSite]
Play = Callable[..., BatchedSite]
Floats = npt.NDArray[np.float64]
KW, COOLING_KW, SITE_KW, PHS, STARTED, REJECTED_KWH = (
    RECORD.index(n)
    for n in (
        "rig_kw",
        "cooling_kw",
        "site_kw",
        "hashrate_phs",
        "rigs_started",
        "heat_rejected_kwh",
    )
)
COLD, WATER_KG = RECORD.index("cold_groups"), RECORD.index("tower_water_kg")
FULL, OFF = np.ones((1, 1)), np.zeros((1, 1))
WET = {"kind": "wet_tower", "spray_off_below_c": 5.0, "spray_off_rejection_frac": 0.3}


@pytest.fixture(scope="session")
def play(japan: SiteConfig, make_scenario: MakeScenario, make_sites: MakeSites) -> Play:
    """Return a maker of one group at a constant outdoor temperature, at rest."""

    def make(
        outdoor_c: float,
        *,
        group: dict[str, Any] | None = None,
        cooling: dict[str, Any] | None = None,
        humidity: float = 0.6,
        running: float = 1.0,
        coolant_c: float = 30.0,
        contract_kw: float = 1300.0,
    ) -> BatchedSite:
        values = japan.model_dump()
        own = values["groups"][0]
        values["groups"] = [own | (group or {}) | {"cooling": own["cooling"] | (cooling or {})}]
        values["limits"] = dict(
            contract_power_kw=contract_kw, ramp_up_kw_per_min=1e5, ramp_down_kw_per_min=1e5
        )
        site = parse_site(values, origin="test")
        scenario = make_scenario(
            site, columns={"outdoor_temp_c": outdoor_c, "relative_humidity_frac": humidity}
        )
        sites = make_sites(scenario, action_kind=ActionKind.POWER)
        sites.start_at(scenario.first_row, running_frac=running, coolant_c=coolant_c)
        return sites

    return make


def stored_kwh(sites: BatchedSite) -> float:
    """Return the heat in chips and loop over 0 °C."""
    state, params = sites.state, sites.scenario.params
    chips = float((state.up * state.up_temp_c).sum() + (state.down * state.down_temp_c).sum())
    loop = float(params.loop_heat_capacity_kj_per_k[0] * state.coolant_c[0, 0])
    return float((params.rig_heat_capacity_kj_per_k[0] * chips + loop) / 3600.0)


def test_a_wet_tower_sees_the_wet_bulb_and_a_dry_share_when_its_spray_is_off(play: Play) -> None:
    settled = {}
    for name, outdoor_c, cooling in (
        ("dry, hot", 40.0, {}), ("wet, hot", 40.0, WET), ("wet, cold", 4.0, WET),
    ):  # fmt: skip
        sites = play(outdoor_c, cooling=cooling)
        for _ in range(60):
            record = sites.step(FULL).record[0].copy()
        settled[name] = float(sites.state.coolant_c[0, 0])
        kw = record[KW]
        params = sites.scenario.params

    # at full fans the loop settles at sink + heat / UA
    full = float(params.heat_rejection_kw_per_k[0])
    wet_c = float(wet_bulb_c(40.0, 0.6))
    assert settled["dry, hot"] == pytest.approx(40.0 + kw / full, abs=1e-3)
    assert settled["wet, hot"] == pytest.approx(max(wet_c + kw / full, 40.0), abs=1e-3)
    assert settled["wet, cold"] == pytest.approx(max(4.0 + kw / (0.3 * full), 40.0), abs=1e-3)


def test_hotter_air_never_leaves_chips_cooler_or_fans_slower(play: Play) -> None:
    for cooling in ({}, WET):
        chips, fans = [], []
        for outdoor_c in (6.0, 15.0, 25.0, 32.0, 38.0):
            sites = play(outdoor_c, cooling=cooling)
            for _ in range(30):
                record = sites.step(FULL).record[0].copy()
            chips.append(float(sites.state.up_temp_c[0, 0, -1]))
            fans.append(record[COOLING_KW])
        assert np.all(np.diff(chips) >= -1e-9)
        assert np.all(np.diff(fans) >= -1e-9)


def test_air_and_immersion_reject_to_the_dry_bulb_however_dry_the_air(play: Play) -> None:
    """At 36 °C the loop settles at dry bulb + heat / UA, above the setpoint; a tower does not."""
    for kind in ("dry_cooler", "air", "immersion"):
        sites = play(36.0, cooling={"kind": kind}, humidity=0.2)
        for _ in range(60):
            kw = sites.step(FULL).record[0, KW]
        full = float(sites.scenario.params.heat_rejection_kw_per_k[0])
        assert 36.0 + kw / full > 40.0
        assert sites.state.coolant_c[0, 0] == pytest.approx(36.0 + kw / full, abs=1e-3)
    wet = play(36.0, cooling=WET, humidity=0.2)
    for _ in range(60):
        wet.step(FULL)
    assert wet.state.coolant_c[0, 0] == pytest.approx(40.0, abs=0.05)


def test_power_over_a_warm_day_of_an_air_cooled_rig() -> None:
    """A T21 drew 7.3 % more over a day: 0.4 %/K over 18.25 K; far below, half at the least."""
    assert temperature_power_frac(68.25, 0.004, 50.0) == pytest.approx(1.073)
    assert temperature_power_frac(50.0, 0.004, 50.0) == 1.0
    assert temperature_power_frac(-200.0, 0.004, 50.0) == 0.5


def test_hot_chips_draw_more_and_heat_still_closes(play: Play) -> None:
    sites = play(30.0, group={"power_per_k": 0.0025, "power_reference_c": 50.0})
    for _ in range(20):
        before_kwh, chip_c = stored_kwh(sites), float(sites.state.up_temp_c[0, 0, -1])
        record = sites.step(FULL).record[0].copy()
        factor = temperature_power_frac(chip_c, 0.0025, 50.0)
        asked_kw = float(sites.state.setpoint_kw[0, 0])
        assert record[KW] == pytest.approx(asked_kw * factor, rel=1e-9)
        gap_kwh = record[KW] / 12.0 - record[REJECTED_KWH] - (stored_kwh(sites) - before_kwh)
        assert abs(gap_kwh) < 1e-9 * record[KW]
    assert factor > 1.03
    assert asked_kw == pytest.approx(135 * 8.064)


def test_hot_chips_stay_within_the_contract(play: Play) -> None:
    hot = {"power_per_k": 0.0025, "power_reference_c": 50.0}
    sites = play(38.0, group=hot, contract_kw=1120.0)
    for _ in range(30):
        site_kw = sites.step(FULL).record[0, SITE_KW]
        assert site_kw <= 1120.0
    assert site_kw > 1000.0


def test_a_heater_keeps_a_stopped_loop_above_freezing(play: Play) -> None:
    heated = {"freeze_protect_c": 8.0, "freeze_heater_kw": 400.0}
    warm = play(-10.0, cooling=heated, running=0.0, coolant_c=30.0)
    cold = play(-10.0, running=0.0, coolant_c=30.0)
    pump_kw = None
    for _ in range(200):
        before_kwh = stored_kwh(warm)
        record = warm.step(OFF).record[0].copy()
        plain = cold.step(OFF).record[0].copy()
        pump_kw = plain[COOLING_KW]
        heater_kw = record[COOLING_KW] - pump_kw
        assert warm.state.coolant_c[0, 0] >= 8.0 - 1e-6
        assert heater_kw >= 0.0
        gap_kwh = (record[KW] + heater_kw) / 12.0 - record[REJECTED_KWH]
        assert abs(gap_kwh - (stored_kwh(warm) - before_kwh)) < 1e-9 * (record[KW] + 400.0)

    assert cold.state.coolant_c[0, 0] < 0.0
    # what it takes: UA at the slowest fans times 18 K, less standby
    least = float(warm.scenario.params.heat_rejection_min_kw_per_k[0])
    assert heater_kw == pytest.approx(18.0 * least - record[KW], rel=1e-3)
    assert warm.state.coolant_c[0, 0] == pytest.approx(8.0, abs=0.1)


def test_no_rig_starts_in_a_cold_loop(play: Play) -> None:
    for coolant_c, started in ((4.0, 0.0), (25.0, 135.0)):
        sites = play(4.0, cooling={"coolant_start_min_c": 5.0}, running=0.0, coolant_c=coolant_c)
        sites.step(OFF)
        assert sites.step(FULL).record[0, STARTED] == pytest.approx(started)


def test_no_rig_starts_on_a_loop_that_would_get_wet(play: Play) -> None:
    dew_c = float(dew_point_c(25.0, 0.9))
    assert dew_c == pytest.approx(23.2, abs=0.1)
    for margin_k, started in ((2.0, 0.0), (0.5, 135.0)):
        sites = play(
            25.0, cooling={"condensation_margin_k": margin_k}, humidity=0.9, running=0.0,
            coolant_c=25.0,
        )  # fmt: skip
        sites.step(OFF)
        assert sites.step(FULL).record[0, STARTED] == pytest.approx(started)


def test_fans_keep_a_running_loop_off_the_dew_point(play: Play) -> None:
    """30 °C and 90 %: dew point 28.2 °C (Magnus). A tower that could reach 27 must not."""
    low = WET | {"coolant_setpoint_c": 27.0, "heat_rejection_kw_per_k": 2000.0}
    settled_c, cooling_kw = [], []
    for cooling in (low, low | {"condensation_margin_k": 2.0}):
        sites = play(30.0, cooling=cooling, humidity=0.9, coolant_c=40.0)
        for _ in range(60):
            record = sites.step(FULL).record[0].copy()
        settled_c.append(float(sites.state.coolant_c[0, 0]))
        cooling_kw.append(float(record[COOLING_KW]))
        assert record[COLD] == 0.0

    assert settled_c[0] < 30.2
    assert settled_c[1] == pytest.approx(28.2 + 2.0 + REGULATION_BAND_K, abs=0.05)
    assert cooling_kw[1] < cooling_kw[0]


def test_a_heater_brings_a_wet_loop_back_and_its_rigs_start(play: Play) -> None:
    """20 °C and 95 %: dew point 19.2 °C; at 2 K the loop must be at 21.2 °C before rigs start."""
    margin = {"condensation_margin_k": 2.0}
    heated = margin | {"freeze_protect_c": 5.0, "freeze_heater_kw": 400.0}
    cold, warm = (
        play(20.0, cooling=own, humidity=0.95, running=0.0, coolant_c=15.0, contract_kw=2000.0)
        for own in (margin, heated)
    )
    for _ in range(200):
        held, plain = warm.step(OFF).record[0, COLD], cold.step(OFF).record[0, COLD]

    assert warm.state.coolant_c[0, 0] == pytest.approx(19.2 + 2.0 + REGULATION_BAND_K, abs=0.1)
    assert (held, plain) == (0.0, 1.0)
    assert warm.step(FULL).record[0, STARTED] == pytest.approx(135.0)
    assert cold.step(FULL).record[0, STARTED] == 0.0


def test_a_few_running_rigs_do_not_let_the_loop_freeze(play: Play) -> None:
    heated = {"freeze_protect_c": 8.0, "freeze_heater_kw": 400.0}
    few = np.full((1, 1), 0.02)
    for cooling, lowest_c in (({}, -25.0), (heated, 8.0 - 1e-6)):
        sites = play(-25.0, cooling=cooling, coolant_c=30.0)
        coolant_c = []
        for _ in range(200):
            sites.step(few)
            coolant_c.append(float(sites.state.coolant_c[0, 0]))
        assert float(sites.state.up.sum()) > 2.0
        assert min(coolant_c) >= lowest_c
        assert (coolant_c[-1] < 0.0) == (cooling == {})


def test_water_of_a_tower_is_its_latent_heat_and_costs_its_price(play: Play) -> None:
    """All heat as vapour at 3 cycles: 2.222 kg/kWh; at 300 per m³ 0.667 per kWh rejected."""
    priced = WET | {"cycles_of_concentration": 3.0, "water_price_per_m3": 300.0}
    free, dear = play(25.0, cooling=WET), play(25.0, cooling=priced)
    for _ in range(5):
        free.step(FULL)
        output = dear.step(FULL)
        rejected_kwh = output.record[0, REJECTED_KWH]
        assert rejected_kwh > 50.0
        assert output.record[0, WATER_KG] == pytest.approx(2.2222 * rejected_kwh, rel=1e-4)
        assert output.ledger[0, WATER] == pytest.approx(0.66667 * rejected_kwh, rel=1e-4)
        less = free.output.profit[0] - output.profit[0]
        assert less == pytest.approx(output.ledger[0, WATER])
    assert free.output.record[0, WATER_KG] == 0.0
    cold = play(4.0, cooling=priced)
    assert cold.step(FULL).record[0, WATER_KG] == 0.0


def test_a_site_of_catalogue_rigs_hashes_by_their_table(
    japan: SiteConfig, make_scenario: MakeScenario, make_sites: MakeSites
) -> None:
    values = japan.model_dump()
    values["groups"] = [
        {
            "name": "hall",
            "rig": "S19k-Pro",
            "n_rigs": 100,
            "min_up_s": 0.0,
            "min_down_s": 0.0,
            "power_per_k": 0.0,
            "cooling": values["groups"][0]["cooling"] | {"chip_to_coolant_k_per_kw": 3.0},
        }
    ]
    sites = make_sites(make_scenario(parse_site(values, origin="test")))
    for share, power_w, hashrate_ths in ((1.0, 3461.0, 142.4), (978 / 3461, 978.0, 49.5)):
        sites = make_sites(sites.scenario, action_kind=ActionKind.POWER)
        sites.start_at(sites.scenario.first_row, running_frac=1.0)
        for _ in range(4):
            record = sites.step(np.full((1, 1), share)).record[0]
        assert record[KW] == pytest.approx(0.1 * power_w)
        assert record[PHS] == pytest.approx(0.1 * hashrate_ths)


FAILING = {
    "hazard_ref_per_h": 0.002,
    "reference_c": 64.0,
    "activation_ev": 0.7,
    "failed_per_start": 0.01,
    "repair_h": 10.0,
}


def test_rigs_that_fail_come_back_and_none_is_lost(play: Play) -> None:
    sites = play(30.0, group={"failures": FAILING})
    state = sites.state
    for k in range(840):
        sites.step(OFF if 100 <= k < 130 else FULL)
        rigs = state.up.sum() + state.down.sum() + state.broken.sum()
        assert rigs == pytest.approx(135.0, rel=1e-12)
        assert min(state.up.min(), state.down.min(), state.broken.min()) >= 0.0

    # balance of failure and repair: running x hazard = broken / repair time
    rate = hazard_per_h(float(state.up_temp_c[0, 0, -1]), 0.002, 64.0, 0.7)
    starts_per_h = state.broken[0, 0] / 10.0  # each repaired rig starts again, 1 % fail at once
    expected = float(state.up.sum()) * rate + 0.01 * starts_per_h
    assert state.broken[0, 0] / 10.0 == pytest.approx(expected, rel=0.02)
    assert 1.0 < state.broken[0, 0] < 10.0


def test_hotter_air_breaks_no_fewer_rigs(play: Play) -> None:
    broken = []
    for outdoor_c in (15.0, 33.0, 40.0):
        sites = play(outdoor_c, group={"failures": FAILING})
        for _ in range(100):
            sites.step(FULL)
        broken.append(float(sites.state.broken[0, 0]))

    assert broken == sorted(broken)
    assert broken[-1] > 1.05 * broken[0]


def test_a_start_breaks_its_share(play: Play) -> None:
    sites = play(20.0, group={"failures": FAILING | {"hazard_ref_per_h": 0.0}}, running=0.0)
    sites.step(OFF)
    started = sites.step(FULL).record[0, STARTED]

    assert started == pytest.approx(135.0)
    assert sites.state.broken[0, 0] == pytest.approx(1.35)


def test_a_broken_rig_costs_its_repair(play: Play) -> None:
    """1.35 of 135 rigs break at the start; at 200 each that is 270, and it leaves the profit."""
    failing = FAILING | {"hazard_ref_per_h": 0.0}
    free = play(20.0, group={"failures": failing}, running=0.0)
    dear = play(20.0, group={"failures": failing | {"repair_cost": 200.0}}, running=0.0)
    for sites in (free, dear):
        sites.step(OFF)
        sites.step(FULL)
    assert dear.output.ledger[0, REPAIR] == pytest.approx(270.0)
    assert dear.output.profit[0] == pytest.approx(free.output.profit[0] - 270.0)
    dear.step(FULL)
    assert dear.output.ledger[0, REPAIR] == 0.0

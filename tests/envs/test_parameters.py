"""The published figures that the rig curve, the break-even and the compiled arrays must give."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gridhash.config import RigGroupConfig, SiteConfig, load_site
from gridhash.envs.parameters import compile_site
from gridhash.units import break_even_price_per_kwh

EditSite = Callable[[SiteConfig, dict[str, Any]], SiteConfig]

# LuxOS profiles of an S19k Pro: W, TH/s, J/TH (256foundation/asic-rs, luxminer test data).
LUXOS = np.array(
    [
        (1299, 65.0, 19.98),
        (1657, 80.5, 20.58),
        (1916, 90.8, 21.10),
        (2192, 101.1, 21.68),
        (2485, 111.5, 22.29),
        (2794, 121.8, 22.94),
        (3119, 132.1, 23.61),
        (3461, 142.4, 24.30),
        (4195, 163.1, 25.72),
    ]
)


def rig(**values: Any) -> RigGroupConfig:
    """Return a rig of the Texas preset with other figures, unvalidated."""
    return load_site("texas_air").groups[0].model_copy(update=values)


@pytest.mark.parametrize(("a", "b", "worst"), [(0.751, 0.248, 0.0048), (0.75, 0.25, 0.0052)])
def test_linear_efficiency_fits_the_luxos_table(a: float, b: float, worst: float) -> None:
    default_w, default_ths = 2794.0, 121.8
    model = rig(rig_power_w=default_w, rig_hashrate_ths=default_ths, curve_a=a, curve_b=b)

    for power_w, hashrate_ths, j_per_th in LUXOS:
        load = power_w / default_w
        model_j_per_th = power_w / (1000 * model.level_hashrate_phs(load))
        assert abs(model_j_per_th - j_per_th) / model.efficiency_j_per_th <= worst
        assert 1000 * model.level_hashrate_phs(load) == pytest.approx(hashrate_ths, rel=0.007)
        assert 1000 * model.level_power_kw(load) == pytest.approx(power_w)


def test_linear_efficiency_meets_both_published_points_of_the_avalon_q() -> None:
    model = rig(rig_power_w=1674.0, rig_hashrate_ths=90.0, curve_a=0.58, curve_b=0.42)

    assert model.efficiency_j_per_th == pytest.approx(18.6)
    assert 1000 * model.level_hashrate_phs(800 / 1674) == pytest.approx(55.0, rel=0.003)


@pytest.mark.parametrize(
    ("hashprice", "cents"),
    [
        (30, {9.5: 13.2, 12: 10.4, 13.5: 9.3, 16.8: 7.4, 18.5: 6.8, 23: 5.4, 29.5: 4.2}),
        (38, {9.5: 16.7, 12: 13.2, 13.5: 11.7, 16.8: 9.4, 18.5: 8.6, 23: 6.9, 29.5: 5.4}),
        (50, {9.5: 21.9, 12: 17.4, 13.5: 15.4, 16.8: 12.4, 18.5: 11.3, 23: 9.1, 29.5: 7.1}),
        (60, {9.5: 26.3, 12: 20.8, 13.5: 18.5, 16.8: 14.9, 18.5: 13.5, 23: 10.9, 29.5: 8.5}),
    ],
)
def test_break_even_at_the_rig_is_that_of_the_table(
    hashprice: float, cents: dict[float, float]
) -> None:
    for j_per_th, printed in cents.items():
        price = 100 * break_even_price_per_kwh(hashprice, j_per_th)
        assert price == pytest.approx(printed, abs=0.051)


@pytest.mark.parametrize(
    ("hashprice", "yen"), [(28, 9.8), (30, 10.5), (33, 11.6), (38, 13.3), (50, 17.5)]
)
def test_break_even_of_the_model_case_is_that_of_the_table(
    japan: SiteConfig, edit_site: EditSite, hashprice: float, yen: float
) -> None:
    """All-in JPY/kWh at PUE 1.04, 2 % fee, 150 JPY/USD."""
    site = edit_site(
        japan,
        {
            "pue_for_planning": 1.04,
            "mining.stale_frac": 0.0,
            "mining.hashprice_usd_per_phs_day": hashprice,
        },
    )

    assert site.break_even_per_kwh(site.groups[0]) == pytest.approx(yen, abs=0.051)


def test_model_case_is_257_phs_and_earns_what_the_market_study_says(japan: SiteConfig) -> None:
    """537 rigs x 480 TH/s; 257.6 PH/s at 38 USD are 3.57 million USD a year."""
    params = compile_site(japan)
    phs = float((params.n_rigs * params.level_phs[:, -1]).sum())

    assert phs == pytest.approx(257.6, abs=0.2)
    assert phs * 38 * 365 == pytest.approx(3.57e6, rel=0.002)
    assert params.max_rig_kw == pytest.approx(537 * 8.064)
    assert params.reward_scale == pytest.approx(phs * 38 * 150 * 0.98 * 0.997 / 288)


def test_compiled_arrays_follow_the_site(japan_levels: SiteConfig, edit_site: EditSite) -> None:
    site = edit_site(
        japan_levels,
        {
            "groups.1.optional_work_levels": (0.5, 1.0),
            "groups.2.rig_hashrate_ths": 500.0,
            "groups.*.boot_s": 30.0,
            "groups.3.min_up_s": 1801.0,
            "groups.3.min_down_s": 0.0,
        },
    )
    params = compile_site(site)

    assert params.level_kw.shape == (4, 6)
    assert params.level_kw[0] == pytest.approx(8.064 * np.array([0.5, 0.6, 0.7, 0.8, 0.9, 1.0]))
    assert params.level_kw[1] == pytest.approx(8.064 * np.array([0.5, 1, 1, 1, 1, 1]))
    assert params.level_phs[0, 0] == pytest.approx(0.480 * 0.5 / (0.65 + 0.35 * 0.5))
    assert params.n_levels.tolist() == [6, 2, 6, 6]
    assert params.n_up_lock.tolist() == [6, 6, 6, 7]
    assert params.n_down_lock.tolist() == [4, 4, 4, 0]
    assert params.merit_order[0] == 2
    assert params.start_power_frac[0, :2] == pytest.approx([0.9, 1.0])
    assert params.start_hash_frac[0, :2] == pytest.approx([0.7, 1.0])
    assert params.start_cost[0] * site.n_rigs == pytest.approx(site.start_cost_per_fleet_start)
    assert params.intervals_per_period == 6
    idle_kw = 108.0 + 52.01 + 537 * 0.02
    assert params.rig_cap_kw == pytest.approx(4520 - idle_kw, abs=1e-6)
    assert params.chip_decay[0] == pytest.approx(np.exp(-300 / 51))


def test_a_start_longer_than_an_interval_spreads_over_age_buckets(
    japan: SiteConfig, edit_site: EditSite
) -> None:
    """Boot 400 s, warm-up 300 s, intervals of 300 s: power from 400 s, hashes from 700 s."""
    site = edit_site(
        japan, {"groups.*.boot_s": 400.0, "groups.*.warm_up_s": 300.0, "groups.*.min_up_s": 0.0}
    )
    params = compile_site(site)

    assert params.start_power_frac[0] == pytest.approx([0, 2 / 3, 1, 1])
    assert params.start_hash_frac[0] == pytest.approx([0, 0, 2 / 3, 1])

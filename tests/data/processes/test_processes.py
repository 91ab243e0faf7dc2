"""Demand, weather, prices and base points: levels and ranges as stated, laws without exception."""

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridhash.config import SiteConfig
from gridhash.config_processes import (
    AncillaryProcess,
    BasePointProcess,
    DemandProcess,
    ImbalanceProcess,
    IrradianceProcess,
    WeatherProcess,
)
from gridhash.config_scenario import load_scenario_config
from gridhash.data.processes.ancillary import with_ancillary
from gridhash.data.processes.base_points import with_base_points
from gridhash.data.processes.demand import with_area_demand
from gridhash.data.processes.imbalance import scarcity_price, with_imbalance_prices
from gridhash.data.processes.real_time import two_settlement_market
from gridhash.data.processes.regrid import regrid
from gridhash.data.processes.weather import (
    saturation_kpa,
    with_humidity,
    with_irradiance,
    with_temperature,
)
from gridhash.data.runs import run_lengths
from gridhash.data.trace import Trace
from gridhash.errors import ConfigError, DataError, TimeGridError
from gridhash.time_grid import epoch_s, grid


def flat_trace(*, period_s: int = 3600, n_days: int = 366, currency: str = "USD") -> Trace:
    start = pd.Timestamp("2024-01-01", tz="UTC")
    starts = grid(start, start + pd.Timedelta(days=n_days), period_s)
    return Trace.from_prices(
        starts,
        np.full(len(starts), 10.0 if currency == "JPY" else 0.04),
        published_at=starts - pd.Timedelta(days=1),
        period_s=period_s,
        currency=currency,
        area="test",
        source="test",
    )


def means_by(
    values: npt.NDArray[np.float64], key: npt.NDArray[np.int64], n_keys: int
) -> npt.NDArray[np.float64]:
    return np.array([values[key == k].mean() for k in range(n_keys)])


@pytest.mark.parametrize(
    ("area", "climate", "zone", "mean_gw", "peak_gw"),
    [
        ("kyushu", "fukuoka", "Asia/Tokyo", 9.68, (13.5, 18.0)),
        ("ercot", "dallas", "America/Chicago", 52.7, (76.0, 94.0)),
    ],
)
def test_demand_has_the_published_mean_and_peaks_on_summer_afternoons(
    area: str, climate: str, zone: str, mean_gw: float, peak_gw: tuple[float, float]
) -> None:
    weather = WeatherProcess.model_validate({"climate": climate})
    process = DemandProcess.model_validate({"area": area})
    warm = with_temperature(flat_trace(), weather, timezone=zone, seed=1)
    trace = with_area_demand(warm, process, timezone=zone, seed=1)
    demand_gw = trace.column("demand_kw") / 1e6
    local = trace.starts.tz_convert(zone)

    assert demand_gw.mean() == pytest.approx(mean_gw, rel=0.04)
    assert peak_gw[0] < demand_gw.max() < peak_gw[1]
    for month in (6, 7, 8, 9):
        rows = np.flatnonzero(local.month == month)
        assert 9 <= local[rows[np.argmax(demand_gw[rows])]].hour <= 20
    is_weekend = np.asarray(local.day_of_week) >= 5
    assert demand_gw[is_weekend].mean() < demand_gw[~is_weekend].mean()
    ends = epoch_s(trace.starts) + trace.period_s
    assert (epoch_s(trace.available_at["demand_kw"]) == ends + 300).all()


@pytest.mark.parametrize(
    ("climate", "warmest", "mean_c"),
    [("fukuoka", 8, 17.3), ("melbourne", 2, 15.6), ("dallas", 8, 19.3), ("amsterdam", 7, 10.7)],
)
def test_weather_has_the_climates_mean_and_dry_afternoons(
    climate: str, warmest: int, mean_c: float
) -> None:
    zone = "UTC"
    weather = WeatherProcess.model_validate({"climate": climate})
    trace = with_temperature(flat_trace(), weather, timezone=zone, seed=2)
    trace = with_humidity(trace, weather, seed=2)
    temp_c = trace.column("outdoor_temp_c")
    humidity = trace.column("relative_humidity_frac")
    hour, month = np.asarray(trace.starts.hour), np.asarray(trace.starts.month)

    assert temp_c.mean() == pytest.approx(mean_c, abs=1.2)
    top_month = 1 + int(np.argmax(means_by(temp_c, month - 1, 12)))
    assert abs((top_month - warmest + 6) % 12 - 6) <= 1
    assert 14 <= np.argmax(means_by(temp_c, hour, 24)) <= 16
    assert ((humidity >= 0.05) & (humidity <= 1.0)).all()
    assert 13 <= np.argmin(means_by(humidity, hour, 24)) <= 16
    assert 0.5 < humidity.mean() < 0.85


def test_saturation_pressure_is_that_of_the_tables() -> None:
    assert saturation_kpa(np.array([0.0, 20.0, 40.0])) == pytest.approx(
        [0.611, 2.339, 7.384], rel=4e-3
    )


def test_clouds_leave_nights_dark_and_change_within_the_hour() -> None:
    place = IrradianceProcess(latitude=33.6, longitude=130.4)
    trace = with_irradiance(flat_trace(period_s=300, n_days=120), place, seed=3)
    ghi = trace.column("ghi_w_per_m2")
    jst = np.asarray(trace.starts.tz_convert("Asia/Tokyo").hour)

    assert (ghi[(jst >= 21) | (jst < 4)] == 0.0).all()
    assert ghi.max() < 1200.0
    noon = ghi[(jst == 12)].reshape(-1, 12)
    assert np.ptp(noon, axis=1).max() > 200.0
    # Energy of January to April at 33.6° N; clear skies alone would give about 600 kWh/m².
    assert 250.0 < ghi.sum() / 12.0 / 1000.0 < 520.0


def test_scarcity_price_is_that_of_the_rule() -> None:
    reserves = np.array([0.01, 0.03, 0.055, 0.08, 0.09, 0.10, 0.2])

    assert scarcity_price(reserves, ImbalanceProcess()).tolist() == pytest.approx(
        [300.0, 300.0, 175.0, 50.0, 25.0, 0.0, 0.0]
    )


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.0, 0.9), st.floats(0.1, 0.3))
def test_shortage_never_costs_less_than_surplus_pays(
    seed: int, spread: float, reserve: float
) -> None:
    base = flat_trace(n_days=20, currency="JPY")
    surplus = np.zeros(base.n_rows)
    surplus[100:120] = 0.4
    trace = with_imbalance_prices(
        base.with_columns({"surplus_frac": surplus}),
        ImbalanceProcess(spread_frac=spread, mean_reserve_frac=reserve),
        seed=seed,
    )
    shortage = trace.column("imbalance_shortage_price_per_kwh")
    paid = trace.column("imbalance_surplus_price_per_kwh")

    assert (shortage >= paid).all()
    assert (paid >= 0.0).all()
    assert (paid[100:120] == 0.0).all()
    assert shortage.max() <= 300.0
    ends = epoch_s(trace.starts) + trace.period_s
    known = trace.available_at["imbalance_shortage_price_per_kwh"]
    assert (epoch_s(known) == ends + 1800).all()


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    ramp=st.floats(0.005, 0.5),
    zero=st.floats(0.0, 0.5),
    full=st.floats(0.0, 0.5),
    hold=st.floats(1.0, 120.0),
)
def test_base_points_are_feasible_at_the_ramp_limit(
    seed: int, ramp: float, zero: float, full: float, hold: float
) -> None:
    process = BasePointProcess(
        ramp_frac_per_min=ramp, zero_share=zero, full_share=full, mean_hold_min=hold
    )
    trace = with_base_points(flat_trace(period_s=300, n_days=7), process, seed=seed)
    path = trace.column("base_point_frac")

    assert ((path >= 0.0) & (path <= 1.0)).all()
    assert np.abs(np.diff(path)).max() <= ramp * 5.0 + 1e-12


def test_base_points_hold_ramp_jump_and_touch_both_ends() -> None:
    trace = with_base_points(flat_trace(period_s=300, n_days=60), BasePointProcess(), seed=1)
    path = trace.column("base_point_frac")
    moves = np.abs(np.diff(path))

    assert 0.05 < (path == 0.0).mean() < 0.3
    assert 0.15 < (path == 1.0).mean() < 0.5
    assert 0.3 < (moves == 0.0).mean() < 0.95
    assert moves.max() > 0.8
    assert ((moves > 0.0) & (moves < 0.3)).mean() > 0.05
    known = trace.available_at["base_point_frac"]
    assert (trace.starts - known == pd.Timedelta(seconds=300)).all()


@pytest.fixture(scope="module")
def pilot() -> SiteConfig:
    return load_scenario_config("BasePoint").site


def test_base_points_within_reach_are_those_drawn_where_the_site_can_follow(
    pilot: SiteConfig,
) -> None:
    trace = flat_trace(period_s=300, n_days=30)
    free = BasePointProcess(highest_kw=4500.0)
    bound = free.model_copy(update={"within_reach": True})
    drawn, path = (
        with_base_points(trace, one, seed=1, site=pilot).column("base_point_frac")
        for one in (free, bound)
    )

    plain = with_base_points(trace, BasePointProcess(), seed=1).column("base_point_frac")
    assert drawn == pytest.approx(plain * 4500.0 / 4520.0)
    moved = path != drawn
    assert 0.0 < moved.mean() < 0.15
    assert (path[np.flatnonzero(drawn == 0.0)] > 0.0).any(), "rigs that just started run on"
    shares = np.histogram(path, bins=9, range=(0.0, 4500.0 / 4520.0))[0] / len(path)
    assert shares.min() > 0.02, "the whole range is asked for"
    known = with_base_points(trace, bound, seed=1, site=pilot).available_at["base_point_frac"]
    assert (trace.starts - known == pd.Timedelta(seconds=300)).all()


@pytest.mark.parametrize(
    "process", [BasePointProcess(within_reach=True), BasePointProcess(highest_kw=4000.0)]
)
def test_base_points_that_depend_on_a_site_are_not_drawn_without_one(
    process: BasePointProcess,
) -> None:
    with pytest.raises(ConfigError, match="need the site that follows"):
        with_base_points(flat_trace(period_s=300, n_days=1), process, seed=1)


def test_no_base_point_may_exceed_contract_power(pilot: SiteConfig) -> None:
    with pytest.raises(ConfigError, match="4600 is above the contract power of the site, 4520"):
        with_base_points(
            flat_trace(period_s=300, n_days=1),
            BasePointProcess(highest_kw=4600.0),
            seed=1,
            site=pilot,
        )


def test_held_capacity_earns_the_stated_mean_and_is_rarely_called() -> None:
    process = AncillaryProcess(deployments_per_year=40.0)
    base = flat_trace(period_s=900, n_days=4 * 366)
    trace = with_ancillary(base, process, timezone="America/Chicago", seed=1)
    price, share = trace.column("ancillary_price_per_kw_h"), trace.column("ancillary_deployed_frac")
    lengths = run_lengths(share > 0.0)
    hour = np.asarray(trace.starts.tz_convert("America/Chicago").hour)

    assert price.mean() == pytest.approx(0.00962, rel=0.15)
    assert 16 <= np.argmax(means_by(price, hour, 24)) <= 20
    assert 110 < len(lengths) < 210
    assert lengths.max() * 0.25 <= 2.0
    assert (trace.available_at["ancillary_deployed_frac"] == trace.starts).all()
    assert (trace.available_at["ancillary_price_per_kw_h"] < trace.starts).all()
    hourly = price.reshape(-1, 4)
    assert (hourly == hourly[:, :1]).all()


@pytest.mark.parametrize(
    ("preset", "period_s", "low", "high"),
    [("ercot", 900, -0.25, 5.0), ("vic", 300, -1.17, 17.5), ("nl", 3600, -0.13, 0.18)],
)
def test_real_time_prices_scatter_around_the_day_ahead_price(
    preset: str, period_s: int, low: float, high: float
) -> None:
    start = pd.Timestamp("2024-01-01", tz="UTC")
    traces = [
        two_settlement_market(preset=preset, period_s=period_s, start=start, n_days=366, seed=seed)
        for seed in range(3)
    ]
    ahead = np.concatenate([trace.column("price_per_kwh") for trace in traces])
    real = np.concatenate([trace.column("real_time_price_per_kwh") for trace in traces])

    # The day-ahead price is the expectation: the same mean, less spread.
    assert real.mean() == pytest.approx(ahead.mean(), rel=0.1)
    assert ahead.std() < real.std()
    assert low <= real.min() < 0.0 < real.max() <= high
    assert pd.Series(ahead).corr(pd.Series(real), method="spearman") > 0.6
    known = traces[0].available_at["real_time_price_per_kwh"]
    assert (known == traces[0].starts + pd.Timedelta(seconds=period_s)).all()
    assert (traces[0].available_at["price_per_kwh"] < traces[0].starts).all()


def test_a_market_off_the_hour_is_refused() -> None:
    with pytest.raises(TimeGridError, match="whole hour"):
        two_settlement_market(
            preset="ercot",
            period_s=900,
            start=pd.Timestamp("2024-01-01T00:15Z"),
            n_days=1,
            seed=0,
        )


def test_a_finer_grid_repeats_means_and_knows_them_no_earlier() -> None:
    trace = flat_trace(n_days=2).with_columns({"outdoor_temp_c": np.arange(48.0)})
    fine = regrid(trace, 900)

    assert fine.n_rows == 192
    assert fine.column("outdoor_temp_c")[:5].tolist() == [0.0, 0.0, 0.0, 0.0, 1.0]
    assert (fine.available_at["outdoor_temp_c"][:4] == trace.end - pd.Timedelta(hours=47)).all()
    assert regrid(trace, 3600) is trace
    with pytest.raises(TimeGridError, match="does not divide"):
        regrid(trace, 2700)


def test_humidity_needs_a_temperature() -> None:
    with pytest.raises(DataError, match="outdoor_temp_c"):
        with_humidity(flat_trace(n_days=2), WeatherProcess(climate="fukuoka"), seed=1)

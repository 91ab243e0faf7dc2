"""The synthetic year is reproducible and close to the figures it is calibrated on."""

import time
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gridhash.data.synthesis.calendar import is_day_off
from gridhash.data.synthesis.hashprice import hashprice_path
from gridhash.data.synthetic import (
    JapanParameters,
    areas,
    fit_japan,
    shipped_parameters,
    synthetic_japan,
)
from gridhash.data.trace import Trace, concat
from gridhash.errors import DataError, TimeGridError

SEEDS = range(40, 46)
# JEPX FY2023-26, four seasons weighted alike: mean and sd [JPY/kWh], share of slots at 0.01.
CALIBRATION = {
    "kyushu": (10.204, 5.167, 0.082),
    "tokyo": (13.511, 4.953, 0.012),
    "hokkaido": (12.223, 5.186, 0.031),
}


@pytest.fixture(scope="module")
def kyushu() -> list[Trace]:
    return [synthetic_japan(area="kyushu", seed=seed) for seed in SEEDS]


def test_same_seed_gives_the_same_bits_and_another_seed_does_not(kyushu: list[Trace]) -> None:
    again = synthetic_japan(area="kyushu", seed=SEEDS[0])

    assert again.frame.to_numpy().tobytes() == kyushu[0].frame.to_numpy().tobytes()
    for name in ("price_per_kwh", "surplus_frac", "outdoor_temp_c", "hashprice_usd_per_phs_day"):
        assert (kyushu[0].column(name) != kyushu[1].column(name)).any()


def test_years_join_without_a_gap_leap_day_included() -> None:
    years = concat([synthetic_japan(fiscal_year_start=year, seed=1) for year in (2022, 2023)])

    assert years.start == pd.Timestamp("2022-04-01T00:00+09:00")
    assert years.n_rows == 48 * (365 + 366)


def test_all_columns_are_there_and_prices_known_the_day_before() -> None:
    trace = synthetic_japan(seed=3)

    assert list(trace.frame.columns) == [
        "price_per_kwh",
        "surplus_frac",
        "outdoor_temp_c",
        "hashprice_usd_per_phs_day",
        "currency_per_usd",
    ]
    assert trace.available_at["price_per_kwh"][47] == pd.Timestamp("2025-03-31T12:30+09:00")
    assert (trace.column("currency_per_usd") == 150.0).all()


@pytest.mark.parametrize("area", CALIBRATION)
def test_prices_have_the_calibrated_level(area: str) -> None:
    mean, sd, floor_share = CALIBRATION[area]
    years = [synthetic_japan(area=area, seed=seed).column("price_per_kwh") for seed in SEEDS]
    prices = np.concatenate(years)

    assert prices.mean() == pytest.approx(mean, rel=0.1)
    assert prices.std() == pytest.approx(sd, rel=0.2)
    assert (prices <= 0.01).mean() == pytest.approx(floor_share, rel=0.25, abs=0.004)


def test_prices_are_ticks_from_the_floor_up(kyushu: list[Trace]) -> None:
    prices = np.concatenate([trace.column("price_per_kwh") for trace in kyushu])

    assert prices.min() == 0.01
    assert 35.0 < prices.max() <= 100.0
    assert (prices == np.round(prices, 2)).all()


def test_floor_prices_come_in_runs_at_daytime(kyushu: list[Trace]) -> None:
    runs, days = [], 0
    for trace in kyushu:
        at_floor = trace.column("price_per_kwh") == 0.01
        edges = np.flatnonzero(np.diff(np.r_[0, at_floor.astype(int), 0]))
        runs += (np.diff(edges)[::2] / 2).tolist()
        by_day = at_floor.reshape(-1, 48)
        days += by_day.any(axis=1).sum()
        # In June and July a few night slots were at the floor too.
        assert by_day[:, :10].sum() < 0.03 * by_day.sum()

    assert 3.0 < np.mean(runs) < 6.0  # hours; 4.5 to 5.4 in FY2023-25
    assert 105 < days / len(kyushu) < 180  # 106 to 180 in FY2023-25


def test_surplus_falls_mostly_but_not_only_on_cheap_hours(kyushu: list[Trace]) -> None:
    price = np.concatenate([trace.column("price_per_kwh") for trace in kyushu])
    surplus = np.concatenate([trace.column("surplus_frac") for trace in kyushu])
    curtailed = surplus > 0

    assert (price[curtailed] <= 0.5).mean() == pytest.approx(0.66, abs=0.06)
    assert 0.55 < curtailed[price <= 0.5].mean() < 0.9
    assert curtailed.mean() * 8760 == pytest.approx(914, rel=0.25)  # hours a year, 2021-23
    assert price[curtailed].mean() < 4.0 < 9.0 < price[~curtailed].mean()
    assert surplus.max() <= 1.0


def test_surplus_is_daylight_of_spring_and_autumn(kyushu: list[Trace]) -> None:
    for trace in kyushu:
        local = trace.starts.tz_convert("Asia/Tokyo")
        curtailed = trace.column("surplus_frac") > 0
        hours = set(local.hour[curtailed])
        by_month = pd.Series(curtailed).groupby(local.month).mean()

        assert hours <= set(range(7, 18))
        assert by_month[4] > 4 * by_month[8]


def test_holidays_are_like_weekends() -> None:
    price = {"off": [0.0], "working": [0.0]}
    for seed in SEEDS:
        trace = synthetic_japan(area="tokyo", fiscal_year_start=2024, seed=seed)
        local = trace.starts.tz_convert("Asia/Tokyo")
        by_day = pd.Series(trace.column("price_per_kwh"), index=local).resample("D").mean()
        for day, value in by_day.items():
            assert isinstance(day, pd.Timestamp)
            if day.day_of_week < 5:
                price["off" if is_day_off(day.date()) else "working"].append(value)

    assert np.mean(price["off"]) < 0.97 * np.mean(price["working"])
    assert all(is_day_off(date(2024, *day)) for day in ((4, 30), (8, 14), (12, 30), (11, 4)))
    assert not any(is_day_off(date(2024, *day)) for day in ((4, 26), (8, 19), (12, 27), (11, 5)))


def test_years_of_one_seed_differ_and_areas_of_one_seed_go_together() -> None:
    kyushu, chugoku, hokkaido = (
        synthetic_japan(area=area, seed=1).column("price_per_kwh")
        for area in ("kyushu", "chugoku", "hokkaido")
    )
    later = synthetic_japan(fiscal_year_start=2026, seed=1).column("price_per_kwh")

    assert np.corrcoef(kyushu, chugoku)[0, 1] > np.corrcoef(kyushu, hokkaido)[0, 1] > 0.4
    assert np.corrcoef(kyushu, chugoku)[0, 1] > 0.8
    assert np.corrcoef(kyushu, later)[0, 1] < 0.8


@pytest.mark.parametrize("area", ["kyushu", "tokyo"])
def test_a_crisis_is_dear_and_has_a_long_spell_in_winter(area: str) -> None:
    years = [synthetic_japan(area=area, seed=seed, regime="crisis") for seed in SEEDS]
    prices = np.concatenate([year.column("price_per_kwh") for year in years])

    # FY2020 to 2022: means 11 to 24, sd 9 to 25, 3 to 18 % above 30 JPY/kWh.
    assert 10.0 < prices.mean() < 22.0
    assert 9.0 < prices.std() < 25.0
    assert 0.03 < (prices > 30.0).mean() < 0.18
    assert 120.0 < prices.max() <= 250.0
    dearer = []
    for year in years:
        local = year.frame["price_per_kwh"].tz_convert("Asia/Tokyo")
        dearer.append(local.loc["2026-01-01":"2026-01-15"].mean() / local.mean())
    assert min(dearer) > 1.1
    assert np.mean(dearer) > 1.5
    assert years[0].source.startswith(f"synthetic {area} crisis FY2025")


def test_tokyo_has_no_surplus_because_none_is_known() -> None:
    assert synthetic_japan(area="tokyo", seed=1).column("surplus_frac").max() == 0.0


def test_temperature_follows_season_and_day(kyushu: list[Trace]) -> None:
    frame = pd.concat([trace.frame for trace in kyushu])
    local = pd.DatetimeIndex(frame.index).tz_convert("Asia/Tokyo")
    by_month = frame["outdoor_temp_c"].groupby(local.month).mean()
    by_hour = frame["outdoor_temp_c"].groupby(local.hour).mean()

    assert by_month[8] == pytest.approx(28.5, abs=1.0)  # Haneda's mean and half a degree
    assert by_month[1] == pytest.approx(7.7, abs=1.5)
    assert by_hour.idxmax() in (14, 15, 16)
    assert 3.0 < by_hour.max() - by_hour.min() < 5.0


def test_hashprice_moves_daily_about_its_level(kyushu: list[Trace]) -> None:
    for trace in kyushu:
        days = trace.column("hashprice_usd_per_phs_day").reshape(-1, 48)

        assert days[0, 0] == pytest.approx(38.0)
        assert (days == days[:, :1]).all()
        assert 12.0 < days.min() <= days.max() < 120.0
        assert np.diff(np.log(days[:, 0])).std() == pytest.approx(0.036, rel=0.15)


def test_hashprice_falls_by_what_difficulty_rises() -> None:
    parameters = shipped_parameters("kyushu").hashprice
    assert parameters is not None
    still = replace(parameters, daily_log_sd=0.0, daily_reversion=0.0)

    path = hashprice_path(still, 365, np.random.default_rng(1))
    steps = np.diff(np.log(path.usd_per_phs_day))
    lift = parameters.retarget_mean / 14.0
    jumps = steps[np.abs(steps - lift) > 1e-12]

    assert 24 <= path.retargets.size <= 28
    assert jumps - lift == pytest.approx(-np.log1p(path.retargets)[: jumps.size])


@pytest.mark.parametrize("area", areas())
def test_every_area_makes_a_valid_year(area: str) -> None:
    assert synthetic_japan(area=area, fiscal_year_start=2024, seed=0).n_rows == 17520


@pytest.fixture(scope="module")
def own_series() -> tuple[pd.Series, pd.Series, pd.Series]:
    """Two synthetic years as if they were somebody's own."""
    years = concat([synthetic_japan(fiscal_year_start=year, seed=7) for year in (2022, 2023)])
    frame = years.frame
    return (
        frame["price_per_kwh"],
        frame["surplus_frac"] * 500_000.0,
        frame["outdoor_temp_c"],
    )


def test_a_refit_gives_years_like_the_series(
    own_series: tuple[pd.Series, pd.Series, pd.Series],
) -> None:
    price, curtailed_kw, temp_c = own_series
    parameters = fit_japan(price, curtailed_kw, temp_c, area="kyushu")
    traces = [synthetic_japan(seed=seed, parameters=parameters) for seed in SEEDS]
    prices, surplus, temps = (
        np.concatenate([trace.column(name) for trace in traces])
        for name in ("price_per_kwh", "surplus_frac", "outdoor_temp_c")
    )

    assert "hashprice_usd_per_phs_day" not in traces[0].frame
    assert prices.mean() == pytest.approx(price.mean(), rel=0.07)
    assert prices.std() == pytest.approx(price.std(), rel=0.12)
    assert (prices <= 0.01).mean() == pytest.approx((price <= 0.01).mean(), rel=0.3)
    assert (surplus > 0).mean() == pytest.approx((curtailed_kw > 0).mean(), rel=0.25)
    assert (prices[surplus > 0] <= 0.5).mean() == pytest.approx(
        (price[curtailed_kw > 0] <= 0.5).mean(), abs=0.1
    )
    assert temps.mean() == pytest.approx(temp_c.mean(), abs=0.5)


def test_what_was_not_fitted_is_left_out(
    own_series: tuple[pd.Series, pd.Series, pd.Series],
) -> None:
    parameters = fit_japan(own_series[0], None, None, area="tokyo")
    trace = synthetic_japan(area="tokyo", seed=0, parameters=parameters)

    assert list(trace.frame.columns) == ["price_per_kwh", "currency_per_usd"]
    with pytest.raises(DataError, match="know no crisis"):
        synthetic_japan(area="tokyo", seed=0, parameters=parameters, regime="crisis")
    with pytest.raises(DataError, match="those of tokyo, not of kyushu"):
        synthetic_japan(area="kyushu", seed=0, parameters=parameters)


def test_a_fit_refuses_what_it_would_have_to_guess(
    own_series: tuple[pd.Series, pd.Series, pd.Series],
) -> None:
    price = own_series[0]
    with pytest.raises(DataError, match=r"price, row 11 .*missing"):
        fit_japan(price.where(np.arange(len(price)) != 10), None, None, area="kyushu")
    with pytest.raises(TimeGridError, match="not whole days"):
        fit_japan(price.iloc[:-1], None, None, area="kyushu")
    with pytest.raises(TimeGridError, match="without a gap"):
        fit_japan(price.drop(price.index[5]), None, None, area="kyushu")
    with pytest.raises(DataError, match="month 1 holds"):
        fit_japan(price.iloc[: 48 * 120], None, None, area="kyushu")
    with pytest.raises(DataError, match="no synthetic area 'okinawa'"):
        fit_japan(price, None, None, area="okinawa")


def test_a_fit_to_kyushu_up_to_2020_sees_nothing_later(reference_data: Path) -> None:
    name = "kyushu_joint_price_supply_carbon_hourly_2016-2023.parquet"
    frame = pd.read_parquet(reference_data / "data" / name)
    end = pd.Timestamp("2021-04-01", tz="Asia/Tokyo")
    tampered = frame.copy()
    tampered.loc[tampered.index >= end, "price_jpy_kwh"] *= 3.0
    tampered.loc[tampered.index >= end, "solar_curtailed"] += 1000.0

    def fitted(table: pd.DataFrame) -> tuple[JapanParameters, pd.Series]:
        part = table.loc[table.index < end]
        curtailed_kw = (part["solar_curtailed"] + part["wind_curtailed"]) * 1000.0
        return fit_japan(part["price_jpy_kwh"], curtailed_kw, None, area="kyushu"), part[
            "price_jpy_kwh"
        ]

    (first, price), (again, _) = fitted(frame), fitted(tampered)
    traces = [
        [synthetic_japan(seed=seed, parameters=parameters) for seed in SEEDS]
        for parameters in (first, again)
    ]

    for one, other in zip(*traces, strict=True):
        assert one.frame.to_numpy().tobytes() == other.frame.to_numpy().tobytes()
    prices = np.concatenate([trace.column("price_per_kwh") for trace in traces[0]])
    assert np.median(prices) == pytest.approx(price.median(), rel=0.1)
    assert (prices <= 0.01).mean() == pytest.approx((price <= 0.01).mean(), abs=0.01)


def test_unknown_regimes_are_refused() -> None:
    with pytest.raises(DataError, match="no regime 'war'"):
        synthetic_japan(seed=0, regime="war")  # type: ignore[arg-type]


def test_unknown_area_lists_the_areas() -> None:
    with pytest.raises(DataError, match="no synthetic area 'okinawa'; choose one of hokkaido"):
        synthetic_japan(area="okinawa", seed=0)


def test_a_year_is_made_within_half_a_second() -> None:
    synthetic_japan(seed=0)
    durations_s = []
    for seed in range(3):
        before = time.process_time()
        synthetic_japan(seed=seed)
        durations_s.append(time.process_time() - before)

    assert min(durations_s) < 0.5

"""The synthetic year is reproducible and close to the figures it is calibrated on."""

import time

import numpy as np
import pandas as pd
import pytest

from gridhash.data.synthetic import areas, synthetic_japan
from gridhash.data.trace import Trace, concat
from gridhash.errors import DataError

SEEDS = range(40, 46)
# JEPX FY2023-26, four seasons weighted alike: mean and sd [JPY/kWh], share of slots at 0.01,
# lag-1 autocorrelation, mean daily spread [JPY/kWh].
CALIBRATION = {
    "kyushu": (10.204, 5.167, 0.082, 0.9557, 13.250),
    "tokyo": (13.511, 4.953, 0.012, 0.9420, 11.176),
    "hokkaido": (12.223, 5.186, 0.031, 0.9290, 13.834),
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
def test_prices_have_the_calibrated_statistics(area: str) -> None:
    mean, sd, floor_share, lag1, spread = CALIBRATION[area]
    years = [synthetic_japan(area=area, seed=seed).column("price_per_kwh") for seed in SEEDS]
    prices = np.concatenate(years)

    assert prices.mean() == pytest.approx(mean, rel=0.06)
    assert prices.std() == pytest.approx(sd, rel=0.12)
    assert (prices <= 0.01).mean() == pytest.approx(floor_share, rel=0.2, abs=0.004)
    assert np.mean([np.corrcoef(y[:-1], y[1:])[0, 1] for y in years]) == pytest.approx(
        lag1, abs=0.03
    )
    days = prices.reshape(-1, 48)
    assert (days.max(axis=1) - days.min(axis=1)).mean() == pytest.approx(spread, rel=0.1)


def test_prices_are_ticks_from_the_floor_up(kyushu: list[Trace]) -> None:
    prices = np.concatenate([trace.column("price_per_kwh") for trace in kyushu])

    assert prices.min() == 0.01
    assert prices.max() <= 200.0
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
    assert curtailed.mean() * 8760 == pytest.approx(914, rel=0.2)  # hours a year, 2021-23
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


def test_tokyo_has_no_surplus_because_none_is_known() -> None:
    assert synthetic_japan(area="tokyo", seed=1).column("surplus_frac").max() == 0.0


def test_temperature_follows_season_and_day(kyushu: list[Trace]) -> None:
    frame = pd.concat([trace.frame for trace in kyushu])
    local = pd.DatetimeIndex(frame.index).tz_convert("Asia/Tokyo")
    by_month = frame["outdoor_temp_c"].groupby(local.month).mean()
    by_hour = frame["outdoor_temp_c"].groupby(local.hour).mean()

    assert by_month[8] == pytest.approx(28.5, abs=1.0)  # Haneda's mean and half a degree
    assert by_month[1] == pytest.approx(7.7, abs=1.2)
    assert by_hour.idxmax() in (14, 15, 16)
    assert 3.0 < by_hour.max() - by_hour.min() < 5.0


def test_hashprice_moves_daily_within_its_bounds(kyushu: list[Trace]) -> None:
    for trace in kyushu:
        days = trace.column("hashprice_usd_per_phs_day").reshape(-1, 48)

        assert days[0, 0] == pytest.approx(38.0)
        assert (days == days[:, :1]).all()
        assert 25.999 < days.min() <= days.max() < 65.001
        assert np.diff(np.log(days[:, 0])).std() == pytest.approx(0.036, rel=0.15)


@pytest.mark.parametrize("area", areas())
def test_every_area_makes_a_valid_year(area: str) -> None:
    assert synthetic_japan(area=area, fiscal_year_start=2024, seed=0).n_rows == 17520


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

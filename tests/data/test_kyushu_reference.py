"""The real Kyushu series, joined into one trace, has the statistics that were published of it.

Figures: the tables of curtailment and of prices by area and fiscal year that calibrate the
synthetic year. Every number is compared to the digits in which it is printed.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gridhash.data.join import JoinColumn, Part, join
from gridhash.data.readers.price_trace import price_trace
from gridhash.data.source_table import Origin, SourceTable
from gridhash.data.surplus import with_area_surplus
from gridhash.data.trace import Trace

ZONE = "Asia/Tokyo"
MW = 1000.0
KW_PER_GW = 1e6
PRICE = "price_per_kwh@kyushu"


def source(frame: pd.DataFrame, name: str, period_s: int) -> SourceTable:
    index = pd.DatetimeIndex(frame.index).as_unit("s").rename("start")
    return SourceTable(
        dataset=name,
        frame=frame.set_axis(index),
        period_s=period_s,
        currency="JPY",
        origins=(Origin("japanese-utility", f"{name}.parquet", "0" * 64),),
        available_at=dict.fromkeys(frame.columns, index + pd.Timedelta(seconds=period_s)),
    )


@pytest.fixture(scope="module")
def spot(reference_data: Path) -> SourceTable:
    """Return half-hourly prices, FY2016 to FY2024; the file holds float32, the tick is 0.01."""
    prices = pd.read_parquet(reference_data / "data" / "jepx_spot_30min_fy2016-fy2024.parquet")
    return source(pd.DataFrame({PRICE: prices["kyushu"].astype(float).round(2)}), "jepx-spot", 1800)


@pytest.fixture(scope="module")
def kyushu(reference_data: Path, spot: SourceTable) -> Trace:
    """Return 2016-04 to 2023-12: half-hourly prices, hourly curtailment."""
    supply = pd.read_parquet(
        reference_data / "data" / "kyushu_joint_price_supply_carbon_hourly_2016-2023.parquet"
    )
    names = ("solar", "solar_curtailed", "wind", "wind_curtailed", "demand")
    area = source(
        pd.DataFrame({f"{name}_kw@kyushu": supply[name].astype(float) * MW for name in names}),
        "area-supply-hourly-kyushu",
        3600,
    )
    columns = [
        JoinColumn(column="price_per_kwh", parts=(Part(table=spot, field=PRICE),)),
        *(
            JoinColumn(column=f"{name}_kw", parts=(Part(table=area, field=f"{name}_kw@kyushu"),))
            for name in names
        ),
    ]
    joined = join(
        columns,
        start=area.starts[0].to_pydatetime(),
        end=area.end.to_pydatetime(),
        period_s=1800,
        currency="JPY",
        area="kyushu",
    )
    return with_area_surplus(joined.to_trace(), site_kw=4500.0, area_share=1e-3)


@pytest.fixture(scope="module")
def hours(kyushu: Trace) -> pd.DataFrame:
    """Return hourly means in Japanese time: price, curtailed MW."""
    frame = kyushu.frame.tz_convert(ZONE).iloc[::2].copy()
    frame["price"] = kyushu.column("price_per_kwh").reshape(-1, 2).mean(axis=1)
    frame["curtailed_mw"] = (frame["solar_curtailed_kw"] + frame["wind_curtailed_kw"]) / MW
    return frame


@pytest.mark.parametrize(
    ("fiscal_year", "mean", "sd", "maximum", "at_floor", "cheap", "dear", "floor_days", "run_h"),
    [
        (2022, 14.42, 9.58, 85, 10.9, 16.1, 4.6, 185, 4.1),
        (2023, 9.14, 5.00, 50, 12.4, 17.2, 0.1, 180, 5.4),
        (2024, 10.86, 5.26, 45, 6.7, 9.8, 0.5, 124, 4.5),
    ],
)
def test_prices_of_a_fiscal_year(
    spot: SourceTable,
    fiscal_year: int,
    mean: float,
    sd: float,
    maximum: float,
    at_floor: float,
    cheap: float,
    dear: float,
    floor_days: int,
    run_h: float,
) -> None:
    span = price_trace(
        spot,
        PRICE,
        start=pd.Timestamp(fiscal_year, 4, 1, tz=ZONE),
        end=pd.Timestamp(fiscal_year + 1, 4, 1, tz=ZONE),
    )
    price = span.column("price_per_kwh")
    floor = price <= 0.01
    starts = int(np.count_nonzero(np.diff(floor.astype(int), prepend=0) == 1))
    assert round(price.mean(), 2) == mean
    assert round(price.std(ddof=1), 2) == sd
    assert round(price.max()) == maximum
    assert round(100 * floor.mean(), 1) == at_floor
    assert round(100 * (price <= 5).mean(), 1) == cheap
    assert round(100 * (price > 30).mean(), 1) == dear
    assert int(floor.reshape(-1, 48).any(axis=1).sum()) == floor_days
    assert round(0.5 * floor.sum() / starts, 1) == run_h


@pytest.mark.parametrize(
    ("year", "solar_gwh", "days"), [(2019, 307, 107), (2020, 482, 116), (2021, 550, 108)]
)
def test_curtailment_of_a_year(hours: pd.DataFrame, year: int, solar_gwh: int, days: int) -> None:
    own = hours[hours.index.year == year]  # type: ignore[attr-defined]
    assert round(own["solar_curtailed_kw"].sum() / KW_PER_GW) == solar_gwh
    assert int((own["curtailed_mw"].groupby(own.index.date).max() > 0).sum()) == days  # type: ignore[attr-defined]


def test_curtailment_of_2023(hours: pd.DataFrame) -> None:
    own = hours[hours.index.year == 2023]  # type: ignore[attr-defined]
    curtailed = own["curtailed_mw"]
    assert round(own["solar_curtailed_kw"].sum() / KW_PER_GW) == 1344
    assert int((curtailed.groupby(own.index.date).max() > 0).sum()) == 170  # type: ignore[attr-defined]
    assert int((curtailed > 0).sum()) == 1174
    assert round(curtailed.max()) == 5882
    total = own[["solar_kw", "wind_kw", "solar_curtailed_kw", "wind_curtailed_kw"]].sum().sum()
    assert round(100 * curtailed.sum() * MW / total, 1) == 8.9


def test_curtailment_by_month_and_hour(hours: pd.DataFrame) -> None:
    own = hours[(hours.index.year >= 2021) & (hours.index.year <= 2023)]  # type: ignore[attr-defined]
    index = pd.DatetimeIndex(own.index)
    flag = own["curtailed_mw"] > 0
    noon = flag[index.hour == 12].groupby(index.month[index.hour == 12]).mean().round(2)
    assert noon.tolist() == [0.22, 0.42, 0.65, 0.74, 0.62, 0.22, 0.01, 0.02, 0.14, 0.59, 0.47, 0.22]
    april = flag[index.month == 4].groupby(index.hour[index.month == 4]).mean().round(2)
    assert [april[hour] for hour in (8, 10, 13, 16)] == [0.48, 0.76, 0.76, 0.20]
    at_april_noon = own["curtailed_mw"][flag & (index.month == 4) & (index.hour == 12)]
    assert round(at_april_noon.mean()) == 2056


def test_episodes_and_persistence(hours: pd.DataFrame) -> None:
    """One episode a day of 6.4 to 6.9 h, 11 h at most; P(c|c) .60–.73, P(c|not) .15–.24."""
    for year in (2021, 2022, 2023):
        own = hours[hours.index.year == year]  # type: ignore[attr-defined]
        flag = own["curtailed_mw"].to_numpy() > 0
        days = flag.reshape(-1, 24)
        lengths = days.sum(axis=1)[days.any(axis=1)]
        day = np.asarray(days.any(axis=1))
        assert 6.4 <= round(float(lengths.mean()), 1) <= 6.9
        assert lengths.max() <= 11
        assert 0.60 <= round(float(day[1:][day[:-1]].mean()), 2) <= 0.73
        assert 0.15 <= round(float(day[1:][~day[:-1]].mean()), 2) <= 0.24


def test_price_is_an_imperfect_proxy(kyushu: Trace, hours: pd.DataFrame) -> None:
    own = hours[(hours.index.year >= 2021) & (hours.index.year <= 2023)]  # type: ignore[attr-defined]
    curtailed, cheap = own["curtailed_mw"] > 0, own["price"] <= 0.5
    assert round((curtailed & cheap).sum() / cheap.sum(), 2) == 0.69
    assert round((curtailed & cheap).sum() / curtailed.sum(), 2) == 0.66
    assert round(own["price"][curtailed].mean(), 2) == 2.61
    assert round(own["price"][~curtailed].mean(), 2) == 14.07
    # The hours above take the mean price of both halves; by half hours it is much the same.
    span = kyushu.between(pd.Timestamp(2021, 1, 1, tz=ZONE), pd.Timestamp(2024, 1, 1, tz=ZONE))
    is_surplus, is_cheap = span.column("surplus_frac") > 0.0, span.column("price_per_kwh") <= 0.5
    both = (is_surplus & is_cheap).sum()
    assert (round(both / is_cheap.sum(), 2), round(both / is_surplus.sum(), 2)) == (0.65, 0.69)

"""Surplus scales to the site, conserves energy, is known when its sources are."""

from datetime import time
from pathlib import Path

import numpy as np
import pandas as pd
import pvlib
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridhash.data.surplus import (
    CurtailmentOrder,
    PvSystem,
    read_orders,
    with_area_surplus,
    with_behind_meter_pv,
    with_curtailment_orders,
    with_pv_as_surplus,
    with_surplus_from_price,
)
from gridhash.data.trace import Trace
from gridhash.errors import DataError


def trace(columns: dict[str, list[float]], *, start: str = "2024-04-01", period_s: int = 1800):  # type: ignore[no-untyped-def]
    n = len(next(iter(columns.values())))
    starts = pd.date_range(start, periods=n, freq=f"{period_s}s", tz="UTC", unit="s")
    prices = columns.pop("price_per_kwh", [10.0] * n)
    base = Trace.from_prices(
        starts,
        prices,
        published_at=starts - pd.Timedelta(hours=12),
        period_s=period_s,
        currency="JPY",
        area="kyushu",
        source="test",
    )
    return base.with_columns(columns)


def test_a_thousandth_of_the_areas_curtailment_up_to_the_sites_power() -> None:
    curtailed = trace({"solar_curtailed_kw": [0.0, 9e5, 6e6], "wind_curtailed_kw": [0.0, 9e5, 0.0]})
    site = with_area_surplus(curtailed, site_kw=4500.0, area_share=1e-3)
    assert site.column("surplus_frac").tolist() == [0.0, 0.4, 1.0]
    assert site.available_at["surplus_frac"][1] == curtailed.starts[2]
    assert "0.001 of solar_curtailed_kw + wind_curtailed_kw over 4500 kW" in site.notes[0]


@given(
    st.lists(st.integers(0, 6_000_000), min_size=1, max_size=40),
    st.floats(1e-5, 1e-2),
    st.floats(100, 50_000),
)
def test_a_site_never_gets_more_than_its_share(
    curtailed_kw: list[int], share: float, site_kw: float
) -> None:
    result = with_area_surplus(
        trace({"solar_curtailed_kw": [float(kw) for kw in curtailed_kw]}),
        site_kw=site_kw,
        area_share=share,
    )
    given_kw = result.column("surplus_frac") * site_kw
    assert np.all(given_kw <= share * np.array(curtailed_kw) * (1 + 1e-12))
    assert np.all(given_kw <= site_kw)
    exact = share * np.array(curtailed_kw) <= site_kw
    np.testing.assert_allclose(given_kw[exact], share * np.array(curtailed_kw)[exact], rtol=1e-12)


@pytest.mark.parametrize("figures", [{"site_kw": 0.0}, {"area_share": -1.0}])
def test_a_share_or_site_of_nothing_is_refused(figures: dict[str, float]) -> None:
    with pytest.raises(DataError, match="must be above zero"):
        with_area_surplus(
            trace({"solar_curtailed_kw": [0.0]}),
            **({"site_kw": 1.0, "area_share": 1.0} | figures),
        )


def test_without_curtailment_there_is_no_guess() -> None:
    with pytest.raises(DataError, match="needs solar_curtailed_kw or wind_curtailed_kw"):
        with_area_surplus(trace({"surplus_frac": [0.0]}), site_kw=1.0, area_share=1.0)


def order(start: str, end: str, announced: str) -> CurtailmentOrder:
    return CurtailmentOrder(
        start=pd.Timestamp(start), end=pd.Timestamp(end), announced_at=pd.Timestamp(announced)
    )


NIGHT = "2024-03-31T15:00"  # Midnight of 1 April in Japan.


def test_an_order_flags_the_rows_it_touches() -> None:
    ordered = with_curtailment_orders(
        trace({"surplus_frac": [0.0] * 8}),
        [order("2024-04-01T01:00Z", "2024-04-01T02:15Z", "2024-04-01T00:10Z")],
    )
    assert ordered.column("curtailment_order").tolist() == [0, 0, 1, 1, 1, 0, 0, 0]
    known = ordered.available_at["curtailment_order"]
    # Row 2 is known once row 1, which needs its start to show that no order came, is known.
    assert known[2] == pd.Timestamp("2024-04-01T00:30Z")
    assert known[5] == ordered.starts[5]


def test_orders_that_come_the_day_before_give_their_notice() -> None:
    day = trace({"surplus_frac": [0.0] * 48}, start=NIGHT)
    ordered = with_curtailment_orders(
        day,
        [order("2024-04-01T09:00+09:00", "2024-04-01T16:00+09:00", "2024-03-31T16:40+09:00")],
        day_ahead=("Asia/Tokyo", time(17)),
    )
    assert ordered.column("curtailment_order").sum() == 14
    known = ordered.available_at["curtailment_order"]
    assert (known == pd.Timestamp("2024-03-31T17:00+09:00")).all()


def test_an_order_that_comes_late_is_known_late() -> None:
    day = trace({"surplus_frac": [0.0] * 48}, start=NIGHT)
    ordered = with_curtailment_orders(
        day,
        [order("2024-04-01T09:00+09:00", "2024-04-01T16:00+09:00", "2024-04-01T08:20+09:00")],
        day_ahead=("Asia/Tokyo", time(17)),
    )
    known = ordered.available_at["curtailment_order"]
    assert known[17] == pd.Timestamp("2024-03-31T17:00+09:00")
    assert known[18] == pd.Timestamp("2024-04-01T08:20+09:00")


@pytest.mark.parametrize(
    "times",
    [
        ("2024-04-01T02:00Z", "2024-04-01T01:00Z", "2024-04-01T00:00Z"),
        ("2024-04-01T01:00Z", "2024-04-01T02:00Z", "2024-04-01T01:30Z"),
        ("2024-04-01T01:00", "2024-04-01T02:00", "2024-04-01T00:30"),
    ],
)
def test_an_order_out_of_order_or_without_zone_is_refused(times: tuple[str, str, str]) -> None:
    with pytest.raises(DataError, match=r"announced, then start, then end|no time zone"):
        order(*times)


def test_orders_are_read_from_a_file_and_a_bad_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "orders.csv"
    good = "2024-04-01T09:00+09:00,2024-04-01T16:00+09:00,2024-03-31T16:40+09:00\n"
    path.write_text("start,end,announced_at\n" + good)
    (found,) = read_orders(path)
    assert found.end == pd.Timestamp("2024-04-01T07:00Z")
    path.write_text("start,end,announced_at\n" + good + good.replace("2024-04-01T16", "x"))
    with pytest.raises(DataError, match=r"orders\.csv line 3"):
        read_orders(path)


def test_panels_in_kyushu_make_what_the_sun_gives() -> None:
    """A clear day in April: none at night, about the peak power at noon, more with a south tilt."""
    starts = pd.date_range("2024-04-01", periods=48, freq="30min", tz="Asia/Tokyo", unit="s")
    middle = starts + pd.Timedelta(minutes=15)
    sun = pvlib.solarposition.get_solarposition(middle, 33.6, 130.4)
    ghi = pvlib.clearsky.haurwitz(sun["apparent_zenith"])["ghi"]
    day = trace(
        {"ghi_w_per_m2": ghi.tolist(), "outdoor_temp_c": [15.0] * 48},
        start=str(starts[0].tz_convert("UTC").tz_localize(None)),
    )
    south = PvSystem(latitude=33.6, longitude=130.4, peak_kw=1000.0)
    power = with_behind_meter_pv(day, south, site_kw=4000.0).column("behind_meter_pv_frac") * 4000.0
    assert power[:10].max() == 0.0
    assert power[40:].max() == 0.0
    assert 700.0 < power.max() < 900.0  # 1000 kW × ~1.05 sun × 0.86 × heat
    assert 22 <= int(np.argmax(power)) <= 26
    flat = PvSystem(latitude=33.6, longitude=130.4, peak_kw=1000.0, tilt=0.0)
    assert (
        with_behind_meter_pv(day, flat, site_kw=4000.0).column("behind_meter_pv_frac").sum() * 4000
        < power.sum()
    )


def test_pv_adds_to_the_surplus_of_the_area_up_to_one() -> None:
    both = trace({"surplus_frac": [0.0, 0.5, 0.9], "behind_meter_pv_frac": [0.2, 0.2, 0.2]})
    assert with_pv_as_surplus(both).column("surplus_frac").tolist() == [0.2, 0.7, 1.0]


def test_the_price_proxy_says_that_it_is_one_and_never_replaces_a_measurement() -> None:
    priced = trace({"price_per_kwh": [0.01, 0.5, 0.51], "outdoor_temp_c": [1.0, 1.0, 1.0]})
    proxy = with_surplus_from_price(priced, at_most_per_kwh=0.5)
    assert proxy.column("surplus_frac").tolist() == [1.0, 1.0, 0.0]
    assert "proxy" in proxy.notes[-1]
    with pytest.raises(DataError, match="weaker evidence"):
        with_surplus_from_price(proxy, at_most_per_kwh=0.5)


def test_kyushus_price_is_the_proxy_that_the_module_says(reference_data: Path) -> None:
    """P(curtailed | price ≤ 0.5) = .69 and P(price ≤ 0.5 | curtailed) = .66 in 2021–23."""
    frame = pd.read_parquet(
        reference_data / "data" / "kyushu_joint_price_supply_carbon_hourly_2016-2023.parquet"
    )
    index = pd.DatetimeIndex(frame.index).tz_convert("Asia/Tokyo")
    frame = frame[(index.year >= 2021) & (index.year <= 2023)]
    curtailed = (frame["solar_curtailed"] + frame["wind_curtailed"]).to_numpy(float) * 1000.0
    prices = frame["price_jpy_kwh"].to_numpy(float)
    joined = trace(
        {"price_per_kwh": prices.tolist(), "solar_curtailed_kw": curtailed.tolist()},
        start=str(frame.index[0].tz_localize(None)),
        period_s=3600,
    )
    joined = with_area_surplus(joined, site_kw=4500.0, area_share=1e-3)
    is_surplus, is_cheap = joined.column("surplus_frac") > 0.0, prices <= 0.5
    assert round((is_surplus & is_cheap).sum() / is_cheap.sum(), 2) == 0.69
    assert round((is_surplus & is_cheap).sum() / is_surplus.sum(), 2) == 0.66

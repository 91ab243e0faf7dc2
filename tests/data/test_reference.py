"""Real series read from files as they are kept: small made-up ones, and the real where they are."""

from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gridhash.data import reference
from gridhash.data.reference import reference_trace
from gridhash.errors import DataError

N_DAYS = 16


def index(start: str, step: str) -> pd.DatetimeIndex:
    first = pd.Timestamp(start, tz="UTC")
    stop = first + pd.Timedelta(days=N_DAYS)
    return pd.date_range(first, stop, freq=step, inclusive="left", name="ts_utc")


def write(folder: Path, name: str, starts: pd.DatetimeIndex, **columns: object) -> None:
    (folder / "data").mkdir(exist_ok=True)
    frame = pd.DataFrame(columns, index=starts).astype("float32")
    frame.to_parquet(folder / "data" / name)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with every file, the values telling their row."""
    monkeypatch.setenv("GRIDHASH_REFERENCE_DATA", str(tmp_path))
    halves, hours = index("2023-03-31T15:00", "30min"), index("2023-03-31T15:00", "h")
    row = np.arange(len(halves))
    write(tmp_path, reference.JEPX, halves, kyushu=row % 48 + 0.11, tokyo=row % 48 + 5.0)
    hour = np.arange(len(hours))
    write(
        tmp_path,
        reference.KYUSHU,
        hours,
        demand=9000.0 + hour,
        solar=10.0,
        solar_curtailed=np.where(hour % 24 == 12, 250.0, 0.0),
        wind=5.0,
        wind_curtailed=np.where(hour % 24 == 13, 900.0, 0.0),
        interconnector=-1.0,
        ci_direct_g_per_kwh=300.0,
    )
    quarters = index("2024-01-01T00:00", "15min")
    temp_c = np.where(np.arange(len(quarters)) == 40, np.nan, 20.0)
    write(
        tmp_path,
        reference.ERCOT,
        quarters,
        da_usd_per_mwh=25.0,
        rt_usd_per_mwh=-3.21,
        temp_c=temp_c,
    )
    fives = index("2024-11-30T14:00", "5min")
    of_day = np.arange(len(fives)) // 288
    write(tmp_path, reference.NEM, fives, price_aud_per_mwh=10.0 * of_day, demand_mw=4200.0)
    write(tmp_path, reference.GERMANY, index("2015-01-04T23:00", "h"), price_eur_per_mwh=35.5)
    return tmp_path


def test_japanese_prices_are_known_at_half_past_twelve_of_the_day_before(folder: Path) -> None:
    trace = reference_trace("jepx", area="tokyo")

    assert (trace.currency, trace.area, trace.period_s) == ("JPY", "tokyo", 1800)
    assert trace.column("price_per_kwh")[:3].tolist() == [5.0, 6.0, 7.0]
    known = trace.available_at["price_per_kwh"][0].tz_convert("Asia/Tokyo")
    assert known == pd.Timestamp("2023-03-31T12:30", tz="Asia/Tokyo")


def test_surplus_is_a_share_of_what_the_area_curtailed_and_known_after_its_hour(
    folder: Path,
) -> None:
    """500 MW or more give all that the site can take; 250 MW give half."""
    trace = reference_trace("kyushu")

    assert trace.column("surplus_frac")[22:30].tolist() == [0, 0, 0.5, 0.5, 1.0, 1.0, 0, 0]
    known = trace.available_at["surplus_frac"][24:26].tz_convert("Asia/Tokyo")
    assert [f"{t:%H:%M}" for t in known] == ["13:00", "13:00"]
    assert trace.column("demand_kw")[:4].tolist() == [9.000e6, 9.000e6, 9.001e6, 9.001e6]
    assert trace.column("price_per_kwh")[1] == 1.11


def test_texas_is_cut_to_local_days_and_its_missing_temperatures_are_counted(folder: Path) -> None:
    trace = reference_trace("ercot")

    assert trace.start == pd.Timestamp("2024-01-01", tz="America/Chicago")
    assert trace.end == pd.Timestamp("2024-01-16", tz="America/Chicago")
    assert trace.column("price_per_kwh")[0] == 0.025
    assert trace.column("real_time_price_per_kwh")[0] == pytest.approx(-0.00321)
    assert trace.available_at["real_time_price_per_kwh"][0] == trace.starts[1]
    assert trace.notes == ("outdoor_temp_c: 1 missing quarter-hours interpolated",)


def test_where_there_is_no_day_ahead_market_the_forecast_looks_at_past_days_alone(
    folder: Path,
) -> None:
    """Prices of day d are 10 d: the forecast is the mean of those known at 12:30 of d - 1."""
    trace = reference_trace("nem_vic1")

    assert trace.start == pd.Timestamp("2024-12-11", tz="Australia/Brisbane")
    forecast = trace.column("price_per_kwh") * 1000.0
    day = 288
    # Of day 10 at 6:00 the days 2 to 9 are known by then; of 18:00 only days 2 to 8.
    assert forecast[6 * 12] == pytest.approx(10.0 * np.mean(range(2, 10)))
    assert forecast[18 * 12] == pytest.approx(10.0 * np.mean(range(2, 9)))
    assert forecast[day + 6 * 12] == pytest.approx(10.0 * np.mean(range(3, 11)))
    assert trace.column("real_time_price_per_kwh")[0] == pytest.approx(0.1)
    assert any(note.startswith("synthetic: price_per_kwh: no day-ahead") for note in trace.notes)


def test_local_days_can_be_chosen(folder: Path) -> None:
    trace = reference_trace("germany", start=date(2015, 1, 7), end=date(2015, 1, 9))

    assert trace.n_rows == 48
    assert trace.start == pd.Timestamp("2015-01-07", tz="Europe/Berlin")


def test_a_missing_file_is_named_with_its_publisher_and_the_way_out(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "data" / reference.KYUSHU).unlink()
    with pytest.raises(DataError, match=rf"has not got {reference.KYUSHU}.*JEPX, Kyushu Electric"):
        reference_trace("kyushu")
    monkeypatch.delenv("GRIDHASH_REFERENCE_DATA")
    with pytest.raises(DataError, match=r"is not set; needed are jepx.*`gridhash data fetch`"):
        reference_trace("jepx")


def test_a_file_of_another_form_and_unknown_names_are_refused(folder: Path) -> None:
    write(folder, reference.GERMANY, index("2015-01-04T23:00", "h"), price=1.0)
    with pytest.raises(DataError, match="expected the columns price_eur_per_mwh by aware UTC"):
        reference_trace("germany")
    (folder / "data" / reference.NEM).write_bytes(b"PAR1 and nothing else")
    with pytest.raises(DataError, match="cannot be read"):
        reference_trace("nem_vic1")
    with pytest.raises(DataError, match="no real series is called 'caiso'"):
        reference_trace("caiso")
    with pytest.raises(DataError, match="has no area 'okinawa'; it has kyushu, tokyo"):
        reference_trace("jepx", area="okinawa")


def test_the_real_files_are_whole_and_say_what_is_known_of_them(reference_data: Path) -> None:
    """Kyushu's mean of FY2022 and FY2024 as published; 1,344 GWh of sun curtailed in 2023."""
    spot = reference_trace("jepx", area="kyushu")
    means = [
        spot.between(
            pd.Timestamp(year, 4, 1, tz="Asia/Tokyo"), pd.Timestamp(year + 1, 4, 1, tz="Asia/Tokyo")
        )
        .column("price_per_kwh")
        .mean()
        for year in (2022, 2023, 2024)
    ]
    assert np.round(means, 2).tolist() == [14.42, 9.14, 10.86]

    kyushu = reference_trace("kyushu", start=date(2023, 1, 1))
    curtailed_gwh = kyushu.column("solar_curtailed_kw").sum() / 2 / 1e6
    assert curtailed_gwh == pytest.approx(1344, abs=1)

"""EPW and TMY3: labels at the end of hours, typical years, and what the sun says."""

import functools
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pvlib
import pytest

from gridhash.data.readers.weather_files import FORMATS, typical_year
from gridhash.errors import DataError, FileFormatError, TimeGridError

EPW_HEAD = """LOCATION,Fukuoka,-,JPN,synthetic,478070,33.58,130.38,9.0,3.0
DESIGN CONDITIONS,0
TYPICAL/EXTREME PERIODS,0
GROUND TEMPERATURES,0
HOLIDAYS/DAYLIGHT SAVINGS,No,0,0,0
COMMENTS 1,made for a test
COMMENTS 2,
DATA PERIODS,1,1,Data,Sunday, 1/ 1,12/31
"""
TMY3_HEAD = (
    '478070,"FUKUOKA, SYNTHETIC",JP,9.0,33.58,130.38,3\n'
    "Date (MM/DD/YYYY),Time (HH:MM),GHI (W/m^2),DNI (W/m^2),DHI (W/m^2),Dry-bulb (C),"
    "Dew-point (C),RHum (%),Pressure (mbar),Wspd (m/s)\n"
)


@functools.cache
def weather() -> pd.DataFrame:
    """Return a year at Fukuoka by local standard time; the index is the start of each hour."""
    local = pd.date_range("2001-01-01", periods=8760, freq="1h", tz="Asia/Tokyo")
    middle = local + pd.Timedelta(minutes=30)
    sun = pvlib.solarposition.get_solarposition(middle, 33.58, 130.38)
    height = np.maximum(np.sin(np.radians(sun["elevation"].to_numpy(float))), 0.0)
    days = np.arange(8760) / 24
    temp = 16 - 11 * np.cos(2 * np.pi * (days - 25) / 365) + 3 * np.sin(2 * np.pi * (days - 0.4))
    dew = temp - 4 - 2 * np.sin(days)
    humidity = np.exp(17.62 * dew / (243.12 + dew)) / np.exp(17.62 * temp / (243.12 + temp))
    dni = np.where(height > 0.02, 700.0, 0.0)
    frame = {
        "temp": temp.round(1),
        "dew": dew.round(1),
        "humidity": (100 * humidity).round(),
        "ghi": (dni * height + 90 * height).round(),
        "dni": dni,
        "dhi": (90 * height).round(),
        "wind": (3 + 2 * np.sin(days * 7)).round(1),
        "pressure": (1013 + 8 * np.sin(days)).round(),
    }
    return pd.DataFrame(frame, index=local)


@functools.cache
def epw() -> str:
    lines = []
    rows: Any = weather().itertuples()
    for i, row in enumerate(rows):
        start = row.Index
        year = 1990 + start.month
        lines.append(
            f"{year},{start.month},{start.day},{i % 24 + 1},60,?9?9?9,{row.temp},{row.dew},"
            f"{row.humidity:.0f},{row.pressure * 100:.0f},0,0,300,{row.ghi:.0f},{row.dni:.0f},"
            f"{row.dhi:.0f},0,0,0,0,180,{row.wind},5,5,20.0,77777,9,999999999,20,0.1,0,88,0.2,0.0,"
            "1.0"
        )
    return (EPW_HEAD + "\n".join(lines) + "\n").replace("\n", "\r\n")


@functools.cache
def tmy3() -> str:
    lines = []
    rows: Any = weather().itertuples()
    for i, row in enumerate(rows):
        start = row.Index
        lines.append(
            f"{start:%m/%d}/{1990 + start.month},{i % 24 + 1:02d}:00,{row.ghi:.0f},{row.dni:.0f},"
            f"{row.dhi:.0f},{row.temp},{row.dew},{row.humidity:.0f},{row.pressure:.0f},{row.wind}"
        )
    return TMY3_HEAD + "\n".join(lines) + "\n"


@pytest.mark.parametrize("text", [epw(), tmy3()])
def test_hour_is_labelled_by_its_end_and_the_year_is_nominal(read_market: Any, text: str) -> None:
    (table,) = read_market(FORMATS, "x", text)

    assert (table.dataset, len(table)) == ("weather-tmy-478070", 8760)
    assert table.starts[0] == pd.Timestamp("1901-01-01T00:00+09:00")
    assert table.end == pd.Timestamp("1902-01-01T00:00+09:00")
    expected = weather()
    np.testing.assert_allclose(table.column("outdoor_temp_c@478070"), expected["temp"])
    np.testing.assert_allclose(table.column("ghi_w_per_m2@478070"), expected["ghi"])
    np.testing.assert_allclose(table.column("pressure_pa@478070"), expected["pressure"] * 100)
    np.testing.assert_allclose(
        table.column("relative_humidity_frac@478070"), expected["humidity"] / 100
    )


@pytest.mark.parametrize(("year", "gap_h"), [(2023, 1), (2024, 25)])
def test_typical_year_is_put_into_a_year(read_market: Any, year: int, gap_h: int) -> None:
    (table,) = read_market(FORMATS, "x", epw(), area="Kyushu")

    placed = typical_year(table, year)

    assert placed.dataset == f"weather-tmy-478070-{year}"
    assert placed.starts[0] == pd.Timestamp(f"{year}-01-01T00:00+09:00")
    assert placed.end == pd.Timestamp(f"{year + 1}-01-01T00:00+09:00")
    march = placed.starts.get_loc(pd.Timestamp(f"{year}-03-01T00:00+09:00"))
    assert isinstance(march, int)
    assert placed.starts[march] - placed.starts[march - 1] == pd.Timedelta(hours=gap_h)
    assert (placed.column("outdoor_temp_c@kyushu") == table.column("outdoor_temp_c@kyushu")).all()
    with pytest.raises(DataError, match="no typical year as its reader returns it"):
        typical_year(placed.between(placed.starts[0], placed.starts[5]), 2023)


def test_missing_values_become_nan(read_market: Any) -> None:
    text = epw().replace(f",?9?9?9,{weather()['temp'].iloc[0]},", ",?9?9?9,99.9,", 1)

    (table,) = read_market(FORMATS, "x.epw", text)

    assert np.flatnonzero(table.frame["outdoor_temp_c@478070"].isna()).tolist() == [0]


def edit(text: str, column: int, change: Any) -> str:
    head, rows = text[: text.index("1991,")], text[text.index("1991,") :].split("\r\n")[:-1]
    cells = [row.split(",") for row in rows]
    values = [float(row[column]) for row in cells]
    for row, value in zip(cells, change(np.array(values)), strict=True):
        row[column] = f"{value:g}"
    return head + "\r\n".join(",".join(row) for row in cells) + "\r\n"


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        (edit(epw(), 13, lambda v: np.roll(v, 3)), DataError, "the sun shines at night"),
        (edit(epw(), 13, lambda v: v / 10), DataError, "brightest hour|add up"),
        (edit(epw(), 6, lambda v: v / 10), DataError, "dew points lie above|humidity"),
        (edit(epw(), 6, lambda v: v * 9 / 5 + 32), DataError, "humidity does not fit"),
        (edit(epw(), 8, lambda v: v / 10), DataError, "humidity does not fit"),
        (edit(epw(), 9, lambda v: v / 100), DataError, "not that of 3 m altitude"),
        (edit(epw(), 21, lambda v: v * 10), DataError, "the wind is too"),
        (edit(epw(), 14, lambda v: v * 0), DataError, "do not add up"),
        (epw().replace("1992,2,1,1,60", "1992,2,1,2,60", 1), TimeGridError, "2/1 hour 1 is due"),
        (epw()[: epw().index("1999,9,1,1,60")], TimeGridError, "this file 5832"),
        (epw().replace("SAVINGS,No,0,0", "SAVINGS,No,4/1,10/1"), FileFormatError, "line 5"),
        (epw().replace("PERIODS,1,1,", "PERIODS,1,4,"), FileFormatError, "line 8"),
        (epw().replace("33.58,130.38,9.0", "33.58,130.38,-9.0"), FileFormatError, "line 1"),
        (epw().replace("COMMENTS 1", "COMMENT"), FileFormatError, "line 6: COMMENTS1"),
        (tmy3().replace(",24:00,", ",00:00,"), DataError, "01:00 to 24:00"),
        (tmy3().replace("Dry-bulb (C)", "Dry-bulb (F)"), FileFormatError, "Dry-bulb.C. is missing"),
    ],
)
def test_damage_is_named(read_market: Any, text: str, error: type[DataError], message: str) -> None:
    with pytest.raises(error, match=message):
        read_market(FORMATS, "x", text)


def test_file_that_pvlib_ships_reads_as_pvlib_reads_it(read_market: Any) -> None:
    path = Path(pvlib.__file__).parent / "data" / "723170TYA.CSV"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected, _ = pvlib.iotools.read_tmy3(path, map_variables=True)

    (table,) = read_market(FORMATS, path.name, path.read_bytes())

    assert table.starts[0] == pd.Timestamp("1901-01-01T00:00-05:00")
    for quantity, name, factor in (
        ("outdoor_temp_c", "temp_air", 1.0),
        ("dew_point_c", "temp_dew", 1.0),
        ("ghi_w_per_m2", "ghi", 1.0),
        ("dni_w_per_m2", "dni", 1.0),
        ("wind_speed_m_per_s", "wind_speed", 1.0),
        ("pressure_pa", "pressure", 100.0),
    ):
        values = expected[name].to_numpy(float) * factor
        np.testing.assert_allclose(table.column(f"{quantity}@723170"), values, rtol=1e-12)

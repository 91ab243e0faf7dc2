"""Open-Meteo: zones, units, nulls, and irradiance of the hour before."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gridhash.data.import_files import import_files
from gridhash.data.readers.open_meteo import FORMATS
from gridhash.data.store.store import Store
from gridhash.errors import DataError, FileFormatError, TimeGridError


def answer(
    *, first: str = "2024-07-01T00:00", n: int = 48, zone: str = "GMT", offset_s: int = 0
) -> dict[str, Any]:
    """Return temperature around 28.3 °C and a dew point that follows it."""
    start = datetime.fromisoformat(first)
    times = [f"{start + timedelta(hours=k):%Y-%m-%dT%H:%M}" for k in range(n)]
    temps = [round(28.3 + 3.1 * float(np.sin(k / 4)), 1) for k in range(n)]
    return {
        "latitude": 33.6,
        "longitude": 130.375,
        "generationtime_ms": 0.2,
        "utc_offset_seconds": offset_s,
        "timezone": zone,
        "timezone_abbreviation": zone,
        "elevation": 5.0,
        "hourly_units": {"time": "iso8601", "temperature_2m": "°C", "dew_point_2m": "°C"},
        "hourly": {
            "time": times,
            "temperature_2m": temps,
            "dew_point_2m": [round(temp - 4.2, 1) for temp in temps],
        },
    }


def test_temperature_at_a_place(read_market: Any) -> None:
    (table,) = read_market(FORMATS, "x.json", json.dumps(answer()))

    assert (table.dataset, table.period_s) == ("open-meteo-33.6-130.375", 3600)
    assert table.columns == ["outdoor_temp_c@33.6,130.375", "dew_point_c@33.6,130.375"]
    assert table.starts[0] == pd.Timestamp("2024-07-01T00:00Z")
    assert table.frame.iloc[0].tolist() == pytest.approx([28.3, 24.1])
    known = table.available_at["outdoor_temp_c@33.6,130.375"]
    assert (known == table.starts + pd.Timedelta(hours=1)).all()


def test_times_are_of_the_zone(read_market: Any) -> None:
    content = answer(zone="Asia/Tokyo", offset_s=32400)

    (table,) = read_market(FORMATS, "x.json", json.dumps(content), area="Kyushu")

    assert table.starts[0] == pd.Timestamp("2024-07-01T00:00+09:00")
    assert table.areas == ["kyushu"]


def test_null_is_a_missing_value(read_market: Any) -> None:
    content = answer()
    content["hourly"]["temperature_2m"][5] = None

    (table,) = read_market(FORMATS, "x.json", json.dumps(content))

    assert np.flatnonzero(table.frame.iloc[:, 0].isna()).tolist() == [5]


def with_variable(name: str, unit: Any, values: list[Any]) -> dict[str, Any]:
    content = answer()
    content["hourly_units"][name] = unit
    content["hourly"][name] = values
    return content


def test_irradiance_is_of_the_hour_before_its_time(read_market: Any) -> None:
    content = with_variable("shortwave_radiation", "W/m²", [float(k) for k in range(48)])

    now, before = read_market(FORMATS, "x.json", json.dumps(content))

    assert now.dataset == before.dataset
    assert now.columns == ["outdoor_temp_c@33.6,130.375", "dew_point_c@33.6,130.375"]
    assert before.columns == ["ghi_w_per_m2@33.6,130.375"]
    assert now.starts[0] == pd.Timestamp("2024-07-01T00:00Z")
    assert before.starts[0] == pd.Timestamp("2024-06-30T23:00Z")
    assert before.column("ghi_w_per_m2@33.6,130.375").tolist() == [float(k) for k in range(48)]
    assert not now.frame.isna().any(axis=None)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_files_of_adjacent_days_join_without_loss(
    read_market: Any, tmp_path: Path, order: tuple[int, int]
) -> None:
    answers = [answer(first=first) for first in ("2024-07-01T00:00", "2024-07-03T00:00")]
    for i, content in enumerate(answers):
        content["hourly_units"]["shortwave_radiation"] = "W/m²"
        content["hourly"]["shortwave_radiation"] = [float(48 * i + k) for k in range(48)]
    paths = [tmp_path / f"{i}.json" for i in (0, 1)]
    for path, content in zip(paths, answers, strict=True):
        path.write_text(json.dumps(content), "utf-8")
    store = Store(tmp_path / "store")

    done = import_files(
        [paths[i] for i in order], store=store, now=datetime(2026, 1, 1, tzinfo=UTC)
    )

    assert [one.error for one in done] == ["", ""]
    table = store.read("open-meteo-33.6-130.375")
    assert (table.starts[0], len(table)) == (pd.Timestamp("2024-06-30T23:00Z"), 97)
    temps = [temp for content in answers for temp in content["hourly"]["temperature_2m"]]
    assert table.column("outdoor_temp_c@33.6,130.375")[1:].tolist() == temps
    assert table.column("ghi_w_per_m2@33.6,130.375")[:-1].tolist() == [float(k) for k in range(96)]
    for known in table.available_at.values():
        assert (known == table.starts + pd.Timedelta(hours=1)).all()


@pytest.mark.parametrize(
    ("name", "unit", "value", "column", "expected"),
    [
        ("wind_speed_10m", "km/h", 36.1, "wind_speed_m_per_s", 36.1 / 3.6),
        ("windspeed_10m", "m/s", 3.25, "wind_speed_m_per_s", 3.25),
        ("relative_humidity_2m", "%", 61, "relative_humidity_frac", 0.61),
        ("surface_pressure", "hPa", 1013.2, "pressure_pa", 101320.0),
    ],
)
def test_units_are_converted(
    read_market: Any, name: str, unit: str, value: float, column: str, expected: float
) -> None:
    content = with_variable(name, unit, [value] * 48)

    (table,) = read_market(FORMATS, "x.json", json.dumps(content))

    assert table.column(f"{column}@33.6,130.375")[0] == pytest.approx(expected)


def test_fahrenheit_is_converted_where_the_unit_says_so(read_market: Any) -> None:
    content = answer()
    content["hourly_units"]["temperature_2m"] = "°F"
    content["hourly"]["temperature_2m"] = [86.1 + k / 10 for k in range(48)]

    (table,) = read_market(FORMATS, "x.json", json.dumps(content))

    assert table.frame.iloc[0, 0] == pytest.approx((86.1 - 32) / 1.8)


def changed(*path: Any, value: Any) -> dict[str, Any]:
    content = answer()
    node = content
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    return content


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        (changed("hourly_units", "temperature_2m", value="K"), FileFormatError, "in 'K'"),
        (changed("hourly_units", "time", value="unixtime"), FileFormatError, "unixtime"),
        (changed("hourly", "temperature_2m", 3, value="28.3"), FileFormatError, "not a number"),
        (changed("hourly", "temperature_2m", 3, value=True), FileFormatError, "not a number"),
        (changed("hourly", "temperature_2m", 3, value=283.0), DataError, "outside -60 … 60"),
        (changed("hourly", "temperature_2m", 3, value=2.831), DataError, "steps of 0.1 °C"),
        (changed("hourly", "dew_point_2m", 3, value=39.9), DataError, "above the temperature"),
        (changed("hourly", "time", 3, value="2024-07-01T02:00"), TimeGridError, r"time\[3\]"),
        (changed("hourly", "time", 3, value="2024-07-01T03:00Z"), DataError, "no time like"),
        (changed("hourly", "time", 3, value="2024-07-32T03:00"), DataError, "no time like"),
        (changed("hourly", "time", value=[]), FileFormatError, "no list of times"),
        (changed("latitude", value=336.0), FileFormatError, "no place on Earth"),
        (changed("timezone", value="Mars/Olympus"), FileFormatError, "unknown timezone"),
        (changed("timezone", value="Asia/Tokyo"), TimeGridError, "not 0 s from UTC"),
        (changed("utc_offset_seconds", value="0"), FileFormatError, "no offset"),
        (with_variable("weather_code", "wmo code", [0] * 48), FileFormatError, "weather_code is"),
        (with_variable("wind_speed_10m", "km/h", [3.6] * 47), FileFormatError, "needs 48 values"),
        (
            answer(first="2024-10-26T00:00", zone="Europe/Berlin", offset_s=7200),
            TimeGridError,
            "ask with timezone=GMT",
        ),
    ],
)
def test_damage_is_named(
    read_market: Any, content: dict[str, Any], error: type[DataError], message: str
) -> None:
    with pytest.raises(error, match=message):
        read_market(FORMATS, "x.json", json.dumps(content))


@pytest.mark.parametrize("factor", [10, 1000, 0.1, 0.001])
def test_changed_unit_of_a_column_is_refused(read_market: Any, factor: float) -> None:
    content = answer()
    temps = content["hourly"]["temperature_2m"]
    content["hourly"]["temperature_2m"] = [round(temp * factor, 9) for temp in temps]

    with pytest.raises(DataError):
        read_market(FORMATS, "x.json", json.dumps(content))


def test_cut_off_answer_is_refused(read_market: Any) -> None:
    text = json.dumps(answer())
    for at in range(1, len(text) - 1, 13):
        with pytest.raises(DataError):
            read_market(FORMATS, "x.json", text[:at])

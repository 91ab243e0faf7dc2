"""Forecasts of an area: both layouts, the instant from which they are known, and damage."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gridhash.data.readers.area_forecast import FORMATS, sign
from gridhash.data.readers.formats import ReadOptions
from gridhash.data.readers.source_file import SourceFile
from gridhash.data.source_table import SourceTable
from gridhash.data.store.store import Store
from gridhash.errors import DataError, FileFormatError, TimeGridError
from tests.data.readers.area_damage import CELL_DAMAGES, byte_damage, outcome, scale_all
from tests.data.readers.area_files import AreaFile, expected

FORMAT = FORMATS[0]
KYUSHU_HEAD = [
    "ファイル更新日,ファイル更新時間,対象年月日",
    "20250407,22:50:00,20250407",
    "日付,時間コマ,時間帯＿自,時間帯＿至,エリア総需要量,エリア総発電量,エリア風力・太陽光発電量",
    "-,-,-,-,ｋＷｈ,ｋＷｈ,ｋＷｈ",
]
TOKYO_HEAD = [
    "ファイル更新日(yyyymmdd),ファイル更新時間(HH:MI:SS),対象年月日(yyyymmdd)",
    "20250406,18:55:13,20250407",
    "日付(yyyymmdd),時間コマ(1時～48時),時間帯_自(HH:MI),時間帯_至(HH:MI),エリア総需要量[30分kWh],"
    "エリア総発電量[30分kWh],エリア風力・太陽光発電量[30分kWh]",
]


def forecast_file(folder: Path, area: str, seed: int = 1) -> AreaFile:
    rng = np.random.default_rng(seed)
    scale = 2 if area == "kyushu" else 6
    demand = 500 * rng.integers(4000 * scale, 4400 * scale, 48)
    values = {
        "demand_forecast_kw": demand,
        "generation_forecast_kw": demand + 50 * rng.integers(-5000, 5000, 48),
        "wind_solar_forecast_kw": 20_000 + rng.integers(800_000, 900_000, 48),
    }
    kyushu = area == "kyushu"
    rows = []
    for slot in range(48):
        clocks = [f"{30 * k // 60}:{30 * k % 60:02d}" for k in (slot, slot + 1)]
        if not kyushu:
            clocks = [clock.zfill(5).replace(":", "") for clock in clocks]
        rows.append(["20250407", str(slot + 1), *clocks, *(str(v[slot]) for v in values.values())])
    truth = expected(area, values, date(2025, 4, 7), 48) * 0.002
    name = "21110_TSO9_0_20250407.csv" if kyushu else "AREA_YOSOKU.csv"
    head = KYUSHU_HEAD if kyushu else TOKYO_HEAD
    return AreaFile(folder, name, list(head), rows, line_end="\n", truth=truth)


def read(file: AreaFile | Path, area: str | None = None) -> SourceTable:
    source = SourceFile.load(file.write() if isinstance(file, AreaFile) else file)
    assert sign(source) is not None
    (table,) = FORMAT.read(source, ReadOptions(area=area))
    return table


@pytest.mark.parametrize(
    ("area", "dataset", "updated"),
    [
        ("kyushu", "area-forecast-kyushu", "2025-04-07T22:50:00+09:00"),
        ("tokyo", "area-forecast-day-ahead-tokyo", "2025-04-06T18:55:13+09:00"),
    ],
)
def test_forecast_comes_back_as_mean_power_known_from_its_update(
    tmp_path: Path, area: str, dataset: str, updated: str
) -> None:
    file = forecast_file(tmp_path, area)

    table = read(file, area)

    assert (table.dataset, table.period_s, len(table)) == (dataset, 1800, 48)
    pd.testing.assert_frame_equal(
        table.frame, file.truth, check_freq=False, check_names=False, check_index_type=False
    )
    for known in table.available_at.values():
        assert set(known) == {pd.Timestamp(updated)}


@pytest.mark.parametrize(
    ("updated", "dataset"),
    [
        ("20250406,23:59:59", "area-forecast-day-ahead-kyushu"),
        ("20250407,00:00:00", "area-forecast-kyushu"),
        ("20250408,00:10:00", "area-forecast-kyushu"),
    ],
)
def test_issue_of_the_evening_before_is_day_ahead(
    tmp_path: Path, updated: str, dataset: str
) -> None:
    file = forecast_file(tmp_path, "kyushu")
    file.head[1] = f"{updated},20250407"

    assert read(file).dataset == dataset


def test_both_issues_of_a_day_are_kept(tmp_path: Path) -> None:
    store, now = Store(tmp_path / "store"), datetime(2026, 1, 1, tzinfo=UTC)
    evening = forecast_file(tmp_path, "tokyo", seed=1)
    later = forecast_file(tmp_path, "tokyo", seed=2)
    later.head[1] = "20250407,19:44:07,20250407"
    tables = [read(file, "tokyo") for file in (evening, later)]

    for table in tables:
        store.append(table, imported_at=now)

    for table in tables:
        assert store.read(table.dataset).frame.equals(table.frame)


def test_name_without_an_area_asks_for_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="--area"):
        read(forecast_file(tmp_path, "tokyo"))


def test_area_that_the_name_contradicts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="TSO in the file name says kyushu"):
        read(forecast_file(tmp_path, "kyushu"), "tokyo")


def test_area_of_another_size_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="implausible for shikoku"):
        read(forecast_file(tmp_path, "tokyo"), "shikoku")


def _set_meta(text: str) -> Any:
    return lambda file: file.head.__setitem__(1, text)


def _set_unit(text: str) -> Any:
    return lambda file: file.head.__setitem__(3, text)


def _set_cell(row: int, at: int, text: str) -> Any:
    return lambda file: file.rows[row].__setitem__(at, text)


@pytest.mark.parametrize(
    ("damage", "error", "expected_text"),
    [
        (_set_meta("20250407,25:00:00,20250407"), FileFormatError, "not date, time and target"),
        (_set_meta("2025/4/7,22:50:00,20250407"), FileFormatError, "not date, time and target"),
        (_set_meta("20250407,22:50:00"), FileFormatError, "not date, time and target"),
        (_set_meta("20240407,22:50:00,20250407"), TimeGridError, "365 days ahead"),
        (_set_meta("20250417,22:50:00,20250407"), TimeGridError, "-10 days ahead"),
        (_set_meta("20250407,22:50:00,20250408"), TimeGridError, "is for 2025-04-08"),
        (_set_unit("-,-,-,-,MWh,MWh,MWh"), FileFormatError, "units must be kWh"),
        (
            lambda file: [row.__setitem__(0, "99991231") for row in file.rows],
            TimeGridError,
            "dates from 9999",
        ),
        (_set_cell(5, 2, "3:00"), TimeGridError, "does not fit slot 6"),
        (_set_cell(5, 3, "2:30"), TimeGridError, "does not fit slot 6"),
        (_set_cell(5, 1, "7"), TimeGridError, "has the time of the line above|missing"),
        (_set_cell(5, 0, "20250408"), TimeGridError, "missing after"),
        (_set_cell(5, 4, "430000"), DataError, "line 10.*far from the rows"),
        (_set_cell(5, 6, "82000"), DataError, "line 10.*far from the rows"),
        (_set_cell(5, 6, "99999999"), DataError, "part of the generation"),
        (lambda file: file.rows.pop(), TimeGridError, "missing after it"),
    ],
)
def test_damage_is_named(tmp_path: Path, damage: Any, error: Any, expected_text: str) -> None:
    file = forecast_file(tmp_path, "kyushu")
    damage(file)

    with pytest.raises(error, match=expected_text):
        read(file)


def test_name_for_another_day_is_refused(tmp_path: Path) -> None:
    file = forecast_file(tmp_path, "kyushu")
    file.name = "21110_TSO9_0_20250408.csv"

    with pytest.raises(TimeGridError, match="file name says 20250408, the file 20250407"):
        read(file)


def test_every_unit_times_a_power_of_ten_is_refused(tmp_path: Path) -> None:
    for seed in range(8):
        file = forecast_file(tmp_path, "tokyo", seed)
        scale_all(file, np.random.default_rng(seed))
        assert outcome(FORMAT, file, area="tokyo").startswith("error")


@pytest.mark.parametrize("damage", CELL_DAMAGES, ids=lambda damage: damage.__name__)
def test_damage_is_one_error_or_does_no_harm(tmp_path: Path, damage: Any) -> None:
    rng = np.random.default_rng(len(damage.__name__))
    for area in ("kyushu", "tokyo"):
        for seed in range(4):
            file = forecast_file(tmp_path, area, seed)
            damage(file, rng)
            found = outcome(FORMAT, file, area=area)
            assert not found.startswith("WRONG"), f"{area} {seed}: {found}"


def test_damaged_bytes_are_one_error_or_do_no_harm(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    file = forecast_file(tmp_path, "kyushu")
    content = file.write().read_bytes()
    for _ in range(60):
        found = outcome(FORMAT, file, byte_damage(content, rng))
        assert not found.startswith("WRONG"), found


@pytest.mark.parametrize(
    ("name", "area", "day", "updated", "first_kw", "last_kw"),
    [
        (
            "21110_TSO9_0_20250407.csv",
            None,
            "2025-04-07",
            "2025-04-07T22:50:00+09:00",
            [7_316_000, 8_064_000, 54_692],
            [7_936_000, 8_643_000, 40_068],
        ),
        (
            "AREA_YOSOKU.csv",
            "tokyo",
            "2025-04-16",
            "2025-04-16T19:44:07+09:00",
            [24_076_000, 20_112_000, 272_938],
            [25_068_000, 20_783_000, 266_332],
        ),
        (
            "AREA_ONCE_YOSOKU.csv",
            "tokyo",
            "2025-04-17",
            "2025-04-16T18:55:13+09:00",
            [23_827_000, 19_906_900, 241_132],
            [24_368_000, 19_823_700, 148_326],
        ),
    ],
)
def test_real_file_reads(
    reference_data: Path,
    name: str,
    area: str | None,
    day: str,
    updated: str,
    first_kw: list[int],
    last_kw: list[int],
) -> None:
    table = read(reference_data / "formats" / name, area)

    midnight = pd.Timestamp(day, tz="Asia/Tokyo")
    assert (table.starts[0], table.end) == (midnight, midnight + timedelta(days=1))
    assert table.frame.iloc[0].tolist() == first_kw
    assert table.frame.iloc[-1].tolist() == last_kw
    assert table.available_at[table.columns[0]][0] == pd.Timestamp(updated)

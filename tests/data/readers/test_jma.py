"""Hourly files of the Meteorological Agency: header, quality, labels, and damage."""

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridhash.data.readers.formats import ReadOptions
from gridhash.data.readers.jma import FORMATS, sign
from gridhash.data.readers.source_file import SourceFile
from gridhash.data.source_table import SourceTable
from gridhash.errors import DataError, FileFormatError, TimeGridError
from tests.data.readers.area_damage import byte_damage

FORMAT = FORMATS[0]
DOWNLOADED = "ダウンロードした時刻：2025/10/08 12:19:10"
ONE = ["", ",府中,府中,府中", "年月日時,気温(℃),気温(℃),気温(℃)", ",,品質情報,均質番号"]
MANY = [
    "",
    "," + ",".join(["福岡"] * 17 + ["熊本"] * 3),
    "年月日時,降水量(mm),降水量(mm),降水量(mm),降水量(mm),気温(℃),気温(℃),気温(℃),"
    "風速(m/s),風速(m/s),風速(m/s),風速(m/s),風速(m/s),相対湿度(％),相対湿度(％),"
    "露点温度(℃),露点温度(℃),現地気圧(hPa),気温(℃),気温(℃),気温(℃)",
    ",,,,,,,,,,風向,風向,,,,,,,,,",
    ",,現象なし情報,品質情報,均質番号,,品質情報,均質番号,,品質情報,,品質情報,均質番号,"
    ",品質情報,,品質情報,,,品質情報,均質番号",
]


def rows_of(n_hours: int, first: date = date(2025, 9, 2)) -> list[list[str]]:
    rows = []
    for hour in range(1, n_hours + 1):
        day = first + timedelta(days=hour // 24)
        celsius = f"{20 + 0.1 * hour:.1f}"
        rows.append([f"{day.year}/{day.month}/{day.day} {hour % 24}:00:00", celsius, "8", "1"])
    return rows


def write(folder: Path, head: list[str], rows: list[list[str]], first: str = DOWNLOADED) -> Path:
    path = folder / "data.csv"
    lines = [first, *head, *(",".join(row) for row in rows)]
    path.write_bytes(("\r\n".join(lines) + "\r\n").encode("cp932"))
    return path


def read(path: Path, station: str | None = None) -> tuple[SourceTable, ...]:
    source = SourceFile.load(path)
    assert sign(source) is not None
    return FORMAT.read(source, ReadOptions(area=station))


def test_hour_is_labelled_by_its_end(tmp_path: Path) -> None:
    (table,) = read(write(tmp_path, ONE, rows_of(48)))

    assert (table.dataset, table.period_s, table.columns) == (
        "jma-府中",
        3600,
        ["outdoor_temp_c@府中"],
    )
    assert table.starts[0] == pd.Timestamp("2025-09-02T00:00+09:00")
    assert table.end == pd.Timestamp("2025-09-04T00:00+09:00")
    assert table.column("outdoor_temp_c@府中") == pytest.approx(20.1 + 0.1 * np.arange(48))


def test_value_is_known_a_quarter_of_an_hour_after_its_label(tmp_path: Path) -> None:
    (table,) = read(write(tmp_path, ONE, rows_of(24)))

    known = table.available_at["outdoor_temp_c@府中"]
    assert known[0] == pd.Timestamp("2025-09-02T01:15+09:00")


def test_midnight_written_as_24_reads_the_same(tmp_path: Path) -> None:
    rows = rows_of(24)
    rows[23][0] = "2025/9/2 24:00:00"

    (table,) = read(write(tmp_path, ONE, rows))

    assert table.end == pd.Timestamp("2025-09-03T00:00+09:00")


def test_label_without_seconds_reads_too(tmp_path: Path) -> None:
    rows = [[row[0].removesuffix(":00"), *row[1:]] for row in rows_of(24)]

    assert len(read(write(tmp_path, ONE, rows))[0]) == 24


@pytest.mark.parametrize(("quality", "kept"), [(q, q in "85") for q in "854210"])
def test_only_normal_and_nearly_normal_values_are_kept(
    tmp_path: Path, quality: str, kept: bool
) -> None:
    rows = rows_of(24)
    rows[3][2] = quality

    (table,) = read(write(tmp_path, ONE, rows))

    assert np.isnan(table.column("outdoor_temp_c@府中")).tolist() == [
        i == 3 and not kept for i in range(24)
    ]


def test_missing_value_is_blank_with_quality_1(tmp_path: Path) -> None:
    rows = rows_of(24)
    rows[5][1:3] = ["", "1"]

    assert np.isnan(read(write(tmp_path, ONE, rows))[0].column("outdoor_temp_c@府中")[5])


def test_columns_of_several_stations_and_elements(tmp_path: Path) -> None:
    middle = "0,1,8,1,{},8,1,3.9,8,北北西,8,1,98,8,{},8,1012.3,{},8,1"
    head = [line.replace("現地気圧(hPa)", "天気") for line in MANY]
    rows = [
        [row[0], *middle.format(row[1], f"{float(row[1]) - 2:.1f}", row[1]).split(",")]
        for row in rows_of(24)
    ]

    fukuoka, kumamoto = read(write(tmp_path, head, rows))

    assert (fukuoka.dataset, kumamoto.dataset) == ("jma-福岡", "jma-熊本")
    assert fukuoka.columns == [
        "outdoor_temp_c@福岡",
        "wind_speed_m_per_s@福岡",
        "relative_humidity_frac@福岡",
        "dew_point_c@福岡",
    ]
    assert fukuoka.frame.iloc[0].tolist() == pytest.approx([20.1, 3.9, 0.98, 18.1])
    assert kumamoto.column("outdoor_temp_c@熊本")[0] == pytest.approx(20.1)


def test_dew_point_above_the_temperature_is_refused(tmp_path: Path) -> None:
    head = [
        "",
        ",府中,府中,府中,府中",
        "年月日時,気温(℃),気温(℃),露点温度(℃),露点温度(℃)",
        ",,品質情報,,品質情報",
    ]
    rows = [[*row[:3], f"{float(row[1]) + 2:.1f}", "8"] for row in rows_of(24)]

    with pytest.raises(DataError, match=r"line 6: the dew point lies above"):
        read(write(tmp_path, head, rows))


def test_element_without_quality_is_refused(tmp_path: Path) -> None:
    head = ["", ",府中", "年月日時,気温(℃)"]

    with pytest.raises(FileFormatError, match="quality information"):
        read(write(tmp_path, head, [row[:2] for row in rows_of(24)]))
    cells = "0,1,8,1,9.9,8,1,3,8,北,8,1,98,8,1.0,8,0,9.9,8,1"
    with pytest.raises(FileFormatError, match=r"現地気圧\(hPa\) of 福岡 has no 品質情報"):
        read(write(tmp_path, MANY, [[row[0], cells] for row in rows_of(24)]))


def test_station_that_occurs_twice_is_refused(tmp_path: Path) -> None:
    head = ["", ONE[1] + ONE[1], ONE[2] + ",気温(℃),気温(℃),気温(℃)", ONE[3] + ONE[3]]

    with pytest.raises(FileFormatError, match=r"府中 has 気温.* twice"):
        read(write(tmp_path, head, [[*row, *row[1:]] for row in rows_of(24)]))


def test_daily_values_are_refused(tmp_path: Path) -> None:
    head = ["", ",府中,府中", "年月日,平均気温(℃),平均気温(℃)", ",,品質情報"]

    with pytest.raises(FileFormatError, match="the first column must be 年月日時"):
        read(write(tmp_path, head, [["2025/9/2", "23.4", "8"]]))


def test_station_asked_for_must_be_in_the_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no station 東京; found 府中"):
        read(write(tmp_path, ONE, rows_of(24)), "東京")


@pytest.mark.parametrize(
    ("damage", "error", "expected"),
    [
        (lambda rows: rows.pop(9), TimeGridError, r"line 15 \(2025-09-02 10:00\): 1 row"),
        (lambda rows: rows.insert(9, rows[9]), TimeGridError, "has the time of the line above"),
        (lambda rows: rows.pop(0), TimeGridError, "not the start of a day"),
        (lambda rows: rows[4].__setitem__(0, "2025/9/2 5:30:00"), TimeGridError, "full hour"),
        (lambda rows: rows[4].__setitem__(1, "2.3e1"), DataError, "line 10.*not a number"),
        (lambda rows: rows[4].__setitem__(1, "23.45"), DataError, "finer than .* 0.1"),
        (lambda rows: rows[4].__setitem__(1, ""), DataError, "though its quality is good"),
        (lambda rows: rows[4].__setitem__(1, "2.5"), DataError, "line 10.*far from the rows"),
        (lambda rows: rows[4].__setitem__(2, "7"), DataError, "not a quality"),
        (lambda rows: rows[4].__setitem__(1, "230.0"), DataError, "230.0.: far from the rows"),
        (lambda rows: [row.insert(1, row.pop(2)) for row in rows], DataError, "not a quality"),
        (
            lambda rows: [r.__setitem__(0, r[0].replace("2025", "2026")) for r in rows],
            TimeGridError,
            "lies after the download",
        ),
    ],
)
def test_damage_is_named(tmp_path: Path, damage: Any, error: Any, expected: str) -> None:
    rows = rows_of(24)
    damage(rows)

    with pytest.raises(error, match=expected):
        read(write(tmp_path, ONE, rows))


def test_temperatures_that_japan_does_not_have_are_refused(tmp_path: Path) -> None:
    rows = rows_of(24)
    for row in rows:
        row[1] = f"{float(row[1]) + 32:.1f}"

    with pytest.raises(DataError, match=r"52.1 °C is outside|is outside -45"):
        read(write(tmp_path, ONE, rows))


@pytest.mark.parametrize("factor", [10.0, 0.1])
def test_temperatures_in_another_unit_are_refused(tmp_path: Path, factor: float) -> None:
    rows = rows_of(48)
    for i, row in enumerate(rows):
        row[1] = f"{round(factor * (0.3 + 0.1 * (i % 30)), 2):g}"

    with pytest.raises(DataError, match=r"multiple of 1|finer than"):
        read(write(tmp_path, ONE, rows))


@settings(max_examples=30)
@given(
    low=st.integers(-350, 300),
    tenths=st.lists(st.integers(0, 100), min_size=24, max_size=72),
    first=st.dates(date(1952, 1, 1), date(2025, 9, 1)),
)
def test_random_temperatures_come_back_exactly(
    tmp_path_factory: pytest.TempPathFactory, low: int, tenths: list[int], first: date
) -> None:
    tenths = [low + value for value in tenths]
    rows = rows_of(len(tenths), first)
    for row, value in zip(rows, tenths, strict=True):
        row[1] = f"{value / 10:.1f}"
    if len(set(tenths)) >= 20 and all(value % 10 == 0 for value in tenths):
        rows[0][1] = "0.1"
        tenths[0] = 1

    (table,) = read(write(tmp_path_factory.mktemp("jma"), ONE, rows))

    assert table.column("outdoor_temp_c@府中").tolist() == [value / 10 for value in tenths]
    assert table.starts[0] == pd.Timestamp(first, tz="Asia/Tokyo")


def test_damaged_bytes_are_one_error_or_do_no_harm(tmp_path: Path) -> None:
    rng = np.random.default_rng(11)
    path = write(tmp_path, ONE, rows_of(48))
    content = path.read_bytes()
    (truth,) = read(path)
    n_errors = 0
    for _ in range(100):
        source = SourceFile(path, byte_damage(content, rng))
        try:
            tables = FORMAT.read(source, ReadOptions()) if sign(source) else ()
        except DataError as err:
            n_errors += path.name in str(err)
            continue
        for table in tables:
            there = truth.frame.loc[table.starts]
            np.testing.assert_array_equal(table.frame.to_numpy(), there.to_numpy())
    assert n_errors > 15


def test_quality_exchanged_with_homogeneity_in_the_header_is_refused(tmp_path: Path) -> None:
    head = [*ONE[:3], ",,均質番号,品質情報"]

    with pytest.raises(FileFormatError, match=r"均質番号 of .* stands before 品質情報"):
        read(write(tmp_path, head, rows_of(48)))

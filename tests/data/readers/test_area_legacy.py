"""The hourly files of nine areas: every layout and quirk, every real head, and damage."""

from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gridhash.data.readers.area_columns import AREAS
from gridhash.data.readers.area_legacy import FORMATS, sign
from gridhash.data.readers.formats import ReadOptions
from gridhash.data.readers.source_file import SourceFile
from gridhash.data.source_table import SourceTable
from gridhash.errors import DataError, FileFormatError, TimeGridError
from tests.data.readers.area_damage import CELL_DAMAGES, byte_damage, outcome
from tests.data.readers.area_files import (
    LEGACY_NAMES,
    AreaFile,
    legacy_file,
)
from tests.data.readers.area_workbooks import workbook, workbook_rows

FORMAT = FORMATS[0]
NINE = [area for area in AREAS if area != "okinawa"]


def read(file: AreaFile | Path, area: str | None = None) -> SourceTable:
    source = SourceFile.load(file.write() if isinstance(file, AreaFile) else file)
    assert sign(source) is not None
    (table,) = FORMAT.read(source, ReadOptions(area=area))
    return table


@pytest.mark.parametrize("area", NINE)
def test_file_of_each_area_comes_back_exactly(tmp_path: Path, area: str) -> None:
    file = legacy_file(tmp_path, area)

    table = read(file)

    assert (table.dataset, table.period_s) == (f"area-supply-hourly-{area}", 3600)
    assert table.starts[0] == pd.Timestamp("2023-04-01T00:00+09:00")
    pd.testing.assert_frame_equal(
        table.frame, file.truth, check_freq=False, check_names=False, check_index_type=False
    )


def test_value_is_known_an_hour_after_its_hour(tmp_path: Path) -> None:
    known = read(legacy_file(tmp_path, "kyushu")).available_at["demand_kw@kyushu"]

    assert known[0] == pd.Timestamp("2023-04-01T02:00+09:00")


def test_tokyos_ten_thousand_kwh_with_thousands_separator(tmp_path: Path) -> None:
    file = legacy_file(tmp_path, "tokyo")
    demand = file.rows[0][2]

    assert demand == f'"2,{demand[3:-1]}"'
    assert read(file).column("demand_kw@tokyo")[0] == int(demand[1] + demand[3:-1]) * 10_000


def test_tokyos_ragged_header_reads_too(tmp_path: Path) -> None:
    file = legacy_file(tmp_path, "tokyo")
    file.head = [line.rstrip(",") for line in file.head]

    assert len(read(file)) == 58


def test_hokkaidos_date_stands_in_the_first_row_of_a_day(tmp_path: Path) -> None:
    file = legacy_file(tmp_path, "hokkaido")
    assert [row[0] for row in file.rows[:25:24]] == ["2023/4/1", "2023/4/2"]
    file.rows[24][0] = ""

    with pytest.raises(TimeGridError, match=r"line 29 \(2023-04-01 00:00\): the row lies before"):
        read(file)


def test_tohokus_columns_have_their_own_order(tmp_path: Path) -> None:
    file = legacy_file(tmp_path, "tohoku")

    table = read(file)

    assert table.column("hydro_kw@tohoku")[0] == 1000.0 * int(file.rows[0][2])
    assert table.column("thermal_kw@tohoku")[0] == 1000.0 * int(file.rows[0][3])


def test_doubled_names_are_taken_by_place(tmp_path: Path) -> None:
    file = legacy_file(tmp_path, "kansai")
    row = file.rows[12]

    table = read(file)

    assert file.head[1].count("実績〔MWh〕") == 2
    for name, at in (("solar", 7), ("solar_curtailed", 8), ("wind", 9), ("wind_curtailed", 10)):
        assert table.column(f"{name}_kw@kansai")[12] == 1000.0 * int(row[at])


def test_dash_of_chugoku_is_no_value(tmp_path: Path) -> None:
    table = read(legacy_file(tmp_path, "chugoku"))

    assert np.isnan(table.column("wind_curtailed_kw@chugoku")).all()


def test_workbook_of_shikoku_reads_as_its_copy(tmp_path: Path) -> None:
    file = legacy_file(tmp_path, "shikoku")
    path = tmp_path / "jukyu2023.xlsx"
    path.write_bytes(workbook(workbook_rows(file)))

    pd.testing.assert_frame_equal(read(path).frame, read(file).frame)


def test_workbook_with_cells_finer_than_shown_reads(tmp_path: Path) -> None:
    rows: list[list[Any]] = workbook_rows(legacy_file(tmp_path, "shikoku"))
    for row in rows[5:]:
        row[2], row[5], row[-1] = (row[at] + 0.25 for at in (2, 5, -1))
    path = tmp_path / "jukyu2023.xlsx"
    path.write_bytes(workbook(rows))

    table = read(path)

    assert table.column("hydro_kw@shikoku")[0] == pytest.approx(10_000.0 * rows[5][5])


def test_damaged_workbook_is_not_recognised(tmp_path: Path) -> None:
    content = workbook(workbook_rows(legacy_file(tmp_path, "shikoku")))
    rng = np.random.default_rng(1)
    for _ in range(40):
        at = int(rng.integers(4, len(content)))
        damaged = content[:at] + bytes([content[at] ^ 0x55]) + content[at + 1 :]
        source = SourceFile(tmp_path / "jukyu2023.xlsx", damaged)
        if sign(source) is not None:
            (table,) = FORMAT.read(source, ReadOptions())
            assert len(table) == 58
    assert sign(SourceFile(tmp_path / "a.xlsx", b"PK\x03\x04" + b"x" * 50)) is None


def test_calendar_quarter_of_hokuriku_before_2018(tmp_path: Path) -> None:
    file = legacy_file(tmp_path, "hokuriku", first=date(2017, 1, 1))
    file.name = "area_jisseki_rikuden201701_03.csv"

    assert read(file).starts[0] == pd.Timestamp("2017-01-01T00:00+09:00")


def test_years_of_heisei_in_kyushus_names(tmp_path: Path) -> None:
    file = legacy_file(tmp_path, "kyushu", first=date(2017, 1, 1))
    file.name = "area_jyukyu_jisseki_H28_4Q.csv"

    assert len(read(file)) == 58


@pytest.mark.parametrize(
    ("area", "name"),
    [
        ("hokkaido", "sup_dem_results_2023_2q.csv"),
        ("tohoku", "juyo_2022_tohoku_1Q.csv"),
        ("tokyo", "area-2022.csv"),
        ("chubu", "2024_areabalance_current_term.csv"),
        ("hokuriku", "area_jisseki_rikuden202305.csv"),
        ("kansai", "area_jyukyu_jisseki_2022.csv"),
        ("kyushu", "area_jyukyu_jisseki_H30_1Q.csv"),
        ("chugoku", "kako-2024.csv"),
        ("shikoku", "jukyu2022.csv"),
    ],
)
def test_dates_outside_the_fiscal_year_of_the_name_are_refused(
    tmp_path: Path, area: str, name: str
) -> None:
    file = legacy_file(tmp_path, area)
    file.name = name

    with pytest.raises(TimeGridError, match="says another time"):
        read(file)


def test_kansai_and_kyushu_need_their_names_where_the_header_is_alike(tmp_path: Path) -> None:
    file = legacy_file(tmp_path, "kansai")
    file.name = "download.csv"

    with pytest.raises(DataError, match="--area"):
        read(file)
    assert read(file, "kansai").areas == ["kansai"]
    with pytest.raises(DataError, match="tokyo does not publish this layout"):
        read(file, "tokyo")


def test_name_of_another_area_is_refused(tmp_path: Path) -> None:
    file = legacy_file(tmp_path, "chubu")
    file.name = LEGACY_NAMES["tohoku"]

    with pytest.raises(DataError, match="file name is one of tohoku, the header one of chubu"):
        read(file)


def test_kyushus_newer_header_is_not_kansais(tmp_path: Path) -> None:
    file = legacy_file(tmp_path, "kyushu")
    file.name = "area_jyukyu_jisseki_2023.csv"

    with pytest.raises(DataError, match="one of kansai, the header one of kyushu"):
        read(file)


def test_export_counted_positive_does_not_balance(tmp_path: Path) -> None:
    file = legacy_file(tmp_path, "kyushu")
    for row in file.rows:
        row[-1] = str(-int(row[-1]))

    with pytest.raises(DataError, match=r"line 3, column demand_kw.*add up to"):
        read(file)


def test_blank_where_the_utility_gives_none_is_refused(tmp_path: Path) -> None:
    file = legacy_file(tmp_path, "kyushu")
    file.rows[7][5] = ""

    with pytest.raises(DataError, match="column geothermal_kw, value '': not a number"):
        read(file)


def test_rows_shifted_by_an_hour_are_found_by_the_sun(tmp_path: Path) -> None:
    file = legacy_file(tmp_path, "kansai", n_hours=24 * 20)
    values = [row[1:] for row in file.rows]
    for row, moved in zip(file.rows, values[1:] + values[:1], strict=True):
        row[1:] = moved

    with pytest.raises(DataError, match=r"sun is below|off solar noon"):
        read(file)


def test_header_alone_is_an_error(tmp_path: Path) -> None:
    file = legacy_file(tmp_path, "chugoku")
    file.rows.clear()

    with pytest.raises(FileFormatError, match="no rows below line 3"):
        read(file)


@pytest.mark.parametrize("damage", CELL_DAMAGES, ids=lambda damage: damage.__name__)
def test_damage_is_one_error_or_does_no_harm(tmp_path: Path, damage: Any) -> None:
    rng = np.random.default_rng(len(damage.__name__))
    for area in NINE:
        file = legacy_file(tmp_path, area)
        damage(file, rng)
        found = outcome(FORMAT, file)
        assert not found.startswith("WRONG"), f"{area}: {found}"


def test_damaged_bytes_are_one_error_or_do_no_harm(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    for area in ("hokkaido", "tokyo", "shikoku"):
        file = legacy_file(tmp_path, area)
        content = file.write().read_bytes()
        for _ in range(20):
            found = outcome(FORMAT, file, byte_damage(content, rng))
            assert not found.startswith("WRONG"), f"{area}: {found}"


@pytest.mark.parametrize(
    ("name", "area", "n_rows", "first_mw"),
    [
        ("area_jyukyu_jisseki_2016.csv", "kansai", 48, (12918, 10405, 1625)),
        ("juyo_2016_tohoku_1Q.csv", "tohoku", 48, (7887, 8072, -2200)),
        ("legacy_chubu_2023_areabalance_current_term.csv", "chubu", 55, (11570, 6843, 3020)),
        ("legacy_chugoku_eria_jyukyu.csv", "chugoku", 57, (5202, 4148, 494)),
        ("legacy_chugoku_kako-2020.csv", "chugoku", 57, (5282, 3977, 616)),
        ("legacy_hokkaido_sup_dem_results_2023_3q.csv", "hokkaido", 56, (2362, 1948, -291)),
        ("legacy_hokuriku_area_jisseki_rikuden202312.csv", "hokuriku", 54, (3105, 2648, -327)),
        ("legacy_kansai_area_jyukyu_jisseki_2023.csv", "kansai", 58, (11734, 6364, -823)),
        ("legacy_kyushu_area_jyukyu_jisseki_2023_3Q.csv", "kyushu", 58, (7625, 4123, -1564)),
        ("legacy_shikoku_jukyu2023.csv", "shikoku", 51, (2250, 1660, 120)),
        ("legacy_tohoku_juyo_2023_tohoku_3Q.txt", "tohoku", 59, (6289, 7626, -3078)),
        ("sup_dem_results_2016_1q.csv", "hokkaido", 48, (3166, 2573, 42)),
    ],
)
def test_real_head_reads(
    reference_data: Path, name: str, area: str, n_rows: int, first_mw: tuple[int, ...]
) -> None:
    table = read(reference_data / "formats" / name)

    assert (table.areas, len(table)) == ([area], n_rows)
    found = [table.column(f"{q}_kw@{area}")[0] for q in ("demand", "thermal", "interconnector")]
    assert found == [1000.0 * value for value in first_mw]


def test_real_head_of_kyushu_agrees_with_the_reference_series(reference_data: Path) -> None:
    series = pd.read_parquet(
        reference_data / "data" / "kyushu_joint_price_supply_carbon_hourly_2016-2023.parquet"
    )
    table = read(reference_data / "formats" / "legacy_kyushu_area_jyukyu_jisseki_2023_3Q.csv")

    there = series.loc[table.starts]
    for column in table.columns:
        expected = there[column.removesuffix("_kw@kyushu")].to_numpy(np.float64)
        np.testing.assert_array_equal(table.column(column), 1000.0 * expected)


def test_eight_real_years_of_kyushu_pass_every_check(reference_data: Path, tmp_path: Path) -> None:
    """The tolerances of balance, bounds and sun, on each quarter written in the old format."""
    series = pd.read_parquet(
        reference_data / "data" / "kyushu_joint_price_supply_carbon_hourly_2016-2023.parquet"
    )
    names = [
        "demand",
        "nuclear",
        "thermal",
        "hydro",
        "geothermal",
        "biomass",
        "solar",
        "solar_curtailed",
        "wind",
        "wind_curtailed",
        "pumped_hydro",
        "interconnector",
    ]
    times = pd.DatetimeIndex(series.index).tz_convert("Asia/Tokyo")
    local = series[names].round().astype(int).set_axis(times, axis=0)
    head = legacy_file(tmp_path, "kyushu").head
    # A fiscal year is the calendar year of the day three months before.
    quarters = (times.tz_localize(None) - pd.DateOffset(months=3)).to_period("Q")
    n_rows = 0
    for quarter in quarters.unique():
        rows = local[quarters == quarter]
        name = f"area_jyukyu_jisseki_{quarter.year}_{quarter.quarter}Q.csv"
        file = AreaFile(tmp_path, name, head, [])
        labels = [f"{t.year}/{t.month}/{t.day} {t.hour}:00" for t in times[quarters == quarter]]
        cells = rows.astype(str).to_numpy().tolist()
        file.rows = [[label, *row] for label, row in zip(labels, cells, strict=True)]
        n_rows += len(read(file))
    assert n_rows == len(series)

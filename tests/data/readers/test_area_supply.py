"""The 30-minute files of the ten areas: every quirk, every real head, and damage of every kind."""

from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gridhash.data.readers.area_columns import AREAS
from gridhash.data.readers.area_supply import FORMATS, sign
from gridhash.data.readers.formats import ReadOptions
from gridhash.data.readers.source_file import SourceFile
from gridhash.data.source_table import SourceTable
from gridhash.errors import DataError, FileFormatError, TimeGridError
from tests.data.readers.area_damage import CELL_DAMAGES, byte_damage, outcome
from tests.data.readers.area_files import AreaFile, supply_file

FORMAT = FORMATS[0]


def read(file: AreaFile | Path, area: str | None = None) -> SourceTable:
    source = SourceFile.load(file.write() if isinstance(file, AreaFile) else file)
    assert sign(source) is not None
    (table,) = FORMAT.read(source, ReadOptions(area=area))
    return table


@pytest.mark.parametrize("area", AREAS)
def test_file_of_each_area_comes_back_exactly(tmp_path: Path, area: str) -> None:
    file = supply_file(tmp_path, area)

    table = read(file)

    assert (table.dataset, table.period_s, len(table)) == (f"area-supply-{area}", 1800, 100)
    assert table.starts[0] == pd.Timestamp("2026-04-01T00:00+09:00")
    pd.testing.assert_frame_equal(
        table.frame, file.truth, check_freq=False, check_names=False, check_index_type=False
    )


def test_value_is_known_an_hour_after_its_period(tmp_path: Path) -> None:
    table = read(supply_file(tmp_path, "kyushu"))

    assert table.available_at["solar_kw@kyushu"][0] == pd.Timestamp("2026-04-01T01:30+09:00")


def test_kyushus_ends_of_periods_and_exports_are_turned(tmp_path: Path) -> None:
    file = supply_file(tmp_path, "kyushu")

    table = read(file)

    assert [row[1] for row in (file.rows[0], file.rows[47])] == ["0:30", "24:00"]
    assert file.rows[0][0] == file.rows[47][0] == "20260401"
    exchange_mw = int(file.rows[0][file.column("連系線")])
    assert table.column("interconnector_kw@kyushu")[0] == -1000.0 * exchange_mw


@pytest.mark.parametrize("area", ["kyushu", "tokyo"])
def test_sum_proves_a_sign_against_the_convention(tmp_path: Path, area: str) -> None:
    file = supply_file(tmp_path, area)
    for row in file.rows:
        row[file.column("連系線")] = str(-int(row[file.column("連系線")]))

    assert read(file).column(f"interconnector_kw@{area}").tolist() == (
        file.truth[f"interconnector_kw@{area}"].tolist()
    )


def test_sum_that_fits_neither_sign_names_the_row(tmp_path: Path) -> None:
    file = supply_file(tmp_path, "kyushu")
    file.rows[5][file.column("水力")] = "2000"

    with pytest.raises(DataError, match=r"line 8, column 合計.*2026-04-01 02:30.*add up to"):
        read(file)


@pytest.mark.parametrize(("area", "label"), [("kyushu", "0:00"), ("tokyo", "24:00")])
def test_label_of_the_other_kind_is_refused(tmp_path: Path, area: str, label: str) -> None:
    file = supply_file(tmp_path, area)
    file.rows[0 if area == "kyushu" else 47][1] = label

    with pytest.raises(TimeGridError, match=rf"'{label}'.*labels its half hours"):
        read(file)


def test_okinawas_seconds_read_as_well(tmp_path: Path) -> None:
    file = supply_file(tmp_path, "okinawa", first=date(2024, 12, 1))
    for row in file.rows:
        row[1] += ":00"

    assert read(file).starts[1] == pd.Timestamp("2024-12-01T00:30+09:00")


@pytest.mark.parametrize("value", ["", "0"])
def test_hokkaidos_padding_without_times_is_left_out(tmp_path: Path, value: str) -> None:
    file = supply_file(tmp_path, "hokkaido")
    file.rows += [["", "", *[value] * 20]] * 40

    assert len(read(file)) == 100


def test_row_without_a_time_but_with_values_is_refused(tmp_path: Path) -> None:
    file = supply_file(tmp_path, "hokkaido")
    file.rows[-1][:2] = ["", ""]

    with pytest.raises(DataError, match=r"line 102.*without a time"):
        read(file)


def test_shikokus_blanks_are_no_zeros(tmp_path: Path) -> None:
    file = supply_file(tmp_path, "shikoku")
    for row in file.rows:
        total = int(row[-1]) - int(row[file.column("地熱")]) - int(row[file.column("その他")])
        row[file.column("地熱")] = row[file.column("その他")] = ""
        row[2] = row[-1] = str(total)

    table = read(file)

    assert np.isnan(table.column("geothermal_kw@shikoku")).all()
    assert np.isnan(table.column("other_kw@shikoku")).all()
    assert not np.isnan(table.column("hydro_kw@shikoku")).any()


def test_running_day_ends_with_its_last_value(tmp_path: Path) -> None:
    file = supply_file(tmp_path, "tohoku", first=date(2026, 4, 15), n_slots=48)
    file.name = "realtime_jukyu_20260415_02.csv"
    for row in file.rows[43:]:
        row[2:] = [""] * len(row[2:])

    table = read(file)

    assert (len(table), table.end) == (43, pd.Timestamp("2026-04-15T21:30+09:00"))


def test_thermal_power_that_is_zero_throughout_is_not_given(tmp_path: Path) -> None:
    file = supply_file(tmp_path, "hokuriku", first=date(2024, 3, 1))
    for row in file.rows:
        row[4:8] = ["0"] * 4

    table = read(file)

    assert np.isnan(table.column("thermal_lng_kw@hokuriku")).all()
    assert table.column("supply_kw@hokuriku").tolist() == (
        file.truth["supply_kw@hokuriku"].tolist()
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("eria_jukyu_202605_03.csv", "the file name eria_jukyu_202605_03 says another time"),
        ("realtime_jukyu_20260402_03.csv", "says another time"),
        ("eria_jukyu_202604_11.csv", "area 11 of the file name"),
        ("eria_jukyu_202604_01.csv", "median demand .* which hokkaido cannot have"),
    ],
)
def test_name_that_does_not_fit_the_content_is_refused(
    tmp_path: Path, name: str, expected: str
) -> None:
    file = supply_file(tmp_path, "tokyo")
    if name.endswith("_01.csv"):
        for row in file.rows:
            row[1] = row[1].zfill(5)
    file.name = name

    with pytest.raises(DataError, match=expected):
        read(file)


def test_file_without_its_name_asks_for_the_area(tmp_path: Path) -> None:
    file = supply_file(tmp_path, "tokyo")
    file.name = "download.csv"

    with pytest.raises(DataError, match="--area, one of hokkaido"):
        read(file)
    assert read(file, "Tokyo").areas == ["tokyo"]


@pytest.mark.parametrize(
    ("area", "expected"), [("chubu", "03 in the file name says tokyo"), ("osaka", "unknown area")]
)
def test_area_that_disagrees_or_is_unknown_is_refused(
    tmp_path: Path, area: str, expected: str
) -> None:
    with pytest.raises(DataError, match=expected):
        read(supply_file(tmp_path, "tokyo"), area)


def test_demand_and_total_exchanged_are_found_by_the_sum(tmp_path: Path) -> None:
    file = supply_file(tmp_path, "kyushu")
    for row in file.rows:
        row[2], row[-1] = row[-1], str(int(row[-1]) + 6)

    with pytest.raises(DataError, match="exchanged"):
        read(file)


def test_columns_in_another_order_are_refused(tmp_path: Path) -> None:
    file = supply_file(tmp_path, "chubu")
    file.head[1] = file.head[1].replace("水力,地熱", "地熱,水力")

    with pytest.raises(FileFormatError, match="'地熱' stands where '水力' is expected"):
        read(file)


def test_rows_shifted_by_half_an_hour_are_found_by_the_sun(tmp_path: Path) -> None:
    file = supply_file(tmp_path, "tokyo", n_slots=30 * 48)
    values = [row[2:] for row in file.rows]
    for row, moved in zip(file.rows, values[1:] + values[:1], strict=True):
        row[2:] = moved

    with pytest.raises(DataError, match=r"sun is below the horizon|off solar noon"):
        read(file)


def test_solar_power_at_night_is_refused(tmp_path: Path) -> None:
    file = supply_file(tmp_path, "tokyo")
    for row in file.rows:
        solar, other = file.column("太陽光発電実績"), file.column("火力(その他)")
        row[solar], row[other] = row[other], row[solar]

    with pytest.raises(DataError, match="sun is below the horizon"):
        read(file)


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (lambda rows: rows.pop(9), r"line 12 \(2026-04-01 05:00\): 1 row\(s\) are missing"),
        (lambda rows: rows.insert(9, rows[9]), "has the time of the line above"),
        (lambda rows: rows.insert(2, rows.pop(9)), "missing after"),
        (lambda rows: rows.reverse(), "not the start of a day|lies before"),
        (lambda rows: rows.pop(0), "not the start of a day"),
    ],
)
def test_row_out_of_place_is_named(tmp_path: Path, damage: Any, expected: str) -> None:
    file = supply_file(tmp_path, "tokyo")
    damage(file.rows)

    with pytest.raises(TimeGridError, match=expected):
        read(file)


def test_file_cut_off_within_a_row_is_refused(tmp_path: Path) -> None:
    path = supply_file(tmp_path, "tokyo").write()
    path.write_bytes(path.read_bytes()[:-9])

    with pytest.raises(FileFormatError, match="cut off"):
        read(path)


@pytest.mark.parametrize("damage", CELL_DAMAGES, ids=lambda damage: damage.__name__)
def test_damage_is_one_error_or_does_no_harm(tmp_path: Path, damage: Any) -> None:
    rng = np.random.default_rng(len(damage.__name__))
    for area in ("hokkaido", "tokyo", "kyushu"):
        for seed in range(3):
            file = supply_file(tmp_path, area, seed=seed)
            damage(file, rng)
            found = outcome(FORMAT, file)
            assert not found.startswith("WRONG"), f"{area} {seed}: {found}"


def test_damaged_bytes_are_one_error_or_do_no_harm(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    file = supply_file(tmp_path, "kyushu")
    content = file.write().read_bytes()
    found = [outcome(FORMAT, file, byte_damage(content, rng)) for _ in range(80)]

    assert not [each for each in found if each.startswith("WRONG")]
    assert sum(each.startswith("error") for each in found) > 40


@pytest.mark.parametrize(
    ("name", "n_rows", "first"),
    [
        ("eria_jukyu_202604_01", 100, {"demand": 2930, "biomass_curtailed": 0, "battery": -5}),
        ("realtime_jukyu_20260415_02", 43, {"demand": 7224, "solar": -3, "interconnector": -1748}),
        ("eria_jukyu_202604_03", 100, {"demand": 23907, "thermal_lng": 9737, "supply": 23908}),
        ("eria_jukyu_202603_04", 100, {"demand": 10846, "pumped_hydro": 442}),
        ("eria_jukyu_202604_05", 100, {"demand": 2533, "other": 140, "thermal_curtailed": 0}),
        ("eria_jukyu_202604_06", 100, {"demand": 11575, "nuclear": 4610, "pumped_hydro": -725}),
        ("eria_jukyu_202604_07", 100, {"demand": 5201, "supply": 5202, "interconnector": -312}),
        ("eria_jukyu_202604_08", 100, {"demand": 2102, "nuclear": 880, "interconnector": -1386}),
        ("eria_jukyu_202604_09", 100, {"demand": 7838, "interconnector": -1716, "solar": 4}),
        ("eria_jukyu_202604_10", 100, {"demand": 714, "thermal_coal": 429, "interconnector": 0}),
    ],
)
def test_real_head_reads(
    reference_data: Path, name: str, n_rows: int, first: dict[str, int]
) -> None:
    table = read(reference_data / "formats" / f"{name}.csv")

    area = next(a.key for a in AREAS.values() if a.number == int(name[-2:]))
    assert (table.dataset, len(table)) == (f"area-supply-{area}", n_rows)
    assert table.starts[0].tz_convert("Asia/Tokyo").strftime("%Y%m%d%H%M")[6:] in (
        "010000",
        "150000",
    )
    assert {key: table.column(f"{key}_kw@{area}")[0] / 1000 for key in first} == first


def test_month_of_a_real_head_is_checked_against_every_other_month(reference_data: Path) -> None:
    content = (reference_data / "formats" / "eria_jukyu_202604_09.csv").read_bytes()

    with pytest.raises(TimeGridError, match="another time"):
        FORMAT.read(SourceFile(Path("eria_jukyu_202504_09.csv"), content), ReadOptions())

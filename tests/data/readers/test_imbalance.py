"""Imbalance prices: the head of an Okinawan file, and nine areas in the same layout."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from gridhash.data.readers.formats import ReadOptions
from gridhash.data.readers.imbalance import FORMATS, read_imbalance
from gridhash.data.readers.jepx import JAPANESE_NAMES
from gridhash.data.readers.source_file import SourceFile
from gridhash.data.source_table import SourceTable
from gridhash.errors import DataError, FileFormatError, TimeGridError

NAME = "202603_imbalance-price_01.csv"
NINE = list(JAPANESE_NAMES.values())

Rows = list[list[str]]


def clock(minutes: int) -> str:
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def price(slot: int, area: int) -> float:
    """Return the price of both sides [JPY/kWh]: from 8.00 on, no multiple of 0.1 throughout."""
    return round(8 + 0.13 * slot + 0.5 * area, 2)


def make_rows(names: list[str], n_slots: int) -> Rows:
    """Return the file of March 2026 with its first slots, cell by cell."""
    n = len(names)
    blanks = [""] * (2 * n - 1)
    sides = ["余剰インバランス料金単価", *blanks, "不足インバランス料金単価", *blanks]
    areas = [cell for _ in range(2) for name in names for cell in (name, "変更S")]
    rows = [
        ["H", "インバランス料金単価(円/kWh)"],
        ["H", "ファイル更新日", "ファイル更新時刻", "対象年月"],
        ["H", "20260307", "09:16:45", "202603", "", *sides],
        ["T", "日付", "時間帯コマ", "時間帯_自", "時間帯_至", *areas],
    ]
    for k in range(n_slots):
        slot = k % 48
        prices = [cell for _ in range(2) for i in range(n) for cell in (f"{price(k, i):.2f}", "0")]
        day = f"202603{1 + k // 48:02d}"
        rows.append(["D", day, f"{slot + 1}", clock(30 * slot), clock(30 * slot + 30), *prices])
    return rows


def content(rows: Rows) -> str:
    return "".join(",".join(f'"{cell}"' for cell in row) + "\n" for row in rows)


def read(rows: Rows, name: str = NAME) -> SourceTable:
    data = content(rows).replace("\n", "\r\n").encode("cp932")
    (table,) = read_imbalance(SourceFile(Path(name), data), ReadOptions())
    return table


def test_okinawan_file_as_published() -> None:
    text = (
        '"H","インバランス料金単価(円/kWh)"\r\n'
        '"H","ファイル更新日","ファイル更新時刻","対象年月"\r\n'
        '"H","20260307","09:16:45","202603","","余剰インバランス料金単価","",'
        '"不足インバランス料金単価",""\r\n'
        '"T","日付","時間帯コマ","時間帯_自","時間帯_至","沖縄","変更S","沖縄","変更S"\r\n'
        '"D","20260301","1","00:00","00:30","8.91","0","8.91","0"\r\n'
        '"D","20260301","2","00:30","01:00","8.42","0","8.42","0"\r\n'
    )
    file = SourceFile(Path(NAME), text.encode("cp932"))

    (table,) = FORMATS[0].read(file, ReadOptions())

    assert FORMATS[0].sign(file) == "the first line is H and インバランス料金単価(円/kWh)"
    assert (table.dataset, table.period_s, table.currency) == (
        "imbalance-price-okinawa",
        1800,
        "JPY",
    )
    assert table.starts[0] == pd.Timestamp("2026-03-01T00:00+09:00")
    assert table.frame.to_dict("list") == {
        "imbalance_surplus_price_per_kwh@okinawa": [8.91, 8.42],
        "imbalance_surplus_flag@okinawa": [0, 0],
        "imbalance_shortage_price_per_kwh@okinawa": [8.91, 8.42],
        "imbalance_shortage_flag@okinawa": [0, 0],
    }


@pytest.mark.parametrize("suffix", ["", "エリア"])
def test_nine_areas_first_surplus_then_shortage(suffix: str) -> None:
    rows = make_rows([name + suffix for name in NINE], 96)
    rows[10][5 + 2 * 8], rows[10][23 + 2 * 8] = "1.23", "45.67"

    table = read(rows)

    assert table.dataset == "imbalance-price"
    assert table.areas == list(JAPANESE_NAMES)
    assert len(table.columns) == 36
    for i, area in enumerate(JAPANESE_NAMES):
        for side in ("surplus", "shortage"):
            assert table.column(f"imbalance_{side}_price_per_kwh@{area}")[50] == price(50, i)
    assert table.column("imbalance_surplus_price_per_kwh@kyushu")[6] == 1.23
    assert table.column("imbalance_shortage_price_per_kwh@kyushu")[6] == 45.67


def test_price_is_known_half_an_hour_after_its_slot_a_corrected_one_from_the_update() -> None:
    rows = make_rows(["沖縄"], 96)
    rows[14][6] = "1"

    known = read(rows).available_at["imbalance_surplus_price_per_kwh@okinawa"]

    assert known[9] == pd.Timestamp("2026-03-01T05:30+09:00")
    assert known[10] == pd.Timestamp("2026-03-07T09:16:45+09:00")
    assert known[11] == pd.Timestamp("2026-03-01T06:30+09:00")


def test_month_that_is_running_ends_anywhere_and_may_have_empty_slots() -> None:
    rows = make_rows(NINE, 48 * 7)
    for row in rows[4 + 48 * 6 + 18 :]:
        row[5:] = [""] * 36

    table = read(rows)

    assert table.frame.notna().all(axis=1).sum() == 48 * 6 + 18
    assert len(read(make_rows(NINE, 20))) == 20


def test_price_of_a_slot_after_the_update_is_refused() -> None:
    with pytest.raises(DataError, match=r"line 340, .*updated at 2026-03-07 09:16, before this"):
        read(make_rows(NINE, 48 * 7))


@pytest.mark.parametrize(
    ("row", "column_at", "cell", "error", "expected"),
    [
        (3, 5, "東北", FileFormatError, "line 4: these are not the publisher's columns"),
        (3, 6, "変更", FileFormatError, "line 4: these are not"),
        (1, 1, "更新日", FileFormatError, "these are not"),
        (
            2,
            5,
            "不足インバランス料金単価",
            FileFormatError,
            "line 3: 余剰.* must head the first half",
        ),
        (2, 1, "20261301", FileFormatError, "line 3: the update and the month are no dates"),
        (2, 3, "2026-03", FileFormatError, "line 3: the update and the month are no dates"),
        (2, 3, "202602", FileFormatError, "line 3: the month is 202602, but the file's name says"),
        (8, 0, "E", FileFormatError, "line 9, column T, value 'E': rows of prices begin with D"),
        (8, 1, "20260302", TimeGridError, "line 9.*here must stand 2026-03-01, slot 5"),
        (8, 1, "20250301", TimeGridError, "line 9.*here must stand 2026-03-01, slot 5"),
        (8, 1, "2026/03/01", DataError, "line 9.*mixes ways to write a date"),
        (8, 2, "4", TimeGridError, "line 9.*slot 4: here must stand 2026-03-01, slot 5"),
        (8, 2, "49", DataError, "slots are numbered 1 to 48"),
        (8, 3, "02:30", TimeGridError, "line 9.*slot 5 has 02:00 here"),
        (8, 4, "03:00", TimeGridError, "line 9.*slot 5 has 02:30 here"),
        (8, 5, "-0.01", DataError, "line 9.*'-0.01': imbalance prices are not below zero"),
        (8, 5, "8.915", DataError, "line 9.*finer than the publisher's step"),
        (8, 5, "1e1", DataError, "line 9.*not a number"),
        (8, 5, "8910.00", DataError, "line 9.*outside -50 … 1000"),
        (8, 5, " .52", FileFormatError, "line 9: a blank within the rows"),
        (8, 6, "x", DataError, "line 9, column 変更S, value 'x': not a number"),
    ],
)
def test_damage_is_named_by_line(
    row: int, column_at: int, cell: str, error: type[DataError], expected: str
) -> None:
    rows = make_rows(NINE, 96)
    rows[row][column_at] = cell

    with pytest.raises(error, match=expected):
        read(rows)


@pytest.mark.parametrize("factor", [0.01, 0.1, 10, 100])
def test_prices_in_another_unit_are_refused(factor: float) -> None:
    rows = make_rows(["沖縄"], 96)
    for row in rows[4:]:
        row[5] = f"{float(row[5]) * factor:.4f}"

    with pytest.raises(DataError, match=r"unit may have been changed|unit looks wrong"):
        read(rows)


def test_rows_beyond_the_month_are_refused() -> None:
    rows = make_rows(["沖縄"], 48 * 31 + 1)
    rows[2][1], rows[-1][1] = "20260407", "20260401"

    with pytest.raises(TimeGridError, match="the rows go on after the month of 2026-03"):
        read(rows)
    assert len(read(rows[:-1])) == 48 * 31


def test_last_slot_may_end_at_zero_hours() -> None:
    rows = make_rows(["沖縄"], 96)
    rows[51][4] = "00:00"

    assert len(read(rows)) == 96


def test_other_files_are_not_claimed() -> None:
    for data in (b"", b"%PDF", b'"H","x"\n', "受渡日,時刻コード\n".encode()):
        assert FORMATS[0].sign(SourceFile(Path("x.csv"), data)) is None


@pytest.mark.parametrize("names", [["沖縄"], NINE])
def test_damaged_files_are_refused_or_read_right(names: list[str], fuzz: Any) -> None:
    text = content(make_rows(names, 96)).replace('"', "")

    outcomes = fuzz(FORMATS, NAME, text, header_line=4, n=150, skip=["swap values", "swap columns"])

    assert outcomes["refused"] > 105
    assert outcomes["read"] > 7


def test_damaged_quoted_files_are_refused_or_read_right(fuzz: Any) -> None:
    text = content(make_rows(["沖縄"], 48))
    kinds = ["times 10", "times 1000", "a tenth", "a thousandth", "decimal comma"]

    outcomes = fuzz(
        FORMATS, NAME, text, header_line=4, n=320, skip=["swap values", "swap columns", *kinds]
    )

    assert outcomes["refused"] > 200

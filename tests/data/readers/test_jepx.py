"""JEPX spot summaries: every copy of the official file reads the same, every damage is named."""

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridhash.data.readers import jepx as reader
from gridhash.data.readers.jepx import AREAS, read_spot_summary
from gridhash.errors import DataError, FileFormatError, TimeGridError

PRICE_COLUMN_AT = 6  # Hokkaido


@pytest.mark.parametrize("encoding", ["cp932", "utf-8", "utf-8-sig"])
def test_reads_each_encoding(jepx: Any, encoding: str) -> None:
    trace = read_spot_summary(jepx.write(encoding=encoding), "hokkaido")

    assert trace.n_rows == 96
    assert trace.column("price_per_kwh").tolist() == [round(10 + i / 10, 2) for i in range(96)]
    assert (trace.currency, trace.period_s, trace.area) == ("JPY", 1800, "hokkaido")


def test_first_slot_starts_at_midnight_in_japan(jepx: Any) -> None:
    trace = read_spot_summary(jepx.write(), "kyushu")

    assert trace.start == pd.Timestamp("2024-04-01T00:00+09:00")
    assert trace.end == pd.Timestamp("2024-04-03T00:00+09:00")


def test_price_is_known_from_half_past_twelve_the_day_before(jepx: Any) -> None:
    known = read_spot_summary(jepx.write(), "tokyo").available_at["price_per_kwh"]

    assert set(known[:48]) == {pd.Timestamp("2024-03-31T12:30+09:00")}
    assert set(known[48:]) == {pd.Timestamp("2024-04-01T12:30+09:00")}


def test_each_area_reads_its_own_column(jepx: Any) -> None:
    path = jepx.write()

    first = {area: read_spot_summary(path, area).column("price_per_kwh")[0] for area in AREAS}

    assert first["system"] == 1.0
    names = [area for area in AREAS if area != "system"]
    assert [first[name] for name in names] == [round(10 + 0.01 * i, 2) for i in range(9)]


def test_columns_are_found_by_name_whatever_their_order_and_width(jepx: Any) -> None:
    before = read_spot_summary(jepx.write(), "kyushu").column("price_per_kwh")
    full_width = str.maketrans({"(": "（", ")": "）"})
    jepx.header = ",".join(reversed(jepx.header.translate(full_width).split(",")))
    jepx.rows = [list(reversed(row)) for row in jepx.rows]

    after = read_spot_summary(jepx.write(encoding="utf-8"), "kyushu").column("price_per_kwh")

    assert (after == before).all()


def test_copy_saved_again_by_excel_reads_the_same(jepx: Any) -> None:
    before = read_spot_summary(jepx.write(), "hokkaido").column("price_per_kwh")
    for row in jepx.rows:
        row[0] = "/".join(str(int(part)) for part in row[0].split("/"))
        row[PRICE_COLUMN_AT] = f"{float(row[PRICE_COLUMN_AT]):g}"
    jepx.rows += [[""] * 19, [""] * 19]

    after = read_spot_summary(jepx.write(), "hokkaido").column("price_per_kwh")

    assert jepx.rows[0][0] == "2024/4/1"
    assert (after == before).all()


@settings(max_examples=40)
@given(
    ticks=st.lists(st.integers(1, 20_000), min_size=48, max_size=144).map(
        lambda values: values[: len(values) // 48 * 48]
    ),
    first=st.dates(date(2016, 4, 1), date(2030, 1, 1)),
    encoding=st.sampled_from(["cp932", "utf-8", "utf-8-sig"]),
)
def test_random_prices_come_back_exactly(
    tmp_path_factory: pytest.TempPathFactory, ticks: list[int], first: date, encoding: str
) -> None:
    lines = ["受渡日,時刻コード,エリアプライス九州(円/kWh)"]
    for i, tick in enumerate(ticks):
        day = first + timedelta(days=i // 48)
        lines.append(f"{day:%Y/%m/%d},{i % 48 + 1},{tick // 100}.{tick % 100:02d}")
    path = tmp_path_factory.mktemp("jepx") / "spot.csv"
    path.write_bytes("\r\n".join(lines).encode(encoding))

    trace = read_spot_summary(path, "kyushu")

    assert trace.column("price_per_kwh").tolist() == [tick / 100 for tick in ticks]
    assert trace.start.tz_convert("Asia/Tokyo").date() == first


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (lambda rows: rows.pop(9), r"line 11 \(2024/04/01 slot 11\): 1 slot\(s\) are missing"),
        (lambda rows: rows.insert(9, rows[9]), r"line 12 \(2024/04/01 slot 10\): .* duplicate"),
        (lambda rows: rows.insert(2, rows.pop(9)), r"line 4 .*7 slot\(s\) are missing after"),
        (lambda rows: rows.append(rows.pop(48)), r"line 50 \(2024/04/02 slot 2\): 1 slot"),
        (lambda rows: rows.reverse(), r"line 3 \(2024/04/02 slot 47\): .* sort by time"),
        (lambda rows: rows.pop(), r"line 96 \(2024/04/02 slot 47\): 1 slot.* missing after it"),
        (lambda rows: rows.pop(0), r"line 2 \(2024/04/01 slot 2\): 1 slot.* missing before it"),
    ],
)
def test_slot_out_of_place_is_named_by_line(jepx: Any, damage: Any, expected: str) -> None:
    damage(jepx.rows)

    with pytest.raises(TimeGridError, match=r"spot_summary_2024\.csv " + expected):
        read_spot_summary(jepx.write(), "tokyo")


@pytest.mark.parametrize(
    ("column_at", "cell", "expected"),
    [
        (6, "abc", "line 5, column エリアプライス北海道.*'abc'.*not a number"),
        (6, "nan", "line 5, column エリアプライス北海道.*'nan'.*not a number"),
        (6, "1e3", "not a number"),
        (6, "-51.00", r"line 5 \(2024/04/01 slot 4\).*-51.* outside -50 … 1000"),
        (1, "49", "column 時刻コード, value '49': slots are numbered 1 to 48"),
        (1, "0", "numbered 1 to 48"),
        (1, "４", "numbered 1 to 48"),
        (0, "2024/02/30", "column 受渡日, value '2024/02/30': not a date"),
        (0, "01.04.2024", "not a date like 2024/04/01"),
    ],
)
def test_bad_cell_is_named_with_line_column_and_value(
    jepx: Any, column_at: int, cell: str, expected: str
) -> None:
    jepx.rows[3][column_at] = cell

    with pytest.raises(DataError, match=expected):
        read_spot_summary(jepx.write(encoding="utf-8"), "hokkaido")


def test_prices_a_thousand_times_too_high_are_one_error_about_the_unit(jepx: Any) -> None:
    for row in jepx.rows:
        row[6] = f"{float(row[6]) * 1000:.2f}"

    with pytest.raises(DataError) as caught:
        read_spot_summary(jepx.write(), "hokkaido")

    message = str(caught.value)
    for part in (
        "spot_summary_2024.csv line 2 (2024/04/01 slot 1)",
        "column エリアプライス北海道(円/kWh)",
        "'10000.00'",
        "about 1000 times what is usual",
        "convert the prices to JPY/kWh",
    ):
        assert part in message


def test_unit_other_than_yen_per_kwh_is_refused(jepx: Any) -> None:
    jepx.header = jepx.header.replace("(円/kWh)", "(円/MWh)")

    with pytest.raises(FileFormatError, match=r"unit must be \(円/kWh\)"):
        read_spot_summary(jepx.write(), "tokyo")


def test_suspended_market_is_an_error_that_offers_the_span_with_prices(jepx: Any) -> None:
    for row in jepx.rows[40:60]:
        row[6] = ""
    path = jepx.write()

    with pytest.raises(DataError) as caught:
        read_spot_summary(path, "hokkaido")

    message = str(caught.value)
    assert "line 42 (2024/04/01 slot 41)" in message
    assert "19 further rows, the last on line 61 (2024/04/02 slot 12)" in message
    assert "start=2024-03-31T15:00:00+00:00, end=2024-04-01T11:00:00+00:00" in message
    assert read_spot_summary(path, "tokyo").n_rows == 96


def test_span_without_the_suspension_reads(jepx: Any) -> None:
    for row in jepx.rows[40:60]:
        row[6] = ""

    trace = read_spot_summary(
        jepx.write(),
        "hokkaido",
        start=pd.Timestamp("2024-04-02T12:00+09:00"),
        end=pd.Timestamp("2024-04-03T00:00+09:00"),
    )

    assert trace.n_rows == 24
    assert trace.column("price_per_kwh")[0] == 17.2


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        ("2024-04-01T00:00", "no time zone"),
        ("2024-03-01T00:00+09:00", "outside the file"),
        ("2024-04-01T00:10+09:00", "not the start of a slot"),
        ("2024-04-03T00:00+09:00", "is empty"),
    ],
)
def test_span_that_does_not_fit_is_refused(jepx: Any, start: str, expected: str) -> None:
    with pytest.raises(TimeGridError, match=expected):
        read_spot_summary(jepx.write(), "tokyo", start=pd.Timestamp(start))


def test_row_cut_off_is_named(jepx: Any) -> None:
    jepx.rows[-1] = jepx.rows[-1][:4]

    with pytest.raises(FileFormatError, match="line 97: 4 values under 19 column names"):
        read_spot_summary(jepx.write(), "tokyo")


def test_empty_row_in_the_middle_is_named(jepx: Any) -> None:
    jepx.rows.insert(5, [""] * 19)

    with pytest.raises(FileFormatError, match="line 7: an empty row"):
        read_spot_summary(jepx.write(), "tokyo")


def test_unknown_area_lists_the_areas(jepx: Any) -> None:
    with pytest.raises(DataError, match=r"'okinawa'; choose one of hokkaido, tohoku, .*, system"):
        read_spot_summary(jepx.write(), "okinawa")


def test_header_alone_is_an_error(jepx: Any) -> None:
    jepx.rows.clear()

    with pytest.raises(FileFormatError, match="no rows below the header"):
        read_spot_summary(jepx.write(), "tokyo")


def test_real_head_of_the_official_file_reads(reference_data: Path) -> None:
    path = reference_data / "formats" / "jepx_spot_summary_2023_head_cp932.csv"

    trace = read_spot_summary(path, "kyushu")

    assert trace.n_rows == reader.SLOTS_PER_DAY
    assert trace.column("price_per_kwh")[[0, 1, 47]].tolist() == [5.84, 9.40, 10.80]


@pytest.mark.parametrize("area", AREAS)
def test_real_head_agrees_with_the_reference_series(reference_data: Path, area: str) -> None:
    path = reference_data / "formats" / "jepx_spot_summary_2023_head_cp932.csv"
    series = pd.read_parquet(
        reference_data / "data" / "jepx_spot_30min_fy2016-fy2024.parquet", columns=[area]
    )[area]

    trace = read_spot_summary(path, area)

    expected = series.loc[trace.starts].to_numpy(dtype=np.float64)
    np.testing.assert_allclose(trace.column("price_per_kwh"), expected, atol=1e-5)

"""JEPX spot summaries: every copy of the official file reads the same, every damage is named."""

from datetime import date, timedelta
from decimal import Decimal
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridhash.data.readers import jepx as reader
from gridhash.data.readers.formats import ReadOptions
from gridhash.data.readers.jepx import AREAS, read_spot, read_spot_summary
from gridhash.data.readers.jepx_areas import area_problem
from gridhash.data.readers.source_file import SourceFile
from gridhash.data.source_table import SourceTable
from gridhash.errors import DataError, FileFormatError, TimeGridError

PRICE_COLUMN_AT = 6  # Hokkaido
GRID = tuple(area for area in AREAS if area != "system")


def read(path: Path) -> SourceTable:
    """Return the spot table of a file."""
    return read_spot(SourceFile.load(path), ReadOptions())[0]


def zone_prices(n_rows: int, seed: int = 0) -> np.ndarray:
    """Return (rows, 9) prices of a market that splits at one or two of the lines in a row."""
    random = np.random.default_rng(seed)
    prices = np.round(random.uniform(3, 30, (n_rows, 1)), 2) + np.zeros((n_rows, 9))
    for row in range(n_rows):
        for cut in random.choice([1, 3, 4, 6, 8], random.integers(0, 3), replace=False):
            prices[row, cut:] = np.round(random.uniform(3, 30), 2)
    return prices


@pytest.mark.parametrize("encoding", ["cp932", "utf-8", "utf-8-sig"])
def test_reads_each_encoding(jepx: Any, encoding: str) -> None:
    trace = read_spot_summary(jepx.write(encoding=encoding), "hokkaido")

    assert trace.n_rows == 96
    assert trace.column("price_per_kwh").tolist() == [round(10 + 0.11 * i, 2) for i in range(96)]
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

    assert first["system"] == 9.13
    names = [area for area in AREAS if area != "system"]
    assert [first[name] for name in names] == [round(10 + 0.01 * i, 2) for i in range(9)]


def test_full_width_signs_and_blanks_in_the_header_change_nothing(jepx: Any) -> None:
    before = read(jepx.write())
    jepx.header = jepx.header.translate(str.maketrans({"(": "（", ")": "）"})).replace(",", " ,")

    pd.testing.assert_frame_equal(read(jepx.write(encoding="utf-8")).frame, before.frame)


def test_columns_out_of_the_official_order_are_refused(jepx: Any) -> None:
    names = jepx.header.split(",")
    names[6], names[14] = names[14], names[6]
    jepx.header = ",".join(names)

    with pytest.raises(
        FileFormatError, match=r"エリアプライス東北.* stands behind エリアプライス九州"
    ):
        read(jepx.write())


def test_some_of_the_official_columns_in_their_order_are_enough(jepx: Any) -> None:
    whole = read(jepx.write())
    for row in [jepx.rows[i] for i in range(96)]:
        del row[7:14], row[2:5]
    names = jepx.header.split(",")
    del names[7:14], names[2:5]
    jepx.header = ",".join(names)

    table = read(jepx.write())

    assert table.areas == ["system", "hokkaido", "kyushu", "japan"]
    pd.testing.assert_frame_equal(table.frame, whole.frame[table.columns])


def test_copy_saved_again_by_excel_reads_the_same(jepx: Any) -> None:
    before = read_spot_summary(jepx.write(), "hokkaido").column("price_per_kwh")
    for row in jepx.rows:
        row[0] = "/".join(str(int(part)) for part in row[0].split("/"))
        for at in range(5, 15):
            row[at] = f"{float(row[at]):g}"
    jepx.rows += [[""] * 19, [""] * 19]

    after = read_spot_summary(jepx.write(), "hokkaido").column("price_per_kwh")

    assert jepx.rows[0][0] == "2024/4/1"
    assert (after == before).all()


@settings(max_examples=40)
@given(
    ticks=st.lists(st.integers(1, 20_000), min_size=48, max_size=144)
    .filter(lambda values: any(value % 10 for value in values))
    .map(lambda values: values[: len(values) // 48 * 48]),
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
    path.write_bytes(("\r\n".join(lines) + "\r\n").encode(encoding))

    trace = read_spot_summary(path, "kyushu")

    assert trace.column("price_per_kwh").tolist() == [tick / 100 for tick in ticks]
    assert trace.start.tz_convert("Asia/Tokyo").date() == first


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (lambda rows: rows.pop(9), r"line 11 \(2024-04-01 05:00\): 1 slot\(s\) are missing"),
        (lambda rows: rows.insert(9, rows[9]), r"line 12 \(2024-04-01 04:30\): .* duplicate"),
        (lambda rows: rows.insert(2, rows.pop(9)), r"line 4 .*7 slot\(s\) are missing after"),
        (lambda rows: rows.append(rows.pop(48)), r"line 50 \(2024-04-02 00:30\): 1 slot"),
        (lambda rows: rows.reverse(), r"line 3 \(2024-04-02 23:00\): .* sort by time"),
        (lambda rows: rows.pop(), r"line 96 \(2024-04-02 23:00\): 1 slot.* missing after it"),
        (lambda rows: rows.pop(0), r"line 2 \(2024-04-01 00:30\): 1 slot.* missing before it"),
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
        (8, "1,5", "20 values under 19 column names"),
        (9, " 1.00", "line 5: a blank within the rows"),
        (7, "-0.01", "the lowest price of the exchange is 0.01"),
        (7, "0.00", "the lowest price of the exchange is 0.01"),
        (10, "12.345", "finer than the publisher's step of 0.01"),
        (2, "17694250.0", "売り入札量.*not a number"),
        (3, "15655301", "買い入札量.*not a multiple of 50 kWh"),
        (4, "16000000", "約定総量.*more than the bids of 15659100 kWh"),
        (16, "9000000", "売りブロック約定総量.*more than the bids of 4992600 kWh"),
        (0, "2024-04-01", "mixes ways to write a date"),
        (6, "-51.00", r"line 5, column エリアプライス北海道.*-51.* outside -50 … 1000"),
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
        "spot_summary_2024.csv line 2",
        "column エリアプライス北海道(円/kWh)",
        "'10000.00'",
        "about 1000 times what is usual",
        "convert the prices to JPY/kWh",
    ):
        assert part in message


@pytest.mark.parametrize("factor", [0.001, 0.1, 10, 1000])
@pytest.mark.parametrize("column_at", range(2, 15))
def test_column_in_another_unit_is_refused(jepx: Any, column_at: int, factor: float) -> None:
    for row in jepx.rows:
        value = Decimal(row[column_at]) * Decimal(str(factor))
        row[column_at] = f"{value.normalize():f}"

    with pytest.raises(DataError, match=r"unit|step|number|bids|multiple"):
        read(jepx.write())


@pytest.mark.parametrize("factor", [0.001, 0.1, 10, 1000])
def test_all_prices_in_another_unit_are_refused(jepx: Any, factor: float) -> None:
    for row in jepx.rows:
        for at in range(5, 15):
            row[at] = f"{Decimal(row[at]) * Decimal(str(factor)):f}"

    with pytest.raises(DataError, match=r"unit|step"):
        read(jepx.write())


def test_whole_table_has_every_column_of_the_file(jepx: Any) -> None:
    table = read(jepx.write())

    assert table.dataset == "jepx-spot"
    assert (table.period_s, table.currency, len(table)) == (1800, "JPY", 96)
    assert table.areas == ["japan", "system", *GRID]
    assert table.frame.iloc[1].tolist() == [
        *(17_696_300, 15_657_200, 13_344_800, 9.26),
        *(round(10.11 + 0.01 * i, 2) for i in range(9)),
        *(4_992_500, 1_315_000, 1_037_200, 715_100),
    ]
    for column in table.columns:
        assert table.available_at[column][0] == pd.Timestamp("2024-03-31T12:30+09:00")
    assert (table.origins[0].publisher, table.origins[0].file_name) == (
        "jepx",
        "spot_summary_2024.csv",
    )


def test_early_years_have_no_blocks(jepx: Any) -> None:
    for row in jepx.rows:
        row[15:] = [""] * 4

    table = read(jepx.write())

    assert table.frame["sell_block_bid_kwh@japan"].isna().all()
    assert table.frame.notna().sum().sum() == 96 * 13


def test_bids_of_one_megawatt_before_september_2018(jepx: Any) -> None:
    for row in jepx.rows:
        row[0] = row[0].replace("2024", "2016")
        row[2:5] = [str(int(cell) // 500 * 500) for cell in row[2:5]]
        row[6], row[15:] = "0.00", [""] * 4
    assert read(jepx.write(name="spot_summary_2016.csv")).column("price_per_kwh@hokkaido")[0] == 0

    jepx.rows[7][4] = "13344050"
    with pytest.raises(DataError, match=r"約定総量.*not a multiple of 500"):
        read(jepx.write(name="spot_summary_2016.csv"))


@pytest.mark.parametrize(
    ("name", "fits"),
    [
        ("spot_summary_2024.csv", True),
        ("spot_summary_2024 (1).csv", True),
        ("prices_2023.csv", True),
        ("spot_summary_2023.csv", False),
        ("spot_summary_2025.csv", False),
    ],
)
def test_official_name_must_agree_with_the_dates(jepx: Any, name: str, fits: bool) -> None:
    path = jepx.write(name=name)

    if fits:
        assert len(read(path)) == 96
    else:
        with pytest.raises(TimeGridError, match=r"line 2.*2024/04/01.*the file's name says 202"):
            read(path)


@pytest.mark.parametrize("text", ["1024/04/01", "9999/12/31"])
def test_year_without_an_exchange_is_refused(jepx: Any, text: str) -> None:
    for row in jepx.rows[-48:]:
        row[0] = text

    with pytest.raises(TimeGridError, match=f"{text}.*the exchange has data 2005-04-01"):
        read(jepx.write(name="x.csv"))


def test_swapped_area_columns_are_recognised_by_the_zones_of_a_split_market(jepx: Any) -> None:
    for row, prices in zip(jepx.rows, zone_prices(96), strict=True):
        row[6:15] = [f"{price:.2f}" for price in prices]
    assert len(read(jepx.write())) == 96
    for row in jepx.rows:
        row[6], row[13] = row[13], row[6]

    with pytest.raises(
        DataError, match=r"0 times if hokkaido and shikoku were exchanged: .* swapped"
    ):
        read(jepx.write())


def test_area_column_from_another_time_is_recognised(jepx: Any) -> None:
    prices = zone_prices(96)
    prices[:, 2] = np.roll(prices[:, 2], 5)
    for row, values in zip(jepx.rows, prices, strict=True):
        row[6:15] = [f"{price:.2f}" for price in values]

    with pytest.raises(DataError, match=r"line 2: \d+ times in 96 rows .* swapped or shifted"):
        read(jepx.write())


def test_older_spot_file_has_costs_too(jepx: Any) -> None:
    """`spot_YYYY.csv`: 48 columns, groups parted by nameless empty ones."""
    names = jepx.header.replace("受渡日", "年月日").split(",")
    region_names = ["全国値", *(reader.JAPANESE_NAMES[area] for area in GRID)]
    factors = ["スポット・時間前平均価格(円/kWh)"] + [
        f"α{kind}×スポット・時間前平均価格(円/kWh)"
        for kind in ("上限値", "下限値", "速報値", "確報値")
    ]
    costs = [f"回避可能原価{name}(円/kWh)" for name in region_names]
    premiums = [f"FIP参照価格（卸電力取引市場分）{name}(円/kWh)" for name in region_names]
    header = [*names[:15], "", *factors, "", *costs, "", *names[15:], "", *premiums]
    assert len(header) == 48
    jepx.header = ",".join(header)
    for k, row in enumerate(jepx.rows):
        cost = [f"{8 + 0.01 * k + 0.1 * i:.2f}" for i in range(10)]
        row[15:] = ["", *["9.99"] * 5, "", *cost, "", *row[15:], "", *[""] * 10]
    file = SourceFile.load(jepx.write(name="spot_2024.csv"))

    spot, fit_fip = read_spot(file, ReadOptions())

    assert (spot.dataset, len(spot.columns)) == ("jepx-spot", 17)
    assert (fit_fip.dataset, len(fit_fip.columns)) == ("jepx-fit-fip", 20)
    assert fit_fip.column("avoidable_cost_per_kwh@kyushu")[5] == 8.95
    assert fit_fip.available_at["avoidable_cost_per_kwh@kyushu"][5] == pd.Timestamp(
        "2024-04-02T00:00+09:00"
    )


def test_value_in_a_nameless_column_is_refused(jepx: Any) -> None:
    jepx.header += ","
    for row in jepx.rows:
        row.append("")
    assert len(read(jepx.write())) == 96
    jepx.rows[4][19] = "1"

    with pytest.raises(FileFormatError, match=r"line 6.*column without a name"):
        read(jepx.write())


def test_sign_tells_the_spot_summary_from_others(jepx: Any) -> None:
    (spot,) = reader.FORMATS

    assert (
        spot.sign(SourceFile.load(jepx.write())) == "the header has 時刻コード and エリアプライス…"
    )
    for content in (b"", b"PK\x03\x04", "年月日,時刻コード,始値(円/kWh)\n".encode(), b"a,b\n1,2\n"):
        assert spot.sign(SourceFile(Path("x.csv"), content)) is None


def test_damaged_files_are_refused_or_read_right(jepx: Any, fuzz: Any) -> None:
    for row, prices in zip(jepx.rows, zone_prices(96), strict=True):
        row[6:15] = [f"{price:.2f}" for price in prices]
    text = jepx.write(encoding="utf-8").read_text(encoding="utf-8")

    outcomes = fuzz(
        reader.FORMATS, "spot_summary_2024.csv", text, n=400, skip=["swap values", "swap columns"]
    )

    assert outcomes["refused"] > 300
    assert outcomes["read"] > 20


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
    assert "no price at 2024-04-01T20:00:00+09:00" in message
    assert "19 further slots, the last at 2024-04-02T05:30:00+09:00" in message
    assert "start=2024-04-01T00:00:00+09:00, end=2024-04-01T20:00:00+09:00" in message
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
    assert trace.column("price_per_kwh")[0] == 17.92


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

    with pytest.raises(FileFormatError, match="no rows below line 1"):
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


def test_real_head_has_the_volumes_and_blocks_of_the_file(reference_data: Path) -> None:
    table = read(reference_data / "formats" / "jepx_spot_summary_2023_head_cp932.csv")

    series = pd.read_parquet(reference_data / "data" / "jepx_spot_30min_fy2016-fy2024.parquet")
    for name in ("sell_bid_kwh", "buy_bid_kwh", "contract_kwh"):
        expected = series[name].loc[table.starts].to_numpy(dtype=np.float64)
        np.testing.assert_allclose(table.column(f"{name}@japan"), expected, atol=2.0)
    blocks = [column for column in table.columns if "block" in column]
    assert table.frame[blocks].iloc[0].tolist() == [4_992_400, 1_315_100, 1_037_200, 715_100]


def test_real_prices_fit_the_grid_in_every_month(reference_data: Path) -> None:
    series = pd.read_parquet(
        reference_data / "data" / "jepx_spot_30min_fy2016-fy2024.parquet", columns=list(GRID)
    ).astype(float)
    days = pd.DatetimeIndex(series.index).tz_convert("Asia/Tokyo")
    months = series.groupby(days.strftime("%Y-%m"))

    assert [name for name, month in months if area_problem(month.to_numpy()) is not None] == []
    year = series.loc["2023-04":"2024-03"].to_numpy()
    found = sum(
        area_problem(
            year[:, [second if k == first else first if k == second else k for k in range(9)]]
        )
        is not None
        for first, second in combinations(range(9), 2)
    )
    assert found >= 34  # of 36; Shikoku and Kyushu cannot be told apart

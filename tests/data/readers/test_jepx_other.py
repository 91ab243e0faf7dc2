"""JEPX's intraday, price-sensitivity and avoidable-cost files."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gridhash.data.readers import jepx, jepx_other
from gridhash.data.readers.formats import ReadOptions
from gridhash.data.readers.jepx_other import read_fit_fip, read_intraday, read_virtual_price
from gridhash.data.readers.source_file import SourceFile
from gridhash.data.source_table import SourceTable
from gridhash.errors import DataError, FileFormatError, TimeGridError

INTRADAY_HEADER = (
    "年月日,時刻コード,始値(円/kWh),高値(円/kWh),安値(円/kWh),終値(円/kWh),平均(円/kWh),"
    "約定量合計(kWh),約定件数"
)
VIRTUAL_HEADER = (
    "年月日,時刻コード,システムプライス,売500MW,買500MW,売1000MW,買1000MW,売5000MW,買5000MW"
)
REGIONS = ("全国値", "北海道", "東北", "東京", "中部", "北陸", "関西", "中国", "四国", "九州")
FIT_FIP_HEADER = ",".join(
    [
        "年月日,時刻コード",
        *(f"回避可能原価{name}(円/kWh)" for name in REGIONS),
        *(f"FIP参照価格(卸電力取引市場分){name}(円/kWh)" for name in REGIONS),
    ]
)

Rows = list[list[str]]


def intraday_rows() -> Rows:
    """Return 48 slots with prices around 10 and up to 101 trades; slot 5 has none."""
    rows = []
    for k in range(48):
        low = 7 + 0.03 * k
        prices = [low + 1, low + 4.5, low, low + 2.21, low + 2.07]
        cells = [f"{price:.2f}" for price in prices]
        cells += [f"{128_800 + 750 * k}", f"{53 + k}"]
        rows.append(["2024/04/01", f"{k + 1}", *cells])
    rows[4][2:] = ["", "", "", "", "", "0", "0"]
    return rows


def virtual_rows() -> Rows:
    """Return 48 slots whose price rises by 0.11 per slot and by size of the demand added."""
    steps = (0, -0.21, 0.18, -0.44, 0.37, -2.95, 1.13)
    return [
        ["2024/04/01", f"{k + 1}", *(f"{8.57 + 0.11 * k + step:.2f}" for step in steps)]
        for k in range(48)
    ]


def fit_fip_rows() -> Rows:
    """Return 48 slots; costs and premiums are 0.05 apart by region."""
    return [
        ["2024/04/01", f"{k + 1}", *(f"{8 + 0.11 * k + 0.05 * i:.2f}" for i in range(20))]
        for k in range(48)
    ]


def text(header: str, rows: Rows) -> str:
    return "\n".join([header, *(",".join(row) for row in rows)]) + "\n"


def source(header: str, rows: Rows, *, encoding: str = "utf-8", name: str = "x.csv") -> SourceFile:
    content = text(header, rows).replace("\n", "\r\n").encode(encoding)
    return SourceFile(Path(name), content)


def intraday(rows: Rows, header: str = INTRADAY_HEADER) -> SourceTable:
    (table,) = read_intraday(source(header, rows, name="intraday_2024.csv"), ReadOptions())
    return table


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp932"])
def test_intraday_market_of_the_whole_country(encoding: str) -> None:
    (table,) = read_intraday(
        source(INTRADAY_HEADER, intraday_rows(), encoding=encoding), ReadOptions()
    )

    assert (table.dataset, table.period_s, table.currency) == ("jepx-intraday", 1800, "JPY")
    assert table.starts[0] == pd.Timestamp("2024-04-01T00:00+09:00")
    assert table.frame.iloc[1].to_dict() == {
        "price_open_per_kwh@japan": 8.03,
        "price_high_per_kwh@japan": 11.53,
        "price_low_per_kwh@japan": 7.03,
        "price_close_per_kwh@japan": 9.24,
        "real_time_price_per_kwh@japan": 9.10,
        "contract_kwh@japan": 129_550,
        "n_trades@japan": 54,
    }
    for column in table.columns:
        assert table.available_at[column][1] == pd.Timestamp("2024-04-01T01:00+09:00")


@pytest.mark.parametrize("cell", ["", "0", "0.00"])
def test_slot_without_a_trade_has_no_price(cell: str) -> None:
    rows = intraday_rows()
    rows[4][2:7] = [cell] * 5

    table = intraday(rows)

    row = table.frame.iloc[4]
    assert row.isna().tolist() == [True] * 5 + [False] * 2
    assert row[["contract_kwh@japan", "n_trades@japan"]].tolist() == [0, 0]


def test_running_day_is_read_as_far_as_it_goes() -> None:
    table = intraday(intraday_rows()[:19])

    assert table.end == pd.Timestamp("2024-04-01T09:30+09:00")


@pytest.mark.parametrize(
    ("row", "column_at", "cell", "expected"),
    [
        (3, 2, "99.99", "始値.*'99.99': outside the lowest and highest price"),
        (3, 5, "1.00", "終値.*'1.00': outside the lowest and highest price"),
        (3, 6, "13.00", "平均.*outside the lowest and highest price"),
        (3, 3, "0.00", "高値.*the lowest price of the exchange is 0.01"),
        (3, 6, "", "平均.*does not fit the number of trades"),
        (4, 6, "5.00", "平均.*does not fit the number of trades"),
        (3, 7, "2750", "約定量合計.*does not fit the number of trades, each at least 50 kWh"),
        (3, 7, "0", "約定量合計.*does not fit the number of trades"),
        (3, 7, "", "約定量合計.*does not fit the number of trades"),
        (4, 7, "100", "約定量合計.*does not fit the number of trades"),
        (3, 7, "128825", "約定量合計.*not a multiple of 50"),
        (3, 8, "5.5", "約定件数.*not a number"),
        (3, 8, "-5", "約定件数.*not a number"),
        (3, 1, "5", "1 slot.* missing after"),
        (3, 0, "2023/04/01", "the file's name says 2024-04-01"),
    ],
)
def test_intraday_row_that_contradicts_itself_is_named(
    row: int, column_at: int, cell: str, expected: str
) -> None:
    rows = intraday_rows()
    rows[row][column_at] = cell

    with pytest.raises(DataError, match=rf"line {row + 2}\b.*{expected}"):
        intraday(rows)


@pytest.mark.parametrize("factor", [0.001, 0.1, 10, 1000])
@pytest.mark.parametrize("columns", [[2, 3, 4, 5, 6], [7], [8]])
def test_intraday_columns_in_another_unit_are_refused(factor: float, columns: list[int]) -> None:
    rows = intraday_rows()
    for row in rows:
        for at in columns:
            row[at] = row[at] and f"{(Decimal(row[at]) * Decimal(str(factor))).normalize():f}"

    with pytest.raises(DataError, match=r"unit|step|number|multiple"):
        intraday(rows)


def test_intraday_column_that_is_missing_is_named() -> None:
    rows = [row[:-1] for row in intraday_rows()]

    with pytest.raises(FileFormatError, match="約定件数 is missing"):
        intraday(rows, INTRADAY_HEADER.removesuffix(",約定件数"))


def test_price_sensitivity() -> None:
    (table,) = read_virtual_price(source(VIRTUAL_HEADER, virtual_rows()), ReadOptions())

    assert table.dataset == "jepx-virtual-price"
    assert table.frame.iloc[0].to_dict() == {
        "price_per_kwh@system": 8.57,
        "price_if_sold_500mw_per_kwh@system": 8.36,
        "price_if_bought_500mw_per_kwh@system": 8.75,
        "price_if_sold_1000mw_per_kwh@system": 8.13,
        "price_if_bought_1000mw_per_kwh@system": 8.94,
        "price_if_sold_5000mw_per_kwh@system": 5.62,
        "price_if_bought_5000mw_per_kwh@system": 9.70,
    }
    known = {column: table.available_at[column][7] for column in table.columns}
    assert known.pop("price_per_kwh@system") == pd.Timestamp("2024-03-31T12:30+09:00")
    assert set(known.values()) == {pd.Timestamp("2024-04-02T00:00+09:00")}


@pytest.mark.parametrize(("first", "second"), [(2, 3), (2, 4), (3, 5), (4, 6), (7, 8), (5, 7)])
def test_swapped_columns_of_the_price_sensitivity_are_recognised(first: int, second: int) -> None:
    rows = virtual_rows()
    for row in rows:
        row[first], row[second] = row[second], row[first]

    with pytest.raises(DataError, match=r"line 2, .*: below price_.* and so in 48 rows"):
        read_virtual_price(source(VIRTUAL_HEADER, rows), ReadOptions())


def test_few_slots_may_break_the_order_of_the_price_sensitivity() -> None:
    rows = virtual_rows()
    rows[20][4] = "1.23"

    (table,) = read_virtual_price(source(VIRTUAL_HEADER, rows), ReadOptions())

    assert table.column("price_if_bought_500mw_per_kwh@system")[20] == 1.23


def test_avoidable_cost_and_premium_of_each_region() -> None:
    header = FIT_FIP_HEADER.replace("(", "（").replace(")", "）")

    (table,) = read_fit_fip(source(header, fit_fip_rows()), ReadOptions())

    assert table.dataset == "jepx-fit-fip"
    assert table.areas == ["japan", *jepx.JAPANESE_NAMES]
    assert table.column("avoidable_cost_per_kwh@japan")[1] == 8.11
    assert table.column("avoidable_cost_per_kwh@kyushu")[0] == 8.45
    assert table.column("fip_reference_price_per_kwh@japan")[0] == 8.50
    assert table.column("fip_reference_price_per_kwh@kyushu")[0] == 8.95
    for column in table.columns:
        assert set(table.available_at[column]) == {pd.Timestamp("2024-04-02T00:00+09:00")}


CASES = {
    "jepx-intraday": ("intraday_2024.csv", INTRADAY_HEADER, intraday_rows),
    "jepx-virtual-price": ("virtualprice_2024.csv", VIRTUAL_HEADER, virtual_rows),
    "jepx-fit-fip": ("fit_fip_2024.csv", FIT_FIP_HEADER, fit_fip_rows),
}


@pytest.mark.parametrize("key", CASES)
def test_exactly_one_format_claims_a_file(key: str) -> None:
    _, header, rows = CASES[key]
    file = source(header, rows())

    claims = [f.key for f in (*jepx.FORMATS, *jepx_other.FORMATS) if f.sign(file) is not None]

    assert claims == [key]


@pytest.mark.parametrize("key", CASES)
def test_damaged_files_are_refused_or_read_right(key: str, fuzz: Any) -> None:
    name, header, rows = CASES[key]

    outcomes = fuzz(
        jepx_other.FORMATS,
        name,
        text(header, rows()),
        n=240,
        skip=["swap values", "swap columns"],
    )

    assert outcomes["refused"] > 170
    assert outcomes["read"] > 10


Read = Callable[[SourceFile, ReadOptions], tuple[SourceTable, ...]]


@pytest.mark.parametrize(
    ("head", "reader", "n_rows", "first_row"),
    [
        (
            "jepx_intraday_2024_head_utf8.csv",
            read_intraday,
            48,
            [10.10, 11.02, 7.05, 7.39, 10.16, 128_800, 53],
        ),
        (
            "jepx_virtualprice_2024_head_utf8.csv",
            read_virtual_price,
            9,
            [8.57, 8.56, 8.75, 8.46, 8.93, 3.01, 9.70],
        ),
        (
            "jepx_fit_fip_2024_head_utf8.csv",
            read_fit_fip,
            9,
            [
                *(8.59, 9.02, 9.02, 9.03, 9.09, 7.15, 7.15, 7.15, 7.15, 7.15),
                *(8.59, 9.04, 9.07, 9.04, 9.04, 7.15, 7.15, 7.15, 7.15, 7.15),
            ],
        ),
    ],
)
def test_real_head_reads(
    reference_data: Path, head: str, reader: Read, n_rows: int, first_row: list[float]
) -> None:
    (table,) = reader(SourceFile.load(reference_data / "formats" / head), ReadOptions())

    assert len(table) == n_rows
    assert table.starts[0] == pd.Timestamp("2024-04-01T00:00+09:00")
    assert table.frame.iloc[0].tolist() == first_row


def test_real_system_price_agrees_with_the_spot_market(reference_data: Path) -> None:
    path = reference_data / "formats" / "jepx_virtualprice_2024_head_utf8.csv"
    series = pd.read_parquet(
        reference_data / "data" / "jepx_spot_30min_fy2016-fy2024.parquet", columns=["system"]
    )["system"]

    (table,) = read_virtual_price(SourceFile.load(path), ReadOptions())

    expected = series.loc[table.starts].to_numpy(dtype=np.float64)
    np.testing.assert_allclose(table.column("price_per_kwh@system"), expected, atol=1e-5)


def test_slots_missing_in_the_middle_are_refused_though_the_end_is_open() -> None:
    rows = intraday_rows()
    del rows[10]

    with pytest.raises(TimeGridError, match=r"line 12 .*1 slot\(s\) are missing"):
        intraday(rows)

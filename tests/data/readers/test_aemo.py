"""AEMO price and demand: interval-end labels, UTC+10, 5 and 30 minutes, every damage refused."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gridhash.data.readers.aemo import FORMATS
from gridhash.errors import DataError, FileFormatError, TimeGridError

NAME = "PRICE_AND_DEMAND_202412_VIC1.csv"


def content(
    *, first: str = "2024-12-01 00:05", n: int = 288, minutes: int = 5, region: str = "VIC1"
) -> str:
    """Return a file whose price counts up from −20.01 and whose demand swings around 5,000 MW."""
    lines = ["REGION,SETTLEMENTDATE,TOTALDEMAND,RRP,PERIODTYPE"]
    for k in range(n):
        end = datetime.fromisoformat(first) + timedelta(minutes=minutes * k)
        demand = 5000.07 + 900 * np.sin(k / 40)
        lines.append(f"{region},{end:%Y/%m/%d %H:%M:%S},{demand:.2f},{-20.01 + k / 2:.2f},TRADE")
    return "\r\n".join(lines) + "\r\n"


def test_label_is_the_end_of_the_interval_at_utc_plus_10(read_market: Any) -> None:
    (table,) = read_market(FORMATS, NAME, content())

    assert (table.dataset, table.period_s, table.currency) == ("aemo-vic1", 300, "AUD")
    assert table.starts[0] == pd.Timestamp("2024-12-01T00:00+10:00")
    assert table.end == pd.Timestamp("2024-12-02T00:00+10:00")
    assert table.column("real_time_price_per_kwh@vic1")[:2].tolist() == pytest.approx(
        [-0.02001, -0.01951]
    )
    assert table.column("demand_kw@vic1")[0] == 5000.07 * 1000


def test_value_is_known_at_the_end_of_its_interval(read_market: Any) -> None:
    (table,) = read_market(FORMATS, NAME, content())

    known = table.available_at["real_time_price_per_kwh@vic1"]
    assert (known == table.starts + pd.Timedelta(minutes=5)).all()


def test_before_october_2021_intervals_have_30_minutes(read_market: Any) -> None:
    text = content(first="2021-09-30 00:30", n=48, minutes=30)

    (table,) = read_market(FORMATS, "PRICE_AND_DEMAND_202109_VIC1.csv", text)

    assert (table.dataset, table.period_s) == ("aemo-vic1-30min", 1800)
    assert table.end == pd.Timestamp("2021-10-01T00:00+10:00")


def test_first_five_minutes_of_the_five_minute_market(read_market: Any) -> None:
    (table,) = read_market(FORMATS, "x.csv", content(first="2021-10-01 00:05", n=288))

    assert table.starts[0] == pd.Timestamp("2021-10-01T00:00+10:00")


def test_summer_time_of_the_southern_states_does_not_exist_in_the_file(read_market: Any) -> None:
    (table,) = read_market(FORMATS, "x.csv", content(first="2024-10-06 00:05", n=288))

    assert len(table) == 288


@pytest.mark.parametrize(
    ("name", "text", "error", "message"),
    [
        ("PRICE_AND_DEMAND_202412_NSW1.csv", content(), FileFormatError, "named after NSW1"),
        ("PRICE_AND_DEMAND_202411_VIC1.csv", content(), FileFormatError, "named after 2024-11"),
        (NAME, content(region="WA1"), FileFormatError, r"line 2.*'WA1': one of NSW1"),
        (NAME, content().replace("TRADE\r\nVIC1", "TRADE\r\nNSW1", 1), FileFormatError, "line 3"),
        (NAME, content().replace("TRADE", "PREDISPATCH", 1), FileFormatError, "line 2"),
        (NAME, content(minutes=30, n=48), TimeGridError, "5 row.s. are missing before it"),
        ("x.csv", content(region="TAS1"), DataError, "300 … 2300 MW, the demand of TAS1"),
        (NAME, content().replace(",-20.01,", ",-1000.01,"), DataError, "-1000 … 30000 AUD/MWh"),
        (NAME, content().replace("2024/12/01 00:05", "2024/13/01 00:05"), DataError, "not a time"),
        (NAME, content().replace("2024/12/01 00:05", "01/12/2024 00:05"), DataError, "not a time"),
        (NAME, content()[:-2], FileFormatError, "no line end"),
    ],
)
def test_damage_is_named(
    read_market: Any, name: str, text: str, error: type[DataError], message: str
) -> None:
    with pytest.raises(error, match=message):
        read_market(FORMATS, name, text)


def test_area_that_is_not_the_files_is_refused(read_market: Any) -> None:
    with pytest.raises(FileFormatError, match="holds VIC1, but the area nsw1"):
        read_market(FORMATS, NAME, content(), area="nsw1")


def test_no_damaged_file_gives_a_wrong_table(fuzz: Any) -> None:
    outcomes = fuzz(FORMATS, NAME, content(), n=320)

    assert outcomes["refused"] > 250


def test_head_of_a_real_file(read_market: Any, reference_data: Path) -> None:
    path = reference_data / "formats" / "aemo_PRICE_AND_DEMAND_head.csv"

    (table,) = read_market(FORMATS, path.name, path.read_bytes())

    series = pd.read_parquet(reference_data / "data" / "nem_vic1_5min_2024-12_2025-05.parquet")
    expected = series.loc[table.starts]
    assert len(table) == 19
    np.testing.assert_allclose(
        table.column("real_time_price_per_kwh@vic1"), expected["price_aud_per_mwh"] / 1000, 1e-6
    )
    np.testing.assert_allclose(
        table.column("demand_kw@vic1"), expected["demand_mw"] * 1000, rtol=1e-6
    )

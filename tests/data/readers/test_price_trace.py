"""A price column becomes a trace only where every price is there."""

import numpy as np
import pandas as pd
import pytest

from gridhash.data.readers.price_trace import price_trace
from gridhash.data.source_table import Origin, SourceTable
from gridhash.errors import DataError, TimeGridError

PRICE = "price_per_kwh@kyushu"


def table(*, without: list[int] = [], nan: list[int] = []) -> SourceTable:  # noqa: B006
    """Return ten half hours priced 1, 2 … 10, some of them missing or NaN."""
    starts = pd.date_range("2024-04-01", periods=10, freq="30min", tz="UTC")
    prices = np.arange(1.0, 11.0)
    prices[nan] = np.nan
    frame = pd.DataFrame({PRICE: prices, "contract_kwh@japan": 5.0}, index=starts)
    keep = ~np.isin(np.arange(10), without)
    known = (starts - pd.Timedelta(days=1))[keep]
    return SourceTable(
        dataset="jepx-spot",
        frame=frame[keep],
        period_s=1800,
        currency="JPY",
        origins=(Origin("jepx", "spot.csv", "0" * 64),),
        available_at={PRICE: known, "contract_kwh@japan": known},
    )


def test_whole_column_with_its_publication() -> None:
    trace = price_trace(table(), PRICE)

    assert trace.column("price_per_kwh").tolist() == list(range(1, 11))
    assert (trace.area, trace.currency, trace.period_s) == ("kyushu", "JPY", 1800)
    assert trace.available_at["price_per_kwh"][3] == pd.Timestamp("2024-03-31T01:30Z")
    assert "spot.csv" in trace.source


def test_span_after_a_missing_row_takes_the_right_rows() -> None:
    trace = price_trace(table(without=[1, 2], nan=[5]), PRICE, pd.Timestamp("2024-04-01T03:00Z"))

    assert trace.column("price_per_kwh").tolist() == [7, 8, 9, 10]
    assert trace.start == pd.Timestamp("2024-04-01T03:00Z")
    assert trace.available_at["price_per_kwh"][0] == pd.Timestamp("2024-03-31T03:00Z")


def test_missing_rows_and_prices_are_named_with_the_longest_span() -> None:
    with pytest.raises(DataError) as caught:
        price_trace(table(without=[1, 2], nan=[5]), PRICE, timezone="Asia/Tokyo")

    message = str(caught.value)
    assert "no price at 2024-04-01T09:30:00+09:00 nor in 2 further slots" in message
    assert "the last at 2024-04-01T11:30:00+09:00" in message
    assert "start=2024-04-01T12:00:00+09:00, end=2024-04-01T14:00:00+09:00" in message


def test_column_without_any_price_offers_no_span() -> None:
    with pytest.raises(DataError, match=r"9 further slots.*choose another area$"):
        price_trace(table(nan=list(range(10))), PRICE)


def test_only_prices_become_a_trace() -> None:
    with pytest.raises(DataError, match=r"no price; choose one of price_per_kwh@kyushu$"):
        price_trace(table(), "contract_kwh@japan")
    with pytest.raises(DataError, match="there is no column price_per_kwh@tokyo"):
        price_trace(table(), "price_per_kwh@tokyo")


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        ("2024-04-01T00:00", None, "start 2024-04-01 00:00:00 has no time zone"),
        ("2024-03-01T00:00Z", None, "lies outside the file"),
        (None, "2024-04-01T05:30Z", "lies outside the file"),
        ("2024-04-01T00:10Z", None, "not the start of a slot"),
        ("2024-04-01T05:00Z", None, "is empty"),
        ("2024-04-01T02:00Z", "2024-04-01T01:00Z", "is empty"),
    ],
)
def test_span_that_does_not_fit_is_refused(
    start: str | None, end: str | None, expected: str
) -> None:
    with pytest.raises(TimeGridError, match=expected):
        price_trace(
            table(),
            PRICE,
            None if start is None else pd.Timestamp(start),
            None if end is None else pd.Timestamp(end),
        )

"""The column table bounds values, and a series in the wrong unit is told from a wild market."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridhash.data.schema import (
    COLUMN_BY_NAME,
    COLUMNS,
    CURRENCY_BANDS,
    bounds,
    first_fault,
    unit_slip,
)
from gridhash.errors import DataError

PRICE = COLUMN_BY_NAME["price_per_kwh"]
MONTH = 48 * 30


def test_table_names_each_column_once_with_unit_and_meaning() -> None:
    assert list(COLUMN_BY_NAME) == [column.name for column in COLUMNS]
    assert all(column.unit and column.meaning for column in COLUMNS)
    assert [column.name for column in COLUMNS if column.required] == ["price_per_kwh"]


@pytest.mark.parametrize("currency", CURRENCY_BANDS)
def test_bounds_of_every_currency_lie_in_those_of_the_column(currency: str) -> None:
    for column in COLUMNS:
        low, high = bounds(column, currency)

        assert column.low <= low <= high <= column.high


@pytest.mark.parametrize("currency", CURRENCY_BANDS)
def test_typical_prices_have_no_fault_and_a_thousandfold_is_a_unit_slip(currency: str) -> None:
    typical = CURRENCY_BANDS[currency].price_typical
    prices = typical * np.linspace(0.2, 3.0, MONTH)

    assert first_fault(PRICE, prices, currency=currency, period_s=1800) is None
    for factor in (1000.0, 100.0, 0.001):
        slip = unit_slip(factor * prices, currency=currency, period_s=1800)
        assert slip == pytest.approx(factor)
        fault = first_fault(PRICE, factor * prices, currency=currency, period_s=1800)
        assert fault is not None
        assert "the unit looks wrong" in fault.problem


def test_short_series_a_thousand_times_off_is_a_unit_slip_too() -> None:
    fault = first_fault(PRICE, np.full(48, 12_000.0), currency="JPY", period_s=1800)

    assert fault is not None
    assert "1000 times" in fault.problem


@pytest.mark.parametrize(
    ("currency", "prices"),
    [
        ("JPY", np.full(12, 0.01)),  # noon hours of a sunny day
        ("JPY", np.full(48 * 7, 200.0)),  # a week of crisis, as in January 2021
        ("USD", np.full(80, 9.0)),  # Texas in February 2021
        ("AUD", np.full(6, 17.5)),  # the market's cap
        ("EUR", np.zeros(24 * 30)),
        ("EUR", np.full(24 * 30, 0.5)),  # August 2022
    ],
)
def test_wild_markets_are_not_taken_for_unit_slips(currency: str, prices: np.ndarray) -> None:
    assert first_fault(PRICE, prices, currency=currency, period_s=1800) is None


@given(
    row=st.integers(0, MONTH - 1),
    value=st.sampled_from([np.nan, np.inf, -np.inf, 1001.0, -51.0]),
)
def test_first_bad_value_is_found_wherever_it_is(row: int, value: float) -> None:
    prices = np.full(MONTH, 12.0)
    prices[row] = value

    fault = first_fault(PRICE, prices, currency="JPY", period_s=1800)

    assert fault is not None
    assert fault.position == row


def test_unknown_currency_lists_the_known() -> None:
    with pytest.raises(DataError, match="currency 'XYZ'; known are JPY, EUR"):
        bounds(PRICE, "XYZ")

"""A trace refuses whatever is not one regular grid of plausible numbers, and names the row."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridhash.data.trace import Trace, concat
from gridhash.errors import DataError, TimeGridError
from gridhash.time_grid import grid

START = pd.Timestamp("2024-04-01T00:00Z")


def starts(n: int = 96, *, start: pd.Timestamp = START) -> pd.DatetimeIndex:
    return grid(start, start + n * pd.Timedelta(minutes=30), 1800)


def trace(index: pd.DatetimeIndex | None = None, prices: Any = None, **changes: Any) -> Trace:
    index = starts() if index is None else index
    values = np.arange(len(index)) / 10 if prices is None else prices
    settings = {"period_s": 1800, "currency": "JPY", "area": "kyushu", "source": "test", **changes}
    return Trace.from_prices(index, values, published_at=index, **settings)


def test_index_is_named_start_in_whole_seconds_of_utc() -> None:
    index = trace(starts().as_unit("ns").rename("other")).starts

    assert (index.name, index.unit, str(index.tz)) == ("start", "s", "UTC")


def test_span_ends_after_the_last_interval() -> None:
    found = trace()

    assert (found.start, found.end) == (START, START + pd.Timedelta(days=2))
    assert len(found) == found.n_rows == 96


def test_repr_is_one_line_with_area_span_and_source() -> None:
    text = repr(trace())

    assert "\n" not in text
    for part in ("kyushu", "JPY", "2024-04-01T00:00Z", "2024-04-03T00:00Z", "96 × 1800 s", "test"):
        assert part in text


def test_frame_given_may_change_later_without_changing_the_trace() -> None:
    prices = np.ones(96)
    found = trace(prices=prices)
    prices[:] = 5.0
    found.column("price_per_kwh")[:] = 7.0

    assert (found.column("price_per_kwh") == 1.0).all()


def moved(minutes: int) -> pd.DatetimeIndex:
    index = starts()
    return pd.DatetimeIndex(index[:5].append(index[5:] + pd.Timedelta(minutes=minutes)))


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        (
            starts().delete(5),
            r"row 6 \(2024-04-01T03:00:00\+00:00\): 1 slot\(s\) of 1800 s are miss",
        ),
        (starts().insert(5, starts()[5]), r"row 7 \(2024-04-01T02:30.*duplicate"),
        (starts()[::-1], r"row 2 \(2024-04-02T23:00.*before the row above.*sort"),
        (moved(10), r"row 6 \(2024-04-01T02:40.*off the grid"),
        (starts() + pd.Timedelta(seconds=7), r"row 1 .*not on a whole minute"),
        (starts().tz_localize(None), r"must hold starts with a time zone.*localise"),
        (starts().tz_convert("Asia/Tokyo"), r"in Asia/Tokyo; convert it to UTC"),
        (starts()[:0], r"no rows"),
        (pd.RangeIndex(96), r"must hold starts with a time zone"),
        (starts().insert(3, pd.NaT).delete(4), r"row 4: the start is missing"),
    ],
)
def test_slots_that_are_no_grid_are_named(index: Any, expected: str) -> None:
    frame = pd.DataFrame({"price_per_kwh": np.ones(len(index))}, index=index)

    with pytest.raises(TimeGridError, match=expected):
        Trace(
            frame=frame,
            period_s=1800,
            currency="JPY",
            area="kyushu",
            source="test",
            available_at={"price_per_kwh": starts(len(index))},
        )


@given(drop=st.sets(st.integers(1, 94), min_size=1, max_size=5))
def test_any_missing_slot_is_found_at_the_row_after_it(drop: set[int]) -> None:
    with pytest.raises(TimeGridError) as caught:
        trace(starts().delete(sorted(drop)))

    assert f"test, row {min(drop) + 1} (" in str(caught.value)
    assert "missing" in str(caught.value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.nan, "price_per_kwh is nan .1 such rows.: nothing is filled in"),
        (np.inf, "price_per_kwh is inf"),
        (2000.0, "price_per_kwh 2000 JPY/kWh is outside -50 … 1000: check the unit"),
    ],
)
def test_bad_value_is_named_with_row_column_and_value(value: float, expected: str) -> None:
    prices = np.ones(96)
    prices[17] = value

    with pytest.raises(
        DataError, match=r"test, row 18 \(2024-04-01T08:30:00\+00:00\): " + expected
    ):
        trace(prices=prices)


def test_text_among_the_numbers_is_refused() -> None:
    index = starts(2)
    with pytest.raises(DataError, match="price_per_kwh holds something that is no number"):
        Trace(
            frame=pd.DataFrame({"price_per_kwh": ["1", "x"]}, index=index),
            period_s=1800,
            currency="JPY",
            area="kyushu",
            source="test",
            available_at={"price_per_kwh": index},
        )


def test_period_must_divide_a_day() -> None:
    with pytest.raises(TimeGridError, match="period_s 7000 does not divide a day"):
        trace(period_s=7000)


def test_unknown_currency_is_refused() -> None:
    with pytest.raises(DataError, match="currency 'ABC'"):
        trace(currency="ABC")


def test_surplus_and_weather_are_known_at_the_end_and_hashprice_at_the_start() -> None:
    found = trace().with_columns(
        {
            "outdoor_temp_c": np.full(96, 15.0),
            "surplus_frac": np.zeros(96),
            "hashprice_usd_per_phs_day": np.full(96, 40.0),
            "currency_per_usd": np.full(96, 150.0),
        }
    )

    ends = found.starts + pd.Timedelta(minutes=30)
    assert (found.available_at["surplus_frac"] == ends).all()
    assert (found.available_at["outdoor_temp_c"] == ends).all()
    assert (found.available_at["hashprice_usd_per_phs_day"] == found.starts).all()
    assert (found.available_at["currency_per_usd"] == found.starts).all()
    assert list(found.frame.columns)[:2] == ["price_per_kwh", "surplus_frac"]


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"surplus_frac": np.full(96, 1.2)}, r"row 1 .*surplus_frac 1\.2 1 is outside 0 … 1"),
        ({"surplus_frac": np.zeros(95)}, r"shape \(95,\), not \(96,\)"),
        ({"outdoor_temp_c": pd.Series(np.zeros(96))}, "the index of outdoor_temp_c is not that"),
        ({"mood": np.zeros(96)}, "unknown column mood; a trace holds price_per_kwh, "),
        ({"currency_per_usd": np.full(96, 1 / 150)}, "currency_per_usd 0.00666.* outside 50 … 500"),
    ],
)
def test_column_that_does_not_fit_is_refused(columns: dict[str, Any], expected: str) -> None:
    with pytest.raises(DataError, match=expected):
        trace().with_columns(columns)


def test_value_known_before_the_row_above_is_refused() -> None:
    index = starts()
    order = np.arange(96)
    order[10] = 8

    with pytest.raises(DataError, match=r"row 11 .*would be known before the row above"):
        Trace.from_prices(
            index,
            np.ones(96),
            published_at=index[order],
            period_s=1800,
            currency="JPY",
            area="kyushu",
            source="test",
        )


@given(first=st.integers(0, 95), n=st.integers(1, 96))
def test_between_takes_exactly_the_rows_that_start_in_the_span(first: int, n: int) -> None:
    whole = trace()
    stop = min(first + n, 96)
    edges = [START + k * pd.Timedelta(minutes=30) for k in (first, stop)]

    part = whole.between(edges[0].tz_convert("Asia/Tokyo"), edges[1])

    assert (part.start, part.end) == tuple(edges)
    assert (part.column("price_per_kwh") == whole.column("price_per_kwh")[first:stop]).all()
    assert len(part.available_at["price_per_kwh"]) == part.n_rows


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        ("2024-04-01T00:00", "2024-04-02T00:00Z", "start .*no time zone"),
        ("2024-03-31T00:00Z", "2024-04-02T00:00Z", "start .*lies outside the data"),
        ("2024-04-01T00:00Z", "2024-04-04T00:00Z", "end .*lies outside the data"),
        ("2024-04-01T00:10Z", "2024-04-02T00:00Z", "start .*not the start of a 1800 s interval"),
        ("2024-04-02T00:00Z", "2024-04-01T00:00Z", "is empty"),
    ],
)
def test_between_refuses_a_span_that_does_not_fit(start: str, end: str, expected: str) -> None:
    with pytest.raises(TimeGridError, match=expected):
        trace().between(pd.Timestamp(start), pd.Timestamp(end))


@given(cut=st.integers(1, 95))
def test_concat_undoes_a_cut(cut: int) -> None:
    whole = trace()
    middle = START + cut * pd.Timedelta(minutes=30)

    again = concat([whole.between(START, middle), whole.between(middle, whole.end)])

    pd.testing.assert_frame_equal(again.frame, whole.frame, check_freq=False)
    assert (again.available_at["price_per_kwh"] == whole.available_at["price_per_kwh"]).all()
    assert again.source == "test"


@pytest.mark.parametrize(
    ("start", "problem"), [("2024-04-03T00:30Z", "a gap"), ("2024-04-02T23:30Z", "an overlap")]
)
def test_concat_refuses_gap_and_overlap(start: str, problem: str) -> None:
    after = trace(starts(start=pd.Timestamp(start)))

    with pytest.raises(TimeGridError, match=f"{problem} between test, which ends 2024-04-03"):
        concat([trace(), after])


def test_concat_refuses_another_area_other_columns_and_nothing() -> None:
    after = starts(start=pd.Timestamp("2024-04-03T00:00Z"))

    with pytest.raises(DataError, match="differ in area: kyushu and tokyo"):
        concat([trace(), trace(after, area="tokyo")])
    with pytest.raises(DataError, match="differ in columns"):
        concat([trace(), trace(after).with_columns({"surplus_frac": np.zeros(96)})])
    with pytest.raises(DataError, match="at least one"):
        concat([])


def test_missing_column_is_named() -> None:
    with pytest.raises(DataError, match="there is no column surplus_frac; it holds price_per_kwh"):
        trace().column("surplus_frac")
    with pytest.raises(DataError, match="the column price_per_kwh is missing"):
        Trace(
            frame=pd.DataFrame({"surplus_frac": np.zeros(96)}, index=starts()),
            period_s=1800,
            currency="JPY",
            area="kyushu",
            source="test",
            available_at={"surplus_frac": starts()},
        )

"""What is known at an instant is a prefix, and nothing later can be reached."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from gridhash.data.forecasts.series import Series, known_at, require_one_grid, series_of
from gridhash.data.splits import Span
from gridhash.data.trace import Trace
from gridhash.errors import DataError, LookAheadError, TimeGridError

STARTS = pd.date_range("2024-05-01T00:00Z", periods=6, freq="h", unit="s")
ONE_DAY = pd.Timedelta(days=1)


def a_series(**changes: object) -> Series:
    values = np.array([1.0, 2.0, np.nan, 4.0, 5.0, 6.0])
    base = Series(
        name="temp",
        starts=STARTS,
        values=values,
        available_at=STARTS + pd.Timedelta(hours=1),
        period_s=3600,
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def at(text: str) -> pd.Timestamp:
    return pd.Timestamp(f"2024-05-01T{text}Z")


def test_only_rows_that_are_available_are_there() -> None:
    known = known_at({"temp": a_series()}, at("03:00"))

    assert known["temp"].values.tolist()[:2] == [1.0, 2.0]
    assert len(known["temp"].values) == 3
    assert known.value("temp", at("01:00")) == 2.0


def test_a_second_before_publication_it_is_not_known() -> None:
    assert len(known_at({"temp": a_series()}, at("02:59:59"))["temp"].values) == 2


def test_publication_within_a_second_is_not_known_before() -> None:
    late = a_series(
        available_at=(STARTS + pd.Timedelta(hours=1)).as_unit("ms") + pd.Timedelta("1ms")
    )

    assert len(known_at({"temp": late}, at("03:00"))["temp"].values) == 2


def test_asking_for_later_raises() -> None:
    known = known_at({"temp": a_series()}, at("03:00"))

    with pytest.raises(LookAheadError, match=r"temp of 2024-05-01T03:00:00.* not known yet"):
        known.value("temp", at("03:00"))


def test_asking_off_the_grid_or_for_another_series_raises() -> None:
    known = known_at({"temp": a_series()}, at("03:00"))

    with pytest.raises(TimeGridError, match="no interval"):
        known.value("temp", at("01:30"))
    with pytest.raises(DataError, match="no series price; there are temp"):
        known.value("price", at("01:00"))


def test_missing_values_stay_missing() -> None:
    known = known_at({"temp": a_series()}, at("03:00"))

    assert np.isnan(known.value("temp", at("02:00")))
    assert known["temp"].last_finite.tolist() == [0, 1, 1]


def test_every_column_of_a_trace_keeps_its_availability() -> None:
    published = pd.DatetimeIndex([STARTS[0] - pd.Timedelta(hours=12)] * 6)
    trace = Trace.from_prices(
        STARTS,
        np.full(6, 12.0),
        published_at=published,
        period_s=3600,
        currency="JPY",
        area="kyushu",
        source="test",
    ).with_columns({"outdoor_temp_c": np.arange(6.0)})

    known = known_at(trace, STARTS[2])

    assert len(known["price_per_kwh"].values) == 6
    assert len(known["outdoor_temp_c"].values) == 2
    assert set(series_of(trace)) == {"price_per_kwh", "outdoor_temp_c"}


def test_values_outside_spans_become_missing() -> None:
    inside = a_series().inside([Span(at("00:30"), at("02:00")), Span(at("04:00"), at("05:00"))])

    assert np.isnan(inside.values).tolist() == [True, False, True, True, False, True]


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"starts": STARTS.delete(2).append(STARTS[:1] + ONE_DAY)}, TimeGridError, "next start"),
        ({"starts": STARTS.tz_localize(None)}, TimeGridError, "time zone"),
        ({"values": np.zeros(5)}, TimeGridError, "5 values"),
        ({"values": np.array([0, 0, np.inf, 0, 0, 0.0])}, DataError, "infinite"),
        ({"available_at": STARTS[::-1]}, DataError, "known before the row above"),
    ],
)  # fmt: skip
def test_a_series_that_cannot_be_right_is_refused(
    changes: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        a_series(**changes)


def test_series_on_two_grids_are_refused() -> None:
    other = a_series(starts=STARTS + pd.Timedelta(minutes=30))

    with pytest.raises(TimeGridError, match="one grid"):
        require_one_grid({"a": a_series(), "b": other})


def test_an_issue_time_without_time_zone_is_refused() -> None:
    with pytest.raises(DataError, match="no time zone"):
        known_at({"temp": a_series()}, pd.Timestamp("2024-05-01"))

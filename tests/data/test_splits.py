"""Parts of a split never meet; named regimes are where they say."""

from datetime import timedelta
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridhash.data.regimes import REGIMES, regime, stress_part
from gridhash.data.splits import Span, Split, split_by_years, years
from gridhash.data.trace import Trace
from gridhash.errors import DataError, TimeGridError


def jst(text: str) -> pd.Timestamp:
    return pd.Timestamp(text, tz="Asia/Tokyo")


def half_hours(first: str, last: str, *, area: str = "kyushu", currency: str = "JPY") -> Trace:
    starts = pd.date_range(jst(first), jst(last), freq="30min", inclusive="left", unit="s")
    starts = starts.tz_convert("UTC")
    return Trace.from_prices(
        starts,
        np.full(len(starts), 10.0 if currency == "JPY" else 0.05),
        published_at=starts,
        period_s=1800,
        currency=currency,
        area=area,
        source="test",
    )


def test_a_japanese_fiscal_year_begins_in_april_in_japan() -> None:
    year = years(2022, 2022, calendar="japan-fiscal", timezone="Asia/Tokyo")

    assert year == Span(jst("2022-04-01"), jst("2023-04-01"))
    assert year.length == timedelta(days=365)


def test_a_calendar_year_in_a_zone_with_summer_time() -> None:
    year = years(2024, 2024, calendar="calendar", timezone="America/Chicago")

    assert year.start == pd.Timestamp("2024-01-01T06:00Z")
    assert year.length == timedelta(days=366)


def test_split_by_fiscal_years_takes_the_embargo_from_the_earlier_part() -> None:
    split = split_by_years(
        train=range(2018, 2021),
        validation=[2021],
        test=[2022],
        calendar="japan-fiscal",
        timezone="Asia/Tokyo",
    )

    assert split.train == Span(jst("2018-04-01"), jst("2021-03-24"))
    assert split.validation == Span(jst("2021-04-01"), jst("2022-03-24"))
    assert split.test == Span(jst("2022-04-01"), jst("2023-04-01"))


def test_what_judges_may_lie_before_what_teaches() -> None:
    split = split_by_years(
        train=[2022, 2023],
        validation=[2021],
        test=[2020],
        calendar="japan-fiscal",
        timezone="Asia/Tokyo",
    )

    assert split.test.end == jst("2021-03-24")
    assert split.train.end == jst("2024-04-01")


@given(st.lists(st.integers(2000, 2040), min_size=3, max_size=3, unique=True), st.integers(0, 40))
def test_parts_are_disjoint_and_an_embargo_apart(chosen: list[int], days: int) -> None:
    embargo = timedelta(days=days)
    split = split_by_years(
        train=chosen[:1],
        validation=chosen[1:2],
        test=chosen[2:],
        calendar="calendar",
        timezone="Europe/Berlin",
        embargo=embargo,
    )

    spans = sorted([split.train, split.validation, split.test], key=lambda span: span.start)
    for before, after in pairwise(spans):
        assert after.start - before.end >= embargo


def test_overlap_is_refused_with_its_dates() -> None:
    with pytest.raises(
        DataError, match=r"train 2019-12-31T15:00Z … .* and test .* overlap by 31 d"
    ):
        Split(
            train=Span(jst("2020-01-01"), jst("2021-01-01")),
            validation=Span(jst("2022-01-01"), jst("2022-06-01")),
            test=Span(jst("2020-12-01"), jst("2021-06-01")),
        )


def test_too_short_an_embargo_is_refused_with_its_dates() -> None:
    with pytest.raises(
        DataError, match=r"2022-05-31T15:00Z.*2022-06-04T15:00Z.*only 4 days.*8 days"
    ):
        Split(
            train=Span(jst("2020-01-01"), jst("2021-01-01")),
            validation=Span(jst("2022-01-01"), jst("2022-06-01")),
            test=Span(jst("2022-06-05"), jst("2022-12-01")),
        )


def test_years_with_a_gap_or_in_two_parts_are_refused() -> None:
    def split(train: list[int], validation: list[int]) -> Split:
        return split_by_years(
            train=train,
            validation=validation,
            test=[2024],
            calendar="calendar",
            timezone="UTC",
        )

    with pytest.raises(DataError, match="consecutive"):
        split([2018, 2020], [2022])
    with pytest.raises(DataError, match="overlap"):
        split([2018, 2019], [2019])
    with pytest.raises(DataError, match="consecutive"):
        split([], [2019])


@pytest.mark.parametrize(
    ("start", "end", "message"),
    [("2024-01-01", "2024-01-01", "empty"), ("2024-01-02", "2024-01-01", "empty")],
)
def test_an_empty_span_is_refused(start: str, end: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Span(jst(start), jst(end))


def test_a_span_without_time_zone_is_refused() -> None:
    with pytest.raises(DataError, match="no time zone"):
        Span(pd.Timestamp("2024-01-01"), jst("2024-01-02"))


def test_parts_of_a_trace_share_no_row() -> None:
    trace = half_hours("2020-04-01", "2021-04-01")
    split = Split(
        train=Span(jst("2020-04-01"), jst("2020-10-01")),
        validation=Span(jst("2020-10-09"), jst("2020-12-01")),
        test=Span(jst("2020-12-09"), jst("2021-04-01")),
    )

    parts = [split.part(trace, role) for role in ("train", "validation", "test")]

    rows = [set(part.starts) for part in parts]
    assert not rows[0] & rows[1]
    assert not rows[1] & rows[2]
    assert parts[2].end == trace.end
    with pytest.raises(TimeGridError, match="outside the data"):
        split.part(half_hours("2020-04-01", "2020-06-01"), "test")


def test_regimes_have_names_of_their_own_and_whole_local_days() -> None:
    assert len({one.name for one in REGIMES}) == len(REGIMES)
    assert regime("jepx-crisis-2021-01").span == Span(jst("2020-12-26"), jst("2021-01-28"))
    with pytest.raises(DataError, match="there are jepx-crisis"):
        regime("nothing")


def test_stress_part_is_of_the_right_market() -> None:
    part = stress_part(half_hours("2020-04-01", "2021-04-01"), "jepx-crisis-2021-01")

    assert part.n_rows == 33 * 48
    with pytest.raises(DataError, match="of kyushu in JPY"):
        stress_part(
            half_hours("2023-01-01", "2023-07-01", area="tokyo"), "jepx-floor-kyushu-2023-spring"
        )
    with pytest.raises(DataError, match="test is kyushu in USD"):
        stress_part(half_hours("2020-04-01", "2021-04-01", currency="USD"), "jepx-crisis-2021-01")

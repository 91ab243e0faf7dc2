"""The join keeps every value where it belongs, fills nothing unasked, and reports the rest."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridhash.data.join import Fill, JoinColumn, Part, join
from gridhash.data.source_table import Origin, SourceTable
from gridhash.errors import DataError, TimeGridError

START = datetime(2024, 4, 1, tzinfo=UTC)
TEMPERATURE = "outdoor_temp_c@site"
PRICE = "price_per_kwh@kyushu"


def table(
    values: list[float],
    *,
    field: str = PRICE,
    period_s: int | None = 1800,
    start: datetime = START,
    file: str = "a.csv",
    currency: str | None = "JPY",
    lag_s: int = 0,
) -> SourceTable:
    step = period_s or 3600
    starts = pd.date_range(start, periods=len(values), freq=f"{step}s", unit="s")
    return SourceTable(
        dataset="test",
        frame=pd.DataFrame({field: values}, index=starts),
        period_s=period_s,
        currency=currency,
        origins=(Origin("own", file, "0" * 64),),
        available_at={field: starts + pd.Timedelta(seconds=lag_s)},
    )


def column(*tables: SourceTable, name: str = "price_per_kwh", **more: object) -> JoinColumn:
    parts = tuple(Part(table=one, field=one.columns[0]) for one in tables)
    return JoinColumn(column=name, parts=parts, **more)  # type: ignore[arg-type]


def run(*columns: JoinColumn, hours: float, period_s: int = 1800, start: datetime = START):  # type: ignore[no-untyped-def]
    end = start + timedelta(hours=hours)
    return join(columns, start=start, end=end, period_s=period_s, currency="JPY", area="kyushu")


def test_an_hourly_value_holds_in_both_its_half_hours() -> None:
    price = column(table([10.0, 11.0, 12.0, 13.0]))
    temperature = column(
        table([20.0, 30.0], field=TEMPERATURE, period_s=3600, lag_s=3600), name="outdoor_temp_c"
    )
    trace = run(price, temperature, hours=2).to_trace()
    assert trace.column("outdoor_temp_c").tolist() == [20.0, 20.0, 30.0, 30.0]
    known = trace.available_at["outdoor_temp_c"]
    assert known[1] == START + timedelta(hours=1)


def test_five_minute_values_are_averaged_and_known_with_the_last_of_them() -> None:
    fine = table([1.0, 2.0, 3.0, 4.0, 5.0, 9.0], period_s=300, lag_s=300)
    trace = run(column(fine), hours=0.5).to_trace()
    assert trace.column("price_per_kwh").tolist() == [4.0]
    assert trace.available_at["price_per_kwh"][0] == START + timedelta(minutes=30)


def test_a_step_series_holds_until_its_next_row() -> None:
    steps = table([50.0, 60.0, 70.0], field="hashprice_usd_per_phs_day@bitcoin", period_s=None)
    price = column(table([1.0] * 5))
    trace = run(price, column(steps, name="hashprice_usd_per_phs_day"), hours=2.5).to_trace()
    assert trace.column("hashprice_usd_per_phs_day").tolist() == [50, 50, 60, 60, 70]


def test_how_long_the_last_step_holds_is_not_guessed() -> None:
    steps = table([50.0, 60.0], field="hashprice_usd_per_phs_day@bitcoin", period_s=None)
    held = column(steps, name="hashprice_usd_per_phs_day")
    price = column(table([1.0] * 6))
    (_, report) = run(price, held, hours=3).report.columns
    assert report.gaps[0].n_rows == 3
    fill = Fill(how="hold", max_gap_s=7200)
    trace = run(price, replace(held, fill=fill), hours=3).to_trace()
    assert trace.column("hashprice_usd_per_phs_day").tolist() == [50, 50, 60, 60, 60, 60]


def test_a_gap_is_named_and_never_filled_unasked() -> None:
    holed = table([1.0, np.nan, np.nan, 4.0])
    joined = run(column(holed), hours=2)
    (gap,) = joined.report.columns[0].gaps
    assert (gap.start, gap.n_rows) == (pd.Timestamp("2024-04-01T00:30Z"), 2)
    with pytest.raises(
        DataError, match=r"price_per_kwh: 2 rows in 1 gap\(s\).*T00:30:00.*01:30:00"
    ):
        joined.to_trace()


def test_one_missing_part_makes_the_whole_mean_a_gap() -> None:
    joined = run(column(table([1.0, 1.0, np.nan, 1.0, 1.0, 1.0], period_s=300)), hours=0.5)
    assert joined.report.columns[0].gaps[0].n_rows == 1


@pytest.mark.parametrize(
    ("fill", "expected"),
    [
        (Fill(how="hold", max_gap_s=3600), [1.0, 1.0, 1.0, 4.0]),
        (Fill(how="interpolate", max_gap_s=3600), [1.0, 2.0, 3.0, 4.0]),
        (Fill(how="constant", max_gap_s=3600, value=7.0), [1.0, 7.0, 7.0, 4.0]),
    ],
)
def test_a_fill_is_done_as_asked_and_noted(fill: Fill, expected: list[float]) -> None:
    trace = run(column(table([1.0, np.nan, np.nan, 4.0]), fill=fill), hours=2).to_trace()
    assert trace.column("price_per_kwh").tolist() == expected
    span = "2024-04-01T00:00Z … 2024-04-01T02:00Z"
    assert trace.notes == (f"price_per_kwh: 2 rows filled ({fill}) in {span}",)


def test_what_is_interpolated_is_known_only_with_the_later_neighbour() -> None:
    fill = Fill(how="interpolate", max_gap_s=3600)
    trace = run(column(table([1.0, np.nan, 3.0], lag_s=1800), fill=fill), hours=1.5).to_trace()
    assert trace.available_at["price_per_kwh"][1] == START + timedelta(hours=1.5)


def test_a_gap_longer_than_allowed_stays() -> None:
    fill = Fill(how="hold", max_gap_s=1800)
    joined = run(column(table([1.0, np.nan, np.nan, 4.0]), fill=fill), hours=2)
    assert joined.report.columns[0].gaps[0].n_rows == 2


def test_a_second_source_fills_what_the_first_lacks() -> None:
    first, second = table([1.0, np.nan, 3.0]), table([1.0, 2.0, 3.0], file="b.csv")
    joined = run(column(first, second), hours=1.5)
    assert joined.to_trace().column("price_per_kwh").tolist() == [1.0, 2.0, 3.0]
    report = joined.report.columns[0]
    assert (report.n_from_first, report.n_overlap, report.n_disagreements) == (2, 2, 0)


def test_two_sources_of_one_price_that_disagree_are_refused_with_their_rows() -> None:
    """The case of a system price that was shifted against the official one."""
    official = [8.0 + slot % 7 for slot in range(48)]
    shifted = official[1:] + official[:1]
    joined = run(column(table(official), table(shifted, file="tampered.csv")), hours=24)
    assert joined.report.columns[0].n_disagreements == 48
    with pytest.raises(DataError, match=r"2024-04-01T00:00:00.* says 8, .*tampered.csv.* says 9"):
        joined.to_trace()
    trace = joined.to_trace(prefer_first=True)
    assert trace.column("price_per_kwh").tolist() == official
    assert "48 rows where sources disagree" in trace.notes[0]


def test_a_disagreement_names_the_source_that_was_taken() -> None:
    tables = [
        table([np.nan, 1.0]),
        table([10.0, 1.0], file="b.csv"),
        table([12.0, 1.0], file="c.csv"),
    ]
    (found,) = run(column(*tables), hours=1).report.columns[0].disagreements
    assert ("b.csv" in found.source, "c.csv" in found.other_source) == (True, True)


def test_a_row_that_came_late_delays_those_below_and_is_noted() -> None:
    late = table([1.0, 2.0, 3.0])
    known = late.starts.to_series()
    known.iloc[1] += pd.Timedelta(hours=2)
    late = replace(late, available_at={PRICE: pd.DatetimeIndex(known)})
    trace = run(column(late), hours=1.5).to_trace()
    assert trace.available_at["price_per_kwh"][2] == START + timedelta(hours=2.5)
    assert "1 rows in" in trace.notes[0]
    assert "up to 1.5 h later" in trace.notes[0]


def test_a_field_of_another_unit_is_refused() -> None:
    demand = table([30.0], field="demand_kw@kyushu")
    with pytest.raises(DataError, match=r"outdoor_temp_c is in °C, but .* in kW"):
        run(column(demand, name="outdoor_temp_c"), hours=0.5)


def test_a_tolerance_lets_rounding_pass() -> None:
    pair = column(table([1.0, 2.0]), table([1.004, 2.0], file="b.csv"), tolerance=0.005)
    assert run(pair, hours=1).report.columns[0].n_disagreements == 0


def test_a_scale_is_applied_and_noted() -> None:
    part = Part(table=table([10.0, 20.0]), field=PRICE, scale=0.5)
    trace = run(JoinColumn(column="price_per_kwh", parts=(part,)), hours=1).to_trace()
    assert trace.column("price_per_kwh").tolist() == [5.0, 10.0]
    assert "times 0.5" in trace.notes[0]


def test_prices_of_another_currency_are_refused() -> None:
    with pytest.raises(DataError, match="is in EUR, the trace in JPY"):
        run(column(table([0.1], currency="EUR")), hours=0.5)


@pytest.mark.parametrize(
    ("period_s", "start", "message"),
    [
        (1200, START, "do not divide each other"),
        (1800, START + timedelta(minutes=10), "do not meet"),
    ],
)
def test_grids_that_do_not_fit_are_refused(period_s: int, start: datetime, message: str) -> None:
    with pytest.raises(TimeGridError, match=message):
        run(column(table([1.0] * 8)), hours=2, period_s=period_s, start=start)


def test_a_day_of_25_hours_has_25_values_of_an_hourly_source() -> None:
    """31 March and 27 October 2024 in Berlin: the grid is UTC, so no hour is lost or doubled."""
    for day, hours in (("2024-03-31", 23), ("2024-10-27", 25)):
        start = pd.Timestamp(day, tz="Europe/Berlin").tz_convert("UTC")
        end = (pd.Timestamp(day, tz="Europe/Berlin") + pd.DateOffset(days=1)).tz_convert("UTC")
        hourly = table([float(h) for h in range(hours)], period_s=3600, start=start)
        joined = join(
            [column(hourly)], start=start, end=end, period_s=900, currency="JPY", area="x"
        )
        assert joined.to_trace().column("price_per_kwh").tolist() == [
            float(h) for h in range(hours) for _ in range(4)
        ]


@given(
    values=st.lists(st.floats(-10, 100), min_size=12, max_size=48),
    periods=st.sampled_from([(300, 900), (900, 1800), (3600, 900), (1800, 1800), (300, 3600)]),
)
def test_the_mean_price_is_kept_whatever_the_periods(
    values: list[float], periods: tuple[int, int]
) -> None:
    source_s, target_s = periods
    n = len(values) // 12 * 12
    trace = run(
        column(table(values[:n], period_s=source_s)), hours=n * source_s / 3600, period_s=target_s
    ).to_trace()
    assert trace.column("price_per_kwh").mean() == pytest.approx(np.mean(values[:n]), abs=1e-9)


@given(st.lists(st.booleans(), min_size=4, max_size=30))
def test_every_row_is_kept_or_reported_missing(present: list[bool]) -> None:
    values = [float(i) if here else np.nan for i, here in enumerate(present)]
    joined = run(column(table(values)), hours=len(values) / 2)
    missing = sum(gap.n_rows for gap in joined.report.columns[0].gaps)
    assert missing == present.count(False)
    np.testing.assert_array_equal(joined.frame["price_per_kwh"].to_numpy(), values)

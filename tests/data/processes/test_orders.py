"""Orders and calls come about as often as said, where said, and as early as said."""

import jpholiday
import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from gridhash.config_processes import (
    DemandProcess,
    DrDownProcess,
    DrUpProcess,
    PauseOrderProcess,
    ProcessSettings,
)
from gridhash.data.processes.add import add_processes
from gridhash.data.processes.common import expected
from gridhash.data.processes.orders import with_dr_down_calls, with_pause_orders
from gridhash.data.runs import runs
from gridhash.data.synthetic import synthetic_japan
from gridhash.data.trace import Trace, concat
from gridhash.errors import DataError
from gridhash.time_grid import epoch_s, from_epoch_s

ZONE = "Asia/Tokyo"
SETTINGS = ProcessSettings(
    timezone=ZONE,
    demand=DemandProcess(area="kyushu"),
    pause_orders=PauseOrderProcess(per_year=20.0),
    dr_down=DrDownProcess(),
    dr_up=DrUpProcess(),
)


@pytest.fixture(scope="module")
def years() -> Trace:
    trace = concat([synthetic_japan(seed=1, fiscal_year_start=year) for year in (2023, 2024)])
    return add_processes(trace, SETTINGS, 7)


def blocks(trace: Trace, name: str) -> list[tuple[pd.Timestamp, float]]:
    """Return local start and length [h] of each block."""
    local = trace.starts.tz_convert(ZONE)
    return [
        (local[first], (stop - first) * trace.period_s / 3600.0)
        for first, stop in runs(trace.column(name) > 0.0)
    ]


def test_pause_orders_lie_in_evenings_of_high_demand(years: Trace) -> None:
    found = blocks(years, "pause_order")

    assert 28 <= len(found) <= 52  # 40 expected in two years
    for start, hours in found:
        assert 2.0 <= hours <= 4.0
        assert start.hour >= 16
        assert start.hour + start.minute / 60 + hours <= 22.0
        assert start.month in (7, 8, 9, 12, 1, 2)
    assert len({start.date() for start, _ in found}) == len(found)
    rank = years.frame["demand_kw"].rank(pct=True).to_numpy()
    assert rank[years.column("pause_order") > 0.0].mean() > 0.85


def test_calls_to_reduce_are_three_hours_on_business_days_and_at_most_twelve_a_year(
    years: Trace,
) -> None:
    found = blocks(years, "dr_down_call")
    fiscal = [start.year - (start.month < 4) for start, _ in found]

    assert 8 <= len(found) <= 24
    assert max(fiscal.count(year) for year in set(fiscal)) <= 12
    for start, hours in found:
        assert hours == 3.0
        assert start.weekday() < 5
        assert not jpholiday.is_holiday(start.date())
        assert start.hour >= 9
        assert start.hour + start.minute / 60 + hours <= 20.0


def test_the_cap_of_a_fiscal_year_holds_when_more_are_wanted(years: Trace) -> None:
    bare = years.frame.drop(columns="dr_down_call")
    trace = Trace(
        frame=bare,
        period_s=1800,
        currency="JPY",
        area="kyushu",
        source="test",
        available_at={str(name): years.available_at[str(name)] for name in bare},
    )
    settings = DrDownProcess(per_year=80.0, most_per_year=5)
    found = blocks(with_dr_down_calls(trace, settings, timezone=ZONE, seed=1), "dr_down_call")
    fiscal = [start.year - (start.month < 4) for start, _ in found]

    assert [fiscal.count(year) for year in (2023, 2024)] == [5, 5]


def test_calls_to_consume_lie_in_spring_and_autumn_at_cheap_or_surplus_hours(years: Trace) -> None:
    found = blocks(years, "dr_up_call")
    called = years.column("dr_up_call") > 0.0
    surplus = (years.column("price_per_kwh") <= 0.01) | (years.column("surplus_frac") > 0.0)

    assert 40 <= len(found) <= 120
    assert all(start.month in (3, 4, 5, 10, 11) for start, _ in found)
    assert all(9 <= start.hour < 16 and 2.0 <= hours <= 7.0 for start, hours in found)
    assert surplus[called].mean() > 0.6


def test_notices_are_as_said(years: Trace) -> None:
    start_s = epoch_s(years.starts)
    for name in ("pause_order", "dr_down_call"):
        assert (start_s - epoch_s(years.available_at[name]) == 3 * 3600).all()
    told = years.available_at["dr_up_call"].tz_convert(ZONE)
    local = years.starts.tz_convert(ZONE)
    assert (told.hour == 16).all()
    assert ((local.normalize() - told.normalize()) == pd.Timedelta(days=1)).all()


def test_chance_alone_gives_the_stated_number() -> None:
    trace = concat([synthetic_japan(seed=2, fiscal_year_start=year) for year in (2023, 2024)])
    settings = PauseOrderProcess(per_year=60.0, demand_link=0.0)
    counts = [
        len(blocks(with_pause_orders(trace, settings, timezone=ZONE, seed=seed), "pause_order"))
        for seed in range(4)
    ]

    assert np.mean(counts) / 2 == pytest.approx(60.0, rel=0.12)


def test_what_is_expected_is_the_value_where_known_and_the_days_before_where_not() -> None:
    trace = synthetic_japan(seed=1).between(
        pd.Timestamp("2025-04-01", tz=ZONE), pd.Timestamp("2025-04-05", tz=ZONE)
    )
    values = np.repeat([1.0, 2.0, 6.0, 50.0], 48)
    known = trace.starts + pd.Timedelta(minutes=30)
    midnight_s = epoch_s(trace.starts) - np.tile(np.arange(48) * 1800, 4)

    assert expected(trace, values, known, midnight_s)[48::48].tolist() == [1.0, 1.5, 3.0]
    assert np.isnan(expected(trace, values, known, midnight_s)[:48]).all()
    early = from_epoch_s(epoch_s(trace.starts) - 86400)
    assert np.array_equal(expected(trace, values, early, midnight_s), values)


def test_a_second_draw_of_a_column_is_refused(years: Trace) -> None:
    with pytest.raises(DataError, match="pause_order is there already"):
        with_pause_orders(years, PauseOrderProcess(), timezone=ZONE, seed=1)


@pytest.mark.parametrize(
    ("block", "values", "message"),
    [
        (PauseOrderProcess, {"first_hour": 20.0, "last_hour": 22.0}, "do not fit"),
        (DrDownProcess, {"first_hour": 18.0}, "does not fit"),
        (DrUpProcess, {"first_hour": 15.0}, "does not fit"),
        (ProcessSettings, {"timezone": "Asia/Fukuoka"}, "no time zone"),
        (PauseOrderProcess, {"months": (13,)}, "less than or equal to 12"),
    ],
)
def test_impossible_settings_are_refused(
    block: type[PauseOrderProcess], values: dict[str, object], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        block.model_validate(values)

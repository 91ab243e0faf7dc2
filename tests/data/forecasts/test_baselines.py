"""Plain methods give what a person would work out by hand, with the spread of their errors."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from gridhash.data.forecasts.baselines import fit_climatology, fit_reference
from gridhash.data.forecasts.forecast import LEVELS, forecast, forecast_many
from gridhash.data.forecasts.sampling import TrainingOptions
from gridhash.data.forecasts.series import Series, known_at
from gridhash.data.splits import Span
from gridhash.errors import DataError

START = pd.Timestamp("2024-01-01T00:00Z")
MEDIAN = LEVELS.index(0.5)
OPTIONS = TrainingOptions(n_steps=24, timezone="UTC", seed=1, min_errors=50)


def hourly(values: np.ndarray) -> dict[str, Series]:
    starts = pd.date_range(START, periods=len(values), freq="h", unit="s")
    return {
        "x": Series(
            name="x",
            starts=starts,
            values=values,
            available_at=starts + pd.Timedelta(hours=1),
            period_s=3600,
        )
    }


def span(days: int) -> Span:
    return Span(START, START + pd.Timedelta(days=days))


def test_errors_of_persistence_grow_as_those_of_a_random_walk() -> None:
    walk = hourly(np.cumsum(np.random.default_rng(1).normal(size=24 * 400)))

    made = fit_reference(walk, [span(300)], target="x", reference="last", options=OPTIONS)

    sd = (made.errors[:, LEVELS.index(0.9)] - made.errors[:, LEVELS.index(0.1)]) / 2.563
    assert sd[0] == pytest.approx(1.0, rel=0.08)
    assert sd[8] == pytest.approx(3.0, rel=0.12)
    now = START + pd.Timedelta(days=350)
    last = walk["x"].values[350 * 24 - 1]
    made_now = forecast(made, known_at(walk, now), 24)
    assert made_now.values[:, MEDIAN] == pytest.approx(last + made.errors[:24, MEDIAN])


def test_published_values_are_no_errors_of_a_forecast() -> None:
    walk = hourly(np.cumsum(np.random.default_rng(1).normal(size=24 * 400)))["x"]
    published = {"x": replace(walk, available_at=walk.starts - pd.Timedelta(hours=10))}

    made = fit_reference(published, [span(300)], target="x", reference="last", options=OPTIONS)

    # One step beyond what is published the error is one step of the walk.
    spread = made.errors[0, LEVELS.index(0.9)] - made.errors[0, LEVELS.index(0.1)]
    assert spread / 2.563 == pytest.approx(1.0, rel=0.08)


def test_seasonal_methods_repeat_yesterday_and_last_week_without_error() -> None:
    hour = np.arange(24 * 60)
    daily, weekly = hourly((hour % 24).astype(float)), hourly((hour % 168).astype(float))
    now = START + pd.Timedelta(days=50, hours=5)

    day = fit_reference(daily, [span(40)], target="x", reference="same-slot-day", options=OPTIONS)
    week = fit_reference(
        weekly, [span(40)], target="x", reference="same-slot-week", options=OPTIONS
    )

    expected = (np.arange(24) + 5) % 24
    assert forecast(day, known_at(daily, now), 24).values[:, 3].tolist() == expected.tolist()
    expected = (np.arange(24) + 50 * 24 + 5) % 168
    assert forecast(week, known_at(weekly, now), 24).values[:, 3].tolist() == expected.tolist()


def test_quantiles_stay_within_bounds() -> None:
    surplus = hourly(np.maximum(0.0, np.random.default_rng(1).normal(-1.0, 1.0, 24 * 100)))
    options = replace(OPTIONS, bounds=(0.0, 1.0))

    made = fit_reference(surplus, [span(50)], target="x", reference="last", options=options)
    values = forecast(made, known_at(surplus, START + pd.Timedelta(days=60)), 24).values

    assert values.min() == 0.0
    assert values.max() <= 1.0


def test_persistence_holds_the_last_value_over_missing_hours() -> None:
    values = np.random.default_rng(1).normal(size=24 * 60)
    values[24 * 50 - 3 : 24 * 50] = np.nan
    series = hourly(values)
    made = fit_reference(series, [span(40)], target="x", reference="last", options=OPTIONS)

    first = forecast(made, known_at(series, START + pd.Timedelta(days=50)), 1).values[0]

    # Three hours are missing, so the first coming one is four steps from the last known value.
    assert first == pytest.approx(values[24 * 50 - 4] + made.errors[3])


def test_climatology_by_month_and_hour() -> None:
    starts = pd.date_range(START, periods=24 * 90, freq="h")
    values = np.asarray(starts.month * 100.0 + starts.hour)
    series = hourly(np.concatenate([values, np.full(24 * 40, np.nan)]))

    made = fit_climatology(series, [span(90)], target="x", timezone="UTC")

    assert made.table[1, 7].tolist() == pytest.approx([207.0] * len(LEVELS))
    july = pd.DatetimeIndex([START + pd.Timedelta(days=120)]).as_unit("s")
    unseen = forecast_many(made, series, july, [7]).values[0, 0]
    assert unseen[0] == pytest.approx(107.0)  # the hour over all months
    assert unseen[-1] == pytest.approx(307.0)


def test_too_short_a_span_is_refused() -> None:
    series = hourly(np.arange(24.0 * 10))

    with pytest.raises(DataError, match="too few"):
        fit_reference(series, [span(3)], target="x", reference="last", options=OPTIONS)
    with pytest.raises(DataError, match="hours of the day"):
        fit_climatology(
            series, [Span(START, START + pd.Timedelta(hours=5))], target="x", timezone="UTC"
        )

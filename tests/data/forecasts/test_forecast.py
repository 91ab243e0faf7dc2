"""A forecast belongs to its issue time: no earlier use, no later knowledge."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gridhash.data.forecasts.forecast import Forecast, Forecaster, forecast, forecast_many
from gridhash.data.forecasts.methods import METHODS
from gridhash.data.forecasts.series import Series, known_at
from gridhash.data.splits import Span
from gridhash.errors import DataError, LookAheadError, TimeGridError

Market = dict[str, Series]
Fitted = dict[str, Forecaster]
NOW = pd.Timestamp("2024-04-20T09:00Z")
ISSUES = pd.DatetimeIndex([NOW + pd.Timedelta(hours=7 * i) for i in range(5)]).as_unit("s")


def a_forecast() -> Forecast:
    return Forecast(
        issued_at=NOW,
        column="price",
        starts=pd.DatetimeIndex([NOW, NOW + pd.Timedelta(hours=1)]),
        quantile_levels=(0.1, 0.5, 0.9),
        values=np.array([[1.0, 2.0, 3.0], [2.0, 2.0, 2.0]]),
        method="test",
    )


def test_nobody_has_it_before_it_is_issued() -> None:
    made = a_forecast()

    assert made.known_at(NOW) is made
    with pytest.raises(LookAheadError, match="issued at 2024-04-20T09:00"):
        made.known_at(NOW - pd.Timedelta(seconds=1))


def test_quantile_by_level() -> None:
    assert a_forecast().quantile(0.9).tolist() == [3.0, 2.0]
    with pytest.raises(DataError, match="no quantile"):
        a_forecast().quantile(0.8)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"values": np.array([[2.0, 1.0, 3.0], [2.0, 2.0, 2.0]])}, DataError, "cross"),
        ({"values": np.array([[np.nan, 1.0, 3.0], [2.0, 2.0, 2.0]])}, DataError, "NaN"),
        ({"values": np.zeros((2, 2))}, DataError, "shape"),
        ({"issued_at": NOW + pd.Timedelta(minutes=1)}, TimeGridError, "before the issue time"),
        ({"issued_at": NOW.tz_localize(None)}, TimeGridError, "time zone"),
    ],
)
def test_a_forecast_that_cannot_be_right_is_refused(
    changes: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        replace(a_forecast(), **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("method", METHODS)
def test_quantiles_never_cross_and_cover_a_day(method: str, market: Market, fitted: Fitted) -> None:
    made = forecast(fitted[method], known_at(market, NOW), 24)

    assert made.starts[0] == NOW
    assert made.starts[-1] == NOW + pd.Timedelta(hours=23)
    assert made.values.shape == (24, 15)
    assert made.method == method
    assert (np.diff(made.values, axis=1) >= 0).all()


@pytest.mark.parametrize("method", METHODS)
def test_one_issue_time_and_many_give_the_same_bits(
    method: str, market: Market, fitted: Fitted
) -> None:
    many = forecast_many(fitted[method], market, ISSUES, range(24))

    for i, issued_at in enumerate(ISSUES):
        one = forecast(fitted[method], known_at(market, issued_at), 24)
        assert one.values.tobytes() == many[i].values.tobytes()
        assert (one.starts == many[i].starts).all()


@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(["price", "day_ahead", "demand"]),
    offset=st.integers(0, 200),
    value=st.floats(-1e6, 1e6),
    late_s=st.integers(0, 86400),
)
def test_a_value_that_is_not_yet_known_changes_no_bit(
    method: str,
    name: str,
    offset: int,
    value: float,
    late_s: int,
    market: Market,
    fitted: Fitted,
) -> None:
    issued = pd.DatetimeIndex([NOW + pd.Timedelta(seconds=late_s)]).as_unit("s")
    one = market[name]
    row = int(one.n_known(np.array([int(issued[0].timestamp())]))[0]) + offset
    values = one.values.copy()
    values[row] = value
    changed = {**market, name: replace(one, values=values)}
    # The later rows are within reach here, as they are in training and evaluation.
    before = fitted[method].quantiles(market, np.array([int(issued[0].timestamp())]), np.arange(24))
    after = fitted[method].quantiles(changed, np.array([int(issued[0].timestamp())]), np.arange(24))

    assert before.tobytes() == after.tobytes()


def test_the_last_known_value_does_change_the_forecast(market: Market, fitted: Fitted) -> None:
    values = market["price"].values.copy()
    row = int(market["price"].n_known(np.array([int(NOW.timestamp())]))[0]) - 1
    values[row] += 5.0
    changed = {**market, "price": replace(market["price"], values=values)}

    for method in ("persistence", "boosted-quantiles"):
        before = forecast(fitted[method], known_at(market, NOW), 1).values
        after = forecast(fitted[method], known_at(changed, NOW), 1).values
        assert (after > before).all()


def test_published_prices_are_given_as_they_are(market: Market, fitted: Fitted) -> None:
    persistence = fitted["persistence"]
    published = {"price": replace(market["day_ahead"], name="price")}
    noon = pd.Timestamp("2024-04-20T04:00Z")  # 13:00 in Tokyo: known up to midnight of tomorrow

    made = forecast(persistence, known_at(published, noon), 48)

    row = int((noon - market["price"].starts[0]).total_seconds() // 3600)
    exact = market["day_ahead"].values[row : row + 35]
    assert np.ptp(made.values[:35], axis=1).max() == 0.0
    assert made.values[:35, 0].tolist() == exact.tolist()
    assert (np.ptp(made.values[35:], axis=1) > 0.0).all()


@pytest.mark.parametrize("method", METHODS)
def test_what_was_learned_from_is_not_forecast(
    method: str, market: Market, fitted: Fitted, train: Span
) -> None:
    inside = pd.DatetimeIndex([train.end - pd.Timedelta(hours=1), train.end]).as_unit("s")

    with pytest.raises(LookAheadError, match="out_of_fold_forecasts"):
        forecast_many(fitted[method], market, inside, [0])
    forecast_many(fitted[method], market, inside[1:], [0])


def test_newest_forecast_and_outcomes_of_a_table(market: Market, fitted: Fitted) -> None:
    table = forecast_many(fitted["persistence"], market, ISSUES, [0, 5])

    assert table.known_at(ISSUES[2] + pd.Timedelta(hours=6)).issued_at == ISSUES[2]
    with pytest.raises(LookAheadError, match="no forecast"):
        table.known_at(NOW - pd.Timedelta(seconds=1))
    row = int((ISSUES[3] - market["price"].starts[0]).total_seconds() // 3600)
    assert table.outcomes(market["price"])[3].tolist() == [
        market["price"].values[row],
        market["price"].values[row + 5],
    ]


def test_between_two_slots_the_next_one_comes_first(market: Market, fitted: Fitted) -> None:
    made = forecast(fitted["persistence"], known_at(market, NOW + pd.Timedelta(minutes=20)), 1)

    assert made.starts[0] == NOW + pd.Timedelta(hours=1)


def test_where_nothing_is_known_yet_it_says_so(market: Market, fitted: Fitted) -> None:
    empty = {
        name: replace(one, values=np.full(len(one.values), np.nan)) for name, one in market.items()
    }

    for method in ("persistence", "seasonal-day", "boosted-quantiles"):
        with pytest.raises(DataError, match="nothing is known"):
            forecast(fitted[method], known_at(empty, NOW), 3)


def test_before_the_series_begins_nothing_is_forecast(market: Market, fitted: Fitted) -> None:
    published = {"price": replace(market["day_ahead"], name="price")}
    blind = replace(fitted["persistence"], trained_on=())  # type: ignore[type-var]
    early = pd.DatetimeIndex([market["price"].starts[0] - pd.Timedelta(hours=3)]).as_unit("s")

    with pytest.raises(DataError, match="before the series begins"):
        forecast_many(blind, published, early, range(24))


@pytest.mark.parametrize("method", METHODS)
def test_a_forecast_that_reaches_into_what_was_learned_is_refused(
    method: str, market: Market, fitted: Fitted
) -> None:
    learned = Span(NOW + pd.Timedelta(hours=6), NOW + pd.Timedelta(days=9))
    forecaster = replace(fitted[method], trained_on=(learned,))  # type: ignore[type-var]

    assert len(forecast(forecaster, known_at(market, NOW), 6).starts) == 6
    for leads in (range(7), [6], [0, 1000]):
        with pytest.raises(LookAheadError, match="out_of_fold_forecasts"):
            forecast_many(forecaster, market, ISSUES[:1], leads)


def test_issue_times_must_ascend_and_there_must_be_one(market: Market, fitted: Fitted) -> None:
    with pytest.raises(DataError, match="do not ascend"):
        forecast_many(fitted["persistence"], market, ISSUES[::-1], [0])
    with pytest.raises(DataError, match="no issue time"):
        forecast_many(fitted["persistence"], market, ISSUES[:0], [0])

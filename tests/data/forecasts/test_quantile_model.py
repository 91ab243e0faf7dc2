"""The boosted model: better than persistence, blind outside its span, deterministic."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from gridhash.data.forecasts.forecast import Forecaster, forecast, forecast_many
from gridhash.data.forecasts.quantile_model import QuantileModel, fit_quantile_model
from gridhash.data.forecasts.sampling import (
    TrainingOptions,
    calibration_block,
    draw_leads,
    training_issue_times,
)
from gridhash.data.forecasts.scores import coverage, crps
from gridhash.data.forecasts.series import Series, known_at
from gridhash.data.splits import Span
from gridhash.errors import DataError
from gridhash.time_grid import grid

Market = dict[str, Series]


def models(forecaster: QuantileModel) -> list[str]:
    return [booster.model_to_string() for booster in forecaster.boosters]


def test_it_beats_plain_methods_and_covers(market: Market, fitted: dict[str, Forecaster]) -> None:
    issued = grid(pd.Timestamp("2024-04-11T00:00Z"), pd.Timestamp("2024-05-28T00:00Z"), 5 * 3600)
    score, share = {}, {}
    for method, forecaster in fitted.items():
        made = forecast_many(forecaster, market, issued, range(24))
        outcome = made.outcomes(market["price"])
        seen = ~np.isnan(outcome)
        levels = made.quantile_levels
        score[method] = crps(made.values[seen], outcome[seen], levels).mean()
        share[method] = coverage(made.values[seen], outcome[seen], levels, low=0.1, high=0.9).mean()

    assert min(score, key=lambda method: score[method]) == "boosted-quantiles"
    assert score["boosted-quantiles"] < 0.8 * score["persistence"]
    assert 0.74 < share["boosted-quantiles"] < 0.86


def test_values_outside_the_span_change_nothing(
    market: Market, train: Span, options: TrainingOptions, fitted: dict[str, Forecaster]
) -> None:
    n = train.length.days * 24
    poisoned = {
        name: replace(one, values=np.where(np.arange(len(one.values)) < n, one.values, 1e9))
        for name, one in market.items()
    }

    again = fit_quantile_model(poisoned, [train], target="price", options=options)

    assert models(again) == models(_boosted(fitted))
    assert again.calibration is not None
    expected = _boosted(fitted).calibration
    assert expected is not None
    assert again.calibration.read_at.tolist() == expected.read_at.tolist()


def test_another_seed_gives_another_model(
    market: Market, train: Span, options: TrainingOptions, fitted: dict[str, Forecaster]
) -> None:
    other = fit_quantile_model(market, [train], target="price", options=replace(options, seed=4))

    assert models(other) != models(_boosted(fitted))


def _boosted(fitted: dict[str, Forecaster]) -> QuantileModel:
    model = fitted["boosted-quantiles"]
    assert isinstance(model, QuantileModel)
    return model


def test_a_point_mass_at_a_bound_survives(train: Span, options: TrainingOptions) -> None:
    starts = pd.date_range(train.start, periods=24 * 150, freq="h", unit="s")
    hour, day = np.arange(len(starts)) % 24, np.arange(len(starts)) // 24
    sunny = np.random.default_rng(1).random(150)[day] < 0.3
    surplus = np.where(sunny & (hour >= 9) & (hour < 15), 0.4, 0.0)
    series = {
        "surplus_frac": Series(
            name="surplus_frac",
            starts=starts,
            values=surplus,
            available_at=starts + timedelta(hours=1),
            period_s=3600,
        )
    }
    chosen = replace(options, heavy_tailed=(), covariates=(), timezone="UTC", bounds=(0.0, 1.0))

    model = fit_quantile_model(series, [train], target="surplus_frac", options=chosen)
    made = forecast(model, known_at(series, starts[24 * 120]), 24)

    assert not model.relative
    assert model.nearest == (0.4, 1.0)  # there is no mass at 1
    raw = forecast(replace(model, calibration=None), known_at(series, starts[24 * 120]), 24).values
    assert raw.max() == pytest.approx(0.4, abs=0.05)
    assert ((raw == 0.0) | (raw >= 0.4)).all()  # nothing tiny
    assert made.quantile(0.5)[:8].tolist() == [0.0] * 8  # night: exactly zero
    assert made.values.min() >= 0.0
    assert made.values.max() <= 1.0


def test_it_learns_nothing_from_what_was_already_published(
    train: Span, options: TrainingOptions
) -> None:
    starts = pd.date_range(train.start, periods=24 * 150, freq="h", unit="s")
    walk = np.random.default_rng(1).normal(size=len(starts)).cumsum()
    series = {
        "x": Series(
            name="x",
            starts=starts,
            values=walk,
            available_at=starts - timedelta(hours=10),
            period_s=3600,
        )
    }
    plain = replace(options, heavy_tailed=(), covariates=())

    model = fit_quantile_model(series, [train], target="x", options=plain)
    made = forecast(model, known_at(series, starts[24 * 120]), 24)

    spread = (made.quantile(0.9) - made.quantile(0.1)) / 2.563
    assert spread[:11].max() == 0.0  # published up to ten hours ahead
    assert spread[11] == pytest.approx(1.0, rel=0.25)
    assert spread[23] == pytest.approx(np.sqrt(13.0), rel=0.25)


def test_a_span_without_enough_to_learn_from_is_refused(
    market: Market, train: Span, options: TrainingOptions
) -> None:
    short = Span(train.start, train.start + timedelta(days=3))

    with pytest.raises(DataError, match="at least 1000"):
        fit_quantile_model(market, [short], target="price", options=options)


def test_issue_times_cover_all_slots_and_skip_the_first_day(market: Market, train: Span) -> None:
    times = training_issue_times(market["price"], [train], 5 * 3600)

    assert times[0] == int(train.start.timestamp()) + 86400
    assert times[-1] < train.end.timestamp()
    assert set((times // 3600) % 24) == set(range(24))


def test_leads_favour_the_next_hours() -> None:
    rng = np.random.default_rng(1)
    drawn = np.concatenate([draw_leads(96, 12, rng) for _ in range(500)])

    assert np.mean(drawn < 4) > 3 * 4 / 96
    assert drawn.max() == 95


def test_what_calibrates_does_not_teach(train: Span, options: TrainingOptions) -> None:
    hours = np.arange(train.start.timestamp(), train.end.timestamp(), 3600).astype(np.int64)

    calibrates, teaches = calibration_block(hours, [train], options)

    assert not (calibrates & teaches).any()
    assert calibrates.mean() == pytest.approx(0.2, abs=0.03)
    held = hours[calibrates]
    distance = np.abs(hours[teaches][:, None] - held[None, :]).min()
    assert distance >= 86400

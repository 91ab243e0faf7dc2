"""Quantiles that are wrong are put right by errors that are known, and by no others."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from gridhash.data.forecasts.forecast import LEVELS, Forecaster, forecast_many
from gridhash.data.forecasts.quantile_map import fit_calibration
from gridhash.data.forecasts.quantile_model import QuantileModel
from gridhash.data.forecasts.rolling_map import _Past, forecast_recalibrated, recalibrated
from gridhash.data.forecasts.scores import coverage
from gridhash.data.forecasts.series import Series, known_at
from gridhash.data.splits import Span
from gridhash.errors import DataError, LookAheadError
from gridhash.time_grid import grid

Market = dict[str, Series]
NOW = pd.Timestamp("2024-05-10T00:00Z")


def covered(quantiles: np.ndarray, outcomes: np.ndarray) -> float:
    return float(coverage(quantiles, outcomes, LEVELS, low=0.1, high=0.9).mean())


@pytest.mark.parametrize(("bias", "width"), [(0.0, 0.6), (0.0, 1.6), (0.5, 1.0), (-0.3, 0.7)])
def test_wrong_spread_and_bias_are_corrected(bias: float, width: float) -> None:
    past, coming = (norm.rvs(size=20_000, random_state=seed) for seed in (1, 2))
    wrong = np.tile(norm.ppf(LEVELS, bias, width), (20_000, 1))
    ahead_h = np.full(20_000, 2.0)

    fitted = fit_calibration(wrong, past, ahead_h, LEVELS, known_at=None)
    right = fitted.apply(wrong, ahead_h)

    assert abs(covered(wrong, coming) - 0.8) > 0.02
    assert covered(right, coming) == pytest.approx(0.8, abs=0.01)
    assert (np.diff(right, axis=1) >= 0).all()
    assert right[0, LEVELS.index(0.5)] == pytest.approx(0.0, abs=0.03)


def test_right_quantiles_stay_and_zeros_stay_zero() -> None:
    rng = np.random.default_rng(1)
    truth = np.maximum(0.0, (np.array(LEVELS) - 0.6) / 0.4)
    outcomes = np.where(rng.random(30_000) < 0.6, 0.0, rng.random(30_000))
    quantiles, ahead_h = np.tile(truth, (30_000, 1)), np.full(30_000, 2.0)

    right = fit_calibration(quantiles, outcomes, ahead_h, LEVELS, known_at=None).apply(
        quantiles, ahead_h
    )

    assert right[0] == pytest.approx(truth, abs=0.03)
    assert right[0, :6].tolist() == [0.0] * 6


def test_horizons_are_calibrated_apart_and_few_outcomes_are_not_believed() -> None:
    outcomes = norm.rvs(size=1_100, random_state=1)
    quantiles = np.tile(norm.ppf(LEVELS, 0.0, 0.5), (1_100, 1))
    ahead_h = np.where(np.arange(1_100) < 1_000, 2.0, 20.0)

    fitted = fit_calibration(quantiles, outcomes, ahead_h, LEVELS, known_at=None)

    assert fitted.read_at[1, 0] < LEVELS[0] + 1e-9
    assert fitted.read_at[1, 3] < 0.05  # spread is doubled for two hours ahead
    assert fitted.read_at[4].tolist() == list(LEVELS)  # 100 outcomes: as it was
    few = slice(1_000, None)
    again = fit_calibration(
        quantiles[few], outcomes[few], ahead_h[few], LEVELS, known_at=None, otherwise=fitted
    )
    assert again.read_at.tolist() == fitted.read_at.tolist()


def test_certain_zeros_do_not_hide_what_is_wrong_elsewhere() -> None:
    outcomes = np.concatenate([norm.rvs(size=2_000, random_state=1), np.zeros(8_000)])
    wrong = np.tile(norm.ppf(LEVELS, 0.0, 0.6), (2_000, 1))
    quantiles = np.concatenate([wrong, np.zeros((8_000, len(LEVELS)))])
    ahead_h = np.full(10_000, 2.0)

    right = fit_calibration(quantiles, outcomes, ahead_h, LEVELS, known_at=None).apply(
        quantiles, ahead_h
    )

    assert covered(right[:2_000], outcomes[:2_000]) == pytest.approx(0.8, abs=0.01)
    assert not right[2_000:].any()


def test_shapes_that_do_not_belong_together_are_refused() -> None:
    with pytest.raises(DataError, match="belong together"):
        fit_calibration(np.zeros((3, 15)), np.zeros(4), np.zeros(4), LEVELS, known_at=None)


def boosted(fitted: dict[str, Forecaster]) -> QuantileModel:
    model = fitted["boosted-quantiles"]
    assert isinstance(model, QuantileModel)
    return model


def test_a_recalibrated_model_is_of_its_instant(
    market: Market, fitted: dict[str, Forecaster]
) -> None:
    tuned = recalibrated(boosted(fitted), known_at(market, NOW))

    early = pd.DatetimeIndex([NOW - pd.Timedelta(hours=1)]).as_unit("s")
    with pytest.raises(LookAheadError, match="calibrated on errors"):
        forecast_many(tuned, market, early, [0])
    forecast_many(tuned, market, early + pd.Timedelta(hours=1), [0])


def test_errors_on_the_training_span_do_not_calibrate(
    market: Market, train: Span, fitted: dict[str, Forecaster]
) -> None:
    model = boosted(fitted)
    assert model.calibration is not None

    at_once = recalibrated(model, known_at(market, train.end)).calibration
    later = recalibrated(model, known_at(market, train.end + pd.Timedelta(days=20))).calibration

    assert at_once is not None
    assert later is not None
    assert at_once.read_at.tolist() == model.calibration.read_at.tolist()
    assert later.read_at.tolist() != model.calibration.read_at.tolist()


def test_rolling_recalibration_is_recalibration_again_and_again(
    market: Market, fitted: dict[str, Forecaster]
) -> None:
    model = boosted(fitted)
    issued = grid(NOW, NOW + pd.Timedelta(days=3), 6 * 3600)

    rolled = forecast_recalibrated(model, market, issued, np.arange(24))

    for day in range(3):
        now = NOW + pd.Timedelta(days=day)
        tuned = recalibrated(model, known_at(market, now))
        due = issued[(issued >= now) & (issued < now + pd.Timedelta(days=1))]
        once = forecast_many(tuned, market, due, range(24))
        assert once.values.tobytes() == rolled.values[4 * day : 4 * day + 4].tobytes()
    assert len(rolled) == 12
    assert rolled.first_starts.equals(issued.rename(None))


def test_rolling_recalibration_uses_no_later_value(
    market: Market, fitted: dict[str, Forecaster]
) -> None:
    model = boosted(fitted)
    issued = grid(NOW, NOW + pd.Timedelta(days=3), 6 * 3600)
    before = forecast_recalibrated(model, market, issued, np.arange(24))
    for i in (0, 5, 11):
        n = int(market["price"].n_known(np.array([int(issued[i].timestamp())]))[0])
        values = market["price"].values.copy()
        values[n:] = 1e4
        poisoned = {**market, "price": replace(market["price"], values=values)}
        after = forecast_recalibrated(model, poisoned, issued, np.arange(24))

        assert after.values[: i + 1].tobytes() == before.values[: i + 1].tobytes()
    assert recalibrated(model, known_at(market, NOW)).calibration is not model.calibration


def test_outcomes_that_were_learned_do_not_calibrate(
    market: Market, fitted: dict[str, Forecaster]
) -> None:
    learned = Span(NOW - pd.Timedelta(days=10), NOW - pd.Timedelta(days=2))
    model = replace(boosted(fitted), trained_on=(learned,))
    starts = market["price"].starts
    inside = (starts >= learned.start) & (starts < learned.end - pd.Timedelta(days=1))
    values = np.where(inside, market["price"].values + 50.0, market["price"].values)
    changed = {**market, "price": replace(market["price"], values=values)}
    past = known_at(market, NOW).series
    now_s = int(NOW.timestamp())
    before, after = (
        _Past.collect(model, series, now_s - 28 * 86400, now_s)
        for series in (past, known_at(changed, NOW).series)
    )
    early = before.issued_s < learned.start.timestamp()

    assert (~np.isnan(before.outcomes[early])).sum() > 1000
    assert np.array_equal(before.outcomes[early], after.outcomes[early], equal_nan=True)
    reach = before.issued_s + before.ahead_h * 3600.0 > learned.start.timestamp()
    assert np.isnan(before.outcomes[early & reach]).all()

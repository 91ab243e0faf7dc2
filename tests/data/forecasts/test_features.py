"""Features are what their names say, and only of what is known."""

import numpy as np
import pandas as pd
import pytest

from gridhash.data.forecasts.features import FeatureSpec, design_matrix
from gridhash.data.forecasts.series import Series

START = pd.Timestamp("2024-01-01T00:00Z")
STARTS = pd.date_range(START, periods=24 * 20, freq="h", unit="s")
SPEC = FeatureSpec(
    target="x", covariates=("ahead", "other"), timezone="Asia/Tokyo", scales={}, with_season=True
)


def series(values: np.ndarray) -> dict[str, Series]:
    end = STARTS + pd.Timedelta(hours=1)
    rows = np.arange(len(STARTS), dtype=float)
    return {
        name: Series(name=name, starts=STARTS, values=v, available_at=known, period_s=3600)
        for name, v, known in (
            ("x", values, end),
            ("ahead", 1000.0 + rows, STARTS - pd.Timedelta(hours=5)),
            ("other", 2000.0 + rows, end),
        )
    }


def features(values: np.ndarray, row: int, lead: int, spec: FeatureSpec = SPEC) -> dict[str, float]:
    issued = np.array([int((START + pd.Timedelta(hours=row)).timestamp())])
    matrix = design_matrix(series(values), spec, issued, np.array([lead]))
    return dict(zip(spec.names(), matrix[0], strict=True))


def test_features_of_a_counting_series() -> None:
    found = features(np.arange(480.0), row=300, lead=3)

    # Row 299 is the last known one, row 303 is wanted.
    assert found["ahead_h"] == 4.0
    assert found["last"] == 299.0
    assert found["last_1_before"] == 298.0
    assert found["last_1d_before"] == 275.0
    assert found["mean_3h"] == 298.0
    assert found["mean_24h"] == np.arange(276, 300).mean()
    assert found["sd_24h"] == pytest.approx(np.arange(276, 300).std())
    assert (found["min_24h"], found["max_24h"]) == (276.0, 299.0)
    assert found["same_slot_1d"] == 303.0 - 24.0
    assert found["same_slot_2d"] == 303.0 - 48.0
    assert found["same_slot_7d"] == 303.0 - 168.0
    assert found["same_slot_mean_7d"] == 303.0 - 96.0


def test_calendar_is_that_of_the_wanted_slot_in_local_time() -> None:
    found = features(np.arange(480.0), row=300, lead=3)  # 2024-01-13T15:00Z

    assert found["local_hour"] == 0.0
    assert found["weekday"] == 6.0  # Sunday the 14th in Tokyo
    assert found["day_of_year"] == 14.0


def test_covariates_are_used_as_far_as_they_are_published() -> None:
    near, far = (features(np.arange(480.0), row=300, lead=lead) for lead in (3, 8))

    assert near["ahead_at_target"] == 1303.0
    assert near["ahead_around_target"] == 1303.0
    assert np.isnan(far["ahead_at_target"])  # published five hours ahead
    assert near["ahead_newest"] == 1305.0
    assert near["ahead_at_last"] == 1299.0
    assert np.isnan(near["other_at_target"])
    assert near["other_newest"] == 2299.0
    assert near["other_same_slot_1d"] == 2279.0


def test_missing_values_are_left_out_not_filled() -> None:
    values = np.arange(480.0)
    values[[299, 279, 255]] = np.nan

    found = features(values, row=300, lead=3)

    assert found["last"] == 298.0
    assert found["ahead_h"] == 5.0
    assert found["mean_24h"] == pytest.approx(np.delete(np.arange(275, 299), 4).mean())
    assert np.isnan(found["same_slot_1d"])
    assert np.isnan(found["same_slot_2d"])
    assert found["same_slot_mean_7d"] == pytest.approx(np.mean([231, 207, 183, 159, 135]))


def test_heavy_tails_are_drawn_in_and_restored() -> None:
    spec = FeatureSpec(target="x", timezone="UTC", scales={"x": 20.0}, with_season=False)
    values = np.array([-1000.0, -3.0, 0.0, 25.0, 17_500.0])

    learned = spec.transform("x", values)

    assert np.abs(learned).max() < 8.0
    assert spec.restore(learned) == pytest.approx(values)
    assert features(np.arange(480.0), 300, 0, spec)["last"] == np.arcsinh(299.0 / 20.0)

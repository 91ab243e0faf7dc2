"""A small market on an hourly grid, and every method fitted on its first part."""

from datetime import time

import numpy as np
import pandas as pd
import pytest

from gridhash.data.forecasts.forecast import Forecaster
from gridhash.data.forecasts.methods import METHODS, fit
from gridhash.data.forecasts.sampling import TrainingOptions
from gridhash.data.forecasts.series import Series
from gridhash.data.splits import Span
from gridhash.time_grid import published_the_day_before

N_DAYS = 150
START = pd.Timestamp("2024-01-01T00:00Z")


@pytest.fixture(scope="session")
def market() -> dict[str, Series]:
    """Return a real-time price with daily shape and missing hours, its day-ahead price, demand."""
    rng = np.random.default_rng(7)
    starts = pd.date_range(START, periods=24 * N_DAYS, freq="h", unit="s")
    hour = np.arange(len(starts)) % 24
    level = np.repeat(rng.normal(0.0, 1.0, N_DAYS), 24)
    noise = np.zeros(len(starts))
    for i in range(1, len(starts)):
        noise[i] = 0.8 * noise[i - 1] + rng.standard_t(4)
    ahead = 10.0 + 4.0 * np.sin(hour * np.pi / 12) + 2.0 * level
    price = ahead + noise
    price[1000:1005] = np.nan
    price[3300] = np.nan
    end = starts + pd.Timedelta(hours=1)
    published = published_the_day_before(starts, timezone="Asia/Tokyo", at=time(12, 30))
    demand = 100.0 + 10.0 * level + rng.normal(size=len(starts))
    return {
        name: Series(name=name, starts=starts, values=values, available_at=known, period_s=3600)
        for name, values, known in (
            ("price", price, end),
            ("day_ahead", ahead, published),
            ("demand", demand, end),
        )
    }


@pytest.fixture(scope="session")
def train() -> Span:
    """Return the first 100 days."""
    return Span(START, START + pd.Timedelta(days=100))


@pytest.fixture(scope="session")
def options() -> TrainingOptions:
    """Return options that train in a fraction of a second."""
    return TrainingOptions(
        n_steps=24,
        timezone="Asia/Tokyo",
        seed=3,
        heavy_tailed=("price", "day_ahead"),
        covariates=("day_ahead", "demand"),
        max_samples=12_000,
        n_rounds=15,
        learning_rate=0.2,
        n_leaves=8,
        min_errors=50,
    )


@pytest.fixture(scope="session")
def fitted(
    market: dict[str, Series], train: Span, options: TrainingOptions
) -> dict[str, Forecaster]:
    """Return every method, fitted on the training span."""
    return {
        method: fit(method, market, [train], target="price", options=options) for method in METHODS
    }

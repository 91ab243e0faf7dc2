"""Calibration on the newest errors that are known, instead of those of the training span."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import pandas as pd

from gridhash.data.forecasts.features import rows_of
from gridhash.data.forecasts.forecast import Forecasts, forecast_many, meets
from gridhash.data.forecasts.quantile_map import Calibration, fit_calibration
from gridhash.data.forecasts.quantile_model import QuantileModel
from gridhash.data.forecasts.sampling import BoolArray, whole_steps_s
from gridhash.data.forecasts.series import (
    Array,
    Information,
    IntArray,
    Series,
    SeriesByName,
    known_at,
)
from gridhash.time_grid import epoch_s

WINDOW_DAYS = 28
"""Issue times that far back calibrate."""

_EVERY_S = 3600
_N_LEADS = 12


def recalibrated(
    model: QuantileModel, information: Information, *, window_days: int = WINDOW_DAYS
) -> QuantileModel:
    """Return the model, calibrated on its errors of the last days that are known by now.

    Forecasts in the training span or reaching into it are left out: there the errors are too
    small. A group of
    horizons with fewer than `quantile_map.MIN_OUTCOMES` known errors keeps its calibration.

    The result forecasts from `information.issued_at` on; asked earlier it raises LookAheadError.
    """
    now_s = int(information.issued_at.timestamp())
    past = _Past.collect(model, information.series, now_s - window_days * 86400, now_s)
    return replace(model, calibration=past.calibration(model, now_s, window_days))


def forecast_recalibrated(
    model: QuantileModel,
    source: SeriesByName,
    issued_at: pd.DatetimeIndex,
    leads: IntArray,
    *,
    every_days: int = 1,
    window_days: int = WINDOW_DAYS,
) -> Forecasts:
    """Return forecasts of many issue times, recalibrated every so many days from the first one on.

    The same as `recalibrated` at each of these instants followed by `forecast_many`, but past
    forecasts are made once.
    """
    series = known_at(source, issued_at[-1]).series
    issued_s = epoch_s(issued_at)
    past = _Past.collect(model, series, int(issued_s[0]) - window_days * 86400, int(issued_s[-1]))
    parts = []
    for now_s in range(int(issued_s[0]), int(issued_s[-1]) + 1, every_days * 86400):
        due = (issued_s >= now_s) & (issued_s < now_s + every_days * 86400)
        if due.any():
            tuned = replace(model, calibration=past.calibration(model, now_s, window_days))
            parts.append(forecast_many(tuned, series, issued_at[due], leads))
    return replace(
        parts[0],
        issued_at=issued_at,
        first_starts=pd.DatetimeIndex(
            parts[0].first_starts.append([part.first_starts for part in parts[1:]])
        ),
        values=np.concatenate([part.values for part in parts]),
        method=f"{model.method}, recalibrated",
    )


@dataclass(frozen=True, eq=False)
class _Past:
    """Raw forecasts of the past and what came; one entry per issue time and lead."""

    issued_s: IntArray
    outcome_known_s: IntArray
    raw: Array
    outcomes: Array
    ahead_h: Array

    @classmethod
    def collect(cls, model: QuantileModel, series: SeriesByName, from_s: int, to_s: int) -> Self:
        """Return the raw forecasts issued in [from_s, to_s)."""
        target = series[model.target]
        step_s = whole_steps_s(target.period_s, _EVERY_S)
        issued_s = np.arange(from_s + -from_s % step_s, to_s, step_s, dtype=np.int64)
        leads = np.unique(np.geomspace(1, model.n_steps, _N_LEADS).round().astype(np.int64)) - 1
        rows = rows_of(target, issued_s, leads)
        end_s = target.start_s + (rows.wanted + 1) * target.period_s
        learned = meets(model.trained_on, issued_s[:, None], end_s)
        coming = _coming(target, rows.wanted, rows.last) & ~learned
        safe = np.where(coming, rows.wanted, 0)
        return cls(
            issued_s=np.repeat(issued_s, len(leads)),
            outcome_known_s=target.known_s[safe].ravel(),
            raw=model.raw_quantiles(series, issued_s, leads).reshape(-1, len(model.levels)),
            outcomes=np.where(coming, target.values[safe], np.nan).ravel(),
            ahead_h=rows.ahead_h(target.period_s).ravel(),
        )

    def calibration(self, model: QuantileModel, now_s: int, window_days: int) -> Calibration | None:
        """Return the calibration on what was known at an instant."""
        use = (
            (self.issued_s >= now_s - window_days * 86400)
            & (self.issued_s < now_s)
            & (self.outcome_known_s <= now_s)
            & ~np.isnan(self.outcomes)
        )
        return fit_calibration(
            self.raw[use],
            self.outcomes[use],
            self.ahead_h[use],
            model.levels,
            known_at=pd.Timestamp(now_s, unit="s", tz="UTC"),
            otherwise=model.calibration,
        )


def _coming(target: Series, wanted: IntArray, last: IntArray) -> BoolArray:
    """Return which wanted rows exist and were not yet known when the forecast was issued."""
    return (wanted < len(target.values)) & (wanted > last[:, None]) & (last[:, None] >= 0)

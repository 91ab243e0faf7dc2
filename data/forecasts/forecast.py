"""A forecast: quantiles of coming intervals, with the instant at which it was made."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd

from gridhash.data.forecasts.sampling import BoolArray
from gridhash.data.forecasts.series import Array, Information, IntArray, Series, SeriesByName
from gridhash.data.forecasts.series import known_at as known_at_instant
from gridhash.data.splits import Span
from gridhash.data.trace import Trace
from gridhash.errors import DataError, LookAheadError, TimeGridError
from gridhash.time_grid import epoch_s, from_epoch_s

LEVELS = (0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.975, 0.99)
"""Quantile levels of every method; one set, so that their scores can be compared."""


class Forecaster(Protocol):
    """A fitted method.

    `quantiles` gives, shape (n_issues, n_leads, n_levels), the quantiles of the target for the
    intervals that begin `leads` steps after the first one from each issue time on. It uses of
    each series only the rows known at that issue time.
    """

    @property
    def target(self) -> str:
        """Name of the series that it forecasts."""

    @property
    def method(self) -> str:
        """Name of the method."""

    @property
    def levels(self) -> tuple[float, ...]:
        """Quantile levels, ascending."""

    @property
    def trained_on(self) -> tuple[Span, ...]:
        """Spans whose values it has learned from."""

    def quantiles(self, series: SeriesByName, issued_s: IntArray, leads: IntArray) -> Array:
        """Return the quantiles; see the class."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Forecast:
    """Quantiles of one column over coming intervals, made at one instant.

    Attributes
    ----------
    issued_at
        Instant at which it was made; it exists for nobody before.
    column
        What is forecast.
    starts
        Starts of the coming intervals, UTC; none begins before the issue time.
    quantile_levels, values
        Levels, ascending, and quantiles of shape (n_steps, n_levels) in the unit of the column,
        which never fall from level to level. All are equal where the value was already published.
    method
        Name of the method.

    Raises
    ------
    DataError
        If shapes differ, a quantile is NaN or quantiles cross.
    TimeGridError
        If it has no time zone or an interval begins before the issue time.
    """

    issued_at: pd.Timestamp
    column: str
    starts: pd.DatetimeIndex
    quantile_levels: tuple[float, ...]
    values: Array
    method: str

    def __post_init__(self) -> None:
        """Validate."""
        if self.issued_at.tzinfo is None or self.starts.tz is None:
            raise TimeGridError(f"{self.column}: issue time and starts need a time zone")
        if len(self.starts) and self.starts[0] < self.issued_at:
            raise TimeGridError(
                f"{self.column}: {self.starts[0]} begins before the issue time {self.issued_at}"
            )
        if self.values.shape != (len(self.starts), len(self.quantile_levels)):
            raise DataError(
                f"{self.column}: values have shape {self.values.shape}, not "
                f"({len(self.starts)}, {len(self.quantile_levels)})"
            )
        if not np.isfinite(self.values).all() or (np.diff(self.values, axis=1) < 0).any():
            raise DataError(f"{self.column}: quantiles of {self.method} are NaN or cross")

    def known_at(self, now: pd.Timestamp) -> "Forecast":
        """Return the forecast; raise LookAheadError if it is issued only after `now`."""
        if now < self.issued_at:
            raise LookAheadError(
                f"the forecast of {self.column} is issued at {self.issued_at.isoformat()} and "
                f"was asked for at {now.isoformat()}; use one that was issued before"
            )
        return self

    def quantile(self, level: float) -> Array:
        """Return one quantile of every step; raise DataError if the level is not held."""
        if level not in self.quantile_levels:
            raise DataError(f"there is no quantile {level}; there are {self.quantile_levels}")
        return self.values[:, self.quantile_levels.index(level)].copy()


@dataclass(frozen=True, kw_only=True, eq=False)
class Forecasts:
    """Forecasts of one column from many issue times, over the same leads.

    Attributes
    ----------
    issued_at
        Issue times, ascending, UTC.
    first_starts
        For each issue time the start of the first interval from then on.
    leads
        Steps from there to each interval; 0 is the interval that begins now.
    values
        Shape (n_issues, n_leads, n_levels).
    """

    issued_at: pd.DatetimeIndex
    first_starts: pd.DatetimeIndex
    leads: IntArray
    period_s: int
    column: str
    quantile_levels: tuple[float, ...]
    values: Array
    method: str

    def __len__(self) -> int:
        """Return the number of issue times."""
        return len(self.issued_at)

    def __getitem__(self, issue: int) -> Forecast:
        """Return the forecast of one issue time, by position."""
        steps = pd.to_timedelta(self.leads * self.period_s, unit="s")
        return Forecast(
            issued_at=self.issued_at[issue],
            column=self.column,
            starts=pd.DatetimeIndex(self.first_starts[issue] + steps),
            quantile_levels=self.quantile_levels,
            values=self.values[issue],
            method=self.method,
        )

    def known_at(self, now: pd.Timestamp) -> Forecast:
        """Return the newest forecast at an instant; raise LookAheadError if there is none yet."""
        newest = int(self.issued_at.searchsorted(now, side="right")) - 1
        if newest < 0:
            raise LookAheadError(
                f"no forecast of {self.column} was issued by {now.isoformat()}; the first is from "
                f"{self.issued_at[0].isoformat()}"
            )
        return self[newest]

    def target_rows(self, series: Series) -> IntArray:
        """Return the rows of a series that are forecast, shape (n_issues, n_leads)."""
        first = series.first_row_from(epoch_s(self.issued_at))
        return first[:, None] + self.leads[None, :]

    def outcomes(self, series: Series) -> Array:
        """Return what came, shape (n_issues, n_leads); NaN where it is missing or not there."""
        rows = self.target_rows(series)
        there = (rows >= 0) & (rows < len(series.values))
        return np.where(there, series.values[np.where(there, rows, 0)], np.nan)


def forecast(forecaster: Forecaster, information: Information, n_steps: int) -> Forecast:
    """Return the forecast of the next `n_steps` intervals from what is known.

    A value that is already published is given as it is.

    Raises as `forecast_many` does.
    """
    issued = pd.DatetimeIndex([information.issued_at]).as_unit("s")
    return forecast_many(forecaster, information.series, issued, np.arange(n_steps))[0]


def forecast_many(
    forecaster: Forecaster,
    source: Trace | SeriesByName,
    issued_at: pd.DatetimeIndex,
    leads: Sequence[int] | IntArray,
) -> Forecasts:
    """Return the forecasts of many issue times, ascending, each from what was known then alone.

    Equal, bit for bit, to `forecast` of `known_at` each of them.

    Raises
    ------
    LookAheadError
        If the time from an issue time to the end of its last step meets a span that the
        forecaster has learned from: it would know what comes.
        `gridhash.data.forecasts.folds.out_of_fold_forecasts` is for that.
    DataError
        If there is no issue time or they do not ascend, a step lies before the series, or nothing
        is known of the target at an issue time.
    """
    if not len(issued_at):
        raise DataError(f"{forecaster.target}: there is no issue time to forecast from; give one")
    if not issued_at.is_monotonic_increasing:
        raise DataError(f"{forecaster.target}: the issue times do not ascend; sort them")
    information = known_at_instant(source, issued_at[-1])
    target = information[forecaster.target]
    issued_s, steps = epoch_s(issued_at), np.asarray(leads, dtype=np.int64)
    first_row = target.first_row_from(issued_s)
    first_s = target.start_s + first_row * target.period_s
    _require_not_learned(
        forecaster, issued_s, first_s + (steps.max(initial=-1) + 1) * target.period_s
    )
    rows = first_row[:, None] + steps[None, :]
    if rows.min(initial=0) < 0:
        raise DataError(
            f"{forecaster.target}: the forecast issued at {issued_at[0].isoformat()} lies before "
            f"the series begins, at {target.starts[0].isoformat()}; ask for later ones"
        )
    values = forecaster.quantiles(information.series, issued_s, steps)
    published = rows < target.n_known(issued_s)[:, None]
    exact = target.values[np.where(published, rows, 0)]
    values = np.where((published & ~np.isnan(exact))[:, :, None], exact[:, :, None], values)
    lost = np.flatnonzero(np.isnan(values).any(axis=(1, 2)))
    if lost.size:
        raise DataError(
            f"{forecaster.target}: at {issued_at[lost[0]].isoformat()} nothing is known that "
            f"{forecaster.method} could start from"
        )
    return Forecasts(
        issued_at=issued_at,
        first_starts=from_epoch_s(first_s),
        leads=steps,
        period_s=target.period_s,
        column=forecaster.target,
        quantile_levels=forecaster.levels,
        values=values,
        method=forecaster.method,
    )


def meets(spans: Sequence[Span], from_s: IntArray, to_s: IntArray) -> BoolArray:
    """Return which of the times [from_s, to_s) have an instant in one of the spans."""
    found = np.zeros(np.broadcast_shapes(from_s.shape, to_s.shape), dtype=bool)
    for span in spans:
        found |= (from_s < span.end.timestamp()) & (to_s > span.start.timestamp())
    return found


def _require_not_learned(forecaster: Forecaster, issued_s: IntArray, end_s: IntArray) -> None:
    for span in forecaster.trained_on:
        known = np.flatnonzero(meets([span], issued_s, end_s))
        if known.size:
            issued, end = from_epoch_s(np.array([issued_s[known[0]], end_s[known[0]]]))
            raise LookAheadError(
                f"{forecaster.method} has learned {forecaster.target} of {span}; a forecast issued "
                f"at {issued.isoformat()} that reaches to {end.isoformat()} would know what comes: "
                "use out_of_fold_forecasts in and shortly before the training span"
            )

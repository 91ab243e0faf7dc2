"""Plain methods: the last value, the same slot of the day, and the climate of month and hour.

Each is the comparison that a better model has to beat, and as good as it can honestly be: the
spread about it is the empirical distribution of its own errors on the training span.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from gridhash.data.forecasts.features import rows_of, same_slot_steps_back
from gridhash.data.forecasts.forecast import LEVELS
from gridhash.data.forecasts.sampling import TrainingOptions, training_issue_times
from gridhash.data.forecasts.series import Array, IntArray, SeriesByName
from gridhash.data.splits import Span
from gridhash.errors import DataError
from gridhash.time_grid import from_epoch_s

Reference = Literal["last", "same-slot-day", "same-slot-week"]

METHOD: dict[Reference, str] = {
    "last": "persistence",
    "same-slot-day": "seasonal-day",
    "same-slot-week": "seasonal-week",
}


@dataclass(frozen=True, eq=False)
class ReferenceForecaster:
    """A value of the past plus the quantiles of its errors, by steps ahead.

    Attributes
    ----------
    reference
        The last known value; or the newest known value of the same slot; or the one six days
        before that, of the same weekday where the forecast reaches one day ahead. Where the value
        of the slot is missing, the last known one.
    errors
        Quantiles of the errors, shape (n_ahead, n_levels); row 0 is one step ahead. Farther ahead
        than the table goes its last row holds.
    bounds
        Lowest and highest possible value.
    """

    target: str
    levels: tuple[float, ...]
    reference: Reference
    errors: Array
    bounds: tuple[float, float]
    trained_on: tuple[Span, ...]

    @property
    def method(self) -> str:
        """Name of the method."""
        return METHOD[self.reference]

    def quantiles(self, series: SeriesByName, issued_s: IntArray, leads: IntArray) -> Array:
        """Return the quantiles, (n_issues, n_leads, n_levels); NaN where nothing is known."""
        reference, ahead = _references(series, self.target, self.reference, issued_s, leads)
        error = self.errors[np.minimum(ahead - 1, len(self.errors) - 1)]
        return np.clip(reference[..., None] + error, *self.bounds)


def fit_reference(
    series: SeriesByName,
    spans: Sequence[Span],
    *,
    target: str,
    reference: Reference,
    options: TrainingOptions,
) -> ReferenceForecaster:
    """Return the forecaster whose errors are those on the training spans alone.

    Raises
    ------
    DataError
        If the spans hold no forecast with a known outcome for some step.
    """
    inside = {target: series[target].inside(spans)}
    leads = np.arange(options.n_steps)
    issued_s = training_issue_times(inside[target], spans, options.reference_every_s)
    values, ahead = _references(inside, target, reference, issued_s, leads)
    known = inside[target].values
    rows = rows_of(inside[target], issued_s, leads)
    errors = known[np.minimum(rows.wanted, len(known) - 1)] - values
    coming = (rows.wanted > rows.last[:, None]) & (rows.wanted < len(known))
    usable = coming & ~np.isnan(errors)
    n_ahead = int(ahead[usable].max(initial=0))
    table = np.full((n_ahead, len(LEVELS)), np.nan)
    order = np.argsort(ahead[usable], kind="stable")
    sorted_ahead, sorted_errors = ahead[usable][order], errors[usable][order]
    edges = np.searchsorted(sorted_ahead, np.arange(1, n_ahead + 2))
    for step in range(n_ahead):
        of_step = sorted_errors[edges[step] : edges[step + 1]]
        if len(of_step) >= options.min_errors:
            table[step] = np.quantile(of_step, LEVELS)
    filled = _nearest_rows(table)
    if filled is None:
        raise DataError(
            f"{target}: the training spans hold too few values for the errors of "
            f"{METHOD[reference]}; give longer spans"
        )
    return ReferenceForecaster(target, LEVELS, reference, filled, options.bounds, tuple(spans))


def _nearest_rows(table: Array) -> Array | None:
    """Return the table with each missing row (too few errors) taken from the nearest other."""
    have = np.flatnonzero(~np.isnan(table[:, 0]))
    if not have.size:
        return None
    wanted = np.arange(len(table))
    nearest = have[np.abs(wanted[:, None] - have[None, :]).argmin(axis=1)]
    filled: Array = table[nearest]
    return filled


def _references(
    series: SeriesByName, target: str, reference: Reference, issued_s: IntArray, leads: IntArray
) -> tuple[Array, IntArray]:
    one = series[target]
    rows = rows_of(one, issued_s, leads)
    if reference == "last":
        wanted = np.broadcast_to(rows.last[:, None], rows.wanted.shape)
    else:
        day = 86400 // one.period_s
        wanted = rows.last[:, None] - same_slot_steps_back(rows, day)
        if reference == "same-slot-week":
            wanted = wanted - 6 * day
    there = wanted >= 0
    values = one.values[np.where(there, wanted, 0)] if len(one.values) else np.nan
    found = np.where(there, values, np.nan)
    if reference != "last" and len(one.values):
        last = one.values[np.maximum(rows.last, 0)]
        missing = np.isnan(found) & (rows.last >= 0)[:, None]
        found = np.where(missing, last[:, None], found)
    return found, rows.ahead


@dataclass(frozen=True, eq=False)
class Climatology:
    """Empirical quantiles of month and local hour on the training span.

    Attributes
    ----------
    table
        Shape (12, 24, n_levels). A month that the training span lacks has the quantiles of the
        hour over all months that it holds.
    """

    target: str
    levels: tuple[float, ...]
    timezone: str
    table: Array
    trained_on: tuple[Span, ...]

    @property
    def method(self) -> str:
        """Name of the method."""
        return "climatology"

    def quantiles(self, series: SeriesByName, issued_s: IntArray, leads: IntArray) -> Array:
        """Return the quantiles, (n_issues, n_leads, n_levels)."""
        one = series[self.target]
        rows = rows_of(one, issued_s, leads).wanted
        local = from_epoch_s(one.start_s + rows.ravel() * one.period_s).tz_convert(self.timezone)
        return self.table[local.month - 1, local.hour].reshape(*rows.shape, -1)


def fit_climatology(
    series: SeriesByName, spans: Sequence[Span], *, target: str, timezone: str
) -> Climatology:
    """Return the climatology of the training spans alone; DataError if an hour has no value."""
    one = series[target].inside(spans)
    seen = ~np.isnan(one.values)
    local = one.starts.tz_convert(timezone)
    values = pd.Series(one.values[seen])
    month, hour = np.asarray(local.month)[seen], np.asarray(local.hour)[seen]
    by_hour = values.groupby(hour).quantile(np.array(LEVELS)).unstack()
    if len(by_hour) < 24:
        raise DataError(f"{target}: the training spans lack some hours of the day entirely")
    table = np.tile(by_hour.to_numpy(), (12, 1, 1))
    by_both = values.groupby([month, hour]).quantile(np.array(LEVELS)).unstack()
    for (m, h), row in zip(by_both.index, by_both.to_numpy(), strict=True):
        table[m - 1, h] = row
    return Climatology(target, LEVELS, timezone, table, tuple(spans))

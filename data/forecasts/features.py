"""Features of one coming interval from what is known at the issue time.

Every feature is a function of the last eight days that are known and of what is published ahead,
so that a forecast from a long history and one from its last eight days are the same.
"""

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from gridhash.data.forecasts.series import Array, IntArray, Series, SeriesByName
from gridhash.time_grid import from_epoch_s

HISTORY_DAYS = 8
"""How far back features look."""

N_SAME_SLOT_DAYS = 7
"""Days whose value in the same slot is used."""

_RECENT_H = (1.0, 3.0, 24.0, 168.0)
_CHUNK_VALUES = 4_000_000


@dataclass(frozen=True, kw_only=True)
class FeatureSpec:
    """What the features of one target are made of.

    Attributes
    ----------
    target
        Series that is forecast.
    covariates
        Other series: published ahead, such as a day-ahead price, or known afterwards.
    timezone
        Local time of slot, weekday and day of the year.
    scales
        For a series in it, ``arcsinh(value / scale)`` replaces the value: prices have heavy tails
        on both sides of zero. Others stay as they are.
    with_season
        Whether the day of the year is a feature; only where whole years are learned from.
    """

    target: str
    covariates: tuple[str, ...] = ()
    timezone: str
    scales: dict[str, float]
    with_season: bool

    def transform(self, name: str, values: Array) -> Array:
        """Return values of a series on the scale that is learned."""
        scale = self.scales.get(name)
        return values if scale is None else np.arcsinh(values / scale)

    def restore(self, values: Array) -> Array:
        """Return values of the target in its own unit."""
        scale = self.scales.get(self.target)
        return values if scale is None else np.sinh(values) * scale

    def names(self) -> list[str]:
        """Return the names of the features, in order."""
        calendar = ["ahead_h", "local_hour", "weekday"]
        if self.with_season:
            calendar.append("day_of_year")
        recent = [f"{what}_{hours:g}h" for hours in _RECENT_H for what in ("mean", "sd")]
        own = [
            *("last", "last_1_before", "last_2_before", "last_1h_before", "last_1d_before"),
            *recent,
            *("min_24h", "max_24h", "same_slot_1d", "same_slot_2d", "same_slot_7d"),
            *("same_slot_mean_7d", "same_hour_1d"),
        ]
        other = [
            f"{name}_{what}"
            for name in self.covariates
            for what in ("at_target", "around_target", "at_last", "newest", "same_slot_1d")
        ]
        return [*calendar, *own, *other]


@dataclass(frozen=True, eq=False)
class Rows:
    """Where issue times and leads fall in a series.

    Attributes
    ----------
    last
        Row of the last known value that is not missing, (n,); −1 where there is none.
    wanted
        Row that is forecast, (n, m).
    """

    last: IntArray
    wanted: IntArray

    @property
    def ahead(self) -> IntArray:
        """Steps from the last known value to the wanted one, at least 1, (n, m)."""
        ahead: IntArray = np.maximum(self.wanted - self.last[:, None], 1)
        return ahead

    def ahead_h(self, period_s: int) -> Array:
        """Return the same in hours."""
        return self.ahead.astype(np.float64) * (period_s / 3600.0)


def rows_of(series: Series, issued_s: IntArray, leads: IntArray) -> Rows:
    """Return where issue times and leads, each one-dimensional, fall in a series."""
    wanted = series.first_row_from(issued_s)[:, None] + leads[None, :]
    return Rows(last_known(series, issued_s), wanted)


def last_known(series: Series, issued_s: IntArray) -> IntArray:
    """Return the row of the last known value that is not missing; −1 where there is none."""
    n_known = series.n_known(issued_s)
    if not len(series.values):
        return np.full(len(n_known), -1)
    return np.where(n_known > 0, series.last_finite[np.maximum(n_known - 1, 0)], -1)


def design_matrix(
    series: SeriesByName, spec: FeatureSpec, issued_s: IntArray, leads: IntArray
) -> Array:
    """Return the features, shape (n_issues · n_leads, n_features); NaN where not known."""
    steps_per_day = 86400 // series[spec.target].period_s
    chunk = max(1, _CHUNK_VALUES // (HISTORY_DAYS * steps_per_day + 60 * len(leads)))
    blocks = [
        _features(series, spec, issued_s[i : i + chunk], leads)
        for i in range(0, len(issued_s), chunk)
    ]
    return np.concatenate(blocks) if blocks else np.empty((0, len(spec.names())))


def _features(
    series: SeriesByName, spec: FeatureSpec, issued_s: IntArray, leads: IntArray
) -> Array:
    target = series[spec.target]
    rows = rows_of(target, issued_s, leads)
    columns = _calendar(target, spec, rows)
    columns += _own(target, spec, rows)
    for name in spec.covariates:
        columns += _other(series[name], spec, rows, issued_s)
    shape = rows.wanted.shape
    return np.stack([np.broadcast_to(c, shape).ravel() for c in columns], axis=1)


def _calendar(target: Series, spec: FeatureSpec, rows: Rows) -> list[Array]:
    unique, inverse = np.unique(rows.wanted, return_inverse=True)
    local = from_epoch_s(target.start_s + unique * target.period_s).tz_convert(spec.timezone)
    per_start = [local.hour + local.minute / 60.0, local.day_of_week]
    if spec.with_season:
        per_start.append(local.day_of_year)
    shape = rows.wanted.shape
    return [
        rows.ahead_h(target.period_s),
        *(np.asarray(c, float)[inverse].reshape(shape) for c in per_start),
    ]


def _own(target: Series, spec: FeatureSpec, rows: Rows) -> list[Array]:
    day = 86400 // target.period_s
    hour = max(1, 3600 // target.period_s)
    tail = _tail(target, spec, rows.last, HISTORY_DAYS * day)
    lags = [tail[:, -1 - lag, None] for lag in (0, 1, 2, hour, day)]
    recent: list[Array] = []
    for hours in _RECENT_H:
        recent += _mean_and_sd(tail[:, -max(1, int(hours * 3600 / target.period_s)) :])
    low, high = _extremes(tail[:, -day:])
    back = same_slot_steps_back(rows, day)
    issue = np.arange(len(tail))[:, None]
    slots = [tail[issue, tail.shape[1] - 1 - back - k * day] for k in range(N_SAME_SLOT_DAYS)]
    around = np.stack(
        [
            tail[issue, tail.shape[1] - 1 - np.maximum(back + shift, 0)]
            for shift in range(-(hour // 2), hour // 2 + 1)
        ],
        axis=-1,
    )
    return [
        *lags,
        *recent,
        low,
        high,
        *(slots[0], slots[1], slots[-1]),
        _mean_and_sd(np.stack(slots, axis=-1))[0][..., 0],
        _mean_and_sd(around)[0][..., 0],
    ]


def _other(series: Series, spec: FeatureSpec, rows: Rows, issued_s: IntArray) -> list[Array]:
    n_known = series.n_known(issued_s)
    day = 86400 // series.period_s
    hour = max(1, 3600 // series.period_s)

    def at(wanted: IntArray) -> Array:
        there = (wanted >= 0) & (wanted < n_known[:, None])
        found = series.values[np.where(there, wanted, 0)] if len(series.values) else np.nan
        return spec.transform(series.name, np.where(there, found, np.nan))

    around = np.stack([at(rows.wanted + shift * hour) for shift in (-2, -1, 0, 1, 2)], axis=-1)
    newest = last_known(series, issued_s)
    back = -(-(rows.wanted - newest[:, None]) // day) * day
    return [
        around[..., 2],
        _mean_and_sd(around)[0][..., 0],
        at(rows.last[:, None]),
        at(newest[:, None]),
        at(rows.wanted - np.maximum(back, day)),
    ]


def same_slot_steps_back(rows: Rows, steps_per_day: int) -> IntArray:
    """Return how far before the last known row the newest known value of the same slot lies."""
    return -rows.ahead % steps_per_day


def _tail(series: Series, spec: FeatureSpec, last: IntArray, length: int) -> Array:
    """Return for each issue time the `length` values up to the last known one, transformed."""
    first = max(0, int(last.min(initial=0)) - length)
    part = spec.transform(series.name, series.values[first : int(last.max(initial=-1)) + 1])
    padded = np.concatenate([np.full(length, np.nan), part])
    return np.ascontiguousarray(sliding_window_view(padded, length)[last + 1 - first])


def _mean_and_sd(values: Array) -> list[Array]:
    """Return mean and standard deviation over the last axis, kept, without missing values."""
    there = ~np.isnan(values)
    count = there.sum(axis=-1, keepdims=True)
    safe = np.maximum(count, 1)
    mean = np.where(there, values, 0.0).sum(axis=-1, keepdims=True) / safe
    deviation = np.where(there, values - mean, 0.0)
    sd = np.sqrt((deviation * deviation).sum(axis=-1, keepdims=True) / safe)
    return [np.where(count > 0, mean, np.nan), np.where(count > 0, sd, np.nan)]


def _extremes(values: Array) -> tuple[Array, Array]:
    missing = np.isnan(values)
    low = np.where(missing, np.inf, values).min(axis=-1, keepdims=True)
    high = np.where(missing, -np.inf, values).max(axis=-1, keepdims=True)
    none = missing.all(axis=-1, keepdims=True)
    return np.where(none, np.nan, low), np.where(none, np.nan, high)

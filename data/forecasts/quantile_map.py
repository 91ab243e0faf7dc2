"""Quantiles that hold what they say, from errors that are already known.

On past forecasts it is counted how often the outcome fell below each level; each level is then
read off the forecast where the right share did (quantile recalibration, Kuleshov et al. 2018, as
conformal distributional prediction does it). The order of quantiles and point masses stay, and
with past forecasts that are exchangeable with the coming one the coverage is the nominal one.
They are not quite, as markets change: hence the map is refitted on the newest errors from time to
time (adaptive conformal inference, Gibbs and Candès 2021, in its simplest form: a moving window).
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from gridhash.data.forecasts.scores import pit_interval, share_below
from gridhash.data.forecasts.series import Array, IntArray
from gridhash.errors import DataError

AHEAD_EDGES_H = (1.0, 3.0, 6.0, 12.0)
"""Boundaries of the groups of horizons that are calibrated separately."""

MIN_OUTCOMES = 200
"""A group of horizons with fewer known outcomes is not calibrated anew."""

_GRID = np.linspace(0.0, 1.0, 401)


@dataclass(frozen=True, eq=False)
class Calibration:
    """For each group of horizons, the level to read where a level is asked for.

    Attributes
    ----------
    levels
        Quantile levels, (n_levels,).
    read_at
        Shape (n_groups, n_levels); rises with the level.
    known_at
        Instant by which every outcome behind it was known; no forecast issued earlier may use it.
        None where they are of the training span, which belongs to the model.
    """

    levels: tuple[float, ...]
    read_at: Array
    known_at: pd.Timestamp | None

    def apply(self, quantiles: Array, ahead_h: Array) -> Array:
        """Return calibrated quantiles; `quantiles` (…, n_levels), hours ahead (…).

        Beyond the outermost levels the outermost quantile is read.
        """
        tau = np.asarray(self.levels)
        read = self.read_at[ahead_group(ahead_h)]
        upper = np.clip(np.searchsorted(tau, read, side="left"), 1, len(tau) - 1)
        share = np.clip((read - tau[upper - 1]) / (tau[upper] - tau[upper - 1]), 0.0, 1.0)
        below = np.take_along_axis(quantiles, upper - 1, axis=-1)
        above = np.take_along_axis(quantiles, upper, axis=-1)
        return np.maximum.accumulate(below + share * (above - below), axis=-1)


def ahead_group(ahead_h: Array) -> IntArray:
    """Return the number of the group of horizons."""
    return np.searchsorted(np.asarray(AHEAD_EDGES_H), ahead_h, side="left").astype(np.int64)


def fit_calibration(
    quantiles: Array,
    outcomes: Array,
    ahead_h: Array,
    levels: tuple[float, ...],
    *,
    known_at: pd.Timestamp | None,
    otherwise: Calibration | None = None,
) -> Calibration:
    """Return the calibration of past forecasts.

    Forecasts whose quantiles are all one number are left out: no choice of level changes them, and
    a night's certain zeros would hide what is wrong with the day.

    Parameters
    ----------
    quantiles, outcomes, ahead_h
        Past forecasts (n, n_levels), what came (n,), NaN where it is missing, and hours ahead (n,).
    known_at
        Instant by which all these outcomes were known, or None; see `Calibration`.
    otherwise
        Holds for groups of horizons with too few outcomes; without it they stay as they are.
    """
    if outcomes.shape != ahead_h.shape or quantiles.shape != (*outcomes.shape, len(levels)):
        raise DataError(
            f"{quantiles.shape} quantiles, {outcomes.shape} outcomes and {ahead_h.shape} horizons "
            "do not belong together"
        )
    seen = ~np.isnan(outcomes) & (quantiles[:, -1] > quantiles[:, 0])
    start, end = pit_interval(quantiles[seen], outcomes[seen], levels)
    groups = ahead_group(ahead_h[seen])
    if otherwise is None:
        read_at = np.tile(np.asarray(levels), (len(AHEAD_EDGES_H) + 1, 1))
    else:
        read_at = otherwise.read_at.copy()
    for group in range(len(read_at)):
        of_group = groups == group
        if of_group.sum() >= MIN_OUTCOMES:
            read_at[group] = _levels_to_read(start[of_group], end[of_group], levels)
    return Calibration(levels, read_at, known_at)


def _levels_to_read(start: Array, end: Array, levels: tuple[float, ...]) -> Array:
    """Return the level below which the right share of outcomes fell, for each level."""
    share = np.array([share_below(start, end, level).mean() for level in _GRID])
    rising = np.maximum.accumulate(share + 1e-12 * np.arange(len(_GRID)))
    return np.interp(levels, rising, _GRID)

"""A linear forecast from which the trees start.

Trees alone are coarse near the last value and cannot go beyond what they were taught. A ridge
regression per group of horizons gives a first forecast and the size of its error; the trees learn
what is left, in units of that error, so that one model serves an hour and a day.
"""

from dataclasses import dataclass

import numpy as np

from gridhash.data.forecasts.series import Array, IntArray

_OWN = (
    *("last", "last_1_before", "last_1h_before", "last_1d_before", "mean_1h", "mean_3h"),
    *("mean_24h", "same_slot_1d", "same_slot_2d", "same_slot_7d", "same_slot_mean_7d"),
    "same_hour_1d",
)
_OTHER = ("_at_target", "_around_target", "_at_last", "_newest")
_HARMONICS = (1, 2, 3)
_RIDGE = 1e-3
_N_GROUPS = 14
_MAX_SDS = 10.0


@dataclass(frozen=True, eq=False)
class Anchor:
    """Fitted by `fit_anchor`.

    Attributes
    ----------
    columns
        Features that it uses, by position, (k,).
    mean, sd
        Of these features in training, (k,). Farther than ten of these from the mean a feature has
        no more weight: one absurd value must not carry the forecast away. A missing feature counts
        as its mean, in this regression alone, and as missing, with a coefficient of its own.
    hour_column
        Position of the local hour.
    edges_h
        Least hours ahead of each group of horizons, ascending, (n_groups,).
    coefficients
        Shape (n_groups, 1 + 2 k + 6): constant, features, whether each is missing, and three
        harmonics of the local hour.
    scale
        Mean absolute error of each group in training, (n_groups,).
    """

    columns: IntArray
    mean: Array
    sd: Array
    hour_column: int
    edges_h: Array
    coefficients: Array
    scale: Array

    def predict(self, matrix: Array) -> tuple[Array, Array]:
        """Return forecast and size of its error, each (n,), from features (n, n_features)."""
        group = _group(self.edges_h, matrix)
        terms = _terms(matrix, self.columns, self.mean, self.sd, self.hour_column)
        return (terms * self.coefficients[group]).sum(axis=1), self.scale[group]


def fit_anchor(matrix: Array, labels: Array, names: list[str]) -> Anchor:
    """Return the anchor of training samples.

    Parameters
    ----------
    matrix, labels
        Features (n, n_features), hours ahead first, and what came (n,).
    names
        Names of the features.
    """
    there = ~np.isnan(matrix)
    varies = np.array(
        [
            np.ptp(matrix[there[:, i], i]) > 0 if there[:, i].any() else False
            for i in range(matrix.shape[1])
        ]
    )
    columns = np.array(
        [i for i, n in enumerate(names) if varies[i] and (n in _OWN or n.endswith(_OTHER))],
        dtype=np.int64,
    )
    mean = np.nanmean(matrix[:, columns], axis=0)
    sd = np.nanstd(matrix[:, columns], axis=0)
    hour_column = names.index("local_hour")
    ahead_h = matrix[:, 0]
    edges_h = np.unique(np.geomspace(ahead_h.min(), ahead_h.max(), _N_GROUPS))
    edges_h = edges_h[np.unique(np.searchsorted(edges_h, ahead_h, side="right") - 1)]
    group = _group(edges_h, matrix)
    terms = _terms(matrix, columns, mean, sd, hour_column)
    coefficients, scale = [], []
    for number in range(len(edges_h)):
        x, y = terms[group == number], labels[group == number]
        fitted = np.linalg.solve(x.T @ x + _RIDGE * len(x) * np.eye(x.shape[1]), x.T @ y)
        coefficients.append(fitted)
        scale.append(max(float(np.abs(y - x @ fitted).mean()), 1e-9))
    return Anchor(columns, mean, sd, hour_column, edges_h, np.stack(coefficients), np.array(scale))


def _group(edges_h: Array, matrix: Array) -> IntArray:
    group = np.searchsorted(edges_h, matrix[:, 0], side="right") - 1
    return np.clip(group, 0, len(edges_h) - 1).astype(np.int64)


def _terms(matrix: Array, columns: IntArray, mean: Array, sd: Array, hour_column: int) -> Array:
    scaled = np.clip((matrix[:, columns] - mean) / sd, -_MAX_SDS, _MAX_SDS)
    missing = np.isnan(scaled)
    angle = matrix[:, hour_column] * (2.0 * np.pi / 24.0)
    waves = [wave(k * angle) for k in _HARMONICS for wave in (np.sin, np.cos)]
    return np.column_stack([np.ones(len(matrix)), np.where(missing, 0.0, scaled), missing, *waves])

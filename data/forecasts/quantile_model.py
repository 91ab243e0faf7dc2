"""Gradient-boosted quantiles: one LightGBM model per level, the horizon is a feature."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import lightgbm as lgb
import numpy as np
import pandas as pd

from gridhash.data.forecasts.anchor import Anchor, fit_anchor
from gridhash.data.forecasts.features import FeatureSpec, design_matrix, last_known, rows_of
from gridhash.data.forecasts.forecast import LEVELS
from gridhash.data.forecasts.quantile_map import Calibration, fit_calibration
from gridhash.data.forecasts.sampling import (
    BoolArray,
    TrainingOptions,
    calibration_block,
    draw_leads,
    training_issue_times,
)
from gridhash.data.forecasts.series import Array, IntArray, SeriesByName
from gridhash.data.splits import Span
from gridhash.errors import DataError, LookAheadError

METHOD = "boosted-quantiles"

MIN_SEASON_DAYS = 720
"""From about two years of training on, the day of the year is a feature: with less it would only
tell one stretch of the training span from another."""

MIN_SAMPLES = 1000
"""Least pairs of issue time and lead to learn from."""

MIN_SHARE_AT_BOUND = 0.05
"""From this share of training values at a bound on, a point mass is kept."""

_LEADS_PER_ISSUE = 12
_N_LEAD_SETS = 24


@dataclass(frozen=True, kw_only=True, eq=False)
class QuantileModel:
    """Boosted quantiles of one target, calibrated.

    Attributes
    ----------
    spec
        What the features are made of.
    anchor
        Linear forecast that is a feature too.
    relative
        Whether the trees give the distance from the anchor in units of its error, or the value
        itself. A target that often lies at a bound, such as a surplus of zero, needs the value: a
        point mass does not survive the addition of a varying number.
    boosters
        One per level.
    calibration
        From a blocked part of the training span, or newer; None gives raw quantiles.
    n_steps
        Steps that it was taught.
    bounds
        Lowest and highest possible value.
    nearest
        For a bound at which training has a point mass, what it knew nearest to it: a quantile
        between them is the bound, as trees give tiny numbers for zero. Else the bound itself.
    trained_on
        Spans that it learned from.
    """

    spec: FeatureSpec
    levels: tuple[float, ...]
    anchor: Anchor
    relative: bool
    boosters: tuple[lgb.Booster, ...]
    calibration: Calibration | None
    n_steps: int
    bounds: tuple[float, float]
    nearest: tuple[float, float]
    trained_on: tuple[Span, ...]

    @property
    def target(self) -> str:
        """Name of the series that it forecasts."""
        return self.spec.target

    @property
    def method(self) -> str:
        """Name of the method."""
        return METHOD

    def raw_quantiles(self, series: SeriesByName, issued_s: IntArray, leads: IntArray) -> Array:
        """Return quantiles before calibration, sorted where they cross."""
        matrix = design_matrix(series, self.spec, issued_s, leads)
        values = self.from_matrix(matrix).reshape(len(issued_s), len(leads), len(self.levels))
        nothing = last_known(series[self.target], issued_s) < 0
        return np.where(nothing[:, None, None], np.nan, values)

    def from_matrix(self, matrix: Array) -> Array:
        """Return raw quantiles of rows of features, (n, n_levels)."""
        anchor, scale = self.anchor.predict(matrix)
        features = np.column_stack([matrix, anchor])
        columns = [booster.predict(features, num_threads=1) for booster in self.boosters]
        values = np.sort(np.stack([np.asarray(c) for c in columns], axis=-1), axis=-1)
        if self.relative:
            values = anchor[:, None] + scale[:, None] * values
        restored = self.spec.restore(values)
        restored = np.where(restored < self.nearest[0], self.bounds[0], restored)
        return np.where(restored > self.nearest[1], self.bounds[1], restored)

    def quantiles(self, series: SeriesByName, issued_s: IntArray, leads: IntArray) -> Array:
        """Return the quantiles, (n_issues, n_leads, n_levels); NaN where nothing is known.

        Raises
        ------
        LookAheadError
            If an issue time lies before the last error that the calibration knows.
        """
        raw = self.raw_quantiles(series, issued_s, leads)
        if self.calibration is None:
            return raw
        since = self.calibration.known_at
        if since is not None and len(issued_s) and issued_s.min() < since.timestamp():
            raise LookAheadError(
                f"{self.target}: calibrated on errors that are known at {since.isoformat()}, asked "
                f"for a forecast of {pd.Timestamp(issued_s.min(), unit='s', tz='UTC').isoformat()}"
            )
        target = series[self.target]
        ahead_h = rows_of(target, issued_s, leads).ahead_h(target.period_s)
        return self.calibration.apply(raw, ahead_h)


def fit_quantile_model(
    series: SeriesByName, spans: Sequence[Span], *, target: str, options: TrainingOptions
) -> QuantileModel:
    """Return the model of the training spans; it sees no value outside them.

    Raises
    ------
    DataError
        If the spans hold too few known values to learn from.
    """
    inside = {name: series[name].inside(spans) for name in (target, *options.covariates)}
    days = sum(span.length.total_seconds() for span in spans) / 86400.0
    spec = FeatureSpec(
        target=target,
        covariates=options.covariates,
        timezone=options.timezone,
        scales={
            name: _scale(inside[name].values, name)
            for name in inside
            if name in options.heavy_tailed
        },
        with_season=days >= MIN_SEASON_DAYS,
    )
    samples = _draw_samples(inside, spec, spans, options)
    if samples.teaches.sum() < MIN_SAMPLES:
        raise DataError(
            f"{target}: the training spans hold {samples.teaches.sum()} usable samples; at least "
            f"{MIN_SAMPLES} are needed: give longer spans"
        )
    matrix, outcomes = samples.matrix[samples.teaches], samples.outcomes[samples.teaches]
    labels = spec.transform(target, outcomes)
    anchor = fit_anchor(matrix, labels, spec.names())
    start, scale = anchor.predict(matrix)
    relative = not any(_has_mass(outcomes, bound) for bound in options.bounds)
    boosters = _boost(
        np.column_stack([matrix, start]), (labels - start) / scale if relative else labels, options
    )
    model = QuantileModel(
        spec=spec,
        levels=LEVELS,
        anchor=anchor,
        relative=relative,
        boosters=boosters,
        calibration=None,
        n_steps=options.n_steps,
        bounds=options.bounds,
        nearest=_nearest(outcomes, options.bounds),
        trained_on=tuple(spans),
    )
    held = samples.calibrates
    raw = model.from_matrix(samples.matrix[held])
    calibration = fit_calibration(
        raw, samples.outcomes[held], samples.matrix[held, 0], LEVELS, known_at=None
    )
    return replace(model, calibration=calibration)


@dataclass(frozen=True, eq=False)
class _Samples:
    matrix: Array
    outcomes: Array
    teaches: BoolArray
    calibrates: BoolArray


def _draw_samples(
    series: SeriesByName, spec: FeatureSpec, spans: Sequence[Span], options: TrainingOptions
) -> _Samples:
    rng = np.random.default_rng(options.seed)
    target = series[spec.target]
    length_s = sum(span.length.total_seconds() for span in spans)
    n_leads = min(_LEADS_PER_ISSUE, options.n_steps)
    every_s = int(length_s * n_leads / options.max_samples)
    issued_s = training_issue_times(target, spans, every_s)
    parts = np.array_split(rng.permutation(issued_s), _N_LEAD_SETS)
    blocks = [
        _sample_block(series, spec, part, draw_leads(options.n_steps, n_leads, rng))
        for part in (np.sort(part) for part in parts)
        if part.size
    ]
    matrix, outcomes, issued, wanted = (np.concatenate(c) for c in zip(*blocks, strict=True))
    by_issue, issue_teaches = calibration_block(issued, spans, options)
    by_target, target_teaches = calibration_block(wanted, spans, options)
    known = ~np.isnan(outcomes)
    return _Samples(
        matrix, outcomes, known & issue_teaches & target_teaches, known & by_issue & by_target
    )


def _sample_block(
    series: SeriesByName, spec: FeatureSpec, issued_s: IntArray, leads: IntArray
) -> tuple[Array, Array, IntArray, IntArray]:
    target = series[spec.target]
    where = rows_of(target, issued_s, leads)
    rows = where.wanted.ravel()
    coming = (rows < len(target.values)) & (where.wanted > where.last[:, None]).ravel()
    outcomes = np.where(coming, target.values[np.where(coming, rows, 0)], np.nan)
    matrix = design_matrix(series, spec, issued_s, leads)
    return (
        matrix,
        outcomes,
        np.repeat(issued_s, len(leads)),
        target.start_s + rows * target.period_s,
    )


def _nearest(outcomes: Array, bounds: tuple[float, float]) -> tuple[float, float]:
    """Return what lies nearest to each bound at which training has a point mass; else the bound."""
    low, high = bounds
    inside = outcomes[(outcomes > low) & (outcomes < high)]
    if not inside.size:
        return bounds
    return (
        float(inside.min()) if _has_mass(outcomes, low) else low,
        float(inside.max()) if _has_mass(outcomes, high) else high,
    )


def _has_mass(outcomes: Array, bound: float) -> bool:
    return bool((outcomes == bound).mean() >= MIN_SHARE_AT_BOUND)


def _scale(values: Array, name: str) -> float:
    scale = float(np.nanmedian(np.abs(values)))
    if not scale > 0.0:
        raise DataError(f"{name}: more than half of its values are zero or missing in training")
    return scale


def _boost(matrix: Array, labels: Array, options: TrainingOptions) -> tuple[lgb.Booster, ...]:
    parameters = {
        "objective": "quantile",
        "learning_rate": options.learning_rate,
        "num_leaves": options.n_leaves,
        "min_data_in_leaf": max(20, len(labels) // 1000),
        "feature_fraction": 0.7,
        "bagging_fraction": 0.7,
        "bagging_freq": 1,
        "seed": options.seed,
        "num_threads": 1,
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
    }
    data = lgb.Dataset(matrix, labels, params=parameters, free_raw_data=True)
    trained = (
        lgb.train({**parameters, "alpha": level}, data, num_boost_round=options.n_rounds)
        for level in LEVELS
    )
    # As they are read back from a file: what was trained would keep the training data alive.
    return tuple(lgb.Booster(model_str=booster.model_to_string()) for booster in trained)

"""Forecasts over the training span by models that have not seen the day they forecast.

Whatever is trained on forecasts must see them as bad as they will be; a forecaster knows its own
training span too well. The span is cut into blocks of time, and each block is forecast by a model
of the others, an embargo away on both sides.
"""

from dataclasses import dataclass, replace
from datetime import timedelta

import numpy as np
import pandas as pd

from gridhash.data.forecasts.features import last_known
from gridhash.data.forecasts.forecast import Forecaster, Forecasts, forecast_many
from gridhash.data.forecasts.methods import Method, fit
from gridhash.data.forecasts.sampling import TrainingOptions
from gridhash.data.forecasts.series import SeriesByName, series_of
from gridhash.data.splits import MIN_EMBARGO, Span
from gridhash.data.trace import Trace
from gridhash.errors import DataError
from gridhash.time_grid import epoch_s, grid


@dataclass(frozen=True, eq=False)
class Fold:
    """A block of the training span and the forecaster of all the rest."""

    block: Span
    forecaster: Forecaster


def blocks(span: Span, n_folds: int) -> list[Span]:
    """Return the span cut into whole days of about equal number; DataError if it is too short."""
    n_days = span.length.days
    if n_folds < 2 or n_days < n_folds:
        raise DataError(
            f"{span} has {n_days} days, which is too short for {n_folds} folds; give at least "
            "two folds and one day for each"
        )
    edges = [span.start + timedelta(days=n_days * i // n_folds) for i in range(n_folds)]
    return [Span(a, b) for a, b in zip(edges, [*edges[1:], span.end], strict=True)]


def training_spans(span: Span, block: Span, embargo: timedelta) -> list[Span]:
    """Return what is left of a span without a block and an embargo on both sides of it."""
    left, right = block.start - embargo, block.end + embargo
    parts = []
    if left > span.start:
        parts.append(Span(span.start, left))
    if right < span.end:
        parts.append(Span(right, span.end))
    return parts


def fit_folds(
    source: Trace | SeriesByName,
    column: str,
    span: Span,
    *,
    options: TrainingOptions,
    method: Method = "boosted-quantiles",
    folds: int = 5,
    embargo: timedelta = MIN_EMBARGO,
) -> list[Fold]:
    """Return each block with its forecaster; the forecaster saw no value of block or embargo.

    Raises
    ------
    DataError
        If the embargo is shorter than a forecast, or a fold has nothing to learn from.
    """
    series = series_of(source) if isinstance(source, Trace) else source
    reach = timedelta(seconds=options.n_steps * series[column].period_s)
    if embargo < reach:
        raise DataError(
            f"an embargo of {embargo} is shorter than the forecasts, {reach}: they would be made "
            "by a model that knows their outcome"
        )
    made = []
    for block in blocks(span, folds):
        others = training_spans(span, block, embargo)
        if not others:
            raise DataError(f"nothing of {span} is left to forecast {block}; use more folds")
        made.append(Fold(block, fit(method, series, others, target=column, options=options)))
    return made


def out_of_fold_forecasts(
    source: Trace | SeriesByName,
    column: str,
    span: Span,
    *,
    options: TrainingOptions,
    method: Method = "boosted-quantiles",
    folds: int = 5,
    embargo: timedelta = MIN_EMBARGO,
    every_s: int = 3600,
) -> Forecasts:
    """Return the forecasts issued every `every_s` over a training span, by blocked time.

    From the first issue time on at which anything of the column is known.

    Raises as `fit_folds` and `forecast_many` do, and DataError if nothing is known in the span.
    """
    series = series_of(source) if isinstance(source, Trace) else source
    made = fit_folds(
        series, column, span, options=options, method=method, folds=folds, embargo=embargo
    )
    parts = []
    for fold in made:
        issued = grid(fold.block.start, fold.block.end, every_s)
        issued = issued[last_known(series[column], epoch_s(issued)) >= 0]
        if len(issued):
            parts.append(forecast_many(fold.forecaster, series, issued, np.arange(options.n_steps)))
    if not parts:
        raise DataError(f"{column}: nothing of it is known in {span}; give a later span")

    def joined(name: str) -> pd.DatetimeIndex:
        first, *others = (getattr(part, name) for part in parts)
        return pd.DatetimeIndex(first.append(others))

    return replace(
        parts[0],
        issued_at=joined("issued_at"),
        first_starts=joined("first_starts"),
        values=np.concatenate([part.values for part in parts]),
        method=f"{parts[0].method}, out of fold",
    )

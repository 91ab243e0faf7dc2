"""Fit any method by its name."""

from collections.abc import Sequence
from typing import Literal

from gridhash.data.forecasts.baselines import fit_climatology, fit_reference
from gridhash.data.forecasts.forecast import Forecaster
from gridhash.data.forecasts.quantile_model import fit_quantile_model
from gridhash.data.forecasts.sampling import TrainingOptions
from gridhash.data.forecasts.series import SeriesByName, require_one_grid
from gridhash.data.splits import Span
from gridhash.errors import DataError

Method = Literal["persistence", "seasonal-day", "seasonal-week", "climatology", "boosted-quantiles"]

METHODS: tuple[Method, ...] = (
    "persistence",
    "seasonal-day",
    "seasonal-week",
    "climatology",
    "boosted-quantiles",
)
"""Every method; each gives published values as they are."""


def fit(
    method: Method,
    series: SeriesByName,
    spans: Sequence[Span],
    *,
    target: str,
    options: TrainingOptions,
) -> Forecaster:
    """Return a method fitted on spans alone: no value outside them changes it.

    Raises
    ------
    DataError
        If the target or a covariate is missing, or the spans hold too little of them.
    TimeGridError
        If the series are not on one grid.
    """
    for name in (target, *options.covariates):
        if name not in series:
            raise DataError(f"there is no series {name}; there are {', '.join(series)}")
    require_one_grid(series)
    match method:
        case "persistence":
            return fit_reference(series, spans, target=target, reference="last", options=options)
        case "seasonal-day":
            return fit_reference(
                series, spans, target=target, reference="same-slot-day", options=options
            )
        case "seasonal-week":
            return fit_reference(
                series, spans, target=target, reference="same-slot-week", options=options
            )
        case "climatology":
            return fit_climatology(series, spans, target=target, timezone=options.timezone)
        case "boosted-quantiles":
            return fit_quantile_model(series, spans, target=target, options=options)

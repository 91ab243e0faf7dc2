"""All that learning takes from data, fitted again on one training span by one call.

Scalers, forecasters and the generator that ships with gridhash are fitted on years that include
those that judge. That is right for what is shipped and wrong for a result: a result refits them on
its training span, and then nothing later can have reached it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import numpy as np
import pandas as pd

from gridhash.data.forecasts.forecast import Forecaster
from gridhash.data.forecasts.methods import Method, fit
from gridhash.data.forecasts.sampling import TrainingOptions
from gridhash.data.forecasts.series import Array, series_of
from gridhash.data.schema import COLUMN_BY_NAME
from gridhash.data.splits import Span
from gridhash.data.synthesis.fit import fit_japan
from gridhash.data.synthesis.parameters import JapanParameters
from gridhash.data.trace import Trace

G = TypeVar("G")

HEAVY_TAILED = ("price_per_kwh", "hashprice_usd_per_phs_day")
"""Columns whose forecasts are learned on an arcsinh scale."""


@dataclass(frozen=True)
class Scaler:
    """Mean and standard deviation of a column in training, in its unit."""

    mean: float
    sd: float

    def apply(self, values: Array) -> Array:
        """Return ``(values − mean) / sd``; a column that never varied in training only shifts."""
        return (values - self.mean) / (self.sd if self.sd > 0.0 else 1.0)


@dataclass(frozen=True, eq=False)
class Fitted(Generic[G]):
    """What was fitted on one span.

    Attributes
    ----------
    span
        The training span.
    scalers
        For every column of the trace.
    forecasters
        For every column that was asked for.
    generator
        What `generator` made of the training part; None where none was asked for.
    """

    span: Span
    scalers: Mapping[str, Scaler]
    forecasters: Mapping[str, Forecaster]
    generator: G | None


def default_options(trace: Trace, column: str, *, timezone: str, seed: int) -> TrainingOptions:
    """Return how a column of a trace is forecast: a day ahead, with all other columns' help."""
    others = tuple(str(name) for name in trace.frame.columns if name != column)
    surplus = COLUMN_BY_NAME["surplus_frac"]
    return TrainingOptions(
        n_steps=86400 // trace.period_s,
        timezone=timezone,
        seed=seed,
        heavy_tailed=tuple(n for n in (column, *others) if n in HEAVY_TAILED),
        covariates=others,
        bounds=(surplus.low, surplus.high) if column == surplus.name else (-np.inf, np.inf),
    )


def japan_generator(*, curtailed_kw: pd.Series | None = None) -> Callable[[Trace], JapanParameters]:
    """Return what fits a synthetic Japanese year to the training part that it is given.

    Parameters
    ----------
    curtailed_kw
        Mean curtailed power of the area on a longer span, by interval start in UTC; only the
        intervals of the training part are used. None leaves surplus out of what is drawn.
    """

    def fit_part(part: Trace) -> JapanParameters:
        held = None
        if curtailed_kw is not None:
            index = curtailed_kw.index
            held = curtailed_kw[(index >= part.start) & (index < part.end)]
        temperature = "outdoor_temp_c" in part.frame.columns
        return fit_japan(
            part.frame["price_per_kwh"],
            held,
            part.frame["outdoor_temp_c"] if temperature else None,
            area=part.area,
        )

    return fit_part


def refit(
    trace: Trace,
    span: Span,
    *,
    columns: Sequence[str],
    timezone: str,
    seed: int,
    method: Method = "boosted-quantiles",
    options: Mapping[str, TrainingOptions] | None = None,
    generator: Callable[[Trace], G] | None = None,
) -> Fitted[G]:
    """Return scalers, forecasters and a generator of a training span.

    Parameters
    ----------
    trace
        May reach beyond the span on both sides; nothing there is looked at.
    columns
        Columns to forecast.
    timezone
        Local time of calendar features.
    seed
        Of the forecasters, and all that is drawn for them.
    options
        For columns that are not to be forecast by `default_options`; its seed is replaced.
    generator
        Fits a generator, and is given the training part alone: `japan_generator`, or
        ``partial(fit_market, timezone=…)`` of `gridhash.data.synthetic_market`.

    Raises
    ------
    TimeGridError
        If the trace does not cover the span.
    DataError
        If a column is missing, or the span is too short to learn from.
    """
    part = trace.between(span.start, span.end)
    chosen = {name: default_options(part, name, timezone=timezone, seed=seed) for name in columns}
    for name, given in (options or {}).items():
        chosen[name] = replace(given, seed=seed)
    series = series_of(part)
    return Fitted(
        span=span,
        scalers={
            name: Scaler(float(one.values.mean()), float(one.values.std()))
            for name, one in series.items()
        },
        forecasters={
            name: fit(method, series, [span], target=name, options=chosen[name]) for name in columns
        },
        generator=None if generator is None else generator(part),
    )

"""Which issue times and leads teach, and which of them calibrate."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gridhash.data.forecasts.series import IntArray, Series
from gridhash.data.splits import Span
from gridhash.errors import DataError

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """How the forecasters are trained; the same for every method of one target.

    Attributes
    ----------
    n_steps
        Intervals that are forecast, from the one that begins now.
    timezone
        Local time of the calendar features.
    seed
        Seed of all that is drawn.
    heavy_tailed
        Series learned as ``arcsinh(value / scale)``, scale the median of |value| in training.
    covariates
        Other series that the boosted model may use.
    bounds
        Lowest and highest possible value of the target.
    max_samples
        Most pairs of issue time and lead that teach the boosted model.
    n_rounds, learning_rate, n_leaves
        Of LightGBM.
    calibration_days, calibration_every
        Of every `calibration_every` blocks of `calibration_days` days one is kept from learning
        and calibrates, with `embargo_days` around it.
    reference_every_s
        Time between issue times at which errors of plain methods are counted.
    min_errors
        Errors that a step needs for quantiles of its own; else those of the nearest step hold.
    """

    n_steps: int
    timezone: str
    seed: int
    heavy_tailed: tuple[str, ...] = ()
    covariates: tuple[str, ...] = ()
    bounds: tuple[float, float] = (-np.inf, np.inf)
    max_samples: int = 100_000
    n_rounds: int = 200
    learning_rate: float = 0.05
    n_leaves: int = 31
    calibration_days: float = 7.0
    calibration_every: int = 5
    embargo_days: float = 1.0
    reference_every_s: int = 3600
    min_errors: int = 100


def training_issue_times(series: Series, spans: Sequence[Span], every_s: int) -> IntArray:
    """Return issue times on the grid inside the spans, about `every_s` apart, ascending.

    The first day of a span is left out: its issue times would know nothing of yesterday.
    """
    step_s = whole_steps_s(series.period_s, every_s)
    times = []
    for span in spans:
        low, high = int(span.start.timestamp()) + 86400, int(span.end.timestamp())
        low += -(low - series.start_s) % series.period_s
        times.append(np.arange(low, high, step_s, dtype=np.int64))
    merged = np.unique(np.concatenate(times)) if times else np.empty(0, np.int64)
    if not merged.size:
        raise DataError(f"{series.name}: the training spans are empty; give longer ones")
    return merged


def whole_steps_s(period_s: int, every_s: int) -> int:
    """Return a time between issue times of at least about `every_s` at which all slots occur.

    It is a whole number of intervals that shares no factor with those of a day.

    >>> whole_steps_s(300, 3600)
    3900
    """
    steps = max(1, every_s // period_s)
    while np.gcd(steps, 86400 // period_s) > 1:
        steps += 1
    return steps * period_s


def draw_leads(n_steps: int, n_drawn: int, rng: np.random.Generator) -> IntArray:
    """Return leads to learn from one issue time, ascending, without repetition.

    Half are uniform over all steps, half uniform in the logarithm: the next hour matters most and
    is otherwise seldom seen.
    """
    n_drawn = min(n_drawn, n_steps)
    weight = 1.0 / n_steps + (1.0 / np.arange(1, n_steps + 1)) / np.log(n_steps + 1.0)
    return np.sort(rng.choice(n_steps, size=n_drawn, replace=False, p=weight / weight.sum()))


def calibration_block(
    instants_s: IntArray, spans: Sequence[Span], options: TrainingOptions
) -> tuple[BoolArray, BoolArray]:
    """Return for each instant whether it calibrates, and whether it may teach.

    Blocks are counted from the start of the first span; a block that calibrates is the middle one
    of `calibration_every`.
    """
    first_s = min(span.start.timestamp() for span in spans)
    block_s = options.calibration_days * 86400.0
    cycle_s = block_s * options.calibration_every
    begin_s = block_s * (options.calibration_every // 2)
    offset = (instants_s.astype(np.float64) - first_s) % cycle_s
    embargo_s = options.embargo_days * 86400.0
    calibrates = (offset >= begin_s) & (offset < begin_s + block_s)
    near = (offset >= begin_s - embargo_s) & (offset < begin_s + block_s + embargo_s)
    return calibrates, ~near

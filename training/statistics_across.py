"""Many scenarios and seeds at once: corrected p-values, interquartile mean, performance profiles.

After Agarwal et al. (2021), "Deep Reinforcement Learning at the Edge of the Statistical
Precipice": scores are shares (of the uplift or of a gap), one per seed and scenario, and seeds are
redrawn within each scenario.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import trim_mean

from gridhash.training.statistics import N_RESAMPLES, TAILS, Floats, Interval, stretch

Scores = Mapping[str, Sequence[float]]
"""Scores of the seeds of one policy, by scenario; the numbers of seeds may differ."""


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Return p-values corrected for how many there are (Holm, 1979), in the same order.

    A corrected value below 0.05 means: at a chance of 5 % that any of them is wrong.

    >>> holm({"a": 0.01, "b": 0.04, "c": 0.03})
    {'a': 0.03, 'b': 0.06, 'c': 0.06}
    """
    corrected = {}
    worst = 0.0
    for rank, name in enumerate(sorted(p_values, key=lambda name: p_values[name])):
        worst = max(worst, min(1.0, (len(p_values) - rank) * p_values[name]))
        corrected[name] = worst
    return {name: corrected[name] for name in p_values}


def interquartile_mean(scores: npt.ArrayLike) -> float:
    """Return the mean of the middle half [1].

    >>> interquartile_mean([0.0, 1.0, 2.0, 100.0])
    1.5
    """
    return float(trim_mean(np.asarray(scores, dtype=np.float64).ravel(), 0.25))


def _runs(scores: Scores) -> Floats:
    return np.concatenate([np.asarray(own, dtype=np.float64) for own in scores.values()])


def _redrawn(scores: Scores, rng: np.random.Generator) -> Floats:
    """Return (resamples, runs): seeds redrawn within each scenario."""
    parts = []
    for own in scores.values():
        values = np.asarray(own, dtype=np.float64)
        parts.append(values[rng.integers(0, values.size, size=(N_RESAMPLES, values.size))])
    return np.concatenate(parts, axis=1)


def iqm_interval(scores: Scores, *, seed: int = 0) -> Interval:
    """Return the interquartile mean over all seeds and scenarios with its 95 % interval.

    The interval holds what other seeds would have given on these scenarios; it says nothing of
    other scenarios. With one seed each it has no width.
    """
    runs = _runs(scores)
    estimate = interquartile_mean(runs)
    means = trim_mean(_redrawn(scores, np.random.default_rng(seed)), 0.25, axis=1)
    factor = stretch(runs.size / len(scores), max(runs.size - len(scores), 1))
    low, high = np.quantile(estimate + factor * (means - estimate), TAILS)
    return Interval(estimate=estimate, low=float(low), high=float(high))


@dataclass(frozen=True, kw_only=True)
class Profile:
    """Share of runs that score above each threshold, with its 95 % band."""

    threshold: tuple[float, ...]
    share: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


def performance_profile(scores: Scores, thresholds: Sequence[float], *, seed: int = 0) -> Profile:
    """Return the share of runs above each threshold; the area between two profiles is a gain."""
    levels = np.asarray(thresholds, dtype=np.float64)
    redrawn = _redrawn(scores, np.random.default_rng(seed))
    shares = np.stack([(redrawn > level).mean(axis=1) for level in levels])
    low, high = np.quantile(shares, TAILS, axis=1)
    return Profile(
        threshold=tuple(levels.tolist()),
        share=tuple(float((_runs(scores) > level).mean()) for level in levels),
        low=tuple(low.tolist()),
        high=tuple(high.tolist()),
    )

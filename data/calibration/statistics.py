"""Estimates with 95 % intervals from few rigs, coarse sensors and readings seconds apart.

Readings of one rig depend on each other, rigs do not; so what is fitted rig by rig is combined
over rigs by their own spread, whatever the noise within a rig is like.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr
from scipy.stats import t as student_t

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

FEWEST_RIGS = 3
CONTAMINATION = 0.02
"""Share of starts that are held possible to have nothing to do with the rest."""
OUTLIER_MADS = 6.0


@dataclass(frozen=True)
class Interval:
    """An estimate and its 95 % interval."""

    value: float
    low: float
    high: float

    def scaled(self, factor: float) -> "Interval":
        """Return the interval in another unit."""
        return Interval(self.value * factor, self.low * factor, self.high * factor)


@dataclass(frozen=True)
class Combined:
    """An estimate over rigs, and which of them it was made from."""

    interval: Interval
    used: Bools


def inliers(values: Floats, scale_at_least: float, n_mads: float = OUTLIER_MADS) -> Bools:
    """Return True where a value lies within so many scaled MADs of the median, (n,) -> (n,).

    The scaled median absolute deviation estimates a standard deviation (Hampel, 1974).
    `scale_at_least` keeps coarse or constant values from calling everything else an outlier.
    """
    middle = np.median(values)
    scale = max(1.4826 * float(np.median(np.abs(values - middle))), scale_at_least)
    return np.asarray(np.abs(values - middle) <= n_mads * scale, dtype=np.bool_)


def combine_rigs(values: Floats, common_error: float = 0.0) -> Combined:
    """Return the mean of one estimate per rig, (n,), with Student's t interval over rigs.

    Rigs count alike: weights from their own errors would have to be known to be right, and with
    few rigs even random-effects weights (DerSimonian-Laird) cover only 90 % where errors differ
    much. Rigs far from all others (6 MAD, from eight rigs on) are left out.

    Parameters
    ----------
    common_error
        Standard uncertainty that all rigs share, such as the step of the coolant's sensor.

    Raises
    ------
    ValueError
        If there are fewer than three rigs.
    """
    if len(values) < FEWEST_RIGS:
        raise ValueError(f"an interval over rigs needs {FEWEST_RIGS} of them; found {len(values)}")
    used = np.ones(len(values), dtype=np.bool_)
    if len(values) >= 8:
        used = inliers(values, 1e-3 * abs(float(np.median(values))))
    x = values[used]
    mean, error = float(x.mean()), float(x.std(ddof=1)) / np.sqrt(len(x))
    half = float(np.hypot(student_t.ppf(0.975, len(x) - 1) * error, 1.96 * common_error))
    return Combined(Interval(mean, mean - half, mean + half), used)


def resolution(values: Floats) -> float:
    """Return the step in which a sensor counts, of 1, 0.5, 0.1, 0.01 and 0.001; 0 if finer."""
    finite = values[np.isfinite(values)]
    for step in (1.0, 0.5, 0.1, 0.01, 0.001):
        ticks = finite / step
        if finite.size and np.all(np.abs(ticks - np.round(ticks)) < 1e-6):
            return step
    return 0.0


def rounding_error(values: Floats) -> float:
    """Return the standard error that rounding leaves in the mean of what one sensor read.

    Rounding to a step errs by step/sqrt(12) (GUM 4.3.7). Repeating the same reading does not help,
    different readings do, so it falls with the root of how many different values were seen.
    """
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        return 0.0
    return float(resolution(finite) / np.sqrt(12.0 * len(np.unique(finite))))


@dataclass(frozen=True)
class Delays:
    """The mean of delays that are known between bounds only."""

    interval: Interval
    n_effective: float
    """As many independent delays would tell as much: those of one rig resemble each other."""
    inside_frac: float
    """Share of the bounds that enclose the estimate, within the scatter that was found."""
    scatter_s: float


def mean_delay(low_s: Floats, high_s: Floats, cluster: Ints) -> Delays:
    """Return the mean of delays of which each is known to lie in (low, high], all (n,).

    Interval-censored normal likelihood with 2 % contamination; the interval is the profile
    likelihood's with Student's t in place of the normal, its information reduced by the design
    effect 1 + (m - 1) ICC of delays that come m to a rig (Kish, 1965). A reading every ten seconds
    at one phase cannot tell more than ten seconds, and then the interval is that wide.

    Raises
    ------
    ValueError
        If there are fewer than three delays.
    """
    n = len(low_s)
    if n < 3:
        raise ValueError(f"a mean delay needs three starts; found {n}")
    effect = _design_effect(0.5 * (low_s + high_s), cluster)
    n_effective = max(n / effect, 2.0)
    drop = 0.5 * float(student_t.ppf(0.975, n_effective - 1.0)) ** 2
    weight = n_effective / n
    # The first grid goes far beyond what was seen; each further one covers what is likely.
    width_s = float(high_s.max() - low_s.min())
    grid = np.linspace(max(low_s.min() - 3.0 * width_s, 0.0), high_s.max() + 3.0 * width_s, 201)
    sigmas = np.geomspace(0.25, max(float(np.ptp(grid)), 1.0), 30)
    for _ in range(3):
        profile, sigma = _profile(grid, sigmas, low_s, high_s)
        likely = weight * (profile.max() - profile) <= drop
        inside = grid[likely]
        step = grid[1] - grid[0]
        bounds = (inside[0] - step, inside[-1] + step)
        best = profile >= profile.max() - 1e-3
        value, scatter_s = float(grid[best].mean()), float(np.median(sigma[best]))
        grid = np.linspace(*bounds, 201)
    low, high = float(inside[0]), float(inside[-1])
    inside_frac = float(
        np.mean((low_s - 2.0 * scatter_s <= value) & (value <= high_s + 2.0 * scatter_s))
    )
    return Delays(Interval(value, low, high), n_effective, inside_frac, scatter_s)


def difference(whole: Interval, part: Interval) -> Interval:
    """Return whole - part with an interval from both intervals.

    Method of variance estimates recovery (Zou and Donner, Statistics in Medicine 27, 2008), for
    independent estimates; where a long part comes with a long whole, it is too wide.
    """
    value = whole.value - part.value
    low = value - np.hypot(whole.value - whole.low, part.high - part.value)
    high = value + np.hypot(whole.high - whole.value, part.value - part.low)
    return Interval(value, float(low), float(high))


def lag1_autocorrelation(residuals: Floats) -> float:
    """Return the correlation of each residual with the one before it; 0 for fewer than three."""
    centred = residuals - residuals.mean() if len(residuals) else residuals
    total = float(np.sum(centred**2))
    if len(residuals) < 3 or total == 0.0:
        return 0.0
    return float(np.sum(centred[1:] * centred[:-1]) / total)


def _profile(means: Floats, sigmas: Floats, low_s: Floats, high_s: Floats) -> tuple[Floats, Floats]:
    """Return for each mean the best log likelihood over sigma, and that sigma; (m,) each."""
    span = float(high_s.max() - low_s.min()) + 10.0
    other = CONTAMINATION * (high_s - low_s) / span
    likelihood = np.empty((len(means), len(sigmas)))
    for row, mean in enumerate(means):
        high = ndtr((high_s - mean) / sigmas[:, None])
        low = ndtr((low_s - mean) / sigmas[:, None])
        chance = (1.0 - CONTAMINATION) * (high - low) + other
        likelihood[row] = np.log(chance).sum(axis=1)
    return likelihood.max(axis=1), sigmas[likelihood.argmax(axis=1)]


def _design_effect(values: Floats, cluster: Ints) -> float:
    """Return 1 + (m - 1) ICC, the intraclass correlation by one-way analysis of variance."""
    _, index, sizes = np.unique(cluster, return_inverse=True, return_counts=True)
    k, n = len(sizes), len(values)
    if k < 2 or n <= k:
        return 1.0
    means = np.bincount(index, values) / sizes
    within = float(np.sum((values - means[index]) ** 2)) / (n - k)
    between = float(np.sum(sizes * (means - values.mean()) ** 2)) / (k - 1)
    m = (n - float(np.sum(sizes**2)) / n) / (k - 1)
    total = between + (m - 1.0) * within
    correlation = 0.0 if total <= 0.0 else max(0.0, (between - within) / total)
    return 1.0 + (m - 1.0) * correlation

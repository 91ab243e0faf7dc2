"""Scores of quantile forecasts: pinball loss, CRPS, coverage, and the difference of two methods."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gridhash.data.forecasts.series import Array
from gridhash.errors import DataError


def pinball(quantiles: Array, outcomes: Array, levels: tuple[float, ...]) -> Array:
    """Return the pinball loss, shape (…, n_levels), in the unit of the outcome.

    ``max(τ (y − q), (τ − 1)(y − q))`` for level τ (Koenker and Bassett 1978). `quantiles` has
    shape (…, n_levels), `outcomes` (…).
    """
    tau = np.asarray(levels)
    error = outcomes[..., None] - quantiles
    return np.maximum(tau * error, (tau - 1.0) * error)


def crps(quantiles: Array, outcomes: Array, levels: tuple[float, ...]) -> Array:
    """Return the continuous ranked probability score, shape (…), in the unit of the outcome.

    CRPS is twice the integral of the pinball loss over the level (Gneiting and Ranjan 2011). Each
    level stands for the levels nearer to it than to another, the outermost for all beyond: with
    the 15 levels of `gridhash.data.forecasts.forecast.LEVELS` within 1.5 % of the closed form for
    normal forecasts. Tails beyond the outermost quantile are not seen.
    """
    edges = np.concatenate([[0.0], (np.diff(levels) / 2.0 + levels[:-1]), [1.0]])
    return 2.0 * pinball(quantiles, outcomes, levels) @ np.diff(edges)


def pit_interval(
    quantiles: Array, outcomes: Array, levels: tuple[float, ...]
) -> tuple[Array, Array]:
    """Return where the outcome falls in its forecast distribution: F(y−) and F(y), shape (…).

    Between two quantiles F is linear, and both ends agree. Where several quantiles equal the
    outcome, as at a surplus of zero, the forecast has a point mass there and the ends differ; a
    mass at the lowest quantile reaches down to 0, one at the highest up to 1. Below all quantiles
    the interval is [0, lowest level], above all [highest level, 1].
    """
    tau = np.asarray(levels)
    y = outcomes[..., None]
    n_below = (quantiles < y).sum(axis=-1)
    n_up_to = (quantiles <= y).sum(axis=-1)
    n = len(levels)
    tied = n_up_to > n_below
    lower, upper = np.clip(n_below - 1, 0, n - 1), np.clip(n_below, 0, n - 1)
    q_low = np.take_along_axis(quantiles, lower[..., None], axis=-1)[..., 0]
    q_high = np.take_along_axis(quantiles, upper[..., None], axis=-1)[..., 0]
    width = np.where(q_high > q_low, q_high - q_low, 1.0)
    inside = tau[lower] + (tau[upper] - tau[lower]) * (outcomes - q_low) / width
    low = np.where(tied, tau[upper], inside)
    high = np.where(tied, tau[np.clip(n_up_to - 1, 0, n - 1)], inside)
    low = np.where(n_below == 0, 0.0, np.where(n_below == n, tau[-1], low))
    high = np.where(n_up_to == n, 1.0, np.where(n_up_to == 0, tau[0], high))
    return low, high


def coverage(
    quantiles: Array, outcomes: Array, levels: tuple[float, ...], *, low: float, high: float
) -> Array:
    """Return the share, 0 to 1, of each outcome that lies between two levels, shape (…).

    Without ties it is 0 or 1. At a point mass it is the probability that the randomised
    probability integral transform, uniform on [F(y−), F(y)], lies in [low, high] (Brockwell 2007):
    a forecast that rightly says "zero for sure" covers `high − low`, not 1, so that its mean can
    be compared with the nominal one. Expected value, no random numbers.
    """
    start, end = pit_interval(quantiles, outcomes, levels)
    return share_below(start, end, high) - share_below(start, end, low)


def share_below(start: Array, end: Array, level: float) -> Array:
    """Return the probability that a uniform number on [start, end] is at most `level`."""
    width = np.where(end > start, end - start, 1.0)
    return np.where(
        end > start, np.clip((level - start) / width, 0.0, 1.0), (start <= level).astype(float)
    )


@dataclass(frozen=True)
class Difference:
    """Mean difference of two scores, with its 95 % interval."""

    mean: float
    low: float
    high: float


def paired_difference(
    ours: Array,
    theirs: Array,
    block: npt.NDArray[np.int64],
    *,
    seed: int,
    n_draws: int = 2000,
) -> Difference:
    """Return the mean of ``ours − theirs`` and its 95 % interval by a block bootstrap.

    Parameters
    ----------
    ours, theirs
        Scores of the same forecasts, shape (n,); none is NaN.
    block
        Number of the block, such as the week, that each belongs to, shape (n,). Whole blocks are
        drawn with replacement, so that what depends on each other stays together (Künsch 1989).

    Raises
    ------
    DataError
        If there are fewer than 8 blocks: the interval would mean little.
    """
    _, number = np.unique(block, return_inverse=True)
    n_blocks = int(number.max(initial=-1)) + 1
    if n_blocks < 8:
        raise DataError(
            f"{n_blocks} blocks are too few for a confidence interval; use a longer span or "
            "shorter blocks, at least 8"
        )
    sums = np.bincount(number, weights=ours - theirs)
    counts = np.bincount(number)
    drawn = np.random.default_rng(seed).integers(n_blocks, size=(n_draws, n_blocks))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return Difference(float(sums.sum() / counts.sum()), float(low), float(high))

"""Paired comparison of policies: bootstrap over the days that all of them played."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

N_RESAMPLES = 4000


@dataclass(frozen=True, kw_only=True)
class Interval:
    """An estimate with its 95 % interval."""

    estimate: float
    low: float
    high: float


def _resampled_sums(
    columns: npt.NDArray[np.float64], rng: np.random.Generator, block_days: int
) -> npt.NDArray[np.float64]:
    """Return (resamples, columns): sums over days drawn with replacement in circular blocks."""
    n_days = columns.shape[0]
    n_blocks = -(-n_days // block_days)
    starts = rng.integers(0, n_days, size=(N_RESAMPLES, n_blocks))
    days = (starts[:, :, None] + np.arange(block_days)) % n_days
    days = days.reshape(N_RESAMPLES, -1)[:, :n_days]
    weights = np.zeros((N_RESAMPLES, n_days))
    for k in range(n_days):
        np.add.at(weights, (np.arange(N_RESAMPLES), days[:, k]), 1.0)
    return np.asarray(weights @ columns)


def paired_difference(
    profit: npt.NDArray[np.float64],
    reference: npt.NDArray[np.float64],
    *,
    seed: int = 0,
    block_days: int = 1,
) -> Interval:
    """Return the sum of (profit - reference) over days with its bootstrap interval [currency].

    Days are drawn in pairs, so what both policies owe to the weather of prices cancels.
    `block_days` > 1 keeps neighbouring days together (circular block bootstrap; Politis and
    Romano, 1992).
    """
    rng = np.random.default_rng(seed)
    sums = _resampled_sums((profit - reference)[:, None], rng, block_days)[:, 0]
    low, high = np.quantile(sums, [0.025, 0.975])
    return Interval(estimate=float((profit - reference).sum()), low=float(low), high=float(high))


def gap_closed(
    profit: npt.NDArray[np.float64],
    reference: npt.NDArray[np.float64],
    target: npt.NDArray[np.float64],
    *,
    seed: int = 0,
    block_days: int = 1,
) -> Interval | None:
    """Return (profit - reference) / (target - reference), sums over days, with its interval.

    1 means as good as `target`, 0 as `reference`. All three are (days,), or `profit` is (seeds,
    days): then seeds are drawn as well, days within each draw alike for all.

    None if `target` is not clearly above `reference`, that is if more than one resample in forty
    finds no gap: a share of nothing has no interval. The few that find none are left out.
    """
    rng = np.random.default_rng(seed)
    by_seed = np.atleast_2d(profit)
    columns = np.column_stack([by_seed.T - reference[:, None], target - reference])
    sums = _resampled_sums(columns, rng, block_days)
    n_seeds = by_seed.shape[0]
    drawn = rng.integers(0, n_seeds, size=(N_RESAMPLES, n_seeds))
    gains = np.take_along_axis(sums[:, :n_seeds], drawn, axis=1).mean(axis=1)
    total = columns.sum(axis=0)
    found = sums[:, -1] > 0.0
    if total[-1] <= 0.0 or np.mean(found) < 1.0 - 1.0 / 40.0:
        return None
    low, high = np.quantile(gains[found] / sums[found, -1], [0.025, 0.975])
    return Interval(
        estimate=float(total[:n_seeds].mean() / total[-1]), low=float(low), high=float(high)
    )

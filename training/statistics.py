"""How sure a difference between policies is: bootstrap over seeds and over blocks of days.

Days hang together (a dear week, a cold spell), so blocks of neighbouring days are drawn, with the
year as a circle (Politis and Romano, 1992). Training seeds are drawn beside them, the same days
for all seeds and all policies, so that what every policy owes to the weather of prices cancels.

A bootstrap of n things spreads them too little, by sqrt((n - 1) / n), and cuts the ends as if the
spread were known. Both matter for five seeds or for a quarter of a year, so deviations are
stretched to what a t interval of n things would give (`stretch`); for many the factor is 1.

Charges that are settled by month or year are no matter of a day: give daily profits in which they
are spread over the days of their month (`gridhash.training.settled_days`).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import norm, t

N_RESAMPLES = 4000
BLOCK_DAYS = 7
LEAST_BLOCKS = 4
"""A span that holds fewer blocks is cut into so many shorter ones."""
CONFIDENCE = 0.95
TAILS = ((1.0 - CONFIDENCE) / 2.0, (1.0 + CONFIDENCE) / 2.0)

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Interval:
    """An estimate with its 95 % interval."""

    estimate: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Difference(Interval):
    """What a policy earned more than another, and how surprising it would be if that were nothing.

    `p_value` is two-sided; correct it over all comparisons that are shown together
    (`gridhash.training.statistics_across.holm`).
    """

    p_value: float
    n_seeds: int
    n_days: int
    block_days: int


def block_length(n_days: int, block_days: int = BLOCK_DAYS) -> int:
    """Return how many days are kept together: `block_days`, fewer in a short span.

    >>> block_length(365), block_length(10), block_length(2)
    (7, 2, 1)
    """
    return max(1, min(block_days, n_days // LEAST_BLOCKS))


def stretch(n: float, degrees: float | None = None) -> float:
    """Return by how much deviations of a bootstrap of n things are stretched [1].

    sqrt(n / (n - 1)) t / z, with the 97.5 % points of Student's t of `degrees`, n - 1 if not
    given, and of the normal distribution; 1 where there is one thing: its spread is unknown.

    >>> round(stretch(5), 3), round(stretch(52), 3), stretch(1)
    (1.584, 1.034, 1.0)
    """
    if n <= 1.0:
        return 1.0
    wide = t.ppf(TAILS[1], n - 1.0 if degrees is None else degrees) / norm.ppf(TAILS[1])
    return float(np.sqrt(n / (n - 1.0)) * wide)


def resampled_totals(columns: Floats, *, block_days: int, rng: np.random.Generator) -> Floats:
    """Return (resamples, columns): totals over redrawn days, deviations stretched.

    `columns` is (days, columns); a redraw takes the same days of all of them, in circular blocks
    of which the last is cut off so that as many days are drawn as there are.
    """
    n_days = columns.shape[0]
    n_blocks = -(-n_days // block_days)
    starts = rng.integers(0, n_days, size=(N_RESAMPLES, n_blocks))
    rest = n_days - (n_blocks - 1) * block_days
    whole = _block_sums(columns, block_days)[starts[:, :-1]].sum(axis=1)
    totals = whole + _block_sums(columns, rest)[starts[:, -1]]
    centre = columns.sum(axis=0)
    return np.asarray(centre + stretch(n_days / block_days) * (totals - centre))


def _block_sums(columns: Floats, length: int) -> Floats:
    """Return (days, columns): the sum of `length` days from each day on, the year as a circle."""
    run = np.concatenate([np.zeros((1, columns.shape[1])), columns, columns[:length]]).cumsum(
        axis=0
    )
    return np.asarray(run[length : length + len(columns)] - run[: len(columns)])


def _seed_means(by_seed: Floats, rng: np.random.Generator) -> Floats:
    """Return the mean over redrawn seeds of each resample: (resamples, seeds) → (resamples,)."""
    n_resamples, n_seeds = by_seed.shape
    drawn = rng.integers(0, n_seeds, size=(n_resamples, n_seeds))
    mean = by_seed.mean(axis=1)
    redrawn = np.take_along_axis(by_seed, drawn, axis=1).mean(axis=1)
    return np.asarray(mean + stretch(n_seeds) * (redrawn - mean))


def difference(
    profit: Floats,
    reference: Floats,
    *,
    seed: int = 0,
    block_days: int = BLOCK_DAYS,
) -> Difference:
    """Return the total of (profit - reference) over the span, mean over seeds [currency].

    Both are (days,) or (seeds, days). A `reference` of several seeds is that of the same seeds
    where there are as many of them, and its mean otherwise.
    """
    gain = np.atleast_2d(profit) - _paired(np.atleast_2d(reference), np.atleast_2d(profit).shape[0])
    n_seeds, n_days = gain.shape
    rng = np.random.default_rng(seed)
    length = block_length(n_days, block_days)
    totals = _seed_means(resampled_totals(gain.T, block_days=length, rng=rng), rng)
    low, high = np.quantile(totals, TAILS)
    estimate = float(gain.sum() / n_seeds)
    return Difference(
        estimate=estimate,
        low=float(low),
        high=float(high),
        p_value=_p_value(totals),
        n_seeds=n_seeds,
        n_days=n_days,
        block_days=length,
    )


def _paired(reference: Floats, n_seeds: int) -> Floats:
    return reference if reference.shape[0] == n_seeds else reference.mean(axis=0, keepdims=True)


def _p_value(totals: Floats) -> float:
    """Return twice the smaller share of resamples on either side of zero; never zero itself."""
    n = totals.size
    below, above = np.sum(totals <= 0.0), np.sum(totals >= 0.0)
    return float(min(1.0, 2.0 * (min(below, above) + 1) / (n + 1)))


def paired_difference(
    profit: Floats,
    reference: Floats,
    *,
    seed: int = 0,
    block_days: int = BLOCK_DAYS,
) -> Interval:
    """Return the interval of `difference` alone [currency]."""
    found = difference(profit, reference, seed=seed, block_days=block_days)
    return Interval(estimate=found.estimate, low=found.low, high=found.high)


def gap_closed(
    profit: Floats,
    reference: Floats,
    target: Floats,
    *,
    seed: int = 0,
    block_days: int = BLOCK_DAYS,
) -> Interval | None:
    """Return (profit - reference) / (target - reference), totals over days, with its interval.

    1 means as good as `target`, 0 as `reference`. All three are (days,), or `profit` is (seeds,
    days): then seeds are drawn as well, days within each draw alike for all.

    None if `target` is not clearly above `reference`, that is if more than one resample in forty
    finds no gap: a share of nothing has no interval. The few that find none are left out.
    """
    rng = np.random.default_rng(seed)
    by_seed = np.atleast_2d(profit)
    columns = np.column_stack([by_seed.T - reference[:, None], target - reference])
    n_days, n_seeds = columns.shape[0], by_seed.shape[0]
    totals = resampled_totals(columns, block_days=block_length(n_days, block_days), rng=rng)
    gains = _seed_means(totals[:, :n_seeds], rng)
    whole = columns.sum(axis=0)
    found = totals[:, -1] > 0.0
    if whole[-1] <= 0.0 or np.mean(found) < 1.0 - 1.0 / 40.0:
        return None
    low, high = np.quantile(gains[found] / totals[found, -1], TAILS)
    return Interval(
        estimate=float(whole[:n_seeds].mean() / whole[-1]), low=float(low), high=float(high)
    )

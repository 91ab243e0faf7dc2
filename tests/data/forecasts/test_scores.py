"""Scores against closed forms and numbers worked out by hand."""

import numpy as np
import pytest
from scipy.stats import norm

from gridhash.data.forecasts.forecast import LEVELS
from gridhash.data.forecasts.scores import (
    coverage,
    crps,
    paired_difference,
    pinball,
    pit_interval,
)
from gridhash.errors import DataError

SOME = (0.1, 0.5, 0.9)


def test_pinball_by_hand() -> None:
    loss = pinball(np.array([[1.0, 2.0, 3.0]]), np.array([2.5]), SOME)

    assert loss[0].tolist() == pytest.approx([0.1 * 1.5, 0.5 * 0.5, 0.1 * 0.5])


def test_crps_of_a_certain_forecast_is_the_absolute_error() -> None:
    assert crps(np.full((1, 15), 7.0), np.array([4.5]), LEVELS)[0] == pytest.approx(2.5)


@pytest.mark.parametrize(("mean", "sd"), [(0.0, 1.0), (20.0, 7.0)])
def test_mean_crps_of_normal_forecasts_is_that_of_the_closed_form(mean: float, sd: float) -> None:
    outcomes = norm.rvs(mean, sd, size=200_000, random_state=1)
    z = (outcomes - mean) / sd
    exact = sd * (z * (2 * norm.cdf(z) - 1) + 2 * norm.pdf(z) - 1 / np.sqrt(np.pi))

    ours = crps(np.tile(norm.ppf(LEVELS, mean, sd), (len(z), 1)), outcomes, LEVELS)

    assert ours.mean() == pytest.approx(exact.mean(), rel=0.015)


def test_coverage_counts_what_lies_between_two_quantiles() -> None:
    quantiles = np.tile([1.0, 2.0, 3.0], (4, 1))
    outcomes = np.array([0.5, 1.5, 2.9, 3.5])

    assert coverage(quantiles, outcomes, SOME, low=0.1, high=0.9).tolist() == [0, 1, 1, 0]


def test_a_rightly_certain_zero_covers_the_nominal_share() -> None:
    share = coverage(np.zeros((1, 15)), np.zeros(1), LEVELS, low=0.1, high=0.9)

    assert share[0] == pytest.approx(0.8)


def test_a_point_mass_below_a_level_covers_its_part() -> None:
    quantiles = np.array([[0.0, 0.0, 5.0]])

    low, high = pit_interval(quantiles, np.zeros(1), SOME)
    share = coverage(quantiles, np.zeros(1), SOME, low=0.1, high=0.9)

    assert (low[0], high[0]) == (0.0, 0.5)
    assert share[0] == pytest.approx((0.5 - 0.1) / 0.5)


def test_coverage_of_a_true_mixed_distribution_is_nominal() -> None:
    # Zero with probability 0.6, else uniform on [0, 1]: the quantile function is exact.
    rng = np.random.default_rng(5)
    outcomes = np.where(rng.random(100_000) < 0.6, 0.0, rng.random(100_000))
    truth = np.maximum(0.0, (np.array(LEVELS) - 0.6) / 0.4)
    quantiles = np.tile(truth, (len(outcomes), 1))

    share = coverage(quantiles, outcomes, LEVELS, low=0.1, high=0.9).mean()
    plain = np.mean((outcomes >= quantiles[:, 3]) & (outcomes <= quantiles[:, -4]))

    assert share == pytest.approx(0.8, abs=0.01)
    assert plain == pytest.approx(0.9, abs=0.01)  # why ties need care


def test_probability_transform_of_a_true_forecast_is_uniform() -> None:
    outcomes = norm.rvs(size=50_000, random_state=2)
    low, high = pit_interval(np.tile(norm.ppf(LEVELS), (len(outcomes), 1)), outcomes, LEVELS)

    for level in (0.1, 0.35, 0.5, 0.9):
        assert np.mean((low + high) / 2 < level) == pytest.approx(level, abs=0.01)


def test_difference_and_its_interval() -> None:
    rng = np.random.default_rng(3)
    block = np.repeat(np.arange(40), 10)
    theirs = rng.normal(5.0, 1.0, 400)
    ours = theirs - 0.5 + np.repeat(rng.normal(0.0, 0.4, 40), 10)

    found = paired_difference(ours, theirs, block, seed=1)

    assert found.mean == pytest.approx((ours - theirs).mean())
    assert found.low < found.mean < found.high < 0.0
    # The 40 block means decide, not the 400 values.
    assert found.high - found.low == pytest.approx(2 * 1.96 * 0.4 / np.sqrt(40), rel=0.3)
    assert found == paired_difference(ours, theirs, block, seed=1)


def test_too_few_blocks_give_no_interval() -> None:
    with pytest.raises(DataError, match="too few"):
        paired_difference(np.ones(10), np.zeros(10), np.arange(10) // 2, seed=1)

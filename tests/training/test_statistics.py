import numpy as np
import pytest

from gridhash.training.statistics import Interval, gap_closed, paired_difference


def _days(seed: int, n_days: int = 92) -> np.ndarray:
    return np.random.default_rng(seed).normal(100.0, 40.0, n_days)


def test_a_constant_difference_has_an_interval_without_width() -> None:
    rule = _days(0)

    interval = paired_difference(rule + 2.0, rule)

    assert interval.estimate == pytest.approx(2.0 * 92)
    assert interval.low == pytest.approx(interval.estimate)
    assert interval.high == pytest.approx(interval.estimate)


def test_pairs_cancel_what_both_owe_to_the_day() -> None:
    rule = _days(0) * 100.0
    gain = np.random.default_rng(1).normal(1.0, 1.0, rule.size)

    alone = paired_difference(gain, np.zeros_like(gain))

    assert paired_difference(rule + gain, rule).low == pytest.approx(alone.low)


def test_the_interval_of_a_mean_of_normals_is_that_of_theory() -> None:
    gain = _days(3, 400)

    interval = paired_difference(gain, np.zeros_like(gain))

    half = 1.96 * gain.std() * np.sqrt(gain.size)
    assert interval.high - interval.low == pytest.approx(2.0 * half, rel=0.05)


def test_the_interval_covers_the_truth_in_about_95_of_100_spans() -> None:
    rng = np.random.default_rng(11)
    n_days, n_spans, truth = 60, 200, 3.0
    # Skewed, as profits are: a few days bring most of it.
    gains = rng.gamma(0.8, truth / 0.8, size=(n_spans, n_days))

    covered = 0
    for k, gain in enumerate(gains):
        interval = paired_difference(gain, np.zeros(n_days), seed=k)
        covered += interval.low <= truth * n_days <= interval.high

    assert 0.90 <= covered / n_spans <= 0.98


def test_blocks_widen_the_interval_of_days_that_hang_together() -> None:
    rng = np.random.default_rng(5)
    fortnights = np.repeat(rng.normal(0.0, 1.0, 20), 14)

    by_day = paired_difference(fortnights, np.zeros_like(fortnights))
    by_block = paired_difference(fortnights, np.zeros_like(fortnights), block_days=14)

    assert by_block.high - by_block.low > 2.0 * (by_day.high - by_day.low)


def test_the_same_seed_gives_the_same_interval() -> None:
    first = paired_difference(_days(1), _days(2), seed=7)

    assert first == paired_difference(_days(1), _days(2), seed=7)
    assert first != paired_difference(_days(1), _days(2), seed=8)


def test_the_target_closes_the_gap_and_the_reference_none_of_it() -> None:
    rule, planner = _days(0), _days(0) + np.abs(_days(1))

    assert gap_closed(planner, rule, planner) == Interval(estimate=1.0, low=1.0, high=1.0)
    assert gap_closed(rule, rule, planner) == Interval(estimate=0.0, low=0.0, high=0.0)


def test_half_of_each_days_gap_is_half_of_the_gap() -> None:
    rule, planner = _days(0), _days(0) + np.abs(_days(1))

    interval = gap_closed((rule + planner) / 2.0, rule, planner)

    assert interval is not None
    assert (interval.low, interval.estimate, interval.high) == pytest.approx((0.5, 0.5, 0.5))


def test_several_seeds_are_averaged_and_their_spread_widens_the_interval() -> None:
    rule, planner = _days(0), _days(0) + 10.0
    seeds = np.stack([rule + share * 10.0 for share in (0.6, 0.8, 1.0)])

    interval = gap_closed(seeds, rule, planner)

    assert interval is not None
    assert interval.estimate == pytest.approx(0.8)
    assert 0.6 <= interval.low < 0.7 < 0.9 < interval.high <= 1.0


@pytest.mark.parametrize("gap", [0.0, -1.0])
def test_there_is_no_share_of_a_gap_that_is_not_there(gap: float) -> None:
    rule = _days(0)

    assert gap_closed(rule + 1.0, rule, rule + gap) is None


def test_a_gap_of_a_single_day_is_no_gap_to_take_shares_of() -> None:
    rule = _days(0)
    planner = rule.copy()
    planner[4] += 50.0

    assert gap_closed(rule + 0.1, rule, planner) is None

import numpy as np
import pytest

from gridhash.training.statistics import (
    Interval,
    block_length,
    difference,
    gap_closed,
    paired_difference,
    resampled_totals,
    stretch,
)


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

    interval = paired_difference(gain, np.zeros_like(gain), block_days=1)

    half = 1.96 * gain.std() * np.sqrt(gain.size)
    assert interval.high - interval.low == pytest.approx(2.0 * half, rel=0.05)


def _weather(rng: np.random.Generator, n_days: int, link: float) -> np.ndarray:
    """Return skewed days of mean 1 that hang together: a few of them bring most of it."""
    noise = rng.normal(size=n_days + 50)
    for k in range(1, noise.size):
        noise[k] = link * noise[k - 1] + np.sqrt(1.0 - link**2) * noise[k]
    return np.exp(0.6 * noise[50:] - 0.18)


@pytest.mark.parametrize(
    ("n_seeds", "n_days", "seed_sd", "link"),
    [(1, 182, 0.0, 0.3), (5, 182, 0.2, 0.5), (5, 60, 0.2, 0.5), (3, 91, 0.5, 0.5)],
)
def test_the_interval_covers_the_truth_in_about_95_of_100_studies(
    n_seeds: int, n_days: int, seed_sd: float, link: float
) -> None:
    rng = np.random.default_rng(11)
    n_studies = 200

    covered = 0
    for k in range(n_studies):
        gain = _weather(rng, n_days, link) + rng.normal(0.0, seed_sd, size=(n_seeds, 1))
        interval = difference(gain, np.zeros(n_days), seed=k)
        covered += interval.low <= n_days <= interval.high

    assert 0.90 <= covered / n_studies <= 0.985


def test_without_the_stretch_five_seeds_would_cover_too_little() -> None:
    rng = np.random.default_rng(3)
    n_studies, covered = 300, 0

    for k in range(n_studies):
        gain = np.ones(28) + rng.normal(0.0, 1.0, size=(5, 1))
        interval = difference(gain, np.zeros(28), seed=k)
        middle, factor = interval.estimate, stretch(5)
        low, high = (middle + (end - middle) / factor for end in (interval.low, interval.high))
        covered += low <= 28.0 <= high

    assert covered / n_studies < 0.88


def test_every_redraw_holds_as_many_days_as_there_are() -> None:
    ones = np.ones((23, 2))

    totals = resampled_totals(ones, block_days=7, rng=np.random.default_rng(0))

    assert totals == pytest.approx(np.full_like(totals, 23.0))


def test_all_columns_are_redrawn_on_the_same_days() -> None:
    days = _days(0, 50)

    totals = resampled_totals(
        np.column_stack([days, 2.0 * days]), block_days=7, rng=np.random.default_rng(0)
    )

    assert totals[:, 1] == pytest.approx(2.0 * totals[:, 0])


@pytest.mark.parametrize(("n_days", "length"), [(365, 7), (28, 7), (27, 6), (4, 1), (1, 1)])
def test_blocks_are_of_a_week_unless_the_span_is_short(n_days: int, length: int) -> None:
    assert block_length(n_days) == length


def test_a_sure_gain_has_the_least_p_value_and_none_at_all_the_highest() -> None:
    rule = _days(0)

    assert difference(rule + 1.0, rule).p_value == pytest.approx(2.0 / 4001.0)
    assert difference(rule, rule).p_value == 1.0


def test_p_values_without_a_difference_are_spread_evenly() -> None:
    rng = np.random.default_rng(2)

    p_values = [difference(rng.normal(size=91), np.zeros(91), seed=k).p_value for k in range(300)]

    assert np.mean(np.array(p_values) < 0.05) == pytest.approx(0.05, abs=0.035)
    assert np.mean(np.array(p_values) < 0.5) == pytest.approx(0.5, abs=0.09)


def test_references_of_the_same_seeds_are_paired_with_them() -> None:
    seeds = _days(0, 40) + np.array([[0.0], [50.0], [-30.0]])

    paired = difference(seeds + 1.0, seeds)

    assert paired.n_seeds == 3
    assert (paired.low, paired.high) == pytest.approx((40.0, 40.0))


def test_blocks_widen_the_interval_of_days_that_hang_together() -> None:
    rng = np.random.default_rng(5)
    fortnights = np.repeat(rng.normal(0.0, 1.0, 20), 14)

    by_day = paired_difference(fortnights, np.zeros_like(fortnights), block_days=1)
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
    # The mean of three seeds 0.2 apart is known to t/sqrt(3) of 0.2: far.
    assert interval.low < 0.6
    assert interval.high > 1.0
    assert interval.high - 0.8 == pytest.approx(0.8 - interval.low, rel=0.1)


@pytest.mark.parametrize("gap", [0.0, -1.0])
def test_there_is_no_share_of_a_gap_that_is_not_there(gap: float) -> None:
    rule = _days(0)

    assert gap_closed(rule + 1.0, rule, rule + gap) is None


def test_a_gap_of_a_single_day_is_no_gap_to_take_shares_of() -> None:
    rule = _days(0)
    planner = rule.copy()
    planner[4] += 50.0

    assert gap_closed(rule + 0.1, rule, planner) is None

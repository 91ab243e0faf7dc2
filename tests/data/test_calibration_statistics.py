import numpy as np
import pytest

from gridhash.data.calibration.statistics import (
    Interval,
    combine_rigs,
    difference,
    inliers,
    lag1_autocorrelation,
    mean_delay,
    resolution,
    rounding_error,
)


def test_rigs_are_combined_by_their_own_spread() -> None:
    # The mean, and t(2) = 4.3027 times s / sqrt(n).
    combined = combine_rigs(np.array([1.0, 2.0, 3.0]))
    assert combined.interval.value == pytest.approx(2.0)
    assert combined.interval.high - 2.0 == pytest.approx(4.30265 / np.sqrt(3.0), rel=1e-5)


def test_interval_over_rigs_covers_in_95_percent() -> None:
    random = np.random.default_rng(5)
    hits = 0
    for _ in range(1000):
        errors = random.uniform(0.2, 3.0, 7)
        rigs = 10.0 + random.standard_normal(7)
        interval = combine_rigs(rigs + errors * random.standard_normal(7)).interval
        hits += interval.low <= 10.0 <= interval.high
    assert 935 <= hits <= 975


def test_a_rig_with_a_broken_sensor_is_left_out_and_named() -> None:
    values = np.array([1.0, 1.1, 0.9, 1.05, 0.95, 1.02, 0.98, 7.0])
    combined = combine_rigs(values)
    assert combined.used.tolist() == [True] * 7 + [False]
    assert combined.interval.value == pytest.approx(1.0, abs=1e-6)


def test_two_rigs_are_too_few() -> None:
    with pytest.raises(ValueError, match="needs 3 of them; found 2"):
        combine_rigs(np.ones(2))


def test_a_common_error_widens_the_interval() -> None:
    alone = combine_rigs(np.ones(3))
    shared = combine_rigs(np.ones(3), common_error=0.5)
    assert alone.interval.high == pytest.approx(1.0)
    assert shared.interval.high == pytest.approx(1.0 + 1.96 * 0.5)


@pytest.mark.parametrize(
    ("values", "step"), [([3.0, 8.0], 1.0), ([3.5, 8.0], 0.5), ([3.1], 0.1), ([np.pi], 0.0)]
)
def test_the_step_of_a_sensor_is_found(values: list[float], step: float) -> None:
    assert resolution(np.array([*values, np.nan])) == step


def test_repeating_a_reading_does_not_make_it_finer() -> None:
    assert rounding_error(np.full(1000, 40.0)) == pytest.approx(1.0 / np.sqrt(12.0))
    assert rounding_error(np.array([38.0, 39.0, 40.0, 41.0] * 9)) == pytest.approx(0.5 / 12.0**0.5)


def test_delays_read_at_one_phase_are_not_known_better_than_the_readings() -> None:
    low_s = np.full(40, 80.0)
    delays = mean_delay(low_s, low_s + 10.0, np.arange(40))
    assert delays.interval.low == pytest.approx(80.0, abs=1.0)
    assert delays.interval.high == pytest.approx(90.0, abs=1.0)


def test_delays_read_at_many_phases_are_known_better() -> None:
    random = np.random.default_rng(3)
    hits, widths = 0, []
    for _ in range(40):
        true_s = random.normal(90.0, 4.0, 30)
        low_s = true_s - random.uniform(0.0, 10.0, 30)
        interval = mean_delay(low_s, low_s + 10.0, np.arange(30)).interval
        hits += interval.low <= 90.0 <= interval.high
        widths.append(interval.high - interval.low)
    assert hits >= 36
    assert np.median(widths) < 5.0


def test_starts_of_one_rig_count_less_than_starts_of_many() -> None:
    random = np.random.default_rng(4)
    of_rig = np.repeat(random.normal(60.0, 5.0, 6), 8)
    rigs = np.repeat(np.arange(6), 8)
    low_s = of_rig - random.uniform(0.0, 2.0, 48)
    clustered = mean_delay(low_s, low_s + 2.0, rigs)
    assert clustered.n_effective < 8.0
    alone = mean_delay(low_s, low_s + 2.0, np.arange(48))
    assert clustered.interval.high - clustered.interval.low > 1.8 * (
        alone.interval.high - alone.interval.low
    )


def test_one_start_that_went_wrong_does_not_move_the_mean() -> None:
    low_s = np.append(np.linspace(28.0, 30.0, 20), 400.0)
    delays = mean_delay(low_s, low_s + 2.0, np.arange(21))
    assert delays.interval.value == pytest.approx(30.0, abs=0.7)


def test_difference_adds_the_uncertainty_of_both() -> None:
    warm_up = difference(Interval(90.0, 86.0, 93.0), Interval(30.0, 29.0, 33.0))
    assert warm_up == Interval(60.0, 55.0, 60.0 + np.sqrt(10.0))


def test_outliers_are_found_beside_constant_readings() -> None:
    values = np.array([20.0] * 10 + [21.0, 30.0])
    assert inliers(values, 1.0).tolist() == [True] * 11 + [False]


def test_autocorrelation_of_a_drift_and_of_a_zigzag() -> None:
    assert lag1_autocorrelation(np.arange(50.0)) > 0.9
    assert lag1_autocorrelation(np.tile([1.0, -1.0], 25)) < -0.9
    assert lag1_autocorrelation(np.zeros(5)) == 0.0

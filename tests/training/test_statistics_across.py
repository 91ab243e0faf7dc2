import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridhash.training.statistics_across import (
    holm,
    interquartile_mean,
    iqm_interval,
    performance_profile,
)

P_VALUES = st.dictionaries(
    st.text("abcdefgh", min_size=1, max_size=3), st.floats(0.0, 1.0), min_size=1, max_size=8
)


def test_holm_gives_the_numbers_of_the_textbook() -> None:
    # Holm (1979), as worked in R's p.adjust(c(0.01, 0.02, 0.03, 0.005), "holm").
    corrected = holm({"a": 0.01, "b": 0.02, "c": 0.03, "d": 0.005})

    assert corrected == pytest.approx({"a": 0.03, "b": 0.04, "c": 0.04, "d": 0.02})


@given(P_VALUES)
def test_holm_keeps_order_and_lies_between_the_raw_value_and_bonferroni(
    p_values: dict[str, float],
) -> None:
    corrected = holm(p_values)

    assert list(corrected) == list(p_values)
    for name, p_value in p_values.items():
        assert p_value <= corrected[name] <= min(1.0, len(p_values) * p_value) + 1e-15
    ranked = sorted(p_values, key=lambda name: p_values[name])
    assert [corrected[name] for name in ranked] == sorted(corrected.values())


def test_holm_finds_something_in_noise_in_no_more_than_5_of_100_families() -> None:
    rng = np.random.default_rng(0)
    families = rng.uniform(size=(2000, 6))

    wrong = np.mean([min(holm(dict(enumerate(own))).values()) < 0.05 for own in families])  # type: ignore[arg-type]

    assert wrong == pytest.approx(0.05, abs=0.015)


def test_the_interquartile_mean_leaves_out_a_quarter_at_either_end() -> None:
    assert interquartile_mean([[-50.0, 1.0], [2.0, 3.0], [4.0, 5.0], [6.0, 900.0]]) == 3.5


def test_its_interval_covers_the_truth_in_nine_of_ten_studies_or_more() -> None:
    rng = np.random.default_rng(4)
    truths = {"a": 0.9, "b": 0.8, "c": 0.7, "d": 0.6}
    n_studies, covered = 200, 0

    for k in range(n_studies):
        scores = {name: truth + rng.normal(0.0, 0.02, 5) for name, truth in truths.items()}
        interval = iqm_interval(scores, seed=k)  # type: ignore[arg-type]
        covered += interval.low <= 0.75 <= interval.high

    assert covered / n_studies >= 0.88


def test_one_seed_each_gives_an_interval_without_width() -> None:
    interval = iqm_interval({"a": [0.5], "b": [0.7]})

    assert interval.low == interval.estimate == interval.high == pytest.approx(0.6)


def test_a_profile_falls_from_all_runs_to_none_within_its_band() -> None:
    rng = np.random.default_rng(1)
    scores = {"a": rng.normal(0.8, 0.1, 5).tolist(), "b": rng.normal(0.5, 0.1, 3).tolist()}

    profile = performance_profile(scores, np.linspace(-1.0, 2.0, 31).tolist())

    assert (profile.share[0], profile.share[-1]) == (1.0, 0.0)
    assert (np.diff(profile.share) <= 0.0).all()
    for share, low, high in zip(profile.share, profile.low, profile.high, strict=True):
        assert low <= share <= high

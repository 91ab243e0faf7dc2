"""Hazard by temperature and the share that fails or is repaired."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridhash.envs.failures import failed_share, hazard_per_h


def test_arrhenius_by_hand() -> None:
    """0.7 eV from 55 to 85 °C: exp(0.7/8.617e-5 (1/328.15 - 1/358.15)) = 7.96."""
    assert hazard_per_h(55.0, 1e-5, 55.0, 0.7) == pytest.approx(1e-5)
    assert hazard_per_h(85.0, 1e-5, 55.0, 0.7) == pytest.approx(7.96e-5, rel=2e-3)


def test_share_after_one_mean_time() -> None:
    assert failed_share(1 / 48.0, 48.0) == pytest.approx(1 - math.exp(-1))


@given(rate=st.floats(0, 10), hours=st.floats(0, 100), cut=st.floats(0, 1))
def test_share_is_a_share_and_does_not_depend_on_the_step(
    rate: float, hours: float, cut: float
) -> None:
    whole = failed_share(rate, hours)
    left = (1 - failed_share(rate, cut * hours)) * (1 - failed_share(rate, (1 - cut) * hours))

    assert 0.0 <= whole <= 1.0
    assert left == pytest.approx(1 - whole, abs=1e-12)


@given(chip=st.floats(-20, 120), warmer=st.floats(0.1, 40), activation=st.floats(0.1, 1.5))
def test_hotter_rigs_fail_no_later(chip: float, warmer: float, activation: float) -> None:
    assert hazard_per_h(chip + warmer, 1e-5, 55.0, activation) > hazard_per_h(
        chip, 1e-5, 55.0, activation
    )

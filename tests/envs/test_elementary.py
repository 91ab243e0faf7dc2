"""Exponential, logarithm and power of the kernel against those of the C library."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridhash.envs.elementary import exp, log, power

HALF_ULP = 2.0**-53


@given(x=st.floats(-700.0, 700.0))
def test_exp_is_right_to_two_units_in_the_last_place(x: float) -> None:
    assert exp(x) == pytest.approx(math.exp(x), rel=4.0 * HALF_ULP)


@given(x=st.floats(1e-300, 1e300))
def test_log_is_right_to_two_units_in_the_last_place(x: float) -> None:
    assert log(x) == pytest.approx(math.log(x), rel=4.0 * HALF_ULP)


@given(share=st.floats(1e-6, 1.0), exponent=st.floats(1.0, 10.0))
def test_power_of_a_share_is_right_to_fourteen_digits(share: float, exponent: float) -> None:
    assert power(share, exponent) == pytest.approx(share**exponent, rel=4e-14)


def test_what_is_exact_comes_out_exact() -> None:
    assert exp(0.0) == 1.0
    assert log(1.0) == 0.0
    assert power(1.0, 3.75) == 1.0


def test_ends_of_the_range_are_finite() -> None:
    assert 0.0 < exp(-1e9) < 1e-300
    assert 1e300 < exp(1e9) < math.inf
    assert 0.0 <= power(0.0, 3.75) < 1e-300


@given(x=st.floats(-30.0, 0.0), gap=st.floats(1e-12, 1.0))
def test_more_decays_more(x: float, gap: float) -> None:
    assert exp(x - gap) <= exp(x)
    assert np.isfinite(exp(x - gap))

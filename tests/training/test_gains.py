"""What is held to be a gain: more than one standard error of paired weeks."""

import numpy as np
import pytest

from gridhash.training.gains import gains


@pytest.mark.parametrize(
    ("difference", "expected"),
    [
        (np.full(28, 1.0), True),  # the same gain every week: no error at all
        (np.zeros(28), False),
        (np.full(28, -1.0), False),
        (np.repeat([9.0, -9.0, 9.0, -8.0], 7), False),  # 7 in all, with an error of 136
        (np.repeat([9.0, 8.0, 9.0, -1.0], 7), True),
    ],
)
def test_a_gain_is_above_its_standard_error(difference: np.ndarray, expected: bool) -> None:
    days = np.linspace(50.0, 80.0, 28)
    assert gains(days + difference, days) is expected


def test_less_than_a_week_is_judged_by_its_sum() -> None:
    assert gains(np.array([2.0, 3.0]), np.array([1.0, 3.5]))

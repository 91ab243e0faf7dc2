"""The mean of a demand interval stays within its cap, and nobody is cut who keeps to it."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridhash.serving.demand_window import LEAST_REST_S, DemandWindow

START = datetime(2026, 7, 1, 3, 0, tzinfo=UTC)
CAP_KW = 200.0


def after(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


@pytest.mark.parametrize("power_kw", [0.0, 120.0, CAP_KW])
def test_who_keeps_to_the_cap_may_draw_it_to_the_last_second(power_kw: float) -> None:
    window = DemandWindow(CAP_KW, 1800.0)
    for second in range(0, 1800, 5):
        window.take(power_kw, after(second))
        assert window.limit_kw(after(second)) == pytest.approx(CAP_KW)


def test_what_was_drawn_above_is_taken_back_over_the_rest() -> None:
    window = DemandWindow(CAP_KW, 1800.0)
    for second in range(0, 901, 5):
        window.take(220.0, after(second))
    assert window.mean_kw(after(900)) == pytest.approx(220.0)
    assert window.limit_kw(after(900)) == pytest.approx(180.0)


@given(st.lists(st.floats(0.0, 300.0), min_size=10, max_size=200), st.integers(2, 20))
def test_a_site_that_follows_the_limit_ends_within_the_cap(
    powers_kw: list[float], step_s: int
) -> None:
    """Whatever it drew before: above the cap only by what the last minute cannot take back."""
    window, second, energy_kws = DemandWindow(CAP_KW, 1800.0), 0, 0.0
    last_kw = 0.0
    free_s = 1800.0 - 600.0
    for k in range(1800 // step_s):
        now = after(second)
        wished_kw = powers_kw[k % len(powers_kw)]
        power_kw = wished_kw if second < free_s / 2 else min(wished_kw, window.limit_kw(now))
        window.take(power_kw, now)
        energy_kws += (last_kw + power_kw) / 2.0 * (step_s if k else 0)
        last_kw, second = power_kw, second + step_s
    most_kws = CAP_KW * 1800.0 + 300.0 * (LEAST_REST_S + step_s)
    assert energy_kws <= most_kws


def test_an_interval_whose_beginning_is_unknown_counts_at_the_cap() -> None:
    window = DemandWindow(CAP_KW, 1800.0)
    window.take(CAP_KW, after(1740))
    for second in range(1745, 1800, 5):
        window.take(CAP_KW, after(second))
        assert window.limit_kw(after(second)) == pytest.approx(CAP_KW)

"""Base points within reach: what a site promises follows from its minimum times and start-up."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridhash.config_scenario import load_scenario_config
from gridhash.data.processes.reach import Reach, reach_of, within_reach

REACH = Reach(nameplate_frac=1.0, running_frac=1.0, floor=0.5, first_draw=0.9, n_up=6, n_down=4)


def test_the_pilot_declares_its_minimum_times_and_levels() -> None:
    site = load_scenario_config("BasePoint").site
    reach = reach_of(site, nameplate_kw=4500.0, period_s=300)

    assert (reach.n_up, reach.n_down) == (6, 4)
    assert reach.floor == 0.5
    assert reach.first_draw == pytest.approx(0.9)
    assert reach.running_frac * 4520.0 == pytest.approx(537 * 8.064 * 1.02)
    assert reach.nameplate_frac * 4520.0 == pytest.approx(4500.0)
    assert reach.ramp_up_frac * 4520.0 == pytest.approx(5 * 1500.0)
    assert reach.ramp_down_frac * 4520.0 == pytest.approx(5 * 4500.0)
    half_hourly = reach_of(site, nameplate_kw=4500.0, period_s=1800)
    assert (half_hourly.n_up, half_hourly.n_down) == (1, 1)


def test_rigs_that_started_hold_the_base_point_up_for_their_minimum_up_time() -> None:
    path = within_reach(np.array([1.0, 1.0, *[0.0] * 8]), REACH)

    # All start: nine tenths of their power first, then no less than the lowest level of all.
    assert path == pytest.approx([0.9, 1.0, 0.5, 0.5, 0.5, 0.5, 0.0, 0.0, 0.0, 0.0])


def test_rigs_that_stopped_keep_the_base_point_down_for_their_minimum_down_time() -> None:
    wanted = np.array([*[1.0] * 7, 0.2, *[1.0] * 5])

    path = within_reach(wanted, REACH)

    # Four tenths still run; the others may start at the fourth interval after.
    assert path[7:] == pytest.approx([0.2, 0.4, 0.4, 0.4, 0.4 + 0.6 * 0.9, 1.0])


def test_ramps_bound_what_minimum_times_leave_free() -> None:
    reach = replace(REACH, first_draw=1.0, n_up=3, ramp_up_frac=0.4, ramp_down_frac=0.3)

    path = within_reach(np.array([1.0, 1.0, 1.0, *[0.0] * 5]), reach)

    # Rigs at their lowest level carry the first base point, so that all have started by the second.
    assert path == pytest.approx([0.4, 0.8, 1.0, 0.7, 0.4, 0.1, 0.0, 0.0])


wanted_paths = st.builds(
    lambda seed: np.repeat(
        np.random.default_rng(seed).uniform(0.0, 1.0, 40),
        np.random.default_rng(seed + 1).integers(1, 8, 40),
    ),
    st.integers(0, 10**6),
)
reaches = st.builds(
    lambda n_up, n_down, up, down: replace(
        REACH, n_up=n_up, n_down=n_down, ramp_up_frac=up, ramp_down_frac=down
    ),
    st.integers(1, 8),
    st.integers(1, 8),
    st.floats(0.1, 1.0),
    st.floats(0.1, 1.0),
)


@settings(max_examples=40, deadline=None)
@given(wanted=wanted_paths, reach=reaches, row=st.integers(1, 39))
def test_what_is_asked_later_moves_no_base_point(
    wanted: np.ndarray, reach: Reach, row: int
) -> None:
    other = np.concatenate([wanted[:row], 1.0 - wanted[row:]])

    assert np.array_equal(within_reach(wanted, reach)[:row], within_reach(other, reach)[:row])


@settings(max_examples=60, deadline=None)
@given(wanted=wanted_paths, reach=reaches)
def test_what_is_within_reach_stays_as_it_is(wanted: np.ndarray, reach: Reach) -> None:

    path = within_reach(wanted, reach)

    assert ((path >= 0.0) & (path <= 1.0)).all()
    assert within_reach(path, reach) == pytest.approx(path, abs=1e-12)


def test_without_minimum_times_and_start_up_everything_is_within_reach() -> None:
    free = replace(REACH, floor=1.0, first_draw=1.0, n_up=1, n_down=1)
    wanted = np.random.default_rng(0).uniform(0.0, 1.0, 200)

    assert within_reach(wanted, free) == pytest.approx(wanted)

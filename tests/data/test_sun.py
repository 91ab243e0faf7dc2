"""Positions of the sun are pvlib's at the middle of each step, and found once."""

import pandas as pd
import pvlib

from gridhash.data.sun import sun_positions

START, END = pd.Timestamp("2024-06-01", tz="UTC"), pd.Timestamp("2024-06-03", tz="UTC")
TOKYO = (35.68, 139.77)


def test_positions_are_those_of_pvlib_at_the_middle_of_each_step() -> None:
    positions = sun_positions(START, END, 1800, *TOKYO)

    middles = pd.date_range("2024-06-01 00:15", "2024-06-02 23:45", freq="30min", tz="UTC")
    expected = pvlib.solarposition.get_solarposition(middles, *TOKYO)
    pd.testing.assert_frame_equal(positions, expected, check_freq=False, rtol=0.0, atol=0.0)


def test_the_same_place_and_time_is_reckoned_once() -> None:
    assert sun_positions(START, END, 1800, *TOKYO) is sun_positions(START, END, 1800, *TOKYO)
    assert len(sun_positions(START, END, 3600, *TOKYO)) == 48

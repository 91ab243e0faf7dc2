"""Hash curves: the line against the table, the envelope against its definition."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridhash.hash_curve import (
    concave_rows,
    fit_slope,
    linear_hashrate,
    profile_hashrate,
)


def test_line_and_table_agree_where_the_table_is_the_line() -> None:
    a, b, loads = 0.65, 0.35, [0.5, 0.75, 1.0]
    hashes = [linear_hashrate(480.0, load, a, b) for load in loads]

    for load, hashrate in zip(loads, hashes, strict=True):
        assert profile_hashrate(8000 * load, [4000, 6000, 8000], hashes) == pytest.approx(hashrate)
    assert fit_slope(loads, [a + b * load for load in loads]) == pytest.approx(b)
    # a mix of half and three quarters, and outside the table the efficiency of its ends
    assert profile_hashrate(5000, [4000, 6000, 8000], hashes) == pytest.approx(sum(hashes[:2]) / 2)
    assert profile_hashrate(2000, [4000, 6000, 8000], hashes) == pytest.approx(hashes[0] / 2)
    assert profile_hashrate(8800, [4000, 6000, 8000], hashes) == pytest.approx(hashes[-1] * 1.1)


@given(
    st.lists(
        st.tuples(st.integers(1, 1000), st.integers(1, 1000)),
        min_size=1, max_size=12, unique_by=lambda row: row[0],
    )
)  # fmt: skip
def test_no_row_lies_above_the_envelope_and_its_slope_falls(rows: list[tuple[int, int]]) -> None:
    rows = sorted(rows)
    powers, hashes = [p for p, _ in rows], [h for _, h in rows]

    kept = concave_rows(powers, hashes)

    x, y = [0, *[powers[k] for k in kept]], [0, *[hashes[k] for k in kept]]
    slopes = np.diff(y) / np.diff(x)
    assert np.all(np.diff(slopes) < 0.0)
    assert np.all(np.interp(powers, x, y) >= np.array(hashes) - 1e-9)
    assert kept[-1] == len(rows) - 1

"""Hash curves: the closed-form optimum against a search, the envelope against its definition."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridhash.hash_curve import (
    best_level,
    best_load,
    concave_rows,
    fit_slope,
    linear_hashrate,
    off_ratio,
    profile_hashrate,
)


@given(ratio=st.floats(0.01, 2.0), b=st.floats(0.05, 0.95), low=st.floats(0.3, 0.7))
def test_closed_form_is_what_a_search_finds(ratio: float, b: float, low: float) -> None:
    a, high = 1.0 - b, 1.1
    loads = np.linspace(low, high, 20_001)
    profit = loads / (a + b * loads) - ratio * loads
    k = int(np.argmax(profit))

    load = best_load(ratio, a, b, low, high)

    if load == 0.0:
        assert profit[k] <= 1e-12
    else:
        assert load / (a + b * load) - ratio * load == pytest.approx(profit[k], abs=1e-8)
        assert profit[k] >= -1e-12


@pytest.mark.parametrize(
    ("a", "b", "throttle_at", "off_at"), [(0.751, 0.248, 0.75, 1.14), (0.58, 0.42, 0.58, 1.27)]
)
def test_published_thresholds_of_the_luxos_and_avalon_curves(
    a: float, b: float, throttle_at: float, off_at: float
) -> None:
    assert off_ratio(a, b, 0.5) == pytest.approx(off_at, abs=0.005)
    assert best_load(throttle_at - 0.01, a, b, 0.5, 1.0) == 1.0
    assert best_load(throttle_at + 0.01, a, b, 0.5, 1.0) < 1.0
    assert best_load(off_at - 0.01, a, b, 0.5, 1.0) == 0.5
    assert best_load(off_at + 0.01, a, b, 0.5, 1.0) == 0.0


@given(b=st.floats(0.0, 0.9), low=st.floats(0, 2), rise=st.floats(0, 1))
def test_a_higher_price_never_asks_for_more_load(b: float, low: float, rise: float) -> None:
    here = best_load(low, 1 - b, b, 0.5, 1.1)

    assert best_load(low + rise, 1 - b, b, 0.5, 1.1) <= here


def test_free_energy_runs_full_and_a_flat_curve_is_on_or_off() -> None:
    assert best_load(-0.5, 0.65, 0.35, 0.5, 1.1) == 1.1
    assert best_load(0.0, 0.65, 0.35, 0.5, 1.1) == 1.1
    assert best_load(0.99, 1.0, 0.0, 0.5, 1.0) == 1.0
    assert best_load(1.01, 1.0, 0.0, 0.5, 1.0) == 0.0


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


@given(value=st.floats(0, 500), price=st.floats(-5, 60))
def test_best_level_earns_at_least_what_every_level_and_standing_earns(
    value: float, price: float
) -> None:
    levels_kw = [4.0, 6.0, 8.0]
    levels_phs = [linear_hashrate(0.48, load, 0.65, 0.35) for load in (0.5, 0.75, 1.0)]
    margins = [value * h - price * p for h, p in zip(levels_phs, levels_kw, strict=True)]

    best = best_level(value, price, levels_kw, levels_phs)

    assert (0.0 if best is None else margins[best]) == max(0.0, *margins)
    assert math.isfinite(max(margins))

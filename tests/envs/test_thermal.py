from collections.abc import Callable
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import expm

from gridhash.envs.thermal import (
    chip_temp_after,
    deviation_after,
    fan_power_kw,
    heat_rejected_kwh,
    heat_rejection_at,
    held_heat_rejection,
    load_cap_frac,
    loop_after,
    pump_power_kw,
    running_share,
)

Loop = tuple[float, float, float, float, float, float, float, float, float]
"""Chips and coolant now, heat per rig, rigs, outdoors, UA, R, C_rig, C_loop."""


def spans(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high, allow_nan=False)


LOOPS = st.tuples(
    spans(-30, 110),
    spans(-30, 90),
    spans(0, 12),
    spans(1, 600),
    spans(-40, 55),
    st.one_of(st.just(0.0), spans(0.5, 1000)),
    spans(0.5, 15),
    spans(2, 40),
    spans(200, 50_000),
)


def integrated(loop: Loop, elapsed_s: float) -> tuple[float, float]:
    """Return both temperatures by the classical Runge-Kutta method in very many equal steps.

    The equations of the module docstring as an affine system z' = A z with z = (chip, coolant, 1):
    one step of the method is the matrix S = 1 + hA + … + (hA)^4/24, and n = 2^k steps are S^n.
    """
    chip_c, coolant_c, heat_kw, n, outdoor_c, rejection, resistance, rig_kj, loop_kj = loop
    rates = np.array(
        [
            [-1 / (resistance * rig_kj), 1 / (resistance * rig_kj), heat_kw / rig_kj],
            [
                n / (resistance * loop_kj),
                -n / (resistance * loop_kj) - rejection / loop_kj,
                rejection * outdoor_c / loop_kj,
            ],
            [0, 0, 0],
        ],
        dtype=np.longdouble,
    )
    n_doublings = int(
        np.ceil(np.log2(max(1.0, elapsed_s * float(np.abs(rates[:, :2]).max()) / 4e-3)))
    )
    change = rates * (np.longdouble(elapsed_s) / 2**n_doublings)
    excess = change + change @ change / 2
    excess = excess + change @ change @ change / 6 + change @ change @ change @ change / 24
    for _ in range(n_doublings):  # (1 + e)^2 - 1, so that small changes keep their digits
        excess = 2 * excess + excess @ excess
    before = np.array([chip_c, coolant_c, 1.0], dtype=np.longdouble)
    after = before + excess @ before
    return float(after[0]), float(after[1])


@given(loop=LOOPS, elapsed_s=spans(0, 4 * 3600))
def test_exact_solution_equals_fine_numerical_integration(loop: Loop, elapsed_s: float) -> None:
    assert loop_after(*loop, elapsed_s) == pytest.approx(
        integrated(loop, elapsed_s), rel=1e-8, abs=1e-7
    )


@given(loop=LOOPS, elapsed_s=spans(1, 3600))
def test_two_half_intervals_give_the_temperature_of_one_whole(loop: Loop, elapsed_s: float) -> None:
    half = loop_after(*loop, 0.5 * elapsed_s)
    whole = loop_after(*loop, elapsed_s)

    assert loop_after(*half, *loop[2:], 0.5 * elapsed_s) == pytest.approx(whole, abs=1e-9)


@given(loop=LOOPS, elapsed_s=spans(1, 2 * 3600))
def test_heat_in_is_heat_rejected_plus_heat_stored(loop: Loop, elapsed_s: float) -> None:
    chip_c, coolant_c, heat_kw, n, outdoor_c, rejection, _, rig_kj, loop_kj = loop
    chip_after_c, coolant_after_c = loop_after(*loop, elapsed_s)

    rejected_kj = rejection * integral_over_time(
        lambda t: loop_after(*loop, t)[1] - outdoor_c, elapsed_s, fastest_per_s=fastest(loop)
    )
    stored_kj = n * rig_kj * (chip_after_c - chip_c) + loop_kj * (coolant_after_c - coolant_c)

    in_kj = heat_kw * n * elapsed_s
    size_kj = in_kj + n * rig_kj * abs(chip_after_c - chip_c) + abs(rejected_kj) + loop_kj
    assert abs(in_kj - rejected_kj - stored_kj) < 1e-9 * size_kj
    rejected_kwh = heat_rejected_kwh(
        chip_after_c - chip_c,
        coolant_after_c - coolant_c,
        heat_kw,
        n,
        rig_kj,
        loop_kj,
        elapsed_s,
    )
    assert abs(rejected_kwh - rejected_kj / 3600) < 1e-9 * size_kj / 3600


def fastest(loop: Loop) -> float:
    """Return an upper bound of the decay rates of a loop [1/s]."""
    _, _, _, n, _, rejection, resistance, rig_kj, loop_kj = loop
    return 1 / (resistance * rig_kj) + n / (resistance * loop_kj) + rejection / loop_kj


def integral_over_time(
    relation: Callable[[float], float], elapsed_s: float, *, fastest_per_s: float
) -> float:
    """Return the integral over [0, elapsed] by Gauss-Legendre panels that widen with time."""
    nodes, weights = np.polynomial.legendre.leggauss(20)
    edges = [0.0]
    width_s = 1.0 / fastest_per_s
    while edges[-1] < elapsed_s:
        edges.append(min(elapsed_s, edges[-1] + width_s))
        width_s *= 1.3
    total = 0.0
    for start_s, end_s in pairwise(edges):
        half_s = 0.5 * (end_s - start_s)
        times: npt.NDArray[np.float64] = start_s + half_s * (nodes + 1.0)
        total += half_s * float(sum(w * relation(t) for w, t in zip(weights, times, strict=True)))
    return total


@given(loop=LOOPS)
def test_settled_temperatures_are_heat_over_each_resistance(loop: Loop) -> None:
    _, _, heat_kw, n, outdoor_c, rejection, resistance, *_ = loop
    if rejection == 0.0:
        rejection = 5.0
        loop = (*loop[:5], rejection, *loop[6:])
    chip_c, coolant_c = loop_after(*loop, 1e9)

    assert coolant_c == pytest.approx(outdoor_c + heat_kw * n / rejection, abs=1e-6)
    assert chip_c == pytest.approx(coolant_c + heat_kw * resistance, abs=1e-6)


@given(loop=LOOPS, elapsed_s=spans(0, 1e12))
def test_no_interval_is_too_long(loop: Loop, elapsed_s: float) -> None:
    if loop[5] == 0.0:
        return
    assert np.isfinite(loop_after(*loop, elapsed_s)).all()


@settings(max_examples=50)
@given(loop=LOOPS, elapsed_s=spans(1, 3600), shift_k=spans(-30, 30), extra_kw=spans(0, 10))
def test_buckets_keep_their_distance_from_the_mean_of_all_chips(
    loop: Loop, elapsed_s: float, shift_k: float, extra_kw: float
) -> None:
    """Two equal buckets, one hotter and with more heat, against three coupled equations."""
    chip_c, coolant_c, heat_kw, n, outdoor_c, rejection, resistance, rig_kj, loop_kj = loop
    mean_c, _ = loop_after(*loop, elapsed_s)
    deviation_k = deviation_after(shift_k, extra_kw, resistance, rig_kj, elapsed_s)

    half = n / 2
    rates = np.array(
        [
            [
                -1 / (resistance * rig_kj),
                0,
                1 / (resistance * rig_kj),
                (heat_kw + extra_kw) / rig_kj,
            ],
            [
                0,
                -1 / (resistance * rig_kj),
                1 / (resistance * rig_kj),
                (heat_kw - extra_kw) / rig_kj,
            ],
            [
                half / (resistance * loop_kj),
                half / (resistance * loop_kj),
                -n / (resistance * loop_kj) - rejection / loop_kj,
                rejection * outdoor_c / loop_kj,
            ],
            [0, 0, 0, 0],
        ]
    )
    start = [chip_c + shift_k, chip_c - shift_k, coolant_c, 1.0]
    after = expm(rates * elapsed_s) @ start

    assert [mean_c + deviation_k, mean_c - deviation_k] == pytest.approx(
        after[:2], rel=1e-9, abs=1e-6
    )


def test_chip_reaches_63_percent_of_its_rise_in_one_time_constant() -> None:
    after_c = chip_temp_after(40.0, 40.0, 8.0, 3.0, 17.0, 3.0 * 17.0)

    assert after_c == pytest.approx(40.0 + 24.0 * (1 - np.exp(-1)))


@given(speed=spans(0.01, 1), exponent=spans(0.3, 1), rated_kw=spans(0, 100))
def test_fan_power_rises_with_the_cube_of_speed(
    speed: float, exponent: float, rated_kw: float
) -> None:
    rejection = heat_rejection_at(108.0, speed, exponent)

    assert fan_power_kw(rated_kw, rejection / 108.0, exponent) == pytest.approx(rated_kw * speed**3)
    assert pump_power_kw(rated_kw, speed) == pytest.approx(rated_kw * speed**3)


@pytest.mark.parametrize(
    ("heat_kw", "outdoor_c", "kw_per_k"),
    [
        (400.0, 20.0, 20.0),  # 400 kW over 20 K
        (4000.0, 20.0, 100.0),  # would need 200: fans full
        (10.0, 20.0, 5.0),  # would need 0.5: slowest speed
        (400.0, 40.0, 100.0),  # as warm outdoors as the setpoint
        (0.0, 50.0, 100.0),
    ],
)
def test_fans_hold_the_setpoint_within_their_range(
    heat_kw: float, outdoor_c: float, kw_per_k: float
) -> None:
    assert held_heat_rejection(heat_kw, outdoor_c, 40.0, 5.0, 100.0) == pytest.approx(kw_per_k)


@pytest.mark.parametrize(
    ("chip_c", "share"), [(20, 1), (75, 1), (77.5, 0.75), (80, 0.5), (85, 0), (200, 0)]
)
def test_load_cap_falls_linearly_from_derate_to_trip(chip_c: float, share: float) -> None:
    assert load_cap_frac(chip_c, 75.0, 85.0) == pytest.approx(share)


@given(delay_s=spans(0, 4000), interval_s=st.sampled_from([60.0, 150.0, 300.0, 900.0]))
def test_running_shares_add_up_to_the_time_after_the_delay(
    delay_s: float, interval_s: float
) -> None:
    starts_s = np.arange(0, 9000, interval_s)
    shares = [running_share(float(s), delay_s, interval_s) for s in starts_s]

    assert sum(shares) * interval_s == pytest.approx(9000 - delay_s)
    assert min(shares) >= 0.0
    assert max(shares) <= 1.0

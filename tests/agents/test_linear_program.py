"""The bound of a program holds to the last bit, and a warm start changes no optimum."""

from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pytest

from gridhash.agents.linear_program import LinearProgram, WarmStart

Floats = npt.NDArray[np.float64]


def knapsack(gain: Floats, weight: Floats, limit: float, upper: Floats) -> LinearProgram:
    program = LinearProgram()
    x = program.add_columns(len(gain), lower=0.0, upper=upper, gain=gain)
    row = program.add_rows(1, upper=limit)
    program.add_entries(np.repeat(row, len(gain)), x, weight)
    return program


def exact_optimum(gain: Floats, weight: Floats, limit: float, upper: Floats) -> Fraction:
    """Return the optimum of a knapsack that may be filled with parts, in exact arithmetic."""
    items = [
        (Fraction(float(g)), Fraction(float(w)), Fraction(float(u)))
        for g, w, u in zip(gain, weight, upper, strict=True)
    ]
    left, value = Fraction(limit), Fraction(0)
    for g, w, u in sorted(items, key=lambda item: item[0] / item[1], reverse=True):
        taken = min(u, left / w)
        value += g * taken
        left -= w * taken
    return value


def test_the_bound_of_a_nasty_program_holds_in_exact_arithmetic() -> None:
    short_of_it = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        n = 300
        gain = 10.0 ** rng.uniform(-6, 6, n)
        weight = 10.0 ** rng.uniform(-3, 3, n)
        upper = 10.0 ** rng.uniform(-3, 3, n)
        limit = float(0.4 * weight @ upper)
        exact = exact_optimum(gain, weight, limit, upper)

        solution = knapsack(gain, weight, limit, upper).solve()

        assert Fraction(solution.upper_bound) >= exact
        assert solution.upper_bound == pytest.approx(float(exact), rel=1e-9)
        short_of_it += Fraction(solution.value) < exact
    assert short_of_it > 0  # what is summed without care does not hold


def test_a_warm_start_finds_the_same_optimum_for_changed_prices() -> None:
    rng = np.random.default_rng(1)
    weight, upper = rng.uniform(0.5, 2.0, 30), np.ones(30)
    warm = WarmStart()
    for _ in range(5):
        gain = rng.uniform(-0.2, 1.0, 30)

        value = knapsack(gain, weight, 8.0, upper).solve(warm=warm).value

        assert value == pytest.approx(knapsack(gain, weight, 8.0, upper).solve().value)
    assert list(warm.bases) == [(30, 1)]


def test_the_chance_of_a_scenario_weighs_all_that_it_earns() -> None:
    program = LinearProgram()
    program.add_constant(2.0)
    program.weight = 0.25
    x = program.add_columns(2, lower=0.0, upper=1.0, gain=4.0)
    program.add_gain(x[:1], 8.0)
    program.add_constant(40.0)
    program.add_entries(program.add_rows(1, upper=9.0), x[:1], 1.0)

    assert program.solve().value == pytest.approx(2.0 + 0.25 * (4.0 + 12.0 + 40.0))

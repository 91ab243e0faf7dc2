"""Relations that are not linear lie below their linear form in the bound, and touch it."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridhash.agents.bound_programs import add_programs
from gridhash.agents.bound_tariff import Energy, Window
from gridhash.agents.bound_window import scenario_window
from gridhash.agents.linear_program import LinearProgram
from gridhash.config import SiteConfig, parse_site
from gridhash.envs.columns import INCREASE_CALL, REDUCTION_CALL
from gridhash.envs.programs import increase_pay, reduction_settlement
from gridhash.envs.scenario import Scenario

PROGRAMS = {
    "demand_reduction": {
        "committed_kw": 1000.0,
        "energy_pay_per_kwh": 25.0,
        "penalty_per_kwh": 60.0,
        "tolerance_frac": 0.9,
    },
    "demand_increase": {"pay_per_kwh": 8.0, "max_kw": 2000.0},
}
MOST_KW = 4500.0
HOURS = 0.5
share = st.floats(0.0, 1.0)


@pytest.fixture(scope="module")
def window(japan: SiteConfig, make_scenario: Callable[..., Scenario]) -> Window:
    """Return one settlement period of a site with calls to reduce and to consume."""
    site = parse_site(japan.model_dump(exclude_unset=True) | {"programs": PROGRAMS}, origin="test")
    calls = {"dr_down_call": np.zeros(96), "dr_up_call": np.zeros(96)}
    scenario = make_scenario(site, np.full(96, 8.0), calls)
    steps = scenario.steps_per_row
    return scenario_window(scenario, (60, 61), np.full(steps, HOURS / steps), MOST_KW)


def earned(window: Window, column: int, load_kw: float) -> float:
    """Return what the program says that a load earns in a called period, beside capacity pay."""
    n = len(window.market)
    market = window.market.copy()
    market[:, column] = 1.0
    program = LinearProgram()
    imported = program.add_columns(n, lower=load_kw, upper=load_kw)
    nothing = program.add_columns(n, lower=0.0, upper=0.0)
    add_programs(program, replace(window, market=market), Energy(imported, nothing))
    return program.solve().upper_bound


@settings(max_examples=60, deadline=None)
@given(load=share, baseline=share, committed=share)
def test_what_a_call_to_reduce_earns_lies_below_its_hull(
    load: float, baseline: float, committed: float, window: Window
) -> None:
    programs = window.programs._replace(committed_kw=committed * MOST_KW)
    own = replace(window, programs=programs, baseline_kw=np.array([baseline * MOST_KW]))
    pay, penalty, _ = reduction_settlement(
        baseline * MOST_KW, load * MOST_KW, committed * MOST_KW, 0.9, 25.0, 60.0, HOURS
    )

    upper = earned(own, REDUCTION_CALL, load * MOST_KW)

    assert pay - penalty <= upper + 1e-6
    if load in (0.0, 1.0):
        assert upper == pytest.approx(pay - penalty, abs=1e-6)


@settings(max_examples=60, deadline=None)
@given(load=share, baseline=share)
def test_what_a_call_to_consume_earns_lies_below_its_hull(
    load: float, baseline: float, window: Window
) -> None:
    known = replace(window.increase_baseline, known_kw=np.array([baseline * MOST_KW]))
    own = replace(window, increase_baseline=known)
    pay = increase_pay(baseline * MOST_KW, load * MOST_KW, 2000.0, 8.0, HOURS)

    upper = earned(own, INCREASE_CALL, load * MOST_KW)

    assert pay <= upper + 1e-6
    if load in (0.0, 1.0):
        assert upper == pytest.approx(pay, abs=1e-6)

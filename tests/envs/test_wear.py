"""Rainflow against the standard's example, Norris-Landzberg against published factors."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridhash.config import SiteConfig
from gridhash.envs.wear import (
    SAC,
    SN_PB,
    ThermalCycle,
    acceleration_factor,
    fleet_wear,
    rainflow_cycles,
    wear_report,
)
from gridhash.errors import DataError


def test_rainflow_of_the_example_of_astm_e1049() -> None:
    counts: dict[float, float] = {}
    for range_k, _, count in rainflow_cycles([-2, 1, -3, 5, -1, 3, -4, 4, -2]):
        counts[range_k] = counts.get(range_k, 0.0) + count

    assert counts == {3: 0.5, 4: 1.5, 6: 0.5, 8: 1.0, 9: 0.5}


@pytest.mark.parametrize(
    ("range_k", "factor"), [(50.0, 6.2), (40.0, 11.2), (25.0, 39.0), (10.0, 441.0)]
)
def test_a_chamber_test_against_two_cycles_a_day(range_k: float, factor: float) -> None:
    """0-100 °C at 48 cycles a day against 2 a day up to 75 °C, by hand:

    (100/50)^2.65 = 6.277, (2/48)^0.136 = 0.649, exp(2185 (1/348.15 - 1/373.15)) = 1.523.
    """
    test = ThermalCycle(range_k=100.0, max_c=100.0, per_day=48.0)
    use = ThermalCycle(range_k=range_k, max_c=75.0, per_day=2.0)

    assert acceleration_factor(test, use, SAC) == pytest.approx(factor, rel=0.01)


def test_leaded_solder_by_hand() -> None:
    """(100/50)^1.9 = 3.732; (1/8)^(1/3) = 0.5; equal hottest temperatures."""
    test = ThermalCycle(range_k=100.0, max_c=80.0, per_day=8.0)
    use = ThermalCycle(range_k=50.0, max_c=80.0, per_day=1.0)

    assert acceleration_factor(test, use, SN_PB) == pytest.approx(3.732 * 0.5, rel=1e-3)


def test_ten_reference_cycles_do_the_damage_of_ten() -> None:
    report = wear_report([*([25.0, 75.0] * 10), 25.0], 1800.0)

    assert report.equivalent_cycles == pytest.approx(10.0)
    assert report.n_deep_cycles == pytest.approx(10.0)
    assert sum(report.n_cycles) == pytest.approx(10.0)
    assert report.n_cycles[report.range_edges_k.index(50.0)] == pytest.approx(10.0)
    assert report.days == pytest.approx(21 * 1800 / 86400)


def test_changes_of_level_are_nothing_beside_stops() -> None:
    stops = wear_report([25.0, 75.0] * 10, 300.0).equivalent_cycles
    levels = wear_report([67.0, 75.0] * 10, 300.0).equivalent_cycles

    assert levels < stops / 100


@given(
    swing=st.floats(1, 60), deeper_k=st.floats(0.5, 20), n=st.integers(2, 20),
    hot=st.floats(50, 90),
)  # fmt: skip
def test_damage_rises_with_range_number_and_temperature(
    swing: float, deeper_k: float, n: int, hot: float
) -> None:
    def damage(range_k: float, top_c: float, n_cycles: int) -> float:
        return wear_report([top_c - range_k, top_c] * n_cycles, 300.0).equivalent_cycles

    here = damage(swing, hot, n)
    assert damage(swing + deeper_k, hot, n) > here
    assert damage(swing, hot + 5.0, n) > here
    assert damage(swing, hot, n + 1) > here


def test_steady_chips_do_not_wear_and_gaps_are_refused() -> None:
    steady = wear_report(np.full(100, 65.0), 300.0)

    assert steady.equivalent_cycles == 0.0
    assert sum(steady.n_cycles) == 0.0
    with pytest.raises(DataError, match="1 values that are no number: fill the gaps"):
        wear_report([60.0, float("nan"), 61.0], 300.0)


def test_wear_of_a_fleet_is_the_mean_over_rigs_of_a_year(japan: SiteConfig) -> None:
    """Of four groups one stops every day for a year from 75 to 25 °C: 365 cycles on its rigs."""
    first = japan.groups[0]
    hours = np.arange(365 * 24)
    values = {f"chip_temp_c_{group.name}": np.full(hours.size, 65.0) for group in japan.groups}
    values[f"chip_temp_c_{first.name}"] = np.where(hours % 24 < 12, 75.0, 25.0)
    site = japan.model_copy(update={"dispatch_interval_s": 3600})
    wear = fleet_wear(pd.DataFrame(values), site)

    share = first.n_rigs / site.n_rigs
    assert wear.wear_cycles_per_year == pytest.approx(365 * share, rel=0.01)
    assert wear.deep_cycles_per_year == pytest.approx(365 * share, rel=0.01)
    assert wear.groups[japan.groups[1].name].equivalent_cycles == 0.0
    with pytest.raises(DataError, match=f"no column chip_temp_c_{first.name}"):
        fleet_wear(pd.DataFrame({"profit": [1.0]}), site)
    with pytest.raises(DataError, match="nothing was played"):
        fleet_wear(pd.DataFrame(values)[:0], site)

"""The environment earns what a published annual table of the real Kyushu prices says.

The published figures were made by a half-hour model of their own; docs/results/annual_table.md
says which idealisations reproduce them.
"""

import importlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gridhash.agents.bound import perfect_foresight_bound
from gridhash.agents.day_ahead_dp import DayAheadDP
from gridhash.agents.rules import AlwaysOn, Hysteresis, LevelRule
from gridhash.config import load_site
from gridhash.envs.scenario import Scenario, build_scenario

# The table's scripts stand beside each other and are no package.
sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
cases: Any = importlib.import_module("annual_table_cases")
sys.path.pop(0)

TOLERANCE = 0.005
"""Of every published profit; the issue asks for 2 %."""
STARTS_TOLERANCE = 0.01


@pytest.fixture(scope="module")
def scenario(reference_data: Path) -> Scenario:
    return build_scenario(
        cases.site_with(cases.IDEALISATIONS),
        cases.fiscal_year_prices(reference_data / cases.REFERENCE, 2023),
    )


@pytest.fixture(scope="module")
def figures(scenario: Scenario) -> dict[str, Any]:
    """Return every policy's year; the ratios are those that tuning in-sample finds."""
    tuned = Hysteresis(scenario.site, start_ratio=1.0, stop_ratio=1.05)
    figures: dict[str, Any] = cases.annual_figures(scenario, cases.policies_of(scenario, tuned))
    return figures


@pytest.mark.parametrize("name", list(cases.PUBLISHED))
def test_annual_profit_is_as_published(figures: dict[str, Any], name: str) -> None:
    assert figures[name].profit_mjpy == pytest.approx(cases.PUBLISHED[name], rel=TOLERANCE)


@pytest.mark.parametrize("name", list(cases.PUBLISHED_STARTS))
def test_fleet_starts_are_as_published(figures: dict[str, Any], name: str) -> None:
    assert figures[name].fleet_starts == pytest.approx(
        cases.PUBLISHED_STARTS[name], rel=STARTS_TOLERANCE
    )


def test_always_on_is_revenue_less_energy(scenario: Scenario, figures: dict[str, Any]) -> None:
    """By hand: 257.76 PH/s at JPY 5,586 per PH and day against 4,503.6 kW at spot + 5.5."""
    price = scenario.trace.column("price_per_kwh")[48:]
    energy_kwh = 537 * 8.064 * 1.04 * 0.5
    revenue = 537 * 0.480 * 38.0 * 150.0 * 0.98 / 48.0
    by_hand = len(price) * revenue - energy_kwh * float(np.sum(price + 5.5)) - 5000.0
    assert figures[AlwaysOn.name].profit_mjpy == pytest.approx(by_hand / 1e6, rel=1e-9)


def test_day_ahead_prices_are_worth_perfect_foresight(
    scenario: Scenario, figures: dict[str, Any]
) -> None:
    """Published: 99.6 to 100 % of perfect foresight; the bound holds above every policy."""
    bound = perfect_foresight_bound(scenario, cases.year_of(scenario)).value / 1e6
    profits = {name: own.profit_mjpy for name, own in figures.items()}
    assert max(profits.values()) <= bound
    assert profits[DayAheadDP.name] >= 0.996 * bound
    assert profits[cases.ORACLE] == pytest.approx(bound, rel=1e-3)
    assert profits[LevelRule.name] < profits[Hysteresis.name] < profits[DayAheadDP.name]


def test_without_idealisations_the_preset_is_left() -> None:
    assert cases.site_with(()) == load_site("japan_pilot").model_copy(
        update={"use_work_levels": True}
    )

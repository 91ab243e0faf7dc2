"""A peak's charge is shared out over the month that it serves."""

import numpy as np
import pytest

from gridhash.envs.batched_site import BatchedSite, EpisodeRules
from gridhash.envs.columns import MONTH
from gridhash.envs.ledger import DEMAND
from gridhash.envs.named_scenario import open_named_scenario
from gridhash.envs.scenario import Scenario
from gridhash.training.peak_charges import PeakCharges


@pytest.fixture(scope="module")
def pilot() -> Scenario:
    return open_named_scenario("JapanPilot", years=1, days=70)


def played(scenario: Scenario, row: int, n_rows: int) -> tuple[PeakCharges, float]:
    """Run a fleet at full power that had no peak before; return its charges and their sum."""
    sites = BatchedSite(scenario, 1, EpisodeRules(relative_reward=False))
    sites.start_at(row, running_frac=1.0)
    sites.accounts.value[0] = 0.0
    sites.accounts.month_peak_kw[0] = 0.0
    charges = PeakCharges(scenario, np.array([row]))
    charged = 0.0
    for _ in range(n_rows * scenario.steps_per_row):
        output = sites.step(np.full((1, scenario.n_groups), -1.0))
        charges.book(np.array([0]), sites)
        charged += float(output.profit[0] - output.reward[0] * scenario.params.reward_scale)
        charged += float(output.ledger[0, DEMAND])
    return charges, charged


def test_what_is_left_of_the_month_takes_its_share(pilot: Scenario) -> None:
    month = pilot.exogenous.calendar[:, MONTH]
    second = int(np.flatnonzero(month[1:] != month[:-1])[0]) + 1
    third = int(np.flatnonzero(month[1:] != month[:-1])[1]) + 1
    days = 48
    charges, charged = played(pilot, second, 2 * days)
    assert charged > 0.0
    expected = charged * (third - second - 2 * days) / (third - second)
    assert charges.left_over()[0] == pytest.approx(expected, rel=1e-9)


def test_nothing_is_left_of_a_month_that_is_over(pilot: Scenario) -> None:
    month = pilot.exogenous.calendar[:, MONTH]
    second = int(np.flatnonzero(month[1:] != month[:-1])[0]) + 1
    charges, _ = played(pilot, second - 4, 4)
    assert charges.left_over()[0] == 0.0


def test_a_site_without_a_demand_charge_has_nothing_to_share(four_weeks: Scenario) -> None:
    sites = BatchedSite(four_weeks, 2, EpisodeRules())
    sites.start_at(30)
    charges = PeakCharges(four_weeks, np.array([30, 30]))
    sites.step(np.zeros((2, four_weeks.n_groups)))
    charges.book(np.arange(2), sites)
    np.testing.assert_array_equal(charges.left_over(), [0.0, 0.0])

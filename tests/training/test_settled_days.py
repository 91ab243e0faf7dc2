"""Charges of a month are shared by its days, and all days add up to the profit."""

import pandas as pd
import pytest

from gridhash.agents.rules import AlwaysOn, LevelRule
from gridhash.config_scenario import load_scenario_config
from gridhash.envs.named_scenario import open_named_scenario
from gridhash.envs.scenario import Scenario
from gridhash.training.play import play
from gridhash.training.settled_days import SETTLED_BY_MONTH, settled_daily_profit


@pytest.fixture(scope="module")
def pilot() -> Scenario:
    return open_named_scenario(load_scenario_config("JapanPilot"), years=1, days=75)


def _row(scenario: Scenario, day: str) -> int:
    return scenario.row_at(pd.Timestamp(day, tz=scenario.site.timezone))


def test_settled_days_add_up_to_the_profit_and_share_each_months_charges(pilot: Scenario) -> None:
    rows = (_row(pilot, "2023-04-10"), _row(pilot, "2023-05-20"))
    run = play(pilot, AlwaysOn(pilot.site), rows)

    days = settled_daily_profit(run, pilot.site.timezone)

    assert len(days) == 40
    assert days.sum() == pytest.approx(run.profit, rel=1e-12)
    local = pd.DatetimeIndex(run.frame.index).tz_convert(pilot.site.timezone)
    own = run.frame[local.date == pd.Timestamp("2023-04-12").date()]
    booked = own["profit"].sum() + own[list(SETTLED_BY_MONTH)].to_numpy().sum()
    april = run.frame[local.month == 4][list(SETTLED_BY_MONTH)].to_numpy().sum()
    assert days.iloc[2] == pytest.approx(booked - april / 21 - run.liability / 40)


def test_where_nothing_is_settled_by_month_settled_days_are_the_booked_ones(
    scenario: Scenario, ten_days: tuple[int, int]
) -> None:
    run = play(scenario, LevelRule(scenario.site), ten_days)

    settled = settled_daily_profit(run, scenario.site.timezone)

    assert run.liability == 0.0
    assert settled.to_numpy() == pytest.approx(
        run.daily_profit(scenario.site.timezone).to_numpy(), abs=1e-9
    )

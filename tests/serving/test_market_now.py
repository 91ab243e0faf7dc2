"""Prices of now are those of today, or a past span moved to the present."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from gridhash.config import load_site
from gridhash.data.samples import load_sample
from gridhash.envs.scenario import Scenario, build_scenario
from gridhash.errors import ConfigError, DataError
from gridhash.serving.market_now import market_now
from gridhash.serving.site_state import market_row_at

NOW = datetime(2026, 5, 6, 7, 8, 9, tzinfo=UTC)
THEN = datetime(2018, 1, 4, 17, 0, tzinfo=UTC)
"""18:00 in the Netherlands."""


@pytest.fixture(scope="module")
def scenario() -> Scenario:
    trace = load_sample("nl_2018")
    ten_days = trace.between(trace.start, trace.start + timedelta(days=10))
    return build_scenario(load_site("europe_sample"), ten_days)


def test_prices_that_hold_now_are_taken_as_they_are(scenario: Scenario) -> None:
    market = market_now(scenario, THEN, replay_from=None)

    assert market.scenario is scenario
    assert not market.is_replay
    assert market.market_time(THEN).isoformat() == "2018-01-04T18:00:00+01:00"


def test_prices_of_another_time_are_refused_with_their_span_and_the_way_on(
    scenario: Scenario,
) -> None:
    message = (
        r"from 2018-01-02T00:00\+0100 .* to 2018-01-11T00:00\+0100, and now is "
        r"2026-05-06T09:08\+0200: give --prices .* --replay-from 2018-01-02T00:00"
    )
    with pytest.raises(DataError, match=message):
        market_now(scenario, NOW, replay_from=None)


def test_the_first_day_has_no_day_before_it_and_is_refused(scenario: Scenario) -> None:
    first = scenario.trace.starts[scenario.first_row].to_pydatetime()

    market_now(scenario, first, replay_from=None)
    with pytest.raises(DataError, match="a day after its first price"):
        market_now(scenario, first - timedelta(seconds=1), replay_from=None)


def test_the_last_instant_counts_and_the_end_does_not(scenario: Scenario) -> None:
    end = scenario.trace.end.to_pydatetime()

    market_now(scenario, end - timedelta(seconds=1), replay_from=None)
    with pytest.raises(DataError):
        market_now(scenario, end, replay_from=None)


@pytest.mark.parametrize("text", ["2018-01-04T18:00", "2018-01-04T17:00+00:00"])
def test_a_replay_shows_what_held_then_from_now_on(scenario: Scenario, text: str) -> None:
    market = market_now(scenario, NOW, replay_from=text)

    ahead = market.market_time(NOW) - THEN
    assert timedelta() <= ahead < timedelta(seconds=scenario.site.dispatch_interval_s)
    for hours in (0, 5):
        moved = market_row_at(market.scenario, NOW + timedelta(hours=hours))
        original = market_row_at(scenario, THEN + timedelta(hours=hours))
        assert moved is not None
        assert original is not None
        assert (moved.values, moved.features) == (original.values, original.features)


def test_a_replay_keeps_periods_on_the_dispatch_grid(scenario: Scenario) -> None:
    market = market_now(scenario, NOW, replay_from="2018-01-04T18:00")

    seconds = np.asarray(market.scenario.trace.starts.as_unit("s").asi8)
    assert not np.any(seconds % scenario.site.dispatch_interval_s)
    assert market.scenario.trace.source.startswith("replay of ")


def test_a_replay_needs_a_time_inside_the_prices(scenario: Scenario) -> None:
    with pytest.raises(ConfigError, match="'yesterday' is no time; write it as 2018-10-24T18:00"):
        market_now(scenario, NOW, replay_from="yesterday")
    with pytest.raises(DataError, match="--replay-from is 2019-01-04T18:00"):
        market_now(scenario, NOW, replay_from="2019-01-04T18:00")

from datetime import UTC, datetime, time, timedelta

import pytest

from gridhash.config import SiteConfig
from gridhash.envs.scenario import Scenario
from gridhash.serving.input_age import Rung, input_age
from gridhash.serving.ladder import PriceLadder, ScheduleEntry, StandIn
from gridhash.serving.site_state import MarketRow, market_row_at
from tests.serving.bench import START

PLAN = StandIn(
    schedule=(
        ScheduleEntry(start=time(6), share=0.25),
        ScheduleEntry(start=time(22), share=1.0),
    ),
    safe_share=0.125,
)


def known(scenario: Scenario, at: datetime) -> MarketRow:
    row = market_row_at(scenario, at)
    assert row is not None
    return row


def test_each_rung_is_taken_at_its_documented_age(
    small_site: SiteConfig, flat_scenario: Scenario
) -> None:
    ladder = PriceLadder(small_site, PLAN)
    row = known(flat_scenario, START)
    assert ladder.step(row, START)[0] == row
    end = START + timedelta(seconds=1800)
    for after_s, rung in (
        (0.0, Rung.LAST_GOOD),
        (7200.0, Rung.LAST_GOOD),
        (7201.0, Rung.SCHEDULE),
        (86400.0, Rung.SCHEDULE),
        (86401.0, Rung.SAFE),
    ):
        got, age, fallback = ladder.step(None, end + timedelta(seconds=after_s))
        assert (age.rung, age.age_s) == (rung, after_s)
        assert (got is None) == (rung is not Rung.LAST_GOOD)
        assert (fallback is None) == (rung is Rung.LAST_GOOD)
    assert ladder.step(row, START)[1].rung is Rung.FRESH


def test_the_schedule_keeps_local_hours_over_midnight(small_site: SiteConfig) -> None:
    ladder = PriceLadder(small_site, PLAN)
    full_kw = small_site.max_rig_kw
    for utc_h, share in ((21, 0.25), (12, 0.25), (13, 1.0), (20, 1.0)):  # JST is nine hours ahead
        _, age, fallback = ladder.step(None, datetime(2024, 4, 2, utc_h, tzinfo=UTC))
        assert age.rung is Rung.SCHEDULE
        assert fallback is not None
        assert sum(fallback.power_kw) == pytest.approx(share * full_kw)


@pytest.mark.parametrize(
    ("utc", "share"),
    [
        # Clocks in New York went forward at 07:00 UTC on this day, and back at 06:00 UTC on that.
        (datetime(2024, 3, 10, 6, 59, tzinfo=UTC), 0.5),
        (datetime(2024, 3, 10, 7, 0, tzinfo=UTC), 1.0),
        (datetime(2024, 11, 3, 5, 59, tzinfo=UTC), 0.5),
        (datetime(2024, 11, 3, 6, 0, tzinfo=UTC), 0.5),
        (datetime(2024, 11, 3, 8, 0, tzinfo=UTC), 1.0),
    ],
)
def test_the_schedule_follows_summer_time(
    small_site: SiteConfig, utc: datetime, share: float
) -> None:
    plan = StandIn(
        schedule=(ScheduleEntry(start=time(0), share=0.5), ScheduleEntry(start=time(3), share=1.0))
    )
    site = small_site.model_copy(update={"timezone": "America/New_York"})
    _, _, fallback = PriceLadder(site, plan).step(None, utc)
    assert fallback is not None
    assert sum(fallback.power_kw) == pytest.approx(share * site.max_rig_kw)


def test_without_a_schedule_the_safe_profile_follows_at_once(small_site: SiteConfig) -> None:
    _, age, fallback = PriceLadder(small_site, StandIn()).step(None, START)
    assert (age.rung, age.age_s) == (Rung.SAFE, None)
    assert fallback is not None
    assert sum(fallback.power_kw) == 0.0


def test_a_row_of_a_clock_that_was_set_back_does_not_stand_in_for_the_past(
    small_site: SiteConfig, flat_scenario: Scenario
) -> None:
    ladder = PriceLadder(small_site, StandIn())
    ladder.step(known(flat_scenario, START), START)
    assert ladder.step(None, START - timedelta(hours=1))[0] is None


def test_a_share_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="is no share of the power"):
        StandIn(safe_share=1.5)


def test_an_input_without_a_schedule_is_fresh_then_last_good_then_gone() -> None:
    ages = (0.0, 180.0, 181.0, 600.0, 601.0, None)
    assert [input_age("rig readings", age_s).rung for age_s in ages] == [
        Rung.FRESH,
        Rung.FRESH,
        Rung.LAST_GOOD,
        Rung.LAST_GOOD,
        Rung.SAFE,
        Rung.SAFE,
    ]
    assert input_age("demand-response orders", 1e9).rung is Rung.LAST_GOOD

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gridhash.config import SiteConfig, load_site
from gridhash.data.trace import Trace
from gridhash.envs.columns import OUTDOOR, PRICE, REVENUE, SEEN_OUTDOOR, SEEN_SURPLUS, SURPLUS
from gridhash.envs.scenario import build_scenario
from gridhash.errors import DataError

MakeTrace = Callable[..., Trace]
EditSite = Callable[[SiteConfig, dict[str, Any]], SiteConfig]


def test_market_holds_amounts_of_the_site(japan: SiteConfig, make_trace: MakeTrace) -> None:
    n = 4 * 48
    rng = np.random.default_rng(0)
    given = {
        "surplus_frac": rng.uniform(0, 1, n),
        "outdoor_temp_c": rng.uniform(-5, 35, n),
        "hashprice_usd_per_phs_day": rng.uniform(30, 60, n),
        "currency_per_usd": rng.uniform(120, 160, n),
    }
    scenario = build_scenario(japan, make_trace(japan, prices=7.0, columns=given))
    market = scenario.market

    assert (market[:, PRICE] == 7.0).all()
    assert market[:, SURPLUS] == pytest.approx(given["surplus_frac"] * 4520.0)
    assert market[:, OUTDOOR] == pytest.approx(given["outdoor_temp_c"])
    assert market[:, REVENUE] == pytest.approx(
        given["hashprice_usd_per_phs_day"] * given["currency_per_usd"] * 0.98 * 0.997
    )
    assert (market[1:, SEEN_SURPLUS] == market[:-1, SURPLUS]).all()
    assert (market[1:, SEEN_OUTDOOR] == market[:-1, OUTDOOR]).all()
    assert scenario.first_row == 48


def test_a_reading_that_comes_late_is_seen_late(japan: SiteConfig, make_trace: MakeTrace) -> None:
    trace = make_trace(japan)
    late = trace.with_columns(
        {"outdoor_temp_c": np.arange(trace.n_rows) / 10},
        available_at={"outdoor_temp_c": trace.starts + pd.Timedelta(minutes=75)},
    )
    market = build_scenario(japan, late).market

    assert market[100, SEEN_OUTDOOR] == pytest.approx(9.7)


def test_row_at_finds_the_period_that_holds_an_instant(
    japan: SiteConfig, make_trace: MakeTrace
) -> None:
    scenario = build_scenario(japan, make_trace(japan))

    assert scenario.row_at(pd.Timestamp("2024-07-02 00:00", tz="Asia/Tokyo")) == 48
    assert scenario.row_at(pd.Timestamp("2024-07-02 00:29", tz="Asia/Tokyo")) == 48
    assert scenario.row_at(pd.Timestamp("2024-07-01 15:30", tz="UTC")) == 49


@pytest.mark.parametrize(
    ("instant", "fault"),
    [
        ("2024-07-02 00:00", "no time zone"),
        ("2024-06-30 23:59+09:00", "outside the data"),
        ("2024-07-05 00:00+09:00", "outside the data"),
    ],
)
def test_row_at_refuses_what_it_cannot_place(
    japan: SiteConfig, make_trace: MakeTrace, instant: str, fault: str
) -> None:
    scenario = build_scenario(japan, make_trace(japan))

    with pytest.raises(DataError, match=fault):
        scenario.row_at(pd.Timestamp(instant))


def test_a_trace_of_another_currency_period_or_less_than_two_days_is_refused(
    japan: SiteConfig, edit_site: EditSite, make_trace: MakeTrace
) -> None:
    texas = load_site("texas_air")
    hourly = edit_site(japan, {"market.settlement_period_s": 3600})

    with pytest.raises(DataError, match=r"prices of test are in USD, the site japan_pilot .* JPY"):
        build_scenario(japan, make_trace(texas))
    with pytest.raises(DataError, match=r"periods of 3600 s, .* settles every 1800 s"):
        build_scenario(japan, make_trace(hourly))
    with pytest.raises(DataError, match="holds 48 periods; at least two days"):
        build_scenario(japan, make_trace(japan, days=1))


def test_a_trace_is_not_changed_by_building_a_scenario(
    japan: SiteConfig, make_trace: MakeTrace
) -> None:
    trace = make_trace(japan, columns={"surplus_frac": 0.3})
    before = trace.frame.copy()
    scenario = build_scenario(japan, trace)
    scenario.market[:] = 0.0

    pd.testing.assert_frame_equal(trace.frame, before)


@pytest.mark.parametrize("preset", ["japan_pilot", "texas_air", "europe_sample"])
def test_every_preset_builds(preset: str, make_trace: MakeTrace) -> None:
    site = load_site(preset)
    scenario = build_scenario(site, make_trace(site))

    assert np.isfinite(scenario.market).all()
    assert np.isfinite(scenario.rows).all()


def test_a_site_that_gets_prices_later_sees_less_of_tomorrow(
    japan: SiteConfig, edit_site: EditSite, make_trace: MakeTrace
) -> None:
    """At 13:00 tomorrow's prices, published 12:30, are known for 35 h, elsewhere from 18:00 on."""
    trace = make_trace(japan, prices=np.full(4 * 48, 10.0))
    late = edit_site(japan, {"market.price_published_local": "18:00:00"})
    scenario = build_scenario(japan, trace)
    column = [feature.name for feature in scenario.features].index("published_h")

    on_time_h = scenario.rows[:, column]
    late_h = build_scenario(late, trace).rows[:, column]

    assert on_time_h[48 + 26] == 35.0
    assert late_h[48 + 26] == 11.0
    assert late_h[48 + 36] == on_time_h[48 + 36] == 30.0

"""What of the market is known now: two traces of the store as one, and calls that are orders."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from gridhash.data.samples import load_sample
from gridhash.data.store.store import Store
from gridhash.data.trace import Trace
from gridhash.envs.columns import PAUSE
from gridhash.envs.named_scenario import open_named_scenario
from gridhash.envs.open_scenario import ScenarioRequest
from gridhash.envs.scenario import Scenario, build_scenario
from gridhash.errors import ConfigError, DataError
from gridhash.serving.announced_market import AnnouncedMarket
from gridhash.serving.live_market import StoreMarket
from gridhash.serving.live_trace import (
    AHEAD,
    CALLS,
    load_live,
    measured_until,
    with_call_columns,
    with_measured,
)
from gridhash.serving.market_now import market_now
from gridhash.serving.market_source import FixedMarket
from gridhash.serving.obligations import SiteOrder
from gridhash.serving.service_links import live_market, live_scenario
from gridhash.serving.site_state import market_row_at
from gridhash.serving.validation import Reason
from gridhash.time_grid import epoch_s, from_epoch_s

MEASURED = ("real_time_price_per_kwh", "surplus_frac", "outdoor_temp_c", "demand_kw")


@pytest.fixture(scope="module")
def pilot() -> Scenario:
    return open_named_scenario("JapanPilot", days=40)


@pytest.fixture(scope="module", params=["JapanPilot", "RealTimeErcot"])
def whole(request: pytest.FixtureRequest) -> Scenario:
    return open_named_scenario(request.param, days=40)


def with_only(trace: Trace, names: Callable[[str], bool]) -> Trace:
    kept = [name for name in trace.frame if name == "price_per_kwh" or names(str(name))]
    known = {str(name): trace.available_at[str(name)] for name in kept}
    return Trace(
        frame=trace.frame[kept],
        period_s=trace.period_s,
        currency=trace.currency,
        area=trace.area,
        source=trace.source,
        available_at=known,
    )


def split(trace: Trace, end: datetime) -> tuple[Trace, Trace]:
    """Return what is known ahead, whole, and what is measured, until an instant."""
    published = with_only(trace, lambda name: name not in MEASURED)
    measured = with_only(trace, lambda name: name in MEASURED)
    return published, measured.between(trace.start.to_pydatetime(), end)


def test_a_policy_sees_now_what_it_saw_in_training(whole: Scenario) -> None:
    trace = whole.trace
    for row in (trace.n_rows // 2, trace.n_rows - 97, trace.n_rows - 3):
        now = trace.starts[row].to_pydatetime()
        live = build_scenario(whole.site, with_measured(*split(trace, now)))
        assert market_row_at(live, now) == market_row_at(whole, now)
        assert measured_until(live.trace) == now


def test_no_reading_is_made_up_for_the_time_to_come(pilot: Scenario) -> None:
    now = pilot.trace.starts[900].to_pydatetime()
    live = with_measured(*split(pilot.trace, now))
    assert live.end == pilot.trace.end
    held = live.column("outdoor_temp_c" if "outdoor_temp_c" in live.frame else "demand_kw")
    assert np.ptp(held[900:]) == 0.0
    for name in MEASURED:
        if name in live.frame:
            assert (live.available_at[name][900:] >= live.end).all()


def test_traces_that_do_not_fit_are_refused_with_what_to_do(pilot: Scenario) -> None:
    trace = pilot.trace
    published, measured = split(trace, trace.starts[900].to_pydatetime())
    with pytest.raises(DataError, match="holds no column"):
        with_measured(published, published)
    calls = with_only(trace, lambda name: name in AHEAD)
    with pytest.raises(DataError, match="must be known when its period starts: join it into"):
        with_measured(with_only(trace, lambda name: name in MEASURED), calls)
    with pytest.raises(DataError, match="share no time"):
        with_measured(
            published.between(trace.starts[960].to_pydatetime(), trace.end.to_pydatetime()),
            measured,
        )
    bare = with_only(trace, lambda name: name not in CALLS)
    with pytest.raises(DataError, match='orders with "call": "pause_order"'):
        with_call_columns(bare, pilot.site, takes_orders=False)
    assert with_call_columns(bare, pilot.site, takes_orders=True).column("pause_order").sum() == 0
    assert with_call_columns(trace, pilot.site, takes_orders=False) is trace


def test_a_store_is_followed_until_its_readings_are_too_old(
    pilot: Scenario, tmp_path: Path
) -> None:
    trace, store = pilot.trace, Store(tmp_path / "store")
    now = trace.starts[900].to_pydatetime()
    for name, own in zip(("ahead", "meter"), split(trace, now), strict=True):
        store.save_trace(name, own)
    names = ["ahead", "meter"]
    known = build_scenario(pilot.site, load_live(store, names, pilot.site, takes_orders=False))
    market = StoreMarket.of(store, names, pilot.site, known)
    assert market.row_at(now) == market_row_at(pilot, now)
    later = now + timedelta(hours=2, minutes=1)
    assert market.row_at(later) is None

    async def main() -> None:
        assert await market.refresh(now) == []
        (refused,) = await market.refresh(later)
        assert refused.reason is Reason.STALE
        assert "fetch and join newer" in refused.why
        assert await market.refresh(later) == []
        store.save_trace("meter", split(trace, later - timedelta(minutes=1))[1], replace=True)
        await market.refresh(later)
        await market.wait()
        assert await market.refresh(later) == []

    asyncio.run(main())
    # What decides is the same; the memory of 40 days is shorter than the trace's.
    row = market.row_at(later)
    assert row is not None
    assert row.features == market_row_at(pilot, later).features  # type: ignore[union-attr]
    with pytest.raises(DataError, match=r"one trace or PUBLISHED\+MEASURED"):
        load_live(store, ["a", "b", "c"], pilot.site, takes_orders=False)


def order(start: datetime, end: datetime, issued_at: datetime, **more: object) -> SiteOrder:
    given = {"call": "pause_order", "order_id": "P-1", "revision": 0} | more
    return SiteOrder.model_validate({"start": start, "end": end, "issued_at": issued_at} | given)


def refresh(market: AnnouncedMarket, now: datetime) -> None:
    async def main() -> None:
        await market.refresh(now)
        await market.wait()

    asyncio.run(main())


def test_a_call_of_an_order_is_seen_as_one_of_the_trace_is(pilot: Scenario) -> None:
    trace, row = pilot.trace, 1000
    quiet = build_scenario(
        pilot.site, trace.with_columns({"pause_order": np.zeros(trace.n_rows)})
    )  # fmt: skip
    now, first = trace.starts[row].to_pydatetime(), row + 6
    start, end = (trace.starts[r].to_pydatetime() for r in (first, first + 5))
    called = np.zeros(trace.n_rows)
    called[first : first + 5] = 1.0
    known_s = epoch_s(trace.starts).copy()
    known_s[: first + 5] = np.minimum(known_s[: first + 5], known_s[row])
    trained = build_scenario(
        pilot.site,
        quiet.trace.with_columns(
            {"pause_order": called},
            available_at={"pause_order": from_epoch_s(known_s)},
        ),
    )
    market = AnnouncedMarket(FixedMarket(quiet))
    assert market.scenario is quiet
    market.announce([order(start, end, now)], now)
    refresh(market, now)
    for r in range(row, first + 7):
        at = trace.starts[r].to_pydatetime()
        assert market.row_at(at) == market_row_at(trained, at), r
    assert market_row_at(trained, now) != market_row_at(quiet, now)
    assert market.row_at(start).values[PAUSE] == 1.0  # type: ignore[union-attr]


def test_a_call_that_is_cancelled_before_it_begins_never_was_one(pilot: Scenario) -> None:
    trace = pilot.trace
    quiet = build_scenario(pilot.site, trace.with_columns({"pause_order": np.zeros(trace.n_rows)}))
    now, start, end = (trace.starts[r].to_pydatetime() for r in (1000, 1004, 1010))
    market = AnnouncedMarket(FixedMarket(quiet))
    market.announce([order(start, end, now)], now)
    refresh(market, now)
    assert market.row_at(start).values[PAUSE] == 1.0  # type: ignore[union-attr]
    ended = trace.starts[1006].to_pydatetime()
    word = order(start, end, now, cancelled=True, revision=1)
    market.announce([word], ended)
    refresh(market, ended)
    # It had begun: what is over stays called, the rest is not.
    assert market.row_at(start).values[PAUSE] == 1.0  # type: ignore[union-attr]
    assert market.row_at(ended).values[PAUSE] == 0.0  # type: ignore[union-attr]
    other = AnnouncedMarket(FixedMarket(quiet))
    other.announce([order(start, end, now)], now)
    other.announce([word], now)
    refresh(other, now)
    assert other.row_at(start) == market_row_at(quiet, start)


def test_a_call_read_after_its_start_holds_from_its_period_on(pilot: Scenario) -> None:
    trace = pilot.trace
    quiet = build_scenario(pilot.site, trace.with_columns({"pause_order": np.zeros(trace.n_rows)}))
    start, end = (trace.starts[r].to_pydatetime() for r in (1000, 1004))
    now = start + timedelta(minutes=40)
    market = AnnouncedMarket(FixedMarket(quiet))
    market.announce([order(start, end, now)], now)
    refresh(market, now)
    assert market.row_at(now).values[PAUSE] == 1.0  # type: ignore[union-attr]
    assert market.row_at(end) == market_row_at(quiet, end)


def test_two_traces_of_the_store_serve_a_site(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRIDHASH_DATA", str(tmp_path))
    sample = load_sample("nl_2018").between(
        datetime(2018, 10, 1, tzinfo=UTC), datetime(2018, 10, 5, tzinfo=UTC)
    )
    warm = sample.with_columns({"outdoor_temp_c": np.full(sample.n_rows, 7.0)})
    store = Store()
    store.save_trace("ahead", sample)
    store.save_trace(
        "weather", warm.between(sample.start.to_pydatetime(), datetime(2018, 10, 3, tzinfo=UTC))
    )
    request = ScenarioRequest(site="europe_sample", prices="ahead+weather")
    scenario = live_scenario(request, takes_orders=False)
    assert scenario.trace.column("outdoor_temp_c").tolist() == [7.0] * sample.n_rows
    assert measured_until(scenario.trace) == datetime(2018, 10, 3, tzinfo=UTC)
    market = market_now(scenario, datetime(2018, 10, 3, 1, tzinfo=UTC), replay_from=None)
    followed = live_market(request.prices, scenario.site, market, takes_orders=False)
    assert isinstance(followed, StoreMarket)
    with pytest.raises(ConfigError, match="holds Netherlands only"):
        live_scenario(replace(request, area="FR"), takes_orders=False)

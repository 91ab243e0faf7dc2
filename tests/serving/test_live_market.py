import asyncio
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from gridhash.config import SiteConfig
from gridhash.data.store.store import Store
from gridhash.data.trace import Trace
from gridhash.envs.scenario import build_scenario
from gridhash.errors import DataError
from gridhash.serving.findings import Alarm
from gridhash.serving.live_market import StoreMarket
from gridhash.serving.site_inputs import SiteLinks
from gridhash.serving.site_state import market_row_at
from tests.serving.bench import START, Build


def trace(days: int, price: float = 10.0, before: int = 2) -> Trace:
    starts = pd.date_range(
        START - timedelta(days=before), periods=48 * days, freq="30min", unit="s"
    )
    return Trace.from_prices(
        starts,
        np.full(48 * days, price),
        published_at=starts.normalize() - pd.Timedelta(hours=12),
        period_s=1800,
        currency="JPY",
        area="kyushu",
        source="stored",
    )


def later(hours: float) -> datetime:
    return START + timedelta(hours=hours)


def test_newer_data_of_the_store_are_taken_up_without_a_restart(
    tmp_path: Path, small_site: SiteConfig
) -> None:
    store = Store(tmp_path / "store")
    store.save_trace("kyushu", trace(3))
    market = StoreMarket.of(store, ["kyushu"], small_site, build_scenario(small_site, trace(3)))

    async def main() -> None:
        assert await market.refresh(START) == []
        assert market.row_at(later(25.0)) is None
        store.save_trace("kyushu", trace(4, 11.0), replace=True)
        await market.refresh(START)
        assert market.row_at(later(1.0)) is not None
        await market.wait()
        assert await market.refresh(START) == []
        row = market.row_at(later(25.0))
        assert row is not None
        assert row.price_per_kwh == 11.0

    asyncio.run(main())


def test_data_that_are_not_fit_are_refused_and_what_was_known_stays(
    small_site: SiteConfig,
) -> None:
    given: list[Trace | DataError] = [trace(4, 0.001), trace(2), DataError("torn")]

    def load() -> Trace:
        own = given.pop(0)
        if isinstance(own, DataError):
            raise own
        return own

    known = build_scenario(small_site, trace(3))
    market = StoreMarket(small_site, load, lambda: max(len(given), 1), known)

    async def main() -> list[str]:
        words = []
        while given or market._task is not None:
            words += [own.why for own in await market.refresh(START)]
            await market.wait()
        return words

    words = asyncio.run(main())
    assert [any(word in own for word in ("unit", "before what", "torn")) for own in words] == [
        True
    ] * 3
    assert market.scenario is known


def test_what_is_read_is_the_same_from_a_short_history(small_site: SiteConfig) -> None:
    rng = np.random.default_rng(0)
    long = trace(64, before=62).with_columns(
        {"price_per_kwh": 10.0 + rng.normal(0.0, 3.0, 64 * 48)}
    )
    market = StoreMarket(small_site, lambda: long, lambda: 1)

    async def main() -> None:
        await market.refresh(START)
        await market.wait()
        await market.refresh(START)

    asyncio.run(main())
    whole = build_scenario(small_site, long)
    for hour in (0.0, 7.5, 23.0):
        assert market.row_at(later(hour)) == market_row_at(whole, later(hour))
    assert market.scenario is not None
    assert market.scenario.trace.n_rows < long.n_rows


def test_a_site_goes_on_with_prices_that_come_while_it_runs(
    bench_of: Build, small_site: SiteConfig
) -> None:
    given = [trace(3)]
    market = StoreMarket(
        small_site, lambda: given[0], lambda: id(given[0]), build_scenario(small_site, trace(3))
    )
    bench = bench_of((0.0, 1.0), links=SiteLinks(market=market))

    def publish() -> None:
        given[0] = trace(5, 14.0)

    # Prices end at 24 h; new ones are there at 20 h.
    bench.play(26.0, (20.0, publish))
    assert bench.alarms(Alarm.NO_PRICE) == []
    assert bench.n_running() == 8

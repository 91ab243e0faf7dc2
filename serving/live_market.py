"""The market of a running site, read anew whenever the store got newer data.

`gridhash data fetch` and `gridhash data join` bring them; nobody restarts the controller for it.
Reading and compiling happen in a thread, so that no tick waits; what is not fit for use is refused
with the reason, and what was known before stays.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from functools import partial

import pandas as pd

from gridhash.config import SiteConfig
from gridhash.data.store.store import Store
from gridhash.data.trace import Trace
from gridhash.envs.scenario import Scenario, build_scenario
from gridhash.errors import GridhashError
from gridhash.serving.live_trace import STALE_AFTER, load_live, measured_until
from gridhash.serving.obligations import SiteOrder
from gridhash.serving.site_state import MarketRow, market_row_at
from gridhash.serving.validation import Reason, Refused, check_market

HISTORY_DAYS = 40
"""Days before now that a decision may look back on: a month and a week before it."""


class StoreMarket:
    """Follows a trace of the store."""

    def __init__(self, site: SiteConfig, load: Callable[[], Trace], mark: Callable[[], object],
                 scenario: Scenario | None = None) -> None:  # fmt: skip
        """Follow what `load` reads, anew whenever `mark` differs; `scenario` is known already."""
        self._site = site
        self._load = load
        self._mark = mark
        self._seen: object = None
        self._scenario = scenario
        self._task: asyncio.Task[Scenario | Refused] | None = None
        self._told_stale: datetime | None = None

    @classmethod
    def of(
        cls,
        store: Store,
        names: Sequence[str],
        site: SiteConfig,
        scenario: Scenario,
        *,
        takes_orders: bool = False,
    ) -> "StoreMarket":
        """Follow named traces of a store, see `load_live`; a scenario was built of them already."""
        load = partial(load_live, store, names, site, takes_orders=takes_orders)
        market = cls(site, load, partial(_stamp, store), scenario)
        market._seen = market._mark()
        return market

    @property
    def scenario(self) -> Scenario | None:
        """What is known now."""
        return self._scenario

    def row_at(self, instant: datetime) -> MarketRow | None:
        """Return what is known for the period that holds an instant.

        None if nothing was published, or what is measured ended too long ago.
        """
        if self._scenario is None or self._stale_since(instant) is not None:
            return None
        return market_row_at(self._scenario, instant)

    def announce(self, orders: Iterable[SiteOrder], now: datetime) -> None:
        """Show a policy no order: the store's calls are all that there are."""

    async def refresh(self, now: datetime) -> list[Refused]:
        """Begin to read newer data if there are any; take up what was read meanwhile."""
        found = self._finished()
        since = self._stale_since(now)
        if since is not None and since != self._told_stale:
            why = f"its readings end at {since:%Y-%m-%d %H:%M %Z}: fetch and join newer ones"
            found.append(Refused(what="market", why=why, reason=Reason.STALE))
        self._told_stale = since
        mark = self._mark()
        if self._task is None and mark != self._seen:
            self._seen = mark
            self._task = asyncio.ensure_future(asyncio.to_thread(self._read, now))
        return found

    def _stale_since(self, now: datetime) -> datetime | None:
        """Return where readings ended, if that is too long ago and more was published."""
        if self._scenario is None or now >= self._scenario.trace.end:
            return None
        until = measured_until(self._scenario.trace)
        return until if now > until + STALE_AFTER else None

    async def wait(self) -> None:
        """Wait until what is being read was read."""
        if self._task is not None:
            await asyncio.wait({self._task})

    def _finished(self) -> list[Refused]:
        if self._task is None or not self._task.done():
            return []
        result, self._task = self._task.result(), None
        if isinstance(result, Refused):
            return [result]
        self._scenario = result
        return []

    def _read(self, now: datetime) -> Scenario | Refused:
        try:
            trace = self._load()
            known = None if self._scenario is None else self._scenario.trace
            refused = check_market(trace, known, self._site, now)
            return refused or build_scenario(self._site, newest(trace, now, self._site))
        except (GridhashError, OSError) as err:
            return Refused(what="market", why=str(err), reason=Reason.UNREADABLE)


def newest(trace: Trace, now: datetime, site: SiteConfig) -> Trace:
    """Return the trace from some days ago on: a decision looks no further back."""
    local = pd.Timestamp(now).tz_convert(site.timezone).normalize()
    start = (local - timedelta(days=HISTORY_DAYS)).tz_convert("UTC")
    if start <= trace.start or start >= trace.end:
        return trace
    return trace.between(start.to_pydatetime(), trace.end.to_pydatetime())


def _stamp(store: Store) -> object:
    """Return something that differs once the store's manifest was replaced."""
    try:
        stat = store.folder.manifest_path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_ino, stat.st_size

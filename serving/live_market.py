"""The market of a running site, read anew whenever the store got newer data.

`gridhash data fetch` and `gridhash data join` bring them; nobody restarts the controller for it.
Reading and compiling happen in a thread, so that no tick waits; what is not fit for use is refused
with the reason, and what was known before stays.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

import pandas as pd

from gridhash.config import SiteConfig
from gridhash.data.store.store import Store
from gridhash.data.trace import Trace
from gridhash.envs.scenario import Scenario, build_scenario
from gridhash.errors import GridhashError
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

    @classmethod
    def of(cls, store: Store, name: str, site: SiteConfig, scenario: Scenario) -> "StoreMarket":
        """Follow a named trace of a store, of which a scenario was built already."""
        market = cls(site, partial(store.load_trace, name), partial(_stamp, store), scenario)
        market._seen = market._mark()
        return market

    @property
    def scenario(self) -> Scenario | None:
        """What is known now."""
        return self._scenario

    def row_at(self, instant: datetime) -> MarketRow | None:
        """Return what was published for the period that holds an instant; None if nothing was."""
        return None if self._scenario is None else market_row_at(self._scenario, instant)

    async def refresh(self, now: datetime) -> list[Refused]:
        """Begin to read newer data if there are any; take up what was read meanwhile."""
        found = self._finished()
        mark = self._mark()
        if self._task is None and mark != self._seen:
            self._seen = mark
            self._task = asyncio.ensure_future(asyncio.to_thread(self._read, now))
        return found

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

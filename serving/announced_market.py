"""Calls that come as orders, put into the market where a policy looks for them.

In training a pause order or a call of demand response is a column of the trace, seen from its
notice on. On site it is an order of the folder whose `call` names that column; this market shows
it to the policy and to the site's accounts from the settlement period after it was read.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from gridhash.data.trace import Trace
from gridhash.envs.scenario import Scenario, build_scenario
from gridhash.serving.live_market import HISTORY_DAYS
from gridhash.serving.live_trace import CALLS
from gridhash.serving.market_source import FixedMarket, MarketSource
from gridhash.serving.obligations import SiteOrder
from gridhash.serving.site_state import MarketRow, market_row_at
from gridhash.serving.validation import Refused
from gridhash.time_grid import epoch_s, from_epoch_s


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call, as it stands now."""

    column: str
    start: datetime
    end: datetime
    seen_at: datetime


class AnnouncedMarket:
    """A market with the calls that orders announced."""

    def __init__(self, market: MarketSource) -> None:
        """Know of no call yet."""
        self._market = market
        self._calls: dict[str, Call] = {}
        self._base: Scenario | None = None
        """What `_scenario` was made of, with all calls of `_made_of`."""
        self._made_of: tuple[Call, ...] = ()
        self._scenario: Scenario | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def scenario(self) -> Scenario | None:
        """All that is known now."""
        return self._scenario if self._made_of else self._market.scenario

    def row_at(self, instant: datetime) -> MarketRow | None:
        """Return what was known for the period that holds an instant; None if nothing was."""
        row, scenario = self._market.row_at(instant), self.scenario
        if row is None or scenario is None or not self._made_of:
            return row
        return market_row_at(scenario, instant)

    def announce(self, orders: Iterable[SiteOrder], now: datetime) -> None:
        """Take in new words on calls; what was called and is over stays for the baseline."""
        for order in orders:
            if order.call is None:
                continue
            known = self._calls.pop(order.order_id, None)
            end = min(order.end, now) if order.cancelled else order.end
            if end > order.start:
                seen_at = now if known is None else known.seen_at
                self._calls[order.order_id] = Call(
                    column=order.call, start=order.start, end=end, seen_at=seen_at
                )
        for order_id, call in list(self._calls.items()):
            if (now - call.end).days > HISTORY_DAYS:
                del self._calls[order_id]

    async def refresh(self, now: datetime) -> list[Refused]:
        """Look for newer data, and begin to work in what is new."""
        refused = await self._market.refresh(now)
        base, calls = self._market.scenario, tuple(self._calls.values())
        idle = self._task is None or self._task.done()
        if idle and base is not None and (base is not self._base or calls != self._made_of):
            self._task = asyncio.ensure_future(self._work_in(base, calls))
        return refused

    async def wait(self) -> None:
        """Wait until what is being worked in was."""
        if self._task is not None:
            await self._task

    async def _work_in(self, base: Scenario, calls: tuple[Call, ...]) -> None:
        if calls:
            self._scenario = await asyncio.to_thread(scenario_with, base, calls)
        self._base, self._made_of = base, calls


def scenario_with(scenario: Scenario, calls: Iterable[Call]) -> Scenario:
    """Return a scenario with calls more; those in a column that the site has not change nothing."""
    trace = scenario.trace
    for call in calls:
        if call.column in trace.frame:
            trace = trace_with(trace, call)
    return scenario if trace is scenario.trace else build_scenario(scenario.site, trace)


def trace_with(trace: Trace, call: Call) -> Trace:
    """Return a trace in which each period that a call touches is called, known since it was seen.

    What is known is a prefix of a column, so that all before the call's end is known with it.
    """
    starts_s, known_s = epoch_s(trace.starts), epoch_s(trace.available_at[call.column])
    first_s, end_s = call.start.timestamp(), call.end.timestamp()
    called = (starts_s < end_s) & (starts_s + trace.period_s > first_s)
    if not called.any():
        return trace
    last = int(np.flatnonzero(called)[-1])
    values = np.where(called, 1.0, trace.column(call.column))
    before = np.arange(trace.n_rows) <= last
    seen_s = int(call.seen_at.timestamp())
    known_s = np.where(before, np.minimum(known_s, seen_s), known_s)
    # A call that was read after its start is known with its period, as the environment needs it.
    known_s = np.maximum.accumulate(np.where(called, np.minimum(known_s, starts_s), known_s))
    at = from_epoch_s(known_s)
    return trace.with_columns({call.column: values}, available_at={call.column: at})


def market_of(
    market: MarketSource | None, scenario: Scenario, *, takes_orders: bool
) -> MarketSource:
    """Return where a controller finds its market: what it is linked to, else the scenario."""
    found = market or FixedMarket(scenario)
    programs = scenario.site.programs
    calls = any(getattr(programs, name) is not None for name in CALLS.values())
    return AnnouncedMarket(found) if takes_orders and calls else found

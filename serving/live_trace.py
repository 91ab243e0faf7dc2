"""What is known of the market now, from two traces of the store: published ahead, and measured.

A trace is a rectangle: every column ends where the others do. Live, prices and orders reach into
tomorrow while temperature, surplus, demand or a real-time price end with the last reading. So
`--prices PUBLISHED+MEASURED` names two traces; the rows that nobody measured yet are there, hold
the last reading and say that they are not known, so that a policy sees what it saw in training.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np

from gridhash.config import SiteConfig
from gridhash.data.store.store import Store
from gridhash.data.trace import Trace
from gridhash.envs.market_array import ORDERS
from gridhash.errors import DataError
from gridhash.time_grid import epoch_s, from_epoch_s

STALE_AFTER = timedelta(hours=2)
"""After the last reading; from then on nothing is decided by it."""
AHEAD = ("price_per_kwh", *ORDERS, "hashprice_usd_per_phs_day", "currency_per_usd")
"""Columns that a decision needs for its own period, so that a measured trace cannot bring them."""
CALLS = {
    "pause_order": "pause_orders",
    "dr_down_call": "demand_reduction",
    "dr_up_call": "demand_increase",
}
"""Columns of calls that come as orders, and their programs."""


def with_measured(published: Trace, measured: Trace) -> Trace:
    """Return a trace with the columns of another that ends earlier, not known after its end.

    Raises
    ------
    DataError
        If the traces differ in market or period, share no time, or the second brings nothing or
        what must be known ahead.
    """
    names = [str(name) for name in measured.frame if name not in published.frame]
    what = f"{published.source} and {measured.source}"
    if (published.currency, published.period_s) != (measured.currency, measured.period_s):
        raise DataError(f"{what} differ in currency or period: join both to the site's market")
    if ahead := [name for name in names if name in AHEAD]:
        raise DataError(
            f"{measured.source}: {ahead[0]} must be known when its period starts: join it into "
            f"the first trace of --prices, {published.source}"
        )
    if not names:
        raise DataError(f"{measured.source} holds no column that {published.source} has not")
    start, end = max(published.start, measured.start), published.end
    if measured.end <= start or end <= start:
        raise DataError(f"{what} share no time: {measured.end} is where the second ends")
    whole = published.between(start.to_pydatetime(), end.to_pydatetime())
    past = measured.between(start.to_pydatetime(), min(end, measured.end).to_pydatetime())
    n_left = whole.n_rows - past.n_rows
    columns = {name: np.pad(past.column(name), (0, n_left), mode="edge") for name in names}
    known = {}
    for name in names:
        found_s = epoch_s(past.available_at[name])
        never_s = np.full(n_left, max(int(end.timestamp()), int(found_s[-1])))
        known[name] = from_epoch_s(np.concatenate([found_s, never_s]))
    return whole.with_columns(columns, available_at=known)


def measured_until(trace: Trace) -> datetime:
    """Return where the first column of a trace ends: what follows is not known in its time."""
    end_s = int(trace.end.timestamp())
    firsts = [int(np.searchsorted(epoch_s(at), end_s)) for at in trace.available_at.values()]
    first = min(min(firsts), trace.n_rows - 1)
    return trace.starts[first].to_pydatetime()


def with_call_columns(trace: Trace, site: SiteConfig, *, takes_orders: bool) -> Trace:
    """Return a trace with a column for each program that calls; without a call where it had none.

    Raises
    ------
    DataError
        If one is missing and no folder of orders is there to bring the calls.
    """
    missing = [
        name
        for name, program in CALLS.items()
        if getattr(site.programs, program) is not None and name not in trace.frame
    ]
    if missing and not takes_orders:
        raise DataError(
            f"{trace.source} has no column {missing[0]}, and nobody else tells the site of calls: "
            f'name a folder in the operation file (orders = "orders") to which calls come as '
            f'orders with "call": "{missing[0]}", or join a column that has them'
        )
    if not missing:
        return trace
    zeros = {name: np.zeros(trace.n_rows) for name in missing}
    return trace.with_columns(zeros, available_at=dict.fromkeys(missing, trace.starts))


def load_live(store: Store, names: Sequence[str], site: SiteConfig, *, takes_orders: bool) -> Trace:
    """Return what the store knows of a site's market: one trace, or one with another's columns.

    Raises
    ------
    DataError
        If a trace is missing or they do not fit together.
    """
    if len(names) > 2:
        raise DataError(f"--prices takes one trace or PUBLISHED+MEASURED; found {'+'.join(names)}")
    traces = [store.load_trace(name) for name in names]
    trace = traces[0] if len(traces) == 1 else with_measured(*traces)
    return with_call_columns(trace, site, takes_orders=takes_orders)

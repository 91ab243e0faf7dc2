"""What of a trace is known when: the one place where look-ahead is kept out of a scenario."""

import numpy as np
import pandas as pd

from gridhash.config import SiteConfig
from gridhash.data.trace import Trace
from gridhash.envs.parameters import Floats, Ints
from gridhash.errors import DataError, LookAheadError
from gridhash.time_grid import epoch_s, published_the_day_before


def rows_known(trace: Trace, name: str) -> Ints:
    """Return how many leading rows of a column are known at the start of each row, (rows,)."""
    available = epoch_s(trace.available_at[name])
    if np.any(np.diff(available) < 0):
        raise DataError(f"{trace.source}: {name} becomes known out of order")
    starts = epoch_s(pd.DatetimeIndex(trace.frame.index))
    return np.searchsorted(available, starts, side="right").astype(np.int64)


def known_until(trace: Trace, name: str) -> Ints:
    """Return the first unknown row of a column at the start of each row, its own being known.

    Raises
    ------
    LookAheadError
        If a value becomes known only after its own period has started.
    """
    until = rows_known(trace, name)
    late = np.flatnonzero(until <= np.arange(trace.n_rows))
    if late.size:
        row = int(late[0])
        raise LookAheadError(
            f"{trace.source}: {name} of row {row} ({trace.frame.index[row]}) becomes known at "
            f"{trace.available_at[name][row]}, after its period starts"
        )
    return until


def published_until(site: SiteConfig, trace: Trace) -> Ints:
    """Return the first row whose price the site does not have yet, at the start of each row.

    Prices reach the site when they are published, and not before its own time of day for that. A
    tariff whose price is fixed by the clock is known for ever; a real-time price as the tariff
    says.
    """
    tariff, n_rows = site.tariff, trace.n_rows
    if tariff.time_of_use is not None and tariff.time_of_use.replaces == "price":
        return np.full(n_rows, n_rows, dtype=np.int64)
    if tariff.price_known == "current":
        return np.arange(1, n_rows + 1, dtype=np.int64)
    if tariff.price_known == "lagged":
        starts = epoch_s(pd.DatetimeIndex(trace.frame.index))
        ends = starts + trace.period_s + tariff.price_delay_s
        return np.searchsorted(ends, starts, side="right").astype(np.int64)
    starts_at = pd.DatetimeIndex(trace.frame.index)
    at_site = published_the_day_before(
        starts_at, timezone=site.timezone, at=site.market.price_published_local
    )
    reached = np.searchsorted(epoch_s(at_site), epoch_s(starts_at), side="right").astype(np.int64)
    return np.minimum(known_until(trace, "price_per_kwh"), reached)


def last_seen(trace: Trace, name: str, values: Floats) -> Floats:
    """Return for each row the newest value of a column that is known at its start."""
    if name not in trace.frame:
        return values
    # Before the first reading there is nothing to see; those rows are never played. A reading that
    # is known ahead of its period is still that of its own.
    return seen_at_start(trace, name, values)


def seen_at_start(trace: Trace, name: str, values: Floats) -> Floats:
    """Return for each row its own value where that is known at its start, else the newest known."""
    if name not in trace.frame:
        return values
    own = np.arange(trace.n_rows)
    return values[np.maximum(np.minimum(rows_known(trace, name) - 1, own), 0)]

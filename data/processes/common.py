"""What all processes share: random streams, local time, labels, and values known in time."""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pandas as pd

from gridhash.data.trace import Trace
from gridhash.errors import DataError
from gridhash.time_grid import epoch_s, from_epoch_s

Array = npt.NDArray[np.float64]
Index = npt.NDArray[np.intp]
Seconds = npt.NDArray[np.int64]

DAY_S = 86400
LABEL = "synthetic:"
"""How the note of every drawn or derived column begins."""


@dataclass(frozen=True, eq=False)
class LocalTime:
    """Local calendar of each row.

    Attributes
    ----------
    hour
        Hours since local midnight by the clock, with fraction.
    month, weekday
        From 1; Monday is 0.
    day
        Number of the local day, rising from 0 within the trace.
    midnight_s
        Local midnight of each day [n_days], epoch seconds.
    first_row
        First row of each day, and the number of rows [n_days + 1].
    """

    hour: Array
    month: Index
    weekday: Index
    day: Index
    midnight_s: Seconds
    first_row: Index

    @property
    def n_days(self) -> int:
        """Number of local days, partial ones included."""
        return len(self.midnight_s)


def local_time(starts: pd.DatetimeIndex, timezone: str) -> LocalTime:
    """Return the local calendar of the starts of intervals."""
    local = starts.tz_convert(ZoneInfo(timezone))
    midnights = local.normalize()
    day, days = pd.factorize(midnights)
    first = np.flatnonzero(np.diff(day, prepend=-1))
    clock = (
        np.asarray(local.hour) + np.asarray(local.minute) / 60.0 + np.asarray(local.second) / 3600
    )
    return LocalTime(
        hour=np.asarray(clock, dtype=np.float64),
        month=np.asarray(local.month, dtype=np.intp),
        weekday=np.asarray(local.day_of_week, dtype=np.intp),
        day=np.asarray(day, dtype=np.intp),
        midnight_s=epoch_s(pd.DatetimeIndex(days).tz_convert("UTC")),
        first_row=np.append(first, len(starts)).astype(np.intp),
    )


def stream(seed: int, name: str) -> np.random.Generator:
    """Return a random stream of its own, so that one process leaves the others as they are."""
    return np.random.default_rng(np.random.SeedSequence([seed, zlib.crc32(name.encode())]))


def labelled(
    trace: Trace,
    columns: Mapping[str, Array],
    known: Mapping[str, pd.DatetimeIndex],
    note: str,
) -> Trace:
    """Return the trace with columns added and a note that says they are synthetic.

    Raises
    ------
    DataError
        If the trace holds one of the columns already.
    """
    for name in columns:
        if name in trace.frame.columns:
            raise DataError(
                f"{trace.source}: {name} is there already, and a drawn series never replaces one "
                "that is; leave the process out"
            )
    result = trace.with_columns(columns, available_at=known)
    return replace(result, notes=(*result.notes, f"{LABEL} {', '.join(columns)}: {note}"))


def at_end(trace: Trace, *others: str, delay_s: int = 0) -> pd.DatetimeIndex:
    """Return the end of each period plus a delay, and not before the rows of other columns."""
    ends = epoch_s(trace.starts) + trace.period_s + delay_s
    known = [ends, *(epoch_s(trace.available_at[name]) + delay_s for name in others)]
    return from_epoch_s(np.maximum.accumulate(np.max(known, axis=0)))


def with_notice(trace: Trace, notice_s: int) -> pd.DatetimeIndex:
    """Return the instants from which the next `notice_s` seconds are known and nothing beyond."""
    return from_epoch_s(epoch_s(trace.starts) - notice_s)


def expected(trace: Trace, values: Array, known: pd.DatetimeIndex, decided_s: Seconds) -> Array:
    """Return what is expected of each row by those who decide at an instant.

    The value itself where it is known by then; else the mean of the same time of day on those of
    the last eight days that are known by then; NaN where there is none.

    Parameters
    ----------
    values, known
        Of each row, and from when.
    decided_s
        Instant of the decision about each row, epoch seconds.
    """
    known_s = epoch_s(known)
    total, count = np.zeros(trace.n_rows), np.zeros(trace.n_rows)
    for lag in range(1, 9):
        shift = lag * DAY_S // trace.period_s
        if shift >= trace.n_rows:
            break
        is_known = known_s[:-shift] <= decided_s[shift:]
        total[shift:] += np.where(is_known, values[:-shift], 0.0)
        count[shift:] += is_known
    past = np.divide(total, count, out=np.full(trace.n_rows, np.nan), where=count > 0)
    return np.where(known_s <= decided_s, values, past)

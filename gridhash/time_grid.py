"""Calendar arithmetic on aware timestamps: the only module that does it.

Every instant inside gridhash is UTC; a series is indexed by the *start* of its interval.
"""

from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pandas as pd


def require_aware(instant: datetime, name: str) -> datetime:
    """Return the instant; raise ValueError if it names no time zone.

    >>> require_aware(datetime(2024, 4, 1), "start")
    Traceback (most recent call last):
    ValueError: start has no time zone: 2024-04-01 00:00:00
    """
    if instant.utcoffset() is None:
        raise ValueError(f"{name} has no time zone: {instant}")
    return instant


def grid(start: pd.Timestamp, end: pd.Timestamp, period_s: int) -> pd.DatetimeIndex:
    """Return the starts of the periods in [start, end), in UTC."""
    return pd.date_range(
        start.tz_convert("UTC"),
        end.tz_convert("UTC"),
        freq=pd.Timedelta(seconds=period_s),
        inclusive="left",
        unit="s",
    )


def published_the_day_before(
    starts: pd.DatetimeIndex, *, timezone: str, at: time
) -> pd.DatetimeIndex:
    """Return when each period's day-ahead price is published: at `at` local on the day before.

    Holds for JEPX spot (all 48 slots of tomorrow at once) and for the European day-ahead auction.
    """
    zone = ZoneInfo(timezone)
    codes, days = pd.factorize(starts.tz_convert(zone).normalize())
    published = [
        pd.Timestamp(datetime.combine((day - timedelta(hours=6)).date(), at, zone)) for day in days
    ]
    return pd.DatetimeIndex(published).tz_convert("UTC").as_unit("s")[codes]


def epoch_s(index: pd.DatetimeIndex) -> npt.NDArray[np.int64]:
    """Return the index as whole seconds since 1970 UTC."""
    return np.asarray(index.as_unit("s").asi8, dtype=np.int64)


def from_epoch_s(seconds: npt.NDArray[np.int64]) -> pd.DatetimeIndex:
    """Return whole seconds since 1970 as instants in UTC; the inverse of `epoch_s`.

    >>> from_epoch_s(np.array([0, 1800]))[1].isoformat()
    '1970-01-01T00:30:00+00:00'
    """
    return pd.DatetimeIndex(np.asarray(seconds).astype("datetime64[s]")).tz_localize("UTC")

"""System operators of the United States: when they publish, and how much load they serve.

Real-time prices of ERCOT and CAISO, and those of NYISO, MISO and SPP for less than an hour, are
published within the interval or right after it. All others may be settled values, which exist days
later only: MISO's hourly prices are ex post, preliminary the next morning and final some days
after; PJM's hourly and five-minute prices are verified on later business days; ISO New England's
are finalised so too. What a frame says in a market's name cannot tell how long that took, so these,
and prices of an operator that is not named, count as known 7 days after the end of their interval.
CAISO's curtailment report of a day is published on the next morning: known from 12:00 there.
"""

from dataclasses import dataclass
from datetime import time

import pandas as pd


@dataclass(frozen=True)
class Iso:
    """One operator.

    Attributes
    ----------
    publisher
        Key of `gridhash.data.publishers.PUBLISHERS`.
    timezone, day_ahead_local
        When the results of the day-ahead market are due on the day before, by its own clock.
    load_mw
        Least and greatest load, beyond the published records.
    """

    publisher: str
    timezone: str
    day_ahead_local: time
    load_mw: tuple[float, float]


ISOS = {
    "ercot": Iso("ercot", "America/Chicago", time(13, 30), (18e3, 105e3)),
    "caiso": Iso("caiso", "America/Los_Angeles", time(13, 0), (8e3, 60e3)),
    "pjm": Iso("us-iso", "America/New_York", time(13, 30), (45e3, 185e3)),
    "nyiso": Iso("us-iso", "America/New_York", time(11, 0), (8e3, 38e3)),
    "isone": Iso("us-iso", "America/New_York", time(13, 30), (4e3, 31e3)),
    "miso": Iso("us-iso", "Etc/GMT+5", time(13, 30), (40e3, 140e3)),
    "spp": Iso("us-iso", "America/Chicago", time(13, 0), (12e3, 65e3)),
}
"""By the name in gridstatus; due times from the operators' market timelines."""

AT_ONCE = ("ercot", "caiso")
AT_ONCE_BELOW_AN_HOUR = ("nyiso", "miso", "spp")
SETTLED_AFTER = pd.Timedelta(days=7)
REPORT_DUE = pd.Timedelta(hours=12)


def real_time_delay(iso: str | None, market: str) -> pd.Timedelta:
    """Return how long after its interval a real-time price is known.

    Parameters
    ----------
    iso
        Key of `ISOS`; None if unknown.
    market
        Name of the market in gridstatus, such as ``REAL_TIME_HOURLY_FINAL``.
    """
    is_at_once = iso in AT_ONCE or (iso in AT_ONCE_BELOW_AN_HOUR and "_HOURLY" not in market)
    if is_at_once and not market.endswith(("_FINAL", "_PRELIM")):
        return pd.Timedelta(0)
    return SETTLED_AFTER


def reported_the_next_day(starts: pd.DatetimeIndex, timezone: str) -> pd.DatetimeIndex:
    """Return 12:00 local of the day after each start, in UTC."""
    days = starts.tz_convert(timezone).tz_localize(None).normalize()
    due = days + pd.Timedelta(days=1) + REPORT_DUE
    return due.tz_localize(timezone).tz_convert("UTC")

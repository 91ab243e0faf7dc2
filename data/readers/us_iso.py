"""System operators of the United States: when they publish, and how much load they serve."""

from dataclasses import dataclass
from datetime import time


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

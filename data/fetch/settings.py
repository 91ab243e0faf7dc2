"""How patiently and how politely to ask, and what stands in for time in tests."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from gridhash import __version__
from gridhash.data.fetch.request import FetchError

TOOL = f"gridhash {__version__}"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Limits of one download.

    Attributes
    ----------
    user_agent
        What we say we are. Some utilities answer only browsers: the user may say otherwise.
    connect_timeout_s, read_timeout_s
        Longest wait for a connection, and for the next bytes.
    deadline_s
        Longest time for one file, waits included.
    attempts
        Failures in a row without any new byte after which we give up.
    backoff_s, backoff_max_s
        Wait after the first failure, doubled after each further one, and its limit. A random half
        of it is left out, so that many clients do not come back at once.
    retry_after_max_s
        Longest wait that a server may ask for.
    interval_s
        Shortest time between two requests to one host.
    max_bytes
        Largest file.
    max_redirects
        Redirects followed.

    Raises
    ------
    FetchError
        If the user agent cannot be sent.
    """

    user_agent: str = TOOL.replace(" ", "/")
    connect_timeout_s: float = 10.0
    read_timeout_s: float = 30.0
    deadline_s: float = 900.0
    attempts: int = 5
    backoff_s: float = 1.0
    backoff_max_s: float = 60.0
    retry_after_max_s: float = 300.0
    interval_s: float = 1.0
    max_bytes: int = 500_000_000
    max_redirects: int = 5

    def __post_init__(self) -> None:
        """Refuse a user agent that cannot stand in a header."""
        if not self.user_agent.isascii() or not self.user_agent.isprintable():
            raise FetchError("the user agent must be plain English letters, digits and signs")


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, kw_only=True)
class Timing:
    """The clocks, the waiting and the chance; tests put their own in.

    Attributes
    ----------
    clock
        Returns the time now; aware.
    monotonic
        Returns seconds that never fall, for intervals and deadlines.
    sleep
        Waits so many seconds.
    chance
        Spreads the waits between attempts.
    """

    clock: Callable[[], datetime] = _utc_now
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    chance: random.Random = field(default_factory=random.Random)

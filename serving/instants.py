"""Instants that name their time zone, without pandas: `time_grid` loads it, a guard must not."""

from datetime import datetime


def require_aware(instant: datetime, name: str) -> datetime:
    """Return the instant; raise ValueError if it names no time zone."""
    if instant.utcoffset() is None:
        raise ValueError(f"{name} has no time zone: {instant}")
    return instant

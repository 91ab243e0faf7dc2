"""One number of an observation."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Feature:
    """One number of the observation."""

    name: str
    unit: str
    low: float
    high: float
    meaning: str

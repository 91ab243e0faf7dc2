"""The promises of a site by name, and a record of one that was broken."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Invariant(StrEnum):
    """What must hold over every run."""

    ENVELOPE = "I1"
    MINIMUM_TIMES = "I2"
    CLAIM = "I3"
    INTENT = "I4"
    LEASE = "I5"
    OBLIGATION = "I6"
    STOP = "I7"


@dataclass(frozen=True)
class Violation:
    """A promise that was broken."""

    invariant: Invariant
    at: datetime
    rig_id: str | None
    """None for the site."""
    text: str

    def __str__(self) -> str:
        """Return it in a line."""
        where = "site" if self.rig_id is None else self.rig_id
        return f"{self.invariant} {self.at:%H:%M:%S} {where}: {self.text}"

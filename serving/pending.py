"""A command under way to a rig: from its intent until watts or its deadline judge it."""

from dataclasses import dataclass
from datetime import datetime

from gridhash.serving.drivers.protocol import Command


@dataclass(frozen=True, kw_only=True)
class Pending:
    """A command under way."""

    intent_id: int
    command: Command
    level: int | None
    """Load level after the command; None to stand."""
    sent_at: datetime
    deadline_at: datetime
    before_kw: float | None
    effective_at: datetime | None = None
    """When the rig was told to act; None until it answered."""
    check_at: datetime | None = None

    @property
    def running(self) -> bool:
        """Whether the rig runs once it has obeyed."""
        return self.level is not None

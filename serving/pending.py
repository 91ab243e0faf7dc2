"""A command under way to a rig: from its intent until watts or its deadline judge it."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Self

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

    def moved(self, by: timedelta) -> Self:
        """Return the same command on a clock that was set by so much."""
        return replace(
            self,
            sent_at=self.sent_at + by,
            deadline_at=self.deadline_at + by,
            effective_at=moved(self.effective_at, by),
            check_at=moved(self.check_at, by),
        )


def moved(instant: datetime | None, by: timedelta) -> datetime | None:
    """Return an instant on a clock that was set by so much; None stays None."""
    return None if instant is None else instant + by

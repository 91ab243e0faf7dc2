"""A guard's own record: what it did and why, and what its next process must know."""

import json
from datetime import datetime
from pathlib import Path

from pydantic import ValidationError

from gridhash.serving.guard_watch import GuardMemory
from gridhash.serving.line_record import LineRecord

MEMORY = "memory"
TAIL_BYTES = 1024 * 1024
"""Read from the end for the last memory, which every start and change of state writes anew."""


class GuardRecord(LineRecord):
    """The lines of one guard, which writes them alone."""

    def __init__(self, path: Path) -> None:
        """Open the file; see `LineRecord`."""
        super().__init__(path, alone=True)

    def remember(self, at: datetime, memory: GuardMemory) -> None:
        """Append what the next process must know."""
        self.write(at, MEMORY, memory=memory.model_dump(mode="json"))


def last_memory(path: Path) -> GuardMemory | None:
    """Return what the guard's last process knew; None if nothing of it can be read."""
    try:
        with path.open("rb") as file:
            file.seek(max(path.stat().st_size - TAIL_BYTES, 0))
            lines = file.read().splitlines()
    except OSError:
        return None
    for line in reversed(lines):
        try:
            return GuardMemory.model_validate(json.loads(line)[MEMORY])
        except (ValueError, KeyError, TypeError, ValidationError):
            continue
    return None

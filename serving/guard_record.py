"""What a guard did and why: lines of JSON that are only ever appended, each on disk at return.

If the disk takes none they go to the system's log, and the guard goes on: its work is to lower.
"""

import fcntl
import json
import logging
import os
import syslog
from datetime import datetime
from pathlib import Path

from pydantic import ValidationError

from gridhash.errors import ServingError
from gridhash.serving.guard_watch import GuardMemory

log = logging.getLogger(__name__)

MEMORY = "memory"
TAIL_BYTES = 1024 * 1024
"""Read from the end for the last memory, which every start and change of state writes anew."""


def spill(line: str) -> None:
    """Write a line to the system's log, the last place that takes it."""
    syslog.syslog(syslog.LOG_CRIT | syslog.LOG_DAEMON, f"gridhash: {line[:900]}")


class GuardRecord:
    """The file of one guard. `close` it."""

    def __init__(self, path: Path) -> None:
        """Open the file for appending, or go without one.

        Raises
        ------
        ServingError
            If another guard writes to it.
        """
        self.path = path
        self._file: int | None = None
        try:
            self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._end_torn_line()
        except BlockingIOError as err:
            self.close()
            raise ServingError(
                f"{path}: another guard runs on this folder; one is enough, end the other first"
            ) from err
        except OSError as err:
            self._fail(err, "")

    def write(self, at: datetime, kind: str, **fields: object) -> None:
        """Append a line; it never raises."""
        line = json.dumps({"at": at.isoformat(), "kind": kind, **fields}, default=str)
        if self._file is None:
            spill(line)
            return
        try:
            os.write(self._file, line.encode() + b"\n")
            os.fsync(self._file)
        except OSError as err:
            self._fail(err, line)

    def remember(self, at: datetime, memory: GuardMemory) -> None:
        """Append what the next process must know."""
        self.write(at, MEMORY, memory=memory.model_dump(mode="json"))

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _end_torn_line(self) -> None:
        """Begin a new line after one that a loss of power cut off."""
        assert self._file is not None
        size = os.fstat(self._file).st_size
        with self.path.open("rb") as file:
            file.seek(max(size - 1, 0))
            if file.read(1) not in (b"", b"\n"):
                os.write(self._file, b"\n")

    def _fail(self, err: OSError, line: str) -> None:
        log.critical("%s cannot be written: %s; the system's log takes it", self.path, err.strerror)
        spill(line or f"{self.path} cannot be written: {err.strerror}")


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

"""Lines of JSON that are only ever appended, each on disk at return.

If the disk takes none they go to the system's log: whoever writes here lowers load, and goes on.
"""

import fcntl
import json
import logging
import os
import syslog
from datetime import datetime
from pathlib import Path

from gridhash.errors import ServingError

log = logging.getLogger(__name__)


def spill(line: str) -> None:
    """Write a line to the system's log, the last place that takes it."""
    syslog.syslog(syslog.LOG_CRIT | syslog.LOG_DAEMON, f"gridhash: {line[:900]}")


class LineRecord:
    """One file of lines. `close` it."""

    def __init__(self, path: Path, *, alone: bool = False) -> None:
        """Open the file for appending, or go without one.

        Raises
        ------
        ServingError
            If it is to be written by one process alone, and another writes to it.
        """
        self.path = path
        self._file: int | None = None
        try:
            self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
            if alone:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._end_torn_line()
        except BlockingIOError as err:
            self.close()
            raise ServingError(
                f"{path}: another process writes to it; end that one first, one is enough"
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

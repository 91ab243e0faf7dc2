"""The folder in which the processes of one site meet: its files, read whole or not at all.

It lies on a local disk of the controller's host, and whoever may write to it may command the site.
"""

import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from gridhash.errors import ServingError
from gridhash.serving.failpoints import failpoint

MAX_FILE_BYTES = 64 * 1024
JOURNAL = "journal.sqlite"


class Record(BaseModel):
    """A record that travels between processes: frozen, no unknown field, no NaN."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def to_bytes(self) -> bytes:
        """Return the record as one line of JSON."""
        return self.model_dump_json().encode() + b"\n"


@dataclass(frozen=True)
class StateFolder:
    """Where the files of a site are; nothing is made by asking."""

    path: Path

    @property
    def journal(self) -> Path:
        """The controller's record."""
        return self.path / JOURNAL

    @property
    def served(self) -> Path:
        """Which site and rigs are served here; see `served`."""
        return self.path / "served.json"

    @property
    def lease(self) -> Path:
        """Who may command; see `lease`."""
        return self.path / "lease.json"

    @property
    def heartbeat(self) -> Path:
        """The controller's last sign of life; see `heartbeat`."""
        return self.path / "heartbeat.json"

    @property
    def requests(self) -> Path:
        """The spool of operators' requests; see `requests`."""
        return self.path / "requests"

    @property
    def stop_all(self) -> Path:
        """There while everything shall stand; see `stop_all`."""
        return self.path / "stop-all.json"

    @property
    def stop_all_record(self) -> Path:
        """What `gridhash stop-all` did itself."""
        return self.path / "stop-all.jsonl"

    @property
    def guard_notice(self) -> Path:
        """What the guard of this host tells the controller; see `guard_notice`."""
        return self.path / "guard.json"

    @property
    def commissioning(self) -> Path:
        """What `gridhash commission` found, tried and restored."""
        return self.path / "commission.jsonl"

    @property
    def guard_record(self) -> Path:
        """The guard's own record."""
        return self.path / "guard.jsonl"


def write_whole(path: Path, content: bytes) -> None:
    """Replace a file at once, so that a reader finds the old or the new one; not fsynced.

    Raises
    ------
    OSError
        If it cannot be written; then the old one is as it was.
    """
    scratch = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        scratch.write_bytes(content)
        failpoint("heartbeat.before_replace")
        os.replace(scratch, path)
    except OSError:
        with suppress(OSError):
            scratch.unlink()
        raise


def read_small(path: Path) -> bytes | None:
    """Return a file's content; None if there is none.

    Raises
    ------
    ServingError
        If it is a link, larger than any record of ours, or cannot be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as err:
        raise ServingError(f"{path}: cannot be read: {err.strerror}") from err
    if len(content) > MAX_FILE_BYTES:
        raise ServingError(f"{path}: larger than {MAX_FILE_BYTES} bytes, so no record of ours")
    return content

"""Files that are either wholly there or not at all, and one writer at a time."""

import fcntl
import hashlib
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gridhash.errors import DataError

TEMPORARY_SUFFIX = ".tmp"
_LOCK_POLL_S = 0.05


def sha256_of(content: bytes) -> str:
    """Return the SHA-256 of a file's content as hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def make_folder(folder: Path) -> None:
    """Make a folder and its parents; each new one outlives a power cut."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)


def write_whole(path: Path, content: bytes) -> None:
    """Write or replace a file at one stroke; once this returns it outlives a power cut.

    Until then the old file, if any, is what others see. Raises OSError, and leaves nothing behind
    unless the process dies: then a hidden file that ends in ``.tmp``.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}{TEMPORARY_SUFFIX}")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder outlive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def sole_writer(path: Path, *, wait_s: float) -> Iterator[None]:
    """Hold the lock file `path`; nobody else can until the block ends or this process does.

    Raises
    ------
    DataError
        If another holds it for longer than `wait_s`; the message says who.
    """
    with path.open("a+", encoding="utf-8") as file:
        deadline = time.monotonic() + wait_s
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    file.seek(0)
                    holder = file.read().strip() or "another process"
                    raise DataError(
                        f"{path.parent}: {holder} is writing to the store; wait until it has "
                        "finished, or end it, and try again"
                    ) from None
                time.sleep(_LOCK_POLL_S)
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}")
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)

"""One process at a time in one folder; released even by a kill."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from gridhash.data.fetch.request import FetchError
from gridhash.errors import GridhashError


@contextmanager
def locked(folder: Path, *, busy: GridhashError | None = None) -> Iterator[None]:
    """Hold the folder.

    Raises
    ------
    GridhashError
        `busy`, or a FetchError where None, if another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("a+b") as file:
        try:
            _lock(file)
        except OSError as err:
            raise busy or FetchError(
                f"{folder}: another fetch is writing here; wait until it has ended"
            ) from err
        yield


if sys.platform == "win32":
    import msvcrt

    def _lock(file: IO[bytes]) -> None:
        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(file: IO[bytes]) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

"""Which of several controllers may command a site: a lease with a fencing token.

The lease is a file in the site's state folder. Each taking raises the token. A holder that is gone
(killed, or ended) frees it at once, one that hangs or is stopped when its time has run out; from
then on it holds nothing, and knows so before it sends anything, by a clock that also runs while the
host sleeps.

What this protects: two controllers on one host with one state folder on a local disk. No intent of
an old holder can be committed after a new one began (`lease_record`). Not protected: a process that
is frozen between its last look at `held` and the write to a socket, for longer than the rest of its
lease, sends that one batch when it goes on, because no rig's firmware checks a token. And two hosts
with a state folder each know nothing of each other: there the second host runs a guard, which only
lowers, and starts a controller only when a person has stopped the first. A network folder is no
local disk.
"""

import asyncio
import fcntl
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from pydantic import ValidationError

from gridhash.errors import ServingError
from gridhash.serving.failpoints import failpoint
from gridhash.serving.state_folder import MAX_FILE_BYTES, Record

log = logging.getLogger(__name__)

DURATION_S = 30.0
MARGIN_S = 5.0
"""By which a holder thinks its lease shorter than others do: the deadline of a call to a rig."""

RECORD_BYTES = 512
"""Written in place, one sector: a full disk does not keep a holder from renewing."""

LOCK_TRIES = 50
LOCK_PAUSE_S = 0.02


class LeaseError(ServingError):
    """The lease cannot be read or written."""


class LeaseHeld(LeaseError):
    """Another controller holds the lease."""


class LeaseLost(LeaseError):
    """Another controller took the lease over: command nothing any more."""


class LeaseRecord(Record):
    """What the file says."""

    token: int
    holder: str
    """For people: host and process."""
    taken_at: datetime | None
    expires_s: float
    """On the host's boot clock."""
    released: bool = False


def boot_s() -> float:
    """Return seconds since the host started, sleep included; the same for all its processes."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class Lease:
    """One controller's claim to command a site. `acquire`, `renew` in time, `release`."""

    def __init__(
        self,
        path: Path,
        *,
        holder: str,
        duration_s: float = DURATION_S,
        margin_s: float = MARGIN_S,
        boot_clock: Callable[[], float] = boot_s,
    ) -> None:
        """Claim nothing yet; `path` is `StateFolder.lease`."""
        if not 0.0 <= margin_s < duration_s:
            raise ValueError(f"a lease of {duration_s} s has no room for a margin of {margin_s} s")
        self.token = 0
        """Fencing token; 0 before the lease was taken."""
        self.duration_s = duration_s
        self._path = path
        self.holder = holder[:128]
        self._margin_s = margin_s
        self._boot_clock = boot_clock
        self._expires_s = 0.0
        self._taken_at: datetime | None = None
        self._alive: int | None = None
        """Locked while this process lives and has not lost the lease."""

    @property
    def held(self) -> bool:
        """Whether commands may be sent now; costs nothing, so ask right before each sending."""
        return self._alive is not None and self._boot_clock() < self._expires_s - self._margin_s

    def acquire(self, at: datetime, *, above: int = 0) -> int:
        """Take the lease and return its token.

        Parameters
        ----------
        at
            For people who read the file.
        above
            The greatest token that the journal knows, should the file be gone.

        Raises
        ------
        LeaseHeld
            If another controller lives and its time has not run out.
        LeaseError
            If the file cannot be read or written.
        """
        if self._alive is not None:
            raise LeaseError("this lease is taken already")
        with self._locked() as file:
            old = _read(file)
            left_s = old.expires_s - self._boot_clock() if old else 0.0
            if left_s > 0.0 and old and not old.released and self._someone_lives():
                raise LeaseHeld(
                    f"{old.holder} commands this site (lease {old.token}, for another "
                    f"{left_s:.0f} s unless renewed): stop it first, or wait until its lease ends"
                )
            failpoint("lease.locked")
            self.token, self._taken_at = max(above, old.token if old else 0) + 1, at
            try:
                self._alive = self._take_alive_lock()
                self._write(file)
                failpoint("lease.written")
                os.fsync(file)
            except OSError as err:
                self._drop()
                raise LeaseError(f"{self._path}: the lease cannot be taken: {err}") from err
            except LeaseError:
                self._drop()
                raise
        return self.token

    def renew(self) -> None:
        """Begin the lease's time anew.

        Raises
        ------
        LeaseLost
            If another controller took it, or it was released.
        LeaseError
            If the file cannot be written: the lease then ends when its time runs out.
        """
        if self._alive is None:
            raise LeaseLost("the lease is not held: take it first")
        with self._locked() as file:
            now = _read(file)
            if now is not None and now.token != self.token:
                self._drop()
                raise LeaseLost(
                    f"{now.holder} took the lease over ({now.token} after {self.token}): this "
                    "controller commands nothing any more"
                )
            failpoint("lease.before_renewal")
            self._write(file)
            failpoint("lease.after_renewal")

    async def keep(self) -> None:
        """Renew four times in each of its durations until cancelled.

        Raises
        ------
        LeaseLost
            If another controller took it.
        """
        while True:
            await asyncio.sleep(self.duration_s / 4.0)
            try:
                self.renew()
            except LeaseLost:
                raise
            except LeaseError as err:
                log.critical("%s", err)

    def release(self) -> None:
        """Give the lease back, so that another may take it at once; nothing if it is not held."""
        if self._alive is None:
            return
        failpoint("lease.before_release")
        with suppress(LeaseError), self._locked() as file:
            now = _read(file)
            if now is not None and now.token == self.token:
                self._write(file, released=True)
        self._drop()

    def _write(self, file: int, *, released: bool = False) -> None:
        expires_s = self._boot_clock() + self.duration_s
        record = LeaseRecord(
            token=self.token,
            holder=self.holder,
            taken_at=self._taken_at,
            expires_s=expires_s,
            released=released,
        )
        try:
            os.pwrite(file, record.to_bytes().rstrip().ljust(RECORD_BYTES - 1) + b"\n", 0)
        except OSError as err:
            raise LeaseError(f"{self._path}: cannot be written: {err.strerror}") from err
        self._expires_s = expires_s

    def _take_alive_lock(self) -> int:
        """Lock the file of this token and remove those of older ones."""
        own = self._path.with_name(f"{self._path.stem}-{self.token}.held")
        alive = os.open(own, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(alive, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(alive)
            raise
        for path in self._alive_files():
            if path != own:
                path.unlink(missing_ok=True)
        return alive

    def _drop(self) -> None:
        if self._alive is not None:
            os.close(self._alive)
            self._alive = None
        self._expires_s = 0.0

    def _alive_files(self) -> list[Path]:
        return list(self._path.parent.glob(f"{self._path.stem}-*.held"))

    def _someone_lives(self) -> bool:
        """Return whether a process holds the lock that the system takes from it at its death."""
        for path in self._alive_files():
            descriptor = os.open(path, os.O_RDWR)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
            finally:
                os.close(descriptor)
        return False

    @contextmanager
    def _locked(self) -> Iterator[int]:
        """Open the file for one process alone."""
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o640)
        except OSError as err:
            raise LeaseError(f"{self._path}: cannot be opened: {err.strerror}") from err
        try:
            for _ in range(LOCK_TRIES):
                with suppress(BlockingIOError):
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                time.sleep(LOCK_PAUSE_S)
            else:
                raise LeaseHeld(f"{self._path}: another process is in the middle of changing it")
            yield descriptor
        finally:
            os.close(descriptor)


def read_lease(path: Path) -> LeaseRecord | None:
    """Return what a lease file says, for showing; None if there is none that can be read."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return None
    try:
        return _read(descriptor)
    finally:
        os.close(descriptor)


def _read(file: int) -> LeaseRecord | None:
    """Return the record; None if the file is empty or was torn by a loss of power."""
    content = os.pread(file, MAX_FILE_BYTES, 0)
    if not content.strip():
        return None
    try:
        return LeaseRecord.model_validate_json(content)
    except ValidationError as err:
        log.warning("the lease file is unreadable and counts as nobody's: %s", err)
        return None

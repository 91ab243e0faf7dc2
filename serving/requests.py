"""What operators ask of a running controller: a spool of small files beside the journal.

A command line writes a request; the controller takes it by renaming it, decides, journals and
answers. So a request is withdrawn or taken, never both; one taken by a controller that died is
taken again by the next, and has the same id. Who may write to the folder may ask; the system's
user who wrote the file is recorded beside the person's name.
"""

import os
import pwd
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Self

from pydantic import AwareDatetime, Field, ValidationError, model_validator

from gridhash.errors import ServingError
from gridhash.serving.state_folder import Record, read_small, write_whole

MAX_WAITING = 1000
"""Requests in the spool; more is no operator."""

KEPT_ANSWER_S = 86400.0
LONGEST_HOLD = timedelta(days=7)


class RequestKind(StrEnum):
    """What can be asked."""

    HOLD = "hold"  # a manual setpoint or cap until an instant
    RELEASE = "release"  # end the hold
    ARM = "arm"  # mode live
    DISARM = "disarm"  # mode shadow
    STOP_ALL = "stop all"  # the order itself is the file `StateFolder.stop_all`
    LIFT_STOP_ALL = "lift stop all"
    LOCK_OUT = "lock out"  # rigs stand until a person clears them
    CLEAR = "clear"

    @property
    def outlives_its_asker(self) -> bool:
        """Whether it stays in the spool until a controller takes it, however late."""
        return self in {RequestKind.STOP_ALL, RequestKind.LOCK_OUT}


class Request(Record):
    """One request of one person."""

    request_id: str = Field(pattern=r"^[0-9]{20}-[0-9a-f]{8}$")
    """Sorts by time."""
    kind: RequestKind
    person: str = Field(min_length=1, max_length=128)
    reason: str = Field(max_length=500)
    at: AwareDatetime
    expires_at: AwareDatetime | None = None
    """After it the controller refuses; None for what `outlives_its_asker`."""
    setpoint_kw: float | None = Field(default=None, ge=0)
    """HOLD: power of the rigs of the site."""
    cap_kw: float | None = Field(default=None, ge=0)
    """HOLD: the policy goes on below this."""
    until: AwareDatetime | None = None
    """HOLD: when it ends by itself."""
    rigs: tuple[str, ...] = Field(default=(), max_length=5000)
    """LOCK_OUT, CLEAR."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        hold = (self.setpoint_kw is None) != (self.cap_kw is None) and self.until is not None
        none = self.setpoint_kw is None and self.cap_kw is None and self.until is None
        if not (hold if self.kind is RequestKind.HOLD else none):
            raise ValueError("a hold has a setpoint_kw or a cap_kw and an until, nothing else has")
        if self.until is not None and not self.at < self.until <= self.at + LONGEST_HOLD:
            raise ValueError(f"a hold ends after it begins and within {LONGEST_HOLD.days} days")
        if bool(self.rigs) != (self.kind in {RequestKind.LOCK_OUT, RequestKind.CLEAR}):
            raise ValueError("lock out and clear name rigs, nothing else does")
        if (self.expires_at is None) != self.kind.outlives_its_asker:
            raise ValueError("what does not outlive its asker expires")
        if not self.person.strip() or not self.person.isprintable():
            raise ValueError("a person has a name")
        if self.kind is RequestKind.LOCK_OUT and not self.reason.strip():
            raise ValueError("a lockout has a reason")
        return self


class Answer(Record):
    """What the controller says."""

    request_id: str
    accepted: bool
    text: str = Field(max_length=2000)
    """What happens now, or why not."""
    at: AwareDatetime


@dataclass(frozen=True, kw_only=True)
class TakenRequest:
    """A request that the controller must answer."""

    request: Request
    os_user: str
    """Whom the system says the file belongs to."""


def new_request_id() -> str:
    """Return an id that sorts by time and that no other has."""
    return f"{time.time_ns():020d}-{secrets.token_hex(4)}"


class RequestSpool:
    """The folder, for both ends."""

    def __init__(self, path: Path) -> None:
        """Use the spool at `StateFolder.requests`, made if it is not there."""
        self.path = path
        self._in_hand: set[str] = set()
        try:
            path.mkdir(mode=0o770, parents=True, exist_ok=True)
        except OSError as err:
            raise ServingError(f"{path}: no place for requests: {err.strerror}") from err

    def submit(self, request: Request) -> None:
        """Ask; raises OSError if it cannot be written."""
        write_whole(self._file(request.request_id, "request"), request.to_bytes())

    def withdraw(self, request_id: str) -> bool:
        """Take a request back; return False if a controller has taken it already."""
        try:
            self._file(request_id, "request").unlink()
        except FileNotFoundError:
            return False
        return True

    def answer_of(self, request_id: str) -> Answer | None:
        """Return and remove the answer to a request; None if there is none yet.

        Raises
        ------
        ServingError
            If it cannot be read.
        """
        path = self._file(request_id, "answer")
        content = read_small(path)
        if content is None:
            return None
        with suppress(OSError):
            path.unlink()
        return Answer.model_validate_json(content)

    def await_answer(
        self,
        request_id: str,
        within_s: float,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> Answer | None:
        """Return the answer once it is there; None if none came in time."""
        give_up_s = monotonic() + within_s
        while (answer := self.answer_of(request_id)) is None and monotonic() < give_up_s:
            sleep(0.05)
        return answer

    def take(self, now: datetime) -> list[TakenRequest]:
        """Return what is asked, oldest first, once each; every one of them must be answered.

        What a controller took and left unanswered when it died is taken again. What is no request
        or came too late is answered here.
        """
        taken = []
        for path in self._waiting():
            request_id, is_left = path.stem, path.suffix == ".taken"
            if request_id in self._in_hand:
                continue
            try:
                own = path.with_suffix(".taken")
                os.rename(path, own)
                os_user = _user_of(own.lstat().st_uid)
                request = _parse(own, request_id)
            except FileNotFoundError:
                continue  # withdrawn meanwhile
            except ServingError as err:
                self._refuse(request_id, str(err), now)
                continue
            expires_at = request.expires_at
            if expires_at is not None and now > expires_at and not is_left:
                text = f"it came too late: it was good until {expires_at:%H:%M:%S} UTC"
                self._refuse(request_id, text, now)
                continue
            self._in_hand.add(request_id)
            taken.append(TakenRequest(request=request, os_user=os_user))
        return taken

    def answer(self, request_id: str, *, accepted: bool, text: str, at: datetime) -> None:
        """Answer a request that was taken, after it was journaled; it is then done.

        A full disk keeps nobody from being heard: the request is done all the same.
        """
        answer = Answer(request_id=request_id, accepted=accepted, text=text[:2000], at=at)
        with suppress(OSError):
            write_whole(self._file(request_id, "answer"), answer.to_bytes())
        with suppress(OSError):
            self._file(request_id, "taken").unlink()
            self._in_hand.discard(request_id)

    def sweep(self, now: datetime) -> None:
        """Remove answers that nobody has fetched for a day."""
        for path in self.path.glob("*.answer"):
            with suppress(OSError):
                if now.timestamp() - path.stat().st_mtime > KEPT_ANSWER_S:
                    path.unlink()

    def _waiting(self) -> Iterator[Path]:
        """Yield what was asked and what a controller took and left, oldest first."""
        names = sorted(
            path.name for path in self.path.iterdir() if path.suffix in {".request", ".taken"}
        )
        yield from (self.path / name for name in names[:MAX_WAITING])

    def _refuse(self, request_id: str, text: str, now: datetime) -> None:
        self.answer(request_id, accepted=False, text=text, at=now)

    def _file(self, request_id: str, suffix: str) -> Path:
        return self.path / f"{request_id}.{suffix}"


def _parse(path: Path, request_id: str) -> Request:
    content = read_small(path)
    if content is None:
        raise ServingError("the request is gone")
    try:
        request = Request.model_validate_json(content)
    except ValidationError as err:
        raise ServingError(f"no request: {err.errors()[0]['msg']}") from err
    if request.request_id != request_id:
        raise ServingError(f"the request's id {request.request_id} is not its file's")
    return request


def _user_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"

"""Asking a controller something, and what became of it."""

from dataclasses import dataclass
from datetime import timedelta
from enum import IntEnum
from typing import Any

from gridhash.errors import ServingError
from gridhash.serving.clock import Clock
from gridhash.serving.requests import Request, RequestKind, RequestSpool, new_request_id
from gridhash.serving.state_folder import StateFolder

ANSWER_WITHIN_S = 15.0
"""A controller ticks every ten seconds at the latest."""


class Reply(IntEnum):
    """What became of a request; the exit code of the command."""

    ACCEPTED = 0
    REFUSED = 1
    NOBODY = 3  # no controller took it, and none will
    WAITS = 4  # no controller took it; the next one will
    UNKNOWN = 5  # a controller took it and did not answer


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A request and its end."""

    request: Request
    reply: Reply
    text: str


def ask(
    folder: StateFolder,
    kind: RequestKind,
    clock: Clock,
    *,
    person: str,
    reason: str = "",
    within_s: float = ANSWER_WITHIN_S,
    **fields: Any,
) -> Asked:
    """Put a request to the controller of a state folder and wait for its answer.

    Raises
    ------
    ServingError
        If the request says something impossible, or cannot be written.
    """
    if not folder.path.is_dir():
        raise ServingError(f"there is no folder {folder.path}: give --state FOLDER of the site")
    now = clock.now()
    expires_at = None if kind.outlives_its_asker else now + timedelta(seconds=within_s)
    try:
        request = Request(
            request_id=new_request_id(),
            kind=kind,
            person=person,
            reason=reason,
            at=now,
            expires_at=expires_at,
            **fields,
        )
    except ValueError as err:
        errors = getattr(err, "errors", None)
        first = errors()[0]["msg"] if errors else str(err)
        raise ServingError(f"not asked: {first.removeprefix('Value error, ')}") from err
    spool = RequestSpool(folder.requests)
    try:
        spool.submit(request)
    except OSError as err:
        raise ServingError(
            f"{folder.requests}: the request cannot be written: {err.strerror}"
        ) from err
    answer = spool.await_answer(request.request_id, within_s, monotonic=clock.monotonic)
    if answer is not None:
        reply = Reply.ACCEPTED if answer.accepted else Reply.REFUSED
        return Asked(request=request, reply=reply, text=answer.text)
    if kind.outlives_its_asker:
        text = "no controller has taken it yet; the next one does before anything else"
        return Asked(request=request, reply=Reply.WAITS, text=text)
    if spool.withdraw(request.request_id):
        text = f"no controller took it within {within_s:g} s, so it was withdrawn: nothing changes"
        return Asked(request=request, reply=Reply.NOBODY, text=text)
    text = "a controller took it and has not answered: see gridhash status before asking again"
    return Asked(request=request, reply=Reply.UNKNOWN, text=text)

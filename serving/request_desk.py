"""Requests and the journal together: each is settled once, on the record, and then answered."""

import logging
from datetime import datetime

from gridhash.serving.journal import Journal, JournalError, Row
from gridhash.serving.requests import RequestKind, RequestSpool, TakenRequest

log = logging.getLogger(__name__)

LOWERING = frozenset({RequestKind.STOP_ALL, RequestKind.LOCK_OUT, RequestKind.DISARM})
"""Done although they cannot be journaled: load may fall without a record, never rise."""


class RequestDesk:
    """Where a controller finds what operators ask. Each tick `take`, then `settle` each."""

    def __init__(self, spool: RequestSpool, journal: Journal) -> None:
        """Serve a spool, on the record of a journal."""
        self._spool = spool
        self._journal = journal

    def take(self, now: datetime) -> list[TakenRequest]:
        """Return what must be settled now, oldest first.

        What was journaled before a crash and not answered is answered as it was settled.
        """
        fresh = []
        for taken in self._spool.take(now):
            request_id = taken.request.request_id
            rows = self._journal.rows(
                "SELECT accepted, answer FROM requests WHERE request_id = ?", request_id
            )
            if rows:
                accepted, text = bool(rows[0]["accepted"]), rows[0]["answer"]
                self._spool.answer(request_id, accepted=accepted, text=text, at=now)
            else:
                fresh.append(taken)
        return fresh

    def settle(
        self, taken: TakenRequest, *, accepted: bool, text: str, at: datetime, run_id: int
    ) -> bool:
        """Journal and answer a request; return whether to do what it asks.

        `text` says what happens now, or why not. If the journal cannot be written only what lowers
        load is done.
        """
        request = taken.request
        row = Row(
            table="requests",
            values={
                "run_id": run_id,
                "at": at,
                "request_id": request.request_id,
                "kind": str(request.kind),
                "person": request.person,
                "os_user": taken.os_user,
                "accepted": accepted,
                "answer": text,
                "text": request.model_dump_json(),
            },
        )
        try:
            self._journal.append_all([row])
        except JournalError as err:
            log.critical("%s asked to %s: %s", request.person, request.kind, err)
            accepted = accepted and request.kind in LOWERING
            text = f"{text} (not on record: {err})" if accepted else f"not done: {err}"
        self._spool.answer(request.request_id, accepted=accepted, text=text, at=at)
        return accepted

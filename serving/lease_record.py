"""Leases in the journal: what fences intents, and what proves afterwards that it did (I5)."""

from datetime import datetime

from gridhash.serving.journal import Journal
from gridhash.serving.lease import LeaseLost

TAKEN, LOST, RELEASED = "taken", "lost", "released"


def record_lease(
    journal: Journal, run_id: int, at: datetime, *, token: int, holder: str, event: str
) -> None:
    """Commit a lease's event; `TAKEN` before the first intent of the run.

    Raises
    ------
    JournalError
        If it cannot be written.
    """
    with journal.transaction():
        newest = journal.rows("SELECT max(id) FROM intents")[0][0]
        journal.append(
            "leases",
            run_id=run_id,
            at=at,
            token=token,
            event=event,
            holder=holder,
            after_intent_id=newest or 0,
        )


def newest_token(journal: Journal) -> int:
    """Return the greatest token that was ever taken; 0 if none was. For `Lease.acquire(above=)`."""
    return int(journal.rows("SELECT max(token) FROM leases")[0][0] or 0)


def require_newest(journal: Journal, token: int) -> None:
    """Refuse to go on if a newer lease is in the journal.

    Inside the transaction that commits intents this fences them: whoever took the lease since has
    committed its row before, or commits it after them.

    Raises
    ------
    LeaseLost
        If there is a newer one.
    """
    newest = newest_token(journal)
    if newest > token:
        raise LeaseLost(
            f"lease {newest} was taken after {token}: this controller commands nothing any more"
        )


def lease_violations(journal: Journal) -> list[str]:
    """Return every intent that was committed under no lease, or after a newer one was taken (I5).

    Intents of shadow runs do not exist; those of a run belong to the lease that the run took.
    """
    found = journal.rows(
        "SELECT intents.id, intents.rig_id, intents.at, leases.token, newer.token AS newer "
        "FROM intents "
        "LEFT JOIN leases ON leases.run_id = intents.run_id AND leases.event = ? "
        "LEFT JOIN leases AS newer ON newer.event = ? AND newer.token > leases.token "
        "AND newer.after_intent_id < intents.id "
        "WHERE leases.id IS NULL OR newer.id IS NOT NULL ORDER BY intents.id",
        TAKEN,
        TAKEN,
    )
    return [
        f"intent {row['id']} ({row['rig_id']}, {row['at']}): "
        + (
            "its run took no lease"
            if row["token"] is None
            else f"committed under lease {row['token']} after {row['newer']} was taken"
        )
        for row in found
    ]

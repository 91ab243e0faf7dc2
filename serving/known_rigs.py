"""Which machine was last seen under each name of a rig, so that a re-used address is noticed."""

from pathlib import Path

from gridhash.serving.journal import Journal


def known_macs(journal: Path) -> dict[str, str]:
    """Return the MAC of each rig as last identified in any run of a journal; empty without one.

    Raises
    ------
    JournalError
        If the journal cannot be read.
    """
    if not journal.is_file():
        return {}
    with Journal(journal, read_only=True) as kept:
        found = kept.rows(
            "SELECT rig_id, mac FROM rigs WHERE id IN "
            "(SELECT max(id) FROM rigs WHERE mac IS NOT NULL GROUP BY rig_id)"
        )
    return {row["rig_id"]: row["mac"] for row in found}

"""Making the corrections of a journal's meter again: the same bits, or the differences."""

from gridhash.serving.journal import Journal
from gridhash.serving.meter_trim import TrimInput, trim


def different_trims(journal: Journal, run_id: int) -> list[str]:
    """Return in words each tick of a run whose correction does not follow from its input again.

    That includes an input that does not begin with the correction of the tick before.
    """
    if not journal.rows("SELECT 1 FROM sqlite_master WHERE name = 'metering'"):
        return []  # a journal of an older format, not written to since
    rows = journal.rows(
        "SELECT id, at, trim, text FROM metering WHERE run_id = ? ORDER BY id", run_id
    )
    before, differences = 1.0, []
    for row in rows:
        given = TrimInput.from_text(row["text"])
        if given.before != before or trim(given) != row["trim"]:
            differences.append(f"correction {row['id']} of {row['at']}: trim")
        before = row["trim"]
    return differences

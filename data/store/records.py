"""What an import does to the record of its dataset, and what it may not do."""

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from gridhash.data.quantities import quantity_of
from gridhash.data.source_table import SourceTable
from gridhash.data.store.manifest import (
    DatasetRecord,
    OriginRecord,
    PartitionRecord,
    RevisionRecord,
    licences_of,
)
from gridhash.data.store.merge import N_SHOWN, ConflictError, Merged
from gridhash.errors import DataError, TimeGridError


def check_same_kind(record: DatasetRecord, table: SourceTable) -> None:
    """Refuse a table that is of another period, currency or grid than its dataset.

    Raises
    ------
    DataError
        If period or currency differ.
    TimeGridError
        If its rows lie between those stored.
    """
    for what, stored, new in (
        ("period_s", record.period_s, table.period_s),
        ("currency", record.currency, table.currency),
    ):
        if stored != new:
            raise DataError(
                f"{table.name}: {what} is {new}, but the dataset holds {what} {stored}; one "
                "dataset has one of each"
            )
    offset_s = record.first.timestamp() - table.starts[0].timestamp()
    if table.period_s is not None and offset_s % table.period_s:
        raise TimeGridError(
            f"{table.name}: starts at {table.starts[0].isoformat()}, off the grid of the stored "
            f"rows, which begin at {record.first.isoformat()}"
        )


def refuse_conflicts(
    record: DatasetRecord, table: SourceTable, merged: Mapping[int, Merged]
) -> None:
    """Raise ConflictError if stored values would change; `merged` is by UTC year, in order."""
    n_values = _revised_values(merged)
    if not n_values:
        return
    found = [conflict for part in merged.values() for conflict in part.conflicts]
    stored_by = [
        origin.file_name
        for origin in record.origins
        if found[0].column in origin.columns
        and origin.first.timestamp() <= found[0].instant_s <= origin.last.timestamp()
    ]
    n_rows = sum(part.rows_revised for part in merged.values())
    counts = ", ".join(f"{column}: {count}" for column, count in n_values.items())
    raise ConflictError(
        f"{table.name}: {sum(n_values.values())} values in {n_rows} rows differ from those stored "
        f"({counts}), so nothing was stored. The first: "
        f"{'; '.join(str(one) for one in found[:3])}. Stored from {', '.join(stored_by[-3:])}. "
        "Find out which is right; if the publisher corrected the values, import as a revision "
        "(--revise)",
        conflicts=found[:N_SHOWN],
        n_values=n_values,
    )


def record_after(
    record: DatasetRecord | None,
    table: SourceTable,
    *,
    changed: Mapping[int, Merged],
    partitions: Mapping[int, PartitionRecord],
    imported_at: datetime,
) -> DatasetRecord:
    """Return the record of a dataset once a table is in it.

    Parameters
    ----------
    record
        Before the import; None if the dataset is new.
    changed, partitions
        What changed and what was written, by UTC year.
    imported_at
        Now, with time zone.
    """
    now = imported_at.astimezone(UTC)
    n_revised = _revised_values(changed)
    origins = list(record.origins) if record is not None else []
    revisions = list(record.revisions) if record is not None else []
    units = dict(record.columns) if record is not None else {}
    years = {**(record.partitions if record is not None else {}), **partitions}
    for origin in table.origins:
        spoke: dict[str, Any] = {
            "publisher": origin.publisher,
            "file_name": origin.file_name,
            "sha256": origin.sha256,
            "first": table.starts[0].to_pydatetime(),
            "last": table.starts[-1].to_pydatetime(),
        }
        fresh = OriginRecord(**spoke, imported_at=now, columns=tuple(table.columns))
        if all(one.model_copy(update={"imported_at": now}) != fresh for one in origins):
            origins.append(fresh)
        if n_revised:
            revisions.append(RevisionRecord(**spoke, revised_at=now, n_values=n_revised))
    for column in table.columns:
        units[column] = quantity_of(column).unit.replace("currency", table.currency or "")
    return DatasetRecord(
        period_s=table.period_s,
        currency=table.currency,
        columns=units,
        origins=tuple(origins),
        licences=licences_of(origin.publisher for origin in origins),
        revisions=tuple(revisions),
        partitions=dict(sorted(years.items())),
    )


def _revised_values(merged: Mapping[int, Merged]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for part in merged.values():
        total.update(part.n_conflicts)
    return dict(total)

"""The store: datasets as imported and traces as joined, committed whole or not at all."""

import dataclasses
import json
import os
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs

from gridhash.data.source_table import SourceTable
from gridhash.data.store.block import Block, block_of, join_rows
from gridhash.data.store.folder import Draft, StoreFolder
from gridhash.data.store.manifest import (
    DatasetRecord,
    Manifest,
    PartitionRecord,
    TraceRecord,
)
from gridhash.data.store.merge import merge
from gridhash.data.store.records import check_same_kind, record_after, refuse_conflicts
from gridhash.data.trace import Trace
from gridhash.errors import DataError, TimeGridError
from gridhash.time_grid import require_aware

FOLDER_VARIABLE = "GRIDHASH_DATA"
TRACES_FOLDER = "_traces"
LOCK_WAIT_S = 10.0
_NAME = re.compile(r"(?!.*[A-Z])[^\W_][\w.-]{0,69}")


@dataclass(frozen=True, kw_only=True)
class AppendResult:
    """What became of an import.

    Attributes
    ----------
    rows_new, rows_same, rows_filled, rows_revised
        Rows of the table that were not there, were there and agree, got values where none were,
        and got other values; they add up to the rows of the table.
    columns_new
        Columns that the dataset did not have.
    partitions_written
        Years whose file was written anew.
    """

    rows_new: int
    rows_same: int
    rows_filled: int
    rows_revised: int
    columns_new: tuple[str, ...]
    partitions_written: int


def default_folder() -> Path:
    """Return the folder ``store`` of GRIDHASH_DATA, else of the user's data folder."""
    named = os.environ.get(FOLDER_VARIABLE)
    return (Path(named) if named else platformdirs.user_data_path("gridhash")) / "store"


class Store:
    """Datasets and traces in a folder: Parquet files and the manifest that says which count.

    Readers need no lock and see one manifest; a writer holds the lock. Every method raises
    DataError where the store cannot be read or written; what was stored before is then intact.

    Parameters
    ----------
    folder
        Made by the first append; default `default_folder`.
    lock_wait_s
        How long to wait for another writer [s].
    """

    def __init__(self, folder: Path | None = None, *, lock_wait_s: float = LOCK_WAIT_S) -> None:
        """Open the store; nothing is read or made yet."""
        self.folder = StoreFolder(
            default_folder() if folder is None else folder, lock_wait_s=lock_wait_s
        )

    def manifest(self) -> Manifest:
        """Return what the store holds; an empty manifest where there is no store."""
        return self.folder.manifest()

    def names(self) -> list[str]:
        """Return the names of the datasets."""
        return sorted(self.manifest().datasets)

    def trace_names(self) -> list[str]:
        """Return the names of the traces."""
        return sorted(self.manifest().traces)

    def info(self, dataset: str) -> DatasetRecord:
        """Return what the manifest says of a dataset."""
        return self._dataset(self.manifest(), dataset)

    def read(
        self,
        dataset: str,
        columns: list[str] | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> SourceTable:
        """Return a dataset, or its `columns`, or its rows that start in [start, end).

        Of a step series the row that is in force at `start` comes first, though it began earlier.
        A value that no file ever gave is NaN; its row says that it is known at the end of the
        period.

        Raises
        ------
        DataError
            If the store has no such dataset or column, or a file is missing or damaged.
        TimeGridError
            If no row starts in the span, or `start` or `end` has no time zone.
        """
        for instant in (start, end):
            if instant is not None and instant.utcoffset() is None:
                raise TimeGridError(f"{dataset}: {instant} has no time zone; add it")

        def work(manifest: Manifest) -> SourceTable:
            record = self._dataset(manifest, dataset)
            return self._read(record, dataset, columns or list(record.columns), start, end)

        return self.folder.reading(work)

    def load_trace(self, name: str) -> Trace:
        """Return a trace; raise DataError if there is none or its file is missing or damaged."""

        def work(manifest: Manifest) -> Trace:
            record = self._trace(manifest, name)
            block = self.folder.block(record.partition)
            # JSON knows no tuples.
            fields: dict[str, Any] = {
                key: tuple(value) if isinstance(value, list) else value
                for key, value in record.fields.items()
            }
            return Trace(frame=block.frame(), available_at=block.available_at(), **fields)

        return self.folder.reading(work)

    def append(
        self, table: SourceTable, *, imported_at: datetime, revise: bool = False
    ) -> AppendResult:
        """Store a table beside what its dataset holds, wholly or not at all.

        The same table twice changes nothing. Missing values may be filled, columns and rows
        added; gaps stay gaps.

        Parameters
        ----------
        imported_at
            Now, with time zone; goes into the manifest.
        revise
            Replace stored values by those of the table, and note it in the manifest.

        Raises
        ------
        ConflictError
            If the table has other values for instants that are stored, and not `revise`.
        DataError
            If the table differs in period or currency, names no origin, or cannot be written.
        """
        (result,) = self.append_all((table,), imported_at=imported_at, revise=revise)
        return result

    def append_all(
        self, tables: Sequence[SourceTable], *, imported_at: datetime, revise: bool = False
    ) -> tuple[AppendResult, ...]:
        """Store the tables of a file, all of them wholly or nothing; one result per table.

        As `append`, in one commit: the conflicts of all tables are looked for before anything is
        written. Tables may be of the same dataset.

        Raises
        ------
        ConflictError
            If a table has other values for instants that are stored or that a table before it
            has, and not `revise`.
        DataError
            If a table differs in period or currency, names no origin, or cannot be written.
        """
        require_aware(imported_at, "imported_at")
        for table in tables:
            if not table.origins:
                raise DataError(f"{table.name}: names no file that it comes from; give its origins")
        drafts: dict[str, Draft] = {}
        results = []
        with self.folder.writing() as manifest:
            now = manifest
            for table in tables:
                now, result = self._with_table(now, table, drafts, imported_at, revise)
                results.append(result)
            for file in drafts.keys() & now.files():
                self.folder.write(drafts[file])
            if now is not manifest:
                self.folder.commit(now)
        return tuple(results)

    def _with_table(
        self,
        manifest: Manifest,
        table: SourceTable,
        drafts: dict[str, Draft],
        imported_at: datetime,
        revise: bool,
    ) -> tuple[Manifest, AppendResult]:
        """Return the manifest with a table, whose partitions are added to the drafts by file."""
        self._check_free(table.dataset, manifest.traces, "trace")
        record = manifest.datasets.get(table.dataset)
        if record is not None:
            check_same_kind(record, table)
        stored = record.partitions if record is not None else {}
        merged = {
            year: merge(
                self._block(stored[year], drafts) if year in stored else None, new, table.period_s
            )
            for year, new in block_of(table).years().items()
        }
        if record is not None and not revise:
            refuse_conflicts(record, table, merged)
        changed = {year: one for year, one in merged.items() if one.is_changed}
        if changed:
            written = {
                year: self.folder.draft(one.block, table.dataset, str(year))
                for year, one in changed.items()
            }
            drafts.update({draft.record.file: draft for draft in written.values()})
            after = record_after(
                record,
                table,
                changed=changed,
                partitions={year: draft.record for year, draft in written.items()},
                imported_at=imported_at,
            )
            manifest = manifest.with_dataset(table.dataset, after)
        known = record.columns if record is not None else {}
        return manifest, AppendResult(
            rows_new=sum(one.rows_new for one in merged.values()),
            rows_same=sum(one.rows_same for one in merged.values()),
            rows_filled=sum(one.rows_filled for one in merged.values()),
            rows_revised=sum(one.rows_revised for one in merged.values()),
            columns_new=tuple(name for name in table.columns if name not in known),
            partitions_written=len(changed),
        )

    def _block(self, partition: PartitionRecord, drafts: Mapping[str, Draft]) -> Block:
        draft = drafts.get(partition.file)
        return self.folder.checked_block(partition) if draft is None else draft.block

    def save_trace(self, name: str, trace: Trace, *, replace: bool = False) -> None:
        """Store a trace under a name such as ``kyushu-2016-2023``.

        Raises
        ------
        DataError
            If the name is no name, is that of a dataset, or is that of another trace and not
            `replace`.
        """
        fields = {
            field.name: getattr(trace, field.name)
            for field in dataclasses.fields(trace)
            if field.name not in ("frame", "available_at")
        }
        with self.folder.writing() as manifest:
            self._check_free(name, manifest.datasets, "dataset")
            draft = self.folder.draft(block_of(trace), TRACES_FOLDER, name)
            record = TraceRecord(fields=json.loads(json.dumps(fields)), partition=draft.record)
            stored = manifest.traces.get(name)
            if stored == record:
                return
            if stored is not None and not replace:
                raise DataError(
                    f"{self.folder.path}: there is another trace {name}; remove it, or choose "
                    "another name, or replace it (--replace)"
                )
            self.folder.write(draft)
            self.folder.commit(manifest.with_trace(name, record))

    def remove(self, name: str) -> None:
        """Remove a dataset or a trace; raise DataError if there is none of that name."""
        with self.folder.writing() as manifest:
            if name not in manifest.traces:
                self._dataset(manifest, name)
            self.folder.commit(manifest.without(name))

    def _read(
        self,
        record: DatasetRecord,
        dataset: str,
        columns: list[str],
        start: datetime | None,
        end: datetime | None,
    ) -> SourceTable:
        unknown = [name for name in columns if name not in record.columns]
        if unknown:
            raise DataError(
                f"{dataset}: there is no column {unknown[0]}; it holds {', '.join(record.columns)}"
            )
        since = start
        if record.period_s is None and start is not None:
            firsts = [part.first for part in record.partitions.values() if part.first <= start]
            since = max(firsts, default=start)
        blocks = [
            self.folder.block(partition, columns)
            for partition in record.partitions.values()
            if (since is None or partition.last >= since) and (end is None or partition.first < end)
        ]
        nothing = TimeGridError(
            f"{dataset}: no rows from {start} to {end}; it holds {record.first} … {record.last}"
        )
        if not blocks or (start is not None and end is not None and end <= start):
            raise nothing
        block = join_rows(blocks, columns, record.period_s)
        first, stop = (
            default
            if instant is None
            else int(np.searchsorted(block.starts_s, instant.timestamp()))
            for instant, default in ((start, 0), (end, len(block)))
        )
        if record.period_s is None and start is not None:
            in_force = int(np.searchsorted(block.starts_s, start.timestamp(), side="right")) - 1
            first = max(in_force, 0)
        if stop <= first:
            raise nothing
        block = block.rows(first, stop)
        span = (block.starts_s[0], block.starts_s[-1])
        return SourceTable(
            dataset=dataset,
            frame=block.frame(),
            period_s=record.period_s,
            currency=record.currency,
            origins=tuple(
                origin.origin
                for origin in record.origins
                if not set(columns).isdisjoint(origin.columns)
                and origin.first.timestamp() <= span[1]
                and origin.last.timestamp() >= span[0]
            ),
            available_at=block.available_at(),
        )

    def nothing_called(self, name: str) -> str:
        """Return what to say where there is neither dataset nor trace of a name."""
        manifest = self.manifest()
        held = ", ".join([*sorted(manifest.datasets), *sorted(manifest.traces)]) or "nothing yet"
        return f"{self.folder.path}: there is no dataset or trace {name}; it holds {held}"

    def _dataset(self, manifest: Manifest, dataset: str) -> DatasetRecord:
        if dataset not in manifest.datasets:
            raise DataError(self.nothing_called(dataset))
        return manifest.datasets[dataset]

    def _trace(self, manifest: Manifest, name: str) -> TraceRecord:
        if name not in manifest.traces:
            held = ", ".join(sorted(manifest.traces)) or "none yet"
            raise DataError(f"{self.folder.path}: there is no trace {name}; traces: {held}")
        return manifest.traces[name]

    def _check_free(self, name: str, others: Collection[str], kind: str) -> None:
        if not _NAME.fullmatch(name):
            raise DataError(
                f"{name!r} is no name for the store; use up to 70 small letters, digits, '-', '_' "
                "and '.', a letter or digit first"
            )
        if name in others:
            raise DataError(f"{self.folder.path}: {name} is the name of a {kind}; choose another")

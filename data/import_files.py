"""Import official files: recognise, read, store; each file wholly or not at all."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from gridhash.data.readers.formats import ReadOptions
from gridhash.data.readers.recognise import FileReading, read_file
from gridhash.data.source_table import SourceTable
from gridhash.data.store.store import AppendResult, Store
from gridhash.errors import DataError


@dataclass(frozen=True)
class FileImport:
    """What became of one file; `stored` has one result per table, none if nothing was stored."""

    path: Path
    reading: FileReading | None
    stored: tuple[AppendResult, ...]
    error: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        if self.reading is None:
            return {"file": str(self.path), "error": self.error}
        tables = [table_facts(table) for table in self.reading.tables]
        for facts, result in zip(tables, self.stored, strict=False):
            facts["stored"] = asdict(result)
        return {
            "file": str(self.path),
            "format": self.reading.format.key,
            "because": self.reading.reason,
            "publisher": self.reading.format.publisher,
            "sha256": self.reading.file.sha256,
            "tables": tables,
            **({"error": self.error} if self.error else {}),
        }

    def lines(self) -> list[str]:
        """Return it for a person."""
        lines = [f"{self.path}"]
        if self.reading is not None:
            lines.append(f"  {self.reading.format.title}: {self.reading.reason}")
            for i, table in enumerate(self.reading.tables):
                facts = table_facts(table)
                period = f"of {table.period_s:,} s" if table.period_s else "steps"
                lines.append(
                    f"  {table.dataset}: {len(table):,} rows {period}, {facts['start']} … "
                    f"{facts['end']}, {len(table.columns)} columns, {facts['missing']:,} values "
                    f"and {facts['missing_rows']:,} rows missing"
                )
                if i < len(self.stored):
                    lines.append(f"    {_stored_line(self.stored[i])}")
        if self.error:
            lines.append(f"  not imported: {self.error}")
        return lines


def import_files(
    paths: Sequence[Path],
    *,
    store: Store | None,
    now: datetime,
    options: ReadOptions | None = None,
    revise: bool = False,
    tell: Callable[[FileImport], None] = lambda _: None,
) -> list[FileImport]:
    """Read files and append what they hold to the store; a bad file does not stop the others.

    Parameters
    ----------
    store
        None for a dry run: read and report only.
    now
        Time of import, for the manifest; aware.
    revise
        Let files replace values that the store holds differently.
    tell
        Called with the outcome of each file as it is done.
    """
    done = []
    for path in paths:
        outcome = _import_file(path, store, now, options or ReadOptions(), revise)
        tell(outcome)
        done.append(outcome)
    return done


def _import_file(
    path: Path, store: Store | None, now: datetime, options: ReadOptions, revise: bool
) -> FileImport:
    try:
        reading = read_file(path, options)
    except DataError as err:
        return FileImport(path, None, (), str(err))
    try:
        stored = (
            store.append_all(reading.tables, imported_at=now, revise=revise)
            if store is not None
            else ()
        )
    except DataError as err:
        return FileImport(path, reading, (), str(err))
    return FileImport(path, reading, stored)


def table_facts(table: SourceTable) -> dict[str, Any]:
    """Return what a table is, for JSON: dataset, span, rows, period, columns, what is missing."""
    missing_rows = 0
    if table.period_s is not None:
        span_s = (table.end - table.starts[0]).total_seconds()
        missing_rows = round(span_s / table.period_s) - len(table)
    return {
        "dataset": table.dataset,
        "start": table.starts[0].isoformat(),
        "end": table.end.isoformat(),
        "rows": len(table),
        "period_s": table.period_s,
        "currency": table.currency,
        "columns": table.columns,
        "missing": int(np.isnan(table.frame.to_numpy()).sum()),
        "missing_rows": missing_rows,
    }


def _stored_line(result: AppendResult) -> str:
    parts = [
        f"{count:,} {what}"
        for count, what in (
            (result.rows_new, "new"),
            (result.rows_same, "already stored"),
            (result.rows_filled, "completed"),
            (result.rows_revised, "revised"),
        )
        if count
    ]
    return "rows: " + (", ".join(parts) or "none")

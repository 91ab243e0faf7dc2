"""A journal as Parquet files, one per table, for whoever looks at it with other tools.

Columns are those of `gridhash.serving.journal.TABLES`, units in their names; instants are
timestamps in UTC to the microsecond. Snapshots and decisions keep their text, so that every
decision can be made again from it. A controller may go on writing meanwhile: what it had committed
when a table was begun is in its file.
"""

import secrets
import shutil
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from gridhash.errors import ServingError
from gridhash.serving.journal import FORMAT_VERSION, INSTANT_COLUMNS, TABLES, Journal

BATCH_ROWS = 50_000
INSTANT = pa.timestamp("us", tz="UTC")
TYPES = {"TEXT": pa.string(), "REAL": pa.float64(), "INTEGER": pa.int64()}
Tell = Callable[[str, int], None]
"""Called with (table, rows written of it so far)."""


def schema_of(table: str) -> "pa.Schema":
    """Return the columns of a table's file."""
    fields = [pa.field("id", pa.int64(), nullable=False)]
    for column in TABLES[table].split(", "):
        name, kind, *rest = column.split()
        of_type = INSTANT if name in INSTANT_COLUMNS else TYPES[kind]
        fields.append(pa.field(name, of_type, nullable=not rest))
    return pa.schema(fields, metadata={"gridhash_journal_format": str(FORMAT_VERSION)})


def export_journal(
    journal: Journal, folder: Path, *, run_id: int | None = None, tell: Tell | None = None
) -> dict[str, int]:
    """Write every table to a new folder, whole or not at all; return the rows of each.

    Parameters
    ----------
    run_id
        Only what belongs to this run.

    Raises
    ------
    ServingError
        If the folder is there already or cannot be written, or there is no such run.
    JournalError
        If the journal cannot be read.
    """
    if run_id is not None and not journal.rows("SELECT id FROM runs WHERE id = ?", run_id):
        raise ServingError(f"{journal.path} holds no run {run_id}")
    if folder.exists():
        raise ServingError(f"{folder} is there already: name a new folder, nothing is overwritten")
    scratch = folder.with_name(f".{folder.name}.{secrets.token_hex(8)}")
    try:
        scratch.mkdir(parents=True)
        known = {row["name"] for row in journal.rows("SELECT name FROM sqlite_master")}
        counts = {
            table: _write(journal, scratch / f"{table}.parquet", table, run_id, tell)
            for table in TABLES
            if table in known  # a journal of an older format lacks some
        }
        scratch.rename(folder)
    except OSError as err:
        raise ServingError(f"{folder} cannot be written: {err.strerror or err}") from err
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return counts


def _write(journal: Journal, path: Path, table: str, run_id: int | None, tell: Tell | None) -> int:
    schema = schema_of(table)
    last = journal.rows(f"SELECT coalesce(max(id), 0) FROM {table}")[0][0]
    of_run = "" if run_id is None else f" AND {'id' if table == 'runs' else 'run_id'} = {run_id:d}"
    sql = f"SELECT * FROM {table} WHERE id > ? AND id <= ?{of_run} ORDER BY id LIMIT {BATCH_ROWS}"
    n_rows, after = 0, 0
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        while rows := journal.rows(sql, after, last):
            columns: dict[str, list[Any]] = {
                name: [row[name] for row in rows] for name in schema.names
            }
            for name in INSTANT_COLUMNS:
                if name in columns:
                    columns[name] = [own and datetime.fromisoformat(own) for own in columns[name]]
            writer.write_table(pa.Table.from_pydict(columns, schema=schema))
            n_rows, after = n_rows + len(rows), rows[-1]["id"]
            if tell is not None:
                tell(table, n_rows)
    written = pq.ParquetFile(path).metadata.num_rows
    if written != n_rows:
        raise ServingError(f"{path} holds {written} of {n_rows} rows: the disk lost some")
    return n_rows

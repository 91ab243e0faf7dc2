"""What was decided, commanded and seen: an append-only record in one SQLite file.

An intent is committed, durable against loss of power, before its command is sent; so whatever a
rig was told stands here. Write-ahead logging with ``synchronous=FULL``; a second process may read
from the instant at which the file appears, while the first writes. Rows are never changed: the
file itself refuses it.
"""

import math
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self

import pandas as pd

from gridhash.errors import ServingError
from gridhash.serving.failpoints import failpoint
from gridhash.time_grid import require_aware

FORMAT_VERSION = 3
"""2: leases and requests; 3: metering. An older journal gets the tables that it lacks when it is
written."""

Value = str | int | float | None

TABLES: Mapping[str, str] = {
    "runs": "at TEXT NOT NULL, mode TEXT NOT NULL, site_json TEXT NOT NULL, "
    "policy_name TEXT NOT NULL, bundle_hash TEXT NOT NULL, observation_hash TEXT NOT NULL, "
    "versions TEXT NOT NULL, note TEXT NOT NULL",
    "rigs": "run_id INTEGER NOT NULL, at TEXT NOT NULL, rig_id TEXT NOT NULL, "
    "group_name TEXT NOT NULL, address TEXT NOT NULL, mac TEXT, model TEXT, firmware TEXT, "
    "note TEXT NOT NULL",
    "snapshots": "run_id INTEGER NOT NULL, at TEXT NOT NULL, input_hash TEXT NOT NULL, "
    "text TEXT NOT NULL",
    "decisions": "run_id INTEGER NOT NULL, snapshot_id INTEGER NOT NULL, at TEXT NOT NULL, "
    "policy_name TEXT NOT NULL, authority TEXT NOT NULL, setpoint_kw REAL NOT NULL, "
    "reason TEXT NOT NULL, input_hash TEXT NOT NULL, text TEXT NOT NULL",
    "intents": "run_id INTEGER NOT NULL, decision_id INTEGER NOT NULL, at TEXT NOT NULL, "
    "rig_id TEXT NOT NULL, command TEXT NOT NULL, level INTEGER, power_kw REAL NOT NULL, "
    "attempt INTEGER NOT NULL, forced INTEGER NOT NULL, reason TEXT NOT NULL",
    "results": "run_id INTEGER NOT NULL, intent_id INTEGER NOT NULL, at TEXT NOT NULL, "
    "outcome TEXT NOT NULL, effective_at TEXT, detail TEXT NOT NULL, took_s REAL NOT NULL",
    "verifications": "run_id INTEGER NOT NULL, intent_id INTEGER NOT NULL, at TEXT NOT NULL, "
    "rig_id TEXT NOT NULL, command TEXT NOT NULL, verdict TEXT NOT NULL, "
    "seconds REAL NOT NULL, before_kw REAL, after_kw REAL",
    "changes": "run_id INTEGER NOT NULL, at TEXT NOT NULL, rig_id TEXT NOT NULL, "
    "running INTEGER NOT NULL, cause TEXT NOT NULL",
    "claims": "run_id INTEGER NOT NULL, rig_id TEXT NOT NULL, start_at TEXT NOT NULL, "
    "end_at TEXT NOT NULL, reference_kw REAL NOT NULL, reduced_kwh REAL NOT NULL, "
    "method TEXT NOT NULL",
    "readings": "run_id INTEGER NOT NULL, at TEXT NOT NULL, rig_id TEXT NOT NULL, "
    "rig_clock_at TEXT, power_kw REAL, hashrate_ths REAL, chip_temp_c REAL, inlet_temp_c REAL, "
    "uptime_s REAL, not_numbers TEXT NOT NULL",
    "supervisions": "run_id INTEGER NOT NULL, at TEXT NOT NULL, setpoint_kw REAL NOT NULL, "
    "measured_kw REAL NOT NULL, potential_kw REAL NOT NULL, cap_kw REAL NOT NULL, "
    "claimed_kw REAL NOT NULL, n_running INTEGER NOT NULL, n_stopped INTEGER NOT NULL, "
    "n_unknown INTEGER NOT NULL, n_pending INTEGER NOT NULL",
    "metering": "run_id INTEGER NOT NULL, at TEXT NOT NULL, quality TEXT NOT NULL, "
    "why TEXT NOT NULL, age_s REAL, power_kw REAL, cooling_kw REAL, reported_kw REAL NOT NULL, "
    "modelled_kw REAL NOT NULL, auxiliary_kw REAL NOT NULL, trim REAL NOT NULL, "
    "site_kw REAL NOT NULL, mean_kw REAL NOT NULL, limit_kw REAL NOT NULL, "
    "claimed_kw REAL NOT NULL, verified_kw REAL NOT NULL, verified_kwh REAL NOT NULL, "
    "text TEXT NOT NULL",
    "alarms": "run_id INTEGER NOT NULL, at TEXT NOT NULL, rig_id TEXT, kind TEXT NOT NULL, "
    "text TEXT NOT NULL",
    "leases": "run_id INTEGER NOT NULL, at TEXT NOT NULL, token INTEGER NOT NULL, "
    "event TEXT NOT NULL, holder TEXT NOT NULL, after_intent_id INTEGER NOT NULL",
    "requests": "run_id INTEGER NOT NULL, at TEXT NOT NULL, request_id TEXT NOT NULL, "
    "kind TEXT NOT NULL, person TEXT NOT NULL, os_user TEXT NOT NULL, accepted INTEGER NOT NULL, "
    "answer TEXT NOT NULL, text TEXT NOT NULL",
}
"""Columns of each table after its ``id``. Instants are ISO 8601 in UTC."""

LOCKOUT, CLEARED = "lockout", "cleared"
"""Kinds of alarm that outlive a run."""

INSTANT_COLUMNS = ("at", "effective_at", "start_at", "end_at", "rig_clock_at")


class JournalError(ServingError):
    """The journal cannot be opened, read or written."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row to append."""

    table: str
    values: Mapping[str, Value | datetime | bool]


class Journal:
    """The journal of one site. Use as a context manager, or `close` it."""

    def __init__(self, path: str | Path, *, read_only: bool = False) -> None:
        """Open a journal, made anew if there is none and it may be written.

        Raises
        ------
        JournalError
            If the file is no journal, of a newer format, or cannot be opened.
        """
        self.path = Path(path)
        self.read_only = read_only
        try:
            self._db = self._connect()
        except (OSError, sqlite3.Error) as err:
            raise JournalError(f"the journal {self.path} cannot be opened: {err}") from err
        try:
            self._check()
        except sqlite3.Error as err:
            self._db.close()
            raise JournalError(f"{self.path} is no gridhash journal: {err}") from err
        except JournalError:
            self._db.close()
            raise

    def __enter__(self) -> Self:
        """Return the journal."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file."""
        self.close()

    def close(self) -> None:
        """Close the file; what was committed stays."""
        failpoint("journal.before_close")
        self._db.close()
        failpoint("journal.after_close")

    def append(self, table: str, **values: Value | datetime | bool) -> int:
        """Append one row, durable at return, and return its id; inside `transaction` at its end.

        Raises
        ------
        JournalError
            If it could not be written; then nothing was.
        """
        return self.append_all([Row(table=table, values=values)])[0]

    def append_all(self, rows: Iterable[Row]) -> list[int]:
        """Append rows in one transaction, all or none, and return their ids in order.

        Raises
        ------
        JournalError
            If they could not be written; then none was.
        """
        ids = []
        with self.transaction():
            for row in rows:
                names = ", ".join(row.values)
                marks = ", ".join("?" * len(row.values))
                cursor = self._db.execute(
                    f"INSERT INTO {_known(row.table)} ({names}) VALUES ({marks})",
                    [_stored(value) for value in row.values.values()],
                )
                ids.append(cursor.lastrowid or 0)
        return ids

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit everything appended in the body at once, or nothing if it raises.

        Raises
        ------
        JournalError
            If it could not be committed.
        """
        if self.read_only:
            raise JournalError(f"{self.path} was opened for reading")
        if self._db.in_transaction:
            yield
            return
        try:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.rollback()
                raise
            failpoint("journal.before_commit")
            self._db.commit()
            failpoint("journal.after_commit")
        except sqlite3.Error as err:
            if self._db.in_transaction:
                self._db.rollback()
            raise JournalError(
                f"the journal {self.path} cannot be written: {err}; free space or rights on its "
                "folder, then start again"
            ) from err

    def rows(self, sql: str, *parameters: Value) -> list[sqlite3.Row]:
        """Return the rows of a query.

        Raises
        ------
        JournalError
            If the query fails.
        """
        try:
            return list(self._db.execute(sql, parameters))
        except sqlite3.Error as err:
            raise JournalError(f"{self.path}: {err}") from err

    def count(self, table: str) -> int:
        """Return the number of rows of a table."""
        return int(self.rows(f"SELECT count(*) FROM {_known(table)}")[0][0])

    def frame(self, table: str, run_id: int | None = None) -> pd.DataFrame:
        """Return a table, of one run if given, indexed by id; instants are UTC timestamps."""
        if table == "runs" or run_id is None:
            found = self.rows(f"SELECT * FROM {_known(table)} ORDER BY id")
        else:
            found = self.rows(f"SELECT * FROM {_known(table)} WHERE run_id = ? ORDER BY id", run_id)
        names = [row["name"] for row in self.rows(f"PRAGMA table_info({table})")]
        frame = pd.DataFrame([tuple(row) for row in found], columns=names).set_index("id")
        for name in INSTANT_COLUMNS:
            if name in frame:
                frame[name] = pd.to_datetime(frame[name], utc=True, format="ISO8601")
        return frame

    def last_run_id(self) -> int:
        """Return the newest run.

        Raises
        ------
        JournalError
            If there is none.
        """
        newest = self.rows("SELECT max(id) FROM runs")[0][0]
        if newest is None:
            raise JournalError(f"{self.path} holds no run yet")
        return int(newest)

    def last_changes(self) -> dict[str, tuple[datetime, bool]]:
        """Return when each rig last started or stopped, in any run, and whether it ran then.

        A rig that was only found running or standing did not change then.
        """
        found = self.rows(
            "SELECT rig_id, at, running FROM changes WHERE id IN "
            "(SELECT max(id) FROM changes WHERE cause != 'first seen' GROUP BY rig_id)"
        )
        return {
            row["rig_id"]: (datetime.fromisoformat(row["at"]), bool(row["running"]))
            for row in found
        }

    def last_lockouts(self) -> dict[str, str]:
        """Return who locked which rig out and why, in any run, if nobody has cleared it since."""
        found = self.rows(
            "SELECT rig_id, kind, text FROM alarms WHERE id IN "
            "(SELECT max(id) FROM alarms WHERE kind IN (?, ?) GROUP BY rig_id)",
            LOCKOUT,
            CLEARED,
        )
        return {row["rig_id"]: row["text"] for row in found if row["kind"] == LOCKOUT}

    def _connect(self) -> sqlite3.Connection:
        if self.read_only:
            if not self.path.is_file():
                raise JournalError(f"there is no journal at {self.path}")
            uri = f"{self.path.resolve().as_uri()}?mode=ro"
            database = sqlite3.connect(uri, uri=True, isolation_level=None)
        else:
            if not self.path.parent.is_dir():
                raise JournalError(f"there is no folder {self.path.parent} for the journal")
            if not self.path.exists():
                _make(self.path)
            database = sqlite3.connect(self.path, isolation_level=None)
        database.row_factory = sqlite3.Row
        return database

    def _check(self) -> None:
        self._db.execute("PRAGMA busy_timeout = 5000")
        names = {row["name"] for row in self._db.execute("SELECT name FROM sqlite_master")}
        if "meta" not in names:
            raise JournalError(f"{self.path} is no gridhash journal: choose another file")
        text = self._db.execute("SELECT format_version FROM meta").fetchone()[0]
        if int(text) > FORMAT_VERSION:
            raise JournalError(
                f"the journal {self.path} has format {text}; this gridhash reads up to "
                f"{FORMAT_VERSION}: update gridhash or choose another file"
            )
        if not self.read_only:
            self._db.execute("PRAGMA synchronous = FULL")
            if int(text) < FORMAT_VERSION:
                _upgrade(self._db)


def _make(path: Path) -> None:
    """Make an empty journal that is whole as soon as it has its name; keep one that is there.

    Made in place, a reader would find a file without tables, and would lock out its maker.
    """
    with TemporaryDirectory(prefix=f"{path.name}-", dir=path.parent) as folder:
        made = Path(folder) / path.name
        with closing(sqlite3.connect(made, isolation_level=None)) as database:
            _create_tables(database)
        with suppress(FileExistsError):
            os.link(made, path)


def _create_tables(database: sqlite3.Connection) -> None:
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    database.execute("BEGIN IMMEDIATE")
    database.execute("CREATE TABLE meta (format_version INTEGER NOT NULL)")
    database.execute("INSERT INTO meta VALUES (?)", (FORMAT_VERSION,))
    for table in TABLES:
        _create_table(database, table)
    database.execute("CREATE INDEX changes_of_rig ON changes (rig_id)")
    database.execute("CREATE INDEX results_of_intent ON results (intent_id)")
    database.execute("CREATE INDEX verifications_of_intent ON verifications (intent_id)")
    database.commit()


def _create_table(database: sqlite3.Connection, table: str) -> None:
    database.execute(f"CREATE TABLE {table} (id INTEGER PRIMARY KEY, {TABLES[table]})")
    for verb in ("UPDATE", "DELETE"):
        database.execute(
            f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} BEGIN "
            "SELECT RAISE(ABORT, 'the journal is append-only'); END"
        )


def _upgrade(database: sqlite3.Connection) -> None:
    """Add the tables that an older format lacks; what is there stays."""
    database.execute("BEGIN IMMEDIATE")
    names = {row["name"] for row in database.execute("SELECT name FROM sqlite_master")}
    for table in TABLES:
        if table not in names:
            _create_table(database, table)
    database.execute("UPDATE meta SET format_version = ?", (FORMAT_VERSION,))
    database.commit()


def _known(table: str) -> str:
    if table not in TABLES:
        raise JournalError(f"a journal has no table {table}; it has {', '.join(TABLES)}")
    return table


def _stored(value: Value | datetime | bool) -> Value:
    if isinstance(value, datetime):
        instant = require_aware(value, "an instant of the journal")
        return instant.astimezone(UTC).isoformat(timespec="microseconds")
    if isinstance(value, float) and not math.isfinite(value):
        raise JournalError(f"{value} is no number that a journal may hold")
    return value

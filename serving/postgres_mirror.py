"""A copy of journals in PostgreSQL, for history over many sites; the journal stays the record.

A process of its own reads the journal as anyone may and inserts what is new, in the order of its
ids. The database may be away for days: what was not sent waits in the journal, and the copy goes on
from the newest row that the database holds. Sent twice, a row is there once. Nothing of it can hold
up a tick.
"""

import json
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gridhash.errors import ServingError
from gridhash.serving.journal import INSTANT_COLUMNS, TABLES, Journal, JournalError

if TYPE_CHECKING:
    import psycopg

log = logging.getLogger(__name__)

BATCH_ROWS = 2_000
SCHEMA = "gridhash"
TYPES = {"TEXT": "text", "REAL": "double precision", "INTEGER": "bigint"}
POLL_S = 5.0
"""Between two looks at a journal that holds nothing new."""
LONGEST_WAIT_S = 60.0
"""Between two attempts while the database does not answer."""


def library() -> Any:
    """Return psycopg.

    Raises
    ------
    ServingError
        If it is not installed.
    """
    try:
        import psycopg
    except ImportError as err:
        raise ServingError(
            "PostgreSQL needs psycopg, which is not installed: "
            f'pip install "gridhash[history]" ({err})'
        ) from err
    return psycopg


def columns_of(table: str) -> list[tuple[str, str]]:
    """Return name and PostgreSQL type of each column after site and id."""
    found = []
    for column in TABLES[table].split(", "):
        name, kind, *_ = column.split()
        found.append((name, "timestamptz" if name in INSTANT_COLUMNS else TYPES[kind]))
    return found


@dataclass(frozen=True, kw_only=True)
class Progress:
    """What one round of copying did."""

    sent: int
    """Rows."""
    behind: int
    """Rows of the journal that the database does not hold yet."""


class PostgresMirror:
    """Copies one journal.

    Parameters
    ----------
    journal
        Its file.
    conninfo
        Of libpq: ``host=… dbname=…`` or a URI; empty for the environment (PGHOST, PGPASSWORD, …).
    site
        Under which its rows are kept; the site of the newest run where None.
    """

    def __init__(self, journal: Path, conninfo: str, *, site: str | None = None) -> None:
        """Connect to nothing yet."""
        self._path = journal
        self._conninfo = conninfo
        self._site = site
        self._made = False

    def copy(self) -> Progress:
        """Copy what is new, one batch of each table, in one transaction.

        Raises
        ------
        psycopg.Error
            If the database does not answer or refuses.
        JournalError
            If the journal cannot be read.
        ServingError
            If the database holds rows of another journal under this site's name.
        """
        psycopg = library()
        with (
            Journal(self._path, read_only=True) as journal,
            psycopg.connect(self._conninfo, connect_timeout=10) as database,
        ):
            site = self._site or _site_of(journal)
            if not self._made:
                _make_tables(database)
                self._made = True
            known = {row["name"] for row in journal.rows("SELECT name FROM sqlite_master")}
            sent = behind = 0
            for table in TABLES:
                if table in known:  # a journal of an older format lacks some
                    n_sent, n_behind = self._copy_table(journal, database, table, site)
                    sent, behind = sent + n_sent, behind + n_behind
        return Progress(sent=sent, behind=behind)

    def run(self, sleep: Callable[[float], bool], tell: Callable[[str], None]) -> None:
        """Copy until `sleep`, which waits for so many seconds, says that it is to end.

        A database that does not answer is told once and asked again, after a minute at the latest.
        """
        psycopg = library()
        wait_s, failing = POLL_S, False
        while True:
            try:
                progress = self.copy()
            except (psycopg.Error, JournalError) as err:
                if not failing:
                    tell(f"not copied, and tried again: {str(err).strip()}")
                failing, wait_s = True, min(2.0 * wait_s, LONGEST_WAIT_S)
            else:
                if failing:
                    tell(f"copied again, {progress.behind:,} rows behind")
                failing, wait_s = False, POLL_S if not progress.behind else 0.0
            if sleep(wait_s):
                return

    def _copy_table(
        self, journal: Journal, database: "psycopg.Connection[Any]", table: str, site: str
    ) -> tuple[int, int]:
        newest = database.execute(
            f"SELECT coalesce(max(id), 0) FROM {SCHEMA}.{table} WHERE site = %s", [site]
        ).fetchone()
        assert newest is not None
        held = int(newest[0])
        last = int(journal.rows(f"SELECT coalesce(max(id), 0) FROM {table}")[0][0])
        if held > last:
            raise ServingError(
                f"the database holds {table} up to {held} of {site}, {journal.path} only up to "
                f"{last}: it is another journal; copy it under another --name"
            )
        names = [name for name, _ in columns_of(table)]
        rows = journal.rows(
            f"SELECT * FROM {table} WHERE id > ? ORDER BY id LIMIT {BATCH_ROWS}", held
        )
        marks = ", ".join(["%s"] * (len(names) + 2))
        with database.cursor() as cursor:
            cursor.executemany(
                f"INSERT INTO {SCHEMA}.{table} (site, id, {', '.join(names)}) VALUES ({marks}) "
                "ON CONFLICT DO NOTHING",
                [(site, row["id"], *(row[name] for name in names)) for row in rows],
            )
        return len(rows), last - (int(rows[-1]["id"]) if rows else held)


def _make_tables(database: "psycopg.Connection[Any]") -> None:
    database.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
    for table in TABLES:
        columns = ", ".join(f"{name} {kind}" for name, kind in columns_of(table))
        database.execute(
            f"CREATE TABLE IF NOT EXISTS {SCHEMA}.{table} (site text NOT NULL, id bigint NOT NULL, "
            f"{columns}, PRIMARY KEY (site, id))"
        )


def _site_of(journal: Journal) -> str:
    site_json = journal.rows("SELECT site_json FROM runs ORDER BY id DESC LIMIT 1")
    if not site_json:
        raise JournalError(f"{journal.path} holds no run yet")
    with suppress(ValueError, KeyError):
        return str(json.loads(site_json[0][0])["name"])
    raise ServingError(f"{journal.path}: its newest run names no site; give --name")

"""After a loss of power at any moment the journal opens and holds all that was durable.

The journal runs on a recorded file system (a virtual file system of SQLite in memory of the test).
A loss of power keeps what was fsynced before it and, in the hard variants, any part of what was
not: some of the writes, in whole sectors, the last of them torn.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import apsw

from gridhash.serving.findings import Cause
from gridhash.serving.journal import Journal, Row

AT = datetime(2024, 4, 1, tzinfo=UTC)
SECTOR = 512
N_COMMITS = 16


@dataclass
class Disk:
    """What was written to each file, in order, and where the file was forced to the disk."""

    base: dict[str, bytes]
    """What was on the disk before, by suffix."""
    events: list[tuple[str, str, int, bytes]] = field(default_factory=list)
    """(kind, file suffix, offset, bytes): write, truncate (to offset), sync, delete."""
    acknowledged: list[int] = field(default_factory=list)
    """Events so far when each commit returned."""

    def note(self, kind: str, suffix: str, offset: int = 0, content: bytes = b"") -> None:
        self.events.append((kind, suffix, offset, content))

    def after_cut(self, n_events: int, chance: random.Random | None) -> dict[str, bytes]:
        """Return the files after power was lost behind so many events.

        Without `chance` nothing that was not fsynced is there; with it some of it is.
        """
        files = {suffix: bytearray(content) for suffix, content in self.base.items()}
        loose: dict[str, list[tuple[str, int, bytes]]] = {}
        for kind, suffix, offset, content in self.events[:n_events]:
            if kind == "sync":
                for own in loose.pop(suffix, []):
                    _apply(files, suffix, *own)
            elif kind == "delete":
                files.pop(suffix, None)
                loose.pop(suffix, None)
            else:
                loose.setdefault(suffix, []).append((kind, offset, content))
        for suffix, writes in loose.items() if chance is not None else ():
            for kind, offset, content in writes:
                assert chance is not None
                if chance.random() < 0.5:
                    torn = chance.randrange(len(content) // SECTOR + 1) * SECTOR
                    keep = content if chance.random() < 0.5 else content[:torn]
                    _apply(files, suffix, kind, offset, keep)
        return {suffix: bytes(content) for suffix, content in files.items()}


def _apply(files: dict[str, bytearray], suffix: str, kind: str, offset: int, new: bytes) -> None:
    content = files.setdefault(suffix, bytearray())
    if kind == "truncate":
        del content[offset:]
        return
    content.extend(b"\0" * max(0, offset + len(new) - len(content)))
    content[offset : offset + len(new)] = new


class RecordedFile(apsw.VFSFile):
    """A file of which every change is noted."""

    def __init__(self, disk: Disk, suffix: str, name: Any, flags: Any) -> None:
        super().__init__("", name, flags)
        self._disk, self._suffix = disk, suffix

    def xWrite(self, data: Any, offset: int) -> None:
        super().xWrite(data, offset)
        self._disk.note("write", self._suffix, offset, bytes(data))

    def xTruncate(self, newsize: int) -> None:
        super().xTruncate(newsize)
        self._disk.note("truncate", self._suffix, newsize)

    def xSync(self, flags: int) -> None:
        super().xSync(flags)
        self._disk.note("sync", self._suffix)


class RecordedFiles(apsw.VFS):
    """The file system of the host, with a note of every change."""

    def __init__(self, disk: Disk) -> None:
        super().__init__("recorded", "")
        self._disk = disk

    def xOpen(self, name: Any, flags: Any) -> RecordedFile:
        path = name.filename() if isinstance(name, apsw.URIFilename) else str(name)
        suffix = path.rpartition(".sqlite")[2]
        return RecordedFile(self._disk, suffix, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        super().xDelete(filename, syncdir)
        self._disk.note("delete", filename.rpartition(".sqlite")[2])


class RecordedJournal(Journal):
    """The journal over the recorded file system: the same statements, another connection."""

    def _connect(self) -> Any:
        return Connected(apsw.Connection(str(self.path), vfs="recorded"))


class Connected:
    """What the journal uses of `sqlite3.Connection`, of a connection of apsw."""

    def __init__(self, inner: apsw.Connection) -> None:
        self.inner = inner

    @property
    def in_transaction(self) -> bool:
        return self.inner.in_transaction

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> "Found":
        cursor = self.inner.execute(sql, tuple(parameters))
        found = []
        for row in cursor:
            names = [one[0] for one in cursor.description]
            found.append(dict(zip(names, row, strict=True)))
        return Found(found, self.inner.last_insert_rowid())

    def commit(self) -> None:
        self.inner.execute("COMMIT")

    def rollback(self) -> None:
        self.inner.execute("ROLLBACK")

    def close(self) -> None:
        self.inner.close()


@dataclass
class Found:
    """The rows of a statement."""

    rows: list[Any]
    lastrowid: int

    def __iter__(self) -> Iterator[Any]:
        return iter(self.rows)

    def fetchone(self) -> Any:
        return list(self.rows[0].values())


def record(folder: Path, *, synchronous: str) -> Disk:
    """Write commits of two to nine rows to a journal, with checkpoints on the way."""
    path = folder / "journal.sqlite"
    Journal(path).close()
    disk = Disk(base={"": path.read_bytes()})
    files = RecordedFiles(disk)
    journal = RecordedJournal(path)
    database: Any = journal._db
    database.execute(f"PRAGMA synchronous = {synchronous}")
    database.execute("PRAGMA wal_autocheckpoint = 8")
    for number in range(N_COMMITS):
        journal.append_all(rows_of(number))
        disk.acknowledged.append(len(disk.events))
    journal.close()
    files.unregister()
    return disk


def rows_of(number: int) -> list[Row]:
    return [
        Row(
            table="changes",
            values={
                "run_id": number,
                "at": AT + timedelta(seconds=number),
                "rig_id": f"rig-{own}" * 40,
                "running": own % 2 == 0,
                "cause": Cause.COMMAND,
            },
        )
        for own in range(2 + number % 8)
    ]


def commits_in(folder: Path, files: dict[str, bytes]) -> int:
    """Return how many commits a journal of these files holds, each of them whole, in order."""
    folder.mkdir()
    for suffix, content in files.items():
        (folder / f"journal.sqlite{suffix}").write_bytes(content)
    with Journal(folder / "journal.sqlite") as journal:
        assert journal.rows("PRAGMA integrity_check")[0][0] == "ok"
        found = journal.rows("SELECT run_id, count(*) AS n FROM changes GROUP BY run_id")
        assert [row["run_id"] for row in found] == list(range(len(found)))
        assert all(row["n"] == len(rows_of(row["run_id"])) for row in found)
        journal.append_all(rows_of(N_COMMITS))  # it takes rows again
    return len(found)


def lost_commits(disk: Disk, folder: Path, cuts: Sequence[int], *, seed: int | None) -> int:
    """Return how many acknowledged commits are missing, over all cuts."""
    lost = 0
    for number, cut in enumerate(cuts):
        chance = None if seed is None else random.Random(f"{seed} {cut}")
        found = commits_in(folder / str(number), disk.after_cut(cut, chance))
        acknowledged = sum(events <= cut for events in disk.acknowledged)
        assert found <= acknowledged + 1
        lost += max(acknowledged - found, 0)
    return lost


def test_no_commit_is_lost_whatever_was_not_forced_to_the_disk(tmp_path: Path) -> None:
    """Cut before and after every fsync, and at every event with parts of the rest kept or torn."""
    disk = record(tmp_path, synchronous="FULL")
    syncs = [number for number, event in enumerate(disk.events) if event[0] == "sync"]
    assert len(syncs) > N_COMMITS
    assert {event[1] for event in disk.events if event[0] == "sync"} == {"", "-wal"}
    at_syncs = sorted({cut for number in syncs for cut in (number, number + 1)})
    (tmp_path / "plain").mkdir()
    assert lost_commits(disk, tmp_path / "plain", at_syncs, seed=None) == 0
    (tmp_path / "torn").mkdir()
    some = range(0, len(disk.events) + 1, 5)
    assert lost_commits(disk, tmp_path / "torn", some, seed=1) == 0


def test_the_same_cuts_find_what_a_weaker_setting_loses(tmp_path: Path) -> None:
    disk = record(tmp_path, synchronous="NORMAL")
    (tmp_path / "plain").mkdir()
    assert lost_commits(disk, tmp_path / "plain", disk.acknowledged, seed=None) > N_COMMITS // 2

"""The copy of a journal in a real PostgreSQL, which may be away as long as it likes."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gridhash.cli import main
from gridhash.errors import ServingError
from gridhash.serving.journal import INSTANT_COLUMNS, TABLES, Journal
from gridhash.serving.postgres_mirror import POLL_S, PostgresMirror, columns_of
from tests.serving.bench import START, Bench, Build

psycopg = pytest.importorskip("psycopg", reason="psycopg is not installed")
BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
pytestmark = pytest.mark.skipif(
    not BINARIES, reason="PostgreSQL's server is not installed (Debian: postgresql)"
)


class Cluster:
    """A PostgreSQL of its own, on a socket in a folder, run by a user who is not root."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._as = ["runuser", "-u", "nobody", "--"] if os.geteuid() == 0 else []
        self._call("initdb", "--auth=trust", "--username=postgres", "--no-sync")

    @property
    def conninfo(self) -> str:
        return f"host={self.folder} user=postgres dbname=postgres"

    def start(self) -> None:
        options = f"-c listen_addresses='' -c unix_socket_directories={self.folder} -c fsync=off"
        self._call("pg_ctl", "-w", "-o", options, "-l", str(self.folder / "log"), "start")

    def stop(self) -> None:
        self._call("pg_ctl", "-w", "-m", "immediate", "stop")

    def rows(self, sql: str) -> list[Any]:
        with psycopg.connect(self.conninfo) as database:
            return list(database.execute(sql).fetchall())

    def _call(self, program: str, *arguments: str) -> None:
        command = [*self._as, str(BINARIES[-1] / program), "-D", str(self.folder / "data")]
        done = subprocess.run(
            [*command, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
            text=True, timeout=60, cwd=self.folder,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    # A socket's path must be short, and its folder open to another user.
    folder = Path(tempfile.mkdtemp(prefix="pg", dir="/tmp"))
    if os.geteuid() == 0:
        shutil.chown(folder, "nobody")
    made = Cluster(folder)
    made.start()
    yield made
    made.stop()
    shutil.rmtree(folder)


@pytest.fixture
def bench(bench_of: Build, cluster: Cluster) -> Iterator[Bench]:
    yield bench_of((0.0, 1.0), (0.25, 0.0))
    with psycopg.connect(cluster.conninfo) as database:
        database.execute("DROP SCHEMA IF EXISTS gridhash CASCADE")


def mirror(bench: Bench, cluster: Cluster, site: str | None = None) -> PostgresMirror:
    return PostgresMirror(bench.journal.path, cluster.conninfo, site=site)


def assert_whole(journal: Journal, cluster: Cluster) -> None:
    for table in TABLES:
        names = [name for name, _ in columns_of(table)]
        ours = [
            tuple(
                datetime.fromisoformat(row[name])
                if name in INSTANT_COLUMNS and row[name] is not None
                else row[name]
                for name in ("id", *names)
            )
            for row in journal.rows(f"SELECT * FROM {table} ORDER BY id")
        ]
        theirs = cluster.rows(f"SELECT id, {', '.join(names)} FROM gridhash.{table} ORDER BY id")
        assert theirs == ours, table


def test_every_row_is_there_once_however_often_it_is_copied(
    bench: Bench, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gridhash.serving.postgres_mirror.BATCH_ROWS", 50)
    bench.play(0.5)
    copying = mirror(bench, cluster)
    first = copying.copy()
    assert first.sent > 0
    assert first.behind > 0
    while copying.copy().behind:
        pass
    assert_whole(bench.journal, cluster)
    again = mirror(bench, cluster).copy()
    assert (again.sent, again.behind) == (0, 0)
    assert_whole(bench.journal, cluster)


def test_a_database_that_is_away_costs_no_row_and_is_told_once(
    bench: Bench, cluster: Cluster
) -> None:
    told: list[str] = []
    waited: list[float] = []
    copying = mirror(bench, cluster)
    bench.play(0.2)
    copying.copy()
    cluster.stop()

    def sleep(seconds: float) -> bool:
        waited.append(seconds)
        if len(waited) == 3:
            cluster.start()
        return len(waited) > 3 and seconds == POLL_S

    try:
        # The journal goes on meanwhile, and is the only place where a day is.
        bench.journal.append("alarms", run_id=1, at=START + timedelta(days=1), kind="x", text="y")
        copying.run(sleep, told.append)
    finally:
        if len(waited) < 3:
            cluster.start()
    assert waited[:3] == [2 * POLL_S, 4 * POLL_S, 8 * POLL_S]
    assert [text.split(",")[0] for text in told] == ["not copied", "copied again"]
    assert_whole(bench.journal, cluster)


def test_two_sites_share_a_database_and_another_journal_is_not_taken_for_the_same(
    bench: Bench, cluster: Cluster, tmp_path: Path
) -> None:
    bench.play(0.2)
    mirror(bench, cluster).copy()
    mirror(bench, cluster, "second").copy()
    (count,) = cluster.rows("SELECT count(DISTINCT site) FROM gridhash.readings")
    assert count == (2,)
    with Journal(tmp_path / "new.sqlite") as new:
        new.append("runs", at=START, mode="live", site_json='{"name": "second"}', policy_name="p",
                   bundle_hash="", observation_hash="", versions="{}", note="")  # fmt: skip
        with pytest.raises(ServingError, match=r"another journal; copy it under another --name"):
            PostgresMirror(new.path, cluster.conninfo).copy()


def test_the_command_copies_once_and_says_what_is_wrong_with_the_database(
    bench: Bench,
    cluster: Cluster,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bench.play(0.1)
    journal = ("--journal", str(bench.journal.path), "--once")
    for database, code in ((cluster.conninfo, 0), ("host=/nowhere", 2)):
        command = ["gridhash", "mirror-journal", *journal, "--database", database]
        monkeypatch.setattr("sys.argv", command)
        with pytest.raises(SystemExit) as end:
            main()
        assert (end.value.code or 0) == code
    said = capsys.readouterr()
    assert "rows copied" in said.out
    assert "error the database:" in said.err
    assert "Traceback" not in said.err
    assert_whole(bench.journal, cluster)

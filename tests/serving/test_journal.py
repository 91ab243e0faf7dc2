import sqlite3
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pandas as pd
import pytest

from gridhash.serving import journal as journal_module
from gridhash.serving.findings import Cause
from gridhash.serving.journal import FORMAT_VERSION, Journal, JournalError, Row

AT = datetime(2024, 4, 1, tzinfo=UTC)


def begin(journal: Journal) -> int:
    return journal.append(
        "runs",
        at=AT,
        mode="live",
        site_json="{}",
        policy_name="level rule",
        bundle_hash="",
        observation_hash="",
        versions="{}",
        note="",
    )


def change(
    run_id: int, rig_id: str, at: datetime, *, running: bool, cause: Cause = Cause.COMMAND
) -> Row:
    return Row(
        table="changes",
        values={"run_id": run_id, "at": at, "rig_id": rig_id, "running": running, "cause": cause},
    )


def test_what_was_appended_is_there_after_opening_again(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    with Journal(path) as journal:
        begin(journal)

    with Journal(path) as journal:
        assert journal.last_run_id() == 1
        assert journal.rows("SELECT at FROM runs")[0]["at"] == "2024-04-01T00:00:00.000000+00:00"


def test_every_commit_waits_for_the_disk(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.sqlite") as journal:
        begin(journal)
        assert journal.rows("PRAGMA journal_mode")[0][0] == "wal"
        assert journal.rows("PRAGMA synchronous")[0][0] == 2
    with Journal(tmp_path / "journal.sqlite") as journal:
        assert journal.rows("PRAGMA synchronous")[0][0] == 2


def test_a_transaction_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.sqlite") as journal:
        run_id = begin(journal)
        rows = [change(run_id, "a-001", AT, running=True)]
        with pytest.raises(ZeroDivisionError), journal.transaction():
            rows.append(change(journal.append_all(rows)[0] // 0, "a-002", AT, running=True))
        with pytest.raises(JournalError, match="cannot be written"):
            journal.append_all(
                [
                    change(run_id, "a-001", AT, running=True),
                    Row(table="changes", values={"run_id": run_id}),
                ]
            )
        assert journal.count("changes") == 0


@pytest.mark.parametrize(
    "statement", ["DELETE FROM changes", "UPDATE changes SET running = 0", "DELETE FROM runs"]
)
def test_rows_cannot_be_changed_or_removed(tmp_path: Path, statement: str) -> None:
    path = tmp_path / "journal.sqlite"
    with Journal(path) as journal:
        journal.append_all([change(begin(journal), "a-001", AT, running=True)])

    stranger = sqlite3.connect(path)
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        stranger.execute(statement)
    stranger.close()


def test_another_process_reads_while_one_writes(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    program = (
        "import sys; from gridhash.serving.journal import Journal\n"
        "with Journal(sys.argv[1], read_only=True) as j: print(j.count('runs'))"
    )
    with Journal(path) as journal:
        begin(journal)
        with journal.transaction():
            begin(journal)
            seen = subprocess.run(
                [sys.executable, "-c", program, str(path)],
                capture_output=True,
                text=True,
                check=True,
            )
    assert seen.stdout.strip() == "1"


def test_a_journal_is_whole_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader or a second maker comes at the worst moment: when the tables were just made."""
    path, create_tables = tmp_path / "journal.sqlite", journal_module._create_tables

    def interrupted(database: sqlite3.Connection) -> None:
        create_tables(database)
        with pytest.raises(JournalError, match="there is no journal"):
            Journal(path, read_only=True)
        monkeypatch.undo()
        with Journal(path) as other:
            begin(other)

    monkeypatch.setattr(journal_module, "_create_tables", interrupted)
    with Journal(path) as journal:
        assert journal.count("runs") == 1
    assert [file.name for file in tmp_path.iterdir()] == ["journal.sqlite"]


def test_a_finished_journal_is_read_without_writing(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    with Journal(path) as journal:
        begin(journal)
    with Journal(path, read_only=True) as journal:
        assert journal.count("runs") == 1
        with pytest.raises(JournalError, match="opened for reading"):
            begin(journal)


def test_a_newer_format_is_refused_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    Journal(path).close()
    stranger = sqlite3.connect(path)
    stranger.execute("UPDATE meta SET format_version = ?", (FORMAT_VERSION + 1,))
    stranger.commit()
    stranger.close()

    with pytest.raises(JournalError, match="update gridhash"):
        Journal(path)


def test_files_that_are_no_journal_are_refused(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("no database at all, but long enough to look like one" * 20)
    other = tmp_path / "other.sqlite"
    stranger = sqlite3.connect(other)
    stranger.execute("CREATE TABLE things (id INTEGER)")
    stranger.close()
    empty = tmp_path / "empty.sqlite"
    empty.touch()

    for path in (text, other, empty):
        with pytest.raises(JournalError, match="is no gridhash journal"):
            Journal(path)
    with pytest.raises(JournalError, match="there is no journal"):
        Journal(tmp_path / "absent.sqlite", read_only=True)
    with pytest.raises(JournalError, match="there is no folder"):
        Journal(tmp_path / "absent" / "journal.sqlite")


def test_instants_are_kept_in_utc_and_come_back_as_timestamps(tmp_path: Path) -> None:
    tokyo = datetime(2024, 4, 1, 9, tzinfo=timezone(timedelta(hours=9)))
    with Journal(tmp_path / "journal.sqlite") as journal:
        run_id = begin(journal)
        journal.append_all([change(run_id, "a-001", tokyo, running=True)])
        frame = journal.frame("changes", run_id)
        assert frame.at[1, "at"] == pd.Timestamp(AT)
        assert journal.frame("changes", run_id + 1).empty
        with pytest.raises(ValueError, match="no time zone"):
            journal.append_all([change(run_id, "a-001", datetime(2024, 4, 1), running=True)])  # noqa: DTZ001
        with pytest.raises(JournalError, match="no table"):
            journal.frame("prices")


def test_numbers_that_are_none_are_refused(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.sqlite") as journal, pytest.raises(JournalError, match="nan"):
        journal.append("supervisions", run_id=1, setpoint_kw=float("nan"))


def test_the_last_change_of_each_rig_spans_runs(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.sqlite") as journal:
        first, second = begin(journal), begin(journal)
        later = AT + timedelta(hours=1)
        journal.append_all(
            [
                change(first, "a-001", AT, running=True),
                change(first, "a-002", AT, running=True),
                change(second, "a-001", later, running=False),
            ]
        )
        assert journal.last_changes() == {"a-001": (later, False), "a-002": (AT, True)}


def test_a_rig_that_was_found_running_did_not_start_then(tmp_path: Path) -> None:
    """Else a shadow run would bind the rigs of the next live run to their minimum up time."""
    with Journal(tmp_path / "journal.sqlite") as journal:
        run_id = begin(journal)
        later = AT + timedelta(hours=1)
        found = change(run_id, "a-001", later, running=True, cause=Cause.FIRST_SEEN)
        journal.append_all([change(run_id, "a-002", AT, running=True), found])

        assert journal.last_changes() == {"a-002": (AT, True)}

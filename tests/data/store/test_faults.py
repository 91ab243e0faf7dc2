"""Kills, full disks and rivals: the store is as before or as after, never between."""

import errno
import json
import os
import resource
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import pandas as pd
import pytest

from gridhash.data.source_table import SourceTable
from gridhash.data.store.manifest import read_manifest
from gridhash.data.store.store import Store
from gridhash.data.store.verify import verify
from gridhash.errors import DataError

MakeTable = Callable[..., SourceTable]
ROOT = Path(__file__).parents[3]
KILL_TEST = ROOT / "scripts" / "store_kill_test.py"


def test_killed_writer_leaves_all_or_nothing_of_its_action() -> None:
    """Eight kills; docs/results/data.md has those of 200."""
    run = subprocess.run(
        [sys.executable, str(KILL_TEST), "--kills", "8", "--seed", "3", "--json"],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    counts = json.loads(run.stdout)

    assert (run.returncode, counts["faults"]) == (0, [])
    assert counts["n_kills"] == 8
    assert counts["n_actions"] >= 8


APPEND_DAYS = """
import sys
from datetime import UTC, datetime
from pathlib import Path
import pandas as pd
from gridhash.data.source_table import Origin, SourceTable
from gridhash.data.store.manifest import read_manifest
from gridhash.data.store.store import Store
from gridhash.time_grid import grid

folder, column = Path(sys.argv[1]), sys.argv[2]
print("ready", flush=True)
sys.stdin.readline()
for day in range(6):
    start = pd.Timestamp("2024-01-01T00:00Z") + pd.Timedelta(days=day)
    index = grid(start, start + pd.Timedelta(days=1), 3600)
    Store(folder, lock_wait_s=60).append(
        SourceTable(
            dataset="d",
            frame=pd.DataFrame({column: [float(day)] * 24}, index=index),
            period_s=3600,
            currency=None,
            origins=(Origin("own", f"{column}-{day}", f"{column}-{day}"),),
            available_at={column: index},
        ),
        imported_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
"""


def test_two_processes_append_in_turn_while_a_third_reads(store: Store) -> None:
    columns = ("demand_kw@tokyo", "solar_kw@tokyo")
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", APPEND_DAYS, str(store.folder.path), column],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        for column in columns
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    n_reads = 0
    while any(writer.poll() is None for writer in writers):
        if store.names():
            read = store.read("d")
            for column in read.columns:
                days = read.frame[column].dropna()
                assert len(days) % 24 == 0
                assert (days == pd.DatetimeIndex(days.index).day - 1).all()
            n_reads += 1
    for writer in writers:
        writer.communicate()

    assert [writer.returncode for writer in writers] == [0, 0]
    assert n_reads > 0
    found = store.read("d")
    assert sorted(found.columns) == sorted(columns)
    assert len(found) == 144
    assert not found.frame.isna().any(axis=None)
    assert len(found.origins) == 12
    assert verify(store) == []


def test_second_writer_is_told_who_holds_the_store(
    store: Store, make_table: MakeTable, now: datetime
) -> None:
    store.append(make_table(), imported_at=now)
    entered, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with store.folder.writing():
            entered.set()
            leave.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    entered.wait(30)
    try:
        with pytest.raises(DataError, match=rf"process {os.getpid()} on .* is writing.*wait"):
            store.append(make_table("2024-05-01T00:00Z"), imported_at=now)
        assert len(store.read("area-kyushu")) == 48
    finally:
        leave.set()
        holder.join()
    assert store.append(make_table("2024-05-01T00:00Z"), imported_at=now).rows_new == 48


def test_lock_file_of_a_dead_process_is_no_lock(
    store: Store, make_table: MakeTable, now: datetime
) -> None:
    store.append(make_table(), imported_at=now)
    (store.folder.path / ".lock").write_text("process 99999 on elsewhere")

    assert store.append(make_table(), imported_at=now).rows_same == 48


@contextmanager
def failing_call(
    monkeypatch: pytest.MonkeyPatch, name: str, n_before: int, code: int
) -> Iterator[list[int]]:
    """Let the call of os.`name` after `n_before` others fail; give the number of calls so far."""
    calls = [0]
    real = getattr(os, name)

    def call(*arguments: object) -> object:
        calls[0] += 1
        if calls[0] == n_before + 1:
            raise OSError(code, os.strerror(code))
        return real(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(os, name, call)
        yield calls


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES])
@pytest.mark.parametrize("name", ["fsync", "replace"])
def test_fault_at_any_call_leaves_all_or_nothing(
    store: Store,
    make_table: MakeTable,
    now: datetime,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    code: int,
) -> None:
    old = make_table("2023-12-30T00:00Z", 48)
    store.append(old, imported_at=now)
    n_failed = 0
    while True:
        number = n_failed
        new = make_table("2023-12-31T00:00Z", 72, changes={(0, "demand_kw@kyushu"): 1.0 + number})
        before = store.read("area-kyushu").frame
        with failing_call(monkeypatch, name, number, code) as calls:
            try:
                store.append(new, imported_at=now, revise=True)
            except DataError as err:
                assert "what was stored before is intact" in str(err)  # noqa: PT017
                n_failed += 1
            else:
                assert calls[0] <= number
                break
        after = store.read("area-kyushu").frame
        if not after.equals(before):
            # The new manifest was in place when the folder could not be synced.
            assert after.loc[new.starts].equals(new.frame)
        assert verify(store) == []

    assert n_failed >= (3 if name == "replace" else 6)
    assert store.read("area-kyushu").frame.loc[new.starts].equals(new.frame)


def test_full_disk_is_one_clear_error(store: Store, make_table: MakeTable, now: datetime) -> None:
    store.append(make_table(), imported_at=now)
    big = make_table("2024-06-01T00:00Z", 24 * 300, file_name="b.csv")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(DataError, match=r"cannot be written .*File too large.*Free space"):
            store.append(big, imported_at=now)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert verify(store) == []
    assert len(store.read("area-kyushu")) == 48
    assert store.append(big, imported_at=now).rows_new == 48 * 300


@contextmanager
def without_permission(folder: Path) -> Iterator[None]:
    """Let the folder be read-only; root, who may write everywhere, becomes nobody."""
    is_root = os.geteuid() == 0
    folder.chmod(0o500)
    if is_root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)
        folder.chmod(0o700)


def test_folder_without_permission_is_one_clear_error(
    store: Store, tmp_path: Path, make_table: MakeTable, now: datetime
) -> None:
    with (
        without_permission(tmp_path),
        pytest.raises(DataError, match=r"cannot be written .*Permission denied"),
    ):
        store.append(make_table(), imported_at=now)
    store.append(make_table(), imported_at=now)
    with (
        without_permission(store.folder.path),
        pytest.raises(DataError, match=r"cannot be (read|written) .*Permission denied"),
    ):
        store.append(make_table("2024-05-01T00:00Z"), imported_at=now)

    assert len(store.read("area-kyushu")) == 48
    assert verify(store) == []


def test_append_to_a_dataset_with_a_missing_file_is_refused(
    store: Store, make_table: MakeTable, now: datetime
) -> None:
    store.append(make_table(), imported_at=now)
    next(store.folder.path.glob("*/*.parquet")).unlink()

    with pytest.raises(DataError, match=r"No such file.*restore it from a backup"):
        store.append(make_table("2024-05-01T00:00Z"), imported_at=now)
    store.remove("area-kyushu")
    assert store.append(make_table(), imported_at=now).rows_new == 48


def test_file_in_the_place_of_the_folder_is_one_clear_error(
    tmp_path: Path, make_table: MakeTable, now: datetime
) -> None:
    (tmp_path / "store").write_text("a file")
    store = Store(tmp_path / "store")

    with pytest.raises(DataError, match="cannot be"):
        store.append(make_table(), imported_at=now)
    with pytest.raises(DataError, match="cannot be"):
        store.names()


def test_reader_starts_anew_where_a_writer_replaced_what_it_reads(
    store: Store, make_table: MakeTable, now: datetime
) -> None:
    store.append(make_table(), imported_at=now)
    read_block, n_calls = store.folder.block, 0

    def overtaken(*arguments: object) -> object:
        nonlocal n_calls
        n_calls += 1
        if n_calls == 1:
            Store(store.folder.path).append(make_table("2024-04-02T00:00Z"), imported_at=now)
        return read_block(*arguments)  # type: ignore[arg-type]

    store.folder.block = overtaken  # type: ignore[method-assign, assignment]

    assert len(store.read("area-kyushu")) == 96
    assert n_calls == 2


def test_reader_that_meets_the_first_append_of_all_sees_no_fault(
    store: Store, make_table: MakeTable, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.append(make_table(), imported_at=now)
    looks = [None, read_manifest(store.folder.manifest_path)]
    monkeypatch.setattr("gridhash.data.store.folder.read_manifest", lambda path: looks.pop(0))

    assert store.names() == ["area-kyushu"]

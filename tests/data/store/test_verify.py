"""Damage to the store is found, named with its remedy, and never read as data."""

import json
import random
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gridhash.data.source_table import SourceTable
from gridhash.data.store import manifest as manifest_module
from gridhash.data.store.block import encode
from gridhash.data.store.store import Store
from gridhash.data.store.verify import verify
from gridhash.data.synthetic import synthetic_japan
from gridhash.errors import DataError

MakeTable = Callable[..., SourceTable]


@pytest.fixture
def full(store: Store, make_table: MakeTable, now: datetime) -> Store:
    """Return a store of one dataset in two years and one trace."""
    store.append(make_table("2023-12-31T00:00Z", 48), imported_at=now)
    store.save_trace("t", synthetic_japan(seed=1))
    return store


def partition(store: Store, year: int = 2024) -> Path:
    return store.folder.path / store.info("area-kyushu").partitions[year].file


def rewrite_manifest(store: Store, change: Callable[[dict[str, Any]], None]) -> None:
    path = store.folder.manifest_path
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(manifest_module.signed(content)), encoding="utf-8")


def test_whole_store_has_no_problem(full: Store) -> None:
    assert verify(full) == []


def test_no_store_has_no_problem_and_is_not_made(store: Store) -> None:
    assert verify(store) == []
    assert not store.folder.path.exists()


@pytest.mark.parametrize("position", [4, 500, -40])
def test_flipped_bit_is_found_and_never_read_as_data(
    full: Store, make_table: MakeTable, now: datetime, position: int
) -> None:
    path = partition(full)
    content = bytearray(path.read_bytes())
    content[position] ^= 4
    path.write_bytes(content)
    (problem,) = verify(full)

    assert (problem.name, problem.is_mended) == ("area-kyushu", False)
    assert "is not what was written" in problem.problem
    assert "restore it from a backup, or remove its dataset" in problem.problem
    with pytest.raises(DataError, match="is not what was written"):
        full.append(make_table("2024-01-05T00:00Z"), imported_at=now)


def test_flipped_bit_in_the_values_is_refused_by_a_plain_read(full: Store) -> None:
    path = partition(full)
    content = bytearray(path.read_bytes())
    # The first column's pages begin behind the magic bytes; the footer is at the end.
    content[len(content) // 4] ^= 1
    path.write_bytes(content)

    with pytest.raises(DataError, match="cannot be read"):
        full.read("area-kyushu")


def test_truncated_or_foreign_file_is_found(full: Store) -> None:
    path = partition(full)
    for content in (path.read_bytes()[:-10], b"", b"PK\x03\x04 no parquet"):
        path.write_bytes(content)

        assert [problem.name for problem in verify(full)] == ["area-kyushu"]
        with pytest.raises(DataError, match="cannot be read"):
            full.read("area-kyushu")


def test_missing_file_is_found(full: Store) -> None:
    partition(full, 2023).unlink()
    (problem,) = verify(full)

    assert "No such file" in problem.problem
    with pytest.raises(DataError, match="is missing; restore it"):
        full.read("area-kyushu")


def test_damaged_trace_is_found(full: Store) -> None:
    path = full.folder.path / full.manifest().traces["t"].partition.file
    path.write_bytes(b"")

    assert [problem.name for problem in verify(full)] == ["t"]


def test_leftovers_are_ignored_then_removed_and_nothing_else_is(full: Store) -> None:
    folder = full.folder.path
    left = [
        folder / "area-kyushu" / f"2024-{'0' * 16}.parquet",
        folder / "area-kyushu" / f".2024-{'1' * 16}.parquet.77.tmp",
        folder / ".manifest.json.77.tmp",
        folder / "never-committed" / f"2024-{'2' * 16}.parquet",
    ]
    foreign = [folder / "notes.txt", folder / "area-kyushu" / "mine.parquet", folder / ".a.tmp"]
    (folder / "never-committed").mkdir()
    for path in (*left, *foreign):
        path.write_bytes(b"x")
    before = full.read("area-kyushu").frame
    problems = verify(full)

    assert len(problems) == 4
    assert all(problem.is_mended and "removed" in str(problem) for problem in problems)
    assert not any(path.exists() for path in left)
    assert not (folder / "never-committed").exists()
    assert all(path.exists() for path in foreign)
    assert verify(full) == []
    assert full.read("area-kyushu").frame.equals(before)


def test_partition_that_contradicts_the_manifest_is_found(full: Store) -> None:
    def change(content: dict[str, Any]) -> None:
        record = content["datasets"]["area-kyushu"]["partitions"]["2024"]
        record["rows"] = 7
        record["first"] = "2024-01-01T01:00:00Z"
        record["columns"] = ["demand_kw@kyushu"]

    rewrite_manifest(full, change)
    problems = [problem.problem for problem in verify(full)]

    assert len(problems) == 3
    for text in ("has 48 rows, not 7", "does not span", "has columns price_per_kwh@kyushu"):
        assert any(text in problem for problem in problems)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "is no manifest of a store.*restore the file from a backup"),
        (b'{"format_version": 1, "datasets"', "is no manifest"),
        (b"\xff\xfe\x00", "cannot be read"),
        (b"[]", "format_version is missing"),
        (b'{"format_version": 1, "datasets": {}, "traces": {}}', "its checksum differs"),
        (json.dumps(manifest_module.signed({"format_version": 1, "odd": 3})).encode(), "odd"),
        (b'{"format_version": 99}', "newer gridhash wrote.*update gridhash"),
        (json.dumps(manifest_module.signed({"format_version": 0})).encode(), "0 is unknown"),
    ],
)
def test_unreadable_manifest_is_one_clear_error_and_nothing_is_removed(
    full: Store, make_table: MakeTable, now: datetime, content: bytes, expected: str
) -> None:
    full.folder.manifest_path.write_bytes(content)
    for act in (
        lambda: full.names(),
        lambda: verify(full),
        lambda: full.append(make_table(), imported_at=now),
    ):
        with pytest.raises(DataError, match=expected):
            act()

    assert len(list(full.folder.path.glob("*/*.parquet"))) == 3


def test_missing_manifest_beside_partitions_is_a_fault_not_an_empty_store(
    full: Store, make_table: MakeTable, now: datetime
) -> None:
    full.folder.manifest_path.unlink()
    for act in (
        lambda: full.names(),
        lambda: verify(full),
        lambda: full.append(make_table(), imported_at=now),
    ):
        with pytest.raises(DataError, match=r"is missing, but .*restore the manifest"):
            act()

    assert len(list(full.folder.path.glob("*/*.parquet"))) == 3


def test_manifest_of_an_older_format_is_migrated(
    full: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def older(content: dict[str, Any]) -> None:
        content["format_version"] = 0
        content["series"] = content.pop("datasets")

    def migrate(content: dict[str, Any]) -> dict[str, Any]:
        return {
            "format_version": 1,
            "datasets": content["series"],
            "traces": content["traces"],
        }

    before = full.manifest()
    rewrite_manifest(full, older)
    monkeypatch.setitem(manifest_module.MIGRATIONS, 0, migrate)

    assert full.manifest() == before


def test_same_block_gives_the_same_bytes(full: Store) -> None:
    block = full.folder.block(full.info("area-kyushu").partitions[2024])

    assert encode(block) == partition(full).read_bytes()


def test_no_flipped_bit_is_ever_read_as_other_data(store: Store, make_table: MakeTable) -> None:
    """Each of 400 flips: one clear error, or the very same table (padding)."""
    store.append(make_table(), imported_at=datetime(2026, 1, 1, tzinfo=UTC))
    before = store.read("area-kyushu")
    flips = random.Random(0)
    for path in (partition(store), store.folder.manifest_path):
        good = path.read_bytes()
        n_errors = 0
        for _ in range(200):
            content = bytearray(good)
            content[flips.randrange(len(good))] ^= 1 << flips.randrange(8)
            path.write_bytes(content)
            try:
                found = store.read("area-kyushu")
            except DataError:
                n_errors += 1
                continue
            assert found.frame.equals(before.frame)
            for name in before.columns:
                assert found.available_at[name].equals(before.available_at[name])
        path.write_bytes(good)
        assert n_errors > 100

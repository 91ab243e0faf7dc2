"""What people and programs see of the store."""

import io
import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
from rich.console import Console

from gridhash.data.source_table import SourceTable
from gridhash.data.store.commands import (
    describe_stored,
    export_stored,
    list_store,
    verify_store,
)
from gridhash.data.store.store import Store
from gridhash.data.synthetic import synthetic_japan
from gridhash.errors import DataError

MakeTable = Callable[..., SourceTable]


@pytest.fixture
def console() -> Console:
    return Console(width=100, file=io.StringIO())


def shown(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    console.file.truncate(0)
    console.file.seek(0)
    return text


def test_list_shows_datasets_traces_and_terms(
    store: Store, make_table: MakeTable, now: datetime, console: Console
) -> None:
    list_store(store, console)
    assert "It is empty" in shown(console)
    store.append(make_table(), imported_at=now)
    store.save_trace("kyushu-synthetic", synthetic_japan(seed=1))
    list_store(store, console)
    text = shown(console)

    for part in ("area-kyushu", "2024-04-01", "japanese-utility", "Not to be passed on."):
        assert part in text
    assert text.index("Datasets") < text.index("Traces") < text.index("kyushu-synthetic")
    list_store(store, console, as_json=True)
    found = json.loads(shown(console))
    assert found["datasets"]["area-kyushu"]["partitions"]["2024"]["rows"] == 48
    assert found["traces"]["kyushu-synthetic"]["fields"]["period_s"] == 1800


def test_describe_prints_and_draws_datasets_and_traces(
    store: Store, make_table: MakeTable, now: datetime, console: Console, tmp_path: Path
) -> None:
    store.append(make_table(hours=72), imported_at=now)
    store.save_trace("t", synthetic_japan(seed=1))
    describe_stored(store, "area-kyushu", console, picture=tmp_path / "a.png")

    assert "price_per_kwh@kyushu [JPY/kWh]" in shown(console)
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    describe_stored(store, "t", console, column="outdoor_temp_c", as_json=True)
    assert json.loads(shown(console))["column"] == "outdoor_temp_c"
    with pytest.raises(DataError, match="no dataset or trace nothing"):
        describe_stored(store, "nothing", console)


def test_verify_says_whether_something_is_left_to_mend(
    store: Store, make_table: MakeTable, now: datetime, console: Console
) -> None:
    store.append(make_table(), imported_at=now)
    (partition,) = store.folder.path.glob("*/*.parquet")
    (partition.parent / f"2020-{'0' * 16}.parquet").write_bytes(b"left")

    assert verify_store(store, console)
    text = shown(console)
    assert "removed" in text
    assert "Checked 1 dataset, 0 traces, 1 file: all as written" in text
    partition.write_bytes(b"damaged")
    assert not verify_store(store, console, as_json=True)
    (problem,) = json.loads(shown(console))["problems"]
    assert (problem["name"], problem["is_mended"]) == ("area-kyushu", False)


def test_export_says_what_the_terms_forbid(
    store: Store, make_table: MakeTable, now: datetime, console: Console, tmp_path: Path
) -> None:
    store.append(make_table(), imported_at=now)
    export_stored(store, "area-kyushu", tmp_path / "a.csv", console)
    text = shown(console)

    for part in ("48 rows in", "a.csv.txt", "do not pass it on", "No open licence seen"):
        assert part in text

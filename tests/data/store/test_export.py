"""Exports hold the same numbers with units and terms, and overwrite nothing unasked."""

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from gridhash.data.source_table import SourceTable
from gridhash.data.store.export import METADATA_KEY, export
from gridhash.data.store.store import Store
from gridhash.data.synthetic import synthetic_japan
from gridhash.errors import DataError

MakeTable = Callable[..., SourceTable]


def test_csv_has_utc_instants_empty_cells_and_a_text_with_units_and_terms(
    store: Store, make_table: MakeTable, now: datetime, tmp_path: Path
) -> None:
    table = make_table(changes={(1, "price_per_kwh@kyushu"): np.nan}, drop=[2])
    store.append(table, imported_at=now)
    found = export(store, "area-kyushu", tmp_path / "a.csv")
    lines = (tmp_path / "a.csv").read_text(encoding="utf-8").splitlines()
    text = (tmp_path / "a.csv.txt").read_text(encoding="utf-8")

    assert lines[0].replace('"', "") == (
        "start,price_per_kwh@kyushu,demand_kw@kyushu,known_at_1,known_at_2"
    )
    assert lines[1] == ("2024-04-01T00:00:00Z,10,14210,2024-03-31T10:00:00Z,2024-04-01T00:30:00Z")
    assert lines[2].startswith("2024-04-01T00:30:00Z,,")
    assert lines[3].startswith("2024-04-01T01:30:00Z,")
    assert found.rows == len(lines) - 1 == 47
    assert "price_per_kwh@kyushu: JPY/kWh, day-ahead price" in text
    assert "do not pass it on" in text
    assert found.warning is not None
    assert "Japanese transmission system operator" in found.warning


def test_csv_reads_back_to_the_last_bit(store: Store, tmp_path: Path) -> None:
    trace = synthetic_japan(seed=1)
    store.save_trace("t", trace)
    export(store, "t", tmp_path / "t.csv")
    found = pd.read_csv(tmp_path / "t.csv", index_col="start")

    for name in trace.frame.columns:
        np.testing.assert_array_equal(found[name].to_numpy(), trace.column(str(name)))
    assert pd.to_datetime(found.index).equals(trace.starts)
    assert "notes:" in (tmp_path / "t.csv.txt").read_text(encoding="utf-8")


def test_parquet_holds_units_and_terms_as_metadata(
    store: Store, make_table: MakeTable, now: datetime, tmp_path: Path
) -> None:
    table = make_table(publisher="smard", currency="EUR", changes={(1, "demand_kw@kyushu"): np.nan})
    store.append(table, imported_at=now)
    found = export(store, "area-kyushu", tmp_path / "a.parquet")
    written = pq.read_table(tmp_path / "a.parquet")
    facts = json.loads(written.schema.metadata[METADATA_KEY])

    assert (found.warning, found.about) == (None, None)
    assert facts["columns"]["price_per_kwh@kyushu"].startswith("EUR/kWh")
    assert "CC BY 4.0" in facts["publishers"]["Bundesnetzagentur | SMARD.de"]
    assert facts["files"]["a.csv"].startswith("SHA-256 ")
    assert written.column("demand_kw@kyushu").null_count == 1
    assert str(written.schema.field("start").type) == "timestamp[ms, tz=UTC]"


def test_nothing_is_overwritten_unasked(
    store: Store, make_table: MakeTable, now: datetime, tmp_path: Path
) -> None:
    store.append(make_table(), imported_at=now)
    path = tmp_path / "a.csv"
    path.write_text("mine")

    with pytest.raises(DataError, match="is there already"):
        export(store, "area-kyushu", path)
    assert path.read_text() == "mine"
    export(store, "area-kyushu", path, force=True)
    assert path.read_text().startswith(("start", '"start"'))


@pytest.mark.parametrize(
    ("name", "target", "expected"),
    [
        ("area-kyushu", "a.xlsx", "suffix must be one of .csv, .parquet"),
        ("area-tokyo", "a.csv", "no dataset or trace area-tokyo"),
        ("area-kyushu", "missing/a.csv", "cannot be written"),
    ],
)
def test_export_that_cannot_be_is_refused(
    store: Store,
    make_table: MakeTable,
    now: datetime,
    tmp_path: Path,
    name: str,
    target: str,
    expected: str,
) -> None:
    store.append(make_table(), imported_at=now)

    with pytest.raises(DataError, match=expected):
        export(store, name, tmp_path / target)

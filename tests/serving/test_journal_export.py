"""A journal as Parquet files: every row and bit of it, whole or not at all."""

from datetime import timedelta
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from gridhash.errors import ServingError
from gridhash.serving import journal_export
from gridhash.serving.journal import INSTANT_COLUMNS, TABLES, Journal
from gridhash.serving.journal_export import export_journal, schema_of
from tests.serving.bench import START, Build


@pytest.fixture
def journal(bench_of: Build) -> Journal:
    bench = bench_of((0.0, 1.0), (0.25, 0.0))
    bench.play(0.5)
    return bench.journal


def test_every_row_of_every_table_is_there_with_instants_as_instants(
    journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_export, "BATCH_ROWS", 7)
    told: list[tuple[str, int]] = []
    counts = export_journal(journal, tmp_path / "out", tell=lambda *own: told.append(own))
    assert set(counts) == set(TABLES)
    assert counts["readings"] > 100
    assert ("intents", counts["intents"]) in told
    for table in TABLES:
        frame = pd.read_parquet(tmp_path / "out" / f"{table}.parquet").set_index("id")
        assert len(frame) == counts[table] == journal.count(table)
        ours = journal.frame(table)
        for name in frame:
            theirs = frame[name].astype(object).where(frame[name].notna(), None).tolist()
            if name in INSTANT_COLUMNS:
                assert str(
                    pq.read_schema(tmp_path / "out" / f"{table}.parquet").field(name).type
                ) == ("timestamp[us, tz=UTC]")
                assert pd.DatetimeIndex(frame[name]).equals(
                    pd.DatetimeIndex(ours[name]).as_unit("us")
                )
            else:
                own = ours[name].astype(object).where(ours[name].notna(), None).tolist()
                assert theirs == own, (table, name)


def test_the_schema_holds_every_column(journal: Journal) -> None:
    for table in TABLES:
        names = [row["name"] for row in journal.rows(f"PRAGMA table_info({table})")]
        assert schema_of(table).names == names


def test_one_run_alone(journal: Journal, tmp_path: Path) -> None:
    other = journal.append("runs", at=START + timedelta(days=1), mode="live", site_json="{}",
                           policy_name="p", bundle_hash="", observation_hash="", versions="{}",
                           note="")  # fmt: skip
    counts = export_journal(journal, tmp_path / "out", run_id=other)
    assert counts["runs"] == 1
    assert sum(counts.values()) == 1
    with pytest.raises(ServingError, match="holds no run 99"):
        export_journal(journal, tmp_path / "none", run_id=99)
    assert not (tmp_path / "none").exists()


def test_nothing_is_overwritten_and_nothing_half_written_stays(
    journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(ServingError, match="is there already"):
        export_journal(journal, tmp_path / "out")

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(journal_export, "_write", full)
    with pytest.raises(ServingError, match="No space left on device"):
        export_journal(journal, tmp_path / "new")
    assert [path.name for path in tmp_path.iterdir() if path.name != "journal.sqlite"] == ["out"]

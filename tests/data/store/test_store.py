"""What was appended comes back exactly; what disagrees is refused whole; nothing is guessed."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridhash.data.source_table import Origin, SourceTable
from gridhash.data.store.merge import ConflictError
from gridhash.data.store.store import Store, default_folder
from gridhash.data.synthetic import synthetic_japan
from gridhash.data.trace import Trace
from gridhash.errors import DataError, TimeGridError
from gridhash.time_grid import grid

MakeTable = Callable[..., SourceTable]
PRICE, DEMAND = "price_per_kwh@kyushu", "demand_kw@kyushu"


def same(one: SourceTable, other: SourceTable) -> bool:
    return (
        one.columns == other.columns
        and one.starts.equals(other.starts)
        and all(
            np.array_equal(one.column(name), other.column(name), equal_nan=True)
            and one.available_at[name].equals(other.available_at[name])
            for name in one.columns
        )
        and (one.dataset, one.period_s, one.currency)
        == (other.dataset, other.period_s, other.currency)
    )


def files(store: Store) -> dict[str, bytes]:
    return {
        str(path.relative_to(store.folder.path)): path.read_bytes()
        for path in store.folder.path.rglob("*")
        if path.is_file()
    }


def test_table_comes_back_exactly_with_gaps_and_when_it_was_known(
    store: Store, make_table: MakeTable, now: datetime
) -> None:
    table = make_table(changes={(3, PRICE): np.nan}, drop=[7, 8])
    result = store.append(table, imported_at=now)

    assert same(store.read("area-kyushu"), table)
    assert store.read("area-kyushu").origins == table.origins
    assert (result.rows_new, result.rows_same, result.partitions_written) == (46, 0, 1)
    assert result.columns_new == (PRICE, DEMAND)
    assert store.names() == ["area-kyushu"]


def test_same_table_twice_changes_no_byte(
    store: Store, make_table: MakeTable, now: datetime
) -> None:
    table = make_table("2023-12-31T12:00Z")
    store.append(table, imported_at=now)
    before = files(store)
    result = store.append(table, imported_at=now + pd.Timedelta(days=1))

    assert files(store) == before
    assert (result.rows_new, result.rows_same, result.partitions_written) == (0, 48, 0)


def test_partitions_are_utc_years_and_only_those_touched_are_written(
    store: Store, make_table: MakeTable, now: datetime
) -> None:
    store.append(make_table("2023-12-31T00:00Z", 48), imported_at=now)
    before = set(files(store))
    result = store.append(make_table("2024-01-02T00:00Z"), imported_at=now)
    info = store.info("area-kyushu")

    assert result.partitions_written == 1
    assert sorted(info.partitions) == [2023, 2024]
    assert info.partitions[2023].file in before
    assert [part.rows for part in info.partitions.values()] == [48, 96]
    assert {name for name in files(store) if name.endswith(".parquet")} == {
        part.file for part in info.partitions.values()
    }


def test_manifest_names_units_origins_terms_and_span(
    store: Store, make_table: MakeTable, now: datetime
) -> None:
    store.append(make_table(), imported_at=now)
    manifest = json.loads(store.folder.manifest_path.read_text(encoding="utf-8"))
    dataset = manifest["datasets"]["area-kyushu"]

    assert manifest["format_version"] == 1
    assert dataset["columns"] == {PRICE: "JPY/kWh", DEMAND: "kW"}
    assert (dataset["period_s"], dataset["currency"]) == (1800, "JPY")
    (origin,) = dataset["origins"]
    assert (origin["publisher"], origin["file_name"]) == ("japanese-utility", "a.csv")
    assert origin["imported_at"] == "2026-11-23T12:00:00Z"
    assert dataset["licences"][0]["terms_url"] == "https://www.occto.or.jp/"
    assert not dataset["licences"][0]["may_redistribute"]
    (partition,) = dataset["partitions"].values()
    assert (partition["first"], partition["last"]) == (
        "2024-04-01T00:00:00Z",
        "2024-04-01T23:30:00Z",
    )


def test_overlapping_files_are_joined_and_their_gap_stays(
    store: Store, make_table: MakeTable, now: datetime
) -> None:
    store.append(make_table(hours=24), imported_at=now)
    overlap = store.append(make_table("2024-04-01T12:00Z", 24, file_name="b"), imported_at=now)
    store.append(make_table("2024-04-05T00:00Z", 1, file_name="c"), imported_at=now)
    found = store.read("area-kyushu")

    assert (overlap.rows_new, overlap.rows_same) == (24, 24)
    assert len(found) == 72 + 2
    assert same(
        found.between(datetime(2024, 4, 1, tzinfo=UTC), datetime(2024, 4, 2, 12, tzinfo=UTC)),
        make_table(hours=36),
    )
    assert [origin.file_name for origin in found.origins] == ["a.csv", "b", "c"]


def test_file_that_brings_nothing_is_no_origin(
    store: Store, make_table: MakeTable, now: datetime
) -> None:
    store.append(make_table(), imported_at=now)
    before = files(store)
    store.append(make_table(hours=5, file_name="again.csv"), imported_at=now)

    assert files(store) == before


def test_other_values_are_refused_whole_and_shown(
    store: Store, make_table: MakeTable, now: datetime
) -> None:
    store.append(make_table(), imported_at=now)
    before = files(store)
    other = make_table(hours=48, changes={(5, PRICE): 99.0, (6, DEMAND): 1.0}, file_name="b.csv")

    with pytest.raises(ConflictError) as caught:
        store.append(other, imported_at=now)

    assert files(store) == before
    message = str(caught.value)
    for part in (
        "b.csv",
        "Stored from a.csv",
        "2 values in 2 rows",
        f"2024-04-01T02:30:00Z {PRICE}: stored 13.04, new 99",
    ):
        assert part in message
    assert caught.value.n_values == {PRICE: 1, DEMAND: 1}
    assert [conflict.new for conflict in caught.value.conflicts] == [99.0, 1.0]


def test_revision_replaces_and_is_recorded(
    store: Store, make_table: MakeTable, now: datetime
) -> None:
    store.append(make_table(), imported_at=now)
    other = make_table(changes={(5, PRICE): 99.0, (6, DEMAND): np.nan}, file_name="b.csv")
    result = store.append(other, imported_at=now, revise=True)
    (revision,) = store.info("area-kyushu").revisions

    assert (result.rows_revised, result.rows_same) == (2, 46)
    assert same(store.read("area-kyushu"), other)
    assert (revision.file_name, revision.n_values) == ("b.csv", {PRICE: 1, DEMAND: 1})
    assert revision.revised_at == now


def test_missing_value_may_be_filled_but_not_taken_away(
    store: Store, make_table: MakeTable, now: datetime
) -> None:
    preliminary = make_table(changes={(5, PRICE): np.nan, (9, PRICE): np.nan})
    store.append(preliminary, imported_at=now)
    result = store.append(make_table(file_name="final.csv"), imported_at=now)

    assert (result.rows_filled, result.rows_same, result.rows_revised) == (2, 46, 0)
    assert same(store.read("area-kyushu"), make_table())
    with pytest.raises(ConflictError, match=r"stored 13\.04, new none"):
        store.append(preliminary, imported_at=now)


def test_other_instant_of_publication_is_a_conflict(
    store: Store, make_table: MakeTable, now: datetime
) -> None:
    store.append(make_table(), imported_at=now)

    with pytest.raises(
        ConflictError, match="known from 2024-04-01T00:30:00Z, new 2024-04-01T01:00"
    ):
        store.append(make_table(known_after_s=3600), imported_at=now)


def test_number_converted_in_another_way_is_the_same(
    store: Store, make_table: MakeTable, now: datetime
) -> None:
    store.append(make_table(changes={(0, DEMAND): 12.3 * 10_000}), imported_at=now)
    result = store.append(make_table(changes={(0, DEMAND): 123_000.0}), imported_at=now)

    assert result.rows_same == 48


def test_columns_are_added_beside_the_stored_ones(
    store: Store, make_table: MakeTable, now: datetime
) -> None:
    solar = "solar_kw@kyushu"
    store.append(make_table("2023-12-31T00:00Z", 48), imported_at=now)
    added = make_table("2024-01-01T12:00Z", 24, columns=(solar,), file_name="solar.csv")
    result = store.append(added, imported_at=now)
    found = store.read("area-kyushu")

    assert result.columns_new == (solar,)
    assert (result.rows_new, result.rows_filled) == (24, 24)
    assert found.columns == [PRICE, DEMAND, solar]
    assert np.isnan(found.column(solar)[:72]).all()
    assert np.isnan(found.column(PRICE)[96:]).all()
    assert same(store.read("area-kyushu", [solar], added.starts[0]), added)
    assert (found.available_at[solar][:72] == found.starts[:72] + pd.Timedelta("30min")).all()
    assert len(found) == 120


def test_part_of_a_dataset_is_read(store: Store, make_table: MakeTable, now: datetime) -> None:
    table = make_table("2023-12-31T00:00Z", 48)
    store.append(table, imported_at=now)
    start, end = datetime(2023, 12, 31, 23, tzinfo=UTC), datetime(2024, 1, 1, 1, tzinfo=UTC)

    assert same(
        store.read("area-kyushu", [DEMAND], start, end), table.select([DEMAND]).between(start, end)
    )
    with pytest.raises(TimeGridError, match="no rows from"):
        store.read("area-kyushu", start=datetime(2025, 1, 1, tzinfo=UTC))
    with pytest.raises(TimeGridError, match="no time zone"):
        store.read("area-kyushu", start=datetime(2024, 1, 1))  # noqa: DTZ001
    with pytest.raises(DataError, match="no column solar_kw@kyushu; it holds price_per_kwh@kyushu"):
        store.read("area-kyushu", ["solar_kw@kyushu"])
    with pytest.raises(DataError, match="no dataset or trace jepx-spot; it holds area-kyushu"):
        store.read("jepx-spot")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"currency": "EUR"}, "currency is EUR, but the dataset holds currency JPY"),
        ({"period_s": 3600}, "period_s is 3600, but the dataset holds period_s 1800"),
        ({"start": "2024-04-01T00:10Z"}, "off the grid"),
        ({"dataset": "../elsewhere"}, "is no name"),
        ({"dataset": "_traces"}, "is no name"),
    ],
)
def test_table_of_another_kind_is_refused(
    store: Store,
    make_table: MakeTable,
    now: datetime,
    changes: dict[str, object],
    expected: str,
) -> None:
    store.append(make_table(), imported_at=now)
    before = files(store)

    with pytest.raises(DataError, match=expected):
        store.append(make_table(**changes), imported_at=now)

    assert files(store) == before


def test_tables_of_a_file_are_stored_together_or_not_at_all(
    store: Store, make_table: MakeTable, now: datetime
) -> None:
    store.append(make_table(dataset="b"), imported_at=now)
    before = files(store)
    other = make_table(dataset="b", changes={(3, "demand_kw@kyushu"): 1.0})

    with pytest.raises(ConflictError):
        store.append_all([make_table(dataset="a"), other], imported_at=now)
    assert files(store) == before

    results = store.append_all([make_table(dataset="a"), other], imported_at=now, revise=True)
    assert [(one.rows_new, one.rows_revised) for one in results] == [(48, 0), (0, 1)]
    assert store.names() == ["a", "b"]


def test_two_tables_of_a_file_may_be_of_one_dataset(
    store: Store, make_table: MakeTable, now: datetime
) -> None:
    price, demand = "price_per_kwh@kyushu", "demand_kw@kyushu"
    early = make_table("2023-12-31T00:00Z", 48, columns=(price,))
    late = make_table("2023-12-31T12:00Z", 48, columns=(demand,))

    results = store.append_all([early, late], imported_at=now)

    assert [one.rows_new for one in results] == [96, 24]
    read = store.read("area-kyushu")
    assert read.column(price)[:96].tolist() == early.column(price).tolist()
    assert read.column(demand)[24:].tolist() == late.column(demand).tolist()
    with pytest.raises(ConflictError):
        store.append_all(
            [
                make_table(dataset="twice"),
                make_table(dataset="twice", changes={(0, demand): 1.0}),
            ],
            imported_at=now,
        )
    assert store.names() == ["area-kyushu"]


def test_step_in_force_at_the_start_is_read(
    store: Store, make_table: MakeTable, now: datetime
) -> None:
    steps = make_table("2022-12-30T00:00Z", 1, period_s=None)
    later = make_table("2024-06-01T00:00Z", 1, period_s=None)
    store.append_all([steps, later], imported_at=now)

    def starts(start: str, end: str) -> list[pd.Timestamp]:
        table = store.read("area-kyushu", None, pd.Timestamp(start), pd.Timestamp(end))
        return list(table.starts)

    assert starts("2024-01-01T00:00Z", "2024-02-01T00:00Z") == [steps.starts[-1]]
    assert starts("2024-01-01T00:00Z", "2024-06-01T00:01Z") == [steps.starts[-1], later.starts[0]]
    assert starts("2024-06-01T00:00Z", "2024-06-01T00:01Z") == [later.starts[0]]
    with pytest.raises(TimeGridError):
        starts("2022-01-01T00:00Z", "2022-02-01T00:00Z")


def test_steps_of_no_fixed_length_are_kept(
    store: Store, make_table: MakeTable, now: datetime
) -> None:
    index = pd.DatetimeIndex(["2024-01-03T04:05:06Z", "2024-01-17T08:09:10Z"]).as_unit("s")
    retargets = SourceTable(
        dataset="difficulty",
        frame=pd.DataFrame({"difficulty@bitcoin": [7e13, 8e13]}, index=index),
        period_s=None,
        currency=None,
        origins=(Origin("mempool", "m.json", "0"),),
        available_at={"difficulty@bitcoin": index},
    )
    store.append(retargets, imported_at=now)

    assert same(store.read("difficulty"), retargets)


@settings(max_examples=12)
@given(st.data())
def test_any_order_of_pieces_makes_the_same_dataset(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    n = 40
    index = grid(pd.Timestamp("2023-12-31T12:00Z"), pd.Timestamp("2024-01-02T04:00Z"), 3600)
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    whole = pd.DataFrame(
        {f"{name}@a": rng.normal(size=n) for name in ("solar_kw", "wind_kw", "other_kw")},
        index=index,
    ).mask(rng.random((n, 3)) < 0.2)
    store = Store(tmp_path_factory.mktemp("store"))
    stored = pd.DataFrame(np.nan, index=index, columns=whole.columns)
    present = np.zeros(n, dtype=bool)
    columns_seen: list[str] = []
    for piece in range(data.draw(st.integers(1, 4))):
        rows = np.flatnonzero(rng.random(n) < 0.5)
        columns = data.draw(st.lists(st.sampled_from(list(whole.columns)), min_size=1, unique=True))
        if not rows.size:
            continue
        part = whole.iloc[rows][columns]
        known = pd.DatetimeIndex(part.index) + pd.Timedelta(hours=3)
        result = store.append(
            SourceTable(
                dataset="d",
                frame=part,
                period_s=3600,
                currency=None,
                origins=(Origin("own", f"{piece}", f"{piece}"),),
                available_at=dict.fromkeys(columns, known),
            ),
            imported_at=datetime(2026, 1, 1, tzinfo=UTC),
        )
        assert result.rows_new == int((~present[rows]).sum())
        assert result.rows_revised == 0
        stored.loc[part.index, columns] = part
        present[rows] = True
        columns_seen += [name for name in columns if name not in columns_seen]
    if present.any():
        found = store.read("d")
        expected = stored.loc[present, columns_seen]
        assert found.starts.equals(index[present])
        np.testing.assert_array_equal(found.frame.to_numpy(), expected.to_numpy())
        for name in columns_seen:
            given_values = ~np.isnan(found.column(name))
            late = found.available_at[name] - found.starts
            assert (late[given_values] == pd.Timedelta(hours=3)).all()


def test_trace_comes_back_exactly(store: Store) -> None:
    trace = synthetic_japan(seed=3).between(
        pd.Timestamp("2025-04-10T15:00Z"), pd.Timestamp("2025-04-20T15:00Z")
    )
    store.save_trace("kyushu-synthetic", trace)
    found = store.load_trace("kyushu-synthetic")

    pd.testing.assert_frame_equal(found.frame, trace.frame, check_exact=True, check_freq=False)
    for name in trace.frame.columns:
        assert found.available_at[name].equals(trace.available_at[name])
    for field in ("period_s", "currency", "area", "source", "notes"):
        assert getattr(found, field) == getattr(trace, field)
    assert (store.names(), store.trace_names()) == ([], ["kyushu-synthetic"])


def small_trace(price: float = 1.0) -> Trace:
    index = grid(pd.Timestamp("2024-01-01T00:00Z"), pd.Timestamp("2024-01-02T00:00Z"), 1800)
    return Trace(
        frame=pd.DataFrame({"price_per_kwh": np.full(48, price)}, index=index),
        period_s=1800,
        currency="JPY",
        area="kyushu",
        source="測定",
        notes=("one hour filled", "scaled by 2"),
        available_at={"price_per_kwh": index},
    )


def test_trace_keeps_its_notes_and_is_replaced_only_when_asked(store: Store) -> None:
    store.save_trace("t", small_trace())
    before = files(store)
    store.save_trace("t", small_trace())

    assert files(store) == before
    assert store.load_trace("t").notes == ("one hour filled", "scaled by 2")
    with pytest.raises(DataError, match="there is another trace t"):
        store.save_trace("t", small_trace(2.0))
    assert files(store) == before
    store.save_trace("t", small_trace(2.0), replace=True)
    assert store.load_trace("t").column("price_per_kwh")[0] == 2.0
    assert len(files(store)) == 3


def test_dataset_and_trace_share_no_name(
    store: Store, make_table: MakeTable, now: datetime
) -> None:
    store.append(make_table(dataset="kyushu"), imported_at=now)
    store.save_trace("other", small_trace())

    with pytest.raises(DataError, match="is the name of a dataset"):
        store.save_trace("kyushu", small_trace())
    with pytest.raises(DataError, match="is the name of a trace"):
        store.append(make_table(dataset="other"), imported_at=now)


def test_what_is_removed_is_gone_and_the_rest_stays(
    store: Store, make_table: MakeTable, now: datetime
) -> None:
    store.append(make_table(), imported_at=now)
    store.append(make_table(dataset="area-tokyo"), imported_at=now)
    store.save_trace("t", small_trace())
    store.remove("area-kyushu")
    store.remove("t")

    assert (store.names(), store.trace_names()) == (["area-tokyo"], [])
    assert sum(name.endswith(".parquet") for name in files(store)) == 1
    assert not (store.folder.path / "area-kyushu").exists()
    with pytest.raises(DataError, match="there is no dataset or trace area-kyushu"):
        store.remove("area-kyushu")


def test_table_without_origin_is_refused(
    store: Store, make_table: MakeTable, now: datetime
) -> None:
    table = make_table()
    bare = SourceTable(
        dataset="d",
        frame=table.frame,
        period_s=1800,
        currency="JPY",
        origins=(),
        available_at=table.available_at,
    )

    with pytest.raises(DataError, match="names no file that it comes from"):
        store.append(bare, imported_at=now)


def test_folder_is_that_of_the_environment_or_of_the_user(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GRIDHASH_DATA", str(tmp_path))
    assert default_folder() == tmp_path / "store"
    monkeypatch.delenv("GRIDHASH_DATA")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "gridhash" / "store"


def test_empty_store_is_made_by_the_first_append_only(store: Store) -> None:
    assert (store.names(), store.trace_names()) == ([], [])
    with pytest.raises(DataError, match="no dataset or trace x; it holds nothing yet"):
        store.read("x")
    assert not store.folder.path.exists()

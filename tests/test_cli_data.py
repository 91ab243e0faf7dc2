"""`gridhash data`: files in, traces out, every refusal one clear message, nothing half done."""

import json
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gridhash.cli import main
from gridhash.data.store.store import Store

AREAS = ("北海道", "東北", "東京", "中部", "北陸", "関西", "中国", "四国", "九州")
JEPX_HEADER = (
    "受渡日,時刻コード,売り入札量(kWh),買い入札量(kWh),約定総量(kWh),システムプライス(円/kWh),"
    + ",".join(f"エリアプライス{area}(円/kWh)" for area in AREAS)
    + ",売りブロック入札総量(kWh),売りブロック約定総量(kWh),買いブロック入札総量(kWh),"
    "買いブロック約定総量(kWh)"
)
SPAN = ("--start", "2024-04-01T00:00+09:00", "--end", "2024-04-03T00:00+09:00")
KYUSHU = "price_per_kwh=jepx-spot:price_per_kwh@kyushu"
MARKET = ("--area", "kyushu", "--currency", "JPY", *SPAN)


@dataclass(frozen=True)
class Run:
    """What a command left."""

    code: int
    out: str
    err: str


RunCli = Callable[..., Run]


@pytest.fixture
def run_cli(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> RunCli:
    """Return a runner of `gridhash data` in this process, with a data folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GRIDHASH_DATA", str(tmp_path / "data"))

    def run(*arguments: object) -> Run:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["gridhash", "data", *map(str, arguments)])
        try:
            main()
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return Run(code, captured.out, captured.err)

    return run


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Return the store that `run_cli` works on."""
    return Store(tmp_path / "data" / "store")


def write_jepx(path: Path, *, n_days: int = 2, first: date = date(2024, 4, 1), add: float = 0.0):  # type: ignore[no-untyped-def]
    """Write a spot summary; `add` is added to every price."""
    rng, rows = np.random.default_rng(1), [JEPX_HEADER]
    for day in range(n_days):
        for slot in range(1, 49):
            prices = ",".join(f"{p + add:.2f}" for p in rng.uniform(5, 20, 10).round(2))
            when = first + timedelta(days=day)
            rows.append(
                f"{when:%Y/%m/%d},{slot},17694250,15655300,13346550,{prices},"
                "4992400,1315150,1037250,715150"
            )
    path.write_bytes(("\r\n".join(rows) + "\r\n").encode("cp932"))
    return path


def write_open_meteo(path: Path, temperatures: list[float | None]) -> Path:
    """Write two days of hourly temperatures as the archive gives them."""
    hours = pd.date_range("2024-03-31T15:00", periods=len(temperatures), freq="h")
    answer = {
        "latitude": 33.6,
        "longitude": 130.4,
        "generationtime_ms": 0.1,
        "utc_offset_seconds": 0,
        "timezone": "GMT",
        "timezone_abbreviation": "GMT",
        "elevation": 10.0,
        "hourly_units": {"time": "iso8601", "temperature_2m": "°C"},
        "hourly": {
            "time": [hour.strftime("%Y-%m-%dT%H:%M") for hour in hours],
            "temperature_2m": temperatures,
        },
    }
    path.write_text(json.dumps(answer), "utf-8")
    return path


def test_a_file_is_recognised_explained_and_stored(
    run_cli: RunCli, store: Store, tmp_path: Path
) -> None:
    run = run_cli("import", write_jepx(tmp_path / "download.bin"))
    assert run.code == 0
    assert "JEPX spot summary" in run.out
    assert "時刻コード" in run.out
    assert "96 new" in run.out
    table = store.read("jepx-spot")
    assert (len(table), table.period_s) == (96, 1800)
    assert table.starts[0] == pd.Timestamp("2024-04-01T00:00+09:00")


def test_the_same_file_twice_changes_nothing(run_cli: RunCli, store: Store, tmp_path: Path) -> None:
    path = write_jepx(tmp_path / "spot.csv")
    run_cli("import", path)
    before = store.manifest()
    run = run_cli("import", path)
    assert "96 already stored" in run.out
    assert store.manifest() == before


def test_a_dry_run_reads_and_reports_and_stores_nothing(
    run_cli: RunCli, store: Store, tmp_path: Path
) -> None:
    run = run_cli("import", "--dry-run", "--json", write_jepx(tmp_path / "spot.csv"))
    (answer,) = json.loads(run.out)
    assert (answer["format"], answer["publisher"]) == ("jepx-spot", "jepx")
    (table,) = answer["tables"]
    assert (table["rows"], table["missing"], table["missing_rows"]) == (96, 0, 0)
    assert "stored" not in table
    assert store.names() == []


def test_a_file_that_contradicts_the_store_is_refused_unless_it_revises(
    run_cli: RunCli, store: Store, tmp_path: Path
) -> None:
    run_cli("import", write_jepx(tmp_path / "spot.csv"))
    before = store.read("jepx-spot").column("price_per_kwh@kyushu")
    other = write_jepx(tmp_path / "other.csv", add=0.01)
    run = run_cli("import", other)
    assert run.code == 2
    assert "2024-03-31T15:00" in run.out or "2024-03-31 15:00" in run.out
    np.testing.assert_array_equal(store.read("jepx-spot").column("price_per_kwh@kyushu"), before)
    assert run_cli("import", "--revise", other).code == 0
    after = store.read("jepx-spot").column("price_per_kwh@kyushu")
    np.testing.assert_allclose(after, before + 0.01)


def test_another_currency_than_the_files_is_refused(run_cli: RunCli, tmp_path: Path) -> None:
    run = run_cli("import", "--currency", "EUR", write_jepx(tmp_path / "spot.csv"))
    assert run.code == 2
    assert "in JPY, not EUR" in run.out


def test_a_bad_file_does_not_stop_the_others(run_cli: RunCli, store: Store, tmp_path: Path) -> None:
    bad = tmp_path / "bad.csv"
    bad.write_text("time,price\n1,2\n")
    absent = tmp_path / "absent.csv"
    run = run_cli("import", bad, absent, write_jepx(tmp_path / "spot.csv"))
    assert run.code == 2
    assert "not recognised" in run.out
    assert "cannot be read" in run.out
    assert "2 of 3 files were not imported" in run.out
    assert store.names() == ["jepx-spot"]


def test_join_makes_a_trace_that_train_and_evaluate_can_name(
    run_cli: RunCli, store: Store, tmp_path: Path
) -> None:
    weather = write_open_meteo(tmp_path / "w.json", [10.0 + 0.3 * h for h in range(48)])
    assert run_cli("import", write_jepx(tmp_path / "spot.csv"), weather).code == 0
    (dataset,) = (name for name in store.names() if name.startswith("open-meteo"))
    (field,) = store.read(dataset).columns
    run = run_cli(
        "join", "--column", KYUSHU, "--column", f"outdoor_temp_c={dataset}:{field}", *MARKET,
        "--surplus-below", 6, "--save", "kyushu-april",
    )  # fmt: skip
    assert run.code == 0, run.err
    assert "proxy" in run.out
    trace = store.load_trace("kyushu-april")
    assert list(trace.frame.columns) == ["price_per_kwh", "surplus_frac", "outdoor_temp_c"]
    assert trace.column("outdoor_temp_c")[:4].tolist() == pytest.approx([10.0, 10.0, 10.3, 10.3])
    # The hour's mean is known at its end.
    assert trace.available_at["outdoor_temp_c"][0] == pd.Timestamp("2024-04-01T01:00+09:00")


def test_orders_and_panels_become_columns(run_cli: RunCli, store: Store, tmp_path: Path) -> None:
    weather = write_open_meteo(tmp_path / "w.json", [10.1 + 0.3 * h for h in range(48)])
    answer = json.loads(weather.read_text())
    # The radiation of an hour stands at its end, so one more hour is needed.
    hours = pd.date_range("2024-03-31T15:00", periods=50, freq="h")
    answer["hourly"] = {
        "time": [hour.strftime("%Y-%m-%dT%H:%M") for hour in hours],
        "temperature_2m": [round(10.1 + 0.3 * h, 1) for h in range(50)],
        "shortwave_radiation": [800.0 if 3 <= h % 24 <= 4 else 0.0 for h in range(50)],
    }
    answer["hourly_units"]["shortwave_radiation"] = "W/m²"
    weather.write_text(json.dumps(answer), "utf-8")
    assert run_cli("import", write_jepx(tmp_path / "s.csv"), weather).code == 0
    (dataset,) = (name for name in store.names() if name.startswith("open-meteo"))
    area = store.read(dataset).areas[0]
    (tmp_path / "orders.csv").write_text(
        "start,end,announced_at\n"
        "2024-04-01T09:00+09:00,2024-04-01T16:00+09:00,2024-03-31T16:40+09:00\n"
    )
    run = run_cli(
        "join", "--column", KYUSHU,
        "--column", f"outdoor_temp_c={dataset}:outdoor_temp_c@{area}",
        "--column", f"ghi_w_per_m2={dataset}:ghi_w_per_m2@{area}",
        *MARKET, "--site-kw", 4500, "--pv", "1000,33.6,130.4",
        "--orders", "orders.csv", "--orders-at", "Asia/Tokyo 17:00", "--save", "signals",
    )  # fmt: skip
    assert run.code == 0, run.err
    trace = store.load_trace("signals")
    assert trace.column("curtailment_order").sum() == 14
    pv = trace.column("behind_meter_pv_frac") * 4500
    assert 500 < pv.max() < 1000
    np.testing.assert_array_equal(trace.column("surplus_frac"), pv / 4500)


def test_a_gap_stops_the_join_until_a_fill_is_asked_for_and_is_noted(
    run_cli: RunCli, store: Store, tmp_path: Path
) -> None:
    temperatures: list[float | None] = [10.1 + 0.3 * h for h in range(48)]
    temperatures[5] = None
    run_cli(
        "import",
        write_jepx(tmp_path / "s.csv"),
        write_open_meteo(tmp_path / "w.json", temperatures),
    )
    (dataset,) = (name for name in store.names() if name.startswith("open-meteo"))
    (field,) = store.read(dataset).columns
    column = f"outdoor_temp_c={dataset}:{field}"
    run = run_cli("join", "--column", KYUSHU, "--column", column, *MARKET, "--save", "gappy")
    assert run.code == 2
    assert "outdoor_temp_c: 2 rows in 1 gap(s)" in run.err
    assert store.trace_names() == []
    run = run_cli(
        "join", "--column", KYUSHU, "--column", f"{column},fill=interpolate:3600", *MARKET,
        "--save", "filled",
    )  # fmt: skip
    assert run.code == 0, run.err
    assert "2 rows filled (interpolate, gaps up to 3600 s)" in run.out
    assert store.load_trace("filled").notes[0].startswith("outdoor_temp_c: 2 rows filled")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--column", "price=jepx-spot:price_per_kwh@kyushu", *MARKET), "no column price"),
        (("--column", "price_per_kwh", *MARKET), "write a column as"),
        (
            ("--column", "price_per_kwh=jepx:price_per_kwh@kyushu", *MARKET),
            "no dataset or trace jepx",
        ),
        (("--column", f"{KYUSHU},fill=guess", *MARKET), "fill is hold, interpolate or a number"),
        (("--column", f"{KYUSHU},scale=much", *MARKET), "'much' is not a number"),
        (("--column", f"{KYUSHU},colour=red", *MARKET), "unknown option colour"),
        (("--column", KYUSHU, *MARKET, "--surplus-share", 0.1), "need --site-kw"),
        (("--column", KYUSHU, *MARKET, "--site-kw", 9, "--pv", "1,2"), "write PEAK_KW"),
        (("--column", KYUSHU, *MARKET, "--orders", "absent.csv"), "cannot be read"),
        (("--column", KYUSHU, *MARKET[:4], "--start", "2024-04-01", *SPAN[2:]), "has no offset"),
        (("--column", KYUSHU, *MARKET, "--period", 1100), "does not divide"),
        (("--column", KYUSHU, *MARKET, "--period", 0), "does not divide"),
        (("--column", KYUSHU, *MARKET[:4], *SPAN[:2], "--end", SPAN[1]), "before it starts"),
        (("--column", KYUSHU, *MARKET, "--area", "tokyo"), "price_per_kwh is that of kyushu"),
        (("--column", f"{KYUSHU},scale=0", *MARKET), "scale of zero"),
        (("--column", KYUSHU, *MARKET, "--save", "synthetic"), "name is taken"),
        (("--column", KYUSHU, *MARKET[:2], "--currency", "EUR", *SPAN), "is in JPY"),
    ],
)
def test_a_wrong_join_is_one_error(
    run_cli: RunCli, store: Store, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    run_cli("import", write_jepx(tmp_path / "spot.csv"))
    run = run_cli("join", "--save", "x", *arguments)
    assert run.code == 2
    assert re.search(message, run.err), run.err
    assert store.trace_names() == []


def test_the_sources_are_listed_with_their_options(run_cli: RunCli) -> None:
    run = run_cli("fetch")
    assert "--fiscal-year" in run.out
    assert "ENTSOE_TOKEN" in run.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nowhere",), "no source nowhere"),
        (("jepx",), "--fiscal-year"),
        (("jepx", "--fiscal-year"), "needs a value"),
        (("jepx", "--fiscal-year", "last"), "not a year"),
        (("jepx", "--year", "2024"), "does not take --year"),
        (("area", "kyushu", "honshu", "--month", "2026-04"), "word too many"),
        (("area", "kyushu", "--month", "2026-04"), "accept with --accept-terms"),
    ],
)
def test_a_wrong_fetch_is_one_error_and_asks_nothing_of_the_network(
    run_cli: RunCli, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    run = run_cli("fetch", *arguments, "--base-url", "http://127.0.0.1:9")
    assert run.code == 2
    assert message in run.err
    assert not (tmp_path / "data").exists()


def test_what_is_stored_is_listed_described_verified_and_exported(
    run_cli: RunCli, tmp_path: Path
) -> None:
    run_cli("import", write_jepx(tmp_path / "spot.csv"))
    (dataset,) = json.loads(run_cli("list", "--json").out)["datasets"].items()
    assert dataset[0] == "jepx-spot"
    assert "jepx-spot" in run_cli("list").out
    picture = tmp_path / "kyushu.png"
    run = run_cli("describe", "jepx-spot", "--column", KYUSHU.split(":")[1], "--plot", picture)
    assert run.code == 0, run.err
    assert "Duration curve" in run.out
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert run_cli("verify").code == 0
    out = tmp_path / "spot.parquet"
    assert run_cli("export", "jepx-spot", out).code == 0
    assert len(pd.read_parquet(out)) == 96
    assert "is there already" in run_cli("export", "jepx-spot", out).err
    assert run_cli("export", "jepx-spot", out, "--force").code == 0


def test_a_damaged_store_is_found(run_cli: RunCli, store: Store, tmp_path: Path) -> None:
    run_cli("import", write_jepx(tmp_path / "spot.csv"))
    (partition,) = (tmp_path / "data" / "store" / "jepx-spot").glob("*.parquet")
    content = bytearray(partition.read_bytes())
    content[len(content) // 2] ^= 1
    partition.write_bytes(content)
    run = run_cli("verify")
    assert run.code == 2
    assert "jepx-spot" in run.out


def test_removing_asks_and_removes(run_cli: RunCli, store: Store, tmp_path: Path) -> None:
    run_cli("import", write_jepx(tmp_path / "spot.csv"))
    assert "no absent in the store" in run_cli("remove", "absent", "--yes").err
    assert run_cli("remove", "jepx-spot", "--yes").code == 0
    assert store.names() == []


@pytest.mark.parametrize("command", ["describe", "export"])
def test_an_unknown_name_is_one_error(run_cli: RunCli, tmp_path: Path, command: str) -> None:
    arguments = (command, "absent", *([tmp_path / "x.csv"] if command == "export" else []))
    run = run_cli(*arguments)
    assert run.code == 2
    assert "absent" in run.err


def test_a_journal_that_is_none_is_one_error(run_cli: RunCli, tmp_path: Path) -> None:
    run = run_cli("calibrate", "--journal", tmp_path / "no.sqlite", "--site", "japan_pilot")
    assert run.code == 2
    assert "no journal at" in run.err

"""Import of ten JEPX years, and load of a year of five minutes, beside plain pandas.

    python benchmarks/data.py            table
    python benchmarks/data.py --json     the same as JSON

The files are synthetic, in the exchange's format. Each figure is measured in a process of its own,
which also gives its peak memory; all run one after the other, and what counts is the ratio.
"""

import argparse
import json
import multiprocessing
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gridhash.data.import_files import import_files
from gridhash.data.readers.recognise import read_file
from gridhash.data.schema import COLUMNS
from gridhash.data.store.store import Store
from gridhash.data.trace import Trace

N_YEARS = 10
HEADER = (
    "受渡日,時刻コード,売り入札量(kWh),買い入札量(kWh),約定総量(kWh),システムプライス(円/kWh),"
    + ",".join(
        f"エリアプライス{area}(円/kWh)"
        for area in ("北海道", "東北", "東京", "中部", "北陸", "関西", "中国", "四国", "九州")
    )
    + ",売りブロック入札総量(kWh),売りブロック約定総量(kWh),買いブロック入札総量(kWh),"
    "買いブロック約定総量(kWh)"
)


def write_years(folder: Path) -> list[Path]:
    """Write ten fiscal years of spot summaries, cp932 and CRLF; return their paths."""
    rng, paths = np.random.default_rng(1), []
    for year in range(2014, 2014 + N_YEARS):
        first, n_days = date(year, 4, 1), (date(year + 1, 4, 1) - date(year, 4, 1)).days
        prices = np.round(rng.lognormal(2.3, 0.5, (n_days * 48, 10)), 2)
        # The exchange took bids in steps of 500 kWh until September 2018, of 50 kWh since.
        step_kwh = 50 if year >= 2018 else 500
        contract = rng.integers(10_000, 30_000, n_days * 48) * step_kwh
        rows = [HEADER]
        for i, (row, kwh) in enumerate(zip(prices, contract, strict=True)):
            day = first + timedelta(days=i // 48)
            numbers = ",".join(f"{price:.2f}" for price in row)
            rows.append(
                f"{day:%Y/%m/%d},{i % 48 + 1},{kwh + 5_000_000},{kwh + 2_000_000},{kwh},{numbers},"
                "4992500,1315000,1037000,715500"
            )
        path = folder / f"spot_summary_{year}.csv"
        path.write_bytes(("\r\n".join(rows) + "\r\n").encode("cp932"))
        paths.append(path)
    return paths


def year_of_five_minutes() -> Trace:
    """Return 105,120 rows × 20 columns."""
    starts = pd.date_range("2023-01-01", periods=105_120, freq="5min", tz="UTC", unit="s")
    rng = np.random.default_rng(2)
    columns = {column.name: rng.uniform(0.5, 0.9, len(starts)) for column in COLUMNS[:20]}
    columns["hashprice_usd_per_phs_day"] = columns["difficulty"] = np.full(len(starts), 50.0)
    columns["currency_per_usd"] = np.full(len(starts), 1.0)
    for name in columns:
        if name.endswith("price_per_kwh"):
            columns[name] = rng.normal(0.05, 0.02, len(starts))
    return Trace(
        frame=pd.DataFrame(columns, index=starts),
        period_s=300,
        currency="USD",
        area="benchmark",
        source="benchmark",
        available_at={
            name: starts + pd.Timedelta(seconds=300 * (i % 2)) for i, name in enumerate(columns)
        },
    )


def pandas_read(paths: list[Path]) -> None:
    """Read the files the plain way: no check, no time zone."""
    for path in paths:
        pd.read_csv(path, encoding="cp932")


def gridhash_read(paths: list[Path]) -> None:
    """Read the files, with every check."""
    for path in paths:
        read_file(path)


def gridhash_import(paths: list[Path]) -> None:
    """Recognise, read, check and store the files, in a new store."""
    with tempfile.TemporaryDirectory() as folder:
        done = import_files(paths, store=Store(Path(folder)), now=datetime(2026, 1, 1, tzinfo=UTC))
    assert not any(outcome.error for outcome in done)


def load_trace(folder: Path) -> None:
    """Load the year of five minutes from the store, validated."""
    assert Store(folder).load_trace("year").n_rows == 105_120


def pandas_load(folder: Path) -> None:
    """Load the same file with pandas alone."""
    (path,) = folder.rglob("*.parquet")
    pd.read_parquet(path)


def measure(work: Callable[[Any], None], given: Any, repeats: int) -> dict[str, float]:
    """Return best and median time [s] and peak memory [MB] of a function in a new process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_measure, (work, given, repeats))


def _measure(work: Callable[[Any], None], given: Any, repeats: int) -> dict[str, float]:
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        work(given)
        times.append(time.perf_counter() - started)
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "first_s": times[0],
        "best_s": min(times),
        "median_s": statistics.median(times),
        "peak_mb": peak_mb,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        files, folder = Path(scratch) / "files", Path(scratch) / "store"
        files.mkdir()
        paths = write_years(files)
        Store(folder).save_trace("year", year_of_five_minutes())
        cases: list[tuple[str, Callable[[Any], None], Any, str]] = [
            ("ten JEPX years: pandas.read_csv", pandas_read, paths, ""),
            ("ten JEPX years: read and checked", gridhash_read, paths, "pandas_read"),
            ("ten JEPX years: imported", gridhash_import, paths, "pandas_read"),
            ("5-min year × 20: pandas.read_parquet", pandas_load, folder, ""),
            ("5-min year × 20: Trace from store", load_trace, folder, "pandas_load"),
        ]
        figures: dict[str, dict[str, float]] = {}
        for name, work, given, beside in cases:
            found = measure(work, given, args.repeats)
            base = next((figures[n] for n, w, _, _ in cases if w.__name__ == beside), None)
            found["ratio"] = found["median_s"] / base["median_s"] if base else 1.0
            figures[name] = found
    if args.json:
        print(json.dumps(figures, indent=1))
        return
    print("| case | first [s] | best [s] | median [s] | × pandas | peak [MB] |")
    print("|---|---|---|---|---|---|")
    for name, found in figures.items():
        print(
            f"| {name} | {found['first_s']:.3f} | {found['best_s']:.3f} | "
            f"{found['median_s']:.3f} | {found['ratio']:.2f} | {found['peak_mb']:.0f} |"
        )


if __name__ == "__main__":
    main()

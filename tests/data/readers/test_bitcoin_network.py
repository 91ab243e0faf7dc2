"""Coin Metrics and mempool.space: units, the day of a stamp, and what must fit together."""

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gridhash.data.import_files import import_files
from gridhash.data.readers.bitcoin_network import FORMATS
from gridhash.data.store.store import Store
from gridhash.errors import DataError, FileFormatError, TimeGridError

DIFFICULTY = 75.5e12
HEADER = "time,AdrActCnt,BlkCnt,FeeTotNtv,HashRate,IssTotNtv,IssTotUSD,PriceUSD,TxCnt"


def coin_metrics(first: date = date(2024, 2, 1), n: int = 40, subsidy: float = 6.25) -> str:
    """Return days at one difficulty with 140 to 148 blocks; the last has a price only."""
    lines = [HEADER]
    for k in range(n):
        day, blocks, price = first + timedelta(days=k), 140 + k % 9, 43000.125 + 111.5 * k
        fees = 20.12345678 + k / 7
        ths = DIFFICULTY * 2**32 * blocks / 86400 / 1e12
        issued = blocks * subsidy
        lines.append(
            f"{day},{800000 + k},{blocks},{fees:.8f},{ths:.6f},{issued:g},{issued * price:.6f},"
            f"{price},{400000 + k}"
        )
    day = first + timedelta(days=n)
    return "\n".join([*lines, f"{day},,,,,,,51000.5,"]) + "\n"


def test_figures_of_a_day_with_their_units(read_market: Any) -> None:
    (table,) = read_market(FORMATS, "btc.csv", coin_metrics())

    first = table.frame.iloc[0]
    phs = DIFFICULTY * 2**32 * 140 / 86400 / 1e15
    assert (table.dataset, table.period_s, table.currency) == ("coin-metrics-btc", 86400, None)
    assert table.starts[0] == pd.Timestamp("2024-02-01T00:00Z")
    assert first["network_hashrate_phs@bitcoin"] == pytest.approx(phs)
    assert first["hashprice_usd_per_phs_day@bitcoin"] == pytest.approx(
        (140 * 6.25 + 20.12345678) * 43000.125 / phs
    )
    assert first["n_blocks@bitcoin"] == 140


def test_day_is_known_at_its_end(read_market: Any) -> None:
    (table,) = read_market(FORMATS, "btc.csv", coin_metrics())

    known = table.available_at["hashprice_usd_per_phs_day@bitcoin"]
    assert (known == table.starts + pd.Timedelta(days=1)).all()


def test_values_that_are_not_out_yet_are_nan(read_market: Any) -> None:
    (table,) = read_market(FORMATS, "btc.csv", coin_metrics())

    assert table.frame.iloc[-1].notna().tolist() == [True, False, False, False, False, False]


def test_answer_of_the_interface_has_asset_and_instants(read_market: Any) -> None:
    (expected,) = read_market(FORMATS, "btc.csv", coin_metrics())
    lines = coin_metrics().splitlines()
    text = "asset," + HEADER + "\n"
    for line in lines[1:]:
        day, rest = line.split(",", 1)
        text += f"btc,{day}T00:00:00.000000000Z,{rest}\n"

    (table,) = read_market(FORMATS, "x.csv", text)

    pd.testing.assert_frame_equal(table.frame, expected.frame)
    with pytest.raises(FileFormatError, match=r"line 2, column asset.*'eth': btc is expected"):
        read_market(FORMATS, "x.csv", text.replace("btc", "eth"))


def test_rows_before_2014_are_left_out(read_market: Any) -> None:
    lines = coin_metrics(date(2013, 12, 31), 1).splitlines()[:2]
    lines += ["2014-01-01,138733,159,12.5,9329.1,3975,3062142,770.35,37000"]

    (table,) = read_market(FORMATS, "btc.csv", "\n".join(lines) + "\n")

    assert table.starts.tolist() == [pd.Timestamp("2014-01-01T00:00Z")]


def test_issuance_on_the_day_of_a_halving_is_between(read_market: Any) -> None:
    text = coin_metrics(date(2020, 5, 10), 3, 12.5)
    price = {"2020-05-11": 8700, "2020-05-10": 8700, "2020-05-12": 8700, "2020-05-13": 8700}
    lines = [HEADER]
    for line in text.splitlines()[1:4]:
        cells = line.split(",")
        cells[5] = {"2020-05-10": "1750", "2020-05-11": "1281.25", "2020-05-12": "887.5"}[cells[0]]
        cells[4] = f"{float(cells[4]) / 4.7:.6f}"
        cells[7] = str(price[cells[0]])
        cells[6] = str(float(cells[5]) * 8700)
        lines.append(",".join(cells))

    (table,) = read_market(FORMATS, "btc.csv", "\n".join(lines) + "\n")

    assert table.column("issuance_btc@bitcoin").tolist() == [1750.0, 1281.25, 887.5]


def cell_of(day: str, column: str, value: str) -> Callable[[str], str]:
    def change(text: str) -> str:
        at = HEADER.split(",").index(column)
        lines = text.splitlines()
        for i, line in enumerate(lines):
            cells = line.split(",")
            if cells[0] == day:
                cells[at] = value
                lines[i] = ",".join(cells)
        return "\n".join(lines) + "\n"

    return change


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (cell_of("2024-02-05", "IssTotNtv", "1125"), DataError, "line 6.*not 144 blocks of 6.25"),
        (cell_of("2024-02-05", "HashRate", "1e9"), DataError, "line 6.*'1e9': not a number"),
        (cell_of("2024-02-05", "HashRate", "5404871"), DataError, "line 6.*difficulty"),
        (cell_of("2024-02-05", "PriceUSD", "434"), DataError, "line 6.*what 2024 saw"),
        (cell_of("2024-02-05", "BlkCnt", "14"), DataError, "line 6.*no number of blocks"),
        (cell_of("2024-02-05", "IssTotUSD", "1"), DataError, "line 6.*not the coins times"),
        (cell_of("2024-02-05", "time", "2024-02-06"), TimeGridError, "line 6.*1 row.s. are mis"),
        (lambda t: t.replace("FeeTotNtv", "FeeTotUSD"), FileFormatError, "FeeTotNtv are missing"),
    ],
)
def test_what_does_not_fit_is_named(
    read_market: Any, change: Callable[[str], str], error: type[DataError], message: str
) -> None:
    with pytest.raises(error, match=message):
        read_market(FORMATS, "btc.csv", change(coin_metrics()))


def test_no_damaged_file_gives_a_wrong_table(fuzz: Any) -> None:
    outcomes = fuzz(FORMATS, "btc.csv", coin_metrics(), n=310)

    assert outcomes["refused"] > 150


def test_real_series_reads_as_the_reference_has_it(read_market: Any, reference_data: Path) -> None:
    frame = pd.read_csv(reference_data / "data" / "btc_network_daily_2015-2025-03.csv")
    text = pd.DataFrame(
        {
            "time": frame["date_utc"],
            "BlkCnt": frame["blocks"],
            "FeeTotNtv": frame["fees_btc"].map("{:.8f}".format),
            "HashRate": frame["hashrate_ths"].map("{:.6f}".format),
            "IssTotNtv": frame["issuance_btc"],
            "PriceUSD": frame["price_usd"].map("{:.10f}".format),
        }
    ).to_csv(index=False)

    (table,) = read_market(FORMATS, "btc.csv", text)

    hashprice = table.column("hashprice_usd_per_phs_day@bitcoin")
    np.testing.assert_allclose(hashprice, frame["hashprice_usd_per_ph_day_actual"], rtol=1e-6)


def mempool(n: int = 30) -> dict[str, Any]:
    """Return days around 540 EH/s, from the stamp of 2024-03-02, over two retargets."""
    stamps = [1709337600 + 86400 * k for k in range(n)]
    return {
        "hashrates": [
            {"timestamp": s, "avgHashrate": 5.4e20 + 1e18 * k} for k, s in enumerate(stamps)
        ],
        "difficulty": [
            {"time": 1708035860, "height": 830592, "difficulty": 8.0e13, "adjustment": 1.058},
            {"time": 1709201460, "height": 832608, "difficulty": 7.9e13, "adjustment": 0.9875},
            {"time": 1710421460, "height": 834624, "difficulty": 8.39e13, "adjustment": 1.062025},
        ],
        "currentHashrate": 5.6e20,
        "currentDifficulty": 8.39e13,
    }


def test_stamp_of_mempool_is_the_end_of_its_day(read_market: Any) -> None:
    rates, _ = read_market(FORMATS, "x.json", json.dumps(mempool()))

    assert (rates.dataset, rates.period_s) == ("mempool-hashrate", 86400)
    assert rates.starts[0] == pd.Timestamp("2024-03-01T00:00Z")
    known = rates.available_at["network_hashrate_phs@bitcoin"]
    assert known[0] == pd.Timestamp("2024-03-02T00:00Z")
    assert rates.frame.iloc[:2, 0].tolist() == pytest.approx([540_000.0, 541_000.0])


def test_difficulty_is_a_step_series_known_from_its_block(read_market: Any) -> None:
    _, steps = read_market(FORMATS, "x.json", json.dumps(mempool()))

    assert (steps.dataset, steps.period_s) == ("mempool-difficulty", None)
    assert steps.column("difficulty@bitcoin").tolist() == [8.0e13, 7.9e13, 8.39e13]
    assert (steps.available_at["difficulty@bitcoin"] == steps.starts).all()


def test_file_with_one_wrong_difficulty_is_stored_not_at_all(tmp_path: Path) -> None:
    store, path = Store(tmp_path / "store"), tmp_path / "hashrate.json"

    def error(content: dict[str, Any]) -> str:
        path.write_text(json.dumps(content), "utf-8")
        (done,) = import_files([path], store=store, now=datetime(2026, 1, 1, tzinfo=UTC))
        return done.error

    assert error(mempool(20)) == ""
    before = store.manifest()
    longer = mempool(30)
    longer["difficulty"][0]["difficulty"] *= 1.00001
    assert "differ from those stored" in error(longer)
    assert store.manifest() == before


def test_sample_of_the_documentation(read_market: Any) -> None:
    text = """{"hashrates": [{"timestamp": 1652486400, "avgHashrate": 236499762108771800000},
      {"timestamp": 1652572800, "avgHashrate": 217473276787331300000},
      {"timestamp": 1652659200, "avgHashrate": 189877203506913000000}],
      "difficulty": [{"timestamp": 1652468330, "difficulty": 31251101365711.12, "height": 736249}],
      "currentHashrate": 252033247355212300000, "currentDifficulty": 31251101365711.12}"""

    rates, _ = read_market(FORMATS, "x.json", text)

    assert rates.frame.iloc[:, 0].tolist() == pytest.approx([236499.76, 217473.277, 189877.2035])


@pytest.mark.parametrize(
    ("path", "value", "error", "message"),
    [
        (("hashrates", 3, "avgHashrate"), 5.4e19, DataError, "finds 14 blocks a day"),
        (("hashrates", 3, "avgHashrate"), True, FileFormatError, "True: not a number"),
        (("hashrates", 3, "avgHashrate"), None, FileFormatError, "None: not a number"),
        (("hashrates", 3, "timestamp"), 1709337600, TimeGridError, "not after the one before"),
        (("hashrates", 3, "timestamp"), 1709596801, TimeGridError, "no midnight in UTC"),
        (("hashrates", 3, "timestamp"), 1709596800000, FileFormatError, "whole number of seconds"),
        (("difficulty", 1, "difficulty"), 9.9e13, DataError, "adjustment do not agree"),
        (("difficulty", 1, "height"), 83260, DataError, "height against time"),
        (("difficulty", 2, "difficulty"), 8.39e16, DataError, "what 2024 saw"),
        (("hashrates",), [], FileFormatError, "a list of values"),
        (("difficulty",), {}, FileFormatError, "a list of values"),
    ],
)
def test_wrong_value_of_mempool_is_named(
    read_market: Any,
    path: tuple[Any, ...],
    value: Any,
    error: type[DataError],
    message: str,
) -> None:
    content: Any = mempool()
    node = content
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value

    with pytest.raises(error, match=message):
        read_market(FORMATS, "x.json", json.dumps(content))


def test_cut_off_json_is_refused(read_market: Any) -> None:
    text = json.dumps(mempool())
    for at in range(1, len(text) - 1, 7):
        with pytest.raises(DataError):
            read_market(FORMATS, "x.json", text[:at])

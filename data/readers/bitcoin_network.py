"""Daily figures of the Bitcoin network: Coin Metrics community data, and mempool.space.

**Coin Metrics** (CSV, one row per day in UTC): the whole file ``btc.csv`` (``time`` first, values
of a day from ``time`` on) and the answer of ``timeseries/asset-metrics`` with ``format=csv``
(``asset`` and ``time`` first). ``HashRate`` is in TH/s, ``…Ntv`` in BTC. The realised hashprice
comes with them (`gridhash.data.hashprice`). Rows before 2014, when the network was under a
hundredth of a percent of what it is now, are left out.

**mempool.space** (JSON of ``/api/v1/mining/hashrate/<period>``): hash rates in H/s, each the mean
of the 24 hours *up to* its midnight (``$generateNetworkHashrateHistory`` in mempool's back end),
and difficulty as steps with height and time of the block that set it.

A day's figures are known at its end, a difficulty from the time of its block: the chain is public.
Coin Metrics itself needs two to three hours more.
"""

import re
from collections.abc import Callable

import numpy as np
import pandas as pd

from gridhash.data.hashprice import (
    BLOCK_INTERVAL_S,
    HALVINGS,
    HASHES_PER_DIFFICULTY,
    HASHES_PER_PETAHASH,
    difficulty_of,
    realised_hashprice,
    subsidy_btc_at,
)
from gridhash.data.quantities import field
from gridhash.data.readers.cells import Cells, header_cells, read_cells
from gridhash.data.readers.formats import Format, ReadOptions
from gridhash.data.readers.json_values import is_object, number_list, rows_of, whole_list
from gridhash.data.readers.network_bounds import check_years
from gridhash.data.readers.rows import (
    Numbers,
    Seconds,
    check_consecutive,
    clock_s,
    make_table,
    to_index,
)
from gridhash.data.readers.source_file import SourceFile
from gridhash.data.source_table import SourceTable
from gridhash.errors import DataError, FileFormatError, TimeGridError

AREA = "bitcoin"
DAY_S = 86400
THS_PER_PHS = 1000.0
FIRST_DAY_S = 1_388_534_400
"""2014-01-01T00:00Z."""

COLUMNS = ("PriceUSD", "HashRate", "FeeTotNtv", "IssTotNtv", "BlkCnt")
_COIN_NUMBER = r"\d+(?:\.\d{1,8})?"
_NUMBER = r"\d+(?:\.\d+)?"
_BLOCKS = r"\d{1,3}"
_DAY = r"\d{4}-\d{2}-\d{2}"

DAILY_BLOCKS = (40.0, 260.0)
"""Least and greatest blocks of a day since 2014 (58 on 2021-06-27), with a margin."""

MAX_DIFFICULTY_STEP = 4.0
"""A retarget changes difficulty by this factor at most (Bitcoin's proof of work)."""


def sign_coin_metrics(file: SourceFile) -> str | None:
    """Return why this is a file of Coin Metrics, or None."""
    if file.text is None:
        return None
    names = header_cells(file.text, 1)
    if "time" not in names or not {"HashRate", "IssTotNtv", "FeeTotNtv"} & set(names):
        return None
    return f"the header has time and {', '.join(name for name in COLUMNS if name in names)}"


def read_coin_metrics(file: SourceFile, options: ReadOptions) -> tuple[SourceTable, ...]:
    """Return price, hash rate, fees, issuance, blocks and realised hashprice of each day.

    Raises
    ------
    FileFormatError
        If a needed metric is missing, or the asset is not Bitcoin.
    TimeGridError
        If a day is missing, doubled or out of order.
    DataError
        If a value is no number, issuance is not blocks × subsidy, the hash rate does not fit
        difficulty and blocks, or a price is one that its year never saw.
    """
    assert file.text is not None
    cells = read_cells(file.text, header_line=1)
    missing = [name for name in COLUMNS if name not in cells.names]
    if missing:
        raise FileFormatError(
            f"{file.path} line 1: the metrics {', '.join(missing)} are missing; ask for "
            f"{','.join(COLUMNS)}"
        )
    if "asset" in cells.names:
        codes, assets = cells.codes(cells.at("asset"))
        if assets != ["btc"]:
            row = int(np.argmax(codes == next(i for i, a in enumerate(assets) if a != "btc")))
            raise FileFormatError(f"{cells.where(row, cells.at('asset'))}: btc is expected")
    starts_s = _days_s(cells, cells.at("time"))
    check_consecutive(cells, cells.at("time"), starts_s, DAY_S)
    cells = cells.keep(starts_s >= FIRST_DAY_S)
    starts_s = starts_s[starts_s >= FIRST_DAY_S]
    if not starts_s.size:
        raise DataError(f"{file.path}: there are no days since 2014")
    patterns = (_NUMBER, _NUMBER, _COIN_NUMBER, _COIN_NUMBER, _BLOCKS)
    price, ths, fees, issuance, blocks = (
        cells.numbers(cells.at(name), pattern=pattern, missing=("",))
        for name, pattern in zip(COLUMNS, patterns, strict=True)
    )
    starts, phs = to_index(starts_s), ths / THS_PER_PHS
    _check_coin_metrics(cells, starts, price, phs, fees, issuance, blocks)
    _check_dollars(cells, price, fees, issuance)
    hashprice = realised_hashprice(issuance, fees, price, phs)
    check_years(starts, hashprice, "hashprice_usd_per_phs_day", _at(cells, "HashRate"))
    return (
        make_table(
            file,
            "coin-metrics",
            "coin-metrics-btc",
            starts,
            {
                field("btc_price_usd", AREA): price,
                field("network_hashrate_phs", AREA): phs,
                field("fees_btc", AREA): fees,
                field("issuance_btc", AREA): issuance,
                field("n_blocks", AREA): blocks,
                field("hashprice_usd_per_phs_day", AREA): hashprice,
            },
            to_index(starts_s + DAY_S),
            period_s=DAY_S,
        ),
    )


def _days_s(cells: Cells, at: int) -> Seconds:
    """Return the column of days: ``2024-04-01``, or ``2024-04-01T00:00:00.000000000Z``."""
    if "T" in cells.text(at)[0]:
        pattern, form = _DAY + r"T00:00:00\.000000000Z", "%Y-%m-%dT%H:%M:%S.%fZ"
    else:
        pattern, form = _DAY, "%Y-%m-%d"
    return clock_s(cells, at, pattern=pattern, form=form, example="2024-04-01")


def _at(cells: Cells, name: str) -> Callable[[int], str]:
    return lambda row: cells.where(row, cells.at(name))


def _check_coin_metrics(
    cells: Cells,
    starts: pd.DatetimeIndex,
    price: Numbers,
    phs: Numbers,
    fees: Numbers,
    issuance: Numbers,
    blocks: Numbers,
) -> None:
    check_years(starts, price, "btc_price_usd", _at(cells, "PriceUSD"))
    wrong = np.flatnonzero((blocks < DAILY_BLOCKS[0]) | (blocks > DAILY_BLOCKS[1]))
    if wrong.size:
        raise DataError(f"{_at(cells, 'BlkCnt')(int(wrong[0]))}: no number of blocks of a day")
    difficulty = difficulty_of(phs, blocks)
    check_years(starts, difficulty, "difficulty", _at(cells, "HashRate"))
    ratio = difficulty[1:] / difficulty[:-1]
    wrong = np.flatnonzero((ratio < 0.6) | (ratio > 1.7))
    if wrong.size:
        raise DataError(
            f"{_at(cells, 'HashRate')(int(wrong[0]) + 1)}: with the blocks of the day, difficulty "
            f"would have changed by a factor of {ratio[wrong[0]]:.2f} since the day before"
        )
    days = [day.to_pydatetime() for day in starts]
    subsidy = np.array([subsidy_btc_at(day) for day in days])
    least = np.where(np.isin(starts, pd.DatetimeIndex(HALVINGS).normalize()), subsidy / 2, subsidy)
    # Some early miners claimed less than their due; Coin Metrics' days end by block times.
    slack = 2.0 * subsidy
    wrong = np.flatnonzero(
        (issuance < blocks * least - slack) | (issuance > blocks * subsidy + slack)
    )
    if wrong.size:
        row = int(wrong[0])
        raise DataError(
            f"{_at(cells, 'IssTotNtv')(row)}: not {blocks[row]:g} blocks of {subsidy[row]:g} BTC"
        )
    _check_satoshi(cells, fees)
    wrong = np.flatnonzero(fees > 5.0 * issuance)
    if wrong.size:
        raise DataError(f"{_at(cells, 'FeeTotNtv')(int(wrong[0]))}: fees above all that were paid")


def _check_satoshi(cells: Cells, fees: Numbers) -> None:
    """Raise if all fees lack the last decimal, as they would after a multiplication."""
    texts = [text for text in cells.text(cells.at("FeeTotNtv")) if text]
    if len(texts) >= 20 and not any(re.fullmatch(r"\d+\.\d{7}[1-9]", text) for text in texts):
        raise DataError(
            f"{cells.path}, column FeeTotNtv: no value has all eight decimals of a coin, such as "
            f"{texts[0]!r}; the unit may have been changed, get the original file"
        )
    if np.isfinite(fees).sum() != len(texts):
        raise FileFormatError(f"{cells.path}, column FeeTotNtv: a value cannot be read")


def _check_dollars(cells: Cells, price: Numbers, fees: Numbers, issuance: Numbers) -> None:
    """Raise unless the same sums in dollars, where the file has them, are coins × price."""
    for name, coins in (("IssTotUSD", issuance), ("FeeTotUSD", fees)):
        if name not in cells.names:
            continue
        usd = cells.numbers(cells.at(name), pattern=_NUMBER, missing=("",))
        wrong = np.flatnonzero(np.abs(usd - coins * price) > 0.01 * usd + 1.0)
        if wrong.size:
            raise DataError(f"{_at(cells, name)(int(wrong[0]))}: not the coins times PriceUSD")


def sign_mempool(file: SourceFile) -> str | None:
    """Return why this is mempool.space's history of hash rates, or None."""
    start = "" if file.text is None else file.text.text[:200].lstrip()
    if not (start.startswith("{") and '"hashrates"' in start):
        return None
    return "the JSON object begins with hashrates"


def read_mempool(file: SourceFile, options: ReadOptions) -> tuple[SourceTable, ...]:
    """Return the hash rate of each day, and difficulty as a step series.

    Raises
    ------
    FileFormatError
        If the JSON is not of this form.
    TimeGridError
        If a stamp is no midnight in UTC, or doubled or out of order.
    DataError
        If a hash rate does not fit the difficulty of its day, or a difficulty its adjustment.
    """
    content = file.json
    if not is_object(content, "hashrates", "difficulty"):
        raise FileFormatError(f"{file.path}: an object with hashrates and difficulty is expected")
    rates = rows_of(file, content["hashrates"], "hashrates", "timestamp", "avgHashrate")
    ends_s = whole_list(file, [row["timestamp"] for row in rates], "hashrates.timestamp")
    phs = number_list(file, [row["avgHashrate"] for row in rates], "hashrates.avgHashrate")
    phs = phs / HASHES_PER_PETAHASH
    _check_stamps(file, ends_s, "hashrates", DAY_S)
    steps = rows_of(file, content["difficulty"], "difficulty", "height", "difficulty")
    times = [row.get("time", row.get("timestamp")) for row in steps]
    times_s = whole_list(file, times, "difficulty.time")
    heights = whole_list(file, [row["height"] for row in steps], "difficulty.height")
    difficulty = number_list(file, [row["difficulty"] for row in steps], "difficulty.difficulty")
    _check_stamps(file, times_s, "difficulty", 1)
    _check_difficulty(file, steps, times_s, heights, difficulty)
    _check_hashrate(file, ends_s, phs, times_s, difficulty)
    known = to_index(ends_s)
    return (
        make_table(
            file,
            "mempool",
            "mempool-hashrate",
            to_index(ends_s - DAY_S),
            {field("network_hashrate_phs", AREA): phs},
            known,
            period_s=DAY_S,
        ),
        make_table(
            file,
            "mempool",
            "mempool-difficulty",
            to_index(times_s),
            {field("difficulty", AREA): difficulty},
            to_index(times_s),
            period_s=None,
        ),
    )


def _check_stamps(file: SourceFile, stamps_s: Seconds, where: str, grid_s: int) -> None:
    off = np.flatnonzero(stamps_s % grid_s)
    if off.size:
        raise TimeGridError(
            f"{file.path}, {where}[{off[0]}], value {stamps_s[off[0]]}: no midnight in UTC"
        )
    falls = np.flatnonzero(np.diff(stamps_s) <= 0)
    if falls.size:
        raise TimeGridError(
            f"{file.path}, {where}[{falls[0] + 1}], value {stamps_s[falls[0] + 1]}: not after the "
            "one before it"
        )


def _check_difficulty(
    file: SourceFile,
    steps: list[dict[str, object]],
    times_s: Seconds,
    heights: Seconds,
    difficulty: Numbers,
) -> None:
    def where(row: int) -> str:
        return f"{file.path}, difficulty[{row}]"

    check_years(to_index(times_s), difficulty, "difficulty", where)
    ratio = difficulty[1:] / difficulty[:-1]
    adjustments = number_list(
        file, [row.get("adjustment") for row in steps], "difficulty.adjustment", may_lack=True
    )[1:]
    blocks = np.diff(heights)
    expected_blocks = np.diff(times_s) / BLOCK_INTERVAL_S
    for wrong, problem in (
        ((ratio > MAX_DIFFICULTY_STEP) | (ratio < 1 / MAX_DIFFICULTY_STEP), "a step above 4"),
        (np.abs(adjustments - ratio) > 1e-4, "difficulty and adjustment do not agree"),
        ((blocks < expected_blocks / 3) | (blocks > expected_blocks * 3), "height against time"),
    ):
        if wrong.any():
            raise DataError(f"{where(int(np.argmax(wrong)) + 1)}: {problem}; get the original file")


def _check_hashrate(
    file: SourceFile, ends_s: Seconds, phs: Numbers, times_s: Seconds, difficulty: Numbers
) -> None:
    """Raise unless each hash rate finds a plausible number of blocks at its difficulty."""
    step = np.searchsorted(times_s, ends_s, side="right") - 1
    # A difficulty may change within the day: the one at its beginning counts as well.
    before = np.maximum(np.searchsorted(times_s, ends_s - DAY_S, side="right") - 1, 0)
    blocks = [
        phs * HASHES_PER_PETAHASH * DAY_S / (HASHES_PER_DIFFICULTY * difficulty[np.maximum(at, 0)])
        for at in (step, before)
    ]
    low, high = DAILY_BLOCKS
    wrong = (np.maximum(*blocks) < low) | (np.minimum(*blocks) > high)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise DataError(
            f"{file.path}, hashrates[{row}]: {phs[row]:g} PH/s finds {blocks[0][row]:.0f} blocks a "
            "day at the difficulty of that time; the unit may have been changed"
        )


FORMATS = (
    Format(
        "coin-metrics",
        "Coin Metrics community data of Bitcoin",
        "coin-metrics",
        sign_coin_metrics,
        read_coin_metrics,
    ),
    Format(
        "mempool-hashrate",
        "mempool.space hash rate and difficulty",
        "mempool",
        sign_mempool,
        read_mempool,
    ),
)

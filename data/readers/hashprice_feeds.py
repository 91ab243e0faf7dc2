"""Hashprices as published: Braiins Insights and Luxor's Hashrate Index, JSON.

**Braiins**, ``/v1.0/hashrate-value-history``: ``hashrate_price`` and ``hashrate_value`` are lists
of ``x`` (day) and ``y`` (USD and satoshi per TH and day); names as two public programs read them,
not verified against the live server. The site rounds its hashprice to 0.001 USD/TH/day, a step of
1 USD/PH/day, 2 % of the hashprice of 2025: for accounts compute it from the network's figures
(`gridhash.data.hashprice`). ``hashrate-stats`` names no time and is refused.

**Luxor**, ``/v1/hashrateindex/hashprice`` asked with ``currency=USD&hashunit=PHS``: ``data`` is a
list of ``timestamp`` and ``price``; the GraphQL query ``getHashprice`` gives ``nodes`` of
``timestamp`` and ``usdHashprice`` per TH and day, as in Luxor's own Python client. Neither was
verified against the live server, and the answer does not name its unit: what the network earned in
that year tells them apart.

A value counts as known at the end of its day or bucket.
"""

import re
from datetime import datetime
from typing import Any

import numpy as np

from gridhash.data.quantities import field
from gridhash.data.readers.formats import Format, ReadOptions
from gridhash.data.readers.json_values import is_object, number_list, rows_of
from gridhash.data.readers.network_bounds import check_years
from gridhash.data.readers.rows import Numbers, Seconds, make_table, to_index
from gridhash.data.readers.source_file import SourceFile
from gridhash.data.source_table import SourceTable
from gridhash.errors import DataError, FileFormatError, TimeGridError

COLUMN = field("hashprice_usd_per_phs_day", "bitcoin")
DAY_S = 86400
THS_PER_PHS = 1000.0
BUCKETS_S = {300: "5min", 900: "15min", 1800: "30min", 3600: "hour", DAY_S: "day"}

_DAY = re.compile(r"\d{4}-\d\d-\d\d(?:T00:00:00(?:\.0+)?(?:Z|\+00:00)?)?", re.ASCII)
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.0{1,6})?(?:Z|\+00:00)", re.ASCII)


def sign_braiins(file: SourceFile) -> str | None:
    """Return why this is an answer of Braiins Insights, or None."""
    start = _start(file)
    for name in ("hashrate_price", "hashrate_value", "hash_price"):
        if f'"{name}"' in start:
            return f"the JSON object has {name}"
    return None


def read_braiins(file: SourceFile, options: ReadOptions) -> tuple[SourceTable, ...]:
    """Return the hashprice of each day.

    Raises
    ------
    FileFormatError
        If the JSON is not of this form, or is a state without time.
    TimeGridError
        If a day is missing, doubled or out of order.
    DataError
        If a value is none that its year saw.
    """
    content = file.json
    if is_object(content, "hash_price"):
        raise FileFormatError(
            f"{file.path}: the state of now, without its time; fetch the history instead"
        )
    if not is_object(content, "hashrate_price"):
        raise FileFormatError(f"{file.path}: an object with hashrate_price is expected")
    rows = rows_of(file, content["hashrate_price"], "hashrate_price", "x", "y")
    starts_s = _times_s(file, [row["x"] for row in rows], "hashrate_price.x", _DAY)
    wrong = np.flatnonzero(np.diff(starts_s) != DAY_S)
    if wrong.size:
        row = int(wrong[0]) + 1
        raise TimeGridError(
            f"{file.path}, hashrate_price[{row}], value {rows[row]['x']!r}: not the day after the "
            "value before it"
        )
    usd_per_ths = number_list(file, [row["y"] for row in rows], "hashrate_price.y")
    return (
        _table(file, "braiins", "braiins-hashprice", starts_s, usd_per_ths * THS_PER_PHS, DAY_S),
    )


def sign_luxor(file: SourceFile) -> str | None:
    """Return why this is an answer of Luxor's Hashrate Index, or None."""
    start = _start(file)
    if '"data"' not in start or '"timestamp"' not in start:
        return None
    if '"getHashprice"' in start:
        return "the JSON object has data.getHashprice"
    return "the JSON object has data with timestamp and price" if '"price"' in start else None


def read_luxor(file: SourceFile, options: ReadOptions) -> tuple[SourceTable, ...]:
    """Return the hashprice of each bucket: 5, 15 or 30 minutes, an hour or a day.

    Raises
    ------
    FileFormatError
        If the JSON is not of this form.
    TimeGridError
        If times are not of one order and grid, or there is one only.
    DataError
        If a value is none that its year saw, as with another unit or currency.
    """
    content = file.json
    data: Any = content.get("data") if is_object(content, "data") else None
    if is_object(data, "getHashprice") and is_object(data["getHashprice"], "nodes"):
        rows = rows_of(file, data["getHashprice"]["nodes"], "nodes", "timestamp", "usdHashprice")
        name, factor = "usdHashprice", THS_PER_PHS
    else:
        rows = rows_of(file, data, "data", "timestamp", "price")
        name, factor = "price", 1.0
    starts_s = _times_s(file, [row["timestamp"] for row in rows], "timestamp", _INSTANT)
    prices = number_list(file, [row[name] for row in rows], name) * factor
    if starts_s[0] > starts_s[-1]:
        starts_s, prices = starts_s[::-1], prices[::-1]
    steps = np.diff(starts_s)
    period_s = int(steps.min()) if steps.size else 0
    if period_s not in BUCKETS_S or np.any(steps % period_s) or np.any(starts_s % period_s):
        raise TimeGridError(
            f"{file.path}: the times are not rising on one grid of {', '.join(BUCKETS_S.values())}"
        )
    dataset = f"luxor-hashprice-{BUCKETS_S[period_s]}"
    return (_table(file, "luxor", dataset, starts_s, prices, period_s),)


def _start(file: SourceFile) -> str:
    start = "" if file.text is None else file.text.text[:1000].lstrip()
    return start if start.startswith("{") else ""


def _times_s(file: SourceFile, texts: list[Any], where: str, pattern: re.Pattern[str]) -> Seconds:
    return np.array([_time_s(file, f"{where}[{i}]", t, pattern) for i, t in enumerate(texts)])


def _time_s(file: SourceFile, where: str, text: Any, pattern: re.Pattern[str]) -> int:
    try:
        if isinstance(text, str) and pattern.fullmatch(text):
            plain = text.removesuffix("Z").removesuffix("+00:00") + "+00:00"
            plain = plain if "T" in plain else plain.replace("+", "T00:00:00+")
            return int(datetime.fromisoformat(plain).timestamp())
    except ValueError:
        pass
    raise DataError(f"{file.path}, {where}, value {text!r}: not a time in UTC as expected")


def _table(
    file: SourceFile,
    publisher: str,
    dataset: str,
    starts_s: Seconds,
    prices: Numbers,
    period_s: int,
) -> SourceTable:
    starts = to_index(starts_s)
    check_years(
        starts, prices, "hashprice_usd_per_phs_day", lambda row: f"{file.path}, value {row + 1}"
    )
    known = to_index(starts_s + period_s)
    return make_table(file, publisher, dataset, starts, {COLUMN: prices}, known, period_s=period_s)


FORMATS = (
    Format("braiins-hashprice", "Braiins hashprice", "braiins", sign_braiins, read_braiins),
    Format("luxor-hashprice", "Luxor hashprice", "luxor", sign_luxor, read_luxor),
)

"""Braiins and Luxor: units per TH and PH, order of times, and years that tell them apart."""

import json
from typing import Any

import pandas as pd
import pytest

from gridhash.data.readers.hashprice_feeds import FORMATS
from gridhash.errors import DataError, FileFormatError, TimeGridError

COLUMN = "hashprice_usd_per_phs_day@bitcoin"
DAYS = [f"2024-07-{day:02d}" for day in range(1, 11)]


def braiins() -> dict[str, Any]:
    points = [{"x": f"{day}T00:00:00", "y": 0.05 + 0.001 * k} for k, day in enumerate(DAYS)]
    values = [{"x": f"{day}T00:00:00", "y": 81.2} for day in DAYS]
    return {"hashrate_price": points, "hashrate_value": values}


def luxor(price: float = 51.25) -> dict[str, Any]:
    points = [
        {"timestamp": f"2024-07-01T{hour:02d}:00:00Z", "price": price + hour / 8}
        for hour in range(24)
    ]
    return {"data": points}


def graphql() -> dict[str, Any]:
    nodes = [{"timestamp": f"{day}T00:00:00+00:00", "usdHashprice": 0.0515} for day in DAYS]
    return {"data": {"getHashprice": {"nodes": nodes}}}


def test_history_of_braiins_is_per_terahash(read_market: Any) -> None:
    (table,) = read_market(FORMATS, "x.json", json.dumps(braiins()))

    assert (table.dataset, table.period_s) == ("braiins-hashprice", 86400)
    assert table.starts[0] == pd.Timestamp("2024-07-01T00:00Z")
    assert table.column(COLUMN)[:2].tolist() == pytest.approx([50.0, 51.0])
    assert table.available_at[COLUMN][0] == pd.Timestamp("2024-07-02T00:00Z")


def test_state_of_braiins_has_no_time(read_market: Any) -> None:
    state = {"hash_price": 0.051, "hash_value": 8.1e-7, "current_hashrate": 612.3}

    with pytest.raises(FileFormatError, match="without its time; fetch the history"):
        read_market(FORMATS, "x.json", json.dumps(state))


def test_rest_answer_of_luxor_is_per_petahash(read_market: Any) -> None:
    (table,) = read_market(FORMATS, "x.json", json.dumps(luxor()))

    assert (table.dataset, table.period_s) == ("luxor-hashprice-hour", 3600)
    assert table.column(COLUMN)[:2].tolist() == [51.25, 51.375]
    assert table.available_at[COLUMN][0] == pd.Timestamp("2024-07-01T01:00Z")


def test_newest_first_is_turned_round(read_market: Any) -> None:
    content = luxor()
    (expected,) = read_market(FORMATS, "x.json", json.dumps(content))
    content["data"].reverse()

    (table,) = read_market(FORMATS, "x.json", json.dumps(content))

    pd.testing.assert_frame_equal(table.frame, expected.frame)


def test_graphql_answer_of_luxor_is_per_terahash(read_market: Any) -> None:
    (table,) = read_market(FORMATS, "x.json", json.dumps(graphql()))

    assert table.dataset == "luxor-hashprice-day"
    assert table.column(COLUMN)[0] == pytest.approx(51.5)


@pytest.mark.parametrize("factor", [1000.0, 10.0, 0.1, 0.001, 1e-6])
def test_other_unit_or_currency_is_refused(read_market: Any, factor: float) -> None:
    with pytest.raises(DataError, match="what 2024 saw"):
        read_market(FORMATS, "x.json", json.dumps(luxor(51.25 * factor)))


def put(content: dict[str, Any], *path: Any, value: Any) -> dict[str, Any]:
    node: Any = content
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    return content


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        (put(braiins(), "hashrate_price", 3, "x", value="2024-07-03"), TimeGridError, r"\[3\]"),
        (put(braiins(), "hashrate_price", 3, "x", value="04.07.2024"), DataError, "not a time"),
        (put(braiins(), "hashrate_price", 3, "x", value="2024-02-30"), DataError, "not a time"),
        (put(braiins(), "hashrate_price", 3, "y", value="0.05"), FileFormatError, "not a number"),
        (put(braiins(), "hashrate_price", 3, "y", value=None), FileFormatError, "not a number"),
        (put(braiins(), "hashrate_price", 3, "y", value=0.5), DataError, "value 4: hashprice"),
        (put(braiins(), "hashrate_price", value=[]), FileFormatError, "a list of values"),
        (put(luxor(), "data", 3, "timestamp", value="2024-07-01T02:00:00Z"), TimeGridError, "grid"),
        (put(luxor(), "data", 3, "timestamp", value="2024-07-01T03:00:00"), DataError, "in UTC"),
        (put(luxor(), "data", value=luxor()["data"][:1]), TimeGridError, "not rising on one grid"),
        (put(graphql(), "data", "getHashprice", "nodes", value={}), FileFormatError, "a list"),
    ],
)
def test_damage_is_named(
    read_market: Any, content: dict[str, Any], error: type[DataError], message: str
) -> None:
    text = json.dumps(content)
    if '"timestamp"' not in text and '"hashrate_price"' not in text:
        text = text.replace("{}", '{"timestamp": 0}')

    with pytest.raises(error, match=message):
        read_market(FORMATS, "x.json", text)


@pytest.mark.parametrize("content", [braiins(), luxor(), graphql()])
def test_cut_off_answer_is_refused(read_market: Any, content: dict[str, Any]) -> None:
    text = json.dumps(content)
    for at in range(1, len(text) - 1, 5):
        with pytest.raises(DataError):
            read_market(FORMATS, "x.json", text[:at])

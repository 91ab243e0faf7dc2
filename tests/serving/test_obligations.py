import asyncio
import json
import os
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from gridhash.config import SiteConfig
from gridhash.serving.authority import Authority
from gridhash.serving.findings import Alarm
from gridhash.serving.obligations import (
    MAX_ORDERS,
    ObligationBook,
    SiteOrder,
    parse_order,
)
from gridhash.serving.order_folder import FILES_PER_POLL, OrderFolder, Polled
from gridhash.serving.site_inputs import SiteLinks
from gridhash.serving.site_model import SiteModel
from gridhash.serving.validation import Refused
from tests.serving.bench import START, Build

NOW = datetime(2024, 4, 2, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def order(order_id: str = "a", revision: int = 0, **changes: object) -> SiteOrder:
    fields: dict[str, object] = {
        "order_id": order_id,
        "revision": revision,
        "issued_at": NOW,
        "start": NOW,
        "end": NOW + HOUR,
        "at_most_kw": 100.0,
    }
    return SiteOrder.model_validate(fields | changes)


@pytest.fixture
def book(small_site: SiteConfig) -> ObligationBook:
    return ObligationBook(small_site, SiteModel.of(small_site).params)


def test_the_newest_word_on_an_order_counts_in_whatever_order_they_come(
    book: ObligationBook,
) -> None:
    words = [order(revision=k, at_most_kw=10.0 * k) for k in range(8)]
    rng = np.random.default_rng(1)
    for _ in range(20):
        book.take([words[k] for k in rng.permutation(8)], NOW)
    assert [own.at_most_kw for own in book.active(NOW)] == [70.0]
    later = order(revision=7, issued_at=NOW + timedelta(seconds=1), at_most_kw=5.0)
    book.take([later], NOW)
    assert [own.at_most_kw for own in book.active(NOW)] == [5.0]


def test_a_cancelled_order_stays_cancelled_when_an_older_word_comes_late(
    book: ObligationBook,
) -> None:
    book.take([order(revision=2, cancelled=True)], NOW)
    changed, refused = book.take([order(revision=1)], NOW)
    assert (changed, refused, book.active(NOW)) == ([], [], [])


def test_an_order_holds_from_its_start_to_its_end(book: ObligationBook) -> None:
    book.take([order(start=NOW + HOUR, end=NOW + 2 * HOUR)], NOW)
    at = [NOW, NOW + HOUR, NOW + 2 * HOUR - timedelta(seconds=1), NOW + 2 * HOUR]
    assert [len(book.active(instant)) for instant in at] == [0, 1, 1, 0]
    assert book.next_change(NOW) == NOW + HOUR
    assert book.next_change(NOW + HOUR) == NOW + 2 * HOUR


def test_site_power_less_cooling_bounds_the_rigs(
    book: ObligationBook, small_site: SiteConfig
) -> None:
    params = SiteModel.of(small_site).params
    contract_kw = small_site.limits.contract_power_kw
    book.take([order(at_most_kw=contract_kw - 20.0)], NOW)
    (bound,) = book.bounds(NOW)
    assert bound.authority is Authority.OBLIGATION
    assert bound.at_most_kw == pytest.approx(float(params.rig_cap_kw) - 20.0)
    book.take([order("b", at_most_kw=0.0)], NOW)
    assert book.bounds(NOW)[1].at_most_kw == 0.0


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"at_most_kw": 200_000.0}, "give kW, not W"),
        ({"issued_at": NOW + HOUR}, "which is to come"),
        ({"start": NOW - 2 * HOUR, "end": NOW - HOUR}, "it ended at"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_the_reason(
    book: ObligationBook, changes: dict[str, object], why: str
) -> None:
    changed, refused = book.take([order(**changes)], NOW)  # type: ignore[arg-type]
    assert changed == []
    assert why in refused[0].why
    assert len(book) == 0


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{}",
        b"<html>",
        b"[1]",
        b'{"order_id":"a","revision":0,"issued_at":"2024-04-02T12:00:00","start":1,"end":2}',
        json.dumps(json.loads(order().model_dump_json()) | {"at_most_kw": "NaN"}).encode(),
        order().model_dump_json().replace("100.0", "NaN").encode(),
        order().model_dump_json().replace("100.0", "1e999").encode(),
        order().model_dump_json().replace("100.0", "-5").encode(),
        order().model_dump_json().replace("}", ',"at_mots_kw":3}').encode(),
        order().model_dump_json().replace('"at_most_kw":100.0', '"at_most_kw":null').encode(),
    ],
)
def test_what_is_no_order_is_refused_and_raises_nothing(text: bytes) -> None:
    assert isinstance(parse_order(text), Refused)


def test_a_written_order_comes_back(book: ObligationBook) -> None:
    assert parse_order(order().model_dump_json().encode()) == order()


def test_a_flood_of_ten_thousand_words_is_bounded_and_the_newest_wins(
    book: ObligationBook,
) -> None:
    rng = np.random.default_rng(7)
    words = [
        order(
            f"dr-{int(rng.integers(40))}",
            k,
            at_most_kw=float(rng.uniform(1.0, 200.0)),
            cancelled=bool(rng.random() < 0.3),
        )
        for k in range(10_000)
    ]
    newest = {own.order_id: own for own in sorted(words, key=lambda own: own.revision)}
    slowest_s = 0.0
    shuffled = [words[k] for k in rng.permutation(len(words))]
    for first in range(0, len(words), FILES_PER_POLL):
        began_s = time.perf_counter()
        book.take(shuffled[first : first + FILES_PER_POLL], NOW)
        slowest_s = max(slowest_s, time.perf_counter() - began_s)
    assert book.active(NOW) == sorted(
        (own for own in newest.values() if not own.cancelled), key=lambda own: own.order_id
    )
    assert slowest_s < 0.25
    _, refused = book.take([order(f"new-{k}") for k in range(10_000)], NOW)
    assert len(book) == MAX_ORDERS
    assert len(refused) == 10_000 - (MAX_ORDERS - 40)
    book.take([], NOW + 2 * HOUR)
    assert len(book) == 0


def test_a_folder_brings_new_and_changed_files_alone(tmp_path: Path) -> None:
    folder = OrderFolder(tmp_path)
    (tmp_path / "a.json").write_text(order().model_dump_json())
    (tmp_path / "bad.json").write_text("{")
    (tmp_path / "notes.txt").write_text("no order")
    os.mkfifo(tmp_path / "pipe.json")
    polled = asyncio.run(folder.poll(NOW))
    assert polled.orders == [order()]
    assert {own.what for own in polled.refused} >= {"bad.json"}
    assert asyncio.run(folder.poll(NOW)).orders == []
    (tmp_path / "a.json").write_text(order(revision=1).model_dump_json())
    os.utime(tmp_path / "a.json", ns=(1, 1))
    assert asyncio.run(folder.poll(NOW)).orders == [order(revision=1)]


def test_a_folder_that_is_flooded_is_read_in_parts(tmp_path: Path) -> None:
    for k in range(FILES_PER_POLL + 10):
        (tmp_path / f"{k}.json").write_text(order(f"dr-{k}").model_dump_json())
    folder = OrderFolder(tmp_path)
    first = asyncio.run(folder.poll(NOW))
    assert (len(first.orders), first.more) == (FILES_PER_POLL, True)
    second = asyncio.run(folder.poll(NOW))
    assert (len(second.orders), second.more) == (10, False)


def test_a_folder_that_hangs_is_read_by_one_thread_and_holds_no_tick(
    tmp_path: Path, bench_of: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, release, calls = OrderFolder(tmp_path), threading.Event(), []

    def hang() -> Polled:
        calls.append(1)
        release.wait(30.0)
        return Polled(orders=[order(start=START, end=START + HOUR, issued_at=START)])

    monkeypatch.setattr(folder, "_poll", hang)
    bench = bench_of((0.0, 1.0), links=SiteLinks(orders=folder))

    async def main() -> None:
        await bench.controller.start()
        for _ in range(3):
            began_s = time.perf_counter()
            await bench.controller.tick()
            assert time.perf_counter() - began_s < 5.0
            await bench.clock.advance(6.0)
        assert (len(calls), len(bench.controller.standing.obligations)) == (1, 0)
        release.set()
        await bench.controller.tick()
        assert len(bench.controller.standing.obligations) == 1

    asyncio.run(main())
    assert bench.alarms(Alarm.ORDERS_SILENT) == [None]

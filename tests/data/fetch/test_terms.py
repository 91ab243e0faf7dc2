"""Terms are accepted once per publisher and wording, and who did is on record."""

import getpass
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gridhash.data.fetch.catalogue import fetch
from gridhash.data.fetch.request import FetchError, TermsNotAccepted
from gridhash.data.fetch.terms import require_acceptance
from gridhash.data.publishers import PUBLISHERS, Publisher


def _fetch(lab: Any, data_dir: Path, asked: list[str], *, yes: bool) -> Any:
    def accept(publisher: Publisher) -> bool:
        asked.append(publisher.name)
        return yes

    with lab.downloader() as downloader:
        return fetch(
            "aemo",
            {"region": "VIC1", "month": "2025-01"},
            data_dir=data_dir,
            accept=accept,
            downloader=downloader,
            base_url=lab.server.url,
        )


def test_nothing_is_asked_of_the_publisher_before_the_user_accepts(
    lab: Any, tmp_path: Path
) -> None:
    with pytest.raises(TermsNotAccepted, match="--accept-terms") as raised:
        _fetch(lab, tmp_path, [], yes=False)

    assert lab.server.seen == []
    assert list(tmp_path.iterdir()) == []
    aemo = PUBLISHERS["aemo"]
    assert all(text in str(raised.value) for text in (aemo.name, aemo.licence, aemo.terms_url))


def test_terms_are_asked_for_once_and_the_answer_is_on_record(lab: Any, tmp_path: Path) -> None:
    name = "/aemo/data/nem/priceanddemand/PRICE_AND_DEMAND_202501_VIC1.csv"
    lab.server.on(name, lab.server.text("REGION,RRP\n"))
    asked: list[str] = []

    _fetch(lab, tmp_path, asked, yes=True)
    (fetched,) = _fetch(lab, tmp_path, asked, yes=False)

    assert fetched.path == tmp_path / "raw" / "aemo" / Path(name).name
    assert asked == [PUBLISHERS["aemo"].name]
    record = json.loads((tmp_path / "accepted_terms.json").read_text())[PUBLISHERS["aemo"].name]
    assert record["accepted_by"] == getpass.getuser()
    assert record["accepted_at"] == "2026-04-20T03:00:00+00:00"
    assert len(record["sha256"]) == 64
    assert PUBLISHERS["aemo"].licence in record["text"]


@pytest.mark.parametrize("changed", [{"licence": "Other terms"}, {"terms_url": "https://x/"}])
def test_terms_that_changed_are_asked_for_again(
    lab: Any, tmp_path: Path, changed: dict[str, str]
) -> None:
    asked: list[Publisher] = []

    def accept(publisher: Publisher) -> bool:
        asked.append(publisher)
        return True

    first = PUBLISHERS["jepx"]
    second = replace(first, **changed)  # type: ignore[arg-type]
    for publisher in (first, first, second, second):
        require_acceptance(publisher, tmp_path, accept=accept, clock=lab.time.clock)

    assert asked == [first, second]


def test_each_utility_has_its_own_terms(lab: Any, tmp_path: Path) -> None:
    asked: list[str] = []
    lab.server.on("/td_area_jukyu/csv/eria_jukyu_202604_09.csv", lab.server.text("a,b\n"))
    lab.server.on("/forecast/html/images/eria_jukyu_202604_03.csv", lab.server.text("a,b\n"))

    def accept(publisher: Publisher) -> bool:
        asked.append(publisher.name)
        return True

    with lab.downloader() as downloader:
        for area in ("kyushu", "tokyo", "kyushu"):
            fetch(
                "area",
                {"area": area, "month": "2026-04"},
                data_dir=tmp_path,
                accept=accept,
                downloader=downloader,
                base_url=lab.server.url,
            )

    assert asked == ["Kyushu Electric Power Transmission and Distribution", "TEPCO Power Grid"]


@pytest.mark.parametrize("content", ["{", "[]", b"\xff\xff"])
def test_a_broken_record_is_an_error_that_says_what_to_do(
    lab: Any, tmp_path: Path, content: str | bytes
) -> None:
    path = tmp_path / "accepted_terms.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())

    with pytest.raises(FetchError, match="remove it to be asked again"):
        require_acceptance(
            PUBLISHERS["jepx"], tmp_path, accept=lambda publisher: True, clock=lab.time.clock
        )

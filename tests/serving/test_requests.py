"""An operator's request is taken once or withdrawn, answered on record, and never done too late."""

import os
import pwd
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gridhash.serving.journal import Journal
from gridhash.serving.request_desk import RequestDesk
from gridhash.serving.requests import Request, RequestKind, RequestSpool, new_request_id
from gridhash.serving.stop_all import (
    StopAllOrder,
    lift_stop_all,
    order_stop_all,
    read_stop_all,
)

AT = datetime(2026, 1, 1, tzinfo=UTC)


def request(kind: RequestKind = RequestKind.ARM, **given: Any) -> Request:
    expires_at = None if kind.outlives_its_asker else AT + timedelta(seconds=10)
    fields = {"reason": "because", "expires_at": expires_at, **given}
    return Request(request_id=new_request_id(), kind=kind, person="Ada", at=AT, **fields)


@pytest.fixture
def spool(tmp_path: Path) -> RequestSpool:
    return RequestSpool(tmp_path / "requests")


def test_requests_are_taken_once_in_order_and_answered(spool: RequestSpool) -> None:
    asked = [request(), request(RequestKind.DISARM), request(RequestKind.STOP_ALL)]
    for one in asked:
        spool.submit(one)

    taken = spool.take(AT)

    assert [one.request for one in taken] == asked
    assert {one.os_user for one in taken} == {pwd.getpwuid(os.getuid()).pw_name}
    assert spool.take(AT) == []
    assert not spool.withdraw(asked[0].request_id)
    spool.answer(asked[0].request_id, accepted=False, text="no", at=AT)
    answer = spool.await_answer(asked[0].request_id, 1.0)
    assert answer is not None
    assert (answer.accepted, answer.text) == (False, "no")
    assert spool.await_answer(asked[1].request_id, 0.0) is None


def test_a_withdrawn_request_is_never_taken(spool: RequestSpool) -> None:
    asked = request()
    spool.submit(asked)

    assert spool.withdraw(asked.request_id)

    assert spool.take(AT) == []


def test_what_came_too_late_is_refused_unless_it_lowers_load(spool: RequestSpool) -> None:
    late = request(RequestKind.HOLD, setpoint_kw=100.0, until=AT + timedelta(hours=1))
    stop = request(RequestKind.STOP_ALL)
    lock = request(RequestKind.LOCK_OUT, rigs=("a",))
    for one in (late, stop, lock):
        spool.submit(one)

    taken = spool.take(AT + timedelta(days=2))

    assert [one.request for one in taken] == [stop, lock]
    answer = spool.answer_of(late.request_id)
    assert answer is not None
    assert not answer.accepted
    assert "too late" in answer.text


@given(content=st.binary(max_size=200))
def test_no_bytes_in_the_spool_break_the_controller(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    spool = RequestSpool(tmp_path_factory.mktemp("spool"))
    request_id = new_request_id()
    (spool.path / f"{request_id}.request").write_bytes(content)

    assert spool.take(AT) == []

    answer = spool.answer_of(request_id)
    assert answer is not None
    assert not answer.accepted


def test_links_and_foreign_ids_are_refused(spool: RequestSpool, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(request().to_bytes())
    link, copied = new_request_id(), new_request_id()
    (spool.path / f"{link}.request").symlink_to(elsewhere)
    (spool.path / f"{copied}.request").write_bytes(request().to_bytes())

    assert spool.take(AT) == []

    for request_id in (link, copied):
        answer = spool.answer_of(request_id)
        assert answer is not None
        assert not answer.accepted


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        (RequestKind.HOLD, {}),
        (RequestKind.HOLD, {"setpoint_kw": 1.0}),
        (RequestKind.HOLD, {"setpoint_kw": 1.0, "cap_kw": 1.0, "until": AT + timedelta(hours=1)}),
        (RequestKind.HOLD, {"setpoint_kw": float("nan"), "until": AT + timedelta(hours=1)}),
        (RequestKind.HOLD, {"setpoint_kw": -1.0, "until": AT + timedelta(hours=1)}),
        (RequestKind.HOLD, {"cap_kw": 1.0, "until": AT}),
        (RequestKind.HOLD, {"cap_kw": 1.0, "until": AT + timedelta(days=8)}),
        (RequestKind.ARM, {"setpoint_kw": 1.0}),
        (RequestKind.ARM, {"expires_at": None}),
        (RequestKind.LOCK_OUT, {}),
        (RequestKind.LOCK_OUT, {"rigs": ("a",), "reason": " "}),
        (RequestKind.CLEAR, {"rigs": ()}),
        (RequestKind.STOP_ALL, {"rigs": ("a",)}),
    ],
)
def test_a_request_that_does_not_say_what_it_must_is_none(
    kind: RequestKind, given: dict[str, Any]
) -> None:
    with pytest.raises(ValidationError):
        request(kind, **given)


def test_a_request_settled_before_a_crash_is_answered_and_not_done_again(
    tmp_path: Path,
) -> None:
    spool_path, asked = tmp_path / "requests", request()
    RequestSpool(spool_path).submit(asked)
    with Journal(tmp_path / "journal.sqlite") as journal:
        first = RequestDesk(RequestSpool(spool_path), journal)
        (taken,) = first.take(AT)
        # killed here, a second controller takes it again
        second = RequestDesk(RequestSpool(spool_path), journal)
        (again,) = second.take(AT + timedelta(hours=1))
        assert again == taken
        assert second.settle(again, accepted=True, text="live", at=AT, run_id=1)
        spool = RequestSpool(spool_path)
        answer = spool.answer_of(asked.request_id)
        assert answer is not None
        assert answer.accepted
        # killed between journal and answer
        (spool_path / f"{asked.request_id}.taken").write_bytes(asked.to_bytes())
        third = RequestDesk(RequestSpool(spool_path), journal)
        assert third.take(AT) == []
        answer = spool.answer_of(asked.request_id)
        assert answer is not None
        assert answer.text == "live"
        (row,) = journal.rows("SELECT * FROM requests")
        assert (row["person"], row["kind"], row["accepted"]) == ("Ada", "arm", 1)


def test_without_a_journal_only_what_lowers_load_is_done(tmp_path: Path) -> None:
    spool = RequestSpool(tmp_path / "requests")
    for kind in (RequestKind.ARM, RequestKind.STOP_ALL):
        spool.submit(request(kind))
    Journal(tmp_path / "journal.sqlite").close()
    with Journal(tmp_path / "journal.sqlite", read_only=True) as journal:
        desk = RequestDesk(spool, journal)

        done = {
            taken.request.kind: desk.settle(taken, accepted=True, text="yes", at=AT, run_id=1)
            for taken in desk.take(AT)
        }

    assert done == {RequestKind.ARM: False, RequestKind.STOP_ALL: True}


def test_the_stop_order_holds_until_it_is_lifted_and_doubt_means_stop(tmp_path: Path) -> None:
    path = tmp_path / "stop-all.json"
    assert read_stop_all(path) is None
    order = StopAllOrder(person="Ada", reason="smoke", at=AT)

    order_stop_all(path, order)
    assert read_stop_all(path) == order

    path.write_bytes(b"{")
    assert read_stop_all(path) is not None
    lift_stop_all(path)
    assert read_stop_all(path) is None


def test_an_older_journal_gets_what_it_lacks_and_keeps_what_it_has(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    with Journal(path) as journal:
        journal.append("alarms", run_id=1, at=AT, kind="lockout", text="old", rig_id="a")
    with sqlite3.connect(path) as database:
        database.execute("DROP TABLE leases")
        database.execute("DROP TABLE requests")
        database.execute("UPDATE meta SET format_version = 1")
    database.close()

    with Journal(path) as journal:
        assert journal.count("leases") == journal.count("requests") == 0
        assert journal.last_lockouts() == {"a": "old"}

"""An operator sees what the files say, with its age; what needs a person comes first."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gridhash.serving.guard_notice import GuardNotice, GuardState
from gridhash.serving.heartbeat import Heartbeat, Reduction, write_heartbeat
from gridhash.serving.journal import Journal, Row
from gridhash.serving.requests import Request, RequestKind, new_request_id
from gridhash.serving.site_view import Severity, SiteView, view_site
from gridhash.serving.site_view_text import status_lines
from gridhash.serving.state_folder import StateFolder
from gridhash.serving.stop_all import StopAllOrder, order_stop_all

AT = datetime(2026, 1, 1, tzinfo=UTC)
Make = Callable[..., Heartbeat]


def supervision(**given: Any) -> Row:
    values: dict[str, Any] = {
        "run_id": 1,
        "at": AT,
        "setpoint_kw": 100.0,
        "measured_kw": 98.0,
        "potential_kw": 101.0,
        "cap_kw": 400.0,
        "claimed_kw": 7.5,
        "n_running": 12,
        "n_stopped": 3,
        "n_unknown": 0,
        "n_pending": 1,
    }
    return Row(table="supervisions", values={**values, **given})


@pytest.fixture
def folder(tmp_path: Path, make_heartbeat: Make) -> StateFolder:
    """Return a healthy site's folder."""
    folder = StateFolder(tmp_path)
    write_heartbeat(folder.heartbeat, make_heartbeat(5))
    notice(folder)
    with Journal(folder.journal) as journal:
        journal.append(
            "runs",
            at=AT,
            mode="live",
            site_json="{}",
            policy_name="level_rule",
            bundle_hash="abc",
            observation_hash="",
            versions="{}",
            note="",
        )
        journal.append_all([supervision()])
    return folder


def notice(folder: StateFolder, state: GuardState = GuardState.WATCHING, at: datetime = AT) -> None:
    word = GuardNotice(guard="guard", state=state, epoch=1, reason="silent", since=AT, at=at)
    folder.guard_notice.write_bytes(word.to_bytes())


def severity(view: SiteView, words: str) -> Severity:
    (found,) = [problem for problem in view.problems if words in problem.text]
    return found.severity


def test_a_healthy_site_needs_nobody(folder: StateFolder) -> None:
    view = view_site(folder, AT + timedelta(seconds=5))

    assert view.problems == ()
    assert view.severity is Severity.OK
    text = "\n".join(f"{label} {words}" for label, words in status_lines(view))
    for words in (
        "status OK",
        "mode live, 5 s ago",
        "because policy: cheap",
        "98.0 kW by the rigs themselves",
        "7.5 kW of reduction claimed",
        "12 run, 3 stand",
    ):
        assert words in text
    assert SiteView.model_validate_json(view.model_dump_json()) == view


@pytest.mark.parametrize(
    ("seconds", "mode", "expected"),
    [
        (45, "live", Severity.WARNING),
        (90, "live", Severity.CRITICAL),
        (90, "shadow", Severity.WARNING),
    ],
)
def test_silence_is_worse_where_rigs_are_commanded(
    folder: StateFolder, make_heartbeat: Make, seconds: int, mode: str, expected: Severity
) -> None:
    write_heartbeat(folder.heartbeat, make_heartbeat(6, mode=mode))
    now = AT + timedelta(seconds=seconds)
    notice(folder, at=now)

    view = view_site(folder, now)

    assert severity(view, f"the controller is silent for {seconds} s") is expected


def test_what_needs_a_person_is_said(folder: StateFolder, make_heartbeat: Make) -> None:
    owed = Reduction(
        reduction_id="1", kind="demand response", max_kw=50.0, until=AT + timedelta(hours=1)
    )
    write_heartbeat(folder.heartbeat, make_heartbeat(6, reductions=(owed,)))
    notice(folder, GuardState.FAILSAFE)
    order_stop_all(folder.stop_all, StopAllOrder(person="Ada", reason="smoke", at=AT))
    held = Request(
        request_id=new_request_id(),
        kind=RequestKind.HOLD,
        person="Bob",
        reason="works",
        at=AT,
        expires_at=AT + timedelta(seconds=9),
        cap_kw=10.0,
        until=AT + timedelta(hours=1),
    )
    with Journal(folder.journal) as journal:
        journal.append_all([supervision(n_unknown=2, potential_kw=500.0)])
        journal.append(
            "alarms", run_id=1, at=AT, rig_id="loop_a-001", kind="lockout", text="leak, by Ada"
        )
        journal.append(
            "requests",
            run_id=1,
            at=AT,
            request_id=held.request_id,
            kind="hold",
            person="Bob",
            os_user="bob",
            accepted=True,
            answer="",
            text=held.model_dump_json(),
        )

    view = view_site(folder, AT + timedelta(seconds=5))

    assert severity(view, "stop-all is in force: smoke (Ada)") is Severity.CRITICAL
    assert severity(view, "guard failsafe") is Severity.CRITICAL
    assert severity(view, "rigs may draw 500 kW, the cap is 400 kW") is Severity.CRITICAL
    assert severity(view, "manual hold by Bob: works") is Severity.WARNING
    assert severity(view, "2 rigs cannot be measured") is Severity.WARNING
    assert severity(view, "1 rigs are locked out: loop_a-001") is Severity.WARNING
    lines = dict(status_lines(view))
    assert lines["owes"] == "at most 50.0 kW until 01 01:00 UTC (demand response)"
    assert "lockout: leak, by Ada" in lines["alarm"]
    assert view_site(folder, AT + timedelta(hours=2)).hold is None


def test_a_silent_guard_and_broken_files_are_said_and_raise_nothing(folder: StateFolder) -> None:
    view = view_site(folder, AT + timedelta(seconds=20))
    assert severity(view, "the guard is silent for 20 s") is Severity.CRITICAL

    folder.heartbeat.write_bytes(b"{")
    folder.guard_notice.write_bytes(b"[]")
    folder.journal.write_bytes(b"no database")
    broken = view_site(folder, AT)

    assert broken.severity >= Severity.CRITICAL
    assert len(broken.problems) >= 4


def test_a_folder_without_a_site_is_unknown(tmp_path: Path) -> None:
    view = view_site(StateFolder(tmp_path), AT)

    assert view.severity is Severity.UNKNOWN
    assert next(status_lines(view)) == ("status", "UNKNOWN")

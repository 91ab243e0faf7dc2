"""Whoever asks learns what became of it: accepted, refused, taken by nobody, or not known."""

import json
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gridhash.cli import app
from gridhash.cli_operator import duration
from gridhash.config import load_site
from gridhash.errors import ServingError
from gridhash.serving.clock import RealClock
from gridhash.serving.operator_request import Reply, ask
from gridhash.serving.requests import RequestKind, RequestSpool
from gridhash.serving.served import read_served, write_served
from gridhash.serving.state_folder import StateFolder
from gridhash.serving.stop_all_now import order

CLOCK = RealClock()


class FakeController(threading.Thread):
    """Takes what is asked, and answers as it is told."""

    def __init__(self, path: Path, *, answers: bool = True, accepts: bool = True) -> None:
        super().__init__(daemon=True)
        self._spool = RequestSpool(path)
        self._answers, self._accepts = answers, accepts
        self.over = threading.Event()

    def run(self) -> None:
        while not self.over.is_set():
            now = datetime.now(UTC)
            for taken in self._spool.take(now):
                if self._answers:
                    self._spool.answer(
                        taken.request.request_id, accepted=self._accepts, text="so be it", at=now
                    )
            time.sleep(0.01)

    def __enter__(self) -> "FakeController":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.join()


def asked(tmp_path: Path, kind: RequestKind, within_s: float = 10.0, **fields: Any) -> Reply:
    folder = StateFolder(tmp_path)
    return ask(folder, kind, CLOCK, person="Ada", within_s=within_s, **fields).reply


def test_the_answer_of_a_controller_comes_back(tmp_path: Path) -> None:
    with FakeController(tmp_path / "requests"):
        assert asked(tmp_path, RequestKind.ARM) is Reply.ACCEPTED
    with FakeController(tmp_path / "requests", accepts=False):
        assert asked(tmp_path, RequestKind.ARM) is Reply.REFUSED
    with FakeController(tmp_path / "requests", answers=False):
        assert asked(tmp_path, RequestKind.ARM, 0.5) is Reply.UNKNOWN


def test_without_a_controller_only_what_lowers_load_waits(tmp_path: Path) -> None:
    assert asked(tmp_path, RequestKind.ARM, 0.1) is Reply.NOBODY
    assert asked(tmp_path, RequestKind.LOCK_OUT, 0.1, rigs=("a",), reason="leak") is Reply.WAITS

    (waiting,) = RequestSpool(tmp_path / "requests").take(CLOCK.now() + timedelta(days=30))
    assert waiting.request.kind is RequestKind.LOCK_OUT


def test_an_impossible_request_is_refused_before_it_is_written(tmp_path: Path) -> None:
    with pytest.raises(ServingError, match="a hold has a setpoint_kw or a cap_kw"):
        asked(tmp_path, RequestKind.HOLD)
    with pytest.raises(ServingError, match="there is no folder"):
        asked(tmp_path / "missing", RequestKind.ARM)
    assert not (tmp_path / "requests").exists()


def test_a_stop_order_that_cannot_be_written_goes_to_the_system_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spilt: list[str] = []
    monkeypatch.setattr("gridhash.serving.stop_all_now.spill", spilt.append)
    said: list[str] = []

    answer = order(
        StateFolder(tmp_path / "missing"), CLOCK, person="Ada", reason="smoke", say=said.append
    )

    assert answer is None
    assert spilt[0] == "stop-all by Ada: smoke"
    assert "end its service first" in said[0]


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, list(arguments))


def test_the_command_line_says_what_became_of_it(tmp_path: Path) -> None:
    with FakeController(tmp_path / "requests"):
        held = run(
            "hold", "--cap-kw", "100", "--for", "2h", "--person", "Ada", "--state", str(tmp_path)
        )
    nobody = run("release", "--state", str(tmp_path), "--within", "0.1")
    waits = run("lock-out", "a", "b", "--reason", "leak", "--state", str(tmp_path), "--within=0.1")

    assert (held.exit_code, held.stdout.strip()) == (0, "hold accepted: so be it")
    assert nobody.exit_code == Reply.NOBODY
    assert "nothing changes" in nobody.stdout
    assert waits.exit_code == Reply.WAITS


def test_status_gives_its_severity_as_exit_code_and_its_whole_as_json(tmp_path: Path) -> None:
    shown = run("status", "--state", str(tmp_path), "--json")

    assert shown.exit_code == 3
    assert json.loads(shown.stdout)["severity"] == "UNKNOWN"


@pytest.mark.parametrize(
    ("text", "expected"),
    [("90m", timedelta(minutes=90)), ("4h", timedelta(hours=4)), ("1d12h", timedelta(hours=36))],
)
def test_durations_are_read(text: str, expected: timedelta) -> None:
    assert duration(text) == expected


@pytest.mark.parametrize("text", ["", "0h", "90", "h", "1h1d", "-1h", "1.5h"])
def test_what_is_no_duration_is_refused(tmp_path: Path, text: str) -> None:
    shown = run("hold", "--cap-kw", "1", f"--for={text}", "--state", str(tmp_path))

    assert shown.exit_code == 2


def test_what_is_served_is_found_again(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path)
    with pytest.raises(ServingError, match="says of no site"):
        read_served(folder)
    site = load_site("europe_sample").scaled_to(2)

    write_served(folder, site, tmp_path / "rigs.csv")

    served = read_served(folder)
    assert served.config == site
    assert served.rigs == tmp_path / "rigs.csv"

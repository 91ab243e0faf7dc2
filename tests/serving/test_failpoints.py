"""Every place is in the code once, a process dies where it is told to, and nothing is lost."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gridhash.errors import ServingError
from gridhash.serving import failpoints
from gridhash.serving.failpoints import NAMES, VARIABLE, arm, failpoint
from gridhash.serving.journal import Journal

ROOT = Path(__file__).parents[2]


def test_every_name_is_a_place_in_the_code() -> None:
    found = [
        name
        for path in (ROOT / "serving").rglob("*.py")
        for name in re.findall(r'failpoint\("([a-z_.]+)"\)', path.read_text("utf-8"))
    ]
    assert sorted(found) == sorted(NAMES)
    assert len(NAMES) >= 25


@pytest.mark.parametrize("spec", ["nowhere", "intent.after_commit:0", "intent.after_commit:x"])
def test_a_place_that_is_none_is_refused(spec: str) -> None:
    with pytest.raises(ServingError, match=VARIABLE):
        arm(spec)


def test_nothing_dies_unless_told_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failpoints._Armed, "name", "")
    for name in NAMES:
        failpoint(name)


def test_what_was_committed_outlives_a_kill_and_what_was_not_is_gone(tmp_path: Path) -> None:
    """The variable arms a process of its own; the second commit is the one that is cut."""
    program = (
        "import sys; from gridhash.serving.journal import Journal\n"
        "journal = Journal(sys.argv[1])\n"
        "for token in (1, 2, 3):\n"
        "    journal.append('leases', run_id=1, at='2026-01-01T00:00:00.000000+00:00', "
        "token=token, event='taken', holder='', after_intent_id=0)\n"
        "    print(token, flush=True)\n"
    )
    path = tmp_path / "journal.sqlite"
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, VARIABLE: "journal.before_commit:2"},
    )
    assert done.returncode == -signal.SIGKILL
    assert done.stdout.split() == ["1"]
    with Journal(path) as journal:
        assert [row["token"] for row in journal.rows("SELECT token FROM leases")] == [1]

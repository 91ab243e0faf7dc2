"""One controller at a time may command: alive and in time it keeps the lease, else it is taken."""

import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gridhash.serving.journal import Journal
from gridhash.serving.lease import Lease, LeaseError, LeaseHeld, LeaseLost, read_lease
from gridhash.serving.lease_record import (
    TAKEN,
    lease_violations,
    newest_token,
    record_lease,
    require_newest,
)

AT = datetime(2026, 1, 1, tzinfo=UTC)

HOLDER = """
import sys, time
from datetime import UTC, datetime
from pathlib import Path
from gridhash.serving.lease import Lease
lease = Lease(Path(sys.argv[1]), holder="other", duration_s=float(sys.argv[2]), margin_s=0.0)
lease.acquire(datetime.now(UTC))
print(lease.token, flush=True)
while True:
    time.sleep(0.1)
    lease.renew()
"""


class Clock:
    """A boot clock that is set by hand."""

    def __init__(self) -> None:
        self.s = 1000.0

    def __call__(self) -> float:
        return self.s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lease.json"


def lease(path: Path, clock: Clock, holder: str = "a") -> Lease:
    return Lease(path, holder=holder, duration_s=30.0, margin_s=5.0, boot_clock=clock)


def start_holder(path: Path, duration_s: float) -> "subprocess.Popen[str]":
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path), str(duration_s)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "1\n"
    return holder


def test_a_second_controller_is_refused_while_the_first_renews(path: Path, clock: Clock) -> None:
    first, second = lease(path, clock), lease(path, clock, "b")
    assert first.acquire(AT) == 1

    for _ in range(5):
        clock.s += 20.0
        with pytest.raises(LeaseHeld, match="a commands this site"):
            second.acquire(AT)
        first.renew()

    assert first.held
    assert not second.held


def test_a_holder_that_hangs_loses_the_lease_before_another_gets_it(
    path: Path, clock: Clock
) -> None:
    first, second = lease(path, clock), lease(path, clock, "b")
    first.acquire(AT)
    clock.s += 25.0
    assert not first.held, "the margin: a call under way ends before another may begin"
    with pytest.raises(LeaseHeld):
        second.acquire(AT)

    clock.s += 5.0
    assert second.acquire(AT) == 2

    assert second.held
    assert not first.held
    with pytest.raises(LeaseLost, match="took the lease over"):
        first.renew()
    assert not first.held
    first.release()
    assert second.held, "the loser's release changes nothing"
    second.renew()


def test_a_late_renewal_is_the_same_lease_if_nobody_took_it(path: Path, clock: Clock) -> None:
    own = lease(path, clock)
    own.acquire(AT)
    clock.s += 100.0
    assert not own.held

    own.renew()

    assert own.held
    assert own.token == 1


def test_a_released_lease_is_free_at_once(path: Path, clock: Clock) -> None:
    first, second = lease(path, clock), lease(path, clock, "b")
    first.acquire(AT)

    first.release()

    assert not first.held
    assert second.acquire(AT) == 2
    record = read_lease(path)
    assert record is not None
    assert (record.token, record.holder, record.released) == (2, "b", False)


def test_a_killed_holder_frees_the_lease_at_once(path: Path) -> None:
    holder = start_holder(path, 3600.0)
    own = Lease(path, holder="own")
    try:
        with pytest.raises(LeaseHeld, match="other commands"):
            own.acquire(AT)
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.communicate()

    assert own.acquire(AT) == 2
    assert own.held


def test_a_stopped_holder_loses_it_when_its_time_is_over_and_notices(path: Path) -> None:
    holder = start_holder(path, 0.5)
    own = Lease(path, holder="own")
    try:
        holder.send_signal(signal.SIGSTOP)
        with pytest.raises(LeaseHeld):
            own.acquire(AT)
        time.sleep(0.6)
        assert own.acquire(AT) == 2
        holder.send_signal(signal.SIGCONT)
        assert holder.wait(10.0) == 1, "its next renewal raises LeaseLost"
        assert own.held
    finally:
        holder.kill()
        holder.communicate()


def test_the_token_never_falls_back_behind_the_journal(path: Path, clock: Clock) -> None:
    assert lease(path, clock).acquire(AT, above=41) == 42


@pytest.mark.parametrize("content", [b"", b"{", b"\0" * 512, b"x" * 5000])
def test_a_torn_file_is_nobodys(path: Path, clock: Clock, content: bytes) -> None:
    path.write_bytes(content)

    assert lease(path, clock).acquire(AT, above=7) == 8


def test_a_file_that_cannot_be_opened_is_an_error(tmp_path: Path, clock: Clock) -> None:
    with pytest.raises(LeaseError, match="cannot be opened"):
        lease(tmp_path / "missing" / "lease.json", clock).acquire(AT)


def test_an_old_holders_intents_are_fenced_and_the_journal_shows_it(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.sqlite") as journal:

        def intent(run_id: int) -> None:
            journal.append(
                "intents",
                run_id=run_id,
                decision_id=1,
                at=AT,
                rig_id="r",
                command="stop",
                power_kw=-1.0,
                attempt=1,
                forced=False,
                reason="",
            )

        record_lease(journal, 1, AT, token=1, holder="a", event=TAKEN)
        require_newest(journal, 1)
        intent(1)
        record_lease(journal, 2, AT, token=2, holder="b", event=TAKEN)
        intent(2)
        assert newest_token(journal) == 2
        assert lease_violations(journal) == []
        with pytest.raises(LeaseLost, match="lease 2 was taken after 1"):
            require_newest(journal, 1)

        intent(1)
        intent(3)

        late, without = lease_violations(journal)
        assert "intent 3" in late
        assert "under lease 1 after 2 was taken" in late
        assert "its run took no lease" in without

"""Lease, guards, a full disk and stop-all: what a controller keeps to besides its policy."""

from datetime import timedelta
from pathlib import Path

import pytest

from gridhash.serving.drivers.protocol import Command
from gridhash.serving.findings import Alarm
from gridhash.serving.guard_notice import GuardNotice, GuardState
from gridhash.serving.heartbeat import Heartbeat
from gridhash.serving.journal import Journal
from gridhash.serving.lease import Lease, LeaseLost
from gridhash.serving.lease_record import TAKEN, lease_violations, record_lease
from gridhash.serving.site_inputs import SiteLinks
from gridhash.serving.stop_all import StopAllOrder, order_stop_all
from tests.serving.bench import RIG_KW, START, Build


class HandBoot:
    """The host's boot clock, moved by hand."""

    def __init__(self) -> None:
        self.s = 100.0

    def __call__(self) -> float:
        return self.s


@pytest.fixture
def boot() -> HandBoot:
    return HandBoot()


@pytest.fixture
def lease(folder: Path, boot: HandBoot) -> Lease:
    own = Lease(folder / "lease.json", holder="test", boot_clock=boot)
    own.acquire(START)
    return own


def test_a_lease_that_ran_out_sends_nothing_though_rigs_are_to_stop(
    bench_of: Build, lease: Lease, boot: HandBoot
) -> None:
    bench = bench_of((0.0, 1.0), (0.5, 0.0), links=SiteLinks(lease=lease))

    def hang() -> None:
        boot.s += 26.0

    bench.play(0.8, (0.4, hang))
    assert bench.n_running() == 8
    assert bench.journal.count("intents") == 0
    lease.release()


def test_under_its_lease_a_controller_commands_and_the_journal_proves_it(
    bench_of: Build, lease: Lease
) -> None:
    bench = bench_of((0.0, 1.0), (0.5, 0.0), links=SiteLinks(lease=lease))
    bench.play(0.8)
    assert bench.n_running() == 0
    assert lease_violations(bench.journal) == []
    assert list(bench.journal.frame("leases").event) == ["taken", "released"]


def test_who_finds_a_newer_lease_in_the_journal_commits_and_sends_nothing(
    bench_of: Build, lease: Lease, folder: Path
) -> None:
    bench = bench_of((0.0, 1.0), (0.5, 0.0), links=SiteLinks(lease=lease))

    def rival() -> None:
        with Journal(folder / "journal.sqlite") as other:
            record_lease(other, 2, bench.clock.now(), token=9, holder="rival", event=TAKEN)

    with pytest.raises(LeaseLost, match="lease 9 was taken after 1"):
        bench.play(0.8, (0.4, rival))
    assert bench.n_running() == 8
    assert bench.journal.count("intents") == 0


class Guards:
    """A heartbeat's other end that says what it is told to."""

    def __init__(self) -> None:
        self.heard: list[Heartbeat] = []
        self.notice = GuardNotice(
            guard="first", state=GuardState.WATCHING, epoch=0, reason="", since=START, at=START
        )

    async def beat(self, heartbeat: Heartbeat) -> tuple[GuardNotice, ...]:
        self.heard.append(heartbeat)
        return (self.notice,)

    def says(self, **changes: object) -> None:
        self.notice = self.notice.model_copy(update=changes)


def test_a_guards_cap_is_kept_and_acknowledged_and_nothing_starts_until_it_hands_back(
    bench_of: Build,
) -> None:
    guards = Guards()
    bench = bench_of((0.0, 1.0), links=SiteLinks(heart=guards))

    def failsafe() -> None:
        guards.says(
            state=GuardState.FAILSAFE, epoch=3, cap_kw=3.2 * RIG_KW, reason="silence of 46 s"
        )

    def hand_back() -> None:
        assert bench.n_running() == 3
        assert guards.heard[-1].acknowledged == {"first": 3}
        guards.says(state=GuardState.WATCHING)

    bench.play(2.0, (0.2, failsafe), (1.0, hand_back))
    assert bench.n_running() == 8
    starts = [
        at for rig in bench.rigs.values() for at, own in rig.commands if own is Command.RESUME
    ]
    assert (min(starts) - START).total_seconds() >= 3600.0
    assert bench.alarms(Alarm.GUARD) == [None]
    assert [own.tick for own in guards.heard] == list(range(1, len(guards.heard) + 1))
    limits = [own for own in guards.heard if own.authority == "plant or electrical limit"]
    assert "guard first: silence of 46 s" in limits[0].reason


class FullDisk(Journal):
    """A journal that cannot be written any more."""

    full = False

    def append_all(self, rows):  # type: ignore[no-untyped-def]
        if self.full:
            self._db.execute("PRAGMA query_only = ON")
        return super().append_all(rows)


def test_stop_all_needs_no_journal(
    bench_of: Build, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    journal, path = FullDisk(folder / "journal.sqlite"), folder / "stop-all.json"
    bench = bench_of((0.0, 1.0), journal=journal, links=SiteLinks(stop_all=path))

    def stop() -> None:
        journal.full = True
        order_stop_all(path, StopAllOrder(person="Aoki", reason="smoke", at=bench.clock.now()))

    bench.play(0.3, (0.1, stop))
    assert bench.n_running() == 0
    assert "stopped without record: loop_a-0" in caplog.text


def test_what_rigs_did_while_the_disk_was_full_is_on_record_once_it_is_not(
    bench_of: Build, folder: Path
) -> None:
    journal = FullDisk(folder / "journal.sqlite")
    bench = bench_of((0.0, 1.0), (0.5, 0.0), journal=journal)

    def free() -> None:
        assert bench.n_running() == 0
        assert "cannot be written" in bench.controller.journal_failure
        journal.full = False
        journal._db.execute("PRAGMA query_only = OFF")

    bench.play(1.0, (0.4, lambda: setattr(journal, "full", True)), (0.8, free))
    changes = journal.frame("changes")
    stopped = changes[(changes.cause == "command") & (changes.running == 0)]
    assert len(stopped) == 8
    assert (stopped["at"] < START + timedelta(hours=0.6)).all()
    assert set(journal.frame("verifications").verdict) == {"verified"}
    assert bench.alarms(Alarm.NOT_RECORDED) == [None]
    assert bench.controller.journal_failure == ""

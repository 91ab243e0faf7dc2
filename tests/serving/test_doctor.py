"""The doctor finds what is wrong, says what to do, and commands nothing."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gridhash.config import load_site
from gridhash.errors import ConfigError
from gridhash.serving.clock import RealClock
from gridhash.serving.doctor import (
    Check,
    Grade,
    check_clock,
    check_disk,
    check_file_system,
    check_fsync,
    check_journal,
    check_secrets,
)
from gridhash.serving.doctor_run import Patient, examine
from gridhash.serving.guard_listen import HeartbeatListener
from gridhash.serving.guard_notice import GuardNotice, GuardState
from gridhash.serving.heartbeat_push import GuardAddress
from gridhash.serving.journal import Journal
from gridhash.serving.rig_list import write_rig_list
from gridhash.serving.simulated_model import RigFaults
from gridhash.serving.stand_alone import FleetRequest, listed_rigs, make_fleet
from gridhash.serving.state_folder import StateFolder

SITE = load_site("europe_sample")


def checks(patient: Patient) -> list[Check]:
    async def main() -> list[Check]:
        return [check async for check in examine(patient, RealClock())]

    return asyncio.run(main())


def test_a_host_is_examined_without_a_site(tmp_path: Path) -> None:
    found = checks(Patient(folder=StateFolder(tmp_path / "new")))

    names = {check.name for check in found}
    assert {"clock", "file system", "disk", "writing", "journal", "site", "meter"} <= names
    assert found[-1].name == "site file"
    assert "says of no site" in found[-1].found
    assert all(check.remedy for check in found if check.grade is not Grade.OK)


def test_rigs_are_asked_who_they_are_and_told_nothing(tmp_path: Path, base_address: str) -> None:
    fleet = make_fleet(SITE, FleetRequest(count=5, address=base_address), RealClock())
    rigs = tmp_path / "rigs.csv"
    write_rig_list(rigs, listed_rigs(fleet))

    async def main() -> list[Check]:
        async with fleet:
            await fleet.set_faults("loop_a-001", RigFaults(unreachable="refused"))
            patient = Patient(folder=StateFolder(tmp_path), site="europe_sample", rigs=rigs)
            return [check async for check in examine(patient, RealClock())]

    of_rigs = {check.found: check.grade for check in asyncio.run(main()) if check.name == "rigs"}

    assert sorted(of_rigs.values()) == [Grade.OK, Grade.WARN]
    assert any(found.startswith("4 identified") for found in of_rigs)
    assert any("loop_a-001" in found for found in of_rigs)
    commands = [command.text for rig in fleet.rigs.values() for command in rig.commands]
    assert not any(text.startswith("ascset") for text in commands)


@pytest.mark.parametrize(
    ("line", "grade"),
    [
        ("server:/x {path} nfs4 rw 0 0", Grade.FAIL),
        ("tmpfs {path} tmpfs rw 0 0", Grade.WARN),
        ("/dev/sda1 {path} ext4 rw 0 0", Grade.OK),
    ],
)
def test_the_state_folder_must_lie_on_a_local_disk(tmp_path: Path, line: str, grade: Grade) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text("/dev/root / ext4 rw 0 0\n" + line.format(path=tmp_path) + "\n")

    assert check_file_system(tmp_path / "state", mounts).grade is grade


def test_secrets_are_for_their_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_text("x")
    path.chmod(0o644)
    open_, missing = check_secrets([path, tmp_path / "missing"])
    path.chmod(0o600)
    (private,) = check_secrets([path])

    assert (open_.grade, missing.grade, private.grade) == (Grade.FAIL, Grade.FAIL, Grade.OK)
    assert open_.remedy == f"chmod 600 {path}"


def test_disk_writing_and_journal_are_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert check_fsync(tmp_path).grade in {Grade.OK, Grade.WARN}
    assert check_fsync(tmp_path / "missing").grade is Grade.FAIL
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr("gridhash.serving.doctor.LEAST_FREE_BYTES", 1e30)
    monkeypatch.setattr("gridhash.serving.doctor.LITTLE_FREE_BYTES", 1e30)
    assert check_disk(tmp_path).grade is Grade.FAIL
    path = tmp_path / "journal.sqlite"
    assert check_journal(path).grade is Grade.OK
    Journal(path).close()
    assert check_journal(path).grade is Grade.OK
    path.write_bytes(b"no database")
    assert check_journal(path).grade is Grade.FAIL


def test_the_clock_is_judged_by_the_system() -> None:
    assert check_clock().grade in {Grade.OK, Grade.WARN}


def test_a_guard_is_known_by_its_key(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("ab" * 32)
    key.chmod(0o600)

    async def main(real_key: bytes) -> Check:
        at = datetime(2026, 1, 1, tzinfo=UTC)
        word = GuardNotice(
            guard="second", state=GuardState.WATCHING, epoch=0, reason="", since=at, at=at
        )
        listener = HeartbeatListener(
            "127.0.0.1", 0, real_key, take=lambda *_: True, notice=lambda: word
        )
        async with listener:
            patient = Patient(
                folder=StateFolder(tmp_path),
                link_key=key,
                guards=(GuardAddress("127.0.0.1", listener.port),),
            )
            found = [check async for check in examine(patient, RealClock())]
        (own,) = [check for check in found if check.name == "guard"]
        return own

    assert asyncio.run(main(b"\xab" * 32)).grade is Grade.OK
    assert asyncio.run(main(b"x" * 32)).grade is Grade.FAIL


@pytest.mark.parametrize(
    "given", [{"bundle": Path("b")}, {"guards": (GuardAddress("127.0.0.1", 1),)}]
)
def test_what_belongs_together_is_asked_for(tmp_path: Path, given: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        checks(Patient(folder=StateFolder(tmp_path), **given))  # type: ignore[arg-type]  # cases

from datetime import UTC, datetime, timedelta

import pytest

from gridhash.config import load_site
from gridhash.serving.drivers.protocol import Command, CommandResult, Outcome
from gridhash.serving.findings import Cause, Changed
from gridhash.serving.pending import Pending
from gridhash.serving.rig_status import RigStatus
from gridhash.serving.settings import ControllerSettings
from gridhash.serving.snapshot import RigReading

START = datetime(2024, 4, 2, tzinfo=UTC)
LEVEL_KW = (4.0, 6.0, 8.0)


def after(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def rig_at(power_w: float) -> RigStatus:
    rig = RigStatus("a-001", load_site("japan_pilot").groups[0], LEVEL_KW, ControllerSettings())
    see(rig, 0.0, power_w)
    return rig


def see(rig: RigStatus, at_s: float, power_w: float) -> list[object]:
    reading = RigReading(rig_id=rig.rig_id, read_at=after(at_s), power_w=power_w)
    return list(rig.see(reading, after(at_s), after(3600.0)))


def tell(
    rig: RigStatus,
    command: Command,
    level: int | None,
    at_s: float,
    outcome: Outcome = Outcome.PENDING,
) -> None:
    rig.sent(
        Pending(
            intent_id=1,
            command=command,
            level=level,
            sent_at=after(at_s),
            deadline_at=after(at_s + 60.0),
            before_kw=rig.power_kw,
        )
    )
    result = CommandResult(rig_id=rig.rig_id, command=command, outcome=outcome, sent_at=after(at_s))
    rig.answered(result, after(at_s))


def test_a_stop_by_hand_after_a_command_that_was_not_sent_is_not_ours() -> None:
    rig = rig_at(8000.0)
    tell(rig, Command.STOP, None, 1.0, Outcome.UNREACHABLE)
    findings = see(rig, 100.0, 0.0)
    assert [own.cause for own in findings if isinstance(own, Changed)] == [Cause.EXTERNAL]
    assert not rig.stands_by_command


def test_a_stop_that_was_sent_is_ours() -> None:
    rig = rig_at(8000.0)
    tell(rig, Command.STOP, None, 1.0)
    see(rig, 30.0, 0.0)
    assert rig.stands_by_command
    assert rig.reference_kw == 8.0


@pytest.mark.parametrize("before_kw", [0.0, None])
def test_a_rig_that_drew_nothing_before_our_stop_claims_nothing(before_kw: float | None) -> None:
    rig = rig_at(8000.0)
    rig.sent(
        Pending(
            intent_id=1,
            command=Command.STOP,
            level=None,
            sent_at=after(1.0),
            deadline_at=after(61.0),
            before_kw=before_kw,
        )
    )
    rig.answered(
        CommandResult(
            rig_id="a-001", command=Command.STOP, outcome=Outcome.PENDING, sent_at=after(1.0)
        ),
        after(1.0),
    )
    see(rig, 30.0, 0.0)
    assert rig.running is False
    assert not rig.reference_kw


def test_a_start_counts_the_level_at_which_the_rig_may_come_up() -> None:
    rig = rig_at(0.0)
    assert rig.potential_kw() == 0.0
    tell(rig, Command.RESUME, 0, 1.0)
    assert rig.level == 2
    assert rig.potential_kw() == 8.0


def test_a_start_past_its_deadline_counts_in_full_until_the_rig_stands_a_whole_wait_later() -> None:
    rig = rig_at(0.0)
    tell(rig, Command.RESUME, 0, 0.0)
    rig.expire(after(60.0))
    see(rig, 62.0, 0.0)
    assert rig.pending is None
    assert rig.potential_kw() == 8.0
    see(rig, 121.0, 0.0)
    assert rig.potential_kw() == 0.0


def test_a_start_that_is_obeyed_late_counts_as_what_runs() -> None:
    rig = rig_at(0.0)
    tell(rig, Command.RESUME, 0, 0.0)
    rig.expire(after(60.0))
    see(rig, 62.0, 4000.0)
    assert rig.running
    assert rig.potential_kw() == 4.0

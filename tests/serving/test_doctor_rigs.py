"""The doctor tells default passwords and void commissionings from lists and answers alone."""

from dataclasses import replace
from datetime import UTC, datetime

from pydantic import SecretStr

from gridhash.serving.clock import SimulatedClock
from gridhash.serving.commissioning import void_alarms
from gridhash.serving.commissioning_record import (
    CommissionedKind,
    CommissioningRecord,
    PointFound,
    Quantiles,
)
from gridhash.serving.doctor import Grade
from gridhash.serving.doctor_rigs import check_commissioning, check_passwords
from gridhash.serving.drivers.capabilities import FirmwareName, capability_of
from gridhash.serving.drivers.credentials import Credentials
from gridhash.serving.drivers.protocol import RigIdentity
from gridhash.serving.findings import Alarm
from gridhash.serving.rig_list import ListedRig
from gridhash.serving.roll_call import Fate, RigFate
from tests.serving.bench import MemoryRig

MODEL = "AvalonMiner 1566HA-480"
TEN = Quantiles.of([10.0, 10.0, 10.0])
IDENTITY = RigIdentity(
    rig_id="r1",
    address="127.0.0.1",
    port=4028,
    mac="E0:E1:A9:3E:2C:7D",
    model=MODEL,
    firmware="v1",
    known_to_library=True,
    library_note="",
    capability=capability_of(MODEL),
)


def record() -> CommissioningRecord:
    assert TEN is not None
    kind = CommissionedKind(
        firmware=FirmwareName.AVALON,
        model=MODEL,
        version="v1",
        at=datetime(2026, 4, 1, tzinfo=UTC),
        person="Ada",
        n_rigs=3,
        clock_skew_s=None,
        running_w=TEN,
        standby_w=TEN,
        stop_s=TEN,
        resume_s=TEN,
        hash_s=None,
        points=(PointFound(name="level 1", level=1, power_w=TEN, seconds=TEN),),
        sleep_survives_reboot=None,
        competing_manager=False,
        macs=(),
    )
    return CommissioningRecord(site="here", kinds=(kind,))


def fate(identity: RigIdentity) -> RigFate:
    return RigFate(
        rig_id="r1",
        group="g",
        address="127.0.0.1",
        fate=Fate.IDENTIFIED,
        identity=identity,
        detail="",
    )


def test_levels_are_unlocked_for_the_firmware_version_that_was_measured_alone() -> None:
    own = record()
    assert own.levels_of(FirmwareName.AVALON, MODEL, "v1") == (1,)
    assert own.levels_of(FirmwareName.AVALON, MODEL, "v2") == ()
    assert own.levels_of(FirmwareName.LUXOS, MODEL, "v1") == ()


def test_other_firmware_raises_one_alarm_for_all_its_rigs() -> None:
    clock = SimulatedClock(datetime(2026, 4, 1, tzinfo=UTC))
    rigs = {name: MemoryRig(name, clock, identity=IDENTITY) for name in ("r1", "r2", "r3")}
    assert void_alarms(record(), rigs) == {}
    for name in ("r1", "r2"):
        rigs[name].identity = replace(IDENTITY, firmware="v2")
    ((key, text),) = void_alarms(record(), rigs).items()
    assert key[0] is Alarm.COMMISSIONING_VOID
    assert "r1, r2 answer as" in text
    assert "v2" in text


def test_the_doctor_says_that_a_commissioning_is_missing_holds_or_is_void() -> None:
    def grades(known: CommissioningRecord, identity: RigIdentity) -> list[Grade]:
        return [check.grade for check in check_commissioning(known, [fate(identity)])]

    assert grades(CommissioningRecord(site="here"), IDENTITY) == [Grade.WARN]
    assert grades(record(), IDENTITY) == [Grade.OK]
    assert grades(record(), replace(IDENTITY, firmware="v2")) == [Grade.WARN]
    assert grades(record(), replace(IDENTITY, model="AvalonMiner 15-194")) == [Grade.WARN]


def test_passwords_of_the_make_are_named_and_never_shown() -> None:
    def rig(name: str, firmware: FirmwareName, password: str | None, allow: bool) -> ListedRig:
        own = None if password is None else Credentials("", SecretStr(password))
        return ListedRig(
            rig_id=name,
            group="g",
            address="127.0.0.1",
            firmware=firmware,
            credentials=own,
            allow_default_credentials=allow,
        )

    found = list(
        check_passwords(
            [
                rig("own", FirmwareName.BRAIINS, "Zx81-own", False),
                rig("listed", FirmwareName.WHATSMINER_V3, "super", True),
                rig("allowed", FirmwareName.BRAIINS, None, True),
                rig("none", FirmwareName.VNISH, None, False),
                rig("open", FirmwareName.AVALON, None, False),
            ]
        )
    )
    by_rig = {check.found.split()[0].rstrip(":"): check.grade for check in found}
    assert by_rig == {
        "listed": Grade.WARN,
        "allowed": Grade.WARN,
        "none": Grade.WARN,
        "open": Grade.OK,
        "1": Grade.OK,
    }
    assert not any("Zx81" in check.found for check in found)

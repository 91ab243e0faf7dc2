"""Nobody is commanded before it is known who answers."""

import asyncio
from dataclasses import dataclass, replace
from typing import cast

import pytest

from gridhash.errors import RigUnreachable, ServingError
from gridhash.serving.drivers.capabilities import capability_of
from gridhash.serving.drivers.protocol import RigDriver, RigIdentity
from gridhash.serving.roll_call import Fate, RigFate, call_roll, check_roll


def identity(rig_id: str, model: str = "AvalonMiner 1566HA-480") -> RigIdentity:
    return RigIdentity(
        rig_id=rig_id,
        address="10.0.0.1",
        port=4028,
        mac=f"E0:E1:A9:00:00:{rig_id[-2:]}",
        model=model,
        firmware=None,
        known_to_library=False,
        library_note="",
        capability=capability_of(model),
    )


@dataclass
class Answering:
    """The part of a driver that the roll call uses."""

    rig_id: str
    answer: RigIdentity | ServingError
    address: str = "10.0.0.1"

    async def identify(self) -> RigIdentity:
        if isinstance(self.answer, ServingError):
            raise self.answer
        return self.answer


def fate(rig_id: str, kind: Fate, found: RigIdentity | None = None) -> RigFate:
    return RigFate(
        rig_id=rig_id,
        group="loop_a",
        address="10.0.0.1",
        fate=kind,
        identity=found,
        detail="" if found else f"nothing answers at {rig_id}",
    )


def test_every_rig_has_its_fate() -> None:
    answers: dict[str, RigIdentity | ServingError] = {
        "r01": identity("r01"),
        "r02": identity("r02", "AvalonMiner 99XY"),
        "r03": RigUnreachable("nothing answers"),
        "r04": ServingError("answers as 'Antminer'"),
    }
    rigs = [cast(RigDriver, Answering(rig_id, answer)) for rig_id, answer in answers.items()]

    fates = asyncio.run(call_roll([("loop_a", rig) for rig in rigs]))

    assert [(f.rig_id, f.fate) for f in fates] == [
        ("r01", Fate.IDENTIFIED),
        ("r02", Fate.UNKNOWN_MODEL),
        ("r03", Fate.UNREACHABLE),
        ("r04", Fate.OTHER_MACHINE),
    ]
    assert [f.model for f in fates] == ["AvalonMiner 1566HA-480", "AvalonMiner 99XY", "", ""]
    assert [f.detail for f in fates][2:] == ["nothing answers", "answers as 'Antminer'"]


def test_a_site_runs_with_some_of_its_rigs() -> None:
    check_roll(
        [fate("r01", Fate.UNREACHABLE), fate("r02", Fate.IDENTIFIED, identity("r02"))], live=True
    )


def test_a_site_without_any_answer_is_refused_with_the_first_reasons() -> None:
    with pytest.raises(
        ServingError, match=r"none of the 5 rigs answers \(.*at r0; .*at r2; and 2 more\): check"
    ):
        check_roll([fate(f"r{i}", Fate.UNREACHABLE) for i in range(5)], live=False)


def test_one_rig_at_two_addresses_is_refused() -> None:
    found = identity("r01")
    other = replace(found, rig_id="r02")

    with pytest.raises(ServingError, match=r"r01 .* r02 .* same MAC E0:E1:A9:00:00:01: one rig"):
        check_roll(
            [fate("r01", Fate.IDENTIFIED, found), fate("r02", Fate.IDENTIFIED, other)], live=False
        )


def test_rigs_without_a_mac_are_not_taken_for_one() -> None:
    fates = [
        fate(f"r0{i}", Fate.IDENTIFIED, replace(identity(f"r0{i}"), mac=None)) for i in range(2)
    ]

    check_roll(fates, live=True)


def test_live_needs_a_rig_that_takes_commands() -> None:
    fates = [fate("r01", Fate.UNKNOWN_MODEL, identity("r01", "AvalonMiner 99XY"))]

    check_roll(fates, live=False)
    with pytest.raises(ServingError, match="no rig takes commands: AvalonMiner 99XY is not in"):
        check_roll(fates, live=True)


def test_live_at_partial_load_needs_a_rig_with_known_levels() -> None:
    fates = [fate("r01", Fate.IDENTIFIED, identity("r01"))]

    check_roll(fates, live=False, work_levels=True)
    with pytest.raises(ServingError, match="work levels"):
        check_roll(fates, live=True, work_levels=True)

from datetime import UTC, datetime, timedelta

import pytest

from gridhash.config import load_site
from gridhash.serving.claims import METHOD, ClaimBook
from gridhash.serving.rig_status import RigStatus
from gridhash.serving.settings import ControllerSettings
from gridhash.serving.snapshot import RigReading

START = datetime(2024, 4, 2, tzinfo=UTC)


def standing(reference_kw: float = 8.0) -> RigStatus:
    rig = RigStatus("a-001", load_site("japan_pilot").groups[0], (8.0,), ControllerSettings())
    rig.running, rig.reference_kw = False, reference_kw
    return rig


def read(rig: RigStatus, at_h: float, power_w: float) -> RigStatus:
    at = START + timedelta(hours=at_h)
    rig.reading = RigReading(rig_id="a-001", read_at=at, power_w=power_w)
    return rig


def test_between_two_readings_the_smaller_reduction_is_claimed() -> None:
    book, rig = ClaimBook(), standing()
    for at_h, power_w in ((0.0, 0.0), (1.0, 500.0), (2.0, 100.0)):
        assert book.update(read(rig, at_h, power_w)) == []
    (claim,) = book.close()
    assert claim.reduced_kwh == pytest.approx(7.5 + 7.5)
    assert claim.row(1).values["method"] == METHOD == "self-reported"
    assert claim.end_at - claim.start_at == timedelta(hours=2)


def test_a_claim_ends_with_the_last_reading_that_shows_the_rig_standing() -> None:
    book, rig = ClaimBook(), standing()
    book.update(read(rig, 0.0, 0.0))
    book.update(read(rig, 1.0, 0.0))
    assert book.claimed_kw == 8.0
    read(rig, 3.0, 8000.0).running = True
    (claim,) = book.update(rig)
    assert claim.end_at == START + timedelta(hours=1)
    assert claim.reduced_kwh == pytest.approx(8.0)
    assert book.claimed_kw == 0.0


def test_a_rig_that_nobody_stopped_is_not_claimed() -> None:
    book, rig = ClaimBook(), standing()
    rig.reference_kw = None
    book.update(read(rig, 0.0, 0.0))
    assert book.claimed_kw == 0.0
    assert book.close() == []


def test_a_rig_that_draws_more_than_before_claims_nothing_rather_than_less() -> None:
    book, rig = ClaimBook(), standing(reference_kw=0.01)
    book.update(read(rig, 0.0, 20.0))
    book.update(read(rig, 1.0, 20.0))
    assert [claim.reduced_kwh for claim in book.close()] == [0.0]


def test_a_flagged_rig_is_not_claimed() -> None:
    book, rig = ClaimBook(), standing()
    book.update(read(rig, 0.0, 0.0))
    rig.flag = "acknowledges and disobeys"
    (claim,) = book.update(read(rig, 1.0, 0.0))
    assert claim.reduced_kwh == 0.0
    assert book.claimed_kw == 0.0

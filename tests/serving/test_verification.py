from datetime import UTC, datetime, timedelta

import pytest

from gridhash.serving.snapshot import RigReading
from gridhash.serving.verification import Wanted, power_confirms, stopped_below_w

NOW = datetime(2024, 4, 1, tzinfo=UTC)


def reading(power_w: float | None) -> RigReading:
    return RigReading(rig_id="rig", read_at=NOW, power_w=power_w)


@pytest.mark.parametrize(
    ("power_w", "wanted", "expected"),
    [
        (20.0, Wanted.STOPPED, True),
        (806.4, Wanted.STOPPED, True),
        (807.0, Wanted.STOPPED, False),
        (8064.0, Wanted.STOPPED, False),
        (8064.0, Wanted.RUNNING, True),
        (6452.0, Wanted.RUNNING, True),
        (6451.0, Wanted.RUNNING, False),
        (20.0, Wanted.RUNNING, False),
    ],
)
def test_power_decides_at_a_tenth_and_at_four_fifths_of_rated(
    power_w: float, wanted: Wanted, expected: bool
) -> None:
    assert power_confirms(reading(power_w), wanted, 8064.0, 20.0) is expected


def test_standby_that_draws_much_still_counts_as_stopped() -> None:
    assert stopped_below_w(1000.0, 90.0) == 270.0
    assert power_confirms(reading(250.0), Wanted.STOPPED, 1000.0, 90.0) is True


@pytest.mark.parametrize("missing", [None, reading(None)])
@pytest.mark.parametrize("wanted", list(Wanted))
def test_nothing_is_confirmed_without_a_power_reading(
    missing: RigReading | None, wanted: Wanted
) -> None:
    assert power_confirms(missing, wanted, 8064.0, 20.0) is None


def test_a_reading_from_before_the_command_took_effect_confirms_nothing() -> None:
    effective_at = NOW + timedelta(seconds=5)

    verdict = power_confirms(reading(20.0), Wanted.STOPPED, 8064.0, 20.0, not_before=effective_at)

    assert verdict is None


def test_what_the_firmware_says_of_itself_confirms_nothing() -> None:
    liar = RigReading(rig_id="rig", read_at=NOW, power_w=8064.0, working=False, soft_off=True)

    assert power_confirms(liar, Wanted.STOPPED, 8064.0, 20.0) is False

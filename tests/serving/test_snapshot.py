from datetime import UTC, datetime

import pytest

from gridhash.serving.snapshot import RigReading

NOW = datetime(2024, 4, 1, tzinfo=UTC)


def test_a_reading_refuses_a_time_without_zone() -> None:
    with pytest.raises(ValueError, match="rig_clock_at of rig has no time zone"):
        RigReading(rig_id="rig", read_at=NOW, rig_clock_at=NOW.replace(tzinfo=None))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_reading_refuses_a_number_that_is_none(value: float) -> None:
    with pytest.raises(ValueError, match="power_w of rig is not finite"):
        RigReading(rig_id="rig", read_at=NOW, power_w=value)

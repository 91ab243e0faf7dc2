from datetime import UTC, datetime

from gridhash.config import load_site
from gridhash.serving.aggregate import TripLatch
from gridhash.serving.rig_status import RigStatus
from gridhash.serving.settings import ControllerSettings
from gridhash.serving.snapshot import RigReading

START = datetime(2024, 4, 2, tzinfo=UTC)
GROUP = load_site("japan_pilot").groups[0]


def rig_of(chip_temp_c: float | None, inlet_temp_c: float | None) -> RigStatus:
    rig = RigStatus("a-001", GROUP, (8.0,), ControllerSettings())
    reading = RigReading(
        rig_id="a-001",
        read_at=START,
        power_w=0.0,
        chip_temp_c=chip_temp_c,
        inlet_temp_c=inlet_temp_c,
    )
    rig.see(reading, START, None)
    return rig


def test_a_trip_stays_while_no_rig_tells_the_temperature_of_the_loop() -> None:
    latch = TripLatch(GROUP)
    assert latch.update([rig_of(GROUP.cooling.chip_trip_c, None)])
    latch.update([rig_of(None, None)])
    assert latch.tripped
    latch.update([])
    assert latch.tripped


def test_a_trip_ends_when_a_rig_tells_that_the_loop_has_cooled() -> None:
    latch = TripLatch(GROUP)
    latch.update([rig_of(GROUP.cooling.chip_trip_c, None)])
    latch.update([rig_of(None, GROUP.cooling.coolant_restart_c + 0.1)])
    assert latch.tripped
    latch.update([rig_of(None, GROUP.cooling.coolant_restart_c)])
    assert not latch.tripped

"""How a rig was found before it was tried, and what it then showed."""

from gridhash.errors import ServingError
from gridhash.serving.commission_steps import Point
from gridhash.serving.drivers.driver import FirmwareDriver
from gridhash.serving.drivers.protocol import RigIdentity
from gridhash.serving.snapshot import RigReading
from gridhash.serving.state_folder import Record


class Was(Record):
    """How a running rig was found."""

    power_w: float
    hashrate_ths: float | None
    work_level: int | None
    power_target_w: float | None
    preset: str | None


class PointSeen(Record):
    """What became of one level, power or preset."""

    name: str
    level: int | None
    taken: bool
    power_w: float | None = None
    seconds: float | None = None
    words: str = ""


class Measured(Record):
    """What one rig showed."""

    rig_id: str
    group: str
    firmware: str
    model: str
    version: str | None
    mac: str | None
    running_w: float
    clock_skew_s: float | None
    points: tuple[PointSeen, ...] = ()
    stop_s: float | None = None
    standby_w: float | None = None
    survives_reboot: bool | None = None
    resume_s: float | None = None
    hash_s: float | None = None
    foreign: tuple[str, ...] = ()
    """What something else did to the rig."""
    left_out: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    """Why the site must not be served as it is with this rig."""


async def how_it_runs(driver: FirmwareDriver) -> tuple[Was, RigReading]:
    """Return how a rig runs before anything is tried.

    Raises
    ------
    ServingError
        If it does not answer or tells no power.
    """
    reading = await driver.read()
    if reading.power_w is None:
        raise ServingError(f"{driver.rig_id} tells no power: nothing can be measured")
    was = Was(
        power_w=reading.power_w,
        hashrate_ths=reading.hashrate_ths,
        work_level=reading.work_level,
        power_target_w=reading.power_target_w,
        preset=reading.preset,
    )
    return was, reading


def point_before(identity: RigIdentity, was: Was) -> Point | None:
    """Return what a rig ran at; None if its firmware knows nothing of the kind."""
    if was.work_level is not None and was.work_level in identity.capability.work_levels:
        return Point(name=f"level {was.work_level}", level=was.work_level)
    if was.preset is not None and identity.capability.presets:
        return Point(name=was.preset, preset=was.preset)
    if identity.capability.continuous_power:
        watts = was.power_target_w or round(was.power_w)
        return Point(name=f"{watts:.0f} W", power_w=float(watts))
    return None


def is_there(reading: RigReading, was: Was, identity: RigIdentity) -> bool:
    """Return whether a rig is at the level, preset or power that it was found at."""
    if was.work_level is not None and identity.capability.work_levels:
        return reading.work_level == was.work_level
    if was.preset is not None:
        return reading.preset == was.preset
    if was.power_target_w is not None:
        return reading.power_target_w == was.power_target_w
    return abs((reading.power_w or 0.0) - was.power_w) <= 0.02 * was.power_w

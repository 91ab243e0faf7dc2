"""Partial load in the way that a rig's firmware takes it: by number of a level, or by power."""

from gridhash.serving.drivers.protocol import CommandResult, RigDriver


async def set_load(driver: RigDriver, level: int, power_kw: float) -> CommandResult:
    """Tell a rig to run at a work level of its site.

    Parameters
    ----------
    level
        Number of the level, from 0, as firmware with work levels counts them.
    power_kw
        Of one rig at that level, for firmware that takes watts or presets.
    """
    identity = driver.identity
    if identity is not None and identity.capability.takes_power:
        return await driver.set_power_kw(power_kw)
    return await driver.set_work_level(level)


def restarts_to_change_load(driver: RigDriver) -> bool:
    """Return whether a new level, preset or power boots the rig again."""
    identity = driver.identity
    return identity is not None and identity.capability.change_restarts

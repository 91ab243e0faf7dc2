"""Which driver is for which rig, and what the rigs say they are."""

from collections.abc import Mapping, Sequence

from gridhash.config import SiteConfig
from gridhash.errors import ServingError
from gridhash.serving.commissioning_record import CommissioningRecord, alarm_text
from gridhash.serving.drivers.protocol import RigDriver
from gridhash.serving.findings import Alarm
from gridhash.serving.site_alarms import AlarmKey


async def identify(driver: RigDriver) -> str:
    """Return what the driver's library said of the rig, or why it could not be identified."""
    try:
        return (await driver.identify()).library_note
    except ServingError as err:
        return str(err)


def void_alarms(
    record: CommissioningRecord | None, drivers: Mapping[str, RigDriver]
) -> dict[AlarmKey, str]:
    """Return an alarm for each cause for which rigs are no longer what was commissioned."""
    if record is None or not record.kinds:
        return {}
    known = {rig_id: own.identity for rig_id, own in drivers.items() if own.identity is not None}
    return {
        (Alarm.COMMISSIONING_VOID, cause): alarm_text(cause, rigs)
        for cause, rigs in record.voided_by(known).items()
    }


def drivers_by_rig(
    site: SiteConfig, drivers: Mapping[str, Sequence[RigDriver]]
) -> dict[str, RigDriver]:
    """Return the drivers of all groups by rig.

    Raises
    ------
    ServingError
        If they are not those of the site, or two rigs have one name.
    """
    names = [group.name for group in site.groups]
    if set(drivers) != set(names):
        raise ServingError(f"drivers are given for {sorted(drivers)}, the site has {names}")
    for group in site.groups:
        if len(drivers[group.name]) != group.n_rigs:
            raise ServingError(
                f"group {group.name} has {group.n_rigs} rigs in the site file, and "
                f"{len(drivers[group.name])} addresses are given: correct one of them"
            )
    by_rig = {driver.rig_id: driver for own in drivers.values() for driver in own}
    if len(by_rig) != site.n_rigs:
        raise ServingError("two rigs have the same name")
    return by_rig

"""The rigs of a site as a controller begins with them."""

from collections.abc import Mapping, Sequence

from gridhash.config import SiteConfig
from gridhash.serving.drivers.protocol import RigDriver
from gridhash.serving.journal import Journal
from gridhash.serving.rig_status import RigStatus
from gridhash.serving.settings import ControllerSettings


def rigs_of(
    site: SiteConfig,
    drivers: Mapping[str, Sequence[RigDriver]],
    journal: Journal,
    settings: ControllerSettings,
) -> list[list[RigStatus]]:
    """Return the rigs of each group, with what earlier runs saw of them."""
    changes, lockouts = journal.last_changes(), journal.last_lockouts()
    return [
        [
            RigStatus(
                driver.rig_id,
                group,
                tuple(group.level_power_kw(level) for level in site.levels_of(group)),
                settings,
                last_change=changes.get(driver.rig_id),
                lockout=lockouts.get(driver.rig_id, ""),
            )
            for driver in drivers[group.name]
        ]
        for group in site.groups
    ]

"""Who answers at the addresses of a rig list, before anything is commanded or written."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

from gridhash.errors import RigUnreachable, ServingError
from gridhash.serving.drivers.concurrency import gather_bounded
from gridhash.serving.drivers.protocol import RigDriver, RigIdentity
from gridhash.serving.drivers.wire import OtherRig

N_NAMED = 3


class Fate(StrEnum):
    """What became of the attempt to identify a rig."""

    IDENTIFIED = "identified"
    UNKNOWN_MODEL = "unknown model: read, never commanded"
    OTHER_MACHINE = "another machine"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, kw_only=True)
class RigFate:
    """One rig of the list."""

    rig_id: str
    group: str
    address: str
    fate: Fate
    identity: RigIdentity | None
    detail: str
    """Why the rig was not identified, or that its password is the one it was sold with."""

    @property
    def model(self) -> str:
        """What the firmware calls itself; empty if nobody told."""
        return self.identity.model if self.identity else ""


async def call_roll(drivers: Sequence[tuple[str, RigDriver]]) -> list[RigFate]:
    """Identify every rig, given as (group, driver)."""
    return await gather_bounded([partial(_fate, group, driver) for group, driver in drivers])


def check_roll(fates: Sequence[RigFate], *, live: bool, work_levels: bool = False) -> None:
    """Refuse to run a site on which nothing can be done.

    Parameters
    ----------
    live
        Rigs shall be commanded.
    work_levels
        The site's setpoints need rigs at partial load.

    Raises
    ------
    ServingError
        If no rig answers; if one rig answers at two addresses; or if rigs shall be commanded and
        none takes the commands that the site needs.
    """
    answering = [fate for fate in fates if fate.identity is not None]
    if not answering:
        shown = "; ".join(fate.detail for fate in fates[:N_NAMED])
        more = f"; and {len(fates) - N_NAMED} more" if len(fates) > N_NAMED else ""
        raise ServingError(
            f"none of the {len(fates)} rigs answers ({shown}{more}): check power, network and the "
            "addresses of the rig list"
        )
    macs = Counter(fate.identity.mac for fate in answering if fate.identity and fate.identity.mac)
    for mac, count in macs.items():
        if count > 1:
            places = ", ".join(
                f"{fate.rig_id} ({fate.address})"
                for fate in answering
                if fate.identity and fate.identity.mac == mac
            )
            raise ServingError(
                f"{places} answer with the same MAC {mac}: one rig is listed twice; remove a row"
            )
    if live and not any(fate.fate is Fate.IDENTIFIED for fate in fates):
        models = ", ".join(sorted({fate.model for fate in answering}))
        raise ServingError(
            f"no rig takes commands: {models} is not in the capability table; run with --shadow"
        )
    if live and work_levels and not any(_takes_load(fate) for fate in fates):
        raise ServingError(
            "the site uses work levels, and no rig of the list is known to take any: set "
            "use_work_levels = false in the site file, or run with --shadow"
        )


def _takes_load(fate: RigFate) -> bool:
    return fate.identity is not None and fate.identity.capability.takes_load


async def _fate(group: str, driver: RigDriver) -> RigFate:
    def fate(fate: Fate, identity: RigIdentity | None, detail: str) -> RigFate:
        return RigFate(
            rig_id=driver.rig_id,
            group=group,
            address=driver.address,
            fate=fate,
            identity=identity,
            detail=detail,
        )

    try:
        identity = await driver.identify()
    except OtherRig as err:
        return fate(Fate.OTHER_MACHINE, None, str(err))
    except RigUnreachable as err:
        return fate(Fate.UNREACHABLE, None, str(err))
    except ServingError as err:
        return fate(Fate.OTHER_MACHINE, None, str(err))
    if not identity.capability.on_off:
        return fate(Fate.UNKNOWN_MODEL, identity, identity.capability.source)
    flagged = f"{driver.rig_id}: {identity.library_note}" if identity.default_credentials else ""
    return fate(Fate.IDENTIFIED, identity, flagged)

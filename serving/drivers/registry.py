"""Which driver is for which rig: firmware by name, or found out by asking (``auto``)."""

from collections.abc import Callable
from dataclasses import dataclass

from gridhash.serving.clock import Clock
from gridhash.serving.drivers.antminer import ANTMINER_PORT, Antminer
from gridhash.serving.drivers.auto import Auto
from gridhash.serving.drivers.avalon_pyasic import AVALON_PORT, Avalon
from gridhash.serving.drivers.breaker import CircuitBreaker
from gridhash.serving.drivers.capabilities import FirmwareName
from gridhash.serving.drivers.credentials import DEFAULTS, Credentials, is_default
from gridhash.serving.drivers.driver import DEADLINE_S, FirmwareDriver, LevelsOf
from gridhash.serving.drivers.epic import EPIC_PORT, Epic
from gridhash.serving.drivers.firmware import Firmware
from gridhash.serving.drivers.luxos import LUXOS_PORT, LuxOs
from gridhash.serving.drivers.pyasic_library import load_braiins
from gridhash.serving.drivers.vnish import VNISH_PORT, Vnish
from gridhash.serving.drivers.whatsminer_v2 import WHATSMINER_V2_PORT, WhatsminerV2
from gridhash.serving.drivers.whatsminer_v3 import WHATSMINER_V3_PORT, WhatsminerV3
from gridhash.serving.drivers.wire import Place

AUTO = "auto"
"""In a rig list, for a rig whose firmware nobody wrote down."""

BRAIINS_PORT = 50051

Make = Callable[[Place, Clock, Credentials | None], Firmware]


@dataclass(frozen=True)
class Kind:
    """How a firmware is spoken to."""

    port: int
    make: Make


def _braiins(place: Place, _: Clock, credentials: Credentials | None) -> Firmware:
    """Return the language of Braiins OS+, which needs what comes with pyasic."""
    load_braiins()
    from gridhash.serving.drivers.braiins import Braiins

    return Braiins(place, credentials)


KINDS: dict[FirmwareName, Kind] = {
    FirmwareName.WHATSMINER_V3: Kind(
        WHATSMINER_V3_PORT, lambda place, _, credentials: WhatsminerV3(place, credentials)
    ),
    FirmwareName.BRAIINS: Kind(BRAIINS_PORT, _braiins),
    FirmwareName.AVALON: Kind(AVALON_PORT, lambda place, _, __: Avalon(place)),
    FirmwareName.LUXOS: Kind(LUXOS_PORT, lambda place, _, __: LuxOs(place)),
    FirmwareName.WHATSMINER_V2: Kind(WHATSMINER_V2_PORT, WhatsminerV2),
    FirmwareName.VNISH: Kind(VNISH_PORT, lambda place, _, credentials: Vnish(place, credentials)),
    FirmwareName.EPIC: Kind(EPIC_PORT, lambda place, _, credentials: Epic(place, credentials)),
    FirmwareName.ANTMINER: Kind(
        ANTMINER_PORT, lambda place, _, credentials: Antminer(place, credentials)
    ),
}
"""In the order in which ``auto`` asks: the telling languages first."""


def driver_for(
    rig_id: str,
    address: str,
    clock: Clock,
    *,
    firmware: FirmwareName | None,
    port: int | None = None,
    credentials: Credentials | None = None,
    allow_default_credentials: bool = False,
    mac: str | None = None,
    commissioned_levels: tuple[int, ...] | LevelsOf = (),
    deadline_s: float = DEADLINE_S,
    breaker: CircuitBreaker | None = None,
) -> FirmwareDriver:
    """Return the driver of a rig; nothing is sent.

    Parameters
    ----------
    firmware
        None to find out when the rig is identified.
    port
        None for the firmware's own.
    credentials
        Not used by firmware that asks for none.
    allow_default_credentials
        Speak to the rig with the password that its firmware is sold with, if none is given.
    mac
        Of the rig that belongs at the address, if known.

    Raises
    ------
    ServingError
        If pyasic is needed and not installed.
    """
    names = list(KINDS) if firmware is None else [firmware]
    candidates = []
    for name in names:
        own = credentials
        if own is None and allow_default_credentials:
            own = DEFAULTS.get(name)
        elif own is not None and is_default(own, name) and not allow_default_credentials:
            own = own if firmware is not None else None
        place = Place(rig_id, address, port or KINDS[name].port)
        candidates.append((place, KINDS[name].make(place, clock, own)))
    place, language = candidates[0]
    return FirmwareDriver(
        place,
        language if firmware is not None else Auto(candidates, credentials, ask_s=deadline_s / 4.0),
        clock,
        deadline_s=deadline_s,
        allow_default_credentials=allow_default_credentials,
        commissioned_levels=commissioned_levels,
        expected_mac=mac,
        breaker=breaker,
    )

"""Which driver is for which rig: firmware by name, or found out by asking (``auto``)."""

from collections.abc import Callable
from dataclasses import dataclass

from gridhash.serving.clock import Clock
from gridhash.serving.drivers.avalon_pyasic import AVALON_PORT, Avalon
from gridhash.serving.drivers.capabilities import FirmwareName
from gridhash.serving.drivers.credentials import DEFAULTS, Credentials
from gridhash.serving.drivers.driver import DEADLINE_S, FirmwareDriver
from gridhash.serving.drivers.firmware import Firmware
from gridhash.serving.drivers.wire import Place

AUTO = "auto"

Make = Callable[[Place, Credentials | None], Firmware]


@dataclass(frozen=True)
class Kind:
    """How a firmware is spoken to."""

    port: int
    make: Make


KINDS: dict[FirmwareName, Kind] = {
    FirmwareName.AVALON: Kind(AVALON_PORT, lambda place, _: Avalon(place)),
}


def firmware_named(text: str) -> FirmwareName | None:
    """Return the firmware of a name; None for ``auto``.

    Raises
    ------
    ValueError
        If no firmware is called so.
    """
    return None if text == AUTO else FirmwareName(text)


def driver_for(
    rig_id: str,
    address: str,
    clock: Clock,
    *,
    firmware: FirmwareName,
    port: int | None = None,
    credentials: Credentials | None = None,
    allow_default_credentials: bool = False,
    mac: str | None = None,
    deadline_s: float = DEADLINE_S,
) -> FirmwareDriver:
    """Return the driver of a rig; nothing is sent.

    Parameters
    ----------
    port
        None for the firmware's own.
    allow_default_credentials
        Speak to the rig with the password that its firmware is sold with, if none is given.
    mac
        Of the rig that belongs at the address, if known.

    Raises
    ------
    ServingError
        If pyasic is needed and not installed.
    """
    kind = KINDS[firmware]
    if credentials is None and allow_default_credentials:
        credentials = DEFAULTS.get(firmware)
    place = Place(rig_id, address, port or kind.port)
    return FirmwareDriver(
        place,
        kind.make(place, credentials),
        clock,
        deadline_s=deadline_s,
        credentials=credentials,
        allow_default_credentials=allow_default_credentials,
        expected_mac=mac,
    )

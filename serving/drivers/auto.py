"""A firmware that finds out by itself which firmware a rig has: ``auto`` in a rig list.

Ports are knocked at first, all at once; then those that open are asked, one language at a time,
until an answer is one that this language knows.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from gridhash.errors import RigUnreachable
from gridhash.serving.drivers.capabilities import FirmwareName
from gridhash.serving.drivers.credentials import Credentials
from gridhash.serving.drivers.firmware import Ack, Firmware, Found, Order, Who
from gridhash.serving.drivers.protocol import Command
from gridhash.serving.drivers.wire import OtherFirmware, Place, RefusedByRig
from gridhash.serving.snapshot import RigReading

ASK_S = 1.2
"""Wall time in which a port opens, or is taken for closed, and in which a language is answered."""


class Auto:
    """Tries firmwares until one understands the rig. Implements `Firmware`."""

    def __init__(
        self,
        candidates: Sequence[tuple[Place, Firmware]],
        credentials: Credentials | None = None,
        *,
        ask_s: float = ASK_S,
    ) -> None:
        """Prepare to ask in this order; nothing is sent."""
        self._candidates = candidates
        self._given = credentials
        self._ask_s = ask_s
        self._found: Firmware | None = None

    @property
    def name(self) -> FirmwareName | None:
        """The firmware that was found; None before."""
        return None if self._found is None else self._found.name

    @property
    def credentials(self) -> Credentials | None:
        """What the firmware that was found logs on with; before, what was given."""
        return self._given if self._found is None else self._found.credentials

    def delay_s(self, command: Command) -> float:
        """Return the delay of the firmware that was found [s]."""
        return self._known().delay_s(command)

    async def identify(self) -> Found:
        """Find out which firmware answers, anew each time, and what it says."""
        places = list(dict.fromkeys(place for place, _ in self._candidates))
        opened = await asyncio.gather(*(self._opens(place) for place in places))
        open_places = {place for place, opens in zip(places, opened, strict=True) if opens}
        if not open_places:
            ports = ", ".join(str(place.port) for place in places)
            raise RigUnreachable(f"nothing answers at {places[0]}, nor at any of ports {ports}")
        refusal: RefusedByRig | None = None
        for place, firmware in self._candidates:
            if place not in open_places:
                continue
            try:
                async with asyncio.timeout(self._ask_s):
                    found = await firmware.identify()
            except RefusedByRig as err:
                refusal = refusal or err
            except (RigUnreachable, OtherFirmware, TimeoutError):
                continue
            else:
                self._found = firmware
                return replace(found, port=place.port)
        if refusal is not None:
            raise refusal
        raise OtherFirmware(f"{places[0]} answers, and no driver knows its language")

    async def log_on(self) -> Who:
        """Log on by the firmware that was found."""
        return await self._known().log_on()

    async def send(self, order: Order, who: Who) -> Ack:
        """Send by the firmware that was found."""
        return await self._known().send(order, who)

    async def log_off(self) -> None:
        """Log off by the firmware that was found."""
        await self._known().log_off()

    async def read(self, at: datetime) -> tuple[RigReading, Who]:
        """Read by the firmware that was found, after finding it if need be."""
        if self._found is None:
            await self.identify()
        return await self._known().read(at)

    def _known(self) -> Firmware:
        assert self._found is not None, "a driver identifies before it commands"
        return self._found

    async def _opens(self, place: Place) -> bool:
        try:
            async with asyncio.timeout(self._ask_s):
                _, writer = await asyncio.open_connection(place.address, place.port)
        except OSError:  # TimeoutError is one
            return False
        writer.transport.abort()
        return True

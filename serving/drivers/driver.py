"""The driver of a rig of any firmware: what is the same for all of them.

One call at a time; a deadline for each of the two halves of a command (ask who answers and log on,
then write), so that it is known whether a rig that fell silent may have heard it; a circuit breaker
that stops pass; nothing sent that the capability table does not list; nothing written to another
machine than the one identified; no password in any word that leaves here.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

from gridhash.errors import RigUnreachable, ServingError
from gridhash.serving.clock import Clock
from gridhash.serving.drivers.breaker import CircuitBreaker
from gridhash.serving.drivers.capabilities import (
    REBOOTING,
    Capability,
    FirmwareName,
    capability_of,
)
from gridhash.serving.drivers.credentials import is_default
from gridhash.serving.drivers.firmware import Firmware, Found, Order, Who
from gridhash.serving.drivers.limits import NotSent, within_limits
from gridhash.serving.drivers.protocol import (
    Command,
    CommandResult,
    Outcome,
    RigIdentity,
    Why,
)
from gridhash.serving.drivers.wire import NoReply, OtherFirmware, OtherRig, Place, RefusedByRig
from gridhash.serving.snapshot import RigReading
from gridhash.units import W_PER_KW

log = logging.getLogger(__name__)

DEADLINE_S = 5.0


LevelsOf = Callable[[FirmwareName, str, str | None], tuple[int, ...]]
"""Work levels that a site's commissioning found, by firmware, model and firmware version."""


class BreakerOpen(RigUnreachable):
    """The rig did not answer lately and is left alone for a while."""


class FirmwareDriver:
    """One rig at an address. Implements `RigDriver`."""

    def __init__(
        self,
        place: Place,
        firmware: Firmware,
        clock: Clock,
        *,
        deadline_s: float = DEADLINE_S,
        allow_default_credentials: bool = False,
        commissioned_levels: tuple[int, ...] | LevelsOf = (),
        expected_mac: str | None = None,
        identity: RigIdentity | None = None,
        breaker: CircuitBreaker | None = None,
    ) -> None:
        """Prepare to speak to a rig; nothing is sent.

        Parameters
        ----------
        deadline_s
            For a reading, and for each half of a command, in wall time.
        allow_default_credentials
            Whether the password that the firmware is sold with may be used.
        commissioned_levels
            Work levels that a commissioning record of this site unlocks, perhaps for one firmware
            version alone.
        expected_mac
            Of the rig that belongs at this address; another machine is not taken for it.
        identity
            What an earlier run found, so that the rig need not be identified again.
        """
        self._place = place
        self._firmware = firmware
        self._clock = clock
        self._deadline_s = deadline_s
        self._allow_default_credentials = allow_default_credentials
        self._commissioned_levels = commissioned_levels
        self._expected = Who(mac=expected_mac)
        self._identity = identity
        self._uptime_s: float | None = None
        self.breaker = breaker or CircuitBreaker(clock)
        self._one_at_a_time = asyncio.Lock()

    @property
    def rig_id(self) -> str:
        """The rig's name."""
        return self._place.rig_id

    @property
    def address(self) -> str:
        """Where the rig answers."""
        return self._place.address

    @property
    def identity(self) -> RigIdentity | None:
        """What `identify` last found; None before."""
        return self._identity

    async def identify(self) -> RigIdentity:
        """Ask the rig what it is and remember it.

        Raises
        ------
        RigUnreachable
            If no usable answer came before the deadline, or the breaker is open.
        ServingError
            If what answers speaks another language, refuses, or is not the rig that belongs here.
        """
        with self._clock.outstanding(f"identify {self.rig_id}"):
            async with self._one_at_a_time, self._answered(ask_breaker=True):
                return await self._identify()

    async def read(self) -> RigReading:
        """Read power, hash rate, temperatures and state.

        Raises
        ------
        RigUnreachable
            If no usable answer came before the deadline, another machine gave it, or the breaker
            is open.
        """
        with self._clock.outstanding(f"read {self.rig_id}"):
            async with self._one_at_a_time:
                try:
                    async with self._answered(ask_breaker=True):
                        reading, who = await self._firmware.read(self._clock.now())
                except (RefusedByRig, OtherFirmware) as err:
                    raise NoReply(str(err)) from err
                if self._known().differs_from(who):
                    raise OtherRig(f"{self._place} now has {who}, not {self._known()}")
                await self._note_reboot(reading)
                return reading

    async def stop(self, *, forced: bool = False) -> CommandResult:
        """Tell the rig to stop hashing; see `RigDriver.stop`."""
        return await self._command(
            Order(command=Command.STOP), lambda capability: capability.on_off, forced=forced
        )

    async def resume(self) -> CommandResult:
        """Tell the rig to leave standby and to hash."""
        return await self._command(
            Order(command=Command.RESUME), lambda capability: capability.on_off
        )

    async def set_work_level(self, level: int) -> CommandResult:
        """Tell the rig to run at a work level; only commissioned levels are sent."""
        return await self._command(
            Order(command=Command.SET_WORK_LEVEL, level=level),
            lambda capability: level in capability.work_levels,
        )

    async def set_power_kw(self, power_kw: float) -> CommandResult:
        """Tell the rig to draw at most so much; see `RigDriver.set_power_kw`."""
        return await self._command(
            Order(command=Command.SET_POWER, power_w=power_kw * W_PER_KW),
            lambda capability: capability.takes_power,
        )

    async def set_preset(self, name: str) -> CommandResult:
        """Tell the rig to run at a preset that its firmware names."""
        return await self._command(
            Order(command=Command.SET_PRESET, preset=name), lambda capability: capability.presets
        )

    async def reboot(self) -> CommandResult:
        """Tell the rig to reboot, for commissioning alone: no controller does."""
        return await self._command(
            Order(command=Command.REBOOT), lambda _: self._firmware.name in REBOOTING
        )

    async def _identify(self, *, whoever: bool = False) -> RigIdentity:
        """Identify within a deadline that the caller has set; remember the rig that belongs here.

        With `whoever` another machine is described, and not remembered.
        """
        identity = self._identity_from(await self._firmware.identify())
        if not self._expected.differs_from(Who(mac=identity.mac)):
            self._identity = identity
        elif not whoever:
            raise OtherRig(
                f"{self._place} has MAC {identity.mac}, and {self._expected.mac} belongs there: "
                "correct the address, or write the MAC of the right rig into the rig list"
            )
        return identity

    async def _command(
        self, order: Order, allowed: Callable[[Capability], bool], *, forced: bool = False
    ) -> CommandResult:
        began_at = time.perf_counter()
        with self._clock.outstanding(f"{order.command} {self.rig_id}"):
            async with self._one_at_a_time:
                result = await self._send(order, allowed, forced)
        return replace(result, took_s=time.perf_counter() - began_at)

    async def _send(
        self, order: Order, allowed: Callable[[Capability], bool], forced: bool
    ) -> CommandResult:
        try:
            order, who = await self._prepare(order, allowed, forced)
        except NotSent as err:
            return self._result(order, err.outcome, f"not sent: {err}", why=err.why)
        try:
            if self._known().differs_from(who) and not forced:
                text = f"{self._place} now has {who}, not {self._known()}; identify the rig again"
                return self._result(order, Outcome.REFUSED, f"not sent: {text}", why=Why.OTHER_RIG)
            return await self._write(order, who)
        finally:
            await self._log_off()

    async def _prepare(
        self, order: Order, allowed: Callable[[Capability], bool], forced: bool
    ) -> tuple[Order, Who]:
        """Return the order within its limits and who answers, or raise why it is not sent."""
        try:
            async with self._answered(ask_breaker=order.command is not Command.STOP):
                identity = self._identity or await self._identify(whoever=forced)
                if not allowed(identity.capability):
                    text = identity.capability.source
                    raise NotSent(Outcome.UNSUPPORTED, Why.NOT_IN_TABLE, text)
                return within_limits(order, identity), await self._firmware.log_on()
        except BreakerOpen as err:
            raise NotSent(Outcome.UNREACHABLE, Why.BREAKER, str(err)) from err
        except OtherRig as err:
            raise NotSent(Outcome.REFUSED, Why.OTHER_RIG, str(err)) from err
        except RigUnreachable as err:
            raise NotSent(Outcome.UNREACHABLE, Why.NO_ANSWER, str(err)) from err
        except RefusedByRig as err:
            raise NotSent(Outcome.REFUSED, err.why, str(err)) from err
        except ServingError as err:
            raise NotSent(Outcome.UNSUPPORTED, Why.NOT_IN_TABLE, str(err)) from err

    async def _write(self, order: Order, who: Who) -> CommandResult:
        delay_s = self._firmware.delay_s(order.command)
        try:
            async with self._answered(ask_breaker=False):
                ack = await self._firmware.send(order, who)
        except RefusedByRig as err:
            return self._result(order, Outcome.REFUSED, str(err), why=err.why)
        except (NoReply, OtherFirmware) as err:
            return self._result(order, Outcome.UNKNOWN, str(err), delay_s=delay_s)
        except RigUnreachable as err:
            return self._result(order, Outcome.UNREACHABLE, str(err), why=Why.NO_ANSWER)
        text = self._without_secrets(ack.detail)
        return self._result(order, ack.outcome, text, delay_s=delay_s, power_w=ack.power_w)

    async def _log_off(self) -> None:
        try:
            async with asyncio.timeout(self._deadline_s):
                await self._firmware.log_off()
        except (TimeoutError, ServingError) as err:
            log.info("%s: not logged off: %s", self.rig_id, self._without_secrets(str(err)))

    def _result(
        self,
        order: Order,
        outcome: Outcome,
        detail: str,
        *,
        why: Why = Why.NOTHING,
        delay_s: float = 0.0,
        power_w: float | None = None,
    ) -> CommandResult:
        now = self._clock.now()
        heard = outcome.may_have_reached_rig
        return CommandResult(
            rig_id=self.rig_id,
            command=order.command,
            outcome=outcome,
            sent_at=now,
            effective_at=now + timedelta(seconds=delay_s) if heard else None,
            detail=detail,
            why=why,
            power_kw=None if power_w is None else power_w / W_PER_KW,
        )

    async def _note_reboot(self, reading: RigReading) -> None:
        """Identify a rig that rebooted once more: it may have come back with other firmware."""
        before_s, self._uptime_s = self._uptime_s, reading.uptime_s
        if before_s is None or reading.uptime_s is None or self._identity is None:
            return
        if reading.uptime_s + 1.0 >= before_s:
            return
        try:
            async with self._answered(ask_breaker=False):
                await self._identify()
        except ServingError as err:
            log.info("%s: not identified after a reboot: %s", self.rig_id, err)
            self._uptime_s = before_s

    def _check_credentials(self) -> None:
        if self._uses_default() and not self._allow_default_credentials:
            raise RefusedByRig(
                f"{self._place} has the password that {self._firmware.name} is sold with: change "
                "it, or write yes in the column allow_default_credentials of the rig list",
                Why.CREDENTIALS,
            )

    def _uses_default(self) -> bool:
        own, name = self._firmware.credentials, self._firmware.name
        return own is not None and name is not None and is_default(own, name)

    def _known(self) -> Who:
        identity = self._identity
        if identity is None:
            return self._expected
        return Who(mac=identity.mac or self._expected.mac, serial=identity.serial)

    def _identity_from(self, found: Found) -> RigIdentity:
        name = self._firmware.name
        assert name is not None
        capability = capability_of(found.model, name)
        levels = self._commissioned_levels
        if not isinstance(levels, tuple):
            levels = levels(name, found.model, found.version)
        notes = [found.note] if found.note else []
        if self._uses_default():
            notes.append(f"its password is the one that {name} is sold with")
        if found.who.mac is None and found.who.serial is None:
            notes.append("it tells neither MAC nor serial number: a re-used address goes unnoticed")
        return RigIdentity(
            rig_id=self.rig_id,
            address=self.address,
            port=found.port or self._place.port,
            mac=found.who.mac,
            model=found.model,
            firmware=found.version,
            known_to_library=found.known_to_library,
            library_note="; ".join(notes),
            capability=capability.with_commissioned_levels(levels),
            serial=found.who.serial,
            presets=found.presets,
            min_power_w=found.min_power_w or capability.min_power_w,
            max_power_w=found.max_power_w,
            default_credentials=self._uses_default(),
        )

    @asynccontextmanager
    async def _answered(self, *, ask_breaker: bool) -> AsyncIterator[None]:
        """Run the body within the deadline, tell the breaker how it went, and keep its secrets."""
        if ask_breaker and not self.breaker.lets_through():
            raise BreakerOpen(
                f"{self._place} did not answer lately and is left alone for another "
                f"{self.breaker.wait_s:.0f} s"
            )
        answered = False
        try:
            self._check_credentials()
            async with asyncio.timeout(self._deadline_s):
                yield
            answered = True
        except TimeoutError:
            raise NoReply(f"{self._place} gave no reply within {self._deadline_s:g} s") from None
        except ServingError as err:
            answered = isinstance(err, OtherRig) or not isinstance(err, RigUnreachable)
            err.args = (self._without_secrets(str(err)),)
            raise err from None
        except NotSent:
            answered = True
            raise
        finally:
            if answered:
                self.breaker.succeeded()
            else:
                self.breaker.failed()

    def _without_secrets(self, text: str) -> str:
        own = self._firmware.credentials
        return text if own is None else text.replace(own.secret(), "***")

"""Driver of Canaan Avalon rigs over pyasic.

pyasic is transport and parser; what is sent, what an answer means and how long it may take is
decided here, because (pyasic 0.79.0):

- its ``stop_mining`` schedules by the host's clock, so a rig whose clock is an hour behind stops an
  hour late; here the rig's own clock is asked for first (`When` in every reply);
- a refused connection becomes an empty answer and a read may take 100 s; here every call has its
  own deadline and every failure a typed outcome;
- ``get_miner`` opens three to five connections at once to a rig that stands one, and a slow rig
  silently becomes an unknown model; here one ``version`` command identifies;
- its ``set_power_limit`` picks a work level meant for another model, and is never called;
- it rewrites "nan" and "inf" to 0; here the reply's own text is looked at.
"""

import asyncio
import re
import time
import warnings
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from gridhash.errors import RigUnreachable, ServingError
from gridhash.serving.clock import Clock
from gridhash.serving.drivers.avalon_telemetry import (
    library_model,
    mac_of,
    reading_from,
    rig_clock_of,
    status_of,
)
from gridhash.serving.drivers.capabilities import Capability, capability_of
from gridhash.serving.drivers.protocol import Command, CommandResult, Outcome, RigIdentity, Why
from gridhash.serving.drivers.pyasic_library import load_pyasic
from gridhash.serving.drivers.root_logger import ROOT_LOGGER_GUARD
from gridhash.serving.snapshot import RigReading

AVALON_PORT = 4028
DEADLINE_S = 5.0
COMMAND_DELAY_S = 5
"""Soft-off and soft-on are scheduled so far ahead on the rig's clock, as its vendor's tools do."""

NO_CONNECTION = b"{}"
"""What pyasic returns instead of raising when it could not connect."""

REWRITTEN = re.compile(rb'"(?:nan|inf)"')
"""Text in a reply that pyasic turns into 0."""


class NoReply(RigUnreachable):
    """The rig was connected to and gave no usable answer; it may have heard the command."""


class RefusedByRig(ServingError):
    """The rig answered with an error."""


class AvalonPyasicDriver:
    """One Avalon rig at an address. Implements `RigDriver`."""

    def __init__(
        self,
        rig_id: str,
        address: str,
        clock: Clock,
        *,
        port: int = AVALON_PORT,
        deadline_s: float = DEADLINE_S,
        command_delay_s: int = COMMAND_DELAY_S,
        commissioned_levels: tuple[int, ...] = (),
        identity: RigIdentity | None = None,
    ) -> None:
        """Prepare to speak to a rig; nothing is sent.

        Parameters
        ----------
        deadline_s
            For each command on the wire, in wall time.
        commissioned_levels
            Work levels that a commissioning record of this site unlocks.
        identity
            What an earlier run found, so that the rig need not be identified again.

        Raises
        ------
        ServingError
            If pyasic is not installed.
        """
        self._rig_id = rig_id
        self._address = address
        self._port = port
        self._clock = clock
        self._deadline_s = deadline_s
        self._command_delay_s = command_delay_s
        self._commissioned_levels = commissioned_levels
        self._identity = identity
        self._library = load_pyasic()
        self._rpc = self._library.rpc_class(address)
        self._rpc.port = port
        self._one_at_a_time = asyncio.Lock()

    @property
    def rig_id(self) -> str:
        """The rig's name."""
        return self._rig_id

    @property
    def address(self) -> str:
        """Where the rig answers."""
        return self._address

    @property
    def identity(self) -> RigIdentity | None:
        """What `identify` last found; None before."""
        return self._identity

    async def identify(self) -> RigIdentity:
        """Ask the rig what it is and remember it.

        Raises
        ------
        RigUnreachable
            If no usable answer came before the deadline.
        ServingError
            If what answers is no Avalon.
        """
        with self._clock.outstanding(f"identify {self._rig_id}"):
            async with self._one_at_a_time:
                self._identity = self._identity_from(await self._send("version"))
        return self._identity

    async def read(self) -> RigReading:
        """Read power, hash rate, temperatures and state with one command.

        Raises
        ------
        RigUnreachable
            If no usable answer came before the deadline.
        """
        with self._clock.outstanding(f"read {self._rig_id}"):
            async with self._one_at_a_time:
                try:
                    return await self._read()
                except RefusedByRig as err:
                    raise NoReply(str(err)) from err

    async def stop(self, *, forced: bool = False) -> CommandResult:
        """Tell the rig to stop hashing, by its own clock."""
        return await self._command(
            Command.STOP,
            forced=forced,
            allowed=lambda capability: capability.on_off,
            parameter=lambda due_s: f"0,softoff,1:{due_s}",
            delay_s=self._command_delay_s,
        )

    async def resume(self) -> CommandResult:
        """Tell the rig to hash again, by its own clock."""
        return await self._command(
            Command.RESUME,
            allowed=lambda capability: capability.on_off,
            parameter=lambda due_s: f"0,softon,1:{due_s}",
            delay_s=self._command_delay_s,
        )

    async def set_work_level(self, level: int) -> CommandResult:
        """Tell the rig to run at a work level; only commissioned levels are sent."""
        return await self._command(
            Command.SET_WORK_LEVEL,
            allowed=lambda capability: level in capability.work_levels,
            parameter=lambda _: f"0,worklevel,set,{level}",
            delay_s=0,
        )

    async def set_power_kw(self, power_kw: float) -> CommandResult:
        """Return that an Avalon takes no watts."""
        return await self._unsupported(Command.SET_POWER)

    async def set_preset(self, name: str) -> CommandResult:
        """Return that an Avalon has no presets."""
        return await self._unsupported(Command.SET_PRESET)

    async def _unsupported(self, command: Command) -> CommandResult:
        return await self._command(
            command, allowed=lambda _: False, parameter=lambda _: "", delay_s=0
        )

    async def _read(self) -> RigReading:
        reply = await self._send("estats")
        try:
            machine = self._library.parse_estats(reply)["STATS"][0]["MM ID0"]
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as err:
            raise NoReply(f"{self._place()} answered without telemetry ({err!r})") from err
        hashrate_mhs: float | str | None = None
        if "GHSspd" not in machine:
            hashrate_mhs = await self._minute_hashrate_mhs()
        return reading_from(
            machine,
            rig_id=self._rig_id,
            read_at=self._clock.now(),
            rig_clock_at=rig_clock_of(reply),
            minute_hashrate_mhs=hashrate_mhs,
        )

    async def _minute_hashrate_mhs(self) -> float | str | None:
        """Return what firmware without GHSspd averages over a minute; text if it is no number."""
        try:
            device = (await self._send("devs"))["DEVS"][0]
        except (LookupError, TypeError, RefusedByRig):
            return None
        if REWRITTEN.search(self._rpc.last_reply or b""):
            return "nan or inf"
        value = device.get("MHS 1m")
        return value if isinstance(value, int | float | str) else None

    async def _command(
        self,
        command: Command,
        *,
        allowed: Callable[[Capability], bool],
        parameter: Callable[[int], str],
        delay_s: int,
        forced: bool = False,
    ) -> CommandResult:
        began_at = time.perf_counter()

        def result(
            outcome: Outcome,
            detail: str,
            effective_at: datetime | None = None,
            why: Why = Why.NOTHING,
        ) -> CommandResult:
            return CommandResult(
                rig_id=self._rig_id,
                command=command,
                outcome=outcome,
                sent_at=self._clock.now(),
                effective_at=effective_at,
                detail=detail,
                why=why,
                took_s=time.perf_counter() - began_at,
            )

        with self._clock.outstanding(f"{command} {self._rig_id}"):
            async with self._one_at_a_time:
                try:
                    version = await self._send("version")
                    found = self._identity_from(version)
                except RigUnreachable as err:
                    return result(Outcome.UNREACHABLE, f"not sent: {err}", why=Why.NO_ANSWER)
                except ServingError as err:
                    return result(Outcome.UNSUPPORTED, f"not sent: {err}", why=Why.NOT_IN_TABLE)
                known = self._identity = self._identity or found
                if not allowed(found.capability):
                    return result(
                        Outcome.UNSUPPORTED,
                        f"not sent: {found.capability.source}",
                        why=Why.NOT_IN_TABLE,
                    )
                if found.mac != known.mac and not forced:
                    return result(
                        Outcome.REFUSED,
                        f"not sent: {self._place()} now has MAC {found.mac}, not {known.mac}; "
                        "identify the rig again",
                        why=Why.OTHER_RIG,
                    )
                rig_clock_at = rig_clock_of(version)
                if rig_clock_at is None:
                    return result(Outcome.REFUSED, "not sent: the rig does not tell its clock")
                due_s = int(rig_clock_at.timestamp()) + delay_s
                effective_at = self._clock.now() + timedelta(seconds=delay_s)
                try:
                    reply = await self._send("ascset", parameter(due_s))
                except RefusedByRig as err:
                    return result(Outcome.REFUSED, str(err), why=Why.RIG_SAID_NO)
                except NoReply as err:
                    return result(Outcome.UNKNOWN, str(err), effective_at)
                except RigUnreachable as err:
                    return result(Outcome.UNREACHABLE, str(err))
                message = str(status_of(reply).get("Msg", ""))
                acknowledged = "success" in message or message == "ASC 0 set OK"
                outcome = Outcome.PENDING if acknowledged else Outcome.UNKNOWN
                return result(outcome, message, effective_at)

    async def _send(self, command: str, parameter: str | None = None) -> dict[str, Any]:
        """Send one command within the deadline and return pyasic's parse of the reply.

        Raises
        ------
        RigUnreachable
            If nothing could be connected to.
        NoReply
            If the connection gave no usable answer.
        RefusedByRig
            If the rig answered with an error.
        """
        self._rpc.last_reply = None
        try:
            with ROOT_LOGGER_GUARD.held():
                reply: dict[str, Any] = await asyncio.wait_for(
                    self._rpc.send_command(command, parameters=parameter), self._deadline_s
                )
        except TimeoutError:
            raise NoReply(f"{self._place()} gave no reply within {self._deadline_s:g} s") from None
        except self._library.api_error as err:
            if not (self._rpc.last_reply or b"").strip(b"\x00\r\n "):
                raise NoReply(f"{self._place()} closed the connection without a reply") from err
            if str(err).startswith("Decode Error"):
                raise NoReply(f"{self._place()} gave an unreadable reply: {err!s:.200}") from err
            raise RefusedByRig(f"{self._place()} refused {err!s:.200}") from err
        except OSError as err:
            raise NoReply(f"{self._place()} broke the connection: {err}") from err
        except (LookupError, TypeError, AttributeError, ValueError, ArithmeticError) as err:
            # pyasic's own check of a reply stumbles over JSON that is no reply, and Python's
            # reader over integers of thousands of digits.
            raise NoReply(f"{self._place()} gave an unreadable reply: {err!r}") from err
        if self._rpc.last_reply == NO_CONNECTION:
            raise RigUnreachable(f"nothing answers at {self._place()}")
        return reply

    def _identity_from(self, reply: Mapping[str, Any]) -> RigIdentity:
        try:
            version = reply["VERSION"][0]
            product = str(version["PROD"])
        except (LookupError, TypeError) as err:
            raise NoReply(f"{self._place()} answered without a version") from err
        if "avalon" not in product.casefold():
            raise ServingError(
                f"{self._place()} answers as {product!r}, which is no Avalon; correct the "
                f"address or the driver of {self._rig_id}"
            )
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            self._library.miner_of(self._address, library_model(version))
        capability = capability_of(product).with_commissioned_levels(self._commissioned_levels)
        firmware = version.get("VERSION") or version.get("LVERSION")
        return RigIdentity(
            rig_id=self._rig_id,
            address=self._address,
            port=self._port,
            mac=mac_of(version),
            model=product,
            firmware=None if firmware is None else str(firmware),
            known_to_library=not caught,
            library_note="; ".join(str(warning.message) for warning in caught),
            capability=capability,
        )

    def _place(self) -> str:
        return f"{self._rig_id} ({self._address}:{self._port})"

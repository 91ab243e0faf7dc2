"""The language of Braiins OS+ (BOSer): gRPC at TCP 50051, on the messages that pyasic generated.

pyasic's own client opens a connection per call without a deadline, and forces a restart for a new
power target; here one connection serves a whole exchange, and a target is applied as the tuner can.
These messages cost a millisecond or two each, so a reading leaves the power target out.
"""

import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from typing import Any

from grpclib.client import Channel
from grpclib.const import Cardinality, Status
from grpclib.exceptions import GRPCError, ProtocolError, StreamTerminatedError

from gridhash.errors import RigUnreachable
from gridhash.serving.drivers.capabilities import FirmwareName
from gridhash.serving.drivers.credentials import Credentials, required
from gridhash.serving.drivers.firmware import Ack, Found, Order, Who, mac_text
from gridhash.serving.drivers.protocol import Command, Outcome, Why
from gridhash.serving.drivers.pyasic_library import load_braiins
from gridhash.serving.drivers.telemetry import Telemetry, scaled
from gridhash.serving.drivers.wire import NoReply, Place, RefusedByRig
from gridhash.serving.snapshot import RigReading

BRAIINS_PORT = 50051
GHS_PER_THS = 1e3
LOGIN = "/braiins.bos.v1.AuthenticationService/Login"

REFUSALS = {
    Status.UNAUTHENTICATED: Why.CREDENTIALS,
    Status.PERMISSION_DENIED: Why.CREDENTIALS,
    Status.INVALID_ARGUMENT: Why.OUT_OF_RANGE,
    Status.OUT_OF_RANGE: Why.OUT_OF_RANGE,
    Status.FAILED_PRECONDITION: Why.RIG_SAID_NO,
    Status.RESOURCE_EXHAUSTED: Why.RIG_SAID_NO,
    Status.UNIMPLEMENTED: Why.RIG_SAID_NO,
    Status.NOT_FOUND: Why.RIG_SAID_NO,
    Status.ALREADY_EXISTS: Why.RIG_SAID_NO,
}
"""Statuses that mean that nothing was done; any other leaves that open."""

MALFORMED = (
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    EOFError,
    struct.error,
)
"""What reading a message of wrong bytes raises: when it is parsed, or when it is looked at."""


class Braiins:
    """Speaks to a rig with Braiins OS+. Implements `Firmware`."""

    name = FirmwareName.BRAIINS

    def __init__(self, place: Place, credentials: Credentials | None = None) -> None:
        """Prepare to speak; nothing is sent.

        Raises
        ------
        ServingError
            If pyasic is not installed.
        """
        self._place = place
        self.credentials = credentials
        self._v1 = load_braiins()
        self._token = ""

    def delay_s(self, command: Command) -> float:
        """Return 0: commands act at once."""
        return 0.0

    async def identify(self) -> Found:
        """Return miner details and the range of power targets."""
        v1 = self._v1
        async with self._channel() as channel:
            details = await self._details(channel)
            constraints = await self._call(
                v1.ConfigurationServiceStub(channel).get_constraints, v1.GetConstraintsRequest()
            )
        with _typed_failures(self._place):
            power = constraints.tuner_constraints.power_target
            model = details.miner_identity.miner_model or details.miner_identity.name
            return Found(
                who=_who(details),
                model=str(model or "unnamed"),
                version=str(details.bos_version.current) or None,
                min_power_w=float(power.min.watt) or None,
                max_power_w=float(power.max.watt) or None,
            )

    async def log_on(self) -> Who:
        """Ask for marks, with a token that the rig takes."""
        async with self._channel() as channel:
            details = await self._details(channel)
        with _typed_failures(self._place):
            return _who(details)

    async def send(self, order: Order, who: Who) -> Ack:
        """Pause, resume, reboot, or set a power target."""
        v1 = self._v1
        async with self._channel() as channel:
            actions = v1.ActionsServiceStub(channel)
            if order.command is Command.STOP:
                await self._call(actions.pause_mining, v1.PauseMiningRequest())
                return Ack(outcome=Outcome.PENDING, detail="pause acknowledged")
            if order.command is Command.RESUME:
                await self._call(actions.resume_mining, v1.ResumeMiningRequest())
                return Ack(outcome=Outcome.PENDING, detail="resume acknowledged")
            if order.command is Command.REBOOT:
                await self._call(actions.reboot, v1.RebootRequest())
                return Ack(outcome=Outcome.PENDING, detail="reboot acknowledged")
            asked_w = int(order.power_w)
            request = v1.SetPowerTargetRequest(
                power_target=v1.Power(watt=asked_w), save_action=v1.SaveAction.SAVE_AND_APPLY
            )
            performance = v1.PerformanceServiceStub(channel)
            reply = await self._call(performance.set_power_target, request)
        with _typed_failures(self._place):
            set_w = int(reply.power_target.watt)
        return Ack(
            outcome=Outcome.APPLIED if set_w == asked_w else Outcome.PENDING,
            detail=f"power target {set_w} W, asked for {asked_w} W",
            power_w=float(set_w),
        )

    async def log_off(self) -> None:
        """Do nothing: a token ends by itself and bars nobody."""

    async def read(self, at: datetime) -> tuple[RigReading, Who]:
        """Read details, power and temperature over one connection."""
        v1 = self._v1
        async with self._channel() as channel:
            miner = v1.MinerServiceStub(channel)
            details = await self._details(channel)
            stats = await self._call(miner.get_miner_stats, v1.GetMinerStatsRequest())
            cooling = await self._call(
                v1.CoolingServiceStub(channel).get_cooling_state, v1.GetCoolingStateRequest()
            )
        with _typed_failures(self._place):
            return self._reading(at, details, stats, cooling), _who(details)

    def _reading(self, at: datetime, details: Any, stats: Any, cooling: Any) -> RigReading:
        statuses = self._v1.MinerStatus
        fields = Telemetry({})
        # Asked before it is looked at, which would make it up: 0 W is not the same as no power.
        told = stats.power_stats.is_set("approximated_consumption")
        power = stats.power_stats.approximated_consumption
        rate = stats.miner_stats.real_hashrate.last_5_s.gigahash_per_second
        hottest = cooling.highest_temperature.temperature.degree_c
        paused = details.status in (statuses.PAUSED, statuses.SUSPENDED)
        return RigReading(
            rig_id=self._place.rig_id,
            read_at=at,
            power_w=float(power.watt) if told else None,
            hashrate_ths=scaled(fields.finite("last_5_s", rate), GHS_PER_THS),
            chip_temp_c=fields.finite("highest_temperature", hottest) or None,
            working=details.status == statuses.NORMAL,
            soft_off=paused,
            uptime_s=float(details.system_uptime_s),
            not_numbers=tuple(fields.not_numbers),
        )

    @asynccontextmanager
    async def _channel(self) -> AsyncIterator[Channel]:
        """Open a connection for the calls of one exchange, logged in."""
        channel = Channel(self._place.address, self._place.port)
        try:
            await _connected(self._place, channel)
            if not self._token:
                await self._log_in(channel)
            yield channel
        finally:
            channel.close()

    async def _details(self, channel: Channel) -> Any:
        """Return miner details, logging in again if the token has ended."""
        miner = self._v1.MinerServiceStub(channel)
        request = self._v1.GetMinerDetailsRequest()
        try:
            return await self._call(miner.get_miner_details, request)
        except RefusedByRig as err:
            if err.why is not Why.CREDENTIALS:
                raise
        await self._log_in(channel)
        return await self._call(miner.get_miner_details, request)

    async def _log_in(self, channel: Channel) -> None:
        own = required(self.credentials, self._place, self.name)
        v1 = self._v1
        request = v1.LoginRequest(username=own.username, password=own.secret())
        with _typed_failures(self._place):
            async with channel.request(
                LOGIN, Cardinality.UNARY_UNARY, type(request), v1.LoginResponse
            ) as stream:
                await stream.send_message(request, end=True)
                await stream.recv_initial_metadata()
                reply = await stream.recv_message()
                headers: Any = stream.initial_metadata or {}
        with _typed_failures(self._place):
            told = headers.get("authorization") or ("" if reply is None else reply.token)
        self._token = str(told)
        if not self._token:
            raise RefusedByRig(f"{self._place} gave no token", Why.CREDENTIALS)

    async def _call(self, method: Any, request: Any) -> Any:
        with _typed_failures(self._place):
            return await method(request, metadata={"authorization": self._token})


async def _connected(place: Place, channel: Channel) -> None:
    """Connect, so that a place where nothing listens is told from one that falls silent."""
    try:
        await channel.__connect__()
    except OSError as err:
        raise RigUnreachable(f"nothing answers at {place} ({err.strerror or err})") from err


@contextmanager
def _typed_failures(place: Place) -> Iterator[None]:
    """Turn what grpclib raises into what a firmware may raise."""
    try:
        yield
    except GRPCError as err:
        text = f"{place}: {err.status.name} {err.message!s:.200}"
        if err.status in REFUSALS:
            raise RefusedByRig(f"refused by {text}", REFUSALS[err.status]) from err
        raise NoReply(f"no usable answer of {text}") from err
    except (StreamTerminatedError, ProtocolError, OSError, *MALFORMED) as err:
        raise NoReply(f"{place} broke off ({type(err).__name__} {err})") from err


def _who(details: Any) -> Who:
    return Who(
        mac=mac_text(details.mac_address),
        serial=str(details.serial_number or details.uid or "") or None,
    )

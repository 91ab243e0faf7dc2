"""What a Braiins OS+ rig says: gRPC at 50051.

The services are the bases that pyasic 0.79.0 generated from Braiins' public protocol
(``braiins.bos.v1``), so that client and rig agree on every field. Every call but ``Login`` needs
the token that ``Login`` gives in its initial metadata. A power target out of range is an error, one
within is echoed. Assumed: the range; that a target takes effect without a stop; that a pause does
not outlast a reboot. Protobuf has no NaN for watts: where telemetry is NaN, power is left out.
"""

import asyncio
import math
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from grpclib import GRPCError, Status
from grpclib.const import Handler
from grpclib.server import Server, Stream
from pyasic.web.braiins_os.proto.braiins.bos import v1

from gridhash.serving.simulated_cgminer import RigHangsUp
from gridhash.serving.simulated_listener import Door, Traffic, what_gets_out
from gridhash.serving.simulated_model import Change, Fate, Telemetry, WorkState
from gridhash.serving.simulated_rig import SimulatedRig

BRAIINS_PORT = 50051
USER = "root"

BASES = (
    v1.ActionsServiceBase,
    v1.AuthenticationServiceBase,
    v1.ConfigurationServiceBase,
    v1.CoolingServiceBase,
    v1.MinerServiceBase,
    v1.PerformanceServiceBase,
    v1.PoolServiceBase,
)

Call = Callable[[Any], Coroutine[Any, Any, Any]]


class BraiinsWire(*BASES):  # type: ignore[misc]  # generated code without types
    """What a rig can be asked and told at 50051."""

    port = BRAIINS_PORT

    def __init__(self, rig: SimulatedRig) -> None:
        """Speak for a rig; its token is drawn from its seed."""
        self.rig = rig
        self.token = f"{rig.random.getrandbits(64):016x}"
        self._traffic = Traffic()

    async def listen(self, address: str, port: int, traffic: Traffic) -> Door:
        """Answer at a place from now on."""
        self._traffic = traffic
        server = Server([self])
        await server.start(address, port)
        return server

    def __mapping__(self) -> dict[str, Handler]:
        """Return how each call is served: the generated table, with faults in between."""
        mapping: dict[str, Handler] = {}
        for base in BASES:
            for path, handler in base.__mapping__(self).items():
                name = handler.func.__name__.removeprefix("__rpc_")
                mapping[path] = handler._replace(func=partial(self._serve, name))
        return mapping

    async def _serve(self, name: str, stream: Stream[Any, Any]) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._traffic.begin(task)
        try:
            await self._serve_one(name, stream)
        finally:
            self._traffic.end(task)

    async def _serve_one(self, name: str, stream: Stream[Any, Any]) -> None:
        rig = self.rig
        request: Any = await stream.recv_message()
        metadata: Any = stream.metadata or {}
        if name != "login" and metadata.get("authorization") != self.token:
            raise GRPCError(Status.UNAUTHENTICATED, "log in first")
        if rig.faults.latency_s > 0.0:
            await asyncio.sleep(rig.faults.latency_s)
        call: Call = getattr(self, name)
        text = name if name == "login" else f"{name}|{request.to_json()}"
        try:
            response = await call(request)
        except RigHangsUp:
            rig.received(text, replied=False)
            await stream.cancel()
            return
        except GRPCError:
            rig.received(text, replied=True)
            raise
        whole = b"message"
        gets_out = what_gets_out(rig, whole)
        rig.received(text, replied=gets_out is whole)
        if gets_out is not None:
            own = {"authorization": self.token} if name == "login" else None
            await stream.send_initial_metadata(metadata=own)
        if gets_out is whole:
            await stream.send_message(response)
        else:
            await stream.cancel()

    async def login(self, request: Any) -> Any:
        """Give the token to who knows the password."""
        if (request.username, request.password) != (USER, self.rig.model.password):
            raise GRPCError(Status.UNAUTHENTICATED, "invalid username or password")
        return v1.LoginResponse(token=self.token, timeout_s=3600)

    async def pause_mining(self, request: Any) -> Any:
        """Put the rig to sleep."""
        asleep = self.rig.telemetry().soft_off
        self._tell(Change.STOP, self.rig.stop)
        return v1.PauseMiningResponse(already_paused=asleep)

    async def resume_mining(self, request: Any) -> Any:
        """Wake the rig."""
        awake = not self.rig.telemetry().soft_off
        self._tell(Change.START, self.rig.start)
        return v1.ResumeMiningResponse(already_mining=awake)

    async def stop(self, request: Any) -> Any:
        """Stop the mining process, which the rig makes no difference from a pause."""
        self._tell(Change.STOP, self.rig.stop)
        return v1.StopResponse()

    async def start(self, request: Any) -> Any:
        """Start the mining process."""
        self._tell(Change.START, self.rig.start)
        return v1.StartResponse()

    async def restart(self, request: Any) -> Any:
        """Restart the mining process."""
        self._tell(Change.REBOOT, self.rig.restart)
        return v1.RestartResponse()

    async def reboot(self, request: Any) -> Any:
        """Reboot the rig."""
        self._tell(Change.REBOOT, self.rig.restart)
        return v1.RebootResponse()

    async def set_power_target(self, request: Any) -> Any:
        """Run at a power target; the reply echoes it."""
        return self._power_target(request.power_target.watt)

    async def increment_power_target(self, request: Any) -> Any:
        """Raise the power target."""
        return self._power_target(self._target_w() + request.power_target_increment.watt)

    async def decrement_power_target(self, request: Any) -> Any:
        """Lower the power target."""
        return self._power_target(self._target_w() - request.power_target_decrement.watt)

    async def set_default_power_target(self, request: Any) -> Any:
        """Run at nameplate power."""
        return self._power_target(round(self.rig.group.rig_power_w))

    async def set_performance_mode(self, request: Any) -> Any:
        """Run at the power target of a performance mode; the reply echoes the mode."""
        self._power_target(request.mode.tuner_mode.power_target.power_target.watt)
        return request.mode

    async def get_active_performance_mode(self, request: Any) -> Any:
        """Return the power target."""
        target = v1.PowerTargetMode(power_target=v1.Power(watt=self._target_w()))
        return v1.PerformanceMode(tuner_mode=v1.TunerPerformanceMode(power_target=target))

    async def get_tuner_state(self, request: Any) -> Any:
        """Say that the tuner is at its target."""
        state = v1.PowerTargetModeState(current_target=v1.Power(watt=self._target_w()))
        return v1.GetTunerStateResponse(
            overall_tuner_state=v1.TunerState.STABLE, power_target_mode_state=state
        )

    async def get_constraints(self, request: Any) -> Any:
        """Return the range of power targets."""
        least_w, full_w = self._range_w()
        power = v1.PowerConstraints(
            default=v1.Power(watt=full_w), min=v1.Power(watt=least_w), max=v1.Power(watt=full_w)
        )
        return v1.GetConstraintsResponse(tuner_constraints=v1.TunerConstraints(power_target=power))

    async def get_miner_configuration(self, request: Any) -> Any:
        """Return the tuner's settings."""
        tuner = v1.TunerConfiguration(
            enabled=True,
            tuner_mode=v1.TunerMode.POWER_TARGET,
            power_target=v1.Power(watt=self._target_w()),
        )
        return v1.GetMinerConfigurationResponse(tuner=tuner)

    async def get_miner_details(self, request: Any) -> Any:
        """Return what the rig is and whether it is paused."""
        rig, seen = self.rig, self.rig.telemetry()
        return v1.GetMinerDetailsResponse(
            uid=f"SIM{rig.mac}",
            miner_identity=v1.MinerIdentity(
                brand=v1.MinerBrand.ANTMINER, name=rig.model.product, miner_model=rig.model.product
            ),
            bos_version=v1.BosVersion(
                current=f"2024-11-01-0-26ba61b9-{rig.model.firmware}-plus",
                major="2024-11",
                bos_plus=True,
            ),
            hostname=rig.rig_id,
            mac_address=":".join(rig.mac[i : i + 2] for i in range(0, 12, 2)),
            system_uptime_s=int(seen.uptime_s),
            bosminer_uptime_s=int(seen.uptime_s),
            sticker_hashrate=v1.GigaHashrate(gigahash_per_second=rig.group.rig_hashrate_ths * 1e3),
            status=v1.MinerStatus.PAUSED if seen.soft_off else v1.MinerStatus.NORMAL,
            psu_info=v1.PsuInfo(serial_number=f"SIMPSU{rig.mac}", model_name="APW171215a"),
            serial_number=f"SIM{rig.mac.upper()}",
        )

    async def get_miner_stats(self, request: Any) -> Any:
        """Return power and hash rate."""
        seen = self.rig.telemetry()
        power = v1.MinerPowerStats()
        if not math.isnan(seen.power_w):
            power = v1.MinerPowerStats(
                approximated_consumption=v1.Power(watt=round(seen.power_w)),
                efficiency=v1.PowerEfficiency(
                    joule_per_terahash=seen.power_w / seen.hashrate_ths if seen.hashrate_ths else 0
                ),
            )
        return v1.GetMinerStatsResponse(
            pool_stats=v1.PoolStats(accepted_shares=148, rejected_shares=1),
            miner_stats=_work(seen, 1, self.rig.group.rig_hashrate_ths),
            power_stats=power,
        )

    async def get_hashboards(self, request: Any) -> Any:
        """Return the boards."""
        rig, seen = self.rig, self.rig.telemetry()
        n_boards = rig.model.n_boards
        chip = v1.Temperature(degree_c=seen.chip_temp_c)
        return v1.GetHashboardsResponse(
            hashboards=[
                v1.Hashboard(
                    id=str(board),
                    enabled=True,
                    chips_count=rig.model.chips_per_board,
                    highest_chip_temp=v1.TemperatureSensor(temperature=chip),
                    board_temp=v1.Temperature(degree_c=seen.coolant_c),
                    lowest_inlet_temp=v1.Temperature(degree_c=seen.coolant_c),
                    stats=_work(seen, n_boards, rig.group.rig_hashrate_ths),
                    serial_number=f"SIM{rig.mac.upper()}{board}",
                )
                for board in range(1, n_boards + 1)
            ]
        )

    async def get_errors(self, request: Any) -> Any:
        """Report no error."""
        return v1.GetErrorsResponse()

    async def get_cooling_state(self, request: Any) -> Any:
        """Return the hottest chip; there are no fans."""
        chip = v1.Temperature(degree_c=self.rig.telemetry().chip_temp_c)
        return v1.GetCoolingStateResponse(
            highest_temperature=v1.TemperatureSensor(temperature=chip)
        )

    async def get_locate_device_status(self, request: Any) -> Any:
        """Return whether the LED blinks."""
        return v1.LocateDeviceStatusResponse(enabled=self.rig.led_on)

    async def set_locate_device_status(self, request: Any) -> Any:
        """Let the LED blink."""
        self.rig.led_on = request.enable
        return v1.LocateDeviceStatusResponse(enabled=request.enable)

    async def get_pool_groups(self, request: Any) -> Any:
        """Return the one pool."""
        pool = v1.Pool(
            uid="pool-1",
            url="stratum+tcp://pool.example:3333",
            user=f"site.{self.rig.rig_id}",
            enabled=True,
            alive=self.rig.telemetry().pool_alive,
            active=self.rig.telemetry().state is WorkState.WORK,
            stats=v1.PoolStats(accepted_shares=148, rejected_shares=1),
        )
        group = v1.PoolGroup(name="default", quota=v1.Quota(value=1), pools=[pool])
        return v1.GetPoolGroupsResponse(pool_groups=[group])

    def _power_target(self, target_w: int) -> Any:
        rig = self.rig
        least_w, full_w = self._range_w()
        if not least_w <= target_w <= full_w:
            raise GRPCError(
                Status.INVALID_ARGUMENT, f"power target must be within {least_w} … {full_w} W"
            )
        self._tell(Change.POWER_LIMIT, lambda: rig.set_power_limit(float(target_w)))
        return v1.SetPowerTargetResponse(power_target=v1.Power(watt=target_w))

    def _range_w(self) -> tuple[int, int]:
        full_w = self.rig.group.rig_power_w
        return math.ceil(self.rig.model.least_load * full_w), math.floor(full_w)

    def _target_w(self) -> int:
        return round(self.rig.telemetry().level_power_w / self.rig.mismatch.power_factor)

    def _tell(self, change: Change, obey: Callable[[], None]) -> None:
        fate = self.rig.told(change, obey)
        if fate in {Fate.SILENT, Fate.REBOOTED}:
            raise RigHangsUp
        if fate is Fate.REFUSED:
            raise GRPCError(Status.FAILED_PRECONDITION, "not now")


def _work(seen: Telemetry, n_boards: int, nominal_ths: float) -> Any:
    """Return the hash rates of one of `n_boards` boards."""

    def rate(hashrate_ths: float) -> Any:
        return v1.GigaHashrate(gigahash_per_second=hashrate_ths * 1e3 / n_boards)

    return v1.WorkSolverStats(
        real_hashrate=v1.RealHashrate(
            last_5_s=rate(seen.mean_hashrate_ths(5.0)),
            last_1_m=rate(seen.mean_hashrate_ths(60.0)),
            last_5_m=rate(seen.mean_hashrate_ths(300.0)),
            last_15_m=rate(seen.mean_hashrate_ths(900.0)),
            since_restart=rate(seen.mean_hashrate_ths(seen.uptime_s)),
        ),
        nominal_hashrate=rate(nominal_ths),
    )

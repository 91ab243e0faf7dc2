"""A simulated site meter and plant at one Modbus TCP address, read only.

The meter sees what the rigs of a fleet truly draw and what else is on the line; it may average,
lag, be noisy or wrong. The plant's sensors show what they are set to. Everything is sampled
together each `sample_s` of the fleet's clock, so that two readings of one sample are equal.

Holding and input registers are the same, device 1, words and bytes big-endian:

========= =========== ========= ====================================================
registers name        type      what
========= =========== ========= ====================================================
0-1       sampled_at  UINT32    when [s since 1970, UTC]
2-3       site_kw     FLOAT32   power of the site [kW]
4-7       energy_kwh  FLOAT64   energy of the rigs since the simulation began [kWh]
8-9       flow        FLOAT32   coolant flow [m3/h]
10-11     coolant_c   FLOAT32   coolant temperature [°C]
12-13     pressure    FLOAT32   coolant pressure [bar]
14        leak        UINT16    contact, 1 when there is one
15        fire        UINT16    contact, 1 when there is one
========= =========== ========= ====================================================
"""

import asyncio
import math
import random
import struct
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self

from gridhash.errors import ServingError
from gridhash.serving.clock import Clock
from gridhash.serving.simulated_fleet import SimulatedFleet
from gridhash.serving.simulated_listener import BlackHole, cannot_listen
from gridhash.serving.simulated_log import EPOCH
from gridhash.units import SECONDS_PER_HOUR

if TYPE_CHECKING:
    from pymodbus.constants import ExcCodes
    from pymodbus.server import ModbusTcpServer

METER_PORT = 5020
DEVICE_ID = 1
LAYOUT = struct.Struct(">IfdfffHH")
"""All registers in their order."""
N_REGISTERS = LAYOUT.size // 2


@dataclass(frozen=True, kw_only=True)
class MeterOptions:
    """How the meter differs from the truth; the defaults are the truth of the last second."""

    sample_s: float = 1.0
    """Between two samples."""
    mean_over_s: float = 1.0
    """A sample is the mean power over so long …"""
    lag_s: float = 0.0
    """… that ended so long ago."""
    noise_frac: float = 0.0
    """Standard deviation of each sample, as a fraction of its value."""
    scale: float = 1.0
    offset_kw: float = 0.0


@dataclass(frozen=True, kw_only=True)
class MeterFaults:
    """What is wrong with the place where meter and plant answer."""

    unreachable: Literal["no", "refused", "hang", "black_hole"] = "no"
    stale: bool = False
    """Shows the sample at which this fault began, its time included."""
    stuck: bool = False
    """Shows that sample's values under the present time."""
    nan: bool = False
    """Shows NaN for power."""


@dataclass(kw_only=True)
class SimulatedPlant:
    """What the plant's sensors show; set what shall change."""

    flow: float = 120.0
    """[m3/h]"""
    coolant_c: float | None = None
    """None: as the rigs' coolant truly is."""
    pressure: float = 2.5
    """[bar]"""
    leak: bool = False
    fire: bool = False


@dataclass(frozen=True, kw_only=True)
class MeterSample:
    """What meter and plant show at one time, in the order of the registers."""

    sampled_at: int
    site_kw: float
    energy_kwh: float
    flow: float
    coolant_c: float
    pressure: float
    leak: int
    fire: int

    def registers(self) -> list[int]:
        """Return the sample as 16-bit registers."""
        packed = LAYOUT.pack(*asdict(self).values())
        return list(struct.unpack(f">{N_REGISTERS}H", packed))


class SimulatedMeter:
    """Meter and plant that answer while entered: ``async with meter:``."""

    def __init__(
        self,
        fleet: SimulatedFleet,
        clock: Clock,
        *,
        address: str = "127.0.0.1",
        port: int = METER_PORT,
        options: MeterOptions | None = None,
        plant: SimulatedPlant | None = None,
        auxiliary_kw: Callable[[], float] = lambda: 0.0,
        seed: int = 0,
    ) -> None:
        """Put a meter before a fleet.

        Parameters
        ----------
        auxiliary_kw
            What else is on the meter now: fans, pumps, lights [kW].
        """
        self.address = address
        self.port = port
        self.plant = plant or SimulatedPlant()
        self.n_writes_refused = 0
        self._fleet = fleet
        self._clock = clock
        self._options = options or MeterOptions()
        self._auxiliary_kw = auxiliary_kw
        self._seed = seed
        self._start = clock.now()
        self._faults = MeterFaults()
        self._kept: MeterSample | None = None
        self._mended = asyncio.Event()
        self._server: ModbusTcpServer | None = None
        self._hole: BlackHole | None = None
        self._entered = False

    def sample(self) -> MeterSample:
        """Return what meter and plant show now, faults included."""
        kept, faults = self._kept, self._faults
        if kept is not None and faults.stale:
            return kept
        fresh = self._fresh_sample()
        if kept is not None and faults.stuck:
            return MeterSample(**{**asdict(kept), "sampled_at": fresh.sampled_at})
        return fresh

    async def set_faults(self, faults: MeterFaults) -> None:
        """Change what is wrong from now on."""
        keeps = faults.stale or faults.stuck
        if keeps and not (self._faults.stale or self._faults.stuck):
            self._kept = self._fresh_sample()
        elif not keeps:
            self._kept = None
        moves = faults.unreachable != self._faults.unreachable
        self._faults = faults
        if moves and self._entered:
            await self._shut()
            await self._listen()

    async def __aenter__(self) -> Self:
        """Answer at the address.

        Raises
        ------
        PortInUse
            If it is taken.
        ServingError
            If pymodbus is not installed, or the address cannot be had.
        """
        await self._listen()
        self._entered = True
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop answering."""
        self._entered = False
        await self._shut()

    async def _shut(self) -> None:
        self._mended.set()
        if self._server is not None:
            await self._server.shutdown()  # type: ignore[no-untyped-call]  # pymodbus's
        if self._hole is not None:
            self._hole.close()
        self._server, self._hole = None, None

    async def _listen(self) -> None:
        self._mended = asyncio.Event()
        if self._faults.unreachable == "refused":
            return
        try:
            if self._faults.unreachable == "black_hole":
                self._hole = BlackHole(self.address, self.port)
            else:
                self._server = await self._modbus_server()
        except OSError as err:
            raise cannot_listen(err, "the site meter", self.address, self.port) from err

    async def _modbus_server(self) -> "ModbusTcpServer":
        try:
            from pymodbus.server import ModbusTcpServer
            from pymodbus.simulator import DataType, SimData, SimDevice
        except ImportError as err:
            raise ServingError(
                'a site meter needs pymodbus, which is not installed: pip install "gridhash[site]" '
                f"({err})"
            ) from err
        # Found out first, because pymodbus only logs why it cannot listen.
        probe = await asyncio.start_server(lambda *_: None, self.address, self.port)
        probe.close()
        await probe.wait_closed()
        block = SimData(0, count=N_REGISTERS, values=0, datatype=DataType.REGISTERS)
        device = SimDevice(DEVICE_ID, simdata=[block], action=self._on_access)
        server = ModbusTcpServer(device, address=(self.address, self.port))
        await server.serve_forever(background=True)
        return server

    async def _on_access(
        self,
        function_code: int,
        start_address: int,
        address: int,
        count: int,
        registers: list[int],
        written: list[int] | list[bool] | None,
    ) -> "ExcCodes | None":
        """Bring the registers up to date before they are read; refuse to be written."""
        from pymodbus.constants import ExcCodes

        if self._faults.unreachable == "hang":
            await self._mended.wait()
        if written is not None:
            self.n_writes_refused += 1
            return ExcCodes.ILLEGAL_FUNCTION
        registers[:] = self.sample().registers()
        return None

    def _fresh_sample(self) -> MeterSample:
        at = self._sampled_at()
        coolant_c = self.plant.coolant_c
        if coolant_c is None:
            rigs = self._fleet.rigs.values()
            coolant_c = sum(rig.coolant_c for rig in rigs) / len(rigs)
        return MeterSample(
            sampled_at=int((at - EPOCH).total_seconds()),
            site_kw=math.nan if self._faults.nan else self._measured_kw(at),
            energy_kwh=self._fleet.energy_kwh(at),
            flow=self.plant.flow,
            coolant_c=coolant_c,
            pressure=self.plant.pressure,
            leak=int(self.plant.leak),
            fire=int(self.plant.fire),
        )

    def _sampled_at(self) -> datetime:
        elapsed_s = (self._clock.now() - self._start).total_seconds()
        whole = math.floor(elapsed_s / self._options.sample_s)
        return self._start + timedelta(seconds=whole * self._options.sample_s)

    def _measured_kw(self, at: datetime) -> float:
        options = self._options
        end = max(at - timedelta(seconds=options.lag_s), self._start)
        begin = max(end - timedelta(seconds=options.mean_over_s), self._start)
        window_s = (end - begin).total_seconds()
        if window_s > 0.0:
            drawn_kwh = self._fleet.energy_kwh(end) - self._fleet.energy_kwh(begin)
            rigs_kw = drawn_kwh * SECONDS_PER_HOUR / window_s
        else:
            rigs_kw = self._fleet.true_power_kw(end)
        true_kw = rigs_kw + self._auxiliary_kw()
        luck = random.Random(f"{self._seed}:{at.isoformat()}")
        noise = 1.0 + options.noise_frac * luck.gauss(0.0, 1.0)
        return true_kw * noise * options.scale + options.offset_kw

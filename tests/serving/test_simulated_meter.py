"""The simulated site meter and plant, read by pymodbus's own client."""

import asyncio
import math
import statistics
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ConnectionException, ModbusIOException

from gridhash.config import load_site
from gridhash.errors import PortInUse
from gridhash.serving.clock import SimulatedClock
from gridhash.serving.simulated_fleet import SimulatedFleet
from gridhash.serving.simulated_meter import (
    DEVICE_ID,
    METER_PORT,
    N_REGISTERS,
    MeterFaults,
    MeterOptions,
    SimulatedMeter,
    SimulatedPlant,
)
from gridhash.serving.simulated_model import RigMismatch

START = datetime(2024, 4, 1, tzinfo=UTC)
GROUP = load_site("japan_pilot").groups[0]
FULL_KW = 10 * GROUP.rig_power_w / 1e3
IDLE_KW = 10 * GROUP.standby_w / 1e3

TYPES = AsyncModbusTcpClient.DATATYPE
MAP = {
    "sampled_at": (0, 2, TYPES.UINT32),
    "site_kw": (2, 2, TYPES.FLOAT32),
    "energy_kwh": (4, 4, TYPES.FLOAT64),
    "flow": (8, 2, TYPES.FLOAT32),
    "coolant_c": (10, 2, TYPES.FLOAT32),
    "pressure": (12, 2, TYPES.FLOAT32),
    "leak": (14, 1, TYPES.UINT16),
    "fire": (15, 1, TYPES.UINT16),
}


def before_a_fleet(
    address: str,
    scenario: Callable[[SimulatedMeter, SimulatedFleet, SimulatedClock], Awaitable[None]],
    *,
    mismatch: RigMismatch | None = None,
    **options: Any,
) -> None:
    """Run a scenario with a meter before ten rigs, which need not listen."""

    async def run() -> None:
        clock = SimulatedClock(START)
        fleet = SimulatedFleet.of_groups([GROUP], clock, count=10, mismatch=mismatch)
        async with SimulatedMeter(fleet, clock, address=address, **options) as meter:
            await scenario(meter, fleet, clock)

    asyncio.run(run())


async def read(address: str, *, timeout_s: float = 1.0, inputs: bool = False) -> dict[str, Any]:
    client = AsyncModbusTcpClient(
        address, port=METER_PORT, timeout=timeout_s, retries=0, reconnect_delay=0
    )
    try:
        if not await client.connect():
            raise ConnectionException("no connection")
        ask = client.read_input_registers if inputs else client.read_holding_registers
        reply = await ask(0, count=N_REGISTERS, device_id=DEVICE_ID)
    finally:
        client.close()
    assert not reply.isError()
    return {
        name: client.convert_from_registers(reply.registers[first : first + count], kind)
        for name, (first, count, kind) in MAP.items()
    }


def stop_all(fleet: SimulatedFleet) -> None:
    for rig in fleet.rigs.values():
        rig.stop()


@pytest.mark.parametrize("inputs", [False, True])
def test_a_meter_shows_what_the_rigs_truly_draw(base_address: str, inputs: bool) -> None:
    async def scenario(meter: SimulatedMeter, fleet: SimulatedFleet, clock: SimulatedClock) -> None:
        await clock.advance(3600.0)
        shown = await read(base_address, inputs=inputs)
        assert shown["sampled_at"] == START.timestamp() + 3600
        assert shown["site_kw"] == pytest.approx(FULL_KW + 15.0, rel=1e-6)
        assert shown["energy_kwh"] == pytest.approx(FULL_KW)
        assert shown["coolant_c"] == pytest.approx(GROUP.cooling.coolant_setpoint_c)
        stop_all(fleet)
        await clock.advance(1.0)
        assert (await read(base_address))["site_kw"] == pytest.approx(IDLE_KW + 15.0, rel=1e-6)

    before_a_fleet(base_address, scenario, auxiliary_kw=lambda: 15.0)


def test_a_slow_meter_averages_and_lags(base_address: str) -> None:
    async def scenario(meter: SimulatedMeter, fleet: SimulatedFleet, clock: SimulatedClock) -> None:
        await clock.advance(100.0)
        stop_all(fleet)
        shown = []
        for _ in range(5):
            await clock.advance(5.0)
            shown.append((await read(base_address))["site_kw"])
        half_kw = (FULL_KW + IDLE_KW) / 2
        assert shown == pytest.approx([FULL_KW, FULL_KW, half_kw, IDLE_KW, IDLE_KW], rel=1e-6)

    before_a_fleet(base_address, scenario, options=MeterOptions(mean_over_s=10.0, lag_s=10.0))


def test_noise_is_of_its_size_and_the_seeds_own_and_one_sample_is_one_value(
    base_address: str,
) -> None:
    def samples(seed: int) -> list[float]:
        clock = SimulatedClock(START)
        fleet = SimulatedFleet.of_groups([GROUP], clock, count=10)
        meter = SimulatedMeter(fleet, clock, options=MeterOptions(noise_frac=0.01), seed=seed)
        shown = []
        for _ in range(500):
            clock.step(0.5)
            shown.append(meter.sample().site_kw)
            clock.step(0.4)
            clock.step(0.1)
        return shown

    first = samples(1)
    assert first == samples(1)
    assert first != samples(2)
    assert statistics.mean(first) == pytest.approx(FULL_KW, rel=0.002)
    assert statistics.stdev(first) == pytest.approx(0.01 * FULL_KW, rel=0.15)


def test_between_two_samples_nothing_changes() -> None:
    clock = SimulatedClock(START)
    fleet = SimulatedFleet.of_groups([GROUP], clock, count=10)
    meter = SimulatedMeter(
        fleet, clock, options=MeterOptions(sample_s=10.0, noise_frac=0.05, mean_over_s=10.0)
    )
    clock.step(10.0)
    first = meter.sample()
    stop_all(fleet)
    clock.step(9.0)

    assert meter.sample() == first
    clock.step(1.0)
    assert meter.sample().site_kw != first.site_kw


def test_a_wrong_meter_scales_and_shifts(base_address: str) -> None:
    async def scenario(meter: SimulatedMeter, fleet: SimulatedFleet, clock: SimulatedClock) -> None:
        shown = await read(base_address)
        assert shown["site_kw"] == pytest.approx(0.9 * FULL_KW - 2.0, rel=1e-6)

    before_a_fleet(base_address, scenario, options=MeterOptions(scale=0.9, offset_kw=-2.0))


def test_the_plant_shows_what_it_is_set_to(base_address: str) -> None:
    async def scenario(meter: SimulatedMeter, fleet: SimulatedFleet, clock: SimulatedClock) -> None:
        shown = await read(base_address)
        assert (shown["flow"], shown["pressure"], shown["leak"], shown["fire"]) == (80, 2.5, 0, 0)
        meter.plant.flow = 0.0
        meter.plant.leak = meter.plant.fire = True
        meter.plant.coolant_c = 61.5
        shown = await read(base_address)
        assert (shown["flow"], shown["leak"], shown["fire"]) == (0.0, 1, 1)
        assert shown["coolant_c"] == 61.5

    before_a_fleet(base_address, scenario, plant=SimulatedPlant(flow=80.0))


def test_nothing_can_be_written(base_address: str) -> None:
    async def scenario(meter: SimulatedMeter, fleet: SimulatedFleet, clock: SimulatedClock) -> None:
        async with AsyncModbusTcpClient(base_address, port=METER_PORT, retries=0) as client:
            reply = await client.write_register(14, 0, device_id=DEVICE_ID)
        assert reply.isError()
        assert meter.n_writes_refused == 1

    before_a_fleet(base_address, scenario)


def test_stale_stuck_and_nan_readings_and_their_end(base_address: str) -> None:
    async def scenario(meter: SimulatedMeter, fleet: SimulatedFleet, clock: SimulatedClock) -> None:
        await clock.advance(60.0)
        at_s = START.timestamp() + 60
        await meter.set_faults(MeterFaults(stale=True))
        stop_all(fleet)
        await clock.advance(60.0)
        shown = await read(base_address)
        assert (shown["sampled_at"], shown["site_kw"]) == (at_s, pytest.approx(FULL_KW, rel=1e-6))
        await meter.set_faults(MeterFaults(stuck=True))
        shown = await read(base_address)
        assert (shown["sampled_at"], shown["site_kw"]) == (
            at_s + 60,
            pytest.approx(FULL_KW, rel=1e-6),
        )
        await meter.set_faults(MeterFaults(nan=True))
        assert math.isnan((await read(base_address))["site_kw"])
        await meter.set_faults(MeterFaults())
        assert (await read(base_address))["site_kw"] == pytest.approx(IDLE_KW, rel=1e-6)

    before_a_fleet(base_address, scenario)


def test_a_meter_refuses_hangs_and_vanishes_and_comes_back(base_address: str) -> None:
    async def scenario(meter: SimulatedMeter, fleet: SimulatedFleet, clock: SimulatedClock) -> None:
        for how, error in (
            ("refused", ConnectionException),
            ("hang", ModbusIOException),
            ("black_hole", ConnectionException),
        ):
            await meter.set_faults(MeterFaults(unreachable=how))  # type: ignore[arg-type]
            with pytest.raises(error):
                await read(base_address, timeout_s=0.2)
        await meter.set_faults(MeterFaults())
        assert (await read(base_address))["site_kw"] == pytest.approx(FULL_KW, rel=1e-6)

    before_a_fleet(base_address, scenario)


def test_two_meters_at_one_place_are_an_error(base_address: str) -> None:
    async def scenario(meter: SimulatedMeter, fleet: SimulatedFleet, clock: SimulatedClock) -> None:
        with pytest.raises(PortInUse, match=f"{base_address}:{METER_PORT} is taken"):
            async with SimulatedMeter(fleet, clock, address=base_address):
                raise AssertionError("there is one already")

    before_a_fleet(base_address, scenario)

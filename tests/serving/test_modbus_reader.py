"""Meter and plant over real loopback sockets, against the simulated ones."""

import asyncio
import math
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from gridhash.config import load_site
from gridhash.errors import ConfigError
from gridhash.serving.clock import SimulatedClock
from gridhash.serving.modbus_config import MeterBlock, PlantBlock
from gridhash.serving.modbus_plant import ModbusPlant
from gridhash.serving.modbus_reader import (
    ModbusReader,
    ModbusUnreachable,
    Place,
    Point,
    adjacent,
)
from gridhash.serving.operation import load_operation
from gridhash.serving.permissives import Permissive, Plant, PlantUnreachable, Verdict
from gridhash.serving.service_links import meter_link, plant_reader
from gridhash.serving.simulated_fleet import SimulatedFleet
from gridhash.serving.simulated_meter import METER_PORT, MeterFaults, SimulatedMeter
from gridhash.serving.site_meter import MeterUnreachable, ModbusMeter, instant_of

START = datetime(2024, 4, 1, tzinfo=UTC)
GROUP = load_site("japan_pilot").groups[0]
FULL_KW = 10 * GROUP.rig_power_w / 1e3


def meter_block(address: str, **more: object) -> MeterBlock:
    return MeterBlock.model_validate(
        {
            "host": address,
            "port": METER_PORT,
            "deadline_s": 0.3,
            "power": {"address": 2, "type": "float32"},
            "measured_at": {"address": 0, "type": "uint32"},
            **more,
        }
    )


def plant_block(address: str) -> PlantBlock:
    return PlantBlock.model_validate(
        {
            "host": address,
            "port": METER_PORT,
            "deadline_s": 0.3,
            "measured_at": {"address": 0, "type": "uint32"},
            "sensors": {
                "flow": {"address": 8, "type": "float32"},
                "coolant": {"address": 10, "type": "float32"},
                "leak": {"address": 14, "type": "uint16", "table": "input"},
            },
        }
    )


Scenario = Callable[[SimulatedMeter, SimulatedClock], Awaitable[None]]


def before_a_fleet(address: str, scenario: Scenario) -> None:
    async def run() -> None:
        clock = SimulatedClock(START)
        fleet = SimulatedFleet.of_groups([GROUP], clock, count=10)
        async with SimulatedMeter(fleet, clock, address=address) as meter:
            await scenario(meter, clock)

    asyncio.run(run())


def test_the_meter_is_read_with_the_instant_at_which_it_measured(base_address: str) -> None:
    async def scenario(_: SimulatedMeter, clock: SimulatedClock) -> None:
        await clock.advance_to(START + timedelta(seconds=90.6))
        reading = await ModbusMeter(meter_block(base_address), clock).read()
        assert reading.power_kw == pytest.approx(FULL_KW, rel=1e-6)
        assert reading.read_at == START + timedelta(seconds=90.6)
        assert reading.measured_at == START + timedelta(seconds=90)
        assert reading.taken_at == reading.measured_at

    before_a_fleet(base_address, scenario)


def test_scale_offset_and_word_order_are_those_of_the_map(base_address: str) -> None:
    async def scenario(_: SimulatedMeter, clock: SimulatedClock) -> None:
        watts = Point(name="w", address=2, kind="float32", scale=1000.0, offset=-5.0)
        swapped = Point(name="t", address=0, kind="uint32", word_order="little")
        found = await ModbusReader(
            Place(host=base_address, port=METER_PORT), [watts, swapped]
        ).read()
        assert found["w"] == pytest.approx(1000.0 * FULL_KW - 5.0, rel=1e-6)
        epoch_s = int(START.timestamp())
        assert found["t"] == (epoch_s % 2**16) * 2**16 + epoch_s // 2**16

    before_a_fleet(base_address, scenario)


@pytest.mark.parametrize(
    ("faults", "why"),
    [
        (MeterFaults(unreachable="refused"), "nobody answers"),
        (MeterFaults(unreachable="hang"), r"no answer within 0\.3 s"),
        (MeterFaults(unreachable="black_hole"), r"no answer within 0\.3 s|nobody answers"),
        (MeterFaults(nan=True), "power is no number"),
    ],
)
def test_a_meter_that_gives_no_number_in_time_is_unreachable_and_says_why(
    base_address: str, faults: MeterFaults, why: str
) -> None:
    async def scenario(meter: SimulatedMeter, clock: SimulatedClock) -> None:
        own = ModbusMeter(meter_block(base_address), clock)
        await meter.set_faults(faults)
        with pytest.raises(MeterUnreachable, match=why):
            await own.read()
        await meter.set_faults(MeterFaults())
        assert (await own.read()).power_kw == pytest.approx(FULL_KW, rel=1e-6)

    before_a_fleet(base_address, scenario)


def test_a_register_that_the_device_has_not_is_named(base_address: str) -> None:
    async def scenario(_: SimulatedMeter, clock: SimulatedClock) -> None:
        beyond = Point(name="cooling", address=900, kind="float32")
        place = Place(host=base_address, port=METER_PORT)
        with pytest.raises(
            ModbusUnreachable, match=r"registers 900 to 901 \(cooling\) are refused"
        ):
            await ModbusReader(place, [beyond]).read()

    before_a_fleet(base_address, scenario)


def test_the_plant_feeds_permissives_and_a_stale_one_allows_no_start(base_address: str) -> None:
    async def scenario(meter: SimulatedMeter, clock: SimulatedClock) -> None:
        permissives = [Permissive(sensor="flow", low=60.0), Permissive(sensor="leak", high=0.5)]
        plant = Plant(ModbusPlant(plant_block(base_address), clock), permissives)
        await plant.read()
        verdicts = [own.verdict for own in plant.judge(clock.now())]
        assert verdicts == [Verdict.CLEAR, Verdict.CLEAR]
        meter.plant.flow, meter.plant.leak = 30.0, True
        await plant.read()
        words = [own.words for own in plant.judge(clock.now())]
        assert words == ["flow is 30, outside 60 to inf", "leak is 1, outside -inf to 0.5"]
        meter.plant.flow, meter.plant.leak = 120.0, False
        await meter.set_faults(MeterFaults(stale=True))
        await clock.advance_to(START + timedelta(seconds=40))
        await plant.read()
        assert {own.verdict for own in plant.judge(clock.now())} == {Verdict.NO_START}
        await meter.set_faults(MeterFaults(unreachable="refused"))
        with pytest.raises(PlantUnreachable, match="nobody answers"):
            await ModbusPlant(plant_block(base_address), clock).read()

    before_a_fleet(base_address, scenario)


def test_points_share_a_request_only_without_gap_and_within_the_protocols_length() -> None:
    def point(address: int, table: str = "holding") -> Point:
        return Point(name=str(address), address=address, kind="float64", table=table)  # type: ignore[arg-type]

    runs = adjacent([point(8), point(4), point(20), point(24, "input"), point(24)])
    assert [[own.address for own in run] for run in runs] == [[4, 8], [20, 24], [24]]
    long = adjacent([point(4 * k) for k in range(40)])
    assert [len(run) for run in long] == [31, 9]


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"power": {"address": 65535, "type": "float32"}}, "ends beyond 65535"),
        ({"power": {"address": 2, "type": "float16"}}, "float32"),
        ({"power": {"address": 2, "type": "float32", "scale": 0.0}}, "scale 0"),
        ({"power": {"address": 2, "type": "float32", "words": "big"}}, "words"),
        ({"least_kw": 10.0, "most_kw": 5.0}, "not below"),
        ({"demand_interval_min": 25}, "does not divide an hour"),
    ],
)
def test_a_wrong_register_map_is_refused_and_says_where(wrong: dict[str, object], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        meter_block("127.0.0.1", **wrong)


@pytest.mark.parametrize("epoch_s", [None, -1.0, math.nan, math.inf, 1e15])
def test_what_is_no_time_is_none(epoch_s: float | None) -> None:
    assert instant_of(epoch_s) is None


OPERATION = """
[meter]
host = "127.0.0.1"
power = { address = 2, type = "float32", scale = 0.001 }
[plant]
host = "127.0.0.1"
[plant.sensors]
flow = { address = 8, type = "float32" }
[[permissives]]
sensor = "SENSOR"
low = 20.0
"""


def test_meter_and_plant_of_an_operation_file_become_readers(tmp_path: Path) -> None:
    path = tmp_path / "operation.toml"
    path.write_text(OPERATION.replace("SENSOR", "flow"), "utf-8")
    operation = load_operation(path, load_site("japan_pilot"), {})
    clock = SimulatedClock(START)
    assert isinstance(plant_reader(operation, clock), ModbusPlant)
    link = meter_link(operation, clock)
    assert link is not None
    assert link.block.power.scale == 0.001


def test_a_permissive_on_a_sensor_that_the_plant_has_not_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "operation.toml"
    path.write_text(OPERATION.replace("SENSOR", "flwo"), "utf-8")
    with pytest.raises(ConfigError, match="permissive flwo: the plant has no such sensor; it has"):
        load_operation(path, load_site("japan_pilot"), {})

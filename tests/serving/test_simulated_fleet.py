import asyncio
import json
import logging
import socket
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridhash.config import load_site
from gridhash.errors import PortInUse, ServingError
from gridhash.serving.clock import SimulatedClock
from gridhash.serving.simulated_cgminer import NUL
from gridhash.serving.simulated_fleet import (
    SimulatedFleet,
    rig_addresses,
    run_fleet,
    share_among_groups,
)
from gridhash.serving.simulated_model import (
    AIR_1566,
    BRAIINS_S21,
    LUXOS_S21,
    WHATSMINER_M63S,
    RigFaults,
)
from gridhash.serving.simulated_rig import SimulatedRig

START = datetime(2024, 4, 1, tzinfo=UTC)
GROUPS = load_site("japan_pilot").groups
GROUP = GROUPS[0]
LEVELS = GROUP.model_copy(update={"load_levels": (0.7, 0.85, 1.0)})


def in_fleet(
    base_address: str,
    scenario: Callable[[SimulatedFleet, SimulatedClock], Awaitable[None]],
    **options: Any,
) -> None:
    async def run() -> None:
        clock = SimulatedClock(START)
        fleet = SimulatedFleet.of_groups(GROUPS, clock, base_address=base_address, **options)
        async with fleet:
            await scenario(fleet, clock)

    asyncio.run(run())


async def converse(address: str, request: bytes, port: int = 4028) -> bytes:
    reader, writer = await asyncio.open_connection(address, port)
    try:
        writer.write(request)
        return await reader.read()
    finally:
        writer.close()
        await writer.wait_closed()


def test_one_command_per_connection_over_a_real_socket(base_address: str) -> None:
    async def scenario(fleet: SimulatedFleet, clock: SimulatedClock) -> None:
        reply = await converse(base_address, b'{"command":"version"}')
        assert reply.endswith(b"\x00")
        assert json.loads(reply[:-1])["VERSION"][0]["PROD"] == "AvalonMiner 1566HA-480"

    in_fleet(base_address, scenario, count=1)


def test_a_request_may_arrive_in_pieces(base_address: str) -> None:
    async def scenario(fleet: SimulatedFleet, clock: SimulatedClock) -> None:
        reader, writer = await asyncio.open_connection(base_address, 4028)
        writer.write(b'{"comm')
        await asyncio.sleep(0.02)
        writer.write(b'and":"version"}')
        assert b"VERSION" in await reader.read()
        writer.close()
        await writer.wait_closed()

    in_fleet(base_address, scenario, count=1)


def test_a_rig_serves_one_command_at_a_time(base_address: str) -> None:
    async def scenario(fleet: SimulatedFleet, clock: SimulatedClock) -> None:
        loop = asyncio.get_running_loop()
        began_at = loop.time()
        await asyncio.gather(*(converse(base_address, b"version") for _ in range(3)))
        assert loop.time() - began_at >= 3 * 0.03
        assert max(fleet.most_open.values()) == 3

    in_fleet(base_address, scenario, count=1, faults={"loop_a-001": RigFaults(latency_s=0.03)})


def test_faults_can_begin_and_end_while_the_fleet_runs(base_address: str) -> None:
    async def scenario(fleet: SimulatedFleet, clock: SimulatedClock) -> None:
        await fleet.set_faults("loop_a-001", RigFaults(unreachable="refused"))
        with pytest.raises(ConnectionRefusedError):
            await converse(base_address, b"version")
        await fleet.set_faults("loop_a-001", RigFaults(unreachable="black_hole"))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(converse(base_address, b"version"), 0.1)
        await fleet.set_faults("loop_a-001", RigFaults())
        assert await converse(base_address, b"version")

    in_fleet(base_address, scenario, count=1)


def test_a_taken_port_is_named_and_nothing_is_left_listening(base_address: str) -> None:
    first, taken = rig_addresses(base_address, 2)
    with socket.create_server((taken, 4028)):

        async def scenario(fleet: SimulatedFleet, clock: SimulatedClock) -> None:
            raise AssertionError("the fleet must not start")

        with pytest.raises(PortInUse, match=f"{taken}:4028 is taken.*choose another"):
            in_fleet(base_address, scenario, count=2)
        with socket.socket() as probe:
            assert probe.connect_ex((first, 4028)) != 0


def test_rigs_are_shared_among_groups_by_size() -> None:
    assert share_among_groups(GROUPS, 24) == [6, 6, 6, 6]
    assert sum(share_among_groups(GROUPS, 537)) == 537
    assert share_among_groups(GROUPS, 537) == [group.n_rigs for group in GROUPS]


@given(count=st.integers(1, 600), sizes=st.lists(st.integers(1, 200), min_size=1, max_size=6))
def test_every_rig_is_in_one_group(count: int, sizes: list[int]) -> None:
    groups = [GROUP.model_copy(update={"n_rigs": size}) for size in sizes]

    assert sum(share_among_groups(groups, count)) == count


def test_a_fault_for_a_rig_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(ServingError, match="no simulated rig is called loop_z-001"):
        SimulatedFleet.of_groups(
            GROUPS, SimulatedClock(START), count=4, faults={"loop_z-001": RigFaults()}
        )


def test_groups_may_have_rigs_of_different_firmwares(base_address: str) -> None:
    models = {"loop_a": WHATSMINER_M63S, "loop_b": BRAIINS_S21, "loop_c": LUXOS_S21}

    async def scenario(fleet: SimulatedFleet, clock: SimulatedClock) -> None:
        ports = {rig.group.name: fleet.port_of(rig) for rig in fleet.rigs.values()}
        assert ports == {"loop_a": 4433, "loop_b": 50051, "loop_c": 4028, "loop_d": 4028}
        for rig in fleet.rigs.values():
            reply = await converse(rig.address, b'{"command":"version"}')
            assert reply.endswith(NUL)

    in_fleet(base_address, scenario, count=4, models=models)
    with pytest.raises(ServingError, match="no group is called roof"):
        SimulatedFleet.of_groups(GROUPS, SimulatedClock(START), models={"roof": LUXOS_S21})


def test_two_rigs_at_one_address_are_an_error() -> None:
    clock = SimulatedClock(START)
    rigs = [SimulatedRig(name, GROUP, clock, address="127.0.0.1") for name in ("a", "b")]

    with pytest.raises(ServingError, match="same address"):
        SimulatedFleet(rigs)


def test_a_served_fleet_says_when_it_listens_and_closes_when_cancelled(base_address: str) -> None:
    async def scenario() -> None:
        clock = SimulatedClock(START)
        fleet = SimulatedFleet.of_groups(GROUPS, clock, count=2, base_address=base_address)
        listening = asyncio.Event()
        task = asyncio.create_task(run_fleet(fleet, started=lambda _: listening.set()))
        await listening.wait()
        assert await converse(base_address, b"version")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(ConnectionRefusedError):
            await converse(base_address, b"version")

    asyncio.run(scenario())


def test_true_power_of_the_fleet_is_the_sum_of_its_rigs(base_address: str) -> None:
    async def scenario(fleet: SimulatedFleet, clock: SimulatedClock) -> None:
        assert fleet.true_power_kw() == pytest.approx(4 * 8.064)
        await clock.advance(1800.0)
        assert fleet.energy_kwh() == pytest.approx(2 * 8.064)

    in_fleet(base_address, scenario, count=4)


def test_a_thousand_rigs_answer_in_one_process(base_address: str) -> None:
    async def scenario(fleet: SimulatedFleet, clock: SimulatedClock) -> None:
        for _ in range(5):
            batch = list(fleet.rigs.values())[::5]
            replies = await asyncio.gather(
                *(converse(rig.address, b'{"command":"version"}') for rig in batch)
            )
            assert all(rig.mac.encode() in reply for rig, reply in zip(batch, replies, strict=True))
        assert fleet.n_connections == 1000
        assert fleet.true_power_kw() == pytest.approx(1000 * 8.064)

    in_fleet(base_address, scenario, count=1000)


# pyasic itself: what it makes of these rigs shows how true they are


def quiet_pyasic() -> Any:
    from gridhash.serving.drivers.pyasic_library import load_pyasic

    load_pyasic()
    import pyasic

    return pyasic


def test_pyasic_alone_identifies_and_reads_an_air_cooled_1566(base_address: str) -> None:
    pyasic = quiet_pyasic()

    async def scenario(fleet: SimulatedFleet, clock: SimulatedClock) -> None:
        miner = await pyasic.get_miner(base_address)
        assert type(miner).__name__ == "CGMinerAvalon1566"
        data = await miner.get_data()
        assert data.wattage == 8064
        assert float(data.hashrate) == pytest.approx(480.0, rel=0.02)
        assert data.mac == ":".join(
            fleet.rigs["loop_a-001"].mac.upper()[i : i + 2] for i in range(0, 12, 2)
        )
        assert data.uptime == 86_400

    handlers = logging.getLogger().handlers[:]
    try:
        in_fleet(base_address, scenario, count=1, model=AIR_1566)
    finally:
        logging.getLogger().handlers[:] = handlers


def test_pyasic_alone_does_not_know_a_hydro_1566ha(base_address: str) -> None:
    pyasic = quiet_pyasic()

    async def scenario(fleet: SimulatedFleet, clock: SimulatedClock) -> None:
        with pytest.warns(UserWarning, match="Partially supported miner found"):
            miner = await pyasic.get_miner(base_address)
        assert type(miner).__name__ == "AvalonUnknown"
        assert await miner.get_wattage() == 8064

    handlers = logging.getLogger().handlers[:]
    try:
        in_fleet(base_address, scenario, count=1)
    finally:
        logging.getLogger().handlers[:] = handlers

import asyncio
import itertools
import json
import logging
import math
import socket
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridhash.config import RigGroupConfig, load_site
from gridhash.errors import PortInUse, ServingError
from gridhash.serving.clock import SimulatedClock
from gridhash.serving.simulated_avalon import (
    SimulatedFleet,
    rig_addresses,
    run_fleet,
    share_among_groups,
)
from gridhash.serving.simulated_rig import (
    AIR_1566,
    RigFaults,
    RigMismatch,
    SimulatedRig,
    WorkState,
)
from gridhash.serving.simulated_wire import bracket_string, parse_request, reply_to

START = datetime(2024, 4, 1, tzinfo=UTC)
GROUPS = load_site("japan_pilot").groups
GROUP = GROUPS[0]
LEVELS = GROUP.model_copy(update={"load_levels": (0.7, 0.85, 1.0)})


def rig_of(
    faults: RigFaults | None = None,
    *,
    group: RigGroupConfig = GROUP,
    mismatch: RigMismatch | None = None,
    **more: Any,
) -> tuple[SimulatedRig, SimulatedClock]:
    clock = SimulatedClock(START)
    return SimulatedRig("rig", group, clock, faults=faults, mismatch=mismatch, **more), clock


def ask(rig: SimulatedRig, command: str, parameter: str | None = None) -> dict[str, Any]:
    request = {"command": command} | ({} if parameter is None else {"parameter": parameter})
    reply = reply_to(rig, json.dumps(request).encode())
    assert reply is not None
    assert reply.endswith(b"\x00")
    parsed: dict[str, Any] = json.loads(reply[:-1])
    return parsed


def soft(rig: SimulatedRig, option: str, in_s: int) -> str:
    when = ask(rig, "version")["STATUS"][0]["When"]
    message = ask(rig, "ascset", f"0,{option},1:{when + in_s}")["STATUS"][0]["Msg"]
    assert isinstance(message, str)
    return message


# The rig


def test_a_rig_sleeps_at_the_second_it_was_told_and_hashes_again_after_boot_and_warm_up() -> None:
    rig, clock = rig_of()

    assert "success softoff" in soft(rig, "softoff", 5)
    clock.step(4.999)
    assert rig.true_power_w() == 8064.0
    clock.step(0.001)
    assert (rig.true_power_w(), rig.true_hashrate_ths()) == (20.0, 0.0)
    clock.step(600.0)
    assert "success softon" in soft(rig, "softon", 5)
    clock.step(5.0)
    assert (rig.state, rig.true_power_w()) == (WorkState.INIT, 20.0)
    clock.step(GROUP.boot_s)
    assert (rig.state, rig.true_power_w(), rig.true_hashrate_ths()) == (WorkState.WORK, 8064.0, 0.0)
    clock.step(GROUP.warm_up_s)
    assert rig.true_hashrate_ths() == pytest.approx(480.0)


def test_energy_and_work_are_those_of_the_day_that_was_lived() -> None:
    rig, clock = rig_of()

    clock.step(3600.0)
    soft(rig, "softoff", 0)
    clock.step(3600.0)
    soft(rig, "softon", 0)
    clock.step(3600.0)

    hashing_s = 3600.0 + 3600.0 - GROUP.boot_s - GROUP.warm_up_s
    drawing_s = 3600.0 + 3600.0 - GROUP.boot_s
    expected_kwh = (8.064 * drawing_s + 0.020 * (3 * 3600.0 - drawing_s)) / 3600.0
    assert rig.energy_kwh() == pytest.approx(expected_kwh, rel=1e-12)
    assert rig.work_th() == pytest.approx(480.0 * hashing_s, rel=1e-12)


@given(looks=st.lists(st.floats(0.0, 7200.0), max_size=20))
def test_looking_at_a_rig_does_not_change_it(looks: list[float]) -> None:
    def lived(steps: list[float]) -> tuple[float, float, float]:
        rig, clock = rig_of(mismatch=RigMismatch(power_lag_s=8.0))
        rig.schedule_soft_off(int(START.timestamp()) + 1000)
        rig.schedule_soft_on(int(START.timestamp()) + 3000)
        for step_s in steps:
            clock.step(step_s)
            rig.chip_temp_c()
        return rig.energy_kwh(), rig.work_th(), rig.chip_temp_c()

    instants = [0.0, *sorted(looks), 7200.0]
    many = lived([b - a for a, b in itertools.pairwise(instants)])

    assert many == pytest.approx(lived([7200.0]), rel=1e-9)


def test_the_past_of_a_rig_can_be_asked_for() -> None:
    rig, clock = rig_of()
    clock.step(60.0)
    soft(rig, "softoff", 0)
    clock.step(60.0)

    assert rig.true_power_w(START + timedelta(seconds=30)) == 8064.0
    assert rig.true_power_w(START + timedelta(seconds=61)) == 20.0
    assert rig.energy_kwh(START + timedelta(seconds=60)) == pytest.approx(8.064 / 60)


def test_soft_off_follows_the_rigs_own_clock() -> None:
    rig, clock = rig_of(RigFaults(clock_skew_s=-3600.0))
    by_host_clock = int(clock.now().timestamp()) + 5

    ask(rig, "ascset", f"0,softoff,1:{by_host_clock}")
    clock.step(3600.0)
    assert not rig.soft_off
    clock.step(5.0)
    assert rig.soft_off


def test_a_rig_without_ntp_counts_from_1970_and_still_obeys() -> None:
    rig, clock = rig_of(RigFaults(clock_skew_s=-START.timestamp() + 986.0))

    assert ask(rig, "version")["STATUS"][0]["When"] == 986
    soft(rig, "softoff", 5)
    clock.step(5.0)
    assert rig.soft_off


def test_a_timer_centuries_ahead_is_kept_and_does_not_fire() -> None:
    rig, clock = rig_of()

    ask(rig, "ascset", "0,softoff,1:99999999999999999")
    clock.step(86_400.0)

    assert not rig.soft_off


def test_a_liar_acknowledges_and_does_nothing() -> None:
    rig, clock = rig_of(RigFaults(lies=True))

    assert "success softoff" in soft(rig, "softoff", 5)
    clock.step(3600.0)

    assert rig.true_power_w() == 8064.0


def test_a_rig_restarted_by_hand_wakes_forgets_its_timers_and_counts_from_zero() -> None:
    rig, clock = rig_of(running=False)
    soft(rig, "softoff", 60)

    rig.restart_by_hand()
    clock.step(GROUP.boot_s + GROUP.warm_up_s + 60.0)

    assert rig.state is WorkState.WORK
    assert rig.true_hashrate_ths() == pytest.approx(480.0)
    assert rig.uptime_s == GROUP.boot_s + GROUP.warm_up_s + 60.0


def test_a_restart_by_hand_can_be_planned() -> None:
    rig, clock = rig_of(RigFaults(restarted_at=START + timedelta(seconds=100)), running=False)

    clock.step(100.0 + GROUP.boot_s)

    assert rig.true_power_w() == 8064.0


def test_mismatch_moves_power_lag_and_efficiency() -> None:
    rig, clock = rig_of(
        mismatch=RigMismatch(power_lag_s=6.0, power_factor=1.04, efficiency_factor=1.05)
    )

    assert rig.true_power_w() == pytest.approx(8064.0 * 1.04)
    assert rig.true_power_w() / rig.true_hashrate_ths() == pytest.approx(16.8 * 1.05)
    soft(rig, "softoff", 0)
    clock.step(6.0)
    gap_w = 8064.0 * 1.04 - 20.0
    assert rig.true_power_w() == pytest.approx(20.0 + gap_w / math.e)


def test_warmer_coolant_warms_the_chips() -> None:
    rig, clock = rig_of()
    before_c = rig.chip_temp_c()

    rig.set_coolant(50.0)
    clock.step(3600.0)

    assert rig.chip_temp_c() == pytest.approx(before_c + 10.0, abs=1e-6)


# The wire


def test_every_reply_carries_the_rigs_clock_to_the_second() -> None:
    rig, clock = rig_of(RigFaults(clock_skew_s=3600.0))
    clock.step(0.9)

    for command in ("version", "devdetails", "summary", "stats", "estats", "devs", "pools"):
        when = ask(rig, command)["STATUS"][0]["When"]
        assert when == int(START.timestamp()) + 3600


def test_joined_commands_are_answered_together() -> None:
    rig, _ = rig_of()

    reply = ask(rig, "estats+version+devs")

    assert set(reply) == {"estats", "version", "devs", "id"}
    assert reply["version"][0]["VERSION"][0]["MODEL"] == "1566HA"


def test_text_requests_are_understood_and_answered_as_text() -> None:
    rig, clock = rig_of()
    due = int(clock.now().timestamp()) + 5

    reply = reply_to(rig, f"ascset|0,softoff,1:{due}".encode())

    assert reply is not None
    assert reply.startswith(
        b"STATUS=I,When=1711929600,Code=118,Msg=ASC 0 set info: success softoff"
    )
    clock.step(5.0)
    assert rig.soft_off


def test_standby_leaves_the_averages_high_and_only_speed_and_power_tell() -> None:
    rig, clock = rig_of()
    clock.step(3600.0)
    soft(rig, "softoff", 0)
    clock.step(5.0)

    text = bracket_string(rig)

    assert "SYSTEMSTATU[Work: In Idle, Hash Board: 4 ]" in text
    assert "WALLPOWER[20]" in text
    assert "GHSspd[0.00]" in text
    assert "GHSmm[480000.00]" in text
    assert "SoftOFF[4]" in text
    assert "TMax[0]" in text
    assert ask(rig, "devs")["DEVS"][0]["MHS 1m"] == pytest.approx(480e6 * 55 / 60, rel=1e-6)


def test_a_rig_without_levels_refuses_a_work_level_and_one_with_levels_takes_it() -> None:
    binary, _ = rig_of()
    levelled, clock = rig_of(group=LEVELS)

    assert ask(binary, "ascset", "0,worklevel,set,0")["STATUS"][0]["STATUS"] == "E"
    assert ask(levelled, "ascset", "0,worklevel,set,0")["STATUS"][0]["Msg"] == "ASC 0 set OK"
    assert ask(levelled, "ascset", "0,worklevel,set,3")["STATUS"][0]["STATUS"] == "E"
    assert ask(levelled, "ascset", "0,worklevel,set")["STATUS"][0]["STATUS"] == "E"
    clock.step(1.0)
    assert levelled.true_power_w() == pytest.approx(0.7 * 8064.0)
    assert "WORKLEVEL[0]" in bracket_string(levelled)
    assert "WORKLEVEL" not in bracket_string(binary)


@pytest.mark.parametrize(
    ("command", "parameter", "letter"),
    [
        ("nonsense", None, "E"),
        ("ascset", "0,overclock,9", "E"),
        ("ascset", "1,softoff,1:5", "E"),
        ("ascset", "0,softoff,1:soon", "E"),
        ("ascset", "0,led,1-1", "S"),
        ("ascset", "0,reboot,0", "S"),
    ],
)
def test_commands_are_answered_with_success_or_error(
    command: str, parameter: str | None, letter: str
) -> None:
    rig, _ = rig_of()

    assert ask(rig, command, parameter)["STATUS"][0]["STATUS"] == letter


def test_restart_has_the_odd_reply_that_pyasic_expects() -> None:
    rig, _ = rig_of()

    assert ask(rig, "restart") == {"STATUS": "RESTART"}
    assert rig.uptime_s == 0.0


@pytest.mark.parametrize("data", [b"{", b"\xff\xfe", b'{"command": 7}', b"[]"])
def test_a_request_that_is_no_request_is_an_unknown_command(data: bytes) -> None:
    rig, _ = rig_of()

    reply = reply_to(rig, data)

    assert reply is not None
    assert b"Invalid command" in reply


def test_a_dropped_reply_is_a_command_carried_out_and_the_seed_decides_which() -> None:
    def replied(seed: int) -> list[bool]:
        rig, _ = rig_of(RigFaults(drop_reply=0.3), seed=seed)
        return [reply_to(rig, b'{"command":"version"}') is not None for _ in range(200)]

    assert replied(1) == replied(1)
    assert replied(1) != replied(2)
    assert 0.6 < sum(replied(1)) / 200 < 0.8


def test_the_world_log_keeps_every_command_with_both_clocks() -> None:
    rig, clock = rig_of(RigFaults(clock_skew_s=60.0, softon_noreply=True), running=False)
    clock.step(10.0)

    reply = reply_to(rig, b"ascset|0,softon,1:1")

    assert reply is None
    (command,) = rig.commands
    assert command.text == "ascset|0,softon,1:1"
    assert command.received_at == START + timedelta(seconds=10)
    assert command.rig_clock_at == START + timedelta(seconds=70)
    assert not command.replied
    assert rig.state is WorkState.INIT


def test_nan_telemetry_is_nan_on_the_wire() -> None:
    rig, _ = rig_of(RigFaults(nan_telemetry=True))

    assert "WALLPOWER[nan]" in bracket_string(rig)
    assert ask(rig, "devs")["DEVS"][0]["MHS 1m"] == "nan"


def test_a_request_is_split_into_command_and_parameter() -> None:
    assert parse_request(b'{"command":"ascset","parameter":"0,led,1-1"}') == ("ascset", "0,led,1-1")
    assert parse_request(b"ascset|0,led,1-1\n") == ("ascset", "0,led,1-1")


# The fleet


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

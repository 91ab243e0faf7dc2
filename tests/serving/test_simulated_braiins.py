"""Braiins OS+ over gRPC against unmodified pyasic."""

import asyncio
from typing import Any

import pytest
from grpclib import GRPCError
from grpclib.exceptions import StreamTerminatedError

from gridhash.serving.clock import SimulatedClock
from gridhash.serving.simulated_model import BRAIINS_S21, Change, Fate, RigFaults
from gridhash.serving.simulated_rig import SimulatedRig
from tests.serving.simulated_pyasic import GROUP, with_pyasic

FULL_W = GROUP.rig_power_w


def test_pyasic_identifies_reads_pauses_and_targets_a_braiins_rig(base_address: str) -> None:
    async def scenario(miner: Any, rig: SimulatedRig, clock: SimulatedClock) -> None:
        assert type(miner).__name__ == "BOSMinerS21"
        data = await miner.get_data()
        assert (data.wattage, data.wattage_limit, data.is_mining) == (FULL_W, FULL_W, True)
        assert data.mac == ":".join(rig.mac.upper()[i : i + 2] for i in range(0, 12, 2))
        assert data.fw_ver == BRAIINS_S21.firmware
        assert data.uptime == 86_400
        assert float(data.hashrate) == pytest.approx(480.0)
        assert sum(float(board.hashrate) for board in data.hashboards) == pytest.approx(480.0)

        assert await miner.set_power_limit(6000) is True
        assert rig.true_power_w() == pytest.approx(6000.0)
        assert await miner.stop_mining() is True
        clock.step(6.0)
        paused = await miner.get_data(include=["wattage", "wattage_limit", "is_mining"])
        assert (paused.wattage, paused.wattage_limit, paused.is_mining) == (20, 6000, False)
        assert await miner.resume_mining() is True
        clock.step(GROUP.boot_s)
        assert rig.true_power_w() == pytest.approx(6000.0)

    with_pyasic(base_address, scenario, model=BRAIINS_S21)


def test_a_target_out_of_range_is_an_error_and_changes_nothing(base_address: str) -> None:
    async def scenario(miner: Any, rig: SimulatedRig, clock: SimulatedClock) -> None:
        assert await miner.set_power_limit(500) is False
        assert await miner.set_power_limit(round(FULL_W) + 1) is False
        assert rig.true_power_w() == FULL_W
        constraints = await miner.web.send_command(
            "get_constraints", message=_constraints_request(), privileged=True
        )
        power = constraints["tunerConstraints"]["powerTarget"]
        assert (power["min"]["watt"], power["max"]["watt"]) == (3226, FULL_W)

    with_pyasic(base_address, scenario, model=BRAIINS_S21)


def _constraints_request() -> Any:
    from pyasic.web.braiins_os.proto.braiins.bos.v1 import GetConstraintsRequest

    return GetConstraintsRequest()


def test_a_wrong_password_commands_nothing(base_address: str) -> None:
    async def scenario(miner: Any, rig: SimulatedRig, clock: SimulatedClock) -> None:
        miner.web.pwd = "guessed"
        with pytest.raises(GRPCError):
            await miner.stop_mining()
        assert not rig.soft_off

    with_pyasic(base_address, scenario, model=BRAIINS_S21)


@pytest.mark.parametrize(
    ("faults", "says", "fate"),
    [
        (RigFaults(lies=True), True, Fate.FEIGNED),
        (RigFaults(ignores_stop=True), True, Fate.FEIGNED),
        (RigFaults(refuses=True), False, Fate.REFUSED),
    ],
)
def test_liars_and_refusers_go_on_hashing(
    base_address: str, faults: RigFaults, says: bool, fate: Fate
) -> None:
    async def scenario(miner: Any, rig: SimulatedRig, clock: SimulatedClock) -> None:
        assert await miner.stop_mining() is says
        clock.step(60.0)
        assert rig.true_power_w() == FULL_W
        assert (rig.commands[-1].change, rig.commands[-1].fate) == (Change.STOP, fate)

    with_pyasic(base_address, scenario, model=BRAIINS_S21, faults=faults)


@pytest.mark.parametrize("faults", [RigFaults(drop_reply=1.0), RigFaults(half_reply=1.0)])
def test_a_lost_reply_is_a_command_carried_out(base_address: str, faults: RigFaults) -> None:
    async def scenario(miner: Any, rig: SimulatedRig, clock: SimulatedClock) -> None:
        await miner.web.auth()
        rig.faults = faults
        with pytest.raises(StreamTerminatedError):
            await miner.stop_mining()
        assert rig.soft_off
        assert not rig.commands[-1].replied

    with_pyasic(base_address, scenario, model=BRAIINS_S21)


def test_a_rig_may_reboot_in_the_middle_of_a_command(base_address: str) -> None:
    async def scenario(miner: Any, rig: SimulatedRig, clock: SimulatedClock) -> None:
        with pytest.raises(StreamTerminatedError):
            await miner.stop_mining()
        assert rig.uptime_s == 0.0
        clock.step(GROUP.boot_s)
        assert rig.true_power_w() == FULL_W

    with_pyasic(base_address, scenario, model=BRAIINS_S21, faults=RigFaults(reboot_on_change=1.0))


def test_power_that_is_no_number_is_left_out(base_address: str) -> None:
    async def scenario(miner: Any, rig: SimulatedRig, clock: SimulatedClock) -> None:
        assert await miner.get_wattage() is None

    with_pyasic(base_address, scenario, model=BRAIINS_S21, faults=RigFaults(nan_telemetry=True))


def test_a_slow_rig_answers_late(base_address: str) -> None:
    async def scenario(miner: Any, rig: SimulatedRig, clock: SimulatedClock) -> None:
        await miner.web.auth()
        rig.faults = RigFaults(latency_s=0.1)
        began_at = asyncio.get_running_loop().time()
        assert await miner.get_wattage() == FULL_W
        assert asyncio.get_running_loop().time() - began_at >= 0.1

    with_pyasic(base_address, scenario, model=BRAIINS_S21)

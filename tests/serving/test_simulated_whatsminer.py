"""WhatsMiner API V3 against unmodified pyasic, and what pyasic's own calls leave unsaid."""

import json
from typing import Any

import pytest

from gridhash.serving.clock import SimulatedClock
from gridhash.serving.simulated_listener import exchange
from gridhash.serving.simulated_model import (
    WHATSMINER_M63S,
    Change,
    Fate,
    RigFaults,
    RigMismatch,
)
from gridhash.serving.simulated_rig import SimulatedRig
from gridhash.serving.simulated_whatsminer import HEADER, WhatsminerV3Wire
from tests.serving.simulated_pyasic import GROUP, START, with_pyasic

FULL_W = GROUP.rig_power_w


def whatsminer(**options: Any) -> tuple[SimulatedRig, WhatsminerV3Wire, SimulatedClock]:
    clock = SimulatedClock(START)
    rig = SimulatedRig("rig", GROUP, clock, model=WHATSMINER_M63S, **options)
    return rig, WhatsminerV3Wire(rig), clock


def ask(wire: WhatsminerV3Wire, command: str, param: Any = None, **more: Any) -> dict[str, Any]:
    body = json.dumps({"cmd": command, "param": param, **more}).encode()
    reply = exchange(wire, HEADER.pack(len(body)) + body)
    assert reply is not None
    assert HEADER.unpack_from(reply) == (len(reply) - HEADER.size,)
    parsed: dict[str, Any] = json.loads(reply[HEADER.size :])
    return parsed


def tell(wire: WhatsminerV3Wire, command: str, param: Any) -> dict[str, Any]:
    return ask(wire, command, param, ts=1, account="super", token=wire.token(command, 1))


def test_pyasic_identifies_reads_stops_and_limits_a_v3_rig(base_address: str) -> None:
    async def scenario(miner: Any, rig: SimulatedRig, clock: SimulatedClock) -> None:
        assert type(miner).__name__ == "BTMinerM63SPlusVK30"
        assert "V3" in type(miner).__mro__[1].__name__
        data = await miner.get_data()
        assert (data.wattage, data.wattage_limit) == (FULL_W, FULL_W)
        assert float(data.hashrate) == pytest.approx(480.0)
        assert data.mac == ":".join(rig.mac.upper()[i : i + 2] for i in range(0, 12, 2))
        assert data.fw_ver == WHATSMINER_M63S.firmware
        assert len(data.hashboards) == 4
        assert data.uptime == 86_400

        assert await miner.stop_mining() is True
        clock.step(1.0)
        assert rig.true_power_w() == GROUP.standby_w
        assert await miner.get_wattage() == GROUP.standby_w
        assert await miner.resume_mining() is True
        clock.step(GROUP.boot_s)
        assert rig.true_power_w() == FULL_W

        assert await miner.set_power_limit(6000) is True
        assert rig.true_power_w() == GROUP.standby_w
        clock.step(GROUP.boot_s + GROUP.warm_up_s)
        assert rig.true_power_w() == pytest.approx(6000.0)
        assert rig.true_hashrate_ths() == pytest.approx(
            GROUP.level_hashrate_phs(6000.0 / FULL_W) * 1000.0
        )
        assert (await miner.get_data(include=["wattage_limit"])).wattage_limit == 6000

    with_pyasic(base_address, scenario, model=WHATSMINER_M63S)


def test_a_limit_out_of_range_is_refused_and_pyasic_says_true(base_address: str) -> None:
    async def scenario(miner: Any, rig: SimulatedRig, clock: SimulatedClock) -> None:
        assert await miner.set_power_limit(500) is True
        assert rig.true_power_w() == FULL_W
        assert rig.commands[-1].change is None  # the wire refused before the rig was told

    with_pyasic(base_address, scenario, model=WHATSMINER_M63S)


def test_a_liar_makes_pyasic_say_true(base_address: str) -> None:
    async def scenario(miner: Any, rig: SimulatedRig, clock: SimulatedClock) -> None:
        assert await miner.stop_mining() is True
        clock.step(60.0)
        assert rig.true_power_w() == FULL_W
        assert (rig.commands[-1].change, rig.commands[-1].fate) == (Change.STOP, Fate.FEIGNED)

    with_pyasic(base_address, scenario, model=WHATSMINER_M63S, faults=RigFaults(lies=True))


def test_a_change_needs_the_token_of_the_password_and_the_salt() -> None:
    rig, wire, _ = whatsminer()

    assert ask(wire, "set.miner.service", "stop")["code"] == -4
    assert ask(wire, "set.miner.service", "stop", ts=1, token="guessed1")["code"] == -4
    assert not rig.soft_off
    assert tell(wire, "set.miner.service", "stop") == {
        "code": 0,
        "when": int(START.timestamp()),
        "msg": "ok",
        "desc": "set.miner.service",
    }
    assert rig.soft_off


@pytest.mark.parametrize("limit", [0, 3000, 8065, "6000", True, None, 6000.5])
def test_a_limit_that_the_firmware_does_not_take_changes_nothing(limit: Any) -> None:
    rig, wire, clock = whatsminer()

    assert tell(wire, "set.miner.power_limit", limit)["code"] == -2
    clock.step(60.0)
    assert rig.true_power_w() == FULL_W


def test_a_limit_told_to_a_stopped_rig_counts_from_its_next_start() -> None:
    rig, wire, clock = whatsminer(running=False)

    assert tell(wire, "set.miner.power_limit", 5000)["code"] == 0
    clock.step(600.0)
    assert rig.true_power_w() == GROUP.standby_w
    tell(wire, "set.miner.service", "start")
    clock.step(GROUP.boot_s)
    assert rig.true_power_w() == pytest.approx(5000.0)


def test_clock_skew_and_nan_are_on_the_wire() -> None:
    _, wire, _ = whatsminer(faults=RigFaults(clock_skew_s=90.0, nan_telemetry=True))

    reply = ask(wire, "get.miner.status", "summary")

    assert reply["when"] == int(START.timestamp()) + 90
    power_w = reply["msg"]["summary"]["power-realtime"]
    assert power_w != power_w


def test_reported_power_differs_from_true_power_as_the_mismatch_has_it() -> None:
    _, wire, _ = whatsminer(mismatch=RigMismatch(reported_power_factor=0.9))

    summary = ask(wire, "get.miner.status", "summary+edevs+pools")["msg"]["summary"]

    assert summary["power-realtime"] == round(0.9 * FULL_W)


@pytest.mark.parametrize(
    "request_bytes", [HEADER.pack(3) + b"[1]", HEADER.pack(2) + b"{}", HEADER.pack(2**31)]
)
def test_nonsense_is_hung_up_on(request_bytes: bytes) -> None:
    _, wire, _ = whatsminer()

    assert wire.is_complete(request_bytes)
    assert exchange(wire, request_bytes) is None


def test_a_request_is_complete_only_with_its_last_byte() -> None:
    _, wire, _ = whatsminer()
    body = b'{"cmd":"get.device.info"}'
    whole = HEADER.pack(len(body)) + body

    assert [wire.is_complete(whole[:end]) for end in (0, 3, 4, len(whole) - 1, len(whole))] == [
        False, False, False, False, True,
    ]  # fmt: skip

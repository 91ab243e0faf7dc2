"""LuxOS against unmodified pyasic: sessions, presets, sleep, and what pyasic leaves unsaid."""

import json
from typing import Any

import pytest

from gridhash.serving.clock import SimulatedClock
from gridhash.serving.simulated_listener import exchange
from gridhash.serving.simulated_luxos import LuxosWire, profiles_of
from gridhash.serving.simulated_model import LUXOS_S21, RigFaults, WorkState
from gridhash.serving.simulated_rig import SimulatedRig
from tests.serving.simulated_pyasic import GROUP, START, with_pyasic

FULL_W = GROUP.rig_power_w


def luxos(**options: Any) -> tuple[SimulatedRig, LuxosWire, SimulatedClock]:
    clock = SimulatedClock(START)
    rig = SimulatedRig("rig", GROUP, clock, model=LUXOS_S21, **options)
    return rig, LuxosWire(rig), clock


def ask(wire: LuxosWire, command: str, parameter: str = "") -> dict[str, Any]:
    request = {"command": command} | ({"parameter": parameter} if parameter else {})
    reply = exchange(wire, json.dumps(request).encode())
    assert reply is not None
    parsed: dict[str, Any] = json.loads(reply[:-1])
    return parsed


def code(reply: dict[str, Any]) -> int:
    return int(reply["STATUS"][0]["Code"])


def test_pyasic_identifies_reads_stops_and_presets_a_luxos_rig(base_address: str) -> None:
    async def scenario(miner: Any, rig: SimulatedRig, clock: SimulatedClock) -> None:
        assert type(miner).__name__ == "LUXMinerS21"
        data = await miner.get_data()
        assert (data.wattage, data.wattage_limit) == (FULL_W, FULL_W)
        assert data.fw_ver == LUXOS_S21.firmware
        assert data.uptime == 86_400
        assert float(data.expected_hashrate) == pytest.approx(480.0)
        assert sum(float(board.hashrate) for board in data.hashboards) == pytest.approx(480.0)

        assert await miner.set_power_limit(5000) is True
        preset_w = max(
            profile["Watts"] for profile in profiles_of(rig).values() if profile["Watts"] <= 5000
        )
        clock.step(1.0)
        assert rig.true_power_w() == pytest.approx(preset_w, abs=1.0)
        assert rig.thermal_management
        assert await miner.set_power_limit(500) is False

        assert await miner.stop_mining() is True
        assert rig.true_power_w() == GROUP.standby_w
        assert await miner.get_wattage() == GROUP.standby_w
        assert await miner.resume_mining() is True
        clock.step(GROUP.boot_s)
        assert rig.true_power_w() == pytest.approx(preset_w, abs=1.0)

    with_pyasic(base_address, scenario, model=LUXOS_S21)


def test_pyasic_keeps_a_session_that_has_expired_and_then_fails(base_address: str) -> None:
    async def scenario(miner: Any, rig: SimulatedRig, clock: SimulatedClock) -> None:
        assert await miner.stop_mining() is True
        clock.step(61.0)
        assert await miner.resume_mining() is False
        assert rig.soft_off

    with_pyasic(base_address, scenario, model=LUXOS_S21)


def test_one_session_at_a_time_which_a_minute_without_use_ends() -> None:
    _, wire, clock = luxos()

    first = ask(wire, "logon")["SESSION"][0]["SessionID"]
    assert ask(wire, "logon")["STATUS"][0]["STATUS"] == "E"
    clock.step(59.0)
    assert code(ask(wire, "curtail", f"{first},sleep")) == 335  # keeps the session for a minute
    clock.step(59.0)
    assert ask(wire, "session")["SESSION"][0]["SessionID"] == first
    clock.step(1.0)
    assert ask(wire, "session")["SESSION"][0]["SessionID"] == ""
    assert ask(wire, "logon")["SESSION"][0]["SessionID"] != first


@pytest.mark.parametrize("session", ["", "forged", ",sleep"])
def test_nothing_changes_without_a_session(session: str) -> None:
    rig, wire, _ = luxos()

    assert ask(wire, "curtail", f"{session},sleep")["STATUS"][0]["STATUS"] == "E"
    assert rig.state is WorkState.WORK


def test_sleep_outlasts_a_reboot_and_a_reboot_awake_ends_in_hashing() -> None:
    rig, wire, clock = luxos()
    session = ask(wire, "logon")["SESSION"][0]["SessionID"]

    ask(wire, "curtail", f"{session},sleep")
    ask(wire, "rebootdevice", session)
    clock.step(GROUP.boot_s + 1.0)
    assert (rig.soft_off, rig.true_power_w()) == (True, GROUP.standby_w)
    assert ask(wire, "config")["CONFIG"][0]["CurtailMode"] == "Sleep"

    rig.start()
    clock.step(GROUP.boot_s + 1.0)
    rig.restart_by_hand()
    clock.step(GROUP.boot_s + 1.0)
    assert rig.true_power_w() == FULL_W


def test_an_interrupted_profile_change_leaves_thermal_management_off(base_address: str) -> None:
    async def scenario(miner: Any, rig: SimulatedRig, clock: SimulatedClock) -> None:
        from pyasic.errors import APIError

        with pytest.raises(APIError):
            await miner.set_power_limit(5000)
        assert not rig.thermal_management

    with_pyasic(base_address, scenario, model=LUXOS_S21, faults=RigFaults(refuses=True))


def test_nan_is_text_where_numbers_belong() -> None:
    _, wire, _ = luxos(faults=RigFaults(nan_telemetry=True))

    assert ask(wire, "power")["POWER"][0]["Watts"] == "nan"
    assert ask(wire, "summary")["SUMMARY"][0]["GHS 5s"] == "nan"


def test_presets_rise_in_power_and_hash_rate_and_end_at_nameplate() -> None:
    rig, _, _ = luxos()
    presets = list(profiles_of(rig).values())

    for key in ("Watts", "Hashrate", "Frequency"):
        values = [preset[key] for preset in presets]
        assert values == sorted(set(values))
    assert (presets[-1]["Profile Name"], presets[-1]["Watts"]) == ("default", round(FULL_W))

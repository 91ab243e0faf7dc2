"""A guard stops rigs over real sockets when the controller is silent, and starts none."""

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gridhash.agents.signing import generate_key, read_public_key
from gridhash.config import load_site
from gridhash.errors import ConfigError, ServingError
from gridhash.serving.clock import Clock, RealClock, SimulatedClock
from gridhash.serving.guard import Guard
from gridhash.serving.guard_notice import GuardState
from gridhash.serving.guard_record import GuardRecord, last_memory
from gridhash.serving.guard_service import make_guard, parse_guard_address
from gridhash.serving.guard_settings import (
    GuardSettings,
    SafeProfile,
    load_guard_settings,
    sign_guard_settings,
)
from gridhash.serving.heartbeat import Heartbeat, write_heartbeat
from gridhash.serving.modbus_config import MeterBlock
from gridhash.serving.rig_list import write_rig_list
from gridhash.serving.simulated_fleet import SimulatedFleet
from gridhash.serving.simulated_meter import METER_PORT, MeterFaults, SimulatedMeter
from gridhash.serving.simulated_model import RigFaults, WorkState
from gridhash.serving.stand_alone import FleetRequest, listed_rigs, make_fleet

SITE = load_site("europe_sample")
Make = Callable[..., Heartbeat]


@pytest.fixture
def clock() -> SimulatedClock:
    return SimulatedClock(datetime(2026, 1, 1, tzinfo=UTC))


@pytest.fixture
def fleet(base_address: str, tmp_path: Path, clock: SimulatedClock) -> SimulatedFleet:
    fleet = make_fleet(SITE, FleetRequest(count=8, address=base_address), clock)
    write_rig_list(tmp_path / "rigs.csv", listed_rigs(fleet))
    return fleet


def guard_of(tmp_path: Path, clock: Clock, **given: Any) -> Guard:
    return make_guard(
        "europe_sample", tmp_path / "rigs.csv", tmp_path, GuardSettings(**given), clock
    )


def lines(tmp_path: Path, kind: str) -> list[dict[str, Any]]:
    text = (tmp_path / "guard.jsonl").read_text(encoding="utf-8")
    return [line for line in map(json.loads, text.splitlines()) if line["kind"] == kind]


def running(fleet: SimulatedFleet) -> set[str]:
    return {rig.rig_id for rig in fleet.rigs.values() if rig.state is WorkState.WORK}


def test_silence_stops_every_rig_that_can_be_reached_and_keeps_trying_the_rest(
    tmp_path: Path, fleet: SimulatedFleet, clock: SimulatedClock, make_heartbeat: Make
) -> None:
    async def main() -> None:
        async with fleet:
            await fleet.set_faults("loop_a-001", RigFaults(unreachable="refused"))
            guard = guard_of(tmp_path, clock)
            write_heartbeat(tmp_path / "heartbeat.json", make_heartbeat(1))
            await guard.look()
            await guard.lower_once()
            await clock.advance(10.0)
            assert len(running(fleet)) == 8, "a controller that beats is left alone"
            await clock.advance(60.0)
            await guard.look()
            assert guard.watch.state is GuardState.FAILSAFE
            await guard.lower_once()
            await clock.advance(11.0)  # soft-off is scheduled 5 s ahead on the rig's own clock
            wait_s = await guard.lower_once()
            assert running(fleet) == {"loop_a-001"}
            assert guard.lowering.n_standing == 7
            assert wait_s < 10.0, "one rig counts at full power: it is not settled"
            notice = json.loads((tmp_path / "guard.json").read_bytes())
            assert (notice["state"], notice["epoch"], notice["cap_kw"]) == ("failsafe", 1, 0.0)
            guard.record.close()

    asyncio.run(main())
    stops = lines(tmp_path, "stop")
    assert {line["rig"] for line in stops} == set(fleet.rigs)
    assert len(lines(tmp_path, "stands")) == 7
    commands = [command.text for rig in fleet.rigs.values() for command in rig.commands]
    assert not any("softon" in text for text in commands)


def test_the_meter_of_the_settings_is_read_and_a_stale_value_is_none(
    tmp_path: Path, fleet: SimulatedFleet, clock: SimulatedClock, base_address: str
) -> None:
    block = MeterBlock.model_validate(
        {
            "host": base_address,
            "port": METER_PORT,
            "power": {"address": 2, "type": "float32"},
            "measured_at": {"address": 0, "type": "uint32"},
        }
    )

    async def main() -> None:
        async with SimulatedMeter(fleet, clock, address=base_address) as meter:
            guard = guard_of(tmp_path, clock, meter=block)
            await guard.look()
            assert guard.watch.meter_kw == pytest.approx(fleet.true_power_kw(), rel=1e-5)
            await meter.set_faults(MeterFaults(stale=True))
            await clock.advance(40.0)
            await guard.look()
            assert guard.watch.meter_kw is None
            guard.record.close()

    asyncio.run(main())
    assert [line["words"] for line in lines(tmp_path, "trouble")] == ["its value is 40 s old"]


def test_a_profile_with_power_keeps_the_efficient_rigs_and_counts_the_unreachable_as_full(
    tmp_path: Path, fleet: SimulatedFleet, clock: SimulatedClock, make_heartbeat: Make
) -> None:
    rig_kw = SITE.max_group_kw(SITE.groups[0]) / SITE.groups[0].n_rigs

    async def main() -> None:
        async with fleet:
            await fleet.set_faults("loop_d-001", RigFaults(unreachable="refused"))
            profile = SafeProfile(max_rig_kw=4.2 * rig_kw)
            guard = guard_of(tmp_path, clock, safe_profile=profile)
            write_heartbeat(tmp_path / "heartbeat.json", make_heartbeat(1))
            await guard.look()
            await clock.advance(60.0)
            await guard.look()
            await guard.lower_once()
            await clock.advance(11.0)
            await guard.lower_once()
            assert guard.lowering.potential_kw <= 4.2 * rig_kw
            assert len(running(fleet)) == 4, "the unreachable one and three others"
            guard.record.close()

    asyncio.run(main())


def test_a_second_guard_on_the_folder_is_refused(tmp_path: Path, fleet: SimulatedFleet) -> None:
    first = guard_of(tmp_path, RealClock())

    with pytest.raises(ServingError, match="another process writes to it"):
        guard_of(tmp_path, RealClock())

    first.record.close()
    guard_of(tmp_path, RealClock()).record.close()


def test_memory_survives_a_torn_line_and_a_full_disk_stops_no_guard(
    tmp_path: Path,
    clock: SimulatedClock,
    fleet: SimulatedFleet,
    make_heartbeat: Make,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    guard = guard_of(tmp_path, clock)

    async def main() -> None:
        write_heartbeat(tmp_path / "heartbeat.json", make_heartbeat(1))
        await guard.look()
        await clock.advance(60.0)
        await guard.look()

    asyncio.run(main())
    guard.record.close()
    with (tmp_path / "guard.jsonl").open("ab") as file:
        file.write(b'{"kind": "memory", "memo')
    memory = last_memory(tmp_path / "guard.jsonl")
    assert memory is not None
    assert (memory.state, memory.epoch) == (GuardState.FAILSAFE, 1)
    again = guard_of(tmp_path, clock)
    assert again.watch.state is GuardState.FAILSAFE
    again.record.close()

    spilt: list[str] = []
    monkeypatch.setattr("gridhash.serving.line_record.spill", spilt.append)
    record = GuardRecord(tmp_path / "missing" / "guard.jsonl")
    record.write(clock.now(), "stop", rig="a")
    assert any('"rig": "a"' in line for line in spilt)


def test_settings_count_only_as_they_were_signed(tmp_path: Path) -> None:
    path = tmp_path / "guard.toml"
    path.write_text("heartbeat_limit_s = 30.0\n[safe_profile]\nmax_rig_kw = 100.0\n")
    key = generate_key(tmp_path / "key.pem")
    trusted = read_public_key(tmp_path / "key.pub")
    with pytest.raises(ConfigError, match=r"guard.toml.sig: cannot be read"):
        load_guard_settings(path, trusted=trusted)

    sign_guard_settings(path, key)
    assert load_guard_settings(path, trusted=trusted).safe_profile.max_rig_kw == 100.0
    path.write_text(path.read_text().replace("100.0", "999.0"))

    with pytest.raises(ConfigError, match="did not sign what it says now"):
        load_guard_settings(path, trusted=trusted)


@pytest.mark.parametrize(
    "text", ["heartbeat_limit_s = 121.0", "hold = 3", "poll_s = 9.0\nheartbeat_limit_s = 5.0"]
)
def test_settings_beyond_their_bounds_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "guard.toml"
    path.write_text(text)

    with pytest.raises(ConfigError, match=r"guard\.toml"):
        load_guard_settings(path)


@pytest.mark.parametrize("text", ["", "host", ":1", "host:", "host:0", "host:70000", "host:x"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="is no address"):
        parse_guard_address(text)

"""Campaigns of faults: what a file may say, whom it meets, and what then truly happens."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridhash.config import load_site
from gridhash.errors import ConfigError
from gridhash.serving.clock import SimulatedClock
from gridhash.serving.drivers.capabilities import FirmwareName
from gridhash.serving.drivers.driver import FirmwareDriver
from gridhash.serving.drivers.registry import driver_for
from gridhash.serving.simulated_campaign import (
    STEADY,
    Campaign,
    Fault,
    SteadyFault,
    load_campaign,
    rigs_of_faults,
)
from gridhash.serving.simulated_faults import FaultSchedule
from gridhash.serving.simulated_fleet import SimulatedFleet
from gridhash.serving.simulated_log import WorldLog, read_world_log
from gridhash.serving.simulated_model import (
    BRAIINS_S21,
    HYDRO_1566HA,
    LUXOS_S21,
    WHATSMINER_M63S,
    RigModel,
)

START = datetime(2024, 4, 1, tzinfo=UTC)
GROUPS = load_site("japan_pilot").groups
GROUP = GROUPS[0]
FULL_W = GROUP.rig_power_w
ONE, TWO = "loop_a-001", "loop_b-001"
FLEET = {f"{group}-{n:03d}": group for group in ("loop_a", "loop_b") for n in range(1, 51)}


def campaign(*faults: dict[str, Any], seed: int = 0) -> Campaign:
    return Campaign.model_validate({"seed": seed, "fault": list(faults)})


# The file


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "campaign.toml"
    path.write_text(text)
    return path


def test_a_file_of_every_kind_is_read(tmp_path: Path) -> None:
    kinds = [*STEADY, "drop_reply", "half_reply", "reboot_mid_command", "swap_addresses"]
    text = "".join(f'[[fault]]\nkind = "{kind}"\ncount = 2\n' for kind in kinds) + (
        '[[fault]]\nkind = "slow"\nrigs = ["x"]\ndelay_s = 3.0\n'
        '[[fault]]\nkind = "clock_skew"\nfraction = 0.1\nskew_s = -3600\n'
        '[[fault]]\nkind = "power_cut"\ngroups = ["g"]\nfraction = 1\nuntil_s = 60\n'
        '[[fault]]\nkind = "by_hand"\nrigs = ["x"]\nchange = "stop"\nfrom_s = 5\n'
        "every_s = 60\nuntil_s = 600\n"
    )

    read = load_campaign(written(tmp_path, text))

    assert [fault.kind for fault in read.fault] == [
        *kinds, "slow", "clock_skew", "power_cut", "by_hand",
    ]  # fmt: skip


def test_the_steady_kinds_of_the_file_are_those_that_set_something() -> None:
    annotation = SteadyFault.model_fields["kind"].annotation

    assert set(annotation.__args__) == set(STEADY)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "missing key fault"),
        ("fault = []", "fault"),
        ('[[fault]]\nkind = "explode"\ncount = 1', "explode"),
        ('[[fault]]\nkind = "hang"', "exactly one of rigs, count and fraction"),
        ('[[fault]]\nkind = "hang"\ncount = 1\nfraction = 0.5', "exactly one of rigs, count and"),
        ('[[fault]]\nkind = "hang"\ncount = 0', "count"),
        ('[[fault]]\nkind = "hang"\nfraction = 30', "fraction.*30"),
        ('[[fault]]\nkind = "hang"\ncount = 1\ndelay_s = 3', "unknown key fault.0.hang.delay_s"),
        ('[[fault]]\nkind = "slow"\ncount = 1', "missing key fault.0.slow.delay_s"),
        ('[[fault]]\nkind = "hang"\ncount = 1\nfrom_s = 9\nuntil_s = 9', "until_s 9 is not after"),
        ('[[fault]]\nkind = "hang"\nrigs = ["a"]\ngroups = ["g"]', "leave them out"),
        ('[[fault]]\nkind = "by_hand"\ncount = 1\nchange = "power_limit"', "power_w belongs"),
        ('[[fault]]\nkind = "by_hand"\ncount = 1\nchange = "stop"\nevery_s = 9', "every_s needs"),
        ('[[fault]]\nkind = "by_hand"\ncount = 1\nchange = "paint"', "paint"),
        ('[[fault]]\nkind = "power_cut"\ncount = 1', "missing key fault.0.power_cut.until_s"),
        ('[[fault]]\nkind = "lie"\ncount = "3"', "count.*'3'"),
        ("[[fault", "not valid TOML"),
    ],
)
def test_a_wrong_file_is_refused_with_file_key_and_value(
    tmp_path: Path, text: str, words: str
) -> None:
    path = written(tmp_path, text)

    with pytest.raises(ConfigError, match=f"(?s)campaign.toml: .*{words}"):
        load_campaign(path)


def test_a_missing_file_says_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no campaign .*none\.toml: give the path"):
        load_campaign(tmp_path / "none.toml")


def test_the_document_has_a_row_for_every_kind() -> None:
    text = (Path(__file__).parents[2] / "docs/simulation.md").read_text()
    kinds = [
        kind
        for block in get_args(Fault)
        for kind in get_args(block.model_fields["kind"].annotation)
    ]

    assert len(kinds) == 18
    assert [kind for kind in kinds if f"`{kind}`" not in text.split("| `kind` |")[1]] == []


# Whom it meets


@given(seed=st.integers(0, 2**32), count=st.integers(1, 30), share=st.floats(0.01, 0.5))
def test_drawn_rigs_are_distinct_of_the_right_number_and_the_seeds_own(
    seed: int, count: int, share: float
) -> None:
    faults = campaign(
        {"kind": "refuse", "count": count},
        {"kind": "lie", "fraction": share, "groups": ["loop_b"], "may_overlap": True},
        {"kind": "nan", "count": 5},
        seed=seed,
    )

    (_, first), (_, second), (_, third) = rigs_of_faults(faults, FLEET, origin="file")

    assert (len(first), len(second), len(third)) == (count, max(round(50 * share), 1), 5)
    assert len(set(first)) == count
    assert all(rig.startswith("loop_b") for rig in second)
    assert not set(third) & {*first, *second}
    assert rigs_of_faults(faults, FLEET, origin="file")[0][1] == first


def test_another_seed_draws_other_rigs() -> None:
    def drawn(seed: int) -> tuple[str, ...]:
        ((_, rigs),) = rigs_of_faults(
            campaign({"kind": "lie", "count": 5}, seed=seed), FLEET, origin="file"
        )
        return tuple(rigs)

    assert len({drawn(seed) for seed in range(10)}) == 10


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"kind": "lie", "rigs": ["loop_z-001"]}, r"rigs: the fleet has no loop_z-001; it has"),
        ({"kind": "lie", "groups": ["roof"], "count": 1}, "groups: the fleet has no roof"),
        ({"kind": "lie", "count": 101}, "101 rigs are to be drawn and 100 of 100"),
        ({"kind": "swap_addresses", "rigs": ["loop_a-001"]}, "even number"),
    ],
)
def test_rigs_that_cannot_be_had_are_named(fault: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=f"file: fault 1.*{words}"):
        rigs_of_faults(campaign(fault), FLEET, origin="file")


# What then happens

PORTS = {HYDRO_1566HA: 4028, LUXOS_S21: 4028, WHATSMINER_M63S: 4433, BRAIINS_S21: 50051}


def play(
    base_address: str,
    scenario: Callable[[SimulatedFleet, SimulatedClock], Awaitable[None]],
    *faults: dict[str, Any],
    model: RigModel = HYDRO_1566HA,
    log: WorldLog | None = None,
) -> None:
    async def run() -> None:
        clock = SimulatedClock(START)
        fleet = SimulatedFleet.of_groups(
            GROUPS[:2], clock, count=2, base_address=base_address, model=model, log=log
        )
        async with fleet, FaultSchedule(fleet, campaign(*faults), clock):
            await scenario(fleet, clock)

    asyncio.run(run())


async def says(fleet: SimulatedFleet, rig_id: str, patience_s: float = 0.15) -> str:
    """Return how a rig's port for commands behaves towards a client of any protocol."""
    rig = fleet.rigs[rig_id]
    try:
        reader, writer = await asyncio.wait_for(
            asyncio.open_connection(rig.address, fleet.port_of(rig)), patience_s
        )
    except ConnectionRefusedError:
        return "refused"
    except TimeoutError:
        return "swallowed"
    try:
        if rig.model is WHATSMINER_M63S:
            writer.write(b"\x19\x00\x00\x00" + b'{"cmd":"get.device.info"}')
        elif rig.model is BRAIINS_S21:
            writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
        else:
            writer.write(b'{"command":"version"}')
        await asyncio.wait_for(reader.read(64), patience_s)
    except TimeoutError:
        return "silent"
    finally:
        writer.close()
    return "answered"


@pytest.mark.parametrize("model", PORTS, ids=lambda model: model.protocol)
def test_rigs_of_every_protocol_refuse_hang_and_vanish_and_come_back(
    base_address: str, model: RigModel
) -> None:
    async def scenario(fleet: SimulatedFleet, clock: SimulatedClock) -> None:
        assert fleet.port_of(fleet.rigs[ONE]) == PORTS[model]
        heard = []
        for _ in range(4):
            heard.append(await says(fleet, ONE))
            await clock.advance(10.0)
        assert heard == ["refused", "silent", "swallowed", "answered"]
        assert await says(fleet, TWO) == "answered"

    play(
        base_address,
        scenario,
        {"kind": "refuse", "rigs": [ONE], "until_s": 10},
        {"kind": "hang", "rigs": [ONE], "from_s": 10, "until_s": 20},
        {"kind": "black_hole", "rigs": [ONE], "from_s": 20, "until_s": 30},
        model=model,
    )


def test_faults_of_one_rig_add_up_and_end_one_by_one(base_address: str) -> None:
    async def scenario(fleet: SimulatedFleet, clock: SimulatedClock) -> None:
        rig = fleet.rigs[ONE]
        seen = []
        for _ in range(4):
            seen.append((rig.faults.lies, rig.faults.clock_skew_s, rig.faults.drop_reply))
            await clock.advance(10.0)
        assert seen == [
            (True, 0.0, 0.0), (True, 60.0, 0.5), (False, 60.0, 0.5), (False, 0.0, 0.5),
        ]  # fmt: skip

    play(
        base_address,
        scenario,
        {"kind": "lie", "rigs": [ONE], "until_s": 20},
        {"kind": "clock_skew", "rigs": [ONE], "from_s": 10, "until_s": 30, "skew_s": 60},
        {"kind": "drop_reply", "rigs": [ONE], "from_s": 10, "probability": 0.5},
    )


def test_two_rigs_exchange_their_addresses_and_keep_their_macs(base_address: str) -> None:
    async def mac_at(address: str) -> str:
        reader, writer = await asyncio.open_connection(address, 4028)
        writer.write(b'{"command":"version"}')
        reply = json.loads((await reader.read())[:-1])
        writer.close()
        return str(reply["VERSION"][0]["MAC"])

    async def scenario(fleet: SimulatedFleet, clock: SimulatedClock) -> None:
        first, second = fleet.rigs[ONE], fleet.rigs[TWO]
        places = (first.address, second.address)
        assert [await mac_at(place) for place in places] == [first.mac, second.mac]
        await clock.advance(60.0)
        assert [await mac_at(place) for place in places] == [second.mac, first.mac]
        await clock.advance(60.0)
        assert [await mac_at(place) for place in places] == [first.mac, second.mac]

    play(
        base_address,
        scenario,
        {"kind": "swap_addresses", "rigs": [ONE, TWO], "from_s": 60, "until_s": 120},
    )


def test_a_hand_changes_rigs_again_and_again(base_address: str) -> None:
    async def scenario(fleet: SimulatedFleet, clock: SimulatedClock) -> None:
        rig = fleet.rigs[ONE]
        await clock.advance(99.0)
        assert rig.true_power_w() == FULL_W
        for _ in range(3):
            await clock.advance(1.0)
            assert rig.soft_off
            rig.start()
            await clock.advance(99.0)
        await clock.advance(1.0)
        assert not rig.soft_off
        assert fleet.rigs[TWO].true_power_w() == 5000.0

    play(
        base_address,
        scenario,
        {"kind": "by_hand", "rigs": [ONE], "change": "stop", "from_s": 100, "every_s": 100,
         "until_s": 400},
        {"kind": "by_hand", "rigs": [TWO], "change": "power_limit", "power_w": 5000},
    )  # fmt: skip


def test_without_power_a_rig_draws_nothing_answers_nobody_and_boots_when_it_returns(
    base_address: str,
) -> None:
    async def scenario(fleet: SimulatedFleet, clock: SimulatedClock) -> None:
        rig = fleet.rigs[ONE]
        await clock.advance(10.0)
        assert rig.true_power_w() == 0.0
        assert await says(fleet, ONE) == "swallowed"
        await clock.advance(50.0)
        assert await says(fleet, ONE) == "answered"
        assert rig.true_power_w() == GROUP.standby_w
        await clock.advance(GROUP.boot_s)
        assert rig.true_power_w() == FULL_W
        assert rig.uptime_s == GROUP.boot_s

    play(base_address, scenario, {"kind": "power_cut", "rigs": [ONE], "from_s": 10, "until_s": 60})


@pytest.mark.parametrize(("model", "wakes"), [(HYDRO_1566HA, True), (LUXOS_S21, False)])
def test_after_a_power_cut_a_stopped_rig_wakes_unless_its_firmware_remembers(
    base_address: str, model: RigModel, wakes: bool
) -> None:
    async def scenario(fleet: SimulatedFleet, clock: SimulatedClock) -> None:
        rig = fleet.rigs[ONE]
        rig.stop()
        await clock.advance(60.0 + GROUP.boot_s)
        assert rig.true_power_w() == (FULL_W if wakes else GROUP.standby_w)

    play(
        base_address,
        scenario,
        {"kind": "power_cut", "rigs": [ONE], "from_s": 10, "until_s": 60},
        model=model,
    )


def test_without_its_pool_a_rig_says_so_and_draws_little(base_address: str) -> None:
    async def scenario(fleet: SimulatedFleet, clock: SimulatedClock) -> None:
        rig = fleet.rigs[ONE]
        await clock.advance(10.0)
        seen = rig.telemetry()
        assert (seen.pool_alive, seen.soft_off) == (False, False)
        assert (rig.true_power_w(), rig.true_hashrate_ths()) == (GROUP.standby_w, 0.0)
        await clock.advance(10.0)
        assert rig.telemetry().pool_alive
        assert rig.true_power_w() == FULL_W

    play(base_address, scenario, {"kind": "pool_down", "rigs": [ONE], "from_s": 10, "until_s": 20})


def test_stale_telemetry_stays_while_the_rigs_clock_and_the_rig_go_on(base_address: str) -> None:
    async def scenario(fleet: SimulatedFleet, clock: SimulatedClock) -> None:
        rig = fleet.rigs[ONE]
        await clock.advance(10.0)
        rig.stop()
        await clock.advance(60.0)
        seen = rig.telemetry()
        assert (seen.power_w, seen.uptime_s, seen.soft_off) == (FULL_W, 86_410.0, False)
        assert seen.mean_hashrate_ths(60.0) == pytest.approx(480.0)
        assert rig.true_power_w() == GROUP.standby_w
        assert rig.rig_clock_at() == START + timedelta(seconds=70)
        await clock.advance(30.0)
        assert rig.telemetry().power_w == GROUP.standby_w

    play(base_address, scenario, {"kind": "stale", "rigs": [ONE], "from_s": 10, "until_s": 100})


def drivers_of(fleet: SimulatedFleet, clock: SimulatedClock) -> dict[str, FirmwareDriver]:
    return {
        rig.rig_id: driver_for(
            rig.rig_id,
            rig.address,
            clock,
            firmware=FirmwareName(rig.model.protocol),
            allow_default_credentials=True,
        )
        for rig in fleet.rigs.values()
    }


@pytest.mark.parametrize("model", PORTS, ids=lambda model: model.protocol)
def test_a_rig_of_any_firmware_may_ignore_stops_alone(base_address: str, model: RigModel) -> None:
    async def scenario(fleet: SimulatedFleet, clock: SimulatedClock) -> None:
        drivers = drivers_of(fleet, clock)
        results = [await driver.stop() for driver in drivers.values()]
        await clock.advance(60.0)
        assert all(result.outcome.may_have_reached_rig for result in results)
        assert fleet.rigs[ONE].true_power_w() == FULL_W
        assert fleet.rigs[TWO].true_power_w() == GROUP.standby_w
        assert (await drivers[ONE].read()).power_w == FULL_W

    play(base_address, scenario, {"kind": "ignore_stop", "rigs": [ONE]}, model=model)


@pytest.mark.parametrize("model", PORTS, ids=lambda model: model.protocol)
def test_a_rig_of_any_firmware_may_report_the_past(base_address: str, model: RigModel) -> None:
    async def scenario(fleet: SimulatedFleet, clock: SimulatedClock) -> None:
        drivers = drivers_of(fleet, clock)
        for rig in fleet.rigs.values():
            rig.stop()
        await clock.advance(600.0)
        stale, fresh = [await drivers[name].read() for name in (ONE, TWO)]
        assert (stale.power_w, fresh.power_w) == (FULL_W, GROUP.standby_w)
        assert stale.hashrate_ths == pytest.approx(480.0, rel=0.02)
        assert fresh.hashrate_ths == pytest.approx(0.0, abs=1e-6)

    play(base_address, scenario, {"kind": "stale", "rigs": [ONE]}, model=model)


@pytest.mark.parametrize("model", PORTS, ids=lambda model: model.protocol)
def test_rigs_of_any_firmware_swap_places_and_are_known_by_their_macs(
    base_address: str, model: RigModel
) -> None:
    async def scenario(fleet: SimulatedFleet, clock: SimulatedClock) -> None:
        drivers = drivers_of(fleet, clock)
        before = {name: (await driver.identify()).mac for name, driver in drivers.items()}
        await clock.advance(20.0)
        again = drivers_of(fleet, clock)
        after = {name: (await driver.identify()).mac for name, driver in again.items()}
        assert after == before
        assert {name: driver.address for name, driver in again.items()} == {
            ONE: drivers[TWO].address,
            TWO: drivers[ONE].address,
        }

    play(
        base_address,
        scenario,
        {"kind": "swap_addresses", "rigs": [ONE, TWO], "from_s": 10},
        model=model,
    )


def test_a_bad_campaign_meets_nobody(base_address: str) -> None:
    with pytest.raises(ConfigError, match="campaign: fault 1"):
        play(base_address, lambda *_: asyncio.sleep(0), {"kind": "lie", "rigs": ["loop_z-009"]})


def test_what_a_campaign_did_is_in_the_worlds_log(base_address: str, tmp_path: Path) -> None:
    path = tmp_path / "world.jsonl"

    async def scenario(fleet: SimulatedFleet, clock: SimulatedClock) -> None:
        await clock.advance(100.0)

    with WorldLog(path, START) as log:
        play(
            base_address,
            scenario,
            {"kind": "hang", "rigs": [ONE], "from_s": 10, "until_s": 20},
            {"kind": "by_hand", "rigs": [TWO], "change": "stop", "from_s": 30},
            log=log,
        )

    told = [
        (line["kind"], line["rig"], (line["at"] - START).total_seconds())
        for line in read_world_log(path)
        if line["kind"] in {"fault", "by_hand", "state"}
    ]
    assert told == [
        ("fault", ONE, 10.0), ("fault", ONE, 20.0), ("by_hand", TWO, 30.0), ("state", TWO, 30.0),
    ]  # fmt: skip

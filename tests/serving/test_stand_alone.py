"""Simulated rigs on real time: where they listen, what they list, how they end."""

import asyncio
import io
import os
import socket
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console

from gridhash.config import load_site
from gridhash.errors import ConfigError, PortInUse, ServingError
from gridhash.serving.clock import RealClock, SimulatedClock
from gridhash.serving.rig_list import drivers_of, read_rig_list, site_of_rigs
from gridhash.serving.simulated_log import read_world_log
from gridhash.serving.simulated_meter import METER_PORT
from gridhash.serving.simulated_model import AIR_1566
from gridhash.serving.stand_alone import (
    MODELS,
    FleetRequest,
    LiveCampaign,
    make_fleet,
    run_fleet_alone,
)
from gridhash.serving.stop_signal import StopSignal

SITE = load_site("europe_sample")


@pytest.mark.parametrize("model", MODELS)
def test_the_written_list_leads_the_real_driver_to_every_rig_of_every_firmware(
    tmp_path: Path, base_address: str, model: str
) -> None:
    path = tmp_path / "rigs.csv"
    console = Console(file=io.StringIO(), width=100)

    async def main() -> list[float | None]:
        stop = StopSignal()
        rigs = asyncio.create_task(
            run_fleet_alone(
                SITE,
                FleetRequest(count=5, address=base_address, model=model, rig_list=path),
                console,
                stop=stop,
            )
        )
        while not path.exists():
            await asyncio.sleep(0.01)
        listed = read_rig_list(path)
        drivers = drivers_of(listed, site_of_rigs(SITE, listed, path), RealClock())
        power_w = [(await driver.read()).power_w for own in drivers.values() for driver in own]
        stop.request()
        assert await rigs is False
        return power_w

    assert asyncio.run(main()) == [8064.0] * 5
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert "5 of 5 rigs hash" in text
    assert "40.3 kW truly drawn" in text
    assert "the 5 simulated rigs are gone" in text
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((base_address, 4028), timeout=5)


def test_a_taken_port_is_an_error_and_leaves_no_file(tmp_path: Path, base_address: str) -> None:
    path = tmp_path / "rigs.csv"
    with socket.socket() as other:
        other.bind((base_address, 0))
        other.listen()
        port = other.getsockname()[1]

        request = FleetRequest(
            count=4,
            address=base_address,
            port=port,
            rig_list=path,
            log=tmp_path / "world.jsonl",
        )
        with pytest.raises(PortInUse, match=f"{base_address}:{port} is taken"):
            asyncio.run(run_fleet_alone(SITE, request, Console(quiet=True)))

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("address", "count", "message"),
    [
        ("10.0.0.1", 4, "at loopback addresses only"),
        ("127.255.255.250", 10, "at loopback addresses only"),
        ("localhost", 4, "'localhost' is no IPv4 address"),
        ("127.40.0.1", 3, "3 rigs are too few for the 4 groups of europe_sample"),
    ],
)
def test_impossible_places_are_refused(address: str, count: int, message: str) -> None:
    with pytest.raises(ServingError, match=message):
        make_fleet(SITE, FleetRequest(count=count, address=address), RealClock())


def test_air_cooled_sites_get_air_cooled_rigs_at_the_levels_of_the_site() -> None:
    request = FleetRequest(count=4)
    air = make_fleet(load_site("texas_air"), request, RealClock())
    levels = make_fleet(SITE.model_copy(update={"use_work_levels": True}), request, RealClock())

    assert {rig.model for rig in air.rigs.values()} == {AIR_1566}
    assert all(rig.takes_levels for rig in levels.rigs.values())


@pytest.mark.parametrize("name", [*MODELS, "s21-luxos"])
def test_every_model_can_be_had_by_its_name(name: str) -> None:
    fleet = make_fleet(SITE, FleetRequest(count=4, model=name), RealClock())

    assert len({rig.model for rig in fleet.rigs.values()}) == 1


def test_an_unknown_model_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(ServingError, match="no simulated rig is a 'A9000'; choose one of A1566HA"):
        make_fleet(SITE, FleetRequest(count=4, model="A9000"), RealClock())


def test_faults_are_shown_and_what_truly_happens_is_logged(
    tmp_path: Path, base_address: str
) -> None:
    faults, log = tmp_path / "campaign.toml", tmp_path / "world.jsonl"
    faults.write_text('[[fault]]\nkind = "refuse"\ncount = 2\n')
    console = Console(file=io.StringIO(), width=100)

    async def main() -> None:
        stop = StopSignal()
        request = FleetRequest(count=4, address=base_address, faults=faults, log=log)
        rigs = asyncio.create_task(run_fleet_alone(SITE, request, console, stop=stop))
        while "have a fault" not in console.file.getvalue():  # type: ignore[attr-defined]
            await asyncio.sleep(0.01)
        stop.request()
        await rigs

    asyncio.run(main())

    assert "2 have a fault" in console.file.getvalue()  # type: ignore[attr-defined]
    kinds = [line["kind"] for line in read_world_log(log)]
    assert (kinds[0], kinds.count("rig"), kinds.count("fault")) == ("world", 4, 2)


def test_a_wrong_campaign_is_an_error_before_anything_is_written(
    tmp_path: Path, base_address: str
) -> None:
    faults, log = tmp_path / "campaign.toml", tmp_path / "world.jsonl"
    faults.write_text('[[fault]]\nkind = "refuse"\ncount = 5\n')
    request = FleetRequest(count=4, address=base_address, faults=faults, log=log)

    with pytest.raises(ConfigError, match=r"campaign\.toml: fault 1 .refuse.: 5 rigs are to be"):
        asyncio.run(run_fleet_alone(SITE, request, Console(quiet=True)))
    assert not log.exists()


def test_a_campaign_begins_anew_when_its_file_changes_unless_that_is_wrong(
    tmp_path: Path, base_address: str
) -> None:
    faults = tmp_path / "campaign.toml"
    console = Console(file=io.StringIO(), width=200)
    seen: list[list[str]] = []

    async def main() -> None:
        clock = SimulatedClock(datetime(2024, 4, 1, tzinfo=UTC))
        fleet = make_fleet(SITE, FleetRequest(count=4, address=base_address), clock)

        async def write(text: str, changed_at: int) -> None:
            faults.write_text(text)
            os.utime(faults, (changed_at, changed_at))
            await campaign.look()
            await clock.advance(1.0)
            seen.append([rig.faults.unreachable for rig in fleet.rigs.values()])

        one, two = list(fleet.rigs)[:2]
        faults.write_text(f'[[fault]]\nkind = "hang"\nrigs = ["{one}"]\n')
        async with fleet:
            places = [rig.address for rig in fleet.rigs.values()]
            campaign = LiveCampaign(faults, fleet, clock, console)
            async with campaign:
                await write(f'[[fault]]\nkind = "refuse"\nrigs = ["{two}"]\n', 1)
                await write('[[fault]]\nkind = "explode"\n', 2)
                await write(f'[[fault]]\nkind = "swap_addresses"\nrigs = ["{one}", "{two}"]', 3)
                assert fleet.rigs[one].address == places[1]
                await write(f'[[fault]]\nkind = "lie"\nrigs = ["{one}"]\n', 4)
            assert [rig.address for rig in fleet.rigs.values()] == places

    asyncio.run(main())

    assert seen == [["no", "refused", "no", "no"]] * 2 + [["no"] * 4] * 2
    assert "explode" in console.file.getvalue()  # type: ignore[attr-defined]
    assert "the faults go on as they were" in console.file.getvalue()  # type: ignore[attr-defined]


def test_a_meter_answers_beside_the_rigs(base_address: str) -> None:
    console = Console(file=io.StringIO(), width=200)

    async def main() -> bool:
        stop = StopSignal()
        request = FleetRequest(count=4, address=base_address, meter=True)
        rigs = asyncio.create_task(run_fleet_alone(SITE, request, console, stop=stop))
        while "rigs hash" not in console.file.getvalue():  # type: ignore[attr-defined]
            await asyncio.sleep(0.01)
        _, writer = await asyncio.open_connection(base_address, METER_PORT)
        writer.close()
        stop.request()
        return await rigs

    assert asyncio.run(main()) is False
    assert f"meter     {base_address}:{METER_PORT}" in console.file.getvalue()  # type: ignore[attr-defined]

"""Simulated rigs on real time: where they listen, what they list, how they end."""

import asyncio
import io
import socket
from pathlib import Path

import pytest
from rich.console import Console

from gridhash.config import load_site
from gridhash.errors import PortInUse, ServingError
from gridhash.serving.clock import RealClock
from gridhash.serving.rig_list import drivers_of, read_rig_list, site_of_rigs
from gridhash.serving.simulated_model import AIR_1566
from gridhash.serving.stand_alone import make_fleet, run_fleet_alone
from gridhash.serving.stop_signal import StopSignal

SITE = load_site("europe_sample")


def test_the_written_list_leads_the_real_driver_to_every_rig(
    tmp_path: Path, base_address: str
) -> None:
    path = tmp_path / "rigs.csv"
    console = Console(file=io.StringIO(), width=100)

    async def main() -> list[float | None]:
        stop = StopSignal()
        rigs = asyncio.create_task(
            run_fleet_alone(SITE, 5, base_address, 4028, console, path, stop=stop)
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


def test_a_taken_port_is_an_error_and_leaves_no_list(tmp_path: Path, base_address: str) -> None:
    path = tmp_path / "rigs.csv"
    with socket.socket() as other:
        other.bind((base_address, 0))
        other.listen()
        port = other.getsockname()[1]

        with pytest.raises(PortInUse, match=f"{base_address}:{port} is taken"):
            asyncio.run(run_fleet_alone(SITE, 4, base_address, port, Console(quiet=True), path))

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
        make_fleet(SITE, count, address, 4028, RealClock())


def test_air_cooled_sites_get_air_cooled_rigs_at_the_levels_of_the_site(base_address: str) -> None:
    air = make_fleet(load_site("texas_air"), 4, base_address, 4028, RealClock())
    levels = make_fleet(
        SITE.model_copy(update={"use_work_levels": True}), 4, base_address, 4028, RealClock()
    )

    assert {rig.model for rig in air.rigs.values()} == {AIR_1566}
    assert all(rig.takes_levels for rig in levels.rigs.values())

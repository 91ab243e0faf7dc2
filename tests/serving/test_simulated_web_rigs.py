"""The tests' own rigs answer unmodified pyasic, so that drivers are not tested on our own beliefs.

Where pyasic fails on them the claim says so: these are the reasons why drivers speak raw.
"""

import asyncio
import warnings
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from gridhash.config import load_site
from gridhash.serving.clock import SimulatedClock
from gridhash.serving.drivers.pyasic_library import load_pyasic
from gridhash.serving.drivers.root_logger import ROOT_LOGGER_GUARD
from gridhash.serving.simulated_listener import TcpWire
from gridhash.serving.simulated_model import RigFaults, RigModel
from gridhash.serving.simulated_rig import SimulatedRig
from tests.serving.simulated_web_rigs import (
    WEB_PORT,
    WEB_S21,
    WHATSMINER_M50,
    AntminerWire,
    EpicWire,
    VnishWire,
    WebFleet,
    WhatsminerV2Wire,
)

START = datetime(2024, 4, 1, tzinfo=UTC)
GROUP = load_site("japan_pilot").groups[0]
Scenario = Callable[[SimulatedRig, WebFleet], Awaitable[None]]


def on_rig(
    address: str,
    wire: type[TcpWire],
    scenario: Scenario,
    *,
    model: RigModel = WEB_S21,
    faults: RigFaults | None = None,
) -> None:
    async def run() -> None:
        rig = SimulatedRig(
            "rig", GROUP, SimulatedClock(START), address=address, model=model, faults=faults
        )
        async with WebFleet([rig], wire) as fleet:
            await scenario(rig, fleet)

    with ROOT_LOGGER_GUARD.held(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pyasic warns of what it does not know
        load_pyasic()
        asyncio.run(run())


def spoken_by(miner: Any, rig: SimulatedRig) -> Any:
    """Return pyasic's miner with the rig's own port and password."""
    miner.web.port, miner.web.pwd = WEB_PORT, rig.model.password
    return miner


def test_pyasic_stops_a_vnish_rig_reads_it_and_sets_its_preset(base_address: str) -> None:
    async def scenario(rig: SimulatedRig, fleet: WebFleet) -> None:
        from pyasic.miners.backends.vnish import VNish

        miner = spoken_by(VNish(base_address), rig)

        assert (await miner._get_mac()).replace(":", "") == rig.mac
        assert await miner._get_wattage() == round(rig.true_power_w())
        assert await miner._is_mining()
        await miner.web.set_power_limit(4032)
        assert rig.level_power_w() == pytest.approx(4032.0)
        assert await miner.stop_mining() is True
        assert rig.soft_off
        assert await miner.resume_mining() is True
        assert not rig.soft_off

    on_rig(base_address, VnishWire, scenario)


def test_pyasic_stops_an_epic_rig_and_takes_success_for_failure(base_address: str) -> None:
    async def scenario(rig: SimulatedRig, fleet: WebFleet) -> None:
        from pyasic.miners.backends.epic import ePIC

        class Epic(ePIC):  # type: ignore[misc]  # pyasic is untyped
            expected_hashboards = 3

        miner = spoken_by(Epic(base_address), rig)

        assert (await miner._get_mac()).replace(":", "") == rig.mac
        assert await miner._get_wattage() == round(rig.true_power_w())
        assert await miner._is_mining()
        assert await miner.stop_mining() is False
        assert rig.soft_off

    on_rig(base_address, EpicWire, scenario)


def test_pyasic_stops_a_stock_antminer_and_says_so_where_nothing_listens(base_address: str) -> None:
    async def scenario(rig: SimulatedRig, fleet: WebFleet) -> None:
        from pyasic.miners.backends.antminer import AntminerModern

        miner = spoken_by(AntminerModern(base_address), rig)

        assert (await miner._get_mac()).replace(":", "") == rig.mac
        assert await miner.stop_mining() is True
        assert rig.soft_off
        assert await miner._is_mining() is False

        await fleet.set_faults("rig", RigFaults(unreachable="refused"))
        assert await miner.resume_mining() is True

    on_rig(base_address, AntminerWire, scenario)


@pytest.mark.filterwarnings("ignore:passing settings to md5_crypt:DeprecationWarning")
def test_pyasic_stops_a_whatsminer_by_api_2_and_limits_its_power(base_address: str) -> None:
    async def scenario(rig: SimulatedRig, fleet: WebFleet) -> None:
        from pyasic.miners.backends.btminer import BTMinerV2

        miner = BTMinerV2(base_address)
        miner.rpc.pwd = rig.model.password

        assert (await miner._get_mac()).replace(":", "").lower() == rig.mac
        assert await miner._get_wattage() == round(rig.true_power_w())
        miner.rpc.api_ver = "2.0.5"
        assert await miner.set_power_limit(5000) is True
        assert rig.level_power_w() == pytest.approx(5000.0)
        assert await miner.stop_mining() is True
        assert rig.soft_off

    on_rig(base_address, WhatsminerV2Wire, scenario, model=WHATSMINER_M50)


def test_a_stock_antminer_keeps_its_pools_fans_and_mode_over_a_stop(base_address: str) -> None:
    from pydantic import SecretStr

    from gridhash.serving.drivers.antminer import Antminer
    from gridhash.serving.drivers.credentials import Credentials
    from gridhash.serving.drivers.firmware import Order, Who
    from gridhash.serving.drivers.protocol import Command
    from gridhash.serving.drivers.wire import Place

    async def scenario(rig: SimulatedRig, fleet: WebFleet) -> None:
        wire = fleet.wires["rig"]
        assert isinstance(wire, AntminerWire)
        wire.mode = "3"
        own = Credentials("root", SecretStr(rig.model.password))
        language = Antminer(Place("rig", base_address, WEB_PORT), own)

        await language.send(Order(command=Command.STOP), Who())
        await language.send(Order(command=Command.STOP), Who())
        assert wire.mode == "1"
        await language.send(Order(command=Command.RESUME), Who())

        assert wire.mode == "3"
        kept = ("pools", "bitmain-fan-ctrl", "bitmain-fan-pwm")
        for saved in wire.saved:
            assert {key: saved[key] for key in kept} == {key: wire.conf()[key] for key in kept}

    on_rig(base_address, AntminerWire, scenario, model=replace(WEB_S21, password="own"))

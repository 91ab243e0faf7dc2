"""What is peculiar to one firmware on the wire: sessions, tokens, targets, what is left alone."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import SecretStr

from gridhash.config import load_site
from gridhash.serving.clock import SimulatedClock
from gridhash.serving.drivers.capabilities import (
    CAPABILITIES,
    NO_COMMANDS,
    FirmwareName,
    capability_of,
)
from gridhash.serving.drivers.credentials import Credentials
from gridhash.serving.drivers.driver import FirmwareDriver
from gridhash.serving.drivers.protocol import Outcome, Why
from gridhash.serving.drivers.registry import KINDS, driver_for
from gridhash.serving.simulated_fleet import SimulatedFleet
from gridhash.serving.simulated_listener import TcpWire
from gridhash.serving.simulated_model import (
    BRAIINS_S21,
    LUXOS_S21,
    WHATSMINER_M63S,
    RigFaults,
    RigModel,
)
from gridhash.serving.simulated_rig import SimulatedRig
from tests.serving.simulated_web_rigs import (
    WEB_PORT,
    WEB_S21,
    WHATSMINER_M50,
    VnishWire,
    WebFleet,
    WhatsminerV2Wire,
)

START = datetime(2024, 4, 1, tzinfo=UTC)
GROUP = load_site("japan_pilot").groups[0]
Scenario = Callable[[FirmwareDriver, SimulatedRig, SimulatedFleet], Awaitable[None]]


def on_rig(
    address: str,
    firmware: FirmwareName,
    model: RigModel,
    scenario: Scenario,
    *,
    wire: type[TcpWire] | None = None,
    faults: RigFaults | None = None,
    **options: Any,
) -> None:
    async def run() -> None:
        clock = SimulatedClock(START)
        rig = SimulatedRig("rig", GROUP, clock, address=address, model=model, faults=faults)
        fleet = WebFleet([rig], wire) if wire else SimulatedFleet([rig])
        async with fleet:
            driver = driver_for(
                "rig",
                address,
                clock,
                firmware=firmware,
                **{"credentials": Credentials("", SecretStr("own-word")), **options},
            )
            await driver.identify()
            await scenario(driver, rig, fleet)

    asyncio.run(run())


def told(rig: SimulatedRig) -> list[str]:
    """Return what the rig was told and asked, without parameters."""
    return [command.text.split("|")[0] for command in rig.commands]


def test_luxos_closes_the_session_that_it_opened_and_never_touches_thermal_management(
    base_address: str,
) -> None:
    async def scenario(driver: FirmwareDriver, rig: SimulatedRig, fleet: SimulatedFleet) -> None:
        rig.commands.clear()
        await driver.set_power_kw(5.0)
        await driver.stop()

        assert [name for name in told(rig) if name != "config"] == [
            *("session", "logon", "profileset", "logoff"),
            *("session", "logon", "curtail", "logoff"),
        ]
        assert rig.thermal_management

    on_rig(base_address, FirmwareName.LUXOS, LUXOS_S21, scenario)


def test_luxos_takes_the_session_of_another_client_and_leaves_it_open(base_address: str) -> None:
    async def scenario(driver: FirmwareDriver, rig: SimulatedRig, fleet: SimulatedFleet) -> None:
        reader, writer = await asyncio.open_connection(base_address, 4028)
        writer.write(b'{"command":"logon"}')
        await reader.read()
        writer.close()
        rig.commands.clear()

        assert (await driver.stop()).outcome is Outcome.PENDING
        assert told(rig) == ["config", "session", "curtail"]

    on_rig(base_address, FirmwareName.LUXOS, LUXOS_S21, scenario)


def test_luxos_logs_on_again_if_another_client_closes_the_session_in_between(
    base_address: str,
) -> None:
    async def scenario(driver: FirmwareDriver, rig: SimulatedRig, fleet: SimulatedFleet) -> None:
        wire: Any = fleet._wires["rig"][0]
        tell = wire.change
        closed: list[Any] = []

        def close_once(command: str, parameter: str) -> Any:
            if command == "curtail" and not closed:
                closed.append(wire._end_session())
            return tell(command, parameter)

        wire.change = close_once
        assert (await driver.stop()).outcome is Outcome.PENDING
        assert told(rig)[-5:] == ["curtail", "session", "logon", "curtail", "logoff"]

    on_rig(base_address, FirmwareName.LUXOS, LUXOS_S21, scenario)


def test_luxos_closes_its_session_also_after_a_refusal(base_address: str) -> None:
    async def scenario(driver: FirmwareDriver, rig: SimulatedRig, fleet: SimulatedFleet) -> None:
        assert (await driver.stop()).outcome is Outcome.REFUSED
        assert told(rig)[-2:] == ["curtail", "logoff"]

    on_rig(base_address, FirmwareName.LUXOS, LUXOS_S21, scenario, faults=RigFaults(refuses=True))


def test_whatsminer_signs_by_the_rigs_own_clock(base_address: str) -> None:
    async def scenario(driver: FirmwareDriver, rig: SimulatedRig, fleet: SimulatedFleet) -> None:
        seen: list[dict[str, Any]] = []
        wire: Any = fleet._wires["rig"][0]
        made_of = wire._made_of

        def spy(command: str, param: Any, request: dict[str, Any]) -> Any:
            seen.append(request)
            return made_of(command, param, request)

        wire._made_of = spy
        assert (await driver.stop()).outcome is Outcome.PENDING
        assert seen[-1]["ts"] == int(rig.rig_clock_at().timestamp())
        assert seen[-1]["account"] == "user2"
        assert "own-word" not in str(seen)

    on_rig(
        base_address,
        FirmwareName.WHATSMINER_V3,
        replace(WHATSMINER_M63S, password="own-word"),
        scenario,
        faults=RigFaults(clock_skew_s=-7200.0),
        credentials=Credentials("user2", SecretStr("own-word")),
    )


def test_whatsminer_says_no_to_a_limit_and_so_does_the_driver(base_address: str) -> None:
    """pyasic 0.79.0 returns True here."""

    async def scenario(driver: FirmwareDriver, rig: SimulatedRig, fleet: SimulatedFleet) -> None:
        result = await driver.set_power_kw(0.5)

        assert (result.outcome, result.why) == (Outcome.REFUSED, Why.RIG_SAID_NO)
        assert "code -2" in result.detail
        assert rig.level_power_w() == GROUP.rig_power_w

    model = replace(WHATSMINER_M63S, password="own-word")
    on_rig(base_address, FirmwareName.WHATSMINER_V3, model, scenario)


def test_whatsminer_2_keeps_its_token_for_25_minutes(base_address: str) -> None:
    async def scenario(driver: FirmwareDriver, rig: SimulatedRig, fleet: SimulatedFleet) -> None:
        await driver.stop()
        await driver.resume()
        assert told(rig).count("get_token") == 1

        await rig.clock.advance(1500.0)  # type: ignore[attr-defined]  # it is a simulated one
        assert (await driver.stop()).outcome is Outcome.PENDING
        assert told(rig).count("get_token") == 2

    model = replace(WHATSMINER_M50, password="own-word")
    on_rig(base_address, FirmwareName.WHATSMINER_V2, model, scenario, wire=WhatsminerV2Wire)


def test_braiins_logs_in_again_when_its_token_has_ended_and_forces_no_restart(
    base_address: str,
) -> None:
    async def scenario(driver: FirmwareDriver, rig: SimulatedRig, fleet: SimulatedFleet) -> None:
        wire: Any = fleet._wires["rig"][0]
        wire.token = "another"
        assert (await driver.read()).working
        wire.token = "a third"
        result = await driver.set_power_kw(6.0)

        assert (result.outcome, result.power_kw) == (Outcome.APPLIED, 6.0)
        assert told(rig).count("login") == 3
        orders = [command.text for command in rig.commands if "set_power_target" in command.text]
        assert len(orders) == 1
        assert '"saveAction": "SAVE_AND_APPLY"' in orders[0]

    model = replace(BRAIINS_S21, password="own-word")
    on_rig(base_address, FirmwareName.BRAIINS, model, scenario)


def test_braiins_says_no_to_a_target_out_of_its_range_before_anything_is_sent(
    base_address: str,
) -> None:
    async def scenario(driver: FirmwareDriver, rig: SimulatedRig, fleet: SimulatedFleet) -> None:
        result = await driver.set_power_kw(1.0)

        assert (result.outcome, result.why) == (Outcome.REFUSED, Why.OUT_OF_RANGE)
        assert "3226 W" in result.detail
        assert "set_power_target" not in " ".join(told(rig))

    model = replace(BRAIINS_S21, password="own-word")
    on_rig(base_address, FirmwareName.BRAIINS, model, scenario)


def test_vnish_offers_tuned_presets_alone_and_tells_when_a_rig_keeps_its_own(
    base_address: str,
) -> None:
    async def scenario(driver: FirmwareDriver, rig: SimulatedRig, fleet: SimulatedFleet) -> None:
        assert driver.identity is not None
        powers_w = [preset.power_w or 0.0 for preset in driver.identity.presets]
        assert min(powers_w) >= 0.5 * GROUP.rig_power_w - 1.0

        await fleet.set_faults("rig", RigFaults(lies=True))
        kept = await driver.set_power_kw(5.0)
        assert (kept.outcome, kept.why) == (Outcome.REFUSED, Why.RIG_SAID_NO)
        assert "keeps preset 8064" in kept.detail

    model = replace(WEB_S21, password="own-word")
    on_rig(base_address, FirmwareName.VNISH, model, scenario, wire=VnishWire, port=WEB_PORT)


def test_every_firmware_has_a_driver_and_a_row_and_every_row_says_how_it_is_known() -> None:
    assert set(KINDS) == set(FirmwareName) == {row.firmware for row in CAPABILITIES}
    for row in CAPABILITIES:
        figures = {figure.figure for figure in row.figures}
        assert row.figures[0].figure == "commands"
        assert {"standby_w", "sleep_survives_reboot"} <= figures, row
        if row.takes_power:
            assert "change_restarts" in figures, row
        if not row.reports_power:
            assert "reports_power" in figures, row


@pytest.mark.parametrize("firmware", [name for name in FirmwareName if name != "avalon"])
def test_a_model_has_the_row_of_its_own_firmware(firmware: FirmwareName) -> None:
    assert capability_of("Antminer S21 Hyd.", firmware).firmware is firmware
    assert capability_of("anything", firmware).on_off
    assert capability_of("Antminer S21") is NO_COMMANDS

"""What any `RigDriver` must do, run against simulated rigs over real sockets.

A new firmware adds a line to `UNDER_TEST`: the simulated model that speaks it, and what it can.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from gridhash.config import load_site
from gridhash.errors import RigUnreachable, ServingError
from gridhash.serving.clock import SimulatedClock
from gridhash.serving.drivers.breaker import BreakerSettings, BreakerState, CircuitBreaker
from gridhash.serving.drivers.capabilities import FirmwareName
from gridhash.serving.drivers.concurrency import command_rigs, read_rigs
from gridhash.serving.drivers.credentials import DEFAULTS, Credentials
from gridhash.serving.drivers.driver import FirmwareDriver
from gridhash.serving.drivers.load import set_load
from gridhash.serving.drivers.protocol import Command, CommandResult, Outcome, RigDriver, Why
from gridhash.serving.drivers.registry import KINDS, driver_for
from gridhash.serving.drivers.wire import OtherRig
from gridhash.serving.simulated_fleet import SimulatedFleet
from gridhash.serving.simulated_listener import TcpWire
from gridhash.serving.simulated_model import (
    AIR_1566,
    BRAIINS_S21,
    HYDRO_1566HA,
    LUXOS_S21,
    WHATSMINER_M63S,
    Fate,
    RigFaults,
    RigMismatch,
    RigModel,
)
from gridhash.serving.simulated_rig import SimulatedRig
from gridhash.serving.verification import Wanted, power_confirms
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
DEADLINE_S = 3.0
"""Where nothing is waited for …"""
SHORT_S = 0.25
"""… and where the deadline is."""
SLACK_S = 0.6
"""For a busy machine; far below pyasic's own 100 s."""
PASSWORD = "canary-Zx81"
HALF_KW = GROUP.rig_power_w / 2000.0


@dataclass(frozen=True, kw_only=True)
class UnderTest:
    firmware: FirmwareName
    model: RigModel
    wire: type[TcpWire] | None = None
    """Of the tests' own simulated rigs; None for those of `gridhash simulate-rigs`."""
    asks_password: bool = True
    tells_power: bool = True
    stop_outcome: Outcome = Outcome.PENDING
    power_outcome: Outcome | None = Outcome.PENDING
    """Of `set_power_kw`; None if the firmware takes no watts."""

    def fleet(self, rigs: Sequence[SimulatedRig]) -> SimulatedFleet:
        return WebFleet(list(rigs), self.wire) if self.wire else SimulatedFleet(rigs)

    def driver(
        self, rig_id: str, address: str, clock: SimulatedClock, **options: Any
    ) -> FirmwareDriver:
        password = Credentials("", SecretStr(PASSWORD)) if self.asks_password else None
        return driver_for(
            rig_id,
            address,
            clock,
            **{
                "firmware": self.firmware,
                "port": None if self.wire is None else self.wire.port,
                "credentials": password,
                "deadline_s": DEADLINE_S,
                **options,
            },
        )


def keyed(model: RigModel) -> RigModel:
    return replace(model, password=PASSWORD)


AVALON = UnderTest(
    firmware=FirmwareName.AVALON, model=HYDRO_1566HA, asks_password=False, power_outcome=None
)
UNDER_TEST = {
    "avalon-hydro": AVALON,
    "avalon-air": replace(AVALON, model=AIR_1566),
    "avalon-ok-firmware": replace(AVALON, model=replace(HYDRO_1566HA, acknowledges="ok")),
    "whatsminer-v3": UnderTest(firmware=FirmwareName.WHATSMINER_V3, model=keyed(WHATSMINER_M63S)),
    "whatsminer-v2": UnderTest(
        firmware=FirmwareName.WHATSMINER_V2, model=keyed(WHATSMINER_M50), wire=WhatsminerV2Wire
    ),
    "braiins": UnderTest(
        firmware=FirmwareName.BRAIINS, model=keyed(BRAIINS_S21), power_outcome=Outcome.APPLIED
    ),
    "luxos": UnderTest(
        firmware=FirmwareName.LUXOS,
        model=LUXOS_S21,
        asks_password=False,
        power_outcome=Outcome.APPLIED,
    ),
    "vnish": UnderTest(
        firmware=FirmwareName.VNISH,
        model=keyed(WEB_S21),
        wire=VnishWire,
        power_outcome=Outcome.APPLIED,
    ),
    "epic": UnderTest(
        firmware=FirmwareName.EPIC, model=keyed(WEB_S21), wire=EpicWire, power_outcome=None
    ),
    "antminer": UnderTest(
        firmware=FirmwareName.ANTMINER,
        model=keyed(WEB_S21),
        wire=AntminerWire,
        tells_power=False,
        stop_outcome=Outcome.APPLIED,
        power_outcome=None,
    ),
}
every_firmware = pytest.mark.parametrize("under_test", UNDER_TEST.values(), ids=UNDER_TEST.keys())
one_of_each = pytest.mark.parametrize(
    "under_test",
    [own for name, own in UNDER_TEST.items() if name not in {"avalon-air", "avalon-ok-firmware"}],
    ids=[name for name in UNDER_TEST if name not in {"avalon-air", "avalon-ok-firmware"}],
)


@dataclass(frozen=True, kw_only=True)
class Bench:
    clock: SimulatedClock
    rig: SimulatedRig
    driver: FirmwareDriver
    fleet: SimulatedFleet
    tells_power: bool

    async def confirms(self, wanted: Wanted) -> bool | None:
        """Judge by what the rig reads; where it tells no power, by a meter at its plug."""
        try:
            reading = await self.driver.read()
        except RigUnreachable:
            return None
        if not self.tells_power:
            reading = replace(reading, power_w=self.rig.true_power_w())
        return power_confirms(reading, wanted, GROUP.rig_power_w, GROUP.standby_w)

    async def seconds_until(self, wanted: Wanted, within_s: float) -> float | None:
        """Poll every few simulated seconds; None if the power never confirms."""
        begun_s = self.clock.monotonic()
        while self.clock.monotonic() - begun_s <= within_s:
            if await self.confirms(wanted):
                return self.clock.monotonic() - begun_s
            await self.clock.advance(3.0)
        return None

    def changes(self) -> list[Fate | None]:
        return [command.fate for command in self.rig.commands if command.change is not None]


Scenario = Callable[[Bench], Awaitable[None]]


def on_bench(
    under_test: UnderTest,
    address: str,
    scenario: Scenario,
    *,
    mismatch: RigMismatch | None = None,
    faults: RigFaults | None = None,
    settings: BreakerSettings | None = None,
    **driver_options: Any,
) -> None:
    async def run() -> None:
        clock = SimulatedClock(START)
        rig = SimulatedRig(
            "rig",
            GROUP,
            clock,
            address=address,
            model=under_test.model,
            faults=faults,
            mismatch=mismatch,
        )
        async with under_test.fleet([rig]) as fleet:
            breaker = CircuitBreaker(clock, settings)
            driver = under_test.driver("rig", address, clock, breaker=breaker, **driver_options)
            bench = Bench(
                clock=clock,
                rig=rig,
                driver=driver,
                fleet=fleet,
                tells_power=under_test.tells_power,
            )
            await scenario(bench)

    asyncio.run(run())


@every_firmware
def test_identifies_model_mac_and_capability(under_test: UnderTest, base_address: str) -> None:
    async def scenario(bench: Bench) -> None:
        identity = await bench.driver.identify()

        assert identity == bench.driver.identity
        assert identity.model == under_test.model.product
        assert identity.mac is not None
        assert identity.mac.replace(":", "").lower() == bench.rig.mac
        assert identity.firmware is not None
        assert under_test.model.firmware in identity.firmware
        assert identity.capability.firmware is under_test.firmware
        assert identity.capability.on_off
        assert identity.capability.takes_power == (under_test.power_outcome is not None)
        assert identity.capability.reports_power == under_test.tells_power
        assert not identity.default_credentials

    on_bench(under_test, base_address, scenario)


@every_firmware
def test_reads_power_hash_rate_and_temperature_in_our_units_within_two_percent(
    under_test: UnderTest, base_address: str
) -> None:
    async def scenario(bench: Bench) -> None:
        await bench.clock.advance(100.0)

        reading = await bench.driver.read()

        true_w = bench.rig.true_power_w() if under_test.tells_power else None
        assert reading.power_w == (true_w and pytest.approx(true_w, rel=0.02))
        assert reading.hashrate_ths == pytest.approx(bench.rig.true_hashrate_ths(), rel=0.02)
        assert reading.chip_temp_c == pytest.approx(bench.rig.chip_temp_c(), rel=0.02)
        assert reading.working
        assert not reading.soft_off
        assert reading.read_at == START + timedelta(seconds=100)
        assert reading.not_numbers == ()
        if reading.uptime_s is not None:
            assert reading.uptime_s == pytest.approx(bench.rig.uptime_s, abs=1.0)
        if reading.rig_clock_at is not None:
            assert reading.rig_clock_at == START + timedelta(seconds=100)

    mismatch = RigMismatch(power_factor=0.93, efficiency_factor=1.07)
    on_bench(under_test, base_address, scenario, mismatch=mismatch)


@every_firmware
def test_a_stop_is_acknowledged_then_seen_in_the_power_and_a_resume_likewise(
    under_test: UnderTest, base_address: str
) -> None:
    async def scenario(bench: Bench) -> None:
        stopped = await bench.driver.stop()
        assert (stopped.outcome, stopped.why) == (under_test.stop_outcome, Why.NOTHING)
        assert stopped.effective_at is not None
        assert await bench.confirms(Wanted.STOPPED) is False
        assert await bench.seconds_until(Wanted.STOPPED, within_s=60.0) is not None
        assert stopped.effective_at <= bench.clock.now()

        again = await bench.driver.stop()
        assert again.outcome is under_test.stop_outcome
        await bench.clock.advance(10.0)
        idle = await bench.driver.read()
        assert idle.hashrate_ths == 0.0
        assert not idle.working
        assert idle.soft_off in {True, None}

        resumed = await bench.driver.resume()
        assert resumed.outcome is under_test.stop_outcome
        assert await bench.seconds_until(Wanted.RUNNING, within_s=120.0) is not None

    on_bench(under_test, base_address, scenario, mismatch=RigMismatch(power_lag_s=8.0))


@one_of_each
def test_no_more_than_one_connection_is_ever_open_to_a_rig(
    under_test: UnderTest, base_address: str
) -> None:
    async def scenario(bench: Bench) -> None:
        driver = bench.driver
        await asyncio.gather(driver.identify(), driver.read(), driver.stop(), driver.read())

        assert bench.fleet.most_open == {"rig": 1}

    on_bench(under_test, base_address, scenario)


@one_of_each
@pytest.mark.parametrize("skew_s", [-3600.0, -START.timestamp() + 986.0])
def test_a_rig_whose_clock_is_wrong_stops_within_a_minute(
    under_test: UnderTest, base_address: str, skew_s: float
) -> None:
    async def scenario(bench: Bench) -> None:
        await bench.driver.stop()

        assert await bench.confirms(Wanted.STOPPED) is False
        assert await bench.seconds_until(Wanted.STOPPED, within_s=57.0) is not None

    faults = RigFaults(clock_skew_s=skew_s)
    mismatch = RigMismatch(power_lag_s=8.0)
    on_bench(under_test, base_address, scenario, faults=faults, mismatch=mismatch)


@every_firmware
def test_a_refusal_is_told_and_nothing_is_thought_to_have_happened(
    under_test: UnderTest, base_address: str
) -> None:
    async def scenario(bench: Bench) -> None:
        result = await bench.driver.stop()

        assert (result.outcome, result.why) == (Outcome.REFUSED, Why.RIG_SAID_NO)
        assert "rig (" in result.detail
        assert not result.outcome.may_have_reached_rig
        assert bench.changes() == [Fate.REFUSED]

    on_bench(under_test, base_address, scenario, faults=RigFaults(refuses=True))


@one_of_each
@pytest.mark.parametrize("how", ["refused", "hang", "black_hole"])
def test_a_rig_that_does_not_answer_is_unreachable_within_the_deadline(
    under_test: UnderTest, base_address: str, how: Any
) -> None:
    async def scenario(bench: Bench) -> None:
        began_at = time.perf_counter()
        result = await bench.driver.stop()
        assert time.perf_counter() - began_at < SHORT_S + SLACK_S
        assert (result.outcome, result.why) == (Outcome.UNREACHABLE, Why.NO_ANSWER)
        began_at = time.perf_counter()
        with pytest.raises(RigUnreachable, match=base_address):
            await bench.driver.read()
        assert time.perf_counter() - began_at < SHORT_S + SLACK_S
        assert bench.clock.n_outstanding == 0

    faults = RigFaults(unreachable=how)
    on_bench(under_test, base_address, scenario, faults=faults, deadline_s=SHORT_S)


@every_firmware
@pytest.mark.parametrize("fault", [{"ignores": True}, {"reboot_on_change": 1.0}])
def test_a_rig_that_falls_silent_between_question_and_command_is_unknown_not_done(
    under_test: UnderTest, base_address: str, fault: dict[str, Any]
) -> None:
    async def scenario(bench: Bench) -> None:
        result = await bench.driver.stop()

        assert (result.outcome, result.why) == (Outcome.UNKNOWN, Why.NOTHING)
        assert result.outcome.may_have_reached_rig
        assert bench.changes() in ([Fate.SILENT], [Fate.REBOOTED])

    on_bench(under_test, base_address, scenario, faults=RigFaults(**fault))


@one_of_each
def test_whatever_is_lost_on_the_way_no_outcome_denies_that_the_rig_heard(
    under_test: UnderTest, base_address: str
) -> None:
    async def scenario(bench: Bench) -> None:
        outcomes = set()
        for turn in range(24):
            n_before = len(bench.changes())
            result = await (bench.driver.resume if turn % 2 else bench.driver.stop)()
            heard = len(bench.changes()) > n_before
            outcomes.add(result.outcome)
            if not result.outcome.may_have_reached_rig:
                assert not heard, result
            if result.outcome in {Outcome.PENDING, Outcome.APPLIED}:
                assert heard, result

        assert Outcome.UNKNOWN in outcomes
        assert outcomes & {Outcome.PENDING, Outcome.APPLIED}

    faults = RigFaults(drop_reply=0.12, half_reply=0.12)
    breaker = BreakerSettings(open_after=1000)
    on_bench(under_test, base_address, scenario, faults=faults, settings=breaker)


@every_firmware
def test_a_liar_is_acknowledged_and_never_confirmed(
    under_test: UnderTest, base_address: str
) -> None:
    async def scenario(bench: Bench) -> None:
        result = await bench.driver.stop()

        assert result.outcome is Outcome.PENDING
        assert await bench.seconds_until(Wanted.STOPPED, within_s=60.0) is None

    on_bench(under_test, base_address, scenario, faults=RigFaults(lies=True))


@every_firmware
def test_nan_telemetry_is_not_reported_and_not_zero(
    under_test: UnderTest, base_address: str
) -> None:
    async def scenario(bench: Bench) -> None:
        reading = await bench.driver.read()

        assert reading.power_w is None
        assert reading.hashrate_ths is None
        assert any(name.endswith("=nan") for name in reading.not_numbers)
        if under_test.tells_power:
            assert await bench.confirms(Wanted.STOPPED) is None

    on_bench(under_test, base_address, scenario, faults=RigFaults(nan_telemetry=True))


@one_of_each
def test_a_rig_restarted_by_hand_is_seen_running_again(
    under_test: UnderTest, base_address: str
) -> None:
    async def scenario(bench: Bench) -> None:
        await bench.driver.stop()
        assert await bench.seconds_until(Wanted.STOPPED, within_s=60.0) is not None

        bench.rig.restart_by_hand()
        await bench.clock.advance(GROUP.boot_s)

        assert await bench.confirms(Wanted.RUNNING) is not under_test.model.sleeps_through_reboot
        uptime_s = (await bench.driver.read()).uptime_s
        assert uptime_s is None or uptime_s == GROUP.boot_s

    on_bench(under_test, base_address, scenario)


@every_firmware
def test_what_the_capability_table_does_not_list_is_never_sent(
    under_test: UnderTest, base_address: str
) -> None:
    async def scenario(bench: Bench) -> None:
        capability = (await bench.driver.identify()).capability
        results: list[CommandResult] = [await bench.driver.set_work_level(0)]
        if not capability.takes_power:
            results.append(await bench.driver.set_power_kw(HALF_KW))
        if not capability.presets:
            results.append(await bench.driver.set_preset("500MHz"))

        for result in results:
            assert (result.outcome, result.why) == (Outcome.UNSUPPORTED, Why.NOT_IN_TABLE)
        assert bench.changes() == []

    on_bench(under_test, base_address, scenario)


@one_of_each
def test_half_power_is_set_and_seen_where_the_firmware_takes_watts(
    under_test: UnderTest, base_address: str
) -> None:
    if under_test.power_outcome is None:
        return

    async def scenario(bench: Bench) -> None:
        result = await bench.driver.set_power_kw(HALF_KW)
        assert result.outcome is under_test.power_outcome
        if result.outcome is Outcome.APPLIED:
            assert result.power_kw == pytest.approx(HALF_KW, rel=0.002)
        await bench.clock.advance(300.0)
        reading = await bench.driver.read()
        assert reading.power_w == pytest.approx(HALF_KW * 1e3, rel=0.01)
        if under_test.model.preset_loads:
            assert reading.preset is not None
        elif under_test.firmware is not FirmwareName.BRAIINS:
            assert reading.power_target_w == pytest.approx(HALF_KW * 1e3, rel=0.002)

        tried = len(bench.changes())
        for power_kw in (HALF_KW / 10.0, 0.0, -1.0, float("nan"), float("inf")):
            beyond = await bench.driver.set_power_kw(power_kw)
            assert beyond.outcome is Outcome.REFUSED, power_kw
        assert Fate.OBEYED not in bench.changes()[tried:]

    on_bench(under_test, base_address, scenario)


@one_of_each
def test_a_level_of_the_site_is_set_in_the_way_that_the_firmware_takes(
    under_test: UnderTest, base_address: str
) -> None:
    async def scenario(bench: Bench) -> None:
        await bench.driver.identify()
        result = await set_load(bench.driver, 0, HALF_KW)

        if under_test.power_outcome is None:
            assert (result.outcome, result.command) == (Outcome.UNSUPPORTED, Command.SET_WORK_LEVEL)
        else:
            assert (result.outcome, result.command) == (under_test.power_outcome, Command.SET_POWER)
            assert bench.changes() == [Fate.OBEYED]

    on_bench(under_test, base_address, scenario)


@one_of_each
def test_a_power_above_the_highest_is_the_highest(under_test: UnderTest, base_address: str) -> None:
    if under_test.power_outcome is not Outcome.APPLIED:
        return

    async def scenario(bench: Bench) -> None:
        result = await bench.driver.set_power_kw(99.0)

        assert result.outcome is Outcome.APPLIED
        assert result.power_kw == pytest.approx(GROUP.rig_power_w / 1e3, rel=0.001)

    on_bench(under_test, base_address, scenario)


@one_of_each
def test_presets_of_the_rig_are_set_by_name_and_others_refused(
    under_test: UnderTest, base_address: str
) -> None:
    if not under_test.model.preset_loads or under_test.power_outcome is None:
        return

    async def scenario(bench: Bench) -> None:
        identity = await bench.driver.identify()
        if not identity.capability.presets:
            return
        lowest = min(identity.presets, key=lambda preset: preset.power_w or 0.0)
        assert (await bench.driver.set_preset(lowest.name)).outcome is Outcome.APPLIED
        assert (await bench.driver.read()).preset == lowest.name

        unknown = await bench.driver.set_preset("faster")
        assert (unknown.outcome, unknown.why) == (Outcome.REFUSED, Why.OUT_OF_RANGE)
        assert bench.changes() == [Fate.OBEYED]

    on_bench(under_test, base_address, scenario)


@every_firmware
def test_no_simulated_time_passes_inside_a_call(under_test: UnderTest, base_address: str) -> None:
    async def scenario(bench: Bench) -> None:
        await bench.driver.identify()
        task = asyncio.create_task(bench.driver.stop())
        await asyncio.sleep(0)
        await bench.clock.advance(1000.0)

        assert (await task).sent_at == START
        assert {command.received_at for command in bench.rig.commands} == {START}

    on_bench(under_test, base_address, scenario, faults=RigFaults(latency_s=0.01))


@one_of_each
def test_another_machine_at_the_address_is_neither_read_nor_commanded_unless_a_limit_demands_it(
    under_test: UnderTest, base_address: str
) -> None:
    async def run() -> None:
        clock = SimulatedClock(START)
        head = base_address.rpartition(".")[0]
        rigs = [
            SimulatedRig(name, GROUP, clock, address=f"{head}.{k}", model=under_test.model)
            for k, name in enumerate(("one", "two"), 1)
        ]
        async with under_test.fleet(rigs) as fleet:
            driver = under_test.driver("one", rigs[0].address, clock)
            await driver.identify()
            await driver.read()
            await fleet.swap_addresses("one", "two")

            with pytest.raises(OtherRig, match="now has"):
                await driver.read()
            for command in (driver.stop, driver.resume):
                result = await command()
                assert (result.outcome, result.why) == (Outcome.REFUSED, Why.OTHER_RIG)
            assert all(command.change is None for rig in rigs for command in rig.commands)

            assert (await driver.stop(forced=True)).outcome.may_have_reached_rig
            assert [rig.rig_id for rig in rigs if rig.commands and changed(rig)] == ["two"]

            assert (await driver.identify()).mac is not None
            assert (await driver.stop()).outcome.may_have_reached_rig

    asyncio.run(run())


def changed(rig: SimulatedRig) -> bool:
    return any(command.change is not None for command in rig.commands)


@one_of_each
def test_a_rig_without_the_mac_of_the_list_is_at_most_stopped_if_a_limit_demands_it(
    under_test: UnderTest, base_address: str
) -> None:
    async def scenario(bench: Bench) -> None:
        with pytest.raises(OtherRig, match="E0:E1:A9:00:00:01 belongs there"):
            await bench.driver.identify()
        result = await bench.driver.resume()
        assert (result.outcome, result.why) == (Outcome.REFUSED, Why.OTHER_RIG)
        assert bench.changes() == []

        assert (await bench.driver.stop(forced=True)).outcome is under_test.stop_outcome
        assert (await bench.driver.resume()).why is Why.OTHER_RIG
        assert bench.changes() == [Fate.OBEYED]

    on_bench(under_test, base_address, scenario, mac="E0:E1:A9:00:00:01")


@one_of_each
def test_the_breaker_opens_spares_the_rig_lets_stops_pass_and_closes_again(
    under_test: UnderTest, base_address: str
) -> None:
    async def scenario(bench: Bench) -> None:
        driver = bench.driver
        await driver.identify()
        await bench.fleet.set_faults("rig", RigFaults(unreachable="refused"))
        for _ in range(2):
            with pytest.raises(RigUnreachable, match="nothing answers"):
                await driver.read()
        assert driver.breaker.wait_s == 20.0

        await bench.fleet.set_faults("rig", RigFaults())
        n_connections = bench.fleet.n_connections
        with pytest.raises(RigUnreachable, match="left alone for another 20 s"):
            await driver.read()
        resumed = await driver.resume()
        assert (resumed.outcome, resumed.why) == (Outcome.UNREACHABLE, Why.BREAKER)
        assert bench.fleet.n_connections == n_connections

        assert (await driver.stop()).outcome is under_test.stop_outcome
        assert driver.breaker.state is BreakerState.CLOSED
        assert (await driver.read()).working is not None

    settings = BreakerSettings(open_after=2, wait_s=20.0)
    on_bench(under_test, base_address, scenario, settings=settings)


needs_password = pytest.mark.parametrize(
    "under_test",
    [own for own in UNDER_TEST.values() if own.asks_password],
    ids=[name for name, own in UNDER_TEST.items() if own.asks_password],
)


@needs_password
@pytest.mark.parametrize("given", [None, "wrong", "default"])
def test_without_the_right_password_nothing_changes_and_the_reason_is_told(
    under_test: UnderTest, base_address: str, given: str | None
) -> None:
    credentials = {
        None: None,
        "wrong": Credentials("", SecretStr("not-this-one")),
        "default": DEFAULTS[under_test.firmware],
    }[given]

    async def scenario(bench: Bench) -> None:
        result = await bench.driver.stop()

        assert (result.outcome, result.why) == (Outcome.REFUSED, Why.CREDENTIALS), result
        assert Fate.OBEYED not in bench.changes()

    on_bench(under_test, base_address, scenario, credentials=credentials)


@needs_password
def test_the_password_that_a_firmware_is_sold_with_is_used_only_if_allowed_and_then_flagged(
    under_test: UnderTest, base_address: str
) -> None:
    sold = replace(
        under_test,
        model=replace(under_test.model, password=DEFAULTS[under_test.firmware].secret()),
    )

    async def scenario(bench: Bench) -> None:
        identity = await bench.driver.identify()
        assert identity.default_credentials
        assert "is sold with" in identity.library_note
        assert (await bench.driver.stop()).outcome is under_test.stop_outcome

    on_bench(sold, base_address, scenario, credentials=None, allow_default_credentials=True)


@needs_password
def test_no_password_leaves_by_a_log_an_error_a_result_or_a_repr(
    under_test: UnderTest, base_address: str, caplog: pytest.LogCaptureFixture
) -> None:
    said: list[str] = []

    async def scenario(bench: Bench) -> None:
        driver = bench.driver
        said.append(repr(driver) + repr(driver.identity) + repr(vars(driver)))
        for faults in (
            RigFaults(),
            RigFaults(refuses=True),
            RigFaults(ignores=True),
            RigFaults(half_reply=0.5),
            RigFaults(unreachable="refused"),
        ):
            await bench.fleet.set_faults("rig", faults)
            for call in (driver.identify, driver.read, driver.stop, driver.resume):
                try:
                    said.append(repr(await call()))
                except ServingError as err:
                    said.append(repr(err) + repr(err.__cause__) + repr(err.__context__))

    with caplog.at_level(logging.DEBUG):
        on_bench(under_test, base_address, scenario, settings=BreakerSettings(open_after=1000))

    assert not any(PASSWORD in text for text in said)
    assert PASSWORD not in caplog.text


@one_of_each
def test_auto_finds_out_which_firmware_a_rig_has(
    under_test: UnderTest, base_address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, kind in KINDS.items():
        if kind.port == 80:
            monkeypatch.setitem(KINDS, name, replace(kind, port=WEB_PORT))

    async def scenario(bench: Bench) -> None:
        identity = await bench.driver.identify()
        assert identity.capability.firmware is under_test.firmware
        assert (await bench.driver.read()).working
        assert (await bench.driver.stop()).outcome is under_test.stop_outcome

    if under_test.wire is EpicWire:
        return  # its port is Avalon's, too; here it listens at another
    on_bench(under_test, base_address, scenario, firmware=None, port=None)


@pytest.mark.parametrize("firmware", KINDS)
@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"\x00",
        b"{}",
        b"[]",
        b"null",
        b'{"STATUS":[]}',
        b'{"STATUS":[{"STATUS":"S"}],"VERSION":7,"Msg":3}',
        b"\x04\x00\x00\x00null",
        b"\x10\x00\x00\x00{",
        b"\xff\xff\xff\xff{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]",
        b"HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnull",
        b"HTTP/1.1 302 Found\r\nLocation: http://192.0.2.1/\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 500 No\r\nContent-Length: 4\r\n\r\nroot",
        b'{"STATUS":"S","code":0,"msg":' + b"[" * 5000,
        b"HTTP/1.1 401 No\r\nWWW-Authenticate: Digest realm=x, nonce=y, algorithm=Z\r\n\r\n",
        b'HTTP/1.1 401 No\r\nWWW-Authenticate: Digest realm=x, nonce=y, qop="auth-int"\r\n\r\n',
        b"HTTP/1.1 401 No\r\nWWW-Authenticate: Digest\r\n\r\n",
        b"\x00\x00\x12\x04\x00\x00\x00\x00\x00garbage",
    ],
    ids=range(20),
)
def test_whatever_answers_is_no_more_than_a_rig_that_gives_no_usable_answer(
    firmware: FirmwareName, reply: bytes, base_address: str
) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1024)
        writer.write(reply)
        writer.close()

    async def run() -> None:
        server = await asyncio.start_server(answer, base_address, 18090)
        async with server:
            driver = driver_for(
                "rig",
                base_address,
                SimulatedClock(START),
                firmware=firmware,
                port=18090,
                credentials=Credentials("", SecretStr(PASSWORD)),
                deadline_s=DEADLINE_S,
            )
            with pytest.raises(RigUnreachable):
                await driver.read()
            with pytest.raises(ServingError):
                await driver.identify()
            assert not (await driver.stop()).outcome.may_have_reached_rig

    asyncio.run(run())


@pytest.mark.parametrize(
    "under_test", [UNDER_TEST[name] for name in ("avalon-hydro", "braiins", "epic")]
)
def test_hung_rigs_do_not_hold_up_the_others(under_test: UnderTest, base_address: str) -> None:
    async def run() -> None:
        clock = SimulatedClock(START)
        head = base_address.rpartition(".")[0]
        faults = {3: RigFaults(unreachable="black_hole"), 5: RigFaults(unreachable="hang")}
        rigs = [
            SimulatedRig(
                f"r{k}",
                GROUP,
                clock,
                address=f"{head}.{k + 1}",
                model=under_test.model,
                faults=faults.get(k),
            )
            for k in range(8)
        ]
        async with under_test.fleet(rigs):
            drivers: list[RigDriver] = [
                under_test.driver(rig.rig_id, rig.address, clock, deadline_s=0.6) for rig in rigs
            ]
            began_at = time.perf_counter()
            readings = await read_rigs(drivers, clock)
            results = await command_rigs([driver.stop for driver in drivers], clock)
            took_s = time.perf_counter() - began_at

        assert [name for name, reading in readings.items() if reading is None] == ["r3", "r5"]
        assert [result.outcome for result in results].count(under_test.stop_outcome) == 6
        assert took_s < 1.2 + 2 * SLACK_S

    asyncio.run(run())

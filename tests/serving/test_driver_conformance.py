"""What any `RigDriver` must do, run against simulated rigs over real sockets.

A new driver adds a line to `DRIVERS`: a factory that makes a driver for a rig's address, and the
simulated model that it speaks to.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gridhash.config import load_site
from gridhash.errors import RigUnreachable
from gridhash.serving.clock import Clock, SimulatedClock
from gridhash.serving.drivers.avalon_pyasic import AvalonPyasicDriver
from gridhash.serving.drivers.concurrency import command_rigs, read_rigs
from gridhash.serving.drivers.protocol import Outcome, RigDriver
from gridhash.serving.simulated_fleet import SimulatedFleet
from gridhash.serving.simulated_model import (
    AIR_1566,
    HYDRO_1566HA,
    RigFaults,
    RigMismatch,
    RigModel,
)
from gridhash.serving.simulated_rig import SimulatedRig
from gridhash.serving.verification import Wanted, power_confirms

START = datetime(2024, 4, 1, tzinfo=UTC)
GROUP = load_site("japan_pilot").groups[0]
DEADLINE_S = 0.3
SLACK_S = 0.5
"""For a busy machine; far below pyasic's own 100 s."""


@dataclass(frozen=True, kw_only=True)
class DriverUnderTest:
    make: Callable[..., RigDriver]
    model: RigModel


def avalon_pyasic(rig_id: str, address: str, clock: Clock) -> RigDriver:
    return AvalonPyasicDriver(rig_id, address, clock, deadline_s=DEADLINE_S)


DRIVERS = {
    "avalon-pyasic-hydro": DriverUnderTest(make=avalon_pyasic, model=HYDRO_1566HA),
    "avalon-pyasic-air": DriverUnderTest(make=avalon_pyasic, model=AIR_1566),
    "avalon-pyasic-ok-firmware": DriverUnderTest(
        make=avalon_pyasic, model=replace(HYDRO_1566HA, acknowledges="ok")
    ),
}

pytestmark = pytest.mark.parametrize("under_test", DRIVERS.values(), ids=DRIVERS.keys())


@dataclass(frozen=True, kw_only=True)
class Bench:
    clock: SimulatedClock
    rig: SimulatedRig
    driver: RigDriver
    fleet: SimulatedFleet

    async def confirms(self, wanted: Wanted) -> bool | None:
        try:
            reading = await self.driver.read()
        except RigUnreachable:
            reading = None
        return power_confirms(reading, wanted, GROUP.rig_power_w, GROUP.standby_w)

    async def seconds_until(self, wanted: Wanted, within_s: float) -> float | None:
        """Poll every simulated second; None if the power never confirms."""
        begun_s = self.clock.monotonic()
        while self.clock.monotonic() - begun_s <= within_s:
            if await self.confirms(wanted):
                return self.clock.monotonic() - begun_s
            await self.clock.advance(1.0)
        return None


def on_bench(
    under_test: DriverUnderTest,
    address: str,
    scenario: Callable[[Bench], Awaitable[None]],
    *,
    faults: RigFaults | None = None,
    mismatch: RigMismatch | None = None,
    **rig_options: Any,
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
            **rig_options,
        )
        async with SimulatedFleet([rig]) as fleet:
            driver = under_test.make("rig", address, clock)
            await scenario(Bench(clock=clock, rig=rig, driver=driver, fleet=fleet))

    asyncio.run(run())


def test_identifies_model_mac_and_capability(
    under_test: DriverUnderTest, base_address: str
) -> None:
    async def scenario(bench: Bench) -> None:
        identity = await bench.driver.identify()

        assert identity == bench.driver.identity
        assert identity.model == under_test.model.product
        assert identity.mac is not None
        assert identity.mac.replace(":", "").lower() == bench.rig.mac
        assert identity.firmware == under_test.model.firmware
        assert identity.capability.on_off

    on_bench(under_test, base_address, scenario)


def test_reads_power_hash_rate_and_temperature_in_our_units_within_two_percent(
    under_test: DriverUnderTest, base_address: str
) -> None:
    async def scenario(bench: Bench) -> None:
        await bench.clock.advance(100.0)

        reading = await bench.driver.read()

        assert reading.power_w == pytest.approx(bench.rig.true_power_w(), rel=0.02)
        assert reading.hashrate_ths == pytest.approx(bench.rig.true_hashrate_ths(), rel=0.02)
        assert reading.chip_temp_c == pytest.approx(bench.rig.chip_temp_c(), rel=0.02)
        assert reading.inlet_temp_c == pytest.approx(bench.rig.coolant_c, rel=0.02)
        assert reading.uptime_s == pytest.approx(bench.rig.uptime_s, abs=1.0)
        assert (reading.working, reading.soft_off) == (True, False)
        assert reading.read_at == START + timedelta(seconds=100)
        assert reading.rig_clock_at == START + timedelta(seconds=100)
        assert reading.not_numbers == ()

    mismatch = RigMismatch(power_factor=0.93, efficiency_factor=1.07)
    on_bench(under_test, base_address, scenario, mismatch=mismatch)


def test_a_stop_is_accepted_then_seen_in_the_power_and_a_resume_likewise(
    under_test: DriverUnderTest, base_address: str
) -> None:
    async def scenario(bench: Bench) -> None:
        stopped = await bench.driver.stop()
        assert stopped.outcome is Outcome.PENDING
        assert stopped.effective_at is not None
        assert await bench.confirms(Wanted.STOPPED) is False
        took_s = await bench.seconds_until(Wanted.STOPPED, within_s=60.0)
        assert took_s is not None
        assert stopped.effective_at <= bench.clock.now()

        idle = await bench.driver.read()
        assert (idle.hashrate_ths, idle.working, idle.soft_off) == (0.0, False, True)

        resumed = await bench.driver.resume()
        assert resumed.outcome is Outcome.PENDING
        assert await bench.seconds_until(Wanted.RUNNING, within_s=60.0) is not None

    on_bench(under_test, base_address, scenario, mismatch=RigMismatch(power_lag_s=8.0))


def test_no_more_than_one_connection_is_ever_open_to_a_rig(
    under_test: DriverUnderTest, base_address: str
) -> None:
    async def scenario(bench: Bench) -> None:
        driver = bench.driver
        await asyncio.gather(driver.identify(), driver.read(), driver.stop(), driver.read())

        assert bench.fleet.most_open == {"rig": 1}

    on_bench(under_test, base_address, scenario)


@pytest.mark.parametrize("skew_s", [-3600.0, 3600.0, -START.timestamp() + 986.0])
def test_a_rig_whose_clock_is_wrong_stops_within_a_minute(
    under_test: DriverUnderTest, base_address: str, skew_s: float
) -> None:
    async def scenario(bench: Bench) -> None:
        await bench.driver.stop()
        await bench.clock.advance(3.0)
        assert await bench.confirms(Wanted.STOPPED) is False

        assert await bench.seconds_until(Wanted.STOPPED, within_s=57.0) is not None

    faults = RigFaults(clock_skew_s=skew_s)
    mismatch = RigMismatch(power_lag_s=8.0)
    on_bench(under_test, base_address, scenario, faults=faults, mismatch=mismatch)


def test_a_refusal_is_told_with_the_rigs_words(
    under_test: DriverUnderTest, base_address: str
) -> None:
    async def scenario(bench: Bench) -> None:
        result = await bench.driver.stop()

        assert result.outcome is Outcome.REFUSED
        assert "ASC 0 set failed" in result.detail
        assert not result.outcome.may_have_reached_rig

    on_bench(under_test, base_address, scenario, faults=RigFaults(refuses=True))


@pytest.mark.parametrize("how", ["refused", "black_hole"])
def test_a_rig_that_does_not_answer_is_unreachable_within_the_deadline(
    under_test: DriverUnderTest, base_address: str, how: Any
) -> None:
    async def scenario(bench: Bench) -> None:
        for command in (bench.driver.stop, bench.driver.resume):
            began_at = time.perf_counter()
            result = await command()
            assert time.perf_counter() - began_at < DEADLINE_S + SLACK_S
            assert result.outcome is Outcome.UNREACHABLE
        for ask in (bench.driver.read, bench.driver.identify):
            began_at = time.perf_counter()
            with pytest.raises(RigUnreachable, match=base_address):
                await ask()
            assert time.perf_counter() - began_at < DEADLINE_S + SLACK_S
        assert await bench.confirms(Wanted.STOPPED) is None
        assert bench.clock.n_outstanding == 0

    on_bench(under_test, base_address, scenario, faults=RigFaults(unreachable=how))


def test_a_rig_that_falls_silent_between_question_and_command_is_unknown_not_done(
    under_test: DriverUnderTest, base_address: str
) -> None:
    async def scenario(bench: Bench) -> None:
        result = await bench.driver.stop()

        assert result.outcome is Outcome.UNKNOWN
        assert result.outcome.may_have_reached_rig

    on_bench(under_test, base_address, scenario, faults=RigFaults(ignores=True))


def test_a_resume_without_reply_is_unknown_and_then_confirmed_by_power(
    under_test: DriverUnderTest, base_address: str
) -> None:
    async def scenario(bench: Bench) -> None:
        result = await bench.driver.resume()

        assert result.outcome is Outcome.UNKNOWN
        assert result.effective_at is not None
        assert await bench.seconds_until(Wanted.RUNNING, within_s=60.0) is not None

    faults = RigFaults(softon_noreply=True)
    on_bench(under_test, base_address, scenario, faults=faults, running=False)


def test_a_liar_is_accepted_and_never_confirmed(
    under_test: DriverUnderTest, base_address: str
) -> None:
    async def scenario(bench: Bench) -> None:
        result = await bench.driver.stop()

        assert result.outcome is Outcome.PENDING
        assert await bench.seconds_until(Wanted.STOPPED, within_s=120.0) is None

    on_bench(under_test, base_address, scenario, faults=RigFaults(lies=True))


def test_nan_telemetry_is_not_reported_and_not_zero(
    under_test: DriverUnderTest, base_address: str
) -> None:
    async def scenario(bench: Bench) -> None:
        reading = await bench.driver.read()

        assert (reading.power_w, reading.hashrate_ths, reading.chip_temp_c) == (None, None, None)
        assert "WALLPOWER=nan" in reading.not_numbers
        assert "GHSspd=nan" in reading.not_numbers
        assert await bench.confirms(Wanted.STOPPED) is None

    on_bench(under_test, base_address, scenario, faults=RigFaults(nan_telemetry=True))


def test_a_rig_restarted_by_hand_is_seen_running_again(
    under_test: DriverUnderTest, base_address: str
) -> None:
    async def scenario(bench: Bench) -> None:
        await bench.driver.stop()
        assert await bench.seconds_until(Wanted.STOPPED, within_s=60.0) is not None

        bench.rig.restart_by_hand()
        await bench.clock.advance(GROUP.boot_s)
        reading = await bench.driver.read()

        assert power_confirms(reading, Wanted.RUNNING, GROUP.rig_power_w, GROUP.standby_w)
        assert reading.uptime_s == GROUP.boot_s

    on_bench(under_test, base_address, scenario)


def test_a_work_level_that_was_not_commissioned_is_never_sent(
    under_test: DriverUnderTest, base_address: str
) -> None:
    async def scenario(bench: Bench) -> None:
        result = await bench.driver.set_work_level(0)

        assert result.outcome is Outcome.UNSUPPORTED
        assert not any("worklevel" in command.text for command in bench.rig.commands)

    on_bench(under_test, base_address, scenario)


def test_no_simulated_time_passes_inside_a_call(
    under_test: DriverUnderTest, base_address: str
) -> None:
    async def scenario(bench: Bench) -> None:
        await bench.driver.identify()
        task = asyncio.create_task(bench.driver.stop())
        await asyncio.sleep(0)
        await bench.clock.advance(1000.0)

        assert (await task).sent_at == START
        assert [command.received_at for command in bench.rig.commands] == [START] * 3

    on_bench(under_test, base_address, scenario, faults=RigFaults(latency_s=0.02))


def test_hung_rigs_do_not_hold_up_the_others(
    under_test: DriverUnderTest, base_address: str
) -> None:
    async def run() -> None:
        clock = SimulatedClock(START)
        fleet = SimulatedFleet.of_groups(
            [GROUP],
            clock,
            count=20,
            base_address=base_address,
            model=under_test.model,
            faults={
                "loop_a-003": RigFaults(unreachable="black_hole"),
                "loop_a-007": RigFaults(unreachable="refused"),
            },
        )
        async with fleet:
            drivers = [
                under_test.make(rig.rig_id, rig.address, clock) for rig in fleet.rigs.values()
            ]
            began_at = time.perf_counter()
            readings = await read_rigs(drivers, clock)
            results = await command_rigs([driver.stop for driver in drivers], clock)
            took_s = time.perf_counter() - began_at

        assert [name for name, reading in readings.items() if reading is None] == [
            "loop_a-003",
            "loop_a-007",
        ]
        assert [result.outcome for result in results].count(Outcome.PENDING) == 18
        assert took_s < 2 * DEADLINE_S + SLACK_S

    asyncio.run(run())

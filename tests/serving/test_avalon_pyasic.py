import asyncio
import gc
import json
import re
import subprocess
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from gridhash.config import load_site
from gridhash.errors import RigUnreachable, ServingError
from gridhash.serving import simulated_avalon
from gridhash.serving.clock import SimulatedClock
from gridhash.serving.drivers.avalon_pyasic import AvalonPyasicDriver
from gridhash.serving.drivers.avalon_telemetry import (
    library_model,
    reading_from,
    rig_clock_of,
)
from gridhash.serving.drivers.capabilities import NO_COMMANDS, capability_of
from gridhash.serving.drivers.firmware import mac_text
from gridhash.serving.drivers.protocol import Outcome, Why
from gridhash.serving.simulated_fleet import SimulatedFleet
from gridhash.serving.simulated_model import AIR_1566, HYDRO_1566HA, RigFaults, RigModel
from gridhash.serving.simulated_rig import SimulatedRig

START = datetime(2024, 4, 1, tzinfo=UTC)
GROUP = load_site("japan_pilot").groups[0]
LEVELS = GROUP.model_copy(update={"load_levels": (0.7, 0.85, 1.0)})


def with_rig(
    address: str,
    scenario: Callable[[AvalonPyasicDriver, SimulatedRig, SimulatedClock], Awaitable[None]],
    *,
    group: Any = GROUP,
    model: RigModel = HYDRO_1566HA,
    faults: RigFaults | None = None,
    **driver_options: Any,
) -> None:
    async def run() -> None:
        clock = SimulatedClock(START)
        rig = SimulatedRig("rig", group, clock, address=address, model=model, faults=faults)
        async with SimulatedFleet([rig]):
            driver = AvalonPyasicDriver("rig", address, clock, **driver_options)
            await scenario(driver, rig, clock)

    asyncio.run(run())


def answer_with(
    address: str, reply: bytes | None, scenario: Callable[[AvalonPyasicDriver], Awaitable[None]]
) -> None:
    """Let something at the address answer every request with these bytes, or reset it."""

    async def on_connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        if reply is None:
            writer.transport.abort()
        else:
            writer.write(reply)
            writer.close()

    async def run() -> None:
        server = await asyncio.start_server(on_connect, address, 4028)
        async with server:
            await scenario(AvalonPyasicDriver("rig", address, SimulatedClock(START)))

    asyncio.run(run())


def test_a_model_that_pyasic_does_not_know_is_noted_and_read_in_terahashes(
    base_address: str,
) -> None:
    async def scenario(
        driver: AvalonPyasicDriver, rig: SimulatedRig, clock: SimulatedClock
    ) -> None:
        identity = await driver.identify()

        assert not identity.known_to_library
        assert "Partially supported miner found: AVALONMINER 1566HA" in identity.library_note
        assert (await driver.read()).hashrate_ths == pytest.approx(480.0)

    with_rig(base_address, scenario)


def test_a_model_that_pyasic_knows_has_no_note(base_address: str) -> None:
    async def scenario(
        driver: AvalonPyasicDriver, rig: SimulatedRig, clock: SimulatedClock
    ) -> None:
        identity = await driver.identify()

        assert identity.known_to_library
        assert identity.library_note == ""

    with_rig(base_address, scenario, model=AIR_1566)


def test_one_poll_is_one_command_and_a_stop_is_two(base_address: str) -> None:
    async def scenario(
        driver: AvalonPyasicDriver, rig: SimulatedRig, clock: SimulatedClock
    ) -> None:
        await driver.identify()
        await driver.read()
        await driver.stop()

        assert [command.text for command in rig.commands] == [
            "version",
            "estats",
            "version",
            "ascset|0,softoff,1:1711929605",
        ]

    with_rig(base_address, scenario)


def test_a_kept_identity_is_not_asked_for_again(base_address: str) -> None:
    async def scenario(
        driver: AvalonPyasicDriver, rig: SimulatedRig, clock: SimulatedClock
    ) -> None:
        identity = await driver.identify()
        again = AvalonPyasicDriver("rig", base_address, clock, identity=identity)

        assert (await again.resume()).outcome is Outcome.PENDING
        assert again.identity == identity

    with_rig(base_address, scenario)


def test_another_machine_at_the_address_is_commanded_only_if_a_limit_demands_a_stop(
    base_address: str,
) -> None:
    async def scenario(
        driver: AvalonPyasicDriver, rig: SimulatedRig, clock: SimulatedClock
    ) -> None:
        await driver.identify()
        rig.mac = "e0e1a9000001"

        resumed = await driver.resume()
        stopped = await driver.stop()
        forced = await driver.stop(forced=True)
        assert (resumed.outcome, resumed.why) == (Outcome.REFUSED, Why.OTHER_RIG)
        assert "now has MAC" in resumed.detail
        assert (stopped.outcome, stopped.why) == (Outcome.REFUSED, Why.OTHER_RIG)
        assert forced.outcome is Outcome.PENDING

        await driver.identify()
        assert (await driver.resume()).outcome is Outcome.PENDING

    with_rig(base_address, scenario)


def test_a_firmware_that_tells_two_serial_numbers_is_still_read(
    base_address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = simulated_avalon.bracket_string

    def otherwise(rig: SimulatedRig) -> str:
        return re.sub(r"DNA\[\w+\]", "DNA[ffff]", told(rig))

    monkeypatch.setattr(simulated_avalon, "bracket_string", otherwise)

    async def scenario(
        driver: AvalonPyasicDriver, rig: SimulatedRig, clock: SimulatedClock
    ) -> None:
        await driver.identify()
        for _ in range(2):
            assert (await driver.read()).working

    with_rig(base_address, scenario)


def test_commissioned_work_levels_are_sent_down_to_level_zero(base_address: str) -> None:
    async def scenario(
        driver: AvalonPyasicDriver, rig: SimulatedRig, clock: SimulatedClock
    ) -> None:
        identity = await driver.identify()
        assert (identity.capability.work_levels, identity.capability.mark) == (
            (0, 1, 2),
            "measured",
        )

        result = await driver.set_work_level(0)
        await clock.advance(1.0)
        reading = await driver.read()

        assert result.outcome is Outcome.PENDING
        assert reading.work_level == 0
        assert reading.power_w == pytest.approx(0.7 * 8064.0, rel=0.01)
        assert (await driver.set_work_level(3)).outcome is Outcome.UNSUPPORTED

    with_rig(base_address, scenario, group=LEVELS, commissioned_levels=(0, 1, 2))


def test_a_work_level_that_the_rig_refuses_is_told(base_address: str) -> None:
    async def scenario(
        driver: AvalonPyasicDriver, rig: SimulatedRig, clock: SimulatedClock
    ) -> None:
        result = await driver.set_work_level(1)

        assert result.outcome is Outcome.REFUSED
        assert "Unknown option: worklevel" in result.detail

    with_rig(base_address, scenario, commissioned_levels=(0, 1, 2))


def test_an_avalon_outside_the_capability_table_is_read_and_never_commanded(
    base_address: str,
) -> None:
    model = RigModel(
        product="AvalonMiner 2077X", model="2077X", n_boards=4, chips_per_board=1, core=""
    )

    async def scenario(
        driver: AvalonPyasicDriver, rig: SimulatedRig, clock: SimulatedClock
    ) -> None:
        assert (await driver.read()).power_w == 8064.0
        assert (await driver.stop()).outcome is Outcome.UNSUPPORTED
        assert not any("ascset" in command.text for command in rig.commands)

    with_rig(base_address, scenario, model=model)


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (b"", "without a reply"),
        (b"\x00", "without a reply"),
        (b"garbage\x00", "unreadable"),
        (b"[1, 2]\x00", "unreadable"),
        (b'{"VERSION": 3}\x00', "unreadable|without"),
        (b'{"STATUS":[{"STATUS":"S","When":1}],"id":1}\x00', "without"),
        (b'{"STATUS":[{"STATUS":"S","When":1}],"VERSION":[]}\x00', "without"),
        (b'{"STATUS":[{"STATUS":"E","When":1,"Msg":"busy"}]}\x00', "busy"),
        (None, "without a reply|broke"),
    ],
)
def test_whatever_answers_that_is_no_avalon_reply_is_unreachable_and_nothing_else(
    base_address: str, reply: bytes | None, says: str
) -> None:
    async def scenario(driver: AvalonPyasicDriver) -> None:
        with pytest.raises(RigUnreachable, match=says):
            await driver.read()
        with pytest.raises(ServingError, match=says):
            await driver.identify()
        assert not (await driver.stop()).outcome.may_have_reached_rig

    answer_with(base_address, reply, scenario)


def test_a_machine_that_is_no_avalon_is_named(base_address: str) -> None:
    reply = json.dumps(
        {"STATUS": [{"STATUS": "S", "When": 1}], "VERSION": [{"PROD": "Antminer S21"}]}
    ).encode()

    async def scenario(driver: AvalonPyasicDriver) -> None:
        with pytest.raises(ServingError, match="'Antminer S21', which is no Avalon"):
            await driver.identify()
        assert (await driver.stop()).outcome is Outcome.UNSUPPORTED

    answer_with(base_address, reply, scenario)


def test_a_zero_that_pyasic_made_of_nan_is_not_taken_for_a_hash_rate(base_address: str) -> None:
    """Firmware without GHSspd: pyasic turns the reply's "nan" into 0 before anyone sees it."""

    def reply(request: bytes) -> bytes:
        status = [{"STATUS": "S", "When": 1, "Code": 9, "Msg": "", "Description": ""}]
        if b"devs" in request:
            return json.dumps({"STATUS": status, "DEVS": [{"MHS 1m": "nan"}]}).encode()
        stats = [{"MM ID0": "Ver[1066] SYSTEMSTATU[Work: In Work] PS[0 1 2 3 4 5 3421]"}]
        return json.dumps({"STATUS": status, "STATS": stats}).encode()

    async def on_connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(reply(await reader.read(100)))
        writer.close()

    async def run() -> None:
        async with await asyncio.start_server(on_connect, base_address, 4028):
            driver = AvalonPyasicDriver("rig", base_address, SimulatedClock(START))
            reading = await driver.read()
            assert reading.hashrate_ths is None
            assert reading.power_w == 3421.0
            assert reading.not_numbers == ("MHS 1m=nan or inf",)

    asyncio.run(run())


def test_a_hundred_timed_out_calls_leave_nothing_open(base_address: str) -> None:
    async def scenario(
        driver: AvalonPyasicDriver, rig: SimulatedRig, clock: SimulatedClock
    ) -> None:
        async def one() -> None:
            patient = AvalonPyasicDriver("rig", base_address, clock, deadline_s=0.1)
            with pytest.raises(RigUnreachable, match=r"no reply within 0\.1 s"):
                await patient.read()

        await asyncio.gather(*(one() for _ in range(100)))
        gc.collect()
        await asyncio.sleep(0.05)
        assert len(asyncio.all_tasks()) == 1

    with_rig(base_address, scenario, faults=RigFaults(unreachable="black_hole"))
    gc.collect()


def test_importing_and_calling_pyasic_leaves_logging_as_it_was() -> None:
    code = """
import asyncio, logging, warnings
warnings.simplefilter("error")
from datetime import UTC, datetime
from gridhash.serving.clock import SimulatedClock
from gridhash.serving.drivers.avalon_pyasic import AvalonPyasicDriver
import sys
assert "pyasic" not in sys.modules
logging.getLogger().setLevel(logging.ERROR)
async def main():
    driver = AvalonPyasicDriver("rig", "127.0.0.9", SimulatedClock(datetime.now(UTC)), port=9)
    print((await driver.stop()).outcome)
asyncio.run(main())
root = logging.getLogger()
assert root.handlers == [], root.handlers
assert root.level == logging.ERROR
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )

    assert (done.stdout, done.stderr) == ("unreachable\n", "")


def test_without_pyasic_the_error_says_what_to_install() -> None:
    code = """
import sys
sys.modules["pyasic"] = None
from gridhash.errors import ServingError
from gridhash.serving.drivers.pyasic_library import load_pyasic
try:
    load_pyasic()
except ServingError as err:
    print(err)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )

    assert 'pip install "gridhash[drivers]"' in done.stdout


def test_library_model_is_pyasics_own_name() -> None:
    assert library_model({"PROD": "AvalonMiner 15-194", "MODEL": "15-194"}) == "AVALONMINER 15-194"
    assert library_model({"PROD": "AvalonMiner 1246-N", "MODEL": "1246"}) == "AVALONMINER 1246"


def test_mac_is_upper_case_with_colons_or_absent() -> None:
    assert mac_text("e0e1a93e2c7d") == "E0:E1:A9:3E:2C:7D"
    assert mac_text("e0e1") is None
    assert mac_text(None) is None


def test_capability_follows_the_model_without_case() -> None:
    assert capability_of("avalonminer 1566ha-460").on_off
    assert capability_of("AvalonMiner 1246") is NO_COMMANDS


def test_telemetry_of_a_captured_idle_rig_reads_as_standby() -> None:
    """Fields of an A1346 in standby and of an Avalon Q: no WALLPOWER, averages still high."""
    reading = reading_from(
        {
            "SYSTEMSTATU": "Work: In Idle, Hash Board: 3 ",
            "SoftOFF": 5,
            "GHSspd": 0.0,
            "GHSmm": 55032.79,
            "GHSavg": 22622.4,
            "PS": [0, 1198, 0, 0, 0, 1393, 11],
            "TMax": 0,
            "ITemp": -273,
            "HBITemp": 27,
            "HBOTemp": 28,
            "Elapsed": 1168,
        },
        rig_id="rig",
        read_at=START,
        rig_clock_at=None,
    )

    assert (reading.power_w, reading.hashrate_ths) == (11.0, 0.0)
    assert (reading.working, reading.soft_off) == (False, True)
    assert (reading.chip_temp_c, reading.inlet_temp_c, reading.outlet_temp_c) == (None, 27.0, 28.0)
    assert reading.uptime_s == 1168.0


def test_firmware_that_reports_little_leaves_none_not_zero() -> None:
    reading = reading_from({"Ver": "x"}, rig_id="rig", read_at=START, rig_clock_at=None)

    assert reading.power_w is None
    assert reading.hashrate_ths is None
    assert reading.working is None
    assert reading.soft_off is None
    assert reading.not_numbers == ()


@pytest.mark.parametrize(
    "value",
    [10**400, 10**5000, -(10**400), "1e999"],
    ids=["400 digits", "5000 digits", "negative", "text"],
)
def test_numbers_beyond_all_bounds_are_no_readings(value: object) -> None:
    reading = reading_from(
        {"WALLPOWER": value, "Elapsed": value},
        rig_id="rig",
        read_at=START,
        rig_clock_at=rig_clock_of({"STATUS": [{"When": value}]}),
    )
    assert reading.power_w is None
    assert reading.uptime_s is None
    assert reading.rig_clock_at is None
    assert len(reading.not_numbers) == 2


def test_an_uptime_that_no_rig_has_is_no_reading() -> None:
    reading = reading_from({"Elapsed": 1e12}, rig_id="rig", read_at=START, rig_clock_at=None)
    assert reading.uptime_s is None
    assert reading.not_numbers == ("Elapsed=1e+12",)


def test_a_reply_with_an_integer_of_thousands_of_digits_is_no_answer(base_address: str) -> None:
    reply = b'{"STATUS":[{"STATUS":"S","When":' + b"9" * 5000 + b"}]}\x00"

    async def scenario(driver: AvalonPyasicDriver) -> None:
        with pytest.raises(RigUnreachable, match="unreadable"):
            await driver.read()
        assert (await driver.stop()).outcome is Outcome.UNREACHABLE

    answer_with(base_address, reply, scenario)

import asyncio
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from gridhash.serving.drivers.protocol import Command
from gridhash.serving.findings import Alarm
from gridhash.serving.permissives import (
    Permissive,
    Plant,
    PlantUnreachable,
    PlantValue,
    Verdict,
    judge,
)
from gridhash.serving.settings import ControllerSettings
from gridhash.serving.site_inputs import SiteLinks
from tests.serving.bench import START, Bench, Build

NOW = datetime(2024, 4, 2, 12, tzinfo=UTC)
FLOW = Permissive(sensor="flow", low=20.0)
LEAK = Permissive(sensor="leak", high=0.5, latches=True)


@pytest.mark.parametrize(
    ("value", "age_s", "verdict", "words"),
    [
        (30.0, 0.0, Verdict.CLEAR, ""),
        (30.0, 15.0, Verdict.CLEAR, ""),
        (30.0, 16.0, Verdict.NO_START, "16 s old"),
        (30.0, -60.0, Verdict.NO_START, "-60 s old"),
        (10.0, 0.0, Verdict.TRIPPED, "outside 20 to inf"),
        (10.0, 60.0, Verdict.NO_START, "60 s old"),
        (math.nan, 0.0, Verdict.NO_START, "no number"),
        (math.inf, 0.0, Verdict.NO_START, "no number"),
    ],
)
def test_a_reading_is_clear_bars_a_start_or_trips(
    value: float, age_s: float, verdict: Verdict, words: str
) -> None:
    judged = judge(FLOW, PlantValue(value=value, at=NOW - timedelta(seconds=age_s)), NOW)
    assert judged.verdict is verdict
    assert words in judged.words


def test_a_sensor_that_is_missing_bars_a_start() -> None:
    assert judge(FLOW, None, NOW).verdict is Verdict.NO_START


@dataclass
class Sensors:
    """A plant in memory."""

    bench: list[Bench]
    values: dict[str, float] = field(default_factory=lambda: {"flow": 30.0, "leak": 0.0})
    answers: bool = True
    hangs: bool = False

    async def read(self) -> Mapping[str, PlantValue]:
        if self.hangs:
            await asyncio.sleep(30.0)
        if not self.answers:
            raise PlantUnreachable("no answer")
        now = self.bench[0].clock.now()
        return {name: PlantValue(value=value, at=now) for name, value in self.values.items()}


@pytest.fixture
def sensors() -> Sensors:
    return Sensors([])


SETTINGS = ControllerSettings(settled_supervision_s=10.0)


def with_plant(build: Build, sensors: Sensors, *shares: tuple[float, float], **more: bool) -> Bench:
    plant = Plant(sensors, [FLOW, LEAK])
    bench = build(*shares, links=SiteLinks(plant=plant), settings=SETTINGS, **more)
    sensors.bench.append(bench)
    return bench


def test_nothing_starts_while_the_plant_is_silent_and_what_runs_goes_on(
    bench_of: Build, sensors: Sensors
) -> None:
    bench = with_plant(bench_of, sensors, (0.0, 0.5), (0.25, 1.0))

    def silence() -> None:
        sensors.answers = False

    def speak() -> None:
        assert bench.n_running() == 4
        sensors.answers = True

    for rig in list(bench.rigs.values())[::2]:
        rig.running = False
    bench.play(0.5, (0.1, silence), (0.4, speak))
    starts = [at for rig in bench.rigs.values() for at, own in rig.commands]
    assert min(starts) >= START + timedelta(hours=0.4)
    assert bench.n_running() == 8
    # One alarm per sensor and one for the plant, however long it lasts.
    assert len(bench.alarms(Alarm.PLANT_NO_START)) == 2
    assert len(bench.alarms(Alarm.PLANT_SILENT)) == 1


def test_a_plant_that_hangs_holds_no_tick(bench_of: Build, sensors: Sensors) -> None:
    bench = with_plant(bench_of, sensors, (0.0, 1.0))
    sensors.hangs = True
    asyncio.run(bench.controller.start())
    asyncio.run(asyncio.wait_for(bench.controller.tick(), 5.0))
    assert bench.controller.standing.plant[0].verdict is Verdict.NO_START


def test_a_trip_stops_every_rig_at_once_and_they_start_again_when_it_is_clear(
    bench_of: Build, sensors: Sensors
) -> None:
    bench = with_plant(bench_of, sensors, (0.0, 1.0))

    def fail() -> None:
        sensors.values["flow"] = 3.0

    def heal() -> None:
        assert bench.n_running() == 0
        sensors.values["flow"] = 30.0

    bench.play(1.0, (0.1, fail), (0.2, heal))
    stops = [at for rig in bench.rigs.values() for at, own in rig.commands if own is Command.STOP]
    assert len(stops) == 8
    assert max(stops) <= START + timedelta(hours=0.1, seconds=20.0)
    assert bench.n_running() == 8
    assert len(bench.alarms(Alarm.PLANT_TRIPPED)) == 1
    intents = bench.journal.frame("intents").query("command == 'stop'")
    decided = bench.journal.frame("decisions")
    assert intents.forced.all()
    assert "plant or electrical limit" in set(decided.authority)
    assert decided.reason.str.contains("flow is 3, outside 20 to inf").any()


def test_a_leak_keeps_rigs_down_until_a_person_clears_it(bench_of: Build, sensors: Sensors) -> None:
    bench = with_plant(bench_of, sensors, (0.0, 1.0))

    def leak() -> None:
        sensors.values["leak"] = 1.0

    def dry() -> None:
        sensors.values["leak"] = 0.0

    was: list[int] = []
    bench.play(
        1.5,
        (0.1, leak),
        (0.2, dry),
        (0.9, lambda: was.append(bench.n_running())),
        (0.9, lambda: bench.controller.clear("plant", person="Aoki")),
    )
    assert was == [0]
    assert bench.n_running() == 8
    assert len(bench.alarms(Alarm.PLANT_CLEARED)) == 1

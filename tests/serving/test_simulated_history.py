"""The world's log: what is read back is what truly was, to the last watt."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gridhash.config import load_site
from gridhash.errors import ServingError
from gridhash.serving.clock import SimulatedClock
from gridhash.serving.simulated_avalon import AvalonWire
from gridhash.serving.simulated_history import read_world
from gridhash.serving.simulated_listener import exchange
from gridhash.serving.simulated_log import WorldLog, read_world_log
from gridhash.serving.simulated_model import Change, Fate, RigFaults, RigMismatch
from gridhash.serving.simulated_rig import SimulatedRig

START = datetime(2024, 4, 1, tzinfo=UTC)
GROUP = load_site("japan_pilot").groups[0]


def logged_rig(log: WorldLog, clock: SimulatedClock, **options: Any) -> SimulatedRig:
    return SimulatedRig("rig", GROUP, clock, log=log, **options)


@given(
    acts=st.lists(
        st.tuples(
            st.sampled_from(["stop", "start", "restart", "lose_power", "regain_power", "limit"]),
            st.floats(0.0, 500.0),
        ),
        max_size=12,
    ),
    lag_s=st.sampled_from([0.0, 8.0]),
    looks=st.lists(st.floats(0.0, 1.0), min_size=1, max_size=8),
    remember_s=st.sampled_from([None, 1.0]),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
def test_power_and_energy_are_read_back_as_they_were(
    tmp_path: Path,
    acts: list[tuple[str, float]],
    lag_s: float,
    looks: list[float],
    remember_s: float | None,
) -> None:
    path = tmp_path / "world.jsonl"
    path.unlink(missing_ok=True)
    clock = SimulatedClock(START)
    with WorldLog(path, START) as log:
        rig = logged_rig(log, clock, mismatch=RigMismatch(power_lag_s=lag_s), remember_s=remember_s)
        twin = SimulatedRig("twin", GROUP, clock, mismatch=RigMismatch(power_lag_s=lag_s))
        for act, wait_s in acts:
            clock.step(wait_s)
            for one in (rig, twin):
                if act == "limit":
                    one.set_power_limit(5000.0)
                else:
                    getattr(one, act)()
        clock.step(1000.0)
        total_kwh = rig.energy_kwh()
        span_s = clock.monotonic()

    (read,) = read_world(path).rigs.values()
    assert read.energy_kwh(START, clock.now()) == pytest.approx(total_kwh, rel=1e-9)
    for look in looks:
        at = START + timedelta(seconds=look * span_s)
        assert read.power_w(at) == pytest.approx(twin.true_power_w(at), rel=1e-9, abs=1e-9)
        assert read.energy_kwh(START, at) == pytest.approx(twin.energy_kwh(at), rel=1e-9, abs=1e-9)


def test_commands_are_logged_with_their_fate_and_questions_are_not(tmp_path: Path) -> None:
    path, clock = tmp_path / "world.jsonl", SimulatedClock(START)
    with WorldLog(path, START) as log:
        rig = logged_rig(log, clock, faults=RigFaults(lies=True))
        wire = AvalonWire(rig)
        exchange(wire, b"version")
        exchange(wire, b"ascset|0,softoff,1:5")
        clock.step(60.0)
        rig.faults = RigFaults(drop_reply=1.0)
        exchange(wire, b"restart")
        clock.step(GROUP.boot_s)
        rig.true_power_w()

    (read,) = read_world(path).rigs.values()
    assert [(told.change, told.fate, told.replied) for told in read.commands] == [
        (Change.STOP, Fate.FEIGNED, True),
        (Change.REBOOT, Fate.OBEYED, False),
    ]
    assert read.commands[0].text == "ascset|0,softoff,1:5"
    assert read.reboots == [START + timedelta(seconds=60)]
    assert [state for _, state in read.states] == ["In Work", "In Init", "In Work"]


def test_a_rig_that_need_not_remember_keeps_little_and_its_averages(tmp_path: Path) -> None:
    path, clock = tmp_path / "world.jsonl", SimulatedClock(START)
    with WorldLog(path, START) as log:
        rig = logged_rig(log, clock, remember_s=1200.0)
        wire = AvalonWire(rig)
        for _ in range(1000):
            rig.set_coolant(35.0)
            exchange(wire, b"version")
            clock.step(60.0)

        assert rig.commands == []
        assert len(rig._past._segments) < 25
        assert rig.telemetry().mean_hashrate_ths(900.0) == pytest.approx(480.0)
        with pytest.raises(ValueError, match="lies before"):
            rig.energy_kwh(START)
    assert len(list(read_world_log(path))) == 3


def test_a_log_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "world.jsonl"
    WorldLog(path, START).close()

    with pytest.raises(ServingError, match="is not overwritten: choose another name"):
        WorldLog(path, START)
    with pytest.raises(ServingError, match="cannot be written"):
        WorldLog(tmp_path / "nowhere" / "world.jsonl", START)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{}\n", "line 1: no line of a world's log"),
        ('{"at_us":0,"kind":"rig"}\n', "is no world's log of format 1"),
        ('{"at_us":0,"kind":"world","format":2}\n', "is no world's log of format 1"),
        ('{"at_us":0,"kind":"world","format":1}\n{"at_us":0,"ki', "line 2: .*remove the broken"),
        (
            '{"at_us":0,"kind":"world","format":1}\n{"at_us":0,"kind":"state","rig":"a"}\n',
            "a line of state for a without its rig",
        ),
    ],
)
def test_what_is_no_log_is_refused(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "world.jsonl"
    path.write_text(text)

    with pytest.raises(ServingError, match=words):
        read_world(path)

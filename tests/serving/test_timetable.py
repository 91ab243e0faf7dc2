"""Clocks that are set, hosts that stood still: what rigs wait for is a span of monotonic time."""

import asyncio
from datetime import timedelta

import pytest

from gridhash.serving.drivers.protocol import Command
from gridhash.serving.findings import Alarm
from gridhash.serving.obligations import SiteOrder
from gridhash.serving.settings import ControllerSettings
from tests.serving.bench import RIG_KW, START, Bench, Build

SETTINGS = ControllerSettings(settled_supervision_s=10.0)


async def drive(bench: Bench, seconds: float) -> None:
    """Tick for so long of monotonic time."""
    end_s = bench.clock.monotonic() + seconds
    while True:
        next_at = await bench.controller.tick()
        wait_s = (next_at - bench.clock.now()).total_seconds()
        if bench.clock.monotonic() + wait_s > end_s:
            await bench.clock.advance(end_s - bench.clock.monotonic())
            return
        await bench.clock.advance(wait_s)


def set_clock(bench: Bench, by: timedelta) -> None:
    """Set the host's clock; the rigs keep their own time."""
    bench.clock._start += by
    for rig in bench.rigs.values():
        rig._booted_at += by
        if rig._due is not None:
            rig._due = rig._due[0] + by, rig._due[1]


@pytest.mark.parametrize("hours", [1.0, -1.0])
def test_a_command_under_way_has_its_time_whatever_the_clock_is_set_to(
    bench_of: Build, hours: float
) -> None:
    bench = bench_of((-10.0, 1.0), (0.5, 0.0), (0.9, 0.0), settings=SETTINGS)

    async def main() -> None:
        await bench.controller.start()
        await drive(bench, 1801.0)
        assert all(rig.pending is not None for rig in bench.controller.rigs.values())
        set_clock(bench, timedelta(hours=hours))
        await drive(bench, 60.0)

    asyncio.run(main())
    verdicts = bench.journal.frame("verifications").verdict
    stops = [own for rig in bench.rigs.values() for _, own in rig.commands if own is Command.STOP]
    assert set(verdicts) == {"verified"}
    assert len(stops) == 8
    assert bench.alarms(Alarm.MISSED) == []
    assert bench.alarms(Alarm.EXTERNAL_CHANGE) == []
    assert bench.alarms(Alarm.CLOCK_SET) == [None]


@pytest.mark.parametrize("hours", [1.0, -1.0])
def test_minimum_times_are_spans_of_time_and_not_of_the_calendar(
    bench_of: Build, hours: float
) -> None:
    bench = bench_of((-10.0, 0.0), settings=SETTINGS, running=True)
    wants: list[tuple[float, float]] = [(-10.0, 0.0)]
    bench.controller._policy.shares = wants  # type: ignore[union-attr]

    async def main() -> None:
        await bench.clock.advance(2 * 3600.0)  # so that prices are known also an hour before
        await bench.controller.start()
        await drive(bench, 120.0)
        assert bench.n_running() == 0
        set_clock(bench, timedelta(hours=hours))
        wants[:] = [(-10.0, 1.0)]
        await drive(bench, 1000.0)
        assert bench.n_running() == 0
        await drive(bench, 700.0)

    asyncio.run(main())
    assert bench.n_running() == 8


@pytest.mark.parametrize("hours", [1.0, -1.0])
def test_an_obligation_ends_at_its_end_in_utc_though_the_clock_was_set_during_it(
    bench_of: Build, hours: float
) -> None:
    bench = bench_of((-10.0, 1.0), settings=SETTINGS)
    end = START + timedelta(hours=2)
    order = SiteOrder(
        order_id="dr", revision=0, issued_at=START, start=START, end=end, at_most_kw=0.0
    )
    bench.controller.standing.obligations.take([order], START)

    async def main() -> None:
        await bench.controller.start()
        await drive(bench, 1200.0)
        assert bench.n_running() == 0
        set_clock(bench, timedelta(hours=hours))
        left_s = (end - bench.clock.now()).total_seconds()
        await drive(bench, left_s - 1.0)
        assert bench.n_running() == 0
        await drive(bench, 120.0)

    asyncio.run(main())
    assert bench.n_running() == 8
    starts = [
        at for rig in bench.rigs.values() for at, own in rig.commands if own is Command.RESUME
    ]
    assert all(end <= at <= end + timedelta(seconds=15) for at in starts)


def test_after_a_pause_what_was_due_is_done_once(bench_of: Build) -> None:
    bench = bench_of((-10.0, 1.0), (0.5, 0.5), settings=SETTINGS)

    async def main() -> None:
        await bench.controller.start()
        await drive(bench, 1801.0)
        decisions = bench.journal.count("decisions")
        assert sum(rig.pending is not None for rig in bench.controller.rigs.values()) == 4
        for rig in bench.rigs.values():
            rig.reachable = False
        await bench.clock.advance(3 * 3600.0)  # a process that was stopped and goes on
        await bench.controller.tick()
        assert bench.journal.count("decisions") == decisions + 1
        assert bench.alarms(Alarm.MISSED) == []
        for rig in bench.rigs.values():
            rig.reachable = True
        await bench.clock.advance(2.0)
        await drive(bench, 60.0)

    asyncio.run(main())
    assert bench.alarms(Alarm.PAUSED) == [None]
    assert set(bench.journal.frame("verifications").verdict) == {"verified"}
    assert all(len(rig.commands) <= 1 for rig in bench.rigs.values())


def test_starts_that_gathered_during_a_pause_come_in_packets(bench_of: Build) -> None:
    settings = ControllerSettings(
        settled_supervision_s=10.0, start_packet_rigs=2, start_packet_pause_s=20.0
    )
    bench = bench_of((-10.0, 0.0), (1.0, 1.0), settings=settings)

    async def main() -> None:
        await bench.controller.start()
        await drive(bench, 3000.0)
        await bench.clock.advance(6 * 3600.0)
        await drive(bench, 200.0)

    asyncio.run(main())
    starts = [
        at for rig in bench.rigs.values() for at, own in rig.commands if own is Command.RESUME
    ]
    assert len(starts) == 8
    assert max(starts.count(at) for at in starts) == 2
    assert bench.controller.status().setpoint_kw == pytest.approx(8 * RIG_KW)


def test_a_tick_over_slow_rigs_is_no_pause(bench_of: Build) -> None:
    bench = bench_of((-10.0, 1.0), settings=SETTINGS)

    async def main() -> None:
        await bench.controller.start()
        for _ in range(5):
            next_at = await bench.controller.tick()
            bench.controller._timetable.next_at(
                bench.clock.now(), [next_at], bench.clock.monotonic() + 40.0
            )
            await bench.clock.advance(40.0)

    asyncio.run(main())
    assert bench.alarms(Alarm.PAUSED) == []

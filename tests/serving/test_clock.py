import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from gridhash.errors import ServingError
from gridhash.serving.clock import RealClock, SimulatedClock

START = datetime(2024, 4, 1, tzinfo=UTC)


def after(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def test_simulated_time_stands_still_until_it_is_advanced() -> None:
    clock = SimulatedClock(START)

    clock.step(90.0)

    assert clock.now() == after(90.0)
    assert clock.monotonic() == 90.0


def test_many_small_steps_end_where_one_large_step_does() -> None:
    small, large = SimulatedClock(START), SimulatedClock(START)

    for _ in range(10_000):
        small.step(0.1)
    large.step(1000.0)

    assert small.now() == large.now()


@pytest.mark.parametrize("seconds", [-1.0, float("nan")])
def test_clock_never_runs_backwards(seconds: float) -> None:
    with pytest.raises(ValueError, match="never runs backwards"):
        SimulatedClock(START).step(seconds)


def test_clock_refuses_a_start_without_time_zone() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        SimulatedClock(START.replace(tzinfo=None))


def test_stepping_is_refused_while_a_call_is_outstanding() -> None:
    clock = SimulatedClock(START)

    with clock.outstanding("stop rig-7"), pytest.raises(ServingError, match="stop rig-7"):
        clock.step(1.0)

    assert clock.now() == START
    assert clock.n_outstanding == 0


def test_advancing_waits_for_outstanding_calls() -> None:
    async def scenario() -> None:
        clock = SimulatedClock(START)
        seen: list[datetime] = []

        async def call() -> None:
            with clock.outstanding("call"):
                await asyncio.sleep(0.02)
                seen.append(clock.now())

        task = asyncio.create_task(call())
        await asyncio.sleep(0)
        await clock.advance(60.0)

        assert seen == [START]
        assert clock.now() == after(60.0)
        await task

    asyncio.run(scenario())


def test_advancing_gives_up_on_a_call_that_never_ends_and_names_it() -> None:
    async def scenario() -> None:
        clock = SimulatedClock(START, patience_s=0.02)
        with clock.outstanding("read rig-3"), pytest.raises(ServingError, match="read rig-3"):
            await clock.advance(1.0)

    asyncio.run(scenario())


def test_sleepers_wake_in_order_and_each_at_its_own_instant() -> None:
    async def scenario() -> None:
        clock = SimulatedClock(START)
        woken: list[tuple[str, datetime]] = []

        async def sleeper(name: str, *delays_s: float) -> None:
            for delay_s in delays_s:
                await clock.sleep_until(clock.now() + timedelta(seconds=delay_s))
                woken.append((name, clock.now()))

        tasks = [
            asyncio.create_task(sleeper("dispatch", 300.0)),
            asyncio.create_task(sleeper("supervision", 10.0, 10.0)),
        ]
        await asyncio.sleep(0)
        await clock.advance(300.0)

        assert woken == [
            ("supervision", after(10.0)),
            ("supervision", after(20.0)),
            ("dispatch", after(300.0)),
        ]
        await asyncio.gather(*tasks)

    asyncio.run(scenario())


def test_no_simulated_time_passes_in_the_calls_of_a_woken_task() -> None:
    async def scenario() -> None:
        clock = SimulatedClock(START)
        spans: list[timedelta] = []

        async def phase() -> None:
            await clock.sleep_until(after(10.0))
            with clock.outstanding("phase"):
                begun = clock.now()
                await asyncio.sleep(0.01)
                spans.append(clock.now() - begun)

        task = asyncio.create_task(phase())
        await asyncio.sleep(0)
        await clock.advance(3600.0)

        assert spans == [timedelta(0)]
        await task

    asyncio.run(scenario())


def test_a_cancelled_sleeper_does_not_hold_the_clock() -> None:
    async def scenario() -> None:
        clock = SimulatedClock(START)
        task = asyncio.create_task(clock.sleep_until(after(10.0)))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

        await clock.advance(20.0)

        assert clock.now() == after(20.0)

    asyncio.run(scenario())


def test_two_tasks_cannot_advance_the_clock_at_the_same_time() -> None:
    async def scenario() -> None:
        clock = SimulatedClock(START)
        with pytest.raises(ServingError, match="two tasks"):
            await asyncio.gather(clock.advance(1.0), clock.advance(1.0))

    asyncio.run(scenario())


def test_stepping_over_a_sleeping_task_is_refused() -> None:
    async def scenario() -> None:
        clock = SimulatedClock(START)
        task = asyncio.create_task(clock.sleep_until(after(10.0)))
        await asyncio.sleep(0)

        with pytest.raises(ServingError, match="await advance"):
            clock.step(10.0)

        await clock.advance_to(after(10.0))
        await task

    asyncio.run(scenario())


def test_real_clock_is_aware_and_sleeps_until_the_instant() -> None:
    clock = RealClock()
    due = clock.now() + timedelta(milliseconds=20)

    with clock.outstanding("anything"):
        asyncio.run(clock.sleep_until(due))

    assert clock.now() >= due
    assert clock.now().utcoffset() == timedelta(0)


def test_a_sleep_lasts_no_longer_when_the_clock_is_set_back() -> None:
    class SetBack(RealClock):
        def __init__(self) -> None:
            self.n_asked = 0

        def now(self) -> datetime:
            self.n_asked += 1
            return super().now() - timedelta(hours=self.n_asked > 1)

    clock = SetBack()
    instant = RealClock().now() + timedelta(seconds=0.1)
    asyncio.run(asyncio.wait_for(clock.sleep_until(instant), 5.0))
    assert clock.n_asked > 1

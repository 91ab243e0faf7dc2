"""A breaker opens after failures in a row, lets a probe through per wait, closes on success."""

from datetime import UTC, datetime

import pytest

from gridhash.serving.clock import SimulatedClock
from gridhash.serving.drivers.breaker import BreakerSettings, BreakerState, CircuitBreaker
from gridhash.serving.settings import ControllerSettings

START = datetime(2024, 4, 1, tzinfo=UTC)


def broken(clock: SimulatedClock, **settings: float) -> CircuitBreaker:
    breaker = CircuitBreaker(clock, BreakerSettings(open_after=3, **settings))
    for _ in range(3):
        assert breaker.lets_through()
        breaker.failed()
    return breaker


def test_it_opens_after_so_many_failures_in_a_row_and_not_before() -> None:
    breaker = CircuitBreaker(SimulatedClock(START), BreakerSettings(open_after=3))
    for _ in range(5):
        breaker.failed()
        breaker.failed()
        breaker.succeeded()
    assert breaker.state is BreakerState.CLOSED

    assert broken(SimulatedClock(START)).state is BreakerState.OPEN


def test_one_probe_passes_per_wait_and_each_failure_doubles_the_wait() -> None:
    clock = SimulatedClock(START)
    breaker = broken(clock, wait_s=20.0, longest_wait_s=50.0)
    for wait_s in (20.0, 40.0, 50.0, 50.0):
        assert breaker.wait_s == wait_s
        clock.step(wait_s - 1.0)
        assert not breaker.lets_through()
        clock.step(1.0)
        assert breaker.state is BreakerState.HALF_OPEN
        assert breaker.lets_through()
        assert not breaker.lets_through()
        breaker.failed()


def test_a_probe_that_succeeds_closes_it_and_the_next_opening_waits_anew() -> None:
    clock = SimulatedClock(START)
    breaker = broken(clock, wait_s=20.0)
    clock.step(20.0)
    assert breaker.lets_through()
    breaker.succeeded()
    assert breaker.state is BreakerState.CLOSED

    for _ in range(3):
        breaker.failed()
    assert breaker.wait_s == 20.0


def test_it_never_turns_away_a_probe_that_a_controller_waited_for() -> None:
    clock, controller = SimulatedClock(START), ControllerSettings()
    breaker = CircuitBreaker(clock)
    for n_misses in range(1, 40):
        assert breaker.lets_through()
        breaker.failed()
        reachable = n_misses < controller.unreachable_after
        clock.step(controller.check_s if reachable else controller.probe_after_s(n_misses))


@pytest.mark.parametrize("wrong", [{"open_after": 0}, {"wait_s": 0.0}, {"longest_wait_s": -1.0}])
def test_settings_must_be_positive(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        BreakerSettings(**wrong)  # type: ignore[arg-type]

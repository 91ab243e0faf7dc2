"""A guard acts when the controller is silent or the site draws too much, and never flaps."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gridhash.serving.guard_notice import GuardState
from gridhash.serving.guard_settings import GuardSettings, SafeProfile
from gridhash.serving.guard_watch import GuardMemory, GuardWatch
from gridhash.serving.heartbeat import Heartbeat, Reduction

SETTINGS = GuardSettings(heartbeat_limit_s=60.0, hold_s=120.0)
PROFILE = GuardSettings(
    heartbeat_limit_s=30.0, hold_s=60.0, safe_profile=SafeProfile(max_rig_kw=3500.0)
)
Make = Callable[..., Heartbeat]


class Bench:
    """A watch, its clock and the controller's next tick."""

    def __init__(self, clock: Any, make: Make, **given: Any) -> None:
        self.clock, self.make, self.tick = clock, make, 0
        self.watch = GuardWatch(
            given.pop("settings", SETTINGS),
            max_site_kw=4500.0,
            now=clock.now,
            monotonic=clock.monotonic,
            **given,
        )

    def beat(self, **given: Any) -> bool:
        self.tick += 1
        return self.watch.take(self.make(self.tick, **given), self.clock.s)

    def run(self, seconds: int, *, beating: bool = True, **given: Any) -> list[GuardState]:
        """Let time pass; return the states that were gone through."""
        states = [self.watch.state]
        for _ in range(seconds):
            self.clock.s += 1.0
            if beating:
                self.beat(**given)
            self.watch.update()
            if self.watch.state is not states[-1]:
                states.append(self.watch.state)
        return states


@pytest.fixture
def bench(hand_clock: Any, make_heartbeat: Make) -> Bench:
    return Bench(hand_clock, make_heartbeat)


W, F, H = GuardState.WATCHING, GuardState.FAILSAFE, GuardState.HANDING_BACK


def test_silence_beyond_the_limit_is_failsafe_and_not_before(bench: Bench) -> None:
    assert bench.run(300) == [W]
    assert bench.run(60, beating=False) == [W]
    assert bench.run(1, beating=False) == [W, F]
    assert bench.watch.cap_kw() == 0.0
    assert bench.watch.epoch == 1
    assert "no heartbeat for 61 s" in bench.watch.reason


def test_the_same_heartbeat_again_is_no_sign_of_life(bench: Bench) -> None:
    bench.run(10)
    same = bench.make(bench.tick)
    for _ in range(61):
        bench.clock.s += 1.0
        assert not bench.watch.take(same, bench.clock.s)
        bench.watch.update()

    assert bench.watch.state is F


def test_a_controller_that_is_not_live_is_only_watched(bench: Bench) -> None:
    bench.run(10, mode="shadow")

    assert bench.run(600, beating=False) == [W]


def test_a_controller_that_returns_gets_the_rigs_after_acknowledging_and_holding(
    bench: Bench,
) -> None:
    bench.run(10)
    bench.run(61, beating=False)

    assert bench.run(600) == [F], "fresh heartbeats alone hand nothing back"
    assert bench.run(10, acknowledged={"guard": 1}) == [F], "it still wants 100 kW"
    taken_over: dict[str, Any] = {"acknowledged": {"guard": 1}, "setpoint_kw": {"loop_a": 0.0}}
    assert bench.run(1, **taken_over) == [F, H]
    assert bench.run(119, **taken_over) == [H]
    assert bench.run(1, **taken_over) == [H, W]
    assert not bench.watch.notice().binds
    assert bench.run(600) == [W]


def test_a_controller_that_fails_while_it_is_handed_back_begins_anew(bench: Bench) -> None:
    bench.run(10)
    bench.run(61, beating=False)
    taken_over: dict[str, Any] = {"acknowledged": {"guard": 1}, "setpoint_kw": {"loop_a": 0.0}}
    bench.run(100, **taken_over)

    assert bench.run(5, setpoint_kw={"loop_a": 1.0}, acknowledged={"guard": 1}) == [H, F]
    assert bench.run(119, **taken_over) == [F, H]
    assert bench.watch.epoch == 1


def test_each_failsafe_within_an_hour_doubles_the_hold(bench: Bench) -> None:
    holds = []
    for epoch in (1, 2, 3):
        bench.run(10)
        bench.run(61, beating=False)
        holds.append(bench.watch.hold_s)
        taken_over: dict[str, Any] = {
            "acknowledged": {"guard": epoch},
            "setpoint_kw": {"loop_a": 0.0},
        }
        bench.run(int(holds[-1]) + 1, **taken_over)
        assert bench.watch.state is W

    assert holds == [120.0, 240.0, 480.0]


def test_reductions_in_force_are_kept_beneath_the_profile(
    hand_clock: Any, make_heartbeat: Make
) -> None:
    profile = SafeProfile(max_rig_kw=1000.0)
    bench = Bench(
        hand_clock,
        make_heartbeat,
        settings=GuardSettings(safe_profile=profile, heartbeat_limit_s=60.0),
    )
    until = hand_clock.now() + timedelta(seconds=600)
    one = Reduction(reduction_id="1", kind="demand response", max_kw=300.0, until=until)
    bench.run(10, reductions=(one,))

    bench.run(61, beating=False)
    assert bench.watch.cap_kw() == 300.0
    bench.run(540, beating=False)

    assert bench.watch.cap_kw() == 1000.0


def test_an_old_controller_is_not_heard_while_the_new_one_lives(bench: Bench) -> None:
    bench.run(10, lease_token=2)

    assert not bench.beat(lease_token=1, run_id=7)
    assert not bench.beat(controller="elsewhere:/state", lease_token=9)
    bench.clock.s += 61.0
    assert bench.beat(controller="elsewhere:/state", lease_token=1)


def test_what_stood_in_the_file_before_the_guard_began_proves_nothing(
    hand_clock: Any, make_heartbeat: Make
) -> None:
    bench = Bench(hand_clock, make_heartbeat)
    bench.watch.remember(make_heartbeat(500))

    assert bench.run(61, beating=False) == [W, F]


def test_a_guard_that_never_saw_a_controller_commands_nothing(bench: Bench) -> None:
    assert bench.run(1000, beating=False) == [W]


def test_a_guard_that_restarts_goes_on_in_failsafe(hand_clock: Any, make_heartbeat: Make) -> None:
    first = Bench(hand_clock, make_heartbeat)
    first.run(10)
    first.run(61, beating=False)
    first.run(5, acknowledged={"guard": 1}, setpoint_kw={})
    assert first.watch.state is H
    memory = first.watch.memory()
    assert isinstance(memory, GuardMemory)

    second = Bench(hand_clock, make_heartbeat, memory=memory)

    assert second.watch.state is F
    assert second.watch.epoch == 1
    assert second.watch.cap_kw() == 0.0


def meter(bench: Bench, power_kw: float, seconds: int, **given: Any) -> list[GuardState]:
    states = [bench.watch.state]
    for _ in range(seconds):
        bench.watch.take_meter(power_kw)
        states += bench.run(1, **given)[1:]
    return states


def test_an_overload_is_trimmed_first_and_then_everything_falls(bench: Bench) -> None:
    assert meter(bench, 4540.0, 100) == [W], "within the tolerance"
    assert meter(bench, 4600.0, 30) == [W]
    assert meter(bench, 4600.0, 2) == [W, F]
    assert bench.watch.cap_kw() is None, "not known before the rigs are read"

    bench.watch.trim(4400.0)
    assert bench.watch.cap_kw() == pytest.approx(4400.0 - (4600.0 - 0.98 * 4500.0))
    bench.watch.trim(4400.0)
    assert bench.watch.cap_kw() == pytest.approx(4210.0), "it never rises"
    meter(bench, 4600.0, 61)

    assert bench.watch.cap_kw() == 0.0


def test_a_trimmed_site_is_handed_back_by_the_same_rules(bench: Bench) -> None:
    meter(bench, 4600.0, 32)
    bench.watch.trim(4400.0)

    assert meter(bench, 4400.0, 200) == [F]
    assert bench.watch.cap_kw() == pytest.approx(4210.0), "a trim that was enough stays"
    assert meter(bench, 4400.0, 122, acknowledged={"guard": 1}) == [F, H, W]


def test_silence_while_trimmed_is_the_safe_profile(bench: Bench) -> None:
    meter(bench, 4600.0, 32)
    bench.watch.trim(4400.0)

    bench.run(62, beating=False)

    assert bench.watch.cap_kw() == 0.0


def test_without_a_meter_the_rigs_own_sum_is_held_to_the_sites_limit(bench: Bench) -> None:
    assert bench.run(40, measured_kw=4600.0) == [W, F]
    assert "the rigs say 4600 kW" in bench.watch.reason


def test_a_controllers_own_cap_that_falls_to_nothing_is_no_overload(bench: Bench) -> None:
    bench.run(10)
    bench.run(61, beating=False)
    stands: dict[str, Any] = {"setpoint_kw": {}, "measured_kw": 0.5, "cap_kw": 0.0}

    assert bench.run(200, acknowledged={"guard": 1}, **stands) == [F, H, W]


@given(
    steps=st.lists(
        st.tuples(
            st.integers(1, 120),
            st.booleans(),
            st.booleans(),
            st.sampled_from([0.0, 4000.0]),
            st.sampled_from([None, 4000.0, 5000.0]),
        ),
        max_size=12,
    )
)
@settings(
    max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture]
)  # the clock is set back
def test_the_cap_never_rises_within_a_failsafe_and_starts_need_a_whole_hold(
    hand_clock: Any, make_heartbeat: Make, steps: list[Any]
) -> None:
    hand_clock.s = 1000.0
    bench = Bench(hand_clock, make_heartbeat, settings=PROFILE)
    bench.run(1)
    was, cap_kw, good_since_s, epoch = W, None, 0.0, 0
    for seconds, beating, acknowledges, setpoint_kw, power_kw in steps:
        for _ in range(seconds):
            if power_kw is not None:
                bench.watch.take_meter(power_kw)
            good = beating and acknowledges and setpoint_kw == 0.0
            acknowledged = {"guard": bench.watch.epoch} if acknowledges else {}
            bench.run(1, beating=beating, acknowledged=acknowledged, setpoint_kw={"a": setpoint_kw})
            bench.watch.trim(4000.0)
            state, now_kw = bench.watch.state, bench.watch.cap_kw()
            if was is W or (beating and not good):
                good_since_s = bench.clock.s
            if was is not W and state is W:
                assert beating
                assert bench.clock.s - good_since_s >= PROFILE.hold_s
            if state is not W and epoch == bench.watch.epoch and cap_kw is not None:
                assert now_kw is not None
                assert now_kw <= cap_kw
            was, cap_kw, epoch = state, now_kw, bench.watch.epoch
            assert bench.watch.notice().binds == (state is not W)

from dataclasses import replace

import hypothesis.strategies as st
import pytest
from hypothesis import given

from gridhash.serving.allocator import (
    GroupTarget,
    GroupTask,
    RigView,
    allocate_group,
    allocate_site,
)

MIN_UP_S, MIN_DOWN_S = 1800.0, 1200.0
RIG_KW = 8.0
LONG_S = 1e6


def rig(name: str, running: bool, since_s: float = LONG_S, **more: object) -> RigView:
    return RigView(
        rig_id=name,
        running=running,
        since_s=since_s,
        level=0 if running else None,
        **more,  # type: ignore[arg-type]
    )


def task(*rigs: RigView, setpoint_kw: float, max_kw: float = 1e6, **more: object) -> GroupTask:
    values = {"name": "a", "level_kw": (RIG_KW,), "min_up_s": MIN_UP_S, "min_down_s": MIN_DOWN_S}
    return GroupTask(rigs=rigs, setpoint_kw=setpoint_kw, max_kw=max_kw, **{**values, **more})  # type: ignore[arg-type]


def running(target: GroupTarget) -> set[str]:
    return {rig_id for rig_id, level in target.level.items() if level is not None}


@st.composite
def rig_views(draw: st.DrawFn, name: str, n_levels: int) -> RigView:
    runs = draw(st.booleans())
    return RigView(
        rig_id=name,
        running=runs,
        since_s=draw(st.sampled_from([0.0, 5.0, 1195.0, 1200.0, 1799.9, 1800.0, LONG_S])),
        level=draw(st.integers(0, n_levels - 1)) if runs else None,
        n_starts=draw(st.integers(0, 3)),
        available=draw(st.booleans() | st.just(True)),
    )


@st.composite
def tasks(draw: st.DrawFn, name: str = "a") -> GroupTask:
    level_kw = draw(st.sampled_from([(8.0,), (4.0, 6.0, 8.0), (4.03, 4.84, 8.06)]))
    n_rigs = draw(st.integers(0, 9))
    rigs = tuple(draw(rig_views(f"{name}-{k:03d}", len(level_kw))) for k in range(n_rigs))
    return GroupTask(
        name=name,
        rigs=rigs,
        setpoint_kw=draw(st.floats(0.0, 90.0)),
        max_kw=draw(st.floats(0.0, 90.0) | st.just(1e6)),
        level_kw=level_kw,
        min_up_s=MIN_UP_S,
        min_down_s=MIN_DOWN_S,
    )


def applied(asked: GroupTask, target: GroupTarget) -> GroupTask:
    """Return the task with its rigs as the target wants them, at the same instant."""
    rigs = []
    for own in asked.rigs:
        level = target.level.get(own.rig_id, own.level)
        if own.available and own.running != (level is not None):
            rigs.append(
                replace(
                    own,
                    running=not own.running,
                    since_s=0.0,
                    level=level,
                    n_starts=own.n_starts + (not own.running),
                )
            )
        else:
            rigs.append(replace(own, level=level))
    return replace(asked, rigs=tuple(rigs))


@given(tasks())
def test_a_group_never_draws_more_than_its_cap(asked: GroupTask) -> None:
    assert allocate_group(asked).power_kw <= asked.max_kw + 1e-6


@given(tasks())
def test_minimum_times_hold_except_for_stops_that_a_cap_forces(asked: GroupTask) -> None:
    target = allocate_group(asked)
    by_name = {own.rig_id: own for own in asked.rigs}
    for rig_id, level in target.level.items():
        own = by_name[rig_id]
        if own.running and level is None and own.since_s < asked.min_up_s:
            assert rig_id in target.forced
        if not own.running and level is not None:
            assert own.since_s >= asked.min_down_s
    if target.forced:
        assert target.power_kw + asked.level_kw[0] > asked.max_kw


@given(tasks())
def test_asking_again_after_obeying_changes_nothing(asked: GroupTask) -> None:
    target = allocate_group(asked)
    again = allocate_group(applied(asked, target))
    assert again.level == target.level
    assert again.forced == ()


@given(tasks())
def test_rigs_that_take_no_commands_are_left_alone(asked: GroupTask) -> None:
    target = allocate_group(asked)
    assert set(target.level) == {own.rig_id for own in asked.rigs if own.available}


@given(tasks())
def test_free_rigs_come_within_one_rig_of_the_setpoint(asked: GroupTask) -> None:
    free = replace(
        asked,
        rigs=tuple(replace(own, since_s=LONG_S, available=True) for own in asked.rigs),
        max_kw=1e6,
    )
    target = allocate_group(free)
    reachable_kw = min(free.setpoint_kw, len(free.rigs) * free.level_kw[-1])
    assert abs(target.power_kw - reachable_kw) <= 0.5 * free.level_kw[0] + 1e-6
    assert target.retry_after_s is None


@given(st.lists(st.integers(0, 99), min_size=1, max_size=4).flatmap(
    lambda names: st.tuples(*(tasks(name=f"g{k}") for k in range(len(names))))
), st.floats(0.0, 200.0))  # fmt: skip
def test_the_envelope_of_the_site_is_never_exceeded(
    asked: tuple[GroupTask, ...], cap_kw: float
) -> None:
    targets = allocate_site(asked, cap_kw, range(len(asked)))
    assert sum(target.power_kw for target in targets) <= cap_kw + 1e-5


def test_the_longest_running_stop_first() -> None:
    target = allocate_group(
        task(
            rig("young", True, 2000.0),
            rig("old", True, 9000.0),
            rig("middle", True, 5000.0),
            setpoint_kw=16.0,
        )
    )
    assert running(target) == {"young", "middle"}


def test_of_those_that_may_start_the_least_started_and_longest_stopped_come_first() -> None:
    rigs = (
        rig("often", False, 9000.0, n_starts=2),
        rig("seldom", False, 2000.0, n_starts=1),
        rig("seldom-longer", False, 3000.0, n_starts=1),
        rig("locked", False, 100.0, n_starts=0),
    )
    assert running(allocate_group(task(*rigs, setpoint_kw=8.0))) == {"seldom-longer"}
    assert running(allocate_group(task(*rigs, setpoint_kw=32.0))) == {
        "often", "seldom", "seldom-longer",
    }  # fmt: skip


def test_among_equals_the_less_efficient_stop_first() -> None:
    rigs = (
        rig("a", True, efficiency_j_per_th=18.0),
        rig("b", True, efficiency_j_per_th=16.0),
    )
    assert running(allocate_group(task(*rigs, setpoint_kw=8.0))) == {"b"}


def test_what_a_minimum_time_delays_says_when_to_ask_again() -> None:
    young = task(rig("a", True, 1000.0), rig("b", True, 1700.0), setpoint_kw=0.0)
    assert allocate_group(young).retry_after_s == pytest.approx(100.0)
    resting = task(rig("a", False, 1000.0), rig("b", False, 1100.0), setpoint_kw=16.0)
    assert allocate_group(resting).retry_after_s == pytest.approx(100.0)


def test_a_cap_rounds_down_where_a_setpoint_rounds_to_the_nearest() -> None:
    rigs = tuple(rig(f"r{k}", True) for k in range(4))
    assert allocate_group(task(*rigs, setpoint_kw=21.0)).power_kw == 24.0
    assert allocate_group(task(*rigs, setpoint_kw=21.0, max_kw=21.0)).power_kw == 16.0


def test_the_site_cap_takes_from_the_worst_group_first_and_spares_young_rigs() -> None:
    best = task(*(rig(f"b{k}", True) for k in range(3)), setpoint_kw=24.0, name="best")
    worst = task(
        rig("w0", True, 60.0), rig("w1", True), rig("w2", True), setpoint_kw=24.0, name="worst"
    )
    targets = allocate_site([worst, best], 30.0, [1, 0])
    assert running(targets[0]) == {"w0"}
    assert targets[0].forced == ()
    assert targets[1].power_kw == 16.0
    (forced, _) = allocate_site([worst, best], 0.0, [1, 0])
    assert forced.forced == ("w0",)


def test_a_group_with_levels_runs_all_rigs_at_two_neighbouring_levels() -> None:
    rigs = tuple(rig(f"r{k}", True) for k in range(4))
    target = allocate_group(task(*rigs, setpoint_kw=26.0, level_kw=(4.0, 6.0, 8.0)))
    assert sorted(target.level.values(), key=str) == [1, 1, 1, 2]
    assert target.power_kw == 26.0

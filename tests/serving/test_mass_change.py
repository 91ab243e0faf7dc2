"""Sag, power return and a pool that is gone: seen as one cause, brought down, never claimed."""

from gridhash.serving.drivers.protocol import Command
from gridhash.serving.findings import Alarm
from tests.serving.bench import RIG_KW, START, Build


def test_rigs_that_come_up_together_though_not_wanted_are_brought_down_at_once_with_one_alarm(
    bench_of: Build,
) -> None:
    bench = bench_of((0.0, 1.0), (0.5, 0.0))

    def power_returns() -> None:
        assert bench.n_running() == 0
        for rig in bench.rigs.values():
            rig.restart_by_hand()

    bench.play(1.4, (1.31, power_returns))
    assert bench.n_running() == 0
    assert bench.alarms(Alarm.POWER_RETURN) == [None]
    assert bench.alarms(Alarm.RESTARTED) == []
    stops = [
        (at - START).total_seconds()
        for rig in bench.rigs.values()
        for at, own in rig.commands
        if own is Command.STOP
    ]
    assert len(stops) == 16
    assert max(stops) < 1.31 * 3600.0 + 150.0


def test_rigs_that_come_up_together_and_are_wanted_run_on_without_a_command(
    bench_of: Build,
) -> None:
    bench = bench_of((0.0, 1.0))

    def sag() -> None:
        for rig in bench.rigs.values():
            rig.restart_by_hand()

    bench.play(0.8, (0.3, sag))
    assert bench.n_running() == 8
    assert bench.journal.count("intents") == 0
    assert bench.alarms(Alarm.POWER_RETURN) == [None]


def test_one_rig_that_a_person_restarts_is_left_alone_as_before(bench_of: Build) -> None:
    bench = bench_of((0.0, 1.0), (0.5, 0.0))
    bench.play(1.02, (1.005, bench.rigs["loop_a-0"].restart_by_hand))
    assert bench.n_running() == 1
    assert bench.alarms(Alarm.RESTARTED) == ["loop_a-0"]
    assert bench.alarms(Alarm.POWER_RETURN) == []


def test_a_pool_that_is_gone_is_one_alarm_claims_nothing_and_flags_no_rig(bench_of: Build) -> None:
    bench = bench_of((0.0, 1.0))

    def pool(*, down: bool) -> None:
        for rig in bench.rigs.values():
            rig.pool_down = down

    bench.play(1.5, (0.3, lambda: pool(down=True)), (1.0, lambda: pool(down=False)))
    assert bench.alarms(Alarm.NO_REVENUE) == [None, None]  # one per group
    assert bench.alarms(Alarm.FELL_TOGETHER) == [None]
    assert bench.alarms(Alarm.EXTERNAL_CHANGE) == []
    assert bench.journal.frame("claims").empty
    assert bench.journal.count("intents") == 0
    assert not any(rig.flag for rig in bench.controller.rigs.values())
    assert all(rig.running for rig in bench.controller.rigs.values())


def test_a_pool_that_goes_while_a_stop_is_under_way_is_not_claimed(bench_of: Build) -> None:
    bench = bench_of((0.0, 1.0), (0.5, 0.0))

    def lose_pool(rig_id: str, _: Command) -> None:
        rig = bench.rigs[rig_id]
        rig.pool_down, rig.obeys = True, False

    bench.rigs["loop_a-0"].before_command = lose_pool
    bench.play(0.9)
    assert bench.claimed_kwh("loop_a-0") == 0.0
    assert bench.claimed_kwh("loop_a-1") > 0.3 * RIG_KW


def test_while_the_pool_is_gone_rigs_count_at_full_power_since_they_come_up_by_themselves(
    bench_of: Build,
) -> None:
    bench = bench_of((0.0, 1.0))
    rig = bench.rigs["loop_a-0"]
    bench.play(0.8, (0.3, lambda: setattr(rig, "pool_down", True)))
    last = bench.journal.frame("supervisions").iloc[-1]
    assert last.potential_kw == 8 * RIG_KW
    assert last.n_stopped == 1


def test_rigs_that_draw_and_hash_nothing_are_an_alarm_once_they_should_have_warmed_up(
    bench_of: Build,
) -> None:
    bench = bench_of((0.0, 1.0))
    for name, rig in bench.rigs.items():
        rig.hashrate_ths = 0.0 if name.startswith("loop_b") else 400.0
    bench.play(0.5)
    frame = bench.journal.frame("alarms")
    texts = list(frame[frame.kind == Alarm.NO_REVENUE].text)
    assert len(texts) == 1
    assert texts[0].startswith("4 rigs draw and hash nothing, 0 idle awake (loop_b-0")

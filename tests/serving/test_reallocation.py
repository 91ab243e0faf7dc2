from datetime import datetime, timedelta

from gridhash.serving.drivers.protocol import Outcome
from gridhash.serving.findings import Alarm
from gridhash.serving.standing_orders import Hold
from tests.serving.bench import RIG_KW, START, Bench, Build, MemoryRig


def of_group(bench: Bench, name: str) -> list[MemoryRig]:
    return [rig for rig in bench.rigs.values() if rig.rig_id.startswith(name)]


def at_h(hours: float, seconds: float = 0.0) -> datetime:
    return START + timedelta(hours=hours, seconds=seconds)


def test_another_rig_stops_at_once_for_one_that_did_not_in_its_time(bench_of: Build) -> None:
    bench = bench_of((0.0, 1.0), (0.5, 0.5))
    bench.rigs["loop_a-3"].obeys = False
    seen = []
    bench.play(1.5, (0.53, lambda: seen.append(bench.n_running())))
    assert bench.alarms(Alarm.DISOBEYS) == ["loop_a-3"]
    in_its_place = bench.rigs["loop_a-1"].commands
    assert [command for _, command in in_its_place] == ["stop"]
    assert at_h(0.5, 60.0) <= in_its_place[0][0] <= at_h(0.5, 75.0)
    assert seen == [4]
    # Nobody flaps: each rig that obeys was told at most once in the hour that followed.
    obeying = [rig for rig in bench.rigs.values() if rig.obeys]
    assert max(len(rig.commands) for rig in obeying) == 1
    assert bench.n_running() == 4


def test_another_rig_starts_for_one_that_refuses(bench_of: Build) -> None:
    bench = bench_of((0.0, 0.0), (1.0, 0.5), running=False)
    for name in ("loop_a-0", "loop_b-1"):
        bench.rigs[name].outcome = Outcome.REFUSED
    bench.play(1.5)
    assert sorted(bench.alarms(Alarm.REFUSES)) == ["loop_a-0"] * 2 + ["loop_b-1"] * 2
    assert bench.n_running() == 4
    started = [rig.commands[0][0] for rig in bench.rigs.values() if rig.commands]
    assert max(started) <= at_h(1.0, 30.0)
    assert max(len(rig.commands) for rig in bench.rigs.values()) == 1


def test_a_silent_rig_counts_as_it_was_seen_and_moves_no_other(bench_of: Build) -> None:
    bench = bench_of((0.0, 1.0), (0.5, 0.5))
    running, standing = bench.rigs["loop_a-0"], bench.rigs["loop_b-3"]

    def lose() -> None:
        running.reachable = standing.reachable = False

    def find() -> None:
        running.reachable = standing.reachable = True

    bench.play(2.5, (1.0, lose), (1.7, find))
    assert len(bench.alarms(Alarm.UNREACHABLE)) == 2
    assert bench.n_running() == 4
    after = [at for rig in bench.rigs.values() for at, _ in rig.commands if at > at_h(0.6)]
    assert after == []


def test_another_group_makes_up_for_rigs_that_a_hold_asked_to_stop(bench_of: Build) -> None:
    bench = bench_of((0.0, 1.0))
    for name in ("loop_b-2", "loop_b-3"):
        bench.rigs[name].obeys = False

    def hold() -> None:
        bench.controller.standing.hold = Hold(
            person="Aoki", reason="test", until=at_h(5.0), setpoint_kw=4 * RIG_KW
        )

    seen = []
    bench.play(1.4, (0.5, hold), (0.56, lambda: seen.append(bench.n_running())))
    # The hold stops loop_b first, and half of it does not obey.
    assert sorted(bench.alarms(Alarm.DISOBEYS)) == ["loop_b-2", "loop_b-3"]
    assert sum(rig.running for rig in of_group(bench, "loop_a")) == 2
    assert seen == [4]
    assert max(len(rig.commands) for rig in bench.rigs.values() if rig.obeys) == 1

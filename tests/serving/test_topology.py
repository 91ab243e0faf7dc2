"""Feeders and PDUs: their caps hold, and one cause that silences many rigs is one alarm."""

from collections.abc import Callable
from pathlib import Path

import pytest

from gridhash.config import load_site
from gridhash.errors import ConfigError
from gridhash.serving.findings import Alarm
from gridhash.serving.operation import load_operation
from gridhash.serving.settings import ControllerSettings
from gridhash.serving.site_inputs import SiteLinks
from gridhash.serving.topology import Circuit, Topology
from tests.serving.bench import RIG_KW, Bench, Build

FEEDER = ("loop_a-2", "loop_a-3", "loop_b-0", "loop_b-1")


def links(cap_kw: float | None = None, *, rigs: tuple[str, ...] = FEEDER) -> SiteLinks:
    circuit = Circuit(name="feeder 1", rigs=frozenset(rigs), cap_kw=cap_kw)
    return SiteLinks(topology=Topology([circuit]))


def silence(bench: Bench, rigs: tuple[str, ...], *, reachable: bool = False) -> Callable[[], None]:
    def change() -> None:
        for rig_id in rigs:
            bench.rigs[rig_id].reachable = reachable

    return change


def on_feeder(bench: Bench) -> int:
    return sum(bench.rigs[rig_id].running for rig_id in FEEDER)


def test_no_more_rigs_start_on_a_circuit_than_its_cap_bears_and_others_take_their_place(
    bench_of: Build,
) -> None:
    most: list[int] = []
    bench = bench_of((0.0, 0.0), (0.5, 0.5), links=links(2.5 * RIG_KW))
    bench.play(0.5)
    assert bench.n_running() == 0
    bench.play(1.0, *((0.5 + 0.02 * k, lambda: most.append(on_feeder(bench))) for k in range(25)))
    assert max(most) <= 2
    assert bench.n_running() == 4, "half of full power, from rigs that have room"


def test_at_full_power_a_circuit_holds_back_what_it_cannot_bear(bench_of: Build) -> None:
    bench = bench_of((0.0, 0.0), (0.5, 1.0), links=links(2.5 * RIG_KW))
    bench.play(1.5)
    assert on_feeder(bench) == 2
    assert bench.n_running() == 6


def test_rigs_above_the_cap_of_their_circuit_are_stopped(bench_of: Build) -> None:
    bench = bench_of((0.0, 1.0), links=links(2.5 * RIG_KW))
    assert bench.n_running() == 8
    bench.play(0.2)
    assert on_feeder(bench) == 2
    assert bench.n_running() == 6
    intents = bench.journal.frame("intents", bench.controller.run_id)
    assert intents.reason.str.contains("circuit feeder 1 is 12.1 kW above its cap").sum() == 2


def test_a_silent_circuit_is_one_alarm_and_its_return_another(bench_of: Build) -> None:
    bench = bench_of((0.0, 1.0), links=links())
    bench.play(1.5, (0.2, silence(bench, FEEDER)), (1.0, silence(bench, FEEDER, reachable=True)))
    frame = bench.journal.frame("alarms", bench.controller.run_id)
    own = frame[frame.kind.isin([str(Alarm.CIRCUIT_SILENT), str(Alarm.CIRCUIT_BACK)])]
    assert own.kind.tolist() == [str(Alarm.CIRCUIT_SILENT), str(Alarm.CIRCUIT_BACK)]
    assert own.text.iloc[0].startswith("feeder 1: none of its 4 rigs answers")
    assert bench.alarms(Alarm.UNREACHABLE) == []
    assert bench.alarms(Alarm.REACHABLE) == []


def test_rigs_that_fall_silent_one_after_the_other_by_one_cause_are_one_alarm(
    bench_of: Build,
) -> None:
    every_10_s = ControllerSettings()
    bench = bench_of((0.0, 1.0), links=links(), settings=every_10_s)
    bench.play(0.3, (0.2, silence(bench, FEEDER[:2])), (0.201, silence(bench, FEEDER[2:])))
    assert len(bench.alarms(Alarm.CIRCUIT_SILENT)) == 1
    assert bench.alarms(Alarm.UNREACHABLE) == []


def test_the_whole_site_is_named_once_it_is_the_whole_site(bench_of: Build) -> None:
    bench = bench_of((0.0, 1.0), links=links())
    rest = tuple(rig_id for rig_id in bench.rigs if rig_id not in FEEDER)
    bench.play(1.0, (0.2, silence(bench, FEEDER)), (0.5, silence(bench, rest)))
    frame = bench.journal.frame("alarms", bench.controller.run_id)
    texts = frame[frame.kind == str(Alarm.CIRCUIT_SILENT)].text
    assert [text.split(":")[0] for text in texts] == ["feeder 1", "site"]
    assert bench.alarms(Alarm.UNREACHABLE) == []


def test_a_rig_that_fails_alone_is_named_at_once(bench_of: Build) -> None:
    bench = bench_of((0.0, 1.0), links=links())
    bench.play(0.3, (0.2, silence(bench, FEEDER[:1])))
    assert bench.alarms(Alarm.UNREACHABLE) == [FEEDER[0]]
    assert bench.alarms(Alarm.CIRCUIT_SILENT) == []


def test_a_rig_that_stays_silent_when_its_circuit_is_back_is_named(bench_of: Build) -> None:
    bench = bench_of((0.0, 1.0), links=links())
    bench.play(
        1.2, (0.2, silence(bench, FEEDER)), (0.5, silence(bench, FEEDER[1:], reachable=True))
    )
    assert bench.alarms(Alarm.UNREACHABLE) == [FEEDER[0]]
    frame = bench.journal.frame("alarms", bench.controller.run_id)
    (text,) = frame[frame.kind == str(Alarm.UNREACHABLE)].text
    assert text == "still does not answer, though feeder 1 does"


GROUP_OF = {"loop_a-1": "loop_a", "loop_a-2": "loop_a", "loop_b-1": "loop_b"}


def test_circuits_are_rigs_racks_and_groups_of_the_operation_file(tmp_path: Path) -> None:
    path = tmp_path / "operation.toml"
    path.write_text(
        '[racks]\nR1 = ["loop_a-2"]\n'
        '[[circuits]]\nname = "PDU 1"\nrigs = ["loop_a-1"]\nracks = ["R1"]\ncap_kw = 20.0\n'
        '[[circuits]]\nname = "feeder"\ngroups = ["loop_a", "loop_b"]\n'
    )
    operation = load_operation(path, load_site("japan_pilot"), GROUP_OF)
    pdu, feeder = operation.to_topology(GROUP_OF).circuits
    assert pdu.rigs == frozenset({"loop_a-1", "loop_a-2"})
    assert pdu.cap_kw == 20.0
    assert feeder.rigs == frozenset(GROUP_OF)
    assert feeder.cap_kw is None


@pytest.mark.parametrize(
    ("block", "why"),
    [
        ('rigs = ["loop_a-9"]', "circuit A: the rig list has no rig loop_a-9"),
        ('racks = ["R9"]', "circuit A: no rack is called R9"),
        ('groups = ["loop_x"]', "circuit A: the site has no group loop_x"),
        ("", "circuit A has no rig"),
        ('rigs = ["loop_a-1"]\ncap_kw = 0', "cap_kw"),
        ('groups = ["loop_a"]\n[[circuits]]\nname = "A"\ngroups = ["loop_a"]', "two circuits"),
    ],
)
def test_a_circuit_that_is_none_is_refused_by_name(tmp_path: Path, block: str, why: str) -> None:
    path = tmp_path / "operation.toml"
    path.write_text(f'[[circuits]]\nname = "A"\n{block}\n')
    with pytest.raises(ConfigError, match=why):
        load_operation(path, load_site("japan_pilot"), GROUP_OF)

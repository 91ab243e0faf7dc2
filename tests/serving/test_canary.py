from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from gridhash.config import SiteConfig, load_site
from gridhash.serving.canary import FIRST_RIGS, Arming, Stage, stage_rigs
from gridhash.serving.drivers.protocol import Command
from gridhash.serving.findings import Alarm
from gridhash.serving.journal import Journal
from gridhash.serving.rig_status import RigStatus
from gridhash.serving.settings import ControllerSettings
from gridhash.serving.site_status import Mode
from tests.serving.bench import START, Bench, Build

SITE = load_site("japan_pilot")


def fleet(site: SiteConfig) -> list[list[RigStatus]]:
    settings = ControllerSettings()
    return [
        [
            RigStatus(f"{group.name}-{k}", group, (group.level_power_kw(1.0),), settings)
            for k in range(group.n_rigs)
        ]
        for group in site.groups
    ]


def test_stages_grow_from_three_rigs_over_a_rack_and_five_percent_to_all() -> None:
    groups = fleet(SITE)
    stages = [stage_rigs(groups, stage) for stage in Stage]
    assert [len(own) for own in stages] == [3, 14, 26, 537]
    assert all(lower < higher for lower, higher in pairwise(stages))
    full_kw = sum(rig.level_kw[-1] for rigs in groups for rig in rigs)
    share_kw = sum(rig.level_kw[-1] for rigs in groups for rig in rigs if rig.rig_id in stages[2])
    assert share_kw <= 0.05 * full_kw
    assert len({rig_id.rsplit("-", 1)[0] for rig_id in stages[0]}) == 3


def test_a_rack_is_the_one_that_the_site_names() -> None:
    groups = fleet(SITE)
    racks = {rig.rig_id: f"rack-{k // 5}" for rigs in groups for k, rig in enumerate(rigs)}
    chosen = stage_rigs(groups, Stage.RACK, racks)
    first = groups[0][0].rig_id
    assert {rig_id for rig_id in racks if racks[rig_id] == racks[first]} <= chosen


def flapping(build: Build, **more: object) -> Bench:
    """Return a site whose policy stops and starts everything every 40 minutes."""
    shares = [(2.0 / 3.0 * k, float(k % 2)) for k in range(40)]
    return build(*shares, **more)


def commanded(bench: Bench) -> set[str]:
    return {rig.rig_id for rig in bench.rigs.values() if rig.commands}


def test_each_stage_commands_its_rigs_alone_until_watts_have_verified_them(
    bench_of: Build,
) -> None:
    arming = Arming(Mode.LIVE)
    bench = flapping(bench_of, arming=arming)
    arming.govern(bench.controller.groups)
    arming.arm("Aoki", START)
    seen: list[tuple[int, int]] = []
    bench.play(
        3.0,
        (0.1, lambda: seen.append((int(arming.stage), len(commanded(bench))))),
        (0.5, lambda: seen.append((int(arming.stage), len(commanded(bench))))),
        (1.2, lambda: seen.append((int(arming.stage), len(commanded(bench))))),
    )
    assert seen[0] == (1, FIRST_RIGS)
    assert seen[1][0] == 2
    assert arming.stage is Stage.ALL
    assert len(commanded(bench)) == 8
    frame = bench.journal.frame("alarms")
    stages = list(frame[frame.kind == Alarm.STAGE].text)
    assert [int(text.split(":")[0]) for text in stages] == [2, 4]


def test_a_stage_with_a_rig_that_disobeys_is_not_left_until_a_person_clears_it(
    bench_of: Build,
) -> None:
    arming = Arming(Mode.LIVE)
    bench = flapping(bench_of, arming=arming)
    arming.govern(bench.controller.groups)
    arming.arm("Aoki", START)
    first = sorted(stage_rigs(bench.controller.groups, Stage.RIGS))[0]
    bench.rigs[first].obeys = False

    def heal() -> None:
        assert arming.stage is Stage.RIGS
        assert len(commanded(bench)) == FIRST_RIGS
        bench.rigs[first].obeys = True
        bench.controller.clear(first, person="Aoki")

    bench.play(5.0, (3.0, heal))
    assert arming.stage > Stage.RIGS


def test_arming_and_stage_outlive_the_run_and_disarming_ends_them(
    bench_of: Build, folder: Path
) -> None:
    arming = Arming(Mode.LIVE)
    bench = flapping(bench_of, arming=arming)
    bench.play(1.0, (0.0, lambda: armed(bench, arming)))
    stage = arming.stage
    assert stage > Stage.RIGS
    bench.journal.close()
    with Journal(folder / "journal.sqlite") as journal:
        again = Arming(Mode.LIVE)
        again.restore(journal)
        assert (again.person, again.stage) == ("Aoki", stage)
        shadow = Arming(Mode.SHADOW)
        shadow.restore(journal)
        assert shadow.mode is Mode.SHADOW
        journal.append_all([own.row(1) for own in again.disarm("Sato", START)])
        last = Arming(Mode.LIVE)
        last.restore(journal)
        assert last.mode is Mode.SHADOW


def armed(bench: Bench, arming: Arming) -> None:
    bench.controller._record(arming.arm("Aoki", bench.clock.now()))


def test_what_rigs_beyond_the_stage_draw_is_taken_off_the_cap(bench_of: Build) -> None:
    arming = Arming(Mode.LIVE)
    bench = flapping(bench_of, arming=arming)
    arming.govern(bench.controller.groups)
    arming.arm("Aoki", START)
    bench.play(0.1)
    decision = bench.controller.decision
    assert decision is not None
    assert decision.cap_kw - decision.rig_cap_kw == pytest.approx(5 * 8.064)


def test_disarmed_rigs_stay_as_they_are(bench_of: Build) -> None:
    bench = flapping(bench_of, arming=(arming := Arming.full(Mode.LIVE)))

    def disarm() -> None:
        bench.controller._record(arming.disarm("Sato", bench.clock.now()))

    bench.play(2.0, (0.5, disarm))
    assert bench.n_running() == 0
    assert {own for rig in bench.rigs.values() for _, own in rig.commands} == {Command.STOP}
    assert timedelta(hours=0.5) < bench.clock.now() - START

"""Commissioning measures what simulated rigs truly do, and leaves every rig as it was found."""

import asyncio
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from gridhash.config import SiteConfig, load_site
from gridhash.errors import ServingError
from gridhash.serving import commission_run
from gridhash.serving.clock import SimulatedClock
from gridhash.serving.commission_fixture import simulated_as
from gridhash.serving.commission_found import Was
from gridhash.serving.commission_progress import read_progress
from gridhash.serving.commission_run import CommissionRequest, commission_site
from gridhash.serving.commission_steps import TrialSettings
from gridhash.serving.commissioning_record import (
    CommissionedKind,
    CommissioningRecord,
    read_record,
    record_beside,
)
from gridhash.serving.drivers.capabilities import FirmwareName
from gridhash.serving.drivers.credentials import Credentials
from gridhash.serving.lease import Lease, LeaseHeld
from gridhash.serving.line_record import LineRecord
from gridhash.serving.rig_list import ListedRig
from gridhash.serving.simulated_fleet import SimulatedFleet
from gridhash.serving.simulated_model import (
    BRAIINS_S21,
    HYDRO_1566HA,
    LUXOS_S21,
    WHATSMINER_M63S,
    Change,
    RigFaults,
    RigMismatch,
    RigModel,
    WorkState,
)
from gridhash.serving.simulated_rig import SimulatedRig
from gridhash.serving.state_folder import StateFolder
from gridhash.serving.stop_signal import StopSignal

START = datetime(2026, 4, 1, tzinfo=UTC)
SETTINGS = TrialSettings(
    look_s=5.0,
    settle_s=10.0,
    n_standby=2,
    watch_s=40.0,
    reboot_watch_s=120.0,
    stop_limit_s=60.0,
    point_limit_s=90.0,
    resume_limit_s=300.0,
    restore_tries=2,
)
COARSE = replace(SETTINGS, look_s=15.0, watch_s=15.0)
"""Braiins' messages cost milliseconds each."""
PASSWORD = "canary-Zx81"
Step = Callable[[dict[str, SimulatedRig], StopSignal], None]


def site_of(*, levels: tuple[float, ...] = (1.0,), count: int = 3, **group: Any) -> SiteConfig:
    pilot = load_site("japan_pilot")
    own = pilot.groups[0].model_copy(
        update={
            "n_rigs": count,
            "load_levels": levels,
            "optional_work_levels": (),
            "boot_s": 60.0,
            "warm_up_s": 20.0,
            "standby_w": 33.0,
            **group,
        }
    )
    return pilot.model_copy(update={"groups": (own,)})


class Bench:
    """A fleet, its rig list and a commissioning of it, all on a stepped clock."""

    def __init__(self, folder: Path, base_address: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.base_address, self.monkeypatch = folder, base_address, monkeypatch
        self.said: list[str] = []
        self.rigs: dict[str, SimulatedRig] = {}

    @property
    def list_path(self) -> Path:
        return self.folder / "rigs.csv"

    @property
    def state(self) -> StateFolder:
        return StateFolder(self.folder / "state")

    def record(self, site: SiteConfig) -> CommissioningRecord:
        return read_record(self.list_path, site.name)

    def commission(
        self,
        site: SiteConfig,
        *,
        model: RigModel = HYDRO_1566HA,
        firmware: FirmwareName = FirmwareName.AVALON,
        faults: dict[str, RigFaults] | None = None,
        mismatch: RigMismatch | None = None,
        step: Step | None = None,
        consents: bool = True,
        restore_only: bool = False,
        settings: TrialSettings = SETTINGS,
        prepare: Callable[[dict[str, SimulatedRig]], object] = len,
    ) -> int:
        password = Credentials("", SecretStr(PASSWORD)) if model.password else None
        model = replace(model, password=PASSWORD if model.password else "")

        async def run() -> int:
            clock = SimulatedClock(START)
            fleet = SimulatedFleet.of_groups(
                site.groups,
                clock,
                base_address=self.base_address,
                model=model,
                faults=faults,
                mismatch=mismatch,
            )
            async with fleet:
                self.rigs = fleet.rigs
                prepare(fleet.rigs)
                rows = [
                    ListedRig(
                        rig_id=rig.rig_id,
                        group=rig.group.name,
                        address=rig.address,
                        firmware=firmware,
                        credentials=password,
                    )
                    for rig in fleet.rigs.values()
                ]
                self.monkeypatch.setattr(commission_run, "read_rig_list", lambda _: rows)
                request = CommissionRequest(
                    site=site,
                    rigs=self.list_path,
                    folder=self.state,
                    racks={},
                    person="Ada",
                    consents=consents,
                    restore_only=restore_only,
                    settings=settings,
                )
                stop = StopSignal()
                work = asyncio.create_task(
                    commission_site(request, clock, say=self.said.append, stop=stop)
                )
                while not work.done():
                    await clock.advance(5.0)
                    await asyncio.sleep(0)
                    if step is not None:
                        step(fleet.rigs, stop)
                return work.result()

        return asyncio.run(run())


@pytest.fixture
def bench(folder: Path, base_address: str, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(folder, base_address, monkeypatch)


def only_kind(record: CommissioningRecord) -> CommissionedKind:
    assert len(record.kinds) == 1
    return record.kinds[0]


def assert_all_run(rigs: dict[str, SimulatedRig]) -> None:
    for rig in rigs.values():
        assert rig.state is WorkState.WORK
        assert rig.true_power_w() == pytest.approx(
            rig.group.rig_power_w * rig.mismatch.power_factor
        )


def test_without_consent_nothing_is_commanded_and_the_plan_is_told(bench: Bench) -> None:
    assert bench.commission(site_of(), consents=False) == 0
    assert all(not rig.n_changes for rig in bench.rigs.values())
    assert "Nothing is commanded" in bench.said[0]
    assert not bench.state.path.exists()


def test_what_avalons_do_is_measured_and_read_back_by_serve(bench: Bench) -> None:
    site = site_of(levels=(0.6, 0.8, 1.0))
    skewed = {f"{site.groups[0].name}-002": RigFaults(clock_skew_s=3600.0)}

    assert bench.commission(site, faults=skewed) == 0

    kind = only_kind(bench.record(site))
    assert (kind.firmware, kind.model) == (FirmwareName.AVALON, HYDRO_1566HA.product)
    assert (kind.version, kind.n_rigs, kind.person) == (HYDRO_1566HA.firmware, 3, "Ada")
    assert kind.work_levels == (0, 1, 2)
    nameplate_w = site.groups[0].rig_power_w
    assert kind.points[0].power_w.p50 < 0.65 * nameplate_w < kind.running_w.p50
    assert kind.standby_w is not None
    assert kind.standby_w.p50 == 33.0
    assert kind.stop_s is not None
    assert 5.0 <= kind.stop_s.most <= 10.0
    assert kind.resume_s is not None
    assert 60.0 <= kind.resume_s.p50 <= 75.0
    assert kind.hash_s is not None
    assert kind.hash_s.p50 >= kind.resume_s.p50 + 15.0
    assert kind.clock_skew_s is not None
    assert kind.clock_skew_s.most == pytest.approx(3600.0, abs=2)
    assert kind.sleep_survives_reboot is False
    assert not kind.competing_manager
    assert_all_run(bench.rigs)
    assert {rig.work_level for rig in bench.rigs.values()} == {2}
    told = "\n".join(bench.said)
    assert "STARTS BY ITSELF" in told
    assert "standby_w = 33.0" in told


def test_an_avalon_that_knows_no_level_is_recorded_as_on_off(bench: Bench) -> None:
    assert bench.commission(site_of()) == 0
    assert only_kind(bench.record(site_of())).work_levels == ()


@pytest.mark.parametrize(
    ("model", "firmware", "survives", "n_points"),
    [
        (WHATSMINER_M63S, FirmwareName.WHATSMINER_V3, False, 2),
        (BRAIINS_S21, FirmwareName.BRAIINS, False, 2),
        (LUXOS_S21, FirmwareName.LUXOS, True, 5),
    ],
)
def test_other_firmwares_show_their_powers_and_their_sleep(
    bench: Bench, model: RigModel, firmware: FirmwareName, survives: bool, n_points: int
) -> None:
    assert bench.commission(site_of(), model=model, firmware=firmware, settings=COARSE) == 0
    kind = only_kind(bench.record(site_of()))
    assert kind.sleep_survives_reboot is survives
    assert len(kind.points) == n_points
    assert kind.work_levels == ()
    assert kind.points[0].power_w.p50 < 0.6 * kind.running_w.p50
    assert_all_run(bench.rigs)


def test_a_rig_that_lies_is_named_and_its_kind_is_not_written(bench: Bench) -> None:
    site = site_of()
    liar = f"{site.groups[0].name}-001"
    assert bench.commission(site, faults={liar: RigFaults(ignores_stop=True)}) == 1
    assert not record_beside(bench.list_path).exists()
    assert any(liar in line and "still ran" in line for line in bench.said)
    assert_all_run(bench.rigs)


def test_a_manager_that_starts_idle_rigs_is_found(bench: Bench) -> None:
    def manager(rigs: dict[str, SimulatedRig], _: StopSignal) -> None:
        rig = next(iter(rigs.values()))
        if rig.state is WorkState.IDLE:
            rig.change_by_hand(Change.START, rig.start)

    site = site_of(boot_s=10.0)
    bench.commission(site, step=manager, settings=replace(SETTINGS, settle_s=0.0, n_standby=1))
    assert any("SOMETHING ELSE" in line or "still ran" in line for line in bench.said)
    assert_all_run(bench.rigs)


def test_ctrl_c_brings_back_every_rig_and_the_next_call_goes_on(bench: Bench) -> None:
    def press(rigs: dict[str, SimulatedRig], stop: StopSignal) -> None:
        if any(rig.state is WorkState.IDLE for rig in rigs.values()):
            stop.request()

    assert bench.commission(site_of(), step=press) == 1
    assert any("ENDED EARLY: it was interrupted" in line for line in bench.said)
    assert_all_run(bench.rigs)
    assert not read_progress(bench.state.commissioning, START).left_behind
    assert bench.commission(site_of()) == 0
    assert only_kind(bench.record(site_of())).n_rigs == 3


def test_rigs_that_a_killed_run_left_stopped_are_brought_back_first(bench: Bench) -> None:
    site = site_of()
    left = f"{site.groups[0].name}-002"
    bench.state.path.mkdir()
    lines = LineRecord(bench.state.commissioning)
    was = Was(
        power_w=site.groups[0].rig_power_w,
        hashrate_ths=None,
        work_level=None,
        power_target_w=None,
        preset=None,
    )
    lines.write(START, "before", rig_id=left, was=was.model_dump(mode="json"))
    lines.close()

    code = bench.commission(site, restore_only=True, prepare=lambda rigs: rigs[left].stop())

    assert code == 0
    assert_all_run(bench.rigs)
    assert not read_progress(bench.state.commissioning, START).left_behind


def test_it_refuses_while_a_controller_holds_the_lease_or_stop_all_is_ordered(bench: Bench) -> None:
    bench.state.path.mkdir()
    lease = Lease(bench.state.lease, holder="a controller")
    lease.acquire(START)
    with pytest.raises(LeaseHeld):
        bench.commission(site_of())
    lease.release()
    bench.state.stop_all.write_text("{}")
    with pytest.raises(ServingError, match="stop-all"):
        bench.commission(site_of())
    assert all(not rig.n_changes for rig in bench.rigs.values())


def test_a_simulated_rig_made_of_the_record_is_measured_as_the_first_was(bench: Bench) -> None:
    first = site_of(standby_w=71.0, boot_s=95.0)
    bench.commission(first, mismatch=RigMismatch(power_factor=1.06))
    kind = only_kind(bench.record(first))

    model, group, mismatch = simulated_as(kind, HYDRO_1566HA, site_of().groups[0])
    again = first.model_copy(update={"groups": (group,)})
    os.remove(record_beside(bench.list_path))
    bench.commission(again, model=model, mismatch=mismatch)

    second = only_kind(bench.record(again))
    assert second.standby_w == kind.standby_w
    assert second.running_w == kind.running_w
    assert second.resume_s is not None
    assert kind.resume_s is not None
    assert second.resume_s.p50 == pytest.approx(kind.resume_s.p50, abs=SETTINGS.look_s)

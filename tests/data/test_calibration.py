import dataclasses
import importlib
import json
import re
import sqlite3
import sys
from collections.abc import Callable
from importlib import resources
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.image import imread
from rich.console import Console

from gridhash.config import SiteConfig, load_site
from gridhash.data.calibration.fits import Fit, NotIdentified
from gridhash.data.calibration.site_calibration import SiteCalibration, calibrate_site
from gridhash.data.calibration.telemetry import read_telemetry
from gridhash.data.calibration.toml import plain
from gridhash.errors import DataError, FileFormatError
from gridhash.serving.journal import Journal

FITTED = (
    "rig_power_w",
    "rig_hashrate_ths",
    "curve_b",
    "standby_w",
    "boot_s",
    "warm_up_s",
    "start_up_s",
    "chip_to_coolant_k_per_kw",
    "rig_heat_capacity_kj_per_k",
    "chip_time_constant_s",
)


# The study's scripts stand beside each other and are no package.
sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
known: Any = importlib.import_module("calibration_truth")
study: Any = importlib.import_module("calibration_world")
sys.path.pop(0)
Make = Callable[..., Path]


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Return a function that plays a group of rigs and returns their journal."""

    def played(site: SiteConfig, seed: int, **options: Any) -> Path:
        path = tmp_path_factory.mktemp("site") / "journal.sqlite"
        study.play(path, site, seed, **options)
        return path

    return played


def drawn(seed: int, n_rigs: int, *, work_levels: bool = True) -> SiteConfig:
    site: SiteConfig = known.drawn_site(
        np.random.default_rng([seed, 1]), n_rigs, work_levels=work_levels
    )
    return site


@pytest.fixture(scope="module")
def journal(make: Make) -> Path:
    return make(drawn(0, 6), 0, hours=7.0)


@pytest.fixture(scope="module")
def pilot() -> SiteConfig:
    site = load_site("japan_pilot")
    return site.model_copy(update={"groups": site.groups[:1]})


@pytest.fixture(scope="module")
def calibration(
    journal: Path, pilot: SiteConfig, tmp_path_factory: pytest.TempPathFactory
) -> SiteCalibration:
    return calibrate_site(journal, pilot, folder=tmp_path_factory.mktemp("plots") / "new")


def test_known_parameters_lie_in_their_intervals(calibration: SiteCalibration) -> None:
    inside = []
    for seed, found in ((0, calibration), (1, None), (2, None)):
        if found is None:
            found, truth = study.recovered(seed, n_rigs=6, hours=7.0)
        else:
            truth = known.truth_of(drawn(0, 6))
        for name in FITTED:
            own = found.groups[0][name].interval
            assert own is not None, name
            inside.append(own.low <= truth[name] <= own.high)
            # Neither end of a delay is told better than the ten seconds between two readings.
            coarse_s = 30.0 if name.endswith("_s") else 0.0
            assert own.high - own.low < max(0.4 * truth[name], coarse_s), name
    assert np.mean(inside) >= 0.9


def test_equal_rigs_with_exact_sensors_give_the_parameters_themselves(make: Make) -> None:
    site = drawn(3, 4)
    same = known.Spread(**dict.fromkeys([f.name for f in dataclasses.fields(known.Spread)], 0.0))
    path = make(site, 3, hours=5.0, sensors=known.EXACT, spread=same)
    [found] = calibrate_site(path, site, folder=None).groups
    truth = known.truth_of(site)
    within = {
        "curve_b": 1e-3,
        "rig_power_w": 1e-4,
        "rig_hashrate_ths": 1e-4,
        "standby_w": 0.5 / truth["standby_w"],
        "chip_to_coolant_k_per_kw": 0.03,
        "chip_time_constant_s": 0.05,
        "boot_s": 10.0 / truth["boot_s"],
        "start_up_s": 10.0 / truth["start_up_s"],
    }
    for name, share in within.items():
        own = found[name].interval
        assert own is not None, name
        assert own.value == pytest.approx(truth[name], rel=share), name
        assert own.low <= truth[name] * (1 + 1e-3), name
        assert truth[name] * (1 - 1e-3) <= own.high, name


def test_on_off_rigs_get_no_curve(make: Make, pilot: SiteConfig, tmp_path: Path) -> None:
    site = drawn(4, 4, work_levels=False)
    path = make(site, 4, hours=4.0, work_levels=False)
    result = calibrate_site(path, pilot, folder=tmp_path)
    [found] = result.groups
    for name in ("curve_a", "curve_b"):
        refused = found[name].result
        assert isinstance(refused, NotIdentified)
        assert "commission work levels" in refused.why
        assert found[name].to_json()["identified"] is False
        assert "value" not in found[name].to_json()
    truth = known.truth_of(site)
    for name in ("rig_power_w", "rig_hashrate_ths", "standby_w", "start_up_s"):
        own = found[name].interval
        assert own is not None
        assert own.value == pytest.approx(truth[name], rel=0.1)
    overrides = result.site_overrides()
    assert "curve_b = 0.35\n" in overrides
    assert re.search(r"standby_w = [\d.]+  # [\d.]+ … [\d.]+\n", overrides)


def test_rigs_that_never_stop_tell_no_start_and_no_standby(make: Make, pilot: SiteConfig) -> None:
    path = make(drawn(5, 3), 5, hours=4.0, stops=False)
    [found] = calibrate_site(path, pilot, folder=None).groups
    for name, advice in (
        ("standby_w", "stop some rigs"),
        ("boot_s", "stop and start some rigs"),
        ("warm_up_s", "stop and start some rigs"),
        ("start_up_s", "stop and start some rigs"),
    ):
        result = found[name].result
        assert isinstance(result, NotIdentified)
        assert advice in result.why
    assert found["curve_b"].interval is not None
    assert found["chip_to_coolant_k_per_kw"].interval is not None


def test_a_wrong_configured_boot_time_does_not_confirm_itself(
    make: Make, pilot: SiteConfig
) -> None:
    """Rigs that take 120 s miss the deadline of 90 s, so that every start is sent again."""
    site = drawn(7, 4, work_levels=False)
    slow = site.groups[0].model_copy(update={"boot_s": 120.0})
    site = site.model_copy(update={"groups": (slow,)})
    path = make(site, 7, hours=4.0, work_levels=False)
    result = calibrate_site(path, pilot, folder=None)
    [found] = result.groups
    own = found["boot_s"].interval
    assert own is not None
    assert own.low <= 120.0 <= own.high
    assert own.value == pytest.approx(120.0, rel=0.1)
    assert found.n_starts_again >= 8
    assert any("took more than one command" in note for note in result.notes)
    assert result.to_json()["groups"][0]["starts_by_several_commands"] == found.n_starts_again


def test_two_rigs_are_not_enough_for_an_interval(make: Make, pilot: SiteConfig) -> None:
    path = make(drawn(6, 2), 6, hours=3.0)
    [found] = calibrate_site(path, pilot, folder=None).groups
    assert all(isinstance(own.result, NotIdentified) for own in found.estimates)


def test_every_reading_is_accounted_for(
    journal: Path, calibration: SiteCalibration, pilot: SiteConfig
) -> None:
    with Journal(journal, read_only=True) as written:
        readings = written.frame("readings")
    counts = calibration.groups[0].counts
    assert counts.total == len(readings)
    assert counts.without["power_kw"] == readings.power_kw.isna().sum() > 0
    assert counts.not_numbers == (readings.not_numbers != "").sum() > 0
    assert counts.stale > 0
    assert calibration.groups[0].n_outliers > 0
    telemetry = read_telemetry(journal, ["loop_a"])
    assert sum(len(rig.at_s) for rig in telemetry.rigs) == counts.total - counts.stale


def test_rigs_whose_uptime_stands_still_in_standby_tell_their_standby(
    tmp_path: Path, journal: Path, calibration: SiteCalibration, pilot: SiteConfig
) -> None:
    path = tmp_path / "standing.sqlite"
    path.write_bytes(journal.read_bytes())
    with sqlite3.connect(path) as database:
        database.execute("DROP TRIGGER readings_no_update")
        database.execute("UPDATE readings SET uptime_s = 5000 WHERE hashrate_ths = 0")
    database.close()
    [found] = calibrate_site(path, pilot, folder=None).groups
    assert found.counts.stale <= calibration.groups[0].counts.stale
    for name in ("standby_w", "boot_s"):
        own, same = found[name].interval, calibration.groups[0][name].interval
        assert own is not None
        assert same is not None
        assert own.value == pytest.approx(same.value, rel=1e-3), name


def test_a_long_journal_is_read_from_its_newest_end(journal: Path) -> None:
    every = read_telemetry(journal, ["loop_a"])
    newest = read_telemetry(journal, ["loop_a"], most_readings=1000)
    assert newest.n_older + 1000 == every.counts["loop_a"].total
    assert newest.first_at > every.first_at
    assert newest.last_at == every.last_at


def test_the_journal_is_read_while_it_is_written_and_not_changed(
    tmp_path: Path, journal: Path, pilot: SiteConfig
) -> None:
    path = tmp_path / "copy.sqlite"
    path.write_bytes(journal.read_bytes())
    with Journal(path) as writer, writer.transaction():
        writer.append("alarms", run_id=1, at=study.START, kind="no price", text="")
        before = path.read_bytes()
        calibrate_site(path, pilot, folder=None)
        assert path.read_bytes() == before


def test_site_file_with_the_overrides_loads(
    tmp_path: Path, calibration: SiteCalibration, pilot: SiteConfig
) -> None:
    preset = resources.files("gridhash.presets").joinpath("japan_pilot.toml")
    head = preset.read_text(encoding="utf-8").partition("[[groups]]")[0]
    path = tmp_path / "site.toml"
    path.write_text(head + calibration.site_overrides(), encoding="utf-8")
    loaded = load_site(path)
    [found], [group] = calibration.groups, loaded.groups
    values = group.model_dump() | group.cooling.model_dump()
    names = [name for name in FITTED if name in values]
    assert len(names) == 8
    for name in [*names, "curve_a"]:
        own = found[name].interval
        assert own is not None
        assert own.low <= values[name] <= own.high, name
        assert values[name] == pytest.approx(own.value, rel=0.05)
    assert group.n_rigs == pilot.groups[0].n_rigs
    assert loaded.figures[-1].mark == "measured"
    assert "journal.sqlite" in loaded.figures[-1].source


def test_the_table_fits_a_terminal_and_names_what_is_missing(calibration: SiteCalibration) -> None:
    console = Console(width=100, record=True, file=StringIO())
    console.print(calibration.table())
    text = console.export_text()
    assert "…" not in re.sub(r" … ", " ", text)
    assert "not identifiable" in text
    assert "neither outdoor temperature" in " ".join(text.split())
    own = calibration.groups[0]["curve_b"].interval
    assert own is not None
    assert re.search(rf"curve_b +0\.35\*? +{plain(own.value, own)} +{plain(own.low, own)} … ", text)


def test_programs_read_everything(calibration: SiteCalibration) -> None:
    told = json.loads(json.dumps(calibration.to_json(), allow_nan=False))
    [group] = told["groups"]
    curve = group["parameters"]["curve_b"]
    assert curve["low_95"] < curve["value"] < curve["high_95"]
    assert curve["n_rigs"] == 6
    assert curve["n_readings"] > 1000
    assert set(curve["residuals"]) == {"unit", "rms", "greatest", "lag1"}
    a, b = group["parameters"]["curve_a"], curve
    assert a["value"] + b["value"] == pytest.approx(1.0)
    assert a["low_95"] + b["high_95"] == pytest.approx(1.0)


def test_a_plot_is_drawn(calibration: SiteCalibration) -> None:
    plot = calibration.groups[0].plot
    assert plot is not None
    image = imread(plot)
    assert image.shape[1] > 1200
    assert image.std() > 0.05


def test_residuals_say_what_the_sensors_are_like(calibration: SiteCalibration) -> None:
    warming = calibration.groups[0]["chip_time_constant_s"].result
    assert isinstance(warming, Fit)
    assert warming.residuals is not None
    # 0.5 K of noise and a whole degree's rounding of chip and coolant, and one reading in 500
    # that is 25 K wrong.
    assert 0.5 < warming.residuals.rms < 2.0


def test_what_is_no_journal_is_refused(tmp_path: Path, pilot: SiteConfig) -> None:
    with pytest.raises(DataError, match="there is no journal at"):
        calibrate_site(tmp_path / "none.sqlite", pilot, folder=None)
    text = tmp_path / "text.sqlite"
    text.write_text("not a database, but long enough to look at" * 20)
    with pytest.raises(FileFormatError, match="is no journal that can be read"):
        calibrate_site(text, pilot, folder=None)
    other = tmp_path / "other.sqlite"
    with sqlite3.connect(other) as database:
        database.execute("CREATE TABLE meta (format_version INTEGER)")
        database.execute("INSERT INTO meta VALUES (99)")
    database.close()
    with pytest.raises(FileFormatError, match="journal format 99; this gridhash reads up to"):
        calibrate_site(other, pilot, folder=None)


def test_a_journal_of_another_site_is_refused(journal: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the journal knows the groups loop_a"):
        calibrate_site(journal, load_site("texas_air"), folder=None)
    with Journal(tmp_path / "empty.sqlite"):
        pass
    with pytest.raises(DataError, match="the journal knows the groups none"):
        calibrate_site(tmp_path / "empty.sqlite", load_site("texas_air"), folder=None)


def test_groups_without_readings_are_named(journal: Path) -> None:
    notes = calibrate_site(journal, load_site("japan_pilot"), folder=None).notes
    assert "loop_b: the journal holds no reading of its rigs." in notes


def test_rigs_of_two_models_are_fitted_apart_and_change_nothing(
    tmp_path: Path, journal: Path, pilot: SiteConfig
) -> None:
    path = tmp_path / "mixed.sqlite"
    path.write_bytes(journal.read_bytes())
    with sqlite3.connect(path) as database:
        database.execute("DROP TRIGGER rigs_no_update")
        database.execute("UPDATE rigs SET model = 'AvalonMiner 15-194' WHERE id > 3")
    database.close()
    result = calibrate_site(path, pilot, folder=None)
    assert [(own.model, own.n_rigs) for own in result.groups] == [
        ("AvalonMiner 15-194", 3),
        ("AvalonMiner 1566HA-480", 3),
    ]
    assert any("loop_a holds rigs of 2 models" in note for note in result.notes)
    assert "  # " not in result.site_overrides()
    assert "[[figures]]" not in result.site_overrides()

"""The demo runs from prices to verified rigs, and says what became of each."""

import io
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from gridhash.config import load_site
from gridhash.data.samples import load_sample
from gridhash.demo import MARKER, faulty_rigs, liveliest_day, run_demo
from gridhash.envs.open_scenario import ScenarioRequest
from gridhash.envs.scenario import Scenario, build_scenario
from gridhash.errors import ServingError
from gridhash.serving.journal import Journal
from gridhash.training.config import ImitationSettings, PpoSettings, TrainingConfig
from gridhash.training.play import PolicyRun

pytestmark = pytest.mark.usefixtures("quick_tuning")
QUICK = TrainingConfig(
    hidden=(32,),
    imitation=ImitationSettings(n_samples=6000, n_price_shifts=2, n_epochs=6, batch_size=256),
    ppo=PpoSettings(n_iterations=2, n_critic_iterations=1, n_envs=16, n_steps=16, batch_size=64),
)


@pytest.fixture(scope="module")
def sample() -> Scenario:
    return build_scenario(load_site("europe_sample"), load_sample("nl_2018"))


def run_of(scenario: Scenario, on: np.ndarray) -> PolicyRun:
    """Return a run that draws full power where `on` is set, from local midnight on 1 October."""
    index = pd.date_range(
        "2018-09-30 22:00", periods=len(on), freq="5min", tz="UTC", name="start", unit="s"
    )
    frame = pd.DataFrame({"rig_kw": np.where(on, scenario.site.max_rig_kw, 10.0)}, index=index)
    return PolicyRun(name="learned", frame=frame)


def test_the_liveliest_day_has_the_most_transitions_counting_the_first_stop(
    sample: Scenario,
) -> None:
    """Off, but on in hours 26 to 30, 34 to 38, and from 42: five turns within 16 hours."""
    on = np.zeros(12 * 24 * 6, dtype=bool)
    for first, last in ((26, 30), (34, 38), (42, 144)):
        on[12 * first : 12 * last] = True

    day = liveliest_day(sample, run_of(sample, on))

    assert day.n_transitions == 5 + 1
    assert day.start == datetime(2018, 10, 1, 19, tzinfo=ZoneInfo("Europe/Amsterdam"))


def test_each_fault_is_in_another_group() -> None:
    at = datetime(2018, 11, 3, tzinfo=ZoneInfo("UTC"))

    faults = faulty_rigs(["loop_a", "loop_b", "loop_c", "loop_d"], at)

    assert list(faults) == ["loop_a-001", "loop_b-001", "loop_c-001", "loop_d-001"]
    assert faults["loop_a-001"][0].unreachable == "refused"
    assert faults["loop_b-001"][0].lies
    assert faults["loop_c-001"][0].clock_skew_s == -3600.0
    assert faults["loop_d-001"][0].restarted_at == at
    assert list(faulty_rigs(["only"], at)) == [f"only-00{k}" for k in (1, 2, 3, 4)]


def test_a_folder_that_no_demo_made_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")

    with pytest.raises(ServingError, match="files that no demo made"):
        run_demo(ScenarioRequest(), tmp_path, QUICK, 24, Console(file=io.StringIO()))

    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_the_demo_ends_with_every_command_verified_and_every_fault_named(tmp_path: Path) -> None:
    screen = io.StringIO()

    run_demo(ScenarioRequest(), tmp_path / "demo", QUICK, 24, Console(file=screen, width=100))

    text = screen.getvalue()
    for words in (
        "unreachable",
        "acknowledges and",
        "clock skew",
        "restarted by hand",
        "What is real and what is not",
        "report.html",
        "journal.sqlite",
    ):
        assert words in text
    figures = {
        line.split("│")[1].strip(): line.split("│")[2].strip()
        for line in text.splitlines()
        if line.count("│") == 3
    }
    commands, without_intent = figures["commands / without a prior durable intent"].split(" / ")
    assert int(commands) > 40
    assert int(without_intent) == 0
    assert figures["setpoints / outside the limits"].endswith(" / 0")
    verified = figures["power of obeying rigs verified within 60 s"]
    assert float(verified.rstrip("%")) >= 95.0
    assert float(figures["claimed of what was truly reduced"].rstrip("%")) >= 98.0
    assert figures["claimed from rigs that do not obey"] == "0.0 kWh"
    same, total = figures["decisions replayed to the same bits"].split(" of ")
    assert same == total
    assert {path.name for path in (tmp_path / "demo").iterdir()} >= {
        MARKER,
        "journal.sqlite",
        "report.html",
        "results.json",
        "training",
    }
    with Journal(tmp_path / "demo" / "journal.sqlite", read_only=True) as journal:
        assert len(journal.frame("runs").bundle_hash.iloc[0]) == 64
        decided = pd.to_datetime(journal.frame("decisions")["at"])
    assert decided.max() - decided.min() >= timedelta(hours=23)

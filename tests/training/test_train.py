"""`gridhash train` leaves a bundle that a site accepts, and survives being killed."""

import io
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from gridhash.agents.bundle import LoadedBundle, load_bundle
from gridhash.agents.bundle_files import WEIGHTS
from gridhash.agents.bundle_manifest import RuleSpec
from gridhash.agents.day_ahead_dp import DayAheadDP
from gridhash.agents.rules import LevelRule
from gridhash.agents.signing import read_public_key
from gridhash.envs.batched_site import BatchedSite, EpisodeRules
from gridhash.envs.open_scenario import ScenarioRequest
from gridhash.envs.scenario import Scenario, build_scenario
from gridhash.errors import ConfigError, TrainingError
from gridhash.training.config import TrainingConfig
from gridhash.training.play import play
from gridhash.training.progress import CURVE_NAME
from gridhash.training.spans import Spans, ending_before

pytest.importorskip("stable_baselines3")

import torch

from gridhash.training import checkpoint
from gridhash.training.train import TrainingResult, train_on, train_policy

pytestmark = pytest.mark.usefixtures("quick_tuning")
SETTINGS = """
hidden = [16]
validate_every = 1
[imitation]
n_samples = 300
n_price_shifts = 3
n_epochs = 2
batch_size = 100
[ppo]
n_iterations = 20
n_critic_iterations = 3
n_envs = 4
n_steps = 32
batch_size = 64
n_epochs = 2
learning_rate = 1e-3
max_kl_to_clone = 1e6
episode_days = 0.25
"""
START, VALIDATE, TEST, END = "2018-01-08", "2018-02-06", "2018-02-21", "2018-03-01"


def console() -> Console:
    """Return a console that writes to a file, as in a log."""
    return Console(file=io.StringIO(), width=100)


def said(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@dataclass(frozen=True)
class Run:
    folder: Path
    result: TrainingResult
    text: str


@pytest.fixture(scope="module")
def run(
    four_weeks: Scenario,
    four_week_spans: Spans,
    tiny_training: TrainingConfig,
    tmp_path_factory: pytest.TempPathFactory,
) -> Run:
    folder = tmp_path_factory.mktemp("runs") / "deep" / "run"
    log = console()
    result = train_on(four_weeks, four_week_spans, tiny_training, folder, resume=False, console=log)
    return Run(folder, result, said(log))


@pytest.fixture(scope="module")
def loaded(run: Run, four_weeks: Scenario) -> LoadedBundle:
    key = read_public_key(run.result.public_key)
    return load_bundle(run.result.bundle, site=four_weeks.site, trusted_keys=[key])


def test_the_bundle_acts_as_the_policy_that_was_trained(
    run: Run, loaded: LoadedBundle, four_weeks: Scenario
) -> None:
    sites = BatchedSite(four_weeks, 64, EpisodeRules(episode_days=1.0))
    sites.draw_starts(np.arange(64), np.random.default_rng(0))
    observation = sites.observe()

    np.testing.assert_array_equal(loaded[0].act(observation), run.result.policy.act(observation))
    assert run.result.bundle.parent == run.folder
    assert run.result.public_key.parent == run.folder


def test_the_bundle_says_how_it_came_about(
    loaded: LoadedBundle,
    four_weeks: Scenario,
    four_week_spans: Spans,
    tiny_training: TrainingConfig,
) -> None:
    provenance = loaded[1].provenance
    starts = four_weeks.trace.starts

    assert provenance.seed == tiny_training.seed
    assert TrainingConfig.model_validate(provenance.training) == tiny_training
    assert [span.role for span in provenance.data] == ["train", "validate"]
    for span, rows in zip(
        provenance.data, (four_week_spans.train, four_week_spans.validate), strict=True
    ):
        assert (span.start, span.end) == (starts[rows[0]], starts[rows[1]])
        assert span.source == four_weeks.trace.source
    seen = ending_before(four_weeks, four_week_spans.validate[1])
    expected = {
        f"validation_profit_{policy.name}": play(seen, policy, four_week_spans.validate).profit
        for policy in (LevelRule(seen.site), DayAheadDP(seen.site))
    }
    scores = dict(provenance.scores)
    learned = scores.pop("validation_profit_learned")
    assert scores == expected
    assert learned == play(seen, loaded[0], four_week_spans.validate).profit
    assert provenance.torch_version == torch.__version__


def test_what_may_command_rigs_is_the_policy_or_the_best_tuned_rule(
    run: Run, loaded: LoadedBundle, four_weeks: Scenario
) -> None:
    """Two epochs of cloning make no policy that beats the look-ahead rule."""
    released = run.result.release
    key = read_public_key(run.result.public_key)
    rule = load_bundle(released.deployable, site=four_weeks.site, trusted_keys=[key])

    assert loaded.manifest.verdict == released.verdict
    assert not loaded.manifest.deployable
    assert released.deployable.parent == run.folder / "rule"
    assert rule.manifest.deployable
    assert isinstance(rule.manifest.policy, RuleSpec)
    assert rule.manifest.policy == released.verdict.rule
    assert rule.manifest.provenance.data == loaded.manifest.provenance.data
    assert rule.manifest.verdict is not None
    assert rule.manifest.verdict.over_rule is None
    assert "Not deployable: " in run.text
    assert released.deployable.name in run.text


def test_the_held_out_span_decides_no_score(
    four_weeks: Scenario, four_week_spans: Spans, tiny_training: TrainingConfig, tmp_path: Path
) -> None:
    """After a dear evening, a start in the last hour pays only if what follows is cheap."""
    end = four_week_spans.validate[1]
    ppo = tiny_training.ppo.model_copy(update={"n_iterations": 0})
    config = tiny_training.model_copy(update={"ppo": ppo})
    scores = []
    planned = []
    for later_price in (0.02, 0.4):
        prices = four_weeks.trace.column("price_per_kwh")
        prices[end - 6 : end] = [0.2, 0.2, 0.2, 0.2, 0.2, 0.049]
        prices[end:] = later_price
        trace = four_weeks.trace.with_columns({"price_per_kwh": prices})
        scenario = build_scenario(four_weeks.site, trace)
        folder = tmp_path / str(later_price)
        result = train_on(
            scenario, four_week_spans, config, folder, resume=False, console=console()
        )
        key = read_public_key(result.public_key)
        manifest = load_bundle(result.bundle, site=scenario.site, trusted_keys=[key])[1]
        scores.append(manifest.provenance.scores)
        planned.append(play(scenario, DayAheadDP(scenario.site), four_week_spans.validate).profit)

    assert scores[0] == scores[1]
    assert planned[0] != planned[1], "who sees the held-out prices plans otherwise"


def test_the_curve_on_disk_is_the_curve_returned(run: Run) -> None:
    curve = pd.read_csv(run.folder / CURVE_NAME)

    pd.testing.assert_frame_equal(curve, run.result.curve, rtol=1e-12)
    assert curve["phase"].tolist() == ["clone", "clone", "clone", "ppo", "ppo"]
    assert curve["validation_profit"].notna().tolist() == [False, False, True, True, True]
    assert curve["agreement"].dropna().between(0.0, 1.0).all()


def test_tensorboard_can_read_the_run(run: Run) -> None:
    files = list((run.folder / "tensorboard").glob("events.out.tfevents.*"))

    assert len(files) == 1
    content = files[0].read_bytes()
    for tag in (b"clone/agreement", b"clone/validation_profit", b"ppo/kl_to_clone", b"train/loss"):
        assert tag in content, tag


def test_progress_in_a_log_is_a_few_plain_lines(run: Run) -> None:
    lines = run.text.splitlines()

    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", run.text), "no control characters"
    assert len(lines) <= 7
    assert lines[0].startswith("europe_sample on SMARD day-ahead nl_2018.csv, seed")
    assert lines[-2].startswith("Kept the policy of validation")
    assert lines[-1].startswith(("Deployable: it earns", "Not deployable: it "))
    for line, (phase, steps) in zip(
        lines[1:-2],
        [("clone the plan", "2/2"), ("warm the critic", "2/2"), ("improve by PPO", "4/4")],
        strict=False,
    ):
        assert line.startswith(phase)
        assert steps in line
    assert "EUR" in lines[3]


def test_a_folder_that_holds_a_run_is_left_alone(
    run: Run, four_weeks: Scenario, four_week_spans: Spans, tiny_training: TrainingConfig
) -> None:
    before = contents(run.folder)

    with pytest.raises(TrainingError, match="holds a run already: go on with --resume"):
        train_on(
            four_weeks, four_week_spans, tiny_training, run.folder, resume=False, console=console()
        )

    assert contents(run.folder) == before


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_resuming_where_nothing_is_makes_no_folder(
    tmp_path: Path, four_weeks: Scenario, four_week_spans: Spans, tiny_training: TrainingConfig
) -> None:
    folder = tmp_path / "none"

    with pytest.raises(TrainingError, match="does not exist: start without --resume"):
        train_on(four_weeks, four_week_spans, tiny_training, folder, resume=True, console=console())

    assert not folder.exists()


def test_a_file_cannot_be_a_run_folder(
    tmp_path: Path, four_weeks: Scenario, four_week_spans: Spans, tiny_training: TrainingConfig
) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("kept")

    with pytest.raises(TrainingError, match=r"notes\.txt cannot be made a run folder"):
        train_on(four_weeks, four_week_spans, tiny_training, path, resume=False, console=console())

    assert path.read_text() == "kept"


@pytest.mark.parametrize("name", ["九州", "_Kyushu.1/../№2 " + 200 * "x"])
def test_a_site_of_any_name_gets_its_bundle(
    name: str,
    tmp_path: Path,
    four_weeks: Scenario,
    four_week_spans: Spans,
    tiny_training: TrainingConfig,
) -> None:
    scenario = build_scenario(four_weeks.site.model_copy(update={"name": name}), four_weeks.trace)
    ppo = tiny_training.ppo.model_copy(update={"n_iterations": 0})
    config = tiny_training.model_copy(update={"ppo": ppo, "seed": 2**32 - 1})

    result = train_on(scenario, four_week_spans, config, tmp_path, resume=False, console=console())

    key = read_public_key(result.public_key)
    manifest = load_bundle(result.bundle, site=scenario.site, trusted_keys=[key])[1]
    assert manifest.site_name == name
    assert result.bundle.parent == tmp_path


def test_wrong_settings_are_named_before_anything_is_written(tmp_path: Path) -> None:
    settings = tmp_path / "training.toml"
    settings.write_text("[ppo]\nn_env = 3\n")
    folder = tmp_path / "run"

    with pytest.raises(ConfigError, match=r"unknown key ppo\.n_env"):
        train_policy(
            ScenarioRequest(prices="nl_2018"),
            folder=folder,
            settings=settings,
            seed=0,
            validate_from=None,
            test_from=None,
            resume=False,
            console=console(),
        )

    assert not folder.exists()


def test_a_run_killed_in_the_middle_resumes_to_the_same_policy(tmp_path: Path) -> None:
    settings = tmp_path / "training.toml"
    settings.write_text(SETTINGS)
    command = [sys.executable, "-m", "gridhash", "train", "--prices", "nl_2018", "--seed", "6"]
    command += ["--start", START, "--end", END, "--validate-from", VALIDATE, "--test-from", TEST]
    command += ["--settings", str(settings), "--out"]
    killed = tmp_path / "killed"
    with subprocess.Popen([*command, str(killed)], stdout=subprocess.DEVNULL) as process:
        wait_for_checkpoints(killed / checkpoint.FILE_NAME, 8, process)
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait(timeout=30) == -signal.SIGKILL
    assert not list(killed.glob("*.bundle")), "killed before its end"

    done = subprocess.run(
        [*command, str(killed), "--resume"], capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stderr) == (0, "")
    whole = train_policy(
        ScenarioRequest(prices="nl_2018", start=START, end=END),
        folder=tmp_path / "whole",
        settings=settings,
        seed=6,
        validate_from=VALIDATE,
        test_from=TEST,
        resume=False,
        console=console(),
    )

    again = subprocess.run(
        [*command, str(killed), "--resume"], capture_output=True, text=True, timeout=120
    )
    assert (again.returncode, again.stderr) == (0, "")
    assert "This run had finished before; its bundle is kept" in again.stdout
    assert again.stdout.splitlines()[-3:] == done.stdout.splitlines()[-3:]
    (bundle,) = killed.glob("*.bundle")
    assert bundle.name in "".join(done.stdout.split())  # long paths are wrapped
    assert (bundle / WEIGHTS).read_bytes() == (whole.bundle / WEIGHTS).read_bytes()
    assert (killed / CURVE_NAME).read_bytes() == (tmp_path / "whole" / CURVE_NAME).read_bytes()
    final, expected = (last_state(folder) for folder in (killed, tmp_path / "whole"))
    assert final.keys() == expected.keys()
    for name, tensor in final.items():
        assert torch.equal(tensor, expected[name]), name


def wait_for_checkpoints(path: Path, n: int, process: "subprocess.Popen[bytes]") -> None:
    """Return once a file has been replaced n times."""
    seen: set[tuple[int, int]] = set()
    deadline = time.monotonic() + 120.0
    while len(seen) < n:
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline
        if path.exists():
            stat = path.stat()
            seen.add((stat.st_ino, stat.st_mtime_ns))
        time.sleep(0.002)


def last_state(folder: Path) -> dict[str, torch.Tensor]:
    """Return the weights of a folder's checkpoint, whosever run it is."""
    content = (folder / checkpoint.FILE_NAME).read_bytes().split(b"\n", 1)[1]
    state: dict[str, torch.Tensor] = torch.load(io.BytesIO(content), weights_only=False)["values"][
        "policy"
    ]
    return state

"""A search goes by validation alone, and neither a kill nor Ctrl-C loses what it found."""

import io
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

pytest.importorskip("stable_baselines3")
pytest.importorskip("optuna")

import optuna
from optuna.trial import TrialState

from gridhash.envs.open_scenario import ScenarioRequest
from gridhash.errors import ConfigError, TrainingError
from gridhash.training import trial as trial_module
from gridhash.training.config import load_training_config
from gridhash.training.learner import Learner
from gridhash.training.opened import open_for_training
from gridhash.training.search_space import load_space
from gridhash.training.tune import BEST_NAME, TuneOptions, tune

SETTINGS = """
hidden = [8]
validate_every = 1
[imitation]
n_samples = 200
n_price_shifts = 2
n_epochs = 2
batch_size = 100
[ppo]
n_iterations = 5
n_critic_iterations = 1
n_envs = 2
n_steps = 16
batch_size = 32
n_epochs = 1
max_kl_to_clone = 1e6
episode_days = 0.25
"""
SPACE = """
hidden = [[8], [4]]
imitation.learning_rate = { low = 1e-3, high = 1e-1, log = true }
ppo.learning_rate = { low = 1e-5, high = 1e-3, log = true }
"""
REQUEST = ScenarioRequest(start="2018-01-08", end="2018-03-01")
VALIDATE, TEST = "2018-02-06", "2018-02-21"
N_TRIALS = 4
RUN = f"""
import io, sys
from pathlib import Path
from rich.console import Console
from gridhash.envs.open_scenario import ScenarioRequest
from gridhash.training.tune import TuneOptions, tune
folder = Path(sys.argv[1])
tune(
    {REQUEST!r},
    TuneOptions(
        folder=folder / "run",
        n_trials={N_TRIALS},
        settings=folder / "settings.toml",
        space=folder / "space.toml",
        pruner="none",
        validate_from="{VALIDATE}",
        test_from="{TEST}",
    ),
    console=Console(file=io.StringIO()),
)
"""


def console() -> Console:
    return Console(file=io.StringIO(), width=120)


def said(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def options(folder: Path, **changes: Any) -> TuneOptions:
    folder.mkdir(exist_ok=True)
    (folder / "settings.toml").write_text(SETTINGS, encoding="utf-8")
    (folder / "space.toml").write_text(SPACE, encoding="utf-8")
    values: dict[str, Any] = {
        "folder": folder / "run",
        "n_trials": N_TRIALS,
        "settings": folder / "settings.toml",
        "space": folder / "space.toml",
        "pruner": "none",
        "validate_from": VALIDATE,
        "test_from": TEST,
    }
    return TuneOptions(**(values | changes))


def outcomes(study: optuna.Study) -> list[tuple[dict[str, Any], float | None]]:
    """Return settings and profit of the trials that were not cut off, in their order."""
    return [(t.params, t.value) for t in study.trials if t.state != TrialState.FAIL]


@dataclass(frozen=True)
class Searched:
    folder: Path
    study: optuna.Study
    text: str


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Searched:
    folder = tmp_path_factory.mktemp("tune")
    screen = console()
    study = tune(REQUEST, options(folder), console=screen)
    return Searched(folder, study, said(screen))


def test_the_first_trial_has_the_settings_it_began_with(searched: Searched) -> None:
    base = load_training_config(searched.folder / "settings.toml")

    first = searched.study.trials[0]

    assert first.params == load_space(searched.folder / "space.toml", base).values_of(base)
    assert searched.study.best_value >= (first.value or 0.0)
    assert len({str(params) for params, _ in outcomes(searched.study)}) == N_TRIALS


def test_best_toml_trains_the_very_policy_that_was_found(
    searched: Searched, tmp_path: Path
) -> None:
    opened = open_for_training(REQUEST, validate_from=VALIDATE, test_from=TEST)
    config = load_training_config(searched.folder / "run" / BEST_NAME)

    learner = Learner(opened.scenario, opened.spans, config, tmp_path)
    learner.run(lambda *_: None)

    assert learner.state.best_validation == searched.study.best_value


def test_the_screen_ends_with_the_best_trials_and_what_was_searched(searched: Searched) -> None:
    assert f"Best trials of europe_sample ({N_TRIALS} finished, 0 pruned" in searched.text
    assert re.search(rf"│ +{searched.study.best_trial.number} │ +[\d,]+ │", searched.text)
    for key in ("hidden", "imitation.learning_rate", "ppo.learning_rate"):
        assert key in searched.text


def test_after_a_kill_the_search_goes_on_as_if_nothing_had_happened(
    searched: Searched, tmp_path: Path
) -> None:
    killed = options(tmp_path)
    process = subprocess.Popen([sys.executable, "-c", RUN, str(tmp_path)])
    third = killed.folder / "trials" / "2" / "checkpoint.pt"
    deadline = time.monotonic() + 240
    while not third.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    screen = console()

    study = tune(REQUEST, replace(killed, n_trials=N_TRIALS - 2), console=screen)

    assert "2 trials are there already; 1 were cut off and run again" in said(screen)
    assert [t.state for t in study.trials].count(TrialState.FAIL) == 1
    assert study.trials[2].state == TrialState.FAIL
    assert study.trials[3].user_attrs["first"] == 2
    assert outcomes(study) == outcomes(searched.study)
    assert not any((killed.folder / "trials").iterdir())


def test_ctrl_c_ends_in_order_and_two_calls_are_one_search(
    searched: Searched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = options(tmp_path, storage=f"journal:{tmp_path / 'shared.journal'}")
    iterate, n_left = Learner._iterate, [7]

    def interrupted(self: Learner, progress: Any) -> None:
        n_left[0] -= 1
        if n_left[0] == 0:
            os.kill(os.getpid(), signal.SIGINT)
        iterate(self, progress)

    monkeypatch.setattr(Learner, "_iterate", interrupted)
    screen = console()
    with pytest.raises(KeyboardInterrupt):
        tune(REQUEST, begun, console=screen)
    assert "Stopped; the same command goes on" in said(screen)

    study = tune(REQUEST, replace(begun, n_trials=N_TRIALS - 1), console=console())

    assert outcomes(study) == outcomes(searched.study)


def test_a_hopeless_trial_is_ended_by_its_validations(
    searched: Searched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def after_two() -> optuna.pruners.BasePruner:
        return optuna.pruners.ThresholdPruner(lower=1e12, n_warmup_steps=1)

    monkeypatch.setitem(trial_module.PRUNERS, "median", after_two)
    screen = console()

    study = tune(REQUEST, options(tmp_path, n_trials=1, pruner="median"), console=screen)

    assert [t.state for t in study.trials] == [TrialState.PRUNED]
    assert list(study.trials[0].intermediate_values) == [0, 1]
    assert "pruned after 2 validations" in said(screen)
    assert not (tmp_path / "run" / BEST_NAME).exists()


def test_a_study_is_not_mixed_with_another_search(searched: Searched) -> None:
    again = options(searched.folder, n_trials=1)
    other = replace(again, validate_from="2018-02-05")
    with pytest.raises(TrainingError, match="belongs to another search; these differ: spans"):
        tune(REQUEST, other, console=console())
    with pytest.raises(TrainingError, match="these differ: prices, spans"):
        tune(replace(REQUEST, start="2018-01-07"), again, console=console())


def test_settings_that_always_fail_end_the_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise ValueError("weights ran away")

    monkeypatch.setattr(Learner, "run", fails)
    with pytest.raises(TrainingError, match="5 trials failed one after another, the last: weights"):
        tune(REQUEST, options(tmp_path, n_trials=9), console=console())


def test_a_space_without_effect_and_a_wrong_storage_are_refused(tmp_path: Path) -> None:
    wanted = options(tmp_path)
    (tmp_path / "space.toml").write_text("improvement.n_states = [10, 20]")
    with pytest.raises(ConfigError, match="nothing that the space names changes a run on europe"):
        tune(REQUEST, wanted, console=console())
    wanted = options(tmp_path, storage="nonsense")
    with pytest.raises(ConfigError, match="--storage nonsense: cannot be opened"):
        tune(REQUEST, wanted, console=console())

"""One trial of a search: train with what was drawn, tell each validation, stop where told to."""

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import optuna
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner
from optuna.samplers import RandomSampler
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from pydantic import JsonValue
from sqlalchemy.exc import SQLAlchemyError

from gridhash.agents.policy import Policy
from gridhash.envs.scenario import Scenario
from gridhash.errors import ConfigError, GridhashError
from gridhash.training import checkpoint
from gridhash.training.cluster import Job
from gridhash.training.config import TrainingConfig
from gridhash.training.learner import Learner
from gridhash.training.progress import Progress, silent
from gridhash.training.search_space import with_values
from gridhash.training.spans import Spans

PrunerName = Literal["median", "hyperband", "none"]
PRUNERS: dict[PrunerName, Callable[[], BasePruner]] = {
    # The clone's validation alone says little of what plays and PPO make of it.
    "median": lambda: MedianPruner(n_startup_trials=5, n_warmup_steps=1),
    "hyperband": HyperbandPruner,
    "none": NopPruner,
}
JOURNAL = "journal:"
TRIALS_FOLDER = "trials"


@dataclass(frozen=True, kw_only=True)
class TrialWork:
    """What all trials of a search share; it travels to every worker."""

    scenario: Scenario
    """Ends with the validation span: no trial can look at the test."""
    spans: Spans
    base: TrainingConfig
    rule: Policy | None
    """Where every trial begins, if `base` says so."""
    variants: tuple[Scenario, ...]
    folder: Path
    """Run folder of the search, where running trials keep their checkpoints."""
    storage: str
    study: str
    pruner: PrunerName


def run_trial(work: TrialWork, job: Job, show: Progress = silent) -> JsonValue:
    """Train with the values of ``job["values"]``; return how trial ``job["number"]`` ended.

    The best validation so far is told to the study after each validation, and the trial ends where
    the pruner says so. A trial that was cut off goes on from the checkpoint of ``job["first"]``,
    the number that it had first. ``profit`` of the result is None if the trial failed or was
    pruned, ``error`` says why it failed.
    """
    started = time.perf_counter()
    trial, n_told = _trial(work, job)
    folder = work.folder / TRIALS_FOLDER / str(job["first"])
    values = job["values"]
    assert isinstance(values, dict)
    profit: float | None = None
    error: str | None = None
    n_validations = n_told

    def watch(phase: str, done: int, total: int, validated: float | None) -> None:
        nonlocal n_validations
        show(phase, done, total, validated)
        if validated is None:
            return
        profits = [
            record.values["validation_profit"]
            for record in learner.state.records
            if "validation_profit" in record.values
        ]
        for step in range(n_validations, len(profits)):
            trial.report(max(profits[: step + 1]), step)
        n_validations = len(profits)
        if trial.should_prune():
            raise optuna.TrialPruned

    try:
        config = with_values(work.base, values)  # type: ignore[arg-type]  # values of JSON
        folder.mkdir(parents=True, exist_ok=True)
        learner = Learner(
            work.scenario, work.spans, config, folder, variants=work.variants, rule=work.rule
        )
        learner.run(watch, resume=(folder / checkpoint.FILE_NAME).exists())
        profit = learner.kept_validation
    except optuna.TrialPruned:
        pass
    except (GridhashError, ValueError) as err:
        # ValueError: settings under which weights run away end in torch's check of a distribution.
        error = str(err).splitlines()[0]
    shutil.rmtree(folder, ignore_errors=True)
    return {
        "profit": profit,
        "error": error,
        "n_validations": n_validations,
        "seconds": round(time.perf_counter() - started, 1),
    }


def _trial(work: TrialWork, job: Job) -> tuple[optuna.Trial, int]:
    """Return the running trial of the study and how many validations it has been told of."""
    storage = open_storage(work.storage)
    study = optuna.load_study(
        study_name=work.study,
        storage=storage,
        sampler=RandomSampler(),  # draws nothing: the values are in the job
        pruner=PRUNERS[work.pruner](),
    )
    number = job["number"]
    assert isinstance(number, int)
    study_id = storage.get_study_id_from_name(work.study)
    trial_id = storage.get_trial_id_from_study_id_trial_number(study_id, number)
    told = storage.get_trial(trial_id).intermediate_values
    return optuna.Trial(study, trial_id), len(told)


def open_storage(url: str) -> BaseStorage:
    """Return the Optuna storage at a URL of SQLAlchemy, or of ``journal:FILE`` on a shared disk.

    Raises
    ------
    ConfigError
        If it is no URL, its driver is not installed, or no database answers.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        if url.startswith(JOURNAL):
            return JournalStorage(JournalFileBackend(url.removeprefix(JOURNAL)))
        return RDBStorage(url)
    except (SQLAlchemyError, ImportError, ValueError, OSError) as err:
        raise ConfigError(
            f"--storage {url}: cannot be opened ({str(err).splitlines()[0]}); write "
            "sqlite:///FILE, journal:FILE, or the URL of a database whose driver is installed"
        ) from err

"""`gridhash tune`: search training settings for the profit on the validation span.

This process asks the study for settings and tells it how trials end; workers, here or on a Ray
cluster, train and report every validation to the same storage. The span that judges is cut off
before any trial sees the data.
"""

import hashlib
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import optuna
from optuna.samplers import TPESampler
from optuna.trial import FrozenTrial, TrialState
from rich.console import Console

from gridhash.agents.day_ahead_dp import DayAheadDP
from gridhash.agents.rules import LevelRule
from gridhash.data.store.files import sole_writer
from gridhash.errors import ConfigError, DataError, TrainingError
from gridhash.training.cluster import Job, Workers
from gridhash.training.config import TrainingConfig, load_training_config
from gridhash.training.improvement import usual_rounds
from gridhash.training.learn import found_start, variants_of
from gridhash.training.opened import Named, Opened, open_for_training
from gridhash.training.play import play
from gridhash.training.search_space import SearchSpace, load_space
from gridhash.training.trial import JOURNAL, PrunerName, TrialWork, open_storage, run_trial
from gridhash.training.tune_screen import Screen, best_table, parameter_table, write_best
from gridhash.training.tuned_rules import RULES_NAME

BEST_NAME = "best.toml"
TRIALS_NAME = "trials.csv"
LOCK_NAME = "tune.lock"
SEARCH_ID_NAME = "search-id"
MOST_FAILURES = 5
"""Trials that may fail one after another before the search gives up."""
OF_SHADOW_PRICES = ("sharpness_per_start", "shadow_penalty", "level_shadow_penalty")
"""Settings of imitation that other actions do not have."""
SETTLED = (TrialState.COMPLETE, TrialState.PRUNED)


@dataclass(frozen=True, kw_only=True)
class TuneOptions:
    """What `gridhash tune` was told beside the scenario."""

    folder: Path
    n_trials: int = 20
    """Trials to finish in this call; those of earlier calls are not counted."""
    settings: Path | None = None
    space: Path | None = None
    storage: str | None = None
    """In the run folder where None: SQLite, or a journal file with Ray."""
    study: str | None = None
    pruner: PrunerName = "median"
    seed: int = 0
    """Of what is drawn; the seed of the training runs is that of `settings`."""
    validate_from: str | None = None
    test_from: str | None = None
    workers: Workers = field(default_factory=Workers)


def tune(request: Named, options: TuneOptions, *, console: Console) -> optuna.Study:
    """Search training settings and write the best to ``best.toml`` in the run folder.

    Ends in order on Ctrl-C; run again, it goes on in the same study. Trials that an earlier call
    left running are marked failed and done first, from their checkpoints.

    Raises
    ------
    ConfigError
        If settings, space or storage are wrong.
    TrainingError
        If the folder or the study belongs to another search, or `MOST_FAILURES` trials failed.
    """
    storage_url = _storage_url(options)
    opened = open_for_training(
        request, validate_from=options.validate_from, test_from=options.test_from
    )
    scenario = opened.config.name if opened.config is not None else None
    base = load_training_config(options.settings, scenario=scenario)
    base = _with_rounds(base, opened)
    space = _useful(load_space(options.space, base), base, opened)
    try:
        options.folder.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise TrainingError(
            f"{options.folder} cannot be made a run folder: {err.strerror}"
        ) from err
    try:
        with sole_writer(options.folder / LOCK_NAME, wait_s=0.0):
            return _Search(opened, base, space, storage_url, options, console).run()
    except DataError as err:
        raise TrainingError(f"a search runs in this folder already: {err}") from err


class _Search:
    """A study and this process's part in it."""

    def __init__(
        self,
        opened: Opened,
        base: TrainingConfig,
        space: SearchSpace,
        storage_url: str,
        options: TuneOptions,
        console: Console,
    ) -> None:
        self.options, self.space, self.console = options, space, console
        self.search_id = _search_id(options.folder)
        self.scenario = opened.seen_in_training
        name = options.study or opened.name
        self.storage = open_storage(storage_url)
        self.study = optuna.create_study(
            study_name=name,
            storage=self.storage,
            direction="maximize",
            load_if_exists=True,
        )
        self._require_same(opened, base)
        kept = options.folder / RULES_NAME
        start = found_start(self.scenario, opened.spans, base, kept, console=console)
        self.work = TrialWork(
            scenario=self.scenario,
            spans=opened.spans,
            base=base,
            rule=start.rule if start else None,
            variants=tuple(variants_of(opened, base)),
            folder=options.folder.absolute(),
            storage=storage_url,
            study=name,
            pruner=options.pruner,
        )
        self.n_told = 0
        self.n_failed_in_a_row = 0
        self.n_running = 0

    def run(self) -> optuna.Study:
        """Do the trials that were asked for."""
        options, study = self.options, self.study
        n_again = self._give_up_running()
        if not study.get_trials(deepcopy=False):
            study.enqueue_trial(dict(self.space.values_of(self.work.base)))
        marks = {
            policy.name: play(self.scenario, policy, self.work.spans.validate).profit
            for policy in (LevelRule(self.scenario.site), DayAheadDP(self.scenario.site))
        }
        with Screen(
            study, marks, self.scenario.site.currency, options.n_trials, self.console
        ) as screen:
            screen.begin(n_again)
            function = (
                partial(run_trial, show=screen.show) if not options.workers.ray else run_trial
            )
            results = options.workers.run(
                function, self._asked(), shared=self.work, tick=screen.tick
            )
            try:
                for job, result in results:
                    assert isinstance(result, dict)
                    trial = self._tell(job, result)
                    screen.ended(trial, result)
                    self._write_best()
            except KeyboardInterrupt:
                results.close()  # type: ignore[attr-defined]  # a generator: ends what runs
                self._give_up_running()
                self._write_trials()
                screen.stopped(options.folder)
                raise
        self._write_trials()
        for table in (best_table(study, marks), parameter_table(study, self.space, self.work.base)):
            self.console.print(table)
        return study

    def _asked(self) -> Iterator[Job]:
        """Yield trials until as many as were asked for have been told or run."""
        while self.n_told + self.n_running < self.options.n_trials:
            # A seed for every trial: going on draws what an uninterrupted search would have drawn.
            n_drawn = sum(t.state != TrialState.FAIL for t in self._trials())
            self.study.sampler = TPESampler(seed=self.options.seed * 1_000_003 + n_drawn)
            trial = self.study.ask(self.space.distributions)
            trial.set_user_attr("search", self.search_id)
            first = trial.user_attrs.get("first", trial.number)
            self.n_running += 1
            yield {"number": trial.number, "first": first, "values": dict(trial.params)}

    def _tell(self, job: Job, result: dict[str, Any]) -> FrozenTrial:
        number, profit, error = job["number"], result["profit"], result["error"]
        assert isinstance(number, int)
        study_id = self.storage.get_study_id_from_name(self.study.study_name)
        trial_id = self.storage.get_trial_id_from_study_id_trial_number(study_id, number)
        for name in ("seconds", "error"):
            self.storage.set_trial_user_attr(trial_id, name, result[name])
        self.n_running -= 1
        self.n_told += 1
        if error is not None:
            self.study.tell(number, state=TrialState.FAIL)
            self.n_failed_in_a_row += 1
            if self.n_failed_in_a_row == MOST_FAILURES:
                raise TrainingError(
                    f"{MOST_FAILURES} trials failed one after another, the last: {error}"
                )
        elif profit is None:
            self.study.tell(number, state=TrialState.PRUNED)
        else:
            self.study.tell(number, profit)
        if error is None:
            self.n_failed_in_a_row = 0
        return self._trials()[number]

    def _give_up_running(self) -> int:
        """Mark trials of this folder that run no more as failed, and queue them anew."""
        given_up = [
            trial
            for trial in self._trials()
            if trial.state == TrialState.RUNNING
            and trial.user_attrs.get("search", self.search_id) == self.search_id
        ]
        for trial in given_up:
            self.study.tell(trial.number, state=TrialState.FAIL)
            first = trial.user_attrs.get("first", trial.number)
            self.study.enqueue_trial(trial.params, user_attrs={"first": first})
        return len(given_up)

    def _write_best(self) -> None:
        if any(trial.state == TrialState.COMPLETE for trial in self._trials()):
            write_best(self.study, self.work.base, self.options.folder / BEST_NAME)

    def _write_trials(self) -> None:
        """Write all trials as a table; not after each, since it grows with their square."""
        trials = self.study.trials_dataframe()
        trials.to_csv(self.options.folder / TRIALS_NAME, index=False)

    def _trials(self) -> list[FrozenTrial]:
        return self.study.get_trials(deepcopy=False)

    def _require_same(self, opened: Opened, base: TrainingConfig) -> None:
        """Refuse a study of other data or settings: their profits could not be compared."""
        key = {
            "site": _hash(self.scenario.site.model_dump_json()),
            "prices": _hash(self.scenario.market.tobytes()),
            "spans": repr((opened.spans.train, opened.spans.validate)),
            "settings": base.model_dump_json(),
            "space": json.dumps({k: repr(v) for k, v in self.space.distributions.items()}),
        }
        found = self.study.user_attrs.get("key")
        if found is None:
            self.study.set_user_attr("key", key)
            return
        differing = [name for name, value in key.items() if found.get(name) != value]
        if differing:
            raise TrainingError(
                f"the study {self.study.study_name} belongs to another search; these differ: "
                f"{', '.join(differing)}. Use another folder (--out) or another --study, or what "
                "that search used"
            )


def _hash(content: str | bytes) -> str:
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()


def _search_id(folder: Path) -> str:
    """Return what names the searches of a folder in a storage that others use too."""
    path = folder / SEARCH_ID_NAME
    if not path.exists():
        path.write_text(uuid.uuid4().hex, encoding="utf-8")
    return path.read_text(encoding="utf-8")


def _storage_url(options: TuneOptions) -> str:
    """Return the storage, by its whole path where it is a file: workers stand elsewhere."""
    url, folder = options.storage, options.folder.absolute()
    journal, sqlite = folder / "study.journal", folder / "study.db"
    on_ray = options.workers.ray is not None
    if url is None:
        other = sqlite if on_ray else journal
        if other.exists():
            raise ConfigError(
                f"the study of {options.folder} is in {other.name}: name it, --storage "
                f"{_url_of(other)}, or another folder with --out"
                + (". On Ray a SQLite file serves one machine alone" if on_ray else "")
            )
        return _url_of(journal if on_ray else sqlite)
    if url.startswith(JOURNAL):
        return f"{JOURNAL}{Path(url.removeprefix(JOURNAL)).absolute()}"
    return url


def _url_of(path: Path) -> str:
    return f"{JOURNAL}{path}" if path.suffix == ".journal" else f"sqlite:///{path}"


def _with_rounds(base: TrainingConfig, opened: Opened) -> TrainingConfig:
    """Return the settings with the number of rounds that training would choose."""
    if base.improvement.n_rounds is not None:
        return base
    n_rounds = usual_rounds(opened.scenario.site)
    improvement = base.improvement.model_copy(update={"n_rounds": n_rounds})
    return base.model_copy(update={"improvement": improvement})


def _useful(space: SearchSpace, base: TrainingConfig, opened: Opened) -> SearchSpace:
    """Return the space without what this scenario and these settings do not use."""
    levels = opened.scenario.params.n_levels.max() > 1
    unused = ["imitation.shadow_penalty" if levels else "imitation.level_shadow_penalty"]
    if base.action != "shadow_price":
        unused += [f"imitation.{name}" for name in OF_SHADOW_PRICES]
    if base.improvement.n_rounds == 0 and base.imitation.n_rounds == 0:
        unused.append("improvement")
    if base.algorithm == "sac" or base.ppo.n_iterations == 0:
        unused.append("ppo")
    if base.algorithm != "sac" or base.sac.n_iterations == 0:
        unused.append("sac")
    useful = space.without(*unused)
    if not useful.distributions:
        raise ConfigError(
            f"nothing that the space names changes a run on {opened.name} with these settings: "
            f"{', '.join(space.distributions)}"
        )
    return useful

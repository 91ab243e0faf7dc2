"""What a search shows while it runs and leaves when it ends."""

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import optuna
import tomli_w
from optuna.trial import FrozenTrial, TrialState
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from gridhash.data.store.files import write_whole
from gridhash.training.config import TrainingConfig
from gridhash.training.search_space import SearchSpace, with_values

N_BEST = 10
MIN_FOR_IMPORTANCE = 10
"""Finished trials from which importances mean anything."""


class Screen:
    """A bar for the search, and one for each trial that runs."""

    def __init__(
        self,
        study: optuna.Study,
        marks: Mapping[str, float],
        currency: str,
        n_trials: int,
        console: Console,
    ) -> None:
        """Show nothing yet; `marks` are the validation profits of level rule and day-ahead DP."""
        self.study, self.marks, self.currency, self.console = study, marks, currency, console
        self.bar = Progress(
            TextColumn("{task.description:<22}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}"),
            console=console,
            transient=True,
        )
        self.total = self.bar.add_task("trials", total=n_trials, note=self._best())
        self.here = self.bar.add_task("", total=None, note="", visible=False)

    def __enter__(self) -> Self:
        """Draw."""
        self.bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Draw no more."""
        self.bar.stop()

    def begin(self, n_again: int) -> None:
        """Say what is searched and from where it goes on."""
        marks = ", ".join(f"{name} {profit:,.0f}" for name, profit in self.marks.items())
        self._say(f"study {self.study.study_name}, validation profit in {self.currency}: {marks}")
        n_before = len(self.study.get_trials(deepcopy=False, states=_SETTLED))
        if n_before:
            self._say(f"{n_before} trials are there already; {n_again} were cut off and run again")

    def show(self, phase: str, done: int, total: int, profit: float | None) -> None:
        """Show how far the trial in this process is."""
        self.bar.update(
            self.here, description=f"  {phase}", completed=done, total=total, visible=True
        )
        if profit is not None:
            self.bar.update(self.here, note=f"validation {profit:,.0f}")

    def tick(self) -> None:
        """Show how far the trials of a cluster are."""
        running = self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        told = [
            f"{trial.number}: {trial.intermediate_values[max(trial.intermediate_values)]:,.0f}"
            for trial in running
            if trial.intermediate_values
        ]
        self.bar.update(
            self.here,
            description=f"  {len(running)} running",
            note=", ".join(told[:6]),
            visible=True,
        )

    def ended(self, trial: FrozenTrial, result: Mapping[str, Any]) -> None:
        """Say how a trial ended."""
        how = {
            TrialState.COMPLETE: f"{trial.value:,.0f}" if trial.value is not None else "",
            TrialState.PRUNED: f"pruned after {result['n_validations']} validations",
        }.get(trial.state, f"failed: {result['error']}")
        self._say(f"trial {trial.number:>4}  {how}  {result['seconds']:,.0f} s")
        self.bar.update(self.total, advance=1, note=self._best())
        self.bar.update(self.here, note="", visible=False)

    def stopped(self, folder: Path) -> None:
        """Say that nothing is lost."""
        self.bar.stop()
        self._say(f"Stopped; the same command goes on, the study is in {folder}")

    def _best(self) -> str:
        best = best_trials(self.study)
        if not best:
            return ""
        assert best[0].value is not None
        return f"best {best[0].value:,.0f} {self.currency}{_way(best[0].value, self.marks)}"

    def _say(self, text: str) -> None:
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)


_SETTLED = (TrialState.COMPLETE, TrialState.PRUNED)


def best_trials(study: optuna.Study) -> list[FrozenTrial]:
    """Return the finished trials, the best first."""
    finished = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return sorted(finished, key=lambda trial: -(trial.value or 0.0))


def best_table(study: optuna.Study, marks: Mapping[str, float]) -> Table:
    """Return the best trials with their validation profits."""
    states = [trial.state for trial in study.get_trials(deepcopy=False)]
    counts = ", ".join(
        f"{states.count(state)} {word}"
        for state, word in (
            (TrialState.COMPLETE, "finished"),
            (TrialState.PRUNED, "pruned"),
            (TrialState.FAIL, "failed"),
        )
    )
    table = Table(title=f"Best trials of {study.study_name} ({counts})", title_justify="left")
    for name in ("trial", "validation profit", "from rule to DP", "validations", "seconds"):
        table.add_column(name, justify="right")
    for trial in best_trials(study)[:N_BEST]:
        assert trial.value is not None
        table.add_row(
            str(trial.number),
            f"{trial.value:,.0f}",
            _way(trial.value, marks).removeprefix(", ").split(" ")[0],
            str(len(trial.intermediate_values)),
            f"{trial.user_attrs.get('seconds', 0.0):,.0f}",
        )
    return table


def parameter_table(study: optuna.Study, space: SearchSpace, base: TrainingConfig) -> Table:
    """Return the settings searched: importance, at first, in the best trial and the best five."""
    best = best_trials(study)
    shares = importances(study)
    title = "Settings, the most important first"
    if not shares:
        title = f"Settings; importances from {MIN_FOR_IMPORTANCE} finished trials on"
    table = Table(title=title, title_justify="left")
    for name in ("setting", "importance", "base", "best", "best five"):
        table.add_column(name, justify="left" if name == "setting" else "right")
    first = space.values_of(base)
    for key in sorted(space.distributions, key=lambda key: -shares.get(key, 0.0)):
        values = [trial.params[key] for trial in best[:5] if key in trial.params]
        table.add_row(
            key,
            f"{shares[key]:.0%}" if key in shares else "",
            _text(first.get(key)),
            _text(values[0]) if values else "",
            _spread(values),
        )
    return table


def importances(study: optuna.Study) -> dict[str, float]:
    """Return how much each setting matters, in shares of 1, by PED-ANOVA; none of few trials.

    Watanabe, Bansal, Hutter: PED-ANOVA, IJCAI 2023, doi:10.24963/ijcai.2023/488.
    """
    values = [trial.value for trial in best_trials(study)]
    if len(values) < MIN_FOR_IMPORTANCE or len(set(values)) < MIN_FOR_IMPORTANCE // 2:
        return {}
    return optuna.importance.get_param_importances(study)


def write_best(study: optuna.Study, base: TrainingConfig, path: Path) -> None:
    """Write the settings of the best trial as a file for `gridhash train --settings`."""
    best = best_trials(study)[0]
    config = with_values(base, best.params)
    text = (
        f"# Trial {best.number} of the study {study.study_name}: validation profit "
        f"{best.value:.2f}.\n# gridhash train --settings {path.name}\n\n"
        + tomli_w.dumps(config.model_dump(mode="json", exclude_none=True))
    )
    write_whole(path, text.encode())


def _way(profit: float, marks: Mapping[str, float]) -> str:
    rule, planner = marks["level_rule"], marks["day_ahead_dp"]
    if planner <= rule:
        return ""
    return f", {(profit - rule) / (planner - rule):.0%} of the way from rule to DP"


def _text(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else "" if value is None else str(value)


def _spread(values: list[Any]) -> str:
    if not values:
        return ""
    if isinstance(values[0], str):
        return " ".join(dict.fromkeys(values))
    low, high = _text(min(values)), _text(max(values))
    return low if low == high else f"{low} to {high}"

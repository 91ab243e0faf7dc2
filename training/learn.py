"""From a scenario to a trained policy: what a run learns, before anything is judged or signed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bar

from gridhash.agents.day_ahead_dp import DayAheadDP
from gridhash.agents.policy import Policy
from gridhash.agents.rules import LevelRule
from gridhash.envs.scenario import Scenario
from gridhash.errors import TrainingError
from gridhash.training import checkpoint
from gridhash.training.config import TrainingConfig
from gridhash.training.learner import Learner
from gridhash.training.opened import Opened
from gridhash.training.play import play
from gridhash.training.progress import CURVE_NAME, shown
from gridhash.training.runtime import POLICY_NAME, LearnedPolicy
from gridhash.training.spans import Spans, ending_before
from gridhash.training.tuned_rules import RULES_NAME, BestRule, best_rule

PHASES = {
    "clone": "clone the plan",
    "begin": "begin at the rule",
    "oracle": "learn from hindsight",
    "ask": "ask the planner",
    "planner": "learn from the planner",
    "improve": "improve by plays",
    "critic": "warm the critic",
    "ppo": "improve by PPO",
    "maskable_ppo": "improve by PPO",
    "sac": "improve by SAC",
}


@dataclass(frozen=True, kw_only=True)
class Learned:
    """What was learned, and from where."""

    policy: LearnedPolicy
    curve: pd.DataFrame
    """Training curve: phase, step, and the values of each record."""
    validation: Mapping[str, float]
    """Profit on the validation span [currency] by policy, the learned one's among them."""
    start: BestRule | None
    """Where it began, if at a rule."""


def variants_of(opened: Opened, config: TrainingConfig) -> list[Scenario]:
    """Return the other worlds that a run of these settings improves in; none if it does not."""
    if config.improvement.n_rounds == 0 or opened.config is None:
        return []
    return opened.variants(config.improvement.n_variants, config.seed)


def found_start(
    scenario: Scenario,
    spans: Spans,
    config: TrainingConfig,
    path: Path,
    *,
    console: Console,
) -> BestRule | None:
    """Return the rule at which learning begins, if it does, and keep the tuned ones at `path`."""
    if config.begin_at != "best_rule":
        return None
    with shown(console) as tell:
        return best_rule(ending_before(scenario, spans.validate[1]), spans, path, progress=tell)


def learn(
    scenario: Scenario,
    spans: Spans,
    config: TrainingConfig,
    folder: Path,
    *,
    resume: bool,
    console: Console,
    variants: Sequence[Scenario] = (),
    start: BestRule | None = None,
) -> Learned:
    """Train on a scenario and write checkpoint and curve to `folder`.

    `start` is where learning begins (`found_start`; None: the folder keeps the rules); `variants`
    as of `Learner`.

    Raises
    ------
    TrainingError
        If the folder holds another run, or `resume` finds none.
    """
    _make_run_folder(folder, resume)
    dates = [
        f"{scenario.trace.frame.index[row].tz_convert(scenario.site.timezone):%Y-%m-%d}"
        for row in (spans.train[0], spans.validate[0], spans.test[0])
    ]
    console.print(
        f"{scenario.site.name} on {scenario.trace.source}, seed {config.seed}: train from "
        f"{dates[0]}, validate from {dates[1]}, never look beyond {dates[2]}; run folder {folder}",
        highlight=False,
        soft_wrap=True,
    )
    scenario = ending_before(scenario, spans.validate[1])  # the held-out span is not looked at
    validation = {
        policy.name: play(scenario, policy, spans.validate).profit
        for policy in (LevelRule(scenario.site), DayAheadDP(scenario.site))
    }
    start = start or found_start(scenario, spans, config, folder / RULES_NAME, console=console)
    if start is not None:
        validation[start.rule.name] = start.profit
        console.print(
            f"Begins at {start.rule.name}, the best of {len(start.rules)} tuned rules: validation "
            f"{start.profit:,.0f} {scenario.site.currency}",
            highlight=False,
        )
    rule = start.rule if start else None
    learner = Learner(scenario, spans, config, folder, variants=variants, rule=rule)
    with _bar(console) as bar:
        tasks: dict[str, TaskID] = {}

        def show(phase: str, done: int, total: int, profit: float | None) -> None:
            if phase not in tasks:
                tasks[phase] = bar.add_task(PHASES[phase], total=total, note="")
            bar.update(tasks[phase], completed=done, total=total)
            if profit is not None:
                note = _standing(profit, validation, rule, scenario.site.currency)
                bar.update(tasks[phase], note=note)

        try:
            policy = learner.run(show, resume=resume)
        except KeyboardInterrupt:
            bar.stop()
            console.print(f"Stopped; the same command with --resume goes on from {folder}")
            raise
    curve = pd.DataFrame(
        [{"phase": r.phase, "step": r.step, **r.values} for r in learner.state.records]
    )
    curve.to_csv(folder / CURVE_NAME, index=False)
    if not learner.improved:
        console.print(
            "Nothing gained more than a standard error on the validation span: the start is kept"
        )
    kept = _standing(learner.kept_validation, validation, rule, scenario.site.currency)
    console.print(f"Kept the policy of {kept}", highlight=False)
    validation[POLICY_NAME] = learner.kept_validation
    return Learned(policy=policy, curve=curve, validation=validation, start=start)


def _make_run_folder(folder: Path, resume: bool) -> None:
    if resume:
        checkpoint.require(folder)
    elif (folder / checkpoint.FILE_NAME).exists():
        raise TrainingError(
            f"{folder} holds a run already: go on with --resume, or name another folder with --out"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise TrainingError(f"{folder} cannot be made a run folder: {err.strerror}") from err


def _bar(console: Console) -> Bar:
    return Bar(
        TextColumn("{task.description:<16}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=console,
    )


def _standing(
    profit: float, validation: dict[str, float], start: Policy | None, currency: str
) -> str:
    """Return where the policy stands on the validation span.

    Beside the rule where it began, else between the level rule and the day-ahead plan.
    """
    text = f"validation {profit:,.0f} {currency}"
    if start is not None:
        return f"{text}, {profit - validation[start.name]:+,.0f} beside {start.name}"
    rule, planner = validation["level_rule"], validation["day_ahead_dp"]
    if planner > rule:
        text += f", {(profit - rule) / (planner - rule):.0%} of the way from rule to DP"
    return text

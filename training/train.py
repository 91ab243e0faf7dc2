"""`gridhash train`: from a request to a signed bundle in a run folder."""

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import pandas as pd
import torch
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

from gridhash.agents.bundle_manifest import DataSpan, Provenance
from gridhash.agents.day_ahead_dp import DayAheadDP
from gridhash.agents.policy import Policy
from gridhash.agents.rules import LevelRule
from gridhash.agents.signing import generate_key, read_key
from gridhash.envs.scenario import Scenario
from gridhash.errors import TrainingError
from gridhash.training import checkpoint
from gridhash.training.config import TrainingConfig, load_training_config
from gridhash.training.learner import Learner
from gridhash.training.opened import Named, open_for_training
from gridhash.training.play import play
from gridhash.training.progress import CURVE_NAME, shown
from gridhash.training.promotion import best_rule
from gridhash.training.release import Release, release
from gridhash.training.runtime import POLICY_NAME, LearnedPolicy
from gridhash.training.spans import Rows, Spans, ending_before

KEY_NAME = "signing-key.pem"
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
class TrainingResult:
    """What a run left behind."""

    policy: LearnedPolicy
    release: Release
    public_key: Path
    curve: pd.DataFrame
    """Training curve: phase, step, and the values of each record."""

    @property
    def bundle(self) -> Path:
        """Bundle of the trained policy."""
        return self.release.bundle


def train_policy(
    request: Named,
    *,
    folder: Path,
    settings: Path | None,
    seed: int | None,
    validate_from: str | None,
    test_from: str | None,
    resume: bool,
    console: Console,
) -> TrainingResult:
    """Train on what a request names and write checkpoint, curve, key and bundle to `folder`.

    Raises
    ------
    TrainingError
        If the folder holds another run, or `resume` finds none.
    """
    opened = open_for_training(request, validate_from=validate_from, test_from=test_from)
    scenario = opened.config.name if opened.config is not None else None
    config = load_training_config(settings, seed=seed, scenario=scenario)
    return train_on(
        opened.scenario,
        opened.spans,
        config,
        folder,
        resume=resume,
        console=console,
        variants=opened.variants(config.improvement.n_variants, config.seed)
        if config.improvement.n_rounds != 0 and opened.config is not None
        else (),
    )


def train_on(
    scenario: Scenario,
    spans: Spans,
    config: TrainingConfig,
    folder: Path,
    *,
    resume: bool,
    console: Console,
    variants: Sequence[Scenario] = (),
) -> TrainingResult:
    """Train on a scenario; see `train_policy` and, for `variants`, `Learner`."""
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
    start = None
    if config.begin_at == "best_rule":
        with shown(console) as tell:
            start = best_rule(scenario, spans, folder, progress=tell)
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
    key_path = folder / KEY_NAME
    key = read_key(key_path) if key_path.exists() else generate_key(key_path)
    scores = {f"validation_profit_{name}": value for name, value in validation.items()}
    scores[f"validation_profit_{POLICY_NAME}"] = learner.kept_validation
    if not learner.improved:
        console.print(
            "Nothing gained more than a standard error on the validation span: the start is kept"
        )
    kept = _standing(learner.kept_validation, validation, rule, scenario.site.currency)
    console.print(f"Kept the policy of {kept}", highlight=False)
    released = release(
        scenario,
        spans,
        policy,
        folder,
        name=_bundle_name(scenario.site.name, config.seed),
        key=key,
        created_at=datetime.now(UTC),
        provenance=Provenance(
            seed=config.seed,
            data=tuple(_data_spans(scenario, spans)),
            training=config.model_dump(mode="json"),
            scores=scores,
            git_commit=_git_commit(),
            torch_version=torch.__version__,
        ),
        console=console,
        rules=start.rules if start else None,
    )
    console.print(released.words, highlight=False, soft_wrap=True)
    return TrainingResult(
        policy=policy, release=released, public_key=key_path.with_suffix(".pub"), curve=curve
    )


def _bundle_name(site: str, seed: int) -> str:
    """Return a name that bundles may have, whatever the site is called."""
    plain = re.sub(r"[^a-z0-9_-]+", "-", site.lower()).strip("_-")
    return f"{plain[:40] or 'site'}-seed{seed}"


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


def _data_spans(scenario: Scenario, spans: Spans) -> list[DataSpan]:
    index = scenario.trace.frame.index
    period = pd.Timedelta(seconds=scenario.trace.period_s)
    roles: tuple[tuple[Literal["train", "validate"], Rows], ...] = (
        ("train", spans.train),
        ("validate", spans.validate),
    )
    return [
        DataSpan(
            role=role,
            source=scenario.trace.source,
            area=scenario.trace.area,
            start=index[first].to_pydatetime(),
            end=(index[last - 1] + period).to_pydatetime(),
        )
        for role, (first, last) in roles
    ]


def _git_commit() -> str | None:
    """Return the commit of the source tree that this module runs from; None outside one."""
    here = Path(__file__).resolve().parent
    try:
        result = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            cwd=here,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return result.stdout.strip() or None

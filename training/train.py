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

from gridhash.agents.bundle_manifest import DataSpan, Provenance
from gridhash.agents.signing import generate_key, read_key
from gridhash.envs.scenario import Scenario
from gridhash.training.config import TrainingConfig, load_training_config
from gridhash.training.learn import learn, variants_of
from gridhash.training.opened import Named, open_for_training
from gridhash.training.release import Release, release
from gridhash.training.runtime import LearnedPolicy
from gridhash.training.spans import Rows, Spans, ending_before
from gridhash.training.worth_learning import learn_by_worths
from gridhash.training.worth_settings import WorthSettings, worth_settings_of

KEY_NAME = "signing-key.pem"


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
        variants=variants_of(opened, config),
        worths=worth_settings_of(scenario) if settings is None else None,
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
    worths: WorthSettings | None = None,
) -> TrainingResult:
    """Train on a scenario; see `train_policy` and, for `variants`, `Learner`.

    With `worths` it learns by them (`learn_by_worths`), which keeps nothing to resume.
    """
    if worths is not None:
        learned = learn_by_worths(
            scenario, spans, config, worths, folder, resume=resume, console=console
        )
    else:
        learned = learn(
            scenario, spans, config, folder, resume=resume, console=console, variants=variants
        )
    scenario = ending_before(scenario, spans.validate[1])  # nor is it judged by the held-out span
    key_path = folder / KEY_NAME
    key = read_key(key_path) if key_path.exists() else generate_key(key_path)
    scores = {f"validation_profit_{name}": value for name, value in learned.validation.items()}
    released = release(
        scenario,
        spans,
        learned.policy,
        folder,
        name=_bundle_name(scenario.site.name, config.seed),
        key=key,
        created_at=datetime.now(UTC),
        provenance=Provenance(
            seed=config.seed,
            data=tuple(_data_spans(scenario, spans)),
            training=config.model_dump(mode="json")
            | ({} if worths is None else {"worths": worths.model_dump(mode="json")}),
            scores=scores,
            git_commit=_git_commit(),
            torch_version=torch.__version__,
        ),
        console=console,
        rules=learned.start.rules if learned.start else None,
    )
    console.print(released.words, highlight=False, soft_wrap=True)
    return TrainingResult(
        policy=learned.policy,
        release=released,
        public_key=key_path.with_suffix(".pub"),
        curve=learned.curve,
    )


def _bundle_name(site: str, seed: int) -> str:
    """Return a name that bundles may have, whatever the site is called."""
    plain = re.sub(r"[^a-z0-9_-]+", "-", site.lower()).strip("_-")
    return f"{plain[:40] or 'site'}-seed{seed}"


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

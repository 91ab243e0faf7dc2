"""A policy learned from exact worths: trees find what pays, a network takes it over, weeks judge.

The way of learning for sites whose prices alone are uncertain and are known late, where plays and
roll-outs found nothing (docs/decisions/0011). A run takes a minute or two and keeps nothing on the
way: what was cut off begins anew and ends the same.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from rich.console import Console

from gridhash.agents.day_ahead_dp import DayAheadDP, first_like
from gridhash.agents.policy import ObservationReader, Policy
from gridhash.agents.rules import LevelRule
from gridhash.config_programs import ProgramsConfig
from gridhash.envs.parameters import Floats
from gridhash.envs.scenario import Scenario
from gridhash.errors import TrainingError
from gridhash.training.boosted_worths import BoostedWorths, boosted_worths
from gridhash.training.config import TrainingConfig
from gridhash.training.gains import gains
from gridhash.training.learn import Learned, found_start
from gridhash.training.network import Weights
from gridhash.training.play import PolicyRun, play
from gridhash.training.progress import CURVE_NAME, Show, TrainingRecord, shown
from gridhash.training.runtime import POLICY_NAME, LearnedPolicy, level_policy, relative_policy
from gridhash.training.settled_days import settled_daily_profit
from gridhash.training.spans import Rows, Spans, ending_before
from gridhash.training.tuned_rules import RULES_NAME, BestRule
from gridhash.training.worth_network import fitted_network
from gridhash.training.worth_settings import WorthSettings


def learn_by_worths(
    scenario: Scenario,
    spans: Spans,
    config: TrainingConfig,
    settings: WorthSettings,
    folder: Path,
    *,
    resume: bool,
    console: Console,
    start: BestRule | None = None,
) -> Learned:
    """Learn on the training span, choose on the validation span, and write the curve to `folder`.

    The network is kept only if it gains over one standard error of paired weeks on the validation
    span; else the policy is the best tuned rule, `start` (found where None). Of `config` the seed
    and where to begin are read.

    Raises
    ------
    TrainingError
        If rigs have several levels, the site has programs or coincident peaks, of which worths
        know nothing, `config` does not begin at the best rule, or the folder holds a run and
        `resume` is not set.
    """
    _check(scenario, config)
    if not resume and (folder / CURVE_NAME).exists():
        raise TrainingError(
            f"{folder} holds a run already: make it anew with --resume, or name another with --out"
        )
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(config.torch_threads)
    scenario = ending_before(scenario, spans.validate[1])  # the held-out span is not looked at
    start = start or found_start(scenario, spans, config, folder / RULES_NAME, console=console)
    assert start is not None, "the best rule was asked for"
    currency = scenario.site.currency
    console.print(
        f"Begins at {start.rule.name}, the best of {len(start.rules)} tuned rules: validation "
        f"{start.profit:,.0f} {currency}",
        highlight=False,
    )
    with shown(console) as show:
        weights, records = _learned(scenario, spans.train, settings, config.seed, show)
    network = level_policy(weights, scenario.site)
    policies: tuple[Policy, ...] = (LevelRule(scenario.site), DayAheadDP(scenario.site))
    validation = {one.name: play(scenario, one, spans.validate).profit for one in policies}
    runs = [play(scenario, one, spans.validate) for one in (network, start.rule)]
    validation[start.rule.name] = runs[1].profit
    records.append(
        TrainingRecord(
            phase="worths", step=len(records), values={"validation_profit": runs[0].profit}
        )
    )
    gained = gains(*(_days(run, scenario) for run in runs))
    if not gained:
        console.print(
            "Nothing gained more than a standard error on the validation span: the start is kept"
        )
    kept: LearnedPolicy = network if gained else _as_it_is(start.rule, scenario)
    validation[POLICY_NAME] = runs[0 if gained else 1].profit
    console.print(
        f"Kept the policy of validation {validation[POLICY_NAME]:,.0f} {currency}, "
        f"{validation[POLICY_NAME] - runs[1].profit:+,.0f} beside {start.rule.name}",
        highlight=False,
    )
    curve = pd.DataFrame([{"phase": r.phase, "step": r.step, **r.values} for r in records])
    curve.to_csv(folder / CURVE_NAME, index=False)
    return Learned(policy=kept, curve=curve, validation=validation, start=start)


def _check(scenario: Scenario, config: TrainingConfig) -> None:
    site = scenario.site
    if config.begin_at != "best_rule":
        raise TrainingError(
            'learning by worths is held to the best rule: set begin_at = "best_rule"'
        )
    if scenario.params.n_levels.max() > 1:
        raise TrainingError(f"{site.name} has rigs with several levels: worths know on and off")
    if site.programs != ProgramsConfig() or site.tariff.coincident_peaks:
        raise TrainingError(
            f"{site.name} has programs or coincident peaks: worths know energy and starts alone"
        )


def _learned(
    scenario: Scenario, rows: Rows, settings: WorthSettings, seed: int, show: Show
) -> tuple[Weights, list[TrainingRecord]]:
    """Return the network's arrays and what was told on the way; groups of like rigs learn once."""
    taught = ending_before(scenario, rows[1])
    like = first_like(taught.params)
    records: list[TrainingRecord] = []
    by_group: dict[int, BoostedWorths] = {}
    for group in np.unique(like):
        by_group[int(group)], gained = boosted_worths(
            taught,
            rows,
            int(group),
            settings,
            seed=seed,
            tell=lambda done, total: show("reckon worths", done, total),
        )
        values = {"gain_over_break_even": gained * float((like == group).sum())}
        records.append(TrainingRecord(phase="trees", step=len(records), values=values))
    teachers = {g: by_group[int(first)] for g, first in enumerate(like)}
    weights, agreement = fitted_network(
        taught,
        rows,
        teachers,
        settings,
        seed=seed,
        tell=lambda done, total: show("take them over", done, total),
    )
    records += [
        TrainingRecord(phase="network", step=epoch + 1, values={"agreement": share})
        for epoch, share in enumerate(agreement)
    ]
    return weights, records


def _days(run: PolicyRun, scenario: Scenario) -> Floats:
    days = settled_daily_profit(run, scenario.site.timezone)
    return days.to_numpy(dtype=np.float64)


def _as_it_is(rule: Policy, scenario: Scenario) -> LearnedPolicy:
    """Return the rule with a network that adds nothing to it."""
    n_features = ObservationReader(scenario.site).n_features
    zero = np.zeros((1, n_features), dtype=np.float32)
    weights = {
        "normalise.center": zero[0],
        "normalise.scale": np.ones(n_features, dtype=np.float32),
        "layer.0.weight": zero,
        "layer.0.bias": zero[0, :1],
        "output.weight": np.zeros((scenario.n_groups, 1), dtype=np.float32),
        "output.bias": np.zeros(scenario.n_groups, dtype=np.float32),
    }
    return relative_policy(weights, rule)

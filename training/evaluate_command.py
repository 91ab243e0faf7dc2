"""`gridhash evaluate`: policies on held-out spans, to screen, JSON, Parquet and report."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from pathlib import Path

import pandas as pd
from pydantic import JsonValue
from rich.console import Console

from gridhash.agents.policy import Policy
from gridhash.agents.signing import PublicKey, read_public_key
from gridhash.config import SiteConfig
from gridhash.envs.scenario import Scenario
from gridhash.errors import ConfigError
from gridhash.training.ablation import without
from gridhash.training.cluster import Workers
from gridhash.training.contenders import (
    Contender,
    baselines,
    contender_of,
    learned_contenders,
    require_a_place,
)
from gridhash.training.evaluate import Evaluation, evaluate
from gridhash.training.hashprice_card import (
    given_card,
    replays_hashprice,
    stated_card,
    with_fixed_hashprice,
)
from gridhash.training.opened import Named, Opened, open_for_training
from gridhash.training.play import PolicyRun
from gridhash.training.plays import play_all
from gridhash.training.progress import CURVE_NAME, Show, shown
from gridhash.training.report import write_report
from gridhash.training.report_index import write_index
from gridhash.training.report_text import label
from gridhash.training.results import (
    Results,
    ScenarioEntry,
    results_of,
    scenario_entry,
    write_results,
)
from gridhash.training.sensitivity import Variant, sensitivity
from gridhash.training.spans import Spans
from gridhash.training.tables import across_table, score_table

RESULTS_NAME = "results.json"
REPORT_NAME = "report.html"
PLAYS_FOLDER = "plays"
"""Where plays of a cluster are kept until their folder is removed, so that none is done twice."""
ASSUMED_CARBON_G_PER_KWH = {"JPY": 370.0}
"""Average factor of the grid by currency, where the data have none: of the order of Kyushu's."""


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions:
    """What `gridhash evaluate` was told beside the scenarios."""

    folder: Path
    bundles: tuple[Path, ...] = ()
    keys: tuple[str, ...] = ()
    """Public keys that are trusted: files or their digits."""
    validate_from: str | None = None
    test_from: str | None = None
    policies: tuple[str, ...] | None = None
    """Baselines beside the references; None for all but slow planners."""
    sensitivity: bool = False
    ablate: tuple[str, ...] = ()
    hashprice_usd_per_phs_day: float | None = None
    hashprice_date: date | None = None
    carbon_g_per_kwh: float | None = None
    zero_shot: bool = False
    """Play bundles by a mapped observation where they do not fit."""
    steps: bool = True
    ray: str | None = None
    """Address of a Ray cluster to play on; it changes no figure but decision times."""

    @property
    def settings(self) -> dict[str, JsonValue]:
        """The options that change figures, as `results.json` states them."""
        return {
            "bundles": [path.name for path in self.bundles],
            "policies": None if self.policies is None else list(self.policies),
            "validate_from": self.validate_from,
            "test_from": self.test_from,
            "ablate": list(self.ablate),
            "zero_shot": self.zero_shot,
            "sensitivity": self.sensitivity,
            "hashprice_usd_per_phs_day": self.hashprice_usd_per_phs_day,
            "carbon_g_per_kwh": self.carbon_g_per_kwh,
        }


def evaluate_policies(
    requests: Sequence[Named], options: EvaluateOptions, *, as_json: bool, console: Console
) -> Results:
    """Evaluate the baselines and the policies of bundles in every scenario that is named.

    Results are written after each scenario, and each part of its test that is played apart; steps
    after each play: Ctrl-C leaves what is finished.

    Raises
    ------
    ConfigError
        If bundles are given without the public key that signed them, or options contradict.
    BundleError
        If a bundle is not intact, or fits no scenario.
    """
    keys = _check(options)
    quiet = Console(stderr=True) if as_json else console
    opened = [
        open_for_training(request, validate_from=options.validate_from, test_from=options.test_from)
        for request in requests
    ]
    sites = [one.scenario.site for one in opened]
    for path in options.bundles:
        require_a_place(path, sites, keys, zero_shot=options.zero_shot)
    n_parts = sum(len(one.spans.test_parts) for one in opened)
    entries: list[ScenarioEntry] = []
    try:
        for one in opened:
            for evaluation in _evaluate_parts(one, options, keys, sites, n_parts > 1, quiet):
                entries.append(scenario_entry(evaluation))
                complete = len(entries) == n_parts and not evaluation.stopped
                _write(entries, options, complete=complete)
                if not as_json:
                    console.print(score_table(evaluation))
                    _say_what_to_know(evaluation, console)
                if evaluation.stopped:
                    raise KeyboardInterrupt
    except KeyboardInterrupt:
        left = f"what is finished is in {options.folder}" if entries else "nothing is finished"
        quiet.print(f"Stopped; {left}", highlight=False, soft_wrap=True)
        raise
    results = _write(entries, options, complete=True)
    if as_json:
        console.print_json(results.model_dump_json())
        return results
    if n_parts > 1:
        console.print(across_table(results))
    for name, file in (("results", RESULTS_NAME), ("report", REPORT_NAME)):
        console.print(f"{name:<8} {options.folder / file}", soft_wrap=True)
    return results


def _write(
    entries: Sequence[ScenarioEntry], options: EvaluateOptions, *, complete: bool
) -> Results:
    results = results_of(entries, settings=options.settings, complete=complete)
    write_results(results, options.folder / RESULTS_NAME)
    if len(entries) > 1:
        write_index(results, options.folder / REPORT_NAME)
    return results


def _check(options: EvaluateOptions) -> list[PublicKey]:
    """Refuse what cannot be; return the keys that are trusted."""
    if options.folder.exists() and not options.folder.is_dir():
        raise ConfigError(f"{options.folder} is a file: --out names a folder for the results")
    if options.hashprice_date is not None and options.hashprice_usd_per_phs_day is None:
        raise ConfigError("--hashprice-date says when --hashprice was quoted: give both")
    if options.ablate and not options.bundles:
        raise ConfigError("--ablate takes features from learned policies: name one with --bundle")
    if options.zero_shot and not options.bundles:
        raise ConfigError("--zero-shot maps observations for learned policies: name one, --bundle")
    if options.bundles and not options.keys:
        raise ConfigError("--bundle needs --key: the .pub file of the key that signed it")
    return [read_public_key(key) for key in options.keys]


def _evaluate_parts(
    opened: Opened,
    options: EvaluateOptions,
    keys: Sequence[PublicKey],
    sites: Sequence[SiteConfig],
    several: bool,
    console: Console,
) -> Iterator[Evaluation]:
    """Yield each part of a scenario's test as soon as it is judged; write its steps and report.

    Rules are tuned once; every part is played from the state that the site file begins with.
    """
    scenario, given = _at_its_hashprice(opened.scenario, options)
    parts = opened.spans.test_parts
    with shown(console) as show:
        learned, refused = learned_contenders(
            options.bundles,
            scenario,
            opened.spans.test,
            keys,
            sites=sites,
            zero_shot=options.zero_shot,
        )
        transfers = {c.run_name: c.transfer for c in learned if c.transfer is not None}
        if options.ablate:
            learned = [without(one, options.ablate, scenario.site) for one in learned]
        contenders = [
            *baselines(scenario, opened.spans.train, options.policies, progress=show),
            *learned,
        ]
    for rows in parts:
        name = opened.name
        if len(parts) > 1:
            start = scenario.trace.starts[rows[0]].tz_convert(scenario.site.timezone)
            name = f"{name}-{start:%Y-%m}"
        folder = options.folder / name if several else options.folder
        card = stated_card(scenario, rows)
        if given:
            card = given_card(scenario, rows, as_of=options.hashprice_date)
        with shown(console) as show:
            plays = None
            if options.ray is not None:
                plays = play_all(
                    scenario,
                    contenders,
                    rows,
                    folder=options.folder / PLAYS_FOLDER,
                    workers=Workers(ray=options.ray),
                    progress=show,
                )
            evaluation = evaluate(
                scenario,
                contenders,
                rows,
                name=name,
                progress=show,
                bound=None if plays is None else plays.bound,
                played=None if plays is None else plays.runs,
                card=card,
                carbon_g_per_kwh=_carbon(scenario, options),
                on_played=partial(_keep_steps, folder) if options.steps else None,
                keep_all=False,
            )
            evaluation = replace(
                evaluation, ablated=options.ablate, not_played=refused, transfers=transfers
            )
            if options.sensitivity and not evaluation.stopped:
                evaluation = _with_sensitivity(evaluation, contenders, show)
        write_report(
            evaluation,
            folder / REPORT_NAME,
            title=f"{name} on {scenario.trace.area}",
            training_curve=training_curve(learned),
        )
        yield evaluation


def _at_its_hashprice(scenario: Scenario, options: EvaluateOptions) -> tuple[Scenario, bool]:
    """Return the scenario at the hashprice that is given or stated, and whether it is given."""
    given = options.hashprice_usd_per_phs_day
    if given is not None:
        return with_fixed_hashprice(scenario, usd_per_phs_day=given), True
    return (with_fixed_hashprice(scenario) if replays_hashprice(scenario) else scenario), False


def _carbon(scenario: Scenario, options: EvaluateOptions) -> float | None:
    if options.carbon_g_per_kwh is not None:
        return options.carbon_g_per_kwh
    return ASSUMED_CARBON_G_PER_KWH.get(scenario.site.currency)


def _keep_steps(folder: Path, run: PolicyRun) -> None:
    """Write every interval of a play."""
    folder.mkdir(parents=True, exist_ok=True)
    run.frame.to_parquet(folder / f"steps-{run.name}.parquet", compression="zstd")


def _with_sensitivity(
    evaluation: Evaluation, contenders: Sequence[Contender], show: Show
) -> Evaluation:
    """Play references, the best rule and learned policies with assumptions changed, one by one."""
    wanted = [
        c
        for c in contenders
        if c.kind == "learned" or c.name in ("level_rule", "day_ahead_dp", evaluation.best_rule)
    ]
    found: list[Variant] = []
    try:
        found.extend(sensitivity(evaluation.scenario, wanted, evaluation.rows, progress=show))
    except KeyboardInterrupt:
        return replace(evaluation, sensitivity=tuple(found), stopped=True)
    return replace(evaluation, sensitivity=tuple(found))


def training_curve(contenders: Sequence[Contender]) -> pd.DataFrame | None:
    """Return the training curve that lies beside a learned policy's bundle, if one does."""
    for contender in contenders:
        path = None if contender.folder is None else contender.folder / CURVE_NAME
        if path is not None and path.is_file():
            curve: pd.DataFrame = pd.read_csv(path)
            return curve
    return None


def _say_what_to_know(evaluation: Evaluation, console: Console) -> None:
    """Print what a reader of the table must know: not held out, zero-shot, what did not play."""
    lines = [f"{label(score.name)}: {score.note}" for score in evaluation.scores if score.note]
    lines += [
        f"{path} did not play {evaluation.name}: it does not fit. {why}"
        for path, why in evaluation.not_played.items()
    ]
    for line in lines:
        console.print(line, soft_wrap=True, highlight=False, markup=False)


def compare(
    scenario: Scenario,
    spans: Spans,
    learned: Sequence[Policy],
    console: Console,
    *,
    others: Sequence[Policy] | None = None,
) -> Evaluation:
    """Play baselines and learned policies over the held-out span under a progress bar.

    `others` are the baselines if they are tuned already.
    """
    with shown(console) as show:
        if others is None:
            contenders = baselines(scenario, spans.train, progress=show)
        else:
            contenders = [contender_of(policy) for policy in others]
        contenders += [contender_of(policy) for policy in learned]
        return evaluate(scenario, contenders, spans.test, progress=show)

"""`gridhash evaluate`: every policy on the held-out span, to screen, JSON and report."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from gridhash.agents.bundle import load_bundle
from gridhash.agents.policy import Policy
from gridhash.agents.roster import baseline_policies
from gridhash.agents.signing import read_public_key
from gridhash.envs.scenario import Scenario
from gridhash.errors import ConfigError
from gridhash.training.evaluate import Evaluation, evaluate, results_dict, write_results
from gridhash.training.opened import Named, open_for_training
from gridhash.training.report import write_report
from gridhash.training.spans import Spans
from gridhash.training.tables import score_table

RESULTS_NAME = "results.json"
REPORT_NAME = "report.html"


def evaluate_policies(
    request: Named,
    *,
    bundles: Sequence[Path],
    key: Path | None,
    folder: Path,
    validate_from: str | None,
    test_from: str | None,
    as_json: bool,
    console: Console,
) -> Evaluation:
    """Evaluate the baselines and the policies of `bundles`; write results and report.

    Raises
    ------
    ConfigError
        If bundles are given without the public key that signed them.
    BundleError
        If a bundle does not fit the site or is not intact.
    """
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder} is a file: --out names a folder for results and report")
    opened = open_for_training(request, validate_from=validate_from, test_from=test_from)
    scenario, spans = opened.scenario, opened.spans
    learned: list[Policy] = []
    if bundles:
        if key is None:
            raise ConfigError("--bundle needs --key: the .pub file of the key that signed it")
        trusted = [read_public_key(key)]
        learned = [load_bundle(p, site=scenario.site, trusted_keys=trusted).policy for p in bundles]
    quiet = Console(stderr=True) if as_json else console
    evaluation = compare(scenario, spans, learned, quiet)
    folder.mkdir(parents=True, exist_ok=True)
    write_results(evaluation, folder / RESULTS_NAME)
    write_report(
        evaluation,
        folder / REPORT_NAME,
        title=f"{scenario.site.name} on {scenario.trace.area}",
    )
    if as_json:
        console.print_json(data=results_dict(evaluation))
    else:
        console.print(score_table(evaluation))
        console.print(f"results  {folder / RESULTS_NAME}\nreport   {folder / REPORT_NAME}")
    return evaluation


def compare(
    scenario: Scenario,
    spans: Spans,
    learned: Sequence[Policy],
    console: Console,
    *,
    baselines: Sequence[Policy] | None = None,
) -> Evaluation:
    """Play baselines and learned policies over the held-out span under a progress bar.

    `baselines` are those of the site, tuned on the training span, if None.
    """
    if baselines is None:
        baselines = list(baseline_policies(scenario, spans.train).values())
    policies = [*baselines, *learned]
    with Bar(
        TextColumn("{task.description:<20}"),
        BarColumn(bar_width=24),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    ) as bar:
        tasks: dict[str, TaskID] = {}

        def show(name: str, done: int, total: int) -> None:
            if name not in tasks:
                tasks[name] = bar.add_task(name, total=total)
            bar.update(tasks[name], completed=done, total=total)

        return evaluate(scenario, policies, spans.test, progress=show)

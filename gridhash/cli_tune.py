"""The `gridhash tune` command: search training settings."""

from pathlib import Path
from typing import Annotated

import typer

from gridhash.cli_options import (
    Area,
    End,
    Prices,
    RayAddress,
    ScenarioName,
    Seed,
    Site,
    Start,
    StartCost,
    TestFrom,
    ValidateFrom,
    WorkLevels,
    request_of,
)
from gridhash.terminal import console


def tune(
    scenario: ScenarioName = None,
    trials: Annotated[
        int, typer.Option("--trials", min=1, help="Trials to finish now; more in the same study.")
    ] = 20,
    out: Annotated[
        Path,
        typer.Option("--out", help="Run folder; for a cluster on a disk that all nodes share."),
    ] = Path("runs/tune"),
    settings: Annotated[
        Path | None,
        typer.Option("--settings", help="Training settings to begin with; the first trial's."),
    ] = None,
    space: Annotated[
        Path | None,
        typer.Option(
            "--space",
            help="TOML file of what is searched and within which limits, such as "
            "ppo.clip_range = { low = 0.05, high = 0.3, log = true }.",
        ),
    ] = None,
    storage: Annotated[
        str | None,
        typer.Option(
            "--storage",
            help="Optuna storage: sqlite:///FILE, journal:FILE or the URL of a database. In the "
            "run folder where none is given.",
        ),
    ] = None,
    study: Annotated[
        str | None, typer.Option("--study", help="Name of the study; else of the scenario.")
    ] = None,
    pruner: Annotated[
        str, typer.Option("--pruner", help="median, hyperband or none: who ends hopeless trials.")
    ] = "median",
    ray: RayAddress = None,
    jobs: Annotated[
        int | None, typer.Option("--jobs", min=1, help="Trials at once on a cluster, at most.")
    ] = None,
    site: Site = None,
    prices: Prices = None,
    area: Area = None,
    start: Start = None,
    end: End = None,
    start_cost: StartCost = None,
    work_levels: WorkLevels = False,
    validate_from: ValidateFrom = None,
    test_from: TestFrom = None,
    seed: Seed = 0,
) -> None:
    """Search training settings for the profit on the validation span.

    The held-out span is not looked at. The same command again goes on in the same study, also
    after a kill. The best settings are in best.toml of the run folder, for `gridhash train
    --settings`. Without SCENARIO, --site and --prices that is the embedded sample.
    """
    from gridhash.training.cluster import Workers
    from gridhash.training.trial import PRUNERS
    from gridhash.training.tune import BEST_NAME, TuneOptions
    from gridhash.training.tune import tune as search

    if pruner not in PRUNERS:
        raise typer.BadParameter(f"--pruner {pruner}: there are {', '.join(PRUNERS)}")
    if jobs is not None and ray is None:
        raise typer.BadParameter("--jobs says how many run at once on a cluster: add --ray local")
    request = request_of(
        scenario=scenario,
        site=site,
        prices=prices,
        area=area,
        start=start,
        end=end,
        start_cost=start_cost,
        work_levels=work_levels,
    )
    search(
        request,
        TuneOptions(
            folder=out,
            n_trials=trials,
            settings=settings,
            space=space,
            storage=storage,
            study=study,
            pruner=pruner,
            seed=seed,
            validate_from=validate_from,
            test_from=test_from,
            workers=Workers(ray=ray, limit=jobs),
        ),
        console=console,
    )
    console.print(f"best settings {out / BEST_NAME}", highlight=False, soft_wrap=True)

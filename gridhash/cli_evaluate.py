"""The commands `gridhash evaluate` and `gridhash compare`: who earns what on data nobody saw."""

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from gridhash.cli_options import (
    Area,
    End,
    Prices,
    RayAddress,
    Site,
    Start,
    StartCost,
    TestFrom,
    ValidateFrom,
    WorkLevels,
    request_of,
)
from gridhash.errors import ConfigError
from gridhash.terminal import console


def evaluate(
    scenarios: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[SCENARIO]...",
            help="Scenarios (see `gridhash scenarios`) or their files, in place of a site and "
            "prices.",
            show_default=False,
        ),
    ] = None,
    bundle: Annotated[
        list[Path] | None,
        typer.Option(
            "--bundle", help="Bundle of a learned policy; repeat it for seeds and other policies."
        ),
    ] = None,
    key: Annotated[
        list[str] | None,
        typer.Option(
            "--key",
            help="Public key that is trusted: .pub file or its digits; repeat it where bundles "
            "were signed by several.",
        ),
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", help="Folder for results.json, steps and report.html.")
    ] = Path("runs/evaluate"),
    policies: Annotated[
        list[str] | None,
        typer.Option(
            "--policies",
            help="Baseline beside always on, level rule and day-ahead DP; repeatable. Otherwise "
            "all but slow planners such as mpc_scenario.",
        ),
    ] = None,
    sensitivity: Annotated[
        bool,
        typer.Option(
            "--sensitivity", help="Play with another curve slope, start cost and hashprice too."
        ),
    ] = False,
    ablate: Annotated[
        list[str] | None,
        typer.Option(
            "--ablate", help="Group of features that learned policies lack, such as forecast."
        ),
    ] = None,
    zero_shot: Annotated[
        bool,
        typer.Option(
            "--zero-shot",
            help="Play bundles where they do not fit too, by an observation mapped to their own.",
        ),
    ] = False,
    hashprice: Annotated[
        float | None, typer.Option("--hashprice", help="USD/(PH/s)/day for the whole span.")
    ] = None,
    hashprice_date: Annotated[
        datetime | None,
        typer.Option("--hashprice-date", formats=["%Y-%m-%d"], help="Day of that quote."),
    ] = None,
    carbon: Annotated[
        float | None,
        typer.Option("--carbon", min=0, help="Carbon factor where the data have none, g/kWh."),
    ] = None,
    no_steps: Annotated[
        bool, typer.Option("--no-steps", help="Write no Parquet of every interval.")
    ] = False,
    ray: RayAddress = None,
    site: Site = None,
    prices: Prices = None,
    area: Area = None,
    start: Start = None,
    end: End = None,
    start_cost: StartCost = None,
    work_levels: WorkLevels = False,
    validate_from: ValidateFrom = None,
    test_from: TestFrom = None,
    json_: Annotated[
        bool, typer.Option("--json", help="Print results.json, nothing else.")
    ] = False,
) -> None:
    """Play every policy over the held-out span, beside the perfect-foresight bound.

    Without SCENARIO, --site and --prices that is the embedded sample: Netherlands day-ahead 2018.
    A bundle also plays where it was not trained, if its observation fits or --zero-shot maps it.
    Ctrl-C leaves what is finished.
    """
    from gridhash.training.evaluate_command import EvaluateOptions, evaluate_policies

    given: dict[str, Any] = {
        "site": site,
        "prices": prices,
        "area": area,
        "start": start,
        "end": end,
        "start_cost": start_cost,
        "work_levels": work_levels,
    }
    names: list[str | None] = [*scenarios] if scenarios else [None]
    for name in scenarios or ():
        if name.rstrip("/").endswith(".bundle"):
            raise ConfigError(f"{name} is a bundle, no scenario: write --bundle before each bundle")
    options = EvaluateOptions(
        folder=out,
        bundles=tuple(bundle or ()),
        keys=tuple(key or ()),
        validate_from=validate_from,
        test_from=test_from,
        policies=tuple(policies) if policies else None,
        sensitivity=sensitivity,
        ablate=tuple(ablate or ()),
        zero_shot=zero_shot,
        hashprice_usd_per_phs_day=hashprice,
        hashprice_date=None if hashprice_date is None else hashprice_date.date(),
        carbon_g_per_kwh=carbon,
        steps=not no_steps,
        ray=ray,
    )
    requests = [request_of(scenario=name, **given) for name in names]
    evaluate_policies(requests, options, as_json=json_, console=console)


def compare(
    first: Annotated[Path, typer.Argument(metavar="A", help="Folder of an evaluation.")],
    second: Annotated[Path, typer.Argument(metavar="B", help="Folder of another.")],
    json_: Annotated[bool, typer.Option("--json", help="Print JSON, nothing else.")] = False,
) -> None:
    """Say what two evaluations of the same spans found otherwise, and what was set otherwise.

    Differences are B less A, paired by day, with 95 % intervals.
    """
    from gridhash.training.results import read_results
    from gridhash.training.run_comparison import compare_runs, comparison_table, settings_lines

    comparison = compare_runs(read_results(first), read_results(second))
    if json_:
        console.print_json(data=comparison.as_dict())
        return
    console.print(comparison_table(comparison))
    for line in settings_lines(comparison):
        console.print(line, highlight=False, markup=False, soft_wrap=True)

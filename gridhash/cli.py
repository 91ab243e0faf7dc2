"""The command line: parse, call one function, print.

Every error that the user can mend ends in one message on stderr and exit code 2.
"""

import logging
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.padding import Padding
from rich.text import Text

from gridhash import (
    __version__,
    cli_bundle,
    cli_commission,
    cli_data,
    cli_evaluate,
    cli_explain,
    cli_journal,
    cli_operator,
    cli_scenarios,
    cli_tune,
)
from gridhash.cli_options import (
    Area,
    End,
    Prices,
    ScenarioName,
    Seed,
    Site,
    Start,
    StartCost,
    TestFrom,
    TrainSeed,
    ValidateFrom,
    WorkLevels,
    request_of,
)
from gridhash.errors import GridhashError
from gridhash.terminal import console, errors, screen

app = typer.Typer(
    help="Run bitcoin-mining rigs as a grid resource: train, judge and serve dispatch policies.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(cli_bundle.app, name="bundle")
app.add_typer(cli_data.app, name="data")
app.command()(cli_scenarios.scenarios)
app.command()(cli_explain.explain)
app.command()(cli_evaluate.evaluate)
app.command()(cli_evaluate.compare)
app.command()(cli_tune.tune)
for command in (
    cli_operator.guard,
    cli_operator.status,
    cli_operator.hold,
    cli_operator.release,
    cli_operator.arm,
    cli_operator.disarm,
    cli_operator.stop_all,
    cli_operator.lock_out,
    cli_operator.clear,
    cli_operator.doctor,
    cli_commission.commission,
    cli_journal.replay,
    cli_journal.export_journal,
    cli_journal.mirror_journal,
):
    app.command()(command)
EXTRA_OF = {
    "torch": "train",
    "stable_baselines3": "train",
    "sb3_contrib": "train",
    "tensorboard": "train",
    "onnx": "onnx",
    "optuna": "search",
    "tomli_w": "search",
    "ray": "cluster",
}
"""Which extra installs a module that not every installation has."""


def _version(wanted: bool) -> None:
    if wanted:
        console.print(f"gridhash {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print version.")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show the log.")] = False,
) -> None:
    logging.basicConfig(
        level=logging.INFO if verbose else logging.ERROR,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )


@app.command()
def sites() -> None:
    """List the site presets."""
    from gridhash.config import load_site, preset_names

    for name in preset_names():
        site = load_site(name)
        console.print(
            Text.assemble(
                (name, "bold"),
                f"  {site.n_rigs} rigs, {site.max_rig_kw:,.0f} kW, {site.currency}, {site.area}",
            )
        )
        console.print(Padding(Text(site.description), (0, 0, 0, 4), expand=False))


@app.command()
def train(
    scenario: ScenarioName = None,
    out: Annotated[Path, typer.Option("--out", help="Run folder.")] = Path("runs/train"),
    site: Site = None,
    prices: Prices = None,
    area: Area = None,
    start: Start = None,
    end: End = None,
    start_cost: StartCost = None,
    work_levels: WorkLevels = False,
    validate_from: ValidateFrom = None,
    test_from: TestFrom = None,
    seed: TrainSeed = None,
    settings: Annotated[
        Path | None,
        typer.Option(
            "--settings",
            help="TOML file of training settings, such as [imitation] n_samples = 100000; action "
            "is shadow_price, power or levels, algorithm ppo, maskable_ppo (levels) or sac.",
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the folder's last checkpoint.")
    ] = False,
) -> None:
    """Train a policy and write its signed bundle.

    Clones the day-ahead plan on the training span, improves the clone by paired plays where the
    future is uncertain and then with PPO, maskable PPO or SAC, and keeps the policy that earns
    most on the validation span. Deployable is its bundle if it beats the best tuned rule there,
    else that rule's. The held-out span is not looked at. Without SCENARIO,
    --site and --prices that is the embedded sample: Netherlands day-ahead 2018.
    """
    from gridhash.training.train import train_policy

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
    result = train_policy(
        request,
        folder=out,
        settings=settings,
        seed=seed,
        validate_from=validate_from,
        test_from=test_from,
        resume=resume,
        console=console,
    )
    console.print(
        f"bundle      {result.bundle}\ndeployable  {result.release.deployable}\n"
        f"TensorBoard tensorboard --logdir {out}",
        highlight=False,
        soft_wrap=True,
    )


@app.command("simulate-rigs")
def simulate_rigs(
    site: Site = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            help="What the rigs are: A1566HA, A1566 (Avalon), M63S (WhatsMiner V3), S21-Braiins, "
            "S21-LuxOS. Watts are those of the site.",
            show_default="an Avalon that fits the site",
        ),
    ] = None,
    count: Annotated[int, typer.Option("--count", min=1, max=2000, help="Rigs in all.")] = 24,
    faults: Annotated[
        Path | None, typer.Option("--faults", help="Campaign of faults (TOML; docs/simulation.md).")
    ] = None,
    address: Annotated[
        str, typer.Option("--address", help="First loopback address; each rig takes the next.")
    ] = "127.40.0.1",
    port: Annotated[
        int | None,
        typer.Option(
            "--port", min=1, max=65535, help="Port for commands.", show_default="the firmware's own"
        ),
    ] = None,
    rig_list: Annotated[
        Path | None,
        typer.Option("--rig-list", help="Write the CSV that `gridhash serve --rigs` reads."),
    ] = None,
    log: Annotated[
        Path | None, typer.Option("--log", help="Write what truly happens, as JSON lines.")
    ] = None,
    meter: Annotated[
        bool, typer.Option("--meter", help="Answer as site meter and plant too (Modbus TCP).")
    ] = False,
) -> None:
    """Run simulated rigs that speak their firmware's real protocol, until Ctrl-C.

    Without --site they are those of japan_pilot. Every rig starts warm and hashing. Nothing is
    mined.
    """
    from gridhash.serving.stand_alone import FleetRequest, run_simulated_rigs

    request = FleetRequest(
        count=count,
        address=address,
        port=port,
        model=model,
        faults=faults,
        rig_list=rig_list,
        log=log,
        meter=meter,
    )
    run_simulated_rigs(site or "japan_pilot", request, screen)


@app.command()
def serve(
    bundle: Annotated[Path, typer.Option("--bundle", help="Signed bundle of the policy.")],
    key: Annotated[Path, typer.Option("--key", help="Public key (.pub) that signed it.")],
    rigs: Annotated[Path, typer.Option("--rigs", help="CSV: rig_id,group,address[,port].")],
    scenario: ScenarioName = None,
    live: Annotated[
        bool | None,
        typer.Option("--live/--shadow", help="Command rigs, or only decide and record: say which."),
    ] = None,
    advisory: Annotated[
        bool, typer.Option("--advisory", help="Say what a person should command; command nothing.")
    ] = False,
    armed_by: Annotated[
        str,
        typer.Option(
            "--armed-by", help="With --live: who arms the site now; else `gridhash arm` does."
        ),
    ] = "",
    operation: Annotated[
        Path | None,
        typer.Option(
            "--operation", help="TOML: schedule, safe profile, orders, permissives, racks, guards."
        ),
    ] = None,
    journal: Annotated[
        Path, typer.Option("--journal", help="SQLite file that records everything.")
    ] = Path("runs/serve/journal.sqlite"),
    site: Site = None,
    prices: Prices = None,
    area: Area = None,
    accept_unproven: Annotated[
        bool,
        typer.Option(
            "--accept-unproven",
            help="With --live: command rigs though the policy did not beat the site's best rule.",
        ),
    ] = False,
    replay_from: Annotated[
        str | None,
        typer.Option(
            "--replay-from",
            help="Take the prices from this local time on for today's: 2018-10-24T18:00.",
        ),
    ] = None,
    hours: Annotated[
        float | None, typer.Option("--hours", help="Stop after this long; forever if not given.")
    ] = None,
) -> None:
    """Drive rigs with a frozen policy: decide, command, verify by watts, record.

    The prices must reach from yesterday to now or later; --prices PUBLISHED+MEASURED takes what is
    measured from a second trace of the store. A trace of the store is read anew when it changes;
    where prices end, the last stands in for two hours, then the schedule and the safe profile of
    --operation. A site's tariff and programs are kept account of from the rigs' watts,
    and the trace must hold the columns that they need. A live site commands nothing until a person
    arms it, then a few rigs first, and all only after each stage was verified by watts. Ctrl-C ends
    in order and leaves the rigs as they are.
    """
    from gridhash.serving.service import serve_site
    from gridhash.serving.site_status import Mode

    if (live is None) != advisory:
        raise typer.BadParameter(
            "say one of --shadow (decide and record only), --advisory (say what to command) and "
            "--live (command rigs)"
        )
    mode = Mode.ADVISORY if advisory else Mode.LIVE if live else Mode.SHADOW
    serve_site(
        request_of(site=site, scenario=scenario, prices=prices, area=area),
        bundle=bundle,
        key=key,
        rigs=rigs,
        journal=journal,
        mode=mode,
        armed_by=armed_by,
        operation=operation,
        accept_unproven=accept_unproven,
        hours=hours,
        console=screen,
        replay_from=replay_from,
    )


@app.command()
def demo(
    site: Site = None,
    prices: Prices = None,
    area: Area = None,
    out: Annotated[Path, typer.Option("--out", help="Run folder.")] = Path("runs/demo"),
    seed: Seed = 0,
    rigs: Annotated[int, typer.Option("--rigs", min=4, max=200, help="Simulated rigs.")] = 24,
) -> None:
    """Train, judge, and run one market day on simulated rigs, each command verified by watts."""
    from gridhash.demo import run_demo
    from gridhash.training.config import TrainingConfig

    request = request_of(site=site, prices=prices, area=area)
    run_demo(request, out, TrainingConfig(seed=seed), rigs, console)


def main() -> None:
    """Run the command line; the outermost edge of every error."""
    try:
        app()
    except GridhashError as err:
        _fail(str(err))
    except ModuleNotFoundError as err:
        if err.name not in EXTRA_OF:
            raise
        _fail(f'this command needs {err.name}: pip install "gridhash[{EXTRA_OF[err.name]}]"')
    except OSError as err:
        if err.filename is None:
            raise
        _fail(f"{err.filename}: {err.strerror}")


def _fail(message: str) -> NoReturn:
    """Say one error, as it is, and end."""
    errors.print(
        Text.assemble(("error", "bold red"), " ", message), soft_wrap=not errors.is_terminal
    )
    sys.exit(2)

"""Options that several commands share, and what they ask for."""

from typing import Annotated, Any

import typer

from gridhash.errors import ConfigError

ScenarioName = Annotated[
    str | None,
    typer.Argument(
        metavar="[SCENARIO]",
        help="Scenario (see `gridhash scenarios`) or its file, instead of --site and --prices.",
        show_default=False,
    ),
]
Site = Annotated[
    str | None, typer.Option("--site", help="Preset (see `gridhash sites`) or site file.")
]
Prices = Annotated[
    str | None,
    typer.Option(
        "--prices",
        help="Price file of any known market, `synthetic` (a Japanese year), `nl_2018` (embedded "
        "sample), or a trace saved by `gridhash data join`.",
    ),
]
Area = Annotated[str | None, typer.Option("--area", help="Market area, if the file has several.")]
Start = Annotated[str | None, typer.Option("--start", help="First local day of the prices.")]
End = Annotated[str | None, typer.Option("--end", help="Day after the last one.")]
StartCost = Annotated[
    float | None,
    typer.Option("--start-cost", help="Wear of one fleet start, in the site's currency."),
]
WorkLevels = Annotated[
    bool, typer.Option("--work-levels", help="Let rigs run at partial load, if the site can.")
]
ValidateFrom = Annotated[
    str | None, typer.Option("--validate-from", help="Local day on which validation begins.")
]
TestFrom = Annotated[
    str | None, typer.Option("--test-from", help="Local day on which the held-out span begins.")
]
RayAddress = Annotated[
    str | None,
    typer.Option(
        "--ray",
        help="Work on a Ray cluster: HOST:PORT of its head, or `local` for the cores of this "
        "machine.",
        show_default=False,
    ),
]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Seed of every random number.")]
TrainSeed = Annotated[
    int | None,
    typer.Option("--seed", min=0, help="Seed of every random number; else that of --settings."),
]


def request_of(*, site: str | None, scenario: str | None = None, **values: Any) -> Any:
    """Return what is asked for: a scenario's name, or a site and prices.

    Raises ConfigError if the site is a scenario, or options stand beside a scenario.
    """
    from gridhash.config import preset_names
    from gridhash.config_scenario import is_scenario
    from gridhash.envs.open_scenario import ScenarioRequest

    if site is not None and site not in preset_names() and is_scenario(site):
        raise ConfigError(
            f"--site {site}: that is a scenario, and --site takes a preset "
            f"({', '.join(preset_names())}) or a site file; `gridhash train` and `gridhash "
            "evaluate` take a scenario without --site"
        )
    if scenario is not None:
        given = {"site": site, **values}
        beside = [name for name, value in given.items() if value is not None and value is not False]
        if beside:
            options = " ".join(f"--{name.replace('_', '-')}" for name in beside)
            raise ConfigError(
                f"the scenario {scenario} brings its own site and prices: leave out {options}, or "
                f'write a scenario file with based_on = "{scenario}"'
            )
        return scenario
    return ScenarioRequest(site=site, **values)

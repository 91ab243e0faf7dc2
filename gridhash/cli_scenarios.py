"""The `gridhash scenarios` command: which there are, and what one of them holds."""

import json
import re
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from gridhash.errors import ConfigError
from gridhash.terminal import screen

if TYPE_CHECKING:
    from gridhash.config_scenario import ScenarioConfig

MINUTE_S = 60
SHORT = {
    "base_point": "base points",
    "behind_meter_pv": "own solar",
    "capacity_contribution": "capacity contribution",
    "carbon_price_per_t": "carbon",
    "coincident_peaks": "coincident peaks",
    "demand_charge": "demand charge",
    "demand_increase": "DR up",
    "demand_reduction": "DR down",
    "pause_orders": "pauses",
    "power_purchase": "power purchase",
    "renewable_levy_per_kwh": "levy",
    "surplus_quota_kwh_per_day": "surplus quota",
    "time_of_use": "time of use",
}
"""Names of tariff and program blocks in the table, where they are not those of the file."""


def scenarios(
    name: Annotated[
        str | None, typer.Argument(help="Scenario or scenario file to show; all are listed else.")
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON, nothing else.")] = False,
    picture: Annotated[
        Path | None,
        typer.Option(
            "--picture",
            help="Draw a day of the scenario to this .png, .svg or .pdf file: prices, power, "
            "temperatures, events and money under the simple rule that earns most.",
        ),
    ] = None,
    day: Annotated[
        str | None,
        typer.Option("--day", help="Local day of the picture, YYYY-MM-DD; else a lively one."),
    ] = None,
) -> None:
    """List the scenarios, or show one: settings, programs, what is synthetic, where value lies."""
    from gridhash.config_scenario import load_scenario_config, scenario_names

    if day is not None and picture is None:
        raise ConfigError("--day chooses the day of a picture: give --picture FILE too")
    if picture is not None:
        if name is None or json_:
            raise ConfigError(
                "--picture draws one scenario: name it, without --json "
                "(gridhash scenarios JapanPilot --picture day.png)"
            )
        _draw(load_scenario_config(_without_id(name)), picture, day)
        return
    if name is not None:
        config = load_scenario_config(_without_id(name))
        if json_:
            _print_json(config.model_dump(mode="json", exclude_none=True))
        else:
            _show(config)
        return
    configs = [load_scenario_config(name) for name in scenario_names()]
    if json_:
        _print_json([summary(config) for config in configs])
        return
    _list(configs)


def _without_id(name: str) -> str:
    """Return the name in an id of Gymnasium, or `name` as it is."""
    found = re.fullmatch(r"gridhash/(\w+)-v0", name)
    return found[1] if found else name


def _list(configs: "Sequence[ScenarioConfig]") -> None:
    """Print a table that 80 columns hold; what it leaves out `_show` tells."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("scenario", no_wrap=True, style="bold")
    for heading in ("market", "period", "price"):
        table.add_column(heading, no_wrap=True, justify="right" if heading == "period" else "left")
    table.add_column("tariff and programs")
    for config in configs:
        site = config.site
        table.add_row(
            config.name,
            site.area,
            f"{site.market.settlement_period_s / MINUTE_S:g} min",
            site.tariff.price_known,
            ", ".join(SHORT.get(block, block) for block in config.programs) or "spot price alone",
        )
    screen.print(table)
    for line in (
        "",
        "Price: published ahead, or in real time, seen after (lagged) or in its period",
        "(current). Each scenario says which of its series are synthetic.",
        "",
        "show one      gridhash scenarios JapanPilot",
        "draw a day    gridhash scenarios JapanPilot --picture day.png",
        'play one      gymnasium.make("gridhash/JapanPilot-v0")',
    ):
        screen.print(line, markup=False, highlight=False)


def _draw(config: "ScenarioConfig", path: Path, day_text: str | None) -> None:
    """Play a day and draw it to a file."""
    from gridhash.envs.named_scenario import open_named_scenario
    from gridhash.training.day_picture import check_picture_file, play_day, write_day_picture

    try:
        day = None if day_text is None else date.fromisoformat(day_text)
    except ValueError as err:
        raise ConfigError(f"--day {day_text!r} is no date; write it as 2025-01-17") from err
    check_picture_file(path)
    scenario = open_named_scenario(config)
    played = play_day(scenario, day)
    write_day_picture(scenario, played, path, title=config.name)
    screen.print(
        f"{path}: {config.name} on {played.day} (local time, {config.site.timezone}), "
        f"{played.run.name}, profit {played.run.profit:,.0f} {config.site.currency}",
        markup=False, highlight=False, soft_wrap=True,
    )  # fmt: skip


def summary(config: "ScenarioConfig") -> dict[str, Any]:
    """Return what the table says of a scenario."""
    site = config.site
    return {
        "id": config.env_id,
        "title": config.title,
        "market": market_of(config),
        "currency": site.currency,
        "period_s": site.market.settlement_period_s,
        "price_known": site.tariff.price_known,
        "groups": len(site.groups),
        "site_kw": round(site.max_rig_kw),
        "programs": config.programs,
        "synthetic": [series_of(text) for text in config.value.synthetic],
    }


def market_of(config: "ScenarioConfig") -> str:
    """Return the market and, where a price is not published ahead, when it is known."""
    known = config.site.tariff.price_known
    return config.site.area if known == "published" else f"{config.site.area}, {known}"


def series_of(text: str) -> str:
    """Return the series that a line of `value.synthetic` names, before its colon."""
    return text.partition(":")[0]


def _show(config: "ScenarioConfig") -> None:
    from gridhash.config_scenario import scenario_names

    site, episode, spans = config.site, config.episode, config.spans
    # A file's scenario and one on real series have no id of their own.
    name = config.env_id if config.name in scenario_names() else config.name
    screen.print(Text(f"{name}  {config.title}", style="bold"))
    screen.print(config.description, markup=False, highlight=False)
    table = Table("", "", box=None, show_header=False, pad_edge=False)
    settings = {
        "site": f"{site.description}: {site.n_rigs} rigs in {len(site.groups)} groups, "
        f"{site.max_rig_kw:,.0f} kW",
        "market": f"{market_of(config)}, {site.currency}, "
        f"{site.market.settlement_period_s / MINUTE_S:g} min",
        "adders": f"{site.market.adders_per_kwh:g} {site.currency}/kWh",
        "hashprice": f"{site.mining.hashprice_usd_per_phs_day:g} USD/PH/s/day where the trace "
        "has none",
        "step": f"{site.dispatch_interval_s / MINUTE_S:g} min",
        "episode": f"{episode.episode_days:g} days, action {episode.action_kind}",
        "programs": ", ".join(config.programs) or "none",
        "test from": str(spans.test_from or f"{spans.train_share + spans.validation_share:.0%}"),
        "synthetic": "\n".join(config.value.synthetic) or "nothing",
        "value": config.value.lies_in,
        "uncertain": config.value.uncertain,
    }
    for key, text in settings.items():
        table.add_row(Text(key, style="bold"), Text(text))
    screen.print()
    screen.print(table)
    if config.figures:
        screen.print(Text("\nFigures and their sources", style="bold"))
    for figure in config.figures:
        screen.print(Text(figure.figure, style="bold"))
        screen.print(Padding(Text(f"{figure.mark}: {figure.source}"), (0, 0, 0, 2)))


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False))

"""The `gridhash scenarios` command: which there are, and what one of them holds."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from gridhash.terminal import console

if TYPE_CHECKING:
    from gridhash.config_scenario import ScenarioConfig

MINUTE_S = 60


def scenarios(
    name: Annotated[
        str | None, typer.Argument(help="Scenario or scenario file to show; all are listed else.")
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON, nothing else.")] = False,
) -> None:
    """List the scenarios, or show one: settings, programs, what is synthetic, where value lies."""
    from gridhash.config_scenario import load_scenario_config, scenario_names

    if name is not None:
        config = load_scenario_config(name)
        if json_:
            _print_json(config.model_dump(mode="json", exclude_none=True))
        else:
            _show(config)
        return
    configs = [load_scenario_config(name) for name in scenario_names()]
    if json_:
        _print_json([summary(config) for config in configs])
        return
    table = Table(box=None)
    table.add_column("id", no_wrap=True)
    for heading in ("market", "period", "groups", "tariff and programs", "synthetic"):
        table.add_column(heading)
    for config in configs:
        values = summary(config)
        table.add_row(
            Text(values["id"], style="bold"),
            values["market"],
            f"{values['period_s'] / MINUTE_S:g} min",
            str(values["groups"]),
            ", ".join(values["programs"]) or "none",
            ", ".join(values["synthetic"]) or "nothing",
        )
    console.print(table)
    console.print("\nShow one: gridhash scenarios JapanPilot", markup=False, highlight=False)


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
    site, episode, spans = config.site, config.episode, config.spans
    console.print(Text(f"{config.env_id}  {config.title}", style="bold"))
    console.print(config.description, markup=False, highlight=False)
    table = Table("", "", box=None, show_header=False)
    settings = {
        "site": f"{site.name}: {site.n_rigs} rigs in {len(site.groups)} groups, "
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
    console.print(table)
    for figure in config.figures:
        console.print(
            f"{figure.figure} [{figure.mark}]: {figure.source}", markup=False, highlight=False
        )


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False))

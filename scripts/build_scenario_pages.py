"""Write docs/scenarios: an overview and one page per scenario, from the TOML files alone.

Figures come from docs/results/scenarios.json (scripts/scenario_value.py) where a scenario has
some. ``--check`` writes nothing and ends with 1 if a page is not up to date.

    python scripts/build_scenario_pages.py
"""

import argparse
import json
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import BaseModel

from gridhash.config_scenario import (
    ON_REAL_SERIES,
    Range,
    ScenarioConfig,
    has_real_series,
    load_scenario_config,
    scenario_names,
)

DOCS = Path(__file__).resolve().parent.parent / "docs"
FOLDER, RESULTS = DOCS / "scenarios", DOCS / "results" / "scenarios.json"
MINUTE_S = 60
POLICY_WORDS = {
    "always_on": "always on",
    "break_even_on_off": "on/off at break-even",
    "level_rule": "level rule",
    "hysteresis": "tuned hysteresis",
    "look_ahead_rule": "look-ahead rule",
    "day_ahead_dp": "day-ahead DP",
    "always_off": "always off",
    "time_of_use": "tuned window of hours",
    "surplus_follower": "tuned surplus follower",
    "peak_shaver": "tuned peak shaver",
    "call_responder": "tuned call responder",
    "base_point_follower": "tuned base-point follower",
    "base_point_tracker": "tuned base-point tracker",
    "static_schedule": "tuned schedule by season",
    "demand_response_only": "tuned response to calls alone",
    "combined_rule": "tuned combined rule",
    "shadow_hysteresis": "tuned hysteresis by shadow price",
    "shadow_look_ahead": "tuned look-ahead rule by shadow price",
    "stochastic_dp": "stochastic dynamic program",
}
KNOWN_WORDS = {
    "published": "published the day before",
    "current": "known from the start of its period",
    "lagged": "known after its period",
}

HOW_TO = """\
`gridhash scenarios JapanPilot --picture day.png` draws a day of one: prices, power, temperatures,
events and money under the rule that earns most.

## A scenario of one's own

A file may be `based_on` a scenario, or on another file, and say only what differs, but always its
own `name`. `[overrides]` is merged into the site, and `[overrides.groups]` changes every group
alike; another `rig` brings all that [its catalogue entry](../reference/rigs.md) supplies, and what
stands beside it counts first. Every key: [parameters](../reference/parameters.md#scenario-file).

```toml
name = "HydroTwo"
based_on = "SpotJapan"
title = "Other rigs on Japanese spot prices"
description = "As SpotJapan with Antminer S21 Hyd at two load levels, other adders and a levy."

[overrides]
description = "537 Antminer S21 Hyd in four loops; Kyushu"
figures = []  # those of the preset speak of its rigs

[overrides.limits]
contract_power_kw = 3000.0

[overrides.market]
adders_per_kwh = 1.3

[overrides.tariff]
renewable_levy_per_kwh = 4.18

[overrides.groups]
rig = "S21-Hyd"
load_levels = [0.7, 1.0]
```

Saved as `mine.toml` it is opened by its path. Without `rows` every day of the data is drawn, the
test span included: give `rows=spans.train`.

```python
import gymnasium
import gridhash.envs.registration
from gridhash.config_scenario import load_scenario_config
from gridhash.envs.named_scenario import open_named_scenario, randomised, row_spans

config = load_scenario_config("mine.toml")  # or "JapanPilot"
scenario = open_named_scenario(config, seed=1)
spans = row_spans(scenario, config.spans)
env = gymnasium.make(
    "gridhash/MiningSite-v0", scenario=scenario, rows=spans.train, **config.episode.model_dump()
)
variants = randomised(config, 2, seed=0, days=14)  # other prices, hashprice, adders, ...
```

## On real series

`JapanPilot@real` is the same site on series that were measured, with spans of their own: FY2016 to
FY2020 teach, FY2021 chooses, FY2022 and later judge, each fiscal year played anew; the hashprice
stays that of the card. The table `[real]` of a scenario file is what is merged over it. The series
are their publishers' and do not come with gridhash: `GRIDHASH_REFERENCE_DATA` names the folder that
has them, an error says which are missing, and [docs/data.md](../data.md) how official files become
a trace of one's own.

```
gridhash train JapanPilot@real
gridhash evaluate JapanPilot@real
```

In Python `gymnasium.make("gridhash/JapanPilot-v0", scenario_name="JapanPilot@real")` makes it.

## Judging a model of one's own

Any model that was trained on `env`, here by Stable-Baselines3, is played over the test span beside
a rule, once and without a break; both see and pay the same.

```python
from dataclasses import dataclass
from stable_baselines3 import PPO
from gridhash.agents.roster import build_policy
from gridhash.envs.action import ActionKind
from gridhash.training.play import play


@dataclass
class Learned:
    model: PPO
    name: str = "mine"
    action_kind: ActionKind = ActionKind.SHADOW_PRICE  # that of env

    def act(self, observation):
        return self.model.predict(observation, deterministic=True)[0].astype(float)


model = PPO("MlpPolicy", env, n_steps=64, batch_size=64, device="cpu").learn(64)  # 64: a sketch
first, last = spans.test
week = first, first + 7 * 48  # half-hours; (first, last) judges on all of the span
for policy in (Learned(model), build_policy("level_rule", scenario.site)):
    print(policy.name, round(play(scenario, policy, week).profit), scenario.site.currency)
```
"""
"""How a scenario is used; a test runs the blocks."""


def pages(results: Mapping[str, Any]) -> dict[str, str]:
    """Return every page by file name."""
    configs = [load_scenario_config(name) for name in scenario_names()]
    written = {f"{config.name}.md": page(config, results.get(config.name)) for config in configs}
    return {"README.md": overview(configs, results), **written}


def overview(configs: list[ScenarioConfig], results: Mapping[str, Any]) -> str:
    """Return the page that lists them all."""
    lines = [
        "# Scenarios",
        "",
        "A scenario is a site, its prices, its tariff and programs, and the spans on which it is "
        "learned and judged: one TOML file in `gridhash/scenarios`, one id for "
        "`gymnasium.make`. `gridhash scenarios` lists them, `gridhash scenarios JapanPilot` shows "
        "one. Each page says where a good policy can earn more than a rule, what is uncertain, "
        "and which series are synthetic.",
        "",
        "| id | market | period | tariff and programs | best of rules and plans | bound |",
        "|---|---|---|---|---|---|",
    ]
    for config in configs:
        site, entry = config.site, results.get(config.name)
        lines.append(
            f"| [{config.env_id}]({config.name}.md) | {site.area}, {site.currency}, "
            f"{KNOWN_WORDS[site.tariff.price_known]} "
            f"| {site.market.settlement_period_s / MINUTE_S:g} min "
            f"| {', '.join(config.programs) or 'none'} | {best_words(entry)} "
            f"| {bound_words(entry)} |"
        )
    lines += [
        "",
        HOW_TO,
        "Made by `python scripts/build_scenario_pages.py`; figures by "
        "`python scripts/scenario_value.py`.",
    ]
    return "\n".join(lines) + "\n"


def best_words(entry: Mapping[str, Any] | None) -> str:
    """Return the best policy of a scenario and what it earned."""
    if entry is None:
        return "not played yet"
    best = max(entry["policies"], key=lambda one: one["profit"])
    return (
        f"{POLICY_WORDS[best['name']]}: {best['profit']:,.0f} {entry['currency']} in "
        f"{entry['days']:g} days"
    )


def bound_words(entry: Mapping[str, Any] | None) -> str:
    """Return the bound of a scenario."""
    if entry is None:
        return "not played yet"
    return f"{entry['bound']:,.0f} {entry['currency']}"


def page(config: ScenarioConfig, entry: Mapping[str, Any] | None) -> str:
    """Return the page of one scenario."""
    site, episode = config.site, config.episode
    based = f" Based on [{config.based_on}]({config.based_on}.md)." if config.based_on else ""
    lines = [
        f"# {config.title}",
        "",
        f"`{config.env_id}`. {config.description}{based}",
        "",
        "## Where the value lies",
        "",
        config.value.lies_in,
        "",
        f"**Uncertain when it is decided:** {config.value.uncertain}",
        "",
        *result_lines(entry, site.timezone),
        "## What is synthetic",
        "",
        *(f"- {text}" for text in config.value.synthetic or ("nothing",)),
        "",
        *real_lines(config),
        "## Setting",
        "",
        "| what | value |",
        "|---|---|",
        f"| site | {site.description or site.name} |",
        f"| full power of all rigs | {site.max_rig_kw:,.0f} kW |",
        f"| contract power | {site.limits.contract_power_kw:,.0f} kW |",
        f"| market | {site.area}, {site.currency} |",
        f"| settlement period | {site.market.settlement_period_s / MINUTE_S:g} min |",
        f"| price | {KNOWN_WORDS[site.tariff.price_known]} |",
        f"| adders | {site.market.adders_per_kwh:g} {site.currency}/kWh |",
        f"| hashprice where the trace has none | {site.mining.hashprice_usd_per_phs_day:g} "
        f"USD/(PH/s)/day at {site.mining.currency_per_usd:g} {site.currency}/USD |",
        f"| cost of a fleet start | {site.start_cost_per_fleet_start:,.0f} {site.currency} |",
        f"| step | {site.dispatch_interval_s / MINUTE_S:g} min |",
        f"| episode | {episode.episode_days:g} days, action `{episode.action_kind}` |",
        "",
        "| group | rigs | model | J/TH | levels | break-even, all-in |",
        "|---|---|---|---|---|---|",
        *(
            f"| {group.name} | {group.n_rigs} | {group.rig_model} "
            f"| {group.efficiency_j_per_th:.1f} "
            f"| {', '.join(f'{level:.3g}' for level in site.levels_of(group))} "
            f"| {site.break_even_per_kwh(group):.3g} {site.currency}/kWh |"
            for group in site.groups
        ),
        "",
        *block_lines("Tariff", site.tariff),
        *block_lines("Programs", site.programs),
        *block_lines("Trace", config.trace),
        *([] if config.processes is None else block_lines("Processes", config.processes)),
        *block_lines("Randomisation", config.randomisation),
        *block_lines("Spans", config.spans),
        "## Sources",
        "",
        "| figure | mark | source |",
        "|---|---|---|",
        *(f"| {one.figure} | {one.mark} | {one.source} |" for one in config.figures),
    ]
    # A preset says of its load_levels why they are on/off: not so where work levels are used.
    own = site.use_work_levels
    inherited = [one for one in site.figures if not own or one.figure != "load_levels"]
    if inherited:
        preset = config.site_preset or site.name
        lines += [
            "",
            f"Of the site `{preset}`, where the scenario does not say otherwise:",
            "",
            "| figure | mark | source |",
            "|---|---|---|",
            *(f"| {one.figure} | {one.mark} | {one.source} |" for one in inherited),
        ]
    return "\n".join(lines) + "\n"


def real_lines(config: ScenarioConfig) -> list[str]:
    """Return what the scenario is on real series; nothing if it has none."""
    if not has_real_series(config.name):
        return []
    real = load_scenario_config(f"{config.name}{ON_REAL_SERIES}")
    return [
        "## On real series",
        "",
        f"`{real.name}`. {real.description} The series are their publishers' and do not come with "
        "gridhash: [where they are read](../../data/reference.py).",
        "",
        "Synthetic or derived there:",
        "",
        *(f"- {text}" for text in real.value.synthetic),
        "",
        *block_lines("Trace on real series", real.trace),
        *block_lines("Spans on real series", real.spans),
    ]


def result_lines(entry: Mapping[str, Any] | None, timezone: str) -> list[str]:
    """Return the table of what policies earned; its first day is local."""
    if entry is None:
        return []
    start = datetime.fromisoformat(entry["start"]).astimezone(ZoneInfo(timezone))
    return [
        f"Played over {entry['days']:g} days of the synthetic test span, from "
        f"{start.date()}; profit in {entry['currency']}:",
        "",
        "| policy | profit | share of full load | fleet starts |",
        "|---|---|---|---|",
        *(
            f"| {POLICY_WORDS[one['name']]} | {one['profit']:,.0f} | {one['load_frac']:.1%} "
            f"| {one['fleet_starts']:,.0f} |"
            for one in sorted(entry["policies"], key=lambda one: -one["profit"])
        ),
        f"| bound, all prices known | {entry['bound']:,.0f} | | |",
        "",
    ]


def block_lines(title: str, block: BaseModel) -> list[str]:
    """Return the keys that a scenario sets in a block, with their meaning; nothing if none."""
    rows = block_rows(block, "")
    if not rows:
        return []
    return [f"### {title}", "", "| key | value | meaning |", "|---|---|---|", *rows, ""]


def block_rows(block: BaseModel, prefix: str) -> list[str]:
    """Return one table row per key, nested blocks by their path."""
    rows: list[str] = []
    for name, field in type(block).model_fields.items():
        value = getattr(block, name)
        if value is None or name not in block.model_fields_set:
            continue
        if isinstance(value, BaseModel):
            if isinstance(value, Range):
                rows.append(row(f"{prefix}{name}", f"{value.low:g} … {value.high:g}", field))
                continue
            nested = block_rows(value, f"{prefix}{name}.")
            rows += nested or [row(f"{prefix}{name}", "with its defaults", field)]
        elif isinstance(value, tuple) and value and isinstance(value[0], BaseModel):
            for k, one in enumerate(value):
                rows += block_rows(one, f"{prefix}{name}[{k}].")
        else:
            rows.append(row(f"{prefix}{name}", shown(value), field))
    return rows


def row(key: str, value: str, field: Any) -> str:
    """Return a row of the table of a block."""
    return f"| `{key}` | {value} | {field.description or ''} |"


def shown(value: Any) -> str:
    """Return a value as the page shows it."""
    if isinstance(value, tuple):
        return ", ".join(shown(one) for one in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def main() -> int:
    """Write the pages, or say which are not up to date."""
    parser = argparse.ArgumentParser(description="Write docs/scenarios.")
    parser.add_argument("--check", action="store_true", help="write nothing; 1 if a page is old")
    options = parser.parse_args()
    results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    wanted = pages(results)
    FOLDER.mkdir(parents=True, exist_ok=True)
    present = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.md")}
    old = sorted(name for name in wanted | present if wanted.get(name) != present.get(name))
    if options.check and old:
        print(f"not up to date: {', '.join(old)}; run python {Path(__file__).name}")
    if options.check:
        return 1 if old else 0
    for name in old:
        (FOLDER / name).unlink(missing_ok=True)
        if name in wanted:
            (FOLDER / name).write_text(wanted[name], encoding="utf-8")
    print(f"wrote {len(old)} of {len(wanted)} pages in {FOLDER}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

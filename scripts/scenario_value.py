"""What rules and plans earn in every scenario, beside what none can exceed.

Rules with parameters are tuned on the scenario's training span; everything is played over the
first days of its test span, from a fleet at rest. A finished scenario is not played again unless
code, scenario or options changed. Writes docs/results/scenarios.json and docs/results/scenarios.md.

    python scripts/scenario_value.py
    python scripts/scenario_value.py --scenarios SpotJapan RealTimeNem --days 90
"""

import argparse
import hashlib
import json
import time
from functools import cache
from pathlib import Path
from typing import Any

from gridhash.agents.bound import perfect_foresight_bound
from gridhash.agents.policy import Policy
from gridhash.agents.roster import baseline_policies
from gridhash.agents.rule_registry import RULES
from gridhash.config_scenario import ScenarioConfig, load_scenario_config, scenario_names
from gridhash.envs.ledger import LEDGER_NAMES
from gridhash.envs.named_scenario import Rows, open_named_scenario, row_spans
from gridhash.envs.scenario import Scenario
from gridhash.envs.wear import fleet_wear
from gridhash.errors import SolverError
from gridhash.training.play import PolicyRun, play
from gridhash.units import SECONDS_PER_DAY, SECONDS_PER_HOUR

ROOT = Path(__file__).resolve().parent.parent
JSON_PAGE = ROOT / "docs" / "results" / "scenarios.json"
TABLE_PAGE = ROOT / "docs" / "results" / "scenarios.md"

COLUMNS = (
    "always_on",
    "break_even_on_off",
    "level_rule",
    "hysteresis",
    "look_ahead_rule",
    "day_ahead_dp",
)
"""Policies with a column of their own in the table; of the others the best is named."""
DEPENDS_ON = (
    "agents/*.py",
    "data/**/*.py",
    "envs/*.py",
    "gridhash/config*.py",
    "gridhash/hash_curve.py",
    "gridhash/rig_models.py",
    "gridhash/time_grid.py",
    "gridhash/presets/*.toml",
    "gridhash/rigs/*.toml",
    "training/play.py",
)


@cache
def code_hash() -> str:
    """Return a hash of every file that the figures depend on."""
    digest = hashlib.sha256()
    for pattern in DEPENDS_ON:
        for path in sorted(ROOT.glob(pattern)):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def key_of(config: ScenarioConfig, days: int, tune_days: int) -> str:
    """Return what a scenario's figures depend on, as one text."""
    settings = config.model_dump_json(exclude={"title", "description", "figures", "value"})
    text = f"{code_hash()} {settings} {days} {tune_days}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def first_days(scenario: Scenario, rows: Rows, days: int) -> Rows:
    """Return the first days of a span."""
    n_rows = round(days * SECONDS_PER_DAY / scenario.trace.period_s)
    return rows[0], min(rows[0] + n_rows, rows[1])


def last_days(scenario: Scenario, rows: Rows, days: int) -> Rows:
    """Return the last days of a span."""
    n_rows = round(days * SECONDS_PER_DAY / scenario.trace.period_s)
    return max(rows[1] - n_rows, rows[0]), rows[1]


def score(scenario: Scenario, run: PolicyRun, decision_s: float) -> dict[str, Any]:
    """Return what a policy earned and did; amounts in the site's currency."""
    frame, site = run.frame, scenario.site
    hours = site.dispatch_interval_s / SECONDS_PER_HOUR
    wear = fleet_wear(frame, site)
    lines = {name: round(float(frame[name].sum()), 2) for name in LEDGER_NAMES}
    return {
        "name": run.name,
        "profit": round(run.profit, 2),
        "ledger": {name: amount for name, amount in lines.items() if amount},
        "energy_mwh": round(float(frame["site_kw"].sum()) * hours / 1000.0, 1),
        "load_frac": round(float(frame["rig_kw"].mean()) / site.max_rig_kw, 4),
        "fleet_starts": round(float(frame["rigs_started"].sum()) / site.n_rigs, 1),
        "wear_cycles_per_year": round(wear.wear_cycles_per_year, 2),
        "deep_cycles_per_year": round(wear.deep_cycles_per_year, 1),
        "seconds": round(decision_s, 1),
    }


def parameters_of(policy: Policy) -> dict[str, float]:
    """Return the parameters of a rule that has some."""
    maker = RULES.get(policy.name)
    return {name: getattr(policy, name) for name in maker.parameters} if maker else {}


def value_of(config: ScenarioConfig, days: int, tune_days: int) -> dict[str, Any]:
    """Play every policy over the test span of one scenario."""
    scenario = open_named_scenario(config)
    spans = row_spans(scenario, config.spans)
    rows = first_days(scenario, spans.test, days)
    policies = baseline_policies(scenario, last_days(scenario, spans.train, tune_days))
    scores = []
    for policy in policies.values():
        started = time.perf_counter()
        scores.append(score(scenario, play(scenario, policy, rows), time.perf_counter() - started))
    bound = perfect_foresight_bound(scenario, rows, opens_accounts=True).value
    best = max(entry["profit"] for entry in scores)
    if bound < best:
        raise SolverError(
            f"{config.name}: a policy earns {best:,.0f}, above the bound {bound:,.0f}"
        )
    starts = scenario.trace.starts
    return {
        "id": config.env_id,
        "currency": scenario.site.currency,
        "start": starts[rows[0]].isoformat(),
        "days": round((rows[1] - rows[0]) * scenario.trace.period_s / SECONDS_PER_DAY, 2),
        "tuned": {name: parameters_of(policy) for name, policy in policies.items()},
        "policies": scores,
        "bound": round(bound, 2),
    }


def table(results: dict[str, Any]) -> str:
    """Return the page of finished scenarios."""
    lines = [
        "# What rules and plans earn in each scenario",
        "",
        "Made by `python scripts/scenario_value.py`. Every figure is the profit over the first "
        "days of the scenario's test span, from a fleet at rest; rules with parameters were tuned "
        "on the training span. **Every series is synthetic**; `docs/scenarios/` says by which "
        "process. The bound is what no policy can earn, even with every price, call and order "
        "known; what its linear program cannot express is bent in favour of profit. Bold: the "
        "best that was played.",
        "",
        "| scenario | days | currency | always on | on/off at break-even | level rule "
        "| tuned hysteresis | look-ahead rule | day-ahead DP | best rule for the programs "
        "| bound | best per bound |",
        "|" + "---|" * 12,
    ]
    for name, entry in results.items():
        profit = {one["name"]: one["profit"] for one in entry["policies"]}
        best = max(profit.values())
        cells = [amount(profit[policy], best) for policy in COLUMNS]
        others = [policy for policy in profit if policy not in (*COLUMNS, "always_off")]
        other = max(others, key=lambda policy: profit[policy], default=None)
        cells.append(f"{other.replace('_', ' ')} {amount(profit[other], best)}" if other else "–")
        cells += [f"{entry['bound']:,.0f}", f"{best / entry['bound']:.1%}"]
        lines.append(f"| {name} | {entry['days']:g} | {entry['currency']} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", *wear_table(results)]) + "\n"


def wear_table(results: dict[str, Any]) -> list[str]:
    """Return what policies do to solder in each scenario, beside their starts."""
    lines = [
        "## Wear",
        "",
        "Fatigue of solder by Norris and Landzberg over rainflow-counted cycles of each group's "
        "hottest chip (`gridhash.envs.wear`), in cycles of 50 K that reach 75 °C, a year and rig; "
        "in brackets the starts of the whole fleet over the days played. Ledgers hold the cost "
        "per start, not this.",
        "",
        f"| scenario | {' | '.join(name.replace('_', ' ') for name in COLUMNS)} |",
        "|" + "---|" * (1 + len(COLUMNS)),
    ]
    for name, entry in results.items():
        played = {one["name"]: one for one in entry["policies"]}
        if "wear_cycles_per_year" not in played[COLUMNS[0]]:
            continue  # played before wear was counted
        cells = [
            f"{played[policy]['wear_cycles_per_year']:,.1f} ({played[policy]['fleet_starts']:,.0f})"
            for policy in COLUMNS
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def amount(value: float, best: float) -> str:
    """Return an amount of money, bold if it is the best."""
    return f"**{value:,.0f}**" if value == best else f"{value:,.0f}"


def write(results: dict[str, Any]) -> None:
    """Write both pages; the JSON file is replaced at once, so that a kill loses no scenario."""
    part = JSON_PAGE.with_suffix(".part")
    part.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    part.replace(JSON_PAGE)
    TABLE_PAGE.write_text(table(results), encoding="utf-8")


def main() -> None:
    """Play what is missing, scenario by scenario."""
    parser = argparse.ArgumentParser(description="Play rules and plans in every scenario.")
    parser.add_argument("--scenarios", nargs="+", choices=scenario_names())
    parser.add_argument("--days", type=int, default=365, help="of the test span")
    parser.add_argument("--tune-days", type=int, default=365, help="of the training span, its last")
    options = parser.parse_args()
    results: dict[str, Any] = {}
    if JSON_PAGE.exists():
        results = json.loads(JSON_PAGE.read_text(encoding="utf-8"))
    for name in options.scenarios or scenario_names():
        config = load_scenario_config(name)
        key = key_of(config, options.days, options.tune_days)
        if results.get(name, {}).get("key") == key:
            print(f"{name} is up to date")
            continue
        started = time.perf_counter()
        results[name] = {"key": key, **value_of(config, options.days, options.tune_days)}
        results = {known: results[known] for known in scenario_names() if known in results}
        write(results)
        print(f"{name}: {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()

"""What rolling plans earn beside tuned rules, the clairvoyant plan and the bound, and their cost.

Plays the first days of a scenario's validation span. Rules are tuned on the last days of its
training span by a small search; planners take their forecasts from all of it. A finished scenario
is kept until it is asked for again. Writes docs/results/planners.json and docs/results/planners.md.

    python scripts/planner_value.py
    python scripts/planner_value.py --scenarios JapanPilot --days 28
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from gridhash.agents.bound import perfect_foresight_bound
from gridhash.agents.clairvoyant import clairvoyant_plan
from gridhash.agents.policy import Observations, Policy
from gridhash.agents.roster import policy_names, tuned_policy
from gridhash.agents.tuning import SearchBudget
from gridhash.config_scenario import load_scenario_config, scenario_names
from gridhash.envs.action import ActionKind
from gridhash.envs.named_scenario import open_named_scenario, row_spans
from gridhash.envs.parameters import Floats
from gridhash.training.play import play
from gridhash.units import SECONDS_PER_DAY

ROOT = Path(__file__).resolve().parent.parent
JSON_PAGE = ROOT / "docs" / "results" / "planners.json"
TABLE_PAGE = JSON_PAGE.with_suffix(".md")
DEFAULT = ("JapanPilot", "SolarSurplus", "RealTimeErcot", "RealTimeNem")
RULES = ("level_rule", "hysteresis", "look_ahead_rule", "shadow_look_ahead", "peak_shaver")
PLANNERS = ("mpc", "mpc_scenario")
BUDGET = SearchBudget(n_wide=12, n_near=12)
TUNE_DAYS = 60


class Follower:
    """Plays a plan step by step."""

    name = "clairvoyant_plan"
    action_kind = ActionKind.POWER

    def __init__(self, action: Floats) -> None:
        self._action, self._t = action, -1

    def act(self, observation: Observations) -> Floats:
        """Return the next action of the plan."""
        self._t += 1
        return np.asarray(self._action[self._t][None])


def value_of(name: str, days: int) -> dict[str, Any]:
    """Play one scenario."""
    config = load_scenario_config(name)
    scenario = open_named_scenario(config)
    spans = row_spans(scenario, config.spans)
    per_day = round(SECONDS_PER_DAY / scenario.trace.period_s)
    rows = (spans.validate[0], min(spans.validate[0] + days * per_day, spans.validate[1]))
    tune_rows = (max(spans.train[0], spans.train[1] - TUNE_DAYS * per_day), spans.train[1])
    entry: dict[str, Any] = {
        "days": (rows[1] - rows[0]) / per_day,
        "start": scenario.trace.starts[rows[0]].isoformat(),
        "currency": scenario.site.currency,
        "bound": perfect_foresight_bound(scenario, rows, opens_accounts=True).value,
        "policies": {},
    }
    wanted = [rule for rule in RULES if rule in policy_names(scenario.site)]
    policies: list[Policy] = [
        tuned_policy(rule, scenario, tune_rows, budget=BUDGET) for rule in wanted
    ]
    policies += [tuned_policy(planner, scenario, spans.train) for planner in PLANNERS]
    policies.append(Follower(clairvoyant_plan(scenario, rows).action))
    for policy in policies:
        started = time.process_time()
        run = play(scenario, policy, rows)
        seconds = time.process_time() - started
        entry["policies"][policy.name] = {
            "profit": round(run.profit, 2),
            "ms_per_decision": round(1000.0 * seconds / len(run.frame), 2),
        }
        print(f"{name} {policy.name}: {run.profit:,.0f}")
    return entry


def table(results: dict[str, Any]) -> str:
    """Return the page."""
    lines = [
        "# What rolling plans earn",
        "",
        "Made by `python scripts/planner_value.py`: the first days of each scenario's validation "
        "span, from a fleet at rest, what peaks leave to later months charged. Rules are tuned on "
        f"{TUNE_DAYS} days by {BUDGET.n_plays} plays each, less than in other results. "
        "The clairvoyant plan knows everything and is played in the kernel. By what the bound lies "
        "above it, the linear program is a relaxation: so much no policy can be expected to earn; "
        "where a rule earns more than it, what the program leaves out counts for more than what "
        "is known. "
        "CPU time of a decision with the step.",
        "",
        "| scenario | days | currency | best rule | `mpc` | `mpc_scenario` | clairvoyant plan, "
        "played | bound | `mpc` closes of best rule → clairvoyant | `mpc` ms | `mpc_scenario` ms |",
        "|" + "---|" * 11,
    ]
    for name, entry in results.items():
        profit = {policy: one["profit"] for policy, one in entry["policies"].items()}
        cost = {policy: one["ms_per_decision"] for policy, one in entry["policies"].items()}
        rule = max((one for one in RULES if one in profit), key=lambda one: profit[one])
        plan = profit[Follower.name]
        gap = plan - profit[rule]
        closed = f"{(profit['mpc'] - profit[rule]) / gap:.0%}" if gap > 0.0 else "–"
        lines.append(
            f"| {name} | {entry['days']:g} | {entry['currency']} | {rule.replace('_', ' ')} "
            f"{profit[rule]:,.0f} | {profit['mpc']:,.0f} | {profit['mpc_scenario']:,.0f} "
            f"| {plan:,.0f} | {entry['bound']:,.0f} | {closed} | {cost['mpc']:.1f} "
            f"| {cost['mpc_scenario']:.1f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Play what is asked for, scenario by scenario."""
    parser = argparse.ArgumentParser(description="Play rolling plans beside rules and the bound.")
    parser.add_argument("--scenarios", nargs="+", choices=scenario_names(), default=DEFAULT)
    parser.add_argument("--days", type=int, default=14)
    options = parser.parse_args()
    results: dict[str, Any] = {}
    if JSON_PAGE.exists():
        results = json.loads(JSON_PAGE.read_text(encoding="utf-8"))
    for name in options.scenarios:
        results[name] = value_of(name, options.days)
        JSON_PAGE.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        TABLE_PAGE.write_text(table(results), encoding="utf-8")


if __name__ == "__main__":
    main()

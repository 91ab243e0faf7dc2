"""Train and judge on the embedded sample, in cells that can be resumed; then write the page.

One cell is a start cost and a seed: train January to August, choose on September, judge October
to December 2018. A finished cell is a JSON file and is not made again unless the code changed.

    make results            # all cells, then docs/results/sample.md
    python scripts/results.py --start-costs 30 --seeds 0 1
"""

import argparse
import hashlib
import json
import shutil
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from gridhash.agents.policy import Policy
from gridhash.agents.roster import baseline_policies
from gridhash.envs.open_scenario import ScenarioRequest, open_scenario
from gridhash.training.config import load_training_config
from gridhash.training.evaluate import evaluate
from gridhash.training.learner import POLICY_NAME
from gridhash.training.spans import spans_by_date
from gridhash.training.statistics import gap_closed, paired_difference
from gridhash.training.train import train_on

ROOT = Path(__file__).resolve().parent.parent
CELLS = ROOT / "docs" / "results" / "cells"
PAGE = ROOT / "docs" / "results" / "sample.md"
COMMAND = "make results"


def code_hash() -> str:
    """Return a hash of every module that a result depends on."""
    digest = hashlib.sha256()
    for folder in ("data", "envs", "agents", "training", "gridhash/presets"):
        for path in sorted((ROOT / folder).glob("**/*")):
            if path.suffix in {".py", ".toml"} and not path.is_symlink():
                digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def run_cell(start_cost: float, seed: int, console: Console) -> dict[str, Any]:
    """Train one policy and judge it beside every baseline."""
    scenario = open_scenario(ScenarioRequest(start_cost=start_cost))
    spans = spans_by_date(scenario)
    config = load_training_config(None, seed=seed)
    folder = Path(tempfile.mkdtemp())
    started = time.perf_counter()
    try:
        result = train_on(scenario, spans, config, folder, resume=False, console=console)
    finally:
        shutil.rmtree(folder)
    training_s = time.perf_counter() - started
    policies: list[Policy] = [*baseline_policies(scenario, spans.train).values(), result.policy]
    evaluation = evaluate(scenario, policies, spans.test)
    zone = scenario.site.timezone
    return {
        "start_cost": start_cost,
        "seed": seed,
        "training_s": training_s,
        "bound": evaluation.bound.value,
        "scores": [asdict(score) for score in evaluation.scores],
        "daily_profit": {
            run.name: [round(x, 6) for x in run.daily_profit(zone)] for run in evaluation.runs
        },
    }


def write_page(cells: list[dict[str, Any]]) -> None:
    """Write the results page from finished cells."""
    lines = [
        "# The embedded sample: Netherlands day-ahead 2018",
        "",
        f"Made by `{COMMAND}`, code {code_hash()}. Site `europe_sample` (537 A1566HA, on/off rigs; "
        "the preset says which figures are assumed). Trained on January to August, chosen on "
        "September, judged on October to December 2018 (92 days), which nothing else has seen. "
        "Break-even is the annual median price by construction, so timing decides.",
        "",
        "*Gap closed* is (learned - level rule) / (day-ahead DP - level rule); intervals are 95 % "
        "by paired bootstrap over days (blocks of 7) and over seeds.",
        "",
        "| start cost, EUR | level rule | tuned hysteresis | learned, mean | day-ahead DP "
        "| bound | gap closed | over tuned hysteresis, EUR | seeds |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    details = [
        "",
        "| start cost, EUR | seed | profit, EUR | gap closed | fleet starts | training, s |",
        "|---|---|---|---|---|---|",
    ]
    for cost in sorted({cell["start_cost"] for cell in cells}):
        own = sorted((c for c in cells if c["start_cost"] == cost), key=lambda c: c["seed"])
        daily = {name: np.array(days) for name, days in own[0]["daily_profit"].items()}
        learned = np.array([cell["daily_profit"][POLICY_NAME] for cell in own])
        rule, planner, tuned = (daily[n] for n in ("level_rule", "day_ahead_dp", "hysteresis"))
        closed = gap_closed(learned, rule, planner, block_days=7)
        over = paired_difference(learned.mean(axis=0), tuned, block_days=7)
        gap = f"{closed.estimate:.1%} [{closed.low:.1%}, {closed.high:.1%}]" if closed else "no gap"
        lines.append(
            f"| {cost:g} | {rule.sum():,.0f} | {tuned.sum():,.0f} "
            f"| {learned.sum(axis=1).mean():,.0f} | {planner.sum():,.0f} "
            f"| {own[0]['bound']:,.0f} | {gap} "
            f"| {over.estimate:,.0f} [{over.low:,.0f}, {over.high:,.0f}] | {len(own)} |"
        )
        for cell, days in zip(own, learned, strict=True):
            share = (days.sum() - rule.sum()) / (planner.sum() - rule.sum())
            score = next(s for s in cell["scores"] if s["name"] == POLICY_NAME)
            details.append(
                f"| {cost:g} | {cell['seed']} | {days.sum():,.0f} | {share:.1%} "
                f"| {score['fleet_starts']:.1f} | {cell['training_s']:.0f} |"
            )
    PAGE.write_text("\n".join(lines + details) + "\n", encoding="utf-8")


def main() -> None:
    """Make what is missing, then the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--start-costs", type=float, nargs="+", default=[0.0, 30.0, 100.0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    options = parser.parse_args()
    console = Console(stderr=True)
    CELLS.mkdir(parents=True, exist_ok=True)
    key = code_hash()
    cells = []
    for cost in options.start_costs:
        for seed in options.seeds:
            path = CELLS / f"sample-start{cost:g}-seed{seed}.json"
            if path.exists() and json.loads(path.read_text())["code"] == key:
                console.print(f"{path.name} is up to date")
            else:
                console.print(f"{path.name} …")
                cell = {"code": key, **run_cell(cost, seed, console)}
                part = path.with_suffix(".part")
                part.write_text(json.dumps(cell, indent=1) + "\n", encoding="utf-8")
                part.replace(path)
            cells.append(json.loads(path.read_text()))
    write_page(cells)
    console.print(f"wrote {PAGE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()

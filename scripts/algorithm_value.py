"""What each way of learning earns: imitation, paired plays, PPO, maskable PPO and SAC, one seed.

Trains on the first 90 days of a scenario's first year, leaves out 8, and plays the 28 after them;
what chooses a policy is the profit of these same 28 days, so that its figures are a little high.
Rules are tuned on the training days by a small search. A finished run is kept until `--again`.
Writes docs/results/algorithms.json and docs/results/algorithms.md.

    python scripts/algorithm_value.py
    python scripts/algorithm_value.py --scenarios SolarSurplus --runs "shadow price, plays, PPO"
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from gridhash.agents.policy import Policy
from gridhash.agents.roster import policy_names, tuned_policy
from gridhash.agents.tuning import SearchBudget
from gridhash.config_scenario import scenario_names
from gridhash.envs.named_scenario import open_named_scenario
from gridhash.envs.scenario import Scenario
from gridhash.training.config import TrainingConfig
from gridhash.training.improvement import candidate_actions
from gridhash.training.learner import Learner
from gridhash.training.oracle import Oracle, clairvoyant_oracle
from gridhash.training.planner_rounds import compare_to_planner
from gridhash.training.play import play
from gridhash.training.progress import TrainingRecord, silent
from gridhash.training.spans import Spans, ending_before
from gridhash.units import SECONDS_PER_DAY

ROOT = Path(__file__).resolve().parent.parent
JSON_PAGE = ROOT / "docs" / "results" / "algorithms.json"
TABLE_PAGE = JSON_PAGE.with_suffix(".md")
DEFAULT = ("SolarSurplus", "RealTimeNem")
TRAIN_DAYS, EMBARGO_DAYS, VALIDATE_DAYS = 90, 8, 28
BASELINES = ("level_rule", "day_ahead_dp", "hysteresis", "shadow_look_ahead", "mpc")
BUDGET = SearchBudget(n_wide=12, n_near=12)
ORACLE_WEEKS = 6
N_JUDGED = 120
"""States of the training days in which a policy's power is compared with that of both teachers."""
PLAYS = {"n_rounds": 2, "n_states": 1024}
NO_PLAYS = {"n_rounds": 0, "n_states": 2048}
NO_RL = {"n_iterations": 0}
FEWER = {"n_iterations": 12, "n_critic_iterations": 4}
RULE = {"n_epochs": 0, "n_samples": 8192, "n_price_shifts": 4, "oracle_weeks": ORACLE_WEEKS}
RULE_OF_POWER = {**RULE, "n_samples": 32_768, "batch_size": 256}
RUNS: dict[str, dict[str, Any]] = {
    "shadow price, planner": {
        "improvement": NO_PLAYS,
        "imitation": RULE | {"n_planner_rounds": 2, "n_planner_states": 1024},
        "ppo": NO_RL,
    },
    "power, planner": {
        "improvement": NO_PLAYS,
        "imitation": RULE_OF_POWER | {"n_planner_rounds": 2, "n_planner_states": 1024},
        "action": "power",
        "ppo": NO_RL,
    },
    "shadow price, plays, PPO": {"improvement": PLAYS, "imitation": RULE},
    "shadow price, plays, SAC": {"improvement": PLAYS, "imitation": RULE, "algorithm": "sac"},
    "levels, plays, maskable PPO": {
        "improvement": PLAYS,
        "imitation": RULE_OF_POWER,
        "action": "levels",
        "algorithm": "maskable_ppo",
    },
    "shadow price, clairvoyant": {
        "improvement": NO_PLAYS,
        "imitation": RULE | {"n_oracle_rounds": 2},
        "ppo": NO_RL,
    },
    "power, plays, PPO": {"improvement": PLAYS, "imitation": RULE_OF_POWER, "action": "power"},
    "shadow price, PPO": {"improvement": NO_PLAYS, "imitation": RULE},
    "levels, maskable PPO": {
        "improvement": NO_PLAYS,
        "imitation": RULE_OF_POWER,
        "action": "levels",
        "algorithm": "maskable_ppo",
    },
    "shadow price, SAC": {"improvement": NO_PLAYS, "imitation": RULE, "algorithm": "sac"},
}
RL = ("ppo", "maskable_ppo", "sac")
READING = """What helps and what does not, as far as one seed and 28 days say:

- In SolarSurplus, where rigs have work levels, plays and maskable PPO over levels earn more than
  the best tuned rule and less than `mpc`; without plays maskable PPO adds little. It is one run: no
  claim to beat the rule until it does so with an interval on days that chose nothing.
- PPO with shadow prices harms in SolarSurplus and stands still in RealTimeNem. SAC harms in both.
  Neither was tuned, and both had few iterations.
- The rolling planner as teacher brings shadow prices to what `mpc` earns in RealTimeNem, and hardly
  above the level rule in SolarSurplus, where nine tenths of agreement are far from its profit. The
  clairvoyant as teacher reaches the tuned hysteresis in RealTimeNem and loses in SolarSurplus.
- Power begins badly: its clone of the level rule earns far less than that rule does, and nothing
  after it makes up for that but, in RealTimeNem, the planner.
"""


class Case:
    """A scenario's days, and the clairvoyant of the training ones."""

    def __init__(self, name: str) -> None:
        days = TRAIN_DAYS + EMBARGO_DAYS + VALIDATE_DAYS + 7
        self.name = name
        self.scenario: Scenario = open_named_scenario(name, years=1, days=days)
        per_day = round(SECONDS_PER_DAY / self.scenario.trace.period_s)
        first = self.scenario.first_row
        end = first + TRAIN_DAYS * per_day
        validate = end + EMBARGO_DAYS * per_day
        last = min(validate + VALIDATE_DAYS * per_day, self.scenario.n_rows)
        self.spans = Spans(
            train=(first, end), validate=(validate, last), test=(last, self.scenario.n_rows)
        )
        self.taught = ending_before(self.scenario, end)
        self.oracle: Oracle = clairvoyant_oracle(
            self.taught, self.spans.train, n_weeks=ORACLE_WEEKS, rng=np.random.default_rng(0)
        )

    def baselines(self) -> dict[str, float]:
        """Return what rules and plans earn on the validation days."""
        earned = {}
        for name in BASELINES:
            if name == "mpc" or name in policy_names(self.scenario.site):
                policy = tuned_policy(name, self.taught, self.spans.train, budget=BUDGET)
                earned[name] = round(play(self.scenario, policy, self.spans.validate).profit, 2)
                print(f"{self.name} {name}: {earned[name]:,.0f}", flush=True)
        return earned

    def judged(self, policy: Policy) -> dict[str, float]:
        """Return how often a policy draws what planner and clairvoyant would, and its regret."""
        _, figures = compare_to_planner(
            self.oracle,
            policy,
            rows=self.spans.train,
            actions=candidate_actions(policy.action_kind, self.scenario.params),
            n_states=N_JUDGED,
            rng=np.random.default_rng(1),
            tell=lambda done, total: None,
        )
        return figures

    def learn(self, run: str) -> dict[str, Any]:
        """Train once; return what was earned on the way."""
        settings = {"hidden": (64, 64), "ppo": FEWER, "sac": FEWER, **RUNS[run]}
        config = TrainingConfig.model_validate(settings)
        started = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            learner = Learner(self.scenario, self.spans, config, Path(folder))
            policy = learner.run(silent)
        minutes = (time.perf_counter() - started) / 60.0
        entry = {
            **earned_by(learner.state.records),
            "kept": round(learner.state.best_validation, 2),
            "minutes": round(minutes, 1),
            **{name: round(value, 4) for name, value in self.judged(policy).items()},
        }
        print(f"{self.name} {run}: {entry}", flush=True)
        return entry


def earned_by(records: list[TrainingRecord]) -> dict[str, Any]:
    """Return validation profits: start, best of the rounds, best and last of the algorithm."""

    def of(*phases: str) -> list[float]:
        found = [r.values.get("validation_profit") for r in records if r.phase in phases]
        return [round(profit, 2) for profit in found if profit is not None]

    rounds, rl = of("oracle", "planner", "improve"), of(*RL)
    return {
        "start": of("clone")[0],
        "rounds": max(rounds, default=None),
        "rl_best": max(rl, default=None),
        "rl_last": rl[-1] if rl else None,
    }


def table(results: dict[str, Any]) -> str:
    """Return the page."""
    lines = [
        "# What each way of learning earns",
        "",
        "Made by `python scripts/algorithm_value.py`: "
        f"{TRAIN_DAYS} days to learn from, {EMBARGO_DAYS} left out, the {VALIDATE_DAYS} after them "
        "played from a fleet at rest; synthetic series, one seed, networks of 64 × 64. Shadow "
        "prices begin at zero, which is the level rule, power and levels as a clone of what it "
        "draws. What chooses is the profit of these same days, so what is kept "
        "is a little high and never below the start. *Rounds* are two of paired plays, "
        "of the clairvoyant or of the rolling planner, the best of them; then the algorithm's "
        "best and its last iteration. Agreement: share of training states that the kept policy "
        "comes to, weighed by what is at stake, in which it draws within 5 % of full power what "
        "the rolling planner, and what the clairvoyant would. Minutes are of a "
        "machine that had other work.",
        "",
        READING,
    ]
    for name, entry in results.items():
        lines += _case_lines(name, entry)
    return "\n".join(lines)


def _case_lines(name: str, entry: dict[str, Any]) -> list[str]:
    base = entry["baselines"]
    rule = base["level_rule"]
    lines = [f"## {name}", "", f"| policy | {entry['currency']} | above the level rule |"]
    lines.append("|---|---|---|")
    for policy, profit in base.items():
        lines.append(f"| {policy.replace('_', ' ')} | {profit:,.0f} | {profit - rule:+,.0f} |")
    lines += [
        "",
        "| run | start | rounds | algorithm, best | algorithm, last | kept above the level rule "
        "| agrees with planner | with clairvoyant | minutes |",
        "|" + "---|" * 9,
    ]
    for run, one in entry["runs"].items():
        profits = [one[key] for key in ("start", "rounds", "rl_best", "rl_last")]
        words = " | ".join("–" if p is None else f"{p - rule:+,.0f}" for p in profits)
        lines.append(
            f"| {run} | {words} | **{one['kept'] - rule:+,.0f}** | {one['agreement_planner']:.0%} "
            f"| {one['agreement_clairvoyant']:.0%} | {one['minutes']:.1f} |"
        )
    return [*lines, ""]


def main() -> None:
    """Train what is asked for and not there yet."""
    parser = argparse.ArgumentParser(description="Train by every algorithm, on few days.")
    parser.add_argument("--scenarios", nargs="+", choices=scenario_names(), default=DEFAULT)
    parser.add_argument("--runs", nargs="+", choices=list(RUNS), default=list(RUNS))
    parser.add_argument("--again", action="store_true", help="train what is there already, too")
    options = parser.parse_args()
    results: dict[str, Any] = {}
    if JSON_PAGE.exists():
        results = json.loads(JSON_PAGE.read_text(encoding="utf-8"))
    for name in options.scenarios:
        case = Case(name)
        entry = results.setdefault(name, {"currency": case.scenario.site.currency, "runs": {}})
        if options.again or "baselines" not in entry:
            entry["baselines"] = case.baselines()
            JSON_PAGE.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        for run in options.runs:
            if options.again or run not in entry["runs"]:
                entry["runs"][run] = case.learn(run)
                JSON_PAGE.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
                TABLE_PAGE.write_text(table(results), encoding="utf-8")


if __name__ == "__main__":
    main()

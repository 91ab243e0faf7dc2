"""How long one decision takes: learned policies, rules and rolling linear programs, in one run.

    python benchmarks/decision_time.py           table, and docs/results/decision_time.md
    python benchmarks/decision_time.py --quick   a smoke test that writes no page

One site on one core, played by the level rule through a part of the test span. At each step every
policy decides on the observation of that instant, one after the other, so that other load on the
machine meets all of them. The first decision after the linear programs finds cold caches, as on
site; learned policies take turns at it, and it has a row of its own.
Ratios are of CPU time: by the wall clock other programs stretch what takes long, not what is short.
What reading the clocks takes is measured too, and taken off CPU times.
Networks are of the size that `gridhash train` makes for these scenarios; their weights are random,
which changes no time. The linear programs roll: each starts from the basis of the step before.
"""

import argparse
import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np

from gridhash.agents.level_policy import LevelPolicy
from gridhash.agents.numpy_policy import MlpPolicy, mlp_shapes
from gridhash.agents.policy import Policy
from gridhash.agents.relative_policy import RelativePolicy
from gridhash.agents.roster import PLANNERS, build_policy, policy_names, tuned_policy
from gridhash.config_scenario import load_scenario_config
from gridhash.envs.action import ActionKind
from gridhash.envs.batched_site import BatchedSite, EpisodeRules
from gridhash.envs.levels import level_counts
from gridhash.envs.named_scenario import open_named_scenario, row_spans
from gridhash.envs.parameters import Floats, Floats32
from gridhash.envs.scenario import Scenario

PAGE = Path(__file__).resolve().parent.parent / "docs" / "results" / "decision_time.md"
SCENARIOS = ("JapanPilot", "RealTimeNem", "DayAheadEurope")
HIDDEN = (64, 64)
NOTHING, OBSERVE = "nothing (reading the clocks)", "observation alone"
SHADOW_PRICE, LEVELS, ADDED = "shadow prices", "levels", "addition to hysteresis"
LEARNED = (SHADOW_PRICE, LEVELS, ADDED)
BOTH, ALONE, COLD = "{}, with observation", "{}, alone", "{}, with observation, cold"
BASIS = BOTH.format(SHADOW_PRICE)
RULES = ("hysteresis", "look_ahead_rule", "shadow_hysteresis", "shadow_look_ahead", "combined_rule")
AGAIN = 10
"""Decisions of what is fast per step."""
GOAL_P99_US = 50.0
GOAL_RATIO = 1000.0


@dataclass(frozen=True, kw_only=True)
class DecisionTime:
    """Time of one decision of one site [µs]: quantiles by the wall clock, median of CPU time."""

    n: int
    p50_us: float
    p99_us: float
    cpu_us: float


Times = dict[str, DecisionTime]
"""By what decides."""


def network(n_features: int, n_outputs: int) -> dict[str, Floats32]:
    """Return the arrays of a network of the default size with random weights."""
    rng = np.random.default_rng(0)
    weights: dict[str, Floats32] = {
        name: rng.normal(0.0, 0.1, shape).astype(np.float32)
        for name, shape in mlp_shapes(n_features, HIDDEN, n_outputs).items()
    }
    weights["normalise.scale"][:] = 1.0
    return weights


def learned_policies(scenario: Scenario) -> dict[str, Policy]:
    """Return one network of every kind for a scenario, by the names in `LEARNED`."""
    site, n_features = scenario.site, len(scenario.features)
    of_groups = network(n_features, scenario.n_groups)
    of_levels = network(n_features, int(level_counts(scenario.params).sum()))
    rule = build_policy("hysteresis", site)
    return {
        SHADOW_PRICE: MlpPolicy(of_groups, name="net", action_kind=ActionKind.SHADOW_PRICE),
        LEVELS: LevelPolicy(of_levels, name="net", site=site, clip=10.0),
        ADDED: RelativePolicy(rule, of_groups, name="net"),
    }


class Stopwatch:
    """Times of what is done, by name."""

    def __init__(self) -> None:
        self.wall: dict[str, list[float]] = {}
        self.cpu: dict[str, list[float]] = {}

    def take(self, what: str, work: Callable[[], object], again: int = AGAIN) -> None:
        """Do a piece of work so many times."""
        for _ in range(again):
            cpu_start, start = time.process_time(), time.perf_counter()
            work()
            end, cpu_end = time.perf_counter(), time.process_time()
            self.wall.setdefault(what, []).append(end - start)
            self.cpu.setdefault(what, []).append(cpu_end - cpu_start)

    def times(self) -> Times:
        """Return what was measured."""
        clocks = float(np.median(self.cpu[NOTHING]))
        return {
            what: _quantiles(took, np.array(self.cpu[what]) - clocks)
            for what, took in self.wall.items()
            if what != NOTHING
        }


def nothing() -> None:
    """Do nothing."""


def measure(name: str, n_steps: int) -> Times:
    """Return the times of all policies on a scenario, over so many dispatch intervals."""
    config = load_scenario_config(name)
    scenario = open_named_scenario(config)
    spans = row_spans(scenario, config.spans)
    site = scenario.site
    learned = learned_policies(scenario)
    rules = [build_policy(rule, site) for rule in RULES if rule in policy_names(site)]
    planners: list[Policy] = [tuned_policy(one, scenario, spans.train) for one in PLANNERS]
    sites = BatchedSite(scenario, 1, EpisodeRules(episode_days=28.0, rows=spans.test))
    sites.start_at(spans.test[0])

    def decide(policy: Policy) -> object:
        return policy.act(sites.observe())

    watch = Stopwatch()
    action = np.zeros((1, sites.n_actions))
    for step in range(n_steps + len(LEARNED)):
        if step == len(LEARNED):
            watch = Stopwatch()  # imports, compilation and the first basis are not decisions
        first = LEARNED[step % len(LEARNED)]
        watch.take(COLD.format(first), partial(decide, learned[first]), 1)
        observation = sites.observe()
        watch.take(NOTHING, nothing)
        watch.take(OBSERVE, sites.observe)
        for kind in LEARNED:
            watch.take(BOTH.format(kind), partial(decide, learned[kind]))
            watch.take(ALONE.format(kind), partial(learned[kind].act, observation))
        for policy in rules:
            watch.take(f"rule {policy.name}", partial(policy.act, observation))
        for policy in planners:
            watch.take(policy.name, partial(policy.act, observation), 1)
        sites.step(action)
    return watch.times()


def _quantiles(wall: list[float], cpu: Floats) -> DecisionTime:
    p50, p99 = np.quantile(wall, [0.5, 0.99]) * 1e6
    return DecisionTime(
        n=len(wall),
        p50_us=float(p50),
        p99_us=float(p99),
        cpu_us=float(np.median(cpu)) * 1e6,
    )


def table(name: str, times: Times) -> list[str]:
    """Return a scenario's figures in Markdown."""
    lines = [
        f"## {name}",
        "",
        f"| decides | decisions | p50 [µs] | p99 [µs] | CPU [µs] | per {BASIS} |",
        "|---|---|---|---|---|---|",
    ]
    basis = times[BASIS].cpu_us
    for what in _in_order(times):
        one = times[what]
        ratio, digits = one.cpu_us / basis, 0 if what in PLANNERS else 1
        lines.append(
            f"| {what} | {one.n:,} | {one.p50_us:,.{digits}f} | {one.p99_us:,.{digits}f} | "
            f"{one.cpu_us:,.{digits}f} | {f'**{ratio:,.0f}**' if digits == 0 else f'{ratio:.2f}'} |"
        )
    return [*lines, "", *(_verdict(kind, times) for kind in LEARNED), ""]


def _in_order(times: Times) -> list[str]:
    """Return who decides, the three ways of each learned policy side by side."""
    own = [way.format(kind) for kind in LEARNED for way in (BOTH, ALONE, COLD)]
    return [OBSERVE, *own, *(what for what in times if what != OBSERVE and what not in own)]


def _verdict(kind: str, times: Times) -> str:
    alone, both, cold = (times[way.format(kind)] for way in (ALONE, BOTH, COLD))
    within = ", ".join(
        f"{one.p99_us:,.0f} µs {words} ({_met(one.p99_us <= GOAL_P99_US)})"
        for one, words in ((alone, "alone"), (both, "with its observation"))
    )
    faster = ", ".join(
        f"`{one}` {times[one].cpu_us / both.cpu_us:,.0f} times "
        f"({_met(times[one].cpu_us / both.cpu_us >= GOAL_RATIO)}; "
        f"from cold caches {times[one].cpu_us / cold.cpu_us:,.0f})"
        for one in PLANNERS
    )
    return (
        f"- **{kind[0].upper()}{kind[1:]}**: p99 at most {GOAL_P99_US:.0f} µs: {within}; from cold "
        f"caches a decision takes {cold.p50_us:,.0f} µs (p99 {cold.p99_us:,.0f} µs). With its "
        f"observation {GOAL_RATIO:,.0f} times as fast as a rolling linear program: {faster}."
    )


def _met(holds: bool) -> str:
    return "met" if holds else "**missed**"


def page(tables: list[str], load: tuple[float, float]) -> str:
    """Return the page of results."""
    return "\n".join(
        [
            "# How long a decision takes",
            "",
            "Made by `python benchmarks/decision_time.py` on a machine with "
            f"{os.cpu_count()} cores ({platform.machine()}, {platform.system()}), Python "
            f"{platform.python_version()}, NumPy {np.__version__}, {datetime.now(UTC):%Y-%m-%d}, "
            f"load average {load[0]:.1f} before and {load[1]:.1f} after. Wall time of one decision "
            "for one site with four groups of rigs, all in one run on the same instants; networks "
            "of 64 x 64 that say shadow prices, choose levels, or add to what a rule says. CPU: "
            "median of CPU time less that of reading the clocks; by it ratios are taken, since "
            "other programs stretch what takes long, not what is short. Cold: the first decision "
            "after three linear programs, as on site, where minutes lie between two decisions; "
            "every other figure is of ten in a row.",
            "",
            "`mpc` plans the expectation, `mpc_quantile` one quantile, `mpc_scenario` several "
            "paths at once: 24 hours ahead, in steps that grow with distance, solved anew at every "
            "dispatch interval by HiGHS from the basis of the interval before. Their time is that "
            "of the whole decision: forecast, building the program in Python, solving it.",
            "",
            *tables,
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Time single decisions.")
    parser.add_argument("--steps", type=int, default=600, help="dispatch intervals per scenario")
    parser.add_argument("--quick", action="store_true", help="few steps, no page")
    options = parser.parse_args()
    n_steps = 20 if options.quick else options.steps
    before = os.getloadavg()[0]
    lines: list[str] = []
    for name in SCENARIOS:
        lines += table(name, measure(name, n_steps))
    text = page(lines, (before, os.getloadavg()[0]))
    print(text)
    if not options.quick:
        PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

"""How long one decision takes: a learned policy, rules and rolling linear programs, in one run.

    python benchmarks/decision_time.py           table, and docs/results/decision_time.md
    python benchmarks/decision_time.py --quick   a smoke test that writes no page

One site on one core, played by the level rule through a part of the test span. At each step every
policy decides on the observation of that instant, one after the other, so that other load on the
machine meets all of them; the first decision after a linear program finds cold caches, as on site.
Ratios are of CPU time: by the wall clock other programs stretch what takes long, not what is short.
The network is of the size that `gridhash train` makes for these scenarios; its weights are random,
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

from gridhash.agents.numpy_policy import MlpPolicy, mlp_shapes
from gridhash.agents.policy import Policy
from gridhash.agents.roster import PLANNERS, build_policy, policy_names, tuned_policy
from gridhash.config_scenario import load_scenario_config
from gridhash.envs.action import ActionKind
from gridhash.envs.batched_site import BatchedSite, EpisodeRules
from gridhash.envs.named_scenario import open_named_scenario, row_spans

PAGE = Path(__file__).resolve().parent.parent / "docs" / "results" / "decision_time.md"
SCENARIOS = ("JapanPilot", "RealTimeNem")
HIDDEN = (64, 64)
OBSERVE, LEARNED, BOTH = "observation alone", "learned policy alone", "observation and learned"
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


def network(n_features: int, n_groups: int) -> MlpPolicy:
    """Return a network of the default size with random weights."""
    rng = np.random.default_rng(0)
    weights = {
        name: rng.normal(0.0, 0.1, shape).astype(np.float32)
        for name, shape in mlp_shapes(n_features, HIDDEN, n_groups).items()
    }
    weights["normalise.scale"][:] = 1.0
    return MlpPolicy(weights, name="learned", action_kind=ActionKind.SHADOW_PRICE)


def measure(name: str, n_steps: int) -> Times:
    """Return the times of all policies on a scenario, over so many dispatch intervals."""
    config = load_scenario_config(name)
    scenario = open_named_scenario(config)
    spans = row_spans(scenario, config.spans)
    site = scenario.site
    learned = network(len(scenario.features), scenario.n_groups)
    rules = [build_policy(rule, site) for rule in RULES if rule in policy_names(site)]
    planners: list[Policy] = [tuned_policy(one, scenario, spans.train) for one in PLANNERS]
    sites = BatchedSite(scenario, 1, EpisodeRules(episode_days=28.0, rows=spans.test))
    sites.start_at(spans.test[0])
    wall: dict[str, list[float]] = {}
    cpu: dict[str, list[float]] = {}

    def take(what: str, work: Callable[[], object], again: int) -> None:
        for _ in range(again):
            cpu_start, start = time.process_time(), time.perf_counter()
            work()
            wall.setdefault(what, []).append(time.perf_counter() - start)
            cpu.setdefault(what, []).append(time.process_time() - cpu_start)

    action = np.zeros((1, sites.n_actions))
    for step in range(n_steps + 1):
        observation = sites.observe()
        take(BOTH, lambda: learned.act(sites.observe()), AGAIN)
        take(OBSERVE, sites.observe, AGAIN)
        for policy in (learned, *rules):
            what = LEARNED if policy is learned else f"rule {policy.name}"
            take(what, partial(policy.act, observation), AGAIN)
        for policy in planners:
            take(policy.name, partial(policy.act, observation), 1)
        if step == 0:
            wall.clear()  # imports, compilation and the first basis are not decisions
            cpu.clear()
        sites.step(action)
    return {what: _quantiles(took, cpu[what]) for what, took in wall.items()}


def _quantiles(wall: list[float], cpu: list[float]) -> DecisionTime:
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
        "| decides | decisions | p50 [µs] | p99 [µs] | CPU [µs] | per observation and learned |",
        "|---|---|---|---|---|---|",
    ]
    basis = times[BOTH].cpu_us
    for what, one in times.items():
        ratio, digits = one.cpu_us / basis, 0 if what in PLANNERS else 1
        lines.append(
            f"| {what} | {one.n:,} | {one.p50_us:,.{digits}f} | {one.p99_us:,.{digits}f} | "
            f"{one.cpu_us:,.{digits}f} | {f'**{ratio:,.0f}**' if digits == 0 else f'{ratio:.2f}'} |"
        )
    p99 = times[LEARNED].p99_us
    ratios = {one: times[one].cpu_us / basis for one in PLANNERS}
    verdicts = [
        f"`{one}` {ratio:,.0f} times ({'met' if ratio >= GOAL_RATIO else '**missed**'})"
        for one, ratio in ratios.items()
    ]
    return [
        *lines,
        "",
        f"- Learned policy alone, p99 at most {GOAL_P99_US:.0f} µs: "
        f"{'met' if p99 <= GOAL_P99_US else '**missed**'}, {p99:.0f} µs.",
        f"- Observation and learned policy {GOAL_RATIO:,.0f} times as fast as a rolling linear "
        f"program: {', '.join(verdicts)}.",
        "",
    ]


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
            "for one site with four groups of rigs, all in one run on the same instants; a network "
            "of 64 x 64. CPU: median of CPU time, by which ratios are taken, since other programs "
            "stretch what takes long, not what is short. One fast decision in ten follows a linear "
            "program and finds cold caches: that is the p99 of what stands first.",
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

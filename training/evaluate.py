"""Policies side by side on a span that none of them was made on."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gridhash import __version__
from gridhash.agents.bound import Bound, perfect_foresight_bound
from gridhash.agents.policy import Policy
from gridhash.envs.batched_site import BatchedSite, EpisodeRules
from gridhash.envs.scenario import Scenario
from gridhash.envs.wear import fleet_wear
from gridhash.errors import PolicyError
from gridhash.training.play import PolicyRun, play
from gridhash.training.spans import Rows
from gridhash.training.statistics import Interval, gap_closed, paired_difference
from gridhash.units import SECONDS_PER_DAY, SECONDS_PER_HOUR

ALWAYS_ON = "always_on"
RULE = "level_rule"
PLANNER = "day_ahead_dp"
FORMAT_VERSION = 1

Progress = Callable[[str, int, int], None]
"""Called with (what is done, steps done, steps in all)."""


@dataclass(frozen=True, kw_only=True)
class PolicyScore:
    """What a policy earned and did on the span; money in the site's currency."""

    name: str
    profit: float
    over_rule: Interval
    """Profit above the level rule, paired by day."""
    gap_closed: Interval | None
    """Share of the gap from level rule to day-ahead DP; None if there is no clear gap."""
    uplift_frac: float | None
    """(J - J_always_on) / (J_bound - J_always_on); None if the bound is not above always on."""
    hash_revenue: float
    energy_mwh: float
    effective_price_per_kwh: float | None
    """Paid per kWh drawn, all-in; None if nothing was drawn."""
    load_frac: float
    fleet_starts: float
    """Rigs started per rig of the site."""
    wear_cycles_per_year: float
    """Solder fatigue, mean over rigs: cycles of 50 K that reach 75 °C (`envs.wear.fleet_wear`)."""
    deep_cycles_per_year: float
    """Chip temperature cycles of more than 20 K, mean over rigs."""
    hash_phs_day: float
    surplus_captured_frac: float | None
    max_chip_temp_c: float
    decision_us: float
    """Median wall time of one decision on one observation [µs]; differs from machine to machine."""


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """All policies on one span, with the bound beside them."""

    scenario: Scenario
    rows: Rows
    runs: tuple[PolicyRun, ...]
    scores: tuple[PolicyScore, ...]
    bound: Bound

    def run(self, name: str) -> PolicyRun:
        """Return the run of a policy by name."""
        return next(run for run in self.runs if run.name == name)


def evaluate(
    scenario: Scenario,
    policies: Sequence[Policy],
    rows: Rows,
    *,
    progress: Progress | None = None,
    bound: Bound | None = None,
) -> Evaluation:
    """Play every policy over `rows` and compare them.

    `always_on`, `level_rule` and `day_ahead_dp` must be among them and every name once.
    A `bound` that is already known for the same scenario and rows may be given.

    Raises
    ------
    PolicyError
        If one of the three is missing, or two policies share a name.
    """
    _check_names([policy.name for policy in policies])
    runs = []
    for policy in policies:
        name = policy.name

        def report(done: int, total: int, name: str = name) -> None:
            if progress is not None:
                progress(name, done, total)

        runs.append(play(scenario, policy, rows, progress=report))
    if bound is None:

        def report_bound(done: int, total: int) -> None:
            if progress is not None:
                progress("bound", done, total)

        bound = perfect_foresight_bound(scenario, rows, opens_accounts=True, progress=report_bound)
    decision_us = {policy.name: _decision_us(scenario, policy, rows) for policy in policies}
    zone = scenario.site.timezone
    daily = {run.name: run.daily_profit(zone).to_numpy(dtype=np.float64) for run in runs}
    scores = tuple(_score(scenario, run, daily, bound, decision_us[run.name]) for run in runs)
    return Evaluation(scenario=scenario, rows=rows, runs=tuple(runs), scores=scores, bound=bound)


def _check_names(names: Sequence[str]) -> None:
    for name in (ALWAYS_ON, RULE, PLANNER):
        if name not in names:
            raise PolicyError(f"{name} is missing: every policy is compared with it; add it")
    for name in names:
        if names.count(name) > 1:
            raise PolicyError(f"two policies are called {name}: rename one, results go by name")


def _decision_us(scenario: Scenario, policy: Policy, rows: Rows) -> float:
    days = (rows[1] - rows[0]) * scenario.trace.period_s / SECONDS_PER_DAY
    sites = BatchedSite(scenario, 1, EpisodeRules(episode_days=days, rows=rows))
    sites.start_at(rows[0], running_frac=1.0)
    observation = sites.observe()
    policy.act(observation)
    seconds = []
    for _ in range(200):
        start = time.perf_counter()
        policy.act(observation)
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds) * 1e6)


def _score(
    scenario: Scenario,
    run: PolicyRun,
    daily: dict[str, npt.NDArray[np.float64]],
    bound: Bound,
    decision_us: float,
) -> PolicyScore:
    frame, site = run.frame, scenario.site
    hours = site.dispatch_interval_s / SECONDS_PER_HOUR
    energy_kwh = float(frame["site_kw"].sum() * hours)
    cost = float(
        (frame["import_energy_cost"] + frame["adder_cost"] + frame["surplus_energy_cost"]).sum()
    )
    always_on = float(daily[ALWAYS_ON].sum())
    to_be_won = bound.value - always_on
    surplus_kwh = float(frame["surplus_kw"].sum() * hours)
    wear = fleet_wear(frame, site)
    chips = [f"chip_temp_c_{group.name}" for group in site.groups]
    return PolicyScore(
        name=run.name,
        profit=run.profit,
        over_rule=paired_difference(daily[run.name], daily[RULE]),
        gap_closed=gap_closed(daily[run.name], daily[RULE], daily[PLANNER]),
        uplift_frac=(run.profit - always_on) / to_be_won if to_be_won > 0 else None,
        hash_revenue=float(frame["hash_revenue"].sum()),
        energy_mwh=energy_kwh / 1000.0,
        effective_price_per_kwh=cost / energy_kwh if energy_kwh > 0 else None,
        load_frac=float(frame["rig_kw"].mean() / site.max_rig_kw),
        fleet_starts=float(frame["rigs_started"].sum() / site.n_rigs),
        wear_cycles_per_year=wear.wear_cycles_per_year,
        deep_cycles_per_year=wear.deep_cycles_per_year,
        hash_phs_day=float(frame["hashrate_phs"].sum() * hours / 24.0),
        surplus_captured_frac=(
            float(frame["surplus_used_kw"].sum() * hours) / surplus_kwh if surplus_kwh > 0 else None
        ),
        max_chip_temp_c=float(frame[chips].max().max()),
        decision_us=decision_us,
    )


def results_dict(evaluation: Evaluation) -> dict[str, Any]:
    """Return what `results.json` holds; every amount is in `currency`."""
    scenario = evaluation.scenario
    first, last = evaluation.rows
    index = scenario.trace.frame.index
    return {
        "format_version": FORMAT_VERSION,
        "gridhash": __version__,
        "site": scenario.site.name,
        "currency": scenario.site.currency,
        "area": scenario.trace.area,
        "source": scenario.trace.source,
        "start": index[first].isoformat(),
        "end": (index[last - 1] + np.timedelta64(scenario.trace.period_s, "s")).isoformat(),
        "start_cost_per_fleet_start": scenario.site.start_cost_per_fleet_start,
        "bound": evaluation.bound.value,
        "policies": [asdict(score) for score in evaluation.scores],
    }


def write_results(evaluation: Evaluation, path: Path) -> None:
    """Write `results.json`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        json.dumps(results_dict(evaluation), indent=2, allow_nan=False) + "\n", encoding="utf-8"
    )

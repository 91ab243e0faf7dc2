"""Policies side by side on a span that none of them was made on."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean

import numpy as np
import numpy.typing as npt

from gridhash.agents.bound import Bound, perfect_foresight_bound
from gridhash.agents.policy import Policy
from gridhash.envs.scenario import Scenario
from gridhash.errors import PolicyError
from gridhash.training.contenders import (
    ALWAYS_ON,
    PLANNER,
    REFERENCES,
    RULE,
    Contender,
    Kind,
    contender_of,
    decision_times,
)
from gridhash.training.hashprice_card import HashpriceCard, stated_card
from gridhash.training.metrics import Values, mean_of, metrics_of
from gridhash.training.play import PolicyRun, play
from gridhash.training.played import Played
from gridhash.training.sensitivity import Variant
from gridhash.training.settled_days import settled_daily_profit
from gridhash.training.spans import Rows
from gridhash.training.statistics import Difference, Interval, difference, gap_closed
from gridhash.training.transfer import Transfer

__all__ = ["ALWAYS_ON", "PLANNER", "RULE", "Evaluation", "PolicyScore", "evaluate"]

Progress = Callable[[str, int, int], None]
"""Called with (what is done, steps done, steps in all)."""
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class SeedScore:
    """One play of a policy: of one training seed, or of a policy that has none."""

    run_name: str
    seed: int | None
    daily_profit: tuple[float, ...]
    """By local day, what months settle spread over their days [currency]."""
    metrics: Values


@dataclass(frozen=True, kw_only=True)
class PolicyScore:
    """What a policy earned and did on the span, mean over its seeds; money in the currency."""

    name: str
    kind: Kind
    note: str
    metrics: Values
    over_rule: Difference
    """Profit above the level rule, paired by day and seed."""
    over_best_rule: Difference | None
    """Profit above the rule that earned most on this very span; None if it is that rule."""
    gap_closed: Interval | None
    """Share of the gap from level rule to day-ahead DP; None if there is no clear gap."""
    seeds: tuple[SeedScore, ...]

    def value(self, name: str) -> float:
        """Return a metric that every play has."""
        value = self.metrics[name]
        assert value is not None
        return value

    @property
    def profit(self) -> float:
        """Profit of the span, see the metric [currency]."""
        return self.value("profit")

    @property
    def daily(self) -> Floats:
        """Settled profit of each day and seed, (seeds, days) [currency]."""
        return np.array([seed.daily_profit for seed in self.seeds])

    @property
    def best_run(self) -> str:
        """Name of the play of the seed that earned most: that one is drawn."""
        profits = [seed.metrics["profit"] or 0.0 for seed in self.seeds]
        return self.seeds[int(np.argmax(profits))].run_name


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """All policies on one span, with the bound beside them."""

    name: str
    """Of the scenario."""
    scenario: Scenario
    rows: Rows
    runs: tuple[PolicyRun, ...]
    scores: tuple[PolicyScore, ...]
    bound: Bound
    card: HashpriceCard
    carbon_g_per_kwh: float | None = None
    """Assumed average factor of the grid, where the data have none."""
    ablated: tuple[str, ...] = ()
    """Groups of features that learned policies played without."""
    not_played: Mapping[str, str] = field(default_factory=dict)
    """Policies that were asked for but cannot play here, and why."""
    transfers: Mapping[str, Transfer] = field(default_factory=dict)
    """By play: how learned policies are made to read a site that they do not fit."""
    sensitivity: tuple[Variant, ...] = ()
    stopped: bool = False
    """Whether the evaluation was interrupted before all had played."""

    def run(self, name: str) -> PolicyRun:
        """Return the play of a policy by name; of several seeds the one that earned most."""
        runs = {run.name: run for run in self.runs}
        return runs[name] if name in runs else runs[self.score(name).best_run]

    def score(self, name: str) -> PolicyScore:
        """Return the score of a policy by name."""
        return next(score for score in self.scores if score.name == name)

    @property
    def best_rule(self) -> str:
        """Name of the rule that earned most on this span."""
        return _best_rule({score.name: (score.kind, score.profit) for score in self.scores})


def evaluate(
    scenario: Scenario,
    policies: Sequence[Policy | Contender],
    rows: Rows,
    *,
    name: str | None = None,
    progress: Progress | None = None,
    bound: Bound | None = None,
    played: Mapping[str, PolicyRun] | None = None,
    card: HashpriceCard | None = None,
    carbon_g_per_kwh: float | None = None,
    on_played: Callable[[PolicyRun], None] | None = None,
    keep_all: bool = True,
) -> Evaluation:
    """Play every policy over `rows` and compare them.

    `always_on`, `level_rule` and `day_ahead_dp` must be among them, every name and seed once.
    Once these and the bound are there, Ctrl-C ends the evaluation with what has been played, and
    says so by `stopped`.

    Parameters
    ----------
    bound
        One that is already known for the same scenario and rows.
    played
        Plays that are there already for the same scenario and rows, by the name of the play.
    on_played
        Called with every play as soon as it is finished.
    keep_all
        Keep the intervals of every play; otherwise, to save memory, only those of the three and
        of the best rule, the best planner and the best seed of each learned policy.

    Raises
    ------
    PolicyError
        If one of the three is missing, or two policies share a name and seed.
    """
    contenders = [p if isinstance(p, Contender) else contender_of(p) for p in policies]
    _check_names([contender.run_name for contender in contenders])
    needed = [c for c in contenders if c.name in REFERENCES]
    others = [c for c in contenders if c.name not in REFERENCES]
    runs: dict[str, PolicyRun] = {}
    seeds: dict[str, SeedScore] = {}
    stopped = False

    def take(contender: Contender) -> PolicyRun:
        run = (played or {}).get(contender.run_name)
        if run is None:
            run = _play(scenario, contender, rows, progress)
        if on_played is not None:
            on_played(run)
        runs[contender.run_name] = run
        return run

    for contender in needed:
        take(contender)
    if bound is None:
        bound = _bound(scenario, rows, progress)
    always_on, value = runs[ALWAYS_ON].profit, bound.value

    def judge(contender: Contender) -> None:
        one = Played(
            scenario=scenario,
            run=runs[contender.run_name],
            always_on=always_on,
            bound=value,
            timing=decision_times(scenario, contender.policy, rows),
            carbon_g_per_kwh=carbon_g_per_kwh,
        )
        seeds[contender.run_name] = SeedScore(
            run_name=contender.run_name,
            seed=contender.seed,
            daily_profit=tuple(one.daily.tolist()),
            metrics=metrics_of(one),
        )

    for contender in needed:
        judge(contender)
    best: dict[str, str] = {}
    try:
        for contender in others:
            run = take(contender)
            judge(contender)
            if keep_all:
                continue
            sort = contender.name if contender.kind == "learned" else contender.kind
            # Of equals the earlier one stays, as in every ranking.
            keeps, leaves = sorted(
                (best.get(sort, run.name), run.name), key=lambda name: -runs[name].profit
            )
            best[sort] = keeps
            if leaves != keeps:
                del runs[leaves]
    except KeyboardInterrupt:
        stopped = True
    there = [contender for contender in contenders if contender.run_name in seeds]
    return Evaluation(
        name=name or scenario.site.name,
        scenario=scenario,
        rows=rows,
        runs=tuple(runs[c.run_name] for c in there if c.run_name in runs),
        scores=_scores(there, seeds),
        bound=bound,
        card=card or stated_card(scenario, rows),
        carbon_g_per_kwh=carbon_g_per_kwh,
        stopped=stopped,
    )


def _check_names(names: Sequence[str]) -> None:
    for name in REFERENCES:
        if name not in names:
            raise PolicyError(f"{name} is missing: every policy is compared with it; add it")
    for name in names:
        if names.count(name) > 1:
            raise PolicyError(f"two policies are called {name}: rename one, results go by name")


def _play(
    scenario: Scenario, contender: Contender, rows: Rows, progress: Progress | None
) -> PolicyRun:
    name = contender.run_name

    def report(done: int, total: int) -> None:
        if progress is not None:
            progress(name, done, total)

    return replace(play(scenario, contender.policy, rows, progress=report), name=name)


def _bound(scenario: Scenario, rows: Rows, progress: Progress | None) -> Bound:
    def report(done: int, total: int) -> None:
        if progress is not None:
            progress("bound", done, total)

    return perfect_foresight_bound(scenario, rows, opens_accounts=True, progress=report)


def _scores(
    contenders: Sequence[Contender], seeds: Mapping[str, SeedScore]
) -> tuple[PolicyScore, ...]:
    groups: dict[str, list[Contender]] = {}
    for contender in contenders:
        groups.setdefault(contender.name, []).append(contender)
    own = {name: [seeds[c.run_name] for c in group] for name, group in groups.items()}
    daily = {name: np.array([s.daily_profit for s in group]) for name, group in own.items()}
    profits = {
        name: (group[0].kind, fmean(s.metrics["profit"] or 0.0 for s in own[name]))
        for name, group in groups.items()
    }
    best_rule = _best_rule(profits)
    return tuple(
        PolicyScore(
            name=name,
            kind=group[0].kind,
            note="; ".join(dict.fromkeys(c.note for c in group if c.note)),
            metrics=mean_of([seed.metrics for seed in own[name]]),
            over_rule=difference(daily[name], daily[RULE]),
            over_best_rule=(
                None if name == best_rule else difference(daily[name], daily[best_rule])
            ),
            gap_closed=gap_closed(daily[name], daily[RULE][0], daily[PLANNER][0]),
            seeds=tuple(own[name]),
        )
        for name, group in groups.items()
    )


def _best_rule(profits: Mapping[str, tuple[Kind, float]]) -> str:
    rules = {name: profit for name, (kind, profit) in profits.items() if kind == "rule"}
    return max(rules, key=lambda name: rules[name])


def daily_index(evaluation: Evaluation) -> list[str]:
    """Return the local days of the span as 2018-10-24."""
    days = settled_daily_profit(evaluation.runs[0], evaluation.scenario.site.timezone).index
    return [day.isoformat() for day in days]

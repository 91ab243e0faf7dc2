"""What is left of a result if an assumption is wrong: slope of the curve, start cost, hashprice.

Policies are those of the evaluation: rules with their tuned parameters, networks with their
weights; each knows the changed site as it knew the site. The bound is not solved anew.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from gridhash.config import SiteConfig, parse_site
from gridhash.envs.scenario import Scenario, build_scenario
from gridhash.training.contenders import PLANNER, RULE, Contender
from gridhash.training.hashprice_card import HASHPRICE
from gridhash.training.play import play
from gridhash.training.settled_days import settled_daily_profit
from gridhash.training.spans import Rows
from gridhash.training.statistics import Difference, Interval, difference, gap_closed

SLOPE_STEP = 0.10
START_COST_FACTORS = (0.5, 2.0)
HASHPRICE_FACTORS = (0.6, 1.4)


@dataclass(frozen=True, kw_only=True)
class VariantScore:
    """What a policy earned with one assumption changed [currency]."""

    name: str
    profit: float
    over_rule: Difference
    gap_closed: Interval | None


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A scenario with one assumption changed, and who earned what in it."""

    name: str
    scores: tuple[VariantScore, ...]


def variants(scenario: Scenario) -> Iterator[tuple[str, Scenario]]:
    """Yield what is changed, in words, and the changed scenario.

    Slopes that would fall below zero, and all of them on a site of on/off rigs, are left out:
    there they change nothing.
    """
    site = scenario.site
    partial = any(len(site.levels_of(group)) > 1 for group in site.groups)
    for step in (-SLOPE_STEP, SLOPE_STEP):
        if partial and all(0.0 <= group.curve_b + step < 1.0 for group in site.groups):
            yield f"slope b {step:+.2f}", build_scenario(_with_slope(site, step), scenario.trace)
    for factor in START_COST_FACTORS:
        cost = site.start_cost_per_fleet_start * factor
        if cost > 0.0:
            changed = site.model_copy(update={"start_cost_per_fleet_start": cost})
            yield f"start cost × {factor:g}", build_scenario(changed, scenario.trace)
    for factor in HASHPRICE_FACTORS:
        yield (
            f"hashprice {factor - 1.0:+.0%}".replace("%", " %"),
            scaled_hashprice(scenario, factor),
        )


def _with_slope(site: SiteConfig, step: float) -> SiteConfig:
    values = site.model_dump(exclude_unset=True)
    values["groups"] = [
        own | group.with_slope(group.curve_b + step)
        for own, group in zip(values["groups"], site.groups, strict=True)
    ]
    return parse_site(values, origin=f"{site.name} with slope b {step:+.2f}")


def scaled_hashprice(scenario: Scenario, factor: float) -> Scenario:
    """Return the scenario with its hashprice, and its whole path if it has one, times a factor."""
    mining = scenario.site.mining
    changed = mining.model_copy(update={HASHPRICE: mining.hashprice_usd_per_phs_day * factor})
    site = scenario.site.model_copy(update={"mining": changed})
    trace = scenario.trace
    if HASHPRICE in trace.frame:
        trace = trace.with_columns({HASHPRICE: trace.column(HASHPRICE) * factor})
    return build_scenario(site, trace)


def sensitivity(
    scenario: Scenario,
    contenders: Sequence[Contender],
    rows: Rows,
    *,
    progress: Callable[[str, int, int], None] | None = None,
) -> Iterator[Variant]:
    """Yield every variant as soon as the contenders, level rule and DP among them, played it."""
    told = list(contenders)
    for what, changed in variants(scenario):
        daily: dict[str, list[np.ndarray]] = {}
        for k, contender in enumerate(told):
            run = play(changed, contender.at(changed.site).policy, rows)
            days = settled_daily_profit(run, changed.site.timezone)
            daily.setdefault(contender.name, []).append(days.to_numpy(dtype=np.float64))
            if progress is not None:
                progress(what, k + 1, len(told))
        yield Variant(name=what, scores=tuple(_scores(daily)))


def _scores(daily: dict[str, list[np.ndarray]]) -> Iterator[VariantScore]:
    rule, planner = daily[RULE][0], daily[PLANNER][0]
    for name, seeds in daily.items():
        own = np.array(seeds)
        yield VariantScore(
            name=name,
            profit=float(own.sum(axis=1).mean()),
            over_rule=difference(own, rule),
            gap_closed=gap_closed(own, rule, planner),
        )

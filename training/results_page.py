"""The page of results, from cells alone: who earned what on held-out spans, how surely."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gridhash.agents.roster import POLICIES
from gridhash.config_scenario import ON_REAL_SERIES
from gridhash.training.cells import BOUND, LEARNED, Cell
from gridhash.training.statistics import Interval, difference, gap_closed
from gridhash.training.statistics_across import holm

RULES_IN = "gridhash.agents.rules"
"""Modules of policies that are rules begin so; all others plan."""
BASE_RULE = "level_rule"
OLD = "†"
PROMISES = {
    "base_points_met_frac": "base points met",
    "base_points_market_met_frac": "as the market asks",
    "base_point_deviation_frac": "mean distance",
}
"""Metrics that have a column where a scenario has base points."""

INTRO = """\
# Policies on held-out spans

Made by `make results` from the cells in `docs/results/cells`, one per scenario, policy and seed.
Every policy is played over the whole test span, each of its parts from a fleet at rest and the site
file's accounts, and what its peaks leave to later months is charged. Parameters are tuned on the
training span; *best rule* and *B\\** (the best of all rules and planners) are those that earn most
on the validation span, so nothing of the test chooses anything. The hashprice is that of the site's
card throughout: with that of 2016 always-on would win every year. *Bound* is what no policy can
earn with everything known. Scenarios `@real` play on measured series, which do not come with
gridhash; what of them is drawn or derived, their sections say.

Intervals are 95 %, by paired bootstrap over blocks of 7 days and over training seeds; *p* is
corrected by Holm over the scenarios of the table. *Exploratory* scenarios have too little data for
a claim and are left out of that correction. *Gap closed* is (learned − best rule) / (bound − best
rule); the last column is in percent of bound − level rule.

A rule is tuned on the whole training span and on its newest year, and the validation span chooses
between the two. Learning begins at the rule that is best by the same choice, so where nothing is
surely gained *learned* is the best rule and its line says so.
"""


def is_rule(policy: str) -> bool:
    """Return whether a policy is a rule: it reads the observation and plans nothing."""
    return getattr(POLICIES.get(policy), "__module__", "").startswith(RULES_IN)


@dataclass(frozen=True, kw_only=True)
class ScenarioResults:
    """The cells of one scenario that were played on the same days."""

    name: str
    cells: tuple[Cell, ...]

    @property
    def sample(self) -> Cell:
        """Any cell: what it says of the data holds for all."""
        return self.cells[0]

    def cell(self, policy: str) -> Cell | None:
        """Return the cell of a policy without seeds."""
        return next((cell for cell in self.cells if cell.id.policy == policy), None)

    @property
    def learned(self) -> list[Cell]:
        """Cells of the learned policy by seed."""
        own = [cell for cell in self.cells if cell.id.policy == LEARNED]
        return sorted(own, key=lambda cell: cell.id.seed)

    def best(self, *, rules_only: bool) -> Cell | None:
        """Return the cell that earns most on validation, of rules or of all that is not learned."""
        judged = [
            (profit, cell)
            for cell in self.cells
            if cell.id.policy not in (BOUND, LEARNED)
            and (is_rule(cell.id.policy) or not rules_only)
            and (profit := cell.profit("validate")) is not None
        ]
        return max(judged, key=lambda one: one[0])[1] if judged else None


def scenario_results(cells: Sequence[Cell]) -> list[ScenarioResults]:
    """Return cells by scenario, those left out that were played on other days than most."""
    results = []
    for name in dict.fromkeys(cell.id.scenario for cell in cells):
        own = [cell for cell in cells if cell.id.scenario == name]
        days = [tuple((p.start, p.end) for p in cell.of_role("test")) for cell in own]
        usual = max(set(days), key=days.count)
        kept = tuple(cell for cell, own_days in zip(own, days, strict=True) if own_days == usual)
        results.append(ScenarioResults(name=name, cells=kept))
    return results


def page(cells: Sequence[Cell], old: Collection[str]) -> str:
    """Return the page; `old` are the stems of cells that the present code would make anew."""
    found = scenario_results(cells)
    lines = [INTRO]
    if old:
        lines += [f"{OLD} made by earlier code or on other data, and to be made anew.", ""]
    lines += summary(found)
    for results in found:
        lines += section(results, old)
    return "\n".join(lines).rstrip() + "\n"


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The learned policy of a scenario beside the best rule and B*."""

    over_rule: Interval
    over_best: Interval
    p_rule: float
    closed: Interval | None


def compared(results: ScenarioResults) -> Comparison | None:
    """Return how the learned policy stands; None where there is nothing to compare yet."""
    rule, best = results.best(rules_only=True), results.best(rules_only=False)
    bound = results.cell(BOUND)
    if rule is None or best is None or bound is None or not results.learned:
        return None
    learned = np.stack([cell.days() for cell in results.learned])
    gain = difference(learned, rule.days())
    return Comparison(
        over_rule=gain,
        over_best=difference(learned, best.days()),
        p_rule=gain.p_value,
        closed=gap_closed(learned, rule.days(), bound.days()),
    )


def summary(found: Sequence[ScenarioResults]) -> list[str]:
    """Return the table of all scenarios."""
    comparisons = {results.name: compared(results) for results in found}
    p_values = holm(
        {
            results.name: one.p_rule
            for results in found
            if (one := comparisons[results.name]) and not results.sample.exploratory
        }
    )
    lines = [
        "| scenario | days | currency | always on | level rule | best rule | B\\* | learned "
        "| bound | learned − best rule | p | gap closed | learned − B\\*, % of the gap |",
        "|" + "---|" * 13,
    ]
    for results in found:
        bound, base = results.cell(BOUND), results.cell(BASE_RULE)
        one = comparisons[results.name]
        cells = [
            f"[{results.name}](#{anchor(results.name)})"
            + (", exploratory" if results.sample.exploratory else ""),
            f"{results.sample.days().size}",
            results.sample.currency,
            amount(results.cell("always_on")),
            amount(base),
            called(results.best(rules_only=True)),
            called(results.best(rules_only=False)),
            mean_amount(results.learned),
            amount(bound),
        ]
        if one is None:
            cells += ["–"] * 4
        else:
            cells.append(shown(one.over_rule))
            cells.append(f"{p_values[results.name]:.3g}" if results.name in p_values else "–")
            cells.append("no gap" if one.closed is None else shown_share(one.closed))
            gap = total(bound) - total(base) if bound and base else 0.0
            cells.append(shown_share(scaled(one.over_best, gap)) if gap > 0.0 else "–")
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, ""]


def section(results: ScenarioResults, old: Collection[str]) -> list[str]:
    """Return what is known of one scenario, every seed included."""
    sample = results.sample
    spans = ", ".join(f"{name} {first} to {last}" for name, (first, last) in sample.spans.items())
    parts = sample.of_role("test")
    promises = [name for name in PROMISES if any(c.metric(name) is not None for c in results.cells)]
    lines = [
        f"## {results.name}",
        "",
        f"{sample.source}; {spans}; amounts in {sample.currency}."
        + (" **Exploratory.**" if sample.exploratory else ""),
        "",
        *(
            ["Drawn or derived: " + "; ".join(one.split(": ")[0] for one in sample.synthetic) + "."]
            if sample.synthetic
            else ["Nothing is drawn or derived."]
        ),
        "",
        "| policy | validation | "
        + " | ".join(f"from {part.start[:10]}" for part in parts)
        + " | of bound − best rule | "
        + "".join(f"{PROMISES[name]} | " for name in promises)
        + "full load | starts | wear/year | decision, µs (p99) | made in, s | parameters |",
        "|" + "---|" * (9 + len(parts) + len(promises)),
    ]
    last = (LEARNED, BOUND)
    order = {name: k for k, name in enumerate(POLICIES)}
    order |= {name: len(order) + 1 + k for k, name in enumerate(last)}  # others stand before
    ranked = sorted(results.cells, key=lambda c: (order.get(c.id.policy, len(POLICIES)), c.id.seed))
    return [*lines, *(policy_row(cell, results, old, promises) for cell in ranked), ""]


def policy_row(
    cell: Cell, results: ScenarioResults, old: Collection[str], promises: Sequence[str]
) -> str:
    """Return the row of one cell in its scenario's table; `promises` are metrics to show."""
    name = cell.id.policy.replace("_", " ")
    if cell.id.policy == LEARNED:
        name += f", seed {cell.id.seed}"
    if cell.id.stem in old:
        name += f" {OLD}"
    validation = cell.profit("validate")
    own = [
        name,
        "–" if validation is None else f"{validation:,.0f}",
        *(f"{part.profit:,.0f}" for part in cell.of_role("test")),
        share_of_gap(cell, results),
        *(number(cell.metric(name), ".2%") for name in promises),
        number(cell.metric("load_frac"), ".1%"),
        number(_sum_of(cell, "fleet_starts"), ",.0f"),
        number(cell.metric("wear_cycles_per_year"), ",.1f"),
        decision_time(cell),
        f"{cell.made_in_s:,.0f}" if cell.made_in_s >= 0.5 else "–",
        ", ".join(f"{key} {value:.8g}" for key, value in cell.parameters.items()) or "–",
    ]
    return f"| {' | '.join(own)} |"


def decision_time(cell: Cell) -> str:
    """Return how long one decision takes, median and 99 % point [µs]."""
    median, p99 = cell.metric("decision_us"), cell.metric("decision_p99_us")
    if median is None:
        return "–"
    return f"{median:,.0f}" if p99 is None else f"{median:,.0f} ({p99:,.0f})"


def _sum_of(cell: Cell, metric: str) -> float | None:
    values = [part.metrics.get(metric) for part in cell.of_role("test")]
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) and known else None


def share_of_gap(cell: Cell, results: ScenarioResults) -> str:
    """Return how much of the way from the best rule to the bound a policy goes."""
    rule, bound = results.best(rules_only=True), results.cell(BOUND)
    if rule is None or bound is None or total(bound) <= total(rule):
        return "–"
    return f"{(total(cell) - total(rule)) / (total(bound) - total(rule)):.1%}"


def total(cell: Cell) -> float:
    """Return the profit of the whole test [currency]."""
    return cell.profit("test") or 0.0


def amount(cell: Cell | None) -> str:
    """Return the profit of a test as text."""
    return "–" if cell is None else f"{total(cell):,.0f}"


def called(cell: Cell | None) -> str:
    """Return the profit of a test with the name of who earned it."""
    return "–" if cell is None else f"{total(cell):,.0f} ({cell.id.policy.replace('_', ' ')})"


def mean_amount(cells: Sequence[Cell]) -> str:
    """Return the mean profit of several seeds."""
    if not cells:
        return "–"
    mean: np.floating[npt.NBitBase] = np.mean([total(cell) for cell in cells])
    return f"{mean:,.0f} ({len(cells)} seed{'s' if len(cells) > 1 else ''})"


def number(value: float | None, form: str) -> str:
    """Return a number in a form, a dash for none."""
    return "–" if value is None else format(value, form)


def shown(interval: Interval) -> str:
    """Return an amount with its interval."""
    return f"{interval.estimate:+,.0f} [{interval.low:+,.0f}, {interval.high:+,.0f}]"


def shown_share(interval: Interval) -> str:
    """Return a share with its interval."""
    return f"{interval.estimate:.1%} [{interval.low:.1%}, {interval.high:.1%}]"


def scaled(interval: Interval, unit: float) -> Interval:
    """Return an interval in another unit."""
    return Interval(
        estimate=interval.estimate / unit, low=interval.low / unit, high=interval.high / unit
    )


def anchor(name: str) -> str:
    """Return what GitHub calls the section of a scenario."""
    return name.lower().replace(ON_REAL_SERIES, ON_REAL_SERIES.strip("@"))

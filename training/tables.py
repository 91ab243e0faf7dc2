"""Scores as a table for the terminal."""

from rich import box
from rich.markup import escape
from rich.table import Table

from gridhash.training.evaluate import PLANNER, RULE, Evaluation, PolicyScore
from gridhash.training.report_text import (
    MINUS,
    Reading,
    gap_percent,
    label,
    number,
    read,
    share,
)
from gridhash.training.results import Results, wins_over_best_rule
from gridhash.training.statistics import Interval

UNITS = ((1e9, 1e-6, "million "), (1e6, 1e-3, "1000 "), (0.0, 1.0, ""))
"""From which amount on amounts are multiplied by what, and what that is called."""


def score_table(evaluation: Evaluation) -> Table:
    """Return policies by falling profit and the bound below them; fits 100 columns.

    From a million on, amounts are written in thousands, from a billion on in millions: the header
    says so.
    """
    reading = read(evaluation)
    largest = max(abs(evaluation.bound.value), *(abs(s.profit) for s in evaluation.scores))
    scale, unit = next((scale, unit) for start, scale, unit in UNITS if largest >= start)
    digits = 0 if scale < 1.0 else reading.money_digits
    money = f"{unit}{reading.currency}"
    table = Table(
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        title=escape(_title(evaluation)),
        title_justify="left",
        caption=(
            "± half a 95 % interval, paired by day. The level rule is the action zero. gap: from "
            "it to the day-ahead DP. of bound: from always on to the bound."
        ),
        caption_justify="left",
    )
    table.add_column("policy", no_wrap=True, max_width=20)
    for name in (
        f"profit\n{money}",
        f"over rule\n{money}",
        "gap\nclosed",
        "of\nbound",
        "energy\nMWh",
        "load\n%",
        "fleet\nstarts",
        "decides\nµs",
    ):
        table.add_column(name, justify="right", no_wrap=True)
    for score in reading.ranked:
        table.add_row(
            *_cells(score, scale, digits),
            style="bold" if score.name == reading.focus else "",
        )
    over_rule = reading.score(RULE).value("regret")
    table.add_section()
    table.add_row(
        "bound",
        _plain(number(evaluation.bound.value * scale, digits)),
        _plain(number(over_rule * scale, digits, signed=True)),
        _plain(_gap_of_bound(reading, over_rule)),
        "100 %",
        *[""] * 4,
    )
    return table


def across_table(results: Results) -> Table:
    """Return policies by their share of the uplift over several scenarios; fits 100 columns."""
    names = [scenario.name for scenario in results.scenarios]
    table = Table(
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        title=f"{len(names)} scenarios: share of what is to be won over always on",
        title_justify="left",
        caption=(
            "IQM: interquartile mean over scenarios and seeds, ± half a 95 % interval over seeds. "
            "over best rule: scenarios in which the policy earns more, at p < 0.05 after Holm."
        ),
        caption_justify="left",
    )
    table.add_column("policy", no_wrap=True, max_width=24)
    for name in ("IQM\n%", "lowest\n%", "over best\nrule"):
        table.add_column(name, justify="right", no_wrap=True)
    for entry in sorted(results.across, key=lambda entry: -entry.iqm.estimate):
        means = [sum(own) / len(own) for own in entry.scores.values()]
        half = 50.0 * (entry.iqm.high - entry.iqm.low)
        has_seeds = any(len(own) > 1 for own in entry.scores.values())
        within = f" ±{number(half, 2)}" if has_seeds else ""
        wins = wins_over_best_rule(results, entry)
        cells = (
            label(entry.name),
            f"{number(100.0 * entry.iqm.estimate, 2)}{within}",
            number(100.0 * min(means), 2),
            f"{wins} of {len(names)}",
        )
        table.add_row(*(escape(_plain(cell)) for cell in cells))
    return table


def _title(evaluation: Evaluation) -> str:
    scenario = evaluation.scenario
    index = scenario.trace.starts.tz_convert(scenario.site.timezone)
    first, last = evaluation.rows
    site = scenario.site.name
    named = "" if evaluation.name == site else f"{evaluation.name}: "
    return (
        f"{named}{site} on {scenario.trace.area}, {index[first]:%Y-%m-%d} to "
        f"{index[last - 1]:%Y-%m-%d}"
    )


def _cells(score: PolicyScore, scale: float, digits: int) -> list[str]:
    is_rule = score.name == RULE
    cells = [
        label(score.name),
        number(score.profit * scale, digits),
        "" if is_rule else _plus_minus(score.over_rule, digits, scale),
        "" if score.gap_closed is None else _gap(score.name, score.gap_closed),
        "–" if score.metrics["uplift_frac"] is None else share(score.metrics["uplift_frac"]),
        number(score.value("energy_mwh")),
        number(100.0 * score.value("load_frac"), 1),
        number(score.value("fleet_starts"), 1),
        number(score.value("decision_us"), 0 if score.value("decision_us") >= 9.95 else 1),
    ]
    # A name may hold brackets, which are no markup.
    return [escape(_plain(cell)) for cell in cells]


def _gap(name: str, gap: Interval) -> str:
    if name in (RULE, PLANNER):
        return f"{number(100.0 * gap.estimate)} %"
    if not -1.0 <= gap.estimate <= 10.0:
        return gap_percent(gap.estimate)
    return f"{_plus_minus(gap, 0, 100.0, signed=False)} %"


def _gap_of_bound(reading: Reading, over_rule: float) -> str:
    gap = reading.score(PLANNER).profit - reading.score(RULE).profit
    return gap_percent(over_rule / gap) if gap > 0 else ""


def _plus_minus(interval: Interval, digits: int, scale: float, *, signed: bool = True) -> str:
    """Return estimate ± half the width of its interval."""
    half = abs(interval.high - interval.low) / 2.0 * scale
    return f"{number(interval.estimate * scale, digits, signed=signed)} ±{number(half, digits)}"


def _plain(text: str) -> str:
    """Return text with an ASCII minus: what is copied from a terminal shall be a number."""
    return text.replace(MINUS, "-")

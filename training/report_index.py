"""The page above several reports: who achieved how much in which scenario."""

import os
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gridhash.training.contenders import PLANNER, RULE
from gridhash.training.report_page import (
    Row,
    figure,
    link_list,
    page,
    paragraph,
    section,
    table,
    text,
)
from gridhash.training.report_svg import FAINT, Layout, Picture, picture
from gridhash.training.report_text import label, number, percent, short_label
from gridhash.training.results import THRESHOLDS, AcrossPolicyEntry, Results, wins_over_best_rule

PROFILE_COLOURS = ("#0067a5", "#c65102", "#00805e", "#a34f83", "#9a6b00")


def write_index(results: Results, path: Path) -> None:
    """Write one page about several scenarios, with links to the report of each."""
    names = [scenario.name for scenario in results.scenarios]
    ranked = sorted(results.across, key=lambda entry: -entry.iqm.estimate)
    links = [(f"{name}/report.html".replace(os.sep, "/"), name) for name in names]
    parts = [
        f'<header><p class="kicker">gridhash evaluation</p><h1>{text(_title(names))}</h1>'
        f"{paragraph(_cards(results), 'kicker')}</header>",
        section("Reports", link_list(links)),
        _table(results, ranked),
        figure(_profiles(ranked)),
        _refused(results),
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page(_title(names), [part for part in parts if part]), encoding="utf-8")


def _title(names: list[str]) -> str:
    return f"{len(names)} scenarios: {', '.join(names)}"


def _cards(results: Results) -> str:
    cards = {
        f"{s.hashprice.usd_per_phs_day:,.2f} USD/(PH/s)/day in {s.name}" for s in results.scenarios
    }
    return f"Hashprice: {'; '.join(sorted(cards))}."


def _table(results: Results, ranked: list[AcrossPolicyEntry]) -> str:
    names = [scenario.name for scenario in results.scenarios]
    header = ["policy", "IQM\n95 % over seeds", *names, "over best rule\np < 0.05, Holm"]
    rows = []
    for entry in ranked:
        iqm = percent(entry.iqm.estimate, 1)
        if entry.iqm.low < entry.iqm.high:
            iqm += f"\n{number(100 * entry.iqm.low, 1)} … {number(100 * entry.iqm.high, 1)}"
        cells = [label(entry.name), iqm]
        for name in names:
            own = entry.scores.get(name, [])
            cells.append(percent(float(np.mean(own)) if own else None, 1))
        cells.append(f"{wins_over_best_rule(results, entry)} of {len(names)}")
        rows.append(Row(cells=cells))
    return section(
        "Share of what is to be won over always on",
        table(header, rows),
        paragraph(
            "100 % is the perfect-foresight bound of each scenario, 0 % always on. IQM: "
            "interquartile mean over scenarios and seeds; its interval says what other seeds would "
            "have given. The last column counts scenarios with more profit than the rule that "
            "earned most on that very span.",
            "kicker",
        ),
        key="across",
    )


def _profiles(ranked: list[AcrossPolicyEntry]) -> Picture:
    always = [entry for entry in ranked if entry.name in (RULE, PLANNER)]
    others = [entry for entry in ranked if entry not in always]
    others = others[: len(PROFILE_COLOURS) - len(always)]
    chosen = [entry for entry in ranked if entry in always or entry in others]
    lowest = min(min(own) for entry in chosen for own in entry.scores.values())

    def draw(page_figure: Figure, layout: Layout) -> None:
        axes: Axes = page_figure.subplots()
        for entry, colour in zip(chosen, PROFILE_COLOURS, strict=False):
            x = 100.0 * np.array(entry.profile.threshold)
            share, low, high = (
                100.0 * np.array(ends)
                for ends in (entry.profile.share, entry.profile.low, entry.profile.high)
            )
            axes.fill_between(x, low, high, color=colour, alpha=0.14, linewidth=0)
            axes.plot(x, share, color=colour, label=short_label(entry.name))
        axes.set_xlim(max(100.0 * min(lowest, 0.0) - 5.0, 100.0 * THRESHOLDS[0]), 100.0)
        axes.set_ylim(-2.0, 102.0)
        axes.set_xlabel("share of the uplift, %")
        axes.set_ylabel("runs above, %")
        axes.axvline(0.0, color=FAINT, linewidth=0.8)
        axes.legend(frameon=False, loc="lower left", labelcolor="linecolor")

    best = chosen[0]
    return picture(
        "profiles",
        draw,
        title=f"{label(best.name).capitalize()} achieves the most over all scenarios",
        caption=(
            "Performance profiles: share of runs (scenario and seed) that achieve more than the "
            "share of the uplift on the lower axis; the more to the right, the better. Bands: 95 % "
            "over seeds."
        ),
        heights_in=(3.9, 4.2),
    )


def _refused(results: Results) -> str:
    rows = [
        Row(cells=(f"{name} in {scenario.name}", why))
        for scenario in results.scenarios
        for name, why in scenario.not_played.items()
    ]
    if not rows:
        return ""
    return section("What could not play, and why", table(("policy", "why"), rows, mark="prose"))

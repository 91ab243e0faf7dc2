"""One self-contained page about an evaluation: who won, by how much, why, and what is assumed."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from gridhash import __version__
from gridhash.training.evaluate import PLANNER, RULE, Evaluation, PolicyScore
from gridhash.training.report_page import (
    Card,
    Row,
    bullet_list,
    cards,
    details,
    facts,
    figure,
    page,
    paragraph,
    section,
    table,
    text,
)
from gridhash.training.report_plots import (
    cumulative_picture,
    heat_map_picture,
    regret_picture,
    week_picture,
)
from gridhash.training.report_policy import (
    map_picture,
    regret_map_picture,
    seeds_picture,
    shadow_picture,
)
from gridhash.training.report_profiles import (
    duration_picture,
    hottest_day_picture,
    ledger_picture,
    training_picture,
)
from gridhash.training.report_svg import Picture
from gridhash.training.report_tables import (
    metrics_section,
    seeds_section,
    sensitivity_section,
)
from gridhash.training.report_text import (
    BOUND_LABEL,
    Reading,
    duration,
    gap_percent,
    interval_text,
    label,
    number,
    percent,
    read,
    sentence,
    share,
    subject,
    verdict,
)
from gridhash.training.results import synthetic_notes
from gridhash.training.statistics import Interval

_COLUMN_NAMES = {
    "price_per_kwh": "day-ahead prices",
    "surplus_frac": "surplus power",
    "outdoor_temp_c": "outdoor temperature",
    "hashprice_usd_per_phs_day": "hashprice",
    "currency_per_usd": "exchange rate",
}


def write_report(
    evaluation: Evaluation,
    path: Path,
    *,
    title: str,
    training_curve: pd.DataFrame | None = None,
    notes: Sequence[str] = (),
) -> None:
    """Write the evaluation as one HTML file that needs nothing but a browser.

    Parameters
    ----------
    training_curve
        One row per record of training; `phase` and `step` name them, every other numeric column
        is drawn.
    notes
        Plain sentences of the caller's, shown under the verdict.
    """
    reading = read(evaluation)
    parts = [
        _header(reading, title),
        _verdict(reading, notes),
        _provenance(reading),
        _scores(reading),
        *(figure(picture) for picture in _pictures(reading, training_curve)),
        sensitivity_section(reading),
        seeds_section(reading),
        metrics_section(reading),
        _figures(reading),
        _footer(reading),
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page(title, [part for part in parts if part]), encoding="utf-8")


def _pictures(reading: Reading, training_curve: pd.DataFrame | None) -> list[Picture]:
    pictures = [
        seeds_picture(reading),
        ledger_picture(reading),
        cumulative_picture(reading),
        week_picture(reading),
        shadow_picture(reading),
        map_picture(reading),
        duration_picture(reading),
        regret_picture(reading),
        regret_map_picture(reading),
        heat_map_picture(reading),
        hottest_day_picture(reading),
        None if training_curve is None else training_picture(training_curve),
    ]
    return [picture for picture in pictures if picture is not None]


def _header(reading: Reading, title: str) -> str:
    scenario = reading.evaluation.scenario
    site = scenario.site
    first, last = reading.evaluation.rows
    local = scenario.trace.starts.tz_convert(site.timezone)
    days = (last - first) * scenario.trace.period_s / 86400.0
    models = ", ".join(dict.fromkeys(group.rig_model for group in site.groups))
    levels = "on/off" if reading.on_off else "work levels"
    start_cost = number(site.start_cost_per_fleet_start, 2 if reading.money_digits else 0)
    n_groups = len(site.groups)
    pairs = (
        ("site", site.name),
        ("market", f"{scenario.trace.area}, {site.currency}"),
        ("span", f"{local[first]:%d %b %Y} – {local[last - 1]:%d %b %Y}"),
        ("length", f"{number(days)} days, a decision every {site.dispatch_interval_s // 60} min"),
        (
            "fleet",
            f"{number(site.n_rigs)} × {models} in {n_groups} group{'s' if n_groups > 1 else ''}, "
            f"{number(site.max_rig_kw / 1000.0, 2)} MW, {levels}",
        ),
        ("one start of the whole fleet costs", f"{start_cost} {site.currency}"),
        ("break-even at full power, market price", _break_even(reading)),
        ("hashprice", reading.evaluation.card.sentence),
    )
    about = paragraph(site.description, "kicker") if site.description else ""
    return (
        f'<header><p class="kicker">gridhash evaluation</p><h1>{text(title)}</h1>'
        f"{about}{facts(pairs)}</header>"
    )


def _break_even(reading: Reading) -> str:
    low, high = reading.break_even_per_kwh.min(), reading.break_even_per_kwh.max()
    ends = dict.fromkeys((reading.price(float(low)), reading.price(float(high))))
    return f"{' … '.join(ends)} {reading.price_unit}"


def _verdict(reading: Reading, notes: Sequence[str]) -> str:
    first, *others = verdict(reading)
    notes = [*notes, *_caveats(reading)]
    focus = reading.score(reading.focus)
    unit = reading.currency
    gap = focus.gap_closed
    numbers = [
        Card(
            value=f"{reading.money(focus.profit)} {unit}",
            label=f"profit, {label(focus.name)}",
            detail=f"level rule {reading.money(reading.score(RULE).profit)}",
        ),
        Card(
            value=f"{reading.money(focus.over_rule.estimate, signed=True)} {unit}",
            label="over the level rule",
            detail=f"95 %: {interval_text(focus.over_rule, reading.money_digits)}",
        ),
    ]
    if gap is not None and focus.name != PLANNER:
        numbers.append(
            Card(
                value=percent(gap.estimate),
                label="of the gap from rule to DP closed",
                detail=f"95 %: {percent(gap.low)} … {percent(gap.high)}",
            )
        )
    if focus.metrics["uplift_frac"] is not None:
        numbers.append(
            Card(
                value=share(focus.metrics["uplift_frac"]),
                label="of what is to be won over always on",
                detail=f"100 % is the {BOUND_LABEL}",
            )
        )
    return (
        f'<div class="lead">{paragraph(first, "verdict")}'
        f"{''.join(paragraph(other) for other in others)}"
        f"{''.join(paragraph(note) for note in notes)}</div>{cards(numbers)}"
    )


def _caveats(reading: Reading) -> list[str]:
    """Return what a reader must know of who played and who did not."""
    evaluation = reading.evaluation
    notes = [f"{sentence(label(s.name))}: {s.note}." for s in evaluation.scores if s.note]
    notes += [
        f"{sentence(label(s.name))}: tables and profits are means over {len(s.seeds)} seeds; the "
        f"ledger and pictures of what it did show the one that earned most, "
        f"{s.best_run.rpartition('-')[2]}."
        for s in evaluation.scores
        if len(s.seeds) > 1
    ]
    notes += [f"{path} did not play: {why}." for path, why in evaluation.not_played.items()]
    if evaluation.stopped:
        notes.append("The evaluation was stopped before all had played; what had is shown.")
    return notes


def _provenance(reading: Reading) -> str:
    scenario = reading.evaluation.scenario
    trace, site = scenario.trace, scenario.site
    synthetic = trace.source.startswith("synthetic")
    given = [name for column, name in _COLUMN_NAMES.items() if column in trace.frame]
    missing = [name for column, name in _COLUMN_NAMES.items() if column not in trace.frame]
    series = f"{', '.join(given)}: {trace.source}"
    drawn = synthetic_notes(reading.evaluation)
    real = [] if synthetic or drawn else [sentence(series)]
    real.append("Decision times, measured on the machine that wrote this page")
    simulated = [sentence(series)] if synthetic else []
    if drawn:
        names = ", ".join(note.split(":")[0].replace("_", " ") for note in drawn)
        simulated.append(f"Drawn or derived, not measured: {names}; by what stands below")
    if not synthetic and drawn:
        real.insert(0, f"{sentence(series)}; what of it is drawn stands under simulated")
    simulated += [
        "Every rig, its power, hash rate, start-up and stop: the model of the site, no rig was "
        "commanded",
        "Cooling and temperatures: the thermal model",
    ]
    assumed = []
    if missing:
        assumed.append(
            "Not in the data, so one figure of the site file for the whole span, and no surplus: "
            f"{', '.join(missing)}"
        )
    marks = [f.figure for f in site.figures if f.mark == "assumed"]
    if marks:
        assumed.append(f"Figures of the site: {'; '.join(marks)} (sources at the end)")
    assumed.append("The site buys every kWh at the market price: its own load does not move it")
    kinds = (("real", real), ("simulated", simulated), ("assumed", assumed))
    boxes = "".join(
        f'<div class="{kind}"><h3>{sentence(kind)}</h3>{bullet_list(items)}</div>'
        for kind, items in kinds
    )
    parts = [f'<div class="kinds">{boxes}</div>']
    if drawn:
        parts.append(details("How each drawn series is made", bullet_list(drawn)))
    return section("What is real, simulated and assumed", *parts)


def _scores(reading: Reading) -> str:
    evaluation = reading.evaluation
    unit = reading.currency
    gap = any(score.gap_closed is not None for score in evaluation.scores)
    header = [
        "policy",
        f"profit\n{unit}",
        f"over level rule\n{unit}, 95 %",
        *["gap closed\nrule → DP, 95 %"] * gap,
        "of bound\nfrom always on",
        "energy\nMWh",
        f"paid all-in\n{reading.price_unit}",
        "load\nmean",
        "fleet\nstarts",
        "wear cycles\na year",
    ]
    surplus = any(score.metrics["surplus_captured_frac"] is not None for score in evaluation.scores)
    header += ["surplus\nused"] * surplus + ["decides in\nmedian"]
    over_rule = reading.score(RULE).value("regret")
    bound = [
        BOUND_LABEL,
        reading.money(evaluation.bound.value),
        reading.money(over_rule, signed=True),
        *[""] * gap,
        "100 %",
    ]
    rows = [Row(cells=[*bound, *[""] * (len(header) - len(bound))], mark="bound")]
    rows += [
        Row(
            cells=_score_cells(reading, score, gap, surplus),
            mark="focus" if score.name == reading.focus else "",
        )
        for score in reading.ranked
    ]
    return section(
        "All policies, by profit",
        table(header, rows),
        paragraph(
            "Intervals: paired bootstrap over blocks of days and over seeds. The bound knows every "
            "price of the span in "
            "advance and no policy can exceed it; the day-ahead DP and the policies know only what "
            "is published at each instant. Load: mean rig power per full power. Wear: fatigue of "
            "solder by the hottest chip of each group, in cycles of 50 K that reach 75 °C.",
            "kicker",
        ),
        key="scores",
    )


def _gap_cell(closed: Interval | None) -> str:
    if closed is None:
        return "–"
    cell = gap_percent(closed.estimate)
    if closed.low < closed.high and closed.high > -1.0:
        cell += f"\n{gap_percent(closed.low)} … {gap_percent(closed.high)}"
    return cell


def _score_cells(reading: Reading, score: PolicyScore, gap: bool, surplus: bool) -> list[str]:
    is_rule = score.name == RULE
    over_rule = f"{reading.money(score.over_rule.estimate, signed=True)}"
    cells = [
        label(score.name),
        reading.money(score.profit),
        "–" if is_rule else f"{over_rule}\n{interval_text(score.over_rule, reading.money_digits)}",
        *[_gap_cell(score.gap_closed)] * gap,
        "–" if score.metrics["uplift_frac"] is None else share(score.metrics["uplift_frac"]),
        number(score.value("energy_mwh")),
        reading.price(score.metrics["effective_price_per_kwh"]),
        percent(score.value("load_frac"), 1),
        number(score.value("fleet_starts"), 1),
        number(score.value("wear_cycles_per_year"), 1),
    ]
    cells += [percent(score.metrics["surplus_captured_frac"], 1)] * surplus
    return [*cells, duration(score.value("decision_us"))]


def _figures(reading: Reading) -> str:
    figures = reading.evaluation.scenario.site.figures
    if not figures:
        return section(
            "Where the figures come from",
            paragraph("The site file names no sources: take every figure of it as assumed."),
        )
    return section(
        "Where the figures come from",
        table(
            ("figure", "known how", "source"),
            [Row(cells=(f.figure.replace("\n", " "), f.mark, f.source)) for f in figures],
            mark="prose",
        ),
        key="figures",
    )


def _footer(reading: Reading) -> str:
    scenario = reading.evaluation.scenario
    said = (
        f"gridhash {__version__}. {sentence(subject(reading.focus))} is highlighted in blue in "
        f"every figure. Times are local ({scenario.site.timezone}). The same numbers stand in "
        "results.json."
    )
    return f"<footer>{text(said)}</footer>"

"""Tables of a report beyond the ranking: every metric, every seed, other assumptions."""

from gridhash.training.evaluate import ALWAYS_ON, PLANNER, RULE
from gridhash.training.metrics import GROUPS, Metric
from gridhash.training.report_page import Row, details, paragraph, section, table
from gridhash.training.report_text import (
    Reading,
    gap_percent,
    interval_text,
    label,
    number,
    percent,
)


def metrics_section(reading: Reading) -> str:
    """Return every metric of the policies that are looked at, with definitions, folded."""
    names = dict.fromkeys((reading.focus, reading.evaluation.best_rule, RULE, PLANNER, ALWAYS_ON))
    header = ["metric", *(label(name) for name in names), "definition"]
    parts = []
    for group, metrics in GROUPS.items():
        rows = []
        for metric in metrics:
            values = [reading.score(name).metrics[metric.name] for name in names]
            if any(value is not None for value in values):
                cells = [f"{metric.label}\n{_unit(reading, metric)}"]
                cells += [_value(metric, value) for value in values]
                rows.append(Row(cells=[*cells, metric.definition]))
        if rows:
            parts.append(details(group, table(header, rows, mark="metrics")))
    return section(
        "Every metric",
        paragraph("Means over seeds where there are several. Open a group to read it.", "kicker"),
        *parts,
        key="metrics",
    )


def _unit(reading: Reading, metric: Metric) -> str:
    if metric.unit == "1" and metric.name.endswith("_frac"):
        return "%"
    return metric.unit.replace("currency", reading.currency).replace("1/year", "a year")


def _value(metric: Metric, value: float | None) -> str:
    if value is None:
        return "–"
    if metric.unit == "1" and metric.name.endswith("_frac"):
        return number(100.0 * value, 1)
    size = abs(value)
    if size == 0.0:
        return "0"
    return number(value, 0 if size >= 1000.0 else 1 if size >= 100.0 else 2 if size >= 0.1 else 4)


def seeds_section(reading: Reading) -> str:
    """Return what each training seed earned; empty if no policy has several."""
    rows = []
    for score in reading.ranked:
        if len(score.seeds) < 2:
            continue
        for seed in score.seeds:
            uplift = seed.metrics["uplift_frac"]
            cells = (
                f"{label(score.name)}, seed {seed.seed}",
                reading.money(seed.metrics["profit"] or 0.0),
                percent(uplift, 2),
                number(seed.metrics["fleet_starts"] or 0.0, 1),
            )
            rows.append(Row(cells=cells))
    if not rows:
        return ""
    header = ("policy", f"profit\n{reading.currency}", "of bound\nfrom always on", "fleet\nstarts")
    return section("Every seed", table(header, rows), key="every_seed")


def sensitivity_section(reading: Reading) -> str:
    """Return what is left of the result if an assumption is wrong; empty if it was not played."""
    variants = reading.evaluation.sensitivity
    if not variants:
        return ""
    names = [score.name for score in variants[0].scores if score.name != RULE]
    header = ["changed", f"level rule\n{reading.currency}"]
    header += [f"{label(name)}\nover the level rule, 95 %" for name in names]
    rows = []
    for variant in variants:
        own = {score.name: score for score in variant.scores}
        cells = [variant.name.replace("-", "−"), reading.money(own[RULE].profit)]
        for name in names:
            gain, gap = own[name].over_rule, own[name].gap_closed
            closed = (
                "" if gap is None or name == PLANNER else f"; {gap_percent(gap.estimate)} of gap"
            )
            cells.append(
                f"{reading.money(gain.estimate, signed=True)}\n"
                f"{interval_text(gain, reading.money_digits)}{closed}"
            )
        rows.append(Row(cells=cells))
    return section(
        "If an assumption is wrong",
        table(header, rows),
        paragraph(
            "One figure changed at a time; rules keep the parameters that they were tuned to, "
            "networks their weights, and each knows the changed site. Gap: from the level rule to "
            "the day-ahead DP in the same variant.",
            "kicker",
        ),
        key="sensitivity",
    )

"""Figures of where the money went, at which prices each policy runs, and how warm it gets."""

from typing import Any
from zoneinfo import ZoneInfo

import matplotlib.dates as mdates
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from gridhash.envs.ledger import LEDGER
from gridhash.training.evaluate import RULE
from gridhash.training.report_plots import money_axis, plot_dates
from gridhash.training.report_svg import (
    FAINT,
    FOCUS,
    INK,
    MISSED,
    MUTED,
    WARM,
    Layout,
    Picture,
    colour_of,
    label_ends,
    picture,
)
from gridhash.training.report_text import Reading, number, percent, sentence, short_label, subject

Floats = npt.NDArray[np.float64]

LIABILITY = "remaining_liability"
_TERM_LABELS = {
    "import_energy_cost": "grid energy",
    "adder_cost": "adders on it",
    "levy_cost": "renewable levy",
    "pv_cost": "own solar energy",
    "start_wear_cost": "wear of starts",
    "power_purchase_cost": "power purchase",
    "transmission_peak_cost": "transmission peaks",
    "capacity_peak_cost": "capacity peaks",
    "capacity_contribution": "capacity market",
    "reduction_capacity_pay": "standing by to reduce",
    "reduction_energy_pay": "reduced in calls",
    "reduction_penalty": "missed in calls",
    "increase_pay": "consumed in calls",
    "held_pay": "held capacity",
    "held_penalty": "held capacity missing",
    "base_point_penalty": "off the base point",
    LIABILITY: "left to be paid later",
}
N_RANK_BINS = 240


def term_label(term: str) -> str:
    """Return a line of the ledger as people say it."""
    return _TERM_LABELS.get(term, term.removesuffix("_cost").replace("_", " "))


def ledger_sums(reading: Reading, name: str) -> dict[str, float]:
    """Return the signed sum of each ledger term of a policy that is not zero for all [currency].

    The last is what the play leaves to be paid later, if any leaves something.
    """
    runs = [reading.evaluation.run(shown) for shown in reading.shown]
    own = reading.evaluation.run(name)
    sums = {
        term.name: term.sign * float(own.frame[term.name].sum())
        for term in LEDGER
        if any(run.frame[term.name].any() for run in runs)
    }
    if any(run.liability for run in runs):
        sums[LIABILITY] = -own.liability
    return sums


def ledger_picture(reading: Reading) -> Picture:
    """Draw the ledger of rule and focus as waterfalls, and their difference term by term."""
    names = list(dict.fromkeys((RULE, reading.focus)))
    sums = {name: ledger_sums(reading, name) for name in names}
    labels = [term_label(term) for term in sums[RULE]] + ["profit"]
    profits = {name: sum(sums[name].values()) for name in names}
    change = [sums[names[-1]][term] - sums[RULE][term] for term in sums[RULE]]
    change.append(profits[names[-1]] - profits[RULE])

    def draw(figure: Figure, layout: Layout) -> None:
        rows, columns = (len(names) + 1, 1) if layout.narrow else (1, len(names) + 1)
        panels = np.atleast_1d(figure.subplots(rows, columns)).tolist()
        reach = 1.42 * max(sum(v for v in terms.values() if v > 0) for terms in sums.values())
        for axes, name in zip(panels, names, strict=False):
            _waterfall(axes, reading, list(sums[name].values()), profits[name])
            low = min(0.0, 1.3 * min(profits.values()))
            axes.set_xlim(low, reach)
            axes.set_title(
                short_label(name), color=colour_of(name, reading.focus), fontweight="bold"
            )
        last = panels[-1]
        bars = np.array(change)
        last.barh(
            range(len(bars)),
            bars,
            0.62,
            color=[FOCUS if value >= 0 else MISSED for value in bars],
        )
        span = float(np.abs(bars).max()) or 1.0
        last.set_xlim(-(2.5 if layout.narrow else 1.75) * span, 1.75 * span)
        for k, value in enumerate(bars):
            _beside(last, float(value), k, reading.money(float(value), signed=True))
        last.axvline(0.0, color=MUTED, linewidth=0.8)
        last.set_title(f"{short_label(names[-1])} less level rule", fontweight="bold")
        for k, axes in enumerate(panels):
            axes.set_ylim(len(labels) - 0.4, -0.6)
            axes.set_yticks(range(len(labels)))
            axes.set_yticklabels(labels if layout.narrow or k == 0 else [])
            axes.grid(False)
            axes.set_xticks([])
            axes.spines["bottom"].set_visible(False)
            axes.spines["left"].set_visible(False)

    saved = {term_label(t): c for t, c in zip(sums[RULE], change, strict=False)}
    gain = max(saved, key=lambda term: saved[term])
    loss = min(saved, key=lambda term: saved[term])
    return picture(
        "ledger",
        draw,
        title=(
            f"Against the level rule {subject(names[-1])} gains most on {gain} "
            f"({reading.money(saved[gain], signed=True)} {reading.currency}) and gives up most on "
            f"{loss} ({reading.money(saved[loss], signed=True)})"
        ),
        caption=(
            f"Every line of the ledger over the whole span, {reading.currency}. The third part "
            "has a scale of its own."
        ),
        heights_in=(0.9 + 0.42 * len(labels), 0.6 + (len(names) + 1) * (0.5 + 0.26 * len(labels))),
    )


def _waterfall(axes: Axes, reading: Reading, terms: list[float], profit: float) -> None:
    """Draw signed terms that lead from zero to profit."""
    ends = np.cumsum(terms)
    starts = ends - terms
    for k, (start, end, value) in enumerate(zip(starts, ends, terms, strict=True)):
        axes.barh(k, end - start, 0.62, left=start, color=INK if value >= 0 else MUTED)
        axes.plot([end, end], [k, k + 1], color=FAINT, linewidth=1.0)
        _beside(axes, float(max(start, end)), k, reading.money(value, signed=True))
    axes.barh(len(terms), profit, 0.62, color=FOCUS if profit >= 0 else MISSED)
    _beside(axes, max(profit, 0.0), len(terms), reading.money(profit, signed=True), bold=True)


def _beside(axes: Axes, x: float, y: float, text: str, *, bold: bool = False) -> None:
    """Write beside the end of a horizontal bar, on the side away from zero."""
    axes.annotate(
        text,
        xy=(x, y),
        xytext=(5 if x >= 0 else -5, 0),
        textcoords="offset points",
        ha="left" if x >= 0 else "right",
        va="center",
        fontweight="bold" if bold else "normal",
    )


def running_by_ratio(reading: Reading, name: str) -> tuple[Floats, Floats]:
    """Return centres of price-ratio bins, and the mean share of full power in each.

    The ratio is the all-in price per break-even; bins are 0.05 wide and the outermost hold all
    beyond. Empty bins are left out.
    """
    frame = reading.evaluation.run(name).frame
    adders = reading.evaluation.scenario.params.adders_per_kwh
    ratio = (frame["price_per_kwh"] + adders) / (reading.break_even_per_kwh + adders)
    bins = (ratio.clip(0.5, 1.5 - 1e-9) / 0.05 + 1e-9).astype(int) * 0.05 + 0.025
    share = frame["rig_kw"] / reading.evaluation.scenario.site.max_rig_kw
    means = share.groupby(bins).mean()
    return means.index.to_numpy(dtype=np.float64), means.to_numpy(dtype=np.float64)


def _ranked_share(reading: Reading, name: str, order: npt.NDArray[np.intp]) -> Floats:
    share = reading.evaluation.run(name).frame["rig_kw"].to_numpy(dtype=np.float64)
    share = share[order] / reading.evaluation.scenario.site.max_rig_kw
    return np.array([part.mean() for part in np.array_split(share, N_RANK_BINS)])


def duration_picture(reading: Reading) -> Picture:
    """Draw the price duration curve, who runs where on it, and the map from price to power."""
    frame = reading.evaluation.run(RULE).frame
    margin = frame["price_per_kwh"].to_numpy(dtype=np.float64) - reading.break_even_per_kwh
    order = np.argsort(-margin, kind="stable")
    curve = np.array([part.mean() for part in np.array_split(margin[order], N_RANK_BINS)])
    dear = float(np.mean(margin > 0))
    running = {
        name: reading.evaluation.run(name).frame["rig_kw"].to_numpy(dtype=np.float64)
        / reading.evaluation.scenario.site.max_rig_kw
        for name in reading.shown
    }

    def draw(figure: Figure, layout: Layout) -> None:
        n = len(running)
        left = ["price", *running]
        mosaic: list[Any]
        if layout.narrow:
            mosaic = [[name] for name in (*left, "map")]
            ratios = {"height_ratios": [2.2, *[0.26] * n, 2.2]}
        else:
            mosaic = [[name, "map"] for name in left]
            ratios = {"height_ratios": [2.2, *[0.2] * n], "width_ratios": [1.25, 1.0]}
        panels = figure.subplot_mosaic(mosaic, gridspec_kw=ratios)
        top = panels["price"]
        x = np.linspace(0.0, 100.0, N_RANK_BINS + 1)
        top.stairs(curve * reading.price_scale, x, baseline=None, color=INK, linewidth=1.8)
        top.axhline(0.0, color=MUTED, linewidth=1.0, linestyle=(0, (4, 3)))
        top.annotate(
            "break-even", xy=(0.99, 0.0), xycoords=("axes fraction", "data"), xytext=(0, 4),
            textcoords="offset points", ha="right", color=MUTED,
        )  # fmt: skip
        top.set_ylabel(f"price less break-even,\n{reading.price_unit}")
        for name in running:
            lane = panels[name]
            colour = colour_of(name, reading.focus)
            shares = _ranked_share(reading, name, order)
            lane.stairs(shares, x, fill=True, color=colour)
            lane.set_ylim(0, 1)
            lane.set_yticks([0.5])
            lane.set_yticklabels([short_label(name)], color=colour)
            lane.grid(False)
        last = panels[list(running)[-1]]
        for name in ("price", *running):
            panels[name].set_xlim(0, 100)
            panels[name].tick_params(axis="x", labelbottom=panels[name] is last)
        last.set_xlabel("share of all intervals, dearest first, %")
        _policy_map(panels["map"], reading)

    focus = running[reading.focus]
    above, below = focus[margin > 0], focus[margin <= 0]
    rule_shape = (
        "the rule is a step at 1, and whoever weighs the cost of a start bends it"
        if reading.on_off
        else "the rule falls level by level, and lower levels still earn beyond 1"
    )
    return picture(
        "duration",
        draw,
        title=(
            f"Below break-even {subject(reading.focus)} draws "
            f"{percent(float(below.mean()) if below.size else None)} of full power on average, "
            f"above it {percent(float(above.mean()) if above.size else None)}"
        ),
        caption=(
            f"The price lies above break-even in {percent(dear)} of the time. Lanes under the "
            "curve: mean share of the fleet that runs at each rank of price. The last part shows "
            f"the same by all-in price per break-even at full power: {rule_shape}."
        ),
        heights_in=(4.4, 7.0),
    )


def _policy_map(axes: Axes, reading: Reading) -> None:
    labels = []
    for name in reading.shown:
        ratio, share = running_by_ratio(reading, name)
        colour = colour_of(name, reading.focus)
        axes.plot(ratio, 100.0 * share, color=colour, marker="o", markersize=3)
        labels.append((short_label(name), colour))
    axes.axvline(1.0, color=MUTED, linewidth=1.0, linestyle=(0, (4, 3)))
    axes.set_xlabel("all-in price per break-even")
    axes.set_ylabel("fleet running, %")
    axes.set_ylim(-2, 102)
    for k, (text, colour) in enumerate(labels):
        axes.annotate(
            text, xy=(0.98, 0.96 - 0.09 * k), xycoords="axes fraction", ha="right", va="top",
            color=colour, fontweight="bold",
        )  # fmt: skip


def hottest_day_picture(reading: Reading) -> Picture:
    """Draw chip, coolant and outdoor temperature of the focus on its hottest day."""
    frame = reading.evaluation.run(reading.focus).frame
    site = reading.evaluation.scenario.site
    zone = ZoneInfo(reading.timezone)
    local = pd.DatetimeIndex(frame.index).tz_convert(zone)
    peaks = {g.name: float(frame[f"chip_temp_c_{g.name}"].max()) for g in site.groups}
    group = max(
        site.groups, key=lambda g: (peaks[g.name] - g.cooling.chip_derate_c, -ord(g.name[0]))
    )
    chip = frame[f"chip_temp_c_{group.name}"].to_numpy(dtype=np.float64)
    hot = chip >= chip.max() - 0.05
    # Many days reach the same peak when cooling holds it: then the one that is hot for longest.
    minutes = pd.Series(hot, index=local.date).groupby(level=0).sum()
    day = minutes.idxmax()
    rows = np.flatnonzero(np.asarray(local.date) == day)
    edges = plot_dates(local[rows])
    curves = {
        "chip": (chip[rows], WARM),
        "coolant": (frame[f"coolant_temp_c_{group.name}"].to_numpy()[rows], INK),
        "outdoor": (frame["outdoor_temp_c"].to_numpy()[rows], MUTED),
    }
    limits = (("trips", group.cooling.chip_trip_c), ("derates", group.cooling.chip_derate_c))

    def draw(figure: Figure, layout: Layout) -> None:
        axes = figure.subplots()
        labels = []
        for name, (values, colour) in curves.items():
            axes.plot(edges, values, color=colour)
            labels.append((float(values[-1]), name, colour))
        for name, limit in limits:
            axes.axhline(limit, color=MUTED, linewidth=1.0, linestyle=(0, (4, 3)))
            labels.append((limit, f"{name} at {limit:g}", MUTED))
        axes.set_xlim(edges[0], edges[-1])
        axes.set_ylim(min(axes.get_ylim()[0], 0.0), group.cooling.chip_trip_c * 1.05)
        axes.set_ylabel("temperature, °C")
        hours = range(0, 24, 6 if layout.narrow else 3)
        axes.xaxis.set_major_locator(mdates.HourLocator(byhour=hours, tz=zone))
        axes.xaxis.set_major_formatter(mdates.DateFormatter("%H:%M", tz=zone))
        label_ends(axes, labels, gap=0.075)

    spare = group.cooling.chip_derate_c - peaks[group.name]
    return picture(
        "hottest_day",
        draw,
        title=(
            f"The hottest chip reached {number(peaks[group.name], 1)} °C, "
            f"{number(abs(spare), 1)} K {'below' if spare >= 0 else 'above'} where power is limited"
        ),
        caption=(
            f"{sentence(subject(reading.focus))} on {day:%d %B %Y}, group {group.name}, local "
            "time. Temperatures are those of the thermal model, not measured."
        ),
        heights_in=(3.6, 4.0),
    )


def training_picture(curve: pd.DataFrame) -> Picture | None:
    """Draw each number of a training curve over its records; `phase` and `step` name them."""
    columns = [
        name
        for name in curve.select_dtypes("number").columns
        if name != "step" and curve[name].notna().any()
    ]
    if not columns or curve.empty:
        return None
    columns = columns[:4]
    phases = curve["phase"].astype(str).tolist() if "phase" in curve else [""] * len(curve)
    turns = [k for k in range(len(phases)) if k == 0 or phases[k] != phases[k - 1]]

    def draw(figure: Figure, layout: Layout) -> None:
        panels = np.atleast_1d(figure.subplots(len(columns), 1, sharex=True)).tolist()
        for axes, name in zip(panels, columns, strict=True):
            values = curve[name].to_numpy(dtype=np.float64)
            at = np.flatnonzero(np.isfinite(values))
            axes.plot(at, values[at], color=FOCUS, marker="o", markersize=3)
            axes.set_title(short_label(str(name)), fontweight="bold")
            axes.margins(y=0.15)
            money_axis(axes)
            for k in turns[1:]:
                axes.axvline(k - 0.5, color=MUTED, linewidth=0.8, linestyle=(0, (4, 3)))
        for row, k in enumerate(turns):
            # Neighbours stand at different heights: a phase can be a single record.
            panels[-1].annotate(
                phases[k], xy=(k, 0.02 + 0.14 * (row % 3)), xycoords=("data", "axes fraction"),
                xytext=(2, 2), textcoords="offset points", color=MUTED,
            )  # fmt: skip
        panels[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
        panels[-1].set_xlabel("record of the training run")

    return picture(
        "training",
        draw,
        title="How the policy was trained",
        caption="Each point is one record; a dashed line parts two phases of training.",
        heights_in=(0.6 + 1.7 * len(columns), 0.6 + 1.6 * len(columns)),
    )

"""Figures of how sure the ranking is, and of what a policy does: map, shadow price, regret."""

from zoneinfo import ZoneInfo

import matplotlib.dates as mdates
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from gridhash.training.evaluate import PLANNER, RULE
from gridhash.training.play import SHADOW_PRICE_COLUMN
from gridhash.training.report_plots import busiest_week, money_axis, plot_dates
from gridhash.training.report_svg import (
    FAINT,
    FOCUS,
    INK,
    MISSED,
    RULE_COLOUR,
    Layout,
    Picture,
    colour_of,
    picture,
)
from gridhash.training.report_text import (
    Reading,
    interval_text,
    label,
    number,
    percent,
    sentence,
    short_label,
    subject,
)

Floats = npt.NDArray[np.float64]

RATIO_EDGES = np.arange(0.0, 1.75, 0.125)
"""All-in price per break-even; the outermost bins hold all beyond."""
LOAD_EDGES = np.arange(0.0, 1.01, 0.125)
"""Surplus per contract power."""


def seeds_picture(reading: Reading) -> Picture:
    """Draw what each policy earned above the best rule: interval, mean, and every seed."""
    best = reading.evaluation.best_rule
    reference = reading.score(best).daily.sum(axis=1).mean()
    scores = [s for s in reading.ranked if s.over_best_rule is not None]
    gains = {s.name: s.over_best_rule for s in scores}
    near = [g.estimate for n, g in gains.items() if n in reading.shown and g is not None]
    reach = 3.0 * max((abs(x) for x in near), default=0.0) or 1.0
    drawn = [s for s in scores if (g := gains[s.name]) is not None and abs(g.estimate) <= reach]
    drawn = drawn or scores
    n_seeds = max(len(s.seeds) for s in reading.ranked)

    def draw(figure: Figure, layout: Layout) -> None:
        axes = figure.subplots()
        for row, score in enumerate(drawn):
            gain, colour = gains[score.name], colour_of(score.name, reading.focus)
            assert gain is not None
            axes.plot([gain.low, gain.high], [row, row], color=colour, linewidth=3.2, alpha=0.45)
            if len(score.seeds) > 1:
                points = score.daily.sum(axis=1) - reference
                axes.plot(points, np.full(len(points), row), "o", color=colour, markersize=4.5)
            axes.plot(gain.estimate, row, "D", color=colour, markersize=6.0)
        axes.axvline(0.0, color=INK, linewidth=1.2)
        axes.set_yticks(range(len(drawn)))
        axes.set_yticklabels([short_label(s.name) for s in drawn])
        axes.set_ylim(len(drawn) - 0.5, -0.5)
        axes.grid(axis="x")
        axes.grid(axis="y", visible=False)
        axes.set_xlabel(f"over {short_label(best)}, {reading.currency}")
        money_axis(axes, "x")
        if layout.narrow:
            axes.xaxis.set_major_locator(MaxNLocator(3))

    focus = gains.get(reading.focus)
    unit = reading.currency
    if focus is None:
        title = f"{sentence(subject(best))} is itself the rule that earned most"
    else:
        more = "more" if focus.estimate >= 0 else "less"
        title = (
            f"{sentence(subject(reading.focus))} earned {reading.money(abs(focus.estimate))} "
            f"{unit} {more} than the best rule, {label(best)} "
            f"(95 %: {interval_text(focus, reading.money_digits)})"
        )
    outside = [label(s.name) for s in scores if s not in drawn]
    seeds = "; circles: each training seed" if n_seeds > 1 else ""
    left_out = f" Far below and not drawn: {', '.join(outside)}." if outside else ""
    return picture(
        "seeds",
        draw,
        title=title,
        caption=(
            f"Diamonds: profit above the rule that earned most on this very span{seeds}; bars: "
            f"95 % intervals over blocks of days{' and seeds' if n_seeds > 1 else ''}.{left_out}"
        ),
        heights_in=(1.0 + 0.34 * len(drawn), 1.0 + 0.34 * len(drawn)),
    )


def power_by_price_and(
    reading: Reading, name: str
) -> tuple[Floats, Floats, str, npt.NDArray[np.int64]]:
    """Return (rows, ratio bins) mean power per full power, row edges, what rows are, and counts.

    Rows are bins of surplus per contract power; hours of the day where there is no surplus. Cells
    that never came about are NaN.
    """
    scenario = reading.evaluation.scenario
    frame = reading.evaluation.run(name).frame
    adders = scenario.params.adders_per_kwh
    ratio = (frame["price_per_kwh"] + adders) / (reading.break_even_per_kwh + adders)
    column = np.clip(np.digitize(ratio, RATIO_EDGES) - 1, 0, len(RATIO_EDGES) - 2)
    surplus = frame["surplus_kw"].to_numpy(dtype=np.float64)
    if surplus.any():
        share = surplus / scenario.site.limits.contract_power_kw
        row = np.clip(np.digitize(share, LOAD_EDGES) - 1, 0, len(LOAD_EDGES) - 2)
        edges, what = LOAD_EDGES, "surplus per contract power"
    else:
        row = np.asarray(pd.DatetimeIndex(frame.index).tz_convert(reading.timezone).hour)
        edges, what = np.arange(25.0), "hour of the day, local"
    shape = (len(edges) - 1, len(RATIO_EDGES) - 1)
    flat = row * shape[1] + column
    power = frame["rig_kw"].to_numpy(dtype=np.float64) / scenario.site.max_rig_kw
    counts = np.bincount(flat, minlength=shape[0] * shape[1]).reshape(shape)
    sums = np.bincount(flat, weights=power, minlength=shape[0] * shape[1]).reshape(shape)
    mean = np.divide(sums, counts, out=np.full(shape, np.nan), where=counts > 0)
    return mean, edges, what, counts


def map_picture(reading: Reading) -> Picture:
    """Draw power by price and surplus for rule and focus."""
    names = list(dict.fromkeys((RULE, reading.focus)))
    maps = {name: power_by_price_and(reading, name) for name in names}
    _, edges, what, counts = maps[names[0]]

    def draw(figure: Figure, layout: Layout) -> None:
        shape = (len(names), 1) if layout.narrow else (1, len(names))
        panels = np.atleast_1d(figure.subplots(*shape, sharex=True, sharey=True)).tolist()
        for axes, name in zip(panels, names, strict=True):
            colour = colour_of(name, reading.focus)
            _image(axes, maps[name][0], colour, (RATIO_EDGES[0], RATIO_EDGES[-1], 0.0, edges[-1]))
            axes.axvline(1.0, color=INK, linewidth=1.0, linestyle=(0, (4, 3)))
            axes.set_title(short_label(name), color=colour, fontweight="bold")
        for axes in panels if layout.narrow else panels[:1]:
            axes.set_ylabel(what)
        for axes in panels[-1:] if layout.narrow else panels:
            axes.set_xlabel("all-in price per break-even")

    told = ""
    if what.startswith("surplus"):
        mean = maps[names[-1]][0]
        dear = RATIO_EDGES[:-1] >= 1.0
        weights = counts[:, dear]
        high = (LOAD_EDGES[:-1] >= 0.5)[:, None] & (weights > 0)
        if high.any():
            cells = np.nan_to_num(mean[:, dear])
            told = (
                f": {percent(float((cells * weights)[high].sum() / weights[high].sum()))} of full "
                "power where grid energy is dear but surplus is ample"
            )
    return picture(
        "map",
        draw,
        title=f"How much {subject(reading.focus)} runs by price and {what.split(',')[0]}{told}",
        caption=(
            "Full colour: the whole fleet runs; pale: it stands; empty: did not occur. Dashed: "
            "break-even at full power. The outermost cells hold all beyond."
        ),
        heights_in=(3.5, 6.0),
    )


def _image(
    axes: Axes, values: Floats, colour: str, extent: tuple[float, float, float, float]
) -> None:
    """Draw shares as one colour of rising strength; NaN stays empty."""
    image = np.zeros((*values.shape, 4))
    image[..., :3] = [int(colour[k : k + 2], 16) / 255.0 for k in (1, 3, 5)]
    image[..., 3] = np.where(np.isnan(values), 0.0, 0.08 + 0.92 * np.nan_to_num(values).clip(0, 1))
    axes.imshow(image, aspect="auto", interpolation="none", extent=extent, origin="lower")
    axes.grid(False)
    _frame(axes)


def _frame(axes: Axes) -> None:
    for spine in axes.spines.values():
        spine.set_color(FAINT)
        spine.set_visible(True)


def shadow_picture(reading: Reading) -> Picture | None:
    """Draw what a kWh was worth to the focus above its price in the busiest week.

    None if the policy does not act by shadow price.
    """
    run = reading.evaluation.run(reading.focus)
    columns = [
        name for name in run.frame.columns if str(name).startswith(f"{SHADOW_PRICE_COLUMN}_")
    ]
    if not columns:
        return None
    span = busiest_week(reading)
    frame = run.frame.iloc[span]
    shadow = frame[columns].to_numpy(dtype=np.float64) * reading.price_scale
    price = frame["price_per_kwh"].to_numpy(dtype=np.float64) * reading.price_scale
    zone = ZoneInfo(reading.timezone)
    x = plot_dates(frame.index)

    def draw(figure: Figure, layout: Layout) -> None:
        top, low = figure.subplots(2, 1, sharex=True, height_ratios=[1.0, 1.3])
        top.step(x, price, where="post", color=INK, linewidth=1.2)
        top.set_ylabel(f"price,\n{reading.price_unit}")
        low.axhline(0.0, color=RULE_COLOUR, linewidth=1.4)
        low.fill_between(
            x, shadow.min(axis=1), shadow.max(axis=1), step="post", color=FOCUS, alpha=0.2,
            linewidth=0,
        )  # fmt: skip
        low.step(x, shadow.mean(axis=1), where="post", color=FOCUS, linewidth=1.3)
        low.set_ylabel(f"shadow price,\n{reading.price_unit}")
        low.xaxis.set_major_locator(mdates.DayLocator(tz=zone))
        pattern = "%d" if layout.narrow else "%a %d %b"
        low.xaxis.set_major_formatter(mdates.DateFormatter(pattern, tz=zone))
        low.set_xlim(x[0], x[-1])

    whole = run.frame[columns].to_numpy(dtype=np.float64) * reading.price_scale
    held, freed = (whole > 0.0).mean(), (whole < 0.0).mean()
    return picture(
        "shadow",
        draw,
        title=(
            f"{sentence(subject(reading.focus))} held power back in {percent(float(held))} of the "
            f"time and ran more than the level rule in {percent(float(freed))}, by its shadow price"
        ),
        caption=(
            "What a kWh was worth to the policy above its price, mean and range over rig groups, "
            "in the busiest week. Zero is the level rule; above it the policy waits, below it it "
            f"runs though the price does not pay yet. Over the span: mean "
            f"{number(whole.mean(), 2)}, from {number(whole.min(), 2)} to "
            f"{number(whole.max(), 2)} {reading.price_unit}."
        ),
        heights_in=(3.6, 4.2),
    )


def regret_table(reading: Reading) -> tuple[Floats, list[str]]:
    """Return (24, months): what the planner earned more than the focus [currency], and months."""
    runs = reading.evaluation
    lost = runs.run(PLANNER).frame["profit"] - runs.run(reading.focus).frame["profit"]
    local = pd.DatetimeIndex(lost.index).tz_convert(reading.timezone)
    table = lost.groupby([local.hour, local.strftime("%Y-%m")]).sum().unstack()
    table = table.reindex(range(24)).fillna(0.0)
    return table.to_numpy(dtype=np.float64), [str(month) for month in table.columns]


def regret_map_picture(reading: Reading) -> Picture | None:
    """Draw by hour and month where the focus earned less or more than the planner."""
    if reading.focus == PLANNER:
        return None
    lost, months = regret_table(reading)
    scale = float(np.abs(lost).max()) or 1.0
    image = np.zeros((*lost.shape, 4))
    for sign, colour in ((1.0, MISSED), (-1.0, FOCUS)):
        mask = sign * lost > 0
        image[mask, :3] = [int(colour[k : k + 2], 16) / 255.0 for k in (1, 3, 5)]
    image[..., 3] = (np.abs(lost) / scale) ** 0.6

    def draw(figure: Figure, layout: Layout) -> None:
        axes = figure.subplots()
        extent = (-0.5, len(months) - 0.5, 24.0, 0.0)
        axes.imshow(image, aspect="auto", interpolation="none", extent=extent)
        axes.grid(False)
        _frame(axes)
        axes.set_yticks(range(0, 25, 6))
        axes.set_ylabel("hour of the day, local")
        step = -(-len(months) // (6 if layout.narrow else 14))
        axes.set_xticks(range(0, len(months), step))
        pattern = "%b" if len(months) <= 12 else "%b %y"
        stamps = [pd.Timestamp(f"{month}-01") for month in months]
        axes.set_xticklabels([f"{stamp:{pattern}}" for stamp in stamps[::step]])
        for k, (text, colour) in enumerate((("DP ahead", MISSED), ("policy ahead", FOCUS))):
            axes.annotate(
                text, xy=(0.0, 1.0), xycoords="axes fraction", xytext=(k * 90.0, 7),
                textcoords="offset points", color=colour, fontweight="bold",
            )  # fmt: skip

    hour, month = np.unravel_index(int(np.argmax(lost)), lost.shape)
    worst = pd.Timestamp(f"{months[int(month)]}-01")
    return picture(
        "regret_map",
        draw,
        title=(
            f"It fell behind the DP most at {hour}:00 in {worst:%B %Y}: "
            f"{reading.money(float(lost.max()))} {reading.currency} in all days of that month"
            if lost.max() > 0
            else "It fell behind the DP in no hour of any month"
        ),
        caption=(
            f"Booked profit of the DP less that of {subject(reading.focus)}, by hour and month; "
            f"the strongest colour is {reading.money(scale)} {reading.currency}. The DP knows only "
            "what is published, so a policy can be ahead of it."
        ),
        heights_in=(3.2, 3.8),
    )

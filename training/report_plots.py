"""Figures of when the policies ran and what it brought them over time."""

from collections.abc import Sequence
from zoneinfo import ZoneInfo

import matplotlib.dates as mdates
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from gridhash.training.evaluate import PLANNER, RULE
from gridhash.training.report_svg import (
    FAINT,
    FOCUS,
    INK,
    MISSED,
    MUTED,
    RULE_COLOUR,
    Layout,
    Picture,
    colour_of,
    label_ends,
    picture,
)
from gridhash.training.report_text import (
    BOUND_LABEL,
    Reading,
    label,
    number,
    percent,
    sentence,
    short_label,
    subject,
)
from gridhash.units import SECONDS_PER_HOUR

Floats = npt.NDArray[np.float64]


def money_axis(axes: Axes, which: str = "y") -> None:
    """Write amounts with thousands separators."""
    axis = axes.yaxis if which == "y" else axes.xaxis
    axis.set_major_locator(MaxNLocator(5))
    step = abs(np.diff(axis.get_ticklocs()[:2]))
    digits = _digits(float(step[0])) if step.size else 2
    axis.set_major_formatter(FuncFormatter(lambda value, _: number(value, digits)))


def _digits(step: float) -> int:
    """Return the decimals that tell ticks of a step apart, at most six."""
    return next((d for d in range(6) if abs(step * 10**d - round(step * 10**d)) < 1e-6), 6)


def plot_dates(index: pd.Index) -> Floats:
    """Return instants as matplotlib counts them: days of UTC since 1970."""
    return np.asarray(mdates.date2num(pd.DatetimeIndex(index).to_pydatetime()), dtype=np.float64)


def _step_edges(index: pd.DatetimeIndex, interval_s: int) -> Floats:
    """Return starts and the last end: one more than the rows."""
    return plot_dates(index.append(index[-1:] + pd.Timedelta(seconds=interval_s)))


def _changes(edges: Floats, *columns: Floats) -> tuple[Floats, ...]:
    """Return edges and values of steps where any value changes: it keeps the page small."""
    moved = np.any([np.diff(values) != 0.0 for values in columns], axis=0)
    keep = np.flatnonzero(np.r_[True, moved])
    # The last value stands twice, so that its step has a width.
    return (
        np.r_[edges[keep], edges[-1]],
        *(np.r_[values[keep], values[-1]] for values in columns),
    )


def busiest_week(reading: Reading) -> slice:
    """Return the seven local days in which the shown policies started most rigs."""
    frames = [reading.evaluation.run(name).frame for name in reading.shown]
    index = pd.DatetimeIndex(frames[0].index)
    days = index.tz_convert(reading.timezone).normalize()
    starts = sum(frame["rigs_started"].groupby(days).sum() for frame in frames)
    assert isinstance(starts, pd.Series)
    n_days = min(7, len(starts))
    week = starts.rolling(n_days).sum().to_numpy()[n_days - 1 :]
    first = int(np.argmax(np.round(week, 6)))
    codes = days.factorize()[0]
    rows = np.flatnonzero((codes >= first) & (codes < first + n_days))
    return slice(int(rows[0]), int(rows[-1]) + 1)


def week_picture(reading: Reading) -> Picture:
    """Draw price and power over the week with most transitions."""
    span = busiest_week(reading)
    site = reading.evaluation.scenario.site
    zone = ZoneInfo(reading.timezone)
    frames = {name: reading.evaluation.run(name).frame.iloc[span] for name in reading.shown}
    index = pd.DatetimeIndex(frames[RULE].index)
    edges = _step_edges(index, site.dispatch_interval_s)
    price = frames[RULE]["price_per_kwh"].to_numpy(dtype=np.float64) * reading.price_scale
    break_even = reading.break_even_per_kwh[span] * reading.price_scale
    starts = {name: frame["rigs_started"].sum() / site.n_rigs for name, frame in frames.items()}

    def draw(figure: Figure, layout: Layout) -> None:
        n = len(frames)
        top, *lanes = figure.subplots(1 + n, 1, sharex=True, height_ratios=[2.6] + [0.62] * n)
        x, y, level = _changes(edges, price, break_even)
        top.step(x, y, where="post", color=INK, linewidth=1.3)
        top.step(x, level, where="post", color=MUTED, linewidth=1.0, linestyle=(0, (4, 3)))
        # Not `where`: it would leave out the half steps beside a change of sign.
        below = np.minimum(y, level)
        top.fill_between(x, below, level, step="post", color=FOCUS, alpha=0.16, linewidth=0)
        top.set_ylabel(f"price, {reading.price_unit}")
        top.margins(x=0)
        label_ends(
            top, [(break_even[-1], "break-\neven" if layout.narrow else "break-even", MUTED)]
        )
        for lane, (name, frame) in zip(lanes, frames.items(), strict=True):
            power_mw = frame["rig_kw"].to_numpy(dtype=np.float64).round(1) / 1000.0
            colour = colour_of(name, reading.focus)
            lane.fill_between(*_changes(edges, power_mw), step="post", color=colour, linewidth=0)
            lane.set_ylim(0, site.max_rig_kw / 1000.0 * 1.02)
            lane.set_yticks([0, site.max_rig_kw / 1000.0])
            lane.set_yticklabels(["0", f"{site.max_rig_kw / 1000.0:.3g} MW"])
            lane.grid(False)
            lane.set_title(
                f"{short_label(name)}: {number(starts[name], 1)} fleet starts",
                color=colour,
                fontweight="bold",
            )
        lanes[-1].xaxis.set_major_locator(mdates.DayLocator(tz=zone))
        pattern = "%d" if layout.narrow else "%a %d %b"
        lanes[-1].xaxis.set_major_formatter(mdates.DateFormatter(pattern, tz=zone))
        for axes in (top, *lanes):
            axes.tick_params(axis="x", length=3 if axes is lanes[-1] else 0)
            axes.set_xlim(edges[0], edges[-1])
        if layout.narrow:
            lanes[-1].set_xlabel(f"day of {index[0].tz_convert(zone):%B %Y}")

    told = [f"{label(name)} {number(starts[name], 1)}" for name in frames]
    first, last = index[0].tz_convert(zone), index[-1].tz_convert(zone)
    return picture(
        "week",
        draw,
        title=f"Fleet starts in the busiest week: {', '.join(told)}",
        caption=(
            f"{first:%d %b} – {last:%d %b %Y}, local time. Shaded: the price lies below "
            "break-even at full power, where a running fleet earns. A fleet start is every rig of "
            "the site started once."
        ),
        heights_in=(5.4, 5.6),
    )


def cumulative_picture(reading: Reading) -> Picture:
    """Draw cumulative profit above the level rule."""
    scores = [score for score in reading.ranked if score.name != RULE]
    reach = max(abs(reading.score(n).over_rule.estimate) for n in reading.shown) or 1.0
    drawn = [s.name for s in scores if s.over_rule.estimate > -1.2 * reach]
    left_out = [s for s in scores if s.name not in drawn]
    rule = reading.daily_profit(RULE)
    curves = {name: np.r_[0.0, np.cumsum(reading.daily_profit(name) - rule)] for name in drawn}
    zone = ZoneInfo(reading.timezone)
    days = pd.DatetimeIndex(
        reading.evaluation.run(RULE).daily_profit(reading.timezone).index
    ).tz_localize(zone)
    ends = days.append(days[-1:] + pd.DateOffset(days=1))
    x = plot_dates(ends)
    bound = reading.score(RULE).value("regret")
    bound_x, bound_y = _bound_curve(reading)

    def draw(figure: Figure, layout: Layout) -> None:
        axes = figure.subplots()
        axes.axhline(0.0, color=RULE_COLOUR, linewidth=1.6)
        labels = [(0.0, short_label(RULE), RULE_COLOUR)]
        for name, curve in curves.items():
            colour = colour_of(name, reading.focus)
            axes.plot(x, curve, color=colour, linewidth=2.2 if name == reading.focus else 1.5)
            labels.append((curve[-1], short_label(name), colour))
        # No line: between two windows' ends the bound says nothing.
        axes.plot(bound_x, bound_y, "D", color=INK, markersize=4.5, clip_on=False)
        labels.append((bound, "bound", INK))
        axes.set_xlim(x[0], x[-1])
        axes.set_ylabel(f"over the level rule, {reading.currency}")
        money_axis(axes)
        low, high = axes.get_ylim()
        axes.set_ylim(min(low, -0.04 * bound), max(high, bound * 1.06))
        label_ends(axes, labels, gap=0.07)
        locator = mdates.AutoDateLocator(tz=zone, minticks=3, maxticks=5 if layout.narrow else 9)
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(mdates.ConciseDateFormatter(locator, tz=zone))

    gain = reading.score(reading.focus).over_rule.estimate
    daily = reading.daily_profit(reading.focus) - rule
    # Half a cent apart is a tie: both did the same, in another order of sums.
    ahead, behind = np.mean(daily > 0.005), np.mean(daily < -0.005)
    outside = "; ".join(
        f"{label(s.name)} ends at {reading.money(s.over_rule.estimate, signed=True)}"
        for s in left_out
    )
    return picture(
        "cumulative",
        draw,
        title=(
            f"{sentence(subject(reading.focus))} ends {reading.money(abs(gain))} "
            f"{reading.currency} {'above' if gain >= 0 else 'below'} the level rule; it earned "
            f"more on {percent(float(ahead))} of the days, less on {percent(float(behind))}"
        ),
        caption=(
            "Cumulative profit less that of the level rule, by local day. Diamonds: the "
            f"{BOUND_LABEL} at the end of each of its windows."
            + (f" Below the picture, in {reading.currency}: {outside}." if outside else "")
        ),
        heights_in=(3.9, 4.2),
    )


def _bound_curve(reading: Reading) -> tuple[Floats, Floats]:
    """Return instants and the bound's lead over the level rule at the end of each window.

    What peaks leave to later months, the bound has spread over its windows; of the rule it is
    taken evenly.
    """
    scenario = reading.evaluation.scenario
    first = reading.evaluation.rows[0]
    run = reading.evaluation.run(RULE)
    booked = run.frame["profit"] - run.liability / len(run.frame)
    rule = np.r_[0.0, booked.cumsum()]
    ends = [window.rows[1] for window in reading.evaluation.bound.windows]
    starts = scenario.trace.starts[first] + pd.to_timedelta(
        (np.array(ends) - first) * scenario.trace.period_s, unit="s"
    )
    bound = np.cumsum([window.value for window in reading.evaluation.bound.windows])
    lead = bound - rule[(np.array(ends) - first) * scenario.steps_per_row]
    return plot_dates(starts), lead


def _regret(reading: Reading, name: str) -> pd.Series:
    """Return what the planner earned more than a policy, per dispatch interval, local time."""
    runs = reading.evaluation
    lost = runs.run(PLANNER).frame["profit"] - runs.run(name).frame["profit"]
    return lost.tz_convert(reading.timezone)


def regret_picture(reading: Reading) -> Picture:
    """Draw what rule and focus lost to the planner, by hour of day and by month."""
    names = [name for name in reading.shown if name != PLANNER]
    lost = {name: _regret(reading, name) for name in names}
    by_hour = {n: s.groupby(pd.DatetimeIndex(s.index).hour).sum() for n, s in lost.items()}
    by_month = {
        n: s.groupby(pd.DatetimeIndex(s.index).strftime("%Y-%m"), sort=True).sum()
        for n, s in lost.items()
    }
    months = next(iter(by_month.values())).index

    def draw(figure: Figure, layout: Layout) -> None:
        if layout.narrow:
            left, right = figure.subplots(2, 1)
        else:
            left, right = figure.subplots(1, 2, width_ratios=[2.2, 1.0])
        width = 0.8 / len(names)
        for k, name in enumerate(names):
            colour = colour_of(name, reading.focus)
            shift = (k - (len(names) - 1) / 2.0) * width
            hours = by_hour[name]
            left.bar(hours.index.to_numpy() + shift, hours.to_numpy(), width, color=colour)
            right.bar(
                np.arange(len(months)) + shift, by_month[name].to_numpy(), width, color=colour
            )
        left.set_xticks(range(0, 24, 6 if layout.narrow else 3))
        left.set_xlim(-0.7, 23.7)
        left.set_xlabel("hour of the day, local")
        left.set_ylabel(f"lost to the DP, {reading.currency}")
        _month_axis(right, months)
        for axes in (left, right):
            axes.axhline(0.0, color=MUTED, linewidth=0.8)
            money_axis(axes)
        _name_colours(left, names, reading.focus)

    focus_money = reading.money(float(lost[reading.focus].sum())) if reading.focus in lost else ""
    rule_total = float(lost[RULE].sum())
    return picture(
        "regret",
        draw,
        title=(
            f"Against the day-ahead DP the level rule lost {reading.money(rule_total)} "
            f"{reading.currency}"
            + ("" if reading.focus == PLANNER else f", {subject(reading.focus)} {focus_money}")
        ),
        caption=(
            "Booked profit of the DP less that of the policy, by hour and by month. A start is "
            "paid in the hour in which it happens and earned back later, so single hours can lie "
            "below zero."
        ),
        heights_in=(3.6, 5.2),
    )


def _month_axis(axes: Axes, months: Sequence[str] | pd.Index) -> None:
    stamps = [pd.Timestamp(f"{month}-01") for month in months]
    step = -(-len(stamps) // 6)
    axes.set_xticks(range(0, len(stamps), step))
    axes.set_xticklabels([f"{stamp:%b}" for stamp in stamps[::step]])
    axes.set_xlabel(
        " – ".join(dict.fromkeys((f"{stamps[0]:%Y}", f"{stamps[-1]:%Y}"))) if stamps else ""
    )


def _name_colours(axes: Axes, names: Sequence[str], focus: str) -> None:
    """Name each colour above the axes, in that colour."""
    offset_pt = 0.0
    for name in names:
        axes.annotate(
            short_label(name),
            xy=(0.0, 1.0),
            xycoords="axes fraction",
            xytext=(offset_pt, 8),
            textcoords="offset points",
            color=colour_of(name, focus),
            fontweight="bold",
        )
        offset_pt += 8.0 * len(short_label(name)) + 16.0


def difference_map(reading: Reading) -> tuple[Floats, pd.Index]:
    """Return (24, days): mean power of the focus less the planner per full power, and the days."""
    runs = reading.evaluation
    differs = runs.run(reading.focus).frame["rig_kw"] - runs.run(PLANNER).frame["rig_kw"]
    local = pd.DatetimeIndex(differs.index).tz_convert(reading.timezone)
    table = differs.groupby([local.hour, local.normalize()]).mean().unstack()
    table = table.reindex(range(24)) / runs.scenario.site.max_rig_kw
    return table.to_numpy(dtype=np.float64), table.columns


def heat_map_picture(reading: Reading) -> Picture | None:
    """Draw day by hour where the focus drew more or less power than the planner."""
    if reading.focus == PLANNER:
        return None
    differs, days = difference_map(reading)
    site = reading.evaluation.scenario.site
    hours = site.dispatch_interval_s / SECONDS_PER_HOUR
    frames = [reading.evaluation.run(name).frame["rig_kw"] for name in (reading.focus, PLANNER)]
    delta = (frames[0] - frames[1]).to_numpy() / site.max_rig_kw
    more_h, less_h = delta.clip(min=0).sum() * hours, -delta.clip(max=0).sum() * hours
    focus = short_label(reading.focus)
    image = np.zeros((24, len(days), 4))
    for sign, colour in ((1.0, FOCUS), (-1.0, MISSED)):
        mask = np.nan_to_num(sign * differs) > 0
        image[mask, :3] = [int(colour[k : k + 2], 16) / 255.0 for k in (1, 3, 5)]
    image[..., 3] = np.abs(np.nan_to_num(differs)).clip(0, 1) ** 0.6
    zone = ZoneInfo(reading.timezone)
    first = float(mdates.date2num(pd.DatetimeIndex(days)[0].tz_localize(None)))

    def draw(figure: Figure, layout: Layout) -> None:
        axes = figure.subplots()
        extent = (first, first + len(days), 24.0, 0.0)
        axes.imshow(image, aspect="auto", interpolation="none", extent=extent)
        axes.grid(False)
        axes.set_yticks(range(0, 25, 6))
        axes.set_ylabel("hour of the day, local")
        locator = mdates.AutoDateLocator(minticks=3, maxticks=5 if layout.narrow else 9)
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(mdates.ConciseDateFormatter(locator))
        for spine in axes.spines.values():
            spine.set_color(FAINT)
            spine.set_visible(True)
        offset = 0.4 if layout.narrow else 0.3
        for k, (text, colour) in enumerate(
            ((f"{focus} runs, DP stands", FOCUS), (f"DP runs, {focus} stands", MISSED))
        ):
            axes.annotate(
                text, xy=(k * (offset + 0.12), 1.0), xycoords="axes fraction", xytext=(0, 7),
                textcoords="offset points", color=colour, fontweight="bold",
            )  # fmt: skip

    total_h = len(delta) * hours
    return picture(
        "heat_map",
        draw,
        title=(
            f"{sentence(subject(reading.focus))} and the DP draw the same power in "
            f"{percent(1.0 - (more_h + less_h) / total_h, 1)} of the time"
        ),
        caption=(
            f"Each cell is one hour of one day; the stronger the colour, the more of the fleet "
            f"differs. Full-fleet hours in which {focus} runs and the DP stands: "
            f"{number(more_h, 1)}; the other way round: {number(less_h, 1)}; of "
            f"{number(total_h)} h ({zone.key})."
        ),
        heights_in=(3.6, 4.2),
    )

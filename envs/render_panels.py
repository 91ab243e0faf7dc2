"""Panels of the picture of a day; `gridhash.envs.render_day` puts them together."""

import math
from dataclasses import dataclass

import matplotlib.dates as mdates
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.typing import LineStyleType

from gridhash.envs.day_view import DayView
from gridhash.envs.parameters import Floats
from gridhash.units import SECONDS_PER_HOUR

# Colours that people with any colour vision tell apart (M. Okabe, K. Ito, 2008).
BLUE, SKY, GREEN, ORANGE = "#0072B2", "#56B4E9", "#009E73", "#E69F00"
VERMILION, PURPLE, INK, GREY = "#D55E00", "#CC79A7", "#222222", "#8A8A8A"
GROUPS = ("#08519C", "#4292C6", "#9ECAE1", "#54278F", "#9E9AC8", "#238B45", "#A1D99B", "#636363")
EVENT_COLOURS = {
    "pause order": VERMILION,
    "call to reduce": PURPLE,
    "call to increase": GREEN,
    "held capacity called": ORANGE,
    "transmission peak": INK,
    "capacity peak": GREY,
    "temperature trip": "#A50F15",
}
LINE_OF = {"hash_revenue": (GREEN, "-"), "import_energy_cost": (VERMILION, "-")}
"""Colour and style of the ledger lines that every site has."""
LINES = ((ORANGE, "-"), (PURPLE, "-"), (SKY, "-"), (BLUE, "--"))
"""Those of the largest others."""
VISIBLY_BETTER = 1.02
"""Ratio of break-evens from which two lines are drawn."""


def mark_time(axes: Axes, view: DayView, ahead_h: float) -> None:
    """Set the time axis, with so many hours ahead, and shade events and what is yet to come."""
    first = view.starts[0] if len(view.starts) else view.now
    end = max(view.now + pd.Timedelta(hours=ahead_h), first + pd.Timedelta(hours=24))
    axes.set_xlim(_days(first), _days(end))
    axes.axvspan(_days(view.now), _days(end), color="#F3F3F3", linewidth=0, zorder=0)
    axes.axvline(_days(view.now), color="#BBBBBB", linewidth=1.0, zorder=1)
    for event in view.events:
        edges = view.edges
        axes.axvspan(
            _days(edges[event.first]), _days(edges[event.end]),
            color=EVENT_COLOURS[event.label], alpha=0.10, linewidth=0, zorder=0,
        )  # fmt: skip
    axes.xaxis.set_major_locator(mdates.HourLocator(byhour=range(0, 24, 3), tz=view.zone))
    axes.xaxis.set_major_formatter(mdates.DateFormatter("%H:%M", tz=view.zone))
    axes.grid(True, axis="both", color="#E6E6E6", linewidth=0.6)
    axes.set_axisbelow(True)


def _days(instant: pd.Timestamp) -> float:
    return float(mdates.date2num(instant.to_pydatetime()))


def _x(instants: pd.DatetimeIndex) -> Floats:
    return np.asarray(mdates.date2num(instants.to_pydatetime()), dtype=np.float64)


def _held(values: Floats) -> Floats:
    """Return values with the last one twice, so that its step has a width."""
    return np.concatenate([values, values[-1:]])


def _legend(axes: Axes) -> None:
    if not axes.get_legend_handles_labels()[1]:
        return
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.02), borderaxespad=0.2, handlelength=1.6)


def draw_prices(axes: Axes, view: DayView, ahead_h: float) -> None:
    """Draw market and all-in price, break-evens, and what is published of the hours ahead."""
    axes.set_title("Price: rigs earn where all-in lies below their break-even")
    axes.set_ylabel(view.price_unit)
    axes.axhline(0.0, color="#999999", linewidth=0.8)
    if len(view.starts):
        x = _x(view.edges)
        all_in, level = _held(view.all_in), _held(view.break_even)
        best = level * view.best_break_even_ratio
        has_better = view.best_break_even_ratio > VISIBLY_BETTER
        for line, alpha in ((best, 0.10), (level, 0.14)) if has_better else ((level, 0.20),):
            axes.fill_between(
                x, np.minimum(all_in, line), line, step="post", color=GREEN, alpha=alpha,
                linewidth=0,
            )  # fmt: skip
        axes.step(x, _held(view.price), where="post", color=GREY, linewidth=1.1, label="market")
        axes.step(x, all_in, where="post", color=INK, linewidth=1.8, label="all-in")
        axes.step(
            x, level, where="post", color=GREEN, linewidth=1.5, linestyle="--",
            label="break-even" + (", all at full load" if has_better else ""),
        )  # fmt: skip
        if has_better:
            axes.step(
                x, best, where="post", color=GREEN, linewidth=1.2, linestyle=":",
                label="break-even, best rigs\nat their best load",
            )  # fmt: skip
    period_h = view.scenario.trace.period_s / SECONDS_PER_HOUR
    ahead = view.ahead[: math.ceil(ahead_h / period_h)]
    if len(ahead):
        period = pd.Timedelta(seconds=view.scenario.trace.period_s)
        starts = view.ahead_starts[: len(ahead)]
        x = _x(pd.DatetimeIndex([*starts, starts[-1] + period]))
        axes.step(
            x, _held(ahead), where="post", color=INK, linewidth=1.3, linestyle=":",
            label="all-in, " + ("forecast" if view.ahead_is_forecast else "known ahead"),
        )  # fmt: skip
    shown = np.concatenate([view.price, view.all_in, view.break_even, ahead])
    level_now = float(np.median(view.break_even)) if len(view.starts) else 0.0
    _squeeze_spikes(axes, shown, level_now, view.price_unit)
    _legend(axes)


def _squeeze_spikes(axes: Axes, shown: Floats, level: float, unit: str) -> None:
    """Show up to six times the break-even and say how high prices went beyond."""
    if level <= 0.0 or not len(shown) or shown.max() <= 6.0 * level:
        return
    axes.set_ylim(min(0.0, float(shown.min())) * 1.1, 6.0 * level)
    axes.set_title(
        f"off the scale: up to {shown.max():,.0f} {unit}", loc="right", color=VERMILION, fontsize=9
    )


def draw_events(axes: Axes, view: DayView, lanes: list[str]) -> None:
    """Draw a bar per event, one lane per kind."""
    axes.set_title("Events")
    x = _x(view.edges)
    for event in view.events:
        lane = lanes.index(event.label)
        axes.barh(
            lane, x[event.end] - x[event.first], left=x[event.first], height=0.72,
            color=EVENT_COLOURS[event.label], linewidth=0,
        )  # fmt: skip
    axes.set_yticks(range(len(lanes)), lanes)
    for tick, label in zip(axes.get_yticklabels(), lanes, strict=True):
        tick.set_color(EVENT_COLOURS[label])
        tick.set_fontweight("bold")
    axes.set_ylim(len(lanes) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)


@dataclass(frozen=True)
class _PowerLine:
    values: Floats
    label: str
    colour: str
    style: str


def draw_power(axes: Axes, view: DayView) -> None:
    """Draw power by group as areas, and the limits and offers beside it."""
    site = view.scenario.site
    contract_kw = site.limits.contract_power_kw
    per, unit = (1000.0, "MW") if contract_kw >= 1000.0 else (1.0, "kW")
    axes.set_title("Power by rig group")
    axes.set_ylabel(unit)
    axes.axhline(
        contract_kw / per, color=INK, linewidth=1.0, linestyle=(0, (6, 3)),
        label=f"contract {contract_kw / per:g} {unit}",
    )  # fmt: skip
    axes.set_ylim(0.0, contract_kw / per * 1.08)
    if not len(view.starts):
        _legend(axes)
        return
    x = _x(view.edges)
    stack = [_held(view.rest_kw), *(_held(view.group_kw[:, g]) for g in range(len(site.groups)))]
    labels = ["cooling, standby", *(group.name for group in site.groups)]
    colours = ["#CFCFCF", *(GROUPS[g % len(GROUPS)] for g in range(len(site.groups)))]
    axes.stackplot(
        x, np.array(stack) / per, labels=labels, colors=colours, step="post",
        edgecolor="white", linewidth=0.4,
    )  # fmt: skip
    for line in _power_lines(view):
        top = np.minimum(_held(line.values) / per, contract_kw / per * 1.07)
        axes.step(
            x, top, where="post", color=line.colour, linewidth=1.8, linestyle=line.style,
            label=line.label,
        )  # fmt: skip
    _draw_pause(axes, view, per)
    drawn = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    areas = {label: drawn.pop(label) for label in reversed(labels)}
    axes.legend(
        [*drawn.values(), *areas.values()], [*drawn, *areas],
        loc="upper left", bbox_to_anchor=(1.0, 1.02), borderaxespad=0.2, handlelength=1.6,
    )  # fmt: skip


def _power_lines(view: DayView) -> list[_PowerLine]:
    lines = (
        _PowerLine(view.surplus_kw, "surplus offered", ORANGE, "-"),
        _PowerLine(view.pv_kw, "own panels", "#B8A100", "-"),
        _PowerLine(view.base_point_kw, "base point", VERMILION, "-"),
    )
    wanted = [line for line in lines[:2] if line.values.any()]
    if view.scenario.programs.has_base_point:
        wanted.append(lines[2])
    return wanted


def _draw_pause(axes: Axes, view: DayView, per: float) -> None:
    cap_kw = view.scenario.programs.pause_power_kw
    x = _x(view.edges)
    paused = [event for event in view.events if event.label == "pause order"]
    for k, event in enumerate(paused):
        axes.plot(
            [x[event.first], x[event.end]], [cap_kw / per] * 2, color=VERMILION, linewidth=2.2,
            label="pause power" if k == 0 else None,
        )  # fmt: skip


def draw_heat(axes: Axes, view: DayView) -> None:
    """Draw hottest chip and loop and the outdoor temperature, with derate and trip."""
    params = view.scenario.params
    axes.set_title("Temperature: hottest of all groups")
    axes.set_ylabel("°C")
    if len(view.starts):
        x = _x(view.edges)
        for values, label, colour in (
            (view.chip_c, "chip", VERMILION),
            (view.coolant_c, "coolant", BLUE),
            (view.outdoor_c, "outdoor", GREY),
        ):
            # Temperatures are those at the end of each interval.
            axes.plot(x[1:], values, color=colour, linewidth=1.7, label=label)
    limits: tuple[tuple[float, str, LineStyleType], ...] = (
        (float(params.chip_trip_c.min()), "trips", "-"),
        (float(params.chip_derate_c.min()), "derates", (0, (4, 3))),
    )
    for limit_c, what, style in limits:
        axes.axhline(
            limit_c, color="#A50F15", linewidth=1.0, linestyle=style,
            label=f"chip {what} at {limit_c:g} °C",
        )  # fmt: skip
    axes.margins(y=0.12)
    _legend(axes)


def draw_money(axes: Axes, view: DayView) -> None:
    """Draw profit and the largest ledger lines, summed from the first interval on."""
    currency = view.scenario.site.currency
    axes.set_title("Money since the start of the picture, by ledger line")
    axes.set_ylabel(currency)
    axes.axhline(0.0, color="#999999", linewidth=0.8)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    if not len(view.starts):
        axes.set_yticks([0.0])
        return
    x = _x(view.edges)
    own = [name for name in view.lines if name not in LINE_OF]
    drawn = LINE_OF | dict(zip(own, LINES, strict=False))
    for name, amounts in view.lines.items():
        if name in drawn:
            _draw_sum(axes, x, amounts, name.replace("_", " "), *drawn[name], 1.4)
    if others := own[len(LINES) :]:
        rest = np.sum([view.lines[name] for name in others], axis=0)
        label = others[0].replace("_", " ") if len(others) == 1 else f"{len(others)} other lines"
        _draw_sum(axes, x, rest, label, GREY, ":", 1.4)
    _draw_sum(axes, x, view.profit, "profit", INK, "-", 2.8)
    handles, names = axes.get_legend_handles_labels()
    axes.legend(
        handles[::-1], names[::-1], loc="upper left", bbox_to_anchor=(1.0, 1.02),
        borderaxespad=0.2, handlelength=1.6,
    )  # fmt: skip


def _draw_sum(
    axes: Axes, x: Floats, amounts: Floats, label: str, colour: str, style: str, width: float
) -> None:
    total = np.concatenate([[0.0], np.cumsum(amounts)])
    axes.plot(
        x, total, color=colour, linestyle=style, linewidth=width,
        label=f"{label} {total[-1]:+,.0f}",
    )  # fmt: skip

"""The picture of a day: prices, power, temperatures, events and money on one time axis.

Drawn with matplotlib's object interface alone: no global state, nothing left open.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from gridhash.envs.day_view import DayView, view_day
from gridhash.envs.render_panels import (
    EVENT_COLOURS,
    draw_events,
    draw_heat,
    draw_money,
    draw_power,
    draw_prices,
    mark_time,
)
from gridhash.envs.scenario import Scenario

SIZE_IN = (11.0, 10.0)
DPI = 90
STYLE: dict[Any, Any] = {
    "axes.edgecolor": "#BBBBBB",
    "axes.labelcolor": "#444444",
    "axes.labelsize": 9.5,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "xtick.color": "#666666",
    "ytick.color": "#666666",
}
AHEAD_H = 6.0
Pixels = npt.NDArray[np.uint8]


def draw_day(
    scenario: Scenario,
    frame: pd.DataFrame,
    *,
    title: str,
    now: pd.Timestamp | None = None,
    ahead_h: float = AHEAD_H,
    note: str | None = None,
) -> Figure:
    """Return a figure of what was played.

    Parameters
    ----------
    frame
        A row per dispatch interval: `PlayRecord.frame` or `PolicyRun.frame`, a day of it at best.
    title
        What was played: scenario and policy. Date and profit are added.
    now
        Start of the episode where nothing was played yet.
    ahead_h
        Hours after the last interval that are shown, for prices already published.
    note
        A line below the picture.
    """
    view = view_day(scenario, frame, title=title, now=now)
    with rc_context(STYLE):
        figure = Figure(figsize=SIZE_IN, dpi=DPI, layout="constrained", facecolor="white")
        FigureCanvasAgg(figure)
        lanes = sorted({event.label for event in view.events}, key=list(EVENT_COLOURS).index)
        heights = [3.0, 0.3 + 0.3 * len(lanes), 3.4, 2.2, 2.6]
        if not lanes:
            del heights[1]
        axes = list(figure.subplots(len(heights), 1, sharex=True, height_ratios=heights))
        draw_prices(axes.pop(0), view, ahead_h)
        if lanes:
            draw_events(axes.pop(0), view, lanes)
        power, heat, money = axes
        draw_power(power, view)
        draw_heat(heat, view)
        draw_money(money, view)
        for panel in figure.axes:
            mark_time(panel, view, ahead_h)
        money.set_xlabel(f"local time, {scenario.site.timezone}")
        figure.suptitle(_heading(view), x=0.01, ha="left", fontsize=13, fontweight="bold")
        notes = [note] if note else []
        if view.synthetic:
            notes.append("synthetic, not measured: " + ", ".join(view.synthetic))
        if notes:
            figure.supxlabel(
                "\n".join(notes),
                x=0.01, ha="left", fontsize=8, color="#666666", wrap=True,
            )  # fmt: skip
        # Placed while the style holds.
        figure.canvas.draw()
    return figure


def rgb_array(figure: Figure) -> Pixels:
    """Return a figure as (H, W, 3) uint8 and give its memory back."""
    canvas = figure.canvas
    assert isinstance(canvas, FigureCanvasAgg)
    pixels = np.array(canvas.buffer_rgba())[:, :, :3]
    figure.clear()
    return np.ascontiguousarray(pixels)


def _heading(view: DayView) -> str:
    last = view.starts[-1] if len(view.starts) else view.now
    money = f"{view.profit.sum():,.0f} {view.scenario.site.currency}"
    return f"{view.title} · {last:%a %d %b %Y}, {view.zone.key} · profit {money}"

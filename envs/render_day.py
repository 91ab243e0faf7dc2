"""The picture of a day: prices, power, temperatures, events and money on one time axis.

Drawn with matplotlib's object interface alone: no global state, nothing left open.
"""

from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from gridhash.envs.action import ActionKind
from gridhash.envs.batched_site import BatchedSite, EpisodeRules
from gridhash.envs.day_view import DayView, view_day
from gridhash.envs.parameters import Floats
from gridhash.envs.play_record import PlayRecord
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
from gridhash.errors import DataError
from gridhash.units import SECONDS_PER_DAY

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
Act = Callable[[npt.NDArray[np.float32]], Floats]
Pixels = npt.NDArray[np.uint8]


def draw_day(
    scenario: Scenario,
    frame: pd.DataFrame,
    *,
    title: str,
    now: pd.Timestamp | None = None,
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
        draw_prices(axes.pop(0), view)
        if lanes:
            draw_events(axes.pop(0), view, lanes)
        power, heat, money = axes
        draw_power(power, view)
        draw_heat(heat, view)
        draw_money(money, view)
        for panel in figure.axes:
            mark_time(panel, view)
        money.set_xlabel(f"local time, {scenario.site.timezone}")
        figure.suptitle(_heading(view), x=0.01, ha="left", fontsize=13, fontweight="bold")
        if view.synthetic:
            figure.supxlabel(
                "synthetic, not measured: " + ", ".join(view.synthetic),
                x=0.01, ha="left", fontsize=8, color="#666666", wrap=True,
            )  # fmt: skip
        # Placed while the style holds.
        figure.canvas.draw()
    return figure


def png_bytes(figure: Figure) -> bytes:
    """Return a figure as PNG and give its memory back."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png")
    figure.clear()
    return buffer.getvalue()


def rgb_array(figure: Figure) -> Pixels:
    """Return a figure as (H, W, 3) uint8 and give its memory back."""
    canvas = figure.canvas
    assert isinstance(canvas, FigureCanvasAgg)
    pixels = np.array(canvas.buffer_rgba())[:, :, :3]
    figure.clear()
    return np.ascontiguousarray(pixels)


def day_picture(
    scenario: Scenario,
    act: Act,
    kind: ActionKind,
    day: pd.Timestamp,
    *,
    title: str,
    warm_up_days: int = 1,
) -> bytes:
    """Play a policy to a local day and through it, and return the picture of that day as PNG.

    Parameters
    ----------
    act
        Observation (1, F) to action (1, G), such as `Policy.act`.
    day
        Any instant of the day, with time zone.
    warm_up_days
        Played before from a fleet at rest, so that the day begins as it would in operation.

    Raises
    ------
    DataError
        If the data do not hold the day.
    """
    first = day.tz_convert(scenario.site.timezone).normalize()
    end = first + pd.DateOffset(days=1)
    row, last = scenario.row_at(first), scenario.row_at(end - pd.Timedelta(seconds=1)) + 1
    if row < scenario.first_row:
        raise DataError(
            f"{first:%Y-%m-%d} cannot be played: the first day that can starts at "
            f"{scenario.trace.starts[scenario.first_row]}"
        )
    before = max(row - warm_up_days * scenario.slots_per_day, scenario.first_row)
    days = (last - before) * scenario.trace.period_s / SECONDS_PER_DAY
    rules = EpisodeRules(
        episode_days=days, action_kind=kind, relative_reward=False, rows=(before, last)
    )
    sites = BatchedSite(scenario, 1, rules)
    sites.start_at(before)
    record = PlayRecord(scenario, (last - row) * scenario.steps_per_row)
    observation = sites.observe()
    for _ in range((last - before) * scenario.steps_per_row):
        observation = sites.step(act(observation)).observation
        record.keep(sites)
    return png_bytes(draw_day(scenario, record.frame(), title=title))


def _heading(view: DayView) -> str:
    last = view.starts[-1] if len(view.starts) else view.now
    money = f"{view.profit.sum():,.0f} {view.scenario.site.currency}"
    return f"{view.title} · {last:%a %d %b %Y} · profit {money}"

"""The picture of an explanation: merit order, and price and power around the instant."""

from io import BytesIO
from pathlib import Path

import matplotlib.dates as mdates
import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from gridhash.envs import columns as c
from gridhash.envs.day_view import price_scale, published_ahead
from gridhash.envs.render_day import STYLE
from gridhash.envs.render_panels import BLUE, GREEN, GREY, GROUPS, INK, ORANGE, VERMILION
from gridhash.errors import ConfigError
from gridhash.training.day_picture import check_picture_file
from gridhash.training.explain import Explanation
from gridhash.training.explain_text import binding, summary

SIZE_IN = (11.0, 8.2)
DPI = 100
HOURS_BEFORE = 18.0
NOTE_CHARS = 150


def write_explanation_picture(found: Explanation, path: Path) -> None:
    """Draw an explanation to `path`, in the format that its suffix says.

    Raises
    ------
    ConfigError
        If the path cannot be written to, see `day_picture.check_picture_file`.
    """
    check_picture_file(path)
    figure = draw_explanation(found)
    buffer = BytesIO()
    figure.savefig(buffer, format=path.suffix[1:].lower())
    figure.clear()
    try:
        path.write_bytes(buffer.getvalue())
    except OSError as err:
        raise ConfigError(f"{path}: cannot be written: {err.strerror}") from err


def draw_explanation(found: Explanation) -> Figure:
    """Return the figure."""
    with rc_context(STYLE):
        figure = Figure(figsize=SIZE_IN, dpi=DPI, layout="constrained", facecolor="white")
        FigureCanvasAgg(figure)
        order, price, power = figure.subplots(3, 1, height_ratios=[3.4, 2.2, 2.4])
        _draw_order(order, found)
        _draw_price(price, found)
        _draw_power(power, found)
        power.sharex(price)
        figure.suptitle(summary(found), x=0.01, ha="left", fontsize=10.5, fontweight="bold")
        figure.supxlabel(_short(binding(found)), x=0.01, ha="left", fontsize=9, color="#444444")
        figure.canvas.draw()
    return figure


def _short(text: str) -> str:
    return text if len(text) <= NOTE_CHARS else f"{text[: NOTE_CHARS - 1]}…"


def _draw_order(axes: Axes, found: Explanation) -> None:
    """Draw what energy costs by site power, and what the blocks of rigs earn of it."""
    scenario = found.scenario
    scale, unit = price_scale(scenario)
    demand = found.curve.demand
    total_kw = sum(block.site_kw for block in demand)
    end_kw = 1.12 * total_kw
    names = [group.name for group in scenario.site.groups]
    shadow = found.policy.shadow_per_kwh(scenario)
    left_kw, labelled = 0.0, set()
    low = min(0.0, *(segment.price_per_kwh * scale for segment in found.curve.supply))
    for block in demand:
        axes.bar(
            left_kw, (block.value_per_kwh * scale) - low, block.site_kw, bottom=low, align="edge",
            color=GROUPS[block.group % len(GROUPS)], alpha=0.30, edgecolor="white", linewidth=0.5,
            label=f"{names[block.group]} earns" if block.group not in labelled else None,
        )  # fmt: skip
        labelled.add(block.group)
        left_kw += block.site_kw
    if shadow is not None:
        worth = sorted(
            ((b.value_per_kwh - shadow[b.group], b.site_kw) for b in demand), reverse=True
        )
        edges = np.concatenate([[0.0], np.cumsum([kw for _, kw in worth])])
        values = np.array([value for value, _ in worth]) * scale
        axes.stairs(values, edges, baseline=None, color=BLUE, linewidth=1.8, linestyle="--",
                    label="worth to the policy: less shadow price")  # fmt: skip
    edges = np.array([0.0, *(min(s.end_kw, end_kw) for s in found.curve.supply)])
    prices = np.array([segment.price_per_kwh for segment in found.curve.supply]) * scale
    axes.stairs(prices, edges, baseline=None, color=INK, linewidth=2.2, label="energy costs")
    pue = scenario.params.pue_for_planning
    for choice, marker, colour, size in (
        (found.level_rule, "s", ORANGE, 9), (found.look_ahead, "^", GREEN, 9),
        (found.policy, "o", BLUE, 11),
    ):  # fmt: skip
        at_kw = float(choice.setpoint_kw.sum()) * pue
        axes.plot(
            at_kw, found.curve.price_at(max(at_kw - 1e-6, 0.0)) * scale, marker, color=colour,
            markersize=size, markeredgecolor="white", clip_on=False, zorder=5,
            label=f"{choice.name}: {choice.setpoint_kw.sum():,.0f} kW of rigs",
        )  # fmt: skip
    cap_kw, cap_name = found.cap
    if cap_kw * pue < end_kw:
        axes.axvline(cap_kw * pue, color=VERMILION, linewidth=1.2, linestyle=":", label=cap_name)
    axes.use_sticky_edges = False
    axes.margins(y=0.06)
    axes.set_xlim(0.0, end_kw)
    axes.set_title("Merit order at the instant: what a kW of the site costs and what it earns")
    axes.set_xlabel("power of the site, kW")
    axes.set_ylabel(f"{scenario.site.currency}/{unit}")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.02), borderaxespad=0.2)


def _draw_price(axes: Axes, found: Explanation) -> None:
    """Draw the all-in price before the instant and as published after it, with the break-even."""
    scenario, instant = found.scenario, found.instant
    scale, unit = price_scale(scenario)
    period = pd.Timedelta(seconds=scenario.trace.period_s)
    n_before = int(pd.Timedelta(hours=HOURS_BEFORE) / period)
    first = max(instant.row - n_before, 0)
    starts = scenario.trace.starts
    past = scenario.market[first : instant.row + 1, c.SEEN_ALL_IN] * scale
    axes.stairs(
        past, _dates(starts[first], period, len(past)), baseline=None, color=INK, linewidth=1.8,
        label="all-in",
    )  # fmt: skip
    ahead = published_ahead(scenario, instant.at) * scale
    ends = _dates(starts[instant.row], period, len(ahead))
    axes.stairs(
        ahead, ends, baseline=None, color=INK, linewidth=1.2, alpha=0.55,
        label="as known at the instant",
    )  # fmt: skip
    levels = sorted({round(outlook.value_per_kwh * scale, 9) for outlook in found.outlooks})
    for k, level in enumerate(levels):
        axes.axhline(
            level, color=GREEN, linewidth=1.4, linestyle="--",
            label="earned at full load" if k == 0 else None,
        )  # fmt: skip
    axes.set_title("All-in price around the instant")
    axes.set_ylabel(f"{scenario.site.currency}/{unit}")
    _mark(axes, found)


def _draw_power(axes: Axes, found: Explanation) -> None:
    """Draw setpoints by group as the policy played, and what each would set now."""
    scenario, at = found.scenario, found.instant.at
    frame = found.instant.frame
    frame = frame[frame.index >= at - pd.Timedelta(hours=HOURS_BEFORE)]
    step = pd.Timedelta(seconds=scenario.site.dispatch_interval_s)
    edges = _dates(pd.DatetimeIndex(frame.index)[0], step, len(frame))
    below = np.zeros(len(frame))
    for g, group in enumerate(scenario.site.groups):
        top = below + frame[f"setpoint_kw_{group.name}"].to_numpy(dtype=np.float64)
        axes.stairs(
            top, edges, baseline=below, fill=True, color=GROUPS[g % len(GROUPS)], alpha=0.75,
            label=group.name,
        )  # fmt: skip
        below = top
    now = mdates.date2num(at.to_pydatetime())
    for choice, marker, colour in (
        (found.level_rule, "s", ORANGE), (found.look_ahead, "^", GREEN), (found.policy, "o", BLUE),
    ):  # fmt: skip
        axes.plot(now, choice.setpoint_kw.sum(), marker, color=colour, markersize=8,
                  markeredgecolor="white", clip_on=False, zorder=5)  # fmt: skip
    axes.set_ylim(0.0, 1.08 * scenario.site.max_rig_kw)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.set_title("Rig power by group as the policy plays on; marks: what each would set now")
    axes.set_ylabel("kW")
    _mark(axes, found)


def _mark(axes: Axes, found: Explanation) -> None:
    at, zone = found.instant.at, found.instant.at.tz
    axes.axvline(mdates.date2num(at.to_pydatetime()), color=BLUE, linewidth=1.2, zorder=1)
    last = found.instant.frame.index[-1]
    axes.set_xlim(
        mdates.date2num((at - pd.Timedelta(hours=HOURS_BEFORE)).to_pydatetime()),
        mdates.date2num(last.to_pydatetime()),
    )
    axes.xaxis.set_major_locator(mdates.HourLocator(byhour=range(0, 24, 3), tz=zone))
    axes.xaxis.set_major_formatter(mdates.DateFormatter("%H:%M", tz=zone))
    axes.grid(True, color="#E6E6E6", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(axis="x", colors=GREY)
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.02), borderaxespad=0.2)


def _dates(
    start: pd.Timestamp, step: pd.Timedelta, n: int
) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    instants = pd.date_range(start, periods=n + 1, freq=step)
    return np.asarray(mdates.date2num(instants.to_pydatetime()), dtype=np.float64)

"""A description as a picture: duration curve, seasons and hours, every day, and the gaps."""

import warnings
from pathlib import Path

import matplotlib.dates as mdates
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib import colormaps, font_manager, rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Colormap
from matplotlib.figure import Figure

from gridhash.data.describe import (
    FLOOR_PER_KWH,
    Description,
    number,
    on_screen,
    quantity_name,
    subject,
)
from gridhash.data.runs import runs
from gridhash.errors import DataError
from gridhash.units import SECONDS_PER_HOUR

Values = npt.NDArray[np.float64]

INK, CURVE, MISSING, PRESENT = "#222222", "#2a5d8f", "#c1272d", "#c9d3dc"
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
MAX_GAP_ROWS = 6
_CURVE_QUANTILES = (0.005, 0.995)
_COLOUR_QUANTILES = (0.02, 0.98)
"""Curves and colours stop here, so that a few peaks do not flatten the rest."""

FONTS = ("DejaVu Sans", "Noto Sans CJK JP", "IPAexGothic", "Hiragino Sans", "Yu Gothic")
"""Fonts to draw with, as far as they are installed; matplotlib brings the first."""


def draw(description: Description, path: Path) -> None:
    """Write the picture; its suffix says the format, such as ``.png`` or ``.svg``.

    Raises
    ------
    DataError
        If matplotlib does not know the suffix or the file cannot be written.
    """
    figure = Figure(figsize=(13, 11), layout="constrained")
    canvas = FigureCanvasAgg(figure)
    if path.suffix.lstrip(".").lower() not in canvas.get_supported_filetypes():
        raise DataError(f"{path}: pictures are .png, .svg or .pdf; choose one of these suffixes")
    axes = figure.subplot_mosaic(
        [["duration", "season"], ["days", "days"], ["gaps", "gaps"]],
        height_ratios=[4, 4, _gap_rows(description) * 0.35 + 0.6],
    )
    index = description.frame.index
    figure.suptitle(
        f"{description.title}: {subject(description)}, {index[0]:%Y-%m-%d} … {index[-1]:%Y-%m-%d}",
        color=INK,
        fontsize=13,
    )
    _duration_curve(axes["duration"], description)
    if description.period_s is not None and description.period_s <= SECONDS_PER_HOUR:
        _month_and_hour(axes["season"], description)
        _every_day(axes["days"], description)
    else:
        _months(axes["season"], description)
        _over_time(axes["days"], description)
    _gaps(axes["gaps"], description)
    fonts = [font for font in FONTS if font in font_manager.get_font_names()]
    try:
        with rc_context({"font.sans-serif": fonts}), warnings.catch_warnings():
            # A name in Japanese is drawn as boxes where no font has its characters.
            warnings.filterwarnings("ignore", message="Glyph .* missing", category=UserWarning)
            figure.savefig(path, dpi=110)
    except OSError as err:
        raise DataError(f"{path}: cannot be written ({err})") from err


def _scaled(description: Description) -> Values:
    return description.values() * on_screen(description.detail.unit)[1]


def _label(description: Description) -> str:
    unit = on_screen(description.detail.unit)[0]
    return quantity_name(description.column) if unit == "1" else unit


def _duration_curve(axes: Axes, description: Description) -> None:
    values = _scaled(description)
    given = np.sort(values[~np.isnan(values)])[::-1]
    share = (np.arange(given.size) + 0.5) / given.size * 100
    low, high = (float(value) for value in np.quantile(given, _CURVE_QUANTILES))
    room = (high - min(low, 0.0)) * 0.05 or 1.0
    axes.plot(share, given, color=CURVE, linewidth=2)
    axes.fill_between(share, given, 0.0, color=CURVE, alpha=0.12, linewidth=0)
    axes.set_xlim(0, 100)
    axes.set_ylim(min(low, 0.0) - (room if low < 0 else 0.0), high + room)
    axes.axhline(0.0, color=INK, linewidth=0.8)
    axes.set_title("Duration curve", loc="left")
    axes.set_xlabel("share of time [%]")
    axes.set_ylabel(_label(description))
    axes.grid(alpha=0.25)
    detail = description.detail
    lines = [f"highest {number(float(given[0]))}, lowest {number(float(given[-1]))}"]
    if detail.share_at_floor_frac is not None:
        lines.append(f"≤ {FLOOR_PER_KWH}: {detail.share_at_floor_frac:.1%} of the time")
    if detail.share_negative_frac:
        lines.append(f"below 0: {detail.share_negative_frac:.1%} of the time")
    axes.text(
        0.97, 0.95, "\n".join(lines), transform=axes.transAxes, ha="right", va="top", color=INK
    )


def _month_and_hour(axes: Axes, description: Description) -> None:
    values, title, label = _seasonal(description)
    local = description.local()
    means = (
        pd.Series(values)
        .groupby([np.asarray(local.hour), np.asarray(local.month)])
        .mean()
        .unstack()
        .reindex(index=range(24), columns=range(1, 13))
    )
    mesh = axes.pcolormesh(
        np.arange(13) + 0.5, np.arange(25), means.to_numpy(), cmap=_colours(), rasterized=True
    )
    axes.set_xticks(range(1, 13), MONTHS)
    _hour_axis(axes, description)
    axes.set_title(title, loc="left")
    axes.figure.colorbar(mesh, ax=axes, label=label, pad=0.01)


def _months(axes: Axes, description: Description) -> None:
    means = pd.Series(_scaled(description)).groupby(np.asarray(description.local().month)).mean()
    axes.bar(means.index.to_numpy(), means.to_numpy(), color=CURVE)
    axes.set_xticks(range(1, 13), MONTHS)
    axes.set_ylabel(_label(description))
    axes.set_title("Mean by month", loc="left")


def _over_time(axes: Axes, description: Description) -> None:
    local = description.local().tz_localize(None)
    axes.step(local.to_pydatetime(), _scaled(description), where="post", color=CURVE, linewidth=1)
    axes.set_xlim(mdates.date2num(local[0]), mdates.date2num(local[-1]))
    _date_axis(axes)
    axes.set_ylabel(_label(description))
    axes.set_title("Over time", loc="left")
    axes.grid(alpha=0.25)


def _seasonal(description: Description) -> tuple[Values, str, str]:
    surplus = description.surplus()
    if surplus.shape[1] and float(np.nansum(surplus.to_numpy())) > 0:
        is_power = quantity_name(str(surplus.columns[0])).endswith("_kw")
        unit, factor = on_screen("kW") if is_power else ("share of nameplate", 1.0)
        powers = [name for name in surplus if "_kw" in str(name)] if is_power else []
        total = surplus[powers or list(surplus.columns[:1])].sum(axis=1, min_count=1)
        what = "curtailed solar and wind" if is_power else "surplus"
        return (
            total.to_numpy(dtype="float64") * factor,
            f"Mean {what} by month and hour",
            unit,
        )
    values = description.values()
    floor = description.detail.share_at_floor_frac
    if floor:
        at_floor = np.where(np.isnan(values), np.nan, (values <= FLOOR_PER_KWH) * 100.0)
        return at_floor, f"Price ≤ {FLOOR_PER_KWH} by month and hour", "share of time [%]"
    return _scaled(description), "Mean by month and hour", _label(description)


def _every_day(axes: Axes, description: Description) -> None:
    local = description.local()
    days = local.tz_localize(None).normalize()
    hours = (
        pd.Series(_scaled(description))
        .groupby([np.asarray(local.hour), np.asarray(days)])
        .mean()
        .unstack()
        .reindex(index=range(24), columns=pd.date_range(days[0], days[-1], freq="D"))
    )
    given = hours.to_numpy()
    low, high = (float(value) for value in np.nanquantile(given, _COLOUR_QUANTILES))
    first = mdates.date2num(hours.columns[0])
    mesh = axes.imshow(
        given,
        aspect="auto",
        origin="lower",
        extent=(first, first + given.shape[1], 0, 24),
        cmap=_colours(),
        vmin=low,
        vmax=high,
        interpolation="nearest",
    )
    _date_axis(axes)
    _hour_axis(axes, description)
    axes.set_title("Every hour of every day; grey is missing", loc="left")
    axes.figure.colorbar(mesh, ax=axes, label=_label(description), extend="both", pad=0.01)


def _gap_groups(description: Description) -> list[tuple[str, npt.NDArray[np.bool_]]]:
    """Return the columns by where they have no values; the one in detail first."""
    groups: list[tuple[list[str], npt.NDArray[np.bool_]]] = []
    names = [str(name) for name in description.frame.columns]
    for name in [description.column, *(name for name in names if name != description.column)]:
        missing = description.frame[name].isna().to_numpy()
        for members, other in groups:
            if np.array_equal(missing, other):
                members.append(name)
                break
        else:
            groups.append(([name], missing))
    return [
        (members[0] if len(members) == 1 else f"{members[0]}\nand {len(members) - 1} more", missing)
        for members, missing in groups
    ]


def _gap_rows(description: Description) -> int:
    return min(len(_gap_groups(description)), MAX_GAP_ROWS)


def _gaps(axes: Axes, description: Description) -> None:
    groups = _gap_groups(description)
    index = pd.DatetimeIndex(description.frame.index)
    begins = np.asarray(mdates.date2num(description.local().tz_localize(None)), dtype=np.float64)
    width = (description.period_s or 0) / 86400
    end = begins[-1] + width
    for row, (_, missing) in enumerate(groups[:MAX_GAP_ROWS]):
        axes.broken_barh([(begins[0], end - begins[0])], (row - 0.35, 0.7), color=PRESENT)
        bounds = np.r_[begins, end]
        bars = [(bounds[a], bounds[b] - bounds[a]) for a, b in runs(missing)]
        axes.broken_barh(bars, (row - 0.35, 0.7), color=MISSING, edgecolor=MISSING, linewidth=1)
    more = len(groups) - MAX_GAP_ROWS
    tail = f"; {more} more sets of gaps are not drawn" if more > 0 else ""
    has_gaps = any(missing.any() for _, missing in groups)
    head = "Gaps (red) in" if has_gaps else "No gap in"
    axes.set_title(f"{head} {len(index):,} rows{tail}", loc="left")
    axes.set_yticks(
        range(min(len(groups), MAX_GAP_ROWS)), [name for name, _ in groups][:MAX_GAP_ROWS]
    )
    axes.set_ylim(min(len(groups), MAX_GAP_ROWS) - 0.5, -0.5)
    axes.set_xlim(begins[0], end)
    _date_axis(axes)


def _date_axis(axes: Axes) -> None:
    locator = mdates.AutoDateLocator(maxticks=12)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(mdates.ConciseDateFormatter(locator))


def _hour_axis(axes: Axes, description: Description) -> None:
    axes.set_ylim(0, 24)
    axes.set_yticks(range(0, 25, 4))
    axes.set_ylabel(f"hour ({description.timezone})")


def _colours() -> Colormap:
    return colormaps["viridis"].with_extremes(bad="#d9d9d9")

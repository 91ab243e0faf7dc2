"""Matplotlib figures as inline SVG: colours follow the page's light or dark scheme."""

import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gridhash.training.evaluate import ALWAYS_ON, PLANNER, RULE

INK, MUTED, FAINT = "#1c2430", "#5f6b7a", "#d3d8df"
FOCUS, RULE_COLOUR, PLANNER_COLOUR, ALWAYS_COLOUR = "#0067a5", "#c65102", "#00805e", "#a34f83"
MISSED, WARM = "#9a6b00", "#b3261e"

SCHEMES = {
    "ink": (INK, "#e8ebf0"),
    "muted": (MUTED, "#9aa6b5"),
    "faint": (FAINT, "#39424f"),
    "focus": (FOCUS, "#5cb8f2"),
    "rule": (RULE_COLOUR, "#f79a4b"),
    "planner": (PLANNER_COLOUR, "#3fcf9f"),
    "always": (ALWAYS_COLOUR, "#e09ac4"),
    "missed": (MISSED, "#e3b341"),
    "warm": (WARM, "#ff8a80"),
}
"""Colour of each role as (light, dark); the light ones are those that figures are drawn in.
Blue, vermilion, green and purple in the order of Okabe and Ito (2008), darkened for text."""

_STYLE = {
    "svg.fonttype": "none",
    "font.family": ["DejaVu Sans"],
    "text.parse_math": False,
    "axes.unicode_minus": True,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "axes.edgecolor": FAINT,
    "axes.labelcolor": MUTED,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": FAINT,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.major.size": 3.0,
    "ytick.major.size": 0.0,
    "lines.linewidth": 1.6,
    "lines.solid_joinstyle": "round",
    "lines.solid_capstyle": "round",
    "figure.constrained_layout.use": True,
    "image.composite_image": False,
}
_FONT = re.compile(r"'DejaVu Sans'[^;\"]*")
_ID = re.compile(r'\sid="([^"]*)"')
_COLOURS = re.compile("|".join(light for light, _ in SCHEMES.values()))
_ROLE = {light: f"var(--{role})" for role, (light, _) in SCHEMES.items()}


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How large a figure is drawn [inch, point]; one unit of the SVG is one point."""

    name: str
    width_in: float
    font_pt: float

    @property
    def narrow(self) -> bool:
        """Whether this is the form for a phone."""
        return self.name == "narrow"


LAYOUTS = (
    Layout(name="wide", width_in=10.4, font_pt=11.5),
    Layout(name="narrow", width_in=4.9, font_pt=11.0),
)


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One finding with its figure, as SVG for wide and for narrow screens."""

    key: str
    title: str
    caption: str
    wide: str
    narrow: str


Draw = Callable[[Figure, Layout], None]


def picture(
    key: str, draw: Draw, *, title: str, caption: str, heights_in: tuple[float, float]
) -> Picture:
    """Draw a figure in both layouts; `heights_in` is (wide, narrow)."""
    svgs = [
        _svg(key, draw, layout, height_in, title)
        for layout, height_in in zip(LAYOUTS, heights_in, strict=True)
    ]
    return Picture(key=key, title=title, caption=caption, wide=svgs[0], narrow=svgs[1])


def draw_figure(draw: Draw, layout: Layout, height_in: float) -> Figure:
    """Return the figure in one layout; to be called within `style(…)`."""
    figure = Figure(figsize=(layout.width_in, height_in))
    draw(figure, layout)
    return figure


def style(layout: Layout, salt: str) -> Any:
    """Return matplotlib settings of a layout; `salt` keeps ids of two figures apart.

    Untyped, since matplotlib types settings by the literal names of them all.
    """
    size = layout.font_pt
    sizes = {
        "font.size": size,
        "axes.titlesize": size,
        "axes.labelsize": size,
        "xtick.labelsize": size - 0.5,
        "ytick.labelsize": size - 0.5,
    }
    return _STYLE | sizes | {"svg.hashsalt": salt}


def _svg(key: str, draw: Draw, layout: Layout, height_in: float, title: str) -> str:
    buffer = io.StringIO()
    # None leaves the date out: the same evaluation gives the same bytes.
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with mpl.rc_context(style(layout, f"{key}-{layout.name}")):
        figure = draw_figure(draw, layout, height_in)
        figure.savefig(buffer, format="svg", metadata=nothing)
    return _inline(buffer.getvalue(), title)


def _inline(svg: str, title: str) -> str:
    """Return an SVG file as an element of a page: no headers, no unused ids, colours by role."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.S)
    head, body = svg.split(">", 1)
    box = re.search(r'viewBox="([^"]*)"', head)
    assert box is not None
    used = set(re.findall(r'(?:url\(#|href="#)([^)"]+)', body))
    body = _ID.sub(lambda match: match[0] if match[1] in used else "", body)
    body = _FONT.sub("var(--font)", body)
    body = _COLOURS.sub(lambda match: _ROLE[match[0]], body)
    label = title.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
    return f'<svg viewBox="{box[1]}" role="img" aria-label="{label}">{body.strip()}'


def colour_of(name: str, focus: str) -> str:
    """Return the colour of a policy: the same in every figure."""
    if name == focus:
        return FOCUS
    return {RULE: RULE_COLOUR, PLANNER: PLANNER_COLOUR, ALWAYS_ON: ALWAYS_COLOUR}.get(name, MUTED)


def label_ends(
    axes: Axes, labels: Sequence[tuple[float, str, str]], *, x: float = 1.0, gap: float = 0.085
) -> None:
    """Write (y, text, colour) beside the right edge, moved apart to at least `gap` of the height.

    Call it when the limits of the axes are final.
    """
    low, high = axes.get_ylim()
    places = [(min(max((y - low) / (high - low), 0.0), 1.0), text, c) for y, text, c in labels]
    places.sort(key=lambda place: place[0])
    heights = spread([place[0] for place in places], gap)
    for height, (_, text, colour) in zip(heights, places, strict=True):
        axes.annotate(
            text,
            xy=(x, height),
            xycoords="axes fraction",
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            color=colour,
            annotation_clip=False,
        )


def spread(heights: Sequence[float], gap: float) -> list[float]:
    """Return rising heights moved as little as needed so that neighbours lie `gap` apart.

    >>> [round(y, 2) for y in spread([0.5, 0.5, 0.9], 0.1)]
    [0.45, 0.55, 0.9]
    """
    clusters: list[tuple[float, int]] = []  # centre, members
    for height in heights:
        clusters.append((height, 1))
        while len(clusters) > 1:
            (low, n_low), (high, n_high) = clusters[-2:]
            if high - low >= gap * (n_low + n_high) / 2.0 - 1e-12:
                break
            n = n_low + n_high
            clusters[-2:] = [((low * n_low + high * n_high) / n, n)]
    return [centre + gap * (k - (n - 1) / 2.0) for centre, n in clusters for k in range(n)]

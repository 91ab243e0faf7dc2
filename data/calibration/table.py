"""Measured figures as tables for a terminal."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from gridhash.data.calibration.fits import Fit, Result
from gridhash.data.calibration.toml import plain


@dataclass(frozen=True)
class Line:
    """One parameter."""

    name: str
    """Its suffix is its unit."""
    configured: float
    result: Result


def group_table(title: str, lines: Sequence[Line], below: Sequence[str]) -> RenderableType:
    """Return the parameters of one group, and under them why some are not identified."""
    table = Table(
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=0,
        title=escape(title),
        title_justify="left",
        caption="* the value of the site file lies outside the interval",
        caption_justify="left",
    )
    table.add_column("parameter", no_wrap=True)
    for name in ("site file", "measured", "95 % interval", "rigs", "events", "readings", "rms"):
        table.add_column(name, justify="right", no_wrap=True)
    reasons: dict[str, list[str]] = {}
    for line in lines:
        if isinstance(line.result, Fit):
            table.add_row(*_cells(line, line.result))
        else:
            table.add_row(line.name, f"{line.configured:g}", "", "not identifiable")
            reasons.setdefault(line.result.why, []).append(line.name)
    texts = [f"{', '.join(names)}: {why}." for why, names in reasons.items()]
    return Group(table, *(Text(f"- {text}") for text in (*texts, *below)), Text(""))


def _cells(line: Line, fit: Fit) -> list[str]:
    own, residuals = fit.interval, fit.residuals
    outside = "" if own.low <= line.configured <= own.high else "*"
    return [
        line.name,
        f"{line.configured:g}{outside}",
        plain(own.value, own),
        f"{plain(own.low, own)} … {plain(own.high, own)}",
        str(fit.n_rigs),
        str(fit.n_events),
        str(fit.n_readings),
        "" if residuals is None else _rounded(residuals.rms, residuals.unit),
    ]


def _rounded(rms: float, unit: str) -> str:
    text = f"{rms:.2g}" if rms >= 1e-6 else "0"
    return f"{text} {unit}".removesuffix(" 1")

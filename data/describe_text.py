"""A description on the terminal: tables, and the duration curve in block characters."""

import numpy as np
import numpy.typing as npt
from rich import box
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from gridhash.data.describe import FLOOR_PER_KWH, Description, number, on_screen, subject

N_GAPS = 12
_BLOCKS = " ▁▂▃▄▅▆▇█"
_SHOWN_QUANTILES = (0.001, 0.99)


def print_description(description: Description, console: Console) -> None:
    """Print every table and the duration curve."""
    console.print(_heading(description))
    console.print(_columns(description))
    console.print(_detail(description))
    console.print(Text(f"\nDuration curve of {subject(description)}", style="bold"))
    console.print(
        Text(
            duration_sketch(
                description.values() * on_screen(description.detail.unit)[1],
                width=min(console.width - 14, 72),
            )
        ),
        soft_wrap=True,
    )
    console.print(_gaps(description))


def duration_sketch(values: npt.NDArray[np.float64], *, width: int = 64, height: int = 10) -> str:
    """Return the values from high to low over the share of time, in block characters.

    The scale runs from the 0.1 % quantile, or 0 if that is higher, to the 99 % quantile, so that
    a few peaks do not flatten the rest; the highest value is named.
    """
    given = np.sort(values[~np.isnan(values)])[::-1]
    low, high = (float(value) for value in np.quantile(given, _SHOWN_QUANTILES))
    low = min(low, 0.0)
    span = high - low if high > low else 1.0
    middles = ((np.arange(width) + 0.5) / width * given.size).astype(int)
    eighths = np.clip((given[middles] - low) / span, 0.0, 1.0) * height * 8
    lines = []
    for row in range(height - 1, -1, -1):
        level = low + span * (row + 1) / height
        label = f"{level:>10.4g}" if row in (height - 1, height // 2 - 1) else " " * 10
        cells = "".join(_BLOCKS[int(np.clip(value - row * 8, 0, 8))] for value in eighths)
        lines.append(f"{label} │{cells}")
    lines.append(f"{low:>10.4g} └{'─' * width}")
    marks = "0 %" + "50 %".center(width - 8) + "100 %"
    lines.append(f"{'':>11} {marks}")
    lines.append(f"{'':>11} share of time; highest {given[0]:.5g}, lowest {given[-1]:.5g}")
    return "\n".join(lines)


def _heading(description: Description) -> Text:
    index = description.frame.index
    step = "steps" if description.period_s is None else f"rows of {description.period_s} s"
    return Text.assemble(
        (description.title, "bold"),
        f"\n{index[0]:%Y-%m-%d %H:%M} … {index[-1]:%Y-%m-%d %H:%M} UTC, {len(index):,} {step}; "
        f"local time {description.timezone}",
    )


def _columns(description: Description) -> Table:
    table = _table("Columns")
    table.add_column("column", overflow="fold", min_width=22)
    table.add_column("unit", no_wrap=True)
    for name in ("missing", "mean", "sd", "min", "median", "max"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in description.columns:
        unit, factor = on_screen(one.unit)
        table.add_row(
            one.name,
            unit,
            f"{one.n_missing:,}" if one.n_missing else "–",
            *(number(value * factor) for value in (one.mean, one.sd, one.low, one.p50, one.high)),
        )
    return table


def _detail(description: Description) -> Group:
    table = _table(subject(description))
    table.add_column("statistic", no_wrap=True)
    table.add_column("value", justify="right")
    for name, value in _facts(description):
        table.add_row(name, value)
    if len(description.year_means) < 2:
        return Group(table)
    factor = on_screen(description.detail.unit)[1]
    years = _table(f"Mean by local year [{on_screen(description.detail.unit)[0]}]")
    for name in ("year", "mean", "of the year"):
        years.add_column(name, justify="right")
    for year, (mean, covered) in description.year_means.items():
        years.add_row(str(year), number(mean * factor), f"{covered:.0%}")
    return Group(table, years)


def _facts(description: Description) -> list[tuple[str, str]]:
    detail = description.detail
    factor = on_screen(detail.unit)[1]
    facts = [
        ("values", f"{detail.n_values:,}"),
        ("5 % … 95 %", f"{number(detail.p5 * factor)} … {number(detail.p95 * factor)}"),
    ]
    if detail.share_at_floor_frac is not None:
        facts.append((f"≤ {FLOOR_PER_KWH}", f"{detail.share_at_floor_frac:.1%} of the time"))
    facts.append(("below 0", f"{detail.share_negative_frac:.1%} of the time"))
    facts += [
        (f"autocorrelation {lag}", f"{value:.3f}")
        for lag, value in description.autocorrelations.items()
    ]
    runs = description.runs
    if runs is not None:
        lengths = f", mean {runs.mean_h:.1f} h, longest {runs.longest_h:.1f} h"
        facts.append((f"runs {runs.condition}", f"{runs.n_runs:,}{lengths if runs.n_runs else ''}"))
    return facts


def _gaps(description: Description) -> Table | Text:
    gaps = description.gaps
    if not gaps:
        return Text(f"\nNo gaps in {description.column}.")
    longest = sorted(gaps, key=lambda gap: gap.n_missing, reverse=True)[:N_GAPS]
    more = f"; the {N_GAPS} longest" if len(gaps) > N_GAPS else ""
    gap_s = "gap" if len(gaps) == 1 else "gaps"
    table = _table(f"{len(gaps):,} {gap_s} in {description.column}{more}")
    for name in ("from (UTC)", "to (UTC)", "values missing"):
        table.add_column(name, justify="right")
    for gap in sorted(longest, key=lambda gap: gap.start):
        table.add_row(
            f"{gap.start:%Y-%m-%d %H:%M}", f"{gap.end:%Y-%m-%d %H:%M}", f"{gap.n_missing:,}"
        )
    return table


def _table(title: str) -> Table:
    return Table(title=f"\n{title}", title_justify="left", box=box.SIMPLE, pad_edge=False)

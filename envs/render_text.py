"""The last day of a site as a panel of plain text, about 78 columns wide."""

import numpy as np
import numpy.typing as npt
import pandas as pd

from gridhash.envs.day_view import DayView, view_day
from gridhash.envs.scenario import Scenario

BLOCKS = "▁▂▃▄▅▆▇█"
BAR = 40
AHEAD = 48
"""Prices ahead that are drawn."""


def day_text(
    scenario: Scenario, frame: pd.DataFrame, *, title: str, now: pd.Timestamp | None = None
) -> str:
    """Return the panel of a table as `gridhash.envs.render_day.draw_day` takes it."""
    view = view_day(scenario, frame, title=title, now=now)
    currency = scenario.site.currency
    lines = [f"{view.title}  {view.now:%a %Y-%m-%d %H:%M %Z}"]
    if len(view.starts):
        lines.append(
            f"price    {view.price[-1]:.2f} market, {view.all_in[-1]:.2f} all-in, break-even "
            f"{view.break_even[-1]:.2f} {view.price_unit}"
        )
    if len(view.ahead):
        ahead = view.ahead[:AHEAD]
        hours = len(view.ahead) * scenario.trace.period_s / 3600.0
        lines.append(
            f"ahead    {sparkline(ahead)} {ahead.min():.2f} … {ahead.max():.2f} all-in; "
            f"{hours:g} h {'forecast' if view.ahead_is_forecast else 'known'}"
        )
    else:
        lines.append("ahead    no price is known")
    if not len(view.starts):
        return "\n".join([*lines, "nothing played yet"]) + "\n"
    lines += _power(view)
    tripped = "  TRIPPED" if view.tripped[-1] else ""
    lines.append(
        f"heat     chip {view.chip_c[-1]:.0f}, coolant {view.coolant_c[-1]:.0f}, outdoor "
        f"{view.outdoor_c[-1]:.0f} °C (trip {scenario.params.chip_trip_c.min():.0f}){tripped}"
    )
    last = len(view.starts)
    events = [event.label for event in view.events if event.end == last]
    lines.append(f"events   {', '.join(events) or 'none'}")
    today = view.starts >= view.starts[-1].normalize()
    parts = [
        f"{name.replace('_', ' ')} {amounts[today].sum():+,.0f}"
        for name, amounts in list(view.lines.items())[:3]
    ]
    lines.append(f"today    profit {view.profit[today].sum():+,.0f} {currency}: {', '.join(parts)}")
    if view.synthetic:
        lines.append(f"synthetic: {', '.join(view.synthetic)}")
    return "\n".join(lines) + "\n"


def sparkline(values: npt.NDArray[np.float64]) -> str:
    """Return values as a row of blocks, lowest to highest."""
    low, high = values.min(), values.max()
    if high <= low:
        return BLOCKS[0] * len(values)
    index = np.round((values - low) / (high - low) * (len(BLOCKS) - 1)).astype(int)
    return "".join(BLOCKS[k] for k in index)


def _power(view: DayView) -> list[str]:
    params = view.scenario.params
    full_kw = params.n_rigs * params.level_kw[:, -1]
    names = [group.name for group in view.scenario.site.groups]
    width = max(map(len, names))
    lines = []
    for g, name in enumerate(names):
        share = min(view.group_kw[-1, g] / full_kw[g], 1.0)
        bar = "█" * round(share * BAR)
        head = "power   " if g == 0 else "        "
        lines.append(f"{head} {name:<{width}} {bar:·<{BAR}} {view.group_kw[-1, g]:6,.0f} kW")
    total_kw = view.group_kw[-1].sum() + view.rest_kw[-1]
    offered = view.surplus_kw[-1] + view.pv_kw[-1]
    lines.append(
        f"         site {total_kw:,.0f} kW of {params.contract_power_kw:,.0f}; surplus and panels "
        f"{offered:,.0f} kW"
    )
    return lines

"""Reproduce a published annual table of Kyushu FY2023, then add the site's physics one by one.

The published row (always on, on/off at break-even, level rule, best hysteresis, day-ahead plan,
perfect foresight) was made by a half-hour model of a 4.5 MW site. The product plays the same year
with the preset `japan_pilot` under the idealisations that reproduce it; then the idealisations
are dropped one after the other until the preset itself is left. Writes
docs/results/annual_table.md. Needs real prices, which are not part of the repository.

    GRIDHASH_REFERENCE_DATA=... python scripts/annual_table.py
    python scripts/annual_table.py --prices spot_summary_2023.csv
"""

import argparse
import os
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from annual_table_cases import (
    IDEALISATIONS,
    ORACLE,
    PUBLISHED,
    PUBLISHED_STARTS,
    PUE,
    RATIOS,
    REFERENCE,
    RIG_W,
    WEATHER_SEED,
    Figures,
    Idealisation,
    annual_figures,
    bridge_steps,
    fiscal_year_prices,
    policies_of,
    site_with,
    year_of,
)
from rich.console import Console
from rich.table import Table

from gridhash.agents.bound import perfect_foresight_bound
from gridhash.agents.day_ahead_dp import DayAheadDP
from gridhash.agents.rules import BreakEvenOnOff, Hysteresis, LevelRule
from gridhash.agents.tuning import best_of
from gridhash.data.trace import Trace
from gridhash.envs.scenario import Scenario, build_scenario

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "results" / "annual_table.md"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of a table."""

    label: str
    figures: dict[str, Figures]
    tuned: Hysteresis

    @classmethod
    def of(cls, label: str, scenario: Scenario, console: Console) -> "Row":
        """Tune hysteresis in-sample, as published, and play every policy."""
        console.print(f"{label} …")
        tuned = best_of(scenario, year_of(scenario), Hysteresis, RATIOS)
        figures = annual_figures(scenario, policies_of(scenario, tuned))
        return cls(label=label, figures=figures, tuned=tuned)

    def cells(self) -> list[str]:
        """Return the profits as text [million JPY]."""
        return [f"{self.figures[name].profit_mjpy:.2f}" for name in PUBLISHED]


HEADINGS = ("always on", "on/off", "level rule", "hysteresis", "day-ahead DP", "foresight")


def comparison(row: Row) -> list[list[str]]:
    """Return published and reproduced figures, line by line."""
    lines = []
    for name, heading in zip(PUBLISHED, HEADINGS, strict=True):
        own, published = row.figures[name], PUBLISHED[name]
        starts = PUBLISHED_STARTS.get(name)
        off = own.profit_mjpy - published
        lines.append(
            [
                heading,
                f"{published:.1f}",
                f"{own.profit_mjpy:.2f}",
                f"{round(off, 2) + 0.0:+.2f}",
                f"{round(off / abs(published), 3) + 0.0:+.1%}",
                "" if starts is None else str(starts),
                f"{own.fleet_starts:.0f}",
            ]
        )
    return lines


def bridge_lines(rows: list[Row]) -> list[list[str]]:
    """Return the change of each policy at each step, between the first and the last profit."""
    lines = [[rows[0].label, *rows[0].cells()]]
    for before, after in pairwise(rows):
        changes = [
            after.figures[name].profit_mjpy - before.figures[name].profit_mjpy for name in PUBLISHED
        ]
        # No sign before what rounds to zero but that of zero.
        lines.append([f"+ {after.label}", *(f"{round(x, 2) + 0.0:+.2f}" for x in changes)])
    return [*lines, ["= preset japan_pilot, work levels", *rows[-1].cells()]]


def markdown(headings: list[str], lines: list[list[str]]) -> list[str]:
    """Return a table."""
    rows = [headings, ["---"] * len(headings), *lines]
    return ["| " + " | ".join(cells) + " |" for cells in rows]


def rich_table(title: str, headings: list[str], lines: list[list[str]]) -> Table:
    """Return the same for a terminal."""
    table = Table(title=title, title_justify="left")
    for k, heading in enumerate(headings):
        table.add_column(heading, justify="left" if k == 0 else "right")
    for cells in lines:
        table.add_row(*cells)
    return table


UNSAID = ((0.0, 0.0), (0.005, 0.0), (0.01, 0.0), (0.015, 0.0), (0.01, 10.0))
"""What the published model does not say: idle load per full power, start without hashes [s]."""
FITTED = (BreakEvenOnOff.name, LevelRule.name, ORACLE)


def unsaid_lines(trace: Trace) -> list[list[str]]:
    """Return what on/off, level rule and foresight earn by what the published model leaves open."""
    lines = [["published", "", *(f"{PUBLISHED[name]:.1f}" for name in FITTED)]]
    lines[0] += [str(starts) for starts in PUBLISHED_STARTS.values()]
    for idle_frac, warm_up_s in UNSAID:
        groups = {"standby_w": idle_frac * PUE * RIG_W, "warm_up_s": warm_up_s}
        site = site_with((*IDEALISATIONS, Idealisation(dropped="", groups=groups)))
        scenario = build_scenario(site, trace)
        wanted = [p for p in policies_of(scenario, Hysteresis(site)) if p.name in FITTED]
        own = annual_figures(scenario, wanted)
        profits = [f"{own[name].profit_mjpy:.2f}" for name in FITTED]
        starts = [f"{own[name].fleet_starts:.0f}" for name in PUBLISHED_STARTS]
        lines.append([f"{idle_frac:.1%}", f"{warm_up_s:g} s", *profits, *starts])
    return lines


def page(
    source: str,
    rows: list[Row],
    unsaid: list[list[str]],
    other_year: Row,
    bounds: tuple[float, float],
) -> str:
    """Return the results page."""
    first, last = rows[0], rows[-1]
    profit = {name: own.profit_mjpy for name, own in last.figures.items()}
    lines = [
        "# The annual table of Kyushu FY2023",
        "",
        "`GRIDHASH_REFERENCE_DATA=... python scripts/annual_table.py`, prices: "
        f"`{source}` (JEPX day-ahead, Kyushu, half-hours, FY2023; not part of the repository). "
        "Million JPY a year before fixed charges and depreciation; 38 USD/PH/day, 150 JPY per USD, "
        "JPY 5.5 per kWh on top of spot. All policies are those of `gridhash.agents`, played "
        "through the environment from a fleet at rest.",
        "",
        "## Reproduced",
        "",
        "*Published*: the project's own half-hour backtest (4.5 MW, levels 0.5 to 1.0, "
        "e(p)/e(1) = 0.751 + 0.248 p, JPY 5,000 per fleet start), made without this code. Here: "
        "`japan_pilot` with all idealisations of the next section.",
        "",
        *markdown(
            ["policy", "published", "here", "difference", "%", "starts published", "starts here"],
            comparison(first),
        ),
        "",
        f"Hysteresis is tuned in-sample, as published: start ratio {first.tuned.start_ratio:g}, "
        f"stop ratio {first.tuned.stop_ratio:g}. *Foresight* is the exact plan, played; the "
        f"certified bound of the linear program is {bounds[0]:.2f}, more by the free state at the "
        "start of each of its 28-day windows.",
        "",
        "What the published model does not say was found from its figures, not read in it. Always "
        "on fixes constant PUE 1.04, pool fee 2 % and no stale shares. The other figures need a "
        "load while the rigs stand; one number, 1 % of full power (circulation pumps, controls), "
        "brings on/off, level rule and foresight within 0.4 % at once. Without it they would lie "
        "7 to 10 % too high. The counts of starts hardly depend on it:",
        "",
        *markdown(
            [
                "idle load",
                "start without hashes",
                "on/off",
                "level rule",
                "foresight",
                "starts, rule",
                "starts, foresight",
            ],
            unsaid,
        ),
        "",
        "What remains is 0.1 to 0.2 million. Ten seconds without hashes per start would bring "
        "on/off and level rule to the printed digit, foresight not, so none is assumed. The "
        "curve of a rig group is 1 at nameplate, so 0.752 + 0.248 p stands for the "
        "published 0.751 + 0.248 p. The thresholds among which the published "
        "hysteresis was tuned are not known.",
        "",
        "## From there to the site",
        "",
        "Each line drops one idealisation and shows the change in million JPY a year; hysteresis "
        "is tuned anew on each. The steps depend on their order. Two of them are choices of the "
        "preset, not physics: the efficiency curve, which is its largest unknown, and the cost of "
        "a start.",
        "",
        *markdown(["step", *HEADINGS], bridge_lines(rows)),
        "",
        "The prices carry neither weather nor surplus, so the outdoor temperature is 17 °C until "
        f"the last step, which takes a **synthetic** Kyushu year (seed {WEATHER_SEED}), and no "
        "surplus is sold to the site. Dispatch every 5 min changes nothing by itself, as prices "
        "hold for half an hour and nothing else moves within one; for the same reason minimum "
        "times of half an hour and less never bind. Contract power and ramps leave room for all "
        "rigs. Always on gains most from fans and pumps by their laws: at 17 °C they take "
        "1.3 % of full rig power, not 4 %. On/off runs at nameplate, which no curve changes.",
        "",
        f"At the end hysteresis has the ratios {last.tuned.start_ratio:g} and "
        f"{last.tuned.stop_ratio:g}; the day-ahead DP earns "
        f"{profit[DayAheadDP.name] / bounds[1]:.2%} of the certified bound, {bounds[1]:.2f}, and "
        f"the level rule {profit[LevelRule.name] / bounds[1]:.2%}. *Foresight* is then a good plan "
        "and no longer exact: it reckons cooling by the planning PUE.",
        "",
        "## Another year",
        "",
        "FY2025 and later, which the published table also has, are not in the series at hand. "
        "FY2024 is, but was not published; the same idealised site earns:",
        "",
        *markdown(["", *HEADINGS], [[other_year.label, *other_year.cells()]]),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Play everything, print the tables and write the page."""
    parser = argparse.ArgumentParser(description="Reproduce the annual table of Kyushu FY2023.")
    parser.add_argument(
        "--prices",
        type=Path,
        help="prices of FY2023 and FY2024, default: $GRIDHASH_REFERENCE_DATA/" + str(REFERENCE),
    )
    options = parser.parse_args()
    folder = os.environ.get("GRIDHASH_REFERENCE_DATA")
    if options.prices is None and not folder:
        parser.error("give --prices FILE or set GRIDHASH_REFERENCE_DATA")
    path = options.prices or Path(str(folder)) / REFERENCE
    console, progress = Console(), Console(stderr=True)

    trace = fiscal_year_prices(path, 2023)
    steps = bridge_steps(trace, 2023)
    rows = [Row.of(label, scenario, progress) for label, scenario in steps]
    following = build_scenario(site_with(IDEALISATIONS), fiscal_year_prices(path, 2024))
    other_year = Row.of("Kyushu FY2024", following, progress)
    progress.print("bounds …")
    first, last = (perfect_foresight_bound(s, year_of(s)) for s in (steps[0][1], steps[-1][1]))
    unsaid = unsaid_lines(trace)

    console.print(
        rich_table(
            "Kyushu FY2023, million JPY a year",
            ["policy", "published", "here", "difference", "%", "starts published", "starts here"],
            comparison(rows[0]),
        )
    )
    console.print(rich_table("From there to the site", ["step", *HEADINGS], bridge_lines(rows)))
    PAGE.write_text(
        page(path.name, rows, unsaid, other_year, (first.value / 1e6, last.value / 1e6)),
        encoding="utf-8",
    )
    progress.print(f"wrote {PAGE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()

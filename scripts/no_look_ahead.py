"""What policies that see the present price alone make of real prices, beside those that see ahead.

Level rule, hysteresis and the stochastic dynamic program know nothing of prices to come but what
their training years taught; the day-ahead plan reads what is published. All play whole fiscal
years of Kyushu that none of them was tuned on, at the idealised site of `annual_table.py` under
three costs of a start and two adders. Writes docs/results/no_look_ahead.md. Needs real prices,
which are not part of the repository.

    GRIDHASH_REFERENCE_DATA=... python scripts/no_look_ahead.py
"""

import argparse
import os
from pathlib import Path

from annual_table_cases import (
    IDEALISATIONS,
    REFERENCE,
    ForesightPlan,
    Idealisation,
    fiscal_year_prices,
    site_with,
)
from rich.console import Console

from gridhash.agents.day_ahead_dp import DayAheadDP
from gridhash.agents.policy import Policy
from gridhash.agents.roster import tuned_policy
from gridhash.agents.rules import Hysteresis, LevelRule
from gridhash.agents.stochastic_dp import StochasticDP
from gridhash.agents.tuning import play_profits
from gridhash.data.trace import Trace
from gridhash.envs.scenario import Scenario, build_scenario

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "results" / "no_look_ahead.md"
TRAINING_YEARS = (2016, 2020)
TEST_YEARS = (2023, 2024)
ADDERS_PER_KWH = (5.5, 1.0)
START_COSTS = (5_000.0, 15_000.0, 40_000.0)
BLIND = (LevelRule.name, Hysteresis.name, StochasticDP.name)
SEEING = (DayAheadDP.name,)
PUBLISHED = {
    5.5: ("96 / 83 / 29", "98 / 94 / 81", "99 / 96 / 86", "100 / 100 / 99.6"),
    1.0: ("99.6 / 98 / 94", "99.8 / 99.4 / 98.5", "99.9 / 99.7 / 99.2", "100 / 100 / 100"),
}
"""Kyushu FY2025 by the project's own half-hour backtest, hysteresis tuned in-sample [%]."""


def scenario_of(trace: Trace, adders_per_kwh: float, start_cost: float) -> Scenario:
    """Return the idealised site on a trace."""
    case = Idealisation(dropped="", site={"start_cost_per_fleet_start": start_cost})
    site = site_with((*IDEALISATIONS, case))
    market = site.market.model_copy(update={"adders_per_kwh": adders_per_kwh})
    return build_scenario(site.model_copy(update={"market": market}), trace)


def rows_of(scenario: Scenario) -> tuple[int, int]:
    """Return all rows that can be played."""
    return scenario.first_row, scenario.n_rows


def shares(training: Scenario, tests: list[Scenario]) -> dict[str, list[float]]:
    """Return what each policy earns in each test year per plan with perfect foresight."""
    tuned: dict[str, Policy] = {}
    for name in (*BLIND, *SEEING):
        tuned[name] = tuned_policy(name, training, rows_of(training), tuned=tuned)
    earned: dict[str, list[float]] = {name: [] for name in (*BLIND, *SEEING)}
    for test in tests:
        rows = rows_of(test)
        best = play_profits(test, rows, ForesightPlan(test, rows), 1)[0]
        for name in earned:
            earned[name].append(float(play_profits(test, rows, tuned[name], 1)[0] / best))
    return earned


def page(results: dict[float, dict[float, dict[str, list[float]]]]) -> str:
    """Return the results page."""
    names = (*BLIND, *SEEING)
    lines = [
        "# Real prices without look-ahead",
        "",
        "`GRIDHASH_REFERENCE_DATA=... python scripts/no_look_ahead.py`: JEPX day-ahead prices of "
        "Kyushu in half-hours (not part of the repository), the idealised site of "
        "[annual_table.md](annual_table.md), 38 USD/PH/day. Rules are tuned and the chain of the "
        f"stochastic dynamic program is counted on FY{TRAINING_YEARS[0]} to "
        f"FY{TRAINING_YEARS[1]}. Profit of the year per plan with perfect foresight [%], for a "
        "fleet start of JPY 5,000 / 15,000 / 40,000.",
        "",
        "Level rule, hysteresis and stochastic DP see the present price alone, the day-ahead DP "
        "the published ones.",
        "",
        "| year | adders | level rule | tuned hysteresis | stochastic DP | day-ahead DP |",
        "|" + "---|" * 6,
    ]
    for k, year in enumerate(TEST_YEARS):
        for adders, by_cost in results.items():
            cells = [
                " / ".join(f"{100.0 * by_cost[cost][name][k]:.1f}" for cost in START_COSTS)
                for name in names
            ]
            lines.append(f"| FY{year} | {adders:g} | {' | '.join(cells)} |")
    for adders, published in PUBLISHED.items():
        lines.append(f"| *FY2025, published* | {adders:g} | {' | '.join(published)} |")
    lines += [
        "",
        "*Published*: the project's own half-hour backtest, its hysteresis tuned on the test year "
        "itself; FY2025 is not in the series at hand, so that years and figures differ and the "
        "order is what can be compared.",
        "",
        "Under adders of JPY 5.5 the order is the published one in both years. Under JPY 1.0, "
        "where the site runs nearly always and stops for rare spells, hysteresis stays ahead of "
        "the stochastic DP. What it lacks is years like those it meets: counted on FY2022 alone "
        "(default settings, JPY 15,000 per start; tried by hand, not by this script) it earns 99.7 "
        "and 99.5 % there.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Play everything and write the page."""
    parser = argparse.ArgumentParser(description="Judge policies without look-ahead on Kyushu.")
    parser.add_argument("--prices", type=Path, help="default: in $GRIDHASH_REFERENCE_DATA")
    options = parser.parse_args()
    folder = os.environ.get("GRIDHASH_REFERENCE_DATA")
    if options.prices is None and not folder:
        parser.error("give --prices FILE or set GRIDHASH_REFERENCE_DATA")
    path = options.prices or Path(str(folder)) / REFERENCE
    console = Console(stderr=True)
    first, last = TRAINING_YEARS
    past = fiscal_year_prices(path, first, n_years=last - first + 1)
    years = [fiscal_year_prices(path, year) for year in TEST_YEARS]
    results: dict[float, dict[float, dict[str, list[float]]]] = {}
    for adders in ADDERS_PER_KWH:
        results[adders] = {}
        for cost in START_COSTS:
            tests = [scenario_of(trace, adders, cost) for trace in years]
            results[adders][cost] = shares(scenario_of(past, adders, cost), tests)
            console.print(adders, cost, results[adders][cost])
    PAGE.write_text(page(results), encoding="utf-8")
    console.print(f"wrote {PAGE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()

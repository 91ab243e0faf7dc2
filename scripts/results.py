"""Play, tune, train and judge on held-out spans, in cells that can be resumed; then the page.

One cell is a scenario, a policy and a seed: a JSON file in docs/results/cells, keyed by what its
figures depend on, and not made again until that changes. Scenarios `@real` need the series that
GRIDHASH_REFERENCE_DATA names and are left out, with a word, where they are not at hand. Writes
docs/results/policies.md.

    make results
    python scripts/results.py --scenarios JapanPilot@real --policies learned --seeds 0 1
    python scripts/results.py --budget-minutes 30
    python scripts/results.py --page-only
"""

import argparse
import sys
from pathlib import Path

from rich.console import Console

from gridhash.training.make_results import SCENARIOS, SEEDS, Order, make_results, write_page

ROOT = Path(__file__).resolve().parent.parent
CELLS = ROOT / "docs" / "results" / "cells"
PAGE = ROOT / "docs" / "results" / "policies.md"
WORK = ROOT / "runs" / "results"


def main() -> int:
    """Make what is missing, then the page; 1 if something is not made."""
    parser = argparse.ArgumentParser(description="Judge policies on held-out spans.")
    parser.add_argument("--scenarios", nargs="+", default=list(SCENARIOS))
    parser.add_argument("--policies", nargs="+", help="default: all of the scenario's site")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    parser.add_argument("--budget-minutes", type=float, help="stop in order after this long")
    parser.add_argument("--page-only", action="store_true", help="make no cell")
    options = parser.parse_args()
    console = Console(stderr=True)
    if options.page_only:
        write_page(CELLS, PAGE, console)
        return 0
    order = Order(
        scenarios=options.scenarios,
        policies=options.policies,
        seeds=options.seeds,
        budget_s=None if options.budget_minutes is None else options.budget_minutes * 60.0,
    )
    is_whole = make_results(order, cells=CELLS, work=WORK, page_at=PAGE, console=console)
    return 0 if is_whole else 1


if __name__ == "__main__":
    sys.exit(main())

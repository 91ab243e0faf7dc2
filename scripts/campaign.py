"""Run the fault campaign: a controller against simulated rigs that misbehave, and the page.

One cell is a class of faults and a seed: a JSON file in docs/results/campaign, not made again
until the code that it depends on changes. Writes docs/results/campaign.md.

    make campaign
    python scripts/campaign.py --cases r3 --seeds 0
    python scripts/campaign.py --page-only
"""

import argparse
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from campaign_cases import CASES, Case, play
from rich.console import Console

from gridhash.training.code_hash import code_hash

ROOT = Path(__file__).resolve().parent.parent
CELLS = ROOT / "docs" / "results" / "campaign"
PAGE = ROOT / "docs" / "results" / "campaign.md"
PLAYING = (
    "gridhash.serving.controller",
    "gridhash.serving.drivers.registry",
    "gridhash.serving.history",
    "gridhash.serving.simulated_faults",
    "gridhash.serving.simulated_run",
)
INTRO = """# What happens when rigs misbehave

Made by `make campaign` (`python scripts/campaign.py`): for every class of faults a site of
simulated rigs that speak their real protocol on loopback addresses, at full power, which after
half an hour is told to stop. The clock is stepped: no simulated second passes while a call is
outstanding, so times to *verified* are those of rigs and controller, and *stop tick* is the wall
time of the tick that read all rigs, decided and told them to stop. Rigs tell 2 % less power than
they draw. Faults begin after four minutes and last.

*Violations* are commands without a prior intent, setpoints outside limits, minimum times broken
and claims that were not delivered. *Verified* is the share of the power of obeying rigs that was
proven by watts within 60 s of the command; *claimed* is what was claimed of the energy that truly
was not drawn; *alarmed* counts the faulty rigs with an alarm of their own, and sound rigs with
one. *Replay* is whether every decision comes out the same bits when made again.

† made by earlier code.
"""


def key_of(case: Case, seed: int) -> str:
    """Return what a cell's figures depend on, as a text."""
    return f"{code_hash(*PLAYING)} {case.n_rigs} {case.campaign(seed)}"


def path_of(case: Case, seed: int) -> Path:
    """Return where a cell is kept."""
    return CELLS / f"{case.name}-seed{seed}.json"


def read(case: Case, seed: int) -> dict[str, Any] | None:
    """Return a cell, if it is there."""
    path = path_of(case, seed)
    return json.loads(path.read_text("utf-8")) if path.exists() else None


def make(case: Case, seed: int, console: Console) -> None:
    """Play a case and write its cell."""
    with TemporaryDirectory() as name, console.status(case.name) as status:
        found = play(case, seed, Path(name), lambda text: status.update(text))
    cell = {
        "case": case.name,
        "seed": seed,
        "made_at": datetime.now(UTC).strftime("%Y-%m-%d"),
        "key": key_of(case, seed),
        **found,
    }
    CELLS.mkdir(parents=True, exist_ok=True)
    path_of(case, seed).write_text(json.dumps(cell, indent=1) + "\n", "utf-8")
    console.print(f"{case.name}-seed{seed}: {cell['n_violations']} violations", highlight=False)


def page(seeds: list[int]) -> str:
    """Return the page of all cells that there are."""
    lines = [
        INTRO,
        "| fault | seed | rigs | faulty | commands | violations | verified | p95 [s] | "
        "stop tick [s] | claimed | from faulty rigs [kWh] | alarmed, faulty | alarmed, sound | "
        "replay |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for case in CASES:
        for seed in seeds:
            cell = read(case, seed)
            if cell is None:
                continue
            old = "" if cell["key"] == key_of(case, seed) else " †"
            lines.append(
                f"| {case.title}{old} | {seed} | {cell['n_rigs']:,} | {cell['n_faulty']} | "
                f"{cell['n_commands']:,} | {cell['n_violations']} | {cell['verified_frac']:.1%} | "
                f"{_or_dash(cell['verified_p95_s'])} | {_or_dash(cell['stop_tick_s'])} | "
                f"{cell['claimed_frac']:.1%} | {cell['claimed_from_faulty_kwh']:.2f} | "
                f"{cell['n_faulty_with_alarm']} | {cell['n_sound_with_alarm']} | "
                f"{'the same' if cell['replayed_alike'] else 'differs'} |"
            )
    return "\n".join(lines) + "\n"


def _or_dash(value: float | None) -> str:
    return "–" if value is None else f"{value:g}"


def main() -> int:
    """Make what is missing, then the page."""
    parser = argparse.ArgumentParser(description="Run the fault campaign.")
    names = [case.name for case in CASES]
    parser.add_argument("--cases", nargs="+", choices=names, default=names, metavar="CASE")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--page-only", action="store_true", help="play nothing")
    options = parser.parse_args()
    console = Console(stderr=True)
    for seed in [] if options.page_only else options.seeds:
        for case in CASES:
            cell = read(case, seed)
            if case.name in options.cases and (cell is None or cell["key"] != key_of(case, seed)):
                make(case, seed, console)
    PAGE.write_text(page(options.seeds), "utf-8")
    console.print(f"wrote {PAGE}", highlight=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())

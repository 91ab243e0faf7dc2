"""Kill a controller at each of its failpoints, again and again, and look at what is left.

One cell is a failpoint: a JSON file in docs/results/kill with one entry per kill, so that a
campaign that breaks off is resumed. Writes docs/results/kill.md.

    make campaign
    python scripts/kill_campaign.py --kills 40 --at-once 6
    python scripts/kill_campaign.py --names intent.after_commit --kills 2
    python scripts/kill_campaign.py --page-only
"""

import argparse
import asyncio
import json
import random
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from kill_cases import World, kill_once, warm_up
from kill_check import judge
from rich.console import Console

from gridhash.serving.clock import RealClock
from gridhash.serving.failpoints import NAMES

ROOT = Path(__file__).resolve().parent.parent
CELLS = ROOT / "docs" / "results" / "kill"
PAGE = ROOT / "docs" / "results" / "kill.md"
ONCE = (
    "lease.locked",
    "lease.written",
    "lease.before_release",
    "start.before_run",
    "start.run_begun",
    "journal.before_close",
    "journal.after_close",
)
"""Places to which a run comes once."""

FEW = ("lease.before_record", "lease.after_record", "command.all_replied", "command.recorded")
FEW_MAX, OTHER_MAX = 2, 5
WITHIN_S = 10.0


def nth_of(name: str, number: int) -> int:
    """Return at which pass the kill of a number comes: drawn, by name and number."""
    most = 1 if name in ONCE else FEW_MAX if name in FEW else OTHER_MAX
    return random.Random(f"{name} {number}").randint(1, most)


async def try_once(name: str, number: int, base_address: str) -> dict[str, Any]:
    """Play one kill; a pass that the run does not come to is replaced by an earlier one."""
    nth = nth_of(name, number)
    while True:
        with TemporaryDirectory() as folder:
            world = World(folder=Path(folder), base_address=base_address, start=RealClock().now())
            fleet, found = await kill_once(world, f"{name}:{nth}")
            figures = judge(world, fleet, found["killed_at"])
        if figures["killed"] or nth == 1:
            return {"nth": nth, **figures}
        nth -= 1


def cell_of(name: str) -> dict[str, Any]:
    """Return the kills at a failpoint that were played, by number."""
    path = CELLS / f"{name}.json"
    return json.loads(path.read_text("utf-8")) if path.exists() else {"name": name, "kills": {}}


async def campaign(names: list[str], n_kills: int, at_once: int, console: Console) -> None:
    """Play what is missing, several sites at once, the first kill at each name first."""
    cells = {name: cell_of(name) for name in names}
    todo = [
        (name, number)
        for number in range(n_kills)
        for name in names
        if str(number) not in cells[name]["kills"]
    ]
    CELLS.mkdir(parents=True, exist_ok=True)

    async def work(slot: int) -> None:
        while todo:
            name, number = todo.pop(0)
            figures = await try_once(name, number, f"127.110.{slot}.1")
            cells[name]["kills"][str(number)] = figures
            text = json.dumps(cells[name], separators=(",", ":"), sort_keys=True)
            (CELLS / f"{name}.json").write_text(text.replace('},"', '},\n"') + "\n", "utf-8")
            bad = figures["violations"] or not figures["killed"]
            words = f"{len(todo)} left; {name} {number}: {figures['reconciled_s']} s"
            console.print(words, figures["violations"] if bad else "", highlight=False)

    await asyncio.gather(*(work(slot) for slot in range(at_once)))


INTRO = """# Figures: a controller that is killed

Made by `make campaign` (`python scripts/kill_campaign.py`): a controller in a process of its own
commands eight simulated rigs over loopback on real time, by orders that change every two seconds,
and is killed (SIGKILL) at a [failpoint](../../serving/failpoints.py); a new process goes on at once
on the same state folder. Judged over the journal of both processes and what the rigs received.

*Lost* are commands that a rig received without a durable intent before it, *duplicated* those that
it received twice under one intent; *told again* are commands that the new process repeated, with
an intent of their own, before watts had shown the first (they are absolute and harmless).
*Violations* add minimum times, starts beyond the order in force, setpoints above the cap, claims of
more than was not drawn, intents under an old lease, decisions that replay differently and damage to
the journal's file. *Reconciled* is from the kill to the first tick of the new process at which
watts show every rig as decided, with nothing under way: its own start is in it, the interpreter's
imports (about 2 s) are not, because the process is forked from one that has them.
"""


def page() -> str:
    """Return the page of all kills that were played."""
    lines = [
        INTRO,
        "| killed at | where that is | kills | lost | duplicated | told again | violations | "
        "reconciled, median [s] | longest [s] |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    total: list[dict[str, Any]] = []
    for name, words in NAMES.items():
        kills = [one for one in cell_of(name)["kills"].values() if one["killed"]]
        if kills:
            total += kills
            lines.append(_row(f"`{name}`", words, kills))
    if total:
        lines.append(_row("**all**", "", total))
    return "\n".join(lines) + "\n"


def _row(name: str, words: str, kills: list[dict[str, Any]]) -> str:
    times = sorted(one["reconciled_s"] for one in kills if one["reconciled_s"] is not None)
    sums = [sum(one[key] for one in kills) for key in ("n_lost", "n_duplicated", "n_told_again")]
    sums.append(sum(len(one["violations"]) for one in kills))
    cells = " | ".join(str(number) for number in sums)
    seconds = f"{times[len(times) // 2]:.1f} | {times[-1]:.1f}" if times else "– | –"
    never = f" ({len(kills) - len(times)} never)" if len(times) < len(kills) else ""
    return f"| {name} | {words} | {len(kills)} | {cells} | {seconds}{never} |"


def main() -> int:
    """Play what is missing, then write the page; 1 if a kill left a fault."""
    parser = argparse.ArgumentParser(description="Kill a controller at its failpoints.")
    parser.add_argument("--names", nargs="+", choices=list(NAMES), default=list(NAMES))
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--at-once", type=int, default=6, help="sites that run at the same time")
    parser.add_argument("--page-only", action="store_true", help="kill nothing")
    options = parser.parse_args()
    if not options.page_only:
        warm_up()
        asyncio.run(campaign(options.names, options.kills, options.at_once, Console(stderr=True)))
    PAGE.write_text(page(), "utf-8")
    kills = [one for name in NAMES for one in cell_of(name)["kills"].values()]
    late = [one for one in kills if one["killed"] and (one["reconciled_s"] or 1e9) > WITHIN_S]
    return 1 if late or any(one["violations"] for one in kills) else 0


if __name__ == "__main__":
    sys.exit(main())

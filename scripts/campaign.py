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

Made by `make campaign` (`python scripts/campaign.py --seeds 0`): for every class of faults a site
of simulated rigs that speak their real protocol on loopback addresses, at full power, which at
00:30 is told to stop and judged for a quarter of an hour. Sites of 100 rigs begin ten minutes
before, those of 1,000 half an hour. The clock is stepped: no simulated second passes while a call
is outstanding, so times to *verified* are those of rigs and controller, and *stop tick* is the wall
time of the tick that read all rigs, decided and told them to stop, on a machine that did other
things too. Rigs tell 2 % less power than they draw. Faults begin after four minutes and last.

*I1–I7* counts broken promises by `gridhash.serving.invariants`, from the journal and the world's
own log: power within the envelope, minimum times, claims, prior intents, leases, obligations,
lockout and stop. No lease, obligation, lockout or stop-all is in these runs, so I5, I6 and I7
hold of themselves here: doctored journals and worlds try them (`tests/serving/test_invariants.py`).
*Verified* is the share of the power of obeying rigs that was proven by watts within 60 s of the
command; *claimed* is what was claimed of the energy that truly was not drawn, *of provable* of what
rigs whose readings are neither frozen nor NaN did not draw; *alarmed* counts faulty rigs with an
alarm of their own, and sound rigs with one; *after* is the time of the last of them, from the fault
or, if it shows only then, from the command to stop. *For all* are alarms of a common cause: how
many, and when the first came. *Replay* is whether every decision comes out the same bits when made
again.

† made by earlier code.
"""


INPUTS = """## Damaged inputs

`python scripts/campaign_inputs.py --seed {seed}`: prices, signals and rig telemetry at the door of
the site. Of {bad:,} bad ones {bad_passed} passed, of {good:,} good ones {good_refused} were
refused, and {errors} errors got out. What passes the door is all that a decision sees; that each
good one leads to an action is not measured here."""
FALLS_SHORT = """## What falls short, and why

- *Claimed below 98 % of the true reduction* where rigs repeat old telemetry: they obey and stand,
  and none of their readings will ever show it. Without a meter nothing proves that reduction, so
  nothing of it is claimed. With 1,000 rigs the ten of them are 1.6 % of what fell, the difference
  between 98.9 and 97.3 %. Of what readings can prove, 98.9 % is claimed; the rest is the time
  from a stop to the first reading that shows it.
- *Claimed 95 to 97 %* where half of the replies are lost or broken: a rig that does not answer
  ends its claim, which begins anew with the next reading that shows it standing. What it drew
  between is not known.
- *Verified 90 %* where rigs ignore stop or repeat old telemetry: the figure counts these rigs
  among those that obey, since they obey all else.
- *Alarms later than 60 s*: where replies are lost by chance, the last of ten rigs had none until
  enough were lost in a row, after 224 s; a rig with old telemetry is told by its disobedience
  alone, after the first command (here at the half hour, 420 s after its fault began); rigs that
  come back after a power cut raise their common alarm once they have booted, two and a half
  minutes after power is back; that they were gone was told after 4 s.
- *Load without revenue* comes once for each of the four groups, and with it *rigs fell together*:
  two kinds of alarm for one cause. So also for rigs stopped by hand and rebooting rigs.
- Cells with † were made before the code last changed, and those with *by commands alone* before
  the promises were checked by the world's log. Not played here: a frozen controller (the guard
  has tests of its own), clocks set back or forth, floods of events, faulty servers of events, a
  full disk, upgrades under load, tracking and drills; nor a partition of an hour, nor a slow
  policy; of the classes above, rigs that take 3 s for every command, if they have no row.
- A cell of 100 rigs took 30 to 170 s on a busy machine; all without the two of 1,000 rigs have
  not been timed on an idle one."""


def key_of(case: Case, seed: int) -> str:
    """Return what a cell's figures depend on, as a text."""
    return f"{code_hash(*PLAYING)} {case.n_rigs} {case.full_min} {case.campaign(seed)}"


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
        "| fault | seed | rigs | faulty | commands | I1–I7 | verified | p95 [s] | stop tick [s] | "
        "claimed | of provable | alarmed, faulty | after [s] | for all | alarmed, sound | replay |",
        "|" + "---|" * 16,
    ]
    for case in CASES:
        for seed in seeds:
            cell = read(case, seed)
            if cell is None:
                continue
            old = "" if cell["key"] == key_of(case, seed) else " †"
            broken = cell["n_violations"] + len(cell.get("broken", ()))
            checked = f"{broken}" if "broken" in cell else f"{broken} (by commands alone)"
            provable = cell.get("claimed_of_provable_frac")
            lines.append(
                f"| {case.title}{old} | {seed} | {cell['n_rigs']:,} | {cell['n_faulty']} | "
                f"{cell['n_commands']:,} | {checked} | {cell['verified_frac']:.1%} | "
                f"{_or_dash(cell['verified_p95_s'])} | {_or_dash(cell['stop_tick_s'])} | "
                f"{cell['claimed_frac']:.1%} | {'–' if provable is None else f'{provable:.1%}'} | "
                f"{cell['n_faulty_with_alarm']} | {_or_dash(cell.get('rig_alarm_after_s'))} | "
                f"{_of_all(cell.get('site_alarms', {}))} | {cell['n_sound_with_alarm']} | "
                f"{'the same' if cell['replayed_alike'] else 'differs'} |"
            )
    inputs = json.loads((CELLS / "inputs-seed0.json").read_text("utf-8"))
    lines += ["", INPUTS.format(**inputs), "", FALLS_SHORT]
    return "\n".join(lines) + "\n"


def _of_all(alarms: dict[str, list[float]]) -> str:
    told = [f"{kind}: {n:g}, {after_s:g} s" for kind, (n, after_s) in alarms.items()]
    return "; ".join(told) or "–"


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

"""Makes the result cells that are missing or out of date, one after the other, and the page."""

import _thread
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Timer

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from gridhash.agents.roster import PLANNERS
from gridhash.errors import GridhashError
from gridhash.training.cell_keys import PLAIN_CASES, is_current, policies_of
from gridhash.training.cell_maker import CellMaker
from gridhash.training.cells import LEARNED, CellId, read_cells
from gridhash.training.results_page import page

REAL = (
    "SpotJapan@real",
    "SpotTokyo@real",
    "DayAheadEurope@real",
    "JapanPilot@real",
    "SolarSurplus@real",
    "MixedFleet@real",
    "RealTimeErcot@real",
    "RealTimeErcotCurrent@real",
    "RealTimeNem@real",
    "RealTimeNemCurrent@real",
    "BasePoint@real",
)
SCENARIOS = (*REAL, "RealTimeErcot", "BasePoint", *PLAIN_CASES)
"""What is judged if nothing is said: on synthetic years too coincident peaks, which these have, and
base points, which are drawn in any case."""
SEEDS = (0, 1, 2, 3, 4)


@dataclass(frozen=True, kw_only=True)
class Order:
    """What to make; None means all."""

    scenarios: Sequence[str] = SCENARIOS
    policies: Sequence[str] | None = None
    seeds: Sequence[int] = SEEDS
    budget_s: float | None = None
    """Stop in order after this long; what is unfinished is gone on with by the next call."""


def make_results(order: Order, *, cells: Path, work: Path, page_at: Path, console: Console) -> bool:
    """Make what is missing, then the page; return whether all of the order is made.

    Baselines of every scenario come first, learned policies last. What fails is said and left
    out; Ctrl-C, a kill or the end of the budget loses at most a minute of work. Several
    processes may work at once: a cell that another makes is left to it.
    """
    interrupt = Timer(order.budget_s or 0.0, _thread.interrupt_main)
    interrupt.daemon = True
    # A shell starts what runs in the background deaf to interrupts, the budget's among them.
    before = {
        number: signal.signal(number, signal.default_int_handler)
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    if order.budget_s is not None:
        interrupt.start()
    failed = False
    try:
        for learns in (False, True):
            for scenario in order.scenarios:
                failed |= not _make_scenario(scenario, order, learns, cells, work, console)
    except KeyboardInterrupt:
        console.print("Stopped in order; the same command goes on from here")
        failed = True
    finally:
        interrupt.cancel()
        for number, handler in before.items():
            signal.signal(number, handler)
    write_page(cells, page_at, console)
    return not failed


def _make_scenario(
    scenario: str, order: Order, learns: bool, cells: Path, work: Path, console: Console
) -> bool:
    """Make the baselines of a scenario, or its learned policies; return whether none failed."""
    try:
        wanted = [one for one in wanted_cells(scenario, order) if (one.policy == LEARNED) == learns]
        missing = [one for one in wanted if not is_current(one, cells)]
        if not missing:
            return True
        maker = CellMaker(scenario, folder=cells, work=work, console=console)
    except GridhashError as err:
        console.print(f"{scenario}: {err}", markup=False)
        return False
    is_whole = True
    for cell_id in missing:
        try:
            if not is_current(cell_id, cells):  # another process may have made it meanwhile
                _make_one(maker, cell_id, console)
        except GridhashError as err:
            console.print(f"{cell_id.stem}: {err}", markup=False)
            is_whole = False
    return is_whole


def wanted_cells(scenario: str, order: Order) -> list[CellId]:
    """Return the cells that an order asks of a scenario, in the order in which they are made.

    Raises
    ------
    GridhashError
        If there is no such scenario.
    """
    names = policies_of(scenario)
    if order.policies is not None:
        known = dict.fromkeys([*names, *PLANNERS])
        names = [name for name in known if name in order.policies]
    return [
        CellId(scenario=scenario, policy=name, seed=seed)
        for name in names
        for seed in (order.seeds if name == LEARNED else (0,))
    ]


def _make_one(maker: CellMaker, cell_id: CellId, console: Console) -> None:
    started = time.perf_counter()
    if cell_id.policy == LEARNED:  # training has a display of its own
        console.print(f"{cell_id.stem} …")
        maker.make(cell_id)
    else:
        with Bar(
            TextColumn(f"{cell_id.stem}  {{task.description}}"),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        ) as bar:
            task = bar.add_task("tuning", total=None)

            def show(what: str, done: int, total: int) -> None:
                bar.update(task, description=what, completed=done, total=total)

            maker.make(cell_id, progress=show)
    console.print(f"{cell_id.stem}  {time.perf_counter() - started:,.0f} s", highlight=False)


def write_page(cells: Path, page_at: Path, console: Console) -> None:
    """Write the page of all cells that there are, those out of date marked."""
    found = read_cells(cells)
    old = {cell.id.stem for cell in found if not _is_known_current(cell.id, cells)}
    ranks = {name: k for k, name in enumerate(SCENARIOS)}
    found.sort(key=lambda cell: (ranks.get(cell.id.scenario, len(ranks)), cell.id.stem))
    page_at.write_text(page(found, old), encoding="utf-8")
    console.print(f"wrote {page_at}", highlight=False, soft_wrap=True)


def _is_known_current(cell_id: CellId, cells: Path) -> bool:
    """Return whether a cell is up to date; no where its policy, scenario or series is not here."""
    try:
        return is_current(cell_id, cells)
    except GridhashError:
        return False

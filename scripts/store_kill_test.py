"""Kill a process that writes to the store, again and again, and look at what is left.

A child appends tables, revises, adds columns and replaces a trace without pause, and says after
each action that it is done. The parent kills it (SIGKILL) at a random instant, then compares the
store with what the actions must have made: all that were acknowledged, and of the one under way
everything or nothing. It then verifies the store and goes on with a new child. SIGKILL says
nothing about power cuts: against those stand the fsync calls, which this cannot test.

    python scripts/store_kill_test.py                       200 kills
    python scripts/store_kill_test.py --kills 8 --seed 1 --json
"""

import argparse
import json
import multiprocessing
import random
import signal
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pandas as pd

from gridhash.data.source_table import Origin, SourceTable
from gridhash.data.store.store import Store
from gridhash.data.store.verify import verify
from gridhash.data.trace import Trace
from gridhash.errors import DataError
from gridhash.time_grid import grid

DATASETS = ("area-kyushu", "area-tokyo", "jepx-spot")
FIRST = pd.Timestamp("2023-12-01T00:00Z")
DAYS = 4
PERIOD_S = 1800
NOW = datetime(2026, 1, 1, tzinfo=UTC)
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["gridhash.data.store.verify"])
MAX_FIRST = 6
"""Most actions that a child acknowledges before its last one."""
READY = -1


@dataclass
class Counts:
    """What the kills left.

    Attributes
    ----------
    n_actions
        Actions committed by children.
    n_unacknowledged
        Kills between a commit and its acknowledgement: the action is there, wholly.
    n_leftovers
        Kills that left files which do not count; the store removed them.
    n_lost, n_half, n_unverified
        Kills after which an acknowledged action was missing, the store was neither as before nor
        as after the action under way, or verification found a fault.
    """

    n_kills: int = 0
    n_actions: int = 0
    n_unacknowledged: int = 0
    n_leftovers: int = 0
    n_lost: int = 0
    n_half: int = 0
    n_unverified: int = 0
    faults: list[str] = field(default_factory=list)


@dataclass
class Content:
    """What a store must hold."""

    frames: dict[str, pd.DataFrame] = field(default_factory=dict)
    n_revisions: int = 0
    trace_price: float | None = None

    def after(self, number: int) -> "Content":
        """Return what it must hold after one more action."""
        if is_trace(number):
            return Content(self.frames, self.n_revisions, float(number))
        made = table(number)
        old = self.frames.get(made.dataset)
        new = made.frame if old is None else made.frame.combine_first(old)
        columns = list(made.columns if old is None else dict.fromkeys([*old, *made.columns]))
        return Content(
            {**self.frames, made.dataset: new[columns]},
            self.n_revisions + is_revision(number),
            self.trace_price,
        )

    def is_in(self, store: Store) -> bool:
        """Return whether the store holds exactly this."""
        if store.names() != sorted(self.frames):
            return False
        n_revisions = sum(len(store.info(name).revisions) for name in store.names())
        prices = {store.load_trace(n).column("price_per_kwh")[-1] for n in store.trace_names()}
        return (
            n_revisions == self.n_revisions
            and prices == ({self.trace_price} if self.trace_price is not None else set())
            and all(_same(store.read(name).frame, frame) for name, frame in self.frames.items())
        )


def _same(one: pd.DataFrame, other: pd.DataFrame) -> bool:
    return (
        list(one) == list(other)
        and one.index.equals(other.index)
        and np.array_equal(one.to_numpy(), other.to_numpy(), equal_nan=True)
    )


def is_trace(number: int) -> bool:
    """Return whether an action replaces the trace."""
    return number % 7 == 6


def is_revision(number: int) -> bool:
    """Return whether an action publishes the rows of the action three before it anew."""
    return number % 5 == 4 and number >= 3 and not is_trace(number) and not is_trace(number - 3)


def table(number: int) -> SourceTable:
    """Return the table of an action; spans of four days, some across the turn of a year."""
    span = number - 3 if is_revision(number) else number
    start = FIRST + pd.Timedelta(days=DAYS * (span // len(DATASETS)))
    index = grid(start, start + pd.Timedelta(days=DAYS), PERIOD_S)
    random_numbers = np.random.default_rng(number)
    columns = ["price_per_kwh@kyushu", "demand_kw@kyushu"]
    if span % 4 == 3:
        columns.append("solar_kw@kyushu")
    return SourceTable(
        dataset=DATASETS[span % len(DATASETS)],
        frame=pd.DataFrame(
            {name: random_numbers.uniform(1, 50, len(index)) for name in columns}, index=index
        ),
        period_s=PERIOD_S,
        currency="JPY",
        origins=(Origin("own", f"{number}.csv", f"{number:064x}"),),
        available_at=dict.fromkeys(columns, index + pd.Timedelta(seconds=PERIOD_S)),
    )


def act(store: Store, number: int) -> None:
    """Do an action."""
    if not is_trace(number):
        store.append(table(number), imported_at=NOW, revise=is_revision(number))
        return
    index = grid(FIRST, FIRST + pd.Timedelta(days=10), PERIOD_S)
    trace = Trace.from_prices(
        index,
        np.r_[np.full(len(index) - 1, 10.0), number],
        published_at=index,
        period_s=PERIOD_S,
        currency="JPY",
        area="kyushu",
        source="synthetic",
    )
    store.save_trace("trace", trace, replace=True)


def act_until_killed(folder: Path, number: int, acknowledge: Connection) -> None:
    """Act without pause, and say so after each action."""
    store = Store(folder)
    acknowledge.send(READY)
    while True:
        act(store, number)
        acknowledge.send(number)
        number += 1


def campaign(folder: Path, *, n_kills: int, seed: int) -> Counts:
    """Kill children until there were `n_kills`; the store grows from one to the next."""
    instants = random.Random(seed)
    counts, content, store, number = Counts(), Content(), Store(folder), 0
    while counts.n_kills < n_kills:
        acknowledged = _run_and_kill(folder, number, instants)
        counts.n_kills += 1
        earlier = []
        for done in range(number, number + acknowledged):
            earlier.append(content)
            content = content.after(done)
        number += acknowledged
        counts.n_actions += acknowledged
        further = content.after(number)
        try:
            if further.is_in(store):
                content, number = further, number + 1
                counts.n_unacknowledged += 1
                counts.n_actions += 1
            elif not content.is_in(store):
                is_lost = any(one.is_in(store) for one in earlier)
                counts.n_lost += is_lost
                counts.n_half += not is_lost
                counts.faults.append(f"kill {counts.n_kills}, action {number}: other content")
                return counts
        except DataError as err:
            counts.n_half += 1
            counts.faults.append(f"kill {counts.n_kills}, action {number}: {err}")
            return counts
        problems = verify(store)
        counts.n_leftovers += any(problem.is_mended for problem in problems)
        faults = [str(problem) for problem in problems if not problem.is_mended]
        faults += [str(problem) for problem in verify(store)]
        counts.n_unverified += bool(faults)
        counts.faults += faults
    return counts


def _run_and_kill(folder: Path, number: int, instants: random.Random) -> int:
    """Return how many actions a child acknowledged before it was killed.

    It is killed within one and a half actions after the first few: by the clock alone, a busy
    machine would be hit in its first action only.
    """
    heard, said = PROCESSES.Pipe(duplex=False)
    process = PROCESSES.Process(target=act_until_killed, args=(folder, number, said))
    process.start()
    said.close()
    n_first = instants.randint(1, MAX_FIRST)
    done = [heard.recv()]
    start = time.monotonic()
    done += [heard.recv() for _ in range(n_first)]
    time.sleep(instants.uniform(0, 1.5) * (time.monotonic() - start) / n_first)
    process.kill()
    process.join()
    if process.exitcode != -signal.SIGKILL:
        raise SystemExit(f"the child ended by itself with {process.exitcode}")
    while True:
        try:
            done.append(heard.recv())
        except EOFError:
            break
    if done != [READY, *range(number, number + len(done) - 1)]:
        raise SystemExit(f"the child acknowledged {done}, from {number} on")
    return len(done) - 1


def main() -> int:
    """Run the campaign, or be its child."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        counts = campaign(Path(folder) / "store", n_kills=options.kills, seed=options.seed)
    if options.json:
        print(json.dumps(asdict(counts)))
    else:
        print(
            f"| kill -9 while the store is written | {counts.n_kills} kills, {counts.n_actions} "
            f"actions committed | {counts.n_lost} lost, {counts.n_half} half there, "
            f"{counts.n_unverified} faults in verify; {counts.n_leftovers} kills left files that "
            f"were removed, {counts.n_unacknowledged} came between commit and acknowledgement |"
        )
        print(*counts.faults, sep="\n")
    return 1 if counts.faults else 0


if __name__ == "__main__":
    sys.exit(main())

"""Damage official files in every way we know of and see what the readers make of each.

A damaged file must end in one clear error, or in the right table: every value equal to that of
the undamaged file at the same column and instant. Anything else is counted as wrong, or as a crash.
Damage that no single file can show, such as the prices of two areas exchanged, is counted apart:
a second source tells (`gridhash data join`).

    python scripts/fuzz_readers.py --mutations 100000 --corpus tests/data/readers/examples
"""

import argparse
import json
import multiprocessing
import random
import sys
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
from mutations import MUTATIONS, UNDETECTABLE, Undamageable

from gridhash.data.readers.formats import ReadOptions
from gridhash.data.readers.recognise import recognise
from gridhash.data.readers.source_file import SourceFile
from gridhash.data.source_table import SourceTable
from gridhash.errors import DataError

OUTCOMES = ("right", "refused", "wrong", "crash")
CHUNK = 250
AREA_OF = {"AREA_YOSOKU.csv": "tokyo", "AREA_ONCE_YOSOKU.csv": "tokyo"}
"""Area of the files whose content and name do not say it."""


@dataclass
class Tally:
    """Outcomes by kind of damage and by file, and the first few bad cases."""

    kinds: dict[str, Counter[str]] = field(default_factory=dict)
    files: dict[str, Counter[str]] = field(default_factory=dict)
    bad: list[dict[str, str]] = field(default_factory=list)

    def add(self, kind: str, name: str, outcome: str, detail: str, seed: int) -> None:
        """Count one case."""
        self.kinds.setdefault(kind, Counter())[outcome] += 1
        self.files.setdefault(name, Counter())[outcome] += 1
        if outcome in ("wrong", "crash"):
            self.bad.append(
                {"kind": kind, "file": name, "seed": str(seed), "outcome": outcome, "what": detail}
            )

    def merge(self, other: "Tally") -> None:
        """Add the counts of another."""
        for mine, theirs in ((self.kinds, other.kinds), (self.files, other.files)):
            for name, counts in theirs.items():
                mine.setdefault(name, Counter()).update(counts)
        self.bad += other.bad


def read(path: Path, content: bytes) -> tuple[SourceTable, ...]:
    """Return the tables of a file's content, as an import would."""
    file = SourceFile(path, content)
    form, _ = recognise(file)
    return form.read(file, ReadOptions(area=AREA_OF.get(path.name)))


@cache
def truth(path: Path) -> dict[str, SourceTable]:
    """Return the tables of an undamaged file by dataset."""
    return {table.dataset: table for table in read(path, path.read_bytes())}


def difference(
    tables: Sequence[SourceTable], right: dict[str, SourceTable], *, may_lack: bool
) -> str:
    """Return what is wrong with tables read from a damaged file; empty if nothing is.

    Where the file was cut off, a value may be missing (`may_lack`): that is a gap, and is reported.
    """
    for table in tables:
        whole = right.get(table.dataset)
        if whole is None or (whole.period_s, whole.currency) != (table.period_s, table.currency):
            return f"another dataset: {table!r}"
        if not set(table.columns) <= set(whole.columns):
            return f"other columns: {table!r}"
        rows = whole.starts.get_indexer(table.starts)
        if (rows < 0).any():
            return f"rows at other instants, first {table.starts[int(np.argmax(rows < 0))]}"
        for column in table.columns:
            found, expected = table.column(column), whole.column(column)[rows]
            wrong = ~((found == expected) | (np.isnan(found) & (np.isnan(expected) | may_lack)))
            late = (table.available_at[column] < whole.available_at[column][rows]) & ~wrong
            if wrong.any():
                row = int(np.argmax(wrong))
                return f"{column} at {table.starts[row]}: {found[row]:g}, not {expected[row]:g}"
            if late.any():
                return f"{column} at {table.starts[int(np.argmax(late))]} known too early"
    return ""


def outcome(path: Path, kind: str, seed: int) -> tuple[str, str]:
    """Return the outcome of one damaged file, and a detail where it is bad."""
    right = truth(path)
    mutate = MUTATIONS.get(kind) or UNDETECTABLE[kind]
    damaged = mutate(path.read_bytes(), random.Random(seed))
    try:
        tables = read(path, damaged)
    except DataError as err:
        message = str(err)
        is_clear = bool(message) and path.name in message and len(message) < 2000
        return ("refused", "") if is_clear else ("crash", f"unclear message: {message[:300]!r}")
    except Exception:  # noqa: BLE001  # the campaign counts whatever escapes
        return "crash", traceback.format_exc(limit=-3)
    problem = difference(tables, right, may_lack=kind.startswith("truncated"))
    return ("wrong", problem) if problem else ("right", "")


def run_chunk(task: tuple[list[Path], int, int]) -> Tally:
    """Return the outcomes of the cases [first, stop): kinds and files take turns."""
    paths, first, stop = task
    kinds = [*MUTATIONS, *UNDETECTABLE]
    tally = Tally()
    for seed in range(first, stop):
        kind = kinds[seed % len(kinds)]
        path = paths[seed // len(kinds) % len(paths)]
        try:
            result, detail = outcome(path, kind, seed)
        except Undamageable:
            # The kind does not apply to this file, such as columns of a JSON.
            kind = "truncated"
            result, detail = outcome(path, kind, seed)
        tally.add(kind, path.name, result, detail, seed)
    return tally


def campaign(paths: list[Path], n: int, jobs: int) -> Tally:
    """Return the outcomes of `n` damaged files, with progress on stderr."""
    tasks = [(paths, first, min(first + CHUNK, n)) for first in range(0, n, CHUNK)]
    tally, done, started = Tally(), 0, time.monotonic()
    with multiprocessing.get_context("fork").Pool(jobs) as pool:
        for part in pool.imap_unordered(run_chunk, tasks):
            tally.merge(part)
            done += CHUNK
            if sys.stderr.isatty() or done % 10_000 == 0:
                print(
                    f"\r{min(done, n):,} of {n:,}, {len(tally.bad)} bad, "
                    f"{time.monotonic() - started:.0f} s",
                    end="",
                    file=sys.stderr,
                )
    print(file=sys.stderr)
    return tally


def markdown(tally: Tally, n: int, n_files: int) -> str:
    """Return the table of outcomes by kind of damage."""
    sums = Counter[str]()
    lines = ["| damage | right | refused | wrong | crash |", "|---|---|---|---|---|"]
    for kind in sorted(tally.kinds, key=lambda name: (name in UNDETECTABLE, name)):
        counts = tally.kinds[kind]
        if kind not in UNDETECTABLE:
            sums.update(counts)
        mark = " (*)" if kind in UNDETECTABLE else ""
        lines.append(f"| {kind}{mark} | " + " | ".join(f"{counts[o]:,}" for o in OUTCOMES) + " |")
    total = " | ".join(f"**{sums[o]:,}**" for o in OUTCOMES)
    lines.append(f"| **all but (*)** | {total} |")
    return f"{n:,} damaged copies of {n_files} files.\n\n" + "\n".join(lines) + "\n"


def main() -> int:
    """Run the campaign; exit 1 if a damaged file gave a wrong table or a traceback."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--mutations", type=int, default=100_000)
    parser.add_argument("--corpus", type=Path, nargs="+", required=True, help="folders of files")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--json", type=Path, help="write every count and bad case here")
    args = parser.parse_args()
    paths = sorted(p for folder in args.corpus for p in folder.iterdir() if p.is_file())
    for path in paths:
        truth(path)
    tally = campaign(paths, args.mutations, args.jobs)
    print(markdown(tally, args.mutations, len(paths)))
    bad = [case for case in tally.bad if case["kind"] not in UNDETECTABLE]
    for case in bad[:20]:
        print(
            f"{case['outcome']}: {case['kind']} of {case['file']} ({case['seed']}) {case['what']}"
        )
    if args.json is not None:
        report = {"kinds": tally.kinds, "files": tally.files, "bad": bad}
        args.json.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", "utf-8")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())

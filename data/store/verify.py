"""Whether the store still holds what was written."""

from dataclasses import dataclass

import numpy as np

from gridhash.data.store.block import Block
from gridhash.data.store.manifest import PartitionRecord
from gridhash.data.store.store import Store
from gridhash.errors import DataError


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Something that is not as it was written.

    Attributes
    ----------
    name
        Dataset or trace; empty for leftovers of killed writers.
    is_mended
        Whether it needs no more attention: leftovers are removed.
    """

    name: str
    file: str
    problem: str
    is_mended: bool = False

    def __str__(self) -> str:
        """Say it on one line."""
        return f"{self.problem}" if not self.name else f"{self.name}: {self.problem}"


def verify(store: Store) -> list[Problem]:
    """Check every file against the manifest, and remove what killed writers left.

    Raises
    ------
    DataError
        If the manifest is missing or damaged, another process writes, or the folder is read-only.
    """
    if not store.folder.exists():
        return []
    with store.folder.writing(sweep_first=False) as manifest:
        problems = [
            Problem(
                name="",
                file=str(path.relative_to(store.folder.path)),
                problem=f"{path}: was left by a writer that was killed; removed",
                is_mended=True,
            )
            for path in store.folder.sweep(manifest)
        ]
        for name, dataset in manifest.datasets.items():
            found: list[Problem] = []
            for year, partition in dataset.partitions.items():
                found += _check(store, name, partition, year=year)
                unknown = set(partition.columns) - set(dataset.columns)
                if unknown:
                    found.append(_problem(name, partition, f"has unknown columns {unknown}"))
            if not found:
                try:
                    store.read(name)
                except DataError as err:
                    found.append(Problem(name=name, file="", problem=str(err)))
            problems += found
        for name, trace in manifest.traces.items():
            found = _check(store, name, trace.partition, year=None)
            if not found:
                try:
                    store.load_trace(name)
                except DataError as err:
                    found.append(_problem(name, trace.partition, str(err)))
            problems += found
    return problems


def _check(
    store: Store, name: str, partition: PartitionRecord, *, year: int | None
) -> list[Problem]:
    try:
        block = store.folder.checked_block(partition)
    except DataError as err:
        return [_problem(name, partition, str(err))]
    differences = _differences(block, partition, year)
    return [_problem(name, partition, f"{partition.file}: {text}") for text in differences]


def _differences(block: Block, partition: PartitionRecord, year: int | None) -> list[str]:
    found = []
    if len(block) != partition.rows:
        found.append(f"has {len(block)} rows, not {partition.rows}")
    if tuple(block.values) != partition.columns:
        found.append(f"has columns {', '.join(block.values)}, not {', '.join(partition.columns)}")
    if (np.diff(block.starts_s) <= 0).any():
        found.append("has rows out of order")
    span = (partition.first.timestamp(), partition.last.timestamp())
    if len(block) and (block.starts_s[0], block.starts_s[-1]) != span:
        found.append(f"does not span {partition.first} … {partition.last}")
    if year is not None and (partition.first.year, partition.last.year) != (year, year):
        found.append(f"lies outside the year {year}")
    return found


def _problem(name: str, partition: PartitionRecord, problem: str) -> Problem:
    return Problem(name=name, file=partition.file, problem=problem)

"""The folder of a store: who may write, what counts, and what killed writers left behind."""

import io
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from gridhash.data.store.block import REMEDY, Block, decode, encode, footer_of
from gridhash.data.store.files import (
    TEMPORARY_SUFFIX,
    make_folder,
    sha256_of,
    sole_writer,
    write_whole,
)
from gridhash.data.store.manifest import (
    Manifest,
    PartitionRecord,
    read_manifest,
    write_manifest,
)
from gridhash.errors import DataError

MANIFEST_NAME = "manifest.json"
LOCK_NAME = ".lock"
_PARTITION = re.compile(r".+-[0-9a-f]{16}\.parquet")
_UNFINISHED = re.compile(rf"\.(manifest\.json|.+-[0-9a-f]{{16}}\.parquet)\.\d+\{TEMPORARY_SUFFIX}")

Result = TypeVar("Result")


@dataclass(frozen=True, eq=False)
class Draft:
    """A partition that is not written yet: its record, its rows, and the file's bytes."""

    record: PartitionRecord
    block: Block
    content: bytes


class StoreFolder:
    """Partitions, manifest and lock of one store.

    A partition is written under a name that holds its checksum and is never changed; it counts
    from the moment at which a manifest that names it replaces the one before.
    """

    def __init__(self, path: Path, *, lock_wait_s: float) -> None:
        """Take the folder as it is; nothing is read or made yet."""
        self.path = path
        self._lock_wait_s = lock_wait_s

    @property
    def manifest_path(self) -> Path:
        """The file that says what the store holds."""
        return self.path / MANIFEST_NAME

    def exists(self) -> bool:
        """Whether there is a store, damaged or not; raises DataError as `manifest` does."""
        return self.manifest() != Manifest() or self.manifest_path.exists()

    def manifest(self) -> Manifest:
        """Return the manifest as it is now; an empty one where there is no store.

        Raises
        ------
        DataError
            If it cannot be read, or partitions are there but no manifest.
        """
        found = read_manifest(self.manifest_path)
        if found is None and any(self._partitions()):
            # Else the first writer of all came between the two looks.
            found = read_manifest(self.manifest_path)
        if found is None and any(self._partitions()):
            raise DataError(
                f"{self.manifest_path}: is missing, but {next(self._partitions())} is there; "
                "restore the manifest from a backup, or move the folder away and import the files "
                "again"
            )
        return found or Manifest()

    def reading(self, work: Callable[[Manifest], Result]) -> Result:
        """Return what `work` makes of one manifest; again if a writer removed files meanwhile."""
        manifest = self.manifest()
        while True:
            try:
                return work(manifest)
            except FileNotFoundError as err:
                now = self.manifest()
                if now == manifest:
                    raise DataError(f"{err.filename or err}: is missing; {REMEDY}") from err
                manifest = now
            except OSError as err:
                raise DataError(f"{self.path}: cannot be read ({err})") from err

    @contextmanager
    def writing(self, *, sweep_first: bool = True) -> Iterator[Manifest]:
        """Hold the lock and give the manifest; afterwards remove files that do not count.

        Raises
        ------
        DataError
            If another writes, or the disk is full or read-only.
        """
        try:
            make_folder(self.path)
            with sole_writer(self.path / LOCK_NAME, wait_s=self._lock_wait_s):
                manifest = self.manifest()
                if not self.manifest_path.exists():
                    # Partitions without a manifest are a fault from here on, never leftovers.
                    write_manifest(self.manifest_path, manifest)
                if sweep_first:
                    self.sweep(manifest)
                try:
                    yield manifest
                finally:
                    with suppress(OSError):
                        self.sweep(self.manifest())
        except OSError as err:
            raise DataError(
                f"{self.path}: cannot be written ({err}); what was stored before is intact. Free "
                "space or correct the permissions, and try again"
            ) from err

    def commit(self, manifest: Manifest) -> None:
        """Make a manifest the one that counts; its partitions must be written."""
        write_manifest(self.manifest_path, manifest)

    def draft(self, block: Block, subfolder: str, stem: str) -> Draft:
        """Return a partition as it would be written; nothing is written yet."""
        content = encode(block)
        checksum = sha256_of(content)
        record = PartitionRecord(
            file=str(Path(subfolder) / f"{stem}-{checksum[:16]}.parquet"),
            sha256=checksum,
            footer_sha256=sha256_of(footer_of(io.BytesIO(content))),
            first=datetime.fromtimestamp(int(block.starts_s[0]), UTC),
            last=datetime.fromtimestamp(int(block.starts_s[-1]), UTC),
            rows=len(block),
            columns=tuple(block.values),
        )
        return Draft(record, block, content)

    def write(self, draft: Draft) -> None:
        """Write a partition, which counts once a manifest that names it is committed."""
        path = self.path / draft.record.file
        make_folder(path.parent)
        write_whole(path, draft.content)

    def block(self, partition: PartitionRecord, columns: list[str] | None = None) -> Block:
        """Read a partition, or those of the columns that it holds; Parquet's checksums guard it.

        Raises
        ------
        FileNotFoundError
            If it is missing.
        DataError
            If it is damaged.
        """
        return decode(self.path / partition.file, partition.footer_sha256, columns)

    def checked_block(self, partition: PartitionRecord) -> Block:
        """Read a partition whole, and compare its checksum with the manifest's.

        Raises
        ------
        DataError
            If it is missing, unreadable or not what was written.
        """
        path = self.path / partition.file
        try:
            content = path.read_bytes()
        except OSError as err:
            raise DataError(f"{path}: cannot be read ({err}); {REMEDY}") from err
        if sha256_of(content) != partition.sha256:
            raise DataError(f"{path}: is not what was written, its checksum differs; {REMEDY}")
        return decode(path, partition.footer_sha256)

    def sweep(self, manifest: Manifest) -> list[Path]:
        """Remove and return files of ours that do not count; only for who holds the lock."""
        counts = {self.path / file for file in manifest.files()}
        removed = [path for path in self._partitions() if path not in counts]
        hidden = (*self.path.glob(".*"), *self.path.glob("*/.*"))
        removed += [path for path in hidden if _UNFINISHED.fullmatch(path.name)]
        for path in removed:
            path.unlink()
        for folder in {path.parent for path in removed} - {self.path}:
            with suppress(OSError):  # it holds other partitions
                os.rmdir(folder)
        return removed

    def _partitions(self) -> Iterator[Path]:
        found = self.path.glob("*/*.parquet")
        return (path for path in found if _PARTITION.fullmatch(path.name))

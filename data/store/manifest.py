"""The manifest: the one file that says what the store holds; replacing it is what commits."""

import json
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from gridhash.data.publishers import PUBLISHERS
from gridhash.data.source_table import Origin
from gridhash.data.store.files import sha256_of, write_whole
from gridhash.errors import DataError

FORMAT_VERSION = 1

MIGRATIONS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}
"""By format version: what turns a manifest of it into one of the next version."""


class Record(BaseModel):
    """A part of the manifest; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class OriginRecord(Record):
    """A file that brought values, when, and the rows and columns that it spoke of."""

    publisher: str
    file_name: str
    sha256: str
    imported_at: AwareDatetime
    first: AwareDatetime
    last: AwareDatetime
    columns: tuple[str, ...]

    @property
    def origin(self) -> Origin:
        """What a table says of it."""
        return Origin(self.publisher, self.file_name, self.sha256)


class RevisionRecord(Record):
    """A file whose values replaced stored ones, and how many per column."""

    publisher: str
    file_name: str
    sha256: str
    revised_at: AwareDatetime
    first: AwareDatetime
    last: AwareDatetime
    n_values: dict[str, int]


class LicenceRecord(Record):
    """Terms of a publisher as they were known when a file was imported."""

    publisher: str
    name: str
    licence: str
    terms_url: str
    may_redistribute: bool


class PartitionRecord(Record):
    """An immutable Parquet file; `first` and `last` are the starts of its outermost rows.

    Parquet's own checksums guard its pages in every read; `footer_sha256` guards what they do
    not, the schema and metadata at its end.
    """

    file: str
    sha256: str
    footer_sha256: str
    first: AwareDatetime
    last: AwareDatetime
    rows: int
    columns: tuple[str, ...]


class DatasetRecord(Record):
    """One dataset: tables of one period and currency, in partitions by UTC year."""

    period_s: int | None
    currency: str | None
    columns: dict[str, str]
    """Unit by column."""
    origins: tuple[OriginRecord, ...]
    licences: tuple[LicenceRecord, ...]
    revisions: tuple[RevisionRecord, ...] = ()
    partitions: dict[int, PartitionRecord]
    """By UTC year, in order."""

    @property
    def first(self) -> datetime:
        """Start of the first row."""
        return next(iter(self.partitions.values())).first

    @property
    def last(self) -> datetime:
        """Start of the last row."""
        return list(self.partitions.values())[-1].last

    @property
    def rows(self) -> int:
        """Number of rows."""
        return sum(partition.rows for partition in self.partitions.values())


class TraceRecord(Record):
    """One trace: its fields other than the series, and the Parquet file that holds those."""

    fields: dict[str, Any]
    partition: PartitionRecord


class Manifest(Record):
    """All that the store holds."""

    format_version: int = FORMAT_VERSION
    datasets: dict[str, DatasetRecord] = Field(default_factory=dict)
    traces: dict[str, TraceRecord] = Field(default_factory=dict)

    def files(self) -> set[str]:
        """Return the Parquet files that count, relative to the store."""
        return {
            partition.file
            for partition in (
                *(one for data in self.datasets.values() for one in data.partitions.values()),
                *(trace.partition for trace in self.traces.values()),
            )
        }

    def with_dataset(self, name: str, record: DatasetRecord) -> "Manifest":
        """Return the manifest with a dataset added or replaced."""
        return self.model_copy(update={"datasets": {**self.datasets, name: record}})

    def with_trace(self, name: str, record: TraceRecord) -> "Manifest":
        """Return the manifest with a trace added or replaced."""
        return self.model_copy(update={"traces": {**self.traces, name: record}})

    def without(self, name: str) -> "Manifest":
        """Return the manifest without the dataset or trace of that name."""
        datasets = {key: record for key, record in self.datasets.items() if key != name}
        traces = {key: record for key, record in self.traces.items() if key != name}
        return self.model_copy(update={"datasets": datasets, "traces": traces})


def licences_of(publishers: Iterable[str]) -> tuple[LicenceRecord, ...]:
    """Return the terms of publishers, each once."""
    found = (PUBLISHERS[key] for key in dict.fromkeys(publishers))
    return tuple(
        LicenceRecord(
            publisher=publisher.key,
            name=publisher.name,
            licence=publisher.licence,
            terms_url=publisher.terms_url,
            may_redistribute=publisher.may_redistribute,
        )
        for publisher in found
    )


def read_manifest(path: Path) -> Manifest | None:
    """Read a manifest; None if there is none.

    Raises
    ------
    DataError
        If it cannot be read, is damaged, or a newer gridhash wrote it.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except OSError as err:
        raise DataError(f"{path}: cannot be read ({err}); correct its permissions") from err
    except UnicodeDecodeError as err:
        raise DataError(f"{path}: cannot be read ({err}); {_REMEDY}") from err
    try:
        return Manifest.model_validate(_migrated(json.loads(text), path))
    except (ValidationError, ValueError) as err:
        problem = str(err).splitlines()
        raise DataError(
            f"{path}: is no manifest of a store ({'; '.join(problem[:3])}); {_REMEDY}"
        ) from err


_REMEDY = (
    "restore the file from a backup, or move the folder of the store away and import the files "
    "again"
)


def write_manifest(path: Path, manifest: Manifest) -> None:
    """Replace the manifest at one stroke; raises OSError."""
    content = json.loads(manifest.model_dump_json())
    write_whole(path, (json.dumps(signed(content), indent=1, ensure_ascii=False) + "\n").encode())


def signed(content: dict[str, Any]) -> dict[str, Any]:
    """Return a manifest's content with its checksum, by which damage is found."""
    rest = {key: value for key, value in content.items() if key != "checksum"}
    text = json.dumps(rest, sort_keys=True, ensure_ascii=False)
    return {"checksum": sha256_of(text.encode()), **rest}


def _migrated(content: Any, path: Path) -> dict[str, Any]:
    if not isinstance(content, dict) or not isinstance(content.get("format_version"), int):
        raise ValueError("format_version is missing")
    if content["format_version"] > FORMAT_VERSION:
        raise DataError(
            f"{path}: has format {content['format_version']}, which a newer gridhash wrote; this "
            f"one reads up to {FORMAT_VERSION}: update gridhash"
        )
    if content != signed(content):
        raise ValueError("its checksum differs, so it is damaged or was edited")
    content = {key: value for key, value in content.items() if key != "checksum"}
    while content["format_version"] < FORMAT_VERSION:
        migrate = MIGRATIONS.get(content["format_version"])
        if migrate is None:
            raise ValueError(f"format {content['format_version']} is unknown")
        content = migrate(content)
    return dict(content)

"""Rows of columns with the instants from which they are known, and their form as Parquet.

A Parquet file holds `start` (UTC), one float64 column per series with NaN for a missing value,
and `known_after_s_0`, `known_after_s_1` …: seconds from the start of a row until its value is
known. Series that share their instants share one of those; the file's metadata says which.
LZ4 over split bytes, because it reads fastest of what was measured on prices, on generation and
on noise alike: zstd saves 5–15 % of the room and takes half as long again to read, dictionaries
grow beyond the plain numbers where values do not repeat.
"""

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from gridhash.data.source_table import SourceTable
from gridhash.data.store.files import sha256_of
from gridhash.data.trace import Trace
from gridhash.errors import DataError
from gridhash.time_grid import epoch_s

Seconds = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]

REMEDY = (
    "restore it from a backup, or remove its dataset or trace from the store and import or join "
    "it again"
)
"""What to do about a damaged partition."""

_KNOWN = "known_after_s_"
_METADATA_KEY = b"gridhash.known"


@dataclass(frozen=True)
class Block:
    """Columns over the same rows.

    Attributes
    ----------
    starts_s
        Start of each row, seconds since 1970 UTC, strictly increasing.
    values
        float64 per column, NaN where there is no value.
    known_s
        Per column the instant from which each row is known, seconds since 1970 UTC.
    """

    starts_s: Seconds
    values: Mapping[str, Values]
    known_s: Mapping[str, Seconds]

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.starts_s)

    def rows(self, first: int, stop: int) -> "Block":
        """Return the rows [first, stop); what was shared stays shared."""
        cut = {id(known): known[first:stop] for known in self.known_s.values()}
        return Block(
            self.starts_s[first:stop],
            {name: values[first:stop] for name, values in self.values.items()},
            {name: cut[id(known)] for name, known in self.known_s.items()},
        )

    def years(self) -> "dict[int, Block]":
        """Return the rows of each UTC year."""
        years = self.starts_s.astype("datetime64[s]").astype("datetime64[Y]").astype(int) + 1970
        found, firsts = np.unique(years, return_index=True)
        stops = [*firsts[1:].tolist(), len(self)]
        return {
            int(year): self.rows(int(first), stop)
            for year, first, stop in zip(found, firsts, stops, strict=True)
        }

    def index(self) -> pd.DatetimeIndex:
        """Return the starts as the index of a frame."""
        return instants(self.starts_s).rename("start")

    def frame(self) -> pd.DataFrame:
        """Return the values as a frame."""
        return pd.DataFrame(dict(self.values), index=self.index(), copy=False)

    def available_at(self) -> dict[str, pd.DatetimeIndex]:
        """Return when each column is known; columns that share their instants share the index."""
        shared = {id(known): instants(known) for known in self.known_s.values()}
        return {name: shared[id(known)] for name, known in self.known_s.items()}


def instants(seconds: Seconds) -> pd.DatetimeIndex:
    """Return seconds since 1970 as instants in UTC."""
    return pd.DatetimeIndex(seconds.view("datetime64[s]")).tz_localize("UTC")


def block_of(series: SourceTable | Trace) -> Block:
    """Return the rows of a table or a trace."""
    known = {id(index): epoch_s(index) for index in series.available_at.values()}
    return Block(
        epoch_s(series.starts),
        {str(name): series.frame[name].to_numpy() for name in series.frame.columns},
        {str(name): known[id(series.available_at[name])] for name in series.frame.columns},
    )


def join_rows(blocks: list[Block], columns: list[str], period_s: int | None) -> Block:
    """Return consecutive blocks as one; a column that one of them lacks is NaN there.

    Nobody said when a value that was never given is known: its row says at the end of the period.
    """
    given: list[dict[str, Seconds]] = []
    for block in blocks:
        never = block.starts_s + (period_s or 0)
        given.append({name: block.known_s.get(name, never) for name in columns})
    joined: dict[tuple[int, ...], Seconds] = {}
    known: dict[str, Seconds] = {}
    for name in columns:
        parts = [one[name] for one in given]
        key = tuple(id(part) for part in parts)
        if key not in joined:
            joined[key] = parts[0] if len(parts) == 1 else np.concatenate(parts)
        known[name] = joined[key]
    values = {
        name: np.concatenate(
            [block.values.get(name, np.full(len(block), np.nan)) for block in blocks]
        )
        for name in columns
    }
    return Block(np.concatenate([block.starts_s for block in blocks]), values, known)


def known_groups(known_s: Mapping[str, Seconds]) -> tuple[list[Seconds], dict[str, int]]:
    """Return the distinct sets of instants, and which of them each column has."""
    distinct: list[Seconds] = []
    number: dict[int, int] = {}
    for known in known_s.values():
        if id(known) in number:
            continue
        same = (i for i, other in enumerate(distinct) if np.array_equal(other, known))
        number[id(known)] = next(same, len(distinct))
        if number[id(known)] == len(distinct):
            distinct.append(known)
    return distinct, {name: number[id(known)] for name, known in known_s.items()}


def encode(block: Block) -> bytes:
    """Return a block as a Parquet file; the same block gives the same bytes."""
    distinct, group = known_groups(block.known_s)
    table = pa.table(
        {
            "start": pa.array(block.starts_s * 1000).cast(pa.timestamp("ms", tz="UTC")),
            **{name: pa.array(values) for name, values in block.values.items()},
            **{f"{_KNOWN}{i}": pa.array(s - block.starts_s) for i, s in enumerate(distinct)},
        }
    ).replace_schema_metadata({_METADATA_KEY: json.dumps(group)})
    sink = pa.BufferOutputStream()
    pq.write_table(
        table,
        sink,
        compression="lz4",
        use_dictionary=["start", *(f"{_KNOWN}{i}" for i in range(len(distinct)))],
        column_encoding=dict.fromkeys(block.values, "BYTE_STREAM_SPLIT"),
        row_group_size=1 << 20,
        write_page_checksum=True,
    )
    return bytes(sink.getvalue())


def footer_of(file: BinaryIO) -> bytes:
    """Return schema and metadata of a Parquet file, with their length and the closing mark.

    Raises
    ------
    OSError
        If the file is too short to have any.
    """
    end = file.seek(0, io.SEEK_END)
    file.seek(max(end - 8, 0))
    tail = file.read()
    length = int.from_bytes(tail[:4], "little")
    if len(tail) < 8 or length + 8 > end:
        raise OSError("it is truncated")
    file.seek(end - 8 - length)
    return file.read()


def decode(path: Path, footer_sha256: str, columns: list[str] | None = None) -> Block:
    """Read a Parquet file, or those of the columns that it holds.

    Raises
    ------
    FileNotFoundError
        If there is no file.
    DataError
        If it is damaged or none of ours.
    """
    try:
        with path.open("rb") as raw:
            if sha256_of(footer_of(raw)) != footer_sha256:
                raise OSError("its end is not what was written")
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            group: dict[str, int] = json.loads(file.schema_arrow.metadata[_METADATA_KEY])
            wanted = [name for name in group if columns is None or name in columns]
            known_names = {name: f"{_KNOWN}{group[name]}" for name in wanted}
            table = file.read(columns=["start", *wanted, *dict.fromkeys(known_names.values())])
    except FileNotFoundError:
        raise
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError) as err:
        raise DataError(f"{path}: cannot be read ({err}); {REMEDY}") from err
    starts_ms = table.column("start").cast(pa.int64()).to_numpy()
    starts_s = np.asarray(starts_ms, dtype=np.int64) // 1000
    after = {name: starts_s + table.column(name).to_numpy() for name in set(known_names.values())}
    return Block(
        starts_s,
        {name: table.column(name).to_numpy() for name in wanted},
        {name: after[known_names[name]] for name in wanted},
    )

"""Datasets and traces as files for other programs: CSV with a text beside it, or Parquet.

Columns are `start` (ISO 8601, UTC), the series, and `known_at` or `known_at_1`, `known_at_2` …:
from when the values of a row are known. A missing value is an empty cell.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from gridhash.data.quantities import quantity_of
from gridhash.data.schema import COLUMN_BY_NAME
from gridhash.data.source_table import SourceTable
from gridhash.data.store.block import Block, block_of, instants, known_groups
from gridhash.data.store.files import write_whole
from gridhash.data.store.manifest import DatasetRecord
from gridhash.data.store.store import Store
from gridhash.data.trace import Trace
from gridhash.errors import DataError

SUFFIXES = (".csv", ".parquet")
METADATA_KEY = b"gridhash.export"


@dataclass(frozen=True, kw_only=True)
class Export:
    """What was written.

    Attributes
    ----------
    about
        The text beside a CSV file; None for Parquet, which holds it as metadata.
    warning
        What the terms of the publishers forbid; None if they let the file be passed on.
    """

    path: Path
    about: Path | None
    rows: int
    warning: str | None


def export(store: Store, name: str, path: Path, *, force: bool = False) -> Export:
    """Write a dataset or a trace to a file whose suffix says the format.

    Raises
    ------
    DataError
        If there is no such dataset or trace, the suffix is unknown, a file is there and not
        `force`, or it cannot be written.
    """
    if path.suffix not in SUFFIXES:
        raise DataError(f"{path}: the suffix must be one of {', '.join(SUFFIXES)}")
    about = path.with_name(path.name + ".txt") if path.suffix == ".csv" else None
    for there in (path, about):
        if there is not None and there.exists() and not force:
            raise DataError(
                f"{there}: is there already; choose another name or overwrite it (--force)"
            )
    manifest = store.manifest()
    series: SourceTable | Trace
    if name in manifest.traces:
        series = store.load_trace(name)
        facts, warning = _facts_of_trace(name, series)
    else:
        series = store.read(name)
        facts, warning = _facts_of_dataset(name, store.info(name))
    block = block_of(series)
    distinct, group = known_groups(block.known_s)
    labels = (
        ["known_at"] if len(distinct) == 1 else [f"known_at_{i + 1}" for i in range(len(distinct))]
    )
    known = {label: instants(seconds) for label, seconds in zip(labels, distinct, strict=True)}
    facts["known_at"] = {column: labels[number] for column, number in group.items()}
    try:
        if about is None:
            write_whole(path, _parquet(block, known, facts))
        else:
            write_whole(about, _text(facts, warning).encode())
            write_whole(path, _csv(block, known))
    except OSError as err:
        raise DataError(f"{path}: cannot be written ({err})") from err
    return Export(path=path, about=about, rows=len(block), warning=warning)


Facts = dict[str, object]


def _facts_of_dataset(name: str, record: DatasetRecord) -> tuple[Facts, str | None]:
    facts: Facts = {
        "dataset": name,
        "period_s": record.period_s,
        "columns": {
            column: f"{unit}, {quantity_of(column).meaning}"
            for column, unit in record.columns.items()
        },
        "publishers": {
            licence.name: f"{licence.licence} ({licence.terms_url})" for licence in record.licences
        },
        "files": {origin.file_name: f"SHA-256 {origin.sha256}" for origin in record.origins},
    }
    closed = [licence for licence in record.licences if not licence.may_redistribute]
    if not closed:
        return facts, None
    terms = "; ".join(f"{one.name}: {one.licence} ({one.terms_url})" for one in closed)
    return facts, f"{name} is for your own use, do not pass it on. {terms}"


def _facts_of_trace(name: str, trace: Trace) -> tuple[Facts, str | None]:
    facts: Facts = {
        "trace": name,
        "area": trace.area,
        "period_s": trace.period_s,
        "source": trace.source,
        "notes": list(trace.notes),
        "columns": {
            str(column): (
                f"{COLUMN_BY_NAME[str(column)].unit.replace('currency', trace.currency)}, "
                f"{COLUMN_BY_NAME[str(column)].meaning}"
            )
            for column in trace.frame.columns
        },
    }
    return facts, f"{name} comes from {trace.source}: see its terms before you pass it on"


def _iso(index: pd.DatetimeIndex) -> pa.Array:
    texts = np.datetime_as_string(index.tz_localize(None).to_numpy(), unit="s")
    return pa.array(np.char.add(texts, "Z"))


def _csv(block: Block, known: dict[str, pd.DatetimeIndex]) -> bytes:
    table = pa.table(
        {
            "start": _iso(block.index()),
            **{name: pa.array(column, from_pandas=True) for name, column in block.values.items()},
            **{label: _iso(index) for label, index in known.items()},
        }
    )
    sink = pa.BufferOutputStream()
    pa_csv.write_csv(table, sink, pa_csv.WriteOptions(quoting_style="none"))
    return bytes(sink.getvalue())


def _parquet(block: Block, known: dict[str, pd.DatetimeIndex], facts: Facts) -> bytes:
    instant = pa.timestamp("ms", tz="UTC")
    table = pa.table(
        {
            "start": pa.array(block.starts_s * 1000).cast(instant),
            **{name: pa.array(column, from_pandas=True) for name, column in block.values.items()},
            **{
                label: pa.array(index.as_unit("ms").asi8).cast(instant)
                for label, index in known.items()
            },
        }
    ).replace_schema_metadata({METADATA_KEY: json.dumps(facts, ensure_ascii=False)})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    return bytes(sink.getvalue())


def _text(facts: Facts, warning: str | None) -> str:
    lines = [] if warning is None else [warning, ""]
    for key, value in facts.items():
        if isinstance(value, dict):
            lines += [f"{key}:", *(f"  {name}: {text}" for name, text in value.items())]
        elif isinstance(value, list):
            lines += [f"{key}:", *(f"  {text}" for text in value)]
        else:
            lines.append(f"{key}: {value}")
    return "\n".join(lines) + "\n"

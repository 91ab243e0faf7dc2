"""A Parquet file that a data frame was saved in, as the cells that its CSV file would have."""

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from gridhash.data.readers.cells import Cells, normal_name
from gridhash.data.readers.source_file import SourceFile
from gridhash.data.readers.text_file import TextFile
from gridhash.errors import FileFormatError


def parquet_names(file: SourceFile) -> list[str]:
    """Return the normalised column names; empty if this is no intact Parquet file."""
    if not file.content.startswith(b"PAR1"):
        return []
    try:
        return [normal_name(name) for name in pq.read_schema(io.BytesIO(file.content)).names]
    except (pa.ArrowException, OSError):
        return []


def parquet_cells(file: SourceFile) -> Cells:
    """Return the rows as text: instants in UTC, numbers as short as they go, nothing for null.

    Raises
    ------
    FileFormatError
        If the file is damaged, or a column holds anything but text, numbers and aware instants.
    """
    try:
        table = pq.read_table(io.BytesIO(file.content), use_threads=False)
    except (pa.ArrowException, OSError) as err:
        raise FileFormatError(f"{file.path}: damaged Parquet file ({err})") from err
    columns = []
    for name, column in zip(table.column_names, table.columns, strict=True):
        kind = column.type
        is_instant = pa.types.is_timestamp(kind) and kind.tz is not None
        is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
        is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind)
        if not (is_instant or is_text or is_number):
            raise FileFormatError(
                f"{file.path}, column {name}: {kind} is neither text nor number nor an instant "
                "with time zone"
            )
        if is_instant:
            column = column.cast(pa.timestamp("us", "UTC"), safe=False)
        columns.append(column.cast(pa.string()).combine_chunks().fill_null(""))
    if not table.num_rows:
        raise FileFormatError(f"{file.path}: there are no rows")
    return Cells(
        TextFile(file.path, "", "parquet"),
        [normal_name(name) for name in table.column_names],
        columns,
        np.arange(1, table.num_rows + 1, dtype=np.int64),
    )

"""The cells of a delimited text file by column, each with its line; strict and fast.

Every value stays text until a reader says what it must look like: a number of so many decimals, a
date, a slot. What does not match raises an error that names file, line, column and value.
"""

import csv
import io
import re
import unicodedata
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from gridhash.data.readers.text_file import TextFile
from gridhash.errors import DataError, FileFormatError

INTEGER = r"-?\d+"
DECIMAL = r"-?\d+(?:\.\d+)?"


@dataclass(frozen=True, eq=False)
class Cells:
    """Rows below a header, as text; `lines` is the number of each row's line, counted from 1."""

    file: TextFile
    names: list[str]
    columns: list[pa.StringArray]
    lines: npt.NDArray[np.int64]

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.lines)

    @cached_property
    def path(self) -> str:
        """The file's path, for messages."""
        return str(self.file.path)

    def at(self, name: str) -> int:
        """Return the position of the one column of this name; raise FileFormatError otherwise."""
        n_found = self.names.count(name)
        if n_found != 1:
            problem = "is missing" if not n_found else "occurs more than once"
            raise FileFormatError(
                f"{self.path}: the column {name} {problem}; found {', '.join(self.names)}; get the "
                "publisher's file"
            )
        return self.names.index(name)

    def text(self, at: int) -> list[str]:
        """Return the cells of a column without blanks around them."""
        values: list[str] = self._trimmed(at).to_pylist()
        return values

    def codes(self, at: int) -> tuple[npt.NDArray[np.int64], list[str]]:
        """Return a column as codes and the distinct texts that they stand for."""
        encoded = pc.dictionary_encode(self._trimmed(at))
        texts: list[str] = encoded.dictionary.to_pylist()
        return np.asarray(encoded.indices.to_numpy(zero_copy_only=False), np.int64), texts

    def numbers(
        self, at: int, *, pattern: str = DECIMAL, missing: tuple[str, ...] = ()
    ) -> npt.NDArray[np.float64]:
        """Return a column as numbers, NaN for the texts in `missing`.

        Raises
        ------
        DataError
            If a cell does not match the pattern as a whole; the message names its line.
        """
        # Not trimmed: a blank in place of the first or last digit would pass unseen.
        cells = self.columns[at]
        is_number = pc.match_substring_regex(cells, f"^(?:{pattern})$")
        blank = pc.is_in(self._trimmed(at), value_set=pa.array(list(missing), pa.string()))
        wrong = np.flatnonzero(
            ~np.asarray(pc.or_(is_number, blank).to_numpy(zero_copy_only=False), bool)
        )
        if wrong.size:
            raise DataError(f"{self.where(int(wrong[0]), at)}: not a number; get the original file")
        numbers = pc.if_else(is_number, self._trimmed(at), pa.scalar(None, pa.string()))
        return np.asarray(
            numbers.cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64
        )

    def where(self, row: int, at: int) -> str:
        """Return file, line, column and cell of a row, to begin a message with."""
        name = self.names[at] if at < len(self.names) else f"{at + 1}"
        return (
            f"{self.path} line {int(self.lines[row])}, column {name}, value "
            f"{self.columns[at][row].as_py()!r}"
        )

    def keep(self, rows: npt.NDArray[np.bool_]) -> "Cells":
        """Return the rows that are marked."""
        mask = pa.array(rows)
        return Cells(
            self.file, self.names, [c.filter(mask) for c in self.columns], self.lines[rows]
        )

    def _trimmed(self, at: int) -> pa.StringArray:
        return pc.utf8_trim_whitespace(self.columns[at])


def normal_name(name: str) -> str:
    """Return a column name in one spelling: NFKC, without blanks and quotes.

    >>> normal_name("火力（ＬＮＧ）")
    '火力(LNG)'
    """
    return "".join(unicodedata.normalize("NFKC", name).split()).strip('"')


def header_cells(file: TextFile, line: int, delimiter: str = ",") -> list[str]:
    """Return the normalised cells of a line, counted from 1; empty if there is none."""
    lines = file.text.split("\n", line)
    if len(lines) < line:
        return []
    return [normal_name(cell) for cell in lines[line - 1].rstrip("\r").split(delimiter)]


def read_cells(
    file: TextFile, *, header_line: int, delimiter: str = ",", names: list[str] | None = None
) -> Cells:
    """Return the rows below a header.

    Parameters
    ----------
    header_line
        Line of the column names, counted from 1; rows begin on the next.
    names
        Column names to use where the header takes several lines.

    Raises
    ------
    FileFormatError
        If there are no rows, a row has more or fewer cells than the header, an empty line stands
        among the rows, quotes do not match, or the last line has no line end, as in a file that
        was cut off. Empty lines at the end, which Excel likes to add, are left out.
    """
    text = file.text
    if not text.endswith(("\n", "\r")):
        n_lines = text.count("\n") + 1
        raise FileFormatError(
            f"{file.path} line {n_lines}: the last line has no line end, so the file may be cut "
            "off: download it again, or add a line end if you know that it is whole"
        )
    if names is None:
        names = header_cells(file, header_line, delimiter)
    head, body = _split_after(text, header_line)
    body = re.sub(rf"\n(?:[\s\"{re.escape(delimiter)}]*\n)+\Z", "\n", "\n" + body)[1:]
    if not body.strip():
        raise FileFormatError(f"{file.path}: no rows below line {header_line}; download it again")
    width = len(names)
    if '"' in body:
        columns, lines = _quoted(file, body, head, width, delimiter)
    else:
        columns, lines = _plain(file, body, head, width, delimiter)
    return Cells(file, names, columns, lines)


def _split_after(text: str, n_lines: int) -> tuple[int, str]:
    at = 0
    for _ in range(n_lines):
        at = text.find("\n", at) + 1
        if not at:
            return n_lines, ""
    return n_lines, text[at:]


def _plain(
    file: TextFile, body: str, head: int, width: int, delimiter: str
) -> tuple[list[pa.StringArray], npt.NDArray[np.int64]]:
    names = [str(i) for i in range(width)]
    bad: list[tuple[int, int]] = []

    def keep_first(row: pa_csv.InvalidRow) -> str:
        bad.append((row.number or 0, row.actual_columns))
        return "skip"

    try:
        table = pa_csv.read_csv(
            io.BytesIO(body.encode()),
            read_options=pa_csv.ReadOptions(
                column_names=names, use_threads=False, block_size=1 << 24
            ),
            parse_options=pa_csv.ParseOptions(
                delimiter=delimiter,
                quote_char=False,
                ignore_empty_lines=False,
                invalid_row_handler=keep_first,
            ),
            convert_options=pa_csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                null_values=[],
                strings_can_be_null=False,
            ),
        )
    except pa.ArrowInvalid as err:
        raise FileFormatError(f"{file.path}: cannot be read as columns: {err}") from err
    if bad:
        number, found = bad[0]
        raise _width_error(file, head + number, found, width)
    n_rows = table.num_rows
    columns = [column.combine_chunks() for column in table.columns]
    _check_no_empty_row(file, columns, head)
    return columns, np.arange(head + 1, head + 1 + n_rows, dtype=np.int64)


def _quoted(
    file: TextFile, body: str, head: int, width: int, delimiter: str
) -> tuple[list[pa.StringArray], npt.NDArray[np.int64]]:
    rows: list[list[str]] = []
    lines: list[int] = []
    reader = csv.reader(io.StringIO(body, newline=""), delimiter=delimiter, strict=True)
    try:
        for row in reader:
            if len(row) != width:
                raise _width_error(file, head + reader.line_num, len(row), width)
            rows.append(row)
            lines.append(head + reader.line_num)
    except csv.Error as err:
        raise FileFormatError(f"{file.path} line {head + reader.line_num}: {err}") from err
    columns = [pa.array(column, pa.string()) for column in zip(*rows, strict=True)]
    _check_no_empty_row(file, columns, head)
    return columns, np.array(lines, dtype=np.int64)


def _check_no_empty_row(file: TextFile, columns: list[pa.StringArray], head: int) -> None:
    is_empty = None
    for column in columns:
        blank = pc.equal(pc.utf8_trim_whitespace(column), "")
        is_empty = blank if is_empty is None else pc.and_(is_empty, blank)
        if not pc.any(is_empty).as_py():
            return
    row = int(pc.index(is_empty, True).as_py())
    raise FileFormatError(
        f"{file.path} line {head + row + 1}: an empty row stands among the others; get the "
        "original file"
    )


def _width_error(file: TextFile, line: int, found: int, width: int) -> FileFormatError:
    return FileFormatError(
        f"{file.path} line {line}: {found} values under {width} column names; the file is damaged "
        "or cut off, download it again"
    )

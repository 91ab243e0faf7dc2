"""Damage to a file of an area, as by a spreadsheet, a download or a hand; each kind by its name."""

from collections.abc import Callable

import numpy as np

from gridhash.data.readers.formats import Format, ReadOptions
from gridhash.data.readers.source_file import SourceFile
from gridhash.errors import DataError
from tests.data.readers.area_files import AreaFile, wrong_where

Damage = Callable[[AreaFile, np.random.Generator], None]


def _value_columns(file: AreaFile) -> list[int]:
    first = 1 if file.head[-1].startswith("DATE_TIME") else 2
    return list(range(first, len(file.rows[0])))


def _two_columns(file: AreaFile, rng: np.random.Generator) -> tuple[int, int]:
    a, b = rng.choice(_value_columns(file), 2, replace=False)
    return int(a), int(b)


def _some_row(file: AreaFile, rng: np.random.Generator) -> int:
    return int(rng.integers(1, len(file.rows) - 1))


def _swap(cells: list[str], a: int, b: int) -> None:
    cells[a], cells[b] = cells[b], cells[a]


def swap_header(file: AreaFile, rng: np.random.Generator) -> None:
    """Exchange two names that differ, of the header's row of names."""
    at = max(range(len(file.head)), key=lambda i: len(set(file.head[i].split(","))))
    cells = file.head[at].split(",")
    a, b = _two_columns(file, rng)
    while cells[a] == cells[b]:
        a, b = _two_columns(file, rng)
    _swap(cells, a, b)
    file.head[at] = ",".join(cells)


def swap_columns(file: AreaFile, rng: np.random.Generator) -> None:
    """Exchange two columns with their names."""
    a, b = _two_columns(file, rng)
    for row in file.rows:
        _swap(row, a, b)
    for i, line in enumerate(file.head):
        cells = line.split(",")
        if max(a, b) < len(cells):
            _swap(cells, a, b)
            file.head[i] = ",".join(cells)


def shift_rows(file: AreaFile, rng: np.random.Generator) -> None:
    """Move all values by half a day against their times."""
    at = _value_columns(file)
    n = 24 if len(file.rows) > 60 else 12
    moved = [[row[i] for i in at] for row in file.rows]
    for row, values in zip(file.rows, moved[n:] + moved[:n], strict=True):
        row[at[0] :] = values


def duplicate_row(file: AreaFile, rng: np.random.Generator) -> None:
    """Give a row twice."""
    at = _some_row(file, rng)
    file.rows.insert(at, list(file.rows[at]))


def duplicate_day(file: AreaFile, rng: np.random.Generator) -> None:
    """Give the first day twice."""
    n = 48 if len(file.rows) > 60 else 24
    file.rows[n:n] = [list(row) for row in file.rows[:n]]


def drop_row(file: AreaFile, rng: np.random.Generator) -> None:
    """Leave out a row in the middle."""
    del file.rows[_some_row(file, rng)]


def scale_column(file: AreaFile, rng: np.random.Generator) -> None:
    """Write one column in another unit."""
    factor = rng.choice([10.0, 1000.0, 0.1, 0.001])
    at = int(rng.choice(_value_columns(file)))
    for row in file.rows:
        _scale(row, at, factor)


def scale_all(file: AreaFile, rng: np.random.Generator) -> None:
    """Write all columns in another unit."""
    factor = rng.choice([10.0, 1000.0, 0.1, 0.001])
    for row in file.rows:
        for at in _value_columns(file):
            _scale(row, at, factor)


def _scale(row: list[str], at: int, factor: float) -> None:
    text = row[at].strip('"').replace(",", "")
    if text.lstrip("-").isdigit():
        row[at] = (
            f"{round(int(text) * factor, 6):g}" if factor < 1 else str(int(text) * int(factor))
        )


def mix_dates(file: AreaFile, rng: np.random.Generator) -> None:
    """Write dates of later rows with dashes."""
    for row in file.rows[_some_row(file, rng) :]:
        row[0] = row[0].replace("/", "-") if "/" in row[0] else f"{row[0][:4]}/{row[0][4:]}"


def exchange_day_and_month(file: AreaFile, rng: np.random.Generator) -> None:
    """Write day before month."""
    for row in file.rows:
        day, blank, clock = row[0].partition(" ")
        if day.count("/") == 2:
            year, month, number = day.split("/")
            row[0] = f"{year}/{number}/{month}{blank}{clock}"
        elif day:
            row[0] = day[:4] + day[6:] + day[4:6]


def change_year(file: AreaFile, rng: np.random.Generator) -> None:
    """Move later rows by a year."""
    for row in file.rows[_some_row(file, rng) :]:
        row[0] = row[0].replace("202", "201", 1)


def full_width(file: AreaFile, rng: np.random.Generator) -> None:
    """Write a number in full-width digits."""
    row = file.rows[_some_row(file, rng)]
    at = int(rng.choice(_value_columns(file)))
    row[at] = row[at].translate(str.maketrans("0123456789", "０１２３４５６７８９"))


def decimal_comma(file: AreaFile, rng: np.random.Generator) -> None:
    """Write a number with a decimal comma."""
    file.rows[_some_row(file, rng)][_value_columns(file)[3]] += ",5"


def strange_number(file: AreaFile, rng: np.random.Generator) -> None:
    """Write what is no plain number."""
    texts = ["1e5", "NaN", "inf", "9" * 30, "-", "#REF!", "0x10", "1_000", '"', '"5', "-99999999"]
    row = file.rows[_some_row(file, rng)]
    row[int(rng.choice(_value_columns(file)))] = str(rng.choice(texts))


def extra_column(file: AreaFile, rng: np.random.Generator) -> None:
    """Add a column to the rows."""
    for row in file.rows:
        row.insert(int(rng.integers(2, len(row))), "0")


def empty_line(file: AreaFile, rng: np.random.Generator) -> None:
    """Add an empty line among the rows."""
    file.rows.insert(_some_row(file, rng), [""])


def repeat_header(file: AreaFile, rng: np.random.Generator) -> None:
    """Add the header again among the rows."""
    file.rows.insert(_some_row(file, rng), file.head[-1].split(","))


def change_coding(file: AreaFile, rng: np.random.Generator) -> None:
    """Write in another encoding or with other line ends."""
    file.encoding = str(rng.choice(["utf-8", "utf-8-sig", "cp932", "utf-16"]))
    file.line_end = str(rng.choice(["\n", "\r\n"]))


CELL_DAMAGES: tuple[Damage, ...] = (
    swap_header,
    swap_columns,
    shift_rows,
    duplicate_row,
    duplicate_day,
    drop_row,
    scale_column,
    scale_all,
    mix_dates,
    exchange_day_and_month,
    change_year,
    full_width,
    decimal_comma,
    strange_number,
    extra_column,
    empty_line,
    repeat_header,
    change_coding,
)


def byte_damage(content: bytes, rng: np.random.Generator) -> bytes:
    """Return a file's content cut off, overwritten, or replaced by something else."""
    at = int(rng.integers(0, len(content)))
    options = [
        content[:at],
        content[:at] + b"\0" + content[at:],
        content[:at] + bytes([int(rng.integers(128, 256))]) + content[at:],
        content.decode("cp932", "replace").encode("utf-8", "replace"),
        content.decode("latin-1").encode("utf-8"),
        b"PK\x03\x04" + content,
        b"%PDF-1.7" + content,
        b"<html><body>403</body></html>",
        content.replace(b"\r\n", b"\r"),
        content + content,
        b"",
    ]
    return options[int(rng.integers(len(options)))]


def outcome(
    format_: Format, file: AreaFile, content: bytes | None = None, *, area: str | None = None
) -> str:
    """Return ``error: …``, ``right`` or ``WRONG: …`` for a file as it stands; others escape."""
    path = file.write()
    if content is not None:
        path.write_bytes(content)
    source = SourceFile.load(path)
    if format_.sign(source) is None:
        return "error: not recognised"
    try:
        (table,) = format_.read(source, ReadOptions(area=area))
    except DataError as err:
        named = file.name in str(err)
        return f"error: {err}" if named else f"WRONG: no file named in {err}"
    problem = wrong_where(table, file.truth)
    return f"WRONG: {problem}" if problem else "right"

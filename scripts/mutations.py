"""Ways in which official files arrive damaged: each takes the bytes of a file and a seed."""

import gzip
import io
import random
import re
import zipfile
from collections.abc import Callable
from decimal import Decimal, InvalidOperation

Bytes = Callable[[bytes, random.Random], bytes]
Lines = Callable[[list[str], random.Random], list[str]]

_NUMBER = re.compile(r"-?\d+(\.\d+)?")
_DATE = re.compile(r"(20\d\d)([/-]?)(\d{1,2})\2(\d{1,2})(?!\d)")
_BLOCK = 48


class Undamageable(Exception):
    """The kind of damage does not apply to the file."""


def _decode(content: bytes) -> tuple[str, str]:
    for encoding in ("utf-8", "cp932"):
        try:
            return content.decode(encoding), encoding
        except UnicodeDecodeError:
            continue
    raise Undamageable("not text")


def _text(change: Callable[[str, random.Random], str]) -> Bytes:
    def mutate(content: bytes, rng: random.Random) -> bytes:
        text, encoding = _decode(content)
        return change(text, rng).encode(encoding, errors="replace")

    return mutate


def _delimiter(lines: list[str]) -> str:
    counts = {mark: sum(line.count(mark) for line in lines) for mark in ",;\t"}
    mark = max(counts, key=lambda one: counts[one])
    if not counts[mark] or lines[0].lstrip().startswith(("{", "[", "<")):
        raise Undamageable("no columns")
    return mark


def _first_row(lines: list[str], mark: str) -> int:
    """Return where the rows begin: after the last line of the head with no number in it."""
    for at, line in enumerate(lines):
        cells = [cell.strip().strip('"') for cell in line.split(mark)]
        if sum(bool(_NUMBER.fullmatch(cell)) for cell in cells[1:]) >= max(1, len(cells) // 3):
            return at
    raise Undamageable("no rows of numbers")


def _rows(change: Lines) -> Bytes:
    """Damage the rows below the header, given as a list of lines."""

    def mutate(text: str, rng: random.Random) -> str:
        lines = text.split("\n")
        first = _first_row(lines, _delimiter(lines))
        stop = len(lines) - (not lines[-1].strip())
        rows = lines[first:stop]
        if len(rows) < 4:
            raise Undamageable("too few rows")
        return "\n".join([*lines[:first], *change(rows, rng), *lines[stop:]])

    return _text(mutate)


def _cells(change: Callable[[list[list[str]], random.Random], None]) -> Bytes:
    """Damage the cells below the header, in place; quotes stay around what was quoted."""

    def mutate_rows(rows: list[str], rng: random.Random) -> list[str]:
        mark = _delimiter(rows)
        table = [row.rstrip("\r").split(mark) for row in rows]
        end = "\r" if rows[0].endswith("\r") else ""
        change(table, rng)
        return [mark.join(row) + end for row in table]

    return _rows(mutate_rows)


MANY = 10
"""Distinct values from which a column shows that it was multiplied; see `check_tick`."""


def _numeric_columns(
    table: list[list[str]], *, at_least: int = 2, at_most: int = 1_000_000
) -> list[int]:
    """Return the columns of so many distinct numbers, without dates, times and slots."""
    found = []
    for at in range(2, min(len(row) for row in table)):
        values = {row[at].strip().strip('"') for row in table}
        numbers = {value for value in values if _NUMBER.fullmatch(value)}
        is_numeric = len(numbers) >= len(values) - 2
        if is_numeric and at_least <= len(numbers - {"0", "0.0", "0.00"}) <= at_most:
            found.append(at)
    if not found:
        raise Undamageable("no columns of numbers")
    return found


def _times(cell: str, factor: Decimal) -> str:
    bare = cell.strip().strip('"')
    if not _NUMBER.fullmatch(bare):
        return cell
    try:
        scaled = Decimal(bare) * factor
    except InvalidOperation:
        return cell
    return cell.replace(bare, f"{scaled:f}")


def _scaled(factor: str, *, whole_file: bool = False, few: bool = False) -> Bytes:
    def change(table: list[list[str]], rng: random.Random) -> None:
        span = {"at_most": MANY - 1} if few else {} if whole_file else {"at_least": MANY}
        columns = _numeric_columns(table, **span)
        for at in columns if whole_file else [rng.choice(columns)]:
            for row in table:
                row[at] = _times(row[at], Decimal(factor))

    return _cells(change)


def _swap_columns(*, header: bool, values: bool) -> Bytes:
    def mutate(text: str, rng: random.Random) -> str:
        lines = text.split("\n")
        mark = _delimiter(lines)
        first = _first_row(lines, mark)
        width = len(lines[first].split(mark))
        if first < 1 or width < 2:
            raise Undamageable("no header")
        one, two = rng.sample(range(width), 2)
        names = lines[first - 1].rstrip("\r").split(mark)
        if header and (len(names) != width or names[one] == names[two]):
            raise Undamageable("a header of several lines")
        for at, line in enumerate(lines):
            cells = line.rstrip("\r").split(mark)
            is_touched = header if at == first - 1 else values and at >= first
            if is_touched and len(cells) == width:
                cells[one], cells[two] = cells[two], cells[one]
                lines[at] = mark.join(cells) + ("\r" if line.endswith("\r") else "")
        return "\n".join(lines)

    return _text(mutate)


def _swap_values(table: list[list[str]], rng: random.Random) -> None:
    columns = _numeric_columns(table)
    if len(columns) < 2:
        raise Undamageable("one column")
    one, two = rng.sample(columns, 2)
    for row in table:
        row[one], row[two] = row[two], row[one]


def _shift_column(table: list[list[str]], rng: random.Random) -> None:
    at, by = rng.choice(_numeric_columns(table)), rng.randint(1, 3)
    values = [row[at] for row in table]
    for row, value in zip(table, values[-by:] + values[:-by], strict=True):
        row[at] = value


def _one_cell(value: str) -> Bytes:
    def change(table: list[list[str]], rng: random.Random) -> None:
        row = rng.choice(table)
        row[rng.choice(_numeric_columns(table))] = value

    return _cells(change)


def _shift_cells(table: list[list[str]], rng: random.Random) -> None:
    row = rng.choice(table)
    at = rng.randrange(len(row))
    if rng.random() < 0.5:
        row.insert(at, "")
    else:
        del row[at]


def _move_rows(rows: list[str], rng: random.Random) -> list[str]:
    size = rng.randint(1, max(1, len(rows) // 4))
    at = rng.randrange(len(rows) - size)
    block, rest = rows[at : at + size], rows[:at] + rows[at + size :]
    to = rng.choice([i for i in range(len(rest) + 1) if i != at])
    return rest[:to] + block + rest[to:]


def _double_rows(rows: list[str], rng: random.Random) -> list[str]:
    at = rng.randrange(len(rows))
    return rows[: at + 1] + rows[at:]


def _double_day(rows: list[str], rng: random.Random) -> list[str]:
    size = min(_BLOCK, len(rows))
    at = rng.randrange(len(rows) - size + 1)
    return rows[: at + size] + rows[at:]


def _drop_rows(rows: list[str], rng: random.Random) -> list[str]:
    at, size = rng.randrange(1, len(rows) - 2), rng.randint(1, 3)
    return rows[:at] + rows[at + size :]


def _insert(what: Callable[[list[str]], str]) -> Lines:
    def change(rows: list[str], rng: random.Random) -> list[str]:
        at = rng.randrange(1, len(rows))
        return [*rows[:at], what(rows), *rows[at:]]

    return change


def _redate(how: Callable[[re.Match[str]], str], *, some: bool) -> Lines:
    def change(rows: list[str], rng: random.Random) -> list[str]:
        if not _DATE.search(rows[0]):
            raise Undamageable("no dates")
        chosen = set(rng.sample(range(len(rows)), len(rows) // 3) if some else range(len(rows)))
        return [_DATE.sub(how, r, count=1) if i in chosen else r for i, r in enumerate(rows)]

    return change


def _day_first(match: re.Match[str]) -> str:
    return f"{match[4]}/{match[3]}/{match[1]}"


def _other_separator(match: re.Match[str]) -> str:
    separator = "-" if match[2] != "-" else "/"
    return f"{match[1]}{separator}{int(match[3]):02d}{separator}{int(match[4]):02d}"


def _day_for_month(match: re.Match[str]) -> str:
    return f"{match[1]}{match[2]}{match[4]}{match[2]}{match[3]}"


def _another_year(rows: list[str], rng: random.Random) -> list[str]:
    at = rng.randrange(1, len(rows))
    return [
        _DATE.sub(lambda m: m[0].replace(m[1], str(int(m[1]) + 1)), row, count=1)
        if i >= at
        else row
        for i, row in enumerate(rows)
    ]


def _truncate(content: bytes, rng: random.Random) -> bytes:
    return content[: rng.randrange(len(content))]


def _truncate_at_line(text: str, rng: random.Random) -> str:
    lines = text.split("\n")
    return "\n".join(lines[: rng.randrange(1, max(2, len(lines)))]) + "\n"


def _noise(content: bytes, rng: random.Random) -> bytes:
    damaged = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        damaged[rng.randrange(len(damaged))] = rng.choice([*range(1, 9), *range(0x80, 0x100)])
    return bytes(damaged)


def _nul(content: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(content))
    return content[:at] + b"\0" * rng.randint(1, 4) + content[at + rng.randint(0, 1) :]


def _zip(content: bytes, rng: random.Random) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("data.csv", content)
    return packed.getvalue()


def _encoded(encoding: str) -> Bytes:
    def mutate(content: bytes, rng: random.Random) -> bytes:
        return _decode(content)[0].encode(encoding, errors="replace")

    return mutate


def _mojibake(content: bytes, rng: random.Random) -> bytes:
    text = content.decode("cp1252", errors="replace")
    return text.encode("utf-8")


def _full_width(table: list[list[str]], rng: random.Random) -> None:
    row, columns = rng.choice(table), _numeric_columns(table)
    at = rng.choice(columns)
    row[at] = row[at].translate({ord("0") + i: 0xFF10 + i for i in range(10)})


def _decimal_comma(table: list[list[str]], rng: random.Random) -> None:
    for row in table:
        for at in _numeric_columns(table):
            row[at] = row[at].replace(".", ",")


def _thousands(table: list[list[str]], rng: random.Random) -> None:
    at = rng.choice(_numeric_columns(table))
    for row in table:
        row[at] = re.sub(r"(?<=\d)(?=(\d{3})+(\.|$))", ",", row[at])


def _extra_column(table: list[list[str]], rng: random.Random) -> None:
    at = rng.randrange(len(table[0]) + 1)
    for row in table:
        row.insert(at, "1")


MUTATIONS: dict[str, Bytes] = {
    "columns swapped, with header": _swap_columns(header=True, values=True),
    "header names swapped": _swap_columns(header=True, values=False),
    "one column × 10": _scaled("10"),
    "one column × 1000": _scaled("1000"),
    "one column ÷ 10": _scaled("0.1"),
    "one column ÷ 1000": _scaled("0.001"),
    "all columns × 10": _scaled("10", whole_file=True),
    "all columns × 1000": _scaled("1000", whole_file=True),
    "all columns ÷ 10": _scaled("0.1", whole_file=True),
    "all columns ÷ 1000": _scaled("0.001", whole_file=True),
    "rows moved": _rows(_move_rows),
    "cells of a row shifted": _cells(_shift_cells),
    "row doubled": _rows(_double_rows),
    "day doubled": _rows(_double_day),
    "rows dropped": _rows(_drop_rows),
    "whole file twice": lambda content, _: content + content,
    "some dates day first": _rows(_redate(_day_first, some=True)),
    "all dates day first": _rows(_redate(_day_first, some=False)),
    "some dates with other separators": _rows(_redate(_other_separator, some=True)),
    "some days for months": _rows(_redate(_day_for_month, some=True)),
    "later rows in another year": _rows(_another_year),
    "byte-order mark": lambda content, _: b"\xef\xbb\xbf" + content,
    "UTF-8": _encoded("utf-8"),
    "UTF-16": _encoded("utf-16"),
    "EUC-JP": _encoded("euc_jp"),
    "mojibake": _mojibake,
    "bytes overwritten": _noise,
    "truncated": _truncate,
    "truncated after a line": _text(_truncate_at_line),
    "NUL bytes": _nul,
    "zip": _zip,
    "gzip": lambda content, _: gzip.compress(content, mtime=0),
    "web page": lambda content, _: b"<!DOCTYPE html><html><body>" + content,
    "PDF": lambda content, _: b"%PDF-1.7\n" + content,
    "nothing": lambda content, _: b"",
    "LF": _text(lambda text, _: text.replace("\r\n", "\n")),
    "CRLF": _text(lambda text, _: text.replace("\r\n", "\n").replace("\n", "\r\n")),
    "CR alone": _text(lambda text, _: text.replace("\r\n", "\n").replace("\n", "\r")),
    "full-width digits": _cells(_full_width),
    "decimal commas": _cells(_decimal_comma),
    "thousands separators": _cells(_thousands),
    "extra column": _cells(_extra_column),
    "empty line": _rows(_insert(lambda rows: "")),
    "line of separators": _rows(_insert(lambda rows: re.sub(r"[^,;\t]", "", rows[0]))),
    "repeated first row": _rows(_insert(lambda rows: rows[0])),
    "text in a cell": _one_cell("n/a"),
    "1e5 in a cell": _one_cell("1e5"),
    "NaN in a cell": _one_cell("NaN"),
    "inf in a cell": _one_cell("-inf"),
    "huge number": _one_cell("987654321098765"),
    "quote in a cell": _one_cell('12"3'),
}
"""Damage that one file can show."""

UNDETECTABLE: dict[str, Bytes] = {
    "values of two columns exchanged": _cells(_swap_values),
    "one column shifted by rows": _cells(_shift_column),
    "one column of few values × 10": _scaled("10", few=True),
}
"""Damage that leaves a plausible official file where the file has no redundancy."""

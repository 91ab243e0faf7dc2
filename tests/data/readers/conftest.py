"""Files in the publishers' exact formats, with synthetic values."""

import random
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest

from gridhash.data.readers.formats import Format, ReadOptions
from gridhash.data.readers.source_file import SourceFile
from gridhash.data.source_table import SourceTable
from gridhash.errors import DataError

JEPX_AREAS = "hokkaido tohoku tokyo chubu hokuriku kansai chugoku shikoku kyushu".split()  # noqa: SIM905
JEPX_HEADER = (
    "受渡日,時刻コード,売り入札量(kWh),買い入札量(kWh),約定総量(kWh),システムプライス(円/kWh),"
    "エリアプライス北海道(円/kWh),エリアプライス東北(円/kWh),エリアプライス東京(円/kWh),"
    "エリアプライス中部(円/kWh),エリアプライス北陸(円/kWh),エリアプライス関西(円/kWh),"
    "エリアプライス中国(円/kWh),エリアプライス四国(円/kWh),エリアプライス九州(円/kWh),"
    "売りブロック入札総量(kWh),売りブロック約定総量(kWh),買いブロック入札総量(kWh),"
    "買いブロック約定総量(kWh)"
)


@dataclass
class JepxFile:
    """A spot summary whose area prices count up from `prices`."""

    folder: Path
    header: str = JEPX_HEADER
    rows: list[list[str]] = field(default_factory=list)

    def add_day(self, day: date, prices: Sequence[str]) -> None:
        """Add 48 slots; each area from Hokkaido west is 0.01 dearer than the one before it."""
        for slot, price in enumerate(prices, 1):
            areas = [f"{float(price) + 0.01 * i:.2f}" if i else price for i in range(9)]
            system = f"{9 + 0.13 * slot:.2f}"
            bids = [f"{17_694_200 + 1_050 * slot}", f"{15_655_300 + 950 * slot}"]
            blocks = [4_992_400 + 50 * slot, 1_315_100 - 50 * slot, 1_037_200, 715_100]
            self.rows.append(
                [
                    *(f"{day:%Y/%m/%d}", str(slot), *bids, f"{13_346_500 - 850 * slot}", system),
                    *areas,
                    *map(str, blocks),
                ]
            )

    def write(self, *, encoding: str = "cp932", name: str = "spot_summary_2024.csv") -> Path:
        """Write the file with CRLF line ends, as the exchange does."""
        path = self.folder / name
        text = "\r\n".join([self.header, *(",".join(row) for row in self.rows)]) + "\r\n"
        path.write_bytes(text.encode(encoding))
        return path


@pytest.fixture
def jepx(tmp_path: Path) -> JepxFile:
    """Return two days, 2024-04-01 and -02, whose Hokkaido price is 10.00, 10.11 … 20.45."""
    file = JepxFile(tmp_path)
    for day in (0, 1):
        numbers = range(48 * day, 48 * day + 48)
        file.add_day(
            date(2024, 4, 1) + timedelta(days=day), [f"{10 + 0.11 * i:.2f}" for i in numbers]
        )
    return file


def wall_hours(first: date, n_days: int) -> Iterator[tuple[date, int]]:
    """Yield day and hour of wall time in Berlin, with the days of 23 and 25 hours of 2018."""
    for day in (first + timedelta(days=i) for i in range(n_days)):
        for hour in range(24):
            if (day, hour) == (date(2018, 3, 25), 2):
                continue
            yield day, hour
            if (day, hour) == (date(2018, 10, 28), 2):
                yield day, hour


def english(day: date, hour: int, minute: int = 0) -> tuple[str, str]:
    """Return day and time as SMARD writes them."""
    return (
        f"{day:%b} {day.day}, {day.year}",
        f"{hour % 12 or 12}:{minute:02d} {'PM' if hour >= 12 else 'AM'}",
    )


WriteSmard = Callable[..., Path]


@pytest.fixture
def write_smard(tmp_path: Path) -> WriteSmard:
    """Return a writer of SMARD files of the 2018 layout; prices are 10.57, 11.57 … EUR/MWh."""

    def write(
        first: date,
        n_days: int,
        *,
        zones: Sequence[str] = ("Netherlands",),
        drop: Sequence[int] = (),
        swap: tuple[int, int] | None = None,
        repeat: int | None = None,
        cells: dict[int, str] | None = None,
    ) -> Path:
        rows = []
        for i, (day, hour) in enumerate(wall_hours(first, n_days)):
            price = (cells or {}).get(i, f"{10.57 + i:.2f}")
            rows.append(";".join([*english(day, hour), *([price] * len(zones))]))
        if swap is not None:
            rows[swap[0]], rows[swap[1]] = rows[swap[1]], rows[swap[0]]
        if repeat is not None:
            rows.insert(repeat, rows[repeat])
        rows = [row for i, row in enumerate(rows) if i not in drop]
        header = ";".join(["Date", "Time of day", *(f"{zone}[€/MWh]" for zone in zones)])
        path = tmp_path / "Day-ahead_prices.csv"
        path.write_bytes(("\n".join([header, *rows]) + "\n").encode("utf-8-sig"))
        return path

    return write


Read = Callable[..., tuple[SourceTable, ...]]


@pytest.fixture
def read_market() -> Read:
    """Return a reader of content under a name, by the one of the formats whose sign it bears."""

    def read(
        formats: Sequence[Format], name: str, content: bytes | str, **options: str
    ) -> tuple[SourceTable, ...]:
        data = content.encode() if isinstance(content, str) else content
        file = SourceFile(Path(name), data)
        signed = [format for format in formats if format.sign(file)]
        if len(signed) != 1:
            raise DataError(f"{name}: {len(signed)} formats bear this sign")
        return signed[0].read(file, ReadOptions(**options))

    return read


@dataclass(frozen=True)
class Fuzz:
    """Damages a delimited file in many ways; each is refused, or read as it was before."""

    read: Read

    def __call__(
        self,
        formats: Sequence[Format],
        name: str,
        content: str,
        *,
        delimiter: str = ",",
        header_line: int = 1,
        skip: Sequence[str] = (),
        n: int = 200,
        **options: str,
    ) -> Counter[str]:
        """Return how many were refused and read; fails where a table came out wrong."""
        truth = {t.dataset: t for t in self.read(formats, name, content, **options)}
        rng = random.Random(20240401)
        kinds = [kind for kind in MUTATIONS if kind not in skip]
        outcomes: Counter[str] = Counter()
        for i in range(n):
            kind = kinds[i % len(kinds)]
            damaged = MUTATIONS[kind](content, delimiter, header_line, rng)
            try:
                tables = self.read(formats, name, damaged, **options)
            except DataError:
                outcomes["refused"] += 1
                continue
            for table in tables:
                assert is_part_of(table, truth), f"{kind} (case {i}) gives a wrong {table!r}"
            outcomes["read"] += 1
        return outcomes


def is_part_of(table: SourceTable, truth: dict[str, SourceTable]) -> bool:
    """Return whether every value of a table stands in the truth at the same start."""
    if table.dataset not in truth:
        return False
    whole = truth[table.dataset]
    if not set(table.columns) <= set(whole.columns) or not table.starts.isin(whole.starts).all():
        return False
    found = table.frame.to_numpy()
    expected = whole.frame.loc[table.starts, table.columns].to_numpy()
    known = ~np.isnan(found)
    return bool((found[known] == expected[known]).all())


def _parts(text: str, header_line: int) -> tuple[list[str], list[str]]:
    lines = text.split("\n")
    return lines[:header_line], lines[header_line:-1]


def _join(head: list[str], rows: list[str]) -> str:
    return "\n".join([*head, *rows, ""])


def _on_rows(change: Callable[[list[str], random.Random], list[str]]) -> "Mutation":
    def mutate(text: str, delimiter: str, header_line: int, rng: random.Random) -> str:
        head, rows = _parts(text, header_line)
        return _join(head, change(rows, rng))

    return mutate


def _drop(rows: list[str], rng: random.Random) -> list[str]:
    at = rng.randrange(len(rows))
    return rows[:at] + rows[at + 1 :]


def _double(rows: list[str], rng: random.Random) -> list[str]:
    at = rng.randrange(len(rows))
    return rows[: at + 1] + rows[at:]


def _swap(rows: list[str], rng: random.Random) -> list[str]:
    at = rng.randrange(len(rows) - 1)
    return [*rows[:at], rows[at + 1], rows[at], *rows[at + 2 :]]


def _insert(what: str) -> Callable[[list[str], random.Random], list[str]]:
    def insert(rows: list[str], rng: random.Random) -> list[str]:
        at = rng.randrange(1, len(rows))
        return [*rows[:at], what, *rows[at:]]

    return insert


def _years(rows: list[str], rng: random.Random) -> list[str]:
    at = rng.randrange(1, len(rows))
    return rows[:at] + [re.sub(r"20(\d\d)", lambda m: f"20{int(m[1]) + 1}", r) for r in rows[at:]]


def _cell(value: str) -> "Mutation":
    def mutate(text: str, delimiter: str, header_line: int, rng: random.Random) -> str:
        head, rows = _parts(text, header_line)
        at = rng.randrange(len(rows))
        cells = rows[at].split(delimiter)
        cells[rng.randrange(len(cells))] = value
        rows[at] = delimiter.join(cells)
        return _join(head, rows)

    return mutate


def _column(change: Callable[[str], str]) -> "Mutation":
    def mutate(text: str, delimiter: str, header_line: int, rng: random.Random) -> str:
        head, rows = _parts(text, header_line)
        cells = [row.split(delimiter) for row in rows]
        numeric = [
            i
            for i in range(len(cells[0]))
            if sum(bool(re.fullmatch(r"-?\d+\.\d+", row[i])) for row in cells) > 1
        ]
        at = rng.choice(numeric)
        for row in cells:
            row[at] = change(row[at])
        return _join(head, [delimiter.join(row) for row in cells])

    return mutate


def _times(factor: float) -> "Mutation":
    def change(cell: str) -> str:
        is_number = re.fullmatch(r"-?\d+(\.\d+)?", cell)
        return f"{round(float(cell) * factor, 9):.9f}".rstrip("0") + "0" if is_number else cell

    return _column(change)


def _swap_columns(*, header: bool, values: bool) -> "Mutation":
    def mutate(text: str, delimiter: str, header_line: int, rng: random.Random) -> str:
        head, rows = _parts(text, header_line)
        one, two = rng.sample(range(len(head[-1].split(delimiter))), 2)

        def swapped(line: str) -> str:
            cells = line.split(delimiter)
            cells[one], cells[two] = cells[two], cells[one]
            return delimiter.join(cells)

        if header:
            head = [*head[:-1], swapped(head[-1])]
        return _join(head, [swapped(row) for row in rows] if values else rows)

    return mutate


def _truncate(text: str, delimiter: str, header_line: int, rng: random.Random) -> str:
    return text[: rng.randrange(len(text))]


def _character(characters: str) -> "Mutation":
    def mutate(text: str, delimiter: str, header_line: int, rng: random.Random) -> str:
        at = rng.randrange(len(text))
        return text[:at] + rng.choice(characters) + text[at + 1 :]

    return mutate


def _full_width(text: str, delimiter: str, header_line: int, rng: random.Random) -> str:
    head, rows = _parts(text, header_line)
    at = rng.randrange(len(rows))
    rows[at] = rows[at].translate({ord("0") + i: chr(0xFF10 + i) for i in range(10)})
    return _join(head, rows)


def _whole(change: Callable[[str], str]) -> "Mutation":
    def mutate(text: str, delimiter: str, header_line: int, rng: random.Random) -> str:
        return change(text)

    return mutate


Mutation = Callable[[str, str, int, random.Random], str]

MUTATIONS: dict[str, Mutation] = {
    "drop a row": _on_rows(_drop),
    "double a row": _on_rows(_double),
    "swap two rows": _on_rows(_swap),
    "empty line": _on_rows(_insert("")),
    "year of later rows": _on_rows(_years),
    "repeat the header": lambda t, d, h, r: _on_rows(_insert(_parts(t, h)[0][-1]))(t, d, h, r),
    "double all rows": _on_rows(lambda rows, _: rows + rows),
    "1e5": _cell("1e5"),
    "huge": _cell("98765432109.87"),
    "NaN": _cell("NaN"),
    "inf": _cell("-inf"),
    "word": _cell("n/a"),
    "quote": _character('"'),
    "sign": _character("+;,:/ -"),
    "NUL": _character("\0"),
    "mojibake": _character("\u7e5d\ufffd\u00e9"),
    "full width": _full_width,
    "decimal comma": _column(lambda cell: cell.replace(".", ",")),
    "times 10": _times(10),
    "times 1000": _times(1000),
    "a tenth": _times(0.1),
    "a thousandth": _times(0.001),
    "swap header": _swap_columns(header=True, values=False),
    "swap columns": _swap_columns(header=True, values=True),
    "swap values": _swap_columns(header=False, values=True),
    "truncate": _truncate,
    "extra column": _whole(lambda text: text.replace("\n", ",1\n")),
    "BOM": _whole(lambda text: "\ufeff" + text),
    "CRLF": _whole(lambda text: text.replace("\r\n", "\n").replace("\n", "\r\n")),
    "LF": _whole(lambda text: text.replace("\r\n", "\n")),
    "web page": _whole(lambda text: "<html><body>" + text),
    "zip": _whole(lambda text: "PK\x03\x04" + text),
}
"""Ways in which files arrive damaged, by name."""


@pytest.fixture
def fuzz(read_market: Read) -> Fuzz:
    """Return what damages a file in many ways and checks what is read from each."""
    return Fuzz(read_market)

"""Files in the publishers' exact formats, with synthetic values."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

import pytest

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
    """A spot summary whose system price is 1 and whose area prices count up from `prices`."""

    folder: Path
    header: str = JEPX_HEADER
    rows: list[list[str]] = field(default_factory=list)

    def add_day(self, day: date, prices: Sequence[str]) -> None:
        """Add 48 slots; the areas west of Hokkaido are 1, 2, … dearer by a hundred of yen."""
        for slot, price in enumerate(prices, 1):
            areas = [f"{float(price) + 0.01 * i:.2f}" if i else price for i in range(9)]
            cells = [f"{day:%Y/%m/%d}", str(slot), "17694200", "15655300", "13346500", "1.00"]
            self.rows.append([*cells, *areas, "4992400", "1315100", "", ""])

    def write(self, *, encoding: str = "cp932", name: str = "spot_summary_2024.csv") -> Path:
        """Write the file with CRLF line ends, as the exchange does."""
        path = self.folder / name
        text = "\r\n".join([self.header, *(",".join(row) for row in self.rows)]) + "\r\n"
        path.write_bytes(text.encode(encoding))
        return path


@pytest.fixture
def jepx(tmp_path: Path) -> JepxFile:
    """Return two days, 2024-04-01 and -02, whose Hokkaido price is 10.00, 10.10 … 19.50."""
    file = JepxFile(tmp_path)
    for day in (0, 1):
        numbers = range(48 * day, 48 * day + 48)
        file.add_day(
            date(2024, 4, 1) + timedelta(days=day), [f"{10 + i / 10:.2f}" for i in numbers]
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
    """Return a writer of SMARD files of the 2018 layout; prices are 10.5, 11.5 … EUR/MWh."""

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
            price = (cells or {}).get(i, f"{10.5 + i}")
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

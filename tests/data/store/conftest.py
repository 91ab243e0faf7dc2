"""Small tables in the shape of area prices and supply, and an empty store."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gridhash.data.source_table import Origin, SourceTable
from gridhash.data.store.store import Store
from gridhash.time_grid import grid

MakeTable = Callable[..., SourceTable]


@pytest.fixture
def now() -> datetime:
    return datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store", lock_wait_s=0.2)


@pytest.fixture
def make_table() -> MakeTable:
    """Return what makes half-hourly tables of price and demand that depend on the instant alone."""

    def make(
        start: str = "2024-04-01T00:00Z",
        hours: float = 24,
        *,
        columns: tuple[str, ...] = ("price_per_kwh@kyushu", "demand_kw@kyushu"),
        changes: dict[tuple[int, str], float] | None = None,
        drop: list[int] | None = None,
        file_name: str = "a.csv",
        dataset: str = "area-kyushu",
        currency: str | None = "JPY",
        period_s: int | None = 1800,
        known_after_s: int = 1800,
        publisher: str = "japanese-utility",
    ) -> SourceTable:
        first = pd.Timestamp(start)
        index = grid(first, first + pd.Timedelta(hours=hours), period_s or 1800)
        phase = index.asi8 / 86400 * 2 * np.pi
        frame = pd.DataFrame(
            {
                name: np.round(10 + 5 * np.sin(phase + i), 2) * (1000.0 if "_kw@" in name else 1.0)
                for i, name in enumerate(columns)
            },
            index=index,
        )
        for (row, column), value in (changes or {}).items():
            frame.loc[index[row], column] = value
        frame = frame.drop(index=index[drop or []])
        kept = pd.DatetimeIndex(frame.index)
        published = kept.normalize() - pd.Timedelta(hours=14)
        measured = kept + pd.Timedelta(seconds=known_after_s)
        return SourceTable(
            dataset=dataset,
            frame=frame,
            period_s=period_s,
            currency=currency,
            origins=(Origin(publisher, file_name, f"{abs(hash(file_name)):064x}"),),
            available_at={n: published if n.startswith("price") else measured for n in columns},
        )

    return make

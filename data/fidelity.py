"""How close synthetic Japanese years come to real ones: every statistic with target and tolerance.

Targets and tolerances lie in ``data/samples/fidelity_targets.json`` with how they were derived.
One draw covers the calendar of the price tables, 1 April 2023 to 23 August 2026, so that seasons,
holidays and the length of the sample weigh on both sides alike; for curtailment, temperature and
hashprice it is three whole calendar years of the same draw.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from gridhash.data.fidelity_statistics import (
    curtailment_statistics,
    hashprice_statistics,
    mean_of,
    pooled_price_statistics,
    seasonal_profile,
    temperature_statistics,
    yearly_price_statistics,
)
from gridhash.data.readers.jepx import PERIOD_S, TIMEZONE
from gridhash.data.synthetic import JapanYear, areas, draw_year
from gridhash.errors import DataError
from gridhash.time_grid import grid

Array = npt.NDArray[np.float64]

TARGET_FILE = "fidelity_targets.json"
FISCAL_YEARS = (2023, 2024, 2025, 2026)
PRICES_END = (2026, 8, 24)
CALENDAR_YEARS = (2024, 2025, 2026)
PAIR_PREFIX = "price correlation with "
PROFILE = "profile by season and slot, rms difference"


@dataclass(frozen=True)
class Check:
    """One statistic: achieved is the mean over the seeds, spread their standard deviation."""

    name: str
    target: float
    achieved: float
    spread: float
    tolerance: float

    @property
    def passes(self) -> bool:
        """Whether the mean over the seeds lies within the tolerance of the target."""
        return abs(self.achieved - self.target) <= self.tolerance


@dataclass(frozen=True)
class FidelityReport:
    """All statistics of an area."""

    area: str
    n_seeds: int
    checks: tuple[Check, ...]

    @property
    def failures(self) -> tuple[Check, ...]:
        """What lies outside its tolerance."""
        return tuple(check for check in self.checks if not check.passes)

    @property
    def passes(self) -> bool:
        """Whether every statistic lies within its tolerance."""
        return not self.failures

    def __str__(self) -> str:
        """Return a table in plain text."""
        lines = [f"{self.area}, {self.n_seeds} seeds: {len(self.failures)} outside"]
        for check in self.checks:
            lines.append(
                f"{check.name:44s} target {check.target:9.3f} achieved {check.achieved:9.3f} "
                f"± {check.spread:7.3f} tolerance {check.tolerance:7.3f} "
                f"{'pass' if check.passes else 'FAIL'}"
            )
        return "\n".join(lines)


def fidelity(area: str, seeds: Sequence[int] = range(20)) -> FidelityReport:
    """Return the report of an area over the given seeds, at least two.

    Raises
    ------
    DataError
        If the area is unknown or there are fewer than two seeds.
    """
    if area not in areas():
        raise DataError(f"no synthetic area {area!r}; choose one of {', '.join(areas())}")
    if len(seeds) < 2:
        raise DataError(f"{len(seeds)} seed(s) have no spread; give at least two")
    entry = targets(area)
    found = pd.DataFrame([statistics(area, seed) for seed in seeds])
    checks = [
        Check(
            name,
            target,
            float(found[name].mean()) if name in found else float("nan"),
            float(found[name].std()) if name in found else float("nan"),
            tolerance,
        )
        for name, (target, tolerance) in entry["targets"].items()
    ]
    profiles = np.mean([draw_profile(area, seed) for seed in seeds], axis=0)
    distance = np.sqrt(((profiles - np.array(entry["profile"]["mean"])) ** 2).mean())
    checks.append(Check(PROFILE, 0.0, float(distance), 0.0, entry["profile"]["rms_tolerance"]))
    return FidelityReport(area, len(seeds), tuple(checks))


def targets(area: str) -> dict[str, Any]:
    """Return the targets of an area as the file holds them."""
    entry: dict[str, Any] = target_file()["areas"][area]
    return entry


@cache
def target_file() -> dict[str, Any]:
    """Return the committed targets."""
    text = (resources.files("gridhash.data.samples") / TARGET_FILE).read_text(encoding="utf-8")
    values: dict[str, Any] = json.loads(text)
    return values


def statistics(area: str, seed: int) -> dict[str, float]:
    """Return every statistic of one draw."""
    years = draw_years(area, seed)
    starts, price = price_span(years)
    found = yearly_price_statistics(starts, price) | pooled_price_statistics(starts, price)
    found |= {
        name: float(np.corrcoef(price, price_span(draw_years(other, seed))[1])[0, 1])
        for name in targets(area)["targets"]
        if name.startswith(PAIR_PREFIX)
        for other in [name.removeprefix(PAIR_PREFIX)]
    }
    hours, hourly_price, power, temp_c = hourly_span(years)
    found |= curtailment_statistics(hours, hourly_price, power)
    found |= mean_of([temperature_statistics(hours, temp_c)])
    paths = [year.hashprice for year in years if year.hashprice is not None]
    return found | mean_of(
        hashprice_statistics(path.usd_per_phs_day, path.retargets) for path in paths
    )


@cache
def draw_years(area: str, seed: int) -> tuple[JapanYear, ...]:
    """Return the fiscal years of one draw."""
    return tuple(draw_year(area=area, fiscal_year_start=year, seed=seed) for year in FISCAL_YEARS)


def draw_profile(area: str, seed: int) -> Array:
    """Return the mean price by season and slot of one draw [4, 48]."""
    return seasonal_profile(*price_span(draw_years(area, seed)))


def price_span(years: Iterable[JapanYear]) -> tuple[pd.DatetimeIndex, Array]:
    """Return the starts and prices of the span that the tables cover."""
    price = np.concatenate([year.price_jpy_per_kwh for year in years])
    starts = grid(
        pd.Timestamp(FISCAL_YEARS[0], 4, 1, tz=TIMEZONE),
        pd.Timestamp(*PRICES_END, tz=TIMEZONE),
        PERIOD_S,
    )
    return starts, price[: len(starts)]


def hourly_span(
    years: Sequence[JapanYear],
) -> tuple[pd.DatetimeIndex, Array, Array, Array]:
    """Return starts, price, curtailed MW and temperature of the hours of the calendar years."""
    first = pd.Timestamp(FISCAL_YEARS[0], 4, 1, tz=TIMEZONE)
    start = pd.Timestamp(CALENDAR_YEARS[0], 1, 1, tz=TIMEZONE)
    end = pd.Timestamp(CALENDAR_YEARS[-1] + 1, 1, 1, tz=TIMEZONE)
    hours = grid(start, end, 3600)
    skip = (start - first).days * 24
    part = slice(skip, skip + len(hours))
    price = np.concatenate([year.price_jpy_per_kwh for year in years])
    power = np.concatenate([_given(year.curtailed_mw, "curtailment") for year in years])
    temp_c = np.concatenate([_given(year.outdoor_temp_c, "temperature") for year in years])
    return (
        hours,
        price.reshape(-1, 2).mean(axis=1)[part],
        power[part],
        temp_c.reshape(-1, 2).mean(axis=1)[part],
    )


def _given(values: Array | None, name: str) -> Array:
    if values is None:
        raise DataError(f"the shipped parameters lack {name}; build them anew")
    return values

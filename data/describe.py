"""What a table or a trace holds: statistics of its columns, its gaps, and one column in detail."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pandas as pd

from gridhash.data.quantities import quantity_of
from gridhash.data.runs import run_lengths, runs
from gridhash.data.schema import COLUMN_BY_NAME
from gridhash.data.source_table import SourceTable
from gridhash.data.trace import Trace
from gridhash.errors import DataError
from gridhash.time_grid import grid
from gridhash.units import SECONDS_PER_DAY, SECONDS_PER_HOUR

Values = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

FLOOR_PER_KWH = 0.01
"""Of prices in JPY; the lowest that JEPX allows [JPY/kWh]. Other markets go below zero."""

SURPLUS_COLUMNS = ("surplus_frac", "solar_curtailed_kw", "wind_curtailed_kw")

_TIMEZONES = {
    "Asia/Tokyo": (
        "hokkaido tohoku tokyo chubu hokuriku kansai chugoku shikoku kyushu okinawa system japan"
    ),
    "Europe/Berlin": "de at lu fr nl be ch cz dk no se pl hu si sk hr it es "
    "germany austria belgium czech denmark france hungary netherlands northern norway poland "
    "slovenia sweden switzerland",
    "Australia/Brisbane": "qld",
    "Australia/Sydney": "nsw",
    "Australia/Adelaide": "sa",
    "Australia/Hobart": "tas",
    "Australia/Melbourne": "vic",
    "America/Chicago": "hb lz",
    "America/Los_Angeles": "th np sp zp",
}
_TIMEZONE_BY_STEM = {stem: zone for zone, stems in _TIMEZONES.items() for stem in stems.split()}


@dataclass(frozen=True, kw_only=True)
class Gap:
    """Consecutive missing values of a column: [start, end), UTC."""

    start: pd.Timestamp
    end: pd.Timestamp
    n_missing: int


@dataclass(frozen=True, kw_only=True)
class ColumnStatistics:
    """One column over the whole span.

    Attributes
    ----------
    unit
        Of every figure that is no count or share.
    n_values, n_missing
        Rows with and without a value; of a series of fixed period a missing row counts too.
    mean, sd, p5, p50, p95, low, high
        NaN if there is no value.
    share_at_floor_frac
        Of values ≤ `FLOOR_PER_KWH`; None where the column is no price in JPY.
    share_negative_frac
        Of values below zero.
    """

    name: str
    unit: str
    n_values: int
    n_missing: int
    mean: float
    sd: float
    p5: float
    p50: float
    p95: float
    low: float
    high: float
    share_at_floor_frac: float | None
    share_negative_frac: float


@dataclass(frozen=True, kw_only=True)
class Runs:
    """How often and how long a condition held without a break."""

    condition: str
    n_runs: int
    mean_h: float
    longest_h: float


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Description:
    """A table or a trace, and one of its columns in detail.

    Attributes
    ----------
    frame
        All columns; rows that are missing in a series of fixed period are NaN here.
    timezone
        Local time of the area, by which days, months and years are counted.
    columns
        Statistics of each column.
    column
        The column that the rest is about.
    year_means
        Mean by local year, with the share of the year that has values.
    autocorrelations
        By lag; none for steps. Pairs with a missing value are left out.
    runs
        At the floor, for a price in JPY; below zero, for other prices; above zero, for
        what was curtailed; else None.
    gaps
        Of the column, in order.
    """

    title: str
    area: str
    period_s: int | None
    timezone: str
    frame: pd.DataFrame
    columns: tuple[ColumnStatistics, ...]
    column: str
    year_means: dict[int, tuple[float, float]]
    autocorrelations: dict[str, float]
    runs: Runs | None
    gaps: tuple[Gap, ...]

    @property
    def detail(self) -> ColumnStatistics:
        """Statistics of the column in detail."""
        return next(one for one in self.columns if one.name == self.column)

    def values(self) -> Values:
        """Return the values of the column in detail, NaN where missing."""
        return self.frame[self.column].to_numpy(dtype="float64", copy=True)

    def local(self) -> pd.DatetimeIndex:
        """Return the starts of the rows in local time."""
        return pd.DatetimeIndex(self.frame.index).tz_convert(ZoneInfo(self.timezone))

    def surplus(self) -> pd.DataFrame:
        """Return the columns that tell of surplus: curtailed solar and wind, or its share."""
        return self.frame[[n for n in self.frame if quantity_name(str(n)) in SURPLUS_COLUMNS]]

    def as_dict(self) -> dict[str, Any]:
        """Return all but the series, for JSON; None where a figure does not exist."""
        return {
            "title": self.title,
            "area": self.area,
            "period_s": self.period_s,
            "timezone": self.timezone,
            "rows": len(self.frame),
            "first": self.frame.index[0].isoformat(),
            "last": self.frame.index[-1].isoformat(),
            "columns": [
                {key: _json(value) for key, value in vars(one).items()} for one in self.columns
            ],
            "column": self.column,
            "year_means": {year: _json(mean) for year, (mean, _) in self.year_means.items()},
            "autocorrelations": {k: _json(value) for k, value in self.autocorrelations.items()},
            "runs": None
            if self.runs is None
            else {key: _json(value) for key, value in vars(self.runs).items()},
            "gaps": [
                {
                    "start": gap.start.isoformat(),
                    "end": gap.end.isoformat(),
                    "n_missing": gap.n_missing,
                }
                for gap in self.gaps
            ],
        }


def describe(
    series: SourceTable | Trace, column: str | None = None, *, timezone: str | None = None
) -> Description:
    """Return what a table or a trace holds, with one column in detail.

    Parameters
    ----------
    column
        Name, or quantity if only one area has it; default the first price, else the first column.
    timezone
        Local time of the area; default by the name of the area, else UTC.

    Raises
    ------
    DataError
        If there is no such column, or several, or it has no value.
    """
    frame = _on_grid(series)
    chosen = _chosen(series, column)
    values = frame[chosen].to_numpy(dtype="float64")
    if np.isnan(values).all():
        raise DataError(f"{_title(series)}: {chosen} has no value; choose another column")
    area = series.area if isinstance(series, Trace) else chosen.partition("@")[2]
    zone = timezone or timezone_of(area)
    index = pd.DatetimeIndex(frame.index)
    return Description(
        title=_title(series),
        area=area,
        period_s=series.period_s,
        timezone=zone,
        frame=frame,
        columns=tuple(
            _statistics(str(name), frame[name].to_numpy(dtype="float64"), series.currency)
            for name in frame
        ),
        column=chosen,
        year_means=_year_means(values, index.tz_convert(ZoneInfo(zone)), series.period_s),
        autocorrelations=_autocorrelations(values, series.period_s),
        runs=_runs(chosen, values, series.period_s, series.currency),
        gaps=tuple(_gaps(values, index, series.period_s)),
    )


def timezone_of(area: str) -> str:
    """Return the time zone of a price area by its name; UTC if it is unknown.

    >>> timezone_of("kyushu"), timezone_of("Denmark 1"), timezone_of("bitcoin")
    ('Asia/Tokyo', 'Europe/Berlin', 'UTC')
    """
    stem = re.split(r"[_/ ]", area.casefold())[0].rstrip("0123456789")
    return _TIMEZONE_BY_STEM.get(stem, "UTC")


def quantity_name(column: str) -> str:
    """Return what a column measures: its name without the area."""
    return column.partition("@")[0]


def on_screen(unit: str) -> tuple[str, float]:
    """Return the unit in which people read a quantity, and what to multiply by.

    >>> on_screen("kW"), on_screen("JPY/kWh")
    (('MW', 0.001), ('JPY/kWh', 1.0))
    """
    return {"kW": ("MW", 1e-3), "kWh": ("MWh", 1e-3)}.get(unit, (unit, 1.0))


def subject(description: Description) -> str:
    """Return the column in detail with the unit that people read."""
    return f"{description.column} [{on_screen(description.detail.unit)[0]}]"


def number(value: float) -> str:
    """Return a figure with four significant digits, up to ten million all before the point."""
    if np.isnan(value):
        return "–"
    return f"{value:,.0f}" if 1e3 <= abs(value) < 1e7 else f"{value:.4g}"


def _title(series: SourceTable | Trace) -> str:
    return series.source if isinstance(series, Trace) else series.dataset


def _on_grid(series: SourceTable | Trace) -> pd.DataFrame:
    if series.period_s is None:
        return series.frame
    return series.frame.reindex(grid(series.starts[0], series.end, series.period_s).rename("start"))


def _chosen(series: SourceTable | Trace, column: str | None) -> str:
    names = [str(name) for name in series.frame.columns]
    if column is None:
        prices = [name for name in names if quantity_name(name) == "price_per_kwh"]
        prices += [name for name in names if quantity_name(name).endswith("price_per_kwh")]
        return [*prices, *names][0]
    found = [name for name in names if column in (name, quantity_name(name))]
    if len(found) != 1:
        problem = "no column" if not found else f"{len(found)} columns"
        raise DataError(
            f"{_title(series)}: {problem} {column}; choose one of {', '.join(found or names)}"
        )
    return found[0]


def _unit(column: str, currency: str | None) -> str:
    name = quantity_name(column)
    known = COLUMN_BY_NAME.get(name)
    unit = known.unit if known is not None else quantity_of(name).unit
    return unit.replace("currency", currency or "")


def _statistics(name: str, values: Values, currency: str | None) -> ColumnStatistics:
    given = values[~np.isnan(values)]
    some = given if given.size else np.array([np.nan])
    p5, p50, p95 = (float(value) for value in np.quantile(some, [0.05, 0.5, 0.95]))
    unit = _unit(name, currency)
    return ColumnStatistics(
        name=name,
        unit=unit,
        n_values=given.size,
        n_missing=values.size - given.size,
        mean=float(some.mean()),
        sd=float(given.std(ddof=1)) if given.size > 1 else np.nan,
        p5=p5,
        p50=p50,
        p95=p95,
        low=float(some.min()),
        high=float(some.max()),
        share_at_floor_frac=(
            float((some <= FLOOR_PER_KWH).mean())
            if _is_price(name) and currency == "JPY" and given.size
            else None
        ),
        share_negative_frac=float((some < 0).mean()),
    )


def _is_price(name: str) -> bool:
    return "price" in name and quantity_name(name).endswith("_per_kwh")


def _year_means(
    values: Values, local: pd.DatetimeIndex, period_s: int | None
) -> dict[int, tuple[float, float]]:
    means = {}
    for year in np.unique(local.year):
        given = values[(local.year == year) & ~np.isnan(values)]
        covered = given.size * (period_s or 0) / (365 * SECONDS_PER_DAY)
        if given.size:
            means[int(year)] = (float(given.mean()), min(covered, 1.0))
    return means


def _autocorrelations(values: Values, period_s: int | None) -> dict[str, float]:
    if period_s is None:
        return {}
    per_day = int(SECONDS_PER_DAY) // period_s
    lags = {_duration(period_s): 1, "1 d": per_day, "7 d": 7 * per_day}
    found = {}
    for name, lag in lags.items():
        before, after = values[:-lag], values[lag:]
        both = ~np.isnan(before) & ~np.isnan(after)
        if both.sum() > 2 and np.ptp(before[both]) > 0 and np.ptp(after[both]) > 0:
            found[name] = float(np.corrcoef(before[both], after[both])[0, 1])
    return found


def _duration(period_s: int) -> str:
    if period_s % 86400 == 0:
        return f"{period_s // 86400} d"
    return f"{period_s // 3600} h" if period_s % 3600 == 0 else f"{period_s / 60:g} min"


def _runs(name: str, values: Values, period_s: int | None, currency: str | None) -> Runs | None:
    if period_s is None:
        return None
    if _is_price(name) and currency != "JPY":
        lengths, condition = run_lengths(values < 0), f"below 0 {_unit(name, currency)}"
    elif _is_price(name):
        lengths = run_lengths(values <= FLOOR_PER_KWH)
        condition = f"≤ {FLOOR_PER_KWH} {_unit(name, currency)}"
    elif quantity_name(name) in SURPLUS_COLUMNS or "curtailed" in name:
        lengths, condition = run_lengths(values > 0), f"> 0 {_unit(name, currency)}"
    else:
        return None
    hours = lengths * period_s / SECONDS_PER_HOUR
    return Runs(
        condition=condition,
        n_runs=hours.size,
        mean_h=float(hours.mean()) if hours.size else np.nan,
        longest_h=float(hours.max()) if hours.size else np.nan,
    )


def _gaps(values: Values, index: pd.DatetimeIndex, period_s: int | None) -> Iterator[Gap]:
    for first, after in runs(np.isnan(values)):
        last = index[after - 1] + pd.Timedelta(seconds=period_s or 0)
        end = index[after] if after < len(index) else last
        yield Gap(start=index[first], end=end, n_missing=after - first)


def _json(value: Any) -> Any:
    return None if isinstance(value, float) and np.isnan(value) else value

"""Blocks of hours on days that look extreme to those who decide ahead: orders and calls."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gridhash.data.processes.common import Array, LocalTime, Seconds, expected
from gridhash.data.synthesis import normal
from gridhash.data.trace import Trace
from gridhash.time_grid import epoch_s, from_epoch_s

RANK_DAYS = 60
"""A day's score is ranked among those of so many days before it."""

LEAST_RANK_DAYS = 7
"""With fewer, only chance decides."""

DAYS_IN_MONTH = (31.0, 28.25, 31.0, 30.0, 31.0, 30.0, 31.0, 31.0, 30.0, 31.0, 30.0, 31.0)


@dataclass(frozen=True, kw_only=True)
class BlockRule:
    """When blocks may be, and how many.

    Attributes
    ----------
    first_hour, last_hour
        Local hours that a block lies between.
    shortest_h, longest_h
        Length [h], drawn evenly.
    notice_s
        Before the block starts [s].
    months
        From 1.
    business_days
        Whether all other days are left out.
    per_year
        Expected number of blocks.
    most_per_year, year_month
        Cap in each year that begins with a month; None is no cap.
    link
        Correlation of a day's normal score with what decides: 1 is no chance, 0 nothing else.
    """

    first_hour: float
    last_hour: float
    shortest_h: float
    longest_h: float
    notice_s: int
    months: tuple[int, ...]
    business_days: bool
    per_year: float
    most_per_year: int | None
    year_month: int
    link: float


def signal(trace: Trace, *, residual: bool) -> tuple[Array, Seconds, str]:
    """Return area demand, less solar and wind power if asked and held, or else the price.

    With it come the instant from which each row is known [s], and its name for a note.
    """
    if "demand_kw" not in trace.frame.columns:
        return (
            trace.column("price_per_kwh"),
            epoch_s(trace.available_at["price_per_kwh"]),
            "price_per_kwh",
        )
    names = ["demand_kw"]
    if residual:
        names += [name for name in ("solar_kw", "wind_kw") if name in trace.frame.columns]
    values = trace.column("demand_kw") - sum(trace.column(name) for name in names[1:])
    known_s = np.max([epoch_s(trace.available_at[name]) for name in names], axis=0)
    return np.asarray(values, dtype=np.float64), known_s, " − ".join(names)


def draw_blocks(
    trace: Trace,
    local: LocalTime,
    is_business_day: npt.NDArray[np.bool_],
    values: Array,
    known_s: Seconds,
    rule: BlockRule,
    rng: np.random.Generator,
) -> Array:
    """Return 1 in the rows of the blocks, else 0; `is_business_day` is given by row.

    Each day's decision falls `notice_s` before the first hour in which a block may lie, so that it
    and the position of the block rest on nothing later. A day's score is the highest mean of what
    is `expected` in a block; its rank among the days before makes it normal, so that a block is
    called where ``link × score + √(1 − link²) × noise`` passes the quantile of the expected number;
    that number is halved or doubled where a sixth of a year's too many or too few have been called.
    """
    starts_s = epoch_s(trace.starts)
    inside = (local.hour >= rule.first_hour) & (local.hour < rule.last_hour)
    lengths_h = rng.uniform(rule.shortest_h, rule.longest_h, local.n_days)
    noise = rng.standard_normal(local.n_days)
    usual = _probability(rule)
    windows = {
        day: rows
        for day in range(local.n_days)
        for rows in [local.first_row[day] + np.flatnonzero(inside[_day(local, day)])]
        if rows.size
    }
    decided_s = starts_s.copy()
    for day, rows in windows.items():
        decided_s[_day(local, day)] = starts_s[rows[0]] - rule.notice_s
    forecast = expected(trace, values, from_epoch_s(known_s), decided_s)
    flag = np.zeros(trace.n_rows)
    scores: list[float] = []
    n_called = 0
    counts: dict[int, int] = {}
    for day, rows in windows.items():
        first = rows[0]
        n_rows = max(round(lengths_h[day] * 3600 / trace.period_s), 1)
        is_day = local.month[first] in rule.months and (
            not rule.business_days or is_business_day[first]
        )
        if not is_day or rows.size < n_rows:
            continue
        at, score = _best(forecast[rows], n_rows)
        z = _normal_score(score, scores)
        pace = 2.0 ** np.clip(
            (usual * len(scores) - n_called) / max(rule.per_year / 6.0, 1.0), -3, 3
        )
        threshold = float(normal.quantile(1.0 - min(usual * pace, 1.0)))
        scores.append(score)
        year = trace.starts[first].year - int(local.month[first] < rule.year_month)
        is_full = rule.most_per_year is not None and counts.get(year, 0) >= rule.most_per_year
        decides = rule.link * z + math.sqrt(1.0 - rule.link**2) * noise[day]
        if decides > threshold and not is_full:
            counts[year] = counts.get(year, 0) + 1
            n_called += 1
            flag[rows[at : at + n_rows]] = 1.0
    return flag


def _day(local: LocalTime, day: int) -> slice:
    return slice(int(local.first_row[day]), int(local.first_row[day + 1]))


def _probability(rule: BlockRule) -> float:
    """Return the probability of a block on a day that may have one."""
    days = sum(DAYS_IN_MONTH[month - 1] for month in set(rule.months))
    return min(rule.per_year / (days * 5.0 / 7.0 if rule.business_days else days), 1.0)


def _best(forecast: Array, n_rows: int) -> tuple[int, float]:
    """Return where the highest mean of so many rows begins, and that mean; NaN if unknown."""
    if np.isnan(forecast).any():
        return (len(forecast) - n_rows) // 2, math.nan
    means = np.convolve(forecast, np.full(n_rows, 1.0 / n_rows), mode="valid")
    at = int(np.argmax(means))
    return at, float(means[at])


def _normal_score(score: float, before: list[float]) -> float:
    """Return the normal score of a value by its rank among those of the days before."""
    past = np.array(before[-RANK_DAYS:])
    past = past[~np.isnan(past)]
    if past.size < LEAST_RANK_DAYS or math.isnan(score):
        return 0.0
    rank = np.count_nonzero(past < score) + 0.5 * np.count_nonzero(past == score)
    return float(normal.quantile((rank + 0.5) / (past.size + 1)))

"""How good forecasts are on time they have not seen; writes docs/results/forecasts.md.

Needs the real series, which are not part of the repository, where GRIDHASH_REFERENCE_DATA says.
The last case is embedded in gridhash: `--only nl-2018` prints it for anyone and writes nothing.

    GRIDHASH_REFERENCE_DATA=... python scripts/forecast_skill.py
    python scripts/forecast_skill.py --only nl-2018
"""

import argparse
import os
import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import time as clock
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from gridhash.data.forecasts.features import rows_of
from gridhash.data.forecasts.forecast import (
    Forecaster,
    Forecasts,
    forecast,
    forecast_many,
    issue_times,
)
from gridhash.data.forecasts.methods import METHODS, fit
from gridhash.data.forecasts.quantile_model import QuantileModel
from gridhash.data.forecasts.recalibration import WINDOW_DAYS, forecast_recalibrated
from gridhash.data.forecasts.sampling import TrainingOptions, whole_steps_s
from gridhash.data.forecasts.scores import coverage, crps, paired_difference, pinball
from gridhash.data.forecasts.series import Series, known_at, series_of
from gridhash.data.samples import load_sample
from gridhash.data.splits import MIN_EMBARGO, Span, split_by_years, years
from gridhash.time_grid import epoch_s, published_the_day_before

PAGE = Path(__file__).resolve().parent.parent / "docs" / "results" / "forecasts.md"
HORIZONS_H = (1 / 12, 0.25, 0.5, 1, 2, 3, 4, 6, 9, 12, 18, 24)
LOW, HIGH = 0.1, 0.9
SEED = 1
RECALIBRATED = "boosted, recalibrated daily"
BOOSTED = "boosted-quantiles"
WEEK_S = 7 * 86400
Array = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Case:
    """A series to forecast, what teaches and what judges."""

    name: str
    title: str
    unit: str
    digits: int
    note: str
    series: dict[str, Series]
    target: str
    train: Span
    test: Span
    options: TrainingOptions
    every_s: int
    horizons_h: tuple[float, ...] = HORIZONS_H


@dataclass(frozen=True, kw_only=True)
class Scored:
    """Scores of one method; arrays by issue time and horizon, NaN where nothing came."""

    crps: Array
    pinball: float
    covered: Array
    covered_plain: float


def folder() -> Path:
    """Return where the real series are."""
    path = os.environ.get("GRIDHASH_REFERENCE_DATA")
    if not path:
        raise SystemExit("set GRIDHASH_REFERENCE_DATA to the folder with the real series")
    return Path(path) / "data"


def series(
    name: str, values: pd.Series, period_s: int, known: pd.DatetimeIndex | None = None
) -> Series:
    """Return a column as a series, known at the end of each interval if nothing else is said."""
    starts = pd.DatetimeIndex(values.index).as_unit("s")
    return Series(
        name=name,
        starts=starts,
        values=values.to_numpy(dtype=float),
        available_at=starts + pd.Timedelta(seconds=period_s) if known is None else known,
        period_s=period_s,
    )


def local(date: str, zone: str) -> pd.Timestamp:
    """Return a local midnight."""
    return pd.Timestamp(date, tz=zone)


def ercot() -> Case:
    """Return the real-time price of the ERCOT hub average."""
    zone = "America/Chicago"
    table = pd.read_parquet(folder() / "ercot_hubavg_rt15_da_temp_2024.parquet")
    starts = pd.DatetimeIndex(table.index).as_unit("s")
    published = published_the_day_before(starts, timezone=zone, at=clock(13, 30))
    return Case(
        name="ercot-2024",
        title="Real-time price, ERCOT hub average, second half of 2024 (15 min)",
        unit="USD/kWh",
        digits=5,
        note="Day-ahead prices are known from 13:30 local on the day before, real-time prices and "
        "temperature at the end of their interval. Four missing temperatures stay missing.",
        series={
            "real_time": series("real_time", table["rt_usd_per_mwh"] / 1000, 900),
            "day_ahead": series("day_ahead", table["da_usd_per_mwh"] / 1000, 900, published),
            "outdoor_temp_c": series("outdoor_temp_c", table["temp_c"], 900),
        },
        target="real_time",
        train=Span(starts[0], local("2024-07-01", zone) - MIN_EMBARGO),
        test=Span(local("2024-07-01", zone), starts[-1]),
        options=TrainingOptions(
            n_steps=96,
            timezone=zone,
            seed=SEED,
            heavy_tailed=("real_time", "day_ahead"),
            covariates=("day_ahead", "outdoor_temp_c"),
        ),
        every_s=3600,
    )


def aemo() -> Case:
    """Return the five-minute price of Victoria."""
    zone = "Australia/Brisbane"
    table = pd.read_parquet(folder() / "nem_vic1_5min_2024-12_2025-05.parquet")
    return Case(
        name="aemo-vic-2025",
        title="Five-minute price, AEMO VIC1, March to May 2025",
        unit="AUD/kWh",
        digits=5,
        note="Learned from 1 December 2024 to 20 February 2025 (market time): one summer, judged "
        "on an autumn. Price and demand are known at the end of their interval; the market's own "
        "pre-dispatch forecast is not in the file and not used.",
        series={
            "price": series("price", table["price_aud_per_mwh"] / 1000, 300),
            "demand": series("demand", table["demand_mw"], 300),
        },
        target="price",
        train=Span(local("2024-12-01", zone), local("2025-02-21", zone)),
        test=Span(local("2025-03-01", zone), local("2025-06-01", zone)),
        options=TrainingOptions(
            n_steps=288,
            timezone=zone,
            seed=SEED,
            heavy_tailed=("price",),
            covariates=("demand",),
        ),
        every_s=3600,
    )


def kyushu() -> Case:
    """Return the curtailed solar and wind power of Kyushu."""
    zone = "Asia/Tokyo"
    table = pd.read_parquet(folder() / "kyushu_joint_price_supply_carbon_hourly_2016-2023.parquet")
    starts = pd.DatetimeIndex(table.index).as_unit("s")
    published = published_the_day_before(starts, timezone=zone, at=clock(12, 30))
    curtailed = table["solar_curtailed"] + table["wind_curtailed"]
    split = split_by_years(
        train=[2018, 2019, 2020],
        validation=[2021],
        test=[2022],
        calendar="japan-fiscal",
        timezone=zone,
    )
    return Case(
        name="kyushu-fy2022",
        title="Surplus, Kyushu, fiscal year 2022 (hourly)",
        unit="share of 6,000 MW curtailed",
        digits=5,
        note="Learned from FY2018 (the first year with curtailment) to FY2020; FY2021 lies "
        "between, nothing was chosen on it, its last four weeks serve the first recalibration. "
        "Curtailed solar and wind, demand and solar output are taken as known at the end of the "
        "hour, which a site learns from its order, not from the area's files; the spot price from 12:30 on the "
        "day before.",
        series={
            "surplus": series("surplus", curtailed / 6000.0, 3600),
            "spot": series("spot", table["price_jpy_kwh"], 3600, published),
            "solar": series("solar", table["solar"] + table["solar_curtailed"], 3600),
            "demand": series("demand", table["demand"], 3600),
        },
        target="surplus",
        train=split.train,
        test=split.test,
        options=TrainingOptions(
            n_steps=24,
            timezone=zone,
            seed=SEED,
            covariates=("spot", "solar", "demand"),
            bounds=(0.0, 1.0),
        ),
        every_s=5 * 3600,
    )


def haneda() -> Case:
    """Return the outdoor temperature of Tokyo Haneda."""
    zone = "Asia/Tokyo"
    table = pd.read_parquet(folder() / "weather_tokyo_haneda_hourly_2016-2021.parquet")
    observed = table["temp_c"].where(~table["filled"])
    split_years = years(2016, 2019, calendar="calendar", timezone=zone)
    return Case(
        name="haneda-2020-21",
        title="Outdoor temperature, Tokyo Haneda, January 2020 to August 2021 (hourly)",
        unit="°C",
        digits=3,
        note="Learned from 2016 to 2019. 65 hours are missing in the file and 61 more are marked "
        "as interpolated; all 126 are missing here, neither learned from nor scored. Readings are "
        "known at the end of their hour; no weather forecast is used.",
        series={"outdoor_temp_c": series("outdoor_temp_c", observed, 3600)},
        target="outdoor_temp_c",
        train=Span(split_years.start, split_years.end - MIN_EMBARGO),
        test=Span(local("2020-01-01", zone), local("2021-09-01", zone)),
        options=TrainingOptions(n_steps=24, timezone=zone, seed=SEED),
        every_s=7 * 3600,
    )


def netherlands() -> Case:
    """Return the day-ahead price beyond what is published; the sample is embedded."""
    zone = "Europe/Amsterdam"
    trace = load_sample("nl_2018")
    return Case(
        name="nl-2018",
        title="Day-ahead price before it is published, Netherlands, last quarter of 2018 (hourly)",
        unit="EUR/kWh",
        digits=5,
        note="Embedded sample, reproducible by anyone (SMARD, CC BY 4.0). Learned from January to "
        "22 September. Hours that are already published at the issue time are given exactly and "
        "not scored.",
        series=series_of(trace),
        target="price_per_kwh",
        train=Span(trace.start, local("2018-10-01", zone) - MIN_EMBARGO),
        test=Span(local("2018-10-01", zone), trace.end),
        options=TrainingOptions(
            n_steps=48, timezone=zone, seed=SEED, heavy_tailed=("price_per_kwh",)
        ),
        every_s=3600,
        horizons_h=(12, 18, 24, 30, 36, 48),
    )


CASES: dict[str, Callable[[], Case]] = {
    "ercot-2024": ercot,
    "aemo-vic-2025": aemo,
    "kyushu-fy2022": kyushu,
    "haneda-2020-21": haneda,
    "nl-2018": netherlands,
}


def judge(case: Case) -> list[str]:
    """Fit every method, score it on the held-out span and return a section of the page."""
    target = case.series[case.target]
    every_s = whole_steps_s(target.period_s, case.every_s)
    reach = pd.Timedelta(seconds=case.options.n_steps * target.period_s)
    issued = issue_times(case.test.start, case.test.end - reach, every_s)
    leads = np.unique([max(1, round(h * 3600 / target.period_s)) for h in case.horizons_h]) - 1
    fitted: dict[str, Forecaster] = {
        method: fit(method, case.series, [case.train], target=case.target, options=case.options)
        for method in METHODS
    }
    made: dict[str, Forecasts] = {
        method: forecast_many(forecaster, case.series, issued, leads)
        for method, forecaster in fitted.items()
    }
    model = fitted[BOOSTED]
    assert isinstance(model, QuantileModel)
    made[RECALIBRATED] = forecast_recalibrated(model, case.series, issued, leads)
    scored = {method: score(case, table) for method, table in made.items()}
    weeks = np.repeat(epoch_s(issued) // WEEK_S, len(leads)).reshape(len(issued), -1)
    n = int((~np.isnan(scored["persistence"].crps)).sum())
    return [
        f"## {case.title}",
        "",
        f"{case.note} Learned: {case.train}. Judged: {case.test}; an issue time every "
        f"{every_s / 3600:g} h, {len(issued):,} of them, {n:,} forecasts scored. CRPS and pinball "
        f"loss (mean over the levels) in {case.unit}.",
        "",
        *overall(case, scored, weeks),
        "",
        *by_horizon(case, scored, leads, target.period_s),
        "",
        f"One day ahead ({case.options.n_steps} steps) from one issue time takes "
        f"{latency_ms(case, model):.0f} ms, finding what is known included.",
        "",
    ]


def score(case: Case, table: Forecasts) -> Scored:
    """Return the scores of what came and was not published before."""
    target = case.series[case.target]
    rows = rows_of(target, epoch_s(table.issued_at), table.leads)
    outcomes = np.where(rows.wanted > rows.last[:, None], table.outcomes(target), np.nan)
    seen = ~np.isnan(outcomes)
    levels = table.quantile_levels
    values, came = table.values[seen], outcomes[seen]
    low, high = levels.index(LOW), levels.index(HIGH)
    full = np.full(outcomes.shape, np.nan)
    covered = full.copy()
    full[seen] = crps(values, came, levels)
    covered[seen] = coverage(values, came, levels, low=LOW, high=HIGH)
    return Scored(
        crps=full,
        pinball=float(pinball(values, came, levels).mean()),
        covered=covered,
        covered_plain=float(((came >= values[:, low]) & (came <= values[:, high])).mean()),
    )


def overall(case: Case, scored: dict[str, Scored], weeks: npt.NDArray[np.int64]) -> list[str]:
    """Return the table of all methods over all horizons."""
    lines = [
        "| method | CRPS | pinball | CRPS against persistence | difference, 95 % interval "
        "| 80 % interval covers | counted plainly |",
        "|---|---|---|---|---|---|---|",
    ]
    base = scored["persistence"]
    seen = ~np.isnan(base.crps)
    d = case.digits
    for method, one in scored.items():
        mean = float(one.crps[seen].mean())
        against, interval = "", ""
        if method != "persistence":
            found = paired_difference(one.crps[seen], base.crps[seen], weeks[seen], seed=SEED)
            against = f"{found.mean / base.crps[seen].mean():+.1%}"
            interval = f"{found.mean:+.{d}f} [{found.low:+.{d}f}, {found.high:+.{d}f}]"
        lines.append(
            f"| {method} | {mean:.{d}f} | {one.pinball:.{d}f} | {against} | {interval} | "
            f"{one.covered[seen].mean():.1%} | {one.covered_plain:.1%} |"
        )
    return lines


def by_horizon(
    case: Case, scored: dict[str, Scored], leads: npt.NDArray[np.int64], period_s: int
) -> list[str]:
    """Return the table by horizon, counted to the end of the forecast interval."""
    shown = ("persistence", "seasonal-day", "climatology", RECALIBRATED)
    lines = [
        "| horizon | " + " | ".join(f"CRPS {method}" for method in shown) + " | covers |",
        "|---" * (len(shown) + 2) + "|",
    ]
    for i, lead in enumerate(leads):
        minutes = (int(lead) + 1) * period_s // 60
        label = f"{minutes} min" if minutes < 60 else f"{minutes / 60:g} h"
        if np.isnan(scored["persistence"].crps[:, i]).all():
            continue
        cells = [f"{np.nanmean(scored[method].crps[:, i]):.{case.digits}f}" for method in shown]
        share = np.nanmean(scored[RECALIBRATED].covered[:, i])
        lines.append(f"| {label} | " + " | ".join(cells) + f" | {share:.1%} |")
    return lines


def latency_ms(case: Case, model: QuantileModel) -> float:
    """Return the median time of one forecast from one issue time [ms]."""
    issued = issue_times(case.test.start, case.test.start + pd.Timedelta(days=2), 3600)
    took = []
    for instant in issued[:30]:
        begun = time.perf_counter()
        forecast(model, known_at(case.series, instant), case.options.n_steps)
        took.append((time.perf_counter() - begun) * 1000)
    return statistics.median(took)


def head(minutes: float, peak_gib: float) -> list[str]:
    """Return what the page says first."""
    return [
        "# Forecasts on time they have not seen",
        "",
        "Made by `scripts/forecast_skill.py` with the real series in `GRIDHASH_REFERENCE_DATA` "
        f"({minutes:.1f} min on one core, {peak_gib:.1f} GiB). Every method forecasts the same "
        "15 quantiles from what is known at the issue time alone and is fitted on the training "
        "span alone; eight days lie between what is learned and what is judged. Nothing is learned "
        "from the held-out span, but recalibration reads, each day, the errors of the last "
        f"{WINDOW_DAYS} days that are known by then, as a site in operation does. One set of "
        "hyper-parameters, fixed beforehand for all series; the form of the model was settled "
        "while looking at the scores of these series, so that they are a little flattering.",
        "",
        "- *persistence*: the last known value and the quantiles of its errors, per step ahead, in "
        "training; *seasonal-day*, *seasonal-week*: likewise with the same slot of the newest "
        "known day and of six days before that; *climatology*: quantiles of month and hour (of the hour "
        "alone for months that the training span lacks).",
        "- *boosted-quantiles*: LightGBM on top of a ridge regression, calibrated on every fifth "
        "week of the training span. Prices are learned as arcsinh(price / median |price|).",
        "- CRPS: 2 Σ weight · pinball over the quantiles; the mean is over the listed horizons, so "
        "the first hours, where persistence is strong, weigh more than in a whole day.",
        "- Difference: method − persistence, negative is better; 95 % interval of a paired "
        "bootstrap over whole weeks (2,000 draws).",
        "- *80 % interval covers*: where the outcome equals several quantiles, as a surplus of "
        "zero does at night, the forecast has a point mass, and the share is the probability that the "
        "randomised probability integral transform lies in 0.1–0.9: a certain and right zero "
        "counts 0.8. *Counted plainly* is the share of outcomes between the two quantiles, ends included, "
        "which is above 80 % for a right forecast with point masses.",
        "",
    ]


def main() -> None:
    """Judge the cases; write the page if it was all of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=CASES, help="print one case and write nothing")
    only = parser.parse_args().only
    begun = time.perf_counter()
    sections: list[str] = []
    for name in [only] if only else CASES:
        section = judge(CASES[name]())
        print("\n".join(section), flush=True)
        sections += section
    minutes = (time.perf_counter() - begun) / 60
    peak_gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{minutes:.1f} min, {peak_gib:.1f} GiB")
    if only is None:
        text = "\n".join([*head(minutes, peak_gib), *sections]).rstrip() + "\n"
        PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

"""The series on which forecasts are judged: what teaches, what judges, what is known when."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import time as clock
from pathlib import Path

import pandas as pd

from gridhash.data.forecasts.sampling import TrainingOptions
from gridhash.data.forecasts.series import Series, series_of
from gridhash.data.samples import load_sample
from gridhash.data.splits import MIN_EMBARGO, Span, split_by_years, years
from gridhash.time_grid import published_the_day_before

HORIZONS_H = (1 / 12, 0.25, 0.5, 1, 2, 3, 4, 6, 9, 12, 18, 24)
SEED = 1


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
        note="Learned from FY2018 (the first year with curtailment) to FY2020. On FY2021, between "
        "them, it was decided that tiny quantiles become zero and that forecasts without any "
        "spread do not calibrate; its last four weeks serve the first recalibration. Curtailed "
        "solar and wind, demand and solar output are taken as known at the end of the hour, which "
        "a site learns from its order, not from the area's files; the spot price from 12:30 on "
        "the day before.",
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

"""Real series that may be used but not passed on: read where a user has them, never shipped.

Each is a data frame in a file of the folder ``data`` under GRIDHASH_REFERENCE_DATA, its index
`ts_utc` the starts of the intervals. `SERIES` names the files and who publishes them. Nothing is
filled in but what the notes of the trace say.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, time
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from gridhash.data.processes.common import LABEL, at_end, expected
from gridhash.data.processes.regrid import regrid
from gridhash.data.surplus import with_area_surplus
from gridhash.data.synthesis.surplus import FULL_SURPLUS_MW
from gridhash.data.trace import Trace
from gridhash.errors import DataError
from gridhash.time_grid import epoch_s, published_the_day_before

FOLDER_VARIABLE = "GRIDHASH_REFERENCE_DATA"
JEPX = "jepx_spot_30min_fy2016-fy2024.parquet"
KYUSHU = "kyushu_joint_price_supply_carbon_hourly_2016-2023.parquet"
ERCOT = "ercot_hubavg_rt15_da_temp_2024.parquet"
NEM = "nem_vic1_5min_2024-12_2025-05.parquet"
GERMANY = "de_day_ahead_hourly_2015-2020.parquet"
SITE_SHARE_KW = 5000.0
"""The site may use this much where `FULL_SURPLUS_MW` are curtailed, as in synthetic years."""

FORECAST_DAYS_LOST = 10
"""Days at the start of a market without day-ahead prices, for which there is no whole forecast."""


@dataclass(frozen=True, kw_only=True)
class ReferenceSeries:
    """A real series: what it is, whose it is, and how it becomes a trace."""

    title: str
    files: tuple[str, ...]
    publisher: str
    timezone: str
    read: Callable[[str], Trace]
    """From a price area, where there are several, to the whole trace."""
    areas: tuple[str, ...]


def reference_trace(
    series: str, *, area: str | None = None, start: date | None = None, end: date | None = None
) -> Trace:
    """Return a real series, or its local days [start, end).

    Parameters
    ----------
    series
        One of `SERIES`.
    area
        Where there are several; the first where None.

    Raises
    ------
    DataError
        If the series or area is unknown, its file is not there or not as described, or it does
        not hold the days.
    """
    if series not in SERIES:
        raise DataError(f"no real series is called {series!r}; there are {', '.join(SERIES)}")
    found = SERIES[series]
    area = found.areas[0] if area is None else area
    if area not in found.areas:
        raise DataError(f"{found.title} has no area {area!r}; it has {', '.join(found.areas)}")
    trace = _read_once(str(_folder(found)), series, area)
    first, last = (
        given if day is None else pd.Timestamp(day, tz=found.timezone)
        for day, given in ((start, trace.start), (end, trace.end))
    )
    return trace.between(first, last)


def reference_files(series: str) -> list[bytes]:
    """Return the contents of a series' files, for whoever asks whether they changed.

    Raises
    ------
    DataError
        If a file is not there.
    """
    found = SERIES[series]
    folder = _folder(found)
    return [(folder / name).read_bytes() for name in found.files]


@lru_cache(maxsize=8)
def _read_once(_folder: str, series: str, area: str) -> Trace:
    return SERIES[series].read(area)


def _folder(series: ReferenceSeries) -> Path:
    """Return where the files of a series are.

    Raises
    ------
    DataError
        If the folder is not named, or a file is not there.
    """
    named = os.environ.get(FOLDER_VARIABLE)
    folder = Path(named or "") / "data"
    missing = [name for name in series.files if named is None or not (folder / name).is_file()]
    if missing:
        where = f"{folder} has not got" if named else f"{FOLDER_VARIABLE} is not set; needed are"
        raise DataError(
            f"{series.title}: {where} {' and '.join(missing)}. The real series are their "
            f"publishers' ({series.publisher}) and do not come with gridhash: set "
            f"{FOLDER_VARIABLE} to the folder whose sub-folder data holds them, or import the "
            "publisher's own files (`gridhash data fetch`, docs/data.md), join them to a trace and "
            'name it in a scenario file: [trace] source = "prices". Without @real the scenario '
            "plays on synthetic series"
        )
    return folder


def _table(name: str, columns: tuple[str, ...]) -> pd.DataFrame:
    """Return columns of a file by UTC start, as float64.

    Raises
    ------
    DataError
        If it cannot be read or is not as described.
    """
    path = Path(os.environ[FOLDER_VARIABLE]) / "data" / name
    try:
        table = pd.read_parquet(path)
    except (pa.ArrowException, OSError, ValueError) as err:
        raise DataError(f"{path} cannot be read: {err}") from err
    lacking = [column for column in columns if column not in table.columns]
    if lacking or not isinstance(table.index, pd.DatetimeIndex) or table.index.tz is None:
        found = f"{', '.join(map(str, table.columns))} by {table.index.name} ({table.index.dtype})"
        raise DataError(
            f"{path}: expected the columns {', '.join(columns)} by aware UTC starts; found {found}"
        )
    result = table[list(columns)].astype("float64")
    result.index = table.index.tz_convert("UTC").as_unit("s")
    return result


def _jepx(area: str) -> Trace:
    """Return JEPX day-ahead prices of half-hours, known at 12:30 on the day before."""
    prices = _table(JEPX, (area,))[area].round(2)  # the file holds float32, the tick is 0.01
    starts = pd.DatetimeIndex(prices.index)
    return Trace.from_prices(
        starts,
        prices,
        published_at=published_the_day_before(starts, timezone="Asia/Tokyo", at=time(12, 30)),
        period_s=1800,
        currency="JPY",
        area=area,
        source=f"JEPX day-ahead, {area} ({JEPX})",
    )


def _kyushu(area: str) -> Trace:
    """Return JEPX prices with what Kyushu drew, generated and curtailed, known after each hour."""
    columns = {
        "demand": "demand_kw",
        "solar": "solar_kw",
        "solar_curtailed": "solar_curtailed_kw",
        "wind": "wind_kw",
        "wind_curtailed": "wind_curtailed_kw",
        "interconnector": "interconnector_kw",
        "ci_direct_g_per_kwh": "carbon_g_per_kwh",
    }
    hourly = _table(KYUSHU, tuple(columns)).rename(columns=columns)
    kilowatts = [name for name in columns.values() if name.endswith("_kw")]
    hourly[kilowatts] *= 1000.0
    starts = pd.DatetimeIndex(hourly.index)
    means = Trace(
        frame=hourly.assign(price_per_kwh=0.0),
        period_s=3600,
        currency="JPY",
        area=area,
        source=KYUSHU,
        available_at=dict.fromkeys(
            ["price_per_kwh", *columns.values()], starts + pd.Timedelta(hours=1)
        ),
    )
    fine = regrid(means, 1800)
    spot = _jepx(area).between(fine.start, fine.end)
    held = list(columns.values())
    whole = spot.with_columns(
        {name: fine.column(name) for name in held},
        available_at={name: fine.available_at[name] for name in held},
    )
    whole = replace(
        whole,
        source=f"{spot.source} with supply and demand of the area ({KYUSHU})",
        notes=(*spot.notes, *fine.notes, "carbon: thermal power by one factor, approximate"),
    )
    share = SITE_SHARE_KW / (FULL_SURPLUS_MW * 1000.0)
    return with_area_surplus(whole, site_kw=SITE_SHARE_KW, area_share=share)


def _ercot(area: str) -> Trace:
    """Return ERCOT's day-ahead and real-time hub average of quarter-hours with a temperature."""
    table = _table(ERCOT, ("da_usd_per_mwh", "rt_usd_per_mwh", "temp_c"))
    starts = pd.DatetimeIndex(table.index)
    n_filled = int(table["temp_c"].isna().sum())
    trace = Trace.from_prices(
        starts,
        table["da_usd_per_mwh"].round(2) / 1000.0,
        published_at=published_the_day_before(starts, timezone="America/Chicago", at=time(13, 30)),
        period_s=900,
        currency="USD",
        area=area,
        source=f"ERCOT hub average 2024 ({ERCOT})",
    ).with_columns(
        {
            "real_time_price_per_kwh": table["rt_usd_per_mwh"].round(2).to_numpy() / 1000.0,
            "outdoor_temp_c": table["temp_c"].interpolate(limit_direction="both").to_numpy(),
        }
    )
    note = f"outdoor_temp_c: {n_filled} missing quarter-hours interpolated"
    return _whole_days(replace(trace, notes=(*trace.notes, note)), "America/Chicago")


def _nem(area: str) -> Trace:
    """Return Victoria's 5-minute prices and demand, with a forecast made of past prices.

    There is no day-ahead market. `price_per_kwh` is the mean real-time price of the same hour on
    the eight days before, of what is known at 12:30 on the day before.
    """
    table = _table(NEM, ("price_aud_per_mwh", "demand_mw"))
    starts = pd.DatetimeIndex(table.index)
    price = table["price_aud_per_mwh"].round(2) / 1000.0
    published = published_the_day_before(starts, timezone="Australia/Brisbane", at=time(12, 30))
    trace = Trace.from_prices(
        starts,
        price,
        published_at=published,
        period_s=300,
        currency="AUD",
        area=area,
        source=f"AEMO {area} ({NEM})",
    )
    hourly = price.groupby(starts.floor("h")).transform("mean").to_numpy(dtype=np.float64)
    hour_over = pd.DatetimeIndex(starts.floor("h") + pd.Timedelta(hours=1))
    forecast = expected(trace, hourly, hour_over, epoch_s(published))
    trace = trace.with_columns(
        {
            "price_per_kwh": np.nan_to_num(forecast),
            "real_time_price_per_kwh": price.to_numpy(),
            "demand_kw": table["demand_mw"].to_numpy() * 1000.0,
        },
        available_at={"price_per_kwh": published, "real_time_price_per_kwh": at_end(trace)},
    )
    note = (
        f"{LABEL} price_per_kwh: no day-ahead market; mean real-time price of the hour on the "
        "eight days before that are known by 12:30 of the day before"
    )
    days = _whole_days(replace(trace, notes=(*trace.notes, note)), "Australia/Brisbane")
    return days.between(days.start + pd.Timedelta(days=FORECAST_DAYS_LOST), days.end)


def _germany(area: str) -> Trace:
    """Return Germany's day-ahead prices of hours, known at 13:00 on the day before."""
    prices = _table(GERMANY, ("price_eur_per_mwh",))["price_eur_per_mwh"].round(2) / 1000.0
    starts = pd.DatetimeIndex(prices.index)
    return Trace.from_prices(
        starts,
        prices,
        published_at=published_the_day_before(starts, timezone="Europe/Berlin", at=time(13)),
        period_s=3600,
        currency="EUR",
        area=area,
        source=f"day-ahead, Germany ({GERMANY})",
    )


def _whole_days(trace: Trace, timezone: str) -> Trace:
    """Return the trace from its first local midnight to its last."""
    local = trace.starts.tz_convert(timezone)
    midnights = local[local == local.normalize()]
    return trace.between(midnights[0], midnights[-1])


SERIES = {
    "jepx": ReferenceSeries(
        title="JEPX day-ahead prices FY2016-FY2024",
        files=(JEPX,),
        publisher="JEPX",
        timezone="Asia/Tokyo",
        read=_jepx,
        areas=("kyushu", "tokyo", "tohoku", "chubu", "hokuriku", "kansai", "chugoku", "shikoku"),
    ),
    "kyushu": ReferenceSeries(
        title="JEPX prices with Kyushu's supply, demand and curtailment, 2016-2023",
        files=(JEPX, KYUSHU),
        publisher="JEPX, Kyushu Electric Power Transmission and Distribution",
        timezone="Asia/Tokyo",
        read=_kyushu,
        areas=("kyushu",),
    ),
    "ercot": ReferenceSeries(
        title="ERCOT hub average 2024",
        files=(ERCOT,),
        publisher="ERCOT",
        timezone="America/Chicago",
        read=_ercot,
        areas=("ercot_hubavg",),
    ),
    "nem_vic1": ReferenceSeries(
        title="AEMO 5-minute prices of Victoria, December 2024 to May 2025",
        files=(NEM,),
        publisher="AEMO",
        timezone="Australia/Brisbane",
        read=_nem,
        areas=("nem_vic1",),
    ),
    "germany": ReferenceSeries(
        title="German day-ahead prices 2015-2020",
        files=(GERMANY,),
        publisher="ENTSO-E",
        timezone="Europe/Berlin",
        read=_germany,
        areas=("germany",),
    ),
}

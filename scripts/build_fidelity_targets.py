"""Derive the targets and tolerances of the fidelity report, `data/samples/fidelity_targets.json`.

Run: ``GRIDHASH_REFERENCE_DATA=… python scripts/build_fidelity_targets.py``. Targets are the tables
in ``calibration/`` (JEPX FY2023 to 2026-08-23) where there is one, else they are measured on the
real series in ``data/``. A target is a mean of n years; its tolerance is twice its standard error,
2·s/√n, with s the spread of the statistic from year to year: FY2023–25 where a table holds it by
year, else FY2023–24, calendar years 2021–23 for curtailment, 2016–20 for temperature. Within a
family (such as the twelve months) s is the root mean square of its members', for a spread of two
or three years alone is hardly known; autocorrelations, which need no unit, are pooled over the
nine areas too. Counts of rare episodes vary at least as Poisson's. No tolerance is below 5 % of
the target or the resolution of the figures.
"""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gridhash.data.fidelity_statistics import (
    SPIKES_JPY_PER_KWH,
    curtailment_statistics,
    mean_of,
    pooled_price_statistics,
    seasonal_profile,
    temperature_statistics,
)
from gridhash.data.readers.jepx import TIMEZONE
from gridhash.data.synthesis.calendar import SEASONS

TARGET = Path(__file__).parents[1] / "data" / "samples" / "fidelity_targets.json"

LEAST_SHARE = 0.05
RESOLUTIONS = (
    ("share", 0.005),
    ("P(", 0.02),
    ("ACF", 0.01),
    ("days with 0.01, month", 0.02),
    ("h a year", 5.0),
    ("days a year", 2.0),
    ("GWh", 5.0),
    ("temperature mean", 0.3),
)
FAMILIES = (
    "winter spring summer autumn mean",
    "winter spring summer autumn sd",
    "winter spring summer autumn share at 0.01",
    "spring mean 0 5 12 18 23 h",
    "spring share at 0.01, 7 9 11 12 14 16 17 h",
    "weekday weekend mean",
    "cheapest dearest 6 h",
)
OFFSETS_K = {"hokkaido": -7.0, "tohoku": -3.5, "hokuriku": -1.0, "kyushu": 0.5}
YEAR_COLUMNS = {
    "mean": "year mean",
    "sd": "year sd",
    "p95": "year p95",
    "max": "year max",
    "share_001": "share at 0.01",
    "share_le5": "share ≤ 5",
    "share_gt30": "share > 30",
    "run001_mean_h": "run at 0.01, mean h",
}
AREA_PAIRS = {
    "kyushu": ("chugoku", "kansai", "tokyo", "hokkaido"),
    "tokyo": ("chubu", "kyushu"),
    "hokkaido": ("kyushu",),
    "chubu": ("tokyo",),
    "kansai": ("kyushu",),
    "chugoku": ("kyushu",),
}

Figures = dict[str, float]


def read_table(path: Path, **options: Any) -> Any:
    """Return a table of statistics; what type a cell has, pandas cannot say."""
    return pd.read_csv(path, **options)


def main() -> None:
    """Write the file."""
    root = Path(os.environ["GRIDHASH_REFERENCE_DATA"])
    raw = pd.read_parquet(root / "data" / "jepx_spot_30min_fy2016-fy2024.parquet")
    climate = temperature(root)
    areas = [name for name in raw.columns if name not in ("system",) and "kwh" not in name]
    scale_free = scale_free_spreads(raw, areas)
    values = {
        "source": (__doc__ or "").split("\n\n")[1].replace("\n", " "),
        "areas": {
            area: {
                "targets": prices(root, raw[area], area, scale_free)
                | curtailment(root, area)
                | shifted(climate, OFFSETS_K.get(area, 0.0))
                | hashprice(),
                "profile": profile(root, raw[area], area),
            }
            for area in areas
        },
    }
    TARGET.write_text(json.dumps(values, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def midnight(day: str) -> pd.Timestamp:
    """Return midnight in Japan as UTC."""
    return pd.Timestamp(day, tz=TIMEZONE).tz_convert("UTC")


def between(frame: pd.Series, first: str, end: str) -> pd.Series:
    """Return the rows from one local day up to another, without it."""
    return frame.loc[midnight(first) : midnight(end) - pd.Timedelta(seconds=1)]


def family(name: str) -> str:
    """Return what a statistic is pooled with for its spread."""
    for text in ("month", "> 20: ", "> 30: ", "> 40: "):
        if text in name and "episodes" not in name:
            return name.split(text)[0] + name.split(text)[1].lstrip("0123456789 ")
    if name.startswith("ACF"):
        return "ACF"
    for number, members in enumerate(FAMILIES):
        words = members.split()
        if all(word in words for word in name.split()):
            return f"family {number}"
    return name


def with_tolerances(
    targets: Figures, years: list[Figures], scale_free: Figures | None = None
) -> dict[str, list[float]]:
    """Return target and tolerance of each statistic; some spreads are known from all areas."""
    frame = pd.DataFrame(years)
    spreads = frame.std(ddof=1)
    found = {}
    for name, target in targets.items():
        members = [other for other in spreads.index if family(str(other)) == family(name)]
        variance = float((spreads[members] ** 2).mean()) if members else float("nan")
        spread = 0.0 if np.isnan(variance) else variance**0.5
        spread = (scale_free or {}).get(family(name), spread)
        if "episodes" in name:
            spread = max(spread, max(target, 0.0) ** 0.5)
        n_years = max(int(frame[name].notna().sum()), 1) if name in frame else len(years)
        least = max([size for text, size in RESOLUTIONS if text in name], default=0.0)
        tolerance = max(2 * spread / n_years**0.5, LEAST_SHARE * abs(target), least)
        found[name] = [round(float(target), 4), round(float(tolerance), 4)]
    return found


def prices(root: Path, raw: pd.Series, area: str, scale_free: Figures) -> dict[str, list[float]]:
    """Return the statistics of price of §4.1 to 4.3."""
    folder = root / "calibration"
    table = read_table(folder / "jepx_by_area_fy.csv")
    table = table[(table["area"] == area) & (table["fy"] >= 2023)].set_index("fy")
    n_days = table["n"] / 48
    full_years = [2023, 2024, 2025]
    by_year = table.rename(columns=YEAR_COLUMNS)[list(YEAR_COLUMNS.values())]
    by_year = by_year.assign(**{"days with 0.01": table["days_with_001"] * 365 / n_days})
    yearly = with_tolerances(
        by_year.mul(n_days / n_days.sum(), axis=0).sum().to_dict(),
        [by_year.loc[year].to_dict() for year in full_years],
    )
    real = two_years(raw)
    both = between(raw, "2023-04-01", "2025-04-01")
    targets = pooled_price_statistics(
        pd.DatetimeIndex(both.index), both.to_numpy(dtype="float64")
    ) | tabled(folder, area)
    return yearly | with_tolerances(targets, real, scale_free) | area_pairs(folder, area)


def two_years(raw: pd.Series) -> list[Figures]:
    """Return the statistics of FY2023 and of FY2024."""
    spans = [("2023-04-01", "2024-04-01"), ("2024-04-01", "2025-04-01")]
    return [
        pooled_price_statistics(pd.DatetimeIndex(part.index), part.to_numpy(dtype="float64"))
        for part in (between(raw, *span) for span in spans)
    ]


def scale_free_spreads(raw: pd.DataFrame, areas: list[str]) -> Figures:
    """Return the spread of what needs no unit, pooled over areas: autocorrelations."""
    variances = [pd.DataFrame(two_years(raw[area])).var(ddof=1) for area in areas]
    mean = pd.concat(variances, axis=1).mean(axis=1)
    chosen = mean[[name for name in mean.index if "ACF" in str(name) or "AR1" in str(name)]]
    return {
        str(name): float(value) ** 0.5
        for name, value in chosen.groupby([family(str(n)) for n in chosen.index]).mean().items()
    }


def tabled(folder: Path, area: str) -> Figures:
    """Return the statistics that the tables hold for FY2023 to 2026 together."""
    seasons = read_table(folder / "jepx_by_area_season_FY2023-26.csv")
    seasons = seasons[seasons["area"] == area].set_index("season")
    day = read_table(folder / "jepx_daily_spread_FY2023-26.csv").set_index("area").loc[area]
    acf = read_table(folder / "jepx_autocorr_FY2023-26.csv").set_index("area").loc[area]
    spikes = read_table(folder / "jepx_spike_episodes_FY2023-26.csv")
    spikes = spikes[spikes["area"] == area].set_index("thr_jpy")
    diurnal = read_table(folder / "jepx_diurnal_profile_FY2023-26.csv")
    spring = diurnal[(diurnal["area"] == area) & (diurnal["season"] == "spring")]
    hourly = spring.groupby(spring["slot"] // 2)[["mean", "share_001"]].mean()
    text = (folder / "calibration_jepx_FY2023-26.json").read_text(encoding="utf-8")
    levels = json.loads(text)["areas"][area]
    found: Figures = {}
    for season in SEASONS:
        found[f"{season} mean"] = seasons["mean"][season]
        found[f"{season} sd"] = seasons["sd"][season]
        found[f"{season} share at 0.01"] = seasons["share_001"][season]
    found |= {f"spring mean {hour} h": hourly["mean"][hour] for hour in (0, 5, 12, 18, 23)}
    found |= {
        f"spring share at 0.01, {hour} h": hourly["share_001"][hour]
        for hour in (7, 9, 11, 12, 14, 16, 17)
    }
    found |= {
        "weekday mean": day["weekday"],
        "weekend mean": day["weekend"],
        "daily spread mean": day["spread_mean"],
        "daily spread p95": day["spread_p95"],
        "cheapest 6 h": day["cheapest6h"],
        "dearest 6 h": day["dearest6h"],
        "log residual sd": acf["sd_logres"],
        "log daily level sd": levels["daily_level_sd"],
        "log daily level AR1": levels["daily_level_ar1"],
        "log intraday sd": levels["intraday_resid_sd"],
        "log intraday AR1": levels["intraday_resid_ar1"],
    }
    found |= {f"ACF {lag / 2:g} h": acf[f"acf_raw_{lag}"] for lag in (1, 2, 4, 48, 96, 336)}
    for threshold in SPIKES_JPY_PER_KWH:
        row = spikes.loc[threshold]
        found[f"> {threshold}: episodes a year"] = row["episodes_per_year"]
        found[f"> {threshold}: mean h"] = row["mean_h"]
        found[f"> {threshold}: p95 h"] = row["p95_h"]
    for month, share in levels["p_floor_day_by_month"].items():
        found[f"days with 0.01, month {month}"] = share
    return found


def area_pairs(folder: Path, area: str) -> dict[str, list[float]]:
    """Return the correlations of price with other areas; known for all years together only."""
    table = read_table(folder / "jepx_corr_FY2023-26.csv", index_col=0)
    return {
        f"price correlation with {other}": [float(table.loc[area, other]), 0.05]
        for other in AREA_PAIRS.get(area, ())
    }


def profile(root: Path, raw: pd.Series, area: str) -> dict[str, object]:
    """Return the mean price by season and slot, and how far apart two real years are (rms)."""
    table = read_table(root / "calibration" / "jepx_diurnal_profile_FY2023-26.csv")
    table = table[table["area"] == area].pivot(index="season", columns="slot", values="mean")
    first, second = (
        seasonal_profile(pd.DatetimeIndex(p.index), p.to_numpy(dtype="float64"))
        for p in (
            between(raw, "2023-04-01", "2024-04-01"),
            between(raw, "2024-04-01", "2025-04-01"),
        )
    )
    # 2·s/√2 with s = |difference|/√2.
    rms = float(np.sqrt(((first - second) ** 2).mean()))
    mean = [[round(float(v), 3) for v in table.loc[season]] for season in SEASONS]
    return {"mean": mean, "rms_tolerance": round(rms, 3)}


def curtailment(root: Path, area: str) -> dict[str, list[float]]:
    """Return the statistics of §4.4; other areas than Kyushu have those of 2023 only."""
    if area == "kyushu":
        frame = pd.read_parquet(
            root / "data" / "kyushu_joint_price_supply_carbon_hourly_2016-2023.parquet"
        )
        power = frame["solar_curtailed"] + frame["wind_curtailed"]

        def measured(first: str, end: str) -> Figures:
            part = between(power, first, end)
            price = between(frame["price_jpy_kwh"], first, end)
            return curtailment_statistics(
                pd.DatetimeIndex(part.index), price.to_numpy(), part.to_numpy()
            )

        years = [measured(f"{y}-01-01", f"{y + 1}-01-01") for y in (2021, 2022, 2023)]
        pooled = measured("2021-01-01", "2024-01-01")
        # 2021 and 2022 were years of crisis; what prices a usual year sees, 2023 tells.
        usual = {name: years[-1][name] for name in ("price while curtailed", "price otherwise")}
        return with_tolerances(pooled | usual, years)
    table = read_table(root / "calibration" / "jp_curtailment_by_area_year.csv")
    table = table[table["y"] == 2023].set_index("area")
    if area not in table.index:
        return {name: [0.0, 0.0] for name in ("curtailed h a year", "curtailed GWh a year")}
    row = table.loc[area]
    # One year is known: Kyushu's relative spread from year to year (2021–23) stands for theirs.
    kyushu = curtailment(root, "kyushu")
    found = {
        "curtailed h a year": row["hours_curt"],
        "curtailed days a year": row["days_curt"],
        "curtailed GWh a year": row["solar_curt_gwh"] + row["wind_curt_gwh"],
    }
    return {
        name: [
            round(float(value), 3),
            round(max(float(value) * kyushu[name][1] / kyushu[name][0] * 3**0.5, 2.0), 3),
        ]
        for name, value in found.items()
    }


def temperature(root: Path) -> dict[str, list[float]]:
    """Return the statistics of Haneda 2016–20; its few missing hours are interpolated."""
    frame = pd.read_parquet(root / "data" / "weather_tokyo_haneda_hourly_2016-2021.parquet")
    hourly = frame["temp_c"].astype("float64").interpolate()

    def measured(first: int, end: int) -> Figures:
        part = between(hourly, f"{first}-01-01", f"{end}-01-01")
        return temperature_statistics(pd.DatetimeIndex(part.index), part.to_numpy())

    years = [measured(year, year + 1) for year in range(2016, 2021)]
    pooled = measured(2016, 2021)
    # Of all years together a month's spread holds that between years; the mean of years does not.
    return with_tolerances(pooled | {n: v for n, v in mean_of(years).items() if "max" in n}, years)


def shifted(climate: dict[str, list[float]], offset_k: float) -> dict[str, list[float]]:
    """Return the climate with the area's assumed offset."""
    moves = ("temperature mean", "temperature p95", "temperature yearly max")
    return {
        name: [round(target + offset_k * name.startswith(moves), 4), tolerance]
        for name, (target, tolerance) in climate.items()
    }


def hashprice() -> dict[str, list[float]]:
    """Return what is known of 2021 to 2026 and, as tolerance, twice its sampling error.

    135 retargets give their mean to sd/√135 and their spread to sd/√270; the daily volatility
    differs from year to year by .008 (2021–24).
    """
    sd = 0.057
    return {
        "hashprice daily log sd": [0.036, round(2 * 0.008 / 4**0.5, 4)],
        "retargets a year": [25.7, 1.3],
        "retarget mean": [0.016, round(2 * sd / 135**0.5, 4)],
        "retarget sd": [sd, round(2 * sd / 270**0.5, 4)],
    }


if __name__ == "__main__":
    main()

"""Compare synthetic years with real ones: docs/results/fidelity.md and its images.

Run: ``python scripts/fidelity.py``; with ``GRIDHASH_REFERENCE_DATA`` set, the plots show the raw
series too and the markets are compared with theirs. Exit status 1 if an area in `SHOWN` fails.
"""

import os
import sys
from pathlib import Path

import pandas as pd

from gridhash.data.fidelity import draw_years, fidelity
from gridhash.data.fidelity_page import page
from gridhash.data.fidelity_plots import RealSeries, price_figure, save, site_figure
from gridhash.data.fidelity_statistics import market_statistics, mean_of
from gridhash.data.readers.jepx import TIMEZONE
from gridhash.data.samples import load_sample
from gridhash.data.synthetic import areas
from gridhash.data.synthetic_market import market_preset, market_presets, synthetic_market

SHOWN = ("kyushu", "tokyo", "hokkaido")
SEEDS = range(20)
MARKET_SEEDS = range(5)
RESULTS = Path(__file__).parents[1] / "docs" / "results"
AIMS = {
    "ercot": {"mean": 29.4, "sd": 68.0, "share < 0": 0.025, "max": 4965.0},
    "vic": {"mean": 80.0, "sd": 347.0, "share < 0": 0.235, "max": 17500.0},
    "nl": {"share < 0": 0.052},
}
MARKET_FILES = {
    "ercot": ("ercot_hubavg_rt15_da_temp_2024.parquet", "rt_usd_per_mwh"),
    "vic": ("nem_vic1_5min_2024-12_2025-05.parquet", "price_aud_per_mwh"),
}


def main() -> None:
    """Write the page."""
    folder = os.environ.get("GRIDHASH_REFERENCE_DATA")
    root = Path(folder) / "data" if folder else None
    real = real_series(root)
    images = RESULTS / "fidelity"
    images.mkdir(parents=True, exist_ok=True)
    reports = []
    for area in areas():
        report = fidelity(area, SEEDS)
        print(report)
        reports.append(report)
        if area in SHOWN:
            save(price_figure(area, SEEDS, real), images / f"{area}-price.png")
        if area == "kyushu":
            save(site_figure(area, SEEDS, real), images / "kyushu-site.png")
    draw_years.cache_clear()
    markets = {name: market_frame(name, root) for name in market_presets()}
    text = page(reports, SHOWN, markets, with_series=root is not None)
    (RESULTS / "fidelity.md").write_text(text, encoding="utf-8")
    failed = [report.area for report in reports if report.area in SHOWN and not report.passes]
    if failed:
        sys.exit(f"outside tolerance: {', '.join(failed)}")


def between(series: pd.Series, first: str, end: str) -> pd.Series:
    """Return the rows from one local day up to another, without it."""
    at, stop = (pd.Timestamp(day, tz=TIMEZONE).tz_convert("UTC") for day in (first, end))
    return series.loc[at : stop - pd.Timedelta(seconds=1)]


def real_series(root: Path | None) -> RealSeries:
    """Return the raw series, none where there is no folder."""
    if root is None:
        return RealSeries({}, None, None, None)
    jepx = pd.read_parquet(root / "jepx_spot_30min_fy2016-fy2024.parquet")
    kyushu = pd.read_parquet(root / "kyushu_joint_price_supply_carbon_hourly_2016-2023.parquet")
    haneda = pd.read_parquet(root / "weather_tokyo_haneda_hourly_2016-2021.parquet")
    chain = pd.read_csv(root / "btc_network_daily_2015-2025-03.csv")
    return RealSeries(
        {area: between(jepx[area], "2023-04-01", "2025-04-01") for area in SHOWN},
        between(kyushu["solar_curtailed"] + kyushu["wind_curtailed"], "2021-01-01", "2024-01-01"),
        between(haneda["temp_c"].astype("float64"), "2016-01-01", "2021-01-01"),
        chain["hashprice_usd_per_ph_day_diff"],
    )


def market_frame(name: str, root: Path | None) -> pd.DataFrame:
    """Return the statistics of a preset beside those aimed at and those of the real series."""
    market = market_preset(name)
    start, n_days, real = pd.Timestamp("2024-01-01", tz="UTC"), 366, None
    if name == "nl":
        real = load_sample("nl_2018").column("price_per_kwh") * 1000.0
    elif root is not None:
        file_name, column = MARKET_FILES[name]
        series = pd.read_parquet(root / file_name)[column]
        real = series.to_numpy(dtype="float64")
        start = pd.Timestamp(series.index[0])
        n_days = len(real) * market.period_s // 86400
    draws = [
        synthetic_market(preset=name, start=start, n_days=n_days, seed=seed)
        for seed in MARKET_SEEDS
    ]
    found = mean_of(
        market_statistics(draw.column("price_per_kwh") * 1000.0, market.period_s) for draw in draws
    )
    measured = {} if real is None else market_statistics(real, market.period_s)
    return pd.DataFrame(
        {
            "aim": [AIMS[name].get(key, float("nan")) for key in found],
            "real": [measured.get(key, float("nan")) for key in found],
            "synthetic": list(found.values()),
        },
        index=list(found),
    )


if __name__ == "__main__":
    main()

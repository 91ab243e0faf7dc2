"""Derive the parameters of the synthetic Japanese year from aggregate statistics.

Run: ``GRIDHASH_REFERENCE_DATA=… python scripts/build_synthetic_parameters.py``. The folder holds
``calibration/`` (aggregates of JEPX prices and of Kyushu's curtailment) and ``data/`` (Haneda's
temperature). Only aggregates go into the file; no published series does.
"""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gridhash.data import synthetic

TARGET = Path(__file__).parents[1] / "data" / "samples" / "synthetic_japan.json"
LOG_CLIP = float(np.log(0.5))
FIT_SEEDS = range(6)

SOURCES = [
    "Prices: aggregates by month, kind of day and slot computed from JEPX spot prices FY2023 to "
    "2026-08-23 (source: JEPX); level_scale, noise_scale and log_shift are fitted so that mean, "
    "standard deviation, lag-1 autocorrelation and mean daily spread of six synthetic years come "
    "close to those of the area in the same years.",
    "Surplus: probability and mean of curtailed power in Kyushu by month and hour, 2021-2023 "
    "(Kyushu Electric Power Transmission and Distribution); other areas by their hours of "
    "curtailment in 2023 relative to Kyushu's; none known for Tokyo. Weekend share 0.37.",
    "Assumed: the site may take all it wants from 500 MW of curtailed power in the area on, and "
    "in proportion below; spread of curtailed power from day to day.",
    "Temperature: Tokyo (Haneda) 2016-2020, METAR; offsets of the other areas are assumed.",
    "Hashprice: daily log volatility since 2021, computed from issuance, fees, price and hash "
    "rate; start, bounds, half-life of 60 days and the exchange rate are assumed.",
]

OFFSETS_K = {
    "hokkaido": -7.0,
    "tohoku": -3.5,
    "hokuriku": -1.0,
    "kyushu": 0.5,
}


def main() -> None:
    """Write ``data/samples/synthetic_japan.json``."""
    root = Path(os.environ["GRIDHASH_REFERENCE_DATA"])
    folder = root / "calibration"
    text = (folder / "calibration_jepx_FY2023-26.json").read_text(encoding="utf-8")
    calibration: dict[str, Any] = json.loads(text)["areas"]
    ratios = surplus_ratios(folder)
    values: dict[str, Any] = {
        "format_version": 1,
        "sources": SOURCES,
        "currency_per_usd": 150.0,
        "hashprice": {
            "start_usd_per_phs_day": 38.0,
            "low_usd_per_phs_day": 26.0,
            "high_usd_per_phs_day": 65.0,
            "daily_log_sd": 0.036,
            "daily_reversion": round(1 - 0.5 ** (1 / 60), 5),
        },
        "temperature": temperature(root),
        "surplus": surplus(folder),
        "price": {"drift_ar1": 0.97, "level_share": 0.85},
        "areas": {
            name: {
                "surplus_hours_ratio": ratios.get(name, 0.0),
                "temperature_offset_k": OFFSETS_K.get(name, 0.0),
                "price": price(area),
            }
            for name, area in calibration.items()
        },
    }
    for name, area in values["areas"].items():
        fit_price(name, area["price"], values["price"], targets(folder, name))
    write(values)
    values["surplus"]["link_to_price_level"] = fit_link()
    write(values)


def write(values: dict[str, Any]) -> None:
    """Write the file and forget what was read before."""
    TARGET.write_text(
        json.dumps(values, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8"
    )
    synthetic._parameters.cache_clear()


def price(area: dict[str, Any]) -> dict[str, Any]:
    """Return the tables of one area: floor probability, and log mean of what is not at the floor.

    The published log mean is over all slots, clipped at 0.5 JPY, and the floor probability over
    all days; the difference between weekdays and weekends is shared out between the two.
    """
    by_kind = area["log_mean_month_weekend_slot"]
    log_mean = np.array([[by_kind[str(m)][kind] for kind in "01"] for m in range(1, 13)])
    p_floor = np.array([area["p_floor_by_month_slot"][str(m)] for m in range(1, 13)])
    mixed = (5 * log_mean[:, 0] + 2 * log_mean[:, 1]) / 7
    above = (mixed - p_floor * LOG_CLIP) / (1 - p_floor)
    ratio = (above[:, None] - log_mean) / np.maximum(above - mixed, 0.3)[:, None]
    by_day = p_floor[:, None] * np.clip(ratio, 0.6, 1.4)
    by_day *= (p_floor / np.maximum((5 * by_day[:, 0] + 2 * by_day[:, 1]) / 7, 1e-9))[:, None]
    by_day = np.where(p_floor[:, None] > 0.02, np.minimum(by_day, 0.85), p_floor[:, None])
    return {
        "log_mean": np.round((log_mean - by_day * LOG_CLIP) / (1 - by_day), 3).tolist(),
        "p_floor": np.round(by_day, 3).tolist(),
        "level_ar1": area["daily_level_ar1"],
        "noise_ar1": area["intraday_resid_ar1"],
    }


def targets(folder: Path, area: str) -> dict[str, float]:
    """Return mean, sd, lag-1 autocorrelation and mean daily spread of an area, FY2023-26.

    Seasons are weighted by their share of a year, because the span holds some more springs and
    summers.
    """
    seasons = pd.read_csv(folder / "jepx_by_area_season_FY2023-26.csv")
    seasons = seasons[seasons["area"] == area]
    mean = float(seasons["mean"].mean())
    variance = float((seasons["sd"] ** 2 + (seasons["mean"] - mean) ** 2).mean())
    lags = pd.read_csv(folder / "jepx_autocorr_FY2023-26.csv").set_index("area")
    spreads = pd.read_csv(folder / "jepx_daily_spread_FY2023-26.csv").set_index("area")
    return {
        "mean": mean,
        "sd": variance**0.5,
        "lag1": float(lags["acf_raw_1"][area]),
        "spread": float(spreads["spread_mean"][area]),
    }


def describe(prices: np.ndarray[Any, np.dtype[np.float64]]) -> dict[str, float]:
    """Return the figures of `targets` for a synthetic series."""
    rest = prices - prices.mean()
    days = prices.reshape(-1, 48)
    return {
        "mean": float(prices.mean()),
        "sd": float(prices.std()),
        "lag1": float((rest[1:] * rest[:-1]).mean() / prices.var()),
        "spread": float((days.max(axis=1) - days.min(axis=1)).mean()),
    }


def fit_price(
    name: str, values: dict[str, Any], shared: dict[str, Any], target: dict[str, float]
) -> None:
    """Choose the two scales on a grid, then shift the level to the mean."""
    calendar = synthetic.fiscal_year(2025)
    # An error of 0.01 in the autocorrelation weighs as much as one of 4 % in the others.
    weights = {"mean": 0.0, "sd": 1.0, "lag1": 4.0, "spread": 1.0}
    best, best_error = values, np.inf
    tables = {key: np.array(values[key]) for key in ("log_mean", "p_floor")}
    for level_scale in np.arange(0.10, 0.46, 0.025):
        for noise_scale in np.arange(0.06, 0.31, 0.02):
            scales = {
                "level_scale": round(float(level_scale), 3),
                "noise_scale": round(float(noise_scale), 3),
                "log_shift": 0.0,
            }
            for _ in range(2):
                parameters = synthetic.PriceParameters(**{**shared, **values, **tables, **scales})
                found = describe(draw(parameters, calendar))
                scales["log_shift"] += float(np.log(target["mean"] / found["mean"]))
            error = sum(
                weights[key] * (found[key] / target[key] - 1) ** 2 * (4 if key == "lag1" else 1)
                for key in target
            )
            if error < best_error:
                best, best_error = {**values, **scales}, error
                result = found
    best["log_shift"] = round(best["log_shift"], 4)
    values.update(best)
    print(name, {k: best[k] for k in ("level_scale", "noise_scale", "log_shift")})
    print("   ", {key: (round(result[key], 3), round(target[key], 3)) for key in target})


_LATENTS: dict[tuple[float, float], list[synthetic.Latents]] = {}


def draw(
    parameters: synthetic.PriceParameters, calendar: synthetic.Calendar
) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return the years of all fit seeds, one after the other."""
    key = parameters.level_ar1, parameters.noise_ar1
    if key not in _LATENTS:
        _LATENTS[key] = [
            synthetic.draw_latents(
                parameters,
                calendar,
                np.random.default_rng([seed, 1]),
                np.random.default_rng([seed, 2]),
            )[1]
            for seed in FIT_SEEDS
        ]
    return np.concatenate(
        [synthetic.price_path(parameters, calendar, latents) for latents in _LATENTS[key]]
    )


def surplus(folder: Path) -> dict[str, Any]:
    """Return Kyushu's curtailment by month and hour."""
    probability = pd.read_csv(folder / "kyushu_P_curtail_month_hour_2021-23.csv", index_col="m")
    mean_mw = pd.read_csv(
        folder / "kyushu_mean_curtailed_MW_given_curtail_month_hour_2021-23.csv", index_col="m"
    )
    mean_mw = mean_mw.reindex(columns=probability.columns).fillna(0.0)
    return {
        "p_by_month_hour": probability.where(mean_mw > 0, 0.0).to_numpy().tolist(),
        "mean_mw_by_month_hour": mean_mw.to_numpy().tolist(),
        "weekday_ratio": 0.88,
        "weekend_ratio": 1.3,
        "day_ar1": 0.5,
        "day_log_sd": 0.6,
        "full_surplus_mw": 500.0,
        "link_to_price_level": 0.0,
    }


def surplus_ratios(folder: Path) -> dict[str, float]:
    """Return each area's hours of curtailment in 2023 relative to Kyushu's."""
    years = pd.read_csv(folder / "jp_curtailment_by_area_year.csv")
    hours = years[years["y"] == 2023].set_index("area")["hours_curt"]
    return {str(k): round(float(v), 3) for k, v in (hours / hours["kyushu"]).items()}


def fit_link() -> float:
    """Return the link at which 66 % of Kyushu's curtailed slots have a price of at most 0.5."""
    best, best_error = 0.0, np.inf
    for link in np.arange(0.3, 1.0, 0.02):
        synthetic._parameters()["surplus"]["link_to_price_level"] = float(link)
        shares = []
        for seed in FIT_SEEDS:
            frame = synthetic.synthetic_japan(seed=seed).frame
            cheap = frame["price_per_kwh"][frame["surplus_frac"] > 0] <= 0.5
            shares.append(float(cheap.mean()))
        error = abs(float(np.mean(shares)) - 0.66)
        if error < best_error:
            best, best_error = round(float(link), 2), error
    print("link", best, "error", round(best_error, 3))
    return best


def temperature(root: Path) -> dict[str, Any]:
    """Return monthly means, diurnal waves and persistence of Haneda's temperature."""
    frame = pd.read_parquet(root / "data" / "weather_tokyo_haneda_hourly_2016-2021.parquet")
    temp_c = frame["temp_c"].astype("float64").tz_convert("Asia/Tokyo").loc["2016":"2020"]
    at = pd.DatetimeIndex(temp_c.index)
    by_month = temp_c.groupby(at.month)
    angle = 2 * np.pi * (at.hour + 0.5) / 24
    cosine = (temp_c * np.cos(angle)).groupby(at.month).mean() * 2
    sine = (temp_c * np.sin(angle)).groupby(at.month).mean() * 2
    warmest = np.arctan2(sine.mean(), cosine.mean()) * 24 / (2 * np.pi)
    profile = temp_c.groupby([at.month, at.hour]).transform("mean")
    rest = temp_c - profile
    days = rest.groupby(at.date).mean()
    within = rest - rest.groupby(at.date).transform("mean")
    hourly_ar1 = float(within.autocorr(1))
    return {
        "monthly_mean_c": by_month.mean().round(2).tolist(),
        "diurnal_amplitude_k": np.hypot(cosine, sine).round(2).tolist(),
        "warmest_hour": round(float(warmest) % 24, 2),
        "day_sd_k": round(float(days.std()), 3),
        "day_ar1": round(float(days.autocorr(1)), 3),
        "slot_sd_k": round(float(within.std()), 3),
        "slot_ar1": round(hourly_ar1**0.5, 4),
    }


if __name__ == "__main__":
    main()

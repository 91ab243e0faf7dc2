"""Derive the parameters of the synthetic Japanese year, `data/samples/synthetic_japan.json`.

Run: ``GRIDHASH_REFERENCE_DATA=… python scripts/build_synthetic_parameters.py``. The folder holds
``data/`` (real series) and ``calibration/`` (aggregates up to 2026). Only what is derived from
them goes into the file; no published series does.
"""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from gridhash.data.price_tables import (
    PriceTables,
    brought_to,
    draws_of,
    map_knots,
    with_p_floor,
)
from gridhash.data.readers.jepx import PERIOD_S, SLOTS_PER_DAY, TIMEZONE
from gridhash.data.synthesis.calendar import SEASONS, Calendar, days_of
from gridhash.data.synthesis.fit import (
    CHEAP_JPY_PER_KWH,
    fit_links,
    fit_surplus,
    fit_temperature,
)
from gridhash.data.synthesis.fit_price import fit_price
from gridhash.data.synthesis.normal import cdf, quantile
from gridhash.data.synthesis.parameters import (
    CrisisParameters,
    HashpriceParameters,
    PriceParameters,
    SurplusParameters,
    TemperatureParameters,
    dump,
)
from gridhash.data.synthesis.price import CAP_JPY_PER_KWH, Latent, price_path, raw_log_price
from gridhash.time_grid import grid

Array = npt.NDArray[np.float64]

TARGET = Path(__file__).parents[1] / "data" / "samples" / "synthetic_japan.json"
NEARER = 0.7

SOURCES = [
    "Prices, memory and shape: fitted to JEPX area prices FY2023-24 (source: JEPX). Level by "
    "month, kind of day and slot, floor probability and distribution: aggregates of JEPX area "
    "prices FY2023 to 2026-08-23. Crisis: distribution of the same areas in FY2020-22.",
    "Surplus: curtailment of Kyushu 2021-23 (Kyushu Electric Power Transmission and "
    "Distribution), hours scaled so that P(curtailed | price <= 0.5) comes out as in 2021-23 at "
    "today's share of floor prices; other areas: Kyushu's pattern, scaled by their hours and "
    "energy of 2023; none known for Tokyo, where there was nearly none.",
    "Assumed: the site may take all it wants from 500 MW of curtailed power in the area on, and "
    "in proportion below; spread of when curtailment starts and ends.",
    "Temperature: Tokyo (Haneda) 2016-2020, METAR, 65 missing hours interpolated; its link to "
    "price from Tokyo's prices of the same years; offsets of the other areas are assumed.",
    "Hashprice: daily volatility .036 of 2021 to 2026, retargets 2021-26 (135, mean +1.6 %, sd "
    "5.7 %, -28 ... +22 %), computed from chain data; start, half-life of 60 days and the exchange "
    "rate of 150 JPY/USD are assumed.",
]

OFFSETS_K = {"hokkaido": -7.0, "tohoku": -3.5, "hokuriku": -1.0, "kyushu": 0.5}
DAILY_LOG_SD = 0.036
RETARGET_MEAN, RETARGET_SD = 0.016, 0.057
SPELL = {"spell_first_day": 25, "spell_days": 28, "spell_score": 4.0}
"""From 26 December on, as in the winter of FY2020."""


def read_table(path: Path, **options: Any) -> Any:
    """Return a table of statistics; what type a cell has, pandas cannot say."""
    return pd.read_csv(path, **options)


def main() -> None:
    """Write the file."""
    root = Path(os.environ["GRIDHASH_REFERENCE_DATA"])
    raw = pd.read_parquet(root / "data" / "jepx_spot_30min_fy2016-fy2024.parquet")
    text = (root / "calibration" / "calibration_jepx_FY2023-26.json").read_text(encoding="utf-8")
    tables: dict[str, Any] = json.loads(text)["areas"]
    recent = raw.loc[midnight("2023-04-01") : midnight("2025-04-01") - pd.Timedelta(seconds=1)]
    prices = {area: price(recent[area], tables[area], raw[area], root, area) for area in tables}
    kyushu = kyushu_surplus(root, prices["kyushu"][0])
    temperature = haneda(root, raw["tokyo"])
    values = {
        "format_version": 2,
        "sources": SOURCES,
        "area_correlation": correlation(recent[list(tables)]),
        "hashprice": dump(hashprice(), {}),
        "areas": {
            area: {
                "price": dump(usual, DIGITS),
                "crisis": dump(crisis, DIGITS),
                "surplus": dump(scaled_surplus(root, area, kyushu), {"mean_mw_by_month_hour": 0}),
                "temperature": dump(shifted(temperature, OFFSETS_K.get(area, 0.0)), {}),
            }
            for area, (usual, crisis) in prices.items()
        },
    }
    TARGET.write_text(
        json.dumps(values, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8"
    )


DIGITS = {"location": 3, "p_floor": 3, "scale": 3, "shape": 2, "memory": 3, "innovation": 3}


def midnight(day: str) -> pd.Timestamp:
    """Return midnight in Japan as UTC."""
    return pd.Timestamp(day, tz=TIMEZONE).tz_convert("UTC")


def price(
    recent: pd.Series, table: dict[str, Any], past: pd.Series, root: Path, area: str
) -> tuple[PriceParameters, CrisisParameters]:
    """Return the price process of an area, brought to the tables, and its crisis."""
    fitted = fit_price(
        recent.to_numpy().reshape(-1, SLOTS_PER_DAY), days_of(pd.DatetimeIndex(recent.index))
    )
    calendar = table_calendar()
    wanted = price_tables(root, table, area)
    usual = brought_to(with_p_floor(fitted, calendar, wanted.p_floor), wanted, calendar)
    return usual, crisis_of(usual, calendar, draws_of(usual, calendar), past)


def price_tables(root: Path, table: dict[str, Any], area: str) -> PriceTables:
    """Return what the tables say of an area's prices."""
    folder = root / "calibration"
    years = read_table(folder / "jepx_by_area_fy.csv")
    years = years[(years["area"] == area) & (years["fy"] >= 2023)].set_index("fy")
    cdf = read_table(folder / "jepx_cdf_by_area_fy.csv")
    cdf = cdf[cdf["area"] == area].set_index("fy").drop(columns="area")
    seasons = read_table(folder / "jepx_by_area_season_FY2023-26.csv")
    spikes = read_table(folder / "jepx_spike_episodes_FY2023-26.csv")
    spikes = spikes[spikes["area"] == area].set_index("thr_jpy")
    acf, swing = (
        read_table(folder / name).set_index("area").loc[area]
        for name in ("jepx_autocorr_FY2023-26.csv", "jepx_daily_spread_FY2023-26.csv")
    )
    share = cdf.mul(years["n"], axis=0).sum() / years["n"].sum()
    points = {float(str(n).removeprefix("le_")): float(value) for n, value in share.items()}
    points |= {float(t): 1.0 - float(value) for t, value in spikes["share"].items()}
    by_kind = table["log_mean_month_weekend_slot"]
    return PriceTables(
        log_mean=np.array([[by_kind[str(m)][kind] for kind in "01"] for m in range(1, 13)]),
        p_floor=np.array([table["p_floor_by_month_slot"][str(m)] for m in range(1, 13)]),
        share_below=points,
        n_slots=int(years["n"].sum()),
        highest=float(years["max"].max()),
        yearly_max=float(np.average(years["max"], weights=years["n"])),
        season_sd=seasons[seasons["area"] == area]
        .set_index("season")["sd"][list(SEASONS)]
        .to_numpy(),
        acf={lag: float(acf[f"acf_raw_{lag}"]) for lag in (48, 96, 336)},
        swing=float(swing["spread_mean"]),
        swing_p95=float(swing["spread_p95"]),
        spike_h={
            "> 30: mean h": float(spikes["mean_h"][30]),
            "> 40: mean h": float(spikes["mean_h"][40]),
        },
    )


def table_calendar() -> Calendar:
    """Return the days that the tables cover."""
    return days_of(grid(midnight("2023-04-01"), midnight("2026-08-24"), PERIOD_S))


def crisis_of(
    prices: PriceParameters, calendar: Calendar, draws: list[Latent], past: pd.Series
) -> CrisisParameters:
    """Return the crisis: ranks as usual, the distribution of FY2020–22, a spell each winter."""
    span = past.loc[midnight("2020-04-01") : midnight("2023-04-01") - pd.Timedelta(seconds=1)]
    values = np.sort(span.to_numpy())
    shares = np.r_[np.arange(0.12, 0.99, 0.02), 0.99, 0.995, 0.998, 0.999, 0.9999]
    knots = [(float(np.quantile(values, share)), float(share)) for share in shares]
    knots.append((min(float(values[-1]), CAP_JPY_PER_KWH), 1.0 - 0.5 / len(values)))
    # As strong where the drift has the larger share of the variance.
    spell_score = SPELL["spell_score"] / (1.0 - prices.slow_share) ** 0.5
    raw = []
    for draw in draws:
        lift = np.zeros((calendar.n_days, 1))
        for december in np.flatnonzero(np.diff(calendar.month, prepend=0) * (calendar.month == 11)):
            first = december + int(SPELL["spell_first_day"])
            # One winter of the three years saw the spell; every crisis year here has one.
            lift[first : first + int(SPELL["spell_days"])] = spell_score
        lifted = replace(draw, level=draw.level + lift, floor=draw.floor + lift)
        raw.append(raw_log_price(prices, calendar, lifted))
    at, to = map_knots(np.concatenate([part.ravel() for part in raw]), knots)
    return CrisisParameters(
        map_from=at,
        map_to=to,
        spell_first_day=int(SPELL["spell_first_day"]),
        spell_days=int(SPELL["spell_days"]),
        spell_score=spell_score,
    )


def correlation(recent: pd.DataFrame) -> list[list[float]]:
    """Return the correlation between areas of the daily mean log price within a month."""
    days = (
        pd.DataFrame(np.log(recent.clip(lower=0.5)))
        .groupby(pd.DatetimeIndex(recent.index).tz_convert(TIMEZONE).normalize())
        .mean()
    )
    at = pd.DatetimeIndex(days.index)
    rest = days - days.groupby([at.year, at.month, at.day_of_week >= 5]).transform("mean")
    # Ranks, floors and noise weaken what the latents share, so they share more than prices do.
    table = 0.995 * rest.corr().to_numpy() ** NEARER + 0.005 * np.eye(days.shape[1])
    return [[round(float(value), 3) for value in row] for row in table]


def kyushu_surplus(root: Path, prices: PriceParameters) -> SurplusParameters:
    """Return Kyushu's curtailment of 2021–23, linked to the prices that the file holds."""
    frame = pd.read_parquet(
        root / "data" / "kyushu_joint_price_supply_carbon_hourly_2016-2023.parquet"
    ).loc[midnight("2021-01-01") : midnight("2024-01-01") - pd.Timedelta(seconds=1)]
    starts = grid(midnight("2021-01-01"), midnight("2024-01-01"), PERIOD_S)
    power, price = (
        pd.Series(np.repeat(part.to_numpy(), 2), index=starts)
        for part in (frame["solar_curtailed"] + frame["wind_curtailed"], frame["price_jpy_kwh"])
    )
    fitted = fit_surplus(power, price, prices)
    on, cheap = power > 0, price <= CHEAP_JPY_PER_KWH
    calendar = table_calendar()
    draw = draws_of(prices, calendar)[0]
    cheap_now = float((price_path(prices, calendar, draw) <= CHEAP_JPY_PER_KWH).mean())
    hours = float(on[cheap].mean() / cheap[on].mean()) * cheap_now / float(on.mean())
    days = np.asarray(on.to_numpy().reshape(-1, SLOTS_PER_DAY).any(axis=1))
    print("hours of curtailment × ", round(hours, 3))
    return fit_links(
        replace(fitted, p_by_month_hour=with_fewer_hours(fitted.p_by_month_hour, hours)),
        prices,
        calendar,
        cheap_share=float(cheap[on].mean()),
        after=float(days[1:][days[:-1]].mean()),
    )


def with_fewer_hours(probability: Array, factor: float) -> Array:
    """Return probabilities [12, 24] whose mean is `factor` times as high, moved in normal score."""
    score = quantile(probability)
    best = min(
        np.arange(-1.0, 1.0, 0.01).tolist(),
        key=lambda shift: abs(float(cdf(score - shift).mean() / probability.mean()) - factor),
    )
    return np.where(probability > 0.0, cdf(score - best), 0.0)


def scaled_surplus(root: Path, area: str, kyushu: SurplusParameters) -> SurplusParameters:
    """Return Kyushu's process with the hours and energy that an area had in 2023."""
    years = read_table(root / "calibration" / "jp_curtailment_by_area_year.csv")
    by_area = years[years["y"] == 2023].set_index("area")
    if area not in by_area.index:
        return replace(kyushu, p_by_month_hour=np.zeros((12, 24)))
    hours = by_area["hours_curt"]
    power = (by_area["solar_curt_gwh"] + by_area["wind_curt_gwh"]) / hours
    if area == "kyushu":
        return kyushu
    return replace(
        kyushu,
        max_mw=float(by_area["max_curt_mw"][area]),
        p_by_month_hour=kyushu.p_by_month_hour * float(hours[area] / hours["kyushu"]),
        mean_mw_by_month_hour=kyushu.mean_mw_by_month_hour * float(power[area] / power["kyushu"]),
    )


def haneda(root: Path, tokyo: pd.Series) -> TemperatureParameters:
    """Return the temperature process of Haneda 2016–20."""
    frame = pd.read_parquet(root / "data" / "weather_tokyo_haneda_hourly_2016-2021.parquet")
    hourly = frame["temp_c"].astype("float64").interpolate()
    starts = grid(midnight("2016-01-01"), midnight("2021-01-01"), PERIOD_S)
    halves = hourly.reindex(starts, method="ffill")
    prices = tokyo.loc[: midnight("2020-10-01") - pd.Timedelta(seconds=1)]
    return fit_temperature(halves, prices)


def shifted(temperature: TemperatureParameters, offset_k: float) -> TemperatureParameters:
    """Return the process with other monthly means."""
    return replace(temperature, monthly_mean_c=temperature.monthly_mean_c + offset_k)


def hashprice() -> HashpriceParameters:
    """Return the process whose daily volatility, jumps included, is the real one."""
    by_jumps = (RETARGET_SD**2 + RETARGET_MEAN**2) / 14
    return HashpriceParameters(
        start_usd_per_phs_day=38.0,
        daily_log_sd=round(float((DAILY_LOG_SD**2 - by_jumps) ** 0.5), 5),
        daily_reversion=round(1 - 0.5 ** (1 / 60), 5),
        retarget_mean=RETARGET_MEAN,
        retarget_sd=RETARGET_SD,
        retarget_low=-0.28,
        retarget_high=0.22,
    )


if __name__ == "__main__":
    main()

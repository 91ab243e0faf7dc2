"""Derive the synthetic markets, `data/samples/synthetic_markets.json`.

Run: ``GRIDHASH_REFERENCE_DATA=… python scripts/build_synthetic_markets.py``. Hours and memory are
fitted to the real series; the distribution is then brought to the figures of two years (ERCOT) or
of all of 2025 (Victoria), which the series in hand do not cover. Only what is derived is written.
"""

import json
import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from gridhash.data.samples import load_sample
from gridhash.data.synthetic_market import (
    MarketParameters,
    distribution,
    dump_market,
    fit_market,
    with_distribution,
)
from gridhash.data.trace import Trace

Array = npt.NDArray[np.float64]

TARGET = Path(__file__).parents[1] / "data" / "samples" / "synthetic_markets.json"
SOURCES = [
    "ercot: hours and memory of real-time HB_HUBAVG 2024 (15 min, ERCOT); mean, sd, share below "
    "zero and highest price of 2024-25.",
    "vic: hours and memory of VIC1 2024-12 to 2025-05 (5 min, AEMO); mean, sd, share below zero "
    "and highest price of 2025. Months outside the series are taken as average.",
    "nl: the Netherlands day-ahead 2018 (hourly, Bundesnetzagentur | SMARD.de, CC BY 4.0); lowest "
    "fifth stretched so that 5.2 % of hours are below zero, as in 2024 (assumed shape).",
]
TAIL_SHARE = 0.998
LOW_SHARE = 0.2


def main() -> None:
    """Write the file."""
    root = Path(os.environ["GRIDHASH_REFERENCE_DATA"]) / "data"
    ercot = pd.read_parquet(root / "ercot_hubavg_rt15_da_temp_2024.parquet")["rt_usd_per_mwh"]
    vic = pd.read_parquet(root / "nem_vic1_5min_2024-12_2025-05.parquet")["price_aud_per_mwh"]
    markets = {
        "ercot": tailed(
            real_time(ercot, "ercot_hubavg", "USD", 900),
            "America/Chicago",
            mean=29.4,
            sd=68.0,
            below_zero=0.025,
            highest=4965.0,
        ),
        "vic": tailed(
            real_time(vic, "nem_vic1", "AUD", 300),
            "Australia/Brisbane",
            mean=80.0,
            sd=347.0,
            below_zero=0.235,
            highest=17500.0,
        ),
        "nl": netherlands(0.052),
    }
    values = {
        "format_version": 1,
        "sources": SOURCES,
        "markets": {name: dump_market(market) for name, market in markets.items()},
    }
    TARGET.write_text(json.dumps(values, separators=(",", ":")) + "\n", encoding="utf-8")


def real_time(series: pd.Series, area: str, currency: str, period_s: int) -> Trace:
    """Return a real series as a trace; its index may be in microseconds."""
    starts = pd.DatetimeIndex(series.index).as_unit("s")
    return Trace.from_prices(
        starts,
        series.to_numpy(dtype="float64") / 1000.0,
        published_at=starts + pd.Timedelta(seconds=period_s),
        period_s=period_s,
        currency=currency,
        area=area,
        source=area,
    )


def tailed(
    trace: Trace, timezone: str, *, mean: float, sd: float, below_zero: float, highest: float
) -> MarketParameters:
    """Return a market fitted to a trace whose distribution has four given figures."""
    market = fit_market(trace, timezone=timezone)
    shares, prices = distribution(trace.column("price_per_kwh") * 1000.0)
    prices = prices - np.interp(below_zero, shares, prices)
    scale = 1.0
    for _ in range(60):
        shares_at, prices_at = with_tail(shares, prices * scale, sd, highest)
        found = moments(shares_at, prices_at)[0]
        scale *= 1.0 + 0.5 * (mean - found) / mean
    market = with_distribution(market, shares_at, prices_at, months=np.arange(12))
    print(trace.area, moments(shares_at, prices_at), market.memory_weight.round(3))
    return market


def with_tail(shares: Array, prices: Array, sd: float, highest: float) -> tuple[Array, Array]:
    """Return a distribution whose top rises to the highest price such that sd comes out.

    Above `TAIL_SHARE` the logarithm of price is linear in the logarithm of the share that lies
    above (a power law), up to the share at which the highest price is reached.
    """
    body = shares < TAIL_SHARE
    first = float(np.interp(TAIL_SHARE, shares, prices))

    def tail(log_top: float) -> tuple[Array, Array]:
        at = np.linspace(0.0, 1.0, 12)
        above = np.exp((1 - at) * np.log(1 - TAIL_SHARE) + at * log_top)
        top = np.exp((1 - at) * np.log(first) + at * np.log(highest))
        return np.r_[shares[body], 1 - above], np.r_[prices[body], top]

    tops = np.linspace(np.log(1e-6), np.log(0.5 * (1 - TAIL_SHARE)), 400)
    best = min(tops.tolist(), key=lambda top: abs(moments(*tail(top))[1] - sd))
    return tail(best)


def moments(shares: Array, prices: Array) -> tuple[float, float]:
    """Return mean and standard deviation of a distribution, linear between its knots."""
    at = np.r_[0.0, shares, 1.0]
    low, high = np.r_[prices[0], prices], np.r_[prices, prices[-1]]
    weight = np.diff(at)
    mean = float((weight * (low + high) / 2).sum())
    square = float((weight * (low**2 + low * high + high**2) / 3).sum())
    return mean, (square - mean**2) ** 0.5


def netherlands(below_zero: float) -> MarketParameters:
    """Return the Dutch market with a given share of hours below zero."""
    trace = load_sample("nl_2018")
    market = fit_market(trace, timezone="Europe/Amsterdam", day_ahead=True)
    shares, prices = distribution(trace.column("price_per_kwh") * 1000.0)
    hinge = float(np.interp(LOW_SHARE, shares, prices))
    stretch = hinge / (hinge - float(np.interp(below_zero, shares, prices)))
    low = np.minimum(prices, hinge)
    prices = prices + (stretch - 1.0) * (low - hinge)
    return with_distribution(market, shares, prices, months=np.arange(12))


if __name__ == "__main__":
    main()

"""Japan's imbalance prices, where the published ones are not at hand."""

import math

import numpy as np
import pandas as pd

from gridhash.config_processes import ImbalanceProcess
from gridhash.data.processes.common import DAY_S, Array, at_end, labelled, stream
from gridhash.data.synthesis import normal
from gridhash.data.trace import Trace

KNEE_RESERVE, FULL_RESERVE, NO_SCARCITY_RESERVE = 0.08, 0.03, 0.10
TRAILING_DAYS = 28
RESERVE_PER_SCORE = 0.012
"""Reserve lost per deviation of the spot price above its mean of the last weeks; assumed."""

HIGHEST_SCORE = 6.0
RESERVE_MEMORY_H = 12.0
SHORTAGE = "imbalance_shortage_price_per_kwh"
SURPLUS = "imbalance_surplus_price_per_kwh"


def with_imbalance_prices(trace: Trace, settings: ImbalanceProcess, *, seed: int) -> Trace:
    """Return the trace with both imbalance prices, known `delay_s` after the end of each period.

    The area's imbalance, an autoregressive process, moves the price around spot; at low reserve
    the scarcity price replaces a lower one. The reserve falls where spot lies above that of the
    last four weeks. The surplus price is the shortage price, less the spread, and zero where
    renewables are ordered down, there is surplus, or spot tells it.

    Raises
    ------
    DataError
        If the trace holds one of the columns already.
    """
    spot = trace.column("price_per_kwh")
    area, weather = stream(seed, SHORTAGE).spawn(2)
    step_h = trace.period_s / 3600.0
    imbalance = normal.ar1(area, math.exp(-step_h / settings.memory_h), trace.n_rows)
    reserve = (
        settings.mean_reserve_frac
        + settings.reserve_sd_frac
        * normal.ar1(weather, math.exp(-step_h / RESERVE_MEMORY_H), trace.n_rows)
        - RESERVE_PER_SCORE * _score(spot, TRAILING_DAYS * DAY_S // trace.period_s)
    )
    size = settings.deviation_frac * np.maximum(spot, 0.0) + settings.deviation_per_kwh
    usual = np.maximum(spot + size * imbalance, 0.0)
    shortage = np.maximum(usual, scarcity_price(reserve, settings))
    has_surplus = spot <= settings.surplus_price_at_most_per_kwh
    others = ["price_per_kwh"]
    for name in ("curtailment_order", "surplus_frac"):
        if name in trace.frame.columns:
            has_surplus |= trace.column(name) > 0.0
            others.append(name)
    surplus = np.where(has_surplus, 0.0, shortage * (1.0 - settings.spread_frac))
    known = at_end(trace, *others, delay_s=settings.delay_s)
    note = (
        f"spot and an imbalance of the area (deviation {settings.deviation_frac:g} of spot + "
        f"{settings.deviation_per_kwh:g} over {settings.memory_h:g} h), scarcity price up to "
        f"{settings.highest_price_per_kwh:g} at a drawn reserve of {FULL_RESERVE:.0%} (mean "
        f"{settings.mean_reserve_frac:g}), surplus at {settings.spread_frac:g} less and at zero "
        f"in surplus hours, known {settings.delay_s} s after each period, seed {seed}"
    )
    return labelled(
        trace, {SHORTAGE: shortage, SURPLUS: surplus}, {SHORTAGE: known, SURPLUS: known}, note
    )


def scarcity_price(reserve_frac: Array, settings: ImbalanceProcess) -> Array:
    """Return the price at a reserve: zero from 10 %, the knee at 8 %, the highest to 3 %.

    Source: the rule as of 2026 (Kansai TD, Denki Shimbun): 50 JPY/kWh at 8 %, 300 at 3 % or less.
    """
    reserves = [FULL_RESERVE, KNEE_RESERVE, NO_SCARCITY_RESERVE]
    prices = [settings.highest_price_per_kwh, settings.knee_price_per_kwh, 0.0]
    return np.asarray(np.interp(reserve_frac, reserves, prices), dtype=np.float64)


def _score(spot: Array, rows: int) -> Array:
    """Return by how many deviations each price lies above the mean of the rows up to it."""
    past = pd.Series(spot).rolling(rows, min_periods=2)
    mean, sd = past.mean().to_numpy(), past.std().to_numpy()
    score = np.divide(spot - mean, sd, out=np.zeros(len(spot)), where=sd > 1e-9)
    return np.asarray(np.clip(score, 0.0, HIGHEST_SCORE), dtype=np.float64)

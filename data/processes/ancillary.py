"""Price of held capacity and its rare deployments, in the manner of ERCOT's ECRS and RRS."""

import math

import numpy as np

from gridhash.config_processes import AncillaryProcess
from gridhash.data.processes.common import Array, Index, labelled, local_time, stream
from gridhash.data.processes.orders import clock
from gridhash.data.synthesis import normal
from gridhash.data.trace import Trace
from gridhash.time_grid import epoch_s, published_the_day_before

PRICE, DEPLOYED = "ancillary_price_per_kw_h", "ancillary_deployed_frac"
MEMORY_H = 18.0
HOURS_PER_YEAR = 8766.0
HOUR_LOG_SHAPE = (
    -0.35, -0.4, -0.4, -0.4, -0.3, -0.1, 0.1, 0.15, 0.0, -0.15, -0.2, -0.15,
    -0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.75, 0.7, 0.5, 0.2, -0.1, -0.25,
)  # fmt: skip
"""Logarithm of the price by hour about its mean, high in the evening; assumed."""

SHORTEST_H = 0.25


def with_ancillary(trace: Trace, settings: AncillaryProcess, *, timezone: str, seed: int) -> Trace:
    """Return the trace with the price of held capacity and the share of it that is deployed.

    The hourly price is log-normal, autoregressive, and known the day before. A deployment begins
    in an hour with a probability in proportion to its price, holds 15 min to `longest_h`, and is
    known as it starts.

    Raises
    ------
    DataError
        If the trace holds one of the columns already.
    """
    rng_price, rng_calls = stream(seed, PRICE).spawn(2)
    starts_s = epoch_s(trace.starts)
    hour = (starts_s // 3600 - starts_s[0] // 3600).astype(np.intp)
    noise = normal.ar1(rng_price, math.exp(-1.0 / MEMORY_H), int(hour[-1]) + 1)
    shape = np.array(HOUR_LOG_SHAPE)
    mean_shape = float(np.mean(np.exp(shape)))
    local = local_time(trace.starts, timezone)
    factor = np.exp(shape[local.hour.astype(np.intp)]) / mean_shape
    spread = np.exp(settings.log_sd * noise - settings.log_sd**2 / 2.0)
    weight = factor * spread[hour]
    deployed = _deployed(trace, weight, hour, settings, rng_calls)
    price_known = published_the_day_before(
        trace.starts, timezone=timezone, at=clock(settings.announced_hour)
    )
    note = (
        f"hourly log-normal price with mean {settings.mean_price_per_kw_h:g} {trace.currency}/kW/h "
        f"and deviation {settings.log_sd:g} over {MEMORY_H:g} h; {settings.deployments_per_year:g} "
        f"deployments expected a year, {SHORTEST_H:g} to {settings.longest_h:g} h, in proportion "
        f"to the price, seed {seed}"
    )
    return labelled(
        trace,
        {PRICE: settings.mean_price_per_kw_h * weight, DEPLOYED: deployed},
        {PRICE: price_known, DEPLOYED: trace.starts},
        note,
    )


def _deployed(
    trace: Trace, weight: Array, hour: Index, settings: AncillaryProcess, rng: np.random.Generator
) -> Array:
    """Return the deployed share of each row."""
    flag = np.zeros(trace.n_rows)
    first_row = np.flatnonzero(np.diff(hour, prepend=-1))
    rate = settings.deployments_per_year / HOURS_PER_YEAR
    shortest_h = min(SHORTEST_H, settings.longest_h)
    most = int(settings.longest_h * 3600 // trace.period_s)
    draws = rng.random((len(first_row), 3))
    busy_until = 0
    for row, (chance, length, share) in zip(first_row.tolist(), draws.tolist(), strict=True):
        if chance >= rate * weight[row] or row < busy_until:
            continue
        hours = shortest_h + length * (settings.longest_h - shortest_h)
        n_rows = max(min(round(hours * 3600 / trace.period_s), most), 1)
        flag[row : row + n_rows] = 0.3 + 0.7 * share
        # Another call only after an hour in between: runs stay within the longest.
        busy_until = row + n_rows + 3600 // trace.period_s
    return flag

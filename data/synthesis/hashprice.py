"""Hashprice: log-Ornstein–Uhlenbeck between retargets, and a jump at each of them.

A block pays as much as before, so a rise of difficulty by d lowers the hashprice by the factor
1 / (1 + d). Retargets come every 2016 blocks: 14 days, less where the difficulty then rises,
because blocks came faster.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gridhash.data.synthesis.parameters import HashpriceParameters

Array = npt.NDArray[np.float64]

RETARGET_DAYS = 14.0


@dataclass(frozen=True)
class HashpricePath:
    """Hashprice of each day [USD/(PH/s)/day], and the relative difficulty changes in order."""

    usd_per_phs_day: Array
    retargets: Array


def hashprice_path(
    parameters: HashpriceParameters, n_days: int, market: np.random.Generator
) -> HashpricePath:
    """Return the hashprice of the days and the retargets that fell into them."""
    home = math.log(parameters.start_usd_per_phs_day)
    shocks = parameters.daily_log_sd * market.standard_normal(n_days)
    news = market.standard_normal(n_days)
    next_at, changes = _retarget(parameters, market.uniform(0.0, RETARGET_DAYS), news[0])
    log_price, path, retargets = home, np.empty(n_days), []
    # Mean drift of the jumps, given back day by day so that the home level is the mean.
    lift = parameters.retarget_mean / RETARGET_DAYS
    for day in range(n_days):
        path[day] = log_price
        log_price += parameters.daily_reversion * (home - log_price) + lift + shocks[day]
        if next_at <= day + 1:
            log_price -= math.log1p(changes)
            retargets.append(changes)
            next_at, changes = _retarget(parameters, next_at, news[len(retargets)])
    return HashpricePath(np.exp(path), np.array(retargets))


def _retarget(parameters: HashpriceParameters, last_at: float, news: float) -> tuple[float, float]:
    """Return when the next retarget falls [d] and by how much it changes the difficulty."""
    change = parameters.retarget_mean + parameters.retarget_sd * float(news)
    change = min(max(change, parameters.retarget_low), parameters.retarget_high)
    return last_at + RETARGET_DAYS / (1.0 + change), change

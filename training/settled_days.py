"""The profit of each day when what is settled by month is shared by the days of that month.

A demand charge is booked in the interval that sets a new peak, a coincident peak in four intervals
of a year, and what is owed at the end on no day at all. Redrawing days would take such a lump
once, twice or never. So each is attributed to its month block: spread evenly over the days of the
month in which it was booked (what is owed at the end over all days), and a redraw takes as much of
it as it takes of those days. The sum over all days stays the profit.
"""

import numpy as np
import pandas as pd

from gridhash.envs.ledger import LEDGER
from gridhash.training.play import PolicyRun

SETTLED_BY_MONTH = (
    "demand_charge",
    "transmission_peak_cost",
    "capacity_peak_cost",
    "capacity_contribution",
    "bias_penalty",
)
"""Lines of the ledger that a month or year settles, not a day."""
_SIGN = {term.name: term.sign for term in LEDGER}


def settled_daily_profit(run: PolicyRun, timezone: str) -> pd.Series:
    """Return the profit of each local day after remaining liability, (days,) [currency]."""
    local = pd.DatetimeIndex(run.frame.index).tz_convert(timezone)
    signs = np.array([_SIGN[name] for name in SETTLED_BY_MONTH], dtype=np.float64)
    lumps = pd.Series(run.frame[list(SETTLED_BY_MONTH)].to_numpy() @ signs, index=run.frame.index)
    daily: pd.Series = (run.frame["profit"] - lumps).groupby(local.date).sum()
    days = pd.DatetimeIndex(daily.index)
    month = days.year * 12 + days.month - 1
    by_month = lumps.groupby(local.year * 12 + local.month - 1).sum()
    n_days = pd.Series(1.0, index=month).groupby(level=0).sum()
    spread = (by_month / n_days).reindex(month).to_numpy()
    settled: pd.Series = daily + spread - run.liability / len(daily)
    return settled

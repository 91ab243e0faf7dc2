"""Metrics of money: what was earned, what was paid, and how it lies to bound and to bad days."""

import numpy as np
import pandas as pd

from gridhash.training.played import Played

FIXED_LINES = ("demand_charge", "capacity_contribution")
ENERGY_COSTS = (
    "import_energy_cost",
    "adder_cost",
    "surplus_energy_cost",
    "levy_cost",
    "carbon_cost",
    "pv_cost",
    "power_purchase_cost",
    "imbalance_cost",
)
CVAR_SHARE = 0.05


def profit(played: Played) -> float:
    """Return the sum of the ledger less what the play leaves to be paid later [currency].

    Plays of a span begin with the same peaks of the months before.
    """
    return played.run.profit


def ledger_profit(played: Played) -> float:
    """Return the signed sum of all ledger lines of the span [currency]."""
    return played.run.ledger_profit


def remaining_liability(played: Played) -> float:
    """Return what the play leaves to be paid after its end [currency].

    What later months bill for peaks of the span, beyond what those before it would leave, and
    the bias penalty of an unfinished month.
    """
    return played.run.liability


def fixed_charges(played: Played) -> float:
    """Return demand charge and capacity contribution [currency]."""
    return played.total(*FIXED_LINES)


def operating_profit(played: Played) -> float:
    """Return the ledger before fixed charges [currency]."""
    return ledger_profit(played) + fixed_charges(played)


def profit_per_mw_year(played: Played) -> float:
    """Return profit per MW of full rig power and year of 8,760 h [currency/MW/year]."""
    return profit(played) / (played.scenario.site.max_rig_kw / 1000.0) / played.years


def uplift_frac(played: Played) -> float | None:
    """Return (J - J_always_on) / (J_bound - J_always_on) [1]; None if the bound leaves no gap.

    J is `profit`, which is what the bound bounds.
    """
    if played.always_on is None or played.bound is None or played.bound <= played.always_on:
        return None
    return (profit(played) - played.always_on) / (played.bound - played.always_on)


def regret(played: Played) -> float | None:
    """Return what the perfect-foresight bound lies above the profit [currency]."""
    return None if played.bound is None else played.bound - profit(played)


def hash_revenue(played: Played) -> float:
    """Return what hashes earned [currency]."""
    return played.total("hash_revenue")


def energy_bill(played: Played) -> float:
    """Return what energy cost, all adders included, resold blocks taken off [currency]."""
    return played.total(*ENERGY_COSTS) - played.total("resale_revenue")


def effective_price_per_kwh(played: Played) -> float | None:
    """Return the energy bill per kWh drawn [currency/kWh]; None if nothing was drawn."""
    energy_kwh = played.total("site_kw") * played.hours
    return energy_bill(played) / energy_kwh if energy_kwh > 0.0 else None


def capture_price_ratio(played: Played) -> float | None:
    """Return the load-weighted price per time-average price [1].

    Prices are those of settlement before adders; None if the average is not above zero or nothing
    was drawn.
    """
    price, load = played.column("price_per_kwh"), played.column("site_kw")
    if price.mean() <= 0.0 or load.sum() <= 0.0:
        return None
    return float(price @ load / load.sum() / price.mean())


def daily_deviation(played: Played) -> float:
    """Return the standard deviation of daily profit [currency]."""
    return float(played.daily.std())


def cvar_day(played: Played) -> float:
    """Return the mean profit of the worst 5 % of days, at least one day [currency]."""
    n_worst = max(1, round(CVAR_SHARE * played.daily.size))
    return float(np.sort(played.daily)[:n_worst].mean())


def worst_month(played: Played) -> float:
    """Return the ledger profit of the worst calendar month, parts of one included [currency]."""
    local = pd.DatetimeIndex(played.frame.index).tz_convert(played.scenario.site.timezone)
    return float(played.frame["profit"].groupby(local.year * 12 + local.month).sum().min())


def max_drawdown(played: Played) -> float:
    """Return the deepest fall of cumulative daily profit below an earlier height [currency]."""
    path = np.concatenate([[0.0], np.cumsum(played.daily)])
    return float((np.maximum.accumulate(path) - path).max())

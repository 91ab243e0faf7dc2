"""The cash flow of one dispatch interval: one named term per line."""

from dataclasses import dataclass

from gridhash.envs.jit import njit
from gridhash.envs.parameters import Floats, SiteParameters
from gridhash.units import SECONDS_PER_HOUR


@dataclass(frozen=True, kw_only=True)
class LedgerTerm:
    """One line of the ledger."""

    name: str
    sign: int
    meaning: str


LEDGER = (
    LedgerTerm(name="hash_revenue", sign=1, meaning="hashes at the hashprice, after fee and stale"),
    LedgerTerm(name="import_energy_cost", sign=-1, meaning="energy from the grid at market price"),
    LedgerTerm(name="adder_cost", sign=-1, meaning="levy, wheeling and tax on grid energy"),
    LedgerTerm(name="surplus_energy_cost", sign=-1, meaning="energy from surplus at its own price"),
    LedgerTerm(name="start_wear_cost", sign=-1, meaning="wear charged per rig started"),
)
"""Terms of the ledger in order; amounts are positive as named and enter profit by their sign."""

LEDGER_NAMES = tuple(term.name for term in LEDGER)


@njit
def surplus_used_kw(
    params: SiteParameters, site_kw: float, surplus_kw: float, price_per_kwh: float
) -> float:
    """Return how much of the site's power is taken from surplus [kW].

    Surplus is taken first, unless grid energy with its adders is cheaper.
    """
    if price_per_kwh + params.adders_per_kwh <= params.surplus_price_per_kwh:
        return 0.0
    return min(site_kw, surplus_kw)


@njit
def write_ledger(
    params: SiteParameters,
    price_per_kwh: float,
    surplus_kw: float,
    revenue_per_phs_day: float,
    site_kw: float,
    phs: float,
    start_wear: float,
    terms: Floats,
) -> float:
    """Write the terms, (5,) in the order of `LEDGER`; return their signed sum [currency]."""
    hours = params.interval_s / SECONDS_PER_HOUR
    from_surplus_kw = surplus_used_kw(params, site_kw, surplus_kw, price_per_kwh)
    import_kwh = (site_kw - from_surplus_kw) * hours
    terms[0] = phs * revenue_per_phs_day * hours / 24.0
    terms[1] = import_kwh * price_per_kwh
    terms[2] = import_kwh * params.adders_per_kwh
    terms[3] = from_surplus_kw * hours * params.surplus_price_per_kwh
    terms[4] = start_wear
    return float(terms[0] - terms[1] - terms[2] - terms[3] - terms[4])

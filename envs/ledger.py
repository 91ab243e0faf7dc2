"""The cash flow of one dispatch interval: one named term per line."""

from dataclasses import dataclass

from gridhash.envs.jit import njit
from gridhash.envs.parameters import Floats, SiteParameters
from gridhash.envs.tariff import cheaper_first_kw
from gridhash.units import SECONDS_PER_HOUR


@dataclass(frozen=True, kw_only=True)
class LedgerTerm:
    """One line of the ledger."""

    name: str
    sign: int
    meaning: str
    block: str = ""
    """Key of the site file without which the line stays zero; empty for a line of every site."""


LEDGER = (
    LedgerTerm(name="hash_revenue", sign=1, meaning="hashes at the hashprice, after fee and stale"),
    LedgerTerm(
        name="import_energy_cost", sign=-1,
        meaning="energy from the grid at market price; with a balancing contract, the plan's",
    ),
    LedgerTerm(name="adder_cost", sign=-1, meaning="levy, wheeling and tax on grid energy"),
    LedgerTerm(name="surplus_energy_cost", sign=-1, meaning="energy from surplus at its own price"),
    LedgerTerm(name="start_wear_cost", sign=-1, meaning="wear charged per rig started"),
    LedgerTerm(
        name="levy_cost", sign=-1, block="tariff.renewable_levy_per_kwh",
        meaning="renewable levy on grid energy",
    ),
    LedgerTerm(
        name="carbon_cost", sign=-1, block="tariff.carbon_price_per_t",
        meaning="carbon price of grid energy",
    ),
    LedgerTerm(
        name="pv_cost", sign=-1, block="tariff.behind_meter_pv",
        meaning="energy used from panels behind the meter",
    ),
    LedgerTerm(
        name="export_revenue", sign=1, block="tariff.behind_meter_pv",
        meaning="energy of those panels that is not used",
    ),
    LedgerTerm(
        name="power_purchase_cost", sign=-1, block="tariff.power_purchase",
        meaning="fixed-price block, used or not",
    ),
    LedgerTerm(
        name="resale_revenue", sign=1, block="tariff.power_purchase",
        meaning="unused part of that block, sold at spot",
    ),
    LedgerTerm(
        name="demand_charge", sign=-1, block="tariff.demand_charge",
        meaning="highest mean power of the month and ratchet; booked when a new highest is set",
    ),
    LedgerTerm(
        name="transmission_peak_cost", sign=-1, block="tariff.coincident_peaks",
        meaning="power in the intervals of highest system demand, for transmission (such as 4CP)",
    ),
    LedgerTerm(
        name="capacity_peak_cost", sign=-1, block="tariff.coincident_peaks",
        meaning="power in the intervals of highest system demand, for capacity",
    ),
    LedgerTerm(
        name="capacity_contribution", sign=-1, block="tariff.capacity_contribution",
        meaning="fixed on contract power, at month's start",
    ),
    LedgerTerm(
        name="imbalance_cost", sign=-1, block="tariff.balancing",
        meaning="deviation from the plan at imbalance prices; negative where it earns",
    ),
    LedgerTerm(
        name="bias_penalty", sign=-1, block="tariff.balancing",
        meaning="net deviation of a month beyond what is tolerated",
    ),
    LedgerTerm(
        name="reduction_capacity_pay", sign=1, block="programs.demand_reduction",
        meaning="for standing by to reduce",
    ),
    LedgerTerm(
        name="reduction_energy_pay", sign=1, block="programs.demand_reduction",
        meaning="for energy reduced when called",
    ),
    LedgerTerm(
        name="reduction_penalty", sign=-1, block="programs.demand_reduction",
        meaning="for what was missing when called",
    ),
    LedgerTerm(
        name="increase_pay", sign=1, block="programs.demand_increase",
        meaning="for load above the baseline when called",
    ),
    LedgerTerm(
        name="pause_pay", sign=1, block="programs.pause_orders",
        meaning="for hours paused by the utility's order",
    ),
    LedgerTerm(
        name="pause_penalty", sign=-1, block="programs.pause_orders",
        meaning="for energy above the pause power",
    ),
    LedgerTerm(
        name="held_pay", sign=1, block="programs.ancillary",
        meaning="for capacity held ready to drop",
    ),
    LedgerTerm(
        name="held_penalty", sign=-1, block="programs.ancillary",
        meaning="for held capacity that was missing",
    ),
    LedgerTerm(
        name="base_point_penalty", sign=-1, block="programs.base_point",
        meaning="for energy outside the base point's tolerance",
    ),
    LedgerTerm(
        name="repair_cost", sign=-1, block="groups.failures",
        meaning="for rigs that failed",
    ),
    LedgerTerm(
        name="water_cost", sign=-1, block="groups.cooling.water_price_per_m3",
        meaning="make-up water of wet towers",
    ),
)  # fmt: skip
"""Terms of the ledger in order; amounts are as named and enter profit by their sign."""

LEDGER_NAMES = tuple(term.name for term in LEDGER)
N_LEDGER = len(LEDGER)

(
    HASH_REVENUE,
    IMPORT_ENERGY,
    ADDERS,
    SURPLUS_ENERGY,
    START_WEAR,
    LEVY,
    CARBON,
    PV_ENERGY,
    EXPORT,
    PURCHASE,
    RESALE,
    DEMAND,
    TRANSMISSION_PEAK,
    CAPACITY_PEAK,
    CAPACITY_CONTRIBUTION,
    IMBALANCE,
    BIAS,
    REDUCTION_CAPACITY,
    REDUCTION_ENERGY,
    REDUCTION_PENALTY,
    INCREASE,
    PAUSE_PAY,
    PAUSE_PENALTY,
    HELD_PAY,
    HELD_PENALTY,
    BASE_PENALTY,
    REPAIR,
    WATER,
) = range(N_LEDGER)


@njit
def surplus_used_kw(
    params: SiteParameters, site_kw: float, surplus_kw: float, price_per_kwh: float
) -> float:
    """Return how much of the site's power is taken from surplus [kW].

    Surplus is taken first, unless grid energy with its adders is cheaper.
    """
    grid_price = price_per_kwh + params.adders_per_kwh
    return cheaper_first_kw(site_kw, surplus_kw, params.surplus_price_per_kwh, grid_price)


@njit
def write_ledger(
    params: SiteParameters,
    price_per_kwh: float,
    surplus_kw: float,
    revenue_per_phs_day: float,
    site_kw: float,
    phs: float,
    terms: Floats,
) -> tuple[float, float]:
    """Write energy and hashes of a site without tariff and programs.

    `terms` is (N_LEDGER,); START_WEAR, REPAIR and WATER are in it, and the lines of tariffs and
    programs, which stay zero, are not read. Returns profit [currency] and surplus used [kW].
    """
    hours = params.interval_s / SECONDS_PER_HOUR
    from_surplus_kw = surplus_used_kw(params, site_kw, surplus_kw, price_per_kwh)
    import_kwh = (site_kw - from_surplus_kw) * hours
    terms[HASH_REVENUE] = phs * revenue_per_phs_day * hours / 24.0
    terms[IMPORT_ENERGY] = import_kwh * price_per_kwh
    terms[ADDERS] = import_kwh * params.adders_per_kwh
    terms[SURPLUS_ENERGY] = from_surplus_kw * hours * params.surplus_price_per_kwh
    profit = (
        terms[HASH_REVENUE]
        - terms[IMPORT_ENERGY]
        - terms[ADDERS]
        - terms[SURPLUS_ENERGY]
        - terms[START_WEAR]
        - terms[REPAIR]
        - terms[WATER]
    )
    return float(profit), from_surplus_kw


@njit
def signed_sum(terms: Floats) -> float:
    """Return profit: the terms with their signs, in order [currency]."""
    return float(
        terms[HASH_REVENUE]
        - terms[IMPORT_ENERGY]
        - terms[ADDERS]
        - terms[SURPLUS_ENERGY]
        - terms[START_WEAR]
        - terms[LEVY]
        - terms[CARBON]
        - terms[PV_ENERGY]
        + terms[EXPORT]
        - terms[PURCHASE]
        + terms[RESALE]
        - terms[DEMAND]
        - terms[TRANSMISSION_PEAK]
        - terms[CAPACITY_PEAK]
        - terms[CAPACITY_CONTRIBUTION]
        - terms[IMBALANCE]
        - terms[BIAS]
        + terms[REDUCTION_CAPACITY]
        + terms[REDUCTION_ENERGY]
        - terms[REDUCTION_PENALTY]
        + terms[INCREASE]
        + terms[PAUSE_PAY]
        - terms[PAUSE_PENALTY]
        + terms[HELD_PAY]
        - terms[HELD_PENALTY]
        - terms[BASE_PENALTY]
        - terms[REPAIR]
        - terms[WATER]
    )

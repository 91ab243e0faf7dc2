"""What energy and power cost: one small function per relation of a tariff.

Sources and rates: `gridhash.config_tariff`, docs/reference/parameters.md. Money is in the site's
currency, energy in kWh, power in kW. Worked examples by hand: tests/envs/test_tariff.py.
"""

from gridhash.envs.jit import njit


@njit
def cheaper_first_kw(
    load_kw: float, available_kw: float, own_price_per_kwh: float, grid_price_per_kwh: float
) -> float:
    """Return how much of a load is taken from a source with its own price [kW].

    All that is available, unless grid energy with its adders costs no more.
    """
    if grid_price_per_kwh <= own_price_per_kwh:
        return 0.0
    return min(load_kw, available_kw)


@njit
def power_purchase(
    import_kw: float,
    volume_kw: float,
    price_per_kwh: float,
    spot_per_kwh: float,
    resale_fee_per_kwh: float,
) -> tuple[float, float, float]:
    """Return (bought at spot kW, paid for the block per hour, earned by resale per hour).

    The block is paid for whether used or not. What is left is sold at spot less the fee, and not
    sold below zero. Riot's credits of 2023 to 2025 rest on such a block.
    """
    used_kw = min(import_kw, volume_kw)
    resale = (volume_kw - used_kw) * max(spot_per_kwh - resale_fee_per_kwh, 0.0)
    return import_kw - used_kw, volume_kw * price_per_kwh, resale


@njit
def demand_increment(
    mean_kw: float, billed_kw: float, charge_per_kw_month: float
) -> tuple[float, float]:
    """Return (billed demand after a metering period kW, charge added to this month).

    The charge of a month is rate x highest mean; it is booked when a new highest is set, so that
    the amounts of a month add up to its bill.
    """
    if mean_kw <= billed_kw:
        return billed_kw, 0.0
    return mean_kw, (mean_kw - billed_kw) * charge_per_kw_month


@njit
def imbalance_cost(
    actual_kwh: float,
    nominated_kwh: float,
    shortage_price_per_kwh: float,
    surplus_price_per_kwh: float,
) -> float:
    """Return what deviating from the plan costs over a settlement period; below zero it earns.

    More than planned is bought at the shortage price, less is sold back at the surplus price; the
    plan itself is paid at spot on another line, so no kWh is paid twice.
    """
    deviation_kwh = actual_kwh - nominated_kwh
    if deviation_kwh >= 0.0:
        return deviation_kwh * shortage_price_per_kwh
    return deviation_kwh * surplus_price_per_kwh


@njit
def bias_excess_kwh(deviation_kwh: float, nominated_kwh: float, limit_frac: float) -> float:
    """Return by how much a month's net deviation exceeds the tolerated share of its plan [kWh]."""
    return max(abs(deviation_kwh) - limit_frac * nominated_kwh, 0.0)


@njit
def carbon_cost_per_kwh(carbon_g_per_kwh: float, carbon_price_per_t: float) -> float:
    """Return the carbon price of a grid kWh: g/kWh x currency/t / 1e6 g/t."""
    return carbon_g_per_kwh * carbon_price_per_t / 1e6

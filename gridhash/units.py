"""Constants and conversions; every unit is in a name."""

SECONDS_PER_HOUR = 3600.0
HOURS_PER_DAY = 24.0
SECONDS_PER_DAY = 86400.0
DAYS_PER_YEAR = 365
W_PER_KW = 1000.0
THS_PER_PHS = 1000.0


def energy_kwh(power_kw: float, seconds: float) -> float:
    """Return the energy of a constant power over a duration [kWh].

    >>> energy_kwh(100.0, 1800.0)
    50.0
    """
    return power_kw * seconds / SECONDS_PER_HOUR


def break_even_price_per_kwh(hashprice_per_phs_day: float, efficiency_j_per_th: float) -> float:
    """Return the energy price at which mining revenue pays for energy [currency/kWh].

    1 J/TH equals 1 kW per PH/s, so a petahash per second draws `efficiency_j_per_th` kW.

    >>> round(break_even_price_per_kwh(6000.0, 20.0), 2)
    12.5
    """
    return hashprice_per_phs_day / (HOURS_PER_DAY * efficiency_j_per_th)

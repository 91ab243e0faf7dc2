"""What a site earns and owes by its promises: one small function per relation of a program.

Sources: `gridhash.config_programs`; research for each rule is named where it is used. Power in
kW, energy in kWh, money in the site's currency. Worked examples: tests/envs/test_programs.py.
"""

import numpy as np

from gridhash.envs.columns import PAUSE, REDUCTION_CALL
from gridhash.envs.jit import njit
from gridhash.envs.parameters import Floats

BASELINE_DAYS = 5
"""Business days without a call that the baseline looks back on."""


@njit
def lowest_day(history_kw: Floats, first_slot: int, n_slots: int) -> int:
    """Return which of the days, (5, slots of a day), had the lowest load in the hours of a call."""
    lowest = 0
    least = np.inf
    for day in range(BASELINE_DAYS):
        total = 0.0
        for k in range(n_slots):
            total += history_kw[day, (first_slot + k) % history_kw.shape[1]]
        if total < least:
            least = total
            lowest = day
    return lowest


@njit
def high_4_of_5_kw(history_kw: Floats, slot: int, left_out: int) -> float:
    """Return the mean load of a slot over the four days that count [kW].

    High 4 of 5: of the five business days before without a call, the one with the lowest load
    in the hours of the call is left out (Japan's guideline for demand response, ERAB).
    """
    total = 0.0
    for day in range(BASELINE_DAYS):
        if day != left_out:
            total += history_kw[day, slot]
    return total / (BASELINE_DAYS - 1)


@njit
def reduction_is_due(market: Floats, has_pause: bool) -> bool:
    """Return whether a row's call to reduce counts: a pause order of the utility comes before it.

    What the order forces off is neither paid as delivered nor fined as missing. `market` is the
    row, (columns,).
    """
    return bool(market[REDUCTION_CALL] > 0.0 and not (has_pause and market[PAUSE] > 0.0))


@njit
def reduction_settlement(
    baseline_kw: float,
    actual_kw: float,
    committed_kw: float,
    tolerance_frac: float,
    energy_pay_per_kwh: float,
    penalty_per_kwh: float,
    hours: float,
) -> tuple[float, float, float]:
    """Return (energy pay, penalty, delivered kWh) of one settlement period of a call.

    Delivered is baseline less actual, within nothing and what was committed; what is missing to
    `tolerance_frac` of the commitment is fined.
    """
    delivered_kw = min(max(baseline_kw - actual_kw, 0.0), committed_kw)
    missing_kw = max(tolerance_frac * committed_kw - delivered_kw, 0.0)
    return (
        delivered_kw * hours * energy_pay_per_kwh,
        missing_kw * hours * penalty_per_kwh,
        delivered_kw * hours,
    )


@njit
def increase_pay(
    baseline_kw: float, actual_kw: float, max_kw: float, pay_per_kwh: float, hours: float
) -> float:
    """Return the pay for load above the baseline, up to `max_kw` more, in a call to consume."""
    return min(max(actual_kw - baseline_kw, 0.0), max_kw) * hours * pay_per_kwh


@njit
def held_missing_kw(
    site_kw: float, idle_kw: float, before_call_kw: float, held_kw: float, deployed_frac: float
) -> float:
    """Return how much held capacity is missing [kW].

    At rest: what the site could not drop, its power above idle being less than what it holds.
    While called: what it still draws above its power before the call less the called share.
    """
    if deployed_frac <= 0.0:
        return max(held_kw - max(site_kw - idle_kw, 0.0), 0.0)
    return min(max(site_kw - (before_call_kw - deployed_frac * held_kw), 0.0), held_kw)


@njit
def base_point_tolerance_kw(base_point_kw: float, fixed_kw: float, share: float) -> float:
    """Return the tolerated deviation, max(fixed, share of the base point) [kW]."""
    return max(fixed_kw, share * base_point_kw)


@njit
def base_point_excess_kw(site_kw: float, base_point_kw: float, tolerance_kw: float) -> float:
    """Return the deviation from a base point beyond its tolerance [kW]."""
    return max(abs(site_kw - base_point_kw) - tolerance_kw, 0.0)

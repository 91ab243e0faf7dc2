"""Thermal relations of rigs and their coolant loop, each exact for any interval.

A group of `n` rigs with chips at temperature T_chip [°C] shares one loop at T_cool [°C]::

    C_rig  dT_chip/dt = P - (T_chip - T_cool) / R              per rig
    C_loop dT_cool/dt = sum((T_chip - T_cool) / R) - UA (T_cool - T_out)

with constant heat P [kW] per rig over the interval. The system is linear, so its solution is
written down instead of integrated: two half intervals give the temperature of one whole.
Parameters and their sources: `gridhash/presets/*.toml`. Fan and heat-exchanger laws: VDI Heat
Atlas, 2nd ed. (2010), part N; affinity laws of fans, ISO 5801.
"""

import math

import numpy as np

from gridhash.envs.elementary import exp, power
from gridhash.envs.jit import njit


@njit
def heat_rejection_at(heat_rejection_kw_per_k: float, speed_frac: float, exponent: float) -> float:
    """Return the heat rejected per kelvin over outdoors at a fan speed, UA_n f^exponent [kW/K]."""
    return float(heat_rejection_kw_per_k * speed_frac**exponent)


@njit
def held_heat_rejection(
    heat_kw: float,
    outdoor_temp_c: float,
    coolant_setpoint_c: float,
    min_kw_per_k: float,
    max_kw_per_k: float,
) -> float:
    """Return the heat rejection that holds the loop at its setpoint for a steady heat [kW/K].

    At or above the setpoint outdoors no fan speed suffices, and the fans run full.
    """
    difference_k = coolant_setpoint_c - outdoor_temp_c
    if difference_k <= 0.0:
        return max_kw_per_k
    return min(max(heat_kw / difference_k, min_kw_per_k), max_kw_per_k)


@njit
def fan_power_kw(rated_kw: float, rejection_frac: float, exponent: float) -> float:
    """Return the fan power for a share of full heat rejection [kW].

    Affinity law, power ~ f^3, at the speed f = share^(1/exponent) that rejects the heat.
    """
    return float(rated_kw * power(rejection_frac, 3.0 / exponent))


@njit
def pump_power_kw(rated_kw: float, flow_frac: float) -> float:
    """Return pump power by the affinity law, rated_kw * flow^3 [kW]."""
    return float(rated_kw * flow_frac**3)


@njit
def chip_temp_after(
    chip_c: float,
    coolant_c: float,
    heat_kw: float,
    chip_to_coolant_k_per_kw: float,
    rig_heat_capacity_kj_per_k: float,
    elapsed_s: float,
) -> float:
    """Return the chip temperature of one rig in a loop that stays at `coolant_c` [°C]."""
    settled_c = coolant_c + heat_kw * chip_to_coolant_k_per_kw
    rate = 1.0 / (chip_to_coolant_k_per_kw * rig_heat_capacity_kj_per_k)
    return settled_c + (chip_c - settled_c) * exp(-rate * elapsed_s)


@njit
def deviation_after(
    deviation_k: float,
    heat_above_mean_kw: float,
    chip_to_coolant_k_per_kw: float,
    rig_heat_capacity_kj_per_k: float,
    elapsed_s: float,
) -> float:
    """Return how far a bucket's chips are from the mean of all chips of the loop [K].

    Subtracting the mean of the chip equation from a bucket's own leaves a first-order decay that
    the loop does not enter.
    """
    return chip_temp_after(
        deviation_k,
        0.0,
        heat_above_mean_kw,
        chip_to_coolant_k_per_kw,
        rig_heat_capacity_kj_per_k,
        elapsed_s,
    )


@njit
def loop_after(
    mean_chip_c: float,
    coolant_c: float,
    mean_heat_kw: float,
    n_rigs: float,
    outdoor_temp_c: float,
    heat_rejection_kw_per_k: float,
    chip_to_coolant_k_per_kw: float,
    rig_heat_capacity_kj_per_k: float,
    loop_heat_capacity_kj_per_k: float,
    elapsed_s: float,
) -> tuple[float, float]:
    """Return (mean chip, coolant) temperature after an interval of constant heat [°C].

    Exact solution of the 2x2 system of the module docstring.
    """
    if heat_rejection_kw_per_k <= 0.0:
        return closed_loop_after(
            mean_chip_c,
            coolant_c,
            mean_heat_kw,
            n_rigs,
            chip_to_coolant_k_per_kw,
            rig_heat_capacity_kj_per_k,
            loop_heat_capacity_kj_per_k,
            elapsed_s,
        )
    decay = loop_decay(
        n_rigs,
        heat_rejection_kw_per_k,
        chip_to_coolant_k_per_kw,
        rig_heat_capacity_kj_per_k,
        loop_heat_capacity_kj_per_k,
        elapsed_s,
    )
    return open_loop_after(
        mean_chip_c,
        coolant_c,
        mean_heat_kw,
        n_rigs,
        outdoor_temp_c,
        heat_rejection_kw_per_k,
        chip_to_coolant_k_per_kw,
        decay,
    )


@njit
def closed_loop_after(
    mean_chip_c: float,
    coolant_c: float,
    mean_heat_kw: float,
    n_rigs: float,
    chip_to_coolant_k_per_kw: float,
    rig_heat_capacity_kj_per_k: float,
    loop_heat_capacity_kj_per_k: float,
    elapsed_s: float,
) -> tuple[float, float]:
    """Return (mean chip, coolant) temperature of a loop that no heat leaves [°C].

    The common temperature rises, the difference still settles.
    """
    a = 1.0 / (chip_to_coolant_k_per_kw * rig_heat_capacity_kj_per_k)
    b = n_rigs / (chip_to_coolant_k_per_kw * loop_heat_capacity_kj_per_k)
    total_heat_kw = mean_heat_kw * n_rigs
    capacity = n_rigs * rig_heat_capacity_kj_per_k + loop_heat_capacity_kj_per_k
    common_c = (
        n_rigs * rig_heat_capacity_kj_per_k * mean_chip_c + loop_heat_capacity_kj_per_k * coolant_c
    ) / capacity + total_heat_kw * elapsed_s / capacity
    rate = a + b
    settled_k = mean_heat_kw / rig_heat_capacity_kj_per_k / rate
    difference_k = settled_k + (mean_chip_c - coolant_c - settled_k) * exp(-rate * elapsed_s)
    coolant_after_c = common_c - difference_k * n_rigs * rig_heat_capacity_kj_per_k / capacity
    return coolant_after_c + difference_k, coolant_after_c


@njit
def loop_decay(
    n_rigs: float,
    heat_rejection_kw_per_k: float,
    chip_to_coolant_k_per_kw: float,
    rig_heat_capacity_kj_per_k: float,
    loop_heat_capacity_kj_per_k: float,
    elapsed_s: float,
) -> tuple[float, float, float, float]:
    """Return the matrix by which (chip, coolant) go to where they settle [1], row by row.

    exp(M t) of the module docstring's system by its two real eigenvalues; both are negative
    because the matrix is that of a passive network. Needs a heat rejection above zero.
    """
    a = 1.0 / (chip_to_coolant_k_per_kw * rig_heat_capacity_kj_per_k)
    b = n_rigs * (1.0 / (chip_to_coolant_k_per_kw * loop_heat_capacity_kj_per_k))
    c = heat_rejection_kw_per_k * (1.0 / loop_heat_capacity_kj_per_k)
    # dx/dt = -a x + a y ;  dy/dt = b x - (b + c) y
    half_trace = -0.5 * (a + b + c)
    root = math.sqrt(0.25 * (a - b - c) ** 2 + a * b)
    slow = exp((half_trace + root) * elapsed_s)
    fast = exp((half_trace - root) * elapsed_s)
    cosh = 0.5 * (slow + fast)
    sinh_over_root = 0.5 * (slow - fast) / root
    # exp(M t) = cosh I + sinh/root (M - half_trace I), both already times e^{half_trace t}
    m11 = -a - half_trace
    m22 = -(b + c) - half_trace
    return (
        cosh + sinh_over_root * m11,
        sinh_over_root * a,
        sinh_over_root * b,
        cosh + sinh_over_root * m22,
    )


@njit
def open_loop_after(
    mean_chip_c: float,
    coolant_c: float,
    mean_heat_kw: float,
    n_rigs: float,
    outdoor_temp_c: float,
    heat_rejection_kw_per_k: float,
    chip_to_coolant_k_per_kw: float,
    decay: tuple[float, float, float, float],
) -> tuple[float, float]:
    """Return (mean chip, coolant) temperature of a loop that decays by `loop_decay` [°C]."""
    settled_coolant_c = outdoor_temp_c + mean_heat_kw * n_rigs / heat_rejection_kw_per_k
    settled_chip_c = settled_coolant_c + mean_heat_kw * chip_to_coolant_k_per_kw
    x = mean_chip_c - settled_chip_c
    y = coolant_c - settled_coolant_c
    return (
        settled_chip_c + (decay[0] * x + decay[1] * y),
        settled_coolant_c + (decay[2] * x + decay[3] * y),
    )


@njit
def heat_rejected_kwh(
    chip_rise_k: float,
    coolant_rise_k: float,
    mean_heat_kw: float,
    n_rigs: float,
    rig_heat_capacity_kj_per_k: float,
    loop_heat_capacity_kj_per_k: float,
    elapsed_s: float,
) -> float:
    """Return the heat that left the loop: what came in less what warmed chips and loop [kWh]."""
    stored_kj = (
        n_rigs * rig_heat_capacity_kj_per_k * chip_rise_k
        + loop_heat_capacity_kj_per_k * coolant_rise_k
    )
    return (mean_heat_kw * n_rigs * elapsed_s - stored_kj) / 3600.0


@njit
def load_cap_frac(chip_c: float, chip_derate_c: float, chip_trip_c: float) -> float:
    """Return the share of full power that a hot group may draw [0-1].

    Full up to `chip_derate_c`, then linear to zero at `chip_trip_c`.
    """
    if chip_c <= chip_derate_c:
        return 1.0
    return float(max(0.0, (chip_trip_c - chip_c) / (chip_trip_c - chip_derate_c)))


@njit
def running_share(start_s: float, delay_s: float, interval_s: float) -> float:
    """Return the share of [start, start + interval) that lies after a delay [0-1].

    Gives the part of an interval in which a starting rig draws power (delay = boot time) or
    hashes (delay = boot + warm-up time).
    """
    return float(np.minimum(1.0, np.maximum(0.0, (start_s + interval_s - delay_s) / interval_s)))


@njit
def temperature_power_frac(chip_c: float, power_per_k: float, reference_c: float) -> float:
    """Return the power of a rig at a chip temperature per its power at the reference [1].

    1 + k (T - T_ref): leakage current rises with temperature (an air-cooled T21 drew 7.3 % more
    over a warm day, 0.4 %/K); never below a half, where the line means nothing.
    """
    return max(1.0 + power_per_k * (chip_c - reference_c), 0.5)


@njit
def keep_warm_kw(
    coolant_c: float,
    sink_c: float,
    rig_kw: float,
    rejection_kw_per_k: float,
    heat_capacity_kj_per_k: float,
    protect_c: float,
    heater_kw: float,
    interval_s: float,
) -> float:
    """Return the heater power that keeps a loop from being colder than a temperature [kW].

    Off while the loop stays above it by itself through the interval (one lump, exponential decay
    towards the sink), else what leaves a loop at that temperature less what the rigs give: then
    the loop settles there. A loop that is colder is brought there within the interval, as far as
    the heater can.
    """
    decay = exp(-rejection_kw_per_k * interval_s / heat_capacity_kj_per_k)
    if sink_c + (coolant_c - sink_c) * decay >= protect_c:
        return 0.0
    settled_c = max(protect_c, (protect_c - coolant_c * decay) / (1.0 - decay))
    needed_kw = rejection_kw_per_k * (settled_c - sink_c) - rig_kw
    return min(max(needed_kw, 0.0), heater_kw)

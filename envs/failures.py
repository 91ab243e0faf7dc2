"""How many rigs break and how many come back: an Arrhenius hazard, a chance per start, repair.

Counts are fluid, as everywhere in the kernel: the expected number of rigs, not a draw.
"""

import math

from gridhash.envs.jit import njit

BOLTZMANN_EV_PER_K = 8.617333262e-5
"""CODATA 2018 [eV/K]."""
ZERO_C_IN_K = 273.15


@njit
def hazard_per_h(
    chip_c: float, hazard_ref_per_h: float, reference_c: float, activation_ev: float
) -> float:
    """Return the failure rate of a running rig at a chip temperature [1/h].

    Arrhenius: h_ref exp(E_a/k (1/T_ref - 1/T)), temperatures in kelvin (JEDEC JEP122).
    """
    inverse_k = 1.0 / (reference_c + ZERO_C_IN_K) - 1.0 / (chip_c + ZERO_C_IN_K)
    return float(hazard_ref_per_h * math.exp(activation_ev / BOLTZMANN_EV_PER_K * inverse_k))


@njit
def failed_share(rate_per_h: float, hours: float) -> float:
    """Return the share of rigs that an event of constant rate meets within a duration [0-1].

    1 - exp(-rate t): never more rigs than there are, for any interval, and independent of how the
    interval is cut. Serves repair too, with the rate 1 / mean repair time.
    """
    return float(-math.expm1(-rate_per_h * hours))

"""Exponential, logarithm and power of floats in multiplications and additions alone.

The C library's are calls, around which a compiler keeps nothing in registers and of which it cannot
do several at once; of these it does as many at once as a register holds. Errors are below 1e-15
of the result for `exp` and `log`, 5e-15 for `power` of shares raised to a few
(`tests/envs/test_elementary.py`). Methods: Muller, Elementary Functions, 3rd ed. (2016), chapters
3 and 11.
"""

import math

import numpy as np

from gridhash.envs.jit import fused, njit

LOG2_E = math.log2(math.e)
LN2_HIGH, LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
"""ln 2 in two parts; a whole number below 2¹¹ times the first is exact (fdlibm, e_exp.c)."""
TO_WHOLE = 1.5 * 2.0**52
"""Added to a float it leaves no place for a fraction; its last bits are then a whole number."""
LEAST_EXPONENT, GREATEST_EXPONENT = -708.0, 709.0
"""Between these the exponential is a normal number."""
FRACTION_BITS = 52
BIAS = 1023
SQRT_HALF_BITS = int(np.array(math.sqrt(0.5)).view(np.int64))


@njit
def exp(x: float) -> float:
    """Return e^x; 3e-308 instead of what is smaller, 8e307 instead of what is greater.

    x = n ln 2 + r, where r is at most half of ln 2; e^r by its series to the 12th power, whose rest
    is below 2e-16.
    """
    x = min(max(x, LEAST_EXPONENT), GREATEST_EXPONENT)
    shifted = x * LOG2_E + TO_WHOLE
    n = shifted - TO_WHOLE
    r = fused(-n, LN2_LOW, fused(-n, LN2_HIGH, x))
    series = 1.0 / 479001600.0
    series = fused(series, r, 1.0 / 39916800.0)
    series = fused(series, r, 1.0 / 3628800.0)
    series = fused(series, r, 1.0 / 362880.0)
    series = fused(series, r, 1.0 / 40320.0)
    series = fused(series, r, 1.0 / 5040.0)
    series = fused(series, r, 1.0 / 720.0)
    series = fused(series, r, 1.0 / 120.0)
    series = fused(series, r, 1.0 / 24.0)
    series = fused(series, r, 1.0 / 6.0)
    series = fused(series, r, 0.5)
    series = fused(series, r, 1.0)
    series = fused(series, r, 1.0)
    two_to_n = np.int64((np.float64(shifted).view(np.int64) + BIAS) << FRACTION_BITS)
    return float(series * two_to_n.view(np.float64))


@njit
def log(x: float) -> float:
    """Return the natural logarithm of a normal number above zero; about -709 for zero.

    x = 2^k m with m from sqrt(1/2) to sqrt(2), and ln m = 2 artanh((m - 1) / (m + 1)) by its
    series to the 19th power, whose rest is below 1e-17.
    """
    bits = np.float64(x).view(np.int64)
    k = np.int64(bits - SQRT_HALF_BITS) >> FRACTION_BITS
    m = np.int64(bits - (k << FRACTION_BITS)).view(np.float64)
    s = (m - 1.0) / (m + 1.0)
    square = s * s
    series = 1.0 / 19.0
    series = fused(series, square, 1.0 / 17.0)
    series = fused(series, square, 1.0 / 15.0)
    series = fused(series, square, 1.0 / 13.0)
    series = fused(series, square, 1.0 / 11.0)
    series = fused(series, square, 1.0 / 9.0)
    series = fused(series, square, 1.0 / 7.0)
    series = fused(series, square, 1.0 / 5.0)
    series = fused(series, square, 1.0 / 3.0)
    return float(k * (LN2_HIGH + LN2_LOW) + 2.0 * (s + s * square * series))


@njit
def power(x: float, y: float) -> float:
    """Return x^y of a normal number above zero, or of zero to some 1e-308."""
    return exp(y * log(x))

"""The standard normal distribution and autoregressive paths, vectorised with NumPy alone."""

import math

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

_LIMIT = 6.0
_GRID = np.linspace(-_LIMIT, _LIMIT, 4801)
_CDF = np.array([0.5 * math.erfc(-z / math.sqrt(2.0)) for z in _GRID.tolist()])


def cdf(z: npt.ArrayLike) -> Array:
    """Return the standard normal distribution function, interpolated on a grid; error < 1e-6.

    Values beyond ±6 are taken at ±6.
    """
    return np.asarray(np.interp(np.asarray(z, dtype=np.float64), _GRID, _CDF), dtype=np.float64)


def quantile(probability: npt.ArrayLike) -> Array:
    """Return the standard normal quantile, within ±6; −∞ for zero."""
    p = np.asarray(probability, dtype=np.float64)
    return np.where(p > 0.0, np.interp(p, _CDF, _GRID), -np.inf)


def ar1(rng: np.random.Generator, rho: float, n: int) -> Array:
    """Return a stationary autoregressive process with unit variance, length n."""
    return ar1_path(rng.standard_normal(n), rho)


def ar1_path(shocks: Array, rho: float) -> Array:
    """Return the stationary autoregressive process that independent unit shocks drive."""
    value = float(shocks[0])
    path = [value]
    for shock in (math.sqrt(1.0 - rho * rho) * shocks[1:]).tolist():
        value = rho * value + shock
        path.append(value)
    return np.array(path)

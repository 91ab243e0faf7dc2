"""Hash rate by power: a line for efficiency, a measured table, or a set of levels.

Load fraction p is power per nameplate power. The line is e(p)/e(1) = a + b p with a + b = 1, so
that the hash rate p / (a + b p) is concave; measured tables are joined by straight lines.
"""

from collections.abc import Sequence

import numpy as np


def linear_hashrate(nameplate: float, load: float, a: float, b: float) -> float:
    """Return the hash rate at a load fraction by the efficiency line, in the nameplate's unit."""
    return nameplate * load / (a + b * load)


def profile_hashrate(
    power_w: float, profile_w: Sequence[float], profile_ths: Sequence[float]
) -> float:
    """Return the hash rate at a power by a measured table, linear between its rows [TH/s].

    Between two profiles a fleet runs some rigs at each, so its mean is linear there. Outside the
    table the nearest row holds its efficiency.
    """
    inside_w = min(max(power_w, profile_w[0]), profile_w[-1])
    return float(np.interp(inside_w, profile_w, profile_ths)) * power_w / inside_w


def concave_rows(profile_w: Sequence[float], profile_ths: Sequence[float]) -> list[int]:
    """Return which rows of a table are worth running: those on its upper concave envelope.

    The envelope starts at no power and no hash, since rigs may also stand: a mix of other rows or
    of fewer rigs gives more hash than any row below it (monotone chain, Andrew 1979).
    """
    hull: list[int] = []
    for k, (power_w, hashrate_ths) in enumerate(zip(profile_w, profile_ths, strict=True)):
        while hull:
            before_w, before_ths = (
                (profile_w[hull[-2]], profile_ths[hull[-2]]) if len(hull) > 1 else (0.0, 0.0)
            )
            last_w, last_ths = profile_w[hull[-1]], profile_ths[hull[-1]]
            slope_to_last = (last_ths - before_ths) * (power_w - before_w)
            if slope_to_last > (hashrate_ths - before_ths) * (last_w - before_w):
                break
            hull.pop()
        hull.append(k)
    return hull


def fit_slope(loads: Sequence[float], efficiencies: Sequence[float]) -> float:
    """Return b of the line e/e(1) = 1 + b (p - 1) nearest to a table by least squares.

    `efficiencies` are relative to nameplate; a is 1 - b.
    """
    x = np.asarray(loads, dtype=np.float64) - 1.0
    y = np.asarray(efficiencies, dtype=np.float64) - 1.0
    return float(np.sum(x * y) / np.sum(x * x))


def tilted_hashrate(
    hashrate_ths: float, power_w: float, nameplate_w: float, nameplate_ths: float, tilt: float
) -> float:
    """Return the hash rate of a row of a table whose slope b grows by `tilt` [TH/s].

    e'(p)/e(1) = e(p)/e(1) + tilt (p - 1): nameplate keeps power and hash rate, and `fit_slope` of
    all rows grows by exactly `tilt`, since its residuals stay as they are.
    """
    load = power_w / nameplate_w
    efficiency = load * nameplate_ths / hashrate_ths + tilt * (load - 1.0)
    return nameplate_ths * load / efficiency

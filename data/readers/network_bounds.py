"""What the Bitcoin network's figures were in each year, to tell a wrong unit from a right value.

Least and greatest daily values: difficulty and time from the chain, price and hashprice computed
from Coin Metrics community data (CC BY-NC 4.0; only these extremes are kept).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from gridhash.errors import DataError


@dataclass(frozen=True)
class Extremes:
    """Least and greatest daily value of one year, by quantity."""

    difficulty: tuple[float, float]
    btc_price_usd: tuple[float, float]
    hashprice_usd_per_phs_day: tuple[float, float]


EXTREMES = {
    2014: Extremes((1.1e9, 4.1e10), (300.0, 980.0), (3.2e3, 3.0e5)),
    2015: Extremes((4.06e10, 1.04e11), (176.0, 465.0), (1940.0, 3920.0)),
    2016: Extremes((1.04e11, 3.18e11), (366.0, 980.0), (618.0, 2250.0)),
    2017: Extremes((3.18e11, 1.87e12), (788.0, 19600.0), (546.0, 3880.0)),
    2018: Extremes((1.87e12, 7.45e12), (3190.0, 17100.0), (143.0, 3090.0)),
    2019: Extremes((5.62e12, 1.37e13), (3360.0, 12900.0), (131.0, 476.0)),
    2020: Extremes((1.30e13, 2.00e13), (4960.0, 29000.0), (70.6, 217.0)),
    2021: Extremes((1.37e13, 2.50e13), (29400.0, 67500.0), (185.0, 422.0)),
    2022: Extremes((2.43e13, 3.70e13), (15800.0, 47600.0), (55.4, 248.0)),
    2023: Extremes((3.41e13, 7.20e13), (16600.0, 44200.0), (59.5, 126.0)),
    2024: Extremes((7.03e13, 1.10e14), (39600.0, 106000.0), (38.4, 188.0)),
    2025: Extremes((1.08e14, 1.57e14), (74000.0, 127000.0), (33.0, 66.0)),
}

LATER = Extremes((5e13, 5e15), (1e4, 1e6), (3.0, 300.0))
"""For years after the table: wide, against slips of a thousand."""

MARGIN = 1.25
"""Sources differ in when a day ends and in which exchanges make the price."""


def check_years(
    starts: pd.DatetimeIndex,
    values: npt.NDArray[np.float64],
    quantity: str,
    where: Callable[[int], str],
) -> None:
    """Raise DataError at the first value that its year never saw; NaN is passed over.

    Parameters
    ----------
    quantity
        A field of `Extremes`.
    where
        Returns where a row stands, to begin the message with.
    """
    years = np.asarray(starts.year)
    for year in np.unique(years):
        low, high = getattr(EXTREMES.get(int(year), LATER), quantity)
        rows = np.flatnonzero(years == year)
        wrong = (values[rows] < low / MARGIN) | (values[rows] > high * MARGIN)
        if wrong.any():
            row = int(rows[np.argmax(wrong)])
            raise DataError(
                f"{where(row)}: {quantity} {values[row]:g} is outside {low / MARGIN:g} … "
                f"{high * MARGIN:g}, what {year} saw; the unit may have been changed, get the "
                "original file"
            )
